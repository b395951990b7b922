"""What the chapter on pancreatic tumours quotes, and what toy cells tell of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import pandas as pd
from anndata import AnnData

from sicmir.cells import cell_annotation, marker_agreement, pool_table
from sicmir.chapters import claims
from sicmir.chapters.pancreas import tumour_contrasts, tumour_sets, tumour_study
from sicmir.matrices.normalise import TransformChoice
from sicmir.model import Bundle
from sicmir.publishing import markup


def planted(cells: AnnData, predicted: AnnData, seed: int = 0) -> pd.DataFrame:
    """How much of what was planted in toy cells was recovered; one line of text for cells that were measured.

    Parameters
    ----------
    cells
        Named cells; those of toy data have ``planted`` in ``obs``.
    predicted
        Pools, abstained ones among them.
    seed
        Of the toy data.

    Returns
    -------
    DataFrame
        ``figure, value``: the share of cells whose type was named right, and the median over miRNAs of
        grade A and B of the Pearson correlation of predicted and planted values over pools.
    """
    if "planted" not in cells.obs:
        return pd.DataFrame({"figure": ["These cells were measured, so no planted truth is known."]})
    measured = tumour_sets.toy_tumours(seed).measured
    kept = predicted[~predicted.obs["abstained"].to_numpy()]
    good = kept[:, pool_table.graded(kept, "B")].to_df()
    rows = kept.obs["donor"].astype(str) + "|" + kept.obs["cell_type"].astype(str)
    inside = rows.isin(measured.obs_names).to_numpy()
    truth = measured.to_df().loc[rows[inside], good.columns].set_axis(good.index[inside])
    named_right = cells.obs["planted"].astype(str) == cells.obs["cell_type"].astype(str)
    figures = {
        "cells named as planted, share": float(named_right.mean()),
        "r of predicted and planted values, median": float(good[inside].corrwith(truth).median()),
    }
    return pd.DataFrame(list(figures.items()), columns=["figure", "value"])


def repeated(
    good: AnnData,
    markers: Mapping[str, Sequence[str]],
    bundle: Bundle,
    contrasts: pd.DataFrame,
    settings: Iterable[tuple[float, int]],
    transform: TransformChoice = "auto",
    min_cells: int = 10,
) -> pd.DataFrame:
    """Agreement of signs when cells are clustered otherwise: all steps from the clusters on, again.

    Parameters
    ----------
    good
        Cells that passed quality control.
    markers, bundle, transform, min_cells
        As for the page.
    contrasts
        Of :func:`sicmir.cells.marker_agreement.measured_contrasts`.
    settings
        Resolution and seed of each repeat.

    Returns
    -------
    DataFrame
        A row a repeat: ``resolution, seed, n_clusters, unassigned`` (cells), ``pools`` predicted, ``agree``
        and ``n`` signs of grade A. Without rows for cells whose types were given.
    """
    rows = []
    for resolution, seed in settings if "cell_type" not in good.obs else ():
        cells, _, names = tumour_study.annotate(good, markers, resolution, seed)
        _, kept = tumour_study.predict_pools(cells, bundle, transform, min_cells)
        markers_again = tumour_contrasts.markers(tumour_contrasts.comparable(kept))
        judged = marker_agreement.signs(contrasts, markers_again)
        unassigned = int((cells.obs["cell_type"] == cell_annotation.UNASSIGNED).sum())
        agree, n = marker_agreement.share(judged, "A")
        rows.append((resolution, seed, len(names), unassigned, kept.n_obs, agree, n))
    columns = ["resolution", "seed", "n_clusters", "unassigned", "pools", "agree", "n"]
    return pd.DataFrame(rows, columns=columns)


def headline(
    quality: pd.DataFrame,
    names: pd.DataFrame,
    bundle: Bundle,
    predicted: AnnData,
    judged: pd.DataFrame,
    shares: pd.DataFrame,
    orders: pd.DataFrame,
    conditions: str,
    windows: AnnData,
    verdicts: pd.DataFrame,
    labels: str,
) -> dict[str, float | int | str]:
    """Figures that the page quotes.

    Parameters
    ----------
    quality
        Of :func:`sicmir.cells.cell_quality.table`.
    names
        Of :func:`sicmir.chapters.pancreas.tumour_study.annotate`.
    bundle
        The model.
    predicted
        Pools, abstained ones among them.
    judged, shares, orders, conditions, windows, verdicts, labels
        Of :func:`sicmir.cells.marker_agreement.signs`, ``shares`` and ``renamed``,
        :func:`sicmir.chapters.pancreas.tumour_contrasts.told`, the predicted windows,
        :func:`sicmir.chapters.pancreas.tumour_claims.literature` and
        :func:`sicmir.chapters.pancreas.tumour_study.told_of_labels`.
    """
    cohorts = bundle.card.get("training_data", {}).get("cohorts", {})
    own = cohorts.get(tumour_study.PANCREATIC, 0)
    unnamed = names.loc[names["cell_type"] == cell_annotation.UNASSIGNED, "n_cells"].sum()
    return {
        "trained_on": "were" if own else "were not" if cohorts else "are not known to be",
        "n_barcodes": int(quality["barcodes"].sum()),
        "n_cells": int(quality["cells"].sum()),
        "n_donors": len(quality),
        "n_unassigned": int(unnamed),
        "n_pools": predicted.n_obs,
        "n_predicted": int((~predicted.obs["abstained"]).sum()),
        "n_abstained": int(predicted.obs["abstained"].sum()),
        "n_outside": int((~predicted.obs["in_domain"] & ~predicted.obs["abstained"]).sum()),
        "sign_n": marker_agreement.share(judged, "A")[1],
        "sign_n_b": marker_agreement.share(judged, "B")[1],
        "signs_told": signs_told(judged, shares),
        "names_told": names_told(orders),
        "conditions": conditions,
        "n_windows": windows.n_obs,
        "windows_abstained": markup.percent(windows.obs["abstained"].mean()),
        "claims_told": claims.told(verdicts),
        "labels": labels,
    }


def signs_told(judged: pd.DataFrame, shares: pd.DataFrame) -> str:
    """How many predicted differences have the measured sign.

    Parameters
    ----------
    judged, shares
        Of :func:`sicmir.cells.marker_agreement.signs` and ``shares``.
    """
    by_interval = shares.set_index("interval").astype(object)  # whole numbers stay such
    whole = by_interval.loc[marker_agreement.ALL]
    if not whole["n"]:
        return "No predicted difference of grade A has a known direction, so that no sign is judged."
    agree_b, n_b = marker_agreement.share(judged, "B")
    if pd.isna(whole["lower"]):
        interval = f"no interval, over {whole['n_clusters']} genomic clusters"
    else:
        limits = f"{markup.percent(whole['lower'])} to {markup.percent(whole['upper'])}"
        interval = f"95 % interval over {whole['n_clusters']} genomic clusters {limits}"
    told = (
        "Where libraries of such cells give a direction, the prediction has the same sign for "
        f"{whole['agree']} of {whole['n']} differences of grade A "
        f"({markup.percent(whole['share'])}; {interval})"
    )
    told += f", and for {agree_b} of {n_b} of grade B." if n_b else "."
    for name, word in zip(marker_agreement.INTERVALS, ("leaves out 0", "holds 0"), strict=False):
        if by_interval.loc[name, "n"]:
            agree, n = by_interval.loc[name, ["agree", "n"]]
            told += f" Where the interval over donors {word}, {agree} of {n} agree."
    return told


def names_told(orders: pd.DataFrame) -> str:
    """The place of the right names of the cell types among all others (``marker_agreement.renamed``)."""
    others = orders["share"].iloc[1:]
    if others.empty:
        return "There are too few cell types to try other names."
    return (
        f"Of {len(orders)} ways to name the cell types the right one takes place "
        f"{marker_agreement.place(orders)}; the next best reaches {markup.percent(others.max())}, the median "
        f"{markup.percent(others.median())}."
    )
