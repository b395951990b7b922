"""What a miRNA-gene network is computed from: donors with their miRNAs, genes and design, and usable targets.

Donors are counted, not samples. Values and design are averaged over the samples of a donor, so that a donor
with samples in several groups (cell types, tumour and normal tissue) enters once, with the share of its
samples in each group as its design.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import sparse

from sicmir import panel
from sicmir.donors.counted_mirnas import counted_mirnas
from sicmir.donors.design import check_one_condition
from sicmir.donors.partial_correlation import MIN_DF, constant, degrees_of_freedom, enough
from sicmir.errors import DataError, PanelError, ParameterError
from sicmir.matrices.dense import dense
from sicmir.matrices.normalise import MOST_LOG2
from sicmir.names.gene_names import read_names
from sicmir.names.gene_symbols import current_symbols
from sicmir.networks.target_pairs import check_columns

_SHOWN = 5


@dataclass(frozen=True, eq=False)
class Profiles:
    """Donors with what a network needs of them.

    Attributes
    ----------
    donors, mirnas, genes
        Names; ``genes`` are all usable genes, targets and background alike.
    mirna, gene
        Donors × miRNAs (NaN where not measured or abstained) and donors × genes (complete).
    design
        Donors × columns: shares of the donor's samples in each group, then covariates.
    strata
        A number for each donor; donors with the same number have their samples in the same groups.
    counted
        Whether each miRNA is reliable enough to be counted.
    grade
        Grade of each miRNA, "" where there is none.
    table
        The targets with ``status``: ``tested``, or why not.
    mirna_place, gene_place, weight
        Of each tested target: places of its miRNA and gene, and its weight in the table (1 without one).
    """

    donors: pd.Index
    mirnas: pd.Index
    genes: pd.Index
    mirna: np.ndarray
    gene: np.ndarray
    design: np.ndarray
    strata: np.ndarray
    counted: np.ndarray
    grade: np.ndarray
    table: pd.DataFrame
    mirna_place: np.ndarray
    gene_place: np.ndarray
    weight: np.ndarray


def profiles(
    mirna: AnnData,
    mrna: AnnData,
    targets: pd.DataFrame,
    group_key: str = "cohort",
    covariates: Sequence[str] = (),
    *,
    donor_key: str = "donor",
    gene_key: str = "",
    outside_panel: bool = True,
    min_grade: str = "B",
) -> Profiles:
    """Bring miRNA, mRNA and targets together, and refuse what no network can be computed from.

    Parameters
    ----------
    mirna
        Samples × miRNAs in log2(RPM+1), measured or predicted. Samples without any value (abstained) are
        left out. ``var["grade"]``, where there is one, says how far each miRNA can be trusted.
    mrna
        The same samples × genes in log2(x+1). Of several columns of one gene, the one under today's symbol is
        taken, else none. Genes that are NaN or infinite in a sample, or constant, are left out.
    targets
        Columns ``mirna`` and ``gene``, see :func:`sicmir.networks.targets.load_targets`.
    group_key
        Column of ``obs`` within whose groups associations are looked for: ``cohort`` or ``cell_type``.
    covariates
        Further columns of ``obs``, numbers or labels, that both sides are adjusted for.
    donor_key
        Column of ``obs`` that tells donors; ``"sample"`` where every sample is a donor of its own.
    gene_key
        Column of ``mrna.var`` that holds symbols, Entrez or Ensembl ids; "" takes ``var_names``.
    outside_panel
        Leave out the 977 landmarks, as target and as background.
    min_grade
        miRNAs of a worse grade stay in the tables but are not counted; "" counts all.

    Raises
    ------
    DataError
        If samples differ or are duplicated, a label is missing, a donor has samples of several conditions
        that the design does not tell apart, too few donors are left, or no target can be tested.
    PanelError
        If miRNA and targets are of different levels.
    ParameterError
        If a column is absent, or ``min_grade`` is unknown or there is no grade to compare with.
    """
    check_columns(targets)
    counted, grade = counted_mirnas(mirna, min_grade)
    if not counted.any():
        raise DataError(f"None of {len(grade)} miRNAs has the grade {min_grade} or a better one.")
    _check_level(mirna, targets)
    obs, values = _samples(mirna, mrna, (group_key, *covariates, donor_key))
    predicted = ~np.isnan(values).all(axis=1)
    obs, values = obs[predicted], values[predicted]
    if obs.empty:
        raise DataError("No sample has a miRNA value: all are NaN. Were all predictions abstained?")
    check_one_condition(obs, donor_key, (group_key, *covariates))

    donors, codes = np.unique(obs[donor_key].astype(str).to_numpy(dtype=str), return_inverse=True)
    average = sparse.csr_matrix((np.ones(len(codes)), (codes, np.arange(len(codes)))))
    average = sparse.diags(1 / np.bincount(codes)) @ average
    groups = pd.get_dummies(obs[group_key].astype(str), dtype=float).to_numpy()
    shares = average @ groups
    design = np.hstack([shares, *(average @ _covariate(obs, name) for name in covariates)])
    _check_size(design, group_key, len(obs))

    names, expression, status = _genes(mrna[obs.index], gene_key, outside_panel)
    gene, mirna_values = average @ expression, average @ values
    level = constant(gene, design)
    status[names[level]] = "gene constant within groups"
    names, gene = names[~level], gene[:, ~level]
    flat = constant(mirna_values, design)
    table, places = _usable(targets, mirna.var_names, flat, names, status)
    weight = table["weight"] if "weight" in table else pd.Series(1.0, index=table.index)
    tested = (table["status"] == "tested").to_numpy()
    if not tested.any():
        counts = table["status"].value_counts()
        raise DataError(
            f"None of {len(table)} targets can be tested: "
            f"{', '.join(f'{reason} ({number})' for reason, number in counts.items())}. miRNAs of the table: "
            f"{_some(targets['mirna'])}; of the data: {_some(mirna.var_names)}. Genes of the table: "
            f"{_some(targets['gene'])}; of the data: {_some(mrna.var_names)}."
        )
    return Profiles(
        donors=pd.Index(donors, dtype=object),
        mirnas=mirna.var_names,
        genes=names,
        mirna=mirna_values,
        gene=gene,
        design=design,
        strata=np.unique(shares > 0, axis=0, return_inverse=True)[1].ravel(),
        counted=counted,
        grade=grade,
        table=table,
        mirna_place=places[0][tested],
        gene_place=places[1][tested],
        weight=weight.to_numpy(dtype=float)[tested],
    )


def _check_level(mirna: AnnData, targets: pd.DataFrame) -> None:
    """Refuse stem-loops beside targets of mature miRNAs; names unknown to miRBase say nothing."""
    levels = panel.mirnas().set_index("name")["level"]
    known = targets["mirna"].drop_duplicates().map(levels).dropna()
    own = pd.Series(mirna.var_names).map(levels).dropna()
    has = str(mirna.uns.get("sicmir", {}).get("level", "")) or (own.mode()[0] if len(own) else "")
    if has and len(known) and not (known == has).any():
        hint = (
            "Map the targets by sicmir.networks.targets.to_stem_loops, which labels them."
            if has == "stem-loop"
            else "Targets are of mature miRNAs: name the arm."
        )
        raise PanelError(f"The miRNAs are at {has} level, the targets at {known.mode()[0]} level. {hint}")


def _samples(mirna: AnnData, mrna: AnnData, keys: Sequence[str]) -> tuple[pd.DataFrame, np.ndarray]:
    """Labels and miRNA values of the samples that both tables have."""
    for what, adata in (("miRNA", mirna), ("mRNA", mrna)):
        if not adata.obs_names.is_unique or not adata.var_names.is_unique:
            raise DataError(f"The {what} has sample or feature names that occur twice; make them unique.")
    odd = mirna.obs_names.symmetric_difference(mrna.obs_names)
    if len(odd):
        raise DataError(
            f"miRNA and mRNA should be of the same samples: {len(odd)} are in one of them only, the first "
            f"{odd[0]}. Take those that both have."
        )
    for key in keys:
        if key not in mirna.obs:
            raise ParameterError(
                f"obs of the miRNA has no column {key!r}; it has {', '.join(map(str, mirna.obs.columns))}."
            )
        label = mirna.obs[key]
        empty = label.isna() | (label.astype(str) == "")
        if empty.any():
            raise DataError(f"{int(empty.sum())} samples have no {key}, the first {label.index[empty][0]}.")
        other = mrna.obs[key].reindex(mirna.obs_names) if key in mrna.obs else label
        if (other.astype(str) != label.astype(str)).any():
            raise DataError(f"The column {key!r} differs between miRNA and mRNA; give both the same labels.")
    values = _logarithms("miRNA", mirna, lowest=0)
    if np.isinf(values).any():
        raise DataError("The miRNA holds infinite values; expected log2(RPM+1), NaN where not measured.")
    return mirna.obs, values


def _logarithms(what: str, adata: AnnData, lowest: float) -> np.ndarray:
    """Dense values, float64, refused where they are no logarithms of expression."""
    values = dense(adata.X).astype(np.float64, copy=False)
    finite = values[np.isfinite(values)]
    low, high = finite.min(initial=0.0), finite.max(initial=0.0)
    if low < lowest or high > MOST_LOG2:
        raise DataError(
            f"The {what} holds values from {low:.4g} to {high:.4g}; expected logarithms, log2(x+1), from "
            f"{max(lowest, 0):.0f} to {MOST_LOG2:.0f}, NaN where not measured. Take the logarithm first."
        )
    return values


def _covariate(obs: pd.DataFrame, name: str) -> np.ndarray:
    if pd.api.types.is_numeric_dtype(obs[name]) and not pd.api.types.is_bool_dtype(obs[name]):
        values = obs[[name]].to_numpy(dtype=float)
        if not np.isfinite(values).all():
            raise DataError(f"The covariate {name!r} holds infinite values.")
        # A large offset, as of a year, would drown the groups in the rank of the design.
        return (values - values.mean(axis=0)) / (values.std(axis=0) or 1)
    return pd.get_dummies(obs[name].astype(str), dtype=float).to_numpy()


def _check_size(design: np.ndarray, group_key: str, n_samples: int) -> None:
    if not enough(design):
        rank = int(np.linalg.matrix_rank(design))
        raise DataError(
            f"{len(design)} donors ({n_samples} samples) are too few: {rank} group means and covariates "
            f"({group_key}, …) leave {degrees_of_freedom(design)} degrees of freedom, at least {MIN_DF} are "
            f"needed, that is {rank + 1 + MIN_DF} donors. Take more donors, larger groups, fewer covariates."
        )


def _genes(mrna: AnnData, gene_key: str, outside_panel: bool) -> tuple[pd.Index, np.ndarray, pd.Series]:
    """Names and values of the genes that can be used, and the status of every name."""
    known = current_symbols(read_names(mrna, gene_key))
    name = known["current"].where(known["current"] != "", known.index.to_series()).to_numpy(dtype=object)
    # Adjustment for batches leaves values of mRNA slightly below 0.
    values = _logarithms("mRNA", mrna, lowest=-MOST_LOG2)
    frame = pd.DataFrame({"name": name, "exact": known["status"].to_numpy() == "current"})
    # A column under the current symbol beats one under a former; two alike cannot be told apart.
    best = frame["exact"] | ~frame.groupby("name")["exact"].transform("any")
    frame = frame[best]
    status = pd.Series("tested", index=frame.index)
    status[~np.isfinite(values[:, frame.index]).all(axis=0)] = "gene not measured in all samples"
    status[frame["name"].duplicated(keep=False)] = "gene in several columns"
    if outside_panel:
        status[known["landmark"].to_numpy()[frame.index]] = "landmark"
    usable = status.index[status == "tested"]
    reasons = status.set_axis(frame["name"])
    reasons = reasons[~reasons.index.duplicated()]
    return pd.Index(name[usable], dtype=object), values[:, usable], reasons


def _usable(
    targets: pd.DataFrame, mirnas: pd.Index, flat: np.ndarray, genes: pd.Index, status: pd.Series
) -> tuple[pd.DataFrame, tuple[np.ndarray, np.ndarray]]:
    """Targets with their status, and the places of miRNA and gene (-1 where there is none)."""
    known = current_symbols(targets["gene"].unique())
    current = known["current"].where(known["current"] != "", known.index.to_series())
    gene = targets["gene"].map(current)
    table = targets.assign(gene=gene, status=gene.map(status).fillna("gene not measured"))
    place = mirnas.get_indexer(targets["mirna"])
    table.loc[place < 0, "status"] = "miRNA not there"
    table.loc[(place >= 0) & flat[place], "status"] = "miRNA constant or in too few donors"
    twice = table.duplicated(["mirna", "gene"]) & (table["status"] == "tested")
    table.loc[twice, "status"] = "same pair under another name"
    return table.reset_index(drop=True), (place, genes.get_indexer(gene))


def _some(names: pd.Series | pd.Index) -> str:
    unique = list(dict.fromkeys(names))
    return ", ".join(map(str, unique[:_SHOWN])) + (", …" if len(unique) > _SHOWN else "")
