import pytest

from sicmir.chapters.statistics import hub_calibration as calibration


def test_a_circular_network_is_full_and_one_outside_the_inputs_is_empty():
    found = calibration.circularity(range(1), n_permutations=99).xs(0, level="seed")
    noise, programmes = (found.loc[kind] for kind in ("independent", "programmes"))
    assert noise.loc["inside", "edges"] > 0.3
    assert noise.loc["inside", "naive_hubs"] > 0.8
    assert noise.loc["inside", "hubs_found"] > 0.8
    assert 0.02 < noise.loc["outside", "edges"] < 0.09
    assert noise.loc["outside", "edges_found"] < 0.01
    assert noise.loc["outside", "hubs_found"] <= 1 / 30
    # Programmes make edges between genes and predictions, but no hubs.
    assert programmes.loc["outside", "edges"] > 0.07
    assert programmes.loc["outside", "hubs_found"] <= 1 / 30
    assert programmes.loc["inside", "hubs_found"] > 0.3


def test_nothing_is_found_where_there_is_nothing():
    """Small version: 160 miRNAs of each null."""
    found = calibration.false_positives(range(2), n_donors=10, n_permutations=99)
    assert found.index.get_level_values("null").value_counts().to_dict() == dict.fromkeys(
        calibration.NULLS, 2
    )
    mean = found.groupby(level="null").mean()
    assert (mean[["p", "p_pagerank"]] < 0.09).all(axis=None)
    assert mean.loc[["donors", "together"], "edges"].to_numpy() == pytest.approx(0.05, abs=0.02)
    assert mean.loc["genes", "edges"] > 0.08  # association alone is no evidence of targets
    assert mean.loc["together", "p_draws"] > 0.12


def test_more_donors_find_more_hubs():
    found = calibration.recovery((5, 20), range(2), true_share=0.3, repression=0.3, n_permutations=199)
    mean = found.groupby(level="n_donors").mean()
    assert mean.loc[20, "auroc"] >= 0.9
    assert mean.loc[20, "power"] > mean.loc[5, "power"]
    assert mean["false_share"].max() < 0.1
