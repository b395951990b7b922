import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import pearsonr, spearmanr

from sicmir import metrics
from sicmir.errors import DataError, ParameterError

COHORT = np.repeat(["A", "B", "C", "tiny"], [30, 25, 12, 5])


@pytest.fixture
def pair():
    """Measured and predicted values with gaps on both sides, ties, and cohorts of unlike size."""
    rng = np.random.default_rng(0)
    observed = rng.normal(6, 1, size=(len(COHORT), 8)) + rng.normal(size=(4, 8))[pd.factorize(COHORT)[0]]
    predicted = 0.6 * observed + rng.normal(size=observed.shape)
    observed[:, :3] = np.round(observed[:, :3])
    observed[rng.random(observed.shape) < 0.08] = np.nan
    predicted[rng.random(observed.shape) < 0.04] = np.nan
    names = [f"m{i}" for i in range(8)]
    index = [f"s{i}" for i in range(len(COHORT))]
    return pd.DataFrame(observed, index, names), pd.DataFrame(predicted, index, names)


def brute_within(x, y, correlation, min_samples=10):
    total = weight = count = 0
    for cohort in np.unique(COHORT):
        used = (cohort == COHORT) & ~np.isnan(x) & ~np.isnan(y)
        if used.sum() >= min_samples:
            z = np.arctanh(correlation(x[used], y[used])[0])
            total, weight, count = total + (used.sum() - 3) * z, weight + used.sum() - 3, count + 1
    return np.tanh(total / weight), count


def test_every_column_matches_a_loop_with_scipy(pair):
    observed, predicted = pair
    table = metrics.per_mirna(observed, predicted, COHORT)
    assert list(table.index) == list(observed.columns)
    for name, row in table.iterrows():
        x, y = observed[name].to_numpy(), predicted[name].to_numpy()
        used = ~np.isnan(x) & ~np.isnan(y)
        assert row["n"] == used.sum()
        assert row["pearson"] == pytest.approx(pearsonr(x[used], y[used])[0])
        assert row["spearman"] == pytest.approx(spearmanr(x[used], y[used])[0])
        assert row["rmse"] == pytest.approx(np.sqrt(np.mean((x[used] - y[used]) ** 2)))
        for column, correlation in (("pearson_within", pearsonr), ("spearman_within", spearmanr)):
            expected, count = brute_within(x, y, correlation)
            assert row[column] == pytest.approx(expected)
        assert row["n_cohorts"] == count
    assert table["n_cohorts"].min() >= 2


def test_min_samples_decides_which_cohorts_count(pair):
    observed, predicted = pair
    full = observed.fillna(5.0)
    counts = [
        metrics.per_mirna(full, predicted.fillna(5.0), COHORT, min_samples=n)["n_cohorts"].iloc[-1]
        for n in (4, 10, 26, 99)
    ]
    assert counts == [4, 3, 1, 0]
    none = metrics.per_mirna(full, predicted, COHORT, min_samples=99)
    assert none["pearson_within"].isna().all()
    assert none["spearman_within"].isna().all()


def test_cohort_means_look_good_pooled_and_are_nothing_within():
    rng = np.random.default_rng(1)
    means = rng.normal(scale=3, size=(3, 20))
    codes = np.repeat([0, 1, 2], 40)
    observed = means[codes] + rng.normal(size=(120, 20))
    table = metrics.per_mirna(observed, means[codes], codes)
    assert table["pearson"].median() > 0.85
    assert table["pearson_within"].isna().all()
    assert (table["n_cohorts"] == 0).all()
    noisy = metrics.per_mirna(observed, means[codes] + rng.normal(size=observed.shape), codes)
    assert noisy["pearson"].median() > 0.75
    assert abs(noisy["pearson_within"].median()) < 0.08


def test_a_constant_or_empty_side_is_nan_and_a_perfect_one_is_finite():
    rng = np.random.default_rng(2)
    observed = rng.normal(5, 1, size=(20, 5))
    predicted = observed.copy()
    predicted[:, 1] = 3.3
    predicted[:, 2] = np.float32(7.1) + rng.normal(scale=1e-7, size=20)
    predicted[:, 3] = np.nan
    predicted[2:, 4] = np.nan
    table = metrics.per_mirna(observed, predicted, ["A"] * 20)
    correlations = ["pearson", "spearman", "pearson_within", "spearman_within"]
    np.testing.assert_allclose(table.loc[0, correlations].astype(float), 1, atol=2e-6)
    assert table.loc[[1, 2, 3, 4], correlations].isna().all(axis=None)
    assert table.loc[3, "n"] == 0
    assert np.isnan(table.loc[3, "rmse"])
    assert table.loc[4, "n"] == 2


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.booleans())
def test_order_and_linear_scale_do_not_matter(seed, gaps):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(2, 36, 3))
    if gaps:
        x[rng.random(x.shape) < 0.1] = np.nan
    cohort, order = np.repeat(["A", "B"], 18), rng.permutation(36)
    first = metrics.per_mirna(x, y, cohort)
    pd.testing.assert_frame_equal(metrics.per_mirna(x[order], y[order], cohort[order]), first)
    scaled = metrics.per_mirna(x, 3 * y + 100, cohort)
    pd.testing.assert_frame_equal(scaled.drop(columns="rmse"), first.drop(columns="rmse"))
    swapped = metrics.per_mirna(y, x, cohort)
    pd.testing.assert_frame_equal(swapped, first)


def test_frames_are_matched_by_label(pair):
    observed, predicted = pair
    expected = metrics.per_mirna(observed, predicted, COHORT)
    cohort = pd.Series(COHORT, observed.index).sample(frac=1, random_state=0)
    shuffled = predicted.sample(frac=1, random_state=1)[predicted.columns[::-1]]
    pd.testing.assert_frame_equal(metrics.per_mirna(observed, shuffled, cohort), expected)
    arrays = metrics.per_mirna(observed.to_numpy(), predicted.to_numpy(), COHORT, names=observed.columns)
    pd.testing.assert_frame_equal(arrays, expected)


def test_bad_input_is_refused(pair):
    observed, predicted = pair
    with pytest.raises(DataError, match="1 samples are in only one"):
        metrics.per_mirna(observed, predicted[1:], COHORT)
    with pytest.raises(DataError, match="2 miRNAs are in only one"):
        metrics.per_mirna(observed, predicted.rename(columns={"m0": "other"}), COHORT)
    with pytest.raises(DataError, match="samples of observed and predicted should be unique"):
        metrics.per_mirna(observed, pd.concat([predicted, predicted[:1]]), COHORT)
    with pytest.raises(DataError, match="both as DataFrames"):
        metrics.per_mirna(observed, predicted.to_numpy(), COHORT)
    with pytest.raises(DataError, match="one shape"):
        metrics.per_mirna(observed.to_numpy(), predicted.to_numpy()[:, :3], COHORT)
    with pytest.raises(DataError, match=r"infinite.*first: m4"):
        metrics.per_mirna(observed, predicted.assign(m4=np.inf), COHORT)
    with pytest.raises(DataError, match="one cohort for each of 72"):
        metrics.per_mirna(observed, predicted, COHORT[:-1])
    with pytest.raises(DataError, match="1 of them missing"):
        metrics.per_mirna(observed, predicted, pd.Series(COHORT, observed.index)[1:])
    with pytest.raises(ParameterError, match="at least 4"):
        metrics.per_mirna(observed, predicted, COHORT, min_samples=3)


def test_summary_gives_medians_and_what_they_rest_on(pair):
    observed, predicted = pair
    table = metrics.per_mirna(observed, predicted, COHORT)
    table.loc["m0", "pearson_within"] = np.nan
    table["spearman_within"] = np.nan
    found = metrics.summary(table)
    assert found["n_mirnas"] == 8
    assert found["rmse"] == pytest.approx(np.sort(table["rmse"])[3:5].mean())
    assert found["pearson_within"] == pytest.approx(np.sort(table["pearson_within"][1:])[3])
    assert found["n_pearson_within"] == 7
    assert np.isnan(found["spearman_within"])
    assert found["n_spearman_within"] == 0
    with pytest.raises(DataError, match="rmse"):
        metrics.summary(table.drop(columns="rmse"))


def test_records_hold_for_every_value(pair):
    observed, predicted = pair
    good = metrics.per_mirna(observed, observed + 0.01 * predicted, COHORT)
    table = metrics.per_mirna(observed, predicted, COHORT)
    assert set(metrics.METRICS) == set(table.columns) - {"n", "n_cohorts"}
    for name, metric in metrics.METRICS.items():
        assert table[name].between(*metric.range).all()
        assert (good[name].median() > table[name].median()) == metric.higher_is_better


def test_detected_follows_its_rule():
    one = np.log2(1 + 1.0)
    values = np.array(
        [
            [one + 0.01, one, one + 1, np.nan, np.nan],
            [one + 0.01, one, np.nan, np.nan, 0.0],
            [0.0, one, np.nan, np.nan, 0.0],
            [0.0, 9.0, 0.5, np.nan, 8.0],
        ]
    )
    np.testing.assert_array_equal(metrics.detected(values), [True, False, True, False, False])
    np.testing.assert_array_equal(metrics.detected(values, fraction=0.25), [True, True, True, False, True])
    np.testing.assert_array_equal(
        metrics.detected(values, threshold_rpm=100), [False, False, False, False, False]
    )
    for bad in (values - 5, np.where(np.isnan(values), np.inf, values)):
        with pytest.raises(DataError, match="RPM"):
            metrics.detected(bad)
    with pytest.raises(ParameterError, match="fraction"):
        metrics.detected(values, fraction=0)
