"""Cell types of which miRNA was measured beside the mRNA, or beside that of the same type in another study.

No public set holds many cell types with both measured in the same cells. Cells of one study are therefore
put beside the miRNA libraries of another; ``cell_type_matches.csv`` says which, and how well they match.
Protocols distort single miRNAs by powers of two: compare the cell types of one ``source`` with each other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import anndata as ad
import numpy as np
import pandas as pd

from sicmir import data, paths
from sicmir.cells.cell_types import cell_type_labels, pair_cell_types, pool_cells
from sicmir.errors import DataError, UnreachableError

_GENOME = "GRCh38_"

MATCHES = ("same cells", "same line", "same primary type", "similar")
"""How well the cells of mRNA and miRNA match, best first."""


def matches() -> pd.DataFrame:
    """Which miRNA libraries stand beside which cell type.

    Returns
    -------
    DataFrame
        ``dataset`` and ``cell_type`` of the mRNA; ``source`` and ``source_cell_type`` of the miRNA (;-joined
        where there are several); ``match``, one of :data:`MATCHES`; ``remarks``. The data set ``pbmc`` and
        the source ``landgraf2007`` are in no manifest; a caller may give them to :func:`load_cell_types`.
    """
    return pd.read_csv(paths.reference("cell_type_matches.csv"), keep_default_na=False)


def load_cell_types(
    cells: Mapping[str, ad.AnnData] | None = None, measured: Mapping[str, ad.AnnData] | None = None
) -> tuple[ad.AnnData, ad.AnnData]:
    """Every cell type of :func:`matches` of which both sides can be had.

    Parameters
    ----------
    cells
        Cells of further data sets (or in place of one of the manifest) by their name in :func:`matches`, such
        as ``{"pbmc": adata}``. Cell types that are not matched are ignored.
    measured
        Further miRNA libraries by their source, such as ``{"landgraf2007": adata}``.

    Returns
    -------
    mrna, mirna
        As :func:`sicmir.cells.cell_types.pair_cell_types` gives them, data sets below each other, rows named
        ``dataset: cell type``. A miRNA that a source does not list is NaN. Two cell types of one source and
        source_cell_type have the same miRNA. ``uns["sicmir"]["left_out"]`` names the pairs of data sets that
        could not be obtained.

    Raises
    ------
    UnreachableError
        If none can be obtained.
    DataError
        If nothing is matched for what was given, or its values or labels are wrong.
    ParameterError
        If units of what was given cannot be told.
    """
    given = {"dataset": dict(cells or {}), "source": dict(measured or {})}
    known: dict[str, dict[str, Callable[[], ad.AnnData]]] = {"dataset": _CELLS, "source": _MEASURED}
    table = _matches_for(given, known)
    pairs, left_out, problem = [], [], ""
    for names, rows in table.groupby(["dataset", "source"], sort=False):
        try:
            left, right = (
                given[side][name] if name in given[side] else known[side][name]()
                for side, name in zip(given, names, strict=True)
            )
        except UnreachableError as error:
            left_out.append(" beside ".join(names))
            problem = str(error)
            continue
        pairs.append(pair_cell_types(left, right, rows))
    if not pairs:
        raise UnreachableError(f"No cell type with measured miRNA could be obtained. {problem}")
    return _stack([left for left, _ in pairs], left_out), _stack([right for _, right in pairs], left_out)


def _matches_for(
    given: Mapping[str, Mapping[str, ad.AnnData]], known: Mapping[str, Mapping[str, Callable[[], ad.AnnData]]]
) -> pd.DataFrame:
    """Rows of the table whose both sides are given or in the manifest."""
    table = matches()
    for side, more in given.items():
        unknown = sorted(set(more) - set(table[side]))
        if unknown:
            raise DataError(
                f"No cell type is matched for the {side} {unknown[0]!r}; the table has "
                f"{', '.join(table[side].unique())}."
            )
    for side, more in given.items():
        table = table[table[side].isin([*more, *known[side]])]
    for dataset, adata in given["dataset"].items():
        of_it, there = table["dataset"] == dataset, set(cell_type_labels(adata))
        if not (of_it & table["cell_type"].isin(there)).any():
            raise DataError(
                f"{dataset}: no cell type is matched. Expected some of "
                f"{', '.join(table.loc[of_it, 'cell_type'])} in obs['cell_type']; found "
                f"{', '.join(sorted(there))}."
            )
        table = table[~of_it | table["cell_type"].isin(there)]
    return table


def _stack(parts: list[ad.AnnData], left_out: list[str]) -> ad.AnnData:
    """Data sets below each other; what one of them did not measure is NaN there."""
    records = [part.uns["sicmir"] for part in parts]
    for part in parts:
        part.obs_names = part.obs["dataset"] + ": " + part.obs["cell_type"]
    joined = ad.concat(parts, join="outer", fill_value=float("nan"), merge="same")
    joined.uns["sicmir"] = {
        **{key: records[0][key] for key in ("modality", "units", "level") if key in records[0]},
        "synthetic": any(record.get("synthetic", False) for record in records),
        "left_out": np.array(left_out, dtype=str),
    }
    sources = [record["sources"] for record in records if "sources" in record]
    if sources:
        unique = pd.concat(sources).drop_duplicates(ignore_index=True)
        joined.uns["sicmir"]["sources"] = unique.rename(index=str)
    return joined


def brain_cells() -> ad.AnnData:
    """Read counts of cells of healthy human brain (``brain``), with ``donor``, ``cell_type``, age and tissue.

    Raises
    ------
    UnreachableError
        If they cannot be obtained.
    """
    return _labelled("brain", "data.csv.gz", "meta.csv.gz")


def pancreatic_samples() -> list[ad.AnnData]:
    """Read UMI counts of five pancreatic cancer samples (``pdac``, GSE154778), every barcode of the files.

    Returns
    -------
    list of AnnData
        Cells x genes by symbol, some of them twice; ``var["ensembl"]``; ``obs``: ``donor``, ``condition``
        (primary, metastasis) and ``cohort``.

    Raises
    ------
    UnreachableError
        If they cannot be obtained.
    """
    samples = []
    for table in data.load("pdac").values():
        if not table.n_vars:  # labels of the authors
            continue
        table.var_names = table.var_names.str.removeprefix(_GENOME)
        table.var["ensembl"] = table.var["ensembl"].str.removeprefix(_GENOME)
        table.obs_names = table.obs["donor"].astype(str) + "-" + table.obs_names
        samples.append(table)
    return samples


def join_samples(samples: Sequence[ad.AnnData]) -> ad.AnnData:
    """Put samples of :func:`pancreatic_samples` below each other.

    Two versions of the reference were used: genes are told by Ensembl id, and only those of both are kept.
    They are named by the symbol of the first sample, and by Ensembl id where several have the same.
    """
    parts = []
    for sample in samples:
        var = pd.DataFrame({"symbol": sample.var_names, "ensembl": sample.var["ensembl"].to_numpy()})
        named = ad.AnnData(
            sample.X, obs=sample.obs, var=var.set_index("ensembl", drop=False).rename_axis(None)
        )
        parts.append(named[:, ~named.var_names.duplicated()])
    joined = ad.concat(parts, join="inner", merge="first")
    twice = joined.var["symbol"].duplicated(keep=False)
    joined.var_names = joined.var["ensembl"].where(twice, joined.var["symbol"]).to_numpy()
    joined.var = joined.var[["ensembl"]]
    sources = [sample.uns["sicmir"]["sources"] for sample in samples]
    joined.uns["sicmir"] = dict(samples[0].uns["sicmir"]) | {
        "sources": pd.concat(sources, ignore_index=True).rename(index=str)
    }
    return joined


def fantom5() -> ad.AnnData:
    """Read the miRNA libraries of primary cells and cell lines of FANTOM5, CPM, with ``cell_type``.

    Raises
    ------
    UnreachableError
        If they cannot be obtained.
    """
    return _labelled("mirna-references", "human.srna.cpm.robust.txt", "human.srna.samples.tsv")


def _labelled(key: str, name: str, labels: str) -> ad.AnnData:
    """A table of the manifest with the labels that lie in another file."""
    found = data.load(key)
    adata, obs = found[f"{key}/{name}"], found[f"{key}/{labels}"].obs
    unknown = adata.obs_names.difference(obs.index)
    if len(unknown):
        raise DataError(f"{key}/{labels} has no label for {unknown[0]} of {key}/{name}.")
    adata.obs = obs.loc[adata.obs_names]
    sources = [found[f"{key}/{part}"].uns["sicmir"]["sources"] for part in (name, labels)]
    adata.uns["sicmir"]["sources"] = pd.concat(sources, ignore_index=True).rename(index=str)
    return adata


def _one_type(key: str, name: str, cell_type: str) -> ad.AnnData:
    adata = data.load(key)[f"{key}/{name}"]
    adata.obs["cell_type"] = cell_type
    return adata


def _pscsr_mirna() -> ad.AnnData:
    return pool_cells(_labelled("pscsr", "celllines_miRNA_counts.csv.gz", "celllines_meta.csv.gz"))


def _pscsr_mrna() -> ad.AnnData:
    """Means of the lines, with the number of cells in which miRNA was counted."""
    adata = data.load("pscsr")["pscsr/data_rna.csv"]
    adata.obs["cell_type"] = adata.obs_names
    adata.obs["n_cells"] = _pscsr_mirna().obs["n_cells"].reindex(adata.obs_names)
    return adata


def tissue_atlas() -> ad.AnnData:
    """Read counts of miRNA in samples of human tissue (miRNATissueAtlas2); ``cell_type`` is the tissue.

    Raises
    ------
    UnreachableError
        If they cannot be obtained.
    """
    adata = data.load("mirna-references")["mirna-references/TA2_miR.raw.csv"]
    adata.obs["cell_type"] = adata.obs_names.str.replace(r"__[\d.]+$", "", regex=True)
    return adata


_CELLS: dict[str, Callable[[], ad.AnnData]] = {
    "pscsr": _pscsr_mrna,
    "k562": lambda: _one_type("k562", "GSE114071_count.tsv", "K562"),
    "hcc-cells": lambda: data.load("hcc-cells"),
    "brain": brain_cells,
    "pancreas": lambda: data.load("pancreas"),
}
_MEASURED: dict[str, Callable[[], ad.AnnData]] = {
    "pscsr": _pscsr_mirna,
    "k562": lambda: pool_cells(_one_type("k562", "GSE114071_NW_scsmRNA_K562_norm_log2.gct", "K562")),
    "fantom5": fantom5,
    "tissueatlas2": tissue_atlas,
}
