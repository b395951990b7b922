"""Labels of authors that lie in order without barcodes, laid on cells, with how sure that is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from sklearn.metrics import adjusted_mutual_info_score

from sicmir.errors import ParameterError

MIN_GENES = tuple(range(300, 1505, 5))
"""Smallest numbers of genes that are tried."""

MAX_MITOCHONDRIAL = (1.0, 0.25, 0.2, 0.15, 0.1, 0.05)
"""Largest shares of mitochondrial transcripts that are tried."""

STEP = 5
"""Places by which labels are moved on for comparison."""


def alignments(measured: pd.DataFrame, clusters: pd.Series, labels: Sequence[str]) -> pd.DataFrame:
    """Lay labels on the cells of one sample by every rule that leaves as many cells as there are labels.

    If the order of the labels is that of the barcodes and the rule is the right one, labels and clusters
    agree, and agreement is lost when the labels are moved on. Agreement is adjusted mutual information
    (Vinh 2010): 0 for chance, 1 for the same partition.

    Parameters
    ----------
    measured
        Of all barcodes of the sample in the order of its file, as :func:`sicmir.cell_quality.measures`
        gives it.
    clusters
        Cluster of those barcodes that were clustered; index as of ``measured``.
    labels
        Labels of the sample, in order.

    Returns
    -------
    DataFrame
        A row for each set of cells of the right size, best first: ``min_genes``, ``max_mitochondrial`` (the
        loosest of the rules that give it), ``n_cells`` compared (those that have a cluster), ``agreement``,
        and ``moved``, the highest agreement when the labels are moved on by 5, 10, ... places.

    Raises
    ------
    ParameterError
        If there are fewer than 20 labels.
    """
    labels = np.asarray(labels, dtype=str)
    if len(labels) < 20:
        raise ParameterError(f"Expected 20 labels or more, found {len(labels)}.")
    known = clusters.astype(str).reindex(measured.index)
    rows, seen = [], set()
    for largest in MAX_MITOCHONDRIAL:
        for least in MIN_GENES:
            keep = ((measured["genes"] >= least) & (measured["mitochondrial"] <= largest)).to_numpy()
            if keep.sum() != len(labels) or keep.tobytes() in seen:
                continue
            seen.add(keep.tobytes())
            both = known[keep].notna().to_numpy()
            own = known[keep].to_numpy(dtype=object)[both].astype(str)
            moved = [
                adjusted_mutual_info_score(own, np.roll(labels, place)[both])
                for place in range(STEP, len(labels), STEP)
            ]
            agreement = adjusted_mutual_info_score(own, labels[both])
            rows.append((least, largest, int(both.sum()), agreement, max(moved)))
    columns = ["min_genes", "max_mitochondrial", "n_cells", "agreement", "moved"]
    found = pd.DataFrame(rows, columns=columns)
    return found.sort_values("agreement", ascending=False, kind="stable").reset_index(drop=True)


def best_alignments(
    measured: pd.DataFrame,
    donor: pd.Series,
    clusters: pd.Series,
    labels: pd.DataFrame,
    samples: dict[str, str],
) -> pd.DataFrame:
    """Best of :func:`alignments` for each donor.

    Parameters
    ----------
    measured, clusters
        As for :func:`alignments`, of all donors.
    donor
        Of the rows of ``measured``.
    labels
        ``sample`` and ``cell_type`` of the authors, in order.
    samples
        Donor → sample of the labels.

    Returns
    -------
    DataFrame
        ``donor, sample, n_labels, n_rules`` (that give the right number of cells, 0 for none) and the
        columns of the best one.
    """
    rows = []
    for name, sample in samples.items():
        own = labels.loc[labels["sample"].astype(str) == sample, "cell_type"]
        found = alignments(measured[(donor == name).to_numpy()], clusters, own)
        best = found.iloc[0].to_dict() if len(found) else {}
        rows.append({"donor": name, "sample": sample, "n_labels": len(own), "n_rules": len(found)} | best)
    table = pd.DataFrame(rows)
    whole = [name for name in ("min_genes", "n_cells") if name in table]
    return table.astype(dict.fromkeys(whole, "Int64"))
