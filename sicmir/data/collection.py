"""Several paired sets as one: samples matched by name, each value taken from the surest set that has it."""

from __future__ import annotations

from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import yaml
from pandas.api.typing import DataFrameGroupBy
from pydantic import BaseModel, ConfigDict, Field, field_validator

from sicmir import panel
from sicmir.data.catalogue import load_paired
from sicmir.data.checksum import digest
from sicmir.data.manifest import load_manifest
from sicmir.data.parsed import source_table
from sicmir.errors import DataError, ManifestError, ReadError

MIN_SHARED = 20
"""Fewest samples of a cohort, here and in the reference, that bring a gene to the scale of the reference."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Member(_Strict):
    """One paired set of a collection.

    Attributes
    ----------
    set
        Folder below the root of the collection, or a key of the manifest.
    offsets
        CSV in that folder with the columns gene and offset, which is subtracted from the log2 values.
    matched
        Bring each gene by one straight line towards the mean and SD that it has in the same cohorts of the
        sets before this one; for arrays.
    drop_cohorts
        Cohorts that are left out, such as one whose samples cannot be told apart from those of another set.
    """

    set: str
    offsets: str = ""
    matched: bool = False
    drop_cohorts: list[str] = Field(default_factory=list)


class Recipe(_Strict):
    """What a collection is made of, and what a model of it is tested on; paths are below its root.

    Attributes
    ----------
    sets
        Sets that are trained on, surest first. The first decides which miRNAs methods are compared on.
    aliquots
        Table with the columns sample, barcode and machine, of the miRNA sequencing.
    min_coverage
        Least share of the landmarks that a set must measure.
    same
        Cohort to cohort that it is left out together with, such as READ to COAD.
    foreign
        Sets that are read as they are, to test what another platform or study costs.
    published
        Folder of the authors' demonstration, see :func:`sicmir.data.demo.load_demo`.
    cells
        Whether to judge predictions for cell types whose miRNA was measured.
    pbmc
        Blood cells, h5ad of counts with ``obs["cell_type_marker"]``.
    mouse
        Key of the manifest with counts of mouse samples, which the domain has to refuse.
    """

    sets: list[Member] = Field(min_length=1)
    aliquots: str = ""
    min_coverage: float = 0.4
    same: dict[str, str] = Field(default_factory=dict)
    foreign: list[Member] = Field(default_factory=list)
    published: str = ""
    cells: bool = False
    pbmc: str = ""
    mouse: str = ""

    @field_validator("sets")
    @classmethod
    def _first_is_on_the_scale(cls, sets: list[Member]) -> list[Member]:
        if sets[0].matched:
            raise ValueError(f"{sets[0].set}: the first set cannot be matched, for no set is before it")
        return sets


def read_recipe(path: str | Path) -> Recipe:
    """Read the YAML description of a collection.

    Raises
    ------
    ManifestError
        If the file is not there, no YAML, or does not describe a collection.
    """
    path = Path(path)
    try:
        return Recipe.model_validate(yaml.safe_load(path.read_text()))
    except (OSError, ValueError, yaml.YAMLError) as error:  # ValueError: not of the schema, or no text
        raise ManifestError(f"{path}: expected the description of a collection of sets; {error}") from error


def load_collection(recipe: Recipe, root: str | Path) -> tuple[ad.AnnData, ad.AnnData]:
    """Give mRNA and miRNA of all samples of a collection.

    A sample that is in several sets is one row. Each of its values comes from the first set that has it, and
    ``obs["dataset"]`` names the first set that has the sample. With ``aliquots``, ``obs`` also tells the
    ``machine`` and the ``plate`` that the miRNA was sequenced on; they are missing where it is not known.

    Parameters
    ----------
    recipe
        Sets, surest first.
    root
        Folder that holds the sets which are no keys of the manifest.

    Returns
    -------
    mrna, mirna
        Samples × 977 landmarks, log2(x+1), and samples × stem-loops or mature miRNAs, log2(RPM+1), NaN where
        not measured; as :func:`sicmir.load_paired` gives them.

    Raises
    ------
    DataError
        If sets differ in the level of their miRNAs, or in donor, cohort or condition of a sample; if units
        are not log2(x+1), unless ``matched``, and log2(RPM+1); or if a cohort to leave out is not there.
    ManifestError, ReadError, FetchError, PanelError
        If a set cannot be had, read or aligned.
    """
    root = Path(root)
    first, *others = recipe.sets
    mrna, mirna = load_member(first, root, recipe.min_coverage)
    _check_units(first, mrna, mirna)
    for member in others:
        x, y = load_member(member, root, recipe.min_coverage)
        _check_units(member, x, y)
        if member.matched:
            x = _matched(x, mrna)
        mrna, mirna = _merge(mrna, x, member.set), _merge(mirna, y, member.set)
    # What was said of the coverage and of names in the first set does not hold for all of them.
    mrna = panel.align(mrna, min_coverage=recipe.min_coverage)
    obs = _with_aliquots(mrna.obs, root / recipe.aliquots) if recipe.aliquots else mrna.obs
    for adata in (mrna, mirna):
        adata.obs = obs.copy()
        adata.uns["sicmir"]["dataset"] = "+".join(member.set for member in recipe.sets)
        if recipe.aliquots:
            _add_source(adata, root, recipe.aliquots)
    return mrna, mirna


def load_member(member: Member, root: Path, min_coverage: float) -> tuple[ad.AnnData, ad.AnnData]:
    """Give one set of a collection on its landmarks, with its offsets taken off; other units stay.

    Arguments and errors are those of :func:`load_collection`; ``min_coverage`` is that of the recipe.
    """
    folder = root / member.set
    if not folder.is_dir() and member.set not in load_manifest():
        raise ManifestError(f"{member.set}: expected a folder below {root}, or a key of the manifest.")
    mrna, mirna = load_paired(folder if folder.is_dir() else member.set)
    absent = sorted(set(member.drop_cohorts) - set(mrna.obs["cohort"]))
    if absent:
        raise DataError(
            f"{member.set}: the cohorts {', '.join(absent)} of drop_cohorts are not there; found "
            f"{', '.join(sorted(mrna.obs['cohort'].unique()))}."
        )
    keep = ~mrna.obs["cohort"].isin(member.drop_cohorts).to_numpy()
    mrna, mirna = panel.align(mrna[keep].copy(), min_coverage=min_coverage), mirna[keep].copy()
    for adata in (mrna, mirna):
        adata.obs["dataset"] = member.set
        sources = adata.uns["sicmir"]["sources"]
        if folder.is_dir():  # its files are called alike in every set
            adata.uns["sicmir"]["sources"] = sources.assign(name=f"{member.set}/" + sources["name"])
    if member.offsets:
        mrna.X -= _offsets(folder / member.offsets).reindex(mrna.var_names).to_numpy(dtype=np.float32)
        mrna.X = np.maximum(mrna.X, 0)
        _add_source(mrna, root, f"{member.set}/{member.offsets}")
    return mrna, mirna


def _check_units(member: Member, mrna: ad.AnnData, mirna: ad.AnnData) -> None:
    """Refuse what cannot stand beside log2(x+1) and log2(RPM+1): log ratios and other amounts of miRNA."""
    units, amounts = (str(adata.uns["sicmir"]["units"]) for adata in (mrna, mirna))
    if not member.matched and "+1" not in units.replace(" ", ""):
        raise DataError(
            f"{member.set}: its mRNA is given as {units!r}; expected log2(x+1). Say matched: true, or leave "
            "the set out."
        )
    if amounts.replace(" ", "") != "log2(RPM+1)":
        raise DataError(
            f"{member.set}: its miRNA is given as {amounts!r}; expected log2(RPM+1). Leave the set out."
        )


def _add_source(adata: ad.AnnData, root: Path, name: str) -> None:
    path = root / name
    row = source_table([(name, f"sha256:{digest(path, 'sha256')}", path.stat().st_size, "")])
    adata.uns["sicmir"]["sources"] = _stacked(adata.uns["sicmir"]["sources"], row)


def _stacked(*sources: pd.DataFrame) -> pd.DataFrame:
    """Tables of sources below each other, each file once."""
    table = pd.concat([part for part in sources if len(part)] or sources[:1])
    return table.drop_duplicates(["name", "checksum"]).reset_index(drop=True).rename(index=str)


def _offsets(path: Path) -> pd.Series:
    try:
        table = pd.read_csv(path)
        offsets = table.drop_duplicates("gene").set_index("gene")["offset"]
    except (OSError, ValueError, KeyError) as error:
        raise ReadError(f"{path}: expected a CSV with the columns gene and offset ({error}).") from error
    # A gene that has no offset is on an unknown scale, and becomes NaN: not measured.
    return offsets


def _matched(arrays: ad.AnnData, reference: ad.AnnData) -> ad.AnnData:
    """Bring each gene by one straight line to the mean and SD that it has in the same cohorts elsewhere.

    Both sides are taken over the cohorts where 20 samples of each measured the gene, a cohort weighing as its
    smaller number of samples. The logarithm of the slope is drawn towards 0, since both sides are logarithms:
    it is multiplied by n / (n + 20), n being the sum of the weights. A gene without such a cohort is NaN.
    """
    (n, mean, variance), (n_goal, goal, goal_variance) = (
        (groups.count(), groups.mean(), groups.var(ddof=0)) for groups in map(_by_cohort, (arrays, reference))
    )
    weight = np.minimum(*n.align(n_goal, join="inner"))
    weight = weight.where(weight >= MIN_SHARED, 0)
    total = weight.sum()
    if not total.any():
        raise DataError(
            f"{arrays.obs['dataset'].iloc[0]}: no cohort has {MIN_SHARED} samples here and in the sets "
            "before it, so its genes cannot be brought to their scale. Leave the set out."
        )
    spread, goal_spread = ((part * weight).sum() for part in (variance, goal_variance))
    slope = np.sqrt(goal_spread / spread.where(spread > 0)) ** (total / (total + MIN_SHARED))
    shift = ((goal - slope * mean) * weight).sum() / total.where(total > 0)
    matched = arrays.copy()
    matched.X = np.maximum(arrays.X * slope.to_numpy() + shift.to_numpy(), 0).astype(np.float32)
    return matched


def _by_cohort(adata: ad.AnnData) -> DataFrameGroupBy:
    return adata.to_df().astype(np.float64).groupby(adata.obs["cohort"].astype(str).to_numpy())


def _merge(first: ad.AnnData, second: ad.AnnData, name: str) -> ad.AnnData:
    """Add samples and fill gaps; what ``first`` has stays."""
    levels = {str(adata.uns["sicmir"].get("level", "")) for adata in (first, second)}
    if len(levels) > 1:
        raise DataError(f"{name}: its miRNAs are of another level than before ({' and '.join(levels)}).")
    shared = first.obs_names.intersection(second.obs_names)
    for column in ("donor", "cohort", "condition"):
        differ = (first.obs.loc[shared, column] != second.obs.loc[shared, column]).to_numpy()
        if differ.any():
            sample = shared[differ][0]
            raise DataError(
                f"{name}: sample {sample} has {column} {second.obs.loc[sample, column]!r}, and "
                f"{first.obs.loc[sample, column]!r} in a set before it; expected one."
            )
    new = second.obs_names.difference(first.obs_names, sort=False)
    values = first.to_df().combine_first(second.to_df())
    values = values.loc[first.obs_names.append(new), first.var_names.union(second.var_names, sort=False)]
    var = first.var if first.n_vars == values.shape[1] else pd.DataFrame(index=values.columns)
    merged = ad.AnnData(
        values.to_numpy(dtype=np.float32), obs=pd.concat([first.obs, second.obs.loc[new]]), var=var
    )
    records = [adata.uns["sicmir"] for adata in (first, second)]
    merged.uns["sicmir"] = dict(records[0]) | {
        "sources": _stacked(*(record["sources"] for record in records)),
        "synthetic": any(bool(record["synthetic"]) for record in records),
    }
    return merged


def _with_aliquots(obs: pd.DataFrame, path: Path) -> pd.DataFrame:
    try:
        table = pd.read_parquet(path, columns=["sample", "barcode", "machine"])
    except (OSError, ValueError) as error:
        raise ReadError(f"{path}: expected a table with sample, barcode and machine ({error}).") from error
    table = table.drop_duplicates("sample").set_index("sample").reindex(obs.index)
    plate = table["barcode"].str.split("-").str.get(5)
    return obs.assign(machine=table["machine"].to_numpy(), plate=plate.to_numpy())


def origins(recipe: Recipe, root: str | Path) -> pd.DataFrame:
    """Public repositories that the samples of a collection were taken from, where its folders tell.

    Returns
    -------
    Columns ``set, repository, n_samples, n_files``, from ``repo`` and ``file`` of ``samples.parquet``.
    """
    rows = []
    for member in recipe.sets:
        path = Path(root) / member.set / "samples.parquet"
        table = pd.read_parquet(path) if path.is_file() else pd.DataFrame()
        if {"repo", "file"} <= set(table.columns):
            for name, part in table.groupby("repo"):
                rows.append((member.set, name, len(part), part["file"].nunique()))
    return pd.DataFrame(rows, columns=["set", "repository", "n_samples", "n_files"])
