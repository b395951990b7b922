"""Small files in the formats of the real sources, for the tests of ``sicmir.data``."""

import hashlib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import rdata
import yaml

KINDS = ("read_count", "reads_per_million_miRNA_mapped", "cross-mapped")
GENES = ["A1BG|1", "A2M|2", "?|10357", "?|10431", "SLC35E2|9906", "SLC35E2|728661", "PSME1|5720"]
STEM_LOOPS = ["hsa-let-7a-1", "hsa-mir-21", "hsa-mir-210"]


def barcode(donor, sample_type="01", vial="A", kind="R"):
    return f"TCGA-OR-{donor}-{sample_type}{vial}-11{kind}-A29S-07"


def rnaseq_frame(barcodes, genes=GENES, seed=0):
    """What an RTCGA.rnaseq package holds; also gives the numbers."""
    values = np.random.default_rng(seed).gamma(1, 500, (len(barcodes), len(genes))).round(4)
    frame = pd.DataFrame(values, columns=genes)
    frame.insert(0, "bcr_patient_barcode", pd.Categorical(barcodes))
    return frame.set_index(pd.RangeIndex(1, len(barcodes) + 1)), values


def mirnaseq_frame(barcodes, names=STEM_LOOPS, seed=1):
    """What RTCGA.miRNASeq holds: three rows an aliquot, all text; also gives the RPM."""
    rng = np.random.default_rng(seed)
    rpm = rng.gamma(1, 1000, (len(barcodes), len(names))).round(6)
    rows, index = [], []
    for number, name in enumerate(barcodes):
        index += [name, f"{name}.1", f"{name}.2"]
        rows += [
            [str(int(value * 7)) for value in rpm[number]],
            [repr(float(value)) for value in rpm[number]],
        ]
        rows.append(["N"] * len(names))
    frame = pd.DataFrame(rows, columns=names, index=index)
    for name in names[1:]:
        frame[name] = pd.Categorical(frame[name])
    frame.insert(0, "miRNA_ID", pd.Categorical(list(KINDS) * len(barcodes)))
    frame.insert(0, "machine", "Illumina HiSeq 2000")
    return frame, rpm


def r_sparse(matrix, rows, columns):
    """A sparse matrix as ``sicmir.data.rda.read_objects`` gives one of R."""
    return SimpleNamespace(
        x=matrix.data,
        i=matrix.indices,
        p=matrix.indptr,
        Dim=np.array(matrix.shape),
        Dimnames=[np.array(rows), np.array(columns)],
    )


def write_rda(path, **objects):
    path.parent.mkdir(parents=True, exist_ok=True)
    rdata.write_rda(path, objects)
    return path


def file_entry(path, name, reader=None, **arguments):
    """The manifest's row for a file."""
    entry = {
        "name": name,
        "url": f"https://data.invalid/{name}",
        "sha256": hashlib.sha256(Path(path).read_bytes()).hexdigest(),
        "bytes": Path(path).stat().st_size,
    }
    return entry | ({"reader": reader, "arguments": arguments} if reader else {})


def dataset(files):
    return {
        "title": "A small data set",
        "description": "For a test.",
        "citation": "10.1000/test",
        "licence": "CC0",
        "used_by": ["test"],
        "files": files,
    }


def write_manifest(path, **datasets):
    path.write_text(yaml.safe_dump({"version": 1, "datasets": datasets}, sort_keys=False))
    return path
