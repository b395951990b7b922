"""Kaplan–Meier curves and log-rank tests of groups of donors, by statsmodels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.stats import norm
from statsmodels.duration.survfunc import SurvfuncRight, survdiff

from sicmir.errors import DataError


def kaplan_meier(
    time: Sequence[float] | pd.Series, event: Sequence[int] | pd.Series, group: Sequence[str] | pd.Series
) -> pd.DataFrame:
    """Kaplan–Meier curve of each group of donors, with pointwise limits on the scale of log(-log).

    Parameters
    ----------
    time, event
        One a donor, as for :func:`cox`.
    group
        Label of each donor.

    Returns
    -------
    DataFrame
        One row a group and time of an event, and one at time 0: ``group, time, at_risk, events, survival``
        and the 95 % limits ``lower, upper``, NaN where all or none survive.

    Raises
    ------
    DataError
        If times, events or groups are impossible or a group has no event.

    Examples
    --------
    >>> from sicmir.donors import survival
    >>> survival.kaplan_meier([1, 2, 3, 4], [1, 0, 1, 1], ["low"] * 4)[["time", "at_risk", "survival"]]
       time  at_risk  survival
    0   0.0        4     1.000
    1   1.0        4     0.750
    2   3.0        2     0.375
    3   4.0        1     0.000
    """
    time, event, group = checked_groups(time, event, group)
    tables = []
    for name in np.unique(group).tolist():
        inside = group == name
        if not event[inside].any():
            raise DataError(f"No donor of the group {name!r} has an event, so that its curve is flat at 1.")
        curve = SurvfuncRight(time[inside], event[inside])
        with np.errstate(divide="ignore", invalid="ignore"):
            se = curve.surv_prob_se / np.abs(curve.surv_prob * np.log(curve.surv_prob))
            limits = [curve.surv_prob ** np.exp(side * norm.ppf(0.975) * se) for side in (1, -1)]
        ends = (curve.surv_prob > 0) & (curve.surv_prob < 1)
        start = pd.DataFrame({"time": 0.0, "at_risk": inside.sum(), "events": 0, "survival": 1.0}, index=[0])
        later = pd.DataFrame(
            {
                "time": curve.surv_times,
                "at_risk": curve.n_risk.astype(int),
                "events": curve.n_events.astype(int),
                "survival": curve.surv_prob,
                "lower": np.where(ends, limits[0], np.nan),
                "upper": np.where(ends, limits[1], np.nan),
            }
        )
        tables.append(pd.concat([start, later]).assign(group=name))
    columns = ["group", "time", "at_risk", "events", "survival", "lower", "upper"]
    return pd.concat(tables, ignore_index=True)[columns]


def log_rank(
    time: Sequence[float] | pd.Series,
    event: Sequence[int] | pd.Series,
    group: Sequence[str] | pd.Series,
    stratum: Sequence[str] | pd.Series | None = None,
) -> tuple[float, float]:
    """Log-rank test of two or more groups of donors, by ``statsmodels.survdiff``.

    The groups must not have been made by looking at survival: for those, see :mod:`sicmir.donors.cut_off`.

    Parameters
    ----------
    time, event, group
        As for :func:`kaplan_meier`.
    stratum
        Label of each donor; donors are compared within strata.

    Returns
    -------
    statistic, p
        Chi-squared, and its p. NaN where a group was never at risk together with others when an event was
        seen, so that nothing can be compared.

    Raises
    ------
    DataError
        If times, events, groups or strata are impossible, there is one group, or no event.

    Examples
    --------
    >>> from sicmir.donors import survival
    >>> statistic, p = survival.log_rank([1, 2, 3, 4, 5, 6, 7, 8], [1] * 8, ["high"] * 4 + ["low"] * 4)
    >>> round(statistic, 2), round(p, 4)
    (7.34, 0.0067)
    """
    time, event, group = checked_groups(time, event, group)
    if len(np.unique(group)) < 2:
        raise DataError(f"Expected two or more groups; found {str(group[0])!r} only.")
    if stratum is not None:
        _, _, stratum = checked_groups(time, event, stratum)
        apart = pd.crosstab(stratum, group)
        if not (apart.gt(0).sum(axis=1) > 1).any():
            raise DataError("Every stratum holds one group only: within strata there is nothing to compare.")
    try:
        statistic, p = survdiff(time, event, group, strata=stratum)
    except np.linalg.LinAlgError:
        # The expected numbers of events do not vary.
        return np.nan, np.nan
    return float(statistic), float(p)


def check_outcome(time: np.ndarray, event: np.ndarray) -> None:
    """Refuse times and events that cannot be.

    Raises
    ------
    DataError
        If a time is negative or not finite, an event is neither 0 nor 1, or there is no event.
    """
    if not (np.isfinite(time) & (time >= 0)).all():
        raise DataError(
            "A time is negative, infinite or missing; expected the time to event or last contact."
        )
    if not np.isin(event, (0, 1)).all():
        found = ", ".join(map(str, np.unique(event)[:5]))
        raise DataError(f"Events should be 1 (seen) or 0 (not seen until the end); found {found}.")
    if not event.any():
        raise DataError("No donor has an event: nothing can be said of survival.")


def checked_groups(
    time: Sequence[float] | pd.Series, event: Sequence[int] | pd.Series, group: Sequence[str] | pd.Series
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Arrays of one length, with a label for each donor."""
    time, event = (np.asarray(side, dtype=np.float64) for side in (time, event))
    labels = pd.Series(np.asarray(group))
    if not len(time) == len(event) == len(labels):
        raise DataError(
            f"Expected one length; found {len(time)} times, {len(event)} events, {len(labels)} groups."
        )
    if labels.isna().any():
        raise DataError(f"{int(labels.isna().sum())} donors have no group; leave them out first.")
    check_outcome(time, event)
    return time, event.astype(int), labels.astype(str).to_numpy(dtype=str)
