"""Least squares of many miRNAs at once, with gaps, and with donors that stand in both groups of a comparison.

miRNAs that were measured in the same rows share one design and are solved together. Two rows of one donor
correlate; their difference and their sum do not, so that a rotation and a weight make rows independent, which
is generalised least squares. Nothing here knows of p-values.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.linalg import orth
from scipy.stats import f as f_distribution
from scipy.stats import trim_mean

CONFOUNDED = 1e-7
"""Share of an effect's column that the other columns must leave unexplained for it to be estimated."""

FEWEST_TO_SHARE = 10
"""miRNAs below which nothing is taken to be common to all: no variance, no ratio of two groups."""

Z_GRID = np.arange(-2.4, 2.5, 0.2)
"""Fisher's z of the correlations that are tried: from -0.98 to 0.98."""


@dataclass(frozen=True)
class Fit:
    """One value for each miRNA; NaN where the effect cannot be told from the other columns.

    ``effect``; ``unscaled_se``, its standard error for a residual variance of 1;
    ``error_scale``, its standard error for errors of variance 1 that are independent between all rows, those
    of one donor too; ``variance`` of the residuals, NaN without degrees of freedom; ``df``, the degrees of
    freedom of the residuals; ``log_likelihood``, restricted, maximal over effects and variance, but for a
    constant of the rows.
    """

    effect: np.ndarray
    unscaled_se: np.ndarray
    error_scale: np.ndarray
    variance: np.ndarray
    df: np.ndarray
    log_likelihood: np.ndarray


def fit_effect(
    values: np.ndarray,
    design: np.ndarray,
    donors: np.ndarray | None = None,
    correlation: float = 0.0,
    spread: np.ndarray | None = None,
) -> Fit:
    r"""Coefficient of the first column of the design for every miRNA, by (generalised) least squares.

    All rows have one variance :math:`\sigma^2`, but for ``spread``. The two rows of a donor correlate by
    :math:`\rho`, taken as known: for :math:`\rho \ge 0` that is a mixed model with a random intercept of the
    donor, whose restricted likelihood, with :math:`\sigma^2` profiled out, is

    .. math:: -\tfrac 1 2 \bigl( \log|V| + \log|X^\top V^{-1} X| + (n - p) \log r^\top V^{-1} r \bigr) .

    Parameters
    ----------
    values
        Rows x miRNAs, NaN where not measured.
    design
        Rows x columns; other columns may be collinear, which costs no degree of freedom twice.
    donors
        Donor of each row as integers, at most two rows each; None where all rows are independent.
    correlation
        Of the two rows of one donor, between -1 and 1.
    spread
        SD of each row, in any unit, where rows are independent; None for one SD of all.
    """
    table = np.full((6, values.shape[1]), np.nan)
    for rows, columns, y, x, sign in _independent(values, design, donors):
        scale = np.sqrt(1 + sign * correlation) if spread is None else spread[rows]
        table[:, columns] = list(_solved(y, x, scale))
    return Fit(*table)


def spread_ratio(values: np.ndarray, design: np.ndarray) -> float:
    """SD of the rows that the first column marks over that of the others, one for all miRNAs; NaN for none.

    The ratio of variances of each miRNA, from residuals of one fit, over the median of F; then the median.
    Taken from many miRNAs it is well known, where the two variances of one miRNA are not (as the weights of
    arrays of Ritchie 2006, doi 10.1186/1471-2105-7-261). NaN with fewer than :data:`FEWEST_TO_SHARE` miRNAs.

    Parameters
    ----------
    values, design
        As for :func:`fit_effect`, rows independent; the first column holds 0 and 1.
    """
    ratios = []
    for rows, columns in patterns(values):
        q = basis(design[rows])
        left = values[np.ix_(rows, columns)]
        left = left - q @ (q.T @ left)
        free, case = 1 - np.square(q).sum(axis=1), design[rows, 0] == 1
        df = free[case].sum(), free[~case].sum()
        if min(df) < 1:
            continue
        one, other = (
            np.square(left[side]).sum(axis=0) / n for side, n in zip((case, ~case), df, strict=True)
        )
        varies = np.minimum(one, other) > np.finfo(np.float32).eps * np.maximum(one, other)
        ratios.append(one[varies] / other[varies] / f_distribution.median(*df))
    known = np.concatenate(ratios) if ratios else np.empty(0)
    return float(np.sqrt(np.median(known))) if len(known) >= FEWEST_TO_SHARE else np.nan


def donor_correlations(values: np.ndarray, design: np.ndarray, donors: np.ndarray) -> np.ndarray:
    """Correlation of the two rows of a donor, for each miRNA the one of largest restricted likelihood.

    It is sought on a grid of Fisher's z, with a parabola through the best point and its neighbours. NaN where
    fewer than two donors have both rows, or nothing is left to vary.

    Parameters
    ----------
    values, design, donors
        As for :func:`fit_effect`.
    """
    found = np.full(values.shape[1], np.nan)
    for _, columns, y, x, sign in _independent(values, design, donors):
        if (sign == 1).sum() < 2:
            continue
        tried = np.array([_solved(y, x, np.sqrt(1 + sign * np.tanh(z)))[-1] for z in Z_GRID])
        varies = fit_effect(values[:, columns], design).variance > np.finfo(float).eps * (y**2).max(axis=0)
        best = np.clip(tried.argmax(axis=0), 1, len(Z_GRID) - 2)
        before, at, after = (np.take_along_axis(tried, (best + i)[None], axis=0)[0] for i in (-1, 0, 1))
        bend = before - 2 * at + after
        step = np.divide(before - after, 2 * bend, out=np.zeros_like(at), where=bend < 0)
        z = Z_GRID[best] + np.clip(step, -1, 1) * (Z_GRID[1] - Z_GRID[0])
        found[columns] = np.where(varies, np.tanh(z), np.nan)
    return found


def consensus(correlations: np.ndarray) -> float:
    """One correlation for all miRNAs: mean of Fisher's z without the outer 15 % on each side; NaN for none.

    Smyth 2005 (doi 10.1093/bioinformatics/bti270).
    """
    known = correlations[np.isfinite(correlations)]
    return float(np.tanh(trim_mean(np.arctanh(known), 0.15))) if len(known) else np.nan


def estimable(design: np.ndarray) -> bool:
    """Whether the effect of the first column can be told from the other columns."""
    own = design[:, 0]
    others = basis(design[:, 1:])
    left = np.linalg.norm(own - others @ (others.T @ own))
    return bool(left > CONFOUNDED * np.linalg.norm(own))


def informative(design: np.ndarray) -> np.ndarray:
    """Which rows say anything of the effect of the first column: what the others leave of it is not 0 there.

    In a batch that holds one group only, no row does.
    """
    others = basis(design[:, 1:])
    left = design[:, 0] - others @ (others.T @ design[:, 0])
    return np.abs(left) > CONFOUNDED * np.linalg.norm(design[:, 0])


def _independent(
    values: np.ndarray, design: np.ndarray, donors: np.ndarray | None
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
    """Rows and columns of one pattern of gaps, and values and design made independent, the effect last."""
    for rows, columns in patterns(values):
        y, x, sign = values[np.ix_(rows, columns)], design[rows], np.zeros(len(rows))
        if not estimable(x):
            continue
        if donors is not None:
            y, x, sign = _rotated(y, x, donors[rows])
        # The effect comes last, so that the other columns are projected out of it.
        yield rows, columns, y, np.column_stack([basis(x[:, 1:]), x[:, 0]]), sign


def _solved(y: np.ndarray, x: np.ndarray, scale: np.ndarray) -> tuple[np.ndarray, ...]:
    """Least squares of independent rows whose SDs are as ``scale``: the fields of :class:`Fit` in order."""
    x, y = x / scale[:, None], y / scale[:, None]
    q, r = np.linalg.qr(x)
    projected = q.T @ y
    squares = ((y - q @ projected) ** 2).sum(axis=0)
    df = len(y) - x.shape[1]
    se = 1 / np.abs(r[-1, -1])
    same = np.ones(y.shape[1])
    logs = np.log(scale).sum() + np.log(np.abs(np.diag(r))).sum()
    return (
        projected[-1] / r[-1, -1],
        same * se,
        same * np.linalg.norm(q[:, -1] / scale) * se,
        squares / df if df else same * np.nan,
        same * df,
        -logs - df / 2 * np.log(np.maximum(squares, 1e-300)),
    )


def _rotated(y: np.ndarray, x: np.ndarray, donors: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows made independent: differences (sign -1) and sums (1) of the two of a donor; single rows (0)."""
    order = np.argsort(donors, kind="stable")
    ends = np.flatnonzero(np.diff(donors[order]) == 0)
    first, second = order[ends], order[ends + 1]
    single = np.setdiff1d(order, np.concatenate([first, second]))
    sign = np.repeat([-1, 1, 0], [len(first), len(first), len(single)])
    half = np.sqrt(0.5)
    y, x = (
        np.vstack([half * (side[first] - side[second]), half * (side[first] + side[second]), side[single]])
        for side in (y, x)
    )
    return y, x, sign


def basis(columns: np.ndarray) -> np.ndarray:
    """Orthonormal basis of the columns, after scaling, so that units do not decide the rank."""
    length = np.linalg.norm(columns, axis=0)
    if not length.any():
        return np.empty((len(columns), 0))
    return orth(columns[:, length > 0] / length[length > 0], rcond=CONFOUNDED)


def patterns(values: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Rows that were measured, and the miRNAs that were measured in just these rows."""
    measured = np.isfinite(values)
    _, codes = np.unique(np.packbits(measured, axis=0), axis=1, return_inverse=True)
    order = np.argsort(codes, kind="stable")
    for columns in np.split(order, np.flatnonzero(np.diff(codes[order])) + 1):
        rows = np.flatnonzero(measured[:, columns[0]])
        if len(rows):
            yield rows, columns
