import pandas as pd
import pytest

from sicmir import paths
from sicmir.chapters.benchmark import stored_run
from sicmir.chapters.statistics import calibration_headline, stored_calibration
from sicmir.chapters.statistics.calibration import TRIALS
from sicmir.errors import DataError

STORED = paths.project() / "benchmarks" / "calibration"


def test_rates_are_those_of_the_tables_and_every_sound_test_holds_five_per_cent():
    found = stored_calibration.rates()
    assert set(found.loc[found["subject"] == "donors and survival", "test"]) == set(TRIALS)
    hubs = pd.read_csv(STORED / "hub_false_positives.csv")
    row = found.query("subject == 'hubs, 60 donors' and test == 'p' and nothing == 'together'").iloc[0]
    assert row["rate"] == pytest.approx(hubs.loc[hubs["null"] == "together", "p"].mean())
    assert row["n_seeds"] == hubs["seed"].nunique() >= 200
    assert (found["n_seeds"] >= 200).all()
    assert found.loc[found["promise"] == "holds 5 %", "rate"].between(0.03, 0.07).all()
    assert (found.loc[found["promise"] == "stays below 5 %", "rate"] < 0.07).all()
    assert (found.loc[found["promise"].isin(["mistake", "finds its part"]), "rate"] > 0.07).any()
    joint = found.query("subject == 'crosstalk' and test == 'p'")
    assert set(joint["promise"]) == {"stays below 5 %"}
    made = stored_run.record(stored_calibration.folder())["tables"]
    assert set(made) == {path.stem for path in STORED.glob("*.csv")}


def test_figures_of_the_full_run_name_the_tests_that_leave_their_level():
    rates, figures = stored_calibration.rates(), calibration_headline.full_run()
    holding = rates[rates["promise"] == "holds 5 %"]
    above = holding.query("lower > 0.05")
    assert figures["full_n_sound"] == len(holding)
    assert figures["full_highest"] == above["rate"].max()
    low = (holding["upper"] < 0.05).sum()
    assert figures["full_beyond"].startswith(f"{low} lie below 5 % and {len(above)} above: ")
    assert all(name in figures["full_beyond"] for name in above["test"])
    assert figures["full_n_joint"] == 4


def test_figures_of_the_tests_drawn_here():
    rates = pd.DataFrame(
        {
            "trial": ["pairs", "Cox", "cut-off, corrected", "cut-off, naive"],
            "sound": [True, True, True, False],
            "n_donors": [20, 40, 40, 12],
            "rate": [0.04, 0.06, 0.05, 0.3],
        }
    )
    figures = calibration_headline.drawn_here(rates)
    assert (figures["n_sound"], figures["lowest"], figures["highest"]) == (3, 0.04, 0.06)
    assert (figures["naive_cut"], figures["corrected_cut"]) == (0.3, 0.05)
    assert (figures["fewest_donors"], figures["most_donors"]) == (12, 40)


def test_clauses_hold_where_nothing_was_found():
    rates = pd.DataFrame({"test": ["t"], "nothing": [""], "rate": [0.05], "lower": [0.04], "upper": [0.06]})
    assert calibration_headline.beyond(rates) == "none lies below 5 % and none above"
    assert calibration_headline.beyond(rates.assign(lower=0.051, nothing="genes")) == (
        "none lies below 5 % and 1 above: t (genes) 5.0 %"
    )
    donors = pd.Index([3, 6, 10], name="n_donors")
    for power, text in (
        ([0, 0, 0], "but none is called with up to 10"),
        ([0, 0.5, 1], "but none is called with fewer than 6"),
        ([0.1, 1, 1], "and called as well"),
    ):
        assert calibration_headline.first_called(pd.DataFrame({"power": power}, donors)) == text


def test_an_absent_table_is_named(tmp_path):
    (tmp_path / "record.json").write_text('{"tables": {}, "date": "2026-01-01"}')
    with pytest.raises(DataError, match="no table 'false_positives'"):
        stored_calibration.rates(str(tmp_path))
