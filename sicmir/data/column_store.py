"""Rows of a matrix that a file stores column by column (CSC), in bounded memory and without a second file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from scipy import sparse

from sicmir.errors import DataError
from sicmir.matrices.matrix_check import check_pointers

SLAB_BYTES = 64 * 2**20
"""Stored values, with their row numbers, that are read at a time where all columns are wanted."""

_BYTES_PER_VALUE = 24  # a value and its row number while read, while joined, and in the turned copy

_OUT_OF_RANGE = "A column-wise matrix is damaged: it has row numbers beyond its rows. Write it again."


class ColumnStore:
    """A CSC matrix on disk, of which windows of consecutive rows are turned into CSR.

    A window has as many rows as fit into ``window_bytes`` in the wanted columns. Within a column the row
    numbers ascend, so that each column is read on from where the last window ended: windows in ascending
    order read the wanted columns once (row numbers a tenth too far). Going back starts anew.

    Parameters
    ----------
    group
        Group of HDF5 or zarr with ``data``, ``indices`` and ``indptr``.
    shape
        Rows and columns.
    window_bytes
        Memory for a window.
    """

    def __init__(self, group: Any, shape: tuple[int, int], window_bytes: int) -> None:
        self._data, self._indices = group["data"], group["indices"]
        self._indptr = group["indptr"][:].astype(np.int64)
        check_pointers(self._indptr, shape[1], self._indices.shape[0], "The column-wise matrix")
        self._shape, self._window_bytes = shape, window_bytes
        self._columns = np.empty(0, int)
        self._start = self._stop = 0
        self._next = np.empty(0, np.int64)
        self._window: Any = None  # CSR, once there is one

    def rows(self, start: int, stop: int, columns: np.ndarray) -> np.ndarray:
        """Rows ``start`` to ``stop`` of some columns, dense.

        Raises
        ------
        DataError
            If the row numbers of a column do not ascend or are out of range.
        """
        if not (self._known(columns) and self._start <= start and stop <= self._stop):
            self._turn(start, stop, columns)
        return self._window[start - self._start : stop - self._start].toarray()

    def totals(self, linear: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        """Sum of each row over all columns, of values to which ``linear`` was applied; NaN left out."""
        totals = np.zeros(self._shape[0])
        for _, rows, values in self._slabs():
            values = linear(values)
            totals += np.bincount(rows, np.where(np.isnan(values), 0, values), minlength=len(totals))
        return totals

    def pick(self, places: np.ndarray) -> sparse.csr_matrix:
        """Some rows, by ascending position, of all columns; reads all of the matrix."""
        parts = [(np.empty(0, int), np.empty(0, int), np.empty(0, self._data.dtype))]
        for first, rows, values in self._slabs():
            kept = np.flatnonzero(np.isin(rows, places))
            columns = np.searchsorted(self._indptr, first + kept, side="right") - 1
            parts.append((np.searchsorted(places, rows[kept]), columns, values[kept]))
        rows, columns, values = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        return sparse.csr_matrix((values, (rows, columns)), shape=(len(places), self._shape[1]))

    def _slabs(self) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
        """Position of the first value, row numbers and values, a slab at a time."""
        step = SLAB_BYTES // (self._data.dtype.itemsize + self._indices.dtype.itemsize)
        for first in range(0, self._data.shape[0], step):
            rows = self._indices[first : first + step]
            if rows.min() < 0 or rows.max() >= self._shape[0]:
                raise DataError(_OUT_OF_RANGE)
            yield first, rows, self._data[first : first + step]

    def _known(self, columns: np.ndarray) -> bool:
        return self._window is not None and np.array_equal(columns, self._columns)

    def _turn(self, start: int, stop: int, columns: np.ndarray) -> None:
        """Make the window from ``start`` on, of what the last one holds of it and of what comes next."""
        begins, ends = self._indptr[columns], self._indptr[columns + 1]
        n_rows = self._shape[0]
        bytes_per_row = max(1, (ends - begins).sum() * _BYTES_PER_VALUE / n_rows)
        known = []
        if self._known(columns) and self._start <= start <= self._stop:
            known = [self._window[start - self._start :]]
        else:
            self._columns, self._next, self._stop = columns.copy(), begins.copy(), start
        first, self._window = self._stop, None  # frees the last one
        self._start, self._stop = (
            start,
            min(n_rows, max(stop, start + int(self._window_bytes / bytes_per_row))),
        )
        steps = 64 + (ends - begins) * (1.1 * (self._stop - first) / n_rows)
        parts = [
            self._column(place, first, int(ends[place]), int(steps[place])) for place in range(len(columns))
        ]
        lengths = [len(rows) for rows, _ in parts]
        turned = sparse.csc_matrix(
            (
                np.concatenate([np.empty(0, np.float32), *(values for _, values in parts)]).astype(
                    np.float32
                ),
                np.concatenate([np.empty(0, int), *(rows for rows, _ in parts)]),
                np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
            ),
            shape=(self._stop - first, len(columns)),
        ).tocsr()
        self._window = sparse.vstack([*known, turned], format="csr")

    def _column(self, place: int, start: int, end: int, step: int) -> tuple[np.ndarray, np.ndarray]:
        """Rows from ``start`` on, counted from it, and values of a column in the window; moves on in it."""
        rows, values, last = [np.empty(0, np.int32)], [np.empty(0, self._data.dtype)], -1
        while self._next[place] < end:
            first = int(self._next[place])
            found = self._indices[first : min(first + step, end)]
            if found[0] < last or (np.diff(found) < 0).any():
                raise DataError(
                    "The row numbers of a column-wise matrix do not ascend. Read the file with anndata, call "
                    "sort_indices() on the matrix and write it again."
                )
            if found[0] < 0 or found[-1] >= self._shape[0]:
                raise DataError(_OUT_OF_RANGE)
            low, high = np.searchsorted(found, [start, self._stop])
            rows.append(found[low:high] - start)
            values.append(self._data[first + low : first + high])
            last = found[-1]
            self._next[place] += high
            if high < len(found):
                break
        return np.concatenate(rows), np.concatenate(values)
