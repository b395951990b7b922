import pandas as pd
import pytest

from sicmir import paths
from sicmir.chapters.benchmark import stored_run
from sicmir.chapters.statistics import stored_calibration
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
    assert found.loc[found["sound"], "rate"].between(0.03, 0.07).all()
    assert (found.loc[~found["sound"], "rate"] > 0.07).any()
    made = stored_run.record(stored_calibration.folder())["tables"]
    assert set(made) == {path.stem for path in STORED.glob("*.csv")}


def test_an_absent_table_is_named(tmp_path):
    (tmp_path / "record.json").write_text('{"tables": {}, "date": "2026-01-01"}')
    with pytest.raises(DataError, match="no table 'false_positives'"):
        stored_calibration.rates(str(tmp_path))
