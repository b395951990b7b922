"""Questions to an atlas by name, as the command asks them, and tables of answers in files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from inspect import signature
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from sicmir import paths
from sicmir.atlas import expression, links, meta
from sicmir.atlas.query import Atlas
from sicmir.errors import ParameterError

QUESTIONS: dict[str, tuple[Callable[..., pd.DataFrame], tuple[str, ...]]] = {
    "expression": (expression.expression, ()),
    "markers": (meta.markers, ("cell_type",)),
    "difference": (meta.difference, ("case",)),
    "similar": (meta.similar, ("cell_type",)),
    "network": (links.network, ("mirna", "cell_type")),
    "gene": (expression.gene_expression, ("gene",)),
}
"""The questions: the function that answers, and what has to be given to it beside the atlas."""


def answer(
    what: str,
    *,
    mirna: str | None = None,
    cell_type: str | None = None,
    gene: str | None = None,
    tissue: str | None = None,
    disease: str | None = None,
    dataset: str | None = None,
    by: Sequence[str] | None = None,
    case: str | None = None,
    reference: str | None = None,
    min_grade: str | None = None,
    fdr: float | None = None,
    across: Literal["random", "fixed"] | None = None,
    folder: str | Path = "",
) -> pd.DataFrame:
    """Open an atlas and ask it.

    Parameters
    ----------
    what
        A key of :data:`QUESTIONS`: ``expression`` and ``gene`` (:mod:`sicmir.atlas.expression`), ``markers``,
        ``difference`` and ``similar`` (:mod:`sicmir.atlas.meta`) or ``network`` (:mod:`sicmir.atlas.links`).
    mirna, cell_type, gene, tissue, disease, dataset, by, case, reference, min_grade, fdr, across
        As these functions take them; None is not given, and takes the default of the function. What a
        question does not take is refused.
    folder
        As for :class:`sicmir.atlas.query.Atlas`.

    Returns
    -------
    DataFrame
        As the function gives it.

    Raises
    ------
    ParameterError, DataError, ReadError
        As the function; also for what is missing, too much, or a blank name.
    """
    if what not in QUESTIONS:
        raise ParameterError(f"There is no question {what!r}; there are {', '.join(QUESTIONS)}.")
    names = {"mirna": mirna, "cell_type": cell_type, "gene": gene, "tissue": tissue, "disease": disease}
    names |= {"dataset": dataset, "case": case, "reference": reference}
    options: dict[str, Any] = names | {"by": by, "min_grade": min_grade, "fdr": fdr, "across": across}
    given = {name: value for name, value in options.items() if value is not None}
    function, needed = QUESTIONS[what]
    missing = [name for name in needed if name not in given]
    if missing:
        raise ParameterError(f"The question {what} needs {' and '.join(missing)}.")
    taken = [name for name in signature(function).parameters if name in options]
    odd = [name for name in given if name not in taken]
    if odd:
        raise ParameterError(f"The question {what} takes no {', '.join(odd)}; it takes {', '.join(taken)}.")
    for name, value in names.items():
        if value is not None and not value.strip():
            rest = "" if name in needed else ", or leave it out"
            raise ParameterError(f"{name}={value!r}: expected a name of the atlas; give one{rest}.")
    if by is not None:
        columns = [by] if isinstance(by, str) else list(by)
        if what == "difference" and len(columns) != 1:
            raise ParameterError(f"by={columns!r}: a difference is by disease or by condition.")
        given["by"] = columns[0] if what == "difference" else columns
    with Atlas(folder) as atlas:
        return function(atlas, **given)


def write_answer(table: pd.DataFrame, path: Path) -> None:
    """Write a table as ``.csv`` or ``.parquet``, whole or not at all; a file of that name is replaced.

    In ``.csv`` a text that a spreadsheet would take for a formula gets a ``'`` in front (OWASP, CSV
    injection); numbers are written as they are.

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
            table.map(_no_formula).to_csv(part, index=False, lineterminator="\n")
        else:
            table.to_parquet(part, index=False)


def _no_formula(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
"""How a formula starts, and what spreadsheets skip before it."""
