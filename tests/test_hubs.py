import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy.stats import false_discovery_control
from sklearn.metrics import roc_auc_score

from sicmir import panel
from sicmir.errors import DataError, ParameterError
from sicmir.networks import network
from sicmir.networks.hubs import hubs
from sicmir.synthetic.toy_network import planted_network, unrelated

FEW = {"n_permutations": 99, "n_bootstraps": 0, "progress": False}


@pytest.fixture(scope="module")
def planted():
    """Three cohorts of 20 donors; every second of 40 miRNAs is a hub, half of whose targets are right."""
    return planted_network(seed=1, n_donors=20, n_mirnas=40, n_genes=1800)


@pytest.fixture(scope="module")
def found(planted):
    mrna, mirna, targets = planted
    return hubs(mirna, mrna, targets, n_permutations=499, n_bootstraps=20, top=20, seed=1, progress=False)


def test_planted_hubs_are_recovered(planted, found):
    hub = planted[2].groupby("mirna")["hub"].first().loc[found.index].to_numpy()
    assert roc_auc_score(hub, found["z"]) >= 0.9
    called = (found["q"] <= 0.05).to_numpy()
    assert called[hub].mean() >= 0.9
    assert called[~hub].mean() <= 0.1
    assert found["rank"].tolist() == list(range(1, 41))
    assert found["top_share"][hub].mean() > 0.9 > 0.1 > found["top_share"][~hub].mean()
    assert found["top_share"].sum() == pytest.approx(20)


def test_degree_is_the_sum_of_the_edges(planted, found):
    mrna, mirna, targets = planted
    edges = network.edges(mirna, mrna, targets).groupby("mirna")
    np.testing.assert_allclose(found["degree"], edges["weight"].sum()[found.index], rtol=1e-4)
    assert (found["n_targets"] == edges.size()[found.index]).all()
    np.testing.assert_allclose(found["q"], false_discovery_control(found["p"]))
    assert found["p_draws"].min() == pytest.approx(1 / 500)
    assert (found["inflation"] >= 1).all()
    assert (found["p"] >= found["p_draws"])[found["degree"] > found["expected"]].all()


def test_weights_of_the_table_count(planted):
    mrna, mirna, targets = planted
    weighted = targets.assign(weight=np.where(targets["true"], 1.0, 1e-6))
    found = hubs(mirna, mrna, weighted, **FEW)
    edges = network.edges(mirna, mrna, weighted)
    np.testing.assert_allclose(
        found["degree"], edges.groupby("mirna")["weight"].sum()[found.index], rtol=1e-4
    )


def test_effect_is_a_regression_on_the_mean_of_the_targets(planted):
    """With all genes in one bin, the profile is the mean of standardised targets less that of all genes."""
    mrna, mirna, _ = planted
    names = mirna.var_names[:4]
    genes = mrna.var_names[1000:1040]
    rng = np.random.default_rng(3)
    few = pd.concat(
        [pd.DataFrame({"mirna": name, "gene": rng.choice(genes, 10, replace=False)}) for name in names]
    )
    found = hubs(mirna, mrna[:, genes], few, background="all", **FEW)
    design = pd.get_dummies(mirna.obs["cohort"], dtype=float).to_numpy()
    y = mrna[:, genes].to_df().astype(float)
    rest = y - design @ np.linalg.lstsq(design, y, rcond=None)[0]
    unit = rest / np.sqrt((rest**2).sum())
    for name in names:
        own = unit[few.loc[few["mirna"] == name, "gene"]]
        profile = own.mean(axis=1) - unit.mean(axis=1)
        fit = sm.OLS(profile, np.column_stack([mirna.to_df()[name].astype(float), design])).fit()
        t = fit.tvalues.iloc[0]
        r = t / np.sqrt(t**2 + fit.df_resid)
        assert found.loc[name, "r_targets"] == pytest.approx(r, rel=1e-3)
        drawn = np.array([unit.to_numpy()[:, rng.permutation(40)[:10]].mean(axis=1) for _ in range(3000)])
        drawn -= unit.mean(axis=1).to_numpy()
        # The variance over donors of what regression on the miRNA leaves, of the targets and of draws.
        left = sm.OLS(np.vstack([profile, drawn]).T, fit.model.exog).fit().resid
        size = np.square(np.asarray(left)).sum(axis=0)
        assert found.loc[name, "inflation"] == pytest.approx(max(1, size[0] / size[1:].mean()), rel=0.05)


def test_targets_that_go_together_are_no_hub_by_chance():
    """Draws of independent genes would call far more than 5 % of miRNAs of other donors."""
    found = []
    for seed in range(4):
        mrna, mirna, targets = planted_network(
            seed, 10, n_mirnas=40, n_genes=1800, true_share=0, together=1.0
        )
        found.append(hubs(unrelated(mirna, seed), mrna, targets, seed=seed, **FEW))
    found = pd.concat(found)
    assert found["inflation"].median() > 2
    assert (found["p_draws"] <= 0.05).mean() > 0.12
    assert (found["p"] <= 0.05).mean() < 0.09


def test_the_same_seed_gives_the_same_table(planted):
    mrna, mirna, targets = planted
    options = {"n_permutations": 50, "n_bootstraps": 3, "progress": False}
    first, again, other = (hubs(mirna, mrna, targets, seed=s, **options) for s in (4, 4, 5))
    pd.testing.assert_frame_equal(first, again)
    assert not first["p"].equals(other["p"])


def test_untrusted_mirnas_are_listed_last_and_never_counted(planted):
    mrna, mirna, targets = planted
    graded = mirna.copy()
    graded.var["grade"] = ["D", "A"] * 20  # the hubs are not trusted
    found = hubs(graded, mrna, targets, **FEW)
    bad = found["grade"] == "D"
    assert bad.sum() == 20
    assert found.loc[bad, ["degree", "z", "p", "q", "pagerank"]].isna().all(axis=None)
    assert found["rank"].tolist()[:20] == list(range(1, 21))
    assert found["rank"].isna().tolist() == [False] * 20 + [True] * 20
    left = hubs(mirna[:, 1::2], mrna, targets[~targets["hub"]], **FEW)
    assert found.loc[left.index, "degree"].to_numpy() == pytest.approx(left["degree"].to_numpy())


def test_small_target_sets_are_not_ranked(planted):
    mrna, mirna, targets = planted
    name = targets["mirna"].iloc[0]
    fewer = targets.drop(targets.index[targets["mirna"] == name][4:])
    found = hubs(mirna, mrna, fewer, **FEW)
    assert np.isnan(found.loc[name, "p"])
    assert found.index[-1] == name
    assert found.loc[name, "n_targets"] == 4
    assert hubs(mirna, mrna, fewer, min_targets=4, **FEW).loc[name, "p"] > 0


def test_a_family_is_named(planted):
    mrna, mirna, targets = planted
    real = panel.mirnas().query("name == 'hsa-miR-17-5p'")
    renamed = mirna.copy()
    renamed.var_names = ["hsa-miR-17-5p", *mirna.var_names[1:]]
    renamed.uns["sicmir"]["level"] = "mature"
    table = targets.replace({"mirna": {mirna.var_names[0]: "hsa-miR-17-5p"}})
    found = hubs(renamed, mrna, table, **FEW)
    assert found.loc["hsa-miR-17-5p", "family"] == real["family"].item()
    assert (found.drop("hsa-miR-17-5p")["family"] == "").all()


def test_bad_options_are_refused_before_anything_long(planted):
    mrna, mirna, targets = planted
    for options, match in (
        ({"n_permutations": 10}, "n_permutations should be a whole number of at least 19"),
        ({"n_permutations": 99.5}, "whole number"),
        ({"seed": -1}, "seed should be a whole number of at least 0"),
        ({"n_bootstraps": -1}, "n_bootstraps"),
        ({"top": 0}, "top should"),
        ({"min_targets": 0}, "min_targets"),
        ({"background": "genome"}, "background should be"),
    ):
        with pytest.raises(ParameterError, match=match):
            hubs(mirna, mrna, targets, **options)
    with pytest.raises(DataError, match="No counted miRNA has 5000 tested targets; the most is"):
        hubs(mirna, mrna, targets, min_targets=5000)
    one = targets[targets["mirna"] == mirna.var_names[0]]
    with pytest.raises(DataError, match='no genes to put in place.*background="all"'):
        hubs(mirna, mrna, one, **FEW)
    assert np.isfinite(hubs(mirna, mrna, one, background="all", **FEW)["p"]).all()
