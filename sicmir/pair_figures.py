"""Figures that the page on paired tumours quotes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from anndata import AnnData

from sicmir import claims
from sicmir.hub_overlap import HubOverlap
from sicmir.mirna_modules import Network
from sicmir.pair_sets import Pairs
from sicmir.pair_study import HALVES, SHUFFLED, TRAINED_HERE


def headline(
    pairs: Pairs,
    measured: AnnData,
    truth: pd.DataFrame,
    agreed: pd.DataFrame,
    grades: pd.DataFrame,
    hubs: HubOverlap,
    judged: Mapping[str, pd.DataFrame],
    networks: Mapping[str, Network],
    lines: pd.DataFrame,
    main: str,
) -> dict[str, float | int | str]:
    """Figures that the page quotes.

    Parameters
    ----------
    pairs, measured, truth
        Samples, those with the miRNAs looked at, and measured differences.
    agreed, grades
        Of :func:`agreement` and :func:`by_grade`.
    hubs
        Of :func:`sicmir.hub_overlap.overlap`.
    judged
        ``measured`` and ``predicted``: claims of :func:`sicmir.claims.judge`.
    networks
        ``measured`` and ``predicted``, of :func:`sicmir.mirna_modules.divide`.
    lines
        Of :func:`sicmir.cell_lines.by_grade`; the first set is quoted.
    main
        Predictor that the page goes by.
    """
    row, counts = agreed.loc[main], {name: claims.counts(table) for name, table in judged.items()}
    alone = agreed["effect_spearman"].reindex([HALVES, SHUFFLED])
    found = grades.set_index(["predictor", "grade"])["spearman"]
    sternest = next(name for name in ("without this cancer", TRAINED_HERE) if name in agreed.index)

    def at(predictor: str, grade: str) -> float:
        return float(found.get((predictor, grade), float("nan")))

    told = judged["predicted"]
    signed = told["effect"].notna() & ~told["reason"].str.startswith("not ")
    same = np.sign(told["effect"]) == told["direction"].map(claims.DIRECTIONS)
    best = lines[lines["lines"] == lines["lines"].iloc[0]].iloc[0]
    donors = measured.obs.groupby("condition", observed=True)["donor"].nunique()
    summary = hubs.summary
    return {
        "main": main,
        "n_mirnas": measured.n_vars,
        "n_samples": measured.n_obs,
        "n_donors": int(measured.obs["donor"].nunique()),
        "fewest": int(donors.min()),
        "n_findings": int(truth["finding"].sum()),
        "n_shared": pairs.n_shared,
        "n_further": pairs.further_mirna.n_obs,
        "n_counted": int(row["n_mirnas"]),
        "spearman": float(row["effect_spearman"]),
        "spearman_lower": float(row["effect_spearman_lower"]),
        "spearman_upper": float(row["effect_spearman_upper"]),
        "sign": float(row["sign_agreement"]),
        "k": int(row["k"]),
        "recall": float(row["top_k_recall"]),
        "area_up": float(row["area_up"]),
        "area_down": float(row["area_down"]),
        "slope": float(row["slope"]),
        "confirmed": float(row["confirmed"]),
        "halves_spearman": float(alone[HALVES]),
        "shuffled_spearman": float(alone[SHUFFLED]),
        "grade_a": at(main, "A"),
        "grade_d": at(main, "D"),
        "sternest": sternest,
        "sternest_a": at(sternest, "A"),
        "sternest_d": at(sternest, "D"),
        "hub_donors": hubs.counts["n_donors"],
        "hub_top": hubs.counts["top"],
        "hub_mirnas": hubs.counts["n_mirnas"],
        "hub_measured": hubs.counts["n_measured"],
        "hub_predicted": hubs.counts["n_predicted"],
        "hub_both": hubs.counts["n_both"],
        "hub_overlap": int(summary.loc["overlap", "value"]),
        "hub_by_lot": float(summary.loc["overlap", "by_lot"]),
        "hub_by_draws": float(summary.loc["overlap", "by_draws"]),
        "hub_overlap_p": float(summary.loc["overlap", "p"]),
        "hub_spearman": float(summary.loc["spearman", "value"]),
        "hub_spearman_draws": float(summary.loc["spearman", "by_draws"]),
        "hub_spearman_p": float(summary.loc["spearman", "p"]),
        "hub_z": float(summary.loc["measured_z", "value"]),
        "hub_z_draws": float(summary.loc["measured_z", "by_draws"]),
        "hub_z_p": float(summary.loc["measured_z", "p"]),
        "edges_measured": int(networks["measured"].significant) * len(networks["measured"].edges),
        "edges_predicted": int(networks["predicted"].significant) * len(networks["predicted"].edges),
        "lines": str(best["lines"]),
        "lines_n": int(best["n_lines"]),
        "lines_grade": str(best["grade"]),
        "lines_mirnas": int(best["n_mirnas"]),
        "lines_r": float(best["pearson"]),
        "lines_exchanged": float(best["exchanged"]),
        "n_claims": len(judged["measured"]),
        "claims_signed": int(signed.sum()),
        "claims_same": int((same & signed).sum()),
        **{f"claims_{side}_{verdict}": n for side, found in counts.items() for verdict, n in found.items()},
    }
