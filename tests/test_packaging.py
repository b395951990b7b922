"""Files that must agree with each other: metadata, pins, conda wrapper, notebooks, citation."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import nbformat
import pytest
import yaml
from packaging.requirements import Requirement

import sicmir

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))

ZENODO = {
    *(
        "title",
        "description",
        "creators",
        "contributors",
        "upload_type",
        "access_right",
        "license",
        "version",
    ),
    *(
        "language",
        "keywords",
        "subjects",
        "notes",
        "references",
        "related_identifiers",
        "communities",
        "grants",
    ),
    "publication_date",
}
"""Keys of ``.zenodo.json`` for software."""


def normal(name):
    return name.lower().replace("_", "-")


@pytest.fixture(scope="module")
def pins():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pairs = [line.split("==") for line in lines if line and not line.startswith("#")]
    assert all(len(pair) == 2 for pair in pairs), "constraints.txt holds exact versions only"
    return {normal(name): version for name, version in pairs}


def test_every_dependency_is_pinned_within_its_range(pins):
    extras = PROJECT["optional-dependencies"]
    for text in [*PROJECT["dependencies"], *extras["book"], *extras["test"], *extras["dask"]]:
        requirement = Requirement(text)
        version = pins.get(normal(requirement.name))
        assert version, f"{requirement.name} is in pyproject.toml but not in constraints.txt"
        assert requirement.specifier.contains(version), (
            f"constraints.txt pins {requirement.name} to {version}"
        )


def test_conda_environment_is_a_wrapper_around_the_same_files():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    *conda, pip = environment["dependencies"]
    assert pip == {"pip": ["-c constraints.txt", "-e .[book,test]"]}
    assert conda == ["python=3.11", "pip"]
    # The parts of the package that need an extra are tested with it.
    assert set(PROJECT["optional-dependencies"]["dask"]) <= set(PROJECT["optional-dependencies"]["test"])
    assert PROJECT["requires-python"] == ">=3.11"


def test_version_is_the_same_everywhere():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == PROJECT["version"] == sicmir.__version__


def test_zenodo_says_what_the_others_say():
    archive = json.loads((ROOT / ".zenodo.json").read_text())
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert archive["version"] == PROJECT["version"]
    assert archive["license"] == PROJECT["license"] == citation["license"]
    assert archive["keywords"] == PROJECT["keywords"]
    names = [author["name"] for author in PROJECT["authors"]]
    assert [author["name"] for author in archive["creators"]] == names
    assert [author["name"] for author in citation["authors"]] == names
    (paper,) = archive["related_identifiers"]
    assert paper["identifier"] == citation["references"][0]["doi"]
    # What Zenodo asks of software that is open, and no key that it would refuse.
    assert (archive["upload_type"], archive["access_right"]) == ("software", "open")
    assert {"title", "description"} <= set(archive) <= ZENODO
    assert set(paper) <= {"identifier", "relation", "resource_type", "scheme"}


def test_import_is_light_and_leaves_the_random_state_alone():
    code = (
        "import random, sys, numpy as np; a = random.getstate(); b = np.random.get_state()[1].tobytes();"
        "import sicmir, sicmir.cli;"
        "assert random.getstate() == a and np.random.get_state()[1].tobytes() == b;"
        "assert 'torch' not in sys.modules and 'scanpy' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_public_names_exist_and_others_are_refused():
    for name in sicmir.__all__:
        assert getattr(sicmir, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        sicmir.nonsense  # noqa: B018


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_are_committed_clean(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert notebook.metadata["kernelspec"]["name"] == "python3"
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert not any(cell.outputs or cell.execution_count for cell in code), "commit notebooks without outputs"
    tagged = [i for i, cell in enumerate(notebook.cells) if "parameters" in cell.metadata.get("tags", [])]
    assert len(tagged) == 1
    assert tagged[0] < len(notebook.cells) / 2, "the parameters stand in the upper half"
    for cell in code:
        assert len(cell.source.splitlines()) <= 40, "a long cell belongs in the package"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_figure_has_a_caption_and_alternative_text(path):
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "code" and "plots." in cell.source and cell.source.rstrip().endswith(";"):
            shown = cell.metadata["mystnb"]
            assert len(shown["figure"]["caption"]) > 40
            assert len(shown["image"]["alt"]) > 20


def test_notebooks_are_found():
    assert NOTEBOOKS
