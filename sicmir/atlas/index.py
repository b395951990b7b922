"""One sorted file a table over all data sets, for stores so large that opening each of them takes longest.

An index is only a copy: it is used as long as the data sets are those it was made of, and may be deleted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq

from sicmir import paths
from sicmir.atlas import store
from sicmir.atlas.query import Atlas
from sicmir.atlas.tables import KEYS

ROWS = 30_000
"""Rows of a row group: those of a name lie in few of them."""


def build(folder: str | Path = "") -> Path:
    """Write the index of an atlas; older ones are removed.

    Parameters
    ----------
    folder
        Of the store; "" takes that of the environment variable ``SICMIR_ATLAS``.

    Returns
    -------
    Folder of the index, within the store.

    Raises
    ------
    ReadError
        If there is no store, it is empty or damaged.
    WriteError
        If there is no room.
    """
    home = paths.atlas(folder)
    place = store.index_folder(home, store.read_records(home))
    part = place.with_name(f"{place.name}.{uuid4().hex[:8]}.part")
    with paths.writing(place):
        try:
            part.mkdir()
            with Atlas(home, indexed=False) as atlas:
                for name, keys in KEYS.items():
                    atlas.write_sorted(name, keys, part / f"{name}.parquet", ROWS)
            with store.locked(home):
                for old in home.glob(f"{store.INDEX}*"):
                    if old != part:
                        paths.remove(old)
                part.rename(place)
        finally:
            paths.remove(part)
    return place


def damage(home: Path, found: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """What is wrong with the index of some records, file by file; nothing where there is none."""
    place = store.index_folder(home, found)
    wrong: list[tuple[str, str]] = []
    for name in KEYS if place.is_dir() else ():
        path, file = place / f"{name}.parquet", f"{place.name}/{name}.parquet"
        rows = sum(one["files"][name]["rows"] for one in found)
        try:
            there = pq.read_metadata(path).num_rows
        except (OSError, pa.ArrowException) as error:
            wrong.append((file, f"cannot be read ({error}); make it anew"))
            continue
        if there != rows:
            wrong.append(
                (f"{place.name}/{path.name}", f"has {there} rows, the data sets {rows}; make it anew")
            )
    return wrong
