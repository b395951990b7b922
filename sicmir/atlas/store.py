"""The folder of an atlas: where a data set lies, and how it gets there and leaves, whole or not at all."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import pandas as pd
from filelock import FileLock

from sicmir import paths
from sicmir.atlas import record as records
from sicmir.errors import ParameterError, ReadError

PREFIX, COMPACT, REMOVED = "dataset=", "compact", ".removed-"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


def check_name(dataset: str) -> str:
    """Refuse names that could leave the store or differ from each other by nothing that a disk can see.

    Raises
    ------
    ParameterError
        If it is not made of letters, digits, ``_``, ``-`` and ``.``, the first a letter or digit, 64 at most.
    """
    if not _NAME.fullmatch(dataset):
        raise ParameterError(
            f"The data set {dataset!r}: expected a name of at most 64 letters, digits, '_', '-' and '.', "
            "with a letter or digit first."
        )
    return dataset


def partition(store: Path, dataset: str) -> Path:
    """Folder of a data set."""
    return store / f"{PREFIX}{check_name(dataset)}"


def datasets(store: Path) -> list[str]:
    """Names of the data sets of a store, sorted.

    Raises
    ------
    ReadError
        If there is no such folder.
    """
    if not store.is_dir():
        raise ReadError(f"{store}: there is no atlas. Make one by sicmir atlas add.")
    found = (path.name for path in store.iterdir() if path.name.startswith(PREFIX))
    return sorted(name.removeprefix(PREFIX) for name in found)


def read_records(store: Path) -> list[dict[str, Any]]:
    """Records of all data sets of a store, by name.

    Raises
    ------
    ReadError
        If a record cannot be used, or data sets are of different models.
    """
    found = [one for name in datasets(store) if (one := record_of(store, name))]
    for one in found:
        check_model(one["model"], found[:1])
    return found


def unchanged(store: Path, found: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Those of some records whose data set nobody replaced or removed since they were read."""
    same = []
    for one in found:
        try:
            now = records.read_record(partition(store, one["dataset"]))
        except ReadError:
            continue
        if now["sha256"] == one["sha256"]:
            same.append(now)
    return same


def record_of(store: Path, dataset: str) -> dict[str, Any] | None:
    """Record of a data set; None if another process removed it meanwhile.

    Raises
    ------
    ReadError
        If it cannot be used.
    """
    home = partition(store, dataset)
    try:
        return records.read_record(home)
    except ReadError:
        # Another process may have removed it meanwhile, or removed it and added it anew.
        return records.read_record(home) if home.exists() else None


def registry(folder: str | Path = "") -> pd.DataFrame:
    """The data sets of an atlas: what they are, where they come from, by which model.

    Parameters
    ----------
    folder
        Of the store; "" takes that of the environment variable ``SICMIR_ATLAS``.

    Returns
    -------
    DataFrame
        A row a data set, the columns :data:`sicmir.atlas.record.REGISTRY`.

    Raises
    ------
    ParameterError
        If there is no folder.
    ReadError
        If there is no store, or a record cannot be used.
    """
    return records.registry(read_records(paths.atlas(folder)))


def check_model(model: dict[str, Any], others: list[dict[str, Any]]) -> None:
    """Refuse a model that is not that of the other data sets.

    Raises
    ------
    ReadError
        If it differs.
    """
    for other in others:
        if other["model"]["sha256"] != model["sha256"]:
            raise ReadError(
                f"The model {model['id']} ({model['sha256'][:12]}) is not that of {other['dataset']}, "
                f"{other['model']['id']} ({other['model']['sha256'][:12]}): what different models predict "
                "cannot be compared. Make a store for each."
            )


def check_source(record: Mapping[str, Any], others: Iterable[Mapping[str, Any]]) -> None:
    """Refuse a file that is in the store by another name: its donors would count twice.

    Raises
    ------
    ParameterError
        If another data set is made of a file of the same content.
    """
    own = record["source"]["sha256"]
    for other in others:
        if own and other["source"]["sha256"] == own:
            raise ParameterError(
                f"The data set {record['dataset']!r} is made of the file {other['source']['name']}, as "
                f"{other['dataset']!r} is: its donors would count twice. Keep one of them in a store."
            )


def check_fits(store: Path, record: dict[str, Any]) -> None:
    """Refuse a data set that cannot stand beside the others.

    Parameters
    ----------
    store
        Folder of the store; it need not be there.
    record
        Its ``dataset``, ``model`` and ``source``.

    Raises
    ------
    ReadError
        If the others are of another model, or the first of them cannot be used.
    ParameterError
        If the name of one differs from this one by capitals only, or one is made of the same file.
    """
    others = [name for name in datasets(store) if name != record["dataset"]] if store.is_dir() else []
    same = [name for name in others if name.lower() == record["dataset"].lower()]
    if same:
        raise ParameterError(
            f"The data set {record['dataset']!r}: the store has {same[0]!r}, which differs from it by "
            "capitals only. Choose another name."
        )
    check_model(record["model"], [records.read_record(partition(store, name)) for name in others[:1]])
    check_source(record, _readable(store, others))


def _readable(store: Path, names: Iterable[str]) -> Iterator[dict[str, Any]]:
    """Records of data sets, without those that cannot be used: what is wrong with these, check tells."""
    for name in names:
        with suppress(ReadError, ParameterError):
            yield records.read_record(partition(store, name))


@contextmanager
def locked(store: Path) -> Iterator[None]:
    """Keep other writers out of a store while data sets are moved."""
    store.mkdir(parents=True, exist_ok=True)
    with FileLock(store / ".lock"):
        yield


def table_name(name: str, sha256: str) -> str:
    """Name of the file of a table, after its content."""
    return f"{name}-{sha256[:12]}.parquet"


def commit(store: Path, record: dict[str, Any], folder: Path) -> None:
    """Move a data set to its place. A run that is killed leaves the old one or the new one, never a mixture.

    So does a loss of power: what a record names is on the disk before the record is.

    Parameters
    ----------
    store
        Folder of the store.
    record
        Sealed record.
    folder
        Holds the tables that it names, and nothing else; on the same disk.

    Raises
    ------
    ReadError, ParameterError
        As :func:`check_fits`.
    """
    place = partition(store, record["dataset"])
    with locked(store):
        check_fits(store, record)
        paths.on_disk(*folder.iterdir(), folder)
        if place.exists():
            # New tables come first and old ones go last: what the record names is always there.
            for file in folder.iterdir():
                file.replace(place / file.name)
            paths.on_disk(place)
            records.write_record(record, place)
            paths.on_disk(place)
        else:
            records.write_record(record, folder)
            paths.on_disk(folder)
            folder.rename(place)
            paths.on_disk(store)
        _tidy(store, record)


def tidy(store: Path, record: dict[str, Any]) -> None:
    """Remove what runs that were stopped left of a data set, and of data sets that are gone."""
    with locked(store):
        _tidy(store, record)


def _tidy(store: Path, record: dict[str, Any]) -> None:
    wanted = {file["name"] for file in record["files"].values()} | {records.RECORD}
    for path in store.glob(f"{REMOVED}*"):
        paths.remove(path)
    for path in partition(store, record["dataset"]).glob("*"):
        if path.name not in wanted:
            paths.remove(path)


def remove(dataset: str, folder: str | Path = "") -> None:
    """Take a data set out of an atlas; the others are not touched.

    Parameters
    ----------
    dataset
        Its name.
    folder
        As for :func:`registry`.

    Raises
    ------
    ParameterError
        If there is no such data set.
    """
    store = paths.atlas(folder)
    place = partition(store, dataset)
    if dataset not in datasets(store):
        raise ParameterError(
            f"{store} has no data set {dataset!r}; it has {', '.join(datasets(store)) or 'none'}."
        )
    gone = store / f"{REMOVED}{uuid4().hex[:8]}"
    with paths.writing(store), locked(store):
        place.rename(gone)
        paths.on_disk(store)
        paths.remove(gone)
