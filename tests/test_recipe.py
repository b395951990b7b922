import numpy as np
import pandas as pd
import pytest

import sicmir
from sicmir import metrics, panel, recipe
from sicmir.errors import BundleError, DataError, ParameterError

QUICK = {"hidden": 24, "epochs": 8, "patience": 8, "progress": False}


@pytest.fixture(scope="module")
def trained(toy_pair):
    return recipe.train(*toy_pair, test_fraction=0.3, seed=3, **QUICK)


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


def test_card_tells_what_the_model_was_trained_on(trained, toy_pair):
    card = trained.bundle.card
    assert card["training_data"]["dataset"] == "toy"
    assert card["training_data"]["synthetic"] is True
    n_test = card["split"]["n_test_samples"]
    assert card["training_data"]["n_samples"] + n_test == toy_pair[0].n_obs
    assert card["options"]["seed"] == 3
    assert card["options"]["epochs_trained"] == 8
    assert trained.bundle.level == "mature"


def test_mirnas_are_chosen_on_training_samples_alone(toy_pair):
    """A miRNA seen in test donors only must not be learnt."""
    mrna, mirna = toy_pair
    split = sicmir.recipe.splits.holdout(mirna.obs, 0.3, 3)
    changed = mirna.copy()
    changed.X[split.train, 0] = 0
    changed.X[split.test, 0] = 12
    names = recipe.train(mrna, changed, test_fraction=0.3, seed=3, **QUICK).bundle.mirnas
    assert mirna.var_names[0] not in names
    assert len(names) > 10


def test_train_bundle_writes_a_bundle_and_never_over_one(monkeypatch, toy_pair, tmp_path):
    monkeypatch.setattr(recipe.data, "load_paired", lambda dataset: toy_pair)
    recipe.train_bundle("toy", tmp_path / "model", **QUICK)
    assert sicmir.load_model(tmp_path / "model").card["training_data"]["synthetic"] is True
    assert [p.name for p in tmp_path.iterdir()] == ["model"], "no checkpoint stays"

    def never(*args, **kwargs):
        raise AssertionError("the check comes before the work")

    monkeypatch.setattr(recipe, "train", never)
    with pytest.raises(BundleError, match="already holds a bundle"):
        recipe.train_bundle("toy", tmp_path / "model")


def test_unknown_option_and_disjoint_samples_are_refused(toy_pair):
    mrna, mirna = toy_pair
    with pytest.raises(ParameterError, match="momentum"):
        recipe.train(mrna, mirna, momentum=0.9, progress=False)
    with pytest.raises(DataError, match="not the same samples"):
        recipe.train(mrna[:20], mirna[20:40], **QUICK)


def test_what_test_donors_express_changes_nothing_in_the_model(toy_pair, trained):
    """Leakage of any kind, of targets, inputs, scalers or controls, would show."""
    mrna, mirna = (adata.copy() for adata in toy_pair)
    test = recipe.splits.holdout(mirna.obs, 0.3, 3).test
    rng = np.random.default_rng(5)
    mrna.X[test] = rng.uniform(0, 12, (len(test), mrna.n_vars))
    mirna.X[test] = rng.uniform(0, 12, (len(test), mirna.n_vars))
    other = recipe.train(mrna, mirna, test_fraction=0.3, seed=3, **QUICK).bundle
    for name, tensor in trained.bundle.network.state_dict().items():
        assert (tensor == other.network.state_dict()[name]).all(), name
    for name, array in trained.bundle.transform.state().items():
        np.testing.assert_array_equal(array, other.transform.state()[name])
    np.testing.assert_array_equal(trained.bundle.target_mean, other.target_mean)


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
