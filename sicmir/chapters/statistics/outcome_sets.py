"""Survival of donors whose miRNA was measured: by a table of TCGA or your own, else synthetic donors."""

from __future__ import annotations

from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd

from sicmir import data
from sicmir.chapters.pairs import pair_sets
from sicmir.data.fallback import or_toy
from sicmir.data.fetching import fetch_file
from sicmir.data.manifest import load_manifest
from sicmir.data.parsed import source_table
from sicmir.donors import survival_curves
from sicmir.errors import DataError, UnreachableError
from sicmir.synthetic import toy_cells

CDR = "tcga-pancan/TCGA-CDR-SupplementalTableS1.xlsx"
"""Outcomes of the donors of TCGA, a spreadsheet of the data set ``tcga-pancan``."""

COLUMNS = {
    "donor": ("donor", "patient", "bcr_patient_barcode"),
    "time": ("time", "OS.time"),
    "event": ("event", "OS"),
}
"""Names that the columns of a survival table may have, those of TCGA-CDR among them."""

TOY_LOG_HAZARD = 0.8
"""Planted log hazard ratio of one SD of the toy miRNA that decides over survival."""


def load_outcomes(mirna: ad.AnnData, clinical: str | Path = "auto", seed: int = 0) -> ad.AnnData:
    """Give samples × miRNAs of donors with a known outcome.

    Parameters
    ----------
    mirna
        Measured samples × miRNAs of one condition, with ``donor``.
    clinical
        Table (``.csv``, ``.tsv``, ``.xlsx``) with a row a donor: donor, time and event (1 or 0), see
        :data:`COLUMNS`. ``"auto"``: the table of TCGA, and toy data with a warning where it cannot be
        reached or has none of these donors; beside synthetic samples, and with ``"toy"``, toy data.
    seed
        Of toy data.

    Returns
    -------
    AnnData
        ``obs`` has ``time`` and ``event``. Toy samples are others than ``mirna``: tumours of five cohorts,
        and ``uns["truth"]["decides"]`` names the miRNA that was planted.

    Raises
    ------
    DataError
        If a column is absent, no donor has an outcome, or one occurs twice.
    """
    if str(clinical) == "toy" or (str(clinical) == "auto" and bool(mirna.uns["sicmir"]["synthetic"])):
        return toy_outcomes(seed)
    if str(clinical) == "auto":
        errors = (UnreachableError, DataError)  # the latter where none of the donors is of TCGA
        return or_toy(lambda: _of_tcga(mirna), lambda: toy_outcomes(seed), "no outcome", errors)
    path = Path(clinical).expanduser()
    if not path.is_file():
        raise DataError(f"There is no survival table {path}; expected a .csv, .tsv or .xlsx file.")
    return with_outcomes(mirna, path)


def with_outcomes(mirna: ad.AnnData, path: Path) -> ad.AnnData:
    """Samples whose donors are in a table of outcomes, with ``time`` and ``event``; errors as above."""
    if path.suffix == ".xlsx":
        table = pd.read_excel(path, sheet_name=0)
    else:
        table = pd.read_csv(path, sep="\t" if path.suffix == ".tsv" else ",")
    if "Redaction" in table:
        table = table[table["Redaction"].isna()]
    named = {}
    for name, known in COLUMNS.items():
        there = [column for column in known if column in table]
        if not there:
            raise DataError(
                f"{path}: expected a column {' or '.join(known)}; found {', '.join(map(str, table))}."
            )
        named[there[0]] = name
    table = table.rename(columns=named)[list(COLUMNS)].dropna()
    table["donor"] = table["donor"].astype(str)
    if table["donor"].duplicated().any():
        twice = table.loc[table["donor"].duplicated(), "donor"].iloc[0]
        raise DataError(f"{path}: the donor {twice} occurs twice; expected one outcome a donor.")
    known = table.set_index("donor")
    keep = mirna.obs["donor"].astype(str).isin(known.index).to_numpy()
    if not keep.any():
        raise DataError(
            f"{path}: none of its {len(known)} donors (such as {known.index[0]}) is among those measured "
            f"(such as {mirna.obs['donor'].iloc[0]})."
        )
    found = mirna[keep].copy()
    outcome = known.loc[found.obs["donor"].astype(str)]
    found.obs["time"], found.obs["event"] = outcome["time"].to_numpy(), outcome["event"].to_numpy()
    return found


def _of_tcga(mirna: ad.AnnData) -> ad.AnnData:
    entry = next(entry for entry in load_manifest()["tcga-pancan"].files if entry.name == CDR)
    path = fetch_file(entry)
    found = with_outcomes(mirna, path)
    row = source_table([(entry.name, entry.checksum, path.stat().st_size, entry.url)])
    known = found.uns["sicmir"].get("sources")
    sources = row if known is None else pd.concat([known, row], ignore_index=True).rename(index=str)
    found.uns["sicmir"] = dict(found.uns["sicmir"]) | {"sources": sources}
    return found


def toy_outcomes(seed: int = 0) -> ad.AnnData:
    """Toy tumours of five cohorts whose survival one miRNA decides, the first that follows its host gene."""
    _, mirna = pair_sets.toy_pairs(seed)
    tumours = mirna[(mirna.obs["condition"] == "tumour").to_numpy()].copy()
    kinds = mirna.uns["truth"]["mirnas"]["kind"]
    decides = str(kinds.index[kinds == "host"][0])
    level = tumours[:, decides].to_df()[decides]
    inside = level - level.groupby(tumours.obs["cohort"].astype(str)).transform("mean")
    times = toy_cells.survival_times(TOY_LOG_HAZARD * (inside / inside.std()).to_numpy(), seed=seed)
    tumours.obs[["time", "event"]] = times.to_numpy()
    tumours.uns["truth"] = dict(tumours.uns["truth"]) | {"decides": decides}
    return tumours


def all_measured(pairs: pair_sets.Pairs, condition: str) -> ad.AnnData:
    """Every sample of a condition whose miRNA the data set measured, with mRNA or without.

    The data set ``hcc`` holds mRNA of 20 samples and miRNA of 424; of others the paired samples are given.
    """
    mirna = pairs.mirna
    if str(mirna.uns["sicmir"]["dataset"]) == "hcc":
        mirna = data.load("hcc")["hcc/LIHC.miRNASeq.rda"]
    return mirna[np.flatnonzero(mirna.obs["condition"].astype(str) == condition)].copy()


def halves(outcomes: ad.AnnData, mirna: str) -> pd.DataFrame:
    """Kaplan–Meier curves (:func:`sicmir.donors.survival.kaplan_meier`) of donors below and above the median.

    Parameters
    ----------
    outcomes
        As :func:`load_outcomes` gives it; samples of one donor are averaged.
    mirna
        Name of a miRNA.
    """
    table = outcomes.obs[["donor", "time", "event"]].assign(value=outcomes[:, mirna].to_df()[mirna])
    donors = table.groupby("donor", observed=True)[["time", "event", "value"]].mean()
    group = np.where(donors["value"] > donors["value"].median(), "high", "low")
    return survival_curves.kaplan_meier(donors["time"], donors["event"], group)
