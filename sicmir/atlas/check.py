"""Whether the data sets of an atlas are whole, and what is wrong with those that are not."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from sicmir import paths
from sicmir.atlas import compact, store
from sicmir.atlas import record as records
from sicmir.atlas.tables import KEYS, QUANTILES, SCHEMAS
from sicmir.data.checksum import digest
from sicmir.errors import ParameterError, ReadError
from sicmir.trust import GRADES


class Problem(NamedTuple):
    """What is wrong: of which data set, in which file of it, and how that shows."""

    dataset: str
    file: str
    problem: str


class Checked(NamedTuple):
    """What :func:`check` found.

    Attributes
    ----------
    n_datasets
        Data sets that were looked at.
    problems
        What is damaged.
    leftovers
        Files and folders of runs that were stopped; they do no harm, and the next run that adds or replaces
        that data set removes them.
    remarks
        What is right, but slower than it could be: a sorted copy that is out of date.
    """

    n_datasets: int
    problems: list[Problem]
    leftovers: list[str]
    remarks: list[str]


def check(folder: str | Path = "") -> Checked:
    """Look for damage in an atlas: checksums, columns, numbers of rows, values, what the records say.

    Parameters
    ----------
    folder
        Of the store; "" takes that of the environment variable ``SICMIR_ATLAS``.

    Raises
    ------
    ReadError
        If there is no store.
    """
    place = paths.atlas(folder)
    problems: list[Problem] = []
    leftovers = [path.name for path in place.glob(".*") if path.name != ".lock"]
    first: dict[str, Any] = {}
    whole: list[dict[str, Any]] = []
    n_datasets = 0
    for name in store.datasets(place):
        found = _settled(place / f"{store.PREFIX}{name}", first)
        if found is None:
            continue
        n_datasets += 1
        record, wrong, left = found
        first = first or record
        problems += [Problem(name, *one) for one in wrong]
        leftovers += left
        if not wrong:
            problems += [Problem(name, records.RECORD, one) for one in _twice(record, whole)]
            whole.append(record)
    whole, wrong = _copy(place, whole)
    problems += [Problem("", *one) for one in wrong]
    told = compact.remark(place, whole, compact.usable(place, whole)) if not wrong else ""
    for path in place.iterdir():
        if not path.name.startswith((".", store.PREFIX)) and path.name != store.COMPACT:
            problems.append(Problem("", path.name, "is no part of an atlas"))
    return Checked(n_datasets, problems, sorted(leftovers), [told] if told else [])


_Found = tuple[dict[str, Any], list[tuple[str, str]], list[str]]
"""Record of a data set, what is wrong in which file, and leftovers."""


def _settled(home: Path, first: dict[str, Any]) -> _Found | None:
    """What there is to say of a data set that nobody replaced meanwhile; None if it was removed."""
    while True:
        before = _version(home)
        found = _dataset(home, first)
        after = _version(home)
        if after is None:
            return None
        if after == before:
            return found


def _twice(record: dict[str, Any], others: list[dict[str, Any]]) -> list[str]:
    """That another data set is made of the same file."""
    try:
        store.check_source(record, others)
    except ParameterError as error:
        return [str(error)]
    return []


def _copy(place: Path, whole: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[tuple[str, str]]]:
    """Data sets that nobody replaced meanwhile, and what is wrong with the copy, which nobody did either."""
    while True:
        before = _version(place / store.COMPACT)
        found = list(compact.damage(place, whole))
        same = store.unchanged(place, whole)
        if not found or (len(same) == len(whole) and _version(place / store.COMPACT) == before):
            return same, found
        whole = same


def _version(home: Path) -> bytes | None:
    """What tells the states of a data set apart: its record; None if the data set is gone."""
    try:
        return (home / records.RECORD).read_bytes()
    except OSError:
        return b"" if home.exists() else None


def _dataset(home: Path, first: dict[str, Any]) -> _Found:
    try:
        store.check_name(home.name.removeprefix(store.PREFIX))
        record = records.read_record(home)
    except (ParameterError, ReadError) as error:
        return {}, [(records.RECORD, str(error))], []
    wrong = list(_partition(home, record, first or record))
    left, foreign = _others(home, record)
    return record, [*wrong, *((file, "is no part of this data set") for file in foreign)], left


def _partition(home: Path, record: dict[str, Any], first: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """What is wrong with a data set, file by file."""
    if f"{store.PREFIX}{record['dataset']}" != home.name:
        yield records.RECORD, f"is that of the data set {record['dataset']!r}"
    try:
        store.check_model(record["model"], [first])
    except ReadError as error:
        yield records.RECORD, str(error)
    if set(record["files"]) != set(SCHEMAS):
        yield records.RECORD, f"names the tables {', '.join(record['files'])}; expected {', '.join(SCHEMAS)}"
        return
    tables: dict[str, pd.DataFrame] = {}
    for name, file in record["files"].items():
        found = _file(home / str(file.get("name")), file)
        if isinstance(found, str):
            yield str(file.get("name")), found
            continue
        wrong = _content(found, name, file)
        if wrong:
            yield file["name"], wrong
        else:
            tables[name] = found.to_pandas()
    if len(tables) == len(SCHEMAS):
        yield from ((record["files"][name]["name"], wrong) for name, wrong in _values(tables, record))


def _file(path: Path, stated: dict[str, Any]) -> pa.Table | str:
    """Table of a file, or what is wrong with the file."""
    if path.parent.name != path.parent.resolve().name or not path.is_file():
        return "the table is missing"
    try:
        size = path.stat().st_size
        if size != stated.get("bytes"):
            return f"has {size} bytes; the record says {stated.get('bytes')}"
        if digest(path, "sha256") != stated.get("sha256"):
            return "does not match its checksum: it was altered or damaged"
        return pq.ParquetFile(path).read()
    except FileNotFoundError:
        return "the table is missing"
    except (OSError, pa.ArrowException) as error:
        return f"cannot be read as Parquet ({error})"


def _content(table: pa.Table, name: str, stated: dict[str, Any]) -> str:
    """What is wrong with the shape of a table; "" if nothing is."""
    schema = SCHEMAS[name]
    if table.schema.names != schema.names:
        odd = sorted(set(table.schema.names) ^ set(schema.names)) or table.schema.names
        return f"its columns are not those of the table {name}: {', '.join(odd)}"
    kinds = [field.name for field in schema if table.schema.field(field.name).type != field.type]
    if kinds:
        return f"columns of another type: {', '.join(kinds)}"
    if table.num_rows != stated.get("rows"):
        return f"has {table.num_rows} rows; the record says {stated.get('rows')}"
    empty = [column for column in KEYS[name] if table[column].null_count]
    if empty:
        return f"rows without {', '.join(empty)}"
    place = _places(table, KEYS[name])
    twice = pd.Index(place).duplicated()
    if twice.any():
        row = table.select(list(KEYS[name])).slice(int(np.argmax(twice)), 1).to_pylist()[0]
        return f"a row occurs twice: {', '.join(map(str, row.values()))}"
    return "its rows are not sorted" if (np.diff(place) < 0).any() else ""


def _places(table: pa.Table, keys: Sequence[str]) -> np.ndarray:
    """Numbers that are in order, or equal, as the keys of the rows are."""
    place = np.zeros(table.num_rows, dtype=np.int64)
    for key in keys:
        values = table[key].combine_chunks()
        codes, names = pd.factorize(np.array(values.dictionary.to_pylist(), dtype=object), sort=True)
        place = place * max(len(names), 1) + codes[values.indices.to_numpy(zero_copy_only=False)]
    return place


def _values(tables: dict[str, pd.DataFrame], record: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """What is wrong with the values of tables that are whole."""
    table, counts = tables["mirna"], record["counts"]
    groups = table[[*_GROUP, "n_cells", "abstained"]].astype(dict.fromkeys(_GROUP, str)).drop_duplicates()
    n_mirnas = record["model"]["n_mirnas"]
    shown = ~table["abstained"].to_numpy()
    spread = table[list(QUANTILES)].to_numpy()
    for wrong, text in (
        (table["mirna"].nunique() != n_mirnas, f"the model has {n_mirnas} miRNAs, the table others"),
        (len(table) != len(groups) * n_mirnas, "some groups lack a miRNA, or tell several numbers of cells"),
        (len(groups) != counts["n_groups"], f"{len(groups)} groups; the record says {counts['n_groups']}"),
        (groups["n_cells"].sum() != counts["n_cells"], f"{groups['n_cells'].sum()} cells in all groups; the "
         f"record says {counts['n_cells']}"),
        ((~groups["abstained"]).sum() != counts["n_predicted"], "the record says another number of groups "
         "that are predicted"),
        (not set(table["grade"]) <= {*GRADES, ""}, "a grade is none"),
        ((table["predicted"].notna() != shown).any(), "a value is missing where a group is predicted, or "
         "there where it is abstained"),
        (_beyond(table["predicted"], 0, np.inf) or _beyond(table["variance"], 0, np.inf), "a value is "
         "negative or infinite"),
        ((table["lower"] > table["upper"]).any(), "a lower bound is above its upper bound"),
        (_beyond(table["fraction_above"], 0, 1), "a fraction is outside 0 to 1"),
        ((np.diff(spread, axis=1) < 0).any(), "quantiles are not in order"),
        ((table["n_parts"] < 0).any() or (table["n_cells"] < 1).any(), "a number of cells or parts is wrong"),
        (not set(table["disease"]) <= {record["disease"]["name"], "normal"}, "the record names another "
         "disease"),
    ):  # fmt: skip
        if wrong:
            yield "mirna", text
            return
    genes, pairs = tables["genes"], tables["targets"]
    if _beyond(genes["expression"], 0, np.inf) or set(genes["cell_type"]) - set(table["cell_type"]):
        yield "genes", "an expression is negative or infinite, or of an unknown cell type"
    elif set(pairs["gene"]) - set(genes["gene"]) or len(pairs) != record["targets"]["n_pairs"]:
        yield "targets", "pairs of genes that were not measured, or another number than the record says"
    known = tables["trust"]
    if set(known["mirna"]) != set(table["mirna"]) or not set(known["grade"]) <= {*GRADES, ""}:
        yield "trust", "its miRNAs are not those of the predictions, or a grade is none"
    markers = tables["markers"]
    if set(markers["cell_type"]) - set(table["cell_type"]) or (markers["se"] < 0).any():
        yield "markers", "a cell type that is in no group, or a negative standard error"


_GROUP = ("cell_type", "donor", "condition")


def _beyond(values: pd.Series, low: float, high: float) -> bool:
    known = values.dropna()
    return bool(((known < low) | (known > high) | np.isinf(known)).any())


def _others(home: Path, record: dict[str, Any]) -> tuple[list[str], list[str]]:
    """Files beside those of the record: tables left over from a run that was stopped, and foreign ones."""
    wanted = {records.RECORD, *(str(file.get("name")) for file in record["files"].values())}
    left: list[str] = []
    foreign: list[str] = []
    for path in sorted(home.glob("*")):
        if path.name in wanted:
            continue
        name = path.name.partition("-")[0]
        try:
            ours = path.is_file() and (
                path.name.startswith(".record.")
                or (name in SCHEMAS and path.name == store.table_name(name, digest(path, "sha256")))
            )
        except FileNotFoundError:
            ours = False
        if not ours and not os.path.lexists(path):  # a run that replaces the data set tidied it away
            continue
        (left if ours else foreign).append(f"{home.name}/{path.name}" if ours else path.name)
    return left, foreign
