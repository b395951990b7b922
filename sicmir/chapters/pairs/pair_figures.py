"""Figures that the page on paired tumours quotes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from anndata import AnnData

from sicmir.chapters import claims
from sicmir.chapters.pairs.pair_network import Divided
from sicmir.chapters.pairs.pair_predictors import SHUFFLED, TRAINED_HERE
from sicmir.chapters.pairs.pair_sets import Pairs
from sicmir.chapters.pairs.pair_study import HALVES
from sicmir.networks.hub_overlap import HubOverlap
from sicmir.networks.mirna_modules import Network

_SPEARMAN = {
    "spearman": "effect_spearman",
    "spearman_lower": "effect_spearman_lower",
    "spearman_upper": "effect_spearman_upper",
}


def headline(
    pairs: Pairs,
    measured: AnnData,
    truth: pd.DataFrame,
    agreed: pd.DataFrame,
    grades: pd.DataFrame,
    hubs: HubOverlap,
    judged: Mapping[str, pd.DataFrame],
    divided: Divided,
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
        Of :func:`sicmir.networks.hub_overlap.overlap`.
    judged
        ``measured`` and ``predicted``: claims of :func:`sicmir.chapters.claims.judge`.
    divided
        Of :func:`sicmir.chapters.pairs.pair_network.modules`.
    lines
        Of :func:`sicmir.chapters.single_cells.cell_lines.by_grade`; the first set is quoted.
    main
        Predictor that the page goes by.
    """
    row, counts = agreed.loc[main], {name: claims.counts(table) for name, table in judged.items()}
    alone = agreed["effect_spearman"].reindex([HALVES, SHUFFLED])
    found = grades.set_index(["predictor", "grade"])["spearman"]
    sternest = next(name for name in ("without this organ", TRAINED_HERE) if name in agreed.index)

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
        "n_donors": int(measured.obs["donor"].nunique()),
        "fewest": int(donors.min()),
        "n_findings": int(truth["finding"].sum()),
        "n_shared": pairs.n_shared,
        "n_counted": int(row["n_mirnas"]),
        **{name: float(row[column]) for name, column in _SPEARMAN.items()},
        "sign": float(row["sign_agreement"]),
        "k": int(row["k"]),
        "recall": float(row["top_k_recall"]),
        "confirmed": float(row["confirmed"]),
        "halves_spearman": float(alone[HALVES]),
        "shuffled_spearman": float(alone[SHUFFLED]),
        "grade_a": at(main, "A"),
        "grade_d": at(main, "D"),
        "sternest": sternest,
        **{f"sternest_{name}": float(agreed.loc[sternest, column]) for name, column in _SPEARMAN.items()},
        "sternest_a": at(sternest, "A"),
        "sternest_d": at(sternest, "D"),
        "hub_donors": hubs.counts["n_donors"],
        "hub_top": hubs.counts["top"],
        "hub_mirnas": hubs.counts["n_mirnas"],
        "hub_measured": hubs.counts["n_measured"],
        "hub_predicted": hubs.counts["n_predicted"],
        "hub_both": hubs.counts["n_both"],
        "hub_overlap": float(summary.loc["overlap", "value"]),
        "hub_by_lot": float(summary.loc["overlap", "by_lot"]),
        "hub_by_draws": float(summary.loc["overlap", "by_draws"]),
        "hub_overlap_p": float(summary.loc["overlap", "p"]),
        **{f"edges_{side}": _edges(divided.networks.get(side)) for side in ("measured", "predicted")},
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


def _edges(one: Network | None) -> int:
    """Significant edges."""
    return len(one.edges) if one is not None and one.significant else 0
