"""The data of the chapter on pancreatic tumours: cells, spots, and libraries of measured miRNA."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd

from sicmir import data, paths
from sicmir.cells import cell_references, cell_types
from sicmir.cells.cell_annotation import PANCREAS
from sicmir.chapters.single_cells import cell_sets
from sicmir.errors import DataError
from sicmir.model import Bundle
from sicmir.networks import targets
from sicmir.synthetic import toy_counts

AUTO, AUTO_SPOTS = "pdac", "pdac-spatial"
"""Data sets that ``"auto"`` stands for."""

AUTHOR_SAMPLES: Mapping[str, str] = {"K16733": "P01", "Y00006": "P02", "T3": "P04"}
"""Donors of ``pdac`` whose cells the authors labelled, and what they are called there."""

_N_DONORS, _N_PRIMARY = 5, 3
_N_MARKERS, _EXPRESSED = 6, 9.0


@cache
def toy_tumours(seed: int = 0) -> toy_counts.ToyCells:
    """Toy cells of five donors, of whom the first three are called primary and the others metastasis."""
    return toy_counts.single_cells(n_donors=_N_DONORS, seed=seed)


@cache
def toy_model(seed: int = 0) -> Bundle:
    """A model trained on the samples that belong to :func:`toy_tumours`."""
    return toy_counts.train(toy_tumours(seed), seed)


def toy_markers(seed: int = 0) -> dict[str, tuple[str, ...]]:
    """Cell type → expressed genes that are highest there in the samples that the toy model is trained on."""
    mrna = toy_tumours(seed).mrna
    names = mrna.obs["cohort"].str.replace("TOY", "type ", regex=False).to_numpy()
    means = mrna.to_df().groupby(names).mean()
    return {
        str(name): tuple((row - means.drop(name).max())[row > _EXPRESSED].nlargest(_N_MARKERS).index)
        for name, row in means.iterrows()
    }


def load_cells(
    dataset: str | Path = "auto",
    cell_type_key: str = "",
    donor_key: str = "donor",
    condition_key: str = "condition",
    seed: int = 0,
) -> ad.AnnData:
    """Give the cells of the chapter.

    Parameters
    ----------
    dataset
        Path of a file of cells × genes; ``"pdac"``; ``"toy"``; or ``"auto"``: ``pdac``, and toy data with a
        warning where it cannot be reached.
    cell_type_key, donor_key, condition_key
        Columns of ``obs`` of a file. Without ``cell_type_key``, cells are to be named by markers; without
        donors or conditions, all cells are of one.
    seed
        Of toy data.

    Returns
    -------
    AnnData
        ``obs`` has ``donor`` and ``condition``, and ``cell_type`` where it was given.

    Raises
    ------
    DataError
        If a column is not there, or no cell has all labels.
    ManifestError, FetchError, ReadError
        As :func:`sicmir.data.load`.
    """

    def measured() -> ad.AnnData:
        return cell_references.join_samples(cell_references.pancreatic_samples())

    def toy() -> ad.AnnData:
        cells = toy_tumours(seed).cells.copy()
        primary = [f"TOY-{i + 1:04d}" for i in range(_N_PRIMARY)]
        cells.obs["condition"] = np.where(cells.obs["donor"].isin(primary), "primary", "metastasis")
        cells.obs = cells.obs.rename(columns={"cell_type": "planted"})
        return cells

    columns = {"donor": donor_key, "condition": condition_key}
    columns |= {"cell_type": cell_type_key} if cell_type_key else {}
    return cell_sets.cells_by_name(dataset, AUTO, measured, toy, columns)


def model_for(cells: ad.AnnData, model: str | Path = "default", seed: int = 0) -> Bundle:
    """As :func:`sicmir.chapters.single_cells.cell_sets.model_for`, with the toy model of this chapter."""
    return cell_sets.model_for(cells, model, seed, toy_model)


def markers_for(cells: ad.AnnData, seed: int = 0) -> Mapping[str, tuple[str, ...]]:
    """Markers of ``cell_annotation.PANCREAS``, and of toy cells those of :func:`toy_markers`."""
    return toy_markers(seed) if cells.uns["sicmir"]["dataset"] == "toy" else PANCREAS


def author_labels(cells: ad.AnnData) -> pd.DataFrame:
    """``sample`` and ``cell_type`` that the authors of ``pdac`` gave, in order; empty for other cells."""
    if cells.uns["sicmir"]["dataset"] != AUTO:
        return pd.DataFrame(columns=["sample", "cell_type"])
    return data.load(AUTO)["pdac/PDAC10_meta.csv"].obs


def load_spots(
    bundle: Bundle, dataset: str = "auto", region_key: str = "region", seed: int = 0
) -> ad.AnnData:
    """Give the spots of a spatial transcriptome.

    Parameters
    ----------
    bundle
        The model that is to predict them. One that was trained on toy data gets toy spots.
    dataset
        ``"auto"`` or ``"pdac-spatial"``; ``"toy"``; or a file with the ``obs`` columns ``x`` and ``y``, or
        ``obsm["spatial"]``.
    region_key
        Column of ``obs`` of a file.
    seed
        Of toy data.

    Returns
    -------
    AnnData
        Spots × genes, counts; ``obs``: ``x``, ``y`` and ``region`` ("" where it is not known).

    Raises
    ------
    DataError
        If a file has no places or regions.
    UnreachableError
        If they cannot be obtained.
    """
    if dataset == "toy" or (dataset == "auto" and _synthetic(bundle)):
        return _toy_spots(seed)
    if dataset in ("auto", AUTO_SPOTS):
        tables = data.load(AUTO_SPOTS)
        spots = tables["pdac-spatial/spatial_count.RData"]
        places = tables["pdac-spatial/spatial_location.RData"].obs
        regions = tables["pdac-spatial/Figure4A_layer_annote.RData"].obs["region"].astype(str)
        spots.obs = places.loc[spots.obs_names].assign(region=regions.reindex(spots.obs_names).fillna(""))
        records = [table.uns["sicmir"]["sources"] for table in tables.values()]
        spots.uns["sicmir"]["sources"] = pd.concat(records, ignore_index=True).rename(index=str)
        return spots
    spots = data.load_table(dataset, "spots × genes with places")
    if "spatial" in spots.obsm and not {"x", "y"} <= set(spots.obs):
        spots.obs["x"], spots.obs["y"] = np.asarray(spots.obsm["spatial"])[:, :2].T
    absent = [name for name in ("x", "y", region_key) if name not in spots.obs]
    if absent:
        raise DataError(
            f"{dataset}: obs has no column {absent[0]!r}; expected x and y (or obsm['spatial']) and "
            f"{region_key!r}."
        )
    spots.obs["region"] = spots.obs[region_key].astype(object).fillna("").astype(str)
    return spots


def libraries() -> pd.DataFrame:
    """Which measured libraries stand for which cell type: ``cell_type, source, source_cell_type``."""
    return pd.read_csv(paths.reference("marker_libraries.csv"))


def load_libraries(bundle: Bundle, dataset: str = "auto", seed: int = 0) -> ad.AnnData:
    """Give libraries of cell types of which miRNA was measured.

    Parameters
    ----------
    bundle
        Model, whose names the miRNAs get. One that was trained on toy data is judged by toy data.
    dataset
        ``"toy"``, or ``"auto"``: those of FANTOM5 that :func:`libraries` lists.
    seed
        Of toy data.

    Returns
    -------
    AnnData
        Libraries × miRNAs, log2(RPM + 1); ``obs``: ``cell_type``, ``source_cell_type``.

    Raises
    ------
    UnreachableError
        If they cannot be obtained.
    """
    if dataset == "toy" or _synthetic(bundle):
        return _toy_libraries(seed)
    return _fantom5(bundle)


def load_tissues(bundle: Bundle, dataset: str = "auto", seed: int = 0) -> ad.AnnData:
    """Give samples of tissues of which miRNA was measured.

    Parameters
    ----------
    bundle, dataset, seed
        As for :func:`load_libraries`.

    Returns
    -------
    AnnData
        Samples × mature miRNAs, log2(RPM + 1); ``obs["cell_type"]`` is the tissue. Toy samples are the
        measured cell types.

    Raises
    ------
    UnreachableError
        If they cannot be obtained.
    """
    if dataset == "toy" or _synthetic(bundle):
        return _toy_libraries(seed)
    return cell_types.log2_per_million(cell_references.tissue_atlas())


def load_targets(bundle: Bundle, source: str = "targetscan", seed: int = 0) -> pd.DataFrame:
    """Targets outside the 977 genes, under the names of the miRNAs of the model.

    Parameters
    ----------
    bundle
        Model. One that was trained on toy data gets the targets that were planted there.
    source
        As for :func:`sicmir.networks.targets.load_targets`.
    seed
        Of toy data.

    Raises
    ------
    UnreachableError
        If they cannot be obtained.
    """
    if _synthetic(bundle):
        return toy_tumours(seed).mirna.uns["truth"]["targets"][["mirna", "gene"]]
    table, _ = targets.load_targets(source)
    return targets.to_stem_loops(table)[0] if bundle.level == "stem-loop" else table


def _synthetic(bundle: Bundle) -> bool:
    return bool(bundle.card.get("training_data", {}).get("synthetic", False))


def _fantom5(bundle: Bundle) -> ad.AnnData:
    measured = cell_references.fantom5()
    table = libraries()
    wanted = table.set_index("source_cell_type")["cell_type"]
    absent = wanted.index.difference(measured.obs["cell_type"].astype(str))
    if len(absent):
        raise DataError(f"FANTOM5 has no library of {absent[0]!r}, which marker_libraries.csv names.")
    names = measured.obs["cell_type"].astype(str)
    mature = cell_types.log2_per_million(measured[names.isin(wanted.index).to_numpy()])
    found = cell_types.as_stem_loops(mature, bundle.mirnas) if bundle.level == "stem-loop" else mature
    found.obs["source_cell_type"] = found.obs["cell_type"].astype(str)
    found.obs["cell_type"] = found.obs["source_cell_type"].map(wanted)
    return found


def _toy_libraries(seed: int) -> ad.AnnData:
    measured = toy_tumours(seed).measured.copy()
    measured.obs["source_cell_type"] = measured.obs_names
    return measured


def _toy_spots(seed: int) -> ad.AnnData:
    """Cells of the first donor as spots of a square, one quarter of it for each cell type."""
    cells = toy_tumours(seed).cells
    spots = cells[(cells.obs["donor"] == cells.obs["donor"].iloc[0]).to_numpy()].copy()
    side = int(np.sqrt(spots.n_obs))
    half = side // 2
    types, codes = np.unique(spots.obs["cell_type"].astype(str), return_inverse=True)
    number = spots.obs.groupby(codes).cumcount().to_numpy()
    spots.obs = pd.DataFrame(
        {
            "x": (number % half + half * (codes % 2)).astype(float),
            "y": (number // half + half * (codes // 2)).astype(float),
            "region": types[codes],
        },
        index=spots.obs_names,
    )
    return spots
