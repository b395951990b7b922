"""Add many files to the atlas, several at once by Dask; each becomes whole or not at all, by itself."""

from __future__ import annotations

import csv
import logging
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from tqdm import tqdm

from sicmir.atlas.add import Added, add
from sicmir.errors import ParameterError, ReadError, SicmirError
from sicmir.model import Bundle
from sicmir.networks.targets import SOURCES

NEEDED = ("source", "dataset", "tissue", "disease")
"""What has to be said of each file."""


class Failed(NamedTuple):
    """A file that could not be added, and why."""

    source: str
    dataset: str
    problem: str


class AddedMany(NamedTuple):
    """What :func:`add_many` did, both in the order of the list."""

    added: list[Added]
    failed: list[Failed]

    def summary(self) -> str:
        """Say in plain sentences what is in the atlas now, one a line."""
        n_there = sum(one.unchanged for one in self.added)
        lines = [one.summary().partition("\n")[0] for one in self.added if not one.unchanged]
        lines.append(
            f"{len(self.added) - n_there} added, {n_there} there already, {len(self.failed)} failed."
        )
        return "\n".join(lines)


def add_many(sources: Sequence[Mapping[str, Any]], *, workers: int = 1, **common: Any) -> AddedMany:
    """Add files to the atlas as :func:`sicmir.atlas.add.add` does, one after the other or several at once.

    A file that cannot be added leaves the others as they are, and is told at the end. The same call goes on
    where one was stopped: what is in the atlas already, from the same file, options and model, stays.

    Parameters
    ----------
    sources
        A mapping a file: the arguments of :func:`sicmir.atlas.add.add` by name, :data:`NEEDED` among them.
    workers
        Files that are worked on at once, each in a process of one thread; more than 1 need Dask. A script
        that asks for them has its work under ``if __name__ == "__main__":``.
    **common
        Arguments for all files, such as ``folder`` and ``model``; those of a file go first.

    Returns
    -------
    AddedMany
        What any number of workers would have done.

    Raises
    ------
    ParameterError
        Before anything is added: if there is no file, a file or a name is given twice or missing, an
        argument is unknown, or Dask is wanted and not installed.
    """
    if workers < 1:
        raise ParameterError(f"workers={workers}: expected 1 or more.")
    tasks = [dict(common) | dict(one) for one in sources]
    _check(tasks)
    done: dict[int, Added | Failed] = {}
    with _runner(min(workers, len(tasks))) as run, tempfile.TemporaryDirectory() as place:
        bar = tqdm(total=len(tasks), unit="file")
        for number, found in run(_portable(tasks, Path(place)) if workers > 1 else tasks):
            done[number] = found
            bar.update()
        bar.close()
    results = [done[number] for number in range(len(tasks))]
    added = [one for one in results if isinstance(one, Added)]
    return AddedMany(added, [one for one in results if isinstance(one, Failed)])


def read_list(path: str | Path) -> list[dict[str, Any]]:
    """Read a list of files to add.

    Parameters
    ----------
    path
        ``.yaml``: a list of mappings of arguments of :func:`sicmir.atlas.add.add`; or ``.csv``: a column an
        argument, a row a file, empty where the default is meant. All paths are relative to the list.

    Raises
    ------
    ReadError
        If it cannot be read, or is no such list.
    ParameterError
        If an argument is unknown or has a value of another kind.
    """
    place = Path(path).expanduser()
    try:
        if place.suffix == ".csv":
            rows: Any = _csv_rows(place)
        else:
            rows = yaml.safe_load(place.read_text())
    except (OSError, ValueError, csv.Error, yaml.YAMLError) as error:
        raise ReadError(f"{place}: cannot be read as .yaml or .csv ({error}).") from error
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ReadError(f"{place}: expected a list with the arguments of each file, {', '.join(NEEDED)} ...")
    return [_row(f"{place}, entry {number}", row, place) for number, row in enumerate(rows, 1)]


def _csv_rows(place: Path) -> list[dict[str, str]]:
    """Rows of a table by its head, without fields that are empty."""
    with place.open(newline="", encoding="utf-8-sig") as file:
        lines = csv.reader(file, strict=True)
        head = next(lines, [])
        if not head:
            raise ReadError(f"{place}: cannot be read as .yaml or .csv (no head).")
        twice = {name for name in head if head.count(name) > 1}
        if twice:
            raise ReadError(f"{place}: several columns {', '.join(sorted(twice))}; keep one of each.")
        rows = []
        for fields in lines:
            if fields and len(fields) != len(head):
                raise ReadError(
                    f"{place}, line {lines.line_num}: {len(fields)} fields, expected the {len(head)} of the "
                    "head. Put a text that holds a comma in quotes."
                )
            if any(fields):
                rows.append({name: field for name, field in zip(head, fields, strict=True) if field})
    return rows


def _row(where: str, row: dict[str, Any], place: Path) -> dict[str, Any]:
    """Arguments of an entry, of the kinds that they are meant to be."""
    kinds = _arguments()
    found: dict[str, Any] = {}
    for name, value in row.items():
        if name not in kinds:
            raise ParameterError(f"{where}: there is no argument {name!r}; there are {', '.join(kinds)}.")
        kind = {"bool": bool, "int": int}.get(kinds[name], str)
        if place.suffix == ".csv" and kind is not str:
            words = {"true": True, "false": False} if kind is bool else {}
            value = int(value) if kind is int and value.isdigit() else words.get(value.lower(), value)
        if type(value) is not kind:
            wanted = {bool: "true or false", int: "a whole number", str: "text, in quotes"}[kind]
            raise ParameterError(f"{where}, {name}: expected {wanted}, found {value!r}.")
        found[name] = value
    for name in _PATHS:
        if found.get(name) and found[name] not in _NO_PATHS.get(name, ()):
            found[name] = str(place.parent / Path(found[name]).expanduser())
    return found


_PATHS = ("source", "cell_type_map", "targets", "model", "folder")
_NO_PATHS: dict[str, Collection[str]] = {"targets": SOURCES, "model": ("default",)}
"""Arguments that are paths, and names that are none."""


def _arguments() -> dict[str, str]:
    """Arguments of :func:`sicmir.atlas.add.add` and their types, by name."""
    return {name: str(kind) for name, kind in add.__annotations__.items() if name != "return"}


def _check(tasks: Sequence[Mapping[str, Any]]) -> None:
    if not tasks:
        raise ParameterError("There is no file to add.")
    seen: dict[str, int] = {}
    sources: dict[tuple[Path, str], int] = {}
    for number, one in enumerate(tasks, 1):
        missing = [name for name in NEEDED if not str(one.get(name) or "").strip()]
        odd = sorted(one.keys() - _arguments().keys())
        if missing or odd:
            what = f"{', '.join(missing)} missing" if missing else f"there is no argument {', '.join(odd)}"
            raise ParameterError(f"File {number}, {one.get('source', '')}: {what}.")
        name = str(one["dataset"]).lower()
        if name in seen:
            raise ParameterError(
                f"Files {seen[name]} and {number} are both to be the data set {one['dataset']!r}."
            )
        seen[name] = number
        file = Path(one["source"]).expanduser().resolve(), str(one.get("folder") or "")
        if file in sources:
            raise ParameterError(
                f"Files {sources[file]} and {number} are both {file[0]}: its donors would count twice."
            )
        sources[file] = number


def _portable(tasks: Sequence[Mapping[str, Any]], place: Path) -> list[dict[str, Any]]:
    """Arguments that can be sent to another process: a bundle as the folder that holds it."""
    made = [dict(one) for one in tasks]
    folders: dict[str, Path] = {}
    for one in made:
        if isinstance(bundle := one.get("model"), Bundle):
            key = bundle.content_sha256
            folders[key] = folders.get(key) or bundle.save(place / f"model-{len(folders)}")
            one["model"] = folders[key]
    return made


def _one(task: Mapping[str, Any]) -> Added | Failed:
    try:
        return add(**task)
    except Exception as error:  # whatever it is, the others go on
        problem = str(error) if isinstance(error, SicmirError) else f"{type(error).__name__}: {error}"
        return _failed(task, problem)


def _failed(task: Mapping[str, Any], problem: str) -> Failed:
    return Failed(str(task["source"]), str(task["dataset"]), problem)


_Run = Callable[[Sequence[Mapping[str, Any]]], Iterator[tuple[int, Added | Failed]]]


@contextmanager
def _runner(workers: int) -> Iterator[_Run]:
    """A function that gives number and result of each task as it is done."""
    if workers == 1:
        yield lambda tasks: ((number, _one(task)) for number, task in enumerate(tasks))
        return
    try:
        import dask
        from distributed import Client, LocalCluster
    except ImportError:
        raise ParameterError(
            "Several workers need Dask, which is not installed: pip install 'sicmir[dask]', or workers=1."
        ) from None
    # A busy machine is slow to start them; how much memory a file needs is told by none before it is read.
    patience = {f"distributed.comm.timeouts.{name}": "10 minutes" for name in ("connect", "tcp")}
    own = {"threads_per_worker": 1, "memory_limit": None, "dashboard_address": None}
    with (
        dask.config.set(patience),
        LocalCluster(n_workers=workers, silence_logs=logging.ERROR, **own) as cluster,
        Client(cluster, set_as_default=False, timeout=600) as client,
    ):
        yield partial(_by_dask, client)


def _by_dask(client: Any, tasks: Sequence[Mapping[str, Any]]) -> Iterator[tuple[int, Added | Failed]]:
    from distributed import as_completed

    places = {client.submit(_one, task, pure=False): number for number, task in enumerate(tasks)}
    for future in as_completed(places, loop=client.loop):
        number, error = places[future], future.exception()
        problem = f"its worker died, most likely for want of memory ({error}). Add it with fewer workers."
        yield number, _failed(tasks[number], problem) if error else future.result()
