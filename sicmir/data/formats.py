"""Readers of single-cell formats beside ``.h5ad``: 10x Genomics ``.h5``, ``.loom`` and ``.zarr``."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import zarr
from scipy import sparse

from sicmir.data.matrix import complete, unique_names
from sicmir.data.tables import label_cells, umi_counts
from sicmir.errors import DataError, ParameterError, ReadError
from sicmir.matrices.matrix_check import check_storage

HUMAN = re.compile(r"GRCh\d+|hg\d+", re.IGNORECASE)
"""Names of human genomes, as 10x Genomics' references begin."""

LOOM_BYTES = 64 * 2**20
"""Dense values of a ``.loom`` held at a time while they are made sparse."""


def tenx_h5(
    path: Path, *, genome: str = "", cohort: str = "", donor: str = "", condition: str = ""
) -> ad.AnnData:
    """Read a 10x Genomics count matrix in HDF5, of Cell Ranger 3 and later or of version 2.

    Parameters
    ----------
    path
        ``…feature_bc_matrix.h5``; also what CellBender writes in that format.
    genome
        Which genome to keep where the file holds several, for example ``"GRCh38"``; "": the human one.
    cohort, donor, condition
        Set for all cells where given.

    Returns
    -------
    AnnData
        Cells x genes (antibodies and guides are left out), raw UMI counts, sparse float32;
        ``var["ensembl"]``.

    Raises
    ------
    ReadError
        If the file is truncated or no 10x matrix.
    ParameterError
        If it holds several genomes, none of them is named, and not just one is human.
    DataError
        If the matrix is empty, holds negative values or the same barcode twice.
    """
    import scanpy  # takes seconds, and no other reader needs it

    with readable(path, "10x .h5"):
        with h5py.File(path) as file:
            genomes = _genomes(file)
            for group in ["matrix"] if "matrix/barcodes" in file else genomes:
                _refuse_damaged(f"{path}: {group}", file[group])
        human = [name for name in genomes if HUMAN.match(name)]
        if not genome and len(genomes) > 1 and len(human) == 1:
            genome = human[0]
        if (genome and genome not in genomes) or (not genome and len(genomes) > 1):
            raise ParameterError(
                f"{path}: genome={genome!r}; the file holds {', '.join(genomes)}. Name the human one."
            )
        with warnings.catch_warnings(action="ignore", category=UserWarning):  # names are made unique here
            found = scanpy.read_10x_h5(path, genome=genome or None)
    symbols, ensembl = (
        [name.removeprefix(genome).lstrip("_") for name in names]  # files of two species put it before each
        for names in (found.var_names, found.var["gene_ids"])
    )
    adata = umi_counts(
        path,
        sparse.csr_matrix(found.X, dtype=np.float32),
        found.obs_names.tolist(),
        symbols,
        ensembl,
    )
    return label_cells(adata, cohort=cohort, donor=donor, condition=condition)


def loom(
    path: Path, *, cell_key: str = "", gene_key: str = "", modality: str = "mrna", units: str = ""
) -> ad.AnnData:
    """Read a ``.loom`` file, which is HDF5 with genes in rows (loom file format 3.0).

    The matrices are stored dense, and are made sparse a slab of genes at a time. ``/matrix`` becomes ``X``
    whatever layers there are; velocyto's ``spliced``, ``unspliced`` and ``ambiguous`` become layers. One
    value a cell or gene becomes a column of ``obs`` or ``var``, several values one of ``obsm`` or ``varm``.

    Parameters
    ----------
    path
        ``.loom``.
    cell_key, gene_key
        Column and row attributes that hold the names of cells and genes; "": ``CellID`` and ``Gene``, or
        ``obs_names`` and ``var_names``, as anndata writes. Genes that share a name are called
        ``NAME|ACCESSION``, or by their row where the file has no ``Accession``.
    modality, units
        Recorded as they are.

    Returns
    -------
    AnnData
        Cells x genes, sparse float32.

    Raises
    ------
    ReadError
        If the file is truncated, no ``.loom``, or lacks an attribute.
    DataError
        If the matrix is empty, holds infinite values or the same cell twice.
    """
    with readable(path, ".loom"), h5py.File(path) as file:
        if "matrix" not in file:
            raise ValueError(f"it holds {', '.join(file) or 'nothing'}, not /matrix")
        cells, obsm = _attributes(file["col_attrs"])
        genes, varm = _attributes(file["row_attrs"])
        if not cell_key:
            cell_key = "obs_names" if "CellID" not in cells and "obs_names" in cells else "CellID"
        if not gene_key:
            gene_key = "var_names" if "Gene" not in genes and "var_names" in genes else "Gene"
        for table, key, word in ((cells, cell_key, "cell_key"), (genes, gene_key, "gene_key")):
            if key not in table:
                raise ReadError(
                    f"{path}: has no attribute {key!r} ({word}); it has {', '.join(table.columns) or 'none'}."
                )
        matrices = {"": file["matrix"], **dict(file.get("layers", {}))}
        for name, matrix in matrices.items():
            if matrix.shape != (len(genes), len(cells)):
                raise ValueError(
                    f"{name or 'matrix'} is {matrix.shape}, not {len(genes)} genes x {len(cells)} cells"
                )
        if 0 in file["matrix"].shape:
            raise DataError(f"{path}: the matrix is empty (genes x cells = {file['matrix'].shape}).")
        values = {name: _sparse(matrix) for name, matrix in matrices.items()}
    names = pd.Index(cells.pop(cell_key).astype(str))
    if names.has_duplicates:
        raise DataError(f"{path}: cell {names[names.duplicated()][0]} occurs more than once.")
    symbols = genes.pop(gene_key).astype(str).tolist()
    ids = (
        genes["Accession"].astype(str).tolist()
        if "Accession" in genes
        else [f"row {row}" for row in range(len(genes))]
    )
    adata = ad.AnnData(
        X=values.pop(""),
        obs=cells.set_index(names.rename(None)),
        var=genes.set_index(pd.Index(unique_names(symbols, ids))),
        layers=values,
        obsm=obsm,
        varm=varm,
    )
    return complete(path, adata, modality, units)


def anndata_zarr(path: Path, *, modality: str = "mrna", units: str = "") -> ad.AnnData:
    """Read an AnnData in ``.zarr`` (format 2 or 3), a folder or one ``.zarr.zip``, as it is.

    Parameters
    ----------
    path
        The store.
    modality, units
        Recorded where the file does not say itself.

    Raises
    ------
    ReadError
        If it is no AnnData, or damaged.
    DataError
        If ``X`` is empty or missing, or holds infinite values.
    """
    with readable(path, ".zarr"):
        group = open_zarr(path)
        if group.attrs.get("encoding-type") != "anndata":
            there = ", ".join(group.keys()) or "nothing"
            raise ValueError(f"its root is no AnnData but holds {there}; give the path of the table itself")
        adata = ad.read_zarr(group)
    return complete(path, adata, modality, units)


def open_zarr(path: Path) -> zarr.Group:
    """Open a store for reading: a folder, or a zip file of one.

    A chunk that is not there reads as zeros, by the definition of zarr. The parts of a sparse matrix have no
    chunk of zeros alone, which tells a copy of the store that was broken off.

    Raises
    ------
    ReadError
        If a sparse matrix lacks chunks.
    """
    store = zarr.storage.ZipStore(path, mode="r") if path.is_file() else path
    group = zarr.open_group(store, mode="r")
    layers = group.get("layers")
    named = layers.keys() if isinstance(layers, zarr.Group) else ()
    for name in ("X", "raw/X", *(f"layers/{layer}" for layer in named)):
        matrix = group.get(name)
        if not isinstance(matrix, zarr.Group):
            continue
        shape = matrix.attrs.get("shape")
        if not isinstance(shape, list | tuple) or 1 in shape:
            continue
        parts = dict(matrix.arrays())
        for part in ("data", "indices", "indptr") if parts["data"].shape[0] else ():
            lacking = parts[part].nchunks - parts[part].nchunks_initialized
            if lacking:
                raise ReadError(
                    f"{path}: {name}/{part} lacks {lacking} of {parts[part].nchunks} chunks; the store was "
                    "not copied whole. Copy it again."
                )
    return group


@contextmanager
def readable(path: Path, kind: str) -> Iterator[None]:
    """Say of any failure inside that the file is not readable.

    Raises
    ------
    ReadError
        Naming the file and the failure.
    """
    try:
        yield
    except (MemoryError, ReadError, DataError, ParameterError):  # no fault of the format
        raise
    except Exception as error:  # h5py, zarr and anndata raise many kinds on a damaged file
        raise ReadError(
            f"{path}: not a readable {kind} file ({type(error).__name__}: {error}). It is damaged or of "
            "another format; fetch or write it again."
        ) from error


def _genomes(file: h5py.File) -> list[str]:
    if "matrix/barcodes" in file:  # of Cell Ranger 3 and later
        genomes = file["matrix/features"].get("genome")
        return [] if genomes is None else sorted({*genomes.asstr()[:]} - {""})  # antibodies have none
    groups = sorted(name for name in file if f"{name}/barcodes" in file)
    if not groups:
        raise ValueError(f"it holds {', '.join(file) or 'nothing'}, not a 10x matrix")
    return groups


def _refuse_damaged(name: str, group: h5py.Group) -> None:
    """Refuse a matrix whose indices lead out of it; scipy would follow them out of its memory.

    Raises
    ------
    DataError
        If an index or a pointer is out of range.
    """
    data, indices, indptr, shape = (group[part][:] for part in ("data", "indices", "indptr", "shape"))
    check_storage(sparse.csc_matrix((data, indices, indptr), shape=shape), name)


def _attributes(group: h5py.Group) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
    """Table of the attributes with one value an item, and the arrays of those with several."""
    columns, arrays = {}, {}
    for name, dataset in group.items():
        values = dataset.asstr()[:] if h5py.check_string_dtype(dataset.dtype) else dataset[:]
        if values.ndim == 1:
            columns[name] = values
        else:
            arrays[name] = values
    return pd.DataFrame(columns), arrays


def _sparse(matrix: h5py.Dataset) -> sparse.csr_matrix:
    """Cells x genes of a dense genes x cells dataset."""
    step = max(1, LOOM_BYTES // (matrix.shape[1] * matrix.dtype.itemsize))
    slabs = [
        sparse.csr_matrix(matrix[start : start + step], dtype=np.float32)
        for start in range(0, matrix.shape[0], step)
    ]
    return sparse.vstack(slabs).T.tocsr()
