"""Mouse genes and miRNAs under their human names."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from sicmir import panel
from sicmir.errors import PanelError
from sicmir.names import orthologues


def test_the_table_of_genes_is_one_to_one():
    table = orthologues.mouse_genes()
    landmarks = panel.landmarks()["symbol"]
    assert table["symbol"].isin(landmarks).all()
    assert table["mouse"].is_unique
    assert table["ensembl"].is_unique
    assert table["ensembl"].str.fullmatch(r"ENSMUSG\d{11}").all()
    assert len(table) > 0.9 * len(landmarks)
    aliases = table["aliases"].str.split(";").explode()
    aliases = aliases[aliases != ""]
    assert aliases.is_unique
    assert not aliases.isin(table["mouse"]).any()
    # Upper case alone would miss these, and give two genes the wrong one.
    named = table.set_index("mouse")["symbol"]
    assert named[["H2-Ea", "Hc", "Trp53"]].tolist() == ["HLA-DRA", "C5", "TP53"]
    assert not {"Foxo3", "Myc"} & set(named.index)  # several orthologues in one of the species


def test_the_table_of_mirnas_is_one_to_one_and_of_today():
    table = orthologues.mouse_mirnas()
    assert table["mouse"].is_unique
    assert table["human"].is_unique
    current = panel.mirnas().query("level == 'mature'")["name"]
    assert table["human"].isin(current).all()
    named = table.set_index("mouse")["human"]
    assert named[["mmu-miR-21a-5p", "mmu-miR-7a-5p"]].tolist() == ["hsa-miR-21-5p", "hsa-miR-7-5p"]
    # Same name, another sequence; and one sequence of two human miRNAs.
    assert not {"mmu-miR-337-5p", "mmu-miR-376b-5p", "mmu-miR-365-3p"} & set(named.index)


def mouse(names):
    values = np.arange(2 * len(names), dtype=np.float32).reshape(2, -1)
    return ad.AnnData(values, pd.DataFrame(index=["a", "b"]), pd.DataFrame(index=names))


def test_genes_are_found_by_symbol_alias_and_id_and_the_rest_stays():
    names = ["Psme1", "Xkr4", "Eprs", "ENSMUSG00000037710.12"]
    given = mouse(names)
    found = orthologues.genes_to_human(given)
    assert found.var_names.tolist() == ["PSME1", "Xkr4", "EPRS", "CISD1"]
    assert found.var["mouse"].tolist() == names
    np.testing.assert_array_equal(found.X, given.X)
    assert found.uns["sicmir"]["orthologues"] == {"symbol": 1, "alias": 1, "ensembl": 1}
    assert given.var_names.tolist() == names
    aligned = panel.align(found, min_coverage=0)
    assert np.isfinite(aligned.X).all(axis=0).sum() == 3


def test_of_two_columns_of_a_gene_the_one_of_today_is_taken():
    found = orthologues.genes_to_human(mouse(["Eprs", "Eprs1"]))
    assert found.var_names.tolist() == ["Eprs", "EPRS"]


def test_genes_of_another_species_are_refused():
    with pytest.raises(PanelError, match="None of 2 genes, such as PSME1, CISD1, is a mouse orthologue"):
        orthologues.genes_to_human(mouse(["PSME1", "CISD1"]))


def test_mirnas_that_are_the_same_are_kept():
    found = orthologues.mirnas_to_human(
        mouse(["mmu-miR-21a-5p", "novel1", "mmu-miR-337-5p", "mmu-let-7a-5p"])
    )
    assert found.var_names.tolist() == ["hsa-miR-21-5p", "hsa-let-7a-5p"]
    assert found.X.tolist() == [[0, 3], [4, 7]]
    assert found.uns["sicmir"]["dropped"].tolist() == ["novel1", "mmu-miR-337-5p"]
    with pytest.raises(PanelError, match="None of 1 miRNAs"):
        orthologues.mirnas_to_human(mouse(["novel1"]))
