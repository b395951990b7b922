"""R's ``.rds`` files: a list with one matrix of features × samples and a table of the samples."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd

from sicmir.data.matrix import assemble
from sicmir.data.rda import read_objects
from sicmir.errors import DataError, ReadError


def rds_samples(
    path: Path,
    *,
    values: str,
    labels: str,
    columns: Mapping[str, str],
    units: str,
    modality: str = "mirna",
    level: str = "",
) -> ad.AnnData:
    """Read an ``.rds`` that holds a list with a matrix and a table.

    Parameters
    ----------
    path
        The file.
    values
        Name of the matrix of features × samples in the list.
    labels
        Name of the table, a row each sample, named as the columns of the matrix.
    columns
        Column of the table -> column of ``obs``, as text; no others are kept.
    units, modality, level
        Recorded as they are.

    Returns
    -------
    AnnData
        Samples × features, the numbers as they are.

    Raises
    ------
    ReadError
        If the file holds something else.
    DataError
        If a column or the labels of a sample are missing, or values are negative or no numbers.
    """
    objects = read_objects(path)
    matrix, table = objects.get(values), objects.get(labels)
    if matrix is None or getattr(matrix, "ndim", 0) != 2 or not hasattr(matrix, "to_pandas"):
        raise ReadError(
            f"{path}: expected a named matrix {values!r}, found {', '.join(objects) or 'nothing'}."
        )
    if not isinstance(table, pd.DataFrame):
        raise ReadError(f"{path}: expected a table {labels!r}, found {', '.join(objects)}.")
    frame = matrix.to_pandas()
    absent = [name for name in columns if name not in table]
    if absent:
        raise DataError(
            f"{path}: {labels} has no column {absent[0]!r}; it has {', '.join(map(str, table.columns))}."
        )
    samples = [str(name) for name in frame.columns]
    obs = table[list(columns)].rename(columns=dict(columns)).set_axis(table.index.astype(str))
    obs = obs.reindex(samples)
    if obs.isna().to_numpy().any():
        raise DataError(f"{path}: {labels} lacks a value of {obs.index[obs.isna().any(axis=1)][0]}.")
    adata = assemble(
        path,
        frame.to_numpy(dtype=np.float32).T + 0.0,  # -0, a negative number that was rounded, becomes 0
        samples,
        pd.DataFrame(index=[str(name) for name in frame.index]),
        modality=modality,
        units=units,
        log=False,
        level=level,
    )
    adata.obs = obs.astype(str)
    return adata
