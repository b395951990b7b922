"""Time and peak memory of files that are predicted in chunks, as they grow.

``python benchmarks/bench_streaming.py --cells 10000,100000,1000000`` writes for each size an ``.h5ad`` of
cells x 20,000 genes with about 1,000 counts above 0 each (8 GB for a million cells), predicts it in a process
of its own for each way of output, prints one line each, and removes the files. No cell is abstained, so that
each costs a prediction and its place on disk.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import typer
from scipy import sparse

from sicmir import panel

WAYS = {
    "group means": ("groups.h5ad", "summarise=['cell_type', 'donor']"),
    "cells, float16 zarr": ("cells.zarr", "dtype='float16'"),
    "cells, float32 h5ad": ("cells.h5ad", ""),
    "pools": ("pools.h5ad", "by=['cell_type', 'donor']"),
}
"""Name of each way of output: file, and options of :func:`sicmir.predict_file`."""

PART = 5000
"""Cells that are drawn at a time."""

N_PARTS = 4
"""Parts that are drawn; a larger file repeats them, which changes neither time nor memory."""


def main(
    cells: Annotated[str, typer.Option(help="Numbers of cells.")] = "10000,100000",
    ways: Annotated[
        str, typer.Option(help=f"Some of: {'; '.join(WAYS)}.")
    ] = "group means;cells, float16 zarr",
    genes: Annotated[int, typer.Option(help="Number of genes.")] = 20_000,
    per_cell: Annotated[int, typer.Option(help="Genes above 0 in a cell, about.")] = 1000,
    chunk_size: Annotated[int, typer.Option(help="As of sicmir.predict_file; 0: its default.")] = 0,
    folder: Annotated[str, typer.Option(help="Where the files are made.")] = "",
) -> None:
    """Print number of cells, way, seconds, cells per second and peak memory."""
    with tempfile.TemporaryDirectory(dir=folder or None) as place:
        source = Path(place) / "cells.h5ad"
        typer.echo(f"{'cells':>9}  {'way':<22}{'seconds':>9}{'cells/s':>9}{'peak MiB':>10}{'output MiB':>12}")
        for n_cells in map(int, cells.split(",")):
            # In a process of its own: what this one holds would count as the peak of those that it starts.
            writer = get_context("spawn").Process(target=write_cells, args=(source, n_cells, genes, per_cell))
            writer.start()
            writer.join()
            for way in ways.split(";"):
                name, options = WAYS[way.strip()]
                out = Path(place) / f"out_{name}"
                seconds, peak = measure(source, out, options, chunk_size)
                size = sum(file.stat().st_size for file in (out, *out.rglob("*")) if file.is_file())
                typer.echo(
                    f"{n_cells:>9}  {way.strip():<22}{seconds:>9.1f}{n_cells / seconds:>9.0f}{peak:>10.0f}"
                    f"{size / 2**20:>12.0f}"
                )
                shutil.rmtree(out) if out.is_dir() else out.unlink()


def measure(source: Path, out: Path, options: str, chunk_size: int) -> tuple[float, float]:
    """Seconds and peak MiB of a process that predicts a file, imports included."""
    options = f"{options}, " if options else ""
    options += f"chunk_size={chunk_size}, " if chunk_size else ""
    code = f"import sicmir; sicmir.predict_file({str(source)!r}, {str(out)!r}, {options}abstain=False)"
    started = time.perf_counter()
    process = os.posix_spawn(sys.executable, [sys.executable, "-c", code], os.environ)
    _, status, usage = os.wait4(process, 0)
    if status:
        raise SystemExit(f"The run failed: {code}")
    return time.perf_counter() - started, usage.ru_maxrss / 1024


def write_cells(path: Path, n_cells: int, n_genes: int, per_cell: int, seed: int = 0) -> None:
    """Write counts of cells x genes, by rows, a part at a time."""
    rng = np.random.default_rng(seed)
    landmarks = panel.landmarks()["symbol"].tolist()
    names = landmarks + [f"gene_{i}" for i in range(n_genes - len(landmarks))]
    parts = [draw(rng, min(PART, n_cells), n_genes, per_cell) for _ in range(N_PARTS)]
    wanted = [parts[i % N_PARTS][: n_cells - start] for i, start in enumerate(range(0, n_cells, PART))]
    labels = {"cell_type": [f"type {i}" for i in range(12)], "donor": [f"donor {i}" for i in range(20)]}
    obs = pd.DataFrame(
        {
            name: pd.Categorical.from_codes(rng.integers(0, len(known), n_cells), known)
            for name, known in labels.items()
        },
        index=[f"cell_{i}" for i in range(n_cells)],
    )
    ad.AnnData(obs=obs, var=pd.DataFrame(index=names)).write_h5ad(path)
    n_values = sum(part.nnz for part in wanted)
    with h5py.File(path, "r+") as file:
        group = file.create_group("X")
        group.attrs.update(
            {"encoding-type": "csr_matrix", "encoding-version": "0.1.0", "shape": [n_cells, n_genes]}
        )
        data = group.create_dataset("data", (n_values,), np.float32)
        indices = group.create_dataset("indices", (n_values,), np.int32)
        starts = [np.zeros(1, np.int64)]
        first = 0
        for part in wanted:
            data[first : first + part.nnz], indices[first : first + part.nnz] = part.data, part.indices
            starts.append(part.indptr[1:].astype(np.int64) + first)
            first += part.nnz
        group["indptr"] = np.concatenate(starts)


def draw(rng: np.random.Generator, n_cells: int, n_genes: int, per_cell: int) -> sparse.csr_matrix:
    """Counts of cells x genes of uneven expression, with about ``per_cell`` genes above 0 in a cell."""
    rate = rng.lognormal(0, 2, n_genes)
    low, high = 0.0, 1e6
    for _ in range(60):  # the depth at which that many genes are above 0
        depth = (low + high) / 2
        low, high = (depth, high) if (1 - np.exp(-rate * depth)).sum() < per_cell else (low, depth)
    depths = depth * rng.lognormal(0, 0.3, n_cells)
    rows = [sparse.csr_matrix(rng.poisson(rate * one), dtype=np.float32) for one in depths]
    return sparse.vstack(rows, format="csr")


if __name__ == "__main__":
    typer.run(main)
