"""Tables of tested miRNAs: correction for many tests, what counts as a finding, families told together."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy.stats import false_discovery_control

from sicmir import panel
from sicmir.donors.counted_mirnas import counted_mirnas
from sicmir.errors import PanelError, ParameterError


def adjusted(p: np.ndarray | pd.Series) -> np.ndarray:
    """Benjamini–Hochberg q of all p that are not NaN (doi 10.1111/j.2517-6161.1995.tb02031.x); else NaN."""
    p = np.asarray(p, dtype=np.float64)
    q = np.full(len(p), np.nan)
    tested = np.isfinite(p)
    if tested.any():
        q[tested] = false_discovery_control(p[tested])
    return q


def check_fdr(fdr: float) -> None:
    """Refuse a false discovery rate outside (0, 1)."""
    if not 0 < fdr < 1:
        raise ParameterError(f"fdr should lie between 0 and 1; found {fdr!r}.")


def describe(mirna: AnnData, min_grade: str) -> pd.DataFrame:
    """What is known of miRNAs before any test: grade, whether it is too low, seed family, cluster.

    Parameters
    ----------
    mirna, min_grade
        As for :func:`sicmir.donors.counted_mirnas.counted_mirnas`.

    Returns
    -------
    DataFrame
        Index of ``mirna.var``; ``grade`` ("" without one), ``greyed`` (below ``min_grade``), ``family`` and
        ``cluster`` as in :func:`sicmir.panel.mirnas`, "" for none and for names that are not in miRBase v22.

    Raises
    ------
    DataError, ParameterError
        As for :func:`sicmir.donors.counted_mirnas.counted_mirnas`.
    PanelError
        If names of mature miRNAs and of stem-loops are mixed.
    """
    counted, grade = counted_mirnas(mirna, min_grade)
    var = mirna.var
    known = panel.mirnas().set_index("name").reindex(var.index)
    first = known["level"].dropna().drop_duplicates()
    if len(first) > 1:
        raise PanelError(
            f"Mature miRNAs and stem-loops are mixed ({', '.join(first.index)}): split the table."
        )
    return pd.DataFrame(
        {
            "grade": grade,
            "greyed": ~counted,
            "family": known["family"].fillna(""),
            "cluster": known["cluster"].fillna(""),
        },
        index=var.index,
    )


def with_findings(table: pd.DataFrame, facts: pd.DataFrame, fdr: float) -> pd.DataFrame:
    """Add the facts of :func:`describe`, ``q`` and ``finding`` to a table of ``mirna`` and ``p``.

    Greyed miRNAs keep their p, are no part of the correction, and are never a finding. Grades were fixed
    beforehand from other samples, so that leaving these out beforehand is no selection by the result.
    """
    table = table.join(facts, on="mirna").reset_index(drop=True)
    table["q"] = adjusted(table["p"].where(~table["greyed"]))
    table["finding"] = table["q"] <= fdr
    return table


def findings(result: pd.DataFrame, fdr: float = 0.05) -> pd.DataFrame:
    """Rows of a result that count at a false discovery rate, smallest q first.

    Parameters
    ----------
    result
        As :func:`sicmir.stats.differential`, :func:`sicmir.stats.markers` or
        :func:`sicmir.donors.survival.cox` give it.
    fdr
        Largest q.

    Returns
    -------
    DataFrame
        Rows that were tested, are not greyed and have q of at most ``fdr``.

    Raises
    ------
    ParameterError
        If ``fdr`` is out of range.

    Examples
    --------
    >>> from sicmir import stats
    >>> from sicmir.synthetic import toy_cells
    >>> cells = toy_cells.donor_cells(n_donors=12, n_cell_types=1, effect=2.0, n_changed=6, seed=1)
    >>> table = stats.differential(cells, "condition", "tumour", "normal")
    >>> len(stats.findings(table)), len(table)
    (6, 60)
    """
    check_fdr(fdr)
    chosen = result[result["tested"] & ~result["greyed"] & (result["q"] <= fdr)]
    return chosen.sort_values(["q", "p"], kind="stable").reset_index(drop=True)


def families(
    result: pd.DataFrame, by: Literal["cluster", "family"] = "cluster", fdr: float = 0.05
) -> pd.DataFrame:
    """Report miRNAs that are transcribed together, or share their seed, as one.

    The members of a genomic cluster come from one transcript and rise and fall together: six findings of one
    cluster are one observation. Clusters are only gathered here; no test is added and no p combined.

    Parameters
    ----------
    result
        As :func:`sicmir.stats.differential` or :func:`sicmir.stats.markers` give it.
    by
        ``"cluster"``, stem-loops within 10 kb, or ``"family"``, the same seed. A miRNA of several loci or
        seeds is a member of each; one of none is a row of its own.
    fdr
        Largest q of a finding.

    Returns
    -------
    DataFrame
        One row a cell type and cluster, smallest q first: ``cell_type``; ``cluster`` or ``family`` (the miRNA
        itself for a lone one); ``members`` (;-joined, those not greyed); ``n_members``,
        ``n_tested``, ``n_findings``; ``lead``, the miRNA of the smallest p, with its ``effect`` and ``p``;
        ``q``, the smallest one; ``direction`` of the effects of all members: "up", "down" or "mixed", ""
        where none has an effect.

    Raises
    ------
    ParameterError
        If ``by`` or ``fdr`` is out of range.

    Examples
    --------
    >>> from sicmir import stats
    >>> from sicmir.synthetic import toy_cells
    >>> names = ["hsa-miR-17-5p", "hsa-miR-18a-5p", "hsa-miR-19a-3p", "hsa-miR-21-5p"]
    >>> cells = toy_cells.donor_cells(n_donors=12, effect=2.0, n_changed=40, mirna_names=names, seed=1)
    >>> table = stats.differential(cells, "condition", "tumour", "normal", cell_type_key="cell_type")
    >>> stats.families(table, by="cluster").columns[:4].tolist()
    ['cell_type', 'cluster', 'members', 'n_members']
    """
    check_fdr(fdr)
    if by not in ("cluster", "family"):
        raise ParameterError(f"by should be 'cluster' or 'family'; found {by!r}.")
    table = result[~result["greyed"]].copy()
    table[by] = table[by].where(table[by] != "", table["mirna"]).str.split(";")
    rows = []
    for (cell_type, name), members in table.explode(by).groupby(["cell_type", by], sort=False):
        best = members.sort_values("p", kind="stable").iloc[0]
        signs = set(np.sign(members["effect"].dropna())) - {0.0}
        rows.append(
            {
                "cell_type": cell_type,
                by: name,
                "members": ";".join(members["mirna"]),
                "n_members": len(members),
                "n_tested": int(members["tested"].sum()),
                "n_findings": int((members["q"] <= fdr).sum()),
                "lead": best["mirna"],
                "effect": best["effect"],
                "p": best["p"],
                "q": members["q"].min(),
                "direction": {1.0: "up", -1.0: "down"}[signs.pop()]
                if len(signs) == 1
                else "mixed" * bool(signs),
            }
        )
    columns = ["cell_type", by, "members", "n_members", "n_tested", "n_findings", "lead", "effect", "p", "q"]
    found = pd.DataFrame(rows, columns=[*columns, "direction"])
    return found.sort_values(["q", "p"], kind="stable").reset_index(drop=True)
