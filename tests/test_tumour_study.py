"""The chapter on pancreatic tumours: data, steps on toy cells, and the page on a file of one's own."""

from dataclasses import replace

import anndata as ad
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from run_notebook import run_notebook
from sklearn.metrics import adjusted_rand_score

from sicmir import data, paths, stats
from sicmir.cells import cell_annotation, cell_quality, marker_agreement
from sicmir.cells.cell_annotation import PANCREAS, UNASSIGNED
from sicmir.chapters import claims
from sicmir.chapters.pancreas import tumour_headline, tumour_plots, tumour_sets, tumour_study
from sicmir.errors import DataError, ParameterError, UnreachableError

NOTEBOOK = paths.project() / "notebooks" / "31_pdac.ipynb"


@pytest.fixture(scope="module")
def toy():
    """Toy cells with their clusters and their model."""
    cells = tumour_sets.load_cells("toy")
    named, clustered, names = tumour_study.annotate(cells, tumour_sets.toy_markers())
    return named, clustered, names, tumour_sets.model_for(cells)


@pytest.fixture(scope="module")
def predicted(toy):
    return tumour_study.predict_pools(toy[0], toy[3], "auto", 10)


def test_toy_takes_the_place_of_what_cannot_be_reached(monkeypatch):
    def refuse(*_):
        raise UnreachableError("nothing there")

    monkeypatch.setattr(data, "load", refuse)
    with pytest.warns(UserWarning, match="SYNTHETIC DATA: no real data set.*nothing there"):
        cells = tumour_sets.load_cells("auto")
    assert cells.uns["sicmir"]["synthetic"]
    assert cells.obs.groupby("condition")["donor"].nunique().to_dict() == {"metastasis": 2, "primary": 3}
    assert "cell_type" not in cells.obs
    with pytest.raises(UnreachableError):
        tumour_sets.load_cells("pdac")


def test_planted_cell_types_are_named_by_their_markers(toy):
    named, _, names, _ = toy
    assert adjusted_rand_score(named.obs["planted"], named.obs["cell_type"]) > 0.9
    assert (named.obs["planted"].astype(str) == named.obs["cell_type"]).mean() > 0.95
    assert set(names["cell_type"]) <= {*tumour_sets.toy_markers(), UNASSIGNED}


def test_planted_mirnas_of_the_pools_are_predicted(toy, predicted):
    pools, kept = predicted
    table = tumour_headline.planted(toy[0], pools).set_index("figure")["value"]
    assert table["r of predicted and planted values, median"] > 0.7
    truth = tumour_sets.toy_tumours(0).measured.to_df()
    good = kept.var_names[kept.var["grade"].isin(["A", "B"])]
    rows = (kept.obs["donor"] + "|" + kept.obs["cell_type"]).to_numpy()
    r = [np.corrcoef(kept.to_df()[name], truth.loc[rows, name])[0, 1] for name in good]
    assert table["r of predicted and planted values, median"] == pytest.approx(np.median(r), abs=1e-5)
    real = toy[0].copy()
    del real.obs["planted"]
    assert "no planted truth" in tumour_headline.planted(real, pools).iloc[0, 0]


def test_clustering_again_repeats_every_step(toy, predicted):
    named, _, _, model = toy
    contrasts = marker_agreement.measured_contrasts(tumour_sets.load_libraries(model))
    cells = named.copy()
    del cells.obs["cell_type"], cells.obs["cluster"]
    found = tumour_headline.repeated(cells, tumour_sets.toy_markers(), model, contrasts, [(1.5, 0)])
    judged = marker_agreement.signs(contrasts, stats.markers(predicted[1]))
    assert (found.loc[0, "agree"], found.loc[0, "n"]) == marker_agreement.share(judged, "A")
    assert found.loc[0, "pools"] == predicted[1].n_obs
    assert found.loc[0, "unassigned"] == (named.obs["cell_type"] == UNASSIGNED).sum()
    assert tumour_headline.repeated(named, {}, model, contrasts, [(1.5, 0)]).empty


def test_given_types_are_kept(toy):
    cells = toy[0].copy()
    cells.obs["cell_type"] = np.where(cells.obs["planted"] == "type A", "mine", "other")
    named, clustered, names = tumour_study.annotate(cells, {})
    assert named.obs["cell_type"].tolist() == cells.obs["cell_type"].tolist()
    assert names.empty
    assert "cluster" in named.obs
    assert tumour_study.shown_markers(clustered, PANCREAS) == {}


def test_first_markers_are_those_with_the_largest_difference(toy, predicted):
    markers = stats.markers(predicted[1], min_grade="B")
    table = tumour_study.marker_table(markers, n=2)
    for name, part in markers[~markers["greyed"]].groupby("cell_type", observed=True):
        best = part.sort_values("effect", ascending=False)["mirna"].head(2).tolist()
        assert table.loc[table["cell_type"] == name, "mirna"].tolist() == best
    shown = tumour_study.top_markers(markers, 2)
    assert sorted(shown) == sorted(set(table["mirna"]))
    figure = tumour_plots.mirna_dots(markers, shown)
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == shown
    plt.close(figure)


def test_the_cell_type_of_the_network(predicted):
    kept = predicted[1]
    assert tumour_study.network_type(kept, "", tumour_sets.toy_markers()) == "type A"
    assert tumour_study.network_type(kept, "type D", tumour_sets.toy_markers()) == "type D"
    donors = kept.obs.groupby("cell_type", observed=True)["donor"].nunique()
    assert donors[tumour_study.network_type(kept, "", PANCREAS)] == donors.max()
    with pytest.raises(ParameterError, match="tumour_type='X' was not predicted"):
        tumour_study.network_type(kept, "X", PANCREAS)


def test_tissues_stand_beside_what_was_predicted(predicted):
    kept = predicted[1]
    tissues = tumour_sets.load_tissues(tumour_sets.toy_model(0))
    name = kept.var_names[0]
    found = tumour_study.by_tissue(tissues, kept, f"{name}, no-such", "type A").iloc[0]
    values = tissues.to_df().groupby(tissues.obs["cell_type"].to_numpy())[name].mean()
    assert found["in_tissue"] == pytest.approx(values["type A"])
    assert found["elsewhere"] == pytest.approx(values.drop("type A").median())
    assert found["place"] == (values >= values["type A"]).sum()
    by_type = kept.to_df()[name].groupby(kept.obs["cell_type"].to_numpy()).median()
    assert (found["lowest"], found["highest"]) == pytest.approx((by_type.min(), by_type.max()))
    absent = tumour_study.by_tissue(tissues, kept, name, "pancreas").iloc[0]
    assert np.isnan(absent["in_tissue"])
    assert absent["place"] is pd.NA
    nothing = tumour_study.by_tissue(tissues, kept, "no-such", "type A")
    assert nothing.empty
    assert "place" in nothing


def test_the_toy_section_has_a_quarter_for_each_type():
    section = tumour_sets.load_spots(tumour_sets.toy_model(0))
    assert not section.obs.duplicated(["x", "y"]).any()
    corners = section.obs.groupby("region")[["x", "y"]].agg(["min", "max"])
    assert len(corners) == 4
    assert ((corners["x", "max"] - corners["x", "min"]) == 9).all()


def test_spots_of_a_file(tmp_path):
    section = tumour_sets.load_spots(tumour_sets.toy_model(0))[:40].copy()
    section.obsm["spatial"] = section.obs[["x", "y"]].to_numpy()
    section.obs = section.obs[["region"]].rename(columns={"region": "layer"})
    section.obs.loc[section.obs_names[0], "layer"] = np.nan
    section.write_h5ad(tmp_path / "spots.h5ad")
    found = tumour_sets.load_spots(tumour_sets.toy_model(0), str(tmp_path / "spots.h5ad"), "layer")
    np.testing.assert_array_equal(found.obs[["x", "y"]], section.obsm["spatial"])
    assert found.obs["region"].iloc[0] == ""
    with pytest.raises(DataError, match="no column 'region'"):
        tumour_sets.load_spots(tumour_sets.toy_model(0), str(tmp_path / "spots.h5ad"))


def test_a_data_set_of_several_tables_holds_no_spots(monkeypatch):
    monkeypatch.setattr("sicmir.data.catalogue.load", lambda dataset: {"a": None, "b": None})
    with pytest.raises(DataError, match="hcc holds several tables; expected one of spots × genes"):
        tumour_sets.load_spots(tumour_sets.toy_model(0), "hcc")


def test_what_the_page_quotes_is_in_its_tables(toy, predicted):
    """Every figure again, from tables in which no two of them are alike."""
    pools = predicted[0].copy()
    pools.obs["abstained"] = np.arange(pools.n_obs) < 3
    pools.obs["in_domain"] = np.arange(pools.n_obs) >= 8  # 3 of these 8 are abstained
    quality = pd.DataFrame({"barcodes": [70, 50], "cells": [40, 21]})
    names = pd.DataFrame({"n_cells": [30, 17, 14], "cell_type": ["type A", UNASSIGNED, UNASSIGNED]})
    signs = [*"AAAAAAAA", *"BBBBB", *"CC"]
    judged = pd.DataFrame(
        {
            "cell_type": "type A",
            "mirna": [f"m{i}" for i in range(15)],
            "grade": signs,
            "agrees": [True] * 5 + [False] * 3 + [True, True, True, False, True] + [False] * 2,
            "lower": [1.0, 1.0, 1.0, -1.0, -1.0, -1.0, 1.0, np.nan, *[1.0] * 7],
            "upper": [2.0] * 7 + [np.nan] + [2.0] * 7,
        }
    )
    shares = marker_agreement.shares(judged, pd.Series(dtype=str))
    orders = pd.DataFrame({"share": [0.625, 0.1, 0.7, 0.4]})
    windows = ad.AnnData(obs=pd.DataFrame({"abstained": [True, False, False, False]}, list("abcd")))
    verdicts = pd.DataFrame({"verdict": ["agrees"] * 4 + ["disagrees"] * 2 + ["cannot tell"] * 5})
    given = (judged, shares, orders, "conditions", windows, verdicts, "labels")
    found = tumour_headline.headline(quality, names, toy[3], pools, *given)
    limits = shares.set_index("interval").loc["all", ["lower", "upper"]]
    assert found == {
        "trained_on": "were not",
        "n_barcodes": 120,
        "n_cells": 61,
        "n_donors": 2,
        "n_unassigned": 31,
        "n_pools": pools.n_obs,
        "n_predicted": pools.n_obs - 3,
        "n_abstained": 3,
        "n_outside": 5,
        "sign_n": 8,
        "sign_n_b": 5,
        "signs_told": (
            "Where libraries of such cells give a direction, the prediction has the same sign for 5 of 8 "
            "differences of grade A (62 %; 95 % interval over 8 genomic clusters "
            f"{100 * limits['lower']:.0f} % to {100 * limits['upper']:.0f} %), and for 4 of 5 of grade B. "
            "Where the interval over donors leaves out 0, 3 of 4 agree. Where the interval over donors holds "
            "0, 2 of 3 agree."
        ),
        "names_told": (
            "Of 4 ways to name the cell types the right one takes place 2; the next best reaches 70 %, the "
            "median 40 %."
        ),
        "conditions": "conditions",
        "n_windows": 4,
        "windows_abstained": "25 %",
        "claims_told": (
            "Of 11 published claims the run agrees with 4, disagrees with 2, and cannot tell of 5."
        ),
        "labels": "labels",
    }
    assert limits["lower"] < 0.4 < 0.8 < limits["upper"]
    alike = judged.assign(agrees=True)
    told = tumour_headline.signs_told(alike, marker_agreement.shares(alike, pd.Series(dtype=str)))
    assert "8 of 8 differences of grade A (100 %; no interval, over 8 genomic clusters)" in told
    none = judged.iloc[:0]
    told = tumour_headline.signs_told(none, marker_agreement.shares(none, pd.Series(dtype=str)))
    assert told.startswith("No predicted difference of grade A has a known direction")
    assert tumour_headline.names_told(orders.iloc[:1]).startswith("There are too few cell types")
    assert claims.told(verdicts.iloc[:0]).startswith("No published claims are about what is compared")
    for cohorts, told in (({"PAAD": 9}, "were"), ({}, "are not known to be")):
        other = replace(toy[3], card={"training_data": {"cohorts": cohorts}})
        assert tumour_headline.headline(quality, names, other, pools, *given)["trained_on"] == told


def principal_plane(clustered, seed=0):
    return pd.DataFrame(clustered.obsm["X_pca"][:, :2], clustered.obs_names, ["x", "y"])


def run_page(folder, monkeypatch, cells, obs, model, **parameters):
    """Every cell of the page on a file that was written to ``folder``; its names."""
    monkeypatch.setattr(cell_annotation, "embedding", principal_plane)  # t-SNE takes long and is only seen
    ad.AnnData(cells.X, obs, cells.var[[]]).write_h5ad(folder / "mine.h5ad")
    model.save(folder / "model")
    parameters |= {
        "dataset": str(folder / "mine.h5ad"),
        "model": str(folder / "model"),
        "out_dir": str(folder / "results"),
    }
    return run_notebook(NOTEBOOK, parameters)


def test_a_page_of_another_data_set_by_parameters_alone(toy, tmp_path, monkeypatch):
    """A file with columns of its own names and a model of its own; what was planted comes out."""
    cells = toy[0]
    obs = pd.DataFrame(
        {
            "kind": cells.obs["planted"].astype(str),
            "patient": cells.obs["donor"].astype(str),
            "site": np.where(cells.obs["condition"] == "primary", "pancreas", "lung"),
        },
        cells.obs_names,
    )
    keys = {"cell_type_key": "kind", "donor_key": "patient", "condition_key": "site"}
    page = run_page(tmp_path, monkeypatch, cells, obs, toy[3], **keys, case="lung", reference="pancreas")
    assert page["cells"].uns["sicmir"]["dataset"] == "mine.h5ad"
    judged = page["judged"]
    good = judged[judged["grade"].isin(["A", "B"])]
    assert good["agrees"].mean() >= 0.8
    assert len(good) >= 8
    assert "the right one takes place 1;" in page["figures"]["names_told"]
    assert page["shifts"]["score"].head(3).min() > 2  # planted targets
    assert page["pairs"][["n_case", "n_reference"]].max().tolist() == [2, 3]
    written = {path.name for path in (tmp_path / "results").iterdir()}
    assert written >= {
        "predicted.h5ad",
        "markers.csv",
        "signs.csv",
        "conditions.csv",
        "claims.csv",
        "cells.csv",
    }
    saved = pd.read_csv(tmp_path / "results" / "signs.csv")
    assert len(saved) == len(judged)


def test_a_page_of_one_cell_type_and_donors_with_both_conditions(toy, tmp_path, monkeypatch):
    """Sorted cells, before and after: nothing can mark a cell type, and pairs of samples are tested."""
    one = toy[0][(toy[0].obs["planted"] == "type A").to_numpy()]
    order = np.arange(one.n_obs) % 2
    obs = pd.DataFrame(
        {
            "cell_type": "tumour",
            "donor": one.obs["donor"].astype(str),
            "condition": np.array(["primary", "metastasis"])[order],
        },
        one.obs_names,
    )
    page = run_page(tmp_path, monkeypatch, one, obs, toy[3], cell_type_key="cell_type")
    assert page["predicted"].n_obs == 10
    assert page["quality"]["condition"].tolist() == ["metastasis, primary"] * 5
    assert page["markers"].empty
    assert page["shifts"].empty
    assert page["pairs"]["tested"].any()
    assert page["figures"]["conditions"].startswith("In tumour (4 donors with both), ")
    assert page["verdicts"].empty
    assert page["figures"]["sign_n"] == 0


@pytest.mark.real
def test_the_tumours_are_what_the_text_says():
    try:
        cells = tumour_sets.load_cells("pdac")
        labels = tumour_sets.author_labels(cells)
    except UnreachableError as error:
        pytest.skip(f"REAL DATA NOT REACHED, so this test did not run: {str(error)[:200]}")
    assert cells.n_obs == 3195
    good, measured, quality = tumour_study.quality_control(cells, cell_quality.Rule())
    assert good.n_obs == 1819
    unknown = measured["mitochondrial"].isna()
    assert (unknown == (cells.obs["condition"] == "metastasis")).all()
    assert quality["mitochondrial"].isna().sum() == 2
    names = cells.var["ensembl"].to_numpy()
    by_id = ad.AnnData(cells.X, cells.obs, pd.DataFrame(index=names), uns=dict(cells.uns))
    again, _, table = tumour_study.quality_control(by_id, cell_quality.Rule())
    assert again.obs_names.tolist() == good.obs_names.tolist()
    pd.testing.assert_frame_equal(table, quality)
    assert quality.groupby("condition")["donor"].size().to_dict() == {"metastasis": 2, "primary": 3}
    assert labels["sample"].value_counts()[["P01", "P02", "P04"]].tolist() == [407, 143, 289]
    for genes in PANCREAS.values():
        assert 2 * sum(gene in cells.var_names for gene in genes) >= len(genes)
