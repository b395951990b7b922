"""Readers of target tables: which genes a miRNA is known or predicted to repress, one row a pair."""

from __future__ import annotations

from pathlib import Path

import anndata as ad
import pandas as pd

from sicmir.data.rda import read_single
from sicmir.data.tables import read_frame
from sicmir.errors import DataError, ReadError

_MIRTARBASE = (
    *("miRNA", "Target Gene", "Target Gene (Entrez ID)", "Species (Target Gene)"),
    *("Experiments", "Support Type", "References (PMID)"),
)
_OPTIONAL = ("evidence", "weight")


def mirtarbase(path: Path, *, release: str = "not stated") -> ad.AnnData:
    """Read interactions of miRTarBase (Huang 2022, doi 10.1093/nar/gkab1079) from CSV.

    Parameters
    ----------
    path
        CSV with the columns of a miRTarBase download.
    release
        Version of miRTarBase, where it is known.

    Returns
    -------
    AnnData
        Interactions x nothing. ``obs``: ``mirna``, ``gene``, ``entrez`` as in the file; ``species`` of the
        gene (hsa, mmu, …); ``evidence`` (experiments, ;-joined); ``support`` (``Functional MTI`` …);
        ``pmid``.

    Raises
    ------
    ReadError
        If the file is no table of that form.
    DataError
        If it is empty, or a miRNA, gene or support type is missing.
    """
    frame = read_frame(path)
    absent = [name for name in _MIRTARBASE if name not in frame]
    if absent:
        raise ReadError(f"{path}: expected a table of miRTarBase; there is no column {absent[0]!r}.")
    mirna, gene, entrez, species, experiments, support, pmid = (frame[name] for name in _MIRTARBASE)
    text = pd.DataFrame(
        {
            "mirna": mirna,
            "gene": gene,
            "entrez": entrez,
            "species": species,
            "evidence": experiments.str.replace(r"\s*//\s*", ";", regex=True),
            "support": support,
            "pmid": pmid,
        }
    )
    return _interactions(path, text, "miRTarBase", release, required=("mirna", "gene", "support"))


def targetscan(path: Path, *, release: str = "7") -> ad.AnnData:
    """Read pairs with conserved sites of TargetScan (Agarwal 2015, doi 10.7554/eLife.05005) from an ``.rda``.

    Parameters
    ----------
    path
        ``.rda`` with one data frame of two columns, miRNA and gene, one row a site.
    release
        Version of TargetScan.

    Returns
    -------
    AnnData
        Sites x nothing. ``obs``: ``mirna``, ``gene``, ``evidence``.

    Raises
    ------
    ReadError, DataError
        As :func:`mirtarbase`.
    """
    frame = read_single(path)
    if frame.shape[1] != 2 or not frame.columns[0].startswith("miRNA"):
        raise ReadError(
            f"{path}: expected two columns, miRNA and gene; found {', '.join(frame.columns[:4]) or 'none'}."
        )
    text = frame.set_axis(["mirna", "gene"], axis=1).astype(str)
    return _interactions(path, text.assign(evidence="conserved site"), "TargetScan", release)


def target_list(path: Path, *, release: str = "") -> ad.AnnData:
    """Read a table of one's own: columns ``mirna`` and ``gene``, if wanted ``evidence`` and ``weight``.

    Parameters
    ----------
    path
        ``.csv``, ``.tsv`` or ``.txt``, optionally ``.gz``.
    release
        Version, where it has one.

    Returns
    -------
    AnnData
        Pairs x nothing. ``obs``: those columns; ``weight`` (a number above 0) only where the file has it.

    Raises
    ------
    ReadError
        If the file is no table.
    DataError
        If a column is absent, a name is missing, or a weight is not a finite number above 0.
    """
    frame = read_frame(path)
    absent = [name for name in ("mirna", "gene") if name not in frame]
    if absent:
        raise DataError(
            f"{path}: there is no column {absent[0]!r}; expected mirna and gene, found "
            f"{', '.join(map(str, frame.columns))}."
        )
    kept = frame[["mirna", "gene", *(name for name in _OPTIONAL if name in frame)]].copy()
    if "evidence" not in kept:
        kept["evidence"] = ""
    return _interactions(path, kept, path.name, release)


def _interactions(
    path: Path,
    frame: pd.DataFrame,
    source: str,
    release: str,
    required: tuple[str, ...] = ("mirna", "gene"),
) -> ad.AnnData:
    if frame.empty:
        raise DataError(f"{path}: the table has no rows.")
    for name in required:
        column = frame[name]
        empty = column.isna() | (column.astype(str).str.strip() == "")
        if empty.any():
            row = int(empty.to_numpy().argmax()) + 1
            raise DataError(f"{path}: {int(empty.sum())} rows lack {name}, first row {row}; expected all.")
    obs = frame.set_axis([f"{place}" for place in range(len(frame))])
    for name in obs.columns.drop("weight", errors="ignore"):
        obs[name] = obs[name].fillna("").astype(str).str.strip()
    if "weight" in obs:
        weight = pd.to_numeric(obs["weight"], errors="coerce")
        bad = ~((weight > 0) & (weight < float("inf")))
        if bad.any():
            raise DataError(
                f"{path}: {int(bad.sum())} weights are not finite numbers above 0, the first is "
                f"{frame['weight'].to_numpy()[bad.to_numpy()][0]!r}."
            )
        obs["weight"] = weight.astype(float)
    adata = ad.AnnData(obs=obs)
    adata.uns["sicmir"] = {
        "modality": "targets",
        "units": "",
        "synthetic": False,
        "source": source,
        "release": release,
    }
    return adata
