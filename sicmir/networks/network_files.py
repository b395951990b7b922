"""Networks as files: GraphML and the JSON of Cytoscape (``.cyjs``)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import ParseError

import networkx as nx
import numpy as np

from sicmir import paths
from sicmir.errors import DataError, ParameterError, ReadError

FORMATS = (".graphml", ".cyjs")
"""Endings of the formats."""

_DAMAGED = (OSError, ValueError, LookupError, TypeError, AttributeError, ParseError, nx.NetworkXException)
"""What the parsers raise where a file is not what it should be."""


def write_network(graph: nx.Graph, path: str | Path) -> Path:
    """Write a network under a temporary name and move it to ``path``.

    Parameters
    ----------
    graph
        As :func:`sicmir.networks.network.graph` gives it: names as nodes, plain values as attributes.
    path
        Ends in ``.graphml`` (Cytoscape, Gephi, igraph) or ``.cyjs`` (Cytoscape, cytoscape.js).

    Returns
    -------
    Path
        Of the file.

    Raises
    ------
    ParameterError
        If the ending is another one.
    DataError
        If the graph is empty, or an attribute is no text, number or truth value, or not finite.
    """
    path = _checked(path)
    if not len(graph):
        raise DataError(f"{path}: the graph has no node; there is nothing to be written.")
    plain = _plain(graph)
    with paths.replacing(path) as part:
        if path.suffix == ".graphml":
            nx.write_graphml_xml(plain, part)
        else:
            content = nx.cytoscape_data(plain)
            part.write_text(json.dumps(content, allow_nan=False, ensure_ascii=False), encoding="utf-8")
    return path


def read_network(path: str | Path) -> nx.Graph:
    """Read a network that :func:`write_network` wrote.

    Raises
    ------
    ParameterError
        If the ending is neither ``.graphml`` nor ``.cyjs``.
    ReadError
        If the file is not there or not of that format.
    """
    path = _checked(path)
    try:
        if path.suffix == ".graphml":
            return nx.read_graphml(path)
        read = nx.cytoscape_graph(json.loads(path.read_text(encoding="utf-8")))
    except _DAMAGED as error:
        raise ReadError(
            f"{path}: not a readable {path.suffix} network ({type(error).__name__}: {error})."
        ) from error
    for *_, facts in read.nodes(data=True):
        for extra in ("id", "name", "value"):
            facts.pop(extra, None)
    for *_, facts in read.edges(data=True):
        for extra in ("source", "target"):
            facts.pop(extra, None)
    return read


def _checked(path: str | Path) -> Path:
    path = Path(path)
    if path.suffix not in FORMATS:
        raise ParameterError(f"{path}: expected a name that ends in {' or '.join(FORMATS)}.")
    return path


def _plain(graph: nx.Graph) -> nx.Graph:
    """Copy with values of Python in place of numpy's."""
    copy = nx.Graph()
    copy.add_nodes_from((node, _values(node, facts)) for node, facts in graph.nodes(data=True))
    copy.add_edges_from(
        (source, target, _values(f"{source} - {target}", facts))
        for source, target, facts in graph.edges(data=True)
    )
    return copy


def _values(owner: str, facts: dict[str, Any]) -> dict[str, Any]:
    values = {name: fact.item() if isinstance(fact, np.generic) else fact for name, fact in facts.items()}
    for name, value in values.items():
        if not isinstance(value, str | bool | int | float) or (
            isinstance(value, float) and not np.isfinite(value)
        ):
            raise DataError(
                f"{owner}: the attribute {name!r} is {value!r}; expected text or a finite number."
            )
    return values
