"""The examples of CONTRIBUTING.md do what they say."""

import re
import shutil

import anndata as ad
import numpy as np
import pytest
import yaml
from miniature import notebook, project
from test_fetch import file_entry

import sicmir
from sicmir import paths, toy
from sicmir.benchmark import evaluation
from sicmir.data import readers
from sicmir.publishing.pages import declared
from sicmir.publishing.runner import run_page


@pytest.fixture(scope="module")
def blocks():
    """Code blocks of each section, by its title."""
    sections = (paths.project() / "CONTRIBUTING.md").read_text("utf-8").split("\n## ")
    found = re.compile(r"^```(python|yaml)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
    return {part.split("\n")[0]: [text for _, text in found.findall(part)] for part in sections}


def made_by(source):
    names = {}
    exec(compile(source, "CONTRIBUTING.md", "exec"), names)
    return names


def test_a_data_set(blocks, tmp_path, monkeypatch):
    entry = yaml.safe_load(blocks["A data set"][0])
    file = entry["my-cells"]["files"][0]
    place = tmp_path / file["name"]
    place.parent.mkdir()
    place.write_text("cell,PSME1,CISD1,MIF\na,1,0,3\nb,0,2,1\nc,4,4,4\nd,1,1,0\n")
    # The checksum of an example belongs to no file.
    file |= {key: file_entry(place, file["name"])[key] for key in ("sha256", "bytes")}
    path = tmp_path / "manifest.yaml"
    path.write_text(yaml.safe_dump({"version": 1, "datasets": entry}))
    monkeypatch.setattr(paths, "manifest", lambda: path)
    monkeypatch.setenv("SICMIR_MIRROR", str(tmp_path))
    adata = sicmir.data.load("my-cells")
    assert adata.shape == (4, 3)
    assert adata.uns["sicmir"]["units"] == "counts"


def test_a_reader(blocks, tmp_path, monkeypatch):
    reader = made_by(blocks["A reader"][0])["READER"]
    monkeypatch.setitem(readers.READERS, reader.name, reader)
    (tmp_path / "bulk.txt").write_text("sample;PSME1;CISD1\ns1;5,5;0\n".replace(",", "."))
    adata = sicmir.data.load(tmp_path / "bulk.txt", reader="semicolons", units="CPM")
    assert isinstance(adata, ad.AnnData)
    assert adata.X.tolist() == [[5.5, 0.0]]
    (tmp_path / "bad.txt").write_text("sample;PSME1\ns1;many\n")
    with pytest.raises(sicmir.errors.ReadError, match="semicolons and numbers"):
        sicmir.data.load(tmp_path / "bad.txt", reader="semicolons")


def test_a_method(blocks, monkeypatch):
    method = made_by(blocks["A method"][0])["METHOD"]
    monkeypatch.setitem(evaluation.METHODS, method.name, method)
    mrna, mirna = toy.paired_bulk(40, 2, 1000, 12, seed=1)
    found = evaluation.compare(mrna, mirna, ["median", "shuffled"], n_splits=2, progress=False)
    values = found.predictions["median"].to_numpy()
    assert np.isfinite(values).all()
    assert len(np.unique(values[:, 0])) == 2  # one median a fold


def test_a_chapter(blocks, tmp_path):
    parameters, entry = blocks["A chapter"]
    made = notebook("print(dataset, seed)", parameters=parameters)
    root = project(tmp_path / "project", example=made)
    (page,) = yaml.safe_load(entry)
    shutil.move(root / "notebooks" / "10_example.ipynb", root / page["notebook"])
    (root / "book" / "pages.yml").write_text(yaml.safe_dump({"pages": [page]}))
    known = declared(root / page["notebook"])
    assert {name: one.help for name, one in known.items()}["seed"] == "of all draws"
    run_page("99_example", profile="full", root=root, progress=False)
    assert "auto 1" in (root / "book" / "pages" / "99_example.ipynb").read_text()
