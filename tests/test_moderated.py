import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.special import digamma, polygamma
from scipy.stats import kstest
from scipy.stats import t as student

from sicmir.donors.moderated import moderated_t, squeeze
from sicmir.errors import DataError


def drawn(n, prior_df, prior_variance, df, seed=0):
    """Variances under the model of the paper, with the true ones."""
    rng = np.random.default_rng(seed)
    true = prior_df * prior_variance / rng.chisquare(prior_df, n)
    return true * rng.chisquare(df, n) / df, true


def test_the_prior_solves_the_moment_equations_of_the_paper():
    df = np.random.default_rng(1).integers(2, 30, 300).astype(float)
    variance, _ = drawn(300, 6, 0.4, df)
    found = squeeze(variance, df)
    e = np.log(variance) - digamma(df / 2) + np.log(df / 2)
    target = np.sum((e - e.mean()) ** 2) / (len(e) - 1) - polygamma(1, df / 2).mean()
    d0 = 2 * brentq(lambda half: polygamma(1, half) - target, 1e-3, 1e5, xtol=1e-13)
    s0 = np.exp(e.mean() + digamma(d0 / 2) - np.log(d0 / 2))
    assert found.prior_df == pytest.approx(d0, rel=1e-6)
    np.testing.assert_allclose(found.prior_variance, s0, rtol=1e-6)
    np.testing.assert_allclose(found.variance, (d0 * s0 + df * variance) / (d0 + df), rtol=1e-6)
    np.testing.assert_allclose(found.df, df + d0, rtol=1e-6)


@pytest.mark.parametrize("prior_df", [3.0, 10.0])
def test_a_planted_prior_is_recovered_and_brings_variances_nearer_to_the_truth(prior_df):
    variance, true = drawn(20_000, prior_df, 0.25, np.full(20_000, 4.0))
    found = squeeze(variance, np.full(20_000, 4.0))
    assert found.prior_df == pytest.approx(prior_df, rel=0.1)
    assert found.prior_variance[0] == pytest.approx(0.25, rel=0.05)
    assert np.mean(np.log(found.variance / true) ** 2) < 0.6 * np.mean(np.log(variance / true) ** 2)


def test_moderated_t_has_the_t_distribution_of_all_degrees_of_freedom():
    variance, true = drawn(5_000, 5, 1.0, np.full(5_000, 3.0), seed=2)
    effect = np.random.default_rng(3).normal(size=5_000) * 0.5 * np.sqrt(true)
    squeezed = squeeze(variance, np.full(5_000, 3.0))
    statistic, p, lower, upper = moderated_t(effect, np.full(5_000, 0.5), squeezed)
    assert kstest(statistic, student(8).cdf).pvalue > 0.01
    assert kstest(p, "uniform").pvalue > 0.01
    np.testing.assert_array_equal(p < 0.05, (lower > 0) | (upper < 0))


def test_variances_that_scatter_as_chance_has_it_are_pooled():
    rng = np.random.default_rng(4)
    variance = 0.3 * np.sort(rng.chisquare(5, 400))[100:300] / 5
    df = np.full(200, 5.0)
    found = squeeze(variance, df)
    assert np.isinf(found.prior_df)
    np.testing.assert_allclose(found.variance, variance.mean())
    assert (found.df == df.sum()).all()


def test_a_trend_of_the_variance_is_followed():
    level = np.random.default_rng(5).uniform(0, 12, 4_000)
    variance, _ = drawn(4_000, 8, np.exp(-level / 4), np.full(4_000, 6.0))
    found = squeeze(variance, np.full(4_000, 6.0), level)
    assert np.corrcoef(np.log(found.prior_variance), -level / 4)[0, 1] > 0.99
    assert found.prior_df == pytest.approx(8, rel=0.15)
    assert squeeze(variance, np.full(4_000, 6.0)).prior_df < 5


def test_one_variance_is_left_as_it_is_and_impossible_ones_are_refused():
    alone = squeeze(np.array([2.0]), np.array([4.0]))
    assert (alone.variance[0], alone.df[0], alone.prior_df) == (2.0, 4.0, 0.0)
    for variance, df in ((0.0, 3.0), (np.nan, 3.0), (1.0, 0.0), (-1.0, 3.0)):
        with pytest.raises(DataError, match="positive variance"):
            squeeze(np.array([1.0, variance]), np.array([3.0, df]))
