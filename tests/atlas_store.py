"""A small atlas of toy cells, and what tests do with its files."""

import json
from functools import cache

import numpy as np
import pandas as pd
import small_cells
import small_model as small

from sicmir.atlas import record, store
from sicmir.atlas.add import add


@cache
def targets():
    return small.pair()[1].uns["truth"]["targets"].iloc[::40][["mirna", "gene"]]


def cells(seed=0, n_cells=24):
    """Six groups (three donors, two types) and two conditions, the same in all cell types of a donor."""
    adata = small_cells.cells(n_cells, seed=seed)
    adata.obs["condition"] = np.where(adata.obs["donor"] == "d0", "healthy", "tumour")
    return adata


def put(folder, name="one", *, seed=0, adata=None, disease="normal", **options):
    """Add toy cells to the store in a folder; the file lies beside it."""
    source = folder.parent / f"cells-{seed}.h5ad"
    if adata is not None:
        adata.write_h5ad(source)
    elif not source.exists():
        cells(seed).write_h5ad(source)
    given = {"model": small_cells.bundle(), "targets": targets(), "part_cells": 8} | options
    return add(source, name, "toy tissue", disease, folder=folder, **given)


def home(folder, name="one"):
    return store.partition(folder, name)


def file(folder, table, name="one"):
    found = record.read_record(home(folder, name))["files"][table]["name"]
    return home(folder, name) / found


def read(folder, table, name="one"):
    frame = pd.read_parquet(file(folder, table, name))
    texts = frame.select_dtypes("category").columns
    return frame.astype(dict.fromkeys(texts, str))


def contents(folder):
    """Every file of a store and its bytes, without locks."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != ".lock")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def alter(folder, change, name="one", seal=True):
    """Change the record of a data set, with the checksum of the whole made right again or not."""
    path = home(folder, name) / record.RECORD
    found = json.loads(path.read_text())
    change(found)
    path.write_text(json.dumps(record.seal(found) if seal else found))
