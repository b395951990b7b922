"""The 977 landmark genes: find them in any human table under symbols, aliases, Entrez or Ensembl ids."""

from __future__ import annotations

import copy
from typing import Any, Literal

import numpy as np
from anndata import AnnData
from scipy import sparse

from sicmir.errors import DataError, PanelError, ParameterError
from sicmir.matrices.dense import dense
from sicmir.matrices.matrix_check import check_storage
from sicmir.matrices.unit_names import known
from sicmir.names.gene_names import landmarks, read_names
from sicmir.names.landmark_columns import Coverage, check_observations, find_columns
from sicmir.names.mirna_names import current_mirna_names, level_of, mirnas, single_locus

__all__ = [
    "Coverage",
    "align",
    "coverage",
    "current_mirna_names",
    "landmarks",
    "level_of",
    "mirnas",
    "single_locus",
]


def align(
    adata: AnnData,
    min_coverage: float = 0.5,
    duplicates: Literal["error", "sum", "mean"] = "error",
    gene_key: str = "",
) -> AnnData:
    """Bring a table to the 977 landmarks, in panel order. What was not measured becomes NaN, never a number.

    Parameters
    ----------
    adata
        Observations x genes, dense or sparse, any unit. Genes are human symbols (old or new),
        ``SYMBOL|ENTREZ``, Entrez ids or Ensembl ids, mixed if need be. It is not changed.
    min_coverage
        Least share of the 977 that must be found, 0 to 1. At least one must be found in any case.
    duplicates
        What to do with several columns of one landmark: "error"; "sum", for counts (NaN if one is NaN);
        "mean", for everything else (over those that are not NaN).
    gene_key
        Column of ``adata.var`` that holds the names, such as ``gene_ids`` or ``feature_name``. Entries may be
        missing there. "" takes ``var_names``.

    Returns
    -------
    AnnData
        Observations x 977, dense float32, ``obs`` and ``uns["sicmir"]`` carried over. ``var``:
        :func:`landmarks` and ``source_name`` (column it came from, ;-joined if merged), ``status`` (symbol |
        alias | entrez | ensembl | missing). ``uns["sicmir"]["coverage"]``: see :func:`coverage`. A column
        that is NaN in every observation counts as missing, so aligning twice gives the same values.

    Raises
    ------
    PanelError
        Another species, coverage below ``min_coverage``, duplicates with ``duplicates="error"``, names that
        are empty or no text, no ``gene_key`` column.
    DataError
        No observations or no genes, a damaged matrix or one of no numbers, duplicated observation names, sums
        of logarithms or of negative values.
    ParameterError
        ``min_coverage`` or ``duplicates`` out of range.

    Examples
    --------
    >>> import anndata, numpy, sicmir
    >>> table = anndata.AnnData(numpy.array([[5.0, 0.0, 3.0]]))
    >>> table.var_names = ["ENSG00000092010", "CISD1", "MYGENE"]
    >>> aligned = sicmir.panel.align(table, min_coverage=0)
    >>> aligned.shape
    (1, 977)
    >>> aligned.var.loc[["PSME1", "CISD1"], ["source_name", "status"]]
               source_name   status
    PSME1  ENSG00000092010  ensembl
    CISD1            CISD1   symbol
    """
    if duplicates not in ("error", "sum", "mean"):
        raise ParameterError(f'duplicates must be "error", "sum" or "mean", not {duplicates!r}.')
    check_observations(adata.obs_names, adata.n_vars, adata.X is not None)
    if sparse.issparse(adata.X) or isinstance(adata.X, np.ndarray):  # others stay on disk
        check_storage(adata.X, "X")
    units = str(known(adata.uns).get("units", ""))
    found = find_columns(read_names(adata, gene_key), min_coverage, duplicates)
    if found.repeated and duplicates == "sum" and "log" in units.lower():
        raise DataError(f'duplicates="sum" cannot add logarithms (units {units}): use duplicates="mean".')
    values = found.values(lambda columns: dense(adata[:, columns].X), adata.n_obs)
    var, facts = found.describe(~np.isnan(values).all(axis=0))
    uns = copy.deepcopy(known(adata.uns))
    uns["coverage"] = facts
    return AnnData(X=values, obs=adata.obs.copy(), var=var, uns={"sicmir": uns})


def coverage(aligned: AnnData) -> Coverage:
    """Read the coverage that :func:`align` recorded in ``uns["sicmir"]["coverage"]``.

    Raises
    ------
    PanelError
        If the table was not made by :func:`align`.

    Examples
    --------
    >>> import anndata, numpy, sicmir
    >>> table = anndata.AnnData(numpy.array([[5.0, 0.0]]))
    >>> table.var_names = ["PSME1", "CISD1"]
    >>> found = sicmir.panel.coverage(sicmir.panel.align(table, min_coverage=0))
    >>> found.found, found.expected, found.missing[:2]
    (2, 977, ('SPDEF', 'ATF1'))
    """
    record = aligned.uns.get("sicmir", {}).get("coverage")
    if record is None:
        raise PanelError('uns["sicmir"] holds no coverage: align the table with sicmir.panel.align first.')
    lists = {"missing", "duplicated", "superseded"}
    fields: dict[str, Any] = {
        key: tuple(map(str, value)) if key in lists else int(value) for key, value in record.items()
    }
    return Coverage(**fields)
