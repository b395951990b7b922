"""Readers of cells and their labels: recomputed by hand; and what bad files are answered with."""

import gzip
import hashlib
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from data_files import dataset, write_manifest, write_rda
from local_server import empty_cache, server
from scipy import sparse
from scipy.io import mmwrite

from sicmir import paths
from sicmir.data import cells, load, read
from sicmir.errors import DataError, ReadError

__all__ = ["empty_cache", "server"]


def text(path, content):
    path.write_bytes(gzip.compress(content.encode()) if path.suffix == ".gz" else content.encode())
    return path


# counts


def test_counts_in_tabs_under_a_name_that_says_commas(tmp_path):
    rows = (
        "gene\tc1\tc2\nPSME1\t3\t0\nno_gene\t1\t2\nno_feature\t9\t9\n__ambiguous\t9\t9\n"
        "alignment_not_unique\t9\t9\n"
    )
    adata = read(text(tmp_path / "x.csv.gz", rows), "gene_counts", separator="\t")
    assert sparse.issparse(adata.X)
    pd.testing.assert_frame_equal(
        adata.to_df(),
        pd.DataFrame([[3, 1], [0, 2]], ["c1", "c2"], ["PSME1", "no_gene"], dtype=np.float32),
    )
    assert adata.uns["sicmir"]["units"] == "read counts"


@pytest.mark.parametrize(
    ("rows", "error", "words"),
    [
        ("g\tc\nA\t1.5\n", DataError, "expected counts, found 1.5 at cell c, gene A"),
        ("g\tc\nA\t\n", DataError, "1 NaN value"),
        ("g\tc\nA\t-1\n", DataError, "1 negative value"),
        ("g\tc\nA\tmany\n", DataError, "column 'c' holds text"),
        ("g\tc\nA\t1\nA\t2\n", DataError, "feature name.*A"),
        ("g\tc\nno_feature\t1\n", DataError, "matrix is empty"),
        ("g\tc\nA\t1\t2\n", ReadError, "line 2 has 3 fields"),
    ],
)
def test_what_is_no_table_of_counts(tmp_path, rows, error, words):
    with pytest.raises(error, match=words):
        read(text(tmp_path / "x.tsv", rows), "gene_counts")


# labels


def test_labels_are_renamed_replaced_and_cut(tmp_path):
    path = text(
        tmp_path / "x.tsv", "name\tcell type\twho\na\tB, donor1 (nuclear)\t293T\nb\tT, donor12\tK562\n"
    )
    adata = read(
        path,
        "cell_labels",
        columns={"cell type": "cell_type", "who": "donor"},
        values={"donor": {"293T": "HEK293T"}},
        remove={"cell_type": r", donor\d+"},
    )
    expected = pd.DataFrame({"cell_type": ["B (nuclear)", "T"], "donor": ["HEK293T", "K562"]}, ["a", "b"])
    pd.testing.assert_frame_equal(adata.obs, expected)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ("c,type\na,B\n", "no column 'kind'; it has c, type"),
        ("c,kind\na,B\na,T\n", "a is named twice"),
        ("c,kind\na,B\nb,\n", "b lacks a label"),
    ],
)
def test_labels_that_do_not_serve(tmp_path, rows, words):
    with pytest.raises(DataError, match=words):
        read(text(tmp_path / "x.csv", rows), "cell_labels", columns={"kind": "cell_type"})


# objects of R


@pytest.fixture
def seurat(monkeypatch):
    """What rdata makes of a Seurat object with 3 genes and 4 cells."""
    counts = sparse.csc_matrix(np.array([[1, 0, 2, 5], [0, 0, 3, 0], [4, 1, 0, 0]], dtype=float))
    matrix = SimpleNamespace(
        x=counts.data,
        i=counts.indices,
        p=counts.indptr,
        Dim=np.array(counts.shape),
        Dimnames=[np.array(["A", "B", "C"]), np.array(["c1", "c2", "c3", "c4"])],
    )
    labels = pd.DataFrame(
        {"Batch": list("mhhm"), "Group": pd.Categorical(list("xyxx"))}, ["c1", "c2", "c3", "c4"]
    )
    one = SimpleNamespace(assays={"RNA": SimpleNamespace(counts=matrix)}, **{"meta.data": labels})
    objects = {"pancreas": one}
    monkeypatch.setattr(cells, "read_objects", lambda path: objects)
    return objects


def test_seurat_counts_of_one_species(tmp_path, seurat):
    path = text(tmp_path / "x.RData", "")
    adata = read(path, "seurat_counts", columns={"Group": "cell_type"}, only={"Batch": "h"})
    expected = pd.DataFrame([[0, 0, 1], [2, 3, 0]], ["c2", "c3"], ["A", "B", "C"], dtype=np.float32)
    pd.testing.assert_frame_equal(adata.to_df(), expected)
    assert adata.obs["cell_type"].tolist() == ["y", "x"]
    assert adata.uns["sicmir"]["units"] == "UMI counts"


def test_seurat_objects_that_do_not_serve(tmp_path, seurat):
    path = text(tmp_path / "x.RData", "")
    with pytest.raises(DataError, match="no column 'kind'; it has Batch, Group"):
        read(path, "seurat_counts", columns={"kind": "cell_type"})
    with pytest.raises(DataError, match="matrix is empty"):
        read(path, "seurat_counts", columns={}, only={"Batch": "rat"})
    del seurat["pancreas"].assays["RNA"]
    with pytest.raises(ReadError, match="expected one Seurat object"):
        read(path, "seurat_counts", columns={})
    seurat["second"] = 1
    with pytest.raises(ReadError, match="expected one Seurat object"):
        read(path, "seurat_counts", columns={})


def hou(values):
    return {
        "x": pd.DataFrame(values, ["A", "A.1", "B.C"], ["Ca_1", "Ca_2", "sc_HepG2"]),
        "gnames": np.array(["A", "A", "B-C"]),
        "snames": np.array(["Ca_1", "Ca_2", "sc_HepG2"]),
        "y": np.array([2.0, 1.0, 3.0]),
        "groups": np.array(["sub_1", "sub_2", "HepG2"]),
    }


def test_hou_is_read_as_natural_logarithms_and_copies_are_added(tmp_path):
    linear = np.array([[3.0, 0, 1], [4, 0, 2], [0, 7, 15]])
    adata = read(write_rda(tmp_path / "Hou.RData", Hou=hou(np.log(linear + 1))), "hou_cells")
    np.testing.assert_allclose(adata.X, np.log2([[8, 1], [1, 8], [4, 16]]), rtol=1e-6)
    assert adata.var_names.tolist() == ["A", "B-C"]
    assert adata.obs["cell_type"].tolist() == ["HCC", "HCC", "HepG2"]
    assert adata.obs["subpopulation"].tolist() == ["sub_2", "sub_1", "HepG2"]
    with pytest.raises(DataError, match="negative"):
        read(write_rda(tmp_path / "bad.RData", Hou=hou(-linear)), "hou_cells")
    with pytest.raises(ReadError, match="expected a list Hou with .*found other"):
        read(write_rda(tmp_path / "other.RData", other=pd.DataFrame({"a": [1]})), "hou_cells")


def test_half_cells(tmp_path):
    shares = pd.DataFrame({"h1": [0.02, 0.03, 1e-4, 0.07], "h2": [1e-4, 0.0005, 1e-4, 0.0095]})
    rows = np.log2(shares).round(6)
    rows.insert(0, "Description", ["hsa-let-7a-1", "hsa-let-7a-2", "hsa-mir-21", "hsa-mir-92a-1"])
    rows.insert(0, "Name", ["hsa-let-7a-5p", "hsa-let-7a-5p", "hsa-miR-21-5p", "hsa-miR-92a-3p"])
    rows.to_csv(tmp_path / "x.gct", sep="\t", index=False)
    adata = read(tmp_path / "x.gct", "half_cell_mirna")
    expected = pd.DataFrame(
        [[3e5, 0, 7e5], [5e4, 0, 9.5e5]], ["h1", "h2"], ["hsa-let-7a-5p", "hsa-miR-21-5p", "hsa-miR-92a-3p"]
    )
    pd.testing.assert_frame_equal(adata.to_df(), expected, rtol=1e-4, check_dtype=False)
    assert (adata.uns["sicmir"]["units"], adata.uns["sicmir"]["level"]) == ("CPM", "mature")
    rows.assign(h1=-20.0).to_csv(tmp_path / "low.gct", sep="\t", index=False)
    with pytest.raises(ReadError, match="shares from 0.0001 to 1"):
        read(tmp_path / "low.gct", "half_cell_mirna")


# files beside a matrix


def test_files_beside_a_matrix_are_fetched_before_it_is_read(tmp_path, monkeypatch, server):
    mmwrite(tmp_path / "matrix.mtx", sparse.coo_matrix(np.array([[1, 0], [2, 3]])))
    text(tmp_path / "genes.tsv", "ENSG1\tA\nENSG2\tB\n")
    text(tmp_path / "barcodes.tsv", "c1\nc2\n")
    entries = []
    for name in ("matrix.mtx", "genes.tsv", "barcodes.tsv"):
        content = (tmp_path / name).read_bytes()
        server.files[f"/set/{name}"] = content
        entries.append(
            {
                "name": f"set/{name}",
                "url": f"https://data.invalid/{name}",
                "sha256": hashlib.sha256(content).hexdigest(),
                "bytes": len(content),
            }
        )
    entries[0]["reader"] = "tenx_mtx"
    manifest = write_manifest(tmp_path / "m.yaml", tiny=dataset(entries))
    monkeypatch.setattr(paths, "manifest", lambda: manifest)
    monkeypatch.setenv("SICMIR_MIRROR", server.url)
    assert load("tiny").to_df().to_numpy().tolist() == [[1, 2], [0, 3]]
