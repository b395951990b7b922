"""The shipped model: judged by models that never saw a donor, and told what they came to."""

import json
from dataclasses import replace
from importlib.metadata import version

import numpy as np
import pandas as pd
import pytest

import sicmir
from sicmir import metrics, panel, trust
from sicmir.benchmark import shipping
from sicmir.benchmark.study import NEW_DONORS, TEST, UNSEEN, study_splits
from sicmir.errors import BundleError, DataError
from sicmir.learning import conformal
from sicmir.learning.kernel import MaskedKernelRidge
from sicmir.learning.splits import Split
from sicmir.model import load_model

STEM_LOOPS = ["hsa-mir-21", "hsa-mir-182", "hsa-let-7a-1", "hsa-mir-375"]


@pytest.fixture(scope="module")
def toy():
    """Four cohorts of 50 donors, 120 landmarks, 40 stem-loops of which four bear real names."""
    mrna, mirna = sicmir.toy.paired_bulk(
        50, 4, 977, 40, normal_fraction=0.2, mirna_names=STEM_LOOPS, level="stem-loop", seed=9
    )
    mirna.X[np.random.default_rng(0).random(mirna.shape) < 0.02] = np.nan
    return mrna[:, :120].copy(), mirna


@pytest.fixture(scope="module")
def divisions(toy):
    return study_splits(toy[1].obs, {}, n_splits=4, seed=1)


@pytest.fixture(scope="module")
def assessment(toy, divisions):
    return shipping.assess(*toy, divisions)


@pytest.fixture(scope="module")
def bundle(toy, assessment):
    mrna, mirna = (adata.copy() for adata in toy)
    for adata, name in ((mrna, "mrna"), (mirna, "mirna")):
        names = [f"set/{name}.parquet", "set/samples.parquet"]
        adata.uns["sicmir"]["sources"] = pd.DataFrame(
            {"name": names, "checksum": [f"sha256:{name}", "sha256:s"]}
        )
    return shipping.build(mrna, mirna, assessment, {"seed": 1, "options": "hidden"})


def directly(toy, split):
    mrna, mirna = toy
    model = MaskedKernelRidge().fit(mrna.X[split.train], mirna.X[split.train], mirna.obs.iloc[split.train])
    return model.compress(shipping.MEMBERS).predict_with_spread(mrna.X[split.test])


def test_well_measured_equals_a_loop_written_out():
    mirna = sicmir.toy.paired_bulk(25, 4, 977, 60, normal_fraction=0, seed=3)[1]
    rng = np.random.default_rng(2)
    mirna.obs["cohort"] = np.repeat(["A", "B", "C", "D"], [20, 19, 30, 31])  # B is too small to decide
    mirna.X = np.where(rng.random(mirna.shape) < 0.2, mirna.X, rng.choice([0, 0.9, 1.1], mirna.shape))
    mirna.X[:, :8] = 0
    rows = {name: np.flatnonzero(mirna.obs["cohort"] == name) for name in "ABCD"}
    mirna.X[rows["A"][:10], 0] = 5  # half of the samples of one cohort
    mirna.X[rows["A"][:9], 1] = 5
    mirna.X[rows["B"], 2] = 5
    mirna.X[rows["C"], 3] = np.log2(2)  # 1 RPM is not above 1 RPM
    mirna.X[rows["D"], 4] = np.nan
    mirna.X[rows["D"][:5], 4] = 9  # measured in too few samples to tell
    mirna.X[rows["D"][:11], 5] = np.nan
    mirna.X[rows["D"][11:21], 5] = 9  # half of the 20 that measured it
    mirna.X[:, 6] = np.nan
    expected = []
    for column, name in enumerate(mirna.var_names):
        for cohort in "ACD":
            found = [value for value in mirna.X[rows[cohort], column] if not np.isnan(value)]
            above = [value for value in found if 2**value - 1 > 1 + 1e-6]
            if len(found) >= 20 and len(above) >= len(found) / 2:
                expected.append(name)
                break
    assert shipping.well_measured(mirna).tolist() == expected
    assert [name in expected for name in mirna.var_names[:7]] == [True, *[False] * 4, True, False]
    assert 10 < len(expected) < 55


def test_without_a_cohort_of_20_nothing_can_be_said():
    mirna = sicmir.toy.paired_bulk(19, 2, 977, 10, normal_fraction=0, seed=3)[1]
    with pytest.raises(DataError, match="No cohort has 20 samples; the largest has 19"):
        shipping.well_measured(mirna)


def test_out_of_sample_is_a_fit_on_the_others(toy, divisions):
    for division in (NEW_DONORS, TEST):
        found = shipping.out_of_sample(*toy, divisions[division])
        tested = np.sort(np.concatenate([split.test for split in divisions[division]]))
        names = toy[1].obs_names[tested]
        for frame in (found.observed, found.predicted, found.spread, found.obs):
            assert frame.index.equals(names)
        pd.testing.assert_frame_equal(found.observed, toy[1].to_df().iloc[tested])
        for split in divisions[division]:
            predicted, spread = directly(toy, split)
            rows = toy[1].obs_names[split.test]
            np.testing.assert_array_equal(found.predicted.loc[rows], predicted)
            np.testing.assert_array_equal(found.spread.loc[rows], spread)
        expected = metrics.per_mirna(found.observed, found.predicted, found.obs["cohort"])
        table = found.per_mirna()
        pd.testing.assert_frame_equal(table.drop(columns="pearson_within_condition"), expected)
        tumours = (found.obs["condition"] == "tumour").to_numpy()
        groups = found.obs.loc[tumours, "cohort"]
        only = metrics.per_mirna(found.observed[tumours], found.predicted[tumours], groups)["pearson_within"]
        # No cohort of the toy has ten normal samples, so that its tumours alone count.
        pd.testing.assert_series_equal(table["pearson_within_condition"], only, check_names=False)


def test_leaks_and_overlapping_tests_are_refused(toy, divisions):
    (test,) = divisions[TEST]
    leaky = Split("leaky", np.append(test.train, test.test[:1]), test.test)
    with pytest.raises(DataError, match="leaks"):
        shipping.out_of_sample(*toy, [leaky])
    with pytest.raises(DataError, match="should be unique"):
        shipping.assess(*toy, divisions | {NEW_DONORS: divisions[NEW_DONORS][:1] * 2})


def test_the_trust_table_is_that_of_new_donors_and_unseen_cancers(toy, assessment):
    new, unseen = (assessment.by_division[name].per_mirna() for name in (NEW_DONORS, UNSEEN))
    table = assessment.trust
    assert table.index.tolist() == toy[1].var_names.tolist()
    for column, source in (
        ("pooled_r", new["pearson"]),
        ("within_r", new["pearson_within"]),
        ("within_condition_r", new["pearson_within_condition"]),
        ("unseen_within_r", unseen["pearson_within"]),
    ):
        np.testing.assert_array_equal(table[column], source)
    development = assessment.by_division[NEW_DONORS].observed
    np.testing.assert_allclose(table["mean_log2_rpm"], development.astype(float).mean(), rtol=1e-6)
    np.testing.assert_array_equal(table["n_samples"], development.notna().sum())
    pd.testing.assert_series_equal(table["grade"], trust.grade(table), check_names=False)
    kind = toy[1].uns["truth"]["mirnas"]["kind"]
    planted = kind.isin(["host", "programme"])
    assert table["within_r"][planted].median() > 0.4 > 0.15 > table["within_r"][~planted].abs().median()
    assert set(table["grade"][kind == "none"]) == {"D"}


def test_baselines_and_cells_enter_the_trust_table(toy, divisions, assessment):
    names = toy[1].var_names
    flat = pd.DataFrame({"pearson": 0.1, "pearson_within": np.nan}, index=names)
    host = pd.DataFrame({"gain": 0.2}, index=names[:5])
    cells = pd.DataFrame({"single_cell_r": 0.5, "n_cell_types": 7}, index=names[:3])
    options = {"cohort_mean": flat, "host_gene": host, "single_cell": cells}
    found = shipping.assess(*toy, divisions, **options).trust
    np.testing.assert_allclose(found["gain_over_cohort_mean"], assessment.trust["pooled_r"] - 0.1)
    assert found["gain_over_host_gene"][:5].tolist() == [0.2] * 5
    assert found["gain_over_host_gene"][5:].isna().all()
    assert found["n_cell_types"].tolist() == [7] * 3 + [0] * 37
    pd.testing.assert_series_equal(found["grade"], assessment.trust["grade"])


def test_intervals_equal_ranks_written_out(assessment):
    """Half width: the smallest score such that the donors' shares reach 0.9 (n + 1)."""
    new = assessment.by_division[NEW_DONORS]
    spread = new.spread.to_numpy()
    for name in new.observed.columns[:6]:
        score = (new.observed[name] - new.predicted[name]).abs().to_numpy(float) / spread
        donor = new.obs["donor"].to_numpy()[~np.isnan(score)]
        score = score[~np.isnan(score)]
        share = pd.Series(1.0, index=donor) / pd.Series(donor).value_counts()[donor].to_numpy()
        order = np.argsort(score)
        needed = 0.9 * (len(set(donor)) + 1)
        place = np.flatnonzero(np.cumsum(share.to_numpy()[order]) >= needed - 1e-6)[0]
        assert assessment.trust["half_width"][name] == pytest.approx(score[order][place])
    for division, found in assessment.by_division.items():
        reach = np.outer(found.spread, assessment.trust["half_width"])
        if division == UNSEEN:  # what a cohort's own errors say of its width is not known of an unseen one
            for cohort in found.obs["cohort"].unique():
                others = new.rows(new.obs["cohort"] != cohort)
                widths = conformal.half_widths(
                    others.observed, others.predicted, others.obs["donor"], level=0.9, spread=others.spread
                )
                rows = (found.obs["cohort"] == cohort).to_numpy()
                assert not np.allclose(widths, assessment.trust["half_width"])
                reach[rows] = np.outer(found.spread[rows], widths)
        low, high = (np.maximum(found.predicted.astype(float) + side * reach, 0) for side in (-1, 1))
        measured = found.observed.notna()
        inside = ((found.observed >= low) & (found.observed <= high)).where(measured)
        summary = assessment.coverage.loc[division]
        assert summary.loc["all samples", "coverage"] == pytest.approx(np.nanmean(inside.to_numpy(float)))
        assert summary.index.tolist() == ["all samples", "TOYA", "TOYB", "TOYC", "TOYD"]
        if division == TEST:
            np.testing.assert_allclose(assessment.trust["coverage"], inside.astype(float).mean())


def test_intervals_hold_nine_of_ten_values_of_test_donors(assessment):
    coverage = assessment.coverage["coverage"]
    assert coverage[TEST, "all samples"] == pytest.approx(0.9, abs=0.04)
    assert coverage[NEW_DONORS, "all samples"] == pytest.approx(0.9, abs=0.02)
    cohort_only = assessment.by_division[UNSEEN].per_mirna()["rmse"]
    assert cohort_only.median() > assessment.by_division[TEST].per_mirna()["rmse"].median()


def test_what_was_measured_in_test_donors_serves_for_checks_alone(toy, divisions, assessment):
    mrna, mirna = (adata.copy() for adata in toy)
    (test,) = divisions[TEST]
    rng = np.random.default_rng(5)
    mirna.X[test.test] = rng.uniform(0, 15, (len(test.test), mirna.n_vars))
    mrna.X[test.test] = mrna.X[rng.permutation(test.test)]
    found = shipping.assess(mrna, mirna, divisions)
    pd.testing.assert_frame_equal(
        found.trust.drop(columns="coverage"), assessment.trust.drop(columns="coverage"), check_exact=True
    )
    for division in (NEW_DONORS, UNSEEN):
        for side in ("observed", "predicted"):
            frames = (getattr(one.by_division[division], side) for one in (found, assessment))
            pd.testing.assert_frame_equal(*frames, check_exact=True)
        pd.testing.assert_frame_equal(found.coverage.loc[division], assessment.coverage.loc[division])
    assert found.coverage.loc[(TEST, "all samples"), "coverage"] < 0.6
    assert (found.trust["coverage"] != assessment.trust["coverage"]).all()
    columns = ["n_mirnas", "development_median"]
    pd.testing.assert_frame_equal(found.grades[columns], assessment.grades[columns])
    assert found.grades["test_median"].max() < 0.3 < assessment.grades["test_median"].max()


def test_grades_are_checked_on_test_donors(assessment):
    tested = assessment.by_division[TEST].per_mirna()["pearson_within"]
    for grade, rows in assessment.trust.groupby("grade", observed=True):
        assert assessment.grades.loc[grade, "n_mirnas"] == len(rows)
        assert assessment.grades.loc[grade, "test_median"] == pytest.approx(tested[rows.index].median())


def test_mature_names_are_those_of_the_major_arm():
    arms = panel.single_locus()
    current = panel.mirnas()
    names = current["name"][current["level"] == "stem-loop"].tolist()
    found = shipping.with_mature_names(pd.DataFrame({"within_r": 0.5}, index=pd.Index(names)), "stem-loop")
    assert found["within_r"].tolist() == [0.5] * len(names)
    for name in names:
        own = arms[arms["stem_loop"] == name]
        major = own[own["arm_share"] == own["arm_share"].max()]
        row = found.loc[name]
        if len(own) and major["r_stemloop"].iloc[0] > 0.9:
            assert row["mature"] in set(major["mature"])
            assert row["mature_r"] == own.set_index("mature")["r_stemloop"][row["mature"]]
        else:
            assert row["mature"] == ""
            assert np.isnan(row["mature_r"])
    named = found["mature"][found["mature"] != ""]
    assert 450 < len(named) < 550
    assert named.is_unique
    assert found["mature"].loc[["hsa-mir-21", "hsa-let-7a-1"]].tolist() == ["hsa-miR-21-5p", ""]


def test_a_minor_arm_does_not_stand_for_its_stem_loop(monkeypatch):
    arms = pd.DataFrame(
        {
            "mature": ["hsa-miR-21-5p", "hsa-miR-21-3p", "hsa-miR-375-3p"],
            "stem_loop": ["hsa-mir-21", "hsa-mir-21", "hsa-mir-375"],
            "arm_share": [0.95, 0.05, 1.0],
            "r_stemloop": [0.85, 0.95, 0.9],
        }
    )
    monkeypatch.setattr(panel, "single_locus", lambda: arms)
    table = pd.DataFrame(index=["hsa-mir-21", "hsa-mir-375"])
    assert shipping.with_mature_names(table, "stem-loop")["mature"].tolist() == ["", ""]
    arms.loc[[0, 2], "r_stemloop"] = 0.91
    found = shipping.with_mature_names(table, "stem-loop")
    assert found["mature"].tolist() == ["hsa-miR-21-5p", "hsa-miR-375-3p"]


def test_former_and_unknown_names_and_the_mature_level():
    current = panel.mirnas().query("level == 'stem-loop'").set_index("name")["previous"]
    known = shipping.with_mature_names(pd.DataFrame(index=current.index), "stem-loop")["mature"]
    checked = 0
    for name, former in current[current != ""].items():
        for old in former.split(";"):
            row = panel.current_mirna_names([old], "stem-loop").iloc[0]
            if row["status"] == "renamed" and known[name]:
                found = shipping.with_mature_names(pd.DataFrame(index=[old]), "stem-loop")
                assert found["mature"].tolist() == [known[name]]
                checked += 1
        if checked > 5:
            break
    assert checked > 5
    odd = shipping.with_mature_names(pd.DataFrame(index=["toy-mir-1", "hsa-miR-21-5p"]), "stem-loop")
    assert odd["mature"].tolist() == ["", ""]
    table = pd.DataFrame({"grade": ["A"]}, index=["hsa-miR-21-5p"])
    assert shipping.with_mature_names(table, "mature") is table


def test_the_bundle_is_a_fit_on_everything(toy, bundle):
    mrna, mirna = toy
    model = MaskedKernelRidge().fit(mrna.X, mirna.X, mirna.obs).compress(shipping.MEMBERS)
    np.testing.assert_array_equal(bundle.predict_array(mrna.X[:9]), model.predict(mrna.X[:9]))
    assert len(model.centres_) == len(mrna) // 2
    assert (bundle.genes, bundle.mirnas) == (list(mrna.var_names), list(mirna.var_names))
    assert (bundle.level, bundle.units) == ("stem-loop", "log2(RPM+1)")
    assert bundle.trust["mature"].tolist()[:4] == ["hsa-miR-21-5p", "hsa-miR-182-5p", "", "hsa-miR-375-3p"]
    np.testing.assert_allclose(bundle.rescale.mean_, mrna.X.mean(axis=0), rtol=1e-5)
    shuffled = np.random.default_rng(0).permuted(mrna.X, axis=1)
    assert bundle.domain.in_domain(mrna.X).mean() > 0.8
    assert bundle.domain.in_domain(shuffled).mean() < 0.2


def test_the_bundle_comes_back_as_it_was(toy, bundle, tmp_path):
    X = toy[0].X[:20].copy()
    X[:, :15] = np.nan
    loaded = load_model(bundle.save(tmp_path / "bundle"))
    for one, other in zip(loaded.predict_with_spread(X), bundle.predict_with_spread(X), strict=True):
        np.testing.assert_allclose(one, other, atol=2e-3)
    numbers = bundle.trust.select_dtypes("number").columns
    pd.testing.assert_frame_equal(loaded.trust[numbers], bundle.trust[numbers])
    assert loaded.trust["grade"].tolist() == bundle.trust["grade"].tolist()
    assert loaded.trust["mature"].fillna("").tolist() == bundle.trust["mature"].tolist()
    assert loaded.card == json.loads(json.dumps(bundle.card))
    np.testing.assert_allclose(loaded.domain.score(X), bundle.domain.score(X), atol=1e-4)
    ranked = [one.rescale.to_training(X, "rank") for one in (loaded, bundle)]
    np.testing.assert_array_equal(*ranked)


def test_the_card_says_what_the_model_was_made_of(toy, bundle):
    obs, card = toy[1].obs, bundle.card
    assert card["seed"] == 1
    assert card["training_data"] == {
        "n_samples": len(obs),
        "n_donors": 200,
        "cohorts": dict.fromkeys(("TOYA", "TOYB", "TOYC", "TOYD"), 60),
        "files": {
            "set/mrna.parquet": "sha256:mrna",
            "set/samples.parquet": "sha256:s",
            "set/mirna.parquet": "sha256:mirna",
        },
    }
    assert card["options"] == MaskedKernelRidge().facts() | {"members": 2}  # not what the caller said
    assert card["interval_level"] == 0.9
    assert "20" in card["mirna_rule"]
    assert card["versions"]["numpy"] == version("numpy")


def test_an_assessment_of_other_mirnas_is_refused(toy, assessment):
    mrna, mirna = toy
    with pytest.raises(BundleError, match="one row for each of the 39 miRNAs"):
        shipping.build(mrna, mirna[:, 1:].copy(), assessment, {})
    backwards = replace(assessment, trust=assessment.trust[::-1])
    with pytest.raises(BundleError, match="in their order"):
        shipping.build(mrna, mirna, backwards, {})


def test_a_mature_collection_gives_a_mature_bundle(toy_pair):
    mrna, mirna = toy_pair
    names = mirna.var_names
    table = pd.DataFrame({"grade": "D"}, index=names.rename("mirna"))
    nothing = shipping.Assessment(table, pd.DataFrame(), pd.DataFrame(), {})
    bundle = shipping.build(mrna[:, :110].copy(), mirna, nothing, {})
    assert bundle.level == "mature"
    assert bundle.trust.columns.tolist() == ["grade"]
    assert bundle.card["training_data"]["files"] == {}
