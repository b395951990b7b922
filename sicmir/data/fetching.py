"""Where a data set's files are: cache, then mirror, then the public address; always checked.

Files of 256 MB or more are hashed again only when their size or time of change differs from the last check.
"""

from __future__ import annotations

from pathlib import Path

from filelock import AcquireReturnProxy, FileLock

from sicmir import paths
from sicmir.data.checksum import verify
from sicmir.data.download import NotAvailableError, download
from sicmir.data.manifest import FileEntry, load_manifest
from sicmir.errors import FetchError, UnreachableError


def fetch(key: str, progress: bool = True) -> dict[str, Path]:
    """Get every file of a data set.

    Parameters
    ----------
    key
        Data set in the manifest.
    progress
        Whether to show a bar for each download.

    Returns
    -------
    dict
        Name in the manifest -> path. Files of a mirror folder are used where they lie.

    Raises
    ------
    ManifestError
        If the key is unknown.
    UnreachableError
        If neither cache nor mirror nor network has a file.
    FetchError
        If size or checksum differ, the disk is full or the cache cannot be written.
    """
    return {entry.name: fetch_file(entry, progress) for entry in load_manifest()[key].files}


def status(key: str) -> str:
    """Say where a data set would come from, without asking the network and without hashing.

    Returns
    -------
    str
        ``"cached"``, ``"mirror"`` or ``"online"``: the farthest place that one of its files needs.
    """
    states = {_state(entry) for entry in load_manifest()[key].files}
    return next(state for state in ("online", "mirror", "cached") if state in states)


def cache_path(entry: FileEntry) -> Path:
    """Where a downloaded file is kept."""
    return paths.cache() / "files" / entry.name


def fetch_file(entry: FileEntry, progress: bool = True) -> Path:
    """Get one file: from the cache, the mirror, or its address.

    Raises
    ------
    UnreachableError, FetchError
        As :func:`fetch`.
    """
    tried: list[str] = []
    target = cache_path(entry)
    damaged = _look_in_cache(target, entry, tried)
    if target.is_file() and damaged is None:
        return target
    local = _mirror_file(entry)
    if local is not None and local.is_file():
        verify(local, entry, "Replace the file in the mirror, or unset SICMIR_MIRROR.")
        return local
    with _locked(target):
        if target.is_file():
            if _look_in_cache(target, entry, []) is None:  # another process was quicker
                return target
            target.unlink()
        for url in _addresses(entry, tried):
            try:
                download(url, target, entry, progress)
            except NotAvailableError as error:
                tried.append(f"{url} ({error})")
                continue
            return target
    advice = (
        f"Go online, or set SICMIR_MIRROR to a folder or base address that holds {entry.name} (expected "
        f"{entry.checksum})."
    )
    error_class = UnreachableError if damaged is None else FetchError
    raise error_class(f"{entry.name} could not be obtained. Tried: {'; '.join(tried)}. {advice}")


def _look_in_cache(target: Path, entry: FileEntry, tried: list[str]) -> FetchError | None:
    """Note what is in the cache; give the error of a damaged file, which is fetched again."""
    if not target.is_file():
        tried.append(f"cache {target} (not there)")
        return None
    try:
        verify(target, entry, "")
    except FetchError as error:
        tried.append(f"cache {str(error).strip()}")
        return error
    return None


def _addresses(entry: FileEntry, tried: list[str]) -> list[str]:
    mirror = paths.mirror()
    if _is_address(mirror):
        return [f"{mirror.rstrip('/')}/{entry.name}", entry.url]
    if mirror:
        tried.append(f"mirror {Path(mirror) / entry.name} (not there)")
    else:
        tried.append("mirror (SICMIR_MIRROR is not set)")
    return [entry.url]


def _mirror_file(entry: FileEntry) -> Path | None:
    mirror = paths.mirror()
    return Path(mirror).expanduser() / entry.name if mirror and not _is_address(mirror) else None


def _is_address(mirror: str) -> bool:
    return mirror.startswith(("http://", "https://"))


def _state(entry: FileEntry) -> str:
    for state, path in (("cached", cache_path(entry)), ("mirror", _mirror_file(entry))):
        if path is not None and path.is_file() and entry.bytes in (None, path.stat().st_size):
            return state
    return "online"


def _locked(target: Path) -> AcquireReturnProxy:
    """Let one process at a time fetch a file.

    Raises
    ------
    FetchError
        If the cache cannot be written.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        return FileLock(target.with_name(f".{target.name}.lock")).acquire()
    except OSError as error:
        raise FetchError(
            f"Cannot write into the cache folder {target.parent} ({error.strerror or error}). Make it "
            "writable or set "
            "SICMIR_CACHE to a folder that is."
        ) from error
