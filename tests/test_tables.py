"""Readers of general formats (text, h5ad, 10x): what they give and what they refuse."""

import gzip

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from scipy.io import mmwrite

from sicmir import panel, paths
from sicmir.data import read
from sicmir.data.readers import reader_for
from sicmir.errors import DataError, ParameterError, ReadError


def landmark_table():
    genes = [*pd.read_csv(paths.reference("landmarks.csv"))["symbol"][:30], "NOVEL1", "NOVEL2"]
    values = np.random.default_rng(5).random((3, len(genes))).astype(np.float32)
    return pd.DataFrame(values, index=["cell1", "cell2", "cell3"], columns=genes)


@pytest.mark.parametrize("lying", [False, True])
@pytest.mark.parametrize("name", ["x.csv", "x.tsv", "x.txt.gz"])
def test_table_is_turned_and_bom_dropped(tmp_path, lying, name):
    frame = landmark_table()
    text = (frame.T if lying else frame).to_csv(sep="," if ".csv" in name else "\t", index_label="")
    content = b"\xef\xbb\xbf" + text.encode()
    path = tmp_path / name
    path.write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    adata = read(path, reader_for(path), modality="mrna", units="log2(TPM + 1)")
    pd.testing.assert_frame_equal(adata.to_df(), frame, rtol=1e-5, check_names=False)


def test_table_orientation(tmp_path):
    frame = pd.DataFrame([[1.0, 2.0]], index=["a"], columns=["b", "c"])
    frame.to_csv(tmp_path / "x.csv")
    with pytest.raises(ReadError, match="orientation='samples_in_rows'"):
        read(tmp_path / "x.csv", "table", modality="mrna", units="z")
    adata = read(tmp_path / "x.csv", "table", modality="mrna", units="z", orientation="samples_in_columns")
    assert adata.obs_names.tolist() == ["b", "c"]
    with pytest.raises(ParameterError, match="'sideways'"):
        read(tmp_path / "x.csv", "table", modality="mrna", units="z", orientation="sideways")


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        (",PSME1,PSME1\ns,1,2\n", DataError, "'PSME1' occurs more than once"),
        (",PSME1,CISD1\ns,1,2\ns,1,2\n", DataError, "sample name.*example s"),
        (",PSME1\ns,-1\n", DataError, "negative"),
        (",PSME1\ns,\n", DataError, "NaN"),
        (",PSME1\ns,inf\n", DataError, "infinite"),
        (",PSME1\ns,many\n", DataError, "holds text"),
        (",PSME1\n", DataError, "empty"),
        ("", ReadError, "not a readable table"),
        (",PSME1\ns,1\nt,1,2,3\n", ReadError, "line 3 has 4 fields, the header line has 2"),
        (",PSME1,CISD1\n\ns,1,2\n\nt,1\nu,1,2\n", ReadError, "line 5 has 2 fields, the header line has 3"),
        (",PSME1,CISD1\r\ns,1,2\r\nt,1", ReadError, "line 3 has 2 fields"),
        (',"PSME1",CISD1\n"s,\n1",1,2\n"t,2",1\n', ReadError, "line 4 has 2 fields"),
        ("PSME1,CISD1\ns,1,2\nt,1,2\n", ReadError, "line 2 has 3 fields, the header line has 2"),
        (',PSME1\ns,1\n"t,1', ReadError, "line 3 has 1 fields|not a readable table"),
    ],
)
def test_bad_table(tmp_path, text, error, words):
    (tmp_path / "x.csv").write_text(text)
    with pytest.raises(error, match=rf"x\.csv: .*{words}"):
        read(tmp_path / "x.csv", "table", modality="mrna", units="z")


def test_table_switches(tmp_path):
    (tmp_path / "x.csv").write_text(",PSME1,CISD1\ns,-1,\n")
    adata = read(tmp_path / "x.csv", "table", modality="mrna", units="z", signed=True, allow_nan=True)
    np.testing.assert_array_equal(adata.X, [[-1, np.nan]])
    (tmp_path / "x.csv").write_text(",PSME1,CISD1\ns,1,3\n")
    assert read(tmp_path / "x.csv", "table", modality="mrna", units="z", log=True).X.tolist() == [[1, 2]]


def test_quoted_fields_and_blank_lines_are_no_damage(tmp_path):
    (tmp_path / "x.csv").write_text('"","PSME1","CISD1"\r\n"a, b",1,2\r\n\r\nc,3,4')
    adata = read(tmp_path / "x.csv", "table", modality="mrna", units="z")
    assert adata.to_df().to_dict("split")["index"] == ["a, b", "c"]
    assert adata.X.tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize("quoted", [False, True])
def test_a_table_cut_anywhere_gives_no_nan(tmp_path, quoted):
    text = landmark_table().iloc[:, :6].round(2).to_csv(quoting=2 if quoted else 0)
    for length in range(text.index("\n") + 2, len(text)):
        (tmp_path / "x.csv").write_text(text[:length])
        try:
            adata = read(tmp_path / "x.csv", "table", modality="mrna", units="z", allow_nan=True)
        except ReadError:
            continue
        assert np.isnan(adata.X).sum() <= 1  # cut right after the last comma: an empty cell


def test_truncated_gzip(tmp_path):
    path = tmp_path / "x.csv.gz"
    path.write_bytes(gzip.compress(landmark_table().to_csv().encode())[:200])
    with pytest.raises(ReadError, match=r"x\.csv\.gz: not a readable table"):
        read(path, "table", modality="mrna", units="z")


def test_h5ad(tmp_path):
    path = tmp_path / "x.h5ad"
    ad.AnnData(sparse.csr_matrix(np.eye(3, dtype=np.float32))).write_h5ad(path)
    adata = read(path, reader_for(path), units="counts")
    assert sparse.issparse(adata.X)
    assert adata.uns["sicmir"] == {"modality": "mrna", "units": "counts", "synthetic": False}
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(ReadError, match="not a readable"):
        read(path, "h5ad")


@pytest.mark.parametrize(
    ("values", "words"), [(np.zeros((0, 2)), "empty"), (np.array([[np.inf]]), "infinite")]
)
def test_bad_h5ad(tmp_path, values, words):
    ad.AnnData(values.astype(np.float32)).write_h5ad(tmp_path / "x.h5ad")
    with pytest.raises(DataError, match=words):
        read(tmp_path / "x.h5ad", "h5ad")


def tenx(folder, prefix="P1_", genes="features", values=None):
    counts = np.random.default_rng(0).poisson(1.0, (4, 3)) if values is None else values  # genes x cells
    with gzip.open(folder / f"{prefix}matrix.mtx.gz", "wb") as handle:
        mmwrite(handle, sparse.coo_matrix(counts))
    symbols = ["PSME1", "CISD1", "CISD1", "CD3"]
    rows = [f"ENSG{number}\t{symbol}" for number, symbol in enumerate(symbols)]
    if genes == "features":
        rows = [f"{row}\t{'Antibody Capture' if row.endswith('CD3') else 'Gene Expression'}" for row in rows]
    (folder / f"{prefix}{genes}.tsv.gz").write_bytes(gzip.compress("\n".join(rows).encode()))
    (folder / f"{prefix}barcodes.tsv.gz").write_bytes(gzip.compress(b"AAA-1\nCCC-1\nGGG-1\n"))
    return folder / f"{prefix}matrix.mtx.gz", counts


@pytest.mark.parametrize("genes", ["features", "genes"])
def test_tenx(tmp_path, genes):
    path, counts = tenx(tmp_path, genes=genes)
    adata = read(tmp_path, reader_for(tmp_path), donor="P1")
    n = 3 if genes == "features" else 4  # the antibody is no gene
    np.testing.assert_array_equal(adata.X.toarray(), counts.T[:, :n])
    assert adata.var_names[:3].tolist() == ["PSME1", "CISD1|ENSG1", "CISD1|ENSG2"]
    assert adata.var["ensembl"].tolist() == [f"ENSG{number}" for number in range(n)]
    assert set(adata.obs["donor"]) == {"P1"}
    assert read(path, reader_for(path)).shape == (3, n)


def test_names_of_10x_features_that_are_not_unique(tmp_path):
    """An antibody of the name of a gene, two genes of one symbol, and a gene called NA."""
    names = ["PSME1", "CISD1", "CISD1", "NA", "SPDEF", "PSME1"]
    rows = [f"ENSG{number:011d}\t{name}\tGene Expression" for number, name in enumerate(names)]
    rows[-1] = rows[-1].replace("Gene Expression", "Antibody Capture")
    counts = np.arange(1, 19).reshape(6, 3)
    mmwrite(tmp_path / "matrix.mtx", sparse.coo_matrix(counts))
    (tmp_path / "features.tsv").write_text("\n".join(rows))
    (tmp_path / "barcodes.tsv").write_text("AAA-1\nCCC-1\nNA\n")
    adata = read(tmp_path, "tenx_mtx")
    doubled = ["CISD1|ENSG00000000001", "CISD1|ENSG00000000002"]
    assert adata.var_names.tolist() == ["PSME1", *doubled, "NA", "SPDEF"]
    assert adata.obs_names.tolist() == ["AAA-1", "CCC-1", "NA"]
    np.testing.assert_array_equal(adata.X.toarray(), counts[:5].T)
    aligned = panel.align(adata, min_coverage=0, duplicates="sum")
    np.testing.assert_array_equal(aligned[:, "PSME1"].X[:, 0], counts[0])
    np.testing.assert_array_equal(aligned[:, "CISD1"].X[:, 0], counts[1] + counts[2])
    assert panel.coverage(aligned).found == 3
    assert panel.coverage(aligned).duplicated == ("CISD1",)


def test_bad_tenx(tmp_path):
    path, _ = tenx(tmp_path)
    (tmp_path / "P1_barcodes.tsv.gz").write_bytes(gzip.compress(b"AAA-1\nCCC-1\n"))
    with pytest.raises(ReadError, match=r"3 cells x 4 genes, but .* names 2"):
        read(path, "tenx_mtx")
    (tmp_path / "P1_barcodes.tsv.gz").write_bytes(gzip.compress(b"AAA-1\nCCC-1\nAAA-1\n"))
    with pytest.raises(DataError, match="AAA-1 occurs more than once"):
        read(path, "tenx_mtx")
    tenx(tmp_path, values=np.array([[0, 0, 0], [0, 0, -2], [0, 0, 0], [1, 0, 0]]))
    with pytest.raises(DataError, match="cell GGG-1, gene CISD1"):
        read(path, "tenx_mtx")
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(ReadError, match="not a readable 10x matrix"):
        read(path, "tenx_mtx")
    (tmp_path / "P1_features.tsv.gz").unlink()
    with pytest.raises(ReadError, match=r"P1_features\.tsv, .*found none"):
        read(path, "tenx_mtx")
    with pytest.raises(ReadError, match="found 0"):
        (tmp_path / "empty").mkdir()
        read(tmp_path / "empty", "tenx_mtx")
