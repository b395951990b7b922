"""Differences of predicted miRNAs, of one predictor or several, beside the measured ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from sicmir import stats
from sicmir.donors.differential_check import predicted_against_measured
from sicmir.errors import DataError


def as_predicted(measured: AnnData, values: pd.DataFrame) -> AnnData:
    """Put predictions in the place of measurements of the same samples and miRNAs.

    Parameters
    ----------
    measured
        Samples × miRNAs, log2(RPM+1).
    values
        Predictions for all of them, such as :attr:`sicmir.benchmark.evaluation.Comparison.predictions` holds.

    Raises
    ------
    DataError
        If a sample or a miRNA was not predicted.
    """
    absent = measured.obs_names.difference(values.index).union(measured.var_names.difference(values.columns))
    if len(absent):
        raise DataError(f"{len(absent)} samples or miRNAs were not predicted, such as {absent[0]}.")
    predicted = measured.copy()
    predicted.X = values.loc[measured.obs_names, measured.var_names].to_numpy(np.float32)
    return predicted


def differences(predicted: Mapping[str, AnnData], **options: Any) -> dict[str, pd.DataFrame]:
    """Test the predictions of each predictor that predicted anything.

    Parameters
    ----------
    predicted
        Samples × miRNAs by the name of the predictor.
    **options
        Of :func:`sicmir.stats.differential`.

    Returns
    -------
    Tables of :func:`sicmir.stats.differential` by name. A predictor that abstained from every sample, as the
    shipped model does from synthetic ones, is left out.
    """
    return {
        name: stats.differential(adata, **options)
        for name, adata in predicted.items()
        if np.isfinite(adata.X).any()
    }


def agreements(
    measured: pd.DataFrame, predicted: Mapping[str, pd.DataFrame], k: int = 20, fdr: float = 0.05
) -> pd.DataFrame:
    """One row a predictor: :func:`sicmir.donors.differential_check.predicted_against_measured`.

    Parameters
    ----------
    measured
        As :func:`sicmir.stats.differential` gives it.
    predicted
        As :func:`differences` gives them.
    k, fdr
        As for :func:`sicmir.donors.differential_check.predicted_against_measured`.

    Returns
    -------
    DataFrame
        Index ``predictor``; counts are integers.
    """
    rows = {name: predicted_against_measured(table, measured, k, fdr) for name, table in predicted.items()}
    found = pd.DataFrame.from_dict(rows, orient="index").rename_axis("predictor")
    return found.astype({name: int for name in found if name.startswith("n_")})
