"""Figures of crosstalk: rows of the table as dots, senders by receivers, and ribbons between them."""

from __future__ import annotations

from typing import Literal, get_args

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import PathPatch, Wedge
from matplotlib.path import Path

from sicmir.errors import DataError, ParameterError
from sicmir.plots import cohort_styles
from sicmir.vesicles.crosstalk import summarise_pairs

_GREY, _MAP = "0.7", "cividis"
_PAIR = ["sender", "receiver"]
_GAP = 0.08

PairValue = Literal["n_significant", "best_score", "mean_score"]
"""What :func:`pair_map` shows."""

_LABELS = {
    "n_significant": "miRNAs with q ≤ {fdr:g}",
    "best_score": "best score of a miRNA",
    "mean_score": "mean score of all miRNAs",
}


def dot_plot(table: pd.DataFrame, top: int = 20, fdr: float = 0.05) -> Figure:
    """Pairs of sender and receiver against miRNAs: the first rows, and the same miRNAs in the same pairs.

    Colour is the score and size the p-value (one size for all where there is no p); a ring marks q up to
    ``fdr``, and grey what is not counted for its grade or targets.

    Parameters
    ----------
    table
        Of :class:`sicmir.vesicles.crosstalk.Crosstalk`.
    top
        Number of counted rows, by p and then by score, whose miRNAs and pairs are shown, at least 1.
    fdr
        Largest q that gets a ring.

    Raises
    ------
    ParameterError
        If ``top`` is below 1 or ``fdr`` is not between 0 and 1.
    DataError
        If no row is counted.
    """
    if top < 1 or not 0 < fdr < 1:
        raise ParameterError(f"Expected top of 1 or more and fdr between 0 and 1; found {top!r} and {fdr!r}.")
    counted = table[table["counted"] & table["score"].notna()]
    if counted.empty:
        raise DataError("No row of the table is counted; there is nothing to be shown.")
    first = counted.sort_values(["p", "score"], ascending=[True, False], kind="stable").head(top)
    mirnas = list(dict.fromkeys(first["mirna"]))[::-1]
    pairs = list(dict.fromkeys(sorted(first[_PAIR].itertuples(index=False, name=None))))
    index = pd.MultiIndex.from_frame(table[_PAIR])
    shown = table[index.isin(pairs) & table["mirna"].isin(mirnas)]
    x = pd.MultiIndex.from_tuples(pairs).get_indexer(pd.MultiIndex.from_frame(shown[_PAIR]))
    y = pd.Index(mirnas).get_indexer(shown["mirna"])
    tested = shown["p"].notna().any()
    size = 15 + 45 * -np.log10(shown["p"].fillna(1).clip(lower=1e-4)) if tested else np.full(len(shown), 60)
    size, trusted = np.asarray(size), shown["counted"].to_numpy()
    figure, ax = plt.subplots(figsize=(2.6 + 0.45 * len(pairs), 2.0 + 0.28 * len(mirnas)))
    ax.scatter(x[~trusted], y[~trusted], s=30, c=_GREY)
    dots = ax.scatter(x[trusted], y[trusted], s=size[trusted], c=shown["score"][trusted], cmap=_MAP)
    ring = trusted & (shown["q"] <= fdr).to_numpy()
    ax.scatter(x[ring], y[ring], s=size[ring] + 40, facecolors="none", edgecolors="black", linewidths=1)
    ax.set_xticks(range(len(pairs)), [" → ".join(pair) for pair in pairs], rotation=90)
    ax.set_yticks(range(len(mirnas)), mirnas)
    ax.margins(x=0.5 / len(pairs), y=0.5 / len(mirnas))
    ax.set(xlabel="sender → receiver")
    figure.colorbar(dots, ax=ax, label="score", shrink=0.6)
    handles = (
        [_dot(np.sqrt(15 + 45 * -np.log10(p)), f"p = {p:g}", "0.25") for p in (0.1, 1e-2, 1e-4)]
        if tested
        else []
    )
    handles += [Line2D([], [], marker="o", ls="", mfc="none", mec="black", label=f"q ≤ {fdr:g}")] * bool(
        ring.any()
    )
    handles += [_dot(np.sqrt(30), "not counted", _GREY)] * bool((~trusted).any())
    if handles:
        ax.legend(handles=handles, loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderaxespad=0.2)
    return figure


def pair_map(table: pd.DataFrame, value: PairValue = "n_significant", fdr: float = 0.05) -> Figure:
    """Heat map of senders against receivers.

    Parameters
    ----------
    table
        Of :class:`sicmir.vesicles.crosstalk.Crosstalk`.
    value
        ``n_significant``, ``best_score`` or ``mean_score`` of
        :func:`sicmir.vesicles.crosstalk.summarise_pairs`. Pairs that were not scored are left blank; with
        ``n_significant``, so are pairs without any p.
    fdr
        Largest q that is called significant.

    Raises
    ------
    ParameterError
        If there is no such value, or ``fdr`` is not between 0 and 1.
    DataError
        If no row is counted, or ``n_significant`` is asked of a table without p.
    """
    if value not in get_args(PairValue):
        raise ParameterError(f"value should be one of {', '.join(get_args(PairValue))}; found {value!r}.")
    summary = summarise_pairs(table, fdr)
    if summary.empty:
        raise DataError("No row of the table is counted; there is nothing to be shown.")
    if value == "n_significant":
        tested = table[table["p"].notna()].set_index(_PAIR).index
        if tested.empty:
            raise DataError("The table has no p-values; show best_score or mean_score.")
        summary = summary[pd.MultiIndex.from_frame(summary[_PAIR]).isin(tested)]
    kinds = sorted(set(table["sender"]) | set(table["receiver"]))
    grid = summary.pivot_table(value, "sender", "receiver").reindex(index=kinds, columns=kinds)
    figure, ax = plt.subplots(figsize=(2.4 + 0.6 * len(kinds), 1.6 + 0.5 * len(kinds)))
    sns.heatmap(
        grid.astype(float),
        ax=ax,
        cmap=_MAP,
        square=True,
        annot=True,
        fmt=".0f" if value == "n_significant" else ".2f",
        annot_kws={"fontsize": "small"},
        cbar_kws={"label": _LABELS[value].format(fdr=fdr), "shrink": 0.7},
    )
    ax.set(xlabel="receiver", ylabel="sender")
    ax.tick_params(axis="y", rotation=0)
    ax.tick_params(axis="x", rotation=90)
    return figure


def chord(table: pd.DataFrame, top: int = 30) -> Figure:
    """Cell types on a circle, and the first rows of the table as ribbons from sender to receiver.

    A ribbon is as wide as the number of its rows and has the colour of its sender; it leaves the sender at
    the rim and ends a little off the receiver.

    Parameters
    ----------
    table
        Of :class:`sicmir.vesicles.crosstalk.Crosstalk`.
    top
        Number of counted rows, by p and then by score, at least 1.

    Raises
    ------
    ParameterError
        If ``top`` is below 1.
    DataError
        If no row is counted.
    """
    if top < 1:
        raise ParameterError(f"Expected top of 1 or more; found {top!r}.")
    counted = table[table["counted"] & table["score"].notna()]
    if counted.empty:
        raise DataError("No row of the table is counted; there is nothing to be shown.")
    first = counted.sort_values(["p", "score"], ascending=[True, False], kind="stable").head(top)
    sizes = first.groupby(_PAIR).size()
    kinds = sorted({*first["sender"], *first["receiver"]})
    styles = cohort_styles({*table["sender"], *table["receiver"]})
    unit = (2 * np.pi - _GAP * len(kinds)) / (2 * sizes.sum())
    figure, ax = plt.subplots(figsize=(6.2, 5.4))
    spans, angle = {}, np.pi / 2
    for kind in kinds:
        start = angle
        for pair, side in ((pair, side) for side in (0, 1) for pair in sizes.index if pair[side] == kind):
            spans[pair, side] = (angle, angle + unit * sizes[pair])
            angle += unit * sizes[pair]
        degrees = np.degrees([start, angle])
        ax.add_patch(Wedge((0, 0), 1.0, *degrees, width=0.06, color=styles[kind][0], lw=0))
        middle = (start + angle) / 2
        ax.text(
            1.08 * np.cos(middle),
            1.08 * np.sin(middle),
            kind,
            ha="left" if np.cos(middle) > 0.15 else "right" if np.cos(middle) < -0.15 else "center",
            va="center" if abs(np.sin(middle)) < 0.85 else "bottom" if np.sin(middle) > 0 else "top",
        )
        angle += _GAP
    for pair in sizes.sort_values(ascending=False).index:
        ribbon = _ribbon(spans[pair, 0], spans[pair, 1])
        ax.add_patch(PathPatch(ribbon, fc=styles[pair[0]][0], alpha=0.55, lw=0.4, ec="white"))
    ax.set(xlim=(-1.75, 1.75), ylim=(-1.25, 1.25), aspect="equal")
    ax.axis("off")
    return figure


def _ribbon(out: tuple[float, float], into: tuple[float, float]) -> Path:
    """Outline from the sender's part of the rim through the middle to the receiver's, and back."""
    rims = []
    for (start, stop), radius in ((out, 0.94), (into, 0.86)):
        angles = np.linspace(start, stop, 12)
        rims.append(radius * np.column_stack([np.cos(angles), np.sin(angles)]))
    middle = np.zeros((1, 2))
    points = np.concatenate([rims[0], middle, rims[1], middle, rims[0][:1]])
    codes = [Path.MOVETO, *[Path.LINETO] * 11, *[Path.CURVE3] * 2, *[Path.LINETO] * 11, *[Path.CURVE3] * 2]
    return Path(points, codes)


def _dot(size: float, label: str, colour: str) -> Line2D:
    return Line2D([], [], marker="o", ls="", color=colour, ms=size, label=label)
