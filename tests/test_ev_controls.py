"""Positive and negative controls: matching, AUROC recomputed, and nothing where there is nothing."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from sicmir.errors import DataError, ParameterError
from sicmir.vesicles import ev_controls


def drawn(n=60, n_positive=15, shift=0.0, seed=0):
    """Amounts, which miRNAs are positive, and scores that are higher by ``shift`` in those."""
    rng = np.random.default_rng(seed)
    names = pd.Index([f"m{i}" for i in range(n)])
    positive = pd.Series(np.arange(n) < n_positive, names)
    amount = pd.Series(rng.uniform(4, 12, n), names)
    scores = pd.DataFrame({"score": rng.normal(size=n) + shift * positive}, names)
    return positive, amount, scores


def names_of(table):
    return pd.Series(table.index, table.index)


def test_controls_are_near_and_used_once():
    positive, amount, _ = drawn()
    sets = ev_controls.matched_sets(positive, amount, n_controls=2, caliper=0.8)
    assert not sets["mirna"].duplicated().any()
    assert positive[sets["mirna"]].to_numpy().tolist() == sets["positive"].tolist()
    own = sets.set_index("mirna")["amount"]
    assert (own - amount[own.index]).abs().max() == 0
    assert (sets["amount"] - amount[sets["set"]].to_numpy()).abs().max() <= 0.8
    assert sets.groupby("set")["positive"].sum().eq(1).all()
    assert sets.groupby("set").size().between(2, 3).all()


def test_matching_is_the_best_there_is():
    """Greedy matching would give the first positive the middle control and leave the other without one."""
    names = ["p1", "p2", "n1", "n2"]
    positive = pd.Series([True, True, False, False], names)
    amount = pd.Series([5.0, 5.6, 5.4, 4.4], names)
    sets = ev_controls.matched_sets(positive, amount, n_controls=1)
    pairs = dict(sets.loc[~sets["positive"], ["set", "mirna"]].itertuples(index=False))
    assert pairs == {"p1": "n2", "p2": "n1"}


def test_area_of_one_set_is_that_of_sklearn():
    positive, amount, scores = drawn(shift=0.7)
    scores = scores.round(1)  # ties
    table = ev_controls.areas(scores, ev_controls.one_set(positive, amount), 300)
    assert table["auroc"].item() == pytest.approx(roc_auc_score(positive, scores["score"]))
    rng = np.random.default_rng(5)
    own, others = scores["score"][positive].to_numpy(), scores["score"][~positive].to_numpy()
    again = [
        roc_auc_score(
            np.repeat([1, 0], [len(own), len(others)]),
            np.concatenate([rng.choice(own, len(own)), rng.choice(others, len(others))]),
        )
        for _ in range(300)
    ]
    found = table[["lower", "upper"]].to_numpy()[0]
    assert found == pytest.approx(np.percentile(again, [2.5, 97.5]), abs=0.04)


def test_area_of_matched_sets_by_loops():
    positive, amount, scores = drawn(shift=0.7)
    sets = ev_controls.matched_sets(positive, amount)
    shares = []
    for name, part in sets.groupby("set"):
        others = scores["score"][part.loc[~part["positive"], "mirna"]]
        shares.append((scores["score"][name] > others).mean() + (scores["score"][name] == others).mean() / 2)
    table = ev_controls.areas(scores, sets, 200)
    assert table["auroc"].item() == pytest.approx(np.mean(shares))
    assert table["n_positive"].item() == len(shares)
    assert table["lower"].item() < table["auroc"].item() < table["upper"].item()


@pytest.mark.parametrize("matched", [True, False])
def test_what_is_planted_is_found_and_nothing_where_there_is_nothing(matched):
    for shift, least, most in ((3.0, 0.9, 1.0), (0.0, 0.2, 0.8)):
        positive, amount, scores = drawn(shift=shift)
        make = ev_controls.matched_sets if matched else ev_controls.one_set
        row = ev_controls.areas(scores, make(positive, amount), 400).iloc[0]
        assert least <= row["auroc"] <= most
        lots = ev_controls.by_lot(scores, positive, amount, names_of(positive), make, 100).iloc[0]
        assert lots["shuffled_lower"] < 0.5 < lots["shuffled_upper"]
        assert abs(lots["shuffled"] - 0.5) < 0.07
        assert (row["lower"] > 0.5) == (shift > 0)


def test_intervals_cover_where_labels_mean_nothing():
    """Over 60 draws without a signal, the interval holds 0.5 about as often as it should."""
    held = 0
    for seed in range(60):
        positive, amount, scores = drawn(seed=seed)
        row = ev_controls.areas(scores, ev_controls.one_set(positive, amount), 200, seed=seed).iloc[0]
        held += row["lower"] <= 0.5 <= row["upper"]
    assert held >= 50


def test_an_amount_alone_is_taken_away_by_matching():
    positive, amount, _ = drawn(n=200, n_positive=50)
    amount = amount + 2 * positive
    scores = pd.DataFrame({"score": amount})
    raw = ev_controls.areas(scores, ev_controls.one_set(positive, amount), 200).iloc[0]
    sets = ev_controls.matched_sets(positive, amount, n_controls=1, caliper=0.2)
    own = ev_controls.areas(scores, sets, 200).iloc[0]
    assert raw["lower"] > 0.5
    assert abs(own["auroc"] - 0.5) < abs(raw["auroc"] - 0.5)


def test_positives_by_lot_show_what_the_matching_leaves():
    """The abundance of the positives, which the score is, stays where nothing is matched, or too loosely."""
    rng = np.random.default_rng(0)
    amount = pd.Series(rng.uniform(0, 10, 150), [f"m{i}" for i in range(150)])
    positive = (amount + rng.normal(0, 1, 150)).rank() > 115
    medians = []
    for match in (
        ev_controls.one_set,
        lambda lots, by: ev_controls.matched_sets(lots, by, 1, 100),
        lambda lots, by: ev_controls.matched_sets(lots, by, 1, 0.2),
    ):
        row = ev_controls.by_lot(amount.to_frame("score"), positive, amount, names_of(amount), match, 60)
        medians.append(row["shuffled"].item())
    assert medians[0] > 0.75
    assert medians[1] > 0.7
    assert abs(medians[2] - 0.5) < 0.1


def test_clusters_are_drawn_together():
    """Scores of whole clusters scatter by the number of clusters, not of miRNAs."""
    rng = np.random.default_rng(0)
    names = [f"m{i}" for i in range(120)]
    clusters = pd.Series(np.repeat(np.arange(24), 5), names)
    scores = pd.DataFrame({"score": np.repeat(rng.normal(size=24), 5)}, names)
    positive, amount = pd.Series(np.arange(120) < 30, names), pd.Series(rng.uniform(5, 6, 120), names)
    widths = []
    for groups in (clusters, names_of(amount)):
        row = ev_controls.by_lot(scores, positive, amount, groups, ev_controls.one_set, 200).iloc[0]
        widths.append(row["shuffled_upper"] - row["shuffled_lower"])
    assert widths[0] > 1.6 * widths[1]


def test_what_cannot_be_compared_is_refused():
    positive, amount, scores = drawn()
    with pytest.raises(ParameterError, match="n_controls of 1 or more"):
        ev_controls.matched_sets(positive, amount, n_controls=0)
    with pytest.raises(DataError, match="expected both kinds"):
        ev_controls.matched_sets(positive | True, amount)
    with pytest.raises(DataError, match="No negative lies within 1"):
        ev_controls.matched_sets(positive, amount + 100 * positive)
    with pytest.raises(DataError, match="m59 has no score"):
        ev_controls.areas(scores.iloc[:-1], ev_controls.one_set(positive, amount))
