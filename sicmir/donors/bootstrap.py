"""How sure a median per-miRNA correlation is: resample donors, not samples and not miRNAs.

Samples of one donor are not independent, and miRNAs of one cluster rise and fall together; a donor is
the unit that was drawn from the population (Efron & Tibshirani 1993, An Introduction to the Bootstrap).
Where miRNAs are drawn as well, whole genomic clusters are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from sicmir.errors import DataError, ParameterError
from sicmir.metrics import R_LIMIT, Matrix, check_min_samples, matched


def bootstrap_median(
    observed: Matrix,
    predicted: Mapping[str, Matrix],
    donor: Sequence[str] | pd.Series,
    cohort: Sequence[str] | pd.Series | None = None,
    *,
    baseline: str = "",
    n_resamples: int = 200,
    level: float = 0.95,
    min_samples: int = 10,
    seed: int = 0,
) -> pd.DataFrame:
    """Percentile interval of the median per-miRNA Pearson r of methods, and of their gain over one of them.

    Donors are drawn with replacement; every method sees the same draws. The gain is the median over miRNAs
    of r(method) - r(baseline), paired by miRNA and by draw, on the samples that both predicted; it is
    not the difference of the two medians.

    Parameters
    ----------
    observed
        Samples x miRNAs in log2(RPM+1), NaN where not measured.
    predicted
        Method name to predictions of the same samples and miRNAs.
    donor
        Donor of each sample.
    cohort
        If given, r is the within-cohort Fisher-z mean of :func:`sicmir.metrics.per_mirna`, with the cohorts
        and weights of the whole data in every draw; else r is pooled over all samples.
    baseline
        Name of the method that the others are compared with; empty for no comparison.
    n_resamples, level, seed
        Number of draws, width of the interval and seed of the draws.
    min_samples
        Fewest samples of a cohort that counts, at least 4.

    Returns
    -------
    DataFrame
        Columns ``method, against, median, lower, upper, n_mirnas``; ``against`` is empty for the method
        itself and names the baseline for a gain.

    Raises
    ------
    DataError
        If labels or shapes do not agree, there are fewer than 3 donors, or a method has no usable miRNA.
    ParameterError
        If ``baseline`` is not a method or an option is out of range.
    """
    check_min_samples(min_samples)
    if not predicted or (baseline and baseline not in predicted):
        raise ParameterError(f"The baseline {baseline!r} should be one of the methods {sorted(predicted)}.")
    if n_resamples < 2 or not 0 < level < 1:
        raise ParameterError(
            f"n_resamples should be at least 2 and level in (0, 1); found {n_resamples} and {level}."
        )
    first = next(iter(predicted.values()))
    draws = _draws(matched(observed, first, donor, "donor")[3], n_resamples, np.random.default_rng(seed))
    groups = None if cohort is None else matched(observed, first, cohort)[3]
    sides: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    r: dict[str, np.ndarray] = {}

    def correlate(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return _weighted_pearson(draws, x, y) if groups is None else _within(draws, x, y, groups, min_samples)

    for method, values in predicted.items():
        x, y, _, _ = matched(observed, values, donor, "donor")
        sides[method], r[method] = (x, y), correlate(x, y)
        if np.isnan(r[method][0]).all():
            raise DataError(
                f"No miRNA of the method {method!r} has a correlation; its predictions may be constant."
            )
    rows = [(method, "", _interval(values, level)) for method, values in r.items()]
    for method in (name for name in r if baseline and name != baseline):
        # A method that lacks some samples is compared on those it has, not with an easier or harder set.
        both = np.isfinite(sides[method][0]) & np.isfinite(sides[baseline][0])
        pair = []
        for name in (method, baseline):
            alike = (both == np.isfinite(sides[name][0])).all()
            pair.append(r[name] if alike else correlate(*(np.where(both, s, np.nan) for s in sides[name])))
        rows.append((method, baseline, _interval(pair[0] - pair[1], level)))
    return pd.DataFrame(
        [(method, against, *interval) for method, against, interval in rows],
        columns=["method", "against", "median", "lower", "upper", "n_mirnas"],
    )


def cluster_members(mirnas: Sequence[str] | pd.Index, clusters: pd.Series | None = None) -> list[np.ndarray]:
    """Places of the members of each genomic cluster.

    Parameters
    ----------
    mirnas
        Names.
    clusters
        Cluster of each miRNA (:func:`sicmir.donors.mirna_findings.describe`); "" or a miRNA that it does not
        list is a cluster of its own, and so is each without the table.
    """
    names = pd.Series(list(mirnas), index=list(mirnas), dtype=object)
    own = names if clusters is None else clusters.reindex(names.index).fillna("").astype(str)
    codes = pd.factorize(own.where(own != "", names))[0]
    return [np.flatnonzero(codes == code) for code in range(codes.max() + 1)]


def cluster_draws(
    members: Sequence[np.ndarray], n_resamples: int, rng: np.random.Generator
) -> list[np.ndarray]:
    """Draw as many clusters as there are, with replacement: the places of all their members, draw by draw."""
    picks = rng.integers(0, len(members), (n_resamples, len(members)))
    return [np.concatenate([members[i] for i in pick]) for pick in picks]


def _draws(donors: np.ndarray, n_resamples: int, rng: np.random.Generator) -> np.ndarray:
    """How often each sample counts, draws x samples; the first row is the data as they are."""
    n = donors.max() + 1
    if n < 3:
        raise DataError(f"A donor bootstrap needs at least 3 donors, found {n}.")
    times = rng.multinomial(n, np.full(n, 1 / n), size=n_resamples)
    return np.vstack([np.ones(len(donors)), times[:, donors]])


def _weighted_pearson(weights: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Pearson r, draws x miRNAs, from six matrix products; NaN where a side is constant or n < 3."""
    used = np.isfinite(x)
    n = np.maximum(used.sum(axis=0), 1)
    # Centring first keeps the differences of sums below from losing their digits.
    a, b = (np.where(used, side - np.where(used, side, 0).sum(axis=0) / n, 0) for side in (x, y))
    total = weights @ used
    count = np.maximum(total, 1)
    sum_a, sum_b = weights @ a, weights @ b
    var_a = weights @ (a * a) - sum_a**2 / count
    var_b = weights @ (b * b) - sum_b**2 / count
    covariance = weights @ (a * b) - sum_a * sum_b / count
    varies = (total >= 3) & np.isfinite(covariance)
    for side, variance in ((x, var_a), (y, var_b)):
        varies &= variance > count * (1e-6 * np.abs(np.where(used, side, 0)).max(axis=0, initial=0)) ** 2
    r = np.full(total.shape, np.nan)
    np.divide(covariance, np.sqrt(np.maximum(var_a * var_b, 0)), out=r, where=varies)
    return np.clip(r, -1.0, 1.0)


def _within(
    weights: np.ndarray, x: np.ndarray, y: np.ndarray, groups: np.ndarray, min_samples: int
) -> np.ndarray:
    """Fisher-z mean within groups for every draw, with the groups and weights of the data as they are."""
    total = np.zeros((len(weights), x.shape[1]))
    weight = np.zeros_like(total)
    for group in range(groups.max() + 1):
        rows = groups == group
        n = np.isfinite(x[rows]).sum(axis=0)
        r = _weighted_pearson(weights[:, rows], x[rows], y[rows])
        # A draw can miss a cohort, or hold one donor of it again and again; it then speaks of the others.
        usable = (n >= min_samples) & np.isfinite(r[0]) & np.isfinite(r)
        total += np.where(usable, (n - 3) * np.arctanh(np.clip(np.nan_to_num(r), -R_LIMIT, R_LIMIT)), 0)
        weight += np.where(usable, n - 3, 0)
    mean = np.full(total.shape, np.nan)
    np.divide(total, weight, out=mean, where=weight > 0)
    return np.tanh(mean)


def _interval(values: np.ndarray, level: float) -> tuple[float, float, float, int]:
    """Median over miRNAs of the data, percentile interval over draws, number of miRNAs."""
    usable = np.isfinite(values[0])
    if not usable.any():
        return np.nan, np.nan, np.nan, 0
    medians = np.nanmedian(values[:, usable], axis=1)
    lower, upper = np.nanquantile(medians[1:], [(1 - level) / 2, (1 + level) / 2])
    return float(medians[0]), float(lower), float(upper), int(usable.sum())
