"""Whether the tests of donors keep what a p-value promises, over many cohorts of which the truth is known.

At a nominal 5 %, 5 % of the miRNAs that do nothing should have p of at most 0.05, whatever the design.
Beside the tests of this package stand two that are often made and do not hold: cells taken for replicates,
and the best of all cut-offs taken at its face value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy.stats import binomtest, ttest_ind
from tqdm import tqdm

from sicmir import stats
from sicmir.donors import survival
from sicmir.donors.cut_off import cut_off
from sicmir.errors import DataError, ParameterError
from sicmir.synthetic import toy_cells

N_MIRNAS = 20
"""miRNAs of each cohort; one half is changed where an effect is planted."""

N_CUT = 4
"""miRNAs of each cohort whose cut is sought: one search takes as long as 20 Cox models."""

_CONTRAST: Mapping[str, Any] = {"condition_key": "condition", "case": "tumour", "reference": "normal"}


@dataclass(frozen=True)
class Trial:
    """A test, and how to draw a cohort for it.

    ``p_values`` takes donors, effect and seed, and gives p and whether the miRNA was planted; ``n_donors`` is
    the number of donors for :func:`false_positives`; ``sound`` says whether the test should hold its level.
    """

    name: str
    p_values: Callable[[int, float, int], tuple[np.ndarray, np.ndarray]]
    n_donors: int
    sound: bool = True


def false_positives(
    trials: Sequence[str] = (), n_seeds: int = 200, alpha: float = 0.05, seed: int = 0
) -> pd.DataFrame:
    """Share of p at or below ``alpha`` where nothing was planted.

    Parameters
    ----------
    trials
        Names of :data:`TRIALS`; empty for all.
    n_seeds
        Cohorts drawn for each.
    alpha
        Nominal level.
    seed
        First seed.

    Returns
    -------
    DataFrame
        One row a trial: ``trial, sound, n_donors, n_seeds, n_tests, rate`` and the exact 95 % binomial limits
        ``lower, upper``. miRNAs of one cohort are drawn independently, but share its donors and the
        moderation of variances, so that the limits are a little narrow.

    Raises
    ------
    ParameterError
        If there is no such trial or a number is out of range.
    """
    rows = []
    for trial in tqdm(_chosen(trials, n_seeds, alpha), desc="False positives", unit="test"):
        p, _ = _drawn(trial, trial.n_donors, 0.0, n_seeds, seed)
        rows.append({"trial": trial.name, "sound": trial.sound, "n_donors": trial.n_donors} | _rate(p, alpha))
        rows[-1]["n_seeds"] = n_seeds
    columns = ["trial", "sound", "n_donors", "n_seeds", "n_tests", "rate", "lower", "upper"]
    return pd.DataFrame(rows, columns=columns)


def power(
    trials: Sequence[str] = (),
    n_donors: Sequence[int] = (6, 10, 20, 40, 80),
    effect: float = 1.0,
    n_seeds: int = 50,
    alpha: float = 0.05,
    seed: int = 0,
) -> pd.DataFrame:
    """Share of planted miRNAs with p at or below ``alpha``, over numbers of donors.

    Parameters
    ----------
    trials, n_seeds, alpha, seed
        As for :func:`false_positives`; empty for all sound ones.
    n_donors
        Donors of a cohort, both conditions together; at least 6.
    effect
        Planted: log2 between conditions or cell types; log hazard ratio per SD in models of survival, and of
        high against low where donors are cut in two.

    Returns
    -------
    DataFrame
        One row a trial and number of donors: ``trial, n_donors, effect, n_tests, rate, lower, upper``. A
        test that is refused, for want of events or since condition and batch coincide by chance, counts as
        none that found something.

    Raises
    ------
    ParameterError
        As for :func:`false_positives`.
    """
    chosen = [trial for trial in _chosen(trials, n_seeds, alpha) if trial.sound or trials]
    if min(n_donors) < 6:
        raise ParameterError(f"n_donors should be at least 6, three an arm; found {min(n_donors)}.")
    rows = []
    for trial in tqdm(chosen, desc="Power", unit="test"):
        for n in n_donors:
            p, planted = _drawn(trial, n, effect, n_seeds, seed)
            found = _rate(np.nan_to_num(p[planted], nan=1.0), alpha)
            rows.append({"trial": trial.name, "n_donors": n, "effect": effect} | found)
    return pd.DataFrame(rows)


def pseudo_replication(
    cells: Sequence[int] = (1, 5, 20, 100),
    n_donors: int = 6,
    n_seeds: int = 100,
    alpha: float = 0.05,
    seed: int = 0,
) -> pd.DataFrame:
    """False positives on the same cohorts, with cells and with donors as units, over cells a donor.

    Parameters
    ----------
    cells
        Cells of each donor.
    n_donors
        Donors, one half in each condition; at least 6.
    n_seeds, alpha, seed
        As for :func:`false_positives`.

    Returns
    -------
    DataFrame
        One row a unit and number of cells: ``unit`` ("cells", Welch's t test of all cells; "donors",
        :func:`sicmir.stats.differential`), ``cells``, ``n_donors, n_tests, rate, lower, upper``.

    Raises
    ------
    ParameterError
        If a number is out of range.
    """
    _chosen((), n_seeds, alpha)
    if n_donors < 6 or min(cells) < 1:
        raise ParameterError(f"Expected 6 donors and 1 cell at least; found {n_donors} and {min(cells)}.")
    rows = []
    for n_cells in tqdm(cells, desc="Pseudo-replication", unit="setting"):
        found: dict[str, list[np.ndarray]] = {"cells": [], "donors": []}
        for i in range(n_seeds):
            adata, _ = _study(n_donors, 0.0, seed + i, cells=n_cells)
            found["cells"].append(_cells_as_replicates(adata))
            found["donors"].append(stats.differential(adata, **_CONTRAST)["p"].to_numpy())
        for unit, p in found.items():
            setting = {"unit": unit, "cells": n_cells, "n_donors": n_donors}
            rows.append(setting | _rate(np.concatenate(p), alpha))
    return pd.DataFrame(rows)


def _study(
    n_donors: int, effect: float, seed: int, arms: toy_cells.Arms = "unpaired", **options: Any
) -> tuple[AnnData, np.ndarray]:
    """One cell type under two conditions, and which miRNAs differ."""
    changed = N_MIRNAS // 2 if effect else 0
    adata = toy_cells.donor_cells(
        n_donors, 1, N_MIRNAS, arms=arms, effect=effect, n_changed=changed, seed=seed, **options
    )
    return adata, adata.uns["truth"]["effects"]["type A"].to_numpy() != 0


def _uneven(adata: AnnData, seed: int, times: float = 3.0) -> AnnData:
    """A third of the cases, at least three, that differ from each other ``times`` as much."""
    is_case = (adata.obs["condition"] == "tumour").to_numpy()
    sd = np.sqrt(times**2 - 1) * adata.X[~is_case].std(axis=0, ddof=1)
    case = np.flatnonzero(is_case)
    adata.X[case] += np.random.default_rng([seed, 1]).normal(size=(len(case), adata.n_vars)) * sd
    return adata[np.setdiff1d(np.arange(adata.n_obs), case[max(3, len(case) // 3) :])].copy()


def _conditions(
    arms: toy_cells.Arms,
    covariates: Sequence[str] = (),
    batch_sd: float = 0.0,
    trend: bool = False,
    uneven: bool = False,
) -> Callable[[int, float, int], tuple[np.ndarray, np.ndarray]]:
    def p_values(n_donors: int, effect: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
        adata, planted = _study(n_donors, effect, seed, arms, batch_sd=batch_sd)
        adata = _uneven(adata, seed) if uneven else adata
        try:
            found = stats.differential(
                adata,
                **_CONTRAST,
                paired="mixed" if arms == "mixed" else "auto",
                covariates=covariates,
                trend=trend,
            )
        except DataError:
            # Few donors: by chance all of one condition are in one batch, which is refused.
            return np.full(N_MIRNAS, np.nan), planted
        return found["p"].to_numpy(), planted

    return p_values


def _markers(n_donors: int, effect: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    # With two cell types both tests would be one.
    adata = toy_cells.donor_cells(n_donors, 4, N_MIRNAS, arms="unpaired", marker_effect=effect, seed=seed)
    found = stats.markers(adata)
    truth = adata.uns["truth"]["markers"]
    return found["p"].to_numpy(), truth.to_numpy().T.ravel() > 0


def _cells_as_replicates(adata: AnnData) -> np.ndarray:
    case = (adata.obs["condition"] == "tumour").to_numpy()
    return ttest_ind(adata.X[case], adata.X[~case], equal_var=False).pvalue


def _cells(n_donors: int, effect: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    adata, planted = _study(n_donors, effect, seed, cells=20)
    return _cells_as_replicates(adata), planted


def _cohort(n_donors: int, effect: float, seed: int, *, halves: bool = False, turns: bool = False) -> AnnData:
    """Donors with an outcome that follows the first miRNA: in proportion, or by which half it is in."""
    adata = toy_cells.donor_cells(n_donors, 1, N_MIRNAS, arms="unpaired", seed=seed)
    first = adata.X[:, 0].astype(np.float64)
    z = first > np.median(first) if halves else (first - first.mean()) / first.std()
    times = toy_cells.survival_times(effect * z, turns=turns, seed=seed)
    adata.obs[list(times)] = times.to_numpy()
    return adata


def _cox(
    column: str, covariates: Sequence[str] = (), turns: bool = False
) -> Callable[[int, float, int], tuple[np.ndarray, np.ndarray]]:
    def p_values(n_donors: int, effect: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
        adata = _cohort(n_donors, effect, seed, turns=turns)
        planted = np.arange(N_MIRNAS) == 0
        try:
            found = survival.cox(adata, "time", "event", covariates=covariates)
        except DataError:
            # Few donors: by chance none of them has an event, which is refused.
            return np.full(N_MIRNAS, np.nan), planted
        return found[column].to_numpy(), planted

    return p_values


def _cut(column: str) -> Callable[[int, float, int], tuple[np.ndarray, np.ndarray]]:
    def p_values(n_donors: int, effect: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
        adata = _cohort(n_donors, effect, seed, halves=True)
        outcome = adata.obs["time"], adata.obs["event"]
        found = np.full(N_CUT, np.nan)
        for i, values in enumerate(adata.X.T[:N_CUT]):
            # Few donors: by chance too few events to compare two sides, which is refused.
            with suppress(DataError):
                found[i] = cut_off(values, *outcome, n_permutations=399, n_resamples=0, seed=seed + i)[column]
        return found, np.arange(N_CUT) == 0

    return p_values


TRIALS: dict[str, Trial] = {
    trial.name: trial
    for trial in (
        Trial("two groups", _conditions("unpaired"), 12),
        Trial("two groups, variance trend", _conditions("unpaired", trend=True), 12),
        Trial("two groups, covariates", _conditions("unpaired", ("age", "batch"), batch_sd=0.5), 12),
        Trial("two groups, few of large spread", _conditions("unpaired", uneven=True), 30),
        Trial("pairs", _conditions("paired"), 6),
        Trial("some pairs (mixed)", _conditions("mixed"), 12),
        Trial("markers", _markers, 6),
        Trial("Cox", _cox("p"), 60),
        Trial("Cox, covariates", _cox("p", ("age",)), 60),
        Trial("proportional hazards", _cox("ph_p", turns=True), 60),
        Trial("log-rank at the median", _cut("median_p"), 60),
        Trial("cut-off, corrected", _cut("corrected_p"), 60),
        Trial("cut-off, naive", _cut("naive_p"), 60, sound=False),
        Trial("cells as replicates", _cells, 12, sound=False),
    )
}
"""Every test by name."""


def _chosen(trials: Sequence[str], n_seeds: int, alpha: float) -> list[Trial]:
    for name in trials:
        if name not in TRIALS:
            raise ParameterError(f"There is no trial {name!r}; expected one of {', '.join(TRIALS)}.")
    if n_seeds < 1 or not 0 < alpha < 1:
        raise ParameterError(
            f"Expected n_seeds of at least 1 and alpha between 0 and 1; found {n_seeds} and {alpha}."
        )
    return [TRIALS[name] for name in trials or TRIALS]


def _drawn(
    trial: Trial, n_donors: int, effect: float, n_seeds: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    drawn = [trial.p_values(n_donors, effect, seed + i) for i in range(n_seeds)]
    p, planted = (np.concatenate(side) for side in zip(*drawn, strict=True))
    return p, planted


def _rate(p: np.ndarray, alpha: float) -> dict[str, float]:
    """Share of p at or below the level, with exact limits."""
    known = p[np.isfinite(p)]
    if not len(known):
        return {"n_tests": 0, "rate": np.nan, "lower": np.nan, "upper": np.nan}
    result = binomtest(int((known <= alpha).sum()), len(known))
    limits = result.proportion_ci(method="exact")
    return {"n_tests": len(known), "rate": result.statistic, "lower": limits.low, "upper": limits.high}
