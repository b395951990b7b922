"""Lines with measured miRNA: rows matched, the right names better than exchanged ones."""

import numpy as np
import pandas as pd
import pytest

import sicmir
from sicmir import metrics
from sicmir.chapters.single_cells import cell_lines
from sicmir.errors import UnreachableError


@pytest.fixture(scope="module")
def toy():
    return cell_lines.load_lines(sicmir.load_model(), "toy")


def test_toy_lines_are_told_apart(toy):
    (lines,) = toy
    assert lines.measured.obs_names.equals(lines.predicted.obs_names)
    table = cell_lines.by_grade(toy)
    assert (table["pearson"] > table["exchanged"] + 0.3).all()
    assert table["n_mirnas"].sum() == len(cell_lines.per_mirna(lines))
    assert cell_lines.between(toy)["spearman"].iloc[0] > 0.5


def test_only_mirnas_that_differ_are_judged(toy):
    (lines,) = toy
    table = cell_lines.per_mirna(lines)
    measured = lines.measured.to_df()
    assert set(table.index) == set(measured.columns[measured.std() >= cell_lines.LEAST_SD])
    expected = metrics.per_mirna(
        measured, lines.predicted.to_df()[measured.columns], lines.measured.obs["tissue"], min_samples=4
    )
    assert table["pearson"].to_numpy() == pytest.approx(expected.loc[table.index, "pearson"].to_numpy())


def test_what_cannot_be_had_is_left_out(monkeypatch):
    def unreachable():
        raise UnreachableError("not there")

    monkeypatch.setattr(cell_lines, "load_nci60", unreachable)
    monkeypatch.setattr(cell_lines, "load_pscsr", unreachable)
    with pytest.warns(UserWarning, match="is left out: not there"):
        found = cell_lines.load_lines(sicmir.load_model())
    assert [lines.name for lines in found] == ["toy"]


@pytest.mark.real
def test_the_rows_of_the_nci60_are_matched():
    try:
        mrna, mirna = cell_lines.load_nci60()
    except UnreachableError:
        pytest.skip("nci60 cannot be reached")
    assert mrna.obs_names.equals(mirna.obs_names)
    assert (mrna.n_obs, mirna.n_obs) == (59, 59)
    assert mrna.obs["tissue"].value_counts().to_dict()["skin"] == 10 or mrna.obs["tissue"].nunique() == 9
    # Tissue markers, and miRNAs of a host gene, which a wrong order would not give.
    genes, mirnas = mrna.to_df(), mirna.to_df()
    skin = (mrna.obs["tissue"] == "skin").to_numpy()
    assert genes.loc[skin, "MLANA"].median() > genes.loc[~skin, "MLANA"].median() + 2
    blood = (mirna.obs["tissue"] == "blood").to_numpy()
    assert mirnas.loc[blood, "hsa-miR-142-3p"].median() > mirnas.loc[~blood, "hsa-miR-142-3p"].median() + 2
    host = pd.concat([genes["MEST"], mirnas["hsa-miR-335-5p"]], axis=1).corr(method="spearman").iloc[0, 1]
    exchanged = [
        np.corrcoef(genes["MEST"].rank(), np.roll(mirnas["hsa-miR-335-5p"].rank(), shift))[0, 1]
        for shift in range(5, 55)
    ]
    assert host > max(exchanged)
