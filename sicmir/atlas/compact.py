"""A sorted copy of the tables of all data sets: a question to a large store opens a file instead of hundreds.

The copy lies in the folder ``compact`` of a store and may be deleted. It answers for the data sets whose
record is the one that was copied; those that were added or replaced since are read from their own tables, so
that adding one needs no new copy at once. Nothing is answered from a copy that could differ from what was
written: it is left aside as soon as the disk tells another size, time or number for its files or for the
tables that were copied, as after moving a store to another disk or a backup by hard links; :func:`remark`
says so, :func:`compact` makes it anew. Its checksums, and that it says what the tables say, are looked at by
:func:`sicmir.atlas.check.check`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import duckdb
import pandas as pd

from sicmir import paths
from sicmir.atlas import record as records
from sicmir.atlas import store
from sicmir.atlas.identity import source_facts
from sicmir.atlas.tables import KEYS, SCHEMAS, connect
from sicmir.data.checksum import digest
from sicmir.errors import ReadError
from sicmir.streams.part_folder import PartFolder

TABLES = ("mirna", "genes", "markers", "targets")
"""What is copied; of the table ``trust`` all data sets of a store say the same."""

ROW_GROUP = 1 << 15
"""Rows whose range of names is told in the file: what a question has to read at least."""

FORMAT, _STAMPS = 1, "stamps.json"


class Copy(NamedTuple):
    """A copy that can be asked: its files by table, and the data sets that it answers for."""

    files: dict[str, Path]
    datasets: set[str]


def compact(folder: str | Path = "") -> Path:
    """Write the sorted copy of an atlas, in place of an older one.

    Parameters
    ----------
    folder
        Of the store; "" takes that of the environment variable ``SICMIR_ATLAS``.

    Returns
    -------
    Folder of the copy, within the store.

    Raises
    ------
    ParameterError
        If another process is making one.
    ReadError
        If there is no store, it is empty or damaged, or data sets were replaced or removed meanwhile.
    WriteError
        If there is no room.
    """
    home = paths.atlas(folder)
    out, found = home / store.COMPACT, store.read_records(home)
    if not found:
        raise ReadError(f"{home}: the atlas holds no data set. Add one by sicmir atlas add.")
    with PartFolder(out, {"datasets": str(len(found))}, overwrite=True) as part, paths.writing(out):
        fresh = part.path / ".new"
        paths.remove(fresh)
        fresh.mkdir()
        before = _stamps(home, found)
        with _undisturbed(home, found, before):
            _verify(home, found)
            files = {name: _sorted(home, found, name, fresh) for name in TABLES}
        note = {"format": FORMAT, "datasets": {one["dataset"]: one["sha256"] for one in found}}
        note = records.seal(note | {"files": files})
        (fresh / records.RECORD).write_text(json.dumps(note, indent=1, sort_keys=True))
        own = {file["name"]: _stamp(fresh / file["name"]) for file in files.values()}
        (fresh / _STAMPS).write_text(json.dumps({"copy": own, "tables": before}))
        paths.on_disk(*fresh.iterdir(), fresh)
        gone = home / f"{store.REMOVED}{uuid4().hex[:8]}"
        with store.locked(home):
            if out.exists():
                out.rename(gone)
            fresh.rename(out)
            paths.on_disk(home)
            for path in home.glob(f"{store.REMOVED}*"):  # also of a run that was stopped
                paths.remove(path)
    return out


def usable(home: Path, found: Sequence[Mapping[str, Any]]) -> Copy | None:
    """Copy that can be asked in place of the tables of some of the records; None if there is none.

    Parameters
    ----------
    home
        Folder of the store.
    found
        Records of its data sets.
    """
    place = home / store.COMPACT
    try:
        note, stamps = _note(place), json.loads((place / _STAMPS).read_text())
        files = {name: place / note["files"][name]["name"] for name in TABLES}
        if any(_stamp(path) != stamps["copy"][path.name] for path in files.values()):
            return None
        same = [one for one in found if note["datasets"].get(one["dataset"]) == one["sha256"]]
        now = _stamps(home, same)
        return Copy(files, {name for name, own in now.items() if stamps["tables"].get(name) == own})
    except (ReadError, OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def remark(home: Path, found: Sequence[Mapping[str, Any]], copy: Copy | None) -> str:
    """Say that the copy is out of date; "" if there is none, or it answers for all data sets.

    Parameters
    ----------
    home, found
        As for :func:`usable`.
    copy
        What that gives.
    """
    n = len(copy.datasets) if copy else 0
    if n == len(found) or not (home / store.COMPACT).exists():
        return ""
    return (
        f"{home}: the sorted copy is out of date, it answers for {n} of {len(found)} data sets. The others "
        "are read from their own tables: right, but slower where they are many. Run sicmir atlas compact."
    )


def damage(home: Path, found: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    """What is wrong with the copy, file by file: its checksums, and where it differs from the tables.

    Parameters
    ----------
    home, found
        As for :func:`usable`, of data sets that are whole.
    """
    place = home / store.COMPACT
    if not place.exists():
        return
    try:
        note = _note(place)
    except ReadError as error:
        yield f"{place.name}/{records.RECORD}", str(error)
        return
    same = [one for one in found if note["datasets"].get(one["dataset"]) == one["sha256"]]
    for name in TABLES:
        stated = note["files"].get(name, {})
        path = place / str(stated.get("name"))
        file = f"{place.name}/{path.name}"
        try:
            if digest(path, "sha256") != stated.get("sha256"):
                yield file, f"does not match its checksum: it was altered or damaged. {_REMEDY}"
                continue
            odd = _differing(home, same, name, path)
        except (OSError, duckdb.Error) as error:
            yield file, f"cannot be read ({error}). {_REMEDY}"
            continue
        if odd:
            yield file, f"says something else than the tables of {', '.join(odd)}. {_REMEDY}"


_REMEDY = "Remove it, or make it anew by sicmir atlas compact."


def _note(place: Path) -> dict[str, Any]:
    """What the copy says of itself."""
    try:
        note = json.loads((place / records.RECORD).read_text())
        whole = note["format"] == FORMAT and records.seal(note)["sha256"] == note["sha256"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ReadError(f"truncated, or no copy ({error}). {_REMEDY}") from error
    if not whole:
        raise ReadError(f"of another format, or altered. {_REMEDY}")
    return dict(note)


def _stamp(path: Path) -> list[int]:
    """What the disk tells of a file, which no change of its content leaves as it is."""
    found = path.stat()
    return [found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns]


def _stamps(home: Path, found: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, list[int]]]:
    """Stamps of the tables of data sets that are copied; none for a data set of which one is gone."""
    stamps = {}
    for one in found:
        files = (_table(home, one, name) for name in TABLES)
        try:
            stamps[one["dataset"]] = {path.name: _stamp(path) for path in files}
        except FileNotFoundError:
            continue
    return stamps


def _table(home: Path, record: Mapping[str, Any], name: str) -> Path:
    return store.partition(home, record["dataset"]) / record["files"][name]["name"]


def _verify(home: Path, found: Sequence[Mapping[str, Any]]) -> None:
    """Refuse to copy a table that is not the one of its record."""
    for one in found:
        for name in TABLES:
            path = _table(home, one, name)
            if not path.is_file() or digest(path, "sha256") != one["files"][name]["sha256"]:
                raise ReadError(f"{path}: missing, altered or damaged; look by sicmir atlas check.")


@contextmanager
def _undisturbed(
    home: Path, found: Sequence[Mapping[str, Any]], before: dict[str, dict[str, list[int]]]
) -> Iterator[None]:
    """Tell a data set that was replaced or removed meanwhile from damage, and both from a full disk."""
    error: ReadError | OSError | duckdb.Error | None = None
    try:
        yield
    except (ReadError, OSError, duckdb.Error) as caught:
        error = caught
    if len(store.unchanged(home, found)) < len(found) or (error is None and _stamps(home, found) != before):
        raise ReadError(
            f"{home}: data sets were replaced or removed while they were copied. Give the command again."
        ) from error
    if isinstance(error, duckdb.Error):
        raise OSError(str(error).partition("\n")[0]) from error
    if error:
        raise error


def _sorted(home: Path, found: Sequence[Mapping[str, Any]], name: str, folder: Path) -> dict[str, Any]:
    """Write the copy of a table; what is noted of the file."""
    path = folder / f"{name}.parquet"
    keys = [*KEYS[name][:2], "dataset", *KEYS[name][2:]]
    with connect() as connection:
        connection.execute("SET temp_directory = $place", {"place": str(folder / ".sorting")})
        tables = _all(connection, home, found, name)
        tables.order(", ".join(keys)).write_parquet(str(path), compression="zstd", row_group_size=ROW_GROUP)
    facts = source_facts(path)
    last = store.table_name(name, facts["sha256"])
    path.rename(folder / last)
    return facts | {"name": last}


def _all(
    connection: duckdb.DuckDBPyConnection, home: Path, found: Sequence[Mapping[str, Any]], name: str
) -> duckdb.DuckDBPyRelation:
    """Rows of a table of all data sets, with their names."""
    rows = [(str(_table(home, one, name)), one["dataset"]) for one in found]
    connection.register("of", pd.DataFrame(rows, columns=["filename", "dataset"]))
    files = connection.read_parquet([file for file, _ in rows], filename=True, hive_partitioning=False)
    files.create_view("rows", replace=True)
    columns = ", ".join(f'"{column}"' for column in SCHEMAS[name].names)
    return connection.sql(f"SELECT dataset, {columns} FROM rows JOIN of USING (filename)")


def _differing(home: Path, found: Sequence[Mapping[str, Any]], name: str, path: Path) -> list[str]:
    """Data sets of which the copy of a table has other rows than the table."""
    if not found:
        return []
    columns = ", ".join(f'"{column}"' for column in SCHEMAS[name].names)
    seen = f"dataset, count(*) AS n, bit_xor(hash({columns})) AS x, sum(hash({columns})::HUGEINT) AS s"
    with connect() as connection:
        truth = _all(connection, home, found, name).aggregate(seen, "dataset").df()
        copy = connection.read_parquet(str(path), hive_partitioning=False)
        there = copy.aggregate(seen, "dataset").df()
    both = truth.merge(there, on="dataset", how="left", suffixes=("", "_there"))
    same = pd.concat([both[one] == both[f"{one}_there"] for one in ("n", "x", "s")], axis=1).all(axis=1)
    return sorted(both.loc[~same, "dataset"])
