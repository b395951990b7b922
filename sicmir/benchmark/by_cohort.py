"""A comparison of methods taken apart, cohort by cohort."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pandas as pd

from sicmir import metrics
from sicmir.benchmark.comparison import MIN_SAMPLES, Comparison
from sicmir.donors.contrasts import CONTRAST_METRICS

MIN_PAIRS = 10
"""Fewest donors with both conditions of a cohort whose difference is judged."""

WELL_EXPRESSED = 3.0
"""Mean log2(RPM+1) in the cohort itself above which a miRNA counts as well expressed there."""


def parts(comparison: Comparison) -> Iterator[tuple[str, Comparison]]:
    """Each cohort by name, and the comparison of its samples alone; in alphabetical order."""
    cohort = comparison.obs["cohort"].astype(str)
    for name in sorted(cohort.unique()):
        rows = (cohort == name).to_numpy()
        yield (
            name,
            replace(
                comparison,
                observed=comparison.observed[rows],
                predictions={method: table[rows] for method, table in comparison.predictions.items()},
                obs=comparison.obs[rows],
            ),
        )


def contrasts(
    comparison: Comparison, case: str = "tumour", reference: str = "normal", min_pairs: int = MIN_PAIRS
) -> pd.DataFrame:
    """Differences between two conditions of the same donors, see :meth:`Comparison.contrast`.

    Returns
    -------
    Columns of :meth:`Comparison.contrast` and ``cohort``; no row for a cohort of fewer than ``min_pairs``
    donors with both.
    """
    found = []
    for name, part in parts(comparison):
        table = part.contrast(case, reference)
        if len(table) and table["n_pairs"].iloc[0] >= min_pairs:
            found.append(table.assign(cohort=name))
    columns = ["method", "n_pairs", *CONTRAST_METRICS, "cohort"]
    return pd.concat(found) if found else pd.DataFrame(columns=columns)


def correlations(comparison: Comparison) -> pd.DataFrame:
    """Median correlation within each cohort, over all judged miRNAs and over those well expressed in it.

    Returns
    -------
    Columns ``method, cohort, n_samples, n_donors, within, within_condition, n_expressed, within_expressed``;
    ``within_condition`` takes tumours and normals apart, and ``within_expressed`` is ``within`` over the
    ``n_expressed`` judged miRNAs whose mean log2(RPM+1) in the cohort exceeds 3. Cohorts of 10 samples or
    more, and methods that tell their samples apart.
    """
    rows = []
    for name, part in parts(comparison):
        if len(part.obs) < MIN_SAMPLES:
            continue
        judged = part.observed[part.detected]
        expressed = part.detected[judged.mean() > WELL_EXPRESSED]
        facts = {"cohort": name, "n_samples": len(part.obs), "n_donors": part.obs["donor"].nunique()}
        for method, predicted in part.predictions.items():
            if method in part.flat:
                continue
            pair = judged, predicted[part.detected]
            within = metrics.per_mirna(*pair, part.obs["cohort"].astype(str))["pearson_within"]
            apart = metrics.per_mirna(*pair, part.obs["condition"].astype(str))["pearson_within"]
            rows.append(
                {"method": method}
                | facts
                | {
                    "within": np.nanmedian(within),
                    "within_condition": apart.median(),
                    "n_expressed": len(expressed),
                    "within_expressed": within[expressed].median(),
                }
            )
    return pd.DataFrame(rows)
