"""Whether a file is the one that the manifest means: size first, then checksum."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from pathlib import Path

import pooch

from sicmir import paths
from sicmir.data.manifest import FileEntry
from sicmir.errors import FetchError

NOTED_FROM = 256_000_000  # bytes; what is smaller is hashed in about a second, and always


def digest(path: Path, algorithm: str) -> str:
    """Hexadecimal digest of a file; ``git_blob_sha1`` as ``git hash-object`` gives it."""
    if algorithm != "git_blob_sha1":
        return pooch.file_hash(str(path), alg=algorithm)
    hasher = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
    with path.open("rb") as handle:
        while block := handle.read(1 << 20):
            hasher.update(block)
    return hasher.hexdigest()


def check_size(path: Path, entry: FileEntry, remedy: str) -> None:
    """Compare the size of a file with its entry.

    Raises
    ------
    FetchError
        If it differs.
    """
    size = path.stat().st_size
    if entry.bytes is not None and size != entry.bytes:
        raise FetchError(f"{path}: expected {entry.bytes} bytes, found {size}. {remedy}")


def check_digest(path: Path, entry: FileEntry, remedy: str) -> None:
    """Compare the checksum of a file with its entry.

    Raises
    ------
    FetchError
        If it differs.
    """
    algorithm, expected = entry.checksum.split(":")
    found = digest(path, algorithm)
    if found != expected:
        raise FetchError(f"{path}: expected {algorithm} {expected}, found {found}. {remedy}")


def verify(path: Path, entry: FileEntry, remedy: str) -> None:
    """Compare a file with its entry, size first.

    Files below 256 MB are hashed every time. A larger file that was right before is not hashed again while
    its size and time of change stay the same; the note of that is kept in the cache under ``verified``.

    Parameters
    ----------
    path
        The file.
    entry
        What it should be.
    remedy
        What the user can do; the end of the error.

    Raises
    ------
    FetchError
        If size or checksum differ.
    """
    check_size(path, entry, remedy)
    stat = path.stat()
    if stat.st_size < NOTED_FROM:
        check_digest(path, entry, remedy)
        return
    state = f"{stat.st_size} {stat.st_mtime_ns}"
    key = hashlib.sha256(f"{path.resolve()}\n{entry.checksum}".encode()).hexdigest()[:32]
    note = paths.cache() / "verified" / key
    with suppress(OSError):
        if note.read_text() == state:
            return
    check_digest(path, entry, remedy)
    with suppress(OSError), paths.replacing(note) as part:  # a cache that cannot be written only costs time
        part.write_text(state)
