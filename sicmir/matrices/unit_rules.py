"""The rules by which units are told from values: sign, whole numbers, even totals, the highest value."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from anndata import AnnData
from scipy import sparse

from sicmir.matrices.unit_names import (
    LINEAR,
    LOGARITHMS,
    MAX_LOG,
    MIN_GENES,
    SIGNED,
    UNKNOWN,
    Units,
    log_name,
)

EVEN = 0.02
"""Row totals are even if their 5th and 95th percentile differ by less than this share of the median."""

MIN_PEAK = 100.0
"""Least ratio of the highest value of a row to its mean, by which values below 25 pass for linear.

Measured, median over samples: 135 to 500 in linear cells, pools and tumours; 1.7 to 48 in logarithms, those
after quantile normalisation included, which make all totals even.
"""

MOST_FLAT = 1e4
"""Most reads of a row of whole numbers below 25: of 10,000 reads of a cell, some gene has more than 100."""


def judge(
    adata: AnnData, source: str, rows: sparse.csr_matrix, values: np.ndarray, record: Callable[..., Units]
) -> Units:
    """Apply the rules of :func:`sicmir.matrices.units.recognise` to some rows of a matrix.

    Parameters
    ----------
    adata, source
        Table and name of the matrix, for what scanpy recorded of it.
    rows, values
        Rows x genes without NaN, and the values that are stored of them, float64.
    record
        Makes a record of units, logarithm, sum of a row by definition, and reasons.

    Returns
    -------
    Units
        ``units=""`` where they cannot be told.
    """
    if not values.any():
        return record("", "", np.nan, "There is no value but 0.")
    if values.min() < 0:
        return record(SIGNED, "", np.nan, "Negative values are z-scores or log ratios, not expression.")
    if (values == np.round(values)).all():
        if values.max() == 1:
            return record("", "", np.nan, "There is no value but 0 and 1.")
        # A layer that is called counts says itself what it is.
        if not source.startswith("layers") and _rounded(rows, values):
            why = (
                f"Whole numbers below {MAX_LOG:g} that sum up to more than {MOST_FLAT:g} are no counts: they "
            )
            return record("", "", np.nan, f"{why}look like logarithms that were rounded.")
        return record("counts", "", np.nan, "All values are whole numbers.")
    logs = LOGARITHMS if values.max() < MAX_LOG else {}
    total = _even_total(rows, 1.0) if not logs or _peak(rows) >= MIN_PEAK else 0.0
    units, per = _of_total(total)
    even = {name: _even_total(rows, base) for name, (_, base) in logs.items()}
    # Where samples are much alike, as replicates are, the totals of their logarithms are even as well.
    usual = [name for name, found in even.items() if found and _of_total(found)[0] in LINEAR]
    hint = _scanpy_logarithm(adata) if source in ("X", "raw") else ""
    if total and (units in LINEAR or not (usual or (hint and logs))):
        return record(units, "", per, f"The totals of all genes are even, {total:.6g}.")
    if not logs:
        why = (
            f"Values of {MAX_LOG:g} and more are no logarithms, and the totals are uneven. If these are "
            "counts that were corrected or estimated, as by SoupX or salmon, say so by units='counts'."
        )
        return record(UNKNOWN, "", np.nan, why)
    fitting = usual or [name for name, found in even.items() if found]
    if len(fitting) == 1 and hint in ("", fitting[0]):
        units, per = _of_total(even[fitting[0]])
        why = f"The inverse of {fitting[0]} makes the totals of all genes even, {even[fitting[0]]:.6g}."
        return record(log_name(fitting[0], units), fitting[0], per, why)
    if hint and not fitting:
        why = f"Scanpy recorded {hint} in uns; the totals of these genes are uneven."
        return record(log_name(hint, UNKNOWN), hint, np.nan, why)
    why = "The values look like logarithms, but "
    why += f"scanpy recorded {hint} in uns, and " if hint else ""
    if fitting:
        why += f"even totals come of {' and '.join(fitting)}, as after quantile normalisation."
    else:
        why += "no base makes the totals even."
    return record("", "", np.nan, why)


def _rounded(rows: sparse.csr_matrix, values: np.ndarray) -> bool:
    """Whether whole numbers are too flat for counts: of so many reads, some gene has more."""
    sums = np.asarray(rows.sum(axis=1, dtype=np.float64)).ravel()
    return values.max() < MAX_LOG and rows.shape[1] >= MIN_GENES and np.median(sums) > MOST_FLAT


def _peak(rows: sparse.csr_matrix) -> float:
    """Highest value of a row against its mean, median over the rows that are not empty."""
    highest, sums = rows.max(axis=1).toarray().ravel(), np.asarray(rows.sum(axis=1)).ravel()
    there = sums > 0
    return float(np.median(highest[there] / sums[there])) * rows.shape[1]


def _even_total(rows: sparse.csr_matrix, base: float) -> float:
    """Median total of the rows if all are alike, else 0; ``base`` of the logarithm, 1 for linear values."""
    linear = rows.astype(np.float64)
    if base != 1:
        linear.data = np.expm1(linear.data * np.log(base))
    sums = np.asarray(linear.sum(axis=1)).ravel()
    sums = sums[sums > 0]
    low, median, high = np.quantile(sums, [0.05, 0.5, 0.95])
    usual = any(abs(median / total - 1) < EVEN for total in (1e4, 1e6))
    return float(median) if high - low < EVEN * median and (usual or len(sums) > 2) else 0.0


def _of_total(total: float) -> tuple[str, float]:
    """Name of linear units whose rows all sum up to about ``total``, and the sum that is meant."""
    for units, exact in (("CPM or TPM", 1e6), ("CP10K", 1e4)):
        if abs(total / exact - 1) < EVEN:
            return units, exact
    return f"linear, every total {total:.6g}", total


def _scanpy_logarithm(adata: AnnData) -> str:
    """Which logarithm ``scanpy.pp.log1p`` says it took; "" if none. Its base None is lost in a file."""
    found = adata.uns.get("log1p")
    if not isinstance(found, Mapping):
        return ""
    try:
        base = float(found.get("base") or np.e)
    except (TypeError, ValueError):  # not written by scanpy
        return ""
    return next((name for name, (_, known) in LOGARITHMS.items() if np.isclose(base, known)), "")
