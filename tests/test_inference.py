"""Single precision against double: domain, kernel, network, ranks, and rows divided among threads."""

from dataclasses import replace

import numpy as np
import pytest
import small_model as small
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_info

from sicmir.engine import inference
from sicmir.engine.inference_domain import FastDomain
from sicmir.engine.inference_kernel import FastKernel
from sicmir.engine.inference_network import FoldedNetwork
from sicmir.engine.inference_rank import FastRank
from sicmir.engine.scratch import Scratch
from sicmir.errors import DataError, ParameterError
from sicmir.learning.architecture import SicmirNetwork
from sicmir.learning.conditional import ConditionalGaussian
from sicmir.learning.kernel import MaskedKernelRidge
from sicmir.learning.predictors import NetworkPredictor
from sicmir.matrices.normalise import InputTransform
from sicmir.model import load_model
from sicmir.prediction import Block, predict_block
from sicmir.threads import in_threads, prediction_threads


@pytest.fixture(scope="module")
def bundle():
    return small.bundle()


def gappy(n_rows=12, seed=0):
    """Rows of the small model: whole ones, three with the same gaps, and four with gaps of their own."""
    rng = np.random.default_rng(seed)
    rows = small.landmarks(small.halves()[1])[:n_rows].copy()
    rows[2:5, rng.permutation(977)[:40]] = np.nan
    for row, missing in zip(rows[5:9], (1, 300, 600, 870), strict=True):
        row[rng.permutation(977)[:missing]] = np.nan
    return rows


def fast_kernel(model, rows):
    predicted = np.empty((len(rows), len(model.kept_)), dtype=np.float32)
    return predicted, FastKernel(model).predict(rows, predicted, Scratch())


# The parts


@pytest.mark.parametrize("n_missing", [0, 1, 7, 13])
def test_conditional_gaussians_of_any_genes(n_missing):
    rng = np.random.default_rng(n_missing)
    values = rng.normal(size=(30, 14))
    covariance, seen = np.cov(values.T), np.ones(14, dtype=bool)
    seen[rng.permutation(14)[:n_missing]] = False
    gaussian = ConditionalGaussian(covariance, 0.3)
    block = covariance[np.ix_(seen, seen)] + 0.3 * np.eye(seen.sum())
    np.testing.assert_allclose(gaussian.precision(seen), np.linalg.inv(block), rtol=0, atol=1e-12)
    expected = np.linalg.inv(block) @ covariance[np.ix_(seen, ~seen)]
    np.testing.assert_allclose(gaussian.regression(seen), expected, rtol=0, atol=1e-12)


def test_kernel_against_double_precision(bundle):
    rows = gappy()
    expected, spread = bundle.predictor.predict_with_spread(rows)
    found, fast_spread = fast_kernel(bundle.predictor, rows)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-3)
    np.testing.assert_allclose(fast_spread, spread, rtol=1e-4)


def test_kernel_at_its_own_training_samples():
    """Where the distance to a training sample is 0, its square is a difference of two large numbers."""
    train, _ = small.halves()
    mirna = small.pair()[1]
    Y = mirna.X[train].copy()
    Y[:-5, 3] = np.nan  # too few samples to be learnt
    model = MaskedKernelRidge(noise=1e-3).fit(small.landmarks(train), Y, mirna.obs.iloc[train])
    rows = small.landmarks(train)
    rows[-1] += 1e-3
    expected, spread = model.predict_with_spread(rows)
    found, fast_spread = fast_kernel(model, rows)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-3)
    assert np.isnan(found[:, 3]).all() and np.isfinite(np.delete(found, 3, axis=1)).all()
    np.testing.assert_allclose(fast_spread, spread, rtol=1e-2)


@pytest.mark.parametrize("options", [{"rate": 0.0}, {"linear": 0.0}])
def test_kernel_without_one_of_its_terms(options):
    train, test = small.halves()
    mirna = small.pair()[1]
    model = MaskedKernelRidge(**options).fit(small.landmarks(train), mirna.X[train], mirna.obs.iloc[train])
    expected, spread = model.predict_with_spread(small.landmarks(test))
    found, fast_spread = fast_kernel(model, small.landmarks(test))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-3)
    np.testing.assert_allclose(fast_spread, spread, rtol=1e-3)


def test_domain_against_double_precision(bundle):
    rng, rows = np.random.default_rng(1), gappy()
    rows[9], rows[10, 99:] = rows[9, rng.permutation(977)], np.nan
    scores, levels = FastDomain(bundle.domain).judge(rows, Scratch())
    expected = bundle.domain.score(rows)
    np.testing.assert_allclose(scores, expected, rtol=0, atol=1e-5)
    assert levels.tolist() == bundle.domain.level(rows).tolist()
    assert {"inside", "unknown"} < set(levels)
    assert np.isnan(scores[10])


def test_a_score_at_a_threshold_gets_the_level_of_double_precision(bundle):
    row = small.landmarks(small.halves()[1])[:1]
    score, single = bundle.domain.score(row)[0], FastDomain(bundle.domain).judge(row, Scratch())[0][0]
    assert score != single, "single precision makes no difference here, so that nothing is tested"
    domain = type(bundle.domain).from_state(bundle.domain.state())
    between = (score + single) / 2
    domain.thresholds_ = {
        "outside": np.full(len(domain.sizes_), between),
        "far": -np.ones(len(domain.sizes_)),
    }
    found, level = FastDomain(domain).judge(row, Scratch())
    assert level == ("inside" if score > between else "outside")
    assert found == pytest.approx(score, abs=1e-12)


def test_ranks_are_those_of_double_precision(bundle):
    rng = np.random.default_rng(2)
    rows = rng.poisson(2, (9, 977)).astype(np.float32)
    rows[1] -= 3
    rows[2] = rng.normal(size=977)
    rows[3, :400], rows[3, 400:800] = -0.0, 0.0
    rows[4:6, rng.permutation(977)[:300]] = np.nan
    rows[6, 5:] = np.nan
    rows[7], rows[8] = 3, np.nan
    found = FastRank(bundle.rescale).transform(rows)
    expected = bundle.rescale.to_training(rows[:8], "rank")
    np.testing.assert_array_equal(found[:8], expected)
    assert np.isnan(found[7:]).all()


def network_predictor(order, transform):
    rng, generator = np.random.default_rng(3), torch.Generator().manual_seed(3)
    network = SicmirNetwork(977, small.N_MIRNAS, hidden=32, order=order)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm1d):
            for part in (module.weight.data, module.bias.data, module.running_mean):
                part.normal_(generator=generator)
            module.running_var.uniform_(0.3, 3, generator=generator)
    rows = small.landmarks(small.halves()[0])
    rows[:, 7] = 4.0  # constant in training
    fitted = InputTransform(transform).fit(rows)
    mean, sd = rng.normal(8, 3, (2, small.N_MIRNAS)).astype(np.float32)
    return NetworkPredictor(network.eval(), fitted, mean, np.abs(sd))


@pytest.mark.parametrize("order", ["relu-norm", "norm-relu", "mixed"])
@pytest.mark.parametrize("transform", ["frozen", "rank", "cohort"])
def test_the_folded_network_against_the_network(order, transform):
    predictor, rows = network_predictor(order, transform), gappy()
    folded, found = FoldedNetwork(predictor), np.empty((len(rows), small.N_MIRNAS), dtype=np.float32)
    folded.predict(rows, found, Scratch())
    np.testing.assert_allclose(found, predictor.predict(rows), rtol=0, atol=1e-3)
    assert folded.row_by_row == (transform != "cohort")
    assert np.median(found.std(axis=0)) > 0.05, "all rows are predicted alike, so that little is tested"


# Rows of a bundle


def fields(block):
    return {name: part.astype(float) for name, part in vars(block).items()}


@pytest.mark.parametrize("transform", ["frozen", "rank", "cohort"])
def test_threads_and_parts_make_no_difference(bundle, transform, monkeypatch):
    rows = np.tile(gappy(), (8, 1)) + np.random.default_rng(4).normal(0, 0.1, (96, 977)).astype(np.float32)
    expected = fields(predict_block(bundle, rows, transform))
    assert 0 < expected["abstained"].mean() < 1
    monkeypatch.setattr(inference, "ROWS", 7)
    for threads in ("1", "3"):
        monkeypatch.setenv("SICMIR_THREADS", threads)
        for name, part in fields(predict_block(bundle, rows, transform)).items():
            np.testing.assert_allclose(part, expected[name], rtol=0, atol=1e-4, err_msg=name)


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_a_row_is_predicted_alike_in_any_company(bundle, data):
    rows = gappy()
    transform = data.draw(st.sampled_from(["frozen", "rank"]))
    order = data.draw(st.permutations(range(len(rows))))
    cuts = sorted(data.draw(st.sets(st.integers(1, len(rows) - 1))))
    dtype = data.draw(st.sampled_from([np.float32, np.float64]))
    expected = fields(predict_block(bundle, rows, transform))
    parts = [predict_block(bundle, part.astype(dtype), transform) for part in np.split(rows[order], cuts)]
    for name, whole in expected.items():
        found = np.concatenate([fields(part)[name] for part in parts])
        np.testing.assert_allclose(found, whole[order], rtol=0, atol=1e-4, err_msg=name)


def test_the_shipped_model_in_single_precision():
    shipped = load_model()
    model, rng = shipped.predictor, np.random.default_rng(5)
    moments, noise = model.genes_.transform_.state(), rng.normal(0, 0.3, (20, 977))
    z = model.centres_[:20] / model.weights_ + noise
    z[15:] = rng.normal(size=(5, 977))  # far from the training samples
    rows = np.maximum(moments["mean"] + moments["sd"] * z, 0).astype(np.float32)
    rows[3:6, rng.permutation(977)[:200]] = np.nan
    done = predict_block(shipped, rows, "frozen", abstain=False)
    predicted, spread = shipped.predict_with_spread(rows)
    reach = shipped.trust["half_width"].to_numpy() * spread[:, None]
    for found, expected in ((done.predicted, predicted), (done.lower, predicted - reach)):
        np.testing.assert_allclose(found, np.where(expected < 0, 0, expected), rtol=0, atol=1e-3)
    np.testing.assert_allclose(done.domain_score, shipped.domain.score(rows), rtol=0, atol=1e-5)
    assert (done.in_domain == (shipped.domain.level(rows) == "inside")).all()
    assert 0 < done.in_domain.sum() < 20


def test_a_network_with_a_cohort_of_its_own_is_not_divided(bundle, monkeypatch):
    monkeypatch.setattr(inference, "ROWS", 4)
    predictor, rows = network_predictor("relu-norm", "cohort"), gappy()
    other = replace(bundle, predictor=predictor, trust=None, domain=None, rescale=None, units="z-score")
    done = predict_block(other, rows, "cohort", min_coverage=0.2)
    assert done.abstained.tolist() == [False] * 8 + [True] + [False] * 3
    kept = ~done.abstained
    np.testing.assert_allclose(done.predicted[kept], predictor.predict(rows[kept]), rtol=0, atol=1e-3)
    assert np.isnan(done.predicted[8]).all() and np.isnan(done.lower).all()


def test_a_predictor_of_another_kind_is_asked_itself(bundle):
    class Mean:
        kind = "mean"

        def predict(self, X):
            return np.repeat(np.nanmean(X, axis=1, keepdims=True), small.N_MIRNAS, axis=1)

        def facts(self):
            return {}

    rows = gappy()
    done = predict_block(replace(bundle, predictor=Mean()), rows, "frozen", abstain=False, min_coverage=0)
    np.testing.assert_allclose(done.predicted[:, 0], np.nanmean(rows, axis=1), rtol=1e-6)
    reach = bundle.trust["half_width"].to_numpy()
    np.testing.assert_allclose(done.upper, done.predicted + reach, rtol=1e-6)


@pytest.mark.parametrize("value", [31.0, np.inf, -np.inf])
@pytest.mark.parametrize("parts", [{}, {"rescale": None}])
def test_an_error_names_the_row_counted_from_the_first(bundle, value, parts, monkeypatch):
    monkeypatch.setattr(inference, "ROWS", 4)
    monkeypatch.setenv("SICMIR_THREADS", "2")
    rows = np.nan_to_num(gappy(), nan=5)
    rows[9, 5] = value
    with pytest.raises(DataError, match="Row 9, column 5: found 31" if value == 31 else "column 5"):
        predict_block(replace(bundle, **parts), rows, "frozen")


def test_widths_that_were_changed_in_place_are_taken(bundle):
    rows, own = np.nan_to_num(gappy(), nan=5), replace(bundle, trust=bundle.trust.copy())
    before, content = predict_block(own, rows, "frozen", abstain=False), own.content_sha256
    own.trust["half_width"] *= 2
    after = predict_block(own, rows, "frozen", abstain=False)
    np.testing.assert_array_equal(after.predicted, before.predicted)
    assert ((after.upper - after.lower).sum(axis=0) > (before.upper - before.lower).sum(axis=0)).all()
    assert own.content_sha256 != content


def test_a_block_of_no_rows(bundle):
    assert predict_block(bundle, np.empty((0, 977)), "frozen").predicted.shape == (0, small.N_MIRNAS)
    assert Block.empty(3, 2)[1:].lower.shape == (2, 2)


# Threads


def blas_threads():
    return {one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"}


@pytest.mark.parametrize("threads", [1, 3])
def test_matrix_products_inside_use_one_thread(threads):
    before, seen = blas_threads(), []
    in_threads(
        lambda part: seen.append((part.start, blas_threads())), [slice(i, i + 1) for i in range(5)], threads
    )
    assert sorted(seen) == [(i, {1}) for i in range(5)]
    assert blas_threads() == before

    def fail(part):
        raise ValueError(str(part.start))

    with pytest.raises(ValueError, match="0"):
        in_threads(fail, [slice(0, 1), slice(1, 2)], threads)
    assert blas_threads() == before


def test_the_number_of_threads(monkeypatch):
    monkeypatch.setenv("SICMIR_THREADS", "5")
    assert prediction_threads() == 5
    monkeypatch.delenv("SICMIR_THREADS")
    assert prediction_threads() == max(blas_threads())
    for wrong in ("0", "many", "-1", "1.5"):
        monkeypatch.setenv("SICMIR_THREADS", wrong)
        with pytest.raises(ParameterError, match="SICMIR_THREADS"):
            prediction_threads()
