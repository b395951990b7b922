import numpy as np
import pandas as pd
import pytest

import sicmir
from sicmir import metrics, trust
from sicmir.benchmark import interval_coverage
from sicmir.benchmark.baselines import CONTROLS
from sicmir.errors import DataError, ParameterError
from sicmir.learning import conformal, splits
from sicmir.learning.methods import cross_predict

NAMES = [f"m{i}" for i in range(12)]


@pytest.fixture
def tables():
    """Every table that trust_table takes, with its miRNAs in another order each."""
    rng = np.random.default_rng(0)

    def figures():
        names = ("pearson", "pearson_within", "pearson_within_condition")
        columns = {name: rng.uniform(-0.2, 0.9, 12) for name in names}
        return pd.DataFrame(columns, index=NAMES)

    parts = {
        "expression": pd.DataFrame(
            {
                "mean_log2_rpm": rng.uniform(1, 12, 12),
                "detection_rate": rng.uniform(0.5, 1, 12),
                "n_samples": rng.integers(50, 99, 12),
                "n_donors": rng.integers(40, 50, 12),
            },
            index=NAMES,
        ),
        "seen": figures(),
        "unseen": figures(),
        "cohort_mean": figures(),
        "host_gene": pd.DataFrame({"gain": rng.uniform(-0.5, 0.5, 5)}, index=NAMES[:5]),
        "single_cell": pd.DataFrame({"single_cell_r": [0.4, np.nan], "n_cell_types": [9, 2]}, ["m3", "m4"]),
        "half_widths": pd.Series(rng.uniform(0.5, 2, 12), NAMES),
        "coverage": pd.DataFrame({"coverage": rng.uniform(0.8, 1, 12), "n": 50}, index=NAMES),
    }
    parts["seen"].loc["m7", "pearson_within"] = np.nan
    return {
        name: part if name == "expression" else part.sample(frac=1, random_state=i)
        for i, (name, part) in enumerate(parts.items())
    }


def test_table_joins_by_name(tables):
    found = trust.trust_table(**tables)
    assert list(found.index) == NAMES
    assert list(found.columns) == [*trust.COLUMNS, "grade"]
    for name, row in found.iterrows():
        seen, unseen, mean = (tables[key].loc[name] for key in ("seen", "unseen", "cohort_mean"))
        expected = {
            **tables["expression"].loc[name],
            "pooled_r": seen["pearson"],
            "within_r": seen["pearson_within"],
            "within_condition_r": seen["pearson_within_condition"],
            "unseen_pooled_r": unseen["pearson"],
            "unseen_within_r": unseen["pearson_within"],
            "single_cell_r": 0.4 if name == "m3" else np.nan,
            "n_cell_types": {"m3": 9, "m4": 2}.get(name, 0),
            "gain_over_cohort_mean": seen["pearson"] - mean["pearson"],
            "gain_over_host_gene": np.nan,
            "half_width": tables["half_widths"][name],
            "coverage": tables["coverage"].loc[name, "coverage"],
        }
        if name in tables["host_gene"].index:
            expected["gain_over_host_gene"] = tables["host_gene"].loc[name, "gain"]
        assert row[list(expected)].astype(float).to_dict() == pytest.approx(expected, nan_ok=True)
    assert found.loc["m7", "grade"] == "D"
    pd.testing.assert_series_equal(found["grade"], trust.grade(found))


def test_what_is_not_given_is_missing(tables):
    found = trust.trust_table(*(tables[key] for key in ("expression", "seen", "unseen")))
    absent = ["single_cell_r", "gain_over_cohort_mean", "gain_over_host_gene", "half_width", "coverage"]
    assert found[absent].isna().all(axis=None)
    assert (found["n_cell_types"] == 0).all()
    full = trust.trust_table(**tables)
    pd.testing.assert_series_equal(found["grade"], full["grade"])


@pytest.mark.parametrize(
    ("within", "unseen", "expected"),
    [
        (0.6, 0.45, "A"),
        (1.0, 1.0, "A"),
        (0.599, 0.9, "B"),
        (0.9, 0.449, "B"),
        (0.45, 0.3, "B"),
        (0.449, 0.3, "C"),
        (0.9, 0.299, "C"),
        (0.3, 0.15, "C"),
        (0.299, 0.9, "D"),
        (0.9, 0.149, "D"),
        (-0.5, -0.5, "D"),
        (np.nan, 0.9, "D"),
        (0.9, np.nan, "D"),
    ],
)
def test_grade_follows_its_rule(within, unseen, expected):
    table = pd.DataFrame({"within_r": [within], "unseen_within_r": [unseen]}, index=["m"])
    assert trust.grade(table)["m"] == expected


def test_grades_are_ordered_and_their_table_can_be_printed():
    rules = pd.DataFrame(trust.GRADES.values())
    assert list(rules.columns) == ["grade", "within_r", "unseen_within_r", "meaning"]
    assert rules["grade"].tolist() == list("ABCD")
    assert (rules[["within_r", "unseen_within_r"]][:3].diff()[1:] < 0).all(axis=None)
    assert rules["meaning"].str.endswith(".").all()
    table = pd.DataFrame({"within_r": [0.5, 0.9, 0.1], "unseen_within_r": [0.5, 0.9, 0.1]}, list("xyz"))
    grades = trust.grade(table)
    assert grades.sort_values(ascending=False).tolist() == ["A", "B", "D"]
    assert (grades > "C").tolist() == [True, True, False]


def test_at_least_keeps_better_grades_also_of_plain_text():
    grades = ["B", "D", "A", "C"]
    kept = {"A": [0, 0, 1, 0], "B": [1, 0, 1, 0], "C": [1, 0, 1, 1], "D": [1, 1, 1, 1]}
    for min_grade, expected in kept.items():
        for form in (grades, pd.Series(grades), pd.Series(trust._categorical(grades), index=list("wxyz"))):
            found = trust.at_least(form, min_grade)
            assert found.dtype == bool
            assert found.tolist() == [bool(v) for v in expected]
    for bad in ("E", "a", ""):
        with pytest.raises(ParameterError, match=f"one of A, B, C, D; found '{bad}'"):
            trust.at_least(grades, bad)
    for bad in (None, "E", np.nan):
        with pytest.raises(DataError, match="Every miRNA should have a grade"):
            trust.at_least([*grades, bad], "B")


def test_check_grades_equals_a_loop():
    rng = np.random.default_rng(1)
    names = [f"m{i}" for i in range(200)]
    within = pd.Series(rng.uniform(0.31, 1, 200), names)
    table = pd.DataFrame({"within_r": within, "unseen_within_r": within - 0.15})
    table["grade"] = trust.grade(table)
    test = (within - 0.1 + rng.normal(scale=0.1, size=200)).clip(-1, 1)
    test.iloc[::9] = np.nan
    found = trust.check_grades(table, test[::-1])
    assert found.index.tolist() == list("ABCD")
    for name, threshold in (("A", 0.6), ("B", 0.45), ("C", 0.3)):
        chosen = [m for m in names if table.loc[m, "grade"] == name]
        values = sorted(test[m] for m in chosen if not np.isnan(test[m]))
        row = found.loc[name]
        assert row["n_mirnas"] == len(chosen) > 20
        assert row["n_tested"] == len(values) < len(chosen)
        assert row["development_median"] == pytest.approx(np.median(within[chosen]))
        assert row["test_median"] == pytest.approx(np.median(values))
        assert row["test_lower"] == pytest.approx(np.percentile(values, 10))
        assert row["share_reached"] == pytest.approx(np.mean([v >= threshold for v in values]))
    assert found.loc["D", "n_mirnas"] == 0
    assert found.loc["D"].drop(["n_mirnas", "n_tested"]).isna().all()
    assert trust.check_grades(table, within)["share_reached"][:3].tolist() == [1, 1, 1]
    at_threshold = pd.DataFrame({"within_r": [0.7], "grade": ["A"]}, index=["m"])
    assert trust.check_grades(at_threshold, pd.Series({"m": 0.6})).loc["A", "share_reached"] == 1
    poor = trust.check_grades(table.assign(grade="D"), test).loc["D"]
    assert poor["n_tested"] == test.notna().sum()
    assert np.isnan(poor["share_reached"])


def test_expression_summary_equals_a_loop():
    rng = np.random.default_rng(2)
    values = pd.DataFrame(rng.uniform(0, 3, size=(20, 4)), columns=list("abcd")).round(1)
    values = values.mask(rng.random(values.shape) < 0.3)
    values.loc[[0, 1], "a"] = 1.0, 1.01  # RPM of exactly 1, which is not above 1, and a little more
    values["d"] = np.nan
    donor = pd.Series([f"D{i // 2}" for i in range(20)])
    found = trust.expression_summary(values, donor.sample(frac=1, random_state=0))
    for name, row in found.iterrows():
        used = [i for i in range(20) if not np.isnan(values[name][i])]
        assert row["n_samples"] == len(used)
        assert row["n_donors"] == len({donor[i] for i in used})
        if used:
            assert row["mean_log2_rpm"] == pytest.approx(np.mean([values[name][i] for i in used]))
            rate = np.mean([2 ** values[name][i] - 1 > 1 + 1e-12 for i in used])
            assert row["detection_rate"] == pytest.approx(rate)
    assert found.loc["d", ["mean_log2_rpm", "detection_rate"]].isna().all()
    with pytest.raises(DataError, match="z-scores cannot be used"):
        trust.expression_summary(values - 2, donor)
    with pytest.raises(DataError, match="one donor for each"):
        trust.expression_summary(values, donor[:5])


def test_what_cannot_be_predicted_gets_the_last_grade():
    """Toy miRNAs that follow their cohort or nothing are D; those that mRNA predicts well are not."""
    mrna, mirna = sicmir.toy.paired_bulk(40, 4, 977, 40, predictable=(0.85, 0.95), normal_fraction=0, seed=4)
    obs, observed, X = mirna.obs, mirna.to_df(), mrna.to_df()
    observed = observed.loc[:, metrics.detected(observed)]
    folds = splits.donor_folds(obs, 5, 0), splits.leave_one_cohort_out(obs)
    predicted = [cross_predict(CONTROLS["ridge"], X, observed, obs, f, progress=False) for f in folds]
    means = cross_predict(CONTROLS["cohort-mean"], X, observed, obs, folds[0], progress=False)
    seen, unseen, cohort_mean = (
        metrics.per_mirna(observed, p, obs["cohort"].astype(str)) for p in (*predicted, means)
    )
    half = conformal.half_widths(observed, predicted[0], obs["donor"])
    covered = interval_coverage.coverage(observed, *conformal.intervals(predicted[0], half), obs["donor"])
    table = trust.trust_table(
        trust.expression_summary(observed, obs["donor"]),
        seen,
        unseen,
        cohort_mean=cohort_mean,
        half_widths=half,
        coverage=covered,
    )
    kind = mirna.uns["truth"]["mirnas"]["kind"].reindex(table.index)
    hopeless = kind.isin(["cohort", "none"])
    assert hopeless.sum() >= 10
    assert (table["grade"][hopeless] == "D").all()
    assert trust.at_least(table["grade"], "B")[kind == "programme"].mean() > 0.8
    by_cohort_alone = table.loc[kind == "cohort"]
    assert by_cohort_alone["pooled_r"].median() > 0.6
    assert by_cohort_alone["gain_over_cohort_mean"].median() < 0.05
    assert table["coverage"].between(0.88, 0.94).all()


def test_bad_tables_are_refused(tables):
    def changed(name, table):
        return trust.trust_table(**{**tables, name: table})

    for name in ("seen", "unseen", "cohort_mean", "half_widths", "coverage"):
        with pytest.raises(DataError, match=rf"{name}: 1 miRNAs differ.*first: m6"):
            changed(name, tables[name].drop("m6"))
    for name in ("host_gene", "single_cell"):
        with pytest.raises(DataError, match=rf"{name}: 1 miRNAs differ.*first: M4"):
            changed(name, tables[name].rename({"m4": "M4"}))
    with pytest.raises(DataError, match="seen: m6 occurs twice"):
        changed("seen", tables["seen"].rename({"m5": "m6"}))
    with pytest.raises(DataError, match="expression: m6 occurs twice"):
        changed("expression", tables["expression"].rename({"m5": "m6"}))
    with pytest.raises(DataError, match="unseen: the column 'pearson_within' is absent; found pearson"):
        changed("unseen", tables["unseen"][["pearson"]])
    for bad in (1.2, -1.2, np.inf):
        table = tables["seen"].copy()
        table.loc["m2", "pearson"] = bad
        with pytest.raises(DataError, match=rf"pooled_r: 1 values .*\[-1, 1\], for example {bad} for m2"):
            changed("seen", table)
    with pytest.raises(DataError, match="half_width: 1 values"):
        changed("half_widths", tables["half_widths"].replace(tables["half_widths"]["m1"], -0.1))
    table = trust.trust_table(**tables)
    with pytest.raises(DataError, match="'unseen_within_r' is absent"):
        trust.grade(table[["within_r"]])
    with pytest.raises(DataError, match="within_r: 12 values"):
        trust.grade(table.assign(within_r=3.0))
    with pytest.raises(DataError, match="test_within: 1 miRNAs differ"):
        trust.check_grades(table, table["within_r"][1:])
    with pytest.raises(DataError, match="within_r: 11 values"):
        trust.check_grades(table, table["within_r"] + 5)
    with pytest.raises(DataError, match="found 'E'"):
        trust.check_grades(table.assign(grade="E"), table["within_r"])
