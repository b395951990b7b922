"""The authors' predictions for their 99 demonstration samples, beside others for the same samples.

Predictions and measured miRNA of TCGA bladder (BLCA) and adrenal (ACC) cancers. The published predictions
are mature miRNAs, z-scored; measured are stem-loops. The two are compared where a stem-loop yields one mature
miRNA and follows it. Whether these samples were part of the authors' training is not stated.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from sicmir import metrics, panel
from sicmir.donors.bootstrap import bootstrap_median
from sicmir.errors import DataError

AGREEING = 0.9
"""Least Pearson r of a stem-loop and its mature miRNA in TCGA samples with both."""

MIN_MEAN = 3.0
"""Least mean of log2(RPM+1) over the samples."""

PUBLISHED = "published"


def on_stem_loops(published: pd.DataFrame) -> pd.DataFrame:
    """Give predictions of mature miRNAs the names of the stem-loops they come from.

    Parameters
    ----------
    published
        Samples × mature miRNAs, any unit.

    Returns
    -------
    Samples × stem-loops, those with one locus that agree with the mature miRNA; of two arms, the one with the
    larger share of the reads.
    """
    arms = panel.single_locus().query("r_stemloop > @AGREEING").sort_values("arm_share", ascending=False)
    arms = arms[arms["mature"].isin(published.columns)].drop_duplicates("stem_loop")
    return published[arms["mature"]].set_axis(arms["stem_loop"].to_list(), axis=1)


def compare(
    observed: pd.DataFrame,
    published: pd.DataFrame,
    others: Mapping[str, pd.DataFrame],
    obs: pd.DataFrame,
    seed: int = 0,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Judge the published predictions and others by the same samples and miRNAs, cohort by cohort.

    Parameters
    ----------
    observed
        Samples × stem-loops, log2(RPM+1).
    published
        Samples × mature miRNAs, z-scores; correlations do not mind.
    others
        Method → samples × stem-loops, by models that saw none of these donors.
    obs
        Samples with ``donor`` and ``cohort``.
    seed
        Of the bootstrap.

    Returns
    -------
    per_mirna
        Rows (method, cohort, stem-loop): columns of :func:`sicmir.metrics.per_mirna`.
    league
        Rows of :func:`sicmir.donors.bootstrap.bootstrap_median` against the published predictions, with
        ``cohort``.

    Raises
    ------
    DataError
        If no miRNA is in all tables and well measured.
    """
    predicted = {PUBLISHED: on_stem_loops(published)} | dict(others)
    names = [
        name
        for name in observed.columns[observed.mean() > MIN_MEAN]
        if all(name in table and table[name].notna().all() for table in predicted.values())
    ]
    if not names:
        raise DataError(
            f"None of {observed.shape[1]} stem-loops has a mean log2(RPM+1) above {MIN_MEAN:g} and a "
            f"prediction by each of {', '.join(predicted)}. Expected names such as hsa-mir-21."
        )
    tables, leagues = {}, {}
    for cohort in np.unique(obs["cohort"].astype(str)):
        rows = (obs["cohort"].astype(str) == cohort).to_numpy()
        judged = {name: table.loc[rows, names] for name, table in predicted.items()}
        measured = observed.loc[rows, names]
        for name, table in judged.items():
            tables[name, cohort] = metrics.per_mirna(measured, table, obs.loc[rows, "cohort"])
        leagues[cohort] = bootstrap_median(
            measured, judged, obs.loc[rows, "donor"].to_numpy(), baseline=PUBLISHED, seed=seed
        )
    return (
        pd.concat(tables, names=["method", "cohort", "mirna"]),
        pd.concat(leagues, names=["cohort"]).droplevel(1).reset_index(),
    )
