"""Labels without barcodes: a planted order is found, one that is not there is told from it."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest

from sicmir.chapters.pancreas import author_labels, tumour_sets, tumour_study
from sicmir.errors import DataError, ParameterError

TO_CLUSTER = {"tumour": "0", "T": "1", "myeloid": "2"}


@pytest.fixture
def sample():
    """240 barcodes, of which 160 at random have a label; nine in ten clusters are right."""
    rng = np.random.default_rng(0)
    names = [f"c{i}" for i in range(240)]
    measured = pd.DataFrame({"genes": rng.integers(150, 2000, 240)}, names)
    kinds = pd.Series(rng.choice(list(TO_CLUSTER), 240, p=[0.5, 0.3, 0.2]), names)
    clusters = kinds.map(TO_CLUSTER).where(rng.random(240) < 0.9, "1")
    there = measured.index[measured["genes"] >= author_labels.MIN_GENES]
    chosen = np.sort(rng.choice(len(there), 160, replace=False))
    return measured, clusters, kinds[there[chosen]]


def laid_on(measured, clusters, labels):
    listed = pd.DataFrame({"sample": "P1", "cell_type": list(labels)})
    return author_labels.lay(measured, pd.Series("K1", measured.index), clusters, listed, {"K1": "P1"})


def test_the_places_are_the_best_of_all():
    """By brute force over every way to leave out barcodes, with the odds of the places that were found."""
    rng = np.random.default_rng(1)
    groups = rng.choice(["0", "1"], 9)
    labels = np.array(["a", "b", "a", "a", "b", "b"])
    label, group = (np.unique(values, return_inverse=True)[1] for values in (labels, groups))
    odds = rng.normal(size=(2, 2))[:, group]
    score, places = author_labels._best_places(odds, label)
    every = {chosen: odds[label, list(chosen)].sum() for chosen in combinations(range(9), 6)}
    assert score == pytest.approx(max(every.values()))
    assert every[tuple(places)] == pytest.approx(score)


def test_a_planted_order_is_found(sample):
    measured, clusters, labels = sample
    table, laid = laid_on(measured, clusters, labels)
    row = table.iloc[0]
    assert row["used"] == "yes"
    assert row["n_labels"] == 160
    assert row["n_barcodes"] == (measured["genes"] >= author_labels.MIN_GENES).sum()
    assert row["score"] > 1.2 * row["rolled_score"]
    assert laid.tolist() == labels.tolist()
    assert laid.index.is_unique
    same = laid.index.intersection(labels.index)
    assert (laid[same] == labels[same]).mean() > 0.9
    assert len(same) > 0.8 * len(labels)


def test_an_order_that_is_not_there_is_not_used(sample):
    measured, clusters, labels = sample
    table, laid = laid_on(measured, clusters, labels.sample(frac=1, random_state=0))
    assert table["used"].item() == "no"
    assert laid.empty
    assert author_labels.beside(laid, pd.DataFrame({"donor": [], "cell_type": []})).size == 1
    assert author_labels.named_alike(laid, clusters)[1] == 0


def test_names_are_held_against_labels(sample):
    measured, clusters, labels = sample
    _, laid = laid_on(measured, clusters, labels)
    cells = pd.DataFrame(
        {"donor": "K1", "cell_type": clusters.map({"0": "ductal", "1": "T", "2": "myeloid"})}
    )
    cells = cells.iloc[:200]
    found = author_labels.beside(laid, cells).set_index("authors")
    both = cells.index.intersection(laid.index)
    assert found[["T", "ductal", "myeloid"]].to_numpy().sum() == len(both)
    assert found.loc["tumour", "ductal"] == ((laid[both] == "tumour") & (clusters[both] == "0")).sum()
    agreement, n = author_labels.named_alike(laid, cells["cell_type"])
    assert n == len(both)
    assert 0.5 < agreement < 1


def test_what_cannot_be_laid(sample):
    measured, clusters, labels = sample
    with pytest.raises(ParameterError, match="20 labels or more of P1, found 5"):
        laid_on(measured, clusters, labels[:5])
    with pytest.raises(DataError, match="160 labels cannot lie on 100 barcodes"):
        laid_on(measured.iloc[:100].assign(genes=500), clusters, labels)


def test_labels_of_a_list_check_the_names_of_cells(monkeypatch):
    """Toy cells in order, every third left out by the authors."""
    cells = tumour_sets.load_cells("toy")
    donor = cells.obs["donor"].iloc[0]
    named = cells[(cells.obs["donor"] == donor).to_numpy()].copy()
    named.obs["cluster"] = named.obs["cell_type"] = named.obs["planted"].astype(str)
    order = named.obs_names[np.random.default_rng(0).permutation(named.n_obs)]  # types lie in blocks
    named = named[order].copy()
    kept = np.arange(named.n_obs) % 3 > 0
    listed = pd.DataFrame({"sample": "P1", "cell_type": "their " + named.obs["planted"].astype(str)[kept]})
    measured = pd.DataFrame({"genes": 1000}, named.obs_names)
    nothing = tumour_study.labels_of_authors(named, measured, named)
    assert tumour_study.told_of_labels(*nothing, named).startswith("No labels by the authors")
    monkeypatch.setattr(tumour_sets, "author_labels", lambda _: listed)
    monkeypatch.setattr(tumour_sets, "AUTHOR_SAMPLES", {donor: "P1"})
    aligned, laid = tumour_study.labels_of_authors(named, measured, named)
    told = tumour_study.told_of_labels(aligned, laid, named)
    assert told.startswith("Labels of the authors find their place in 1 of 1 donors; there, the ")
    assert "information of 1.00" in told
    named.obs["cell_type"] = "unassigned"
    assert tumour_study.told_of_labels(aligned, laid, named).endswith("place in 1 of 1 donors.")
