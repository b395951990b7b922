"""Single cells of gliomas as R packages ship them: a sparse matrix, a table without a corner, labels."""

from __future__ import annotations

import gzip
import io
import re
import zlib
from collections.abc import Mapping
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
from scipy import sparse

from sicmir.data.cells import sparse_matrix
from sicmir.data.matrix import assemble
from sicmir.data.rda import read_objects
from sicmir.errors import DataError, ReadError


def sparse_cells(path: Path, *, units: str, obs: Mapping[str, str] | None = None) -> ad.AnnData:
    """Read an ``.rda`` with one sparse matrix (``dgCMatrix``) of genes × cells that are no counts.

    Parameters
    ----------
    path
        The file.
    units
        What the values are, such as ``"log2(TPM/10 + 1)"``.
    obs
        Columns of ``obs`` that are the same for all cells, such as ``{"donor": "MGH136"}``.

    Returns
    -------
    AnnData
        Cells × genes, sparse float32.

    Raises
    ------
    ReadError
        If the file holds something else.
    DataError
        If values are negative or not finite, or a name occurs twice.
    """
    try:
        (matrix,) = read_objects(path).values()
        values, genes, names = sparse_matrix(path, matrix)
    except (AttributeError, TypeError, ValueError) as error:
        raise ReadError(f"{path}: expected one dgCMatrix of genes × cells, found none ({error}).") from error
    return _cells(path, values.T.toarray(), names, genes, units, obs or {})


def r_matrix(path: Path, *, units: str) -> ad.AnnData:
    """Read genes × cells as R writes them: tabs, and a header line without a name for the genes.

    Parameters
    ----------
    path
        The file, may be gzipped.
    units
        What the values are, such as ``"TPM/10"``.

    Returns
    -------
    AnnData
        Cells × genes, sparse float32.

    Raises
    ------
    ReadError
        If the file is no such table.
    DataError
        If values are negative or not finite, or a name occurs twice.
    """
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        header, first = content.decode().splitlines()[:2]
        if first.count("\t") != header.count("\t") + 1:
            raise ValueError(
                f"{header.count(chr(9)) + 1} names of cells stand above {first.count(chr(9))} values"
            )
        names = header.split("\t")
        frame = pd.read_csv(
            io.BytesIO(content), sep="\t", skiprows=1, header=None, index_col=0, na_filter=False
        )
        values = frame.to_numpy(dtype=np.float32).T.copy()
    except (ValueError, EOFError, OSError, zlib.error) as error:
        raise ReadError(f"{path}: expected a table of genes × cells as R writes it ({error}).") from error
    return _cells(path, values, names, [str(gene) for gene in frame.index], units, {})


def listed_labels(
    path: Path, *, column: str, patterns: Mapping[str, str], values: Mapping[str, Mapping[str, str]]
) -> ad.AnnData:
    r"""Read labels of cells, one line each without a header: name, tab, label.

    Parameters
    ----------
    path
        The file.
    column
        Column of ``obs`` that the label goes to.
    patterns
        Further columns of ``obs`` -> regular expression, whose first group in the name of the cell is taken,
        such as ``{"donor": r"^(\w+?)_"}``.
    values
        Column of ``obs`` -> (pattern of a whole value -> value wanted); other values stay.

    Returns
    -------
    AnnData
        Cells × nothing, the labels in ``obs``.

    Raises
    ------
    ReadError
        If the file is no such list.
    DataError
        If a label is missing, or a cell is named twice.
    """
    try:
        frame = pd.read_csv(path, sep="\t", header=None, dtype=str, keep_default_na=False)
        frame.columns = ["cell", column]
    except (ValueError, OSError) as error:
        raise ReadError(f"{path}: expected two columns, cell and label ({error}).") from error
    obs = frame.set_index("cell").rename_axis(None)
    if obs.index.has_duplicates:
        raise DataError(f"{path}: {obs.index[obs.index.duplicated()][0]} is named twice.")
    for name, pattern in patterns.items():
        obs[name] = obs.index.str.extract(pattern, expand=False).fillna("").to_numpy()
    if obs.eq("").to_numpy().any():
        raise DataError(f"{path}: {obs.index[obs.eq('').any(axis=1)][0]} lacks a label.")
    for name, wanted in values.items():
        obs[name] = obs[name].map(lambda value, wanted=wanted: _wanted(value, wanted))
    adata = ad.AnnData(obs=obs)
    adata.uns["sicmir"] = {"modality": "labels", "units": "", "synthetic": False}
    return adata


def _wanted(value: str, wanted: Mapping[str, str]) -> str:
    return next((name for pattern, name in wanted.items() if re.fullmatch(pattern, value)), value)


def _cells(
    path: Path, values: np.ndarray, names: list[str], genes: list[str], units: str, obs: Mapping[str, str]
) -> ad.AnnData:
    adata = assemble(
        path,
        values.astype(np.float32),
        names,
        pd.DataFrame(index=pd.Index(genes)),
        modality="mrna",
        units=units,
        log=False,
    )
    adata.X = sparse.csr_matrix(adata.X)
    for name, value in obs.items():
        adata.obs[name] = value
    return adata
