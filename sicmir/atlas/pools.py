"""Cells of a file, pooled to groups (donor, cell type, condition) and to parts of groups, in one pass."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
from scipy import sparse

from sicmir.data.chunks import ChunkedMatrix, preview
from sicmir.data.readers import reader_for
from sicmir.engine.file_input import STREAMED, WINDOW_BYTES
from sicmir.engine.prediction_input import pooled
from sicmir.errors import DataError, ParameterError
from sicmir.matrices.unit_names import Units
from sicmir.matrices.units import look


@dataclass(frozen=True, eq=False)
class Pools:
    """What is predicted of a data set.

    Attributes
    ----------
    groups, parts
        Pools × genes. ``obs`` of both: ``donor, cell_type, condition, n_cells``, of the parts also ``group``,
        the place of theirs among the groups.
    units
        Of both, linear.
    """

    groups: ad.AnnData
    parts: ad.AnnData
    units: Units


def parts(group: np.ndarray, part_cells: int, max_parts: int, seed: int = 0) -> np.ndarray:
    """Deal the cells of each group at random to disjoint parts of about equal size.

    A group of n cells has n / ``part_cells`` parts, rounded down, but at least one and at most ``max_parts``:
    no part has fewer cells than ``part_cells``, unless the whole group has.

    Parameters
    ----------
    group
        Group of each cell, from 0; -1 for none.
    part_cells, max_parts
        Fewest cells of a part, most parts of a group.
    seed
        Of the order in which cells are dealt.

    Returns
    -------
    Number of the part of each cell in its group, from 0; -1 for none.
    """
    order = np.random.default_rng(seed).permutation(len(group))
    order = order[np.argsort(group[order], kind="stable")]
    order = order[group[order] >= 0]
    sizes = np.bincount(group[order]) if len(order) else np.zeros(0, int)
    place = np.arange(len(order)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    n_parts = np.clip(sizes // part_cells, 1, max_parts)
    found = np.full(len(group), -1)
    found[order] = place % n_parts[group[order]]
    return found


def pool(
    path: Path,
    labels: pd.DataFrame,
    layer: str,
    units: str,
    min_cells: int,
    part_cells: int,
    max_parts: int,
) -> tuple[Pools, int]:
    """Pool the cells of a file, which is read once, a piece of rows at a time.

    Memory is that of parts × genes, and of ``obs``.

    Parameters
    ----------
    path
        ``.h5ad`` or ``.zarr``.
    labels
        As :func:`sicmir.atlas.labels.group_labels` gives them.
    layer, units
        As for :func:`sicmir.prediction.predict`.
    min_cells
        Groups of fewer cells are left out.
    part_cells, max_parts
        As for :func:`parts`.

    Returns
    -------
    pools
        Groups and parts.
    left_out
        Cells of groups that are too small.

    Raises
    ------
    DataError
        If no group is large enough, or values cannot be used.
    ParameterError
        If units cannot be told.
    """
    by = [name for name in ("donor", "cell_type", "condition") if name in labels]
    whole = labels[by].notna().all(axis=1).to_numpy()
    codes = np.full(len(labels), -1)
    codes[whole] = labels.loc[whole, by].groupby(by, sort=True).ngroup()
    sizes = np.bincount(codes[whole]) if whole.any() else np.zeros(1, int)
    if sizes.max() < min_cells:
        raise DataError(
            f"None of {len(sizes)} groups of {', '.join(by)} has {min_cells} cells; the largest has "
            f"{sizes.max()}. Lower min_cells."
        )
    small = whole & (sizes[codes] < min_cells)
    codes[small] = -1
    dealt = pd.Series(parts(codes, part_cells, max_parts), index=labels.index).astype(str)
    found = look(preview(path, layer=layer or ("X" if units else "")), layer, units)
    with ChunkedMatrix(path, found.source, WINDOW_BYTES) as matrix:
        matrix.obs = labels[by].assign(part=dealt.where(codes >= 0, None))
        made, record = pooled(matrix, [*by, "part"], found, units, min_cells=1, missing="drop")
    groups, place = _groups(made, by)
    for one in (made, groups):
        if "condition" not in one.obs:
            one.obs["condition"] = ""
    made.obs["group"] = place
    return Pools(groups, made, record), int(small.sum())


def _groups(made: ad.AnnData, by: list[str]) -> tuple[ad.AnnData, np.ndarray]:
    """Put the parts of each group together: counts are summed up, means averaged by the number of cells."""
    labels = made.obs[by].astype(str).groupby(by, sort=True)
    place = labels.ngroup().to_numpy()
    n_cells = made.obs["n_cells"].to_numpy(dtype=np.float64)
    total = np.bincount(place, n_cells)
    means = made.uns["sicmir"]["pseudobulk"]["mode"] == "mean"
    weight = n_cells / total[place] if means else np.ones(len(place))
    indicator = sparse.csr_matrix((weight, (place, np.arange(len(place)))))
    obs = labels.size().reset_index()[by].assign(n_cells=total.astype(int))
    obs.index = pd.Index(["|".join(row) for row in obs[by].itertuples(index=False)])
    values = (indicator @ made.X.astype(np.float64)).astype(np.float32)
    return ad.AnnData(values, obs=obs, var=made.var.copy(), uns=dict(made.uns)), place


def check_file(path: Path) -> None:
    """Refuse what cannot be read in pieces.

    Raises
    ------
    ParameterError
        If it is neither ``.h5ad`` nor ``.zarr``.
    """
    if reader_for(path) not in STREAMED:
        raise ParameterError(
            f"{path}: the atlas takes .h5ad and .zarr, with the labels of cells in obs. Read it by "
            "sicmir.data.load, add the labels, and write it as .h5ad."
        )
