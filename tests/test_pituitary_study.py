"""The chapter on the pituitary: data, steps on toy cells, and the page on a file of one's own."""

from dataclasses import replace
from functools import partial

import anndata as ad
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from run_notebook import run_notebook

import sicmir
from sicmir import data, paths
from sicmir.cells import cell_annotation, cell_quality
from sicmir.chapters import claims
from sicmir.chapters.pancreas import tumour_headline, tumour_sets
from sicmir.chapters.pituitary import (
    animal_controls,
    pituitary_headline,
    pituitary_plots,
    pituitary_sets,
    pituitary_study,
)
from sicmir.chapters.pituitary.low_coverage import few_genes
from sicmir.chapters.pituitary.pituitary_sets import PITUITARY
from sicmir.errors import DataError, ParameterError, UnreachableError
from sicmir.names import orthologues

NOTEBOOK = paths.project() / "notebooks" / "32_pituitary.ipynb"


def signature(n_genes=40):
    """A small signature matrix: three lineages and two other types, a few landmarks, 1 for what is low."""
    names = ["Tumor_TBX19", "Tumor_POU1F1", "Tumor_NR5A1", "T_NK_cell", "Mast"]
    genes = [*orthologues.mouse_genes()["symbol"][:n_genes], *(f"GENE{i}" for i in range(60))]
    values = np.random.default_rng(0).gamma(1, 100, (5, len(genes))).astype(np.float32)
    values[:, ::2] = 1
    adata = ad.AnnData(np.maximum(values, 1), pd.DataFrame(index=names), pd.DataFrame(index=genes))
    adata.uns["sicmir"] = {"dataset": "pituitary", "synthetic": False, "units": "linear"}
    return adata


@pytest.fixture(scope="module")
def toy():
    cells = pituitary_sets.load_cells("toy")
    model = tumour_sets.model_for(cells)
    pools = pituitary_study.profiles(cells)
    return cells, model, pools, *pituitary_study.predict(pools, model)


def test_toy_takes_the_place_of_what_cannot_be_reached(monkeypatch):
    def refuse(*_):
        raise UnreachableError("nothing there")

    for name in ("load", "load_table"):
        monkeypatch.setattr(data, name, refuse)
    with pytest.warns(UserWarning, match="SYNTHETIC DATA: no real data set.*nothing there"):
        cells = pituitary_sets.load_cells("auto")
    assert cells.obs.groupby("condition")["donor"].nunique().to_dict() == {"normal": 2, "tumour": 3}
    with pytest.raises(UnreachableError):
        pituitary_sets.load_cells("pituitary")
    real = replace(tumour_sets.model_for(cells), card={})
    with pytest.warns(UserWarning, match="no measured cells could be reached"):
        _, mirna, model = pituitary_sets.load_known(real)
    assert model is tumour_sets.toy_model(0)
    assert set(mirna.obs["source"]) == {"toy"}


def test_the_signature_is_read_as_profiles_and_abstained(monkeypatch, toy):
    monkeypatch.setattr(data, "load_table", lambda key: signature())
    found = pituitary_sets.load_cells("pituitary")
    assert found.obs["cell_type"].tolist() == [
        "corticotroph",
        "POU1F1 lineage",
        "gonadotroph",
        "T or NK",
        "Mast",
    ]
    assert pituitary_study.are_profiles(found)
    named, steps = pituitary_study.name_cells(found, cell_quality.Rule())
    assert named is found
    assert steps.iloc[0, 0] == "as they came with the data"
    assert pituitary_study.profiles(found) is found
    assert few_genes(found).sum() == 40
    assert pituitary_study.case_type(found) == "corticotroph"
    assert pituitary_study.case_type(found, "Mast") == "Mast"
    with pytest.raises(ParameterError, match="case_type='neuron': expected one of Mast"):
        pituitary_study.case_type(found, "neuron")
    predicted, kept = pituitary_study.predict(found, toy[1])
    assert predicted.obs["abstained"].all()
    assert kept.n_obs == 0
    markers = pituitary_study.markers(kept, "tumour")
    assert markers.empty
    assert "No two cell types" in pituitary_headline.first_markers(markers).iloc[0, 0]
    plt.close(pituitary_plots.markers(markers))
    conditions = pituitary_study.tumour_against_normal(kept, "corticotroph", "tumour", "normal")
    assert conditions["effect"].isna().all()
    lineage = pituitary_study.against_lineages(kept, "corticotroph", "", "tumour")
    assert lineage["effect"].isna().all()
    assert "not predicted" in pituitary_headline.first_effects(conditions).iloc[0, 0]


def test_planted_mirnas_of_the_pools_are_predicted(toy):
    _, _, pools, predicted, kept = toy
    assert kept.n_obs > 15
    table = tumour_headline.planted(pools, predicted).set_index("figure")["value"]
    assert table["r of predicted and planted values, median"] > 0.7
    truth = tumour_sets.toy_tumours(0).measured.to_df()
    markers = pituitary_study.markers(kept, "tumour")
    good = markers[markers["finding"] & (markers["grade"] == "A")]
    assert len(good) >= 10
    types = truth.index.str.split("|").str[1]
    means = truth.groupby(types).mean()
    planted = [
        means.loc[row.cell_type, row.mirna] - means.drop(row.cell_type)[row.mirna].mean()
        for row in good.itertuples()
    ]
    assert (np.sign(planted) == np.sign(good["effect"])).mean() > 0.9


def test_conditions_of_one_type_are_compared_with_the_donors_that_there_are(toy):
    kept = toy[4]
    found = pituitary_study.tumour_against_normal(kept, "type A", "tumour", "normal")
    rows = kept.obs["cell_type"] == "type A"
    tumour = (kept.obs["condition"] == "tumour")[rows].to_numpy()
    values = kept[rows.to_numpy()].X
    expected = pd.Series(values[tumour].mean(axis=0) - values[~tumour].mean(axis=0), kept.var_names)
    effects = found.set_index("mirna")["effect"]
    np.testing.assert_allclose(effects, expected[effects.index], atol=1e-5)
    assert found["lower"].isna().all()  # two normal donors are too few for an interval
    assert len(pituitary_headline.first_effects(found, 3)) == 3


def test_a_lineage_is_compared_with_others_over_donors(toy):
    kept = toy[4]
    tumours = kept[(kept.obs["condition"] == "tumour").to_numpy()].copy()
    # One lineage a donor, as of tumours.
    own = {"TOY-0001": "type A", "TOY-0002": "type B", "TOY-0003": "type C"}
    alone = tumours[(tumours.obs["donor"].map(own) == tumours.obs["cell_type"]).to_numpy()].copy()
    assert pituitary_study.markers(alone, "tumour").empty
    found = pituitary_study.against_lineages(alone, "type A", "type B, type C", "tumour").set_index("mirna")
    values = alone.to_df().set_axis(alone.obs["cell_type"].to_numpy())
    expected = values.loc["type A"] - values.loc[["type B", "type C"]].mean()
    np.testing.assert_allclose(found["effect"], expected[found.index], atol=1e-5)
    assert found["p"].isna().all()
    whole = pituitary_study.against_lineages(kept, "type A", "", "tumour").set_index("mirna")
    truth = tumour_sets.toy_tumours(0).measured.to_df()
    means = truth.groupby(truth.index.str.split("|").str[1]).mean()
    planted = means.loc["type A"] - means.drop("type A").mean()
    good = whole.index[whole["grade"].isin(["A", "B"])]
    assert np.corrcoef(planted[good], whole.loc[good, "effect"])[0, 1] > 0.9
    with pytest.raises(ParameterError, match="other_lineages names 'type Z'; predicted are type A"):
        pituitary_study.against_lineages(kept, "type A", "type Z", "tumour")


def test_a_donor_may_have_a_tumour_and_the_gland_beside_it(toy):
    cells, model = toy[0].copy(), toy[1]
    cells.obs["condition"] = np.where(np.arange(cells.n_obs) % 2, "tumour", "normal")
    pools = pituitary_study.profiles(cells)
    assert pools.n_obs == 2 * toy[2].n_obs
    _, kept = pituitary_study.predict(pools, model)
    found = pituitary_study.tumour_against_normal(kept, "type B", "tumour", "normal")
    assert not found["finding"].any()  # halves of the same cells
    assert found["effect"].abs().max() < 1
    markers = pituitary_study.markers(kept, "tumour")
    assert markers["n_case"].max() <= kept.obs["donor"].nunique()
    assert markers["finding"].any()


def test_cells_without_a_type_are_named_by_markers(toy, monkeypatch):
    cells = toy[0][toy[0].obs["donor"].isin(["TOY-0001", "TOY-0004"]), :3000].copy()
    del cells.obs["cell_type"]
    monkeypatch.setattr(cell_annotation, "cluster", partial(cell_annotation.cluster, n_genes=500))
    named, steps = pituitary_study.name_cells(cells, cell_quality.Rule(min_genes=10))
    assert steps["named"].sum() == named.n_obs
    assert steps["cells"].sum() == cells.n_obs
    assert (named.obs["planted"].astype(str) == named.obs["cell_type"].astype(str)).mean() > 0.9
    assert set(PITUITARY) == set(pituitary_sets.markers_for(signature()))


def mouse_tables():
    """Both kinds of sample as the files of the manifest give them; names differ, and not all pair."""
    table, mirnas = orthologues.mouse_genes(), orthologues.mouse_mirnas()
    names = [
        f"WL{i}_Pd{age}{sex}{rep}"
        for i, (age, sex, rep) in enumerate([(12, "F", 1), (12, "M", 1), (32, "F", 2)])
    ]
    rng = np.random.default_rng(0)
    genes = [*table["mouse"], "Xkr4"]
    mrna = ad.AnnData(rng.poisson(50, (3, len(genes))).astype(np.float32), pd.DataFrame(index=names))
    mrna.var_names = genes
    mrna.uns["sicmir"] = {
        "modality": "mrna",
        "units": "read counts",
        "sources": pd.DataFrame({"name": ["a"]}),
    }
    own = ["novel1", *mirnas["mouse"]]
    obs = pd.DataFrame(
        {"sex": ["F", "F", "M"], "age": ["32", "12", "22"]}, index=["Pd32F_2", "Pd12F_1", "Pd22M_1"]
    )
    mirna = ad.AnnData(rng.poisson(2000, (3, len(own))).astype(np.float32), obs, pd.DataFrame(index=own))
    mirna.uns["sicmir"] = {
        "modality": "mirna",
        "synthetic": False,
        "dataset": "pituitary-mouse",
        "sources": pd.DataFrame({"name": ["b"]}),
    }
    return {"one": mrna, "two": mirna}


def test_mice_are_joined_by_age_sex_and_number(monkeypatch):
    monkeypatch.setattr(data, "load", lambda key: mouse_tables())
    model = sicmir.load_model()
    found = pituitary_sets.mice(model)
    assert found.mrna.obs_names.tolist() == found.mirna.obs_names.tolist() == ["Pd32F_2", "Pd12F_1"]
    assert found.mirna.obs["group"].tolist() == ["32F", "12F"]
    assert (found.n_mrna, found.n_mirna) == (3, 3)
    counts = mouse_tables()["one"]
    expected = np.log2(counts[2, "Psme1"].X.item() / counts[2].X.sum() * 1e6 + 1)
    assert found.mrna[0, "PSME1"].X.item() == pytest.approx(expected, rel=1e-5)
    assert set(found.mirna.var_names) <= set(model.mirnas)
    assert found.mirna.var.loc["hsa-mir-21", "mature"] == "hsa-miR-21-5p"
    reads = mouse_tables()["two"]
    scaled = reads["Pd12F_1", "mmu-miR-21a-5p"].X.item() / np.median(reads.X.sum(axis=1)) * 1e6
    assert found.mirna["Pd12F_1", "hsa-mir-21"].X.item() == pytest.approx(np.log2(scaled + 1), rel=1e-5)
    assert pituitary_sets.provenance(found).uns["sicmir"]["sources"]["name"].tolist() == ["b", "a"]
    tables = mouse_tables()
    tables["two"].obs_names = ["x", "y", "z"]
    monkeypatch.setattr(data, "load", lambda key: tables)
    with pytest.raises(DataError, match="no sample has both RNAs"):
        pituitary_sets.mice(model)


def test_claims_are_judged_by_predictions_and_by_tissues():
    names = ["hsa-mir-21", "hsa-mir-143", "hsa-mir-145"]
    conditions = pd.DataFrame(
        {
            "mirna": names,
            "effect": [-3.0, 4.0, -3.0],
            "lower_total": [-4.0, 2.0, -4.0],
            "upper_total": [-1.0, 6.0, 1.0],
            "grade": ["A", "B", "A"],
            "greyed": False,
        }
    )
    organ = pd.DataFrame({"mirna": ["hsa-miR-7-5p"], "effect": [9.0], "lower": [8.0], "upper": [10.0]})
    about = ("corticotroph", "tumour", "normal"), "brain__pituitary_gland"
    found = pituitary_study.literature(conditions, organ, "B", *about).set_index("mirna")
    assert len(found) == len(claims.load("32_pituitary"))
    assert found.loc["hsa-miR-21-5p", "verdict"] == "agrees"
    assert found.loc["hsa-miR-143-3p", "verdict"] == "disagrees"
    assert found.loc["hsa-miR-145-5p", "reason"] == "the interval holds 0"
    assert found.loc["hsa-miR-7-5p", "verdict"] == "agrees"
    assert found.loc["hsa-miR-375-3p", "verdict"] == "cannot tell"
    nothing = conditions.assign(effect=np.nan)
    silent = pituitary_study.literature(nothing, organ, "B", *about).set_index("mirna")
    assert silent.loc["hsa-miR-21-5p", "reason"] == "no effect was estimated"


@pytest.mark.parametrize(
    "compared",
    [
        ("gonadotroph", "tumour", "normal"),
        ("corticotroph", "normal", "tumour"),
        ("corticotroph", "treated", "normal"),
    ],
)
def test_claims_are_judged_by_nothing_else_than_they_are_about(compared):
    conditions = pd.DataFrame(
        {"mirna": ["hsa-mir-21"], "effect": [-3.0], "lower_total": [-4.0], "upper_total": [-1.0]}
    ).assign(grade="A", greyed=False)
    organ = pd.DataFrame({"mirna": ["hsa-miR-7-5p"], "effect": [9.0], "lower": [8.0], "upper": [10.0]})
    found = pituitary_study.literature(conditions, organ, "B", compared, "liver")
    assert len(found) == len(claims.load("32_pituitary"))
    assert set(found["verdict"]) == {"cannot tell"}
    rows = found.set_index("mirna")
    assert rows.loc["hsa-miR-21-5p", "reason"] == f"the run compares {', '.join(compared)}"
    assert rows.loc["hsa-miR-7-5p", "reason"] == "the run compares liver"


def test_a_page_of_another_data_set_by_parameters_alone(toy, tmp_path):
    """A file with columns of its own names and a model of its own; what was planted comes out."""
    cells, model = toy[0], toy[1]
    obs = pd.DataFrame(
        {
            "kind": cells.obs["planted"].astype(str),
            "patient": cells.obs["donor"].astype(str),
            "state": np.where(cells.obs["condition"] == "tumour", "adenoma", "healthy"),
        },
        cells.obs_names,
    )
    ad.AnnData(cells.X, obs, cells.var[[]]).write_h5ad(tmp_path / "mine.h5ad")
    model.save(tmp_path / "model")
    parameters = {
        "dataset": str(tmp_path / "mine.h5ad"),
        "cell_type_key": "kind",
        "donor_key": "patient",
        "condition_key": "state",
        "case": "adenoma",
        "reference": "healthy",
        "case_type": "type B",
        "model": str(tmp_path / "model"),
        "n_draws": 2,
        "n_exchanges": 4,
        "n_resamples": 20,
        "out_dir": str(tmp_path / "results"),
    }
    page = run_notebook(NOTEBOOK, parameters)
    assert page["cells"].uns["sicmir"]["dataset"] == "mine.h5ad"
    assert page["asked"] == "type B"
    figures = page["figures"]
    assert figures["n_abstained"] < figures["n_profiles"] / 4
    assert figures["coverage"] == "100 %"
    assert figures["n_few"] == round(0.18 * 977)
    assert figures["types_whole_spearman"] > 0.8
    assert figures["types_floored_spearman"] < figures["types_whole_spearman"]
    ages = page["grades"].query("grade == 'A'").set_index("contrast").loc[page["names"][0]]
    assert ages["lower"] > 0.5  # planted
    assert f"{ages['spearman']:.2f} ({ages['lower']:.2f} to {ages['upper']:.2f})" in figures["ages_told"]
    assert figures["pairing_p"] < 0.05  # planted
    # Type B is no corticotroph, and no tissue was measured.
    for name in ("claims_told", "organ_told"):
        assert "agrees with 0, disagrees with 0" in figures[name]
    assert "nan" not in " ".join(str(value) for key, value in figures.items() if key.endswith("_told"))
    planted = page["ages_planted"]
    good = planted[planted["grade"].isin(["A", "B"])]
    assert np.corrcoef(good["planted"], good["predicted"])[0, 1] > 0.8
    assert page["markers"]["finding"].any()
    assert page["lineage"]["effect"].notna().any()
    assert page["conditions"]["effect"].notna().any()
    written = {path.name for path in (tmp_path / "results").iterdir()}
    assert written >= {
        "predicted.h5ad",
        "lineages.csv",
        "markers.csv",
        "agreement_by_grade.csv",
        "controls.csv",
        "claims.csv",
    }
    saved = pd.read_csv(tmp_path / "results" / "agreement_by_grade.csv")
    assert len(saved) == len(page["grades"])


def test_sentences_leave_out_what_is_not_there():
    grades = pd.DataFrame(
        {"grade": ["A", "B", "D"], "spearman": [0.5, -0.2, 0.1], "lower": [0.4, -0.3, 0.0], "upper": 0.6}
    )
    halves = grades.assign(what=animal_controls.HALVES, spearman=0.7)
    genes = grades.assign(what=animal_controls.GENES, spearman=-0.001)
    told = pituitary_headline.ages_told(grades, pd.concat([genes, halves]))
    assert "by 0.50 (0.40 to 0.60) for grade A and −0.20 (−0.30 to 0.60) for grade B (95 %" in told
    assert "With the genes exchanged it is 0.00 (" in told  # no minus zero
    assert "too few" not in told
    told = pituitary_headline.ages_told(grades[grades["grade"] != "B"], halves.iloc[:0])
    assert told.endswith("clusters of miRNAs). Grade B holds too few miRNAs to tell.")
    few = pituitary_headline.ages_told(grades.iloc[2:], halves)
    assert few == "Neither grade A nor grade B holds enough miRNAs to tell."
    within = grades.rename(columns={"spearman": "median"})
    told = pituitary_headline.individuals_told(within.iloc[:1])
    assert told.endswith("by 0.50 (0.40 to 0.60) for grade A. Grade B holds too few miRNAs to tell.")
    sides = pd.DataFrame({"side": ["measured", "predicted"], "place": [1, 3], "n_tissues": 9})
    assert "takes place 1 of 9 for the measured" in pituitary_headline.tissue_told(sides)
    assert "is not known" in pituitary_headline.tissue_told(sides.iloc[:0])


@pytest.mark.real
def test_the_glands_are_what_the_text_says():
    try:
        cells = pituitary_sets.load_cells("pituitary")
        found = pituitary_sets.mice(sicmir.load_model())
    except UnreachableError as error:
        pytest.skip(f"REAL DATA NOT REACHED, so this test did not run: {str(error)[:200]}")
    assert {"corticotroph", "POU1F1 lineage", "gonadotroph"} <= set(cells.obs["cell_type"])
    assert few_genes(cells).sum() == 179
    assert (found.n_mrna, found.n_mirna, found.mirna.n_obs) == (55, 45, 41)
    assert found.orthologues == {"symbol": 874, "alias": 18, "ensembl": 0}
    assert found.mirna.obs["age"].value_counts()[["12", "32"]].tolist() == [9, 10]
