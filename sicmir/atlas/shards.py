"""The parts of the explorer: answers of the atlas as small scripts, each loaded when a page asks for it.

A shard is a script that hands its tables to ``sicmirShard``, since a page that is opened from disk may load
scripts and nothing else. A table is a list of values for each column; a column of words is a list of
``levels`` and the place of each row's word among them. Logarithms, shares and correlations are rounded to 3
decimals, p and q to 3 digits; NaN is null.

========================  ===========================================================================
``index``                 what there is: data sets, miRNAs with their trust, cell types, genes, what
                          diseases and conditions are compared, and the labels of the rows of
                          expression, which all miRNAs share
``mirna-NUMBER``          expression of a miRNA over groups and donors; its network in each cell type
``cell_type-NUMBER``      markers of a cell type, similar cell types, expression of all miRNAs
``difference-NUMBER``     difference between two diseases or conditions in a cell type
``gene-NUMBER``           :data:`GENES` target genes: expression, and the miRNAs they are targets of
========================  ===========================================================================
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Literal

import numpy as np
import pandas as pd

from sicmir.atlas import expression, meta
from sicmir.atlas.links import network
from sicmir.atlas.query import TRUST_COLUMNS, Atlas
from sicmir.errors import DataError

GENES = 50
"""Genes of a shard."""

MIN_GRADE = "B"
"""Worst grade that counts, as in the queries; without grades all miRNAs count."""

NORMAL = "normal"
"""The disease of healthy tissue, which others are held against."""

_DECIMALS, _DIGITS = 3, 3
_OF_DONOR = ("dataset", "donor", "cell_type", "condition", "tissue", "disease")
_LEVELS = ("mean", "sd", "lower", "upper", "fraction_above")
_SHARED = {"groups": ("n_datasets", "n_cells", "in_domain"), "donors": ("n_cells", "in_domain")}
_OWN = {"groups": ("n_donors", "n_abstained", *_LEVELS), "donors": ("mean", *_LEVELS[2:])}
_BY = {"groups": expression.BY, "donors": _OF_DONOR}
_NETWORK = (
    *("cell_type", "gene", "evidence", "expression", "difference", "mirna_difference", "n_datasets"),
    *("n_donors", "n_compared", "n_opposite", "r", "p", "q", "status"),
)


@dataclass(frozen=True, eq=False)
class Profiles:
    """Expression of all miRNAs over groups and donors.

    Attributes
    ----------
    rows
        ``groups`` (:data:`sicmir.atlas.expression.BY`) and ``donors``: what each row is of, the same for all
        miRNAs.
    values
        Of both: column → rows × miRNAs.
    mirnas
        Names.
    """

    rows: dict[str, pd.DataFrame]
    values: dict[str, dict[str, np.ndarray]]
    mirnas: list[str]


def profiles(atlas: Atlas) -> Profiles:
    """Ask for the expression of all miRNAs, a cell type at a time."""
    mirnas = atlas.trust.index.tolist()
    rows: dict[str, pd.DataFrame] = {}
    values: dict[str, dict[str, np.ndarray]] = {}
    for kind, by in _BY.items():
        shared, own = [], []
        for cell_type in atlas.values("cell_type"):
            table = expression.expression(atlas, cell_type=cell_type, by=by)
            groups = table.groupby(list(by), sort=True)
            shared.append(groups[list(_SHARED[kind])].first().reset_index())
            place = groups.ngroup(), pd.Index(mirnas).get_indexer(table["mirna"])
            wide = {name: np.full((groups.ngroups, len(mirnas)), np.nan) for name in _OWN[kind]}
            for name, matrix in wide.items():
                matrix[place] = table[name]
            own.append(wide)
        rows[kind] = pd.concat(shared, ignore_index=True)
        values[kind] = {name: np.concatenate([one[name] for one in own]) for name in _OWN[kind]}
    return Profiles(rows, values, mirnas)


def differences(atlas: Atlas, across: Literal["random", "fixed"]) -> tuple[pd.DataFrame, list[pd.DataFrame]]:
    """Compare all diseases, and conditions of a disease, that a data set has beside each other, by cell type.

    Parameters
    ----------
    atlas
        Opened.
    across
        As for :func:`sicmir.atlas.meta.difference`.

    Returns
    -------
    DataFrame
        A row for each comparison: ``by, case, reference, cell_type``; ``n_datasets``, ``n_donors``,
        ``n_tested`` miRNAs and ``n_findings`` among them.
    list of DataFrame
        Of each row, that of :func:`sicmir.atlas.meta.difference` in its cell type.
    """
    rows, tables = [], []
    for by, case, reference in _pairs(atlas):
        try:
            table = meta.difference(atlas, case, reference, by, min_grade=min_grade(atlas), across=across)
        except DataError:  # not in one cell type
            continue
        for cell_type, own in table.groupby("cell_type", sort=True):
            row = {"by": by, "case": case, "reference": reference, "cell_type": cell_type}
            row |= own[["n_datasets", "n_donors"]].max().to_dict()
            rows.append(row | {"n_tested": own["q"].notna().sum(), "n_findings": own["finding"].sum()})
            tables.append(own.drop(columns=["cell_type", *TRUST_COLUMNS]))
    columns = ["by", "case", "reference", "cell_type", "n_datasets", "n_donors", "n_tested", "n_findings"]
    return pd.DataFrame(rows, columns=columns), tables


def _pairs(atlas: Atlas) -> Iterator[tuple[str, str, str]]:
    """What there is, case and reference: that is normal where there is one, else the one with more donors."""
    for by, within in (("disease", ["dataset"]), ("condition", ["dataset", "disease"])):
        seen = atlas.sql(
            f"SELECT {', '.join(within)}, {by} AS label, count(DISTINCT donor)::INT AS n FROM mirna "
            f"WHERE NOT abstained AND {by} <> '' GROUP BY ALL ORDER BY ALL"
        )
        sizes = seen.groupby("label")["n"].sum()
        most_first = sizes.rename("n").reset_index().sort_values(["n", "label"], ascending=[False, True])
        order = sorted(most_first["label"], key=lambda label: bool(label != NORMAL))
        beside = (sorted(part["label"], key=order.index) for _, part in seen.groupby(within))
        for reference, case in sorted({pair for labels in beside for pair in combinations(labels, 2)}):
            yield by, case, reference


def index(
    atlas: Atlas, made: Profiles, contrasts: pd.DataFrame, synthetic: Collection[str], facts: dict[str, Any]
) -> dict[str, Any]:
    """Give the shard that every page needs.

    Parameters
    ----------
    atlas
        Opened.
    made
        As :func:`profiles` gives it.
    contrasts
        As :func:`differences` gives them.
    synthetic
        Data sets that are made up.
    facts
        What is said of the whole.
    """
    datasets = atlas.registry.drop(columns=["source_sha256", "bytes", "model"])
    datasets["synthetic"] = datasets["dataset"].isin(synthetic)
    cell_types = expression.expression(atlas, made.mirnas[0], by=["cell_type"])
    cell_types = cell_types.set_index("cell_type").loc[atlas.values("cell_type")].reset_index()
    return {
        "facts": facts | {"n_genes": GENES},
        "datasets": encode(datasets),
        "contrasts": encode(contrasts),
        "mirnas": encode(atlas.trust.reset_index()[["mirna", *TRUST_COLUMNS]]),
        "cell_types": encode(cell_types[["cell_type", "n_datasets", "n_donors", "n_abstained", "n_cells"]]),
        "genes": encode(pd.DataFrame({"gene": genes(atlas)})),
        **{kind: encode(table) for kind, table in made.rows.items()},
    }


def mirna_shards(atlas: Atlas, made: Profiles) -> Iterator[tuple[str, dict[str, Any]]]:
    """Give the shard of each miRNA."""
    tables = []
    for cell_type in atlas.values("cell_type"):
        try:
            tables.append(network(atlas, "", cell_type))
        except DataError:  # no target was measured in it
            continue
    columns = ["mirna", *_NETWORK]
    links = pd.concat(tables) if tables else pd.DataFrame(columns=columns)
    of_mirna = dict(iter(links.groupby("mirna", sort=False)[list(columns)]))
    for place, name in enumerate(made.mirnas):
        values = {
            kind: encode(pd.DataFrame({column: matrix[:, place] for column, matrix in own.items()}))
            for kind, own in made.values.items()
        }
        own_links = of_mirna.get(name, links.iloc[:0])
        yield f"mirna-{place}", values | {"network": encode(own_links[list(_NETWORK)])}


def cell_type_shards(
    atlas: Atlas, across: Literal["random", "fixed"]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Give the shard of each cell type; ``refused`` says why it has no markers."""
    for place, name in enumerate(atlas.values("cell_type")):
        levels = expression.expression(atlas, cell_type=name, by=["cell_type"])
        levels = levels[["mirna", "n_datasets", "n_donors", "n_abstained", "n_cells", "in_domain", *_LEVELS]]
        found: dict[str, Any] = {"refused": "", "expression": encode(levels)}
        try:
            markers = meta.markers(atlas, name, min_grade(atlas), across=across)
            similar = meta.similar(atlas, name, min_grade=min_grade(atlas))
        except DataError as error:
            yield f"cell_type-{place}", found | {"refused": str(error), "markers": {}, "similar": {}}
            continue
        markers = markers.drop(columns=["cell_type", *TRUST_COLUMNS])
        yield f"cell_type-{place}", found | {"markers": encode(markers), "similar": encode(similar)}


def difference_shards(tables: list[pd.DataFrame]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Give the shard of each comparison, as :func:`differences` gives them."""
    for place, table in enumerate(tables):
        yield f"difference-{place}", {"difference": encode(table)}


def gene_shards(atlas: Atlas) -> Iterator[tuple[str, dict[str, Any]]]:
    """Give the shards of target genes."""
    names = genes(atlas)
    levels = expression.gene_expression(atlas, "") if names else pd.DataFrame()
    targeting = expression.targeting(atlas, "")[["mirna", "gene", "evidence"]]
    for place, start in enumerate(range(0, len(names), GENES)):
        own = names[start : start + GENES]
        yield (
            f"gene-{place}",
            {
                "expression": encode(levels[levels["gene"].isin(own)].drop(columns="n_abstained")),
                "targeting": encode(targeting[targeting["gene"].isin(own)]),
            },
        )


def genes(atlas: Atlas) -> list[str]:
    """Target genes that were measured, sorted."""
    return atlas.sql("SELECT DISTINCT gene FROM genes ORDER BY gene")["gene"].tolist()


def min_grade(atlas: Atlas) -> str:
    """Worst grade that counts; "" for a model without grades."""
    return "" if (atlas.trust["grade"] == "").any() else MIN_GRADE


def encode(table: pd.DataFrame) -> dict[str, Any]:
    """Give a table as lists that JSON can hold."""
    return {str(name): _column(table[name]) for name in table}


def _column(values: pd.Series) -> list[Any] | dict[str, list[Any]]:
    if pd.api.types.is_bool_dtype(values):
        return values.astype(int).tolist()
    if pd.api.types.is_integer_dtype(values):
        return values.tolist()
    if not pd.api.types.is_numeric_dtype(values):
        codes, levels = pd.factorize(values.astype(str))
        return {"levels": levels.tolist(), "codes": codes.tolist()}
    if values.name in ("p", "q"):
        return [None if np.isnan(one) else float(f"{one:.{_DIGITS}g}") for one in values.tolist()]
    rounded = np.round(values.to_numpy(dtype=np.float64), _DECIMALS) + 0.0  # no -0
    return [None if np.isnan(one) else _short(one) for one in rounded.tolist()]


def _short(value: float) -> float | int:
    return int(value) if value == int(value) else value


def script(key: str, stamp: str, tables: dict[str, Any]) -> str:
    """Give a shard as a script.

    Parameters
    ----------
    key
        Name of the shard.
    stamp
        Of all shards that belong together.
    tables
        What it holds. Nothing of it is code: it is JSON in ASCII.
    """
    text = json.dumps(
        {"key": key, "stamp": stamp, "tables": tables},
        separators=(",", ":"),
        ensure_ascii=True,
        allow_nan=False,
    )
    return f"sicmirShard({text});\n"
