"""Figures of measured and predicted differences, and of hubs by both. What does not count is grey."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sicmir.chapters.trust_plots import GRADE_COLOURS
from sicmir.networks.hub_overlap import MEASURES, HubOverlap

GREYED = "#c9c9c9"
"""Colour of a miRNA that does not count, whatever its grade."""

NOT_COUNTED = "below, not counted"
"""What the legend calls such a miRNA."""

DIRECTION_COLOURS = {"up": "#d55e00", "down": "#0173b2"}
"""Colour of miRNAs higher, and lower, in the case."""

SIDE_COLOURS = {"measured": "#333333", "predicted": "#0173b2"}
"""Colour of what was measured, and of what was predicted."""


def effects(measured: pd.DataFrame, predicted: Mapping[str, pd.DataFrame], columns: int = 3) -> Figure:
    """Predicted against measured differences, one point a miRNA, one panel a predictor.

    Parameters
    ----------
    measured
        As :func:`sicmir.stats.differential` gives it, of one cell type.
    predicted
        Such a table by the name of its predictor: coloured by grade, grey where the miRNA is greyed.
    columns
        Panels beside each other.
    """
    rows = -(-len(predicted) // columns)
    columns = min(columns, len(predicted))
    size = (3.3 * columns, 3.2 * rows)
    figure, axes = plt.subplots(rows, columns, figsize=size, sharex=True, sharey=True, squeeze=False)
    truth = measured.set_index("mirna")["effect"].rename("truth")
    for ax, (name, table) in zip(axes.flat, predicted.items(), strict=False):
        points = table.set_index("mirna")[["effect", "grade", "greyed"]].join(truth, how="inner")
        grey = points["greyed"]
        ax.axline((0, 0), slope=1, color="0.7", lw=1, zorder=0)
        ax.scatter(
            points["truth"][grey], points["effect"][grey], s=9, c=GREYED, linewidths=0, label=NOT_COUNTED
        )
        for grade, colour in GRADE_COLOURS.items():
            rows_of = points[~grey & (points["grade"].astype(str) == grade)]
            if len(rows_of):
                ax.scatter(rows_of["truth"], rows_of["effect"], s=14, c=colour, linewidths=0, label=grade)
        ax.set_title(f"{name} ({(~grey).sum()})")
    for ax in axes.flat[len(predicted) :]:
        ax.remove()
    labelled: dict[str, Any] = {}
    for ax in figure.axes:
        labelled |= dict(zip(*ax.get_legend_handles_labels()[::-1], strict=True))
    order = [name for name in (*GRADE_COLOURS, NOT_COUNTED) if name in labelled]
    figure.legend(
        [labelled[name] for name in order], order, loc="outside upper center", ncols=len(order), title="grade"
    )
    figure.supxlabel("measured difference, log2", fontsize="medium")
    figure.supylabel("predicted difference, log2", fontsize="medium")
    return figure


def agreement(table: pd.DataFrame, figure: str = "effect_spearman", label: str = "") -> Figure:
    """One figure of each predictor with its interval over donors.

    Parameters
    ----------
    table
        As :func:`sicmir.chapters.pairs.pair_study.agreement` gives it.
    figure
        Column to show.
    label
        Of the horizontal axis.
    """
    names = list(table.index)[::-1]
    made, ax = plt.subplots(figsize=(6.4, 0.34 * len(names) + 1.1))
    ax.axvline(0, color="0.8", lw=1, zorder=0)
    for place, name in enumerate(names):
        row = table.loc[name]
        colour = SIDE_COLOURS["predicted"] if place == len(names) - 1 else "0.45"
        ax.hlines(place, row[f"{figure}_lower"], row[f"{figure}_upper"], color=colour, lw=2)
        ax.plot(row[figure], place, "o", color=colour)
    ax.set_yticks(range(len(names)), [f"{name} ({int(table.loc[name, 'n_mirnas'])})" for name in names])
    ax.set_xlim(None, 1.02)
    ax.set_xlabel(label or figure)
    return made


def roc(curves: Mapping[str, pd.DataFrame], areas: Mapping[str, pd.Series], columns: int = 3) -> Figure:
    """ROC curves of measured differences by the predicted statistic, one panel a predictor.

    Parameters
    ----------
    curves, areas
        As :func:`sicmir.donors.effect_agreement.roc` gives them, by the name of the predictor.
    columns
        Panels beside each other.
    """
    rows = -(-len(curves) // columns)
    columns = min(columns, len(curves))
    size = (3.1 * columns, 2.9 * rows)
    figure, axes = plt.subplots(rows, columns, figsize=size, sharex=True, sharey=True, squeeze=False)
    for ax in axes.flat[len(curves) :]:
        ax.remove()
    for ax, (name, table) in zip(axes.flat, curves.items(), strict=False):
        ax.axline((0, 0), slope=1, color="0.8", lw=1, zorder=0)
        for direction, part in table.groupby("direction", sort=False):
            label = f"{direction}, area {areas[name][direction]:.2f}"
            ax.plot(part["false_rate"], part["true_rate"], color=DIRECTION_COLOURS[direction], label=label)
        ax.set_title(name)
        if ax.get_legend_handles_labels()[0]:
            ax.legend(loc="lower right", fontsize="small")
    figure.supxlabel("share of the other miRNAs", fontsize="medium")
    figure.supylabel("share of measured differences", fontsize="medium")
    return figure


def hubs(overlap: HubOverlap, named: Sequence[str] = (), fdr: float = 0.05) -> Figure:
    """Z of hubs by predicted against measured miRNA, and what both have in common beside draws.

    Parameters
    ----------
    overlap
        As :func:`sicmir.networks.hub_overlap.overlap` gives it.
    named
        miRNAs to name.
    fdr
        Filled marks have q up to here on both sides.
    """
    table = overlap.beside()
    figure, axes = plt.subplots(1, 4, figsize=(11.5, 3.4), width_ratios=[2, 1, 1, 1])
    ax = axes[0]
    colours = table["grade"].astype(str).map(GRADE_COLOURS).fillna(SIDE_COLOURS["measured"])
    called = (table["measured_q"] <= fdr) & (table["predicted_q"] <= fdr)
    for chosen, face in ((called, colours[called]), (~called, "none")):
        ax.scatter(
            *(table.loc[chosen, f"{side}_z"] for side in SIDE_COLOURS),
            s=22,
            c=face if isinstance(face, str) else face.tolist(),
            edgecolors=colours[chosen].tolist(),
        )
    for name in named:
        ax.annotate(
            name,
            table.loc[name, ["measured_z", "predicted_z"]],
            fontsize="x-small",
            xytext=(3, 3),
            textcoords="offset points",
        )
    _cross(ax)
    ax.set(xlabel="z, measured miRNA", ylabel="z, predicted miRNA")
    if table.empty:
        ax.text(0.5, 0.5, "too few donors", transform=ax.transAxes, ha="center")
    titles = {
        "measured_z": "mean measured z of\nfirst predicted hubs",
        "overlap": "shared among\nthe first",
        "spearman": "Spearman r of z",
    }
    for ax, measure in zip(axes[1:], MEASURES, strict=True):
        values = overlap.draws[measure]
        bins = np.arange(-0.5, overlap.counts["top"] + 1) if measure == "overlap" else 20
        ax.hist(values, bins=bins, color="0.75")
        ax.axvline(overlap.summary.loc[measure, "value"], color=DIRECTION_COLOURS["up"], lw=2)
        ax.set_title(titles[measure], fontsize="small")
        ax.set_yticks([])
    axes[1].set_ylabel("draws of matched genes")
    return figure


def survival(curves: pd.DataFrame, name: str, unit: str = "") -> Figure:
    """Kaplan–Meier curves of donors below and above the median of a miRNA, with 95 % limits.

    Parameters
    ----------
    curves
        As :func:`sicmir.donors.survival.kaplan_meier` gives it.
    name
        Of the miRNA.
    unit
        Of the times, "" where it is not known.
    """
    figure, ax = plt.subplots(figsize=(5.2, 3.6))
    colours = {"low": DIRECTION_COLOURS["down"], "high": DIRECTION_COLOURS["up"]}
    for group, part in curves.groupby("group"):
        n = int(part["at_risk"].iloc[0])
        ax.step(part["time"], part["survival"], where="post", color=colours[group], label=f"{group} ({n})")
        ax.fill_between(
            part["time"], part["lower"], part["upper"], step="post", color=colours[group], alpha=0.12, lw=0
        )
    ax.set(xlabel=f"time, {unit}" if unit else "time", ylabel="share without event", ylim=(0, 1.02))
    ax.legend(title=name)
    return figure


def _cross(ax: Axes) -> None:
    ax.axhline(0, color="0.8", lw=1, zorder=0)
    ax.axvline(0, color="0.8", lw=1, zorder=0)
