"""How far the predictions of each miRNA can be trusted: one table, joined from measured figures, and a grade.

Nothing is computed from expression here but :func:`expression_summary`; the figures come from
:func:`sicmir.metrics.per_mirna` and :mod:`sicmir.learning.conformal`. The grade is a rule fixed beforehand.
It asks for a correlation within cohorts, which cohort means cannot give, of samples whose cohort was trained
on and of samples whose cohort was not. A cohort holds its normal samples, so that the difference between
tumour and normal is part of what is graded; ``within_condition_r`` tells what is left without it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from sicmir.errors import DataError, ParameterError
from sicmir.metrics import Metric, matched


@dataclass(frozen=True)
class Grade:
    """The smallest correlations of a grade (NaN for the last one) and what the grade means."""

    grade: str
    within_r: float
    unseen_within_r: float
    meaning: str


GRADES: dict[str, Grade] = {
    grade.grade: grade
    for grade in (
        Grade(
            "A",
            0.6,
            0.45,
            "Differences between samples of one cancer type are predicted well, new types too.",
        ),
        Grade("B", 0.45, 0.3, "Differences within a cancer type are predicted; groups can be compared."),
        Grade("C", 0.3, 0.15, "Weak within a cancer type; a lead to check, not a result."),
        Grade("D", np.nan, np.nan, "Not shown to be predicted within a cancer type; do not interpret."),
    )
}
"""Grades from best to worst, each by two thresholds; ``pandas.DataFrame(GRADES.values())`` is their table."""

_R, _COUNT, _GAIN = (-1.0, 1.0), (0.0, float("inf")), (-2.0, 2.0)

COLUMNS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("mean_log2_rpm", _COUNT, None, "Mean measured log2(RPM+1)"),
        Metric("detection_rate", (0.0, 1.0), None, "Share of samples with RPM > 1"),
        Metric("n_samples", _COUNT, True, "Samples that measured it"),
        Metric("n_donors", _COUNT, True, "Donors of these samples"),
        Metric("pooled_r", _R, True, "Pearson r, all samples of new donors"),
        Metric("within_r", _R, True, "Pearson r within cohort, new donors"),
        Metric("within_condition_r", _R, True, "Pearson r within tumours and within normals, new donors"),
        Metric("unseen_pooled_r", _R, True, "Pearson r, all samples of unseen cohorts"),
        Metric("unseen_within_r", _R, True, "Pearson r within unseen cohorts"),
        Metric("single_cell_r", _R, True, "Pearson r over measured cell types"),
        Metric("n_cell_types", _COUNT, True, "Cell types behind single_cell_r"),
        Metric("gain_over_cohort_mean", _GAIN, True, "Pooled r minus that of cohort means"),
        Metric("gain_over_host_gene", _GAIN, True, "Within-cohort r minus that of the host gene alone"),
        Metric("half_width", _COUNT, False, "Half width of the interval, log2(RPM+1), at spread 1"),
        Metric("coverage", (0.0, 1.0), None, "Share of measured values inside the interval"),
    )
}
"""Columns of :func:`trust_table` before ``grade``, with the range that is checked."""


def expression_summary(observed: pd.DataFrame, donor: Sequence[str] | pd.Series) -> pd.DataFrame:
    """How much of each miRNA there is, and in how many samples and donors it was measured.

    Parameters
    ----------
    observed
        Samples x miRNAs in log2(RPM+1), NaN where not measured.
    donor
        Donor of each sample; a Series is matched by its index.

    Returns
    -------
    DataFrame
        Index miRNA; ``mean_log2_rpm, detection_rate, n_samples, n_donors`` of :data:`COLUMNS`, the first two
        NaN where no sample measured it.

    Raises
    ------
    DataError
        If a value is negative or infinite, names are not unique or a sample has no donor.
    """
    values, _, mirnas, donors = matched(observed, observed, donor, "donor")
    if (values < 0).any():
        raise DataError("Expected log2(RPM+1), which is at least 0; z-scores cannot be used here.")
    frame = pd.DataFrame(values, columns=mirnas)
    measured = frame.notna()
    return pd.DataFrame(
        {
            "mean_log2_rpm": frame.mean(),
            "detection_rate": (frame > np.log2(1 + 1)).astype(float).where(measured).mean(),
            "n_samples": measured.sum(),
            "n_donors": measured.groupby(donors).any().sum(),
        }
    )


def trust_table(
    expression: pd.DataFrame,
    seen: pd.DataFrame,
    unseen: pd.DataFrame,
    *,
    cohort_mean: pd.DataFrame | None = None,
    host_gene: pd.DataFrame | None = None,
    single_cell: pd.DataFrame | None = None,
    half_widths: pd.Series | None = None,
    coverage: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Join what was measured about each miRNA, and grade it.

    All tables have the miRNA as index and speak of the same miRNAs, in any order; ``host_gene`` and
    ``single_cell`` may lack some. What is not given or not measured is NaN, ``n_cell_types`` 0.

    Parameters
    ----------
    expression
        As :func:`expression_summary` gives it.
    seen, unseen
        Tables of :func:`sicmir.metrics.per_mirna` for out-of-fold predictions: of donors whose cohort was
        trained on, and of cohorts that were left out altogether. ``seen`` may have the column
        ``pearson_within_condition``, in which the normal samples of a cohort are a group of their own.
    cohort_mean
        The same for this baseline, on the samples of ``seen``. It is compared by the pooled r, since within a
        cohort it has none.
    host_gene
        Column ``gain``: within-cohort r minus that of the host gene, both on the samples that measured it.
    single_cell
        Columns ``single_cell_r`` and ``n_cell_types``.
    half_widths
        As :func:`sicmir.learning.conformal.half_widths` gives them.
    coverage
        As :func:`sicmir.benchmark.interval_coverage.coverage` gives it without cohorts.

    Returns
    -------
    DataFrame
        Index miRNA in the order of ``expression``; :data:`COLUMNS`, then ``grade``.

    Raises
    ------
    DataError
        If miRNAs differ or are duplicated, a column is absent, or a value is out of its range.
    """
    mirnas = expression.index

    def take(table: pd.DataFrame | None, column: str, what: str, some: bool = False) -> pd.Series:
        return _column(table, column, mirnas, what, some)

    table = pd.DataFrame({name: take(expression, name, "expression") for name in list(COLUMNS)[:4]})
    table["pooled_r"] = take(seen, "pearson", "seen")
    table["within_r"] = take(seen, "pearson_within", "seen")
    apart = seen if "pearson_within_condition" in seen else None
    table["within_condition_r"] = take(apart, "pearson_within_condition", "seen")
    table["unseen_pooled_r"] = take(unseen, "pearson", "unseen")
    table["unseen_within_r"] = take(unseen, "pearson_within", "unseen")
    table["single_cell_r"] = take(single_cell, "single_cell_r", "single_cell", some=True)
    table["n_cell_types"] = take(single_cell, "n_cell_types", "single_cell", some=True).fillna(0).astype(int)
    pooled = take(cohort_mean, "pearson", "cohort_mean")
    table["gain_over_cohort_mean"] = table["pooled_r"] - pooled
    table["gain_over_host_gene"] = take(host_gene, "gain", "host_gene", some=True)
    widths = None if half_widths is None else half_widths.to_frame("half_width")
    table["half_width"] = take(widths, "half_width", "half_widths")
    table["coverage"] = take(coverage, "coverage", "coverage")
    _check_ranges(table)
    table["grade"] = grade(table)
    return table.rename_axis("mirna")


def grade(table: pd.DataFrame) -> pd.Series:
    """Grade of each miRNA by the thresholds of :data:`GRADES`.

    Parameters
    ----------
    table
        With the columns ``within_r`` and ``unseen_within_r``. Where either is NaN the grade is D.

    Returns
    -------
    Series
        Ordered categorical D < C < B < A.

    Raises
    ------
    DataError
        If a column is absent or a correlation is outside [-1, 1].
    """
    within, unseen = (_column(table, name, table.index, "table") for name in ("within_r", "unseen_within_r"))
    _check_ranges(pd.DataFrame({"within_r": within, "unseen_within_r": unseen}))
    found = np.full(len(table), "D", dtype=object)
    for rule in reversed(GRADES.values()):
        # Comparison with NaN, the threshold of D and the value of a miRNA that was not judged, is false.
        found[(within >= rule.within_r) & (unseen >= rule.unseen_within_r)] = rule.grade
    return pd.Series(_categorical(found), index=table.index, name="grade")


def check_grades(table: pd.DataFrame, test_within: pd.Series) -> pd.DataFrame:
    """Whether the grades hold on donors that took no part in choosing or grading anything.

    The grade selects on the development figure, so that the test figure of a grade is expected to lie
    somewhat lower; a good rule keeps most miRNAs above its threshold all the same.

    Parameters
    ----------
    table
        With the columns ``within_r`` and ``grade``, as :func:`trust_table` gives it.
    test_within
        Within-cohort r of the test donors, ``pearson_within`` of :func:`sicmir.metrics.per_mirna`.

    Returns
    -------
    DataFrame
        Index grade, A to D. ``n_mirnas``; ``development_median``, of ``within_r``; ``n_tested``, miRNAs with
        a test r; ``test_median, test_lower``, its median and 10 % quantile; ``share_reached``, the share of
        tested miRNAs whose test r is at least the ``within_r`` of the grade (NaN for D).

    Raises
    ------
    DataError
        If miRNAs differ, a column is absent, a grade is not known or a correlation is out of range.
    """
    grades = _categorical(_column(table, "grade", table.index, "table"))
    test = _column(test_within.to_frame("test_within"), "test_within", table.index, "test_within")
    within = _column(table, "within_r", table.index, "table")
    for values in (within, test):
        _check_ranges(values.to_frame("within_r"))
    rows = {}
    for rule in GRADES.values():
        chosen = np.asarray(grades == rule.grade)
        tested = test[chosen].dropna()
        judged = len(tested) > 0 and np.isfinite(rule.within_r)
        rows[rule.grade] = {
            "n_mirnas": int(chosen.sum()),
            "development_median": within[chosen].median(),
            "n_tested": len(tested),
            "test_median": tested.median(),
            "test_lower": tested.quantile(0.1),
            "share_reached": (tested >= rule.within_r).mean() if judged else np.nan,
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("grade")


def at_least(grades: Sequence[str] | pd.Series, min_grade: str) -> np.ndarray:
    """Which miRNAs have ``min_grade`` or a better one.

    Parameters
    ----------
    grades
        Grade of each miRNA, also as plain text.
    min_grade
        ``"A"`` to ``"D"``; ``"D"`` keeps all.

    Returns
    -------
    ndarray
        Boolean, one for each miRNA.

    Raises
    ------
    ParameterError
        If there is no such grade.
    DataError
        If a grade of a miRNA is missing or not known.
    """
    if min_grade not in GRADES:
        raise ParameterError(f"min_grade should be one of {', '.join(GRADES)}; found {min_grade!r}.")
    return np.asarray(_categorical(grades) >= min_grade)


def _categorical(grades: Sequence[str] | np.ndarray | pd.Series) -> pd.Categorical:
    found = pd.Categorical(np.asarray(grades, dtype=object), categories=list(GRADES)[::-1], ordered=True)
    if found.isna().any():
        odd = np.asarray(grades, dtype=object)[found.isna()][0]
        raise DataError(f"Every miRNA should have a grade of {', '.join(GRADES)}; found {odd!r}.")
    return found


def _column(
    table: pd.DataFrame | None, column: str, mirnas: pd.Index, what: str, some: bool = False
) -> pd.Series:
    """One column in the order of the miRNAs, NaN where there is no table; ``some`` miRNAs may be absent."""
    if table is None:
        return pd.Series(np.nan, index=mirnas)
    if column not in table:
        raise DataError(
            f"{what}: the column {column!r} is absent; found {', '.join(map(str, table.columns))}."
        )
    for side in (mirnas, table.index):
        if side.has_duplicates:
            raise DataError(f"{what}: {side[side.duplicated()][0]} occurs twice; expected each miRNA once.")
    odd = table.index.difference(mirnas) if some else table.index.symmetric_difference(mirnas)
    if len(odd):
        raise DataError(
            f"{what}: {len(odd)} miRNAs differ from the {len(mirnas)} of the table (first: {odd[0]}). "
            "Expected the same miRNAs at the same level, mature or stem-loop."
        )
    return table[column].reindex(mirnas)


def _check_ranges(table: pd.DataFrame) -> None:
    for name in table:
        low, high = COLUMNS[name].range
        values = table[name].astype(np.float64)
        bad = np.isinf(values) | (values < low - 1e-9) | (values > high + 1e-9)
        if bad.any():
            raise DataError(
                f"{name}: {int(bad.sum())} values are infinite or outside [{low:g}, {high:g}], for example "
                f"{values[bad].iloc[0]:g} for {values.index[bad][0]}."
            )
