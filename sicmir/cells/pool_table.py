"""What was predicted of pools of cells, as tables that people read: which pools, which miRNAs, how sure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import sparse

from sicmir.benchmark.evaluation import find_mirnas
from sicmir.errors import DataError, ParameterError
from sicmir.matrices.units import recognise, select
from sicmir.trust import GRADES

TRUST = ("grade", "within_r", "unseen_within_r", "single_cell_r", "n_cell_types")
"""Columns of the trust table that stand beside a prediction."""


def status(predicted: AnnData) -> pd.DataFrame:
    """Say of each group of cells whether it was predicted, and if not, why.

    Parameters
    ----------
    predicted
        As :func:`sicmir.predict` gives it with ``by``.

    Returns
    -------
    DataFrame
        Groups in the order of the pools, then those without a pool: the columns of ``by``, ``n_cells,
        coverage, domain_score, state``.

    Raises
    ------
    DataError
        If nothing was pooled.
    """
    record = predicted.uns.get("sicmir", {})
    if "pseudobulk" not in record:
        raise DataError('Expected predictions of pools: sicmir.predict(…, by=["donor", "cell_type"]).')
    by = [str(name) for name in record["pseudobulk"]["by"]]
    obs = predicted.obs
    few = (obs["coverage"] == 0) | (obs["coverage"] < record["min_coverage"])
    flagged = ~obs["in_domain"].to_numpy() if "in_domain" in obs else np.zeros(len(obs), dtype=bool)
    states = np.select(
        [obs["abstained"] & few, obs["abstained"], flagged],
        [
            "abstained: too few genes",
            "abstained: far from the training data",
            "predicted, flagged: outside the domain",
        ],
        "predicted",
    )
    columns = [*by, "n_cells", "coverage", "domain_score"]
    table = obs[columns].assign(state=states)
    groups = record["pseudobulk"]["groups"]
    left_out = groups[~groups["kept"].astype(bool)][[*by, "n_cells"]]
    return pd.concat([table, left_out.assign(state="left out: too few cells")])


def trusted(predicted: AnnData, min_grade: str = "B", n: int = 6) -> list[str]:
    """The miRNAs of a grade or better that vary most over the pools for the width of their intervals.

    Parameters
    ----------
    predicted
        With ``var["grade"]`` and intervals.
    min_grade
        ``"A"`` to ``"D"``.
    n
        How many, best first.

    Raises
    ------
    ParameterError
        If there is no such grade.
    DataError
        If no pool was predicted, or no miRNA has that grade.
    """
    shown = predicted[~predicted.obs["abstained"].to_numpy()]
    good = predicted.var_names[graded(predicted, min_grade)]
    if not shown.n_obs or not len(good):
        raise DataError(f"{shown.n_obs} pools were predicted, {len(good)} miRNAs have grade {min_grade}.")
    width = np.median(shown.layers["upper"] - shown.layers["lower"], axis=0)
    spread = pd.Series(np.std(shown.X, axis=0) / width, shown.var_names)[good]
    return spread.sort_values(ascending=False).index[:n].tolist()


def choose(predicted: AnnData, wanted: str = "", min_grade: str = "B", n: int = 6) -> list[str]:
    """Of the miRNAs that were asked for, those of a grade or better; if there are none, :func:`trusted`.

    Parameters
    ----------
    wanted
        As for :func:`sicmir.benchmark.evaluation.find_mirnas`.
    """
    shown = predicted[~predicted.obs["abstained"].to_numpy()].to_df()
    good = set(predicted.var_names[graded(predicted, min_grade)])
    found = [name for name in find_mirnas(shown, wanted) if name in good]
    return found or trusted(predicted, min_grade, n)


def graded(predicted: AnnData, min_grade: str) -> np.ndarray:
    """Which miRNAs have ``min_grade`` or better.

    Raises
    ------
    ParameterError
        If there is no such grade.
    """
    if min_grade not in GRADES:
        raise ParameterError(f"min_grade={min_grade!r}: expected one of {', '.join(GRADES)}.")
    good = list(GRADES)[: list(GRADES).index(min_grade) + 1]
    return predicted.var["grade"].astype(str).isin(good).to_numpy()


def beside_trust(predicted: AnnData, mirnas: Sequence[str]) -> pd.DataFrame:
    """Predictions of some miRNAs with their intervals and what is known of each.

    Returns
    -------
    DataFrame
        A row for each miRNA and pool: ``mirna, pool``, the columns of ``by`` with ``n_cells``, ``predicted,
        lower, upper`` (NaN if abstained), and :data:`TRUST`.
    """
    by = [str(name) for name in predicted.uns["sicmir"]["pseudobulk"]["by"]]
    tables = {
        "predicted": predicted.to_df(),
        "lower": predicted.to_df(layer="lower"),
        "upper": predicted.to_df(layer="upper"),
    }
    parts = []
    for name in mirnas:
        part = predicted.obs[[*by, "n_cells"]].assign(**{key: table[name] for key, table in tables.items()})
        part = part.assign(**predicted.var.loc[name, list(TRUST)])
        part.insert(0, "mirna", name)
        part.insert(1, "pool", predicted.obs_names)
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def by_type(predicted: AnnData, mirnas: Sequence[str], cell_type: str = "cell_type") -> pd.DataFrame:
    """Median over the pools of each cell type, donors counting once each, beside the trust table.

    Returns
    -------
    DataFrame
        A row for each miRNA: ``mirna``, a column for each cell type with a prediction, and :data:`TRUST`.
    """
    shown = predicted[~predicted.obs["abstained"].to_numpy()]
    medians = shown.to_df()[list(mirnas)].groupby(shown.obs[cell_type].astype(str).to_numpy()).median().T
    return medians.join(predicted.var[list(TRUST)]).rename_axis("mirna").reset_index()


def paint(cells: AnnData, predicted: AnnData, mirna: str) -> pd.Series:
    """What was predicted of the pool of each cell; NaN where there is none, or it was abstained."""
    by = [str(name) for name in predicted.uns["sicmir"]["pseudobulk"]["by"]]
    pools = predicted.obs[by].astype(str).agg("|".join, axis=1)
    values = predicted.to_df()[mirna].set_axis(pools.to_numpy())
    wanted = cells.obs[by].astype(str).agg("|".join, axis=1)
    return pd.Series(values.reindex(wanted).to_numpy(), index=cells.obs_names, name=mirna)


def principal_components(cells: AnnData, max_cells: int = 5000, seed: int = 0) -> pd.DataFrame:
    """First two principal components of log1p(CP10K), of all cells or a random choice of them.

    Parameters
    ----------
    cells
        Cells × genes in any units that :func:`sicmir.matrices.units.recognise` tells.
    max_cells
        Most cells that are shown.
    seed
        Of the choice.

    Returns
    -------
    DataFrame
        Cells × ``PC1, PC2``; the columns' ``attrs["explained"]`` are the shares of the variance.
    """
    import scanpy as sc  # takes seconds

    record = recognise(cells)
    chosen = np.sort(np.random.default_rng(seed).permutation(cells.n_obs)[:max_cells])
    table = select(cells, record)[chosen].copy()
    if sparse.issparse(table.X):
        table.X.data = record.linear(table.X.data)
    else:
        table.X = record.linear(table.X)
    sc.pp.normalize_total(table, target_sum=1e4)
    sc.pp.log1p(table)
    sc.pp.highly_variable_genes(table, n_top_genes=min(2000, table.n_vars))
    sc.pp.pca(table, n_comps=10, random_state=seed)
    found = pd.DataFrame(table.obsm["X_pca"][:, :2], index=table.obs_names, columns=["PC1", "PC2"])
    found.attrs["explained"] = table.uns["pca"]["variance_ratio"][:2].tolist()
    return found
