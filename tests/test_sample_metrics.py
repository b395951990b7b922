import numpy as np
import pandas as pd
import pytest
from scipy.stats import pearsonr, spearmanr

from sicmir.benchmark.sample_metrics import SAMPLE_METRICS, per_sample
from sicmir.errors import DataError, ParameterError


@pytest.fixture
def data():
    """Means from 0 to 14, deviations of SD 1 that are half predicted, gaps, two cohorts."""
    rng = np.random.default_rng(0)
    labels = {"index": [f"s{i}" for i in range(30)], "columns": [f"m{i}" for i in range(80)]}
    mean = pd.Series(rng.uniform(0, 14, 80), labels["columns"])
    signal, noise, error = rng.normal(size=(3, 30, 80))
    observed = pd.DataFrame(mean.to_numpy() + signal + noise, **labels)
    predicted = pd.DataFrame(mean.to_numpy() + signal + error, **labels)
    observed = observed.mask(rng.random(observed.shape) < 0.1)
    predicted = predicted.mask(rng.random(observed.shape) < 0.05)
    cohort = pd.Series(np.where(np.arange(30) % 3, "A", "B"), labels["index"])
    return observed, predicted, mean, cohort


def check(found, observed, predicted, references):
    assert list(found.index) == list(observed.index)
    assert list(found.columns) == ["n", *SAMPLE_METRICS]
    for name, row in found.iterrows():
        x, y, mean = (side.loc[name].to_numpy() for side in (observed, predicted, references))
        used = np.isfinite(x) & np.isfinite(y) & np.isfinite(mean)
        x, y, mean = x[used], y[used], mean[used]
        assert row["n"] == used.sum()
        assert row["pearson_centred"] == pytest.approx(pearsonr(x - mean, y - mean)[0])
        assert row["spearman_centred"] == pytest.approx(spearmanr(x - mean, y - mean)[0])
        assert row["rmse"] == pytest.approx(np.sqrt(np.mean((x - y) ** 2)))


def test_one_reference_matches_a_loop_with_scipy(data):
    observed, predicted, mean, _ = data
    mean["m3"] = np.nan
    found = per_sample(observed, predicted.iloc[::-1, ::-1], mean.sample(frac=1, random_state=0))
    check(found, observed, predicted, pd.DataFrame([mean] * 30, index=observed.index))
    assert found["pearson_centred"].between(0.2, 0.8).all()
    for name, metric in SAMPLE_METRICS.items():
        assert found[name].between(*metric.range).all()


def test_reference_of_each_cohort_matches_a_loop_with_scipy(data):
    observed, predicted, mean, cohort = data
    shift = np.random.default_rng(1).normal(size=80)
    means = pd.DataFrame({"unused": mean, "B": mean + shift, "A": mean - shift}).T
    found = per_sample(observed, predicted, means, cohort.sample(frac=1, random_state=0))
    check(found, observed, predicted, means.loc[cohort].set_axis(observed.index))
    pd.testing.assert_frame_equal(per_sample(observed, predicted, means, cohort.tolist()), found)
    one = per_sample(observed, predicted, mean)
    assert (one["pearson_centred"] - found["pearson_centred"]).abs().max() > 0.05
    pd.testing.assert_series_equal(one["rmse"], found["rmse"])


def test_the_training_mean_itself_scores_nothing_although_it_looks_good_uncentred(data):
    observed, _, mean, _ = data
    guess = pd.DataFrame(np.tile(mean, (30, 1)), observed.index, observed.columns).astype(np.float32)
    used = observed.iloc[0].notna()
    assert pearsonr(observed.iloc[0][used], guess.iloc[0][used])[0] > 0.9
    found = per_sample(observed, guess, mean)
    assert found[["pearson_centred", "spearman_centred"]].isna().all(axis=None)
    assert found["rmse"].between(0.8, 2).all()
    noisy = guess + np.random.default_rng(2).normal(scale=0.3, size=guess.shape)
    assert abs(per_sample(observed, noisy, mean)["pearson_centred"].mean()) < 0.1


def test_few_or_no_mirnas_give_no_correlation(data):
    observed, predicted, mean, _ = data
    observed, predicted = observed.fillna(5.0), predicted.fillna(5.0)
    observed.iloc[0] = np.nan
    observed.iloc[1, 2:] = np.nan
    observed.iloc[2, 3:] = np.nan
    found = per_sample(observed, predicted, mean)
    assert found["n"].tolist()[:4] == [0, 2, 3, 80]
    assert found["pearson_centred"].isna().tolist()[:4] == [True, True, False, False]
    assert np.isnan(found["rmse"].iloc[0])


def test_bad_input_is_refused(data):
    observed, predicted, mean, cohort = data
    means = pd.DataFrame({"A": mean, "B": mean}).T
    for arguments in ((mean, cohort), (means,)):
        with pytest.raises(ParameterError, match="for each cohort"):
            per_sample(observed, predicted, *arguments)
    with pytest.raises(DataError, match=r"1 of 80 miRNAs have no reference mean \(first: m7\)"):
        per_sample(observed, predicted, mean.drop("m7"))
    with pytest.raises(DataError, match="no reference mean for B; there are A"):
        per_sample(observed, predicted, means[:1], cohort)
    with pytest.raises(DataError, match="should be unique"):
        per_sample(observed, predicted, pd.concat([mean, mean[:1]]))
    with pytest.raises(DataError, match="infinite"):
        per_sample(observed, predicted, mean.replace(mean["m1"], np.inf))
    with pytest.raises(DataError, match="1 samples are in only one"):
        per_sample(observed, predicted[1:], mean)
    with pytest.raises(DataError, match="1 of them missing"):
        per_sample(observed, predicted, means, cohort[1:])
