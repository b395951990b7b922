"""Input transforms: from measured log2 values of the landmark genes to what a model reads.

Each transform turns samples x genes into float32 of the same shape. A gene that was not measured
(NaN) becomes 0, the neutral value of all three, so that a missing gene carries no information.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias, get_args

import numpy as np
import pandas as pd
from scipy.special import ndtri
from scipy.stats import rankdata

from sicmir.errors import BundleError, DataError, ParameterError

TransformName: TypeAlias = Literal["frozen", "rank", "cohort"]
"""``frozen``: mean and SD of the training samples; ``rank``: normal scores within the sample;
``cohort``: z-score within the submitted samples."""

TransformChoice: TypeAlias = TransformName | Literal["auto"]
"""A transform, or the one that fits the units."""

MOST_LOG2 = 30.0
"""Largest value that log2(x+1) of an expression is taken to have: no normalised count reaches 2**30."""

MIN_COHORT = 3
"""Fewest samples of which the ``cohort`` transform takes a mean and an SD."""


class InputTransform:
    """Bring samples x genes to the scale of a model.

    ``frozen``
        (x - mean) / SD with the mean and SD of the training samples, missing values left out. The input
        must be in the training units. A gene that was constant, or measured in no training sample, gives 0
        for every input: its coefficient could not be learnt.
    ``rank``
        Within each sample the measured genes are ranked, ties by their average, and rank r of n becomes the
        normal score ndtri((r - 0.5) / n). It needs neither units nor other samples, and any strictly
        increasing change of a sample's values leaves it as it is.
    ``cohort``
        (x - mean) / SD with the mean and SD of the samples submitted together, as the published tool does.
        The result of a sample therefore depends on the samples beside it: the same sample scored within
        another cohort gives other values. A gene that is constant there, or measured in fewer than 3
        samples, gives 0.

    Parameters
    ----------
    name
        One of ``frozen``, ``rank``, ``cohort``.
    genes
        Names used in error messages; taken from the columns when a DataFrame is given.

    Raises
    ------
    ParameterError
        If there is no such transform.
    """

    def __init__(self, name: TransformName = "frozen", genes: Sequence[str] | None = None) -> None:
        if name not in get_args(TransformName):
            raise ParameterError(
                f"There is no input transform {name!r}; choose one of {', '.join(get_args(TransformName))}."
            )
        self.name: TransformName = name
        self.genes = None if genes is None else list(genes)
        self.n_genes: int | None = None
        self._state: dict[str, np.ndarray] = {}

    def fit(self, X: np.ndarray | pd.DataFrame) -> InputTransform:
        """Learn from the training samples; ``rank`` and ``cohort`` only note the number of genes.

        Parameters
        ----------
        X
            Training samples x genes, log2 values, NaN where not measured.

        Raises
        ------
        DataError
            If a value is infinite, or there is no sample or no gene.
        """
        values = self._values(X)
        self.n_genes = values.shape[1]
        if self.name == "frozen":
            mean, sd = _mean_sd(values, min_samples=2)
            self._state = {"mean": mean, "sd": sd}
        return self

    def transform(self, X: np.ndarray | pd.DataFrame) -> np.ndarray:
        """Transform samples x genes to float32; NaN becomes 0.

        Raises
        ------
        ParameterError
            If ``fit`` was not called.
        DataError
            If a value is infinite, the number of genes is another one than in training, a sample has no
            measured gene at all, or ``cohort`` is given fewer than 3 samples.
        """
        if self.n_genes is None:
            raise ParameterError(
                f"The input transform {self.name!r} has not been fitted; call fit or from_state first."
            )
        values = self._values(X)
        if values.shape[1] != self.n_genes:
            raise DataError(
                f"The input has {values.shape[1]} genes; the transform {self.name!r} was fitted on "
                f"{self.n_genes}. Bring the input to the panel with sicmir.panel.align."
            )
        empty = np.flatnonzero(np.isnan(values).all(axis=1))
        if empty.size:
            raise DataError(
                f"{empty.size} samples have no measured gene (first: row {empty[0]}). Leave them out."
            )
        if self.name == "rank":
            scores = _normal_scores(values)
        else:
            if self.name == "frozen":
                mean, sd = self._state["mean"], self._state["sd"]
            else:
                if values.shape[0] < MIN_COHORT:
                    raise DataError(
                        f"The transform 'cohort' needs at least {MIN_COHORT} samples, found "
                        f"{values.shape[0]}. Use a model with the transform 'frozen' or 'rank'."
                    )
                mean, sd = _mean_sd(values, min_samples=MIN_COHORT)
            scores = (values - mean) * np.divide(1.0, sd, out=np.zeros_like(sd), where=sd > 0)
        return np.nan_to_num(scores, nan=0.0).astype(np.float32)

    def state(self) -> dict[str, np.ndarray]:
        """Arrays that rebuild the transform: ``n_genes`` and, for ``frozen``, ``mean`` and ``sd``."""
        if self.n_genes is None:
            raise ParameterError(f"The input transform {self.name!r} has not been fitted; it has no state.")
        return {
            "n_genes": np.asarray(self.n_genes),
            **{key: value.copy() for key, value in self._state.items()},
        }

    @classmethod
    def from_state(
        cls, name: TransformName, state: Mapping[str, np.ndarray], genes: Sequence[str] | None = None
    ) -> InputTransform:
        """Rebuild a fitted transform from :meth:`state`.

        Raises
        ------
        BundleError
            If an array is absent, unexpected, of the wrong length or not finite, or an SD is negative.
        """
        transform = cls(name, genes)
        expected = {"n_genes", "mean", "sd"} if transform.name == "frozen" else {"n_genes"}
        if set(state) != expected:
            raise BundleError(
                f"The state of the transform {name!r} should hold {sorted(expected)}, found {sorted(state)}."
            )
        n_genes = int(state["n_genes"])
        for key in sorted(expected - {"n_genes"}):
            array = np.array(state[key], dtype=np.float64)
            if (
                array.shape != (n_genes,)
                or not np.isfinite(array).all()
                or (key == "sd" and (array < 0).any())
            ):
                raise BundleError(
                    f"The array {key!r} of the input transform {name!r} should hold {n_genes} finite values"
                    f"{' of at least 0' if key == 'sd' else ''}; its shape is {array.shape}."
                )
            transform._state[key] = array
        transform.n_genes = n_genes
        return transform

    def _values(self, X: np.ndarray | pd.DataFrame) -> np.ndarray:
        genes = list(X.columns) if isinstance(X, pd.DataFrame) else self.genes
        values = finite_matrix(X, genes)
        if self.name == "frozen" and np.nanmax(values, initial=0.0) > MOST_LOG2:
            row, column = np.unravel_index(np.nanargmax(values), values.shape)
            gene = (
                genes[column] if genes is not None and len(genes) == values.shape[1] else f"column {column}"
            )
            raise DataError(
                f"Row {row}, {gene}: found {values[row, column]:.6g}; expected log2(x+1), which stays below "
                f"{MOST_LOG2:.0f}. Take the logarithm first, in the units of the training data."
            )
        return values


def finite_matrix(X: np.ndarray | pd.DataFrame, genes: Sequence[str] | None = None) -> np.ndarray:
    """Samples x genes as float64, after checking that there is something and nothing infinite; NaN may stay.

    Raises
    ------
    DataError
        If there is no sample or no gene, or a value is infinite; names the first ``genes`` concerned.
    """
    values = np.asarray(X, dtype=np.float64)
    if values.ndim != 2 or 0 in values.shape:
        raise DataError(
            f"Expected samples x genes with at least one of each, found the shape {values.shape}."
        )
    infinite = np.flatnonzero(np.isinf(values).any(axis=0))
    if infinite.size:
        named = genes if genes is not None and len(genes) == values.shape[1] else None
        shown = ", ".join(f"column {i}" if named is None else str(named[i]) for i in infinite[:5])
        raise DataError(
            f"{infinite.size} genes hold infinite values (first: {shown}). Expected finite values, "
            "NaN where not measured; look for a logarithm of 0."
        )
    return values


def _mean_sd(values: np.ndarray, min_samples: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean and population SD of each column without NaN; SD 0 if constant or too rarely measured."""
    measured = ~np.isnan(values)
    n = measured.sum(axis=0)
    mean = np.where(measured, values, 0).sum(axis=0) / np.maximum(n, 1)
    centred = np.where(measured, values - mean, 0)
    sd = np.sqrt((centred**2).sum(axis=0) / np.maximum(n, 1))
    # A constant column has a rounding SD of about 1e-16 of its value, which must not be divided by.
    constant = (n < min_samples) | (sd <= 1e-7 * np.maximum(1.0, np.abs(mean)))
    return mean, np.where(constant, 0.0, sd)


def _normal_scores(values: np.ndarray) -> np.ndarray:
    """Van der Waerden-type scores of each row over its measured values; NaN stays NaN."""
    missing = np.isnan(values)
    ranks = (
        rankdata(values, method="average", axis=1, nan_policy="omit")
        if missing.any()
        else rankdata(values, method="average", axis=1)
    )
    n = (~missing).sum(axis=1, keepdims=True)
    return ndtri((ranks - 0.5) / n)
