"""Which miRNAs differ between conditions or mark a cell type: tests that count donors, not cells.

:func:`differential` and :func:`markers` take pseudobulks, one row a donor, cell type and condition. Cells of
a donor are no replicates: a test that counts them finds differences where there are none (Squair 2021,
doi 10.1038/s41467-021-25960-2; Zimmerman 2021, doi 10.1038/s41467-021-21038-1). Designs are laid out by
:mod:`sicmir.donors.design` and fitted by :mod:`sicmir.donors.donor_fit`; :mod:`sicmir.donors.moderated`
moderates variances.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from anndata import AnnData

from sicmir.donors.design import Design, DonorRows, Pairing, compare, donor_rows
from sicmir.donors.donor_test import FEWEST_DONORS, effect_table
from sicmir.donors.mirna_findings import check_fdr, describe, families, findings, with_findings
from sicmir.errors import DataError, ParameterError

__all__ = ["differential", "families", "findings", "markers"]

_ORDER = [
    *("cell_type", "mirna", "effect", "lower", "upper", "statistic", "df", "p", "q", "finding", "rank"),
    *(
        "mean",
        "n_case",
        "n_reference",
        "design",
        "correlation",
        "spread_ratio",
        "tested",
        "reason",
        "greyed",
        "grade",
    ),
    *("family", "cluster", "note"),
]
_PREDICTED = ["prediction_sd", "lower_total", "upper_total", "exceeds_error"]


def differential(
    adata: AnnData,
    condition_key: str,
    case: str,
    reference: str,
    donor_key: str = "donor",
    cell_type_key: str = "",
    covariates: Sequence[str] = (),
    paired: Pairing = "auto",
    min_donors: int = FEWEST_DONORS,
    fdr: float = 0.05,
    min_grade: str = "B",
    trend: bool = False,
) -> pd.DataFrame:
    r"""Test each miRNA, in each cell type, for a difference between two conditions, with donors as units.

    Samples of one donor, cell type and condition are averaged first. Then, by design:

    ``paired``
        Most donors have both conditions: the differences within these are tested, the others left out.
        Covariates enter as their differences within donors.
    ``unpaired``
        No donor has both: the two groups of donors are compared, with covariates. Tumours mostly differ
        more from each other than normal tissues do: the ratio of both SDs, common to all miRNAs of the cell
        type (:func:`sicmir.donors.donor_fit.spread_ratio`), weighs the groups. It is taken as 1 with fewer
        than 10 miRNAs.
    ``mixed``
        Fewer donors have both than have one: generalised least squares, in which the two rows of a donor
        correlate by :math:`\rho`, common to all miRNAs of the cell type (Smyth 2005, doi
        10.1093/bioinformatics/bti270); with one :math:`\rho` a miRNA it is the mixed model with a random
        intercept of the donor. Estimates
        of one a miRNA are too unsure for the few donors of most studies, and give too many false positives;
        with a common one, they are too many where donors agree less than in most miRNAs, and too few where
        they agree more. ``paired`` avoids the choice at the price of the donors with one condition. Where it
        cannot be estimated, for want of two complete pairs, it is taken as 0, which overstates the error.

    Mixed designs take both conditions to vary alike. Variances of the miRNAs of one cell type are moderated
    (:func:`sicmir.donors.moderated.squeeze`) where 10 or more are tested, and p corrected over miRNAs and
    cell types together.

    **Predicted miRNAs** (layers ``lower`` and ``upper``) are tested just as measured ones. Such a p speaks of
    the predictions, that is of the landmark genes as the model reads them, and not of miRNA molecules.
    What the errors of prediction add is told by ``lower_total`` and ``upper_total``, the limits of the effect
    on the miRNA itself: to the variance of the effect comes that of errors with the SD of the prediction
    intervals, independent between samples and of mean 0 in both conditions. ``exceeds_error`` says that they
    leave out 0. Errors that all donors of a condition share are in no interval: only measured samples of both
    conditions reveal them.

    Parameters
    ----------
    adata
        Pseudobulks or bulk samples x miRNAs, log2(RPM+1), measured or predicted, NaN where not measured.
        Leave out what is hardly expressed: it costs correction, and zeros have no variance to test with.
    condition_key, case, reference
        Column of ``obs`` and the two labels in it; other labels are left out.
    donor_key, cell_type_key
        Columns of donor and cell type; without the latter, all samples of a donor and condition are averaged.
    covariates
        Columns of ``obs``: numbers enter linearly, text and categories as indicators.
    paired
        "auto" chooses in each cell type (``design.compare``); "paired" leaves out donors with one
        condition.
    min_donors
        Fewest donors of each condition (pairs in a paired design), at least 3, with the miRNA measured, that
        the covariates leave something to compare: in a batch of one condition no donor counts. Below, effect
        and rank are given and no p.
    fdr
        Largest q of a ``finding``.
    min_grade
        Worst grade (``var["grade"]``) of predicted miRNAs that counts, "" for all; measured ones have no
        grade and count. Worse ones stay in the table ``greyed``: they have a p, but no q, and are no finding.
    trend
        Let the common variance follow the mean level of the miRNA.

    Returns
    -------
    DataFrame
        One row a cell type and miRNA: ``cell_type`` ("" without key); ``mirna``; ``effect``, case minus
        reference in log2, with ``lower`` and ``upper``, its 95 % confidence limits; ``statistic``, moderated
        t with ``df``; ``p``; ``q`` (Benjamini–Hochberg over all tested rows not greyed); ``finding``;
        ``rank`` of the effect without sign in the cell type, from 1, a description; ``mean`` log2(RPM+1);
        ``n_case``, ``n_reference`` donors; ``design``; ``correlation``, mixed designs only;
        ``spread_ratio``, SD of the case over that of the reference, unpaired designs only; ``tested``;
        ``reason``, why there is no p; ``greyed``; ``grade``; ``family``; ``cluster``; ``note``, what was left
        out or averaged. For predictions also ``prediction_sd`` (log2, root mean square over samples),
        ``lower_total``, ``upper_total`` and ``exceeds_error``.

    Raises
    ------
    DataError
        If a column is absent or has gaps, a condition has no sample, no cell type has donors to compare, or
        condition and covariates are confounded in every cell type; also as for
        :func:`sicmir.donors.design.donor_rows`.
    PanelError
        If mature miRNAs and stem-loops are mixed.
    ParameterError
        If an option is out of range or a column is named twice.

    Examples
    --------
    >>> from sicmir import stats
    >>> from sicmir.synthetic import toy_cells
    >>> cells = toy_cells.donor_cells(n_donors=12, n_cell_types=1, effect=2.0, n_changed=6, seed=1)
    >>> table = stats.differential(cells, "condition", "tumour", "normal")
    >>> int(table["finding"].sum()), table["design"].unique().tolist()
    (6, ['paired'])
    """
    _check_options(min_donors, fdr)
    keys = [*([cell_type_key] if cell_type_key else []), donor_key, condition_key]
    if len({*keys, *covariates}) < len(keys) + len(covariates):
        raise ParameterError(f"Expected different columns; found {', '.join([*keys, *covariates])}.")
    if case == reference:
        raise ParameterError(f"Expected two conditions, found case={case!r} and reference={reference!r}.")
    facts = describe(adata, min_grade)
    rows = donor_rows(_of_conditions(adata, condition_key, (case, reference)), keys, covariates)
    names = rows.obs[cell_type_key] if cell_type_key else pd.Series("", index=rows.obs.index)
    designs: list[tuple[str, DonorRows, Design]] = []
    for name, places in names.groupby(names).groups.items():
        part = rows.take(places.to_numpy())
        is_case = (part.obs[condition_key] == case).to_numpy()
        designs.append((str(name), part, compare(part.obs, donor_key, is_case, covariates, paired)))
    if all(design.refusal for *_, design in designs):
        reasons = sorted({design.refusal for *_, design in designs})
        raise DataError(
            f"{case!r} and {reference!r} cannot be compared in any of {len(designs)} cell types: "
            f"{'; '.join(reasons)}."
        )
    tables = [
        effect_table(
            part,
            design.response(part.values),
            design.response_error(part.error),
            design,
            min_donors,
            trend,
        ).assign(cell_type=name)
        for name, part, design in designs
    ]
    return _finished(tables, facts, fdr)


def markers(
    adata: AnnData,
    cell_type_key: str = "cell_type",
    donor_key: str = "donor",
    min_donors: int = FEWEST_DONORS,
    fdr: float = 0.05,
    min_grade: str = "B",
    trend: bool = False,
) -> pd.DataFrame:
    """Test each miRNA for a difference between each cell type and the others of the same donors.

    For each donor with the cell type, the mean over its other cell types, each counted once, is subtracted;
    the differences are tested against 0 by a moderated t. Where donors have different cell types, so
    have "the others", and the note says so. With two cell types, both tests are the same with opposite
    sign. Cell types that were defined on the very values that are tested have markers by construction (Zhang
    2019, doi 10.1016/j.cels.2019.07.012): labels should come from elsewhere.

    Parameters
    ----------
    adata
        Pseudobulks x miRNAs as for :func:`differential`; samples of one donor and cell type are averaged.
    cell_type_key, donor_key
        Columns of ``obs``.
    min_donors, fdr, min_grade, trend
        As for :func:`differential`; ``min_donors`` counts donors with the cell type and another one.

    Returns
    -------
    DataFrame
        As of :func:`differential`; ``effect`` is above 0 where the cell type has more than the others, and
        ``n_case`` and ``n_reference`` are the same donors.

    Raises
    ------
    DataError
        As for :func:`differential`, and if no donor has two cell types, or conditions differ between the
        cell types of a donor, which would be taken for a difference between cell types.
    PanelError, ParameterError
        As for :func:`differential`.

    Examples
    --------
    >>> from sicmir import stats
    >>> from sicmir.synthetic import toy_cells
    >>> cells = toy_cells.donor_cells(n_donors=8, n_cell_types=3, marker_effect=2.0, seed=1)
    >>> table = stats.markers(cells)
    >>> table.groupby("cell_type", observed=True)["finding"].sum().tolist()
    [59, 59, 59]
    """
    _check_options(min_donors, fdr)
    if cell_type_key == donor_key:
        raise ParameterError(f"Expected different columns; found {cell_type_key!r} for cell type and donor.")
    facts = describe(adata, min_grade)
    rows = donor_rows(adata, [donor_key, cell_type_key])
    _check_conditions(adata.obs, donor_key, cell_type_key)
    donors = pd.factorize(rows.obs[donor_key])[0]
    types, names = pd.factorize(rows.obs[cell_type_key], sort=True)
    if np.bincount(donors).max() < 2:
        raise DataError(f"No donor has two cell types; found {len(names)} in {donors.max() + 1} donors.")
    rest, others = _rest(rows.values, donors)
    error = rows.error
    if error is not None:
        error = error + _rest(error, donors)[0] / np.where(others > 0, others, np.nan)
    per_donor = np.bincount(donors)
    uneven = "donors differ in the other cell types they have" if np.ptp(per_donor) else ""
    tables = []
    for code, name in enumerate(names):
        places = np.flatnonzero((types == code) & (per_donor[donors] > 1))
        refusal = "" if len(places) else "no donor with another cell type"
        design = Design("paired", places, places, np.ones((len(places), 1)), None, uneven, refusal)
        response = rows.values[places] - rest[places]
        spread = None if error is None else error[places]
        table = effect_table(rows, response, spread, design, min_donors, trend)
        tables.append(table.assign(cell_type=name))
    return _finished(tables, facts, fdr)


def _check_conditions(obs: pd.DataFrame, donor_key: str, cell_type_key: str) -> None:
    if "condition" not in obs or cell_type_key == "condition":
        return
    labels = obs[[donor_key, cell_type_key, "condition"]].astype(str).drop_duplicates()
    n_types = labels.groupby(donor_key)[cell_type_key].agg(lambda names: len(set(names)))
    # Where all cell types of a donor have all its conditions, each condition occurs once in each of them.
    n_of_condition = labels.groupby([donor_key, "condition"]).size().groupby(level=0).min()
    uneven = n_of_condition < n_types
    if uneven.any():
        raise DataError(
            f"In {int(uneven.sum())} donors (first: {uneven.index[uneven][0]}) cell types differ in the "
            "conditions that they have, so that conditions and cell types cannot be told apart. Choose one "
            "condition, or cell types that all have both."
        )


def _rest(values: np.ndarray, donors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean over the other rows of the same donor, NaN for none, and the number of them."""
    measured = np.isfinite(values)
    total, count = (
        pd.DataFrame(side).groupby(donors).sum().to_numpy()[donors]
        for side in (np.where(measured, values, 0.0), measured.astype(int))
    )
    others = count - measured
    left = total - np.where(measured, values, 0.0)
    return np.divide(left, others, out=np.full(values.shape, np.nan), where=others > 0), others


def _check_options(min_donors: int, fdr: float) -> None:
    check_fdr(fdr)
    if not min_donors >= FEWEST_DONORS:
        raise ParameterError(
            f"min_donors should be at least {FEWEST_DONORS}; found {min_donors}. With fewer donors there is "
            "no p-value worth reporting; the effects are in the table all the same."
        )


def _of_conditions(adata: AnnData, key: str, labels: tuple[str, str]) -> AnnData:
    """Samples of the two conditions; gaps are kept, so that they are refused and not left out."""
    if key not in adata.obs:
        raise DataError(f"obs has no column {key!r}; there are {', '.join(map(str, adata.obs)) or 'none'}.")
    column = adata.obs[key]
    text = column.astype(str)
    absent = [label for label in labels if not (text == label).any()]
    if absent:
        raise DataError(
            f"No sample has {key} {absent[0]!r}; there are {', '.join(sorted(set(text[column.notna()])))}."
        )
    return adata[(text.isin(labels) | column.isna() | (text == "")).to_numpy()]


def _finished(tables: list[pd.DataFrame], facts: pd.DataFrame, fdr: float) -> pd.DataFrame:
    """Join the tables of cell types, correct for all tests, and order the columns."""
    table = pd.concat([table.assign(mirna=facts.index.astype(str)) for table in tables])
    table = with_findings(table, facts, fdr)
    return table[[*_ORDER, *(name for name in _PREDICTED if name in table)]]
