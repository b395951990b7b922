"""How often the domain flags what is foreign for sure, and what is not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
import pandas as pd

from sicmir.learning.domain import Domain
from sicmir.learning.splits import Split, assert_no_leak

Damage = Callable[[np.ndarray, np.random.Generator], np.ndarray]
"""Samples × genes to the same, spoilt."""


def _like_training(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Genes with the right mean and SD each, but independent of each other."""
    return rng.normal(np.nanmean(values, axis=0), np.nanstd(values, axis=0), values.shape)


DAMAGES: Mapping[str, Damage] = MappingProxyType(
    {
        "held-out donors": lambda values, rng: values,
        "noise with the mean and SD of each gene": _like_training,
        "uniform noise": lambda values, rng: rng.uniform(0, 15, values.shape),
        "genes shuffled": lambda values, rng: rng.permuted(values, axis=1),
        "genes shifted by one": lambda values, rng: np.roll(values, 1, axis=1),
        "logarithm taken twice": lambda values, rng: np.log2(values + 1),
        "values turned round": lambda values, rng: np.nanmax(values, axis=1, keepdims=True) - values,
    }
)
"""What is done to held-out donors; the first leaves them as they are."""


def flag_rates(
    X: np.ndarray,
    obs: pd.DataFrame,
    split: Split,
    seed: int = 0,
    others: Mapping[str, np.ndarray] = MappingProxyType({}),
) -> pd.DataFrame:
    """Share of samples that are not inside the domain, for held-out donors and for spoilt copies of them.

    Parameters
    ----------
    X
        Samples × landmarks, log2(x+1), NaN where not measured.
    obs
        Samples with ``donor``.
    split
        Donors that the domain is fitted on, and donors that are flagged or not.
    seed
        Of noise and shuffling.
    others
        Name → further samples × landmarks, log2(x+1), such as those of another species.

    Returns
    -------
    Index ``input``; columns ``transform, n, outside, far``: the shares at either level; ``outside`` counts
    the far ones too.
    """
    assert_no_leak(split, obs)
    domain = Domain().fit(X[split.train], obs["donor"].iloc[split.train].to_numpy())
    tested, given = X[split.test].astype(np.float64), {}
    for name, damage in DAMAGES.items():
        values = damage(tested, np.random.default_rng(seed))
        given[name] = np.where(np.isnan(tested), np.nan, values)
    rows = []
    for name, values in (given | dict(others)).items():
        for transform in ("frozen", "rank"):
            level = domain.level(domain.rescale_.to_training(values, transform))
            rows.append((name, transform, len(level), np.mean(level != "inside"), np.mean(level == "far")))
    return pd.DataFrame(rows, columns=["input", "transform", "n", "outside", "far"]).set_index("input")
