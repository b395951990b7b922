import numpy as np
import pytest
import statsmodels.api as sm

from sicmir.donors import donor_fit


@pytest.fixture
def half_paired():
    """10 donors with both arms and 6 with one; the donor's share of the variance is 0.6."""
    rng = np.random.default_rng(0)
    donors = np.concatenate([np.arange(16), np.arange(10)])
    order = rng.permutation(26)
    donors, arm = donors[order], np.repeat([1.0, 0.0], [16, 10])[order]
    age = rng.normal(60, 9, 16)[donors]
    values = np.sqrt(0.6) * rng.normal(size=(16, 7))[donors] + np.sqrt(0.4) * rng.normal(size=(26, 7))
    return values + 0.02 * age[:, None], np.column_stack([arm, np.ones(26), age]), donors


def covariance(donors, correlation):
    same = donors[:, None] == donors
    return np.where(same, correlation, 0.0) + (1 - correlation) * np.eye(len(donors))


def test_independent_rows_are_fitted_as_by_statsmodels_with_gaps_and_collinear_columns(half_paired):
    values, design, _ = half_paired
    values[[0, 3, 7], 2] = np.nan
    values[5, 4] = np.nan
    doubled = np.column_stack([design, 3 * design[:, 2] - 5])
    for matrix in (design, doubled):
        found = donor_fit.fit_effect(values, matrix)
        for i in range(values.shape[1]):
            known = np.isfinite(values[:, i])
            expected = sm.OLS(values[known, i], design[known]).fit()
            assert found.effect[i] == pytest.approx(expected.params[0])
            assert found.df[i] == expected.df_resid
            assert found.variance[i] == pytest.approx(expected.scale)
            se = found.unscaled_se[i] * np.sqrt(found.variance[i])
            assert se == pytest.approx(expected.bse[0])
            assert found.error_scale[i] == pytest.approx(found.unscaled_se[i])


@pytest.mark.parametrize("correlation", [-0.4, 0.0, 0.7])
def test_donors_with_both_arms_are_fitted_by_generalised_least_squares(half_paired, correlation):
    values, design, donors = half_paired
    found = donor_fit.fit_effect(values, design, donors, correlation)
    v = covariance(donors, correlation)
    for i in range(values.shape[1]):
        expected = sm.GLS(values[:, i], design, sigma=v).fit()
        assert found.effect[i] == pytest.approx(expected.params[0])
        assert found.unscaled_se[i] * np.sqrt(found.variance[i]) == pytest.approx(expected.bse[0])
    inverse = np.linalg.inv(v)
    weights = (np.linalg.inv(design.T @ inverse @ design) @ design.T @ inverse)[0]
    np.testing.assert_allclose(found.error_scale, np.linalg.norm(weights))


@pytest.mark.filterwarnings("ignore:Random effects", "ignore:The MLE may be on the boundary")
def test_the_correlation_within_donors_is_that_of_the_mixed_model(half_paired):
    values, design, donors = half_paired
    found = donor_fit.donor_correlations(values, design, donors)
    for i, rho in enumerate(found):
        mixed = sm.MixedLM(values[:, i], design, groups=donors).fit(reml=True)
        expected = mixed.cov_re[0, 0] / (mixed.cov_re[0, 0] + mixed.scale)
        if expected > 0.05:
            assert rho == pytest.approx(expected, abs=0.02)
        else:  # The mixed model cannot go below 0.
            assert rho < 0.1
        fit = donor_fit.fit_effect(values[:, [i]], design, donors, max(expected, 0))
        assert fit.effect[0] == pytest.approx(mixed.params[0], abs=1e-3)
        assert (fit.unscaled_se * np.sqrt(fit.variance))[0] == pytest.approx(mixed.bse[0], rel=0.01)


def test_the_consensus_is_a_trimmed_mean_and_finds_the_planted_correlation():
    rng = np.random.default_rng(1)
    donors = np.tile(np.arange(12), 2)
    design = np.column_stack([np.repeat([1.0, 0.0], 12), np.ones(24)])
    values = np.sqrt(0.7) * rng.normal(size=(12, 400))[donors] + np.sqrt(0.3) * rng.normal(size=(24, 400))
    assert donor_fit.consensus(donor_fit.donor_correlations(values, design, donors)) == pytest.approx(
        0.7, abs=0.05
    )
    assert donor_fit.consensus(np.array([0.5] * 8 + [-0.99, 0.99])) == pytest.approx(0.5)
    assert np.isnan(donor_fit.consensus(np.array([np.nan])))


def test_no_correlation_is_made_up():
    design = np.column_stack([[1.0, 1, 0, 0], np.ones(4)])
    values = np.random.default_rng(2).normal(size=(4, 3))
    assert np.isnan(donor_fit.donor_correlations(values, design, np.array([0, 1, 0, 2]))).all()
    constant = np.ones((6, 2))
    pairs = np.tile(np.arange(3), 2)
    arms = np.column_stack([np.repeat([1.0, 0.0], 3), np.ones(6)])
    assert np.isnan(donor_fit.donor_correlations(constant, arms, pairs)).all()


def test_an_effect_that_other_columns_hold_is_not_estimated():
    arm = np.array([1.0, 1, 1, 0, 0, 0])
    values = np.random.default_rng(3).normal(size=(6, 2))
    batch = 1 - arm
    assert not donor_fit.estimable(np.column_stack([arm, np.ones(6), batch]))
    assert np.isnan(donor_fit.fit_effect(values, np.column_stack([arm, np.ones(6), batch])).effect).all()
    values[3:, 1] = np.nan
    found = donor_fit.fit_effect(values, np.column_stack([arm, np.ones(6)]))
    assert np.isfinite(found.effect[0])
    assert np.isnan(found.effect[1])
