"""The data of the chapter on the pituitary: cell types of tumours, animals with both RNAs, tissues."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import anndata as ad
import numpy as np
import pandas as pd

from sicmir import data, panel
from sicmir.benchmark import evaluation, held_out
from sicmir.cells import cell_types
from sicmir.chapters.pairs import pair_sets
from sicmir.chapters.pancreas import tumour_sets
from sicmir.chapters.single_cells import cell_sets
from sicmir.data.fallback import or_toy
from sicmir.errors import DataError
from sicmir.model import Bundle
from sicmir.names import orthologues

AUTO, MICE = "pituitary", "pituitary-mouse"
"""Data sets that ``"auto"`` stands for: cell types, and animals."""

SIGNATURE = "signature matrix"
"""Donor of profiles that are of no donor."""

PITUITARY: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "corticotroph": ("POMC", "TBX19", "PCSK1", "CRHR1", "AVPR1B", "NEUROD1"),
        "POU1F1 lineage": ("GH1", "GH2", "PRL", "POU1F1", "GHRHR", "TSHB", "DIO2"),
        "gonadotroph": ("FSHB", "LHB", "NR5A1", "GNRHR", "GATA2"),
        "stem or folliculostellate": ("SOX2", "S100B", "ALDH1A1", "CPVL", "PROP1", "LGR4"),
        "pituicyte": ("COL25A1", "SCN7A", "ADAMTS20", "CRYM", "NKX2-1"),
        "fibroblast": ("COL1A1", "COL1A2", "COL3A1", "DCN", "LUM"),
        "endothelial": ("PECAM1", "VWF", "CDH5", "PLVAP", "CLDN5"),
        "myeloid": ("LYZ", "CD14", "CD68", "AIF1", "FCER1G", "TYROBP"),
        "T or NK": ("CD3D", "CD3E", "CD2", "TRAC", "IL7R", "NKG7"),
        "B": ("MS4A1", "CD79A", "CD19", "BANK1"),
    }
)
"""Marker genes of the cell types of the pituitary and its tumours.

Hormones, receptors and transcription factors that define a lineage (TBX19, POU1F1, NR5A1; somatotrophs,
lactotrophs and thyrotrophs are of one), and genes that are
commonly taken to stand for one of the other types, chosen before anything was predicted; Zhang 2020 (doi
10.1038/s41467-020-19012-4) describes the types of the anterior lobe."""

LINEAGES = ("corticotroph", "POU1F1 lineage", "gonadotroph")
"""Cell types that secrete hormones, by the lineage of their transcription factor."""

_TUMOURS = {"Tumor_TBX19": "corticotroph", "Tumor_POU1F1": "POU1F1 lineage", "Tumor_NR5A1": "gonadotroph"}
_TYPES = {"T_NK_cell": "T or NK", "Epithelial": "epithelial", "Endothelial": "endothelial"}
_N_TUMOURS = 3
_SAMPLE = r"_Pd(?P<age>\d+)(?P<sex>[FM])(?P<replicate>\d+)$"


@dataclass(frozen=True, eq=False)
class Animals:
    """Samples of animals with both RNAs, and the model that they are predicted by.

    Attributes
    ----------
    mrna
        Samples × the 977 landmarks, log2(x+1), NaN where there is no orthologue.
    mirna
        The same samples × miRNAs under the names of the model, log2(RPM+1); ``obs``: ``donor`` (the animal),
        ``sex``, ``age``, ``group`` (age and sex).
    bundle
        Model; it has seen none of them.
    n_mrna, n_mirna
        Samples of either kind, paired or not.
    orthologues
        How many landmarks were found, by kind of name.
    """

    mrna: ad.AnnData
    mirna: ad.AnnData
    bundle: Bundle
    n_mrna: int
    n_mirna: int
    orthologues: Mapping[str, int]


def load_cells(
    dataset: str | Path = "auto",
    cell_type_key: str = "cell_type",
    donor_key: str = "donor",
    condition_key: str = "condition",
    seed: int = 0,
) -> ad.AnnData:
    """Give the cells, or profiles of cell types, of the chapter.

    Parameters
    ----------
    dataset
        Path of a file of cells × genes; ``"pituitary"``; ``"toy"``; or ``"auto"``: ``pituitary``, and toy
        data with a warning where it cannot be reached.
    cell_type_key, donor_key, condition_key, seed
        As for :func:`sicmir.chapters.pancreas.tumour_sets.load_cells`, which says as well what is returned
        and raised.
    """

    def measured() -> ad.AnnData:
        found = data.load_table(AUTO)
        named = found.obs_names.to_series().replace(_TUMOURS | _TYPES)
        found.obs["cell_type"] = named.str.replace("_", " ").to_numpy()
        found.obs["donor"], found.obs["condition"] = SIGNATURE, "tumour"
        found.obs_names = found.obs["cell_type"].to_numpy()
        return found

    def toy() -> ad.AnnData:
        cells = tumour_sets.toy_tumours(seed).cells.copy()
        tumours = [f"TOY-{i + 1:04d}" for i in range(_N_TUMOURS)]
        cells.obs["condition"] = np.where(cells.obs["donor"].isin(tumours), "tumour", "normal")
        cells.obs["planted"] = cells.obs["cell_type"]
        return cells

    columns = {"donor": donor_key, "condition": condition_key}
    columns |= {"cell_type": cell_type_key} if cell_type_key else {}
    return cell_sets.cells_by_name(dataset, AUTO, measured, toy, columns)


def markers_for(cells: ad.AnnData, seed: int = 0) -> Mapping[str, tuple[str, ...]]:
    """Markers of :data:`PITUITARY`, and of toy cells those of ``tumour_sets.toy_markers``."""
    toy = cells.uns["sicmir"]["dataset"] == "toy"
    return tumour_sets.toy_markers(seed) if toy else PITUITARY


def load_known(bundle: Bundle, dataset: str = "auto", seed: int = 0) -> tuple[ad.AnnData, ad.AnnData, Bundle]:
    """Cell types to judge a model by, mRNA and miRNA (``cell_sets.measured_cell_types``), and it.

    Parameters
    ----------
    bundle
        Model. One that was trained on toy data is judged by toy cells, with a model of their own.
    dataset
        ``"toy"``, or ``"auto"``: measured ones, and toy cells with a warning where they cannot be reached.
    seed
        Of toy cells.
    """

    def toy() -> tuple[ad.AnnData, ad.AnnData, Bundle]:
        made = cell_sets.toy_reference(tumour_sets.toy_tumours(seed), tumour_sets.toy_model(seed))
        return made.mrna, made.mirna, made.bundle

    if dataset == "toy" or bundle.card.get("training_data", {}).get("synthetic", False):
        return toy()
    return or_toy(lambda: (*cell_sets.measured_cell_types(bundle), bundle), toy, "no measured cells")


def load_animals(bundle: Bundle, dataset: str = "auto", seed: int = 0) -> Animals:
    """Give animals with both RNAs, under human names.

    Parameters
    ----------
    bundle
        The model that is to predict them, whose names the miRNAs get. Beside one that was trained on toy
        data, the animals are toy ones.
    dataset
        ``"toy"``, or ``"auto"``: ``pituitary-mouse``, and toy data with a warning where it cannot be reached.
        Toy animals have a model of their own; old and young ones differ as was planted, the sexes do not.
    seed
        Of toy data.

    Raises
    ------
    DataError
        If no sample has both RNAs, or none of the miRNAs is one of the model.
    """
    if dataset == "toy" or bundle.card.get("training_data", {}).get("synthetic", False):
        return _toy_animals(seed)
    return or_toy(lambda: mice(bundle), lambda: _toy_animals(seed), "no animals with both RNAs")


def mice(bundle: Bundle) -> Animals:
    """Pituitary glands of mice (``pituitary-mouse``); the two kinds of sample are joined by age, sex, number.

    Raises
    ------
    UnreachableError
        If they cannot be obtained.
    DataError
        If no sample has both, or the model knows none of the miRNAs.
    """
    tables = data.load(MICE)
    (mrna,) = (table for table in tables.values() if table.uns["sicmir"]["modality"] == "mrna")
    (mirna,) = (table for table in tables.values() if table.uns["sicmir"]["modality"] == "mirna")
    facts = mrna.obs_names.str.extract(_SAMPLE)
    mrna.obs_names = ("Pd" + facts["age"] + facts["sex"] + "_" + facts["replicate"]).to_numpy()
    named = orthologues.genes_to_human(mrna)
    both = [name for name in mirna.obs_names if name in set(mrna.obs_names)]
    if not both:
        raise DataError(f"{MICE}: no sample has both RNAs; the names are of another form.")
    known = orthologues.mirnas_to_human(mirna)
    # The counts are normalised already: one factor for all samples makes them comparable with RPM.
    known.X = np.log2(np.asarray(known.X) / np.median(mirna.X.sum(axis=1)) * 1e6 + 1)
    if bundle.level == "stem-loop":
        known = cell_types.as_stem_loops(known, bundle.mirnas)
    elif not known.var_names.isin(bundle.mirnas).any():
        raise DataError(f"None of the miRNAs of the model, such as {bundle.mirnas[0]}, was measured.")
    else:
        known = known[:, known.var_names.isin(bundle.mirnas)].copy()
    known.uns["sicmir"] = dict(mirna.uns["sicmir"]) | {"units": "log2(RPM + 1)", "level": bundle.level}
    kept = known[both, evaluation.detected_names(known)].copy()
    return Animals(
        mrna=_aligned(named)[both].copy(),
        mirna=_labelled(kept, kept.obs["age"], kept.obs["sex"]),
        bundle=bundle,
        n_mrna=mrna.n_obs,
        n_mirna=mirna.n_obs,
        orthologues=named.uns["sicmir"]["orthologues"],
    )


def provenance(animals: Animals) -> ad.AnnData:
    """One table without values that says where the animals come from, for the boxes of a page."""
    record = animals.mirna.uns["sicmir"]
    sources = [record["sources"], animals.mrna.uns["sicmir"]["sources"]]
    joined = pd.concat(sources, ignore_index=True).drop_duplicates().rename(index=str)
    return ad.AnnData(uns={"sicmir": dict(record) | {"sources": joined}})


def _aligned(counts: ad.AnnData) -> ad.AnnData:
    """Landmarks in log2(CPM + 1); the library size is the sum of all genes."""
    totals = np.asarray(counts.X.sum(axis=1), dtype=np.float64).reshape(-1, 1)
    found = panel.align(counts, duplicates="sum")
    found.X = np.log2(found.X / totals * 1e6 + 1).astype(np.float32)
    found.uns["sicmir"]["units"] = "log2(CPM + 1)"
    return found


def _labelled(mirna: ad.AnnData, age: pd.Series, sex: pd.Series) -> ad.AnnData:
    mirna.obs = pd.DataFrame(
        {"donor": mirna.obs_names, "age": age.astype(str).to_numpy(), "sex": sex.astype(str).to_numpy()},
        index=mirna.obs_names,
    )
    mirna.obs["group"] = mirna.obs["age"] + mirna.obs["sex"]
    return mirna


def _toy_animals(seed: int) -> Animals:
    pairs = pair_sets.load_pairs("toy", seed=seed)
    bundle = held_out.learn(pairs.further_mrna, pairs.further_mirna, seed)
    table = orthologues.mouse_genes()
    symbols = dict(zip(table["symbol"], table["mouse"], strict=True))
    mrna = pairs.mrna.copy()
    mrna.var_names = [symbols.get(name, name.lower()) for name in mrna.var_names]
    named = orthologues.genes_to_human(mrna)
    mirna = pairs.mirna[:, [name for name in bundle.mirnas if name in pairs.mirna.var_names]].copy()
    age = mirna.obs["condition"].map({"tumour": "32", "normal": "12"})
    sex = pd.Series(np.random.default_rng(seed).permutation(np.resize(["F", "M"], mirna.n_obs)))
    return Animals(
        mrna=panel.align(named),
        mirna=_labelled(mirna, age, sex),
        bundle=bundle,
        n_mrna=mrna.n_obs,
        n_mirna=mirna.n_obs,
        orthologues=named.uns["sicmir"]["orthologues"],
    )
