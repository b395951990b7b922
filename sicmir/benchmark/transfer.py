"""Samples of other platforms, other studies and single cells, under each way of bringing them to scale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from anndata import AnnData
from tqdm import tqdm

from sicmir import metrics
from sicmir.benchmark.shipping import fit_predictor
from sicmir.errors import DataError
from sicmir.learning.rescale import Rescale
from sicmir.matrices.normalise import TransformName
from sicmir.model import Bundle

TRANSFORMS: tuple[TransformName, ...] = ("frozen", "rank", "cohort")


def transfer(
    mrna: AnnData,
    mirna: AnnData,
    foreign: Mapping[str, tuple[AnnData, AnnData]],
    transforms: Sequence[TransformName] = TRANSFORMS,
    min_samples: int = 10,
) -> pd.DataFrame:
    """Train on one collection and test on other sets, one transform of their input after the other.

    Donors and samples of a test set are taken out of the training for it.

    Parameters
    ----------
    mrna, mirna
        The collection: samples × landmarks, log2(x+1), and samples × miRNAs, log2(RPM+1).
    foreign
        Name → mRNA (samples × landmarks, any unit in log2) and miRNA (any unit in log2) of one set.
    transforms
        As :class:`sicmir.learning.rescale.Rescale` knows them.
    min_samples
        Fewest samples of a cohort for the correlation within cohorts.

    Returns
    -------
    Columns ``dataset, transform, n_samples, n_mirnas, pooled, within, rmse``: medians over the miRNAs that
    the collection and the test set have in common. ``rmse`` means something only where the test set is
    measured in log2(RPM+1).

    Raises
    ------
    DataError
        If a test set and the collection have no miRNA in common, or nothing is left to train on.
    """
    rows = []
    for name, (x, y) in tqdm(foreign.items(), desc="transfer", unit="set"):
        shared = mirna.var_names.intersection(y.var_names)
        keep = ~mirna.obs["donor"].isin(set(y.obs["donor"])).to_numpy()
        if shared.empty or not keep.any():
            raise DataError(
                f"{name}: {len(shared)} miRNAs in common with the collection, {keep.sum()} samples of other "
                f"donors left to train on; expected some. Its miRNAs are called {', '.join(y.var_names[:3])}."
            )
        target = mirna[keep, shared].to_df().to_numpy()
        model = fit_predictor(mrna.X[keep], target, mirna.obs.iloc[keep])
        rescale = Rescale().fit(mrna.X[keep])
        for transform in transforms:
            predicted = model.predict(rescale.to_training(np.asarray(x.X), transform))
            table = metrics.per_mirna(
                y[:, shared].to_df().to_numpy(), predicted, y.obs["cohort"], min_samples=min_samples
            )
            medians = table[["pearson", "pearson_within", "rmse"]].median()
            rows.append((name, transform, y.n_obs, len(shared), *medians))
    columns = ["dataset", "transform", "n_samples", "n_mirnas", "pooled", "within", "rmse"]
    return pd.DataFrame(rows, columns=columns)


def cohort_sensitivity(
    bundle: Bundle, landmarks: np.ndarray, chosen: np.ndarray, companions: Mapping[str, np.ndarray]
) -> pd.DataFrame:
    """How predictions of the same samples move with the samples that are submitted beside them.

    Under ``cohort`` every gene is z-scored within what is submitted together, as the published tool does it.

    Parameters
    ----------
    bundle
        Model with a rescaling.
    landmarks
        Samples × landmarks, log2(x+1) in training units.
    chosen
        Row numbers of the samples that are watched.
    companions
        Name → row numbers of what is submitted with them; the first is compared with each.

    Returns
    -------
    Index ``companions``; ``transform``; ``n_submitted``; ``shift``, the median over miRNAs of the RMSD, log2,
    of the predictions from those with the first companions; ``r``, the median over miRNAs of their Pearson
    correlation over the watched samples.
    """
    rows = []
    for transform in ("cohort", "frozen"):
        first: np.ndarray | None = None
        for name, others in companions.items():
            submitted = np.union1d(chosen, others)
            inputs = bundle.rescale.to_training(landmarks[submitted], transform)
            found = bundle.predict_array(inputs)[np.searchsorted(submitted, chosen)]
            first = found if first is None else first
            with np.errstate(invalid="ignore"):
                r = metrics.per_mirna(first, found, np.zeros(len(found)))["pearson"].median()
            shift = np.median(np.sqrt(((found - first) ** 2).mean(axis=0)))
            rows.append((name, transform, len(submitted), shift, r))
    columns = ["companions", "transform", "n_submitted", "shift", "r"]
    return pd.DataFrame(rows, columns=columns).set_index("companions")
