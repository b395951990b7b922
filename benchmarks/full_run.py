"""The full benchmark: every table of the book that takes longer than a page may, and the shipped model.

``python benchmarks/full_run.py ROOT`` reads the sets of ``collection.yaml`` below ROOT, keeps predictions in
``results/latest/full_run`` so that an interrupted run goes on, writes the tables of ``benchmarks/full_run``
and, with ``--bundle FOLDER``, the model; its card says what the sets are. The same script takes another
recipe: ``--recipe`` with the one line ``sets: [{set: tcga-pancan}]`` trains on the whole of TCGA.
"""

from __future__ import annotations

import json
import platform
import subprocess
import time
from pathlib import Path

import pandas as pd
import typer

from sicmir import paths
from sicmir.chapters.benchmark import full_run
from sicmir.data import collection

HERE = Path(__file__).parent
RECIPE, OUT = HERE / "collection.yaml", HERE / "full_run"


def main(
    root: Path,
    recipe: Path = RECIPE,
    out: Path = OUT,
    bundle: Path | None = None,
    methods: str = " ".join(full_run.FAST),
    slow_methods: str = "forest mirscape",
    only: str = "",
    seed: int = 2026,
) -> None:
    """Run what is not yet there, and write every table anew, or only those that are named."""
    started = time.monotonic()
    chosen = collection.read_recipe(recipe)
    run = full_run.FullRun(chosen, root, paths.results("full_run"), seed)
    tables = run.tables(methods.split(), slow_methods.split(), only.split())
    out.mkdir(parents=True, exist_ok=True)
    made = {"date": f"{pd.Timestamp.now(tz='UTC'):%Y-%m-%d}", "commit": _commit()}
    for name, table in tables.items():
        part = out / f".{name}.csv"
        table.to_csv(part, float_format="%.4g")
        part.replace(out / f"{name}.csv")
    # Tables that were not made now keep the date and the commit that they were made with.
    before = json.loads((out / "record.json").read_text()) if (out / "record.json").is_file() else {}
    record = run.record() | {
        **made,
        "tables": before.get("tables", {}) | dict.fromkeys(tables, made),
        "machine": f"{platform.machine()}, {platform.system()}, Python {platform.python_version()}",
        "seconds": round(time.monotonic() - started),
    }
    (out / "record.json").write_text(json.dumps(record, indent=1, sort_keys=True) + "\n")
    if bundle is not None:
        card = {name: value for name, value in record.items() if name != "tables"}
        run.bundle(card).save(bundle, overwrite=True)


def _commit() -> str:
    """Commit of the project, with ``-dirty`` where tracked files differ from it."""
    command = ["git", "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty"]
    found = subprocess.run(command, cwd=HERE, capture_output=True, text=True, check=False)
    return found.stdout.strip() or "not known"


if __name__ == "__main__":
    typer.run(main)
