import numpy as np
import pytest

from sicmir.errors import BundleError, DataError, ParameterError
from sicmir.learning.imputation import GaussianImputer


def low_rank(n, seed=0, n_genes=30, rank=3):
    """Samples × genes that share three factors, SD about 1, with noise of SD 0.3."""
    rng = np.random.default_rng(seed)
    loadings = np.random.default_rng(99).normal(size=(rank, n_genes)) / np.sqrt(rank)
    return rng.normal(size=(n, rank)) @ loadings + 0.3 * rng.normal(size=(n, n_genes))


def with_gaps(X, share, seed=0):
    gaps = np.random.default_rng(seed).random(X.shape) < share
    gaps[gaps.all(axis=1), 0] = False
    return np.where(gaps, np.nan, X), gaps


def rmse(a, b):
    return np.sqrt(((a - b) ** 2).mean())


def test_missing_genes_get_the_conditional_mean_of_a_gaussian_row_by_row():
    train = low_rank(60) + np.linspace(-1, 1, 30)
    new, gaps = with_gaps(low_rank(40, seed=1), 0.4)
    new[10:20, gaps[9]] = np.nan
    new[10:20, ~gaps[9]] = low_rank(10, seed=2)[:, ~gaps[9]]
    found = GaussianImputer(0.2).fit(train).transform(new)
    # The covariance is kept at half precision.
    sigma = np.cov(train.T).astype(np.float16).astype(float) + 0.2 * train.var(
        axis=0, ddof=1
    ).mean() * np.eye(30)
    for row, filled in zip(new, found, strict=True):
        u = np.isnan(row)
        step = sigma[np.ix_(u, ~u)] @ np.linalg.inv(sigma[np.ix_(~u, ~u)])
        np.testing.assert_allclose(filled[u], train.mean(0)[u] + step @ (row - train.mean(0))[~u], atol=1e-9)
        np.testing.assert_array_equal(filled[~u], row[~u])


def test_a_result_depends_on_its_own_sample_alone_and_is_repeatable():
    new, _ = with_gaps(low_rank(12, seed=1), 0.3)
    imputer = GaussianImputer().fit(low_rank(60))
    found = imputer.transform(new)
    np.testing.assert_array_equal(GaussianImputer().fit(low_rank(60)).transform(new), found)
    for order in ([5], [7, 3, 3], np.arange(12)[::-1]):
        np.testing.assert_allclose(imputer.transform(new[order]), found[order], atol=1e-12)


@pytest.mark.parametrize("case", ["complete", "no complete sample", "two panels that overlap"])
def test_held_out_genes_of_low_rank_data_are_recovered(case):
    train = low_rank(200)
    if case == "no complete sample":
        train, _ = with_gaps(train, 0.3)
    elif case == "two panels that overlap":
        train[:100, :8] = np.nan
        train[100:, 22:] = np.nan
    truth = low_rank(50, seed=1)
    new, gaps = with_gaps(truth, 0.4, seed=2)
    imputer = GaussianImputer().fit(train)
    assert imputer.n_rows_ == 200
    # What rounding takes away is nothing beside what the shrinkage adds.
    assert np.linalg.eigvalsh(imputer.covariance_).min() > -0.01 * imputer.ridge_
    found = imputer.transform(new)
    assert rmse(found[gaps], truth[gaps]) < 0.75 * rmse(0, truth[gaps])
    # nothing shared, nothing to say: a gene unrelated to all others stays near its mean
    noise = np.random.default_rng(3).normal(size=(200, 30))
    assert np.abs(GaussianImputer().fit(noise).transform(new)[gaps]).mean() < 0.4


def test_moments_come_from_nearly_complete_samples_where_there_are_enough():
    whole = low_rank(60)
    whole[3, 0] = np.nan
    partial = low_rank(40, seed=1) + 5
    partial[:, 20:] = np.nan
    imputer = GaussianImputer().fit(np.vstack([whole, partial]))
    assert imputer.n_rows_ == 60
    np.testing.assert_allclose(imputer.mean_, np.nanmean(whole, axis=0))
    few = GaussianImputer().fit(np.vstack([whole[:49], partial]))
    assert few.n_rows_ == 89
    np.testing.assert_allclose(few.mean_, np.nanmean(np.vstack([whole[:49], partial]), axis=0))


def test_a_gene_that_was_never_measured_stays_neutral_and_says_nothing():
    train = low_rank(60)
    train[:, 4] = np.nan
    imputer = GaussianImputer().fit(train)
    assert np.flatnonzero(imputer.unmeasured_).tolist() == [4]
    new, _ = with_gaps(low_rank(5, seed=1), 0.3)
    new[:, 4] = np.nan
    found = imputer.transform(new)
    assert (found[:, 4] == 0).all()
    measured = new.copy()
    measured[:, 4] = 3.0
    others = np.arange(30) != 4
    np.testing.assert_allclose(imputer.transform(measured)[:, others], found[:, others], atol=1e-12)


def test_few_or_constant_samples_give_the_mean():
    new, gaps = with_gaps(low_rank(5, seed=1), 0.3)
    few = low_rank(6)
    mean = np.broadcast_to(few.mean(axis=0), gaps.shape)
    np.testing.assert_allclose(GaussianImputer().fit(few).transform(new)[gaps], mean[gaps])
    np.testing.assert_allclose(GaussianImputer().fit(np.full((20, 30), 2.0)).transform(new)[gaps], 2.0)


def test_the_state_rebuilds_the_imputer_and_a_broken_one_is_refused():
    new, _ = with_gaps(low_rank(5, seed=1), 0.3)
    imputer = GaussianImputer().fit(low_rank(60))
    state = imputer.state()
    rebuilt = GaussianImputer.from_state(state)
    np.testing.assert_allclose(rebuilt.transform(new), imputer.transform(new), atol=1e-5)
    for key, value in (
        ("covariance", state["covariance"][:, 1:]),
        ("covariance", np.triu(state["covariance"])),
        ("mean", np.full(30, np.nan)),
        ("ridge", np.asarray(0.0)),
        ("unmeasured", np.zeros(3, dtype=bool)),
    ):
        with pytest.raises(BundleError, match=key):
            GaussianImputer.from_state(state | {key: value})
    with pytest.raises(BundleError, match="covariance"):
        GaussianImputer.from_state({"mean": state["mean"]})


def test_bad_input_is_refused():
    X = low_rank(60)
    imputer = GaussianImputer().fit(X)
    empty, infinite = X.copy(), X.copy()
    empty[7], infinite[2, 9] = np.nan, np.inf
    with pytest.raises(DataError, match="row 7"):
        imputer.transform(empty)
    with pytest.raises(DataError, match="column 9"):
        imputer.transform(infinite)
    with pytest.raises(DataError, match="30 genes"):
        imputer.transform(X[:, :5])
    for bad in (X[:1], np.full((5, 3), np.nan), X[0], X[:0]):
        with pytest.raises(DataError, match="samples"):
            GaussianImputer().fit(bad)
    with pytest.raises(ParameterError, match="fit"):
        GaussianImputer().transform(X)
    with pytest.raises(ParameterError, match="shrinkage"):
        GaussianImputer(0)
