"""Reader of ``.gct`` (1.2 and 1.3), the text format of LINCS L1000, GTEx and GenePattern; genes are rows."""

from __future__ import annotations

import csv
import gzip
import zlib
from collections import Counter
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import IO

import anndata as ad
import numpy as np
import pandas as pd

from sicmir.data.matrix import assemble, unique_names
from sicmir.errors import DataError, ReadError
from sicmir.names.gene_names import find_landmark, landmarks

NOT_KNOWN = ("-666", "-666.0", "na", "NA", "nan", "NaN", "")
"""What stands in L1000 metadata where nothing is known."""


def gct(
    path: Path,
    *,
    modality: str = "mrna",
    units: str = "",
    log: bool = False,
    signed: bool = False,
    allow_nan: bool = False,
    level: str = "",
    cohort: str = "",
) -> ad.AnnData:
    """Read a ``.gct``, plain or gzipped.

    Version 1.2 has the columns Name and Description before the samples, version 1.3 any number of gene
    columns, and rows of sample metadata above the values. Some public files begin at once with the line
    ``Name Description …``; these are read as version 1.2, whose size can then not be checked.

    Parameters
    ----------
    path
        ``.gct`` or ``.gct.gz``.
    modality, units, level, cohort
        Recorded as they are. L1000: level 3 is ``"log2(intensity)"``, levels 4 and 5 are z-scores.
    log
        Whether to apply log2(x + 1).
    signed, allow_nan
        Whether negative values, and empty ones for "not measured", belong there.

    Returns
    -------
    AnnData
        Samples x genes, float32. Genes given by Entrez id are named by symbol where ``pr_gene_symbol`` or
        the panel of landmarks knows it; names that occur more than once become ``NAME|DESCRIPTION``, or
        ``NAME|ROW`` where that tells them not apart. Gene columns are in ``var``, sample metadata in ``obs``
        (-666 is missing).

    Raises
    ------
    ReadError
        If it is no ``.gct``, truncated, or of another size than its second line says.
    DataError
        If values or names are wrong.
    """
    head = _head(path)
    first, samples = head.n_gene_columns + 1, head.header[head.n_gene_columns + 1 :]
    kinds = {place: str if place < first else np.float32 for place in range(len(head.header))}
    missing = {place: list(NOT_KNOWN) for place in range(first, len(head.header))}
    try:
        frame = pd.read_csv(
            path,
            sep="\t",
            header=None,
            skiprows=head.n_lines,
            dtype=kinds,
            na_values=missing,
            keep_default_na=False,
            quoting=csv.QUOTE_NONE,
        )
    except ValueError as error:
        raise DataError(f"{path}: expected numbers after the gene columns ({error}).") from error
    columns = frame[range(1, first)].set_axis([name.lower() for name in head.header[1:first]], axis=1)
    var, values = name_genes(frame[0].tolist(), columns), frame[range(first, len(head.header))].to_numpy().T
    refuse_unexpected(path, values, signed, allow_nan)
    adata = assemble(
        path,
        values,
        samples,
        var,
        modality=modality,
        units=units,
        log=log,
        level=level,
        cohort=cohort,
        allow_nan=allow_nan,
        signed=signed,
    )
    adata.uns["sicmir"]["gct_version"] = head.version
    return describe_samples(adata, head.samples)


@dataclass(frozen=True)
class _Head:
    """What stands above the values of a ``.gct``, in ``n_lines`` lines."""

    version: str
    header: list[str]
    n_gene_columns: int
    samples: pd.DataFrame
    n_lines: int


def _head(path: Path) -> _Head:
    """Read the head of a ``.gct``, and see that all lines are as long and as many as it says.

    Raises
    ------
    ReadError
        If they are not.
    """
    try:
        with (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="utf-8-sig") as file:
            return _checked_head(path, file)
    except (ValueError, EOFError, OSError, zlib.error) as error:
        raise ReadError(f"{path}: not a readable .gct ({type(error).__name__}: {error}).") from error


def _checked_head(path: Path, file: IO[str]) -> _Head:
    lines = [file.readline().rstrip("\n"), file.readline().rstrip("\n")]
    version, size = _size(path, lines)
    if size:
        lines.append(file.readline().rstrip("\n"))
    n_gene_columns, n_sample_rows = size[2:] if len(size) == 4 else (1, 0)
    start = 2 if size else 0
    header, first = lines[start].split("\t"), n_gene_columns + 1
    described, n_rows = {}, -n_sample_rows
    for number, line in enumerate(chain(lines[start + 1 :], file), start + 2):
        if not line.strip():
            continue
        if line.count("\t") != len(header) - 1:
            raise ReadError(
                f"{path}: line {number} has {line.count(chr(9)) + 1} fields, expected {len(header)}. The "
                "file is truncated or damaged; fetch or write it again."
            )
        if n_rows < 0:
            fields = line.rstrip("\n").split("\t")
            described[fields[0]] = fields[first:]
        n_rows += 1
    if size and (n_rows, len(header) - first) != size[:2]:
        raise ReadError(
            f"{path}: its second line says {size[0]} genes x {size[1]} samples, found {n_rows} x "
            f"{len(header) - first}. The file is truncated or damaged; fetch or write it again."
        )
    samples = pd.DataFrame(described, index=header[first:])
    return _Head(version, header, n_gene_columns, samples, start + 1 + n_sample_rows)


def _size(path: Path, lines: list[str]) -> tuple[str, tuple[int, ...]]:
    """Version and the numbers of the second line: genes, samples and, in 1.3, the columns of both."""
    fields = lines[0].split("\t")
    if [field.lower() for field in fields[:2]] == ["name", "description"]:
        return "none stated", ()
    start, size = fields[0].strip(), lines[1].split()
    if len(size) != {"#1.2": 2, "#1.3": 4}.get(start) or not all(number.isdigit() for number in size):
        raise ReadError(
            f"{path}: expected a first line #1.2 or #1.3 and a second one with the numbers of genes and "
            f"samples (1.3: and of their columns); found {lines!r:.80}. If it is a plain table, use the "
            "reader table."
        )
    return start[1:], tuple(map(int, size))


def refuse_unexpected(path: Path, values: np.ndarray, signed: bool, allow_nan: bool) -> None:
    """Refuse negative and missing values where they are not said to belong, and say which option allows them.

    Raises
    ------
    DataError
        With their number.
    """
    n_negative, n_missing = int((values < 0).sum()), int(np.isnan(values).sum())
    if n_negative and not signed:
        raise DataError(
            f"{path}: {n_negative} values are negative. L1000 levels 4 and 5 are z-scores, no expression; "
            "level 3 holds expression. To read z-scores or log ratios all the same, give signed=True."
        )
    if n_missing and not allow_nan:
        raise DataError(
            f"{path}: {n_missing} values are missing (NA or empty). If that means not measured, give "
            "allow_nan=True."
        )


def name_genes(ids: list[str], columns: pd.DataFrame) -> pd.DataFrame:
    """Gene columns under the names of the genes: symbols where they are known, else the ids of the file."""
    var = columns.copy()
    numeric = all(name.isdigit() for name in ids)
    if "pr_gene_symbol" in columns:
        known = [symbol not in NOT_KNOWN for symbol in columns["pr_gene_symbol"]]
        names = [s if k else i for s, k, i in zip(columns["pr_gene_symbol"], known, ids, strict=True)]
    elif numeric:
        symbols = landmarks()["symbol"]
        places = [find_landmark(name) for name in ids]
        names = [symbols[place[0]] if place else name for place, name in zip(places, ids, strict=True)]
    else:
        names = ids
    told = var["description"] if "description" in var and names is ids else ids
    pairs = Counter(zip(names, told, strict=True))
    told = [  # Excel makes 1-Mar of two genes, and of neither can it be said which
        f"row {row}" if pair[1] in NOT_KNOWN or pairs[pair] > 1 else pair[1]
        for row, pair in enumerate(zip(names, told, strict=True))
    ]
    var.index = pd.Index(unique_names(names, told))
    if numeric:
        var["entrez"] = np.array(ids, dtype=np.int64)
    return var


def describe_samples(adata: ad.AnnData, columns: pd.DataFrame) -> ad.AnnData:
    """Add sample metadata to ``obs``; numbers become numbers, and what is not known missing."""
    for name, values in columns.items():
        column = pd.Series(values.to_numpy(), index=adata.obs_names)
        column = column.mask(column.astype(str).isin(NOT_KNOWN))
        numbers = pd.to_numeric(column, errors="coerce")
        adata.obs[str(name)] = numbers if numbers.notna().eq(column.notna()).all() else column.astype(object)
    return adata
