"""Write predictions as ``.h5ad``, ``.zarr``, ``.parquet`` or ``.csv``; whole or not at all."""

from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pandas as pd
import zarr
from anndata import AnnData

from sicmir.errors import DataError, ParameterError

ENDINGS = (".h5ad", ".zarr", ".parquet", ".csv")

TABLES = ("lower", "upper", "samples", "mirnas")
"""Tables that lie beside predictions in ``.parquet`` or ``.csv``: ``out_lower.csv`` beside ``out.csv``."""

ABOUT = "about"
"""And what ``uns["sicmir"]`` says, ``out_about.json``."""


def check_free(path: str | Path, overwrite: bool = False) -> None:
    """Make sure that predictions may be written to a path, before work is spent on them.

    Raises
    ------
    ParameterError
        If the ending is not one of :data:`ENDINGS`, a file is there and ``overwrite`` is false, or a folder
        is there that is no ``.zarr`` store of an AnnData.
    """
    path = Path(path)
    if path.suffix not in ENDINGS:
        raise ParameterError(f"{path}: predictions are written as {', '.join(ENDINGS)}; give such an ending.")
    for part in _files(path):
        if part.exists() and not overwrite:
            raise ParameterError(f"{part} is there already; choose another name, or overwrite it.")
        if part.is_dir() and not _is_anndata_store(part):
            raise ParameterError(f"{part} is a folder, but no AnnData in .zarr; choose another name.")


def write(predicted: AnnData, path: str | Path, overwrite: bool = False) -> Path:
    """Write predictions in the format that the ending names.

    ``.h5ad`` and ``.zarr`` hold everything. ``.parquet`` and ``.csv`` hold observations × miRNAs with a first
    column ``observation``, empty where abstained; beside them lie :data:`TABLES` (the bounds; one row an
    observation with coverage and domain; one row a miRNA with the trust table) and :data:`ABOUT`.

    Parameters
    ----------
    predicted
        As :func:`sicmir.prediction.predict` gives it.
    path
        File, or folder for ``.zarr``. Folders above are made.
    overwrite
        Replace what is there.

    Returns
    -------
    Path
        The path.

    Raises
    ------
    ParameterError
        As :func:`check_free`.
    DataError
        If a column of ``obs`` mixes kinds of values.
    """
    path = Path(path)
    check_free(path, overwrite)
    path.parent.mkdir(parents=True, exist_ok=True)
    files = _files(path)
    # The ending stays last, because writers look at it.
    parts = [file.with_name(f".{uuid4().hex[:8]}.{file.name}") for file in files]
    try:
        obs = _storable(predicted.obs)
        if path.suffix in (".h5ad", ".zarr"):
            _write_anndata(predicted, obs, parts[0])
        else:
            _write_tables(predicted, obs, parts)
        # Last comes what was asked for: where it is, all is there.
        for part, file in reversed(list(zip(parts, files, strict=True))):
            if file.is_dir():
                shutil.rmtree(file)
            part.replace(file)
    finally:
        for part in parts:
            if part.is_dir():
                shutil.rmtree(part)
            part.unlink(missing_ok=True)
    return path


def _files(path: Path) -> list[Path]:
    """All files of a result, the one that is asked for first."""
    if path.suffix in (".h5ad", ".zarr"):
        return [path]
    beside = [path.with_name(f"{path.stem}_{name}{path.suffix}") for name in TABLES]
    return [path, *beside, path.with_name(f"{path.stem}_{ABOUT}.json")]


def _storable(obs: pd.DataFrame) -> pd.DataFrame:
    """Columns that hold what they will when they are read: text as categories, truth values, numbers.

    Raises
    ------
    DataError
        If a column mixes kinds of values.
    """
    obs, columns = obs.infer_objects(), {}
    for name in obs.columns[[pd.api.types.is_object_dtype(kind) for kind in obs.dtypes]]:
        kind = pd.api.types.infer_dtype(obs[name], skipna=True)
        if kind not in ("string", "empty", "boolean"):
            raise DataError(
                f"The column {name!r} of obs mixes kinds of values ({kind}). Drop it, or make it text or "
                "numbers."
            )
        columns[name] = obs[name].astype("boolean" if kind == "boolean" else "category")
    return obs.assign(**columns)


def _write_anndata(predicted: AnnData, obs: pd.DataFrame, part: Path) -> None:
    # anndata makes categories of text in place; the matrices are not copied.
    axes = {"obs": obs, "var": predicted.var.copy()}
    table = AnnData(X=predicted.X, **axes, layers=dict(predicted.layers), uns=dict(predicted.uns))
    if part.suffix == ".h5ad":
        table.write_h5ad(part)
    else:
        with warnings.catch_warnings(action="ignore", category=UserWarning):  # on the next default format
            table.write_zarr(part)


def _write_tables(predicted: AnnData, obs: pd.DataFrame, parts: list[Path]) -> None:
    names = predicted.obs_names.rename("observation")
    matrices = [predicted.X, predicted.layers["lower"], predicted.layers["upper"]]
    tables = [pd.DataFrame(values, index=names, columns=predicted.var_names) for values in matrices]
    tables += [obs.set_axis(names), predicted.var.rename_axis("mirna")]
    for table, part, digits in zip(tables, parts, ["%.6g"] * 3 + [None] * 2, strict=False):
        if part.suffix == ".csv":
            table.to_csv(part, float_format=digits, lineterminator="\n")
        else:
            table.reset_index().to_parquet(part, index=False)
    parts[-1].write_text(json.dumps(_plain(predicted.uns["sicmir"]), indent=1) + "\n")


def _plain(value: Any) -> Any:
    """Turn what ``uns`` holds into what JSON holds; NaN becomes null."""
    if isinstance(value, dict):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, pd.DataFrame):
        return _plain(value.to_dict("records"))
    if isinstance(value, np.ndarray | list | tuple):
        return [_plain(part) for part in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def _is_anndata_store(folder: Path) -> bool:
    try:
        return zarr.open_group(folder, mode="r").attrs.get("encoding-type") == "anndata"
    except (OSError, ValueError, KeyError):
        return False
