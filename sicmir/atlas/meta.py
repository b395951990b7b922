"""Differences across data sets: markers of a cell type, one condition against another, similar cell types.

Within a data set donors are the units (:mod:`sicmir.stats`); :mod:`sicmir.atlas.combine` joins data sets.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd

from sicmir import stats
from sicmir.atlas.combine import combine
from sicmir.atlas.query import Atlas
from sicmir.atlas.summaries import with_errors
from sicmir.atlas.tables import EXACT
from sicmir.donors.mirna_findings import adjusted, check_fdr
from sicmir.errors import DataError, ParameterError
from sicmir.trust import at_least


def markers(
    atlas: Atlas,
    cell_type: str,
    min_grade: str = "B",
    fdr: float = 0.05,
    across: Literal["random", "fixed"] = "random",
) -> pd.DataFrame:
    """Markers of a cell type: miRNAs against those of other cell types of the same donors, over data sets.

    Parameters
    ----------
    atlas
        Opened.
    cell_type
        Its name in the atlas.
    min_grade
        Worst grade that counts, "" for all; worse ones are ``greyed``: they have a p, but no q.
    fdr
        Largest q of a ``finding``.
    across
        As for :func:`combine`.

    Returns
    -------
    DataFrame
        As of :func:`combine` by ``mirna``, with ``cell_type``, ``q`` (Benjamini–Hochberg), ``finding``,
        ``greyed`` and how far each miRNA can be believed; findings first, then by the size of the effect.
        Cell types that were defined on the values that are tested have markers by construction (Zhang 2019,
        doi 10.1016/j.cels.2019.07.012).

    Raises
    ------
    ParameterError
        If the cell type is not in the atlas, or an option is out of range.
    DataError
        If no data set has it beside another one of the same donor.
    """
    check_fdr(fdr)
    name = atlas.label("cell_type", cell_type)
    table = atlas.sql(
        "SELECT dataset, mirna, effect, se, se_total, df, n_donors FROM markers WHERE cell_type = $name "
        "ORDER BY mirna, dataset",
        {"name": name},
    )
    if table.empty:
        raise DataError(f"No data set has donors with {name!r} and another cell type to compare it with.")
    found = _judged(atlas, combine(table, ["mirna"], across), min_grade, fdr)
    found.insert(0, "cell_type", name)
    return found


def difference(
    atlas: Atlas,
    case: str,
    reference: str = "normal",
    by: str = "disease",
    cell_type: str = "",
    min_grade: str = "B",
    fdr: float = 0.05,
    across: Literal["random", "fixed"] = "random",
) -> pd.DataFrame:
    """Difference between two diseases or conditions in each cell type, within data sets that have both.

    Cells of different studies differ by much more than by disease: what only different data sets have is
    compared with nothing.

    Parameters
    ----------
    atlas, min_grade, fdr, across
        As for :func:`markers`.
    case, reference
        Two values of ``by``.
    by
        ``"disease"`` or ``"condition"``.
    cell_type
        Only this; "" for all.

    Returns
    -------
    DataFrame
        As of :func:`markers`, ``effect`` being case minus reference (:func:`sicmir.stats.differential`).

    Raises
    ------
    ParameterError
        If a name is not in the atlas or an option is out of range.
    DataError
        If no data set has both in one cell type.
    """
    check_fdr(fdr)
    if by not in ("disease", "condition"):
        raise ParameterError(f"by={by!r}: expected 'disease' or 'condition'.")
    one, other = sides = [atlas.label(by, value) for value in (case, reference)]
    name = atlas.label("cell_type", cell_type) if cell_type else ""
    groups = atlas.groups[atlas.groups["cell_type"] == name] if name else atlas.groups
    n_sides = groups[groups[by].isin(sides)].groupby("dataset")[by].nunique()
    tables, refused = [], []
    for dataset in n_sides.index[n_sides == 2]:
        pools = atlas.pools(dataset)
        chosen = ~pools.obs["abstained"].to_numpy(dtype=bool)
        if name:
            chosen &= (pools.obs["cell_type"] == name).to_numpy()
        try:
            found = stats.differential(pools[chosen], by, one, other, cell_type_key="cell_type", min_grade="")
        except DataError as error:
            refused.append(f"{dataset}: {error}")
            continue
        seen = pools.obs[chosen & pools.obs[by].isin(sides).to_numpy()]
        n_donors = found["cell_type"].map(seen.groupby("cell_type")["donor"].nunique())
        tables.append(with_errors(found).assign(n_donors=n_donors))
    if not tables:
        where = f" in {name!r}" if name else ""
        why = " ".join(refused) or f"No data set has cells of both {sides[0]!r} and {sides[1]!r}{where}."
        raise DataError(why)
    table = combine(pd.concat(tables), ["cell_type", "mirna"], across)
    return _judged(atlas, table, min_grade, fdr)


def similar(atlas: Atlas, cell_type: str, min_grade: str = "B") -> pd.DataFrame:
    """Cell types with a like profile of miRNAs.

    A profile is what marks a cell type: its differences from the other cell types of the same donors, mean
    over data sets weighted by donors. All cell types express much the same miRNAs, so that expression itself
    would correlate between any two.

    Parameters
    ----------
    atlas, cell_type
        As for :func:`markers`.
    min_grade
        Worst grade of the miRNAs that are compared, "" for all.

    Returns
    -------
    DataFrame
        A row for each other cell type, most similar first: ``cell_type``; ``r``, Pearson, over ``n_mirnas``;
        ``n_datasets`` and ``n_donors`` behind its profile; ``shared``, data sets that have both. In a data
        set of two cell types r is −1 by construction.

    Raises
    ------
    ParameterError
        If the cell type is not in the atlas or there is no such grade.
    DataError
        If it has no profile.
    """
    name = atlas.label("cell_type", cell_type)
    counted = atlas.trust.index[_counted(atlas.trust["grade"], min_grade)]
    profiles = atlas.sql(
        f"SELECT cell_type, mirna, sum(effect::{EXACT} * n_donors) / sum(n_donors) AS effect FROM markers "
        "WHERE effect IS NOT NULL AND mirna IN (SELECT unnest($mirnas)) GROUP BY ALL",
        {"mirnas": counted.tolist()},
    )
    if name not in set(profiles["cell_type"]):
        raise DataError(f"No data set has donors with {name!r} and another cell type to compare it with.")
    sizes = atlas.sql(
        "WITH one AS (SELECT cell_type, dataset, max(n_donors) AS n FROM markers GROUP BY ALL) "
        "SELECT cell_type, count(*)::INT AS n_datasets, sum(n)::INT AS n_donors, count(*) FILTER (dataset IN "
        "(SELECT dataset FROM one WHERE cell_type = $name))::INT AS shared FROM one GROUP BY cell_type",
        {"name": name},
    ).set_index("cell_type")
    table = profiles.pivot_table("effect", "mirna", "cell_type")
    others = table.drop(columns=name)
    r = others.corrwith(table[name])
    n = others.notna().mul(table[name].notna(), axis=0).sum()
    found = pd.DataFrame({"cell_type": r.index, "r": r.to_numpy(), "n_mirnas": n[r.index].to_numpy()})
    found = found.join(sizes, on="cell_type")
    return found.sort_values(["r", "cell_type"], ascending=[False, True], ignore_index=True)


def _judged(atlas: Atlas, table: pd.DataFrame, min_grade: str, fdr: float) -> pd.DataFrame:
    """Add q, findings and trust, and put findings first."""
    table = table.join(atlas.trust, on="mirna")
    table["greyed"] = ~_counted(table["grade"], min_grade)
    table["q"] = adjusted(table["p"].where(~table["greyed"]))
    table["finding"] = table["q"] <= fdr
    order = table.assign(size=-table["effect"].abs()).sort_values(
        ["finding", "greyed", "size"], ascending=[False, True, True], kind="stable"
    )
    return table.loc[order.index].reset_index(drop=True)


def _counted(grades: pd.Series, min_grade: str) -> np.ndarray:
    if not min_grade:
        return np.ones(len(grades), dtype=bool)
    if (grades == "").any():
        raise ParameterError('The model of this atlas has no grades; give min_grade="" to count all miRNAs.')
    return at_least(grades, min_grade)
