"""Reader of ``.gctx``, the HDF5 format of LINCS L1000, in which samples are rows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import anndata as ad
import h5py
import numpy as np
import pandas as pd

from sicmir.data.formats import readable
from sicmir.data.gct import describe_samples, name_genes, refuse_unexpected
from sicmir.data.matrix import assemble
from sicmir.errors import ParameterError
from sicmir.names.gene_names import find_landmark

BLOCK_BYTES = 64 * 2**20
"""Values of the file held beside the result while it is read."""


def gctx(
    path: Path,
    *,
    genes: Literal["all", "landmarks"] = "all",
    samples: Sequence[str] = (),
    modality: str = "mrna",
    units: str = "",
    signed: bool = False,
    allow_nan: bool = False,
    cohort: str = "",
) -> ad.AnnData:
    """Read a ``.gctx``, the HDF5 form of ``.gct`` 1.3.

    The L1000 releases of GEO (GSE92742, GSE70138) hold up to 1.3 million samples x 12,328 genes, of which
    977 of the model's are measured and the others inferred from them: choose ``genes="landmarks"``.

    Parameters
    ----------
    path
        ``.gctx``.
    genes
        ``"landmarks"`` keeps the 977 only; no more is held in memory.
    samples
        Which samples (column ids of the release) to keep, in this order; empty for all.
    modality, units, signed, allow_nan, cohort
        As for :func:`gct`.

    Returns
    -------
    AnnData
        As :func:`gct` gives it.

    Raises
    ------
    ReadError
        If the file is truncated or no ``.gctx``.
    ParameterError
        If ``genes`` is something else, or a sample is not there.
    DataError
        If values or names are wrong.
    """
    if genes not in ("all", "landmarks"):
        raise ParameterError(f"genes={genes!r}: expected 'all' or 'landmarks'.")
    with readable(path, ".gctx"), h5py.File(path) as file:
        rows, columns = (_metadata(file[f"0/META/{axis}"]) for axis in ("ROW", "COL"))
        matrix = file["0/DATA/0/matrix"]
        if matrix.shape != (len(columns), len(rows)):
            raise ValueError(f"{len(columns)} samples and {len(rows)} genes, but a matrix {matrix.shape}")
        kept_rows = np.arange(len(rows))
        if genes == "landmarks":
            kept_rows = np.flatnonzero([find_landmark(name) is not None for name in rows.index])
        kept_columns = _positions(path, columns.index, samples)
        values = _picked(matrix, kept_columns, kept_rows)
    rows, columns = rows.iloc[kept_rows], columns.iloc[kept_columns]
    refuse_unexpected(path, values, signed, allow_nan)
    adata = assemble(
        path,
        values,
        columns.index.tolist(),
        name_genes(rows.index.tolist(), rows),
        modality=modality,
        units=units,
        log=False,
        cohort=cohort,
        allow_nan=allow_nan,
        signed=signed,
    )
    return describe_samples(adata, columns)


def _metadata(group: h5py.Group) -> pd.DataFrame:
    def column(dataset: h5py.Dataset) -> np.ndarray:
        if dataset.dtype.kind not in "SO":
            return dataset[:]
        return np.array([value.decode("utf-8", "replace").strip() for value in dataset[:]], dtype=object)

    table = pd.DataFrame({name: column(dataset) for name, dataset in group.items()})
    return table.set_index(table.pop("id").astype(str).rename(None))


def _positions(path: Path, ids: pd.Index, samples: Sequence[str]) -> np.ndarray:
    if not ids.is_unique:
        raise ValueError(f"sample {ids[ids.duplicated()][0]} occurs more than once")
    if not len(samples):
        return np.arange(len(ids))
    wanted = pd.Index(samples)
    wrong = wanted[wanted.duplicated() | ~wanted.isin(ids)]
    if len(wrong):
        raise ParameterError(
            f"{path}: samples should name each wanted sample once; {wrong[0]!r} is there twice or is none of "
            f"its {len(ids)}, such as {ids[0]}."
        )
    return ids.get_indexer(wanted)


def _picked(matrix: h5py.Dataset, samples: np.ndarray, genes: np.ndarray) -> np.ndarray:
    """Chosen samples x genes as float32, reading few whole rows at a time."""
    values = np.empty((len(samples), len(genes)), dtype=np.float32)
    step = max(1, BLOCK_BYTES // (matrix.shape[1] * matrix.dtype.itemsize))
    order = np.argsort(samples)  # HDF5 wants positions in ascending order
    for start in range(0, len(order), step):
        block = order[start : start + step]
        places = samples[block]
        whole = places[-1] - places[0] == len(places) - 1
        values[block] = matrix[slice(places[0], places[-1] + 1) if whole else places][:, genes]
    return values
