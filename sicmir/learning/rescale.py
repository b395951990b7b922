"""Bring samples in other units to the scale of the training samples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Self, get_args

import numpy as np
import pandas as pd
from scipy.special import ndtr

from sicmir.errors import DataError, ParameterError
from sicmir.learning.imputation import Z_LIMIT
from sicmir.matrices.normalise import MIN_COHORT, MOST_LOG2, InputTransform, TransformName, finite_matrix

_GRID = 4001
_TAIL = 5.0


class Rescale:
    r"""Samples × genes in the units of the training samples, from three kinds of input.

    It knows the mean and the SD of each gene over the training samples. What was not measured stays NaN.

    ``frozen``
        The values are in training units already, and stay as they are.
    ``rank``
        The measured genes of a sample are put in order, and rank r of n becomes the quantile (r - 0.5) / n of
        the mixture of :math:`N(mean_g, SD_g)` over the same n genes. So a sample with 451 genes is compared
        with what the training samples have in these 451. It needs neither units nor other samples, and any
        strictly increasing change of a sample leaves the result as it is.

        Ties, zeros above all, are put in the order of the training means: of two genes that were not seen,
        the one that is usually higher is taken to be higher. Against the mean rank of the tie, in held-out
        TCGA samples thinned to 20,000 UMIs (41 % zeros), this lowered the RMSE of the genes from 1.5 to 1.2
        log2 and that of predicted miRNA from 1.47 to 1.37; at 1,500 UMIs (88 % zeros), from 2.0 to 1.4 and
        from 1.90 to 1.68. A sample whose values are all alike has no order: NaN throughout.
    ``cohort``
        :math:`mean_g + SD_g z` with the z-score (SD with divisor n) of the gene within the samples submitted
        together, as the published tool takes it, clipped to ±5. The result of a sample depends on the samples
        beside it. A gene that is constant there, or measured in fewer than 3 samples, says nothing about
        them: NaN, so that it counts as not measured, and not as the training mean. In cohorts of 6 held-out
        samples thinned to 1,500 UMIs, this raised the median r of predicted miRNA from 0.19 to 0.23.

    ``rank`` and ``cohort`` give NaN for a gene that was constant, or measured in fewer than 2 samples, in
    training.

    Parameters
    ----------
    genes
        Names used in error messages; taken from the columns when a DataFrame is given.

    Attributes
    ----------
    mean_, sd_
        Of each gene in training, n genes; 0 where the SD is not known.
    """

    def __init__(self, genes: Sequence[str] | None = None) -> None:
        self.genes = None if genes is None else list(genes)

    def fit(self, X: np.ndarray | pd.DataFrame) -> Self:
        """Learn mean and SD of training samples × genes, log2(x+1), NaN where not measured.

        Raises
        ------
        DataError
            If a value is infinite or no logarithm, or there is no sample or no gene.
        """
        return self._take(InputTransform("frozen", self._names(X)).fit(X).state())

    def to_training(self, X: np.ndarray | pd.DataFrame, transform: TransformName) -> np.ndarray:
        """Bring samples × genes to training units, float32; NaN stays NaN.

        Parameters
        ----------
        X
            Samples × genes as in training; log2(x+1) for ``frozen``, any units for ``rank``, and any
            logarithm for ``cohort``.
        transform
            One of ``frozen``, ``rank``, ``cohort``.

        Raises
        ------
        ParameterError
            If there is no such transform, or ``fit`` was not called.
        DataError
            If a value is infinite (for ``frozen``, above 30, which no log2(x+1) is), the number of genes is
            another one than in training, a sample has no measured gene, or ``cohort`` is given fewer than 3
            samples.
        """
        if transform not in get_args(TransformName):
            raise ParameterError(
                f"There is no input transform {transform!r}; choose one of "
                f"{', '.join(get_args(TransformName))}."
            )
        values = self._checked(X)
        if transform == "rank":
            values = self._ranked(values)
        elif transform == "cohort":
            values = self._within_cohort(values)
        else:
            self._check_log2(values, self._names(X))
        return values.astype(np.float32)

    def state(self) -> dict[str, np.ndarray]:
        """Arrays that rebuild it: ``n_genes``, and ``mean`` and ``sd`` as float32."""
        self._check_fitted()
        moments = {"mean": self.mean_.astype(np.float32), "sd": self.sd_.astype(np.float32)}
        return {"n_genes": np.asarray(len(self.mean_))} | moments

    @classmethod
    def from_state(cls, state: Mapping[str, np.ndarray], genes: Sequence[str] | None = None) -> Self:
        """Rebuild it from :meth:`state`.

        Raises
        ------
        BundleError
            If an array is absent, unexpected, of the wrong length or not finite, or an SD is negative.
        """
        return cls(genes)._take(InputTransform.from_state("frozen", state).state())

    def _take(self, state: Mapping[str, np.ndarray]) -> Self:
        # As float32, so that what was saved and loaded gives the same values.
        self.mean_, self.sd_ = (state[key].astype(np.float32).astype(np.float64) for key in ("mean", "sd"))
        return self

    def _ranked(self, values: np.ndarray) -> np.ndarray:
        result = np.full(values.shape, np.nan)
        for rows, seen in gene_patterns(~np.isnan(values) & (self.sd_ > 0)):
            genes = np.flatnonzero(seen)
            genes = genes[np.argsort(self.mean_[genes], kind="stable")]
            block = values[np.ix_(rows, genes)]
            order = np.argsort(block, axis=1, kind="stable")
            ranked = np.empty_like(block)
            np.put_along_axis(ranked, order, self.quantiles(genes)[None], axis=1)
            ranked[block.min(axis=1) == block.max(axis=1)] = np.nan
            result[np.ix_(rows, genes)] = ranked
        return result

    def quantiles(self, genes: np.ndarray) -> np.ndarray:
        """Ascending quantiles of the training distribution of some genes, as many as there are genes."""
        mean, sd = self.mean_[genes, None], self.sd_[genes, None]
        grid = np.linspace((mean - _TAIL * sd).min(), (mean + _TAIL * sd).max(), _GRID)
        # Interpolation needs an increasing function; between distant genes it may be flat.
        cumulative, place = np.unique(ndtr((grid - mean) / sd).mean(axis=0), return_index=True)
        return np.interp((np.arange(len(genes)) + 0.5) / len(genes), cumulative, grid[place])

    def _within_cohort(self, values: np.ndarray) -> np.ndarray:
        if len(values) < MIN_COHORT:
            raise DataError(
                f"The transform 'cohort' needs at least {MIN_COHORT} samples, found {len(values)}. Use "
                "'frozen' or 'rank'."
            )
        z = InputTransform("cohort").fit(values).transform(values).astype(np.float64)
        # One sample with a gene that a hundred others lack has a z-score of 10, as no training sample has.
        z = np.clip(z, -Z_LIMIT, Z_LIMIT)
        known = ~np.isnan(values) & (z != 0).any(axis=0) & (self.sd_ > 0)
        return np.where(known, self.mean_ + self.sd_ * z, np.nan)

    def _checked(self, X: np.ndarray | pd.DataFrame) -> np.ndarray:
        self._check_fitted()
        values = finite_matrix(X, self._names(X))
        if values.shape[1] != len(self.mean_):
            raise DataError(
                f"The input has {values.shape[1]} genes; the training samples have {len(self.mean_)}. Bring "
                "the input to the panel with sicmir.panel.align."
            )
        empty = np.flatnonzero(np.isnan(values).all(axis=1))
        if empty.size:
            raise DataError(
                f"{empty.size} samples have no measured gene (first: row {empty[0]}). Leave them out."
            )
        return values

    def _check_log2(self, values: np.ndarray, genes: Sequence[str] | None) -> None:
        if np.nanmax(values) > MOST_LOG2:
            row, column = map(int, np.unravel_index(np.nanargmax(values), values.shape))
            gene = f"column {column}" if genes is None else genes[column]
            raise DataError(
                f"Row {row}, {gene}: found {values[row, column]:.6g}; expected log2(x+1), which stays below "
                f"{MOST_LOG2:.0f}. Take the logarithm first, in training units, or use 'rank'."
            )

    def _check_fitted(self) -> None:
        if not hasattr(self, "mean_"):
            raise ParameterError("The rescaling has not been fitted; call fit or from_state first.")

    def _names(self, X: np.ndarray | pd.DataFrame) -> list[str] | None:
        return list(X.columns) if isinstance(X, pd.DataFrame) else self.genes


def gene_patterns(measured: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Samples that have the same genes: row positions, and which genes these are; none without any gene."""
    if len(measured) and (measured == measured[0]).all():
        if measured[0].any():
            yield np.arange(len(measured)), measured[0]
        return
    # Sorting bits takes an eighth of the time of sorting bytes.
    bits, member = np.unique(np.packbits(measured, axis=1), axis=0, return_inverse=True)
    for i, seen in enumerate(np.unpackbits(bits, axis=1, count=measured.shape[1]).astype(bool)):
        if seen.any():
            yield np.flatnonzero(member == i), seen
