"""What crosstalk says of labels that mean nothing: cell types exchanged within donors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from sicmir.vesicles.crosstalk import crosstalk

TRUE = "as they are"
"""Name of the labels that were given."""

COLUMNS = ("labels", "n_tested", "p_score_below", "p_below", "n_called")
"""Columns of :func:`shuffled_labels`."""


def shuffle(cells: AnnData, mirna: AnnData, rng: np.random.Generator) -> tuple[AnnData, AnnData]:
    """Exchange the names of the cell types of each donor by lot, in cells and miRNA alike.

    Profiles stay as they are and keep their donor; what a cell type has in common over donors is gone.

    Parameters
    ----------
    cells, mirna
        As for :func:`sicmir.vesicles.crosstalk.crosstalk`, with ``donor`` and ``cell_type`` in ``obs`` of
        both.
    rng
        Source of the lots.
    """
    tables = [cells.copy(), mirna.copy()]
    labels = [table.obs[["donor", "cell_type"]].astype(str) for table in tables]
    names: dict[tuple[str, str], str] = {}
    for donor, part in labels[0].groupby("donor"):
        kinds = sorted(part["cell_type"].unique())
        names |= {(donor, kind): new for kind, new in zip(kinds, rng.permutation(kinds), strict=True)}
    for table, label in zip(tables, labels, strict=True):
        keys = label.itertuples(index=False, name=None)
        table.obs["cell_type"] = [names.get(key, key[1]) for key in keys]
    return tables[0], tables[1]


def shuffled_labels(
    cells: AnnData,
    mirna: AnnData,
    targets: pd.DataFrame,
    n_shuffles: int = 2,
    fdr: float = 0.05,
    seed: int = 0,
    **options: Any,
) -> pd.DataFrame:
    """Test the labels that were given, and labels exchanged within donors, by the same method.

    Parameters
    ----------
    cells, mirna, targets
        As for :func:`sicmir.vesicles.crosstalk.crosstalk`.
    n_shuffles
        How often labels are exchanged.
    fdr
        Largest q that is called.
    seed
        Of the lots and of the permutations.
    **options
        As for :func:`sicmir.vesicles.crosstalk.crosstalk`.

    Returns
    -------
    DataFrame
        A row for the labels as they are and for each exchange, :data:`COLUMNS`: rows with a p-value, shares
        of ``p_score`` and of ``p`` up to 0.05, and rows with q up to ``fdr``. With fewer than three donors
        nothing is tested, and the scores are the same under other names.
    """
    rng, rows = np.random.default_rng(seed), []
    given = [(TRUE, (cells, mirna))]
    given += [(f"exchanged, {i + 1}", shuffle(cells, mirna, rng)) for i in range(n_shuffles)]
    for name, tables in given:
        table = crosstalk(*tables, targets, seed=seed, progress=False, **options).table
        tested = table[table["p"].notna()]
        shares = [float((tested[p] <= 0.05).mean()) if len(tested) else np.nan for p in ("p_score", "p")]
        rows.append((name, len(tested), *shares, int((tested["q"] <= fdr).sum())))
    return pd.DataFrame(rows, columns=list(COLUMNS))
