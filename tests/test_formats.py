"""10x .h5, .loom and .zarr: files written as their makers write them, and compared with what went in."""

import shutil
from pathlib import Path

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
import zarr
from scipy import sparse

from sicmir.data import read
from sicmir.data.readers import reader_for
from sicmir.errors import DataError, ParameterError, ReadError

SYMBOLS = ["PSME1", "CISD1", "CISD1", "CD3"]
ENSEMBL = [f"ENSG0000000000{number}" for number in range(4)]
CELLS = ["AAA-1", "CCC-1", "GGG-1"]


def text(values):
    return np.array(values, dtype="S")


def counts(seed=0):
    """Genes x cells."""
    return np.random.default_rng(seed).poisson(1.0, (4, 3)).astype(np.int32)


def tenx_h5(path, values, version=3, cells=CELLS, genomes=("GRCh38",) * 4, kinds=("Gene Expression",) * 4):
    matrix = sparse.csc_matrix(values)
    parts = {"data": matrix.data, "indices": matrix.indices, "indptr": matrix.indptr, "shape": matrix.shape}
    prefix = "" if len(set(genomes)) == 1 else "{}_"
    names, ids = (
        text([prefix.format(g) + one for g, one in zip(genomes, ones, strict=True)])
        for ones in (SYMBOLS, ENSEMBL)
    )
    with h5py.File(path, "w") as file:
        group = file.create_group("matrix" if version == 3 else genomes[0])
        for name, part in parts.items():
            group[name] = part
        group["barcodes"] = text(cells)
        if version == 2:
            group["genes"], group["gene_names"] = ids, names
        else:
            group["features/id"], group["features/name"] = ids, names
            group["features/genome"], group["features/feature_type"] = text(genomes), text(kinds)
    return path


@pytest.mark.parametrize("version", [3, 2])
def test_tenx_h5(tmp_path, version):
    path = tenx_h5(tmp_path / "filtered_feature_bc_matrix.h5", counts(), version)
    adata = read(path, reader_for(path), donor="P1", condition="tumour")
    np.testing.assert_array_equal(adata.X.toarray(), counts().T)
    assert adata.X.dtype == np.float32
    assert adata.obs_names.tolist() == CELLS
    assert adata.var_names.tolist() == ["PSME1", f"CISD1|{ENSEMBL[1]}", f"CISD1|{ENSEMBL[2]}", "CD3"]
    assert adata.var["ensembl"].tolist() == ENSEMBL
    assert adata.uns["sicmir"] == {"modality": "mrna", "units": "UMI counts", "synthetic": False}
    assert set(adata.obs["donor"]) == {"P1"}
    assert list(adata.obs) == ["donor", "condition"]


def test_tenx_h5_keeps_expression_of_one_genome(tmp_path):
    kinds = ["Gene Expression"] * 3 + ["Antibody Capture"]
    path = tenx_h5(tmp_path / "a.h5", counts(), kinds=kinds)
    assert read(path, "tenx_h5").var_names.str.startswith("CD3").sum() == 0
    path = tenx_h5(tmp_path / "b.h5", counts(), genomes=("GRCh38", "GRCh38", "mm10", "mm10"))
    adata = read(path, "tenx_h5", genome="GRCh38")
    assert adata.var_names.tolist() == SYMBOLS[:2]
    assert adata.var["ensembl"].tolist() == ENSEMBL[:2]
    np.testing.assert_array_equal(adata.X.toarray(), counts().T[:, :2])
    np.testing.assert_array_equal(read(path, "tenx_h5").X.toarray(), adata.X.toarray())  # the human one
    several = tenx_h5(tmp_path / "d.h5", counts(), genomes=("GRCh38", "hg19", "mm10", "mm10"))
    with pytest.raises(ParameterError, match="holds GRCh38, hg19, mm10. Name the human one"):
        read(several, "tenx_h5")
    antibody = tenx_h5(
        tmp_path / "e.h5",
        counts(),
        genomes=("mine", "mine", "mine", ""),
        kinds=(*["Gene Expression"] * 3, "Antibody Capture"),
    )
    assert read(antibody, "tenx_h5").n_vars == 3
    for genome in ("mm9", "hg19"):
        with pytest.raises(ParameterError, match="GRCh38, mm10"):
            read(path, "tenx_h5", genome=genome)


def test_bad_tenx_h5(tmp_path):
    values = counts()
    values[1, 2] = -3
    with pytest.raises(DataError, match="at cell GGG-1, gene CISD1"):
        read(tenx_h5(tmp_path / "a.h5", values), "tenx_h5")
    with pytest.raises(DataError, match="AAA-1 occurs more than once"):
        read(tenx_h5(tmp_path / "b.h5", counts(), cells=["AAA-1", "C", "AAA-1"]), "tenx_h5")
    other = tmp_path / "c.h5"
    with h5py.File(other, "w") as file:
        file["barcode_idx"] = [1]
    with pytest.raises(ReadError, match="holds barcode_idx, not a 10x matrix"):
        read(other, "tenx_h5")
    other.write_bytes(other.read_bytes()[:300])
    with pytest.raises(ReadError, match="not a readable 10x"):
        read(other, "tenx_h5")


def loom(path, values, **attributes):
    """As loompy 3 writes it; ``row_…`` and ``col_…`` add attributes."""
    with h5py.File(path, "w") as file:
        file["attrs/LOOM_SPEC_VERSION"] = "3.0.0"
        file.create_dataset("matrix", data=values, chunks=(2, 2), compression="gzip")
        file["layers/spliced"] = np.minimum(values, 9) // 2
        file.create_dataset("row_attrs/Gene", data=SYMBOLS, dtype=h5py.string_dtype())
        file["col_attrs/CellID"] = text(CELLS)
        for name, value in attributes.items():
            file[name.replace("row_", "row_attrs/").replace("col_", "col_attrs/")] = value
    return path


@pytest.mark.parametrize("slab", [1, 2**20])
def test_loom(tmp_path, monkeypatch, slab):
    monkeypatch.setattr("sicmir.data.formats.LOOM_BYTES", slab)
    position = np.arange(6.0).reshape(3, 2)
    path = loom(
        tmp_path / "x.loom",
        counts(),
        row_Accession=text(ENSEMBL),
        col_donor=text(list("aab")),
        col_pca=position,
    )
    adata = read(path, reader_for(path), units="UMI counts")
    assert sparse.isspmatrix_csr(adata.X)
    assert adata.X.dtype == np.float32
    np.testing.assert_array_equal(adata.X.toarray(), counts().T)
    np.testing.assert_array_equal(adata.layers["spliced"].toarray(), counts().T // 2)
    assert adata.obs_names.tolist() == CELLS
    assert adata.obs["donor"].tolist() == list("aab")
    assert adata.var_names.tolist() == ["PSME1", f"CISD1|{ENSEMBL[1]}", f"CISD1|{ENSEMBL[2]}", "CD3"]
    np.testing.assert_array_equal(adata.obsm["pca"], position)
    assert adata.uns["sicmir"]["units"] == "UMI counts"
    adata.write_h5ad(tmp_path / "x.h5ad")


def test_loom_with_other_names(tmp_path):
    path = loom(tmp_path / "x.loom", counts(), col_cell_names=text(["x", "y", "z"]))
    adata = read(path, "loom", cell_key="cell_names")
    assert adata.obs_names.tolist() == ["x", "y", "z"]
    assert adata.var_names[1:3].tolist() == ["CISD1|row 1", "CISD1|row 2"]  # no Entrez ids
    with pytest.raises(ReadError, match="no attribute 'gene_name' .gene_key.; it has Gene"):
        read(path, "loom", gene_key="gene_name")


def test_loom_that_anndata_wrote(tmp_path):
    path = loom(tmp_path / "x.loom", counts())
    with h5py.File(path, "a") as file:
        file.move("row_attrs/Gene", "row_attrs/var_names")
        file.move("col_attrs/CellID", "col_attrs/obs_names")
    adata = read(path, "loom")
    assert adata.obs_names.tolist() == CELLS
    assert adata.var_names[0] == "PSME1"
    with h5py.File(path, "a") as file:
        del file["row_attrs/var_names"]
        file["row_attrs/other"] = text(SYMBOLS)
    with pytest.raises(ReadError, match="no attribute 'Gene' .gene_key.; it has other"):
        read(path, "loom")
    assert read(path, "loom", gene_key="other").var_names[0] == "PSME1"


def test_bad_loom(tmp_path):
    with pytest.raises(DataError, match="cell same occurs"):
        read(loom(tmp_path / "a.loom", counts(), col_id=text(["same"] * 3)), "loom", cell_key="id")
    with pytest.raises(ReadError, match=r"matrix is \(3, 3\), not 4 genes x 3 cells"):
        read(loom(tmp_path / "b.loom", counts()[:3]), "loom")
    with pytest.raises(DataError, match="infinite"):
        read(loom(tmp_path / "c.loom", np.where(counts() > 1, np.inf, 1)), "loom")
    with h5py.File(tmp_path / "d.loom", "w") as file:
        file["X"] = [1]
    with pytest.raises(ReadError, match="holds X, not /matrix"):
        read(tmp_path / "d.loom", "loom")


@pytest.mark.filterwarnings("ignore:Writing zarr v2")
@pytest.mark.parametrize("zipped", [False, True])
def test_zarr(tmp_path, zipped):
    source = ad.AnnData(sparse.csr_matrix(counts().T.astype(np.float32)), obs=pd.DataFrame(index=CELLS))
    source.obs["donor"] = list("aab")
    path = tmp_path / "x.zarr"
    source.write_zarr(path)
    if zipped:
        path = Path(shutil.make_archive(str(path), "zip", path))
    adata = read(path, reader_for(path), units="counts")
    np.testing.assert_array_equal(adata.X.toarray(), counts().T)
    assert adata.obs["donor"].tolist() == list("aab")
    assert adata.uns["sicmir"] == {"modality": "mrna", "units": "counts", "synthetic": False}


def test_bad_zarr(tmp_path):
    path = tmp_path / "x.zarr"
    zarr.open_group(path, mode="w").create_group("tables")
    with pytest.raises(ReadError, match="no AnnData but holds tables"):
        read(path, reader_for(path))
    (tmp_path / "empty.zarr").mkdir()
    with pytest.raises(ReadError, match="not a readable .zarr"):
        read(tmp_path / "empty.zarr", "zarr")


@pytest.mark.parametrize(
    ("name", "reader"),
    [
        ("filtered.h5", "tenx_h5"),
        ("x.LOOM", "loom"),
        ("level3.gct.gz", "gct"),
        ("level3.gctx", "gctx"),
        ("a.zarr.zip", "zarr"),
        ("GSM1_matrix.mtx.gz", "tenx_mtx"),
    ],
)
def test_endings(tmp_path, name, reader):
    assert reader_for(tmp_path / name) == reader
