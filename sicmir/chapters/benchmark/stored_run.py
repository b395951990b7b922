"""Read the tables of the full benchmark that come with the project."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd

from sicmir import paths
from sicmir.errors import DataError


def folder(path: str = "") -> Path:
    """Folder of the tables: ``path``, or ``benchmarks/full_run`` of the project.

    Raises
    ------
    DataError
        If it holds no record of a run.
    """
    found = Path(path).expanduser() if path else paths.project() / "benchmarks" / "full_run"
    if not (found / "record.json").is_file():
        raise DataError(
            f"{found}: expected the tables of benchmarks/full_run.py with record.json; found none. Run the "
            "script, or give its folder."
        )
    return found


def record(path: str = "") -> dict[str, Any]:
    """What the run was made from: date, commit, machine, files with checksums, numbers of samples.

    ``date`` is a range where its tables were made on several days, see ``tables``.
    """
    found = json.loads((folder(path) / "record.json").read_text())
    days = sorted(made["date"] for made in found.get("tables", {}).values()) or [found["date"]]
    return found | {"date": " to ".join(dict.fromkeys((days[0], days[-1])))}


def table(name: str, path: str = "") -> pd.DataFrame:
    """One table of the run by its name, such as ``league``.

    Raises
    ------
    DataError
        If the run has no such table.
    """
    found = folder(path)
    file = found / f"{name}.csv"
    if not file.is_file():
        there = ", ".join(sorted(one.stem for one in found.glob("*.csv")))
        raise DataError(f"{found}: there is no table {name!r}; it holds {there}.")
    # "NA" and the like may be names; an empty cell is what was not measured.
    return pd.read_csv(file, keep_default_na=False, na_values=[""])


def headline(path: str = "") -> dict[str, float | str]:
    """Figures of the run that a page quotes, by name, all beginning with ``full_``.

    Medians over miRNAs of all methods compared on the most miRNAs, as in ``full_test_kernel_within`` (test
    donors), ``full_new_…`` (new donors) and ``full_unseen_…`` (unseen cancer), ``…_pooled``, ``…_within`` or
    ``…_within_condition``; the differences to the kernel method with their 95 % limits, as in
    ``full_test_ridge_pooled_gain``, ``…_gain_lower`` and ``…_gain_upper``; samples of each division; of the
    first method of the table ``cancers`` the lowest and the highest r within
    an unseen cancer of 20 samples or more; coverage of the intervals; miRNAs by grade; for how many of them
    r within cohort is lower in unseen cancers, and by how much in the median; held-out samples that the
    domain was tried on; and what the run was made from.
    """
    figures: dict[str, float | str] = {
        f"full_{key}": value
        for key, value in record(path).items()
        if key in ("date", "n_samples", "n_donors", "n_mirnas", "n_judged")
    }
    league = table("league", path).query("samples == 'all'")
    league = league[league["n_mirnas"] == league["n_mirnas"].max()]
    for division, rows in league.groupby("division"):
        figures[f"full_{division.split()[0]}_n_samples"] = int(rows["n_samples"].iloc[0])
    scopes = {
        "pooled": "pooled",
        "within cohort": "within",
        "within cohort and condition": "within_condition",
    }
    for row in league[league["scope"].isin(scopes)].itertuples():
        name = row.method.replace("-", "_").replace("+", "_")
        name = f"full_{row.division.split()[0]}_{name}_{scopes[row.scope]}"
        if pd.isna(row.against):
            figures[name] = row.median
        else:
            found = {"gain": row.median, "gain_lower": row.lower, "gain_upper": row.upper}
            figures |= {f"{name}_{part}": value for part, value in found.items()}
    cancers = table("cancers", path)
    within = cancers.query("method == @cancers.method.iloc[0] and n_samples >= 20")["within"]
    figures |= {"full_cancer_lowest": float(within.min()), "full_cancer_highest": float(within.max())}
    covered = table("coverage", path).query("samples == 'all samples'")
    for row in covered.itertuples():
        figures[f"full_coverage_{row.division.split()[0]}"] = row.coverage
    trust = table("trust", path)
    lower = (trust["within_r"] - trust["unseen_within_r"]).dropna()
    figures |= {"full_n_lower": int((lower > 0).sum()), "full_lower": float(lower.median())}
    figures["full_n_held"] = int(table("flags", path)["n"].iloc[0])
    grades = trust["grade"].value_counts()
    return figures | {f"full_n_{grade.lower()}": int(grades.get(grade, 0)) for grade in "ABCD"}
