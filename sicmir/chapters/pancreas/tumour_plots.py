"""Figures of tumours in single cells and on a section. What is not trusted is grey."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from anndata import AnnData
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from sicmir.cells.cell_annotation import UNASSIGNED
from sicmir.networks import network_plot
from sicmir.plots import cohort_styles

_COLOURS = sns.color_palette("colorblind", 10).as_hex()
_GREY = "0.75"
_WIDE = 2.5
"""Size of an effect, log2, from which colours do not deepen."""


def type_styles(names: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Colour and marker of each cell type; cells without a name are grey."""
    styles = cohort_styles(name for name in names if name != UNASSIGNED)
    return styles | {UNASSIGNED: (_GREY, "o")}


def cell_map(plane: pd.DataFrame, obs: pd.DataFrame) -> Figure:
    """Cells in a plane, coloured by cell type and by donor.

    Parameters
    ----------
    plane
        Cells × ``x, y``.
    obs
        ``cell_type`` and ``donor`` of the same cells.
    """
    figure, axes = plt.subplots(1, 2, figsize=(10.5, 5.0))
    for ax, column in zip(axes, ("cell_type", "donor"), strict=True):
        labels = obs.loc[plane.index, column].astype(str)
        styles = type_styles(labels.unique()) if column == "cell_type" else cohort_styles(labels.unique())
        for name, (colour, marker) in styles.items():
            rows = (labels == name).to_numpy()
            if rows.any():
                ax.scatter(
                    plane["x"][rows],
                    plane["y"][rows],
                    s=9,
                    color=colour,
                    marker=marker,
                    linewidths=0,
                    label=f"{name} ({rows.sum()})",
                )
        ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.08), ncols=2, markerscale=2, fontsize="small")
        ax.set(xticks=[], yticks=[], xlabel="t-SNE 1", ylabel="t-SNE 2", title=column.replace("_", " "))
    return figure


def gene_dots(clustered: AnnData, markers: Mapping[str, Sequence[str]]) -> Figure:
    """Marker genes (columns, by the type that they stand for) in the cells of each type.

    Size is the share of cells with the gene, colour its mean as a share of the highest type's.
    """
    genes = list(dict.fromkeys(gene for one in markers.values() for gene in one))
    values = clustered[:, genes].to_df()
    labels = clustered.obs["cell_type"].astype(str).to_numpy()
    means, shares = values.groupby(labels).mean(), (values > 0).groupby(labels).mean()
    order = [name for name in markers if name in means.index]
    order += [name for name in means.index if name not in order]
    scaled = (means / means.max().where(means.max() > 0, 1)).loc[order]
    figure, ax = plt.subplots(figsize=(0.32 * len(genes) + 2.6, 0.36 * len(order) + 1.9))
    x, y = np.meshgrid(np.arange(len(genes)), np.arange(len(order))[::-1])
    points = ax.scatter(
        x,
        y,
        s=6 + 110 * shares.loc[order, genes].to_numpy(),
        c=scaled[genes].to_numpy(),
        cmap="Blues",
        vmin=0,
        vmax=1,
    )
    points.set_edgecolor("0.5")
    points.set_linewidth(0.4)
    ax.set_xticks(range(len(genes)), genes, rotation=90, fontsize="small")
    ax.set_yticks(range(len(order))[::-1], order)
    ax.set(xlim=(-0.7, len(genes) - 0.3), ylim=(-0.7, len(order) - 0.3))
    figure.colorbar(points, ax=ax, label="mean, share of highest", shrink=0.8)
    return figure


def mirna_dots(markers: pd.DataFrame, mirnas: Sequence[str]) -> Figure:
    """Predicted difference of each cell type (rows) from the others, for some miRNAs (columns).

    Colour is the difference, log2. Filled: the interval over donors does not hold 0; open: it does, or
    there are too few donors for one. Grey: graded too low to count.

    Parameters
    ----------
    markers
        As :func:`sicmir.stats.markers` gives them.
    mirnas
        Columns.
    """
    table = markers[markers["mirna"].isin(list(mirnas)) & markers["effect"].notna()]
    order = sorted(table["cell_type"].astype(str).unique())
    places = {name: place for place, name in enumerate(reversed(order))}
    columns = {name: place for place, name in enumerate(mirnas)}
    figure, ax = plt.subplots(figsize=(0.3 * len(mirnas) + 2.6, 0.4 * len(order) + 2.0))
    norm = plt.Normalize(-_WIDE, _WIDE)
    colours = plt.get_cmap("RdBu_r")
    for row in table.itertuples():
        told = np.isfinite(row.lower) and not row.lower <= 0 <= row.upper
        colour = _GREY if row.greyed else colours(norm(row.effect))
        ax.scatter(
            columns[row.mirna],
            places[str(row.cell_type)],
            s=15 + 45 * min(abs(row.effect), _WIDE),
            facecolors=colour if told else "none",
            edgecolors=colour if not told else "0.4",
            linewidths=0.5 if told else 1.6,
        )
    ax.set_xticks(range(len(mirnas)), list(mirnas), rotation=90, fontsize="small")
    ax.set_yticks(list(places.values()), list(places))
    ax.set(xlim=(-0.7, len(mirnas) - 0.3), ylim=(-0.7, len(order) - 0.3))
    figure.colorbar(
        plt.cm.ScalarMappable(norm, colours), ax=ax, label="difference, log2", extend="both", shrink=0.8
    )
    return figure


def signs(judged: pd.DataFrame, grades: str = "AB") -> Figure:
    """Predicted against measured differences of known direction, one panel a cell type.

    Parameters
    ----------
    judged
        As :func:`sicmir.cells.marker_agreement.signs` gives it.
    grades
        Grades in colour; all others are grey.
    """
    types = sorted(judged["cell_type"].unique())
    columns = min(3, max(len(types), 1))
    rows = max(-(-len(types) // columns), 1)
    figure, axes = plt.subplots(rows, columns, figsize=(3.5 * columns, 3.2 * rows), squeeze=False)
    palette = dict(zip(grades, (_COLOURS[0], _COLOURS[9]), strict=False))
    for ax, name in zip(axes.flat, types, strict=False):
        part = judged[judged["cell_type"] == name]
        for grade in [*sorted(set(part["grade"]) - set(grades)), *reversed(grades)]:
            own = part[part["grade"] == grade]
            colour = palette.get(grade, _GREY)
            ax.scatter(own["measured"], own["predicted"], s=26, color=colour, linewidths=0)
        ax.axhline(0, color=_GREY, lw=1, zorder=0)
        ax.axvline(0, color=_GREY, lw=1, zorder=0)
        best = part[part["grade"] == grades[0]]
        ax.set_title(
            f"{name}\n{grades[0]}: {int(best['agrees'].sum())} of {len(best)} signs", fontsize="small"
        )
    for ax in axes.flat[len(types) :]:
        ax.remove()
    handles = [
        Line2D([], [], marker="o", ls="", color=palette[grade], label=f"grade {grade}") for grade in palette
    ]
    handles.append(Line2D([], [], marker="o", ls="", color=_GREY, label="below"))
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles), fontsize="small")
    figure.supxlabel("measured, log2 from the other cell types", fontsize="medium")
    figure.supylabel("predicted", fontsize="medium")
    return figure


def donor_ranges(table: pd.DataFrame, top: int = 8) -> Figure:
    """Differences between two conditions with their limits, one panel a cell type.

    Parameters
    ----------
    table
        As :func:`sicmir.donors.few_donors.donor_pairs` or
        :func:`sicmir.chapters.pancreas.tumour_contrasts.between_conditions` gives it. In colour: findings of
        a test; of ranges over pairs of donors, those in which all go the same way.
    top
        miRNAs of each cell type, the first by rank.
    """
    shown = table[table["rank"] <= top]
    types = list(dict.fromkeys(shown["cell_type"]))
    columns = min(3, max(len(types), 1))
    rows = max(-(-len(types) // columns), 1)
    figure, axes = plt.subplots(
        rows, columns, figsize=(3.9 * columns, (0.24 * top + 1.2) * rows), squeeze=False
    )
    for ax, name in zip(axes.flat, types, strict=False):
        part = shown[shown["cell_type"] == name].sort_values("rank", ascending=False, kind="stable")
        places = np.arange(len(part))
        several = min(part["n_case"].min(), part["n_reference"].min()) > 1
        tested = "tested" in part and part["tested"].any()
        sure = part["finding"] if tested else part["separated"] & several
        colours = np.where(sure, _COLOURS[0], _GREY)
        ax.hlines(places, part["lower"], part["upper"], color=colours, lw=3, alpha=0.6)
        ax.scatter(part["effect"], places, color=colours, s=26, zorder=3)
        ax.axvline(0, color=_GREY, lw=1, zorder=0)
        ax.set_yticks(places, part["mirna"], fontsize="small")
        counts = f"{part['n_case'].iloc[0]} against {part['n_reference'].iloc[0]} donors"
        ax.set_title(f"{name}\n{counts}{', tested' if tested else ''}", fontsize="small")
    for ax in axes.flat[len(types) :]:
        ax.remove()
    figure.supxlabel("difference, log2, with its limits", fontsize="medium")
    return figure


def target_network(edges: pd.DataFrame, mirnas: Sequence[str], seed: int = 0) -> Figure:
    """Draw miRNAs with their edges (``network_plot.network_figure``), or say that there are none.

    Parameters
    ----------
    edges, mirnas
        As :func:`sicmir.chapters.pancreas.tumour_study.target_network` gives them.
    seed
        Of the layout.
    """
    if mirnas:
        return network_plot.network_figure(edges, mirnas, n_targets=8, seed=seed)
    figure, ax = plt.subplots(figsize=(8, 1))
    ax.axis("off")
    ax.text(0.5, 0.5, "No miRNA has targets that go against it in all donors.", ha="center", va="center")
    return figure


def section(spots: pd.DataFrame, painted: Mapping[str, pd.Series]) -> Figure:
    """Spots of a section: by region, and by what was predicted of the window around each.

    Parameters
    ----------
    spots
        ``x``, ``y`` and ``region`` of each spot.
    painted
        miRNA → value of each spot, NaN in grey.
    """
    columns = min(2, len(painted) + 1)
    rows = -(-(len(painted) + 1) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(5.2 * columns, 4.2 * rows), squeeze=False)
    regions = spots["region"].astype(str)
    ax = axes.flat[0]
    for name, (colour, marker) in cohort_styles(regions[regions != ""]).items():
        inside = (regions == name).to_numpy()
        ax.scatter(
            spots["x"][inside], spots["y"][inside], s=34, color=colour, marker=marker, lw=0, label=name
        )
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.02), ncols=2, fontsize="small")
    ax.set_title("region")
    for ax, (name, values) in zip(axes.flat[1:], painted.items(), strict=False):
        known = values.notna().to_numpy()
        ax.scatter(spots["x"][~known], spots["y"][~known], s=30, color="0.88", linewidths=0)
        if known.any():
            points = ax.scatter(
                spots["x"][known], spots["y"][known], s=34, c=values[known], cmap="viridis", linewidths=0
            )
            figure.colorbar(points, ax=ax, label="log2(RPM+1) of the window", shrink=0.8)
        ax.set_title(name)
    for ax in axes.flat[len(painted) + 1 :]:
        ax.remove()
    for ax in figure.axes[: len(painted) + 1]:
        ax.set(xticks=[], yticks=[], aspect="equal")
        ax.invert_yaxis()
    return figure
