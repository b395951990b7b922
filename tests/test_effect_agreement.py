"""Agreement of effects: the same figures as elsewhere, intervals from donors, and curves by scikit-learn."""

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

from sicmir import stats
from sicmir.donors import contrasts, effect_agreement
from sicmir.errors import DataError, ParameterError

CONTRAST = {"condition_key": "condition", "case": "tumour", "reference": "normal"}
FIGURES = list(effect_agreement.FIGURES)


def samples(n_pairs=8, n_case=0, n_reference=0, n_mirnas=40, truth=1.0, noise=0.5, seed=0):
    """Measured and predicted samples, of which the effects agree as far as ``truth`` says."""
    rng = np.random.default_rng(seed)
    obs = [(f"P{i}", side) for i in range(n_pairs) for side in ("tumour", "normal")]
    obs += [(f"T{i}", "tumour") for i in range(n_case)] + [(f"N{i}", "normal") for i in range(n_reference)]
    obs = pd.DataFrame(obs, columns=["donor", "condition"], index=[f"s{i}" for i in range(len(obs))])
    effect = rng.normal(scale=2, size=n_mirnas)
    is_case = (obs["condition"] == "tumour").to_numpy()[:, None]
    level = 8 + rng.normal(size=n_mirnas) + is_case * effect
    both = []
    for share in (1.0, truth):
        part = 8 + share * (level - 8) + rng.normal(scale=noise, size=level.shape)
        adata = AnnData(np.maximum(part, 0), obs=obs.copy())
        adata.var_names = [f"toy-miR-{i:03d}" for i in range(n_mirnas)]
        both.append(adata)
    return both


@pytest.mark.parametrize(("n_case", "n_reference"), [(0, 0), (6, 5)])
def test_the_figures_are_those_of_the_plain_effects(n_case, n_reference):
    n_pairs = 0 if n_case else 8
    measured, predicted = samples(n_pairs, n_case, n_reference, truth=0.4, noise=1.0)
    table = effect_agreement.bootstrap(
        measured, predicted, measured.var_names, k=7, n_resamples=50, **CONTRAST
    )
    sides = [
        contrasts.effects(
            adata.to_df(),
            adata.obs["condition"],
            adata.obs["donor"],
            case="tumour",
            reference="normal",
            paired=bool(n_pairs),
        )
        for adata in (measured, predicted)
    ]
    expected = contrasts.agreement(*sides, k=7)
    assert table.loc[FIGURES, "value"].to_numpy() == pytest.approx(expected[FIGURES].to_numpy(dtype=float))
    assert (table["lower"] <= table["upper"]).all()
    assert set(table["n_mirnas"]) == {40}
    assert set(table["n_donors"]) == {n_pairs or n_case + n_reference}


def test_draws_are_draws_of_donors():
    measured, predicted = samples(5, truth=0.3, noise=1.5, n_mirnas=30)
    table = effect_agreement.bootstrap(
        measured, predicted, measured.var_names, k=5, n_resamples=4000, seed=1, **CONTRAST
    )
    rng = np.random.default_rng(7)
    frames = [adata.to_df() for adata in (measured, predicted)]
    labels = measured.obs
    differences = []
    for frame in frames:
        wide = frame.assign(donor=labels["donor"], condition=labels["condition"])
        wide = wide.set_index(["condition", "donor"])
        differences.append((wide.loc["tumour"] - wide.loc["normal"]).to_numpy())
    rho = []
    for _ in range(4000):
        drawn = rng.integers(5, size=5)
        rho.append(spearmanr(*(side[drawn].mean(axis=0) for side in differences)).statistic)
    expected = np.percentile(rho, [2.5, 97.5])
    assert table.loc["effect_spearman", ["lower", "upper"]].to_numpy(dtype=float) == pytest.approx(
        expected, abs=0.03
    )


def test_clusters_are_drawn_with_the_donors():
    """Where all donors are alike, what is left of the interval is that of the clusters."""
    measured, predicted = samples(6, n_mirnas=30, noise=0.0)
    predicted.X[::2] += np.random.default_rng(3).normal(scale=2, size=30)
    names = measured.var_names
    clusters = pd.Series([f"c{i // 3}" for i in range(24)] + [""] * 3, index=names[:27])
    options = {"k": 5, "n_resamples": 2000, "seed": 1} | CONTRAST
    alone = effect_agreement.bootstrap(measured, predicted, names, **options).loc["effect_spearman"]
    table = effect_agreement.bootstrap(measured, predicted, names, clusters=clusters, **options)
    drawn = table.loc["effect_spearman"]
    assert alone["lower"] == pytest.approx(alone["value"]) == pytest.approx(drawn["value"])
    sides = [adata.X[0] - adata.X[1] for adata in (measured, predicted)]
    groups = [list(range(3 * i, 3 * i + 3)) for i in range(8)] + [[i] for i in range(24, 30)]
    rng, rho = np.random.default_rng(7), []
    for _ in range(2000):
        places = np.concatenate([groups[i] for i in rng.integers(len(groups), size=len(groups))])
        rho.append(spearmanr(*(side[places] for side in sides)).statistic)
    expected = np.percentile(rho, [2.5, 97.5])
    assert drawn[["lower", "upper"]].to_numpy(dtype=float) == pytest.approx(expected, abs=0.04)
    assert set(table["n_mirnas"]) == {30}


def test_what_is_not_measured_counts_on_neither_side_of_a_pair():
    measured, predicted = samples(6)
    measured.X[0, 0] = np.nan
    table = effect_agreement.bootstrap(
        measured, predicted, measured.var_names, k=5, n_resamples=10, **CONTRAST
    )
    left = measured.to_df().iloc[:, 0]
    pairs = left.groupby(measured.obs["donor"]).apply(lambda side: side.iloc[0] - side.iloc[1])
    means = effect_agreement._effects(
        effect_agreement._by_donor(measured, "condition", ("tumour", "normal"), "donor"), np.ones((1, 6))
    )
    assert means[0, 0] == pytest.approx(pairs.mean())
    assert table["n_mirnas"].iloc[0] == 40


def test_noise_agrees_by_chance_alone():
    measured, predicted = samples(10, truth=0.0, n_mirnas=300)
    table = effect_agreement.bootstrap(
        measured, predicted, measured.var_names, k=20, n_resamples=200, **CONTRAST
    )
    assert table.loc["effect_spearman", "lower"] < 0.05
    assert abs(table.loc["effect_spearman", "value"]) < 0.2


def test_halves_are_of_different_donors():
    measured, _ = samples(8, n_mirnas=60, noise=1.5, seed=3)
    table = effect_agreement.halves(measured, measured.var_names, k=10, n_splits=400, **CONTRAST)
    wide = measured.to_df().set_index([measured.obs["condition"], measured.obs["donor"]])
    differences = (wide.loc["tumour"] - wide.loc["normal"]).to_numpy()
    rng, rho = np.random.default_rng(5), []
    for _ in range(400):
        order = rng.permutation(8)
        rho.append(spearmanr(*(differences[part].mean(axis=0) for part in (order[:4], order[4:]))).statistic)
    assert table.loc["effect_spearman", "value"] == pytest.approx(np.median(rho), abs=0.02)
    assert set(table["n_donors"]) == {8}


def test_halves_of_noise_do_not_agree():
    # The mean over all other donors would agree perfectly, noise or not: over donors it is the effect itself.
    rng = np.random.default_rng(0)
    measured, _ = samples(10, n_mirnas=200)
    measured.X = rng.uniform(5, 9, measured.shape)
    table = effect_agreement.halves(measured, measured.var_names, k=10, **CONTRAST)
    assert abs(table.loc["effect_spearman", "value"]) < 0.25


def test_halves_leave_out_the_one_donor_without_a_tumour():
    measured, _ = samples(9, noise=1.5)
    odd = measured[~((measured.obs["donor"] == "P4") & (measured.obs["condition"] == "tumour"))].copy()
    without = measured[measured.obs["donor"] != "P4"].copy()
    options = {"k": 10, "n_splits": 50, **CONTRAST}
    pd.testing.assert_frame_equal(
        effect_agreement.halves(odd, odd.var_names, **options),
        effect_agreement.halves(without, without.var_names, **options),
    )


def test_what_cannot_be_compared_is_refused():
    measured, predicted = samples(5)
    names = measured.var_names
    with pytest.raises(DataError, match="same samples"):
        effect_agreement.bootstrap(measured, predicted[::-1], names, **CONTRAST)
    with pytest.raises(DataError, match="3 donors or more"):
        effect_agreement.bootstrap(*(side[:4] for side in (measured, predicted)), names, **CONTRAST)
    with pytest.raises(ParameterError, match="k = 50"):
        effect_agreement.bootstrap(measured, predicted, names, k=50, **CONTRAST)
    with pytest.raises(ParameterError, match="level"):
        effect_agreement.bootstrap(measured, predicted, names, level=95, **CONTRAST)
    with pytest.raises(DataError, match="2 miRNAs have both"):
        effect_agreement.bootstrap(measured, predicted, names[:2], k=1, **CONTRAST)


def test_curves_are_those_of_scikit_learn_and_greyed_mirnas_are_left_out():
    measured, predicted = samples(8, truth=0.5, noise=1.0)
    predicted.var["grade"] = ["D"] * 10 + ["A"] * 30
    truth = stats.differential(measured, min_grade="", **CONTRAST)
    guess = stats.differential(predicted, min_grade="B", **CONTRAST)
    curves, areas = effect_agreement.roc(truth, guess)
    kept = truth.set_index("mirna").loc[measured.var_names[10:]]
    score = guess.set_index("mirna").loc[kept.index, "statistic"]
    for direction, sign in (("up", 1), ("down", -1)):
        true = (kept["q"] <= 0.05) & (np.sign(kept["effect"]) == sign)
        assert areas[direction] == pytest.approx(roc_auc_score(true, sign * score))
        part = curves[curves["direction"] == direction]
        assert np.trapezoid(part["true_rate"], part["false_rate"]) == pytest.approx(areas[direction])


def test_no_curve_where_nothing_differs():
    measured, predicted = samples(6, truth=0)
    truth = stats.differential(measured, min_grade="", **CONTRAST).assign(q=1.0)
    guess = stats.differential(predicted, min_grade="", **CONTRAST)
    curves, areas = effect_agreement.roc(truth, guess)
    assert curves.empty
    assert areas.empty


def test_separation_is_the_area_under_the_curve_of_samples():
    measured, _ = samples(7, n_mirnas=6)
    measured.X[0, 0] = np.nan
    found = effect_agreement.separation(measured, **CONTRAST)
    for name, values in measured.to_df().items():
        seen = values.notna()
        label = (measured.obs["condition"] == "tumour")[seen]
        assert found[name] == pytest.approx(roc_auc_score(label, values[seen]))


def test_effects_stand_beside_each_other():
    measured, predicted = samples(6, n_mirnas=8)
    predicted.var["grade"] = "A"
    truth = stats.differential(measured, min_grade="", **CONTRAST)
    table = effect_agreement.beside(
        truth, {"held out": stats.differential(predicted, min_grade="B", **CONTRAST)}
    )
    assert table["measured_effect"].abs().is_monotonic_decreasing
    assert {"held_out_effect", "held_out_grade", "held_out_greyed"} <= set(table)
    assert len(table) == 8
