"""The registry of readers: one function a file format, named as the manifest names it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anndata as ad

from sicmir.data import (
    cells,
    formats,
    gct,
    gctx,
    gene_sets,
    gliomas,
    pancan,
    rda,
    rds,
    spots,
    tables,
    target_tables,
)
from sicmir.errors import ParameterError, ReadError


@dataclass(frozen=True)
class Reader:
    """A file format.

    Attributes
    ----------
    name
        As in the manifest.
    function
        ``function(path, **arguments) -> AnnData``.
    modality
        ``"mrna"``, ``"mirna"``, ``"samples"``, ``"labels"``, ``"targets"``, ``"gene_sets"`` or "" where the
        arguments say it.
    beside
        Whether it also reads files that lie beside its own, such as the barcodes of a matrix.
    """

    name: str
    function: Callable[..., ad.AnnData]
    modality: str
    beside: bool = False

    def check(self, arguments: Mapping[str, Any]) -> None:
        """Refuse arguments that the function does not take, and missing ones.

        Raises
        ------
        ParameterError
            Naming the argument.
        """
        try:
            inspect.signature(self.function).bind(Path(), **arguments)
        except TypeError as error:
            raise ParameterError(f"reader {self.name}: {error}.") from error


READERS: dict[str, Reader] = {
    reader.name: reader
    for reader in (
        Reader("rtcga_rnaseq", rda.rtcga_rnaseq, "mrna"),
        Reader("rtcga_mirnaseq", rda.rtcga_mirnaseq, "mirna"),
        Reader("rda_matrix", rda.rda_matrix, ""),
        Reader("pancan_mrna", pancan.pancan_mrna, "mrna"),
        Reader("pancan_mirna", pancan.pancan_mirna, "mirna"),
        Reader("pancan_annotations", pancan.pancan_annotations, "samples"),
        Reader("table", tables.table, ""),
        Reader("h5ad", tables.h5ad, ""),
        Reader("tenx_mtx", tables.tenx_mtx, "mrna", beside=True),
        Reader("tenx_h5", formats.tenx_h5, "mrna"),
        Reader("loom", formats.loom, ""),
        Reader("zarr", formats.anndata_zarr, ""),
        Reader("gct", gct.gct, ""),
        Reader("gctx", gctx.gctx, ""),
        Reader("gene_counts", cells.gene_counts, "mrna"),
        Reader("cell_labels", cells.cell_labels, "labels"),
        Reader("seurat_counts", cells.seurat_counts, "mrna"),
        Reader("hou_cells", cells.hou_cells, "mrna"),
        Reader("sparse_cells", gliomas.sparse_cells, "mrna"),
        Reader("r_matrix", gliomas.r_matrix, "mrna"),
        Reader("listed_labels", gliomas.listed_labels, "labels"),
        Reader("rda_counts", spots.rda_counts, "mrna"),
        Reader("rda_spots", spots.rda_spots, "labels"),
        Reader("rds_samples", rds.rds_samples, ""),
        Reader("half_cell_mirna", cells.half_cell_mirna, "mirna"),
        Reader("mirtarbase", target_tables.mirtarbase, "targets"),
        Reader("targetscan", target_tables.targetscan, "targets"),
        Reader("target_list", target_tables.target_list, "targets"),
        Reader("gmt", gene_sets.gmt, "gene_sets"),
        Reader("rda_gene_sets", gene_sets.rda_gene_sets, "gene_sets"),
    )
}


def reader_for(path: Path) -> str:
    """Name the reader of a file by its ending.

    Raises
    ------
    ParameterError
        If the ending says nothing.
    """
    name = path.name.lower()
    if "matrix.mtx" in name or (path.is_dir() and not name.endswith(".zarr")):
        return "tenx_mtx"
    for reader, endings in {
        "zarr": (".zarr", ".zarr.zip"),
        "h5ad": (".h5ad",),
        "tenx_h5": (".h5",),
        "loom": (".loom",),
        "gct": (".gct", ".gct.gz"),
        "gctx": (".gctx",),
        "gmt": (".gmt", ".gmt.gz"),
        "table": (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz", ".txt.gz"),
    }.items():
        if name.endswith(endings):
            return reader
    raise ParameterError(
        f"{path}: cannot tell the format by the ending; name a reader, one of {', '.join(READERS)}."
    )


def read(path: str | Path, reader: str, **arguments: Any) -> ad.AnnData:
    """Read a file by a named reader.

    Parameters
    ----------
    path
        The file (a folder for ``tenx_mtx`` and ``zarr``).
    reader
        A key of :data:`READERS`.
    **arguments
        As the reader's function documents them.

    Returns
    -------
    AnnData
        Observations x features; ``uns["sicmir"]`` records modality, units and level.

    Raises
    ------
    ParameterError
        If the reader or an argument is unknown.
    ReadError
        If the file is not there or not of that format.
    DataError
        If its values cannot be analysed.
    """
    if reader not in READERS:
        raise ParameterError(f"Reader {reader!r} is not known; expected one of {', '.join(READERS)}.")
    path = Path(path)
    if not path.exists():
        raise ReadError(f"{path}: there is no such file.")
    READERS[reader].check(arguments)
    return READERS[reader].function(path, **arguments)
