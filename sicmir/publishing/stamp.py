"""The record of a run, and what is written of it into the page: parameters, how to run it again, status."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import nbformat

from sicmir.publishing import pages
from sicmir.publishing.launch import launch_links
from sicmir.publishing.pages import Parameter, Value

SYNTHETIC = (
    ":::{warning}\n**Synthetic data.** The figures and numbers on this page were computed from synthetic "
    "data: they show that the method runs, and say nothing of biology; the text is written for real data."
)
"""Put below the title of a page that ran on synthetic data."""

STORED = "Tables marked as from a full run were computed beforehand, from the data that stand beside them."
"""Added where a page has such tables."""


@dataclass(frozen=True)
class Run:
    """Record of one run of a page, as kept in ``book/pages/status.json``.

    ``data`` is ``real``, ``synthetic`` or ``none reported`` (the notebook called neither
    ``sicmir.publishing.report.banner`` nor ``provenance``); ``error`` is empty for a run that succeeded;
    ``path`` is the executed notebook; ``skipped`` says that the published page was still valid and nothing
    was run.
    """

    page: str
    profile: str
    parameters: dict[str, Value]
    fingerprint: str
    when: str
    seconds: float
    system: str
    data: str = "none reported"
    datasets: tuple[str, ...] = ()
    error: str = ""
    path: str = ""
    skipped: bool = False


def stamp(
    notebook: nbformat.NotebookNode, run: Run, known: Mapping[str, Parameter], source: str = ""
) -> None:
    """Put the parameter table and the status line in; take papermill's cell and bookkeeping out.

    With ``source``, the path of the notebook from the project's root, links to open it follow the table.
    """
    cells = [c for c in notebook.cells if "injected-parameters" not in c.metadata.get("tags", [])]
    cell = pages.parameters_cell(notebook)
    if cell is not None:
        changed = {n: v for n, v in run.parameters.items() if n != "out_dir" and v != known[n].default}
        cell.source = pages.with_values(cell.source, changed)
        cell.metadata["tags"] = [*cell.metadata["tags"], "hide-input"]
        told = [parameter_table(run.page, run.parameters, known), launch_links(source) if source else ""]
        table = nbformat.v4.new_markdown_cell("\n\n".join(filter(None, told)))
        cells.insert(cells.index(cell) + 1, table)
    if run.data == "synthetic":
        # The page's own banner stands where the data are loaded, below its key takeaways.
        box = f"{SYNTHETIC} {STORED}" if "full_run" in known else SYNTHETIC
        cells.insert(1, nbformat.v4.new_markdown_cell(f"{box}\n:::"))
    cells.append(nbformat.v4.new_markdown_cell(status_line(run)))
    for cell in cells:
        for key in ("papermill", "execution", "id"):
            cell.metadata.pop(key, None)
    notebook.cells = cells
    notebook.metadata.pop("papermill", None)


def parameter_table(page: str, values: Mapping[str, Value], known: Mapping[str, Parameter]) -> str:
    """Give the Markdown table of a run's parameters and the command that runs the page again."""
    # out_dir says where the tables lie on one machine, nothing about the page
    shown = {name: parameter for name, parameter in known.items() if name != "out_dir"}
    rows = ["| Parameter | Value | Meaning |", "|---|---|---|"]
    for name, parameter in shown.items():
        value = _code(values[name])
        if values[name] != parameter.default:
            value = f"**{value}** (default {_code(parameter.default)})"
        rows.append(f"| `{name}` | {value} | {_cell(parameter.help)} |")
    command = pages.rerun_command(page, values, known)
    table = "\n".join(rows)
    return f"**Parameters of this run**\n\n{table}\n\nRun this page again:\n\n```bash\n{command}\n```"


def status_line(run: Run) -> str:
    """Give one Markdown line: when the page ran, on what, how long, on real or synthetic data."""
    named = f" ({', '.join(_cell(d) for d in run.datasets)})" if run.datasets else ""
    when = shown_time(run.when)
    return f"---\n\n*Ran {when} on {run.system}, in {run.seconds:.0f} s. Data: {run.data}{named}.*"


def shown_time(when: str) -> str:
    """Give a recorded time as people read it, e.g. ``2026-11-22 12:30 UTC``."""
    return datetime.fromisoformat(when).strftime("%Y-%m-%d %H:%M UTC")


def _code(value: Value) -> str:
    text = repr(value).replace("|", "\\|")
    return f"`` {text} ``" if "`" in text else f"`{text}`"


def _cell(text: str) -> str:
    """Text for a Markdown table cell: no raw HTML, no column break."""
    return re.sub(r"\s+", " ", text).replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|")


def data_used(notebook: nbformat.NotebookNode) -> tuple[tuple[str, ...], str]:
    """Data sets that ``report`` showed in the page, and whether any of them is synthetic."""
    shown = [
        mime["sicmir"]
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        for mime in output.get("metadata", {}).values()
        if isinstance(mime, dict) and "sicmir" in mime
    ]
    datasets = dict.fromkeys(name for entry in shown for name in entry["datasets"])
    if not datasets:
        return (), "none reported"
    return tuple(datasets), "synthetic" if any(entry["synthetic"] for entry in shown) else "real"
