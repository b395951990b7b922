"""Whether miRNAs known from vesicles rank above comparable ones: positive and negative controls of crosstalk.

What is abundant is found everywhere, in vesicles too. Each positive is therefore held against controls that
are as abundant in the sender, and the same figure is given for positives drawn by lot.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment

from sicmir.errors import DataError, ParameterError

CALIPER = 1.0
"""Largest difference, log2, between a positive and its control."""

_FAR = 1e6
_STRATA = 5
COLUMNS = ("term", "n_positive", "n_control", "auroc", "lower", "upper")
"""Columns of :func:`areas`."""
SHUFFLED = ("shuffled", "shuffled_lower", "shuffled_upper")
"""Columns of :func:`by_lot`."""


def matched_sets(
    positive: pd.Series, amount: pd.Series, n_controls: int = 2, caliper: float = CALIPER
) -> pd.DataFrame:
    """Match each positive with the nearest negatives, each of which is used once.

    The sum of all differences is the least possible (:func:`scipy.optimize.linear_sum_assignment`).

    Parameters
    ----------
    positive
        Index miRNA, boolean.
    amount
        What they are matched by, such as log2(RPM+1) in the sender; the same index.
    n_controls
        Most controls of a positive.
    caliper
        Largest difference that is a match.

    Returns
    -------
    DataFrame
        ``set`` (the positive), ``mirna, positive, amount``. Positives without a control are left out.

    Raises
    ------
    ParameterError
        If ``n_controls`` is below 1, or ``caliper`` is not above 0.
    DataError
        If there is no positive, no negative, or no match.
    """
    if n_controls < 1 or not caliper > 0:
        raise ParameterError(
            f"Expected n_controls of 1 or more and caliper above 0; found {n_controls}, {caliper}."
        )
    known = amount.reindex(positive.index).notna()
    inside = positive[known].astype(bool)
    if inside.all() or not inside.any():
        raise DataError(f"Of {len(inside)} miRNAs {int(inside.sum())} are positive; expected both kinds.")
    cases, others = inside.index[inside], inside.index[~inside]
    far = np.abs(amount[cases].to_numpy()[:, None] - amount[others].to_numpy())
    cost = np.repeat(np.where(far <= caliper, far, _FAR), n_controls, axis=0)
    rows, columns = linear_sum_assignment(cost)
    good = cost[rows, columns] <= caliper
    if not good.any():
        raise DataError(f"No negative lies within {caliper:g} of any of {len(cases)} positives.")
    pairs = pd.DataFrame({"set": cases[rows[good] // n_controls], "mirna": others[columns[good]]})
    used = pd.unique(pairs["set"])
    table = pd.concat(
        [pd.DataFrame({"set": used, "mirna": used, "positive": True}), pairs.assign(positive=False)],
        ignore_index=True,
    )
    table["amount"] = amount[table["mirna"]].to_numpy()
    return table.sort_values(["set", "positive"], ascending=[True, False], kind="stable", ignore_index=True)


def areas(
    scores: pd.DataFrame,
    sets: pd.DataFrame,
    n_resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> pd.DataFrame:
    """Share of controls that their positive outranks, with intervals.

    Parameters
    ----------
    scores
        miRNAs × terms.
    sets
        As :func:`matched_sets` or :func:`one_set` gives them: one positive in each of several sets, or one
        set for all, where nothing was matched.
    n_resamples
        Draws of sets with replacement.
    level, seed
        Of the percentile intervals, and seed.

    Returns
    -------
    DataFrame
        A row a term, :data:`COLUMNS`. ``auroc`` is the mean over positives of the share of their own controls
        with a lower score, ties counting half: 0.5 is guessing. ``lower, upper``: sets drawn anew; within a
        single set, positives and controls apart.

    Raises
    ------
    DataError
        If a miRNA of the sets has no score.
    """
    absent = sorted(set(sets["mirna"]) - set(scores.index[scores.notna().all(axis=1)]))
    if absent:
        raise DataError(f"{absent[0]} has no score.")
    rng, tail, rows = np.random.default_rng(seed), 100 * (1 - level) / 2, []
    inside = sets["positive"].to_numpy(dtype=bool)
    counts = (int(inside.sum()), int((~inside).sum()))
    single = (sets["set"] == sets["set"].iloc[0]).all()
    for term in scores:
        values = scores.loc[sets["mirna"], term].to_numpy(dtype=float)
        own = _shares(values, inside, sets["set"])
        if single:
            wins = _outranks(values[inside], values[~inside])
            sides = [rng.multinomial(size, np.full(size, 1 / size), n_resamples) for size in wins.shape]
            drawn = ((sides[0] @ wins) * sides[1]).sum(axis=1) / wins.size
        else:
            drawn = own[rng.integers(0, len(own), (n_resamples, len(own)))].mean(axis=1)
        rows.append((term, *counts, own.mean(), *np.percentile(drawn, [tail, 100 - tail])))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def by_lot(
    scores: pd.DataFrame,
    positive: pd.Series,
    amount: pd.Series,
    clusters: pd.Series,
    match: Callable[[pd.Series, pd.Series], pd.DataFrame],
    n_draws: int = 200,
    level: float = 0.95,
    seed: int = 0,
) -> pd.DataFrame:
    """What the whole procedure gives for positives drawn by lot, as many and about as abundant as the real.

    Whole clusters are drawn, the last one cut short, each the likelier, the more positives there are among
    miRNAs as abundant (fifths of ``amount``); controls are then found anew. What matching leaves of the
    abundance of positives shows as a median that is not 0.5.

    Parameters
    ----------
    scores
        miRNAs × terms.
    positive, amount
        As for :func:`matched_sets`; the index of ``scores``.
    clusters
        Cluster of each miRNA, the same index.
    match
        :func:`matched_sets` or :func:`one_set`.
    n_draws
        Draws of positives.
    level, seed
        Of the percentile intervals, and seed.

    Returns
    -------
    DataFrame
        A row a term, in the order of ``scores``; :data:`SHUFFLED`: median over draws, and interval.
    """
    rng, tail = np.random.default_rng(seed), 100 * (1 - level) / 2
    strata = pd.qcut(amount.rank(method="first"), _STRATA, labels=False)
    found = positive.groupby(strata).agg(["sum", "size"])
    chance = (found["sum"] + 0.5) / (found["size"] + 1)
    # An exponential waiting time of this rate has ended by 1 with that chance.
    rates = (-np.log1p(-chance)).reindex(strata).set_axis(positive.index)
    of_cluster = rates.groupby(clusters).mean()
    drawn = np.empty((n_draws, scores.shape[1]))
    for draw in drawn:
        times = pd.Series(rng.exponential(size=len(of_cluster)), of_cluster.index) / of_cluster
        order = np.lexsort((rng.random(len(positive)), clusters.map(times)))
        lots = pd.Series(False, positive.index)
        lots.iloc[order[: int(positive.sum())]] = True
        try:
            sets = match(lots, amount)
        except DataError:  # no control is near enough to any of them
            draw[:] = np.nan
            continue
        inside = sets["positive"].to_numpy(dtype=bool)
        values = scores.loc[sets["mirna"]].to_numpy(dtype=float)
        draw[:] = [_shares(column, inside, sets["set"]).mean() for column in values.T]
    return pd.DataFrame(np.nanpercentile(drawn, [50, tail, 100 - tail], axis=0).T, columns=list(SHUFFLED))


def one_set(positive: pd.Series, amount: pd.Series) -> pd.DataFrame:
    """All positives against all negatives, not matched, in the form of :func:`matched_sets`."""
    return pd.DataFrame(
        {
            "set": "all",
            "mirna": positive.index,
            "positive": positive.to_numpy(dtype=bool),
            "amount": amount.reindex(positive.index).to_numpy(),
        }
    )


def _outranks(cases: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Cases × others: 1 where the case is higher, one half where the two are equal."""
    return (cases[:, None] > others) + (cases[:, None] == others) / 2


def _shares(values: np.ndarray, inside: np.ndarray, sets: pd.Series) -> np.ndarray:
    """Of each positive, the share of the controls of its set that it outranks."""
    own = np.unique(sets.to_numpy(dtype=str), return_inverse=True)[1]
    shares = [
        _outranks(values[(own == code) & inside], values[(own == code) & ~inside]).mean(axis=1)
        for code in range(own.max() + 1)
    ]
    return np.concatenate(shares)
