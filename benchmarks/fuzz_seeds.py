"""Small good files of every format that sicmir reads, from which ``fuzz_readers.py`` makes bad ones."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import rdata
from scipy import sparse
from scipy.io import mmwrite

from sicmir import toy
from sicmir.data.folder import read_folder
from sicmir.data.manifest import load_manifest
from sicmir.data.readers import read
from sicmir.model import SHIPPED, load_model

GENES = ("PSME1", "ATF1", "AARS", "A1BG", "TP53")
MIRNAS = ("hsa-mir-21", "hsa-let-7a-1", "hsa-mir-210")
SAMPLES = ("s1", "s2", "s3", "s4")
VALUES = np.random.default_rng(0).poisson(3, (len(SAMPLES), len(GENES))).astype(np.float32)


@dataclass(frozen=True)
class Seed:
    """A good file or folder: how it is written, how it is read, and what may be changed in it.

    Attributes
    ----------
    name
        Of the file or folder.
    write
        Writes it to a path.
    read
        Reads it, as sicmir does.
    kind
        ``"text"``, ``"gzip"`` (of text), ``"hdf5"``, ``"bytes"`` or ``"folder"`` (of any of them).
    """

    name: str
    write: Callable[[Path], None]
    read: Callable[[Path], Any]
    kind: str


def _reader(name: str, **arguments: Any) -> Callable[[Path], ad.AnnData]:
    return lambda path: read(path, name, **arguments)


def _text(*lines: tuple[Any, ...], separator: str = "\t") -> str:
    return "".join(separator.join(map(str, line)) + "\n" for line in lines)


def _texts(content: str) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        raw = content.encode()
        path.write_bytes(gzip.compress(raw) if path.suffix == ".gz" else raw)

    return write


def _table(separator: str) -> str:
    rows = ((name, *row) for name, row in zip(SAMPLES, VALUES, strict=True))
    return _text(("sample", *GENES), *rows, separator=separator)


def _upright(separator: str = "\t", corner: bool = True) -> str:
    rows = ((name, *row) for name, row in zip(GENES, VALUES.T.astype(int), strict=True))
    return _text((*(("gene",) if corner else ()), *SAMPLES), *rows, separator=separator)


def _gct(version: str) -> str:
    rows = list(zip(("5720", "466", "16", "1", "7157"), VALUES.T, strict=True))
    if version == "1.2":
        body = ((name, "na", *row) for name, row in rows)
        return _text(("#1.2",), (len(GENES), len(SAMPLES)), ("Name", "Description", *SAMPLES), *body)
    meta = [("dose", "na", "na", *range(len(SAMPLES)))]
    body = ((name, "yes", 7, *row) for name, row in rows)
    return _text(("#1.3",), (len(GENES), len(SAMPLES), 2, 1), ("id", "lm", "n", *SAMPLES), *meta, *body)


def _gctx(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["0/DATA/0/matrix"] = VALUES
        file["0/META/ROW/id"] = np.array(["5720", "466", "16", "1", "7157"], dtype="S")
        file["0/META/COL/id"] = np.array(SAMPLES, dtype="S")
        file["0/META/COL/dose"] = np.arange(len(SAMPLES))


def _loom(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.attrs["LOOM_SPEC_VERSION"] = "3.0.0"
        file["matrix"] = VALUES.T
        file["layers/spliced"] = VALUES.T
        file["row_attrs/Gene"] = np.array(GENES, dtype="S")
        file["col_attrs/CellID"] = np.array(SAMPLES, dtype="S")
        file["col_attrs/cell_type"] = np.array(["T", "B", "T", "B"], dtype="S")


def _tenx_h5(path: Path) -> None:
    matrix = sparse.csc_matrix(VALUES.T.astype(np.int32))
    with h5py.File(path, "w") as file:
        for name in ("data", "indices", "indptr", "shape"):
            file[f"matrix/{name}"] = getattr(matrix, name)
        file["matrix/barcodes"] = np.array(SAMPLES, dtype="S")
        file["matrix/features/id"] = np.array([f"ENSG{i:011d}" for i in range(len(GENES))], dtype="S")
        file["matrix/features/name"] = np.array(GENES, dtype="S")
        file["matrix/features/genome"] = np.array(["GRCh38"] * len(GENES), dtype="S")
        file["matrix/features/feature_type"] = np.array(["Gene Expression"] * len(GENES), dtype="S")


def _tenx_folder(path: Path) -> None:
    path.mkdir()
    mmwrite(path / "matrix.mtx", sparse.coo_matrix(VALUES.T.astype(int)))
    _texts(_text(*((f"ENSG{i:011d}", g, "Gene Expression") for i, g in enumerate(GENES))))(
        path / "features.tsv"
    )
    _texts(_text(*((name,) for name in SAMPLES)))(path / "barcodes.tsv")


def _cells() -> ad.AnnData:
    obs = pd.DataFrame(
        {"cell_type": pd.Categorical(["T", "B", "T", "B"]), "depth": [1.0, 2.0, 3.0, 4.0]},
        index=list(SAMPLES),
    )
    adata = ad.AnnData(sparse.csr_matrix(VALUES), obs=obs, var=pd.DataFrame(index=list(GENES)))
    adata.layers["counts"] = adata.X.copy()
    return adata


def _named_matrix(path: Path) -> None:
    frame = pd.DataFrame(VALUES.T.astype(float), index=list(GENES), columns=list(SAMPLES))
    rdata.write_rda(path, {"x": frame})


def _rnaseq(path: Path) -> None:
    frame = pd.DataFrame(VALUES, columns=[f"{gene}|{i}" for i, gene in enumerate(GENES, 1)]).astype(float)
    barcodes = [f"TCGA-OR-A5J{i}-01A-11R-A29S-07" for i in range(len(SAMPLES))]
    frame.insert(0, "bcr_patient_barcode", pd.Categorical(barcodes))
    rdata.write_rda(path, {"ACC.rnaseq": frame.set_index(pd.RangeIndex(1, len(frame) + 1))})


def _gene_sets(path: Path) -> None:
    rdata.write_rda(path, {"signatures": {"A": ["TP53", "KRAS"], "B": ["AARS"]}})


def _folder(path: Path) -> None:
    path.mkdir()
    mrna, mirna = toy.paired_bulk(n_donors=8, n_mirnas=10, seed=0)
    mrna[:, :20].to_df().rename_axis("sample").to_csv(path / "mrna.csv")
    mirna.to_df().rename_axis("sample").to_csv(path / "mirna_mature.tsv", sep="\t")
    samples = mrna.obs[["cohort", "donor"]].rename(columns={"donor": "patient"})
    tissue = mrna.obs["condition"].replace({"tumour": "tumor"}).astype(str)
    samples.assign(tissue=tissue).rename_axis("sample").to_csv(path / "samples.csv")


def _bundle(path: Path) -> None:
    path.mkdir()
    for part in SHIPPED.iterdir():
        (path / part.name).symlink_to(part) if part.suffix == ".safetensors" else (
            path / part.name
        ).write_bytes(part.read_bytes())


def _manifest(path: Path) -> None:
    path.write_text(
        "version: 1\ndatasets:\n  one:\n    title: A set\n    description: For a test.\n"
        "    citation: 10.1000/test\n    licence: CC0\n    used_by: [test]\n    files:\n"
        f"    - name: one/a.csv\n      url: https://data.invalid/a.csv\n      sha256: {'0' * 64}\n"
        "      bytes: 10\n      reader: table\n      arguments: {modality: mrna, units: TPM}\n"
    )


MIRTARBASE = _text(
    (
        *("miRTarBase ID", "miRNA", "Species (miRNA)", "Target Gene", "Target Gene (Entrez ID)"),
        *("Species (Target Gene)", "Experiments", "Support Type", "References (PMID)"),
    ),
    ("MIRT1", "hsa-miR-21-5p", "hsa", "PTEN", 5728, "hsa", "qRT-PCR//Western blot", "Functional MTI", 1),
    ("MIRT2", "hsa-let-7a-5p", "hsa", "KRAS", 3845, "hsa", "Reporter", "Functional MTI (Weak)", 2),
    separator=",",
)
PAIRS = _text(
    ("mirna", "gene", "evidence", "weight"),
    ("hsa-miR-21-5p", "PTEN", "assay", 1.5),
    ("hsa-let-7a-5p", "KRAS", "", 2),
    separator=",",
)
LABELS = _text(("cell", "cell type", "donor"), *((name, "T cell", "p1") for name in SAMPLES))
GMT = _text(("SET_A", "of a test", "TP53", "KRAS"), ("SET_B", "", "TP53", "AARS"))
_LOOSE = {"signed": True, "allow_nan": True}

SEEDS = (
    Seed("a.csv", _texts(_table(",")), _reader("table", modality="mrna", units="TPM"), "text"),
    Seed("a.tsv", _texts(_table("\t")), _reader("table", modality="mrna", units="", **_LOOSE), "text"),
    Seed("b.csv.gz", _texts(_table(",")), _reader("table", modality="mrna", units="TPM", log=True), "gzip"),
    Seed("a.txt", _texts(_upright()), _reader("gene_counts"), "text"),
    Seed("r.txt", _texts(_upright(corner=False)), _reader("r_matrix", units="TPM/10"), "text"),
    Seed("labels.tsv", _texts(LABELS), _reader("cell_labels", columns={"cell type": "cell_type"}), "text"),
    Seed(
        "list.txt",
        _texts(_text(*((f"p1_{name}", "T") for name in SAMPLES))),
        _reader("listed_labels", column="cell_type", patterns={"donor": r"^(\w+?)_"}, values={}),
        "text",
    ),
    Seed("a.gct", _texts(_gct("1.2")), _reader("gct"), "text"),
    Seed("b.gct", _texts(_gct("1.3")), _reader("gct", **_LOOSE), "text"),
    Seed("c.gct.gz", _texts(_gct("1.3")), _reader("gct", **_LOOSE), "gzip"),
    Seed("a.gmt", _texts(GMT), _reader("gmt"), "text"),
    Seed("m.csv", _texts(MIRTARBASE), _reader("mirtarbase"), "text"),
    Seed("t.csv", _texts(PAIRS), _reader("target_list"), "text"),
    Seed("data_manifest.yaml", _manifest, load_manifest, "text"),
    Seed("a.gctx", _gctx, _reader("gctx", **_LOOSE), "hdf5"),
    Seed("a.loom", _loom, _reader("loom"), "hdf5"),
    Seed("a.h5", _tenx_h5, _reader("tenx_h5"), "hdf5"),
    Seed("a.h5ad", lambda path: _cells().write_h5ad(path), _reader("h5ad"), "hdf5"),
    Seed("a.zarr", lambda path: _cells().write_zarr(path), _reader("zarr"), "folder"),
    Seed("tenx", _tenx_folder, _reader("tenx_mtx"), "folder"),
    Seed("m.rda", _named_matrix, _reader("rda_matrix", units="TPM"), "bytes"),
    Seed("s.rda", _rnaseq, _reader("rtcga_rnaseq", cohort="ACC"), "bytes"),
    Seed(
        "g.rda",
        lambda p: rdata.write_rda(p, {"s": {"A": ["TP53", "KRAS"]}}),
        _reader("rda_gene_sets"),
        "bytes",
    ),
    Seed("paired", _folder, lambda path: read_folder(path, None), "folder"),
    Seed("bundle", _bundle, load_model, "folder"),
)
