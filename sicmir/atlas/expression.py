"""Expression of a miRNA, or of a target gene, over cell types, tissues, diseases, data sets and donors."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from sicmir.atlas.query import LABELS, Atlas
from sicmir.atlas.tables import EXACT
from sicmir.errors import ParameterError

BY = ("cell_type", "tissue", "disease")
"""What is told apart if nothing else is asked for."""

_UNITS = """
WITH units AS (
    SELECT {shown}, dataset AS of_dataset, donor AS of_donor, {means},
        sum(n_cells) AS n_cells
    FROM {table} WHERE {chosen} GROUP BY ALL
)
SELECT {shown}, count(DISTINCT of_dataset) FILTER ({value} IS NOT NULL)::INT AS n_datasets,
    count({value})::INT AS n_donors, (count(*) - count({value}))::INT AS n_abstained,
    coalesce(sum(n_cells) FILTER ({value} IS NOT NULL), 0)::BIGINT AS n_cells,
    avg({value}::{exact}) AS mean, list_stddev_samp(list_sort(list({value}))) AS sd{more}
FROM units GROUP BY ALL ORDER BY mean DESC NULLS LAST, {shown}
"""


def expression(
    atlas: Atlas,
    mirna: str = "",
    cell_type: str = "",
    tissue: str = "",
    disease: str = "",
    dataset: str = "",
    by: Sequence[str] = BY,
) -> pd.DataFrame:
    """Expression of a miRNA over groups, or of all miRNAs in a cell type; a donor of a data set counts once.

    Parameters
    ----------
    atlas
        Opened.
    mirna
        Name, also a short one; "" for all, of one ``cell_type``.
    cell_type, tissue, disease, dataset
        Only these; "" for all.
    by
        What is told apart, of :data:`sicmir.atlas.query.LABELS`. With ``donor`` and ``dataset`` among them
        every donor has a row of its own.

    Returns
    -------
    DataFrame
        A row a group (and miRNA), highest first: ``mirna``, those of ``by``; ``n_datasets``, ``n_donors``
        and ``n_cells`` that are predicted, and ``n_abstained``, donors that are not; ``mean`` and ``sd`` over
        donors of the predicted log2(RPM+1); ``lower`` and ``upper``, the bounds of the prediction interval of
        a donor, mean over donors: where the measured value of one donor is expected, and no confidence
        interval of the mean; ``fraction_above``, mean over donors of the share of parts above the baseline
        (:data:`sicmir.atlas.tables.SCHEMAS`); ``in_domain``, the share of predicted donors that are like the
        training data, NaN where the model cannot tell; and how far the miRNA can be believed
        (:data:`sicmir.atlas.query.TRUST_COLUMNS`).

    Raises
    ------
    ParameterError
        If neither miRNA nor cell type is given, or a name is not in the atlas.
    """
    if not mirna and not cell_type:
        raise ParameterError("Expected a miRNA, a cell type, or both.")
    wanted = {"cell_type": cell_type, "tissue": tissue, "disease": disease, "dataset": dataset}
    values = {kind: atlas.label(kind, value) for kind, value in wanted.items() if value}
    if mirna:
        values["mirna"] = atlas.mirna(mirna)
    means = ("predicted", "lower", "upper", "fraction_above")
    query = _UNITS.format(
        shown=", ".join(["mirna", *_columns(by)]),
        table="mirna",
        exact=EXACT,
        means=", ".join(f"avg({name}::{EXACT}) AS {name}" for name in means)
        + ", avg(in_domain::INT) FILTER (NOT abstained) AS in_domain",
        chosen=" AND ".join(f"{name} = ${name}" for name in values),
        value="predicted",
        more="".join(f", avg({name}::{EXACT}) AS {name}" for name in (*means[1:], "in_domain")),
    )
    return atlas.sql(query, values).join(atlas.trust, on="mirna")


def gene_expression(atlas: Atlas, gene: str, by: Sequence[str] = BY) -> pd.DataFrame:
    """Expression of a target gene over groups; a donor of a data set counts once.

    Parameters
    ----------
    atlas, by
        As for :func:`expression`.
    gene
        Current symbol, as :meth:`sicmir.atlas.query.Atlas.gene` finds it; "" for all.

    Returns
    -------
    DataFrame
        As of :func:`expression`, without what only predictions have: ``gene``, those of ``by``,
        ``n_datasets, n_donors, n_abstained`` (0), ``n_cells, mean`` and ``sd`` of log2(CPM+1).

    Raises
    ------
    ParameterError
        If there is no such gene.
    """
    query = _UNITS.format(
        shown=", ".join(["gene", *_columns(by)]),
        table="genes",
        exact=EXACT,
        means=f"avg(expression::{EXACT}) AS expression",
        chosen="gene = $gene OR $gene = ''",
        value="expression",
        more="",
    )
    return atlas.sql(query, {"gene": gene and atlas.gene(gene)})


def targeting(atlas: Atlas, gene: str) -> pd.DataFrame:
    """List the miRNAs that a gene, or each gene for "", is a target of.

    Returns
    -------
    DataFrame
        ``mirna, gene, evidence`` and how far each miRNA can be believed, best first.

    Raises
    ------
    ParameterError
        If there is no such gene.
    """
    found = atlas.sql(
        "SELECT DISTINCT mirna, gene, evidence FROM targets WHERE gene = $gene OR $gene = '' ORDER BY ALL",
        {"gene": gene and atlas.gene(gene)},
    )
    return found.join(atlas.trust, on="mirna").sort_values(
        ["grade", "mirna", "gene"], kind="stable", ignore_index=True
    )


def _columns(by: Sequence[str]) -> list[str]:
    odd = [name for name in by if name not in LABELS]
    if odd or not by or len(set(by)) < len(by):
        raise ParameterError(f"by={list(by)!r}: expected some of {', '.join(LABELS)}, each once.")
    return list(by)
