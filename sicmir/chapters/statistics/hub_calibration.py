"""How often hubs are found where there are none, and where there are: the calibration of the network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
from anndata import AnnData
from scipy.stats import binom
from sklearn.metrics import roc_auc_score
from tqdm import tqdm

from sicmir.networks.hubs import hubs
from sicmir.networks.network import edges
from sicmir.synthetic.toy_network import planted_network, predicted_from_noise, unrelated

NOMINAL = 0.05
"""Level at which false positives are counted."""

TESTS = ("p", "p_pagerank", "p_draws")
"""Columns of :func:`sicmir.networks.hubs.hubs` whose false positives are counted."""

NULLS = ("genes", "donors", "together")


def false_positives(
    seeds: Sequence[int] = tuple(range(200)), n_donors: int = 20, n_permutations: int = 199
) -> pd.DataFrame:
    """Share of p <= 0.05 where there is no hub, for each seed and three kinds of nothing.

    Parameters
    ----------
    seeds
        One toy study of 80 miRNAs and three cohorts for each.
    n_donors
        Donors of each cohort.
    n_permutations
        Draws of matched genes.

    Returns
    -------
    DataFrame
        Index (``null``, ``seed``); ``edges``, share of edges, and ``p``, ``p_pagerank``, ``p_draws``, shares
        of miRNAs. Nulls: ``genes``, measured miRNA with targets drawn at random, where edges are more than
        5 % since miRNA and genes follow the same programmes; ``donors``, the same with the miRNA of other
        donors; ``together``, as ``donors`` with targets that are expressed together, where ``p_draws`` is
        too small.
    """
    rows = {}
    for seed in tqdm(seeds, desc="False positives", unit="seed", leave=False):
        for null in NULLS:
            together = 1.0 if null == "together" else 0.0
            mrna, mirna, targets = planted_network(seed, n_donors, true_share=0, together=together)
            mirna = mirna if null == "genes" else unrelated(mirna, seed)
            found = _quick_hubs(mirna, mrna, targets, n_permutations, seed)
            rows[null, seed] = {
                "edges": (edges(mirna, mrna, targets)["p"] <= NOMINAL).mean(),
                **{test: (found[test].dropna() <= NOMINAL).mean() for test in TESTS},
            }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(["null", "seed"])


def recovery(
    n_donors: Sequence[int] = (5, 10, 20, 40),
    seeds: Sequence[int] = tuple(range(20)),
    *,
    true_share: float = 0.5,
    together: float = 0.5,
    repression: float = 0.6,
    n_permutations: int = 999,
) -> pd.DataFrame:
    """How well planted hubs are told from other miRNAs, by the number of donors of each of three cohorts.

    Parameters
    ----------
    n_donors
        Donors of each cohort.
    seeds, true_share, together, repression
        As for :func:`sicmir.synthetic.toy_network.planted_network`.
    n_permutations
        Draws of matched genes.

    Returns
    -------
    DataFrame
        Index (``n_donors``, ``seed``). ``auroc`` of z and ``auroc_pagerank`` of PageRank; ``power``, the
        share of hubs with q <= 0.05; ``false_share`` of other miRNAs with q <= 0.05.
    """
    rows = {}
    for number in n_donors:
        for seed in tqdm(seeds, desc=f"{number} donors a cohort", unit="seed", leave=False):
            mrna, mirna, targets = planted_network(
                seed, number, true_share=true_share, together=together, repression=repression
            )
            found = _quick_hubs(mirna, mrna, targets, n_permutations, seed)
            ranked = found[found["z"].notna()]
            hub = targets.groupby("mirna")["hub"].first().loc[ranked.index].to_numpy()
            called = (ranked["q"] <= NOMINAL).to_numpy()
            rows[number, seed] = {
                "auroc": roc_auc_score(hub, ranked["z"]),
                "auroc_pagerank": roc_auc_score(hub, ranked["pagerank"]),
                "power": called[hub].mean(),
                "false_share": called[~hub].mean(),
            }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(["n_donors", "seed"])


def circularity(
    seeds: Sequence[int] = tuple(range(20)), n_donors: int = 120, n_permutations: int = 199
) -> pd.DataFrame:
    """What networks of predicted miRNA find in noise: on the genes it was predicted from, and on others.

    What a predictor gives falls where the targets rise that it reads, since it is computed from them: a
    network of these is a picture of the predictor (imputed networks: Andrews & Hemberg 2018, doi
    10.12688/f1000research.16613.2).

    Parameters
    ----------
    seeds
        Each gives a study of :func:`sicmir.synthetic.toy_network.predicted_from_noise`.
    n_donors
        Donors of noise.
    n_permutations
        Draws of matched genes.

    Returns
    -------
    DataFrame
        Index (``noise``, ``targets``, ``seed``). ``noise``: "independent" genes, or "programmes" that drive
        genes inside and outside alike. ``targets``: "inside" the 977, the circular network, or "outside".
        ``edges``: share with p <= 0.05, ``edges_found``: share with q <= 0.05, ``naive_hubs``: share of
        miRNAs with more edges of p <= 0.05 than 5 % give by chance (binomial, p <= 0.05), ``hubs``: share
        with p <= 0.05 against matched genes, ``hubs_found``: share with q <= 0.05.
    """
    rows = {}
    for seed in tqdm(seeds, desc="Circularity", unit="seed", leave=False):
        for kind, n_programmes in (("independent", 0), ("programmes", 12)):
            predicted, noise, targets = predicted_from_noise(seed, n_donors, n_programmes=n_programmes)
            for side, table in targets.items():
                outside = side == "outside"
                found = edges(predicted, noise, table, outside_panel=outside)
                called = _quick_hubs(
                    predicted, noise, table, n_permutations, seed, outside_panel=outside, background="all"
                )
                hits = (found["p"] <= NOMINAL).groupby(found["mirna"]).agg(["sum", "size"])
                naive = binom.sf(hits["sum"] - 1, hits["size"], NOMINAL) <= NOMINAL
                rows[kind, side, seed] = {
                    "edges": (found["p"] <= NOMINAL).mean(),
                    "edges_found": (found["q"] <= NOMINAL).mean(),
                    "naive_hubs": naive.mean(),
                    "hubs": (called["p"] <= NOMINAL).mean(),
                    "hubs_found": (called["q"] <= NOMINAL).mean(),
                }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(["noise", "targets", "seed"])


def _quick_hubs(
    mirna: AnnData, mrna: AnnData, targets: pd.DataFrame, n_permutations: int, seed: int, **options: Any
) -> pd.DataFrame:
    return hubs(
        mirna,
        mrna,
        targets,
        n_permutations=n_permutations,
        n_bootstraps=0,
        seed=seed,
        progress=False,
        **options,
    )
