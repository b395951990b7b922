"""The calibration of every test over hundreds of synthetic cohorts, which takes longer than a page may.

``python benchmarks/calibrate.py`` writes the tables of ``benchmarks/calibration`` that are not yet there, one
after the other, so that an interrupted run goes on; ``--only "power circularity"`` makes those anew.
``record.json`` holds the number of seeds, date, commit and duration of each.
"""

from __future__ import annotations

import json
import platform
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import typer

from sicmir import paths
from sicmir.chapters.statistics import calibration, crosstalk_calibration, hub_calibration

HERE = Path(__file__).parent
OUT = HERE / "calibration"

TABLES: dict[str, Callable[[int], pd.DataFrame]] = {
    "false_positives": lambda n: calibration.false_positives(n_seeds=n),
    "pseudo_replication": lambda n: calibration.pseudo_replication(n_seeds=n),
    "power": lambda n: calibration.power(n_seeds=n),
    "crosstalk_ablation": lambda n: crosstalk_calibration.term_ablation(n),
    "crosstalk_false_positives": lambda n: crosstalk_calibration.false_positives(n),
    "crosstalk_recovery": lambda n: crosstalk_calibration.recovery(n_seeds=n),
    "hub_false_positives": lambda n: hub_calibration.false_positives(range(n)),
    "hub_few_donors": lambda n: hub_calibration.false_positives(range(n), n_donors=3),
    "circularity": lambda n: hub_calibration.circularity(range(n)),
    "hub_recovery": lambda n: hub_calibration.recovery(seeds=range(n)),
}
"""Table by name, from the number of seeds."""


def main(n_seeds: int = 200, out: Path = OUT, only: str = "") -> None:
    """Make the tables that are absent, or those that are named."""
    out.mkdir(parents=True, exist_ok=True)
    commit = _commit()
    for name in only.split() or [name for name in TABLES if not (out / f"{name}.csv").is_file()]:
        started = time.monotonic()
        table = TABLES[name](n_seeds)
        indexed = table.index.names != [None]
        with paths.replacing(out / f"{name}.csv") as part:
            table.to_csv(part, float_format="%.4g", index=indexed)
        made = {
            "commit": commit,
            "date": f"{pd.Timestamp.now(tz='UTC'):%Y-%m-%d}",
            "n_seeds": n_seeds,
            "seconds": round(time.monotonic() - started),
        }
        record_path = out / "record.json"
        record = json.loads(record_path.read_text()) if record_path.is_file() else {"tables": {}}
        record["tables"][name] = made
        record["machine"] = f"{platform.machine()}, {platform.system()}, Python {platform.python_version()}"
        with paths.replacing(record_path) as part:
            part.write_text(json.dumps(record, indent=1, sort_keys=True) + "\n")


def _commit() -> str:
    """Commit of the project, with ``-dirty`` where tracked files differ from it."""
    command = ["git", "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty"]
    found = subprocess.run(command, cwd=HERE, capture_output=True, text=True, check=False)
    return found.stdout.strip() or "not known"


if __name__ == "__main__":
    typer.run(main)
