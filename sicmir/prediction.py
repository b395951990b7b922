"""Predict miRNA from mRNA: one call for samples, cells and pools of cells, and the step that all share."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from anndata import AnnData
from tqdm import tqdm

from sicmir import conformal
from sicmir.errors import DataError, ParameterError
from sicmir.model import Bundle, load_model
from sicmir.normalise import TransformName
from sicmir.prediction_input import ModelInput, in_training_units, prepare
from sicmir.prediction_record import LOG2_RPM, described, has_intervals, summary

__all__ = ["ABSTAIN", "BLOCK", "LOG2_RPM", "Block", "predict", "predict_block", "predict_prepared", "summary"]

ABSTAIN = ("far", "unknown")
"""Levels of :class:`sicmir.domain.Domain` at which nothing is predicted; ``outside`` is only flagged."""

BLOCK = 2000
"""Rows that are predicted at a time."""


@dataclasses.dataclass(frozen=True, eq=False)
class Block:
    """Predictions of some rows, in the units of the bundle.

    Attributes
    ----------
    predicted, lower, upper
        Rows × miRNAs, float32. NaN throughout where abstained; the bounds also where a miRNA has no interval.
    coverage
        Share of the genes of the model that were measured and that the transform could use, 0 to 1.
    domain_score
        As :meth:`sicmir.domain.Domain.score` gives it; NaN where it was not judged.
    in_domain
        Whether the row is like the training data; of a bundle without a domain, whether it has enough genes.
    abstained
        Whether nothing is predicted.
    """

    predicted: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    coverage: np.ndarray
    domain_score: np.ndarray
    in_domain: np.ndarray
    abstained: np.ndarray


def predict_block(
    bundle: Bundle,
    landmarks: np.ndarray,
    transform: TransformName,
    min_coverage: float = 0.5,
    abstain: bool = True,
) -> Block:
    """Predict rows whose genes are in the order of the model.

    With ``frozen`` and ``rank``, what is predicted of a row depends on that row alone.

    An interval is the prediction ± half width of the miRNA × spread of the row, cut at 0, see
    :func:`sicmir.conformal.intervals`. A prediction of log2(RPM+1) below 0 then becomes 0: no measured value
    is lower, so this can only bring it nearer to what is measured.

    Parameters
    ----------
    bundle
        Model.
    landmarks
        Rows × genes, NaN = not measured; for ``frozen`` log2(x+1) in the units of the training data, for
        ``rank`` any units, for ``cohort`` any logarithm.
    transform
        How they are brought to the training data, see :class:`sicmir.rescale.Rescale`. A bundle without a
        ``rescale`` has the transform of its predictor only.
    min_coverage
        Rows that measure a smaller share of the genes, or none, are abstained.
    abstain
        Abstain as well where the domain says ``far`` or cannot judge; otherwise these are only flagged.

    Raises
    ------
    BundleError
        If the number of genes is not that of the model.
    DataError
        If a value is infinite, or no logarithm where one is expected, or a cohort has fewer than 3 rows.
    ParameterError
        If there is no such transform, or the bundle does not have it, or ``min_coverage`` is out of range.
    """
    bundle.check_landmarks(landmarks)
    if not 0 <= min_coverage <= 1:
        raise ParameterError(f"min_coverage must lie between 0 and 1, not {min_coverage!r}.")
    inputs = in_training_units(bundle, landmarks, transform)
    coverage = (~np.isnan(inputs)).mean(axis=1)
    enough = (coverage > 0) & (coverage >= min_coverage)
    score, in_domain, shown = np.full(len(inputs), np.nan), enough.copy(), enough.copy()
    # A predictor with a transform of its own is not given training units, which the domain needs.
    if bundle.domain is not None and (bundle.rescale is not None or transform == "frozen") and enough.any():
        score[enough] = bundle.domain.score(inputs[enough])
        level = bundle.domain.level(inputs[enough])
        in_domain[enough] = level == "inside"
        shown[enough] = ~np.isin(level, ABSTAIN) if abstain else True
    predicted, lower, upper = np.full((3, len(inputs), len(bundle.mirnas)), np.nan, dtype=np.float32)
    if shown.any():
        predicted[shown], lower[shown], upper[shown] = _with_bounds(bundle, inputs[shown])
    return Block(predicted, lower, upper, coverage, score, in_domain, ~shown)


def predict(
    adata: AnnData,
    model: str | Path | Bundle = "default",
    transform: Literal["auto", "frozen", "rank", "cohort"] = "auto",
    by: str | Sequence[str] | None = None,
    layer: str = "",
    units: str = "",
    gene_key: str = "",
    min_coverage: float = 0.5,
    abstain: bool = True,
    progress: bool = True,
    min_cells: int = 10,
) -> AnnData:
    """Predict the miRNA of samples, of cells, or of pools of cells.

    Units are recognised (:func:`sicmir.units.recognise`), genes found by any of their names
    (:func:`sicmir.panel.align`), values brought to those of the training data, and what cannot be predicted
    is left NaN. Several columns of one landmark are summed up if they are counts, and refused otherwise.

    Parameters
    ----------
    adata
        Samples or cells × genes, with all genes that were measured: library sizes are their sums. It is not
        changed.
    model
        Folder of a bundle, or the bundle itself; ``"default"`` comes with the package.
    transform
        As for :func:`predict_block`; for ``"auto"`` see :func:`sicmir.prediction_input.transform_for_units`.
    by
        Columns of ``obs`` by which cells are pooled first, the pools then predicted. Counts are summed up;
        where there are none, linear values are averaged. Every cell needs its labels. For other options of
        :func:`sicmir.pseudobulk.pseudobulk`, give its result without ``by``.
    layer, units
        As for :func:`sicmir.units.recognise`, where it does not find the right ones.
    gene_key
        Column of ``var`` that holds the names of the genes; "" takes ``var_names``.
    min_coverage
        Smallest share of the 977 landmarks, 0 to 1: a table with less is refused, a row with less abstained.
    abstain
        Whether rows that are far from the training data are left NaN, or predicted all the same and flagged.
    progress
        Show a bar.
    min_cells
        Pools of fewer cells are left out; ``uns["sicmir"]["pseudobulk"]["groups"]`` lists them.

    Returns
    -------
    AnnData
        Observations (pools) × miRNAs.

        - ``X``: predicted log2(RPM+1), or what ``uns`` says; layers ``lower`` and ``upper``: its interval.
        - ``var``: the trust table of the model.
        - ``obs``: that of the input, with ``coverage``, ``domain_score``, ``in_domain`` (left out if the
          model has no domain) and ``abstained``, see :class:`Block`; columns of these names are replaced.
        - ``uns["sicmir"]``: what the input says of its origin; ``units`` and ``level`` of the miRNA;
          ``units_record``, the units of the input, where they were found and why; ``model``, with the hash of
          its weights; ``transform`` and ``transform_reason``; ``coverage``, see
          :func:`sicmir.panel.coverage`; ``interval_level``; ``notes``; ``version``.

    Raises
    ------
    DataError
        If ``adata`` is no AnnData in memory, or its values or labels cannot be used.
    PanelError
        If there are too few landmarks, genes of another species, or several columns of one landmark.
    ParameterError
        If units are needed and cannot be told, or an option does not fit.
    BundleError
        If the bundle is not there, damaged, or one of other genes.
    """
    if not isinstance(adata, AnnData) or adata.isbacked:
        found = "one backed by a file" if isinstance(adata, AnnData) else type(adata).__name__
        raise DataError(
            f"Expected an AnnData in memory (observations × genes), found {found}. Give "
            "anndata.AnnData(frame) for a DataFrame, adata.to_memory() for a backed table."
        )
    bundle = model if isinstance(model, Bundle) else load_model(model)
    made = prepare(adata, bundle, transform, by, layer, units, gene_key, min_coverage, min_cells)
    return predict_prepared(bundle, made, min_coverage, abstain, progress)


def predict_prepared(
    bundle: Bundle, made: ModelInput, min_coverage: float = 0.5, abstain: bool = True, progress: bool = True
) -> AnnData:
    """Predict what :func:`sicmir.prediction_input.prepare` made ready; see :func:`predict`."""
    n = made.aligned.n_obs
    # A cohort is what is submitted together.
    step = n if made.transform == "cohort" else BLOCK
    parts: dict[str, np.ndarray] = {}
    silent = {} if progress and n > step else {"disable": True}
    for start in tqdm(range(0, n, step), desc="Predicting", unit="block", **silent):
        stop = min(start + step, n)
        block = predict_block(bundle, made.values(start, stop), made.transform, min_coverage, abstain)
        for name, part in vars(block).items():
            parts.setdefault(name, np.empty((n, *part.shape[1:]), part.dtype))[start:stop] = part
    result = described(bundle, made, made.obs, made.uns, parts, min_coverage, abstain)
    result.X = parts["predicted"]
    result.layers.update(lower=parts["lower"], upper=parts["upper"])
    return result


def _with_bounds(bundle: Bundle, inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Predicted, lower and upper bound; rows × miRNAs."""
    predicted, spread = bundle.predict_with_spread(inputs)
    lower = upper = np.full_like(predicted, np.nan)
    if has_intervals(bundle):
        frame = pd.DataFrame(predicted, columns=bundle.mirnas)
        lower, upper = map(np.asarray, conformal.intervals(frame, bundle.trust["half_width"], spread))
    return np.maximum(predicted, 0) if bundle.units == LOG2_RPM else predicted, lower, upper
