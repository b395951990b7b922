"""Names of clusters by marker genes: scanpy clusters, and a stated set of markers leads in each, or none.

A cluster without a clear leader stays without a name. Clusters and names come from the same counts that
miRNAs are predicted from; a test between them counts that evidence twice (Zhang 2019, doi
10.1016/j.cels.2019.07.012).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import anndata as ad
import networkx as nx
import numpy as np
import pandas as pd

from sicmir.errors import DataError, ParameterError

UNASSIGNED = "unassigned"
"""Name of a cluster that no set of markers leads in."""

PANCREAS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "ductal or tumour": ("EPCAM", "KRT8", "KRT18", "KRT19", "KRT7", "MUC1", "TSPAN8", "CEACAM6"),
        "acinar": ("PRSS1", "CTRB1", "CPA1", "CELA3A", "PNLIP", "CLPS"),
        "endocrine": ("INS", "GCG", "SST", "CHGA"),
        "hepatocyte": ("ALB", "APOA2", "TTR", "APOH"),
        "fibroblast": ("COL1A1", "COL1A2", "COL3A1", "DCN", "LUM", "SFRP2"),
        "pericyte": ("RGS5", "ACTA2", "NOTCH3", "MYH11", "PDGFRB"),
        "endothelial": ("PECAM1", "VWF", "CDH5", "PLVAP", "CLDN5"),
        "myeloid": ("LYZ", "CD14", "CD68", "AIF1", "FCER1G", "TYROBP"),
        "T or NK": ("CD3D", "CD3E", "CD2", "TRAC", "IL7R", "NKG7"),
        "B": ("MS4A1", "CD79A", "CD19", "BANK1"),
        "plasma": ("JCHAIN", "MZB1", "DERL3", "IGHG1"),
        "mast": ("TPSAB1", "CPA3", "KIT", "HPGDS"),
    }
)
"""Marker genes of the cell types of pancreatic tumours and of the liver, where these spread to.

Genes that are commonly taken to stand for one of these types alone, chosen before anything was predicted;
Peng 2019 (doi 10.1038/s41422-019-0195-y) describes the types. They do not tell tumour cells from ducts."""


def cluster(
    cells: ad.AnnData,
    batch_key: str = "donor",
    n_genes: int = 2000,
    n_components: int = 30,
    n_neighbors: int = 15,
    resolution: float = 1.5,
    seed: int = 0,
) -> ad.AnnData:
    """Normalise, take principal components, join neighbours, and part the graph.

    log1p of counts per 10,000; highly variable genes are those of many batches; neighbours in principal
    components with Gaussian weights; communities of the graph by the method of Louvain (Blondel 2008, doi
    10.1088/1742-5468/2008/10/P10008). Batches are not merged: tumour cells of two donors are expected to
    differ, and clusters only serve to name cells.

    Parameters
    ----------
    cells
        Cells × genes, counts; not changed.
    batch_key
        Column of ``obs``.
    n_genes, n_components, n_neighbors
        Numbers of each; fewer where there are fewer.
    resolution
        Higher for more clusters.
    seed
        Of components and communities.

    Returns
    -------
    AnnData
        The cells with log1p values in ``X``; ``obs["cluster"]``, "0" for the largest; ``obsm["X_pca"]``,
        ``uns["pca"]``.

    Raises
    ------
    ParameterError
        If an option is out of range.
    DataError
        If there are too few cells.
    """
    if min(n_genes, n_components, n_neighbors) < 2 or not resolution > 0:
        raise ParameterError(
            "Expected n_genes, n_components and n_neighbors of 2 or more and resolution above 0; found "
            f"{n_genes}, {n_components}, {n_neighbors} and {resolution}."
        )
    if cells.n_obs < 2 * n_neighbors:
        raise DataError(
            f"{cells.n_obs} cells are too few to be clustered; expected {2 * n_neighbors} or more."
        )
    import scanpy as sc  # takes seconds

    made = cells.copy()
    sc.pp.normalize_total(made, target_sum=1e4)
    sc.pp.log1p(made)
    batches = made.obs[batch_key].astype("category")
    made.obs[batch_key] = batches
    # A batch of one cell has no variance to speak of.
    several = batch_key if batches.value_counts().min() > 1 and len(batches.cat.categories) > 1 else None
    sc.pp.highly_variable_genes(made, n_top_genes=min(n_genes, made.n_vars), batch_key=several)
    size = min(n_components, made.n_obs - 1, int(made.var["highly_variable"].sum()) - 1)
    sc.pp.pca(made, n_comps=size, random_state=seed)
    # UMAP's weights would cost a minute of compilation, and are no better for this.
    sc.pp.neighbors(made, n_neighbors=n_neighbors, method="gauss", transformer="sklearn", random_state=seed)
    graph = nx.from_scipy_sparse_array(made.obsp["connectivities"])
    found = nx.community.louvain_communities(graph, resolution=resolution, seed=seed)
    codes = np.empty(made.n_obs, dtype=int)
    for number, members in enumerate(sorted(found, key=lambda one: (-len(one), min(one)))):
        codes[list(members)] = number
    made.obs["cluster"] = pd.Categorical(codes.astype(str), [str(i) for i in range(len(found))])
    return made


def marker_scores(clustered: ad.AnnData, markers: Mapping[str, Sequence[str]], seed: int = 0) -> pd.DataFrame:
    """Score each cell for each set of markers, by ``scanpy.tl.score_genes``.

    The score is that of Tirosh 2016 (doi 10.1126/science.aad0501).

    Parameters
    ----------
    clustered
        As :func:`cluster` gives it.
    markers
        Cell type → genes. A type of which fewer than half are there is left out.
    seed
        Of the genes drawn for comparison.

    Returns
    -------
    DataFrame
        Cells × cell types: mean of the markers less that of genes of like expression, log1p of counts per
        10,000.

    Raises
    ------
    DataError
        If no type is left.
    """
    import scanpy as sc  # takes seconds

    there = {name: [gene for gene in genes if gene in clustered.var_names] for name, genes in markers.items()}
    usable = {name: genes for name, genes in there.items() if 2 * len(genes) >= len(markers[name])}
    if not usable:
        raise DataError(
            f"Of no cell type half of the markers are among {clustered.n_vars} genes such as "
            f"{clustered.var_names[0]}. Name genes by symbol, or give markers of your own."
        )
    bare = ad.AnnData(clustered.X, obs=clustered.obs[[]].copy(), var=clustered.var[[]].copy())
    for name, genes in usable.items():
        sc.tl.score_genes(bare, genes, score_name=name, random_state=seed)
    return bare.obs[list(usable)]


def name_clusters(
    scores: pd.DataFrame, clusters: pd.Series, min_relative: float = 0.25, min_share: float = 0.5
) -> pd.DataFrame:
    """Name each cluster after the set of markers with the highest mean score.

    Parameters
    ----------
    scores
        As :func:`marker_scores` gives them.
    clusters
        Of the same cells.
    min_relative
        Least mean score of the leader, as a share of its mean score in the cluster where that is highest.
    min_share
        Least share of the cells whose own highest score is that of the leader. It also keeps clusters
        nameless that have no type: which set leads there is up to chance, and differs from cell to cell.

    Returns
    -------
    DataFrame
        A row a cluster: ``cluster, n_cells, leader, score, relative, second, second_score, share,
        cell_type`` (the leader, or :data:`UNASSIGNED`).

    Raises
    ------
    ParameterError
        If a threshold is not from 0 to 1.
    """
    if not (0 <= min_relative <= 1 and 0 <= min_share <= 1):
        raise ParameterError(f"Expected thresholds from 0 to 1; found {min_relative} and {min_share}.")
    means = scores.groupby(clusters, observed=True).mean()
    own = scores.idxmax(axis=1)
    leader = means.idxmax(axis=1)
    rest = means.mask(means.eq(means.max(axis=1), axis=0))
    share = own.eq(clusters.map(leader).astype(object)).groupby(clusters, observed=True).mean()
    found = pd.DataFrame(
        {
            "n_cells": clusters.value_counts().reindex(means.index),
            "leader": leader,
            "score": means.max(axis=1),
            "relative": means.max(axis=1) / leader.map(means.max()),
            "second": rest.fillna(-np.inf).idxmax(axis=1) if scores.shape[1] > 1 else "",
            "second_score": rest.max(axis=1),
            "share": share,
        }
    )
    clear = (found["score"] > 0) & (found["relative"] >= min_relative) & (found["share"] >= min_share)
    found["cell_type"] = found["leader"].where(clear, UNASSIGNED)
    return found.rename_axis("cluster").reset_index()


def named(clustered: ad.AnnData, names: pd.DataFrame) -> pd.Series:
    """Cell type of each cell, from :func:`name_clusters`."""
    by_cluster = names.set_index("cluster")["cell_type"]
    return clustered.obs["cluster"].astype(str).map(by_cluster.set_axis(by_cluster.index.astype(str)))


def embedding(clustered: ad.AnnData, seed: int = 0) -> pd.DataFrame:
    """Cells in a plane by t-SNE of their principal components, to look at only.

    Returns
    -------
    DataFrame
        Cells × ``x, y``. Distances between groups mean nothing.
    """
    import scanpy as sc  # takes seconds

    bare = ad.AnnData(obs=clustered.obs[[]].copy(), obsm={"X_pca": clustered.obsm["X_pca"]})
    perplexity = min(30.0, (bare.n_obs - 1) / 3)
    sc.tl.tsne(bare, use_rep="X_pca", perplexity=perplexity, random_state=seed)
    return pd.DataFrame(bare.obsm["X_tsne"], index=bare.obs_names, columns=["x", "y"])
