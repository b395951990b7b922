"""What the literature says of single miRNAs, and whether effects of a run agree with it.

The claims lie in ``reference/claims.csv``, each with its DOI; none is chosen by what a run finds. A claim
names a direction and no size, so that an effect can agree, disagree, or leave the claim open.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd

from sicmir import panel, paths, trust
from sicmir.errors import DataError

COLUMNS = ("page", "mirna", "direction", "contrast", "statement", "source", "doi")
DIRECTIONS = {"up": 1.0, "down": -1.0}
AGREES, DISAGREES, OPEN = "agrees", "disagrees", "cannot tell"

MIN_R = 0.9
"""Smallest Pearson r of a mature miRNA with the stem-loop that stands for it."""

_JUDGED = ["judged_by", "effect", "lower", "upper", "grade", "verdict", "reason"]

_DOI = re.compile(r"10\.\d{4,9}/\S+")


def load(page: str = "", contrast: str = "", path: str | Path = "") -> pd.DataFrame:
    """Read the claims, all of them checked.

    Parameters
    ----------
    page
        Only those of this page, such as ``30_hcc``; "" for all.
    contrast
        Only those of this contrast, such as ``tumour against normal``; "" for all.
    path
        A file of your own with the same columns; "" takes the one that comes with the package.

    Returns
    -------
    DataFrame
        One row a claim: ``page``; ``mirna``, a mature miRNA of miRBase v22; ``direction``, "up" or "down"
        of the first named group of the ``contrast``; ``statement``, what was found; ``source``, first author
        and year, or journal and year; ``doi``.

    Raises
    ------
    DataError
        If the file cannot be read, a column or an entry is missing, a miRNA is not current, a direction or a
        DOI is none, or a claim stands there twice; or if there is no claim of that page and contrast.
    """
    path = Path(path) if path else paths.reference("claims.csv")
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read as CSV ({error}).") from error
    if list(table.columns) != list(COLUMNS):
        raise DataError(
            f"{path}: expected the columns {', '.join(COLUMNS)}; found {', '.join(table.columns)}."
        )
    mature = panel.mirnas().query("level == 'mature'")["name"]
    for what, wrong, expected in (
        ("is empty", table.eq("").any(axis=1), "an entry in each column"),
        ("mirna", ~table["mirna"].isin(mature), "a mature name of miRBase v22, such as hsa-miR-21-5p"),
        ("direction", ~table["direction"].isin(list(DIRECTIONS)), "up or down"),
        ("doi", ~table["doi"].map(lambda text: bool(_DOI.fullmatch(text))), "a DOI that starts with 10."),
        ("occurs twice", table.duplicated(["page", "mirna", "contrast", "doi"]), "each claim once"),
    ):
        if wrong.any():
            row = table[wrong].iloc[0]
            found = f"{what} {row[what]!r}" if what in table else what
            raise DataError(f"{path}, line {row.name + 2} ({row['mirna']}): {found}; expected {expected}.")
    chosen = table[table["page"].eq(page) | (page == "")]
    chosen = chosen[chosen["contrast"].eq(contrast) | (contrast == "")]
    if chosen.empty:
        raise DataError(
            f"{path}: no claim of the page {page!r} and the contrast {contrast!r}. There are the pages "
            f"{', '.join(table['page'].unique())} and the contrasts {', '.join(table['contrast'].unique())}."
        )
    return chosen.reset_index(drop=True)


def judge(
    claims: pd.DataFrame,
    effects: pd.DataFrame,
    min_grade: str = "",
    limits: tuple[str, str] = ("lower", "upper"),
) -> pd.DataFrame:
    """Say of each claim whether the effects agree with it.

    Where the effects are of stem-loops, a mature miRNA of one locus is judged by its stem-loop, if the two
    correlate by :data:`MIN_R` (:func:`sicmir.panel.single_locus`), and one of several loci by its stem-loops
    together: of those that are graded well enough, the one whose effect is nearest to 0 decides, and none if
    their signs differ.

    Parameters
    ----------
    claims
        As :func:`load` gives them, of one contrast.
    effects
        One row a miRNA, of the same contrast, such as :func:`sicmir.stats.differential` gives it for one cell
        type: ``mirna`` (or the index), ``effect``, the two ``limits``, and where they are there ``grade`` and
        ``greyed``.
    min_grade
        Worst grade that may speak, "" for all.
    limits
        Columns of the interval. ``("lower_total", "upper_total")`` take the errors of prediction along.

    Returns
    -------
    DataFrame
        ``claims`` with ``judged_by`` (name in ``effects``, ;-joined, "" for none), ``effect``, ``lower``,
        ``upper``, ``grade`` of the one that decides; ``verdict``, one of "agrees", "disagrees" and
        "cannot tell"; ``reason`` of the last. An interval that holds 0 cannot tell.

    Raises
    ------
    DataError
        If claims are of several contrasts, effects lack a column or name a miRNA twice, or ``min_grade`` asks
        for grades that are not there.
    ParameterError
        If there is no such grade.
    """
    if len(claims["contrast"].unique()) > 1:
        raise DataError(f"Judge one contrast at a time; found {', '.join(claims['contrast'].unique())}.")
    table = effects.set_index("mirna") if "mirna" in effects else effects
    wanted = ["effect", *limits, *(["grade"] if min_grade else [])]
    absent = [name for name in wanted if name not in table]
    if absent or table.index.has_duplicates:
        raise DataError(
            f"Expected effects with {', '.join(wanted)}, each miRNA once; "
            + (f"{', '.join(absent)} absent." if absent else "a miRNA occurs twice: give one cell type.")
        )
    table = table.assign(lower=table[limits[0]], upper=table[limits[1]])
    table["grade"] = table["grade"].astype(str) if "grade" in table else ""
    low = ~trust.at_least(table["grade"], min_grade) if min_grade else np.zeros(len(table), dtype=bool)
    table["low"] = low | (table["greyed"].to_numpy(dtype=bool) if "greyed" in table else False)
    rows = [_one(table, _names(claim.mirna, table.index), claim.direction) for claim in claims.itertuples()]
    return claims.join(pd.DataFrame(rows, index=claims.index, columns=_JUDGED))


def counts(judged: pd.DataFrame) -> dict[str, int]:
    """How many claims of :func:`judge` have each verdict: ``agrees, disagrees, cannot_tell``."""
    return {
        verdict.replace(" ", "_"): int((judged["verdict"] == verdict).sum())
        for verdict in (AGREES, DISAGREES, OPEN)
    }


def told(judged: pd.DataFrame, of: str = "published claims", by: str = "the run") -> str:
    """How many claims of :func:`judge` something agrees with, in a sentence.

    Parameters
    ----------
    judged
        Claims with their verdict.
    of, by
        What the claims are called, and what they are judged by.
    """
    if judged.empty:
        return f"No {of} are about what is compared here, so that none are judged."
    found = counts(judged)
    return (
        f"Of {len(judged)} {of} {by} agrees with {found['agrees']}, disagrees with {found['disagrees']}, and "
        f"cannot tell of {found['cannot_tell']}."
    )


def _names(mature: str, there: pd.Index) -> list[str]:
    """Names among those that are there by which a mature miRNA can be judged."""
    if mature in there:
        return [mature]
    facts = panel.mirnas().set_index("name").loc[mature]
    stem_loops = facts["stem_loops"].split(";")
    if facts["n_loci"] == 1:
        known = panel.single_locus().set_index("mature")["r_stemloop"]
        stem_loops = stem_loops if known.get(mature, np.nan) >= MIN_R else []
    return [name for name in stem_loops if name in there]


def _one(table: pd.DataFrame, names: list[str], direction: str) -> dict[str, object]:
    """Verdict on one claim."""
    found = {"judged_by": ";".join(names), "effect": np.nan, "lower": np.nan, "upper": np.nan, "grade": ""}
    if not names:
        return found | {"verdict": OPEN, "reason": "not among the miRNAs of the run"}
    rows = table.loc[names]
    rows = rows[rows["low"] == rows["low"].min()]
    known = rows[rows["effect"].notna()]
    if known.empty:
        return found | {"grade": rows["grade"].min(), "verdict": OPEN, "reason": "no effect was estimated"}
    row = known.loc[known["effect"].abs().idxmin()]
    found |= {name: row[name] for name in ("effect", "lower", "upper", "grade")}
    if row["low"]:
        reason = "not graded well enough"
    elif known["effect"].min() < 0 < known["effect"].max():
        reason = "its stem-loops go different ways"
    elif not (np.isfinite(row["lower"]) and np.isfinite(row["upper"])):
        reason = "no interval: too few donors"
    elif row["lower"] <= 0 <= row["upper"]:
        reason = "the interval holds 0"
    else:
        same = np.sign(row["effect"]) == DIRECTIONS[direction]
        return found | {"verdict": AGREES if same else DISAGREES, "reason": ""}
    return found | {"verdict": OPEN, "reason": reason}
