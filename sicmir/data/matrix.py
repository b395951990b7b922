"""From raw numbers to a checked AnnData: the one gate through which every reader's values pass."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
from scipy import sparse

from sicmir.data import tcga
from sicmir.errors import DataError, ReadError
from sicmir.matrices.matrix_check import check_storage
from sicmir.matrices.normalise import MOST_LOG2
from sicmir.matrices.unit_names import known

# A million reads of one feature per million: log2(1e6 + 1) = 19.93, and a little for rounding.
MOST_PER_MILLION = 20.0
_LOG_RATIO = re.compile(r"log2 ?\([^()]+/[^()]+\)", re.IGNORECASE)


def unique_names(symbols: Sequence[str], ids: Sequence[str]) -> list[str]:
    """Name features by symbol where that is known and unique, else by the source's own ``SYMBOL|ID``.

    TCGA files hold 29 genes named ``?`` and two named ``SLC35E2``; no pick among them would be right.
    """
    counts = pd.Series(symbols).value_counts()
    return [
        symbol if symbol and symbol != "?" and counts[symbol] == 1 else f"{symbol}|{identifier}"
        for symbol, identifier in zip(symbols, ids, strict=True)
    ]


def assemble(
    path: Path,
    values: np.ndarray,
    samples: Sequence[str],
    var: pd.DataFrame,
    *,
    modality: str,
    units: str,
    log: bool,
    level: str = "",
    cohort: str = "",
    allow_nan: bool = False,
    signed: bool = False,
    clip: bool = False,
) -> ad.AnnData:
    """Check a matrix and wrap it.

    Parameters
    ----------
    path
        File the numbers came from; named in errors.
    values
        Samples x features. Overwritten when it is float32 already.
    samples
        Sample names in the order of the rows. TCGA barcodes are taken apart into ``obs``.
    var
        Features in the order of the columns; its index holds their names.
    modality, units, level
        Recorded in ``uns["sicmir"]``; ``level`` (mature, stem-loop) for miRNA only.
    log
        Whether to apply log2(x + 1).
    cohort
        Cohort of all samples; "" where the source does not say.
    allow_nan
        Whether NaN means "not measured" here.
    signed
        Whether negative values belong (log ratios, z-scores).
    clip
        Whether negative values are set to 0 and counted in ``uns["sicmir"]["clipped"]``.

    Raises
    ------
    DataError
        If the matrix is empty, holds the same sample or feature twice, miRNA names of another level, NaN,
        infinite or negative values where they do not belong, or values too large for the log2 that ``units``
        says they are.
    """
    if 0 in values.shape:
        raise DataError(
            f"{path}: the matrix is empty ({values.shape[0]} samples x {values.shape[1]} features); "
            "expected at "
            "least one of each."
        )
    _refuse_duplicates(path, "sample", samples)
    _refuse_duplicates(path, "feature", var.index)
    values = np.asarray(values, dtype=np.float32)
    names = pd.Index(samples)
    if level:
        _check_level(path, var.index, level)
    clipped = 0
    if clip:
        negative = values < 0
        clipped = int(negative.sum())
        values[negative] = 0
    check_values(path, values, names, var.index, allow_nan=allow_nan, signed=signed)
    if log:
        np.add(values, 1, out=values)
        np.log2(values, out=values)
    if modality in ("mrna", "mirna") and is_log2(units) and not clip:  # batch adjustment may pass a million
        _check_logarithms(path, values, names, var.index, units)
    obs = (
        tcga.annotate(list(samples), cohort)
        if all(tcga.is_barcode(name) for name in samples)
        else pd.DataFrame({"cohort": cohort}, index=names.astype(str))
    )
    adata = ad.AnnData(X=values, obs=obs, var=var)
    record: dict[str, object] = {"modality": modality, "units": units, "synthetic": False}
    if level:
        record["level"] = level
    if clip:
        record["clipped"] = clipped
    adata.uns["sicmir"] = record
    return adata


def complete(path: Path, adata: ad.AnnData, modality: str, units: str) -> ad.AnnData:
    """Check an AnnData that a file gave whole; record modality and units where it does not say them itself.

    Raises
    ------
    DataError
        If ``X`` is empty or missing, damaged, or holds no numbers or infinite values.
    """
    if adata.X is None or 0 in adata.shape:
        raise DataError(f"{path}: the matrix is empty (observations x features = {adata.shape}).")
    check_storage(adata.X, f"{path}: X")
    values = adata.X.data if sparse.issparse(adata.X) else np.asarray(adata.X)
    if not np.isfinite(values[~np.isnan(values)]).all():
        raise DataError(f"{path}: X holds infinite values; expected finite numbers or NaN for not measured.")
    adata.uns["sicmir"] = {
        "modality": modality,
        "units": units,
        "synthetic": False,
        **known(adata.uns),
    }
    return adata


def check_values(
    path: Path, values: np.ndarray, samples: pd.Index, features: pd.Index, *, allow_nan: bool, signed: bool
) -> None:
    """Refuse infinite values, and NaN and negative values where they do not belong.

    Raises
    ------
    DataError
        Naming the file, the first sample and feature concerned, and how many values are.
    """
    checks: list[tuple[str, Callable[[np.ndarray], np.ndarray], str]] = [
        ("infinite", np.isinf, "a finite number")
    ]
    if not allow_nan:
        checks.append(("NaN", np.isnan, "every feature measured"))
    if not signed:
        checks.append(("negative", lambda block: block < 0, "0 or more"))
    for word, wrong, expected in checks:
        mask = wrong(values)
        if mask.any():
            row, column = np.argwhere(mask)[0]
            raise DataError(
                f"{path}: {int(mask.sum())} {word} value(s); the first is {values[row, column]} at sample "
                f"{samples[row]}, feature {features[column]}. Expected {expected}. Correct or remove "
                "them at the "
                "source."
            )


def is_log2(units: str) -> bool:
    """Whether ``units`` name a logarithm: ``log2(…)`` of anything, or a log ratio such as Agilent's."""
    return units.lower().startswith("log2") or _LOG_RATIO.search(units) is not None


def _check_logarithms(
    path: Path, values: np.ndarray, samples: pd.Index, features: pd.Index, units: str
) -> None:
    """Refuse linear values that pass for logarithms: no log2(RPM + 1) exceeds 19.93."""
    per_million = re.search(r"[RC]PM", units) is not None
    limit = MOST_PER_MILLION if per_million else MOST_LOG2
    mask = values > limit
    if mask.any():
        row, column = np.argwhere(mask)[0]
        why = "log2 of a million reads per million is 19.93" if per_million else "no expression is that high"
        raise DataError(
            f"{path}: {int(mask.sum())} value(s) above {limit:.0f} cannot be {units} ({why}); the first is "
            f"{values[row, column]} at sample {samples[row]}, feature {features[column]}. The values seem to "
            "be linear: take log2(x+1) first."
        )


def orient(path: Path, frame: pd.DataFrame, landmarks: frozenset[str]) -> pd.DataFrame:
    """Turn a table so that samples are rows, by where gene names, miRNA names and TCGA barcodes stand.

    Raises
    ------
    ReadError
        If neither axis, or both, look like features.
    """

    def features(names: pd.Index) -> int:
        text = names.astype(str)
        return int(
            text.isin(landmarks).sum() + text.str.match(r"(?i)[a-z]{3,4}-(?:mir|let)-|ENSG\d{11}").sum()
        )

    def barcodes(names: pd.Index) -> int:
        return sum(tcga.is_barcode(name) for name in names)

    upright = features(frame.columns) + barcodes(frame.index)
    lying = features(frame.index) + barcodes(frame.columns)
    if min(upright, lying) * 10 >= max(upright, lying):
        raise ReadError(
            f"{path}: cannot tell which axis holds the samples: {upright} names speak for samples in rows, "
            f"{lying} for samples in columns. Name the genes by human symbols or Ensembl ids, or say it with "
            "orientation='samples_in_rows' or 'samples_in_columns'."
        )
    return frame if upright > lying else frame.T


def _check_level(path: Path, names: pd.Index, level: str) -> None:
    """Refuse names of the other level: miRBase writes mature miRNAs as miR-21-5p and stem-loops as mir-21."""
    other = {"stem-loop": r"-miR-|-[35]p$", "mature": r"-mir-"}[level]
    wrong = names[names.str.contains(other)]
    if len(wrong):
        raise DataError(
            f"{path}: expected {level} names, found {len(wrong)} of the other level, for example "
            f"{wrong[0]}. The two "
            "levels are different quantities; say which one it is (in a folder: mirna.* or mirna_mature.*)."
        )


def _refuse_duplicates(path: Path, kind: str, names: Sequence[str]) -> None:
    index = pd.Index(names)
    twice = index[index.duplicated()]
    if len(twice):
        raise DataError(
            f"{path}: {len(twice)} {kind} name(s) occur more than once, for example {twice[0]}; expected "
            "each "
            "once. Remove the copies, or give replicates names of their own."
        )
