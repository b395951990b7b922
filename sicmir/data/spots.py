"""Spots of a spatial transcriptome as R packages ship them: counts, and where each spot lies."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import anndata as ad
import pandas as pd

from sicmir.data.cells import assemble_counts, sparse_matrix
from sicmir.data.rda import read_objects
from sicmir.errors import DataError, ReadError


def rda_counts(path: Path, *, units: str = "UMI counts") -> ad.AnnData:
    """Read an ``.RData`` that holds one sparse matrix (``dgCMatrix``) of features x spots.

    Parameters
    ----------
    path
        The file.
    units
        What the counts are.

    Returns
    -------
    AnnData
        Spots x features, sparse float32.

    Raises
    ------
    ReadError
        If the file holds something else.
    DataError
        If the values are no counts, or a name occurs twice.
    """
    try:
        (matrix,) = read_objects(path).values()
        counts, genes, names = sparse_matrix(path, matrix)
    except (AttributeError, TypeError, ValueError) as error:
        raise ReadError(f"{path}: expected one dgCMatrix of counts, found none ({error}).") from error
    return assemble_counts(path, counts.T.toarray(), names, genes, units)


def rda_spots(path: Path, *, columns: Mapping[str, str]) -> ad.AnnData:
    """Read an ``.RData`` that holds one table, a line each spot.

    Parameters
    ----------
    path
        The file.
    columns
        Column in the file -> column of ``obs``, such as ``{"Region": "region"}``; no others are kept.

    Returns
    -------
    AnnData
        Spots x nothing, the columns in ``obs``: numbers as such, all else as text.

    Raises
    ------
    ReadError
        If the file holds something else.
    DataError
        If a column is missing, or a value is.
    """
    objects = list(read_objects(path).values())
    if len(objects) != 1 or not isinstance(objects[0], pd.DataFrame):
        found = ", ".join(type(value).__name__ for value in objects)
        raise ReadError(f"{path}: expected one table of spots, found {found}.")
    frame = objects[0]
    absent = [name for name in columns if name not in frame]
    if absent:
        raise DataError(
            f"{path}: there is no column {absent[0]!r}; it has {', '.join(map(str, frame.columns))}."
        )
    obs = frame[list(columns)].rename(columns=dict(columns)).set_axis(frame.index.astype(str))
    if obs.isna().to_numpy().any():
        raise DataError(f"{path}: spot {obs.index[obs.isna().any(axis=1)][0]} lacks a value.")
    for name in obs.columns[~obs.dtypes.map(pd.api.types.is_numeric_dtype)]:
        obs[name] = obs[name].astype(str)
    adata = ad.AnnData(obs=obs)
    adata.uns["sicmir"] = {"modality": "labels", "units": "", "synthetic": False}
    return adata
