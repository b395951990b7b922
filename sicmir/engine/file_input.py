"""A file that is ready for a model: what it holds is decided once, and its rows are read as needed."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import pandas as pd
from anndata import AnnData

from sicmir import data
from sicmir.data.chunks import ChunkedMatrix, preview
from sicmir.data.readers import reader_for
from sicmir.engine.model_input import Decision, ModelInput
from sicmir.engine.prediction_input import (
    check_comparable,
    choose_transform,
    genes_of_model,
    made_ready,
    pooled,
    prepare,
    taken_as_stored,
)
from sicmir.errors import DataError, ParameterError, ReadError, SicmirError
from sicmir.matrices.normalise import TransformChoice
from sicmir.matrices.unit_names import known
from sicmir.matrices.units import look
from sicmir.model import Bundle
from sicmir.names.gene_names import landmarks
from sicmir.names.landmark_columns import check_observations

STREAMED = ("h5ad", "zarr")
"""Readers whose files are read in chunks; all others are read whole."""

WHOLE = ("tenx_mtx", "tenx_h5", "loom", "gct", "gctx", "table")
"""Readers of the others."""

LARGEST_COHORT = 50_000
"""Most rows of a file that are taken together as a cohort; they have to be in memory at once."""

WINDOW_BYTES = 2**28
"""Memory in which a column-wise matrix is turned into rows."""


@dataclasses.dataclass(frozen=True, eq=False)
class Recipe(Decision):
    """How the rows of a file are read and made ready; it can be sent to another machine that sees the file.

    Attributes
    ----------
    path
        ``.h5ad`` or ``.zarr``.
    """

    path: Path


class WholeInput:
    """A file that is in memory, made ready for a model. Use it as a context manager.

    Attributes
    ----------
    decision
        How it was made ready.
    obs
        Observations.
    measured
        Of each gene of the model, whether a row that was read so far has a value.
    """

    def __init__(self, made: ModelInput) -> None:
        self.decision: Decision = made
        self.obs: pd.DataFrame = made.obs
        self.measured = np.zeros(len(made.order), bool)
        self._made = made

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def values(self, start: int, stop: int) -> np.ndarray:
        """Rows ``start`` to ``stop``, as :meth:`sicmir.engine.model_input.ModelInput.values`."""
        return self._made.values(start, stop)

    def about(self) -> dict[str, Any]:
        """What is known of the file, as ``uns["sicmir"]`` tells it."""
        return self._made.uns


class FileInput:
    """A file on disk, made ready for a model; its rows are read as they are asked for.

    Memory does not grow with the file, but for ``obs``. Use it as a context manager, or call :meth:`close`.

    Parameters
    ----------
    recipe
        From :func:`open_input`.

    Attributes
    ----------
    decision, obs, measured
        As those of :class:`WholeInput`.
    """

    def __init__(self, recipe: Recipe) -> None:
        self.decision = recipe
        self._matrix = ChunkedMatrix(recipe.path, recipe.record.source, WINDOW_BYTES)
        self.obs: pd.DataFrame = self._matrix.obs
        self.measured = np.zeros(len(recipe.order), bool)
        wanted = sorted(column for found in recipe.columns.columns.values() for column in found)
        self._wanted = np.array(wanted)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._matrix.close()

    def values(self, start: int, stop: int) -> np.ndarray:
        """Rows ``start`` to ``stop`` × genes, float32, in what :func:`sicmir.prediction.predict_block` takes.

        Raises
        ------
        DataError
            If values contradict what was decided of the file: negative or infinite, no whole numbers where
            all looked like counts, or too large for a logarithm. The message names the rows.
        ReadError
            If the file cannot be read there.
        """
        recipe = self.decision
        where = f"{recipe.path}, rows {start} to {stop - 1}"
        try:
            linear = recipe.linear if recipe.needs_totals else None
            chunk = self._matrix.chunk(start, stop, self._wanted, linear)
            found = recipe.columns.values(
                lambda columns: chunk.values[:, np.searchsorted(self._wanted, columns)], stop - start
            )
            values = recipe.pick(found)
            self.measured |= ~np.isnan(values).all(axis=0)
            return recipe.bring(values, chunk.totals)
        except DataError as error:
            raise DataError(f"{where}: {error}") from error
        except SicmirError:
            raise
        except (OSError, KeyError, ValueError, RuntimeError) as error:  # what h5py and zarr raise on damage
            raise ReadError(f"{where}: cannot be read ({type(error).__name__}: {error}).") from error

    def about(self) -> dict[str, Any]:
        """What is known of the file, as ``uns["sicmir"]`` tells it.

        Raises
        ------
        PanelError
            If too few genes were measured.
        """
        record, seen = self.decision.record, np.zeros(len(landmarks()), bool)
        seen[self.decision.order] = self.measured
        _, coverage = self.decision.columns.describe(seen)
        return {
            **_origin(self.decision.path, known(self._matrix.uns)),
            "units": record.units,
            "units_record": record.as_dict(),
            "coverage": coverage,
        }


def open_input(
    path: Path,
    bundle: Bundle,
    transform: TransformChoice = "auto",
    by: Sequence[str] = (),
    layer: str = "",
    units: str = "",
    gene_key: str = "",
    min_coverage: float = 0.5,
    min_cells: int = 10,
    missing: Literal["raise", "drop"] = "raise",
) -> FileInput | WholeInput:
    """Open a file and decide what is in it, as :func:`sicmir.engine.prediction_input.prepare` does in memory.

    Cells of ``.h5ad`` and ``.zarr`` are read in chunks, for pools of them as well (``by``). Other formats,
    files of anndata before 0.7, and cohorts are read whole.

    Parameters
    ----------
    path
        What :func:`sicmir.data.load` reads.
    bundle, transform, by, layer, units, gene_key, min_coverage, min_cells, missing
        As for :func:`sicmir.prediction.predict`.

    Raises
    ------
    ReadError
        If the file is not there or not readable.
    DataError, PanelError, ParameterError, BundleError
        As :func:`sicmir.prediction.predict`.
    """
    if not path.exists():
        raise ReadError(f"{path}: there is no such file.")
    reader = _reader(path)

    def whole(table: AnnData, key: str = gene_key) -> WholeInput:
        made = prepare(table, bundle, transform, by, layer, units, key, min_coverage, min_cells, missing)
        return WholeInput(made)

    if reader == "loom" and gene_key:  # an attribute of the file, by which its reader names the genes
        return whole(data.load(path, reader, gene_key=gene_key), "")
    if reader in WHOLE:
        return whole(_whole(path))
    try:
        part = preview(path, layer=layer or ("X" if units else ""))
    except ReadError:  # also of files before anndata 0.7; if it is damaged, this reader says so too
        return whole(_whole(path))
    record = look(part, layer, units)
    if by:
        with ChunkedMatrix(path, record.source, WINDOW_BYTES) as matrix:
            pools, record = pooled(matrix, by, record, units, min_cells, missing)
        pools.uns["sicmir"] = _origin(path, pools.uns["sicmir"])
        return WholeInput(made_ready(pools, bundle, record, transform, gene_key, min_coverage))
    name, reason = choose_transform(bundle, record, transform)
    with ChunkedMatrix(path, record.source) as matrix:
        obs_names, var = matrix.obs.index, matrix.var
    if name == "cohort":
        if len(obs_names) > LARGEST_COHORT:
            raise ParameterError(
                f"{path}: the transform 'cohort' looks at all rows at once, and {len(obs_names)} are more "
                f"than the {LARGEST_COHORT} that are read together. Pool the cells by donor and cell type, "
                "choose 'frozen' or 'rank', or split the file into cohorts."
            )
        return whole(_whole(path))
    check_observations(obs_names, len(var))
    columns, order = genes_of_model(bundle, AnnData(var=var), record, min_coverage, gene_key)
    recipe = Recipe(
        record=record,
        transform=name,
        reason=reason,
        as_stored=taken_as_stored(bundle, record, name),
        whole=record.units == "counts" and not units,
        columns=columns,
        order=order,
        path=path.resolve(),
    )
    made = FileInput(recipe)
    check_comparable(bundle, made)
    return made


def _reader(path: Path) -> str:
    """Name the reader of a file of expression.

    Raises
    ------
    ParameterError
        If its ending is that of no such file.
    """
    try:
        reader = reader_for(path)
    except ParameterError:
        reader = ""
    if reader not in (*STREAMED, *WHOLE):
        raise ParameterError(
            f"{path}: cannot tell the format by the ending; expected .h5ad, .zarr, .zarr.zip, a 10x folder "
            "or .h5, .loom, .gctx, or .gct, .csv, .tsv, .txt, also with .gz. Unpack what is packed otherwise."
        )
    return reader


def _whole(path: Path) -> AnnData:
    """Read a file whole; what its values are is judged later, so that nothing is refused here."""
    reader = reader_for(path)
    open_minded = {"signed": True, "allow_nan": True}
    arguments: dict[str, dict[str, Any]] = {
        "table": {"modality": "mrna", "units": "", **open_minded},
        "gct": open_minded,
        "gctx": open_minded,
    }
    return data.load(path, reader, **arguments.get(reader, {}))


def _origin(path: Path, known: dict[str, Any]) -> dict[str, Any]:
    """What a file says of itself, with its name and checksum, as :func:`sicmir.data.load` records them."""
    return {"modality": "mrna", "synthetic": False, **known, **data.origin(path)}
