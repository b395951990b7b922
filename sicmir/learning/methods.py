"""What a method is, and how every method alike is asked for out-of-fold predictions.

An estimator has ``fit(X, Y, obs)`` and ``predict(X, obs)``: X is samples x landmarks in log2(x+1), Y is
samples x miRNAs in log2(RPM+1), NaN where not measured, ``obs`` has the columns ``donor`` and ``cohort``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
import pandas as pd
from tqdm import tqdm

from sicmir.errors import DataError
from sicmir.learning.splits import Split, assert_no_leak


class Estimator(Protocol):
    """What every method provides."""

    def fit(self, X: np.ndarray, Y: np.ndarray, obs: pd.DataFrame) -> Self:
        """Learn from training samples."""

    def predict(self, X: np.ndarray, obs: pd.DataFrame) -> np.ndarray:
        """Return samples x miRNAs in log2(RPM+1)."""


@dataclass(frozen=True)
class Method:
    """Facts of a method and the way to make its estimator.

    Attributes
    ----------
    name
        Short name, used in tables and figures.
    source
        Where the method comes from.
    needs
        What a sample must bring beside its mRNA, for example ``{"cohort"}``.
    make
        Makes a fresh estimator from a seed.
    control
        ``negative`` must fail, ``baseline`` must be beaten, ``positive`` must be perfect; empty for a proper
        method.
    tells_samples_apart
        Whether samples of one cohort can get different values. If not, a correlation within a cohort is
        not defined; over folds it would come out negative, because leaving high samples out lowers the
        mean that is predicted for them.
    """

    name: str
    source: str
    needs: frozenset[str]
    make: Callable[[int], Estimator]
    control: str = ""
    tells_samples_apart: bool = True


def cross_predict(
    method: Method,
    X: np.ndarray | pd.DataFrame,
    Y: np.ndarray | pd.DataFrame,
    obs: pd.DataFrame,
    splits: Sequence[Split],
    seed: int = 0,
    progress: bool = True,
) -> pd.DataFrame:
    """Predict every test sample by an estimator that never saw its donor.

    Parameters
    ----------
    method
        Method; a fresh estimator is made for each split.
    X, Y
        Samples x landmarks in log2(x+1) and samples x miRNAs in log2(RPM+1), rows in the order of ``obs``.
    obs
        Samples with the columns ``donor`` and ``cohort``.
    splits
        Splits over the rows of ``obs``; each is checked for leaks, and a sample may be tested only once.
    seed
        Handed to ``method.make``.
    progress
        Show a progress bar over splits.

    Returns
    -------
    DataFrame
        Samples x miRNAs in log2(RPM+1), float32; NaN for samples that no split tests.

    Raises
    ------
    DataError
        If a split leaks, a sample is tested twice, rows do not agree, or an estimator returns a wrong shape.
    """
    for what, matrix in (("X", X), ("Y", Y)):
        if isinstance(matrix, pd.DataFrame) and not matrix.index.equals(obs.index):
            raise DataError(f"The rows of {what} are not the samples of obs in the same order.")
    mirnas = Y.columns if isinstance(Y, pd.DataFrame) else pd.RangeIndex(np.shape(Y)[1])
    X, Y = checked(X, Y, obs)
    times = np.zeros(len(obs), dtype=int)
    for split in splits:
        assert_no_leak(split, obs)
        times[split.test] += 1
    if (times > 1).any():
        raise DataError(
            f"{(times > 1).sum()} samples are in the test set of several splits (first: "
            f"{obs.index[times > 1][0]}). Call cross_predict once for each set of disjoint folds."
        )
    result = np.full(Y.shape, np.nan, dtype=np.float32)
    for split in tqdm(splits, desc=method.name, unit="split", disable=not progress):
        estimator = method.make(seed).fit(X[split.train], Y[split.train], obs.iloc[split.train])
        predicted = np.asarray(estimator.predict(X[split.test], obs.iloc[split.test]))
        expected = (len(split.test), Y.shape[1])
        if predicted.shape != expected:
            raise DataError(
                f"The method {method.name!r} returned the shape {predicted.shape}, expected {expected}."
            )
        result[split.test] = predicted
    return pd.DataFrame(result, index=obs.index, columns=mirnas)


def checked(
    X: np.ndarray | pd.DataFrame, Y: np.ndarray | pd.DataFrame, obs: pd.DataFrame
) -> tuple[np.ndarray, np.ndarray]:
    """Return X and Y as arrays after checking what every ``fit`` expects.

    Raises
    ------
    DataError
        If the numbers of rows differ or are 0, Y is infinite, or ``donor`` or ``cohort`` is missing.
    """
    X, Y = np.asarray(X), np.asarray(Y, dtype=np.float64)
    if X.ndim != 2 or Y.ndim != 2 or not len(X) or not len(X) == len(Y) == len(obs):
        raise DataError(
            "Expected X and Y with one row for each sample of obs; found the shapes "
            f"{X.shape} and {Y.shape} and {len(obs)} samples."
        )
    if np.isinf(Y).any():
        raise DataError(
            f"{np.isinf(Y).any(axis=0).sum()} miRNAs hold infinite values; expected log2(RPM+1), "
            "NaN where not measured."
        )
    for column in ("donor", "cohort"):
        if column not in obs or obs[column].isna().any():
            raise DataError(f"obs should have the column {column!r} with a label for each sample.")
    return X, Y
