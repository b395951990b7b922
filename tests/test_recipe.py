import numpy as np
import pandas as pd
import pytest

import sicmir
from sicmir import metrics, panel, recipe
from sicmir.errors import BundleError, DataError, ParameterError

QUICK = {"hidden": 24, "epochs": 8, "patience": 8, "progress": False}
OPTIONS = {"network": QUICK, "kernel": {"method": "kernel", "noise": 0.2, "progress": False}}


@pytest.fixture(scope="module", params=OPTIONS)
def method(request):
    return request.param


@pytest.fixture(scope="module")
def trained(toy_pair, method):
    return recipe.train(*toy_pair, test_fraction=0.3, seed=3, **OPTIONS[method])


def test_test_metrics_are_those_of_the_saved_model_on_unseen_donors(trained, toy_pair, tmp_path):
    """The figures on the card can be had again from the bundle and the split alone."""
    mrna, mirna = toy_pair
    bundle = sicmir.load_model(trained.save(tmp_path / "model"))
    split = pd.read_csv(tmp_path / "model" / "split.csv")
    test = split.loc[split["side"] == "test", "sample"]
    assert not set(split.loc[split["side"] == "train", "donor"]) & set(bundle.card["split"]["test_donors"])
    predicted = bundle.predict_array(panel.align(mrna[test]).X)
    observed, cohort = mirna[test, bundle.mirnas].X, mirna.obs.loc[test, "cohort"].to_numpy()
    table = metrics.per_mirna(observed, predicted, cohort, names=bundle.mirnas)
    pd.testing.assert_frame_equal(table, trained.test.loc["sicmir"], check_names=False, rtol=1e-4)
    assert bundle.card["test_metrics"]["sicmir"]["pearson"] == pytest.approx(
        table["pearson"].median(), abs=1e-4
    )
    saved = pd.read_csv(tmp_path / "model" / "test_metrics.csv", index_col=["method", "mirna"])
    np.testing.assert_allclose(saved["pearson"], trained.test["pearson"], rtol=1e-4)


def test_card_tells_what_the_model_was_trained_on(trained, toy_pair, method):
    card = trained.bundle.card
    assert card["training_data"]["dataset"] == "toy"
    assert card["training_data"]["synthetic"] is True
    n_test = card["split"]["n_test_samples"]
    assert card["training_data"]["n_samples"] + n_test == toy_pair[0].n_obs
    assert card["split"]["seed"] == 3
    assert (trained.bundle.level, trained.bundle.units) == ("mature", "log2(RPM+1)")
    assert trained.bundle.predictor.kind == method
    if method == "network":
        assert (card["options"]["seed"], card["options"]["epochs_trained"]) == (3, 8)
        assert "torch" in card["versions"]
    else:
        assert (card["options"]["noise"], card["options"]["rate"]) == (0.2, 0.6)
        assert "scikit-learn" in card["versions"]


def test_the_network_alone_has_a_history(trained, method, tmp_path):
    trained.save(tmp_path / "model")
    assert (trained.history is None) == (method == "kernel")
    assert (tmp_path / "model" / "history.csv").exists() == (method == "network")


def test_the_kernel_method_recovers_what_was_planted_and_nothing_else():
    mrna, mirna = sicmir.toy.paired_bulk(n_donors=40, n_cohorts=3, n_genes=977, n_mirnas=40, seed=3)
    test = recipe.train(mrna, mirna, method="kernel", test_fraction=0.3).test.loc["sicmir"]
    kind = mirna.uns["truth"]["mirnas"]["kind"].to_numpy()[mirna.var_names.get_indexer(test.index)]
    within = test["pearson_within"].groupby(kind).median()
    assert within["programme"] > 0.6
    assert abs(within["none"]) < 0.2


def test_mirnas_are_chosen_on_training_samples_alone(toy_pair, method):
    """A miRNA seen in test donors only must not be learnt."""
    mrna, mirna = toy_pair
    split = sicmir.recipe.splits.holdout(mirna.obs, 0.3, 3)
    changed = mirna.copy()
    changed.X[split.train, 0] = 0
    changed.X[split.test, 0] = 12
    names = recipe.train(mrna, changed, test_fraction=0.3, seed=3, **OPTIONS[method]).bundle.mirnas
    assert mirna.var_names[0] not in names
    assert len(names) > 10


def test_train_bundle_writes_a_bundle_and_never_over_one(monkeypatch, toy_pair, tmp_path, method):
    monkeypatch.setattr(recipe.data, "load_paired", lambda dataset: toy_pair)
    recipe.train_bundle("toy", tmp_path / "model", **OPTIONS[method])
    bundle = sicmir.load_model(tmp_path / "model")
    assert (bundle.card["training_data"]["synthetic"], bundle.predictor.kind) == (True, method)
    assert [p.name for p in tmp_path.iterdir()] == ["model"], "no checkpoint stays"
    if method == "kernel":
        (tmp_path / "second.checkpoint").write_text("of an interrupted training of the network")
        recipe.train_bundle("toy", tmp_path / "second", **OPTIONS[method])
        assert (tmp_path / "second.checkpoint").exists()

    def never(*args, **kwargs):
        raise AssertionError("the check comes before the work")

    monkeypatch.setattr(recipe, "train", never)
    with pytest.raises(BundleError, match="already holds a bundle"):
        recipe.train_bundle("toy", tmp_path / "model")


def test_an_unknown_method_is_refused_before_any_data_are_read(monkeypatch, toy_pair, tmp_path):
    def never(dataset):
        raise AssertionError("the check comes before the work")

    monkeypatch.setattr(recipe.data, "load_paired", never)
    with pytest.raises(ParameterError, match="no method 'forest'; choose one of network, kernel"):
        recipe.train_bundle("toy", tmp_path / "model", method="forest")
    with pytest.raises(ParameterError, match="no method 'forest'"):
        recipe.train(*toy_pair, method="forest")


def test_unknown_option_and_disjoint_samples_are_refused(toy_pair):
    mrna, mirna = toy_pair
    with pytest.raises(ParameterError, match="momentum.*sicmir.learning.training.NetworkRegressor"):
        recipe.train(mrna, mirna, momentum=0.9, progress=False)
    with pytest.raises(ParameterError, match="hidden.*sicmir.learning.kernel.MaskedKernelRidge"):
        recipe.train(mrna, mirna, method="kernel", hidden=24)
    with pytest.raises(ParameterError, match="noise should be"):
        recipe.train(mrna, mirna, method="kernel", noise=-1)
    with pytest.raises(DataError, match="not the same samples"):
        recipe.train(mrna[:20], mirna[20:40], **QUICK)


def test_what_test_donors_express_changes_nothing_in_the_model(toy_pair, trained, method):
    """Leakage of any kind, of targets, inputs, scalers or controls, would show."""
    mrna, mirna = (adata.copy() for adata in toy_pair)
    test = recipe.splits.holdout(mirna.obs, 0.3, 3).test
    rng = np.random.default_rng(5)
    mrna.X[test] = rng.uniform(0, 12, (len(test), mrna.n_vars))
    mirna.X[test] = rng.uniform(0, 12, (len(test), mirna.n_vars))
    other = recipe.train(mrna, mirna, test_fraction=0.3, seed=3, **OPTIONS[method]).bundle
    state, other_state = trained.bundle.predictor.state(), other.predictor.state()
    assert set(state) == set(other_state)
    for name, array in state.items():
        np.testing.assert_array_equal(array, other_state[name], err_msg=name)


def test_controls_are_fitted_on_the_training_donors(toy_pair, trained):
    mrna, mirna = toy_pair
    split = recipe.splits.holdout(mirna.obs, 0.3, 3)
    X, Y = panel.align(mrna).X, mirna[:, trained.bundle.mirnas].X
    ridge = recipe.CONTROLS["ridge"].make(3).fit(X[split.train], Y[split.train], mirna.obs.iloc[split.train])
    predicted = ridge.predict(X[split.test], mirna.obs.iloc[split.test])
    expected = [np.corrcoef(Y[split.test, j], predicted[:, j])[0, 1] for j in range(Y.shape[1])]
    np.testing.assert_allclose(trained.test.loc["ridge", "pearson"], expected, atol=1e-4)


@pytest.mark.real
def test_real_data_reach_the_stated_quality(real_data):
    """One fold of the cross-validation of the training page; the page shows all five."""
    mrna, mirna = real_data
    test = recipe.train(mrna, mirna, seed=0, progress=False).test
    median = test.groupby(level="method")["pearson"].median()
    assert median["sicmir"] > 0.7
    assert median["sicmir"] > median["cohort-mean"] + 0.03
