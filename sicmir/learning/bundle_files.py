"""Files of a bundle: their names, how a folder of them is written whole, and the checks when it is read."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pandas as pd

from sicmir.errors import BundleError

FORMAT = 2
WEIGHTS, DESCRIPTION, TRUST = "weights.safetensors", "model.json", "trust.csv"


def check_free(folder: str | Path, overwrite: bool = False) -> None:
    """Make sure that a bundle may be written to a folder, before work is spent on it.

    Raises
    ------
    BundleError
        If the folder holds a bundle and ``overwrite`` is false, or holds anything else.
    """
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        if not (folder / DESCRIPTION).is_file():
            raise BundleError(f"{folder} is not an empty folder; choose another one for the bundle.")
        if not overwrite:
            raise BundleError(f"{folder} already holds a bundle; choose another folder or remove it.")


@contextmanager
def replacing_folder(folder: Path) -> Iterator[Path]:
    """Give an empty folder that takes the place of ``folder`` when the block ends well, and goes if not."""
    part = folder.with_name(f".{folder.name}.{uuid4().hex[:8]}")
    part.mkdir(parents=True)
    try:
        yield part
        if folder.exists():
            old = folder.with_name(f".{folder.name}.{uuid4().hex[:8]}.old")
            folder.replace(old)
            part.replace(folder)
            shutil.rmtree(old)
        else:
            part.replace(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def read_description(folder: Path) -> dict[str, Any]:
    """Read :data:`DESCRIPTION`, or raise a BundleError if it is missing, damaged or of another format."""
    path = folder / DESCRIPTION
    if not path.is_file():
        raise BundleError(f"{folder}: expected a bundle, but {DESCRIPTION} is not there. Check the path.")
    try:
        description = json.loads(path.read_text())
        stated = description.pop("content_sha256")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BundleError(f"{path}: truncated or not a model description ({error}).") from error
    if description.get("format") != FORMAT:
        raise BundleError(
            f"{path}: expected bundle format {FORMAT}, found {description.get('format')!r}. "
            "Use the version of sicmir that wrote it, or train the model again."
        )
    if content_hash(description) != stated:
        raise BundleError(
            f"{path}: its content does not match its own checksum; it was altered after saving."
        )
    return description


def read_checked(path: Path, stated: str) -> bytes:
    """Read a file of this SHA-256, or raise a BundleError that names it."""
    if not path.is_file():
        raise BundleError(
            f"{path.parent}: expected {path.name}, which is not there. Copy the whole bundle again."
        )
    content = path.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != stated:
        raise BundleError(
            f"{path}: expected SHA-256 {stated}, found {found}. The file is truncated "
            "or was altered; copy or train the bundle again."
        )
    return content


def identity_of(description: dict[str, Any]) -> dict[str, Any]:
    """What the weights file says of itself, so that it cannot pass for that of another bundle."""
    names = {key: hashlib.sha256("\n".join(description[key]).encode()) for key in ("genes", "mirnas")}
    return {"predictor": description["predictor"]} | {f"{k}_sha256": v.hexdigest() for k, v in names.items()}


def content_hash(content: dict[str, Any]) -> str:
    """SHA-256 of what a description says, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def trust_from_csv(content: bytes) -> pd.DataFrame:
    """Read the trust table as it was written."""
    # Only what is empty is missing: a text may well be "NA".
    return pd.read_csv(
        io.BytesIO(content),
        index_col="mirna",
        dtype={"mirna": str},
        keep_default_na=False,
        na_values=[""],
        float_precision="round_trip",
    )
