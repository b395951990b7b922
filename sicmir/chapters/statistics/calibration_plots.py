"""Figures of the calibration chapter: how often tests find what is not there, and what is.

Tables are those of :mod:`sicmir.chapters.statistics.calibration`,
:mod:`sicmir.chapters.statistics.hub_calibration` and :mod:`sicmir.chapters.statistics.crosstalk_calibration`.
"""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.stats import norm

from sicmir.chapters.trust_plots import GRADE_COLOURS

SOUND_COLOURS = {True: "#0173b2", False: "#d55e00"}
"""Whether a test should hold its level; of networks, whether they keep to genes outside the inputs."""

UNIT_COLOURS = {"donors": SOUND_COLOURS[True], "cells": SOUND_COLOURS[False]}
"""What is counted as a replicate."""

BAND = (0.03, 0.07)
"""Rates that pass for a nominal level of 5 %."""

_SURVIVAL = ("Cox", "proportional", "log-rank", "cut-off")
_LINES = ("-", "--", ":", "-.")
_MEASURES = {
    "edges": "edges, p ≤ 0.05",
    "edges_found": "edges, q ≤ 0.05",
    "naive_hubs": "hubs, counted",
    "hubs": "hubs, p ≤ 0.05",
    "hubs_found": "hubs, q ≤ 0.05",
}


def over_seeds(table: pd.DataFrame) -> pd.DataFrame:
    """Mean over seeds with its 95 % limits, normal, from the spread between seeds.

    Parameters
    ----------
    table
        Rates; the index has the level ``seed`` and others.

    Returns
    -------
    DataFrame
        One row a setting and column of ``table``: the other levels, ``measure, n_seeds, rate, lower, upper``;
        limits are cut at 0 and 1, and NaN for one seed.
    """
    by = [name for name in table.index.names if name != "seed"]
    long = table.melt(ignore_index=False, var_name="measure").set_index("measure", append=True)["value"]
    groups = long.groupby(level=[*by, "measure"], sort=False)
    found = groups.agg(n_seeds="size", rate="mean", sd="std")
    half = norm.ppf(0.975) * found.pop("sd") / np.sqrt(found["n_seeds"])
    found["lower"], found["upper"] = (found["rate"] - half).clip(0), (found["rate"] + half).clip(upper=1)
    return found.reset_index()


def rates(table: pd.DataFrame, labels: str = "trial", panels: str = "") -> Figure:
    """False positives with their limits, one row a test; blue should hold its level, orange need not.

    Parameters
    ----------
    table
        Columns ``rate, lower, upper``, ``sound`` (boolean), and those named.
    labels
        Column with the names of the rows.
    panels
        Column with the panels, "" for a single one.
    """
    parts = [("", table)] if not panels else list(table.groupby(panels, sort=False))
    names = list(dict.fromkeys(table[labels]))[::-1]
    height = 0.32 * len(names) + 1.3
    width = 6.4 if not panels else 1.4 + 2.4 * len(parts)
    figure, axes = plt.subplots(1, len(parts), figsize=(width, height), sharey=True, squeeze=False)
    for ax, (title, part) in zip(axes.flat, parts, strict=True):
        _level(ax)
        for sound, rows in part.groupby("sound"):
            _dots(ax, rows, rows[labels].map(names.index), SOUND_COLOURS[bool(sound)])
        ax.set_title(title)
        ax.set_yticks(range(len(names)), names)
    figure.supxlabel("share of p ≤ 0.05 where there is nothing", fontsize="medium")
    return figure


def power_curves(table: pd.DataFrame) -> Figure:
    """Share of planted miRNAs found against the number of donors, conditions on the left, survival right.

    Parameters
    ----------
    table
        As :func:`sicmir.chapters.statistics.calibration.power` gives it.
    """
    survival = table["trial"].str.startswith(_SURVIVAL)
    figure, axes = plt.subplots(1, 2, figsize=(9.4, 3.8), sharey=True)
    for ax, part, title in zip(
        axes, (table[~survival], table[survival]), ("Conditions and markers", "Survival"), strict=True
    ):
        for i, (name, rows) in enumerate(part.groupby("trial", sort=False)):
            line = _LINES[i // 10 % len(_LINES)]
            (drawn,) = ax.plot(rows["n_donors"], rows["rate"], f"o{line}", ms=4, label=name)
            ax.fill_between(
                rows["n_donors"], rows["lower"], rows["upper"], color=drawn.get_color(), alpha=0.12, lw=0
            )
        ax.axhline(0.8, color="0.7", lw=1, zorder=0)
        ax.set(title=title, xlabel="donors", xscale="log", ylim=(0, 1.02))
        donors = sorted(part["n_donors"].unique())
        ax.set_xticks(donors, donors)
        ax.minorticks_off()
        ax.legend(fontsize="x-small", loc="lower right")
    axes[0].set_ylabel("share of planted miRNAs, p ≤ 0.05")
    return figure


def replicates(table: pd.DataFrame) -> Figure:
    """False positives against the cells of each donor, with cells and with donors as replicates.

    Parameters
    ----------
    table
        As :func:`sicmir.chapters.statistics.calibration.pseudo_replication` gives it.
    """
    figure, ax = plt.subplots(figsize=(5.4, 3.6))
    ax.axhspan(*BAND, color="0.9", zorder=0)
    for unit, rows in table.groupby("unit"):
        error = [rows["rate"] - rows["lower"], rows["upper"] - rows["rate"]]
        ax.errorbar(
            rows["cells"], rows["rate"], error, fmt="o-", color=UNIT_COLOURS[unit], capsize=3, label=unit
        )
    cells = sorted(table["cells"].unique())
    ax.set(xscale="log", xlabel="cells of each donor", ylabel="share of p ≤ 0.05\nwhere there is nothing")
    ax.set_xticks(cells, cells)
    ax.minorticks_off()
    ax.set_ylim(0, None)
    ax.legend(title="replicates")
    return figure


def circular(table: pd.DataFrame) -> Figure:
    """What a network finds in noise, on the genes of the prediction and on others; a panel a kind of noise.

    Parameters
    ----------
    table
        As :func:`sicmir.chapters.statistics.hub_calibration.circularity` gives it.
    """
    found = over_seeds(table)
    kinds = list(found.groupby("noise", sort=False))
    places = {name: place for place, name in enumerate(reversed(_MEASURES))}
    figure, axes = plt.subplots(1, len(kinds), figsize=(9, 3.2), sharey=True, squeeze=False)
    for ax, (kind, part) in zip(axes.flat, kinds, strict=True):
        _level(ax)
        for targets, rows in part.groupby("targets", sort=False):
            y = rows["measure"].map(places) + (0.15 if targets == "inside" else -0.15)
            _dots(ax, rows, y, SOUND_COLOURS[targets == "outside"], f"{targets} the inputs")
        ax.set_title({"independent": "Independent genes", "programmes": "Genes in programmes"}[kind])
        ax.set_yticks(list(places.values()), [_MEASURES[name] for name in places])
    handles, labels = axes.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=2, title="targets")
    figure.supxlabel("share found in noise", fontsize="medium")
    return figure


def recovery(hubs: pd.DataFrame, crosstalk: pd.DataFrame) -> Figure:
    """How planted hubs (left) and planted crosstalk (right) are found, against the number of donors.

    Parameters
    ----------
    hubs
        As :func:`sicmir.chapters.statistics.hub_calibration.recovery` gives it.
    crosstalk
        As :func:`sicmir.chapters.statistics.crosstalk_calibration.recovery` gives it.
    """
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), sharey=True)
    sides = (
        (axes[0], hubs.groupby(level="n_donors").mean(), "Hubs", "false_share", "others called"),
        (axes[1], crosstalk, "Crosstalk", "false_discoveries", "false discoveries"),
    )
    for ax, means, title, false, word in sides:
        lines = {"auroc": "AUROC", "power": "planted ones found", false: word}
        colours = (SOUND_COLOURS[True], "#029e73", SOUND_COLOURS[False])
        for (column, label), colour in zip(lines.items(), colours, strict=True):
            ax.plot(means.index, means[column], "o-", color=colour, label=label)
        ax.axhline(0.9, color="0.7", lw=1, zorder=0)
        ax.set(title=title, ylim=(-0.02, 1.04), xlabel="donors")
        ax.set_xticks(means.index, means.index)
        ax.legend(fontsize="small", loc="center right")
    axes[0].set(xlabel="donors of each of three cohorts", ylabel="AUROC or share")
    return figure


def ablation(table: pd.DataFrame) -> Figure:
    """AUROC of the crosstalk score with all its terms, without each of them, and by each alone.

    Parameters
    ----------
    table
        As :func:`sicmir.chapters.statistics.crosstalk_calibration.term_ablation` gives it.
    """
    names = list(table.index)[::-1]
    figure, ax = plt.subplots(figsize=(5.6, 0.26 * len(names) + 1.1))
    colours = ["0.55" if name.startswith("only") else SOUND_COLOURS[True] for name in names]
    ax.scatter(table.loc[names, "auroc"], range(len(names)), color=colours)
    ax.axvline(0.5, color="0.7", lw=1, zorder=0)
    ax.axvline(table.loc["all", "auroc"], color="0.7", lw=1, ls=":", zorder=0)
    ax.set_yticks(range(len(names)), names)
    ax.set_xlabel("AUROC, planted pairs against all others")
    return figure


def effects(measured: pd.DataFrame, predicted: Mapping[str, pd.DataFrame]) -> Figure:
    """Predicted against measured differences, one point a miRNA, one panel a predictor.

    Parameters
    ----------
    measured
        As :func:`sicmir.stats.differential` gives it, of one cell type.
    predicted
        Such a table by the name of its predictor; points have the colour of their grade where there is one.
    """
    figure, axes = plt.subplots(
        1, len(predicted), figsize=(3.4 * len(predicted), 3.6), sharex=True, sharey=True, squeeze=False
    )
    truth = measured.set_index("mirna")["effect"]
    for ax, (name, table) in zip(axes.flat, predicted.items(), strict=True):
        rows = table.set_index("mirna")[["effect", "grade"]].join(truth.rename("truth"), how="inner")
        colours = rows["grade"].map(GRADE_COLOURS).fillna("#333333")
        ax.scatter(rows["truth"], rows["effect"], s=12, c=colours, alpha=0.8, linewidths=0)
        ax.axline((0, 0), slope=1, color="0.7", lw=1, zorder=0)
        ax.set_title(name)
    figure.supxlabel("measured difference, log2", fontsize="medium")
    figure.supylabel("predicted difference, log2", fontsize="medium")
    return figure


def _level(ax: Axes) -> None:
    """Axis of rates, by square roots so that both 5 % and 1 can be read, with the band around 5 %."""
    ax.axvspan(*BAND, color="0.9", zorder=0)
    ax.set_xscale("function", functions=(lambda x: np.sqrt(np.maximum(x, 0)), np.square))
    ax.set_xlim(0, 1)
    ax.set_xticks([0, 0.05, 0.2, 0.5, 1], ["0", "0.05", "0.2", "0.5", "1"])


def _dots(ax: Axes, rows: pd.DataFrame, y: pd.Series, colour: str, label: str = "") -> None:
    ax.hlines(y, rows["lower"].clip(0), rows["upper"].clip(upper=1), color=colour, lw=2)
    ax.plot(rows["rate"], y, "o", color=colour, label=label or None, clip_on=False)
