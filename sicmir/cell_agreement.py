"""How well predicted miRNA of cell types agrees with measured miRNA: over cell types, and between two."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pandas as pd

from sicmir.contrasts import effect_spearman
from sicmir.errors import DataError
from sicmir.metrics import matched, per_mirna

_MIN_CELL_TYPES = 4


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
