"""Large ``.h5ad`` and ``.zarr`` files, read a few rows at a time and only in the columns that are wanted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import sparse

from sicmir.data.backed import close_store, matrices, open_store, read_part, reading, storage
from sicmir.data.column_store import ColumnStore
from sicmir.errors import DataError, ParameterError, ReadError
from sicmir.matrices.dense import dense
from sicmir.matrices.matrix_check import check_pointers, check_storage
from sicmir.matrices.units import COUNT_LAYERS, N_JUDGED, find_source, judged_rows, row_totals

Linear = Callable[[np.ndarray], np.ndarray]

SOURCE_BYTES = 64 * 2**20
"""Stored values of all columns that are read at a time."""

WINDOW_BYTES = 2**30
"""Memory in which a column-wise matrix is turned into rows."""


class Chunk(NamedTuple):
    """Rows ``start`` to ``stop`` of the wanted columns, and their totals over all columns, or None."""

    start: int
    stop: int
    values: np.ndarray
    totals: np.ndarray | None


class ChunkedMatrix:
    """One matrix of an ``.h5ad`` or ``.zarr`` file, which stays on disk.

    Memory is bounded by the rows asked for x the columns wanted, plus ``SOURCE_BYTES`` of the file; for a
    matrix stored by columns (CSC), plus ``window_bytes``, see
    :class:`~sicmir.data.column_store.ColumnStore`: read such a file in ascending order. Use it as a context
    manager, or call :meth:`close`.

    Parameters
    ----------
    path
        ``.h5ad``, ``.zarr`` or ``.zarr.zip``, written by anndata 0.7 or later.
    layer
        ``"X"``, ``"raw"`` (with its own genes) or a layer, as :func:`sicmir.matrices.units.find_source` reads
        it.
    window_bytes
        Memory for turning columns into rows.

    Attributes
    ----------
    obs, var, uns
        Read whole; ``var`` is that of the matrix.
    source
        Full name of the matrix.
    shape, n_obs
        Rows and columns; rows.
    format
        ``"csr"``, ``"csc"`` or ``"dense"``.

    Raises
    ------
    ReadError
        If the file is damaged, no AnnData, or its encoding is older or unknown.
    ParameterError
        If there is no such matrix.
    DataError
        If the matrix is empty or its pointers are damaged.
    """

    def __init__(self, path: str | Path, layer: str = "X", window_bytes: int = WINDOW_BYTES) -> None:
        self.path = Path(path)
        self._file = open_store(self.path)
        there = matrices(self._file)
        layers = list(self._file.get("layers", ()))
        self.source = find_source(layer, layers, "raw" in there)
        if self.source not in there:
            raise ParameterError(
                f"{self.path}: has no {self.source}; it has {', '.join(there) or 'no matrix'}."
            )
        name = there[self.source]
        self.obs: pd.DataFrame = read_part(self.path, self._file, "obs")
        self.var: pd.DataFrame = read_part(self.path, self._file, "raw/var" if name == "raw/X" else "var")
        self.uns: dict[str, Any] = read_part(self.path, self._file, "uns")
        matrix = self._file[name]
        self.format = storage(self.path, name, matrix)
        self.shape: tuple[int, int] = (len(self.obs), len(self.var))
        self.n_obs = self.shape[0]
        stored = tuple(matrix.shape if self.format == "dense" else matrix.attrs["shape"])
        if stored != self.shape:
            raise ReadError(f"{self.path}: {name} is {stored}, but obs and var say {self.shape}.")
        if 0 in self.shape:
            raise DataError(f"{self.path}: the matrix is empty (observations x features = {self.shape}).")
        self._totals: tuple[Linear, np.ndarray] | None = None
        if self.format == "csc":
            self._columns = ColumnStore(matrix, self.shape, window_bytes)
        elif self.format == "csr":
            # anndata's own access by rows looks up the version of a package each time, which takes 25 ms.
            with reading(self.path):
                self._values, self._indices = matrix["data"], matrix["indices"]
                self._indptr = matrix["indptr"][:].astype(np.int64)
                n_values = min(part.shape[0] for part in (self._values, self._indices))
            check_pointers(self._indptr, self.n_obs, n_values, f"{self.path}: {name}")
        else:
            self._rows = matrix

    def __enter__(self) -> ChunkedMatrix:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        close_store(self._file)

    def rows(self, start: int, stop: int, columns: Sequence[int] | np.ndarray | None = None) -> np.ndarray:
        """Read rows ``start`` to ``stop`` (left out) as stored.

        Parameters
        ----------
        start, stop
            Positions, 0 <= start <= stop <= n_obs.
        columns
            Positions of the wanted columns, in any order; None for all.

        Returns
        -------
        ndarray
            Rows x columns, dense float32.

        Raises
        ------
        ParameterError
            If a position is out of range.
        DataError
            If a matrix stored by columns is not sorted.
        """
        return self._read(start, stop, self._positions(columns), None).values

    def chunk(
        self,
        start: int,
        stop: int,
        columns: Sequence[int] | np.ndarray | None = None,
        linear: Linear | None = None,
    ) -> Chunk:
        """Read rows ``start`` to ``stop`` as :meth:`rows`, and their totals over all columns.

        Parameters
        ----------
        start, stop, columns
            As for :meth:`rows`.
        linear
            Makes stored values linear before they are summed up over all columns into the totals; 0 must stay
            0: ``Units.linear``. None: totals are not taken. A matrix stored by columns is read whole for
            them, in a pass of its own, once.

        Raises
        ------
        ParameterError, DataError
            As :meth:`rows`, and what ``linear`` raises.
        """
        found = self._read(start, stop, self._positions(columns), linear)
        if linear is None or self.format != "csc":
            return found
        if self._totals is None or self._totals[0] != linear:
            with reading(self.path):
                self._totals = linear, self._columns.totals(linear)
        return found._replace(totals=self._totals[1][start:stop])

    def chunks(
        self, columns: Sequence[int] | None = None, chunk_size: int = 2000, linear: Linear | None = None
    ) -> Iterator[Chunk]:
        """Go through all rows, ``chunk_size`` at a time, at least 1; otherwise as :meth:`chunk`."""
        if chunk_size < 1:
            raise ParameterError(f"chunk_size should be at least 1, found {chunk_size}.")
        for start in range(0, self.n_obs, chunk_size):
            yield self.chunk(start, min(start + chunk_size, self.n_obs), columns, linear)

    def pieces(self, size: int) -> Iterator[tuple[int, int, np.ndarray | sparse.csr_matrix]]:
        """Go through all rows and columns, up to ``size`` rows at a time, sparse where rows are stored so."""
        for start in range(0, self.n_obs, size):
            stop = min(start + size, self.n_obs)
            if self.format != "csr":
                yield start, stop, self.rows(start, stop)
                continue
            for first, last in self._steps(start, stop):
                yield first, last, self._block(first, last)

    def sample(self, n_obs: int = N_JUDGED) -> AnnData:
        """Read up to ``n_obs`` evenly spaced rows of all columns; ``X`` is this matrix, sparse.

        They are the rows that :func:`sicmir.matrices.units.recognise` would look at, so that it judges the
        sample as it would judge the whole matrix.
        """
        places = judged_rows(self.n_obs, n_obs)
        with reading(self.path):
            matrix = self._picked(places)
        return AnnData(matrix, obs=self.obs.iloc[places].copy(), var=self.var.copy(), uns=dict(self.uns))

    def _picked(self, places: np.ndarray) -> sparse.csr_matrix:
        if self.format == "csc":
            matrix = self._columns.pick(places)
        else:
            # Rows of one chunk of a dense matrix are read together, or it would be unpacked for each of them.
            height = (self._rows.chunks or (1,))[0] if self.format == "dense" else 1
            parts = []
            for near in np.split(places, np.flatnonzero(np.diff(places // height)) + 1):
                block = self._block(int(near[0]), int(near[-1]) + 1)
                parts.append(sparse.csr_matrix(block[near - near[0]]))
            matrix = sparse.vstack(parts)
        return sparse.csr_matrix(matrix)

    def _positions(self, columns: Sequence[int] | np.ndarray | None) -> np.ndarray:
        places = np.arange(self.shape[1]) if columns is None else np.asarray(columns, dtype=np.int64)
        if places.ndim != 1 or (places < 0).any() or (places >= self.shape[1]).any():
            raise ParameterError(
                f"columns should be positions from 0 to {self.shape[1] - 1}, found {columns!r:.60}."
            )
        return places

    def _read(self, start: int, stop: int, columns: np.ndarray, linear: Linear | None) -> Chunk:
        if not 0 <= start <= stop <= self.n_obs:
            raise ParameterError(f"Rows {start} to {stop} are not within the {self.n_obs} of {self.path}.")
        if self.format == "csc":
            with reading(self.path):
                return Chunk(start, stop, self._columns.rows(start, stop, columns), None)
        values = np.empty((stop - start, len(columns)), dtype=np.float32)
        totals = np.empty(stop - start) if linear else None
        for first, last in self._steps(start, stop):
            block = self._block(first, last)
            part = slice(first - start, last - start)
            values[part] = dense(block[:, columns])
            if linear and totals is not None:
                totals[part] = row_totals(block, linear)
        return Chunk(start, stop, values, totals)

    def _block(self, start: int, stop: int) -> np.ndarray | sparse.csr_matrix:
        """Rows as stored, all columns."""
        with reading(self.path):
            block = self._rows[start:stop] if self.format == "dense" else self._sparse(start, stop)
        check_storage(block, f"{self.path}: {self.source}")
        return block

    def _sparse(self, start: int, stop: int) -> sparse.csr_matrix:
        first, last = self._indptr[[start, stop]]
        parts = (self._values[first:last], self._indices[first:last], self._indptr[start : stop + 1] - first)
        return sparse.csr_matrix(parts, shape=(stop - start, self.shape[1]))

    def _steps(self, start: int, stop: int) -> Iterator[tuple[int, int]]:
        """Cut rows into pieces of ``SOURCE_BYTES``; those of dense matrices along the chunks of the file."""
        while start < stop:
            if self.format == "csr":
                limit = self._indptr[start] + SOURCE_BYTES // (self._values.dtype.itemsize + 8)
                last = int(np.searchsorted(self._indptr, limit, side="right")) - 1
            else:
                height = (self._rows.chunks or (1,))[0]
                n_rows = SOURCE_BYTES // (self.shape[1] * self._rows.dtype.itemsize)
                last = (start // height + max(1, n_rows // height)) * height
            last = min(max(last, start + 1), stop)
            yield start, last
            start = last


def preview(path: str | Path, n_obs: int = N_JUDGED, layer: str = "") -> AnnData:
    """Read up to ``n_obs`` evenly spaced rows of ``X``, ``raw`` and the layers of counts, in all columns.

    It fits :func:`sicmir.matrices.units.recognise`, which says by it what to stream of a large file.

    Parameters
    ----------
    path, n_obs
        The file, and the number of rows.
    layer
        Read this matrix only, as :func:`sicmir.matrices.units.find_source` names it.

    Raises
    ------
    ReadError, DataError
        As :class:`ChunkedMatrix`.
    ParameterError
        If there is no such layer.
    """
    layers = {f"layers[{name!r}]": name for name in (*COUNT_LAYERS, "spliced")}
    parts = {}
    file = open_store(Path(path))
    there = list(matrices(file))
    named = list(file.get("layers", ()))
    close_store(file)
    wanted: tuple[str, ...]
    if layer:
        source = find_source(layer, named, "raw" in there)
        wanted, layers = (source,), {f"layers[{name!r}]": name for name in named}
    else:
        wanted = ("X", "raw", *layers)
    for source in there:
        if source in wanted:
            with ChunkedMatrix(path, source) as matrix:
                parts[source] = matrix.sample(n_obs)
    if not parts:
        raise DataError(f"{path}: has neither X nor a layer of counts.")
    raw = parts.pop("raw", None)
    first = next(iter(parts.values()), raw)
    adata = AnnData(
        X=parts["X"].X if "X" in parts else None,
        obs=first.obs,
        var=first.var,
        uns=first.uns,
        layers={layers[source]: part.X for source, part in parts.items() if source != "X"},
    )
    if raw is not None:
        adata.raw = raw
    return adata
