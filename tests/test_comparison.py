import numpy as np
import pandas as pd
import pytest
from scipy.stats import pearsonr, spearmanr

from sicmir.benchmark.comparison import POOLED, WITHIN, WITHIN_CONDITION, WITHIN_FOLD, Comparison
from sicmir.learning import splits

N, GENES = 120, ["a", "b", "c", "d"]


@pytest.fixture(scope="module")
def comparison():
    """Two cohorts with other means, normals lower than tumours in one of them, and a fold effect."""
    rng = np.random.default_rng(3)
    obs = pd.DataFrame(
        {
            "donor": [f"d{i}" for i in range(N)],
            "cohort": np.repeat(["A", "B"], N // 2),
            "condition": np.where(np.arange(N) % 3 == 0, "normal", "tumour"),
        },
        index=[f"s{i}" for i in range(N)],
    )
    shift = 3.0 * (obs["cohort"] == "B") + 2.0 * ((obs["condition"] == "tumour") & (obs["cohort"] == "A"))
    truth = rng.normal(size=(N, len(GENES)))
    observed = pd.DataFrame(truth + shift.to_numpy()[:, None], obs.index, GENES)
    better = observed + rng.normal(size=(N, len(GENES)))
    worse = observed + 2 * rng.normal(size=(N, len(GENES)))
    flat = observed.groupby(obs["cohort"]).transform("mean")
    folds = splits.table(splits.donor_folds(obs, 3), obs)
    predictions = {"sicmir": better, "ridge": worse, "cohort-mean": flat}
    return Comparison(observed, pd.Index(GENES[:3]), predictions, obs, folds, frozenset({"cohort-mean"}))


def fisher_mean(comparison, method, mirna, labels, least):
    """Average of Fisher's z over groups, weighted by n - 3, written out."""
    z, weight = 0.0, 0
    for label in pd.unique(labels):
        rows = labels == label
        if rows.sum() >= least:
            x, y = comparison.observed[mirna][rows], comparison.predictions[method][mirna][rows]
            z += (rows.sum() - 3) * np.arctanh(pearsonr(x, y).statistic)
            weight += rows.sum() - 3
    return np.tanh(z / weight)


def test_per_mirna_equals_scipy_in_every_scope(comparison):
    table = comparison.per_mirna()
    obs = comparison.obs
    assert list(table.loc["ridge"].index) == GENES[:3], "only detected miRNAs are judged"
    for method in ("sicmir", "ridge"):
        for mirna in GENES[:3]:
            row = table.loc[(method, mirna)]
            pair = comparison.observed[mirna], comparison.predictions[method][mirna]
            assert row["pearson"] == pytest.approx(pearsonr(*pair).statistic)
            for column, labels in (
                ("pearson_within", obs["cohort"]),
                ("pearson_within_condition", obs["cohort"] + obs["condition"]),
            ):
                expected = fisher_mean(comparison, method, mirna, labels.to_numpy(), 10)
                assert row[column] == pytest.approx(expected), column


def test_tumour_and_normal_are_a_cohort_effect_of_their_own(comparison):
    """What the finer scope is there for: normals that differ lift the correlation within a cohort."""
    row = comparison.per_mirna().loc["sicmir"].median()
    assert row["pearson"] > row["pearson_within"] > row["pearson_within_condition"]


def test_a_method_that_gives_a_cohort_one_value_has_no_correlation_within(comparison):
    table = comparison.per_mirna().loc["cohort-mean"]
    within = ["pearson_within", "spearman_within", "pearson_within_condition"]
    assert table[within].isna().all(axis=None)
    assert table["pearson"].notna().all()
    league = comparison.league(n_resamples=10)
    assert league.loc[league["method"] == "cohort-mean", "scope"].tolist() == [POOLED]


def test_league_medians_are_those_of_the_scopes(comparison):
    league = comparison.league(n_resamples=50).set_index(["scope", "method"])
    tested = comparison.folds.query("side == 'test'").set_index("sample")["split"]
    obs = comparison.obs
    labels = {
        WITHIN: obs["cohort"],
        WITHIN_CONDITION: obs["cohort"] + obs["condition"],
        WITHIN_FOLD: obs["cohort"] + tested.reindex(obs.index),
    }
    for scope, groups in labels.items():
        least = 8 if scope == WITHIN_FOLD else 10
        r = [fisher_mean(comparison, "ridge", mirna, groups.to_numpy(), least) for mirna in GENES[:3]]
        row = league.loc[(scope, "ridge")]
        assert row["median"] == pytest.approx(np.median(r), abs=1e-6), scope
        if scope == WITHIN_FOLD:
            assert np.isnan(row["lower"])
        else:
            assert row["lower"] < row["median"] < row["upper"]


def test_headline_gains_are_differences_and_not_medians(comparison):
    league = comparison.league("ridge", n_resamples=50)
    figures = comparison.headline(league)
    table = comparison.per_mirna()
    difference = (table.loc["sicmir"] - table.loc["ridge"]).median()
    assert figures["gain_pooled"] == pytest.approx(difference["pearson"], abs=1e-6)
    assert figures["gain_within_cohort"] == pytest.approx(difference["pearson_within"], abs=1e-6)
    assert figures["gain_lower_pooled"] < figures["gain_pooled"] < figures["gain_upper_pooled"]
    assert figures["ridge_pooled"] == pytest.approx(table.loc["ridge", "pearson"].median(), abs=1e-6)
    assert np.isnan(figures["cohort_mean_within_cohort"])
    assert (figures["n_mirnas"], figures["n_samples"], figures["n_donors"]) == (3, N, N)
    assert comparison.headline(league, weak=2.0)["n_weak"] == 3


def test_scopes_without_a_group_that_is_large_enough_are_left_out(comparison):
    few = np.r_[0:9, 60:69]
    small = Comparison(
        comparison.observed.iloc[few],
        comparison.detected,
        {name: p.iloc[few] for name, p in comparison.predictions.items()},
        comparison.obs.iloc[few],
        comparison.folds,
        comparison.flat,
    )
    league = small.league("ridge", n_resamples=10)
    assert set(league["scope"]) == {POOLED}
    figures = small.headline(league)
    assert np.isnan(figures["gain_within_cohort"])
    assert figures["gain_pooled"] > 0


def test_tumour_against_normal_compares_paired_differences():
    rng = np.random.default_rng(0)
    donors = [f"d{i}" for i in range(12)]
    obs = pd.DataFrame(
        {"donor": donors * 2, "cohort": "A", "condition": ["tumour"] * 12 + ["normal"] * 12},
        index=[f"s{i}" for i in range(24)],
    )
    mirnas = [f"m{i}" for i in range(30)]
    difference = rng.normal(0, 2, 30)
    donor_level = np.tile(rng.normal(0, 3, (12, 30)), (2, 1))
    tumour = (obs["condition"] == "tumour").to_numpy()[:, None]
    observed = pd.DataFrame(donor_level + tumour * difference, obs.index, mirnas)
    predictions = {
        "right": observed + rng.normal(0, 0.1, observed.shape),
        "opposite": -observed,
        "flat": observed * 0,
    }
    folds = pd.DataFrame(columns=["split", "sample", "side"])
    found = Comparison(observed, observed.columns, predictions, obs, folds, frozenset({"flat"}))
    table = found.contrast(k=5).set_index("method")
    assert list(table.index) == ["right", "opposite"]
    assert (table["n_pairs"] == 12).all()
    assert table.loc["right", "effect_spearman"] > 0.98
    assert table.loc["right", "top_k_recall"] == 1
    assert table.loc["opposite", "effect_spearman"] == pytest.approx(-1)
    assert table.loc["opposite", "sign_agreement"] == 0


def test_without_pairs_there_is_no_contrast(comparison):
    assert comparison.contrast().empty


def test_cohorts_against_the_rest_count_donors_and_find_planted_differences():
    rng = np.random.default_rng(1)
    cohorts = np.repeat(["A", "B", "C", "few"], [12, 12, 12, 4])
    donors = [f"d{i}" for i in range(40)]
    obs = pd.DataFrame(
        {"donor": donors + donors[:6], "cohort": [*cohorts, *["A"] * 6], "condition": "tumour"},
        index=[f"s{i}" for i in range(46)],
    )
    means = pd.DataFrame(rng.normal(8, 2, (4, 30)), ["A", "B", "C", "few"])
    observed = means.loc[obs["cohort"]].set_axis(obs.index)
    observed.columns = [f"m{i}" for i in range(30)]
    predictions = {"right": observed + rng.normal(0, 0.1, observed.shape), "global": observed * 0 + 8}
    folds = pd.DataFrame(columns=["split", "sample", "side"])
    found = Comparison(observed, observed.columns, predictions, obs, folds, frozenset({"global"}))
    table = found.cohorts_against_rest(k=5).set_index(["method", "cohort"])
    assert list(table.loc["right"].index) == ["A", "B", "C"]
    assert (table["n_donors"] == 12).all()
    assert (table.loc["right", "top_k_recall"] >= 0.8).all()
    assert (table.loc["right", "effect_spearman"] > 0.98).all()
    assert (table.loc["global", ["top_k_recall", "sign_agreement"]] == 0).all(axis=None)
    # The six donors with two samples weigh as the others do.
    rest = means.loc[["B", "C"]].to_numpy().repeat(12, axis=0)
    rest = np.vstack([rest, means.loc[["few"]].to_numpy().repeat(4, axis=0)]).mean(axis=0)
    expected = spearmanr(means.loc["A"].to_numpy() - rest, _effect(predictions["right"], obs, "A")).statistic
    assert table.loc[("right", "A"), "effect_spearman"] == pytest.approx(expected)
    alone = Comparison(
        observed[:12], observed.columns, {"right": observed[:12]}, obs[:12], folds, frozenset()
    )
    assert alone.cohorts_against_rest().empty


def _effect(values, obs, cohort):
    donors = values.groupby(obs["donor"]).mean()
    inside = obs.groupby("donor")["cohort"].first().eq(cohort).to_numpy()
    return (donors[inside].mean() - donors[~inside].mean()).to_numpy()
