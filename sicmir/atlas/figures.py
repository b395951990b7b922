"""Figures of the atlas. What is not trusted is grey."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from sicmir.plots import cohort_styles

_SHARES = (0.1, 0.5, 1.0)


def dots(table: pd.DataFrame) -> Figure:
    """Dot plot of miRNAs (columns) over cell types (rows).

    Size is the share of parts above the baseline; colour the mean over donors less the mean of the miRNA over
    the cell types shown, log2: expression itself differs far more between miRNAs than between cell types.

    Parameters
    ----------
    table
        ``mirna, cell_type, mean, fraction_above, n_donors`` of :func:`sicmir.atlas.expression.expression`.
        Cell types without a predicted donor are left out.
    """
    known = table[table["mean"].notna()]
    mirnas = list(dict.fromkeys(known["mirna"]))
    means = known.pivot_table("mean", "cell_type", "mirna")[mirnas]
    shares = known.pivot_table("fraction_above", "cell_type", "mirna").reindex(columns=mirnas)
    donors = known.groupby("cell_type")["n_donors"].max()
    centred = means - means.mean()
    order = list(means.index)[::-1]
    figure, ax = plt.subplots(figsize=(0.42 * len(mirnas) + 3.6, 0.34 * len(order) + 1.8))
    x, y = np.meshgrid(np.arange(len(mirnas)), np.arange(len(order)))
    limit = max(1.0, float(np.nanmax(np.abs(centred.to_numpy()))))
    points = ax.scatter(
        x,
        y,
        s=_size(shares.loc[order].to_numpy()),
        c=centred.loc[order].to_numpy(),
        cmap="RdBu_r",
        vmin=-limit,
        vmax=limit,
        edgecolors="0.4",
        linewidths=0.4,
    )
    ax.set_xticks(range(len(mirnas)), mirnas, rotation=60, ha="right", rotation_mode="anchor")
    ax.set_yticks(range(len(order)), [f"{name} (n = {donors[name]})" for name in order])
    ax.set(xlim=(-0.7, len(mirnas) - 0.3), ylim=(-0.7, len(order) - 0.3))
    figure.colorbar(points, ax=ax, label="difference from the mean\nof the miRNA, log2", shrink=0.8)
    handles = [
        Line2D([], [], ls="", marker="o", color="0.6", ms=np.sqrt(_size(share)), label=f"{share:.0%}")
        for share in _SHARES
    ]
    ax.legend(
        handles=handles, title="above baseline", loc="lower left", bbox_to_anchor=(0, 1.0), ncols=len(_SHARES)
    )
    return figure


def donors(table: pd.DataFrame) -> Figure:
    """One miRNA in each donor, by cell type: the interval of its prediction, and the median of the donors.

    Parameters
    ----------
    table
        ``mirna, cell_type, dataset, donor, mean, lower, upper`` of
        :func:`sicmir.atlas.expression.expression` by these, of one miRNA; donors that were abstained are left
        out.
    """
    known = table[table["mean"].notna()]
    middle = known.groupby("cell_type")["mean"].median().sort_values()
    styles = cohort_styles(table["dataset"].unique())
    figure, ax = plt.subplots(figsize=(7.0, 0.42 * len(middle) + 1.6))
    for place, name in enumerate(middle.index):
        own = known[known["cell_type"] == name].sort_values(["dataset", "donor"])
        ax.plot([middle[name]] * 2, [place - 0.4, place + 0.4], color="0.2", lw=1.2)
        heights = place + (np.arange(len(own)) - (len(own) - 1) / 2) * min(0.12, 0.7 / max(len(own), 1))
        for height, row in zip(heights, own.itertuples(), strict=True):
            colour, marker = styles[row.dataset]
            ax.plot([row.lower, row.upper], [height, height], color=colour, alpha=0.25, lw=1)
            ax.plot(row.mean, height, marker=marker, color=colour, ms=5, ls="")
    ax.set_yticks(range(len(middle)), middle.index)
    ax.set_xlabel(f"{table['mirna'].iloc[0]}, predicted log2(RPM+1)")
    shown = set(known["dataset"])
    handles = [
        Line2D([], [], ls="", marker=marker, color=colour, label=name)
        for name, (colour, marker) in styles.items()
        if name in shown
    ]
    ax.legend(handles=handles, title="data set", loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure


def pairs(table: pd.DataFrame) -> Figure:
    """How far predicted differences between two cell types agree with measured ones, with intervals.

    Parameters
    ----------
    table
        As :func:`sicmir.atlas.agreement.agreement` gives it; without rows, the figure says so.
    """
    if table.empty:
        figure, ax = plt.subplots(figsize=(7.5, 1.0))
        ax.text(0.5, 0.5, "No two cell types of this atlas were measured by one source.", ha="center")
        ax.set_axis_off()
        return figure
    shown = table.sort_values("spearman", ignore_index=True)
    styles = cohort_styles(table["source"].unique())
    figure, ax = plt.subplots(figsize=(7.5, 0.26 * len(shown) + 1.5))
    for place, row in enumerate(shown.itertuples()):
        colour, marker = styles[row.source]
        ax.plot([row.lower, row.upper], [place, place], color=colour, lw=1.2)
        ax.plot(row.spearman, place, marker=marker, color=colour, ls="")
    ax.axvline(0, color="0.5", lw=0.8, ls="--")
    ax.set_yticks(range(len(shown)), [f"{row.cell_type_a} – {row.cell_type_b}" for row in shown.itertuples()])
    ax.set_xlabel("Spearman of differences over miRNAs")
    handles = [
        Line2D([], [], ls="", marker=marker, color=colour, label=name)
        for name, (colour, marker) in styles.items()
    ]
    ax.legend(handles=handles, loc="upper left", bbox_to_anchor=(1.0, 1.0), title="measured by")
    return figure


def _size(share: np.ndarray | float) -> np.ndarray | float:
    return 8 + 110 * np.nan_to_num(share)
