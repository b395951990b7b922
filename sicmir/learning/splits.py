"""Divide samples into training and test so that no donor is on both sides.

A donor may have a tumour and a normal sample, or samples in several data sets; all of them go to the same
side. Concatenate the ``obs`` of the data sets first: groups are formed over everything that is passed.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedGroupKFold

from sicmir.errors import DataError, ParameterError


@dataclass(frozen=True, eq=False)
class Split:
    """One division of samples.

    Attributes
    ----------
    name
        Name of the fold, for example ``fold-1`` or ``without-ACC``.
    train, test
        Row positions in ``obs`` (not labels), ascending.
    """

    name: str
    train: np.ndarray
    test: np.ndarray


def donor_folds(obs: pd.DataFrame, n_splits: int = 5, seed: int = 0) -> list[Split]:
    """Folds grouped by donor and stratified by cohort; each sample is in exactly one test set.

    Cohorts with fewer samples than folds are stratified together.

    Parameters
    ----------
    obs
        Samples with the columns ``donor`` and ``cohort``.
    n_splits
        Number of folds, at least 2.
    seed
        The same seed and the same ``obs`` give the same folds.

    Raises
    ------
    DataError
        If a column is absent or holds missing labels, or there are fewer donors than folds.
    ParameterError
        If ``n_splits`` is below 2.
    """
    donor, cohort = _labels(obs, "donor"), _labels(obs, "cohort")
    if n_splits < 2:
        raise ParameterError(f"n_splits should be at least 2, found {n_splits}.")
    n_donors = len(np.unique(donor))
    if n_donors < n_splits:
        raise DataError(
            f"{n_splits} folds need at least {n_splits} donors, found {n_donors}. Lower n_splits."
        )
    stratum, counts = np.unique(cohort, return_inverse=True, return_counts=True)[1:]
    stratum = np.where(counts[stratum] < n_splits, -1, stratum)
    folds = StratifiedGroupKFold(n_splits, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        # Rare cohorts are one stratum, which may still hold fewer samples than there are folds: no fault.
        warnings.filterwarnings("ignore", message="The least populated class", category=UserWarning)
        parts = list(folds.split(np.zeros(len(obs)), stratum, donor))
    splits = [Split(f"fold-{i}", train, test) for i, (train, test) in enumerate(parts, start=1)]
    for split in splits:
        if not split.test.size:
            raise DataError(
                f"{n_donors} donors could not be dealt to {n_splits} folds: {split.name} has no sample. "
                "Lower n_splits."
            )
        assert_no_leak(split, obs)
    return splits


def holdout(obs: pd.DataFrame, fraction: float = 0.2, seed: int = 0) -> Split:
    """Set aside a fraction of the donors, in every cohort alike, as a test set.

    Donors are shuffled within their cohort and drawn at even distances, so the number of test donors of a
    cohort differs from ``fraction`` of its donors by less than one.

    Parameters
    ----------
    obs
        Samples with the columns ``donor`` and ``cohort``. A donor with several cohorts counts in its first.
    fraction
        Share of the donors, between 0 and 1.
    seed
        Seed of the draw.

    Raises
    ------
    DataError
        If a column is absent or holds missing labels, or either side would be empty.
    ParameterError
        If ``fraction`` is not between 0 and 1.
    """
    donor, cohort = _labels(obs, "donor"), _labels(obs, "cohort")
    if not 0 < fraction < 1:
        raise ParameterError(f"fraction should lie between 0 and 1, found {fraction}.")
    rng = np.random.default_rng(seed)
    donors = pd.Series(cohort, index=donor).groupby(level=0).first()
    donors = donors.iloc[rng.permutation(len(donors))].sort_values(kind="stable")
    steps = np.floor(np.arange(len(donors) + 1) * fraction + rng.random())
    chosen = donors.index[np.diff(steps) > 0]
    in_test = np.isin(donor, chosen)
    if in_test.all() or not in_test.any():
        raise DataError(
            f"A fraction of {fraction} of {len(donors)} donors leaves one side empty. Use more donors or "
            "another fraction."
        )
    split = Split("holdout", np.flatnonzero(~in_test), np.flatnonzero(in_test))
    assert_no_leak(split, obs)
    return split


def leave_one_cohort_out(obs: pd.DataFrame) -> list[Split]:
    """One split per cohort: its samples are the test set, the samples of other donors the training set.

    A donor of the test cohort who also has samples elsewhere is left out of the training set.

    Raises
    ------
    DataError
        If a column is absent or holds missing labels, there are fewer than two cohorts, or the donors of
        one cohort are all there are.
    """
    donor, cohort = _labels(obs, "donor"), _labels(obs, "cohort")
    names = np.unique(cohort)
    if len(names) < 2:
        raise DataError(f"Leaving a cohort out needs at least two cohorts, found only {names[0]}.")
    splits = []
    for name in names:
        test = cohort == name
        train = ~test & ~np.isin(donor, donor[test])
        split = Split(f"without-{name}", np.flatnonzero(train), np.flatnonzero(test))
        assert_no_leak(split, obs)
        splits.append(split)
    return splits


def unseen_condition(obs: pd.DataFrame, condition: str, n_splits: int = 5, seed: int = 0) -> list[Split]:
    """Folds of donors that are trained on no sample of one condition, such as treated or normal ones.

    So a change is predicted by a model that saw neither the donor nor the perturbation. Test sides are those
    of :func:`donor_folds` and hold all conditions; other arguments and errors are the same.

    Parameters
    ----------
    condition
        Value of ``obs["condition"]``. Where no sample has it, these are the folds of :func:`donor_folds`.

    Raises
    ------
    DataError
        If a fold has no other condition left to train on.
    """
    unseen = _labels(obs, "condition") == condition
    folds = []
    for fold in donor_folds(obs, n_splits, seed):
        split = Split(f"{fold.name}-without-{condition}", fold.train[~unseen[fold.train]], fold.test)
        assert_no_leak(split, obs)
        folds.append(split)
    return folds


def assert_no_leak(split: Split, obs: pd.DataFrame) -> None:
    """Refuse a split that shares a sample or a donor between training and test.

    Raises
    ------
    DataError
        Naming the donors that are on both sides; also if a side is empty, holds a row twice, or a row
        that ``obs`` does not have.
    """
    donor = _labels(obs, "donor")
    for side, rows in (("train", split.train), ("test", split.test)):
        rows = np.asarray(rows)
        if not rows.size:
            raise DataError(f"The {side} side of the split {split.name!r} is empty.")
        if not np.issubdtype(rows.dtype, np.integer) or rows.min() < 0 or rows.max() >= len(obs):
            raise DataError(
                f"The {side} side of the split {split.name!r} should hold row positions below {len(obs)}, "
                f"found {rows.dtype} from {rows.min()} to {rows.max()}."
            )
        if len(np.unique(rows)) < len(rows):
            raise DataError(f"The {side} side of the split {split.name!r} holds a row twice.")
    shared = np.intersect1d(donor[split.train], donor[split.test])
    if shared.size:
        samples = np.intersect1d(split.train, split.test).size
        raise DataError(
            f"The split {split.name!r} leaks: {shared.size} donors (and {samples} identical samples) are "
            f"in both train and test, for example {', '.join(shared[:5])}. Group the split by donor."
        )


def table(splits: Iterable[Split], obs: pd.DataFrame) -> pd.DataFrame:
    """Record splits for saving beside results: one row per split and sample.

    Returns
    -------
    DataFrame
        Columns ``split, sample, donor, cohort, side`` with ``side`` one of ``train``, ``test``, ``unused``.
    """
    donor, cohort = _labels(obs, "donor"), _labels(obs, "cohort")
    parts = []
    for split in splits:
        side = np.full(len(obs), "unused", dtype=object)
        side[split.train] = "train"
        side[split.test] = "test"
        parts.append(
            pd.DataFrame(
                {
                    "split": split.name,
                    "sample": obs.index.astype(str),
                    "donor": donor,
                    "cohort": cohort,
                    "side": side,
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def _labels(obs: pd.DataFrame, column: str) -> np.ndarray:
    """Return a label column as strings, without missing labels."""
    if column not in obs:
        raise DataError(f"obs has no column {column!r}; it has {', '.join(map(str, obs.columns)) or 'none'}.")
    missing = (obs[column].isna() | (obs[column].astype(str) == "")).to_numpy(dtype=bool)
    if missing.any():
        raise DataError(
            f"{missing.sum()} samples have no {column} (first: {obs.index[missing][0]}). Give each sample a "
            f"{column}, or leave it out."
        )
    if not len(obs):
        raise DataError("obs holds no sample.")
    return obs[column].astype(str).to_numpy(dtype=str)
