"""Clusters and their names: planted types are found, what has no type stays without a name."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from sicmir.cells import cell_annotation
from sicmir.errors import DataError, ParameterError

MARKERS = {f"type {t}": tuple(f"M{t}{i}" for i in range(4)) for t in "ABC"}


@pytest.fixture(scope="module")
def cells():
    """Three planted types in two donors, and cells without markers but with a programme of their own."""
    rng = np.random.default_rng(0)
    genes = [gene for one in MARKERS.values() for gene in one] + [f"G{i}" for i in range(300)]
    kinds = np.repeat(["type A", "type B", "type C", "other"], 40)
    donors = np.tile(["d0", "d1"], 80)
    mean = np.tile(rng.gamma(1, 1, len(genes)), (len(kinds), 1))
    mean[:, :12] = 0.05
    for number, name in enumerate(MARKERS):
        mean[kinds == name, 4 * number : 4 * number + 4] = 6
        mean[kinds == name, 12 + 40 * number : 52 + 40 * number] *= 4
    mean[kinds == "other", 200:280] *= 4
    obs = pd.DataFrame({"donor": donors, "planted": kinds}, [f"c{i}" for i in range(len(kinds))])
    counts = sparse.csr_matrix(rng.poisson(mean).astype(np.float32))
    return ad.AnnData(counts, obs, pd.DataFrame(index=genes))


@pytest.fixture(scope="module")
def clustered(cells):
    return cell_annotation.cluster(cells, resolution=1.0, n_components=10)


def test_planted_types_are_named_and_the_others_are_not(cells, clustered):
    scores = cell_annotation.marker_scores(clustered, MARKERS)
    names = cell_annotation.name_clusters(scores, clustered.obs["cluster"])
    found = cell_annotation.named(clustered, names)
    planted = cells.obs["planted"].replace("other", cell_annotation.UNASSIGNED)
    assert (found == planted).mean() > 0.97
    assert names["n_cells"].sum() == cells.n_obs
    assert names["n_cells"].is_monotonic_decreasing


def test_values_are_log1p_of_counts_per_ten_thousand_and_the_input_stays(cells, clustered):
    counts = cells.X.toarray()
    expected = np.log1p(counts / counts.sum(axis=1, keepdims=True) * 1e4)
    np.testing.assert_allclose(clustered.X.toarray(), expected, rtol=1e-4)
    assert "cluster" not in cells.obs
    again = cell_annotation.cluster(cells, resolution=1.0, n_components=10)
    assert again.obs["cluster"].tolist() == clustered.obs["cluster"].tolist()


def test_a_leader_needs_a_share_and_a_score(clustered):
    scores = pd.DataFrame(
        {"x": [3.0, 3.0, 0.5, 0.5, 1.0, 0.1], "y": [0.0, 0.0, 0.0, 0.0, 0.9, 2.0]}, list("abcdef")
    )
    clusters = pd.Series(["0", "0", "1", "1", "2", "2"], list("abcdef"))
    names = cell_annotation.name_clusters(scores, clusters).set_index("cluster")
    assert names["leader"].tolist() == ["x", "x", "y"]
    assert names["relative"].tolist() == pytest.approx([1, 0.5 / 3, 1])
    assert names["share"].tolist() == [1, 1, 0.5]
    assert names["cell_type"].tolist() == ["x", cell_annotation.UNASSIGNED, "y"]
    assert names["second_score"].tolist() == pytest.approx([0, 0, 0.55])
    strict = cell_annotation.name_clusters(scores, clusters, min_relative=0.1, min_share=0.6)
    assert strict["cell_type"].tolist() == ["x", "x", cell_annotation.UNASSIGNED]
    with pytest.raises(ParameterError, match="thresholds from 0 to 1"):
        cell_annotation.name_clusters(scores, clusters, min_share=2)


def test_sets_with_too_few_markers_are_left_out(clustered):
    markers = {**MARKERS, "absent": ("MA0", "ZZ1", "ZZ2")}
    assert list(cell_annotation.marker_scores(clustered, markers)) == list(MARKERS)
    with pytest.raises(DataError, match="Of no cell type half of the markers"):
        cell_annotation.marker_scores(clustered, {"absent": ("ZZ1",)})


def test_wrong_options(cells):
    with pytest.raises(ParameterError, match="resolution above 0"):
        cell_annotation.cluster(cells, resolution=0)
    with pytest.raises(DataError, match="20 cells are too few"):
        cell_annotation.cluster(cells[:20].copy())


def test_the_plane_has_every_cell(clustered):
    plane = cell_annotation.embedding(clustered[:60].copy())
    assert plane.shape == (60, 2)
    assert np.isfinite(plane.to_numpy()).all()


def test_stated_markers_stand_for_one_type_each():
    genes = [gene for one in cell_annotation.PANCREAS.values() for gene in one]
    assert len(genes) == len(set(genes))
