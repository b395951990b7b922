"""Tell samples that are unlike anything in the training data: noise, mixed-up genes, another species."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Self

import numpy as np
import pandas as pd

from sicmir.errors import BundleError, DataError, ParameterError
from sicmir.learning.imputation import SD_FLOOR, Z_LIMIT, GaussianImputer
from sicmir.learning.rescale import Rescale, gene_patterns
from sicmir.learning.splits import donor_folds
from sicmir.matrices.normalise import TransformName, finite_matrix

RATES = {"outside": 0.05, "far": 0.005}
"""Largest share of held-out training donors that may be given a level."""

MIN_GENES = 100
"""Fewest measured genes that are judged."""

SIZES = (100, 200, 400)
"""Numbers of genes for which thresholds are set, beside the panels of the training samples themselves."""

_TRANSFORMS: tuple[TransformName, ...] = ("frozen", "rank")
_TABLES = ("sizes", *RATES)
_SHAPES = ("centre", "covariance", "ridge", *_TABLES, "false_alarms")


class Domain:
    r"""How well the genes of a sample agree with each other, by what the training samples taught.

    **Score.** With z the standardised genes of a sample, each measured gene is predicted from all other
    measured genes of the same sample by the Gaussian of :class:`sicmir.learning.imputation.GaussianImputer`,
    with precision matrix :math:`P = (S_{oo} + \lambda I)^{-1}`:

    .. math:: \hat z_g = z_g - (P z)_g / P_{gg} .

    Before that, z loses what any gene-independent change of scale a + bx would add (its projection on the
    vectors 1, 1/SD and mean/SD), and so does :math:`\hat z` after it. The score is the cosine of the angle
    between the whole z and :math:`\hat z`, from -1 to 1. Noise has no agreement between genes, shuffled genes
    and another species have the wrong one, and wrong units or dropout make z large where no gene can predict
    it; all bring the score down. It needs no other sample, and any subset of genes will do.

    **Levels.** In ``fit`` the training donors are held out in folds, and the samples of each are scored by
    what the others taught, as they are and after ``rank`` of :class:`sicmir.learning.rescale.Rescale`. At
    most 5 % of the donors have a sample below the threshold ``outside`` and 0.5 % one below ``far``, under
    either. Fewer genes agree less: thresholds are set on random subsets of 100, 200 and 400 genes as well,
    and taken between these by linear interpolation.

    **What it cannot see.** A sample near the mean of the training samples, be it made up; deviations from
    that mean with all signs turned, for the score is even in z; and what ``rank`` has removed, such as a
    logarithm taken twice. Genes that were centred one by one (log ratios of arrays, z-scores) and then ranked
    still agree with each other.

    Leave-one-out prediction from the precision matrix: Sundararajan & Keerthi 2001, doi
    10.1162/08997660151134343.

    Parameters
    ----------
    shrinkage
        Of the imputer.
    n_splits
        Number of donor folds.
    seed
        Of folds and of the subsets of genes.

    Attributes
    ----------
    rescale_
        Fitted :class:`sicmir.learning.rescale.Rescale` of the training samples.
    sizes_, thresholds_
        Numbers of genes, and level → threshold at each.
    false_alarms_
        Level → share of the donors below thresholds that were set on the donors of the other folds alone, the
        larger of the two transforms.
    """

    def __init__(self, shrinkage: float = 0.3, n_splits: int = 5, seed: int = 0) -> None:
        self.shrinkage, self.n_splits, self.seed = shrinkage, n_splits, seed

    def fit(self, X: np.ndarray | pd.DataFrame, donor: Sequence[str]) -> Self:
        """Learn from training samples.

        Parameters
        ----------
        X
            Samples × genes, log2(x+1), NaN where not measured.
        donor
            One label a sample; the samples of a donor are held out together.

        Raises
        ------
        DataError
            If a value is infinite or no logarithm, a sample has no donor or fewer than 100 measured genes, or
            there are fewer donors than folds.
        """
        values = finite_matrix(X)
        least = (~np.isnan(values)).sum(axis=1).min()
        if len(donor) != len(values) or least < MIN_GENES:
            raise DataError(
                f"Expected a donor and at least {MIN_GENES} measured genes for each sample; found "
                f"{len(donor)} donors for {len(values)} samples, and a sample with {least} genes."
            )
        folds = donor_folds(pd.DataFrame({"donor": donor, "cohort": "all"}), self.n_splits, self.seed)
        rng = np.random.default_rng(self.seed)
        self.sizes_ = np.array([*(size for size in SIZES if size < least), least])
        scores = np.full((len(values), 2, len(self.sizes_)), np.nan)
        for fold in folds:
            part = Domain(self.shrinkage)._learn(values[fold.train])
            held_out = values[fold.test]
            for i, transform in enumerate(_TRANSFORMS):
                for j, size in enumerate(self.sizes_):
                    chosen = held_out if size == least else _with_genes(held_out, size, rng)
                    scores[fold.test, i, j] = part.score(part.rescale_.to_training(chosen, transform))
        by_donor = pd.DataFrame(scores.reshape(len(scores), -1)).groupby(np.asarray(donor)).min()
        lowest = by_donor.to_numpy().reshape(-1, 2, len(self.sizes_))
        fold_of = pd.Series(0, index=by_donor.index)
        for i, fold in enumerate(folds):
            fold_of[np.unique(np.asarray(donor)[fold.test])] = i
        self.thresholds_ = {level: _threshold(lowest, rate) for level, rate in RATES.items()}
        self.false_alarms_ = {
            level: _false_alarms(lowest[:, :, -1], fold_of.to_numpy(), rate) for level, rate in RATES.items()
        }
        return self._learn(values)

    def score(self, X: np.ndarray | pd.DataFrame) -> np.ndarray:
        """Agreement of the genes of each sample, from -1 to 1; NaN with fewer than 100 measured genes.

        Parameters
        ----------
        X
            Samples × genes in training units, see :class:`sicmir.learning.rescale.Rescale`.

        Raises
        ------
        ParameterError
            If ``fit`` was not called.
        DataError
            If a value is infinite, or the number of genes is another one than in training.
        """
        if not hasattr(self, "ridge_"):
            raise ParameterError("The domain has not been fitted; call fit or from_state first.")
        values = finite_matrix(X)
        if values.shape[1] != len(self.centre_):
            raise DataError(
                f"The input has {values.shape[1]} genes; the domain was fitted on {len(self.centre_)}. Bring "
                "the input to the panel with sicmir.panel.align."
            )
        scores = np.full(len(values), np.nan)
        for rows, seen in gene_patterns(self._judged(values)):
            if seen.sum() >= MIN_GENES:
                scores[rows] = self._agreement(values[np.ix_(rows, seen)], seen)
        return scores

    def level(self, X: np.ndarray | pd.DataFrame, scores: np.ndarray | None = None) -> np.ndarray:
        """``inside``, ``outside`` or ``far`` for each sample; ``unknown`` with fewer than 100 measured genes.

        A sample is ``far`` below the threshold of this name, else ``outside`` below the other one. ``scores``
        are those of :meth:`score`, which tells of parameters and errors, where they have been computed.
        """
        scores = self.score(X) if scores is None else scores
        return self.graded(scores, self._judged(np.asarray(X, dtype=np.float64)).sum(axis=1))

    def graded(self, scores: np.ndarray, n_genes: np.ndarray) -> np.ndarray:
        """Level of each sample from its score and the number of genes that were judged."""
        limits = {level: np.interp(n_genes, self.sizes_, table) for level, table in self.thresholds_.items()}
        choices = [np.isnan(scores), scores < limits["far"], scores < limits["outside"]]
        return np.select(choices, ["unknown", "far", "outside"], "inside")

    def in_domain(self, X: np.ndarray | pd.DataFrame) -> np.ndarray:
        """Whether the level of each sample is ``inside``; parameters and errors as for :meth:`score`."""
        return self.level(X) == "inside"

    def state(self) -> dict[str, np.ndarray]:
        """Arrays that rebuild it: moments of the genes and thresholds, no sample.

        ``covariance`` is the lower triangle in float16. ``false_alarms`` is in the order of :data:`RATES`.
        """
        if not hasattr(self, "ridge_"):
            raise ParameterError("The domain has not been fitted; it has no state.")
        lower = np.tril_indices(len(self.centre_))
        return {
            **{f"rescale.{key}": value for key, value in self.rescale_.state().items()},
            "centre": self.centre_.astype(np.float32),
            "covariance": self.covariance_[lower].astype(np.float16),
            "ridge": np.asarray(self.ridge_),
            "sizes": self.sizes_.copy(),
            **{level: table.copy() for level, table in self.thresholds_.items()},
            "false_alarms": np.array(list(self.false_alarms_.values())),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, np.ndarray]) -> Self:
        """Rebuild a fitted domain from :meth:`state`. It scores; ``fit`` would use the default options.

        Raises
        ------
        BundleError
            If an array is absent, unexpected, of the wrong shape or not finite.
        """
        own = {key: value for key, value in state.items() if not key.startswith("rescale.")}
        if set(own) != set(_SHAPES):
            raise BundleError(
                f"The state of the domain should hold rescale.* and {sorted(_SHAPES)}; found {sorted(own)}."
            )
        rescale = {key.removeprefix("rescale."): value for key, value in state.items() if key not in own}
        domain = cls()
        domain.rescale_ = Rescale.from_state(rescale)
        n, sizes = len(domain.rescale_.mean_), np.shape(own["sizes"])
        shapes = dict.fromkeys(_TABLES, sizes) | {
            "centre": (n,),
            "covariance": (n * (n + 1) // 2,),
            "ridge": (),
            "false_alarms": (len(RATES),),
        }
        arrays = {key: np.array(value, dtype=np.float64) for key, value in own.items()}
        for key, array in arrays.items():
            if array.shape != shapes[key] or not np.isfinite(array).all():
                raise BundleError(
                    f"The array {key!r} of the domain should be finite with the shape {shapes[key]}; its "
                    f"shape is {array.shape}."
                )
        if not arrays["ridge"] > 0 or len(sizes) != 1 or not (np.diff(arrays["sizes"]) > 0).all():
            raise BundleError("The domain's ridge should be above 0 and its sizes ascending.")
        domain.centre_, domain.ridge_ = arrays["centre"], float(arrays["ridge"])
        domain.covariance_ = _from_lower(arrays["covariance"], n)
        domain.sizes_ = arrays["sizes"].astype(int)
        domain.thresholds_ = {level: arrays[level] for level in RATES}
        domain.false_alarms_ = dict(zip(RATES, arrays["false_alarms"].tolist(), strict=True))
        return domain

    def _learn(self, values: np.ndarray) -> Self:
        """Take the moments of the genes, rounded as they are saved."""
        self.rescale_ = Rescale().fit(values)
        imputer = GaussianImputer(self.shrinkage).fit(self._standardised(values, slice(None)))
        self.centre_ = imputer.mean_.astype(np.float32).astype(np.float64)
        n = len(self.centre_)
        lower = imputer.covariance_[np.tril_indices(n)]
        self.covariance_ = _from_lower(lower.astype(np.float16).astype(np.float64), n)
        self.ridge_ = imputer.ridge_
        return self

    def _judged(self, values: np.ndarray) -> np.ndarray:
        return ~np.isnan(values) & (self.rescale_.sd_ > 0)

    def _standardised(self, values: np.ndarray, genes: np.ndarray | slice) -> np.ndarray:
        sd = np.maximum(self.rescale_.sd_[genes], SD_FLOOR)
        return np.clip((values - self.rescale_.mean_[genes]) / sd, -Z_LIMIT, Z_LIMIT)

    def _agreement(self, values: np.ndarray, seen: np.ndarray) -> np.ndarray:
        """Cosine of each sample with its leave-one-out prediction; samples × genes that are seen."""
        z = self._standardised(values, seen) - self.centre_[seen]
        sd = np.maximum(self.rescale_.sd_[seen], SD_FLOOR)
        scales = np.linalg.qr(np.column_stack([np.ones(len(sd)), 1 / sd, self.rescale_.mean_[seen] / sd]))[0]
        precision = np.linalg.inv(self.covariance_[np.ix_(seen, seen)] + self.ridge_ * np.eye(len(sd)))
        predicted = z - (z @ scales) @ scales.T
        predicted -= predicted @ (precision / precision.diagonal())
        predicted -= (predicted @ scales) @ scales.T
        length = np.linalg.norm(z, axis=1) * np.linalg.norm(predicted, axis=1)
        product = np.einsum("ij,ij->i", z, predicted)
        return np.divide(product, length, out=np.full(len(z), np.nan), where=length > 0)


def _with_genes(values: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """Samples × genes with all but ``size`` of the measured genes of each sample taken away."""
    result = np.full(values.shape, np.nan)
    for rows, seen in gene_patterns(~np.isnan(values)):
        kept = np.ix_(rows, rng.permutation(np.flatnonzero(seen))[:size])
        result[kept] = values[kept]
    return result


def _threshold(lowest: np.ndarray, rate: float) -> np.ndarray:
    """Largest value below which at most ``rate`` of the donors (first axis) lie under either transform."""
    place = int(rate * len(lowest))
    return np.sort(lowest, axis=0)[place].min(axis=0)


def _false_alarms(lowest: np.ndarray, fold: np.ndarray, rate: float) -> float:
    """Share of donors below the threshold of the other folds, under the worse of the two transforms."""
    flagged = np.zeros(lowest.shape, dtype=bool)
    for k in np.unique(fold):
        flagged[fold == k] = lowest[fold == k] < _threshold(lowest[fold != k], rate)
    return float(flagged.mean(axis=0).max())


def _from_lower(lower: np.ndarray, n: int) -> np.ndarray:
    """Symmetric matrix from its lower triangle."""
    matrix = np.zeros((n, n))
    matrix[np.tril_indices(n)] = lower
    return np.tril(matrix, -1).T + matrix
