"""Which hubs of predicted miRNA are hubs of measured miRNA as well, and how many would be anyway.

Measured and predicted values of a miRNA go together, and so do their correlations with any genes whatever,
targets or not. What two lists of hubs have in common is therefore held against draws of matched genes in
place of the targets, the same genes for both lists: what is left above them is due to the targets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy.stats import rankdata

from sicmir.donors.partial_correlation import partial_correlation
from sicmir.errors import DataError, ParameterError
from sicmir.networks.hubs import hubs, target_sets
from sicmir.networks.network import soft_weight
from sicmir.networks.network_input import Profiles, profiles

MEASURES = {
    "measured_z": "mean measured z of the first predicted hubs",
    "overlap": "miRNAs among the first of both lists",
    "spearman": "Spearman correlation of the two z over miRNAs",
}
"""What is compared with draws, and in words."""


@dataclass(frozen=True, eq=False)
class HubOverlap:
    """Hubs of measured and of predicted miRNA.

    Attributes
    ----------
    measured, predicted
        As :func:`sicmir.networks.hubs.hubs` gives them, for the miRNAs that are ranked in both.
    draws
        One row a draw of matched genes, with the columns of ``summary``.
    summary
        Index :data:`MEASURES`; ``value``; ``by_draws``, the mean of ``draws``; ``p``, the share of draws that
        reach it, (b + 1) / (n + 1). ``by_lot``: what lists drawn at random would share.
    counts
        ``n_mirnas`` ranked, ``n_donors``, ``top``; hubs of q up to ``fdr``: ``n_measured``, ``n_predicted``,
        ``n_both``.
    """

    measured: pd.DataFrame
    predicted: pd.DataFrame
    draws: pd.DataFrame
    summary: pd.DataFrame
    counts: dict[str, int]

    @classmethod
    def nothing(cls, n_donors: int, top: int) -> Self:
        """What there is where donors are too few: no miRNA, no draw, no figure."""
        columns = ["grade", "n_targets", "rank", "z", "p", "q", "r_targets"]
        empty = pd.DataFrame(columns=columns, dtype=float).rename_axis("mirna")
        summary = pd.DataFrame(
            np.nan, index=pd.Index(MEASURES, name="measure"), columns=["value", "by_draws", "p", "by_lot"]
        )
        counts = dict.fromkeys(("n_mirnas", "n_measured", "n_predicted", "n_both"), 0)
        draws = pd.DataFrame(columns=list(MEASURES), dtype=float)
        return cls(empty, empty, draws, summary, counts | {"n_donors": n_donors, "top": top})

    def beside(self) -> pd.DataFrame:
        """One row a miRNA: rank, z, p and q of both, those first that lead both lists."""
        columns = ["rank", "z", "p", "q", "r_targets"]
        facts = self.measured[["grade", "n_targets"]]
        sides = [
            self.measured[columns].add_prefix("measured_"),
            self.predicted[columns].add_prefix("predicted_"),
        ]
        table = facts.join(sides)
        worst = table[["measured_rank", "predicted_rank"]].astype(float).max(axis=1)
        return table.loc[worst.sort_values(kind="stable").index]


def overlap(
    measured: AnnData,
    predicted: AnnData,
    mrna: AnnData,
    targets: pd.DataFrame,
    group_key: str = "cohort",
    *,
    top: int = 15,
    n_permutations: int = 999,
    n_bootstraps: int = 0,
    min_targets: int = 5,
    fdr: float = 0.05,
    min_grade: str = "B",
    donor_key: str = "donor",
    seed: int = 0,
    progress: bool = True,
) -> HubOverlap:
    """Rank hubs by measured and by predicted miRNA of the same samples, and compare the lists.

    Parameters
    ----------
    measured, predicted
        The same samples × miRNAs; miRNAs of both are taken. Grades are those of ``predicted``, and the same
        miRNAs count in both lists.
    mrna, targets, group_key, n_permutations, n_bootstraps, min_targets, min_grade, donor_key, seed, progress
        As for :func:`sicmir.networks.hubs.hubs`.
    top
        Length of the lists.
    fdr
        Largest q of a hub that is called.

    Raises
    ------
    DataError, PanelError, ParameterError
        As :func:`sicmir.networks.hubs.hubs`; also if no miRNA is in both, or ``top`` is not below the number
        of miRNAs that are ranked in both.
    """
    names = predicted.var_names[predicted.var_names.isin(measured.var_names)]
    if names.empty:
        raise DataError("No miRNA was both measured and predicted; are both mature, or both stem-loops?")
    sides = [measured[:, names].copy(), predicted[:, names].copy()]
    sides[0].var["grade"] = sides[1].var["grade"]
    keys: dict[str, Any] = {"group_key": group_key, "donor_key": donor_key, "min_grade": min_grade}
    made = [profiles(side, mrna, targets, **keys) for side in sides]
    ranked = [one.mirnas[target_sets(one, min_targets, "targeted")[0]] for one in made]
    shared = ranked[0].intersection(ranked[1], sort=False)
    if not 1 <= top < len(shared):
        raise ParameterError(
            f"top should lie between 1 and {len(shared) - 1}, one below those ranked in both."
        )
    # The same miRNAs on both sides have the same targets, genes and bins, hence the same draws.
    sides = [side[:, shared].copy() for side in sides]
    tables, found = [], []
    for side in sides:
        made_one = profiles(side, mrna, targets, **keys)
        table = hubs(
            side,
            mrna,
            targets,
            n_permutations=n_permutations,
            n_bootstraps=n_bootstraps,
            top=top,
            min_targets=min_targets,
            seed=seed,
            progress=progress,
            **keys,
        )
        tables.append(table.loc[table["rank"].notna()])
        found.append(_drawn(made_one, min_targets, n_permutations, seed, progress))
    observed = [table["z"].reindex(shared).to_numpy(dtype=float)[None] for table in tables]
    true, chance = _compared(observed, top).iloc[0], _compared(found, top)
    summary = pd.DataFrame(
        {
            "value": true,
            "by_draws": chance.mean(),
            "p": (((chance >= true - 1e-9).sum() + 1) / (len(chance) + 1)).where(true.notna()),
            "by_lot": pd.Series({"overlap": top * top / len(shared)}),
        }
    ).loc[list(MEASURES)]
    called = [set(table.index[table["q"] <= fdr]) for table in tables]
    counts = {
        "n_mirnas": len(shared),
        "n_donors": int(tables[0]["n"].max()),
        "top": top,
        "n_measured": len(called[0]),
        "n_predicted": len(called[1]),
        "n_both": len(called[0] & called[1]),
    }
    return HubOverlap(tables[0], tables[1], chance, summary.rename_axis("measure"), counts)


def _drawn(made: Profiles, min_targets: int, n: int, seed: int, progress: bool) -> np.ndarray:
    """Draws × miRNAs: z of matched genes in place of the targets.

    Their SD is 1, as that of z without any hub: targets vary more than matched genes do, and z is inflated
    for that, but not the draws.
    """
    ranked, sets, gene = target_sets(made, min_targets, "targeted")
    weights = soft_weight(partial_correlation(made.mirna[:, ranked], gene, made.design)[0])
    mean, spread = sets.expected(weights)
    scale = np.where(spread > 0, spread, np.nan)
    draws = sets.draws(n, seed, progress)
    return np.stack([(replace(sets, gene=drawn).total(weights) - mean) / scale for drawn in draws])


def _compared(z: Sequence[np.ndarray], top: int) -> pd.DataFrame:
    """:data:`MEASURES` of measured and predicted z, row by row; a miRNA without z comes last."""
    sides = [np.nan_to_num(side, nan=-np.inf) for side in z]
    first = [np.argsort(np.argsort(-side, axis=1, kind="stable"), axis=1) < top for side in sides]
    ranks = [rankdata(side, axis=1) for side in sides]
    ranks = [side - side.mean(axis=1, keepdims=True) for side in ranks]
    size = np.sqrt(np.square(ranks[0]).sum(axis=1) * np.square(ranks[1]).sum(axis=1))
    rho = np.divide((ranks[0] * ranks[1]).sum(axis=1), size, out=np.full(len(size), np.nan), where=size > 0)
    return pd.DataFrame(
        {
            "measured_z": np.where(first[1], np.nan_to_num(z[0]), 0).sum(axis=1) / top,
            "overlap": (first[0] & first[1]).sum(axis=1),
            "spearman": rho,
        }
    )
