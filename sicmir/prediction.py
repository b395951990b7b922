"""Predict miRNA from mRNA: one call for samples, cells and pools of cells, and the step that all share."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, partial
from pathlib import Path
from typing import Literal

import numpy as np
from anndata import AnnData
from tqdm import tqdm

from sicmir.engine.inference import ABSTAIN, Block, predict_rows
from sicmir.engine.model_input import ModelInput
from sicmir.engine.prediction_input import prepare
from sicmir.engine.prediction_record import LOG2_RPM, described, summary
from sicmir.errors import DataError, ParameterError
from sicmir.matrices.normalise import TransformChoice, TransformName
from sicmir.model import Bundle, load_model

__all__ = ["ABSTAIN", "BLOCK", "LOG2_RPM", "Block", "predict", "predict_block", "predict_prepared", "summary"]

BLOCK = 2000
"""Rows that are predicted at a time."""


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
    :func:`sicmir.learning.conformal.intervals`. A prediction of log2(RPM+1) below 0 then becomes 0: no
    measured value is lower, so this can only bring it nearer to what is measured.

    Parameters
    ----------
    bundle
        Model.
    landmarks
        Rows × genes, NaN = not measured; for ``frozen`` log2(x+1) in the units of the training data, for
        ``rank`` any units, for ``cohort`` any logarithm.
    transform
        How they are brought to the training data, see :class:`sicmir.learning.rescale.Rescale`. A bundle
        without a ``rescale`` has the transform of its predictor only.
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
    out = Block.empty(len(landmarks), len(bundle.mirnas))
    predict_rows(bundle, lambda start, stop: landmarks[start:stop], transform, min_coverage, abstain, out)
    return out


def predict(
    adata: AnnData,
    model: str | Path | Bundle = "default",
    transform: TransformChoice = "auto",
    by: str | Sequence[str] | None = None,
    layer: str = "",
    units: str = "",
    gene_key: str = "",
    min_coverage: float = 0.5,
    abstain: bool = True,
    progress: bool = True,
    min_cells: int = 10,
    missing: Literal["raise", "drop"] = "raise",
) -> AnnData:
    """Predict the miRNA of samples, of cells, or of pools of cells.

    Units are recognised (:func:`sicmir.matrices.units.recognise`), genes found by any of their names
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
        How values are brought to the training data: ``frozen`` by library size, ``rank`` by the order of
        genes within a row, ``cohort`` by z-scores over the rows submitted together. ``"auto"`` takes
        ``frozen`` where the units can be brought to those of the training data, ``rank`` elsewhere.
    by
        Columns of ``obs`` by which cells are pooled first, the pools then predicted. Counts are summed up;
        where there are none, linear values are averaged. For other options of
        :func:`sicmir.pseudobulk.pseudobulk`, give its result without ``by``.
    layer, units
        As for :func:`sicmir.matrices.units.recognise`, where it does not find the right ones.
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
    missing
        Whether cells without a label in ``by`` (NaN or "") are refused or left out of the pools.

    Returns
    -------
    AnnData
        Observations (pools) × miRNAs.

        - ``X``: predicted log2(RPM+1), or what ``uns`` says; layers ``lower`` and ``upper``: its interval.
        - ``var``: the trust table of the model.
        - ``obs``: that of the input, with ``coverage``, ``domain_score``, ``in_domain`` (left out if the
          model has no domain) and ``abstained``, true where nothing is predicted; columns of these names are
          replaced.
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

    Examples
    --------
    >>> import anndata, numpy, sicmir
    >>> genes = sicmir.panel.landmarks()["symbol"]
    >>> counts = numpy.random.default_rng(0).poisson(50, (3, len(genes)))
    >>> noise = anndata.AnnData(counts.astype("float32"), var={"symbol": genes.to_numpy()})
    >>> predicted = sicmir.predict(noise, gene_key="symbol")
    >>> predicted.shape
    (3, 471)
    >>> predicted.obs["abstained"].tolist()  # noise is like no tumour: NaN and no number
    [True, True, True]
    >>> predicted.uns["sicmir"]["units_record"]["units"]
    'counts'
    """
    if not isinstance(adata, AnnData) or adata.isbacked:
        found = "one backed by a file" if isinstance(adata, AnnData) else type(adata).__name__
        raise DataError(
            f"Expected an AnnData in memory (observations × genes), found {found}. Give "
            "anndata.AnnData(frame) for a DataFrame, adata.to_memory() for a backed table."
        )
    if not isinstance(model, Bundle):
        model = _shipped() if model == "default" else load_model(model)
    made = prepare(adata, model, transform, by, layer, units, gene_key, min_coverage, min_cells, missing)
    return predict_prepared(model, made, min_coverage, abstain, progress)


def predict_prepared(
    bundle: Bundle, made: ModelInput, min_coverage: float = 0.5, abstain: bool = True, progress: bool = True
) -> AnnData:
    """Predict what :func:`sicmir.engine.prediction_input.prepare` made ready; see :func:`predict`."""
    n = len(made.obs)
    # A cohort is what is submitted together.
    step = n if made.transform == "cohort" else BLOCK
    out = Block.empty(n, len(bundle.mirnas))
    silent = {} if progress and n > step else {"disable": True}
    for start in tqdm(range(0, n, step), desc="Predicting", unit="block", **silent):
        rows = slice(start, min(start + step, n))
        predict_rows(bundle, partial(_read, made, start), made.transform, min_coverage, abstain, out[rows])
    result = described(bundle, made, made.obs, made.uns, vars(out), min_coverage, abstain)
    result.X = out.predicted
    result.layers.update(lower=out.lower, upper=out.upper)
    return result


@cache
def _shipped() -> Bundle:
    """The bundle of the package, read once: checking and unfolding it takes longer than a thousand cells."""
    return load_model()


def _read(made: ModelInput, first: int, start: int, stop: int) -> np.ndarray:
    """Rows ``start`` to ``stop``, counted from the row ``first``."""
    return made.values(first + start, first + stop)
