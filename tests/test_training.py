import numpy as np
import pytest
import torch

import sicmir.learning.training
from sicmir import panel
from sicmir.errors import DataError, ParameterError
from sicmir.learning.training import NetworkRegressor

QUICK = {"hidden": 24, "epochs": 24, "patience": 24, "batch_size": 8}


@pytest.fixture(scope="module")
def pair(toy_pair):
    mrna, mirna = toy_pair
    return panel.align(mrna).X, mirna.to_df().to_numpy(), mirna.obs


def weights(estimator):
    return torch.cat([p.flatten() for p in estimator.network_.state_dict().values()])


def test_same_seed_same_weights_and_another_seed_others(pair):
    first, again, other = (NetworkRegressor(**QUICK, seed=s).fit(*pair) for s in (4, 4, 5))
    assert torch.equal(weights(first), weights(again))
    assert not torch.equal(weights(first), weights(other))


def test_training_leaves_the_callers_random_state_alone(pair):
    torch.manual_seed(11)
    expected = torch.rand(3)
    torch.manual_seed(11)
    NetworkRegressor(**QUICK | {"epochs": 2}).fit(*pair)
    assert torch.equal(torch.rand(3), expected)


def test_learns_what_was_planted(toy_pair):
    import sicmir

    mrna, mirna = sicmir.toy.paired_bulk(n_donors=60, n_cohorts=3, n_genes=977, n_mirnas=30, seed=2)
    X, Y, obs = panel.align(mrna).X, mirna.to_df().to_numpy(), mirna.obs
    split = sicmir.learning.training.holdout(obs, 0.25, 0)
    estimator = NetworkRegressor(hidden=128, epochs=40, seed=0).fit(
        X[split.train], Y[split.train], obs.iloc[split.train]
    )
    predicted = estimator.predict(X[split.test])
    r = np.array([np.corrcoef(Y[split.test, j], predicted[:, j])[0, 1] for j in range(Y.shape[1])])
    kind = mirna.uns["truth"]["mirnas"]["kind"].to_numpy()
    assert np.median(r[kind == "programme"]) > 0.6
    assert abs(np.median(r[kind == "none"])) < 0.3
    assert r[kind == "programme"].min() > np.median(r[kind == "none"])


def test_stops_early_and_refits_for_the_chosen_number_of_epochs(pair):
    X, Y, obs = pair
    noise = np.random.default_rng(0).normal(size=Y.shape)
    estimator = NetworkRegressor(**QUICK | {"epochs": 60, "patience": 5}).fit(X, noise, obs)
    history = estimator.history_
    search, refit = (history[history["phase"] == p] for p in ("search", "refit"))
    assert len(search) < 60
    assert len(refit) == len(search) == estimator.epochs_
    assert search["validation_loss"].idxmin() == len(search) - 1 - 5
    assert refit["validation_loss"].isna().all()
    assert search["validation_loss"].notna().all()
    assert (
        history.groupby("phase")["train_loss"].last() < history.groupby("phase")["train_loss"].first()
    ).all()


def test_scalers_are_those_of_the_training_samples(pair):
    X, Y, obs = pair
    estimator = NetworkRegressor(**QUICK | {"epochs": 1}).fit(X, Y, obs)
    np.testing.assert_allclose(estimator.target_mean_, Y.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(estimator.target_sd_, Y.std(axis=0), rtol=1e-4)
    np.testing.assert_allclose(estimator.transform_.state()["mean"], X.mean(axis=0), rtol=1e-5)


def test_missing_targets_do_not_enter_the_loss():
    predicted = torch.tensor([[1.0, 2.0], [3.0, 5.0]])
    target = torch.tensor([[0.0, float("nan")], [3.0, 1.0]])
    assert sicmir.learning.training._masked_mse(predicted, target).item() == pytest.approx((1 + 0 + 16) / 3)


def test_an_interrupted_training_goes_on_to_the_same_result(pair, tmp_path, monkeypatch):
    """Interrupted once in the search and once in the refit; equal to an uninterrupted training."""
    whole = NetworkRegressor(**QUICK).fit(*pair)
    path = tmp_path / "run.checkpoint"
    original = sicmir.learning.training._Run._epoch
    epochs_run = []

    def interrupt(at):
        def epoch(run):
            if (run.phase, len(run.history)) == at:
                raise KeyboardInterrupt
            epochs_run.append((run.phase, len(run.history)))
            return original(run)

        return epoch

    for at in (("search", 13), ("refit", 12)):
        monkeypatch.setattr(sicmir.learning.training._Run, "_epoch", interrupt(at))
        with pytest.raises(KeyboardInterrupt):
            NetworkRegressor(**QUICK, checkpoint=path).fit(*pair)
        assert path.is_file()
    monkeypatch.setattr(sicmir.learning.training._Run, "_epoch", interrupt(None))
    resumed = NetworkRegressor(**QUICK, checkpoint=path).fit(*pair)
    assert torch.equal(weights(resumed), weights(whole))
    assert resumed.history_.equals(whole.history_)
    again = NetworkRegressor(**QUICK, checkpoint=path).fit(*pair)
    assert torch.equal(weights(again), weights(whole)), "a finished checkpoint is read, not trained again"
    repeated = len(epochs_run) - len(set(epochs_run))
    assert repeated == 3 + 2, "epochs since the last checkpoint are repeated, and no others"


def test_a_foreign_or_damaged_checkpoint_is_refused(pair, tmp_path):
    path = tmp_path / "run.checkpoint"
    NetworkRegressor(**QUICK, checkpoint=path).fit(*pair)
    with pytest.raises(ParameterError, match="other data or options"):
        NetworkRegressor(**QUICK, seed=9, checkpoint=path).fit(*pair)
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(ParameterError, match="damaged"):
        NetworkRegressor(**QUICK, checkpoint=path).fit(*pair)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("dropout", 1.0),
        ("epochs", 0),
        ("batch_size", 1),
        ("validation_fraction", 0),
        ("learning_rate", 0),
        ("seed", -1),
    ],
)
def test_options_out_of_range_are_refused_before_any_work(option, value):
    with pytest.raises(ParameterError, match=f"{option} should be .* found"):
        NetworkRegressor(**{option: value})


def test_bad_data_are_refused(pair):
    X, Y, obs = pair
    with pytest.raises(DataError, match="one row for each sample"):
        NetworkRegressor(**QUICK).fit(X[:-1], Y, obs)
    bad = Y.copy()
    bad[:, 3] = np.nan
    with pytest.raises(DataError, match="1 miRNAs were measured in no training sample"):
        NetworkRegressor(**QUICK).fit(X, bad, obs)
    bad = X.copy()
    bad[0, 0] = np.inf
    with pytest.raises(DataError, match="infinite"):
        NetworkRegressor(**QUICK).fit(bad, Y, obs)
    with pytest.raises(DataError):
        NetworkRegressor(**QUICK).fit(X[:1], Y[:1], obs.iloc[:1])


def test_divergence_is_an_error_and_not_a_model(pair):
    with pytest.raises(DataError, match="diverged in epoch"):
        NetworkRegressor(**QUICK | {"learning_rate": 1e30, "weight_decay": 0}).fit(*pair)


def test_the_search_scales_by_its_own_training_donors_alone(pair, monkeypatch):
    """Held-out donors must enter neither scaler of the search."""
    X, Y, obs = pair
    seen = []
    original = sicmir.learning.training._Run.__init__

    def spy(run, options, X, Y, epochs, phase):
        original(run, options, X, Y, epochs, phase)
        seen.append((phase, len(X), run.transform.state()["mean"], run.target_mean))

    monkeypatch.setattr(sicmir.learning.training._Run, "__init__", spy)
    NetworkRegressor(**QUICK | {"epochs": 1}).fit(X, Y, obs)
    train = sicmir.learning.training.holdout(obs, 0.125, 0).train
    (phase, n, mean, target), refit = seen
    assert (phase, n) == ("search", len(train))
    np.testing.assert_allclose(mean, X[train].mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(target, Y[train].mean(axis=0), rtol=1e-5)
    assert refit[:2] == ("refit", len(X))
