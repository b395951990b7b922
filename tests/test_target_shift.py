"""Targets of the miRNAs of a cell type against matched genes, donor by donor: planted repression is found."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from sicmir import panel
from sicmir.errors import DataError
from sicmir.networks import target_shift

MIRNAS = [f"toy-miR-{i:03d}" for i in range(8)]


@pytest.fixture(scope="module")
def drawn():
    """Three donors with two cell types; targets of the first miRNA are three-fold lower in the first type."""
    rng = np.random.default_rng(0)
    genes = [f"TOY{i:04d}" for i in range(600)]
    targets = pd.DataFrame(
        [(name, gene) for name in MIRNAS for gene in rng.choice(genes, 60, replace=False)],
        columns=["mirna", "gene"],
    )
    repressed = targets.loc[targets["mirna"] == MIRNAS[0], "gene"]
    landmarks = panel.landmarks()["symbol"].tolist()[:50]
    base = rng.gamma(2, 100, 650)
    rows, obs = [], []
    for donor in ("d0", "d1", "d2"):
        own = base * rng.lognormal(0, 0.3, 650)
        for kind in ("tumour", "stroma", "T"):
            mean = own * rng.lognormal(0, 0.3, 650)
            if kind == "tumour":
                mean[np.isin([*genes, *landmarks], repressed)] /= 3
            rows.append(rng.poisson(mean))
            obs.append((donor, kind))
    obs.append(("d3", "tumour"))  # a donor without another cell type tells nothing
    rows.append(rng.poisson(base))
    labels = pd.DataFrame(obs, columns=["donor", "cell_type"], index=[f"p{i}" for i in range(len(obs))])
    pools = ad.AnnData(np.array(rows, dtype=np.float32), labels, pd.DataFrame(index=[*genes, *landmarks]))
    markers = pd.DataFrame(
        {"mirna": MIRNAS, "effect": [3.0, -1, 1, 1, -1, 1, 1, 1], "lower": 0.5, "upper": 4.0}
    )
    markers["grade"], markers["greyed"] = "A", markers["mirna"] == MIRNAS[7]
    return pools, markers, targets


@pytest.fixture(scope="module")
def found(drawn):
    return target_shift.differences(drawn[0], "tumour")


def test_differences_are_those_within_donors(drawn, found):
    pools = drawn[0]
    assert found.genes.index.tolist() == ["d0", "d1", "d2"]
    assert not found.genes.columns.isin(panel.landmarks()["symbol"]).any()
    values = np.log2(pools.X / pools.X.sum(axis=1, keepdims=True) * 1e6 + 1)
    table = pd.DataFrame(values, pools.obs_names, pools.var_names)
    gene = found.genes.columns[7]
    expected = table.loc["p3", gene] - table.loc[["p4", "p5"], gene].mean()
    assert found.genes.loc["d1", gene] == pytest.approx(expected, abs=1e-4)
    with pytest.raises(DataError, match="No donor has 'B'"):
        target_shift.differences(pools, "B")


def test_planted_repression_comes_first(drawn, found):
    _, markers, targets = drawn
    table = target_shift.shifts(found, markers, targets)
    assert table.index[0] == MIRNAS[0]
    assert table.loc[MIRNAS[0], "shift"] < -4
    assert table.loc[MIRNAS[0], "n_opposite"] == table.loc[MIRNAS[0], "n_donors"] == 3
    assert table.index[-1] == MIRNAS[7]  # greyed
    assert table.loc[MIRNAS[1:], "score"].abs().max() < table.loc[MIRNAS[0], "score"] / 2
    assert table.loc[MIRNAS[1], "score"] == pytest.approx(table.loc[MIRNAS[1], "shift"])
    with pytest.raises(DataError, match="No miRNA has 1000 targets"):
        target_shift.shifts(found, markers, targets, min_targets=1000)


def test_edges_go_against_the_mirna_in_every_donor(drawn, found):
    _, markers, targets = drawn
    table = target_shift.shifts(found, markers, targets)
    edges = target_shift.edges(found, table, targets, MIRNAS[:2])
    assert edges["q"].isna().all()
    for row in edges.itertuples():
        values = found.genes[row.gene] * np.sign(table.loc[row.mirna, "effect"])
        assert row.n_opposite == (values < 0).sum()
        assert row.weight == pytest.approx(abs(values.mean()) if (values < 0).all() else 0)
    planted = edges[edges["mirna"] == MIRNAS[0]]
    assert (planted["weight"] > 0).mean() > 0.8
