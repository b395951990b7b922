"""The study of the chapter on pancreatic tumours: what its tables and figures are made from, step by step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
import pandas as pd
from anndata import AnnData

from sicmir import panel, prediction
from sicmir.benchmark.evaluation import find_mirnas
from sicmir.cells import cell_annotation, cell_quality
from sicmir.chapters.pancreas import author_labels, tumour_sets
from sicmir.errors import ParameterError
from sicmir.matrices.normalise import TransformChoice
from sicmir.model import Bundle
from sicmir.networks import target_shift
from sicmir.pseudobulk import pseudobulk

POOLS = ("donor", "cell_type", "condition")
"""Columns of ``obs`` by which cells are summed up."""

PANCREATIC = "PAAD"
"""What TCGA calls its cohort of pancreatic adenocarcinomas."""

TUMOURS: Mapping[str, str] = MappingProxyType({"pancreatic carcinomas": PANCREATIC})
"""Tumours of the page and their cohort in TCGA."""

LIMITS = ("lower_total", "upper_total")
"""Limits by which claims about cell types are judged: they hold the errors of prediction too."""


def annotate(
    cells: AnnData, markers: Mapping[str, Sequence[str]], resolution: float = 1.5, seed: int = 0
) -> tuple[AnnData, AnnData, pd.DataFrame]:
    """Cluster cells, and name the clusters by markers unless the cells have a ``cell_type`` already.

    Returns
    -------
    cells
        Copies with ``cluster`` and ``cell_type`` in ``obs``.
    clustered
        As :func:`sicmir.cells.cell_annotation.cluster` gives them, with the same ``obs``.
    names
        As :func:`sicmir.cells.cell_annotation.name_clusters` gives them; without rows where nothing had to be
        named.
    """
    clustered = cell_annotation.cluster(cells, resolution=resolution, seed=seed)
    cells = cells.copy()
    cells.obs["cluster"] = clustered.obs["cluster"]
    if "cell_type" in cells.obs:
        return cells, clustered, pd.DataFrame(columns=["cluster", "n_cells", "leader", "cell_type"])
    scores = cell_annotation.marker_scores(clustered, markers, seed)
    names = cell_annotation.name_clusters(scores, clustered.obs["cluster"])
    cells.obs["cell_type"] = clustered.obs["cell_type"] = cell_annotation.named(clustered, names)
    return cells, clustered, names


def shown_markers(
    clustered: AnnData, markers: Mapping[str, Sequence[str]], n: int = 3
) -> dict[str, list[str]]:
    """First ``n`` markers that were measured of each cell type that was found, for a dot plot."""
    there = set(clustered.obs["cell_type"].astype(str))
    found = {
        name: [gene for gene in genes if gene in clustered.var_names][:n]
        for name, genes in markers.items()
        if name in there
    }
    return {name: genes for name, genes in found.items() if genes}


def labels_of_authors(
    cells: AnnData, measured: pd.DataFrame, named: AnnData
) -> tuple[pd.DataFrame, pd.Series]:
    """Lay the labels that authors gave without barcodes on these (``author_labels.lay``).

    Parameters
    ----------
    cells
        All barcodes.
    measured
        As :func:`quality_control` gives it.
    named
        Cells with ``cluster``.

    Returns
    -------
    table, laid
        No rows and no label for cells that come without such a list.
    """
    labels = tumour_sets.author_labels(cells)
    if labels.empty:
        return pd.DataFrame(columns=list(author_labels.COLUMNS)), pd.Series(dtype=object)
    donors = cells.obs["donor"].astype(str)
    return author_labels.lay(measured, donors, named.obs["cluster"], labels, tumour_sets.AUTHOR_SAMPLES)


def told_of_labels(aligned: pd.DataFrame, laid: pd.Series, named: AnnData) -> str:
    """Say in words for how many donors :func:`labels_of_authors` found a place, and whether names agree."""
    if aligned.empty:
        return "No labels by the authors were available."
    used = int(aligned["used"].eq("yes").sum())
    sentence = f"Labels of the authors find their place in {used} of {len(aligned)} donors"
    types = named.obs["cell_type"].astype(str)
    agreement, n = author_labels.named_alike(laid, types[types != cell_annotation.UNASSIGNED])
    if not n:
        return f"{sentence}."
    return (
        f"{sentence}; there, the {n} cells that have a name here as well agree with them by an adjusted "
        f"mutual information of {agreement:.2f} (0 for chance, 1 for the same partition)."
    )


def predict_pools(
    cells: AnnData, bundle: Bundle, transform: TransformChoice, min_cells: int, layer: str = ""
) -> tuple[AnnData, AnnData]:
    """Predict each donor, named cell type and condition.

    Returns
    -------
    predicted
        Pools × miRNAs as :func:`sicmir.predict` gives them.
    kept
        Those that were not abstained.
    """
    named = cells[(cells.obs["cell_type"].astype(str) != cell_annotation.UNASSIGNED).to_numpy()].copy()
    predicted = prediction.predict(
        named,
        bundle,
        by=list(POOLS),
        transform=transform,
        layer=layer,
        gene_key=gene_key(cells),
        min_cells=min_cells,
        progress=False,
    )
    return predicted, predicted[~predicted.obs["abstained"].to_numpy()].copy()


def gene_key(cells: AnnData) -> str:
    """Column of ``var`` by which genes are best found: Ensembl ids where there are any."""
    return "ensembl" if "ensembl" in cells.var else ""


def training(bundle: Bundle, wanted: Mapping[str, str] = TUMOURS) -> pd.DataFrame:
    """What the model was trained on, to see that nothing of the page was: one row a fact.

    Parameters
    ----------
    bundle
        Model.
    wanted
        Kind of tumour -> what TCGA calls its cohort.
    """
    cohorts = bundle.card.get("training_data", {}).get("cohorts", {})
    facts = {
        "samples": sum(cohorts.values()),
        "cohorts": ", ".join(f"{name} {n}" for name, n in sorted(cohorts.items())) or "not stated",
    }
    facts |= {f"{kind} ({cohort})": cohorts.get(cohort, 0) for kind, cohort in wanted.items()}
    return pd.DataFrame(list(facts.items()), columns=["trained on", ""])


def top_markers(table: pd.DataFrame, n: int = 4) -> list[str]:
    """Of each cell type the miRNAs with the largest difference upwards that are not greyed, each once."""
    good = table[~table["greyed"].astype(bool) & (table["effect"] > 0)]
    first = good.sort_values("effect", ascending=False, kind="stable").groupby("cell_type", sort=True).head(n)
    return list(dict.fromkeys(first.sort_values(["cell_type", "effect"], ascending=[True, False])["mirna"]))


def marker_table(table: pd.DataFrame, n: int = 4) -> pd.DataFrame:
    """First miRNAs of each cell type, those not greyed, by the size of the difference upwards."""
    good = table[~table["greyed"].astype(bool) & (table["effect"] > 0)]
    first = good.sort_values("effect", ascending=False, kind="stable").groupby("cell_type", sort=True).head(n)
    columns = ["cell_type", "mirna", "effect", "lower", "upper", "q", "n_case", "grade", "exceeds_error"]
    return first[[name for name in columns if name in first]].sort_values(
        ["cell_type", "effect"], ascending=[True, False], kind="stable"
    )


def by_tissue(tissues: AnnData, kept: AnnData, mirnas: str, tissue: str) -> pd.DataFrame:
    """Some miRNAs as measured in a tissue and in all others, beside what was predicted of the cells.

    Parameters
    ----------
    tissues
        As :func:`sicmir.chapters.pancreas.tumour_sets.load_tissues` gives them.
    kept
        Predicted pools.
    mirnas
        Comma-separated names, as for :func:`sicmir.benchmark.evaluation.find_mirnas`.
    tissue
        Tissue, as the first part of its label.

    Returns
    -------
    DataFrame
        A row for each miRNA that was measured: ``mirna``; ``in_tissue`` and ``elsewhere``, mean
        and median over tissues of log2(RPM + 1); ``place`` of the tissue among all ``n_tissues``, 1 for the
        highest; and ``model`` (name there), ``lowest`` and ``highest`` median of a cell type as predicted,
        ``grade``. NaN or "" where there is none.
    """
    group = tissues.obs["cell_type"].astype(str).str.split("__").str[0].to_numpy()
    means = tissues.to_df().groupby(group).mean()
    medians = kept.to_df().groupby(kept.obs["cell_type"].astype(str).to_numpy()).median()
    stem_loops = panel.mirnas().set_index("name")["stem_loops"].fillna("")
    rows = []
    for wanted in filter(None, (part.strip() for part in mirnas.split(","))):
        found = find_mirnas(means, wanted)
        if not found:
            continue
        values = means[found[0]]
        loops = stem_loops.get(found[0], "").split(";")
        own = [name for name in (found[0], *loops, *find_mirnas(medians, wanted)) if name in medians]
        there = tissue in values.index
        rows.append(
            {
                "mirna": found[0],
                "in_tissue": values.get(tissue, np.nan),
                "elsewhere": values.drop(tissue, errors="ignore").median(),
                "place": int((values >= values[tissue]).sum()) if there else pd.NA,
                "n_tissues": len(values),
                "model": own[0] if own else "",
                "lowest": medians[own[0]].min() if own else np.nan,
                "highest": medians[own[0]].max() if own else np.nan,
                "grade": str(kept.var.loc[own[0], "grade"]) if own else "",
            }
        )
    columns = ["mirna", "in_tissue", "elsewhere", "place", "n_tissues", "model", "lowest", "highest", "grade"]
    return pd.DataFrame(rows, columns=columns)


def network_type(kept: AnnData, wanted: str, markers: Mapping[str, Sequence[str]]) -> str:
    """Cell type of the network: the one asked for, else the first that has markers, else that of most donors.

    Raises
    ------
    ParameterError
        If the one asked for was not predicted.
    """
    donors = kept.obs.groupby(kept.obs["cell_type"].astype(str))["donor"].nunique()
    if wanted and wanted not in donors:
        raise ParameterError(
            f"tumour_type={wanted!r} was not predicted; there are {', '.join(donors.index)}."
        )
    stated = [name for name in markers if name in donors]
    return wanted or (stated[0] if stated else str(donors.idxmax()))


def pools_of(cells: AnnData, kept: AnnData) -> AnnData:
    """Summed counts of the pools that were predicted, in their order."""
    return pseudobulk(cells, POOLS, min_cells=1)[kept.obs_names].copy()


def target_network(
    cells: AnnData, kept: AnnData, markers: pd.DataFrame, targets: pd.DataFrame, cell_type: str
) -> tuple[pd.DataFrame, pd.DataFrame, list[str]]:
    """:func:`sicmir.networks.target_shift.network` of the pools that were predicted.

    Nothing is in it where no donor has the cell type and another one.
    """
    own = markers["cell_type"].astype(str) == cell_type
    if not markers.loc[own, "effect"].notna().any():
        empty = pd.DataFrame(columns=list(target_shift.SHIFTS), index=pd.Index([], name="mirna"))
        return empty, pd.DataFrame(columns=["mirna", "gene"]), []
    return target_shift.network(pools_of(cells, kept), markers, targets, cell_type, gene_key(cells))


def quality_control(
    cells: AnnData, rule: cell_quality.Rule, layer: str = ""
) -> tuple[AnnData, pd.DataFrame, pd.DataFrame]:
    """Cells that pass, the measures of all barcodes, and what was left out of each donor.

    Parameters
    ----------
    cells
        Cells × genes with ``donor`` and ``condition``.
    rule
        What a barcode must reach.
    layer
        Layer of the counts, "" to find it.
    """
    counts = cell_quality.counts_of(cells, layer)
    measured = cell_quality.measures(counts)
    table = cell_quality.table(measured, counts.obs, rule)
    return cell_quality.filtered(counts, measured, rule), measured, table
