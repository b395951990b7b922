"""Questions to an atlas, against the same computed from its tables by pandas, scipy and statsmodels."""

import csv
import shutil
from dataclasses import replace

import anndata as ad
import atlas_store as atlas
import numpy as np
import pandas as pd
import pytest
import small_cells
from scipy.optimize import brentq
from scipy.stats import binom, combine_pvalues, norm
from scipy.stats import t as student
from statsmodels.stats.meta_analysis import combine_effects
from typer.testing import CliRunner

from sicmir import cli, stats
from sicmir.atlas import check, meta
from sicmir.atlas.answers import answer, write_answer
from sicmir.atlas.combine import combine
from sicmir.atlas.expression import expression, gene_expression, targeting
from sicmir.atlas.links import network as links
from sicmir.atlas.query import TRUST_COLUMNS, Atlas
from sicmir.atlas.summaries import with_errors
from sicmir.atlas.tables import write_table
from sicmir.donors.mirna_findings import adjusted
from sicmir.errors import DataError, ParameterError, ReadError

MIRNA = "toy-miR-002"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three data sets; in the second some donors have a disease, in the third there is a third cell type."""
    folder = tmp_path_factory.mktemp("asked") / "store"
    atlas.put(folder)
    conditions = {"condition_key": "condition", "normal": "healthy"}
    atlas.put(folder, "two", seed=1, disease="flu", **conditions)
    cells = atlas.cells(2)
    place = cells.obs["cell_type"].to_numpy(dtype=object)
    place[(place == "type 1") & (np.arange(len(place)) % 2 == 0)] = 'it\'s "type" 2; DROP TABLE mirna'
    cells.obs["cell_type"] = place
    atlas.put(folder, "3", seed=2, adata=cells, min_cells=10, targets="")
    return folder


@pytest.fixture(scope="module")
def opened(folder):
    with Atlas(folder) as found:
        yield found


@pytest.fixture(scope="module")
def rows(folder):
    tables = [atlas.read(folder, "mirna", name).assign(dataset=name) for name in ("3", "one", "two")]
    return pd.concat(tables, ignore_index=True)


def test_expression_counts_donors_of_a_data_set_once(opened, rows):
    found = expression(opened, MIRNA, by=["disease"])
    own = rows[rows["mirna"] == MIRNA]
    donors = own.groupby(["disease", "dataset", "donor"])[
        ["predicted", "lower", "upper", "fraction_above"]
    ].mean()
    for row in found.itertuples():
        part = donors.loc[row.disease]
        assert (row.n_donors, row.n_abstained) == (len(part), 0)
        assert row.n_datasets == part.index.get_level_values(0).nunique()
        assert row.mean == pytest.approx(part["predicted"].mean(), abs=1e-5)
        assert row.sd == pytest.approx(part["predicted"].std(ddof=1), abs=1e-5)
        for name in ("lower", "upper", "fraction_above"):
            assert getattr(row, name) == pytest.approx(part[name].mean(), abs=1e-5)
        assert row.n_cells == own.loc[own["disease"] == row.disease, "n_cells"].sum()
    assert found["disease"].tolist() == found.sort_values("mean", ascending=False)["disease"].tolist()
    assert set(found["disease"]) == {"normal", "flu"}


def test_what_is_abstained_counts_for_nothing(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "store")
    for name in ("one", "two"):
        table = atlas.read(tmp_path / "store", "mirna", name)
        silent = (table["donor"] == "d0") | (name == "two")
        table.loc[silent, ["predicted", "lower", "upper", "fraction_above"]] = None
        table.loc[silent, "abstained"] = True
        write_table(table, "mirna", atlas.file(tmp_path / "store", "mirna", name))
    with Atlas(tmp_path / "store") as changed:
        found = expression(changed, MIRNA, by=["cell_type"]).set_index("cell_type")
        cells = changed.sql(
            "SELECT cell_type, sum(n_cells) AS n FROM mirna "
            "WHERE mirna = $name AND NOT abstained GROUP BY ALL",
            {"name": MIRNA},
        ).set_index("cell_type")["n"]
    there = found[found["n_donors"] > 0]
    assert (there["n_datasets"] <= 2).all()
    assert there["n_cells"].to_dict() == cells.to_dict()
    assert (found["n_abstained"] > 0).any()


def test_every_row_tells_of_trust(opened, rows):
    table = expression(opened, MIRNA)
    assert set(TRUST_COLUMNS) <= set(table)
    assert set(table["grade"]) == {"B"}
    known = rows.drop_duplicates("mirna").set_index("mirna")["grade"]
    marked = meta.markers(opened, "type 0")
    assert marked["grade"].tolist() == known[marked["mirna"]].tolist()
    assert set(TRUST_COLUMNS) <= set(marked) & set(links(opened, MIRNA, "type 0")) & set(
        meta.difference(opened, "flu")
    )


def test_expression_of_a_cell_type_and_of_each_donor(opened, rows):
    found = expression(opened, cell_type="TYPE 1", by=["tissue"])
    assert len(found) == 24
    assert found["mean"].is_monotonic_decreasing
    single = expression(opened, MIRNA, "type 1", dataset="two", by=["donor", "condition"])
    own = rows[(rows["mirna"] == MIRNA) & (rows["cell_type"] == "type 1") & (rows["dataset"] == "two")]
    own = own.sort_values("predicted", ascending=False)
    assert single["donor"].tolist() == own["donor"].tolist()
    np.testing.assert_allclose(single["mean"], own["predicted"], rtol=1e-6)
    assert (single["n_donors"] == 1).all()
    assert single["sd"].isna().all()


def test_names_are_values_and_no_part_of_a_question(opened):
    name = 'it\'s "type" 2; DROP TABLE mirna'
    assert len(expression(opened, cell_type=name)) == 24
    assert len(meta.markers(opened, name)) == 24
    assert len(expression(opened, MIRNA, dataset="3")) == 3
    for odd in ("' OR 1=1 --", "x'; DROP VIEW mirna; --", "%", "type _", ""):
        with pytest.raises(ParameterError):
            expression(opened, cell_type=odd)
    with pytest.raises(ParameterError, match="expected some of cell_type, tissue"):
        expression(opened, MIRNA, by=["donor; DROP VIEW mirna"])
    assert opened.sql("SELECT count(*) AS n FROM mirna")["n"].iloc[0] > 0


@pytest.mark.parametrize(
    ("ask", "told"),
    [
        (lambda one: expression(one), "Expected a miRNA, a cell type, or both"),
        (lambda one: expression(one, "toy-miR-2"), "no miRNA 'toy-miR-2'. Did you mean"),
        (lambda one: expression(one, f"{MIRNA},toy-miR-003"), "no miRNA"),
        (lambda one: expression(one, MIRNA, tissue="brain"), "no tissue 'brain'. There are 1"),
        (lambda one: meta.markers(one, "typ 0"), "no cell type 'typ 0'. Did you mean type 0"),
        (lambda one: meta.markers(one, "type 0", fdr=2), "fdr"),
        (lambda one: meta.markers(one, "type 0", "E"), "min_grade should be one of"),
        (lambda one: meta.difference(one, "flu", by="tissue"), "expected 'disease' or 'condition'"),
        (lambda one: gene_expression(one, "PSME1"), "no gene 'PSME1': it holds targets of miRNAs outside"),
        (lambda one: gene_expression(one, " "), "no gene ' '"),
        (lambda one: targeting(one, "NONE"), "no gene 'NONE'"),
        (lambda one: one.values("grade"), "There is no 'grade'"),
        (lambda one: one.sql("SELECT nothing"), "cannot be understood"),
    ],
)  # fmt: skip
def test_what_is_not_there_is_told(opened, ask, told):
    with pytest.raises(ParameterError, match=told):
        ask(opened)


def test_genes_and_the_mirnas_that_target_them(opened, folder):
    table = pd.concat([atlas.read(folder, "genes", name).assign(dataset=name) for name in ("one", "two")])
    gene = table["gene"].iloc[0]
    found = gene_expression(opened, gene.lower(), by=["cell_type"]).set_index("cell_type")
    expected = table[table["gene"] == gene].groupby("cell_type")["expression"].agg(["mean", "std", "size"])
    for name, row in expected.iterrows():
        assert found.loc[name, "mean"] == pytest.approx(row["mean"], abs=1e-5)
        assert found.loc[name, "sd"] == pytest.approx(row["std"], abs=1e-5)
        assert found.loc[name, "n_donors"] == row["size"] == 6
    pairs = atlas.targets()
    assert set(targeting(opened, gene)["mirna"]) == set(pairs.loc[pairs["gene"] == gene, "mirna"])
    assert targeting(opened, f" {gene.lower()} ")["gene"].unique() == [gene]


def test_genes_are_found_as_they_are_written_and_else_if_only_one_can_be_meant(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "store")
    for name in ("one", "two"):
        renamed = {}
        for table in ("genes", "targets"):
            frame = atlas.read(tmp_path / "store", table, name)
            first = frame["gene"].drop_duplicates().iloc[:3]
            renamed = renamed or dict(zip(first, ("C1orf43", "MIXed", "mixED"), strict=True))
            changed = frame.assign(gene=frame["gene"].replace(renamed))
            write_table(changed, table, atlas.file(tmp_path / "store", table, name))
    with Atlas(tmp_path / "store") as changed:
        for written in ("C1orf43", "C1ORF43", " c1orf43"):
            assert gene_expression(changed, written)["gene"].unique() == ["C1orf43"]
            assert set(targeting(changed, written)["gene"]) == {"C1orf43"}
        for written in ("MIXed", "mixED"):
            assert gene_expression(changed, written)["gene"].unique() == [written]
        for ask in (gene_expression, targeting):
            with pytest.raises(ParameterError, match="'MIXED': there are MIXed, mixED; write it as one"):
                ask(changed, "MIXED")


def test_what_a_model_without_a_domain_cannot_tell_is_unknown(tmp_path):
    bundle = small_cells.bundle()
    blind = replace(bundle, domain=None)
    atlas.put(tmp_path / "store", model=blind)
    stored = atlas.read(tmp_path / "store", "mirna")
    assert not stored["abstained"].any()
    assert stored["in_domain"].isna().all()
    with Atlas(tmp_path / "store") as found:
        assert expression(found, MIRNA)["in_domain"].isna().all()
        assert found.pools("one").obs["in_domain"].isna().all()
        meta.markers(found, "type 0")


def test_groups_are_of_their_own_tissue(tmp_path):
    cells = atlas.cells()
    cells.obs["site"] = np.where(cells.obs["donor"] == "d1", "liver", "")
    cells.obs["term"] = np.where(cells.obs["donor"] == "d1", "UBERON:0002107", "")
    keys = {"tissue_key": "site", "tissue_id_key": "term", "tissue_id": "UBERON:0000955"}
    atlas.put(tmp_path / "store", adata=cells, **keys)
    for table in ("mirna", "genes"):
        stored = atlas.read(tmp_path / "store", table)
        moved = stored["donor"] == "d1"
        assert set(stored.loc[moved, "tissue"]) == {"liver"}
        assert set(stored.loc[moved, "tissue_id"]) == {"UBERON:0002107"}
        assert set(stored.loc[~moved, "tissue"]) == {"toy tissue"}
        assert set(stored.loc[~moved, "tissue_id"]) == {"UBERON:0000955"}
    assert check.check(tmp_path / "store").problems == []
    with Atlas(tmp_path / "store") as found:
        row = found.registry.iloc[0]
        assert (row["tissue"], row["tissue_id"]) == ("liver, toy tissue", "UBERON:0002107, UBERON:0000955")
        assert found.values("tissue") == ["liver", "toy tissue"]
        told = expression(found, MIRNA, by=["tissue"]).set_index("tissue")
        assert told["n_donors"].to_dict() == {"liver": 1, "toy tissue": 2}
        rows = atlas.read(tmp_path / "store", "mirna").query("mirna == @MIRNA and donor == 'd1'")
        assert told.loc["liver", "mean"] == pytest.approx(rows["predicted"].mean(), abs=1e-5)
        assert expression(found, MIRNA, tissue="liver", by=["donor"])["donor"].tolist() == ["d1"]
        genes = gene_expression(found, atlas.read(tmp_path / "store", "genes")["gene"].iloc[0], ["tissue"])
        assert set(genes["tissue"]) == {"liver", "toy tissue"}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"site": ["liver", "lung"] * 72}, "The cells of d0, type 0 are of several tissues: liver, lung"),
        ({"site": "liver", "term": ["UBERON:0002107", "UBERON:0002048"] * 72}, "'liver' has several terms"),
        ({"site": "liver", "term": "CL:0000000"}, "expected a term such as UBERON:0000001"),
        ({"term": "UBERON:0002107"}, "obs has no column 'site'"),
    ],
)
def test_tissues_that_cannot_be_told(tmp_path, change, told):
    cells = atlas.cells()
    for name, values in change.items():
        cells.obs[name] = values
    keys = {"tissue_key": "site", "tissue_id_key": "term" if "term" in change else ""}
    with pytest.raises((DataError, ParameterError), match=told):
        atlas.put(tmp_path / "store", adata=cells, **keys)


def test_made_up_cells_are_told_whatever_the_model(tmp_path):
    real = replace(
        small_cells.bundle(), card=small_cells.bundle().card | {"training_data": {"synthetic": False}}
    )
    cells = atlas.cells()
    atlas.put(tmp_path / "store", "made-up", adata=cells, model=real)
    cells.uns["sicmir"] = {"units": "UMI counts", "synthetic": False}
    atlas.put(tmp_path / "store", "measured", seed=1, adata=cells, model=real)
    del cells.uns["sicmir"]
    atlas.put(tmp_path / "store", "foreign", seed=2, adata=cells, model=real)
    with Atlas(tmp_path / "store") as found:
        told = found.registry.set_index("dataset")["synthetic"].to_dict()
        assert told == {"made-up": True, "measured": False, "foreign": False}
        assert found.pools("made-up").uns["sicmir"]["synthetic"]
        assert not found.pools("foreign").uns["sicmir"]["synthetic"]


def test_pools_are_what_is_stored(opened, rows):
    pools = opened.pools("two")
    own = rows[rows["dataset"] == "two"]
    for name in ("type 0", "type 1"):
        for donor in ("d0", "d2"):
            one = own[(own["cell_type"] == name) & (own["donor"] == donor)].set_index("mirna")
            place = ((pools.obs["cell_type"] == name) & (pools.obs["donor"] == donor)).to_numpy()
            np.testing.assert_array_equal(pools[place].X[0], one.loc[pools.var_names, "predicted"])
            np.testing.assert_array_equal(pools[place].layers["upper"][0], one.loc[pools.var_names, "upper"])
    assert set(pools.obs["condition"]) == {"healthy", "tumour"}
    # Without it, errors of prediction would be taken from bounds that were cut at 0.
    half = small_cells.bundle().trust["half_width"]
    np.testing.assert_allclose(pools.var["half_width"], half[pools.var_names], rtol=1e-6)


# Across data sets


def by_hand(effects, errors):
    """DerSimonian-Laird with Hartung-Knapp's scale, not below 1: the formulas themselves."""
    w = 1 / errors**2
    fixed = (w * effects).sum() / w.sum()
    q = (w * (effects - fixed) ** 2).sum()
    k = len(effects)
    tau2 = max(0.0, (q - (k - 1)) / (w.sum() - (w**2).sum() / w.sum()))
    w = 1 / (errors**2 + tau2)
    mean = (w * effects).sum() / w.sum()
    scale = max(1.0, (w * (effects - mean) ** 2).sum() / (k - 1))
    se = np.sqrt(scale / w.sum())
    half = student.ppf(0.975, k - 1) * se
    return mean, mean - half, mean + half, 2 * student.sf(abs(mean) / se, k - 1), tau2


@pytest.mark.parametrize("spread", [0.0, 0.2, 3.0])
def test_differences_are_combined_by_random_effects(spread):
    rng = np.random.default_rng(0)
    for k in (2, 3, 8):
        errors = rng.uniform(0.2, 1, k)
        effects = 1 + rng.normal(0, spread, k) + (rng.normal(0, errors) if spread else 0)
        table = pd.DataFrame(
            {"mirna": "a", "effect": effects, "se": errors, "se_total": 2 * errors, "df": 4.0}
        )
        (found,) = combine(table.assign(n_donors=3), ["mirna"]).itertuples()
        expected = by_hand(effects, errors)
        np.testing.assert_allclose(
            [found.effect, found.lower, found.upper, found.p, found.tau2], expected, atol=1e-9
        )
        assert (found.n_datasets, found.n_donors, found.df) == (k, 3 * k, k - 1)
        added = 3 * errors.max() ** 2 * student.ppf(0.975, 4) ** 2  # the largest, whatever their number
        half = np.sqrt((expected[2] - expected[0]) ** 2 + added)
        np.testing.assert_allclose(
            [found.lower_total, found.upper_total], [expected[0] - half, expected[0] + half], atol=1e-9
        )
        with np.errstate(all="ignore"):
            theirs = combine_effects(effects, errors**2, method_re="dl")
        if theirs.tau2 > 0:
            assert found.effect == pytest.approx(theirs.mean_effect_re)
            assert found.i2 == pytest.approx(theirs.i2)


@pytest.mark.parametrize("n_donors", [[3, 3], [3, 5, 12], [4, 4, 3, 9, 6]])
def test_fixed_effects_are_tests_joined_by_normal_scores(n_donors):
    rng = np.random.default_rng(len(n_donors))
    n = np.array(n_donors, dtype=float)
    effects, errors, df = rng.normal(1, 1, len(n)), rng.uniform(0.2, 1, len(n)), n + 0.5
    table = pd.DataFrame({"mirna": "a", "effect": effects, "se": errors, "se_total": 2 * errors, "df": df})
    alone = table.tail(1).assign(mirna="b")
    found, single = combine(
        pd.concat([table, alone]).assign(n_donors=[*n, 5.0]), ["mirna"], "fixed"
    ).itertuples()

    def height(value):
        own = norm.ppf(student.cdf((value - effects) / errors, df))
        return norm.cdf((np.sqrt(n) * own).sum() / np.sqrt(n.sum()))

    for name, wanted in (("effect", 0.5), ("lower", 0.025), ("upper", 0.975)):
        expected = brentq(lambda value, a=wanted: height(value) - a, -50, 50, xtol=1e-12)
        assert getattr(found, name) == pytest.approx(expected, abs=1e-7)
    added = 3 * ((student.ppf(0.975, df) * errors) ** 2).max()
    for name, side in (("lower", -1), ("upper", 1)):
        half = np.sqrt((getattr(found, name) - found.effect) ** 2 + added)
        assert getattr(found, f"{name}_total") == pytest.approx(found.effect + side * half)
    assert single.upper_total == pytest.approx(effects[-1] + 2 * student.ppf(0.975, df[-1]) * errors[-1])
    one_sided = student.sf(effects / errors, df)
    p = combine_pvalues(one_sided, "stouffer", weights=np.sqrt(n)).pvalue
    assert found.p == pytest.approx(2 * min(p, 1 - p))
    assert np.isnan(found.df)
    with np.errstate(all="ignore"):
        theirs = combine_effects(effects, errors**2, method_re="dl")
    assert (found.tau2, found.i2) == pytest.approx((max(theirs.tau2, 0), max(theirs.i2, 0)))
    assert single.p == pytest.approx(2 * student.sf(abs(effects[-1] / errors[-1]), df[-1]))
    with pytest.raises(ParameterError, match="expected 'random' or 'fixed'"):
        combine(table, ["mirna"], "mixed")


def test_fixed_effects_of_data_sets_that_leave_no_doubt():
    table = pd.DataFrame(
        {
            "mirna": ["equal", "equal", "against", "against", "far", "far"],
            "effect": [1.0, 1.0, 4.0, -4.0, 7.0, 9.0],
            "se": [0.1, 0.1, 0.01, 0.01, 0.001, 0.001],
            "se_total": np.nan,
            "df": [4.0, 4.0, 900.0, 900.0, 2000.0, 2000.0],
            "n_donors": 3,
        }
    )
    found = combine(table, ["mirna"], "fixed").set_index("mirna")
    np.testing.assert_allclose(found["effect"], [0, 1, 8], atol=1e-6)  # against, equal, far
    assert ((found["lower"] < found["effect"]) & (found["effect"] < found["upper"])).all()
    assert found["p"].tolist() == pytest.approx([1, found.loc["equal", "p"], 0])
    score = norm.isf(student.sf(10, 4)) * np.sqrt(2)
    assert found.loc["equal", "p"] == pytest.approx(2 * norm.sf(score))
    assert found[["lower_total", "upper_total"]].isna().all(axis=None)  # of a model without intervals
    assert not found["exceeds_error"].any()


@pytest.mark.parametrize("across", ["random", "fixed"])
def test_errors_of_prediction_do_not_average_out_over_data_sets(across):
    row = {"effect": 1.0, "se": 0.05, "se_total": 0.8, "df": 4.0, "n_donors": 5}
    sizes = {"a": 1, "b": 2, "c": 5, "d": 20}
    table = pd.DataFrame([row | {"mirna": name} for name, size in sizes.items() for _ in range(size)])
    found = combine(table, ["mirna"], across)
    assert (found["p"] < 0.05).all()
    assert not found["exceeds_error"].any()
    bare = student.ppf(0.975, 4) * np.sqrt(0.8**2 - 0.05**2)  # of prediction alone, in one data set
    assert (found["effect"] - found["lower_total"] >= bare).all()
    assert (found["upper_total"] - found["effect"] >= bare).all()
    several = found[found["n_datasets"] > 2]
    assert (several["upper_total"] < found["upper_total"][0]).all()  # donors still count
    large = combine(table.assign(effect=3.0), ["mirna"], across)
    assert large["exceeds_error"].all()
    untold = table.assign(se_total=table["se_total"].where(table.index != len(table) - 1))
    limits = combine(untold, ["mirna"], across).set_index("mirna")[["lower_total", "upper_total"]]
    assert limits.isna().all(axis=1).to_dict() == {"a": False, "b": False, "c": False, "d": True}


def test_fixed_effects_of_data_sets_that_contradict_each_other_say_so():
    table = pd.DataFrame({"mirna": "a", "effect": [3.0, -3.0], "se": 0.01, "se_total": 0.02})
    (found,) = combine(table.assign(df=[4.0, 9.0], n_donors=[3, 8]), ["mirna"], "fixed").itertuples()
    assert found.p < 1e-4  # these data sets, each for itself, leave no doubt
    assert found.i2 == pytest.approx(1, abs=1e-4)


def null_tests(n_sets, prior_df, spread, n_mirnas, seed, n_donors=3):
    """Differences that are 0 in all data sets; errors moderated by the prior that they are drawn from."""
    rng = np.random.default_rng(seed)
    shape, df = (n_mirnas, n_sets), n_donors - 1
    common = np.linspace(1, spread, n_sets) ** 2
    true = common * (prior_df / rng.chisquare(prior_df, shape) if prior_df else np.ones(shape))
    sample = true * rng.chisquare(df, shape) / df
    moderated = (prior_df * common + df * sample) / (prior_df + df)
    effect = rng.normal(0, np.sqrt(true / n_donors))
    return pd.DataFrame(
        {
            "mirna": np.repeat([f"m{i:05d}" for i in range(n_mirnas)], n_sets),
            "effect": effect.ravel(),
            "se": np.sqrt(moderated / n_donors).ravel(),
            "se_total": np.sqrt(2 * moderated / n_donors).ravel(),
            "df": float(df + prior_df),
            "n_donors": n_donors,
        }
    )


@pytest.mark.parametrize("n_sets", [2, 3, 5])
@pytest.mark.parametrize(("prior_df", "spread"), [(0, 1), (0, 3), (2, 4), (6, 1), (6, 3)])
def test_fixed_effects_of_few_donors_keep_their_level(n_sets, prior_df, spread):
    n = 3_000
    table = null_tests(n_sets, prior_df, spread, n, seed=100 * n_sets + 10 * prior_df + spread)
    found = combine(table, ["mirna"], "fixed")
    for level in (0.05, 0.01):
        low, high = binom.ppf([1e-4, 1 - 1e-4], n, level)
        assert low <= (found["p"] < level).sum() <= high
    np.testing.assert_array_equal(found["p"] < 0.05, (found["lower"] > 0) | (found["upper"] < 0))
    if prior_df:
        random = combine(table, ["mirna"], "random")
        assert (random["p"] < 0.05).sum() <= binom.ppf(1 - 1e-4, n, 0.05)


def test_intervals_of_fixed_effects_cover_what_all_data_sets_share():
    n = 3_000
    table = null_tests(3, 4, 2, n, seed=7)
    found = combine(table.assign(effect=table["effect"] + 1.5), ["mirna"], "fixed")
    low, high = binom.ppf([1e-4, 1 - 1e-4], n, 0.95)
    assert low <= ((found["lower"] < 1.5) & (found["upper"] > 1.5)).sum() <= high
    assert found["effect"].median() == pytest.approx(1.5, abs=0.05)


@pytest.mark.parametrize("n_sets", [2, 5])
def test_markers_of_cells_without_any_are_as_rare_by_fixed_effects_as_they_say(n_sets):
    rng = np.random.default_rng(n_sets)
    n, tables = 3_000, []
    obs = pd.DataFrame({"donor": list("aabbcc"), "cell_type": ["x", "y"] * 3}, index=list("123456"))
    for _ in range(n_sets):
        sd = np.sqrt(4 / rng.chisquare(4, n))  # as the moderated test supposes
        values = 8 + rng.normal(0, 1, (6, n)) * sd * 0.3
        var = pd.DataFrame(index=[f"toy-miR-{i}" for i in range(n)])
        cells = ad.AnnData(values.astype(np.float32), obs=obs, var=var)
        cells.uns["sicmir"] = {"modality": "mirna", "units": "log2(RPM+1)", "level": "mature"}
        found = stats.markers(cells)
        tables.append(with_errors(found[found["cell_type"] == "x"]).rename(columns={"n_case": "n_donors"}))
    found = combine(pd.concat(tables), ["mirna"], "fixed")
    low, high = binom.ppf([1e-4, 1 - 1e-4], n, 0.05)
    assert low <= (found["p"] < 0.05).sum() <= high


def test_one_data_set_and_none_that_was_tested():
    table = pd.DataFrame({"mirna": ["a", "b", "b", "c"], "effect": [2.0, 1.0, 4.0, np.nan]})
    table = table.assign(n_donors=[5, 1, 2, 0])
    table.loc[0, ["se", "se_total", "df"]] = [0.5, 1.0, 6.0]
    one, none, nothing = combine(table, ["mirna"]).itertuples()
    assert one.p == pytest.approx(2 * student.sf(4, 6))
    assert one.upper == pytest.approx(2 + student.ppf(0.975, 6) * 0.5)
    assert (one.n_datasets, one.n_untested, one.exceeds_error) == (1, 0, False)
    assert none.effect == pytest.approx(3)
    assert np.isnan([none.p, none.lower, none.upper, nothing.effect]).all()
    assert (none.n_datasets, none.n_donors, none.n_untested) == (0, 0, 2)


def test_markers_are_combined_over_data_sets(opened, folder):
    found = meta.markers(opened, "type 0").set_index("mirna")
    tables = [atlas.read(folder, "markers", name) for name in ("3", "one", "two")]
    own = pd.concat([table[table["cell_type"] == "type 0"] for table in tables])
    for mirna, part in own.groupby("mirna"):
        expected = by_hand(part["effect"].to_numpy(float), part["se"].to_numpy(float))
        row = found.loc[mirna]
        np.testing.assert_allclose(
            row[["effect", "lower", "upper", "p"]].astype(float), expected[:4], rtol=1e-5
        )
    counted = ~found["greyed"]
    assert set(found.loc[found["greyed"], "grade"]) == {"D"}
    np.testing.assert_allclose(found["q"], adjusted(found["p"].where(counted)), equal_nan=True)
    assert not meta.markers(opened, "type 0", min_grade="")["greyed"].any()
    sizes = found["effect"].abs()[counted & ~found["finding"]]
    assert sizes.is_monotonic_decreasing


def test_what_marks_a_cell_type_in_every_data_set_is_a_finding(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "store")
    for name in ("one", "two", "3"):
        path = atlas.file(tmp_path / "store", "markers", name)
        table = atlas.read(tmp_path / "store", "markers", name)
        hit = (table["cell_type"] == "type 0") & (table["mirna"] == MIRNA)
        table.loc[hit, ["effect", "se", "se_total"]] = [3.0, 0.001, 0.01]
        write_table(table, "markers", path)
    with Atlas(tmp_path / "store") as changed:
        first = meta.markers(changed, "type 0").iloc[0]
    assert first["mirna"] == MIRNA
    assert first["finding"]
    assert first["exceeds_error"]
    assert first["effect"] == pytest.approx(3)


def test_a_disease_is_compared_within_data_sets_that_have_both(opened, folder):
    found = meta.difference(opened, "flu", min_grade="").set_index(["cell_type", "mirna"])
    pools = opened.pools("two")
    expected = stats.differential(pools, "disease", "flu", "normal", cell_type_key="cell_type", min_grade="")
    expected = expected.set_index(["cell_type", "mirna"]).loc[found.index]
    np.testing.assert_allclose(found["effect"], expected["effect"], rtol=1e-6)
    assert found["p"].isna().all()  # one donor is healthy
    assert (found["n_untested"] == 1).all()
    same = meta.difference(opened, "tumour", "healthy", by="condition", cell_type="type 0", min_grade="")
    assert set(same["cell_type"]) == {"type 0"}
    np.testing.assert_allclose(
        same.set_index("mirna")["effect"], found.loc["type 0"]["effect"][same["mirna"]]
    )
    with pytest.raises(DataError, match="No data set has cells of both 'healthy' and ''"):
        meta.difference(opened, "healthy", "", by="condition")


def test_similar_cell_types_have_like_markers(opened, folder):
    found = meta.similar(opened, "type 1", min_grade="").set_index("cell_type")
    tables = pd.concat([atlas.read(folder, "markers", name) for name in ("one", "two", "3")])
    tables["weighted"] = tables["effect"].astype(float) * tables["n_donors"]
    sums = tables.groupby(["cell_type", "mirna"])[["weighted", "n_donors"]].sum()
    profiles = (sums["weighted"] / sums["n_donors"]).unstack(0)  # noqa: PD010
    for name, row in found.iterrows():
        assert row["r"] == pytest.approx(profiles.corr().loc["type 1", name], abs=1e-5)
    assert found["r"].is_monotonic_decreasing
    assert found.loc["type 0", ["n_datasets", "n_donors", "shared", "n_mirnas"]].tolist() == [3, 9, 3, 24]
    graded = meta.similar(opened, "type 1", min_grade="A")
    assert (graded["n_mirnas"] == 8).all()


def test_the_network_of_a_mirna(opened, folder):
    found = links(opened, MIRNA, "type 1").set_index("gene")
    genes = pd.concat([atlas.read(folder, "genes", name).assign(dataset=name) for name in ("one", "two")])
    rows = pd.concat([atlas.read(folder, "mirna", name).assign(dataset=name) for name in ("one", "two")])
    unit = ["dataset", "donor"]
    level = rows[rows["mirna"] == MIRNA].pivot_table("predicted", unit, "cell_type")
    shift = level["type 1"] - level["type 0"]
    pairs = atlas.targets()
    assert set(found.index) == set(pairs.loc[pairs["mirna"] == MIRNA, "gene"]) & set(genes["gene"])
    for gene in found.index[:5]:
        own = genes[genes["gene"] == gene].pivot_table("expression", unit, "cell_type")
        difference = own["type 1"] - own["type 0"]
        row = found.loc[gene]
        assert row["expression"] == pytest.approx(own["type 1"].mean(), abs=1e-5)
        assert row["difference"] == pytest.approx(difference.mean(), abs=1e-5)
        assert row["mirna_difference"] == pytest.approx(shift.mean(), abs=1e-5)
        assert row["n_opposite"] == (difference * shift < 0).sum()
        assert (row["n_datasets"], row["n_donors"], row["n_compared"]) == (2, 6, 6)
    assert found["r"].isna().all()
    assert found["status"].str.contains("are too few").all()
    against = found["difference"] * np.sign(found["mirna_difference"])
    assert against.is_monotonic_increasing


def test_what_is_not_predicted_is_no_background_of_genes_either(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "store")
    silent = 'it\'s "type" 2; DROP TABLE mirna'
    for name in ("one", "two"):  # a third cell type whose genes are far from those of the others
        for table, value in (("mirna", "predicted"), ("genes", "expression")):
            frame = atlas.read(tmp_path / "store", table, name)
            extra = frame[frame["cell_type"] == "type 0"].assign(cell_type=silent)
            extra[value] += 5
            if table == "mirna":
                hidden = extra["donor"] == "d1"
                extra.loc[hidden, ["predicted", "lower", "upper", "fraction_above"]] = None
                extra.loc[hidden, "abstained"] = True
            path = atlas.file(tmp_path / "store", table, name)
            write_table(pd.concat([frame, extra]), table, path)
    with Atlas(tmp_path / "store") as changed:
        found = links(changed, MIRNA, "type 1").set_index("gene")
    unit = ["dataset", "donor"]
    levels = {}
    for table, value in (("mirna", "predicted"), ("genes", "expression")):
        frame = pd.concat(
            [atlas.read(tmp_path / "store", table, name).assign(dataset=name) for name in ("one", "two")]
        )
        frame = frame[~((frame["cell_type"] == silent) & (frame["donor"] == "d1"))]
        levels[table] = frame, value
    frame, value = levels["mirna"]
    own = frame[frame["mirna"] == MIRNA].pivot_table(value, unit, "cell_type")
    shift = own["type 1"] - own.drop(columns="type 1").mean(axis=1)
    frame, value = levels["genes"]
    for gene, row in found.iterrows():
        own = frame[frame["gene"] == gene].pivot_table(value, unit, "cell_type")
        difference = own["type 1"] - own.drop(columns="type 1").mean(axis=1)
        assert row["difference"] == pytest.approx(difference.mean(), abs=1e-5)
        assert row["mirna_difference"] == pytest.approx(shift.mean(), abs=1e-5)
        assert row["n_opposite"] == (difference * shift < 0).sum()


def test_with_enough_donors_the_network_has_correlations(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "store")
    rng = np.random.default_rng(0)
    for table in ("mirna", "genes"):  # eight donors in the place of three
        frame = atlas.read(tmp_path / "store", table, "one")
        frame = frame[frame["donor"] == "d0"]
        value = {"mirna": "predicted", "genes": "expression"}[table]
        many = [
            frame.assign(donor=f"d{i}", **{value: frame[value] + rng.normal(0, 0.3, len(frame))})
            for i in range(8)
        ]
        write_table(pd.concat(many), table, atlas.file(tmp_path / "store", table, "one"))
    with Atlas(tmp_path / "store") as many:
        found = links(many, MIRNA, "type 0").set_index("gene")
        levels = many.sql(
            "SELECT dataset, donor, gene, expression FROM genes WHERE cell_type = 'type 0' ORDER BY ALL"
        ).pivot_table("expression", ["dataset", "donor"], "gene")
        own = many.sql(
            "SELECT dataset, donor, predicted FROM mirna WHERE cell_type = 'type 0' AND mirna = $name",
            {"name": MIRNA},
        ).set_index(["dataset", "donor"])["predicted"]
    tested = found.index[found["r"].notna()]
    assert len(tested) > 3
    own = own[own.index.isin(levels.index)]
    within = own - own.groupby("dataset").transform("mean")
    for gene in tested[:5]:
        centred = levels[gene] - levels[gene].groupby("dataset").transform("mean")
        assert found.loc[gene, "r"] == pytest.approx(within.corr(centred), abs=1e-4)
    np.testing.assert_allclose(found.loc[tested, "q"], adjusted(found.loc[tested, "p"]))


# Files and the command


def test_stores_that_cannot_be_asked(tmp_path, folder):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ReadError, match="holds no data set. Add one by sicmir atlas add"):
        Atlas(tmp_path / "empty")
    shutil.copytree(folder, tmp_path / "store")
    atlas.file(tmp_path / "store", "mirna", "two").write_bytes(b"nothing")
    with pytest.raises(ReadError, match="look by sicmir atlas check"), Atlas(tmp_path / "store") as damaged:
        expression(damaged, MIRNA)
    atlas.file(tmp_path / "store", "mirna", "two").unlink()
    with pytest.raises(ReadError, match="look by sicmir atlas check"), Atlas(tmp_path / "store") as damaged:
        expression(damaged, MIRNA)


@pytest.mark.parametrize(
    ("what", "options", "told"),
    [
        ("nonsense", {}, "There is no question 'nonsense'"),
        ("markers", {}, "The question markers needs cell_type"),
        ("network", {"mirna": MIRNA}, "needs cell_type"),
        ("similar", {"cell_type": "type 0", "mirna": MIRNA}, "takes no mirna; it takes cell_type, min_grade"),
        ("expression", {"mirna": MIRNA, "min_grade": "B"}, "takes no min_grade; it takes mirna, cell_type"),
        ("expression", {"mirna": MIRNA, "reference": "normal"}, "takes no reference"),
        ("expression", {"mirna": MIRNA, "case": "flu", "fdr": 0.05}, "takes no case, fdr"),
        ("gene", {"gene": "A", "across": "random"}, "takes no across; it takes gene, by"),
        ("gene", {"gene": "A", "tissue": "skin"}, "takes no tissue"),
        (
            "markers",
            {"cell_type": "type 0", "by": ["tissue"]},
            "takes no by; it takes cell_type, min_grade, fdr",
        ),
        ("similar", {"cell_type": "type 0", "fdr": 0.05}, "takes no fdr"),
        ("similar", {"cell_type": "type 0", "across": "fixed"}, "takes no across"),
        ("network", {"mirna": MIRNA, "cell_type": "type 0", "min_grade": "A"}, "takes no min_grade"),
        ("network", {"mirna": MIRNA, "cell_type": "type 0", "by": ["donor"]}, "takes no by"),
        (
            "difference",
            {"case": "flu", "mirna": MIRNA},
            "takes no mirna; it takes case, reference, by, cell_type",
        ),
        ("difference", {"case": "flu", "dataset": "two"}, "takes no dataset"),
        ("markers", {"cell_type": "type 0", "min_grade": "NONSENSE"}, "min_grade should be one of"),
        ("similar", {"cell_type": "type 0", "min_grade": "NONSENSE"}, "min_grade should be one of"),
        ("difference", {"case": "flu", "min_grade": "NONSENSE"}, "min_grade should be one of"),
        ("markers", {"cell_type": "type 0", "fdr": 99}, "fdr should lie between 0 and 1; found 99"),
        ("difference", {"case": "flu", "fdr": 0.0}, "fdr should lie between 0 and 1"),
        ("markers", {"cell_type": "type 0", "fdr": float("nan")}, "fdr should lie between 0 and 1"),
        ("markers", {"cell_type": "type 0", "across": "mixed"}, "expected 'random' or 'fixed'"),
        ("markers", {"cell_type": " "}, "cell_type=' ': expected a name of the atlas; give one."),
        ("gene", {"gene": " "}, "gene=' ': expected a name"),
        (
            "expression",
            {"mirna": MIRNA, "tissue": ""},
            "tissue='': expected a name .*give one, or leave it out",
        ),
        ("difference", {"case": "flu", "reference": ""}, "reference='': expected a name"),
        ("difference", {"case": "flu", "by": []}, "by disease or by condition"),
        ("difference", {"case": "flu", "by": "tissue"}, "by='tissue': expected 'disease' or 'condition'"),
        ("expression", {"mirna": MIRNA, "by": []}, "expected some of cell_type, tissue"),
        ("difference", {"case": "flu", "by": ["disease", "condition"]}, "by disease or by condition"),
    ],
)
def test_questions_that_are_incomplete(folder, what, options, told):
    with pytest.raises(ParameterError, match=told):
        answer(what, folder=folder, **options)


def test_what_is_not_given_is_as_the_functions_have_it(folder, opened):
    for what, options, expected in (
        ("expression", {"mirna": MIRNA}, expression(opened, MIRNA)),
        ("expression", {"mirna": MIRNA, "by": "tissue"}, expression(opened, MIRNA, by=["tissue"])),
        ("markers", {"cell_type": "type 0"}, meta.markers(opened, "type 0")),
        ("markers", {"cell_type": "type 0", "min_grade": ""}, meta.markers(opened, "type 0", "")),
        ("difference", {"case": "flu"}, meta.difference(opened, "flu")),
        ("network", {"mirna": MIRNA, "cell_type": "type 1"}, links(opened, MIRNA, "type 1")),
    ):
        pd.testing.assert_frame_equal(answer(what, folder=folder, **options), expected)


def test_no_text_of_a_table_is_a_formula(tmp_path):
    texts = ["=1+1", "+1", "-x", "@SUM(A1)", "\t=1", "a=b", "", None, "T cell - CD4+"]
    table = pd.DataFrame({"cell_type": texts, "effect": np.arange(-4.0, 5.0), "n": range(-9, 0)})
    table["kind"] = pd.Categorical(["-0.5", *["B"] * 8])
    write_answer(table, tmp_path / "t.csv")
    with (tmp_path / "t.csv").open(newline="") as file:
        header, *rows = list(csv.reader(file))
    assert header == list(table)
    assert [row[0] for row in rows] == [
        *("'=1+1", "'+1", "'-x", "'@SUM(A1)", "'\t=1"),
        *("a=b", "", "", "T cell - CD4+"),
    ]
    assert [float(row[1]) for row in rows] == table["effect"].tolist()  # numbers stay numbers
    assert [row[2] for row in rows] == [str(n) for n in table["n"]]
    assert rows[0][3] == "'-0.5"  # a label, not a number
    write_answer(table, tmp_path / "t.parquet")
    assert pd.read_parquet(tmp_path / "t.parquet")["cell_type"].tolist() == texts


def test_tables_are_written(tmp_path):
    table = pd.DataFrame({"mirna": ["a", "b"], "mean": [1.5, np.nan]})
    for name in ("t.csv", "t.parquet"):
        write_answer(table, tmp_path / name)
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "t.csv"), table)
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "t.parquet"), table)
    with pytest.raises(ParameterError, match="written as .csv or .parquet"):
        write_answer(table, tmp_path / "t.xlsx")
    assert len(list(tmp_path.iterdir())) == 2


def call(folder, *arguments):
    return CliRunner().invoke(cli.app, ["atlas", "query", *arguments, "--store", str(folder)])


def test_the_command_asks_the_same(folder, opened, tmp_path):
    done = call(folder, "expression", "--mirna", MIRNA, "--by", "cell_type", "--out", str(tmp_path / "t.csv"))
    assert done.output == f"3 rows written to {tmp_path / 't.csv'}.\n"
    expected = expression(opened, MIRNA, by=["cell_type"])
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "t.csv"), expected, check_dtype=False)
    done = call(folder, "markers", "--cell-type", "type 0", "--rows", "3")
    assert done.exit_code == 0
    assert len(done.output.splitlines()) == 5
    assert done.output.endswith("21 more rows; --rows or --out.\n")
    for what, *options in (
        ("difference", "--case", "flu"),
        ("difference", "--case", "tumour", "--reference", "healthy", "--by", "condition"),
        ("markers", "--cell-type", "type 0", "--across", "fixed"),
        ("similar", "--cell-type", "type 0"),
        ("network", "--mirna", MIRNA, "--cell-type", "type 0"),
        ("gene", "--gene", atlas.targets()["gene"].iloc[0]),
    ):
        assert call(folder, what, *options).exit_code == 0
    done = call(folder, "markers")
    assert (done.exit_code, done.stderr) == (1, "sicmir: The question markers needs --cell-type.\n")
    assert call(folder, "nonsense").exit_code == 2
    for options, told in (
        (["--min-grade", "B"], "The question expression takes no --min-grade; it takes mirna, --cell-type"),
        (["--fdr", "0.05"], "takes no fdr"),
        (["--tissue", " "], "--tissue ' ': expected a name of the atlas; give one, or leave it out."),
    ):
        done = call(folder, "expression", "--mirna", MIRNA, *options)
        assert done.exit_code == 1
        assert told in done.stderr
