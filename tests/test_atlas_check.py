"""Every kind of damage to an atlas is found, and named with its data set and file."""

import shutil

import atlas_store as atlas
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sicmir.atlas import check as checks
from sicmir.atlas import record, scan, store
from sicmir.atlas.check import check
from sicmir.atlas.identity import source_facts
from sicmir.atlas.query import Atlas
from sicmir.atlas.tables import write_table
from sicmir.errors import ReadError


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made") / "store"
    atlas.put(folder)
    atlas.put(folder, "two", seed=1)
    return folder


@pytest.fixture
def folder(made, tmp_path):
    shutil.copytree(made, tmp_path / "store")
    return tmp_path / "store"


def truncated(folder):
    path = atlas.file(folder, "mirna")
    path.write_bytes(path.read_bytes()[:-100])


def flipped(folder):
    path = atlas.file(folder, "genes")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def missing(folder):
    atlas.file(folder, "markers").unlink()


def emptied(folder):
    atlas.file(folder, "targets").write_bytes(b"")


def of_the_other(folder):
    shutil.copyfile(atlas.file(folder, "mirna", "two"), atlas.file(folder, "mirna"))


def no_parquet(folder):
    atlas.file(folder, "genes").write_bytes(b"not Parquet")
    resealed(folder, "genes")


def swapped(folder):
    atlas.alter(folder, lambda found: found["files"].update(mirna=found["files"]["genes"]))


def no_record(folder):
    (atlas.home(folder) / record.RECORD).unlink()


def torn_record(folder):
    path = atlas.home(folder) / record.RECORD
    path.write_text(path.read_text()[:200])


def altered_record(folder):
    atlas.alter(folder, lambda found: found["tissue"].update(name="other tissue"), seal=False)


def renamed_folder(folder):
    atlas.home(folder).rename(folder / "dataset=three")


def other_model(folder):
    atlas.alter(folder, lambda found: found["model"].update(sha256="0" * 64), "two")


def newer_format(folder):
    atlas.alter(folder, lambda found: found.update(format=99))


def short_record(folder):
    atlas.alter(folder, lambda found: found.pop("counts"))


def unknown_table(folder):
    atlas.alter(folder, lambda found: found["files"].pop("targets"))


def foreign_file(folder):
    (atlas.home(folder) / "notes.txt").write_text("hello")


def foreign_folder(folder):
    (folder / "other").mkdir()


def no_name(folder):
    atlas.home(folder).rename(folder / "dataset=.. one")


def file_for_folder(folder):
    shutil.rmtree(atlas.home(folder))
    atlas.home(folder).write_text("x")


def edited(table, change, sort=True):
    """Change the values of a table, with name, checksums and number of rows made right again."""

    def damage(folder):
        path = atlas.file(folder, table)
        frame = change(atlas.read(folder, table))
        if sort:
            write_table(frame, table, path)
        else:
            content = pq.ParquetFile(path).read()
            pq.write_table(content.take(pa.array(frame.index.to_numpy())), path)
        resealed(folder, table)

    return damage


def resealed(folder, table, rows=True):
    path = atlas.file(folder, table)

    def change(found):
        facts = source_facts(path)
        found["files"][table] |= {"sha256": facts["sha256"], "bytes": facts["bytes"]}
        if rows and path.read_bytes()[:4] == b"PAR1":
            found["files"][table]["rows"] = pq.read_metadata(path).num_rows

    atlas.alter(folder, change)


def retyped(folder):
    path = atlas.file(folder, "mirna")
    content = pq.ParquetFile(path).read()
    place = content.schema.get_field_index("n_cells")
    pq.write_table(content.set_column(place, "n_cells", content["n_cells"].cast(pa.int64())), path)
    resealed(folder, "mirna")


def without_column(folder):
    path = atlas.file(folder, "mirna")
    pq.write_table(pq.ParquetFile(path).read().drop_columns(["lower"]), path)
    resealed(folder, "mirna")


def fewer_rows(folder):
    path = atlas.file(folder, "genes")
    pq.write_table(pq.ParquetFile(path).read().slice(1), path)
    resealed(folder, "genes", rows=False)


def put(column, value, row=0):
    def change(frame):
        frame.loc[row, column] = value
        return frame

    return change


def miscounted(folder):
    atlas.alter(folder, lambda found: found["counts"].update(n_cells=7))


def counted_pairs(folder):
    atlas.alter(folder, lambda found: found["targets"].update(n_pairs=7))


def without_a_mirna(frame):
    return frame[frame["mirna"] != frame["mirna"][0]]


def first_row_twice(frame):
    return frame.iloc[[0, *range(len(frame))]]


KINDS = {
    truncated: ("one", "mirna-", "bytes; the record says"),
    flipped: ("one", "genes-", "does not match its checksum"),
    missing: ("one", "markers-", "the table is missing"),
    emptied: ("one", "targets-", "has 0 bytes"),
    of_the_other: ("one", "mirna-", "record says|checksum"),
    no_parquet: ("one", "genes-", "cannot be read as Parquet"),
    swapped: ("one", "genes-", "its columns are not those of the table mirna"),
    no_record: ("one", "record.json", "the record is missing"),
    torn_record: ("one", "record.json", "truncated or no record"),
    altered_record: ("one", "record.json", "does not match its own checksum"),
    renamed_folder: ("three", "record.json", "is that of the data set 'one'"),
    other_model: ("two", "record.json", "is not that of one"),
    newer_format: ("one", "record.json", "expected the format 2 of records, found 99"),
    short_record: ("one", "record.json", "counts missing or of another kind"),
    unknown_table: ("one", "record.json", "names the tables"),
    foreign_file: ("one", "notes.txt", "is no part of this data set"),
    foreign_folder: ("", "other", "is no part of an atlas"),
    no_name: (".. one", "record.json", "expected a name of at most 64"),
    file_for_folder: ("one", "record.json", "truncated or no record|missing"),
    retyped: ("one", "mirna-", "columns of another type: n_cells"),
    without_column: ("one", "mirna-", "its columns are not those of the table mirna: lower"),
    fewer_rows: ("one", "genes-", "rows; the record says"),
    miscounted: ("one", "mirna-", "144 cells in all groups; the record says 7"),
    counted_pairs: ("one", "targets-", "another number than the record says"),
    edited("mirna", lambda frame: frame.iloc[1:]): ("one", "mirna-", "some groups lack a miRNA"),
    edited("mirna", first_row_twice): ("one", "mirna-", "a row occurs twice"),
    edited("mirna", lambda frame: frame.iloc[::-1], sort=False): ("one", "mirna-", "its rows are not sorted"),
    edited("mirna", put("predicted", np.nan)): ("one", "mirna-", "a value is missing"),
    edited("mirna", put("predicted", -1.0)): ("one", "mirna-", "a value is negative or infinite"),
    edited("mirna", put("lower", 99.0)): ("one", "mirna-", "a lower bound is above its upper bound"),
    edited("mirna", put("fraction_above", 1.5)): ("one", "mirna-", "a fraction is outside 0 to 1"),
    edited("mirna", put("q75", 0.0)): ("one", "mirna-", "quantiles are not in order"),
    edited("mirna", put("grade", "E")): ("one", "mirna-", "a grade is none"),
    edited("mirna", put("n_cells", 5)): ("one", "mirna-", "several numbers of cells"),
    edited("mirna", put("disease", "flu")): ("one", "mirna-", "the record names another disease"),
    edited("mirna", without_a_mirna): ("one", "mirna-", "the model has 24 miRNAs"),
    edited("genes", put("expression", np.inf)): ("one", "genes-", "negative or infinite"),
    edited("targets", put("gene", "UNKNOWN")): ("one", "targets-", "genes that were not measured"),
    edited("trust", put("mirna", "hsa-mir-1")): ("one", "trust-", "not those of the predictions"),
    edited("markers", put("se", -1.0)): ("one", "markers-", "negative standard error"),
}  # fmt: skip


@pytest.mark.parametrize("damage", KINDS, ids=lambda kind: f"{kind.__name__}: {KINDS[kind][2]}")
def test_damage_is_named(folder, damage):
    dataset, file, told = KINDS[damage]
    damage(folder)
    problems = check(folder).problems
    assert len(problems) == 1, problems
    (found,) = problems
    assert found.dataset == dataset
    assert found.file.startswith(file)
    assert any(part in found.problem for part in told.split("|")), found.problem


def test_whole_stores_have_no_problem(made, tmp_path):
    found = check(made)
    assert found == (2, [], [], [])
    (tmp_path / "empty").mkdir()
    assert check(tmp_path / "empty") == (0, [], [], [])
    with pytest.raises(ReadError, match="there is no atlas"):
        check(tmp_path / "none")


def test_a_file_that_is_there_twice_is_named(folder):
    source = record.read_record(atlas.home(folder))["source"]
    atlas.alter(folder, lambda found: found.update(source=source), "two")
    (found,) = check(folder).problems
    assert (found.dataset, found.file) == ("two", "record.json")
    assert "of the file cells-0.h5ad, as 'one' is: its donors would count twice" in found.problem


def test_what_a_stopped_run_leaves_is_told_apart(folder):
    (folder / ".dataset=three.part").mkdir()
    path = atlas.file(folder, "mirna", "two")
    shutil.copy(path, atlas.home(folder))
    found = check(folder)
    assert found.problems == []
    assert found.leftovers == [".dataset=three.part", f"dataset=one/{path.name}"]


def test_several_data_sets_are_all_named(folder):
    truncated(folder)
    atlas.alter(folder, lambda found: found["tissue"].update(name="x"), "two", seal=False)
    assert {problem.dataset for problem in check(folder).problems} == {"one", "two"}


# Beside a run that replaces or removes what is looked at


def once(change):
    """The change, the first time."""
    left = [change]

    def first():
        if left:
            left.pop()()

    return first


def replace(folder):
    shutil.copy(folder.parent / "made.h5ad", folder.parent / "cells-0.h5ad")
    atlas.put(folder, part_cells=12, overwrite=True)


def remove(folder):
    store.remove("one", folder)


@pytest.fixture
def beside(folder, made):
    shutil.copy(made.parent / "cells-0.h5ad", folder.parent / "made.h5ad")
    return folder


@pytest.mark.parametrize(("change", "n_left"), [(replace, 2), (remove, 1)])
@pytest.mark.parametrize("moment", ["_partition", "_others"])
def test_a_data_set_that_is_replaced_or_removed_meanwhile_is_no_damage(
    beside, monkeypatch, change, n_left, moment
):
    real, first = getattr(checks, moment), once(lambda: change(beside))

    def late(*arguments):
        first()
        return real(*arguments)

    monkeypatch.setattr(checks, moment, late)
    assert check(beside) == (n_left, [], [], [])


@pytest.mark.parametrize(("change", "n_left"), [(replace, 2), (remove, 1)])
@pytest.mark.parametrize(("room", "name"), [(record, "read_record"), (scan, "usable")])
def test_an_atlas_opens_while_a_data_set_is_replaced_or_removed(
    beside, monkeypatch, change, n_left, room, name
):
    real, first = getattr(room, name), once(lambda: change(beside))

    def late(*arguments):
        first()
        return real(*arguments)

    monkeypatch.setattr(room, name, late)
    with Atlas(beside) as opened:
        there = opened.sql("SELECT dataset, max(n_parts) AS n FROM mirna GROUP BY ALL ORDER BY ALL")
        assert there["dataset"].tolist() == opened.registry["dataset"].tolist() == ["one", "two"][-n_left:]
        assert there["n"].tolist() == [2, 3][-n_left:]


@pytest.mark.parametrize("change", [replace, remove])
def test_an_open_atlas_tells_what_happened_from_damage(beside, change):
    with Atlas(beside) as opened:
        change(beside)
        with pytest.raises(ReadError, match="replaced or removed since the atlas was opened. Open it again"):
            opened.sql("SELECT * FROM mirna")
    missing(beside) if change is replace else atlas.file(beside, "markers", "two").unlink()
    with pytest.raises(ReadError, match="look by sicmir atlas check"), Atlas(beside) as damaged:
        damaged.sql("SELECT * FROM markers")
