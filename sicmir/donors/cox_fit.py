r"""Cox models of many miRNAs at once, with the check of proportional hazards and the concordance.

statsmodels fits one model in 30 to 60 ms, which is minutes for 1,000 miRNAs and more for each cell type. Here
the sums over the donors at risk are taken for all miRNAs together. Ties are handled as by Efron 1977 (doi
10.1080/01621459.1977.10480613). The tests hold the fit against ``statsmodels.PHReg``. No p-values are made
here but that of the check.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import chi2
from statsmodels.duration.survfunc import SurvfuncRight

MOST_STEPS = 40
"""Newton steps before a fit counts as one that does not converge."""

LARGEST = 20.0
"""Log hazard ratio, or its standard error, beyond which donors with and without event count as separated."""

BLOCK = 1_000_000
"""Numbers that one block of miRNAs may hold in its largest array."""


@dataclass(frozen=True)
class CoxFit:
    """One value for each miRNA; NaN where the fit does not converge.

    ``effect``, natural logarithm of the hazard ratio for a step of 1 in the values; ``se``, its standard
    error; ``log_likelihood``, partial; ``ph_statistic`` and ``ph_p``, the check that the effect does not
    change with time; ``concordance``, Harrell's C of the whole model, on the donors it was fitted to.
    """

    effect: np.ndarray
    se: np.ndarray
    log_likelihood: np.ndarray
    ph_statistic: np.ndarray
    ph_p: np.ndarray
    concordance: np.ndarray


@dataclass(frozen=True)
class RiskSets:
    """Who is at risk at each event, for donors sorted by stratum and falling time.

    ``order`` sorts the donors; ``first`` and ``last`` are the rows between which all are at risk at an event;
    ``tied`` the first row of those with the same time; ``share``, for Efron's correction, the part of the
    events of that time that counts as over already; ``rows`` the donor of each event; ``clock`` the time of
    each event, as 1 minus the share of donors alive just before it.
    """

    order: np.ndarray
    first: np.ndarray
    last: np.ndarray
    tied: np.ndarray
    share: np.ndarray
    rows: np.ndarray
    clock: np.ndarray


def risk_sets(time: np.ndarray, event: np.ndarray, stratum: np.ndarray | None = None) -> RiskSets:
    """Lay out the risk sets; donors of other strata are not at risk.

    Parameters
    ----------
    time
        Time to event or end of observation, one a donor.
    event
        Whether the event was seen at that time; at least one must be.
    stratum
        Integers; None for one stratum.
    """
    stratum = np.zeros(len(time), dtype=int) if stratum is None else stratum
    order = np.lexsort((-time, stratum))
    time, event, stratum = time[order], event[order].astype(bool), stratum[order]
    opens = np.r_[True, np.diff(stratum) != 0]
    new = opens | np.r_[True, np.diff(time) != 0]
    starts = np.flatnonzero(new)
    group = np.cumsum(new) - 1
    rows = np.flatnonzero(event)
    ends = np.r_[starts[1:], len(time)] - 1
    events = np.bincount(group, weights=event)
    before = np.cumsum(event) - event
    alive = SurvfuncRight(time, event.astype(int))
    at = np.searchsorted(alive.surv_times, time[rows])
    clock = 1 - np.r_[1.0, alive.surv_prob][at]
    return RiskSets(
        order=order,
        first=np.flatnonzero(opens)[np.cumsum(opens)[rows] - 1],
        last=ends[group[rows]],
        tied=starts[group[rows]],
        share=(before[rows] - before[starts[group[rows]]]) / events[group[rows]],
        rows=rows,
        clock=clock,
    )


def fit_cox(
    values: np.ndarray,
    covariates: np.ndarray,
    time: np.ndarray,
    event: np.ndarray,
    stratum: np.ndarray | None = None,
) -> CoxFit:
    """Fit one Cox model a miRNA, each with the same covariates.

    Parameters
    ----------
    values
        Donors x miRNAs, without gaps, of a spread not far from 1.
    covariates
        Donors x covariates, of full rank, the miRNAs included; none, one or several columns.
    time, event, stratum
        As for :func:`risk_sets`.
    """
    sets = risk_sets(time, event, stratum)
    fixed = covariates[sets.order]
    width = max(1, BLOCK // (len(values) * (1 + fixed.shape[1]) ** 2))
    blocks = []
    for start in range(0, values.shape[1], width):
        own = values[sets.order, start : start + width]
        z = np.concatenate([own[:, :, None], np.repeat(fixed[:, None], own.shape[1], axis=1)], axis=2)
        blocks.append(_fit_block(z, sets))
    effect, se, likelihood, ph, predictor = (
        np.concatenate(parts, axis=-1) for parts in zip(*blocks, strict=True)
    )
    original = np.empty_like(predictor)
    original[sets.order] = predictor
    return CoxFit(effect, se, likelihood, ph, chi2.sf(ph, 1), concordance(original, time, event, stratum))


def concordance(
    predictor: np.ndarray, time: np.ndarray, event: np.ndarray, stratum: np.ndarray | None = None
) -> np.ndarray:
    """Harrell's C: of the pairs whose order of events is known, the share that the predictor puts right.

    A pair counts where one donor has the event and the other is observed for longer, or, at the same time,
    has none; ties of the predictor count one half (Harrell 1996, doi
    10.1002/(SICI)1097-0258(19960229)15:4<361::AID-SIM168>3.0.CO;2-4).

    Parameters
    ----------
    predictor
        Donors x models, larger for the earlier event; a model with a gap has no C.
    time, event, stratum
        As for :func:`risk_sets`; pairs are made within strata.
    """
    right, pairs = np.zeros(predictor.shape[1]), 0
    event = event.astype(bool)
    for i in np.flatnonzero(event):
        later = (time > time[i]) | ((time == time[i]) & ~event)
        if stratum is not None:
            later &= stratum == stratum[i]
        difference = predictor[i] - predictor[later]
        right += (difference > 0).sum(axis=0) + 0.5 * (difference == 0).sum(axis=0)
        pairs += later.sum()
    return np.where(np.isnan(predictor).any(axis=0), np.nan, right / pairs if pairs else np.nan)


def _fit_block(z: np.ndarray, sets: RiskSets) -> tuple[np.ndarray, ...]:
    """Newton's method on sorted donors x miRNAs x columns, the miRNA as first column."""
    n_mirnas, n_columns = z.shape[1:]
    beta = np.zeros((n_mirnas, n_columns))
    likelihood, score, information, _ = _derivatives(z, beta, sets)
    converged = np.zeros(n_mirnas, dtype=bool)
    for _ in range(MOST_STEPS):
        step = _solved(information, score)
        # A step that lowers the likelihood, or cannot be valued, is halved until it does not.
        for _ in range(10):
            tried = _derivatives(z, beta + step, sets)
            worse = ~(tried[0] >= likelihood - 1e-9 * np.abs(likelihood))
            if not worse.any():
                break
            step[worse] /= 2
        beta = beta + step
        likelihood, score, information, _ = tried
        converged = np.abs(step).max(axis=1) < 1e-7
        if converged.all():
            break
    likelihood, _, information, (residuals, spread) = _derivatives(z, beta, sets)
    covariance = _inverse(information)
    se = np.sqrt(covariance[:, 0, 0])
    usable = converged & (np.abs(beta[:, 0]) < LARGEST) & (se < LARGEST)
    clock = sets.clock[:, None]
    drift = (clock * residuals).sum(axis=0)
    with_others = (clock[..., None] * spread).sum(axis=0)
    left = (clock**2 * spread[:, :, 0]).sum(axis=0)
    left = left - np.einsum("mi,mij,mj->m", with_others, covariance, with_others)
    ph = np.divide(drift**2, left, out=np.full(n_mirnas, np.nan), where=left > 0)
    predictor = np.einsum("nmp,mp->nm", z, beta)
    results = (beta[:, 0], se, likelihood, ph, predictor)
    return tuple(np.where(usable, side, np.nan) for side in results)


def _derivatives(
    z: np.ndarray, beta: np.ndarray, sets: RiskSets
) -> tuple[np.ndarray, np.ndarray, np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """Log-likelihood, score and information of each miRNA; residuals of Schoenfeld with their spread."""
    eta = np.einsum("nmp,mp->nm", z, beta)
    shift = eta.max(axis=0)
    weight = np.exp(eta - shift)
    first = _at_risk(weight, sets)
    mean = _at_risk(weight[..., None] * z, sets) / first[..., None]
    products = z[..., :, None] * z[..., None, :]
    spread = _at_risk(weight[..., None, None] * products, sets) / first[..., None, None]
    spread = spread - mean[..., :, None] * mean[..., None, :]
    residuals = z[sets.rows] - mean
    likelihood = (eta[sets.rows] - shift - np.log(first)).sum(axis=0)
    own = residuals[:, :, 0], spread[:, :, 0]
    return likelihood, residuals.sum(axis=0), spread.sum(axis=0), own


def _at_risk(values: np.ndarray, sets: RiskSets) -> np.ndarray:
    """Sum over those at risk at each event, less Efron's share of those with an event at the same time."""
    total = np.concatenate([np.zeros_like(values[:1]), np.cumsum(values, axis=0)])
    found = total[sets.last + 1] - total[sets.first]
    if sets.share.any():
        seen = np.zeros(len(values))
        seen[sets.rows] = 1
        ours = np.concatenate([np.zeros_like(values[:1]), np.cumsum(values * _as(seen, values), axis=0)])
        found -= _as(sets.share, values) * (ours[sets.last + 1] - ours[sets.tied])
    return found


def _as(factor: np.ndarray, values: np.ndarray) -> np.ndarray:
    """A factor of the rows, shaped to multiply an array of more axes."""
    return factor.reshape(-1, *[1] * (values.ndim - 1))


def _inverse(matrices: np.ndarray) -> np.ndarray:
    """Inverse of each matrix; NaN where it is singular or holds NaN."""
    known = np.isfinite(matrices).all(axis=(1, 2))
    known[known] = np.linalg.cond(matrices[known]) < 1e12
    found = np.full_like(matrices, np.nan)
    found[known] = np.linalg.inv(matrices[known])
    return found


def _solved(information: np.ndarray, score: np.ndarray) -> np.ndarray:
    """Newton step of each miRNA, at most 2 in each column; 0 where there is none."""
    step = np.einsum("mij,mj->mi", _inverse(information), score)
    return np.clip(np.nan_to_num(step), -2, 2)
