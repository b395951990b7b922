"""Two matrices of the same samples: replicates averaged, samples matched, labels agreed."""

from __future__ import annotations

from importlib.metadata import version

import anndata as ad
import numpy as np
import pandas as pd

from sicmir.data.matrix import is_log2
from sicmir.errors import DataError

OBS_COLUMNS = ["sample", "donor", "cohort", "condition", "sample_type", "dataset"]


def pair(mrna: ad.AnnData, mirna: ad.AnnData, dataset: str) -> tuple[ad.AnnData, ad.AnnData]:
    """Match mRNA and miRNA by sample.

    Controls (sample type 20) are dropped and replicate aliquots of one sample are averaged, as the mean of
    their log2 values over those that were measured; both are counted in ``uns["sicmir"]``.

    Parameters
    ----------
    mrna, mirna
        Aliquots x features with ``obs`` columns sample, donor, cohort, condition, sample_type.
    dataset
        Recorded in ``obs`` and ``uns``.

    Returns
    -------
    mrna, mirna
        The samples that both have, in the order of ``mrna``, with the same ``obs``.

    Raises
    ------
    DataError
        If the units are no logarithm, no sample is in both, the two disagree on donor or cohort, or a sample
        has no measured value.
    """
    for adata, word in ((mrna, "mRNA"), (mirna, "miRNA")):
        units = str(adata.uns["sicmir"]["units"])
        if not is_log2(units):
            raise DataError(
                f"{dataset}: the {word} is given as {units or 'nothing'!r}; expected units that start with "
                "log2, such as 'log2(TPM + 1)', or a log ratio, such as 'log2(sample/reference)'. Normalise "
                "the values, take log2(x+1) and correct the units."
            )
    mrna, mirna = _one_row_a_sample(mrna, "mRNA", dataset), _one_row_a_sample(mirna, "miRNA", dataset)
    common = mrna.obs_names[mrna.obs_names.isin(mirna.obs_names)]
    if common.empty:
        raise DataError(
            f"{dataset}: none of the {mrna.n_obs} mRNA samples (for example "
            f"{', '.join(mrna.obs_names[:3])}) is among "
            f"the {mirna.n_obs} miRNA samples (for example {', '.join(mirna.obs_names[:3])}). Expected "
            "the same sample "
            "names, or TCGA barcodes that agree in their first 15 characters."
        )
    mrna, mirna = _rows(mrna, common), _rows(mirna, common)
    for column in ("donor", "cohort", "condition"):
        differ = mrna.obs[column].to_numpy() != mirna.obs[column].to_numpy()
        if differ.any():
            sample = common[differ][0]
            raise DataError(
                f"{dataset}: sample {sample} has {column} {mrna.obs.loc[sample, column]!r} in the mRNA and "
                f"{mirna.obs.loc[sample, column]!r} in the miRNA; expected one."
            )
    obs = mrna.obs.assign(sample=common.to_numpy(), dataset=dataset)[OBS_COLUMNS].astype(str)
    for adata, word in ((mrna, "mRNA"), (mirna, "miRNA")):
        unmeasured = np.isnan(adata.X).all(axis=1)
        if unmeasured.any():
            raise DataError(
                f"{dataset}: sample {common[unmeasured][0]} has no measured {word} value; "
                f"{int(unmeasured.sum())} such."
            )
        adata.obs = obs.copy()
        adata.uns["sicmir"] |= {"dataset": dataset, "version": version("sicmir")}
    return mrna, mirna


def _one_row_a_sample(adata: ad.AnnData, word: str, dataset: str) -> ad.AnnData:
    """Drop controls and average the aliquots of a sample; index by sample."""
    keep = (adata.obs["condition"] != "control").to_numpy()
    if not keep.any():
        raise DataError(f"{dataset}: all {adata.n_obs} {word} samples are controls; nothing is left to pair.")
    record = dict(adata.uns["sicmir"]) | {"dropped_controls": int((~keep).sum())}
    obs = adata.obs.loc[keep]
    values = np.asarray(adata.X if keep.all() else adata.X[keep])
    group, samples = pd.factorize(obs["sample"].astype(str))
    replicated = np.bincount(group) > 1
    record["averaged_samples"] = int(replicated.sum())
    first = np.unique(group, return_index=True)[1]
    result = values if len(samples) == len(values) else values[first]
    for number in np.flatnonzero(replicated):
        result[number] = _mean_of_measured(values[group == number])
    obs = obs.iloc[first].set_axis(pd.Index(samples, name=None))
    averaged = ad.AnnData(X=result, obs=obs, var=adata.var)
    averaged.uns["sicmir"] = record
    return averaged


def _mean_of_measured(values: np.ndarray) -> np.ndarray:
    """Mean over rows, of the entries that are not NaN; NaN where none is."""
    measured = ~np.isnan(values)
    count = measured.sum(axis=0)
    total = np.where(measured, values, 0).sum(axis=0, dtype=np.float64)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan).astype(np.float32)


def _rows(adata: ad.AnnData, names: pd.Index) -> ad.AnnData:
    return adata if names.equals(adata.obs_names) else adata[names].copy()
