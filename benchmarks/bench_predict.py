"""Speed of prediction from counts in memory, beside the published procedure and what the processor can do.

``python benchmarks/bench_predict.py --out benchmarks/prediction`` measures all ways in one run. Each
measurement is a process of its own, whose peak memory is its largest resident size; repeats of all ways take
turns, and medians are told. Reading the file, loading the model and a first prediction of a few cells are
not timed, but count for the peak memory. The published procedure is written anew from its description (Cai
2026, doi 10.1002/advs.202514446): the logarithm of normalised counts as a dense table of all genes, 977
genes, z-scores within the cells submitted, one forward pass. It is given a network of the published shape
with random weights, or the predictor that comes with this package, in double precision. Its CSV output and
the pooling of cells are left out, for ours writes nothing either; normalising before the table is made dense
and scaling 977 genes only give the same numbers sooner. It is not run where its dense table has no room in
memory.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import psutil
import typer
from bench_streaming import write_cells
from threadpoolctl import threadpool_info
from tqdm import tqdm

import sicmir
from sicmir import panel, paths, threads
from sicmir.engine.inference import ROWS
from sicmir.engine.inference_kernel import STEP
from sicmir.engine.scratch import ScratchPool
from sicmir.learning.imputation import Z_LIMIT

N_MIRNAS = 1298
"""Outputs of the published network."""

DENSE_COPIES = 2
"""Dense float32 tables of all genes that fill as much memory as the published procedure needs."""

BFLOAT16 = "bare products, bfloat16"
"""Measured only where the processor has instructions for it."""

Step = Callable[[ad.AnnData], object]


def main(
    cells: Annotated[str, typer.Option(help="Numbers of cells.")] = "1000,10000,100000",
    genes: Annotated[int, typer.Option(help="Number of genes.")] = 20_000,
    per_cell: Annotated[int, typer.Option(help="Genes above 0 in a cell, about.")] = 1000,
    repeats: Annotated[int, typer.Option(help="Measurements of each way.")] = 3,
    ways: Annotated[str, typer.Option(help="Some of the ways; by default all.")] = "",
    out: Annotated[Path | None, typer.Option(help="Folder for tables and record.")] = None,
    one: Annotated[str, typer.Option(hidden=True)] = "",
    source: Annotated[Path, typer.Option(hidden=True)] = Path(),
) -> None:
    """Measure every way at every number of cells, and tell how time and peak memory grow with it."""
    if one:
        typer.echo(json.dumps(timed(WAYS[one], source)))
        return
    chosen = [way.strip() for way in ways.split(";")] if ways else list(WAYS)
    if not ways and not has_bfloat16():
        chosen.remove(BFLOAT16)
        typer.echo(f"{BFLOAT16}: not measured, for this processor has no instructions for it.")
    rows = []
    sizes = [int(n_cells) for n_cells in cells.split(",")]
    with (
        tempfile.TemporaryDirectory() as place,
        tqdm(total=len(sizes) * repeats * len(chosen), unit="measurement") as bar,
    ):
        for n_cells in sizes:
            path = Path(place) / f"{n_cells}.h5ad"
            # In a process of its own: what this one holds would count as the peak of those that it starts.
            writer = get_context("spawn").Process(target=write_cells, args=(path, n_cells, genes, per_cell))
            writer.start()
            writer.join()
            for repeat in range(repeats):
                for way in chosen:
                    rows.append(measure(way, path, n_cells, genes) | {"repeat": repeat})
                    bar.update()
            path.unlink()
    table = summary(pd.DataFrame(rows))
    typer.echo(table.to_string(index=False, na_rep="", float_format=lambda value: f"{value:.3g}"))
    for way, n_cells in table.loc[table["seconds"].isna(), ["way", "cells"]].itertuples(index=False):
        room = DENSE_COPIES * 4 * n_cells * genes / 2**30
        typer.echo(f"{way}, {n_cells} cells: not run, for its dense table needs about {room:.0f} GiB.")
    growth = exponents(table)
    typer.echo(f"\nThese grow with the number of cells to the power of:\n{growth.round(2).to_string()}")
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        for name, part_table in (("speed", table.set_index("cells")), ("growth", growth)):
            with paths.replacing(out / f"{name}.csv") as part:
                part_table.to_csv(part, float_format="%.4g")
        made = record() | {"genes": genes, "per_cell": per_cell, "repeats": repeats}
        with paths.replacing(out / "record.json") as part:
            part.write_text(json.dumps(made, indent=1, sort_keys=True) + "\n")


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


def exponents(table: pd.DataFrame) -> pd.DataFrame:
    """Slopes of log seconds and log peak memory on log cells, over the sizes at which a way ran."""
    measured = ["seconds", "peak_mib"]
    slopes = {
        way: np.polyfit(np.log(part["cells"]), np.log(part[measured]), 1)[0]
        for way, part in table.dropna(subset=measured).groupby("way", sort=False)
        if len(part) > 1
    }
    return pd.DataFrame.from_dict(slopes, orient="index", columns=measured).rename_axis("way")


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
    return lambda adata: forward(published_table(adata)), ad.read_h5ad(path)


def published_table(adata: ad.AnnData) -> pd.DataFrame:
    """Logarithms of counts per 10,000 as a dense table, of which 977 genes are picked; missing ones are 0."""
    import scanpy as sc

    logged = adata.copy()
    sc.pp.normalize_total(logged, target_sum=1e4)
    sc.pp.log1p(logged)
    return logged.to_df().reindex(columns=panel.landmarks()["symbol"], fill_value=0)


def cohort_zscores(table: pd.DataFrame) -> pd.DataFrame:
    """z-scores of each gene within the cells submitted; 0 where all are alike."""
    return (table - table.mean()) / table.std(ddof=0).replace(0, np.inf)


def random_network() -> Callable[[pd.DataFrame], object]:
    """z-scores within the cells, and a forward pass of the published shape."""
    import torch

    from sicmir.learning.architecture import SicmirNetwork

    network = SicmirNetwork(n_genes=977, n_mirnas=N_MIRNAS).eval()
    torch.set_num_threads(threads.prediction_threads())

    def forward(table: pd.DataFrame) -> object:
        with torch.inference_mode():
            return network(torch.from_numpy(cohort_zscores(table).to_numpy(dtype=np.float32))).numpy()

    return forward


def double_precision() -> Callable[[pd.DataFrame], object]:
    """The same z-scores, cut at ±5, in training units, and the predictor of the package in float64."""
    bundle = sicmir.load_model()

    def forward(table: pd.DataFrame) -> object:
        scaled = cohort_zscores(table).clip(-Z_LIMIT, Z_LIMIT).to_numpy()
        return bundle.predict_array(bundle.rescale.mean_ + bundle.rescale.sd_ * scaled)

    return forward


def bare_products(path: Path) -> tuple[Step, ad.AnnData]:
    """The matrix products that ours cannot do without, in single precision, and nothing else.

    Parts of rows by several threads, as ours does it; products of whole matrices were no faster.
    """
    values, cross, *weights = _factors()
    rooms = ScratchPool()

    def work(rows: slice) -> None:
        n = rows.stop - rows.start
        with rooms.lend() as scratch:
            for left, right in _pairs(values[:n], cross[:n], *weights):
                np.matmul(left, right, out=scratch.take(f"{right.shape}", n, right.shape[1]))

    def step(adata: ad.AnnData) -> None:
        parts = [slice(start, min(start + ROWS, adata.n_obs)) for start in range(0, adata.n_obs, ROWS)]
        threads.in_threads(work, parts, threads.prediction_threads())

    return step, _of_size(path)


def bare_products_bfloat16(path: Path) -> tuple[Step, ad.AnnData]:
    """The same products in bfloat16, by the threads of torch."""
    import torch

    torch.set_num_threads(threads.prediction_threads())
    values, cross, *weights = (torch.from_numpy(part).bfloat16() for part in _factors())

    def step(adata: ad.AnnData) -> None:
        for start in range(0, adata.n_obs, ROWS):
            n = min(ROWS, adata.n_obs - start)
            for left, right in _pairs(values[:n], cross[:n], *weights):
                left @ right

    return step, _of_size(path)


def _factors() -> list[np.ndarray]:
    """Values and covariances of a part of rows, and what they are multiplied with, in the shapes of ours."""
    predictor = sicmir.load_model().predictor
    n_centres, n_genes = predictor.centres_.shape
    n_mirnas = len(predictor.kept_)
    rng = np.random.default_rng(0)
    shapes = [(ROWS, n_genes), (ROWS, n_centres), (n_genes, n_genes), (n_genes, n_centres + n_mirnas)]
    shapes += [(n_centres, n_mirnas), (n_centres, n_centres)]
    return [rng.standard_normal(shape, dtype=np.float32) for shape in shapes]


def _pairs(values, cross, domain, maps, dual, whiten) -> Iterator[tuple]:
    """What is multiplied; the last factor is triangular, and only its blocks that are not 0 are."""
    yield values, domain
    yield values, maps
    yield cross, dual
    for start in range(0, whiten.shape[1], STEP):
        stop = min(start + STEP, whiten.shape[1])
        yield cross[:, :stop], whiten[:stop, start:stop]


def _of_size(path: Path) -> ad.AnnData:
    with h5py.File(path) as file:
        return ad.AnnData(shape=tuple(file["X"].attrs["shape"]))


def raw_read(path: Path) -> tuple[Step, ad.AnnData]:
    """Read the stored counts and nothing else; the file lies in the memory of the system by then."""

    def step(adata: ad.AnnData) -> None:
        with h5py.File(path) as file:
            for name in ("data", "indices", "indptr"):
                file[f"X/{name}"][:]

    return step, _of_size(path)


WAYS: dict[str, Callable[[Path], tuple[Step, ad.AnnData]]] = {
    "ours, all cells": lambda path: ours(path, abstain=False),
    "ours, abstaining": lambda path: ours(path, abstain=True),
    "published, network": lambda path: published(path, random_network()),
    "published, our model": lambda path: published(path, double_precision()),
    "bare products": bare_products,
    BFLOAT16: bare_products_bfloat16,
    "raw read": raw_read,
}
"""Name of each way: from a file of cells to the step that is timed and what it is given."""


def has_bfloat16() -> bool:
    """Whether the processor multiplies bfloat16; where it does not, torch does so by way of float32."""
    return bool(_features() & {"avx512_bf16", "amx_bf16", "bf16"})


def _features() -> set[str]:
    """Instructions that the processor says it has; none where the system does not tell."""
    known = Path("/proc/cpuinfo")
    lines = known.read_text().splitlines() if known.is_file() else []
    return {
        name
        for line in lines
        if line.lower().startswith(("flags", "features"))
        for name in line.partition(":")[2].split()
    }


def record() -> dict[str, object]:
    """What the figures depend on."""
    command = ["git", "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty"]
    commit = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=False)
    wanted = ("sse4_2", "avx", "fma", "asimd", "amx", "bf16")
    blas = [one for one in threadpool_info() if one["user_api"] == "blas"]
    return {
        "commit": commit.stdout.strip() or "not known",
        "date": f"{pd.Timestamp.now(tz='UTC'):%Y-%m-%d}",
        "machine": f"{platform.machine()}, {platform.system()}, Python {platform.python_version()}",
        "cores": os.cpu_count(),
        "load": [round(load, 2) for load in os.getloadavg()],
        "threads": threads.prediction_threads(),
        "numpy": np.__version__,
        "torch": version("torch"),
        "blas": sorted({f"{one['internal_api']} {one['version']}" for one in blas}),
        "processor": sorted(name for name in _features() if name.startswith(wanted)),
    }


if __name__ == "__main__":
    typer.run(main)
