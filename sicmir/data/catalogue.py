"""Data sets by name: the one door through which notebooks, training and the command line get data."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import anndata as ad
import pandas as pd
from tqdm import tqdm

from sicmir.data.checksum import digest
from sicmir.data.fallback import or_toy
from sicmir.data.fetching import fetch, status
from sicmir.data.folder import LEVELS, read_folder
from sicmir.data.manifest import FileEntry, load_manifest
from sicmir.data.paired import pair
from sicmir.data.parsed import parsed_path, read_entry, source_table
from sicmir.data.readers import READERS, read, reader_for
from sicmir.errors import DataError, ManifestError, ParameterError

AUTO = "tcga-small"
AUTO_NAME, TOY_NAME = "auto", "toy"


def describe() -> pd.DataFrame:
    """List the data sets of the manifest.

    Returns
    -------
    DataFrame
        Columns key, title, bytes (of the files of known size), unsized (number of files of unknown size),
        licence, state (``cached``, ``mirror`` or ``online``); nothing is downloaded.

    Examples
    --------
    >>> import sicmir
    >>> known = sicmir.data.describe()
    >>> "tcga-small" in known["key"].tolist()
    True
    """
    return pd.DataFrame(
        [
            (
                key,
                dataset.title,
                dataset.bytes,
                sum(entry.bytes is None for entry in dataset.files),
                dataset.licence,
                status(key),
            )
            for key, dataset in load_manifest().datasets.items()
        ],
        columns=["key", "title", "bytes", "unsized", "licence", "state"],
    )


def load(dataset: str | Path, reader: str = "", **arguments: Any) -> ad.AnnData | dict[str, ad.AnnData]:
    r"""Read a data set of the manifest, or one file of your own.

    Parameters
    ----------
    dataset
        Key in the manifest, or the path of a file (for 10x also a folder).
    reader, **arguments
        For a path only: how to read it; without ``reader`` the ending decides.

    Returns
    -------
    AnnData or dict
        Observations x features; for a data set of several readable files, manifest name -> AnnData.
        ``uns["sicmir"]`` records dataset (the key, or the name of the file), version and sources beside what
        the reader says.

    Raises
    ------
    ManifestError
        If ``dataset`` is neither a key nor a path.
    ParameterError, FetchError, ReadError, DataError
        As reading and fetching do.

    Examples
    --------
    >>> import pathlib, tempfile, sicmir
    >>> path = pathlib.Path(tempfile.mkdtemp(), "bulk.csv")
    >>> _ = path.write_text("sample,PSME1,CISD1\ns1,5.5,0\ns2,4.1,2.2\n")
    >>> bulk = sicmir.data.load(path, modality="mrna", units="log2(TPM+1)")
    >>> bulk.var_names.tolist(), bulk.uns["sicmir"]["units"]
    (['PSME1', 'CISD1'], 'log2(TPM+1)')
    """
    manifest, dataset = load_manifest(), str(dataset)
    if dataset not in manifest:
        path = Path(dataset).expanduser()
        if not path.exists():
            _unknown(dataset)
        adata = read(path, reader or reader_for(path), **arguments)
        adata.uns["sicmir"] |= origin(path)
        return adata
    if reader or arguments:
        raise ParameterError(
            f"{dataset}: the manifest says how to read it; reader and arguments are for a path."
        )
    entries = [entry for entry in manifest[dataset].files if entry.reader]
    found = {name: _signed(adata, dataset) for name, adata in _read_all(dataset, entries).items()}
    return next(iter(found.values())) if len(found) == 1 else found


def load_table(dataset: str | Path, expected: str = "cells × genes with labels") -> ad.AnnData:
    """Read a data set that is one table, as :func:`load`.

    Raises
    ------
    DataError
        If it holds several tables; says what was expected.
    """
    found = load(dataset)
    if not isinstance(found, ad.AnnData):
        raise DataError(f"{dataset} holds several tables; expected one of {expected}.")
    return found


def origin(path: Path) -> dict[str, Any]:
    """Name, checksum and version that :func:`load` records of a file; of a folder without the checksum."""
    found = {"dataset": path.resolve().name, "version": version("sicmir")}
    if path.is_file():
        row = (path.name, f"sha256:{digest(path, 'sha256')}", path.stat().st_size, "")
        found["sources"] = source_table([row])
    return found


def load_paired(dataset: str | Path = "auto", level: str | None = None) -> tuple[ad.AnnData, ad.AnnData]:
    """Give mRNA and miRNA of the same samples.

    Parameters
    ----------
    dataset
        Key in the manifest; path of a folder of paired tables (:func:`sicmir.data.read_folder`); ``"toy"``;
        or ``"auto"``: ``tcga-small``, and toy data with a warning where neither cache nor mirror nor network
        has it.
    level
        ``"mature"`` or ``"stem-loop"``; None takes what the data set has (a folder's stem-loops first). Toy
        data are made at either level.

    Returns
    -------
    mrna, mirna
        Samples x genes, log2(x + 1), and samples x miRNAs, log2(RPM + 1); the same ``obs`` (sample, donor,
        cohort, condition, sample_type, dataset) in the same order; NaN = not measured. ``uns["sicmir"]``
        holds dataset, modality, units, level, synthetic, version and the table of sources.

    Raises
    ------
    ParameterError
        If ``level`` is something else.
    ManifestError
        If ``dataset`` is none of the above.
    FetchError, ReadError
        If a file cannot be had or read.
    DataError
        If the data set has no mRNA or no miRNA of that level, or its samples do not match.

    Examples
    --------
    >>> import sicmir
    >>> mrna, mirna = sicmir.load_paired("toy")
    >>> mrna.obs_names.equals(mirna.obs_names)
    True
    >>> mirna.uns["sicmir"]["units"], mirna.uns["sicmir"]["synthetic"]
    ('log2(RPM+1)', True)
    """
    dataset = str(dataset)
    if level not in (None, *LEVELS):
        raise ParameterError(f"level={level!r}: expected 'mature', 'stem-loop' or None.")
    if dataset == AUTO_NAME:
        return or_toy(lambda: load_paired(AUTO, level), lambda: load_paired(TOY_NAME, level))
    if dataset == TOY_NAME:
        from sicmir import toy

        return toy.paired_bulk(level=level) if level else toy.paired_bulk()
    if dataset in load_manifest():
        return _from_manifest(dataset, level)
    check_paired(dataset)
    folder = Path(dataset).expanduser()
    mrna, mirna = read_folder(folder, level)
    return pair(mrna, _of_level(mirna, level, dataset), dataset=folder.resolve().name)


def _from_manifest(key: str, level: str | None) -> tuple[ad.AnnData, ad.AnnData]:
    by_modality: dict[str, list[FileEntry]] = {"mrna": [], "mirna": [], "samples": []}
    for entry in load_manifest()[key].files:
        if entry.reader:
            modality = READERS[entry.reader].modality or str(entry.arguments.get("modality", "mrna"))
            by_modality.setdefault(modality, []).append(entry)
    if not by_modality["mrna"] or not by_modality["mirna"]:
        raise DataError(
            f"{key}: not a paired set; it has {len(by_modality['mrna'])} mRNA and "
            f"{len(by_modality['mirna'])} miRNA "
            f"matrices. Use sicmir.data.load({key!r})."
        )
    wanted = by_modality["mrna"] + by_modality["mirna"] + by_modality["samples"]
    found = _read_all(key, wanted)
    labels = [found[entry.name] for entry in by_modality["samples"]]
    mrna, mirna = (
        _label(_join([found[entry.name] for entry in by_modality[modality]], key), labels, key)
        for modality in ("mrna", "mirna")
    )
    return pair(mrna, _of_level(mirna, level, key), dataset=key)


def _read_all(key: str, entries: Sequence[FileEntry]) -> dict[str, ad.AnnData]:
    """Read files; a bar is shown where something has to be parsed, for that takes a while."""
    if any(READERS[str(entry.reader)].beside for entry in entries):
        fetch(key)
    waiting = any(not parsed_path(entry).is_file() for entry in entries)
    bar = tqdm(
        entries, desc=f"Reading {key}", unit="file", leave=False, **({} if waiting else {"disable": True})
    )
    return {entry.name: read_entry(entry) for entry in bar}


def _join(parts: list[ad.AnnData], key: str) -> ad.AnnData:
    """Put cohorts below each other; a feature that one of them lacks is NaN there."""
    if len(parts) == 1:
        return parts[0]
    records = [part.uns["sicmir"] for part in parts]
    for field in ("units", "level"):
        kinds = {str(record.get(field, "")) for record in records}
        if len(kinds) > 1:
            raise DataError(f"{key}: its files differ in {field} ({', '.join(sorted(kinds))}); expected one.")
    names = pd.Index([name for part in parts for name in part.obs_names])
    if not names.is_unique:
        raise DataError(
            f"{key}: aliquot {names[names.duplicated()][0]} occurs in two files; expected each once."
        )
    joined = ad.concat(parts, join="outer", merge="same", fill_value=float("nan"))
    joined.uns["sicmir"] = dict(records[0]) | {
        "sources": pd.concat([record["sources"] for record in records])
        .reset_index(drop=True)
        .rename(index=str)
    }
    return joined


def _label(adata: ad.AnnData, labels: list[ad.AnnData], key: str) -> ad.AnnData:
    """Fill cohorts from annotation files and drop aliquots that they exclude; both are counted."""
    if not labels:
        return adata
    known = pd.concat([label.obs for label in labels])
    cohorts = known.drop_duplicates("donor").set_index("donor")["cohort"].astype(str)
    cohort = adata.obs["donor"].astype(str).map(cohorts)
    excluded = adata.obs_names.isin(known.index[known["do_not_use"]])
    keep = cohort.notna().to_numpy() & ~excluded
    if not keep.any():
        raise DataError(
            f"{key}: no aliquot is both annotated with a cohort and free for use; the files do not match."
        )
    kept = adata if keep.all() else adata[keep].copy()
    kept.obs["cohort"] = cohort.to_numpy()[keep]
    kept.uns["sicmir"] |= {
        "dropped_do_not_use": int(excluded.sum()),
        "dropped_without_cohort": int((cohort.isna().to_numpy() & ~excluded).sum()),
        "sources": pd.concat(
            [adata.uns["sicmir"]["sources"], *(label.uns["sicmir"]["sources"] for label in labels)]
        )
        .reset_index(drop=True)
        .rename(index=str),
    }
    return kept


def _signed(adata: ad.AnnData, dataset: str) -> ad.AnnData:
    """Record where data come from, as :func:`pair` does for paired sets."""
    adata.uns["sicmir"] |= {"dataset": dataset, "version": version("sicmir")}
    return adata


def _of_level(mirna: ad.AnnData, level: str | None, dataset: str) -> ad.AnnData:
    has = mirna.uns["sicmir"]["level"]
    if level is not None and level != has:
        raise DataError(f"{dataset}: its miRNAs are at {has} level, not {level}. Ask for level={has!r}.")
    return mirna


def check_paired(dataset: str | Path) -> None:
    """Make sure that :func:`load_paired` could know a data set, before anything long is started.

    Raises
    ------
    ManifestError
        If it is neither ``auto``, ``toy``, a key of the manifest nor a folder.
    """
    dataset = str(dataset)
    path = Path(dataset).expanduser()
    if dataset in (AUTO_NAME, TOY_NAME) or dataset in load_manifest() or path.is_dir():
        return
    if path.is_file():
        raise ManifestError(
            f"{path} is a file; give the folder that holds the tables mrna, mirna and samples."
        )
    if "/" in dataset:
        raise ManifestError(
            f"There is no folder {path}. Expected a folder with the tables mrna, mirna and samples."
        )
    _unknown(dataset)


def _unknown(dataset: str) -> None:
    """Name the closest keys, and say that no such path exists either.

    Raises
    ------
    ManifestError
        Always.
    """
    try:
        load_manifest()[dataset]
    except ManifestError as error:
        raise ManifestError(
            f"{error} Besides these there are {AUTO_NAME!r}, {TOY_NAME!r} and paths; no such path exists."
        ) from None
