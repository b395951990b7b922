"""Partial Pearson correlation of all columns of one matrix with all columns of another, by products."""

from __future__ import annotations

import numpy as np
from scipy import stats

from sicmir.metrics import R_LIMIT

MIN_DF = 5
"""Fewest residual degrees of freedom of a partial correlation."""

FLAT = 1e-6
"""A residual whose size is below this share of the values is rounding error: the column is constant."""


def partial_correlation(
    x: np.ndarray, y: np.ndarray, design: np.ndarray, counts: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Pearson correlation of what least squares on the design leaves of both sides.

    Columns of ``x`` that have values in the same rows are taken together, so that gaps cost one matrix
    product for each kind of gap and not one for each pair.

    Parameters
    ----------
    x
        Rows × columns, NaN where not measured.
    y
        Rows × columns, finite.
    design
        Rows × columns, of any rank, an intercept or group indicators among them.
    counts
        How often each row counts, as of a bootstrap; None: once.

    Returns
    -------
    r
        Columns of ``x`` × columns of ``y``, float32. NaN where a side is constant given the design, or fewer
        than :data:`MIN_DF` degrees of freedom are left.
    df
        Residual degrees of freedom of each column of ``x``: rows with a value - rank of the design - 1. Of
        ``counts``, rows that count at all.
    """
    r = np.full((x.shape[1], y.shape[1]), np.nan, dtype=np.float32)
    df = np.zeros(x.shape[1], dtype=int)
    for seen, columns in patterns(x):
        rows = seen if counts is None else seen & (counts > 0)
        df[columns] = degrees_of_freedom(design[rows])
        if not enough(design[rows]):
            continue
        scale = np.ones((rows.sum(), 1)) if counts is None else np.sqrt(counts[rows, None])
        left = residuals(x[np.ix_(rows, columns)] * scale, design[rows] * scale)
        right = residuals(y[rows] * scale, design[rows] * scale)
        block = left.T.astype(np.float32) @ right.astype(np.float32)
        block[~left.any(axis=0)] = np.nan
        block[:, ~right.any(axis=0)] = np.nan
        r[columns] = block
    return r, df


def negative_p(r: np.ndarray, df: np.ndarray) -> np.ndarray:
    """One-sided p of partial correlations, small where r is negative, from Student's t with ``df``."""
    r = np.clip(np.asarray(r, dtype=np.float64), -R_LIMIT, R_LIMIT)
    return stats.t.cdf(r * np.sqrt(df / (1 - r**2)), df)


def residuals(values: np.ndarray, design: np.ndarray) -> np.ndarray:
    """What least squares on the design leaves of each column, scaled to length 1; 0 if nothing is left.

    Parameters
    ----------
    values
        Rows × columns, finite.
    design
        Rows × columns, of any rank.

    Returns
    -------
    Rows × columns, float64.
    """
    left, sizes, _ = np.linalg.svd(design, full_matrices=False)
    basis = left[:, sizes > sizes.max() * len(design) * np.finfo(float).eps]
    rest = values - basis @ (basis.T @ values)
    length, scale = (np.linalg.norm(part, axis=0) for part in (rest, values))
    return rest / np.where(length > FLAT * scale, length, np.inf)


def constant(values: np.ndarray, design: np.ndarray) -> np.ndarray:
    """Which columns the design explains wholly, or have too few values; NaN is left out."""
    result = np.ones(values.shape[1], dtype=bool)
    for seen, columns in patterns(values):
        if enough(design[seen]):
            result[columns] = ~residuals(values[np.ix_(seen, columns)], design[seen]).any(axis=0)
    return result


def patterns(values: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Columns with values in the same rows: pairs of a mask of the rows and the places of the columns."""
    kinds, members = np.unique(~np.isnan(values), axis=1, return_inverse=True)
    return [(kind, np.flatnonzero(members.ravel() == place)) for place, kind in enumerate(kinds.T)]


def degrees_of_freedom(design: np.ndarray) -> int:
    """Rows - rank of the design - 1: what is left to a correlation of two adjusted columns."""
    return len(design) - int(np.linalg.matrix_rank(design)) - 1 if len(design) else -1


def enough(design: np.ndarray) -> bool:
    """Whether :data:`MIN_DF` degrees of freedom are left."""
    return degrees_of_freedom(design) >= MIN_DF
