"""Designs of donor-level comparisons: one row a donor and arm; what is paired, and what is confounded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import pandas as pd
from anndata import AnnData
from patsy import dmatrix
from scipy import sparse
from scipy.stats import norm

from sicmir.donors.donor_fit import estimable
from sicmir.errors import DataError, ParameterError
from sicmir.learning.conformal import uncut_half_widths
from sicmir.matrices.dense import dense
from sicmir.matrices.normalise import MOST_LOG2

FEWEST_PAIRS = 3
"""Pairs for which donors with one arm may be left out."""

Pairing = Literal["auto", "paired", "unpaired", "mixed"]


@dataclass(frozen=True)
class DonorRows:
    """Means over the samples of each donor (and arm, and cell type).

    ``values`` are rows x miRNAs, log2, NaN where not measured; ``error``, of the same shape, holds the
    variances of the prediction errors, None for measured miRNAs; ``obs`` has the labels asked for, the
    covariates and ``n_samples``, the number of samples averaged.
    """

    values: np.ndarray
    error: np.ndarray | None
    obs: pd.DataFrame

    def take(self, places: np.ndarray) -> DonorRows:
        """Some of the rows."""
        error = None if self.error is None else self.error[places]
        return DonorRows(self.values[places], error, self.obs.iloc[places].reset_index(drop=True))


@dataclass(frozen=True)
class Design:
    """Which rows are compared, and by which columns; the first column of ``matrix`` is the effect.

    ``case`` and ``reference`` are places of rows. In the ``kind`` "paired" they go together and their
    difference is fitted; else they are stacked, the case first. ``donors`` numbers the donors of stacked
    rows where some have two. ``refusal`` says why there is nothing to fit, "" otherwise.
    """

    kind: str
    case: np.ndarray
    reference: np.ndarray
    matrix: np.ndarray
    donors: np.ndarray | None
    note: str
    refusal: str

    def response(self, values: np.ndarray) -> np.ndarray:
        """Rows x miRNAs that the matrix belongs to."""
        if self.kind == "paired":
            return values[self.case] - values[self.reference]
        return np.vstack([values[self.case], values[self.reference]])

    def response_error(self, error: np.ndarray | None) -> np.ndarray | None:
        """Variance of the prediction error of each value of :meth:`response`; None for measured miRNAs."""
        if error is None:
            return None
        if self.kind == "paired":
            return error[self.case] + error[self.reference]
        return np.vstack([error[self.case], error[self.reference]])


def donor_rows(adata: AnnData, keys: Sequence[str], covariates: Sequence[str] = ()) -> DonorRows:
    """Average the samples that share all labels of ``keys``.

    Layers ``lower`` and ``upper``, where both are there, are those of a prediction interval of the level in
    ``uns["sicmir"]["interval_level"]``. The SD of the error is taken as half the width of the interval over
    the normal quantile of that level, and averaging samples of one donor takes nothing off it, since their
    errors are alike.

    Raises
    ------
    DataError
        If a column is absent or has gaps, a text covariate differs between samples that are averaged, miRNAs
        are not unique, values are infinite, none or no logarithms, or intervals have no level.
    """
    for name in [*keys, *covariates]:
        if name not in adata.obs:
            raise DataError(
                f"obs has no column {name!r}; there are {', '.join(map(str, adata.obs)) or 'none'}."
            )
        column = adata.obs[name]
        gaps = column.isna() | column.astype(object).eq("")
        if gaps.any():
            raise DataError(
                f"{int(gaps.sum())} of {len(gaps)} samples have no {name} (first: "
                f"{adata.obs_names[gaps][0]}). Label them or leave them out first; nothing is guessed."
            )
    _check_values(adata)
    labels = adata.obs[list(keys)].astype(str)
    codes = labels.groupby(list(keys), sort=True).ngroup().to_numpy()
    obs = labels.iloc[np.unique(codes, return_index=True)[1]].reset_index(drop=True)
    obs["n_samples"] = np.bincount(codes)
    for name in covariates:
        obs[name] = _one_each(adata.obs[name], codes, labels)
    error = None
    if "lower" in adata.layers and "upper" in adata.layers:
        reach = _means(uncut_half_widths(adata), codes)
        error = (reach / norm.ppf((1 + _interval_level(adata)) / 2)) ** 2
    return DonorRows(_means(dense(adata.X).astype(np.float64, copy=False), codes), error, obs)


def check_one_condition(obs: pd.DataFrame, donor_key: str, keys: Sequence[str]) -> None:
    """Refuse to take samples of several conditions of a donor for one.

    Parameters
    ----------
    obs
        Samples; nothing is checked without a column ``condition``.
    donor_key
        Column of the donor.
    keys
        Columns by which samples are told apart or that are adjusted for.

    Raises
    ------
    DataError
        If ``condition`` is none of these, and a donor has several.
    """
    if "condition" not in obs or "condition" in keys:
        return
    pairs = obs[[donor_key, "condition"]].astype(str).drop_duplicates()
    several = pairs[donor_key].value_counts(sort=False) > 1
    if several.any():
        raise DataError(
            f"{int(several.sum())} donors have samples of several conditions, the first "
            f"{several.index[several][0]}: choose one condition, or give it as a covariate."
        )


def compare(
    obs: pd.DataFrame,
    donor: str,
    is_case: np.ndarray,
    covariates: Sequence[str],
    paired: Pairing,
) -> Design:
    """Lay out the comparison of case and reference rows: which design, which columns, or why there is none.

    Parameters
    ----------
    obs
        One row a donor and arm.
    donor
        Column of the donor.
    is_case
        Which rows are of the case.
    covariates
        Columns of ``obs``: numbers enter as they are, text and categories as indicators. In a paired design
        their differences within donors enter, so that what is constant within a donor cancels out.
    paired
        "auto" takes "unpaired" where no donor has both arms, "paired" where at least as many have both as one
        (and at least 3), else "mixed".

    Raises
    ------
    ParameterError
        If there is no such option, or ``paired="unpaired"`` where donors have both arms: their rows are not
        independent.
    """
    if paired not in get_args(Pairing):
        raise ParameterError(f"paired should be one of {', '.join(get_args(Pairing))}; found {paired!r}.")
    case, reference = np.flatnonzero(is_case), np.flatnonzero(~is_case)
    names = obs[donor].to_numpy()
    _, at_case, at_reference = np.intersect1d(names[case], names[reference], return_indices=True)
    alone = len(case) + len(reference) - 2 * len(at_case)
    kind = paired
    if paired == "auto":
        enough = len(at_case) >= max(FEWEST_PAIRS, alone)
        kind = "unpaired" if not len(at_case) else "paired" if enough or not alone else "mixed"
    if kind == "unpaired" and len(at_case):
        raise ParameterError(
            f"{len(at_case)} donors have both arms (first: {names[case][at_case][0]}), so that the arms are "
            "not independent. Take paired='auto', 'paired' or 'mixed'."
        )
    notes = []
    donors = None
    columns = covariate_columns(obs, covariates)
    if kind == "paired":
        case, reference = case[at_case], reference[at_reference]
        if alone:
            notes.append(f"{alone} donors with one arm left out")
        change = columns[case] - columns[reference]
        matrix = np.column_stack([np.ones(len(case)), change])
        if columns.shape[1] and not change.any():
            notes.append("covariates are constant within donors and cancel out")
    else:
        rows = np.concatenate([case, reference])
        arm = np.repeat([1.0, 0.0], [len(case), len(reference)])
        matrix = np.column_stack([arm, np.ones(len(rows)), columns[rows]])
        if kind == "mixed":
            donors = pd.factorize(names[rows])[0]
    refusal = ""
    if not len(case) or not len(reference):
        refusal = "no donor with both arms" if kind == "paired" else "no donor in one arm"
    elif not estimable(matrix):
        refusal = f"condition is confounded with {', '.join(covariates)}"
    return Design(kind, case, reference, matrix, donors, "; ".join(notes), refusal)


def covariate_columns(obs: pd.DataFrame, covariates: Sequence[str]) -> np.ndarray:
    """Covariates as columns, without the intercept."""
    if not covariates:
        return np.empty((len(obs), 0))
    table = {}
    for i, name in enumerate(covariates):
        numeric = pd.api.types.is_numeric_dtype(obs[name])
        table[f"x{i}"] = obs[name] if numeric else obs[name].astype(str).astype(object)
    return np.asarray(dmatrix(" + ".join(table), table, NA_action="raise"), dtype=np.float64)[:, 1:]


def _one_each(column: pd.Series, codes: np.ndarray, labels: pd.DataFrame) -> np.ndarray:
    """Covariate of each group: the mean of numbers, the one value of text."""
    if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
        if np.isinf(column.to_numpy(dtype=np.float64)).any():
            raise DataError(f"The covariate {column.name!r} holds infinite values.")
        return column.groupby(codes).mean().to_numpy(dtype=np.float64)
    text = column.astype(str)
    several = text.groupby(codes).nunique().to_numpy() > 1
    if several.any():
        where = ", ".join(labels.iloc[np.flatnonzero(codes == np.flatnonzero(several)[0])[0]])
        raise DataError(
            f"The covariate {column.name!r} differs between samples of {where}, which are to be averaged. "
            "Give one sample a donor and arm, or leave the covariate out."
        )
    return text.groupby(codes).first().to_numpy(dtype=object)


def _interval_level(adata: AnnData) -> float:
    """Level of the prediction intervals; NaN where the model says that it has none."""
    level = adata.uns.get("sicmir", {}).get("interval_level")
    if level is None or not (np.isnan(level) or 0 < level < 1):
        raise DataError(
            "The layers lower and upper are an interval of unknown level: expected it, between 0 and 1, in "
            f"uns['sicmir']['interval_level']; found {level!r}. Name it there, or remove the layers."
        )
    return float(level)


def _check_values(adata: AnnData) -> None:
    if 0 in adata.shape or adata.X is None:
        raise DataError(f"Expected samples x miRNAs with values in X; found the shape {adata.shape}.")
    if not adata.var_names.is_unique:
        twice = adata.var_names[adata.var_names.duplicated()][0]
        raise DataError(f"The miRNA {twice} occurs more than once; expected each miRNA once.")
    values = dense(adata.X).astype(np.float64, copy=False)
    largest = np.nanmax(np.abs(values), initial=0)
    if largest > MOST_LOG2:
        raise DataError(
            f"The largest value is {largest:.6g} without sign; expected log2(RPM+1), finite and below "
            f"{MOST_LOG2:.0f}, NaN where not measured. Take the logarithm first."
        )
    if np.isnan(values).all():
        raise DataError("All values are NaN: no miRNA was measured, or the model abstained from every one.")


def _means(values: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Mean of the rows of each group without NaN; NaN where a group has no value."""
    if len(codes) == codes.max() + 1:
        return values[np.argsort(codes)]
    groups = sparse.csr_matrix((np.ones(len(codes)), (codes, np.arange(len(codes)))))
    measured = np.isfinite(values)
    count = groups @ measured.astype(np.float64)
    total = groups @ np.where(measured, values, 0.0)
    return np.divide(total, count, out=np.full(count.shape, np.nan), where=count > 0)
