"""The data of the chapter on glioblastoma: cells of several studies, pseudobulks, libraries, vesicles.

No public set at hand holds all cell types of a glioblastoma with all genes: they come from three studies.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType

import anndata as ad
import numpy as np
import pandas as pd

from sicmir import data, paths
from sicmir.benchmark import published_demo
from sicmir.cells import cell_references, cell_types
from sicmir.chapters.single_cells import cell_sets
from sicmir.data.fallback import or_toy
from sicmir.errors import DataError
from sicmir.model import Bundle, load_model
from sicmir.networks import targets
from sicmir.pseudobulk import pseudobulk
from sicmir.synthetic import toy_crosstalk

PAGE = "33_glioblastoma"

ASSEMBLED = "assembled"
"""Name of the three studies together, what ``"auto"`` stands for."""

PUBLISHED = "sicmir-published"
"""Data set of the pseudobulks, and name of the predictions that come with them."""

STUDIES: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "gbm": {"malignant": "malignant"},
        "glioma": {
            "malignant": "malignant",
            "Microglia/Macrophage": "macrophage",
            "oligodendrocytes": "oligodendrocyte",
        },
        "brain": {
            "endothelial": "endothelial",
            "astrocytes": "astrocyte",
            "neurons": "neuron",
            "oligodendrocytes": "oligodendrocyte",
            "OPC": "OPC",
            "microglia": "macrophage",
        },
    }
)
"""Study -> label there -> cell type here; other labels (fetal cells, hybrids) are left out."""

FIRST: Mapping[str, str] = MappingProxyType(
    {"malignant": "gbm", "macrophage": "glioma", "oligodendrocyte": "brain"}
)
"""Study that a cell type of two studies is taken from; it is held against the other one."""

_LABELS = {"Endothelial Cell": "endothelial", "OPC": "OPC"}
_TOY_NOISE = 2.0


@dataclass(frozen=True, eq=False)
class Pseudobulks:
    """Pseudobulks with predictions that were published for them, and measured libraries of their types.

    Attributes
    ----------
    mrna
        Pseudobulks × landmarks, logarithms of unknown scale; ``obs["cell_type"]``.
    published
        The same rows × miRNAs under the names of the model, z-scores.
    measured
        Cell types × miRNAs under the names of the model, log2(RPM+1), mean over libraries; ``obs``: ``source,
        source_cell_type, match, remarks, n_libraries``. A miRNA that a source does not list is NaN.
    """

    mrna: ad.AnnData
    published: pd.DataFrame
    measured: ad.AnnData


@cache
def toy_crosstalk_cells(seed: int = 0) -> tuple[ad.AnnData, ad.AnnData, pd.DataFrame]:
    """Toy cells with planted senders and receivers, their miRNA, and targets."""
    return toy_crosstalk.crosstalk_cells(seed=seed)


def load_studies(
    dataset: str | Path = "auto",
    cell_type_key: str = "cell_type",
    donor_key: str = "donor",
    study_key: str = "",
    condition_key: str = "",
    condition: str = "",
    seed: int = 0,
) -> dict[str, ad.AnnData]:
    """Give the cells of the chapter, by study.

    Parameters
    ----------
    dataset
        Path of a file of cells × genes; ``"assembled"`` for the three studies of :data:`STUDIES`, or the name
        of one of them; ``"toy"``; or ``"auto"``: ``assembled``, and toy data with a warning where it cannot
        be reached.
    cell_type_key, donor_key, study_key
        Columns of ``obs`` of a file; without donors or studies all cells are of one.
    condition_key, condition
        Column of ``obs`` of a file, and the value of the cells that are taken; "" takes all.
    seed
        Of toy data.

    Returns
    -------
    dict
        Study -> cells × genes with ``cell_type``, ``donor``, ``study`` and ``patient`` in ``obs``. ``donor``
        is the unit in which cell types are compared: of a file its donor ("study|donor" where there are
        several studies, since one name need not be one person), of :data:`STUDIES` all patients
        together, since hardly any of them has two cell types with enough cells.

    Raises
    ------
    DataError
        If a column or the condition is not there, no cell has all labels, or there is one cell type.
    ManifestError, FetchError, ReadError
        As :func:`sicmir.data.load`.
    """
    if (dataset := str(dataset)) == "auto":
        return or_toy(lambda: load_studies(ASSEMBLED), lambda: load_studies("toy", seed=seed))
    if dataset == "toy":
        cells = toy_crosstalk_cells(seed)[0].copy()
        cells.obs = cells.obs.assign(study="toy", patient=cells.obs["donor"])
        return {"toy": cells}
    if dataset == ASSEMBLED or dataset in STUDIES:
        names = list(STUDIES) if dataset == ASSEMBLED else [dataset]
        return _checked(dataset, {name: _study(name, dataset) for name in names})
    found = data.load_table(dataset)
    keys = {"cell_type": cell_type_key, "donor": donor_key, "study": study_key, "condition": condition_key}
    cells = cell_sets.labelled(found, keys)
    if condition:
        there = sorted(cells.obs["condition"].unique())
        if condition not in there:
            raise DataError(
                f"{dataset}: no cell has the condition {condition!r}; there are {', '.join(there)}."
            )
        cells = cells[(cells.obs["condition"] == condition).to_numpy()].copy()
    names = cells.obs["study"].unique()
    if donor_key and len(names) > 1:
        cells.obs["donor"] = cells.obs["study"] + "|" + cells.obs["donor"]
    cells.obs["patient"] = cells.obs["donor"]
    parts = {str(name): cells[(cells.obs["study"] == name).to_numpy()].copy() for name in names}
    return _checked(dataset, parts)


def is_toy(studies: Mapping[str, ad.AnnData]) -> bool:
    """Whether these are the toy cells of this chapter."""
    return next(iter(studies.values())).uns["sicmir"]["dataset"] == "toy"


def model_for(studies: Mapping[str, ad.AnnData], model: str | Path = "default", seed: int = 0) -> Bundle:
    """The model that was asked for; beside toy cells, in place of the default, one that knows toy genes."""
    return cell_sets.toy_model(seed) if is_toy(studies) and model == "default" else load_model(model)


def model_of(bulks: Pseudobulks, bundle: Bundle, seed: int = 0) -> Bundle:
    """The model that predicts the pseudobulks: of toy ones, that of toy data."""
    toy = bulks.mrna.uns["sicmir"]["synthetic"]
    return cell_sets.toy_model(seed) if toy and not _synthetic(bundle) else bundle


def load_pseudobulks(bundle: Bundle, dataset: str = "auto", seed: int = 0) -> Pseudobulks:
    """Give the pseudobulks of :data:`PUBLISHED` and what they are judged by.

    Parameters
    ----------
    bundle
        Model, whose names the miRNAs get. One that was trained on toy data gets toy pseudobulks.
    dataset
        ``"toy"``; or ``"auto"``: the published ones, and toy data with a warning where they cannot be
        reached.
    seed
        Of toy data.

    Raises
    ------
    DataError
        If a library is not there, or nothing was measured of what the model predicts.
    """
    if dataset == "toy" or _synthetic(bundle):
        return _toy_pseudobulks(seed)
    return or_toy(lambda: _published(bundle), lambda: _toy_pseudobulks(seed), "no pseudobulks")


def libraries() -> pd.DataFrame:
    """Which libraries stand for a cell type: ``cell_type, source, source_cell_type, match, remarks``."""
    return pd.read_csv(paths.reference("glioma_libraries.csv"), keep_default_na=False)


def load_targets(
    studies: Mapping[str, ad.AnnData], bundle: Bundle, source: str = "targetscan", seed: int = 0
) -> pd.DataFrame:
    """Targets of mature miRNAs outside the 977 genes; of toy cells or a toy model those planted there.

    Raises
    ------
    UnreachableError
        If they cannot be obtained.
    """
    if is_toy(studies):
        return toy_crosstalk_cells(seed)[2]
    if _synthetic(bundle):
        return cell_sets.toy_cells(seed).mirna.uns["truth"]["targets"][["mirna", "gene"]]
    return targets.load_targets(source)[0]


def _synthetic(bundle: Bundle) -> bool:
    return bool(bundle.card.get("training_data", {}).get("synthetic", False))


def _checked(dataset: str, studies: dict[str, ad.AnnData]) -> dict[str, ad.AnnData]:
    kinds = {str(kind) for cells in studies.values() for kind in cells.obs["cell_type"]}
    if len(kinds) < 2:  # before anything is computed
        raise DataError(f"{dataset}: crosstalk needs two cell types or more; all cells are {kinds.pop()!r}.")
    return studies


def _study(name: str, unit: str) -> ad.AnnData:
    if name == "glioma":
        cells, labels = data.load(name).values()
        cells.obs = labels.obs.loc[cells.obs_names]
        sources = [part.uns["sicmir"]["sources"] for part in (cells, labels)]
        cells.uns["sicmir"]["sources"] = pd.concat(sources, ignore_index=True).rename(index=str)
    else:
        cells = cell_references.brain_cells() if name == "brain" else data.load(name)
    kinds = cells.obs["cell_type"].astype(str).map(STUDIES[name])
    cells = cells[kinds.notna().to_numpy()].copy()
    cells.obs = cells.obs.rename(columns={"donor": "patient"})[["patient"]]
    cells.obs = cells.obs.assign(cell_type=kinds.dropna(), donor=unit, study=name)
    return cells


def _published(bundle: Bundle) -> Pseudobulks:
    tables = data.load(PUBLISHED)
    mrna = tables[f"{PUBLISHED}/extracted_unzscore_mRNA.csv"]
    theirs = tables[f"{PUBLISHED}/predicted_GSE64465_miRNA.csv"]
    if not mrna.obs_names.equals(theirs.obs_names):
        raise DataError(f"{PUBLISHED}: pseudobulks and predictions should have the same names.")
    kinds = mrna.obs_names.str.replace(r"_bootstrap_\d+$", "", regex=True)
    mrna.obs["cell_type"] = [_LABELS.get(name, name.lower()) for name in kinds]
    sources = [part.uns["sicmir"]["sources"] for part in (mrna, theirs)]
    mrna.uns["sicmir"]["sources"] = pd.concat(sources, ignore_index=True).rename(index=str)
    published = theirs.to_df()
    if bundle.level == "stem-loop":
        published = published_demo.on_stem_loops(published)
    return Pseudobulks(mrna, published, _measured(bundle))


def _measured(bundle: Bundle) -> ad.AnnData:
    read = {"fantom5": cell_references.fantom5, "tissueatlas2": cell_references.tissue_atlas}
    table, parts, records = libraries(), [], []
    for source, rows in table.groupby("source", sort=False):
        found = cell_types.log2_per_million(read[str(source)]())
        named = cell_types.as_stem_loops(found, bundle.mirnas) if bundle.level == "stem-loop" else found
        labels = named.obs["cell_type"].astype(str)
        groups = named.to_df().groupby(labels.to_numpy())
        absent = sorted(set(rows["source_cell_type"]) - set(labels))
        if absent:
            raise DataError(f"{source} has no library {absent[0]!r}, which glioma_libraries.csv names.")
        rows = rows.assign(n_libraries=rows["source_cell_type"].map(groups.size()))
        values = groups.mean().loc[rows["source_cell_type"]].set_axis(rows["cell_type"])
        parts.append((rows.set_index("cell_type", drop=False).rename_axis(None), values))
        records.append(named.uns["sicmir"])
    values = pd.concat([values for _, values in parts])
    made = ad.AnnData(values.astype(np.float32), obs=pd.concat([rows for rows, _ in parts]))
    sources = pd.concat([record["sources"] for record in records], ignore_index=True).rename(index=str)
    made.uns["sicmir"] = dict(records[0]) | {"sources": sources}
    return made


def _toy_pseudobulks(seed: int) -> Pseudobulks:
    """Toy cell types; what takes the place of the published predictions is the truth with much noise."""
    toy = cell_sets.toy_cells(seed)
    mrna = pseudobulk(toy.cells, ("donor", "cell_type"), min_cells=1)
    mrna.obs_names = mrna.obs["donor"].astype(str) + "|" + mrna.obs["cell_type"].astype(str)
    truth = toy.measured.to_df().loc[mrna.obs_names]
    means = truth.groupby(mrna.obs["cell_type"].to_numpy()).mean()
    rng = np.random.default_rng(seed)
    published = truth + rng.normal(0, _TOY_NOISE, truth.shape)
    obs = pd.DataFrame({"cell_type": means.index}, index=means.index)
    obs = obs.assign(source="toy", source_cell_type=means.index, match="same cells", remarks="")
    obs["n_libraries"] = mrna.obs["cell_type"].value_counts().reindex(means.index).to_numpy()
    measured = ad.AnnData(means.astype(np.float32), obs=obs)
    measured.uns["sicmir"] = dict(toy.measured.uns["sicmir"])
    return Pseudobulks(mrna, published, measured)
