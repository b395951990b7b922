from itertools import permutations, product

import networkx as nx
import numpy as np
import pytest
from scipy.stats import binom, norm

from sicmir.networks.hub_null import DAMPING, TargetSets, permutation_p


def small_sets(seed=0):
    """Three miRNAs over eight genes in two bins of four, with weights."""
    rng = np.random.default_rng(seed)
    mirna, gene = np.array([0, 0, 0, 1, 1, 2]), np.array([0, 1, 4, 1, 2, 6])
    return TargetSets(mirna, gene, rng.uniform(0.5, 2, 6), (3, 8), np.repeat([0, 1], 4))


def every_draw(sets):
    """All permutations of the genes within both bins, enumerated."""
    for one, two in product(permutations(range(4)), permutations(range(4, 8))):
        yield np.array(one + two)[sets.gene]


@pytest.fixture
def association():
    return np.random.default_rng(1).gamma(1, size=(3, 8))


def degrees(sets, association, gene):
    found = np.zeros(sets.shape[0])
    for mirna, weight, place in zip(sets.mirna, sets.weight, gene, strict=True):
        found[mirna] += weight * association[mirna, place]
    return found


def test_expectation_is_exact_over_all_draws(association):
    sets = small_sets()
    drawn = np.array([degrees(sets, association, gene) for gene in every_draw(sets)])
    mean, spread = sets.expected(association)
    np.testing.assert_allclose(mean, drawn.mean(axis=0))
    np.testing.assert_allclose(spread, drawn.std(axis=0))
    np.testing.assert_allclose(sets.total(association), degrees(sets, association, sets.gene))


def test_p_is_the_share_of_draws_that_reach_the_set(association):
    sets, n = small_sets(), 1000
    observed = sets.total(association)
    drawn = np.array([degrees(sets, association, gene) for gene in every_draw(sets)])
    exact = (drawn >= observed - 1e-9).mean(axis=0)
    degree, _, _ = sets.permuted(association, n, seed=3)
    np.testing.assert_allclose(permutation_p(observed, degree), exact, atol=4 * np.sqrt(0.25 / n))
    again, _, _ = sets.permuted(association, n, seed=3)
    np.testing.assert_array_equal(degree, again)
    # All draws of a flat association are ties, which count as reached.
    flat = np.ones((3, 8))
    assert (permutation_p(sets.total(flat), sets.permuted(flat, 50)[0], 2.0) == 1).all()


def test_inflation_widens_the_draws():
    draws = np.random.default_rng(0).normal(5, 1, size=(20000, 2))
    observed, inflation = np.array([6.0, 7.5]), np.array([1.0, 4.0])
    found = permutation_p(observed, draws, inflation)
    np.testing.assert_allclose(found, norm.sf(observed, 5, [1, 2]), atol=0.01)
    unknown = permutation_p(np.array([np.nan, 6.0]), draws, np.array([1.0, np.nan]))
    assert np.isnan(unknown).all()


def test_p_holds_in_the_tails_where_the_inflation_is_estimated_from_few_donors():
    """The truth is three times as wide as the draws; how much is known from five degrees of freedom."""
    rng, df, n = np.random.default_rng(7), 5, 4000
    draws = rng.normal(size=(1999, n))
    observed = rng.normal(scale=3, size=n)
    inflation = np.maximum(9 * rng.chisquare(df, n) / df, 1)
    found, without = permutation_p(observed, draws, inflation, df), permutation_p(observed, draws, inflation)
    for level in (0.05, 0.01, 0.001):
        low, high = binom.ppf([0.001, 0.999], n, level)
        assert low <= (found <= level).sum() <= high
    assert (without <= 0.001).mean() > 0.01


def test_draws_are_matched_and_without_repeats():
    rng = np.random.default_rng(2)
    bins = rng.integers(0, 5, 200)
    mirna = np.repeat(np.arange(4), 20)
    gene = np.concatenate([rng.choice(200, 20, replace=False) for _ in range(4)])
    sets = TargetSets(mirna, gene, np.ones(80), (4, 200), bins)
    shared = set(gene[:20]) & set(gene[20:40])
    seen = np.zeros(200)
    for drawn in sets.draws(300, 0, False):
        assert (bins[drawn] == bins[gene]).all()
        assert all(len(set(drawn[mirna == m])) == 20 for m in range(4))
        assert len(set(drawn[:20]) & set(drawn[20:40])) == len(shared)
        seen[drawn[:20]] += 1
    expected = np.bincount(bins[gene[:20]], minlength=5)[bins] / np.bincount(bins)[bins]
    assert np.abs(seen / 300 - expected).max() < 0.15


def test_overlap_is_that_of_the_draws():
    sets = small_sets()
    own = [{0, 1, 4}, {1, 2}, {6}]
    shares = [
        [len(own[m] & set(gene[sets.mirna == m])) / len(own[m]) for m in range(3)]
        for gene in every_draw(sets)
    ]
    np.testing.assert_allclose(sets.overlap(), np.mean(shares, axis=0))


def test_pagerank_is_that_of_networkx(association):
    sets = small_sets()
    association[2] = 0  # a miRNA, and a gene, without any edge
    graph = nx.Graph()
    graph.add_nodes_from([f"m{m}" for m in range(3)] + [f"g{g}" for g in np.unique(sets.gene)])
    for mirna, gene, weight in zip(sets.mirna, sets.gene, sets.weight, strict=True):
        if association[mirna, gene] > 0:
            graph.add_edge(f"m{mirna}", f"g{gene}", weight=weight * association[mirna, gene])
    expected = nx.pagerank(graph, alpha=DAMPING, tol=1e-12, max_iter=1000)
    found = sets.permuted(association, 1)[2]
    np.testing.assert_allclose(found, [expected[f"m{m}"] for m in range(3)], rtol=1e-8)


def test_targets_less_matched_genes_and_how_much_draws_vary():
    sets, units = small_sets(), np.random.default_rng(5).normal(size=(6, 8))
    found, expected = sets.relative(units)
    chance = np.zeros(3)
    for gene in every_draw(sets):
        for m in range(3):
            rows = sets.mirna == m
            weight = sets.weight[rows]
            matched = np.array([units[:, sets.bins == sets.bins[g]].mean(axis=1) for g in sets.gene[rows]]).T
            np.testing.assert_allclose(found[:, m], (units[:, sets.gene[rows]] - matched) @ weight)
            chance[m] += np.square((units[:, gene[rows]] - matched) @ weight).sum() / 24**2
    np.testing.assert_allclose(chance, expected)
