"""The wheel, built as a release builds it: it holds the package with all that it reads, and nothing else."""

import tarfile
import tomllib
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

import sicmir

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
NEEDED = (
    "sicmir/data_manifest.yaml",
    "sicmir/py.typed",
    "sicmir/weights/default/model.json",
    "sicmir/weights/default/trust.csv",
    "sicmir/weights/default/weights.safetensors",
    "sicmir/reference/landmarks.csv",
    "sicmir/reference/genes.csv.gz",
    "sicmir/reference/mirna.csv.gz",
    "sicmir/atlas/web/index.html",
    "sicmir/atlas/web/explorer.js",
)


@pytest.fixture(scope="module")
def build():
    return pytest.importorskip("hatchling.build", reason="the build backend is of the extra test")


@pytest.fixture(scope="module")
def wheel(build, tmp_path_factory):
    place = tmp_path_factory.mktemp("wheel")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)  # as every build front end does
        name = build.build_wheel(str(place))
    with zipfile.ZipFile(place / name) as archive:
        yield archive


def test_the_wheel_holds_every_file_of_the_package_and_no_other(wheel):
    names = set(wheel.namelist())
    assert set(NEEDED) <= names
    package = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "sicmir").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {name for name in names if ".dist-info/" not in name} == package | {"sicmir/data_manifest.yaml"}


def test_what_the_wheel_says_of_itself(wheel):
    name = next(name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    told = Parser().parsestr(wheel.read(name).decode())
    assert (told["Name"], told["Version"]) == ("sicmir", sicmir.__version__)
    assert told["License-Expression"] == PROJECT["license"]
    assert told["Requires-Python"] == PROJECT["requires-python"]
    assert told["Description-Content-Type"] == "text/markdown"
    assert any(entry.endswith("licenses/LICENSE") for entry in wheel.namelist())
    entries = wheel.read(name.replace("METADATA", "entry_points.txt")).decode()
    assert "sicmir = sicmir.cli:main" in entries


def test_the_source_distribution_holds_what_a_release_is_made_of(build, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    with tarfile.open(tmp_path / build.build_sdist(str(tmp_path))) as archive:
        names = {name.split("/", 1)[1] for name in archive.getnames() if "/" in name}
    needed = {"pyproject.toml", "Makefile", "constraints.txt", "data_manifest.yaml", "book/pages.yml"}
    needed |= {path.relative_to(ROOT).as_posix() for path in (ROOT / "notebooks").glob("*.ipynb")}
    needed |= {path.relative_to(ROOT).as_posix() for path in (ROOT / "tests").glob("*.py")}
    assert needed <= names
    built = ("results/", "book/_build/", "book/pages/", "book/generated/", ".venv", ".git/", "dist/")
    assert not [name for name in names if name.startswith(built) or name.endswith(".pyc")]
