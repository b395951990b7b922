"""How much a method gains from more training donors, and from more cohorts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from tqdm import tqdm

from sicmir import metrics
from sicmir.errors import ParameterError
from sicmir.learning.methods import Estimator, Method, cross_predict
from sicmir.learning.splits import Split


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
        As for :func:`sicmir.learning.methods.cross_predict`.
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
    the Pearson r, as in :func:`sicmir.metrics.per_mirna`. A miRNA that too few samples are left for, so that
    the estimator gives NaN, does not enter them.

    Raises
    ------
    ParameterError
        If a fraction is out of range.
    DataError
        As :func:`sicmir.learning.methods.cross_predict`, or if the estimator finds too few samples left.
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
    table = _curve(X, Y, obs, splits, make, steps)
    return table.drop(columns="n_cohorts").rename(columns={"size": "fraction"})


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
        Numbers of training cohorts; those that no split exceeds are the same as all, and left out.
    repeats, seed
        Draws of cohorts, and their seed. Of one draw a smaller number is part of each larger one.

    Returns
    -------
    Columns ``n_cohorts`` (mean over splits of the cohorts trained on), ``repeat, n_samples, pooled, within``
    as :func:`donor_curve`; the last row is of all cohorts.

    Raises
    ------
    ParameterError
        If ``numbers`` or ``repeats`` are below 1.
    DataError
        As for :func:`donor_curve`.
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

    most = max(len(np.unique(cohort[split.train])) for split in splits)
    steps = [_Step(n, i, some(n, i)) for n in numbers if n < most for i in range(repeats)]
    steps.append(_Step(most, 0, lambda split: split.train))
    return _curve(X, Y, obs, splits, make, steps).drop(columns="size")


def _curve(
    X: np.ndarray,
    Y: np.ndarray,
    obs: pd.DataFrame,
    splits: Sequence[Split],
    make: Callable[[], Estimator],
    steps: Sequence[_Step],
) -> pd.DataFrame:
    method = Method("", "", frozenset(), lambda seed: make())
    tested = np.sort(np.concatenate([split.test for split in splits]))
    cohort, rows = obs["cohort"].astype(str).to_numpy(), []
    for step in tqdm(steps, desc="learning curve", unit="size"):
        smaller = [Split(split.name, step.rows(split), split.test) for split in splits]
        predicted = cross_predict(method, X, Y, obs, smaller, progress=False).to_numpy()
        table = metrics.per_mirna(np.asarray(Y)[tested], predicted[tested], cohort[tested])
        n_cohorts = np.mean([len(np.unique(cohort[part.train])) for part in smaller])
        n_samples = np.mean([len(part.train) for part in smaller])
        medians = table[["pearson", "pearson_within"]].median()
        rows.append((step.size, n_cohorts, step.repeat, n_samples, *medians))
    return pd.DataFrame(rows, columns=["size", "n_cohorts", "repeat", "n_samples", "pooled", "within"])
