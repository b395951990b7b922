"""What a cross-validation found: correlations by miRNA, medians with intervals, and the figures of a page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from sicmir import metrics
from sicmir.donors.bootstrap import bootstrap_median
from sicmir.donors.contrasts import CONTRAST_METRICS, agreement, effects

POOLED, WITHIN = "pooled", "within cohort"
WITHIN_CONDITION, WITHIN_FOLD = "within cohort and condition", "within cohort and fold"
MIN_SAMPLES, MIN_SAMPLES_FOLD, MIN_PAIRS = 10, 8, 3


@dataclass(frozen=True, eq=False)
class Comparison:
    """Out-of-fold predictions of several methods for the same samples and miRNAs.

    Attributes
    ----------
    observed
        Samples × miRNAs, measured log2(RPM+1); miRNAs that were asked for by name come last.
    detected
        The miRNAs that are judged: RPM > 1 in at least half of the samples.
    predictions
        Method name → samples × miRNAs, predicted by an estimator that never saw the donor.
    obs
        Samples with ``donor``, ``cohort`` and ``condition``.
    folds
        One row for each sample and fold: what was trained and tested on, see
        :func:`sicmir.learning.splits.table`.
    flat
        Methods that give all samples of a cohort one value. They have no correlation within cohorts.
    """

    observed: pd.DataFrame
    detected: pd.Index
    predictions: dict[str, pd.DataFrame]
    obs: pd.DataFrame
    folds: pd.DataFrame
    flat: frozenset[str] = frozenset()

    def groups(self, scope: str) -> tuple[np.ndarray | None, int]:
        """Group label of each sample and the fewest samples of a group, for one of the four scopes.

        ``pooled``: one group, which also measures how different cancer types are. ``within cohort``: its
        normal samples are in the same group as its tumours. ``within cohort and condition``: tumours among
        tumours. ``within cohort and fold``: only samples that one and the same model predicted; a check
        that the folds' different means do not drive the others.
        """
        cohort = self.obs["cohort"].astype(str)
        if scope == POOLED:
            return None, MIN_SAMPLES
        if scope == WITHIN_CONDITION:
            return (cohort + "/" + self.obs["condition"].astype(str)).to_numpy(), MIN_SAMPLES
        if scope == WITHIN_FOLD:
            tested = self.folds[self.folds["side"] == "test"].set_index("sample")["split"]
            return (cohort + "/" + tested.reindex(self.obs.index).astype(str)).to_numpy(), MIN_SAMPLES_FOLD
        return cohort.to_numpy(), MIN_SAMPLES

    def per_mirna(self) -> pd.DataFrame:
        """One row for each method and detected miRNA: the columns of :func:`sicmir.metrics.per_mirna`.

        ``pearson_within`` and ``spearman_within`` are within cohort; ``pearson_within_condition`` is within
        cohort and condition. All three are NaN for methods that give a cohort one value.
        """
        tables = {}
        for name, predicted in self.predictions.items():
            pair = self.observed[self.detected], predicted[self.detected]
            table = metrics.per_mirna(*pair, self.groups(WITHIN)[0], min_samples=MIN_SAMPLES)
            finer = metrics.per_mirna(*pair, self.groups(WITHIN_CONDITION)[0], min_samples=MIN_SAMPLES)
            table["pearson_within_condition"] = finer["pearson_within"]
            if name in self.flat:
                table[["pearson_within", "spearman_within", "pearson_within_condition"]] = np.nan
            tables[name] = table
        return pd.concat(tables, names=["method", "mirna"])

    def league(self, baseline: str = "", n_resamples: int = 200, seed: int = 0) -> pd.DataFrame:
        """Median Pearson r over detected miRNAs of each method and scope, with 95 % intervals.

        The intervals hold the fitted models fixed: they tell how the figure varies with the donors that are
        judged, not with the donors that were trained on, nor with the seed. A scope in which no group is
        large enough is left out, and so are methods that give a cohort one value within cohorts. Within
        cohort and fold the medians have no interval: groups are so small there that drawing a donor twice
        raises the correlation itself. Gains are differences, in which that cancels.

        Parameters
        ----------
        baseline
            If given, the other methods' gain over this method (median of the paired differences of r).
        n_resamples
            Bootstrap resamples of donors.
        seed
            Of the bootstrap.

        Returns
        -------
        Columns ``scope, method, against, median, lower, upper, n_mirnas``.
        """
        judged = {name: predicted[self.detected] for name, predicted in self.predictions.items()}
        apart = {name: table for name, table in judged.items() if name not in self.flat}
        tables = {}
        for scope in (POOLED, WITHIN, WITHIN_CONDITION, WITHIN_FOLD):
            labels, min_samples = self.groups(scope)
            methods = judged if labels is None else apart
            if labels is not None and pd.Series(labels).value_counts().max() < min_samples:
                continue
            if not methods or (baseline and baseline not in methods):
                continue
            tables[scope] = bootstrap_median(
                self.observed[self.detected],
                methods,
                self.obs["donor"].to_numpy(),
                labels,
                baseline=baseline,
                n_resamples=n_resamples,
                min_samples=min_samples,
                seed=seed,
            )
            if scope == WITHIN_FOLD:
                tables[scope].loc[tables[scope]["against"] == "", ["lower", "upper"]] = np.nan
        return pd.concat(tables, names=["scope"]).droplevel(1).reset_index()

    def contrast(self, case: str = "tumour", reference: str = "normal", k: int = 20) -> pd.DataFrame:
        """How well each method predicts the difference between two conditions of the same donors.

        Parameters
        ----------
        case, reference
            Values of ``obs["condition"]``, such as tumour and normal, or treated and untreated.
        k
            Number of largest measured differences that ``top_k_recall`` looks for.

        Returns
        -------
        Columns ``method, n_pairs`` and those of :data:`sicmir.donors.contrasts.CONTRAST_METRICS`; no row
        where fewer than 3 donors have both. Methods that give a cohort one value predict no difference and
        are left out.
        """
        conditions = self.obs.groupby("donor", observed=True)["condition"].agg(set)
        n_pairs = int(conditions.map(lambda found: {case, reference} <= found).sum())
        rows = []
        if n_pairs >= MIN_PAIRS:
            labels = self.obs["condition"].astype(str), self.obs["donor"].astype(str)
            groups: dict[str, Any] = {"case": case, "reference": reference, "paired": True}
            measured = effects(self.observed[self.detected], *labels, **groups)
            for name, predicted in self.predictions.items():
                if name not in self.flat:
                    found = agreement(measured, effects(predicted[self.detected], *labels, **groups), k)
                    rows.append({"method": name, "n_pairs": n_pairs} | found.to_dict())
        return pd.DataFrame(rows, columns=["method", "n_pairs", *CONTRAST_METRICS])

    def cohorts_against_rest(self, k: int = 20) -> pd.DataFrame:
        """How well each method predicts how a cohort differs from all others, donors counted once.

        Parameters
        ----------
        k
            As for :meth:`contrast`.

        Returns
        -------
        Columns ``method, cohort, n_donors`` and those of :data:`sicmir.donors.contrasts.CONTRAST_METRICS`;
        cohorts of 10 donors or more, if there are others to compare with.
        """
        donors = self.obs.groupby(self.obs["cohort"].astype(str))["donor"].nunique()
        labels = self.obs["cohort"].astype(str), self.obs["donor"].astype(str)
        rows = []
        for cohort, n_donors in donors[donors >= MIN_SAMPLES].items():
            if len(donors) < 2:
                break
            measured = effects(self.observed[self.detected], *labels, case=cohort)
            for name, predicted in self.predictions.items():
                found = agreement(measured, effects(predicted[self.detected], *labels, case=cohort), k)
                rows.append({"method": name, "cohort": cohort, "n_donors": n_donors} | found.to_dict())
        return pd.DataFrame(rows, columns=["method", "cohort", "n_donors", *CONTRAST_METRICS])

    def headline(self, league: pd.DataFrame, method: str = "sicmir", weak: float = 0.3) -> dict[str, float]:
        """Figures that a page quotes, by name; NaN where a scope is not defined.

        Parameters
        ----------
        league
            As :meth:`league` gives it with a baseline.
        method
            The method that ``n_weak`` and the gains are about.
        weak
            ``n_weak`` counts miRNAs of ``method`` below this correlation within cohort and condition.

        Returns
        -------
        ``n_mirnas, n_samples, n_donors, n_weak``; for each method and scope its median, as in
        ``ridge_pooled`` or ``ridge_within_cohort``; for the gain of ``method`` in each scope ``gain``,
        ``gain_lower`` and ``gain_upper``, as in ``gain_lower_pooled``.
        """
        within = self.per_mirna().loc[method, "pearson_within_condition"]
        figures: dict[str, float] = {
            "n_mirnas": len(self.detected),
            "n_samples": len(self.obs),
            "n_donors": int(self.obs["donor"].nunique()),
            "n_weak": int((within < weak).sum()),
        }
        for scope in (POOLED, WITHIN, WITHIN_CONDITION, WITHIN_FOLD):
            rows = league[league["scope"] == scope]
            medians = rows[rows["against"] == ""].set_index("method")["median"]
            for name in self.predictions:
                figures[_key(name, scope)] = float(medians.get(name, np.nan))
            gain = rows[(rows["against"] != "") & (rows["method"] == method)]
            for column, prefix in (("median", "gain"), ("lower", "gain_lower"), ("upper", "gain_upper")):
                figures[_key(prefix, scope)] = float(gain[column].iloc[0]) if len(gain) else np.nan
        return figures


def _key(name: str, scope: str) -> str:
    return f"{name}_{scope}".replace(" ", "_").replace("-", "_").replace("+", "_")
