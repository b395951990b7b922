import numpy as np
import pytest

import sicmir
from sicmir.errors import BundleError, DataError, ParameterError
from sicmir.learning.domain import MIN_GENES, RATES, Domain, _false_alarms, _threshold
from sicmir.learning.rescale import Rescale
from sicmir.learning.splits import holdout

N_GENES = 240
N_DONORS = 200
MEAN = np.random.default_rng(42).uniform(5, 13, N_GENES)
LOADINGS = np.random.default_rng(43).normal(size=(4, N_GENES))


def expression(n, seed, noise=0.5):
    """Samples × genes that share four programmes, log2."""
    rng = np.random.default_rng(seed)
    return MEAN + 0.6 * rng.normal(size=(n, 4)) @ LOADINGS + noise * rng.normal(size=(n, N_GENES))


@pytest.fixture(scope="module")
def training():
    """Two samples a donor, 40 of the samples without 80 genes."""
    values = np.repeat(expression(N_DONORS, seed=0, noise=0), 2, axis=0)
    values += 0.5 * np.random.default_rng(1).normal(size=values.shape)
    values[:40, :80] = np.nan
    return values, np.repeat([f"d{i}" for i in range(N_DONORS)], 2)


@pytest.fixture(scope="module")
def domain(training):
    return Domain().fit(*training)


@pytest.fixture(scope="module")
def new():
    return expression(150, seed=2)


def test_the_score_is_the_cosine_with_a_prediction_of_each_gene_from_the_others(domain, new):
    values = new[:3].copy()
    values[1, 100:] = np.nan
    for row, found in zip(values, domain.score(values), strict=True):
        seen = np.flatnonzero(~np.isnan(row))
        mean, sd = domain.rescale_.mean_[seen], np.maximum(domain.rescale_.sd_[seen], 0.3)
        z = np.clip((row[seen] - mean) / sd, -5, 5) - domain.centre_[seen]
        scales = np.column_stack([np.ones(len(seen)), 1 / sd, mean / sd])
        own = z - scales @ np.linalg.lstsq(scales, z, rcond=None)[0]
        covariance = domain.covariance_[np.ix_(seen, seen)] + domain.ridge_ * np.eye(len(seen))
        predicted = np.empty(len(seen))
        for g in range(len(seen)):
            others = np.arange(len(seen)) != g
            weights = np.linalg.solve(covariance[np.ix_(others, others)], covariance[others, g])
            predicted[g] = own[others] @ weights
        predicted -= scales @ np.linalg.lstsq(scales, predicted, rcond=None)[0]
        expected = z @ predicted / np.linalg.norm(z) / np.linalg.norm(predicted)
        assert found == pytest.approx(expected, abs=1e-9)


def test_few_held_out_donors_are_flagged_and_few_new_ones(training, domain):
    for level, rate in RATES.items():
        # a share that was measured on other donors than the thresholds: the rate and two standard errors
        assert domain.false_alarms_[level] <= rate + 2 * np.sqrt(rate / N_DONORS)
    flagged = np.mean([~domain.in_domain(expression(400, seed=seed)) for seed in (3, 4)])
    assert flagged < 0.08
    assert (domain.thresholds_["far"] < domain.thresholds_["outside"]).all()
    assert domain.sizes_.tolist() == [100, 160]


def test_thresholds_leave_at_most_the_rate_of_held_out_donors_below():
    lowest = np.random.default_rng(0).normal(size=(1000, 2, 3)) + np.array([[0.0], [0.3]])
    for rate in (0.05, 0.005, 0.0):
        threshold = _threshold(lowest, rate)
        below = (lowest < threshold).mean(axis=0)
        np.testing.assert_allclose(below.max(axis=0), rate)
    fold = np.arange(1000) % 5
    assert _false_alarms(lowest[:, :, 0], fold, 0.05) == pytest.approx(0.05, abs=0.01)
    moved = lowest[:, :, 0] - np.where(fold == 0, 5, 0)[:, None]
    # a fold that is unlike the others is flagged by their thresholds
    assert _false_alarms(moved, fold, 0.05) == pytest.approx(0.2)


def failures(values):
    rng = np.random.default_rng(9)
    half = rng.permutation(N_GENES)[: N_GENES // 2]
    zeros = values.copy()
    zeros[:, half] = 0
    independent = values.mean(axis=0) + values.std(axis=0) * rng.normal(size=values.shape)
    return {
        "independent genes": independent,
        "uniform noise": rng.uniform(0, 16, values.shape),
        "Poisson noise": np.log2(rng.poisson(20, values.shape) + 1.0),
        "shuffled genes": values[:, rng.permutation(N_GENES)],
        "shifted labels": np.roll(values, 1, axis=1),
        "half zeros": zeros,
        "drift of each gene": values + 3 * rng.normal(size=N_GENES),
    }


@pytest.mark.parametrize("transform", ["frozen", "rank"])
def test_planted_failures_are_told_from_new_samples(domain, new, transform):
    bring = domain.rescale_.to_training
    assert domain.in_domain(bring(new, transform)).mean() > 0.9
    for name, values in failures(new).items():
        assert domain.in_domain(bring(np.maximum(values, 0), transform)).mean() <= 0.05, name


def test_wrong_units_are_told_where_they_are_not_undone(domain, new):
    wrong = {
        "log twice": np.log2(new + 1),
        "natural log": new * np.log(2),
        "z-scores": (new - new.mean(axis=0)) / new.std(axis=0),
        "a twentieth": new - np.log2(20),
    }
    for name, values in wrong.items():
        assert domain.in_domain(values).mean() <= 0.05, name
    for name in ("log twice", "natural log", "a twentieth"):
        ranked = domain.rescale_.to_training(wrong[name], "rank")
        assert domain.in_domain(ranked).mean() > 0.9, name


def test_any_subset_of_genes_is_judged_and_too_few_are_not(domain, new):
    values = new.copy()
    rng = np.random.default_rng(5)
    taken = [0, 80, N_GENES - MIN_GENES, N_GENES - MIN_GENES + 1, N_GENES]
    for i, row in enumerate(values):
        row[rng.permutation(N_GENES)[: taken[i % 5]]] = np.nan
    level = domain.level(values)
    enough = np.arange(len(values)) % 5 < 3
    assert (level[enough] == "inside").mean() > 0.85
    assert (level[~enough] == "unknown").all()
    assert np.isnan(domain.score(values)[~enough]).all()
    assert not domain.in_domain(values)[~enough].any()


def test_levels_follow_from_scores_and_thresholds_of_the_number_of_genes(domain, new):
    values = np.vstack([new, expression(150, seed=6, noise=2.0), expression(150, seed=6, noise=4.0)])
    values[::2, :100] = np.nan
    size = np.where(np.arange(len(values)) % 2, N_GENES, N_GENES - 100)
    scores = domain.score(values)
    far, outside = (np.interp(size, domain.sizes_, domain.thresholds_[k]) for k in ("far", "outside"))
    expected = np.where(scores < far, "far", np.where(scores < outside, "outside", "inside"))
    assert set(expected) == {"far", "outside", "inside"}
    np.testing.assert_array_equal(domain.level(values), expected)
    np.testing.assert_array_equal(domain.level(values, scores), expected)
    np.testing.assert_array_equal(domain.in_domain(values), expected == "inside")


def test_a_score_depends_on_its_own_sample_alone_and_a_fit_is_repeatable(training, domain, new):
    together = domain.score(new[:6])
    np.testing.assert_allclose([domain.score(new[[i]])[0] for i in range(6)], together, atol=1e-12)
    again = Domain().fit(*training).state()
    for key, value in domain.state().items():
        np.testing.assert_array_equal(again[key], value)


def test_a_sample_at_the_mean_has_no_score(domain):
    mean = domain.rescale_.mean_ + np.maximum(domain.rescale_.sd_, 0.3) * domain.centre_
    values = np.vstack([mean, expression(1, seed=0)])
    domain_at_mean = Domain.from_state(domain.state() | {"centre": np.zeros(N_GENES, np.float32)})
    values[0] = domain_at_mean.rescale_.mean_
    assert np.isnan(domain_at_mean.score(values)).tolist() == [True, False]
    assert domain_at_mean.level(values)[0] == "unknown"


def test_genes_that_training_does_not_know_are_not_judged(training):
    values, donor = training[0].copy(), training[1]
    values[:, 100] = np.nan
    values[:, 101] = 7.0
    domain = Domain().fit(values, donor)
    new = expression(5, seed=2)
    changed = new.copy()
    changed[:, [100, 101]] = 25
    np.testing.assert_array_equal(domain.score(changed), domain.score(new))


def test_the_state_rebuilds_it_without_any_sample(domain, new):
    state = domain.state()
    again = Domain.from_state(state)
    np.testing.assert_array_equal(again.score(new), domain.score(new))
    np.testing.assert_array_equal(again.level(new), domain.level(new))
    assert again.false_alarms_ == domain.false_alarms_
    assert isinstance(again.rescale_, Rescale)
    assert sum(value.nbytes for value in state.values()) < 1.1 * N_GENES**2 + 5000


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("far"), "should hold"),
        (lambda s: s.update(extra=np.zeros(3)), "should hold"),
        (lambda s: s.pop("rescale.sd"), "should hold"),
        (lambda s: s.update(covariance=np.zeros(7)), "'covariance'"),
        (lambda s: s.update(centre=np.full(N_GENES, np.nan)), "'centre'"),
        (lambda s: s.update(outside=np.zeros(5)), "'outside'"),
        (lambda s: s.update(ridge=np.asarray(0.0)), "above 0"),
        (lambda s: s.update(sizes=s["sizes"][::-1]), "ascending"),
    ],
)
def test_a_damaged_state_is_refused(domain, change, message):
    state = domain.state()
    change(state)
    with pytest.raises(BundleError, match=message):
        Domain.from_state(state)


def test_bad_input_is_refused(training, domain):
    values, donor = training
    with pytest.raises(DataError, match="239 genes"):
        domain.score(values[:, 1:])
    with pytest.raises(DataError, match="column 5"):
        domain.score(np.where(np.arange(N_GENES) == 5, np.inf, values))
    with pytest.raises(DataError, match="199 donors for 400"):
        Domain().fit(values, donor[:199])
    with pytest.raises(DataError, match="a sample with 90 genes"):
        Domain().fit(np.where(np.arange(N_GENES) < 150, np.nan, values), donor)
    with pytest.raises(DataError, match="5 folds"):
        Domain().fit(values[:8], donor[:8])
    with pytest.raises(DataError, match="no donor"):
        Domain().fit(values, [None, *donor[1:]])
    for misuse in (lambda: Domain().score(values), lambda: Domain().level(values), lambda: Domain().state()):
        with pytest.raises(ParameterError, match="fitted"):
            misuse()


@pytest.mark.real
def test_real_samples_pass_and_what_is_made_of_them_does_not(real_data):
    mrna = sicmir.panel.align(real_data[0])
    split = holdout(mrna.obs, seed=1)
    domain = Domain().fit(mrna.X[split.train], mrna.obs["donor"].to_numpy()[split.train])
    new = mrna.X[split.test].astype(np.float64)
    genes = np.random.default_rng(0).permutation(977)
    bring = domain.rescale_.to_training
    for transform in ("frozen", "rank"):
        # about 60 samples: 5 % and two standard errors
        assert domain.in_domain(bring(new, transform)).mean() > 0.89
        assert (domain.level(bring(new[:, genes], transform)) == "far").all()
    for wrong in (np.log2(new + 1), new * np.log(2), new - np.log2(20)):
        assert (domain.level(wrong) == "far").mean() > 0.95
