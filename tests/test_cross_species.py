"""Animals under a human model: planted differences are found, controls find nothing, tissues are told."""

from dataclasses import replace

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import stats as scipy_stats

from sicmir import panel
from sicmir.chapters.pituitary import (
    animal_controls,
    cross_species,
    pituitary_headline,
    pituitary_plots,
    pituitary_sets,
    pituitary_study,
)
from sicmir.chapters.pituitary.animal_controls import ANIMALS, GENES, HALVES
from sicmir.chapters.pituitary.cross_species import MODEL
from sicmir.chapters.pituitary.low_coverage import WHOLE
from sicmir.donors import effect_agreement
from sicmir.errors import DataError
from sicmir.names import orthologues

AGES = {"condition_key": "age", "case": "32", "reference": "12"}


@pytest.fixture(scope="module")
def animals():
    return pituitary_sets._toy_animals(0)


@pytest.fixture(scope="module")
def predicted(animals):
    return cross_species.predict(animals)


def effect(values, obs, key="age", case="32", reference="12"):
    label = obs[key].to_numpy()
    return values[label == case].mean(axis=0) - values[label == reference].mean(axis=0)


def test_toy_animals_bear_mouse_genes_and_a_model_of_their_own(animals):
    assert animals.mrna.obs_names.equals(animals.mirna.obs_names)
    assert animals.mrna.n_vars == 977
    assert np.isfinite(animals.mrna.X).all(axis=0).sum() == len(orthologues.mouse_genes())
    assert set(animals.mirna.obs["age"]) == {"12", "32"}
    assert animals.mirna.obs["donor"].is_unique
    shown = set(animals.bundle.card["training_data"]["cohorts"])
    assert not shown & set(animals.mrna.obs["cohort"])


def test_planted_ages_are_found_and_sexes_are_not(animals, predicted):
    measured, told = pituitary_study.effects(animals, predicted, AGES, 0.05, "B")
    table = pituitary_study.planted_ages(animals, measured, told)
    good = table[table["grade"].isin(["A", "B"])]
    assert len(good) >= 20
    assert np.corrcoef(good["planted"], good["measured"])[0, 1] > 0.9
    assert np.corrcoef(good["planted"], good["predicted"])[0, 1] > 0.8
    recovered = pituitary_headline.recovered(table).set_index("grade")
    part = table[table["grade"] == "A"]
    expected = np.corrcoef(part["planted"], part["predicted"])[0, 1]
    assert recovered.loc["A", "planted and predicted, r"] == pytest.approx(expected)
    sexes = {"condition_key": "sex", "case": "M", "reference": "F"}
    by_sex = pituitary_study.effects(animals, predicted, sexes, 0.05, "B")
    counts = pituitary_headline.findings({"ages": (measured, told), "sexes": by_sex}).set_index("contrast")
    assert counts.loc["ages", "measured"] >= 5
    assert counts.loc["sexes", ["measured", "predicted"]].tolist() == [0, 0]
    real = replace(animals, mirna=animals.mirna.copy())
    del real.mirna.uns["truth"]
    assert pituitary_study.planted_ages(real, measured, told).empty


def test_agreement_by_grade_is_that_of_mean_differences(animals, predicted):
    contrasts = [("age", "32", "12"), ("sex", "M", "F"), ("age", "99", "12")]
    table = cross_species.differences(animals, predicted, contrasts, n_resamples=50)
    assert set(table["contrast"]) == {"age 32 against 12", "sex M against F"}
    row = table.set_index(["contrast", "grade"]).loc["age 32 against 12", "A"]
    names = predicted.var_names[predicted.var["grade"] == "A"]
    sides = [effect(side[:, names].X, animals.mirna.obs) for side in (animals.mirna, predicted)]
    assert row["spearman"] == pytest.approx(scipy_stats.spearmanr(*sides).statistic)
    assert row["lower"] < row["spearman"] < row["upper"]
    options = {"k": 1, "n_resamples": 50, "clusters": panel.mirnas().set_index("name")["cluster"]}
    both = effect_agreement.bootstrap(animals.mirna, predicted, names, **AGES, **options)
    assert row[["lower", "upper"]].tolist() == both.loc["effect_spearman", ["lower", "upper"]].tolist()
    assert row["n_animals"] == animals.mirna.n_obs
    figure = pituitary_plots.by_grade(table)
    assert [ax.get_title() for ax in figure.axes] == ["age 32 against 12", "sex M against F"]


def test_individuals_are_judged_less_the_mean_of_their_group(animals, predicted):
    table = cross_species.individuals(animals, predicted, n_resamples=20).set_index(["scope", "grade"])
    names = predicted.var_names[predicted.var["grade"] == "A"]
    truth, guess = animals.mirna[:, names].to_df(), predicted[:, names].to_df()
    group = animals.mirna.obs["group"].to_numpy()
    within = [side - side.groupby(group).transform("mean") for side in (truth, guess)]
    assert table.loc[("all animals", "A"), "median"] == pytest.approx(
        truth.corrwith(guess).median(), abs=1e-4
    )
    expected = within[0].corrwith(within[1]).median()
    assert table.loc[("within age and sex", "A"), "median"] == pytest.approx(expected, abs=1e-4)
    assert expected > 0.5
    assert table.loc[("within age and sex", "A"), "exchanged_upper"] < 0.3
    first = animals.mirna.obs_names[0]
    mates = (group == group[0]) & (animals.mirna.obs_names != first)
    others = pd.DataFrame(
        {
            name: truth[(group == group[i]) & (truth.index != name)].mean()
            for i, name in enumerate(truth.index)
        }
    ).T
    assert others.loc[first].equals(truth[mates].mean())
    expected = truth.corrwith(others).median()
    assert table.loc[("all animals", "A"), "group_mean"] == pytest.approx(expected, abs=1e-4)
    assert table["group_mean"].isna().sum() == 2  # of two grades, within groups


def test_animals_cut_down_are_predicted_as_they_are_elsewhere(animals, predicted):
    by_rank = cross_species.predict(animals, "rank")
    few = np.zeros(977, dtype=bool)
    few[:200] = True
    found = {}
    for name, table in (("own", predicted), ("rank", by_rank)):
        cut = cross_species.few_genes(animals, table, few, 0.25, AGES, n_draws=1, n_resamples=2)
        found[name] = cut.set_index("genes").loc[WHOLE, "spearman"]
        names = cross_species.counted(table, "B")
        sides = [effect(side[:, names].X, animals.mirna.obs) for side in (animals.mirna, table)]
        assert found[name] == pytest.approx(scipy_stats.spearmanr(*sides).statistic)
    options = {"k": 1, "n_resamples": 2, "clusters": panel.mirnas().set_index("name")["cluster"]}
    both = effect_agreement.bootstrap(animals.mirna, by_rank, names, **AGES, **options)
    row, limits = cut.set_index("genes").loc[WHOLE], ["lower", "upper"]
    assert row[limits].tolist() == pytest.approx(both.loc["effect_spearman", limits].tolist())
    assert predicted.uns["sicmir"]["transform"] != "rank"
    assert found["own"] != found["rank"]


def test_wrong_genes_and_wrong_animals_agree_less(animals, predicted):
    contrasts = [tuple(AGES.values()), ("sex", "M", "F")]
    draws = animal_controls.exchanges(animals, predicted, contrasts, n_draws=10)
    assert (draws.groupby(["contrast", "grade", "control"]).size() == 10).all()
    table = animal_controls.controls(animals, predicted, contrasts, draws, n_resamples=30)
    assert set(table["contrast"]) == {"age 32 against 12", "sex M against F"}
    assert set(table["grade"]) == {"A"}  # of grade B there are too few
    # The same figures as those by grade that the page quotes beside them.
    alone = cross_species.differences(animals, predicted, contrasts, n_resamples=30)
    keys, limits = ["contrast", "grade"], ["spearman", "lower", "upper"]
    own = table[table["what"] == MODEL].set_index(keys)[limits]
    pd.testing.assert_frame_equal(own, alone.set_index(keys).loc[own.index, limits])
    ages = table[table["contrast"] == "age 32 against 12"]
    for grade, rows in ages.groupby("grade"):
        assert rows["what"].tolist() == [MODEL, GENES, ANIMALS, HALVES]
        assert rows["n_mirnas"].unique().tolist() == [(predicted.var["grade"] == grade).sum()]
        part = draws[(draws["contrast"] == "age 32 against 12") & (draws["grade"] == grade)]
        assert rows["spearman"].iloc[0] > part["spearman"].max()
        values = part.loc[part["control"] == GENES, "spearman"]
        expected = [values.median(), *np.quantile(values, [0.025, 0.975])]
        assert rows.iloc[1][limits].tolist() == pytest.approx(expected)
    names = predicted.var_names[predicted.var["grade"] == "A"]
    figure = pituitary_plots.controls(ages)
    assert [ax.get_title() for ax in figure.axes] == [f"grade A ({len(names)})"]
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()][::-1] == ages["what"].tolist()[:4]


def test_whether_both_rnas_are_of_one_animal_shows_in_the_data(animals):
    found = animal_controls.pairing(animals, n_draws=200)
    assert found["n_animals"] == animals.mirna.n_obs
    assert found["p"] < 0.01
    assert found["r"] > found["upper"]
    wrong, rng = replace(animals, mrna=animals.mrna.copy()), np.random.default_rng(1)
    group = animals.mirna.obs["group"].to_numpy()
    for name in np.unique(group):
        rows = np.flatnonzero(group == name)
        wrong.mrna.X[rows] = animals.mrna.X[rng.permutation(rows)]
    mixed = animal_controls.pairing(wrong, n_draws=200)
    assert mixed["p"] > 0.05
    alone = replace(animals, mirna=animals.mirna.copy())
    alone.mirna.obs["group"] = alone.mirna.obs_names
    with pytest.raises(DataError, match="groups of 3 animals"):
        animal_controls.pairing(alone)


def tissues(mirnas, seed=0):
    """Samples of eight tissues, three of the first."""
    rng = np.random.default_rng(seed)
    names = ["gland"] * 3 + [f"tissue {i}" for i in range(7)]
    values = rng.normal(8, 2, (10, len(mirnas))).astype(np.float32)
    values[1:3] = values[0] + rng.normal(0, 0.2, (2, len(mirnas)))
    obs = pd.DataFrame({"cell_type": names}, index=[f"s{i}" for i in range(10)])
    return ad.AnnData(values, obs, pd.DataFrame(index=mirnas))


def test_the_difference_of_a_tissue_is_by_welch():
    table = tissues(["m1", "m2", "m3"])
    found = cross_species.tissue_contrast(table, "gland").set_index("mirna")
    for place, name in enumerate(["m1", "m2", "m3"]):
        test = scipy_stats.ttest_ind(table.X[:3, place], table.X[3:, place], equal_var=False)
        limits = test.confidence_interval(0.95)
        assert found.loc[name, "effect"] == pytest.approx(
            table.X[:3, place].mean() - table.X[3:, place].mean(), rel=1e-4
        )
        assert found.loc[name, ["lower", "upper"]].tolist() == pytest.approx(list(limits), rel=1e-3)
    assert cross_species.tissue_contrast(table, "tissue 1").empty  # one sample has no spread
    assert cross_species.tissue_contrast(table, "nowhere").empty


def test_animals_are_told_by_what_sets_their_tissue_apart(animals, predicted):
    names = list(animals.mirna.var_names)
    table = tissues(names)
    means = table.to_df().groupby(table.obs["cell_type"].to_numpy()).mean()
    like = replace(animals, mirna=animals.mirna.copy())
    like.mirna.X = np.tile(table.X[0], (animals.mirna.n_obs, 1))
    guess = predicted.copy()
    average = animals.bundle.trust.loc[names, "mean_log2_rpm"].to_numpy()
    guess.X = np.tile(average + (means.loc["tissue 3"] - means.mean()).to_numpy(), (guess.n_obs, 1))
    found = cross_species.identity(like, guess, table, "gland").set_index("side")
    assert found.loc["measured", ["place", "best"]].tolist() == [1, "gland"]
    assert found.loc["predicted", "best"] == "tissue 3"
    assert found.loc["predicted", "place"] > 1
    assert (found["n_tissues"] == 8).all()
    assert cross_species.identity(animals, predicted, table, "nowhere").empty
