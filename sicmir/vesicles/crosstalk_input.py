"""Cells, gene sets and targets of an analysis of crosstalk: checked, and cells pooled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import sparse

from sicmir.errors import DataError, ParameterError
from sicmir.matrices.units import Units, recognise, select
from sicmir.names.gene_names import read_names
from sicmir.names.gene_symbols import current_symbols
from sicmir.networks.target_pairs import check_columns
from sicmir.pseudobulk import pseudobulk
from sicmir.vesicles import ev

_SHOWN = 5


def check_cells(
    cells: AnnData, donor_key: str, cell_type_key: str, layer: str, units: str, gene_key: str
) -> tuple[Units, np.ndarray]:
    """Refuse cells that cannot be compared, before anything is summed up.

    Returns
    -------
    record
        Where the values are, and their units.
    symbols
        Current symbol of each of its genes, the own name where HGNC does not know it.

    Raises
    ------
    ParameterError
        If a column of ``obs`` is absent, donor and cell type are one column, or the units cannot be told.
    DataError
        If there is no AnnData, labels are missing, there is one cell type only, or the values are not in the
        ``units`` given.
    """
    if not isinstance(cells, AnnData):
        raise DataError(f"Expected cells as an AnnData (cells × genes), found {type(cells).__name__}.")
    if donor_key == cell_type_key:
        raise ParameterError(f"donor_key and cell_type_key should be two columns; both are {donor_key!r}.")
    for key in (donor_key, cell_type_key):
        if key not in cells.obs:
            raise ParameterError(
                f"obs of the cells has no column {key!r}; it has "
                f"{', '.join(map(str, cells.obs.columns)) or 'none'}. Name it by donor_key or cell_type_key."
            )
        empty = cells.obs[key].isna() | cells.obs[key].astype(str).eq("")
        if empty.any():
            raise DataError(f"{int(empty.sum())} of {cells.n_obs} cells have no {key}; leave them out.")
    kinds = cells.obs[cell_type_key].astype(str).unique()
    if len(kinds) < 2:
        raise DataError(f"Crosstalk needs two cell types or more; all {cells.n_obs} cells are {kinds[0]!r}.")
    record = recognise(cells, layer, units)
    table = select(cells, record)
    if units:
        _check_units(table, record)
    known = current_symbols(read_names(table, gene_key))
    symbols = known["current"].where(known["current"] != "", known.index.to_series())
    return record, symbols.to_numpy(dtype=str)


def check_targets(
    targets: pd.DataFrame | None, mirnas: pd.Index, genes: pd.Index
) -> tuple[pd.DataFrame, pd.Series]:
    """Targets under today's names.

    Returns
    -------
    table
        ``mirna``, ``gene``: those of the data's miRNAs, of its genes outside the 977 landmarks.
    degree
        Number of miRNAs of each gene in the whole table.

    Raises
    ------
    DataError
        If there is no table, it cannot be used, or no row fits the data.
    """
    if targets is None:
        raise DataError(
            "The term 'repression' needs targets, see sicmir.networks.targets; or leave the term out."
        )
    check_columns(targets)
    known = current_symbols(targets["gene"].astype(str).unique())
    current = known["current"].where(known["current"] != "", known.index.to_series())
    table = pd.DataFrame({"mirna": targets["mirna"].astype(str), "gene": targets["gene"].map(current)})
    if not table["mirna"].isin(mirnas).any():
        raise DataError(
            f"None of the miRNAs of the targets ({_some(table['mirna'])}) is among the {len(mirnas)} mature "
            f"miRNAs of the data ({_some(mirnas)}). Expected mature names of miRBase v22."
        )
    landmark = targets["gene"].map(known["landmark"]).to_numpy(dtype=bool)
    if not table["gene"][~landmark].isin(genes).any():
        raise DataError(
            f"None of the genes of the targets ({_some(table['gene'])}) is among the {len(genes)} genes of "
            f"the cells ({_some(genes)}) and outside the 977 landmarks. Expected symbols, or name the column "
            "of var that holds them by gene_key."
        )
    fits = table["mirna"].isin(mirnas) & table["gene"].isin(genes) & ~landmark
    degree = table.drop_duplicates()["gene"].value_counts()
    return table[fits].drop_duplicates().reset_index(drop=True), degree


def choose_sets(
    gene_sets: Mapping[str, Sequence[str]] | None, wanted: Sequence[str], genes: pd.Index
) -> dict[str, list[str]]:
    """Genes of each wanted set that the cells have, under today's symbols.

    Raises
    ------
    ParameterError
        If a wanted set is not given.
    DataError
        If it is empty, or the cells have none of its genes.
    """
    given = ev.gene_sets() | {name: tuple(genes) for name, genes in (gene_sets or {}).items()}
    unknown = set(given) - set(ev.gene_sets())
    if unknown:
        raise ParameterError(
            f"gene_sets: expected {', '.join(ev.gene_sets())}; found {sorted(unknown)[0]!r}."
        )
    chosen = {}
    for name in wanted:
        if not len(given[name]):
            raise DataError(f"The set {name!r} is empty; give genes, or leave the term {name!r} out.")
        known = current_symbols(given[name])
        current = known["current"].where(known["current"] != "", known.index.to_series())
        chosen[name] = [gene for gene in dict.fromkeys(current) if gene in genes]
        if not chosen[name]:
            raise DataError(
                f"None of the {len(given[name])} genes of the set {name!r} ({_some(given[name])}) is among "
                f"the {len(genes)} genes of the cells ({_some(genes)}). Give another set by gene_sets, name "
                f"the column of var that holds symbols by gene_key, or leave the term {name!r} out."
            )
    return chosen


def pool_cells(
    cells: AnnData, donor_key: str, cell_type_key: str, min_cells: int, record: Units, symbols: np.ndarray
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Pseudobulks of donors' cell types.

    Returns
    -------
    values
        (donor, cell type) × symbols, log2(CPM+1); genes not measured in all groups are left out, columns of
        one gene are added up.
    groups
        Index (donor, cell type): ``n_cells`` of all groups and ``kept``.

    Raises
    ------
    DataError
        If no group is large enough, or values cannot be made linear.
    """
    keys = [donor_key, cell_type_key]
    mode: Literal["sum", "mean"] = "sum" if record.units == "counts" else "mean"
    pooled = pseudobulk(cells, keys, record.source, min_cells, mode, units=record.units)
    linear = np.asarray(pooled.X, dtype=np.float64)
    measured = ~np.isnan(linear).any(axis=0)
    names, place = np.unique(symbols[measured], return_inverse=True)
    summed = linear[:, measured] @ sparse.csr_matrix((np.ones(len(place)), (np.arange(len(place)), place)))
    totals = summed.sum(axis=1, keepdims=True)
    if not (totals > 0).all():
        raise DataError(f"{pooled.obs_names[~(totals > 0).ravel()][0]}: no gene has a value above 0.")
    groups = pooled.uns["sicmir"]["pseudobulk"]["groups"]
    return (
        pd.DataFrame(
            np.log2(summed / totals * 1e6 + 1),
            index=pd.MultiIndex.from_frame(pooled.obs[keys].astype(str)),
            columns=names,
        ),
        groups.set_index([groups[key].astype(str) for key in keys])[["n_cells", "kept"]],
    )


def _check_units(table: AnnData, told: Units) -> None:
    """Refuse counts that are called logarithms, and logarithms that are called counts."""
    try:
        seen = recognise(AnnData(X=table.X), "X")
    except ParameterError:
        return
    mixed = (told.units == "counts") != (seen.units == "counts")
    if mixed and (told.logarithm or seen.logarithm):
        raise DataError(
            f"The units are given as {told.units}, but the values look like {seen.units}: "
            f"{' '.join(seen.reasons)} Give the units that the values have, or none."
        )


def _some(names: Sequence[str] | pd.Index | pd.Series) -> str:
    unique = list(dict.fromkeys(names))
    return ", ".join(map(str, unique[:_SHOWN])) + (" …" if len(unique) > _SHOWN else "")
