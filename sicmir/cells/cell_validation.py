"""Predicted against measured miRNA of a few cell types, beside what guessing gives.

With four lines there are no tests here: the n is the number of lines. What stands in for a null is exact, the
same figures for every other way to name the lines, of which four have 23.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, permutations

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy.stats import spearmanr

from sicmir import prediction
from sicmir.benchmark.transfer import TRANSFORMS
from sicmir.cells.cell_agreement import between_cell_types, over_cell_types
from sicmir.errors import DataError
from sicmir.matrices.normalise import TransformName
from sicmir.model import Bundle

MIN_RPM = 100.0
"""Measured reads per million in at least one cell type that a miRNA needs to be judged over cell types."""

MIN_RANGE = 1.0
"""Measured difference between the highest and the lowest cell type, log2, that there must be to be told."""

FIGURES = ("between", "over", "right")
"""Figures of :func:`renamed`."""

MOST_TYPES = 7
"""Cell types up to which every order of names is tried (5,040 orders)."""


def predict_types(
    mrna: AnnData, bundle: Bundle, transforms: Sequence[TransformName] = TRANSFORMS
) -> dict[str, AnnData]:
    """Predict the same cell types under each transform; nothing is abstained, ``in_domain`` tells instead.

    ``cohort`` z-scores the genes over all rows of ``mrna`` and needs three.
    """
    return {
        name: prediction.predict(mrna, bundle, transform=name, abstain=False, progress=False)
        for name in transforms
    }


def within_types(measured: pd.DataFrame, predicted: pd.DataFrame, training_mean: pd.Series) -> pd.DataFrame:
    """Agreement over the miRNAs of each cell type, beside that of the training mean.

    miRNAs differ in their means by far more than cell types do, so any constant guess does well here.
    ``partial`` is what the prediction adds: the Spearman correlation of measured and predicted given the
    training mean, 0 for a guess that knows the mean alone.

    Parameters
    ----------
    measured, predicted
        Cell types × miRNAs, log2, matched by labels; NaN is left out.
    training_mean
        Per miRNA, the mean of the training data.

    Returns
    -------
    DataFrame
        Index cell type: ``n_mirnas, spearman, training_mean, partial``.

    Raises
    ------
    DataError
        If a label is missing on one side, or fewer than 4 miRNAs are left.
    """
    measured, predicted = _same(measured, predicted)
    mean = training_mean.reindex(measured.columns)
    rows = {}
    for name, row in measured.iterrows():
        known = row.notna() & predicted.loc[name].notna() & mean.notna()
        if known.sum() < 4:
            raise DataError(f"{name}: expected 4 miRNAs or more with all values, found {known.sum()}.")
        y, x, m = row[known], predicted.loc[name][known], mean[known]
        rows[name] = (len(y), spearmanr(y, x).statistic, spearmanr(y, m).statistic, partial_spearman(y, x, m))
    return pd.DataFrame.from_dict(
        rows, orient="index", columns=["n_mirnas", "spearman", "training_mean", "partial"]
    )


def partial_spearman(x: pd.Series, y: pd.Series, given: pd.Series) -> float:
    """Spearman correlation of x and y given a third variable; what one of them lacks is left out.

    NaN where ``given`` decides one of the others entirely.
    """
    table = pd.concat([x, y, given], axis=1, join="inner").dropna()
    (_, xy, xg), (_, _, yg), _ = table.rank().corr().to_numpy()
    rest = (1 - xg**2) * (1 - yg**2)
    return float((xy - xg * yg) / np.sqrt(rest)) if rest > 1e-12 else float("nan")


def same_type(measured: pd.DataFrame, cell_type: pd.Series, training_mean: pd.Series) -> pd.DataFrame:
    """Agreement of two measurements of one cell type, which no prediction can be expected to exceed.

    Parameters
    ----------
    measured, training_mean
        As for :func:`within_types`.
    cell_type
        Of each row of ``measured``; rows of one cell type are compared.

    Returns
    -------
    DataFrame
        ``a, b`` (rows), ``n_mirnas, spearman, partial``; empty where nothing was measured twice.
    """
    rows = []
    for a, b in combinations(measured.index, 2):
        if cell_type[a] == cell_type[b]:
            both = measured.loc[[a, b]].dropna(axis=1)
            rho = spearmanr(*both.to_numpy()).statistic
            partial = partial_spearman(both.loc[a], both.loc[b], training_mean)
            rows.append((a, b, both.shape[1], rho, partial))
    return pd.DataFrame(rows, columns=["a", "b", "n_mirnas", "spearman", "partial"])


def told_apart(measured: pd.DataFrame, min_rpm: float = MIN_RPM, min_range: float = MIN_RANGE) -> pd.Index:
    """The miRNAs that were measured well enough, and differently enough, to ask which cell type has most.

    Parameters
    ----------
    measured
        Cell types × miRNAs, log2(RPM + 1).
    min_rpm, min_range
        See :data:`MIN_RPM` and :data:`MIN_RANGE`. The prediction plays no part.
    """
    high = measured.max() >= np.log2(min_rpm + 1)
    varies = (measured.max() - measured.min()) >= min_range
    return measured.columns[(high & varies & measured.notna().all()).to_numpy()]


def per_mirna(measured: pd.DataFrame, predicted: pd.DataFrame) -> pd.DataFrame:
    """Each miRNA over the cell types: correlation, and the cell type with most of it.

    Returns
    -------
    DataFrame
        Index miRNA: ``n_cell_types, pearson, spearman`` (see
        :func:`sicmir.cells.cell_agreement.over_cell_types`), ``range`` and ``predicted_range`` (highest less
        lowest, log2), ``highest`` and ``predicted_highest`` (cell types), ``right``. A random guess is
        right in one of n_cell_types; always naming one cell type, as often as it is ``highest``.

    Raises
    ------
    DataError
        If a label is missing on one side, or a value is.
    """
    measured, predicted = _same(measured, predicted)
    if measured.isna().to_numpy().any() or predicted.isna().to_numpy().any():
        raise DataError("Expected a value of every miRNA in every cell type; leave out the others.")
    table = over_cell_types(measured, predicted)[["n_cell_types", "pearson", "spearman"]]
    found = table.assign(
        range=measured.max() - measured.min(),
        predicted_range=predicted.max() - predicted.min(),
        highest=measured.idxmax(),
        predicted_highest=predicted.idxmax(),
    )
    return found.assign(right=found["highest"] == found["predicted_highest"])


def renamed(measured: pd.DataFrame, predicted: pd.DataFrame, within: pd.Series | None = None) -> pd.DataFrame:
    """Agreement for every way to lay the names of the cell types on the predictions.

    Parameters
    ----------
    measured, predicted
        Cell types of one source × miRNAs, log2, without NaN.
    within
        Cell type -> data set, or what else sets cells apart: names are exchanged within it alone, so that
        what only tells data sets apart does not count. None takes all for one.

    Returns
    -------
    DataFrame
        A row for each order, the true one first: ``order`` (names, comma-separated), ``n_in_place``,
        ``between`` (median over pairs of cell types of the Spearman correlation of differences over miRNAs),
        ``over`` (median over miRNAs of Pearson r over cell types), ``right`` (share of miRNAs whose highest
        cell type is told).

    Raises
    ------
    DataError
        If there are fewer than 4 cell types, or more than :data:`MOST_TYPES`.
    """
    measured, predicted = _same(measured, predicted)
    names = list(measured.index)
    if not 4 <= len(names) <= MOST_TYPES:
        raise DataError(f"Expected 4 to {MOST_TYPES} cell types, found {len(names)}.")
    rows = []
    blocks = [0] * len(names) if within is None else within.astype(str).loc[names].tolist()
    block_of = dict(zip(names, blocks, strict=True))
    for order in permutations(names):
        if [block_of[name] for name in order] != blocks:
            continue
        other = predicted.loc[list(order)].set_axis(measured.index)
        judged = per_mirna(measured, other)
        between = between_cell_types(measured, other)["spearman"].median()
        in_place = sum(a == b for a, b in zip(order, names, strict=True))
        rows.append((", ".join(order), in_place, between, judged["pearson"].median(), judged["right"].mean()))
    return pd.DataFrame(rows, columns=["order", "n_in_place", *FIGURES])


def place_of_truth(orders: pd.DataFrame) -> pd.DataFrame:
    """Where the true order stands among all orders of the names.

    Parameters
    ----------
    orders
        As :func:`renamed` gives them.

    Returns
    -------
    DataFrame
        A row for each of ``between``, ``over`` and ``right``: ``figure, true, others`` (their median),
        ``best_other``, ``place`` (1 for the best; ties count against it) and ``n_orders``.
    """
    rows = []
    for figure in FIGURES:
        true, others = orders[figure].iloc[0], orders[figure].iloc[1:]
        place = int((orders[figure] >= true).sum())
        rows.append((figure, true, others.median(), others.max(), place, len(orders)))
    return pd.DataFrame(rows, columns=["figure", "true", "others", "best_other", "place", "n_orders"])


def by_grade(table: pd.DataFrame, grade: pd.Series) -> pd.DataFrame:
    """Medians of :func:`per_mirna` for the miRNAs of each grade of the trust table.

    Returns
    -------
    DataFrame
        ``grade, n_mirnas, pearson, spearman, right``, best grade first.
    """
    grades = grade.reindex(table.index).astype(str).rename("grade")
    groups = table.groupby(grades)
    found = groups[["pearson", "spearman"]].median().assign(right=groups["right"].mean())
    found.insert(0, "n_mirnas", groups.size())
    return found.reset_index()


def _same(measured: pd.DataFrame, predicted: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Both in the order of ``measured``."""
    for axis, kind in ((0, "cell type"), (1, "miRNA")):
        absent = measured.axes[axis].difference(predicted.axes[axis])
        if len(absent):
            raise DataError(f"The {kind} {absent[0]} was measured and is not among those predicted.")
    return measured, predicted.loc[measured.index, measured.columns]
