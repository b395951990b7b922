"""Methods of others and of the textbook, behind the interface of :mod:`sicmir.learning.methods`.

What reads the landmarks is a :class:`Blockwise` regression with a learner of its own. Two controls read
something else, which :func:`inputs` fetches: ``host-gene`` one gene for each miRNA, ``truth`` the
measured miRNA itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Self

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from sklearn.cross_decomposition import PLSRegression
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.model_selection import GroupKFold
from sklearn.neighbors import KNeighborsRegressor
from tqdm import tqdm

from sicmir.benchmark.host_gene import HostGene, host_expression, host_genes
from sicmir.errors import DataError, ParameterError
from sicmir.learning.architecture import torch_threads
from sicmir.learning.methods import Method, checked
from sicmir.matrices.normalise import InputTransform, TransformName

Predictor = Callable[[np.ndarray], np.ndarray]
"""Samples x inputs to samples x miRNAs."""

Learner = Callable[[np.ndarray, np.ndarray, np.ndarray], Predictor]
"""Takes inputs, targets (both standardised, none missing) and donor codes; returns what predicts."""

HOST_GENES, TRUTH = "host genes", "truth"
"""What :func:`inputs` fetches for methods that need it."""

N_INNER = 5
"""Inner folds where a learner chooses a setting; no miRNA is learnt from fewer donors."""


class Blockwise:
    """Apply a learner to miRNAs that were measured in the same training samples.

    Inputs pass an :class:`sicmir.matrices.normalise.InputTransform`, so a gene that was not measured counts
    as its training mean. Targets are standardised for the learner, so that every miRNA weighs the same.
    Samples that lack a miRNA do not enter its fit. A miRNA with fewer than ``min_samples`` training samples,
    or fewer than 5 donors, is predicted as NaN.

    Parameters
    ----------
    learner
        Learns one block.
    transform
        Name of the input transform.
    min_samples
        Fewest training samples of a miRNA.
    """

    def __init__(self, learner: Learner, transform: TransformName = "frozen", min_samples: int = 20) -> None:
        if min_samples < 2:
            raise ParameterError(f"min_samples should be at least 2, found {min_samples}.")
        self.learner, self.transform, self.min_samples = learner, transform, min_samples

    def fit(self, X: np.ndarray, Y: np.ndarray, obs: pd.DataFrame) -> Self:
        """Learn block by block.

        Raises
        ------
        DataError
            If shapes do not agree, a value is infinite, a sample has no donor or cohort, or samples are few.
        """
        X, Y = checked(X, Y, obs)
        self.transform_ = InputTransform(self.transform).fit(X)
        inputs = self.transform_.transform(X)
        donor = pd.factorize(obs["donor"])[0]
        self.n_mirnas_ = Y.shape[1]
        self.blocks_: list[tuple[np.ndarray, np.ndarray, np.ndarray, Predictor]] = []
        patterns, members = np.unique(~np.isnan(Y), axis=1, return_inverse=True)
        for i, rows in enumerate(patterns.T):
            if rows.sum() < self.min_samples or len(np.unique(donor[rows])) < N_INNER:
                continue
            columns = np.flatnonzero(members == i)
            targets = Y[np.ix_(rows, columns)]
            mean, sd = targets.mean(axis=0), targets.std(axis=0)
            targets = (targets - mean) * np.divide(1.0, sd, out=np.zeros_like(sd), where=sd > 1e-6)
            predictor = self.learner(inputs[rows], targets, pd.factorize(donor[rows])[0])
            self.blocks_.append((columns, mean, sd, predictor))
        if not self.blocks_:
            raise DataError(
                f"No miRNA was measured in {self.min_samples} training samples of {N_INNER} donors; found "
                f"{len(Y)} samples of {donor.max() + 1} donors. Use more samples, or fewer folds."
            )
        return self

    def predict(self, X: np.ndarray, obs: pd.DataFrame) -> np.ndarray:
        """Predict log2(RPM+1); ``obs`` is not read. Values are not cut at 0."""
        inputs = self.transform_.transform(X)
        result = np.full((len(inputs), self.n_mirnas_), np.nan, dtype=np.float32)
        for columns, mean, sd, predictor in self.blocks_:
            result[:, columns] = predictor(inputs) * sd + mean
        return result


def learn_knn(X: np.ndarray, Y: np.ndarray, donor: np.ndarray, *, k: int = 10) -> Predictor:
    """Mean of the ``k`` nearest training samples over all landmarks, weighted by 1 / Euclidean distance."""
    return KNeighborsRegressor(min(k, len(X)), weights="distance").fit(X, Y).predict


def learn_imirage(
    X: np.ndarray, Y: np.ndarray, donor: np.ndarray, *, k: int = 50, n_genes: int = 50
) -> Predictor:
    """Nearest neighbours as iMIRAGE takes them: for each miRNA over the genes that correlate with it.

    Nath et al. 2020, doi 10.1093/bioinformatics/btz939: the 50 genes of the strongest correlation in
    training, and the plain mean of the 50 nearest samples. It chooses among all protein-coding genes; here,
    among the landmarks.
    """
    size = np.linalg.norm(X - X.mean(axis=0), axis=0)
    r = np.abs((X - X.mean(axis=0)).T @ Y) / np.where(size > 0, size, np.inf)[:, None]
    chosen = np.argsort(-r, axis=0, kind="stable")[:n_genes].T
    models = [
        KNeighborsRegressor(min(k, len(X))).fit(X[:, genes], y) for genes, y in zip(chosen, Y.T, strict=True)
    ]

    def predict(new: np.ndarray) -> np.ndarray:
        parts = [model.predict(new[:, genes]) for genes, model in zip(chosen, models, strict=True)]
        return np.column_stack(parts)

    return predict


def learn_pls(
    X: np.ndarray, Y: np.ndarray, donor: np.ndarray, *, n_components: Sequence[int] = (1, 2, 4, 8, 16, 32)
) -> Predictor:
    """Partial least squares of all miRNAs on all landmarks (Wold et al. 2001).

    The number of components has the smallest squared error over 5 inner folds grouped by donor. The
    components of a smaller model are the first ones of a larger model, so one fit serves all.
    """
    folds = list(GroupKFold(N_INNER).split(X, groups=donor))
    rank = min(min(len(train) for train, _ in folds) - 1, X.shape[1])
    sizes = [size for size in n_components if size <= rank] or [1]
    errors = np.zeros(len(sizes))
    for train, test in folds:
        path = _pls_path(X[train], Y[train], sizes)
        errors += [((predict(X[test]) - Y[test]) ** 2).sum() for predict in path]
    return _pls_path(X, Y, [sizes[int(errors.argmin())]])[0]


def _pls_path(X: np.ndarray, Y: np.ndarray, sizes: Sequence[int]) -> list[Predictor]:
    model = PLSRegression(max(sizes), scale=False, max_iter=5000).fit(X, Y)
    x_mean, y_mean = X.mean(axis=0), Y.mean(axis=0)

    def predict(new: np.ndarray, size: int) -> np.ndarray:
        return (new - x_mean) @ model.x_rotations_[:, :size] @ model.y_loadings_[:, :size].T + y_mean

    return [partial(predict, size=size) for size in sizes]


def learn_forest(
    X: np.ndarray, Y: np.ndarray, donor: np.ndarray, *, seed: int, n_trees: int = 200
) -> Predictor:
    """Extremely randomised trees that predict all miRNAs at once (Geurts et al. 2006).

    Each split looks at a third of the landmarks, and a leaf holds at least 3 samples.
    """
    forest = ExtraTreesRegressor(
        n_trees, max_features=1 / 3, min_samples_leaf=3, random_state=seed, n_jobs=_n_threads()
    )
    return forest.fit(X, Y).predict


def learn_mirscape(X: np.ndarray, Y: np.ndarray, donor: np.ndarray, *, seed: int) -> Predictor:
    """One XGBoost for each miRNA with the settings of miRSCAPE: depth 4, eta 0.3, 20 rounds.

    Olgun et al. 2022, doi 10.1016/j.isci.2022.104962. The early stopping of its script has no effect, for
    want of a validation set. Trees are grown with the exact splits that XGBoost took by default for small
    data when miRSCAPE was published. miRSCAPE reads all genes, scaled within the sample; the method
    ``mirscape`` reads the landmarks through the transform ``rank``, which is within the sample too.

    Without xgboost it raises ParameterError.
    """
    xgboost = _xgboost()
    settings = {"max_depth": 4, "eta": 0.3, "tree_method": "exact", "objective": "reg:squarederror"}
    settings |= {"nthread": _n_threads(), "seed": seed}
    table = xgboost.DMatrix(X)
    models = []
    for y in tqdm(Y.T, desc="mirscape", unit="miRNA", leave=False):
        table.set_label(y)
        models.append(xgboost.train(settings, table, num_boost_round=20))

    def predict(new: np.ndarray) -> np.ndarray:
        rows = xgboost.DMatrix(new)
        return np.column_stack([model.predict(rows) for model in models])

    return predict


def _xgboost() -> Any:
    try:
        import xgboost
    except ImportError as error:
        raise ParameterError(
            "The method 'mirscape' needs the package xgboost, which is not installed. Install the extra "
            "benchmark: pip install 'sicmir[benchmark]', or leave the method out."
        ) from error
    return xgboost


def _n_threads() -> int:
    with torch_threads():  # reads and checks SICMIR_THREADS
        return torch.get_num_threads()


class Truth:
    """The measured miRNA itself. X is Y: what a flawless method would score, or a fault in the scoring."""

    def fit(self, X: np.ndarray, Y: np.ndarray, obs: pd.DataFrame) -> Self:
        """Learn nothing, but refuse an X that is not Y (DataError)."""
        X, Y = checked(X, Y, obs)
        if X.shape != Y.shape or not np.allclose(X, Y, equal_nan=True):
            raise DataError("The control 'truth' reads the measured miRNA as X; found something else.")
        return self

    def predict(self, X: np.ndarray, obs: pd.DataFrame) -> np.ndarray:
        """Return X."""
        return np.asarray(X, dtype=np.float32)


def inputs(method: Method, landmarks: pd.DataFrame, mrna: AnnData, mirna: AnnData) -> pd.DataFrame:
    """Choose what a method reads as X, by its ``needs``.

    Methods that need ``"host genes"`` take them from ``mrna`` (samples x all genes, log2(x+1)), the control
    that needs the ``"truth"`` takes ``mirna`` (samples x the miRNAs to predict), all others ``landmarks``.
    """
    if HOST_GENES in method.needs:
        return host_expression(mrna, list(mirna.var_names), host_genes(mirna))
    return mirna.to_df() if TRUTH in method.needs else landmarks


def _mirscape(seed: int) -> Blockwise:
    _xgboost()  # told at once, not after other work
    return Blockwise(partial(learn_mirscape, seed=seed), transform="rank")


RIVALS: dict[str, Method] = {
    method.name: method
    for method in (
        Method(
            name="host-gene",
            source="line on the host gene, after Baskerville & Bartel 2005, doi 10.1261/rna.7240905",
            needs=frozenset({HOST_GENES}),
            make=lambda seed: HostGene(),
            control="baseline",
        ),
        Method(
            name="knn",
            source="10 nearest samples, Cover & Hart 1967, doi 10.1109/TIT.1967.1053964",
            needs=frozenset(),
            make=lambda seed: Blockwise(learn_knn, transform="rank"),
        ),
        Method(
            name="imirage",
            source="nearest neighbours of iMIRAGE, Nath et al. 2020, doi 10.1093/bioinformatics/btz939",
            needs=frozenset(),
            make=lambda seed: Blockwise(learn_imirage),
        ),
        Method(
            name="pls",
            source="partial least squares, Wold et al. 2001, doi 10.1016/S0169-7439(01)00155-1",
            needs=frozenset(),
            make=lambda seed: Blockwise(learn_pls),
        ),
        Method(
            name="forest",
            source="extremely randomised trees, Geurts et al. 2006, doi 10.1007/s10994-006-6226-1",
            needs=frozenset(),
            make=lambda seed: Blockwise(partial(learn_forest, seed=seed)),
        ),
        Method(
            name="mirscape",
            source="XGBoost per miRNA, Olgun et al. 2022, doi 10.1016/j.isci.2022.104962",
            needs=frozenset(),
            make=_mirscape,
        ),
        Method(
            name="truth",
            source="the measured miRNA, the ceiling",
            needs=frozenset({TRUTH}),
            make=lambda seed: Truth(),
            control="positive",
        ),
    )
}
"""Methods to compare with, by name."""
