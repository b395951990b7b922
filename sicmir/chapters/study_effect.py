"""How much of a difference between cell types is one between studies: pools of several studies compared."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy.stats import spearmanr

from sicmir.donors.counted_mirnas import counted_mirnas

HALVES = "one cell type, one study, halves at random"
SAME_TYPE = "one cell type, two studies"
SAME_STUDY = "two cell types, one study"
NEITHER = "two cell types, two studies"
KINDS = (HALVES, SAME_TYPE, SAME_STUDY, NEITHER)
"""Kinds of pairs of pools."""

COLUMNS = ("kind", "pool_a", "pool_b", "distance", "n_mirnas")
"""Columns of :func:`distances`."""


def distances(pools: AnnData, min_grade: str = "", halves: AnnData | None = None) -> pd.DataFrame:
    """How far apart the predictions of two pools lie, for each pair of them.

    Parameters
    ----------
    pools
        Pools × miRNAs, log2(RPM+1), none abstained; ``obs``: ``study, cell_type``. Several pools of one
        study and cell type are averaged.
    min_grade
        Worst grade that counts; "" for all.
    halves
        Pools of half of the cells each, as ``pools``, with ``half`` in ``obs``. A pool of half as many cells
        is noisier, so that these distances are more than chance alone makes of whole pools.

    Returns
    -------
    DataFrame
        :data:`COLUMNS`; ``distance`` is the root of the mean squared difference, log2.
    """
    counted, _ = counted_mirnas(pools, min_grade)
    values = pools.to_df().loc[:, counted]
    keys = [pools.obs[name].astype(str).to_numpy() for name in ("study", "cell_type")]
    means = values.groupby(keys).mean()
    rows = []
    for a, b in combinations(means.index, 2):
        kind = SAME_TYPE if a[1] == b[1] else SAME_STUDY if a[0] == b[0] else NEITHER
        distance = float(np.sqrt(np.square(means.loc[a] - means.loc[b]).mean()))
        rows.append((kind, *(f"{name[1]}, {name[0]}" for name in (a, b)), distance, int(counted.sum())))
    if halves is not None and halves.n_obs:
        names = values.columns
        keys = [halves.obs[name].astype(str).to_numpy() for name in ("study", "cell_type", "half")]
        parts = halves.to_df()[names].groupby(keys).mean()
        for (study, kind), part in parts.groupby(level=[0, 1]):
            if len(part) == 2:
                distance = float(np.sqrt(np.square(part.iloc[0] - part.iloc[1]).mean()))
                label = f"{kind}, {study}"
                rows.append((HALVES, label, label, distance, int(counted.sum())))
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    order = table["kind"].map({kind: place for place, kind in enumerate(KINDS)})
    return table.iloc[np.lexsort((table["distance"], order))].reset_index(drop=True)


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """Number, smallest, median and largest distance of each kind; without rows where there is one study."""
    found = table.groupby("kind", sort=False)["distance"]
    found = found.agg(n="size", least="min", median="median", most="max")
    return found.reset_index()


def same_rows(table: pd.DataFrame, other: pd.DataFrame, top: int = 20) -> pd.DataFrame:
    """How far the scores of crosstalk stay when a cell type is taken from another study.

    Parameters
    ----------
    table, other
        Of :class:`sicmir.vesicles.crosstalk.Crosstalk`, with the same names of cell types.
    top
        Rows of each pair that are looked at.

    Returns
    -------
    DataFrame
        A row for each sender and receiver: ``n_mirnas`` counted in both, ``spearman`` of their scores,
        ``top_kept``, the share of the first ``top`` miRNAs that stay there.
    """
    keys, rows = ["sender", "receiver", "mirna"], []
    both = table[table["counted"]].merge(other.loc[other["counted"], [*keys, "score"]], on=keys)
    for (sender, receiver), part in both.groupby(["sender", "receiver"], sort=True):
        n = min(top, len(part))
        first, second = (set(part.nlargest(n, name)["mirna"]) for name in ("score_x", "score_y"))
        rho = spearmanr(part["score_x"], part["score_y"]).statistic if len(part) > 2 else np.nan
        rows.append((sender, receiver, len(part), rho, len(first & second) / n))
    return pd.DataFrame(rows, columns=["sender", "receiver", "n_mirnas", "spearman", "top_kept"])
