"""Figures of single cells: predictions with their intervals, cells in a plane, and what is left of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sicmir.plots import cohort_styles

TRANSFORM_COLOURS = {"frozen": "#0173b2", "rank": "#de8f05", "cohort": "#cc78bc"}
"""One colour a transform through the whole book."""

_GREY = "0.75"
_TITLES = {
    "between": "Differences between two lines\n(Spearman, median of pairs)",
    "over": "A miRNA over the lines\n(Pearson, median of miRNAs)",
    "right": "Line with most of a miRNA\n(share told right)",
}
_CURVES = {
    "abstained": "share abstained",
    "domain_score": "domain score",
    "r": "r with the whole pool",
}


def intervals(table: pd.DataFrame, cell_types: Iterable[str]) -> Figure:
    """Predictions of the pools with their intervals, one panel a miRNA; abstained pools are crosses.

    Parameters
    ----------
    table
        As :func:`sicmir.cells.pool_table.beside_trust` gives it.
    cell_types
        All cell types of the page, which decide the colours.
    """
    names = list(table["mirna"].unique())
    first = table[table["mirna"] == names[0]].sort_values(["cell_type", "pool"], ascending=False)
    places = {pool: place for place, pool in enumerate(first["pool"])}
    styles = cohort_styles(cell_types)
    columns = min(3, len(names))
    rows = -(-len(names) // columns)
    figure, axes = plt.subplots(
        rows,
        columns,
        figsize=(3.4 * columns + 1, rows * (0.2 * len(places) + 1.1)),
        sharey=True,
        squeeze=False,
    )
    for ax, name in zip(axes.flat, names, strict=False):
        part = table[table["mirna"] == name]
        for row in part.itertuples():
            colour, marker = styles[str(row.cell_type)]
            if np.isnan(row.predicted):
                ax.plot(0, places[row.pool], "x", color="0.4", ms=6)
                continue
            ax.hlines(places[row.pool], row.lower, row.upper, color=colour, lw=2, alpha=0.5)
            ax.plot(row.predicted, places[row.pool], marker, color=colour, ms=6)
        known = part.iloc[0]
        ax.set_title(f"{name}\ngrade {known['grade']}, r {known['within_r']:.2f} within cancer")
        ax.set_yticks(list(places.values()), [pool.replace("|", ", ") for pool in places], fontsize="small")
        ax.set(xlim=(-0.5, None), ylim=(-0.6, len(places) - 0.4))
    for ax in axes.flat[len(names) :]:
        ax.remove()
    figure.supxlabel("predicted, log2(RPM+1), with its interval", fontsize="medium")
    return figure


def cell_map(components: pd.DataFrame, cell_type: pd.Series, painted: Mapping[str, pd.Series]) -> Figure:
    """Cells in their first two components: by type, and by what was predicted of their pool.

    Parameters
    ----------
    components
        Cells × PC1, PC2.
    cell_type
        Of these cells, matched by name.
    painted
        miRNA → value of each cell's pool, NaN in grey.
    """
    columns = min(2, len(painted) + 1)
    rows = -(-(len(painted) + 1) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(5.2 * columns, 4.0 * rows), squeeze=False)
    x, y = components["PC1"], components["PC2"]
    labels = cell_type.loc[components.index].astype(str)
    ax = axes.flat[0]
    for name, (colour, marker) in cohort_styles(cell_type).items():
        rows_of = (labels == name).to_numpy()
        ax.scatter(x[rows_of], y[rows_of], s=12, color=colour, marker=marker, linewidths=0, label=name)
    handles, names = ax.get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper center", ncols=min(5, len(names)), markerscale=1.6)
    ax.set_title("cell type")
    for ax, (name, values) in zip(axes.flat[1:], painted.items(), strict=False):
        shown = values.loc[components.index]
        known = shown.notna().to_numpy()
        ax.scatter(x[~known], y[~known], s=10, color=_GREY, linewidths=0)
        points = ax.scatter(x[known], y[known], s=12, c=shown[known], cmap="viridis", linewidths=0)
        figure.colorbar(points, ax=ax, label="log2(RPM+1) of the pool")
        ax.set_title(name)
    for ax in axes.flat[len(painted) + 1 :]:
        ax.remove()
    shares = components.attrs.get("explained", [np.nan, np.nan])
    for ax in figure.axes[: len(painted) + 1]:
        ax.set(xticks=[], yticks=[], xlabel=f"PC1 ({shares[0]:.0%})", ylabel=f"PC2 ({shares[1]:.0%})")
    return figure


def renamed(orders: Mapping[str, pd.DataFrame]) -> Figure:
    """Agreement with the right names of the lines, beside every other way to name them.

    Parameters
    ----------
    orders
        Transform → :func:`sicmir.cells.cell_validation.renamed`; a name may go on after the transform, as in
        ``"cohort, lines alone"``.
    """
    figure, axes = plt.subplots(1, len(_TITLES), figsize=(10.5, 0.5 * len(orders) + 1.6), sharey=True)
    for ax, (column, title) in zip(axes, _TITLES.items(), strict=True):
        for place, (name, table) in enumerate(reversed(list(orders.items()))):
            others = table[column].iloc[1:]
            ax.plot(others, np.full(len(others), place), "|", color="0.55", ms=12, label="names exchanged")
            colour = TRANSFORM_COLOURS[name.split(",")[0]]
            ax.plot(table[column].iloc[0], place, "o", color=colour, ms=9, label="right names")
        ax.axvline(
            1 / len(table["order"].iloc[0].split(", ")) if column == "right" else 0,
            color=_GREY,
            lw=1,
            zorder=0,
        )
        ax.set_title(title, fontsize="small")
        ax.set_yticks(range(len(orders)), list(orders)[::-1])
        ax.set_ylim(-0.6, len(orders) - 0.4)
    return figure


def within_types(table: pd.DataFrame) -> Figure:
    """Agreement over miRNAs within each cell type: the prediction, the training mean, and what is added.

    Parameters
    ----------
    table
        As :func:`sicmir.cells.cell_validation.within_types` gives it.
    """
    figure, ax = plt.subplots(figsize=(7.2, 0.3 * len(table) + 1.2))
    places = np.arange(len(table))[::-1]
    ax.hlines(places, table["training_mean"], table["spearman"], color=_GREY, lw=2, zorder=1)
    ax.plot(table["training_mean"], places, "o", mfc="white", mec="0.3", ms=7, label="training mean alone")
    ax.plot(table["spearman"], places, "o", color="#0173b2", ms=7, label="prediction")
    ax.plot(table["partial"], places, "D", color="#d55e00", ms=6, label="prediction, given the training mean")
    ax.axvline(0, color=_GREY, lw=1, zorder=0)
    ax.set_yticks(places, [f"{name} ({n})" for name, n in table["n_mirnas"].items()])
    ax.set_xlabel("Spearman correlation with the measured miRNAs")
    figure.legend(loc="outside upper center", ncols=3, fontsize="small")
    return figure


def mirna_lines(
    measured: pd.DataFrame, predicted: pd.DataFrame, grade: pd.Series, mirnas: Sequence[str]
) -> Figure:
    """Measured and predicted miRNAs of the lines, each about its mean over the lines, one panel a miRNA."""
    columns = min(4, len(mirnas))
    rows = -(-len(mirnas) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(2.7 * columns, 2.6 * rows), squeeze=False)
    styles = cohort_styles(measured.index)
    for ax, name in zip(axes.flat, mirnas, strict=False):
        x, y = (table[name] - table[name].mean() for table in (measured, predicted))
        for line, (colour, marker) in styles.items():
            ax.plot(x[line], y[line], marker, color=colour, ms=8, label=line)
        _cross(ax)
        ax.set_title(f"{name} ({grade[name]})", fontsize="small")
    for ax in axes.flat[len(mirnas) :]:
        ax.remove()
    handles, labels = axes.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(labels))
    figure.supxlabel("measured, log2 from the mean of the lines", fontsize="medium")
    figure.supylabel("predicted", fontsize="medium")
    return figure


def curves(tables: Mapping[str, pd.DataFrame], xlabel: str, logarithmic: bool = False) -> Figure:
    """What is abstained, the domain score, and the agreement with the whole, against what was kept.

    Thin lines are groups (medians over draws; of what is abstained, the share), bold ones the median
    (the mean) of all groups, where a setting has all of them.

    Parameters
    ----------
    tables
        Transform → table of :mod:`sicmir.cells.cell_robustness`.
    xlabel
        What ``setting`` is.
    logarithmic
        Of the axis of ``setting``.
    """
    figure, axes = plt.subplots(1, len(_CURVES), figsize=(10.5, 3.3))
    for name, table in tables.items():
        for ax, (column, label) in zip(axes, _CURVES.items(), strict=True):
            how = "mean" if column == "abstained" else "median"
            lines = table.pivot_table(column, "setting", "group", aggfunc=how)
            ax.plot(lines.index, lines, color=TRANSFORM_COLOURS[name], lw=0.8, alpha=0.35)
            middle = getattr(lines.dropna(), how)(axis=1)
            ax.plot(middle.index, middle, "-o", color=TRANSFORM_COLOURS[name], lw=2.5, ms=5, label=name)
            ax.set(xlabel=xlabel, ylabel=label)
            if logarithmic:
                ax.set_xscale("log")
                ax.set_xticks(lines.index, [f"{value:g}" for value in lines.index])
                ax.minorticks_off()
    axes[0].legend(title="transform")
    return figure


def _cross(ax: Axes) -> None:
    ax.axhline(0, color=_GREY, lw=1, zorder=0)
    ax.axvline(0, color=_GREY, lw=1, zorder=0)
    ax.axline((0, 0), slope=1, color=_GREY, lw=1, ls="--", zorder=0)
