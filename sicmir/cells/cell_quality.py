"""Quality control of droplets: which barcodes are cells, by stated rules that no result was tuned to."""

from __future__ import annotations

from dataclasses import dataclass

import anndata as ad
import numpy as np
import pandas as pd

from sicmir.errors import DataError, ParameterError
from sicmir.matrices.units import recognise, select
from sicmir.names.gene_names import read_names
from sicmir.names.gene_symbols import current_symbols

MITOCHONDRIAL = r"MT-.+"
HAEMOGLOBIN = r"HB(?:[ADGMQ]\d?|B|E1|Z)"
"""Symbols of genes whose share tells a damaged cell, or a red blood cell, from the others."""


@dataclass(frozen=True)
class Rule:
    """What a barcode must reach to be taken for a cell.

    Attributes
    ----------
    min_genes
        Fewest genes with a transcript.
    max_mitochondrial, max_haemoglobin
        Largest share of the transcripts, 0 to 1.
    """

    min_genes: int = 300
    max_mitochondrial: float = 0.25
    max_haemoglobin: float = 0.05

    def __post_init__(self) -> None:
        shares = (self.max_mitochondrial, self.max_haemoglobin)
        if self.min_genes < 1 or not all(0 <= share <= 1 for share in shares):
            raise ParameterError(
                f"Expected min_genes of 1 or more and shares from 0 to 1; found {self.min_genes}, {shares}."
            )


def counts_of(cells: ad.AnnData, layer: str = "") -> ad.AnnData:
    """Cells with their counts in ``X``, wherever they lay (``X``, ``raw``, a layer), genes by symbol.

    Raises
    ------
    DataError
        If there are no counts: shares of transcripts and numbers of genes need them.
    """
    record = recognise(cells, layer)
    if record.units != "counts":
        raise DataError(f"Quality control needs counts. {record.text()} Name a layer of counts.")
    found = select(cells, record)
    made = ad.AnnData(found.X, obs=cells.obs.copy(), var=found.var.copy(), uns=dict(cells.uns))
    made.var_names = symbols(made).to_numpy()
    return made


def symbols(cells: ad.AnnData) -> pd.Series:
    """Names of the genes, with current symbols in place of Ensembl and Entrez ids where these are certain.

    Two genes never get the same name: they keep their ids.
    """
    given = pd.Series(read_names(cells, ""), cells.var_names)
    is_id = given.str.fullmatch(r"ENSG\d{11}.*|\d+")
    current = pd.Series(current_symbols(given)["current"].to_numpy(), given.index)
    names = current.where(is_id & (current != ""), given)
    return given.where(is_id & names.duplicated(keep=False), names)


def measures(cells: ad.AnnData) -> pd.DataFrame:
    """Transcripts, genes and shares of each barcode, as ``scanpy.pp.calculate_qc_metrics`` counts them.

    Parameters
    ----------
    cells
        Cells × genes, counts, named by symbol; ``donor`` in ``obs``.

    Returns
    -------
    DataFrame
        Index of the cells: ``transcripts``, ``genes``, ``mitochondrial`` and ``haemoglobin`` (shares, 0 to
        1; 0 where the cell has no transcript). NaN where it cannot be told: no such gene is in the table, or
        no barcode of the donor has a mitochondrial transcript, since no sample is without.
    """
    import scanpy as sc  # takes seconds

    names = cells.var_names.astype(str)
    marked = pd.DataFrame(
        {
            "mitochondrial": names.str.fullmatch(MITOCHONDRIAL),
            "haemoglobin": names.str.fullmatch(HAEMOGLOBIN),
        },
        index=cells.var_names,
    )
    bare = ad.AnnData(cells.X, obs=cells.obs[[]], var=marked)
    found, _ = sc.pp.calculate_qc_metrics(bare, qc_vars=list(marked), percent_top=None, log1p=False)
    shares = pd.DataFrame(
        {
            name: found[f"pct_counts_{name}"].fillna(0) / 100 if marked[name].any() else np.nan
            for name in marked
        },
        index=found.index,
    )
    seen = shares["mitochondrial"].groupby(cells.obs["donor"].astype(str)).transform("max") > 0
    return pd.DataFrame(
        {
            "transcripts": found["total_counts"].astype(float),
            "genes": found["n_genes_by_counts"].astype(int),
            "mitochondrial": shares["mitochondrial"].where(seen),
            "haemoglobin": shares["haemoglobin"],
        }
    )


def passing(measured: pd.DataFrame, rule: Rule) -> pd.Series:
    """Which barcodes are cells by the rule, True or False; a share that cannot be told fails none."""
    return (
        (measured["genes"] >= rule.min_genes)
        & ~(measured["mitochondrial"] > rule.max_mitochondrial)
        & ~(measured["haemoglobin"] > rule.max_haemoglobin)
    )


def filtered(cells: ad.AnnData, measured: pd.DataFrame, rule: Rule) -> ad.AnnData:
    """Cells that pass.

    Raises
    ------
    DataError
        If none does.
    """
    keep = passing(measured, rule).to_numpy()
    if not keep.any():
        raise DataError(
            f"None of {cells.n_obs} barcodes passes {rule}; the most genes are {measured['genes'].max()}, "
            f"the median mitochondrial share is {measured['mitochondrial'].median():.2f}. Lower the "
            "thresholds, or check the data."
        )
    return cells[keep].copy()


def table(measured: pd.DataFrame, obs: pd.DataFrame, rule: Rule) -> pd.DataFrame:
    """What quality control did to each donor.

    Parameters
    ----------
    measured
        As :func:`measures` gives it.
    obs
        ``donor`` and ``condition`` of the same barcodes.
    rule
        The rule.

    Returns
    -------
    DataFrame
        A row a donor: ``donor, condition`` (comma-separated if there are several), ``barcodes, few_genes,
        mitochondrial, haemoglobin`` (barcodes that fail by each, one may fail by several; NaN where the share
        cannot be told), ``cells`` left, ``genes_median`` and ``transcripts_median`` of these (NaN for none).
    """
    keep = passing(measured, rule)
    rows = measured.assign(
        donor=obs["donor"].astype(str),
        condition=obs["condition"].astype(str),
        few_genes=measured["genes"] < rule.min_genes,
        low=(measured["mitochondrial"] > rule.max_mitochondrial).where(measured["mitochondrial"].notna()),
        red=(measured["haemoglobin"] > rule.max_haemoglobin).where(measured["haemoglobin"].notna()),
        keep=keep,
        genes_kept=measured["genes"].where(keep, np.nan),
        transcripts_kept=measured["transcripts"].where(keep, np.nan),
    )
    found = rows.groupby("donor", sort=True).agg(
        condition=("condition", lambda labels: ", ".join(sorted(set(labels)))),
        barcodes=("keep", "size"),
        few_genes=("few_genes", "sum"),
        mitochondrial=("low", _total),
        haemoglobin=("red", _total),
        cells=("keep", "sum"),
        genes_median=("genes_kept", "median"),
        transcripts_median=("transcripts_kept", "median"),
    )
    return found.reset_index()


def untold(table: pd.DataFrame) -> str:
    """Say for which donors of :func:`table` damaged cells or red blood cells cannot be recognised."""
    parts = []
    for kind, cells in (("mitochondrial", "damaged cells"), ("haemoglobin", "red blood cells")):
        donors = table.loc[table[kind].isna(), "donor"]
        if len(donors):
            who = "any donor" if len(donors) == len(table) else ", ".join(donors)
            parts.append(f"No {kind} transcript was found in {who}: {cells} are not recognised there.")
    return " ".join(parts) or "Mitochondrial and haemoglobin transcripts were looked for in every donor."


def _total(failed: pd.Series) -> float:
    return failed.astype(float).sum(min_count=1)
