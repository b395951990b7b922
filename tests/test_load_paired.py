"""Paired sets from the manifest and from folders: matched, averaged, labelled, or refused with the reason."""

from functools import partial

import numpy as np
import pandas as pd
import pytest
from data_files import (
    GENES,
    STEM_LOOPS,
    barcode,
    dataset,
    file_entry,
    mirnaseq_frame,
    rnaseq_frame,
    write_manifest,
    write_rda,
)

import sicmir.data
from sicmir import paths, toy
from sicmir.data import describe, load, load_paired
from sicmir.errors import DataError, ManifestError, ParameterError, ReadError, UnreachableError
from sicmir.publishing import report

OBS = ["sample", "donor", "cohort", "condition", "sample_type", "dataset"]


@pytest.fixture
def publish(tmp_path, monkeypatch):
    """Make a manifest of one data set whose files lie in a mirror."""
    monkeypatch.setenv("SICMIR_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("SICMIR_MIRROR", str(tmp_path / "mirror"))

    def make(*files, key="my-set"):
        entries = []
        for name, frame, reader, arguments in files:
            path = tmp_path / "mirror" / key / name
            if isinstance(frame, str):
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(frame)
            else:
                write_rda(path, x=frame)
            entries.append(file_entry(path, f"{key}/{name}", reader, **arguments))
        manifest = write_manifest(tmp_path / "m.yaml", **{key: dataset(entries)})
        monkeypatch.setattr(paths, "manifest", lambda: manifest)
        return key

    return make


def rtcga(cohort, mrna_barcodes, mirna_barcodes, seed=0):
    mrna, mrna_values = rnaseq_frame(mrna_barcodes, seed=seed)
    mirna, rpm = mirnaseq_frame(mirna_barcodes, seed=seed + 100)
    files = [
        (f"{cohort}.rnaseq.rda", mrna, "rtcga_rnaseq", {"cohort": cohort}),
        (f"{cohort}.mirna.rda", mirna, "rtcga_mirnaseq", {"cohort": cohort}),
    ]
    return files, np.log2(mrna_values + 1), np.log2(rpm + 1)


# the manifest


def test_two_cohorts_are_matched_by_sample(publish):
    acc_mrna = [barcode("AAA1"), barcode("AAA2"), barcode("AAA2", "11"), barcode("AAA3")]
    acc_mirna = [barcode("AAA2", "11", vial="B"), barcode("AAA1"), barcode("AAA9")]
    acc, acc_x, acc_y = rtcga("ACC", acc_mrna, acc_mirna)
    uvm, uvm_x, uvm_y = rtcga("UVM", [barcode("UUU1")], [barcode("UUU1")], seed=7)
    mrna, mirna = load_paired(publish(*acc, *uvm))
    assert mrna.obs_names.tolist() == ["TCGA-OR-AAA1-01", "TCGA-OR-AAA2-11", "TCGA-OR-UUU1-01"]
    np.testing.assert_allclose(mrna.X, np.vstack([acc_x[[0, 2]], uvm_x]), rtol=1e-6)
    np.testing.assert_allclose(mirna.X, np.vstack([acc_y[[1, 0]], uvm_y]), rtol=1e-6)
    assert mrna.obs.columns.tolist() == OBS
    pd.testing.assert_frame_equal(mrna.obs, mirna.obs)
    assert mrna.obs["cohort"].tolist() == ["ACC", "ACC", "UVM"]
    assert mrna.obs["condition"].tolist() == ["tumour", "normal", "tumour"]
    assert mrna.obs["sample"].tolist() == mrna.obs_names.tolist()
    assert "entrez" in mrna.var
    record = mirna.uns["sicmir"]
    assert (record["dataset"], record["level"], record["synthetic"]) == ("my-set", "stem-loop", False)
    assert record["units"] == "log2(RPM + 1)"
    assert record["version"] == sicmir.__version__
    assert record["sources"]["name"].tolist() == ["my-set/ACC.mirna.rda", "my-set/UVM.mirna.rda"]
    assert record["sources"].columns.tolist() == ["name", "checksum", "bytes", "url"]


def test_result_can_be_written_and_read_back(publish, tmp_path):
    files, *_ = rtcga("ACC", [barcode("AAA1"), barcode("AAA2")], [barcode("AAA1"), barcode("AAA2")])
    mrna, mirna = load_paired(publish(*files))
    (tmp_path / "folder").mkdir()
    mrna.write_h5ad(tmp_path / "folder" / "mrna.h5ad")
    mirna.write_h5ad(tmp_path / "folder" / "mirna.h5ad")
    again_mrna, again_mirna = load_paired(tmp_path / "folder")
    np.testing.assert_array_equal(again_mrna.X, mrna.X)
    np.testing.assert_array_equal(again_mirna.X, mirna.X)
    columns = [name for name in OBS if name != "dataset"]
    pd.testing.assert_frame_equal(again_mrna.obs[columns], mrna.obs[columns].astype(str))
    assert again_mrna.var["entrez"].tolist() == mrna.var["entrez"].tolist()
    assert again_mrna.uns["sicmir"]["units"] == mrna.uns["sicmir"]["units"]


def test_replicates_are_averaged_and_controls_dropped(publish):
    replicates = [barcode("AAA1"), barcode("AAA1", vial="B"), barcode("AAA2"), barcode("AAA3", "20")]
    files, x, y = rtcga("ACC", replicates, replicates)
    mrna, mirna = load_paired(publish(*files))
    assert mrna.obs_names.tolist() == ["TCGA-OR-AAA1-01", "TCGA-OR-AAA2-01"]
    np.testing.assert_allclose(mrna.X, [x[:2].mean(axis=0), x[2]], rtol=1e-6)
    np.testing.assert_allclose(mirna.X, [y[:2].mean(axis=0), y[2]], rtol=1e-6)
    assert mrna.uns["sicmir"]["averaged_samples"] == 1
    assert mrna.uns["sicmir"]["dropped_controls"] == 1


def test_same_aliquot_in_two_files(publish):
    acc, *_ = rtcga("ACC", [barcode("AAA1")], [barcode("AAA1")])
    uvm, *_ = rtcga("UVM", [barcode("AAA1")], [barcode("AAA1")])
    with pytest.raises(DataError, match=f"aliquot {barcode('AAA1')} occurs in two files"):
        load_paired(publish(*acc, *uvm))


def test_disjoint_samples_give_examples_of_both(publish):
    files, *_ = rtcga("ACC", [barcode("AAA1")], [barcode("BBB1")])
    with pytest.raises(DataError, match=r"TCGA-OR-AAA1-01.*TCGA-OR-BBB1-01"):
        load_paired(publish(*files))


def test_only_controls(publish):
    files, *_ = rtcga("ACC", [barcode("AAA1", "20")], [barcode("AAA1", "20")])
    with pytest.raises(DataError, match="are controls"):
        load_paired(publish(*files))


def test_level_is_never_mixed(publish):
    files, *_ = rtcga("ACC", [barcode("AAA1")], [barcode("AAA1")])
    key = publish(*files)
    assert load_paired(key, level="stem-loop")[1].n_vars == len(STEM_LOOPS)
    with pytest.raises(DataError, match="at stem-loop level, not mature"):
        load_paired(key, level="mature")
    with pytest.raises(ParameterError, match="'hairpin'"):
        load_paired(key, level="hairpin")


def test_unpaired_data_set(publish):
    files, *_ = rtcga("ACC", [barcode("AAA1")], [barcode("AAA1")])
    with pytest.raises(DataError, match=r"1 mRNA and 0 miRNA.*sicmir\.data\.load\('my-set'\)"):
        load_paired(publish(files[0]))


def test_pancan_cohorts_come_from_the_annotations(publish):
    names = [barcode(donor) for donor in ("AAA1", "AAA2", "AAA3", "AAA4")]
    values = np.arange(12.0).reshape(3, 4)
    mrna = pd.DataFrame(values, index=pd.Index(GENES[:3], name="gene_id"), columns=names).to_csv(sep="\t")
    mirna = pd.DataFrame(
        values[:2], index=pd.Index(["hsa-let-7a-5p", "hsa-miR-21-5p"], name="Genes"), columns=names
    )
    mirna.insert(0, "Correction", "Corrected")
    notes = "patient_barcode\taliquot_barcode\tcancer type\tplatform\tDo_not_use\n" + "".join(
        f"{name[:12]}\t{name}\t{cohort}\tRNA\t{use}\n"
        for name, cohort, use in zip(
            names[:3], ("ACC", "UVM", "ACC"), ("False", "False", "True"), strict=True
        )
    )
    key = publish(
        ("mrna.tsv", mrna, "pancan_mrna", {}),
        ("mirna.csv", mirna.to_csv(), "pancan_mirna", {}),
        ("notes.tsv", notes, "pancan_annotations", {}),
    )
    mrna, mirna = load_paired(key, level="mature")
    assert mrna.obs["cohort"].tolist() == ["ACC", "UVM"]
    np.testing.assert_allclose(mrna.X, np.log2(values.T[:2] + 1), rtol=1e-6)
    assert mrna.uns["sicmir"]["dropped_do_not_use"] == 1
    assert mrna.uns["sicmir"]["dropped_without_cohort"] == 1
    assert set(mrna.uns["sicmir"]["sources"]["name"]) == {"my-set/mrna.tsv", "my-set/notes.tsv"}


def test_load_gives_all_files_or_the_only_one(publish, tmp_path):
    files, x, _ = rtcga("ACC", [barcode("AAA1")], [barcode("AAA1")])
    assert set(load(publish(*files))) == {"my-set/ACC.rnaseq.rda", "my-set/ACC.mirna.rda"}
    np.testing.assert_allclose(load(publish(files[0])).X, x, rtol=1e-6)
    path = tmp_path / "own.csv"
    path.write_text(",PSME1,CISD1\ns,1,2\n")
    own = load(path, modality="mrna", units="z")
    assert own.shape == (1, 2)
    assert own.uns["sicmir"]["sources"]["bytes"].tolist() == [path.stat().st_size]
    for adata, name in ((own, "own.csv"), (load("my-set"), "my-set")):
        assert adata.uns["sicmir"]["version"] == sicmir.__version__
        assert report.banner(adata).metadata["sicmir"] == {"datasets": [name], "synthetic": False}
        assert adata.uns["sicmir"]["sources"]["name"].iloc[0] in report.provenance(adata).data
    with pytest.raises(ParameterError, match="the manifest says how"):
        load("my-set", reader="table")


def test_unknown_key_and_no_such_folder():
    for call in (load, load_paired):
        with pytest.raises(ManifestError, match=r"Did you mean tcga-small.*no such path exists"):
            call("tgca-small")


def test_toy_and_auto(monkeypatch):
    make = partial(toy.paired_bulk, n_donors=4, n_cohorts=2, n_genes=977, n_mirnas=12)
    monkeypatch.setattr(toy, "paired_bulk", make)
    assert load_paired("toy")[1].uns["sicmir"]["level"] == "mature"
    assert load_paired("toy", level="stem-loop")[1].uns["sicmir"]["level"] == "stem-loop"

    def unreachable(*_):
        raise UnreachableError("no network")

    monkeypatch.setattr("sicmir.data.catalogue._from_manifest", unreachable)
    with pytest.warns(UserWarning, match=r"^SYNTHETIC DATA: no real data set could be reached\."):
        mrna, _ = load_paired("auto")
    assert mrna.uns["sicmir"]["synthetic"]
    with pytest.warns(UserWarning, match=r"^SYNTHETIC DATA"):
        _, mirna = load_paired("auto", level="stem-loop")
    assert mirna.uns["sicmir"]["level"] == "stem-loop"

    def broken(*_):
        raise ReadError("damaged")

    monkeypatch.setattr("sicmir.data.catalogue._from_manifest", broken)
    with pytest.raises(ReadError, match="damaged"):
        load_paired("auto")


def test_describe_lists_every_data_set():
    table = describe()
    assert table.columns.tolist() == ["key", "title", "bytes", "unsized", "licence", "state"]
    for row in table.itertuples():
        sizes = [entry.bytes for entry in sicmir.data.load_manifest()[row.key].files]
        assert (row.bytes, row.unsized) == (sum(filter(None, sizes)), sizes.count(None))
    assert table["key"].tolist() == list(sicmir.data.load_manifest().datasets)
    assert table["state"].isin(["cached", "mirror", "online"]).all()


@pytest.mark.real
def test_tcga_small_has_307_pairs(real_data):
    mrna, mirna = real_data
    assert mrna.shape == (307, 20531)
    assert mirna.shape == (307, 1046)
    assert mrna.obs["condition"].value_counts().to_dict() == {"tumour": 298, "normal": 9}
    assert mrna.obs["sample_type"].value_counts().to_dict() == {"01": 298, "11": 9}
    assert sorted(set(mrna.obs["cohort"])) == ["ACC", "CHOL", "DLBC", "UCS", "UVM"]
    pd.testing.assert_frame_equal(mrna.obs, mirna.obs)
    assert not np.isnan(mrna.X).any()
    # MEST holds miR-335: the pairing is right only if host and guest rise together within a cohort
    for cohort in ("ACC", "UVM"):
        rows = (mrna.obs["cohort"] == cohort).to_numpy()
        host, guest = mrna[rows, "MEST"].X[:, 0], mirna[rows, "hsa-mir-335"].X[:, 0]
        assert np.corrcoef(host, guest)[0, 1] > 0.5


def test_a_data_set_that_cannot_be_is_refused_before_anything_long_starts(tmp_path):
    (tmp_path / "mrna.csv").write_text("sample\n")
    for name, told in (
        (str(tmp_path / "mrna.csv"), "is a file; give the folder"),
        (str(tmp_path / "nothere"), "There is no folder"),
        ("tcga_small", "Did you mean tcga-small.*'auto', 'toy' and paths"),
    ):
        with pytest.raises(ManifestError, match=told):
            sicmir.data.check_paired(name)
        with pytest.raises(ManifestError, match=told):
            load_paired(name)
    for name in ("auto", "toy", "tcga-small", tmp_path):
        sicmir.data.check_paired(name)
