"""Pooling cells to types, and measured miRNA beside them: recomputed by hand; and what is refused."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from sicmir import panel
from sicmir.cells.cell_types import as_stem_loops, pair_cell_types, pool_cells
from sicmir.errors import DataError, PanelError, ParameterError

TYPES = ["neuron", "glia", "neuron", "glia", "glia", "blood"]
DONORS = ["d1", "d1", "d1", "d2", "d3", "d1"]
LIBRARIES = ["Neurons", "Neurons", "Glia - white", "Glia - grey", "Other"]
MIRNAS = ["hsa-miR-21-5p", "hsa-miR-335-5p", "hsa-miR-128", "hsa-miR-128-3p", "hsa-miR-nonsense"]


@pytest.fixture
def cells():
    """Counts of 6 cells: 600 landmarks, one of them in two columns, and 5,000 other genes."""
    symbols = panel.landmarks()["symbol"].tolist()[:600]
    alias = (
        panel.landmarks()
        .query("aliases != '' and symbol in @symbols")["aliases"]
        .str.split(";")
        .str[0]
        .iloc[0]
    )
    genes = [*symbols, *(f"OTHER{i}" for i in range(5000))]
    counts = np.random.default_rng(0).poisson(3, (6, len(genes))).astype(np.float32)
    adata = ad.AnnData(counts, pd.DataFrame({"cell_type": TYPES, "donor": DONORS}, list("abcdef")))
    adata.var_names = genes
    adata.uns = {"alias": alias, "sicmir": {"units": "UMI counts", "sources": "kept"}}
    return adata


@pytest.fixture
def measured():
    values = np.random.default_rng(1).gamma(1, 5000, (5, len(MIRNAS)))
    adata = ad.AnnData(values, pd.DataFrame({"cell_type": LIBRARIES}, list("12345")))
    adata.var_names = MIRNAS
    adata.uns["sicmir"] = {"units": "CPM", "level": "mature"}
    return adata


def table(**pairs):
    return pd.DataFrame(
        {
            "cell_type": list(pairs),
            "source_cell_type": list(pairs.values()),
            "match": "similar",
            "remarks": "",
        }
    )


MATCHES = table(neuron="Neurons", glia="Glia - white;Glia - grey")


def test_counts_are_summed_within_types(cells):
    pooled = pool_cells(cells)
    sums = cells.to_df().astype(float).groupby(np.array(TYPES)).sum()
    expected = sums.div(sums.sum(axis=1), axis=0) * 1e6
    pd.testing.assert_frame_equal(pooled.to_df(), expected, check_dtype=False, rtol=1e-5)
    assert pooled.obs["n_cells"].to_dict() == {"blood": 1, "glia": 3, "neuron": 2}
    assert pooled.obs["n_donors"].to_dict() == {"blood": 1, "glia": 3, "neuron": 1}
    assert pooled.uns["sicmir"] == {"units": "CPM", "sources": "kept"}
    as_sparse = cells.copy()
    as_sparse.X = sparse.csr_matrix(cells.X)
    np.testing.assert_allclose(pool_cells(as_sparse).X, pooled.X, rtol=1e-6)


def test_logarithms_are_undone_before_the_mean(cells):
    per_cell = cells.to_df().astype(float)
    per_cell = per_cell.div(per_cell.sum(axis=1), axis=0) * 1e6
    logs = ad.AnnData(np.log2(per_cell + 1), cells.obs.drop(columns="donor"))
    logs.uns["sicmir"] = {"units": "log2(TPM + 1)"}
    logs.obs["n_cells"] = [1, 2, 3, 4, 5, 6]
    pooled = pool_cells(logs)
    np.testing.assert_allclose(pooled.to_df(), per_cell.groupby(np.array(TYPES)).mean(), rtol=1e-4)
    assert pooled.obs["n_cells"].tolist() == [6, 11, 4]
    assert pooled.obs["n_donors"].isna().all()


def test_a_layer_of_counts_is_preferred(cells):
    normalised = cells.copy()
    normalised.layers["counts"] = cells.X.copy()
    normalised.X = np.log1p(cells.X / cells.X.sum(axis=1, keepdims=True) * 1e4)
    del normalised.uns["sicmir"]
    np.testing.assert_allclose(pool_cells(normalised).X, pool_cells(cells).X, rtol=1e-6)


def test_mrna_and_mirna_of_matched_types(cells, measured):
    mrna, mirna = pair_cell_types(cells, measured, MATCHES)
    pooled = pool_cells(cells).to_df()
    symbols = panel.landmarks()["symbol"]
    assert mrna.var_names.tolist() == symbols.tolist()
    np.testing.assert_allclose(
        mrna.X[:, :600], np.log2(pooled.loc[["neuron", "glia"], symbols[:600]] + 1), rtol=1e-5
    )
    assert np.isnan(mrna.X[:, 600:]).all()

    linear = measured.to_df()
    linear["hsa-miR-128-3p"] += linear.pop("hsa-miR-128")
    logs = np.log2(linear.drop(columns="hsa-miR-nonsense") + 1)
    expected = pd.DataFrame([logs.iloc[:2].mean(), logs.iloc[2:4].mean()], ["neuron", "glia"])
    pd.testing.assert_frame_equal(mirna.to_df()[expected.columns], expected, check_dtype=False, rtol=1e-5)
    assert mirna.n_vars == 3
    record = mirna.uns["sicmir"]
    assert (record["units"], record["level"]) == ("log2(RPM + 1)", "mature")
    assert record["dropped"].tolist() == ["hsa-miR-nonsense"]
    pd.testing.assert_frame_equal(mrna.obs, mirna.obs)
    assert mrna.obs["n_libraries"].tolist() == [2, 2]
    assert mrna.obs["match"].tolist() == ["similar"] * 2


def test_the_order_of_cells_and_libraries_does_not_matter(cells, measured):
    expected = pair_cell_types(cells, measured, MATCHES)
    found = pair_cell_types(cells[::-1].copy(), measured[[3, 0, 4, 2, 1]].copy(), MATCHES)
    for one, other in zip(expected, found, strict=True):
        np.testing.assert_allclose(one.X, other.X, rtol=1e-5)


def test_counts_of_libraries_are_scaled_and_values_per_million_are_not(cells, measured):
    counts = measured.copy()
    counts.X = np.round(measured.X)
    counts.uns["sicmir"]["units"] = "read counts"
    _, found = pair_cell_types(cells, counts, MATCHES)
    rescaled = counts.copy()
    rescaled.X = counts.X / counts.X.sum(axis=1, keepdims=True) * 1e6
    rescaled.uns["sicmir"]["units"] = "CPM"
    np.testing.assert_allclose(found.X, pair_cell_types(cells, rescaled, MATCHES)[1].X, rtol=1e-5)
    logs = measured.copy()
    logs.X = np.log2(measured.X + 1)
    logs.uns["sicmir"]["units"] = "log2(CPM + 1)"
    expected = pair_cell_types(cells, measured[:, :2].copy(), MATCHES)[1]
    np.testing.assert_allclose(
        pair_cell_types(cells, logs[:, :2].copy(), MATCHES)[1].X, expected.X, rtol=1e-5
    )


def test_a_landmark_in_two_columns_is_summed(cells, measured):
    name = cells.uns["alias"]
    symbol = panel.landmarks()["symbol"][panel.landmarks()["aliases"].str.split(";").str[0] == name].iloc[0]
    renamed = cells.copy()
    renamed.var_names = [f"{g}|{i}" if g == symbol else g for i, g in enumerate(cells.var_names)]
    entrez = int(panel.landmarks().set_index("symbol")["entrez"][symbol])
    renamed.var_names = [
        str(entrez) if "|" in g else f"ENTREZ|{entrez}" if g == "OTHER0" else g for g in renamed.var_names
    ]
    mrna, _ = pair_cell_types(renamed, measured, MATCHES)
    pooled = pool_cells(cells).to_df().loc[["neuron", "glia"]]
    np.testing.assert_allclose(
        mrna.to_df()[symbol], np.log2(pooled[symbol] + pooled["OTHER0"] + 1), rtol=1e-5
    )


def test_bad_input_is_refused(cells, measured):
    for side, labels in (("cells", table(axon="Neurons")), ("measured", table(neuron="Neurons;Axons"))):
        with pytest.raises(DataError, match=f"{side} has no 'ax"[:-3]):
            pair_cell_types(cells, measured, labels)
    with pytest.raises(DataError, match="found neuron, neuron"):
        pair_cell_types(cells, measured, pd.concat([MATCHES[:1], MATCHES[:1]]))
    with pytest.raises(DataError, match="found no row"):
        pair_cell_types(cells, measured, MATCHES[:0])
    with pytest.raises(DataError, match="no column source_cell_type"):
        pair_cell_types(cells, measured, MATCHES[["cell_type"]])
    with pytest.raises(PanelError, match="landmark genes are measured"):
        pair_cell_types(cells, measured, MATCHES, min_coverage=0.9)
    unlabelled = cells.copy()
    unlabelled.obs.loc["a", "cell_type"] = None
    with pytest.raises(DataError, match="label for every row"):
        pool_cells(unlabelled)
    empty = cells.copy()
    empty.X[5] = 0
    with pytest.raises(DataError, match="blood: expected .* found the sum 0"):
        pool_cells(empty)
    missing = cells.copy()
    missing.X[0, 0] = np.nan
    with pytest.raises(DataError, match="neuron: expected .* found NaN"):
        pool_cells(missing)
    scores = cells.copy()
    scores.X = scores.X - 2
    with pytest.raises(DataError, match="cannot be UMI counts"):
        pool_cells(scores)
    unknown = cells[:, :3000].copy()
    unknown.X = unknown.X * np.linspace(0.1, 1, 6, dtype=np.float32)[:, None]
    unknown.uns = {}
    with pytest.raises(ParameterError, match="units cannot be told"):
        pool_cells(unknown)
    foreign = measured.copy()
    foreign.var_names = [f"mmu-miR-{i}" for i in range(foreign.n_vars)]
    with pytest.raises(DataError, match="None of 5 names, such as mmu-miR-0"):
        pair_cell_types(cells, foreign, MATCHES)


def test_a_mature_mirna_stands_for_its_stem_loop():
    pairs = panel.single_locus()
    good = pairs[pairs["r_stemloop"] >= 0.9]
    loop = good["stem_loop"][good["stem_loop"].duplicated()].iloc[0]
    arms = good[good["stem_loop"] == loop].set_index("mature")
    single = pairs[~pairs["stem_loop"].duplicated(keep=False)]
    weak = single[single["r_stemloop"] < 0.9].iloc[0]
    names = [*arms.index, weak["mature"], "hsa-miR-21-5p"]
    mirna = ad.AnnData(np.arange(2.0 * len(names)).reshape(2, -1), var=pd.DataFrame(index=names))
    asked = ["hsa-mir-21", weak["stem_loop"], loop, "hsa-mir-124-1"]
    found = as_stem_loops(mirna, asked)
    assert found.var_names.tolist() == ["hsa-mir-21", loop]
    assert found.var["mature"].tolist() == ["hsa-miR-21-5p", arms["arm_share"].idxmax()]
    np.testing.assert_array_equal(found.X, mirna.to_df()[found.var["mature"]])
    assert as_stem_loops(mirna, asked, min_r=weak["r_stemloop"]).var_names.tolist() == asked[:3]
    with pytest.raises(DataError, match="None of 1 stem-loops"):
        as_stem_loops(mirna, ["hsa-mir-124-1"])


def test_a_minor_arm_alone_does_not_stand_for_its_stem_loop():
    pairs = panel.single_locus().query("r_stemloop >= 0.9")
    both = pairs[pairs["stem_loop"].duplicated(keep=False)]
    loop = both["stem_loop"].iloc[0]
    minor = both[both["stem_loop"] == loop].sort_values("arm_share")["mature"].iloc[0]
    mirna = ad.AnnData(np.ones((2, 1)), var=pd.DataFrame(index=[minor]))
    with pytest.raises(DataError, match="None of 1"):
        as_stem_loops(mirna, [loop])
