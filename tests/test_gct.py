"""L1000's .gct and .gctx: files written by hand in the published layouts, and two real ones."""

import gzip
import os
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest

from sicmir import panel
from sicmir.data import read
from sicmir.data.readers import reader_for
from sicmir.errors import DataError, ParameterError, ReadError

# PSME1, ATF1 and AARS are landmarks; 1 (A1BG) is not.
ENTREZ = ["5720", "466", "16", "1"]
SYMBOLS = ["PSME1", "ATF1", "AARS", "1"]
SAMPLES = ["REP.A001:A03", "REP.A001:A04", "REP.A001:B01"]


def values(seed=0):
    """Genes x samples."""
    return np.random.default_rng(seed).uniform(4, 15, (4, 3)).round(4).astype(np.float32)


def lines(table):
    return ["\t".join(map(str, row)) for row in table]


def gct_12(numbers, names=ENTREZ, described=("na", "na", "na", "na"), size=None):
    rows = [[name, text, *row] for name, text, row in zip(names, described, numbers, strict=True)]
    return ["#1.2", size or f"{len(rows)}\t3", *lines([["Name", "Description", *SAMPLES], *rows])]


def gct_13(numbers):
    rows = [[name, "yes", 7, *row] for name, row in zip(ENTREZ, numbers, strict=True)]
    meta = [
        ["pert_iname", "na", "na", "DMSO", "vorinostat", "-666"],
        ["pert_dose", "na", "na", "-666", 10, 2.5],
    ]
    return ["#1.3", "4\t3\t2\t2", *lines([["id", "pr_is_lm", "n", *SAMPLES], *meta, *rows])]


def write(path, content):
    text = "\n".join(content) + "\n"
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def write_gctx(path, numbers, columns=SAMPLES):
    with h5py.File(path, "w") as file:
        file.attrs["version"] = "GCTX1.0"
        file["0/DATA/0/matrix"] = numbers.T
        file["0/META/ROW/id"] = np.array(ENTREZ, dtype="S9")
        file["0/META/COL/id"] = np.array(columns, dtype="S20")
        file["0/META/COL/pert_iname"] = np.array(["DMSO ", "vorinostat", "-666"], dtype="S")
        file["0/META/COL/pert_dose"] = [-666.0, 10.0, 2.5]
    return path


def test_landmarks_of_these_tests():
    table = panel.landmarks().set_index("entrez")["symbol"]
    assert [table.get(int(entrez), entrez) for entrez in ENTREZ] == SYMBOLS


@pytest.mark.parametrize("name", ["x.gct", "x.gct.gz"])
def test_gct_12(tmp_path, name):
    path = write(tmp_path / name, gct_12(values()))
    adata = read(path, reader_for(path), units="log2(intensity)")
    np.testing.assert_array_equal(adata.X, values().T)
    assert adata.obs_names.tolist() == SAMPLES
    assert adata.var_names.tolist() == SYMBOLS
    assert adata.var["entrez"].tolist() == list(map(int, ENTREZ))
    assert adata.uns["sicmir"] == {
        "modality": "mrna",
        "units": "log2(intensity)",
        "synthetic": False,
        "gct_version": "1.2",
    }


def test_padded_head_windows_ends_and_a_byte_order_mark(tmp_path):
    content = gct_12(values())
    content[0] += "\t\t\t"
    content[1] += "\t\t"
    path = tmp_path / "x.gct"
    path.write_bytes(("\ufeff" + "\r\n".join(content) + "\r\n\r\n").encode())
    adata = read(path, "gct")
    np.testing.assert_array_equal(adata.X, values().T)
    assert adata.obs_names.tolist() == SAMPLES


def check_13(adata):
    np.testing.assert_array_equal(adata.X, values().T)
    assert adata.var_names.tolist() == SYMBOLS
    assert adata.obs["pert_iname"].tolist()[:2] == ["DMSO", "vorinostat"]
    assert pd.isna(adata.obs["pert_iname"].iloc[2])
    np.testing.assert_array_equal(adata.obs["pert_dose"], [np.nan, 10, 2.5])


def test_gct_13(tmp_path):
    adata = read(write(tmp_path / "x.gct", gct_13(values())), "gct")
    check_13(adata)
    assert adata.var["pr_is_lm"].tolist() == ["yes"] * 4
    adata.write_h5ad(tmp_path / "x.h5ad")


@pytest.mark.parametrize("block", [1, 2**20])
def test_gctx(tmp_path, monkeypatch, block):
    monkeypatch.setattr("sicmir.data.gctx.BLOCK_BYTES", block)
    path = write_gctx(tmp_path / "x.gctx", values())
    check_13(read(path, reader_for(path)))
    part = read(path, "gctx", genes="landmarks", samples=[SAMPLES[2], SAMPLES[0]])
    assert part.var_names.tolist() == SYMBOLS[:3]
    assert part.obs_names.tolist() == [SAMPLES[2], SAMPLES[0]]
    np.testing.assert_array_equal(part.X, values().T[[2, 0], :3])
    assert part.obs["pert_dose"].iloc[0] == 2.5


def test_genes_of_l1000_reach_the_panel(tmp_path):
    table = panel.landmarks()
    numbers = np.random.default_rng(1).uniform(4, 15, (977, 3)).astype(np.float32)
    names = table["entrez"].astype(str).tolist()
    path = write(tmp_path / "x.gct", gct_12(numbers, names, ["na"] * 977))
    aligned = panel.align(read(path, "gct"))
    np.testing.assert_array_equal(aligned.X, numbers.T)


def test_names_that_occur_twice(tmp_path):
    names, described = ["A", "B", "A", "C", "C"], ["x", "", "y", "na", "na"]
    numbers = np.arange(15.0).reshape(5, 3)
    adata = read(write(tmp_path / "x.gct", gct_12(numbers, names, described)), "gct")
    assert adata.var_names.tolist() == ["A|x", "B", "A|y", "C|row 3", "C|row 4"]


def test_symbols_of_the_file_come_first(tmp_path):
    content = gct_13(values())
    content[2] = content[2].replace("pr_is_lm", "pr_gene_symbol")
    content[5] = content[5].replace("yes", "OWN")
    content[6] = content[6].replace("yes", "-666")
    adata = read(write(tmp_path / "x.gct", content), "gct")
    assert adata.var_names.tolist()[:2] == ["OWN", "466"]


def test_headless_gct(tmp_path):
    path = write(tmp_path / "x.gct", gct_12(values())[2:])
    adata = read(path, "gct")
    np.testing.assert_array_equal(adata.X, values().T)
    assert adata.uns["sicmir"]["gct_version"] == "none stated"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda rows: rows[:-1], "says 4 genes x 3 samples, found 3 x 3"),
        (lambda rows: [*rows[:-1], rows[-1][:20]], "line 7 has . fields, expected 5"),
        (lambda rows: ["#2.0", *rows[1:]], "expected a first line #1.2 or #1.3"),
        (lambda rows: [rows[0], "4", *rows[2:]], "expected a first line #1.2 or #1.3"),
        (lambda rows: ["gene,a,b", "X,1,2"], "use the reader table"),
        (lambda rows: rows[:1], "expected a first line #1.2"),
        (lambda rows: [], "expected a first line #1.2"),
    ],
)
def test_bad_gct(tmp_path, change, words):
    with pytest.raises(ReadError, match=words):
        read(write(tmp_path / "x.gct", change(gct_12(values()))), "gct")


def test_bad_values(tmp_path):
    content = gct_12(values())
    content[4] = content[4].rsplit("\t", 1)[0] + "\tmany"
    with pytest.raises(DataError, match="numbers after the gene columns"):
        read(write(tmp_path / "a.gct", content), "gct")
    path = write(tmp_path / "b.gct", gct_12(values() - 10))
    with pytest.raises(DataError, match="levels 4 and 5 are z-scores"):
        read(path, "gct")
    np.testing.assert_allclose(read(path, "gct", signed=True).X, values().T - 10, rtol=1e-4)
    content[4] = content[4].rsplit("\t", 1)[0] + "\tNA"
    path = write(tmp_path / "c.gct", content)
    with pytest.raises(DataError, match="1 values are missing .* allow_nan"):
        read(path, "gct")
    assert np.isnan(read(path, "gct", allow_nan=True).X).sum() == 1
    path = write(tmp_path / "d.gct.gz", gct_12(values()))
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(ReadError, match="not a readable .gct"):
        read(path, "gct")


def test_bad_gctx(tmp_path):
    path = write_gctx(tmp_path / "x.gctx", values())
    with pytest.raises(ParameterError, match="'nobody' is there twice or is none of its 3"):
        read(path, "gctx", samples=["nobody"])
    with pytest.raises(ParameterError, match="there twice"):
        read(path, "gctx", samples=[SAMPLES[0], SAMPLES[0]])
    with pytest.raises(ParameterError, match="genes='some'"):
        read(path, "gctx", genes="some")
    with pytest.raises(ReadError, match="occurs more than once"):
        read(write_gctx(tmp_path / "y.gctx", values(), ["a", "b", "a"]), "gctx")
    with pytest.raises(DataError, match="z-scores"):
        read(write_gctx(tmp_path / "z.gctx", values() - 10), "gctx")
    with pytest.raises(ReadError, match="3 samples and 4 genes, but a matrix"):
        read(write_gctx(tmp_path / "t.gctx", values().T), "gctx")
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ReadError, match="not a readable .gctx"):
        read(path, "gctx")


@pytest.fixture
def k562():
    folder = Path(os.environ.get("SICMIR_MIRROR", "")) / "k562"
    if not os.environ.get("SICMIR_MIRROR") or not folder.is_dir():
        pytest.skip("REAL DATA NOT REACHED, so this test did not run: no mirror with k562")
    return folder


@pytest.mark.real
def test_half_cells(k562):
    path = k562 / "GSE114071_NW_half_cell_K562_RNAseq_processed_data.gct"
    with pytest.raises(DataError, match="405 values are missing"):
        read(path, "gct")
    adata = read(path, "gct", allow_nan=True)
    assert adata.shape == (22, 23284)
    assert panel.coverage(panel.align(adata)).found == 977
    assert adata.to_df().loc["NW_hcRNAseq_1", "A1BG"] == np.float32(5.4704)
    mirna = read(
        k562 / "GSE114071_NW_scsmRNA_K562_norm_log2.gct",
        "gct",
        modality="mirna",
        signed=True,
        units="log2(share)",
    )
    assert mirna.shape == (21, 2822)
    assert mirna.to_df().loc["K562_HalfCell_02", "hsa-let-7a-5p|hsa-let-7a-3"] == np.float32(-7.701645)
