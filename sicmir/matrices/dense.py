"""Matrices as numpy arrays, whatever their storage."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse


def dense(matrix: Any) -> np.ndarray:
    """Give the values of a matrix, dense or sparse, as an array; one that is dense already is not copied."""
    return matrix.toarray() if sparse.issparse(matrix) else np.asarray(matrix)
