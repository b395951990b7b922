"""miRNA names: miRBase v22, former names reported and never guessed, level by name."""

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sicmir import panel
from sicmir.errors import PanelError, ParameterError

TABLE = panel.mirnas().set_index("name")


def test_table_holds_mirbase_v22():
    assert TABLE.index.is_unique
    assert TABLE["level"].value_counts().to_dict() == {"mature": 2652, "stem-loop": 1913}
    mir21 = TABLE.loc["hsa-miR-21-5p"]
    assert (mir21["arm"], mir21["stem_loops"], mir21["seed"]) == ("5p", "hsa-mir-21", "AGCUUAU")
    assert (mir21["n_loci"], mir21["accession"], mir21["previous"]) == (1, "MIMAT0000076", "hsa-miR-21")
    assert TABLE.loc["hsa-mir-335", "host_genes"] == "MEST"
    assert TABLE.loc["hsa-let-7a-5p", "n_loci"] == 3
    assert "miR-17" in TABLE.loc["hsa-miR-17-5p", "family"]


def test_mature_and_stem_loops_point_at_each_other():
    def pairs(level, column):
        rows = TABLE[TABLE["level"] == level][column].str.split(";").explode()
        return set(zip(rows.index, rows, strict=True))

    assert {(mature, stem) for stem, mature in pairs("stem-loop", "matures")} == pairs("mature", "stem_loops")


def test_clusters_and_arms():
    assert TABLE.loc["hsa-mir-17", "cluster"] == TABLE.loc["hsa-mir-92a-1", "cluster"] != ""
    assert TABLE.loc["hsa-mir-21", "cluster"] == ""
    assert set(TABLE["arm"]) == {"5p", "3p", ""}
    assert (TABLE["arm"][TABLE["level"] == "stem-loop"] == "").all()


def test_published_list_has_1298_places():
    places = TABLE["published"].dropna()
    assert sorted(places) == list(range(1298))
    assert places.idxmin() == "hsa-miR-4739"
    assert (TABLE.loc[places.index, "level"] == "mature").all()


def test_single_locus_pairs_are_in_the_table():
    pairs = panel.single_locus()
    assert len(pairs) == 1073
    assert pairs["mature"].is_unique
    assert (TABLE.loc[pairs["mature"], "n_loci"] == 1).all()
    assert list(TABLE.loc[pairs["mature"], "stem_loops"]) == list(pairs["stem_loop"])
    assert pairs["r_stemloop"].between(-1, 1).all()
    assert pairs["arm_share"].between(0, 1).all()
    pd.testing.assert_series_equal(
        pairs.groupby("stem_loop")["arm_share"].sum().round(2),
        pd.Series(1.0, index=sorted(set(pairs["stem_loop"]))),
        check_names=False,
    )


@pytest.mark.parametrize(
    ("names", "level"),
    [
        (["hsa-miR-21-5p", "hsa-miR-155-5p"], "mature"),
        (["hsa-mir-21", "hsa-let-7b"], "stem-loop"),
        (["hsa-miR-21", "hsa-let-7b"], "mature"),
        (["hsa-let-7b"], "stem-loop"),
        (["hsa-mir-103-1", "hsa-mir-1254"], "stem-loop"),
        (["hsa-miR-1254"], "mature"),
    ],
)
def test_level_of(names, level):
    assert panel.level_of(names) == level
    assert panel.level_of(pd.Index(names)) == level


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["hsa-miR-21-5p", "hsa-mir-21"], "1 mature .hsa-miR-21-5p. and 1 stem-loops .hsa-mir-21."),
        (["hsa-miR-21-5p", "mmu-miR-21a-5p"], "1 of 2 names.*mmu-miR-21a-5p"),
        (["TP53"], "TP53"),
        ([], "No miRNA name"),
        ([3], "must be text.*3"),
    ],
)
def test_level_of_refuses(names, message):
    with pytest.raises(PanelError, match=message):
        panel.level_of(names)


def test_a_single_text_is_not_a_list_of_names():
    with pytest.raises(ParameterError, match="found the text"):
        panel.level_of("hsa-mir-21")


@pytest.mark.parametrize(
    ("name", "level", "current", "status", "candidates"),
    [
        ("hsa-miR-21-5p", "", "hsa-miR-21-5p", "current", ""),
        ("hsa-miR-21", "", "hsa-miR-21-5p", "renamed", ""),
        ("hsa-miR-21*", "", "hsa-miR-21-3p", "renamed", ""),
        ("hsa-mir-21", "", "hsa-mir-21", "current", ""),
        ("hsa-mir-21", "mature", "", "unknown", ""),
        ("hsa-miR-21", "stem-loop", "", "unknown", ""),
        ("hsa-mir-103-1", "", "hsa-mir-103a-1", "renamed", ""),
        ("hsa-miR-378", "", "", "ambiguous", "hsa-miR-378a-3p;hsa-miR-378a-5p"),
        ("hsa-miR-299-5p", "", "hsa-miR-299-5p", "current", "hsa-miR-299-3p"),
        ("hsa-let-7b", "", "hsa-let-7b", "current", "hsa-let-7b-5p"),
        ("hsa-let-7b", "mature", "hsa-let-7b-5p", "renamed", ""),
        ("hsa-miR-1254", "", "", "removed", ""),
        ("mmu-miR-21a-5p", "", "", "unknown", ""),
        ("hsa-MIR-21", "", "", "unknown", ""),
    ],
)
def test_current_names(name, level, current, status, candidates):
    row = panel.current_mirna_names([name], level).loc[name]
    assert row.tolist() == [current, status, candidates]


def test_unknown_level_is_refused():
    with pytest.raises(ParameterError, match="arm"):
        panel.current_mirna_names(["hsa-mir-21"], "arm")


@settings(max_examples=50, deadline=None)
@given(st.lists(st.sampled_from([*TABLE.index, "hsa-miR-378", "nonsense"]), max_size=20))
def test_order_and_number_of_names_are_kept(names):
    found = panel.current_mirna_names(names)
    assert list(found.index) == names
    current = found["status"] == "current"
    assert (found.index[current] == found["current"][current]).all()
    assert (found["current"][~current] == "").all()


def test_every_former_name_leads_back():
    former = [(old, name) for name, olds in TABLE["previous"].items() for old in olds.split(";") if old]
    assert len(former) > 800
    found = panel.current_mirna_names([old for old, _ in former])
    for (_, name), row in zip(former, found.itertuples(), strict=True):
        assert name in (row.current, *row.candidates.split(";"))
