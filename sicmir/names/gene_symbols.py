"""Symbols of human genes: what a gene of an older or newer table is called today."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache

import pandas as pd

from sicmir import paths
from sicmir.errors import PanelError, ParameterError
from sicmir.names.gene_names import find_landmark, landmarks

_COMPOSITE = re.compile(r"(.*)\|(\d+)")
_ENSEMBL = re.compile(r"(ENSG\d{11})(?:\.\d+)?(?:_PAR_Y)?")


@cache
def _table() -> pd.DataFrame:
    return pd.read_csv(paths.reference("genes.csv.gz"), dtype=str, keep_default_na=False)


@cache
def _symbols() -> frozenset[str]:
    return frozenset(_table()["symbol"])


@cache
def _identifiers() -> dict[str, str]:
    """Current symbol of every Entrez and Ensembl id."""
    table = _table()
    return {
        identifier: symbol
        for column in ("entrez", "ensembl")
        for identifier, symbol in zip(table[column], table["symbol"], strict=True)
        if identifier
    }


@cache
def _previous() -> dict[str, tuple[str, ...]]:
    """Current symbols behind every former one; also in the form that R makes of a name with a hyphen."""
    found: dict[str, set[str]] = {}
    for symbol, former in _table()[["symbol", "previous"]].itertuples(index=False):
        for old in filter(None, [*former.split(";"), symbol.replace("-", ".") if "-" in symbol else ""]):
            found.setdefault(old, set()).add(symbol)
    return {old: tuple(sorted(symbols)) for old, symbols in found.items()}


@cache
def landmark_symbols() -> frozenset[str]:
    """Current symbols of the 977 landmark genes, found by their Entrez ids."""
    return frozenset(_identifiers()[str(entrez)] for entrez in landmarks()["entrez"])


def current_symbols(names: Iterable[str]) -> pd.DataFrame:
    """Look up what human genes are called today. Nothing is guessed: doubt is reported.

    A name that is a current symbol is taken for that gene, although it may once have been another's. Synonyms
    that never were approved are not used, since many are shared by several genes.

    Parameters
    ----------
    names
        Symbols, ``SYMBOL|ENTREZ`` (the id decides), Entrez ids or Ensembl gene ids, mixed if need be. Case
        matters: Hif1a is a gene of the mouse.

    Returns
    -------
    DataFrame
        One row a name, in the given order. Index ``name``; ``current`` (HGNC symbol, "" unless it is
        certain); ``status``: "current", "renamed" (also of ids), "ambiguous" (a former symbol of several
        genes) or "unknown"; ``landmark``: whether it is one of the 977.

    Raises
    ------
    ParameterError
        If one text is given in place of a list.
    PanelError
        If a name is no text.

    References
    ----------
    HGNC, Seal et al. 2023, doi:10.1093/nar/gkac888.
    """
    if isinstance(names, str):
        raise ParameterError(f"Expected a list of gene names, found the text {names!r}: use [{names!r}].")
    names = list(names)
    wrong = [name for name in names if not isinstance(name, str)]
    if wrong:
        raise PanelError(f"Gene names must be text; found {wrong[0]!r} ({type(wrong[0]).__name__}).")
    rows = []
    for name in names:
        current, status = _look_up(name)
        landmark = current in landmark_symbols() or find_landmark(name) is not None
        rows.append((name, current, status, landmark))
    return pd.DataFrame(rows, columns=["name", "current", "status", "landmark"]).set_index("name")


def _look_up(name: str) -> tuple[str, str]:
    """Current symbol and status of one name."""
    identifier = ""
    if composite := _COMPOSITE.fullmatch(name):
        identifier = composite[2]
    elif ensembl := _ENSEMBL.fullmatch(name):
        identifier = ensembl[1]
    elif name.isdigit():
        identifier = name
    if identifier:
        current = _identifiers().get(identifier, "")
        return (current, "renamed") if current else ("", "unknown")
    if name in _symbols():
        return name, "current"
    successors = _previous().get(name, ())
    if len(successors) == 1:
        return successors[0], "renamed"
    return "", "ambiguous" if successors else "unknown"
