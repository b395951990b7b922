"""Synthetic cells of several donors with planted senders and receivers of vesicles, and none for controls."""

from __future__ import annotations

from collections.abc import Sequence

import anndata as ad
import numpy as np
import pandas as pd
from scipy import sparse

from sicmir import __version__, panel, trust
from sicmir.errors import ParameterError
from sicmir.vesicles import ev

N_LANDMARKS = 50
"""Landmark genes among the genes, so that it can be seen that they are never targets."""

PLANTED = ("biogenesis", "abundance", "risc", "repression")
"""Parts of crosstalk that can be planted."""


def crosstalk_cells(
    n_donors: int = 6,
    n_types: int = 5,
    n_cells: int | Sequence[int] = 25,
    n_mirnas: int = 40,
    n_targets: int = 40,
    n_genes: int = 1500,
    *,
    n_pairs: int = 6,
    strength: float = 1.0,
    planted: Sequence[str] = PLANTED,
    type_sd: float = 0.4,
    donor_sd: float = 0.3,
    depth: float = 10_000,
    seed: int = 0,
) -> tuple[ad.AnnData, ad.AnnData, pd.DataFrame]:
    """Draw cells, the miRNA of each donor and cell type, and targets, as ``vesicles.crosstalk`` reads them.

    Every gene has a base, an offset of the cell type (the same in all donors), one of the donor and one of
    the donor's cell type; counts are Poisson. miRNAs likewise. Each planted pair has a miRNA of its own: in
    its sender the miRNA is higher by ``2 × strength`` and the genes of vesicle biogenesis by ``strength``; in
    its receiver RISC is higher by half of ``strength`` and the miRNA's targets are lower by ``strength``, all
    in log2. Senders are among the first half of the cell types, receivers among the others.

    Three nulls: ``n_pairs=0, type_sd=0``, where cell types are mere labels, so that any permutation of labels
    within donors is as good as the truth; ``n_pairs=0`` alone, where cell types differ in everything but no
    miRNA has to do with its targets; and ``planted`` without a part, where all but that part speaks for a
    pair.

    Parameters
    ----------
    n_donors, n_types, n_mirnas
        At least 1 donor, 2 cell types and 4 miRNAs.
    n_cells
        Cells of each donor and cell type, one number or one for each cell type.
    n_targets
        Targets of each miRNA, drawn among the genes that have no other part.
    n_genes
        All genes: landmarks, gene sets, and ``TOY0001`` and on.
    n_pairs
        Planted pairs, at most as many as miRNAs.
    strength
        Size of what is planted, log2.
    planted
        The parts that are planted, some of :data:`PLANTED`.
    type_sd, donor_sd
        SD of the offsets of cell types and of a donor's cell types, log2.
    depth
        Mean counts of a cell.
    seed
        The same arguments and seed give the same values.

    Returns
    -------
    cells
        Cells × genes, counts, sparse; ``obs``: donor, cell_type.
    mirna
        Donors' cell types × ``toy-miR-001`` and on, log2(RPM+1), like a prediction of pools: ``obs`` donor,
        cell_type, n_cells, abstained; ``var["grade"]`` (planted ones A or B); level mature.
        ``uns["truth"]["pairs"]`` holds sender, receiver and mirna of what was planted.
    targets
        ``mirna``, ``gene``.

    Raises
    ------
    ParameterError
        If an option is out of range.

    Examples
    --------
    >>> from sicmir.synthetic import toy_crosstalk
    >>> cells, mirna, targets = toy_crosstalk.crosstalk_cells(n_donors=2, n_types=3, n_cells=10)
    >>> cells.n_obs, mirna.n_obs, targets.columns.tolist()
    (60, 6, ['mirna', 'gene'])
    """
    landmarks = panel.landmarks()["symbol"].tolist()[:N_LANDMARKS]
    sets = ev.gene_sets()
    named = list(dict.fromkeys([*landmarks, *(gene for genes in sets.values() for gene in genes)]))
    sizes = np.asarray(n_cells, dtype=int)
    sizes = np.broadcast_to(sizes, (n_types,)) if sizes.ndim == 0 else sizes
    for name, value, expected, valid in (
        ("n_donors", n_donors, "at least 1", n_donors >= 1),
        ("n_types", n_types, "from 2 to 26", 2 <= n_types <= 26),
        ("n_cells", n_cells, "at least 1, for each cell type", len(sizes) == n_types and min(sizes) >= 1),
        ("n_mirnas", n_mirnas, "at least 4", n_mirnas >= 4),
        ("n_pairs", n_pairs, f"from 0 to n_mirnas = {n_mirnas}", 0 <= n_pairs <= n_mirnas),
        ("n_genes", n_genes, f"at least {len(named) + n_targets}", n_genes >= len(named) + n_targets),
        ("n_targets", n_targets, "at least 1", n_targets >= 1),
        ("strength", strength, "at least 0", strength >= 0),
        ("planted", planted, f"some of {', '.join(PLANTED)}", set(planted) <= set(PLANTED)),
    ):
        if not valid:
            raise ParameterError(f"{name} should be {expected}; found {value!r}.")
    rng = np.random.default_rng(seed)
    genes = named + [f"TOY{i:04d}" for i in range(1, n_genes - len(named) + 1)]
    mirnas = [f"toy-miR-{i:03d}" for i in range(1, n_mirnas + 1)]
    types = [f"type {chr(ord('A') + i)}" for i in range(n_types)]
    donors = [f"TOY-{i + 1:04d}" for i in range(n_donors)]
    half = n_types // 2
    pairs = pd.DataFrame(
        {
            "sender": rng.integers(0, half, n_pairs),
            "receiver": rng.integers(half, n_types, n_pairs),
            "mirna": rng.permutation(n_mirnas)[:n_pairs],
        }
    )
    free = np.arange(len(named), n_genes)
    sites = np.stack([rng.choice(free, n_targets, replace=False) for _ in mirnas])

    log2 = _offsets(rng, n_donors, n_types, rng.normal(5, 2, n_genes), type_sd, donor_sd)
    amount = _offsets(rng, n_donors, n_types, rng.uniform(3, 11, n_mirnas), 2 * type_sd, 2 * donor_sd)
    place = {name: i for i, name in enumerate(genes)}
    sending, receiving = ([place[gene] for gene in sets[name]] for name in ("biogenesis", "risc"))
    size = {part: strength * (part in planted) for part in PLANTED}
    log2[np.ix_(range(n_donors), pairs["sender"].unique(), sending)] += size["biogenesis"]
    log2[np.ix_(range(n_donors), pairs["receiver"].unique(), receiving)] += size["risc"] / 2
    for pair in pairs.itertuples():
        amount[:, pair.sender, pair.mirna] += 2 * size["abundance"]
        log2[:, pair.receiver, sites[pair.mirna]] -= size["repression"]

    cells = _cells(rng, log2, np.asarray(sizes), donors, types, genes, depth)
    obs = pd.DataFrame(
        {
            "donor": np.repeat(donors, n_types),
            "cell_type": np.tile(types, n_donors),
            "n_cells": np.tile(sizes, n_donors),
            "abstained": False,
        }
    )
    obs.index = obs["donor"] + "|" + obs["cell_type"]
    grades = rng.choice(list(trust.GRADES), n_mirnas, p=(0.3, 0.3, 0.2, 0.2))
    grades[pairs["mirna"]] = rng.choice(["A", "B"], n_pairs)
    mirna = ad.AnnData(
        np.maximum(amount, 0).reshape(-1, n_mirnas).astype(np.float32),
        obs=obs,
        var=pd.DataFrame({"grade": grades}, index=mirnas),
    )
    mirna.uns["sicmir"] = {
        "dataset": "toy",
        "modality": "prediction",
        "units": "log2(RPM+1)",
        "level": "mature",
        "synthetic": True,
        "version": __version__,
    }
    truth = {
        "sender": np.array(types)[pairs["sender"]],
        "receiver": np.array(types)[pairs["receiver"]],
        "mirna": np.array(mirnas)[pairs["mirna"]],
    }
    mirna.uns["truth"] = {"pairs": pd.DataFrame(truth, index=[f"{i}" for i in range(n_pairs)])}
    targets = pd.DataFrame({"mirna": np.repeat(mirnas, n_targets), "gene": np.array(genes)[sites.ravel()]})
    return cells, mirna, targets


def _offsets(
    rng: np.random.Generator, n_donors: int, n_types: int, base: np.ndarray, type_sd: float, donor_sd: float
) -> np.ndarray:
    """Donors × types × features: base, offset of the type, of the donor, of the donor's type."""
    n = len(base)
    return (
        base
        + type_sd * rng.normal(size=(1, n_types, n))
        + donor_sd * rng.normal(size=(n_donors, 1, n))
        + donor_sd * rng.normal(size=(n_donors, n_types, n))
    )


def _cells(
    rng: np.random.Generator,
    log2: np.ndarray,
    sizes: np.ndarray,
    donors: list[str],
    types: list[str],
    genes: list[str],
    depth: float,
) -> ad.AnnData:
    profile = np.exp2(log2)
    profile /= profile.sum(axis=-1, keepdims=True)
    per_type = np.repeat(np.arange(len(types)), sizes)
    donor, kind = np.repeat(np.arange(len(donors)), len(per_type)), np.tile(per_type, len(donors))
    totals = depth * rng.lognormal(0, 0.3, len(donor))
    counts = rng.poisson(profile[donor, kind] * totals[:, None])
    obs = pd.DataFrame({"donor": np.array(donors)[donor], "cell_type": np.array(types)[kind]})
    obs.index = [f"cell-{i:05d}" for i in range(len(obs))]
    cells = ad.AnnData(sparse.csr_matrix(counts.astype(np.float32)), obs=obs, var=pd.DataFrame(index=genes))
    cells.uns["sicmir"] = {"dataset": "toy", "modality": "mrna", "units": "UMI counts", "synthetic": True}
    return cells
