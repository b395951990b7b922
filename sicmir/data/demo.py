"""The authors' demonstration samples: input, their prediction, and what was measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from sicmir.errors import DataError, ReadError

MIN_FIT = 0.9
"""Least correlation of a gene's z-scores with log2 expression that lets the one be turned into the other."""


@dataclass(frozen=True, eq=False)
class Demo:
    """Tables of the same samples.

    Attributes
    ----------
    landmarks
        Samples × landmarks, log2(x+1) as the z-scores were calibrated; NaN for genes that could not be.
    published
        Samples × mature miRNAs, the authors' predictions, z-scores.
    observed
        Samples × stem-loops, log2(RPM+1).
    obs
        Samples with ``donor``, ``cohort`` and ``condition``.
    """

    landmarks: pd.DataFrame
    published: pd.DataFrame
    observed: pd.DataFrame
    obs: pd.DataFrame


def load_demo(folder: str | Path, genes: Sequence[str]) -> Demo:
    """Read a folder with the authors' demonstration.

    Parameters
    ----------
    folder
        Holds ``mrna_z``, ``sicmir_predicted``, ``mirna`` and ``samples`` (parquet, column ``sample``) and
        ``z_calibration.csv`` (gene, mean_log2rsem, sd_log2rsem, r). Calibrations with r of at most 0.9 are
        not used.
    genes
        Landmarks, in the order wanted.

    Raises
    ------
    ReadError
        If a table is missing or no table.
    DataError
        If the tables are not of the same samples, or no gene is calibrated.
    """
    folder = Path(folder)
    try:
        z, published, observed, samples = (
            pd.read_parquet(folder / f"{name}.parquet").set_index("sample")
            for name in ("mrna_z", "sicmir_predicted", "mirna", "samples")
        )
        calibration = pd.read_csv(folder / "z_calibration.csv").set_index("gene")
    except (OSError, ValueError, KeyError) as error:
        raise ReadError(f"{folder}: expected the authors' demonstration as five tables ({error}).") from error
    for name, table in {"sicmir_predicted": published, "mirna": observed, "samples": samples}.items():
        if not table.index.equals(z.index):
            raise DataError(f"{folder}: the samples of {name} are not those of mrna_z in the same order.")
    sure = calibration[calibration["r"] > MIN_FIT]
    known = [gene for gene in genes if gene in sure.index and gene in z.columns]
    if not known:
        raise DataError(f"{folder}: none of {len(genes)} landmarks has a calibration with r above {MIN_FIT}.")
    landmarks = sure.loc[known, "mean_log2rsem"] + sure.loc[known, "sd_log2rsem"] * z[known]
    obs = pd.DataFrame(
        {
            "donor": samples["patient"].astype(str),
            "cohort": samples["cohort"].astype(str),
            "condition": samples["tissue"].replace("tumor", "tumour").astype(str),
        }
    )
    return Demo(landmarks.clip(lower=0).reindex(columns=list(genes)), published, observed, obs)
