"""How much a method gains from more training donors, and from more cohorts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from tqdm import tqdm

from sicmir import metrics
from sicmir.errors import ParameterError
from sicmir.methods import Estimator, checked
from sicmir.splits import Split, assert_no_leak


@dataclass(frozen=True)
class _Step:
    """One size of the training set: its label, and what is left of the training rows of a split."""

    size: float
    repeat: int
    rows: Callable[[Split], np.ndarray]


def donor_curve(
    X: np.ndarray,
    Y: np.ndarray,
    obs: pd.DataFrame,
    splits: Sequence[Split],
    make: Callable[[], Estimator],
    fractions: Sequence[float] = (0.1, 0.2, 0.4, 0.7, 1.0),
    seed: int = 0,
) -> pd.DataFrame:
    """Test the same donors after training on a share of the other donors.

    A smaller share is part of each larger one.

    Parameters
    ----------
    X, Y, obs
        As for :func:`sicmir.methods.cross_predict`.
    splits
        Whose test samples are predicted.
    make
        Makes a fresh estimator.
    fractions
        Shares of the training donors, above 0 and at most 1.
    seed
        Of the draw of donors.

    Returns
    -------
    Columns ``fraction, repeat, n_samples`` (mean over splits), ``pooled, within``: medians over miRNAs of
    the Pearson r, as in :func:`sicmir.metrics.per_mirna`.
    """
    if not fractions or not all(0 < fraction <= 1 for fraction in fractions):
        raise ParameterError(f"fractions should lie above 0 and at most at 1, found {list(fractions)}.")
    donor = pd.factorize(obs["donor"])[0]
    place = np.random.default_rng(seed).permutation(donor.max() + 1)[donor]

    def share(fraction: float) -> Callable[[Split], np.ndarray]:
        def rows(split: Split) -> np.ndarray:
            places = np.unique(place[split.train])
            last = places[max(int(np.ceil(fraction * len(places))), 1) - 1]
            return split.train[place[split.train] <= last]

        return rows

    steps = [_Step(fraction, 0, share(fraction)) for fraction in fractions]
    return _curve(X, Y, obs, splits, make, steps).rename(columns={"size": "fraction"})


def cohort_curve(
    X: np.ndarray,
    Y: np.ndarray,
    obs: pd.DataFrame,
    splits: Sequence[Split],
    make: Callable[[], Estimator],
    numbers: Sequence[int] = (2, 4, 8, 12),
    repeats: int = 2,
    seed: int = 0,
) -> pd.DataFrame:
    """Test the same cohorts after training on some of the other cohorts, drawn at random, and on all.

    Parameters
    ----------
    X, Y, obs, splits, make
        As for :func:`donor_curve`, with splits that leave out a cohort each.
    numbers
        Numbers of training cohorts; those that exceed what a split has are the same as all.
    repeats, seed
        Draws of cohorts, and their seed.

    Returns
    -------
    Columns ``n_cohorts`` (mean over splits), ``repeat, n_samples, pooled, within`` as :func:`donor_curve`.
    """
    if not numbers or min(numbers) < 1 or repeats < 1:
        raise ParameterError(f"numbers and repeats should be at least 1; found {list(numbers)}, {repeats}.")
    cohort = obs["cohort"].astype(str).to_numpy()

    def some(number: int, repeat: int) -> Callable[[Split], np.ndarray]:
        def rows(split: Split) -> np.ndarray:
            names = np.unique(cohort[split.train])
            order = np.random.default_rng([seed, repeat]).permutation(len(names))
            return split.train[np.isin(cohort[split.train], names[order[:number]])]

        return rows

    steps = [_Step(number, i, some(number, i)) for number in numbers for i in range(repeats)]
    most = int(np.mean([len(np.unique(cohort[split.train])) for split in splits]).round())
    steps.append(_Step(most, 0, lambda split: split.train))
    return _curve(X, Y, obs, splits, make, steps).rename(columns={"size": "n_cohorts"})


def _curve(
    X: np.ndarray,
    Y: np.ndarray,
    obs: pd.DataFrame,
    splits: Sequence[Split],
    make: Callable[[], Estimator],
    steps: Sequence[_Step],
) -> pd.DataFrame:
    X, Y = checked(X, Y, obs)
    rows = []
    for step in tqdm(steps, desc="learning curve", unit="size"):
        predicted = np.full(Y.shape, np.nan)
        sizes = []
        for split, train in _smaller(splits, step, obs):
            estimator = make().fit(X[train], Y[train], obs.iloc[train])
            predicted[split.test] = estimator.predict(X[split.test], obs.iloc[split.test])
            sizes.append(len(train))
        tested = np.sort(np.concatenate([split.test for split in splits]))
        table = metrics.per_mirna(Y[tested], predicted[tested], obs["cohort"].iloc[tested].to_numpy())
        medians = table[["pearson", "pearson_within"]].median()
        rows.append((step.size, step.repeat, float(np.mean(sizes)), *medians))
    return pd.DataFrame(rows, columns=["size", "repeat", "n_samples", "pooled", "within"])


def _smaller(splits: Sequence[Split], step: _Step, obs: pd.DataFrame) -> Iterator[tuple[Split, np.ndarray]]:
    for split in splits:
        assert_no_leak(split, obs)
        yield split, step.rows(split)
