"""Two groups of few donors: every pair by brute force, and what chance separates."""

from itertools import combinations, product

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from sicmir.chapters.pancreas import tumour_plots
from sicmir.donors import few_donors
from sicmir.errors import DataError, ParameterError


@pytest.fixture
def pools():
    rng = np.random.default_rng(0)
    rows = [
        (f"d{i}", kind, "primary" if i < 3 else "metastasis") for i in range(5) for kind in ("tumour", "T")
    ]
    obs = pd.DataFrame(rows, columns=["donor", "cell_type", "condition"], index=[f"p{i}" for i in range(10)])
    obs = obs.drop(index=["p1", "p3"])  # T cells of two primary donors are missing
    values = rng.normal(5, 1, (8, 6)).astype(np.float32)
    values[(obs["condition"] == "metastasis").to_numpy(), 0] += 20
    values[0, :] += 0
    var = pd.DataFrame({"grade": list("AABBCD")}, [f"toy-miR-{i:03d}" for i in range(6)])
    return ad.AnnData(values, obs, var)


def test_every_pair_of_donors(pools):
    found = few_donors.donor_pairs(pools, "metastasis", "primary", min_grade="B")
    for (kind, name), row in found.set_index(["cell_type", "mirna"]).iterrows():
        values = pools[pools.obs["cell_type"] == kind, name].to_df()[name]
        group = pools.obs.loc[values.index, "condition"]
        case, reference = values[group == "metastasis"], values[group == "primary"]
        pairs = [a - b for a, b in product(case, reference)]
        assert row["effect"] == pytest.approx(case.mean() - reference.mean(), abs=1e-5)
        assert (row["lower"], row["upper"]) == pytest.approx((min(pairs), max(pairs)), abs=1e-5)
        assert row["separated"] == (min(pairs) > 0 or max(pairs) < 0)
        assert (row["n_case"], row["n_reference"]) == (len(case), len(reference))
    assert found.loc[found["greyed"], "mirna"].unique().tolist() == ["toy-miR-004", "toy-miR-005"]
    assert found.loc[found["greyed"], "rank"].isna().all()
    assert found.groupby("cell_type")["mirna"].first().eq("toy-miR-000").all()


def test_chance_is_the_share_of_labels_that_separate(pools):
    """All ways to call two of five donors metastases, on values without ties."""
    values = [0.3, 2.2, 1.1, 4.0, 0.9]
    ways = list(combinations(range(5), 2))
    separate = 0
    for chosen in ways:
        inside = [values[i] for i in chosen]
        rest = [values[i] for i in range(5) if i not in chosen]
        separate += min(inside) > max(rest) or max(inside) < min(rest)
    found = few_donors.donor_pairs(pools, "metastasis", "primary").set_index("cell_type")
    assert found.loc["tumour", "chance"].iloc[0] == pytest.approx(separate / len(ways))
    assert found.loc["T", "chance"].iloc[0] == pytest.approx(2 / 3)


def test_separation_counts_what_is_not_greyed(pools):
    table = few_donors.donor_pairs(pools, "metastasis", "primary", min_grade="B")
    found = few_donors.separation(table).set_index("cell_type")
    for kind, part in table[~table["greyed"]].groupby("cell_type"):
        assert found.loc[kind, "n_mirnas"] == 4
        assert found.loc[kind, "separated"] == part["separated"].sum()
        assert found.loc[kind, "share"] == pytest.approx(part["separated"].mean())
    figure = tumour_plots.donor_ranges(table, top=3)
    assert [ax.get_title().splitlines() for ax in figure.axes] == [
        ["T", "2 against 1 donors"],
        ["tumour", "2 against 3 donors"],
    ]


def test_what_cannot_be_compared(pools):
    with pytest.raises(ParameterError, match="two conditions"):
        few_donors.donor_pairs(pools, "primary", "primary")
    with pytest.raises(DataError, match="no column 'organ'"):
        few_donors.donor_pairs(pools, "metastasis", "primary", condition_key="organ")
    with pytest.raises(DataError, match="No cell type was predicted in both"):
        few_donors.donor_pairs(pools[pools.obs["condition"] == "primary"].copy(), "metastasis", "primary")
    both = pools.copy()
    both.obs.loc["p4", "donor"] = "d4"
    with pytest.raises(DataError, match="Donor d4 has both conditions"):
        few_donors.donor_pairs(both, "metastasis", "primary")
    abstained = pools.copy()
    abstained.X[:] = np.nan
    with pytest.raises(DataError, match="No cell type"):
        few_donors.donor_pairs(abstained, "metastasis", "primary")
