"""Landmark genes: every kind of name, duplicates, wrong species, coverage, and nothing filled in."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from sicmir import panel
from sicmir.errors import DataError, PanelError, ParameterError

PANEL = panel.landmarks()
SYMBOLS = list(PANEL["symbol"])
PLACE = {symbol: place for place, symbol in enumerate(SYMBOLS)}


def table(names, n_obs=3, seed=0, **kwargs):
    """AnnData of Poisson counts whose columns can be told apart."""
    counts = np.random.default_rng(seed).poisson(50, (n_obs, len(names))).astype(np.float32)
    obs = pd.DataFrame({"donor": [f"D{i}" for i in range(n_obs)]}, index=[f"s{i}" for i in range(n_obs)])
    return ad.AnnData(counts, obs=obs, var=pd.DataFrame(index=list(names)), **kwargs)


def renamed(changes):
    """The 977 symbols with some of them under other names."""
    return [changes.get(symbol, symbol) for symbol in SYMBOLS]


# landmarks


def test_landmarks_are_977_distinct_genes_in_published_order():
    assert len(PANEL) == 977
    assert SYMBOLS[:4] == ["PSME1", "CISD1", "SPDEF", "ATF1"]
    for column in ("symbol", "entrez", "ensembl"):
        assert PANEL[column].is_unique
    assert PANEL["ensembl"].str.fullmatch(r"ENSG\d{11}").all()
    facts = PANEL.set_index("symbol")
    assert facts.loc["RB1", ["entrez", "ensembl"]].tolist() == [5925, "ENSG00000139687"]
    assert facts.loc["PLSCR3", "ensembl"] == "ENSG00000187838"


def test_aliases_are_unambiguous_and_wrong_published_ones_are_absent():
    aliases = [alias for names in PANEL["aliases"] for alias in names.split(";") if alias]
    assert len(aliases) == len(set(aliases)) > 300
    assert not set(aliases) & set(SYMBOLS)
    # Approved now or before for other genes (GIF: CBLIF), or a mere synonym (TRT).
    assert not {"GIF", "TRT", "GABPB2", "CCN1", "KIAA0754", "MIR583HG", "STRA13", "OSR1"} & set(aliases)
    assert {"CEMIP2", "SKIC2", "BLTP2", "HDGFL3"} <= set(aliases)


def test_callers_cannot_change_the_shipped_tables():
    for read, column in ((panel.landmarks, "symbol"), (panel.mirnas, "name")):
        spoilt = read()
        spoilt[column] = "x"
        spoilt.drop(index=spoilt.index[:10], inplace=True)  # noqa: PD002
        assert (read()[column] != "x").all()
    assert len(panel.landmarks()) == 977


# align: kinds of names


@pytest.mark.parametrize(
    ("symbol", "name", "status"),
    [
        ("TMEM2", "CEMIP2", "alias"),
        ("SKIV2L", "SKIC2", "alias"),
        ("HLA-DRA", "HLA.DRA", "alias"),
        ("TMEM2", "TMEM2|23670", "symbol"),
        ("MOK", "RAGE|5891", "alias"),
        ("RB1", "?|5925", "entrez"),
        ("RB1", "5925", "entrez"),
        ("RB1", "RB1|ENSG00000139687", "symbol"),
        ("RB1", "RB1_ENSG00000139687.16", "symbol"),
        ("RB1", "ENSG00000139687_RB1", "symbol"),
        ("RB1", "ENSG00000139687.16|RB1", "symbol"),
        ("RB1", "GRCh38_RB1", "symbol"),
        ("RB1", "hg19_ENSG00000139687", "ensembl"),
        ("HLA-DRA", "GRCh38______HLA-DRA", "symbol"),
        ("RB1", "RB1|ENSG99999999999", "symbol"),
        ("RB1", "RB1|row 5720", "symbol"),
        ("RB1", "GONE|ENSG00000139687.16", "ensembl"),
        ("RB1", "ISG15|ENSG00000139687", "ensembl"),
        ("RB1", "ENSG00000139687", "ensembl"),
        ("RB1", "ENSG00000139687.16", "ensembl"),
        ("RB1", "ENSG00000139687_PAR_Y", "ensembl"),
        ("RB1", "ENSG00000139687.16_PAR_Y", "ensembl"),
        ("IKBKE", "ENSG00000143466", "ensembl"),
    ],
)
def test_every_kind_of_name_is_found(symbol, name, status):
    adata = table(renamed({symbol: name}))
    aligned = panel.align(adata)
    assert aligned.var.loc[symbol, ["source_name", "status"]].tolist() == [name, status]
    np.testing.assert_array_equal(aligned.X, adata.X)
    found = panel.coverage(aligned)
    assert (found.found, found.missing, found.fraction) == (977, (), 1.0)
    assert getattr(found, status) == (977 if status == "symbol" else 1)


@pytest.mark.parametrize(
    "name", ["RB1|999999", "?|100130426", "NOT_A_GENE", "rb1", "GIF", "ENSG00000139687x", "ENSG99999999999"]
)
def test_other_names_are_not_taken_for_a_landmark(name):
    lost = "MIF" if name == "GIF" else "RB1"
    aligned = panel.align(table(renamed({lost: name})))
    assert aligned.var.loc[lost, ["source_name", "status"]].tolist() == ["", "missing"]
    assert np.isnan(aligned[:, lost].X).all()
    assert panel.coverage(aligned).missing == (lost,)


def test_entrez_decides_over_the_symbol():
    adata = table([*renamed({"RB1": "OLDNAME|1"}), "PSME1|5925"])
    aligned = panel.align(adata)
    assert aligned.var.loc["RB1", "source_name"] == "PSME1|5925"
    assert aligned.var.loc["PSME1", "source_name"] == "PSME1"
    np.testing.assert_array_equal(aligned[:, "RB1"].X[:, 0], adata.X[:, -1])


def test_surer_match_wins_and_the_loser_is_named():
    adata = table(["CEMIP2", *SYMBOLS, "23670"])
    aligned = panel.align(adata)
    np.testing.assert_array_equal(aligned[:, "TMEM2"].X[:, 0], adata[:, "TMEM2"].X[:, 0])
    assert panel.coverage(aligned).superseded == ("CEMIP2", "23670")


def test_reads_of_a_gene_add_up_whatever_it_is_called():
    adata = table(["CEMIP2", *SYMBOLS, "23670", "ENSG00000135048"])
    aligned = panel.align(adata, duplicates="sum")
    parts = adata[:, ["CEMIP2", "TMEM2", "23670", "ENSG00000135048"]].X
    np.testing.assert_array_equal(aligned[:, "TMEM2"].X[:, 0], parts.sum(axis=1))
    found = panel.coverage(aligned)
    assert (found.duplicated, found.superseded, found.symbol) == (("TMEM2",), (), 977)


@pytest.mark.parametrize("copy", ["RB1-1", "RB1.1", "ENSG00000139687-2"])
def test_names_that_were_made_unique_are_copies(copy):
    """As scanpy's ``var_names_make_unique`` and R's ``make.unique`` write a name that is there already."""
    name = copy[:-2]
    adata = table([*renamed({"RB1": name}), copy, "NOVEL-1", "AC1.1"])
    aligned = panel.align(adata, duplicates="sum")
    np.testing.assert_array_equal(aligned[:, "RB1"].X[:, 0], adata[:, [name, copy]].X.sum(axis=1))
    assert panel.coverage(aligned).duplicated == ("RB1",)
    for duplicates in ("mean", "error"):  # of values that do not add up, the first is taken
        aligned = panel.align(adata, duplicates=duplicates)
        np.testing.assert_array_equal(aligned[:, "RB1"].X[:, 0], adata[:, name].X[:, 0])
        assert panel.coverage(aligned).superseded == (copy,)
    assert panel.coverage(panel.align(table(renamed({"RB1": copy})))).found == 976  # and nothing to copy


def test_a_table_of_two_species_is_refused():
    with pytest.raises(PanelError, match="two species: 977 human landmarks, and .*Psme1.*Keep the human"):
        panel.align(table(dict.fromkeys([*SYMBOLS, *(symbol.capitalize() for symbol in SYMBOLS)])))
    with pytest.raises(PanelError, match="two species"):  # the names of Cell Ranger
        panel.align(table([f"{genome}_{symbol}" for genome in ("GRCh38", "mm10") for symbol in SYMBOLS]))
    few = [symbol.capitalize() for symbol in SYMBOLS[:100]]  # a few stray names are borne with
    assert panel.coverage(panel.align(table([*SYMBOLS, *few]))).found == 977


def test_an_alias_that_is_the_symbol_of_another_landmark_is_not_stolen(monkeypatch):
    from sicmir.names import gene_names

    forged = panel.landmarks()
    forged.loc[0, "aliases"] = SYMBOLS[500]
    for cached in (gene_names._symbols, gene_names._identifiers):
        cached.cache_clear()
    monkeypatch.setattr(gene_names, "_table", lambda: forged)
    try:
        assert gene_names.find_landmark(SYMBOLS[500]) == (500, "symbol")
    finally:
        gene_names._symbols.cache_clear()
        gene_names._identifiers.cache_clear()


def test_names_in_a_column_of_var():
    adata = table([f"g{i}" for i in range(977)])
    adata.var["gene_ids"] = list(PANEL["ensembl"])
    adata.var["feature_name"] = pd.Categorical(SYMBOLS)
    adata.var["entrez"] = PANEL["entrez"].astype(float).to_numpy()
    adata.var.loc["g7", "entrez"] = np.nan
    for key, status in (("gene_ids", "ensembl"), ("feature_name", "symbol"), ("entrez", "entrez")):
        aligned = panel.align(adata, gene_key=key)
        keep = np.arange(977) != 7 if key == "entrez" else np.full(977, True)
        np.testing.assert_array_equal(aligned.X[:, keep], adata.X[:, keep])
        assert getattr(panel.coverage(aligned), status) == keep.sum()
    assert panel.align(adata, gene_key="entrez").var["status"].iloc[7] == "missing"
    with pytest.raises(PanelError, match=r"no column 'symbols'.*feature_name"):
        panel.align(adata, gene_key="symbols")
    adata.var["half"] = PANEL["entrez"].to_numpy() + 0.5
    with pytest.raises(PanelError, match=r"half.*fractional"):
        panel.align(adata, gene_key="half")
    adata.var["mixed"] = pd.Series([("a",), *SYMBOLS[1:]], index=adata.var_names, dtype=object)
    with pytest.raises(PanelError, match=r"mixed.*must hold text"):
        panel.align(adata, gene_key="mixed")


# align: values


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    n_kept=st.integers(500, 977),
    kind=st.sampled_from([np.asarray, sparse.csr_matrix, sparse.csc_matrix]),
)
def test_order_of_genes_and_storage_do_not_matter(seed, n_kept, kind):
    rng = np.random.default_rng(seed)
    kept = rng.permutation(977)[:n_kept]
    ways = [SYMBOLS, PANEL["entrez"].astype(str), PANEL["ensembl"] + ".3"]
    names = [ways[rng.integers(3)][place] for place in kept] + [f"OTHER{i}" for i in range(40)]
    adata = table(names, seed=seed)
    order = rng.permutation(len(names))
    shuffled = adata[:, order].copy()
    shuffled.X = kind(shuffled.X)
    aligned = panel.align(shuffled)
    expected = np.full((3, 977), np.nan, dtype=np.float32)
    expected[:, kept] = adata.X[:, :n_kept]
    np.testing.assert_array_equal(aligned.X, expected)
    assert aligned.X.dtype == np.float32
    assert list(aligned.var_names) == SYMBOLS
    assert set(panel.coverage(aligned).missing) == {SYMBOLS[i] for i in set(range(977)) - set(kept)}


def test_sparse_matrix_is_never_made_dense_as_a_whole(monkeypatch):
    adata = table([*SYMBOLS, *[f"OTHER{i}" for i in range(3000)]])
    adata.X = sparse.csr_matrix(adata.X)
    widths = []
    toarray = sparse.csr_matrix.toarray

    def recorded(self, *args, **kwargs):
        widths.append(self.shape[1])
        return toarray(self, *args, **kwargs)

    monkeypatch.setattr(sparse.csr_matrix, "toarray", recorded)
    panel.align(adata)
    assert widths
    assert max(widths) <= 977


def test_backed_file(tmp_path):
    adata = table(SYMBOLS[::-1])
    adata.X = sparse.csr_matrix(adata.X)
    adata.write_h5ad(tmp_path / "cells.h5ad")
    backed = ad.read_h5ad(tmp_path / "cells.h5ad", backed="r")
    np.testing.assert_array_equal(panel.align(backed).X, adata.X.toarray()[:, ::-1])
    backed.file.close()


def test_landmarks_without_any_value_are_told_from_names_that_are_lacking():
    adata = table(SYMBOLS)
    adata.X[:, :600] = np.nan
    with pytest.raises(PanelError, match=r"377 of 977.* 600 landmarks are present but were measured in no"):
        panel.align(adata)
    with pytest.raises(PanelError) as caught:
        panel.align(table(SYMBOLS[:100]))
    assert "The table has only 100 genes." in str(caught.value)
    with pytest.raises(PanelError, match=r"2 of 102 names match no landmark, the first: NOT1, NOT2\."):
        panel.align(table([*SYMBOLS[:100], "NOT1", "NOT2"]))


def test_columns_without_any_value_are_missing_and_aligning_twice_changes_nothing():
    adata = table(SYMBOLS[:600])
    adata.X[:, 4] = np.nan
    adata.X[0, 5] = np.nan
    once = panel.align(adata)
    assert once.var["status"].iloc[4] == "missing"
    assert once.var["status"].iloc[5] == "symbol"
    twice = panel.align(once)
    np.testing.assert_array_equal(twice.X, once.X)
    assert panel.coverage(twice) == panel.coverage(once)
    adata.X[:, 100:] = np.nan
    with pytest.raises(PanelError, match="Only 99 of 977"):
        panel.align(adata)


def test_input_is_not_changed_and_obs_and_uns_are_carried_over():
    record = {"dataset": "toy", "units": "counts", "sources": pd.DataFrame({"name": ["a"]})}
    adata = table(SYMBOLS, uns={"sicmir": record})
    before = adata.copy()
    aligned = panel.align(adata)
    assert "coverage" not in adata.uns["sicmir"]
    pd.testing.assert_frame_equal(aligned.obs, before.obs)
    assert aligned.uns["sicmir"]["dataset"] == "toy"
    aligned.uns["sicmir"]["sources"].loc[0, "name"] = "b"
    aligned.obs["donor"] = "x"
    aligned.X[:] = -1
    pd.testing.assert_frame_equal(adata.obs, before.obs)
    assert adata.uns["sicmir"]["sources"].loc[0, "name"] == "a"
    np.testing.assert_array_equal(adata.X, before.X)


@pytest.mark.filterwarnings("ignore:Variable names are not unique")
@pytest.mark.parametrize("names", [SYMBOLS, SYMBOLS[:600], [*SYMBOLS, "CEMIP2", "RB1"]])
def test_round_trip_through_h5ad(tmp_path, names):
    aligned = panel.align(table(names), duplicates="mean")
    aligned.write_h5ad(tmp_path / "aligned.h5ad")
    back = ad.read_h5ad(tmp_path / "aligned.h5ad")
    np.testing.assert_array_equal(back.X, aligned.X)
    assert panel.coverage(back) == panel.coverage(aligned)
    assert list(back.var["status"]) == list(aligned.var["status"])


def test_coverage_of_a_table_that_was_not_aligned():
    with pytest.raises(PanelError, match="align the table"):
        panel.coverage(table(SYMBOLS))


# align: duplicates


def duplicated_rb1(**kwargs):
    return table([*SYMBOLS, "RB1", "NOISE", "NOISE"], **kwargs)


@pytest.mark.filterwarnings("ignore:Variable names are not unique")
@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_matrix])
def test_duplicates(kind):
    adata = duplicated_rb1()
    dense = adata.X.copy()
    adata.X = kind(dense)
    with pytest.raises(PanelError, match=r'1 landmarks.*RB1 from RB1, RB1.*duplicates="sum"'):
        panel.align(adata)
    pair = dense[:, [PLACE["RB1"], 977]]
    total = panel.align(adata, duplicates="sum")
    np.testing.assert_allclose(total[:, "RB1"].X[:, 0], pair.sum(axis=1))
    mean = panel.align(adata, duplicates="mean")
    np.testing.assert_allclose(mean[:, "RB1"].X[:, 0], pair.mean(axis=1))
    others = np.arange(977) != PLACE["RB1"]
    np.testing.assert_array_equal(mean.X[:, others], dense[:, :977][:, others])
    assert mean.var.loc["RB1", "source_name"] == "RB1;RB1"
    assert panel.coverage(mean).duplicated == ("RB1",)


@pytest.mark.filterwarnings("ignore:Variable names are not unique")
def test_duplicates_with_values_that_were_not_measured():
    adata = duplicated_rb1()
    first, second = PLACE["RB1"], 977
    adata.X[0, first] = adata.X[1, first] = adata.X[1, second] = np.nan
    mean = panel.align(adata, duplicates="mean")[:, "RB1"].X[:, 0]
    np.testing.assert_array_equal(
        mean, np.float32([adata.X[0, second], np.nan, (adata.X[2, first] + adata.X[2, second]) / 2])
    )
    total = panel.align(adata, duplicates="sum")[:, "RB1"].X[:, 0]
    np.testing.assert_array_equal(np.isnan(total), [True, True, False])


@pytest.mark.filterwarnings("ignore:Variable names are not unique")
def test_sums_of_logarithms_or_negative_values_are_refused():
    with pytest.raises(DataError, match="logarithms"):
        panel.align(duplicated_rb1(uns={"sicmir": {"units": "log2(x+1)"}}), duplicates="sum")
    adata = duplicated_rb1()
    adata.X[1, 977] = -0.5
    with pytest.raises(DataError, match="negative"):
        panel.align(adata, duplicates="sum")
    panel.align(adata, duplicates="mean")


# align: errors


@pytest.mark.parametrize(
    ("names", "species"),
    [
        ([symbol.capitalize() for symbol in SYMBOLS], "mouse"),
        ([f"ENSMUSG{i:011d}.1" for i in range(900)], "mouse"),
        ([f"ENSRNOG{i:011d}" for i in range(900)], "rat"),
        ([f"ENSDARG{i:011d}" for i in range(900)], "species DAR"),
    ],
)
@pytest.mark.parametrize("min_coverage", [0.0, 0.5])
def test_wrong_species(names, species, min_coverage):
    with pytest.raises(PanelError, match=f"look like {species}.*{names[0]}.*orthologues"):
        panel.align(table(names), min_coverage=min_coverage)


def test_low_coverage_names_numbers_and_examples():
    adata = table([*SYMBOLS[:200], "FOO1", "FOO2"])
    with pytest.raises(PanelError, match=r"Only 200 of 977 .*20\.5%.*50%.*2 of 202 .*FOO1, FOO2"):
        panel.align(adata)
    assert panel.coverage(panel.align(adata, min_coverage=0.2)).found == 200
    with pytest.raises(PanelError, match="Only 0 of 977"):
        panel.align(table(["hsa-miR-21-5p"]), min_coverage=0.0)


def test_bad_tables_and_options():
    adata = table(SYMBOLS)
    for bad in (-0.1, 1.1, float("nan")):
        with pytest.raises(ParameterError, match="min_coverage"):
            panel.align(adata, min_coverage=bad)
    with pytest.raises(ParameterError, match="duplicates"):
        panel.align(adata, duplicates="max")
    for empty in (adata[:0], adata[:, :0], ad.AnnData(obs=adata.obs, var=adata.var)):
        with pytest.raises(DataError, match="Expected observations x genes"):
            panel.align(empty)
    with pytest.raises(PanelError, match=r"Every entry of var_names.*' '"):
        panel.align(table(renamed({"RB1": " "})))


@pytest.mark.filterwarnings("ignore")
def test_names_that_are_no_text_or_repeated():
    adata = table(SYMBOLS)
    adata.var.index = pd.Index([1.5, *SYMBOLS[1:]], dtype=object)
    with pytest.raises(PanelError, match=r"Every entry of var_names.*1\.5"):
        panel.align(adata)
    twins = table(SYMBOLS)
    twins.obs_names = ["s0", "s0", "s1"]
    with pytest.raises(DataError, match=r"1 observation names.*s0"):
        panel.align(twins)
