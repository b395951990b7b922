"""Control methods that a network must beat: means, ridge regression and a negative control.

They share the interface of :mod:`sicmir.learning.methods`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import numpy as np
import pandas as pd
from sklearn.model_selection import GroupKFold

from sicmir.errors import DataError, ParameterError
from sicmir.learning.methods import Method, checked
from sicmir.matrices.normalise import InputTransform, TransformName


class GlobalMean:
    """Each miRNA at its mean over the training samples; what a method knows that ignores mRNA."""

    def fit(self, X: np.ndarray, Y: np.ndarray, obs: pd.DataFrame) -> Self:
        """Take the mean of each miRNA, missing values left out; NaN for one that was never measured."""
        _, Y = checked(X, Y, obs)
        self.mean_ = _mean(Y)
        return self

    def predict(self, X: np.ndarray, obs: pd.DataFrame) -> np.ndarray:
        """Give every sample the same values."""
        return np.tile(self.mean_, (len(X), 1)).astype(np.float32)


class CohortMean:
    """Each miRNA at its mean over the training samples of the same cohort.

    It needs to be told the cohort of a test sample, which no method that reads mRNA alone is. A sample of
    a cohort that was not seen, and a miRNA that was not measured in the cohort, get the global mean.
    """

    def fit(self, X: np.ndarray, Y: np.ndarray, obs: pd.DataFrame) -> Self:
        """Take the mean of each miRNA and cohort, missing values left out."""
        _, Y = checked(X, Y, obs)
        cohort = obs["cohort"].to_numpy(dtype=str)
        self.global_ = _mean(Y)
        self.means_ = {}
        for name in np.unique(cohort):
            mean = _mean(Y[cohort == name])
            self.means_[name] = np.where(np.isnan(mean), self.global_, mean)
        return self

    def predict(self, X: np.ndarray, obs: pd.DataFrame) -> np.ndarray:
        """Look up the cohort of each sample."""
        cohorts = obs["cohort"].to_numpy(dtype=str)
        return np.stack([self.means_.get(name, self.global_) for name in cohorts]).astype(np.float32)


class Ridge:
    """Ridge regression of all miRNAs on all landmarks, with one penalty chosen on inner donor folds.

    Inputs pass an :class:`sicmir.matrices.normalise.InputTransform`, so a gene that was not measured counts
    as its training mean. Targets are standardised, so that the penalty means the same for every miRNA. The
    penalty is the one of ``alphas`` with the smallest squared error over inner folds grouped by donor. miRNAs
    measured in the same training samples are fitted together; samples that lack a miRNA do not enter its
    fit. A miRNA with fewer than ``min_samples`` training samples, or fewer than ``n_inner`` donors, is
    predicted as NaN.

    Hoerl & Kennard 1970, doi 10.1080/00401706.1970.10488634; all penalties come from one singular value
    decomposition (Hastie, Tibshirani & Friedman 2009, The Elements of Statistical Learning, section 3.4.1).

    Parameters
    ----------
    transform
        Name of the input transform.
    alphas
        Penalties to choose from, for inputs of unit variance.
    n_inner
        Inner folds.
    min_samples
        Fewest training samples of a miRNA.
    shuffle_seed
        If given, the training targets are shuffled over samples with this seed: the negative control.
    """

    def __init__(
        self,
        transform: TransformName = "frozen",
        alphas: Sequence[float] = tuple(np.logspace(1, 5, 17)),
        n_inner: int = 5,
        min_samples: int = 20,
        shuffle_seed: int | None = None,
    ) -> None:
        if min(alphas, default=0) <= 0 or n_inner < 2 or min_samples < 2:
            raise ParameterError(
                "Ridge needs positive alphas, at least 2 inner folds and at least 2 samples; found "
                f"{alphas}, {n_inner} and {min_samples}."
            )
        self.transform, self.alphas = transform, np.asarray(alphas, dtype=float)
        self.n_inner, self.min_samples, self.shuffle_seed = n_inner, min_samples, shuffle_seed

    def fit(self, X: np.ndarray, Y: np.ndarray, obs: pd.DataFrame) -> Self:
        """Choose the penalty and fit. ``alphas_`` then holds the penalty of each miRNA.

        Raises
        ------
        DataError
            If shapes do not agree, a value is infinite, a sample has no donor or cohort, or there are
            too few samples for any miRNA.
        """
        X, Y = checked(X, Y, obs)
        if self.shuffle_seed is not None:
            Y = Y[np.random.default_rng(self.shuffle_seed).permutation(len(Y))]
        self.transform_ = InputTransform(self.transform).fit(X)
        inputs = self.transform_.transform(X).astype(np.float64)
        donor = pd.factorize(obs["donor"])[0]
        n_mirnas = Y.shape[1]
        self.coef_ = np.full((X.shape[1], n_mirnas), np.nan)
        self.intercept_, self.alphas_ = np.full(n_mirnas, np.nan), np.full(n_mirnas, np.nan)
        patterns, members = np.unique(~np.isnan(Y), axis=1, return_inverse=True)
        for i, rows in enumerate(patterns.T):
            if rows.sum() >= self.min_samples and len(np.unique(donor[rows])) >= self.n_inner:
                self._fit_block(inputs[rows], Y[rows], donor[rows], members == i)
        if np.isnan(self.alphas_).all():
            raise DataError(
                f"Ridge needs at least {self.min_samples} training samples of {self.n_inner} donors in which "
                f"a miRNA was measured; found {len(Y)} samples of {donor.max() + 1} donors. Use more "
                "samples, or fewer folds."
            )
        return self

    def predict(self, X: np.ndarray, obs: pd.DataFrame) -> np.ndarray:
        """Predict log2(RPM+1); ``obs`` is not read. Values are not cut at 0."""
        return (self.transform_.transform(X) @ self.coef_ + self.intercept_).astype(np.float32)

    def _fit_block(self, inputs: np.ndarray, Y: np.ndarray, donor: np.ndarray, columns: np.ndarray) -> None:
        targets = Y[:, columns]
        mean, sd = targets.mean(axis=0), targets.std(axis=0)
        targets = (targets - mean) * np.divide(1.0, sd, out=np.zeros_like(sd), where=sd > 1e-6)
        errors = np.zeros(len(self.alphas))
        for train, test in GroupKFold(self.n_inner).split(inputs, groups=donor):
            path = _RidgePath(inputs[train], targets[train])
            scores = (inputs[test] - path.x_mean) @ path.axes
            for i, alpha in enumerate(self.alphas):
                residual = scores @ path.loadings(alpha) + path.y_mean - targets[test]
                errors[i] += (residual**2).sum()
        best = self.alphas[errors.argmin()]
        path = _RidgePath(inputs, targets)
        coef = path.axes @ path.loadings(best)
        self.coef_[:, columns] = coef * sd
        self.intercept_[columns] = (path.y_mean - path.x_mean @ coef) * sd + mean
        self.alphas_[columns] = best


class _RidgePath:
    """Ridge regression of Y on X for any penalty: coefficients are ``axes @ loadings(alpha)``."""

    def __init__(self, X: np.ndarray, Y: np.ndarray) -> None:
        self.x_mean, self.y_mean = X.mean(axis=0), Y.mean(axis=0)
        U, self.s, Vt = np.linalg.svd(X - self.x_mean, full_matrices=False)
        self.axes = Vt.T
        self.projected = U.T @ (Y - self.y_mean)

    def loadings(self, alpha: float) -> np.ndarray:
        return (self.s / (self.s**2 + alpha))[:, None] * self.projected


CONTROLS: dict[str, Method] = {
    method.name: method
    for method in (
        Method(
            name="global-mean",
            source="mean of the training samples",
            needs=frozenset(),
            make=lambda seed: GlobalMean(),
            control="baseline",
            tells_samples_apart=False,
        ),
        Method(
            name="cohort-mean",
            source="mean of the training samples of the cohort",
            needs=frozenset({"cohort"}),
            make=lambda seed: CohortMean(),
            control="baseline",
            tells_samples_apart=False,
        ),
        Method(
            name="ridge",
            source="ridge regression, Hoerl & Kennard 1970, doi 10.1080/00401706.1970.10488634",
            needs=frozenset(),
            make=lambda seed: Ridge(),
            control="baseline",
        ),
        Method(
            name="shuffled",
            source="ridge regression on targets shuffled over samples",
            needs=frozenset(),
            make=lambda seed: Ridge(shuffle_seed=seed),
            control="negative",
        ),
    )
}
"""Control methods by name."""


def _mean(Y: np.ndarray) -> np.ndarray:
    """Mean of each column without missing values, NaN where all are missing."""
    n = (~np.isnan(Y)).sum(axis=0)
    return np.divide(np.nansum(Y, axis=0), n, out=np.full(Y.shape[1], np.nan), where=n > 0)
