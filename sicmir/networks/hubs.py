"""Hub miRNAs: those whose targets fall where they rise, more than other genes do that are like the targets.

Genes alike in number of miRNAs, mean and spread are drawn in place of the targets. Drawn by lot, they are as
good as independent; the targets of a miRNA are not, since they are often expressed together, and then vary
as one. Draws alone would call a miRNA a hub far too often where miRNA and mRNA have nothing to do with each
other (competitive tests of gene sets: Goeman & Bühlmann 2007, doi 10.1093/bioinformatics/btm051). As CAMERA
does (Wu & Smyth 2012, doi 10.1093/nar/gks461), the variance of the draws is therefore multiplied by
how much more the sum of the targets varies over donors than that of genes drawn by lot, apart from what
follows the miRNA; and since that is estimated from few donors, the draws are given Student's tails.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy.stats import false_discovery_control
from tqdm import tqdm

from sicmir import panel
from sicmir.donors.partial_correlation import partial_correlation, patterns, residuals
from sicmir.errors import DataError, ParameterError
from sicmir.networks.hub_null import TargetSets, permutation_p
from sicmir.networks.matched_genes import gene_bins
from sicmir.networks.network import soft_weight
from sicmir.networks.network_input import Profiles, profiles

MAX_OVERLAP = 0.9
"""Largest share of a drawn set that may be the targets themselves: beyond it there is no null to speak of."""


def hubs(
    mirna: AnnData,
    mrna: AnnData,
    targets: pd.DataFrame,
    group_key: str = "cohort",
    covariates: Sequence[str] = (),
    *,
    n_permutations: int = 1000,
    n_bootstraps: int = 100,
    top: int = 20,
    min_targets: int = 5,
    background: Literal["targeted", "all"] = "targeted",
    seed: int = 0,
    progress: bool = True,
    donor_key: str = "donor",
    gene_key: str = "",
    outside_panel: bool = True,
    min_grade: str = "B",
) -> pd.DataFrame:
    """Weighted degree and PageRank of every miRNA, against matched genes and over donors.

    The weighted degree is the sum of the weights of :func:`sicmir.networks.network.edges` over all targets,
    significant or not.

    Parameters
    ----------
    mirna, mrna, targets, group_key, covariates, donor_key, gene_key, outside_panel, min_grade
        As for :func:`sicmir.networks.network_input.profiles`.
    n_permutations
        Draws of matched genes, at least 19. The smallest p is 1 / (n_permutations + 1).
    n_bootstraps
        Resamplings of donors within groups; 0 for none.
    top
        Places that ``top_share`` asks for.
    min_targets
        Fewest tested targets of a miRNA that is ranked.
    background
        Genes that may stand in for targets. ``"targeted"``: those that the table gives any miRNA, matched by
        number of miRNAs too; a table of known targets holds genes that are studied much, one of predicted
        targets genes of long 3'UTRs. ``"all"``: all genes, matched by mean and spread alone, for a table of
        few miRNAs.
    seed
        Of permutations and resamplings.
    progress
        Show bars.

    Returns
    -------
    DataFrame
        Index ``mirna``, best first; all miRNAs with a tested target.

        - ``family`` (TargetScan, "" if none), ``grade``, ``counted``; what follows is NaN where not counted.
        - ``n_targets`` tested, ``n`` donors.
        - ``degree`` and what matched genes give (``expected``, the mean of draws); ``inflation``, the factor
          for the variance of draws, at least 1; ``z``, the difference in SD of draws after it. ``rank`` is by
          z: the sum alone would favour miRNAs of many targets.
        - ``p``, of the permutations after inflation (``hub_null.permutation_p``), and ``q``
          (Benjamini-Hochberg). ``p_draws``, without
          inflation, is shown for comparison and is too small. NaN where more than 90 % of a draw are the
          targets themselves (``overlap``). With m miRNAs ranked and k of them at the smallest p, no q is
          below m / (k (n_permutations + 1)): give more permutations where few hubs are expected.
        - ``r_targets``, partial correlation of the miRNA with the mean of its targets less that of matched
          genes: how large the effect is.
        - ``pagerank`` (damping 0.85, on the weights) with ``p_pagerank`` from the same draws, inflated alike.
          PageRank is a share: where many miRNAs are hubs, it tells them from the others less well than z.
        - ``top_share``: of the resamplings, the share in which it is among the first ``top`` by z.

    Raises
    ------
    DataError, PanelError
        As :func:`sicmir.networks.network_input.profiles`; or if no miRNA has ``min_targets`` targets, or none
        a null.
    ParameterError
        If an option is out of range.

    Examples
    --------
    >>> import sicmir
    >>> from sicmir.networks import hubs
    >>> mrna, mirna = sicmir.toy.paired_bulk(20, 2, 1800, 20, normal_fraction=0)
    >>> targets = mirna.uns["truth"]["targets"]
    >>> table = hubs.hubs(mirna, mrna, targets, n_permutations=99, n_bootstraps=0, progress=False)
    >>> table["rank"].head(3).tolist()
    [1, 2, 3]
    """
    for name, value, least in (
        ("n_permutations", n_permutations, 19),
        ("n_bootstraps", n_bootstraps, 0),
        ("top", top, 1),
        ("min_targets", min_targets, 1),
        ("seed", seed, 0),
    ):
        if not isinstance(value, int | np.integer) or value < least:
            raise ParameterError(f"{name} should be a whole number of at least {least}, found {value!r}.")
    if background not in ("targeted", "all"):
        raise ParameterError(f"background should be 'targeted' or 'all', found {background!r}.")
    made = profiles(
        mirna,
        mrna,
        targets,
        group_key,
        covariates,
        donor_key=donor_key,
        gene_key=gene_key,
        outside_panel=outside_panel,
        min_grade=min_grade,
    )
    ranked, sets, gene = target_sets(made, min_targets, background)
    values = made.mirna[:, ranked]
    r, df = partial_correlation(values, gene, made.design)
    weights = soft_weight(r)
    r_targets, inflation = _targets_over_donors(values, gene, made.design, r, sets)
    z, degree, expected = _z(weights, sets, inflation)
    degrees, pageranks, pagerank = sets.permuted(weights, n_permutations, seed, progress)
    overlap = sets.overlap()
    p_draws, p, p_pagerank = (
        np.where(overlap > MAX_OVERLAP, np.nan, permutation_p(*found))
        for found in (
            (degree, degrees),
            (degree, degrees, inflation, df),
            (pagerank, pageranks, inflation, df),
        )
    )
    q = np.full(len(p), np.nan)
    q[np.isfinite(p)] = false_discovery_control(p[np.isfinite(p)])
    table = pd.DataFrame(
        {
            "degree": degree,
            "expected": expected,
            "inflation": inflation,
            "z": z,
            "overlap": overlap,
            "p_draws": p_draws,
            "p": p,
            "q": q,
            "r_targets": r_targets,
            "pagerank": pagerank,
            "p_pagerank": p_pagerank,
            "top_share": _top_share(values, gene, made, sets, inflation, n_bootstraps, top, seed, progress),
        },
        index=made.mirnas[ranked],
    )
    return _labelled(table, made)


def target_sets(
    made: Profiles, min_targets: int, background: str
) -> tuple[np.ndarray, TargetSets, np.ndarray]:
    """Places of the miRNAs that are ranked, their targets over the background, and the background's genes."""
    n_targets = np.bincount(made.mirna_place, minlength=len(made.mirnas))
    ranked = np.flatnonzero(made.counted & (n_targets >= min_targets))
    if not len(ranked):
        raise DataError(
            f"No counted miRNA has {min_targets} tested targets; the most is "
            f"{n_targets[made.counted].max()}. Lower min_targets, or take a larger table of targets."
        )
    all_degrees = np.bincount(made.gene_place, minlength=len(made.genes))
    chosen = np.flatnonzero(all_degrees > 0) if background == "targeted" else np.arange(len(made.genes))
    gene = made.gene[:, chosen]
    # How much a gene varies within groups is what a correlation within groups depends on.
    rest = gene - made.design @ np.linalg.lstsq(made.design, gene, rcond=None)[0]
    degree = all_degrees[chosen] if background == "targeted" else None
    bins = gene_bins(gene.mean(axis=0), degree, rest.std(axis=0))
    kept = np.isin(made.mirna_place, ranked)
    mirna = np.searchsorted(ranked, made.mirna_place[kept])
    order = np.argsort(mirna, kind="stable")
    sets = TargetSets(
        mirna=mirna[order],
        gene=np.searchsorted(chosen, made.gene_place[kept])[order],
        weight=made.weight[kept][order],
        shape=(len(ranked), len(chosen)),
        bins=bins,
    )
    if (sets.overlap() > MAX_OVERLAP).all():
        raise DataError(
            f"There are no genes to put in place of the targets: of {len(chosen)} genes in {bins.max() + 1} "
            "bins, over 90 % of every matched set would be the targets themselves. "
            + ('Give background="all".' if background == "targeted" else "Give mRNA with more genes.")
        )
    return ranked, sets, gene


def _z(
    weights: np.ndarray, sets: TargetSets, inflation: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weighted degree less its mean over draws, in inflated SD of draws; the degree; that mean."""
    degree = sets.total(weights)
    expected, spread = sets.expected(weights)
    return (degree - expected) / np.where(spread > 0, spread * np.sqrt(inflation), np.nan), degree, expected


def _targets_over_donors(
    values: np.ndarray, gene: np.ndarray, design: np.ndarray, r: np.ndarray, sets: TargetSets
) -> tuple[np.ndarray, np.ndarray]:
    """Correlation of each miRNA with its targets less matched genes, and the inflation, at least 1.

    The inflation is the variance over donors of that difference, in units of what draws give. On both sides
    the part along the miRNA is left out: it is what is tested, and repression too makes targets go together.
    """
    correlation, inflation = np.full((2, values.shape[1]), np.nan)
    along_draws = np.square(sets.expected(np.nan_to_num(r))[1])
    for seen, columns in patterns(values):
        left = residuals(values[np.ix_(seen, columns)], design[seen])
        profile, chance = (part[..., columns] for part in sets.relative(residuals(gene[seen], design[seen])))
        along, size = (left * profile).sum(axis=0), np.square(profile).sum(axis=0)
        correlation[columns] = along / np.sqrt(np.where(size > 0, size, np.nan))
        rest = chance - along_draws[columns]
        inflation[columns] = (size - along**2) / np.where(rest > 1e-9 * chance, rest, np.nan)
    return correlation, np.maximum(inflation, 1)


def _top_share(
    values: np.ndarray,
    gene: np.ndarray,
    made: Profiles,
    sets: TargetSets,
    inflation: np.ndarray,
    n: int,
    top: int,
    seed: int,
    progress: bool,
) -> np.ndarray:
    """Share of bootstraps over donors, within groups, in which a miRNA is among the first by z."""
    if n == 0:
        return np.full(values.shape[1], np.nan)
    rng = np.random.default_rng([seed, 1])
    members = [np.flatnonzero(made.strata == stratum) for stratum in np.unique(made.strata)]
    found = np.zeros(values.shape[1])
    for _ in tqdm(range(n), desc="Resampling donors", unit="draw", leave=False, disable=not progress):
        counts = np.zeros(len(gene), dtype=int)
        for inside in members:
            np.add.at(counts, rng.choice(inside, len(inside)), 1)
        r, _ = partial_correlation(values, gene, made.design, counts)
        z = np.nan_to_num(_z(soft_weight(r), sets, inflation)[0], nan=-np.inf)
        found[np.argsort(-z, kind="stable")[:top]] += 1
    return found / n


def _labelled(table: pd.DataFrame, made: Profiles) -> pd.DataFrame:
    """Put miRNAs that are not ranked below the others, and add what is known of each."""
    shown = made.mirnas[np.unique(made.mirna_place)]
    families = panel.mirnas().query("level == 'mature'").set_index("name")["family"]
    place = made.mirnas.get_indexer(shown)
    facts = pd.DataFrame(
        {
            "family": families.reindex(shown).fillna("").to_numpy(),
            "grade": made.grade[place],
            "counted": made.counted[place],
            "n_targets": np.bincount(made.mirna_place, minlength=len(made.mirnas))[place],
            "n": (~np.isnan(made.mirna)).sum(axis=0)[place],
        },
        index=shown,
    )
    joined = facts.join(table).rename_axis("mirna")
    joined.insert(5, "rank", joined["z"].rank(ascending=False, method="first").astype("Int64"))
    return joined.sort_values("rank", kind="stable")
