r"""What a sought cut-off of a miRNA is worth for survival.

Whoever tries every cut and shows the best one finds p below 0.05 in up to 40 % of miRNAs that have nothing to
do with survival (Altman 1994, doi 10.1093/jnci/86.11.829). Where a cut is wanted, the median or another one
that was fixed beforehand needs no correction. For a sought one, :func:`cut_off` shows the naive p beside one
that knows of the search, and takes from the hazard ratio what the search added to it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from sicmir.donors.cox_fit import fit_cox
from sicmir.donors.survival_curves import check_outcome, log_rank
from sicmir.errors import DataError, ParameterError


def cut_off(
    values: Sequence[float] | pd.Series,
    time: Sequence[float] | pd.Series,
    event: Sequence[int] | pd.Series,
    min_share: float = 0.2,
    n_permutations: int = 1000,
    n_resamples: int = 200,
    seed: int = 0,
) -> pd.Series:
    r"""Seek the cut that separates survival best, and correct its p and its hazard ratio for the search.

    For every cut, the sum of the log-rank scores above it, :math:`\delta_i - \hat\Lambda(t_i)`, is
    standardised by its mean and variance over permutations. The corrected p is the share of permutations of
    the outcomes in which the largest such statistic, over all cuts, is as large as the one found (maximally
    selected rank statistic: Lausen & Schumacher 1992, doi 10.2307/2532740). The log hazard ratio is corrected
    by its optimism: in samples of donors drawn with replacement, how far that of the cut found there exceeds
    that of the same cut in all donors (Harrell 1996, doi
    10.1002/(SICI)1097-0258(19960229)15:4<361::AID-SIM168>3.0.CO;2-4).

    Parameters
    ----------
    values
        One miRNA, log2(RPM+1), one value a donor, NaN where not measured.
    time, event
        As for :func:`sicmir.donors.survival.cox`.
    min_share
        Smallest share of donors on each side, from 0.05 to 0.5.
    n_permutations
        At least 100; the corrected p is at least 1 / (n_permutations + 1).
    n_resamples
        Samples of donors for the optimism; 0 for none.
    seed
        Seed of both.

    Returns
    -------
    Series
        ``cut``, between two values; ``n_low`` and ``n_high``; ``statistic``, the largest one;
        ``naive_p`` of the log-rank test at that cut; ``corrected_p``; ``log_hazard_ratio`` of high against
        low, ``optimism``, how much further from 0 the search took it, and ``corrected_log_hazard_ratio``,
        not taken past 0; NaN where a group has no event. ``median_p`` of the log-rank test at the median,
        fixed beforehand; NaN where all values lie on one side. ``n``, ``n_events``.

    Raises
    ------
    DataError
        If lengths differ, an outcome is impossible, there is no event, or none while others were at risk, or
        values do not let donors be cut.
    ParameterError
        If an option is out of range.
    """
    for name, value, expected, valid in (
        ("min_share", min_share, "from 0.05 to 0.5", 0.05 <= min_share <= 0.5),
        ("n_permutations", n_permutations, "at least 100", n_permutations >= 100),
        ("n_resamples", n_resamples, "at least 0", n_resamples >= 0),
    ):
        if not valid:
            raise ParameterError(f"{name} should be {expected}; found {value!r}.")
    values, time, event = (np.asarray(side, dtype=np.float64) for side in (values, time, event))
    if not len(values) == len(time) == len(event):
        raise DataError(
            f"Expected one length; found {len(values)} values, {len(time)} times, {len(event)} events."
        )
    if np.isinf(values).any():
        raise DataError("Values are infinite; expected log2(RPM+1), NaN where not measured.")
    known = ~np.isnan(values)
    values, time, event = values[known], time[known], event[known]
    check_outcome(time, event)
    order = np.argsort(values, kind="stable")
    values, time, event = values[order], time[order], event[order]
    n_low = _sizes(values, min_share)
    if not len(n_low):
        raise DataError(
            f"No cut leaves {min_share:.0%} of {len(values)} donors on each side: the miRNA does not vary "
            "enough, or there are too few donors."
        )
    rng = np.random.default_rng(seed)
    scores = log_rank_scores(time, event)
    if np.ptp(scores) < 1e-9:
        raise DataError(
            f"{int(event.sum())} of {len(event)} donors have an event, and only when nobody else was left: "
            "no cut can be told from another."
        )
    statistics = _standardised(scores[None], n_low)[0]
    best = int(np.argmax(statistics))
    chance = _standardised(rng.permuted(np.tile(scores, (n_permutations, 1)), axis=1), n_low).max(axis=1)
    high = np.arange(len(values)) >= n_low[best]
    above = values > np.median(values)
    effect = _log_hazard_ratios(high[:, None], time, event)[0]
    optimism = _optimism(values, time, event, min_share, n_resamples, rng) if n_resamples else np.nan
    return pd.Series(
        {
            "cut": (values[n_low[best] - 1] + values[n_low[best]]) / 2,
            "n_low": n_low[best],
            "n_high": len(values) - n_low[best],
            "statistic": statistics[best],
            "naive_p": log_rank(time, event, high)[1],
            "corrected_p": (1 + (chance >= statistics[best] * (1 - 1e-9)).sum()) / (1 + n_permutations),
            "log_hazard_ratio": effect,
            "optimism": optimism,
            "corrected_log_hazard_ratio": np.sign(effect) * np.maximum(np.abs(effect) - optimism, 0) + 0.0,
            "median_p": log_rank(time, event, above)[1] if above.any() else np.nan,
            "n": len(values),
            "n_events": int(event.sum()),
        }
    )


def log_rank_scores(time: np.ndarray, event: np.ndarray) -> np.ndarray:
    """Event less the hazard of Nelson and Aalen summed until then: in a group, observed less expected."""
    times, at = np.unique(time, return_inverse=True)
    events = np.bincount(at, weights=event)
    at_risk = len(time) - np.searchsorted(np.sort(time), times)
    return event - np.cumsum(events / at_risk)[at]


def _sizes(values: np.ndarray, min_share: float) -> np.ndarray:
    """Numbers of donors below the possible cuts of sorted values; equal values are not parted."""
    n = len(values)
    fewest = max(1, int(np.ceil(min_share * n)))
    sizes = np.arange(fewest, n - fewest + 1)
    return sizes[values[sizes - 1] < values[sizes]] if len(sizes) else sizes


def _standardised(scores: np.ndarray, n_low: np.ndarray) -> np.ndarray:
    """Statistic, without sign, of each row of scores at each cut."""
    n = scores.shape[1]
    low = np.cumsum(scores, axis=1)[:, n_low - 1]
    spread = scores.var(axis=1, ddof=1)[:, None] * n_low * (n - n_low) / n
    return np.abs(low - n_low * scores.mean(axis=1)[:, None]) / np.sqrt(spread)


def _log_hazard_ratios(high: np.ndarray, time: np.ndarray, event: np.ndarray) -> np.ndarray:
    """Log hazard ratio of high against low, donors x cuts; NaN where a side has no event."""
    return fit_cox(high.astype(np.float64), np.empty((len(time), 0)), time, event).effect


def _optimism(
    values: np.ndarray,
    time: np.ndarray,
    event: np.ndarray,
    min_share: float,
    n_resamples: int,
    rng: np.random.Generator,
) -> float:
    """Mean excess of the log hazard ratio of a sought cut over that of the same cut in all donors."""
    found, cuts, signs = [], [], []
    for _ in range(n_resamples):
        drawn = np.sort(rng.integers(len(values), size=len(values)))
        own, when, whether = values[drawn], time[drawn], event[drawn]
        n_low = _sizes(own, min_share)
        if not len(n_low) or not whether.any():
            continue
        best = n_low[_standardised(log_rank_scores(when, whether)[None], n_low)[0].argmax()]
        effect = _log_hazard_ratios((np.arange(len(own)) >= best)[:, None], when, whether)[0]
        found.append(np.abs(effect))
        signs.append(np.sign(effect))
        cuts.append((own[best - 1] + own[best]) / 2)
    if not found:
        return np.nan
    original = _log_hazard_ratios(values[:, None] > np.array(cuts), time, event)
    excess = np.array(found) - np.array(signs) * original
    return float(np.nanmean(excess)) if np.isfinite(excess).any() else np.nan
