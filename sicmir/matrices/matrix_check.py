"""Refuse matrices whose storage is broken, before scipy follows an index out of bounds and crashes."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse

from sicmir.errors import DataError


def check_storage(matrix: Any, name: str) -> None:
    """Make sure that a matrix holds real numbers, and a sparse one indices within its shape.

    Duplicated and unsorted indices are no fault: scipy sums up the former and bears the latter.

    Parameters
    ----------
    matrix
        Dense or sparse, as stored.
    name
        What to call it in errors: the file, or ``"X"``.

    Raises
    ------
    DataError
        If it is neither an array of two dimensions nor CSR nor CSC, or masked; its values are no integers,
        truth values or real numbers of 32 bits and more; or an index or pointer is out of range.
    """
    compressed = sparse.issparse(matrix) and matrix.format in ("csr", "csc")
    if not compressed and not (isinstance(matrix, np.ndarray) and matrix.ndim == 2):
        found = f"a {matrix.format} matrix" if sparse.issparse(matrix) else type(matrix).__name__
        raise DataError(
            f"{name}: expected a numpy array of observations × genes, CSR or CSC; found {found}. Turn it "
            "into one of these."
        )
    if isinstance(matrix, np.ma.MaskedArray):
        raise DataError(f"{name}: is a masked array; give NaN for what was not measured, by .filled(np.nan).")
    if matrix.dtype.kind not in "biuf" or matrix.dtype == np.float16:
        raise DataError(
            f"{name}: holds values of type {matrix.dtype}; expected counts or real numbers of 32 bits and "
            "more. Convert them, for example by adata.X = adata.X.astype('float32'), if that is what they "
            "are; float16 ends at 65504."
        )
    if compressed:
        n_major, n_minor = matrix.shape if matrix.format == "csr" else matrix.shape[::-1]
        # scipy's check_format looks no further where the last pointer says that there is nothing.
        n_values = min(len(matrix.data), len(matrix.indices), int(matrix.indptr[-1]))
        check_pointers(matrix.indptr, n_major, n_values, name)
        indices = matrix.indices[:n_values]
        if n_values and (indices.min() < 0 or indices.max() >= n_minor):
            raise DataError(
                f"{name}: the sparse matrix is damaged: indices should lie from 0 to {n_minor - 1}, found "
                f"{indices.min()} to {indices.max()}. Write it again from its source."
            )


def check_pointers(indptr: np.ndarray, n_rows: int, n_values: int, name: str) -> None:
    """Make sure that the row (CSC: column) pointers of a matrix on disk lead to its values.

    Raises
    ------
    DataError
        If they do not start at 0, descend, or are not those of ``n_values``.
    """
    if len(indptr) != n_rows + 1 or indptr[0] != 0 or indptr[-1] != n_values or (np.diff(indptr) < 0).any():
        raise DataError(
            f"{name}: the sparse matrix is damaged: its pointers should be {n_rows + 1}, ascend from 0 and "
            f"end at {n_values}, the number of values. Write it again from its source."
        )
