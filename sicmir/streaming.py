"""Predict the rows of a file chunk by chunk, in memory that does not grow with it; a rerun goes on."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from anndata import AnnData
from tqdm import tqdm

from sicmir import __version__, paths
from sicmir.engine.file_input import open_input
from sicmir.engine.prediction_record import described, summary
from sicmir.errors import ParameterError, ReadError
from sicmir.matrices.normalise import TransformChoice
from sicmir.model import Bundle, load_model
from sicmir.prediction import Block
from sicmir.streams import cluster, result_files
from sicmir.streams.cell_store import CellStore
from sicmir.streams.group_summary import GroupSummary
from sicmir.streams.part_folder import PartFolder, part_folder
from sicmir.streams.row_work import Work
from sicmir.streams.storable import storable_obs

CHUNK = 4000
"""Rows of a chunk: what is read, predicted and written at a time, and what a killed run loses at most."""

ROW_VALUES = {"coverage": "float64", "domain_score": "float64", "in_domain": "bool", "abstained": "bool"}
"""What is told of each row, as in :class:`sicmir.prediction.Block`."""


class Written(NamedTuple):
    """Where :func:`predict_file` wrote; what was decided, in plain sentences; rows of an earlier run."""

    path: Path
    summary: str
    resumed: int


def predict_file(
    path: str | Path,
    out: str | Path,
    model: str | Path | Bundle = "default",
    transform: TransformChoice = "auto",
    by: str | Sequence[str] | None = None,
    summarise: str | Sequence[str] | None = None,
    layer: str = "",
    units: str = "",
    gene_key: str = "",
    min_coverage: float = 0.5,
    abstain: bool = True,
    chunk_size: int = CHUNK,
    dtype: Literal["float32", "float16"] = "float32",
    intervals: bool = True,
    scheduler: str = "",
    progress: bool = True,
    min_cells: int = 10,
    overwrite: bool = False,
    missing: Literal["raise", "drop"] = "raise",
) -> Written:
    """Predict the miRNA of the samples or cells in a file, and write them to a file.

    ``.h5ad`` and ``.zarr`` (by rows, by columns or dense) are read in chunks, so that memory does not grow
    with the number of cells, but for their ``obs``; other formats are read whole. The values are those of
    :func:`sicmir.prediction.predict` on the same table in memory.

    The result appears when it is whole. Until then it grows in ``.NAME.part`` beside it; if the run is
    stopped, even by ``kill -9``, the same call goes on after the last chunk that was written.

    Parameters
    ----------
    path
        Samples or cells × genes: ``.h5ad``, ``.zarr``, a 10x folder or ``.h5``, ``.loom``, ``.gct``,
        ``.gctx``, ``.csv``, ``.tsv``.
    out
        ``.h5ad``, ``.zarr``, ``.parquet`` or ``.csv``, see :func:`sicmir.streams.result_files.write`.
    model, layer, units, gene_key, min_coverage, abstain
        As for :func:`sicmir.prediction.predict`.
    transform
        As for :func:`sicmir.prediction.predict`. ``"cohort"`` looks at all rows at once, and is refused for
        files of more than 50,000.
    by
        Columns of ``obs`` by which cells are pooled first: their counts are summed up, and each pool is then
        predicted. Right for sparse single cells.
    summarise
        Columns of ``obs`` by which predictions are summed up afterwards: each cell is predicted, and only
        mean, sample variance and number of the cells of each group are kept. Cells that are abstained do not
        count, so that a mean is one of the cells that could be predicted, which are no random choice.
    chunk_size
        Rows that are read, predicted and written at a time.
    dtype
        Of the predictions of single rows; ``"float16"`` halves the file, with a relative error below 0.0005.
    intervals
        Whether the layers ``lower`` and ``upper`` are written.
    scheduler
        Address of a Dask scheduler, such as ``"tcp://host:8786"``, whose workers see the same file; needs
        the extra ``dask``.
    progress
        Show a bar, if the output is a terminal.
    min_cells
        Pools (``by``) and groups (``summarise``) of fewer cells are left out; of groups of which fewer cells
        could be predicted, mean and variance are NaN.
    overwrite
        Replace ``out`` and the tables beside it, and an unfinished result of another call.
    missing
        Whether cells without a label in ``by`` or ``summarise`` (NaN or "") are refused, or left out of the
        pools and groups.

    Returns
    -------
    Written

    Raises
    ------
    ReadError, DataError, PanelError, BundleError
        As :func:`sicmir.prediction.predict`; values further down that contradict what the first look at the
        file said raise a DataError that names the rows.
    ParameterError
        As :func:`sicmir.prediction.predict`; if ``out`` is there, or an unfinished result of another call is;
        or if an option does not fit.
    WriteError
        If the result cannot be written.
    ClusterError
        If the cluster does not answer, or loses its workers.

    Examples
    --------
    >>> import tempfile, anndata, numpy, sicmir
    >>> genes = sicmir.panel.landmarks()["symbol"].tolist()
    >>> counts = numpy.random.default_rng(0).poisson(50, (300, len(genes))).astype("float32")
    >>> cells = anndata.AnnData(counts, obs={"donor": ["P1", "P2", "P3"] * 100})
    >>> cells.var_names = genes
    >>> folder = tempfile.mkdtemp()
    >>> cells.write_h5ad(f"{folder}/cells.h5ad")
    >>> done = sicmir.predict_file(f"{folder}/cells.h5ad", f"{folder}/mirnas.h5ad", by="donor")
    >>> anndata.read_h5ad(done.path).obs["n_cells"].tolist()
    [100, 100, 100]
    """
    path, out = Path(path).expanduser(), Path(out).expanduser()
    by, groups = (
        [columns] if isinstance(columns, str) else list(columns or ()) for columns in (by, summarise)
    )
    _check_options(by, groups, chunk_size, dtype, intervals, min_cells, missing)
    if not path.exists():
        raise ReadError(f"{path}: there is no such file.")
    if part_folder(out).absolute() in path.absolute().parents:
        raise ParameterError(f"{path} lies where {out.name} would grow; move it, or choose another name.")
    result_files.check_free(out, overwrite or part_folder(out).exists(), path)
    bundle = model if isinstance(model, Bundle) else load_model(model)
    reading: dict[str, Any] = {"transform": transform, "by": by, "layer": layer, "units": units}
    reading |= {
        "gene_key": gene_key,
        "min_coverage": min_coverage,
        "min_cells": min_cells,
        "missing": missing,
    }
    options = reading | {"summarise": groups, "abstain": abstain, "chunk_size": chunk_size, "dtype": dtype}
    options |= {"intervals": intervals, "version": __version__, "model": bundle.content_sha256}
    identity = {name: str(value) for name, value in options.items()} | {"input": _fingerprint(path)}
    with PartFolder(out, identity, overwrite) as part:
        resumed = part.done
        # A run may have been stopped when the result was in its place and the folder not yet removed.
        overwrite = overwrite or bool(part.summary)
        result_files.check_free(out, overwrite, path)
        if part.summary and out.suffix == ".zarr" and not groups and not CellStore.there(part.path):
            part.remove()
            return Written(out, part.summary, resumed)
        with open_input(path, bundle, **reading) as made:
            made.obs = storable_obs(made.obs, out.suffix)
            step = len(made.obs) if made.decision.transform == "cohort" else chunk_size
            sink: CellStore | GroupSummary
            with paths.writing(out):
                if groups:
                    n_mirnas = len(bundle.mirnas)
                    sink = GroupSummary(part.path, made.obs, groups, n_mirnas, min_cells, part.done, missing)
                else:
                    sink = CellStore(part.path, (len(made.obs), len(bundle.mirnas)), step, dtype, intervals)
            work = Work(made, bundle, min_coverage, abstain)
            blocks = work.blocks
            if scheduler:
                bounds = intervals and not groups
                blocks = partial(cluster.blocks, scheduler, work, model, part.path, bounds)
            result = _fill(part, sink, work, blocks, step, progress)
        told = "\n".join([summary(result), *sink.told()])
        with paths.writing(out):
            part.note(part.done, part.measured, told)
            sink.write(result, out, overwrite)
        part.remove()
    return Written(out, told, resumed)


def _fill(
    part: PartFolder,
    sink: CellStore | GroupSummary,
    work: Work,
    blocks: Callable[[list[tuple[int, int]]], Iterator[Block]],
    step: int,
    progress: bool,
) -> AnnData:
    """Predict the rows that are not there yet; ``obs``, ``var`` and ``uns`` of the result."""
    made, n_obs = work.made, len(work.made.obs)
    with paths.writing(part.path):
        rows = part.rows(n_obs, step, ROW_VALUES)
    if len(part.measured):
        made.measured |= part.measured
    ranges = [(start, min(start + step, n_obs)) for start in range(part.done, n_obs, step)]
    silent = {} if progress and sys.stderr.isatty() else {"disable": True}
    with tqdm(total=n_obs, initial=part.done, unit="cell", desc="Predicting", **silent) as bar:
        for (start, stop), block in zip(ranges, blocks(ranges), strict=True):
            with paths.writing(part.path):
                sink.add(start, stop, block)
                for name, array in rows.items():
                    array[start:stop] = getattr(block, name)
                if sink.due(stop) or stop == n_obs:
                    sink.keep(stop)
                    part.note(stop, made.measured)
            bar.update(stop - start)
    known = {name: np.asarray(array[:]) for name, array in rows.items()}
    return described(
        work.bundle, made.decision, made.obs, made.about(), known, work.min_coverage, work.abstain
    )


def _check_options(
    by: list[str],
    groups: list[str],
    chunk_size: int,
    dtype: str,
    intervals: bool,
    min_cells: int,
    missing: str,
) -> None:
    if by and groups:
        raise ParameterError(
            "Give either by, which pools cells and predicts the pools, or summarise, which predicts cells "
            "and averages the predictions."
        )
    if groups and not (dtype == "float32" and intervals):
        raise ParameterError("dtype and intervals are for predictions of single rows; summarise keeps none.")
    for name, value, fits, expected in (
        ("chunk_size", chunk_size, chunk_size >= 1, "1 or more"),
        ("min_cells", min_cells, min_cells >= 1, "1 or more"),
        ("dtype", dtype, dtype in ("float32", "float16"), "'float32' or 'float16'"),
        ("missing", missing, missing in ("raise", "drop"), "'raise' or 'drop'"),
    ):
        if not fits:
            raise ParameterError(f"{name}={value!r}: expected {expected}.")


def _fingerprint(path: Path) -> str:
    """Number, size and time of change of the files; a change of the input is told by them."""
    files = [file for file in path.rglob("*") if file.is_file()] if path.is_dir() else [path]
    stats = [file.stat() for file in files]
    newest = max((stat.st_mtime_ns for stat in stats), default=0)
    return f"{len(stats)} files, {sum(stat.st_size for stat in stats)} bytes, changed at {newest} ns"
