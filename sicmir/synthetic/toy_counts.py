"""Synthetic counts of single cells whose miRNA is known, and paired samples to train a model for them.

Both come out of :func:`sicmir.toy.paired_bulk`: a cell type is a cohort, and a cell type of a donor is a
sample that is not among those to train on. The names are synthetic too, as there.
"""

from __future__ import annotations

from typing import NamedTuple

import anndata as ad
import numpy as np
import pandas as pd
from scipy import sparse

from sicmir import panel, toy
from sicmir.benchmark import shipping
from sicmir.benchmark.study import study_splits
from sicmir.errors import ParameterError
from sicmir.matrices.units import TRAINING_TOTAL
from sicmir.model import Bundle

N_GENES = 6000
"""Genes of each cell; enough for their sum to be a library size."""

CELL_SD = 0.5
"""SD between the cells of one type and donor of each gene's expected share, natural logarithm."""

DEPTH_SD = 0.4
"""SD of the depth of a cell, natural logarithm."""


class ToyCells(NamedTuple):
    """What :func:`single_cells` draws.

    Attributes
    ----------
    cells
        Cells × genes, sparse counts; ``obs``: ``donor``, ``cell_type``.
    measured
        Each cell type of each donor × miRNAs, log2(RPM+1), named ``donor|cell_type``.
    mrna, mirna
        Samples of other donors × landmarks, log2(x+1), and × miRNAs, log2(RPM+1).
    """

    cells: ad.AnnData
    measured: ad.AnnData
    mrna: ad.AnnData
    mirna: ad.AnnData


def single_cells(
    n_donors: int = 4,
    n_cell_types: int = 4,
    n_cells: int = 100,
    depth: float = 20_000,
    n_mirnas: int = 60,
    n_training: int = 50,
    seed: int = 0,
) -> ToyCells:
    """Draw cells of several donors and types with known miRNA, and samples of other donors to train on.

    A cell draws Poisson counts around the shares of its sample, each times a log-normal factor of mean 1.

    Parameters
    ----------
    n_donors, n_cell_types, n_cells
        Donors, cell types of each (1 to 26), cells of each type of a donor.
    depth
        Median count of a cell. Toy genes agree less than real ones: pools of fewer than a million counts lie
        outside the domain of a model that is trained on them.
    n_mirnas
        miRNAs, at least 10.
    n_training
        Samples of each cell type to train on, at least 20.
    seed
        The same arguments and seed give the same values.

    Raises
    ------
    ParameterError
        If an option is out of range.
    """
    if min(n_donors, n_cells) < 1 or not depth > 0 or n_training < shipping.MIN_COHORT:
        raise ParameterError(
            f"Expected n_donors and n_cells of 1 or more, depth above 0 and n_training of "
            f"{shipping.MIN_COHORT} or more; found {n_donors}, {n_cells}, {depth} and {n_training}."
        )
    size = n_training + n_donors
    mrna, mirna = toy.paired_bulk(size, n_cell_types, N_GENES, n_mirnas, normal_fraction=0, seed=seed)
    linear = np.exp2(mrna.X.astype(np.float64)) - 1
    linear *= TRAINING_TOTAL / linear.sum(axis=1, keepdims=True)
    place = np.tile(np.arange(size), n_cell_types)
    trained, kept = place < n_training, place >= n_training
    names = panel.landmarks()["symbol"].tolist()

    paired = ad.AnnData(
        np.log2(linear[trained][:, : len(names)] + 1).astype(np.float32),
        obs=mrna.obs[trained].copy(),
        var=pd.DataFrame(index=names),
    )
    paired.uns["sicmir"] = dict(mrna.uns["sicmir"])
    obs = mirna.obs[kept]
    labels = pd.DataFrame(
        {
            "donor": [f"TOY-{i + 1:04d}" for i in place[kept] - n_training],
            "cell_type": obs["cohort"].str.replace("TOY", "type ", regex=False).to_numpy(),
        }
    )
    labels.index = pd.Index(labels["donor"] + "|" + labels["cell_type"])
    measured = ad.AnnData(mirna.X[kept], obs=labels, var=mirna.var.copy())
    measured.uns["sicmir"] = dict(mirna.uns["sicmir"])
    cells = _draw(linear[kept], labels, n_cells, depth, np.random.default_rng(seed))
    cells.var_names = mrna.var_names
    cells.uns["sicmir"] = dict(mrna.uns["sicmir"]) | {"units": "UMI counts"}
    return ToyCells(cells, measured, paired, mirna[trained].copy())


def train(toy_cells: ToyCells, seed: int = 0) -> Bundle:
    """Train and judge a model as the shipped one is, on the samples that come with toy cells."""
    mrna, mirna = toy_cells.mrna, toy_cells.mirna
    mirna = mirna[:, shipping.well_measured(mirna)].copy()
    assessment = shipping.assess(mrna, mirna, study_splits(mirna.obs, {}, seed=seed))
    bundle = shipping.build(mrna, mirna, assessment, {})
    bundle.card["training_data"]["synthetic"] = True
    return bundle


def _draw(
    linear: np.ndarray, labels: pd.DataFrame, n_cells: int, depth: float, rng: np.random.Generator
) -> ad.AnnData:
    """Cells × genes, the cells of each row of ``labels`` below each other."""
    share = linear / linear.sum(axis=1, keepdims=True)
    parts = []
    for row in share:
        own = row * rng.lognormal(-(CELL_SD**2) / 2, CELL_SD, (n_cells, len(row)))
        depths = depth * rng.lognormal(0, DEPTH_SD, (n_cells, 1))
        parts.append(sparse.csr_matrix(rng.poisson(own * depths).astype(np.float32)))
    obs = labels.loc[labels.index.repeat(n_cells)]
    obs.index = [f"cell-{i:05d}" for i in range(len(obs))]
    return ad.AnnData(sparse.vstack(parts, format="csr"), obs=obs)
