"""Whether predicted markers of cell types go the way that measured ones go.

A direction is known where libraries of one cell type differ clearly from those of the others. Predicted
differences are then right or wrong in sign. What stands in for a null is exact: the same count for every
other way to lay the names of the cell types on the predictions.
"""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy.stats import rankdata

from sicmir.cells.cell_validation import MIN_RPM, MOST_TYPES
from sicmir.errors import DataError

MIN_EFFECT = 1.0
"""Measured difference, log2, below which a direction is not called known."""

MIN_AUROC = 0.9
"""Share of pairs of libraries, one of the type and one of another, that must be in the order of the means."""

ALL = "all"
"""Name of all cell types, or all signs, together in a table."""

INTERVALS = ("leaves out 0", "holds 0", "none, too few donors")
"""What the interval of a predicted difference over donors can be."""

COLUMNS = ("cell_type", "mirna", "grade", "measured", "predicted", "lower", "upper", "agrees")


def measured_contrasts(libraries: AnnData) -> pd.DataFrame:
    """Each cell type against the others, by measurement.

    Parameters
    ----------
    libraries
        Libraries × miRNAs, log2(RPM + 1), complete; ``obs["cell_type"]``.

    Returns
    -------
    DataFrame
        A row for each cell type and miRNA: ``cell_type, mirna, measured`` (mean of the type less the mean
        of the means of the other types), ``auroc`` (of its libraries against all others), ``n_libraries``,
        and ``known``: at least :data:`MIN_EFFECT`, :data:`MIN_AUROC` in the direction of the effect, and
        :data:`~sicmir.cells.cell_validation.MIN_RPM` in the mean of some type.

    Raises
    ------
    DataError
        If there are fewer than two cell types, or a value is missing.
    """
    values = libraries.to_df()
    labels = libraries.obs["cell_type"].astype(str)
    means = values.groupby(labels.to_numpy()).mean()
    if len(means) < 2 or values.isna().to_numpy().any():
        raise DataError(
            f"Expected complete libraries of two cell types or more, found {', '.join(means.index)}."
        )
    ranks = rankdata(values.to_numpy(), axis=0)
    expressed = means.max() >= np.log2(MIN_RPM + 1)
    tables = []
    for name in means.index:
        inside = (labels == name).to_numpy()
        effect = means.loc[name] - means.drop(name).mean()
        n, others = inside.sum(), (~inside).sum()
        auroc = (ranks[inside].sum(axis=0) - n * (n + 1) / 2) / (n * others)
        ordered = np.where(effect > 0, auroc, 1 - auroc) >= MIN_AUROC
        tables.append(
            pd.DataFrame(
                {
                    "cell_type": name,
                    "mirna": values.columns,
                    "measured": effect.to_numpy(),
                    "auroc": auroc,
                    "n_libraries": int(n),
                    "known": (effect.abs() >= MIN_EFFECT).to_numpy() & ordered & expressed.to_numpy(),
                }
            )
        )
    return pd.concat(tables, ignore_index=True)


def signs(contrasts: pd.DataFrame, markers: pd.DataFrame) -> pd.DataFrame:
    """Put predicted differences beside measured ones of known direction.

    Parameters
    ----------
    contrasts
        As :func:`measured_contrasts` gives them.
    markers
        As :func:`sicmir.stats.markers` gives them: ``cell_type, mirna, effect, lower, upper, grade``. Every
        miRNA of known direction is judged, whatever its interval.

    Returns
    -------
    DataFrame
        The columns :data:`COLUMNS`, best grade first, then the largest measured differences. Cell types
        that one side lacks, and miRNAs without an effect, are left out. A predicted difference of 0 does
        not agree.
    """
    predicted = markers.rename(columns={"effect": "predicted"})
    predicted = predicted.assign(
        cell_type=predicted["cell_type"].astype(str), grade=predicted["grade"].astype(str)
    )
    columns = ["cell_type", "mirna", "grade", "predicted", "lower", "upper"]
    both = contrasts[contrasts["known"]].merge(predicted[columns], on=["cell_type", "mirna"])
    both = both[both["predicted"].notna()]
    both["agrees"] = np.sign(both["measured"]) == np.sign(both["predicted"])
    both["size"] = both["measured"].abs()
    both = both.sort_values(["grade", "size"], ascending=[True, False], kind="stable")
    return both[list(COLUMNS)].reset_index(drop=True)


def summary(judged: pd.DataFrame) -> pd.DataFrame:
    """How many signs agree, by cell type and grade, and over all cell types.

    Returns
    -------
    DataFrame
        ``cell_type`` ("all" for all of them, first), ``grade, n, agree, share``; no rows where nothing was
        judged.
    """
    parts = [judged.assign(cell_type=ALL), judged]
    tables = [part.groupby(["grade", "cell_type"], sort=True)["agrees"] for part in parts]
    found = pd.concat([table.agg(n="size", agree="sum", share="mean").reset_index() for table in tables])
    found[["n", "agree"]] = found[["n", "agree"]].astype(int)
    found = found.sort_values("grade", kind="stable").reset_index(drop=True)
    return found[["cell_type", "grade", "n", "agree", "share"]]


def share(judged: pd.DataFrame, grades: str = "A") -> tuple[int, int]:
    """Signs that agree, and signs that were judged, of some grades."""
    chosen = judged[judged["grade"].isin(list(grades))]
    return int(chosen["agrees"].sum()), len(chosen)


def shares(
    judged: pd.DataFrame,
    clusters: pd.Series,
    grades: str = "A",
    n_resamples: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> pd.DataFrame:
    """Share of signs that agree with its interval, in all and by what the spread over donors says.

    miRNAs of one genomic cluster are transcribed together, in every cell type: whole clusters, with all their
    cell types, are drawn with replacement, and miRNAs of none for themselves.

    Parameters
    ----------
    judged
        As :func:`signs` gives it.
    clusters
        Genomic cluster of each miRNA, "" for none, as :func:`sicmir.stats.markers` tells it.
    grades
        Grades that are judged.
    n_resamples, level, seed
        Draws, width of the percentile interval, and seed.

    Returns
    -------
    DataFrame
        A row for all signs, and for each of :data:`INTERVALS` (of the predicted difference, over donors):
        ``interval, n, agree, share, lower, upper, n_clusters``. The limits are NaN where there are fewer than
        three clusters, or all signs are alike: no draw can differ then.
    """
    chosen = judged[judged["grade"].isin(list(grades))]
    own = chosen["mirna"].map(clusters).fillna("")
    unit = own.where(own != "", chosen["mirna"])
    holds = (chosen["lower"] <= 0) & (chosen["upper"] >= 0)
    kind = np.select([chosen["lower"].isna(), holds], [INTERVALS[2], INTERVALS[1]], INTERVALS[0])
    rows = []
    for name in (ALL, *INTERVALS):
        part = chosen[(kind == name) | (name == ALL)]
        units = part["agrees"].astype(int).groupby(unit[part.index]).agg(["sum", "size"]).to_numpy()
        agree, n = (int(total) for total in units.sum(axis=0))
        lower = upper = np.nan
        if len(units) >= 3 and 0 < agree < n:
            rng = np.random.default_rng(seed)
            drawn = rng.multinomial(len(units), np.full(len(units), 1 / len(units)), n_resamples) @ units
            lower, upper = np.quantile(drawn[:, 0] / drawn[:, 1], [(1 - level) / 2, (1 + level) / 2])
        rows.append((name, n, agree, agree / n if n else np.nan, lower, upper, len(units)))
    return pd.DataFrame(rows, columns=["interval", "n", "agree", "share", "lower", "upper", "n_clusters"])


def renamed(contrasts: pd.DataFrame, markers: pd.DataFrame, grades: str = "A") -> pd.DataFrame:
    """Agreement for every way to lay the names of the cell types on the predictions.

    Parameters
    ----------
    contrasts, markers
        As for :func:`signs`; only cell types of both are used.
    grades
        Grades that are judged.

    Returns
    -------
    DataFrame
        A row for each order, the true one first: ``order`` (names, comma-separated), ``n``, ``share`` of
        signs that agree. Empty with fewer than two cell types of both sides.

    Raises
    ------
    DataError
        If there are more than :data:`~sicmir.cells.cell_validation.MOST_TYPES` cell types.
    """
    there = set(markers.loc[markers["effect"].notna(), "cell_type"].astype(str))
    names = [name for name in contrasts["cell_type"].unique() if name in there]
    if len(names) > MOST_TYPES:
        raise DataError(f"Expected at most {MOST_TYPES} cell types, found {len(names)}.")
    if len(names) < 2:
        return pd.DataFrame(columns=["order", "n", "share"])
    labels = markers["cell_type"].astype(str)
    rows = []
    for order in permutations(names):
        other = markers.assign(cell_type=labels.map(dict(zip(order, names, strict=True))))
        agree, n = share(signs(contrasts, other[other["cell_type"].notna()]), grades)
        rows.append((", ".join(order), n, agree / n if n else np.nan))
    return pd.DataFrame(rows, columns=["order", "n", "share"])


def place(orders: pd.DataFrame) -> int:
    """Place of the true order among all, 1 for the best; ties count against it. 0 where there is none."""
    return int((orders["share"] >= orders["share"].iloc[0]).sum()) if len(orders) else 0
