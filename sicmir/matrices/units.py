"""Recognise the units of a matrix, and bring it to log2(x+1) at the library size of the training data.

Nothing is decided silently: :class:`Units` holds the reasons in plain sentences, and what cannot be decided
from the values has to be said by the user.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from anndata import AnnData
from scipy import sparse

from sicmir.errors import DataError, ParameterError
from sicmir.matrices.dense import dense
from sicmir.matrices.matrix_check import check_storage
from sicmir.matrices.normalise import MOST_LOG2
from sicmir.matrices.unit_names import (
    LINEAR,
    MAX_LOG,
    MIN_GENES,
    SIGNED,
    TRAINING_TOTAL,
    Units,
    check_sums,
    find_source,
    known,
    parse,
)
from sicmir.matrices.unit_rules import judge

__all__ = ["TRAINING_TOTAL", "Units", "find_source", "recognise", "row_totals", "select", "to_log2"]

COUNT_LAYERS = ("counts", "raw_counts")
"""Layers that are looked at first, by convention raw counts; ``spliced`` is looked at last."""

N_JUDGED = 500
"""Rows that are looked at."""

ADVICE = (
    "Say them: counts, CPM, TPM, CP10K, FPKM or RSEM, as units='TPM', or a logarithm of one, as "
    "units='log1p(CP10K)', or units='log2(x + 1)' if no more is known; or choose a layer of counts, as "
    "layer='counts'. Array intensities have no such units: take transform='rank', as only their order counts."
)
"""What to do where units cannot be told."""


def recognise(adata: AnnData, layer: str = "", units: str = "") -> Units:
    """Find the matrix to work with and its units.

    Without ``layer``, the layers ``counts`` and ``raw_counts``, then ``raw``, ``X`` and the layer ``spliced``
    are looked at, and the best is taken: counts before linear values before logarithms. ``X`` and layers come
    last where ``raw`` has twice their genes, for the totals of a row are those of all genes or they mean
    nothing. Up to 500 evenly spaced rows are judged, on all genes:

    - negative values: z-scores or log ratios;
    - whole numbers: counts, unless below 25 with sums above 10,000, as logarithms that were rounded;
    - even totals: CPM or TPM (a million; the two cannot be told apart), CP10K (10,000) or another total; but
      not where values are below 25 and none stands out, as in logarithms after quantile normalisation;
    - values from 25 up: linear, of unknown units;
    - else a logarithm: that of log1p, log2(x + 1) and log10(x + 1) whose inverse makes the totals even, or
      the one that scanpy recorded in ``uns["log1p"]``.

    Units that are given, or that a reader recorded in ``uns["sicmir"]["units"]`` for ``X``, come before these
    rules.

    Parameters
    ----------
    adata
        Observations x genes, before any choice of genes. Not changed.
    layer
        ``"X"``, ``"raw"``, the name of a layer, or ``"layers['<name>']"``.
    units
        As in :class:`Units`, for ``layer``, or ``X`` without one; also ``"TPM/10"`` and the like.

    Returns
    -------
    Units

    Raises
    ------
    ParameterError
        If the units cannot be told, there is no such layer, or ``units`` is no known name.
    DataError
        If there is no such ``X``, it is damaged or holds no numbers, a value is infinite, or values cannot be
        in the ``units`` given.

    Examples
    --------
    >>> import anndata, numpy
    >>> from sicmir.matrices import units
    >>> counts = numpy.random.default_rng(0).negative_binomial(0.5, 0.1, (4, 6000))
    >>> logs = numpy.log1p(counts / counts.sum(axis=1, keepdims=True) * 1e4)
    >>> units.recognise(anndata.AnnData(counts)).units, units.recognise(anndata.AnnData(logs)).units
    ('counts', 'log1p(CP10K)')
    """
    found = look(adata, layer, units)
    if not found.units:
        raise ParameterError(f"The units cannot be told. {' '.join(found.reasons)} {ADVICE}")
    return found


def look(adata: AnnData, layer: str = "", units: str = "") -> Units:
    """As :func:`recognise`, but where units cannot be told, they are "" and ``reasons`` say why."""
    layers, has_raw = list(adata.layers), adata.raw is not None
    if layer or units:
        sources = [find_source(layer or "X", layers, has_raw)]
    else:
        candidates = {f"layers[{name!r}]": name in layers for name in COUNT_LAYERS}
        candidates |= {"raw": has_raw, "X": adata.X is not None, "layers['spliced']": "spliced" in layers}
        sources = [source for source, there in candidates.items() if there]
    if not sources:
        raise ParameterError(f"The units cannot be told. There is no X. {ADVICE}")
    found = [_examine(adata, source, units) for source in sources]
    most = max(one.n_genes for one in found)
    # The sort is stable: what is equal stays in the order of preference.
    found.sort(key=lambda one: (one.n_genes * 2 < most, _rank(one)))
    if found[0].units or len(found) == 1:
        return found[0]
    return replace(found[0], reasons=tuple(f"{one.source}: {' '.join(one.reasons)}" for one in found))


def judged_rows(n_rows: int, n_judged: int = N_JUDGED) -> np.ndarray:
    """Ascending positions of the evenly spaced rows by which units are told."""
    return np.unique(np.linspace(0, n_rows - 1, min(n_rows, n_judged)).astype(int))


def select(adata: AnnData, record: Units) -> AnnData:
    """Table whose ``X`` is the matrix that ``record`` names, with its own genes; values are not copied.

    ``uns["sicmir"]`` holds the units, and how they were decided under ``units_record``.
    """
    matrix, var = _matrix(adata, record.source), (adata.raw if record.source == "raw" else adata).var
    uns = {**known(adata.uns), "units": record.units, "units_record": record.as_dict()}
    return AnnData(X=matrix, obs=adata.obs.copy(), var=var.copy(), uns={"sicmir": uns})


def row_totals(
    matrix: np.ndarray | sparse.spmatrix, linear: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """Sum of each row over all genes, float64, after ``linear`` (:meth:`Units.linear`); NaN is left out.

    Raises
    ------
    DataError
        If a sum is infinite, or as ``linear``.
    """
    totals = _sums(matrix, linear)
    if not np.isfinite(totals).all():
        row = int(np.flatnonzero(~np.isfinite(totals))[0])
        raise DataError(
            f"Row {row} of those read holds infinite values, or such as sum up to infinity; expected finite "
            "numbers, NaN where not measured."
        )
    return totals


def _sums(matrix: np.ndarray | sparse.spmatrix, linear: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    if not sparse.issparse(matrix):
        return np.asarray(np.nansum(linear(np.asarray(matrix)), axis=1, dtype=np.float64))
    rows = sparse.csr_matrix(matrix)
    values = linear(rows.data)
    if np.isnan(np.min(values, initial=0)):
        values = np.where(np.isnan(values), 0, values)
    totals, filled = np.zeros(rows.shape[0]), np.flatnonzero(np.diff(rows.indptr))
    if len(filled):
        totals[filled] = np.add.reduceat(values[: rows.indptr[-1]], rows.indptr[filled], dtype=np.float64)
    return totals


def to_log2(
    matrix: np.ndarray | sparse.spmatrix,
    record: Units,
    totals: np.ndarray | None = None,
    target_total: float = TRAINING_TOTAL,
    min_genes: int = MIN_GENES,
) -> np.ndarray:
    """Bring values to log2(x+1) at the library size of the training data.

    Linear values are multiplied by ``target_total / per``, or by ``target_total`` / total of the row where
    the units define no sum, and log2(x+1) is taken. So counts, CPM and log1p(CP10K) of a sample come out
    alike, and RSEM counts as they were. What this cannot remove: UMI counts come from one end of a
    transcript, while the training data, TPM and full-length protocols cover all of it; TPM and FPKM are
    divided by the length of the transcript, RSEM counts are not. These differ by a factor for each gene, so
    that predictions by ``frozen`` carry a bias. In single cells, most genes are 0 for want of depth alone.

    Parameters
    ----------
    matrix
        Rows x genes, any choice of them, as stored; NaN stays NaN.
    record
        From :func:`recognise`.
    totals
        Library size of each row in linear values of all genes (:func:`row_totals`), needed unless the units
        define it. A row whose total is 0 becomes NaN.
    target_total
        Library size to come to.
    min_genes
        Fewest genes that a library size may be the sum of.

    Returns
    -------
    ndarray
        Rows x genes, dense float32.

    Raises
    ------
    DataError
        If values are negative, too large for a logarithm, or of too few genes for a library size.
    ParameterError
        If ``totals`` are needed and missing, not one a row, negative or infinite.
    """
    values = dense(matrix)
    linear = np.asarray(record.linear(values), dtype=np.float32)
    if not np.isnan(record.per):
        return _log2_scaled(linear, target_total / record.per)
    sizes = np.asarray(np.nan if totals is None else totals, dtype=np.float64)
    if sizes.shape != (len(values),) or not (np.isfinite(sizes) & (sizes >= 0)).all():
        raise ParameterError(
            f"{record.units} needs totals, a finite library size of each of {len(values)} rows; found "
            f"{'none' if totals is None else f'the shape {sizes.shape}, or values that are not'}."
        )
    if record.n_genes < min_genes:
        raise DataError(
            f"{record.source} holds {record.n_genes} genes; the sum of fewer than {min_genes} is no library "
            "size. Give the table with all genes, or units that define it (CPM, TPM, CP10K or a logarithm of "
            "these), or take transform='rank'."
        )
    factor = np.divide(target_total, sizes, out=np.full(len(values), np.nan), where=sizes > 0)
    return _log2_scaled(linear, factor[:, None])


def _log2_scaled(linear: np.ndarray, factor: np.ndarray | float) -> np.ndarray:
    """log2(linear × factor + 1) in single precision, which takes a tenth of the time and errs by 1e-6."""
    scaled = linear * np.float32(factor)
    scaled += 1
    np.log(scaled, out=scaled)  # NumPy has no vectorised log2 of single precision
    scaled *= np.float32(1 / np.log(2))
    return scaled


def _matrix(adata: AnnData, source: str) -> np.ndarray | sparse.spmatrix:
    if source in ("X", "raw"):
        return adata.X if source == "X" else adata.raw.X
    return adata.layers[source.removeprefix("layers[").removesuffix("]")[1:-1]]


def _rank(record: Units) -> int:
    """Order of preference: counts, linear values, logarithms, what cannot be told, z-scores."""
    if not record.units:
        return 3
    if record.units == SIGNED:
        return 4
    return 2 if record.logarithm else int(record.units != "counts")


def _examine(adata: AnnData, source: str, given: str) -> Units:
    """Units of one matrix; ``units=""`` where they cannot be told."""
    matrix = _matrix(adata, source)
    if matrix is None:
        raise DataError(f"The table has no {source}; name a layer.")
    check_storage(matrix, source)
    n_rows, n_genes = matrix.shape
    rows = sparse.csr_matrix(matrix[judged_rows(n_rows)])
    rows.data = np.nan_to_num(rows.data, posinf=np.inf, neginf=-np.inf)
    values = rows.data.astype(np.float64)
    if np.isinf(values).any():
        raise DataError(f"{source} holds infinite values; expected finite numbers, NaN where not measured.")
    low, high = values.min(initial=0.0), values.max(initial=0.0)
    seen = f"{rows.shape[0]} rows of {n_genes} genes hold values from {low:.4g} to {high:.4g}."

    def record(units: str, logarithm: str, per: float, *reasons: str) -> Units:
        return Units(units, source, logarithm, per, n_genes, (seen, *reasons))

    if given:
        named = parse(given)
        if named is None:
            raise ParameterError(
                f"units={given!r} are not known; expected {', '.join(LINEAR)}; or log1p(…), log2(… + 1) or "
                "log10(… + 1) of one."
            )
        if (low < 0 and named[0] != SIGNED) or (named[1] and high > MOST_LOG2):
            raise DataError(f"{source} cannot be {given}: {seen}")
        check_sums(rows, named, f"{source} cannot be {given}: {seen}")
        return record(*named, "The units were given.")
    judged = judge(adata, source, rows, values, record)
    told = str(known(adata.uns).get("units", "")) if source == "X" else ""
    named = parse(told)
    if named is None or judged.units == SIGNED or (judged.units, judged.logarithm) == named[:2]:
        return judged
    if named[1]:
        # A logarithm that was recorded is not taken a second time because totals happen to be even.
        fits = judged.logarithm == named[1] or (not judged.logarithm and high < MAX_LOG)
        fits = fits and judged.units != "counts"
    else:
        fits = bool(judged.units) and not judged.logarithm and named[0] != SIGNED
        fits = fits and (named[0] != "counts" or judged.units == "counts")
    if fits:
        return record(*named, f"The file was read as {told}, and the values agree.")
    note = f"The file was read as {told}, but its values are no longer that."
    return record(judged.units, judged.logarithm, judged.per, *judged.reasons[1:], note)
