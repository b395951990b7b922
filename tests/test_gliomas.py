"""Readers of single cells of gliomas as R packages ship them."""

import gzip

import numpy as np
import pandas as pd
import pytest
from data_files import r_sparse, write_rda
from scipy import sparse

from sicmir.data import gliomas, load, read
from sicmir.errors import DataError, ReadError, UnreachableError
from sicmir.matrices.units import recognise


def test_a_sparse_matrix_that_is_no_counts(tmp_path, monkeypatch):
    values = sparse.csc_matrix(np.array([[1.5, 0, 2], [0, 3.25, 0]]))
    matrix = r_sparse(values, ["A2M", "AAAS"], ["c1", "c2", "c3"])
    monkeypatch.setattr(gliomas, "read_objects", lambda path: {"M": matrix})
    (tmp_path / "x.rda").touch()
    found = read(tmp_path / "x.rda", "sparse_cells", units="log2(TPM/10 + 1)", obs={"donor": "P1"})
    expected = pd.DataFrame(
        [[1.5, 0], [0, 3.25], [2, 0]], ["c1", "c2", "c3"], ["A2M", "AAAS"], dtype=np.float32
    )
    pd.testing.assert_frame_equal(found.to_df(), expected)
    assert sparse.issparse(found.X)
    assert (found.obs["donor"] == "P1").all()
    assert found.uns["sicmir"]["units"] == "log2(TPM/10 + 1)"
    matrix.x = -values.data
    with pytest.raises(DataError, match="negative"):
        read(tmp_path / "x.rda", "sparse_cells", units="TPM")


def test_what_is_no_sparse_matrix(tmp_path):
    path = write_rda(tmp_path / "x.rda", x=pd.DataFrame({"a": [1]}))
    with pytest.raises(ReadError, match="one dgCMatrix"):
        read(path, "sparse_cells", units="TPM")


def test_a_table_without_a_corner(tmp_path):
    path = tmp_path / "x.matrix.gz"
    path.write_bytes(gzip.compress(b"c1\tc2\nA2M\t0\t37.008\nNA\t1.5\t0\n"))
    found = read(path, "r_matrix", units="TPM/10")
    assert found.obs_names.tolist() == ["c1", "c2"]
    assert found.var_names.tolist() == ["A2M", "NA"]
    np.testing.assert_allclose(found.X.toarray(), [[0, 1.5], [37.008, 0]], rtol=1e-6)
    path.write_bytes(gzip.compress(b"gene\tc1\tc2\nA2M\t0\t37.008\n"))
    with pytest.raises(ReadError, match="3 names of cells stand above 2 values"):
        read(path, "r_matrix", units="TPM/10")
    path.write_bytes(gzip.compress(b"c1\tc2\nA2M\tx\t37.008\n"))
    with pytest.raises(ReadError, match="as R writes it"):
        read(path, "r_matrix", units="TPM/10")
    path.write_bytes(gzip.compress(b"c1\tc2\nA2M\t0\t37\n")[:-8])
    with pytest.raises(ReadError):
        read(path, "r_matrix", units="TPM/10")


def test_labels_without_a_header(tmp_path):
    path = tmp_path / "labels.txt"
    path.write_text("MGH1_a\tmalignant_MGH1\n93_b\tMicroglia\n")
    arguments = {
        "column": "cell_type",
        "patterns": {"donor": r"^(\w+?)_"},
        "values": {"cell_type": {"malignant_.*": "malignant"}, "donor": {"93": "MGH93"}},
    }
    found = read(path, "listed_labels", **arguments)
    assert found.obs["cell_type"].tolist() == ["malignant", "Microglia"]
    assert found.obs["donor"].tolist() == ["MGH1", "MGH93"]
    for text, told, error in (
        ("a_1\tx\na_1\ty\n", "a_1 is named twice", DataError),
        ("a\tx\n", "a lacks a label", DataError),
        ("a_1\t\n", "a_1 lacks a label", DataError),
        ("a_1\n", "two columns", ReadError),
    ):
        path.write_text(text)
        with pytest.raises(error, match=told):
            read(path, "listed_labels", **arguments)


@pytest.mark.real
def test_the_cells_are_what_the_manifest_says():
    try:
        malignant, tumour = load("gbm"), load("glioma")
    except UnreachableError as error:
        pytest.skip(f"REAL DATA NOT REACHED, so this test did not run: {str(error)[:200]}")
    assert malignant.shape == (229, 6954)
    assert recognise(malignant).units == "log2(TPM/10 + 1)"
    cells, labels = tumour.values()
    assert cells.shape == (184, 10338)
    assert recognise(cells).units == "TPM/10"
    assert set(cells.obs_names) == set(labels.obs_names)
    assert labels.obs["cell_type"].value_counts().to_dict() == {
        "malignant": 142,
        "oligodendrocytes": 23,
        "Microglia/Macrophage": 19,
    }
    assert set(labels.obs["donor"]) == {"MGH36", "MGH53", "MGH54", "MGH93", "MGH97"}
