"""The GDC PanCanAtlas tables: the whole of TCGA, mature miRNAs (https://gdc.cancer.gov/about-data/publications/pancanatlas)."""

from __future__ import annotations

from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd

from sicmir.data.matrix import assemble, unique_names
from sicmir.data.rda import gene_ids
from sicmir.errors import ParameterError, ReadError
from sicmir.names.gene_names import landmarks

GENES_PER_CHUNK = 500


def pancan_mrna(path: Path, *, genes: str = "all") -> ad.AnnData:
    """Read ``EBPlusPlusAdjustPANCAN_IlluminaHiSeq_RNASeqV2.geneExp.tsv`` in chunks of genes.

    Batch adjustment left small negative values there: they become 0 and are counted in
    ``uns["sicmir"]["clipped"]``. Genes that the adjustment could not treat are NaN, not measured.

    Parameters
    ----------
    path
        Tab-separated, genes (``SYMBOL|ENTREZ``, first column ``gene_id``) x aliquots.
    genes
        ``"all"`` or ``"landmarks"`` (the 977, by Entrez id).

    Returns
    -------
    AnnData
        Aliquots x genes, log2(x + 1) float32; ``var["entrez"]``. The full table takes 0.9 GB.

    Raises
    ------
    ParameterError
        If ``genes`` is something else.
    ReadError
        If the file holds another format.
    DataError
        If it is empty or holds infinite values or an aliquot twice.
    """
    if genes not in ("all", "landmarks"):
        raise ParameterError(f"genes={genes!r}: expected 'all' or 'landmarks'.")
    aliquots = _header(path, "\t", ["gene_id"])
    wanted = frozenset(landmarks()["entrez"]) if genes == "landmarks" else None
    with path.open("rb") as handle:
        n_lines = sum(block.count(b"\n") for block in iter(lambda: handle.read(1 << 24), b""))
    values = np.empty((len(aliquots), len(wanted) if wanted is not None else n_lines), dtype=np.float32)
    symbols: list[str] = []
    entrez: list[int] = []
    try:
        with pd.read_csv(
            path,
            sep="\t",
            index_col=0,
            chunksize=GENES_PER_CHUNK,
            dtype=dict.fromkeys(aliquots, np.float32),
        ) as chunks:
            for chunk in chunks:
                chunk_symbols, chunk_entrez = gene_ids([str(name) for name in chunk.index])
                keep = np.ones(len(chunk), bool) if wanted is None else np.isin(chunk_entrez, list(wanted))
                first = len(symbols)
                symbols += [name for name, kept in zip(chunk_symbols, keep, strict=True) if kept]
                entrez += [number for number, kept in zip(chunk_entrez, keep, strict=True) if kept]
                values[:, first : len(symbols)] = chunk.to_numpy()[keep].T
    except (
        ValueError,
        IndexError,
    ) as error:  # pandas' parser errors are ValueErrors; IndexError: twice a landmark
        raise ReadError(
            f"{path}: expected rows SYMBOL|ENTREZ followed by {len(aliquots)} numbers, found otherwise "
            f"({error}). "
            "Delete the file and fetch it again."
        ) from error
    return assemble(
        path,
        values[:, : len(symbols)],
        aliquots,
        pd.DataFrame({"entrez": entrez}, index=unique_names(symbols, [str(number) for number in entrez])),
        modality="mrna",
        units="log2(RSEM, batch-adjusted + 1)",
        log=True,
        allow_nan=True,
        clip=True,
    )


def pancan_mirna(path: Path) -> ad.AnnData:
    """Read ``pancanMiRs_EBadjOnProtocolPlatformWithoutRepsWithUnCorrectMiRs_08_04_16.csv``.

    Parameters
    ----------
    path
        Comma-separated, mature miRNAs (columns ``Genes``, ``Correction``) x aliquots, batch-adjusted RPM.

    Returns
    -------
    AnnData
        Aliquots x mature miRNAs, log2(RPM + 1); ``var["correction"]``; negative values from the adjustment
        become 0 and are counted.

    Raises
    ------
    ReadError, DataError
        As :func:`pancan_mrna`.
    """
    aliquots = _header(path, ",", ["Genes", "Correction"])
    try:
        frame = pd.read_csv(path, index_col=0, dtype=dict.fromkeys(aliquots, np.float32))
    except ValueError as error:
        raise ReadError(
            f"{path}: expected rows of a miRNA name, its correction and {len(aliquots)} numbers, found "
            "otherwise "
            f"({error}). Delete the file and fetch it again."
        ) from error
    return assemble(
        path,
        frame[aliquots].to_numpy(dtype=np.float32).T.copy(),
        aliquots,
        pd.DataFrame(
            {"correction": frame["Correction"].astype(str).to_numpy()}, index=frame.index.astype(str)
        ),
        modality="mirna",
        units="log2(RPM + 1)",
        log=True,
        level="mature",
        allow_nan=True,
        clip=True,
    )


def pancan_annotations(path: Path) -> ad.AnnData:
    """Read ``merged_sample_quality_annotations.tsv``: the cohort of each aliquot, and whether to use it.

    Returns
    -------
    AnnData
        Aliquots x nothing; ``obs`` columns donor, cohort, do_not_use.

    Raises
    ------
    ReadError
        If a column is missing or the table is empty.
    """
    columns = {"patient_barcode": "donor", "aliquot_barcode": "aliquot", "cancer type": "cohort"}
    wanted = [*columns, "Do_not_use"]
    try:
        frame = pd.read_csv(path, sep="\t", dtype=str, usecols=wanted, encoding="utf-8-sig")
    except (ValueError, UnicodeDecodeError) as error:
        raise ReadError(
            f"{path}: expected a tab-separated table with {', '.join(wanted)} ({error})."
        ) from error
    frame = frame.rename(columns=columns)
    frame = frame.loc[frame["aliquot"].notna() & frame["cohort"].notna()]
    if frame.empty:
        raise ReadError(f"{path}: the table has no row with an aliquot and a cohort.")
    frame["do_not_use"] = frame["Do_not_use"].str.lower() == "true"
    obs = frame.groupby("aliquot").agg({"donor": "first", "cohort": "first", "do_not_use": "any"})
    adata = ad.AnnData(obs=obs.rename_axis(None))
    adata.uns["sicmir"] = {"modality": "samples", "units": "", "synthetic": False}
    return adata


def _header(path: Path, separator: str, leading: list[str]) -> list[str]:
    """Check the first columns of a table and give the others."""
    try:
        with path.open(encoding="utf-8-sig") as handle:
            names = [name.strip('"') for name in handle.readline().rstrip("\r\n").split(separator)]
    except UnicodeDecodeError as error:
        raise ReadError(f"{path}: expected a text table, found binary data.") from error
    if names[: len(leading)] != leading:
        raise ReadError(f"{path}: expected the first columns {leading}, found {names[: len(leading)]}.")
    return names[len(leading) :]
