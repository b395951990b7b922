import anndata as ad
import networkx as nx
import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy import sparse
from scipy.stats import false_discovery_control

from sicmir import toy
from sicmir.donors.partial_correlation import MIN_DF
from sicmir.errors import DataError, PanelError, ParameterError
from sicmir.networks import network
from sicmir.networks.network_input import profiles


@pytest.fixture(scope="module")
def pair():
    """Two cohorts of 20 donors, tumours only, with 120 genes outside the panel; and the planted targets."""
    mrna, mirna = toy.paired_bulk(20, 2, 1097, 20, normal_fraction=0, seed=2)
    targets = mirna.uns["truth"]["targets"][["mirna", "gene"]].reset_index(drop=True)
    return mrna, mirna, targets


def test_edges_are_regressions_within_cohorts(pair):
    mrna, mirna, targets = pair
    age = np.random.default_rng(0).normal(60, 9, mirna.n_obs)
    mirna = mirna.copy()
    mirna.obs["age"] = age
    order = np.random.default_rng(1).permutation(mrna.n_obs)
    found = network.edges(mirna, mrna[order], targets, covariates=("age",))
    assert found[["mirna", "gene"]].equals(targets)
    design = np.column_stack([pd.get_dummies(mirna.obs["cohort"], dtype=float), age])
    x, y = mirna.to_df().astype(float), mrna.to_df().astype(float)
    for row in found.iloc[::9].itertuples():
        fit = sm.OLS(y[row.gene], np.column_stack([x[row.mirna], design])).fit()
        assert row.df == fit.df_resid == 40 - 3 - 1
        assert row.n == 40
        t = row.r * np.sqrt(row.df / (1 - row.r**2))
        assert t == pytest.approx(fit.tvalues.iloc[0], rel=1e-3)
        assert row.weight == pytest.approx(max(0, -np.arctanh(row.r)), abs=1e-5)
    np.testing.assert_allclose(found["q"], false_discovery_control(found["p"]))
    assert (found["q"] < 0.05).mean() > 0.5  # these targets were planted


def test_sparse_data_give_the_same_edges(pair):
    mrna, mirna, targets = pair
    packed = mrna.copy()
    packed.X = sparse.csr_matrix(packed.X)
    pd.testing.assert_frame_equal(network.edges(mirna, packed, targets), network.edges(mirna, mrna, targets))


def test_samples_of_a_donor_count_once():
    """With a normal sample beside the tumour of half the donors, n is still the number of donors."""
    mrna, mirna = toy.paired_bulk(20, 2, 1017, 20, normal_fraction=0.5, seed=3)
    targets = mirna.uns["truth"]["targets"][["mirna", "gene"]]
    with pytest.raises(DataError, match="20 donors have samples of several conditions"):
        network.edges(mirna, mrna, targets)
    found = network.edges(mirna, mrna, targets, covariates=("condition",))
    assert (found["n"] == 40).all()
    assert (found["df"] == 40 - 3 - 1).all()
    row = found.iloc[0]
    tables = [a.to_df().astype(float).groupby(mirna.obs["donor"]).mean() for a in (mirna, mrna)]
    design = (
        pd.get_dummies(mirna.obs[["cohort", "condition"]], dtype=float).groupby(mirna.obs["donor"]).mean()
    )
    design = design.drop(columns="condition_normal")
    fit = sm.OLS(tables[1][row["gene"]], design.assign(x=tables[0][row["mirna"]])).fit()
    assert row["p"] == pytest.approx(
        fit.pvalues["x"] / 2 if fit.tvalues["x"] < 0 else 1 - fit.pvalues["x"] / 2, rel=1e-3
    )


def test_copies_of_samples_buy_nothing(pair):
    mrna, mirna, targets = pair
    twice = [ad.concat([adata, adata], index_unique="-", keys=["a", "b"]) for adata in (mirna, mrna)]
    columns = ["n", "df", "r", "p"]
    pd.testing.assert_frame_equal(
        network.edges(*twice, targets)[columns],
        network.edges(mirna, mrna, targets)[columns],
        check_exact=False,
        rtol=1e-4,
    )


def test_nothing_is_dropped_silently(pair):
    mrna, mirna, _ = pair
    mrna, mirna = mrna.copy(), mirna.copy()
    names = mrna.var_names.to_numpy(dtype=object).copy()
    names[-8:-4] = ["BMAL1", "ARNTL", "CSNK2A3", "SEPT7"]
    mrna.var_names = names
    mrna.X[:, -1] = 3.0
    mrna.X[0, -2] = np.nan
    mrna.X[:, -3] = (mirna.obs["cohort"] == "TOYA").to_numpy() * 2.0
    mirna.X[:, 3] = 1.0
    mirna.X[10:, 4] = np.nan
    m = mirna.var_names
    rows = {
        (m[0], names[977]): "tested",
        (m[0], names[-1]): "gene constant within groups",
        (m[0], names[-2]): "gene not measured in all samples",
        (m[0], names[-3]): "gene constant within groups",
        (m[0], "ARNTL"): "tested",
        (m[0], "BMAL1"): "same pair under another name",
        (m[0], "SEPTIN7"): "tested",
        (m[0], "PSME1"): "landmark",
        (m[0], "NOWHERE"): "gene not measured",
        ("toy-miR-999", names[978]): "miRNA not there",
        (m[3], names[978]): "miRNA constant or in too few donors",
    }
    found = network.edges(mirna, mrna, pd.DataFrame(list(rows), columns=["mirna", "gene"]))
    assert found["status"].tolist() == list(rows.values())
    assert found["p"].notna().tolist() == [status == "tested" for status in rows.values()]
    assert found.loc[4, "gene"] == "BMAL1"
    # The column under the current symbol is the one that is used.
    alone = network.edges(mirna, mrna[:, names != "ARNTL"], found[["mirna", "gene"]][4:5])
    assert alone["r"].item() == pytest.approx(found["r"][4])
    few = network.edges(mirna, mrna, pd.DataFrame({"mirna": m[[0, 4]], "gene": names[978]}))
    assert few["n"].tolist() == [40, 10]
    assert few["df"].tolist() == [37, 8]


def test_landmarks_are_scored_only_on_demand(pair):
    mrna, mirna, _ = pair
    targets = pd.DataFrame({"mirna": mirna.var_names[:2], "gene": ["PSME1", mrna.var_names[980]]})
    assert network.edges(mirna, mrna, targets)["status"].tolist() == ["landmark", "tested"]
    assert (network.edges(mirna, mrna, targets, outside_panel=False)["status"] == "tested").all()
    with pytest.raises(DataError, match=r"None of 1 targets can be tested: landmark \(1\)"):
        network.edges(mirna, mrna, targets[:1])


def test_untrusted_mirnas_are_shown_and_not_counted(pair):
    mrna, mirna, targets = pair
    graded = mirna.copy()
    graded.var["grade"] = ["A", "D"] * 10
    found = network.edges(graded, mrna, targets, min_grade="B")
    bad = found["mirna"].isin(mirna.var_names[1::2])
    assert found.loc[bad, "q"].isna().all()
    assert found.loc[bad, "p"].notna().all()
    assert (found["counted"] == ~bad).all()
    np.testing.assert_allclose(found.loc[~bad, "q"], false_discovery_control(found.loc[~bad, "p"]))
    drawn = network.graph(found)
    assert not set(drawn) & set(mirna.var_names[1::2])
    assert (network.edges(graded, mrna, targets, min_grade="")["counted"]).all()
    graded.var["grade"] = "D"
    with pytest.raises(DataError, match="None of 20 miRNAs has the grade B"):
        network.edges(graded, mrna, targets)
    ungraded = mirna.copy()
    ungraded.uns["sicmir"] = {"modality": "prediction"}
    with pytest.raises(ParameterError, match="no grades"):
        network.edges(ungraded, mrna, targets)
    assert network.edges(ungraded, mrna, targets, min_grade="")["counted"].all()


def test_abstained_samples_are_left_out(pair):
    mrna, mirna, targets = pair
    holes = mirna.copy()
    holes.X[[0, 25]] = np.nan
    kept = np.delete(np.arange(40), [0, 25])
    pd.testing.assert_frame_equal(
        network.edges(holes, mrna, targets), network.edges(mirna[kept], mrna[kept], targets)
    )
    holes.X[:] = np.nan
    with pytest.raises(DataError, match="all are NaN"):
        network.edges(holes, mrna, targets)


def test_levels_are_never_mixed(pair):
    mrna, mirna, _ = pair
    stem = mirna[:, :2].copy()
    stem.var_names = ["hsa-mir-21", "hsa-mir-155"]
    stem.uns["sicmir"] = {"level": "stem-loop"}
    targets = pd.DataFrame({"mirna": ["hsa-miR-21-5p"], "gene": [mrna.var_names[980]]})
    with pytest.raises(PanelError, match="stem-loop level, the targets at mature level.*to_stem_loops"):
        network.edges(stem, mrna, targets)
    del stem.uns["sicmir"]
    with pytest.raises(PanelError, match="stem-loop level"):
        network.edges(stem, mrna, targets)
    assert network.edges(stem, mrna, targets.assign(mirna="hsa-mir-21"))["status"].item() == "tested"
    mature = stem.copy()
    mature.var_names = ["hsa-miR-21-5p", "hsa-miR-155-5p"]
    with pytest.raises(PanelError, match="name the arm"):
        network.edges(mature, mrna, targets.assign(mirna="hsa-mir-21"))


def test_bad_input_is_refused_before_anything_long(pair):
    mrna, mirna, targets = pair

    def refused(error, match, mirna=mirna, mrna=mrna, targets=targets, **options):
        with pytest.raises(error, match=match):
            network.edges(mirna, mrna, targets, **options)

    def changed(column, values):
        copy = mirna.copy()
        copy.obs[column] = values
        return copy

    refused(ParameterError, "no column 'cell_type'", group_key="cell_type")
    refused(ParameterError, "no column 'age'", covariates=("age",))
    refused(ParameterError, "min_grade", mirna=mirna_with_grades(mirna), min_grade="Z")
    refused(DataError, "1 donors .* are too few", mirna=changed("donor", "x"), mrna=without(mrna, "donor"))
    refused(DataError, "40 samples have no cohort", mirna=changed("cohort", ""), mrna=without(mrna, "cohort"))
    refused(DataError, "'cohort' differs", mirna=changed("cohort", "other"))
    refused(DataError, "same samples: 1 are in one of them only", mirna=mirna[1:])
    refused(DataError, "None of 2 targets can be tested", targets=targets[:2].assign(mirna=["x", "y"]))
    refused(DataError, "None of 2 targets can be tested", targets=targets[:2].assign(gene=["x", "y"]))
    refused(DataError, "occur twice", targets=pd.concat([targets, targets]))
    infinite = mirna.copy()
    infinite.X[0, 0] = np.inf
    refused(DataError, "infinite", mirna=infinite)
    for what in ("mirna", "mrna"):
        linear = {"mirna": mirna, "mrna": mrna}[what].copy()
        linear.X = 2**linear.X - 1
        refused(DataError, "Take the logarithm first", **{what: linear})
    negative = mirna.copy()
    negative.X = negative.X - negative.X.mean()
    refused(DataError, "Take the logarithm first", mirna=negative)
    few = slice(20 - MIN_DF // 2, 20 + MIN_DF // 2 + 3)
    assert mirna[few].n_obs == 2 + MIN_DF
    refused(DataError, f"at least {MIN_DF} are needed, that is 8 donors", mirna=mirna[few], mrna=mrna[few])


def without(adata, column):
    copy = adata.copy()
    del copy.obs[column]
    return copy


def mirna_with_grades(mirna):
    copy = mirna.copy()
    copy.var["grade"] = "A"
    return copy


def test_groups_of_one_donor_and_unused_groups_change_nothing(pair):
    mrna, mirna, targets = pair
    lone = mirna.copy()
    labels = lone.obs["cohort"].astype(str).to_numpy().copy()
    labels[0] = "ALONE"
    lone.obs["group"] = pd.Categorical(labels, categories=["ALONE", "TOYA", "TOYB", "EMPTY"])
    found = network.edges(lone, mrna, targets, group_key="group")
    without_it = network.edges(mirna[1:], mrna[1:], targets)
    assert (found["df"] == without_it["df"]).all()
    np.testing.assert_allclose(found["p"], without_it["p"], rtol=1e-3)


def test_profiles_hold_what_is_used(pair):
    mrna, mirna, targets = pair
    made = profiles(mirna, mrna, targets)
    assert len(made.donors) == 40
    assert not set(made.genes) & set(mrna.var_names[:977])
    assert made.genes[made.gene_place].tolist() == targets["gene"].tolist()
    assert made.mirnas[made.mirna_place].tolist() == targets["mirna"].tolist()
    assert np.unique(made.strata).size == 2


def test_graph_holds_the_edges_below_the_rate(pair):
    mrna, mirna, targets = pair
    table = network.edges(mirna, mrna, targets.assign(evidence="planted"))
    made = network.graph(table, fdr=0.01)
    kept = table[table["q"] <= 0.01]
    assert made.number_of_edges() == len(kept)
    assert nx.is_bipartite(made)
    row = kept.iloc[0]
    assert made.edges[row["mirna"], row["gene"]] == {
        "weight": row["weight"],
        "r": row["r"],
        "q": row["q"],
        "evidence": "planted",
    }
    assert made.nodes[row["mirna"]]["kind"] == "mirna"
    for fdr in (0, 1):
        with pytest.raises(ParameterError, match="between 0 and 1"):
            network.graph(table, fdr)
    with pytest.raises(DataError, match="No edge has q"):
        network.graph(table.assign(q=0.5))
    with pytest.raises(DataError, match="is a miRNA and a gene"):
        network.graph(table.assign(gene=table["mirna"]))
