"""Readers of gene sets: GMT text and lists in an ``.rda``."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
from scipy import sparse

from sicmir.data.rda import read_objects
from sicmir.errors import DataError, ReadError


def gmt(path: Path) -> ad.AnnData:
    """Read gene sets in the format of MSigDB: a line holds name, description and genes, tab-separated.

    Returns
    -------
    AnnData
        Sets x genes, sparse, 1 where the gene is in the set; ``obs["description"]``.

    Raises
    ------
    ReadError
        If the file is no text, or a line has fewer than three fields.
    DataError
        If there is no set, or two have one name.
    """
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        lines = content.decode("utf-8-sig").splitlines()
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
        raise ReadError(f"{path}: not a readable GMT file ({type(error).__name__}: {error}).") from error
    names, descriptions, members = [], [], []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        name, *rest = (field.strip() for field in line.split("\t"))
        genes = [gene for gene in rest[1:] if gene]
        if not name or not genes:
            raise ReadError(
                f"{path}: line {number} has no name or no genes; expected name, description and genes, "
                "separated by tabs."
            )
        names.append(name)
        descriptions.append(rest[0])
        members.append(genes)
    return _sets(path, names, members, descriptions)


def rda_gene_sets(path: Path) -> ad.AnnData:
    """Read the named list of gene sets that an ``.rda`` holds, such as IOBR's signature collection.

    Returns
    -------
    AnnData
        As :func:`gmt`, without descriptions.

    Raises
    ------
    ReadError
        If the file holds anything but one named list of character vectors.
    DataError
        As :func:`gmt`.
    """
    values = list(read_objects(path).values())
    if len(values) != 1 or not isinstance(values[0], Mapping):
        raise ReadError(f"{path}: expected one named list of gene sets, found {len(values)} other objects.")
    names = [str(name) for name in values[0]]
    members = []
    for name, genes in values[0].items():
        array = np.asarray(genes)
        if array.dtype.kind not in "UOT":
            raise ReadError(f"{path}: the set {name} holds {array.dtype}; expected names of genes.")
        members.append([str(gene).strip() for gene in array.ravel() if not pd.isna(gene) and str(gene)])
    return _sets(path, names, members, [""] * len(names))


def _sets(
    path: Path, names: Sequence[str], members: Sequence[Sequence[str]], descriptions: Sequence[str]
) -> ad.AnnData:
    index = pd.Index(names, dtype=object)
    if not len(index):
        raise DataError(f"{path}: there is no gene set in it.")
    if index.has_duplicates:
        raise DataError(f"{path}: the set {index[index.duplicated()][0]} occurs twice; expected each once.")
    rows = np.repeat(np.arange(len(names)), [len(genes) for genes in members])
    columns, genes = pd.factorize(np.array([gene for genes in members for gene in genes], dtype=object))
    matrix = sparse.csr_matrix(
        (np.ones(len(rows), np.float32), (rows, columns)), shape=(len(names), len(genes))
    )
    matrix.data[:] = 1  # a gene that a set names twice is in it once
    adata = ad.AnnData(
        matrix,
        obs=pd.DataFrame({"description": list(descriptions)}, index=index),
        var=pd.DataFrame(index=pd.Index(genes, dtype=object)),
    )
    adata.uns["sicmir"] = {"modality": "gene_sets", "units": "", "synthetic": False}
    return adata
