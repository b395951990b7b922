"""Take the paths of the machine that ran a notebook out of its outputs."""

from __future__ import annotations

import re
import sys
import tempfile
from importlib import resources
from pathlib import Path

import nbformat

from sicmir import paths

_BINARY = ("image/png", "image/jpeg", "image/gif", "application/pdf")


def scrub(notebook: nbformat.NotebookNode, root: Path) -> None:
    """Replace machine paths by neutral names in every text output of ``notebook``, in place.

    Cache, mirror, project, environment, temporary and home folder become ``$SICMIR_CACHE``,
    ``$SICMIR_MIRROR``, ``<project>``, ``<environment>``, ``<temporary>`` and ``~``. What a person wrote (the
    source of cells) is left alone.
    """
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            for key in ("text", "evalue"):
                if key in output:
                    output[key] = scrub_text(output[key], root)
            if "traceback" in output:
                output["traceback"] = [scrub_text(line, root) for line in output["traceback"]]
            for kind, value in output.get("data", {}).items():
                if kind not in _BINARY:
                    output["data"][kind] = _walk(value, root, html=kind in ("text/html", "text/markdown"))


def scrub_text(text: str, root: Path, *, html: bool = False) -> str:
    """Replace machine paths in ``text``; with ``html``, angle brackets of the names are escaped."""
    for path, name in _names(root):
        shown = name.replace("<", "&lt;").replace(">", "&gt;") if html else name
        text = re.sub(rf"(?<![\w.]){re.escape(path)}(?![\w-])", shown.replace("\\", r"\\"), text)
    return text


def _walk(value: object, root: Path, *, html: bool) -> object:
    if isinstance(value, str):
        return scrub_text(value, root, html=html)
    if isinstance(value, list):
        return [_walk(item, root, html=html) for item in value]
    if isinstance(value, dict):
        return {key: _walk(item, root, html=html) for key, item in value.items()}
    return value


def _names(root: Path) -> list[tuple[str, str]]:
    """Machine paths with their neutral names, longest first so that the most telling name wins."""
    folders = [
        (paths.cache(), "$SICMIR_CACHE"),
        (root, "<project>"),
        (Path(str(resources.files("sicmir"))).parent, "<project>"),
        (Path(sys.prefix), "<environment>"),
        (Path(sys.base_prefix) / "lib", "<python>/lib"),
        (Path(tempfile.gettempdir()), "<temporary>"),
        (Path.home(), "~"),
    ]
    mirror = paths.mirror()
    if mirror and "://" not in mirror:
        folders.append((Path(mirror).expanduser().absolute(), "$SICMIR_MIRROR"))
    found = {str(p): name for folder, name in folders for p in (folder, folder.resolve()) if len(p.parts) > 1}
    return sorted(found.items(), key=lambda item: -len(item[0]))
