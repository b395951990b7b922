import pandas as pd
import pytest

from sicmir import panel
from sicmir.errors import DataError, PanelError, ParameterError, UnreachableError
from sicmir.names.gene_symbols import current_symbols
from sicmir.networks import targets


def write(tmp_path, rows, header="mirna,gene"):
    path = tmp_path / "own.csv"
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def test_names_are_brought_to_today_and_everything_is_counted(tmp_path):
    path = write(
        tmp_path,
        [
            "hsa-miR-21,PDCD4,reporter",  # former name of hsa-miR-21-5p
            "hsa-miR-21-5p,PDCD4,western",  # the same pair
            "hsa-miR-21-5p,ARNTL,x",  # former symbol of BMAL1
            "hsa-miR-21-5p,NOSUCHGENE,x",
            "hsa-miR-21-5p,PSME1,x",  # landmark
            "mmu-miR-1a-3p,KRAS,x",
            "hsa-miR-4792,KRAS,x",  # no miRNA any more
        ],
        "mirna,gene,evidence",
    )
    table, report = targets.load_targets(path)
    assert list(table.columns[:5]) == list(targets.COLUMNS)
    assert table[["mirna", "gene"]].to_numpy().tolist() == [
        ["hsa-miR-21-5p", "BMAL1"],
        ["hsa-miR-21-5p", "NOSUCHGENE"],
        ["hsa-miR-21-5p", "PDCD4"],
    ]
    assert table["evidence"].tolist() == ["x", "x", "reporter;western"]
    assert table["n_records"].tolist() == [1, 1, 2]
    assert table["source"].unique().tolist() == ["own.csv"]
    assert table["version"].str.fullmatch(r"not stated \([0-9a-f]{12}\)").all()
    counts = report["n_rows"]
    assert counts["read"] == 7
    assert counts["miRNA unknown: left out"] == 1
    assert counts["miRNA removed: left out"] == 1
    assert counts["miRNA renamed"] == 1
    assert counts["gene renamed"] == 1
    assert counts["gene unknown to HGNC: kept as it is"] == 1
    assert counts["landmark gene: left out"] == 1
    assert counts["pairs, duplicates merged"] == 3
    assert report.loc["miRNA unknown: left out", "examples"] == "mmu-miR-1a-3p"
    inside, _ = targets.load_targets(path, outside_panel=False)
    assert set(inside["gene"]) - set(table["gene"]) == {"PSME1"}


def test_a_family_stands_for_all_its_members(tmp_path):
    mature = panel.mirnas().query("level == 'mature'")
    family = mature.loc[mature["name"] == "hsa-miR-17-5p", "family"].item()
    members = mature.loc[mature["family"].str.split(";").map(lambda names: family in names), "name"]
    assert len(members) > 3
    table, report = targets.load_targets(write(tmp_path, [f"{family},KRAS,0.5"], "mirna,gene,weight"))
    assert sorted(table["mirna"]) == sorted(members)
    assert (table["weight"] == 0.5).all()
    assert report.loc["family put as its members", "n_rows"] == 1


def test_tables_that_cannot_be_used_are_refused(tmp_path):
    with pytest.raises(PanelError, match=r"none of 2 miRNAs \(mmu-miR-21a-5p, cel-let-7\)"):
        targets.load_targets(write(tmp_path, ["mmu-miR-21a-5p,KRAS", "cel-let-7,KRAS"]))
    with pytest.raises(PanelError, match="1 are stem-loops, of which targets cannot be told"):
        targets.load_targets(write(tmp_path, ["hsa-mir-21,KRAS"]))
    with pytest.raises(DataError, match="no pair is left.*landmark gene: left out: 1 rows"):
        targets.load_targets(write(tmp_path, ["hsa-miR-21-5p,PSME1"]))
    with pytest.raises(ParameterError, match="expected 'mirtarbase' or 'targetscan'"):
        targets.load_targets("mirbase")
    good = pd.DataFrame({"mirna": ["a", "a"], "gene": ["x", "y"]})
    targets.check_columns(good)
    for bad, match in (
        (good.drop(columns="gene"), "columns mirna and gene"),
        (good.iloc[:0], "found 0 rows"),
        (good.assign(gene="x"), "1 targets occur twice, the first is a - x"),
        (good.assign(gene=["x", None]), "1 targets lack"),
        (good.assign(weight=[1, 0]), "finite number above 0"),
    ):
        with pytest.raises(DataError, match=match):
            targets.check_columns(bad)


def test_stem_loops_stand_in_for_their_major_arm():
    known = panel.single_locus()
    good = known[known["r_stemloop"] > 0.95].iloc[0]
    bad = known[known["r_stemloop"] < 0.3].iloc[0]
    shared = known[known["stem_loop"].duplicated(keep=False) & (known["r_stemloop"] > 0.9)]
    minor = shared[shared["arm_share"] < 0.4].iloc[0]
    names = [good["mature"], bad["mature"], minor["mature"], "hsa-let-7a-5p"]  # the last has three loci
    table = pd.DataFrame({"mirna": names, "gene": "KRAS"})
    found, report = targets.to_stem_loops(table)
    assert found[["mirna", "mature"]].to_numpy().tolist() == [[good["stem_loop"], good["mature"]]]
    assert found["r_stemloop"].item() == good["r_stemloop"]
    assert report.loc["no stem-loop stands for it: left out", "n_names"] == 3
    with pytest.raises(PanelError, match="None of 1 miRNAs"):
        targets.to_stem_loops(table[-1:])
    with pytest.raises(ParameterError, match="min_r"):
        targets.to_stem_loops(table, min_r=2)


@pytest.mark.real
def test_the_tables_of_the_manifest_are_strict_and_outside_the_panel():
    try:
        strict, _ = targets.load_targets("mirtarbase")
        lenient, report = targets.load_targets("mirtarbase", strict=False, outside_panel=False)
        sites, _ = targets.load_targets("targetscan")
    except UnreachableError as error:
        pytest.skip(str(error))
    known = {
        name: panel.current_mirna_names(t["mirna"].unique()) for name, t in (("a", strict), ("b", sites))
    }
    assert all((names["status"] == "current").all() for names in known.values())
    for table in (strict, sites):
        assert not current_symbols(table["gene"].unique())["landmark"].any()
        assert not table.duplicated(["mirna", "gene"]).any()
    assert len(strict) < len(lenient)
    assert report.loc["gene of another species: left out", "n_rows"] == 85
    assert {"PDCD4", "PTEN"} <= set(strict.loc[strict["mirna"] == "hsa-miR-21-5p", "gene"])
    assert sites["mirna"].nunique() == 385
