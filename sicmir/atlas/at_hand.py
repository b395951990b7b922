"""The atlas that comes with the book: every single-cell data set of the manifest with labels, or toy data."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd

from sicmir import data, paths
from sicmir.atlas.add import Added, add
from sicmir.atlas.identity import target_pairs
from sicmir.cells import cell_references
from sicmir.chapters.glioblastoma import glioma_sets
from sicmir.chapters.single_cells import cell_sets
from sicmir.data.fallback import or_toy
from sicmir.errors import DataError, UnreachableError
from sicmir.model import Bundle, load_model
from sicmir.synthetic import toy_counts

TOY = ("toy-1", "toy-2")
"""Toy data sets: six donors each, three of them called diseased, which makes no difference."""

_TOY_DONORS = 6


@cache
def toy_cells(seed: int = 0) -> toy_counts.ToyCells:
    """Toy cells of twelve donors and four cell types, and samples to train a model on."""
    return toy_counts.single_cells(n_donors=_TOY_DONORS * len(TOY), n_cells=60, seed=seed)


def facts() -> pd.DataFrame:
    """Each data set: ``dataset, tissue, tissue_id, disease, disease_id, condition_key``."""
    return pd.read_csv(paths.reference("atlas_datasets.csv"), keep_default_na=False)


def donor_tissues() -> pd.DataFrame:
    """Donors whose cells are not of the tissue of their data set: ``dataset, donor, tissue, tissue_id``."""
    return pd.read_csv(paths.reference("atlas_donors.csv"), keep_default_na=False)


def cell_type_names() -> pd.DataFrame:
    """Names of cell types: ``dataset, label`` there, ``cell_type`` in the atlas and its ``id`` or ""."""
    return pd.read_csv(paths.reference("atlas_cell_types.csv"), keep_default_na=False)


def load_cells(dataset: str | Path = "auto", seed: int = 0, **keys: str) -> dict[str, ad.AnnData]:
    """Give the cells of the atlas, by data set.

    Parameters
    ----------
    dataset
        ``"auto"``: all of :func:`facts` that can be had, and toy data with a warning if none can; ``"toy"``;
        or the path of a file of cells × genes, which is a data set of its own name.
    seed
        Of toy data.
    **keys
        For a file: columns of ``obs`` by our names, as ``cell_type="louvain"``; "" leaves a label out.

    Returns
    -------
    dict
        Name → cells × genes with ``cell_type`` and ``donor`` in ``obs``, and ``condition`` where there are
        any. Cells without a label are left out.

    Raises
    ------
    DataError
        If a file lacks a column.
    FetchError, ReadError
        As :func:`sicmir.data.load`.
    """
    name = str(dataset)
    if name == "auto":
        return or_toy(_at_hand, lambda: load_cells("toy", seed), "no single-cell data set")
    if name == "toy":
        return _toy(seed)
    found = data.load(name)
    if not isinstance(found, ad.AnnData):
        raise DataError(f"{name} holds several tables; expected one of cells × genes with labels.")
    own = {label: key for label, key in keys.items() if key or label != "condition"}
    return {Path(name).stem: cell_sets.labelled(found, own)}


def is_toy(cells: Mapping[str, ad.AnnData]) -> bool:
    """Whether these are the toy data sets."""
    return set(cells) == set(TOY)


def model_for(cells: Mapping[str, ad.AnnData], model: str | Path = "default", seed: int = 0) -> Bundle:
    """The model that was asked for; of toy cells, in place of the default, one that knows toy genes."""
    if is_toy(cells) and model == "default":
        return toy_counts.train(toy_cells(seed), seed)
    return load_model(model)


def targets_for(cells: Mapping[str, ad.AnnData], targets: str, seed: int = 0) -> str | pd.DataFrame:
    """Targets that were asked for; of toy cells those that were planted."""
    return toy_cells(seed).mirna.uns["truth"]["targets"][["mirna", "gene"]] if is_toy(cells) else targets


def build(
    cells: Mapping[str, ad.AnnData],
    bundle: Bundle,
    folder: Path,
    targets: str | pd.DataFrame,
    min_cells: int = 10,
    told: pd.DataFrame | None = None,
) -> list[Added]:
    """Add data sets to an atlas, each by way of a file of its own.

    Parameters
    ----------
    cells
        As :func:`load_cells` gives them.
    bundle, targets, min_cells
        As for :func:`sicmir.atlas.add.add`.
    folder
        Of the store.
    told
        As of :func:`facts`, with the column ``normal``, of data sets that are not listed there.

    Returns
    -------
    What was done for each.
    """
    known = pd.concat([facts().assign(normal=""), told]).set_index("dataset")
    sited = set(donor_tissues()["dataset"])
    names, done = cell_type_names(), []
    pairs = target_pairs(bundle, targets)  # once, for names of miRNAs take their time
    for dataset, adata in cells.items():
        own = names.loc[names["dataset"] == dataset, ["label", "cell_type", "id"]]
        with tempfile.TemporaryDirectory() as place:
            source, mapped = Path(place, f"{dataset}.h5ad"), Path(place, "cell_types.csv")
            adata.write_h5ad(source)
            own.to_csv(mapped, index=False)
            done.append(
                add(
                    source,
                    dataset,
                    **known.loc[dataset, ["tissue", "disease", "tissue_id", "disease_id"]],
                    **known.loc[dataset, ["condition_key", "normal"]],
                    tissue_key="tissue" if dataset in sited else "",
                    tissue_id_key="tissue_id" if dataset in sited else "",
                    cell_type_map=mapped if len(own) else "",
                    model=bundle,
                    targets=pairs if len(pairs) else "",
                    min_cells=min_cells,
                    overwrite=True,
                    folder=folder,
                )
            )
    return done


def told_of(
    cells: Mapping[str, ad.AnnData],
    tissue: str = "",
    disease: str = "",
    condition_key: str = "",
    normal: str = "",
) -> pd.DataFrame:
    """What :func:`build` is told of toy data sets, or of a file of one's own; no rows where all is known."""
    unknown = [name for name in cells if name not in set(facts()["dataset"])]
    table = pd.DataFrame({"dataset": unknown}).assign(tissue_id="", disease_id="")
    if is_toy(cells):
        return table.assign(
            tissue=["toy tissue", "other toy tissue"],
            disease="toy disease",
            condition_key="condition",
            normal="healthy",
        )
    key = "condition" if condition_key else ""
    return table.assign(tissue=tissue, disease=disease, condition_key=key, normal=normal)


def _at_hand() -> dict[str, ad.AnnData]:
    found, problem = {}, ""
    for dataset in facts()["dataset"]:
        try:
            found[dataset] = _mapped(dataset, LOADERS[dataset]())
        except UnreachableError as error:
            problem = str(error)
    if not found:
        raise UnreachableError(problem)
    return found


def _mapped(dataset: str, cells: ad.AnnData) -> ad.AnnData:
    """Cells whose label has a name in the atlas, with the tissue of their donor where it is another.

    Hybrids, which are two cells, have no name.
    """
    names = cell_type_names()
    known = names.loc[names["dataset"] == dataset, "label"]
    labels = cells.obs["cell_type"].astype(str)
    chosen = cells[labels.isin(known).to_numpy()].copy()
    columns = [name for name in ("cell_type", "donor", "condition") if name in chosen.obs]
    chosen.obs = chosen.obs[columns].astype(str)
    sites = donor_tissues()
    sites = sites[sites["dataset"] == dataset].set_index("donor")
    for column in ("tissue", "tissue_id"):
        if len(sites):
            chosen.obs[column] = chosen.obs["donor"].map(sites[column]).fillna("")
    return chosen


def _one_table(key: str) -> ad.AnnData:
    found = data.load(key)
    assert isinstance(found, ad.AnnData)
    return found


def _glioma() -> ad.AnnData:
    """Cells of the chapter on glioblastoma, with patients as donors."""
    cells = glioma_sets.load_studies("glioma")["glioma"]
    cells.obs["donor"] = cells.obs["patient"]
    return cells


LOADERS: dict[str, Callable[[], ad.AnnData]] = {
    "brain": cell_references.brain_cells,
    "pancreas": lambda: _one_table("pancreas"),
    "pdac": cell_sets.load_droplets,
    "gbm": lambda: _one_table("gbm"),
    "glioma": _glioma,
    "hcc-cells": lambda: _one_table("hcc-cells"),
}
"""How the cells of each data set of :func:`facts` are read."""


def _toy(seed: int) -> dict[str, ad.AnnData]:
    cells = toy_cells(seed).cells
    donors = np.array(sorted(cells.obs["donor"].unique()))
    found = {}
    for name, own in zip(TOY, np.split(donors, len(TOY)), strict=True):
        part = cells[cells.obs["donor"].isin(own).to_numpy()].copy()
        sick = part.obs["donor"].isin(own[: _TOY_DONORS // 2])
        part.obs["condition"] = np.where(sick, "diseased", "healthy")
        found[name] = part
    return found


def origins(cells: Mapping[str, ad.AnnData]) -> Sequence[ad.AnnData]:
    """The data sets for the boxes of :mod:`sicmir.publishing.report`; toy ones are one."""
    parts = list(cells.values())
    return parts[:1] if is_toy(cells) else parts
