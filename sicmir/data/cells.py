"""Single cells as their authors left them: counts with labels in a file of their own, objects of R."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
from scipy import sparse

from sicmir.data.gct import gct
from sicmir.data.matrix import assemble
from sicmir.data.rda import read_objects
from sicmir.data.tables import read_frame
from sicmir.errors import DataError, ReadError
from sicmir.matrices.matrix_check import check_storage

# What HTSeq and the like append to the genes.
_SUMMARY = re.compile(r"(?:__)?(?:no_feature|ambiguous|alignment_not_unique|not_aligned|too_low_aQual)")
_HOU_NAMES = {"x", "gnames", "snames", "y", "groups"}
_HALF_CELL_FLOOR = 1e-4


def gene_counts(path: Path, *, units: str = "read counts", separator: str = "") -> ad.AnnData:
    """Read counts of genes x cells; the summary rows of HTSeq (``no_feature`` and so on) are dropped.

    Parameters
    ----------
    path
        Delimited text, the first column genes, one column a cell.
    units
        ``"read counts"`` or ``"UMI counts"``.
    separator
        Between fields, where the ending of the file misleads; "" goes by the ending.

    Returns
    -------
    AnnData
        Cells x genes, sparse float32.

    Raises
    ------
    ReadError, DataError
        As :func:`sicmir.data.tables.table`; also if a count is no whole number.
    """
    frame = read_frame(path, separator)
    genes = frame[frame.columns[0]]
    frame = frame.loc[~genes.str.fullmatch(_SUMMARY)]
    values = frame.iloc[:, 1:]
    text = [name for name, kind in values.dtypes.items() if not pd.api.types.is_numeric_dtype(kind)]
    if text:
        raise DataError(f"{path}: column {text[0]!r} holds text; expected counts after the first column.")
    return assemble_counts(
        path,
        values.to_numpy(dtype=np.float32).T.copy(),
        [str(name) for name in values.columns],
        frame.iloc[:, 0].tolist(),
        units,
    )


def cell_labels(
    path: Path,
    *,
    columns: Mapping[str, str],
    separator: str = "",
    values: Mapping[str, Mapping[str, str]] | None = None,
    remove: Mapping[str, str] | None = None,
) -> ad.AnnData:
    r"""Read labels of cells or libraries, one line each.

    Parameters
    ----------
    path
        Delimited text whose first column names the cell.
    columns
        Column in the file -> column of ``obs``, such as ``{"cell type": "cell_type"}``; no others are kept.
    separator
        As for :func:`gene_counts`.
    values
        Column of ``obs`` -> (value in the file -> value wanted); other values stay.
    remove
        Column of ``obs`` -> regular expression whose matches are cut out, such as ``", donor\d+"``.

    Returns
    -------
    AnnData
        Cells x nothing, the labels in ``obs``.

    Raises
    ------
    ReadError
        If the file is no table.
    DataError
        If a column is missing, a label is empty, or a cell is named twice.
    """
    frame = read_frame(path, separator)
    absent = [name for name in columns if name not in frame]
    if absent:
        raise DataError(
            f"{path}: there is no column {absent[0]!r}; it has {', '.join(map(str, frame.columns))}."
        )
    index = pd.Index(frame.iloc[:, 0]).rename(None)
    if index.has_duplicates:
        raise DataError(f"{path}: {index[index.duplicated()][0]} is named twice; expected each cell once.")
    obs = frame[list(columns)].set_axis(index).rename(columns=dict(columns))
    if obs.isna().to_numpy().any():
        raise DataError(f"{path}: {obs.index[obs.isna().any(axis=1)][0]} lacks a label; expected all filled.")
    obs = obs.astype(str)
    for column, names in (values or {}).items():
        obs[column] = obs[column].replace(dict(names))
    for column, pattern in (remove or {}).items():
        obs[column] = obs[column].str.replace(pattern, "", regex=True)
    adata = ad.AnnData(obs=obs)
    adata.uns["sicmir"] = {"modality": "labels", "units": "", "synthetic": False}
    return adata


def seurat_counts(
    path: Path, *, columns: Mapping[str, str], only: Mapping[str, str] | None = None
) -> ad.AnnData:
    """Read the UMI counts of a Seurat object (version 3 or 4) in an ``.RData``.

    Parameters
    ----------
    path
        File with one Seurat object, whose assay ``RNA`` holds the slot ``counts``.
    columns
        Column of its ``meta.data`` -> column of ``obs``.
    only
        Column of ``meta.data`` -> value; other cells are left out, such as those of another species.

    Returns
    -------
    AnnData
        Cells x genes, sparse float32.

    Raises
    ------
    ReadError
        If the file holds something else.
    DataError
        If a column is missing, no cell is left, or the counts cannot be analysed.
    """
    try:
        (cells,) = read_objects(path).values()
        labels = vars(cells)["meta.data"]
        counts, genes, names = sparse_matrix(path, cells.assays["RNA"].counts)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ReadError(
            f"{path}: expected one Seurat object with RNA counts, found none ({error})."
        ) from error
    absent = [name for name in [*columns, *(only or {})] if name not in labels]
    if absent:
        raise DataError(f"{path}: meta.data has no column {absent[0]!r}; it has {', '.join(labels)}.")
    keep = np.ones(len(names), dtype=bool)
    for column, value in (only or {}).items():
        keep &= (labels[column].astype(str) == value).to_numpy()
    chosen = [name for name, kept in zip(names, keep, strict=True) if kept]
    adata = assemble_counts(path, counts.T.tocsr()[keep].toarray(), chosen, genes, "UMI counts")
    for column, name in columns.items():
        adata.obs[name] = labels.loc[keep, column].astype(str).to_numpy()
    return adata


def hou_cells(path: Path) -> ad.AnnData:
    """Read the liver cancer cells of Hou 2016 as the R package ClussCluster ships them.

    The package calls its values normalised and log-transformed and names neither measure nor base. The
    natural logarithm is assumed: with it, and not with base 2, the spread over genes (SD 1.4) and the sum per
    cell (3 to 7 x 10^5) are those of the FPKM of half cells of K562 (GSE114071). Copies of a gene on
    alternative contigs are added up.

    Returns
    -------
    AnnData
        33 cells x genes, log2(x + 1); ``obs["cell_type"]`` is HCC or HepG2, ``obs["subpopulation"]`` the
        authors' group, ``obs["donor"]`` patient or cell line.

    Raises
    ------
    ReadError
        If the file holds something else.
    DataError
        If values are negative or not finite.
    """
    objects = read_objects(path)
    hou = objects.get("Hou")
    if not isinstance(hou, dict) or not set(hou) >= _HOU_NAMES or not isinstance(hou["x"], pd.DataFrame):
        raise ReadError(
            f"{path}: expected a list Hou with {', '.join(sorted(_HOU_NAMES))}, found {', '.join(objects)}."
        )
    linear = pd.DataFrame(np.expm1(hou["x"].to_numpy(dtype=np.float64)), index=np.asarray(hou["gnames"], str))
    linear = linear.groupby(level=0).sum()
    group = np.asarray(hou["groups"], str)[np.asarray(hou["y"]).astype(int) - 1]
    adata = assemble(
        path,
        linear.to_numpy(dtype=np.float32).T.copy(),
        [str(name) for name in hou["snames"]],
        pd.DataFrame(index=linear.index),
        modality="mrna",
        units="log2(x + 1)",
        log=True,
    )
    adata.obs["subpopulation"] = group
    adata.obs["cell_type"] = np.where(group == "HepG2", "HepG2", "HCC")
    adata.obs["donor"] = np.where(group == "HepG2", "HepG2", "patient")
    return adata


def half_cell_mirna(path: Path) -> ad.AnnData:
    """Read miRNA of half cells (Wang 2019, doi 10.1038/s41467-018-07981-6), log2(max(share of reads, 1e-4)).

    The ``.gct`` has a row for each locus of a mature miRNA; where their values differ the highest is taken,
    for a read maps to the locus it fits best. A share at the floor means that fewer reads, perhaps none, were
    seen: it becomes 0. Shares are scaled to a million of the miRNA reads above the floor.

    Returns
    -------
    AnnData
        Half cells x mature miRNAs, ``"CPM"``, linear; what is below about 250 was not measured and is 0.

    Raises
    ------
    ReadError
        If the file is no ``.gct``, or its values are no such shares.
    """
    raw = gct(path, modality="mirna", units="log2(max(share of reads, 1e-4))", signed=True)
    loci = pd.DataFrame(np.exp2(raw.X.T.astype(np.float64)), index=raw.var_names.str.split("|").str[0])
    if loci.min(axis=None) < _HALF_CELL_FLOOR * (1 - 1e-4) or loci.max(axis=None) > 1:
        raise ReadError(f"{path}: expected log2 of shares from {_HALF_CELL_FLOOR} to 1, found others.")
    share = loci.where(loci > _HALF_CELL_FLOOR * (1 + 1e-4), 0).groupby(level=0).max()
    return assemble(
        path,
        (share / share.sum() * 1e6).to_numpy(dtype=np.float32).T.copy(),
        raw.obs_names.tolist(),
        pd.DataFrame(index=share.index),
        modality="mirna",
        units="CPM",
        log=False,
        level="mature",
    )


def assemble_counts(
    path: Path, values: np.ndarray, cells: Sequence[str], genes: Sequence[str], units: str
) -> ad.AnnData:
    """Check counts, cells x genes, and keep them sparse."""
    if (values % 1 != 0).any():  # NaN and infinite values are left to the check of all readers
        row, column = np.argwhere(values % 1 != 0)[0]
        if np.isfinite(values[row, column]):
            raise DataError(
                f"{path}: expected counts, found {values[row, column]} at cell {cells[row]}, gene "
                f"{genes[column]}."
            )
    adata = assemble(
        path, values, cells, pd.DataFrame(index=pd.Index(genes)), modality="mrna", units=units, log=False
    )
    adata.X = sparse.csr_matrix(adata.X)
    return adata


def sparse_matrix(path: Path, matrix: Any) -> tuple[sparse.csc_matrix, list[str], list[str]]:
    """Turn a ``dgCMatrix`` of R into features x cells and the names of both.

    Raises
    ------
    DataError
        If its indices lead out of it.
    """
    rows, cells = (np.asarray(names, str).tolist() for names in matrix.Dimnames)
    found = sparse.csc_matrix((matrix.x, matrix.i, matrix.p), shape=tuple(matrix.Dim))
    check_storage(found, str(path))
    return found, rows, cells
