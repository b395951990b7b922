"""Figures of the trust layer and of the full benchmark."""

from __future__ import annotations

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

GRADE_COLOURS = dict(zip("ABCD", ("#0173b2", "#56b4e9", "#de8f05", "#949494"), strict=True))
"""One colour a grade through the whole book; D, which is never counted, is grey."""


def reliability(trust: pd.DataFrame) -> Figure:
    """Within-cohort r of new donors against that of unseen cancers, one point a miRNA, by grade.

    Parameters
    ----------
    trust
        Columns ``within_r``, ``unseen_within_r`` and ``grade``, see :func:`sicmir.trust.trust_table`.
    """
    figure, ax = plt.subplots(figsize=(5.4, 4.6))
    for grade, colour in GRADE_COLOURS.items():
        rows = trust[trust["grade"] == grade]
        label = f"{grade} ({len(rows)})"
        ax.scatter(rows["within_r"], rows["unseen_within_r"], s=14, color=colour, label=label)
    ax.axline((0, 0), slope=1, color="0.7", lw=1, zorder=0)
    ax.set_xlabel("r within cohort, new donors")
    ax.set_ylabel("r within cohort, cancer never seen")
    ax.legend(title="grade (miRNAs)", frameon=False)
    return figure


def coverage(table: pd.DataFrame, level: float = 0.9) -> Figure:
    """Measured coverage of the intervals, one row a cohort, one colour a division.

    Parameters
    ----------
    table
        Columns ``division, samples, coverage, lower, upper``.
    level
        What was promised.
    """
    order = ["all samples", *sorted(set(table["samples"]) - {"all samples"}, reverse=True)]
    places = {name: place for place, name in enumerate(order[1:] + order[:1])}
    colours = dict(zip(table["division"].unique(), sns.color_palette("colorblind"), strict=False))
    figure, ax = plt.subplots(figsize=(6.2, 0.24 * len(places) + 1.2))
    for i, (division, rows) in enumerate(table.groupby("division", sort=False)):
        y = rows["samples"].map(places) + 0.22 * (1 - i)
        ax.hlines(y, rows["lower"], rows["upper"], color=colours[division], lw=2)
        ax.plot(rows["coverage"], y, "o", ms=4, color=colours[division], label=division)
    ax.axvline(level, color="0.5", lw=1, zorder=0)
    ax.set_yticks(list(places.values()), list(places))
    ax.set_xlabel("share of measured values inside the interval")
    ax.legend(frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1), ncols=len(colours))
    return figure


def learning_curves(donors: pd.DataFrame, cohorts: pd.DataFrame) -> Figure:
    """Correlation against the number of training samples, and against the number of training cohorts."""
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.4), sharey=True)
    sides = (
        (donors, "n_samples", "training samples (new donors)"),
        (cohorts, "n_cohorts", "training cohorts (unseen cancer)"),
    )
    for ax, (table, x, label) in zip(axes, sides, strict=True):
        means = table.groupby(x)[["pooled", "within"]].mean()
        for column, marker in (("pooled", "s"), ("within", "o")):
            ax.plot(table[x], table[column], marker, color="0.75", ms=4, zorder=1)
            ax.plot(means.index, means[column], f"-{marker}", label=column, zorder=2)
        ax.set_xlabel(label)
    axes[0].set_ylabel("median Pearson r over miRNAs")
    axes[0].legend(frameon=False)
    return figure
