"""How far the atlas agrees with measured miRNA, for the cell types in which it is known."""

from __future__ import annotations

import operator
import warnings
from collections.abc import Mapping

import anndata as ad
import numpy as np
import pandas as pd

from sicmir import panel
from sicmir.atlas import at_hand
from sicmir.atlas.expression import expression
from sicmir.atlas.query import Atlas
from sicmir.cells import cell_agreement, cell_references, cell_types, cell_validation
from sicmir.errors import UnreachableError
from sicmir.model import Bundle

MIN_RPM = cell_validation.MIN_RPM
"""Measured reads per million in a cell type of the source that a miRNA needs to be judged."""

LARGE = 1.0
"""Measured difference, log2, of which the sign is asked."""

WITHIN, ACROSS = "within data sets", "across data sets"
"""Pairs of cell types whose cells are of one data set, or of two: these hold what sets data sets apart."""


def measured_types(cells: Mapping[str, ad.AnnData], bundle: Bundle, seed: int = 0) -> ad.AnnData:
    """Measured miRNA of the cell types of an atlas, where it is known.

    Parameters
    ----------
    cells
        Data sets of the atlas.
    bundle
        Model, whose names the miRNAs get.
    seed
        Of toy data.

    Returns
    -------
    AnnData
        ``dataset: label`` × miRNAs, log2(RPM+1); ``obs``: ``dataset``, ``cell_type`` (name in the atlas),
        ``source`` of the measurement and ``match`` (:func:`sicmir.cells.cell_references.matches`). No rows
        where nothing was measured of these data sets.

    Raises
    ------
    UnreachableError
        If the measurements cannot be obtained.
    """
    if at_hand.is_toy(cells):
        return _toy(cells, seed)
    _, mirna = cell_references.load_cell_types()
    mirna = mirna[mirna.obs["dataset"].isin(cells).to_numpy()].copy()
    if bundle.level == "stem-loop":
        mirna = cell_types.as_stem_loops(mirna, bundle.mirnas)
    names = at_hand.cell_type_names().set_index(["dataset", "label"])["cell_type"]
    keys = pd.MultiIndex.from_frame(mirna.obs[["dataset", "cell_type"]].astype(str))
    mirna.obs["cell_type"] = names.reindex(keys).to_numpy()
    return mirna


def load_measured(cells: Mapping[str, ad.AnnData], bundle: Bundle, seed: int = 0) -> ad.AnnData:
    """As :func:`measured_types`; no rows where nothing is matched, or, with a warning, cannot be obtained."""
    columns = ["dataset", "cell_type", "source", "match"]
    none = ad.AnnData(obs=pd.DataFrame(columns=columns, index=pd.Index([], dtype=str), dtype=str))
    if not at_hand.is_toy(cells) and not set(cells) & set(cell_references.matches()["dataset"]):
        return none
    try:
        return measured_types(cells, bundle, seed)
    except UnreachableError as error:
        warnings.warn(f"NOT COMPARED: no measured cell type could be reached. {error}", stacklevel=2)
        return none


def predicted_donors(atlas: Atlas, measured: ad.AnnData) -> pd.DataFrame:
    """Predictions of the cell types that were measured, a row for each row of ``measured`` and donor.

    Cell types of which no donor is predicted are left out.
    """
    there = {name: set(atlas.values(name)) for name in ("dataset", "cell_type")}
    rows = {}
    for name, row in measured.obs.iterrows():
        if any(row[label] not in values for label, values in there.items()):
            continue
        found = expression(atlas, cell_type=row["cell_type"], dataset=row["dataset"], by=["donor"])
        known = found[found["mean"].notna()]
        if len(known):
            rows[name] = known.pivot_table("mean", "donor", "mirna")
    table = pd.concat(rows, names=["cell_type", "donor"]) if rows else _none(["cell_type", "donor"])
    return table.reindex(columns=measured.var_names)


def predicted_types(donors: pd.DataFrame) -> pd.DataFrame:
    """Mean over donors of each cell type, of what :func:`predicted_donors` gives."""
    return donors.groupby(level="cell_type", sort=False).mean()


def judged_mirnas(known: pd.DataFrame) -> pd.Index:
    """The miRNAs of the cell types of a source (rows, log2(RPM+1)) that are judged: :data:`MIN_RPM`."""
    return known.columns[(known.max() >= np.log2(MIN_RPM + 1)) & known.notna().all()]


def agreement(
    measured: ad.AnnData, predicted: pd.DataFrame, n_resamples: int = 500, seed: int = 0
) -> pd.DataFrame:
    """Whether predicted differences between cell types go the measured way, for each pair of a source.

    Parameters
    ----------
    measured, predicted
        As of :func:`measured_types` and :func:`predicted_types`. Judged are miRNAs of
        :data:`MIN_RPM` or more in a cell type of the source.
    n_resamples, seed
        As for :func:`sicmir.cells.cell_agreement.compare`.

    Returns
    -------
    DataFrame
        ``pairs`` (:data:`WITHIN` or :data:`ACROSS`); ``source, cell_type_a, cell_type_b, n_mirnas,
        n_clusters, spearman, lower, upper`` as :func:`sicmir.cells.cell_agreement.compare` gives them;
        ``same_sign``, the share of miRNAs with a measured difference of a factor of two or more that is
        predicted with its sign, and their number ``n_large``. No rows where no source has two cell types.
    """
    columns = ["pairs", "source", "cell_type_a", "cell_type_b", "n_mirnas", "n_clusters"]
    columns += ["spearman", "lower", "upper"]
    tables = []
    clusters = panel.mirnas().set_index("name")["cluster"]
    for source, own in measured.obs.loc[predicted.index].groupby("source", sort=True, observed=True):
        if len(own) < 2:
            continue
        known = measured[own.index].to_df()
        judged = judged_mirnas(known)
        pair = known[judged], predicted.loc[own.index, judged]
        table = cell_agreement.compare(
            pair[0], {"atlas": pair[1]}, clusters=clusters, n_resamples=n_resamples, seed=seed
        )
        datasets = (table[side].map(own["dataset"].astype(str)) for side in ("cell_type_a", "cell_type_b"))
        table = table.assign(source=source, pairs=np.where(operator.eq(*datasets), WITHIN, ACROSS))
        signs = [_signs(pair[0], pair[1], row.cell_type_a, row.cell_type_b) for row in table.itertuples()]
        tables.append(
            table[columns].assign(
                **dict(zip(("same_sign", "n_large"), zip(*signs, strict=True), strict=True))
            )
        )
    if not tables:
        return pd.DataFrame(columns=[*columns, "same_sign", "n_large"])
    return pd.concat(tables, ignore_index=True)


def place_of_names(measured: ad.AnnData, predicted: pd.DataFrame) -> pd.DataFrame:
    """Where the true names of the cell types stand among all ways to exchange them within data sets.

    Returns
    -------
    DataFrame
        As :func:`sicmir.cells.cell_validation.place_of_truth`, with ``source`` and ``n_types``, for each
        source of 4 to :data:`~sicmir.cells.cell_validation.MOST_TYPES` cell types; no rows for none.
    """
    tables = []
    for source, own in measured.obs.loc[predicted.index].groupby("source", sort=True, observed=True):
        if not 4 <= len(own) <= cell_validation.MOST_TYPES:
            continue
        known = measured[own.index].to_df()
        told = cell_validation.told_apart(known)
        orders = cell_validation.renamed(known[told], predicted.loc[own.index, told], own["dataset"])
        tables.append(cell_validation.place_of_truth(orders).assign(source=source, n_types=len(own)))
    columns = ["source", "n_types", "figure", "true", "others", "best_other", "place", "n_orders"]
    return pd.concat(tables, ignore_index=True)[columns] if tables else pd.DataFrame(columns=columns)


def _signs(measured: pd.DataFrame, predicted: pd.DataFrame, a: str, b: str) -> tuple[float, int]:
    known = measured.loc[a] - measured.loc[b]
    large = known.abs() >= LARGE
    same = np.sign(known[large]) == np.sign((predicted.loc[a] - predicted.loc[b])[large])
    return (float(same.mean()) if large.any() else float("nan")), int(large.sum())


def _none(levels: list[str]) -> pd.DataFrame:
    return pd.DataFrame(index=pd.MultiIndex.from_arrays([[] for _ in levels], names=levels), dtype=np.float64)


def _toy(cells: Mapping[str, ad.AnnData], seed: int) -> ad.AnnData:
    """The planted miRNA, mean over the donors of each toy data set."""
    truth = at_hand.toy_cells(seed).measured
    tables, rows = [], []
    for dataset, adata in cells.items():
        own = truth[truth.obs["donor"].isin(adata.obs["donor"]).to_numpy()]
        means = own.to_df().groupby(own.obs["cell_type"].to_numpy()).mean()
        tables.append(means.set_axis([f"{dataset}: {name}" for name in means.index]))
        rows += [(dataset, name, dataset, "same cells") for name in means.index]
    values = pd.concat(tables)
    obs = pd.DataFrame(rows, columns=["dataset", "cell_type", "source", "match"], index=values.index)
    return ad.AnnData(values.astype(np.float32), obs=obs, uns={"sicmir": dict(truth.uns["sicmir"])})
