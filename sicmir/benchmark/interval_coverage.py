"""How often prediction intervals hold the measured value, and how wide they are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from sicmir.errors import DataError, ParameterError
from sicmir.learning.conformal import ROUNDING, check_level
from sicmir.metrics import Metric, matched

_LEI = "Lei et al. 2018, doi 10.1080/01621459.2017.1307116"

INTERVAL_METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("coverage", (0.0, 1.0), None, "Share of measured values inside the interval", _LEI),
        Metric("mean_width", (0.0, float("inf")), False, "Mean width of the interval, log2(RPM+1)", _LEI),
    )
}
"""The metrics of :func:`coverage` by column name. A narrow interval is better at the same coverage only."""


def coverage(
    observed: pd.DataFrame,
    lower: pd.DataFrame,
    upper: pd.DataFrame,
    donor: Sequence[str] | pd.Series,
    cohort: Sequence[str] | pd.Series | None = None,
) -> pd.DataFrame:
    """How often the intervals of each miRNA hold the measured value, and how wide they are.

    Parameters
    ----------
    observed
        Samples x miRNAs in log2(RPM+1), NaN where not measured; samples that the model never saw.
    lower, upper
        As :func:`intervals` gives them.
    donor, cohort
        Labels of the samples; a Series is matched by its index.

    Returns
    -------
    DataFrame
        Index miRNA, or cohort and miRNA if ``cohort`` is given; the columns of :data:`INTERVAL_METRICS`,
        then ``n``, the samples with a measured value and an interval, and ``n_donors``. NaN where ``n`` is 0.

    Raises
    ------
    DataError
        If labels do not agree, a lower bound lies above the upper one, or no value has an interval.
    """
    inside, width, mirnas, donors = _inside(observed, lower, upper, donor)
    if cohort is None:
        return _per_mirna(inside, width, mirnas, donors)
    tables = {
        name: _per_mirna(inside[rows], width[rows], mirnas, donors[rows])
        for name, rows in _rows(observed, cohort).items()
    }
    return pd.concat(tables, names=["cohort", "mirna"])


def coverage_summary(
    observed: pd.DataFrame,
    lower: pd.DataFrame,
    upper: pd.DataFrame,
    donor: Sequence[str] | pd.Series,
    cohort: Sequence[str] | pd.Series | None = None,
    *,
    level: float = 0.9,
    n_resamples: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """Coverage over all miRNAs and samples together, with an interval from resampled donors.

    The interval takes the half widths as they are: it tells how the coverage varies with the donors that are
    judged, not with those that the half widths were taken from.

    Parameters
    ----------
    observed, lower, upper, donor, cohort
        As for :func:`coverage`.
    level
        What the intervals were made for.
    n_resamples, seed
        Of the bootstrap.

    Returns
    -------
    DataFrame
        Index ``all samples``, then the cohorts if given. ``coverage``, the share of measured (miRNA, sample)
        entries inside their interval; ``lower, upper``, its 95 % percentile interval, NaN for fewer than 3
        donors; ``median_width``, the median over miRNAs of the mean width; ``share_near_level``, the share
        of miRNAs whose coverage is within 0.05 of ``level``; ``n_mirnas, n_donors, n_entries``.

    Raises
    ------
    DataError
        As for :func:`coverage`.
    ParameterError
        If an option is out of range.
    """
    check_level(level)
    if n_resamples < 2:
        raise ParameterError(f"n_resamples should be at least 2; found {n_resamples}.")
    inside, width, mirnas, donors = _inside(observed, lower, upper, donor)
    groups = {"all samples": np.ones(len(donors), dtype=bool)}
    if cohort is not None:
        groups |= _rows(observed, cohort)
    result = {}
    for name, rows in groups.items():
        table = _per_mirna(inside[rows], width[rows], mirnas, donors[rows]).query("n > 0")
        hits = np.bincount(donors[rows], weights=inside[rows].sum(axis=1))
        total = np.bincount(donors[rows], weights=np.isfinite(width[rows]).sum(axis=1))
        hits, total = hits[total > 0], total[total > 0]
        bounds = _share_interval(hits, total, n_resamples, np.random.default_rng(seed))
        near = (table["coverage"] - level).abs() <= 0.05 + ROUNDING
        result[name] = {
            "coverage": hits.sum() / total.sum() if len(total) else np.nan,
            "lower": bounds[0],
            "upper": bounds[1],
            "median_width": table["mean_width"].median(),
            "share_near_level": near.mean() if len(near) else np.nan,
            "n_mirnas": len(table),
            "n_donors": len(total),
            "n_entries": int(total.sum()),
        }
    return pd.DataFrame.from_dict(result, orient="index").rename_axis("samples")


def _inside(
    observed: pd.DataFrame, lower: pd.DataFrame, upper: pd.DataFrame, donor: Sequence[str] | pd.Series
) -> tuple[np.ndarray, np.ndarray, pd.Index, np.ndarray]:
    """Whether each value is inside, widths (NaN where no value or interval), miRNAs, donor codes."""
    x, low, mirnas, donors = matched(observed, lower, donor, "donor")
    _, high, _, _ = matched(observed, upper, donor, "donor")
    width = high - low
    if (width < 0).any():
        raise DataError(f"{int((width < 0).sum())} lower bounds lie above the upper ones; were they swapped?")
    if np.isnan(width).all():
        raise DataError("No measured value has an interval. Expected measured miRNA and enough donors.")
    return (x >= low) & (x <= high), width, mirnas, donors


def _rows(observed: pd.DataFrame, cohort: Sequence[str] | pd.Series) -> dict[str, np.ndarray]:
    """Which samples each cohort has, cohorts in alphabetical order."""
    codes = matched(observed, observed, cohort)[3]
    labels = cohort.reindex(observed.index) if isinstance(cohort, pd.Series) else cohort
    names = pd.factorize(np.asarray(labels))[1]
    return {str(names[code]): codes == code for code in np.argsort(names.astype(str))}


def _per_mirna(inside: np.ndarray, width: np.ndarray, mirnas: pd.Index, donors: np.ndarray) -> pd.DataFrame:
    widths = pd.DataFrame(width, columns=mirnas)
    used = widths.notna()
    return pd.DataFrame(
        {
            "coverage": pd.DataFrame(inside, columns=mirnas, dtype=float).where(used).mean(),
            "mean_width": widths.mean(),
            "n": used.sum(),
            "n_donors": used.groupby(donors).any().sum(),
        }
    )


def _share_interval(
    hits: np.ndarray, total: np.ndarray, n_resamples: int, rng: np.random.Generator
) -> tuple[float, float]:
    """95 % percentile interval of sum(hits) / sum(total) over resampled donors."""
    n = len(total)
    if n < 3:
        return np.nan, np.nan
    times = rng.multinomial(n, np.full(n, 1 / n), size=n_resamples)
    lower, upper = np.quantile((times @ hits) / (times @ total), [0.025, 0.975])
    return float(lower), float(upper)
