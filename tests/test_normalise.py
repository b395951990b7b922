import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtri
from scipy.stats import rankdata

from sicmir.errors import BundleError, DataError, ParameterError
from sicmir.matrices.normalise import InputTransform

NAMES = ("frozen", "rank", "cohort")


@pytest.fixture
def matrix():
    rng = np.random.default_rng(0)
    values = rng.normal(8, 2, size=(12, 6)).astype(np.float32)
    values[rng.random(values.shape) < 0.15] = np.nan
    return values


@pytest.mark.parametrize("name", NAMES)
def test_every_transform_gives_float32_and_0_where_not_measured(name, matrix):
    out = InputTransform(name).fit(matrix).transform(matrix)
    assert out.dtype == np.float32
    assert out.shape == matrix.shape
    assert (out[np.isnan(matrix)] == 0).all()
    assert (out[~np.isnan(matrix)] != 0).mean() > 0.8


def test_frozen_uses_the_training_statistics_only(matrix):
    transform = InputTransform("frozen").fit(matrix)
    new = matrix[:2] + 3
    expected = (new - np.nanmean(matrix, axis=0)) / np.nanstd(matrix, axis=0)
    np.testing.assert_allclose(transform.transform(new), np.nan_to_num(expected), rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(transform.transform(new[:1]), transform.transform(new)[:1])


@pytest.mark.parametrize("column", [np.full(5, 0.1), np.full(5, np.nan), [3.0, *[np.nan] * 4]])
def test_frozen_gives_0_for_a_gene_whose_spread_is_unknown(column):
    training = np.column_stack([column, np.arange(5.0)]).astype(np.float32)
    out = InputTransform("frozen").fit(training).transform([[20.0, 2.0], [0.1, 4.0]])
    np.testing.assert_array_equal(out[:, 0], 0)
    assert out[1, 1] > 0


def test_rank_matches_a_loop_over_samples_with_ties_and_gaps(matrix):
    matrix = np.round(matrix)
    out = InputTransform("rank").fit(matrix).transform(matrix)
    for row, scores in zip(matrix, out, strict=True):
        measured = row[~np.isnan(row)]
        expected = ndtri((rankdata(measured) - 0.5) / len(measured))
        np.testing.assert_allclose(scores[~np.isnan(row)], expected, rtol=1e-6, atol=1e-7)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.integers(0, 2000), min_size=2, max_size=40),
    st.sampled_from([lambda x: 3 * x + 5, lambda x: x**3, np.log1p, np.sqrt]),
)
def test_rank_is_untouched_by_an_increasing_change_of_units(values, change):
    x = np.array([values], dtype=float)
    transform = InputTransform("rank").fit(x)
    np.testing.assert_allclose(transform.transform(change(x)), transform.transform(x), atol=1e-6)


def test_cohort_depends_on_the_samples_beside_it_and_the_others_do_not(matrix):
    for name, depends in (("frozen", False), ("rank", False), ("cohort", True)):
        transform = InputTransform(name).fit(matrix)
        alone, beside = transform.transform(matrix[:4])[0], transform.transform(matrix)[0]
        assert (not np.allclose(alone, beside)) == depends
    out = InputTransform("cohort").fit(matrix).transform(matrix)
    expected = (matrix - np.nanmean(matrix, axis=0)) / np.nanstd(matrix, axis=0)
    np.testing.assert_allclose(out, np.nan_to_num(expected), atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_state_rebuilds_the_transform(name, matrix):
    transform = InputTransform(name).fit(matrix)
    again = InputTransform.from_state(name, transform.state())
    np.testing.assert_array_equal(again.transform(matrix), transform.transform(matrix))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("sd"), "should hold"),
        (lambda s: s.update(extra=np.zeros(6)), "should hold"),
        (lambda s: s.update(mean=np.zeros(5)), "'mean'.*6 finite"),
        (lambda s: s.update(sd=np.full(6, -1.0)), "'sd'.*at least 0"),
        (lambda s: s.update(mean=np.full(6, np.inf)), "finite"),
    ],
)
def test_a_damaged_state_is_refused(change, message, matrix):
    state = InputTransform("frozen").fit(matrix).state()
    change(state)
    with pytest.raises(BundleError, match=message):
        InputTransform.from_state("frozen", state)


@pytest.mark.parametrize("name", NAMES)
def test_bad_input_is_refused_with_its_gene(name, matrix):
    frame = pd.DataFrame(matrix, columns=[f"GENE{i}" for i in range(6)])
    transform = InputTransform(name).fit(frame)
    with pytest.raises(DataError, match="GENE3"):
        transform.transform(frame.assign(GENE3=-np.inf))
    with pytest.raises(DataError, match="GENE3"):
        InputTransform(name, genes=frame.columns).fit(frame.assign(GENE3=np.inf).to_numpy())
    with pytest.raises(DataError, match=r"5 genes.*fitted on 6"):
        transform.transform(matrix[:, :5])
    with pytest.raises(DataError, match="row 1"):
        transform.transform(np.vstack([matrix[0], np.full(6, np.nan), matrix[1:3]]))
    with pytest.raises(DataError, match="samples x genes"):
        transform.transform(np.empty((0, 6)))


def test_misuse_is_refused(matrix):
    with pytest.raises(ParameterError, match="frozen, rank, cohort"):
        InputTransform("zscore")
    with pytest.raises(ParameterError, match="call fit"):
        InputTransform("rank").transform(matrix)
    with pytest.raises(ParameterError, match="no state"):
        InputTransform("frozen").state()
    with pytest.raises(DataError, match="at least 3 samples, found 2"):
        InputTransform("cohort").fit(matrix).transform(matrix[:2])


def test_linear_values_are_refused_where_units_matter():
    X = np.array([[3.0, 250_000.0], [4.0, 7.0]])
    fitted = InputTransform("frozen", genes=["PSME1", "ATF1"]).fit(np.log2(X + 1))
    with pytest.raises(DataError, match="Row 0, ATF1: found 250000; expected log2"):
        fitted.transform(X)
    with pytest.raises(DataError, match="expected log2"):
        InputTransform("frozen").fit(X)
    assert np.isfinite(InputTransform("rank").fit(X).transform(X)).all()
