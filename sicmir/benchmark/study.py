"""Predictions of many methods on many splits, each kept in a file, so that a study can be interrupted."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
from anndata import AnnData
from tqdm import tqdm

from sicmir import errors, paths
from sicmir.benchmark.evaluation import METHODS
from sicmir.benchmark.rivals import inputs
from sicmir.errors import DataError, ParameterError
from sicmir.learning import splits
from sicmir.learning.methods import Method, cross_predict

NEW_DONORS, UNSEEN, TEST = "new donors", "unseen cancer", "test donors"
UNSEEN_TISSUE = "unseen normal tissue"
TEST_FRACTION = 0.2


def study_splits(
    obs: pd.DataFrame, same: Mapping[str, str], n_splits: int = 5, seed: int = 0
) -> dict[str, list[splits.Split]]:
    """The three divisions of a study.

    A fifth of the donors of each cohort is set aside for ``"test donors"``. ``"new donors"``, folds, and
    ``"unseen cancer"``, one cohort left out at a time, divide only the others: methods, settings and
    rules are chosen on those two, and the third is looked at once, at the end.

    Parameters
    ----------
    obs
        Samples with the columns ``donor`` and ``cohort``.
    same
        Cohort to cohort that it is left out together with, such as rectum with colon cancer.
    n_splits, seed
        Number of folds, and the seed of the folds and of the draw.

    Returns
    -------
    Name of the division → its splits; rows are positions in ``obs``.

    Raises
    ------
    DataError, ParameterError
        As :mod:`sicmir.learning.splits` does where samples have no labels, or donors or cohorts are too few.
    """
    test = splits.holdout(obs, TEST_FRACTION, seed)
    rest = obs.iloc[test.train]
    merged = rest.assign(cohort=rest["cohort"].astype(str).replace(dict(same)))

    def back(parts: Sequence[splits.Split]) -> list[splits.Split]:
        return [splits.Split(part.name, test.train[part.train], test.train[part.test]) for part in parts]

    return {
        NEW_DONORS: back(splits.donor_folds(rest, n_splits, seed)),
        UNSEEN: back(splits.leave_one_cohort_out(merged)),
        TEST: [test],
    }


def tissue_splits(
    obs: pd.DataFrame, test: splits.Split, n_splits: int = 5, seed: int = 0
) -> list[splits.Split]:
    """Folds of the donors that are not set aside, trained on no normal sample: a contrast as a perturbation.

    Parameters
    ----------
    obs
        Samples with the columns ``donor``, ``cohort`` and ``condition``.
    test
        The division ``"test donors"`` of :func:`study_splits`.
    n_splits, seed
        As for :func:`study_splits`.
    """
    folds = splits.unseen_condition(obs.iloc[test.train], "normal", n_splits, seed)
    return [splits.Split(part.name, test.train[part.train], test.train[part.test]) for part in folds]


class Study:
    """Out-of-sample predictions of one collection, made when asked for and kept in files.

    Parameters
    ----------
    mrna
        Samples × landmarks, log2(x+1), as :func:`sicmir.panel.align` gives them.
    mirna
        Samples × miRNAs that are predicted, log2(RPM+1), with ``donor`` and ``cohort`` in ``obs``.
    divisions
        Name of a division → its splits, as :func:`study_splits` gives them.
    folder
        Where predictions are kept. A file is named by a hash of the data, the split, the seed and the source
        code of the method with all modules of this package behind it, so nothing stale is read. Versions of
        other packages do not enter it.
    genes
        Samples × all genes, log2(x+1), for methods that read host genes; by default ``mrna``.
    seed
        Of the methods.

    Raises
    ------
    DataError
        If the samples of the matrices differ, or a division tests a sample twice.
    """

    def __init__(
        self,
        mrna: AnnData,
        mirna: AnnData,
        divisions: Mapping[str, Sequence[splits.Split]],
        folder: str | Path,
        genes: AnnData | None = None,
        seed: int = 0,
    ) -> None:
        self.mrna, self.mirna, self.divisions = mrna, mirna, dict(divisions)
        self.genes = mrna if genes is None else genes
        for adata, what in ((mirna, "miRNA"), (self.genes, "genes")):
            if not adata.obs_names.equals(mrna.obs_names):
                raise DataError(f"The samples of mRNA and {what} differ, or their order does.")
        for name, parts in self.divisions.items():
            tested = np.concatenate([part.test for part in parts])
            if len(np.unique(tested)) < len(tested):
                raise DataError(f"The division {name!r} tests a sample twice; expected disjoint test sets.")
        self.folder, self.seed = Path(folder), seed
        self.observed, self.obs = mirna.to_df(), mirna.obs

    def predict(self, name: str, division: str, mirnas: Sequence[str] = ()) -> pd.DataFrame:
        """Predict the test samples of a division by a method that never saw their donors.

        Parameters
        ----------
        name
            Method, a name in :data:`sicmir.benchmark.evaluation.METHODS`, or several joined by ``+`` for
            their mean.
        division
            Name of a division.
        mirnas
            Only these, for methods that learn one miRNA at a time and are slow; by default all.

        Returns
        -------
        Samples × miRNAs, log2(RPM+1), float32; NaN for samples that the division does not test.

        Raises
        ------
        ParameterError
            If there is no such method, division or miRNA.
        DataError
            If a split leaks, or the method does not take the data.
        """
        if "+" in name:
            parts = [self.predict(part, division, mirnas) for part in name.split("+")]
            return sum(parts) / len(parts)
        for what, wanted, known in (
            ("method", [name], METHODS),
            ("division", [division], self.divisions),
            ("miRNA", mirnas, self.mirna.var_names),
        ):
            unknown = [one for one in wanted if one not in known]
            if unknown:
                shown = ", ".join(list(known)[:20])
                raise ParameterError(f"There is no {what} {unknown[0]!r}; expected one of {shown}.")
        method, chosen = METHODS[name], list(mirnas) or list(self.mirna.var_names)
        X = inputs(method, self.mrna.to_df(), self.genes, self.mirna[:, chosen])
        Y = self.observed[chosen]
        result = pd.DataFrame(np.nan, index=Y.index, columns=Y.columns, dtype=np.float32)
        code = _code(method, self.seed)
        for split in tqdm(self.divisions[division], desc=f"{name}, {division}", unit="split"):
            result.iloc[split.test] = self._one(method, X, Y, split, code)
        return result

    def _one(
        self, method: Method, X: pd.DataFrame, Y: pd.DataFrame, split: splits.Split, code: str
    ) -> np.ndarray:
        hasher = hashlib.sha256(code.encode())
        for array in (X.to_numpy(), Y.to_numpy(), split.train, split.test):
            hasher.update(np.ascontiguousarray(array).tobytes())
        for labels in (self.obs.columns, self.obs.astype(str).to_numpy().ravel(), Y.columns):
            hasher.update("\0".join(labels).encode())
        path = self.folder / f"{method.name}-{split.name}-{hasher.hexdigest()[:16]}.npy"
        if not path.is_file():
            predicted = cross_predict(method, X, Y, self.obs, [split], self.seed, progress=False)
            with paths.replacing(path) as part:
                np.save(part, predicted.to_numpy()[split.test])
        return np.load(path, allow_pickle=False)


def _code(method: Method, seed: int) -> str:
    """Name and seed of a method, the source of how it is made, and of every module behind its estimator."""
    module = inspect.getmodule(type(method.make(seed)))
    return "\0".join([method.name, str(seed), inspect.getsource(method.make), _sources(module)])


@cache  # What a process has loaded is what it runs, even if a file is edited meanwhile.
def _sources(module: ModuleType) -> str:
    """Source of a module and of all modules of its package that it uses, directly or not; by name."""
    found, left = {errors.__name__: ""}, [module]
    while left:
        one = left.pop()
        if one.__name__ not in found:
            found[one.__name__] = inspect.getsource(one)
            left.extend(_used(one))
    return "\0".join(found[name] for name in sorted(found))


def _used(module: ModuleType) -> Iterator[ModuleType]:
    """Modules of the same package that a module, or something in it, comes from."""
    for value in vars(module).values():
        other = inspect.getmodule(value)
        if other is not None and other.__name__.split(".")[0] == module.__name__.split(".")[0]:
            yield other
