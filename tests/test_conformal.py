from fractions import Fraction
from math import ceil

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from hypothesis import given, settings
from hypothesis import strategies as st

from sicmir.benchmark import interval_coverage as coverages
from sicmir.errors import DataError, ParameterError
from sicmir.learning import conformal


def frame(values, prefix="s"):
    values = np.asarray(values, dtype=float)
    return pd.DataFrame(
        values,
        index=[f"{prefix}{i}" for i in range(len(values))],
        columns=[f"m{i}" for i in range(values.shape[1])],
    )


@pytest.fixture
def data():
    """60 samples of 35 donors (1 to 4 samples each), gaps on both sides, spreads of unlike size."""
    rng = np.random.default_rng(0)
    donor = np.array([f"D{i}" for i in np.concatenate([np.arange(35), rng.integers(0, 12, 25)])])
    observed = frame(rng.normal(6, 2, size=(60, 7)))
    predicted = observed + rng.normal(size=observed.shape)
    observed = observed.mask(rng.random(observed.shape) < 0.2)
    predicted = predicted.mask(rng.random(observed.shape) < 0.05)
    observed.loc[:, "m6"] = np.nan
    return observed, predicted, donor, pd.Series(rng.uniform(0.3, 3, 60), observed.index)


def brute_half_width(scores, donor, level):
    """Go through the scores in order and add up the donors' weights as exact fractions."""
    usable = [(s, d) for s, d in zip(scores, donor, strict=True) if not np.isnan(s)]
    donors = [d for _, d in usable]
    total = Fraction(0)
    for score, d in sorted(usable):
        total += Fraction(1, donors.count(d))
        if total >= level * (len(set(donors)) + 1):
            return score
    return np.nan


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("level", [Fraction(1, 2), Fraction(9, 10), Fraction(19, 20)])
def test_half_widths_match_exact_arithmetic(data, level, weighted):
    observed, predicted, donor, spread = data
    found = conformal.half_widths(
        observed, predicted, donor, level=float(level), spread=spread if weighted else None
    )
    scores = (observed - predicted).abs().div(spread if weighted else 1, axis=0)
    for name in observed:
        expected = brute_half_width(scores[name], donor, level)
        assert found[name] == pytest.approx(expected, nan_ok=True)
    assert found.notna().sum() == 6
    assert np.isnan(found["m6"])


@settings(max_examples=60, deadline=None)
@given(n=st.integers(1, 120), percent=st.integers(1, 99))
def test_with_one_sample_a_donor_it_is_the_rank_of_split_conformal(n, percent):
    level = Fraction(percent, 100)
    errors = np.random.default_rng(n).permutation(np.arange(1.0, n + 1))[:, None]
    found = conformal.half_widths(frame(errors), frame(0 * errors), np.arange(n), level=percent / 100)
    rank = ceil((n + 1) * level)
    if rank <= n:
        assert found["m0"] == rank
    else:
        assert n < level / (1 - level)
        assert np.isnan(found["m0"])


def test_nine_donors_are_needed_at_ninety_percent_however_many_samples_they_have():
    rng = np.random.default_rng(1)
    for n_donors, copies, finite in ((8, 1, False), (9, 1, True), (8, 50, False), (9, 50, True)):
        errors = np.repeat(rng.normal(size=(n_donors, 3)), copies, axis=0)
        donor = np.repeat(np.arange(n_donors), copies)
        found = conformal.half_widths(frame(errors), frame(0 * errors), donor)
        assert (found.notna() == finite).all()
        if finite:
            np.testing.assert_allclose(found, np.abs(errors).max(axis=0))


def test_copies_of_a_sample_change_nothing(data):
    observed, predicted, donor, _ = data
    n = len(observed)
    twice = [pd.concat([t, t.set_axis([f"copy{i}" for i in range(n)])]) for t in (observed, predicted)]
    pd.testing.assert_series_equal(
        conformal.half_widths(*twice, np.tile(donor, 2), level=0.8),
        conformal.half_widths(observed, predicted, donor, level=0.8),
    )


@pytest.mark.parametrize("n", [20, 29, 39])
def test_a_new_donor_is_covered_as_often_as_the_theory_says(n):
    rng = np.random.default_rng(n)
    errors = frame(rng.standard_t(3, size=(n + 1, 4000)))
    half = conformal.half_widths(errors[:n], 0 * errors[:n], np.arange(n))
    lower, upper = conformal.intervals(0 * errors[n:] + 100, half)
    table = coverages.coverage(errors[n:] + 100, lower, upper, ["new"])
    expected = ceil(Fraction(9, 10) * (n + 1)) / (n + 1)
    assert abs(table["coverage"].mean() - expected) < 4 * np.sqrt(expected * (1 - expected) / 4000)
    assert expected >= 0.9


def test_donors_with_many_alike_samples_do_not_narrow_the_intervals():
    """Every second donor has ten samples with small errors that resemble each other, the others have one."""
    rng = np.random.default_rng(2)
    n_donors, n_mirnas = 30, 3000
    many = np.arange(n_donors + 1) % 2 == 0
    rows = np.repeat(np.arange(n_donors + 1), np.where(many, 10, 1))
    effect = rng.normal(size=(n_donors + 1, n_mirnas)) * np.where(many, 0.3, 2.0)[:, None]
    errors = effect[rows] + 0.05 * rng.normal(size=(len(rows), n_mirnas))
    # The new donor is of either sort with equal chance, and one of its samples is judged.
    single = rng.normal(size=n_mirnas) * np.where(rng.random(n_mirnas) < 0.5, 0.3, 2.0)
    single += 0.05 * rng.normal(size=n_mirnas)
    old = rows < n_donors
    half = conformal.half_widths(frame(errors[old]), frame(0 * errors[old]), rows[old])
    share = (np.abs(single) <= half).mean()
    error = 4 * np.sqrt(0.09 / n_mirnas)
    assert 0.9 - error < share < 0.9 + 1 / (n_donors + 1) + error
    rank = ceil((old.sum() + 1) * 0.9)
    pooled = np.sort(np.abs(errors[old]), axis=0)[rank - 1]
    assert (np.abs(single) <= pooled).mean() < 0.8


def test_spread_gives_noisy_and_quiet_samples_the_same_coverage():
    rng = np.random.default_rng(3)
    n, n_mirnas = 400, 40
    spread = np.where(np.arange(n) % 2, 2.0, 0.4)
    observed = frame(100 + spread[:, None] * rng.normal(size=(n, n_mirnas)))
    predicted = 0 * observed + 100
    noisy = np.where(spread > 1, "noisy", "quiet")
    old, new = slice(0, n // 2), slice(n // 2, n)
    shares = {}
    for name, s in (("flat", np.ones(n)), ("weighted", spread)):
        half = conformal.half_widths(observed[old], predicted[old], np.arange(n // 2), spread=s[old])
        lower, upper = conformal.intervals(predicted[new], half, s[new])
        donors = np.arange(n // 2)
        table = coverages.coverage_summary(observed[new], lower, upper, donors, noisy[new], n_resamples=50)
        shares[name] = table["coverage"]
        assert shares[name]["all samples"] == pytest.approx(0.9, abs=0.015)
        if name == "weighted":
            assert table.loc["noisy", "median_width"] == pytest.approx(
                5 * table.loc["quiet", "median_width"], rel=1e-9
            )
    assert shares["weighted"][["noisy", "quiet"]].sub(0.9).abs().max() < 0.02
    assert shares["flat"]["noisy"] < 0.83
    assert shares["flat"]["quiet"] > 0.98


def test_intervals_are_cut_at_zero_and_follow_labels():
    predicted = frame([[0.5, 8.0, -1.0], [-9.0, np.nan, 4.0]])
    half = pd.Series({"m2": 2.0, "m1": 1.5, "other": np.nan, "m0": 1.0})
    lower, upper = conformal.intervals(predicted, half, pd.Series({"s1": 3.0, "s0": 1.0}))
    pd.testing.assert_frame_equal(lower, frame([[0, 6.5, 0], [0, np.nan, 0]]))
    pd.testing.assert_frame_equal(upper, frame([[1.5, 9.5, 1], [0, np.nan, 10]]))
    none = conformal.intervals(predicted[["m1"]], pd.Series({"m1": np.nan}))
    assert all(side.isna().all(axis=None) for side in none)


def test_half_widths_are_found_again_where_bounds_were_cut_at_zero():
    rng = np.random.default_rng(0)
    raw, spread = frame(rng.normal(1, 3, (6, 9))), rng.uniform(0.5, 2, 6)
    raw.iloc[5] = -9.0  # cut throughout, so that nothing tells the spread
    widths = pd.Series(rng.uniform(0.5, 4, 9), raw.columns)
    widths["m3"] = np.nan
    lower, upper = conformal.intervals(raw, widths, spread)
    predicted = AnnData(raw.clip(lower=0), var=widths.to_frame("half_width"))
    predicted.layers["lower"], predicted.layers["upper"] = lower.to_numpy(), upper.to_numpy()
    true = spread[:, None] * widths.to_numpy()
    found = conformal.uncut_half_widths(predicted)
    assert (lower < 1e-9).to_numpy().mean() > 0.3
    np.testing.assert_allclose(found[:5], true[:5])
    assert (np.nan_to_num(found[5]) <= np.nan_to_num(true[5])).all()
    # Without half widths, bounds that were not cut are enough.
    del predicted.var["half_width"]
    inside = (raw > 0).to_numpy()
    np.testing.assert_allclose(conformal.uncut_half_widths(predicted)[inside], true[inside])


@pytest.fixture
def judged(data):
    observed, predicted, donor, _ = data
    lower, upper = conformal.intervals(
        predicted, conformal.half_widths(observed, predicted, donor, level=0.7)
    )
    cohort = pd.Series(
        np.where(np.arange(60) < 58, np.where(np.arange(60) % 3, "A", "B"), "C"), observed.index
    )
    return observed, lower, upper, donor, cohort


def test_coverage_equals_a_loop(judged):
    observed, lower, upper, donor, cohort = judged
    found = coverages.coverage(observed, lower[::-1], upper, donor)
    by_cohort = coverages.coverage(observed, lower, upper, donor, cohort.sample(frac=1, random_state=0))
    assert list(found.index) == list(observed.columns)
    assert set(found.columns) == {*coverages.INTERVAL_METRICS, "n", "n_donors"}
    for name in observed:
        for group, row in (("", found.loc[name]), *((c, by_cohort.loc[(c, name)]) for c in "ABC")):
            used = observed[name].notna() & lower[name].notna() & ((cohort == group) | (group == ""))
            x, low, high = (side.loc[used, name] for side in (observed, lower, upper))
            assert row["n"] == used.sum()
            assert row["n_donors"] == len(set(donor[used]))
            if used.any():
                assert row["coverage"] == pytest.approx(
                    np.mean([a <= v <= b for a, v, b in zip(low, x, high, strict=True)])
                )
                assert row["mean_width"] == pytest.approx((high - low).mean())
            else:
                assert row[["coverage", "mean_width"]].isna().all()
    for name, metric in coverages.INTERVAL_METRICS.items():
        assert found[name].dropna().between(*metric.range).all()


def test_summary_counts_entries_and_resamples_donors(judged):
    observed, lower, upper, donor, cohort = judged
    found = coverages.coverage_summary(
        observed, lower, upper, donor, cohort, level=0.7, n_resamples=40, seed=5
    )
    assert list(found.index) == ["all samples", "A", "B", "C"]
    used = (observed.notna() & lower.notna()).to_numpy()
    inside = ((observed >= lower) & (observed <= upper)).to_numpy() & used
    table = coverages.coverage(observed, lower, upper, donor).dropna()
    row = found.loc["all samples"]
    assert row["n_entries"] == used.sum()
    assert row["n_mirnas"] == len(table) == 6
    assert row["n_donors"] == 35
    assert row["coverage"] == pytest.approx(inside[used].mean())
    assert row["median_width"] == pytest.approx(np.median(table["mean_width"]))
    assert row["share_near_level"] == np.mean([0.65 <= share <= 0.75 for share in table["coverage"]])
    codes = pd.factorize(donor)[0]
    shares = []
    for times in np.random.default_rng(5).multinomial(35, np.full(35, 1 / 35), size=40):
        rows = np.repeat(np.arange(60), times[codes])
        shares.append(inside[rows].sum() / used[rows].sum())
    np.testing.assert_allclose(row[["lower", "upper"]].astype(float), np.quantile(shares, [0.025, 0.975]))
    assert found.loc["C", "n_donors"] == 2
    assert found.loc["C", ["lower", "upper"]].isna().all()
    assert found.loc[["A", "B", "C"], "n_entries"].sum() == used.sum()
    pd.testing.assert_frame_equal(
        coverages.coverage_summary(observed, lower, upper, donor, level=0.7, n_resamples=40, seed=5),
        found[:1],
    )


def test_share_near_level_counts_its_bounds():
    hits = [84, 85, 90, 95, 96]
    observed = frame([[float(row < n) for n in hits] for row in range(100)])
    bounds = observed * 0 + 0.5, observed * 0 + 2
    found = coverages.coverage_summary(observed, *bounds, np.arange(100), n_resamples=10)
    assert found.loc["all samples", "share_near_level"] == 3 / 5
    assert coverages.coverage(observed, *bounds, np.arange(100))["coverage"].tolist() == [
        h / 100 for h in hits
    ]


def test_a_cohort_without_measured_values_is_nan(judged):
    observed, lower, upper, donor, cohort = judged
    observed = observed.mask(cohort == "C")
    row = coverages.coverage_summary(observed, lower, upper, donor, cohort, n_resamples=10).loc["C"]
    assert row[["coverage", "lower", "upper", "median_width", "share_near_level"]].isna().all()
    assert (row[["n_mirnas", "n_donors", "n_entries"]] == 0).all()


def test_bad_input_is_refused(data, judged):
    observed, predicted, donor, spread = data
    for level in (0, 1, 90):
        with pytest.raises(ParameterError, match="level should lie between 0 and 1"):
            conformal.half_widths(observed, predicted, donor, level=level)
    for bad in (0.0, np.inf, np.nan, -1.0):
        with pytest.raises(DataError, match="with 1 values that are not finite or not above 0"):
            conformal.half_widths(observed, predicted, donor, spread=spread.replace(spread.iloc[3], bad))
    with pytest.raises(DataError, match=r"each of 60 samples; found the shape \(59,\)"):
        conformal.half_widths(observed, predicted, donor, spread=spread.to_numpy()[1:])
    with pytest.raises(DataError, match="one donor for each of 60"):
        conformal.half_widths(observed, predicted, donor[1:])
    half = conformal.half_widths(observed, predicted, donor)
    with pytest.raises(DataError, match=r"1 of 7 predicted miRNAs have no half width \(first: m2\)"):
        conformal.intervals(predicted, half.drop("m2"))
    with pytest.raises(DataError, match="should be unique"):
        conformal.intervals(predicted, pd.concat([half, half[:1]]))
    for bad in (half.replace(half["m1"], -1), half.replace(half["m1"], np.inf)):
        with pytest.raises(DataError, match="Half widths should be finite and at least 0"):
            conformal.intervals(predicted, bad)
    observed, lower, upper, donor, cohort = judged
    with pytest.raises(DataError, match="lower bounds lie above"):
        coverages.coverage(observed, upper, lower, donor)
    with pytest.raises(DataError, match="No measured value has an interval"):
        coverages.coverage(observed * np.nan, lower, upper, donor)
    with pytest.raises(DataError, match="one cohort for each"):
        coverages.coverage(observed, lower, upper, donor, cohort[1:])
    with pytest.raises(ParameterError, match="n_resamples"):
        coverages.coverage_summary(observed, lower, upper, donor, n_resamples=1)
