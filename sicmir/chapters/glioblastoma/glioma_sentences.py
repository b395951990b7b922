"""Sentences of the chapter on glioblastoma: what was found, or that there was nothing to find."""

from __future__ import annotations

import pandas as pd

from sicmir.chapters import study_effect
from sicmir.chapters.glioblastoma.glioma_controls import ANY, FEWEST, MATCHED, OTHERS
from sicmir.chapters.glioblastoma.glioma_study import GIVEN
from sicmir.publishing import markup

_KINDS = {
    study_effect.SAME_TYPE: "one cell type in two studies",
    study_effect.SAME_STUDY: "two cell types in one study",
    study_effect.HALVES: "halves, drawn at random, of one pool",
}


def given_told(states: pd.DataFrame) -> str:
    """That nothing is predicted where miRNAs came with the cells (``glioma_study.predict_pools``), or ""."""
    given = len(states) and (states["state"] == GIVEN).all()
    return "The miRNAs of these cells came with them, so that none of them is predicted." if given else ""


def studies_told(distances: pd.DataFrame, others: pd.DataFrame) -> str:
    """How far studies lie apart, and what becomes of crosstalk when a cell type is taken from another one.

    Parameters
    ----------
    distances
        Of :func:`sicmir.chapters.study_effect.distances`.
    others
        Of :func:`sicmir.chapters.glioblastoma.glioma_study.from_other_studies`.
    """
    medians = distances.groupby("kind")["distance"].median()
    found = [f"{number(medians[kind])} for {word}" for kind, word in _KINDS.items() if kind in medians]
    told = f"Median distance of predictions, log2: {', '.join(found)}." if found else ""
    if study_effect.SAME_TYPE not in medians:
        told += " No cell type is in two studies."
    if len(others):
        kept = markup.percent(others["top_kept"].median())
        told += (
            " When a cell type is taken from another study, the scores of its crosstalk keep a Spearman "
            f"correlation of {number(others['spearman'].median())}, and {kept} of the first 20 miRNAs "
            "stay (medians)."
        )
    return told.strip()


def crosstalk_told(table: pd.DataFrame, rows: pd.DataFrame, fdr: float) -> str:
    """How many rows of crosstalk are scored, tested and called.

    Parameters
    ----------
    table, rows
        Of :class:`sicmir.vesicles.crosstalk.Crosstalk`, and those from the tumour and back.
    fdr
        Largest q of a finding.
    """
    tested, counted = int(table["p"].notna().sum()), int(table["counted"].sum())
    best = rows[rows["counted"]].iloc[0]
    told = f"{counted} sender–receiver–miRNA rows are scored. "
    if tested:
        called = int((rows["q"] <= fdr).sum())
        told += f"{tested} have a p-value; of those from the tumour and back {called} have q up to {fdr:g}."
    else:
        told += "None has a p-value: fewer than three donors have both cell types."
    return f"{told} First from the tumour or back: {best['mirna']} ({best['sender']} → {best['receiver']})."


def range_told(table: pd.DataFrame) -> str:
    """The pairs of cell types of which predicted differences agree least and most with measured ones.

    Parameters
    ----------
    table
        Rows of :func:`sicmir.chapters.glioblastoma.published_cells.agreement` of one predictor.
    """
    ends = (table.loc[place] for place in (table["spearman"].idxmin(), table["spearman"].idxmax()))
    told = (f"{number(one['spearman'])} ({one['cell_type_a']} – {one['cell_type_b']})" for one in ends)
    return f"Spearman of this model: {' to '.join(told)}."


def controls_told(controls: pd.DataFrame, left_out: pd.DataFrame) -> str:
    """How well the score finds what is known from vesicles, and what that is worth.

    Parameters
    ----------
    controls, left_out
        Of :func:`sicmir.chapters.glioblastoma.glioma_controls.controls` and ``one_publication_less``.
    """
    score = _part(controls, MATCHED, "score")
    if score.empty:
        return "No miRNA of this table is known from vesicles of the tumour, so that nothing is judged."
    row = score.iloc[0]
    told = (
        "miRNAs in a list of those reported in vesicles of the tumour, against others as abundant in it: "
        f"AUROC of the score {aurocs(score)[0]} ({row['n_positive']} against {row['n_control']}); of miRNAs "
        f"drawn at random {at_random(score)[0]}. The others are not in that list, but {row['n_reported']} of "
        "them were reported in some human vesicles."
    )
    less = left_out[left_out["controls"] == MATCHED]
    if len(less):
        first = less.iloc[0]
        told += (
            f" Without the publication that names most (PMID {first['left_out']}): {aurocs(less)[0]} "
            f"({first['n_positive']} known)."
        )
    abundance = _part(controls, OTHERS, "abundance")
    if len(abundance):
        told += (
            f" Abundance in the tumour alone, against all others: {aurocs(abundance)[0]}, at random "
            f"{at_random(abundance)[0]}."
        )
    if row["n_positive"] < FEWEST:
        why = f"Fewer than {FEWEST} known miRNAs are too few for an interval"
    elif row["lower"] > 0.5:
        return f"{told} The first interval lies above 0.5."
    else:
        why = "The first interval does not lie above 0.5"
    return f"{told} {why}: the order of miRNAs in this table is no evidence of what is in vesicles."


def aurocs(table: pd.DataFrame) -> list[str]:
    """AUROC of each row with its interval, which fewer than ``FEWEST`` positives do not have."""
    known = table["n_positive"] >= FEWEST
    shown = zip(table["auroc"], table["lower"].where(known), table["upper"].where(known), strict=True)
    return [_interval(*row) for row in shown]


def at_random(table: pd.DataFrame) -> list[str]:
    """The same of positives drawn at random."""
    names = ["shuffled", "shuffled_lower", "shuffled_upper"]
    return [_interval(*row) for row in table[names].to_numpy(dtype=float)]


def _part(controls: pd.DataFrame, name: str, term: str) -> pd.DataFrame:
    """Rows of a term over all partners together, or else of the one there is."""
    part = controls[(controls["controls"] == name) & (controls["term"] == term)]
    wide = part[part["receiver"] == ANY]
    return wide if len(wide) else part


def _interval(value: float, lower: float, upper: float) -> str:
    return number(value) if pd.isna(lower) else f"{number(value)} ({number(lower)} to {number(upper)})"


def number(value: float) -> str:
    """Two decimals; a dash where there is none."""
    return markup.number(value, 2)
