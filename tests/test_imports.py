"""Imports run downwards: no circles, no files below the pure rooms, no analysis below the data."""

import ast
from collections.abc import Iterator
from pathlib import Path

import networkx as nx
import pytest

import sicmir

ROOT = Path(sicmir.__file__).parent
PURE = (
    "panel",
    "metrics",
    "stats",
    "donors.survival",
    "networks.hubs",
    "networks.network",
    "networks.modules",
    "vesicles.crosstalk",
    "learning.conformal",
)
FILES = ("data", "engine", "streams", "streaming", "prediction", "model", "atlas", "publishing", "cli")
"""Rooms and folders that touch files, or stand above those that do."""


def rooms() -> dict[str, Path]:
    names = {}
    for path in ROOT.rglob("*.py"):
        parts = path.relative_to(ROOT.parent).with_suffix("").parts
        names[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return names


def imported(node: ast.AST, late: bool) -> Iterator[tuple[str, bool]]:
    """Names that are imported, and whether only when a function runs; not those for type checkers alone."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and getattr(child.test, "id", "") == "TYPE_CHECKING":
            continue
        if isinstance(child, ast.Import):
            yield from ((alias.name, late) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            yield from ((f"{child.module}.{alias.name}", late) for alias in child.names)
        yield from imported(child, late or isinstance(child, ast.FunctionDef))


@pytest.fixture(scope="module")
def picture() -> nx.DiGraph:
    """Which room imports which when it is imported itself."""
    graph, there = nx.DiGraph(), rooms()
    graph.add_nodes_from(there)
    for room, path in there.items():
        for name, late in imported(ast.parse(path.read_text("utf-8")), late=False):
            target = name if name in there else name.rpartition(".")[0]
            if not late and target in there and target != room:
                graph.add_edge(room, target)
    return graph


def circles(graph: nx.DiGraph) -> list[list[str]]:
    return [sorted(part) for part in nx.strongly_connected_components(graph) if len(part) > 1]


def test_no_circle(picture):
    assert circles(picture) == []


def test_no_circle_of_folders(picture):
    """A folder stands above or below another, as a whole."""
    folder = {room: ".".join(room.split(".")[:2]) for room in picture}
    assert len(set(folder.values())) > 25
    pairs = ((folder[a], folder[b]) for a, b in picture.edges)
    assert circles(nx.DiGraph((a, b) for a, b in pairs if a != b)) == []


@pytest.mark.parametrize("room", PURE)
def test_pure_rooms_stand_on_no_room_that_touches_files(picture, room):
    below = {name.split(".")[1] for name in nx.descendants(picture, f"sicmir.{room}") if "." in name}
    assert below.isdisjoint(FILES)


def test_data_stand_on_no_analysis(picture):
    data = [name for name in picture if name.startswith("sicmir.data")]
    below = {name.split(".")[1] for one in data for name in nx.descendants(picture, one) if "." in name}
    assert below <= {"data", "errors", "matrices", "names", "panel", "paths"}


def test_nothing_stands_on_the_command_line(picture):
    for top in ("sicmir.cli", "sicmir.publishing.book"):
        assert set(picture.predecessors(top)) <= {"sicmir.__main__"}
