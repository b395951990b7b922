"""Speed of prediction from counts in memory, beside the published procedure and what the processor can do.

``python benchmarks/bench_predict.py --out benchmarks/prediction`` measures all ways in one run. Each
measurement is a process of its own, whose peak memory is its largest resident size; repeats of all ways take
turns, and medians are told. Reading the file, loading the model and a first prediction of a few cells are
not timed. The published procedure is written anew from its description (Cai 2026, doi
10.1002/advs.202514446): the logarithm of normalised counts as a dense table of all genes, 977 genes, z-scores
within the cells submitted, one forward pass. It is given a network of the published shape with random
weights, or the predictor that comes with this package, in double precision. Its CSV output and the pooling
of cells are left out, for ours writes nothing either.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import psutil
import typer
from bench_streaming import write_cells

import sicmir
from sicmir import panel, paths, threads
from sicmir.inference import ROWS
from sicmir.inference_kernel import STEP

N_MIRNAS = 1298
"""Outputs of the published network."""

DENSE_COPIES = 3
"""Dense float32 tables of all genes that the published procedure may hold at once."""

Step = Callable[[ad.AnnData], object]


def main(
    cells: Annotated[str, typer.Option(help="Numbers of cells.")] = "1000,10000,100000",
    genes: Annotated[int, typer.Option(help="Number of genes.")] = 20_000,
    per_cell: Annotated[int, typer.Option(help="Genes above 0 in a cell, about.")] = 1000,
    repeats: Annotated[int, typer.Option(help="Measurements of each way.")] = 3,
    out: Annotated[Path | None, typer.Option(help="Folder for speed.csv and record.json.")] = None,
    one: Annotated[str, typer.Option(hidden=True)] = "",
    source: Annotated[Path, typer.Option(hidden=True)] = Path(),
) -> None:
    """Measure every way at every number of cells, and tell how time grows with it."""
    if one:
        typer.echo(json.dumps(timed(WAYS[one], source)))
        return
    rows = []
    with tempfile.TemporaryDirectory() as place:
        for n_cells in map(int, cells.split(",")):
            path = Path(place) / f"{n_cells}.h5ad"
            write_cells(path, n_cells, genes, per_cell)
            for repeat in range(repeats):
                rows += [measure(way, path, n_cells, genes) | {"repeat": repeat} for way in WAYS]
            path.unlink()
    table = summary(pd.DataFrame(rows))
    typer.echo(table.to_string(index=False, float_format=lambda value: f"{value:.3g}"))
    growth = exponents(table)
    typer.echo("\nSeconds grow with the number of cells to the power of:\n" + growth.to_string())
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        with paths.replacing(out / "speed.csv") as part:
            table.to_csv(part, index=False, float_format="%.4g")
        with paths.replacing(out / "record.json") as part:
            part.write_text(json.dumps(record(), indent=1, sort_keys=True) + "\n")


def measure(way: str, path: Path, n_cells: int, n_genes: int) -> dict[str, object]:
    """Seconds and peak MiB of one way in a process of its own; NaN where its dense table has no room."""
    needed = DENSE_COPIES * 4 * n_cells * n_genes
    if way.startswith("published") and needed > psutil.virtual_memory().available:
        return {"way": way, "cells": n_cells, "seconds": np.nan, "peak_mib": np.nan}
    command = [sys.executable, __file__, "--one", way, "--source", str(path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    told = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"The run failed: {' '.join(command)}")
    return {"way": way, "cells": n_cells, "seconds": json.loads(told), "peak_mib": usage.ru_maxrss / 1024}


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """Medians of the repeats, cells per second, and speed beside the bare products and the published way."""
    table = rows.groupby(["cells", "way"], sort=False)[["seconds", "peak_mib"]].median().reset_index()
    table["cells_per_second"] = table["cells"] / table["seconds"]
    for name, way in (("of_products", "bare products"), ("times_published", "published, network")):
        speed = table[table["way"] == way].set_index("cells")["cells_per_second"]
        table[name] = table["cells_per_second"] / table["cells"].map(speed)
    return table


def exponents(table: pd.DataFrame) -> pd.Series:
    """Slope of log seconds on log cells of each way, over the sizes at which it ran."""
    ran = table.dropna(subset="seconds")
    return pd.Series(
        {
            way: np.polyfit(np.log(part["cells"]), np.log(part["seconds"]), 1)[0]
            for way, part in ran.groupby("way", sort=False)
            if len(part) > 1
        }
    )


def timed(prepare: Callable[[Path], tuple[Step, ad.AnnData]], path: Path) -> float:
    """Seconds of one step, after a first one on a few cells."""
    step, adata = prepare(path)
    step(adata[:200].copy())
    started = time.perf_counter()
    step(adata)
    return time.perf_counter() - started


def ours(path: Path, abstain: bool) -> tuple[Step, ad.AnnData]:
    """:func:`sicmir.predict`, with units, domain, intervals and trust table."""
    bundle = sicmir.load_model()
    return lambda adata: sicmir.predict(adata, bundle, abstain=abstain, progress=False), ad.read_h5ad(path)


def published(path: Path, forward: Callable[[pd.DataFrame], object]) -> tuple[Step, ad.AnnData]:
    """The published procedure, from counts to 977 genes, which ``forward`` scales and predicts."""
    import scanpy as sc

    genes = panel.landmarks()["symbol"]

    def step(adata: ad.AnnData) -> object:
        logged = adata.copy()
        sc.pp.normalize_total(logged, target_sum=1e4)
        sc.pp.log1p(logged)
        return forward(logged.to_df().reindex(columns=genes, fill_value=0))

    return step, ad.read_h5ad(path)


def random_network() -> Callable[[pd.DataFrame], object]:
    """z-scores within the cells, and a forward pass of the published shape."""
    import torch

    from sicmir.architecture import SicmirNetwork

    network = SicmirNetwork(n_genes=977, n_mirnas=N_MIRNAS).eval()
    torch.set_num_threads(threads.prediction_threads())

    def forward(table: pd.DataFrame) -> object:
        scaled = ((table - table.mean()) / table.std(ddof=0)).fillna(0)
        with torch.inference_mode():
            return network(torch.from_numpy(scaled.to_numpy(dtype=np.float32))).numpy()

    return forward


def double_precision() -> Callable[[pd.DataFrame], object]:
    """The same z-scores in training units, and the predictor of the package in double precision."""
    bundle = sicmir.load_model()
    return lambda table: bundle.predict_array(bundle.rescale.to_training(table.to_numpy(), "cohort"))


def bare_products(path: Path) -> tuple[Step, ad.AnnData]:
    """The matrix products that ours cannot do without, in single precision, and nothing else.

    Parts of rows by several threads, as ours does it; products of whole matrices were no faster.
    """
    predictor = sicmir.load_model().predictor
    n_centres, n_genes = predictor.centres_.shape
    n_mirnas = predictor.dual_.shape[1]
    rng = np.random.default_rng(0)
    domain, maps, dual, whiten = (
        rng.standard_normal(shape, dtype=np.float32)
        for shape in (
            (n_genes, n_genes),
            (n_genes, n_centres + n_mirnas),
            (n_centres, n_mirnas),
            (n_centres, n_centres),
        )
    )

    def step(adata: ad.AnnData) -> None:
        values = rng.standard_normal((ROWS, n_genes), dtype=np.float32)
        cross = rng.standard_normal((ROWS, n_centres), dtype=np.float32)

        def work(rows: slice) -> None:
            n = rows.stop - rows.start
            values[:n] @ domain
            values[:n] @ maps
            cross[:n] @ dual
            for start in range(0, n_centres, STEP):
                stop = min(start + STEP, n_centres)
                cross[:n, :stop] @ whiten[:stop, start:stop]

        starts = range(0, adata.n_obs, ROWS)
        parts = [slice(start, min(start + ROWS, adata.n_obs)) for start in starts]
        threads.in_threads(work, parts, threads.prediction_threads())

    return step, ad.read_h5ad(path)


def raw_read(path: Path) -> tuple[Step, ad.AnnData]:
    """Read the stored counts and nothing else; the file lies in the memory of the system by then."""

    def step(adata: ad.AnnData) -> None:
        with h5py.File(path) as file:
            for name in ("data", "indices", "indptr"):
                file[f"X/{name}"][:]

    return step, ad.AnnData(shape=(200, 1))


WAYS: dict[str, Callable[[Path], tuple[Step, ad.AnnData]]] = {
    "ours, all cells": lambda path: ours(path, abstain=False),
    "ours, abstaining": lambda path: ours(path, abstain=True),
    "published, network": lambda path: published(path, random_network()),
    "published, our model": lambda path: published(path, double_precision()),
    "bare products": bare_products,
    "raw read": raw_read,
}
"""Name of each way: from a file of cells to the step that is timed and what it is given."""


def record() -> dict[str, object]:
    """What the figures depend on."""
    command = ["git", "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty"]
    commit = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=False)
    known = Path("/proc/cpuinfo")
    flags = known.read_text() if known.is_file() else ""
    return {
        "commit": commit.stdout.strip() or "not known",
        "date": f"{pd.Timestamp.now(tz='UTC'):%Y-%m-%d}",
        "machine": f"{platform.machine()}, {platform.system()}, Python {platform.python_version()}",
        "threads": threads.prediction_threads(),
        "numpy": np.__version__,
        "avx512": "avx512f" in flags,
        "bfloat16": any(name in flags for name in ("avx512_bf16", "amx_bf16")),
    }


if __name__ == "__main__":
    typer.run(main)
