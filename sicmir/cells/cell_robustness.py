"""How predictions change when cells, counts or genes are taken away.

Each table compares a prediction with that of the same cells whole, over miRNAs and after the training mean of
each miRNA is subtracted, for without that any two predictions agree. Draws of one pool share cells: they show
how much chance there is in a prediction and are no replicates.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import sparse

from sicmir import panel, prediction
from sicmir.cells.cell_validation import partial_spearman
from sicmir.errors import DataError, ParameterError
from sicmir.matrices.normalise import TransformChoice
from sicmir.model import Bundle
from sicmir.pseudobulk import pseudobulk, subsample_mean

SIZES = (1, 5, 10, 20, 50, 100, 200)
"""Numbers of cells in a pool."""

COUNT_SHARES = (1.0, 0.5, 0.2, 0.1, 0.05, 0.02)
"""Shares of the counts that are kept."""

GENE_SHARES = (1.0, 0.9, 0.7, 0.5, 0.3)
"""Shares of the landmarks that are kept."""

MIN_COVERAGE = 0.5
"""Share of the landmarks that :func:`sicmir.predict` asks for."""


def by_cells(
    cells: AnnData,
    bundle: Bundle,
    by: str | Sequence[str] = ("donor", "cell_type"),
    sizes: Sequence[int] = SIZES,
    n_draws: int = 10,
    transform: TransformChoice = "auto",
    measured: pd.Series | None = None,
    min_cells: int = 2,
    seed: int = 0,
) -> pd.DataFrame:
    """Pools of a few cells against the pool of all cells of their group.

    Cells are drawn without replacement from the group, so that agreement goes to 1 by necessity as the draw
    comes near to the whole group; sizes above half of the group are left out.

    Parameters
    ----------
    cells
        Cells × genes, counts, with the columns ``by``.
    bundle
        Model.
    sizes, n_draws
        Cells in a draw, and draws of each size.
    transform
        As for :func:`sicmir.predict`.
    measured
        Per miRNA, log2, what was measured of the one group that there is.
    min_cells
        Groups of fewer cells are left out altogether.
    seed
        Of the draws.

    Returns
    -------
    DataFrame
        One row a draw; ``setting`` is the number of cells; columns as :func:`compare` gives them.

    Raises
    ------
    DataError, ParameterError
        As :func:`sicmir.pseudobulk.pseudobulk`; if no group has twice the smallest size.
    """
    by = [by] if isinstance(by, str) else list(by)
    whole = pseudobulk(cells, by, min_cells=max(min_cells, 2 * min(sizes)))
    parts = []
    for size in sizes:
        if 2 * size <= whole.obs["n_cells"].max():
            draws = subsample_mean(cells, k=size, n=n_draws, seed=seed, by=by)
            draws = draws[(draws.obs["n_group"] >= max(min_cells, 2 * size)).to_numpy()].copy()
            draws.X = np.round(draws.X * size)  # sums are counts again
            groups = draws.obs[by].astype(str).agg("|".join, axis=1).to_numpy()
            parts.append(_labelled(draws, groups, size, draws.obs["draw"]))
    return compare(whole, ad.concat(parts), bundle, transform, measured)


def by_counts(
    pools: AnnData,
    bundle: Bundle,
    shares: Sequence[float] = COUNT_SHARES,
    n_draws: int = 5,
    transform: TransformChoice = "auto",
    measured: pd.Series | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Pools of which each count was kept with a probability, against the same pools whole.

    Parameters
    ----------
    pools
        Pools × genes, counts.
    shares, n_draws
        Probabilities, above 0 and up to 1, and draws of each.
    bundle, transform, measured, seed
        As for :func:`by_cells`.

    Returns
    -------
    DataFrame
        As :func:`by_cells`; ``setting`` is the share.
    """
    rng = np.random.default_rng(seed)
    parts = [
        _labelled(
            AnnData(thin(pools.X, share, rng), obs=pools.obs[[]], var=pools.var[[]]),
            pools.obs_names,
            share,
            draw,
        )
        for share in shares
        for draw in _draws(share, n_draws)
    ]
    return compare(pools, ad.concat(parts), bundle, transform, measured)


def by_genes(
    pools: AnnData,
    bundle: Bundle,
    shares: Sequence[float] = GENE_SHARES,
    n_draws: int = 5,
    transform: TransformChoice = "auto",
    measured: pd.Series | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Pools in which a random choice of landmarks was not measured, against the same pools whole.

    Genes other than the landmarks stay, and with them the library size.

    Parameters
    ----------
    pools
        Pools × genes, counts.
    shares, n_draws
        Shares of the 977 landmarks that are kept, above 0 and up to 1, and random choices of each.
    bundle, transform, measured, seed
        As for :func:`by_cells`.

    Returns
    -------
    DataFrame
        As :func:`by_cells`; ``setting`` is the share. Below the share that :func:`sicmir.predict` asks for,
        half, a row is abstained.
    """
    rng = np.random.default_rng(seed)
    landmarks = panel.align(pools, duplicates="sum")
    totals = np.asarray(pools.X.sum(axis=1), dtype=np.float64).reshape(-1, 1)
    parts = []
    for share in shares:
        for draw in _draws(share, n_draws):
            values = (landmarks.X / totals * 1e6).astype(np.float32)
            values[:, rng.permutation(values.shape[1])[ceil(share * values.shape[1]) :]] = np.nan
            made = AnnData(values, obs=pools.obs[[]], var=landmarks.var[[]])
            parts.append(_labelled(made, pools.obs_names, share, draw))
    return compare(pools, ad.concat(parts), bundle, transform, measured, units="CPM")


def thin(counts: np.ndarray | sparse.spmatrix, share: float, rng: np.random.Generator) -> sparse.csr_matrix:
    """Keep each count with the probability ``share``, as if a library had been read less deep.

    Raises
    ------
    ParameterError
        If ``share`` is not above 0 and up to 1.
    DataError
        If a value is negative, NaN or no whole number.
    """
    if not 0 < share <= 1:
        raise ParameterError(f"A share should be above 0 and up to 1; found {share!r}.")
    thinned = sparse.csr_matrix(counts, dtype=np.float64, copy=True)
    if not ((thinned.data >= 0) & (thinned.data % 1 == 0)).all():
        raise DataError("Only counts can be thinned: expected whole numbers of 0 or more.")
    thinned.data = rng.binomial(thinned.data.astype(np.int64), share).astype(np.float64)
    thinned.eliminate_zeros()
    return thinned.astype(np.float32)


def compare(
    whole: AnnData,
    variants: AnnData,
    bundle: Bundle,
    transform: TransformChoice = "auto",
    measured: pd.Series | None = None,
    units: str = "counts",
) -> pd.DataFrame:
    """Predict pools and variants of them, and say how far these are from the pools.

    Parameters
    ----------
    whole
        Pools × genes, counts.
    variants
        Variants × genes in ``units``; ``obs``: ``group`` (a pool), ``setting`` and ``draw``.
    bundle, transform, measured
        As for :func:`by_cells`.

    Returns
    -------
    DataFrame
        ``group, n_group`` (cells, where known), ``setting, draw``; ``coverage, domain_score, in_domain``;
        ``abstained``, whether nothing would be predicted; ``r`` and ``rmsd``, Pearson r over miRNAs with the
        whole pool, the training means subtracted, and the root of the mean squared difference, log2, both of
        what is predicted if nothing is abstained; ``partial``, Spearman correlation with ``measured`` given
        the training mean (NaN without).
    """
    usual: dict[str, Any] = {"transform": transform, "progress": False}
    full = prediction.predict(whole, bundle, abstain=False, units="counts", **usual).to_df()
    shown = prediction.predict(variants, bundle, units=units, min_coverage=0, **usual).obs["abstained"]
    forced = prediction.predict(variants, bundle, units=units, min_coverage=0, abstain=False, **usual)
    few = forced.obs["coverage"].to_numpy() < MIN_COVERAGE
    mean = bundle.trusted("mean_log2_rpm").reindex(full.columns)
    values = forced.to_df().astype(np.float64)
    expected = full.loc[variants.obs["group"]].astype(np.float64)
    table = variants.obs[["group", "setting", "draw"]].reset_index(drop=True)
    cells = whole.obs["n_cells"] if "n_cells" in whole.obs else pd.Series(np.nan, whole.obs_names)
    table.insert(1, "n_group", cells.reindex(table["group"]).to_numpy())
    return table.assign(
        coverage=forced.obs["coverage"].to_numpy(),
        domain_score=forced.obs["domain_score"].to_numpy(),
        in_domain=forced.obs["in_domain"].to_numpy() & ~few,
        abstained=shown.to_numpy() | few,
        r=(values - mean).reset_index(drop=True).corrwith((expected - mean).reset_index(drop=True), axis=1),
        rmsd=np.sqrt(((values.to_numpy() - expected.to_numpy()) ** 2).mean(axis=1)),
        partial=[
            np.nan if measured is None else partial_spearman(measured, row, mean)
            for _, row in values.iterrows()
        ],
    )


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """Medians over draws, then over groups, of a table of this room; of ``abstained`` the mean.

    Returns
    -------
    DataFrame
        ``setting, n_groups, n_draws, coverage, domain_score, abstained, r, rmsd, partial``, in the order of
        ``setting``.
    """
    medians = ["coverage", "domain_score", "r", "rmsd", "partial"]
    groups = table.groupby(["setting", "group"])
    found = groups[medians].median().assign(abstained=groups["abstained"].mean(), n_draws=groups.size())
    settings = found.groupby("setting")
    result = settings[medians].median()
    result.insert(0, "n_groups", settings.size())
    result.insert(1, "n_draws", settings["n_draws"].sum())
    result.insert(4, "abstained", settings["abstained"].mean())
    return result.reset_index()


def _draws(share: float, n_draws: int) -> range:
    """Numbers of the draws; all of something can be drawn in one way only."""
    return range(1, 2 if share == 1 else n_draws + 1)


def _labelled(
    variants: AnnData, groups: Sequence[str] | pd.Index, setting: float, draw: int | pd.Series
) -> AnnData:
    variants.obs = pd.DataFrame(
        {"group": np.asarray(groups), "setting": setting, "draw": np.asarray(draw)},
        index=[
            f"{name}|{setting}|{i}|{draw if isinstance(draw, int) else ''}" for i, name in enumerate(groups)
        ],
    )
    return variants
