"""Which miRNAs go with survival: Cox models, Kaplan–Meier curves, log-rank tests; donors are the units.

:func:`cox` takes each miRNA as it is, which loses nothing to a cut; where a cut is wanted for a picture,
:mod:`sicmir.donors.cut_off` says what a sought one is worth.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy.stats import norm, rankdata

from sicmir.donors.cox_fit import fit_cox
from sicmir.donors.design import DonorRows, check_one_condition, covariate_columns, donor_rows
from sicmir.donors.donor_fit import CONFOUNDED, basis, patterns
from sicmir.donors.donor_test import NO_VARIATION
from sicmir.donors.mirna_findings import adjusted, check_fdr, describe, families, findings, with_findings
from sicmir.donors.survival_curves import check_outcome, kaplan_meier, log_rank
from sicmir.errors import DataError, ParameterError

__all__ = ["cox", "families", "findings", "kaplan_meier", "log_rank"]

FEWEST_EVENTS = 5
"""Events a variable below which no option lets a model be fitted."""

_ORDER = [
    *(
        "cell_type",
        "mirna",
        "hazard_ratio",
        "lower",
        "upper",
        "effect",
        "se",
        "statistic",
        "p",
        "q",
        "finding",
    ),
    *("rank", "ph_p", "ph_q", "concordance", "mean", "sd", "n", "n_events", "tested", "reason", "greyed"),
    *("grade", "family", "cluster", "note"),
]


def cox(
    adata: AnnData,
    time_key: str,
    event_key: str,
    donor_key: str = "donor",
    cell_type_key: str = "",
    covariates: Sequence[str] = (),
    stratum_key: str = "",
    min_events_per_variable: int = 10,
    fdr: float = 0.05,
    min_grade: str = "B",
) -> pd.DataFrame:
    r"""Fit a Cox model of each miRNA, in each cell type, with covariates.

    Samples of one donor (and cell type) are averaged first. The hazard ratio is for one SD of the miRNA over
    the donors; p is that of Wald. Whether the effect is the same at all times is checked by the score test
    against a drift with time (Grambsch & Therneau 1994, doi 10.1093/biomet/81.3.515), time being counted as
    1 minus the share of donors alive.

    With few events for the number of variables, estimates are biased and p-values are not what they say
    (Peduzzi 1995, doi 10.1016/0895-4356(95)00048-8): below ``min_events_per_variable`` no model is fitted.

    **Predicted miRNAs** are tested as they are: p speaks of the predictions. A prediction is the expected
    miRNA given its landmark genes, so that its error adds to the hazard but, to first order, does not shift
    the hazard ratio of one log2 (regression calibration, Prentice 1982, doi 10.1093/biomet/69.2.331); that
    of one SD is for the SD of predictions, which is smaller than that of the miRNA.

    Parameters
    ----------
    adata
        Pseudobulks or bulk samples x miRNAs, log2(RPM+1), measured or predicted, NaN where not measured.
    time_key, event_key
        Columns of ``obs``: time to event or end of observation, at least 0, in any unit; 1 or True for an
        event, 0 or False for the end of observation. The same for all samples of a donor.
    donor_key, cell_type_key
        Columns of donor and cell type; without the latter, all samples of a donor are averaged.
    covariates
        Columns of ``obs``: numbers enter linearly, text and categories as indicators.
    stratum_key
        Column of ``obs``, such as the cohort; each stratum has a baseline hazard of its own.
    min_events_per_variable
        Fewest events for each variable, the miRNA and the columns of covariates; at least 5.
    fdr
        Largest q of a ``finding``.
    min_grade
        Worst grade (``var["grade"]``) of predicted miRNAs that counts, "" for all; measured ones have no
        grade and count. Worse ones stay in the table ``greyed``: they have a p, but no q, and are no finding.

    Returns
    -------
    DataFrame
        One row a cell type and miRNA: ``cell_type`` ("" without key); ``mirna``; ``hazard_ratio`` per SD with
        ``lower`` and ``upper``, its 95 % confidence limits; ``effect``, its natural logarithm, with ``se``;
        ``statistic``, z; ``p``; ``q`` (Benjamini–Hochberg over all tested rows not greyed); ``finding``;
        ``rank`` of the effect without sign in the cell type; ``ph_p``, ``ph_q`` of the check of proportional
        hazards; ``concordance`` of the model on the same donors, hence optimistic; ``mean`` and ``sd``,
        log2; ``n`` donors and ``n_events`` with the miRNA measured; ``tested``; ``reason``, why there is no
        p; ``greyed``; ``grade``; ``family``; ``cluster``; ``note``.

    Raises
    ------
    DataError
        If a column is absent or has gaps, times or events are impossible or differ between samples of a
        donor, no donor has an event, a donor has samples of several conditions (choose tumour or normal
        tissue), or as for :func:`sicmir.donors.design.donor_rows`.
    PanelError
        If mature miRNAs and stem-loops are mixed.
    ParameterError
        If an option is out of range or a column is named twice.

    Examples
    --------
    >>> from sicmir.donors import survival
    >>> from sicmir.synthetic import toy_cells
    >>> cells = toy_cells.donor_cells(n_donors=80, n_cell_types=1, n_mirnas=20, arms="unpaired", seed=1)
    >>> times = toy_cells.survival_times(cells.X[:, 0] - cells.X[:, 0].mean(), seed=1)
    >>> cells.obs[["time", "event"]] = times.to_numpy()
    >>> table = survival.cox(cells, "time", "event")
    >>> table.iloc[0]["mirna"] == cells.var_names[0], bool(table.iloc[0]["finding"])
    (True, True)
    """
    check_fdr(fdr)
    if min_events_per_variable < FEWEST_EVENTS:
        raise ParameterError(
            f"min_events_per_variable should be at least {FEWEST_EVENTS}, found {min_events_per_variable}: "
            "with fewer events a Cox model does not give what it promises."
        )
    keys = [*([cell_type_key] if cell_type_key else []), donor_key]
    named = [*keys, time_key, event_key, *covariates, *([stratum_key] if stratum_key else [])]
    if len(set(named)) < len(named):
        raise ParameterError(f"Expected different columns; found {', '.join(named)}.")
    facts = describe(adata, min_grade)
    rows = donor_rows(adata, keys, covariates)
    check_one_condition(adata.obs, donor_key, [*keys, *covariates])
    outcome = _outcome(adata.obs, donor_key, time_key, event_key, stratum_key)
    outcome = outcome.loc[rows.obs[donor_key]].reset_index(drop=True)
    names = rows.obs[cell_type_key] if cell_type_key else pd.Series("", index=rows.obs.index)
    tables = []
    for name, places in names.groupby(names).groups.items():
        part, known = rows.take(places.to_numpy()), outcome.iloc[places]
        tables.append(_of_type(part, known, covariates, min_events_per_variable).assign(cell_type=name))
    table = pd.concat([table.assign(mirna=facts.index.astype(str)) for table in tables])
    table = with_findings(table, facts, fdr)
    table["ph_q"] = adjusted(table["ph_p"].where(~table["greyed"]))
    several = np.where(table["n_samples"] > 1, "means of several samples of a donor", "")
    drifts = np.where(table["ph_q"] <= fdr, "the effect changes with time", "")
    table["note"] = ["; ".join(filter(None, notes)) for notes in zip(several, drifts, strict=True)]
    return table[_ORDER]


def _outcome(obs: pd.DataFrame, donor: str, time: str, event: str, stratum: str) -> pd.DataFrame:
    """Time, event and stratum of each donor."""
    wanted = [time, event, *([stratum] if stratum else [])]
    for name in wanted:
        if name not in obs:
            raise DataError(f"obs has no column {name!r}; there are {', '.join(map(str, obs))}.")
        gaps = obs[name].isna()
        if gaps.any():
            raise DataError(
                f"{int(gaps.sum())} of {len(obs)} samples have no {name} (first: {obs.index[gaps][0]}). "
                "Leave these donors out first; nothing is guessed."
            )
    donors = obs[donor].astype(str)
    several = obs[wanted].astype(str).groupby(donors).agg(lambda labels: len(set(labels))) > 1
    if several.any(axis=None):
        where = several.index[several.any(axis=1)][0]
        name = several.columns[several.loc[where]][0]
        raise DataError(f"Samples of the donor {where} differ in {name}; expected one outcome a donor.")
    first = obs[wanted].groupby(donors).first()
    try:
        table = first[[time, event]].astype(np.float64).set_axis(["time", "event"], axis=1)
    except (TypeError, ValueError) as error:
        raise DataError(f"Expected numbers in {time} and 0 or 1 in {event} ({error}).") from error
    check_outcome(table["time"].to_numpy(), table["event"].to_numpy())
    table["stratum"] = pd.factorize(first[stratum].astype(str))[0] if stratum else 0
    return table


def _of_type(rows: DonorRows, outcome: pd.DataFrame, covariates: Sequence[str], fewest: int) -> pd.DataFrame:
    """Models of one cell type."""
    values = rows.values
    time, event, stratum = (outcome[name].to_numpy() for name in ("time", "event", "stratum"))
    fixed = covariate_columns(rows.obs, covariates)
    n_mirnas = values.shape[1]
    names = ("effect", "se", "ph_p", "concordance", "mean", "sd", "n", "n_events")
    table = pd.DataFrame({name: np.full(n_mirnas, np.nan) for name in names})
    reason = np.full(n_mirnas, "not measured", dtype=object)
    for at, mirnas in patterns(values):
        y = values[np.ix_(at, mirnas)]
        n_events = int(event[at].sum())
        with np.errstate(invalid="ignore"):
            sd = y.std(axis=0, ddof=1) if len(at) > 1 else np.full(len(mirnas), np.nan)
        described = {"mean": y.mean(axis=0), "sd": sd, "n": len(at), "n_events": n_events}
        table.loc[mirnas, list(described)] = pd.DataFrame(described, index=mirnas)
        # Shifting a stratum changes no risk set, so that what is constant in all strata drops out.
        inside = basis(_centred(fixed[at], stratum[at]))
        needed = fewest * (1 + inside.shape[1])
        if n_events < needed:
            reason[mirnas] = (
                f"{n_events} events for {1 + inside.shape[1]} variables, fewer than {fewest} each: no model"
            )
            continue
        varies = sd > NO_VARIATION * np.abs(y).max(axis=0)
        reason[mirnas] = np.where(varies, "", "does not vary: no model")
        chosen = mirnas[varies]
        z = _centred(y[:, varies] / sd[varies], stratum[at])
        left = np.linalg.norm(z - inside @ (inside.T @ z), axis=0)
        apart = left > CONFOUNDED * np.linalg.norm(z, axis=0)
        reason[chosen[~apart]] = "confounded with covariates or strata: no model"
        chosen, z = chosen[apart], z[:, apart]
        if len(chosen):
            fit = fit_cox(z, inside * np.sqrt(len(at)), time[at], event[at], stratum[at])
            for name in ("effect", "se", "ph_p", "concordance"):
                table.loc[chosen, name] = getattr(fit, name)
            reason[chosen[np.isnan(fit.effect)]] = "donors with and without event are separated: no estimate"
    half = norm.ppf(0.975) * table["se"]
    effect = table["effect"]
    table = table.assign(
        hazard_ratio=np.exp(effect), lower=np.exp(effect - half), upper=np.exp(effect + half)
    )
    table["statistic"] = effect / table["se"]
    table["p"] = 2 * norm.sf(table["statistic"].abs())
    table["rank"] = rankdata(-effect.abs(), method="min", nan_policy="omit")
    table["reason"] = reason
    table["tested"] = table["reason"] == ""
    table["n_samples"] = rows.obs["n_samples"].max()
    return table.fillna({"n": 0, "n_events": 0}).astype({"n": int, "n_events": int})


def _centred(values: np.ndarray, stratum: np.ndarray) -> np.ndarray:
    return values - pd.DataFrame(values).groupby(stratum).transform("mean").to_numpy()
