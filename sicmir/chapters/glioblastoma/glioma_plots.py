"""Figures of the chapter on glioblastoma."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from anndata import AnnData
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from sicmir.chapters.glioblastoma.glioma_controls import FEWEST
from sicmir.chapters.glioblastoma.published_cells import OURS, THEIRS
from sicmir.chapters.study_effect import KINDS
from sicmir.donors.counted_mirnas import counted_mirnas
from sicmir.errors import DataError
from sicmir.plots import METHOD_COLOURS, cohort_styles

_COLOURS = {OURS: METHOD_COLOURS["kernel"], THEIRS: METHOD_COLOURS["sicmir"]}
_GREY = "0.6"
_MARKERS = "osD^v"


def agreement(table: pd.DataFrame, mirnas: str) -> Figure:
    """Spearman of the differences of each pair of cell types with the measured ones, for both predictions.

    Parameters
    ----------
    table
        As :func:`sicmir.chapters.glioblastoma.published_cells.agreement` gives it.
    mirnas
        Which of its sets of miRNAs.
    """
    part = table[table["mirnas"] == mirnas]
    pairs = list(dict.fromkeys(zip(part["cell_type_a"], part["cell_type_b"], strict=True)))[::-1]
    figure, ax = plt.subplots(figsize=(7.2, 0.5 * len(pairs) + 1.6))
    for name, shift in ((OURS, 0.14), (THEIRS, -0.14)):
        own = part[part["predictor"] == name].set_index(["cell_type_a", "cell_type_b"]).loc[pairs]
        places = np.arange(len(pairs)) + shift
        ax.hlines(places, own["lower"], own["upper"], color=_COLOURS[name], lw=2.4)
        ax.plot(own["spearman"], places, "o", color=_COLOURS[name], label=name)
    ax.axvline(0, color=_GREY, lw=1, zorder=0)
    ax.set_yticks(range(len(pairs)), [" – ".join(pair) for pair in pairs])
    ax.set(xlabel="Spearman with measured differences", ylim=(-0.6, len(pairs) - 0.4))
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
    return figure


def plane(pools: AnnData, min_grade: str = "") -> Figure:
    """First two principal components of miRNA: colour is the cell type, shape the study if there are several.

    Parameters
    ----------
    pools
        Pools × miRNAs, none abstained; ``obs``: ``cell_type, study``.
    min_grade
        Worst grade that counts; "" for all.

    Raises
    ------
    DataError
        If there are fewer than two pools.
    """
    if pools.n_obs < 2:
        raise DataError(f"Expected two pools or more that were predicted, found {pools.n_obs}.")
    counted, _ = counted_mirnas(pools, min_grade)
    values = pools.to_df().to_numpy(dtype=float)[:, counted]
    values -= values.mean(axis=0)
    left, size, _ = np.linalg.svd(values, full_matrices=False)
    x, y = (left * size)[:, :2].T
    share = np.square(size) / np.square(size).sum()
    kinds, studies = (pools.obs[name].astype(str).to_numpy() for name in ("cell_type", "study"))
    colours = {name: style[0] for name, style in cohort_styles(kinds).items()}
    markers = {name: _MARKERS[i % len(_MARKERS)] for i, name in enumerate(dict.fromkeys(studies))}
    figure, ax = plt.subplots(figsize=(7.2, 4.4))
    for kind in colours:
        for study in markers:
            rows = (kinds == kind) & (studies == study)
            ax.scatter(x[rows], y[rows], s=90, color=colours[kind], marker=markers[study], edgecolors="white")
    handles = [
        Line2D([], [], marker="o", ls="", color=colour, label=name) for name, colour in colours.items()
    ]
    if len(markers) > 1:
        handles += [
            Line2D([], [], marker=marker, ls="", color=_GREY, label=name) for name, marker in markers.items()
        ]
    figure.legend(handles=handles, loc="outside right center", fontsize="small")
    ax.set(xlabel=f"PC1 ({share[0]:.0%})", ylabel=f"PC2 ({share[1]:.0%})")
    return figure


def distances(table: pd.DataFrame) -> Figure:
    """Distances between pools, one row a kind of pair, with their number; the bar is the median.

    Parameters
    ----------
    table
        As :func:`sicmir.chapters.study_effect.distances` gives it.
    """
    kinds = [kind for kind in KINDS if (table["kind"] == kind).any()][::-1]
    rng = np.random.default_rng(0)
    figure, ax = plt.subplots(figsize=(7.2, 0.7 * len(kinds) + 1.1))
    for place, kind in enumerate(kinds):
        own = table.loc[table["kind"] == kind, "distance"].to_numpy()
        ax.scatter(
            own, place + rng.uniform(-0.18, 0.18, len(own)), s=22, color=_COLOURS[OURS], alpha=0.7, lw=0
        )
        ax.vlines(np.median(own), place - 0.3, place + 0.3, color="black", lw=2)
    sizes = table["kind"].value_counts()
    ax.set_yticks(range(len(kinds)), [f"{kind} ({sizes[kind]})" for kind in kinds])
    ax.set(xlabel="distance of pools, log2", ylim=(-0.6, len(kinds) - 0.4), xlim=(0, None))
    return figure


def controls(table: pd.DataFrame) -> Figure:
    """Share of controls that known miRNAs of vesicles outrank, beside the same for miRNAs drawn at random.

    Fewer positives than :data:`~sicmir.chapters.glioblastoma.glioma_controls.FEWEST` have no interval.

    Parameters
    ----------
    table
        As :func:`sicmir.chapters.glioblastoma.glioma_controls.controls` gives it.
    """
    matches = list(dict.fromkeys(table["controls"]))
    rows = list(dict.fromkeys(zip(table["receiver"], table["term"], strict=True)))[::-1]
    figure, axes = plt.subplots(
        1,
        max(len(matches), 1),
        figsize=(8.4, 0.34 * max(len(rows), 1) + 1.6),
        sharey=True,
        sharex=True,
        squeeze=False,
    )
    for ax, name in zip(axes[0], matches, strict=False):
        own = table[table["controls"] == name].set_index(["receiver", "term"]).loc[rows]
        places = np.arange(len(rows))
        ax.hlines(places, own["shuffled_lower"], own["shuffled_upper"], color="0.85", lw=9)
        known = own["n_positive"].to_numpy() >= FEWEST
        ax.hlines(places[known], own["lower"][known], own["upper"][known], color=_COLOURS[OURS], lw=2)
        ax.plot(own["auroc"], places, "o", color=_COLOURS[OURS])
        ax.axvline(0.5, color=_GREY, lw=1, zorder=0)
        sizes = f"{own['n_positive'].max()} known, {own['n_control'].max()} others"
        ax.set_title(f"{name}\n{sizes}", fontsize="small")
    axes[0][0].set_yticks(range(len(rows)), [f"{receiver}: {term}" for receiver, term in rows])
    axes[0][0].set_xlim(0, 1)
    figure.supxlabel("share of controls outranked (AUROC)", fontsize="medium")
    return figure
