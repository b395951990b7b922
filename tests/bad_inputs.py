"""Bad inputs with what must be said of each: tables in memory, files, targets and models."""

import gzip
import json
import os
import pickle
import shutil
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import small_model as small
from scipy import sparse
from scipy.io import mmwrite

from sicmir.matrices.units import judged_rows

N_CELLS = 8


@dataclass(frozen=True)
class Case:
    """``told``: patterns that the message must match; ``abstained``: rows of NaN where it is no error."""

    name: str
    build: Callable
    told: tuple[str, ...] = ()
    options: dict = field(default_factory=dict)
    abstained: tuple[int, ...] = ()
    file: bool = True  # whether the table can be written to a file


@cache
def _good():
    adata = small.counts()[:N_CELLS].copy()
    adata.obs["cell_type"] = ["T", "B"] * (N_CELLS // 2)
    return adata


def good():
    return _good().copy()


def dense():
    return good().X.toarray()


def holding(X, names=None):
    adata = good()
    adata.X = X
    if names is not None:
        adata.var_names = names
    return adata


def with_value(value, dtype=np.float32, row=1, column=5):
    X = dense().astype(dtype)
    X[row, column] = value
    return holding(X)


def far_down(value, column):
    """A value in a row that is none of the 500 by which units are told."""
    adata = good()
    X = sparse.vstack([adata.X] * 70, format="csr")
    place = np.setdiff1d(np.arange(X.shape[0]), judged_rows(X.shape[0]))[0]
    row = X[place].tolil()
    row[0, column] = value
    X = sparse.vstack([X[:place], row, X[place + 1 :]], format="csr")
    return ad.AnnData(X, obs=pd.DataFrame(index=[f"cell{i}" for i in range(X.shape[0])]), var=adata.var)


def labelled(**columns):
    adata = good()
    adata.obs = adata.obs.assign(**columns)
    return adata


def renamed(name):
    adata = good()
    adata.obs_names = [name] * N_CELLS
    return adata


def logs(times=1):
    X = dense() / dense().sum(axis=1, keepdims=True) * 1e4
    for _ in range(times):
        X = np.log1p(X)
    return X.astype(np.float32)


def z_scores():
    return (logs() - logs().mean(axis=0)) / (logs().std(axis=0) + 0.1)


def twice(X):
    names = good().var_names.tolist()
    return holding(X, [names[0], *names[:1], *names[2:]])


def broken(part, place, value):
    X = good().X
    values = getattr(X, part).copy()
    values[place] = value
    setattr(X, part, values)
    adata = good()
    adata.X = X
    return adata


def shuffled():
    return holding(dense()[:, np.random.default_rng(0).permutation(small.N_GENES)])


FOREIGN = [f"ENSMUSG{number:011d}" for number in range(small.N_GENES)]
ALL = tuple(range(N_CELLS))

TABLES = [
    Case(
        "no landmark",
        lambda: holding(dense(), [f"g{i}" for i in range(small.N_GENES)]),
        (r"Only 0 of 977", "gene.key"),
    ),
    Case(
        "mouse symbols",
        lambda: holding(dense(), good().var_names.str.capitalize()),
        ("look like mouse", "orthologues"),
    ),
    Case("mouse Ensembl ids", lambda: holding(dense(), FOREIGN), ("look like mouse", "orthologues")),
    Case("all cells zero", lambda: holding(dense() * 0), abstained=ALL),
    Case("one cell zero", lambda: holding(dense() * (np.arange(N_CELLS) != 3)[:, None]), abstained=(3,)),
    Case("one cell NaN", lambda: with_value(np.nan, row=3, column=slice(None)), abstained=(3,)),
    Case("infinite", lambda: with_value(np.inf), ("infinite", "expected finite")),
    Case("infinite far down", lambda: far_down(np.inf, 5), ("infinite", "expected finite")),
    Case("infinite far down, no landmark", lambda: far_down(np.inf, 5500), ("infinite", "expected finite")),
    Case("negative", lambda: with_value(-3), ("Negative values", "Give a layer")),
    Case("negative far down", lambda: far_down(-3, 5), ("negative", "Look at how")),
    Case(
        "negative far down, no landmark", lambda: far_down(-3, 5500), ("negative", "Give a layer|Look at how")
    ),
    Case(
        "32-bit integers that wrapped around",
        lambda: holding((dense().astype(np.int64) * 200_000).astype(np.int32)),
        ("Negative", "Give a layer"),
    ),
    Case("beyond float32", lambda: with_value(1e300, np.float64), ("infinite", "xpected finite")),
    Case(
        "all beyond float32", lambda: holding(dense().astype(float) * 1e300), ("infinite", "xpected finite")
    ),
    Case("one count above 2**31", lambda: with_value(10**18, np.int64), abstained=(1,)),
    Case("saturated 8-bit counts", lambda: holding(np.minimum(dense(), 255).astype(np.uint8)), abstained=ALL),
    Case(
        "logarithm taken twice, called once",
        lambda: holding(logs(2)),
        (r"cannot be log1p\(CP10K\)", "Give the right units"),
        {"units": "log1p(CP10K)"},
    ),
    Case("counts called CPM", lambda: holding(dense()), ("cannot be CPM", "right units"), {"units": "CPM"}),
    Case(
        "counts called logarithm",
        lambda: holding(dense()),
        (r"cannot be log2\(TPM\+1\)",),
        {"units": "log2(TPM+1)"},
    ),
    Case(
        "logarithms called counts",
        lambda: holding(logs()),
        ("cannot be counts", "look like logarithms"),
        {"units": "counts"},
    ),
    Case("unknown units", good, ("units.'?TPN'? are not known", "expected counts, CPM"), {"units": "TPN"}),
    Case("z-scores", lambda: holding(z_scores()), ("z-score or log ratio", "transform.'?cohort")),
    Case(
        "z-scores, ranked",
        lambda: holding(z_scores()),
        ("cannot be ranked", "Give expression"),
        {"transform": "rank"},
    ),
    Case("0 and 1", lambda: holding((dense() > 0).astype(np.int8)), abstained=ALL),
    Case("one value throughout", lambda: holding(np.full((N_CELLS, small.N_GENES), 3.0)), abstained=ALL),
    Case("genes shuffled", shuffled, abstained=ALL),
    Case("float16", lambda: holding(dense().astype(np.float16)), ("float16", "float32")),
    Case("complex", lambda: holding(dense().astype(complex)), ("complex", "float32")),
    Case("objects", lambda: holding(dense().astype(object)), ("object", "float32"), file=False),
    Case("text", lambda: holding(dense().astype(str)), ("of type <U", "float32"), file=False),
    Case(
        "masked", lambda: holding(np.ma.masked_array(dense(), dense() > 1e4)), ("masked", "NaN"), file=False
    ),
    Case("gene twice, logarithms", lambda: twice(logs()), ("PSME1", "Only counts can be summed")),
    Case("cells of one name", lambda: renamed("x"), ("names occur more than once", "Rename them")),
    Case("cells without a name", lambda: renamed(""), ("names occur more than once", "Rename them")),
    Case(
        "a gene without a name",
        lambda: holding(dense(), ["", *good().var_names[1:]]),
        ("must be a gene name; found ''", "Rename"),
    ),
    Case(
        "genes without names",
        lambda: holding(dense(), [""] * small.N_GENES),
        ("must be a gene name; found ''", "Rename"),
    ),
    Case("no such column to pool by", good, ("celltype", "cell_type"), {"by": "celltype"}),
    Case("a column to pool by given twice", good, ("Name each column once",), {"by": ["donor", "donor"]}),
    Case(
        "no label at all",
        lambda: labelled(cell_type=np.nan),
        ("8 in cell_type", "Label them"),
        {"by": "cell_type"},
    ),
    Case(
        "a label missing",
        lambda: labelled(cell_type=[*"abababa", None]),
        ("1 in cell_type", "Label them"),
        {"by": "cell_type"},
    ),
    Case(
        "pools too small",
        good,
        ("None of 8 groups has 10 cells", "Lower (min_cells|--min-cells)"),
        {"by": "donor"},
    ),
    Case("pools of no cell", good, ("min.cells.0: expected 1 or more",), {"by": "donor", "min_cells": 0}),
    Case(
        "one cell is no cohort",
        lambda: good()[:1].copy(),
        ("at least 3 samples, found 1", "Use 'frozen'"),
        {"transform": "cohort"},
    ),
    Case("no cell", lambda: good()[:0].copy(), (r"0 observations|matrix is empty",)),
    Case("no gene", lambda: good()[:, :0].copy(), (r"0 genes|matrix is empty",)),
    Case("no X", lambda: ad.AnnData(obs=good().obs, var=good().var), (r"no X|is empty|neither X",)),
    Case(
        "no such layer", good, ("layer.'?count'?: there is no such matrix; there are X",), {"layer": "count"}
    ),
    Case(
        "no such column of genes",
        good,
        ("var has no column 'symbol'", "it has: none"),
        {"gene_key": "symbol"},
    ),
    Case("coverage out of range", good, ("between 0 and 1, not 2",), {"min_coverage": 2.0}),
    Case("index too large", lambda: broken("indices", 10, 10**6), ("damaged.*1000000", "Write it again")),
    Case("index negative", lambda: broken("indices", 10, -5), ("damaged.*-5", "Write it again")),
    Case("pointers descend", lambda: broken("indptr", 3, 0), ("damaged.*pointers", "Write it again")),
]


def no_anndata():
    return {
        "a DataFrame": good().to_df(),
        "a path": "cells.h5ad",
        "nothing": None,
        "an array": dense(),
    }


# Files


def _bytes(name, change=lambda content: content):
    def build(folder):
        good().write_h5ad(folder / "whole.h5ad")
        content = change((folder / "whole.h5ad").read_bytes())
        (folder / "whole.h5ad").unlink()
        (folder / name).write_bytes(content)
        return folder / name

    return build


def _changed(change):
    """An .h5ad changed by ``change(file)``."""

    def build(folder):
        path = _bytes("cells.h5ad")(folder)
        with h5py.File(path, "a") as file:
            change(file)
        return path

    return build


def _set(name, place, value):
    def change(file):
        file[name][place] = value

    return change


def _in_place_of(name, value, **attributes):
    def change(file):
        del file[name]
        file[name] = value() if callable(value) else value
        file[name].attrs.update(attributes)

    return change


def _attribute(name, key, value):
    def change(file):
        file[name].attrs[key] = value

    return change


def _longer_obs(file):
    obs = good().obs
    del file["obs"]
    ad.io.write_elem(file, "obs", pd.concat([obs, obs.rename(index=lambda name: f"{name}-2")]))


def _latin1(axis):
    def change(file):
        name = f"{axis}/{file[axis].attrs['_index']}"
        attributes = dict(file[name].attrs)
        names = [f"é{text}".encode("latin-1") for text in file[name].asstr()[:]]
        del file[name]
        file.create_dataset(name, data=names, dtype=h5py.string_dtype())
        file[name].attrs.update(attributes)

    return change


class Mark:
    """Unpickling it makes a file: the proof that something was executed."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def _pickle(path):
    return np.void(pickle.dumps(Mark(path)))


def h5ad_with_pickle(folder):
    return _changed(_in_place_of("X", _pickle(folder / "executed")))(folder)


def h5ad_with_pickle_aside(folder):
    def change(file):
        file["uns/evil"] = _pickle(folder / "executed")

    return _changed(change)(folder)


def zarr_store(folder):
    with warnings.catch_warnings(action="ignore"):  # on the next default format
        good().write_zarr(folder / "cells.zarr")
    return folder / "cells.zarr"


def zarr_with_pickle(folder):
    store = zarr_store(folder)
    name = "X/data/.zarray"
    facts = json.loads((store / name).read_text()) | {"filters": [{"id": "pickle"}], "compressor": None}
    (store / name).write_text(json.dumps(facts))
    whole = json.loads((store / ".zmetadata").read_text())
    whole["metadata"][name] = facts
    (store / ".zmetadata").write_text(json.dumps(whole))
    (store / "X/data/0").write_bytes(pickle.dumps(np.array([Mark(folder / "executed")], dtype=object)))
    return store


def _zarr_chunk(part, change):
    def build(folder):
        store = zarr_store(folder)
        change(store / part / "0")
        return store

    return build


def _cut(path):
    path.write_bytes(path.read_bytes()[:20])


def _zarr_without(part):
    def build(folder):
        store = zarr_store(folder)
        for path in sorted((store / part).rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        return store

    return build


def _folder(name):
    def build(folder):
        (folder / name).mkdir()
        return folder / name

    return build


def _link(first, second):
    def build(folder):
        (folder / first).symlink_to(folder / second)
        if first != second:
            (folder / second).symlink_to(folder / first)
        return folder / first

    return build


def _dangling(folder):
    (folder / "cells.h5ad").symlink_to(folder / "gone.h5ad")
    return folder / "cells.h5ad"


def _table():
    return good().to_df().iloc[:, :1500]


def _csv(change, name="cells.csv"):
    def build(folder):
        content = change(_table())
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return folder / name

    return build


def _lines(change):
    return lambda table: "\n".join(change(table.to_csv().splitlines()))


def _gct(rows, columns):
    def build(folder):
        table = _table()
        lines = ["#1.2", f"{rows}\t{columns}", "\t".join(["Name", "Description", *table.index])]
        lines += ["\t".join([gene, "x", *map(str, table[gene])]) for gene in table]
        (folder / "cells.gct").write_text("\n".join(lines) + "\n")
        return folder / "cells.gct"

    return build


def _tenx(barcodes=N_CELLS, cut=False):
    def build(folder):
        folder = folder / "filtered"
        folder.mkdir()
        mmwrite(folder / "matrix.mtx", good().X.T.astype(int))
        names = "".join(f"{name}\t{name}\n" for name in good().var_names)
        (folder / "genes.tsv").write_text(names)
        if barcodes:
            (folder / "barcodes.tsv").write_text("".join(f"cell{i}\n" for i in range(barcodes)))
        if cut:
            text = (folder / "matrix.mtx").read_text()
            (folder / "matrix.mtx").write_text(text[: len(text) // 2])
        return folder

    return build


_ARRAY = {"encoding-type": "array", "encoding-version": "0.2.0"}
_DAMAGED = ("not a readable",)

FILES = [
    Case("truncated h5ad", _bytes("cells.h5ad", lambda content: content[: len(content) // 2]), _DAMAGED),
    Case("head of an h5ad", _bytes("cells.h5ad", lambda content: content[:100]), _DAMAGED),
    Case("empty h5ad", _bytes("cells.h5ad", lambda _: b""), _DAMAGED),
    Case("text named .h5ad", _bytes("cells.h5ad", lambda _: b"cell,PSME1\na,1\n"), _DAMAGED),
    Case(
        "pickle named .h5ad",
        lambda folder: _bytes("cells.h5ad", lambda _: pickle.dumps(Mark(folder / "executed")))(folder),
        _DAMAGED,
    ),
    Case("folder named .h5ad", _folder("cells.h5ad"), ("cells.h5ad",)),
    Case("no file", lambda folder: folder / "cells.h5ad", ("there is no such file",)),
    Case("links in a circle", _link("cells.h5ad", "other.h5ad"), ("there is no such file",)),
    Case("a link to itself", _link("cells.h5ad", "cells.h5ad"), ("there is no such file",)),
    Case("a link to nothing", _dangling, ("there is no such file",)),
    Case("pickle as X", h5ad_with_pickle, (r"X",)),
    Case("object of unknown encoding", _changed(_attribute("X", "encoding-type", "pickle")), ("pickle",)),
    Case("no X", _changed(lambda file: file.__delitem__("X")), (r"is empty|has neither X",)),
    Case("complex X", _changed(_in_place_of("X", lambda: dense().astype(complex), **_ARRAY)), ("complex",)),
    Case("text as X", _changed(_in_place_of("X", lambda: dense().astype("S"), **_ARRAY)), (r"type|text",)),
    Case("index too large", _changed(_set("X/indices", 10, 10**6)), ("damaged.*1000000",)),
    Case("index negative", _changed(_set("X/indices", 10, -3)), ("damaged.*-3",)),
    Case("pointers descend", _changed(_set("X/indptr", 3, 0)), ("damaged.*pointers",)),
    Case("values cut off", _changed(_in_place_of("X/data", lambda: good().X.data[:-5])), (r"damaged|X",)),
    Case("obs longer than X", _changed(_longer_obs), (r"16",)),
    Case("cell names in Latin-1", _changed(_latin1("obs")), ("utf-8",)),
    Case("gene names in Latin-1", _changed(_latin1("var")), ("utf-8",)),
    Case("zarr without a chunk of values", _zarr_chunk("X/data", Path.unlink), ("X/data lacks 1 of 1",)),
    Case("zarr without a chunk of indices", _zarr_chunk("X/indices", Path.unlink), ("lacks 1 of 1",)),
    Case("zarr without a chunk of pointers", _zarr_chunk("X/indptr", Path.unlink), ("lacks 1 of 1",)),
    Case("zarr with a chunk cut off", _zarr_chunk("X/data", _cut), ("cells.zarr",)),
    Case("zarr with pointers cut off", _zarr_chunk("X/indptr", _cut), ("cells.zarr",)),
    Case("zarr without obs", _zarr_without("obs"), ("cells.zarr",)),
    Case("zarr with a pickle", zarr_with_pickle, ("pickle",)),
    Case("empty zarr", _folder("cells.zarr"), ("not a readable .zarr",)),
    Case("text named .zarr", _bytes("cells.zarr", lambda _: b"hello"), ("not a readable .*zarr",)),
    Case("zip of nothing", _bytes("cells.zarr.zip", lambda _: b"PK\x05\x06" + bytes(18)), _DAMAGED),
    Case("no known ending", _bytes("cells.rds"), ("cannot tell the format by the ending", "expected .h5ad")),
    Case("a packed h5ad", _bytes("cells.h5ad.gz"), ("cannot tell the format", "Unpack what is packed")),
    Case("gene sets", _bytes("cells.gmt"), ("cannot tell the format by the ending", "expected .h5ad")),
    Case(
        "picture named .csv",
        _bytes("cells.csv", lambda _: b"\x89PNG\r\n\x1a\n" + bytes(range(256))),
        ("not a readable table",),
    ),
    Case("column of text", _csv(lambda table: table.assign(note="x").to_csv()), ("'note' holds text",)),
    Case("ragged", _csv(_lines(lambda lines: [*lines[:3], lines[3] + ",5"])), ("line 4 has 1502 fields",)),
    Case("truncated csv", _csv(lambda table: table.to_csv()[:30_000]), (r"line \d has \d+ fields",)),
    Case(
        "csv in Latin-1",
        _csv(lambda table: table.rename(index=lambda n: f"é{n}").to_csv().encode("latin-1")),
        ("utf-8", "delimited text"),
    ),
    Case("csv in UTF-16", _csv(lambda table: table.to_csv().encode("utf-16")), ("write it as UTF-8",)),
    Case(
        "csv with a zero byte", _csv(lambda table: table.to_csv().replace(".0,", ".\0,", 1)), ("zero bytes",)
    ),
    Case("empty csv", _csv(lambda _: ""), ("not a readable table",)),
    Case("header alone", _csv(_lines(lambda lines: lines[:1])), ("0 rows x 1500",)),
    Case("split at semicolons", _csv(lambda table: table.to_csv(sep=";")), ("split at commas in .csv",)),
    Case(
        "decimal commas",
        _csv(lambda table: (table + 0.5).to_csv(sep="\t", decimal=","), "cells.tsv"),
        ("'PSME1' holds text",),
    ),
    Case(
        "truncated gzip",
        _csv(lambda table: gzip.compress(table.to_csv().encode())[:500], "cells.csv.gz"),
        ("not a readable table",),
    ),
    Case("no gzip", _csv(lambda table: table.to_csv(), "cells.csv.gz"), ("[Nn]ot a gzipped file",)),
    Case(
        "gene twice in a csv",
        _csv(_lines(lambda lines: [lines[0].replace("CISD1", "PSME1"), *lines[1:]])),
        ("'PSME1' occurs more than once",),
    ),
    Case("cell twice in a csv", _csv(_lines(lambda lines: [*lines, lines[1]])), ("more than once",)),
    Case(
        "infinite in a csv",
        _csv(_lines(lambda lines: [*lines[:2], lines[2].rpartition(",")[0] + ",inf"])),
        ("infinite", "TOY0523"),
    ),
    Case(
        "no gene names in a csv",
        _csv(lambda table: table.rename(columns=lambda n: f"g{n}").to_csv()),
        ("which axis holds the samples", "symbols or Ensembl"),
    ),
    Case("gct of too few samples", _gct(1500, N_CELLS + 2), ("1500 genes x 10 samples, found 1500 x 8",)),
    Case("gct of too few genes", _gct(1501, N_CELLS), ("1501 genes x 8 samples, found 1500 x 8",)),
    Case("truncated gctx", _bytes("cells.gctx", lambda content: content[:3000]), ("not a readable .gctx",)),
    Case("truncated loom", _bytes("cells.loom", lambda content: content[:3000]), ("not a readable .loom",)),
    Case("truncated 10x .h5", _bytes("cells.h5", lambda content: content[:3000]), ("not a readable 10x",)),
    Case("h5ad named .h5", _bytes("cells.h5"), ("not a 10x matrix",)),
    Case("h5ad named .loom", _bytes("cells.loom"), ("not /matrix",)),
    Case("empty folder", _folder("filtered"), ("matrix.mtx",)),
    Case("10x without barcodes", _tenx(barcodes=0), ("expected one of barcodes.tsv",)),
    Case("10x with too few barcodes", _tenx(barcodes=2), ("names 2", "do not belong together")),
    Case("10x cut off", _tenx(cut=True), ("not a readable 10x matrix",)),
]


# Targets: where a good file cannot be predicted to


def _in_a_file(folder):
    (folder / "file").write_text("mine")
    return folder / "file" / "out.h5ad"


def _there(name):
    def build(folder):
        (folder / name).write_text("mine")
        return folder / name

    return build


TARGETS = [
    Case("within a file", _in_a_file, ("cannot be written", "Choose a folder")),
    Case(
        "where nobody may write", lambda _: Path("/proc/out.h5ad"), ("cannot be written", "Choose a folder")
    ),
    Case("there already", _there("out.h5ad"), ("is there already", "choose another name")),
    Case(
        "a table beside it is there",
        lambda folder: _there("out_mirnas.csv")(folder).with_name("out.csv"),
        ("out_mirnas.csv is there already",),
    ),
    Case("a folder of that name", _folder("out.h5ad"), ("is there already", "choose another name")),
    Case("no known ending", lambda folder: folder / "out.xlsx", ("out.xlsx", "give such an ending")),
    Case("no ending", lambda folder: folder / "out", ("give such an ending",)),
    Case("a device", lambda _: Path("/dev/full"), ("give such an ending",)),
    Case("links in a circle", _link("out.h5ad", "other.h5ad"), ("out.h5ad",)),
    Case("within links in a circle", lambda folder: _link("a", "b")(folder) / "out.h5ad", ("out.h5ad",)),
    Case("a name too long", lambda folder: folder / f"{'x' * 300}.h5ad", ("too long",)),
    Case("what is predicted from", lambda folder: folder / "cells.h5ad", ("predicted from", "another name")),
]


# Models


def _model(change):
    def build(folder):
        change(folder)
        return folder

    return build


def _flip(folder):
    path = folder / "weights.safetensors"
    content = bytearray(path.read_bytes())
    content[-9] ^= 1
    path.write_bytes(content)


MODELS = [
    Case("no folder", _model(shutil.rmtree), ("expected a bundle", "Check the path")),
    Case("a file", lambda folder: folder / "model.json", ("expected a bundle", "Check the path")),
    Case(
        "a folder without a bundle",
        _model(lambda folder: (folder / "model.json").unlink()),
        ("expected a bundle",),
    ),
    Case(
        "weights missing",
        _model(lambda folder: (folder / "weights.safetensors").unlink()),
        ("expected weights.safetensors", "Copy the whole bundle"),
    ),
    Case("weights altered", _model(_flip), ("expected SHA-256", "altered")),
    Case(
        "weights truncated",
        _model(lambda folder: os.truncate(folder / "weights.safetensors", 999)),
        ("expected SHA-256", "truncated"),
    ),
    Case(
        "weights a pickle",
        _model(
            lambda folder: (folder / "weights.safetensors").write_bytes(
                pickle.dumps(Mark(folder.parent / "executed"))
            )
        ),
        ("expected SHA-256",),
    ),
    Case(
        "description altered",
        _model(
            lambda folder: (folder / "model.json").write_text(
                (folder / "model.json").read_text().replace("log2", "log3", 1)
            )
        ),
        ("altered after saving",),
    ),
    Case(
        "description in bytes",
        _model(lambda folder: (folder / "model.json").write_bytes(b"\xff\xfe")),
        ("truncated or not a model description",),
    ),
    Case(
        "trust table altered",
        _model(lambda folder: (folder / "trust.csv").write_text("mirna\n")),
        ("trust.csv: expected SHA-256",),
    ),
]
