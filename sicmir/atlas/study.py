"""What the chapter on the atlas asks of it."""

from __future__ import annotations

from typing import Literal

import pandas as pd
from IPython.display import HTML

from sicmir.atlas import agreement, links, meta, sentences
from sicmir.atlas.combine import APART
from sicmir.atlas.expression import expression
from sicmir.atlas.query import Atlas
from sicmir.donors.mirna_findings import adjusted
from sicmir.errors import DataError


def all_markers(
    atlas: Atlas, min_grade: str = "B", fdr: float = 0.05, across: Literal["random", "fixed"] = "random"
) -> pd.DataFrame:
    """Markers of every cell type that can be compared with another: :func:`sicmir.atlas.meta.markers`.

    Here ``q`` and ``finding`` are corrected over all miRNAs and cell types that count, together.

    Raises
    ------
    DataError
        If no data set has two cell types of one donor.
    """
    tables = []
    for name in atlas.values("cell_type"):
        try:
            tables.append(meta.markers(atlas, name, min_grade, fdr, across))
        except DataError:  # it stands alone in its donors
            continue
    if not tables:
        raise DataError("No data set of the atlas has two cell types of one donor: nothing has markers.")
    table = pd.concat(tables, ignore_index=True)
    table["q"] = adjusted(table["p"].where(~table["greyed"]))
    table["finding"] = table["q"] <= fdr
    return table.sort_values(
        ["cell_type", "finding", "greyed"],
        ascending=[True, False, True],
        kind="stable",
        ignore_index=True,
    )


def top_markers(markers: pd.DataFrame, n: int = 2) -> pd.DataFrame:
    """The largest markers of each cell type: higher there than in the others.

    Parameters
    ----------
    markers
        As :func:`all_markers` gives them.
    n
        How many of each cell type.

    Returns
    -------
    DataFrame
        Its rows, those that count.
    """
    found = markers[~markers["greyed"] & (markers["effect"] > 0)]
    found = found.sort_values(["cell_type", "effect"], ascending=[True, False], kind="stable")
    return found.groupby("cell_type", sort=True).head(n).reset_index(drop=True)


def clearest(markers: pd.DataFrame, column: str = "mirna") -> str:
    """The miRNA, or cell type, of the marker that is surest: tested in most data sets, then the largest."""
    first = markers.sort_values(["n_datasets", "effect"], ascending=False, kind="stable").iloc[0]
    return str(first[column])


def over_cell_types(atlas: Atlas, mirnas: list[str]) -> pd.DataFrame:
    """Expression of some miRNAs over cell types: rows of :func:`sicmir.atlas.expression.expression`."""
    return pd.concat([expression(atlas, name, by=["cell_type"]) for name in mirnas], ignore_index=True)


def registry_table(atlas: Atlas) -> pd.DataFrame:
    """The data sets as the page shows them."""
    table = atlas.registry
    terms = table[["tissue_id", "disease_id"]].agg(lambda row: ", ".join(filter(None, row)), axis=1)
    counts = ["n_cells", "n_donors", "n_cell_types", "n_groups", "n_predicted"]
    shown = table[["dataset", "tissue", "disease", *counts, "synthetic"]].copy()
    if (terms != "").any():
        shown["terms"] = terms
    return shown.assign(source=table["source_sha256"].str[:12])


def best_contrast(atlas: Atlas) -> tuple[str, str, str]:
    """Two diseases, or conditions, of one data set with the most donors on the smaller side.

    Returns
    -------
    case, reference, by
        The reference is ``normal`` where there is one, else the label with more donors; all "" for none.
    """
    best, found = 0, ("", "", "")
    for by in ("disease", "condition"):
        sizes = atlas.sql(
            f"SELECT dataset, {by} AS label, count(DISTINCT donor)::INT AS n FROM mirna WHERE NOT abstained "
            "GROUP BY ALL ORDER BY dataset, n DESC, label"
        )
        for _, part in sizes.groupby("dataset", sort=True):
            part = part.assign(last=part["label"] != "normal").sort_values("last", kind="stable").head(2)
            if len(part) == 2 and part["n"].min() > best:
                best, found = int(part["n"].min()), (part["label"].iloc[1], part["label"].iloc[0], by)
    return found


def compared(
    atlas: Atlas,
    case: str = "",
    reference: str = "",
    min_grade: str = "B",
    fdr: float = 0.05,
    across: Literal["random", "fixed"] = "random",
) -> tuple[pd.DataFrame, str]:
    """Two diseases or conditions against each other, and what they are in words.

    Parameters
    ----------
    atlas, min_grade, fdr, across
        As for :func:`sicmir.atlas.meta.difference`.
    case, reference
        Diseases or conditions; "" takes those of :func:`best_contrast`.

    Returns
    -------
    table
        Of :func:`sicmir.atlas.meta.difference`; empty where no data set has two.
    told
        Such as ``"metastasis against primary (condition)"``; "" for nothing.
    """
    by = "condition" if case and case in atlas.values("condition") else "disease"
    if not case:
        case, reference, by = best_contrast(atlas)
    if not case:
        return pd.DataFrame(), ""
    table = meta.difference(atlas, case, reference or "normal", by, "", min_grade, fdr, across)
    return table, f"{case} against {reference or 'normal'} ({by})"


def shown_contrast(contrast: pd.DataFrame, n: int = 8) -> pd.DataFrame:
    """First rows of :func:`compared` as the page shows them, or one line of text."""
    if contrast.empty:
        return pd.DataFrame({"difference": ["None in these data."]})
    columns = ["cell_type", "mirna", "grade", "effect", "lower", "upper", "q", "i2", "n_datasets"]
    return contrast[[*columns, "n_donors", "n_untested"]].head(n)


def shown_network(linked: pd.DataFrame, n: int = 10) -> pd.DataFrame:
    """First rows of :func:`network` as the page shows them, or one line of text."""
    if linked.empty:
        return pd.DataFrame({"target": ["None in these data."]})
    columns = ["mirna", "cell_type", "grade", "gene", "expression", "difference", "mirna_difference"]
    return linked[[*columns, "n_compared", "n_opposite", "r", "q"]].head(n)


def network(atlas: Atlas, markers: pd.DataFrame, mirna: str = "", cell_type: str = "") -> pd.DataFrame:
    """Targets of a miRNA in a cell type; without names, of the first marker that has measured targets.

    Parameters
    ----------
    atlas
        Opened.
    markers
        As :func:`all_markers` gives them.
    mirna, cell_type
        Names in the atlas; "" for one that is chosen.

    Returns
    -------
    DataFrame
        As of :func:`sicmir.atlas.links.network`; no rows where none has targets.
    """
    if mirna and cell_type:
        return links.network(atlas, mirna, cell_type)
    top = top_markers(markers).sort_values(["n_datasets", "effect"], ascending=False, kind="stable")
    wanted = {"mirna": mirna and atlas.mirna(mirna), "cell_type": cell_type}
    for name, value in wanted.items():
        top = top[top[name] == value] if value else top
    for row in top.itertuples():
        try:
            return links.network(atlas, row.mirna, row.cell_type)
        except DataError:  # its targets were not measured
            continue
    return pd.DataFrame()


def explorer_link() -> HTML:
    """Link from the page of the chapter to its explorer, which the book puts beside its pages."""
    return HTML(
        '<p><a href="../explorer/index.html">Open the explorer</a> (in the folder of a run of your own: '
        "<code>explorer/index.html</code>).</p>"
    )


def headline(
    atlas: Atlas,
    markers: pd.DataFrame,
    judged: pd.DataFrame,
    whole: pd.DataFrame,
    orders: pd.DataFrame,
    network: pd.DataFrame,
) -> dict[str, float | int | str]:
    """Figures that the page quotes.

    Parameters
    ----------
    atlas
        Opened.
    markers, judged, whole, orders, network
        Of :func:`all_markers`, :func:`sicmir.atlas.agreement.agreement`,
        :func:`sicmir.atlas.overall.overall`, :func:`sicmir.atlas.agreement.place_of_names` and
        :func:`sicmir.atlas.links.network`; tables without rows where there was nothing.
    """
    table = atlas.registry
    tested = markers["n_datasets"].gt(0).groupby(markers["cell_type"]).any()
    pairs = _of_pairs(whole)
    told: dict[str, float | int | str] = {
        "n_datasets": len(table),
        "n_cells": f"{table['n_cells'].sum():,}",
        "n_donors": int(table["n_donors"].sum()),
        "n_cell_types": len(atlas.values("cell_type")),
        "n_groups": int(table["n_groups"].sum()),
        "n_predicted": int(table["n_predicted"].sum()),
        "megabytes": float(table["bytes"].sum() / 1e6),
        "n_marked": int(tested.sum()),
        "n_findings": int(markers["finding"].sum()),
        "n_apart": int((markers["finding"] & (markers["i2"] >= APART)).sum()),
        "n_untested_types": int((~tested).sum()),
        "n_targets": len(network),
        "n_pairs": len(judged),
        "n_across": int((judged["pairs"] == agreement.ACROSS).sum()),
        "pairs_told": sentences.pairs_told(judged, pairs),
        "range_told": sentences.range_told(judged),
        "names_told": sentences.names_told(orders),
    }
    return told | pairs


def _of_pairs(whole: pd.DataFrame) -> dict[str, float]:
    """Figures over pairs, with their intervals and what chance gives; NaN where there are none.

    Pairs of one data set come first; names of those that cross data sets begin with ``across``.
    """
    rows = whole.set_index(["pairs", "figure"])
    shown = ("value", "lower", "upper", "chance_lower", "chance_upper", "p")
    names = {(agreement.WITHIN, "spearman"): "between", (agreement.WITHIN, "same_sign"): "same_sign"}
    names |= {(agreement.ACROSS, figure): f"across_{name}" for (_, figure), name in list(names.items())}
    found = {}
    for of, name in names.items():
        for part in shown:
            key = name if part == "value" else f"{name}_{part}"
            found[key] = float(rows.loc[of, part]) if of in rows.index else float("nan")
    return found
