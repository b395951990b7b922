import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq
from scipy.stats import norm, spearmanr

from sicmir.errors import BundleError, DataError, ParameterError
from sicmir.learning.rescale import Rescale, gene_patterns

N_GENES = 40
MEAN = np.linspace(4, 13, N_GENES)
SD = np.linspace(2.5, 0.5, N_GENES)
TRANSFORMS = ("frozen", "rank", "cohort")


def samples(n, seed=0):
    return np.maximum(MEAN + SD * np.random.default_rng(seed).normal(size=(n, N_GENES)), 0.5)


@pytest.fixture(scope="module")
def rescale():
    return Rescale().fit(samples(400))


@pytest.fixture
def gappy():
    values = samples(12, seed=1)
    values[np.random.default_rng(2).random(values.shape) < 0.3] = np.nan
    return values


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_gaps_stay_gaps_and_everything_else_gets_a_value(rescale, gappy, transform):
    found = rescale.to_training(gappy, transform)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(np.isnan(found), np.isnan(gappy))


def test_frozen_values_stay_as_they_are(rescale, gappy):
    np.testing.assert_array_equal(rescale.to_training(gappy, "frozen"), gappy.astype(np.float32))


def excess(x, mean, sd, level):
    return norm.cdf((x - mean) / sd).mean() - level


def test_ranks_become_quantiles_of_the_mixture_over_the_measured_genes(rescale, gappy):
    found = rescale.to_training(gappy, "rank")
    for row, result in zip(gappy, found, strict=True):
        seen = np.flatnonzero(~np.isnan(row))
        mean, sd = rescale.mean_[seen], rescale.sd_[seen]
        order = seen[np.argsort(row[seen])]
        for place in (0, 1, len(seen) // 2, len(seen) - 1):
            level = (place + 0.5) / len(seen)
            expected = brentq(excess, -30, 60, args=(mean, sd, level))
            assert result[order[place]] == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize(
    "change", [lambda x: 0.3 * x + 2, lambda x: 2.0**x - 1, lambda x: np.log2(x + 1), lambda x: x - 20]
)
def test_a_planted_distortion_of_the_units_is_undone_by_rank(rescale, change):
    truth = samples(30, seed=3)
    expected = rescale.to_training(truth, "rank")
    np.testing.assert_array_equal(rescale.to_training(change(truth), "rank"), expected)
    assert np.sqrt(((expected - truth) ** 2).mean()) < 0.8
    assert np.sqrt(((change(truth) - truth) ** 2).mean()) > 2


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.integers(0, 2000), min_size=N_GENES, max_size=N_GENES),
    st.sampled_from([lambda x: 3 * x + 5, lambda x: x**3, np.log1p, np.sqrt]),
)
def test_rank_ignores_any_increasing_change_with_ties_or_without(values, change):
    rescale = Rescale.from_state({"n_genes": N_GENES, "mean": MEAN, "sd": SD})
    x = np.array([values], dtype=float)
    np.testing.assert_array_equal(rescale.to_training(change(x), "rank"), rescale.to_training(x, "rank"))


@pytest.mark.parametrize("transform", ["frozen", "rank"])
def test_a_sample_does_not_depend_on_the_others(rescale, gappy, transform):
    together = rescale.to_training(gappy, transform)
    for i in range(len(gappy)):
        np.testing.assert_array_equal(rescale.to_training(gappy[[i]], transform)[0], together[i])


def test_a_cohort_is_moved_to_the_training_means_and_each_result_depends_on_it(rescale):
    values = samples(8, seed=4)
    found = rescale.to_training(values, "cohort")
    z = (values - values.mean(axis=0)) / values.std(axis=0)
    np.testing.assert_allclose(found, rescale.mean_ + rescale.sd_ * z, atol=1e-4)
    # a shift and a factor of each gene, the planted distortion that only a cohort can undo
    distorted = values * np.linspace(0.2, 3, N_GENES) + np.linspace(-5, 5, N_GENES)
    np.testing.assert_allclose(rescale.to_training(distorted, "cohort"), found, atol=1e-3)
    alone = rescale.to_training(values[:4], "cohort")
    assert np.abs(alone - found[:4]).max() > 0.5


def test_a_cohort_says_nothing_of_constant_and_rare_genes(rescale):
    values = samples(6, seed=5)
    values[:, 0] = 3.0
    values[:4, 1] = np.nan
    values[:3, 2] = np.nan
    found = rescale.to_training(values, "cohort")
    assert np.isnan(found[:, :2]).all()
    np.testing.assert_array_equal(np.isnan(found[:, 2]), np.isnan(values[:, 2]))
    assert np.isfinite(found[:, 3:]).all()


def test_a_gene_that_one_of_many_has_stays_within_five_sd(rescale):
    values = np.zeros((200, N_GENES))
    values[0] = 9
    found = rescale.to_training(values, "cohort")
    np.testing.assert_allclose(found[0], rescale.mean_ + 5 * rescale.sd_, rtol=1e-6)


def test_zeros_come_in_the_order_of_the_training_means_and_below_the_rest(rescale):
    values = samples(1, seed=6)
    absent = np.arange(0, N_GENES, 2)
    values[0, absent] = 0
    found = rescale.to_training(values, "rank")[0]
    assert (np.diff(found[absent]) > 0).all()
    assert found[absent].max() < found[1::2].min()
    assert spearmanr(found[1::2], values[0, 1::2]).statistic == pytest.approx(1)


def test_ordered_ties_are_nearer_to_the_truth_than_their_mean_rank(rescale):
    truth = samples(100, seed=7)
    counts = np.random.default_rng(8).poisson(2.0 ** (truth - 8)).astype(float)
    found = rescale.to_training(counts, "rank")
    by_mean_rank = np.empty_like(found)
    for i, row in enumerate(counts):
        for value in np.unique(row):
            by_mean_rank[i, row == value] = found[i, row == value].mean()
    rmse = [np.sqrt(((x - truth) ** 2).mean()) for x in (found, by_mean_rank)]
    assert rmse[0] < 0.9 * rmse[1]


def test_a_sample_without_any_order_is_not_turned_into_numbers(rescale):
    values = np.vstack([np.zeros(N_GENES), samples(1)])
    found = rescale.to_training(values, "rank")
    assert np.isnan(found[0]).all()
    assert np.isfinite(found[1]).all()


def test_a_gene_that_training_does_not_know_is_left_out():
    training = samples(50)
    training[:, 3] = np.nan
    training[:, 5] = 2.0
    rescale = Rescale().fit(training)
    for transform in ("rank", "cohort"):
        found = rescale.to_training(samples(6, seed=1), transform)
        assert np.flatnonzero(np.isnan(found).all(axis=0)).tolist() == [3, 5]
        assert np.isfinite(np.delete(found, [3, 5], axis=1)).all()


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_the_state_rebuilds_it(rescale, gappy, transform):
    state = rescale.state()
    assert {key: value.dtype for key, value in state.items() if key != "n_genes"} == {
        "mean": np.float32,
        "sd": np.float32,
    }
    again = Rescale.from_state(state).to_training(gappy, transform)
    np.testing.assert_array_equal(again, rescale.to_training(gappy, transform))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("sd"), "should hold"),
        (lambda s: s.update(extra=np.zeros(3)), "should hold"),
        (lambda s: s.update(mean=np.zeros(5)), "'mean'.*40 finite"),
        (lambda s: s.update(sd=np.full(N_GENES, -1.0)), "'sd'.*at least 0"),
        (lambda s: s.update(mean=np.full(N_GENES, np.nan)), "finite"),
    ],
)
def test_a_damaged_state_is_refused(rescale, change, message):
    state = rescale.state()
    change(state)
    with pytest.raises(BundleError, match=message):
        Rescale.from_state(state)


def test_bad_input_is_refused_with_its_gene(rescale):
    frame = pd.DataFrame(samples(4), columns=[f"GENE{i}" for i in range(N_GENES)])
    for transform in TRANSFORMS:
        with pytest.raises(DataError, match="GENE3"):
            rescale.to_training(frame.assign(GENE3=np.inf), transform)
        with pytest.raises(DataError, match=r"39 genes.*have 40"):
            rescale.to_training(frame.iloc[:, 1:], transform)
        with pytest.raises(DataError, match="row 4"):
            rescale.to_training(np.vstack([frame, np.full(N_GENES, np.nan)]), transform)
    for names, values in ((frame.columns, frame.assign(GENE7=31.0).to_numpy()), (None, frame * 0 + 31.0)):
        with pytest.raises(DataError, match=r"Row 0, GENE[07]: found 31; expected log2"):
            Rescale.from_state(rescale.state(), names).to_training(values, "frozen")
    with pytest.raises(DataError, match="column 7"):
        rescale.to_training(frame.assign(GENE7=31.0).to_numpy(), "frozen")
    with pytest.raises(DataError, match="at least 3 samples, found 2"):
        rescale.to_training(frame.iloc[:2], "cohort")
    with pytest.raises(DataError, match="expected log2"):
        Rescale().fit(2.0**frame)
    with pytest.raises(ParameterError, match="frozen, rank, cohort"):
        rescale.to_training(frame, "auto")
    for misuse in (lambda: Rescale().to_training(frame, "rank"), lambda: Rescale().state()):
        with pytest.raises(ParameterError, match="call fit"):
            misuse()


def test_patterns_deal_every_sample_with_a_gene_to_one_set_of_genes():
    rng = np.random.default_rng(0)
    measured = rng.random((5, 13))[rng.integers(0, 5, 60)] < 0.5
    measured[7] = False
    dealt = np.zeros(60, dtype=int)
    for rows, seen in gene_patterns(measured):
        assert (measured[rows] == seen).all()
        dealt[rows] += 1
    np.testing.assert_array_equal(dealt, measured.any(axis=1))
