"""The record of a data set in the atlas, and the registry: the records of all of them as a table."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pandas as pd

from sicmir import paths
from sicmir.atlas.labels import NORMAL
from sicmir.errors import ReadError

FORMAT = 2
"""Of stores; raised where a table or the record changes."""

RECORD = "record.json"

KEYS = {
    "format": int,
    "dataset": str,
    "tissue": dict,
    "disease": dict,
    "normal": list,
    "source": dict,
    "model": dict,
    "options": dict,
    "input": dict,
    "cell_types": list,
    "tissues": list,
    "targets": dict,
    "markers": str,
    "counts": dict,
    "version": str,
    "files": dict,
    "sha256": str,
}
"""What a record holds; ``sha256`` is that of everything else in it, ``markers`` says why there are none."""

REGISTRY = (
    *("dataset", "tissue", "tissue_id", "disease", "disease_id", "n_cells", "n_donors", "n_cell_types"),
    *("n_groups", "n_predicted", "source", "source_sha256", "model", "synthetic", "version", "bytes"),
)
"""Columns of :func:`registry`; ``tissue`` and ``disease`` name all of a data set, joined by commas, of which
``disease_id`` is that of the disease; ``synthetic`` says that the cells, or the samples that the model was
trained on, are made up."""


def seal(record: dict[str, Any]) -> dict[str, Any]:
    """Add the checksum of a record to it."""
    rest = {key: value for key, value in record.items() if key != "sha256"}
    text = json.dumps(rest, sort_keys=True, ensure_ascii=True, allow_nan=False)
    return rest | {"sha256": hashlib.sha256(text.encode()).hexdigest()}


def write_record(record: dict[str, Any], folder: Path) -> None:
    """Write a sealed record in place of the one in a folder, whole or not at all."""
    with paths.replacing(folder / RECORD) as part:
        part.write_text(json.dumps(record, indent=1, sort_keys=True, ensure_ascii=True) + "\n")
        paths.on_disk(part)


def read_record(folder: Path) -> dict[str, Any]:
    """Read the record in the folder of a data set.

    Raises
    ------
    ReadError
        If it is missing, truncated, of another format, or was altered.
    """
    path = folder / RECORD
    try:
        record = json.loads(path.read_text())
    except FileNotFoundError:
        raise ReadError(f"{path}: the record is missing. {_REMEDY}") from None
    except (OSError, ValueError) as error:
        raise ReadError(f"{path}: truncated or no record ({error}). {_REMEDY}") from error
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        found = record.get("format") if isinstance(record, dict) else type(record).__name__
        raise ReadError(
            f"{path}: expected the format {FORMAT} of records, found {found!r}. Use the version of sicmir "
            "that wrote it, or add the data set again."
        )
    wrong = [key for key, kind in KEYS.items() if not isinstance(record.get(key), kind)]
    if wrong:
        raise ReadError(f"{path}: {', '.join(wrong)} missing or of another kind. {_REMEDY}")
    if seal(record)["sha256"] != record["sha256"]:
        raise ReadError(f"{path}: does not match its own checksum: it was altered. {_REMEDY}")
    return record


_REMEDY = "Remove the data set and add it again: sicmir atlas remove NAME."


def row(record: dict[str, Any]) -> dict[str, Any]:
    """Row of :func:`registry`."""
    counts, model = record["counts"], record["model"]
    return dict(
        zip(
            REGISTRY,
            (
                record["dataset"],
                *(
                    ", ".join(filter(None, (one[part] for one in record["tissues"])))
                    for part in ("name", "id")
                ),
                ", ".join([*([NORMAL] if record["normal"] else []), record["disease"]["name"]]),
                record["disease"]["id"],
                *(counts[f"n_{name}"] for name in ("cells", "donors", "cell_types", "groups", "predicted")),
                record["source"]["name"],
                record["source"]["sha256"],
                model["id"],
                model["synthetic"] or record["input"]["synthetic"],
                record["version"],
                sum(file["bytes"] for file in record["files"].values()),
            ),
            strict=True,
        )
    )


def registry(records: list[dict[str, Any]]) -> pd.DataFrame:
    """A row for each data set, with the columns :data:`REGISTRY`, by name."""
    table = pd.DataFrame([row(record) for record in records], columns=list(REGISTRY))
    return table.sort_values("dataset", ignore_index=True)
