"""Hubs of predicted and of measured miRNA: planted ones are shared beyond draws, unrelated ones are not."""

import numpy as np
import pytest

from sicmir.errors import DataError, ParameterError
from sicmir.networks import hub_overlap, hubs
from sicmir.synthetic import toy_network

QUICK = {"n_permutations": 99, "progress": False, "top": 8, "min_grade": ""}


@pytest.fixture(scope="module")
def planted():
    """Measured miRNA, a prediction of it with errors, genes and targets right for every second miRNA."""
    mrna, mirna, targets = toy_network.planted_network(1, 30, 2, n_mirnas=24, n_genes=1800)
    predicted = mirna.copy()
    noise = np.random.default_rng(0).normal(scale=0.7, size=mirna.shape)
    predicted.X = np.maximum(mirna.X + noise, 0).astype(np.float32)
    predicted.var["grade"] = "A"
    return mirna, predicted, mrna, targets


@pytest.fixture(scope="module")
def found(planted):
    return hub_overlap.overlap(*planted, **QUICK)


def test_planted_hubs_are_hubs_by_both(found, planted):
    hubs_planted = set(planted[3].loc[planted[3]["hub"], "mirna"])
    first = found.beside().index[:8]
    assert len(hubs_planted & set(first)) >= 7
    assert found.counts["n_both"] >= 5
    assert found.counts["n_mirnas"] == 24
    assert found.summary.loc["measured_z", "p"] == pytest.approx(0.01)
    assert found.summary.loc["measured_z", "value"] > found.summary.loc["measured_z", "by_draws"] + 2


def test_the_tables_are_those_of_hubs(found, planted):
    mirna, _, mrna, targets = planted
    expected = hubs.hubs(
        mirna, mrna, targets, n_permutations=99, n_bootstraps=0, progress=False, min_grade=""
    )
    assert found.measured["z"].to_numpy() == pytest.approx(expected["z"].dropna().to_numpy())
    assert found.summary.loc["overlap", "by_lot"] == pytest.approx(64 / 24)
    assert len(found.draws) == 99


def test_summary_is_of_the_tables_and_draws(found):
    z = [table["z"].reindex(found.measured.index) for table in (found.measured, found.predicted)]
    first = [set(side.nlargest(8).index) for side in z]
    assert found.summary.loc["overlap", "value"] == len(first[0] & first[1])
    assert found.summary.loc["measured_z", "value"] == pytest.approx(z[0][list(first[1])].mean())
    assert found.summary.loc["spearman", "value"] == pytest.approx(z[0].corr(z[1], method="spearman"))
    reached = (found.draws["overlap"] >= found.summary.loc["overlap", "value"]).sum()
    assert found.summary.loc["overlap", "p"] == pytest.approx((reached + 1) / 100)
    assert found.summary.loc["overlap", "by_draws"] == pytest.approx(found.draws["overlap"].mean())


def test_lists_agree_without_any_target_and_the_draws_say_so():
    p = []
    for seed in range(6):
        mrna, mirna, targets = toy_network.planted_network(
            seed, 20, 1, n_mirnas=20, n_genes=1500, true_share=0
        )
        predicted = mirna.copy()
        predicted.var["grade"] = "A"
        same = hub_overlap.overlap(
            mirna, predicted, mrna, targets, **QUICK | {"top": 5, "n_permutations": 49}
        )
        # The very same values have the same hubs, whatever the genes.
        assert same.summary.loc["overlap", "value"] == 5
        assert same.summary.loc["overlap", ["by_draws", "p"]].tolist() == [5, 1]
        p.append(same.summary.loc["measured_z", "p"])
    assert np.median(p) > 0.1


@pytest.mark.filterwarnings("ignore:invalid value encountered in divide")
def test_targets_that_are_expressed_together_are_no_hubs():
    """miRNA dealt out anew to donors cannot repress, however much its targets go together."""
    p = []
    for seed in range(12):
        mrna, mirna, targets = toy_network.planted_network(
            seed, 12, 1, n_mirnas=24, n_genes=1500, true_share=0, together=1
        )
        rng = np.random.default_rng(seed + 99)
        mirna.X = np.asarray(mirna.X)[rng.permutation(mirna.n_obs)]
        predicted = mirna.copy()
        noise = rng.normal(size=mirna.shape) * np.asarray(mirna.X).std(axis=0)
        predicted.X = np.maximum(mirna.X + noise, 0).astype(np.float32)
        predicted.var["grade"] = "A"
        found = hub_overlap.overlap(mirna, predicted, mrna, targets, seed=seed, **QUICK)
        p.append(found.summary["p"])
    # 12 draws of 0.05: more than 2 have a probability of 0.02. It was 0.7 of them with inflated draws.
    assert ((np.array(p) <= 0.05).sum(axis=0) <= 2).all()


def test_grades_of_the_prediction_decide_on_both_sides(planted):
    mirna, predicted, mrna, targets = planted
    graded = predicted.copy()
    graded.var["grade"] = ["D"] * 8 + ["A"] * 16
    found = hub_overlap.overlap(mirna, graded, mrna, targets, **QUICK | {"min_grade": "B"})
    assert found.counts["n_mirnas"] == 16
    assert not set(mirna.var_names[:8]) & (set(found.measured.index) | set(found.predicted.index))


def test_what_cannot_be_compared_is_refused(planted):
    mirna, predicted, mrna, targets = planted
    with pytest.raises(ParameterError, match="top should lie"):
        hub_overlap.overlap(*planted, **QUICK | {"top": 24})
    other = predicted.copy()
    other.var_names = [f"other-{i}" for i in range(other.n_vars)]
    with pytest.raises(DataError, match="both measured and predicted"):
        hub_overlap.overlap(mirna, other, mrna, targets, **QUICK)
