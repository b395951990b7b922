"""From pools of cells to the rows of the atlas: what is predicted, how it varies, genes, markers."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
from scipy import sparse
from scipy.stats import t as student

from sicmir import stats
from sicmir.atlas.tables import QUANTILES, TRUST
from sicmir.errors import DataError
from sicmir.names.gene_names import read_names
from sicmir.names.gene_symbols import current_symbols

_OBS = ["cell_type", "donor", "condition", "disease", "tissue", "tissue_id"]


def mirna_rows(groups: ad.AnnData, parts: ad.AnnData, baseline: pd.Series) -> pd.DataFrame:
    """A row for each miRNA and group.

    Parameters
    ----------
    groups, parts
        Predictions; ``obs`` as of :class:`sicmir.atlas.pools.Pools`, and ``disease``, ``tissue`` and
        ``tissue_id`` of the groups.
    baseline
        Per miRNA, log2(RPM+1), what ``fraction_above`` is counted from; NaN for none.

    Returns
    -------
    DataFrame
        The columns of the table ``mirna`` of :data:`sicmir.atlas.tables.SCHEMAS`.
    """
    n_groups, n_mirnas = groups.shape
    shown = ~parts.obs["abstained"].to_numpy(dtype=bool)
    place, values = parts.obs["group"].to_numpy()[shown], parts.X[shown].astype(np.float64)
    spread = {name: np.full((n_groups, n_mirnas), np.nan) for name in ("mean", "variance", *QUANTILES)}
    spread["fraction_above"] = np.full((n_groups, n_mirnas), np.nan)
    level = baseline.reindex(groups.var_names).to_numpy(dtype=np.float64)
    for group in np.unique(place):
        own = values[place == group]
        spread["mean"][group] = own.mean(axis=0)
        if len(own) > 1:
            spread["variance"][group] = own.var(axis=0, ddof=1)
        for name, found in zip(QUANTILES, np.quantile(own, list(QUANTILES.values()), axis=0), strict=True):
            spread[name][group] = found
        spread["fraction_above"][group] = np.where(np.isnan(level), np.nan, (own > level).mean(axis=0))
    obs = groups.obs[[*_OBS, "n_cells", "abstained"]].copy()
    obs["n_parts"] = np.bincount(place, minlength=n_groups)
    # A model without a domain score cannot tell.
    obs["in_domain"] = groups.obs.get("in_domain")
    rows = obs.loc[np.repeat(obs.index, n_mirnas)].reset_index(drop=True)
    grade = trust_rows(groups.var)["grade"]
    rows["mirna"] = np.tile(groups.var_names.to_numpy(), n_groups)
    rows["grade"] = np.tile(grade.to_numpy(), n_groups)
    matrices = {"predicted": groups.X, **{name: groups.layers[name] for name in ("lower", "upper")}}
    for name, matrix in {**matrices, **spread}.items():
        rows[name] = np.asarray(matrix).ravel()
    return rows


def gene_rows(groups: ad.AnnData, genes: pd.Index, gene_key: str = "") -> pd.DataFrame:
    """A row for each of some genes and group, log2(CPM+1).

    Parameters
    ----------
    groups
        Pools × genes, linear; ``obs`` as for :func:`mirna_rows`.
    genes
        Current symbols. Those that were not measured, or stand in several columns, are left out.
    gene_key
        Column of ``var`` with symbols, Entrez or Ensembl ids; "" takes the names.

    Returns
    -------
    DataFrame
        The columns of the table ``genes`` of :data:`sicmir.atlas.tables.SCHEMAS`.
    """
    known = current_symbols(read_names(groups, gene_key))
    symbols = known["current"].where(known["current"] != "", known.index.to_series()).to_numpy(dtype=object)
    values = groups.X.toarray() if sparse.issparse(groups.X) else np.asarray(groups.X)
    once = ~pd.Series(symbols).duplicated(keep=False).to_numpy()
    usable = np.flatnonzero(once & np.isin(symbols, genes) & np.isfinite(values).all(axis=0))
    total = np.nansum(values, axis=1, dtype=np.float64, keepdims=True)
    logarithms = np.log2(values[:, usable] / np.where(total > 0, total, np.nan) * 1e6 + 1)
    rows = groups.obs[[*_OBS, "n_cells"]]
    rows = rows.loc[np.repeat(rows.index, len(usable))].reset_index(drop=True)
    return rows.assign(gene=np.tile(symbols[usable], groups.n_obs), expression=logarithms.ravel())


def marker_rows(groups: ad.AnnData) -> tuple[pd.DataFrame, str]:
    """Each cell type against the others of the same donors, and why there is nothing to compare.

    Parameters
    ----------
    groups
        Predictions of groups; abstained ones are left out.

    Returns
    -------
    table
        The columns of the table ``markers`` of :data:`sicmir.atlas.tables.SCHEMAS`; maybe without rows.
    refused
        "" if there are markers.
    """
    known = groups[~groups.obs["abstained"].to_numpy(dtype=bool)].copy()
    if np.isnan(known.layers["upper"]).all():  # of a model without intervals
        known.layers.clear()
    if (known.obs["condition"] == "").all():
        known.obs = known.obs.drop(columns="condition")
    columns = ["cell_type", "mirna", "grade", "effect", "se", "se_total", "df", "n_donors"]
    try:
        if not known.n_obs:
            raise DataError("Nothing was predicted.")
        found = stats.markers(known, min_grade="")
    except DataError as error:
        return pd.DataFrame(columns=columns), str(error)
    return with_errors(found).rename(columns={"n_case": "n_donors"})[columns], ""


def with_errors(found: pd.DataFrame) -> pd.DataFrame:
    """Add ``se`` and ``se_total`` to a table of :mod:`sicmir.stats` on predictions, from its limits."""
    half = 2 * student.ppf(0.975, found["df"])
    total = found["upper_total"] - found["lower_total"] if "upper_total" in found else np.nan
    return found.assign(se=(found["upper"] - found["lower"]) / half, se_total=total / half)


def trust_rows(var: pd.DataFrame) -> pd.DataFrame:
    """A row for each miRNA: the table ``trust`` of :data:`sicmir.atlas.tables.SCHEMAS`.

    Parameters
    ----------
    var
        Of a prediction; what it does not tell is NaN, or "" for the grade.
    """
    table = pd.DataFrame({"mirna": var.index.to_numpy()}, index=var.index)
    table["grade"] = var["grade"].astype(str) if "grade" in var else ""
    for name in (*TRUST, "half_width"):
        table[name] = var.get(name, np.nan)
    table["n_cell_types"] = var.get("n_cell_types", 0)
    return table
