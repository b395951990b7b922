"""The cells of the chapter: labels, files of one's own, toy data where nothing is reached."""

from dataclasses import replace

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from small_cells import bundle, cells

from sicmir import data
from sicmir.chapters.single_cells import cell_sets
from sicmir.errors import DataError, ManifestError, UnreachableError
from sicmir.synthetic import toy_counts


@pytest.fixture
def small_toy(monkeypatch):
    """Toy cells of a size for tests, with the model of the tests in place of one that is trained."""
    drawn = toy_counts.single_cells(n_donors=2, n_cells=6, n_mirnas=12, n_training=20)
    monkeypatch.setattr(cell_sets, "toy_cells", lambda seed=0: drawn)
    monkeypatch.setattr(cell_sets, "toy_model", lambda seed=0: bundle())
    return drawn


@pytest.fixture
def offline(monkeypatch):
    def refuse(*_):
        raise UnreachableError("nothing there")

    monkeypatch.setattr(data, "load", refuse)


def test_toy_cells_take_the_place_of_what_cannot_be_reached(offline, small_toy):
    with pytest.warns(UserWarning, match="SYNTHETIC DATA: no real data set.*nothing there"):
        found = cell_sets.load_cells("auto")
    assert found.uns["sicmir"]["synthetic"]
    assert found.shape == small_toy.cells.shape
    assert cell_sets.model_for(found) is bundle()
    with pytest.raises(UnreachableError):
        cell_sets.load_cells("brain")


def test_a_model_of_toy_data_is_judged_by_toy_data(small_toy):
    found = cell_sets.load_reference(bundle(), "auto")
    assert found.lines == "toy"
    assert found.mrna.shape == (4, 977)
    assert found.mirna.obs_names.equals(found.mrna.obs_names)
    assert found.rows_of_lines().all()
    first = small_toy.measured.obs["cell_type"] == "type A"
    np.testing.assert_allclose(
        found.measured_in_half_cells, small_toy.measured.X[first.to_numpy()].mean(axis=0), rtol=1e-5
    )
    assert set(found.half_cells.obs["cell_type"]) == {"type A"}
    (origin,) = found.origins()
    assert origin.uns["sicmir"]["synthetic"]


def test_a_real_model_falls_back_on_toy_data_and_their_model(offline, small_toy):
    real = replace(bundle(), card={})
    with pytest.warns(UserWarning, match="no measured cells could be reached"):
        found = cell_sets.load_reference(real)
    assert found.bundle is bundle()


def test_a_file_needs_its_labels(tmp_path):
    adata = cells()
    adata.obs = pd.DataFrame(
        {"cluster": adata.obs["cell_type"], "patient": adata.obs["donor"]}, adata.obs_names
    )
    adata.obs.loc["c0", "cluster"] = np.nan
    adata.obs.loc["c1", "patient"] = ""
    path = tmp_path / "mine.h5ad"
    adata.write_h5ad(path)
    found = cell_sets.load_cells(path, "cluster", "patient")
    assert found.n_obs == adata.n_obs - 2
    assert found.obs["cell_type"].tolist() == adata.obs["cluster"].iloc[2:].tolist()
    assert found.obs["donor"].tolist() == adata.obs["patient"].iloc[2:].tolist()
    assert found.uns["sicmir"]["dataset"] == "mine.h5ad"
    one = cell_sets.load_cells(path, "cluster", "")
    assert set(one.obs["donor"]) == {"all"}
    assert one.n_obs == adata.n_obs - 1
    with pytest.raises(DataError, match="no column 'cell_type'; it has cluster, patient"):
        cell_sets.load_cells(path)
    with pytest.raises(ManifestError):
        cell_sets.load_cells("no-such-set")
    adata.obs["cluster"] = ""
    adata.write_h5ad(path)
    with pytest.raises(DataError, match="No cell has a label in cluster and patient"):
        cell_sets.load_cells(path, "cluster", "patient")


def test_markers_name_a_cell_only_where_they_are_clear():
    counts = pd.DataFrame(
        {"EPCAM": [4, 2, 3, 0], "KRT8": [1, 0, 0, 0], "COL1A1": [1, 0, 3, 0], "PTPRC": [0, 0, 0, 9]},
        ["epithelial", "few", "mixed", "immune"],
    )
    values = sparse.csr_matrix(counts.to_numpy(dtype=float))
    adata = ad.AnnData(values, counts[[]], pd.DataFrame(index=counts.columns))
    assert cell_sets.label_by_markers(adata).tolist() == ["epithelial", "", "", "immune"]
    assert cell_sets.label_by_markers(adata, min_counts=1, min_share=0.5).tolist() == [
        "epithelial",
        "epithelial",
        "epithelial",
        "immune",
    ]
    with pytest.raises(DataError, match="None of the markers is among 1 genes such as EPCAM"):
        cell_sets.label_by_markers(adata[:, ["EPCAM"]], {"T": ["CD3D"]})


@pytest.mark.real
def test_the_measured_cells_are_what_the_text_says():
    try:
        half, droplets, brain = (
            cell_sets.load_half_cells(),
            cell_sets.load_droplets(),
            cell_sets.load_cells("brain"),
        )
    except UnreachableError as error:
        pytest.skip(f"REAL DATA NOT REACHED, so this test did not run: {str(error)[:200]}")
    assert half.n_obs == 21
    assert half.X.sum(axis=1).min() > 1e6
    assert droplets.obs["donor"].nunique() == 5
    assert set(droplets.obs["cell_type"]) == set(cell_sets.MARKERS)
    assert len(droplets.uns["sicmir"]["sources"]) == 5
    assert (droplets.X.data % 1 == 0).all()
    assert brain.n_obs == 466
    assert len(brain.uns["sicmir"]["sources"]) == 2
