"""Compare methods on one paired data set by donor-grouped cross-validation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import numpy as np
import pandas as pd
from anndata import AnnData

from sicmir import metrics, panel
from sicmir.benchmark.baselines import CONTROLS, Ridge
from sicmir.benchmark.comparison import Comparison
from sicmir.benchmark.rivals import RIVALS, inputs
from sicmir.errors import DataError, ParameterError
from sicmir.learning import splits
from sicmir.learning.kernel import MaskedKernelRidge
from sicmir.learning.methods import Estimator, Method, cross_predict
from sicmir.learning.training import NetworkRegressor


class Average:
    """Mean of the predictions of several estimators, in log2(RPM+1)."""

    def __init__(self, members: Sequence[Estimator]) -> None:
        self.members = list(members)

    def fit(self, X: np.ndarray, Y: np.ndarray, obs: pd.DataFrame) -> Self:
        """Fit every member on the same samples."""
        for member in self.members:
            member.fit(X, Y, obs)
        return self

    def predict(self, X: np.ndarray, obs: pd.DataFrame) -> np.ndarray:
        """Average the members."""
        return np.mean([member.predict(X, obs) for member in self.members], axis=0)


_OURS = (
    Method(
        name="kernel",
        source="kernel ridge regression with batch effects, Rasmussen & Williams 2006, ISBN 026218253X",
        needs=frozenset(),
        make=lambda seed: MaskedKernelRidge(),
    ),
    Method(
        name="sicmir",
        source="network of Cai et al. 2026, doi 10.1002/advs.202514446",
        needs=frozenset(),
        make=lambda seed: NetworkRegressor(seed=seed),
    ),
    Method(
        name="sicmir+ridge",
        source="mean of the network and the ridge regression",
        needs=frozenset(),
        make=lambda seed: Average([NetworkRegressor(seed=seed), Ridge()]),
    ),
)
METHODS: dict[str, Method] = CONTROLS | RIVALS | {method.name: method for method in _OURS}
"""Every method by name: controls, rivals and ours."""


def compare(
    mrna: AnnData,
    mirna: AnnData,
    methods: Sequence[str] = ("cohort-mean", "shuffled", "ridge", "sicmir"),
    *,
    also: str = "",
    unseen_cohorts: bool = False,
    unseen_condition: str = "",
    n_splits: int = 5,
    seed: int = 0,
    min_coverage: float = 0.5,
    progress: bool = True,
) -> Comparison:
    """Cross-validate methods on the same donor-grouped folds.

    miRNAs are kept by :func:`sicmir.metrics.detected`: RPM > 1 in at least half of the samples.

    Parameters
    ----------
    mrna, mirna
        Samples × genes, log2(x+1), and samples × miRNAs, log2(RPM+1), with the same ``obs``; as
        :func:`sicmir.load_paired` gives them.
    methods
        Names in :data:`METHODS`. The mean of two methods that are both asked for, such as
        ``sicmir+ridge`` beside ``sicmir`` and ``ridge``, is formed from their predictions.
    also
        Short names of further miRNAs to predict, see :func:`find_mirnas`, such as those of one tissue, which
        the rule leaves out. They are predicted but not judged among the others.
    unseen_cohorts
        Leave out one cohort at a time in place of folds of donors: each is predicted by an estimator that
        never saw a sample of it.
    unseen_condition
        Train on no sample of this condition, see :func:`sicmir.learning.splits.unseen_condition`: the split
        for perturbations.
    n_splits, seed
        Number of folds of donors, and the seed of folds and estimators.
    min_coverage
        Smallest share of the landmarks that the data must measure, see :func:`sicmir.panel.align`.
    progress
        Show a progress bar for each method.

    Raises
    ------
    ParameterError
        If a method is not known, or both cohorts and a condition shall be unseen.
    DataError
        If the samples differ or no miRNA is detected.
    PanelError
        If the genes do not cover the landmarks.
    """
    unknown = [name for name in methods if name not in METHODS]
    if unknown or not methods:
        raise ParameterError(f"methods: found {list(methods)}, expected one or more of {list(METHODS)}.")
    if unseen_cohorts and unseen_condition:
        raise ParameterError("Ask for unseen_cohorts or for an unseen_condition, not for both at once.")
    check_same_samples(mrna, mirna)
    X = panel.align(mrna, min_coverage=min_coverage).to_df()
    detected = detected_names(mirna)
    further = pd.Index(find_mirnas(mirna.to_df(), also)).difference(detected, sort=False)
    observed, obs = mirna[:, detected.append(further)].to_df(), mirna.obs
    if unseen_cohorts:
        folds = splits.leave_one_cohort_out(obs)
    elif unseen_condition:
        folds = splits.unseen_condition(obs, unseen_condition, n_splits, seed)
    else:
        folds = splits.donor_folds(obs, n_splits, seed)
    predictions: dict[str, pd.DataFrame] = {}
    # Averages last: their members are then at hand and are not trained a second time.
    for name in sorted(methods, key=lambda name: "+" in name):
        parts = name.split("+")
        if len(parts) > 1 and all(part in predictions for part in parts):
            predictions[name] = sum(predictions[part] for part in parts) / len(parts)
        else:
            read = inputs(METHODS[name], X, mrna, mirna[:, observed.columns])
            predictions[name] = cross_predict(METHODS[name], read, observed, obs, folds, seed, progress)
    ordered = {name: predictions[name] for name in methods}
    return Comparison(
        observed=observed,
        detected=detected,
        predictions=ordered,
        obs=obs,
        folds=splits.table(folds, obs),
        flat=frozenset(name for name in methods if not METHODS[name].tells_samples_apart),
    )


def detected_names(mirna: AnnData) -> pd.Index:
    """Names of the miRNAs with RPM > 1 in at least half of the samples.

    Raises
    ------
    DataError
        If there is none.
    """
    keep = metrics.detected(mirna.to_df())
    if not keep.any():
        raise DataError(
            f"None of {mirna.n_vars} miRNAs has RPM > 1 in at least half of the {mirna.n_obs} samples. "
            "Expected log2(RPM+1); look at the units."
        )
    return mirna.var_names[keep]


def find_mirnas(observed: pd.DataFrame, wanted: str) -> list[str]:
    """Find miRNAs by short names such as ``miR-122``.

    Parameters
    ----------
    observed
        Samples × miRNAs, log2(RPM+1).
    wanted
        Comma-separated names with or without species and arm, in any case: ``miR-122`` stands for
        ``hsa-mir-122`` as well as for ``hsa-miR-122-5p``. Of several, the most expressed is taken.

    Returns
    -------
    Names of columns, in the order of ``wanted``; names that are not in the data are left out.
    """
    short = observed.columns.str.lower().str.replace(r"^hsa-|-[35]p$", "", regex=True)
    found: list[str] = []
    for name in filter(None, (part.strip().lower() for part in wanted.split(","))):
        keys = zip(observed.columns, short, strict=True)
        named = [full for full, key in keys if name in (key, full.lower())]
        if named:
            found.append(observed[named].mean().idxmax())
    return list(dict.fromkeys(found))


def check_same_samples(mrna: AnnData, mirna: AnnData) -> None:
    """Refuse two matrices that are not of the same samples in the same order.

    Raises
    ------
    DataError
        If they are not.
    """
    if not mrna.obs_names.equals(mirna.obs_names):
        raise DataError(
            f"mRNA ({mrna.n_obs} samples) and miRNA ({mirna.n_obs} samples) are not the same samples in the "
            "same order. Load them with sicmir.load_paired, or select the samples of both alike."
        )
