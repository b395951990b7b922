"""Figures of the chapters, in one visual language: a colour stands for the same thing on every page.

Colours are seaborn's colour-blind palette; where colours run out, marker shapes tell groups apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sicmir.errors import ParameterError
from sicmir.metrics import per_mirna

_COLOURS = sns.color_palette("colorblind", 10).as_hex()
METHOD_COLOURS = {
    "sicmir": _COLOURS[0],
    "ridge": _COLOURS[1],
    "sicmir+ridge": _COLOURS[4],
    "cohort-mean": _COLOURS[2],
    "global-mean": _COLOURS[8],
    "shuffled": _COLOURS[7],
    "host-gene": _COLOURS[5],
    "kernel": _COLOURS[3],
    "knn": _COLOURS[6],
    "imirage": _COLOURS[9],
    "pls": "#6b6b00",
    "forest": "#3b5b3b",
    "mirscape": "#5b3b6b",
    "truth": "#000000",
}
"""One colour a method through the whole book."""

_TCGA_COHORTS = (
    *("ACC", "BLCA", "BRCA", "CESC", "CHOL", "COAD", "DLBC", "ESCA", "GBM", "HNSC", "KICH"),
    *("KIRC", "KIRP", "LAML", "LGG", "LIHC", "LUAD", "LUSC", "MESO", "OV", "PAAD", "PCPG"),
    *("PRAD", "READ", "SARC", "SKCM", "STAD", "TGCT", "THCA", "THYM", "UCEC", "UCS", "UVM"),
)
_MARKERS = "osD^v"


def cohort_styles(cohorts: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Colour and marker of each cohort. TCGA cohorts always get the same; others follow in order of name."""
    names = sorted({str(name) for name in cohorts})
    places = {name: _TCGA_COHORTS.index(name) for name in names if name in _TCGA_COHORTS}
    others = (name for name in names if name not in places)
    places |= {name: i for i, name in enumerate(others, start=len(_TCGA_COHORTS) if places else 0)}
    return {
        name: (_COLOURS[i % len(_COLOURS)], _MARKERS[i // len(_COLOURS) % len(_MARKERS)])
        for name, i in places.items()
    }


def use_style() -> None:
    """Set matplotlib's defaults for every figure of the book."""
    sns.set_theme(
        context="notebook",
        style="ticks",
        rc={
            "figure.dpi": 110,
            "savefig.bbox": "tight",
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.titlesize": "medium",
            "axes.titleweight": "bold",
            "legend.frameon": False,
            "figure.constrained_layout.use": True,
        },
    )


def training_curve(history: pd.DataFrame) -> Figure:
    """Losses by epoch: the search with its held-out donors on the left, the refit on the right.

    Parameters
    ----------
    history
        As :class:`sicmir.learning.training.NetworkRegressor` leaves it.
    """
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.4), sharey=True)
    for ax, phase in zip(axes, ("search", "refit"), strict=True):
        part = history[history["phase"] == phase]
        ax.plot(part["epoch"], part["train_loss"], color=_COLOURS[0], label="training donors")
        if part["validation_loss"].notna().any():
            ax.plot(
                part["epoch"], part["validation_loss"], color=_COLOURS[3], ls="--", label="held-out donors"
            )
            best = part.loc[part["validation_loss"].idxmin()]
            ax.plot(
                best["epoch"], best["validation_loss"], "o", color=_COLOURS[3], label="smallest held-out loss"
            )
        ax.set(title=phase.capitalize(), xlabel="epoch", ylim=(0, None))
        ax.legend()
    axes[0].set_ylabel("mean squared error\n(standardised log2(RPM+1))")
    return figure


def observed_predicted(
    observed: pd.DataFrame, predicted: pd.DataFrame, cohort: pd.Series, mirnas: Sequence[str]
) -> Figure:
    """Scatter of measured against predicted expression, one panel a miRNA, coloured by cohort.

    Parameters
    ----------
    observed, predicted
        Samples × miRNAs, log2(RPM+1).
    cohort
        Cohort of each sample.
    mirnas
        miRNAs to show.

    Raises
    ------
    ParameterError
        If a miRNA is not there, or none is given.
    """
    absent = [name for name in mirnas if name not in observed.columns]
    if absent or not len(mirnas):
        raise ParameterError(f"mirnas: {absent or 'none given'}; expected names among the predicted miRNAs.")
    table = per_mirna(observed[list(mirnas)], predicted[list(mirnas)], cohort)
    columns = min(3, len(mirnas))
    rows = -(-len(mirnas) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(3.3 * columns, 3.1 * rows), squeeze=False)
    styles = cohort_styles(cohort)
    for ax, name in zip(axes.flat, mirnas, strict=False):
        _scatter(ax, observed[name], predicted[name], cohort, styles)
        row = table.loc[name]
        ax.set_title(f"{name}\nr = {row['pearson']:.2f}, within {row['pearson_within']:.2f}")
    for ax in axes.flat[len(mirnas) :]:
        ax.remove()
    figure.supxlabel("measured, log2(RPM+1)", fontsize="medium")
    figure.supylabel("predicted, log2(RPM+1)", fontsize="medium")
    handles, labels = axes.flat[0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside upper center", ncols=len(styles), title="cohort", markerscale=2
    )
    return figure


def _scatter(
    ax: Axes, x: pd.Series, y: pd.Series, cohort: pd.Series, styles: dict[str, tuple[str, str]]
) -> None:
    for name, (colour, marker) in styles.items():
        rows = (cohort == name).to_numpy()
        ax.scatter(x[rows], y[rows], s=14, color=colour, marker=marker, alpha=0.8, linewidths=0, label=name)
    limits = (np.nanmin([x.min(), y.min()]), np.nanmax([x.max(), y.max()]))
    ax.plot(limits, limits, color="0.6", lw=1, zorder=0)


def correlation_distributions(table: pd.DataFrame) -> Figure:
    """Distribution over miRNAs of Pearson r, pooled and within cohort, one line a method.

    Each line is the share of miRNAs that reach at least the correlation on the x axis.

    Parameters
    ----------
    table
        Rows (method, miRNA) with ``pearson`` and ``pearson_within``.
    """
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.8), sharey=True)
    columns = {"pearson": "Pooled over cohorts", "pearson_within": "Within cohort"}
    for ax, (column, title) in zip(axes, columns.items(), strict=True):
        for method, part in table.groupby(level="method", sort=False):
            values = part[column].dropna()
            if not values.empty:
                colour = METHOD_COLOURS[method]
                sns.ecdfplot(x=values, complementary=True, ax=ax, color=colour, label=method)
        ax.axvline(0, color="0.7", lw=1, zorder=0)
        ax.set(title=title, xlabel="Pearson r of a miRNA", ylabel="share of miRNAs", xlim=(-0.5, 1))
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(labels))
    return figure


def league(table: pd.DataFrame) -> Figure:
    """Median correlation of each method with its 95 % interval, one panel a scope.

    Parameters
    ----------
    table
        As :meth:`sicmir.benchmark.evaluation.Comparison.league` gives it, without a baseline.
    """
    scopes = table["scope"].unique()
    places = {method: place for place, method in enumerate(table["method"].unique()[::-1])}
    columns = min(2, len(scopes))
    rows = -(-len(scopes) // columns)
    figure, axes = plt.subplots(
        rows, columns, figsize=(4.5 * columns, 2.6 * rows), sharex=True, sharey=True, squeeze=False
    )
    for ax, scope in zip(axes.flat, scopes, strict=False):
        for row in table[table["scope"] == scope].itertuples(index=False):
            place = places[row.method]
            ax.plot([row.lower, row.upper], [place, place], color=METHOD_COLOURS[row.method], lw=3)
            ax.plot(row.median, place, "o", color=METHOD_COLOURS[row.method], ms=8)
        ax.axvline(0, color="0.7", lw=1, zorder=0)
        ax.set_title(scope.capitalize())
        ax.set_yticks(list(places.values()), list(places))
    for ax in axes.flat[len(scopes) :]:
        ax.remove()
    figure.supxlabel("median Pearson r over miRNAs", fontsize="medium")
    return figure
