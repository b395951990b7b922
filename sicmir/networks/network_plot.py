"""Figures of hubs and of networks. What is not trusted is grey."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import networkx as nx
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from sicmir.errors import DataError, ParameterError

_COLOURS = sns.color_palette("colorblind", 10).as_hex()
_MIRNA, _GENE, _GREY = _COLOURS[0], _COLOURS[1], "0.7"


def hub_figure(table: pd.DataFrame, top: int = 20, fdr: float = 0.05) -> Figure:
    """First hubs by z: how far their weighted degree lies above that of matched genes, and how often.

    Parameters
    ----------
    table
        As :func:`sicmir.networks.hubs.hubs` gives it.
    top
        Number of miRNAs, at least 1.
    fdr
        Filled marks for q up to here.

    Raises
    ------
    ParameterError
        If ``top`` is below 1.
    DataError
        If no miRNA is ranked.
    """
    if top < 1:
        raise ParameterError(f"top should be at least 1, found {top!r}.")
    shown = table[table["rank"].notna()].head(top)[::-1]
    if shown.empty:
        raise DataError("No miRNA is ranked; there is no hub to be shown.")
    figure, axes = plt.subplots(1, 2, figsize=(8, 0.9 + 0.25 * len(shown)), sharey=True, width_ratios=[3, 1])
    places = np.arange(len(shown))
    for chosen, face, label in (
        (shown["q"] <= fdr, _MIRNA, f"q ≤ {fdr:g}"),
        (~(shown["q"] <= fdr), "white", f"q > {fdr:g}"),
    ):
        axes[0].scatter(shown["z"][chosen], places[chosen], s=40, c=face, edgecolors=_MIRNA, label=label)
    axes[0].axvline(0, color=_GREY, lw=1, zorder=0)
    axes[0].set(xlabel="weighted degree above matched genes (SD of draws)")
    axes[0].set_yticks(places, shown.index)
    axes[0].legend(loc="lower right")
    axes[1].barh(places, shown["top_share"], color=_GREY, height=0.6)
    axes[1].set(xlabel="share of resamplings\namong the first", xlim=(0, 1))
    return figure


def network_figure(
    edges: pd.DataFrame, mirnas: Sequence[str], n_targets: int = 12, fdr: float = 0.05, seed: int = 0
) -> Figure:
    """Some miRNAs with their strongest edges.

    miRNAs that are not counted are drawn in grey with all their edges; so are edges above ``fdr``.

    Parameters
    ----------
    edges
        As :func:`sicmir.networks.network.edges` gives it.
    mirnas
        miRNAs to show.
    n_targets
        Edges of each miRNA, those of the largest weight.
    fdr
        Largest q of an edge in colour.
    seed
        Of the layout.

    Raises
    ------
    ParameterError
        If a miRNA has no tested edge, or none is given, or ``n_targets`` is below 1.
    """
    tested = edges[(edges["status"] == "tested") & (edges["weight"] > 0)]
    absent = [name for name in mirnas if name not in set(tested["mirna"])]
    if absent or not len(mirnas) or n_targets < 1:
        raise ParameterError(
            f"mirnas: {', '.join(absent) or 'none given'} (n_targets={n_targets}); expected miRNAs with a "
            "tested edge of r < 0, and n_targets of at least 1."
        )
    shown = tested[tested["mirna"].isin(mirnas)].sort_values("weight", ascending=False, kind="stable")
    shown = shown.groupby("mirna", sort=False).head(n_targets)
    graph = nx.Graph()
    graph.add_weighted_edges_from(shown[["mirna", "gene", "weight"]].itertuples(index=False))
    places = nx.spring_layout(graph, weight=None, seed=seed, k=2.2 / np.sqrt(len(graph)))
    counted = shown.groupby("mirna")["counted"].first()
    genes = [node for node in graph if node not in counted.index]
    figure, ax = plt.subplots(figsize=(8, 7))
    coloured = ((shown["q"] <= fdr) & shown["counted"]).to_numpy()
    nx.draw_networkx_edges(
        graph,
        places,
        edgelist=list(shown[["mirna", "gene"]].itertuples(index=False, name=None)),
        width=(0.5 + 3 * shown["weight"] / shown["weight"].max()).tolist(),
        edge_color=np.where(coloured, _MIRNA, _GREY).tolist(),
        alpha=0.6,
        ax=ax,
    )
    nx.draw_networkx_nodes(graph, places, nodelist=genes, node_size=45, node_color=_GENE, ax=ax)
    for trusted, colour in ((True, _MIRNA), (False, _GREY)):
        nodes = counted.index[counted == trusted].tolist()
        nx.draw_networkx_nodes(
            graph, places, nodelist=nodes, node_size=320, node_color=colour, node_shape="D", ax=ax
        )
    nx.draw_networkx_labels(graph, places, labels={gene: gene for gene in genes}, font_size=7, ax=ax)
    nx.draw_networkx_labels(
        graph, places, labels={name: name for name in counted.index}, font_size=9, font_weight="bold", ax=ax
    )
    marks = (
        ("D", _MIRNA, "miRNA"),
        ("D", _GREY, "miRNA below the smallest grade"),
        ("o", _GENE, "target"),
    )
    handles = [Line2D([], [], marker=m, color=c, ls="", label=text) for m, c, text in marks]
    handles.append(Line2D([], [], color=_MIRNA, lw=2, label=f"q ≤ {fdr:g}"))
    handles.append(Line2D([], [], color=_GREY, lw=2, label=f"q > {fdr:g} or not counted"))
    ax.legend(handles=handles, loc="upper left", bbox_to_anchor=(1, 1))
    ax.set_axis_off()
    return figure
