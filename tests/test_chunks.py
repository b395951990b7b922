"""Chunked reading of CSR, CSC and dense matrices, .h5ad and .zarr, against the same matrices in memory."""

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from sicmir.data import chunks, column_store
from sicmir.data.backed import open_backed
from sicmir.data.chunks import ChunkedMatrix, preview
from sicmir.errors import DataError, ParameterError, ReadError
from sicmir.matrices.units import recognise

pytestmark = pytest.mark.filterwarnings("ignore:Writing zarr v2", "ignore:.*zarr v3")
N_CELLS, N_GENES = 137, 41
COLUMNS = [40, 3, 3, 17, 0]


@pytest.fixture(scope="module")
def table():
    """Counts in raw, with more genes; log1p(CP10K) of some of these in X; and all kinds of layers."""
    rng = np.random.default_rng(0)
    counts = rng.poisson(rng.gamma(0.3, 4, (N_CELLS, N_GENES + 4))).astype(np.float32)
    counts[5] = 0  # an empty cell
    linear = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1) * 1e4
    adata = ad.AnnData(
        sparse.csr_matrix(np.log1p(linear)),
        obs=pd.DataFrame(
            {"donor": pd.Categorical(rng.choice(list("abc"), N_CELLS))},
            index=[f"c{i}" for i in range(N_CELLS)],
        ),
        var=pd.DataFrame(index=[f"g{i}" for i in range(N_GENES + 4)]),
        uns={"note": "kept", "log1p": {"base": None}},
    )
    adata.raw = ad.AnnData(sparse.csr_matrix(counts), obs=adata.obs, var=adata.var)
    adata = adata[:, :N_GENES].copy()
    adata.layers["counts"] = sparse.csc_matrix(counts[:, :N_GENES])
    dense = counts[:, :N_GENES].astype(np.float64) / 3
    dense[7, 3] = np.nan
    adata.layers["dense"] = dense
    return adata


@pytest.fixture(scope="module", params=["h5ad", "zarr"])
def path(request, table, tmp_path_factory):
    target = tmp_path_factory.mktemp("chunks") / f"x.{request.param}"
    if request.param == "h5ad":
        table.write_h5ad(target, compression="gzip")
    else:
        table.write_zarr(target, chunks=(10, 10))
    return target


def expected(table, layer):
    matrix = {"X": table.X, "raw": table.raw.X}.get(layer)
    matrix = table.layers[layer] if matrix is None else matrix
    return matrix.toarray() if sparse.issparse(matrix) else matrix


@pytest.fixture(params=["generous", "tight"])
def memory(request, monkeypatch):
    """One piece and one window, or very many of them."""
    if request.param == "tight":
        monkeypatch.setattr(chunks, "SOURCE_BYTES", 700)
        monkeypatch.setattr(column_store, "SLAB_BYTES", 500)
        return 5000
    return chunks.WINDOW_BYTES


@pytest.mark.parametrize(
    ("layer", "stored"), [("X", "csr"), ("raw", "csr"), ("counts", "csc"), ("dense", "dense")]
)
def test_rows_and_totals_are_those_in_memory(path, table, memory, layer, stored):
    whole = expected(table, layer)
    with ChunkedMatrix(path, layer, memory) as matrix:
        assert matrix.format == stored
        assert matrix.shape == whole.shape
        assert matrix.n_obs == N_CELLS
        pd.testing.assert_frame_equal(matrix.obs, table.obs)
        assert matrix.var.index.tolist() == (table.raw if layer == "raw" else table).var_names.tolist()
        assert matrix.uns["note"] == "kept"
        for size in (20, 137, 1000):
            found = list(matrix.chunks(COLUMNS, size, np.square))
            assert [chunk.start for chunk in found] == list(range(0, N_CELLS, size))
            assert all(chunk.values.dtype == np.float32 for chunk in found)
            np.testing.assert_array_equal(
                np.concatenate([chunk.values for chunk in found]), whole[:, COLUMNS].astype(np.float32)
            )
            totals = np.concatenate([chunk.totals for chunk in found])
            np.testing.assert_allclose(totals, np.nansum(whole.astype(float) ** 2, axis=1), rtol=1e-6)
        for start, stop in ((50, 60), (10, 11), (11, 90), (0, 0), (130, 137)):  # back and forth
            np.testing.assert_array_equal(matrix.rows(start, stop), whole[start:stop].astype(np.float32))
            np.testing.assert_array_equal(
                matrix.rows(start, stop, COLUMNS), whole[start:stop, COLUMNS].astype(np.float32)
            )
        assert matrix.rows(0, 3, []).shape == (3, 0)
        assert next(iter(matrix.chunks(COLUMNS))).totals is None


@pytest.mark.parametrize("layer", ["X", "counts", "dense"])
def test_a_sample_is_of_those_rows(path, table, memory, layer):
    with ChunkedMatrix(path, layer, memory) as matrix:
        part = matrix.sample(40)
        assert 20 <= part.n_obs <= 40
        positions = table.obs_names.get_indexer(part.obs_names)
        assert positions[0] == 0
        assert positions[-1] == N_CELLS - 1
        np.testing.assert_array_equal(part.X.toarray(), expected(table, layer)[positions])
        assert matrix.sample(10**6).n_obs == N_CELLS


class Counted:
    """An array that counts what is read of it."""

    def __init__(self, array):
        self.array, self.dtype, self.shape, self.n_read = array, array.dtype, array.shape, 0

    def __getitem__(self, place):
        found = self.array[place]
        self.n_read += len(found)
        return found


def test_columns_are_read_once_in_ascending_order(tmp_path):
    rng = np.random.default_rng(1)
    rich, poor = (
        sparse.random(n, 6, density=density, rng=rng, dtype=np.float32)
        for n, density in ((2000, 0.9), (18_000, 0.2))
    )
    matrix = sparse.vstack([rich, poor], format="csc")  # more in the first windows than is expected of them
    ad.AnnData(matrix).write_h5ad(tmp_path / "x.h5ad")
    with ChunkedMatrix(tmp_path / "x.h5ad", window_bytes=200_000) as opened:
        store = opened._columns
        store._data, store._indices = Counted(store._data), Counted(store._indices)
        starts = set()
        for chunk in opened.chunks(range(6), 70):
            np.testing.assert_array_equal(chunk.values, matrix[chunk.start : chunk.stop].toarray())
            starts.add(store._start)
        assert len(starts) > 3
        assert store._data.n_read == matrix.nnz
        assert store._indices.n_read < 1.5 * matrix.nnz  # a little too far in every window


def test_pieces_of_the_source_are_bounded(path, table, monkeypatch):
    monkeypatch.setattr(chunks, "SOURCE_BYTES", 2000)
    with ChunkedMatrix(path, "X") as matrix:
        stored = np.diff(table.X.indptr)
        pieces = list(matrix._steps(3, 120))
        assert len(pieces) > 5
        for start, stop in pieces:
            assert stored[start:stop].sum() * 12 <= 2000 or stop == start + 1
        assert [start for start, _ in pieces[1:]] == [stop for _, stop in pieces[:-1]]
    with ChunkedMatrix(path, "dense") as matrix:
        height = (matrix._rows.chunks or (1,))[0]
        pieces = list(matrix._steps(3, 120))
        assert pieces[0][0] == 3
        assert pieces[-1][1] == 120
        assert all(
            start % height == 0 and stop - start <= max(height, 2000 // (41 * 8))
            for start, stop in pieces[1:]
        )


def test_preview_lets_units_be_recognised(path, table):
    part = preview(path, 100)
    assert set(part.layers) == {"counts"}
    assert part.raw.n_vars == N_GENES + 4
    for layer in ("", "X", "raw", "counts"):
        found, whole = recognise(part, layer), recognise(table, layer)
        assert (found.units, found.source, found.n_genes) == (whole.units, whole.source, whole.n_genes)


def test_open_backed(path, table):
    adata = open_backed(path)
    assert not isinstance(adata.X, sparse.spmatrix | np.ndarray)
    np.testing.assert_array_equal(adata.X[20:30].toarray(), table.X[20:30].toarray())
    np.testing.assert_array_equal(adata.layers["dense"][20:30], table.layers["dense"][20:30])
    np.testing.assert_array_equal(adata.raw.X[20:30].toarray(), table.raw.X[20:30].toarray())
    pd.testing.assert_frame_equal(adata.obs, table.obs)
    assert adata.raw.var_names.tolist() == table.raw.var_names.tolist()


def test_bad_options(path):
    with pytest.raises(ParameterError, match=r"layer='spliced'.*there are X, raw, layers\['counts'\]"):
        ChunkedMatrix(path, "spliced")
    with ChunkedMatrix(path) as matrix:
        for columns in ([-1], [N_GENES], [[0]]):
            with pytest.raises(ParameterError, match="columns should be positions from 0 to 40"):
                matrix.rows(0, 1, columns)
        for start, stop in ((-1, 2), (3, 2), (0, N_CELLS + 1)):
            with pytest.raises(ParameterError, match="not within the 137"):
                matrix.rows(start, stop)
        with pytest.raises(ParameterError, match="chunk_size"):
            next(matrix.chunks(chunk_size=0))


def test_columns_that_are_not_sorted(tmp_path):
    matrix = sparse.csc_matrix(np.ones((6, 2), np.float32))
    ad.AnnData(matrix).write_h5ad(tmp_path / "x.h5ad")
    with h5py.File(tmp_path / "x.h5ad", "r+") as file:
        file["X/indices"][:] = [0, 1, 3, 2, 4, 5] * 2
    with ChunkedMatrix(tmp_path / "x.h5ad") as opened, pytest.raises(DataError, match="do not ascend"):
        opened.rows(0, 6)


def test_encodings_of_other_times(tmp_path):
    adata = ad.AnnData(sparse.csr_matrix(np.eye(3, dtype=np.float32)), layers={"a": np.eye(3)})
    old = tmp_path / "old.h5ad"
    adata.write_h5ad(old)
    with h5py.File(old, "r+") as file:
        del file["X"].attrs["encoding-type"]
        file["X"].attrs["h5sparse_format"] = "csr"
    for opened in (ChunkedMatrix, open_backed):
        with pytest.raises(ReadError, match="X is encoded as an anndata older than 0.7 did"):
            opened(old)
    with h5py.File(old, "r+") as file:
        del file["obs"]
        file["obs"] = np.array([("a", 1)], dtype=[("index", "S1"), ("n", int)])
    with pytest.raises(ReadError, match="no obs that is encoded as by anndata 0.7"):
        ChunkedMatrix(old)


def test_damaged_and_empty_files(tmp_path):
    with pytest.raises(ReadError, match="no such file"):
        ChunkedMatrix(tmp_path / "none.h5ad")
    path = tmp_path / "x.h5ad"
    ad.AnnData(np.zeros((0, 3), np.float32)).write_h5ad(path)
    with pytest.raises(DataError, match=r"matrix is empty .*\(0, 3\)"):
        ChunkedMatrix(path)
    ad.AnnData(obs=pd.DataFrame(index=["a"]), layers={"counts": np.ones((1, 2))}).write_h5ad(path)
    with pytest.raises(ParameterError, match=r"has no X; it has layers\['counts'\]"):
        ChunkedMatrix(path)
    assert preview(path).X is None
    path.write_bytes(path.read_bytes()[:900])
    with pytest.raises(ReadError, match="not a readable"):
        ChunkedMatrix(path)
