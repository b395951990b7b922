"""Windows and regions of a section, summed by hand; contrasts with the errors of prediction."""

import anndata as ad
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from sicmir.cells import spatial
from sicmir.chapters.pancreas import tumour_plots
from sicmir.errors import DataError, ParameterError


@pytest.fixture
def spots():
    rng = np.random.default_rng(0)
    places = [(x, y) for x in range(5) for y in range(4)]
    obs = pd.DataFrame(places, columns=["x", "y"], index=[f"s{i}" for i in range(20)])
    obs["region"] = ["Cancer"] * 10 + ["Stroma"] * 9 + [""]
    counts = sparse.csr_matrix(rng.poisson(3, (20, 7)).astype(np.float32))
    return ad.AnnData(counts, obs, pd.DataFrame(index=[f"G{i}" for i in range(7)]), uns={"sicmir": {"a": 1}})


@pytest.mark.parametrize("radius", [0.5, 1.0, 1.5, 9.0])
def test_windows_are_sums_within_the_radius(spots, radius):
    found = spatial.windows(spots, radius)
    places, counts = spots.obs[["x", "y"]].to_numpy(), spots.X.toarray()
    for i in range(spots.n_obs):
        near = np.hypot(*(places - places[i]).T) <= radius
        np.testing.assert_array_equal(found.X[[i]].toarray()[0], counts[near].sum(axis=0))
        assert found.obs["n_spots"].iloc[i] == near.sum()
    assert found.uns["sicmir"] == {"a": 1}
    assert found.obs["region"].tolist() == spots.obs["region"].tolist()


def test_regions_are_sums_without_spots_that_have_none(spots):
    found = spatial.regions(spots, min_spots=9)
    counts = spots.X.toarray()
    np.testing.assert_array_equal(found["Cancer"].X[0], counts[:10].sum(axis=0))
    np.testing.assert_array_equal(found["Stroma"].X[0], counts[10:19].sum(axis=0))
    assert spatial.regions(spots, min_spots=10).obs_names.tolist() == ["Cancer"]


def test_wrong_windows(spots):
    with pytest.raises(ParameterError, match="radius should be above 0"):
        spatial.windows(spots, 0)
    spots.obs["x"] = spots.obs["x"].astype(float)
    spots.obs.loc["s1", "x"] = np.nan
    with pytest.raises(DataError, match="x and y of every spot"):
        spatial.windows(spots, 1)


def test_a_contrast_adds_the_squares_of_both_errors():
    predicted = ad.AnnData(
        np.array([[5.0, 2.0], [3.0, 2.5]]),
        pd.DataFrame({"region": ["Cancer", "Pancreatic"]}, ["Cancer", "Pancreatic"]),
        pd.DataFrame({"grade": ["A", "D"]}, ["toy-miR-001", "toy-miR-002"]),
        layers={"lower": np.array([[4.0, 1], [2.5, 2]]), "upper": np.array([[6.0, 3], [3.5, 3]])},
    )
    found = spatial.contrast(predicted, "Cancer", "Pancreatic", "B").set_index("mirna")
    assert found["effect"].tolist() == [2, -0.5]
    half = np.hypot(1, 0.5)
    assert found.loc["toy-miR-001", ["lower", "upper"]].tolist() == pytest.approx([2 - half, 2 + half])
    assert found["greyed"].tolist() == [False, True]
    with pytest.raises(DataError, match="no region 'Duct'; there are Cancer, Pancreatic"):
        spatial.contrast(predicted, "Duct", "Cancer")


def test_the_map_leaves_out_what_was_abstained(spots):
    values = pd.Series(np.arange(20.0), spots.obs_names)
    values.iloc[:5] = np.nan
    nothing = pd.Series(np.nan, spots.obs_names)
    figure = tumour_plots.section(spots.obs, {"toy-miR-001": values, "toy-miR-002": nothing})
    panels = {ax.get_title(): ax for ax in figure.axes if ax.get_title()}
    grey, coloured = panels["toy-miR-001"].collections
    assert len(grey.get_offsets()) == 5
    assert len(coloured.get_offsets()) == 15
    (grey,) = panels["toy-miR-002"].collections
    assert len(grey.get_offsets()) == 20
    plt.close(figure)
