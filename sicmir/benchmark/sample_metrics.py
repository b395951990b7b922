"""How well the miRNA profile of one sample is predicted, after the means of the miRNAs are taken out.

A correlation over the miRNAs of a sample as they are is not offered. miRNAs differ in their means by ten
log2 units and more, so that the mean of the training samples, the same for everybody, already correlates at
0.9 with a sample of TCGA; that says that miR-21 is abundant, not that the sample was read. What is
compared here is how the sample differs from that mean, as is done for predicted responses to perturbations
(Viñas Torné et al. 2025, doi 10.1038/s41587-025-02777-8). Against a mean over all cohorts the difference is
still mostly that between cancer types; against the mean of the sample's cohort it is that within one.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from sicmir.errors import DataError, ParameterError
from sicmir.metrics import Metric, matched, per_mirna

_SYSTEMA = "Viñas Torné et al. 2025, doi 10.1038/s41587-025-02777-8 (centring on a reference)"

SAMPLE_METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric(
            "pearson_centred", (-1.0, 1.0), True, "Pearson r over miRNAs, training mean removed", _SYSTEMA
        ),
        Metric(
            "spearman_centred", (-1.0, 1.0), True, "Spearman rho over miRNAs, training mean removed", _SYSTEMA
        ),
        Metric("rmse", (0.0, float("inf")), False, "RMSE over miRNAs, log2(RPM+1)"),
    )
}
"""The metrics of :func:`per_sample` by column name."""

ROUNDING = 1e-6
"""Relative size below which a difference from the mean is rounding of float32 and counts as none."""


def per_sample(
    observed: pd.DataFrame,
    predicted: pd.DataFrame,
    reference_mean: pd.Series | pd.DataFrame,
    cohort: Sequence[str] | pd.Series | None = None,
) -> pd.DataFrame:
    """Compare measured and predicted miRNA, sample by sample.

    Only miRNAs that are measured, predicted and have a reference count. A prediction that is the reference
    itself has no correlation (NaN).

    Parameters
    ----------
    observed, predicted
        Samples x miRNAs in log2(RPM+1), NaN where not measured; matched by their labels.
    reference_mean
        Mean log2(RPM+1) of each miRNA over the *training* samples: the mean of the judged samples would make
        use of what is to be predicted. A DataFrame cohorts x miRNAs takes the row of each sample's cohort.
    cohort
        Label of each sample among the rows of a DataFrame: its cohort, or its fold where every fold has a
        training mean of its own. A Series is matched by its index.

    Returns
    -------
    DataFrame
        Index sample; ``n``, the miRNAs that count, then :data:`SAMPLE_METRICS`. Correlations are NaN where
        fewer than 3 miRNAs count or a side does not differ from the reference.

    Raises
    ------
    DataError
        If labels do not agree, a value is infinite, or a miRNA or a cohort has no reference.
    ParameterError
        If ``cohort`` comes without a DataFrame of references, or the other way about.
    """
    if isinstance(reference_mean, pd.DataFrame) != (cohort is not None):
        raise ParameterError(
            "Give a reference mean for each cohort (DataFrame, cohorts x miRNAs) and cohort labels, "
            "or one mean for all samples (Series) and no labels."
        )
    x, y, mirnas, _ = matched(observed, predicted, np.zeros(len(observed)) if cohort is None else cohort)
    if cohort is None:
        table, labels = reference_mean.to_frame("all").T, np.full(len(x), "all")
    else:
        aligned = cohort.reindex(observed.index) if isinstance(cohort, pd.Series) else cohort
        table, labels = reference_mean, np.asarray(aligned)
    means = _reference(table, labels, mirnas)
    of_observed, of_predicted = (
        np.where(np.abs(side - means) <= ROUNDING * np.maximum(1, np.abs(means)), 0, side - means)
        for side in (x, y)
    )
    # With samples as the columns, the statistics are those of metrics.per_mirna.
    result = per_mirna(of_observed.T, of_predicted.T, np.zeros(len(mirnas)), names=observed.index)
    columns = {"pearson": "pearson_centred", "spearman": "spearman_centred"}
    return result.rename(columns=columns)[["n", *SAMPLE_METRICS]].rename_axis("sample")


def _reference(table: pd.DataFrame, labels: Sequence[str] | np.ndarray, mirnas: pd.Index) -> np.ndarray:
    """Reference of each sample, samples x miRNAs; NaN where it is NaN."""
    if table.index.has_duplicates or table.columns.has_duplicates:
        raise DataError("The miRNAs and the cohorts of the reference means should be unique.")
    absent = mirnas.difference(table.columns)
    if len(absent):
        raise DataError(f"{len(absent)} of {len(mirnas)} miRNAs have no reference mean (first: {absent[0]}).")
    unknown = pd.Index(labels).unique().difference(table.index)
    if len(unknown):
        raise DataError(
            f"There is no reference mean for {', '.join(map(str, unknown))}; there are "
            f"{', '.join(map(str, table.index))}."
        )
    means = table.loc[labels, mirnas].to_numpy(dtype=np.float64)
    if np.isinf(means).any():
        raise DataError("The reference means hold infinite values; expected log2(RPM+1).")
    return means
