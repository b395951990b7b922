"""Kernel ridge regression of all miRNAs at once, for samples of several sources with gaps in their panels."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from scipy.linalg import cho_factor, cho_solve, cholesky, solve_triangular
from sklearn.metrics.pairwise import euclidean_distances, linear_kernel

from sicmir.errors import BundleError, DataError, ParameterError
from sicmir.learning.imputation import FilledGenes
from sicmir.learning.methods import checked

BATCHES: Mapping[str, float] = MappingProxyType({"dataset": 0.5, "machine": 0.3, "plate": 0.01})
"""Variances of the batch effects, relative to that of the function."""

MIN_VARIANCE = 1e-6
"""Smallest posterior variance of f, so that rounding makes no spread of 0."""

_ARRAYS = ("weights", "centres", "dual", "coef", "centre")


class MaskedKernelRidge:
    r"""Gaussian-process regression of all miRNAs, with batch effects and imputed genes.

    **Input.** Genes are standardised and missing ones filled in by
    :class:`sicmir.learning.imputation.FilledGenes`. Each is multiplied by a weight of mean square 1: the root
    of its mean squared correlation, within cohorts, with all miRNAs. The inputs of training samples are kept
    at half precision.

    **Kernel.** Two samples a and b with p such genes are alike by

    .. math:: k(a, b) = \frac{c}{p}\, a \cdot b + e^{-g |a - b| / \sqrt p}

    with c = ``linear`` and g = ``rate``. The first term carries a trend on to samples unlike all training
    samples; the second, the Matérn kernel of order 1/2, follows the training samples near by.

    **Model.** t holds a miRNA less its mean, in the training samples X that measured it, and :math:`Z_b` the
    indicators of batch column b with variance :math:`v_b`:

    .. math:: t = f(X) + \sum_b Z_b u_b + \varepsilon, \quad
              f \sim \mathcal{GP}(0, k), \quad u_b \sim \mathcal N(0, v_b I), \quad
              \varepsilon \sim \mathcal N(0, \sigma^2 I)

    with :math:`\sigma^2` = ``noise``. Variances are relative to that of f, so the scale of a miRNA does not
    matter. The posterior mean at a new sample x is

    .. math:: \hat f(x) = k(x, X)\, \alpha, \quad
              \Bigl(k(X, X) + \sum_b v_b Z_b Z_b^\top + \sigma^2 I\Bigr)\, \alpha = t .

    Batch effects are thus estimated together with f and left out of a prediction, which needs no batch label.
    The columns of :math:`Z_b` are centred, so that the effects do not take up the mean. A missing label is a
    batch of its own. miRNAs measured in the same samples share one Cholesky factor.

    Kernel ridge regression as the posterior mean of a Gaussian process: Rasmussen & Williams 2006, Gaussian
    Processes for Machine Learning, ISBN 026218253X, sections 2.2, 4.2.1 and 6.2. Batch effects of known
    variance, the linear mixed model: Robinson 1991, doi 10.1214/ss/1177011926.

    The default values were chosen on two of five donor-grouped folds, and on five cohorts left out, of TCGA
    samples with RSEM-normalised genes.

    A miRNA with fewer than ``min_samples`` training samples is predicted as NaN. Everything is deterministic,
    and a prediction depends on its own sample alone.

    Parameters
    ----------
    linear, rate
        Of the kernel.
    noise
        Noise variance.
    batches
        Column of ``obs`` → variance of its effects. Columns that ``obs`` lacks are passed over.
    shrinkage
        Of the imputer.
    min_samples
        Fewest training samples of a miRNA.

    Raises
    ------
    ParameterError
        If an option is out of range.
    """

    kind: ClassVar[str] = "kernel"

    def __init__(
        self,
        linear: float = 0.4,
        rate: float = 0.6,
        noise: float = 0.1,
        batches: Mapping[str, float] = BATCHES,
        shrinkage: float = 0.3,
        min_samples: int = 20,
    ) -> None:
        for name, value, expected, valid in (
            ("linear", linear, "finite and at least 0", 0 <= linear < np.inf),
            ("rate", rate, "finite and at least 0", 0 <= rate < np.inf),
            ("noise", noise, "finite and above 0", 0 < noise < np.inf),
            ("batches", dict(batches), "variances of at least 0", all(v >= 0 for v in batches.values())),
            ("shrinkage", shrinkage, "above 0", shrinkage > 0),
            ("min_samples", min_samples, "at least 2", min_samples >= 2),
        ):
            if not valid:
                raise ParameterError(f"{name} should be {expected}; found {value!r}.")
        self.linear, self.rate, self.noise = float(linear), float(rate), float(noise)
        self.batches = {column: float(variance) for column, variance in batches.items()}
        self.shrinkage, self.min_samples = float(shrinkage), int(min_samples)

    def fit(self, X: np.ndarray, Y: np.ndarray, obs: pd.DataFrame) -> Self:
        """Learn from training samples.

        Parameters
        ----------
        X
            Samples × landmarks, log2(x+1), NaN where not measured.
        Y
            Samples × miRNAs, log2(RPM+1), NaN where not measured. Samples without any miRNA are left out.
        obs
            Samples with the columns ``donor`` and ``cohort``, and those of ``batches`` that there are.

        Raises
        ------
        DataError
            If shapes do not agree, a value is infinite, a sample has no donor, cohort or measured gene, or
            no miRNA has ``min_samples`` samples.
        """
        X, Y = checked(X, Y, obs)
        self.kept_ = (~np.isnan(Y)).sum(axis=0) >= self.min_samples
        if not self.kept_.any():
            raise DataError(
                f"None of {Y.shape[1]} miRNAs is measured in {self.min_samples} of {len(Y)} training samples."
            )
        rows = ~np.isnan(Y[:, self.kept_]).all(axis=1)
        X, Y, obs = X[rows], Y[np.ix_(rows, self.kept_)], obs.iloc[rows]
        self.genes_ = FilledGenes(self.shrinkage).fit(X)
        genes = self.genes_.transform(X)
        cohort = pd.factorize(obs["cohort"])[0]
        self.weights_ = _gene_weights(_within(genes, cohort), _within(Y, cohort))
        inputs = _rounded(genes * self.weights_)

        self.centre_ = np.nanmean(Y, axis=0)
        covariance = self.linear / inputs.shape[1] * linear_kernel(inputs) + self._near(inputs, inputs)
        covariance += self._batch_covariance(obs) + self.noise * np.eye(len(inputs))
        self.dual_ = np.zeros(Y.shape)
        patterns, members = np.unique(~np.isnan(Y), axis=1, return_inverse=True)
        for i, seen in enumerate(patterns.T):
            block = np.ix_(seen, members == i)
            factor = cho_factor(covariance[np.ix_(seen, seen)], overwrite_a=True)
            self.dual_[block] = cho_solve(factor, Y[block] - self.centre_[members == i])
        self.centres_ = inputs
        vars(self).pop("factor_", None)
        self.coef_ = self.linear / inputs.shape[1] * inputs.T @ self.dual_
        return self

    def predict(self, X: np.ndarray, obs: pd.DataFrame | None = None) -> np.ndarray:
        """Predict samples × miRNAs, log2(RPM+1), float32; ``obs`` is not read. Values are not cut at 0.

        Raises
        ------
        ParameterError
            If ``fit`` was not called.
        DataError
            If a value is infinite, a sample has no measured gene, or the number of genes is another one.
        """
        return self.predict_with_spread(X)[0]

    def predict_with_spread(self, X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Predict as :meth:`predict`, and tell how unsure f is at each sample.

        Returns
        -------
        predicted
            Samples × miRNAs, log2(RPM+1), float32.
        spread
            Per sample, the posterior SD of f in the units of the kernel (Rasmussen & Williams 2006, equation
            2.26), above 0: small beside samples of the training, large far from all of them. It says nothing
            of one miRNA against another, and batches are left out of it.
        """
        self._check_fitted()
        inputs = self.genes_.transform(X) * self.weights_
        result = np.full((len(inputs), len(self.kept_)), np.nan, dtype=np.float32)
        near = self._near(inputs, self.centres_)
        result[:, self.kept_] = self.centre_ + inputs @ self.coef_ + near @ self.dual_
        scale = self.linear / inputs.shape[1]
        cross = near + scale * linear_kernel(inputs, self.centres_)
        explained = solve_triangular(self.factor(), cross.T, lower=True, check_finite=False)
        variance = 1 + scale * (inputs**2).sum(axis=1) - (explained**2).sum(axis=0)
        return result, np.sqrt(np.maximum(variance, MIN_VARIANCE))

    def factor(self) -> np.ndarray:
        """Lower Cholesky factor of the covariance of the training samples, made once."""
        if not hasattr(self, "factor_"):
            covariance = self.linear / self.centres_.shape[1] * linear_kernel(self.centres_)
            covariance += self._near(self.centres_, self.centres_) + self.noise * np.eye(len(self.centres_))
            self.factor_ = cholesky(covariance, lower=True)
        return self.factor_

    def compress(self, members: int = 2, seed: int = 0) -> MaskedKernelRidge:
        """Return a smaller model that holds means of training samples in place of the samples themselves.

        Samples are grouped by microaggregation (Domingo-Ferrer & Mateo-Sanz 2002, doi 10.1109/69.979982): the
        sample farthest from the mean of those left is averaged with its nearest ones, ``members`` in all; the
        last group has up to twice as many. The linear part is kept. The weights of the near part are fitted
        anew by ridge regression, so that the old and the new function agree on the training samples and on
        copies of them with noise of SD 0.3.

        Over 5 folds of TCGA with 1,200 training samples, groups of 2 lowered the median Pearson r from 0.795
        to 0.792, and that within cohorts from 0.523 to 0.520; groups of 3, to 0.790 and 0.510.

        Raises
        ------
        ParameterError
            If ``members`` is not from 2 to the number of training samples, or ``fit`` was not called.
        """
        self._check_fitted()
        inputs = self.centres_
        if not 2 <= members <= len(inputs):
            raise ParameterError(
                f"members should be from 2 to {len(inputs)}, the samples of the model; found {members}."
            )
        smaller = copy.copy(self)
        vars(smaller).pop("factor_", None)
        smaller.centres_ = _rounded(_group_means(inputs, members))
        rng = np.random.default_rng(seed)
        points = np.vstack([inputs, inputs + 0.3 * rng.standard_normal(inputs.shape)])
        features = self._near(points, smaller.centres_)
        gram = features.T @ features + 1e-3 * np.eye(features.shape[1])
        target = features.T @ (self._near(points, inputs) @ self.dual_)
        smaller.dual_ = cho_solve(cho_factor(gram), target)
        return smaller

    def state(self) -> dict[str, np.ndarray]:
        """Arrays that rebuild what predicts; without :meth:`compress`, with the genes of all samples."""
        self._check_fitted()
        return {
            **{key: getattr(self, f"{key}_").astype(np.float32) for key in _ARRAYS},
            "centres": self.centres_.astype(np.float16),
            "kept": self.kept_.copy(),
            **{f"genes.{key}": value for key, value in self.genes_.state().items()},
        }

    def facts(self) -> dict[str, Any]:
        """The options, by name."""
        options = ("linear", "rate", "noise", "batches", "shrinkage", "min_samples")
        return {name: copy.copy(getattr(self, name)) for name in options}

    @classmethod
    def from_state(cls, facts: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Self:
        """Rebuild a fitted model from :meth:`facts` and :meth:`state`.

        Raises
        ------
        BundleError
            If an option or an array is absent, unexpected or not valid: of the wrong shape, or not finite.
        """
        own = {key: value for key, value in arrays.items() if not key.startswith("genes.")}
        expected = {*_ARRAYS, "kept"}
        if set(own) != expected or set(facts) != set(cls().facts()):
            raise BundleError(
                f"The state of the kernel model should hold genes.* and {sorted(expected)}, its facts "
                f"{sorted(cls().facts())}; found {sorted(own)} and {sorted(facts)}."
            )
        try:
            model = cls(**facts)
        except (AttributeError, TypeError, ValueError) as error:
            raise BundleError(f"The kernel model does not take its own options: {error}") from error
        model.genes_ = FilledGenes.from_state(
            {key.removeprefix("genes."): value for key, value in arrays.items() if key not in own}
        )
        model.kept_ = np.array(own["kept"], dtype=bool)
        genes, mirnas = len(model.genes_.imputer_.mean_), int(model.kept_.sum())
        shapes = {
            "weights": (genes,),
            "centres": (len(own["dual"]), genes),
            "dual": (len(own["dual"]), mirnas),
            "coef": (genes, mirnas),
            "centre": (mirnas,),
        }
        for key, shape in shapes.items():
            array = np.array(own[key], dtype=np.float64)
            if array.shape != shape or not np.isfinite(array).all():
                raise BundleError(
                    f"The array {key!r} of the kernel model should be finite with the shape {shape}; its "
                    f"shape is {array.shape}."
                )
            setattr(model, f"{key}_", array)
        return model

    def _check_fitted(self) -> None:
        if not hasattr(self, "centres_"):
            raise ParameterError("The kernel model has not been fitted; call fit or from_state first.")

    def _near(self, A: np.ndarray, B: np.ndarray) -> np.ndarray:
        """The second term of the kernel, rows of A × rows of B."""
        return np.exp(-self.rate / np.sqrt(A.shape[1]) * euclidean_distances(A, B))

    def _batch_covariance(self, obs: pd.DataFrame) -> np.ndarray:
        covariance = np.zeros((len(obs), len(obs)))
        for column, variance in self.batches.items():
            if column in obs:
                label = pd.factorize(obs[column])[0]
                alone = label < 0
                label[alone] = label.max() + 1 + np.arange(alone.sum())
                covariance += variance * (label[:, None] == label)
        # What batches took up of the mean would be missing from predictions.
        return covariance - covariance.mean(axis=0) - covariance.mean(axis=1)[:, None] + covariance.mean()


def _rounded(values: np.ndarray) -> np.ndarray:
    """Values of half precision, as a bundle stores them: what is fitted to them fits the stored ones too."""
    return values.astype(np.float16).astype(np.float64)


def _within(values: np.ndarray, cohort: np.ndarray) -> np.ndarray:
    """Deviations from the mean of the cohort; NaN stays NaN."""
    frame = pd.DataFrame(values)
    return (frame - frame.groupby(cohort).transform("mean")).to_numpy()


def _gene_weights(genes: np.ndarray, mirnas: np.ndarray) -> np.ndarray:
    """Root of the mean squared correlation of each gene with all miRNAs, scaled to a mean square of 1."""
    unit = []
    for values in (genes, np.nan_to_num(mirnas)):
        length = np.linalg.norm(values, axis=0)
        unit.append(values / np.where(length > 1e-6 * np.sqrt(len(values)), length, np.inf))
    weights = np.sqrt(((unit[0].T @ unit[1]) ** 2).mean(axis=1))
    scale = np.sqrt((weights**2).mean())
    return weights / scale if scale > 0 else np.ones(len(weights))


def _group_means(inputs: np.ndarray, members: int) -> np.ndarray:
    """Means of groups of similar rows, each of at least ``members`` rows."""
    left, means = inputs, []
    while len(left) >= 2 * members:
        far = ((left - left.mean(axis=0)) ** 2).sum(axis=1).argmax()
        near = np.argsort(((left - left[far]) ** 2).sum(axis=1), kind="stable")[:members]
        means.append(left[near].mean(axis=0))
        left = np.delete(left, near, axis=0)
    return np.array([*means, left.mean(axis=0)])
