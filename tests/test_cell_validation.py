"""Figures over a few cell types: recomputed by other means, planted, and exchanged."""

from math import factorial

import numpy as np
import pandas as pd
import pytest
from scipy.stats import pearsonr, rankdata, spearmanr

from sicmir.cells import cell_validation as validation
from sicmir.errors import DataError

TYPES = ["A", "B", "C", "D"]
MIRNAS = [f"m{i}" for i in range(60)]


@pytest.fixture
def planted():
    """Means of miRNAs, differences between types, and predictions that know both in part."""
    rng = np.random.default_rng(1)
    mean = pd.Series(rng.uniform(2, 14, 60), MIRNAS)
    difference = rng.normal(0, 1.5, (4, 60))
    measured = pd.DataFrame(mean.to_numpy() + difference, TYPES, MIRNAS)
    predicted = measured + rng.normal(0, 0.7, (4, 60))
    return measured, predicted, mean


def residual(values, given):
    """Ranks less what a straight line of the other ranks explains."""
    x, y = rankdata(given), rankdata(values)
    return y - np.polyval(np.polyfit(x, y, 1), x)


def test_partial_spearman_is_the_correlation_of_residual_ranks(planted):
    measured, predicted, mean = planted
    x, y = measured.loc["A"].copy(), predicted.loc["A"]
    x["m3"] = np.nan
    keep = x.notna()
    expected = pearsonr(residual(x[keep], mean[keep]), residual(y[keep], mean[keep])).statistic
    assert validation.partial_spearman(x, y.iloc[::-1], mean) == pytest.approx(expected)
    assert np.isnan(validation.partial_spearman(x, 2 * mean + 1, mean))


def test_a_guess_that_knows_the_mean_alone_adds_nothing(planted):
    measured, predicted, mean = planted
    noise = np.random.default_rng(0).normal(0, 0.7, (4, 60))
    guess = pd.DataFrame(mean.to_numpy() + noise, TYPES, MIRNAS)
    good, none = (validation.within_types(measured, table, mean) for table in (predicted, guess))
    assert (good["partial"] > 0.6).all()
    assert none["spearman"].min() > 0.7
    assert none["partial"].abs().max() < 0.35
    for name in TYPES:
        assert good.loc[name, "training_mean"] == pytest.approx(spearmanr(measured.loc[name], mean).statistic)
        assert good.loc[name, "spearman"] == pytest.approx(
            spearmanr(measured.loc[name], predicted.loc[name]).statistic
        )


def test_what_was_not_measured_is_left_out(planted):
    measured, predicted, mean = planted
    measured.loc["B", "m0"] = np.nan
    found = validation.within_types(measured, predicted, mean.drop("m1"))
    assert found["n_mirnas"].tolist() == [59, 58, 59, 59]
    with pytest.raises(DataError, match="A: expected 4 miRNAs"):
        validation.within_types(measured, predicted, mean.iloc[:3])


def test_two_measurements_of_one_type_are_compared(planted):
    measured, predicted, mean = planted
    both = pd.concat([measured, predicted.loc[["A"]].set_axis(["A again"])])
    found = validation.same_type(both, pd.Series([*TYPES, "A"], both.index), mean)
    assert found[["a", "b", "n_mirnas"]].to_numpy().tolist() == [["A", "A again", 60]]
    assert found["spearman"].iloc[0] == pytest.approx(spearmanr(both.loc["A"], both.loc["A again"]).statistic)
    assert validation.same_type(measured, pd.Series(TYPES, TYPES), mean).empty


def test_only_what_is_measured_well_and_differs_is_judged():
    high = np.log2(101)
    measured = pd.DataFrame(
        {
            "low": [1, 3, 1, 1],
            "flat": [9, 9.5, 9, 9],
            "good": [high - 1, high, 0, 0],
            "gap": [9, 5, np.nan, 1],
        },
        TYPES,
    )
    assert validation.told_apart(measured).tolist() == ["good"]
    assert validation.told_apart(measured, min_rpm=0, min_range=0).tolist() == ["low", "flat", "good"]


def test_the_highest_type_and_the_correlation_of_each_mirna(planted):
    measured, predicted, _ = planted
    found = validation.per_mirna(measured, predicted.iloc[::-1])
    for name in MIRNAS[:10]:
        x, y = measured[name].to_numpy(), predicted[name].to_numpy()
        assert found.loc[name, "pearson"] == pytest.approx(pearsonr(x, y).statistic)
        assert found.loc[name, "highest"] == TYPES[int(np.argmax(x))]
        assert found.loc[name, "right"] == (np.argmax(x) == np.argmax(y))
        assert found.loc[name, "range"] == pytest.approx(np.ptp(x))
    predicted.loc["A", "m0"] = np.nan
    with pytest.raises(DataError, match="value of every miRNA"):
        validation.per_mirna(measured, predicted)


def test_the_right_names_win_and_a_guess_does_not(planted):
    measured, predicted, mean = planted
    orders = validation.renamed(measured, predicted)
    assert len(orders) == factorial(4)
    assert orders["order"].iloc[0] == "A, B, C, D"
    assert orders["n_in_place"].value_counts().to_dict() == {0: 9, 1: 8, 2: 6, 4: 1}
    place = validation.place_of_truth(orders).set_index("figure")
    assert (place["place"] == 1).all()
    assert (place["true"] > place["best_other"]).all()
    swapped = orders[orders["order"] == "B, A, C, D"].iloc[0]
    by_hand = predicted.loc[["B", "A", "C", "D"]].set_axis(TYPES)
    assert swapped["right"] == (measured.idxmax() == by_hand.idxmax()).mean()

    rng = np.random.default_rng(3)
    places = []
    for _ in range(6):
        guess = pd.DataFrame(mean.to_numpy() + rng.normal(0, 1.5, (4, 60)), TYPES, MIRNAS)
        places += validation.place_of_truth(validation.renamed(measured, guess))["place"].tolist()
    assert np.median(places) > 4


def test_ties_count_against_the_truth():
    orders = pd.DataFrame({name: [0.5, 0.5, 0.1] for name in validation.FIGURES})
    assert (validation.place_of_truth(orders)["place"] == 2).all()


def test_too_few_or_too_many_types_are_refused(planted):
    measured, predicted, _ = planted
    with pytest.raises(DataError, match="4 to 7 cell types, found 3"):
        validation.renamed(measured.iloc[:3], predicted.iloc[:3])
    with pytest.raises(DataError, match="cell type D was measured"):
        validation.per_mirna(measured, predicted.iloc[:3])
    with pytest.raises(DataError, match="miRNA m0 was measured"):
        validation.per_mirna(measured, predicted.drop(columns="m0"))


def test_grades_are_summed_up_apart(planted):
    table = validation.per_mirna(*planted[:2])
    grade = pd.Series(["A", "B"] * 30, MIRNAS)
    found = validation.by_grade(table, grade).set_index("grade")
    assert found["n_mirnas"].tolist() == [30, 30]
    assert found.loc["B", "pearson"] == pytest.approx(table["pearson"].iloc[1::2].median())
    assert found.loc["A", "right"] == pytest.approx(table["right"].iloc[::2].mean())


def test_the_range_that_is_predicted_stands_beside_the_measured_one(planted):
    measured, _, mean = planted
    shrunk = mean + 0.25 * (measured - mean)
    found = validation.per_mirna(measured, shrunk)
    np.testing.assert_allclose(found["predicted_range"], 0.25 * found["range"])
    np.testing.assert_allclose(found["pearson"], 1)
