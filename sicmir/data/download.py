"""One file over HTTPS: resumed where it broke off, checked, moved when it is right."""

from __future__ import annotations

import errno
import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pooch
import requests
from tqdm import tqdm

from sicmir.data.checksum import check_digest, check_size
from sicmir.data.manifest import FileEntry
from sicmir.errors import FetchError

TIMEOUT = (10, 60)
ATTEMPTS = 3
BLOCK = 1 << 13  # what is lost when a connection breaks


THIS_MACHINE = ("127.0.0.1", "::1", "localhost")
"""Hosts that may be asked without encryption."""


class _Encrypted(requests.adapters.HTTPAdapter):
    """What answers for ``http://``, also where a server sends there: it refuses before anything is sent."""

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        if urlsplit(request.url or "").hostname not in THIS_MACHINE:
            raise requests.exceptions.InvalidSchema(f"{request.url} is not encrypted; expected https://")
        return super().send(request, *args, **options)


class NotAvailableError(Exception):
    """An address gave nothing: no network, no such file, or the connection kept breaking."""


def download(url: str, target: Path, entry: FileEntry, progress: bool) -> None:
    """Download ``url`` to ``target``.

    What arrives is kept beside the target as ``.part``; a later call goes on from there if the server
    allows ranges, and starts over if not. Only a file of the right size and checksum becomes ``target``.

    Parameters
    ----------
    url
        Address.
    target
        Final path; its folder is made.
    entry
        Expected size and checksum.
    progress
        Whether to show a bar.

    Raises
    ------
    NotAvailableError
        If the address cannot be reached, has no such file, or is, or leads to, one without TLS.
    FetchError
        If what arrived is not the file, the disk is full, or the cache cannot be written.
    """
    part = target.with_name(target.name + ".part")
    hashed_by_pooch = entry.git_blob_sha1 is None
    remedy = f"It came from {url} and was removed. Run again; if it differs again, the address has changed."
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _room(target.parent, entry, part)

        def stream(address: str, output: str, _: object) -> None:
            _stream(address, part, entry, progress)
            try:
                check_size(part, entry, remedy)
                if not hashed_by_pooch:
                    check_digest(part, entry, remedy)
            except FetchError:
                part.unlink()
                raise
            part.replace(output)

        with _quiet(pooch.get_logger()):
            pooch.retrieve(
                url,
                known_hash=entry.checksum if hashed_by_pooch else None,
                fname=target.name,
                path=target.parent,
                downloader=stream,
            )
    except requests.RequestException as error:
        raise NotAvailableError(_reason(error, part)) from error
    except ValueError as error:  # pooch's word for a wrong checksum; the message gives both
        raise FetchError(f"{target}: {error} {remedy}") from error
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise _disk_full(target.parent, entry) from error
        raise FetchError(
            f"Cannot write {target} ({error.strerror or error}). Make the folder writable or set "
            "SICMIR_CACHE to one "
            "that is."
        ) from error


def _stream(url: str, part: Path, entry: FileEntry, progress: bool) -> None:
    """Append to ``part`` until it is whole; a broken connection is taken up again twice."""
    for attempt in range(ATTEMPTS):
        have = part.stat().st_size if part.exists() else 0
        if entry.bytes is not None and have == entry.bytes:
            return
        if entry.bytes is not None and have > entry.bytes:
            part.unlink()
            have = 0
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
        try:
            with requests.Session() as session, _got(session, url, headers) as response:
                if response.status_code == requests.codes.requested_range_not_satisfiable:
                    part.unlink()
                    continue
                response.raise_for_status()
                resumed = response.status_code == requests.codes.partial_content
                _write(response, part, have if resumed else 0, entry, progress)
            return
        except requests.exceptions.ChunkedEncodingError:
            if attempt == ATTEMPTS - 1:
                raise
    raise requests.exceptions.ConnectionError(f"{url} refused every range that was asked for")


def _got(session: requests.Session, url: str, headers: dict[str, str]) -> requests.Response:
    session.mount("http://", _Encrypted())
    return session.get(url, stream=True, timeout=TIMEOUT, headers=headers)


def _write(response: requests.Response, part: Path, have: int, entry: FileEntry, progress: bool) -> None:
    with (
        part.open("ab" if have else "wb") as handle,
        tqdm(
            desc=Path(entry.name).name,
            total=entry.bytes,
            initial=have,
            unit="B",
            unit_scale=True,
            leave=False,
            **({} if progress else {"disable": True}),  # not disable=False, which would overrule TQDM_DISABLE
        ) as bar,
    ):
        for block in response.iter_content(BLOCK):
            handle.write(block)
            bar.update(len(block))
            if entry.bytes is not None and handle.tell() > entry.bytes:
                break  # longer than it may be: the size check refuses it


def _room(folder: Path, entry: FileEntry, part: Path) -> None:
    """Refuse beforehand a download that the disk cannot hold."""
    missing = (entry.bytes or 0) - (part.stat().st_size if part.exists() else 0)
    if shutil.disk_usage(folder).free < missing:
        raise _disk_full(folder, entry)


def _disk_full(folder: Path, entry: FileEntry) -> FetchError:
    free = shutil.disk_usage(folder).free
    return FetchError(
        f"{folder}: the disk is full: {entry.name} needs {entry.bytes or 'an unknown number of'} bytes, "
        f"{free} are "
        "free. Make room, or set SICMIR_CACHE to a folder on another disk."
    )


def _reason(error: requests.RequestException, part: Path) -> str:
    """Say in one line what went wrong; the libraries nest three messages."""
    if isinstance(error, requests.exceptions.InvalidSchema):
        return str(error)
    if error.response is not None:
        return f"the server answered {error.response.status_code} {error.response.reason}"
    cause = error.args[0] if error.args else error
    kept = part.stat().st_size if part.exists() else 0
    ending = f"; {kept} bytes are kept and the next run goes on from there" if kept else ""
    return f"no connection: {getattr(cause, 'reason', cause)}{ending}"


@contextmanager
def _quiet(logger: logging.Logger) -> Iterator[None]:
    """Silence a logger that announces each download; the bar does that."""
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)
