"""The study of the chapter on the pituitary: profiles of cell types, their differences, animals, claims."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from anndata import AnnData

from sicmir import cell_quality, claims, low_coverage, pituitary_sets, stats, tumour_study
from sicmir.errors import ParameterError
from sicmir.model import Bundle
from sicmir.pituitary_sets import Animals
from sicmir.pseudobulk import pseudobulk
from sicmir.units import recognise

PAGE = "32_pituitary"
TUMOUR, TISSUE = "corticotroph tumour against normal pituitary", "pituitary against other tissues"
"""Contrasts of the claims: one that needs predictions, and one that is measured in tissues."""

MARKERS = ("cell_type", "mirna", "effect", "lower", "upper", "q", "n_case", "grade", "greyed", "finding")
"""Columns of :func:`lineages` that are there even if nothing was predicted."""


def are_profiles(cells: AnnData) -> bool:
    """Whether each row is a cell type of a donor already, and no cell."""
    labels = [name for name in ("donor", "cell_type") if name in cells.obs]
    return len(labels) == 2 and not cells.obs.duplicated(labels).any()


def name_cells(
    cells: AnnData, rule: cell_quality.Rule, resolution: float = 1.5, seed: int = 0, layer: str = ""
) -> tuple[AnnData, pd.DataFrame]:
    """Give cells without a ``cell_type`` one: quality control, clusters, markers, as for pancreatic tumours.

    Parameters
    ----------
    cells
        Cells × genes. Those that have a ``cell_type`` are returned as they are.
    rule
        What a barcode must reach.
    resolution, seed
        Of the clusters.
    layer
        Layer of the counts, "" to find it.

    Returns
    -------
    named
        Cells with ``cell_type``.
    steps
        A row a donor (:func:`sicmir.cell_quality.table`), with the number of cells that got a name; one
        line of text where nothing had to be named.
    """
    if "cell_type" in cells.obs:
        return cells, pd.DataFrame({"cell types": ["as they came with the data"]})
    good, _, quality = tumour_study.quality_control(cells, rule, layer)
    named, _, _ = tumour_study.annotate(good, pituitary_sets.markers_for(cells, seed), resolution, seed)
    known = named.obs["cell_type"].astype(str) != tumour_study.cell_annotation.UNASSIGNED
    counts = known.groupby(named.obs["donor"].astype(str)).sum()
    return named[known.to_numpy()].copy(), quality.assign(named=quality["donor"].map(counts).to_numpy())


def profiles(cells: AnnData, min_cells: int = 10, layer: str = "") -> AnnData:
    """One row for each donor and cell type: counts summed up, or linear values averaged."""
    if are_profiles(cells):
        return cells
    mode = "sum" if recognise(cells, layer=layer).units == "counts" else "mean"
    return pseudobulk(cells, ("donor", "cell_type"), layer=layer, min_cells=min_cells, mode=mode)


def predict(pools: AnnData, bundle: Bundle, transform: str = "auto") -> tuple[AnnData, AnnData]:
    """Predict profiles (:func:`sicmir.low_coverage.abstaining`).

    Returns
    -------
    predicted
        Profiles × miRNAs, NaN where abstained.
    kept
        Those that were not.
    """
    key = tumour_study.gene_key(pools)
    predicted = low_coverage.abstaining(pools, bundle, transform=transform, gene_key=key)
    return predicted, predicted[~predicted.obs["abstained"].to_numpy()].copy()


def lineages(kept: AnnData, min_grade: str = "B", fdr: float = 0.05) -> pd.DataFrame:
    """What marks each cell type (:func:`sicmir.stats.markers`); without rows for fewer than two types."""
    if kept.n_obs == 0 or kept.obs["cell_type"].nunique() < 2:
        return pd.DataFrame(columns=list(MARKERS)).astype({"greyed": bool, "finding": bool})
    return stats.markers(kept, fdr=fdr, min_grade=min_grade)


def tumour_against_normal(
    kept: AnnData, cell_type: str, case: str, reference: str, min_grade: str = "B", fdr: float = 0.05
) -> pd.DataFrame:
    """Difference of two conditions within one cell type; effects are NaN where one of them is not there.

    With fewer than 3 donors in a condition there is an effect and a rank, and no interval.
    """
    rows = kept[(kept.obs["cell_type"].astype(str) == cell_type).to_numpy()].copy()
    there = set(rows.obs["condition"].astype(str)) if rows.n_obs else set()
    if not {case, reference} <= there:
        grade = kept.var["grade"].astype(str).to_numpy()
        table = pd.DataFrame({"mirna": kept.var_names, "grade": grade})
        return table.assign(**dict.fromkeys(("effect", *tumour_study.LIMITS), np.nan))
    return stats.differential(rows, "condition", case, reference, fdr=fdr, min_grade=min_grade)


def case_type(pools: AnnData, wanted: str = "") -> str:
    """Cell type that the page asks about: the one named, else corticotrophs, else the first there is.

    Raises
    ------
    ParameterError
        If the one named is not there.
    """
    there = sorted(pools.obs["cell_type"].astype(str).unique())
    if wanted and wanted not in there:
        raise ParameterError(f"case_type={wanted!r}: expected one of {', '.join(there)}.")
    return wanted or ("corticotroph" if "corticotroph" in there else there[0])


def literature(
    conditions: pd.DataFrame, tissues: pd.DataFrame, min_grade: str, page: str = PAGE
) -> pd.DataFrame:
    """Every claim of the page beside what was found (:func:`sicmir.claims.judge`).

    Parameters
    ----------
    conditions
        As :func:`tumour_against_normal` gives it: predicted, of corticotrophs.
    tissues
        As :func:`sicmir.cross_species.tissue_contrast` gives it: measured in man.
    min_grade
        Worst grade of predictions that may speak.
    page
        Page of the claims.
    """
    parts = []
    for contrast, rows in claims.load(page).groupby("contrast", sort=False):
        measured = contrast == TISSUE
        effects = tissues if measured else conditions
        limits = (
            ("lower", "upper") if measured or tumour_study.LIMITS[0] not in effects else tumour_study.LIMITS
        )
        parts.append(claims.judge(rows, effects, "" if measured else min_grade, limits))
    return pd.concat(parts, ignore_index=True)


def effects(
    animals: Animals, predicted: AnnData, contrast: Mapping[str, str], fdr: float, min_grade: str
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Differences between animals, tested as measured and as predicted, the other label as a covariate.

    Returns
    -------
    measured, predicted
        As :func:`sicmir.stats.differential` gives them.
    """
    others = [name for name in ("age", "sex") if name != contrast["condition_key"]]
    measured = stats.differential(animals.mirna, **contrast, covariates=others, fdr=fdr, min_grade="")
    guessed = stats.differential(predicted, **contrast, covariates=others, fdr=fdr, min_grade=min_grade)
    return measured, guessed


def planted_ages(animals: Animals, measured: pd.DataFrame, guessed: pd.DataFrame) -> pd.DataFrame:
    """Planted differences of toy animals beside those found; without rows for animals that were measured.

    Returns
    -------
    DataFrame
        A row a miRNA: ``mirna, kind, planted, measured, predicted, grade``.
    """
    if "truth" not in animals.mirna.uns:
        return pd.DataFrame(columns=["mirna", "kind", "planted", "measured", "predicted", "grade"])
    truth = animals.mirna.uns["truth"]["mirnas"]
    # The toy tells the change from its first condition, the old animals, to its second.
    table = truth[["kind"]].assign(planted=-truth["effect"])
    table["measured"] = measured.set_index("mirna")["effect"]
    table["predicted"], table["grade"] = (guessed.set_index("mirna")[name] for name in ("effect", "grade"))
    return table.dropna(subset=["measured", "predicted"]).rename_axis("mirna").reset_index()
