"""The calibration of crosstalk: rates by hand, and what the tests must not do."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from sicmir.chapters.statistics.crosstalk_calibration import (
    NULLS,
    auroc,
    false_positives,
    recovery,
    term_ablation,
)
from sicmir.errors import ParameterError
from sicmir.synthetic.toy_crosstalk import crosstalk_cells
from sicmir.vesicles.crosstalk import crosstalk
from sicmir.vesicles.crosstalk_terms import TERMS

SMALL = {"n_cells": 10, "n_mirnas": 16, "n_genes": 500, "n_targets": 20}


def test_rate_is_that_of_the_draws():
    found = false_positives(3, ["labels"], n_permutations=99, seed=7, progress=False, **SMALL)
    rates = []
    for draw in range(3):
        parts = crosstalk_cells(**SMALL, n_pairs=0, type_sd=0, seed=7 + draw)
        table = crosstalk(*parts, n_permutations=99, seed=draw, progress=False).table
        rates.append((table["p_score"][table["counted"]] <= 0.05).mean())
    row = found.loc[("labels", "p_score")]
    assert row["rate"] == pytest.approx(np.mean(rates))
    assert row["upper"] - row["rate"] == pytest.approx(1.959964 * stats.sem(rates))
    assert row["n_rows"] % 20 == 0 and row["exact"]


def test_nulls_are_kept_and_pseudo_replicates_are_not():
    """8 draws of few rows are far from the 200 of a calibration, but enough to see gross errors."""
    found = false_positives(8, ["labels", "pseudo-replicates"], n_permutations=199, progress=False, **SMALL)
    labels, pieces = found.loc["labels"], found.loc["pseudo-replicates"]
    for test in NULLS["labels"].exact:
        assert labels.loc[test, "lower"] < 0.05
        assert 0.005 < labels.loc[test, "rate"] < 0.1
    assert labels.loc["p", "rate"] < 0.03
    assert labels.loc["p", "any_q"] == 0
    assert pieces.loc["p_score", "rate"] > 1.7 * labels.loc["p_score", "rate"]


def test_rows_of_a_null_with_planted_pairs_are_theirs():
    found = false_positives(4, ["no repression"], n_permutations=199, progress=False, **SMALL)
    assert (found["n_rows"] == 4 * 12).all()
    assert found.loc[("no repression", "p_sender"), "rate"] > 0.8
    assert found.loc[("no repression", "p"), "rate"] < 0.3


def test_recovery_rises_with_donors():
    table = recovery((3, 6), n_seeds=4, fdr=0.1, progress=False, **SMALL)
    assert table.index.tolist() == [3, 6]
    assert (table["auroc"] > 0.9).all() and (table["auroc_p"] > 0.9).all()
    assert table.loc[3, "power"] == 0 < table.loc[6, "power"]
    assert (table["false_discoveries"] < table["false_discoveries_score"]).all()


def test_ablation_costs_what_was_planted():
    table = term_ablation(4, progress=False, **SMALL)
    assert len(table) == 1 + 2 * len(TERMS)
    assert table.loc["all", "loss"] == 0 and table.loc["all", "auroc"] > 0.9
    assert table.loc["without repression", "loss_lower"] > 0
    assert table.loc["only sorting", "auroc"] == pytest.approx(0.5)
    assert abs(table.loc["without sorting", "loss"]) < 0.01


def test_auroc_is_that_of_all_pairs():
    rng = np.random.default_rng(0)
    score, real = rng.integers(0, 5, 30), rng.random(30) < 0.3
    pairs = [(a > b) + (a == b) / 2 for a in score[real] for b in score[~real]]
    assert auroc(pd.Series(score), real) == pytest.approx(np.mean(pairs))
    assert np.isnan(auroc(score, np.zeros(30, dtype=bool)))


@pytest.mark.parametrize(
    "call",
    [
        lambda: false_positives(1),
        lambda: false_positives(5, ["chance"]),
        lambda: false_positives(5, []),
        lambda: false_positives(5, alpha=0),
        lambda: false_positives(5, seed=-1),
        lambda: recovery([2, 6]),
        lambda: recovery([]),
        lambda: recovery(n_seeds=1),
        lambda: term_ablation(1),
    ],
)
def test_bad_options_are_refused(call):
    with pytest.raises(ParameterError, match="found"):
        call()
