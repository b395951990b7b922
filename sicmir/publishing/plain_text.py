"""The text of a page for readers without the builder of the book: values, references, boxes as Markdown."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from pathlib import Path

import nbformat

_ENTRY = re.compile(r"^@\w+\{([^,\s]+),(.*?)^\}", re.MULTILINE | re.DOTALL)
_FIELD = re.compile(r"^\s*(author|year|doi)\s*=\s*\{(.*)\},?\s*$", re.MULTILINE)
_GLUE = re.compile(r"\{glue:text\}`([^`:]+)(?::([^`:]+))?`")
_CITE = re.compile(r"\{cite:([pt])\}`([^`]+)`")
_BOX = re.compile(r"^:::+ ?\{(\w+)\} *(.*)\n(?::\w+:.*\n)*", re.MULTILINE)
_BOX_END = re.compile(r"^:::+[ \t]*$", re.MULTILINE)


def make_plain(notebook: nbformat.NotebookNode, bibliography: Path) -> None:
    """Replace what only the book's builder understands in the text of an executed notebook.

    A glued value is written out as the book would show it, a citation becomes author and year with a link,
    a box its title and content. What is not known is left as it stands.

    Parameters
    ----------
    notebook
        Executed; its text is changed in place.
    bibliography
        BibTeX file of the book; without it citations stay.
    """
    values = glued(notebook)
    sources = references(bibliography.read_text(encoding="utf-8")) if bibliography.is_file() else {}

    def value(found: re.Match[str]) -> str:
        name, form = found[1], found[2] or ""
        return format(values[name], form) if name in values else found[0]

    def cited(found: re.Match[str]) -> str:
        keys = [key.strip() for key in found[2].split(",")]
        if not sources.keys() >= set(keys):
            return found[0]
        text = "; ".join(sources[key] for key in keys)
        return text if found[1] == "t" else f"({text})"

    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            text = _CITE.sub(cited, _GLUE.sub(value, cell.source))
            text = re.sub(r"\{doc\}(`[^`]+`)", r"\1", text)
            text = _BOX.sub(lambda found: f"**{found[2] or found[1].capitalize()}**\n\n", text)
            cell.source = _BOX_END.sub("", text).rstrip()


def glued(notebook: nbformat.NotebookNode) -> dict[str, object]:
    """Values that the cells of an executed notebook glued, by name; figures and tables are left out."""
    found: dict[str, object] = {}
    for output in (output for cell in notebook.cells for output in cell.get("outputs", [])):
        record = output.get("metadata", {}).get("scrapbook")
        if record is None:
            continue
        shown = output["data"].get(f"{record['mime_prefix']}text/plain")
        try:
            found[record["name"]] = ast.literal_eval(shown)
        except (SyntaxError, ValueError):  # the repr of an object, or nan
            if shown in ("nan", "inf", "-inf"):
                found[record["name"]] = float(shown)
    return found


def references(bibtex: str) -> Mapping[str, str]:
    """Key → first author and year of each entry, linked to its DOI where it has one."""
    found = {}
    for key, body in _ENTRY.findall(bibtex):
        fields = dict(_FIELD.findall(body))
        first, *others = fields.get("author", key).split(" and ")
        # Braces keep the name of a group whole; of a person, the family name comes first.
        name = first.strip("{}") if first.startswith("{") else first.split(",")[0]
        text = f"{name}{' et al.' if others else ''} {fields.get('year', '')}".strip()
        found[key] = f"[{text}](https://doi.org/{fields['doi']})" if "doi" in fields else text
    return found
