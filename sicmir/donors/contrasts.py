"""Compare measured and predicted differences of miRNAs between two groups of samples.

An effect is a difference of means in log2, of tumour against normal or of a cohort against the rest. It is
taken from measured and from predicted miRNA by :func:`effects` and compared over miRNAs by :func:`agreement`.
Unlike a correlation over all genes, a difference is free of the means of the miRNAs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from sicmir.errors import DataError, ParameterError
from sicmir.metrics import Metric

Effects: TypeAlias = np.ndarray | pd.Series

CONTRAST_METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("top_k_recall", (0.0, 1.0), True, "Share of the k largest effects that is found"),
        Metric("sign_agreement", (0.0, 1.0), True, "Share of effects with the right sign"),
        Metric("effect_spearman", (-1.0, 1.0), True, "Spearman rho of effects"),
        Metric("effect_rmse", (0.0, float("inf")), False, "RMSE of effects, log2"),
    )
}
"""What :func:`agreement` gives, by name."""


def effects(
    values: pd.DataFrame,
    group: Sequence[str] | pd.Series,
    donor: Sequence[str] | pd.Series | None = None,
    *,
    case: str,
    reference: str = "",
    paired: bool = False,
) -> pd.DataFrame:
    """Difference of each miRNA between two groups of samples.

    With ``donor``, the samples of a donor within a group are averaged first, so that n counts donors. If
    ``paired``, the effect is the mean difference within donors that have both groups, and donors with one
    group are left out; else it is the difference of the two means, with the standard error of Welch 1947
    (doi 10.1093/biomet/34.1-2.28), which takes the groups for independent.

    Parameters
    ----------
    values
        Samples x miRNAs in log2(RPM+1), measured or predicted; NaN is left out.
    group, donor
        Labels of the samples; a Series is matched by its index.
    case
        Group whose effect is wanted, such as ``tumour`` or a cohort.
    reference
        Group that it is compared with; empty for all other samples.
    paired
        Compare within donors.

    Returns
    -------
    DataFrame
        Index miRNA. ``effect`` in log2, above 0 where ``case`` is higher; ``se``, its standard error; ``n``,
        the number of pairs, or of donors (samples without ``donor``) in the smaller group. Effect and SE are
        NaN where n is below 2.

    Raises
    ------
    DataError
        If a label is missing, a value is infinite, miRNAs are not unique, or a group or every pair is absent.
    ParameterError
        If ``paired`` comes without ``donor``, or ``case`` is the reference.
    """
    if case == reference or (paired and donor is None):
        raise ParameterError(
            f"Expected two groups, found case={case!r} and reference={reference!r}."
            if case == reference
            else "A paired contrast needs the donor of each sample; give donor, or paired=False."
        )
    if not values.columns.is_unique or np.isinf(values.to_numpy(dtype=np.float64)).any():
        raise DataError("The miRNAs should be unique and hold no infinite value; expected log2(RPM+1).")
    label = _labels(values, group, "group")
    sides = []
    for name, chosen in (
        (case, label == case),
        (reference, label == reference if reference else label != case),
    ):
        if not chosen.any():
            wanted = repr(name) if name else f"other than {case!r}"
            there = ", ".join(sorted(set(label)))
            raise DataError(f"No sample is of the group {wanted}; there are {there}.")
        side = values.loc[chosen].astype(np.float64)
        if donor is not None:
            side = side.groupby(_labels(values, donor, "donor")[chosen]).mean()
        sides.append(side)
    if paired:
        shared = sides[0].index.intersection(sides[1].index)
        if not len(shared):
            raise DataError(f"No donor has samples of {case!r} and of {reference or 'another group'!r}.")
        return _mean_and_variance(sides[0].loc[shared] - sides[1].loc[shared])
    tables = [_mean_and_variance(side) for side in sides]
    effect = tables[0]["effect"] - tables[1]["effect"]
    se = np.hypot(tables[0]["se"], tables[1]["se"])
    n = np.minimum(tables[0]["n"], tables[1]["n"])
    return pd.DataFrame({"effect": effect, "se": se, "n": n})


def agreement(observed: pd.DataFrame, predicted: pd.DataFrame, k: int = 20) -> pd.Series:
    """Every metric of :data:`CONTRAST_METRICS` for two tables of :func:`effects` of the same miRNAs.

    Returns
    -------
    Series
        ``n_mirnas`` with both effects, then the metrics; ``top_k_recall`` is for ``k``.

    Raises
    ------
    DataError
        If the miRNAs are not the same or none has both effects.
    ParameterError
        If ``k`` is out of range.
    """
    pair = observed["effect"], predicted["effect"]
    x, y = _matched(*pair)
    return pd.Series(
        {
            "n_mirnas": len(x),
            "top_k_recall": top_k_recall(*pair, k),
            "sign_agreement": sign_agreement(*pair),
            "effect_spearman": effect_spearman(*pair),
            "effect_rmse": float(np.sqrt(np.mean((x - y) ** 2))),
        }
    )


def top_k_recall(observed_effect: Effects, predicted_effect: Effects, k: int) -> float:
    """Share of the k largest measured effects that is among the k largest predicted ones, with its sign.

    Effects are ranked by their size without sign, ties by position. For m miRNAs, guessing finds k / (2 m).

    Parameters
    ----------
    observed_effect, predicted_effect
        One effect for each miRNA: Series are matched by index, arrays by position. Pairs with NaN are left
        out, so that a miRNA that is not predicted can neither be found nor missed.
    k
        How many, from 1 to the number of miRNAs with both.

    Returns
    -------
    From 0 to 1; 1 if all are found.

    Raises
    ------
    DataError
        If the miRNAs are not the same, an effect is infinite or no miRNA has both.
    ParameterError
        If ``k`` is out of range.
    """
    x, y = _matched(observed_effect, predicted_effect)
    if not 1 <= k <= len(x):
        raise ParameterError(f"k should lie between 1 and the {len(x)} miRNAs with both effects, found {k}.")
    top = [set(np.argsort(-np.abs(side), kind="stable")[:k]) for side in (x, y)]
    right = np.flatnonzero(np.sign(x) == np.sign(y))
    return len(top[0] & top[1] & set(right)) / k


def sign_agreement(observed_effect: Effects, predicted_effect: Effects, min_effect: float = 0.0) -> float:
    """Share of miRNAs whose predicted effect has the sign of the measured one.

    Only miRNAs with a measured effect larger than ``min_effect`` (log2, without sign) count. A predicted
    effect of 0 has not the sign. Other arguments and errors as for :func:`top_k_recall`.

    Returns
    -------
    From 0 to 1; guessing gives 0.5. NaN if no measured effect is that large.
    """
    x, y = _matched(observed_effect, predicted_effect)
    large = np.abs(x) > min_effect
    return float((np.sign(x) == np.sign(y))[large].mean()) if large.any() else float("nan")


def effect_spearman(observed_effect: Effects, predicted_effect: Effects) -> float:
    """Spearman rank correlation of measured and predicted effects over miRNAs.

    Arguments and errors as for :func:`top_k_recall`.

    Returns
    -------
    From -1 to 1; guessing gives 0. NaN for fewer than 3 miRNAs or where all effects of a side are equal.
    """
    x, y = (rankdata(side) for side in _matched(observed_effect, predicted_effect))
    if len(x) < 3 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return float("nan")
    return float(np.corrcoef(x, y)[0, 1])


def _labels(values: pd.DataFrame, labels: Sequence[str] | pd.Series, what: str) -> np.ndarray:
    column = labels.reindex(values.index) if isinstance(labels, pd.Series) else pd.Series(np.asarray(labels))
    if len(column) != len(values) or column.isna().any():
        raise DataError(
            f"Expected a {what} for each of {len(values)} samples; found {len(column)}, "
            f"{int(column.isna().sum())} of them missing."
        )
    return column.astype(str).to_numpy(dtype=str)


def _mean_and_variance(table: pd.DataFrame) -> pd.DataFrame:
    """Mean of each column, its standard error and the number of values; NaN for fewer than 2."""
    n = table.notna().sum()
    se = table.std(ddof=1) / np.sqrt(n)
    return pd.DataFrame({"effect": table.mean().where(n >= 2), "se": se, "n": n}).rename_axis("mirna")


def _matched(observed: Effects, predicted: Effects) -> tuple[np.ndarray, np.ndarray]:
    """Bring effects to one order and leave out miRNAs that lack one."""
    if isinstance(observed, pd.Series) != isinstance(predicted, pd.Series):
        raise DataError("Give both effects as Series or both as arrays.")
    if isinstance(observed, pd.Series) and isinstance(predicted, pd.Series):
        if observed.index.has_duplicates or set(observed.index) != set(predicted.index):
            raise DataError("The effects should be of the same miRNAs, each of them once.")
        predicted = predicted.loc[observed.index]
    x, y = (np.asarray(side, dtype=np.float64) for side in (observed, predicted))
    if x.ndim != 1 or x.shape != y.shape or np.isinf(x).any() or np.isinf(y).any():
        raise DataError(
            f"Expected finite vectors, an effect for each miRNA; found the shapes {x.shape} and {y.shape}."
        )
    both = ~np.isnan(x) & ~np.isnan(y)
    if not both.any():
        raise DataError("No miRNA has both a measured and a predicted effect.")
    return x[both], y[both]
