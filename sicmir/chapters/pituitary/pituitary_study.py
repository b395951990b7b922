"""The study of the chapter on the pituitary: profiles of cell types, their differences, animals, claims."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import pandas as pd
from anndata import AnnData

from sicmir import stats
from sicmir.cells import cell_quality
from sicmir.chapters import claims
from sicmir.chapters.pancreas import tumour_study
from sicmir.chapters.pituitary import low_coverage, pituitary_sets
from sicmir.chapters.pituitary.pituitary_sets import Animals
from sicmir.errors import ParameterError
from sicmir.matrices.normalise import TransformChoice
from sicmir.matrices.units import recognise
from sicmir.model import Bundle
from sicmir.pseudobulk import pseudobulk

PAGE = "32_pituitary"
_OTHERS = "other lineages"
TUMOUR, TISSUE = "corticotroph tumour against normal pituitary", "pituitary against other tissues"
"""Contrasts of the claims: one that needs predictions, and one that is measured in tissues."""

ABOUT = {TUMOUR: ("corticotroph", "tumour", "normal"), TISSUE: ("brain__pituitary_gland",)}
"""What a run has to compare for each of them: cell type and conditions, or the tissue."""

MARKERS = ("cell_type", "mirna", "effect", "lower", "upper", "q", "n_case", "grade", "greyed", "finding")
"""Columns of :func:`markers` that are there even if nothing was predicted."""


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
        A row a donor (:func:`sicmir.cells.cell_quality.table`), with the number of cells that got a name; one
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
    """One row for each donor and cell type: counts summed up, or linear values averaged.

    Where a donor has cells of several conditions, as of a tumour and the gland beside it, one row for each.
    """
    if are_profiles(cells):
        return cells
    several = cells.obs.groupby("donor", observed=True)["condition"].nunique().max() > 1
    by = ("donor", "condition", "cell_type") if several else ("donor", "cell_type")
    mode: Literal["sum", "mean"] = "sum" if recognise(cells, layer=layer).units == "counts" else "mean"
    return pseudobulk(cells, by, layer=layer, min_cells=min_cells, mode=mode)


def predict(pools: AnnData, bundle: Bundle, transform: TransformChoice = "auto") -> tuple[AnnData, AnnData]:
    """Predict profiles (:func:`sicmir.chapters.pituitary.low_coverage.abstaining`).

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


def markers(kept: AnnData, case: str, min_grade: str = "B", fdr: float = 0.05) -> pd.DataFrame:
    """What marks each cell type among those of the same donor (:func:`sicmir.stats.markers`).

    Where donors have several conditions, of the condition ``case`` alone. Without rows where no donor has two
    cell types.
    """
    rows = _of_case(kept, case)
    types = rows.obs.groupby("donor", observed=True)["cell_type"].nunique()
    if types.max() < 2 or types.empty:
        return pd.DataFrame(columns=list(MARKERS)).astype({"greyed": bool, "finding": bool})
    return stats.markers(rows, fdr=fdr, min_grade=min_grade)


def against_lineages(
    kept: AnnData, cell_type: str, others: str, case: str, min_grade: str = "B", fdr: float = 0.05
) -> pd.DataFrame:
    """Difference of one cell type from other lineages over donors, since a tumour mostly has one lineage.

    Parameters
    ----------
    kept
        Predicted profiles.
    cell_type
        That is asked about.
    others
        Comma-separated cell types; "" for the other
        :data:`~sicmir.chapters.pituitary.pituitary_sets.LINEAGES`, or for all other types where ``cell_type``
        is none of them.
    case
        Condition that is looked at where donors have several.
    min_grade, fdr
        As for :func:`sicmir.stats.differential`.

    Returns
    -------
    DataFrame
        As of :func:`sicmir.stats.differential`; effects are NaN where one side was not predicted.

    Raises
    ------
    ParameterError
        If a cell type of ``others`` is not among the profiles.
    """
    there = set(kept.obs["cell_type"].astype(str))
    wanted = [name.strip() for name in others.split(",") if name.strip()]
    absent = [name for name in wanted if name not in there]
    if absent and kept.n_obs:
        raise ParameterError(f"other_lineages names {absent[0]!r}; predicted are {', '.join(sorted(there))}.")
    known = pituitary_sets.LINEAGES
    chosen = set(wanted) or (set(known) if cell_type in known else there)
    rows = _of_case(kept, case)
    label = rows.obs["cell_type"].astype(str)
    rows = rows[label.isin({cell_type, *chosen}).to_numpy()].copy()
    rows.obs["lineage"] = np.where(rows.obs["cell_type"].astype(str) == cell_type, cell_type, _OTHERS)
    return _differences(rows, "lineage", cell_type, _OTHERS, min_grade, fdr)


def tumour_against_normal(
    kept: AnnData, cell_type: str, case: str, reference: str, min_grade: str = "B", fdr: float = 0.05
) -> pd.DataFrame:
    """Difference of two conditions within one cell type; effects are NaN where one of them is not there.

    With fewer than 3 donors in a condition there is an effect and a rank, and no interval.
    """
    rows = kept[(kept.obs["cell_type"].astype(str) == cell_type).to_numpy()].copy()
    return _differences(rows, "condition", case, reference, min_grade, fdr)


def _of_case(kept: AnnData, case: str) -> AnnData:
    """Profiles of one condition where a donor has several, else all."""
    conditions = kept.obs.groupby("donor", observed=True)["condition"].nunique()
    if conditions.empty or conditions.max() < 2:
        return kept
    return kept[(kept.obs["condition"].astype(str) == case).to_numpy()].copy()


def _differences(
    rows: AnnData, key: str, case: str, reference: str, min_grade: str, fdr: float
) -> pd.DataFrame:
    """Tested differences of two labels; effects are NaN where one of them is not there."""
    if {case, reference} <= set(rows.obs[key].astype(str)):
        return stats.differential(rows, key, case, reference, fdr=fdr, min_grade=min_grade)
    table = pd.DataFrame({"mirna": rows.var_names, "grade": rows.var["grade"].astype(str).to_numpy()})
    return table.assign(**dict.fromkeys(("effect", *tumour_study.LIMITS), np.nan))


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
    conditions: pd.DataFrame,
    tissues: pd.DataFrame,
    min_grade: str,
    compared: tuple[str, str, str],
    tissue: str,
    page: str = PAGE,
) -> pd.DataFrame:
    """Every claim of the page beside what was found (:func:`sicmir.chapters.claims.judge`).

    A claim is judged by what it is about (:data:`ABOUT`) alone: by other cell types, conditions or tissues
    nothing can be told of it.

    Parameters
    ----------
    conditions
        As :func:`tumour_against_normal` gives it, predicted.
    tissues
        As :func:`sicmir.chapters.pituitary.cross_species.tissue_contrast` gives it: measured in man.
    compared
        Cell type, case and reference of ``conditions``.
    tissue
        Tissue of ``tissues``.
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
        asked = (tissue,) if measured else tuple(compared)
        if asked == ABOUT[str(contrast)]:
            parts.append(claims.judge(rows, effects, "" if measured else min_grade, limits))
            continue
        unknown = claims.judge(rows, effects.iloc[:0].assign(grade=""), "", limits)
        parts.append(unknown.assign(reason=f"the run compares {', '.join(asked)}"))
    return pd.concat(parts, ignore_index=True)


def effects(
    animals: Animals, predicted: AnnData, contrast: Mapping[str, Any], fdr: float, min_grade: str
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
