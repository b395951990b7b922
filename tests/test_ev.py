"""Gene sets and evidence of vesicles: against their sources, other tables of the package, and by hand."""

import numpy as np
import pytest

from sicmir import panel
from sicmir.data.manifest import load_manifest
from sicmir.data.parsed import read_entry
from sicmir.errors import ParameterError, UnreachableError
from sicmir.names.gene_symbols import current_symbols
from sicmir.vesicles import ev


def test_genes_are_current_and_of_one_set_each():
    sets = ev.gene_sets()
    assert {name: len(genes) for name, genes in sets.items()} == {"biogenesis": 21, "risc": 10}
    genes = [gene for part in sets.values() for gene in part]
    assert len(set(genes)) == len(genes)
    known = current_symbols(genes)
    assert (known["status"] == "current").all()
    assert known.index[known["landmark"]].tolist() == ["RAB27A"]


def test_biogenesis_is_the_set_of_the_manifest():
    try:
        sets = read_entry(load_manifest()["ev"].files[0])
    except UnreachableError as error:
        pytest.skip(f"REAL DATA NOT REACHED, so this test did not run: {str(error).split(' Tried')[0]}")
    members = sets["Extracellular_vesicle_biogenesis"].X.toarray().ravel() > 0
    given = {"RAB7A" if gene == "RAB7" else gene for gene in sets.var_names[members]}
    assert given - {"CD34"} == set(ev.gene_sets()["biogenesis"])


def test_evidence_names_current_mirnas_and_motifs_that_their_seeds_hold():
    evidence = ev.mirna_evidence()
    mature = panel.mirnas().query("level == 'mature'").set_index("name")
    assert evidence.index.is_unique and evidence.index.isin(mature.index).all()
    assert ((evidence["studies"] > 0) | evidence["searched"]).all()
    assert not evidence.loc[~evidence["searched"], ["exo_motifs", "cell_motifs"]].ne("").to_numpy().any()
    # Independent of the table: a motif inside nucleotides 2-8, which the panel holds, has to be listed.
    searched = evidence[evidence["searched"]]
    seeds = mature["seed"].reindex(searched.index)
    motifs = {"GGAG": "exo", "CCCU": "exo", "GGCU": "exo", "AAUGC": "exo", "CGGGAG": "exo", "AGAAC": "cell"}
    n = 0
    for motif, kind in motifs.items():
        inside = seeds.str.contains(motif, na=False)
        n += inside.sum()
        listed = searched.loc[inside, f"{kind}_motifs"].str.split(";").explode()
        assert (listed == motif).sum() == inside.sum()
    assert n > 100


def test_prior_by_hand():
    evidence = ev.mirna_evidence()
    names = ["hsa-miR-21-5p", "hsa-miR-122-5p", "hsa-miR-148a-3p", "never-seen"]
    by_studies = ev.sorting_prior(names)
    assert by_studies.index.tolist() == names
    assert by_studies["hsa-miR-21-5p"] == 1 - 0.5 / (1 + evidence.loc["hsa-miR-21-5p", "studies"]) > 0.95
    assert by_studies["never-seen"] == 0.5
    # miR-122 has GGAG, miR-148a-3p has AGAAC, miR-21-5p has neither.
    assert ev.sorting_prior(names, "motifs").tolist() == [0.75, 1, 0.5, 0.75]
    assert ev.sorting_prior(names, "none").tolist() == [1, 1, 1, 1]
    everywhere = ev.sorting_prior(evidence.index)
    assert everywhere.between(0.5, 1).all() and np.ptp(everywhere) > 0.4


def test_unknown_evidence_is_refused():
    with pytest.raises(ParameterError, match="one of studies, motifs, none"):
        ev.sorting_prior(["hsa-miR-21-5p"], "ratio")


def test_evidence_is_a_copy():
    ev.mirna_evidence()["studies"] = 0
    assert ev.mirna_evidence()["studies"].max() > 10


def test_mirnas_of_glioma_vesicles_are_current_and_reported_anywhere():
    table = ev.glioma_mirnas()
    assert not table.duplicated(["mirna", "pmid", "cells"]).any()
    current = set(panel.mirnas().query("level == 'mature'")["name"])
    assert set(table["mirna"]) <= current
    studies = ev.mirna_evidence()["studies"].reindex(table["mirna"].unique()).fillna(0)
    assert (studies > 0).mean() > 0.5  # names without an arm are not in the older table
    assert table.groupby("pmid")["mirna"].nunique().to_dict()[19011622] == 11


def test_transfers_name_current_mirnas_and_a_publication():
    table = ev.transfers()
    current = set(panel.mirnas().query("level == 'mature'")["name"])
    assert set(table["mirna"]) <= current
    assert table["doi"].str.startswith("10.").all()
    assert (table["sender"] != table["receiver"]).all()
