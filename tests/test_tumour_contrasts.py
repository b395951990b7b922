"""Cell types and conditions of files with any labels: paired donors, few donors, nothing in common."""

from itertools import product

import anndata as ad
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from sicmir import stats
from sicmir.chapters.pancreas import tumour_contrasts, tumour_plots
from sicmir.donors import few_donors


def pools_of(rows, seed=0):
    """Predicted pools of (donor, cell_type, condition); the first miRNA is 5 higher in metastases."""
    rng = np.random.default_rng(seed)
    obs = pd.DataFrame(rows, columns=["donor", "cell_type", "condition"])
    obs.index = ["|".join(row) for row in rows]
    values = rng.normal(8, 0.5, (len(obs), 12))
    values[(obs["condition"] == "metastasis").to_numpy(), 0] += 5
    var = pd.DataFrame({"grade": list("AABBCD") * 2}, [f"toy-miR-{i:03d}" for i in range(12)])
    pools = ad.AnnData(values.astype(np.float32), obs, var)
    pools.layers["lower"], pools.layers["upper"] = pools.X - 1, pools.X + 1
    pools.uns["sicmir"] = {"modality": "prediction", "interval_level": 0.9}
    return pools


def unpaired(n_case, n_reference, types=("T", "tumour")):
    return pools_of(
        [(f"m{i}", kind, "metastasis") for i, kind in product(range(n_case), types)]
        + [(f"p{i}", kind, "primary") for i, kind in product(range(n_reference), types)]
    )


def test_few_donors_are_ranked_with_all_pairs():
    pools = unpaired(2, 3)
    found = tumour_contrasts.between_conditions(pools, "metastasis", "primary")
    pairs = few_donors.donor_pairs(pools, "metastasis", "primary", min_grade="B")
    columns = ["cell_type", "mirna", "effect", "lower", "upper", "separated", "rank", "chance"]
    pd.testing.assert_frame_equal(found[columns], pairs[columns], check_dtype=False)
    assert not found["tested"].any()
    assert found["q"].isna().all()
    told = tumour_contrasts.told(found, "metastasis", "primary")
    assert told.startswith("Donors are too few for a test in any cell type. In T (2 against 3 donors), ")
    share = pairs[~pairs["greyed"] & (pairs["cell_type"] == "T")]["separated"].mean()
    assert f"{100 * share:.0f} % of the miRNAs separate" in told
    assert "chance alone separates 20 %" in told


def test_enough_donors_are_tested():
    pools = unpaired(4, 5)
    few = pools[~((pools.obs["cell_type"] == "T") & pools.obs["donor"].isin(["m2", "m3"]))].copy()
    found = tumour_contrasts.between_conditions(few, "metastasis", "primary").set_index("cell_type")
    assert found.loc["tumour", "tested"].all()
    assert not found.loc["T", "tested"].any()
    test = stats.differential(few, "condition", "metastasis", "primary", cell_type_key="cell_type")
    test = test[test["cell_type"] == "tumour"].set_index("mirna")
    own = found.loc["tumour"].set_index("mirna")
    for name in ("effect", "lower", "upper", "q"):
        np.testing.assert_allclose(own[name], test.loc[own.index, name])
    assert own.index[own["finding"]].tolist() == ["toy-miR-000"]
    assert found["rank"].isna().tolist() == found["greyed"].tolist()
    told = tumour_contrasts.told(found.reset_index(), "metastasis", "primary")
    assert "In tumour (4 against 5 donors), 1 of 8 miRNAs differ at a false discovery rate of 0.05." in told
    assert "Donors are too few for a test in T. In T (2 against 5 donors)" in told
    rows = tumour_contrasts.summary(found.reset_index()).set_index("cell_type")
    assert rows["findings"].to_dict() == {"T": 0, "tumour": 1}
    assert np.isnan(rows.loc["tumour", "chance"])
    figure = tumour_plots.donor_ranges(found.reset_index())
    assert [ax.get_title().splitlines()[1] for ax in figure.axes] == [
        "2 against 5 donors",
        "4 against 5 donors, tested",
    ]
    plt.close(figure)


@pytest.mark.parametrize(("n", "tested"), [(2, False), (4, True)])
def test_donors_with_both_conditions(n, tested):
    kinds, conditions = ("T", "tumour"), ("primary", "metastasis")
    pools = pools_of([(f"d{i}", *rest) for i, *rest in product(range(n), kinds, conditions)])
    found = tumour_contrasts.between_conditions(pools, "metastasis", "primary")
    assert found["tested"].any() == tested
    assert found["lower"].notna().any() == tested
    own = found[(found["cell_type"] == "T") & (found["mirna"] == "toy-miR-000")]
    values = pools[pools.obs["cell_type"] == "T", "toy-miR-000"].to_df()["toy-miR-000"].to_numpy()
    assert own["effect"].item() == pytest.approx((values[1::2] - values[::2]).mean(), abs=1e-5)
    told = tumour_contrasts.told(found, "metastasis", "primary")
    expected = "In T (4 donors with both), 1 of 8" if tested else "too few for a test in any cell type."
    assert expected in told
    plt.close(tumour_plots.donor_ranges(found))


@pytest.mark.parametrize("case", ["metastasis", "absent"])
def test_conditions_that_share_no_cell_type_are_not_compared(case):
    pools = pools_of([("a", "T", "metastasis"), ("b", "tumour", "primary"), ("c", "tumour", "primary")])
    found = tumour_contrasts.between_conditions(pools, case, "primary")
    assert found.empty
    told = tumour_contrasts.told(found, case, "primary")
    assert told == f"No cell type was predicted in both {case} and primary, so that nothing is compared."
    assert tumour_contrasts.summary(found).empty
    plt.close(tumour_plots.donor_ranges(found))


def test_cell_types_are_compared_within_conditions():
    """Only pools that do not take a difference between conditions for one between cell types."""
    rows = [("a", kind, condition) for kind in ("T", "B") for condition in ("primary", "metastasis")]
    rows += [("a", "tumour", "metastasis")]
    rows += [("b", "tumour", "metastasis"), ("b", "T", "primary"), ("b", "B", "primary")]
    rows += [("c", "tumour", "primary"), ("c", "T", "primary"), ("d", "T", "primary"), ("d", "B", "primary")]
    pools = pools_of(rows)
    chosen = tumour_contrasts.comparable(pools)
    left_out = set(pools.obs_names) - set(chosen.obs_names)
    assert left_out == {"a|tumour|metastasis", "b|tumour|metastasis"}
    found = tumour_contrasts.markers(chosen)
    assert found["n_case"].max() == 4
    assert found.loc[found["mirna"] == "toy-miR-000", "effect"].abs().max() < 2.5  # else 5 of the condition
    assert tumour_contrasts.counted(chosen, pools, found).startswith("10 of 12 predicted pools are compared")


def test_one_cell_type_has_no_markers():
    pools = unpaired(3, 3, types=("tumour",))
    found = tumour_contrasts.markers(tumour_contrasts.comparable(pools))
    assert found.empty
    assert list(found.columns) == list(tumour_contrasts.MARKERS)
    assert tumour_contrasts.counted(pools, pools, found).startswith("No donor has two cell types")
    assert tumour_contrasts.between_conditions(pools, "metastasis", "primary")["tested"].any()
