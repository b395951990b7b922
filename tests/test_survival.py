import anndata as ad
import numpy as np
import pandas as pd
import pytest
from leukaemia import GIVEN_PLACEBO, RELAPSE, WEEKS
from scipy.stats import chi2, norm
from statsmodels.duration.hazard_regression import PHReg
from statsmodels.stats.multitest import multipletests

from sicmir.donors import survival
from sicmir.errors import DataError, ParameterError
from sicmir.synthetic import toy_cells

OUTCOME = {"time_key": "time", "event_key": "event"}


def cohort(n_donors=80, n_cell_types=1, n_mirnas=12, log_hazard=1.0, censored=0.3, seed=0):
    """Donors with one sample a cell type; the first miRNA raises the hazard, per SD."""
    adata = toy_cells.donor_cells(n_donors, n_cell_types, n_mirnas, arms="unpaired", seed=seed)
    first = adata[adata.obs["cell_type"] == "type A"]
    z = first.X[:, 0].astype(float)
    times = toy_cells.survival_times(log_hazard * (z - z.mean()) / z.std(), censored=censored, seed=seed)
    times = times.set_index(first.obs["donor"].to_numpy())
    for name in times:
        adata.obs[name] = times.loc[adata.obs["donor"], name].to_numpy()
    return adata


@pytest.mark.parametrize("stratum", ["", "batch"])
def test_models_are_those_of_statsmodels(stratum):
    adata = cohort(seed=1)
    adata.obs["sex"] = np.resize(["f", "m", "m"], 80)
    found = survival.cox(adata, **OUTCOME, covariates=["age", "sex"], stratum_key=stratum)
    obs = adata.obs
    for i in range(4):
        values = adata.X[:, i].astype(float)
        x = np.column_stack([values / values.std(ddof=1), obs["age"], obs["sex"] == "m"]).astype(float)
        strata = obs[stratum].cat.codes.to_numpy() if stratum else None
        expected = PHReg(
            obs["time"].to_numpy(), x, status=obs["event"].to_numpy(), strata=strata, ties="efron"
        )
        expected = expected.fit()
        row = found.iloc[i]
        assert row["effect"] == pytest.approx(expected.params[0], rel=1e-4)
        assert row["p"] == pytest.approx(expected.pvalues[0], rel=1e-3)
        limits = np.exp(expected.conf_int()[0])
        assert (row["lower"], row["upper"]) == pytest.approx(tuple(limits), rel=1e-4)
        assert row["hazard_ratio"] == pytest.approx(np.exp(expected.params[0]), rel=1e-4)
        assert (row["n"], row["n_events"]) == (80, obs["event"].sum())


def test_a_planted_mirna_is_found_and_nothing_where_nothing_is():
    found = survival.cox(cohort(n_cell_types=2, n_mirnas=40, seed=2), **OUTCOME, cell_type_key="cell_type")
    row = found.iloc[0]
    assert row["finding"]
    assert row["lower"] < np.e < row["upper"]
    assert row["concordance"] > 0.7
    assert row["rank"] == 1
    assert (
        found["finding"].iloc[1:].sum() <= 2
    )  # The planted miRNA of the other cell type may follow its donor.
    expected = multipletests(found["p"], method="fdr_bh")[1]
    np.testing.assert_allclose(found["q"], expected)
    nothing = survival.cox(cohort(n_mirnas=40, log_hazard=0, seed=3), **OUTCOME)
    assert not nothing["finding"].any()


def test_an_effect_that_a_covariate_explains_goes_away_with_it():
    adata = cohort(120, log_hazard=0, seed=4)
    z = np.random.default_rng(5).normal(size=120)
    times = toy_cells.survival_times(z, seed=6)
    adata.obs[["time", "event"]] = times.to_numpy()
    adata.obs["stage"] = z
    adata.X[:, 3] = 6 + z + np.random.default_rng(7).normal(scale=0.7, size=120)
    alone, adjusted = (survival.cox(adata, **OUTCOME, covariates=c).iloc[3] for c in ([], ["stage"]))
    assert alone["p"] < 1e-3
    assert adjusted["p"] > 0.05


def test_few_events_give_no_model_but_a_reason():
    adata = cohort(30, censored=0.5, seed=8)
    n_events = int(adata.obs["event"].sum())
    assert 10 <= n_events < 20
    alone = survival.cox(adata, **OUTCOME)
    assert alone["tested"].all()
    found = survival.cox(adata, **OUTCOME, covariates=["age"])
    assert found["p"].isna().all()
    assert found["effect"].isna().all()
    assert (found["reason"] == f"{n_events} events for 2 variables, fewer than 10 each: no model").all()
    constant = adata.copy()
    constant.obs["age"] = 50.0
    assert survival.cox(constant, **OUTCOME, covariates=["age"])["tested"].all()


def test_gaps_constants_confounding_and_separation_have_reasons():
    adata = cohort(60, n_mirnas=6, seed=9)
    adata.X[:, 0] = 3
    adata.X[:50, 1] = np.nan
    adata.X[:, 2] = np.nan
    adata.obs["load"] = adata.X[:, 3].astype(float)
    late = adata.obs["event"].to_numpy() == 0
    adata.obs["time"] = np.where(late, 100, 1 + np.arange(60))
    adata.X[:, 4] = np.where(late, 2, 8)
    found = survival.cox(adata, **OUTCOME, covariates=["load"])
    reasons = found["reason"].tolist()
    assert reasons[0] == "does not vary: no model"
    assert "fewer than 10 each" in reasons[1]
    assert reasons[2] == "not measured"
    assert reasons[3] == "confounded with covariates or strata: no model"
    assert reasons[4] == "donors with and without event are separated: no estimate"
    assert reasons[5] == ""
    assert found["p"].notna().tolist() == [False] * 5 + [True]
    assert found["n"].tolist() == [60, 10, 0, 60, 60, 60]


def test_samples_of_a_donor_count_once():
    adata = cohort(40, n_cell_types=3, seed=10)
    found = survival.cox(adata, **OUTCOME)
    means = adata.to_df().astype(float).groupby(adata.obs["donor"].to_numpy()).mean()
    outcome = adata.obs.drop_duplicates("donor").set_index("donor").loc[means.index]
    x = (means / means.std()).iloc[:, [0]].to_numpy()
    expected = PHReg(outcome["time"].to_numpy(), x, status=outcome["event"].to_numpy(), ties="efron").fit()
    assert found["p"].iloc[0] == pytest.approx(expected.pvalues[0], rel=1e-3)
    assert (found["n"] == 40).all()
    assert (found["note"] == "means of several samples of a donor").all()


def test_tumour_and_normal_of_a_donor_are_not_averaged():
    adata = cohort(60, log_hazard=1, seed=11)
    twice = ad.concat([adata, adata], keys=["tumour", "normal"], label="condition", index_unique="-")
    twice.uns = adata.uns
    with pytest.raises(DataError, match="60 donors have samples of several conditions"):
        survival.cox(twice, **OUTCOME)
    chosen = survival.cox(twice[twice.obs["condition"] == "tumour"].copy(), **OUTCOME)
    pd.testing.assert_frame_equal(chosen, survival.cox(adata, **OUTCOME))


def test_greyed_mirnas_are_no_findings_and_drifting_effects_are_noted():
    adata = cohort(300, log_hazard=0, seed=11)
    z = np.random.default_rng(12).normal(size=300)
    adata.X[:, 2] = 6 + z
    adata.obs[["time", "event"]] = toy_cells.survival_times(1.5 * z, turns=True, seed=13).to_numpy()
    adata.var["grade"] = ["D", *["A"] * 11]
    adata.X[:, 0] = 6 - z
    found = survival.cox(adata, **OUTCOME, min_grade="B")
    assert found["greyed"].tolist() == [True] + [False] * 11
    assert not found["finding"].iloc[0]
    assert np.isnan(found["q"].iloc[0])
    assert found["ph_p"].iloc[2] < 1e-6
    assert found["note"].iloc[2] == "the effect changes with time"
    assert set(survival.findings(found)["mirna"]) <= set(found["mirna"].iloc[1:])


def test_log_rank_and_curves_of_a_textbook_example():
    """Chi-squared 16.79, as printed for these data in textbooks."""
    group = np.where(GIVEN_PLACEBO == 1, "placebo", "6-MP")
    statistic, p = survival.log_rank(WEEKS, RELAPSE, group)
    assert statistic == pytest.approx(16.79, abs=0.005)
    assert p == pytest.approx(4.2e-5, rel=0.02)
    curves = survival.kaplan_meier(WEEKS, RELAPSE, group)
    treated = curves[curves["group"] == "6-MP"].set_index("time")
    # Survival of the treated as printed: 0.857 after 6 weeks, 0.448 after 23.
    assert treated.loc[6, "survival"] == pytest.approx(0.857, abs=5e-4)
    assert treated.loc[23, "survival"] == pytest.approx(0.448, abs=5e-4)
    assert treated.loc[0, ["survival", "at_risk"]].tolist() == [1, 21]
    for row in treated.iloc[1:].itertuples():
        before = treated[(treated.index > 0) & (treated.index <= row.Index)]
        greenwood = (before["events"] / (before["at_risk"] * (before["at_risk"] - before["events"]))).sum()
        middle = np.log(-np.log(row.survival))
        half = norm.ppf(0.975) * np.sqrt(greenwood) / -np.log(row.survival)
        assert row.lower == pytest.approx(np.exp(-np.exp(middle + half)))
        assert row.upper == pytest.approx(np.exp(-np.exp(middle - half)))
    assert curves[curves["group"] == "placebo"].iloc[-1][["lower", "upper"]].isna().all()


def test_strata_compare_like_with_like():
    rng = np.random.default_rng(14)
    stratum = np.repeat(["fast", "slow"], 80)
    group = np.where(rng.random(160) < np.where(stratum == "fast", 0.8, 0.2), "a", "b")
    times = toy_cells.survival_times(np.where(stratum == "fast", 1.2, -1.2), seed=15)
    plain = survival.log_rank(times["time"], times["event"], group)[1]
    assert plain < 1e-3
    assert survival.log_rank(times["time"], times["event"], group, stratum)[1] > 0.05
    with pytest.raises(DataError, match="Every stratum holds one group"):
        survival.log_rank(times["time"], times["event"], group, group)


def test_log_rank_of_groups_that_were_never_at_risk_together():
    """All of "a" were lost from sight before anybody of "b" had an event."""
    told = survival.log_rank([1, 1, 5, 6], [0, 0, 1, 1], ["a", "a", "b", "b"])
    assert np.isnan(told).all()
    assert survival.log_rank([1, 7, 5, 6], [0, 0, 1, 1], ["a", "a", "b", "b"])[1] == pytest.approx(
        logrank_by_hand([3, 2], [1, 1], [1, 1])
    )


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"time_key": "days"}, DataError, "no column 'days'"),
        ({"donor_key": "patient"}, DataError, "no column 'patient'"),
        ({"stratum_key": "centre"}, DataError, "no column 'centre'"),
        ({"covariates": ["stage"]}, DataError, "no column 'stage'"),
        ({"covariates": ["time"]}, ParameterError, "different columns"),
        ({"min_events_per_variable": 1}, ParameterError, "at least 5"),
        ({"fdr": 0}, ParameterError, "fdr"),
        ({"min_grade": "E"}, ParameterError, "min_grade should be one of"),
        ({"time_key": "batch"}, DataError, "Expected numbers in batch"),
    ],
)
def test_bad_options_are_refused(options, error, message):
    with pytest.raises(error, match=message):
        survival.cox(cohort(20), **OUTCOME | options)


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("time", -1.0, "negative"),
        ("time", np.inf, "infinite"),
        ("time", np.nan, "samples have no time"),
        ("event", 2, "should be 1"),
    ],
)
def test_impossible_outcomes_are_refused(column, value, message):
    adata = cohort(20)
    adata.obs.loc[adata.obs_names[3], column] = value
    with pytest.raises(DataError, match=message):
        survival.cox(adata, **OUTCOME)


def test_outcomes_that_contradict_each_other_or_are_absent_are_refused():
    adata = cohort(20, n_cell_types=2)
    adata.obs.loc[adata.obs_names[0], "time"] += 1
    with pytest.raises(DataError, match="TOY-0001 differ in time"):
        survival.cox(adata, **OUTCOME, cell_type_key="cell_type")
    adata = cohort(20)
    adata.obs["event"] = False
    with pytest.raises(DataError, match="No donor has an event"):
        survival.cox(adata, **OUTCOME)
    with pytest.raises(DataError, match="two or more groups"):
        survival.log_rank([1, 2], [1, 1], ["a", "a"])
    with pytest.raises(DataError, match="1 donors have no group"):
        survival.kaplan_meier([1, 2], [1, 1], ["a", None])
    with pytest.raises(DataError, match="Expected one length"):
        survival.kaplan_meier([1, 2], [1, 1], ["a"])
    with pytest.raises(DataError, match="group 'b' has an event"):
        survival.kaplan_meier([1, 2], [1, 0], pd.Series(["a", "b"]))


def logrank_by_hand(at_risk, in_a, events):
    """P of two groups, from the numbers at risk in all and in the first, where the first has no event."""
    at_risk, in_a, events = map(np.asarray, (at_risk, in_a, events))
    share = in_a / at_risk
    variance = (events * share * (1 - share)).sum()
    return chi2.sf((events * share).sum() ** 2 / variance, 1)
