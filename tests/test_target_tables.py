import gzip

import anndata as ad
import pandas as pd
import pytest
import rdata

from sicmir.data import load
from sicmir.data.readers import read
from sicmir.errors import DataError, ReadError

MIRTARBASE = pd.DataFrame(
    {
        "miRTarBase ID": ["MIRT1", "MIRT2"],
        "miRNA": ["hsa-miR-122-5p", "hsa-miR-21-5p"],
        "Species (miRNA)": "hsa",
        "Target Gene": ["KRAS", "Pten"],
        "Target Gene (Entrez ID)": [3845, 19211],
        "Species (Target Gene)": ["hsa", "mmu"],
        "Experiments": ["Luciferase reporter assay//Western blot", "qRT-PCR"],
        "Support Type": ["Functional MTI", "Functional MTI (Weak)"],
        "References (PMID)": [1, 2],
    }
)


def test_mirtarbase_rows_are_kept_as_they_are(tmp_path):
    path = tmp_path / "m.csv"
    MIRTARBASE.to_csv(path, index=False)
    found = read(path, "mirtarbase", release="9.0")
    assert found.uns["sicmir"]["release"] == "9.0"
    assert found.uns["sicmir"]["modality"] == "targets"
    assert found.obs.iloc[0].to_dict() == {
        "mirna": "hsa-miR-122-5p",
        "gene": "KRAS",
        "entrez": "3845",
        "species": "hsa",
        "evidence": "Luciferase reporter assay;Western blot",
        "support": "Functional MTI",
        "pmid": "1",
    }
    found.write_h5ad(tmp_path / "kept.h5ad")
    pd.testing.assert_frame_equal(ad.read_h5ad(tmp_path / "kept.h5ad").obs.astype(str), found.obs)


def test_a_table_of_another_form_is_refused(tmp_path):
    path = tmp_path / "m.csv"
    MIRTARBASE.drop(columns="Support Type").to_csv(path, index=False)
    with pytest.raises(ReadError, match="no column 'Support Type'"):
        read(path, "mirtarbase")
    MIRTARBASE.assign(miRNA=["", "hsa-miR-21-5p"]).to_csv(path, index=False)
    with pytest.raises(DataError, match="1 rows lack mirna, first row 1"):
        read(path, "mirtarbase")
    MIRTARBASE.iloc[:0].to_csv(path, index=False)
    with pytest.raises(DataError, match="no rows"):
        read(path, "mirtarbase")


def test_targetscan_is_one_row_a_site(tmp_path):
    path = tmp_path / "t.rda"
    frame = pd.DataFrame({"miRNA.Version.21.": ["hsa-let-7a-5p"] * 2, "mRNA": ["AAK1", "AAK1"]})
    rdata.write_rda(path, {"TScan": frame})
    found = read(path, "targetscan")
    assert found.obs["mirna"].tolist() == ["hsa-let-7a-5p"] * 2
    assert found.obs["evidence"].unique().tolist() == ["conserved site"]
    rdata.write_rda(path, {"TScan": frame.assign(score=[1, 2])})
    with pytest.raises(ReadError, match="expected two columns"):
        read(path, "targetscan")


def test_own_tables_need_names_and_weights_above_zero(tmp_path):
    path = tmp_path / "own.tsv"
    path.write_text("mirna\tgene\tweight\nhsa-miR-21-5p\tPDCD4\t0.5\n")
    found = read(path, "target_list")
    assert found.obs["weight"].tolist() == [0.5]
    assert found.obs["evidence"].tolist() == [""]
    path.write_text("mirna\tgene\tweight\nhsa-miR-21-5p\tPDCD4\t0\n")
    with pytest.raises(DataError, match=r"1 weights are not finite numbers above 0, the first is .*0"):
        read(path, "target_list")
    path.write_text("mirna\ttarget\nhsa-miR-21-5p\tPDCD4\n")
    with pytest.raises(DataError, match="no column 'gene'"):
        read(path, "target_list")


def test_gene_sets_are_read_from_gmt(tmp_path):
    path = tmp_path / "sets.gmt"
    path.write_text("A\thttp://a\tTP53\tKRAS\tTP53\nB\t\tKRAS\n\n")
    found = load(path)
    assert found.to_df().loc["A"].to_dict() == {"TP53": 1, "KRAS": 1}
    assert found.to_df().loc["B"].to_dict() == {"TP53": 0, "KRAS": 1}
    assert found.obs["description"].tolist() == ["http://a", ""]
    packed = tmp_path / "sets.gmt.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert load(packed).obs_names.tolist() == ["A", "B"]
    for text, error, match in (
        ("A\tonly\n", ReadError, "line 1 has no name or no genes"),
        ("", DataError, "no gene set"),
        ("A\t\tX\nA\t\tY\n", DataError, "the set A occurs twice"),
    ):
        path.write_text(text)
        with pytest.raises(error, match=match):
            load(path)
    packed.write_bytes(gzip.compress(b"A\t\tX\n" * 100)[:-9])
    with pytest.raises(ReadError, match="not a readable GMT"):
        load(packed)


def test_gene_sets_are_read_from_a_list_of_r(tmp_path):
    path = tmp_path / "sets.rda"
    rdata.write_rda(path, {"signatures": {"A": ["TP53", "KRAS"], "B": ["KRAS"]}})
    found = read(path, "rda_gene_sets").to_df()
    assert found.loc["A"].to_dict() == {"TP53": 1, "KRAS": 1}
    rdata.write_rda(path, {"signatures": {"A": [1.5]}})
    with pytest.raises(ReadError, match="the set A holds float64"):
        read(path, "rda_gene_sets")
    rdata.write_rda(path, {"signatures": pd.DataFrame({"a": [1]})})
    with pytest.raises(ReadError, match="expected one named list"):
        read(path, "rda_gene_sets")
