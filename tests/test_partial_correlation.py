import numpy as np
import pytest
import statsmodels.api as sm
from scipy.stats import pearsonr

from sicmir.donors import partial_correlation as pc


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(3), 12)
    design = np.column_stack([np.eye(3)[group], rng.normal(size=36)])
    x, y = (rng.normal(size=(36, k)) + 3 * group[:, None] for k in (4, 5))
    return x, y + 0.5 * x[:, :1], design


def test_each_pair_is_a_regression_coefficient(data):
    """t of the partial correlation equals t of y on x beside the design (statsmodels), and so does p."""
    x, y, design = data
    r, df = pc.partial_correlation(x, y, design)
    assert r.shape == (4, 5)
    assert (df == 36 - 4 - 1).all()
    for i in range(4):
        for j in range(5):
            fit = sm.OLS(y[:, j], np.column_stack([x[:, i], design])).fit()
            assert fit.df_resid == df[i]
            one_sided = fit.pvalues[0] / 2 if fit.tvalues[0] < 0 else 1 - fit.pvalues[0] / 2
            assert pc.negative_p(r[i, j], df[i]) == pytest.approx(one_sided, rel=1e-4)


def test_an_intercept_alone_gives_pearson(data):
    x, y, _ = data
    r, df = pc.partial_correlation(x, y, np.ones((36, 1)))
    for i, j in ((0, 0), (3, 4)):
        expected = pearsonr(x[:, i], y[:, j], alternative="less")
        assert r[i, j] == pytest.approx(expected.statistic, abs=1e-6)
        assert pc.negative_p(r[i, j], df[i]) == pytest.approx(expected.pvalue, rel=1e-4)


def test_gaps_cost_rows_of_their_own_column_only(data):
    x, y, design = data
    x[3, 1] = x[5, 1] = x[7, 2] = np.nan
    r, df = pc.partial_correlation(x, y, design)
    assert df.tolist() == [31, 29, 30, 31]
    rows = [i for i in range(36) if i not in (3, 5)]
    alone, _ = pc.partial_correlation(x[rows, 1:2], y[rows], design[rows])
    np.testing.assert_allclose(r[1], alone[0], atol=1e-6)


def test_counts_are_repeated_rows(data):
    x, y, design = data
    counts = np.random.default_rng(1).multinomial(36, np.full(36, 1 / 36))
    rows = np.repeat(np.arange(36), counts)
    weighted, df = pc.partial_correlation(x, y, design, counts)
    repeated, _ = pc.partial_correlation(x[rows], y[rows], design[rows])
    np.testing.assert_allclose(weighted, repeated, atol=1e-6)
    assert (df == (counts > 0).sum() - 4 - 1).all()


def test_what_the_design_explains_is_nan_and_not_zero(data):
    x, y, design = data
    x[:, 0] = 5 + 2 * design[:, 1]
    y[:, 1] = 1e6
    y[:, 2] = 3 * design[:, 3]
    r, _ = pc.partial_correlation(x, y, design)
    assert np.isnan(r[0]).all()
    assert np.isnan(r[:, [1, 2]]).all()
    assert np.isfinite(r[1:][:, [0, 3, 4]]).all()
    assert pc.constant(x, design).tolist() == [True, False, False, False]


def test_a_design_without_full_rank_counts_its_rank(data):
    x, y, design = data
    doubled = np.column_stack([design, design[:, 0], np.ones(36)])
    r, df = pc.partial_correlation(x, y, doubled)
    expected, freedom = pc.partial_correlation(x, y, design)
    np.testing.assert_allclose(r, expected, atol=1e-6)
    assert (df == freedom).all()


def test_too_few_rows_give_nan(data):
    x, y, design = data
    few = slice(12, 12 + 2 + pc.MIN_DF + 1)  # one group: rank 2
    r, df = pc.partial_correlation(x[few], y[few], design[few])
    assert (df == pc.MIN_DF).all()
    assert np.isfinite(r).all()
    fewer = slice(12, 12 + 2 + pc.MIN_DF)
    assert np.isnan(pc.partial_correlation(x[fewer], y[fewer], design[fewer])[0]).all()
    assert np.isnan(pc.partial_correlation(x * np.nan, y, design)[0]).all()
