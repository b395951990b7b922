"""Labels of authors that lie in order without barcodes, laid on barcodes, with how sure that is.

The authors left barcodes out by rules that are not known. If the labels lie in the order of the file, they
belong to some of the barcodes in the same order: which ones, is found by dynamic programming. It always finds
some, so that the same is done with labels that were rolled on, which keep their order but not their place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from sklearn.metrics import adjusted_mutual_info_score

from sicmir.errors import DataError, ParameterError

MIN_GENES = 200
"""Genes of a barcode that may have a label, well below the rule of most authors."""

NO_CLUSTER = "no cluster"
"""Group of the barcodes that were not clustered, since they failed quality control here."""

ROUNDS = 10
"""Most repeats of estimating which label goes with which group, and laying the labels anew."""

COLUMNS = (
    *("donor", "used", "sample", "n_labels", "n_barcodes"),
    *("score", "rolled_score", "agreement", "rolled_agreement"),
)


def align(
    labels: Sequence[str], groups: Sequence[str], starts: Sequence[Sequence[int] | np.ndarray]
) -> tuple[float, np.ndarray]:
    """Places of labels among barcodes, in order, barcodes left out where that fits better.

    Starting from some places, the probability of each group given the label is counted (half a barcode
    added), and all labels are laid where the sum of log-odds against the share of the group is highest; this
    is repeated until nothing moves. It climbs to the next peak, so that several starts are needed.

    Parameters
    ----------
    labels
        In order.
    groups
        Group of each barcode, in order, at least as many.
    starts
        Places of all labels to start from, each rising.

    Returns
    -------
    score
        Highest sum of log-odds.
    places
        Barcode of each label, rising.

    Raises
    ------
    DataError
        If there are more labels than barcodes.
    """
    if len(labels) > len(groups):
        raise DataError(
            f"{len(labels)} labels cannot lie on {len(groups)} barcodes: expected at most as many."
        )
    kinds, label = np.unique(np.asarray(labels, dtype=str), return_inverse=True)
    clusters, group = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    share = np.log((np.bincount(group) + 1) / (len(group) + len(clusters)))
    best, found = -np.inf, np.arange(len(label))
    for start in starts:
        places = np.asarray(start)
        for _ in range(ROUNDS):
            counts = np.full((len(kinds), len(clusters)), 0.5)
            np.add.at(counts, (label, group[places]), 1)
            odds = np.log(counts / counts.sum(axis=1, keepdims=True)) - share
            score, moved = _best_places(odds[:, group], label)
            if score > best:
                best, found = score, moved
            if (moved == places).all():
                break
            places = moved
    return best, found


def lay(
    measured: pd.DataFrame,
    donor: pd.Series,
    clusters: pd.Series,
    labels: pd.DataFrame,
    samples: Mapping[str, str],
    n_rolls: int = 19,
) -> tuple[pd.DataFrame, pd.Series]:
    """Lay the labels of each donor on its barcodes, and keep those that beat all rolled ones.

    Parameters
    ----------
    measured
        Of all barcodes in the order of their files, as :func:`sicmir.cells.cell_quality.measures` gives it.
    donor
        Of the rows of ``measured``.
    clusters
        Cluster of those barcodes that were clustered; index as of ``measured``.
    labels
        ``sample`` and ``cell_type`` of the authors, in order.
    samples
        Donor → sample of the labels.
    n_rolls
        Times that labels are rolled on, by a tenth to nine tenths of their number.

    Returns
    -------
    table
        A row a donor, :data:`COLUMNS`: barcodes of :data:`MIN_GENES` genes; ``score`` as :func:`align` gives
        it, and the highest of rolled labels; ``agreement``, the adjusted mutual information (Vinh 2010) of
        labels and groups, 0 for chance and 1 for the same partition, and the highest of rolled labels;
        ``used``, whether both are above. The labels were laid so as to agree: only the comparison counts.
    laid
        Label of each barcode, of the donors that are used; index as of ``measured``.

    Raises
    ------
    ParameterError
        If a donor has fewer than 20 labels.
    DataError
        If there are more labels than barcodes.
    """
    rows, laid = [], [pd.Series(dtype=object)]
    for name, sample in samples.items():
        own = measured[(donor == name).to_numpy() & (measured["genes"] >= MIN_GENES).to_numpy()]
        kinds = labels.loc[labels["sample"].astype(str) == sample, "cell_type"].astype(str).to_numpy()
        if len(kinds) < 20:
            raise ParameterError(f"Expected 20 labels or more of {sample}, found {len(kinds)}.")
        groups = clusters.astype(str).reindex(own.index).fillna(NO_CLUSTER).to_numpy()
        starts = _starts(own["genes"].to_numpy(), groups, len(kinds))
        rolls = np.linspace(0.1, 0.9, n_rolls) * len(kinds)
        found = []
        for places in (0, *rolls.round().astype(int)):
            rolled = np.roll(kinds, places)
            score, at = align(rolled, groups, starts)
            found.append((score, adjusted_mutual_info_score(rolled, groups[at]), at))
        (score, agreement, at), others = found[0], found[1:]
        highest = [max(values) for values in list(zip(*others, strict=True))[:2]]
        used = score > highest[0] and agreement > highest[1]
        verdict = "yes" if used else "no"
        rows.append((name, verdict, sample, len(kinds), len(own), score, highest[0], agreement, highest[1]))
        if used:
            laid.append(pd.Series(kinds, own.index[at]))
    return pd.DataFrame(rows, columns=list(COLUMNS)), pd.concat(laid)


def beside(laid: pd.Series, cells: pd.DataFrame) -> pd.DataFrame:
    """Labels of authors beside the names that cells got here.

    Parameters
    ----------
    laid
        As :func:`lay` gives it.
    cells
        ``donor`` and ``cell_type`` of the cells that passed quality control.

    Returns
    -------
    DataFrame
        A row for each donor and label: ``donor, authors``, and how many of its cells have each name here.
        One line of text where there are none.
    """
    both = cells.loc[cells.index.isin(laid.index), ["donor", "cell_type"]].astype(str)
    if both.empty:
        return pd.DataFrame({"labels": ["No label of authors lies on a cell."]})
    both["authors"] = laid.reindex(both.index)
    table = pd.crosstab([both["donor"], both["authors"]], both["cell_type"])
    return table.rename_axis(columns=None).reset_index()


def named_alike(laid: pd.Series, cell_types: pd.Series) -> tuple[float, int]:
    """Adjusted mutual information of the authors' labels and the names here, and the cells that have both."""
    both = cell_types[cell_types.index.isin(laid.index)].astype(str)
    if both.empty:
        return float("nan"), 0
    return float(adjusted_mutual_info_score(laid.reindex(both.index), both)), len(both)


def _best_places(odds: np.ndarray, label: np.ndarray) -> tuple[float, np.ndarray]:
    """Rising places with the highest sum of ``odds`` (labels × barcodes), one for each ``label``."""
    n, size = len(label), odds.shape[1]
    # Row j, column i: best sum of the first j labels on the first i barcodes.
    best = np.full((n + 1, size + 1), -np.inf)
    best[0] = 0
    for row, kind in enumerate(label):
        best[row + 1, 1:] = np.maximum.accumulate(best[row, :-1] + odds[kind])
    places = np.empty(n, dtype=int)
    end = size
    for row in range(n, 0, -1):
        end = int(np.searchsorted(best[row, : end + 1], best[row, end])) - 1
        places[row - 1] = end
    return float(best[n, size]), places


def _starts(genes: np.ndarray, groups: np.ndarray, n: int) -> list[np.ndarray]:
    """Places to start from: spread evenly, and those of most genes, of all or of clustered barcodes."""
    rich = np.where(groups == NO_CLUSTER, 0, genes)
    first = [np.sort(np.argsort(-values, kind="stable")[:n]) for values in (genes, rich)]
    return [np.linspace(0, len(genes) - 1, n).round().astype(int), *first]
