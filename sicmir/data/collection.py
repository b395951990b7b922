"""Several paired sets as one: samples matched by name, each value taken from the surest set that has it."""

from __future__ import annotations

from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sicmir import panel
from sicmir.data.catalogue import load_paired
from sicmir.errors import DataError, ManifestError, ReadError

MIN_SHARED = 20
"""Fewest samples of a cohort, here and in the reference, that bring arrays to the scale of the reference."""


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
        Give each gene the mean and SD that it has in the sets before this one, cohort by cohort; for arrays.
    drop_cohorts
        Cohorts that are left out, such as one whose samples cannot be told apart from those of another set.
    level
        ``"mature"`` or ``"stem-loop"``.
    """

    set: str
    offsets: str = ""
    matched: bool = False
    drop_cohorts: list[str] = Field(default_factory=list)


class Recipe(_Strict):
    """What a collection is made of, surest set first."""

    sets: list[Member] = Field(min_length=1)
    aliquots: str = ""
    min_coverage: float = 0.4


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
    except (OSError, yaml.YAMLError, ValidationError) as error:
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
        If sets differ in the level of their miRNAs, or in the donor or cohort of a sample.
    ManifestError, ReadError, FetchError, PanelError
        If a set cannot be had, read or aligned.
    """
    root = Path(root)
    mrna, mirna = None, None
    for member in recipe.sets:
        x, y = _load(member, root, recipe.min_coverage)
        if mrna is None:
            mrna, mirna = x, y
            continue
        if member.matched:
            x = _matched(x, mrna)
        mrna, mirna = _merge(mrna, x, member.set), _merge(mirna, y, member.set)
    obs = _with_aliquots(mrna.obs, root / recipe.aliquots) if recipe.aliquots else mrna.obs
    for adata in (mrna, mirna):
        adata.obs = obs.copy()
        adata.uns["sicmir"]["dataset"] = "+".join(member.set for member in recipe.sets)
    return mrna, mirna


def _load(member: Member, root: Path, min_coverage: float) -> tuple[ad.AnnData, ad.AnnData]:
    folder = root / member.set
    mrna, mirna = load_paired(folder if folder.is_dir() else member.set)
    keep = ~mrna.obs["cohort"].isin(member.drop_cohorts).to_numpy()
    mrna, mirna = panel.align(mrna[keep].copy(), min_coverage=min_coverage), mirna[keep].copy()
    if member.offsets:
        mrna.X -= _offsets(folder / member.offsets).reindex(mrna.var_names).to_numpy(dtype=np.float32)
        mrna.X = np.maximum(mrna.X, 0)
    return mrna, mirna


def _offsets(path: Path) -> pd.Series:
    try:
        table = pd.read_csv(path)
        offsets = table.drop_duplicates("gene").set_index("gene")["offset"]
    except (OSError, ValueError, KeyError) as error:
        raise ReadError(f"{path}: expected a CSV with the columns gene and offset ({error}).") from error
    # A gene that has no offset is on an unknown scale, and becomes NaN: not measured.
    return offsets


def _matched(arrays: ad.AnnData, reference: ad.AnnData) -> ad.AnnData:
    """Bring each gene by one straight line to the mean and SD that it has in the same cohorts elsewhere."""
    cohorts = [
        name
        for name, n in arrays.obs["cohort"].value_counts().items()
        if min(n, (reference.obs["cohort"] == name).sum()) >= MIN_SHARED
    ]
    if not cohorts:
        raise DataError(
            f"{arrays.obs['dataset'].iloc[0]}: no cohort has {MIN_SHARED} samples here and in the sets "
            "before it, so its genes cannot be brought to their scale. Leave the set out."
        )
    moments = []
    for adata in (arrays, reference):
        chosen = adata[adata.obs["cohort"].isin(cohorts)]
        groups = chosen.to_df().groupby(chosen.obs["cohort"].astype(str).to_numpy())
        n = groups.count()
        variance = (groups.var(ddof=0) * n).sum() / n.sum().replace(0, np.nan)
        moments.append((groups.mean().loc[cohorts], np.sqrt(variance)))
    (mean, sd), (goal, goal_sd) = moments
    slope = (goal_sd / sd).where(sd > 0)
    shift = (goal - slope * mean).mean()
    matched = arrays.copy()
    matched.X = np.maximum(arrays.X * slope.to_numpy() + shift.to_numpy(), 0).astype(np.float32)
    return matched


def _merge(first: ad.AnnData, second: ad.AnnData, name: str) -> ad.AnnData:
    """Add samples and fill gaps; what ``first`` has stays."""
    levels = {str(adata.uns["sicmir"].get("level", "")) for adata in (first, second)}
    if len(levels) > 1:
        raise DataError(f"{name}: its miRNAs are of another level than before ({' and '.join(levels)}).")
    shared = first.obs_names.intersection(second.obs_names)
    for column in ("donor", "cohort"):
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
    sources = [adata.uns["sicmir"]["sources"] for adata in (first, second)]
    merged.uns["sicmir"] = dict(first.uns["sicmir"]) | {
        "sources": pd.concat(sources)
        .drop_duplicates(["name", "checksum"])
        .reset_index(drop=True)
        .rename(index=str)
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
