"""The table of matches and what is put together from it: miniature sources, real ones where reached."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from sicmir import data, panel
from sicmir.cells import cell_references
from sicmir.cells.cell_references import MATCHES, load_cell_types, matches
from sicmir.cells.cell_types import as_stem_loops, cell_type_labels
from sicmir.errors import DataError, UnreachableError

GENES = panel.landmarks()["symbol"].tolist()


def cells(*types):
    counts = np.random.default_rng(len(types)).poisson(4, (2 * len(types), len(GENES))).astype(np.float32)
    obs = pd.DataFrame({"cell_type": [*types, *types]}, [f"c{i}" for i in range(2 * len(types))])
    adata = ad.AnnData(counts, obs, pd.DataFrame(index=GENES))
    adata.uns["sicmir"] = {"modality": "mrna", "units": "UMI counts", "synthetic": True}
    return adata


def libraries(types, mirnas):
    values = np.random.default_rng(3).gamma(1, 1e4, (len(types), len(mirnas)))
    adata = ad.AnnData(values, pd.DataFrame({"cell_type": types}, [f"l{i}" for i in range(len(types))]))
    adata.var_names = mirnas
    adata.uns["sicmir"] = {"units": "CPM", "synthetic": True}
    return adata


FANTOM = libraries(
    sorted(set(matches().query("source == 'fantom5'")["source_cell_type"])),
    ["hsa-miR-21-5p", "hsa-miR-335-5p"],
)
LANDGRAF = libraries(["Hepatoma-HepG2"], ["hsa-miR-21-5p", "hsa-miR-122-5p"])


@pytest.fixture
def offline(monkeypatch):
    def refuse(*_):
        raise UnreachableError("nothing there")

    monkeypatch.setattr(data, "load", refuse)


def test_the_table_is_consistent():
    table = matches()
    assert not table.duplicated(["dataset", "cell_type"]).any()
    assert set(table["match"]) <= set(MATCHES)
    assert set(table["source"]) - {"landgraf2007"} == set(cell_references._MEASURED)
    assert set(table["dataset"]) - {"pbmc"} == set(cell_references._CELLS)
    assert set(table["dataset"]) - {"pbmc"} <= set(data.load_manifest().datasets)
    assert (table.loc[table["match"] == "similar", "remarks"] != "").all()
    assert (table[["cell_type", "source_cell_type"]] != "").all(axis=None)


def test_what_is_given_is_matched_where_nothing_else_is_reached(offline):
    mrna, mirna = load_cell_types(
        {"pbmc": cells("B", "NK", "megakaryocyte"), "hcc-cells": cells("HepG2", "HCC")},
        {"fantom5": FANTOM, "landgraf2007": LANDGRAF},
    )
    assert mrna.obs_names.tolist() == mirna.obs_names.tolist() == ["hcc-cells: HepG2", "pbmc: B", "pbmc: NK"]
    assert mirna.obs["source"].tolist() == ["landgraf2007", "fantom5", "fantom5"]
    assert set(mirna.obs) >= {"cell_type", "dataset", "match", "n_cells", "n_libraries"}
    assert mirna.uns["sicmir"]["synthetic"]
    assert set(mirna.uns["sicmir"]["left_out"]) == {
        "pscsr beside pscsr",
        "k562 beside k562",
        "brain beside fantom5",
        "brain beside tissueatlas2",
        "pancreas beside fantom5",
    }
    found = mirna.to_df()
    assert found.isna().sum().to_dict() == {"hsa-miR-21-5p": 0, "hsa-miR-122-5p": 2, "hsa-miR-335-5p": 1}
    row = FANTOM.to_df()[(FANTOM.obs["cell_type"] == "CD19+ B Cells").to_numpy()]
    assert found.loc["pbmc: B", "hsa-miR-21-5p"] == pytest.approx(
        np.log2(row["hsa-miR-21-5p"].iloc[0] + 1), rel=1e-5
    )
    assert mrna.shape == (3, 977)
    assert mrna.uns["sicmir"]["units"] == "log2(CPM + 1)"


def test_bad_input_is_refused(offline):
    with pytest.raises(UnreachableError, match="No cell type with measured miRNA.*nothing there"):
        load_cell_types()
    with pytest.raises(DataError, match="for the dataset 'liver'; the table has pscsr, k562"):
        load_cell_types({"liver": cells("B")})
    with pytest.raises(DataError, match="for the source 'atlas'; the table has"):
        load_cell_types(measured={"atlas": FANTOM})
    with pytest.raises(
        DataError, match="pbmc: no cell type is matched. Expected some of CD14 monocyte, B.*found B cells"
    ):
        load_cell_types({"pbmc": cells("B cells")}, {"fantom5": FANTOM})


@pytest.fixture(scope="module")
def real():
    try:
        found = load_cell_types()
    except UnreachableError as error:
        pytest.skip(f"REAL DATA NOT REACHED, so this test did not run: {str(error)[:200]}")
    if len(found[0].uns["sicmir"]["left_out"]):
        pytest.skip(f"REAL DATA NOT REACHED: {', '.join(found[0].uns['sicmir']['left_out'])}")
    return found


@pytest.mark.real
def test_every_name_of_the_table_exists(real):
    for (dataset, source), rows in matches().groupby(["dataset", "source"]):
        if dataset in cell_references._CELLS:
            assert set(rows["cell_type"]) <= set(cell_type_labels(cell_references._CELLS[dataset]()))
        if source in cell_references._MEASURED:
            names = {name for joined in rows["source_cell_type"] for name in joined.split(";")}
            assert names <= set(cell_type_labels(cell_references._MEASURED[source]()))


@pytest.mark.real
def test_real_cell_types(real):
    mrna, mirna = real
    assert mirna.obs["dataset"].value_counts().to_dict() == {"brain": 6, "pscsr": 4, "pancreas": 2, "k562": 1}
    values = mirna.to_df()
    assert values.max(axis=None) < 20
    assert (values >= 0).to_numpy()[values.notna()].all()
    neurons, oligodendrocytes = values.loc["brain: neurons"], values.loc["brain: oligodendrocytes"]
    assert neurons["hsa-miR-124-3p"] > oligodendrocytes["hsa-miR-124-3p"] + 1
    assert oligodendrocytes["hsa-miR-338-3p"] > neurons["hsa-miR-338-3p"] + 1
    fantom = values[(mirna.obs["source"] == "fantom5").to_numpy()]
    assert fantom["hsa-miR-126-3p"].idxmax() == "brain: endothelial"
    macrophages = ["brain: microglia", "pancreas: macrophage"]
    for name in ("hsa-miR-142-5p", "hsa-miR-223-3p"):
        others = fantom[name].drop(macrophages)
        assert fantom.loc[macrophages, name].min() > others.max() + 5
    genes = mrna.to_df()
    lines = mirna.obs_names[mirna.obs["dataset"] == "pscsr"]
    # MEST holds miR-335: where the one is silent, so is the other
    assert np.corrcoef(genes.loc[lines, "MEST"], values.loc[lines, "hsa-miR-335-3p"])[0, 1] > 0.95
    assert genes["PTPRC"].nlargest(2).index.tolist() == ["brain: microglia", "pancreas: macrophage"]
    assert values.loc["pscsr: K562"].corr(values.loc["k562: K562"], "spearman") > max(
        values.loc[f"pscsr: {line}"].corr(values.loc["k562: K562"], "spearman")
        for line in ("A549", "HeLa", "HEK293T")
    )


@pytest.mark.real
def test_detected_stem_loops_of_tcga_are_covered(real, real_data):
    from sicmir.metrics import detected

    stem_loops = real_data[1].var_names[detected(real_data[1].to_df())]
    found = as_stem_loops(real[1], stem_loops).to_df()
    per_source = found.notna().sum(axis=1).groupby(real[1].obs["source"].to_numpy()).min()
    assert (per_source >= 200).all()
