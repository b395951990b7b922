import sys

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy import sparse
from scipy.stats import linregress
from sklearn.cross_decomposition import PLSRegression
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.model_selection import GroupKFold
from sklearn.neighbors import KNeighborsRegressor

import sicmir
from sicmir import metrics, panel
from sicmir.benchmark import rivals
from sicmir.benchmark.rivals import RIVALS, Blockwise, HostGene
from sicmir.errors import DataError, ParameterError
from sicmir.learning import splits
from sicmir.learning.methods import cross_predict

READ_LANDMARKS = [name for name, method in RIVALS.items() if not method.needs]


@pytest.fixture(scope="module")
def linear():
    """120 samples of 60 donors in two cohorts; 30 genes, of which 3 drive each of 8 miRNAs."""
    rng = np.random.default_rng(0)
    donor = [f"D{i % 60}" for i in range(120)]
    obs = pd.DataFrame({"donor": donor, "cohort": [f"C{int(d[1:]) % 2}" for d in donor]})
    X = rng.normal(8, 1, size=(120, 30))
    weights = np.zeros((30, 8))
    for column in range(8):
        weights[rng.choice(30, 3, replace=False), column] = rng.normal(size=3)
    return X, X @ weights + 0.3 * rng.normal(size=(120, 8)), obs


@pytest.fixture(scope="module")
def standardised(linear):
    X, Y, obs = linear
    return (X - X.mean(axis=0)) / X.std(axis=0), (Y - Y.mean(axis=0)) / Y.std(axis=0), obs


def skip_without_xgboost(name):
    if name == "mirscape":
        pytest.importorskip("xgboost", reason="THE EXTRA benchmark IS ABSENT: miRSCAPE was not tested")


def median_within(name, pair, mirnas):
    mrna, mirna = pair
    method, obs = RIVALS[name], mirna.obs
    X = rivals.inputs(method, panel.align(mrna).to_df(), mrna, mirna[:, mirnas])
    Y = mirna.to_df()[mirnas]
    predicted = cross_predict(method, X, Y, obs, splits.donor_folds(obs, 3), progress=False)
    return metrics.per_mirna(Y, predicted, obs["cohort"])["pearson_within"].median()


@pytest.mark.parametrize("name", READ_LANDMARKS)
def test_rivals_predict_what_can_be_predicted_and_nothing_else(name):
    skip_without_xgboost(name)
    rng = np.random.default_rng(6)
    factors = rng.normal(size=(180, 2))
    X = factors @ rng.normal(size=(2, 40)) + 0.5 * rng.normal(size=(180, 40))
    follows = factors @ np.array([[1.0, -1.0, 2.0, 0.5], [1.0, 1.0, -0.5, 2.0]])
    Y = np.hstack([follows + 0.5 * rng.normal(size=follows.shape), rng.normal(size=(180, 6))])
    donor = [f"D{i % 90}" for i in range(180)]
    obs = pd.DataFrame({"donor": donor, "cohort": ["C0", "C1"] * 90})
    Y += 3.0 * (obs[["cohort"]] == "C1").to_numpy()  # a cohort mean is no success
    predicted = cross_predict(RIVALS[name], X, Y, obs, splits.donor_folds(obs, 3), progress=False)
    r = metrics.per_mirna(Y, predicted.to_numpy(), obs["cohort"])["pearson_within"]
    assert r[:4].min() > 0.45
    assert r[4:].abs().median() < 0.2


@pytest.mark.parametrize("name", READ_LANDMARKS)
def test_a_mirna_is_learnt_from_the_samples_that_measured_it(name, linear):
    skip_without_xgboost(name)
    X, Y, obs = linear
    gaps = Y.copy()
    half = (obs["cohort"] == "C0").to_numpy()
    gaps[~half, :2] = np.nan
    gaps[19:, 2] = np.nan
    gaps[:, 3] = np.nan
    gaps[~np.isin(obs["donor"], ["D0", "D2", "D4", "D6"]), 4] = np.nan
    make = RIVALS[name].make
    wide = np.hstack([X, X]) if name == "imirage" else X
    found = make(0).fit(wide, gaps, obs).predict(wide, obs)
    assert np.isnan(found[:, 2:5]).all()
    assert np.isfinite(found[:, [0, 1, 5, 6, 7]]).all()
    rest = make(0).fit(wide, Y[:, 5:], obs).predict(wide, obs)
    np.testing.assert_array_equal(found[:, 5:], rest)
    if RIVALS[name].make(0).transform == "rank":  # else the inputs are scaled by all samples
        alone = make(0).fit(wide[half], Y[half, :2], obs[half]).predict(wide, obs)
        np.testing.assert_allclose(found[:, :2], alone, atol=1e-5)


@pytest.mark.parametrize("name", READ_LANDMARKS)
def test_a_seed_gives_the_same_values_and_missing_genes_are_taken(name, linear):
    skip_without_xgboost(name)
    X, Y, obs = linear
    holes = np.where(np.random.default_rng(1).random(X.shape) < 0.2, np.nan, X)
    first, second = (RIVALS[name].make(3).fit(holes, Y, obs).predict(holes, obs) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert first.dtype == np.float32
    assert np.isfinite(first).all()


def test_knn_is_a_weighted_mean_of_neighbours(linear):
    X, Y, obs = linear
    found = Blockwise(rivals.learn_knn).fit(X[20:], Y[20:], obs[20:]).predict(X[:20], obs[:20])
    scaled = (X - X[20:].mean(axis=0)) / X[20:].std(axis=0)
    for i in range(20):
        distance = np.linalg.norm(scaled[20:] - scaled[i], axis=1)
        near = np.argsort(distance)[:10]
        expected = np.average(Y[20:][near], axis=0, weights=1 / distance[near])
        np.testing.assert_allclose(found[i], expected, rtol=1e-4)


def test_imirage_takes_50_neighbours_over_the_genes_that_correlate(standardised):
    Z, Y, obs = standardised
    donor = pd.factorize(obs["donor"])[0]
    found = rivals.learn_imirage(Z[:90], Y[:90], donor[:90], n_genes=7)(Z[90:])
    for j in range(Y.shape[1]):
        r = [abs(np.corrcoef(Z[:90, g], Y[:90, j])[0, 1]) for g in range(Z.shape[1])]
        genes = np.argsort(r)[-7:]
        expected = KNeighborsRegressor(50).fit(Z[:90, genes], Y[:90, j]).predict(Z[90:, genes])
        np.testing.assert_allclose(found[:, j], expected, atol=1e-9)
    constant = Z.copy()
    constant[:, 0] = 0.0
    assert np.isfinite(rivals.learn_imirage(constant, Y, donor)(constant)).all()


def test_pls_is_that_of_a_grid_search_over_donor_folds(standardised):
    Z, Y, obs = standardised
    donor = pd.factorize(obs["donor"])[0]
    sizes = (1, 2, 4)
    errors = dict.fromkeys(sizes, 0.0)
    for size in sizes:
        for train, test in GroupKFold(5).split(Z, groups=donor):
            model = PLSRegression(size, scale=False, max_iter=5000).fit(Z[train], Y[train])
            errors[size] += ((model.predict(Z[test]) - Y[test]) ** 2).sum()
    best = min(errors, key=errors.get)
    expected = PLSRegression(best, scale=False, max_iter=5000).fit(Z, Y).predict(Z)
    found = rivals.learn_pls(Z, Y, donor, n_components=sizes)(Z)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_the_forest_is_that_of_scikit_learn_on_standardised_values(linear, standardised):
    X, Y, obs = linear
    Z, T, _ = standardised
    found = RIVALS["forest"].make(5).fit(X, Y, obs).predict(X, obs)
    forest = ExtraTreesRegressor(200, max_features=1 / 3, min_samples_leaf=3, random_state=5)
    expected = forest.fit(Z.astype(np.float32), T).predict(Z.astype(np.float32))
    np.testing.assert_allclose(found, expected * Y.std(axis=0) + Y.mean(axis=0), atol=1e-4)


def test_mirscape_is_xgboost_with_the_published_settings(standardised):
    xgboost = pytest.importorskip("xgboost", reason="THE EXTRA benchmark IS ABSENT: miRSCAPE was not tested")
    Z, Y, obs = standardised
    found = rivals.learn_mirscape(Z, Y, pd.factorize(obs["donor"])[0], seed=0)(Z)
    for j in (0, 5):
        model = xgboost.XGBRegressor(max_depth=4, learning_rate=0.3, n_estimators=20, tree_method="exact")
        np.testing.assert_allclose(found[:, j], model.fit(Z, Y[:, j]).predict(Z), atol=1e-5)


def test_without_xgboost_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "xgboost", None)
    with pytest.raises(ParameterError, match=r"sicmir\[benchmark\]"):
        RIVALS["mirscape"].make(0)


def test_the_host_gene_gives_a_line(linear):
    X, Y, obs = linear
    hosts = X[:, :8].copy()
    hosts[::5, 0] = np.nan
    hosts[:, 1] = np.nan
    hosts[:, 2] = 3.0
    hosts[19:, 3] = np.nan
    Y = Y.copy()
    Y[1::5, 0] = np.nan
    found = HostGene().fit(hosts, Y, obs).predict(hosts, obs)
    assert np.isnan(found[:, 1:4]).all()
    for j in (0, 4, 7):
        both = np.isfinite(hosts[:, j]) & np.isfinite(Y[:, j])
        line = linregress(hosts[both, j], Y[both, j])
        # NaN where the host was not measured: a mean in its place is no prediction from a host gene.
        np.testing.assert_allclose(found[:, j], line.intercept + line.slope * hosts[:, j], rtol=1e-5)


def test_host_genes_are_found_by_current_names_and_several_are_averaged():
    names = ["hsa-miR-25-3p", "hsa-miR-93", "hsa-mir-10a", "hsa-mir-100", "no-miRNA"]
    found = rivals.host_genes(AnnData(np.zeros((1, 5)), var=pd.DataFrame(index=names)))
    assert found == {
        "hsa-miR-25-3p": ("MCM7",),
        "hsa-miR-93": ("MCM7",),
        "hsa-mir-10a": ("HOXB3", "HOXB4"),
    }
    X = np.array([[1.0, 2.0, 3.0, 9.0], [0.0, np.nan, 5.0, 9.0]])
    genes = ["MCM7|4176", "HOXB3", "HOXB4", "GAPDH"]
    mrna = AnnData(sparse.csr_matrix(X), obs=pd.DataFrame(index=["s", "t"]), var=pd.DataFrame(index=genes))
    table = rivals.host_expression(mrna, names, found)
    expected = [[1.0, 1.0, 2.5, np.nan, np.nan], [0.0, 0.0, 5.0, np.nan, np.nan]]
    np.testing.assert_array_equal(table, expected)
    assert table.index.tolist() == ["s", "t"]
    assert table.columns.tolist() == names
    with pytest.raises(DataError, match=r"None of the 3 host genes.*GAPDH.*HOXB3"):
        rivals.host_expression(mrna[:, ["GAPDH"]], names, found)


def test_the_host_gene_predicts_the_mirnas_that_follow_one():
    pair = sicmir.toy.paired_bulk(40, 2, 977, 40, seed=2)
    truth = pair[1].uns["truth"]["mirnas"]
    hosts = truth.index[truth["kind"] == "host"]
    expected = np.sqrt(truth.loc[hosts, "predictable"]).median()
    assert median_within("host-gene", pair, hosts) == pytest.approx(expected, abs=0.15)
    table = rivals.host_expression(pair[0], list(truth.index), rivals.host_genes(pair[1]))
    assert table.notna().any().to_numpy().tolist() == (truth["host_gene"] != "").tolist()


def test_the_truth_scores_1(toy_pair):
    assert median_within("truth", toy_pair, toy_pair[1].var_names) == pytest.approx(metrics.R_LIMIT)


def test_bad_input_is_refused(linear):
    X, Y, obs = linear
    with pytest.raises(DataError, match=r"one host gene for each of 8 miRNAs, found 30.*host_expression"):
        HostGene().fit(X, Y, obs)
    with pytest.raises(DataError, match="host genes holds infinite"):
        HostGene().fit(np.where(X[:, :8] > 9, np.inf, X[:, :8]), Y, obs)
    with pytest.raises(DataError, match="measured miRNA as X"):
        RIVALS["truth"].make(0).fit(X[:, :8], Y, obs)
    for make in (lambda: HostGene(min_samples=2), lambda: Blockwise(rivals.learn_knn, min_samples=1)):
        with pytest.raises(ParameterError, match="samples"):
            make()
    with pytest.raises(DataError, match="one row for each sample"):
        RIVALS["knn"].make(0).fit(X[1:], Y, obs)
    with pytest.raises(DataError, match="found 19 samples of 19 donors"):
        RIVALS["knn"].make(0).fit(X[:19], Y[:19], obs[:19])
    with pytest.raises(DataError, match="fitted on 30"):
        RIVALS["knn"].make(0).fit(X, Y, obs).predict(X[:, 1:], obs)


def test_the_registry_names_sources_and_only_controls_read_something_else():
    assert all("doi" in method.source for name, method in RIVALS.items() if name != "truth")
    assert {method.control for method in RIVALS.values() if method.needs} == {"baseline", "positive"}
