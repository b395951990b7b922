"""Readers of spatial transcriptomes as R packages ship them."""

import numpy as np
import pandas as pd
import pytest
from data_files import r_sparse, write_rda
from scipy import sparse

from sicmir.data import read, spots
from sicmir.errors import DataError, ReadError, UnreachableError


def test_counts_of_a_sparse_matrix(tmp_path, monkeypatch):
    counts = sparse.csc_matrix(np.array([[1.0, 0, 2], [0, 3, 0]]))
    matrix = r_sparse(counts, ["HLA.DRA", "KRT8"], ["1x1", "1x2", "2x1"])
    monkeypatch.setattr(spots, "read_objects", lambda path: {"spatial_count": matrix})
    (tmp_path / "x.RData").touch()
    found = read(tmp_path / "x.RData", "rda_counts")
    expected = pd.DataFrame(
        [[1, 0], [0, 3], [2, 0]], ["1x1", "1x2", "2x1"], ["HLA.DRA", "KRT8"], dtype=np.float32
    )
    pd.testing.assert_frame_equal(found.to_df(), expected)
    assert sparse.issparse(found.X)
    assert found.uns["sicmir"]["units"] == "UMI counts"
    matrix.x = counts.data + 0.5
    with pytest.raises(DataError, match=r"expected counts, found 1.5 at cell 1x1, gene HLA.DRA"):
        read(tmp_path / "x.RData", "rda_counts")


def test_what_is_no_sparse_matrix(tmp_path):
    path = write_rda(tmp_path / "x.RData", x=pd.DataFrame({"a": [1]}))
    with pytest.raises(ReadError, match="one dgCMatrix"):
        read(path, "rda_counts")


def test_places_and_regions(tmp_path):
    frame = pd.DataFrame(
        {"x": [1.0, 2.0], "Region": pd.Categorical(["Cancer", "Stroma"]), "ID": [0, 1]}, ["1x1", "2x1"]
    )
    path = write_rda(tmp_path / "x.RData", spots=frame)
    found = read(path, "rda_spots", columns={"x": "x", "Region": "region"}).obs
    assert found["x"].tolist() == [1.0, 2.0]
    assert found["region"].tolist() == ["Cancer", "Stroma"]
    assert list(found) == ["x", "region"]
    with pytest.raises(DataError, match="no column 'y'; it has x, Region, ID"):
        read(path, "rda_spots", columns={"y": "y"})
    frame.loc["2x1", "x"] = np.nan
    with pytest.raises(DataError, match="spot 2x1 lacks a value"):
        read(write_rda(tmp_path / "y.RData", spots=frame), "rda_spots", columns={"x": "x"})
    with pytest.raises(ReadError, match="one table of spots"):
        read(write_rda(tmp_path / "z.RData", a=frame, b=frame), "rda_spots", columns={"x": "x"})


@pytest.mark.real
def test_the_section_is_what_the_text_says():
    from sicmir import data

    try:
        tables = data.load("pdac-spatial")
    except UnreachableError as error:
        pytest.skip(f"REAL DATA NOT REACHED, so this test did not run: {str(error)[:200]}")
    assert tables["pdac-spatial/spatial_count.RData"].shape == (428, 25753)
    assert tables["pdac-spatial/spatial_location.RData"].n_obs == 428
    regions = tables["pdac-spatial/Figure4A_layer_annote.RData"].obs["region"]
    assert regions.value_counts().to_dict() == {
        "Stroma": 147,
        "Cancer": 137,
        "Duct Epithelium": 72,
        "Pancreatic": 70,
    }
