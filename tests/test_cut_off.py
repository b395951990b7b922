import itertools

import numpy as np
import pytest
from statsmodels.duration.hazard_regression import PHReg

from sicmir.donors.cut_off import cut_off, log_rank_scores
from sicmir.donors.survival_curves import log_rank
from sicmir.errors import DataError, ParameterError
from sicmir.synthetic import toy_cells


def drawn(n, log_hazard=0.0, seed=0):
    values = np.random.default_rng(seed).normal(8, 1, n)
    times = toy_cells.survival_times(log_hazard * (values > 8), censored=0.3, seed=seed)
    return values, times["time"].to_numpy(), times["event"].to_numpy()


def test_scores_are_events_less_the_cumulative_hazard():
    _, time, event = drawn(40)
    time = np.ceil(10 * time)
    found = log_rank_scores(time, event)
    assert found.sum() == pytest.approx(0)
    for i in range(40):
        steps = [event[time == t].sum() / (time >= t).sum() for t in np.unique(time[time <= time[i]])]
        assert found[i] == pytest.approx(event[i] - sum(steps))


def test_the_best_cut_is_that_of_trying_each_and_its_p_that_of_all_permutations():
    values, time, event = drawn(7, seed=1)
    event[:] = [1, 1, 0, 1, 1, 1, 0]
    scores = log_rank_scores(time, event)[np.argsort(values)]

    def largest(ordered):
        n, tried = len(ordered), {}
        for low in range(2, 6):
            variance = low * (n - low) / n * ordered.var(ddof=1)
            tried[low] = abs(ordered[:low].sum() - low * ordered.mean()) / np.sqrt(variance)
        return max(tried, key=tried.get), max(tried.values())

    found = cut_off(values, time, event, n_permutations=20_000, n_resamples=0)
    low, statistic = largest(scores)
    assert found["n_low"] == low
    assert found["statistic"] == pytest.approx(statistic)
    exact = np.mean([largest(np.array(p))[1] >= statistic - 1e-9 for p in itertools.permutations(scores)])
    assert found["corrected_p"] == pytest.approx(exact, abs=0.012)
    ordered = np.sort(values)
    assert found["cut"] == pytest.approx((ordered[low - 1] + ordered[low]) / 2)
    assert found["naive_p"] == pytest.approx(log_rank(time, event, values > found["cut"])[1])


def test_a_planted_threshold_is_found_and_its_size_is_not_overstated():
    values, time, event = drawn(200, 1.2, seed=2)
    found = cut_off(values, time, event, n_resamples=60, seed=3)
    assert found["cut"] == pytest.approx(8, abs=0.4)
    assert found["corrected_p"] < 0.01
    assert 0 < found["optimism"] < 0.5
    assert found["corrected_log_hazard_ratio"] < found["log_hazard_ratio"]
    expected = PHReg(time, (values > found["cut"]).astype(float)[:, None], status=event, ties="efron").fit()
    assert found["log_hazard_ratio"] == pytest.approx(expected.params[0], rel=1e-4)
    assert found["median_p"] == pytest.approx(log_rank(time, event, values > np.median(values))[1])


def test_where_nothing_is_the_search_is_taken_back():
    naive, corrected, ratios = [], [], []
    for seed in range(40):
        found = cut_off(*drawn(60, seed=seed), n_permutations=199, n_resamples=8, seed=seed)
        naive.append(found["naive_p"])
        corrected.append(found["corrected_p"])
        ratios.append((abs(found["log_hazard_ratio"]), abs(found["corrected_log_hazard_ratio"])))
    assert np.mean(np.array(naive) < 0.05) > 0.15
    assert np.mean(np.array(corrected) < 0.05) < 0.15
    before, after = np.mean(ratios, axis=0)
    assert after < before / 2


def test_it_is_seeded_and_leaves_out_gaps():
    values, time, event = drawn(50, 1, seed=4)
    first = cut_off(values, time, event, n_permutations=100, n_resamples=5, seed=6)
    order = np.random.default_rng(5).permutation(50)
    gap = [np.r_[values[order], np.nan], np.r_[time[order], 3], np.r_[event[order], 1]]
    again = cut_off(*gap, n_permutations=100, n_resamples=5, seed=6)
    assert again.to_dict() == pytest.approx(first.to_dict())
    assert first["n"] == 50


def test_ties_are_not_parted_and_what_cannot_be_cut_is_refused():
    values, time, event = drawn(40, seed=7)
    rough = np.round(values)
    found = cut_off(rough, time, event, n_permutations=100, n_resamples=0)
    assert found["cut"] % 1 == 0.5
    assert np.isnan(found["optimism"])
    for bad, message in ((np.ones(40), "No cut leaves 20%"), (np.r_[np.zeros(38), 1, 2], "No cut leaves")):
        with pytest.raises(DataError, match=message):
            cut_off(bad, time, event)
    with pytest.raises(DataError, match="Expected one length"):
        cut_off(values[1:], time, event)
    with pytest.raises(DataError, match="1 of 20 donors have an event"):
        cut_off(range(20), range(1, 21), np.arange(20) == 19)
    with pytest.raises(DataError, match="No donor has an event"):
        cut_off(values, time, np.zeros(40))
    for options, message in (
        ({"min_share": 0.6}, "min_share"),
        ({"n_permutations": 10}, "n_permutations"),
        ({"n_resamples": -1}, "n_resamples"),
    ):
        with pytest.raises(ParameterError, match=message):
            cut_off(values, time, event, **options)
