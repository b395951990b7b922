"""The transform ``rank`` in single precision, for many rows."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from sicmir.learning.rescale import Rescale, gene_patterns

N_PATTERNS = 8
"""Patterns of measured genes whose quantiles are kept."""

_SIGN = np.int32(0x7FFFFFFF)


class FastRank:
    """What ``rescale.Rescale`` makes of rows by ``rank``, the same numbers for float32 input.

    Value and place of a gene are packed into one whole number, so that sorting numbers, which processors do
    eight at a time, orders the genes and settles ties.
    """

    def __init__(self, rescale: Rescale) -> None:
        self._rescale = rescale
        self._prepared = lru_cache(N_PATTERNS)(self._prepare)

    def transform(self, values: np.ndarray) -> np.ndarray:
        """Rows × genes in training units, float32; NaN where not measured or without a place.

        Parameters
        ----------
        values
            Rows × genes, float32, NaN where not measured, nothing infinite.
        """
        result = np.full(values.shape, np.nan, dtype=np.float32)
        for rows, seen in gene_patterns(~np.isnan(values) & (self._rescale.sd_ > 0)):
            genes, quantiles = self._prepared(seen.tobytes())
            block = values[np.ix_(rows, genes)]
            result[rows[:, None], genes[_order(block)]] = quantiles
            result[rows[block.min(axis=1) == block.max(axis=1)]] = np.nan
        return result

    def _prepare(self, key: bytes) -> tuple[np.ndarray, np.ndarray]:
        """Genes from the lowest to the highest mean in training, and the quantiles of their values."""
        genes = np.flatnonzero(np.frombuffer(key, dtype=bool))
        genes = genes[np.argsort(self._rescale.mean_[genes], kind="stable")]
        return genes, self._rescale.quantiles(genes).astype(np.float32)


def _order(values: np.ndarray) -> np.ndarray:
    """Positions that sort each row of float32 numbers, equal ones in the order they have."""
    # -0 becomes 0. As whole numbers, the bits of negative floats have the wrong order.
    bits = (values + np.float32(0)).view(np.int32)
    keys = (bits ^ ((bits >> 31) & _SIGN)).astype(np.int64)
    keys <<= 32
    keys |= np.arange(values.shape[1])
    keys.sort(axis=1)
    keys &= 0xFFFFFFFF
    return keys
