import pytest

from sicmir.errors import PanelError, ParameterError
from sicmir.names import gene_symbols
from sicmir.names.gene_names import landmarks
from sicmir.names.gene_symbols import current_symbols, landmark_symbols


def test_names_of_every_kind_become_current_symbols():
    found = current_symbols(
        [
            "TP53",
            "ARNTL",
            "7157",
            "ENSG00000141510.17",
            "Hif1a",
            "WRONG|7157",
            "HLA.DRA",
            "?|999999999",
            "TOY0001",
        ]
    )
    assert found["current"].tolist() == ["TP53", "BMAL1", "TP53", "TP53", "", "TP53", "HLA-DRA", "", ""]
    assert found["status"].tolist() == [
        "current",
        "renamed",
        "renamed",
        "renamed",
        "unknown",
        "renamed",
        "renamed",
        "unknown",
        "unknown",
    ]


def test_a_symbol_once_of_several_genes_is_not_guessed():
    shared = [name for name, symbols in gene_symbols._previous().items() if len(symbols) > 1]
    shared = [name for name in shared if name not in gene_symbols._symbols()]
    assert len(shared) > 50
    found = current_symbols(shared)
    assert set(found["status"]) == {"ambiguous"}
    assert set(found["current"]) == {""}


def test_landmarks_are_told_under_any_name():
    table = landmarks()
    assert len(landmark_symbols()) == 977
    for column in ("symbol", "ensembl"):
        assert current_symbols(table[column])["landmark"].all()
    assert current_symbols(table["entrez"].astype(str))["landmark"].all()
    former = table.loc[table["aliases"] != "", "aliases"].str.split(";").explode()
    assert current_symbols(former)["landmark"].all()
    assert not current_symbols(["KRAS", "TOY0001", "PTENP1"])["landmark"].any()


def test_bad_names_are_refused():
    with pytest.raises(ParameterError, match="found the text 'TP53'"):
        current_symbols("TP53")
    with pytest.raises(PanelError, match=r"found 7157 \(int\)"):
        current_symbols([7157])
