"""Sentences of the chapter on the atlas: what was found, or that there was nothing to find."""

from __future__ import annotations

import pandas as pd

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
    return f"{told}: {n} differences could be tested, {found} are findings."


def pairs_told(judged: pd.DataFrame, found: dict[str, float]) -> str:
    """How predicted differences agree with measured ones, with chance beside it.

    Parameters
    ----------
    judged
        As :func:`sicmir.atlas.agreement.agreement` gives it.
    found
        Figures over all pairs, as :func:`sicmir.atlas.study.headline` has them.
    """
    if judged.empty or pd.isna(found["between"]):
        return "No two cell types of this atlas were measured by one source, so that nothing is judged."
    above, below = int((judged["lower"] > 0).sum()), int((judged["upper"] < 0).sum())
    r, sign = (
        {part: template(found[f"{name}{part}"]) for part in ("", "_lower", "_upper", *_CHANCE)}
        for name, template in (("between", _number), ("same_sign", markup.percent))
    )
    told = (
        f"Of {len(judged)} pairs of cell types with measured miRNAs, predicted and measured differences "
        f"correlate by {r['']} in the median (95 % interval {r['_lower']} to {r['_upper']} over cell types "
        f"and donors; with the names of the cell types exchanged {r[_CHANCE[0]]} to {r[_CHANCE[1]]}). The "
        f"interval of a pair lies above 0 for {above} of them and below 0 for {below}."
    )
    if pd.isna(found["same_sign"]):
        return told
    return told + (
        f" A measured difference of a factor of two or more has the right sign in {sign['']} "
        f"({sign['_lower']} to {sign['_upper']}; names exchanged {sign[_CHANCE[0]]} to {sign[_CHANCE[1]]})."
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
    """The place of the right names among all others, by source (``agreement.place_of_names``)."""
    rows = orders[orders["figure"] == "between"]
    if rows.empty:
        return "No source has enough cell types to try all other names."
    places = (f"{row.place} of {row.n_orders} ({row.source})" for row in rows.itertuples())
    return (
        f"Among all ways to name the cell types of a source, the right one takes place {', '.join(places)}."
    )


def _number(value: float) -> str:
    return markup.number(value + 0.0, 2)
