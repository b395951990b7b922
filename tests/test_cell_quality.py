"""Quality control: measures counted by hand, rules, and what is told of each donor."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from sicmir.cells import cell_quality
from sicmir.errors import DataError, ParameterError

GENES = ["EPCAM", "KRT8", "MT-ND1", "HBB", "HBEGF", "MTOR"]
COUNTS = [[4, 4, 1, 0, 1, 0], [1, 0, 9, 0, 0, 0], [0, 0, 0, 9, 1, 0], [0, 2, 0, 0, 0, 0]]


@pytest.fixture
def cells():
    obs = pd.DataFrame(
        {"donor": ["a", "a", "b", "b"], "condition": ["primary", "primary", "metastasis", "metastasis"]},
        [f"c{i}" for i in range(4)],
    )
    return ad.AnnData(sparse.csr_matrix(np.array(COUNTS, dtype=np.float32)), obs, pd.DataFrame(index=GENES))


def test_measures_are_those_counted_by_hand(cells):
    found = cell_quality.measures(cells)
    counts = np.array(COUNTS)
    assert found["transcripts"].tolist() == counts.sum(axis=1).tolist()
    assert found["genes"].tolist() == (counts > 0).sum(axis=1).tolist()
    np.testing.assert_allclose(found["mitochondrial"][:2], counts[:2, 2] / counts[:2].sum(axis=1))
    assert found["mitochondrial"][2:].isna().all()  # donor b has no such transcript at all
    np.testing.assert_allclose(found["haemoglobin"], counts[:, 3] / counts.sum(axis=1))  # HBEGF is none


def test_rules_and_their_table(cells):
    measured = cell_quality.measures(cells)
    rule = cell_quality.Rule(min_genes=2, max_mitochondrial=0.5, max_haemoglobin=0.5)
    assert cell_quality.passing(measured, rule).tolist() == [True, False, False, False]
    assert cell_quality.filtered(cells, measured, rule).obs_names.tolist() == ["c0"]
    table = cell_quality.table(measured, cells.obs, rule).set_index("donor")
    assert table["barcodes"].tolist() == [2, 2]
    assert table["cells"].tolist() == [1, 0]
    assert table.loc["a", ["few_genes", "mitochondrial", "haemoglobin"]].tolist() == [0, 1, 0]
    assert table.loc["b", ["few_genes", "haemoglobin"]].tolist() == [1, 1]
    assert np.isnan(table.loc["b", "mitochondrial"])
    told = cell_quality.untold(table.reset_index())
    assert told == "No mitochondrial transcript was found in b: damaged cells are not recognised there."
    assert table.loc["a", "transcripts_median"] == 10
    assert np.isnan(table.loc["b", "genes_median"])
    with pytest.raises(DataError, match="None of 4 barcodes passes"):
        cell_quality.filtered(cells, measured, cell_quality.Rule(min_genes=9))
    with pytest.raises(ParameterError, match="shares from 0 to 1"):
        cell_quality.Rule(max_mitochondrial=25)


def test_counts_are_found_wherever_they_lie_and_needed(cells):
    cells.layers["counts"] = cells.X.copy()
    cells.X = np.log1p(cells.X.toarray()).astype(np.float32) * 1.01
    found = cell_quality.counts_of(cells, "counts")
    np.testing.assert_array_equal(found.X.toarray(), COUNTS)
    assert found.obs["donor"].tolist() == cells.obs["donor"].tolist()
    linear = ad.AnnData(np.array(COUNTS, dtype=np.float32) + 0.25, cells.obs, cells.var)
    linear.uns["sicmir"] = {"units": "TPM"}
    with pytest.raises((DataError, ParameterError)):
        cell_quality.counts_of(linear)


def test_genes_by_ensembl_id_are_measured_alike(cells):
    """The ids that CELLxGENE names genes by, one of them with a version."""
    ids = ["ENSG00000119888", "ENSG00000170421", "ENSG00000198888.2", "ENSG00000244734", "ENSG00000113070"]
    by_id = ad.AnnData(cells.X, cells.obs, pd.DataFrame(index=[*ids, "ENSG00000198793"]))
    rule = cell_quality.Rule(min_genes=2, max_mitochondrial=0.5, max_haemoglobin=0.5)
    one, other = (cell_quality.counts_of(part) for part in (cells, by_id))
    assert other.var_names.tolist() == GENES
    pd.testing.assert_frame_equal(cell_quality.measures(one), cell_quality.measures(other))
    found = cell_quality.measures(other)
    assert (found["mitochondrial"] > rule.max_mitochondrial).tolist() == [False, True, False, False]
    twice = ad.AnnData(cells.X, cells.obs, pd.DataFrame(index=["HBB", *ids[1:4], "x", "ENSG00000198793"]))
    names = cell_quality.symbols(twice).tolist()
    assert names == ["HBB", "KRT8", "MT-ND1", "ENSG00000244734", "x", "MTOR"]


def test_what_no_gene_tells_is_not_0(cells):
    """Without such genes a share is unknown; it fails no barcode and no donor has a number."""
    bare = cells[:, ["EPCAM", "KRT8", "MTOR"]].copy()
    measured = cell_quality.measures(bare)
    assert measured[["mitochondrial", "haemoglobin"]].isna().all(axis=None)
    rule = cell_quality.Rule(min_genes=1, max_mitochondrial=0, max_haemoglobin=0)
    assert cell_quality.passing(measured, rule).tolist() == [True, True, False, True]
    cells.obs["condition"] = ["primary", "metastasis", "metastasis", "metastasis"]
    table = cell_quality.table(measured, cells.obs, rule)
    assert table["condition"].tolist() == ["metastasis, primary", "metastasis"]
    assert table[["mitochondrial", "haemoglobin"]].isna().all(axis=None)
    told = cell_quality.untold(table)
    assert "No haemoglobin transcript was found in any donor: red blood cells are not" in told
    assert "in every donor" in cell_quality.untold(table.assign(mitochondrial=0, haemoglobin=0))
