"""Names of human miRNAs: miRBase v22, what they were called before, and stem-loop against mature."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Literal

import pandas as pd

from sicmir import paths
from sicmir.errors import PanelError, ParameterError

Level = Literal["mature", "stem-loop"]
LEVELS: tuple[Level, ...] = ("mature", "stem-loop")
_SHOWN = 5


@cache
def _table() -> pd.DataFrame:
    """Shipped table, current and removed names alike; text columns hold "" where nothing is known."""
    table = pd.read_csv(paths.reference("mirna.csv.gz"), dtype=str, keep_default_na=False)
    table["n_loci"] = table["n_loci"].astype(int)
    table["published"] = pd.to_numeric(table["published"]).astype("Int64")
    return table


@cache
def _current() -> dict[str, Level]:
    """Level of every current name. No name is current at both levels."""
    table = _table()
    current = table[table["status"] == "current"]
    return dict(zip(current["name"], current["level"], strict=True))


@cache
def _previous() -> dict[str, tuple[tuple[str, Level], ...]]:
    """Current (name, level) pairs behind every former name."""
    found: dict[str, list[tuple[str, Level]]] = {}
    for name, level, former in _table()[["name", "level", "previous"]].itertuples(index=False):
        for old in filter(None, former.split(";")):
            found.setdefault(old, []).append((name, level))
    return {old: tuple(pairs) for old, pairs in found.items()}


@cache
def _removed() -> dict[str, Level]:
    table = _table()
    removed = table[table["status"] == "removed"]
    return dict(zip(removed["name"], removed["level"], strict=True))


def mirnas() -> pd.DataFrame:
    """Names of miRBase v22, human: 2,652 mature miRNAs and their 1,913 stem-loops, one row each.

    Returns
    -------
    DataFrame
        ``name``; ``level`` (mature | stem-loop); ``accession`` (MIMAT… | MI…); ``arm`` ("5p", "3p", "" where
        the name states none); ``stem_loops`` of a mature miRNA and ``matures`` of a stem-loop (;-joined);
        ``family`` (TargetScan 7, ;-joined where it gives a miRNA two seeds); ``seed`` (nucleotides 2-8);
        ``host_genes`` (Ensembl 86, same strand); ``cluster`` (chromosome:start-end(strand) of stem-loops less
        than 10 kb apart, "" for a lone one); ``n_loci`` in GRCh38; ``previous`` names (;-joined);
        ``published`` (place, from 0, among the 1,298 miRNAs of the SiCmiR authors; missing where not there).
        A copy: changing it changes nothing else.

    Examples
    --------
    >>> import sicmir
    >>> sicmir.panel.mirnas()[["name", "level", "family", "n_loci"]].head(2)
                  name   level                                 family  n_loci
    0  hsa-let-7a-2-3p  mature                  let-7a-2-3p/let-7g-3p       1
    1    hsa-let-7a-3p  mature  let-7a-3p/let-7b-3p/let-7f-1-3p/98-3p       2
    """
    table = _table()
    return table[table["status"] == "current"].drop(columns="status").reset_index(drop=True)


def single_locus() -> pd.DataFrame:
    """Mature miRNAs with one locus, beside the stem-loop they come from: 1,073 pairs measured in TCGA.

    A stem-loop model may speak of a mature name only where the two agree, and this table says how far.

    Returns
    -------
    DataFrame
        ``mature``; ``stem_loop``; ``arm_share`` (its share, 0 to 1, of the reads of the arms listed here for
        that stem-loop: 1 says little where the other arm has several loci, as for hsa-let-7a-2-3p);
        ``r_stemloop`` (Pearson correlation of mature and stem-loop, log2(RPM+1)); ``mean_log2`` of the mature
        miRNA; ``offset`` (median of stem-loop minus mature, log2). From 2,342 TCGA samples of BRCA, LUAD,
        PRAD and CHOL.

    Examples
    --------
    >>> import sicmir
    >>> sicmir.panel.single_locus()[["mature", "stem_loop", "r_stemloop"]].head(2)
                mature     stem_loop  r_stemloop
    0  hsa-let-7a-2-3p  hsa-let-7a-2     -0.1291
    1    hsa-let-7b-3p    hsa-let-7b      0.7715
    """
    return pd.read_csv(paths.reference("single_locus.csv"))


def level_of(names: Iterable[str]) -> Level:
    """Tell whether names are of mature miRNAs or of stem-loops; current, former and removed names count.

    A few names are a stem-loop today and were a mature miRNA before (hsa-let-7b): the other names decide,
    and where there are no others, today's meaning holds.

    Raises
    ------
    PanelError
        If no name is given, a name is not a human miRNA of miRBase, or both levels are mixed.

    Examples
    --------
    >>> import sicmir
    >>> sicmir.panel.level_of(["hsa-miR-21-5p", "hsa-let-7a-5p"]), sicmir.panel.level_of(["hsa-mir-21"])
    ('mature', 'stem-loop')
    """
    names = _checked(names)
    if not names:
        raise PanelError("No miRNA name was given: expected names such as hsa-miR-21-5p or hsa-mir-21.")
    known: dict[str, set[Level]] = {}
    for name in names:
        levels = {level for _, level in _previous().get(name, ())}
        levels |= {table[name] for table in (_current(), _removed()) if name in table}
        known[name] = levels
    unknown = [name for name, levels in known.items() if not levels]
    if unknown:
        raise PanelError(
            f"{len(unknown)} of {len(names)} names are not human miRNAs of miRBase ({_some(unknown)}). "
            "Expected names such as hsa-miR-21-5p (mature) or hsa-mir-21 (stem-loop): check species and "
            "spelling, or drop them."
        )
    only = {level: [name for name, levels in known.items() if levels == {level}] for level in LEVELS}
    if only["mature"] and only["stem-loop"]:
        raise PanelError(
            f"Names of both levels are mixed: {len(only['mature'])} mature ({_some(only['mature'])}) and "
            f"{len(only['stem-loop'])} stem-loops ({_some(only['stem-loop'])}). Split the table by level."
        )
    if only["mature"] or only["stem-loop"]:
        return "mature" if only["mature"] else "stem-loop"
    today = {told for name in names if (told := _current().get(name))}
    if len(today) != 1:
        raise PanelError(f"The level of {_some(names)} cannot be told from the names alone.")
    return today.pop()


def current_mirna_names(names: Iterable[str], level: Level | Literal[""] = "") -> pd.DataFrame:
    """Look up what miRNAs are called in miRBase v22. Nothing is guessed: doubt is reported.

    Parameters
    ----------
    names
        Names of any miRBase version. Case matters: hsa-mir-21 is a stem-loop, hsa-miR-21 an old mature name.
    level
        Look among mature names or stem-loops only. "" takes both; hsa-let-7b is then the stem-loop of today,
        while ``level="mature"`` reads it as the former name of hsa-let-7b-5p.

    Returns
    -------
    DataFrame
        One row a name, in the given order. Index ``name``; ``current`` ("" unless it is certain); ``status``:
        "current" (already a v22 name), "renamed" (one successor), "ambiguous" (several), "removed" (in
        earlier versions only), "unknown"; ``candidates``: other or possible current names, ;-joined. A
        name that is current and was once another's (hsa-miR-299-5p) is "current" with the other as
        candidate. Former names may share a successor: look for duplicates before renaming columns.

    Raises
    ------
    ParameterError
        If ``level`` is not "", "mature" or "stem-loop".

    Examples
    --------
    >>> import sicmir
    >>> sicmir.panel.current_mirna_names(["hsa-miR-21", "hsa-miR-21-5p"])
                         current   status candidates
    name
    hsa-miR-21     hsa-miR-21-5p  renamed
    hsa-miR-21-5p  hsa-miR-21-5p  current
    """
    if level not in ("", *LEVELS):
        raise ParameterError(f'level must be "", "mature" or "stem-loop", not {level!r}.')
    rows = []
    for name in _checked(names):
        successors = sorted({new for new, at in _previous().get(name, ()) if level in ("", at)})
        if name in _current() and level in ("", _current()[name]):
            rows.append((name, name, "current", ";".join(successors)))
        elif len(successors) == 1:
            rows.append((name, successors[0], "renamed", ""))
        elif successors:
            rows.append((name, "", "ambiguous", ";".join(successors)))
        else:
            gone = name in _removed() and level in ("", _removed()[name])
            rows.append((name, "", "removed" if gone else "unknown", ""))
    return pd.DataFrame(rows, columns=["name", "current", "status", "candidates"]).set_index("name")


def _checked(names: Iterable[str]) -> list[str]:
    if isinstance(names, str):
        raise ParameterError(f"Expected a list of miRNA names, found the text {names!r}: use [{names!r}].")
    names = list(names)
    wrong = [name for name in names if not isinstance(name, str)]
    if wrong:
        raise PanelError(f"miRNA names must be text; found {wrong[0]!r} ({type(wrong[0]).__name__}).")
    return names


def _some(names: list[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
