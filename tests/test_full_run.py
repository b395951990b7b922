import json

import numpy as np
import pandas as pd
import pytest
from data_files import dataset, file_entry, write_manifest

from sicmir import load_model, metrics, paths, toy
from sicmir.benchmark.domain_check import DAMAGES, flag_rates
from sicmir.benchmark.transfer import cohort_sensitivity, transfer
from sicmir.chapters.benchmark import full_run, stored_run
from sicmir.data import collection
from sicmir.data.demo import load_demo
from sicmir.data.whole_genes import load_genes
from sicmir.errors import DataError, ReadError
from sicmir.learning.splits import holdout
from sicmir.names.gene_names import landmarks


def write_set(folder, mrna, mirna):
    folder.mkdir(parents=True)
    for name, adata in (("mrna", mrna), ("mirna_mature", mirna)):
        adata.to_df().rename_axis("sample").reset_index().to_parquet(folder / f"{name}.parquet")
    samples = mrna.obs.rename(columns={"donor": "patient", "condition": "tissue"})
    samples[["sample", "patient", "cohort", "tissue"]].to_parquet(folder / "samples.parquet", index=False)
    return folder


@pytest.fixture(scope="module")
def pair():
    return toy.paired_bulk(n_donors=30, n_cohorts=3, n_genes=1000, n_mirnas=30, seed=1)


@pytest.fixture(scope="module")
def root(pair, tmp_path_factory):
    root = tmp_path_factory.mktemp("sets")
    mrna, mirna = pair
    write_set(root / "first", mrna, mirna)
    other = [adata.copy() for adata in toy.paired_bulk(n_donors=12, n_cohorts=3, n_mirnas=30, seed=1)]
    for adata in other:
        adata.obs_names = [name.replace("TOY", "OTHER") for name in adata.obs_names]
        for column in ("sample", "donor"):
            adata.obs[column] = adata.obs[column].str.replace("TOY", "OTHER")
    write_set(root / "other", *other)
    return root


@pytest.fixture(scope="module")
def run(root, tmp_path_factory):
    recipe = collection.Recipe.model_validate({"sets": [{"set": "first"}], "foreign": [{"set": "other"}]})
    return full_run.FullRun(recipe, root, tmp_path_factory.mktemp("predictions"), seed=0)


@pytest.fixture(scope="module")
def tables(run):
    patch = pytest.MonkeyPatch()
    patch.setattr(full_run, "COHORTS", (1,))
    patch.setattr(full_run, "FRACTIONS", (0.6, 1.0))
    try:
        return run.tables(["kernel", "ridge", "cohort-mean", "shuffled"], ["knn"])
    finally:
        patch.undo()


def test_every_table_is_there_and_the_league_is_that_of_the_predictions(run, tables):
    expected = {"league", "contrasts", "trust", "coverage", "grades", "flags", "sensitivity", "cancers"}
    expected |= {"perturbation", "rest", "origins", "learning_donors", "learning_cohorts", "transfer"}
    assert set(tables) == expected
    league = tables["league"].reset_index()
    row = league.query(
        "division == 'test donors' and method == 'ridge' and scope == 'pooled' and against == ''"
        " and samples == 'all'"
    ).iloc[0]
    predicted = run.study.predict("ridge", "test donors").dropna(how="all")
    by_hand = metrics.per_mirna(
        run.study.observed.loc[predicted.index], predicted, run.study.obs.loc[predicted.index, "cohort"]
    )
    assert row["median"] == pytest.approx(by_hand["pearson"].median())
    assert row["n_samples"] == len(predicted)
    slow = {"new donors", "unseen cancer", "test donors"}
    assert set(league.query("method == 'knn'")["division"]) == slow
    trust = tables["trust"]
    assert list(trust.index) == list(run.mirna.var_names)
    assert set(trust["grade"]) <= set("ABCD")


def test_tables_and_record_can_be_read_back(run, tables, tmp_path):
    with pytest.raises(DataError, match=r"record\.json"):
        stored_run.record(str(tmp_path))
    for name, table in tables.items():
        table.to_csv(tmp_path / f"{name}.csv")
    record = run.record() | {"date": "2020-01-01"}
    (tmp_path / "record.json").write_text(json.dumps(record))
    figures = stored_run.headline(str(tmp_path))
    assert figures["full_date"] == "2020-01-01"
    assert {type(value) for value in figures.values()} <= {int, float, str}  # what a page can format
    league = tables["league"].query("division == 'unseen cancer' and samples == 'all' and against == ''")
    expected = league.query("method == 'kernel' and scope == 'within cohort'")["median"].iloc[0]
    assert figures["full_unseen_kernel_within"] == pytest.approx(expected)
    apart = league.query("method == 'kernel' and scope == 'within cohort and condition'")["median"].iloc[0]
    assert figures["full_unseen_kernel_within_condition"] == pytest.approx(apart)
    assert figures["full_unseen_n_samples"] == league["n_samples"].iloc[0]
    rows = tables["league"].query("division == 'test donors' and samples == 'all' and against == 'kernel'")
    (gain,) = rows.query("method == 'ridge' and scope == 'pooled'").itertuples()
    found = [figures[f"full_test_ridge_pooled_gain{part}"] for part in ("", "_lower", "_upper")]
    assert found == pytest.approx([gain.median, gain.lower, gain.upper], rel=1e-3)
    trust = tables["trust"]
    assert figures["full_n_lower"] == (trust["unseen_within_r"] < trust["within_r"]).sum()
    within = tables["cancers"].loc["kernel", "within"]
    assert figures["full_cancer_lowest"] == pytest.approx(within.min())
    assert figures["full_cancer_highest"] == pytest.approx(within.max())
    assert sum(figures[f"full_n_{grade}"] for grade in "abcd") == run.mirna.n_vars == figures["full_n_mirnas"]
    assert 0.7 < figures["full_coverage_test"] <= 1
    days = {"league": {"date": "2020-01-03", "commit": "b"}, "rest": {"date": "2020-01-01", "commit": "a"}}
    (tmp_path / "record.json").write_text(json.dumps(record | {"tables": days}))
    assert stored_run.record(str(tmp_path))["date"] == "2020-01-01 to 2020-01-03"
    with pytest.raises(DataError, match="no table 'absent'; it holds cancers, contrasts"):
        stored_run.table("absent", str(tmp_path))


def test_details_are_those_of_the_predictions(run, tables):
    predicted = run.study.predict("ridge", "unseen cancer").dropna(how="all")
    rows = predicted.index[run.study.obs.loc[predicted.index, "cohort"] == "TOYB"]
    by_hand = metrics.per_mirna(run.study.observed.loc[rows], predicted.loc[rows], ["TOYB"] * len(rows))
    found = tables["cancers"].query("cohort == 'TOYB'").loc["ridge"]
    assert found["within"] == pytest.approx(by_hand["pearson"].median())
    rest = tables["rest"]
    assert set(rest["division"]) == {"new donors", "unseen cancer"}
    assert set(rest.index) == {"kernel", "ridge", "cohort-mean"}
    assert set(rest["cohort"]) == {"TOYA", "TOYB", "TOYC"}
    seen = rest.query("division == 'new donors'").groupby(level=0)["effect_spearman"].median()
    assert seen["cohort-mean"] > 0.9  # a cohort's mean is all that this contrast asks for
    assert seen["ridge"] > 0.9


def test_no_normal_sample_is_behind_the_unseen_tissue_and_no_test_donor_in_it(run):
    obs, (test,) = run.study.obs, run.divisions["test donors"]
    tested = np.sort(np.concatenate([part.test for part in run.study.divisions["unseen normal tissue"]]))
    np.testing.assert_array_equal(tested, test.train)
    for part in run.study.divisions["unseen normal tissue"]:
        assert set(obs["condition"].iloc[part.train]) == {"tumour"}
        assert not set(obs["donor"].iloc[part.train]) & set(obs["donor"].iloc[part.test])
        assert not set(obs["donor"].iloc[test.test]) & set(obs["donor"].iloc[part.train])
    assert "normal" in set(obs["condition"].iloc[tested])


@pytest.fixture
def pancan(pair, tmp_path, monkeypatch):
    """The toy in the form of the PanCanAtlas, under its key, in a mirror of its own."""
    monkeypatch.setenv("SICMIR_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("SICMIR_MIRROR", str(tmp_path / "mirror"))
    mrna, mirna = pair[0][:, :977], pair[1]
    kinds = {"tumour": "01A", "normal": "11A"}
    donors = {name: f"TCGA-XX-{i:04d}" for i, name in enumerate(mrna.obs["donor"].unique())}
    donor, kind = mrna.obs["donor"].map(donors), mrna.obs["condition"].map(kinds)
    names = [f"{a}-{b}-11R-A29S-07" for a, b in zip(donor, kind, strict=True)]
    entrez = dict(zip(landmarks()["symbol"], landmarks()["entrez"], strict=True))
    genes = pd.DataFrame((2.0**mrna.X - 1).T, [f"{name}|{entrez[name]}" for name in mrna.var_names], names)
    rpm = pd.DataFrame((2.0**mirna.X - 1).T, mirna.var_names.rename("Genes"), names)
    rpm.insert(0, "Correction", "Corrected")
    notes = pd.DataFrame(
        {
            "patient_barcode": donor.to_numpy(),
            "aliquot_barcode": names,
            "cancer type": mrna.obs["cohort"].to_numpy(),
            "platform": "RNA",
            "Do_not_use": "False",
        }
    )
    folder = tmp_path / "mirror" / "tcga-pancan"
    folder.mkdir(parents=True)
    genes.rename_axis("gene_id").to_csv(folder / "mrna.tsv", sep="\t")
    rpm.to_csv(folder / "mirna.csv")
    notes.to_csv(folder / "notes.tsv", sep="\t", index=False)
    files = {"mrna.tsv": "pancan_mrna", "mirna.csv": "pancan_mirna", "notes.tsv": "pancan_annotations"}
    entries = [file_entry(folder / name, f"tcga-pancan/{name}", reader) for name, reader in files.items()]
    manifest = write_manifest(tmp_path / "manifest.yaml", **{"tcga-pancan": dataset(entries)})
    monkeypatch.setattr(paths, "manifest", lambda: manifest)
    return "sets: [{set: tcga-pancan}]\n"


def test_the_recipe_of_the_whole_of_tcga_gives_tables_and_a_bundle(pancan, pair, tmp_path):
    recipe = tmp_path / "pancan.yaml"
    recipe.write_text(pancan)
    run = full_run.FullRun(collection.read_recipe(recipe), tmp_path, tmp_path / "predictions")
    np.testing.assert_allclose(run.mrna.X, pair[0].X[:, :977], atol=1e-3)
    assert run.mirna.uns["sicmir"]["level"] == "mature"
    found = run.tables(["kernel", "ridge"], only=["league", "trust", "coverage", "flags", "origins"])
    assert found["origins"].empty
    league = found["league"].reset_index().query("division == 'new donors' and method == 'kernel'")
    within = league.query("scope == 'within cohort' and against == '' and samples == 'all'")
    assert within["median"].item() > 0.2  # two fifths of the miRNAs follow their cohort or nothing
    assert found["trust"].index.isin(pair[1].var_names).all()
    files = {f"tcga-pancan/{name}" for name in ("mrna.tsv", "mirna.csv", "notes.tsv")}
    assert set(run.record()["files"]) == files
    loaded = load_model(run.bundle({}).save(tmp_path / "bundle"))
    assert loaded.level == "mature"
    assert loaded.card["training_data"]["n_samples"] == pair[0].n_obs
    np.testing.assert_allclose(
        loaded.predict_array(run.mrna.X[:4]), run.model.predict(run.mrna.X[:4]), atol=1e-3
    )


def test_the_bundle_of_a_run_predicts_after_saving(run, tmp_path):
    bundle = run.bundle({"made": "here"})
    loaded = load_model(bundle.save(tmp_path / "bundle"))
    inputs = run.mrna.X[:5]
    np.testing.assert_allclose(loaded.predict_array(inputs), run.model.predict(inputs), atol=1e-4)
    assert loaded.card["made"] == "here"
    assert loaded.card["training_data"]["n_samples"] == run.mirna.n_obs
    assert loaded.domain.in_domain(inputs).all()


def test_another_set_is_predicted_without_its_donors_and_rank_undoes_a_change_of_units(pair):
    mrna, mirna = (adata.copy() for adata in pair)
    mrna = mrna[:, :977].copy()
    test = mrna.obs["cohort"].eq("TOYC").to_numpy()
    foreign = mrna[test].copy(), mirna[test].copy()
    squeezed = foreign[0].copy()
    squeezed.X = np.log2(foreign[0].X + 1)
    found = transfer(mrna, mirna, {"same": foreign, "squeezed": (squeezed, foreign[1])})
    found = found.set_index(["dataset", "transform"])
    expected = pytest.approx(found.loc[("same", "rank"), "within"], abs=1e-4)
    assert found.loc[("squeezed", "rank"), "within"] == expected
    frozen = found.xs("frozen", level="transform")["within"]
    assert abs(frozen["squeezed"] - frozen["same"]) > 0.01
    # Had its donors been trained on, they would be predicted far better.
    assert found.loc[("same", "frozen"), "within"] < 0.95
    stranger = foreign[1][:, :3].copy()
    stranger.var_names = ["a", "b", "c"]
    with pytest.raises(DataError, match="stranger: 0 miRNAs in common"):
        transfer(mrna, mirna, {"stranger": (foreign[0], stranger)})


def test_only_the_cohort_transform_minds_its_companions(run):
    bundle = run.bundle({})
    cohort = run.mirna.obs["cohort"].to_numpy()
    chosen = np.flatnonzero(cohort == "TOYA")
    found = cohort_sensitivity(
        bundle, run.mrna.X, chosen, {"alone": chosen, "all": np.arange(len(cohort))}
    ).set_index("transform", append=True)
    assert found.loc[("alone", "cohort"), "shift"] == found.loc[("all", "frozen"), "shift"] == 0
    assert found.loc[("all", "cohort"), "shift"] > 0.1
    assert found.loc[("all", "cohort"), "n_submitted"] == len(cohort)


def test_spoilt_samples_are_flagged_and_held_out_donors_are_not(pair):
    mrna = pair[0][:, :977]
    found = flag_rates(np.asarray(mrna.X), mrna.obs, holdout(mrna.obs, 0.3)).set_index(
        "transform", append=True
    )
    assert len(found) == 2 * len(DAMAGES)
    assert found.loc[("held-out donors", "frozen"), "outside"] <= 0.2
    assert (found.loc["genes shuffled", "outside"] > 0.9).all()
    assert (found["far"] <= found["outside"]).all()
    noise = np.random.default_rng(0).uniform(0, 15, (7, 977))
    more = flag_rates(
        np.asarray(mrna.X), mrna.obs, holdout(mrna.obs, 0.3), others={"mouse": noise}
    ).set_index("transform", append=True)
    pd.testing.assert_frame_equal(more.drop(index="mouse", level="input"), found)
    assert (more.loc["mouse", ["n", "outside"]] == [7, 1]).all(axis=None)


def test_genes_beyond_the_landmarks_come_from_the_tables_that_have_them(root, pair):
    mrna = pair[0]
    recipe = collection.Recipe.model_validate({"sets": [{"set": "first"}, {"set": "other", "matched": True}]})
    table = mrna.to_df().T.rename_axis("feature").reset_index()
    path = root / "first" / "mrna_genes.parquet"
    table.to_parquet(path)
    try:
        found = load_genes(recipe, root, ["TOY0003", "absent"], mrna)
    finally:
        path.unlink()
    np.testing.assert_array_equal(found.to_df()["TOY0003"], mrna.to_df()["TOY0003"])
    assert found.to_df()["absent"].isna().all()


def test_the_demonstration_is_turned_into_log2_by_its_calibration(tmp_path):
    rng = np.random.default_rng(0)
    samples = [f"s{i}" for i in range(4)]
    z = pd.DataFrame(rng.normal(size=(4, 3)), index=samples, columns=["G1", "G2", "G3"])
    for name, table in {"mrna_z": z, "sicmir_predicted": z, "mirna": z}.items():
        table.rename_axis("sample").reset_index().to_parquet(tmp_path / f"{name}.parquet")
    labels = pd.DataFrame({"sample": samples, "patient": list("abcd"), "cohort": "X", "tissue": "tumor"})
    labels.to_parquet(tmp_path / "samples.parquet")
    with pytest.raises(ReadError, match="five tables"):
        load_demo(tmp_path, ["G1"])
    pd.DataFrame(
        {
            "gene": ["G1", "G2", "G3"],
            "mean_log2rsem": [9, 8, 7],
            "sd_log2rsem": [1, 2, 3],
            "r": [0.95, 0.5, 1],
        }
    ).to_csv(tmp_path / "z_calibration.csv")
    demo = load_demo(tmp_path, ["G3", "G2", "G1", "G0"])
    np.testing.assert_allclose(demo.landmarks["G1"], 9 + z["G1"])
    np.testing.assert_allclose(demo.landmarks["G3"], np.maximum(7 + 3 * z["G3"], 0))
    assert demo.landmarks[["G2", "G0"]].isna().all(axis=None)
    assert demo.obs["condition"].eq("tumour").all()
    with pytest.raises(DataError, match="none of 1 landmarks"):
        load_demo(tmp_path, ["G2"])
    labels.iloc[::-1].to_parquet(tmp_path / "samples.parquet")
    with pytest.raises(DataError, match="samples of samples"):
        load_demo(tmp_path, ["G1"])
