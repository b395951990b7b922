"""Sentences of the chapter on the atlas: what was found, or that there was nothing to find."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from sicmir.atlas.agreement import ACROSS, WITHIN
from sicmir.atlas.combine import APART
from sicmir.publishing import markup

_CHANCE = ("_chance_lower", "_chance_upper")


def disease_told(contrast: pd.DataFrame, told: str) -> str:
    """What was compared and found, in a sentence.

    Parameters
    ----------
    contrast, told
        As :func:`sicmir.atlas.study.compared` gives them.
    """
    if contrast.empty:
        return "No data set has two diseases or conditions, so that none are compared."
    n, found = int(contrast["p"].notna().sum()), int(contrast["finding"].sum())
    sentence = f"{told}: {n} differences could be tested, {found} are findings"
    combined = contrast.loc[contrast["finding"], "i2"].dropna()
    if combined.empty:
        return f"{sentence}."
    apart = int((combined >= APART).sum())
    return f"{sentence}, {apart} of these with an I² of {markup.percent(APART)} or more between data sets."


def pairs_told(judged: pd.DataFrame, found: dict[str, float]) -> str:
    """How predicted differences agree with measured ones, with chance beside it.

    First the pairs of cell types of one data set, then those that cross data sets, which also hold what sets
    the data sets apart.

    Parameters
    ----------
    judged
        As :func:`sicmir.atlas.agreement.agreement` gives it.
    found
        Figures over pairs, as :func:`sicmir.atlas.study.headline` has them.
    """
    if judged["spearman"].isna().all():
        return "No two cell types of this atlas were measured by one source, so that nothing is judged."
    within, across = (judged[judged["pairs"] == pairs] for pairs in (WITHIN, ACROSS))
    if within.empty:
        told = "No two cell types of one data set were measured by one source."
    else:
        above, below = int((within["lower"] > 0).sum()), int((within["upper"] < 0).sum())
        told = (
            f"Of {len(within)} pairs of cell types of one data set with measured miRNAs, predicted and "
            "measured differences correlate by "
            f"{_with_chance(found, 'between', _number, ' over cell types and donors')}."
            f" The interval of a pair lies above 0 for {above} of them and below 0 for {below}."
        )
        if pd.notna(found["same_sign"]):
            told += (
                " A measured difference of a factor of two or more has the right sign in "
                f"{_with_chance(found, 'same_sign', markup.percent)}."
            )
    if across.empty:
        return told
    told += (
        f" The {len(across)} pairs that cross data sets, which also hold what sets these apart, correlate by "
        f"{_with_chance(found, 'across_between', _number)}"
    )
    if pd.notna(found["across_same_sign"]):
        told += f", with the right sign in {_with_chance(found, 'across_same_sign', markup.percent)}"
    return f"{told}."


def _with_chance(found: dict[str, float], name: str, shown: Callable[[float], str], drawn: str = "") -> str:
    """A figure with its interval, and what exchanged names give."""
    value, *limits = (shown(found[f"{name}{part}"]) for part in ("", "_lower", "_upper", *_CHANCE))
    median = " in the median" if shown is _number else ""
    return (
        f"{value}{median} (95 % interval {limits[0]} to {limits[1]}{drawn}; with the names of the cell types "
        f"exchanged within data sets {limits[2]} to {limits[3]}, p {found[f'{name}_p']:.2g})"
    )


def range_told(judged: pd.DataFrame) -> str:
    """The pairs of cell types that agree least and most with measurement (``agreement.agreement``)."""
    known = judged.dropna(subset="spearman") if len(judged) else judged
    if known.empty:
        return "None was measured here."
    least, most = (known.loc[place] for place in (known["spearman"].idxmin(), known["spearman"].idxmax()))
    told = (f"{_number(one.spearman)} ({one.cell_type_a} – {one.cell_type_b})" for one in (least, most))
    return f"The correlation is from {' to '.join(told)}."


def names_told(orders: pd.DataFrame) -> str:
    """The place of the right names among all of the data sets, by source (``agreement.place_of_names``)."""
    rows = orders[orders["figure"] == "between"]
    if rows.empty:
        return "No source has enough cell types to try all other names."
    places = (f"{row.place} of {row.n_orders} ({row.source})" for row in rows.itertuples())
    return (
        "Among all ways to exchange the names of the cell types of a source within data sets, the right one "
        f"takes place {', '.join(places)}."
    )


def _number(value: float) -> str:
    return markup.number(value + 0.0, 2)
