"""Prediction intervals of each miRNA that need no assumption about the distribution of the errors.

Split conformal prediction takes the errors of samples that the model never saw and lets the interval be as
wide as the share ``level`` of them needs (Vovk et al. 2005, doi 10.1007/b106715; Lei et al. 2018,
doi 10.1080/01621459.2017.1307116). It holds for a new donor that is exchangeable with the donors behind the
errors: for donors of the same cohorts, not for a cancer type or a platform that was not among them.

Samples of one donor are not exchangeable with those of others. Each donor therefore counts once: a sample
weighs 1 / (samples of its donor), and a new donor, whose error is unknown, weighs as much as any other
(hierarchical conformal prediction, Lee, Barber & Willett 2023, doi 10.48550/arXiv.2306.06342). The
interval then covers a sample drawn from a new donor with probability ``level`` or more for any number of
donors. Of the choices of Dunn, Wasserman & Ramdas 2023 (doi 10.1080/01621459.2022.2060112), pooling the
distributions of the donors without the new donor's weight holds only for many donors, and drawing one sample
a donor holds but leaves data and a random draw in the result.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import pandas as pd
from anndata import AnnData

from sicmir.errors import DataError, ParameterError
from sicmir.matrices.dense import dense
from sicmir.metrics import matched

Spread: TypeAlias = Sequence[float] | np.ndarray | pd.Series

ROUNDING = 1e-9
"""Sums of weights such as 1/3 may miss the level by less than this."""


def half_widths(
    observed: pd.DataFrame,
    predicted: pd.DataFrame,
    donor: Sequence[str] | pd.Series,
    *,
    level: float = 0.9,
    spread: Spread | None = None,
) -> pd.Series:
    """Half width of the prediction interval of each miRNA.

    For n donors it is the smallest score s such that the weights of all scores up to s add up to at least
    ``level`` (n + 1), where the samples of a donor that measured the miRNA share the weight 1. With one
    sample a donor that is the score of rank ceil((n + 1) level). It is NaN, no interval, where
    n < level / (1 - level), so below 9 donors at 90 %: no finite width would do.

    The predictions must come from models that never saw the donor. If it is one model, its intervals have
    at least the level; for out-of-fold predictions and a final model trained on all donors that is
    approximate (Vovk 2015, doi 10.1007/s10472-013-9368-4), and donors kept aside tell how well it is met.

    Parameters
    ----------
    observed, predicted
        Samples x miRNAs in log2(RPM+1), NaN where not measured; matched by their labels.
    donor
        Donor of each sample; a Series is matched by its index.
    level
        Share of new values that the interval should hold.
    spread
        For each sample a number above 0 that tells how large its errors are expected to be, known without
        its miRNA. The score is then the absolute error / spread (locally weighted, Lei et al. 2018), and
        :func:`intervals` must be given the spread of the new samples. All 1 if not given.

    Returns
    -------
    Series
        Index miRNA; log2(RPM+1), or multiples of the spread.

    Raises
    ------
    DataError
        If labels do not agree, a value is infinite, or a spread is not above 0.
    ParameterError
        If ``level`` is not between 0 and 1.
    """
    check_level(level)
    x, y, mirnas, donors = matched(observed, predicted, donor, "donor")
    scores = np.abs(x - y) / _spread(spread, observed.index)
    used = np.isfinite(scores)
    per_donor = np.zeros((donors.max(initial=-1) + 1, len(mirnas)))
    np.add.at(per_donor, donors, used)
    weights = np.divide(1.0, per_donor[donors], out=np.zeros(x.shape), where=used)
    needed = level * ((per_donor > 0).sum(axis=0) + 1)
    # NaN sorts last with weight 0, so it is never the first score that reaches what is needed.
    order = np.argsort(scores, axis=0, kind="stable")
    reached = np.cumsum(np.take_along_axis(weights, order, axis=0), axis=0) >= needed * (1 - ROUNDING)
    result = np.full(len(mirnas), np.nan)
    finite = reached.any(axis=0)
    columns = np.flatnonzero(finite)
    result[finite] = scores[order[reached.argmax(axis=0)[finite], columns], columns]
    return pd.Series(result, index=mirnas, name="half_width")


def intervals(
    predicted: pd.DataFrame, half_widths: pd.Series, spread: Spread | None = None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Lower and upper bound of every prediction: predicted ± half width x spread.

    Bounds below 0 become 0, since log2(RPM+1) has no smaller values; the predictions stay as they are.

    Parameters
    ----------
    predicted
        Samples x miRNAs in log2(RPM+1).
    half_widths
        As :func:`half_widths` gives them, for all these miRNAs and perhaps others.
    spread
        Spread of these samples if the half widths were taken with one.

    Returns
    -------
    lower, upper
        Samples x miRNAs in log2(RPM+1); NaN where the miRNA has no interval or was not predicted.

    Raises
    ------
    DataError
        If a miRNA has no entry in ``half_widths`` or occurs twice, a value is infinite, or a half width is
        negative or a spread not above 0.
    """
    widths = widths_of(predicted.columns, half_widths)
    values = predicted.to_numpy(dtype=np.float64)
    if np.isinf(values).any():
        raise DataError("Predictions should be finite.")
    reach = widths * _spread(spread, predicted.index)
    labels = {"index": predicted.index, "columns": predicted.columns}
    return (
        pd.DataFrame(np.maximum(values - reach, 0), **labels),
        pd.DataFrame(np.maximum(values + reach, 0), **labels),
    )


def uncut_half_widths(predicted: AnnData) -> np.ndarray:
    """Half width of every interval of a prediction before its bounds were cut at 0.

    Half the distance of the bounds is too small where the lower one was cut, and so is the distance of the
    upper one from a prediction that was cut itself. The half widths of the miRNAs and the spread of the row
    tell what was there before; the latter is read off the miRNAs that were predicted above 0.

    Parameters
    ----------
    predicted
        Samples × miRNAs with layers ``lower`` and ``upper`` and, unless no bound was cut, ``half_width`` in
        ``var``, as :func:`sicmir.predict` gives it.

    Returns
    -------
    ndarray
        Samples × miRNAs, float64, log2(RPM+1); NaN where there is no interval.
    """
    values, upper = (dense(part).astype(np.float64) for part in (predicted.X, predicted.layers["upper"]))
    reach = upper - values
    if "half_width" not in predicted.var:
        return reach
    widths = predicted.var["half_width"].to_numpy(dtype=np.float64)
    told = (values > 0) & (widths > 0) & np.isfinite(reach)
    ratio = np.divide(reach, widths, out=np.full(reach.shape, np.nan), where=told)
    some = told.any(axis=1)
    spread = np.full(len(values), np.nan)
    spread[some] = np.nanmedian(ratio[some], axis=1)
    return np.where(np.isnan(reach) | ~some[:, None], reach, widths * spread[:, None])


def widths_of(mirnas: pd.Index, half_widths: pd.Series) -> np.ndarray:
    """Half width of each of some miRNAs, float64; NaN where it has no interval.

    Raises
    ------
    DataError
        If a miRNA has no entry in ``half_widths`` or occurs twice, or a half width is infinite or negative.
    """
    if mirnas.has_duplicates or half_widths.index.has_duplicates:
        raise DataError("The miRNAs of predictions and half widths should be unique.")
    places = half_widths.index.get_indexer(mirnas)
    if (places < 0).any():
        raise DataError(
            f"{(places < 0).sum()} of {len(mirnas)} predicted miRNAs have no half width (first: "
            f"{mirnas[places < 0].min()}). Take both from one model."
        )
    widths = half_widths.to_numpy(dtype=np.float64)[places]
    if np.isinf(widths).any() or (widths < 0).any():
        raise DataError("Half widths should be finite and at least 0.")
    return widths


def check_level(level: float) -> None:
    """Refuse a level outside (0, 1)."""
    if not 0 < level < 1:
        raise ParameterError(f"level should lie between 0 and 1, such as 0.9; found {level}.")


def _spread(spread: Spread | None, samples: pd.Index) -> np.ndarray:
    """Spread of each sample as a column, 1 if there is none."""
    if spread is None:
        return np.ones((len(samples), 1))
    aligned = spread.reindex(samples) if isinstance(spread, pd.Series) else spread
    values = np.asarray(aligned, dtype=np.float64)
    if values.shape != (len(samples),) or not np.isfinite(values).all() or (values <= 0).any():
        raise DataError(
            f"Expected a spread above 0 for each of {len(samples)} samples; found the shape {values.shape} "
            f"with {int((~(values > 0) | np.isinf(values)).sum())} values that are not finite or not above 0."
        )
    return values[:, None]
