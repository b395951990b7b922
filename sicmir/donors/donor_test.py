"""One comparison of donors for all miRNAs: the fit, the refusals with their reasons, the moderated test."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.stats import rankdata
from scipy.stats import t as student

from sicmir.donors.design import Design, DonorRows
from sicmir.donors.donor_fit import (
    FEWEST_TO_SHARE,
    consensus,
    donor_correlations,
    fit_effect,
    informative,
    patterns,
    spread_ratio,
)
from sicmir.donors.moderated import Squeezed, moderated_t, squeeze

FEWEST_DONORS = 3
"""Donors an arm (or pairs) below which no p-value is given, whatever is asked for."""

NO_VARIATION = 1e-6
"""Residual SD as a share of the largest value below which it is rounding: float32 keeps seven digits."""


def effect_table(
    rows: DonorRows,
    response: np.ndarray,
    error: np.ndarray | None,
    design: Design,
    min_donors: int,
    trend: bool,
) -> pd.DataFrame:
    """Effect, test and note of each miRNA in one cell type.

    Parameters
    ----------
    rows
        Rows of the cell type, to which ``design`` points.
    response
        What is fitted by ``design.matrix``, rows x miRNAs.
    error
        Variance of the prediction error of each response; None for measured miRNAs.
    design
        As :func:`sicmir.donors.design.compare` gives it.
    min_donors
        Fewest donors of each arm for a p.
    trend
        Let the prior variance follow the mean level.

    Returns
    -------
    DataFrame
        One row a miRNA in the order of the columns; the columns of :func:`sicmir.stats.differential` that a
        single cell type can fill. A p that is refused is NaN, with the ``reason``.
    """
    used = np.union1d(design.case, design.reference)
    correlation, notes = 0.0, [design.note]
    several = int(rows.obs["n_samples"].iloc[used].max()) if len(used) else 1
    if several > 1:
        notes.append(f"means of up to {several} samples of a donor")
    fitted = response if not design.refusal else np.full_like(response, np.nan)
    if design.donors is not None and not design.refusal:
        correlation = consensus(donor_correlations(fitted, design.matrix, design.donors))
        if np.isnan(correlation):
            correlation = 0.0
            notes.append("too few donors with both arms to estimate their correlation, taken as 0")
    ratio = 1.0
    if design.kind == "unpaired" and not design.refusal:
        ratio = np.nan_to_num(spread_ratio(fitted, design.matrix), nan=1.0)
    # The case comes first, and the mean of both logarithms is left alone.
    spread = np.sqrt(np.where(design.matrix[:, 0] == 1, ratio, 1 / ratio))
    fit = fit_effect(
        fitted, design.matrix, design.donors, correlation, spread if design.kind == "unpaired" else None
    )

    values = rows.values[used]
    n_case, n_reference = _donors(rows.values, response, design)
    scarce = (n_case < min_donors) | (n_reference < min_donors)
    compared = np.minimum(*_compared(fitted, design)) < min_donors
    size = np.nanmax(np.abs(np.vstack([values, np.zeros(values.shape[1])])), axis=0)
    reasons = np.select(
        [
            np.full(len(size), bool(design.refusal)),
            scarce,
            np.isnan(fit.effect),
            compared,
            fit.df < 1,
            np.sqrt(np.nan_to_num(fit.variance)) <= NO_VARIATION * size,
        ],
        [
            design.refusal,
            f"fewer than {min_donors} {'donors' if design.kind == 'paired' else 'donors an arm'}: no test",
            "condition is confounded where the miRNA was measured",
            f"fewer than {min_donors} donors an arm can be compared within the covariates: no test",
            "no degree of freedom left: no test",
            "does not vary within conditions: no test",
        ],
        "",
    )
    tested = reasons == ""
    few = f"fewer than {FEWEST_TO_SHARE} miRNAs: variances are not moderated"
    few = few if 0 < tested.sum() < FEWEST_TO_SHARE else ""
    mean = _mean(values)
    table = pd.DataFrame(
        {
            "effect": fit.effect,
            **dict.fromkeys(("lower", "upper", "statistic", "df", "p"), np.nan),
            "rank": _ranks(fit.effect),
            "mean": mean,
            "n_case": n_case,
            "n_reference": n_reference,
            "design": design.kind,
            "correlation": correlation if design.kind == "mixed" else np.nan,
            "spread_ratio": ratio if design.kind == "unpaired" else np.nan,
            "tested": tested,
            "reason": reasons,
            "note": "; ".join(filter(None, [*notes, few])),
        }
    )
    if rows.error is not None:
        table[["lower_total", "upper_total"]] = np.nan
        table["prediction_sd"] = np.sqrt(_mean(rows.error[used]))
    if tested.any():
        variance, df = fit.variance[tested], fit.df[tested]
        squeezed = Squeezed(variance, df, variance, 0.0)
        if tested.sum() >= FEWEST_TO_SHARE:
            squeezed = squeeze(variance, df, mean[tested] if trend else None)
        found = moderated_t(fit.effect[tested], fit.unscaled_se[tested], squeezed)
        for name, column in zip(("statistic", "p", "lower", "upper"), found, strict=True):
            table.loc[tested, name] = column
        table.loc[tested, "df"] = squeezed.df
        if error is not None:
            own = fit.unscaled_se[tested] ** 2 * squeezed.variance
            half = student.ppf(0.975, squeezed.df) * np.sqrt(
                own + fit.error_scale[tested] ** 2 * _mean(error)[tested]
            )
            table.loc[tested, "lower_total"] = fit.effect[tested] - half
            table.loc[tested, "upper_total"] = fit.effect[tested] + half
    if error is not None:
        table["exceeds_error"] = (table["lower_total"] > 0) | (table["upper_total"] < 0)
    return table


def _mean(values: np.ndarray) -> np.ndarray:
    """Mean of each column without NaN; NaN for none."""
    known = np.isfinite(values).sum(axis=0)
    return np.divide(np.nansum(values, axis=0), known, out=np.full(len(known), np.nan), where=known > 0)


def _donors(values: np.ndarray, response: np.ndarray, design: Design) -> tuple[np.ndarray, np.ndarray]:
    """Donors of each arm with the miRNA measured; in a paired design those with a difference."""
    if design.kind == "paired":
        pairs = np.isfinite(response).sum(axis=0)
        return pairs, pairs
    case, reference = (np.isfinite(values[rows]).sum(axis=0) for rows in (design.case, design.reference))
    return case, reference


def _compared(response: np.ndarray, design: Design) -> tuple[np.ndarray, np.ndarray]:
    """Donors of each arm (pairs) that say anything of the effect of each miRNA beside the covariates."""
    case, reference = np.zeros((2, response.shape[1]), dtype=int)
    for rows, columns in patterns(response):
        tells = rows[informative(design.matrix[rows])]
        n_case = len(tells) if design.kind == "paired" else int((tells < len(design.case)).sum())
        case[columns] = n_case
        reference[columns] = n_case if design.kind == "paired" else len(tells) - n_case
    return case, reference


def _ranks(effect: np.ndarray) -> np.ndarray:
    """Rank of each effect without sign, 1 for the largest; NaN without an effect."""
    ranks = np.full(len(effect), np.nan)
    known = np.isfinite(effect)
    ranks[known] = rankdata(-np.abs(effect[known]), method="min")
    return ranks
