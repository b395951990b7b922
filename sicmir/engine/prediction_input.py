"""From a table of any units to what a model reads: its units, the transform, the genes, the values."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import sparse

from sicmir.engine.model_input import ModelInput
from sicmir.errors import BundleError, DataError, PanelError, ParameterError
from sicmir.matrices.matrix_check import check_storage
from sicmir.matrices.normalise import TransformChoice, TransformName
from sicmir.matrices.unit_names import SIGNED, UNKNOWN, Units, log_name, parse
from sicmir.matrices.units import ADVICE, MIN_GENES, judged_rows, look, recognise, select
from sicmir.model import Bundle
from sicmir.names.gene_names import landmarks, read_names
from sicmir.names.landmark_columns import LandmarkColumns, check_observations, find_columns

if TYPE_CHECKING:
    from sicmir.data.chunks import ChunkedMatrix
    from sicmir.engine.file_input import FileInput

N_COMPARED = 100
"""Rows whose order is compared with the means of the training data."""

ROWS_READ = 2000
"""Rows that are read at a time to see which genes were measured."""

MIN_ORDER = 0.3
"""Smallest Spearman r of negative values with the means of the training data, median over samples.

Measured: 0.59 to 0.87 in RSEM samples and 0.33 to 0.53 in NCI-60 arrays; -0.33 to 0.28 in z-scores and
Agilent log ratios.
"""


def prepare(
    adata: AnnData,
    bundle: Bundle,
    transform: TransformChoice = "auto",
    by: str | Sequence[str] | None = None,
    layer: str = "",
    units: str = "",
    gene_key: str = "",
    min_coverage: float = 0.5,
    min_cells: int = 10,
    missing: Literal["raise", "drop"] = "raise",
) -> ModelInput:
    """Decide what is in a table and bring its genes to those of a model.

    Parameters and errors are those of :func:`sicmir.prediction.predict`.
    """
    record = look(adata, layer, units)
    if by:
        adata, record = pooled(adata, by, record, units, min_cells, missing)
    whole = record.units == "counts" and not units and not by
    return made_ready(adata, bundle, record, transform, gene_key, min_coverage, whole)


def made_ready(
    adata: AnnData,
    bundle: Bundle,
    record: Units,
    transform: TransformChoice,
    gene_key: str,
    min_coverage: float,
    whole: bool = False,
) -> ModelInput:
    """Bring a table of known units to the genes of a model; parameters and errors as of :func:`prepare`.

    ``whole`` is that of :class:`sicmir.engine.model_input.Decision`.
    """
    name, reason = choose_transform(bundle, record, transform)
    table = select(adata, record)
    check_observations(table.obs_names, table.n_vars, table.X is not None)
    check_storage(table.X, "X")
    columns, order = genes_of_model(bundle, table, record, min_coverage, gene_key)
    made = ModelInput(
        record=record,
        transform=name,
        reason=reason,
        as_stored=taken_as_stored(bundle, record, name),
        whole=whole,
        columns=columns,
        order=order,
        obs=table.obs,
        uns=deepcopy(table.uns["sicmir"]),
        matrix=table.X.tocsr() if sparse.issparse(table.X) else np.asarray(table.X),
    )
    made.uns["coverage"] = columns.describe(_measured(made))[1]
    check_comparable(bundle, made)
    return made


def taken_as_stored(bundle: Bundle, record: Units, transform: TransformName) -> bool:
    """Whether a transform takes values of these units as they are."""
    # z-scores by gene do not mind the scale of a sample, so any logarithm will do for a cohort.
    return {
        "rank": True,
        "cohort": bool(record.logarithm) or record.units in ("", SIGNED),
        "frozen": _like_training(bundle, record),
    }[transform]


def choose_transform(
    bundle: Bundle, record: Units, asked: TransformChoice = "auto"
) -> tuple[TransformName, str]:
    """Transform to use, and why.

    A bundle without a ``rescale`` has one transform only, that of its predictor; otherwise ``"auto"`` is what
    :func:`transform_for_units` says.

    Raises
    ------
    ParameterError
        If the bundle has no such transform, or ``frozen`` needs units that cannot be told.
    DataError
        If the values are z-scores or log ratios, and which transform fits them was not said.
    """
    own = own_transform(bundle)
    there = (own,) if bundle.rescale is None else get_args(TransformName)
    if asked not in ("auto", *there):
        raise ParameterError(
            f"transform={asked!r}: expected 'auto' or {' or '.join(map(repr, there))}, which this model has."
        )
    if asked != "auto":
        name, reason = asked, "It was asked for."
    elif bundle.rescale is None:
        name, reason = own, "The model has no other."
    else:
        name, reason = transform_for_units(bundle, record)
    if name == "frozen" and not record.units:
        trained_on = bundle.card.get("input_units", "")
        takes = f" The model takes {trained_on}; if that is what it holds, say so." if trained_on else ""
        raise ParameterError(f"The transform 'frozen' needs units. {record.text()}{takes} {ADVICE}")
    return name, reason


def transform_for_units(bundle: Bundle, record: Units) -> tuple[TransformName, str]:
    """Say which transform fits the units, and why.

    ``frozen`` where values can be brought to those of the training data: counts, RSEM, CPM, TPM, CP10K, FPKM,
    or logarithms of these. ``rank`` for everything else: arrays and whatever is in unknown units, and counts
    or FPKM of fewer than 5,000 genes, whose sum is no library size.

    Raises
    ------
    DataError
        If the values are z-scores or log ratios.
    """
    if record.units == SIGNED:
        raise DataError(
            f"{record.text()} Give a layer with expression; or, if the genes of a sample can be compared "
            "with each other, as in log2(TPM + 0.001), transform='rank'; or, if they are differences from a "
            "reference or z-scores of each gene over a cohort that is submitted whole, transform='cohort'."
        )
    if _like_training(bundle, record):
        return "frozen", "The values are in the units of the training data."
    if record.units in ("", UNKNOWN) or record.units == log_name(record.logarithm or "log2", UNKNOWN):
        return "rank", "The units are not known, so that only the order of genes within a sample counts."
    if np.isnan(record.per) and record.n_genes < MIN_GENES:
        return (
            "rank",
            f"The sum of {record.n_genes} genes is no library size (at least {MIN_GENES} are needed): only "
            "the order of genes within a sample counts.",
        )
    return "frozen", f"{record.units} can be brought to the library size of the training data."


def own_transform(bundle: Bundle) -> TransformName:
    """Transform that the predictor itself applies; ``frozen`` if it takes training units as they are."""
    return bundle.predictor.facts().get("transform", "frozen")


def in_training_units(bundle: Bundle, landmarks: np.ndarray, transform: TransformName) -> np.ndarray:
    """Bring rows × genes, as ``ModelInput.values`` gives them, to what the predictor takes.

    A row of NaN alone stays one.

    Raises
    ------
    ParameterError
        If the model does not have the transform.
    DataError
        As :meth:`sicmir.learning.rescale.Rescale.to_training`.
    """
    if bundle.rescale is None:
        if transform != own_transform(bundle):
            raise ParameterError(
                f"transform={transform!r}: this model has no other than {own_transform(bundle)!r}."
            )
        return np.asarray(landmarks, dtype=np.float32)
    result = np.full(landmarks.shape, np.nan, dtype=np.float32)
    measured = ~np.isnan(landmarks).all(axis=1)
    if measured.any():
        result[measured] = bundle.rescale.to_training(landmarks[measured], transform)
    return result


def check_comparable(bundle: Bundle, made: ModelInput | FileInput) -> None:
    """Refuse to rank negative values whose order within a sample is not that of expression.

    The domain does not see this: it leaves out of account what a change of scale does to all genes. Evenly
    spaced rows are looked at.

    Raises
    ------
    DataError
        If the rows hardly correlate with the means of the training data.
    """
    decision = made if isinstance(made, ModelInput) else made.decision
    if decision.record.units != SIGNED or decision.transform != "rank":
        return
    frame = pd.DataFrame([made.values(row, row + 1)[0] for row in judged_rows(len(made.obs), N_COMPARED)])
    r = frame.corrwith(pd.Series(bundle.rescale.mean_), axis=1, method="spearman").median()
    if not r >= MIN_ORDER:
        raise DataError(
            f"The order of genes within a sample does not follow their usual expression (median Spearman r "
            f"{r:.2f}; at least {MIN_ORDER} expected): these are z-scores or log ratios, which cannot be "
            "ranked. Give expression, or transform='cohort' with the whole cohort."
        )


def _like_training(bundle: Bundle, record: Units) -> bool:
    trained_on = parse(str(bundle.card.get("input_units", "")))
    return trained_on is not None and trained_on[0] == record.units


def pooled(
    data: AnnData | ChunkedMatrix,
    by: str | Sequence[str],
    record: Units,
    units: str,
    min_cells: int,
    missing: Literal["raise", "drop"] = "raise",
) -> tuple[AnnData, Units]:
    """Pools of cells, from memory or from a file, and their units, which are linear.

    Raises
    ------
    ParameterError
        If the units of the cells are not known.
    DataError
        As :func:`sicmir.pseudobulk.pseudobulk`.
    """
    from sicmir.pseudobulk import pseudobulk

    if not record.units:
        raise ParameterError(f"Cells can only be pooled in known units. {record.text()} {ADVICE}")
    counts = record.units == "counts"
    mode: Literal["sum", "mean"] = "sum" if counts else "mean"
    how = "sums" if counts else f"means, in linear values, of {record.units}"
    pools = pseudobulk(data, by, record.source, min_cells, mode, missing, units)
    found = recognise(pools, "X", str(pools.uns["sicmir"]["units"]))
    told = f"Pools are {how} of cells, from {record.source}."
    return pools, replace(found, reasons=(told, *record.reasons))


def genes_of_model(
    bundle: Bundle, table: AnnData, record: Units, min_coverage: float, gene_key: str
) -> tuple[LandmarkColumns, np.ndarray]:
    """Columns of a table that hold the landmarks, and places of the genes of a model among these.

    Raises
    ------
    PanelError
        As :func:`sicmir.panel.align`; also if a landmark is found in several columns that are no counts.
    BundleError
        If a gene of the model is no landmark.
    """
    counts, symbols = record.units == "counts", landmarks()["symbol"]
    columns = find_columns(read_names(table, gene_key), min_coverage, "sum" if counts else "mean")
    if columns.repeated and not counts:
        raise PanelError(
            f"{len(columns.repeated)} landmarks are found in more than one column: "
            f"{', '.join(symbols[list(columns.repeated)[:5]])}. "
            f"Only counts can be summed up, and these are {record.units or 'values of unknown units'}. Drop "
            "the wrong columns, choose Ensembl or Entrez ids by gene_key if var holds them, or give counts."
        )
    places = pd.Index(symbols).get_indexer(bundle.genes)
    if (places < 0).any():
        raise BundleError(
            f"The model has genes that are no landmarks, such as {bundle.genes[int(np.argmin(places))]}; it "
            "cannot be used here."
        )
    return columns, places


def _measured(made: ModelInput) -> np.ndarray:
    """Of each landmark, whether an observation has a value."""
    numbers = made.matrix.data if sparse.issparse(made.matrix) else made.matrix
    if not np.isnan(np.min(numbers, initial=0)):
        return np.isin(np.arange(len(landmarks())), list(made.columns.columns))
    n_obs = len(made.obs)
    ranges = [(start, min(start + ROWS_READ, n_obs)) for start in range(0, n_obs, ROWS_READ)]
    return np.any([(~np.isnan(made.landmarks(*rows))).any(axis=0) for rows in ranges], axis=0)
