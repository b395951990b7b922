"""Differences between cell types and between conditions, by whatever donors and labels the cells have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from sicmir import stats
from sicmir.donors import few_donors
from sicmir.publishing import markup

MARKERS = (
    *("cell_type", "mirna", "effect", "lower", "upper", "q", "n_case", "lower_total", "upper_total"),
    *("exceeds_error", "tested", "finding", "greyed", "grade", "cluster"),
)
"""Columns of markers that a page uses."""

CONDITIONS = (*few_donors.COLUMNS, "design", "tested", "q", "finding", "exceeds_error")
"""Columns of a comparison of conditions."""

_NUMBERS = ("effect", "lower", "upper", "lower_total", "upper_total", "q", "rank", "chance")
_FLAGS = ("separated", "tested", "finding", "greyed", "exceeds_error")


def comparable(kept: AnnData) -> AnnData:
    """Pools by which the cell types of a donor can be compared without comparing conditions as well.

    A donor with several conditions speaks through the cell types that have all of these; if there are fewer
    than two such types, through the condition with most types (of equal ones the first by name).

    Parameters
    ----------
    kept
        Predicted pools; ``obs``: ``donor``, ``cell_type`` and ``condition``.
    """
    labels = kept.obs[["donor", "cell_type", "condition"]].astype(str)
    chosen = pd.Series(False, labels.index)
    for _, part in labels.groupby("donor"):
        conditions = part.groupby("cell_type")["condition"].nunique()
        whole = conditions.index[conditions == part["condition"].nunique()]
        most = part["condition"].value_counts().sort_index().idxmax()
        inside = part["cell_type"].isin(whole) if len(whole) > 1 else part["condition"] == most
        chosen[part.index[inside]] = True
    return kept[chosen.to_numpy()].copy()


def markers(kept: AnnData, fdr: float = 0.05, min_grade: str = "B") -> pd.DataFrame:
    """Each cell type against the others of the same donors (:func:`sicmir.stats.markers`).

    Parameters
    ----------
    kept
        As :func:`comparable` gives them.
    fdr, min_grade
        As for :func:`sicmir.stats.markers`.

    Returns
    -------
    DataFrame
        The columns :data:`MARKERS`; no rows where no donor has two cell types.
    """
    types = kept.obs.groupby(kept.obs["donor"].astype(str))["cell_type"].nunique()
    if not (types > 1).any():
        return _empty(MARKERS)
    return stats.markers(kept, fdr=fdr, min_grade=min_grade)[list(MARKERS)]


def counted(chosen: AnnData, kept: AnnData, table: pd.DataFrame) -> str:
    """Say which of the pools that were predicted speak in a ``table`` of :func:`markers`."""
    if table.empty:
        return "No donor has two cell types that can be compared: nothing can mark one of them."
    donors = chosen.obs["donor"].nunique()
    return f"{chosen.n_obs} of {kept.n_obs} predicted pools are compared, of {donors} donors."


def between_conditions(
    kept: AnnData, case: str, reference: str, min_grade: str = "B", fdr: float = 0.05
) -> pd.DataFrame:
    """Two conditions in each cell type that both have: tested where donors suffice, else ranked.

    Parameters
    ----------
    kept
        Predicted pools; ``obs``: ``donor``, ``cell_type`` and ``condition``.
    case, reference
        The two conditions.
    min_grade, fdr
        As for :func:`sicmir.stats.differential`.

    Returns
    -------
    DataFrame
        The columns :data:`CONDITIONS`. Cell types in which :func:`sicmir.stats.differential` tests some miRNA
        have its limits, a 95 % confidence interval over donors; of the others, those in which no donor has
        both conditions have the range over pairs of donors (:func:`sicmir.donors.few_donors.donor_pairs`),
        and those in which some have, no limits. No rows where no cell type has both conditions.
    """
    labels = kept.obs[["cell_type", "donor", "condition"]].astype(str)
    labels = labels[labels["condition"].isin([case, reference])]
    conditions = labels.groupby("cell_type")["condition"].nunique()
    shared = conditions.index[conditions > 1]
    if shared.empty:
        return _empty(CONDITIONS)
    pools = kept[kept.obs["cell_type"].astype(str).isin(shared).to_numpy()]
    table = stats.differential(
        pools, "condition", case, reference, cell_type_key="cell_type", fdr=fdr, min_grade=min_grade
    )
    table = table.assign(separated=False, chance=np.nan)
    parts = []
    for name, part in table.groupby("cell_type", sort=True):
        own = pools[(pools.obs["cell_type"].astype(str) == name).to_numpy()]
        if not part["tested"].any() and part["design"].eq("unpaired").all():
            pairs = few_donors.donor_pairs(own, case, reference, min_grade=min_grade)
            part = pairs.assign(design="unpaired", tested=False, finding=False, exceeds_error=False)
        size = part["effect"].abs().where(~part["greyed"].astype(bool))
        parts.append(part.assign(rank=size.rank(ascending=False, method="min")))
    found = pd.concat(parts, ignore_index=True).reindex(columns=list(CONDITIONS))
    found = found.astype(dict.fromkeys(set(_FLAGS) & set(CONDITIONS), bool))
    return found.sort_values(["cell_type", "rank"], kind="stable").reset_index(drop=True)


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """What :func:`between_conditions` found, by cell type, of miRNAs that are not greyed.

    Returns
    -------
    DataFrame
        ``cell_type, n_case, n_reference`` (donors), ``design, n_mirnas, tested, findings``; and where all
        pairs of donors are shown, the ``share`` of miRNAs that separate the donors, and that of ``chance``
        (:func:`sicmir.donors.few_donors.separation`).
    """
    counted = table[~table["greyed"]]
    found = counted.groupby("cell_type", sort=True).agg(
        n_case=("n_case", "max"),
        n_reference=("n_reference", "max"),
        design=("design", "first"),
        n_mirnas=("mirna", "size"),
        tested=("tested", "any"),
        findings=("finding", "sum"),
    )
    pairs = few_donors.separation(counted[counted["chance"].notna()]).set_index("cell_type")
    return found.join(pairs[["share", "chance"]]).reset_index()


def told(table: pd.DataFrame, case: str, reference: str, fdr: float = 0.05) -> str:
    """Say in words what :func:`between_conditions` could do with its ``table``, and what it found."""
    if table.empty:
        return f"No cell type was predicted in both {case} and {reference}, so that nothing is compared."
    rows = summary(table)
    sentences = [
        f"In {row.cell_type} ({_donors(row)}), {row.findings} of {row.n_mirnas} miRNAs differ at a false "
        f"discovery rate of {fdr:g}."
        for row in rows[rows["tested"]].itertuples()
    ]
    few = rows[~rows["tested"]]
    if len(few):
        which = "any cell type" if len(few) == len(rows) else ", ".join(few["cell_type"])
        sentences.append(f"Donors are too few for a test in {which}.")
    pairs = few[few["chance"].notna()]
    if len(pairs):
        # The comparison with most donors on its smaller side, then in all.
        sizes = pairs.assign(least=pairs[["n_case", "n_reference"]].min(axis=1))
        sizes["all"] = sizes["n_case"] + sizes["n_reference"]
        row = next(sizes.sort_values(["least", "all"], ascending=False, kind="stable").itertuples())
        sentences.append(
            f"In {row.cell_type} ({_donors(row)}), {markup.percent(row.share)} of the miRNAs separate the "
            f"donors of the two conditions, where chance alone separates {markup.percent(row.chance)}."
        )
    return " ".join(sentences)


def _donors(row: Any) -> str:
    """Donors of a row of :func:`summary`, in words."""
    if row.design == "paired":
        return f"{row.n_case} donors with both"
    return f"{row.n_case} against {row.n_reference} donors"


def _empty(columns: Sequence[str]) -> pd.DataFrame:
    kinds = dict.fromkeys(_NUMBERS, np.float64) | dict.fromkeys(_FLAGS, bool)
    table = pd.DataFrame(columns=list(columns))
    return table.astype({name: kind for name, kind in kinds.items() if name in table})
