"""Groups of cells: which cells are in each, what these share, and sums of their rows in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import sparse

from sicmir.errors import DataError, ParameterError
from sicmir.matrices.unit_names import check_whole
from sicmir.matrices.units import Units, recognise, select

if TYPE_CHECKING:
    from sicmir.data.chunks import ChunkedMatrix

_PIECE = 1000
"""Rows that are made linear and summed up at a time."""

_TAKEN = frozenset({"n_cells", "n_predicted", "kept"})
"""Columns of tables of groups."""


def chosen(data: AnnData | ChunkedMatrix, layer: str, units: str) -> tuple[AnnData | ChunkedMatrix, Units]:
    """What holds the chosen matrix, and its units."""
    if isinstance(data, AnnData):
        record = recognise(data, layer, units)
        return select(data, record), record
    if layer not in ("", data.source):
        raise ParameterError(
            f"layer={layer!r}: the file was opened for {data.source}; open it for that layer."
        )
    return data, replace(recognise(data.sample(), "X", units), source=data.source)


def group_cells(obs: pd.DataFrame, by: str | Sequence[str], missing: str) -> tuple[np.ndarray, pd.DataFrame]:
    """Group of each cell (-1: without a label), and the table of groups with their number of cells."""
    by = [by] if isinstance(by, str) else list(by)
    if missing not in ("raise", "drop"):
        raise ParameterError(f"missing={missing!r}: expected 'raise' or 'drop'.")
    absent = [column for column in by if column not in obs]
    if absent or not by or len(set(by)) < len(by):
        raise DataError(
            f"Cells are to be grouped by {by}; obs has {', '.join(map(str, obs.columns)) or 'no columns'}. "
            "Name each column once, as it is called there."
        )
    taken = sorted(_TAKEN.intersection(by))
    if taken:
        raise DataError(f"The name {taken[0]} belongs to what is told of a group; rename that column of obs.")
    labels = obs[by].astype(object)
    without = labels.isna() | labels.eq("")
    if without.to_numpy().any() and missing == "raise":
        counts = ", ".join(f"{count} in {name}" for name, count in without.sum().items() if count)
        raise DataError(
            f"Of {len(obs)} cells some have no label: {counts}. Label them, or leave them out by "
            "missing='drop'."
        )
    labels = labels[~without.any(axis=1)].astype(str)
    if labels.empty:
        raise DataError(f"No cell has a label in {', '.join(by)}.")
    grouped = labels.groupby(by, sort=True)
    codes = np.full(len(obs), -1)
    codes[~without.any(axis=1).to_numpy()] = grouped.ngroup().to_numpy()
    groups = grouped.size().rename("n_cells").reset_index()
    groups.index = pd.Index(["|".join(labels) for labels in groups[by].itertuples(index=False)])
    if groups.index.has_duplicates:
        twice = groups.index[groups.index.duplicated()][0]
        raise DataError(f"Two groups would both be called {twice}; rename labels that hold a '|'.")
    return codes, groups


def constant_columns(
    obs: pd.DataFrame, codes: np.ndarray, groups: pd.DataFrame
) -> tuple[pd.DataFrame, list[str]]:
    """Columns that are constant within every group, in the order of ``groups``, and the names of the others.

    Raises
    ------
    DataError
        If the condition is among the others: a mixture of conditions can be compared with nothing.
    """
    inside, codes = obs[codes >= 0], codes[codes >= 0]
    _, first = np.unique(codes, return_index=True)
    columns, varying = {}, []
    for name in obs.columns.difference(groups.columns, sort=False):
        values = pd.factorize(inside[name], use_na_sentinel=False)[0]
        if (values == values[first][codes]).all():
            columns[name] = inside[name].iloc[first].array
        else:
            varying.append(str(name))
    if "condition" in varying:
        raise DataError(
            "Cells of one group have several conditions. Add 'condition' to by, or drop that column of obs "
            "if they are to be mixed."
        )
    return pd.DataFrame(columns, index=groups.index), varying


def weighted_sums(
    indicator: sparse.csc_matrix, source: AnnData | ChunkedMatrix, linear: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """Weighted sums of rows, after ``linear``, a piece of rows at a time; float32."""
    result = np.zeros((indicator.shape[0], source.shape[1]))
    for start, stop, values in _pieces(source):
        piece = indicator[:, start:stop].tocsr()
        touched = np.flatnonzero(np.diff(piece.indptr))
        values = values.astype(np.float64)
        if isinstance(values, np.ndarray):
            result[touched] += piece[touched] @ linear(values)
        else:
            values.data = linear(values.data)
            result[touched] += (piece[touched] @ values).toarray()
    if np.isinf(result).any():
        raise DataError("The matrix holds infinite values; expected finite numbers, NaN where not measured.")
    return result.astype(np.float32)


def _pieces(source: AnnData | ChunkedMatrix) -> Iterator[tuple[int, int, np.ndarray | sparse.spmatrix]]:
    if not isinstance(source, AnnData):
        yield from source.pieces(_PIECE)
        return
    step = source.n_obs if getattr(source.X, "format", "") == "csc" else _PIECE
    for start in range(0, source.n_obs, step):
        stop = min(start + step, source.n_obs)
        yield start, stop, source.X[start:stop]


def linear_or_counts(record: Units, units: str) -> Callable[[np.ndarray], np.ndarray]:
    """:meth:`Units.linear`; counts that were recognised, so that no ``units`` were given, are checked."""

    def checked(values: np.ndarray) -> np.ndarray:
        check_whole(values, record.source)
        return record.linear(values)

    return checked if record.units == "counts" and not units else record.linear


def linear_units(record: Units) -> str:
    """Units of a sum or mean of values made linear."""
    if not record.logarithm:
        return record.units
    inner = record.units[record.units.index("(") + 1 : -1].removesuffix(" + 1")
    return "linear, unknown" if inner == "x" else inner
