"""Fewer cells, counts and genes: what is compared, recomputed from single predictions."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from scipy.stats import binom
from small_cells import bundle, cells

from sicmir import prediction
from sicmir.cells import cell_robustness as robustness
from sicmir.errors import DataError, ParameterError
from sicmir.pseudobulk import pseudobulk


@pytest.fixture(scope="module")
def pools():
    return pseudobulk(cells())


def test_thinning_keeps_each_count_with_the_probability_asked_for():
    counts = sparse.csr_matrix(np.full((40, 500), 20.0))
    thinned = robustness.thin(counts, 0.1, np.random.default_rng(0)).toarray()
    assert (counts.data == 20).all()
    assert thinned.mean() == pytest.approx(2, rel=0.02)
    assert thinned.var() == pytest.approx(binom.var(20, 0.1), rel=0.05)
    assert (thinned % 1 == 0).all()
    whole = robustness.thin(counts, 1.0, np.random.default_rng(0))
    assert (whole != counts).nnz == 0


def test_what_cannot_be_thinned_is_refused():
    rng = np.random.default_rng(0)
    for share in (0, 1.2, -0.1):
        with pytest.raises(ParameterError, match="above 0 and up to 1"):
            robustness.thin(np.ones((2, 2)), share, rng)
    for values in ([[0.5, 1]], [[-1, 2]], [[np.nan, 1]]):
        with pytest.raises(DataError, match="Only counts"):
            robustness.thin(np.array(values), 0.5, rng)


def test_the_comparison_is_that_of_single_predictions(pools):
    found = robustness.by_counts(pools, bundle(), (0.05, 1.0), n_draws=2)
    assert found.groupby("setting").size().to_dict() == {0.05: 12, 1.0: 6}
    same = found[found["setting"] == 1]
    np.testing.assert_allclose(same["r"], 1)
    np.testing.assert_allclose(same["rmsd"], 0, atol=1e-6)
    assert found["partial"].isna().all()

    full = prediction.predict(pools, bundle(), abstain=False, progress=False)
    thinned = pools.copy()
    thinned.X = robustness.thin(pools.X, 0.05, np.random.default_rng(0))
    by_hand = prediction.predict(thinned, bundle(), abstain=False, progress=False)
    mean = bundle().trust["mean_log2_rpm"].to_numpy()
    first = found[(found["setting"] == 0.05) & (found["draw"] == 1)].set_index("group")
    for name in pools.obs_names:
        x, y = (np.ravel(table[name].X) - mean for table in (by_hand, full))
        assert first.loc[name, "r"] == pytest.approx(np.corrcoef(x, y)[0, 1], abs=1e-6)
        assert first.loc[name, "rmsd"] == pytest.approx(np.sqrt(np.mean((x - y) ** 2)), rel=1e-4)
        assert first.loc[name, "domain_score"] == pytest.approx(by_hand.obs.loc[name, "domain_score"])
    assert (first["r"] < 1 - 1e-4).all()


def test_fewer_counts_agree_less_and_are_abstained(pools):
    found = robustness.summary(robustness.by_counts(pools, bundle(), (1.0, 0.1, 0.001), n_draws=2))
    assert found["setting"].tolist() == [0.001, 0.1, 1.0]
    assert found["r"].is_monotonic_increasing
    assert found["domain_score"].is_monotonic_increasing
    assert found["abstained"].tolist()[0] == 1
    assert found["abstained"].tolist()[2] == 0
    assert found["n_groups"].tolist() == [6, 6, 6]
    assert found["n_draws"].tolist() == [12, 12, 6]


def test_pools_of_few_cells_come_from_their_group(pools):
    found = robustness.by_cells(cells(), bundle(), sizes=(1, 3, 6, 7), n_draws=3)
    assert found["setting"].unique().tolist() == [1, 3, 6]  # 7 is more than half of 12
    assert (found["n_group"] == 12).all()
    assert set(found["group"]) == set(pools.obs_names)
    assert found.groupby(["group", "setting"]).size().eq(3).all()
    medians = found.groupby("setting")["r"].median()
    assert medians.is_monotonic_increasing
    assert medians[6] > 0.9
    again = robustness.by_cells(cells(), bundle(), sizes=(1, 3, 6, 7), n_draws=3)
    pd.testing.assert_frame_equal(found, again)


def test_small_groups_are_left_out():
    some = cells()
    some = some[(some.obs["donor"] != "d1") | (np.arange(some.n_obs) % 12 < 5)].copy()
    found = robustness.by_cells(some, bundle(), sizes=(1, 2), n_draws=1, min_cells=6)
    assert not found["group"].str.startswith("d1").any()
    assert found["group"].nunique() == 4
    with pytest.raises(DataError, match="None of 6 groups has 50 cells"):
        robustness.by_cells(some, bundle(), sizes=(1,), min_cells=50)


def test_missing_genes_stay_missing(pools):
    found = robustness.by_genes(pools, bundle(), (1.0, 0.7, 0.5, 0.3), n_draws=2)
    coverage = found.groupby("setting")["coverage"].agg(["min", "max"])
    np.testing.assert_allclose(coverage["min"], coverage["max"])
    np.testing.assert_allclose(coverage["min"], np.ceil(977 * np.array([0.3, 0.5, 0.7, 1])) / 977)
    assert found[found["setting"] == 0.3]["abstained"].all()
    assert not found[found["setting"] == 0.3]["in_domain"].any()
    assert not found[found["setting"] >= 0.5]["abstained"].any()
    np.testing.assert_allclose(found[found["setting"] == 1]["r"], 1, atol=1e-5)
    medians = found.groupby("setting")["r"].median()
    assert medians.is_monotonic_increasing
    # Within a draw all pools lack the same genes; two draws lack others.
    assert found[found["setting"] == 0.7].groupby("group")["r"].nunique().eq(2).all()


def test_agreement_with_a_measurement_is_given_the_mean(pools):
    measured = pd.Series(
        prediction.predict(pools[:1], bundle(), abstain=False, progress=False).X[0], bundle().mirnas
    )
    found = robustness.by_counts(pools[:1], bundle(), (1.0, 0.002), n_draws=3, measured=measured)
    assert found["partial"].iloc[0] == pytest.approx(1)
    assert (found["partial"].iloc[1:] < 0.99).all()
