import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy.stats import ks_2samp

from sicmir import metrics, panel, toy
from sicmir.benchmark import baselines
from sicmir.errors import ParameterError
from sicmir.learning import splits
from sicmir.learning.methods import cross_predict


@pytest.fixture(scope="module")
def paired():
    return toy.paired_bulk()


@pytest.fixture(scope="module")
def truth(paired):
    return paired[1].uns["truth"]


@pytest.fixture(scope="module")
def deviation(paired):
    """Values minus the cohort mean, mRNA and miRNA."""
    return [a.to_df() - a.to_df().groupby(a.obs["cohort"].to_numpy()).transform("mean") for a in paired]


def test_it_looks_like_a_real_paired_set(paired):
    mrna, mirna = paired
    pd.testing.assert_frame_equal(mrna.obs, mirna.obs)
    assert mrna.var_names[:977].tolist() == panel.landmarks()["symbol"].tolist()
    assert mrna.var_names[977:].str.fullmatch(r"TOY\d{4}").all()
    assert mirna.var_names.str.fullmatch(r"toy-miR-\d{3}").all()
    for adata in paired:
        assert adata.X.dtype == np.float32
        assert adata.X.min() >= 0
        assert np.isfinite(adata.X).all()
        assert adata.uns["sicmir"]["synthetic"] is True
        assert (adata.obs_names == adata.obs["donor"] + "-" + adata.obs["sample_type"]).all()
    types = pd.crosstab(mrna.obs["condition"], mrna.obs["sample_type"])
    assert types.to_dict() == {"01": {"normal": 0, "tumour": 300}, "11": {"normal": 45, "tumour": 0}}
    tumours = set(mrna.obs.query("condition == 'tumour'")["donor"])
    assert set(mrna.obs.query("condition == 'normal'")["donor"]) < tumours
    assert mrna.obs[["donor", "cohort"]].drop_duplicates()["donor"].is_unique
    mapped = panel.align(mrna)
    np.testing.assert_array_equal(mapped.X, mrna.X[:, :977])


def test_the_seed_decides_everything():
    small = {"n_donors": 5, "n_cohorts": 2, "n_genes": 980, "n_mirnas": 12}
    one, same, other = (toy.paired_bulk(**small, seed=seed) for seed in (4, 4, 5))
    for a, b, c in zip(one, same, other, strict=True):
        np.testing.assert_array_equal(a.X, b.X)
        assert not np.array_equal(a.X, c.X)
    for key, table in one[1].uns["truth"].items():
        pd.testing.assert_frame_equal(table, same[1].uns["truth"][key])


def test_it_survives_a_file(paired, tmp_path):
    for adata in paired:
        adata.copy().write_h5ad(tmp_path / "toy.h5ad")
        again = ad.read_h5ad(tmp_path / "toy.h5ad")
        np.testing.assert_array_equal(again.X, adata.X)
        for key in adata.uns.get("truth", {}):
            pd.testing.assert_frame_equal(
                again.uns["truth"][key], adata.uns["truth"][key], check_index_type=False
            )


def test_the_host_gene_is_the_landmark_that_correlates_best(truth, deviation):
    hosted = truth["mirnas"].query("kind == 'host' and predictable > 0.7")
    assert len(hosted) > 15
    genes = deviation[0].iloc[:, :977]
    r = np.corrcoef(genes, deviation[1][hosted.index], rowvar=False)[:977, 977:]
    best = genes.columns[r.argmax(axis=0)]
    assert (best == hosted["host_gene"]).mean() > 0.9


def test_predictable_is_the_share_that_the_host_explains(truth, deviation):
    hosted = truth["mirnas"].query("kind == 'host'")
    for name, row in hosted.head(20).iterrows():
        if deviation[1][name].std() > 0.95:  # not cut by the detection limit
            r = deviation[0][row["host_gene"]].corr(deviation[1][name])
            assert r**2 == pytest.approx(row["predictable"], abs=0.12)


def test_targets_fall_where_their_mirna_is_high_and_other_genes_do_not(truth, deviation):
    targets = truth["targets"]
    assert not targets["gene"].isin(panel.landmarks()["symbol"]).any()
    assert truth["mirnas"]["n_targets"].sum() == len(targets)
    noise = targets[targets["mirna"].isin(truth["mirnas"].query("kind in ('cohort', 'none')").index)]
    r = [deviation[1][m].corr(deviation[0][g]) for m, g in zip(noise["mirna"], noise["gene"], strict=True)]
    rng = np.random.default_rng(0)
    others = rng.choice(deviation[0].columns[:977], len(noise))
    null = [deviation[1][m].corr(deviation[0][g]) for m, g in zip(noise["mirna"], others, strict=True)]
    assert np.median(r) < -0.2
    assert abs(np.median(null)) < 0.03
    assert ks_2samp(r, null, alternative="greater").pvalue < 1e-10


def test_cohort_means_are_the_means(paired, truth):
    mirna = paired[1]
    high = truth["cohort_means"].index[truth["cohort_means"].min(axis=1) > 5]
    found = mirna.to_df()[high].groupby(mirna.obs["cohort"].to_numpy()).mean().T
    np.testing.assert_allclose(found, truth["cohort_means"].loc[high], atol=1e-3)


def test_methods_find_what_is_planted_and_nothing_else(truth):
    mrna, mirna = toy.paired_bulk(n_donors=35, n_cohorts=4, n_genes=977, n_mirnas=80, seed=2)
    truth = mirna.uns["truth"]["mirnas"]
    assert (truth["n_targets"] == 0).all()
    folds = splits.donor_folds(mrna.obs, 4)
    tables = {}
    for name in ("ridge", "shuffled"):
        predicted = cross_predict(
            baselines.CONTROLS[name], mrna.X, mirna.to_df(), mrna.obs, folds, progress=False
        )
        table = metrics.per_mirna(mirna.to_df(), predicted, mirna.obs["cohort"])
        tables[name] = table.groupby(truth["kind"])[["pearson", "pearson_within"]].median()
    ridge = tables["ridge"]
    assert ridge.loc["programme", "pearson_within"] > 0.65
    assert ridge.loc["host", "pearson_within"] > 0.35
    # Simpson's paradox: the pooled figure is high, within a cohort there is nothing to be found.
    assert ridge.loc["cohort", "pearson"] > 0.6
    assert abs(ridge.loc["cohort", "pearson_within"]) < 0.12
    assert abs(ridge.loc["none", "pearson"]) < 0.15
    assert tables["shuffled"].abs().max(axis=None) < 0.2


def test_names_on_request_are_the_first_and_well_expressed():
    names = ["hsa-mir-122", "hsa-mir-21"]
    _, mirna = toy.paired_bulk(
        n_donors=6, n_cohorts=2, n_mirnas=12, mirna_names=names, level="stem-loop", seed=9
    )
    assert mirna.var_names[:3].tolist() == [*names, "toy-miR-003"]
    assert mirna.n_vars == 12
    assert metrics.detected(mirna[:, names].X).all()
    assert (mirna.uns["truth"]["mirnas"].loc[names, "kind"] == "host").all()
    assert mirna.uns["sicmir"]["level"] == "stem-loop"
    assert mirna.uns["sicmir"]["synthetic"] is True


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"n_genes": 976}, "n_genes should be at least 977"),
        ({"n_donors": 2}, "n_donors should be at least 3; found 2"),
        ({"n_cohorts": 0}, "n_cohorts"),
        ({"n_mirnas": 9}, "n_mirnas"),
        ({"n_programmes": 0}, "n_programmes"),
        ({"normal_fraction": 1.5}, "normal_fraction"),
        ({"predictable": (0.9, 0.5)}, "predictable should be two ascending"),
        ({"repression": -1}, "repression"),
        ({"level": "hairpin"}, "'mature' or 'stem-loop'"),
        ({"mirna_names": ["a", "a"]}, "unique"),
        ({"mirna_names": [f"m{i}" for i in range(13)], "n_mirnas": 12}, "at most n_mirnas = 12; found 13"),
        ({"n_mirnas": 4000}, "host genes are needed"),
    ],
)
def test_bad_options_are_refused(option, message):
    with pytest.raises(ParameterError, match=message):
        toy.paired_bulk(**option)
