"""The rows of a file predicted by the workers of a Dask cluster, handed back in order."""

from __future__ import annotations

import itertools
import threading
import uuid
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from sicmir.engine.file_input import FileInput, Recipe
from sicmir.errors import BundleError, ClusterError, ParameterError
from sicmir.model import Bundle, load_model
from sicmir.prediction import Block
from sicmir.streams.row_work import Work

PATIENCE = 60
"""Seconds to wait for the scheduler and its first worker."""

AHEAD = 2
"""Chunks that each thread of the cluster is given ahead of the one that is written next."""

_READING = threading.Lock()
_open: dict[str, FileInput] = {}


@dataclass(frozen=True)
class Task:
    """All that a worker needs to predict rows: where the file and the model are, and how it is done.

    Attributes
    ----------
    run
        Name of the run; a file is opened once for each.
    recipe
        How the file is read.
    model, content_sha256
        Folder of the bundle as the workers see it, or ``"default"``, and the hash of what it holds.
    min_coverage, abstain
        As for :func:`sicmir.prediction.predict_block`.
    bounds
        Whether bounds are wanted; otherwise they are not sent.
    """

    run: str
    recipe: Recipe
    model: str
    content_sha256: str
    min_coverage: float
    abstain: bool
    bounds: bool

    def __call__(self, start: int, stop: int) -> tuple[Block, np.ndarray]:
        """Predict rows ``start`` to ``stop``; also, which genes were measured in the rows read so far.

        Raises
        ------
        BundleError
            If the model of the worker is another one.
        DataError, ReadError
            As :meth:`sicmir.engine.file_input.FileInput.values`.
        """
        bundle = _bundle(self.model, self.content_sha256)
        with _READING:
            made = _opened(self.run, self.recipe)
            values, measured = made.values(start, stop), made.measured.copy()
        block = Work(made, bundle, self.min_coverage, self.abstain).predict(values)
        if not self.bounds:
            block = replace(block, lower=block.lower[:, :0], upper=block.upper[:, :0])
        return block, measured


def blocks(
    address: str,
    work: Work,
    model: str | Path | Bundle,
    folder: Path,
    bounds: bool,
    ranges: Sequence[tuple[int, int]],
) -> Iterator[Block]:
    """Predict ranges of rows as ``Work.blocks`` does, by workers that see the same files.

    Chunks whose worker is lost are predicted again by another one. At most :data:`AHEAD` chunks a thread are
    under way, so that memory does not grow with the file here either.

    Parameters
    ----------
    address
        Of the scheduler.
    work
        What a single process would do.
    model
        As it was given to :func:`sicmir.streaming.predict_file`.
    folder
        Where a bundle that has no folder is put for the workers.
    bounds
        Whether bounds are wanted.
    ranges
        First and last row (left out) of each chunk.

    Raises
    ------
    ParameterError
        If Dask is not installed, or the input is one that is read whole.
    ClusterError
        If no scheduler or worker answers, or chunks kill one worker after the other.
    BundleError, DataError, ReadError
        As :class:`Task`.
    """
    task = _task(work, model, folder, bounds)
    try:
        from distributed import Client, KilledWorker
    except ImportError:
        raise ParameterError(
            "A scheduler needs Dask, which is not installed: pip install 'sicmir[dask]'."
        ) from None
    try:
        with Client(address, timeout=PATIENCE, set_as_default=False) as client:
            client.wait_for_workers(1, timeout=PATIENCE)
            waiting: deque[Any] = deque()
            rest = iter(ranges)
            ahead = AHEAD * sum(client.nthreads().values())
            for ends in itertools.islice(rest, ahead):
                waiting.append(client.submit(task, *ends, pure=False))
            while waiting:
                block, measured = waiting.popleft().result()
                work.made.measured |= measured
                for ends in itertools.islice(rest, 1):
                    waiting.append(client.submit(task, *ends, pure=False))
                yield block
    except KilledWorker as error:
        raise ClusterError(
            f"{address}: workers died one after the other over the same rows, most likely for want of memory "
            f"({error}). Give them more, or choose a smaller chunk_size."
        ) from error
    except (OSError, TimeoutError) as error:
        raise ClusterError(
            f"{address}: no Dask scheduler with a worker answers ({type(error).__name__}: {error}). What is "
            "done is kept; the same call goes on."
        ) from error


def _task(work: Work, model: str | Path | Bundle, folder: Path, bounds: bool) -> Task:
    if not isinstance(work.made, FileInput):
        raise ParameterError(
            "A cluster predicts cells of .h5ad and .zarr, by the transforms 'frozen' and 'rank'. Pools, "
            "cohorts and other formats are done in one process: leave out the scheduler."
        )
    if isinstance(model, Bundle):
        model = model.save(folder / "model", overwrite=True)
    recipe = work.made.decision
    # Names are for messages about the table as a whole, which has been accepted.
    columns = replace(recipe.columns, sources={}, superseded=(), unmatched=())
    return Task(
        run=uuid.uuid4().hex,
        recipe=replace(recipe, columns=columns),
        model=model if model == "default" else str(Path(model).expanduser().resolve()),
        content_sha256=work.bundle.content_sha256,
        min_coverage=work.min_coverage,
        abstain=work.abstain,
        bounds=bounds,
    )


@lru_cache(maxsize=1)
def _bundle(model: str, content_sha256: str) -> Bundle:
    bundle = load_model(model)
    if bundle.content_sha256 != content_sha256:
        raise BundleError(
            f"A worker finds another model in {model!r}: its content is {bundle.content_sha256[:12]}, "
            f"expected {content_sha256[:12]}. Install the same version of sicmir everywhere, or give a "
            "folder that all machines share."
        )
    return bundle


def _opened(run: str, recipe: Recipe) -> FileInput:
    if run not in _open:
        for made in _open.values():
            made.close()
        _open.clear()
        _open[run] = FileInput(recipe)
    return _open[run]
