"""Paired samples of a chapter: those that it shows, and those of other donors that a model may learn from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd

from sicmir import data, panel, toy
from sicmir.data.fallback import or_toy
from sicmir.errors import DataError
from sicmir.networks import enrichment, targets

AUTO, FURTHER = "hcc", "tcga-small"
"""Data sets that ``"auto"`` stands for: those shown, and those to learn from."""

TOY_SHOWN = "TOYA"
"""Cohort of the toy data that is shown; the others are there to learn from."""


@dataclass(frozen=True, eq=False)
class Pairs:
    """Samples with both RNAs.

    Attributes
    ----------
    mrna, mirna
        Samples that are shown × genes, log2(x+1), and × miRNAs, log2(RPM+1).
    further_mrna, further_mirna
        Samples to learn from; none of their donors is shown.
    n_shared
        Samples to learn from that were left out, since their donors are shown.
    """

    mrna: ad.AnnData
    mirna: ad.AnnData
    further_mrna: ad.AnnData
    further_mirna: ad.AnnData
    n_shared: int

    @property
    def synthetic(self) -> bool:
        """Whether the shown samples are synthetic."""
        return bool(self.mirna.uns["sicmir"]["synthetic"])


def load_pairs(dataset: str | Path = "auto", further: str | Path = "auto", seed: int = 0) -> Pairs:
    """Give samples to show, and samples of other donors to learn from.

    Parameters
    ----------
    dataset
        Folder of paired tables, key of the manifest, ``"toy"``, or ``"auto"``: ``hcc``, and toy data with a
        warning where it cannot be reached.
    further
        The same for the samples to learn from; ``"auto"`` is ``tcga-small``, and with toy data their other
        cohorts. miRNAs must be of the same level as those shown.
    seed
        Of toy data.

    Raises
    ------
    DataError
        If the two differ in level, or every donor to learn from is shown.
    ManifestError, FetchError, ReadError
        As :func:`sicmir.load_paired`.
    """
    dataset = str(dataset)
    if dataset == "auto":
        return or_toy(lambda: load_pairs(AUTO, further), lambda: load_pairs("toy", further, seed))
    if dataset == "toy":
        mrna, mirna = toy_pairs(seed)
        shown = (mirna.obs["cohort"] == TOY_SHOWN).to_numpy()
        if str(further) == "auto":
            return _apart((mrna[shown], mirna[shown]), (mrna[~shown], mirna[~shown]))
        mrna, mirna = mrna[shown], mirna[shown]
    else:
        mrna, mirna = data.load_paired(dataset)
    return _apart((mrna, mirna), data.load_paired(FURTHER if str(further) == "auto" else further))


def toy_pairs(seed: int = 0) -> tuple[ad.AnnData, ad.AnnData]:
    """Toy tumours, half of them with normal tissue, of five cohorts."""
    return toy.paired_bulk(40, 5, 1800, 80, normal_fraction=0.5, seed=seed)


def load_targets(pairs: Pairs, source: str = "targetscan") -> tuple[pd.DataFrame, pd.DataFrame]:
    """Targets outside the 977 landmarks for the miRNAs that are shown, at their level.

    Parameters
    ----------
    pairs
        Samples; synthetic ones have planted targets, true for every second miRNA, whatever the source.
    source
        As for :func:`sicmir.networks.targets.load_targets`.

    Returns
    -------
    targets, report
        As :func:`sicmir.networks.targets.load_targets` gives them; the report of toy data has one row.
    """
    if "truth" in pairs.mirna.uns:
        planted = _half_true(pairs)
        row = {"n_rows": len(planted), "n_names": planted["mirna"].nunique(), "examples": ""}
        return planted, pd.DataFrame([row], index=pd.Index(["planted, for every second miRNA"], name="step"))
    table, report = targets.load_targets(source)
    if str(pairs.mirna.uns["sicmir"]["level"]) == "stem-loop":
        table, more = targets.to_stem_loops(table)
        report = pd.concat([report, more.iloc[1:]])
    return table, report


def load_gene_sets(pairs: Pairs, source: str = "ev") -> dict[str, list[str]]:
    """Gene sets (``enrichment.load_gene_sets``); of synthetic genes the planted targets."""
    if "truth" in pairs.mirna.uns:
        planted = pairs.mirna.uns["truth"]["targets"]
        return {f"targets of {name}": part["gene"].tolist() for name, part in planted.groupby("mirna")}
    return enrichment.load_gene_sets(source)


def describe(pairs: Pairs) -> pd.DataFrame:
    """One row a cohort and condition: samples and donors, and whether they are shown or learnt from."""
    tables = []
    for role, mirna in (("shown", pairs.mirna), ("to learn from", pairs.further_mirna)):
        groups = mirna.obs.groupby(["cohort", "condition"], observed=True)
        table = groups.agg(samples=("sample", "size"), donors=("donor", "nunique")).reset_index()
        tables.append(table.assign(role=role))
    return pd.concat(tables)[["role", "cohort", "condition", "samples", "donors"]]


def _half_true(pairs: Pairs) -> pd.DataFrame:
    """Planted targets, of every second miRNA exchanged for other genes: hubs are known to be the rest."""
    planted = pairs.mirna.uns["truth"]["targets"]
    outside = pairs.mrna.var_names[len(panel.landmarks()) :].to_numpy()
    rng = np.random.default_rng(0)
    parts = []
    for place, name in enumerate(pairs.mirna.var_names):
        genes = planted.loc[planted["mirna"] == name, "gene"].to_numpy()
        if place % 2:
            genes = rng.choice(np.setdiff1d(outside, genes), len(genes), replace=False)
        parts.append(pd.DataFrame({"mirna": name, "gene": genes, "hub": place % 2 == 0}))
    return pd.concat(parts, ignore_index=True)


def _apart(shown: tuple[ad.AnnData, ad.AnnData], further: tuple[ad.AnnData, ad.AnnData]) -> Pairs:
    levels = [str(mirna.uns["sicmir"]["level"]) for _, mirna in (shown, further)]
    if levels[0] != levels[1]:
        raise DataError(
            f"The miRNAs that are shown are at {levels[0]} level, those to learn from at {levels[1]} level. "
            "Name paired samples of the same level by further."
        )
    same = further[1].obs["donor"].isin(shown[1].obs["donor"]).to_numpy()
    if same.all():
        raise DataError(
            f"All {len(same)} samples to learn from are of donors that are shown. Name other samples by "
            "further."
        )
    mrna, mirna = (adata.copy() for adata in shown)
    further_mrna, further_mirna = (adata[np.flatnonzero(~same)].copy() for adata in further)
    return Pairs(mrna, mirna, further_mrna, further_mirna, n_shared=int(same.sum()))
