import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import Ridge as SklearnRidge
from sklearn.model_selection import GroupKFold

from sicmir import metrics
from sicmir.benchmark import baselines
from sicmir.errors import DataError, ParameterError
from sicmir.learning import splits
from sicmir.learning.methods import Method, cross_predict
from sicmir.learning.splits import Split

CONTROLS = baselines.CONTROLS


@pytest.fixture(scope="module")
def linear():
    """120 samples of 100 donors in two cohorts; 30 genes, of which 3 drive each of 12 miRNAs."""
    rng = np.random.default_rng(0)
    donor = [f"D{i}" for i in range(100)] + [f"D{i}" for i in range(20)]
    obs = pd.DataFrame({"donor": donor, "cohort": [f"C{int(d[1:]) % 2}" for d in donor]})
    obs.index = [f"S{i}" for i in range(120)]
    X = rng.normal(8, 1, size=(120, 30)) + 1.5 * rng.normal(size=(2, 30))[pd.factorize(obs["cohort"])[0]]
    weights = np.zeros((30, 12))
    for column in range(12):
        weights[rng.choice(30, 3, replace=False), column] = rng.normal(size=3)
    Y = X @ weights + 0.5 * rng.normal(size=(120, 12))
    frame = pd.DataFrame(X.astype(np.float32), obs.index), pd.DataFrame(Y, obs.index).add_prefix("m")
    return *frame, obs


def within(method, linear, seed=0):
    X, Y, obs = linear
    predicted = cross_predict(method, X, Y, obs, splits.donor_folds(obs), seed, progress=False)
    return metrics.per_mirna(Y, predicted, obs["cohort"])["pearson_within"].median()


def test_means_are_means_and_an_unseen_cohort_gets_the_global_one(linear):
    X, Y, obs = linear
    Y = Y.to_numpy().copy()
    Y[obs["cohort"] == "C1", 0] = np.nan
    Y[:, 1] = np.nan
    Y[::7, 2] = np.nan
    new = obs.iloc[:3].assign(cohort=["C0", "C1", "unseen"])
    overall = baselines.GlobalMean().fit(X, Y, obs).predict(X[:3], new)
    by_cohort = baselines.CohortMean().fit(X, Y, obs).predict(X[:3], new)
    for column in range(2, 12):
        expected = pd.Series(Y[:, column]).groupby(obs["cohort"].to_numpy()).mean()
        mean = pd.Series(Y[:, column]).mean()
        np.testing.assert_allclose(overall[:, column], mean, rtol=1e-6)
        np.testing.assert_allclose(by_cohort[:, column], [expected["C0"], expected["C1"], mean], rtol=1e-6)
    assert by_cohort[1, 0] == overall[0, 0]
    assert np.isnan(by_cohort[:, 1]).all()
    assert np.isnan(overall[:, 1]).all()


def test_ridge_equals_scikit_learn_at_the_penalty_of_a_grid_search(linear):
    X, Y, obs = linear
    alphas = [0.1, 10.0, 1000.0]
    model = baselines.Ridge(alphas=alphas).fit(X, Y, obs)
    inputs = (X - X.mean()) / X.std(ddof=0)
    targets = (Y - Y.mean()) / Y.std(ddof=0)
    errors = {}
    for alpha in alphas:
        for train, test in GroupKFold(5).split(inputs, groups=pd.factorize(obs["donor"])[0]):
            fitted = SklearnRidge(alpha).fit(inputs.iloc[train], targets.iloc[train])
            squares = (fitted.predict(inputs.iloc[test]) - targets.iloc[test].to_numpy()) ** 2
            errors[alpha] = errors.get(alpha, 0) + squares.sum()
    best = min(errors, key=errors.get)
    assert (model.alphas_ == best).all()
    expected = (
        SklearnRidge(best).fit(inputs, targets).predict(inputs) * Y.std(ddof=0).to_numpy()
        + Y.mean().to_numpy()
    )
    np.testing.assert_allclose(model.predict(X, obs), expected, atol=1e-4)


def test_ridge_fits_a_mirna_on_the_samples_that_measured_it(linear):
    X, Y, obs = linear
    gaps = Y.copy()
    gaps.loc[obs["cohort"] == "C1", ["m0", "m1"]] = np.nan
    gaps.loc[gaps.index[19:], "m2"] = np.nan
    gaps["m3"] = np.nan
    found = baselines.Ridge(transform="rank").fit(X, gaps, obs).predict(X, obs)
    half = (obs["cohort"] == "C0").to_numpy()
    alone = (
        baselines.Ridge(transform="rank").fit(X[half], Y.loc[half, ["m0", "m1"]], obs[half]).predict(X, obs)
    )
    np.testing.assert_allclose(found[:, :2], alone, atol=1e-4)
    assert np.isnan(found[:, 2:4]).all()
    assert np.isfinite(found[:, 4:]).all()


def test_a_gene_that_was_not_measured_counts_as_its_mean(linear):
    X, Y, obs = linear
    model = baselines.Ridge().fit(X, Y, obs)
    missing, average = X.copy(), X.copy()
    missing[4], average[4] = np.nan, X[4].mean()
    np.testing.assert_allclose(model.predict(missing, obs), model.predict(average, obs), atol=1e-4)
    constant = Y.assign(m5=2.5)
    np.testing.assert_allclose(baselines.Ridge().fit(X, constant, obs).predict(X, obs)[:, 5], 2.5, atol=1e-6)


def test_ridge_recovers_what_is_planted_and_the_negative_control_nothing(linear):
    assert within(CONTROLS["ridge"], linear) > 0.8
    shuffled = [within(CONTROLS["shuffled"], linear, seed) for seed in range(4)]
    assert abs(np.mean(shuffled)) < 0.15
    assert len(set(shuffled)) == 4
    assert within(CONTROLS["shuffled"], linear, 2) == shuffled[2]
    assert {m.control for m in CONTROLS.values()} == {"baseline", "negative"}
    assert CONTROLS["cohort-mean"].needs == {"cohort"}


class Spy:
    """Remembers which donors it saw and predicts their number."""

    def fit(self, X, Y, obs):
        self.seen = set(obs["donor"])
        return self

    def predict(self, X, obs):
        assert not self.seen & set(obs["donor"])
        return np.full((len(X), 12), len(self.seen))


def test_cross_predict_shows_no_estimator_the_donors_of_its_test(linear):
    X, Y, obs = linear
    folds = splits.donor_folds(obs, 4)
    found = cross_predict(
        Method("spy", "", frozenset(), lambda seed: Spy()), X, Y, obs, folds[:3], progress=False
    )
    assert found.index.equals(obs.index)
    assert found.columns.equals(Y.columns)
    for fold in folds[:3]:
        assert (found.iloc[fold.test] == obs["donor"].iloc[fold.train].nunique()).all(axis=None)
    assert found.iloc[folds[3].test].isna().all(axis=None)


def test_bad_input_is_refused(linear):
    X, Y, obs = linear
    mean, folds = CONTROLS["global-mean"], splits.donor_folds(obs)
    with pytest.raises(DataError, match=r"leaks.*D0"):
        cross_predict(mean, X, Y, obs, [Split("bad", np.arange(50), np.array([100]))], progress=False)
    with pytest.raises(DataError, match="test set of several splits"):
        cross_predict(mean, X, Y, obs, [folds[0], folds[0]], progress=False)
    with pytest.raises(DataError, match="rows of Y are not the samples"):
        cross_predict(mean, X, Y[::-1], obs, folds, progress=False)
    with pytest.raises(DataError, match="'narrow' returned the shape"):
        narrow = Method("narrow", "", frozenset(), lambda seed: Spy())
        cross_predict(narrow, X, Y.iloc[:, :5], obs, folds, progress=False)
    for method in CONTROLS.values():
        with pytest.raises(DataError, match="one row for each sample"):
            method.make(0).fit(X[:-1], Y, obs)
        with pytest.raises(DataError, match="1 miRNAs hold infinite"):
            method.make(0).fit(X, Y.assign(m0=np.inf), obs)
        for column in ("donor", "cohort"):
            with pytest.raises(DataError, match=column):
                method.make(0).fit(X, Y, obs.drop(columns=column))
    with pytest.raises(ParameterError, match="positive alphas"):
        baselines.Ridge(alphas=[0.0])


def test_too_few_samples_are_an_error_and_not_a_column_of_nan():
    rng = np.random.default_rng(0)
    obs = pd.DataFrame({"donor": [f"d{i}" for i in range(16)], "cohort": "A"})
    with pytest.raises(DataError, match="at least 20 training samples of 5 donors.*found 16 samples"):
        baselines.Ridge().fit(rng.normal(size=(16, 9)), rng.normal(size=(16, 3)), obs)


def test_inner_folds_keep_donors_together(monkeypatch):
    """Two identical samples a donor: split apart, they would make the smallest penalty look best."""
    rng = np.random.default_rng(1)
    X = np.repeat(rng.normal(size=(30, 60)), 2, axis=0)
    Y = np.repeat(rng.normal(size=(30, 4)), 2, axis=0)
    obs = pd.DataFrame({"donor": np.repeat([f"d{i}" for i in range(30)], 2), "cohort": "A"})
    ridge = baselines.Ridge().fit(X, Y, obs)
    assert (ridge.alphas_ > ridge.alphas.min() * 10).all(), "noise calls for a strong penalty"
