"""Many files added at once leave what they leave one after the other; those that fail are named."""

import shutil
from functools import partial

import atlas_store as atlas
import distributed
import pandas as pd
import pytest
import small_cells
import yaml
from typer.testing import CliRunner

from sicmir import cli
from sicmir.atlas import add_many as many
from sicmir.atlas import check, store
from sicmir.atlas.add_many import add_many, read_list
from sicmir.errors import ParameterError, ReadError

NAMES = ("one", "two", "three")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Files of three data sets, a model in files, and the store that add leaves, one by one."""
    folder = tmp_path_factory.mktemp("made")
    small_cells.bundle().save(folder / "model")
    for seed, name in enumerate(NAMES):
        atlas.put(folder / "store", name, seed=seed)
    return folder


@pytest.fixture
def files(made, tmp_path):
    for path in made.glob("*.h5ad"):
        shutil.copy(path, tmp_path)
    return tmp_path


def entries(folder):
    facts = {"tissue": "toy tissue", "disease": "normal", "part_cells": 8}
    return [
        {"source": str(folder / f"cells-{seed}.h5ad"), "dataset": name, **facts}
        for seed, name in enumerate(NAMES)
    ]


@pytest.mark.parametrize("workers", [1, 2])
def test_the_same_bytes_as_one_by_one_and_a_broken_file_is_named(made, files, workers):
    broken = files / "broken.h5ad"
    broken.write_bytes((files / "cells-0.h5ad").read_bytes()[:5000])
    listed = entries(files)
    listed.insert(1, {**listed[0], "source": str(broken), "dataset": "bad"})
    given = {"model": small_cells.bundle(), "targets": atlas.targets(), "folder": files / "store"}
    done = add_many(listed, workers=workers, **given)
    assert [one.record["dataset"] for one in done.added] == list(NAMES)
    assert not any(one.unchanged for one in done.added)
    (failed,) = done.failed
    assert (failed.source, failed.dataset) == (str(broken), "bad")
    assert "broken.h5ad" in failed.problem
    assert atlas.contents(files / "store") == atlas.contents(made / "store")
    assert check.check(files / "store") == (3, [], [], [])
    if workers == 1:
        store.remove("two", files / "store")
        again = add_many(entries(files), **given)
        assert [one.unchanged for one in again.added] == [True, False, True]
        assert again.summary().endswith("1 added, 2 there already, 0 failed.")
        assert atlas.contents(files / "store") == atlas.contents(made / "store")


def test_what_nobody_expected_stops_no_other(files, monkeypatch):
    from sicmir.atlas import add

    summarise = add.summarise

    def torn(path, *rest):
        if path.name == "cells-1.h5ad":
            raise ZeroDivisionError("of all things")
        return summarise(path, *rest)

    monkeypatch.setattr(add, "summarise", torn)
    given = {"model": small_cells.bundle(), "targets": "", "folder": files / "store"}
    done = add_many(entries(files), **given)
    assert store.datasets(files / "store") == ["one", "three"]
    assert [tuple(one) for one in done.failed] == [
        (str(files / "cells-1.h5ad"), "two", "ZeroDivisionError: of all things")
    ]


def test_a_worker_that_is_lost_is_told_and_stops_no_other(files, monkeypatch):
    def lost(task):
        if task["dataset"] == "one":
            raise distributed.KilledWorker("one", None, 3)  # which Dask hands back then
        return many.add(**task)

    monkeypatch.setattr(many, "_one", lost)
    monkeypatch.setattr(distributed, "LocalCluster", partial(distributed.LocalCluster, processes=False))
    given = {"model": small_cells.bundle(), "targets": "", "folder": files / "store"}
    done = add_many(entries(files), workers=2, **given)
    assert store.datasets(files / "store") == ["three", "two"]
    assert [one.record["dataset"] for one in done.added] == ["two", "three"]
    (failed,) = done.failed
    assert (failed.source, failed.dataset) == (str(files / "cells-0.h5ad"), "one")
    assert "its worker died, most likely for want of memory" in failed.problem


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda one: one.pop("tissue"), "File 2, .*cells-1.h5ad: tissue missing"),
        (lambda one: one.update(tisue="x"), "no argument tisue"),
        (
            lambda one: one.update(source=one["source"].replace("cells-1", "x/../cells-0")),
            "Files 1 and 2 are both .*cells-0.h5ad: its donors would count twice",
        ),
        (lambda one: one.update(dataset="ONE"), "Files 1 and 2 are both to be the data set 'ONE'"),
    ],
)
def test_a_list_that_does_not_fit_adds_nothing(files, change, told):
    listed = entries(files)
    change(listed[1])
    with pytest.raises(ParameterError, match=told):
        add_many(listed, folder=files / "store")
    assert not (files / "store").exists()


def test_no_file_and_no_worker():
    with pytest.raises(ParameterError, match="no file"):
        add_many([])
    with pytest.raises(ParameterError, match="workers=0"):
        add_many([{}], workers=0)


def test_lists_in_both_formats_say_the_same(tmp_path):
    rows = [
        {"source": "a.h5ad", "dataset": "1", "tissue": "liver", "disease": "normal", "min_cells": 5},
        {"source": "/b.h5ad", "dataset": "b", "tissue": "x", "disease": "y", "overwrite": True},
    ]
    (tmp_path / "list.yaml").write_text(yaml.safe_dump(rows))
    pd.DataFrame(rows).astype({"min_cells": "Int64"}).to_csv(tmp_path / "list.csv", index=False)
    rows[0]["source"] = str(tmp_path / "a.h5ad")
    assert read_list(tmp_path / "list.yaml") == rows
    assert read_list(tmp_path / "list.csv") == rows


def test_a_file_of_the_same_content_is_refused_under_another_name(made, files):
    shutil.copy(files / "cells-0.h5ad", files / "copy.h5ad")
    again = {**entries(files)[0], "source": str(files / "copy.h5ad"), "dataset": "four"}
    given = {"model": made / "model", "targets": "", "folder": files / "store"}
    done = add_many([entries(files)[0], again], **given)
    assert store.datasets(files / "store") == ["one"]
    (failed,) = done.failed
    assert failed.dataset == "four"
    assert "as 'one' is: its donors would count twice" in failed.problem
    store.remove("one", files / "store")
    assert not add_many([again], **given).failed


def test_all_paths_of_a_list_are_relative_to_it(tmp_path):
    paths = {name: f"sub/{name}" for name in ("source", "cell_type_map", "targets", "model", "folder")}
    rows = [
        paths,
        {"source": "a", "targets": "targetscan", "model": "default"},
        {"targets": "", "folder": "/x"},
    ]
    (tmp_path / "list.yaml").write_text(yaml.safe_dump(rows))
    first, second, third = read_list(tmp_path / "list.yaml")
    assert first == {name: str(tmp_path / path) for name, path in paths.items()}
    assert second == {"source": str(tmp_path / "a"), "targets": "targetscan", "model": "default"}
    assert third == {"targets": "", "folder": "/x"}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("source,dataset\na,b\nc,d,\n", "line 3: 3 fields, expected the 2 of the head"),
        ("source,dataset\na,b,\nc,d,\n", "line 2: 3 fields"),
        ("source,dataset\n\na\n", "line 3: 1 fields"),
        ("source,dataset,source\na,b,c\n", "several columns source"),
        ('source,dataset\n"a,b\n', "cannot be read as .yaml or .csv"),
        ("", "cannot be read as .yaml or .csv"),
    ],
)
def test_tables_that_are_refused(tmp_path, text, told):
    (tmp_path / "list.csv").write_text(text)
    with pytest.raises(ReadError, match=told):
        read_list(tmp_path / "list.csv")


@pytest.mark.parametrize(
    ("text", "error", "told"),
    [
        ("a: 1\n", ReadError, "expected a list with the arguments of each file, source"),
        ("- a\n", ReadError, "expected a list"),
        ("- {a: [}\n", ReadError, "cannot be read as .yaml or .csv"),
        ("- {source: a, tisue: x}\n", ParameterError, "entry 1: there is no argument 'tisue'"),
        (
            "- {source: a}\n- {normal: no}\n",
            ParameterError,
            "entry 2, normal: expected text, in quotes, found",
        ),
        ("- {min_cells: 1.5}\n", ParameterError, "min_cells: expected a whole number, found 1.5"),
        ("- {overwrite: 1}\n", ParameterError, "overwrite: expected true or false, found 1"),
    ],
)
def test_lists_that_are_refused(tmp_path, text, error, told):
    (tmp_path / "list.yaml").write_text(text)
    with pytest.raises(error, match=told):
        read_list(tmp_path / "list.yaml")


def test_the_command_names_what_failed_and_goes_on(made, files):
    listed = entries(files)
    for one in listed:
        one["source"] = one["source"].rpartition("/")[2]
    atlas.cells(3).write_h5ad(files / "other.h5ad")
    (files / "list.yaml").write_text(
        yaml.safe_dump([*listed, {**listed[0], "source": "other.h5ad", "dataset": "four", "donor_key": "x"}])
    )
    arguments = ["atlas", "add-all", str(files / "list.yaml"), "--store", str(files / "store")]
    arguments += ["--model", str(made / "model"), "--targets", ""]
    done = CliRunner().invoke(cli.app, arguments)
    assert done.exit_code == 1
    assert "other.h5ad (four): " in done.stderr
    assert "no column 'x' (donor)" in done.stderr
    assert "3 added, 0 there already, 1 failed." in done.stdout
    (files / "list.yaml").write_text(yaml.safe_dump(listed))
    done = CliRunner().invoke(cli.app, arguments)
    assert (done.exit_code, done.stdout) == (0, "0 added, 3 there already, 0 failed.\n")
    assert store.datasets(files / "store") == sorted(NAMES)
