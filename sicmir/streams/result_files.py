"""Write predictions as ``.h5ad``, ``.zarr``, ``.parquet`` or ``.csv``; whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
import warnings
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from uuid import uuid4

import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import zarr
from anndata import AnnData

from sicmir import paths
from sicmir.errors import ParameterError
from sicmir.streams.storable import storable

ENDINGS = (".h5ad", ".zarr", ".parquet", ".csv")

LAYERS = ("lower", "upper", "variance", "count")
"""Layers that a result may have: bounds of predictions, or variance and number of cells of group means."""

TABLES = (*LAYERS, "samples", "mirnas")
"""Tables that lie beside predictions in ``.parquet`` or ``.csv``: ``out_lower.csv`` beside ``out.csv``."""

ABOUT = "about"
"""And what ``uns["sicmir"]`` says, ``out_about.json``, with the names of the tables, such as lower.csv."""

ROWS = 5000
"""Rows that are written at a time."""


def check_free(path: str | Path, overwrite: bool = False, source: str | Path = "") -> None:
    """Make sure that predictions may be written to a path, before work is spent on them.

    Parameters
    ----------
    path
        File, or folder for ``.zarr``.
    overwrite
        Replace what is there.
    source
        File or folder that is predicted from; "" if there is none.

    Raises
    ------
    ParameterError
        If the ending is not one of :data:`ENDINGS`, a file is there and ``overwrite`` is false, a folder is
        there that is no ``.zarr`` store of an AnnData or only a link, or a file of the result would be
        ``source``, or within or around it. With ``overwrite``, also if a file bears the name of a table
        beside ``path`` but belongs to no result of that name: it is never replaced.
    """
    path = Path(path)
    if path.suffix not in ENDINGS:
        raise ParameterError(f"{path}: predictions are written as {', '.join(ENDINGS)}; give such an ending.")
    for part in _files(path) if source else ():
        if _touches(part, Path(source)):
            raise ParameterError(
                f"{part} is what is predicted from, or within it or around it; choose another name."
            )
    ours = _files_there(path)
    for part in _files(path):
        there = part.exists() or part.is_symlink()
        if there and not overwrite:
            raise ParameterError(
                f"{part} is there already; choose another name, or overwrite it by overwrite=True."
            )
        if there and part not in ours:
            raise ParameterError(
                f"{part} is there, but is no table of an earlier result {path.name}, so that it is not "
                "replaced; choose another name, or move it away."
            )
        if part.is_symlink() and part.is_dir():
            raise ParameterError(f"{part} is a link to a folder; give the folder itself.")
        if part.is_dir() and not _is_anndata_store(part):
            raise ParameterError(f"{part} is a folder, but no AnnData in .zarr; choose another name.")


def write(
    predicted: AnnData, path: str | Path, overwrite: bool = False, folder: str | Path | None = None
) -> Path:
    """Write predictions in the format that the ending names.

    ``.h5ad`` and ``.zarr`` hold everything. ``.parquet`` and ``.csv`` hold observations × miRNAs with a first
    column ``observation``, empty where abstained; beside them lie :data:`TABLES` (the layers that there are;
    one row an observation with coverage and domain; one row a miRNA with the trust table) and :data:`ABOUT`.

    Parameters
    ----------
    predicted
        As :func:`sicmir.prediction.predict` gives it. Its matrices may be arrays of zarr or HDF5 on disk;
        except for ``.zarr`` they are then never in memory as a whole.
    path
        File, or folder for ``.zarr``. Folders above are made.
    overwrite
        Replace what is there.
    folder
        Where the parts are until they are whole, on the same disk; None: beside ``path``, under hidden names.

    Returns
    -------
    Path
        The path.

    Raises
    ------
    ParameterError
        As :func:`check_free`.
    DataError
        If a column of ``obs`` cannot be stored, see :func:`sicmir.streams.storable.storable_obs`.
    WriteError
        If there is no room, no permission, or a file where a folder is needed.

    Examples
    --------
    >>> import pathlib, tempfile, sicmir
    >>> from sicmir.streams import result_files
    >>> mrna, _ = sicmir.toy.paired_bulk(n_donors=3, n_cohorts=1)
    >>> predicted = sicmir.predict(mrna, transform="rank", progress=False)
    >>> path = result_files.write(predicted, pathlib.Path(tempfile.mkdtemp(), "mirnas.csv"))
    >>> sorted(file.name for file in path.parent.iterdir())[:3]
    ['mirnas.csv', 'mirnas_about.json', 'mirnas_lower.csv']
    """
    path = Path(path)
    with paths.writing(path):
        return _write(predicted, path, overwrite, path.parent if folder is None else Path(folder))


def _write(predicted: AnnData, path: Path, overwrite: bool, folder: Path) -> Path:
    check_free(path, overwrite)
    path.parent.mkdir(parents=True, exist_ok=True)
    files = _files(path)
    # The ending stays last, because writers look at it.
    parts = [folder / f".{uuid4().hex[:8]}.{file.name}" for file in files]
    try:
        if path.suffix in (".h5ad", ".zarr"):
            _write_anndata(predicted, parts[0])
        else:
            _write_tables(predicted, parts)
        made = [(part, file) for part, file in zip(parts, files, strict=True) if part.exists()]
        for file in set(files) - {file for _, file in made}:  # layers of the result that is replaced
            file.unlink(missing_ok=True)
        # Last comes what was asked for: where it is, all is there.
        for part, file in reversed(made):
            if file.is_dir():
                shutil.rmtree(file)
            part.replace(file)
    finally:
        for part in parts:
            paths.remove(part)
    return path


def _files(path: Path) -> list[Path]:
    """All files of a result, the one that is asked for first."""
    if path.suffix in (".h5ad", ".zarr"):
        return [path]
    beside = [path.with_name(f"{path.stem}_{name}{path.suffix}") for name in TABLES]
    return [path, *beside, path.with_name(f"{path.stem}_{ABOUT}.json")]


def _files_there(path: Path) -> list[Path]:
    """Files that may be replaced: the one that is named, and the tables that its ``about`` names."""
    files = _files(path)
    if len(files) == 1:
        return files
    try:
        found = json.loads(files[-1].read_text())["tables"]
    except (OSError, ValueError, KeyError, TypeError):  # not there, or another's
        return [path]
    return [path, *(file for file in files[1:] if file.name.removeprefix(f"{path.stem}_") in found)]


def tables_beside(path: Path) -> list[Path]:
    """Tables of a result beside it, in ``.parquet`` or ``.csv``."""
    return [file for file in _files_there(path)[1:] if file.exists()]


def _touches(file: Path, source: Path) -> bool:
    """Whether to replace ``file`` would change or remove ``source``."""
    # Unlike Path.resolve, realpath bears links that lead in a circle.
    one, other = (Path(os.path.realpath(path)) for path in (file, source))
    if one == other or one in other.parents or other in one.parents:
        return True
    return file.exists() and source.exists() and file.samefile(source)


def _write_anndata(predicted: AnnData, part: Path) -> None:
    table = storable(predicted, part.suffix)
    if part.suffix == ".zarr":
        table.X, table.layers = predicted.X, dict(predicted.layers)
        with warnings.catch_warnings(action="ignore", category=UserWarning):  # on the next default format
            table.write_zarr(part)
        return
    _check_room(part, predicted)
    table.write_h5ad(part)
    with h5py.File(part, "r+") as file:
        for name, matrix in {"X": predicted.X, **_layers(predicted)}.items():
            dataset = file.create_dataset(name, predicted.shape, matrix.dtype)
            dataset.attrs.update({"encoding-type": "array", "encoding-version": "0.2.0"})
            for start in range(0, len(dataset), ROWS):
                dataset[start : start + ROWS] = matrix[start : start + ROWS]


def _check_room(part: Path, predicted: AnnData) -> None:
    """Fail while it is safe where there is no room: HDF5 may crash the process when a disk gets full."""
    matrices = (predicted.X, *predicted.layers.values())
    tables = sum(table.memory_usage(deep=True).sum() for table in (predicted.obs, predicted.var))
    n_bytes = sum(predicted.n_obs * predicted.n_vars * matrix.dtype.itemsize for matrix in matrices)
    with part.open("wb") as file:
        if hasattr(os, "posix_fallocate"):  # not on macOS
            os.posix_fallocate(file.fileno(), 0, int(n_bytes + tables + 2**20))
    part.unlink()


def _layers(predicted: AnnData) -> dict[str, Any]:
    return {f"layers/{name}": matrix for name, matrix in predicted.layers.items()}


def _write_tables(predicted: AnnData, parts: list[Path]) -> None:
    matrices = {"": predicted.X, **predicted.layers}
    for name, part in zip(("", *LAYERS), parts, strict=False):
        if name in matrices:
            _write_matrix(matrices[name], predicted.obs_names, predicted.var_names, part)
    tables = (
        storable(predicted, parts[0].suffix).obs.rename_axis("observation"),
        predicted.var.rename_axis("mirna"),
    )
    for table, part in zip(tables, parts[-3:-1], strict=True):
        if part.suffix == ".csv":
            table.to_csv(part, lineterminator="\n")
        else:
            table.reset_index().to_parquet(part, index=False)
    names = [f"{name}{parts[0].suffix}" for name in (*predicted.layers, "samples", "mirnas")]
    about = {**predicted.uns["sicmir"], "tables": [*names, f"{ABOUT}.json"]}
    parts[-1].write_text(json.dumps(_plain(about), indent=1) + "\n")


def _write_matrix(matrix: Any, rows: pd.Index, columns: pd.Index, part: Path) -> None:
    """Write observations × miRNAs as text or row groups, some rows at a time."""
    with ExitStack() as stack:
        writer = None
        for start in range(0, len(rows), ROWS):
            names = rows[start : start + ROWS].rename("observation")
            table = pd.DataFrame(matrix[start : start + ROWS], index=names, columns=columns)
            if part.suffix == ".csv":
                options = {"header": True, "mode": "w"} if start == 0 else {"header": False, "mode": "a"}
                table.to_csv(part, float_format="%.6g", lineterminator="\n", **options)
                continue
            content = pa.Table.from_pandas(table.reset_index(), preserve_index=False)
            if writer is None:
                writer = stack.enter_context(pq.ParquetWriter(part, content.schema))
            writer.write_table(content)


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
