"""The calibration over hundreds of cohorts that comes with the project, in one table."""

from __future__ import annotations

import pandas as pd

from sicmir import paths
from sicmir.chapters.benchmark import stored_run
from sicmir.chapters.statistics import calibration_plots

HUB_TABLES = {"hub_false_positives": "hubs, 60 donors", "hub_few_donors": "hubs, 9 donors"}
"""Tables of :func:`sicmir.chapters.statistics.hub_calibration.false_positives`, and their subjects."""


def folder(path: str = "") -> str:
    """Folder of the tables: ``path``, or ``benchmarks/calibration`` of the project."""
    return path or str(paths.project() / "benchmarks" / "calibration")


def rates(path: str = "") -> pd.DataFrame:
    """False positives at 5 % of all tests, from the tables of ``benchmarks/calibrate.py``.

    Returns
    -------
    DataFrame
        One row a test and kind of nothing: ``subject``, ``test``, ``nothing`` ("" where there is one kind),
        ``n_seeds``, ``rate`` with its 95 % limits ``lower, upper``, and ``sound``, whether the test should
        hold its level there.

    Raises
    ------
    DataError
        If a table is not there.
    """
    place = folder(path)
    donors = stored_run.table("false_positives", place).rename(columns={"trial": "test"})
    parts = [donors.assign(subject="donors and survival", nothing="")]
    for name, subject in HUB_TABLES.items():
        seeds = stored_run.table(name, place).set_index(["null", "seed"])
        found = calibration_plots.over_seeds(seeds).rename(columns={"measure": "test", "null": "nothing"})
        found = found[found["test"] != "edges"]
        parts.append(found.assign(subject=subject, sound=found["test"] != "p_draws"))
    crosstalk = stored_run.table("crosstalk_false_positives", place).rename(columns={"null": "nothing"})
    parts.append(crosstalk.assign(subject="crosstalk", sound=crosstalk["exact"]))
    columns = ["subject", "test", "nothing", "n_seeds", "rate", "lower", "upper", "sound"]
    return pd.concat([part[columns] for part in parts], ignore_index=True)
