"""Whether miRNAs known from vesicles rank above comparable ones: positive and negative controls of crosstalk.

What is abundant is found everywhere, in vesicles too. Each positive is therefore held against controls that
are as abundant in the sender, and the same figure is given for labels drawn by lot.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment
from scipy.stats import rankdata

from sicmir.errors import DataError, ParameterError

CALIPER = 1.0
"""Largest difference, log2, between a positive and its control."""

_FAR = 1e6
COLUMNS = (
    *("term", "n_positive", "n_control", "auroc", "lower", "upper"),
    *("shuffled", "shuffled_lower", "shuffled_upper"),
)
"""Columns of :func:`areas`."""


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
    """Share of controls that their positive outranks, with intervals, and the same for shuffled labels.

    Parameters
    ----------
    scores
        miRNAs × terms.
    sets
        As :func:`matched_sets` or :func:`one_set` gives them: one positive in each of several sets, or one
        set for all, where nothing was matched.
    n_resamples
        Draws of sets with replacement, and draws of the labels within sets.
    level, seed
        Of the percentile intervals, and seed.

    Returns
    -------
    DataFrame
        A row a term, :data:`COLUMNS`. ``auroc`` is the mean over positives of the share of their own controls
        with a lower score, ties counting half: 0.5 is guessing. ``lower, upper``: sets drawn anew; within a
        single set, positives and controls apart. ``shuffled``: median and interval over labels drawn by lot
        within sets, so it tells what this design gives where there is nothing.

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
    for term in scores:
        values = scores.loc[sets["mirna"], term].to_numpy(dtype=float)
        if (sets["set"] == sets["set"].iloc[0]).all():
            found, drawn, mixed = _one_set(values, inside, n_resamples, rng)
        else:
            found, drawn, mixed = _many_sets(values, inside, sets["set"], n_resamples, rng)
        limits = np.percentile(drawn, [tail, 100 - tail])
        rows.append((term, *counts, found, *limits, *np.percentile(mixed, [50, tail, 100 - tail])))
    return pd.DataFrame(rows, columns=list(COLUMNS))


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


def _one_set(
    values: np.ndarray, inside: np.ndarray, n: int, rng: np.random.Generator
) -> tuple[float, np.ndarray, np.ndarray]:
    """Figure, draws of positives and controls apart, and shuffled labels."""
    wins = _outranks(values[inside], values[~inside])
    sides = [rng.multinomial(size, np.full(size, 1 / size), n) for size in wins.shape]
    drawn = ((sides[0] @ wins) * sides[1]).sum(axis=1) / wins.size
    ranks = rng.permuted(np.tile(rankdata(values), (n, 1)), axis=1)[:, : len(wins)]
    mixed = (ranks.sum(axis=1) - len(wins) * (len(wins) + 1) / 2) / wins.size
    return float(wins.mean()), drawn, mixed


def _many_sets(
    values: np.ndarray, inside: np.ndarray, sets: pd.Series, n: int, rng: np.random.Generator
) -> tuple[float, np.ndarray, np.ndarray]:
    """The same of sets with one positive each: draws of sets, and labels shuffled within them."""
    codes = pd.factorize(sets)[0]
    shares = np.empty(len(values))  # of the other members of its set that each member outranks
    for code in range(codes.max() + 1):
        rows = np.flatnonzero(codes == code)
        shares[rows] = (_outranks(values[rows], values[rows]).sum(axis=1) - 0.5) / (len(rows) - 1)
    own = shares[inside]
    drawn = own[rng.integers(0, len(own), (n, len(own)))].mean(axis=1)
    mixed = np.zeros(n)
    for code in range(codes.max() + 1):
        mixed += rng.choice(shares[codes == code], n) / len(own)
    return float(own.mean()), drawn, mixed
