"""Where things lie on disk: one answer for every caller, never derived from the working directory."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from uuid import uuid4

import pooch

from sicmir.errors import ParameterError, WriteError


def cache() -> Path:
    """Folder of downloads and parsed tables: ``SICMIR_CACHE``, else the user's cache folder."""
    return Path(os.environ.get("SICMIR_CACHE") or pooch.os_cache("sicmir")).expanduser().resolve()


def mirror() -> str:
    """Folder or base URL of the mirror (``SICMIR_MIRROR``); empty where none is set."""
    return os.environ.get("SICMIR_MIRROR", "").strip()


def atlas(folder: str | Path = "") -> Path:
    """Folder of the atlas: ``folder`` if given, else ``SICMIR_ATLAS``.

    Raises
    ------
    ParameterError
        If neither is given.
    """
    found = str(folder) or os.environ.get("SICMIR_ATLAS", "").strip()
    if not found:
        raise ParameterError(
            "Which atlas? Name its folder, or set the environment variable SICMIR_ATLAS to it."
        )
    return Path(found).expanduser().resolve()


def reference(name: str) -> Path:
    """Path of a reference table shipped inside the package."""
    return Path(str(resources.files("sicmir") / "reference" / name))


def manifest() -> Path:
    """``data_manifest.yaml``: beside the package in a source tree, inside it in an installed wheel."""
    package = Path(str(resources.files("sicmir")))
    beside = package.parent / "data_manifest.yaml"
    return beside if beside.is_file() else package / "data_manifest.yaml"


def project() -> Path:
    """Root of the source tree, which holds ``notebooks/`` and ``book/``.

    Raises
    ------
    ParameterError
        If the package was installed without its source tree.
    """
    root = Path(str(resources.files("sicmir"))).parent
    if not (root / "book" / "pages.yml").is_file():
        raise ParameterError(
            f"The notebooks and the book were expected beside the package in {root}, but book/pages.yml is "
            "not there. Clone the repository and install it with `pip install -e .` to run pages."
        )
    return root


def results(page: str, out_dir: str = "") -> Path:
    """Folder for the tables of a page: ``out_dir`` if given, else ``results/latest/<page>`` of the project.

    The runner of the book gives ``results/<page>`` as ``out_dir``, so a notebook that is run by other means
    never writes over what the book shows. The folder is made if it is not there.
    """
    folder = Path(out_dir).expanduser() if out_dir else project() / "results" / "latest" / page
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def writing(path: str | Path) -> Iterator[None]:
    """Tell in one sentence why the system refused to write to ``path``.

    Raises
    ------
    WriteError
        Naming the path, in place of the OSError, or of the RuntimeError that h5py raises on a full disk.
    """
    try:
        yield
    except (OSError, RuntimeError) as error:
        found = re.search(r"error message = '([^']+)'", str(error))
        reason = found[1] if found else getattr(error, "strerror", None) or str(error)
        raise WriteError(
            f"{path}: cannot be written ({reason}). Choose a folder that may be written to and has room."
        ) from error


def remove(path: Path) -> None:
    """Remove a file or folder, if it is there; where zarr failed, its other threads may still write."""
    for wait in (0, 0.1, 1):
        time.sleep(wait)
        if not path.is_dir():
            path.unlink(missing_ok=True)
            return
        shutil.rmtree(path, ignore_errors=True)


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Give a temporary name beside ``path``; move it to ``path`` on success, remove it on failure.

    A reader therefore sees the old file or the whole new one, never a part.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.stem}.{uuid4().hex[:8]}{path.suffix}")
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def on_disk(*places: Path) -> None:
    """Wait until files, and the names in folders, are on the disk itself; files of a folder are not in it."""
    for path in places:
        if path.is_dir() and os.name == "nt":  # where folders cannot be opened
            continue
        descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
