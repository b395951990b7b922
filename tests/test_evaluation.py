import numpy as np
import pandas as pd
import pytest

from sicmir import panel
from sicmir.benchmark import evaluation
from sicmir.benchmark.baselines import Ridge
from sicmir.errors import DataError, ParameterError
from sicmir.learning.methods import Method
from sicmir.learning.training import NetworkRegressor


@pytest.fixture(scope="module", autouse=True)
def quick_network():
    """The real network, small and short."""
    quick = Method(
        "sicmir", "", frozenset(), lambda seed: NetworkRegressor(hidden=32, epochs=8, patience=8, seed=seed)
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(evaluation.METHODS, "sicmir", quick)
        yield


@pytest.fixture(scope="module")
def comparison(toy_pair):
    methods = ("sicmir+ridge", "sicmir", "ridge", "shuffled")
    return evaluation.compare(*toy_pair, methods, n_splits=3, progress=False)


def test_every_sample_is_predicted_once_and_by_a_model_that_never_saw_its_donor(comparison, toy_pair):
    for predicted in comparison.predictions.values():
        assert predicted.shape == comparison.observed.shape
        assert predicted.notna().to_numpy().all()
    tested = comparison.folds.query("side == 'test'")
    assert sorted(tested["sample"]) == sorted(toy_pair[0].obs_names)
    for _, fold in comparison.folds.groupby("split"):
        sides = fold.groupby("side")["donor"].agg(set)
        assert not sides["train"] & sides["test"]


def test_predictions_equal_a_loop_written_out(comparison, toy_pair):
    mrna, mirna = toy_pair
    X, Y = panel.align(mrna).X, comparison.observed.to_numpy()
    for _, fold in comparison.folds.groupby("split"):
        rows = {side: mirna.obs_names.get_indexer(part["sample"]) for side, part in fold.groupby("side")}
        ridge = Ridge().fit(X[rows["train"]], Y[rows["train"]], mirna.obs.iloc[rows["train"]])
        expected = ridge.predict(X[rows["test"]], mirna.obs.iloc[rows["test"]])
        found = comparison.predictions["ridge"].iloc[rows["test"]].to_numpy()
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_the_average_is_the_mean_of_its_members(comparison):
    p = comparison.predictions
    pd.testing.assert_frame_equal(p["sicmir+ridge"], (p["sicmir"] + p["ridge"]) / 2)


def test_the_average_on_its_own_trains_its_members(toy_pair):
    mrna, mirna = toy_pair
    X, Y = panel.align(mrna).X, mirna.to_df().to_numpy()
    members = [Ridge(), Ridge(transform="rank")]
    average = evaluation.Average(members).fit(X, Y, mirna.obs)
    expected = (members[0].predict(X, mirna.obs) + members[1].predict(X, mirna.obs)) / 2
    np.testing.assert_array_equal(average.predict(X, mirna.obs), expected)


def test_only_detected_mirnas_are_compared(toy_pair):
    mirna = toy_pair[1]
    rare = mirna.copy()
    rare.X[:, 0] = 0
    kept = evaluation.detected_names(rare)
    assert rare.var_names[0] not in kept
    assert list(kept) == [n for n in rare.var_names if (2 ** rare[:, n].X - 1 > 1).mean() >= 0.5]


def test_unknown_methods_other_samples_and_silent_mirnas_are_refused(toy_pair):
    mrna, mirna = toy_pair
    with pytest.raises(ParameterError, match=r"methods: found \['magic'\]"):
        evaluation.compare(mrna, mirna, ["magic"])
    with pytest.raises(DataError, match="not the same samples"):
        evaluation.compare(mrna[::-1], mirna)
    silent = mirna.copy()
    silent.X[:] = 0
    with pytest.raises(DataError, match="RPM > 1"):
        evaluation.compare(mrna, silent)


def test_short_names_find_mirnas_of_either_level_and_the_most_expressed_wins():
    columns = ["hsa-mir-122", "hsa-miR-21-5p", "hsa-miR-21-3p", "hsa-mir-1226", "hsa-let-7a-1", "toy-miR-122"]
    observed = pd.DataFrame(np.arange(12.0).reshape(2, 6), columns=columns)
    assert evaluation.find_mirnas(observed, "miR-122, mir-21,let-7a-1,miR-9") == [
        "hsa-mir-122",
        "hsa-miR-21-3p",
        "hsa-let-7a-1",
    ]
    assert evaluation.find_mirnas(observed, "HSA-MIR-21-5P") == ["hsa-miR-21-5p"]


def test_names_that_are_not_there_are_left_out_and_none_comes_twice():
    observed = pd.DataFrame({"hsa-mir-1": [1.0], "hsa-mir-2": [2.0]})
    assert evaluation.find_mirnas(observed, "miR-122, ,") == []
    assert evaluation.find_mirnas(observed, "mir-2,MIR-2,hsa-mir-2") == ["hsa-mir-2"]


def test_a_mirna_asked_for_by_name_is_predicted_but_not_judged(toy_pair):
    mrna, mirna = toy_pair
    rare = mirna.copy()
    rare.X[rare.obs["cohort"] != "TOYA", 0] = 0  # like miR-122, which only liver expresses
    name = rare.var_names[0]
    found = evaluation.compare(mrna, rare, ["ridge"], also=name, n_splits=3, progress=False)
    assert found.observed.columns[-1] == name
    assert found.predictions["ridge"][name].notna().all()
    assert name not in found.detected
    assert name not in found.per_mirna().index.get_level_values("mirna")
    assert (found.league(n_resamples=5)["n_mirnas"] == len(found.detected)).all()


def test_another_seed_deals_other_folds(toy_pair):
    first, again, other = (
        evaluation.compare(*toy_pair, ["cohort-mean"], n_splits=3, seed=seed, progress=False).folds
        for seed in (0, 0, 1)
    )
    assert first.equals(again)
    assert not first.equals(other)


def test_methods_without_a_correlation_within_cohorts_are_marked(toy_pair):
    found = evaluation.compare(*toy_pair, ["cohort-mean", "ridge"], n_splits=3, progress=False)
    assert found.flat == {"cohort-mean"}
