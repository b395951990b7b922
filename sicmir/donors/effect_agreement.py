"""How well predicted differences between two conditions are those that were measured, over donors.

Agreement over miRNAs says nothing of how it would be with other donors. Here donors are drawn anew, each with
all that was measured and predicted of it, and every figure is computed again; where it is asked for, genomic
clusters of miRNAs are drawn as well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy.stats import mannwhitneyu, rankdata
from sklearn.metrics import roc_auc_score, roc_curve

from sicmir.donors.bootstrap import cluster_draws, cluster_members
from sicmir.donors.mirna_findings import check_fdr
from sicmir.errors import DataError, ParameterError

FIGURES = ("effect_spearman", "sign_agreement", "top_k_recall")
"""Columns of :func:`bootstrap`, as :mod:`sicmir.donors.contrasts` defines them."""


def bootstrap(
    measured: AnnData,
    predicted: AnnData,
    mirnas: Sequence[str] | pd.Index,
    condition_key: str = "condition",
    case: str = "tumour",
    reference: str = "normal",
    donor_key: str = "donor",
    k: int = 20,
    n_resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
    clusters: pd.Series | None = None,
) -> pd.DataFrame:
    """Agreement of effects over miRNAs, with an interval from donors drawn with replacement.

    Donors with both conditions, with the first alone and with the second alone are drawn apart, so that the
    design stays. Effects are differences of means over the donors drawn; of pairs, those within donors.

    Parameters
    ----------
    measured, predicted
        The same samples × miRNAs, log2(RPM+1); NaN is left out.
    mirnas
        Those that count.
    condition_key, case, reference, donor_key
        As for :func:`sicmir.stats.differential`.
    k
        How many of the largest measured effects should be found, with their sign.
    n_resamples, level, seed
        Draws of donors, level of the percentile interval, seed.
    clusters
        Genomic cluster of each miRNA, as for :func:`sicmir.donors.bootstrap.cluster_members`: each draw of
        donors is judged by clusters that were drawn anew as well. None takes the miRNAs as they are.

    Returns
    -------
    DataFrame
        Index :data:`FIGURES`; ``value`` of all donors, ``lower``, ``upper``; ``n_mirnas``, ``n_donors``. The
        interval tells of these donors, and without ``clusters`` of these miRNAs, not of other studies; with
        few of them it is too narrow.

    Raises
    ------
    DataError
        If samples differ, a condition has fewer than 3 donors, or fewer than 3 miRNAs have both effects.
    ParameterError
        If ``k`` is out of range, or ``level`` is.
    """
    if not measured.obs_names.equals(predicted.obs_names):
        raise DataError("Measured and predicted miRNA should be of the same samples in the same order.")
    if not 0 < level < 1 or n_resamples < 1:
        raise ParameterError(f"Expected level in (0, 1) and n_resamples of 1 or more; found {level!r}.")
    sides = [
        _by_donor(adata[:, list(mirnas)], condition_key, (case, reference), donor_key)
        for adata in (measured, predicted)
    ]
    strata = _strata(sides[0], case, reference)
    rng = np.random.default_rng(seed)
    weights = np.ones((n_resamples + 1, len(strata)))
    for stratum in np.unique(strata[strata > 0]):
        members = np.flatnonzero(strata == stratum)
        draws = rng.multinomial(len(members), np.full(len(members), 1 / len(members)), n_resamples)
        weights[1:, members] = draws
    truth, guess = (_effects(side, weights) for side in sides)
    kept = np.isfinite(truth[0]) & np.isfinite(guess[0])
    _check_size(kept, k)
    truth, guess = truth[:, kept], guess[:, kept]
    if clusters is None:
        table = _figures(truth, guess, k)
    else:
        places = cluster_draws(cluster_members(np.asarray(mirnas)[kept], clusters), n_resamples, rng)
        drawn = enumerate([np.arange(kept.sum()), *places])
        table = pd.concat([_figures(truth[[row]][:, at], guess[[row]][:, at], k) for row, at in drawn])
    return _limits(table.iloc[0], table.iloc[1:], level, int(kept.sum()), int((strata > 0).sum()))


def halves(
    measured: AnnData,
    mirnas: Sequence[str] | pd.Index,
    condition_key: str = "condition",
    case: str = "tumour",
    reference: str = "normal",
    donor_key: str = "donor",
    k: int = 20,
    n_splits: int = 200,
    level: float = 0.95,
    seed: int = 0,
) -> pd.DataFrame:
    """Agreement of the effects that were measured in one half of the donors with those in the other half.

    What the measurement of a few patients tells of others, without a gene and without a model: a mean over
    *all* other donors would not do, since over the donors these means add up to the effect itself. A donor
    whose samples are of conditions that no other donor has, such as the one without a tumour, cannot be
    divided and is left out.

    Parameters
    ----------
    measured, mirnas, condition_key, case, reference, donor_key, k, level, seed
        As for :func:`bootstrap`.
    n_splits
        Random divisions.

    Returns
    -------
    DataFrame
        As of :func:`bootstrap`: ``value`` is the median over divisions, limits are their percentiles, and
        ``n_donors`` counts those divided.

    Raises
    ------
    DataError, ParameterError
        As :func:`bootstrap`.
    """
    if not 0 < level < 1 or n_splits < 1:
        raise ParameterError(f"Expected level in (0, 1) and n_splits of 1 or more; found {level!r}.")
    side = _by_donor(measured[:, list(mirnas)], condition_key, (case, reference), donor_key)
    strata = _strata(side, case, reference)
    rng = np.random.default_rng(seed)
    first, divided = np.zeros((n_splits, len(strata))), np.zeros(len(strata), dtype=bool)
    for stratum in np.unique(strata[strata > 0]):
        members = np.flatnonzero(strata == stratum)
        if len(members) > 1:
            divided[members] = True
            order = rng.permuted(np.tile(members, (n_splits, 1)), axis=1)
            np.put_along_axis(first, order[:, : len(members) // 2], 1.0, axis=1)
    found = [_effects(side, weights) for weights in (first, divided - first)]
    kept = np.isfinite(found[0]).all(axis=0) & np.isfinite(found[1]).all(axis=0)
    _check_size(kept, k)
    table = _figures(found[0][:, kept], found[1][:, kept], k)
    return _limits(table.median(), table, level, int(kept.sum()), int(divided.sum()))


def roc(measured: pd.DataFrame, predicted: pd.DataFrame, fdr: float = 0.05) -> tuple[pd.DataFrame, pd.Series]:
    """How well the predicted statistic tells miRNAs that were measured to differ from the others.

    Parameters
    ----------
    measured, predicted
        As :func:`sicmir.stats.differential` gives them, of one cell type; greyed miRNAs are left out.
    fdr
        Largest q of a measured difference.

    Returns
    -------
    curves
        ``direction`` ("up", "down"), ``false_rate`` and ``true_rate``. Of a direction without a measured
        difference, or with nothing else, there is none.
    areas
        Area under each curve, by direction; 0.5 is guessing.

    Raises
    ------
    ParameterError
        If ``fdr`` is out of range.
    """
    check_fdr(fdr)
    sides = [table[~table["greyed"]].set_index("mirna") for table in (measured, predicted)]
    joined = sides[0].join(sides[1], how="inner", rsuffix="_predicted")
    joined = joined[joined["q"].notna() & joined["statistic_predicted"].notna()]
    curves, areas = [], {}
    for direction, sign in (("up", 1.0), ("down", -1.0)):
        is_true = (joined["q"] <= fdr) & (np.sign(joined["effect"]) == sign)
        if is_true.all() or not is_true.any():
            continue
        score = sign * joined["statistic_predicted"]
        false_rate, true_rate, _ = roc_curve(is_true, score)
        curve = pd.DataFrame({"false_rate": false_rate, "true_rate": true_rate})
        curves.append(curve.assign(direction=direction))
        areas[direction] = float(roc_auc_score(is_true, score))
    columns = ["direction", "false_rate", "true_rate"]
    table = pd.concat(curves, ignore_index=True)[columns] if curves else pd.DataFrame(columns=columns)
    return table, pd.Series(areas, name="area", dtype=float)


def separation(adata: AnnData, condition_key: str, case: str, reference: str) -> pd.Series:
    """Area under the ROC curve of each miRNA as a test for ``case``, over samples; NaN where one side lacks.

    A description of these samples. Samples of one donor are not independent, and no p is given.
    """
    values, label = adata.to_df().astype(np.float64), adata.obs[condition_key].astype(str)
    sides = [values[(label == name).to_numpy()] for name in (case, reference)]
    sizes = [side.notna().sum() for side in sides]
    with np.errstate(invalid="ignore"):
        statistic = mannwhitneyu(*sides, axis=0, nan_policy="omit").statistic
    found = np.ma.filled(np.ma.asarray(statistic, dtype=np.float64), np.nan)
    area = pd.Series(found, index=values.columns) / (sizes[0] * sizes[1]).replace(0, np.nan)
    return area.rename("separation")


def beside(measured: pd.DataFrame, predicted: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """One row a miRNA: the measured effect with its limits, and each predicted one.

    Parameters
    ----------
    measured
        As :func:`sicmir.stats.differential` gives it, of one cell type.
    predicted
        Such tables by the name of the predictor.
    """
    columns = ["effect", "lower", "upper", "q", "finding", "mean"]
    table = measured.set_index("mirna")[columns].add_prefix("measured_")
    for name, one in predicted.items():
        shown = [*columns[:5], "grade", "greyed", *(["exceeds_error"] if "exceeds_error" in one else [])]
        table = table.join(one.set_index("mirna")[shown].add_prefix(f"{name.replace(' ', '_')}_"))
    return table.sort_values("measured_effect", key=np.abs, ascending=False, kind="stable")


def _by_donor(adata: AnnData, key: str, labels: tuple[str, str], donor_key: str) -> np.ndarray:
    """Conditions × donors × miRNAs: means over the samples of a donor, NaN where there is none."""
    values = adata.to_df().astype(np.float64)
    donor, label = (adata.obs[name].astype(str).to_numpy() for name in (donor_key, key))
    donors = np.unique(donor)
    means = values.groupby([label, donor]).mean()
    return np.stack(
        [means.reindex(pd.MultiIndex.from_product([[name], donors])).to_numpy() for name in labels]
    )


def _strata(side: np.ndarray, case: str, reference: str) -> np.ndarray:
    """A number for each donor: 1 or 2 with one condition alone, 3 with both, 0 with none."""
    has = np.isfinite(side).any(axis=2)
    if (has.sum(axis=1) < 3).any():
        raise DataError(
            f"Expected 3 donors or more with {case!r} and with {reference!r}; found "
            f"{' and '.join(map(str, has.sum(axis=1)))}."
        )
    return has[0] + 2 * has[1].astype(int)


def _check_size(kept: np.ndarray, k: int) -> None:
    if kept.sum() < 3 or not 1 <= k <= kept.sum():
        raise (DataError if kept.sum() < 3 else ParameterError)(
            f"{int(kept.sum())} miRNAs have both effects; expected 3 or more, and k = {k} of them."
        )


def _limits(
    value: pd.Series, draws: pd.DataFrame, level: float, n_mirnas: int, n_donors: int
) -> pd.DataFrame:
    tail = 100 * (1 - level) / 2
    limits = {"lower": tail, "upper": 100 - tail}
    table = pd.DataFrame(
        {"value": value} | {k: np.nanpercentile(draws, q, axis=0) for k, q in limits.items()}
    )
    return table.assign(n_mirnas=n_mirnas, n_donors=n_donors).rename_axis("figure")


def _effects(side: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Draws × miRNAs: weighted mean of the first condition less that of the second."""
    pairs = np.isfinite(side).all(axis=0)
    # Where donors have both, a miRNA that lacks on one side must not count on the other.
    both = np.isfinite(side).any(axis=2).all(axis=0)
    means = []
    for values in side:
        seen = np.where(both[:, None], pairs, np.isfinite(values))
        total = weights @ np.where(seen, np.nan_to_num(values), 0)
        count = weights @ seen.astype(float)
        means.append(np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0))
    return means[0] - means[1]


def _figures(truth: np.ndarray, guess: np.ndarray, k: int) -> pd.DataFrame:
    """Draws × :data:`FIGURES`; in draws that leave a miRNA without an effect, it counts as 0."""
    truth, guess = np.nan_to_num(truth), np.nan_to_num(guess)
    ranks = [rankdata(side, axis=1) for side in (truth, guess)]
    ranks = [side - side.mean(axis=1, keepdims=True) for side in ranks]
    with np.errstate(invalid="ignore", divide="ignore"):
        rho = (ranks[0] * ranks[1]).sum(axis=1) / np.sqrt(
            np.square(ranks[0]).sum(axis=1) * np.square(ranks[1]).sum(axis=1)
        )
    same = np.sign(truth) == np.sign(guess)
    # Ties by position, as in top_k_recall.
    top = [
        np.argsort(np.argsort(-np.abs(side), axis=1, kind="stable"), axis=1) < k for side in (truth, guess)
    ]
    found = (top[0] & top[1] & same).sum(axis=1) / k
    return pd.DataFrame({"effect_spearman": rho, "sign_agreement": same.mean(axis=1), "top_k_recall": found})
