"""Parsed files, kept as ``.h5ad`` so that nothing is parsed twice."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

import anndata as ad
import pandas as pd

from sicmir import paths
from sicmir.data.fetching import fetch_file
from sicmir.data.manifest import FileEntry
from sicmir.data.readers import read
from sicmir.errors import ParameterError

_PACKAGES = ("rdata", "pandas", "anndata")


def fingerprint(package: Path) -> str:
    """Hash of all that decides what a file is parsed into: sources, landmark table, versions of packages.

    Parameters
    ----------
    package
        Folder of the package's sources.
    """
    sources = [*sorted((package / "data").glob("*.py")), package / "names" / "gene_names.py"]
    hasher = hashlib.sha256(" ".join(f"{name} {version(name)}" for name in _PACKAGES).encode())
    for path in (*sources, paths.reference("landmarks.csv")):
        hasher.update(f"\0{path.name}\0".encode() + path.read_bytes())
    return hasher.hexdigest()


def parsed_path(entry: FileEntry) -> Path:
    """Where the parsed form of a file is kept; named by checksum, reader, its arguments and fingerprint."""
    if entry.reader is None:
        raise ParameterError(f"{entry.name}: the manifest names no reader for this file.")
    key = json.dumps(
        [entry.checksum, entry.reader, entry.arguments, fingerprint(Path(__file__).parents[1])],
        sort_keys=True,
    )
    return paths.cache() / "parsed" / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.h5ad"


def read_entry(entry: FileEntry, progress: bool = True) -> ad.AnnData:
    """Read a file of the manifest, from its parsed form where there is one.

    A parsed form that cannot be read, as a truncated one cannot, is removed and made again.

    Parameters
    ----------
    entry
        File with a reader.
    progress
        Whether to show a bar for a download.

    Returns
    -------
    AnnData
        As the reader gives it, with the file recorded in ``uns["sicmir"]["sources"]``.

    Raises
    ------
    FetchError, ReadError, DataError
        As fetching and the reader do.
    """
    kept = parsed_path(entry)
    source = fetch_file(entry, progress)
    if kept.is_file():
        with suppress(Exception):  # whatever h5py makes of damaged bytes: parse again
            return ad.read_h5ad(kept)
        with suppress(OSError):
            kept.unlink()
    adata = read(source, str(entry.reader), **entry.arguments)
    adata.uns["sicmir"]["sources"] = source_table(
        [(entry.name, entry.checksum, source.stat().st_size, entry.url)]
    )
    with suppress(OSError), paths.replacing(kept) as part:  # a cache that cannot be written only costs time
        adata.write_h5ad(part)
    return adata


def source_table(rows: list[tuple[str, str, int, str]]) -> pd.DataFrame:
    """Table of source files: name, checksum, bytes, url."""
    table = pd.DataFrame(rows, columns=["name", "checksum", "bytes", "url"])
    table.index = table.index.astype(str)
    return table
