import numpy as np
import pytest
from scipy import sparse

from sicmir.errors import DataError
from sicmir.networks.matched_genes import MIN_IN_BIN, N_CLASSES, gene_bins, matched_z, n_comparable


@pytest.fixture
def facts():
    rng = np.random.default_rng(6)
    return rng.normal(size=6000), np.maximum(rng.poisson(2, 6000) - 1, 0), rng.gamma(2, size=6000)


def within(values, bins):
    """SD of what is left of the values inside bins."""
    return np.sqrt(np.mean([values[bins == b].var() for b in range(bins.max() + 1)]))


def test_bins_hold_like_genes(facts):
    mean, degree, spread = facts
    bins = gene_bins(mean, degree, spread)
    sizes = np.bincount(bins)
    assert sizes.min() >= MIN_IN_BIN / 2
    assert within(mean, bins) < 0.5
    assert within(degree.astype(float), bins) < 0.5 * degree.std()
    assert within(spread, bins) < 0.6 * spread.std()
    for b in range(len(sizes)):  # genes without any miRNA stand alone
        assert len(set(degree[bins == b] == 0)) == 1
    classes = {frozenset(degree[bins == b]) for b in range(len(sizes))}
    assert len(set().union(*classes)) == len(set(degree))
    assert len({min(kind) for kind in classes}) <= N_CLASSES + 1


def test_bins_by_expression_alone(facts):
    bins = gene_bins(facts[0])
    assert np.bincount(bins).tolist() == [300] * 20
    assert (np.diff(bins[np.argsort(facts[0])]) >= 0).all()
    assert gene_bins(facts[0][:10]).tolist() == [0] * 10


def test_equal_genes_are_never_torn_apart():
    bins = gene_bins(np.repeat([0.0, 1.0, 5.0], [900, 50, 50]))
    assert len(set(bins[:900])) == 1
    assert bins.max() + 1 == len(np.unique(bins))


def test_z_has_mean_0_and_variance_1_over_sets_drawn_by_lot():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(300, 2)) + np.linspace(0, 4, 300)[:, None]
    bins = gene_bins(np.linspace(0, 4, 300))
    sets = np.zeros((4000, 300))
    for row in sets:
        row[rng.choice(300, 25, replace=False)] = 1
    z = matched_z(values, sparse.csr_matrix(sets), bins)
    np.testing.assert_allclose(z.mean(axis=0), 0, atol=0.06)
    np.testing.assert_allclose(z.std(axis=0), 1, atol=0.06)


def test_z_is_the_difference_of_means_in_one_bin():
    """With all genes in one bin: the two-sample z with the variance over all genes."""
    rng = np.random.default_rng(1)
    values, inside = rng.normal(size=(40, 3)), rng.random(40) < 0.3
    n, others = inside.sum(), (~inside).sum()
    difference = values[inside].mean(axis=0) - values[~inside].mean(axis=0)
    expected = difference / np.sqrt(values.var(axis=0, ddof=1) * (1 / n + 1 / others))
    found = matched_z(values, sparse.csr_matrix(inside[None, :].astype(float)), np.zeros(40, dtype=int))
    np.testing.assert_allclose(found[0], expected)


def test_what_cannot_be_compared_is_nan():
    values = np.column_stack([np.arange(6.0), np.ones(6)])
    members = sparse.csr_matrix(np.array([[1.0, 0, 0, 0, 0, 0], [0] * 6, [1, 1, 1, 0, 0, 0]]))
    z = matched_z(values, members, np.array([0, 0, 0, 1, 1, 1]))
    assert np.isfinite(z[0, 0])
    assert np.isnan(z[1:]).all()  # an empty set; a set that fills its bin
    assert np.isnan(z[:, 1]).all()  # a profile that does not vary
    with pytest.raises(DataError, match="found 6, 6 and 5 genes"):
        matched_z(values, members, np.zeros(5, dtype=int))
    with pytest.raises(DataError, match="finite values"):
        matched_z(np.full((6, 1), np.nan), members, np.zeros(6, dtype=int))


def test_comparable_genes_are_those_that_share_their_bin_with_others():
    bins = np.array([0, 0, 0, 1, 1, 2])
    members = sparse.csr_matrix([[1, 1, 0, 1, 1, 0], [0, 0, 0, 0, 0, 1], [1, 0, 0, 1, 0, 1]])
    assert n_comparable(members, bins).tolist() == [2, 0, 2]
