"""Networks are divided by what is significant, or said not to be; pathways are the planted targets."""

import numpy as np
import pytest
from scipy.stats import hypergeom

from sicmir.errors import DataError
from sicmir.networks import mirna_modules, network
from sicmir.synthetic import toy_network


@pytest.fixture(scope="module")
def edges():
    mrna, mirna, targets = toy_network.planted_network(2, 30, 2, n_mirnas=16, n_genes=1700)
    return network.edges(mirna, mrna, targets, min_grade="")


def test_significant_edges_are_divided(edges):
    found = mirna_modules.divide(edges)
    assert found.significant
    assert (found.edges["q"] <= 0.05).all()
    assert set(found.nodes.index) == set(found.edges["mirna"]) | set(found.edges["gene"])
    assert found.n_tested == (edges["status"] == "tested").sum()


def test_without_significant_edges_the_smallest_p_are_shown_and_told(edges):
    nothing = edges.assign(q=1.0)
    found = mirna_modules.divide(nothing, n_edges=40)
    assert not found.significant
    assert len(found.edges) == 40
    rest = nothing.drop(found.edges.index)
    assert found.edges["p"].max() <= rest.loc[rest["weight"] > 0, "p"].min()
    row = found.edges.iloc[0]
    assert found.graph.edges[row["mirna"], row["gene"]]["q"] == row["p"]
    assert mirna_modules.described({"a": found})["significant"].tolist() == ["no"]


def test_the_set_of_a_module_is_the_one_it_was_made_of(edges):
    found = mirna_modules.divide(edges)
    sets = {f"of {name}": part["gene"].tolist() for name, part in edges.groupby("mirna")}
    table = mirna_modules.pathways(found, edges, sets)
    large = table[table["n_genes"] >= 5]
    assert (large["q"] < 0.05).mean() > 0.8
    for row in large.itertuples():
        assert row.set.removeprefix("of ") in found.nodes.index[found.nodes["module"] == row.module]
    assert mirna_modules.largest({"a": table}, 2)["network"].tolist() == ["a", "a"]


def test_small_modules_and_foreign_sets_have_none(edges):
    found = mirna_modules.divide(edges)
    table = mirna_modules.pathways(found, edges, {"other": ["PSME1", "CISD1"]})
    assert (table["set"] == "").all()
    assert table["q"].isna().all()


def test_shared_edges_beside_lot(edges):
    one = mirna_modules.divide(edges)
    same = mirna_modules.shared_edges(one, one)
    assert same["shared"] == same["n_one"] == len(one.edges)
    assert same["expected"] == pytest.approx(len(one.edges) ** 2 / one.n_tested)
    other = mirna_modules.divide(edges.assign(q=1.0), n_edges=40)
    mixed = mirna_modules.shared_edges(one, other)
    pairs = one.edges.merge(other.edges, on=["mirna", "gene"])
    assert mixed["shared"] == len(pairs)
    expected = hypergeom.sf(len(pairs) - 1, one.n_tested, len(one.edges), 40)
    assert mixed["p"] == pytest.approx(expected)
    table = mirna_modules.described({"one": one, "other": other})
    assert table["shared edges"].tolist() == [len(pairs)] * 2


def test_nothing_tested_is_refused(edges):
    with pytest.raises(DataError, match="No edge was tested"):
        mirna_modules.divide(edges.assign(p=np.nan))
