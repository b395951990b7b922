"""Mean, variance and number of cells of each group, while the cells pass by."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import sparse

from sicmir import paths
from sicmir.errors import DataError
from sicmir.matrices.cell_groups import constant_columns, group_cells
from sicmir.prediction import Block
from sicmir.streams import result_files

NEARLY_ALL = 0.9
"""Share of cells that are predicted, below which it is told of which cells means are."""


class Moments:
    """Count, mean and sum of squared deviations of groups × features, in float64; NaN is left out.

    Parts are joined as by Chan, Golub and LeVeque (1983, doi 10.1080/00031305.1983.10483115): unlike sums of
    squares this loses no digits where the mean is large against the SD.

    Attributes
    ----------
    count, mean, squares
        Groups × features.
    """

    def __init__(self, n_groups: int, n_features: int) -> None:
        self.count, self.mean, self.squares = np.zeros((3, n_groups, n_features))

    def add(self, values: np.ndarray, group: np.ndarray) -> None:
        """Add rows × features; ``group`` is the group of each row, -1 for none."""
        inside = group >= 0
        there, member = np.unique(group[inside], return_inverse=True)
        if not len(there):
            return
        values = values[inside].astype(np.float64)
        indicator = sparse.csr_matrix(
            (np.ones(len(member)), (member, np.arange(len(member)))), shape=(len(there), len(member))
        )
        measured = ~np.isnan(values)
        count = indicator @ measured
        mean = (indicator @ np.where(measured, values, 0)) / np.maximum(count, 1)
        squares = indicator @ np.where(measured, values - mean[member], 0) ** 2
        total = np.maximum(self.count[there] + count, 1)
        away = mean - self.mean[there]
        self.squares[there] += squares + away**2 * self.count[there] * count / total
        self.mean[there] += away * count / total
        self.count[there] += count

    @property
    def variance(self) -> np.ndarray:
        """Sample variance (divisor n - 1), groups × features; NaN where fewer than 2 values are."""
        return np.divide(
            self.squares, self.count - 1, out=np.full(self.count.shape, np.nan), where=self.count > 1
        )


class GroupSummary:
    """Moments of the predictions of the cells of each group; the cells themselves are not kept.

    Parameters
    ----------
    folder
        Where the state of an unfinished run is kept.
    obs
        Observations.
    by
        Columns of ``obs``.
    n_mirnas
        Number of miRNAs.
    min_cells
        Groups of fewer cells are left out; of those of which fewer are predicted, mean and variance are NaN.
    done
        Rows that the state in ``folder`` has seen.
    missing
        Whether cells without a label are refused ("raise") or left out ("drop").

    Raises
    ------
    DataError
        If a column is absent, cells lack a label, or no group is large enough.
    """

    def __init__(
        self,
        folder: Path,
        obs: pd.DataFrame,
        by: Sequence[str],
        n_mirnas: int,
        min_cells: int,
        done: int,
        missing: str = "raise",
    ) -> None:
        codes, groups = group_cells(obs, by, missing)
        self._min_cells, self.without_label = min_cells, int((codes < 0).sum())
        kept = groups["n_cells"].to_numpy() >= min_cells
        if not kept.any():
            raise DataError(
                f"None of {len(groups)} groups has {min_cells} cells; the largest has "
                f"{groups['n_cells'].max()}. Lower min_cells, or group by less."
            )
        self.groups, self.left_out = groups[kept], groups[~kept]
        # The place at the end is that of cells without a label, which have the code -1.
        self._codes = np.append(np.where(kept, np.cumsum(kept) - 1, -1), -1)[codes]
        counted = self.groups.assign(n_predicted=0)  # its name is taken
        self._carried, _ = constant_columns(obs, self._codes, counted)
        self._folder, self._kept = folder, done
        self.moments = Moments(len(self.groups), n_mirnas)
        self.n_predicted = np.zeros(len(self.groups), dtype=np.int64)
        if done:
            with np.load(self._file(done), allow_pickle=False) as state:
                for name in ("count", "mean", "squares"):
                    setattr(self.moments, name, state[name])
                self.n_predicted = state["n_predicted"]

    def add(self, start: int, stop: int, block: Block) -> None:
        """Take in rows ``start`` to ``stop``."""
        group = self._codes[start:stop]
        self.moments.add(block.predicted, group)
        shown = group[(group >= 0) & ~block.abstained]
        self.n_predicted += np.bincount(shown, minlength=len(self.groups))

    def due(self, done: int) -> bool:
        """Whether to keep the state now: of as many rows as there are groups, so that this costs little."""
        return done - self._kept >= len(self.groups)

    def keep(self, done: int) -> None:
        """Write the state to the folder; that of before stays until the next one."""
        state = {name: getattr(self.moments, name) for name in ("count", "mean", "squares")}
        with paths.replacing(self._file(done)) as part:
            np.savez(part, n_predicted=self.n_predicted, **state)
        for old in self._folder.glob("groups-*.npz"):
            if old not in (self._file(done), self._file(self._kept)):
                old.unlink()
        self._kept = done

    def told(self) -> list[str]:
        """What is to be said of the result beside its predictions."""
        few = f"; left out: {len(self.left_out)} of too few cells" if len(self.left_out) else ""
        without = f"; {self.without_label} cells have no label" if self.without_label else ""
        told = [
            f"Summarised: {len(self.groups)} groups by {', '.join(self.groups.columns[:-1])}{few}{without}."
        ]
        n_empty = int((self.n_predicted < self._min_cells).sum())
        if n_empty:
            told.append(
                f"{n_empty} of the groups are left NaN: fewer than {self._min_cells} of their cells could be "
                "predicted (n_predicted)."
            )
        n_cells, n_predicted = int(self.groups["n_cells"].sum()), int(self.n_predicted.sum())
        if 0 < n_predicted < NEARLY_ALL * n_cells:
            told.append(
                f"The means are of {n_predicted} of {n_cells} cells, those that are most like the training "
                "data and no random choice. To have all cells count, pool them first (by)."
            )
        return told

    def write(self, described: AnnData, out: Path, overwrite: bool) -> None:
        """Make the result: groups × miRNAs, ``X`` the mean, layers ``variance`` and ``count``.

        ``obs`` holds the columns of ``by``, ``n_cells``, ``n_predicted`` (cells that are not abstained) and
        what is constant within each group. Mean and variance of fewer than ``min_cells`` values are NaN.

        Parameters
        ----------
        described
            ``obs``, ``var`` and ``uns`` of the cells.
        out, overwrite
            As for :func:`sicmir.streams.result_files.write`.
        """
        moments = self.moments
        enough = moments.count >= self._min_cells
        result = AnnData(
            np.where(enough, moments.mean, np.nan).astype(np.float32),
            obs=pd.concat([self.groups.assign(n_predicted=self.n_predicted), self._carried], axis=1),
            var=described.var,
            uns=described.uns,
            layers={
                "variance": np.where(enough, moments.variance, np.nan).astype(np.float32),
                "count": moments.count.astype(np.int64),
            },
        )
        result.uns["sicmir"] = {
            **described.uns["sicmir"],
            "summarised": {
                "by": np.array(list(self.groups.columns[:-1]), dtype=str),
                "left_out": self.left_out,
                "without_label": self.without_label,
                "n_cells": described.n_obs,
                "n_predicted": int((~described.obs["abstained"]).sum()),
            },
        }
        result_files.write(result, out, overwrite, self._folder)

    def _file(self, done: int) -> Path:
        return self._folder / f"groups-{done}.npz"
