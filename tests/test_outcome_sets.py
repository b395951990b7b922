"""Outcomes are those of the table or planted ones, which the Cox model finds."""

import pandas as pd
import pytest

from sicmir.chapters.pairs import pair_sets
from sicmir.chapters.statistics import outcome_sets
from sicmir.donors import survival
from sicmir.errors import DataError, UnreachableError


@pytest.fixture(scope="module")
def tumours():
    pairs = pair_sets.load_pairs("toy")
    return outcome_sets.all_measured(pairs, "tumour")


def write(tmp_path, tumours, **columns):
    donors = tumours.obs["donor"].unique()[:20]
    table = pd.DataFrame({"donor": donors, "time": range(1, 21), "event": [1, 0] * 10})
    path = tmp_path / "clinical.csv"
    table.rename(columns=columns).to_csv(path, index=False)
    return path, table


def test_the_planted_mirna_decides_over_survival():
    outcomes = outcome_sets.load_outcomes(None, "toy")
    table = survival.cox(outcomes, "time", "event", stratum_key="cohort", min_grade="")
    first = table.sort_values("p").iloc[0]
    assert first["mirna"] == outcomes.uns["truth"]["decides"]
    assert first["finding"]
    assert table["finding"].sum() <= 2
    curves = outcome_sets.halves(outcomes, first["mirna"])
    assert set(curves["group"]) == {"low", "high"}
    late = curves[curves["time"] <= curves["time"].median()].groupby("group")["survival"].min()
    assert late["high"] < late["low"]


@pytest.mark.parametrize(
    "names", [{}, {"donor": "bcr_patient_barcode", "time": "OS.time", "event": "OS"}, {"donor": "patient"}]
)
def test_a_table_of_ones_own(tmp_path, tumours, names):
    path, table = write(tmp_path, tumours, **names)
    found = outcome_sets.load_outcomes(tumours, path)
    known = table.set_index("donor")
    assert found.obs["time"].tolist() == known.loc[found.obs["donor"], "time"].tolist()
    assert set(found.obs["donor"]) == set(known.index)
    assert not found.uns["sicmir"]["synthetic"] or "decides" not in found.uns["truth"]


@pytest.fixture
def measured(tumours):
    real = tumours.copy()
    real.uns["sicmir"] = dict(tumours.uns["sicmir"]) | {"synthetic": False}
    return real


def test_the_table_of_tcga(tmp_path, measured, monkeypatch):
    _, table = write(tmp_path, measured)
    sheet = table.rename(columns={"donor": "bcr_patient_barcode", "time": "OS.time", "event": "OS"})
    sheet = sheet.astype({"OS": object, "OS.time": object}).assign(type="LIHC", Redaction="")
    sheet.loc[0, "OS.time"] = "#N/A"
    sheet.loc[1, "Redaction"] = "Redacted"
    path = tmp_path / "cdr.xlsx"
    with pd.ExcelWriter(path) as writer:
        sheet.to_excel(writer, sheet_name="TCGA-CDR")
        pd.DataFrame({"note": ["other endpoints"]}).to_excel(writer, sheet_name="ExtraEndpoints")
    monkeypatch.setattr(outcome_sets, "fetch_file", lambda entry: path)
    found = outcome_sets.load_outcomes(measured, "auto")
    assert set(found.obs["donor"]) == set(table["donor"][2:])
    known = table.set_index("donor").loc[found.obs["donor"]]
    assert found.obs["time"].tolist() == known["time"].tolist()
    assert found.obs["event"].tolist() == known["event"].tolist()
    assert outcome_sets.CDR in found.uns["sicmir"]["sources"]["name"].tolist()
    assert not found.uns["sicmir"]["synthetic"]


def test_without_the_table_of_tcga_there_are_toy_donors(measured, tumours, monkeypatch):
    def unreachable(entry):
        assert entry.name == outcome_sets.CDR
        raise UnreachableError("not there")

    monkeypatch.setattr(outcome_sets, "fetch_file", unreachable)
    with pytest.warns(UserWarning, match="SYNTHETIC DATA: no outcome could be reached"):
        found = outcome_sets.load_outcomes(measured, "auto")
    assert found.uns["sicmir"]["synthetic"]
    assert outcome_sets.load_outcomes(tumours, "auto").uns["truth"]["decides"]  # and asks for nothing


def test_tables_that_cannot_be_used(tmp_path, tumours):
    path, table = write(tmp_path, tumours, time="months")
    with pytest.raises(DataError, match="expected a column time or OS.time"):
        outcome_sets.load_outcomes(tumours, path)
    pd.concat([table, table]).to_csv(path, index=False)
    with pytest.raises(DataError, match="occurs twice"):
        outcome_sets.load_outcomes(tumours, path)
    table.assign(donor=[f"X{i}" for i in range(20)]).to_csv(path, index=False)
    with pytest.raises(DataError, match="none of its 20 donors"):
        outcome_sets.load_outcomes(tumours, path)
    with pytest.raises(DataError, match="no survival table"):
        outcome_sets.load_outcomes(tumours, tmp_path / "none.csv")


def test_only_the_condition_asked_for(tumours):
    assert set(tumours.obs["condition"]) == {"tumour"}
