import json

import networkx as nx
import numpy as np
import pytest

from sicmir.errors import DataError, ParameterError, ReadError
from sicmir.networks.network_files import FORMATS, read_network, write_network


@pytest.fixture
def graph():
    made = nx.Graph()
    made.add_node("hsa-miR-21-5p", kind="mirna", grade="A")
    made.add_node("PDCD4", kind="gene", grade="")
    made.add_node("HLA-DRA & <x>", kind="gene", grade="")
    made.add_edge("hsa-miR-21-5p", "PDCD4", weight=np.float64(0.5), r=-0.46, q=1e-12, evidence="reporter;ä")
    made.add_edge("hsa-miR-21-5p", "HLA-DRA & <x>", weight=0.1, r=-0.1, q=np.float32(0.5), evidence="")
    return made


@pytest.mark.parametrize("ending", FORMATS)
def test_what_is_written_is_read_back(graph, ending, tmp_path):
    path = write_network(graph, tmp_path / f"net{ending}")
    found = read_network(path)
    assert dict(found.nodes(data=True)) == dict(graph.nodes(data=True))
    assert nx.utils.edges_equal(found.edges(data=True), graph.edges(data=True))
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_cytoscape_finds_what_it_needs(graph, tmp_path):
    content = json.loads(write_network(graph, tmp_path / "net.cyjs").read_text())
    nodes, edges = (content["elements"][kind] for kind in ("nodes", "edges"))
    ids = {node["data"]["id"] for node in nodes}
    assert ids == set(graph)
    assert {edge["data"][end] for edge in edges for end in ("source", "target")} == ids


def test_an_old_file_survives_a_failure(graph, tmp_path):
    path = write_network(graph, tmp_path / "net.cyjs")
    before = path.read_bytes()
    graph.nodes["PDCD4"]["z"] = float("nan")
    with pytest.raises(DataError, match="PDCD4: the attribute 'z' is nan"):
        write_network(graph, path)
    graph.nodes["PDCD4"]["z"] = ["list"]
    with pytest.raises(DataError, match="expected text or a finite number"):
        write_network(graph, path)
    assert path.read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


def test_bad_files_are_refused(graph, tmp_path):
    with pytest.raises(ParameterError, match=r"ends in \.graphml or \.cyjs"):
        write_network(graph, tmp_path / "net.gml")
    with pytest.raises(DataError, match="no node"):
        write_network(nx.Graph(), tmp_path / "net.cyjs")
    for ending in FORMATS:
        path = tmp_path / f"bad{ending}"
        with pytest.raises(ReadError, match="not a readable"):
            read_network(path)
        path.write_bytes(write_network(graph, tmp_path / f"net{ending}").read_bytes()[:200])
        with pytest.raises(ReadError, match="not a readable"):
            read_network(path)
    path = tmp_path / "other.cyjs"
    path.write_text("[1, 2]")
    with pytest.raises(ReadError, match="not a readable"):
        read_network(path)
