"""Modules of a miRNA-gene network, with the gene sets that each is richest in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import networkx as nx
import numpy as np
import pandas as pd
from scipy.stats import hypergeom

from sicmir.errors import DataError
from sicmir.networks import enrichment, network
from sicmir.networks.enrichment import GeneSets
from sicmir.networks.modules import modules

FEWEST_EDGES = 20
"""Significant edges below which the edges of the smallest p are taken in their place."""

MODULE = ["module", "n_mirnas", "n_genes", "mirnas", "set", "overlap", "expected", "p", "q"]
"""Columns of :func:`pathways`."""


@dataclass(frozen=True, eq=False)
class Network:
    """A network that was divided.

    Attributes
    ----------
    edges
        The edges of the graph, rows of :func:`sicmir.networks.network.edges`.
    n_tested
        Edges that were tested and count.
    significant
        Whether the edges have q up to the false discovery rate. If not, they are those of the smallest p: a
        picture of what might be there, and no finding.
    graph
        The graph; where the edges are not significant, the attribute ``q`` holds their p.
    nodes, quality
        As :func:`sicmir.networks.modules.modules` gives them.
    """

    edges: pd.DataFrame
    n_tested: int
    significant: bool
    graph: nx.Graph
    nodes: pd.DataFrame
    quality: pd.Series


def divide(edges: pd.DataFrame, fdr: float = 0.05, n_edges: int = 300, seed: int = 0) -> Network:
    """Divide the network of the significant edges, or of those of the smallest p where there are too few.

    Parameters
    ----------
    edges
        As :func:`sicmir.networks.network.edges` gives it.
    fdr
        Largest q of an edge.
    n_edges
        Number of edges where fewer than :data:`FEWEST_EDGES` have that q.
    seed
        Of the division.

    Raises
    ------
    DataError
        If no edge was tested.
    ParameterError
        If ``fdr`` is out of range.
    """
    tested = edges[(edges["status"] == "tested") & edges["counted"] & edges["p"].notna()]
    if tested.empty:
        raise DataError("No edge was tested, so there is no network to be divided.")
    chosen = tested[tested["q"] <= fdr]
    significant = len(chosen) >= FEWEST_EDGES
    if significant:
        graph = network.graph(chosen, fdr)
    else:
        chosen = tested[tested["weight"] > 0].nsmallest(n_edges, "p")
        graph = network.graph(chosen.assign(q=0.5 * chosen["p"]), 0.5)
        nx.set_edge_attributes(graph, {(row.mirna, row.gene): row.p for row in chosen.itertuples()}, "q")
    nodes, quality = modules(graph, seed=seed)
    return Network(chosen, len(tested), significant, graph, nodes, quality)


def pathways(divided: Network, edges: pd.DataFrame, sets: GeneSets, min_genes: int = 5) -> pd.DataFrame:
    """One row a module: its miRNAs, its genes, and the gene set that these are richest in.

    Parameters
    ----------
    divided
        As :func:`divide` gives it.
    edges
        The table that it was made from: the genes of its tested edges are the background.
    sets
        Gene sets by name.
    min_genes
        Fewest genes of a module that is looked at.

    Returns
    -------
    DataFrame
        ``module``; ``n_mirnas``, ``n_genes``; ``mirnas``, strongest first; ``set``, ``overlap``,
        ``expected``, ``p`` and ``q`` of the best set, corrected over the sets of that module; "" and NaN
        where no set fits.
    """
    background = edges.loc[edges["status"] == "tested", "gene"].unique()
    rows = []
    for module, nodes in divided.nodes.groupby("module"):
        genes = nodes.index[nodes["kind"] == "gene"]
        mirnas = nodes.index[nodes["kind"] == "mirna"]
        row = {"module": module, "n_mirnas": len(mirnas), "n_genes": len(genes)}
        row |= {"mirnas": ", ".join(mirnas[:5]) + (", …" if len(mirnas) > 5 else "")}
        rows.append(row | _best(genes, sets, background, min_genes))
    return pd.DataFrame(rows, columns=MODULE)


def shared_edges(one: Network, two: Network) -> pd.Series:
    """How many edges two networks of the same tested pairs share, and how many at random (hypergeometric).

    Returns
    -------
    Series
        ``n_one``, ``n_two``, ``shared``, ``expected``, ``p``. Edges of a miRNA are not independent: p is too
        small, and is a description.
    """
    sides = [set(zip(side.edges["mirna"], side.edges["gene"], strict=True)) for side in (one, two)]
    sizes, shared = [len(side) for side in sides], len(sides[0] & sides[1])
    total = max(one.n_tested, two.n_tested)
    return pd.Series(
        {
            "n_one": sizes[0],
            "n_two": sizes[1],
            "shared": shared,
            "expected": sizes[0] * sizes[1] / total,
            "p": hypergeom.sf(shared - 1, total, *sizes),
        }
    )


def described(networks: Mapping[str, Network]) -> pd.DataFrame:
    """One row a network: its edges, whether they are significant, and its division; then what is shared."""
    rows = []
    for name, one in networks.items():
        row = {
            "network": name,
            "edges": len(one.edges),
            "of": one.n_tested,
            "significant": "yes" if one.significant else "no",
        }
        quality = one.quality
        row |= {"modules": int(quality["n_modules"]), "modularity": quality["modularity"]}
        rows.append(
            row | {"shuffled": quality["expected"], "p": quality["p"], "agreement": quality["agreement"]}
        )
    columns = ["network", "edges", "of", "significant", "modules", "modularity"]
    table = pd.DataFrame(rows, columns=[*columns, "shuffled", "p", "agreement"])
    if len(networks) == 2:
        shared = shared_edges(*networks.values())
        table["shared edges"] = int(shared["shared"])
        table["shared at random"] = f"{shared['expected']:.1f}"
    return table


def below_each_other(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Tables of :func:`pathways` in one, with the column ``network``; empty if there is none."""
    named = [table.assign(network=name) for name, table in tables.items()]
    return pd.concat(named) if named else pd.DataFrame(columns=["network", *MODULE])


def largest(tables: Mapping[str, pd.DataFrame], n: int = 5) -> pd.DataFrame:
    """The largest modules of several tables of :func:`pathways`, below each other, as a page shows them."""
    joined = below_each_other({name: table.head(n) for name, table in tables.items()})
    words = joined["set"].astype(object).str.replace("_", " ").replace("", "–")
    columns = ["network", "module", "mirnas", "n_genes", "set", "overlap", "expected", "q"]
    return joined.assign(set=words, overlap=joined["overlap"].astype("Int64"))[columns]


def _best(genes: pd.Index, sets: GeneSets, background: np.ndarray, min_genes: int) -> dict[str, object]:
    nothing = {"set": "", **dict.fromkeys(("overlap", "expected", "p", "q"), np.nan)}
    if len(genes) < min_genes:
        return nothing
    try:
        table = enrichment.over_representation(genes, sets, background)
    except DataError:  # no set has genes enough in the background
        return nothing
    best = table.iloc[0]
    return {"set": best.name, **best[["overlap", "expected", "p", "q"]].to_dict()}
