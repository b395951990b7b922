"""What crosstalk refuses, what it leaves out and says so, and the names that it reads miRNA by."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from sicmir import panel
from sicmir.errors import DataError, PanelError, ParameterError
from sicmir.synthetic.toy_crosstalk import crosstalk_cells
from sicmir.vesicles import ev
from sicmir.vesicles.crosstalk import crosstalk
from sicmir.vesicles.crosstalk_mirna import pool_mirna, trust_weights


@pytest.fixture(scope="module")
def toy():
    return crosstalk_cells(n_donors=3, n_types=3, n_cells=12, n_mirnas=12, n_genes=400, n_pairs=2)


def run(cells, mirna, targets, **options):
    return crosstalk(cells, mirna, targets, **({"n_permutations": 20, "progress": False} | options))


def without_labels(part, key):
    changed = part.copy()
    changed.obs[key] = changed.obs[key].astype(object)
    changed.obs.loc[changed.obs_names[:2], key] = None
    return changed


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"donor_key": "patient"}, "no column 'patient'.*donor_key"),
        ({"cell_type_key": "cluster"}, "no column 'cluster'.*cell_type_key"),
        ({"cell_type_key": "donor"}, "donor_key and cell_type_key"),
        ({"terms": ()}, "terms should be some of"),
        ({"terms": ("abundance", "luck")}, "terms should be some of"),
        ({"terms": ("abundance", "abundance")}, "each once"),
        ({"min_grade": "E"}, "min_grade"),
        ({"min_targets": 0}, "min_targets"),
        ({"min_cells": 0}, "min_cells"),
        ({"n_permutations": 0}, "n_permutations"),
        ({"sorting": "ratio"}, "sorting should be one of"),
        ({"gene_sets": {"exosomes": ["CD9"]}}, "'exosomes'"),
    ],
)
def test_bad_options_are_refused(toy, options, message):
    with pytest.raises(ParameterError, match=message):
        run(*toy, **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gene_sets": {"biogenesis": []}}, "set 'biogenesis' is empty"),
        ({"gene_sets": {"risc": ["NOGENE1", "NOGENE2"]}}, "None of the 2 genes of the set 'risc'"),
        ({"min_targets": 1000}, "No miRNA of sufficient grade has 1000"),
        ({"min_cells": 13}, "None of 9 groups has 13 cells"),
        ({"sorting": pd.Series({"toy-miR-001": 2.0})}, "above 0 and up to 1"),
    ],
)
def test_bad_data_by_options_are_refused(toy, options, message):
    with pytest.raises((DataError, ParameterError), match=message):
        run(*toy, **options)


def test_logarithms_are_no_counts_whatever_is_told(toy):
    cells, mirna, targets = toy
    logs, few = cells.copy(), cells.copy()
    counts = cells.X.toarray()
    logs.X = np.log1p(counts / counts.sum(axis=1, keepdims=True) * 1e4)
    few.X = cells.X.minimum(12)
    with pytest.raises(DataError, match="counts"):
        run(logs, mirna, targets, units="counts")
    with pytest.raises(DataError, match="given as log2.* but the values look like counts"):
        run(few, mirna, targets, units="log2(CPM+1)")
    # Told nothing, the same is read as what it is, and gives nearly what the counts give.
    tables = [run(part, mirna, targets, terms=["repression"]).table for part in (logs, cells)]
    scores = [table.set_index(["sender", "receiver", "mirna"])["repression"] for table in tables]
    assert np.corrcoef(scores[0], scores[1].reindex(scores[0].index))[0, 1] > 0.95


def test_cells_that_cannot_be_used_are_refused(toy):
    cells, mirna, targets = toy
    with pytest.raises(DataError, match="AnnData"):
        run(cells.to_df(), mirna, targets)
    with pytest.raises(DataError, match="two cell types or more; all .* 'type A'"):
        run(cells[cells.obs["cell_type"] == "type A"].copy(), mirna, targets)
    for key in ("donor", "cell_type"):
        with pytest.raises(DataError, match=f"2 of 108 cells have no {key}"):
            run(without_labels(cells, key), mirna, targets)
        with pytest.raises(DataError, match=f"2 of 9 rows of the miRNA have no {key}"):
            run(cells, without_labels(mirna, key), targets)
    empty = ad.AnnData(np.zeros(cells.shape, dtype=np.float32), obs=cells.obs, var=cells.var)
    with pytest.raises((DataError, ParameterError)):
        run(empty, mirna, targets)
    scaled = cells.copy()
    scaled.X = np.random.default_rng(0).normal(size=cells.shape).astype(np.float32)
    with pytest.raises((DataError, ParameterError)):
        run(scaled, mirna, targets)
    one_each = cells[
        [
            f"{a}{b}" in ("TOY-0001type A", "TOY-0002type B")
            for a, b in cells.obs[["donor", "cell_type"]].to_numpy()
        ]
    ].copy()
    with pytest.raises(DataError, match="No donor has two cell types.*alone in its donor: 2"):
        run(one_each, mirna, targets)
    other = cells.copy()
    other.obs["donor"] = "X" + other.obs["donor"].astype(str)
    with pytest.raises(DataError, match="no miRNA: 9.*should be the same in cells and miRNA"):
        run(other, mirna, targets)


def test_genes_of_vesicles_that_are_not_measured_are_refused_or_left_out_on_request(toy):
    cells, mirna, targets = toy
    few = cells[:, ~cells.var_names.isin(ev.gene_sets()["biogenesis"])].copy()
    with pytest.raises(DataError, match="None of the 21 genes of the set 'biogenesis'.*leave the term"):
        run(few, mirna, targets)
    result = run(few, mirna, targets, terms=["abundance", "risc", "repression"])
    assert result.table["score"].notna().all()
    silent = cells.copy()
    silent.X = silent.X.toarray()
    silent.X[:, silent.var_names.isin(ev.gene_sets()["risc"])] = 0
    with pytest.raises(DataError, match="No gene of the set 'risc' is expressed"):
        run(silent, mirna, targets)


def test_targets_that_cannot_be_used_are_refused(toy):
    cells, mirna, targets = toy
    landmarks = targets.assign(gene=panel.landmarks()["symbol"].to_numpy()[np.arange(len(targets)) % 40])
    for table, message in (
        (None, "needs targets"),
        (targets.iloc[:0], "Expected targets with the columns"),
        (targets.rename(columns={"gene": "target"}), "Expected targets with the columns"),
        (pd.concat([targets, targets]), "occur twice"),
        (targets.assign(mirna="hsa-miR-21-5p").drop_duplicates(), "None of the miRNAs of the targets"),
        (targets.assign(gene="G" + targets["gene"]), "None of the genes of the targets"),
        (landmarks.drop_duplicates(), "outside the 977 landmarks"),
    ):
        with pytest.raises(DataError, match=message):
            run(cells, mirna, table)


def test_mirna_that_cannot_be_used_is_refused(toy):
    cells, mirna, targets = toy

    def changed(values=None, **uns):
        part = mirna.copy()
        part.X = part.X if values is None else values
        part.uns["sicmir"] = dict(part.uns["sicmir"]) | uns
        return part

    with pytest.raises(DataError, match="AnnData with values"):
        run(cells, mirna.to_df(), targets)
    with pytest.raises(DataError, match="z-scores cannot be used"):
        run(cells, changed(mirna.X - 6), targets)
    with pytest.raises(DataError, match="z-scores cannot be used"):
        run(cells, changed(units="z-score"), targets)
    with pytest.raises(DataError, match="All 9 rows of the miRNA are abstained"):
        run(cells, changed(np.full(mirna.shape, np.nan)), targets)
    flagged = mirna.copy()
    flagged.obs["abstained"] = True
    with pytest.raises(DataError, match="All 9 rows of the miRNA are abstained"):
        run(cells, flagged, targets)
    no_grades = mirna.copy()
    del no_grades.var["grade"]
    with pytest.raises(ParameterError, match="have no grades"):
        run(cells, no_grades, targets)
    assert run(cells, no_grades, targets, min_grade="").table["counted"].all()
    poor = mirna.copy()
    poor.var["grade"] = "D"
    with pytest.raises(DataError, match="None of 12 miRNAs has the grade B"):
        run(cells, poor, targets)
    with pytest.raises(ParameterError, match="obs of the miRNA has no column"):
        run(cells, _drop(mirna, "cell_type"), targets)


def _drop(part, key):
    changed = part.copy()
    del changed.obs[key]
    return changed


def test_abstained_groups_take_no_part(toy):
    cells, mirna, targets = toy
    gone = mirna.copy()
    place = ((gone.obs["donor"] == "TOY-0002") & (gone.obs["cell_type"] == "type B")).to_numpy()
    gone.X[place] = np.nan
    gone.obs["abstained"] = place
    gone.X[0, 3] = np.nan
    result = run(cells, gone, targets)
    assert result.coverage.loc[("TOY-0002", "type B"), "status"] == "all abstained"
    assert (result.coverage["status"] == "used").sum() == 8
    table = result.table
    with_b = (table["sender"] == "type B") | (table["receiver"] == "type B")
    assert (table.loc[with_b, "n_donors"] == 2).all() and table.loc[with_b, "p"].isna().all()
    assert (table.loc[~with_b, "n_donors"] == 3).all()
    assert table.loc[with_b, "note"].str.contains("fewer than 3 donors").all()
    assert "toy-miR-004" not in set(table["mirna"])
    assert any(note.startswith("1 miRNAs were not measured in every donor") for note in result.notes)


def test_too_few_donors_give_ranks_and_no_p(toy):
    cells, mirna, targets = toy
    for n in (1, 2):
        keep = [f"TOY-000{i}" for i in range(1, n + 1)]
        result = run(
            cells[cells.obs["donor"].isin(keep)].copy(), mirna[mirna.obs["donor"].isin(keep)].copy(), targets
        )
        assert result.table[["p_score", "p", "q_score", "q"]].isna().all(axis=None)
        assert result.table["score"].notna().all()
        assert any("read the ranks alone" in note for note in result.notes)
        assert result.table["note"].str.contains("fewer than 3 donors: no p").all()


def test_mirna_of_other_donors_gives_no_p(toy):
    cells, mirna, targets = toy
    elsewhere = _drop(mirna, "donor")
    result = run(cells, elsewhere, targets)
    assert result.table["p"].isna().all()
    assert result.table["note"].str.contains("miRNA is not of these donors").all()
    means = mirna.to_df().groupby(mirna.obs["cell_type"].astype(str)).mean()
    row = result.table.iloc[0]
    assert row["abundance"] == pytest.approx(means.loc[row["sender"], row["mirna"]], rel=1e-5)


def test_few_arrangements_are_said():
    cells, mirna, targets = crosstalk_cells(
        n_donors=3, n_types=2, n_cells=10, n_mirnas=8, n_genes=300, n_pairs=0
    )
    result = run(cells, mirna, targets)
    # 2 × 2 × 2 arrangements: no p below 1/8.
    counted = result.table["counted"]
    assert result.table.loc[counted, "note"].str.contains("too few arrangements").all()
    assert any(
        "p below 0.12 (more donors or cell types would lower it): q of 0.05 cannot be reached" in note
        for note in result.notes
    )
    assert result.table["p_sender"].min() > 0.1


def test_rows_that_cells_lack_are_said(toy):
    cells, mirna, targets = toy
    more = mirna.copy()
    more.obs["cell_type"] = more.obs["cell_type"].astype(str)
    more.obs.loc[more.obs_names[0], "cell_type"] = "type Z"
    result = run(cells, more, targets)
    assert any(note.startswith("1 rows of the miRNA") for note in result.notes)
    assert result.coverage.loc[("TOY-0001", "type A"), "status"] == "no miRNA"


def test_stem_loops_stand_for_the_arm_that_they_follow():
    arms = panel.single_locus().sort_values("arm_share").drop_duplicates("stem_loop", keep="last")
    good = arms[arms["r_stemloop"] > 0.9].head(2)
    bad = arms[arms["r_stemloop"] < 0.5].head(1)
    names = [*good["stem_loop"], *bad["stem_loop"]]
    obs = pd.DataFrame({"donor": ["d1", "d2"], "cell_type": ["a", "b"]}, index=["1", "2"])
    mirna = ad.AnnData(np.array([[1.0, 2, 3], [4, 5, 6]]), obs=obs, var=pd.DataFrame(index=names))
    mirna.uns["sicmir"] = {"units": "log2(RPM+1)", "level": "stem-loop"}
    pooled = pool_mirna(mirna, "donor", "cell_type", "")
    assert pooled.groups.columns.tolist() == good["mature"].tolist()
    assert pooled.table["predicted_as"].tolist() == good["stem_loop"].tolist()
    assert "1 have none, left out" in pooled.notes[0]
    # A trust table that names them is believed in place of the shipped one.
    mirna.var["mature"] = ["", "hsa-miR-21-5p", ""]
    assert pool_mirna(mirna, "donor", "cell_type", "").groups.columns.tolist() == ["hsa-miR-21-5p"]
    mirna.var["mature"] = ["hsa-miR-21-5p", "hsa-miR-21-5p", ""]
    with pytest.raises(DataError, match="hsa-miR-21-5p occurs twice"):
        pool_mirna(mirna, "donor", "cell_type", "")
    mirna.var["mature"] = ""
    with pytest.raises(PanelError, match="None of 3 stem-loops"):
        pool_mirna(mirna, "donor", "cell_type", "")


def test_trust_weights_fall_with_the_grade():
    assert trust_weights(["A", "B", "C", "D", ""]) == pytest.approx([1, 0.75, 0.5, 0.25, 1])


def test_rows_of_one_group_are_averaged(toy):
    cells, mirna, targets = toy
    halves = ad.concat([mirna, mirna], index_unique="-")
    halves.var, halves.uns["sicmir"] = mirna.var, mirna.uns["sicmir"]
    halves.X = np.vstack([mirna.X * 0.5, mirna.X * 1.5])
    once, twice = (run(cells, part, targets).table for part in (mirna, halves))
    pd.testing.assert_frame_equal(once, twice, rtol=1e-5)


def test_symbols_of_any_time_are_found(toy):
    """GNB2L1 is today's RACK1: targets, sets and cells may each use either name."""
    cells, mirna, targets = toy
    renamed = cells.copy()
    renamed.var_names = renamed.var_names.str.replace("TOY0001", "GNB2L1")
    table = targets.assign(gene=targets["gene"].replace("TOY0001", "RACK1"))
    before, after = (
        run(*parts).terms.mirnas["n_targets"] for parts in ((cells, mirna, targets), (renamed, mirna, table))
    )
    pd.testing.assert_series_equal(before, after)
