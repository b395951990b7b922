"""Empirical-Bayes moderation: variances of many miRNAs, each measured in few donors, support each other.

Smyth 2004 (doi 10.2202/1544-6115.1027) takes the true variances for draws from a scaled inverse chi-squared
distribution whose two parameters are estimated from all miRNAs. Each variance is then drawn towards the
common one, and the t statistic gains the degrees of freedom that the common one is worth.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from patsy import dmatrix
from scipy.special import digamma, polygamma
from scipy.stats import t as student

from sicmir.errors import DataError

FLOOR = 1e-5
"""Variances are taken for at least this share of their median, so that the logarithm of one near 0 does not
decide the prior."""

TREND_DF = 4
"""Degrees of freedom of the natural spline of the log variance on the mean level."""

FEWEST_FOR_SPLINE = 30
"""Different mean levels that a spline is drawn through; a straight line is drawn through fewer."""


@dataclass(frozen=True)
class Squeezed:
    """Moderated variances and the prior they were drawn towards, one value for each miRNA."""

    variance: np.ndarray
    df: np.ndarray
    prior_variance: np.ndarray
    prior_df: float


def squeeze(variance: np.ndarray, df: np.ndarray, level: np.ndarray | None = None) -> Squeezed:
    r"""Draw the variances of miRNAs towards a common one, by as much as the data show that they share it.

    With :math:`d_0` and :math:`s_0^2` estimated from the mean and the variance of the log variances (section
    6.2 of the paper), the moderated variance is

    .. math:: \tilde s^2 = \frac{d_0 s_0^2 + d s^2}{d_0 + d} .

    Parameters
    ----------
    variance, df
        Residual variance of each miRNA, log2 squared, and its degrees of freedom, above 0.
    level
        Mean log2(RPM+1) of each miRNA, to let :math:`s_0^2` follow it along a natural spline (limma-trend,
        Law 2014, doi 10.1186/gb-2014-15-2-r29); None for one :math:`s_0^2` for all.

    Returns
    -------
    Squeezed
        ``df`` is d + d0, at most the sum of all d. ``prior_df`` is infinite where the variances scatter no
        more than chance lets them, and 0, hence no moderation, for a single miRNA.

    Raises
    ------
    DataError
        If a variance is not positive and finite, or degrees of freedom are not.
    """
    variance, df = (np.atleast_1d(np.asarray(side, dtype=np.float64)) for side in (variance, df))
    if variance.shape != df.shape or not (np.isfinite(variance) & (variance > 0) & (df > 0)).all():
        raise DataError("Moderation needs a positive variance and positive degrees of freedom of each miRNA.")
    if len(variance) < 2:
        return Squeezed(variance, df, variance, 0.0)
    prior_variance, prior_df = _prior(variance, df, level)
    if np.isinf(prior_df):
        moderated = prior_variance
    else:
        moderated = (prior_df * prior_variance + df * variance) / (prior_df + df)
    return Squeezed(moderated, np.minimum(df + prior_df, df.sum()), prior_variance, prior_df)


def moderated_t(
    effect: np.ndarray, unscaled_se: np.ndarray, squeezed: Squeezed, confidence: float = 0.95
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Statistic, two-sided p, and limits of the confidence interval of each effect.

    ``unscaled_se`` is the standard error of the effect for a residual variance of 1.
    """
    se = unscaled_se * np.sqrt(squeezed.variance)
    statistic = effect / se
    p = 2 * student.sf(np.abs(statistic), squeezed.df)
    half = student.ppf((1 + confidence) / 2, squeezed.df) * se
    return statistic, p, effect - half, effect + half


def _prior(variance: np.ndarray, df: np.ndarray, level: np.ndarray | None) -> tuple[np.ndarray, float]:
    """Prior variance of each miRNA and prior degrees of freedom, by the moments of log variances."""
    floored = np.maximum(variance, FLOOR * np.median(variance))
    excess = np.log(floored) - digamma(df / 2) + np.log(df / 2)
    expected = np.full(len(excess), excess.mean())
    used = 1
    if level is not None:
        basis = _spline(np.asarray(level, dtype=np.float64))
        coefficients, _, used, _ = np.linalg.lstsq(basis, excess, rcond=None)
        expected = basis @ coefficients
    if len(excess) <= used:
        return variance, 0.0
    spread = ((excess - expected) ** 2).sum() / (len(excess) - used) - polygamma(1, df / 2).mean()
    if spread > 0:
        prior_df = 2 * _inverse_trigamma(spread)
        return np.exp(expected + digamma(prior_df / 2) - np.log(prior_df / 2)), float(prior_df)
    if level is not None:
        return np.exp(expected), np.inf
    return np.full(len(variance), np.average(variance, weights=df)), np.inf


def _spline(level: np.ndarray) -> np.ndarray:
    """Natural cubic spline of the level; a straight line where there are few miRNAs for it."""
    if len(np.unique(level)) < FEWEST_FOR_SPLINE:
        return np.column_stack([np.ones(len(level)), level - level.mean()])
    return np.asarray(dmatrix(f"cr(level, df={TREND_DF}) - 1", {"level": level}))


def _inverse_trigamma(value: float) -> float:
    """Solve trigamma(x) = value by Newton's method on 1 / trigamma, as in the appendix of the paper."""
    if value > 1e7:
        return float(1 / np.sqrt(value))
    if value < 1e-6:
        return float(1 / value)
    x = 0.5 + 1 / value
    for _ in range(50):
        trigamma = polygamma(1, x)
        step = trigamma * (1 - trigamma / value) / polygamma(2, x)
        x += step
        if -step / x < 1e-8:
            break
    return float(x)
