"""Predictions of single rows on disk: written a few rows at a time, an AnnData when all are there."""

from __future__ import annotations

import shutil
from pathlib import Path

import anndata as ad
import numpy as np
import zarr
from anndata import AnnData
from anndata.io import write_elem

from sicmir.prediction import Block
from sicmir.streams import result_files
from sicmir.streams.storable import storable

STORE = "cells.zarr"


class CellStore:
    """Rows × miRNAs as a zarr store that becomes an AnnData.

    A chunk of the store holds the rows of one write, so that a write that was broken off harms no other rows.

    Parameters
    ----------
    folder
        Where the store is kept.
    shape
        Rows and miRNAs.
    chunk_size
        Rows of one write.
    dtype
        ``"float32"`` or ``"float16"``, which keeps 3 digits: a relative error below 0.0005.
    intervals
        Whether the bounds are kept.
    """

    def __init__(
        self, folder: Path, shape: tuple[int, int], chunk_size: int, dtype: str, intervals: bool
    ) -> None:
        self._path = folder / STORE
        self._group = zarr.open_group(
            self._path, mode="a", zarr_format=ad.settings.zarr_write_format, use_consolidated=False
        )
        self._group.attrs.update({"encoding-type": "anndata", "encoding-version": "0.1.0"})
        layers = self._group.require_group("layers")
        layers.attrs.update({"encoding-type": "dict", "encoding-version": "0.1.0"})
        self._arrays = {}
        for field, group, name in (
            ("predicted", self._group, "X"),
            *((name, layers, name) for name in ("lower", "upper") if intervals),
        ):
            # A chunk that is abstained throughout takes no room.
            array = group.require_array(
                name, shape=shape, dtype=dtype, chunks=(chunk_size, shape[1]), fill_value=np.nan
            )
            array.attrs.update({"encoding-type": "array", "encoding-version": "0.2.0"})
            self._arrays[field] = array

    @staticmethod
    def there(folder: Path) -> bool:
        """Whether a folder holds a store."""
        return (folder / STORE).exists()

    def add(self, start: int, stop: int, block: Block) -> None:
        """Write rows ``start`` to ``stop``."""
        for field, array in self._arrays.items():
            array[start:stop] = getattr(block, field).astype(array.dtype)

    def due(self, done: int) -> bool:
        """Whether what was added should be kept now: always."""
        return True

    def keep(self, done: int) -> None:
        """Nothing to do: :meth:`add` has written it."""

    def told(self) -> list[str]:
        """What is to be said of the result beside its predictions: nothing."""
        return []

    def write(self, described: AnnData, out: Path, overwrite: bool) -> None:
        """Make the result of all rows.

        Parameters
        ----------
        described
            Its ``obs``, ``var`` and ``uns``.
        out, overwrite
            As for :func:`sicmir.streams.result_files.write`.
        """
        layers = {field: array for field, array in self._arrays.items() if field != "predicted"}
        if out.suffix != ".zarr":
            described = described.copy()
            described.X, described.layers = self._arrays["predicted"], layers
            result_files.write(described, out, overwrite, self._path.parent)
            return
        result_files.check_free(out, overwrite)
        table = storable(described, out.suffix)
        parts = {"obs": table.obs, "var": table.var, "uns": dict(table.uns)}
        for name, part in (parts | {key: {} for key in ("obsm", "varm", "obsp", "varp")}).items():
            write_elem(self._group, name, part)
        for left in self._path.rglob("*.partial"):  # of a write that was killed
            left.unlink()
        zarr.consolidate_metadata(self._path)
        if out.is_dir():
            shutil.rmtree(out)
        self._path.replace(out)
