"""The network of a miRNA in a cell type: its measured targets, and whether they go against it."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd

from sicmir.atlas.query import Atlas
from sicmir.atlas.tables import EXACT
from sicmir.donors.mirna_findings import adjusted
from sicmir.errors import DataError
from sicmir.networks.network import edges

_UNITS = """
SELECT {name}, dataset, donor, avg(value::{exact}) FILTER (cell_type = $cell_type) AS own,
    avg(value::{exact}) FILTER (cell_type <> $cell_type) AS others
FROM (
    SELECT {name}, dataset, donor, cell_type, avg({value}::{exact}) AS value FROM {table}
    SEMI JOIN (SELECT dataset, donor, cell_type, condition FROM mirna WHERE mirna = $any AND NOT abstained)
    USING (dataset, donor, cell_type, condition)
    WHERE {name} IN (SELECT unnest($names)) AND {value} IS NOT NULL GROUP BY ALL
) GROUP BY ALL HAVING own IS NOT NULL ORDER BY {name}, dataset, donor
"""


def network(atlas: Atlas, mirna: str, cell_type: str) -> pd.DataFrame:
    """Targets of a miRNA in a cell type: expression, difference from other cell types, correlation by donor.

    Only targets outside the 977 genes that the miRNA is predicted from are in the atlas, for else the
    network would be one of the model (Andrews & Hemberg 2018, doi 10.12688/f1000research.16613.2). What
    makes a cell type drives miRNAs and genes alike: a difference is a picture to rank by, no evidence of
    repression.

    Parameters
    ----------
    atlas
        Opened.
    mirna
        Name, also a short one; "" for all, one after the other.
    cell_type
        Its name in the atlas.

    Returns
    -------
    DataFrame
        A row for each target that was measured, those that most go against the miRNA first: ``mirna,
        cell_type, gene, evidence``; ``expression``, mean over donors of log2(CPM+1); ``n_datasets`` and
        ``n_donors`` with the cell type; ``difference`` of the gene and ``mirna_difference``, both from the
        mean of the other cell types of the same donor, mean over ``n_compared`` donors that have one; groups
        without a prediction are left out of both; ``n_opposite``, donors in which the two have opposite
        signs; ``r``, partial correlation of the two over donors within data sets, ``p`` and ``q`` over the
        targets of the miRNA (:func:`sicmir.networks.network.edges`), NaN where ``status`` says why; and how
        far the miRNA can be believed.

    Raises
    ------
    ParameterError
        If the miRNA or the cell type is not in the atlas.
    DataError
        If none of its targets was measured in the cell type, or nothing is predicted there.
    """
    name, kind = atlas.mirna(mirna) if mirna else "", atlas.label("cell_type", cell_type)
    pairs = atlas.sql(
        "SELECT mirna, gene, min(evidence) AS evidence FROM targets WHERE mirna = $name OR $name = '' "
        "GROUP BY ALL ORDER BY mirna, gene",
        {"name": name},
    )
    # Genes and miRNAs are held against the same groups, which are those with a prediction.
    chosen = {"cell_type": kind, "any": atlas.trust.index[0]}
    genes = atlas.sql(
        _UNITS.format(name="gene", value="expression", table="genes", exact=EXACT),
        chosen | {"names": pairs["gene"].unique().tolist()},
    )
    own = atlas.sql(
        _UNITS.format(name="mirna", value="predicted", table="mirna", exact=EXACT),
        chosen | {"names": pairs["mirna"].unique().tolist()},
    )
    both = pairs.merge(genes, on="gene").merge(own, on=["mirna", "dataset", "donor"], suffixes=("", "_mirna"))
    if both.empty:
        of = f" of {name}" if name else ""
        raise DataError(
            f"Of {len(pairs)} targets{of} none was measured in {kind!r} beside a prediction of it."
        )
    both["difference"] = both["own"] - both["others"]
    both["mirna_difference"] = both["own_mirna"] - both["others_mirna"]
    both["opposite"] = both["difference"] * both["mirna_difference"] < 0
    table = both.groupby(["mirna", "gene"]).agg(
        expression=("own", "mean"),
        n_datasets=("dataset", "nunique"),
        n_donors=("donor", "size"),
        difference=("difference", "mean"),
        mirna_difference=("mirna_difference", "mean"),
        n_compared=("difference", "count"),
        n_opposite=("opposite", "sum"),
    )
    table = pairs.set_index(["mirna", "gene"]).join(table, how="inner").reset_index()
    table.insert(1, "cell_type", kind)
    table = table.merge(_all_correlated(both, pairs), on=["mirna", "gene"], how="left")
    table = table.join(atlas.trust, on="mirna")
    table["against"] = table["difference"] * np.sign(table["mirna_difference"])
    table = table.sort_values(["mirna", "against"], kind="stable", na_position="last", ignore_index=True)
    return table.drop(columns="against")


def _all_correlated(both: pd.DataFrame, pairs: pd.DataFrame) -> pd.DataFrame:
    """``mirna, gene, r, p, q, status``: miRNAs whose targets were measured in the same donors go together."""
    units = both.groupby("mirna")[["dataset", "donor"]].apply(
        lambda rows: tuple(sorted(set(rows.itertuples(index=False, name=None))))
    )
    tables = []
    for _, names in units.groupby(units, sort=False):
        some = both["mirna"].isin(names.index)
        tables.append(_correlated(both[some], pairs[pairs["mirna"].isin(names.index)]))
    found = pd.concat(tables)
    found["q"] = found.groupby("mirna")["p"].transform(adjusted)
    return found


def _correlated(both: pd.DataFrame, pairs: pd.DataFrame) -> pd.DataFrame:
    """``mirna, gene, r, p, q, status``, donors of a data set compared with each other."""
    values = both.pivot_table("own", ["dataset", "donor"], "gene")
    obs = values.index.to_frame().astype(str)
    obs.index = pd.Index(obs["dataset"] + "|" + obs["donor"])
    obs["donor"] = obs.index
    level = both.pivot_table("own_mirna", ["dataset", "donor"], "mirna").loc[values.index]
    mirna = ad.AnnData(
        level.to_numpy(dtype=np.float32), obs=obs, var=pd.DataFrame(index=level.columns.astype(str))
    )
    mrna = ad.AnnData(values.to_numpy(dtype=np.float32), obs=obs, var=pd.DataFrame(index=values.columns))
    columns = ["mirna", "gene", "r", "p", "q", "status"]
    try:
        return edges(mirna, mrna, pairs, "dataset", donor_key="donor", min_grade="")[columns]
    except DataError as error:
        table = pairs[["mirna", "gene"]].assign(r=np.nan, p=np.nan, q=np.nan)
        return table.assign(status=str(error).partition(":")[0])
