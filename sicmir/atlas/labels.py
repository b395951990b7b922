"""Labels of a data set in the atlas: cell types, tissue and disease, and the terms that they stand for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from sicmir.errors import DataError, ParameterError, ReadError

NORMAL = "normal"
"""The disease of normal cells, as CELLxGENE calls it."""

ONTOLOGIES = {"cell_type": "CL", "tissue": "UBERON", "disease": "MONDO"}
"""Ontology of each kind of label: Cell Ontology, Uberon, Mondo."""

_GROUP = ("donor", "cell_type", "condition")


@dataclass(frozen=True)
class Label:
    """A name, and the term of the ontology that it stands for; "" where none is given."""

    name: str
    id: str = ""


def label(kind: str, name: str, term: str = "") -> Label:
    """Check a label of the data set.

    Parameters
    ----------
    kind
        A key of :data:`ONTOLOGIES`.
    name
        In words.
    term
        Such as ``UBERON:0001264``, or "".

    Raises
    ------
    ParameterError
        If the name is empty or the term is none of the ontology.
    """
    if not name.strip():
        raise ParameterError(f"{kind}: expected a name in words, found {name!r}.")
    prefix = ONTOLOGIES[kind]
    if term and not re.fullmatch(rf"{prefix}:\d{{7}}", term):
        raise ParameterError(f"{kind} {name!r}: expected a term such as {prefix}:0000001, found {term!r}.")
    return Label(name.strip(), term)


def tissues(obs: pd.DataFrame, key: str, id_key: str, other: Label) -> pd.DataFrame:
    """Tissue of each cell.

    Parameters
    ----------
    obs
        Observations.
    key, id_key
        Columns with the tissue in words, and with its term of Uberon; "" for none.
    other
        Tissue of the data set, which cells without one of their own have.

    Returns
    -------
    DataFrame
        ``tissue`` and ``tissue_id``, "" for no term.

    Raises
    ------
    DataError
        If a column is not there, or a tissue has two terms.
    ParameterError
        If a term is none of Uberon.
    """
    absent = [name for name in (key, id_key) if name and name not in obs]
    if absent:
        raise DataError(
            f"obs has no column {absent[0]!r}; it has {', '.join(map(str, obs.columns)) or 'none'}."
        )
    text = {
        name: obs[column].astype(object).map(lambda value: "" if pd.isna(value) else str(value).strip())
        if column
        else pd.Series("", index=obs.index)
        for name, column in (("tissue", key), ("tissue_id", id_key))
    }
    table = pd.DataFrame(text)
    table.loc[table["tissue"] == "", ["tissue", "tissue_id"]] = [other.name, other.id]
    if not id_key:
        table.loc[table["tissue"] == other.name, "tissue_id"] = other.id
    for name, own in table.drop_duplicates().groupby("tissue")["tissue_id"]:
        if len(own) > 1:
            raise DataError(f"The tissue {name!r} has several terms: {', '.join(map(repr, sorted(own)))}.")
        label("tissue", str(name), own.iloc[0])
    return table


def read_cell_type_map(path: str | Path) -> dict[str, Label]:
    """Read the names that cell types have in the atlas.

    Parameters
    ----------
    path
        ``.csv`` with the columns ``label`` (as in the data), ``cell_type`` (name in the atlas, best that of
        the Cell Ontology) and, if wanted, ``id`` (``CL:0000000``). Several labels may become one cell type.

    Raises
    ------
    ReadError
        If it cannot be read.
    DataError
        If a column or a name is missing, a label occurs twice, or a cell type has two terms.
    ParameterError
        If a term is none of the Cell Ontology.
    """
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise ReadError(f"{path}: expected a table of cell types in .csv ({error}).") from error
    absent = [name for name in ("label", "cell_type") if name not in table]
    if absent or table.empty:
        raise DataError(
            f"{path}: expected the columns label and cell_type (and id); found {len(table)} rows and "
            f"{', '.join(table.columns)}."
        )
    twice = table["label"][table["label"].duplicated()]
    if len(twice):
        raise DataError(f"{path}: the label {twice.iloc[0]!r} occurs twice.")
    ids = table["id"] if "id" in table else pd.Series("", index=table.index)
    found = {
        row[0]: label("cell_type", row[1], row[2])
        for row in zip(table["label"], table["cell_type"], ids, strict=True)
    }
    terms = pd.DataFrame([(one.name, one.id) for one in found.values()], columns=["name", "id"])
    several = terms.drop_duplicates().query("id != ''")["name"]
    if several.duplicated().any():
        raise DataError(f"{path}: {several[several.duplicated()].iloc[0]!r} has two terms.")
    return found


def group_labels(obs: pd.DataFrame, keys: dict[str, str], names: dict[str, Label]) -> pd.DataFrame:
    """Labels of each cell under the names of the atlas.

    Parameters
    ----------
    obs
        Observations.
    keys
        ``donor``, ``cell_type``, ``condition`` → column of ``obs``; "" for no conditions.
    names
        As :func:`read_cell_type_map` gives it; labels that it lacks stay as they are.

    Returns
    -------
    DataFrame
        The columns ``donor``, ``cell_type`` and, where there are conditions, ``condition``, as text; None for
        a cell without a label. The column ``label`` holds the cell type as it was.

    Raises
    ------
    DataError
        If a column is not there, or no label of the map is in the data.
    """
    wanted = {name: keys[name] for name in _GROUP if keys[name] or name != "condition"}
    absent = [f"{key!r} ({name})" for name, key in wanted.items() if key not in obs]
    if absent:
        raise DataError(
            f"obs has no column {absent[0]}; it has {', '.join(map(str, obs.columns)) or 'none'}. Name the "
            "columns by donor_key, cell_type_key and condition_key."
        )
    table = pd.DataFrame({name: obs[key].astype(object) for name, key in wanted.items()}, index=obs.index)
    # 0 is a label, such as that of a cluster.
    table = table.map(lambda value: None if pd.isna(value) else str(value).strip() or None)
    there = set(table["cell_type"].dropna())
    if names and not there & set(names):
        raise DataError(
            f"None of {len(names)} labels of the map of cell types, such as {next(iter(names))!r}, is in "
            f"the data, which have {', '.join(sorted(there)[:5])}."
        )
    table["label"] = table["cell_type"]
    renamed = {old: new.name for old, new in names.items()}
    table["cell_type"] = table["cell_type"].map(lambda value: renamed.get(value, value))
    return table
