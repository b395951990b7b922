import numpy as np
import pandas as pd
import pytest
from scipy.stats import false_discovery_control, fisher_exact

from sicmir.errors import DataError, ParameterError, UnreachableError
from sicmir.networks import enrichment


@pytest.fixture
def genes():
    return [f"GENE{i}" for i in range(200)]


def test_p_is_that_of_fishers_exact_test(genes):
    rng = np.random.default_rng(0)
    chosen = genes[:30]
    sets = {f"S{i}": list(rng.choice(genes, 25, replace=False)) for i in range(6)}
    sets["planted"] = genes[:12] + genes[100:108] + ["NOT-TESTED"]
    found = enrichment.over_representation(chosen, sets, genes)
    for name, members in sets.items():
        inside = set(members) & set(genes)
        hits = len(inside & set(chosen))
        table = [[hits, len(inside) - hits], [30 - hits, 170 - len(inside) + hits]]
        expected = fisher_exact(table, alternative="greater").pvalue
        assert found.loc[name, "p"] == pytest.approx(expected)
        assert found.loc[name, "overlap"] == hits
        assert found.loc[name, "expected"] == pytest.approx(30 * len(inside) / 200)
    assert found.index[0] == "planted"
    assert found.loc["planted", "size"] == 20
    assert found.loc["planted", "genes"].split(";") == sorted(genes[:12])
    np.testing.assert_allclose(found["q"], false_discovery_control(found["p"]))


def test_names_are_brought_to_current_symbols(genes):
    sets = {"clock": ["ARNTL", "ENSG00000134852", "GENE1", "GENE2", "GENE3"]}
    found = enrichment.over_representation(["BMAL1"], sets, ["BMAL1", "CLOCK", *genes])
    assert found.loc["clock", ["size", "overlap"]].tolist() == [5, 1]


def test_chance_gives_five_per_cent(genes):
    rng = np.random.default_rng(1)
    sets = {f"S{i}": list(rng.choice(genes, 60, replace=False)) for i in range(20)}
    p = [
        enrichment.over_representation(rng.choice(genes, 50, replace=False), sets, genes)["p"]
        for _ in range(60)
    ]
    assert 0.01 < (np.concatenate(p) < 0.05).mean() < 0.06  # discrete, hence somewhat below


def edges(genes):
    table = pd.DataFrame({"mirna": "m1", "gene": genes[:100], "q": [0.01] * 20 + [0.9] * 80})
    other = pd.DataFrame({"mirna": "m2", "gene": genes[50:], "q": np.nan})
    table = pd.concat([table, other], ignore_index=True).assign(status="tested")
    return table.assign(counted=table["mirna"] == "m1")


def test_targets_of_a_mirna_are_compared_with_its_own_tested_targets(genes):
    table, sets = edges(genes), {"early": genes[:40], "late": genes[60:140]}
    own = enrichment.target_enrichment(table, "m1", sets)
    expected = enrichment.over_representation(genes[:20], sets, genes[:100])
    pd.testing.assert_frame_equal(own, expected)
    counted = table.assign(counted=True)
    wide = enrichment.target_enrichment(counted, "m1", sets, background="all")
    pd.testing.assert_frame_equal(wide, enrichment.over_representation(genes[:20], sets, genes))
    for options, error, match in (
        ({"mirna": "m2"}, ParameterError, "'m2' has no tested edge that counts"),
        ({"mirna": "m1", "fdr": 0.001}, DataError, "no edge with q <= 0.001"),
        ({"mirna": "m1", "fdr": 2}, ParameterError, "fdr between 0 and 1"),
        ({"mirna": "m1", "background": "genome"}, ParameterError, "background 'own' or 'all'"),
    ):
        with pytest.raises(error, match=match):
            enrichment.target_enrichment(table, sets=sets, **options)


def test_bad_input_is_refused(genes):
    sets = {"a": genes[:10]}
    for chosen, background, options, error, match in (
        ([], genes, {}, DataError, "No gene was chosen"),
        (["ELSEWHERE"], genes, {}, DataError, "1 of 1 chosen genes are not in the background"),
        (genes[:5], genes, {"min_size": 50}, DataError, "None of 1 gene sets has 50 to 500"),
        (genes[:5], genes, {"min_size": 0}, ParameterError, "1 <= min_size"),
    ):
        with pytest.raises(error, match=match):
            enrichment.over_representation(chosen, sets, background, **options)


def test_gene_sets_are_read_from_files(tmp_path):
    path = tmp_path / "sets.gmt"
    path.write_text("A\t\tTP53\tKRAS\nB\t\tKRAS\n")
    found = enrichment.load_gene_sets(path)
    assert {name: sorted(genes) for name, genes in found.items()} == {"A": ["KRAS", "TP53"], "B": ["KRAS"]}
    table = tmp_path / "own.csv"
    table.write_text("sample,TP53,KRAS\ns1,1,2\n")
    with pytest.raises((DataError, ParameterError)):
        enrichment.load_gene_sets(table)


@pytest.mark.real
def test_the_exosome_sets_of_the_manifest_are_read():
    try:
        found = enrichment.load_gene_sets("ev")
    except UnreachableError as error:
        pytest.skip(str(error))
    assert len(found) == 323
    assert "YWHAG" in found["MT_exosome"]
