"""Claims of the literature: all that are shipped are sound, and effects agree, disagree or cannot tell."""

import numpy as np
import pandas as pd
import pytest
from bs4 import BeautifulSoup

from sicmir import panel
from sicmir.chapters import claims
from sicmir.errors import DataError, ParameterError
from sicmir.publishing import report

HEADER = ",".join(claims.COLUMNS)
LINE = "30_hcc,hsa-miR-21-5p,up,tumour against normal,higher,Li 2016,10.1007/s10620-016-4156-8"


def claim(mirna, direction="up", contrast="tumour against normal"):
    row = ("30_hcc", mirna, direction, contrast, "found", "Li 2016", "10.1/x")
    return dict(zip(claims.COLUMNS, row, strict=True))


def effects(**rows):
    """Name with _ for - -> (effect, lower, upper[, grade])."""
    table = pd.DataFrame(
        [(*row, "A")[:4] for row in rows.values()], columns=["effect", "lower", "upper", "grade"]
    )
    return table.assign(mirna=[name.replace("_", "-") for name in rows])


def verdict(mirna, direction, table, **options):
    row = claims.judge(pd.DataFrame([claim(mirna, direction)]), table, **options).iloc[0]
    return row["verdict"], row["reason"]


def test_all_shipped_claims_are_sound():
    table = claims.load()
    assert {"30_hcc"} <= set(table["page"])
    mature = panel.mirnas().query("level == 'mature'")["name"]
    assert table["mirna"].isin(mature).all()
    assert table["direction"].isin(["up", "down"]).all()
    assert table["source"].str.fullmatch(r".+ (19|20)\d\d").all()


def test_claims_are_chosen_by_page_and_contrast():
    table = claims.load("30_hcc", "tumour against normal")
    assert set(table["page"]) == {"30_hcc"}
    assert len(table) >= 10
    with pytest.raises(DataError, match="no claim of the page '99_no'"):
        claims.load("99_no")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("hsa-miR-21-5p", "hsa-mir-21", "line 3 .*mature name"),
        ("up", "higher", "line 3 .*up or down"),
        ("10.1007/", "https://doi.org/10.1007/", "line 3 .*DOI"),
        (",higher,", ",,", "line 3 .*is empty"),
        ("hsa-miR-21-5p", "hsa-miR-93-5p", "line 3 .*occurs twice"),
    ],
)
def test_a_wrong_entry_is_named_with_its_line(tmp_path, old, new, message):
    path = tmp_path / "claims.csv"
    first = LINE.replace("hsa-miR-21-5p", "hsa-miR-93-5p")
    path.write_text("\n".join([HEADER, first, LINE]))
    assert len(claims.load(path=path)) == 2
    path.write_text("\n".join([HEADER, first, LINE.replace(old, new, 1)]))
    with pytest.raises(DataError, match=message):
        claims.load(path=path)


def test_other_columns_and_other_files_are_refused(tmp_path):
    path = tmp_path / "claims.csv"
    path.write_text("mirna,doi\nhsa-miR-21-5p,10.1/x\n")
    with pytest.raises(DataError, match="expected the columns page"):
        claims.load(path=path)
    with pytest.raises(DataError, match="cannot be read"):
        claims.load(path=tmp_path / "none.csv")


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ((2.0, 1.0, 3.0), ("agrees", "")),
        ((-2.0, -3.0, -1.0), ("disagrees", "")),
        ((2.0, -1.0, 5.0), ("cannot tell", "the interval holds 0")),
        ((2.0, 0.0, 5.0), ("cannot tell", "the interval holds 0")),
        ((2.0, np.nan, np.nan), ("cannot tell", "no interval: too few donors")),
        ((np.nan, np.nan, np.nan), ("cannot tell", "no effect was estimated")),
        ((2.0, 1.0, 3.0, "C"), ("cannot tell", "not graded well enough")),
    ],
)
def test_an_effect_agrees_disagrees_or_cannot_tell(row, expected):
    table = effects(hsa_miR_21_5p=row)
    assert verdict("hsa-miR-21-5p", "up", table, min_grade="B") == expected
    if expected[0] != "cannot tell":
        assert verdict("hsa-miR-21-5p", "down", table)[0] != expected[0]
    assert verdict("hsa-miR-22-3p", "up", table) == ("cannot tell", "not among the miRNAs of the run")


def test_greyed_mirnas_and_other_limits():
    table = effects(hsa_miR_21_5p=(2.0, 1.0, 3.0)).assign(lower_total=-1.0, upper_total=5.0)
    assert verdict("hsa-miR-21-5p", "up", table.assign(greyed=True))[1] == "not graded well enough"
    assert verdict("hsa-miR-21-5p", "up", table, limits=("lower_total", "upper_total"))[0] == "cannot tell"
    assert verdict("hsa-miR-21-5p", "up", table.drop(columns="grade"))[0] == "agrees"


def test_a_stem_loop_stands_for_its_major_arm_alone():
    table = effects(hsa_mir_21=(2.0, 1.0, 3.0))
    known = panel.single_locus().set_index("mature")["r_stemloop"]
    assert known["hsa-miR-21-5p"] > 0.9 > known["hsa-miR-21-3p"]
    assert verdict("hsa-miR-21-5p", "up", table)[0] == "agrees"
    assert verdict("hsa-miR-21-3p", "up", table) == ("cannot tell", "not among the miRNAs of the run")


def test_of_several_stem_loops_the_most_cautious_decides():
    both = {"hsa_mir_199a_1": (-2.0, -3.0, -1.0), "hsa_mir_199a_2": (-0.5, -1.1, 0.1)}
    assert verdict("hsa-miR-199a-5p", "down", effects(**both)) == ("cannot tell", "the interval holds 0")
    one = {"hsa_mir_199a_1": both["hsa_mir_199a_1"]}
    assert verdict("hsa-miR-199a-5p", "down", effects(**one))[0] == "agrees"
    apart = one | {"hsa_mir_199a_2": (0.5, 0.4, 0.6)}
    assert verdict("hsa-miR-199a-5p", "up", effects(**apart))[1] == "its stem-loops go different ways"
    badly_graded = one | {"hsa_mir_199a_2": (0.5, 0.4, 0.6, "D")}
    assert verdict("hsa-miR-199a-5p", "down", effects(**badly_graded), min_grade="C")[0] == "agrees"


def test_verdicts_are_counted():
    table = effects(hsa_miR_21_5p=(2.0, 1.0, 3.0), hsa_miR_93_5p=(-2.0, -3.0, -1.0))
    three = pd.DataFrame([claim("hsa-miR-21-5p"), claim("hsa-miR-93-5p"), claim("hsa-miR-22-3p")])
    judged = claims.judge(three, table.set_index("mirna"))
    assert claims.counts(judged) == {"agrees": 1, "disagrees": 1, "cannot_tell": 1}
    assert judged["judged_by"].tolist() == ["hsa-miR-21-5p", "hsa-miR-93-5p", ""]


def test_what_cannot_be_judged_is_refused():
    table = effects(hsa_miR_21_5p=(2.0, 1.0, 3.0))
    one = pd.DataFrame([claim("hsa-miR-21-5p")])
    with pytest.raises(DataError, match="one contrast at a time"):
        claims.judge(pd.DataFrame([claim("hsa-miR-21-5p"), claim("hsa-miR-21-5p", contrast="b")]), table)
    with pytest.raises(DataError, match="twice"):
        claims.judge(one, pd.concat([table, table]))
    with pytest.raises(DataError, match="lower_total absent"):
        claims.judge(one, table, limits=("lower_total", "upper"))
    with pytest.raises(DataError, match="grade absent"):
        claims.judge(one, table.drop(columns="grade"), min_grade="B")
    with pytest.raises(ParameterError, match="min_grade"):
        claims.judge(one, table, min_grade="E")


def test_the_table_of_a_page_links_each_doi():
    judged = claims.judge(
        pd.DataFrame([claim("hsa-miR-21-5p"), claim("hsa-miR-22-3p", "down")]),
        effects(hsa_miR_21_5p=(2.0, 1.0, 3.0)),
    )
    shown = BeautifulSoup(report.literature(judged).data, "html.parser")
    assert [link["href"] for link in shown.find_all("a")] == ["https://doi.org/10.1/x"] * 2
    rows = [[cell.get_text() for cell in row.find_all("td")] for row in shown.find_all("tr")][1:]
    assert rows[0][3:] == ["2.00 (1.00 to 3.00)", "A", "agrees"]
    assert rows[1][1] == "down: found"
    assert rows[1][3:] == ["–", "–", "cannot tell (not among the miRNAs of the run)"]
