"""The manual of the book: reference of the Python functions and of the command, from their own words.

The page of the functions is reStructuredText for Sphinx's autodoc, which reads their docstrings; the page of
the command is what it tells itself by ``--help``. Every entry has an example, which the tests run.
"""

from __future__ import annotations

import re
from typing import Any

FUNCTIONS = {
    "Models and predictions": (
        "sicmir.predict",
        "sicmir.predict_file",
        "sicmir.load_model",
        "sicmir.train",
        "sicmir.matrices.units.recognise",
        "sicmir.streams.result_files.write",
    ),
    "Data": ("sicmir.load_paired", "sicmir.data.load", "sicmir.data.describe"),
    "Names of genes and miRNAs": (
        "sicmir.panel.align",
        "sicmir.panel.coverage",
        "sicmir.panel.landmarks",
        "sicmir.panel.mirnas",
        "sicmir.panel.current_mirna_names",
        "sicmir.panel.level_of",
        "sicmir.panel.single_locus",
    ),
    "Pools of cells": ("sicmir.pseudobulk.pseudobulk", "sicmir.pseudobulk.subsample_mean"),
    "Differences between conditions and cell types": (
        "sicmir.stats.differential",
        "sicmir.stats.markers",
        "sicmir.stats.findings",
        "sicmir.stats.families",
    ),
    "Survival": (
        "sicmir.donors.survival.cox",
        "sicmir.donors.survival.kaplan_meier",
        "sicmir.donors.survival.log_rank",
    ),
    "Targets and networks": (
        "sicmir.networks.targets.load_targets",
        "sicmir.networks.targets.to_stem_loops",
        "sicmir.networks.network.edges",
        "sicmir.networks.network.graph",
        "sicmir.networks.hubs.hubs",
        "sicmir.networks.modules.modules",
        "sicmir.networks.enrichment.load_gene_sets",
        "sicmir.networks.enrichment.over_representation",
        "sicmir.networks.enrichment.target_enrichment",
    ),
    "Crosstalk by vesicles": (
        "sicmir.vesicles.crosstalk.crosstalk",
        "sicmir.vesicles.crosstalk.summarise_pairs",
        "sicmir.vesicles.crosstalk.ablation",
    ),
    "Metrics": (
        "sicmir.metrics.per_mirna",
        "sicmir.metrics.summary",
        "sicmir.metrics.detected",
        "sicmir.metrics.matched",
    ),
    "Synthetic data with a known truth": (
        "sicmir.toy.paired_bulk",
        "sicmir.synthetic.toy_cells.donor_cells",
        "sicmir.synthetic.toy_cells.survival_times",
        "sicmir.synthetic.toy_crosstalk.crosstalk_cells",
    ),
}
"""Functions that are kept stable, by the headings of the page."""

_EXAMPLE = re.compile(r"Example: (sicmir .+)")


def function_page() -> str:
    """Give the Markdown of the page of functions."""
    parts = [
        "# Functions\n",
        "Every example can be pasted into Python: it uses synthetic data or the model that comes with the "
        "package, and no network. Functions that are not listed here may change.\n",
    ]
    for heading, names in FUNCTIONS.items():
        parts += [f"## {heading}\n", "```{eval-rst}"]
        parts += [f".. autofunction:: {name}\n" for name in names]
        parts.append("```\n")
    return "\n".join(parts)


def command_page() -> str:
    """Give the Markdown of the page of the command line."""
    from typer.main import get_command

    from sicmir.cli import app

    group = get_command(app)
    parts = [
        "# Command line\n",
        f"{_text(str(group.help))}\n",
        "- `sicmir --version` prints the version, `sicmir COMMAND --help` explains a command.",
        "- `sicmir --install-completion` lets your shell complete commands and choices at the tab key; "
        "`sicmir --show-completion` prints what it would install.",
        "- `sicmir doctor` tells versions, threads, folders and the model: send its output along with a "
        "question.",
        "- An error is one message and exit code 1, a wrong option exit code 2. With `SICMIR_DEBUG=1` the "
        "traceback is shown.\n",
    ]
    for name, command in commands(group).items():
        context = command.make_context(name, [], resilient_parsing=True)
        usage = " ".join(["sicmir", name, *command.collect_usage_pieces(context)])
        rows = [param.get_help_record(context) for param in command.get_params(context)]
        parts += [f"## sicmir {name}\n", f"{_text(str(command.help))}\n", f"```text\n{usage}\n```\n"]
        parts += ["| Argument | Meaning |", "|---|---|"]
        parts += [f"| `{_cell(row[0])}` | {_cell(_text(row[1]))} |" for row in rows if row]
        parts.append(f"\n```bash\n{example(command)}\n```\n")
    return "\n".join(parts)


def commands(group: Any) -> dict[str, Any]:
    """Commands by name, those of a group within a group as ``atlas add``."""
    found: dict[str, Any] = {}
    for name, command in group.commands.items():
        inner = commands(command) if hasattr(command, "commands") else {"": command}
        found |= {f"{name} {part}".strip(): one for part, one in inner.items()}
    return found


def example(command: Any) -> str:
    """Give the command line that the epilog of a command shows; "" if it shows none."""
    found = _EXAMPLE.search(command.epilog or "")
    return found[1] if found else ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _text(text: str) -> str:
    return "\n\n".join(" ".join(part.split()) for part in text.split("\n\n")).replace("<", "&lt;")
