"""The sorted copy of an atlas says what the tables say, and is not asked when it could say something else."""

import os
import shutil
import signal
import sys
import warnings

import atlas_store as atlas
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from sicmir import cli
from sicmir.atlas import compact as copies
from sicmir.atlas import meta, store
from sicmir.atlas.check import check
from sicmir.atlas.compact import TABLES, compact, usable
from sicmir.atlas.expression import expression, gene_expression, targeting
from sicmir.atlas.links import network
from sicmir.atlas.query import Atlas
from sicmir.atlas.tables import KEYS, SCHEMAS
from sicmir.errors import ParameterError, ReadError, WriteError

pytestmark = pytest.mark.filterwarnings("ignore:.*the sorted copy is out of date")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made") / "store"
    atlas.put(folder)
    atlas.put(folder, "two", seed=1, disease="flu", condition_key="condition", normal="healthy")
    return folder


@pytest.fixture
def folder(made, tmp_path):
    """A store with a copy."""
    shutil.copytree(made, tmp_path / "store")
    shutil.copy(made.parent / "cells-0.h5ad", tmp_path)
    compact(tmp_path / "store")
    return tmp_path / "store"


def asked(folder):
    """Data sets for which the copy answers."""
    found = usable(folder, store.read_records(folder))
    return found.datasets if found else None


def truth(folder, name):
    """A table of all data sets, from their own files by pandas."""
    tables = [atlas.read(folder, name, one).assign(dataset=one) for one in store.datasets(folder)]
    return tidy(pd.concat(tables), name)


def told(folder, name):
    with Atlas(folder) as opened:
        return tidy(opened.sql(f"SELECT * FROM {name}"), name)


def tidy(rows, name):
    keys = ["dataset", *KEYS[name]]
    return rows[["dataset", *SCHEMAS[name].names]].sort_values(keys, ignore_index=True)


def assert_answers_are_those_of_the_tables(folder):
    for name in SCHEMAS:
        pd.testing.assert_frame_equal(told(folder, name), truth(folder, name), check_dtype=False)


def test_a_copy_answers_what_the_tables_say_and_leaves_them_as_they_are(made, folder):
    assert asked(made) is None
    assert asked(folder) == {"one", "two"}
    assert_answers_are_those_of_the_tables(folder)
    assert atlas.contents(made).items() <= atlas.contents(folder).items()
    assert check(folder) == (2, [], [], [])
    with Atlas(made) as plain, Atlas(folder) as sooner:
        for label in ("cell_type", "condition", "donor", "disease", "tissue", "dataset"):
            assert sooner.values(label) == plain.values(label)
        for question in (meta.markers, meta.similar):
            pd.testing.assert_frame_equal(question(sooner, "type 0"), question(plain, "type 0"))
        facts = "SELECT DISTINCT dataset, tissue, tissue_id, disease, disease_id FROM {} ORDER BY ALL"
        for name in SCHEMAS:
            one, other = sooner.sql(facts.format(name)), plain.sql(facts.format(name))
            pd.testing.assert_frame_equal(one, other)
        assert not (sooner.pools("two").X != plain.pools("two").X).any()


def test_rows_are_sorted_by_what_is_asked_for(folder):
    for name in TABLES:
        (path,) = (folder / "compact").glob(f"{name}-*.parquet")
        rows = pd.read_parquet(path)
        keys = [*KEYS[name][:2], "dataset", *KEYS[name][2:]]
        pd.testing.assert_frame_equal(rows, rows.sort_values(keys, kind="stable", ignore_index=True))


def test_what_is_added_replaced_or_removed_later_is_told_beside_the_copy(folder):
    copied = {name: part for name, part in atlas.contents(folder).items() if name.startswith("compact")}
    atlas.put(folder, "three", seed=2)
    assert asked(folder) == {"one", "two"}
    assert_answers_are_those_of_the_tables(folder)
    atlas.put(folder, part_cells=12, overwrite=True)
    assert asked(folder) == {"two"}
    assert_answers_are_those_of_the_tables(folder)
    assert set(told(folder, "mirna").query("dataset == 'one'")["n_parts"]) == {2}
    store.remove("two", folder)
    assert asked(folder) == set()
    assert_answers_are_those_of_the_tables(folder)
    found = check(folder)
    assert found[:3] == (2, [], [])
    assert "it answers for 0 of 2 data sets" in found.remarks[0]
    now = {name: part for name, part in atlas.contents(folder).items() if name.startswith("compact")}
    assert now == copied
    compact(folder)
    assert asked(folder) == {"one", "three"}
    assert_answers_are_those_of_the_tables(folder)
    assert len(list((folder / "compact").iterdir())) == len(TABLES) + 2
    assert check(folder) == (2, [], [], [])


def altered(path, column, change):
    """Change a column of a Parquet file, with its time as it was."""
    before = path.stat()
    content = pq.ParquetFile(path).read()
    values = pa.array([change(value) for value in content[column].to_pylist()], content[column].type)
    place = content.schema.get_field_index(column)
    pq.write_table(content.set_column(place, content.schema.field(column), values), path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_an_altered_copy_is_not_asked_and_is_named(folder):
    (path,) = (folder / "compact").glob("markers-*.parquet")
    altered(path, "effect", lambda value: None if value is None else value + 3)
    assert asked(folder) is None
    assert_answers_are_those_of_the_tables(folder)
    (found,) = check(folder).problems
    assert (found.dataset, found.file) == ("", f"compact/{path.name}")
    assert "does not match its checksum" in found.problem
    compact(folder)
    assert asked(folder) == {"one", "two"}
    assert not check(folder).problems


def test_a_bit_that_flips_with_size_and_times_kept_is_named(folder):
    (path,) = (folder / "compact").glob("genes-*.parquet")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    with path.open("r+b") as file:
        file.write(content)
    assert asked(folder) is None
    assert "does not match its checksum" in check(folder).problems[0].problem


def test_a_copy_whose_checksums_were_made_right_again_is_named(folder):
    (path,) = (folder / "compact").glob("markers-*.parquet")
    place = folder / "compact"
    altered(path, "effect", lambda value: None if value is None else value + 3)
    note = copies._note(place)
    note["files"]["markers"] |= copies.source_facts(path) | {"name": path.name}
    (place / "record.json").write_text(copies.json.dumps(copies.records.seal(note)))
    (found,) = check(folder).problems
    assert found.file == f"compact/{path.name}"
    assert "says something else than the tables of one, two" in found.problem


@pytest.mark.parametrize("file", ["record.json", "stamps.json", "mirna-*.parquet"])
@pytest.mark.parametrize("damage", ["gone", "torn"])
def test_a_torn_copy_is_not_asked(folder, file, damage):
    (path,) = (folder / "compact").glob(file)
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert asked(folder) is None
    assert_answers_are_those_of_the_tables(folder)
    problems = check(folder).problems
    assert [one.file for one in problems] == ([] if file == "stamps.json" else [f"compact/{path.name}"])


def test_a_data_set_whose_table_was_altered_is_not_answered_from_the_copy(folder):
    altered(atlas.file(folder, "markers"), "effect", lambda value: value)
    assert asked(folder) == {"two"}
    (found,) = check(folder).problems
    assert found.dataset == "one"


def test_a_store_that_was_moved_to_another_disk_answers_from_its_tables(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "moved")
    assert asked(tmp_path / "moved") is None
    assert_answers_are_those_of_the_tables(tmp_path / "moved")
    found = check(tmp_path / "moved")
    assert found[:3] == (2, [], [])
    assert "out of date, it answers for 0 of 2 data sets" in found.remarks[0]
    compact(tmp_path / "moved")
    assert check(tmp_path / "moved") == (2, [], [], [])
    assert asked(tmp_path / "moved") == {"one", "two"}


def test_what_cannot_be_copied(folder, tmp_path, monkeypatch):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ReadError, match="holds no data set"):
        compact(tmp_path / "empty")
    before = atlas.contents(folder)
    atlas.file(folder, "genes").write_bytes(b"")
    with pytest.raises(ReadError, match="genes-.*missing, altered or damaged"):
        compact(folder)
    atlas.file(folder, "genes").write_bytes(
        before[atlas.file(folder, "genes").relative_to(folder).as_posix()]
    )
    assert atlas.contents(folder) == before
    real = copies._sorted

    def replaced(home, found, name, place):
        if name == "markers":
            atlas.put(folder, part_cells=12, overwrite=True)
        return real(home, found, name, place)

    monkeypatch.setattr(copies, "_sorted", replaced)
    with pytest.raises(ReadError, match="replaced or removed while they were copied"):
        compact(folder)
    assert check(folder)[:3] == (2, [], [])


def new_cells(folder):
    """Put other cells under the name of a data set: no table stays."""
    atlas.put(folder, adata=atlas.cells(7), overwrite=True)


def once(real, change):
    """The function, and a change before its first call."""
    left = [change]

    def late(*arguments):
        if left:
            left.pop()()
        return real(*arguments)

    return late


CHANGES = [new_cells, lambda folder: store.remove("one", folder)]


@pytest.mark.parametrize("change", CHANGES, ids=["replaced", "removed"])
@pytest.mark.parametrize("moment", ["_verify", "_sorted", "_all"])
def test_a_copy_beside_a_writer_says_what_happened(folder, monkeypatch, change, moment):
    before = asked(folder)
    monkeypatch.setattr(copies, moment, once(getattr(copies, moment), lambda: change(folder)))
    with pytest.raises(ReadError, match="replaced or removed while they were copied. Give the command again"):
        compact(folder)
    assert asked(folder) == before - {"one"}
    compact(folder)
    assert asked(folder) == set(store.datasets(folder))


@pytest.mark.parametrize("change", CHANGES, ids=["replaced", "removed"])
@pytest.mark.parametrize("moment", ["damage", "_differing"])
def test_check_beside_a_writer_names_no_copy_that_is_whole(folder, monkeypatch, change, moment):
    monkeypatch.setattr(copies, moment, once(getattr(copies, moment), lambda: change(folder)))
    assert check(folder).problems == []


def test_damage_to_a_copy_is_found_beside_a_writer_too(folder, monkeypatch):
    (path,) = (folder / "compact").glob("markers-*.parquet")
    path.write_bytes(b"")
    monkeypatch.setattr(copies, "damage", once(copies.damage, lambda: new_cells(folder)))
    assert [one.file for one in check(folder).problems] == [f"compact/{path.name}"]


@pytest.mark.skipif(sys.platform == "win32", reason="no limit to the size of files")
def test_a_full_disk_leaves_the_old_copy_and_names_the_folder(folder):
    import resource

    before = atlas.contents(folder)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, limits[1]))
    try:
        with pytest.raises(WriteError, match="compact: cannot be written .*has room"):
            compact(folder)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, ignored)
    assert atlas.contents(folder) == before
    assert asked(folder) == {"one", "two"}


def test_a_copy_that_is_out_of_date_is_told(folder, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Atlas(folder).close()
    assert CliRunner().invoke(cli.app, ["atlas", "list", "--store", str(folder)]).stderr == ""
    for name in ("one", "two"):  # as a backup does
        os.link(atlas.file(folder, "genes", name), tmp_path / f"{name}.parquet")
    with pytest.warns(UserWarning, match="answers for 0 of 2 data sets.* Run sicmir atlas compact"):
        Atlas(folder).close()
    listed = CliRunner().invoke(cli.app, ["atlas", "list", "--store", str(folder)])
    assert listed.exit_code == 0
    assert "the sorted copy is out of date" in listed.stderr
    checked = CliRunner().invoke(cli.app, ["atlas", "check", "--store", str(folder)])
    assert checked.exit_code == 0
    assert "the sorted copy is out of date" in checked.stdout
    compact(folder)
    assert check(folder).remarks == []


def test_answers_are_the_same_to_the_last_bit(folder, tmp_path):
    """Rows of the copy lie in another order, and those of several threads come in any."""
    for seed in (2, 3):
        atlas.put(folder, f"set{seed}", seed=seed)
    shutil.copytree(folder, tmp_path / "plain", ignore=shutil.ignore_patterns("compact"))
    compact(folder)
    with Atlas(folder) as sooner, Atlas(tmp_path / "plain") as plain:
        mirna = plain.trust.index[0]
        for ask in (
            lambda opened: meta.markers(opened, "type 0"),
            lambda opened: meta.markers(opened, "type 0", across="fixed"),
            lambda opened: meta.difference(opened, "flu"),
            lambda opened: meta.similar(opened, "type 0"),
            lambda opened: expression(opened, cell_type="type 0"),
            lambda opened: expression(opened, mirna, by=["tissue"]),
            lambda opened: gene_expression(opened, ""),
            lambda opened: targeting(opened, ""),
            lambda opened: network(opened, "", "type 1"),
        ):
            pd.testing.assert_frame_equal(ask(sooner), ask(plain), check_exact=True)


def test_two_copies_at_once_are_refused(folder):
    from sicmir.streams.part_folder import PartFolder

    with (
        PartFolder(folder / "compact", {"x": "y"}),
        pytest.raises(ParameterError, match="is being written by another process"),
    ):
        compact(folder)


def test_an_atlas_that_is_open_while_its_copy_is_replaced_says_so(folder):
    with Atlas(folder) as opened:
        store.remove("two", folder)
        compact(folder)
        with pytest.raises(ReadError, match="since the atlas was opened. Open it again"):
            opened.sql("SELECT * FROM mirna")
