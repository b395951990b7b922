import anndata as ad
import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import statsmodels.formula.api as smf
from scipy.stats import norm, ttest_1samp, ttest_ind, ttest_rel
from statsmodels.stats.multitest import multipletests

from sicmir import stats
from sicmir.donors.donor_fit import fit_effect
from sicmir.errors import DataError, PanelError, ParameterError
from sicmir.synthetic import toy_cells

CONTRAST = {"condition_key": "condition", "case": "tumour", "reference": "normal"}
BY_TYPE = CONTRAST | {"cell_type_key": "cell_type"}


def wide(adata, mirna, cell_type):
    part = adata[adata.obs["cell_type"] == cell_type]
    frame = pd.DataFrame(
        {"value": part[:, mirna].X.ravel().astype(float), **part.obs[["donor", "condition"]]}
    )
    return frame.pivot_table(index="donor", columns="condition", values="value")


def aligned(truth, found):
    """Values of a table miRNAs x cell types for the rows of a result."""
    return np.array([truth.loc[row.mirna, row.cell_type] for row in found.itertuples()])


def test_one_mirna_in_pairs_is_a_paired_t_test():
    adata = toy_cells.donor_cells(9, 2, 1, seed=1)
    found = stats.differential(adata, **BY_TYPE)
    for row in found.itertuples():
        pairs = wide(adata, row.mirna, row.cell_type)
        expected = ttest_rel(pairs["tumour"], pairs["normal"])
        assert row.p == pytest.approx(expected.pvalue, rel=1e-5)
        assert row.effect == pytest.approx((pairs["tumour"] - pairs["normal"]).mean(), abs=1e-5)
        limits = expected.confidence_interval()
        assert (row.lower, row.upper) == pytest.approx((limits.low, limits.high), rel=1e-4)
        assert (row.design, row.n_case, row.df) == ("paired", 9, 8)


def test_one_mirna_in_two_groups_is_a_linear_model_with_covariates():
    adata = toy_cells.donor_cells(20, 1, 1, arms="unpaired", seed=2)
    found = stats.differential(adata, **CONTRAST, covariates=["age", "batch"]).iloc[0]
    frame = adata.obs.assign(y=adata.X.ravel().astype(float), case=adata.obs["condition"] == "tumour")
    expected = smf.ols("y ~ case + age + batch", frame).fit()
    assert found["effect"] == pytest.approx(expected.params["case[T.True]"], rel=1e-5)
    assert found["p"] == pytest.approx(expected.pvalues["case[T.True]"], rel=1e-5)
    assert (found["lower"], found["upper"]) == pytest.approx(
        tuple(expected.conf_int().loc["case[T.True]"]), rel=1e-4
    )
    assert found["df"] == 16


def test_a_mixed_design_is_chosen_in_its_place_and_agrees_with_the_mixed_model():
    adata = toy_cells.donor_cells(60, 1, 40, arms="mixed", effect=1, n_changed=10, seed=3)
    both = adata.obs["donor"].value_counts() == 2
    assert both.sum() == 30
    assert set(stats.differential(adata, **CONTRAST)["design"]) == {"paired"}
    # Of some of the donors, the normal sample is lost: fewer pairs than single samples are left.
    lost = adata.obs["donor"].isin(both.index[both][:10]) & (adata.obs["condition"] == "normal")
    assert set(stats.differential(adata[~lost.to_numpy()], **CONTRAST)["design"]) == {"mixed"}
    found = stats.differential(adata, **CONTRAST, paired="mixed").set_index("mirna")
    assert 0.3 < found["correlation"].iloc[0] < 0.8
    design = sm.add_constant((adata.obs["condition"] == "tumour").to_numpy().astype(float))
    donors = adata.obs["donor"].to_numpy()
    fits = [sm.MixedLM(column.astype(float), design, donors).fit() for column in adata.X.T[:12]]
    np.testing.assert_allclose(found["effect"].iloc[:12], [fit.params[1] for fit in fits], atol=0.08)
    se = (found["effect"] / found["statistic"]).abs().iloc[:12]
    # One correlation for all miRNAs: errors agree on the whole, not each of them.
    assert np.exp(np.mean(np.log(se / [fit.bse[1] for fit in fits]))) == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize(("n_case", "n_reference", "sd"), [(4, 20, 3.0), (20, 4, 3.0), (8, 8, 1.0)])
def test_groups_that_differ_in_spread_are_weighed_by_it(n_case, n_reference, sd):
    """Null studies hold 5 % where the case varies more, and what is fitted is weighted least squares."""
    rng = np.random.default_rng(15)
    n, case = n_case + n_reference, np.arange(n_case + n_reference) < n_case
    obs = pd.DataFrame({"donor": np.arange(n).astype(str), "age": rng.normal(60, 9, n)})
    obs["condition"] = np.where(case, "tumour", "normal")
    obs.index = "sample " + obs["donor"]
    obs.index.name = None
    rates = []
    for _ in range(10):
        values = 8 + rng.normal(size=(n, 200)) * np.where(case, sd, 1.0)[:, None]
        adata = ad.AnnData(values, obs=obs, var=pd.DataFrame(index=[f"m{i}" for i in range(200)]))
        found = stats.differential(adata, **CONTRAST, covariates=["age"])
        assert found["spread_ratio"].iloc[0] == pytest.approx(sd, rel=0.25)
        rates.append((found["p"] <= 0.05).mean())
    assert 0.03 < np.mean(rates) < 0.07
    weights = np.where(case, found["spread_ratio"].iloc[0] ** -2, 1)
    design = np.column_stack([case, np.ones(n), obs["age"]]).astype(float)
    fits = [sm.WLS(column, design, weights=weights).fit() for column in values.T[:5]]
    np.testing.assert_allclose(found["effect"].iloc[:5], [fit.params[0] for fit in fits])


def test_few_mirnas_are_tested_one_by_one():
    adata = toy_cells.donor_cells(10, 1, 5, arms="unpaired", seed=3)
    found = stats.differential(adata, **CONTRAST)
    case = (adata.obs["condition"] == "tumour").to_numpy()
    np.testing.assert_allclose(found["p"], ttest_ind(adata.X[case], adata.X[~case]).pvalue, rtol=1e-4)
    assert found["note"].str.contains("not moderated").all()


def test_donors_in_batches_of_one_condition_do_not_count():
    adata = toy_cells.donor_cells(24, 1, 20, arms="unpaired", seed=11)
    adata.obs["batch"] = np.where(adata.obs["condition"] == "tumour", "A", "B")
    normal = np.flatnonzero(adata.obs["condition"] == "normal")
    for n, tested in ((2, False), (3, True)):
        adata.obs.iloc[normal[:n], adata.obs.columns.get_loc("batch")] = "A"
        found = stats.differential(adata, **CONTRAST, covariates=["batch"])
        assert found["tested"].eq(tested).all()
        assert found["reason"].str.contains("can be compared within the covariates").eq(not tested).all()


def test_markers_compare_a_type_with_the_others_of_the_same_donor():
    adata = toy_cells.donor_cells(7, 3, 1, arms="paired", seed=4)
    tumour = adata[adata.obs["condition"] == "tumour"]
    found = stats.markers(tumour).set_index("cell_type")
    frame = tumour.obs.assign(y=tumour.X.ravel().astype(float)).pivot_table(
        index="donor", columns="cell_type", values="y", observed=True
    )
    for name in frame:
        difference = frame[name] - frame.drop(columns=name).mean(axis=1)
        assert found.loc[name, "p"] == pytest.approx(ttest_1samp(difference, 0).pvalue, rel=1e-5)
        assert found.loc[name, "effect"] == pytest.approx(difference.mean(), abs=1e-5)


def test_planted_effects_and_markers_are_found_and_nothing_where_nothing_is():
    adata = toy_cells.donor_cells(16, 3, 90, effect=1.2, n_changed=12, marker_effect=1.5, seed=5)
    truth = adata.uns["truth"]
    found = stats.differential(adata, **BY_TYPE)
    planted = aligned(truth["effects"], found)
    assert found.loc[planted != 0, "finding"].mean() > 0.9
    assert (~found["finding"] | (planted != 0)).mean() > 0.98
    covered = (found["lower"] <= planted) & (planted <= found["upper"])
    assert 0.9 < covered.mean() < 0.99
    marks = stats.markers(adata[adata.obs["condition"] == "normal"])
    own = aligned(truth["markers"], marks) > 0
    assert (marks["finding"] & (marks["effect"] > 0))[own].mean() > 0.9
    nothing = toy_cells.donor_cells(16, 3, 90, seed=6)
    assert stats.differential(nothing, **BY_TYPE)["finding"].sum() <= 1
    assert stats.markers(nothing)["finding"].sum() <= 1


def test_cells_count_for_their_donor_only():
    cells = toy_cells.donor_cells(8, 2, 20, cells=30, arms="unpaired", seed=7)
    means = cells.to_df().astype(float).groupby(cells.obs["sample"].to_numpy()).mean()
    obs = cells.obs.drop_duplicates("sample").set_index("sample").loc[means.index]
    pooled = ad.AnnData(means.to_numpy(), obs=obs, var=cells.var)
    columns = ["effect", "p", "n_case", "n_reference"]
    found, expected = (stats.differential(data, **BY_TYPE)[columns] for data in (cells, pooled))
    pd.testing.assert_frame_equal(found, expected, rtol=1e-5)
    assert (found["n_case"] == 4).all()


def test_predictions_count_from_grade_b_on_also_where_joining_lost_what_they_are():
    adata = toy_cells.donor_cells(12, 2, 30, effect=1.5, n_changed=16, seed=8)
    assert stats.differential(adata, **BY_TYPE)["finding"].any()
    adata.var["grade"] = "C"
    assert stats.differential(adata, **BY_TYPE)["greyed"].all()
    adata.layers["lower"], adata.layers["upper"] = adata.X - 1, adata.X + 1
    joined = ad.concat([adata[:10], adata[10:]])
    assert not joined.uns
    assert "grade" not in joined.var
    for test in (lambda: stats.differential(joined, **BY_TYPE), lambda: stats.markers(joined)):
        with pytest.raises(ParameterError, match="predictions have no grades"):
            test()


def test_markers_refuse_cell_types_of_different_conditions():
    adata = toy_cells.donor_cells(8, 3, 20, marker_effect=2, seed=1)
    assert stats.markers(adata)["finding"].any()
    kinds = adata.obs["cell_type"].astype(str)
    adata = adata[((kinds == "type A") == (adata.obs["condition"] == "tumour")).to_numpy()].copy()
    with pytest.raises(DataError, match="In 8 donors .* cannot be told apart"):
        stats.markers(adata)
    del adata.obs["condition"]
    assert len(stats.markers(adata)) == 60


def test_correction_is_over_mirnas_and_cell_types_and_greyed_mirnas_have_no_part_in_it():
    adata = toy_cells.donor_cells(12, 2, 30, effect=1.5, n_changed=16, seed=8)
    adata.var["grade"] = ["A", "B", "D"] * 10
    found = stats.differential(adata, **BY_TYPE, min_grade="B")
    counted = ~found["greyed"]
    assert counted.mean() == pytest.approx(2 / 3)
    expected = multipletests(found.loc[counted, "p"], method="fdr_bh")[1]
    np.testing.assert_allclose(found.loc[counted, "q"], expected)
    assert found.loc[~counted, "p"].notna().all()
    assert found.loc[~counted, "q"].isna().all()
    assert not found.loc[~counted, "finding"].any()
    chosen = stats.findings(found)
    assert len(chosen) == found["finding"].sum() > 5
    assert chosen["q"].is_monotonic_increasing
    assert set(chosen["grade"]) <= {"A", "B"}


def test_two_donors_an_arm_give_ranks_and_a_reason_and_no_p():
    adata = toy_cells.donor_cells(4, 1, 10, arms="unpaired", effect=3, n_changed=2, seed=9)
    found = stats.differential(adata, **CONTRAST)
    assert found[["p", "q", "lower", "upper", "statistic"]].isna().all(axis=None)
    assert (found["reason"] == "fewer than 3 donors an arm: no test").all()
    assert not found["tested"].any()
    expected = found["effect"].abs().rank(ascending=False)
    np.testing.assert_array_equal(found["rank"], expected)
    single = stats.markers(toy_cells.donor_cells(2, 3, 5, seed=9))
    assert single["p"].isna().all()
    assert single["rank"].notna().all()
    assert stats.differential(toy_cells.donor_cells(6, 1, 10, arms="unpaired"), **CONTRAST)["p"].notna().all()


def test_gaps_constants_and_scarce_mirnas_have_reasons():
    adata = toy_cells.donor_cells(10, 1, 5, arms="unpaired", seed=10)
    tumour = (adata.obs["condition"] == "tumour").to_numpy()
    adata.X[:, 0] = 0
    adata.X[:, 1] = np.where(tumour, 4, 3)
    adata.X[np.flatnonzero(tumour)[:3], 2] = np.nan
    adata.X[tumour, 3] = np.nan
    found = stats.differential(adata, **CONTRAST).set_index("mirna")
    assert found["reason"].tolist() == [
        *["does not vary within conditions: no test"] * 2,
        *["fewer than 3 donors an arm: no test"] * 2,
        "",
    ]
    assert found["n_case"].tolist() == [5, 5, 2, 0, 5]
    assert found["effect"].iloc[1] == pytest.approx(1)
    assert np.isnan(found["effect"].iloc[3])
    assert found["tested"].tolist() == [False] * 4 + [True]


def test_confounded_conditions_are_refused_where_they_are():
    adata = toy_cells.donor_cells(12, 2, 6, arms="unpaired", seed=11)
    adata.obs["batch"] = np.where(adata.obs["condition"] == "tumour", "one", "two")
    with pytest.raises(DataError, match="condition is confounded with batch"):
        stats.differential(adata, **BY_TYPE, covariates=["batch"])
    other = (adata.obs["cell_type"] == "type B").to_numpy()
    adata.obs.loc[other, "batch"] = np.resize(["one", "two"], other.sum())
    found = stats.differential(adata, **BY_TYPE, covariates=["batch"])
    reasons = found.groupby("cell_type")["reason"].unique().map(list)
    assert reasons["type A"] == ["condition is confounded with batch"]
    assert reasons["type B"] == [""]
    assert found.loc[found["cell_type"] == "type A", ["p", "effect"]].isna().all(axis=None)


def test_a_donor_effect_hidden_by_pairing_is_found_by_it():
    adata = toy_cells.donor_cells(10, 1, 60, effect=0.8, n_changed=60, donor_sd=2.5, sample_sd=0.3, seed=12)
    found = stats.differential(adata, **CONTRAST)
    apart = adata.copy()
    apart.obs["donor"] = apart.obs["donor"] + apart.obs["condition"].astype(str)
    assert found["finding"].mean() > 0.9
    assert stats.differential(apart, **CONTRAST)["finding"].mean() < 0.2
    with pytest.raises(ParameterError, match="not independent"):
        stats.differential(adata, **CONTRAST, paired="unpaired")


@pytest.mark.parametrize("arms", ["paired", "unpaired", "mixed"])
def test_errors_of_prediction_widen_the_limits(arms):
    adata = toy_cells.donor_cells(16, 2, 30, arms=arms, effect=1, n_changed=10, seed=13)
    sd = np.linspace(0.1, 2, 30)
    half = norm.ppf(0.95) * np.tile(sd, (adata.n_obs, 1))
    adata.layers["lower"], adata.layers["upper"] = adata.X - half, adata.X + half
    adata.uns["sicmir"]["interval_level"] = 0.9
    contrast = BY_TYPE | {"paired": arms}
    found = stats.differential(adata, **contrast, min_grade="")
    plain = adata.copy()
    del plain.layers["lower"], plain.layers["upper"]
    pd.testing.assert_frame_equal(
        found.drop(columns=["prediction_sd", "lower_total", "upper_total", "exceeds_error"]),
        stats.differential(plain, **contrast),
    )
    np.testing.assert_allclose(found["prediction_sd"], np.tile(sd, 2), rtol=1e-4)
    half = (found["upper"] - found["lower"]) / 2
    total = (found["upper_total"] - found["lower_total"]) / 2
    added = (total**2 - half**2) / (half / ((found["effect"] / found["statistic"]).abs())) ** 2
    # n pairs: sd² (1/n + 1/n); two groups of n: the same; between them for a mixed design.
    n = found[["n_case", "n_reference"]].to_numpy()
    expected = np.tile(sd, 2) ** 2 * (1 / n).sum(axis=1)
    if arms == "mixed":
        rho = found["correlation"].iloc[0]
        donors = pd.factorize(adata[adata.obs["cell_type"] == "type A"].obs["donor"])[0]
        case = (adata[adata.obs["cell_type"] == "type A"].obs["condition"] == "tumour").to_numpy()
        design = np.column_stack([case, np.ones(len(case))]).astype(float)
        values = np.random.default_rng(0).normal(size=(len(case), 1))
        expected = np.tile(sd, 2) ** 2 * fit_effect(values, design, donors, rho).error_scale[0] ** 2
        expected, added = expected[:30], added[:30]
    np.testing.assert_allclose(added, expected, rtol=1e-3)
    assert (found["exceeds_error"] == ((found["lower_total"] > 0) | (found["upper_total"] < 0))).all()
    assert found["exceeds_error"].sum() < found["finding"].sum()
    del adata.uns["sicmir"]["interval_level"]
    with pytest.raises(DataError, match="interval_level"):
        stats.differential(adata, **BY_TYPE, min_grade="")


def test_limits_with_errors_cover_the_effect_on_the_mirna_itself():
    rng = np.random.default_rng(14)
    covered = []
    for seed in range(4):
        measured = toy_cells.donor_cells(12, 1, 200, arms="unpaired", effect=1, n_changed=100, seed=seed)
        # A prediction is the measured value less an error; the error's SD is what the interval says.
        predicted = measured.copy()
        predicted.X = measured.X - rng.normal(scale=1.0, size=measured.shape).astype(np.float32)
        half = np.full(measured.shape, norm.ppf(0.95))
        predicted.layers["lower"], predicted.layers["upper"] = predicted.X - half, predicted.X + half
        predicted.uns["sicmir"]["interval_level"] = 0.9
        found = stats.differential(predicted, **CONTRAST, min_grade="").set_index("mirna")
        true = measured.uns["truth"]["effects"]["type A"].loc[found.index]
        covered.append(((found["lower_total"] <= true) & (true <= found["upper_total"])).mean())
    assert np.mean(covered) > 0.95


def test_families_are_told_together():
    names = ["hsa-miR-17-5p", "hsa-miR-18a-5p", "hsa-miR-20a-5p", "hsa-miR-122-5p"]
    adata = toy_cells.donor_cells(12, 1, 8, mirna_names=names, seed=15)
    tumour = (adata.obs["condition"] == "tumour").to_numpy()
    adata.X[np.ix_(tumour, [0, 1, 2])] += 3
    found = stats.differential(adata, **CONTRAST, min_grade="")
    told = stats.families(found).set_index("cluster")
    cluster = told[told["n_members"] == 3]
    assert len(cluster) == 1
    row = cluster.iloc[0]
    assert set(row["members"].split(";")) == set(names[:3])
    assert (row["n_findings"], row["direction"]) == (3, "up")
    assert row["p"] == found["p"].iloc[:3].min()
    assert told["q"].is_monotonic_increasing
    seeds = stats.families(found, by="family").set_index("family")
    assert len(seeds) == 7
    with pytest.raises(ParameterError, match="by should be"):
        stats.families(found, by="chromosome")


@pytest.mark.parametrize(
    ("change", "options", "error", "message"),
    [
        ({}, {"condition_key": "disease"}, DataError, "no column 'disease'"),
        ({}, {"donor_key": "patient"}, DataError, "no column 'patient'"),
        (
            {},
            {"case": "metastasis"},
            DataError,
            "No sample has condition 'metastasis'; there are normal, tumour",
        ),
        ({}, {"case": "normal"}, ParameterError, "two conditions"),
        ({}, {"covariates": ["donor"]}, ParameterError, "different columns"),
        ({}, {"min_donors": 2}, ParameterError, "at least 3"),
        ({}, {"fdr": 5}, ParameterError, "fdr"),
        ({}, {"paired": "both"}, ParameterError, "paired should be one of"),
        ({}, {"min_grade": "E"}, ParameterError, "min_grade should be one of"),
        ({"donor": None}, {}, DataError, "samples have no donor"),
        ({"age": np.inf}, {"covariates": ["age"]}, DataError, "infinite"),
    ],
)
def test_bad_options_and_labels_are_refused(change, options, error, message):
    adata = toy_cells.donor_cells(6, 1, 4, arms="unpaired")
    for column, value in change.items():
        adata.obs.loc[adata.obs_names[0], column] = value
    with pytest.raises(error, match=message):
        stats.differential(adata, **CONTRAST | options)


def test_bad_values_are_refused():
    adata = toy_cells.donor_cells(6, 1, 4, arms="unpaired")
    for value, message in ((np.inf, "finite"), (5e4, "Take the logarithm"), (np.nan, "All values are NaN")):
        bad = adata.copy()
        bad.X[:] = value
        with pytest.raises(DataError, match=message):
            stats.differential(bad, **CONTRAST)
    with pytest.warns(UserWarning, match="not unique"):
        twice = ad.AnnData(adata.X, obs=adata.obs, var=pd.DataFrame(index=["a", "a", "b", "c"]))
    with pytest.raises(DataError, match="more than once"):
        stats.differential(twice, **CONTRAST)
    levels = ad.AnnData(adata.X, obs=adata.obs)
    levels.var_names = ["hsa-miR-21-5p", "hsa-mir-21", "x", "y"]
    with pytest.raises(PanelError, match="mixed"):
        stats.differential(levels, **CONTRAST)
    with pytest.raises(DataError, match="shape"):
        stats.differential(adata[:, []], **CONTRAST)


def test_markers_refuse_what_cannot_be_compared():
    with pytest.raises(DataError, match="No donor has two cell types; found 1"):
        stats.markers(toy_cells.donor_cells(6, 1, 4))
    with pytest.raises(ParameterError, match="different columns"):
        stats.markers(toy_cells.donor_cells(6, 2, 4), donor_key="cell_type")
    with pytest.raises(DataError, match="no column"):
        stats.markers(toy_cells.donor_cells(6, 2, 4), cell_type_key="cluster")


def test_one_donor_has_effects_and_no_p():
    adata = toy_cells.donor_cells(4, 2, 6)
    alone = adata[adata.obs["donor"] == "TOY-0001"]
    found = stats.differential(alone, **BY_TYPE)
    assert found["p"].isna().all()
    assert found["effect"].notna().all()
    assert (found["n_case"] == 1).all()
