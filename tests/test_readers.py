"""Readers of R and PanCanAtlas files: recomputed by hand; and what bad files are answered with."""

import numpy as np
import pandas as pd
import pytest
import rdata
from data_files import GENES, STEM_LOOPS, barcode, mirnaseq_frame, rnaseq_frame, write_rda

from sicmir import paths
from sicmir.data import read
from sicmir.errors import DataError, ParameterError, ReadError

BARCODES = [barcode("A5J1"), barcode("A5J2"), barcode("A5J2", "11")]


# RTCGA


def test_rtcga_rnaseq(tmp_path):
    frame, values = rnaseq_frame(BARCODES)
    adata = read(write_rda(tmp_path / "ACC.rda", **{"ACC.rnaseq": frame}), "rtcga_rnaseq", cohort="ACC")
    np.testing.assert_allclose(adata.X, np.log2(values + 1), rtol=1e-6)
    assert adata.X.dtype == np.float32
    assert adata.obs_names.tolist() == BARCODES
    assert adata.obs["condition"].tolist() == ["tumour", "tumour", "normal"]
    assert set(adata.obs["cohort"]) == {"ACC"}
    assert adata.var["entrez"].tolist() == [int(name.split("|")[1]) for name in GENES]
    # unknown and ambiguous symbols keep the source's name
    assert adata.var_names.tolist() == ["A1BG", "A2M", *GENES[2:6], "PSME1"]
    assert adata.uns["sicmir"]["modality"] == "mrna"


def test_rtcga_mirnaseq_takes_rpm(tmp_path):
    frame, rpm = mirnaseq_frame(BARCODES)
    adata = read(write_rda(tmp_path / "ACC.rda", x=frame), "rtcga_mirnaseq", cohort="ACC")
    np.testing.assert_allclose(adata.X, np.log2(rpm + 1), rtol=1e-6)
    assert adata.obs_names.tolist() == BARCODES
    assert adata.var_names.tolist() == STEM_LOOPS
    assert adata.uns["sicmir"] == {
        "modality": "mirna",
        "units": "log2(RPM + 1)",
        "level": "stem-loop",
        "synthetic": False,
    }


def test_rtcga_mirnaseq_reads_dotted_barcodes(tmp_path):
    frame, _ = mirnaseq_frame(BARCODES)
    frame.index = frame.index.str.replace("-", ".", regex=False)
    adata = read(write_rda(tmp_path / "ACC.rda", x=frame), "rtcga_mirnaseq", cohort="ACC")
    assert adata.obs_names.tolist() == BARCODES


def test_the_same_aliquot_twice(tmp_path):
    frame, _ = rnaseq_frame([BARCODES[0], BARCODES[0]])
    with pytest.raises(DataError, match=f"sample name.*{BARCODES[0]}"):
        read(write_rda(tmp_path / "x.rda", x=frame), "rtcga_rnaseq", cohort="ACC")
    frame, _ = mirnaseq_frame([BARCODES[0], BARCODES[1]])
    name = BARCODES[0]
    frame.index = [name, f"{name}.1", f"{name}.2", f"{name}.3", f"{name}.4", f"{name}.5"]
    with pytest.raises(DataError, match=f"sample name.*{name}"):
        read(write_rda(tmp_path / "y.rda", x=frame), "rtcga_mirnaseq", cohort="ACC")


@pytest.mark.parametrize(("value", "word"), [(np.nan, "NaN"), (-0.5, "negative"), (np.inf, "infinite")])
def test_bad_values_name_file_sample_and_gene(tmp_path, value, word):
    frame, _ = rnaseq_frame(BARCODES)
    frame.iloc[1, 2] = value
    path = write_rda(tmp_path / "x.rda", x=frame)
    with pytest.raises(DataError, match=rf"x\.rda: 1 {word} value.*sample {BARCODES[1]}, feature A2M"):
        read(path, "rtcga_rnaseq", cohort="ACC")


@pytest.mark.parametrize(
    ("reader", "objects", "words"),
    [
        ("rtcga_rnaseq", {"x": pd.DataFrame({"a": [1.0]})}, "first column bcr_patient_barcode"),
        ("rtcga_rnaseq", {"x": rnaseq_frame(BARCODES)[0].rename(columns={"A2M|2": "A2M"})}, "A2M"),
        ("rtcga_rnaseq", {"x": np.arange(3)}, "found x"),
        ("rtcga_rnaseq", {"x": rnaseq_frame(BARCODES)[0], "y": "more"}, "found x .DataFrame., y"),
        ("rtcga_mirnaseq", {"x": rnaseq_frame(BARCODES)[0]}, "column miRNA_ID"),
        ("rtcga_mirnaseq", {"x": mirnaseq_frame(BARCODES)[0].iloc[:-1]}, "one row each"),
        ("rda_matrix", {"x": "text"}, "found x"),
    ],
)
def test_rda_that_holds_something_else(tmp_path, reader, objects, words):
    path = write_rda(tmp_path / "x.rda", **objects)
    arguments = {"units": "TPM"} if reader == "rda_matrix" else {"cohort": "ACC"}
    with pytest.raises(ReadError, match=rf"x\.rda: .*{words}"):
        read(path, reader, **arguments)


def test_mirna_text_that_is_no_number(tmp_path):
    frame, _ = mirnaseq_frame(BARCODES)
    frame.iloc[1, 2] = "lots"
    with pytest.raises(DataError, match="lots"):
        read(write_rda(tmp_path / "x.rda", x=frame), "rtcga_mirnaseq", cohort="ACC")


def test_empty_rda(tmp_path):
    frame, _ = rnaseq_frame(BARCODES)
    with pytest.raises(DataError, match=r"matrix is empty \(3 samples x 0 features\)"):
        read(write_rda(tmp_path / "x.rda", x=frame.iloc[:, :1]), "rtcga_rnaseq", cohort="ACC")


def test_truncated_and_foreign_rda(tmp_path):
    path = write_rda(tmp_path / "x.rda", x=rnaseq_frame(BARCODES)[0])
    whole = path.read_bytes()
    for content in (whole[: len(whole) // 2], b"", b"PK\x03\x04 not R at all"):
        path.write_bytes(content)
        with pytest.raises(ReadError, match=r"x\.rda: not a readable \.rda"):
            read(path, "rtcga_rnaseq", cohort="ACC")


def test_rds_under_the_wrong_name(tmp_path):
    rdata.write_rds(tmp_path / "x.rda", "one text")
    with pytest.raises(ReadError, match=r"x\.rda: .*found one unnamed object"):
        read(tmp_path / "x.rda", "rtcga_rnaseq", cohort="ACC")


def test_rda_matrix(tmp_path):
    values = pd.DataFrame([[1.0, 3.0], [0.0, 7.0]], index=["A1BG|1", "A2M|2"], columns=["s1", "s2"])
    adata = read(write_rda(tmp_path / "x.rda", x=values), "rda_matrix", units="TPM")
    assert adata.to_df().loc["s2", "A2M"] == 3
    assert adata.var["entrez"].tolist() == [1, 2]
    assert adata.uns["sicmir"]["units"] == "log2(TPM + 1)"


# PanCanAtlas


def pancan(tmp_path, genes=GENES, n=4):
    names = [barcode(f"A5J{number}") for number in range(n)]
    values = np.random.default_rng(3).normal(500, 400, (len(genes), n)).round(3)
    values[0, 0], values[1, 1] = np.nan, -3.25
    path = tmp_path / "pancan.tsv"
    pd.DataFrame(values, index=pd.Index(genes, name="gene_id"), columns=names).to_csv(
        path, sep="\t", na_rep="NA"
    )
    return path, values, names


def test_pancan_mrna_over_several_chunks(tmp_path, monkeypatch):
    monkeypatch.setattr("sicmir.data.pancan.GENES_PER_CHUNK", 3)
    path, values, names = pancan(tmp_path)
    adata = read(path, "pancan_mrna")
    np.testing.assert_allclose(adata.X, np.log2(np.clip(values, 0, None) + 1).T, rtol=1e-5)
    assert np.isnan(adata.X[0, 0])
    assert adata.uns["sicmir"]["clipped"] == int((values < 0).sum())
    assert adata.obs_names.tolist() == names
    assert adata.var["entrez"].tolist() == [1, 2, 10357, 10431, 9906, 728661, 5720]


def test_pancan_mrna_landmarks_only(tmp_path):
    landmarks = pd.read_csv(paths.reference("landmarks.csv"))
    old_names = "OLD|" + landmarks["entrez"].astype(str)
    path, values, _ = pancan(tmp_path, [*GENES[:6], *old_names])
    adata = read(path, "pancan_mrna", genes="landmarks")
    assert adata.var["entrez"].tolist() == landmarks["entrez"].tolist()
    np.testing.assert_allclose(adata.X, np.log2(np.clip(values[6:], 0, None) + 1).T, rtol=1e-5)
    with pytest.raises(ParameterError, match="landmarks"):
        read(path, "pancan_mrna", genes="some")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [("gene_id", "id", "first columns"), ("A2M|2", "A2M", "SYMBOL"), ("A2M|2\t", "A2M|2\tx", "numbers")],
)
def test_pancan_mrna_of_another_format(tmp_path, old, new, words):
    path, _, _ = pancan(tmp_path)
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(ReadError, match=words):
        read(path, "pancan_mrna")


def test_pancan_aliquot_twice(tmp_path):
    path, _, names = pancan(tmp_path)
    path.write_text(path.read_text().replace(names[1], names[0]))
    with pytest.raises(DataError, match=f"occur more than once, for example {names[0]}"):
        read(path, "pancan_mrna")


def test_pancan_mirna(tmp_path):
    path = tmp_path / "mirna.csv"
    path.write_text(
        f"Genes,Correction,{BARCODES[0]},{BARCODES[2]}\nhsa-let-7a-5p,Corrected,7,3\nhsa-miR-21-5p,Uncorrected,-1,NA\n"
    )
    adata = read(path, "pancan_mirna")
    np.testing.assert_array_equal(adata.X, [[3, 0], [2, np.nan]])
    assert adata.var["correction"].tolist() == ["Corrected", "Uncorrected"]
    assert adata.uns["sicmir"]["level"] == "mature"
    assert adata.uns["sicmir"]["clipped"] == 1
    path.write_text(path.read_text().replace("hsa-miR-21-5p", "hsa-mir-21"))
    with pytest.raises(
        DataError, match="expected mature names, found 1 of the other level, for example hsa-mir-21"
    ):
        read(path, "pancan_mirna")


def test_pancan_annotations(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_text(
        "patient_barcode\taliquot_barcode\tcancer type\tplatform\tDo_not_use\n"
        f"TCGA-OR-A5J1\t{BARCODES[0]}\tACC\tRNA\tFalse\nTCGA-OR-A5J2\t{BARCODES[1]}\tACC\tRNA\tTrue\n"
        f"TCGA-OR-A5J2\t{BARCODES[1]}\tACC\tDNA\tFalse\n"
    )
    obs = read(path, "pancan_annotations").obs
    assert obs.loc[BARCODES[1]].tolist() == ["TCGA-OR-A5J2", "ACC", True]
    assert not obs.loc[BARCODES[0], "do_not_use"]
    path.write_text("a\tb\n1\t2\n")
    with pytest.raises(ReadError, match="cancer type"):
        read(path, "pancan_annotations")


@pytest.mark.parametrize(
    ("reader", "called"), [("h5ad", "anndata.read_h5ad"), ("rtcga_rnaseq", "rdata.read_rda")]
)
def test_too_little_memory_is_not_blamed_on_the_file(reader, called, tmp_path, monkeypatch):
    def exhausted(*args, **kwargs):
        raise MemoryError

    monkeypatch.setattr(called, exhausted)
    (tmp_path / "file").write_bytes(b"content")
    arguments = {"cohort": "ACC"} if reader == "rtcga_rnaseq" else {}
    with pytest.raises(MemoryError):
        read(tmp_path / "file", reader, **arguments)
