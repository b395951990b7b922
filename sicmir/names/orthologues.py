"""Genes and miRNAs of the mouse under the names of their human orthologues.

Writing a mouse symbol in capitals finds most orthologues and guesses the rest. The tables used here were made
from identifiers (genes) and from mature sequences (miRNAs), and hold pairs of one and one alone.
"""

from __future__ import annotations

import re
from functools import cache

import numpy as np
import pandas as pd
from anndata import AnnData

from sicmir import paths
from sicmir.errors import PanelError

_ENSEMBL = re.compile(r"(ENSMUSG\d{11})(?:\.\d+)?")


@cache
def _table(name: str) -> pd.DataFrame:
    return pd.read_csv(paths.reference(name), keep_default_na=False)


def mouse_genes() -> pd.DataFrame:
    """Give the landmark genes that have one orthologue in the mouse, which has no other one in man.

    Returns
    -------
    DataFrame
        ``symbol`` of the landmark as published, ``mouse`` (symbol of MGI), ``aliases`` (former symbols and
        synonyms that belong to no other mouse gene; ;-joined) and ``ensembl`` (of the mouse gene).
    """
    return _table("mouse_genes.csv").copy()


def mouse_mirnas() -> pd.DataFrame:
    """Mature miRNAs of the mouse, ``mouse``, that are the same in man, under their names there, ``human``.

    The same: one mature sequence is the other, or the other with nucleotides more at its 3' end. Sequences
    that several miRNAs share in a species are left out.
    """
    return _table("mouse_mirnas.csv").copy()


def genes_to_human(mrna: AnnData) -> AnnData:
    """Name the landmark genes of a mouse table as in man; all other genes stay as they are.

    The others are needed: a library size is the sum of all genes.

    Parameters
    ----------
    mrna
        Samples or cells × genes, named by symbol or Ensembl id of the mouse.

    Returns
    -------
    AnnData
        A copy. ``var["mouse"]``: names as they were; ``uns["sicmir"]["orthologues"]``: how many landmarks
        were found by ``symbol``, ``alias`` and ``ensembl``. Of two columns of one landmark, the one under
        today's symbol is taken.

    Raises
    ------
    PanelError
        If no landmark is found under a name of the mouse.

    References
    ----------
    HGNC, Seal et al. 2023, doi:10.1093/nar/gkac888 (orthologues); MGI, Baldarelli et al. 2024,
    doi:10.1093/genetics/iyae031 (symbols).
    """
    table = _table("mouse_genes.csv")
    known = {"symbol": dict(zip(table["mouse"], table["symbol"], strict=True))}
    known["alias"] = {
        alias: symbol
        for symbol, aliases in zip(table["symbol"], table["aliases"], strict=True)
        for alias in filter(None, aliases.split(";"))
    }
    known["ensembl"] = dict(zip(table["ensembl"], table["symbol"], strict=True))
    names = [str(name) for name in mrna.var_names]
    ids = [match[1] if (match := _ENSEMBL.fullmatch(name)) else "" for name in names]
    new, counts = list(names), {}
    taken: set[str] = set()
    for status, index in known.items():
        before = len(taken)
        for place, name in enumerate(ids if status == "ensembl" else names):
            symbol = index.get(name)
            if symbol is not None and symbol not in taken:
                new[place] = symbol
                taken.add(symbol)
        counts[status] = len(taken) - before
    if not taken:
        raise PanelError(
            f"None of {mrna.n_vars} genes, such as {', '.join(names[:3])}, is a mouse orthologue of a "
            "landmark gene. Expected symbols such as Psme1, or Ensembl ids such as ENSMUSG00000022216."
        )
    found = mrna.copy()
    found.var["mouse"] = names
    found.var_names = new
    found.uns["sicmir"] = dict(mrna.uns.get("sicmir", {})) | {"species": "mouse", "orthologues": counts}
    return found


def mirnas_to_human(mirna: AnnData) -> AnnData:
    """Keep the miRNAs of a mouse table that are the same in man, under their human names.

    Parameters
    ----------
    mirna
        Samples × mature miRNAs of the mouse.

    Returns
    -------
    AnnData
        A copy. ``var["mouse"]``: names as they were; ``uns["sicmir"]["dropped"]``: those left out.

    Raises
    ------
    PanelError
        If none is left.
    """
    table = _table("mouse_mirnas.csv")
    human = pd.Series(mirna.var_names).map(dict(zip(table["mouse"], table["human"], strict=True)))
    keep = human.notna().to_numpy()
    if not keep.any():
        raise PanelError(
            f"None of {mirna.n_vars} miRNAs, such as {', '.join(map(str, mirna.var_names[:3]))}, is a mature "
            "miRNA of the mouse that is the same in man. Expected names such as mmu-miR-21a-5p."
        )
    found = mirna[:, np.flatnonzero(keep)].copy()
    found.var["mouse"] = found.var_names.to_numpy()
    found.var_names = human[keep].to_numpy()
    found.uns["sicmir"] = dict(mirna.uns.get("sicmir", {})) | {
        "species": "mouse",
        "dropped": np.array(mirna.var_names[~keep], dtype=str),
    }
    return found
