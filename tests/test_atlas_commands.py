"""The commands of the atlas, as a user types them."""

import shlex

import anndata as ad
import atlas_store as atlas
import numpy as np
import pandas as pd
import pytest
import small_model as small
from typer.main import get_command
from typer.testing import CliRunner

from sicmir import cli
from sicmir.publishing import manual

COMMANDS = manual.commands(get_command(cli.app))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SICMIR_ATLAS", str(tmp_path / "store"))
    monkeypatch.delenv("SICMIR_DEBUG", raising=False)
    return tmp_path / "store"


def call(*arguments):
    return CliRunner().invoke(cli.app, ["atlas", *map(str, arguments)])


def example(name):
    return CliRunner().invoke(cli.app, shlex.split(manual.example(COMMANDS[f"atlas {name}"]))[1:])


@pytest.mark.filterwarnings("ignore")
def test_the_examples_one_after_the_other(folder):
    adata = small.counts()
    obs = {"donor": np.resize(["P1", "P2"], adata.n_obs), "cell_type": "T cell"}
    ad.AnnData(adata.X, obs=adata.obs.assign(**obs), var=adata.var).write_h5ad("cells.h5ad")
    done = example("add")
    assert done.exit_code == 0, done.output
    assert f"mine is in the atlas: {adata.n_obs} cells of 2 donors and 1 cell types." in done.output
    assert "No markers of cell types:" in done.output
    listed = example("list")
    assert listed.output.startswith(f"mine: blood, normal; {adata.n_obs} cells, 2 donors, 1 cell types")
    assert example("check").output == "1 data sets, all whole.\n"
    assert example("query").output == "1 rows written to mir-21.csv.\n"
    (row,) = pd.read_csv("mir-21.csv").itertuples()
    assert (row.mirna, row.cell_type, row.tissue, row.grade) == ("hsa-mir-21", "T cell", "blood", "A")
    assert "mine was there already" in example("add").output
    assert example("remove").output == "mine was removed.\n"
    assert example("list").output == ""


def test_damage_is_told_and_ends_with_exit_code_1(folder):
    atlas.put(folder)
    file = atlas.file(folder, "mirna")
    file.write_bytes(b"")
    (folder / ".dataset=two.part").mkdir()
    done = call("check")
    assert done.exit_code == 1
    assert done.stderr.startswith(f"one, {file.name}: has 0 bytes; the record says ")
    assert "1 with problems. Remove what is damaged and add it again." in done.stderr
    assert ".dataset=two.part: of a run that was stopped" in done.stdout


def test_errors_name_the_options(folder):
    atlas.cells().write_h5ad("cells-0.h5ad")
    options = (
        "cells-0.h5ad",
        "--dataset",
        "one",
        "--tissue",
        "blood",
        "--disease",
        "normal",
        "--targets",
        "",
    )
    done = call("add", *options, "--cell-type-key", "cluster")
    assert done.exit_code == 1
    assert "no column 'cluster' (cell_type)" in done.stderr
    assert "Name the columns by --donor-key, --cell-type-key and --condition-key." in done.stderr
    atlas.put(folder)
    assert "Replace it by --overwrite" in call("add", *options).stderr
    assert call("remove", "two").stderr.endswith("has no data set 'two'; it has one.\n")
    assert call("add", "cells.h5ad").exit_code == 2
