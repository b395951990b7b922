"""Files that fuzzing brought to light, and their like: refused in words, and never followed out of memory."""

from types import SimpleNamespace

import h5py
import numpy as np
import pytest
from scipy import sparse

from sicmir.data import read, spots
from sicmir.errors import DataError, ReadError


def gctx(path):
    with h5py.File(path, "w") as file:
        file["0/DATA/0/matrix"] = np.ones((2, 1), np.float32)
        file["0/META/ROW/id"] = np.array(["5720"], dtype="S")
        file["0/META/COL/id"] = np.array(["s1", "s2"], dtype="S")
    return path


@pytest.mark.parametrize("what", ["group", "reference"])
def test_gctx_with_an_attribute_that_is_no_column(tmp_path, what):
    path = gctx(tmp_path / "x.gctx")
    assert read(path, "gctx").shape == (2, 1)
    with h5py.File(path, "r+") as file:
        if what == "group":
            file.create_group("0/META/COL/dose")
        else:
            file["0/META/COL/dose"] = np.array([file["0"].ref] * 2, dtype=h5py.ref_dtype)
    with pytest.raises(ReadError, match=r"x\.gctx: not a readable \.gctx"):
        read(path, "gctx")


@pytest.mark.parametrize(("part", "value"), [("indices", 100), ("indices", -1), ("indptr", 9)])
def test_tenx_h5_whose_indices_lead_out_of_the_matrix(tmp_path, part, value):
    path, matrix = tmp_path / "x.h5", sparse.csc_matrix(np.arange(1, 7).reshape(2, 3))
    with h5py.File(path, "w") as file:
        for name in ("data", "indices", "indptr", "shape"):
            file[f"matrix/{name}"] = getattr(matrix, name)
        file["matrix/barcodes"] = np.array(["a", "b", "c"], dtype="S")
        for name, values in {
            "id": ["ENSG1", "ENSG2"],
            "name": ["TP53", "AARS"],
            "genome": ["GRCh38"] * 2,
            "feature_type": ["Gene Expression"] * 2,
        }.items():
            file[f"matrix/features/{name}"] = np.array(values, dtype="S")
    assert read(path, "tenx_h5").X.toarray().tolist() == [[1, 4], [2, 5], [3, 6]]
    with h5py.File(path, "r+") as file:
        file[f"matrix/{part}"][1] = value
    with pytest.raises((DataError, ReadError), match=r"x\.h5.*damaged"):
        read(path, "tenx_h5")


@pytest.mark.parametrize("index", [2, -1, 10**6])
def test_sparse_matrix_of_r_whose_indices_lead_out_of_it(tmp_path, monkeypatch, index):
    matrix = SimpleNamespace(
        x=np.array([1.0, 2.0]),
        i=np.array([0, 1], np.int32),
        p=np.array([0, 1, 2], np.int32),
        Dim=np.array([2, 2]),
        Dimnames=[np.array(["TP53", "AARS"]), np.array(["1x1", "1x2"])],
    )
    monkeypatch.setattr(spots, "read_objects", lambda path: {"counts": matrix})
    path = tmp_path / "x.RData"
    path.touch()
    assert read(path, "rda_counts").X.toarray().tolist() == [[1, 0], [0, 2]]
    matrix.i[0] = index
    with pytest.raises(ReadError, match=r"x\.RData: .*damaged: indices should lie from 0 to 1"):
        read(path, "rda_counts")
