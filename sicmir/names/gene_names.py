"""Names of the 977 landmark genes, and which landmark a column of a table is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

import pandas as pd
from anndata import AnnData

from sicmir import paths
from sicmir.errors import PanelError

# From the surest kind of match to the least: the surest wins where a landmark is found twice.
STATUSES = ("symbol", "alias", "entrez", "ensembl")
_ENSEMBL = re.compile(r"(ENSG\d{11})(?:\.\d+)?(?:_PAR_Y)?")
_OTHER_ENSEMBL = re.compile(r"ENS([A-Z]{3,4})G\d{11}(?:\.\d+)?")
_OTHER_SPECIES = {"MUS": "mouse", "RNO": "rat"}
# What Cell Ranger puts before the genes of each of two species; how both names of a gene are joined.
_HUMAN, _MOUSE = re.compile(r"(?:GRCh\d+|hg\d+)_+(.+)"), re.compile(r"(?:GRCm\d+|mm\d+)_+.+")
_HUMAN_PREFIXES, _MOUSE_PREFIXES = ("GRCh", "hg"), ("GRCm", "mm")
_SYMBOL_FIRST = re.compile(r"(.+)_(ENSG\d{11}(?:\.\d+)?)")
_ENSEMBL_FIRST = re.compile(r"(ENSG\d{11}(?:\.\d+)?)[_|](?!PAR_Y)(.+)")


@cache
def _table() -> pd.DataFrame:
    return pd.read_csv(paths.reference("landmarks.csv"), keep_default_na=False)


def landmarks() -> pd.DataFrame:
    """Return the 977 L1000 landmark genes in the order in which SiCmiR was published.

    Returns
    -------
    DataFrame
        ``symbol`` (as published); ``aliases`` (today's symbol first where it changed, then former symbols
        that belong to no other gene; ;-joined); ``entrez`` (int); ``ensembl`` (gene id without version);
        ``ensembl_former`` (the gene's id in GRCh37 where that was another; ;-joined). A copy: changing
        it changes nothing else.

    References
    ----------
    Subramanian et al. 2017, doi:10.1016/j.cell.2017.10.049 (the landmark genes).

    Examples
    --------
    >>> import sicmir
    >>> sicmir.panel.landmarks()[["symbol", "entrez", "ensembl"]].head(2)
      symbol  entrez          ensembl
    0  PSME1    5720  ENSG00000092010
    1  CISD1   55847  ENSG00000122873
    """
    return _table().copy()


@cache
def _symbols() -> dict[str, tuple[int, str]]:
    """Place in the panel and kind of match for every symbol; a landmark's own symbol beats any alias."""
    index: dict[str, tuple[int, str]] = {}
    for status, column in (("symbol", "symbol"), ("alias", "aliases")):
        for place, names in enumerate(_table()[column]):
            for name in filter(None, names.split(";")):
                index.setdefault(name, (place, status))
    # R's make.names turns HLA-DRA into HLA.DRA.
    for name in [name for name in index if "-" in name]:
        index.setdefault(name.replace("-", "."), (index[name][0], "alias"))
    return index


@cache
def _identifiers() -> dict[str, tuple[int, str]]:
    """Place in the panel and kind of match for every Entrez and Ensembl id."""
    table = _table()
    index = {str(entrez): (place, "entrez") for place, entrez in enumerate(table["entrez"])}
    for column in ("ensembl", "ensembl_former"):
        for place, ids in enumerate(table[column]):
            index |= dict.fromkeys(filter(None, ids.split(";")), (place, "ensembl"))
    return index


def find_landmark(name: str) -> tuple[int, str] | None:
    """Place in the panel of the landmark behind one name, and the kind of match; None if there is none."""
    if name.startswith(_HUMAN_PREFIXES) and (human := _HUMAN.fullmatch(name)):
        name = human[1]
    if "ENSG" in name:
        if ensembl := _ENSEMBL.fullmatch(name):
            return _identifiers().get(ensembl[1])
        if joined := _SYMBOL_FIRST.fullmatch(name):
            name = f"{joined[1]}|{joined[2]}"
        elif joined := _ENSEMBL_FIRST.fullmatch(name):
            name = f"{joined[2]}|{joined[1]}"
    if "|" in name:
        # Symbols come and go, Entrez ids stay: the id decides, the symbol only says how it was found. Other
        # ids than these may be of any release: one that is not known leaves it to the symbol.
        symbol, _, identifier = name.rpartition("|")
        ensembl = _ENSEMBL.fullmatch(identifier)
        by_id = _identifiers().get(ensembl[1] if ensembl else identifier)
        by_symbol = _symbols().get(symbol)
        if by_id and by_symbol and by_symbol[0] == by_id[0]:
            return by_symbol
        return by_id if by_id or identifier.isdigit() else by_symbol
    return _symbols().get(name) or _identifiers().get(name)


def read_names(adata: AnnData, gene_key: str) -> list[str]:
    """Gene names of a table: ``var_names``, or a column of ``var`` in which "" stands for a missing entry.

    Raises
    ------
    PanelError
        If there is no such column, or an entry is empty (``var_names`` only), no text or no whole number.
    """
    if not gene_key:
        names = [name.strip() if isinstance(name, str) else "" for name in adata.var_names.tolist()]
        if "" in names:
            raise PanelError(
                f"Every entry of var_names must be a gene name; found {adata.var_names[names.index('')]!r}. "
                "Rename or drop that column, or choose the column of var that holds the names by gene_key."
            )
        return names
    if gene_key not in adata.var:
        there = ", ".join(map(str, adata.var.columns)) or "none"
        raise PanelError(f"var has no column {gene_key!r} (gene_key); it has: {there}.")
    column = adata.var[gene_key]
    if pd.api.types.is_numeric_dtype(column.dtype):
        # Entrez ids become float as soon as one is missing.
        if not (column.dropna() % 1 == 0).all():
            raise PanelError(f"var[{gene_key!r}] must hold names or Entrez ids; found fractional numbers.")
        return ["" if pd.isna(value) else str(int(value)) for value in column]
    wrong = [value for value in column if not pd.isna(value) and not isinstance(value, str)]
    if wrong:
        raise PanelError(f"var[{gene_key!r}] must hold text or Entrez ids; found {wrong[0]!r}.")
    return ["" if pd.isna(value) else value.strip() for value in column]


def foreign_genes(names: list[str]) -> Iterator[tuple[str, str]]:
    """Names that look like genes of another species, each with that species."""
    rodent = _rodent_symbols()
    for name in names:
        if name in rodent or (name.startswith(_MOUSE_PREFIXES) and _MOUSE.fullmatch(name)):
            yield name, "mouse"
        elif name.startswith("ENS") and (found := _OTHER_ENSEMBL.fullmatch(name)):
            yield name, _OTHER_SPECIES.get(found[1], f"species {found[1]}")


@cache
def _rodent_symbols() -> frozenset[str]:
    return frozenset(name.capitalize() for name in _symbols()) - _symbols().keys()
