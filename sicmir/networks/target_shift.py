"""Targets of the miRNAs that mark a cell type, against other genes like them, donor by donor.

With a handful of donors no correlation over donors is worth computing (:mod:`sicmir.networks.network` refuses
it). What is left is the difference between a cell type and the others of the same donor: of the predicted
miRNA, and of its targets outside the 977 genes that the prediction is made from. It is a picture to rank by,
not evidence of repression: what makes the cell type drives miRNAs and genes alike, and only the comparison
with matched genes allows for a part of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import sparse

from sicmir.errors import DataError
from sicmir.matrices.dense import dense
from sicmir.names.gene_names import read_names
from sicmir.names.gene_symbols import current_symbols
from sicmir.networks.matched_genes import gene_bins, matched_z

MIN_LEVEL = 3.0
"""Mean log2(CPM + 1) that a gene needs, over all pools, to be a target or stand in for one."""

SHIFTS = (
    *("effect", "lower", "upper", "grade", "greyed"),
    *("n_targets", "shift", "n_donors", "n_opposite", "score"),
)
"""Columns of a table of shifts."""


@dataclass(frozen=True, eq=False)
class Differences:
    """A cell type less the others of the same donors.

    Attributes
    ----------
    genes
        Donors × genes outside the 977 landmarks, by current symbol, log2(CPM + 1).
    level
        Per gene, the mean over all pools.
    """

    genes: pd.DataFrame
    level: pd.Series


def differences(pools: AnnData, cell_type: str, gene_key: str = "") -> Differences:
    """Differences of genes between a cell type and the mean of the other cell types of the same donor.

    Parameters
    ----------
    pools
        Pseudobulks × genes, counts; ``obs``: ``donor``, ``cell_type``.
    cell_type
        The cell type.
    gene_key
        Column of ``var`` with symbols, Entrez or Ensembl ids; "" takes the names.

    Raises
    ------
    DataError
        If no donor has the cell type and another one.
    """
    values = dense(pools.X)
    values = values.astype(np.float64)
    known = current_symbols(read_names(pools, gene_key))
    symbols = known["current"].where(known["current"] != "", known.index.to_series()).to_numpy(dtype=object)
    usable = (
        ~known["landmark"].to_numpy()
        & ~pd.Series(symbols).duplicated(keep=False).to_numpy()
        & np.isfinite(values).all(axis=0)
    )
    logarithms = np.log2(values / np.nansum(values, axis=1, keepdims=True) * 1e6 + 1)[:, usable]
    level = pd.Series(logarithms.mean(axis=0), symbols[usable])
    table = pd.DataFrame(logarithms, columns=level.index).loc[:, (level >= MIN_LEVEL).to_numpy()]
    donor = pools.obs["donor"].astype(str).to_numpy()
    own = (pools.obs["cell_type"].astype(str) == cell_type).to_numpy()
    rows = {
        name: table[own & (donor == name)].mean() - table[~own & (donor == name)].mean()
        for name in np.unique(donor)
        if (own & (donor == name)).any() and (~own & (donor == name)).any()
    }
    if not rows:
        raise DataError(f"No donor has {cell_type!r} and another cell type.")
    return Differences(pd.DataFrame(rows).T, level[table.columns])


def shifts(
    found: Differences, markers: pd.DataFrame, targets: pd.DataFrame, min_targets: int = 10
) -> pd.DataFrame:
    """Shift of the targets of each miRNA against matched genes, beside the predicted difference of the miRNA.

    Parameters
    ----------
    found
        As :func:`differences` gives it.
    markers
        Rows of :func:`sicmir.stats.markers` of the same cell type.
    targets
        ``mirna`` (the names of the markers) and ``gene`` (current symbols).
    min_targets
        Fewest targets of a miRNA that is ranked.

    Returns
    -------
    DataFrame
        Index miRNA, those that count first, then by ``score``: ``effect, lower, upper, grade, greyed`` of
        the marker; ``n_targets``; ``shift``, the mean over donors of z of the targets against genes alike
        in level and number of miRNAs (:func:`sicmir.networks.matched_genes.matched_z`); ``n_donors``;
        ``n_opposite``, donors in which it goes against the miRNA; ``score``, the shift against the
        direction of the miRNA, higher for more repression-like. No p-value: genes are no replicates, and
        donors are few.

    Raises
    ------
    DataError
        If no miRNA has ``min_targets`` targets.
    """
    pairs = targets[targets["gene"].isin(found.genes.columns)].drop_duplicates(["mirna", "gene"])
    degree = pairs["gene"].value_counts().reindex(found.genes.columns).fillna(0)
    background = degree.index[degree > 0]
    own = markers.set_index("mirna")
    own = own[own["effect"].notna()]
    counts = pairs["mirna"].value_counts()
    names = [name for name in own.index if counts.get(name, 0) >= min_targets]
    if not names:
        raise DataError(
            f"No miRNA has {min_targets} targets among {len(background)} genes that were measured."
        )
    inside = pairs[pairs["mirna"].isin(names)]
    members = sparse.csr_matrix(
        (
            np.ones(len(inside)),
            (pd.Index(names).get_indexer(inside["mirna"]), background.get_indexer(inside["gene"])),
        ),
        shape=(len(names), len(background)),
    )
    bins = gene_bins(found.level[background].to_numpy(), degree[background].to_numpy())
    z = matched_z(found.genes[background].to_numpy().T, members, bins)
    table = own.loc[names, ["effect", "lower", "upper", "grade", "greyed"]].copy()
    direction = np.sign(table["effect"].to_numpy())
    table["n_targets"] = counts[names].to_numpy()
    table["shift"] = z.mean(axis=1)
    table["n_donors"] = z.shape[1]
    table["n_opposite"] = (z * direction[:, None] < 0).sum(axis=1)
    table["score"] = -direction * table["shift"]
    table["greyed"] = table["greyed"].astype(bool)
    return table[list(SHIFTS)].sort_values(["greyed", "score"], ascending=[True, False], kind="stable")


def edges(
    found: Differences, table: pd.DataFrame, targets: pd.DataFrame, mirnas: Sequence[str]
) -> pd.DataFrame:
    """Pairs of some miRNAs and their targets, as ``network_plot.network_figure`` draws them.

    Parameters
    ----------
    found, targets
        As for :func:`shifts`.
    table
        Of :func:`shifts`.
    mirnas
        miRNAs to show.

    Returns
    -------
    DataFrame
        ``mirna, gene, status, difference`` (of the gene, mean over donors, log2), ``n_opposite`` (donors in
        which it goes against the miRNA), ``weight`` (the size of the difference if it does so in all
        donors, else 0), ``counted``, and ``q``, NaN: nothing was tested.
    """
    pairs = targets[targets["mirna"].isin(list(mirnas)) & targets["gene"].isin(found.genes.columns)]
    pairs = pairs[["mirna", "gene"]].drop_duplicates()
    direction = np.sign(table.loc[pairs["mirna"], "effect"].to_numpy())
    values = found.genes[pairs["gene"]].to_numpy()
    opposite = (values * direction < 0).sum(axis=0)
    return pairs.assign(
        status="tested",
        difference=values.mean(axis=0),
        n_opposite=opposite,
        weight=np.where(opposite == len(values), np.abs(values.mean(axis=0)), 0.0),
        counted=~table.loc[pairs["mirna"], "greyed"].to_numpy(dtype=bool),
        q=np.nan,
    ).reset_index(drop=True)


def network(
    pools: AnnData,
    markers: pd.DataFrame,
    targets: pd.DataFrame,
    cell_type: str,
    gene_key: str = "",
    n: int = 6,
) -> tuple[pd.DataFrame, pd.DataFrame, list[str]]:
    """Shifts of the targets of every miRNA of a cell type, and the pairs that are worth drawing.

    Parameters
    ----------
    pools, cell_type, gene_key
        As for :func:`differences`.
    markers
        As :func:`sicmir.stats.markers` gives them, of all cell types.
    targets
        As for :func:`shifts`.
    n
        Most miRNAs that are drawn.

    Returns
    -------
    shifts
        As :func:`shifts` gives them.
    edges
        As :func:`edges` gives them, of the miRNAs that are drawn.
    shown
        The first miRNAs by score that count, whose interval does not hold 0, and that have an edge; of those
        that share their targets, as families do, the first.

    Raises
    ------
    DataError
        As :func:`differences` and :func:`shifts`.
    """
    found = differences(pools, cell_type, gene_key)
    own = markers[markers["cell_type"].astype(str) == cell_type]
    table = shifts(found, own, targets)
    told = ~((table["lower"] <= 0) & (table["upper"] >= 0))  # without an interval, the effect stands alone
    counted = table[~table["greyed"] & (table["score"] > 0) & told]
    first = counted.groupby("shift", sort=False).head(1).index  # the same targets have the same shift
    pairs = edges(found, table, targets, first)
    strong = pairs.groupby("mirna")["weight"].max()
    shown = [name for name in first if strong.get(name, 0) > 0][:n]
    return table, pairs[pairs["mirna"].isin(shown)].reset_index(drop=True), shown
