"""Readers of general formats: delimited text, AnnData's ``.h5ad`` and 10x Genomics matrices."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Iterator
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
from scipy import sparse
from scipy.io import mmread

from sicmir.data.matrix import assemble, complete, orient, unique_names
from sicmir.errors import DataError, ParameterError, ReadError
from sicmir.names.gene_names import landmarks

_ORIENTATIONS = ("", "samples_in_rows", "samples_in_columns")


def read_frame(path: Path, separator: str = "") -> pd.DataFrame:
    """Read a delimited table (``.csv``, ``.tsv``, ``.txt``, each also ``.gz``) with its first column as text.

    A byte-order mark is dropped. Without ``separator``, ``.csv`` is split at commas, anything else at tabs.

    Raises
    ------
    ReadError
        If it is truncated, binary or empty, or a line has more or fewer fields than the header.
    DataError
        If two columns have one name.
    """
    separator = separator or ("," if ".csv" in path.suffixes else "\t")
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        if b"\0" in content[: 2**20]:
            raise ValueError("it holds zero bytes, as UTF-16 and binary files do; write it as UTF-8")
        _refuse_ragged(path, content, separator)
        frame, start = (
            pd.read_csv(io.BytesIO(content), sep=separator, encoding="utf-8-sig", **options)
            for options in (
                {"dtype": {0: str}, "low_memory": False},
                {"dtype": str, "header": None, "nrows": 1},
            )
        )
    except (ValueError, EOFError, OSError, zlib.error, csv.Error) as error:
        raise ReadError(
            f"{path}: not a readable table ({type(error).__name__}: {error}). Expected delimited text "
            "with a header "
            "line; a truncated download must be deleted and fetched again."
        ) from error
    header = start.iloc[0]
    if header.dropna().duplicated().any():  # pandas would rename the copies silently
        raise DataError(f"{path}: column {header[header.duplicated()].iloc[0]!r} occurs more than once.")
    return frame


def _refuse_ragged(path: Path, content: bytes, separator: str) -> None:
    """Refuse lines that pandas would fill up with NaN, or take as having row names of their own.

    Raises
    ------
    ReadError
        If a line has more or fewer fields than the first.
    """
    expected = None
    for line, fields in _field_counts(content, separator):
        if expected is None:
            expected = fields
        elif fields != expected:
            raise ReadError(
                f"{path}: line {line} has {fields} fields, the header line has {expected}. The file is "
                "truncated or damaged, or its header does not name the first column; fetch or write it again."
            )


def _field_counts(content: bytes, separator: str) -> Iterator[tuple[int, int]]:
    """Line number and number of fields of each line that is not blank."""
    if b'"' in content:
        lines = csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), delimiter=separator)
        yield from ((lines.line_num, len(fields)) for fields in lines if fields)
        return
    if b"\r" in content:
        content = content.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    values = np.frombuffer(content, np.uint8)
    ends = np.append(np.flatnonzero(values == ord("\n")), len(values))
    before = np.searchsorted(np.flatnonzero(values == ord(separator)), ends)
    starts = np.append(0, ends[:-1] + 1)
    for line, (start, end, fields) in enumerate(
        zip(starts, ends, np.diff(before, prepend=0) + 1, strict=True)
    ):
        if fields > 1 or content[start:end].strip():
            yield line + 1, int(fields)


def table(
    path: Path,
    *,
    modality: str,
    units: str,
    orientation: str = "",
    log: bool = False,
    signed: bool = False,
    allow_nan: bool = False,
    level: str = "",
    cohort: str = "",
) -> ad.AnnData:
    """Read a delimited matrix whose first column and header line hold the names.

    Parameters
    ----------
    path
        ``.csv``, ``.tsv`` or ``.txt``, optionally ``.gz``.
    modality
        ``"mrna"``, ``"mirna"`` or ``"prediction"``.
    units
        What the values are after this reader, for example ``"log2(TPM + 1)"``.
    orientation
        ``"samples_in_rows"``, ``"samples_in_columns"`` or "": decided by where gene symbols, Ensembl ids,
        miRNA names and TCGA barcodes stand.
    log
        Whether to apply log2(x + 1).
    signed, allow_nan
        Whether negative values, and NaN for "not measured", belong there.
    level, cohort
        Recorded as they are.

    Returns
    -------
    AnnData
        Samples x features, float32.

    Raises
    ------
    ReadError
        If the file is no table or its orientation cannot be told.
    DataError
        If values or names are wrong.
    """
    if orientation not in _ORIENTATIONS:
        raise ParameterError(
            f"orientation={orientation!r}: expected one of {', '.join(map(repr, _ORIENTATIONS))}."
        )
    raw = read_frame(path)
    frame = raw.set_index(raw.columns[0])
    if frame.empty:
        raise DataError(
            f"{path}: the matrix is empty ({frame.shape[0]} rows x {frame.shape[1]} columns). Fields are "
            "split at commas in .csv and at tabs elsewhere; write the table so."
        )
    text = [name for name, kind in frame.dtypes.items() if not pd.api.types.is_numeric_dtype(kind)]
    if text:
        raise DataError(f"{path}: column {text[0]!r} holds text; expected numbers after the first column.")
    if orientation == "samples_in_columns":
        frame = frame.T
    elif not orientation:
        frame = orient(path, frame, frozenset(landmarks()["symbol"]))
    return assemble(
        path,
        frame.to_numpy(dtype=np.float32, copy=True),
        [str(name) for name in frame.index],
        pd.DataFrame(index=frame.columns.astype(str)),
        modality=modality,
        units=units,
        log=log,
        level=level,
        cohort=cohort,
        allow_nan=allow_nan,
        signed=signed,
    )


def h5ad(path: Path, *, modality: str = "mrna", units: str = "") -> ad.AnnData:
    """Read an AnnData file as it is.

    Parameters
    ----------
    path
        ``.h5ad``.
    modality, units
        Recorded where the file does not say itself.

    Raises
    ------
    ReadError
        If it is truncated or no ``.h5ad``.
    DataError
        If ``X`` is empty or missing, or holds infinite values.
    """
    try:
        adata = ad.read_h5ad(path)
    except MemoryError:  # no fault of the file
        raise
    except Exception as error:  # h5py and anndata raise many kinds on a damaged file
        raise ReadError(
            f"{path}: not a readable .h5ad file ({type(error).__name__}: {error}). It is damaged or of "
            "another format; fetch or write it again."
        ) from error
    return complete(path, adata, modality, units)


def tenx_mtx(path: Path, *, cohort: str = "", donor: str = "", condition: str = "") -> ad.AnnData:
    """Read a 10x Genomics count matrix with its barcodes and features.

    Parameters
    ----------
    path
        The ``…matrix.mtx[.gz]`` itself, or a folder that holds one. ``…barcodes.tsv`` and ``…features.tsv``
        (or ``…genes.tsv``, as older versions name it) are expected beside it under the same prefix, gzipped
        or not.
    cohort, donor, condition
        Set for all cells where given.

    Returns
    -------
    AnnData
        Cells x genes, raw UMI counts, sparse float32; ``var["ensembl"]``.

    Raises
    ------
    ReadError
        If one of the three files is missing, truncated or of another length than the matrix.
    DataError
        If the matrix is empty, holds negative values or the same barcode twice.
    """
    matrix = _one_matrix(path) if path.is_dir() else path
    prefix = matrix.name.split("matrix.mtx")[0]
    if "matrix.mtx" not in matrix.name:
        raise ReadError(f"{path}: expected a name ending in matrix.mtx or matrix.mtx.gz.")
    genes_path = _beside(matrix, prefix, ("features.tsv", "genes.tsv"))
    cells_path = _beside(matrix, prefix, ("barcodes.tsv",))
    try:
        counts = sparse.csr_matrix(mmread(matrix).T, dtype=np.float32)
        genes, cells = (  # "NA" is a name here
            pd.read_csv(names, sep="\t", header=None, dtype=str, keep_default_na=False)
            for names in (genes_path, cells_path)
        )
    except (ValueError, EOFError, OSError) as error:
        raise ReadError(f"{matrix}: not a readable 10x matrix ({type(error).__name__}: {error}).") from error
    if counts.shape != (len(cells), len(genes)) or 0 in counts.shape:
        raise ReadError(
            f"{matrix}: the matrix is {counts.shape[0]} cells x {counts.shape[1]} genes, but "
            f"{cells_path.name} "
            f"names {len(cells)} and {genes_path.name} {len(genes)}; the three do not belong together."
        )
    if genes.shape[1] > 2:  # antibodies and guides may bear the names of genes
        expression = (genes[2] == "Gene Expression").to_numpy()
        genes, counts = genes[expression], counts[:, expression]
    symbols = genes[1] if genes.shape[1] > 1 else genes[0]
    adata = umi_counts(matrix, counts, cells[0].tolist(), symbols.tolist(), genes[0].tolist())
    return label_cells(adata, cohort=cohort, donor=donor, condition=condition)


def umi_counts(
    path: Path, counts: sparse.csr_matrix, cells: list[str], symbols: list[str], ensembl: list[str]
) -> ad.AnnData:
    """Check the counts of a 10x matrix, cells x genes, and wrap them.

    Raises
    ------
    DataError
        If the matrix is empty, holds NaN, infinite or negative values, or the same barcode twice.
    """
    if 0 in counts.shape:
        raise DataError(f"{path}: the matrix is empty (cells x genes = {counts.shape}).")
    wrong = ~(np.isfinite(counts.data) & (counts.data >= 0))
    if wrong.any():
        cell, gene = (axis[wrong][0] for axis in counts.tocoo().coords)
        raise DataError(
            f"{path}: {int(wrong.sum())} value(s) are NaN, infinite or negative; the first is at cell "
            f"{cells[cell]}, gene {symbols[gene]}. Expected counts of 0 or more."
        )
    index = pd.Index(cells)
    if index.has_duplicates:
        raise DataError(f"{path}: barcode {index[index.duplicated()][0]} occurs more than once.")
    var = pd.DataFrame({"ensembl": ensembl}, index=unique_names(symbols, ensembl))
    adata = ad.AnnData(X=counts, obs=pd.DataFrame(index=index), var=var)
    adata.uns["sicmir"] = {"modality": "mrna", "units": "UMI counts", "synthetic": False}
    return adata


def label_cells(adata: ad.AnnData, **labels: str) -> ad.AnnData:
    """Write each label that is given into a column of ``obs`` for all cells."""
    for column, value in labels.items():
        if value:
            adata.obs[column] = value
    return adata


def _one_matrix(folder: Path) -> Path:
    found = sorted(folder.glob("*matrix.mtx*"))
    if len(found) != 1:
        raise ReadError(
            f"{folder}: expected one file *matrix.mtx[.gz], found {len(found)}. Name the file instead of "
            "the folder."
        )
    return found[0]


def _beside(matrix: Path, prefix: str, endings: tuple[str, ...]) -> Path:
    names = [f"{prefix}{ending}{gz}" for ending in endings for gz in ("", ".gz")]
    for name in names:
        if (matrix.parent / name).is_file():
            return matrix.parent / name
    raise ReadError(f"{matrix}: expected one of {', '.join(names)} beside it, found none.")
