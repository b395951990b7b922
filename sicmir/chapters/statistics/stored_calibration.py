"""The calibration over hundreds of cohorts that comes with the project, in one table."""

from __future__ import annotations

import numpy as np
import pandas as pd

from sicmir import paths
from sicmir.chapters.benchmark import stored_run
from sicmir.chapters.statistics import calibration_plots

HUB_TABLES = {"hub_false_positives": "hubs, 60 donors", "hub_few_donors": "hubs, 9 donors"}
"""Tables of :func:`sicmir.chapters.statistics.hub_calibration.false_positives`, and their subjects."""

HOLDS, BELOW, PART, MISTAKE = "holds 5 %", "stays below 5 %", "finds its part", "mistake"
"""What is to be expected of a test where nothing was planted."""


def folder(path: str = "") -> str:
    """Folder of the tables: ``path``, or ``benchmarks/calibration`` of the project."""
    return path or str(paths.project() / "benchmarks" / "calibration")


def rates(path: str = "") -> pd.DataFrame:
    """False positives at 5 % of all tests, from the tables of ``benchmarks/calibrate.py``.

    Returns
    -------
    DataFrame
        One row a test and kind of nothing: ``subject``, ``test``, ``nothing`` ("" where there is one kind),
        ``n_seeds``, ``rate`` with its 95 % limits ``lower, upper``, and ``promise``: :data:`HOLDS`,
        :data:`BELOW` where the test asks for more than is absent, :data:`PART` where a test of a part of
        crosstalk finds that part, or :data:`MISTAKE`.

    Raises
    ------
    DataError
        If a table is not there.
    """
    place = folder(path)
    donors = stored_run.table("false_positives", place).rename(columns={"trial": "test"})
    promise = donors["sound"].map({True: HOLDS, False: MISTAKE})
    parts = [donors.assign(subject="donors and survival", nothing="", promise=promise)]
    for name, subject in HUB_TABLES.items():
        seeds = stored_run.table(name, place).set_index(["null", "seed"])
        found = calibration_plots.over_seeds(seeds).rename(columns={"measure": "test", "null": "nothing"})
        found = found[found["test"] != "edges"]
        promise = found["test"].map({"p_draws": MISTAKE}).fillna(HOLDS)
        parts.append(found.assign(subject=subject, promise=promise))
    crosstalk = stored_run.table("crosstalk_false_positives", place).rename(columns={"null": "nothing"})
    spoilt = crosstalk["nothing"] == "pseudo-replicates"
    promise = np.select(
        [crosstalk["exact"], crosstalk["test"] == "p", spoilt], [HOLDS, BELOW, MISTAKE], default=PART
    )
    parts.append(crosstalk.assign(subject="crosstalk", promise=promise))
    columns = ["subject", "test", "nothing", "n_seeds", "rate", "lower", "upper", "promise"]
    return pd.concat([part[columns] for part in parts], ignore_index=True)
