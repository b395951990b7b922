import copy
import json

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.distance import cdist
from sklearn.kernel_ridge import KernelRidge

import sicmir
from sicmir import metrics
from sicmir.errors import BundleError, DataError, ParameterError
from sicmir.learning import splits
from sicmir.learning.kernel import MaskedKernelRidge
from sicmir.learning.methods import Method, cross_predict

METHOD = Method("kernel", "", frozenset(), lambda seed: MaskedKernelRidge())


@pytest.fixture(scope="module")
def toy():
    """Three toy cohorts of 40 donors with 40 miRNAs: landmarks, miRNA, obs, truth."""
    mrna, mirna = sicmir.toy.paired_bulk(n_donors=40, n_cohorts=3, n_genes=977, n_mirnas=40, seed=3)
    return mrna.X, mirna.X, mirna.obs, mirna.uns["truth"]["mirnas"]


@pytest.fixture(scope="module")
def fitted(toy):
    X, Y, obs, _ = toy
    return MaskedKernelRidge().fit(X, Y, obs)


@pytest.fixture
def tiny():
    """24 samples of two cohorts and three plates, 7 genes, 4 miRNAs; and 5 new samples."""
    rng = np.random.default_rng(0)
    cohort = np.repeat(["A", "B"], 12)
    obs = pd.DataFrame({"donor": np.arange(24).astype(str), "cohort": cohort})
    obs["plate"] = np.where(np.arange(24) % 5 == 0, None, np.arange(24) % 3)
    obs["dataset"] = np.where(np.arange(24) < 8, "first", "second")
    X = rng.normal(8, 1.5, size=(24, 7)) + (cohort == "B")[:, None]
    Y = X @ rng.normal(size=(7, 4)) + rng.normal(size=(24, 4)) + 5
    return X, Y, obs, rng.normal(8, 1.5, size=(5, 7))


def rmse(a, b):
    return np.sqrt(((a - b) ** 2).mean())


def brute_force(X, Y, obs, new):
    """Weighted inputs and standardised targets, computed without the package."""
    z = (X - X.mean(axis=0)) / X.std(axis=0)
    T = (Y - np.nanmean(Y, axis=0)) / np.nanstd(Y, axis=0)
    groups = [np.flatnonzero(obs["cohort"] == c) for c in obs["cohort"].unique()]
    deviation = [np.vstack([v[g] - np.nanmean(v[g], axis=0) for g in groups]) for v in (z, Y)]
    square = np.nan_to_num(deviation[1])
    r = np.array([[np.corrcoef(a, b)[0, 1] for b in square.T] for a in deviation[0].T])
    weights = np.sqrt((r**2).mean(axis=1))
    weights /= np.sqrt((weights**2).mean())
    # The model keeps its inputs at half precision.
    kept = (z * weights).astype(np.float16).astype(float)
    return kept, (new - X.mean(axis=0)) / X.std(axis=0) * weights, T


def brute_kernel(A, B):
    p = A.shape[1]
    return 0.4 * A @ B.T / p + np.exp(-0.6 * cdist(A, B) / np.sqrt(p))


def batch_covariance(obs, batches):
    total = np.zeros((len(obs), len(obs)))
    for column, variance in batches.items():
        labels = obs[column].tolist()
        for i, a in enumerate(labels):
            for j, b in enumerate(labels):
                total[i, j] += variance * (i == j or (a is not None and a == b))
    centring = np.eye(len(obs)) - 1 / len(obs)
    return centring @ total @ centring


def test_predictions_are_the_posterior_mean_of_the_stated_gaussian_process(tiny):
    X, Y, obs, new = tiny
    Y[4:9, 1], Y[[2, 20], 3] = np.nan, np.nan
    batches = {"dataset": 0.5, "plate": 0.2}
    model = MaskedKernelRidge(noise=0.2, batches=batches | {"absent": 1.0}, min_samples=5)
    found = model.fit(X, Y, obs).predict(new)
    A, B, T = brute_force(X, Y, obs, new)
    # One dense solve over all measured entries, with the batch effects as explicit unknowns' covariance.
    H = brute_kernel(A, A) + batch_covariance(obs, batches)
    o = ~np.isnan(T.T.ravel())
    covariance = np.kron(np.eye(4), H) + 0.2 * np.eye(96)
    cross = np.kron(np.eye(4), brute_kernel(B, A))
    posterior = cross[:, o] @ np.linalg.solve(covariance[np.ix_(o, o)], T.T.ravel()[o])
    expected = np.nanmean(Y, axis=0) + posterior.reshape(4, 5).T * np.nanstd(Y, axis=0)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_its_linear_part_is_the_kernel_ridge_of_scikit_learn(tiny):
    X, Y, obs, new = tiny
    # So steep that two samples are never near each other: what is left beside the trend is noise.
    model = MaskedKernelRidge(linear=1, rate=1e6, noise=0.4, batches={}).fit(X, Y, obs)
    A, B, T = brute_force(X, Y, obs, new)
    reference = KernelRidge(alpha=(0.4 + 1) * 7, kernel="linear").fit(A, T)
    expected = Y.mean(axis=0) + reference.predict(B) * Y.std(axis=0)
    np.testing.assert_allclose(model.predict(new), expected, rtol=1e-5)


def test_it_recovers_planted_mirnas_and_finds_nothing_in_noise(toy):
    X, Y, obs, truth = toy
    predicted = cross_predict(METHOD, X, Y, obs, splits.donor_folds(obs, 3), progress=False)
    table = metrics.per_mirna(Y, predicted.to_numpy(), obs["cohort"])
    within = table["pearson_within"].groupby(truth["kind"].to_numpy()).median()
    assert within["programme"] > 0.6
    assert abs(within["none"]) < 0.15
    assert abs(within["cohort"]) < 0.15
    assert table["pearson"][(truth["kind"] == "cohort").to_numpy()].median() > 0.5


def test_a_partial_panel_costs_little_and_draws_predictions_towards_the_mean(toy):
    X, Y, obs, truth = toy
    split = splits.holdout(obs, 0.3)
    model = MaskedKernelRidge().fit(X[split.train], Y[split.train], obs.iloc[split.train])
    hidden = np.random.default_rng(0).permutation(977)
    chosen = (truth["kind"] == "programme").to_numpy()

    def within(inputs):
        table = metrics.per_mirna(Y[split.test], model.predict(inputs), obs["cohort"].iloc[split.test])
        return table["pearson_within"][chosen].median()

    quality = []
    for n_hidden in (0, 500, 900):
        some = X[split.test].copy()
        some[:, hidden[:n_hidden]] = np.nan
        quality.append(within(some))
    assert quality[0] - quality[1] < 0.1
    assert quality[0] > quality[2] > 0.4
    assert model.predict(some).std(axis=0).mean() < model.predict(X[split.test]).std(axis=0).mean()


def test_batch_effects_of_the_training_data_stay_out_of_predictions(toy):
    X, Y, obs, _ = toy
    split = splits.holdout(obs, 0.3)
    # Most samples of one cohort, and few of the others, come from a plate whose values are higher by 3.
    rng = np.random.default_rng(0)
    high = rng.random(len(obs)) < np.where(obs["cohort"] == obs["cohort"].iloc[0], 0.8, 0.2)
    obs = obs.assign(plate=np.where(high, "p1", "p2"))
    errors = {}
    for variance in (0.0, 1.0):
        model = MaskedKernelRidge(batches={"plate": variance})
        model.fit(X[split.train], (Y + 3.0 * high[:, None])[split.train], obs.iloc[split.train])
        residual = model.predict(X[split.test]) - Y[split.test]
        errors[variance] = (residual - residual.mean(axis=0)).std()
    assert errors[1.0] < 0.95 * errors[0.0]


def test_a_batch_column_with_one_label_changes_nothing(toy):
    X, Y, obs, _ = toy
    alone = MaskedKernelRidge(batches={}).fit(X, Y, obs).predict(X[:9])
    one = MaskedKernelRidge(batches={"dataset": 5.0}).fit(X, Y, obs).predict(X[:9])
    np.testing.assert_allclose(one, alone, atol=1e-5)


def test_a_prediction_depends_on_its_own_sample_alone_and_is_repeatable(toy, fitted):
    X, Y, obs, _ = toy
    new = X[:6].copy()
    new[:3, ::2] = np.nan
    found = fitted.predict(new)
    for order in ([4], [1, 1, 5], [5, 4, 3, 2, 1, 0]):
        np.testing.assert_allclose(fitted.predict(new[order]), found[order], atol=1e-5)
    again = MaskedKernelRidge().fit(X, Y, obs).predict(new, obs[:6])
    np.testing.assert_array_equal(again, found)


def test_gaps_and_rare_mirnas(toy):
    X, Y, obs, _ = toy
    X, Y = X.copy(), Y.copy()
    X[:, 5] = np.nan
    X[:20, 100:500] = np.nan
    Y[19:, 0] = np.nan
    Y[:, 1] = 2.5
    Y[::3, 2] = np.nan
    Y[7] = np.nan
    model = MaskedKernelRidge(min_samples=20).fit(X, Y, obs)
    found = model.predict(X)
    assert np.isnan(found[:, 0]).all()
    np.testing.assert_allclose(found[:, 1], 2.5, atol=1e-5)
    assert np.isfinite(found[:, 1:]).all()
    assert np.corrcoef(found[::3, 2], toy[1][::3, 2])[0, 1] > 0.5
    assert len(model.centres_) == len(X) - 1
    assert np.flatnonzero(model.genes_.imputer_.unmeasured_).tolist() == [5]


def test_a_compressed_model_holds_no_sample_and_predicts_nearly_as_well(toy):
    X, Y, obs, _ = toy
    split = splits.holdout(obs, 0.3)
    model = MaskedKernelRidge().fit(X[split.train], Y[split.train], obs.iloc[split.train])
    small = model.compress(3)
    assert len(small.centres_) == len(split.train) // 3
    assert cdist(small.centres_, model.centres_).min() > 1
    original, found = model.predict(X[split.test]), small.predict(X[split.test])
    r = [
        metrics.per_mirna(Y[split.test], predicted, obs["cohort"].iloc[split.test])["pearson_within"].median()
        for predicted in (original, found)
    ]
    assert r[0] - r[1] < 0.05
    # The linear part alone, which every compression keeps, is farther away.
    linear = copy.copy(model)
    linear.dual_ = np.zeros_like(model.dual_)
    assert rmse(found, original) < 0.5 * rmse(linear.predict(X[split.test]), original)
    np.testing.assert_array_equal(model.compress(3).predict(X[split.test]), found)
    np.testing.assert_array_equal(model.predict(X[split.test]), original)
    with pytest.raises(ParameterError, match="members"):
        model.compress(1)


def test_the_state_rebuilds_the_model_and_a_broken_one_is_refused(toy, fitted):
    new = toy[0][:6].copy()
    new[:3, ::2] = np.nan
    other = MaskedKernelRidge(rate=0.9, batches={"plate": 1}, min_samples=5).fit(*toy[:3])
    assert np.abs(other.predict(new) - fitted.predict(new)).max() > 0.01
    for model in (other, fitted, fitted.compress(5)):
        facts, state = json.loads(json.dumps(model.facts())), model.state()
        assert all(value.dtype != object for value in state.values())
        rebuilt = MaskedKernelRidge.from_state(facts, state)
        np.testing.assert_allclose(rebuilt.predict(new), model.predict(new), atol=1e-3)
        assert rebuilt.facts() == model.facts()
    for key, value, named in (
        ("dual", state["dual"][:, 1:], "dual"),
        ("coef", np.full_like(state["coef"], np.nan), "coef"),
        ("weights", state["weights"][1:], "weights"),
        ("genes.mean", state["genes.mean"][1:], "covariance"),
        ("genes.transform_sd", -state["genes.transform_sd"], "sd"),
    ):
        with pytest.raises(BundleError, match=named):
            MaskedKernelRidge.from_state(facts, state | {key: value})
    with pytest.raises(BundleError, match="extra"):
        MaskedKernelRidge.from_state(facts, state | {"extra": state["dual"]})
    for wrong, told in (
        (facts | {"rate": -1.0}, "rate should be"),
        (facts | {"rate": "steep"}, "does not take"),
        (facts | {"batches": [1]}, "does not take"),
        ({key: value for key, value in facts.items() if key != "rate"}, "'rate'.*found"),
        (facts | {"extra": 1}, "'extra'"),
    ):
        with pytest.raises(BundleError, match=told):
            MaskedKernelRidge.from_state(wrong, state)


def test_bad_input_is_refused(toy, fitted):
    X, Y, obs, _ = toy
    infinite, empty = X[:3].copy(), X[:3].copy()
    infinite[0, 3], empty[1] = np.inf, np.nan
    with pytest.raises(DataError, match="infinite"):
        fitted.predict(infinite)
    with pytest.raises(DataError, match="row 1"):
        fitted.predict(empty)
    with pytest.raises(DataError, match="977"):
        fitted.predict(X[:, :5])
    with pytest.raises(DataError, match="cohort"):
        MaskedKernelRidge().fit(X, Y, obs.drop(columns="cohort"))
    with pytest.raises(DataError, match="40 miRNAs is measured in 20"):
        MaskedKernelRidge().fit(X[:19], Y[:19], obs[:19])
    for method in (lambda: MaskedKernelRidge().predict(X), lambda: MaskedKernelRidge().state()):
        with pytest.raises(ParameterError, match="fit"):
            method()
    for option, value in (
        ("noise", 0),
        ("linear", -1),
        ("rate", np.inf),
        ("batches", {"plate": -0.1}),
        ("shrinkage", 0),
        ("min_samples", 1),
    ):
        with pytest.raises(ParameterError, match=option):
            MaskedKernelRidge(**{option: value})


def test_the_spread_is_the_posterior_sd_of_the_stated_gaussian_process(tiny):
    X, Y, obs, new = tiny
    model = MaskedKernelRidge(noise=0.2, batches={}, min_samples=5).fit(X, Y, obs)
    A, B, _ = brute_force(X, Y, obs, new)
    K = brute_kernel(A, A) + 0.2 * np.eye(24)
    prior = np.array([brute_kernel(b[None], b[None])[0, 0] for b in B])
    expected = np.sqrt(
        prior - np.einsum("ij,jk,ik->i", brute_kernel(B, A), np.linalg.inv(K), brute_kernel(B, A))
    )
    predicted, spread = model.predict_with_spread(new)
    np.testing.assert_allclose(spread, expected, rtol=1e-6)
    np.testing.assert_array_equal(predicted, model.predict(new))
    assert model.predict_with_spread(X)[1].max() < spread.min()


def test_the_spread_of_a_compressed_model_is_that_of_its_own_centres(tiny):
    X, Y, obs, new = tiny
    model = MaskedKernelRidge(min_samples=5).fit(X, Y, obs)
    full = model.predict_with_spread(new)[1]
    small = model.compress(2)
    spread = small.predict_with_spread(new)[1]
    # Fewer centres tell less.
    assert (spread > full - 1e-9).all() and (spread > full).any()
    again = MaskedKernelRidge.from_state(small.facts(), small.state())
    np.testing.assert_allclose(again.predict_with_spread(new)[1], spread, rtol=1e-5)
