"""AnnData files opened without reading their matrices: the checks that all such access shares."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import h5py
import zarr
from anndata import AnnData
from anndata.io import read_elem, sparse_dataset

from sicmir.data.formats import open_zarr
from sicmir.errors import ReadError, SicmirError

Group: TypeAlias = Any
"""An open HDF5 file or zarr group; both are asked alike, by name."""


def open_backed(path: str | Path) -> AnnData:
    """Open an ``.h5ad`` or ``.zarr`` file with ``X``, layers and raw left on disk; obs, var and uns are read.

    Unlike ``anndata.read_h5ad(backed="r")`` it leaves the layers on disk too, and it needs neither dask nor
    xarray, as ``anndata.experimental.read_lazy`` does. ``obsm`` and the like are left out. Slices of rows can
    be read by ``adata.X[start:stop]``; :class:`sicmir.data.chunks.ChunkedMatrix` reads chosen columns of any
    matrix in bounded memory.

    Raises
    ------
    ReadError
        If the file is damaged, no AnnData, or its encoding is older or unknown.
    """
    path = Path(path)
    file = open_store(path)

    def backed(name: str) -> Any:
        matrix = file[name]
        return matrix if storage(path, name, matrix) == "dense" else sparse_dataset(matrix)

    adata = AnnData(
        X=backed("X") if "X" in file else None,
        obs=read_part(path, file, "obs"),
        var=read_part(path, file, "var"),
        uns=read_part(path, file, "uns"),
        layers={name: backed(f"layers/{name}") for name in file.get("layers", ())},
    )
    if "raw" in file:
        adata.raw = AnnData(X=backed("raw/X"), obs=adata.obs[[]], var=read_part(path, file, "raw/var"))
    return adata


def open_store(path: Path) -> Group:
    """Open an ``.h5ad``, ``.zarr`` or ``.zarr.zip`` for reading.

    Raises
    ------
    ReadError
        If it is not there, damaged, or its tables are not encoded as by anndata 0.7 and later.
    """
    if not path.exists():
        raise ReadError(f"{path}: there is no such file.")
    try:
        file = h5py.File(path) if path.suffix == ".h5ad" else open_zarr(path)
        kinds = {name: file[name].attrs.get("encoding-type") for name in ("obs", "var") if name in file}
    except MemoryError:  # no fault of the file
        raise
    except Exception as error:  # h5py and zarr raise many kinds on a damaged file
        raise ReadError(
            f"{path}: not a readable .h5ad or .zarr ({type(error).__name__}: {error})."
        ) from error
    for name in ("obs", "var"):
        if kinds.get(name) != "dataframe":
            raise ReadError(
                f"{path}: has no {name} that is encoded as by anndata 0.7 and later. If it is an AnnData, "
                "read it with anndata and write it again."
            )
    return file


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Say of what h5py and zarr raise on damage, of many kinds, that the file is damaged.

    Raises
    ------
    ReadError
        Naming the file.
    """
    try:
        yield
    except SicmirError:
        raise
    except (OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ReadError(
            f"{path}: is damaged ({type(error).__name__}: {error}). Fetch or write it again."
        ) from error


def close_store(file: Group) -> None:
    """Close what :func:`open_store` opened."""
    (file.store if isinstance(file, zarr.Group) else file).close()


def matrices(file: Group) -> dict[str, str]:
    """Matrices of a file, as ``units.find_source`` calls them, and where they lie in it."""
    layers = {f"layers[{name!r}]": f"layers/{name}" for name in file.get("layers", ())}
    places = {"X": "X", "raw": "raw/X", **layers}
    return {source: name for source, name in places.items() if name in file}


def read_part(path: Path, file: Group, name: str) -> Any:
    """Read one element whole; an empty dict where there is none.

    Raises
    ------
    ReadError
        If it is damaged or of an unknown encoding.
    """
    try:
        return read_elem(file[name]) if name in file else {}
    except MemoryError:  # no fault of the file
        raise
    except Exception as error:  # anndata raises many kinds
        raise ReadError(f"{path}: {name} cannot be read ({type(error).__name__}: {error}).") from error


def storage(path: Path, name: str, matrix: Any) -> str:
    """Say how a matrix is stored: ``"csr"``, ``"csc"`` or ``"dense"``.

    Raises
    ------
    ReadError
        If its encoding is older than anndata 0.7 or unknown.
    """
    kind = matrix.attrs.get("encoding-type", "")
    if kind in ("csr_matrix", "csc_matrix"):
        return kind[:3]
    if isinstance(matrix, h5py.Dataset | zarr.Array) and kind in ("array", "") and len(matrix.shape) == 2:
        return "dense"
    raise ReadError(
        f"{path}: {name} is encoded as {kind or 'an anndata older than 0.7 did'}, expected csr_matrix, "
        "csc_matrix or array. Read the file with anndata and write it again."
    )
