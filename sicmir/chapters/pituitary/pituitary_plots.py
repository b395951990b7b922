"""Figures of the chapter on the pituitary. What was abstained or is not counted is grey."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from sicmir import trust
from sicmir.chapters.effect_plots import GREYED
from sicmir.chapters.pancreas import tumour_plots, tumour_study
from sicmir.chapters.pituitary.cross_species import MODEL
from sicmir.chapters.pituitary.low_coverage import FLOORED, GAPS, MIN_COVERAGE, WHOLE
from sicmir.chapters.trust_plots import GRADE_COLOURS

_MEASURED, _ABOVE = "#56b4e9", "#0173b2"


def coverage(report: pd.DataFrame, most: int = 30) -> Figure:
    """Share of the landmarks that profiles measure, the part of it above the floor, and the domain score.

    Parameters
    ----------
    report
        As :func:`sicmir.chapters.pituitary.low_coverage.report` gives it.
    most
        Profiles that are shown, first ones of the table.
    """
    table = report.head(most)[::-1]
    places = np.arange(len(table))
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(7.4, 0.3 * len(table) + 1.4), sharey=True, width_ratios=[2, 1]
    )
    left.barh(places, table["coverage"], color=_MEASURED, label="measured")
    left.barh(places, table["coverage"] * table["above_floor"], color=_ABOVE, label="above the floor")
    left.axvline(MIN_COVERAGE, color="0.3", lw=1.2, ls="--", label="needed")
    left.set(xlim=(0, 1), xlabel="share of the 977 landmarks")
    left.set_yticks(places, [str(name).replace("|", ", ") for name in table.index])
    figure.legend(*left.get_legend_handles_labels(), loc="outside upper center", ncols=3)
    silent = table["state"].str.startswith("abstained").to_numpy()
    for rows, colour, marker in ((silent, "0.5", "x"), (~silent, _ABOVE, "o")):
        right.plot(table["domain_score"].to_numpy()[rows], places[rows], marker, color=colour)
    right.axvline(0, color="0.8", lw=1, zorder=0)
    right.set(xlim=(-0.3, 1), xlabel="domain score")
    return figure


def degradation(tables: Mapping[str, pd.DataFrame]) -> Figure:
    """Agreement with measurement when genes are taken away, one panel a kind of comparison.

    Parameters
    ----------
    tables
        Title of a panel → :func:`sicmir.chapters.pituitary.low_coverage.summary`.
    """
    figure, axes = plt.subplots(1, len(tables), figsize=(4.1 * len(tables), 2.6), sharey=True, squeeze=False)
    for ax, (title, table) in zip(axes.flat, tables.items(), strict=True):
        for place, row in enumerate(table[::-1].itertuples()):
            colour = {WHOLE: "#333333", FLOORED: "#d55e00", GAPS: "#de8f05"}.get(row.genes, _ABOVE)
            ax.hlines(place, row.lower, row.upper, color=colour, lw=2)
            ax.plot(row.spearman, place, "o", color=colour)
            ax.text(
                1.02, place, row.n_genes, transform=ax.get_yaxis_transform(), va="center", fontsize="small"
            )
        ax.set_yticks(range(len(table)), table["genes"][::-1])
        ax.axvline(0, color="0.8", lw=1, zorder=0)
        ax.set(title=title, ylim=(-0.5, len(table) - 0.5))
    figure.supxlabel("Spearman r of predicted and measured differences", fontsize="medium")
    return figure


def by_grade(table: pd.DataFrame, min_grade: str = "B") -> Figure:
    """Agreement of differences by grade with its interval, one panel a contrast; what does not count is grey.

    Parameters
    ----------
    table
        As :func:`sicmir.chapters.pituitary.cross_species.differences` gives it.
    min_grade
        Worst grade that counts.
    """
    contrasts = list(table["contrast"].unique())
    grades = sorted(table["grade"].unique(), reverse=True)
    figure, axes = plt.subplots(
        1, max(1, len(contrasts)), figsize=(3.8 * max(1, len(contrasts)), 2.4), sharey=True, squeeze=False
    )
    for ax, contrast in zip(axes.flat, contrasts, strict=False):
        for row in table[table["contrast"] == contrast].itertuples():
            counts = bool(trust.at_least([row.grade], min_grade)[0])
            colour, place = GRADE_COLOURS[row.grade] if counts else GREYED, grades.index(row.grade)
            ax.hlines(place, row.lower, row.upper, color=colour, lw=2.5)
            ax.plot(row.spearman, place, "o", color=colour)
            ax.annotate(
                f"{row.n_mirnas}",
                (row.upper, place),
                xytext=(5, -3),
                textcoords="offset points",
                fontsize="small",
            )
        ax.axvline(0, color="0.8", lw=1, zorder=0)
        ax.set_yticks(range(len(grades)), [f"grade {grade}" for grade in grades])
        ax.set(title=contrast, xlim=(-0.7, 1), ylim=(-0.5, len(grades) - 0.5))
    figure.supxlabel("Spearman r of predicted and measured differences", fontsize="medium")
    return figure


def controls(table: pd.DataFrame) -> Figure:
    """Agreement of the differences of one contrast beside its controls, one panel a grade.

    Parameters
    ----------
    table
        As :func:`sicmir.chapters.pituitary.animal_controls.controls` gives it, rows of one contrast.
    """
    names, grades = list(table["what"].unique())[::-1], list(table["grade"].unique())
    figure, axes = plt.subplots(
        *(1, max(1, len(grades))),
        figsize=(3.8 * max(1, len(grades)), 2.2),
        sharex=True,
        sharey=True,
        squeeze=False,
    )
    for ax, grade in zip(axes.flat, grades, strict=False):
        rows = table[table["grade"] == grade]
        for row in rows.itertuples():
            colour, place = GRADE_COLOURS[grade] if row.what == MODEL else "0.45", names.index(row.what)
            ax.hlines(place, row.lower, row.upper, color=colour, lw=2)
            ax.plot(row.spearman, place, "o", color=colour)
        ax.axvline(0, color="0.8", lw=1, zorder=0)
        ax.set_yticks(range(len(names)), names)
        ax.set(title=f"grade {grade} ({rows['n_mirnas'].iloc[0]})", ylim=(-0.5, len(names) - 0.5))
    figure.supxlabel("Spearman r of predicted and measured differences", fontsize="medium")
    return figure


def markers(table: pd.DataFrame) -> Figure:
    """First miRNAs of each cell type (``tumour_plots.mirna_dots``), or a note."""
    if not table.empty:
        return tumour_plots.mirna_dots(table, tumour_study.top_markers(table))
    figure, ax = plt.subplots(figsize=(6.0, 0.9))
    ax.text(0.5, 0.5, "No two cell types of one donor were predicted.", ha="center", va="center")
    ax.set_axis_off()
    return figure
