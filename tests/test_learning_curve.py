"""Learning curves: the end is a plain cross-validation, smaller training sets are nested, nothing leaks."""

import numpy as np
import pandas as pd
import pytest

import sicmir
from sicmir import metrics
from sicmir.benchmark.baselines import CohortMean, Ridge
from sicmir.benchmark.learning_curve import cohort_curve, donor_curve
from sicmir.errors import DataError, ParameterError
from sicmir.learning.kernel import MaskedKernelRidge
from sicmir.learning.methods import Method, cross_predict
from sicmir.learning.splits import Split, donor_folds, leave_one_cohort_out


@pytest.fixture(scope="module")
def data():
    """Five cohorts of 24 donors, a quarter of them with a second sample; 20 miRNAs, a few values missing."""
    mrna, mirna = sicmir.toy.paired_bulk(24, 5, 977, 20, normal_fraction=0.25, seed=6)
    Y = mirna.X.copy()
    Y[np.random.default_rng(0).random(Y.shape) < 0.02] = np.nan
    return mrna.X[:, :300], Y, mirna.obs


class Spy(CohortMean):
    """Cohort means, and a record of the samples of each fit and of each prediction."""

    def __init__(self, log):
        self.log = log

    def fit(self, X, Y, obs):
        self.seen = obs
        return super().fit(X, Y, obs)

    def predict(self, X, obs):
        self.log.append((self.seen, obs))
        return super().predict(X, obs)


def watched(curve, data, splits, **options):
    """The table of a curve, and for each of its rows the (training, test) obs of each split."""
    log = []
    table = curve(*data, splits, lambda: Spy(log), **options)
    n = len(splits)
    assert len(log) == n * len(table)
    return table, [log[i * n : (i + 1) * n] for i in range(len(table))]


def direct(data, splits, make):
    """Medians of a cross-validation without any curve, and its mean number of training samples."""
    X, Y, obs = data
    method = Method("direct", "", frozenset(), lambda seed: make())
    predicted = cross_predict(method, X, Y, obs, splits, progress=False).to_numpy()
    tested = np.concatenate([split.test for split in splits])
    table = metrics.per_mirna(Y[tested], predicted[tested], obs["cohort"].to_numpy()[tested])
    return [table["pearson"].median(), table["pearson_within"].median()]


def test_all_donors_are_a_cross_validation(data):
    for splits in (donor_folds(data[2], 3), donor_folds(data[2], 3)[:2]):
        found = donor_curve(*data, splits, Ridge, fractions=(1.0,))
        assert found.columns.tolist() == ["fraction", "repeat", "n_samples", "pooled", "within"]
        np.testing.assert_allclose(
            found[["pooled", "within"]].iloc[0], direct(data, splits, Ridge), rtol=1e-6
        )
        assert found["n_samples"].iloc[0] == np.mean([len(split.train) for split in splits])
        assert found[["fraction", "repeat"]].iloc[0].tolist() == [1.0, 0]


def test_a_share_of_the_donors_is_a_cross_validation_on_those(data):
    splits = donor_folds(data[2], 3)
    found, rows = watched(donor_curve, data, splits, fractions=(0.3, 0.6))
    for row, pairs in zip(found.itertuples(), rows, strict=True):
        smaller = [
            Split(split.name, data[2].index.get_indexer(train.index), split.test)
            for split, (train, _) in zip(splits, pairs, strict=True)
        ]
        expected = donor_curve(*data, smaller, Ridge, fractions=(1.0,))
        other = donor_curve(*data, splits, Ridge, fractions=(row.fraction,))
        pd.testing.assert_frame_equal(other.drop(columns="fraction"), expected.drop(columns="fraction"))


def test_donors_are_nested_whole_and_never_tested(data):
    obs, splits = data[2], donor_folds(data[2], 4)
    fractions = (0.1, 0.35, 0.7, 1.0)
    found, rows = watched(donor_curve, data, splits, fractions=fractions, seed=3)
    assert found["fraction"].tolist() == list(fractions)
    of_donor = obs.groupby("donor").size()
    for i, split in enumerate(splits):
        available = set(obs["donor"].iloc[split.train])
        before = set()
        for fraction, pairs in zip(fractions, rows, strict=True):
            train, test = pairs[i]
            donors = set(train["donor"])
            assert test.index.equals(obs.index[split.test])
            assert not donors & set(test["donor"])
            assert before < donors <= available
            assert len(donors) == np.ceil(round(fraction * len(available), 9))
            assert len(train) == of_donor[list(donors)].sum()
            before = donors
        assert before == available
    for n_samples, pairs in zip(found["n_samples"], rows, strict=True):
        assert n_samples == np.mean([len(train) for train, _ in pairs])


def test_a_seed_fixes_the_draw_of_donors(data):
    splits = donor_folds(data[2], 3)
    first, again, other = (
        watched(donor_curve, data, splits, fractions=(0.2,), seed=seed)[1][0][0][0].index
        for seed in (0, 0, 1)
    )
    assert first.equals(again)
    assert not first.equals(other)


def test_more_donors_predict_better_where_there_is_something_to_predict():
    mrna, mirna = sicmir.toy.paired_bulk(60, 2, 977, 40, normal_fraction=0, predictable=(0.8, 0.9), seed=7)
    signal = mirna.uns["truth"]["mirnas"]["kind"].isin(["host", "programme"]).to_numpy()
    noise = (mirna.uns["truth"]["mirnas"]["kind"] == "none").to_numpy()
    splits = donor_folds(mirna.obs, 3)
    curves = [
        donor_curve(mrna.X, mirna.X[:, chosen], mirna.obs, splits, MaskedKernelRidge, (0.25, 0.5, 1.0))
        for chosen in (signal, noise)
    ]
    assert curves[0]["within"].is_monotonic_increasing
    assert curves[0]["within"].iloc[-1] > curves[0]["within"].iloc[0] + 0.1
    assert curves[0]["within"].iloc[-1] > 0.5
    assert curves[1]["within"].abs().max() < 0.25


def test_all_cohorts_are_a_cross_validation(data):
    splits = leave_one_cohort_out(data[2])
    found = cohort_curve(*data, splits, Ridge, numbers=(2,), repeats=1)
    assert found.columns.tolist() == ["n_cohorts", "repeat", "n_samples", "pooled", "within"]
    np.testing.assert_allclose(found[["pooled", "within"]].iloc[-1], direct(data, splits, Ridge), rtol=1e-6)
    assert found["n_cohorts"].tolist() == [2.0, 4.0]


def test_cohorts_are_nested_in_a_draw_and_never_tested(data):
    obs, splits = data[2], leave_one_cohort_out(data[2])
    found, rows = watched(cohort_curve, data, splits, numbers=(1, 3), repeats=3, seed=5)
    assert found["n_cohorts"].tolist() == [1, 1, 1, 3, 3, 3, 4]
    assert found["repeat"].tolist() == [0, 1, 2, 0, 1, 2, 0]
    drawn = []
    for number, n_samples, pairs in zip(found["n_cohorts"], found["n_samples"], rows, strict=True):
        drawn.append([set(train["cohort"]) for train, _ in pairs])
        assert n_samples == np.mean([len(train) for train, _ in pairs])
        for names, (train, test), split in zip(drawn[-1], pairs, splits, strict=True):
            assert test.index.equals(obs.index[split.test])
            assert len(names) == number
            assert not names & set(test["cohort"])
            assert len(train) == obs["cohort"].isin(names).sum()
    for repeat in range(3):
        assert all(few < many for few, many in zip(drawn[repeat], drawn[3 + repeat], strict=True))
    assert drawn[0] != drawn[1]


def test_the_number_of_cohorts_is_that_of_those_trained_on(data):
    """Splits may differ in what they have; more than all is all, and is not said to be more."""
    obs = data[2]
    whole = leave_one_cohort_out(obs)
    cohort = obs["cohort"].to_numpy()
    poor = Split("poor", whole[0].train[np.isin(cohort[whole[0].train], ["TOYB", "TOYC"])], whole[0].test)
    found, rows = watched(cohort_curve, data, [poor, whole[1]], numbers=(1, 3, 4, 9), repeats=1)
    assert found["n_cohorts"].tolist() == [1.0, 2.5, 3.0]
    counted = [np.mean([train["cohort"].nunique() for train, _ in pairs]) for pairs in rows]
    assert found["n_cohorts"].tolist() == counted


def test_mirnas_that_cannot_be_learnt_do_not_enter_the_medians(data):
    X, Y, obs = data
    rare = Y.copy()
    rare[np.random.default_rng(1).random(len(Y)) < 0.75, :5] = np.nan
    splits = donor_folds(obs, 3)
    few = donor_curve(X, rare, obs, splits, Ridge, fractions=(0.5,))
    without = donor_curve(X, rare[:, 5:], obs, splits, Ridge, fractions=(0.5,))
    pd.testing.assert_frame_equal(few, without, rtol=1e-3)


def test_leaks_and_overlapping_tests_are_refused(data):
    folds = donor_folds(data[2], 3)
    leaky = Split("leaky", np.append(folds[0].train, folds[0].test[:1]), folds[0].test[1:])
    leaky_donor = data[2]["donor"].iloc[folds[0].test[0]]
    assert (data[2]["donor"].iloc[leaky.test] == leaky_donor).any()  # its second sample is tested
    for splits, words in (([leaky], "leaks: 1 donors"), ([folds[0], folds[0]], "test set of several")):
        with pytest.raises(DataError, match=words):
            donor_curve(*data, splits, Ridge, fractions=(1.0,))
        with pytest.raises(DataError, match=words):
            cohort_curve(*data, splits, Ridge, numbers=(9,))


def test_sizes_out_of_range_are_refused(data):
    splits = donor_folds(data[2], 3)
    for fractions in ((), (0.0,), (0.5, 1.1), (-1,), (float("nan"),)):
        with pytest.raises(ParameterError, match="fractions should lie above 0"):
            donor_curve(*data, splits, Ridge, fractions=fractions)
    for options in ({"numbers": ()}, {"numbers": (2, 0)}, {"repeats": 0}):
        with pytest.raises(ParameterError, match="at least 1"):
            cohort_curve(*data, splits, Ridge, **options)
    with pytest.raises(DataError, match="20 of"):  # as the estimator says it
        donor_curve(*data, splits, MaskedKernelRidge, fractions=(0.05,))
