"""Edges of a miRNA-gene network: targets whose expression falls where their miRNA rises, within groups.

An edge says that miRNA and target go in opposite directions among the donors of a group, not that the one
represses the other: programmes that drive both do the same to genes that are no targets. What holds for the
targets of a miRNA and not for other genes like them is asked by :func:`sicmir.networks.hubs.hubs`.
"""

from __future__ import annotations

from collections.abc import Sequence

import networkx as nx
import numpy as np
import pandas as pd
from anndata import AnnData
from scipy.stats import false_discovery_control

from sicmir.donors.partial_correlation import negative_p, partial_correlation
from sicmir.errors import DataError, ParameterError
from sicmir.metrics import R_LIMIT
from sicmir.networks.network_input import Profiles, profiles


def edges(
    mirna: AnnData,
    mrna: AnnData,
    targets: pd.DataFrame,
    group_key: str = "cohort",
    covariates: Sequence[str] = (),
    *,
    donor_key: str = "donor",
    gene_key: str = "",
    outside_panel: bool = True,
    min_grade: str = "B",
) -> pd.DataFrame:
    """Negative association of each miRNA with each of its targets, within groups.

    The partial Pearson correlation r given group and covariates, tested one-sided (r < 0) by Student's t with
    donors - rank of the design - 1 degrees of freedom; Benjamini-Hochberg over all edges of counted miRNAs.
    n is the number of donors: values and design are averaged over the samples of a donor, see
    :mod:`sicmir.networks.network_input`.

    The weight of an edge is max(0, -atanh r), times the weight that the table gives the target. Fisher's z is
    what may be added up over targets, since its variance does not depend on r. There is no threshold: with
    one, the number of edges would follow the number of donors, and edges just above and below it would differ
    by all there is (soft thresholds: Zhang & Horvath 2005, doi 10.2202/1544-6115.1128). What chance adds to
    the weights is subtracted where they are added up.

    Parameters
    ----------
    mirna, mrna, targets, group_key, covariates, donor_key, gene_key, outside_panel, min_grade
        As for :func:`sicmir.networks.network_input.profiles`.

    Returns
    -------
    DataFrame
        All targets, in their order and with their columns, ``gene`` under its current symbol. ``status``:
        "tested", or why not; ``grade`` of the miRNA and whether it is ``counted``; ``n`` donors, ``df``,
        ``r``, ``p``, ``q`` (NaN if not counted) and ``weight``.

    Raises
    ------
    DataError, PanelError, ParameterError
        As :func:`sicmir.networks.network_input.profiles`.

    Examples
    --------
    >>> import sicmir
    >>> from sicmir.networks import network
    >>> mrna, mirna = sicmir.toy.paired_bulk(20, 2, 1800, 20, normal_fraction=0)
    >>> targets = mirna.uns["truth"]["targets"]
    >>> edges = network.edges(mirna, mrna, targets)
    >>> edges["status"].unique().tolist(), int((edges["q"] < 0.05).sum()) > 10
    (['tested'], True)
    """
    made = profiles(
        mirna,
        mrna,
        targets,
        group_key,
        covariates,
        donor_key=donor_key,
        gene_key=gene_key,
        outside_panel=outside_panel,
        min_grade=min_grade,
    )
    return edge_table(made)


def edge_table(made: Profiles) -> pd.DataFrame:
    """Give the table of :func:`edges` for profiles that are there already."""
    asked = np.unique(made.gene_place)
    r, df = partial_correlation(made.mirna, made.gene[:, asked], made.design)
    values = r[made.mirna_place, np.searchsorted(asked, made.gene_place)].astype(np.float64)
    freedom = df[made.mirna_place]
    p = negative_p(values, freedom)
    counted = made.counted[made.mirna_place] & np.isfinite(p)
    q = np.full(len(p), np.nan)
    q[counted] = false_discovery_control(p[counted]) if counted.any() else np.nan
    n = (~np.isnan(made.mirna)).sum(axis=0)[made.mirna_place]

    table = made.table.drop(columns="weight", errors="ignore").copy()
    place = made.mirnas.get_indexer(table["mirna"])
    table["grade"] = np.where(place >= 0, made.grade[place], "")
    table["counted"] = (place >= 0) & made.counted[place]
    tested = (table["status"] == "tested").to_numpy()
    columns = {
        "n": n,
        "df": freedom,
        "r": values,
        "p": p,
        "q": q,
        "weight": made.weight * soft_weight(values),
    }
    for name, column in columns.items():
        table[name] = np.nan
        table.loc[tested, name] = column
    # A gene may lack variation among the donors that a miRNA was measured in.
    table.loc[tested & table["r"].isna(), "status"] = "gene constant where the miRNA was measured"
    return table


def soft_weight(r: np.ndarray) -> np.ndarray:
    """max(0, -atanh r), of the type of r; 0 where r is NaN."""
    return np.maximum(-np.arctanh(np.clip(np.nan_to_num(r), -R_LIMIT, R_LIMIT)), 0)


def graph(table: pd.DataFrame, fdr: float = 0.05) -> nx.Graph:
    """Join edges below a false discovery rate to a bipartite graph.

    Parameters
    ----------
    table
        As :func:`edges` gives it. miRNAs that are not counted have no q and are left out.
    fdr
        Largest q, above 0 and below 1.

    Returns
    -------
    Graph
        Nodes: ``kind`` ("mirna" | "gene"), ``grade``. Edges: ``weight``, ``r``, ``q``, and ``evidence`` where
        the table has it. A name that is both miRNA and gene is refused.

    Raises
    ------
    ParameterError
        If ``fdr`` is out of range.
    DataError
        If no edge is below it, or a name is both.

    Examples
    --------
    >>> import sicmir
    >>> from sicmir.networks import network
    >>> mrna, mirna = sicmir.toy.paired_bulk(20, 2, 1800, 20, normal_fraction=0)
    >>> targets = mirna.uns["truth"]["targets"]
    >>> graph = network.graph(network.edges(mirna, mrna, targets), fdr=0.1)
    >>> sorted(set(dict(graph.nodes(data="kind")).values()))
    ['gene', 'mirna']
    """
    if not 0 < fdr < 1:
        raise ParameterError(f"fdr should lie between 0 and 1, found {fdr!r}.")
    kept = table[table["q"] <= fdr]
    if kept.empty:
        smallest = table["q"].min()
        raise DataError(
            f"No edge has q <= {fdr:g}; the smallest q is {smallest:.3g}. There is no network to be drawn."
        )
    both = set(kept["mirna"]) & set(kept["gene"])
    if both:
        raise DataError(f"{min(both)} is a miRNA and a gene of the table; expected different names.")
    made = nx.Graph()
    for name, grade in kept.drop_duplicates("mirna")[["mirna", "grade"]].itertuples(index=False):
        made.add_node(name, kind="mirna", grade=str(grade))
    made.add_nodes_from(kept["gene"].unique(), kind="gene", grade="")
    facts = [name for name in ("weight", "r", "q", "evidence") if name in kept]
    for row in kept.to_dict("records"):
        made.add_edge(row["mirna"], row["gene"], **{name: row[name] for name in facts})
    return made
