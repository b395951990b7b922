"""A folder of paired tables: ``mrna.*``, ``mirna.*`` or ``mirna_mature.*``, and ``samples.*``."""

from __future__ import annotations

import re
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd

from sicmir.data import tcga
from sicmir.data.checksum import digest
from sicmir.data.matrix import assemble
from sicmir.data.parsed import source_table
from sicmir.data.tables import h5ad, read_frame
from sicmir.errors import DataError, ReadError
from sicmir.matrices.dense import dense

FORMATS = (".parquet", ".csv", ".tsv", ".csv.gz", ".tsv.gz", ".h5ad")
LEVELS = {"stem-loop": "mirna", "mature": "mirna_mature"}
# p1normal and p1-normal are the donor p1; Abnormal and normal stay what they are.
_TISSUE_AT_END = re.compile(r"(?:(?<=\d)|(?<=[^-_. ])[-_. ]+)(?:tumou?r|normal)$", re.IGNORECASE)
_CONDITIONS = {
    "tumor": "tumour",
    "tumour": "tumour",
    "normal": "normal",
    "control": "control",
    "treated": "treated",
    "untreated": "untreated",
    "unknown": "unknown",
    "": "unknown",
}


def read_folder(folder: Path, level: str | None) -> tuple[ad.AnnData, ad.AnnData]:
    """Read the tables of a folder; they are not matched yet.

    ``mrna`` holds log2(x + 1), or signed log ratios where the column ``units`` of ``samples`` names another
    transformation; ``mirna`` (stem-loops) and ``mirna_mature`` hold log2(RPM + 1). Samples are rows with a
    first column ``sample``, or columns after a first column ``feature``. Empty cells and NaN: not measured.
    ``samples`` has the columns sample, cohort and, unless the names are TCGA barcodes, patient and tissue
    (tumor, normal, treated, untreated, control, unknown; empty is unknown and counted in
    ``uns["sicmir"]["without_condition"]``; ``control`` is a reference library and is not paired);
    an ``.h5ad`` may carry them in ``obs`` (sample, donor, cohort, condition) instead. Each
    table may be ``.parquet``, ``.csv``, ``.tsv`` (also ``.gz``) or, except for ``samples``, ``.h5ad``.

    Parameters
    ----------
    folder
        The folder.
    level
        ``"stem-loop"``, ``"mature"``, or None: stem-loops where they are there, else mature.

    Returns
    -------
    mrna, mirna
        Aliquots or samples x features, with ``obs`` columns sample, donor, cohort, condition, sample_type.

    Raises
    ------
    ReadError
        If a table is missing, there twice, or not of its format.
    DataError
        If labels or values are wrong.
    """
    mirna_paths = {name: _find(folder, stem) for name, stem in LEVELS.items()}
    level = level or ("stem-loop" if mirna_paths["stem-loop"] else "mature")
    mrna_path, mirna_path, samples_path = _find(folder, "mrna"), mirna_paths[level], _find(folder, "samples")
    if mrna_path is None or mirna_path is None:
        missing = "mrna" if mrna_path is None else LEVELS[level]
        there = ", ".join(sorted(path.name for path in folder.iterdir())) or "nothing"
        raise ReadError(
            f"{folder}: expected a table {missing} ({', '.join(FORMATS)}; names in lower case) for {level} "
            f"miRNAs, found: {there}."
        )
    samples = _samples(samples_path) if samples_path else None
    found = []
    for path, modality in ((mrna_path, "mrna"), (mirna_path, "mirna")):
        units = _units(samples) if modality == "mrna" else "log2(RPM + 1)"
        adata = _table(path, modality, units, level if modality == "mirna" else "", samples)
        used = [file for file in (path, samples_path) if file is not None]
        adata.uns["sicmir"]["sources"] = source_table(
            [(file.name, f"sha256:{digest(file, 'sha256')}", file.stat().st_size, "") for file in used]
        )
        found.append(adata)
    return found[0], found[1]


def _find(folder: Path, stem: str) -> Path | None:
    found = [folder / f"{stem}{ending}" for ending in FORMATS if (folder / f"{stem}{ending}").is_file()]
    if len(found) > 1:
        raise ReadError(
            f"{folder}: {' and '.join(path.name for path in found)} are both there; keep one of them."
        )
    return found[0] if found else None


def _frame(path: Path) -> pd.DataFrame:
    if path.suffix != ".parquet":
        return read_frame(path)
    try:
        return pd.read_parquet(path)
    except (OSError, ValueError) as error:  # pyarrow's errors are both kinds
        raise ReadError(f"{path}: not a readable parquet file ({error}). It may be truncated.") from error


def _samples(path: Path) -> pd.DataFrame:
    frame = _frame(path)
    if "sample" not in frame or "cohort" not in frame:
        raise DataError(
            f"{path}: expected at least the columns sample and cohort, found {', '.join(frame.columns)}."
        )
    twice = frame["sample"][frame["sample"].duplicated()]
    if len(twice):
        raise DataError(f"{path}: sample {twice.iloc[0]} occurs more than once.")
    return frame.set_index(frame["sample"].astype(str))


def _units(samples: pd.DataFrame | None) -> str:
    units = sorted(set(samples["units"].astype(str))) if samples is not None and "units" in samples else []
    if len(units) > 1:
        raise DataError(
            f"samples.*: the column units names {'; '.join(units)}; expected one for all samples."
        )
    return units[0] if units else "log2(x + 1)"


def _table(path: Path, modality: str, units: str, level: str, samples: pd.DataFrame | None) -> ad.AnnData:
    """Read one matrix and label its samples."""
    carried, synthetic = None, False
    if path.suffix == ".h5ad":
        adata = h5ad(path, modality=modality, units=units)
        record = adata.uns["sicmir"]
        units, level, synthetic = (
            str(record["units"]) or units,
            record.get("level", level),
            bool(record["synthetic"]),
        )
        carried, var = adata.obs, adata.var
        values = dense(adata.X)
        names = adata.obs_names.astype(str)
    else:
        frame = _frame(path)
        axis = frame.columns[0] if frame.shape[1] else ""
        if axis not in ("sample", "feature"):
            found = "one without a name" if axis.startswith("Unnamed") else repr(axis)
            raise ReadError(
                f"{path}: expected a first column called 'sample' (samples in rows) or 'feature' (genes or "
                f"miRNAs in rows), separated as the ending says; found {found}."
            )
        frame = frame.set_index(axis)
        text = [name for name, kind in frame.dtypes.items() if not pd.api.types.is_numeric_dtype(kind)]
        if text:
            raise DataError(
                f"{path}: column {text[0]!r} holds text; expected numbers after the first column."
            )
        frame = frame.T if axis == "feature" else frame
        values, names = frame.to_numpy(dtype=np.float32, copy=True), frame.index.astype(str)
        var = pd.DataFrame(index=frame.columns.astype(str))
    matrix = assemble(
        path,
        values,
        list(names),
        var,
        modality=modality,
        units=units,
        log=False,
        level=level,
        allow_nan=True,
        signed=modality == "mrna" and "+1" not in units.replace(" ", ""),
    )
    matrix.obs = _labels(path, names, samples, carried)
    matrix.uns["sicmir"] |= {
        "synthetic": synthetic,
        "without_condition": int((matrix.obs["condition"] == "unknown").sum()),
    }
    return matrix


def _labels(
    path: Path, names: pd.Index, samples: pd.DataFrame | None, carried: pd.DataFrame | None
) -> pd.DataFrame:
    """Give sample, donor, cohort, condition and sample_type of each row, from barcodes or the table."""
    if samples is not None:
        lacking = names[~names.isin(samples.index)]
        if len(lacking):
            raise DataError(f"{path}: {len(lacking)} samples are not in samples.*, for example {lacking[0]}.")
        told = samples.reindex(names)
    elif carried is not None and {"donor", "cohort", "condition"} <= set(carried.columns):
        told = carried.rename(columns={"donor": "patient", "condition": "tissue"})
    else:
        raise ReadError(f"{path}: expected a table samples.* beside it that names the cohort of each sample.")
    told = told.reindex(columns=["patient", "tissue", "cohort"]).astype(object).fillna("").astype(str)
    label = told["tissue"].str.strip().str.lower()
    strange = told["tissue"][~label.isin(_CONDITIONS)].unique()
    if len(strange):
        raise DataError(
            f"{path}: tissue labels {', '.join(map(repr, strange[:10]))} are not known; expected "
            f"{', '.join(filter(None, _CONDITIONS))}, or nothing where it is not known. Correct the column "
            "tissue of samples.* (condition in the obs of an .h5ad)."
        )
    condition = label.map(_CONDITIONS).to_numpy()
    barcoded = np.array([tcga.is_barcode(name) for name in names])
    unnamed = names[(told["patient"] == "").to_numpy() & ~barcoded]
    if len(unnamed):
        raise DataError(
            f"{path}: sample {unnamed[0]} is no TCGA barcode and the table samples gives it no patient (its "
            "donor). Add a column 'patient', in lower case."
        )
    if (told["cohort"] == "").any():
        raise DataError(f"{path}: sample {names[(told['cohort'] == '').to_numpy()][0]} has no cohort.")
    labels = pd.DataFrame(
        {
            "sample": names,
            # tumour and normal of one person must not count as two donors
            "donor": told["patient"].str.replace(_TISSUE_AT_END, "", regex=True).to_numpy(),
            "cohort": told["cohort"].to_numpy(),
            "condition": condition,
            "sample_type": "",
        },
        index=names,
    )
    if barcoded.any():
        parsed = tcga.annotate(list(names[barcoded]))
        differ = (condition[barcoded] != parsed["condition"].to_numpy()) & (condition[barcoded] != "unknown")
        if differ.any():
            raise DataError(
                f"{path}: sample {parsed.index[differ][0]} is called {condition[barcoded][differ][0]} in "
                "the table, but "
                f"its barcode says {parsed['condition'][differ].iloc[0]}. Correct the one that is wrong."
            )
        columns = ["sample", "donor", "condition", "sample_type"]
        labels.loc[barcoded, columns] = parsed[columns].to_numpy()
    return labels
