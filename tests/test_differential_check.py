import numpy as np
import pandas as pd
import pytest
from scipy.stats import ttest_rel

from sicmir import stats
from sicmir.donors.differential_check import against_paired_t, predicted_against_measured
from sicmir.errors import DataError, ParameterError
from sicmir.metrics import detected
from sicmir.synthetic import toy_cells

CONTRAST = {"condition_key": "condition", "case": "tumour", "reference": "normal"}


def test_a_paired_result_is_held_against_scipy():
    adata = toy_cells.donor_cells(12, 1, 60, effect=1, n_changed=20, seed=1)
    adata.X[0, 3] = np.nan
    found = stats.differential(adata, **CONTRAST)
    check = against_paired_t(found, adata, **CONTRAST)
    assert (check["n_mirnas"], check["n_pairs"]) == (60, 12)
    assert check["largest_effect_difference"] < 1e-9
    assert check["effect_spearman"] == pytest.approx(1)
    assert check["statistic_spearman"] > 0.98
    wide = adata.to_df().set_index([adata.obs["condition"], adata.obs["donor"]]).astype(float)
    p = ttest_rel(wide.loc["tumour"], wide.loc["normal"], nan_policy="omit").pvalue
    q = np.sort(np.asarray(p)) * 60 / np.arange(1, 61)
    assert check["n_findings_t"] == np.flatnonzero(q <= 0.05).max() + 1
    assert check["n_findings"] == found["finding"].sum()
    wrong = found.assign(effect=found["effect"] + np.arange(60) / 10)
    assert against_paired_t(wrong, adata, **CONTRAST)["largest_effect_difference"] == pytest.approx(5.9)


def test_what_is_no_paired_result_is_refused():
    adata = toy_cells.donor_cells(12, 2, 10, seed=2)
    by_type = stats.differential(adata, **CONTRAST, cell_type_key="cell_type")
    with pytest.raises(DataError, match="one cell type"):
        against_paired_t(by_type, adata, **CONTRAST)
    apart = toy_cells.donor_cells(12, 1, 10, arms="unpaired", seed=2)
    with pytest.raises(DataError, match="paired result"):
        against_paired_t(stats.differential(apart, **CONTRAST), apart, **CONTRAST)
    whole = stats.differential(adata, **CONTRAST)
    with pytest.raises(DataError, match="not of the miRNAs"):
        against_paired_t(whole, adata[:, :5], **CONTRAST)


def test_predicted_differences_are_compared_with_measured_ones():
    measured = toy_cells.donor_cells(16, 2, 40, effect=1.5, n_changed=16, seed=3)
    predicted = measured.copy()
    predicted.X = measured.X / 2
    predicted.var["grade"] = ["A"] * 30 + ["D"] * 10
    options = CONTRAST | {"cell_type_key": "cell_type"}
    truth, guess = (
        stats.differential(measured, **options),
        stats.differential(predicted, **options, min_grade="B"),
    )
    check = predicted_against_measured(guess.sample(frac=1, random_state=0), truth)
    assert check["n_mirnas"] == 60
    assert check["slope"] == pytest.approx(0.5)
    assert (check["effect_spearman"], check["top_k_recall"], check["confirmed"], check["found"]) == (
        1,
        1,
        1,
        1,
    )
    assert check["n_measured"] == check["n_predicted"] > 10
    predicted.X = -predicted.X + 20
    turned = predicted_against_measured(stats.differential(predicted, **options), truth)
    assert (turned["confirmed"], turned["found"], turned["sign_agreement"]) == (0, 0, 0)
    nothing = toy_cells.donor_cells(16, 2, 40, seed=4)
    none = predicted_against_measured(stats.differential(nothing, **options), truth)
    assert np.isnan(none["confirmed"]) or none["n_predicted"] <= 2
    assert none["found"] < 0.1
    with pytest.raises(DataError, match="twice"):
        predicted_against_measured(pd.concat([guess, guess]), truth)
    with pytest.raises(DataError, match="share no"):
        predicted_against_measured(guess.assign(mirna="x" + guess["mirna"]), truth)
    with pytest.raises(ParameterError, match="k should be"):
        predicted_against_measured(guess, truth, k=500)


@pytest.mark.real
def test_measured_bile_duct_tumours_and_adjacent_liver_give_what_a_paired_t_test_gives(real_data):
    _, mirna = real_data
    normal = mirna.obs["condition"] == "normal"
    mirna = mirna[mirna.obs["donor"].isin(mirna.obs["donor"][normal])]
    mirna = mirna[:, detected(mirna.X)].copy()
    found = stats.differential(mirna, **CONTRAST)
    check = against_paired_t(found, mirna, **CONTRAST)
    assert check["n_pairs"] == 9
    assert check["largest_effect_difference"] < 1e-9
    assert check["statistic_spearman"] > 0.97
    # The miRNA of hepatocytes, which bile ducts do not have.
    assert found.set_index("mirna").loc["hsa-mir-122", "effect"] < -3
