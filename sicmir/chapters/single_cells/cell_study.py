"""The study of the chapter on single cells: what its tables and figures are made from, step by step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd
from anndata import AnnData

from sicmir.cells import cell_robustness, cell_validation
from sicmir.chapters.single_cells.cell_sets import Reference
from sicmir.pseudobulk import pseudobulk

COMPARED = ("frozen", "rank")
"""Transforms that do not depend on what else is submitted, and so can be compared draw by draw."""

QUOTED = "frozen"
"""Transform of the figures that the page quotes; the one that :func:`sicmir.predict` takes for counts."""

ENOUGH = 50
"""Cells in a pool that the headline speaks of."""

MEASURED, SYNTHETIC = "10x, pancreatic cancer, one donor of poor quality", "synthetic"
"""What the droplets are."""

ALONE = "cohort, lines alone"
"""Name of the transform cohort with no other cell types than the lines."""

CONSTANT = ("n_groups", "n_draws", "coverage")
"""Columns of the summaries that say the same in every row, unless they vary."""


def composition(cells: AnnData) -> pd.DataFrame:
    """Cells of each donor (rows) and cell type (columns), those with most cells first."""
    table = pd.crosstab(cells.obs["donor"].astype(str), cells.obs["cell_type"].astype(str))
    table = table.loc[table.sum(axis=1).sort_values(ascending=False, kind="stable").index]
    table = table[table.sum().sort_values(ascending=False, kind="stable").index]
    return table.rename_axis(columns=None).reset_index()


def matches(reference: Reference) -> pd.DataFrame:
    """Which cell types have measured miRNA, where it is from, and how well the two match."""
    columns = ["cell_type", "dataset", "source", "source_cell_type", "match", "n_cells", "n_libraries"]
    return reference.mrna.obs[[name for name in columns if name in reference.mrna.obs]]


def predictions(reference: Reference) -> dict[str, AnnData]:
    """Cell types with measured miRNA, predicted under each transform (:func:`predict_types`)."""
    return cell_validation.predict_types(reference.mrna, reference.bundle)


def within(reference: Reference, predicted: Mapping[str, AnnData]) -> pd.DataFrame:
    """Agreement within each cell type: rows (transform, cell type), see :func:`within_types`."""
    measured, mean = reference.mirna.to_df(), reference.bundle.trusted("mean_log2_rpm")
    tables = {
        name: cell_validation.within_types(measured, one.to_df(), mean) for name, one in predicted.items()
    }
    return pd.concat(tables, names=["transform", "cell_type"])


def transform_table(agreement: pd.DataFrame, predicted: Mapping[str, AnnData]) -> pd.DataFrame:
    """Medians over cell types of :func:`within`, with how many lie inside the domain, by transform."""
    groups = agreement.groupby(level="transform", sort=False)
    found = groups[["spearman", "training_mean", "partial"]].median()
    found.insert(0, "n_cell_types", groups.size())
    found["in_domain"] = [int(predicted[name].obs["in_domain"].sum()) for name in found.index]
    found["domain_score"] = [predicted[name].obs["domain_score"].median() for name in found.index]
    return found.reset_index()


def judged_lines(reference: Reference) -> pd.DataFrame:
    """Measured lines × miRNAs that can be judged between them, see :func:`told_apart`."""
    measured = reference.mirna[reference.rows_of_lines()].to_df()
    return measured[cell_validation.told_apart(measured)]


def renamed(reference: Reference, predicted: Mapping[str, AnnData]) -> dict[str, pd.DataFrame]:
    """Every way to name the lines (:func:`sicmir.cells.cell_validation.renamed`), by transform.

    ``cohort`` is given twice: with all cell types submitted together, and with the lines alone.
    """
    measured = judged_lines(reference)
    alone = reference.mrna[reference.rows_of_lines()].copy()
    all_of = {
        **predicted,
        ALONE: cell_validation.predict_types(alone, reference.bundle, ["cohort"])["cohort"],
    }
    return {name: cell_validation.renamed(measured, one.to_df()) for name, one in all_of.items()}


def places(orders: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Where the right names stand (:func:`place_of_truth`), by transform."""
    tables = {name: cell_validation.place_of_truth(table) for name, table in orders.items()}
    return pd.concat(tables, names=["transform"]).reset_index(level="transform").reset_index(drop=True)


def per_mirna(reference: Reference, predicted: AnnData) -> pd.DataFrame:
    """Each judged miRNA over the lines, see :func:`sicmir.cells.cell_validation.per_mirna`."""
    return cell_validation.per_mirna(judged_lines(reference), predicted.to_df())


def largest(table: pd.DataFrame, grade: pd.Series, grades: str = "AB", n: int = 8) -> list[str]:
    """The miRNAs of some grades that differ most as measured; what was predicted plays no part."""
    good = table[grade.reindex(table.index).astype(str).isin(list(grades)).to_numpy()]
    return good["range"].sort_values(ascending=False).index[:n].tolist()


def pools(cells: AnnData, min_cells: int) -> AnnData:
    """Pools of the cells of each donor and type."""
    return pseudobulk(cells, ("donor", "cell_type"), min_cells=min_cells)


def by_transform(
    study: Callable[..., pd.DataFrame], *arguments: Any, **options: Any
) -> dict[str, pd.DataFrame]:
    """A table of :mod:`sicmir.cells.cell_robustness` for each of :data:`COMPARED`."""
    return {name: study(*arguments, transform=name, **options) for name in COMPARED}


def stacked(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Tables of several transforms below each other."""
    return pd.concat(tables, names=["transform"]).reset_index(level="transform").reset_index(drop=True)


def summaries(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """``cell_robustness.summary`` of each transform.

    A column without any value is left out, and :data:`CONSTANT` where they do not vary.
    """
    found = stacked({name: cell_robustness.summary(table) for name, table in tables.items()})
    same = [name for name in CONSTANT if found[name].nunique() < 2]
    return found.drop(columns=same).dropna(axis=1, how="all")


def overlaps(beside: pd.DataFrame) -> dict[str, int]:
    """Count pairs of pools whose intervals overlap, over miRNAs.

    Parameters
    ----------
    beside
        As :func:`sicmir.cells.pool_table.beside_trust` gives it.

    Returns
    -------
    ``n_compared``, pairs of pools of different cell types that were predicted, each miRNA counted, and
    ``n_overlap`` of them.
    """
    shown = beside.dropna(subset=["lower", "upper"])
    pairs = shown.merge(shown, on="mirna", suffixes=("", "_other"))
    pairs = pairs[(pairs["pool"] < pairs["pool_other"]) & (pairs["cell_type"] != pairs["cell_type_other"])]
    meet = (pairs["lower"] <= pairs["upper_other"]) & (pairs["lower_other"] <= pairs["upper"])
    return {"n_compared": len(pairs), "n_overlap": int(meet.sum())}


def headline(
    states: pd.DataFrame,
    predicted: AnnData,
    reference: Reference,
    agreement: pd.DataFrame,
    orders: pd.DataFrame,
    over_lines: pd.DataFrame,
    droplets: Mapping[str, pd.DataFrame],
    half_cells: Mapping[str, pd.DataFrame],
    thinned: Mapping[str, pd.DataFrame],
    fewer_genes: Mapping[str, pd.DataFrame],
) -> dict[str, float | int | str]:
    """Figures that the page quotes, of the transform :data:`QUOTED`.

    Parameters
    ----------
    states
        :func:`sicmir.cells.pool_table.status`.
    predicted
        Pools of the page's own cells.
    agreement, orders, over_lines
        Of :func:`sicmir.cells.cell_validation.within_types`, ``renamed`` and ``per_mirna``, of that
        transform.
    droplets, half_cells, thinned, fewer_genes
        Of :func:`by_transform`.
    """
    place = cell_validation.place_of_truth(orders).set_index("figure")
    lines = reference.mirna.obs_names[reference.rows_of_lines()]
    curves = {
        "droplets": cell_robustness.summary(droplets[QUOTED]).set_index("setting"),
        "half": cell_robustness.summary(half_cells[QUOTED]).set_index("setting"),
        "thinned": cell_robustness.summary(thinned[QUOTED]).set_index("setting"),
        "genes": cell_robustness.summary(fewer_genes[QUOTED]).set_index("setting"),
    }

    def at(table: str, setting: float, column: str) -> float:
        return float(curves[table][column].get(setting, float("nan")))

    return {
        "n_groups": len(states),
        "n_small": int(states["state"].str.startswith("left out").sum()),
        "n_pools": predicted.n_obs,
        "n_predicted": int((~predicted.obs["abstained"]).sum()),
        "n_abstained": int(predicted.obs["abstained"].sum()),
        "level": float(predicted.uns["sicmir"]["interval_level"]),
        "n_lines": len(lines),
        "n_judged": len(over_lines),
        "n_orders": len(orders),
        "n_others": len(orders) - 1,
        "between": float(place.loc["between", "true"]),
        "between_place": int(place.loc["between", "place"]),
        "between_others": float(place.loc["between", "others"]),
        "right": float(over_lines["right"].mean()),
        "guess": 1 / len(lines),
        "same": float(over_lines["highest"].value_counts(normalize=True).max()),
        "amplitude": float((over_lines["predicted_range"] / over_lines["range"]).median()),
        "over": float(over_lines["pearson"].median()),
        "within": float(agreement["spearman"].median()),
        "mean": float(agreement["training_mean"].median()),
        "partial": float(agreement["partial"].median()),
        "cells_enough": ENOUGH,
        "alone": at("droplets", 1, "abstained"),
        "r_alone": at("droplets", 1, "r"),
        "droplets": SYNTHETIC if reference.droplets.uns["sicmir"]["synthetic"] else MEASURED,
        "n_droplet_donors": int(reference.droplets.obs["donor"].nunique()),
        "half_cell_type": str(reference.half_cells.obs["cell_type"].iloc[0]),
        "abstained_enough": at("droplets", ENOUGH, "abstained"),
        "r_enough": at("droplets", ENOUGH, "r"),
        "n_droplet_groups": int(droplets[QUOTED]["group"].nunique()),
        "half_alone": at("half", 1, "r"),
        "r_tenth": at("thinned", 0.1, "r"),
        "abstained_tenth": at("thinned", 0.1, "abstained"),
        "r_genes": at("genes", 0.7, "r"),
    }
