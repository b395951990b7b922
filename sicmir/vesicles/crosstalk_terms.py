"""The terms that a crosstalk score is made of, measured for every donor, cell type and miRNA."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import sparse

from sicmir.errors import DataError, ParameterError
from sicmir.names.gene_symbols import landmark_symbols
from sicmir.networks.matched_genes import gene_bins, matched_z, n_comparable
from sicmir.vesicles import ev
from sicmir.vesicles.crosstalk_input import check_cells, check_targets, choose_sets, pool_cells
from sicmir.vesicles.crosstalk_mirna import Mirna, pool_mirna, trust_weights

PRIORS = ("sorting", "trust")
"""Terms of the miRNA alone, the same for all cell types: they move ranks and never p."""

SENDER_TERMS = ("biogenesis", "abundance", *PRIORS)
RECEIVER_TERMS = ("risc", "repression")
TERMS = (*SENDER_TERMS, *RECEIVER_TERMS)
"""Terms of the score, in the order in which a miRNA meets them."""

MIN_EXPRESSION = 1.0
"""Least mean log2(CPM+1) over donors' cell types of a gene that is compared; below it, counts are noise."""


@dataclass(frozen=True, eq=False)
class Terms:
    """What was measured, before it is made a score.

    Attributes
    ----------
    donors, cell_types
        Names, sorted.
    mirnas
        Index mature miRNA: ``predicted_as``, ``grade``, ``n_targets`` (in the data, outside the landmarks,
        and with other genes to be compared with) and ``counted``.
    used
        The terms that were asked for.
    present
        Donors × cell types: whether the cell type takes part in the donor.
    biogenesis, risc
        Donors × cell types: z of the set against genes of like expression, within the donor.
    abundance
        Donors × cell types × miRNAs, log2(RPM+1).
    sorting, trust
        Priors of each miRNA, above 0 and up to 1.
    repression
        Donors × cell types × miRNAs: how much lower the targets are than genes of like expression, as z.
    repression_over_donors
        Cell types × miRNAs: the same z for the mean over donors.
    of_these_donors
        Whether the miRNA was measured or predicted in these donors, so that donors can be counted.
    coverage
        Index (donor, cell type): ``n_cells``, ``n_mirna_rows``, ``n_abstained`` and ``status``.
    notes
        Sentences for the report.
    """

    donors: tuple[str, ...]
    cell_types: tuple[str, ...]
    mirnas: pd.DataFrame
    used: tuple[str, ...]
    present: np.ndarray
    biogenesis: np.ndarray
    abundance: np.ndarray
    sorting: np.ndarray
    trust: np.ndarray
    risc: np.ndarray
    repression: np.ndarray
    repression_over_donors: np.ndarray
    of_these_donors: bool
    coverage: pd.DataFrame
    notes: tuple[str, ...]


def check_terms(terms: Sequence[str]) -> tuple[str, ...]:
    """Terms in their order.

    Raises
    ------
    ParameterError
        If there is none, or one is unknown or named twice.
    """
    terms = (terms,) if isinstance(terms, str) else tuple(terms)
    odd = [name for name in terms if name not in TERMS]
    if odd or not terms or len(set(terms)) < len(terms):
        raise ParameterError(f"terms should be some of {', '.join(TERMS)}, each once; found {terms!r}.")
    return tuple(name for name in TERMS if name in terms)


def measure(
    cells: AnnData,
    mirna: AnnData,
    targets: pd.DataFrame | None,
    *,
    donor_key: str,
    cell_type_key: str,
    terms: Sequence[str],
    min_grade: str,
    min_cells: int,
    min_targets: int,
    sorting: ev.Evidence | pd.Series,
    gene_sets: Mapping[str, Sequence[str]] | None,
    layer: str,
    units: str,
    gene_key: str,
) -> Terms:
    """Measure every term; arguments and errors as for :func:`sicmir.vesicles.crosstalk.crosstalk`.

    All genes are compared as deviations from their mean over the donor's cell types, so that what a donor's
    cell types share (batch, sex, genotype, depth) drops out.
    """
    terms = check_terms(terms)
    if min_targets < 1:
        raise ParameterError(f"min_targets should be at least 1; found {min_targets!r}.")
    record, symbols = check_cells(cells, donor_key, cell_type_key, layer, units, gene_key)
    pooled_mirna = pool_mirna(mirna, donor_key, cell_type_key, min_grade)
    mature, genes = pooled_mirna.groups.columns, pd.Index(np.unique(symbols))
    sets = choose_sets(gene_sets, [name for name in ("biogenesis", "risc") if name in terms], genes)
    table, degree = pd.DataFrame({"mirna": [], "gene": []}, dtype=str), pd.Series(dtype=float)
    if "repression" in terms:
        table, degree = check_targets(targets, mature, genes)
    prior = _prior(sorting, mature)

    values, groups = pool_cells(cells, donor_key, cell_type_key, min_cells, record, symbols)
    values, coverage = _taking_part(values, groups, pooled_mirna)
    strange = ~pooled_mirna.rows.index.isin(_keys(groups.index, _has_donors(pooled_mirna)))
    notes = list(pooled_mirna.notes)
    if strange.any():
        n = int(pooled_mirna.rows["n_mirna_rows"][strange].sum())
        notes.append(f"{n} rows of the miRNA are of a donor or cell type that the cells do not have.")
    expressed = (values.mean() >= MIN_EXPRESSION).to_numpy()
    notes.append(f"{int(expressed.sum())} of {len(genes)} genes are expressed enough to be compared.")
    values = values.loc[:, expressed]
    deviation = values - values.groupby(level=0).transform("mean")
    bins = gene_bins(values.mean().to_numpy())

    donors, kinds = (tuple(sorted(values.index.unique(level=i))) for i in (0, 1))
    place = tuple(values.index.get_level_values(i).map(names.index) for i, names in ((0, donors), (1, kinds)))
    shape = (len(donors), len(kinds))
    present = np.zeros(shape, dtype=bool)
    present[place] = True

    members = _members(sets, values.columns)
    for name, n in zip(sets, members.sum(axis=1).A1.astype(int), strict=True):
        notes.append(f"Set {name}: {n} of its genes are expressed.")
        if not n:
            raise DataError(f"No gene of the set {name!r} is expressed; leave the term out or give another.")
    activity = matched_z(deviation.to_numpy().T, members, bins)
    activities = {name: _spread(activity[i], place, shape) for i, name in enumerate(sets)}
    empty = np.full(shape, np.nan)

    outside = ~values.columns.isin(landmark_symbols())
    pool = values.columns[outside]
    table = table[table["gene"].isin(pool)]
    links = _members(dict(iter(table.groupby("mirna")["gene"])), pool, mature)
    inside = gene_bins(values.loc[:, outside].mean().to_numpy(), degree.reindex(pool).fillna(0).to_numpy())
    n_targets = n_comparable(links, inside)
    mirnas = pooled_mirna.table.assign(n_targets=n_targets)
    if "repression" in terms:
        enough = n_targets >= min_targets
        most = int(n_targets[mirnas["counted"].to_numpy()].max())
        mirnas["counted"] &= enough
        notes.append(f"{int(enough.sum())} of {len(mature)} miRNAs have {min_targets} targets or more.")
        if not mirnas["counted"].any():
            raise DataError(
                f"No miRNA of sufficient grade has {min_targets} expressed targets outside the landmarks and "
                f"other genes of as many miRNAs beside them; the most is {most}. Give the "
                "table of targets of all miRNAs, not only of those of interest, or lower min_targets."
            )
        links = sparse.diags(enough.astype(float)) @ links
    part = deviation.loc[:, outside]
    repression = -matched_z(part.to_numpy().T, links, inside)
    over_donors = part.groupby(level=1).mean().loc[list(kinds)]
    return Terms(
        donors=donors,
        cell_types=kinds,
        mirnas=mirnas,
        used=terms,
        present=present,
        biogenesis=activities.get("biogenesis", empty),
        abundance=_spread(_amount(pooled_mirna, values.index).T, place, shape),
        sorting=prior,
        trust=trust_weights(mirnas["grade"]),
        risc=activities.get("risc", empty),
        repression=_spread(repression, place, shape),
        repression_over_donors=-matched_z(over_donors.to_numpy().T, links, inside).T,
        of_these_donors=_has_donors(pooled_mirna),
        coverage=coverage,
        notes=tuple(notes),
    )


def _prior(sorting: ev.Evidence | pd.Series, mature: pd.Index) -> np.ndarray:
    if not isinstance(sorting, pd.Series):
        return ev.sorting_prior(mature, sorting).to_numpy()
    prior = sorting.reindex(mature).to_numpy(dtype=float)
    if not ((prior > 0) & (prior <= 1)).all():
        raise DataError("sorting: expected a number above 0 and up to 1 for every miRNA of the data.")
    return prior


def _has_donors(mirna: Mirna) -> bool:
    return not (mirna.groups.index.get_level_values(0) == "").all()


def _taking_part(
    values: pd.DataFrame, groups: pd.DataFrame, mirna: Mirna
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Groups with enough cells and a miRNA profile, in donors with two of them or more."""
    keys = _keys(groups.index, _has_donors(mirna))
    rows = mirna.rows.reindex(keys).fillna(0).astype(int).set_axis(groups.index)
    coverage = groups[["n_cells"]].join(rows)
    has = keys.isin(mirna.groups.index)
    status = pd.Series("used", index=groups.index)
    status[~has] = "no miRNA"
    status[(coverage["n_mirna_rows"] > 0).to_numpy() & ~has] = "all abstained"
    status[~groups["kept"]] = "too few cells"
    alone = (status == "used").groupby(level=0).transform("sum") == 1
    status[alone & (status == "used")] = "alone in its donor"
    coverage = coverage.assign(status=status).rename_axis(["donor", "cell_type"])
    used = coverage.index[coverage["status"] == "used"]
    if used.empty:
        reasons = ", ".join(f"{reason}: {n}" for reason, n in status.value_counts().items())
        raise DataError(
            f"No donor has two cell types with enough cells and a miRNA profile. Of {len(status)} groups of "
            f"donor and cell type, {reasons}. Labels of donors and cell types should be the same in cells "
            "and miRNA; lower min_cells, or leave the donor out of obs of miRNA that is of other donors."
        )
    return values.loc[values.index.isin(used)], coverage


def _keys(groups: pd.MultiIndex, own: bool) -> pd.MultiIndex:
    """Where to look for the miRNA of each donor and cell type."""
    kinds = groups.get_level_values(1)
    return groups if own else pd.MultiIndex.from_arrays([[""] * len(groups), kinds])


def _amount(mirna: Mirna, index: pd.MultiIndex) -> np.ndarray:
    return mirna.groups.loc[_keys(index, _has_donors(mirna))].to_numpy()


def _members(
    sets: Mapping[str, Sequence[str]], genes: pd.Index, names: Sequence[str] | pd.Index | None = None
) -> sparse.csr_matrix:
    """Sets × genes, 1 where a gene is in the set; ``names`` orders the sets and adds empty ones."""
    rows, columns = [], []
    for row, name in enumerate(sets if names is None else names):
        found = genes.get_indexer(list(sets.get(name, ())))
        columns.append(found[found >= 0])
        rows.append(np.full(len(columns[-1]), row))
    shape = (len(sets) if names is None else len(names), len(genes))
    if not columns:
        return sparse.csr_matrix(shape)
    place = (np.concatenate(rows), np.concatenate(columns))
    return sparse.csr_matrix((np.ones(len(place[0])), place), shape=shape)


def _spread(values: np.ndarray, place: tuple[np.ndarray, np.ndarray], shape: tuple[int, int]) -> np.ndarray:
    """Features × groups, or groups, to donors × cell types (× features); NaN where there is no group."""
    result = np.full((*shape, *values.shape[:-1]), np.nan)
    result[place] = values.T
    return result
