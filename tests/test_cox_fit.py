import warnings

import numpy as np
import pytest
import statsmodels.api as sm
from leukaemia import GIVEN_PLACEBO, RELAPSE, WEEKS
from scipy.stats import chi2
from statsmodels.duration.hazard_regression import PHReg

from sicmir.donors import cox_fit
from sicmir.synthetic import toy_cells


@pytest.fixture(scope="module")
def cohort():
    """60 donors with ties, two covariates and three strata; the first miRNA matters."""
    rng = np.random.default_rng(0)
    values, covariates = rng.normal(size=(60, 5)), rng.normal(size=(60, 2))
    times = toy_cells.survival_times(0.8 * values[:, 0] + 0.5 * covariates[:, 1], censored=0.3, seed=1)
    time = np.ceil(times["time"].to_numpy() * 12)
    return values, covariates, time, times["event"].to_numpy(), rng.integers(0, 3, 60)


def test_a_textbook_example():
    """Efron 1.572 (SE 0.412), as printed for these data in textbooks and by R's survival."""
    found = cox_fit.fit_cox(GIVEN_PLACEBO[:, None], np.empty((42, 0)), WEEKS, RELAPSE)
    assert found.effect[0] == pytest.approx(1.572, abs=5e-4)
    assert found.se[0] == pytest.approx(0.412, abs=5e-4)


@pytest.mark.parametrize("n_covariates", [0, 2])
@pytest.mark.parametrize("stratified", [False, True])
def test_fits_are_those_of_statsmodels(cohort, n_covariates, stratified):
    values, covariates, time, event, stratum = cohort
    covariates = covariates[:, :n_covariates]
    stratum = stratum if stratified else None
    assert len(np.unique(time[event == 1])) < event.sum()
    found = cox_fit.fit_cox(values, covariates, time, event, stratum)
    for i in range(values.shape[1]):
        x = np.column_stack([values[:, i], covariates])
        expected = PHReg(time, x, status=event, strata=stratum, ties="efron").fit()
        assert found.effect[i] == pytest.approx(expected.params[0], rel=1e-4, abs=1e-6)
        assert found.se[i] == pytest.approx(expected.bse[0], rel=1e-4)
        assert found.log_likelihood[i] == pytest.approx(expected.llf)


def test_blocks_make_no_difference(cohort, monkeypatch):
    values, covariates, time, event, _ = cohort
    whole = cox_fit.fit_cox(values, covariates, time, event)
    monkeypatch.setattr(cox_fit, "BLOCK", 60 * 9 * 2)
    pieces = cox_fit.fit_cox(values, covariates, time, event)
    for name in ("effect", "se", "ph_p", "concordance"):
        np.testing.assert_allclose(getattr(pieces, name), getattr(whole, name))


def test_the_check_of_proportional_hazards_is_a_score_test_of_an_effect_that_moves(cohort):
    """The same by statsmodels, with donors split at the events so that the effect may follow the clock."""
    values, covariates, time, event, _ = cohort
    time = time + np.random.default_rng(2).uniform(0, 0.5, len(time))  # No ties: Efron's differ by software.
    found = cox_fit.fit_cox(values, covariates, time, event)
    cuts = np.sort(time[event == 1])
    alive = np.concatenate([[1.0], np.cumprod(1 - 1 / np.array([(time >= c).sum() for c in cuts]))])[:-1]
    rows = [
        (i, low, min(high, time[i]), event[i] * (time[i] == high), 1 - alive[k])
        for i in range(len(time))
        for k, (low, high) in enumerate(zip(np.r_[0, cuts[:-1]], cuts, strict=True))
        if time[i] > low
    ]
    who, entry, leave, status, clock = (np.array(side) for side in zip(*rows, strict=True))
    for i in range(3):
        x = np.column_stack([values[who, i], covariates[who], clock * values[who, i]])
        # statsmodels counts who enters at the very time of an event.
        model = PHReg(leave, x, status=status, entry=entry + 1e-9, ties="efron")
        null = PHReg(time, np.column_stack([values[:, i], covariates]), status=event, ties="efron").fit()
        at = np.append(null.params, 0.0)
        score, information = model.score(at), -model.hessian(at)
        expected = score @ np.linalg.solve(information, score)
        assert found.ph_statistic[i] == pytest.approx(expected, rel=1e-3)
        assert found.ph_p[i] == pytest.approx(chi2.sf(expected, 1), rel=1e-3)


def test_the_check_follows_schoenfeld_residuals_and_sees_an_effect_that_turns():
    rng = np.random.default_rng(3)
    values = rng.normal(size=(200, 1))
    event_times = toy_cells.survival_times(1.2 * values[:, 0], turns=True, seed=4)
    time, event = event_times["time"].to_numpy(), event_times["event"].to_numpy()
    turned = cox_fit.fit_cox(values, np.empty((200, 0)), time, event)
    residuals = PHReg(time, values, status=event).fit().schoenfeld_residuals[:, 0]
    seen = np.isfinite(residuals)
    assert np.corrcoef(residuals[seen], time[seen].argsort().argsort())[0, 1] < -0.3
    assert turned.ph_p[0] < 1e-4
    steady = toy_cells.survival_times(1.2 * values[:, 0], seed=4)
    proportional = cox_fit.fit_cox(
        values, np.empty((200, 0)), steady["time"].to_numpy(), steady["event"].to_numpy()
    )
    assert proportional.ph_p[0] > 0.01
    assert proportional.effect[0] == pytest.approx(1.2, abs=0.25)


def test_concordance_is_that_of_counting_pairs(cohort):
    values, _, time, event, stratum = cohort
    values = np.round(values, 1)
    for strata in (None, stratum):
        found = cox_fit.concordance(values, time, event, strata)
        for m in range(values.shape[1]):
            right = pairs = 0
            for i in range(60):
                for j in range(60):
                    first = event[i] and (time[i] < time[j] or (time[i] == time[j] and not event[j]))
                    if first and (strata is None or strata[i] == strata[j]):
                        pairs += 1
                        right += (values[i, m] > values[j, m]) + 0.5 * (values[i, m] == values[j, m])
            assert found[m] == pytest.approx(right / pairs)


def test_the_concordance_of_a_model_is_that_of_its_linear_predictor():
    heart = sm.datasets.heart.load_pandas().data
    age = (heart["age"] / heart["age"].std()).to_numpy()[:, None]
    outcome = heart["survival"].to_numpy(), heart["censors"].to_numpy()
    found = cox_fit.fit_cox(age, np.empty((69, 0)), *outcome)
    direct = cox_fit.concordance(age, *outcome)
    assert found.effect[0] > 0
    np.testing.assert_allclose(found.concordance, direct)


def test_separated_donors_and_collinear_columns_give_no_number():
    time = np.arange(1.0, 21)
    event = np.repeat([1, 0], 10)
    apart = (time <= 10).astype(float)[:, None]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = cox_fit.fit_cox(np.column_stack([apart, np.cos(time)]), np.empty((20, 0)), time, event)
    assert np.isnan(found.effect[0])
    assert np.isfinite(found.effect[1])
