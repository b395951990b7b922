"""The reader of an .rds with a matrix and a table of the samples."""

import numpy as np
import pandas as pd
import pytest
import rdata
import xarray

from sicmir.data import rds, read
from sicmir.errors import DataError, ReadError

COUNTS = np.array([[3.0, -0.0], [0.0, 7.0], [1.0, 2.0]])
ARGUMENTS = {
    "values": "norm",
    "labels": "meta",
    "columns": {"sex": "sex", "rep": "replicate"},
    "units": "read counts, normalised",
    "level": "mature",
}


def objects(**changes):
    names = {"features": ["mmu-miR-1a-3p", "mmu-let-7a-5p", "novel1"], "samples": ["s2", "s1"]}
    matrix = xarray.DataArray(COUNTS, dims=list(names), coords=names)
    meta = pd.DataFrame({"sex": ["F", "M"], "rep": [1, 2], "W": [0.1, 0.2]}, index=["s1", "s2"])
    return {"norm": matrix, "meta": meta} | changes


@pytest.fixture
def path(tmp_path, monkeypatch):
    def give(**changes):
        monkeypatch.setattr(rds, "read_objects", lambda path: objects(**changes))
        (tmp_path / "x.rds").touch()
        return tmp_path / "x.rds"

    return give


def test_a_list_of_a_matrix_and_a_table(path):
    found = read(path(), "rds_samples", **ARGUMENTS)
    np.testing.assert_array_equal(found.X, COUNTS.T)
    assert not np.signbit(found.X).any()
    assert found.obs_names.tolist() == ["s2", "s1"]
    assert found.obs.to_dict("list") == {"sex": ["M", "F"], "replicate": ["2", "1"]}
    assert found.uns["sicmir"]["level"] == "mature"
    assert found.uns["sicmir"]["units"] == "read counts, normalised"


def test_a_file_as_r_writes_it(tmp_path):
    table = pd.DataFrame({"sex": ["F", "M"]}, index=["s1", "s2"])
    rdata.write_rds(tmp_path / "x.rds", {"meta": table})
    with pytest.raises(ReadError, match=r"x.rds: expected a named matrix 'norm', found meta"):
        read(tmp_path / "x.rds", "rds_samples", **ARGUMENTS)
    (tmp_path / "y.rds").write_bytes(b"no R at all")
    with pytest.raises(ReadError, match=r"not a readable .rds file"):
        read(tmp_path / "y.rds", "rds_samples", **ARGUMENTS)


def test_what_is_missing_is_named(path):
    with pytest.raises(ReadError, match="expected a table 'meta', found norm, meta"):
        read(path(meta=COUNTS), "rds_samples", **ARGUMENTS)
    with pytest.raises(DataError, match="meta has no column 'age'; it has sex, rep, W"):
        read(path(), "rds_samples", **(ARGUMENTS | {"columns": {"age": "age"}}))
    short = objects()["meta"].loc[["s1"]]
    with pytest.raises(DataError, match="meta lacks a value of s2"):
        read(path(meta=short), "rds_samples", **ARGUMENTS)
    with pytest.raises(DataError, match="negative"):
        read(path(norm=-objects()["norm"]), "rds_samples", **ARGUMENTS)
