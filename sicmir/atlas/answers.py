"""Questions to an atlas by name, as the command asks them, and tables of answers in files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import pandas as pd

from sicmir import paths
from sicmir.atlas import expression, links, meta
from sicmir.atlas.query import Atlas
from sicmir.errors import ParameterError

NEEDED = {
    "expression": (),
    "markers": ("cell_type",),
    "difference": ("case",),
    "similar": ("cell_type",),
    "network": ("mirna", "cell_type"),
    "gene": ("gene",),
}
"""The questions, and what has to be given for each."""


def answer(
    what: str,
    *,
    mirna: str = "",
    cell_type: str = "",
    gene: str = "",
    tissue: str = "",
    disease: str = "",
    dataset: str = "",
    by: Sequence[str] = (),
    case: str = "",
    reference: str = "normal",
    min_grade: str = "B",
    fdr: float = 0.05,
    across: Literal["random", "fixed"] = "random",
    folder: str | Path = "",
) -> pd.DataFrame:
    """Open an atlas and ask it.

    Parameters
    ----------
    what
        A key of :data:`NEEDED`: ``expression`` and ``gene`` (:mod:`sicmir.atlas.expression`), ``markers``,
        ``difference`` and ``similar`` (:mod:`sicmir.atlas.meta`) or ``network`` (:mod:`sicmir.atlas.links`).
    mirna, cell_type, gene, tissue, disease, dataset, by, case, reference, min_grade, fdr, across
        As these functions take them; what one does not take is refused.
    folder
        As for :class:`sicmir.atlas.query.Atlas`.

    Returns
    -------
    DataFrame
        As the function gives it.

    Raises
    ------
    ParameterError, DataError, ReadError
        As the function; also for what is missing or too much.
    """
    if what not in NEEDED:
        raise ParameterError(f"There is no question {what!r}; there are {', '.join(NEEDED)}.")
    given = {"mirna": mirna, "cell_type": cell_type, "gene": gene, "tissue": tissue, "disease": disease}
    given |= {"dataset": dataset, "case": case}
    missing = [name for name in NEEDED[what] if not given[name]]
    if missing:
        raise ParameterError(f"The question {what} needs {' and '.join(missing)}.")
    taken = {
        "expression": ("mirna", "cell_type", "tissue", "disease", "dataset"),
        "difference": ("case", "cell_type"),
    }.get(what, NEEDED[what])
    odd = [name for name, value in given.items() if value and name not in taken]
    if odd:
        raise ParameterError(f"The question {what} takes no {', '.join(odd)}; it takes {', '.join(taken)}.")
    if what == "difference" and len(by) > 1:
        raise ParameterError(f"by={list(by)!r}: a difference is by disease or by condition.")
    judged = {"min_grade": min_grade, "fdr": fdr, "across": across}
    apart = list(by) or list(expression.BY)
    ask: dict[str, Callable[[Atlas], pd.DataFrame]] = {
        "expression": lambda atlas: expression.expression(
            atlas, mirna, cell_type, tissue, disease, dataset, apart
        ),
        "gene": lambda atlas: expression.gene_expression(atlas, gene, apart),
        "markers": lambda atlas: meta.markers(atlas, cell_type, **judged),
        "difference": lambda atlas: meta.difference(
            atlas, case, reference, by[0] if by else "disease", cell_type, **judged
        ),
        "similar": lambda atlas: meta.similar(atlas, cell_type, min_grade),
        "network": lambda atlas: links.network(atlas, mirna, cell_type),
    }
    with Atlas(folder) as atlas:
        return ask[what](atlas)


def write_answer(table: pd.DataFrame, path: Path) -> None:
    """Write a table as ``.csv`` or ``.parquet``, whole or not at all; a file of that name is replaced.

    Raises
    ------
    ParameterError
        If the ending is another.
    WriteError
        If it cannot be written.
    """
    if path.suffix not in (".csv", ".parquet"):
        raise ParameterError(f"{path}: tables are written as .csv or .parquet; give such an ending.")
    with paths.writing(path), paths.replacing(path.expanduser()) as part:
        if path.suffix == ".csv":
            table.to_csv(part, index=False, lineterminator="\n")
        else:
            table.to_parquet(part, index=False)
