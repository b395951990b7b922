"""Pseudobulks: cells of a donor and a cell type summed up, so that donors are counted and not cells."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import sparse

from sicmir.errors import DataError, ParameterError
from sicmir.matrices.cell_groups import (
    chosen,
    constant_columns,
    group_cells,
    linear_or_counts,
    linear_units,
    weighted_sums,
)
from sicmir.matrices.unit_names import known

if TYPE_CHECKING:
    from sicmir.data.chunks import ChunkedMatrix

_BY = ("donor", "cell_type")


def pseudobulk(
    data: AnnData | ChunkedMatrix,
    by: str | Sequence[str] = _BY,
    layer: str = "",
    min_cells: int = 10,
    mode: Literal["sum", "mean"] = "sum",
    missing: Literal["raise", "drop"] = "raise",
    units: str = "",
) -> AnnData:
    """Sum up the counts of the cells of each group, or average linear values where there are no counts.

    Groups by donor and cell type make donors the unit of later tests (Squair 2021,
    doi 10.1038/s41467-021-25960-2). Logarithms are undone before a mean is taken: a mean of logarithms falls
    with the share of zeros, hence with the depth of the cells. Metacells are groups like any other:
    ``by="metacell"``.

    Parameters
    ----------
    data
        Cells x genes; a :class:`~sicmir.data.chunks.ChunkedMatrix` is read through once, chunk by chunk.
    by
        Columns of ``obs``. Only groups that have cells are made.
    layer, units
        As for :func:`sicmir.matrices.units.recognise`; of a ChunkedMatrix the matrix that it is of.
    min_cells
        Groups of fewer cells are left out, at least 1.
    mode
        ``"sum"``, of counts only, or ``"mean"``, of linear values.
    missing
        Whether cells without a label (NaN or "") in ``by`` are refused or left out.

    Returns
    -------
    AnnData
        Groups x genes, float32 (sums above 2**24 are rounded), sorted by ``by``; NaN where a gene was not
        measured in all cells of the group. ``obs``: the columns of
        ``by``, ``n_cells``, and every column that is constant within each group. ``uns["sicmir"]["units"]``:
        those of the result; ``uns["sicmir"]["pseudobulk"]``: ``by``, ``mode``, ``without_label`` (cells left
        out), ``not_constant`` (columns left out) and ``groups``, a table of all groups with ``n_cells`` and
        ``kept``.

    Raises
    ------
    DataError
        If a column is absent, cells lack a label, no group is large enough, cells of one group have several
        conditions, or values are negative or infinite, or fractional in a table of counts.
    ParameterError
        If ``mode`` is ``"sum"`` and there are no counts, the units cannot be told, or an option is out of
        range.

    Examples
    --------
    >>> from sicmir import pseudobulk
    >>> from sicmir.synthetic import toy_crosstalk
    >>> cells, _, _ = toy_crosstalk.crosstalk_cells(n_donors=2, n_types=2, n_cells=25)
    >>> pools = pseudobulk.pseudobulk(cells, by=["donor", "cell_type"])
    >>> pools.obs["n_cells"].to_dict()
    {'TOY-0001|type A': 25, 'TOY-0001|type B': 25, 'TOY-0002|type A': 25, 'TOY-0002|type B': 25}
    """
    if mode not in ("sum", "mean"):
        raise ParameterError(f"mode={mode!r}: expected 'sum' or 'mean'.")
    if min_cells < 1:
        raise ParameterError(f"min_cells={min_cells!r}: expected 1 or more.")
    source, record = chosen(data, layer, units)
    if mode == "sum" and record.units != "counts":
        raise ParameterError(
            f"mode='sum' needs counts. {record.text()} Name a layer of counts, or take mode='mean'."
        )
    codes, groups = group_cells(source.obs, by, missing)
    unlabelled = int((codes < 0).sum())
    groups["kept"] = groups["n_cells"] >= min_cells
    kept = groups[groups["kept"]].drop(columns="kept")
    if kept.empty:
        raise DataError(
            f"None of {len(groups)} groups has {min_cells} cells; the largest has {groups['n_cells'].max()}. "
            "Lower min_cells, or group by less."
        )
    # Place of each group among those kept; -1 where it is not, and at the end for cells without a label.
    places = np.append(np.where(groups["kept"], np.cumsum(groups["kept"]) - 1, -1), -1)
    codes = places[codes]
    inside = np.flatnonzero(codes >= 0)
    weights = 1.0 if mode == "sum" else 1 / kept["n_cells"].to_numpy()[codes[inside]]
    indicator = sparse.csc_matrix(
        (np.broadcast_to(weights, len(inside)), (codes[inside], inside)), shape=(len(kept), len(codes))
    )
    carried, varying = constant_columns(source.obs, codes, kept)
    result = AnnData(
        X=weighted_sums(indicator, source, linear_or_counts(record, units)),
        obs=pd.concat([kept, carried], axis=1),
        var=source.var.copy(),
    )
    result.uns["sicmir"] = {
        **known(source.uns),
        "units": linear_units(record),
        "units_record": record.as_dict(),
        "pseudobulk": {
            "by": np.array(list(kept.columns[:-1]), dtype=str),
            "mode": mode,
            "without_label": unlabelled,
            "not_constant": np.array(varying, dtype=str),
            "groups": groups,
        },
    }
    return result


def subsample_mean(
    data: AnnData | ChunkedMatrix,
    k: int = 0,
    n: int = 0,
    seed: int = 0,
    by: str | Sequence[str] = _BY,
    layer: str = "",
    of: Literal["linear", "stored"] = "linear",
    missing: Literal["raise", "drop"] = "raise",
    units: str = "",
) -> AnnData:
    """Draw cells of each group without replacement, several times, and average each draw.

    With ``by="cell_type"``, ``of="stored"`` and the default numbers this is the pooling of the published tool
    (Cai 2026, doi 10.1002/advs.202514446): of each cell type, ceil(cells / 100) draws of 80 % of its cells,
    averaged as stored, usually as logarithms, whoever the donors are; but here the seed works. Draws of one
    group share most of their cells and correlate at about 0.98: they are **no replicates**. Never give their
    number as n to a test; :func:`pseudobulk` makes one profile a donor. What they serve is to see how
    predictions depend on the number of cells pooled.

    Parameters
    ----------
    data
        Cells x genes, as for :func:`pseudobulk`.
    k
        Cells in a draw; 0: 80 % of the group, rounded down, at least 1. Smaller groups are left out.
    n
        Draws from each group; 0: one for every 100 cells begun.
    seed
        Seed of the draws.
    by, missing, layer, units
        As for :func:`pseudobulk`. Draws are made within donors as long as ``by`` names them.
    of
        ``"linear"`` values (counts, or logarithms undone) or values as ``"stored"``.

    Returns
    -------
    AnnData
        Draws x genes, float32. ``obs``: the columns of ``by``, ``n_group`` (cells in the group), ``n_cells``
        (in the draw), ``draw`` (from 1) and every column that is constant within each group.
        ``uns["sicmir"]["units"]``: those of the means.

    Raises
    ------
    DataError
        If a column is absent, cells lack a label, no group has ``k`` cells, or cells of one group have
        several conditions.
    ParameterError
        If an option is out of range or the units cannot be told.

    Examples
    --------
    >>> from sicmir import pseudobulk
    >>> from sicmir.synthetic import toy_crosstalk
    >>> cells, _, _ = toy_crosstalk.crosstalk_cells(n_donors=2, n_types=2, n_cells=25)
    >>> draws = pseudobulk.subsample_mean(cells, k=10, n=3, by="cell_type")
    >>> draws.obs["draw"].tolist()
    [1, 2, 3, 1, 2, 3]
    """
    if k < 0 or n < 0 or of not in ("linear", "stored"):
        raise ParameterError(
            f"Expected k and n of 0 or more and of='linear' or 'stored'; found {k!r}, {n!r} and {of!r}."
        )
    source, record = chosen(data, layer, units)
    codes, groups = group_cells(source.obs, by, missing)
    groups = groups.rename(columns={"n_cells": "n_group"})
    carried, _ = constant_columns(source.obs, codes, groups)
    rng = np.random.default_rng(seed)
    members = np.split(np.argsort(codes, kind="stable"), np.cumsum(np.bincount(codes + 1)))[1:-1]
    group, draws, cells = [], [], []
    for place, inside in enumerate(members):
        size = k or max(1, int(0.8 * len(inside)))
        for draw in range((n or -(-len(inside) // 100)) if size <= len(inside) else 0):
            group.append(place)
            draws.append(draw + 1)
            cells.append(rng.choice(inside, size, replace=False))
    if not cells:
        raise DataError(f"No group has k={k} cells; the largest has {groups['n_group'].max()}.")
    sizes = np.array([len(drawn) for drawn in cells])
    indicator = sparse.csc_matrix(
        (np.repeat(1 / sizes, sizes), (np.repeat(np.arange(len(cells)), sizes), np.concatenate(cells))),
        shape=(len(cells), source.n_obs),
    )
    obs = pd.concat([groups, carried], axis=1).iloc[group]
    obs = obs.assign(n_cells=sizes, draw=draws)
    obs.index = [f"{name}|{draw}" for name, draw in zip(obs.index, draws, strict=True)]
    linear = linear_or_counts(record, units) if of == "linear" else lambda values: values
    result = AnnData(
        X=weighted_sums(indicator, source, linear),
        obs=obs,
        var=source.var.copy(),
    )
    result.uns["sicmir"] = {
        **known(source.uns),
        "units": linear_units(record) if of == "linear" else f"mean of {record.units}",
        "units_record": record.as_dict(),
        "subsample": {"seed": seed, "k": k, "n": n, "of": of},
    }
    return result
