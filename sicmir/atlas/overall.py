"""The agreement with measurement over all pairs of cell types: how sure it is, and what chance gives.

A few cell types make many pairs, which are not independent. Cell types are therefore what is drawn, all pairs
of a cell type with it (Snijders & Borgatti 1999, Connections 22: 161), and with them the donors of each data
set. Chance is what the same predictions give when the names of the cell types are exchanged, never from one
data set to another: what the cells of a data set have in common, a tissue or a protocol, would otherwise be
taken for knowledge of its cell types. Pairs of one data set and pairs that cross data sets are told apart,
since the latter hold that difference as well, and chance alone shows how much of their agreement it makes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, combinations, permutations, product

import anndata as ad
import numpy as np
import pandas as pd
from scipy.stats import rankdata

from sicmir.atlas.agreement import ACROSS, LARGE, WITHIN, judged_mirnas

COLUMNS = (
    *("pairs", "figure", "value", "lower", "upper", "chance", "chance_lower", "chance_upper", "p"),
    *("n_pairs", "n_types", "n_sources", "n_namings"),
)
"""Columns of :func:`overall`."""

SCOPES = {WITHIN: ["source", "dataset"], ACROSS: ["source"]}
"""Which pairs of a source are told of, and of what the cell types are that are compared with each other."""


@dataclass(frozen=True, eq=False)
class _Group:
    """Cell types that are compared with each other, of the miRNAs that are judged.

    Attributes
    ----------
    source
        Of the measurement.
    known
        Cell types × miRNAs, measured.
    values
        Predictions, a row for each donor and cell type.
    dataset
        Of each cell type.
    place, donor
        Cell type of each row of ``values``; donor, numbered over all groups.
    a, b
        Cell types of each pair of the scope whose measured miRNAs differ.
    ranks
        Pairs × miRNAs: ranks of the measured differences, less their mean, of length 1.
    sign
        Pairs × miRNAs: sign of the measured differences that are large, else 0.
    """

    source: str
    known: np.ndarray
    values: np.ndarray
    dataset: np.ndarray
    place: np.ndarray
    donor: np.ndarray
    a: np.ndarray
    b: np.ndarray
    ranks: np.ndarray
    sign: np.ndarray

    def predicted(self, weight: np.ndarray) -> np.ndarray:
        """Mean over donors of each cell type, by the weight of each donor; NaN for none."""
        by_type = np.zeros((len(self.known), len(self.place)))
        by_type[self.place, np.arange(len(self.place))] = weight[self.donor]
        total = by_type.sum(axis=1, keepdims=True)
        share = np.divide(by_type, total, out=np.full(by_type.shape, np.nan), where=total > 0)
        return share @ self.values


def overall(
    measured: ad.AnnData, donors: pd.DataFrame, n_resamples: int = 500, seed: int = 0
) -> pd.DataFrame:
    """Median correlation of differences over pairs of cell types, and share of right signs.

    Parameters
    ----------
    measured, donors
        As :func:`sicmir.atlas.agreement.measured_types` and :func:`~sicmir.atlas.agreement.predicted_donors`
        give them.
    n_resamples
        Draws of cell types and donors; most ways to name the cell types that are tried.
    seed
        Of the draws.

    Returns
    -------
    DataFrame
        For ``pairs`` as :data:`SCOPES` has them, and ``figure``, ``spearman`` (median over ``n_pairs`` pairs)
        or ``same_sign`` (share over all pairs of the measured differences of a factor of two or more that are
        predicted with their sign): its ``value``; ``lower, upper``, its 95 % percentile interval when
        ``n_types`` cell types within each of ``n_sources`` sources, for pairs of one data set within each
        data set of a source, and the donors of each data set are drawn with replacement; ``chance`` with
        ``chance_lower, chance_upper``, the median and the middle 95 % over ``n_namings`` ways to exchange the
        names of the cell types of a source and data set, all of them where they are no more than
        ``n_resamples``; ``p``, the share of these that reach ``value``, the true one among them. Intervals of
        few cell types are rather too narrow, and speak of cell types like these, in these data sets. No rows
        where there are no such pairs.
    """
    of = measured.obs.loc[donors.index.get_level_values(0)]
    codes, units = pd.factorize(of["dataset"].astype(str).to_numpy() + "|" + donors.index.get_level_values(1))
    datasets = [unit.partition("|")[0] for unit in units]
    rows: list[tuple[object, ...]] = []
    for scope, keys in SCOPES.items():
        groups = _groups(measured, donors, codes, keys, across=scope == ACROSS)
        if not groups:
            continue
        rng = np.random.default_rng(seed)
        whole = [group.predicted(np.ones(len(units))) for group in groups]
        once = [np.ones(len(group.known), dtype=int) for group in groups]
        value = _figures(groups, whole, once)
        drawn = np.array([_drawn(groups, datasets, rng) for _ in range(n_resamples)])
        named = np.array(
            [
                _figures(groups, [part[order] for part, order in zip(whole, orders, strict=True)], once)
                for orders in _namings(groups, n_resamples, rng)
            ]
        )
        sizes = np.array([(len(group.a), len(group.known)) for group in groups]).sum(axis=0)
        counts = (*map(int, sizes), len({group.source for group in groups}), len(named))
        for place, figure in enumerate(("spearman", "same_sign")):
            limits = np.nanpercentile(drawn[:, place], [2.5, 97.5])
            chance = np.nanpercentile(named[:, place], [50, 2.5, 97.5])
            p = np.mean(named[:, place] >= value[place] - 1e-12)
            rows.append((scope, figure, value[place], *limits, *chance, p, *counts))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _groups(
    measured: ad.AnnData, donors: pd.DataFrame, codes: np.ndarray, keys: list[str], across: bool
) -> list[_Group]:
    """Cell types that are compared with each other; those that stand alone are left out."""
    obs = measured.obs.loc[donors.index.unique(0)]
    found = []
    for _, own in obs.groupby(keys, sort=True, observed=True):
        source = str(own["source"].iloc[0])
        judged = judged_mirnas(measured[obs.index[(obs["source"] == source).to_numpy()]].to_df())
        known = measured[own.index].to_df()[judged].to_numpy(dtype=np.float64)
        dataset = own["dataset"].astype(str).to_numpy()
        pairs = [
            (a, b)
            for a, b in combinations(range(len(known)), 2)
            if (known[a] != known[b]).any() and (dataset[a] != dataset[b]) == across
        ]
        if not pairs:
            continue
        a, b = np.array(pairs).T
        difference = known[a] - known[b]
        rows = np.flatnonzero(donors.index.get_level_values(0).isin(own.index))
        place = own.index.get_indexer(donors.index.get_level_values(0)[rows])
        values = donors[judged].to_numpy(dtype=np.float64)[rows]
        sign = np.sign(difference) * (np.abs(difference) >= LARGE)
        ranks = _unit_ranks(difference)
        found.append(_Group(source, known, values, dataset, place, codes[rows], a, b, ranks, sign))
    return found


def _figures(
    groups: Sequence[_Group], predicted: Sequence[np.ndarray], times: Sequence[np.ndarray]
) -> tuple[float, float]:
    """Median correlation over pairs and share of right signs, of cell types taken so many times, or NaN."""
    rho, weight, right, large = [], [], 0.0, 0.0
    for group, values, n in zip(groups, predicted, times, strict=True):
        difference = values[group.a] - values[group.b]
        n_pair = n[group.a] * n[group.b] * np.isfinite(difference).all(axis=1)
        kept = n_pair > 0
        n_pair, difference = n_pair[kept], difference[kept]
        rho.append((group.ranks[kept] * _unit_ranks(difference)).sum(axis=1))
        weight.append(n_pair)
        sign = group.sign[kept]
        right += n_pair @ ((sign != 0) & (np.sign(difference) == sign)).sum(axis=1)
        large += n_pair @ (sign != 0).sum(axis=1)
    every = np.repeat(np.concatenate(rho), np.concatenate(weight))
    every = every[np.isfinite(every)]
    return (
        float(np.median(every)) if len(every) else float("nan"),
        float(right / large) if large else float("nan"),
    )


def _drawn(
    groups: Sequence[_Group], datasets: Sequence[str], rng: np.random.Generator
) -> tuple[float, float]:
    """Figures of cell types, and of donors of each data set, drawn with replacement."""
    names = np.array(datasets)
    weight = np.zeros(len(names))
    for dataset in np.unique(names):
        own = np.flatnonzero(names == dataset)
        weight[own] = np.bincount(rng.integers(len(own), size=len(own)), minlength=len(own))
    sizes = [len(group.known) for group in groups]
    times = [np.bincount(rng.integers(n, size=n), minlength=n) for n in sizes]
    return _figures(groups, [group.predicted(weight) for group in groups], times)


def _namings(groups: Sequence[_Group], most: int, rng: np.random.Generator) -> Iterator[list[np.ndarray]]:
    """Ways to exchange the names of cell types within data sets: all, or as many as wanted at random.

    The true one is the first.
    """
    parts = [
        (place, np.flatnonzero(group.dataset == dataset))
        for place, group in enumerate(groups)
        for dataset in np.unique(group.dataset)
    ]
    own: list[Sequence[int] | np.ndarray] = [members for _, members in parts]
    if math.prod(math.factorial(len(members)) for members in own) <= most:
        ways: Iterator[Sequence[Sequence[int] | np.ndarray]] = product(*map(permutations, own))
    else:
        ways = chain([own], ([rng.permutation(members) for members in own] for _ in range(most - 1)))
    for way in ways:
        orders = [np.arange(len(group.known)) for group in groups]
        for (place, members), order in zip(parts, way, strict=True):
            orders[place][members] = order
        yield orders


def _unit_ranks(difference: np.ndarray) -> np.ndarray:
    """Ranks along each row, less their mean, of length 1, so that products of two sum to Spearman's rho."""
    ranks = rankdata(difference, axis=1)
    ranks -= ranks.mean(axis=1, keepdims=True)
    length = np.sqrt((ranks**2).sum(axis=1, keepdims=True))
    return np.divide(ranks, length, out=np.full(ranks.shape, np.nan), where=length > 0)
