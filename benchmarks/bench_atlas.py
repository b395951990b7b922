"""The atlas at the size of the published one: what adding costs, extrapolated, and how long questions take.

``python benchmarks/bench_atlas.py --folder FOLDER --out benchmarks/atlas`` measures, prints and writes:

- *add*: data sets of growing size, each added in a process of its own by the model that comes with the
  package; seconds of processor time per stage, which busy neighbours change little, the whole also by the
  clock, and peak memory. A line over the number of cells is fitted to each and extrapolated to 360 data sets
  of 10 million cells.
- *store*: summaries of 360 data sets, as many as 10 million cells leave, are written directly: some are
  drawn, the others have their values under other cell types; bytes and seconds.
- *copy*: the sorted copy of all tables (:mod:`sicmir.atlas.compact`); bytes, seconds and peak memory.
- *questions* to that store: seconds of each by the clock, the first time and again, median and slowest over
  names drawn at random; and the median of processor time, which two threads share. With the copy, and
  without it.
- *check* of the store and the copy; seconds and peak memory.

``--parts`` chooses some of them; the store stays in the folder.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import shutil
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated, Any

import anndata as ad
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import typer
from scipy import sparse

N_DATASETS, N_CELLS = 360, 10_000_000
"""What is extrapolated to: about the published atlas, 362 data sets and 9.36 million cells."""

N_TYPES, N_DONORS, N_NAMES = 15, 5, 726
"""Cell types and donors of a data set, and names of cell types in all."""

N_DRAWN = 12
"""Data sets whose values are drawn; the others have theirs."""

N_TARGETS = 1500
"""Target genes of a data set."""


PARTS = "add,store,copy,questions,check"


def main(
    folder: Annotated[Path, typer.Option(help="Where the files are made, and stay.")],
    parts: Annotated[str, typer.Option(help="What is measured.")] = PARTS,
    cells: Annotated[str, typer.Option(help="Cells of the data sets that are added.")] = "5000,20000,60000",
    datasets: Annotated[int, typer.Option(help="Data sets of the store that is asked.")] = N_DATASETS,
    questions: Annotated[int, typer.Option(help="How often each question is asked.")] = 15,
    out: Annotated[Path | None, typer.Option(help="Folder for tables and record.")] = None,
    seed: Annotated[int, typer.Option(help="Of cells and names.")] = 0,
) -> None:
    """Print what adding costs, and how long questions take."""
    store = folder / "store"
    folder.mkdir(parents=True, exist_ok=True)
    measured: dict[str, Callable[[], list[dict[str, Any]]]] = {
        "add": lambda: list(adding(folder, [int(one) for one in cells.split(",")], seed)),
        "store": lambda: [in_process(written, store, datasets, seed)],
        "copy": lambda: [in_process(copied, store)],
        "questions": lambda: [
            row | {"copy": copy}
            for copy in (True, False)
            for row in in_process(asked, store, questions if copy else 3, seed, copy)
        ],
        "check": lambda: [in_process(checked, store)],
    }
    for part in parts.split(","):
        load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
        table = pd.DataFrame(measured[part]())
        keep(part, table, out, load)
        if part == "add":
            keep("fit", extrapolated(table), out, load)


def keep(name: str, table: pd.DataFrame, out: Path | None, load: float) -> None:
    """Print a table, and write it with what the figures depend on."""
    typer.echo(f"\n{name}, load before {load:.1f}\n{table.to_string(index=False, float_format='%.3g')}")
    if name == "questions":
        middle = table[table["copy"]][["median", "processor"]].median()
        typer.echo(
            f"Median over the questions: {middle['median']:.3f} s, processor {middle['processor']:.3f} s."
        )
    if out is None:
        return
    out.mkdir(parents=True, exist_ok=True)
    table.to_csv(out / f"{name}.csv", index=False, float_format="%.4g", lineterminator="\n")
    place = out / "record.json"
    found = json.loads(place.read_text()) if place.exists() else {}
    found[name] = record() | {"load": round(load, 2)}
    place.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")


def adding(folder: Path, sizes: list[int], seed: int) -> Iterator[dict[str, Any]]:
    """What adding data sets of some sizes costs."""
    for n in sizes:
        in_process(write_cells, folder / "cells.h5ad", n, seed)
        yield in_process(added, folder / "cells.h5ad", n)
        shutil.rmtree(folder / "added")


def in_process(function: Callable[..., Any], *arguments: Any) -> Any:
    """Result of a function in a process of its own, whose peak memory is that of nothing else."""
    with get_context("spawn").Pool(1) as pool:
        return pool.apply(function, arguments)


def added(source: Path, n_cells: int) -> dict[str, float]:
    """Seconds per stage and peak memory of adding one data set."""
    from sicmir.atlas import add, contents
    from sicmir.model import load_model

    stages: dict[str, float] = {}
    for module, name in (
        (add, "source_facts"),
        (contents.pools, "pool"),
        (contents, "_predicted"),
        (contents.summaries, "marker_rows"),
        (contents.summaries, "mirna_rows"),
        (add, "_write"),
    ):
        setattr(module, name, timed(getattr(module, name), name.strip("_"), stages))
    bundle, targets = load_model(), pairs(load_model())
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start, clock = time.process_time(), time.perf_counter()
    done = add.add(
        source,
        f"n{n_cells}",
        "tissue",
        "normal",
        model=bundle,
        targets=targets,
        folder=source.with_name("added"),
    )
    seconds, clock = time.process_time() - start, time.perf_counter() - clock
    return {
        "cells": n_cells,
        "groups": done.record["counts"]["n_groups"],
        "all": seconds,
        **stages,
        "by the clock": clock,
        "peak MiB": peak(),
        "of it before": before / 1024,
        "stored KiB": sum(file["bytes"] for file in done.record["files"].values()) / 1024,
    }


def timed(function: Callable[..., Any], name: str, stages: dict[str, float]) -> Callable[..., Any]:
    """The function, whose seconds of processor time are added up."""
    stages[name] = 0.0

    def wrapped(*arguments: Any, **options: Any) -> Any:
        start = time.process_time()
        try:
            return function(*arguments, **options)
        finally:
            stages[name] += time.process_time() - start

    return wrapped


def write_cells(path: Path, n_cells: int, seed: int, n_genes: int = 20_000, per_cell: int = 1000) -> None:
    """Cells × genes, counts, whose pools are like the training data: no group is abstained."""
    from sicmir.model import load_model

    rng, known = np.random.default_rng(seed), load_model().domain
    z = rng.multivariate_normal(np.zeros(977), known.covariance_, N_TYPES, check_valid="ignore")
    landmarks = np.exp2(known.rescale_.mean_ + z * known.rescale_.sd_)
    others = rng.lognormal(5, 2, n_genes - 977)
    parts, step = [], 5000
    kind = rng.integers(0, N_TYPES, n_cells)
    for start in range(0, n_cells, step):
        own = kind[start : start + step]
        n = len(own)
        rates = np.hstack([landmarks, np.broadcast_to(others, (N_TYPES, len(others)))])
        rates /= rates.sum(axis=1, keepdims=True)
        rows, columns = [], []
        for cell_type in range(N_TYPES):
            inside = np.flatnonzero(own == cell_type)
            drawn = rng.choice(n_genes, (len(inside), per_cell), p=rates[cell_type])
            rows.append(np.repeat(inside, per_cell))
            columns.append(drawn.ravel())
        ones = np.ones(n * per_cell, np.float32)
        place = (np.concatenate(rows), np.concatenate(columns))
        parts.append(sparse.csr_matrix((ones, place), shape=(n, n_genes)))
    from sicmir import panel

    names = panel.landmarks()["symbol"].tolist()
    adata = ad.AnnData(sparse.vstack(parts, format="csr"))
    adata.var_names = [*names, *(f"GENE{i}" for i in range(n_genes - len(names)))]
    adata.obs["cell_type"] = [f"type {i}" for i in kind]
    adata.obs["donor"] = [f"D{i}" for i in rng.integers(0, N_DONORS, n_cells)]
    adata.write_h5ad(path)


def pairs(bundle: Any) -> pd.DataFrame:
    """Targets among the genes that are made up."""
    rng = np.random.default_rng(0)
    mirna = rng.choice(bundle.mirnas, 4 * N_TARGETS)
    gene = [f"GENE{i}" for i in rng.integers(0, N_TARGETS, 4 * N_TARGETS)]
    return pd.DataFrame({"mirna": mirna, "gene": gene}).drop_duplicates()


def extrapolated(rows: pd.DataFrame) -> pd.DataFrame:
    """Seconds as a line of cells, by least squares, and what it gives for the whole atlas.

    A data set costs a constant, mostly for its groups, whose number does not grow with its cells, and a share
    for each cell.
    """
    others = ("cells", "groups", "peak MiB", "of it before", "stored KiB")
    stages = [name for name in rows if name not in others]
    found = []
    for name in stages:
        design = np.column_stack([np.ones(len(rows)), rows["cells"]])
        (constant, slope), *_ = np.linalg.lstsq(design, rows[name], rcond=None)
        residual = rows[name] - design @ [constant, slope]
        whole = N_DATASETS * constant + N_CELLS * slope
        found.append((name, constant, slope * 1e6, float(np.abs(residual).max()), whole / 60))
    columns = ["stage", "s a data set", "s a million cells", "largest residual, s", "whole atlas, min"]
    return pd.DataFrame(found, columns=columns)


def written(store: Path, n_datasets: int, seed: int) -> dict[str, float]:
    """Write summaries of many data sets."""
    rng = np.random.default_rng(seed)
    start = time.perf_counter()
    for number in range(n_datasets):
        if number < N_DRAWN:
            write_dataset(store, f"set{number:03d}", rng)
        else:
            write_like(store, f"set{number:03d}", f"set{number % N_DRAWN:03d}", rng)
    groups = n_datasets * N_TYPES * N_DONORS
    return {
        "data sets": n_datasets,
        "rows of miRNAs": groups * len(mirnas()),
        "rows of genes": groups * N_TARGETS,
        "MB": size(store.glob("dataset=*/*.parquet")),
        "seconds": time.perf_counter() - start,
    }


def copied(store: Path) -> dict[str, float]:
    """Write the sorted copy of a store."""
    from sicmir.atlas import compact

    start, busy = time.perf_counter(), time.process_time()
    place = compact.compact(store)
    seconds, busy = time.perf_counter() - start, time.process_time() - busy
    return {"MB": size(place.glob("*.parquet")), "seconds": seconds, "processor": busy, "peak MiB": peak()}


def checked(store: Path) -> dict[str, float]:
    """Check a store and its copy."""
    from sicmir.atlas import check

    start, busy = time.perf_counter(), time.process_time()
    found = check.check(store)
    assert not found.problems, found.problems[:3]
    seconds, busy = time.perf_counter() - start, time.process_time() - busy
    return {"data sets": found.n_datasets, "seconds": seconds, "processor": busy, "peak MiB": peak()}


def size(files: Iterable[Path]) -> float:
    """MB of files."""
    return sum(path.stat().st_size for path in files) / 1e6


def peak() -> float:
    """MiB that this process has had at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def mirnas() -> list[str]:
    """Those of the model that comes with the package."""
    from sicmir.model import load_model

    return list(load_model().mirnas)


def write_dataset(store: Path, name: str, rng: np.random.Generator) -> None:
    """Tables of one data set with values drawn at random, moved to their place as add does."""
    from sicmir.atlas import add, identity, record, summaries
    from sicmir.atlas import store as stores
    from sicmir.model import load_model

    bundle = load_model()
    kinds = rng.choice(N_NAMES, N_TYPES, replace=False)
    labels = [(f"D{donor}", f"cell type {kind:03d}") for donor in range(N_DONORS) for kind in kinds]
    obs = pd.DataFrame(labels, columns=["donor", "cell_type"])
    obs["condition"] = np.where(obs["donor"].isin(["D0", "D1"]), "healthy", "ill")
    disease = f"disease {int(rng.integers(30)):02d}"
    obs["disease"] = np.where(obs["condition"] == "healthy", "normal", disease)
    tissue = {"name": f"tissue {int(rng.integers(40)):02d}", "id": ""}
    obs = obs.assign(tissue=tissue["name"], tissue_id="")
    obs["n_cells"] = rng.integers(50, 700, len(obs)).astype(int)
    obs = obs.assign(abstained=False, in_domain=True, coverage=1.0)
    obs.index = [f"{name}-{i}" for i in range(len(obs))]
    level = rng.normal(6, 2, len(bundle.mirnas)) + rng.normal(0, 1, (len(obs), len(bundle.mirnas)))
    level = np.maximum(level, 0).astype(np.float32)
    var = bundle.trust.rename_axis(None)
    groups = ad.AnnData(
        level, obs=obs, var=var, layers={"lower": np.maximum(level - 2, 0), "upper": level + 2}
    )
    groups.uns["sicmir"] = {"modality": "prediction", "interval_level": 0.9, "level": bundle.level}
    place = np.repeat(np.arange(len(obs)), 5)
    parts = ad.AnnData(np.maximum(level[place] + rng.normal(0, 0.3, (len(place), level.shape[1])), 0))
    parts.obs["group"], parts.obs["abstained"] = place, False
    trust = summaries.trust_rows(var)
    genes = obs.loc[
        np.repeat(obs.index, N_TARGETS),
        ["cell_type", "donor", "condition", "disease", "tissue", "tissue_id", "n_cells"],
    ]
    genes = genes.assign(
        gene=np.tile([f"GENE{i}" for i in range(N_TARGETS)], len(obs)),
        expression=rng.gamma(2, 2, N_TARGETS * len(obs)).astype(np.float32),
    )
    markers = marker_rows(groups, rng)
    targets = pairs(bundle).assign(evidence="made up")
    tables = {
        "mirna": summaries.mirna_rows(groups, parts, trust["mean_log2_rpm"]),
        "genes": genes,
        "markers": markers,
        "targets": targets,
        "trust": trust,
    }
    fresh = store / ".new"
    fresh.mkdir(parents=True)
    files = {kind: add._write(table, kind, fresh) for kind, table in tables.items()}
    counts = {"n_cells": int(obs["n_cells"].sum()), "n_small": 0, "n_unlabelled": 0, "n_donors": N_DONORS}
    counts |= {"n_cell_types": N_TYPES, "n_groups": len(obs), "n_predicted": len(obs)}
    about = {
        "format": record.FORMAT,
        "dataset": name,
        "tissue": tissue,
        "tissues": [tissue],
        "disease": {"name": disease, "id": ""},
        "normal": ["healthy"],
        "source": {"name": "none", "sha256": "", "bytes": 0},
        "model": identity.model_facts(bundle),
        "options": {"min_cells": 10},
        "input": {"units": "counts", "transform": "frozen", "landmarks": 977, "synthetic": True},
        "cell_types": [],
        "targets": {"n_pairs": len(targets), "n_genes": N_TARGETS},
        "markers": "",
        "counts": counts,
        "version": "benchmark",
        "files": files,
    }
    stores.commit(store, record.seal(about), fresh)


def write_like(store: Path, name: str, other: str, rng: np.random.Generator) -> None:
    """Write the tables of another data set under other cell types, tissue and disease."""
    from sicmir.atlas import add, record
    from sicmir.atlas import store as stores

    home = stores.partition(store, other)
    found = record.read_record(home)
    kinds = [f"cell type {kind:03d}" for kind in sorted(rng.choice(N_NAMES, N_TYPES, replace=False))]
    disease, tissue = f"disease {int(rng.integers(30)):02d}", f"tissue {int(rng.integers(40)):02d}"
    new = {
        "disease": {found["disease"]["name"]: disease},
        "tissue": {found["tissue"]["name"]: tissue},
    }
    fresh = store / ".new"
    fresh.mkdir(parents=True)
    files = {}
    for table, file in found["files"].items():
        content = pq.ParquetFile(home / file["name"]).read()
        for column in {"cell_type", *new} & set(content.column_names):
            values = content[column].combine_chunks()
            there = values.dictionary.to_pylist()
            names = new.get(column) or dict(zip(sorted(there), kinds, strict=False))
            changed = pa.array([names.get(one, one) for one in there])
            place = content.schema.get_field_index(column)
            made = pa.DictionaryArray.from_arrays(values.indices, changed)
            content = content.set_column(place, content.schema.field(column), made)
        path = fresh / f"{table}.parquet"
        pq.write_table(content, path, compression="zstd", row_group_size=1 << 20)
        facts = add.source_facts(path)
        last = stores.table_name(table, facts["sha256"])
        path.rename(fresh / last)
        files[table] = facts | {"name": last, "rows": content.num_rows}
    about = found | {"dataset": name, "disease": {"name": disease, "id": ""}, "files": files}
    about["tissue"] = {"name": tissue, "id": ""}
    about["tissues"] = [about["tissue"]]
    stores.commit(store, record.seal(about), fresh)


def marker_rows(groups: ad.AnnData, rng: np.random.Generator) -> pd.DataFrame:
    """Markers as tests of five donors would leave them; the tests are timed where cells are added."""
    kinds = groups.obs["cell_type"].unique()
    n = len(kinds) * groups.n_vars
    return pd.DataFrame(
        {
            "cell_type": np.repeat(kinds, groups.n_vars),
            "mirna": np.tile(groups.var_names, len(kinds)),
            "grade": np.tile(groups.var["grade"].astype(str), len(kinds)),
            "effect": rng.normal(0, 1, n),
            "se": rng.uniform(0.2, 0.6, n),
            "se_total": rng.uniform(0.8, 1.5, n),
            "df": 6.0,
            "n_donors": N_DONORS,
        }
    )


def asked(store: Path, times: int, seed: int, copy: bool) -> list[dict[str, Any]]:
    """Seconds of each question, about names drawn at random; the first one apart."""
    from sicmir.atlas import expression, links, meta, scan
    from sicmir.atlas.query import Atlas

    if not copy:
        scan.usable = lambda *_: None
    rng = np.random.default_rng(seed)
    start = time.perf_counter()
    atlas = Atlas(store)
    opened = time.perf_counter() - start
    kinds, names = atlas.values("cell_type"), atlas.trust.index.to_numpy()
    diseases = [one for one in atlas.values("disease") if one != "normal"]
    questions: dict[str, Callable[[], Any]] = {
        "expression of a miRNA over cell types": lambda: expression.expression(
            atlas, rng.choice(names), by=["cell_type"]
        ),
        "a miRNA by tissue and disease": lambda: expression.expression(
            atlas, rng.choice(names), by=["tissue", "disease"]
        ),
        "a miRNA in a cell type by donor": lambda: expression.expression(
            atlas, rng.choice(names), rng.choice(kinds), by=["dataset", "donor"]
        ),
        "all miRNAs of a cell type": lambda: expression.expression(
            atlas, cell_type=rng.choice(kinds), by=["cell_type"]
        ),
        "markers of a cell type": lambda: meta.markers(atlas, rng.choice(kinds)),
        "similar cell types": lambda: meta.similar(atlas, rng.choice(kinds)),
        "network of a miRNA in a cell type": lambda: links.network(
            atlas, rng.choice(names), rng.choice(kinds)
        ),
        "a gene over cell types": lambda: expression.gene_expression(
            atlas, f"GENE{rng.integers(N_TARGETS)}", by=["cell_type"]
        ),
        "disease against normal in a cell type": lambda: disease(atlas, rng, diseases),
    }
    rows: list[dict[str, Any]] = [{"question": "open", "first": opened}]
    for question, ask in questions.items():
        seconds, work = [], []
        for _ in range(times + 1):
            start, busy = time.perf_counter(), time.process_time()
            ask()
            seconds.append(time.perf_counter() - start)
            work.append(time.process_time() - busy)
        row = {"question": question, "first": seconds[0], "median": np.median(seconds[1:])}
        rows.append(row | {"slowest": max(seconds[1:]), "processor": np.median(work[1:])})
    return rows


def disease(atlas: Any, rng: np.random.Generator, diseases: list[str]) -> Any:
    """Compare a disease with normal in a cell type that a data set of it has."""
    from sicmir.atlas import meta

    name = rng.choice(diseases)
    kinds = atlas.sql("SELECT DISTINCT cell_type AS found FROM markers WHERE disease = $name", {"name": name})
    return meta.difference(atlas, name, cell_type=rng.choice(kinds["found"]))


def record() -> dict[str, Any]:
    """What the figures depend on."""
    from sicmir.threads import prediction_threads

    command = ["git", "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty"]
    commit = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=False)
    return {
        "commit": commit.stdout.strip() or "not known",
        "date": f"{pd.Timestamp.now(tz='UTC'):%Y-%m-%d}",
        "machine": f"{platform.machine()}, {platform.system()}, Python {platform.python_version()}",
        "cores": os.cpu_count(),
        "threads": prediction_threads(),
        "duckdb": version("duckdb"),
    }


if __name__ == "__main__":
    typer.run(main)
