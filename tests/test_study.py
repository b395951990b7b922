"""Predictions of a study: those of a plain cross-validation, kept in files, and never stale."""

import importlib
import inspect
import sys

import numpy as np
import pandas as pd
import pytest

import sicmir
from sicmir.benchmark import evaluation, study
from sicmir.benchmark.baselines import Ridge
from sicmir.benchmark.host_gene import host_expression
from sicmir.benchmark.study import NEW_DONORS, TEST, UNSEEN, Study, study_splits
from sicmir.errors import DataError, ParameterError
from sicmir.learning import architecture, imputation
from sicmir.learning.methods import Method, cross_predict
from sicmir.learning.splits import Split


@pytest.fixture(scope="module")
def divisions(toy_pair):
    return study_splits(toy_pair[1].obs, {"TOYC": "TOYB"}, n_splits=3, seed=4)


@pytest.fixture
def made(toy_pair, divisions, tmp_path):
    return Study(*toy_pair, divisions, tmp_path / "kept")


@pytest.fixture
def fits(monkeypatch):
    """Every call of the cross-validation, by the name of its method and split."""
    calls = []

    def counted(method, X, Y, obs, splits, *rest, **options):
        calls.append((method.name, splits[0].name))
        return cross_predict(method, X, Y, obs, splits, *rest, **options)

    monkeypatch.setattr(study, "cross_predict", counted)
    return calls


def donors(obs, rows):
    return set(obs["donor"].to_numpy()[rows])


def test_no_test_donor_is_in_the_divisions_that_choices_are_made_on():
    obs = sicmir.toy.paired_bulk(20, 4, 977, 10, normal_fraction=0.3, seed=2)[0].obs
    obs["donor"] = obs["donor"].replace({"TOY-0001": "TOY-0030", "TOY-0002": "TOY-0050"})  # in two cohorts
    found = study_splits(obs, {"TOYD": "TOYA"}, n_splits=4, seed=1)
    assert list(found) == [NEW_DONORS, UNSEEN, TEST]
    (test,) = found[TEST]
    aside = donors(obs, test.test)
    assert len(aside) / obs["donor"].nunique() == pytest.approx(0.2, abs=0.03)
    rest = np.setdiff1d(np.arange(len(obs)), test.test)
    assert np.array_equal(test.train, rest)
    assert not aside & donors(obs, rest)
    for name in (NEW_DONORS, UNSEEN):
        tested = np.concatenate([part.test for part in found[name]])
        assert np.array_equal(np.sort(tested), rest)  # each of the others once
        for part in found[name]:
            assert not aside & (donors(obs, part.train) | donors(obs, part.test))
            assert not donors(obs, part.train) & donors(obs, part.test)
    assert len(found[NEW_DONORS]) == 4


def test_cohorts_that_are_the_same_are_left_out_together(toy_pair, divisions):
    cohort = toy_pair[1].obs["cohort"].to_numpy()
    assert [part.name for part in divisions[UNSEEN]] == ["without-TOYA", "without-TOYB"]
    one, both = divisions[UNSEEN]
    assert (set(cohort[one.test]), set(cohort[one.train])) == ({"TOYA"}, {"TOYB", "TOYC"})
    assert (set(cohort[both.test]), set(cohort[both.train])) == ({"TOYB", "TOYC"}, {"TOYA"})
    alone = study_splits(toy_pair[1].obs, {}, n_splits=3, seed=4)
    assert [part.name for part in alone[UNSEEN]] == ["without-TOYA", "without-TOYB", "without-TOYC"]
    assert np.array_equal(alone[TEST][0].test, divisions[TEST][0].test)


def test_a_seed_fixes_the_divisions(toy_pair):
    first, again, other = (
        [
            part.test.tolist()
            for parts in study_splits(toy_pair[1].obs, {}, 3, seed).values()
            for part in parts
        ]
        for seed in (0, 0, 1)
    )
    assert first == again
    assert all(a != b for a, b in zip(first, other, strict=True))


@pytest.mark.parametrize("name", ["ridge", "kernel", "cohort-mean", "truth"])
def test_predictions_are_those_of_a_cross_validation(made, toy_pair, divisions, name):
    mrna, mirna = toy_pair
    X = mirna.to_df() if name == "truth" else mrna.to_df()
    for division in (NEW_DONORS, TEST):
        parts = divisions[division]
        found = made.predict(name, division)
        expected = cross_predict(evaluation.METHODS[name], X, mirna.to_df(), mirna.obs, parts, progress=False)
        pd.testing.assert_frame_equal(found, expected)
        tested = np.concatenate([part.test for part in parts])
        assert np.array_equal(np.flatnonzero(found.notna().all(axis=1)), np.sort(tested))


def test_a_second_study_reads_files_and_fits_nothing(made, toy_pair, divisions, monkeypatch):
    first = made.predict("ridge", NEW_DONORS)
    monkeypatch.setattr(study, "cross_predict", None)
    again = Study(*(adata.copy() for adata in toy_pair), divisions, str(made.folder))
    pd.testing.assert_frame_equal(again.predict("ridge", NEW_DONORS), first)
    with pytest.raises(TypeError):  # what is not there would have to be fitted
        again.predict("ridge", TEST)


def kept(made):
    return sorted(path.name for path in made.folder.iterdir())


def test_an_interrupted_study_goes_on_where_it_was(made, fits, monkeypatch):
    whole = made.predict("ridge", NEW_DONORS)
    assert fits == [("ridge", f"fold-{i}") for i in (1, 2, 3)]
    names = kept(made)
    assert [name.rsplit("-", 1)[0] for name in names] == ["ridge-fold-1", "ridge-fold-2", "ridge-fold-3"]
    for name in names[1:]:
        (made.folder / name).unlink()

    def interrupted(path, values):
        path.write_bytes(b"half a file")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(study.np, "save", interrupted)
        with pytest.raises(KeyboardInterrupt):
            made.predict("ridge", NEW_DONORS)
    assert kept(made) == names[:1]  # nothing half written is left
    del fits[:]
    pd.testing.assert_frame_equal(made.predict("ridge", NEW_DONORS), whole)
    assert fits == [("ridge", "fold-2"), ("ridge", "fold-3")]
    assert kept(made) == names


def change_mrna(mrna, mirna):
    mrna.X[3, 5] += 0.5


def change_mirna(mrna, mirna):
    mirna.X[3, 5] += 0.5


def change_gap(mrna, mirna):
    mirna.X[3, 5] = np.nan


def change_plate(mrna, mirna):
    mirna.obs["plate"] = "P1"


def change_cohort(mrna, mirna):
    mirna.obs.iloc[0, mirna.obs.columns.get_loc("cohort")] = "TOYB"


@pytest.mark.parametrize("change", [change_mrna, change_mirna, change_gap, change_plate, change_cohort])
def test_other_data_make_other_files(made, toy_pair, divisions, fits, change):
    made.predict("ridge", TEST)
    mrna, mirna = (adata.copy() for adata in toy_pair)
    change(mrna, mirna)
    Study(mrna, mirna, divisions, made.folder).predict("ridge", TEST)
    assert len(fits) == len(list(made.folder.iterdir())) == 2


def test_another_seed_split_or_selection_makes_other_files(made, toy_pair, divisions, fits):
    made.predict("shuffled", TEST)
    other = Study(*toy_pair, divisions, made.folder, seed=1).predict("shuffled", TEST)
    assert not other.equals(made.predict("shuffled", TEST))
    (test,) = divisions[TEST]
    fewer = {TEST: [Split(test.name, test.train[:-5], test.test)]}
    Study(*toy_pair, fewer, made.folder).predict("shuffled", TEST)
    made.predict("shuffled", TEST, made.mirna.var_names[:3])
    made.predict("shuffled", TEST, made.mirna.var_names[3:6])
    assert len(fits) == len(list(made.folder.iterdir())) == 5


def test_other_options_under_the_same_name_make_other_files(made, fits, monkeypatch):
    def strong(seed):
        return Ridge(alphas=(1e6,))

    def usual(seed):
        return Ridge()

    for make in (strong, usual, strong):
        monkeypatch.setitem(evaluation.METHODS, "ridge", Method("ridge", "", frozenset(), make))
        made.predict("ridge", TEST)
    assert len(fits) == 2


ESTIMATOR = """
from toyplugin.helper import level

class Constant:
    def fit(self, X, Y, obs):
        self.shape = Y.shape[1]
        return self

    def predict(self, X, obs):
        return level(len(X), self.shape)
"""
HELPER = "import numpy as np\n\ndef level(*shape):\n    return np.full(shape, {})\n"


def test_changed_code_makes_new_files_also_where_only_what_the_method_uses_changed(
    made, fits, monkeypatch, tmp_path
):
    package = tmp_path / "toyplugin"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "estimator.py").write_text(ESTIMATOR)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    means = []
    for value in ("1.0", "1.0", "22.0"):
        (package / "helper.py").write_text(HELPER.format(value))
        for name in [name for name in sys.modules if name.startswith("toyplugin")]:
            monkeypatch.delitem(sys.modules, name)
        importlib.invalidate_caches()
        make = importlib.import_module("toyplugin.estimator").Constant
        method = Method("constant", "", frozenset(), lambda seed, make=make: make())
        monkeypatch.setitem(evaluation.METHODS, "constant", method)
        means.append(made.predict("constant", TEST).mean(axis=None))
    assert means == [1.0, 1.0, 22.0]
    assert len(fits) == 2


def test_the_code_of_a_method_is_all_that_its_predictions_hang_on():
    kernel, network = (study._code(evaluation.METHODS[name], 0) for name in ("kernel", "sicmir"))
    assert inspect.getsource(imputation) in kernel
    assert inspect.getsource(architecture) in network
    assert inspect.getsource(architecture) not in kernel


def test_joined_names_are_the_mean(made, divisions, fits):
    parts = [made.predict(name, NEW_DONORS) for name in ("ridge", "kernel", "cohort-mean")]
    del fits[:]
    found = made.predict("ridge+kernel+cohort-mean", NEW_DONORS)
    assert not fits
    expected = np.mean([part.to_numpy(float) for part in parts], axis=0)
    np.testing.assert_allclose(found.to_numpy(), expected, rtol=1e-6)
    assert (found.dtypes == np.float32).all()


def test_host_gene_reads_the_genes_that_it_is_given(toy_pair, divisions, tmp_path):
    mrna, mirna = toy_pair
    hosts = mirna.uns["truth"]["mirnas"]["host_gene"]
    symbols = [gene for gene in hosts if gene]
    genes = mrna[:, symbols].copy()
    mrna = mrna[:, [name for name in mrna.var_names if name not in symbols]].copy()
    made = Study(mrna, mirna, divisions, tmp_path, genes)
    found = made.predict("host-gene", NEW_DONORS)
    X = host_expression(genes, list(mirna.var_names), {name: (gene,) for name, gene in hosts.items() if gene})
    method = evaluation.METHODS["host-gene"]
    expected = cross_predict(method, X, mirna.to_df(), mirna.obs, divisions[NEW_DONORS], progress=False)
    pd.testing.assert_frame_equal(found, expected)
    assert found.notna().any().tolist() == (hosts != "").tolist()
    with pytest.raises(DataError, match="None of the 9 host genes"):
        Study(mrna, mirna, divisions, tmp_path).predict("host-gene", NEW_DONORS)


def test_chosen_mirnas_alone_are_predicted(made):
    chosen = made.mirna.var_names[[7, 2, 11]]
    found = made.predict("kernel", TEST, chosen)
    assert found.columns.tolist() == chosen.tolist()
    assert found.notna().any().all()
    pd.testing.assert_frame_equal(
        made.predict("cohort-mean", TEST, list(chosen)), made.predict("cohort-mean", TEST)[chosen]
    )


def test_unknown_names_are_told(made):
    for arguments, words in (
        (("magic", TEST), "no method 'magic'; expected one of .*ridge"),
        (("ridge+magic", TEST), "no method 'magic'"),
        (("ridge", "old donors"), "no division 'old donors'; expected one of new donors, unseen cancer"),
        (("ridge", TEST, ["toy-miR-999"]), "no miRNA 'toy-miR-999'; expected one of toy-miR-001"),
    ):
        with pytest.raises(ParameterError, match=words):
            made.predict(*arguments)


def test_other_samples_repeated_tests_and_leaks_are_refused(toy_pair, divisions, tmp_path):
    mrna, mirna = toy_pair
    with pytest.raises(DataError, match="samples of mRNA and miRNA differ"):
        Study(mrna, mirna[::-1], divisions, tmp_path)
    with pytest.raises(DataError, match="samples of mRNA and genes differ"):
        Study(mrna, mirna, divisions, tmp_path, genes=mrna[:-1])
    with pytest.raises(DataError, match="division 'test donors' tests a sample twice"):
        Study(mrna, mirna, {TEST: divisions[TEST] * 2}, tmp_path)
    rows = np.arange(mirna.n_obs)
    leaky = {"bad": [Split("bad", rows[1:], rows[:1])]}  # the first donor has a normal sample too
    with pytest.raises(DataError, match="leaks"):
        Study(mrna, mirna, leaky, tmp_path).predict("ridge", "bad")
    assert not list(tmp_path.iterdir())


def test_a_method_that_knows_nothing_is_shown_as_such(made):
    """The files hold what was predicted, not what was measured."""
    found = made.predict("cohort-mean", TEST)
    obs, observed = made.obs, made.observed
    (test,) = made.divisions[TEST]
    for name in obs["cohort"].unique():
        train = test.train[(obs["cohort"] == name).to_numpy()[test.train]]
        rows = test.test[(obs["cohort"] == name).to_numpy()[test.test]]
        expected = observed.iloc[train].astype(float).mean()
        for row in rows:
            np.testing.assert_allclose(found.iloc[row], expected, rtol=1e-5)
