import networkx as nx
import numpy as np
import pytest

from sicmir.errors import DataError, ParameterError
from sicmir.networks.modules import _shuffled, modules


def blocks(n_blocks, inside=0.8, outside=0.02, seed=0):
    """Bipartite graph of blocks of 4 miRNAs and 20 genes."""
    rng = np.random.default_rng(seed)
    graph = nx.Graph()
    for m in range(4 * n_blocks):
        for g in range(20 * n_blocks):
            chance = inside if m // 4 == g // 20 else outside
            if rng.random() < chance:
                graph.add_edge(f"m{m}", f"g{g}", weight=rng.uniform(0.2, 1))
    for node in graph:
        graph.nodes[node]["kind"] = "mirna" if node.startswith("m") else "gene"
    return graph


def test_planted_blocks_are_the_modules():
    graph = blocks(3)
    table, quality = modules(graph)
    assert quality["n_modules"] == 3
    assert quality["agreement"] > 0.9
    assert quality["modularity"] > 0.5 > quality["expected"]
    assert quality["p"] == 1 / 20
    block = {f"m{m}": m // 4 for m in range(12)} | {f"g{g}": g // 20 for g in range(60)}
    pairs = {(block[node], module) for node, module in table["module"].items()}
    assert len(pairs) == 3
    assert table["module"].is_monotonic_increasing
    parts = [set(table.index[table["module"] == module]) for module in (1, 2, 3)]
    assert quality["modularity"] == pytest.approx(nx.community.modularity(graph, parts))
    assert table.loc["m0", "kind"] == "mirna"
    assert table.loc["m0", "strength"] == pytest.approx(graph.degree("m0", weight="weight"))
    own = set(table.index[table["module"] == table.loc["m0", "module"]])
    kept = sum(graph["m0"][g]["weight"] for g in graph["m0"] if g in own)
    assert table.loc["m0", "inside"] == pytest.approx(kept / table.loc["m0", "strength"])


def test_no_modules_are_found_in_a_random_graph():
    p = np.array([modules(blocks(3, 0.15, 0.15, seed), n_runs=2)[1]["p"] for seed in range(20)])
    assert np.mean(p <= 0.05) <= 0.2  # 20 graphs: five or more by chance once in 400
    assert 0.3 < np.mean(p) < 0.7


def test_shuffling_keeps_every_degree_and_the_weights_of_a_mirna():
    graph = blocks(3)
    shuffled = _shuffled(graph, np.random.default_rng(0))
    assert set(shuffled) == set(graph)
    assert dict(shuffled.degree) == dict(graph.degree)
    for mirna in (f"m{m}" for m in range(12)):
        before, after = (sorted(w for *_, w in g.edges(mirna, data="weight")) for g in (graph, shuffled))
        assert before == after
    # Well mixed: a miRNA has no more genes of its own block than there are among all edges.
    own = np.mean([int(a[1:]) // 4 == int(b[1:]) // 20 for a, b in map(sorted_pair, shuffled.edges)])
    assert own < 0.5
    again = _shuffled(graph, np.random.default_rng(0))
    assert nx.utils.edges_equal(again.edges(data=True), shuffled.edges(data=True))


def sorted_pair(edge):
    return sorted(edge, reverse=True)


def test_seed_and_resolution():
    graph = blocks(4, inside=0.4, outside=0.1, seed=1)
    first, again = modules(graph, seed=3)[0], modules(graph, seed=3)[0]
    assert first.equals(again)
    fine, coarse = (modules(graph, resolution=r)[1]["n_modules"] for r in (3.0, 0.3))
    assert fine > coarse


def test_bad_input_is_refused():
    with pytest.raises(DataError, match="found 0 edges"):
        modules(nx.Graph())
    graph = nx.Graph([("a", "b")])
    with pytest.raises(DataError, match="found 1 edges, 1 without"):
        modules(graph)
    graph.add_edge("a", "b", weight=1.0)
    with pytest.raises(DataError, match="a - b does not join a miRNA and a gene"):
        modules(graph)
    for options in ({"n_runs": 1}, {"n_shuffles": 0}, {"resolution": 0}):
        with pytest.raises(ParameterError, match="n_runs of at least 2"):
            modules(blocks(1), **options)
