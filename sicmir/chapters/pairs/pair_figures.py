"""Figures that the page on paired tumours quotes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from anndata import AnnData

from sicmir.chapters import claims
from sicmir.chapters.pairs.pair_network import Divided
from sicmir.chapters.pairs.pair_predictors import SHUFFLED
from sicmir.chapters.pairs.pair_sets import Pairs
from sicmir.chapters.pairs.pair_study import HALVES
from sicmir.networks.hub_overlap import HubOverlap
from sicmir.networks.mirna_modules import Network
from sicmir.publishing import markup

CANCER, ORGAN = "without this cancer", "without this organ"
"""Predictors of :data:`sicmir.chapters.pairs.pair_predictors.MEANINGS` that the page holds together."""


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
    row, alone = agreed.loc[main], agreed["effect_spearman"].reindex([HALVES, SHUFFLED])
    best = lines[lines["lines"] == lines["lines"].iloc[0]].iloc[0]
    donors = measured.obs.groupby("condition", observed=True)["donor"].nunique()
    return {
        "main": main,
        "n_mirnas": measured.n_vars,
        "n_donors": int(measured.obs["donor"].nunique()),
        "fewest": int(donors.min()),
        "n_findings": int(truth["finding"].sum()),
        "n_shared": pairs.n_shared,
        "n_counted": int(row["n_mirnas"]),
        "spearman": _spearman(row),
        "sign": markup.percent(row["sign_agreement"]),
        "k": int(row["k"]),
        "recall": markup.percent(row["top_k_recall"]),
        "confirmed_told": confirmed_told(row),
        "halves_spearman": markup.number(alone[HALVES], 2),
        "shuffled_spearman": markup.number(alone[SHUFFLED], 2),
        "organ_told": organ_told(agreed, main),
        "grades_told": grades_told(grades, main),
        "neighbours_told": neighbours_told(agreed),
        "hub_donors": hubs.counts["n_donors"],
        "hub_mirnas": hubs.counts["n_mirnas"],
        "hubs_told": hubs_told(hubs),
        **{f"edges_{side}": _edges(divided.networks.get(side)) for side in ("measured", "predicted")},
        "lines": str(best["lines"]),
        "lines_n": int(best["n_lines"]),
        "lines_grade": str(best["grade"]),
        "lines_mirnas": int(best["n_mirnas"]),
        "lines_r": markup.number(best["pearson"], 2),
        "lines_exchanged": markup.number(best["exchanged"], 2),
        "claims_told": claims_told(judged),
    }


def hubs_told(hubs: HubOverlap) -> str:
    """How many hubs there are by measured and by predicted miRNA, and what both lists share."""
    counts, shared = hubs.counts, hubs.summary.loc["overlap"]
    if pd.isna(shared["value"]):
        return f"{counts['n_donors']} donors are too few to tell hubs."
    return (
        f"With {counts['n_donors']} donors, {counts['n_measured']} measured and {counts['n_predicted']} "
        f"predicted hubs are significant, {counts['n_both']} of them in both lists. The first "
        f"{counts['top']} of both share {shared['value']:.0f}; {shared['by_lot']:.1f} would be shared at "
        f"random, and {shared['by_draws']:.1f} with matched genes in place of the targets "
        f"(p {shared['p']:.2f})."
    )


def confirmed_told(row: pd.Series) -> str:
    """The share of predicted findings that measurement confirms, of a row of ``pair_study.agreement``."""
    if pd.isna(row["confirmed"]):
        return "Nothing is a finding by prediction alone."
    share = markup.percent(row["confirmed"])
    return f"{share} of the predicted findings are findings of the same sign when measured."


def organ_told(agreed: pd.DataFrame, main: str) -> str:
    """The agreement of a model that never saw the organ, where there is another one than the page's.

    Parameters
    ----------
    agreed
        Of :func:`sicmir.chapters.pairs.pair_study.agreement`.
    main
        Predictor that the page goes by.
    """
    if main == ORGAN:
        return "This model never saw a sample of the organ."
    if ORGAN not in agreed.index:
        return "No model that never saw the organ is stored for these data."
    return (
        "Without any sample of the organ, normal liver beside other tumours included, it is "
        f"{_spearman(agreed.loc[ORGAN])}."
    )


def grades_told(grades: pd.DataFrame, main: str) -> str:
    """Agreement by the best and the worst grade, of the page's predictor and the one without the organ.

    Parameters
    ----------
    grades
        Of :func:`sicmir.chapters.pairs.pair_study.by_grade`.
    main
        Predictor that the page goes by.
    """
    found = grades.set_index(["predictor", "grade"])["spearman"]
    told = []
    for name in dict.fromkeys((main, ORGAN)):
        values = [
            f"{grade} {markup.number(found[name, grade], 2)}" for grade in "AD" if (name, grade) in found
        ]
        if values:
            told.append(f"{name}: grade {', '.join(values)}")
    return "; ".join(told) or "here no grade holds miRNAs enough"


def neighbours_told(agreed: pd.DataFrame) -> str:
    """What other cancer types of an organ add, where both models are stored (``pair_study.agreement``)."""
    if not {CANCER, ORGAN} <= set(agreed.index):
        return "For these data no such models are stored."
    with_them, without = (_spearman(agreed.loc[name]) for name in (CANCER, ORGAN))
    return f"It reaches {with_them}, one without the organ {without}."


def claims_told(judged: Mapping[str, pd.DataFrame]) -> str:
    """What measured and predicted miRNA say of the published differences.

    Parameters
    ----------
    judged
        ``measured`` and ``predicted``: claims of :func:`sicmir.chapters.claims.judge`.
    """
    measured, predicted = judged["measured"], judged["predicted"]
    told = claims.told(measured, "published differences", "the measured miRNA")
    if measured.empty:
        return told
    signed = predicted["effect"].notna() & ~predicted["reason"].str.startswith("not ")
    same = np.sign(predicted["effect"]) == predicted["direction"].map(claims.DIRECTIONS)
    by_prediction = claims.told(
        predicted, "differences", "the predicted miRNA, with the errors of prediction taken along,"
    )
    return (
        f"{told} {by_prediction} The sign is the published one for {(same & signed).sum()} of the "
        f"{signed.sum()} that count."
    )


def _spearman(row: pd.Series) -> str:
    """Agreement of effects with its limits."""
    names = ("effect_spearman", "effect_spearman_lower", "effect_spearman_upper")
    value, lower, upper = (markup.number(row[name], 2) for name in names)
    return f"{value} ({lower} to {upper})"


def _edges(one: Network | None) -> int:
    """Significant edges."""
    return len(one.edges) if one is not None and one.significant else 0
