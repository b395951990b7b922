"""R's ``.rda`` files: RTCGA data packages and single expression matrices."""

from __future__ import annotations

import gc
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd

from sicmir.data.matrix import assemble, unique_names
from sicmir.errors import DataError, ReadError

_SYMBOL_ENTREZ = re.compile(r"[^|]+\|\d+")
_RPM = "reads_per_million_miRNA_mapped"
_KINDS = ("read_count", _RPM, "cross-mapped")
_LEADING_BARCODE = re.compile(
    r"(TCGA[-.]\w{2}[-.]\w{4}[-.]\d{2}[A-Z][-.]\d{2}[A-Z][-.]\w{4}[-.]\d{2})(?:\.\d+)?"
)


def read_objects(path: Path) -> dict[str, Any]:
    """Read what an ``.rda``, ``.RData`` or ``.rds`` holds: name -> value, S4 objects as ``SimpleNamespace``.

    The names of an ``.rds`` are those of its list.

    Raises
    ------
    ReadError
        If the file is truncated or of another format.
    """
    import rdata

    constructors = {**rdata.conversion.DEFAULT_CLASS_MAP, "factor": _factor}
    try:
        with _no_garbage_collection(), warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="rdata")  # what it guesses at is checked by the readers
            parse = rdata.read_rds if path.suffix.lower() == ".rds" else rdata.read_rda
            objects = parse(path, constructor_dict=constructors)
    except MemoryError:  # no fault of the file
        raise
    except Exception as error:  # the parser raises whatever the bytes make it stumble over
        raise ReadError(
            f"{path}: not a readable {path.suffix or '.rda'} file ({type(error).__name__}: {error}). It may "
            "be truncated; delete it and fetch it again."
        ) from error
    # anything but a dict is an .rds under the wrong name
    return objects if isinstance(objects, dict) else {"one unnamed object": objects}


def read_single(path: Path) -> pd.DataFrame:
    """Read an ``.rda`` that holds exactly one table or one two-dimensional matrix.

    Raises
    ------
    ReadError
        If the file is truncated or no ``.rda``, or holds anything else.
    """
    objects = read_objects(path)
    found = ", ".join(f"{name} ({type(value).__name__})" for name, value in objects.items()) or "nothing"
    values = list(objects.values())
    if len(values) == 1 and isinstance(values[0], pd.DataFrame):
        return values[0].rename(columns=str)
    if len(values) == 1 and getattr(values[0], "ndim", 0) == 2 and hasattr(values[0], "to_pandas"):
        return values[0].to_pandas().rename_axis(index=None, columns=None)
    raise ReadError(f"{path}: expected one table or one matrix with row and column names, found {found}.")


def _factor(codes: np.ndarray, attributes: Mapping[str, Any]) -> pd.Categorical:
    """Build a factor from its codes; rdata's own way through text takes 40 s for one miRNA-seq file."""
    zero_based = np.ma.filled(np.ma.asarray(codes), 0).astype(np.int64) - 1
    return pd.Categorical.from_codes(zero_based, categories=list(attributes["levels"]))


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Hold the collector while millions of small objects are built, none of them garbage: a third faster."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def rtcga_rnaseq(path: Path, *, cohort: str) -> ad.AnnData:
    """Read RSEM gene expression as the RTCGA.rnaseq packages ship it.

    Parameters
    ----------
    path
        ``.rda`` holding one data frame: ``bcr_patient_barcode`` and columns ``SYMBOL|ENTREZ`` with normalised
        counts.
    cohort
        TCGA abbreviation.

    Returns
    -------
    AnnData
        Aliquots x genes, log2(x + 1); ``var["entrez"]``.

    Raises
    ------
    ReadError
        If the file holds something else.
    DataError
        If it is empty or holds NaN, negative or infinite values, or the same aliquot twice.
    """
    frame = read_single(path)
    columns = list(frame.columns)
    wrong = [name for name in columns[1:] if not _SYMBOL_ENTREZ.fullmatch(name)]
    if not columns or columns[0] != "bcr_patient_barcode" or wrong:
        raise ReadError(
            f"{path}: expected RTCGA RNA-seq (first column bcr_patient_barcode, then SYMBOL|ENTREZ), "
            "found the "
            f"columns {', '.join((columns[:1] + wrong)[:4]) or 'none'}."
        )
    symbols, entrez = gene_ids(columns[1:])
    return assemble(
        path,
        _numbers(path, frame.iloc[:, 1:]),
        frame["bcr_patient_barcode"].astype(str).tolist(),
        pd.DataFrame({"entrez": entrez}, index=unique_names(symbols, [str(number) for number in entrez])),
        modality="mrna",
        units="log2(RSEM normalised count + 1)",
        log=True,
        cohort=cohort,
    )


def gene_ids(names: list[str]) -> tuple[list[str], list[int]]:
    """Split ``SYMBOL|ENTREZ`` names."""
    pairs = [name.rsplit("|", 1) for name in names]
    return [symbol for symbol, _ in pairs], [int(entrez) for _, entrez in pairs]


def rtcga_mirnaseq(path: Path, *, cohort: str) -> ad.AnnData:
    """Read miRNA-seq of stem-loops as the RTCGA.miRNASeq package ships it.

    Parameters
    ----------
    path
        ``.rda`` holding one data frame with three rows an aliquot (``miRNA_ID``: read_count,
        reads_per_million_miRNA_mapped, cross-mapped), barcodes as row names, values as text.
    cohort
        TCGA abbreviation.

    Returns
    -------
    AnnData
        Aliquots x stem-loops, log2(RPM + 1).

    Raises
    ------
    ReadError, DataError
        As :func:`rtcga_rnaseq`.
    """
    frame = read_single(path)
    if "miRNA_ID" not in frame.columns:
        raise ReadError(
            f"{path}: expected RTCGA miRNA-seq with a column miRNA_ID, found {', '.join(frame.columns[:4])}."
        )
    kinds = frame["miRNA_ID"].astype(str)
    counts = kinds.value_counts().to_dict()
    if set(counts) != set(_KINDS) or len(set(counts.values())) != 1:
        raise ReadError(
            f"{path}: expected one row each of {', '.join(_KINDS)} per aliquot, found rows {counts}."
        )
    rows = frame.loc[(kinds == _RPM).to_numpy(), [name for name in frame.columns if name.startswith("hsa-")]]
    matches = [_LEADING_BARCODE.fullmatch(str(name)) for name in rows.index]
    if not all(matches):
        unread = rows.index[[match is None for match in matches]][0]
        raise ReadError(f"{path}: expected aliquot barcodes as row names, found {unread!r}.")
    return assemble(
        path,
        _numbers(path, rows),
        [match[1].replace(".", "-") for match in matches if match],
        pd.DataFrame(index=rows.columns),
        modality="mirna",
        units="log2(RPM + 1)",
        log=True,
        level="stem-loop",
        cohort=cohort,
    )


def rda_matrix(path: Path, *, units: str, cohort: str = "", modality: str = "mrna") -> ad.AnnData:
    """Read an ``.rda`` with one matrix of genes (``SYMBOL|ENTREZ`` or symbols) x samples in linear units.

    Parameters
    ----------
    path
        The file.
    units
        What the numbers are before the logarithm, for example ``"TPM"``.
    cohort, modality
        Recorded as they are.

    Returns
    -------
    AnnData
        Samples x genes, log2(x + 1); ``var["entrez"]`` where the names hold it.

    Raises
    ------
    ReadError, DataError
        As :func:`rtcga_rnaseq`.
    """
    frame = read_single(path)
    genes = [str(name) for name in frame.index]
    var = pd.DataFrame(index=genes)
    if genes and all(_SYMBOL_ENTREZ.fullmatch(name) for name in genes):
        symbols, entrez = gene_ids(genes)
        var = pd.DataFrame(
            {"entrez": entrez}, index=unique_names(symbols, [str(number) for number in entrez])
        )
    return assemble(
        path,
        _numbers(path, frame).T.copy(),
        [str(name) for name in frame.columns],
        var,
        modality=modality,
        units=f"log2({units} + 1)",
        log=True,
        cohort=cohort,
    )


def _numbers(path: Path, frame: pd.DataFrame) -> np.ndarray:
    """Values as float32; text and categories are converted, anything that is no number is refused."""
    if all(pd.api.types.is_numeric_dtype(kind) for kind in frame.dtypes):
        return frame.to_numpy(dtype=np.float32, copy=True)
    text = frame.astype(str).to_numpy(dtype=str)
    try:
        return text.astype(np.float64).astype(np.float32)
    except ValueError as error:
        raise DataError(
            f"{path}: expected numbers in {frame.shape[1]} columns, found text ({error})."
        ) from error
