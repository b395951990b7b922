"""How well predicted miRNA agrees with measured miRNA: one figure per miRNA, never one over the whole matrix.

A correlation over the flattened matrix, or over the miRNAs of a sample, is high for any constant guess,
because miRNAs differ in their means. A correlation over the samples of several cohorts is high as soon as
the cohort means are right, and can hide that nothing is predicted within a cohort (Simpson's paradox;
shown for mRNA and protein by Fortelny et al. 2017, doi 10.1038/nature22293). Both the pooled and the
within-cohort figure are therefore given.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from sicmir.errors import DataError, ParameterError

R_LIMIT = 1 - 1e-6
"""Correlations are clipped to this size before Fisher's z, which is infinite at 1."""

Matrix: TypeAlias = np.ndarray | pd.DataFrame


@dataclass(frozen=True)
class Metric:
    """Facts of a column of :func:`per_mirna`; ``title`` are words for an axis, with the unit.

    ``higher_is_better`` is None where neither is, as for a coverage, which has a level to meet.
    """

    name: str
    range: tuple[float, float]
    higher_is_better: bool | None
    title: str
    reference: str = ""


_FISHER = "Fisher 1921, Metron 1, 3-32 (z transform); Fortelny 2017, doi 10.1038/nature22293 (motivation)"

METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("pearson", (-1.0, 1.0), True, "Pearson r, all samples"),
        Metric("spearman", (-1.0, 1.0), True, "Spearman rho, all samples"),
        Metric("rmse", (0.0, float("inf")), False, "RMSE, log2(RPM+1)"),
        Metric("pearson_within", (-1.0, 1.0), True, "Pearson r within cohort", _FISHER),
        Metric("spearman_within", (-1.0, 1.0), True, "Spearman rho within cohort", _FISHER),
    )
}
"""The metrics of :func:`per_mirna` by column name."""


def per_mirna(
    observed: Matrix,
    predicted: Matrix,
    cohort: Sequence[str] | pd.Series,
    *,
    min_samples: int = 10,
    names: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Compare measured and predicted miRNA, miRNA by miRNA.

    Only samples in which a miRNA is both measured and predicted count (NaN is left out pairwise).
    The within-cohort correlation is tanh of the mean of atanh(r) over cohorts, weighted by n - 3, where n is
    the number of usable samples of the cohort; r is clipped to 0.999999. A cohort with fewer than
    ``min_samples`` samples, or in which either side is constant, is left out. Where no cohort is left the
    value is NaN, not 0. A pooled correlation with a constant side or fewer than 3 samples is NaN too.

    Parameters
    ----------
    observed, predicted
        Samples x miRNAs in log2(RPM+1). DataFrames are matched by their labels, arrays by position.
    cohort
        Label of each sample; a Series is matched by its index when ``observed`` is a DataFrame.
    min_samples
        Fewest samples of a cohort that counts, at least 4.
    names
        Names of the miRNAs when arrays are given.

    Returns
    -------
    DataFrame
        Index miRNA; columns ``n, pearson, spearman, rmse, pearson_within, spearman_within, n_cohorts``,
        described in :data:`METRICS`; ``n_cohorts`` counts the cohorts behind ``pearson_within``.

    Raises
    ------
    DataError
        If labels or shapes do not agree, a value is infinite, or a sample has no cohort.
    ParameterError
        If ``min_samples`` is below 4.

    Notes
    -----
    Out-of-fold predictions of a constant such as the cohort mean correlate *negatively* with the held-out
    values within a cohort, since leaving high samples out lowers the mean. Give ``cohort`` labels that join
    cohort and fold to see that such a prediction is constant (NaN).

    Examples
    --------
    >>> import sicmir
    >>> _, mirna = sicmir.toy.paired_bulk(n_donors=20, n_cohorts=2, n_genes=977, n_mirnas=10)
    >>> table = sicmir.metrics.per_mirna(mirna.to_df(), mirna.to_df() + 0.5, mirna.obs["cohort"])
    >>> table[["pearson", "rmse"]].round(2).drop_duplicates()
                 pearson  rmse
    mirna
    toy-miR-001      1.0   0.5
    """
    x, y, mirnas, groups = matched(observed, predicted, cohort, names=names)
    check_min_samples(min_samples)
    pearson_within, n_cohorts = _within(_pearson, x, y, groups, min_samples)
    spearman_within, _ = _within(_spearman, x, y, groups, min_samples)
    n = np.isfinite(x).sum(axis=0)
    squares = np.where(np.isfinite(x), (x - y) ** 2, 0).sum(axis=0)
    return pd.DataFrame(
        {
            "n": n,
            "pearson": _pearson(x, y),
            "spearman": _spearman(x, y),
            "rmse": np.sqrt(np.divide(squares, n, out=np.full(len(n), np.nan), where=n > 0)),
            "pearson_within": pearson_within,
            "spearman_within": spearman_within,
            "n_cohorts": n_cohorts,
        },
        index=mirnas,
    )


def summary(table: pd.DataFrame) -> pd.Series:
    """Medians over miRNAs of a table of :func:`per_mirna`, and how many miRNAs each rests on.

    Returns
    -------
    Series
        ``n_mirnas``, then each metric (median without NaN) and ``n_<metric>`` (miRNAs with a value).

    Raises
    ------
    DataError
        If a metric's column is absent.

    Examples
    --------
    >>> import sicmir
    >>> _, mirna = sicmir.toy.paired_bulk(n_donors=20, n_cohorts=2, n_genes=977, n_mirnas=10)
    >>> table = sicmir.metrics.per_mirna(mirna.to_df(), mirna.to_df() + 0.5, mirna.obs["cohort"])
    >>> float(sicmir.metrics.summary(table).filter(like="rmse").iloc[0].round(2))
    0.5
    """
    absent = [name for name in METRICS if name not in table]
    if absent:
        raise DataError(f"The table lacks the columns {absent}; pass a table of sicmir.metrics.per_mirna.")
    result: dict[str, float] = {"n_mirnas": len(table)}
    for name in METRICS:
        values = table[name].dropna()
        result[name] = float(np.median(values)) if len(values) else float("nan")
        result[f"n_{name}"] = len(values)
    return pd.Series(result, dtype=float)


def detected(mirna: Matrix, threshold_rpm: float = 1.0, fraction: float = 0.5) -> np.ndarray:
    """Which miRNAs exceed ``threshold_rpm`` in at least ``fraction`` of the samples that measured them.

    The default rule reads "RPM > 1 in at least half of the samples". A miRNA measured in no sample is not
    detected.

    Parameters
    ----------
    mirna
        Samples x miRNAs in log2(RPM+1), NaN where not measured.
    threshold_rpm
        Reads per million, on the linear scale.
    fraction
        Share of the measured samples, from 0 (exclusive) to 1.

    Returns
    -------
    ndarray
        Boolean, one per miRNA.

    Raises
    ------
    DataError
        If a value is negative or infinite, hence not log2(RPM+1).
    ParameterError
        If an option is out of range.

    Examples
    --------
    >>> import numpy, sicmir
    >>> rpm = numpy.array([[100.0, 0.0], [50.0, 0.5], [0.0, 0.2]])
    >>> sicmir.metrics.detected(numpy.log2(rpm + 1)).tolist()
    [True, False]
    """
    if threshold_rpm < 0 or not 0 < fraction <= 1:
        raise ParameterError(
            f"Expected threshold_rpm >= 0 and fraction in (0, 1]; found {threshold_rpm} and {fraction}."
        )
    values = np.asarray(mirna, dtype=np.float64)
    if np.isinf(values).any() or (values < 0).any():
        raise DataError("Expected log2(RPM+1), which is finite and at least 0; z-scores cannot be used here.")
    measured = (~np.isnan(values)).sum(axis=0)
    above = (values > np.log2(threshold_rpm + 1)).sum(axis=0)
    return (measured > 0) & (above >= fraction * measured)


def matched(
    observed: Matrix,
    predicted: Matrix,
    labels: Sequence[str] | pd.Series,
    what: str = "cohort",
    *,
    names: Sequence[str] | None = None,
) -> tuple[np.ndarray, np.ndarray, pd.Index, np.ndarray]:
    """Bring both sides to one order, with NaN on both where either is missing.

    Arguments are those of :func:`per_mirna`; ``what`` says what the labels are, for messages. Returns both
    matrices as float64, the names of the miRNAs, and the labels as integer codes.

    Raises
    ------
    DataError
        If labels or shapes do not agree, a value is infinite, or a sample has no label.

    Examples
    --------
    >>> import pandas, sicmir
    >>> observed = pandas.DataFrame({"a": [1.0, 2.0], "b": [3.0, 4.0]}, index=["s1", "s2"])
    >>> predicted = observed[["b", "a"]].loc[["s2", "s1"]]
    >>> *values, names, _ = sicmir.metrics.matched(observed, predicted, ["x", "y"])
    >>> bool((values[0] == values[1]).all()), list(names)
    (True, ['a', 'b'])
    """
    if isinstance(observed, pd.DataFrame) != isinstance(predicted, pd.DataFrame):
        raise DataError("Give observed and predicted both as DataFrames or both as arrays.")
    if isinstance(observed, pd.DataFrame) and isinstance(predicted, pd.DataFrame):
        for axis, left, right in (
            ("samples", observed.index, predicted.index),
            ("miRNAs", observed.columns, predicted.columns),
        ):
            if left.has_duplicates or right.has_duplicates:
                raise DataError(f"The {axis} of observed and predicted should be unique.")
            odd = left.symmetric_difference(right)
            if len(odd):
                raise DataError(
                    f"{len(odd)} {axis} are in only one of observed and predicted, for example {odd[0]}."
                )
        predicted = predicted.loc[observed.index, observed.columns]
        mirnas = observed.columns
        if isinstance(labels, pd.Series):
            labels = labels.reindex(observed.index)
    else:
        n_columns = np.shape(observed)[-1] if np.ndim(observed) else 0
        mirnas = pd.RangeIndex(n_columns) if names is None else pd.Index(names)
    x, y = np.array(observed, dtype=np.float64), np.array(predicted, dtype=np.float64)
    if x.ndim != 2 or x.shape != y.shape or len(mirnas) != x.shape[1]:
        raise DataError(
            f"Expected two matrices samples x miRNAs of one shape; found {x.shape}, {y.shape} and "
            f"{len(mirnas)} names."
        )
    if np.isinf(x).any() or np.isinf(y).any():
        bad = mirnas[np.isinf(x).any(axis=0) | np.isinf(y).any(axis=0)]
        raise DataError(f"{len(bad)} miRNAs hold infinite values (first: {bad[0]}).")
    column = pd.Series(np.asarray(labels))
    if len(column) != len(x) or column.isna().any():
        raise DataError(
            f"Expected one {what} for each of {len(x)} samples; found {len(column)} labels, "
            f"{int(column.isna().sum())} of them missing."
        )
    missing = np.isnan(x) | np.isnan(y)
    x[missing] = np.nan
    y[missing] = np.nan
    return x, y, mirnas.rename("mirna"), pd.factorize(column)[0]


def check_min_samples(min_samples: int) -> None:
    """Refuse a smallest cohort whose weight n - 3 would not be positive (ParameterError)."""
    if min_samples < 4:
        raise ParameterError(
            f"min_samples should be at least 4, since weights are n - 3; found {min_samples}."
        )


def _pearson(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Pearson r of each column; both sides NaN in the same places. NaN for a constant side or n < 3."""
    used = np.isfinite(x)
    n = used.sum(axis=0)
    centred = []
    varies = n >= 3
    for side in (x, y):
        filled = np.where(used, side, 0.0)
        mean = filled.sum(axis=0) / np.maximum(n, 1)
        centred.append(np.where(used, side - mean, 0.0))
        # float32 predictions of a constant scatter in the seventh digit.
        varies &= np.abs(centred[-1]).max(axis=0, initial=0) > 1e-6 * np.abs(filled).max(axis=0, initial=0)
    a, b = centred
    scale = np.sqrt((a * a).sum(axis=0) * (b * b).sum(axis=0))
    r = np.full(x.shape[1], np.nan)
    np.divide((a * b).sum(axis=0), scale, out=r, where=varies & (scale > 0))
    return np.clip(r, -1.0, 1.0)


def _spearman(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Spearman rho of each column: Pearson r of average ranks; NaN where Pearson r is."""
    a, b = (rankdata(side, axis=0, nan_policy="omit") for side in (x, y))
    # Ranks would turn the rounding noise of a constant into variation, which r of the values sees through.
    return np.where(np.isfinite(_pearson(x, y)), _pearson(a, b), np.nan)


def _within(
    correlation: Callable[[np.ndarray, np.ndarray], np.ndarray],
    x: np.ndarray,
    y: np.ndarray,
    groups: np.ndarray,
    min_samples: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Fisher-z mean of a correlation within groups, and the number of groups behind it."""
    total, weight, count = (np.zeros(x.shape[1]) for _ in range(3))
    for group in range(groups.max(initial=-1) + 1):
        rows = groups == group
        n = np.isfinite(x[rows]).sum(axis=0)
        r = correlation(x[rows], y[rows])
        usable = (n >= min_samples) & np.isfinite(r)
        z = np.arctanh(np.clip(np.where(usable, r, 0), -R_LIMIT, R_LIMIT))
        total += np.where(usable, (n - 3) * z, 0)
        weight += np.where(usable, n - 3, 0)
        count += usable
    mean = np.full(x.shape[1], np.nan)
    np.divide(total, weight, out=mean, where=weight > 0)
    return np.tanh(mean), count.astype(int)
