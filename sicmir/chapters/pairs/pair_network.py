"""Hubs and modules of the tumours of a page on paired samples, where there are tumours enough."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from anndata import AnnData

from sicmir.donors.partial_correlation import MIN_DF
from sicmir.networks import hub_overlap, mirna_modules, network
from sicmir.networks.enrichment import GeneSets
from sicmir.networks.hub_overlap import HubOverlap
from sicmir.networks.mirna_modules import Network

GROUP, DONOR = "cohort", "donor"
"""Columns of ``obs`` by which correlations are adjusted, and whose values are the units."""


@dataclass(frozen=True, eq=False)
class Divided:
    """Networks of measured and of predicted miRNA; all are empty where donors are too few.

    Attributes
    ----------
    edges
        As :func:`sicmir.networks.network.edges` gives them.
    networks
        As :func:`sicmir.networks.mirna_modules.divide` gives them.
    pathways
        As :func:`sicmir.networks.mirna_modules.pathways` gives them.
    """

    edges: dict[str, pd.DataFrame]
    networks: dict[str, Network]
    pathways: dict[str, pd.DataFrame]


def needed(tumours: AnnData) -> int:
    """Fewest donors of which a network of these samples can be told."""
    return tumours.obs[GROUP].astype(str).nunique() + 1 + MIN_DF


def enough(tumours: AnnData) -> bool:
    """Whether there are so many donors."""
    return tumours.obs[DONOR].nunique() >= needed(tumours)


def hubs(tumours: Mapping[str, AnnData], targets: pd.DataFrame, top: int, **options: Any) -> HubOverlap:
    """Hubs of both lists (:func:`sicmir.networks.hub_overlap.overlap`), or none where donors are too few.

    Parameters
    ----------
    tumours
        ``measured``, ``predicted`` and ``mrna`` of the same samples.
    targets, top, options
        As for :func:`sicmir.networks.hub_overlap.overlap`.
    """
    if not enough(tumours["mrna"]):
        return HubOverlap.nothing(tumours["mrna"].obs[DONOR].nunique(), top)
    measured, predicted, mrna = (tumours[name] for name in ("measured", "predicted", "mrna"))
    return hub_overlap.overlap(measured, predicted, mrna, targets, GROUP, top=top, donor_key=DONOR, **options)


def modules(
    tumours: Mapping[str, AnnData],
    counted: Sequence[str],
    targets: pd.DataFrame,
    sets: GeneSets,
    fdr: float = 0.05,
    seed: int = 0,
) -> Divided:
    """Divide the networks of measured and of predicted miRNA.

    Parameters
    ----------
    tumours, targets
        As for :func:`hubs`.
    counted
        miRNAs that count.
    sets
        Gene sets by name.
    fdr, seed
        As for :func:`sicmir.networks.mirna_modules.divide`.
    """
    if not enough(tumours["mrna"]):
        return Divided({}, {}, {})
    edges = {
        name: network.edges(tumours[name][:, counted], tumours["mrna"], targets, min_grade="")
        for name in ("measured", "predicted")
    }
    networks = {name: mirna_modules.divide(table, fdr, seed=seed) for name, table in edges.items()}
    pathways = {name: mirna_modules.pathways(networks[name], table, sets) for name, table in edges.items()}
    return Divided(edges, networks, pathways)
