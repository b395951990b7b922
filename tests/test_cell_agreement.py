"""Agreement over cell types and between two of them: recomputed with scipy, planted and shuffled."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import pearsonr, spearmanr

from sicmir.cells.cell_agreement import between_cell_types, compare, over_cell_types
from sicmir.errors import DataError, ParameterError

SOURCES = ["s1"] * 6 + ["s2"] * 5 + ["s3"]


@pytest.fixture
def pair():
    """12 cell types of three sources, each with a bias of its own, and predictions with noise but no bias."""
    rng = np.random.default_rng(0)
    truth = rng.normal(6, 2, (12, 40))
    bias = pd.DataFrame(rng.normal(0, 4, (3, 40)), ["s1", "s2", "s3"]).loc[SOURCES].to_numpy()
    index, columns = [f"type {i}" for i in range(12)], [f"m{i}" for i in range(40)]
    measured = pd.DataFrame(truth + bias, index, columns)
    predicted = pd.DataFrame(truth + rng.normal(0, 1, truth.shape), index, columns)
    measured.iloc[2, 3] = np.nan
    predicted.iloc[7, 5] = np.nan
    return measured, predicted


def test_correlations_over_cell_types_are_those_of_scipy(pair):
    measured, predicted = pair
    found = over_cell_types(measured, predicted.iloc[::-1], SOURCES)
    assert found["n_cell_types"].tolist() == [11 if i in (3, 5) else 12 for i in range(40)]
    for name in measured:
        both = measured[name].notna() & predicted[name].notna()
        x, y = measured[name][both], predicted[name][both]
        assert found.loc[name, "pearson"] == pytest.approx(pearsonr(x, y).statistic)
        assert found.loc[name, "spearman"] == pytest.approx(spearmanr(x, y).statistic)
        z, weights = [], []
        for source in ("s1", "s2"):
            rows = both & (np.array(SOURCES) == source)
            z.append(np.arctanh(pearsonr(measured[name][rows], predicted[name][rows]).statistic))
            weights.append(rows.sum() - 3)
        assert found.loc[name, "pearson_within"] == pytest.approx(np.tanh(np.average(z, weights=weights)))
    assert (found["n_sources"] == 2).all()
    assert found["pearson_within"].median() > found["pearson"].median() + 0.2


def test_without_sources_all_cell_types_are_one(pair):
    found = over_cell_types(*pair)
    assert (found["n_sources"] == 1).all()
    np.testing.assert_allclose(found["pearson_within"], found["pearson"])
    assert len(between_cell_types(*pair)) == 66


def test_differences_of_pairs_within_a_source(pair):
    measured, predicted = pair
    found = between_cell_types(measured, predicted, pd.Series(SOURCES, measured.index)[::-1])
    expected = [
        (measured.index[a], measured.index[b])
        for a, b in combinations(range(12), 2)
        if SOURCES[a] == SOURCES[b]
    ]
    assert list(zip(found["cell_type_a"], found["cell_type_b"], strict=True)) == expected
    assert len(expected) == 25
    for row in found.itertuples():
        x, y = (side.loc[row.cell_type_a] - side.loc[row.cell_type_b] for side in (measured, predicted))
        both = x.notna() & y.notna()
        assert row.n_mirnas == both.sum()
        assert row.spearman == pytest.approx(spearmanr(x[both], y[both]).statistic)
    assert found["spearman"].min() > 0.6
    assert found["source"].value_counts().to_dict() == {"s1": 15, "s2": 10}


def test_guessing_gives_none_of_it(pair):
    measured, predicted = pair
    rng = np.random.default_rng(1)
    chance = [
        between_cell_types(measured, predicted.iloc[rng.permutation(12)].set_axis(measured.index), SOURCES)
        for _ in range(40)
    ]
    assert np.mean([table["spearman"].mean() for table in chance]) == pytest.approx(0, abs=0.06)


def test_cell_types_with_the_same_mirna_have_no_difference(pair):
    measured, predicted = pair
    measured.iloc[1] = measured.iloc[0]
    predicted.iloc[4] = np.nan
    found = between_cell_types(measured, predicted, SOURCES).set_index(["cell_type_a", "cell_type_b"])
    assert np.isnan(found.loc[("type 0", "type 1"), "spearman"])
    assert found.loc[("type 0", "type 1"), "n_mirnas"] == 40
    none = found.loc[("type 0", "type 4")]
    assert none["n_mirnas"] == 0
    assert np.isnan(none["spearman"])


def test_bad_input_is_refused(pair):
    measured, predicted = pair
    with pytest.raises(DataError, match="No source has two of the 12"):
        between_cell_types(measured, predicted, list(measured.index))
    for function in (over_cell_types, between_cell_types):
        with pytest.raises(DataError, match="miRNAs are in only one"):
            function(measured, predicted.iloc[:, 1:])
        with pytest.raises(DataError, match="missing"):
            function(measured, predicted, pd.Series(SOURCES, measured.index).iloc[1:])
        with pytest.raises(DataError, match="infinite"):
            function(measured.replace(measured.iloc[0, 0], np.inf), predicted)


def test_two_predictions_are_compared_on_the_same_mirnas(pair):
    measured, predicted = pair
    measured = measured.iloc[:4]
    worse = predicted + np.random.default_rng(1).normal(0, 3, predicted.shape)
    both = {"good": predicted.drop(columns="m9"), "bad": worse.assign(other=0.0)}
    both = {name: table.loc[measured.index] for name, table in both.items()}
    found = compare(measured, both, baseline="bad", n_resamples=300)
    assert len(found) == 2 * 6
    for row in found.itertuples():
        names = measured.columns.drop("m9")
        x = (measured.loc[row.cell_type_a] - measured.loc[row.cell_type_b])[names]
        y = (both[row.predictor].loc[row.cell_type_a] - both[row.predictor].loc[row.cell_type_b])[names]
        known = x.notna() & y.notna() & (x.notna() & both["good"].loc[row.cell_type_b][names].notna())
        assert row.spearman == pytest.approx(spearmanr(x[known], y[known]).statistic)
        assert row.n_mirnas == row.n_clusters == known.sum()
        assert row.lower < row.spearman < row.upper
    good = found[found["predictor"] == "good"].reset_index(drop=True)
    bad = found[found["predictor"] == "bad"].reset_index(drop=True)
    np.testing.assert_allclose(good["gain"], good["spearman"] - bad["spearman"])
    assert (good["gain_lower"] > 0).all()
    assert bad["gain"].isna().all()


def test_clusters_are_drawn_as_wholes(pair):
    """Copies of every miRNA under one cluster add nothing: intervals stay as wide as without them."""
    measured, predicted = (table.iloc[[0, 1]].drop(columns=["m3", "m5"]) for table in pair)
    copies = {name: pd.concat([table] * 4, axis=1) for name, table in (("x", measured), ("y", predicted))}
    for table in copies.values():
        table.columns = [f"{name} {i // measured.shape[1]}" for i, name in enumerate(table)]
    clusters = pd.Series([name.split()[0] for name in copies["x"]], index=copies["x"].columns)
    alone = compare(measured, {"p": predicted}, n_resamples=2000).iloc[0]
    whole = compare(copies["x"], {"p": copies["y"]}, clusters=clusters, n_resamples=2000).iloc[0]
    loose = compare(copies["x"], {"p": copies["y"]}, n_resamples=2000).iloc[0]
    assert (whole["n_mirnas"], whole["n_clusters"]) == (4 * 38, 38)
    width = alone["upper"] - alone["lower"]
    assert whole["upper"] - whole["lower"] == pytest.approx(width, rel=0.1)
    assert loose["upper"] - loose["lower"] < 0.7 * width


def test_pairs_beside_the_same_libraries_have_no_difference(pair):
    measured, predicted = pair
    measured = measured.iloc[[0, 1]].copy()
    measured.iloc[1] = measured.iloc[0]
    with pytest.raises(DataError, match="with a measured difference"):
        compare(measured, {"p": predicted.loc[measured.index]}, n_resamples=10)
    with pytest.raises(ParameterError, match="baseline 'q'"):
        compare(measured, {"p": predicted.loc[measured.index]}, baseline="q")
    with pytest.raises(ParameterError, match="level in"):
        compare(measured, {"p": predicted.loc[measured.index]}, level=1.0)
