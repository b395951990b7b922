import numpy as np
import pandas as pd
import pytest

from sicmir import metrics
from sicmir.donors.bootstrap import bootstrap_median
from sicmir.errors import DataError, ParameterError


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    donor = np.array([f"D{i}" for i in range(60)] + [f"D{i}" for i in range(15)])
    cohort = np.where(np.char.str_len(donor) > 2, "A", "B").astype(object)
    observed = rng.normal(5, 1, size=(75, 6)) + 2 * (cohort == "A")[:, None]
    observed[rng.random(observed.shape) < 0.05] = np.nan
    good = observed + rng.normal(scale=0.7, size=observed.shape)
    poor = observed + rng.normal(scale=2.0, size=observed.shape)
    return observed, {"good": good, "poor": poor}, donor, cohort


@pytest.mark.parametrize("within", [False, True])
def test_draws_match_resampling_rows_of_donors_one_by_one(data, within):
    observed, predicted, donor, cohort = data
    found = bootstrap_median(
        observed, predicted, donor, cohort if within else None, baseline="poor", n_resamples=40, seed=7
    ).set_index(["method", "against"])
    n = len(np.unique(donor))
    codes = pd.factorize(donor)[0]
    column = "pearson_within" if within else "pearson"
    draws = {key: [] for key in found.index}
    for times in np.random.default_rng(7).multinomial(n, np.full(n, 1 / n), size=40):
        rows = np.repeat(np.arange(len(donor)), times[codes])
        if within:
            r = {m: fisher_of(rows, observed, p, cohort) for m, p in predicted.items()}
        else:
            r = {
                m: metrics.per_mirna(observed[rows], p[rows], cohort[rows])[column]
                for m, p in predicted.items()
            }
        draws["good", ""].append(np.median(r["good"]))
        draws["poor", ""].append(np.median(r["poor"]))
        draws["good", "poor"].append(np.median(r["good"] - r["poor"]))
    for key, values in draws.items():
        np.testing.assert_allclose(
            found.loc[key, ["lower", "upper"]].astype(float), np.quantile(values, [0.025, 0.975])
        )
    for method, values in predicted.items():
        table = metrics.per_mirna(observed, values, cohort)
        assert found.loc[(method, ""), "median"] == pytest.approx(table[column].median())


def fisher_of(rows, observed, predicted, cohort):
    """Within-cohort r of resampled rows, with the weights of the whole data."""
    total, weight = 0, 0
    for name in ("A", "B"):
        full = cohort == name
        n = (~np.isnan(observed[full])).sum(axis=0)
        part = rows[full[rows]]
        r = metrics.per_mirna(observed[part], predicted[part], cohort[part])["pearson"].to_numpy()
        total, weight = total + (n - 3) * np.arctanh(r), weight + n - 3
    return np.tanh(total / weight)


def test_the_better_method_gains_and_a_method_gains_nothing_over_itself(data):
    observed, predicted, donor, _ = data
    twice = {**predicted, "same": predicted["poor"]}
    found = bootstrap_median(observed, twice, donor, baseline="poor").set_index(["method", "against"])
    assert found.loc[("good", "poor"), "lower"] > 0.1
    assert (found.loc[("same", "poor"), ["median", "lower", "upper"]] == 0).all()
    assert (found["n_mirnas"] == 6).all()
    narrow = bootstrap_median(observed, predicted, donor, level=0.5).set_index("method")
    assert narrow.loc["good", "upper"] - narrow.loc["good", "lower"] < (
        found.loc[("good", ""), "upper"] - found.loc[("good", ""), "lower"]
    )
    pd.testing.assert_frame_equal(
        bootstrap_median(observed, predicted, donor, level=0.5).set_index("method"), narrow
    )


@pytest.mark.parametrize("within", [False, True])
def test_a_method_that_lacks_samples_is_compared_on_those_it_has(data, within):
    observed, predicted, donor, cohort = data
    known = np.arange(len(observed)) % 3 > 0
    partial = np.where(known[:, None], predicted["good"], np.nan)
    labels = cohort if within else None
    options = {"baseline": "poor", "n_resamples": 20}
    found = bootstrap_median(
        observed, {"partial": partial, "poor": predicted["poor"]}, donor, labels, **options
    ).set_index(["method", "against"])
    r = [
        metrics.per_mirna(observed[known], predicted[name][known], cohort[known])[
            "pearson_within" if within else "pearson"
        ]
        for name in ("good", "poor")
    ]
    assert found.loc[("partial", "poor"), "median"] == pytest.approx((r[0] - r[1]).median())
    alone = bootstrap_median(observed, {"poor": predicted["poor"]}, donor, labels, n_resamples=20)
    assert found.loc[("poor", ""), "median"] == alone["median"][0]  # its own figure keeps all samples


def test_copies_of_a_donor_do_not_narrow_the_interval():
    rng = np.random.default_rng(3)
    observed = rng.normal(size=(30, 1))
    predicted = observed + rng.normal(size=(30, 1))
    donor = np.array([f"D{i}" for i in range(30)])
    once = bootstrap_median(observed, {"m": predicted}, donor).iloc[0]
    copies = bootstrap_median(
        np.tile(observed, (4, 1)), {"m": np.tile(predicted, (4, 1))}, np.tile(donor, 4)
    ).iloc[0]
    assert copies["lower"] == pytest.approx(once["lower"])
    assert copies["upper"] == pytest.approx(once["upper"])


def test_bad_input_is_refused(data):
    observed, predicted, donor, cohort = data
    with pytest.raises(ParameterError, match=r"'other'.*good.*poor"):
        bootstrap_median(observed, predicted, donor, baseline="other")
    with pytest.raises(ParameterError, match="n_resamples"):
        bootstrap_median(observed, predicted, donor, n_resamples=1)
    with pytest.raises(DataError, match="at least 3 donors, found 2"):
        bootstrap_median(observed, predicted, np.where(donor == "D0", "x", "y"))
    with pytest.raises(DataError, match="one donor for each"):
        bootstrap_median(observed, predicted, donor[1:])
    with pytest.raises(DataError, match="'flat'"):
        bootstrap_median(observed, {"flat": np.ones_like(observed)}, donor, cohort)
