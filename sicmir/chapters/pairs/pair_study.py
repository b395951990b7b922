"""The study of paired tumours: agreement of predicted with measured differences, as a page shows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from sicmir import trust
from sicmir.chapters.pairs.pair_predictors import SHIPPED, SHUFFLED, counted
from sicmir.chapters.pairs.pair_sets import Pairs
from sicmir.chapters.pairs.predicted_differences import agreements
from sicmir.chapters.single_cells import cell_sets
from sicmir.data.fallback import or_toy
from sicmir.donors import effect_agreement
from sicmir.errors import DataError
from sicmir.networks.hub_overlap import MEASURES, HubOverlap
from sicmir.publishing import markup

HALVES = "half of the donors, measured"
"""Row of :func:`agreement` that needs no prediction (:func:`sicmir.donors.effect_agreement.halves`)."""

CELLS = "hcc-cells"
"""Cells that ``"auto"`` stands for."""

FEWEST = 10
"""miRNAs of a grade from which on their effects are compared."""


def agreement(
    measured: AnnData,
    predicted: Mapping[str, AnnData],
    truth: pd.DataFrame,
    tables: Mapping[str, pd.DataFrame],
    contrast: Mapping[str, Any],
    min_grade: str,
    top_k: int = 20,
    n_resamples: int = 1000,
    fdr: float = 0.05,
    seed: int = 0,
) -> pd.DataFrame:
    """How each predictor's effects agree with the measured ones, over the miRNAs that count.

    Parameters
    ----------
    measured, predicted
        Samples × miRNAs.
    truth, tables
        As :func:`sicmir.stats.differential` gives them for these.
    contrast
        ``condition_key``, ``case``, ``reference``.
    min_grade, top_k, n_resamples, fdr, seed
        Worst grade that counts; number of largest effects, at most a third of the miRNAs; draws of donors;
        largest q of a measured difference; seed of the draws.

    Returns
    -------
    DataFrame
        Index predictor, the last one :data:`HALVES`: ``n_mirnas``; each of
        :data:`sicmir.donors.effect_agreement.FIGURES` with ``…_lower`` and ``…_upper``; ``k``; ``area_up``
        and ``area_down`` (:func:`sicmir.donors.effect_agreement.roc`); ``slope``, ``n_predicted``,
        ``confirmed`` and ``found`` of :func:`sicmir.donors.differential_check.predicted_against_measured`.

    Raises
    ------
    DataError
        If of the first predictor fewer than 3 miRNAs count. Others with fewer are left out.
    """
    rows = {}
    for place, (name, adata) in enumerate(predicted.items()):
        names = counted(adata, measured, min_grade)
        if name not in tables or len(names) < 3:
            if place == 0:
                raise DataError(
                    f"{len(names)} measured miRNAs are predicted with grade {min_grade} or better; at least "
                    "3 are needed. Lower min_grade, or learn from other samples (further)."
                )
            continue
        k = max(1, min(top_k, len(names) // 3))
        drawn = effect_agreement.bootstrap(
            measured, adata, names, **contrast, k=k, n_resamples=n_resamples, seed=seed
        )
        row = _row(drawn, k)
        areas = effect_agreement.roc(truth, tables[name], fdr)[1]
        row |= {f"area_{side}": areas.get(side, np.nan) for side in ("up", "down")}
        more = agreements(truth, {name: tables[name]}, k=k, fdr=fdr).loc[name]
        rows[name] = row | more[["slope", "n_predicted", "confirmed", "found"]].to_dict()
        if place == 0:
            by_halves = _row(effect_agreement.halves(measured, names, **contrast, k=k, seed=seed), k)
    rows[HALVES] = by_halves
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("predictor")


def _row(drawn: pd.DataFrame, k: int) -> dict[str, float]:
    row: dict[str, float] = {"n_mirnas": int(drawn["n_mirnas"].iloc[0]), "k": k}
    for figure in effect_agreement.FIGURES:
        names = {"value": figure, "lower": f"{figure}_lower", "upper": f"{figure}_upper"}
        row |= {name: drawn.loc[figure, column] for column, name in names.items()}
    return row


def printed(agreed: pd.DataFrame, digits: int = 2) -> pd.DataFrame:
    """The table of :func:`agreement` with each figure and its limits in one column."""

    def number(value: float) -> str:
        return "–" if pd.isna(value) else f"{value:.{digits}f}".replace("-", "−")

    words = dict(zip(effect_agreement.FIGURES, ("Spearman r", "right sign", "largest found"), strict=True))
    table = pd.DataFrame({"predictor": agreed.index, "miRNAs": agreed["n_mirnas"].astype(int).to_numpy()})
    for figure, word in words.items():
        sides = [agreed[name].map(number) for name in (figure, f"{figure}_lower", f"{figure}_upper")]
        table[word] = [f"{value} ({lower} to {upper})" for value, lower, upper in zip(*sides, strict=True)]
    more = ("area_up", "area_down", "slope", "confirmed", "found")
    return table.assign(**{name.replace("_", " "): agreed[name].map(number).to_numpy() for name in more})


def shown_hubs(hubs: HubOverlap, n: int = 12) -> pd.DataFrame:
    """The miRNAs that lead both lists: rank, q and z by measured and by predicted miRNA."""
    table = hubs.beside().head(n)
    columns = [f"{side}_{name}" for name in ("rank", "q", "z") for side in ("measured", "predicted")]
    words = {name: name.replace("_", " ") for name in columns}
    facts = table[["grade", "n_targets", *columns]].astype(dict.fromkeys(columns[:2], int))
    return facts.rename(columns={"n_targets": "targets"} | words).reset_index()


def shown_overlap(hubs: HubOverlap) -> pd.DataFrame:
    """What both lists of hubs have in common, beside draws of matched genes and random lists, in words."""
    digits = {"value": 2, "by_draws": 2, "p": 3, "by_lot": 2}
    shown = hubs.summary.copy().astype(object)
    for name, places in digits.items():
        shown[name] = [markup.number(value, places) for value in hubs.summary[name]]
    shared = hubs.summary.loc["overlap", "value"]
    shown.loc["overlap", "value"] = markup.number(shared, 0)
    names = {"by_draws": "matched genes", "by_lot": "at random"}
    return shown.rename(columns=names).assign(meaning=list(MEASURES.values())).reset_index()


def by_grade(
    measured: AnnData,
    predicted: Mapping[str, AnnData],
    contrast: Mapping[str, Any],
    n_resamples: int = 1000,
    seed: int = 0,
    clusters: pd.Series | None = None,
) -> pd.DataFrame:
    """Spearman correlation of effects, with its interval over donors, for the miRNAs of each grade.

    The shuffled control and the model that may know the donors are left out, and so are grades of fewer than
    :data:`FEWEST` miRNAs. With ``clusters`` (:func:`sicmir.donors.effect_agreement.bootstrap`) the interval
    is over donors and genomic clusters of miRNAs.
    """
    rows = []
    for name, adata in predicted.items():
        if name in (SHUFFLED, SHIPPED):
            continue
        for grade in trust.GRADES:
            names = adata.var_names[(adata.var["grade"].astype(str) == grade).to_numpy()]
            names = names[names.isin(measured.var_names)]
            if len(names) < FEWEST:
                continue
            drawn = effect_agreement.bootstrap(
                measured,
                adata,
                names,
                **contrast,
                k=1,
                n_resamples=n_resamples,
                seed=seed,
                clusters=clusters,
            ).loc["effect_spearman"]
            row = {"predictor": name, "grade": grade, "n_mirnas": len(names), "spearman": drawn["value"]}
            rows.append(row | {"lower": drawn["lower"], "upper": drawn["upper"]})
    return pd.DataFrame(rows, columns=["predictor", "grade", "n_mirnas", "spearman", "lower", "upper"])


def load_cells(
    pairs: Pairs, cells: str | Path = "auto", cell_type_key: str = "cell_type", donor_key: str = "donor"
) -> AnnData:
    """Give the cells of a page on paired samples (:func:`sicmir.chapters.single_cells.cell_sets.load_cells`).

    ``"auto"`` is ``hcc-cells``; toy cells where that cannot be reached, or beside synthetic samples.
    """
    if str(cells) != "auto":
        return cell_sets.load_cells(cells, cell_type_key, donor_key)
    if pairs.synthetic:
        return cell_sets.load_cells("toy")
    return or_toy(lambda: cell_sets.load_cells(CELLS), lambda: cell_sets.load_cells("toy"), "no real cells")


def time_unit(outcomes: AnnData, clinical: str) -> str:
    """Unit of the times of survival in words, as far as it is known.

    Parameters
    ----------
    outcomes, clinical
        Of :func:`sicmir.chapters.statistics.outcome_sets.load_outcomes`, and what it was asked for.
    """
    if outcomes.uns["sicmir"]["synthetic"]:
        return "arbitrary units"
    return "days" if clinical == "auto" else "the unit of its table"


def of_condition(adata: AnnData, condition_key: str, condition: str) -> AnnData:
    """The samples of one condition."""
    return adata[(adata.obs[condition_key].astype(str) == condition).to_numpy()].copy()


def yes_or_no(grades: pd.Series, min_grade: str) -> np.ndarray:
    """Whether each grade counts, in words."""
    return np.where(trust.at_least(grades, min_grade), "yes", "no")


def shown(per_mirna: pd.DataFrame, main: str, n: int = 15) -> pd.DataFrame:
    """The largest measured differences beside the predicted ones.

    Parameters
    ----------
    per_mirna
        As :func:`sicmir.donors.effect_agreement.beside` gives it, with ``separation``.
    main
        Predictor.
    n
        How many.
    """
    prefix = main.replace(" ", "_")
    table = per_mirna.head(n)
    greyed = table[f"{prefix}_greyed"]
    return pd.DataFrame(
        {
            "mirna": table.index,
            "measured": table["measured_effect"].to_numpy(),
            "lower": table["measured_lower"].to_numpy(),
            "upper": table["measured_upper"].to_numpy(),
            "q": table["measured_q"].to_numpy(),
            "separation": table["separation"].to_numpy(),
            "predicted": table[f"{prefix}_effect"].to_numpy(),
            "grade": table[f"{prefix}_grade"].fillna("–").to_numpy(),
            "counts": greyed.map({True: "no", False: "yes"}).fillna("not predicted").to_numpy(),
        }
    )


def recovered(pairs: Pairs, table: pd.DataFrame) -> pd.DataFrame:
    """Planted effects beside those found, one row a miRNA; empty for measured data.

    Parameters
    ----------
    pairs
        Samples.
    table
        As :func:`sicmir.stats.differential` gives it.
    """
    if "truth" not in pairs.mirna.uns:
        return pd.DataFrame(columns=["kind", "planted", "effect", "finding"])
    truth = pairs.mirna.uns["truth"]["mirnas"]
    found = table.set_index("mirna")[["effect", "finding"]]
    # The toy tells the change from the first condition to the second, which is the reference here.
    return truth[["kind"]].assign(planted=-truth["effect"]).join(found, how="inner")


def first_hubs(hubs: HubOverlap, n: int = 5) -> Sequence[str]:
    """The miRNAs that lead both lists."""
    return hubs.beside().index[:n].tolist()
