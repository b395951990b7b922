import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest

from sicmir.chapters.statistics import calibration
from sicmir.errors import ParameterError

SOUND = [name for name, trial in calibration.TRIALS.items() if trial.sound]


@pytest.mark.parametrize("name", calibration.TRIALS)
def test_rates_are_those_of_the_p_values_and_near_the_nominal_level(name):
    """A few seeds: far from the level is seen, the rest is for the chapter."""
    trial = calibration.TRIALS[name]
    n_seeds = 12 if "cut-off" in name or "median" in name else 8
    row = calibration.false_positives([name], n_seeds=n_seeds, seed=100).iloc[0]
    drawn = [trial.p_values(trial.n_donors, 0.0, 100 + i)[0] for i in range(n_seeds)]
    p = np.concatenate(drawn)
    assert row["n_tests"] == len(p)
    assert row["rate"] == pytest.approx((p <= 0.05).mean())
    limits = binomtest(int((p <= 0.05).sum()), len(p)).proportion_ci()
    assert (row["lower"], row["upper"]) == pytest.approx((limits.low, limits.high))
    if trial.sound:
        assert row["rate"] <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / len(p))
    else:
        assert row["rate"] > 0.12


def test_power_rises_with_donors_and_is_told_for_sound_tests():
    table = calibration.power(["pairs", "markers", "Cox"], [20, 60], effect=0.8, n_seeds=6)
    rates = table.pivot_table(index="trial", columns="n_donors", values="rate")
    assert (rates[60] >= rates[20]).all()
    assert (rates[60] > 0.8).all()
    refused = calibration.power(["Cox, covariates"], [12], n_seeds=2).iloc[0]
    assert (refused["rate"], refused["n_tests"]) == (0, 2)
    # By chance no donor has an event, or one only when nobody else is left.
    assert not calibration._cohort(6, 1.0, 69).obs["event"].any()
    rare = calibration.power(["Cox", "log-rank at the median"], [6], n_seeds=3, seed=67)
    assert rare["n_tests"].tolist() == [3, 3]
    assert rare["rate"].tolist() == [0, 0]
    few = calibration.power(["two groups, covariates"], [6], effect=5, n_seeds=20).iloc[0]
    assert few["n_tests"] == 200
    assert 0 < few["rate"] < 1


def test_cells_taken_for_replicates_find_what_is_not_there_and_donors_do_not():
    table = calibration.pseudo_replication(cells=(1, 50), n_seeds=10).set_index(["unit", "cells"])
    assert table.loc[("cells", 50), "rate"] > 0.4
    assert table.loc[("cells", 1), "rate"] < 0.12
    assert (table.loc["donors", "rate"] < 0.12).all()
    assert (table["n_tests"] == 10 * calibration.N_MIRNAS).all()


def test_the_same_seed_gives_the_same_table():
    first, again = (calibration.false_positives(["pairs"], n_seeds=3, seed=7) for _ in range(2))
    pd.testing.assert_frame_equal(first, again)
    assert len(SOUND) == 12


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: calibration.false_positives(["bayes"]), "no trial 'bayes'"),
        (lambda: calibration.false_positives(n_seeds=0), "n_seeds"),
        (lambda: calibration.false_positives(alpha=1.0), "alpha"),
        (lambda: calibration.power(n_donors=[4]), "at least 6"),
        (lambda: calibration.pseudo_replication(cells=[0]), "1 cell"),
        (lambda: calibration.pseudo_replication(n_donors=4), "6 donors"),
    ],
)
def test_bad_options_are_refused(call, message):
    with pytest.raises(ParameterError, match=message):
        call()
