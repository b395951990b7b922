"""What is left of predictions when few landmark genes were measured, or most of them lie at a floor.

A model that is asked for few genes can still give numbers. Here measured data are cut down to the same genes,
so that what such numbers are worth is seen beside measured miRNA, and not guessed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from sicmir import panel, prediction, trust
from sicmir.benchmark.held_out import outspoken
from sicmir.cells import cell_agreement
from sicmir.donors import effect_agreement
from sicmir.donors.bootstrap import cluster_draws, cluster_members
from sicmir.donors.mirna_findings import describe
from sicmir.errors import PanelError, ParameterError
from sicmir.matrices.normalise import TransformChoice
from sicmir.model import Bundle

MIN_COVERAGE = 0.5
"""Share of the landmarks that :func:`sicmir.predict` asks for."""

WHOLE, CHOSEN, RANDOM = "all genes", "the few genes", "as many at random"
FLOORED, GAPS = "the few genes, low ones at a floor", "the few genes, low ones left out"
"""What is left of the genes; see :func:`variants`."""

FLOOR = 1.0
"""log2(x+1) of what lies at the floor: x = 1, as in a signature matrix of CIBERSORTx."""


def refusal(adata: AnnData, bundle: Bundle, **options: Any) -> str:
    """Say what :func:`sicmir.predict` answers to a table with too few genes; "" if it takes it."""
    try:
        prediction.predict(adata, bundle, progress=False, **options)
    except PanelError as error:
        return str(error)
    return ""


def abstaining(adata: AnnData, bundle: Bundle, **options: Any) -> AnnData:
    """Predict a table with any number of landmarks; rows with too few are abstained, all of them if need be.

    Parameters
    ----------
    adata, bundle, **options
        As for :func:`sicmir.predict`, which refuses the table where this gives rows of NaN.

    Returns
    -------
    AnnData
        As :func:`sicmir.predict` gives it.
    """
    found = prediction.predict(adata, bundle, min_coverage=0, progress=False, **options)
    few = (found.obs["coverage"] < MIN_COVERAGE).to_numpy()
    for values in (found.X, *found.layers.values()):
        values[few] = np.nan
    found.obs["abstained"] = found.obs["abstained"].to_numpy() | few
    if "in_domain" in found.obs:
        found.obs["in_domain"] = found.obs["in_domain"].to_numpy() & ~few
    found.uns["sicmir"]["min_coverage"] = MIN_COVERAGE
    return found


def report(adata: AnnData, predicted: AnnData) -> pd.DataFrame:
    """How many landmarks each row measures, how many of them lie above the floor, and what became of it.

    Parameters
    ----------
    adata
        Rows × genes, linear; the floor is the smallest value of the table.
    predicted
        As :func:`abstaining` gives it for these rows.

    Returns
    -------
    DataFrame
        Index as ``obs_names``: ``landmarks`` (number), ``coverage``, ``above_floor`` (share of the measured
        landmarks), ``domain_score``, ``state``.
    """
    aligned = panel.align(adata, min_coverage=0, duplicates="sum")
    values = aligned.X
    measured = np.isfinite(values)
    above = (values > adata.X.min()) & measured
    obs = predicted.obs.loc[adata.obs_names]
    score = obs["domain_score"].to_numpy() if "domain_score" in obs else np.full(len(obs), np.nan)
    inside = obs["in_domain"].to_numpy() if "in_domain" in obs else np.ones(len(obs), dtype=bool)
    states = np.select(
        [obs["coverage"] < MIN_COVERAGE, obs["abstained"], ~inside],
        [
            "abstained: too few genes",
            "abstained: far from the training data",
            "predicted, flagged: outside the domain",
        ],
        "predicted",
    )
    return pd.DataFrame(
        {
            "landmarks": measured.sum(axis=1),
            "coverage": measured.mean(axis=1),
            "above_floor": above.sum(axis=1) / np.maximum(measured.sum(axis=1), 1),
            "domain_score": score,
            "state": states,
        },
        index=adata.obs_names,
    )


def few_genes(adata: AnnData, share: float = 0.18, seed: int = 0) -> np.ndarray:
    """Which of the 977 landmarks to cut data down to: those of a table with too few, else a random share.

    Raises
    ------
    ParameterError
        If ``share`` is not above 0 and below 1.
    """
    if not 0 < share < 1:
        raise ParameterError(f"share={share!r}: expected a share of the landmarks, above 0 and below 1.")
    there = np.isfinite(panel.align(adata, min_coverage=0, duplicates="sum").X).any(axis=0)
    if there.mean() < MIN_COVERAGE:
        return there
    chosen = np.zeros(len(there), dtype=bool)
    chosen[np.random.default_rng(seed).permutation(len(there))[: round(share * len(there))]] = True
    return chosen


def share_above_floor(table: pd.DataFrame, otherwise: float = 0.25) -> float:
    """Share of the measured landmarks above the floor, median of :func:`report`; else what is given.

    ``otherwise`` is for data with enough genes, whose zeros are no floor of that kind.
    """
    few = table["coverage"].max() < MIN_COVERAGE
    return float(table["above_floor"].median()) if few else otherwise


def variants(
    mrna: AnnData, few: np.ndarray, above_floor: float, n_draws: int = 5, seed: int = 0
) -> Iterator[tuple[str, int, AnnData]]:
    """Cut a table down in five ways: name, number of the draw, table.

    :data:`WHOLE`: as it is. :data:`CHOSEN`: only ``few`` were measured. :data:`RANDOM`: as many others.
    :data:`FLOORED`: of ``few``, the share ``above_floor`` with the highest values of each row stays, and the
    rest lies at :data:`FLOOR`; :data:`GAPS`: the rest was not measured.

    Parameters
    ----------
    mrna
        Rows × the 977 landmarks, log2(x+1).
    few
        Which of the landmarks stay.
    above_floor
        Share, 0 to 1.
    n_draws, seed
        Of :data:`RANDOM`.
    """
    rng = np.random.default_rng(seed)
    yield WHOLE, 0, mrna
    yield CHOSEN, 0, _masked(mrna, few)
    for draw in range(n_draws):
        others = np.zeros(len(few), dtype=bool)
        others[rng.permutation(len(few))[: few.sum()]] = True
        yield RANDOM, draw, _masked(mrna, others)
    values = _masked(mrna, few).X
    low = values < np.nanquantile(values, 1 - above_floor, axis=1, keepdims=True)  # NaN is not low
    for name, filling in ((FLOORED, FLOOR), (GAPS, np.nan)):
        cut = mrna.copy()
        cut.X = np.where(low, np.float32(filling), values)
        yield name, 0, cut


def by_cell_types(
    mrna: AnnData,
    mirna: AnnData,
    bundle: Bundle,
    few: np.ndarray,
    above_floor: float,
    min_grade: str = "B",
    transform: TransformChoice = "auto",
    n_draws: int = 5,
    n_resamples: int = 200,
    seed: int = 0,
) -> pd.DataFrame:
    """Agreement of predicted with measured differences between cell types, with fewer and fewer genes.

    Parameters
    ----------
    mrna, mirna
        Cell types × landmarks, log2(CPM + 1), and × measured miRNAs under the names of the model, log2;
        ``obs["source"]`` tells the protocol of the miRNA.
    bundle
        Model.
    few, above_floor, n_draws
        As for :func:`variants`.
    min_grade
        Worst grade that counts.
    transform
        As for :func:`sicmir.predict`.
    n_resamples, seed
        Draws of genomic clusters of miRNAs, and seed.

    Returns
    -------
    DataFrame
        A row for each variant: ``genes, draw``; ``n_genes`` and ``domain_score``, medians of the rows;
        ``abstained``, the share of the rows that the domain would not let pass; ``n_mirnas``; ``n_pairs`` of
        cell types; ``spearman`` (median over pairs) with ``lower`` and ``upper``, 95 % limits over clusters
        drawn anew, for these cell types; without limits for :data:`RANDOM`, which has draws.
    """
    counted = _counted(mirna, bundle, min_grade)
    truth, source = mirna.to_df()[counted], mirna.obs["source"]
    members = cluster_members(counted, describe(mirna, "")["cluster"])
    draws = cluster_draws(members, n_resamples, np.random.default_rng(seed))
    rows = []
    for table in variants(mrna, few, above_floor, n_draws, seed):
        facts, found = _predicted(*table, bundle, transform, counted)
        guess = found.to_df()
        medians = []
        for columns in (slice(None), *(() if facts["genes"] == RANDOM else draws)):
            pair = (_columns(truth, columns), _columns(guess, columns))
            between = cell_agreement.between_cell_types(*pair, source)
            medians.append(between["spearman"].median())
        limits = np.nanpercentile(medians[1:], [2.5, 97.5]) if len(medians) > 1 else (np.nan, np.nan)
        row = facts | {"n_pairs": len(between)}
        rows.append(row | dict(zip(("spearman", "lower", "upper"), (medians[0], *limits), strict=True)))
    return pd.DataFrame(rows)


def by_samples(
    mrna: AnnData,
    measured: AnnData,
    bundle: Bundle,
    few: np.ndarray,
    above_floor: float,
    contrast: Mapping[str, Any],
    min_grade: str = "B",
    transform: TransformChoice = "auto",
    n_draws: int = 5,
    n_resamples: int = 200,
    seed: int = 0,
) -> pd.DataFrame:
    """Agreement of predicted with measured differences of two conditions, with fewer and fewer genes.

    Parameters
    ----------
    mrna, measured
        The same samples × landmarks, log2(x+1), and × miRNAs, log2.
    contrast
        ``condition_key``, ``case``, ``reference``, columns of ``measured.obs``.
    bundle, few, above_floor, min_grade, transform, n_draws, n_resamples, seed
        As for :func:`by_cell_types`; donors are drawn anew together with the clusters.

    Returns
    -------
    DataFrame
        As of :func:`by_cell_types`, without ``n_pairs``.
    """
    counted = _counted(measured, bundle, min_grade)
    rows, clusters = [], describe(measured, "")["cluster"]
    for table in variants(mrna, few, above_floor, n_draws, seed):
        facts, found = _predicted(*table, bundle, transform, counted)
        guess = AnnData(found.X, obs=measured.obs, var=found.var)
        drawn = effect_agreement.bootstrap(
            measured,
            guess,
            counted,
            **contrast,
            k=1,
            n_resamples=n_resamples,
            seed=seed,
            clusters=clusters,
        ).loc["effect_spearman"]
        limits = {"spearman": drawn["value"], "lower": drawn["lower"], "upper": drawn["upper"]}
        rows.append(facts | limits)
    return pd.DataFrame(rows)


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """One row for each way to cut genes down, of a table of :func:`by_cell_types` or :func:`by_samples`.

    Medians over draws; limits of several draws are their lowest and highest value.
    """
    groups = table.groupby("genes", sort=False)
    found = groups[list(table.columns.drop(["genes", "draw"]))].median().assign(n_draws=groups.size())
    several = found["n_draws"] > 1
    found.loc[several, "lower"], found.loc[several, "upper"] = (
        groups["spearman"].agg(end)[several] for end in ("min", "max")
    )
    whole = [name for name in found if name.startswith("n_")]
    return found.astype(dict.fromkeys(whole, int)).reset_index()


def _counted(mirna: AnnData, bundle: Bundle, min_grade: str) -> pd.Index:
    return mirna.var_names[trust.at_least(bundle.trusted("grade").reindex(mirna.var_names), min_grade)]


def _predicted(
    name: str, draw: int, table: AnnData, bundle: Bundle, transform: TransformChoice, counted: pd.Index
) -> tuple[dict[str, float | str], AnnData]:
    """What is known of the prediction of a variant, and the miRNAs that are counted."""
    found = outspoken(table, bundle, transform, min_coverage=0)
    scores = found.obs["domain_score"].dropna() if "domain_score" in found.obs else []
    facts = {
        "genes": name,
        "draw": draw,
        "n_genes": int(np.median(np.isfinite(table.X).sum(axis=1))),
        "abstained": found.obs["abstained"].mean(),
        "domain_score": np.median(scores) if len(scores) else np.nan,
        "n_mirnas": len(counted),
    }
    return facts, found[:, counted]


def _masked(mrna: AnnData, keep: np.ndarray) -> AnnData:
    cut = mrna.copy()
    cut.X = np.where(keep, np.asarray(mrna.X), np.float32(np.nan))
    return cut


def _columns(table: pd.DataFrame, columns: np.ndarray | slice) -> pd.DataFrame:
    """Some columns, a name for each, since miRNAs drawn twice count twice."""
    part = table.iloc[:, columns]
    return part.set_axis([f"{i}" for i in range(part.shape[1])], axis=1)
