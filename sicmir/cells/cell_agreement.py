"""How well predicted miRNA of cell types agrees with measured miRNA: over cell types, and between two."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from sicmir.donors.bootstrap import cluster_draws, cluster_members
from sicmir.donors.contrasts import effect_spearman
from sicmir.errors import DataError, ParameterError
from sicmir.metrics import matched, per_mirna

COMPARED = (
    *("cell_type_a", "cell_type_b", "source", "predictor", "n_mirnas", "n_clusters"),
    *("spearman", "lower", "upper", "gain", "gain_lower", "gain_upper"),
)
"""Columns of :func:`compare`."""

_MIN_CELL_TYPES = 4
_MIN_MIRNAS = 3


def over_cell_types(
    measured: pd.DataFrame, predicted: pd.DataFrame, source: Sequence[str] | pd.Series | None = None
) -> pd.DataFrame:
    """Correlation of each miRNA over cell types.

    Parameters
    ----------
    measured, predicted
        Cell types x miRNAs, both log2, matched by labels; NaN is left out. The level may differ.
    source
        Where the miRNA of each cell type was measured (``obs["source"]``); a Series is matched by its index.
        None takes all for one source.

    Returns
    -------
    DataFrame
        Index miRNA. ``n_cell_types``, ``pearson`` and ``spearman`` over all of them, which the protocols of
        several sources distort; ``pearson_within`` and ``spearman_within``, the mean over sources with at
        least 4 cell types (by Fisher's z, weights n - 3); ``n_sources`` behind ``pearson_within``. NaN as in
        :func:`sicmir.metrics.per_mirna`. With so few cell types, judge by the distribution over miRNAs alone.

    Raises
    ------
    DataError
        If labels do not agree, a value is infinite, or a source is missing.
    """
    labels = ["one source"] * len(measured) if source is None else source
    table = per_mirna(measured, predicted, labels, min_samples=_MIN_CELL_TYPES)
    table = table.rename(columns={"n": "n_cell_types", "n_cohorts": "n_sources"})
    return table.drop(columns="rmse")


def between_cell_types(
    measured: pd.DataFrame, predicted: pd.DataFrame, source: Sequence[str] | pd.Series | None = None
) -> pd.DataFrame:
    """Spearman correlation over miRNAs of the differences between two cell types, for each pair of a source.

    A difference is free of the means of the miRNAs and, within a source, of most of the protocol's bias.
    Guessing gives 0. Pairs that share a cell type are not independent of each other.

    Parameters
    ----------
    measured, predicted, source
        As for :func:`over_cell_types`.

    Returns
    -------
    DataFrame
        One row a pair: ``cell_type_a``, ``cell_type_b``, ``source``, ``n_mirnas`` with all four values,
        ``spearman`` (NaN for fewer than 3 miRNAs, or where a side has no difference, as between two cell
        types beside the same libraries).

    Raises
    ------
    DataError
        As :func:`over_cell_types`; if no source has two cell types.
    """
    labels = pd.Series("one source" if source is None else source, index=measured.index)
    x, y, _, codes = matched(measured, predicted, labels, "source")
    pairs = [pair for pair in combinations(range(len(x)), 2) if codes[pair[0]] == codes[pair[1]]]
    if not pairs:
        raise DataError(
            f"No source has two of the {len(x)} cell types, so there is no difference to compare."
        )
    rows = []
    for a, b in pairs:
        n = int(np.isfinite(x[a] - x[b]).sum())
        rho = effect_spearman(x[a] - x[b], y[a] - y[b]) if n else float("nan")
        rows.append((measured.index[a], measured.index[b], labels.iloc[a], n, rho))
    return pd.DataFrame(rows, columns=["cell_type_a", "cell_type_b", "source", "n_mirnas", "spearman"])


def compare(
    measured: pd.DataFrame,
    predicted: Mapping[str, pd.DataFrame],
    source: Sequence[str] | pd.Series | None = None,
    clusters: pd.Series | None = None,
    baseline: str = "",
    n_resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> pd.DataFrame:
    """Hold several predictions of the same cell types against measurement, with intervals.

    For each pair of cell types of a source, as :func:`between_cell_types`, on the same miRNAs. With one pool
    a cell type there are no samples to draw from: what is drawn with replacement are genomic clusters of
    miRNAs, whose members rise and fall together, the same for all predictors. The intervals say how far the
    figure depends on which miRNAs there are, and nothing of other donors.

    Parameters
    ----------
    measured
        Cell types × miRNAs, log2; NaN is left out.
    predicted
        Predictor -> the same cell types × miRNAs, in any unit: ranks of differences are compared. Only miRNAs
        of all predictors count.
    source
        As for :func:`over_cell_types`.
    clusters
        Cluster of each miRNA; "" or a miRNA that it does not list is a cluster of its own.
    baseline
        Predictor that the others are compared with; "" for none.
    n_resamples, level, seed
        Draws of clusters, level of the percentile intervals, seed.

    Returns
    -------
    DataFrame
        A row for each pair and predictor: ``cell_type_a, cell_type_b, source, predictor, n_mirnas,
        n_clusters, spearman, lower, upper``, and against the baseline ``gain, gain_lower, gain_upper`` (NaN
        for itself). Pairs beside the same libraries, which have no measured difference, are left out.

    Raises
    ------
    DataError
        If no source has two cell types, or a pair has fewer than 3 miRNAs.
    ParameterError
        If there is no such baseline, or ``level`` or ``n_resamples`` is out of range.
    """
    if baseline and baseline not in predicted:
        raise ParameterError(f"The baseline {baseline!r} should be one of {', '.join(predicted)}.")
    if not 0 < level < 1 or n_resamples < 1:
        raise ParameterError(f"Expected level in (0, 1) and n_resamples of 1 or more; found {level!r}.")
    names = [name for name in measured if all(name in table for table in predicted.values())]
    labels = pd.Series("one source" if source is None else source, index=measured.index)
    rng, tail, rows = np.random.default_rng(seed), 100 * (1 - level) / 2, []
    for a, b in combinations(measured.index, 2):
        if labels[a] != labels[b]:
            continue
        truth = (measured.loc[a, names] - measured.loc[b, names]).to_numpy(dtype=float)
        guesses = {
            name: (table.loc[a, names] - table.loc[b, names]).to_numpy(float)
            for name, table in predicted.items()
        }
        sides = np.stack([truth, *guesses.values()])
        known = np.isfinite(sides).all(axis=0)
        sides = sides[:, known]
        if not truth[known].any():
            continue
        if sides.shape[1] < _MIN_MIRNAS:
            raise DataError(f"{a} and {b}: {sides.shape[1]} miRNAs have all values; expected {_MIN_MIRNAS}.")
        members = cluster_members(np.asarray(names)[known], clusters)
        drawn = cluster_draws(members, n_resamples, rng)
        draws = np.stack([_spearman(sides[:, places]) for places in drawn])
        values = _spearman(sides)
        for place, name in enumerate(guesses):
            row = [a, b, labels[a], name, sides.shape[1], len(members), values[place]]
            row += np.nanpercentile(draws[:, place], [tail, 100 - tail]).tolist()
            gain = [np.nan] * 3
            if baseline and name != baseline:
                other = list(guesses).index(baseline)
                gain = [values[place] - values[other]]
                gain += np.nanpercentile(draws[:, place] - draws[:, other], [tail, 100 - tail]).tolist()
            rows.append((*row, *gain))
    if not rows:
        raise DataError(f"No source has two of the {len(measured)} cell types with a measured difference.")
    return pd.DataFrame(rows, columns=COMPARED)


def _spearman(sides: np.ndarray) -> np.ndarray:
    """Rank correlation of the first row with each other one; NaN where a row is constant."""
    ranks = rankdata(sides, axis=1)
    ranks -= ranks.mean(axis=1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        return ranks[1:] @ ranks[0] / np.sqrt(np.square(ranks[1:]).sum(axis=1) * np.square(ranks[0]).sum())
