"""Genes beyond the landmarks, for the samples of a collection."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd

from sicmir.data.catalogue import load_paired
from sicmir.data.collection import Recipe

_TABLE = "mrna_genes.parquet"


def load_genes(recipe: Recipe, root: str | Path, genes: Sequence[str], mrna: ad.AnnData) -> ad.AnnData:
    """Look up genes that are no landmarks, such as host genes of miRNAs.

    They come from the tables ``mrna_genes.parquet`` (column ``feature``, then samples) of the sets that have
    one, and from the mRNA of sets of the manifest. Sets on another scale (``offsets``, ``matched``) are left
    out.

    Parameters
    ----------
    recipe, root
        As for :func:`sicmir.data.collection.load_collection`.
    genes
        Symbols.
    mrna
        The collection: its samples are returned, in its order.

    Returns
    -------
    Samples × genes, log2(x+1), NaN where not measured.
    """
    wanted = pd.Index(genes).unique()
    found = pd.DataFrame(np.nan, index=mrna.obs_names, columns=wanted)
    for member in recipe.sets:
        if member.offsets or member.matched:
            continue
        path = Path(root) / member.set / _TABLE
        if path.is_file():
            table = pd.read_parquet(path).drop_duplicates("feature").set_index("feature").T
        elif not path.parent.is_dir():
            table = load_paired(member.set)[0].to_df()
            table.columns = table.columns.str.split("|").str[0]
            table = table.loc[:, ~table.columns.duplicated()]
        else:
            continue
        found = found.combine_first(table.reindex(index=mrna.obs_names, columns=wanted))
    values = found.loc[mrna.obs_names, wanted].to_numpy(dtype=np.float32)
    return ad.AnnData(values, obs=mrna.obs.copy(), var=pd.DataFrame(index=wanted))
