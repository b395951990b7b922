import numpy as np
import pandas as pd
import pytest
from scipy.stats import pearsonr

from sicmir.benchmark import by_cohort
from sicmir.benchmark.comparison import Comparison


@pytest.fixture(scope="module")
def comparison():
    """A: 12 donors with tumour and normal; B: 15 tumours, 4 of them with a normal; C: too few samples."""
    rng = np.random.default_rng(0)
    rows = [("A", i, c) for i in range(12) for c in ("tumour", "normal")]
    rows += [("B", i, "tumour") for i in range(15)] + [("B", i, "normal") for i in range(4)]
    rows += [("C", i, "tumour") for i in range(6)]
    obs = pd.DataFrame(rows, columns=["cohort", "donor", "condition"])
    obs["donor"] = obs["cohort"] + obs["donor"].astype(str)
    obs.index = [f"s{i}" for i in range(len(obs))]
    mirnas = [f"m{i}" for i in range(30)]
    normal = (obs["condition"] == "normal").to_numpy()[:, None]
    observed = rng.uniform(0, 8, 30) + rng.normal(size=(len(obs), 30)) + normal * rng.normal(0, 2, 30)
    observed = pd.DataFrame(observed, obs.index, mirnas)
    predictions = {"good": observed + rng.normal(size=observed.shape), "flat": observed * 0}
    folds = pd.DataFrame(columns=["split", "sample", "side"])
    return Comparison(observed, observed.columns[:25], predictions, obs, folds, frozenset({"flat"}))


def test_contrasts_are_those_of_each_cohort_with_enough_pairs(comparison):
    found = by_cohort.contrasts(comparison).set_index(["cohort", "method"])
    assert list(found.index) == [("A", "good")]
    inside = (comparison.obs["cohort"] == "A").to_numpy()
    alone = Comparison(
        comparison.observed[inside],
        comparison.detected,
        {"good": comparison.predictions["good"][inside]},
        comparison.obs[inside],
        comparison.folds,
    )
    expected = alone.contrast().set_index("method").loc["good"]
    pd.testing.assert_series_equal(found.loc[("A", "good")], expected, check_names=False)
    few = by_cohort.contrasts(comparison, min_pairs=4)
    assert few["cohort"].tolist() == ["A", "B"]
    none = by_cohort.contrasts(comparison, "treated", "untreated")
    assert none.empty
    assert list(none.columns) == list(few.columns)


def test_correlations_equal_a_loop_written_out(comparison):
    found = by_cohort.correlations(comparison).set_index("cohort")
    assert list(found.index) == ["A", "B"]
    assert set(found["method"]) == {"good"}
    assert found["n_samples"].tolist() == [24, 19]
    assert found["n_donors"].tolist() == [12, 15]
    judged, predicted = comparison.observed[comparison.detected], comparison.predictions["good"]
    for cohort in found.index:
        obs = comparison.obs.query("cohort == @cohort")
        x, y = judged.loc[obs.index], predicted.loc[obs.index]
        r = {name: pearsonr(x[name], y[name]).statistic for name in x}
        assert found.loc[cohort, "within"] == pytest.approx(np.median(list(r.values())))
        high = [name for name in x if x[name].mean() > 3]
        assert found.loc[cohort, "n_expressed"] == len(high) < 25
        assert found.loc[cohort, "within_expressed"] == pytest.approx(np.median([r[name] for name in high]))
        tumour = obs.index[obs["condition"] == "tumour"]
        normal = obs.index.difference(tumour)
        apart = []
        for name in x:
            z = [
                (len(rows) - 3, np.arctanh(pearsonr(x.loc[rows, name], y.loc[rows, name]).statistic))
                for rows in (tumour, normal)
                if len(rows) >= 10
            ]
            apart.append(np.tanh(np.average([value for _, value in z], weights=[n for n, _ in z])))
        assert found.loc[cohort, "within_condition"] == pytest.approx(np.median(apart))
    # The large difference between tumour and normal makes the first figure the higher one.
    assert found.loc["A", "within"] > found.loc["A", "within_condition"]
