import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr, ttest_ind, ttest_rel

import sicmir
from sicmir.benchmark import evaluation
from sicmir.donors import contrasts
from sicmir.errors import DataError, ParameterError


@pytest.fixture(scope="module")
def toy():
    """Two cohorts of 40 donors, of which half have a normal sample beside the tumour."""
    _, mirna = sicmir.toy.paired_bulk(40, 2, 977, 80, normal_fraction=0.5, seed=3)
    return mirna.to_df(), mirna.obs


def test_paired_effects_are_those_of_a_paired_t_test(toy):
    values, obs = toy
    order = np.random.default_rng(0).permutation(len(obs))
    values = values.astype(float)
    values.iloc[0, 5] = np.nan
    found = contrasts.effects(
        values.iloc[order], obs["condition"], obs["donor"], case="tumour", reference="normal", paired=True
    )
    both = obs.set_index(["donor", "condition"]).index
    wide = {c: values.set_axis(both).xs(c, level="condition") for c in ("tumour", "normal")}
    difference = (wide["tumour"] - wide["normal"]).loc[wide["normal"].index]
    assert found["n"].tolist() == difference.notna().sum().tolist()
    assert found["n"].iloc[5] == found["n"].iloc[4] - 1 == 39
    np.testing.assert_allclose(found["effect"], difference.mean(), rtol=1e-6)
    pair = [side.loc[difference.index] for side in wide.values()]
    t = ttest_rel(*pair, nan_policy="omit").statistic
    np.testing.assert_allclose(found["effect"] / found["se"], np.asarray(t), rtol=1e-6)


def test_unpaired_effects_are_those_of_welch(toy):
    values, obs = toy
    found = contrasts.effects(values, obs["cohort"].tolist(), case="TOYB")
    inside = (obs["cohort"] == "TOYB").to_numpy()
    sides = values[inside].astype(float), values[~inside].astype(float)
    np.testing.assert_allclose(found["effect"], sides[0].mean() - sides[1].mean(), atol=1e-6)
    with np.errstate(invalid="ignore", divide="ignore"):
        t = ttest_ind(*sides, equal_var=False).statistic
    defined = found["se"] > 0
    assert defined.sum() > 60
    np.testing.assert_allclose((found["effect"] / found["se"])[defined], t[defined], rtol=1e-5)
    assert (found["n"] == min(inside.sum(), (~inside).sum())).all()


def test_samples_of_a_donor_count_once(toy):
    values, obs = toy
    found = contrasts.effects(values, obs["cohort"], obs["donor"], case="TOYA", reference="TOYB")
    means = values.astype(float).groupby(obs["donor"]).mean()
    inside = means.index.isin(obs.loc[obs["cohort"] == "TOYA", "donor"])
    expected = contrasts.effects(means, inside.astype(str), case="True")
    pd.testing.assert_frame_equal(found, expected)
    assert (found["n"] == 40).all()


def test_two_are_needed_for_an_effect():
    values = pd.DataFrame({"a": [1.0, np.nan, 3.0, 5.0], "b": [1.0, 2.0, 3.0, 5.0]})
    found = contrasts.effects(values, list("xxyy"), case="x", reference="y")
    assert np.isnan(found.loc["a", ["effect", "se"]]).all()
    assert found["n"].tolist() == [1, 2]
    assert found.loc["b", "effect"] == -2.5


def test_metrics_equal_a_loop_written_out():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(2, 40))
    y = y + x
    x[3], y[7] = np.nan, np.nan
    usable = [i for i in range(40) if i not in (3, 7)]
    for k in (1, 5, 20, 38):
        top_x = sorted(usable, key=lambda i: -abs(x[i]))[:k]
        top_y = sorted(usable, key=lambda i: -abs(y[i]))[:k]
        hits = sum(i in top_y and x[i] * y[i] > 0 for i in top_x)
        assert contrasts.top_k_recall(x, y, k) == pytest.approx(hits / k)
    for limit in (0, 0.7):
        large = [i for i in usable if abs(x[i]) > limit]
        expected = sum(x[i] * y[i] > 0 for i in large) / len(large)
        assert contrasts.sign_agreement(x, y, limit) == pytest.approx(expected)
    rho = spearmanr(x[usable], y[usable]).statistic
    assert contrasts.effect_spearman(x, y) == pytest.approx(rho)
    names = [f"m{i}" for i in range(40)]
    frames = [pd.DataFrame({"effect": side}, index=names) for side in (x, y)]
    found = contrasts.agreement(frames[0], frames[1].iloc[::-1], k=5)
    assert found["n_mirnas"] == 38
    assert found["effect_rmse"] == pytest.approx(np.sqrt(np.nanmean((x - y) ** 2)))
    assert found["effect_spearman"] == pytest.approx(rho)
    assert found["top_k_recall"] == contrasts.top_k_recall(x, y, 5)
    assert list(found.index[1:]) == list(contrasts.CONTRAST_METRICS)


def test_limits_and_chance():
    rng = np.random.default_rng(2)
    x = rng.normal(size=200)
    best = (1.0, 1.0, pytest.approx(1.0))
    functions = (
        lambda a, b: contrasts.top_k_recall(a, b, 20),
        contrasts.sign_agreement,
        contrasts.effect_spearman,
    )
    assert tuple(f(x, 0.3 * x) for f in functions) == best
    assert tuple(f(x, -x) for f in functions) == (0.0, 0.0, pytest.approx(-1.0))
    guesses = [rng.permutation(x) for _ in range(300)]
    chance = [np.mean([f(x, guess) for guess in guesses]) for f in functions]
    assert chance == pytest.approx([20 / 400, 0.5, 0.0], abs=0.02)
    none = np.zeros(200)
    assert contrasts.top_k_recall(x, none, 20) == contrasts.sign_agreement(x, none) == 0
    assert np.isnan(contrasts.effect_spearman(x, none))
    assert np.isnan(contrasts.sign_agreement(x, x, min_effect=99))


def test_a_planted_contrast_is_recovered_and_shuffled_predictions_are_not(toy):
    values, obs = toy
    rng = np.random.default_rng(4)
    predicted = values + rng.normal(scale=0.5, size=values.shape)
    labels = {"case": "tumour", "reference": "normal", "paired": True}
    tables = [
        contrasts.effects(v, obs["condition"], obs["donor"], **labels)
        for v in (values, predicted, predicted.iloc[rng.permutation(len(values))].set_axis(values.index))
    ]
    good, bad = (contrasts.agreement(tables[0], table, k=10) for table in tables[1:])
    assert good["top_k_recall"] >= 0.7
    assert good["sign_agreement"] > 0.8
    assert good["effect_spearman"] > 0.9 > 0.5 > bad["effect_spearman"]
    assert good["effect_rmse"] < bad["effect_rmse"]


def test_effects_of_toy_cohorts_are_the_planted_ones():
    _, mirna = sicmir.toy.paired_bulk(60, 2, 977, 60, normal_fraction=0, seed=5)
    found = contrasts.effects(mirna.to_df(), mirna.obs["cohort"], mirna.obs["donor"], case="TOYA")
    means = mirna.uns["truth"]["cohort_means"]
    high = means.min(axis=1) > 4  # the detection limit does not touch these
    error = (found["effect"] - (means["TOYA"] - means["TOYB"]))[high] / found["se"][high]
    assert high.sum() > 20
    assert error.abs().max() < 4


def test_cohort_against_the_rest_is_recovered_for_every_cohort():
    """Labels are arbitrary: each cohort in turn is the case and all other samples the reference."""
    _, mirna = sicmir.toy.paired_bulk(40, 4, 977, 80, normal_fraction=0, seed=6)
    values, obs = mirna.to_df(), mirna.obs
    means = mirna.uns["truth"]["cohort_means"]
    rng = np.random.default_rng(7)
    good = values + rng.normal(scale=0.5, size=values.shape)
    other = good.iloc[rng.permutation(len(values))].set_axis(values.index)
    flat = values * 0 + values.mean()
    for cohort in means:
        measured, *predicted = (
            contrasts.effects(v, obs["cohort"], obs["donor"], case=cohort)
            for v in (values, good, other, flat)
        )
        planted = (means[cohort] - means.drop(columns=cohort).mean(axis=1)).where(means.min(axis=1) > 4)
        assert contrasts.top_k_recall(planted, measured["effect"].reindex(planted.index), 10) >= 0.9
        recall = [contrasts.top_k_recall(measured["effect"], table["effect"], 10) for table in predicted]
        assert recall[0] >= 0.9
        assert recall[1] <= 0.4
        assert recall[2] <= 0.2
        assert contrasts.agreement(measured, predicted[0], 10)["effect_spearman"] > 0.95


@pytest.fixture(scope="module")
def experiment():
    """180 donors untreated and treated, once predicted by models that saw no treatment, once by others."""
    pair = sicmir.toy.paired_bulk(
        60, 3, 977, 60, normal_fraction=1, conditions=("untreated", "treated"), seed=9
    )
    options = {"n_splits": 3, "progress": False}
    unseen = evaluation.compare(
        *pair, ("ridge", "kernel", "shuffled", "truth"), unseen_condition="treated", **options
    )
    return pair[1], unseen, evaluation.compare(*pair, ("ridge",), **options)


def test_a_perturbation_is_predicted_by_models_that_never_saw_it(experiment):
    mirna, found, seen = experiment
    sides = found.folds.merge(mirna.obs[["sample", "condition"]], on="sample")
    assert set(sides.query("side == 'train'")["condition"]) == {"untreated"}
    tested = sides.query("side == 'test'").groupby("condition")["sample"].nunique()
    assert tested.to_dict() == {"treated": 180, "untreated": 180}
    table = found.contrast("treated", "untreated", k=10).set_index("method")
    assert (table["n_pairs"] == 180).all()
    assert table.loc["truth", ["top_k_recall", "sign_agreement"]].tolist() == [1, 1]
    assert table.loc["truth", "effect_spearman"] == pytest.approx(1)
    for method in ("ridge", "kernel"):
        assert table.loc[method, "effect_spearman"] > 0.7
        assert table.loc[method, "top_k_recall"] >= 0.5  # guessing finds 0.1
        assert table.loc[method, "effect_rmse"] < 0.6 * table.loc["shuffled", "effect_rmse"]
    assert abs(table.loc["shuffled", "effect_spearman"]) < 0.3
    easier = seen.contrast("treated", "untreated", k=10).set_index("method").loc["ridge"]
    assert easier["effect_spearman"] > table.loc["ridge", "effect_spearman"]
    assert found.contrast("tumour", "normal").empty


def test_predicted_changes_are_the_planted_ones_and_small_where_none_was_planted(experiment):
    mirna, found, _ = experiment
    truth = mirna.uns["truth"]["mirnas"].loc[found.detected]
    inert = ~truth["kind"].isin(["host", "programme"])
    assert (truth.loc[inert, "effect"] == 0).all()
    groups = {"case": "treated", "reference": "untreated", "paired": True}
    labels = found.obs["condition"], found.obs["donor"]
    measured, predicted = (
        contrasts.effects(table[found.detected], *labels, **groups)
        for table in (found.observed, found.predictions["ridge"])
    )
    high = mirna.to_df()[found.detected].min() > 0.5  # the detection limit does not touch these
    error = ((measured["effect"] - truth["effect"]) / measured["se"])[high & ~inert]
    assert error.abs().median() < 1
    large = truth["effect"].abs() > 0.5
    assert large.sum() >= 12
    assert (np.sign(predicted["effect"]) == np.sign(truth["effect"]))[large].mean() >= 0.9
    sizes = predicted["effect"].abs()
    assert sizes[inert].median() < 0.5 * sizes[large].median()


def test_bad_input_is_refused(toy):
    values, obs = toy
    with pytest.raises(ParameterError, match="needs the donor"):
        contrasts.effects(values, obs["condition"], case="tumour", paired=True)
    with pytest.raises(ParameterError, match="Expected two groups"):
        contrasts.effects(values, obs["condition"], case="tumour", reference="tumour")
    with pytest.raises(DataError, match="group 'treated'; there are normal, tumour"):
        contrasts.effects(values, obs["condition"], case="treated")
    with pytest.raises(DataError, match="No donor has samples"):
        contrasts.effects(values, obs["cohort"], obs["donor"], case="TOYA", reference="TOYB", paired=True)
    with pytest.raises(DataError, match="1 of them missing"):
        contrasts.effects(values, obs["condition"].iloc[1:], case="tumour")
    with pytest.raises(DataError, match="infinite"):
        contrasts.effects(values.replace(values.iloc[0, 0], np.inf), obs["condition"], case="tumour")
    x = pd.Series([1.0, 2.0, np.nan], list("abc"))
    for k in (0, 3):
        with pytest.raises(ParameterError, match="between 1 and the 2"):
            contrasts.top_k_recall(x, x, k)
    with pytest.raises(DataError, match="same miRNAs"):
        contrasts.effect_spearman(x, x.rename({"a": "z"}))
    with pytest.raises(DataError, match="both effects as Series"):
        contrasts.effect_spearman(x, x.to_numpy())
    with pytest.raises(DataError, match="No miRNA has both"):
        contrasts.sign_agreement(x * np.nan, x)
