"""Two groups of too few donors for a test: every pair of donors shown, miRNAs ranked, no p-value."""

from __future__ import annotations

from math import comb

import numpy as np
import pandas as pd
from anndata import AnnData

from sicmir.donors.mirna_findings import describe
from sicmir.errors import DataError, ParameterError

COLUMNS = (
    *("cell_type", "mirna", "effect", "lower", "upper", "separated", "rank", "n_case", "n_reference"),
    *("chance", "grade", "greyed"),
)


def donor_pairs(
    adata: AnnData,
    case: str,
    reference: str,
    condition_key: str = "condition",
    cell_type_key: str = "cell_type",
    donor_key: str = "donor",
    min_grade: str = "",
) -> pd.DataFrame:
    """Differences of all pairs of donors, one of each condition, in each cell type.

    Parameters
    ----------
    adata
        Pseudobulks × miRNAs; abstained ones (NaN) are left out, samples of one donor and cell type averaged.
    case, reference
        The two conditions.
    condition_key, cell_type_key, donor_key
        Columns of ``obs``.
    min_grade
        Worst grade that counts; "" for all.

    Returns
    -------
    DataFrame
        A row for each miRNA and cell type that both conditions have: ``effect``, the difference of the
        means of the donors; ``lower`` and ``upper``, the smallest and the largest difference of a pair of
        donors, no confidence interval; ``separated``: all pairs go the same way; ``chance``, the share of
        miRNAs that would be separated if the labels meant nothing and values were continuous, 2 / C(n,
        n_case); ``rank`` by the size of the effect among those not greyed; ``grade`` and ``greyed``. With
        one donor on a side the limits say nothing of what donors differ by.

    Raises
    ------
    ParameterError
        If the two conditions are the same.
    DataError
        If a column is absent, a donor has both conditions, or no cell type has both.
    """
    if case == reference:
        raise ParameterError(f"Expected two conditions, found case={case!r} and reference={reference!r}.")
    keys = [cell_type_key, donor_key, condition_key]
    absent = [key for key in keys if key not in adata.obs]
    if absent:
        raise DataError(f"obs has no column {absent[0]!r}; there are {', '.join(map(str, adata.obs))}.")
    facts = describe(adata, min_grade)
    labels = adata.obs[keys].astype(str)
    chosen = labels[condition_key].isin([case, reference]).to_numpy()
    values = adata.to_df()[chosen]
    known = values.notna().all(axis=1).to_numpy()
    means = values[known].groupby([labels[chosen][known][key] for key in keys]).mean()
    both = means.reset_index(keys[2])[keys[2]].groupby(level=[0, 1]).nunique()
    if (both > 1).any():
        raise DataError(
            f"Donor {both.index[both > 1][0][1]} has both conditions; compare within donors (sicmir.stats)."
        )
    tables = []
    for name, part in means.groupby(level=0, sort=True):
        condition = part.index.get_level_values(2)
        left, right = (part[condition == label].to_numpy() for label in (case, reference))
        if not len(left) or not len(right):
            continue
        pairs = (left[:, None] - right[None]).reshape(-1, left.shape[1])
        tables.append(
            facts[["grade", "greyed"]].assign(
                cell_type=name,
                mirna=facts.index.astype(str),
                effect=left.mean(axis=0) - right.mean(axis=0),
                lower=pairs.min(axis=0),
                upper=pairs.max(axis=0),
                separated=(pairs > 0).all(axis=0) | (pairs < 0).all(axis=0),
                n_case=len(left),
                n_reference=len(right),
                chance=min(1.0, 2 / comb(len(left) + len(right), len(left))),
            )
        )
    if not tables:
        raise DataError(f"No cell type was predicted in both {case!r} and {reference!r}.")
    table = pd.concat(tables, ignore_index=True)
    size = table["effect"].abs().where(~table["greyed"].astype(bool))
    table["rank"] = size.groupby(table["cell_type"]).rank(ascending=False, method="min")
    return table[list(COLUMNS)].sort_values(["cell_type", "rank"], kind="stable").reset_index(drop=True)


def separation(table: pd.DataFrame) -> pd.DataFrame:
    """How many miRNAs separate the donors of the two conditions, beside what chance gives.

    Returns
    -------
    DataFrame
        A row a cell type: ``cell_type, n_case, n_reference, n_mirnas`` (not greyed), ``separated, share,
        chance``. miRNAs go together, so that the share has far fewer degrees of freedom than there are
        miRNAs.
    """
    counted = table[~table["greyed"].astype(bool)]
    groups = counted.groupby("cell_type", sort=True)
    found = groups.agg(
        n_case=("n_case", "first"),
        n_reference=("n_reference", "first"),
        n_mirnas=("mirna", "size"),
        separated=("separated", "sum"),
        share=("separated", "mean"),
        chance=("chance", "first"),
    )
    return found.astype({"separated": int, "share": np.float64}).reset_index()
