"""Modules of a miRNA-gene network: communities that are denser inside than between."""

from __future__ import annotations

from itertools import combinations

import networkx as nx
import numpy as np
import pandas as pd
from sklearn.metrics import adjusted_rand_score

from sicmir.errors import DataError, ParameterError

Communities = list[set[str]]

TRADES = 5
"""Trades for each miRNA of a shuffled graph; Strona 2014 finds that this many mix well."""


def modules(
    graph: nx.Graph, seed: int = 0, n_runs: int = 10, n_shuffles: int = 19, resolution: float = 1.0
) -> tuple[pd.DataFrame, pd.Series]:
    """Divide a network by the method of Louvain (Blondel 2008, doi 10.1088/1742-5468/2008/10/P10008).

    The method depends on the order of the nodes: it is run several times, and the division of the largest
    modularity is taken. Any graph can be divided, random ones too, with a modularity well above 0. One run is
    therefore compared with one run each on shuffled graphs, in which every miRNA keeps the weights of its
    edges and every gene its number of edges (curveball trades: Strona 2014, doi 10.1038/ncomms5114).

    Parameters
    ----------
    graph
        As :func:`sicmir.networks.network.graph` gives it; edges have a ``weight``, nodes a ``kind``.
    seed
        Of runs and shuffles.
    n_runs
        Number of runs, at least 2.
    n_shuffles
        Number of shuffled graphs, at least 1; each is divided once.
    resolution
        Above 1 for smaller modules, below 1 for larger ones.

    Returns
    -------
    table
        Index ``node``, sorted by module; ``kind``; ``module``, from 1 (the most nodes); ``strength``, the sum
        of weights, and ``inside``, its share that stays inside the module.
    quality
        ``n_modules``; ``modularity`` of the division; ``run_modularity``, that of the first run, and
        ``expected``, the mean over shuffled graphs; ``p``, (b + 1) / (n_shuffles + 1) with b shuffled graphs
        that reach the first run; ``agreement``, the mean adjusted Rand index of pairs of runs.

    Raises
    ------
    DataError
        If the graph has no edge, one without a weight above 0, or one that does not join miRNA and gene.
    ParameterError
        If an option is out of range.

    Examples
    --------
    >>> import networkx
    >>> from sicmir.networks import modules
    >>> graph = networkx.Graph()
    >>> graph.add_nodes_from(["miR-1", "miR-2"], kind="mirna")
    >>> graph.add_nodes_from(["A", "B", "C", "D"], kind="gene")
    >>> pairs = [("miR-1", "A"), ("miR-1", "B"), ("miR-2", "C"), ("miR-2", "D")]
    >>> graph.add_edges_from(pairs, weight=0.5)
    >>> table, quality = modules.modules(graph)
    >>> int(quality["n_modules"]), table["module"].to_dict()
    (2, {'miR-1': 1, 'A': 1, 'B': 1, 'miR-2': 2, 'C': 2, 'D': 2})
    """
    if n_runs < 2 or n_shuffles < 1 or not resolution > 0:
        raise ParameterError(
            f"Expected n_runs of at least 2, n_shuffles of at least 1 and resolution above 0; found "
            f"{n_runs!r}, {n_shuffles!r} and {resolution!r}."
        )
    _check(graph)
    rng = np.random.default_rng(seed)

    def divide(divided: nx.Graph) -> tuple[Communities, float]:
        run = nx.community.louvain_communities(divided, resolution=resolution, seed=int(rng.integers(2**31)))
        return run, nx.community.modularity(divided, run, resolution=resolution)

    runs = [divide(graph) for _ in range(n_runs)]
    shuffled = [divide(_shuffled(graph, rng))[1] for _ in range(n_shuffles)]
    nodes = list(graph)
    scores = [score for _, score in runs]
    labels = [_labels(run, nodes) for run, _ in runs]
    best = int(np.argmax(scores))
    reached = sum(score >= scores[0] for score in shuffled)
    quality = {
        "n_modules": int(labels[best].max()),
        "modularity": scores[best],
        "run_modularity": scores[0],
        "expected": np.mean(shuffled),
        "p": (reached + 1) / (n_shuffles + 1),
        "agreement": np.mean([adjusted_rand_score(a, b) for a, b in combinations(labels, 2)]),
    }
    return _table(graph, labels[best]), pd.Series(quality)


def _check(graph: nx.Graph) -> None:
    weights = np.array([weight for *_, weight in graph.edges(data="weight", default=np.nan)], dtype=float)
    if not len(weights) or not (weights > 0).all():
        raise DataError(
            f"Expected a graph whose edges have weights above 0; found {len(weights)} edges, "
            f"{int((~(weights > 0)).sum())} without."
        )
    kinds = nx.get_node_attributes(graph, "kind", default="")
    for source, target in graph.edges:
        if {kinds[source], kinds[target]} != {"mirna", "gene"}:
            raise DataError(f"The edge {source} - {target} does not join a miRNA and a gene (node kind).")


def _shuffled(graph: nx.Graph, rng: np.random.Generator) -> nx.Graph:
    """Let pairs of miRNAs trade genes that only one of them has, and deal each one's weights out anew."""
    mirnas = [node for node, kind in graph.nodes(data="kind") if kind == "mirna"]
    genes = [set(graph[mirna]) for mirna in mirnas]
    for _ in range(TRADES * len(mirnas) if len(mirnas) > 1 else 0):
        one, two = rng.choice(len(mirnas), 2, replace=False)
        own = genes[one] - genes[two]
        pool = rng.permutation(sorted(own ^ (genes[two] - genes[one])))
        both = genes[one] & genes[two]
        genes[one], genes[two] = both | set(pool[: len(own)]), both | set(pool[len(own) :])
    made = nx.Graph()
    made.add_nodes_from(graph)
    for mirna, names in zip(mirnas, genes, strict=True):
        weights = rng.permutation([facts["weight"] for facts in graph[mirna].values()])
        made.add_weighted_edges_from((mirna, *pair) for pair in zip(sorted(names), weights, strict=True))
    return made


def _labels(run: Communities, nodes: list[str]) -> np.ndarray:
    """Number of the community of each node, from 1 for the largest; ties by the first node."""
    place = {node: number for number, node in enumerate(nodes)}
    ordered = sorted(run, key=lambda part: (-len(part), min(place[node] for node in part)))
    found = {node: number for number, part in enumerate(ordered, start=1) for node in part}
    return np.array([found[node] for node in nodes])


def _table(graph: nx.Graph, labels: np.ndarray) -> pd.DataFrame:
    nodes = list(graph)
    strength = dict(graph.degree(weight="weight"))
    module = dict(zip(nodes, labels, strict=True))
    inside = dict.fromkeys(nodes, 0.0)
    for source, target, weight in graph.edges(data="weight"):
        if module[source] == module[target]:
            inside[source] += weight
            inside[target] += weight
    table = pd.DataFrame(
        {
            "kind": [graph.nodes[node]["kind"] for node in nodes],
            "module": labels,
            "strength": [strength[node] for node in nodes],
            "inside": [inside[node] / strength[node] if strength[node] else np.nan for node in nodes],
        },
        index=pd.Index(nodes, name="node"),
    )
    return table.sort_values(["module", "strength"], ascending=[True, False], kind="stable")
