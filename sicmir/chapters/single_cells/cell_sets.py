"""The cells of the chapter on single cells: those to predict, and those with measured miRNA to judge by."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType

import anndata as ad
import numpy as np
import pandas as pd

from sicmir import data, panel
from sicmir.cells import cell_references, cell_types
from sicmir.data.fallback import or_toy
from sicmir.errors import DataError, UnreachableError
from sicmir.model import Bundle, load_model
from sicmir.synthetic import toy_counts

AUTO = "brain"
"""Data set that ``"auto"`` stands for: counts of several donors and types in the manifest."""

FAILED_LIBRARIES = ("SRR8114447",)
"""mRNA libraries of GSE114071 that failed: cell 06, 1,918 reads where the others have 1.1 million or more."""

MARKERS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "epithelial": ("EPCAM", "KRT8", "KRT18", "KRT19"),
        "stromal": ("COL1A1", "COL1A2", "COL3A1", "DCN", "LUM"),
        "immune": ("PTPRC", "LAPTM5", "TYROBP", "CD3D", "CD3E", "NKG7"),
        "endothelial": ("PECAM1", "VWF", "CLDN5"),
    }
)
"""Marker genes by which the droplets of ``pdac`` are told apart; its authors' labels have no barcodes."""


@dataclass(frozen=True, eq=False)
class Reference:
    """Cells to judge a model by.

    Attributes
    ----------
    mrna, mirna
        Cell types × landmarks, log2(CPM + 1), and × measured miRNAs under the names of the model, log2;
        ``obs["source"]`` tells the protocol of the miRNA.
    lines
        The source whose mRNA and miRNA are of the same cells of several lines.
    half_cells, half_cells_row
        Cells of one type × genes, counts; and the row of ``mirna`` that was measured in them.
    droplets
        Cells × genes, UMI counts; ``donor``, ``cell_type``.
    bundle
        The model that knows these genes and miRNAs.
    """

    mrna: ad.AnnData
    mirna: ad.AnnData
    lines: str
    half_cells: ad.AnnData
    half_cells_row: str
    droplets: ad.AnnData
    bundle: Bundle

    @property
    def measured_in_half_cells(self) -> pd.Series:
        """Per miRNA, log2, what was measured in the half cells."""
        return self.mirna.to_df().loc[self.half_cells_row]

    def rows_of_lines(self) -> np.ndarray:
        """Which rows are of the lines."""
        return (self.mirna.obs["source"] == self.lines).to_numpy()

    def origins(self) -> list[ad.AnnData]:
        """One table without values for each data set behind this, for the boxes of ``publishing.report``."""
        return origins(self.mrna, self.mirna, self.half_cells, self.droplets)


def origins(*parts: ad.AnnData) -> list[ad.AnnData]:
    """One table without values for each data set behind some tables; one of the first if any is synthetic."""
    records = [part.uns["sicmir"] for part in parts]
    if any(record["synthetic"] for record in records):
        return [parts[0][:0, :0].copy()]
    sources = pd.concat([record["sources"] for record in records]).drop_duplicates("name")
    found = []
    for key, files in sources.groupby(sources["name"].str.split("/").str[0], sort=False):
        found.append(ad.AnnData(uns={"sicmir": {"dataset": key, "synthetic": False, "sources": files}}))
    return found


@cache
def toy_cells(seed: int = 0) -> toy_counts.ToyCells:
    """Toy cells of the chapter."""
    return toy_counts.single_cells(seed=seed)


@cache
def toy_model(seed: int = 0) -> Bundle:
    """A model trained on the samples that belong to :func:`toy_cells`."""
    return toy_counts.train(toy_cells(seed), seed)


def load_cells(
    dataset: str | Path = "auto", cell_type_key: str = "cell_type", donor_key: str = "donor", seed: int = 0
) -> ad.AnnData:
    """Give cells with their labels.

    Parameters
    ----------
    dataset
        Path of a file of cells × genes (``.h5ad`` or whatever :func:`sicmir.data.load` reads); ``"brain"`` or
        ``"pancreas"`` of the manifest; ``"toy"``; or ``"auto"``: ``brain``, and toy data with a warning where
        it cannot be reached.
    cell_type_key, donor_key
        Columns of ``obs`` of a file. Without donors, ``donor_key=""`` takes all cells for those of one.
    seed
        Of toy data.

    Returns
    -------
    AnnData
        ``obs`` has ``cell_type`` and ``donor``; cells without one of them are left out.

    Raises
    ------
    DataError
        If a column is not there, or no cell has both labels.
    ManifestError, FetchError, ReadError
        As :func:`sicmir.data.load`.
    """
    return cells_by_name(
        dataset,
        AUTO,
        cell_references.brain_cells,
        lambda: toy_cells(seed).cells.copy(),
        {"cell_type": cell_type_key, "donor": donor_key},
    )


def cells_by_name(
    dataset: str | Path,
    auto: str,
    measured: Callable[[], ad.AnnData],
    toy: Callable[[], ad.AnnData],
    columns: Mapping[str, str],
) -> ad.AnnData:
    """Cells of a chapter, or of a file.

    Parameters
    ----------
    dataset
        ``"auto"``: what ``measured`` gives, or ``toy`` with a warning where it cannot be reached; ``"toy"``;
        the name ``auto``; or what :func:`sicmir.data.load` reads.
    auto, measured
        Name of the chapter's own cells, and how to get them.
    toy
        How to get toy cells.
    columns
        As for :func:`labelled`; of other data sets than the chapter's.

    Raises
    ------
    DataError
        As :func:`labelled`, or if a data set holds several tables.
    """
    dataset = str(dataset)
    if dataset == "auto":
        return or_toy(measured, toy)
    if dataset == "toy":
        return toy()
    if dataset == auto:
        return measured()
    return labelled(data.load_table(dataset), columns)


def model_for(
    cells: ad.AnnData,
    model: str | Path = "default",
    seed: int = 0,
    toy: Callable[[int], Bundle] | None = None,
) -> Bundle:
    """The model that was asked for; of toy cells, in place of the default, ``toy`` or :func:`toy_model`."""
    if cells.uns["sicmir"]["dataset"] == "toy" and model == "default":
        return (toy or toy_model)(seed)
    return load_model(model)


def load_reference(bundle: Bundle, dataset: str = "auto", seed: int = 0) -> Reference:
    """Give the cells to judge a model by.

    Parameters
    ----------
    bundle
        Model, whose names the miRNAs get.
    dataset
        ``"toy"``, or ``"auto"``: measured ones, and toy data with a warning where they cannot be reached. A
        model that was trained on toy data is judged by toy data.
    seed
        Of toy data.

    Raises
    ------
    DataError
        If the model and what was measured have no miRNA in common.
    """

    def toy() -> Reference:
        return toy_reference(toy_cells(seed), toy_model(seed))

    if dataset == "auto" and not bundle.card.get("training_data", {}).get("synthetic", False):
        return or_toy(lambda: _measured(bundle), toy, "no measured cells")
    return toy()


def load_half_cells() -> ad.AnnData:
    """Read counts of the halves of K562 cells (GSE114071) without the library that failed."""
    cells = data.load("k562")["k562/GSE114071_count.tsv"]
    cells = cells[~cells.obs_names.isin(FAILED_LIBRARIES)].copy()
    cells.obs["cell_type"] = "K562"
    return cells


def load_droplets() -> ad.AnnData:
    """Droplets of :func:`sicmir.cells.cell_references.pancreatic_samples`, labelled by :data:`MARKERS`.

    Cells that :func:`label_by_markers` leaves without a label are left out. Genes are named by Ensembl id.
    """
    samples = cell_references.pancreatic_samples()
    for sample in samples:
        sample.obs["cell_type"] = label_by_markers(sample[:, ~sample.var_names.duplicated()])
    cells = cell_references.join_samples(samples)
    cells.var_names = cells.var["ensembl"].to_numpy()
    return cells[(cells.obs["cell_type"] != "").to_numpy()].copy()


def label_by_markers(
    cells: ad.AnnData,
    markers: Mapping[str, Sequence[str]] = MARKERS,
    min_counts: int = 3,
    min_share: float = 0.8,
) -> pd.Series:
    """Name cells after the set of markers that most of their marker transcripts belong to.

    A rule for rough types that anyone can check, not for fine ones.

    Parameters
    ----------
    cells
        Cells × genes, counts.
    markers
        Cell type → genes; those that are not in ``cells`` are passed over.
    min_counts
        Fewest transcripts of the leading set.
    min_share
        Least share of all marker transcripts that they make up.

    Returns
    -------
    Series
        Cell type, "" where the rule does not tell.

    Raises
    ------
    DataError
        If no marker is there.
    """
    found = {name: [gene for gene in genes if gene in cells.var_names] for name, genes in markers.items()}
    if not any(found.values()):
        raise DataError(f"None of the markers is among {cells.n_vars} genes such as {cells.var_names[0]}.")
    counts = np.stack([np.asarray(cells[:, genes].X.sum(axis=1)).ravel() for genes in found.values()], axis=1)
    most = counts.max(axis=1)
    sure = (most >= min_counts) & (most >= min_share * counts.sum(axis=1))
    return pd.Series(np.where(sure, np.array(list(found))[counts.argmax(axis=1)], ""), index=cells.obs_names)


def labelled(found: ad.AnnData, columns: Mapping[str, str]) -> ad.AnnData:
    """Copy cells that have all labels, under names of ours.

    Parameters
    ----------
    found
        Cells × genes.
    columns
        Name of ours → column of ``obs``; with "" all cells get the label "all".

    Raises
    ------
    DataError
        If a column is not there, or no cell has all labels.
    """
    wanted = {name: key for name, key in columns.items() if key}
    absent = [key for key in wanted.values() if key not in found.obs]
    if absent:
        raise DataError(
            f"obs has no column {absent[0]!r}; it has {', '.join(map(str, found.obs.columns)) or 'none'}. "
            f'Name the columns by {", ".join(f"{name}_key" for name in columns)} (donor_key="" if there are '
            "no donors)."
        )
    labels = pd.DataFrame({name: found.obs[key].astype(object) for name, key in wanted.items()})
    labels = labels.reindex(found.obs_names).assign(**{name: "all" for name in columns if name not in wanted})
    keep = (labels.notna() & labels.ne("")).all(axis=1).to_numpy()
    if not keep.any():
        raise DataError(f"No cell has a label in {' and '.join(wanted.values())}.")
    cells = found[keep].copy()
    for name in labels:
        cells.obs[name] = labels.loc[keep, name].astype(str)
    return cells


def measured_cell_types(bundle: Bundle) -> tuple[ad.AnnData, ad.AnnData]:
    """Cell types with measured miRNA (``cell_references.load_cell_types``), miRNAs as in a model.

    Raises
    ------
    UnreachableError
        If the lines with both RNAs measured cannot be obtained.
    DataError
        If the model and what was measured have no miRNA in common.
    """
    mrna, mirna = cell_references.load_cell_types()
    if any("pscsr" in pair for pair in mrna.uns["sicmir"]["left_out"]):
        raise UnreachableError("The lines with both RNAs measured (pscsr) could not be obtained.")
    if bundle.level == "stem-loop":
        named = cell_types.as_stem_loops(mirna, bundle.mirnas)
    else:
        named = mirna[:, [name for name in bundle.mirnas if name in mirna.var_names]].copy()
        if not named.n_vars:
            raise DataError(f"None of the miRNAs of the model, such as {bundle.mirnas[0]}, was measured.")
    return mrna, named


def _measured(bundle: Bundle) -> Reference:
    mrna, mirna = measured_cell_types(bundle)
    return Reference(mrna, mirna, "pscsr", load_half_cells(), "k562: K562", load_droplets(), bundle)


def toy_reference(toy: toy_counts.ToyCells, bundle: Bundle) -> Reference:
    """Toy cells, what was planted in them, and their model, in the place of measured ones."""
    pools = cell_types.pool_cells(toy.cells)
    mrna = panel.align(pools)
    mrna.X = np.log2(mrna.X + 1)
    mrna.obs = mrna.obs.assign(dataset="toy", source="toy", match="same cells")
    mrna.uns["sicmir"]["units"] = "log2(CPM + 1)"
    means = toy.measured.to_df().groupby(toy.measured.obs["cell_type"].to_numpy()).mean()
    mirna = ad.AnnData(
        means.loc[mrna.obs["cell_type"]].to_numpy(),
        obs=mrna.obs.copy(),
        var=pd.DataFrame(index=toy.measured.var_names),
        uns={"sicmir": dict(toy.measured.uns["sicmir"])},
    )
    first = mrna.obs_names[0]
    one = (toy.cells.obs["cell_type"] == first).to_numpy()
    return Reference(mrna, mirna, "toy", toy.cells[one].copy(), first, toy.cells.copy(), bundle)
