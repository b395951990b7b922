import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pandas as pd
import pytest
from miniature import notebook, outputs, project
from typer.testing import CliRunner

import sicmir
from sicmir import cli, data, paths
from sicmir.errors import FetchError, SicmirError


@pytest.fixture
def root(tmp_path, monkeypatch):
    root = project(tmp_path / "project", first=notebook("print(seed, dataset)"))
    monkeypatch.setattr(paths, "project", lambda: root)
    monkeypatch.delenv("SICMIR_DEBUG", raising=False)
    return root


def call(*arguments):
    return CliRunner().invoke(cli.app, arguments)


def test_version():
    assert call("--version").output.strip() == sicmir.__version__


def test_an_error_is_one_message_on_stderr_with_exit_code_1(root):
    done = call("run", "10_frist")
    assert done.exit_code == 1
    assert done.stdout == ""
    told = "There is no page '10_frist'. Did you mean 10_first? Known pages: 10_first."
    assert done.stderr == f"sicmir: {told}\n"


def test_debug_shows_the_exception(root, monkeypatch):
    monkeypatch.setenv("SICMIR_DEBUG", "1")
    assert isinstance(call("run", "10_frist").exception, SicmirError)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["-p", "sed", "3"], "no parameter 'sed'. Did you mean seed?"),
        (["-p", "seed", "x"], "expects int, found 'x'"),
        (["-p", "seed", "3", "-p", "seed", "4"], "'seed' was given twice"),
        (["--profile", "fast"], "no profile 'fast'"),
    ],
)
def test_wrong_parameters_are_refused_before_anything_runs(root, arguments, told):
    done = call("run", "10_first", *arguments)
    assert done.exit_code == 1
    assert told in done.stderr
    assert not list(root.glob("results/runs/*/*.ipynb"))


def test_a_parameter_without_a_value_is_a_usage_error(root):
    done = call("run", "10_first", "-p", "seed")
    assert done.exit_code == 2
    assert "-p takes a name and a value" in done.stderr


def test_parameters_are_listed(root):
    for arguments in (["run", "10_first", "--help-parameters"], ["pages"]):
        done = call(*arguments)
        assert done.exit_code == 0
        assert "  -p seed <int>  [default: 0]  seed of the split" in done.output


def test_run_writes_to_a_folder_of_its_own(root, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a=b c").mkdir()
    done = call("run", "10_first", "-p", "seed", "-3", "-p", "dataset", "a=b c")
    assert done.exit_code == 0, done.output
    (written,) = root.glob("results/runs/10_first-*/10_first.ipynb")
    assert str(written) in done.stdout
    assert "-3 a=b c" in outputs(written)
    assert not (root / "book" / "pages").exists()


def test_an_unknown_data_set_is_told_before_the_page_runs(root):
    done = call("run", "10_first", "-p", "dataset", "tcga_small")
    assert done.exit_code == 1
    assert "Did you mean tcga-small" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (root / "results").exists()


def test_a_failing_page_gives_its_traceback_and_exit_code_1(root, tmp_path):
    nbformat.write(notebook("1 / 0"), root / "notebooks" / "10_first.ipynb")
    done = call("run", "10_first", "--out", str(tmp_path / "mine"))
    assert done.exit_code == 1
    assert "ZeroDivisionError" in done.stderr
    assert (tmp_path / "mine" / "10_first.failed.ipynb").is_file()
    assert not (tmp_path / "mine" / "10_first.ipynb").exists()


def test_data_lists_the_manifest(monkeypatch):
    columns = ["key", "title", "bytes", "unsized", "licence", "state"]
    rows = [("tiny", "Tiny", 2_500_000, 0, "CC0", "cached"), ("part", "Part", 9, 1, "MIT", "online")]
    table = pd.DataFrame(rows, columns=columns)
    monkeypatch.setattr(data, "describe", lambda: table, raising=False)
    done = call("data")
    assert done.exit_code == 0
    assert done.output == (
        "tiny: Tiny (2.5 MB, cached)\n    CC0\npart: Part (9 B + 1 file of unknown size, online)\n    MIT\n"
    )


def test_fetch_prints_where_the_files_are(monkeypatch):
    asked = []
    monkeypatch.setattr(
        data, "fetch", lambda key, progress: asked.append(key) or {"a.rda": Path("/c/a.rda")}, raising=False
    )
    assert call("fetch", "tiny").output == "/c/a.rda\n"
    assert asked == ["tiny"]


def test_fetch_that_fails_tells_why(monkeypatch):
    def refuse(key, progress):
        raise FetchError("a.rda: checksum differs")

    monkeypatch.setattr(data, "fetch", refuse, raising=False)
    done = call("fetch", "tiny")
    assert (done.exit_code, done.stderr) == (1, "sicmir: a.rda: checksum differs\n")


def test_train_hands_its_options_on_and_names_the_bundle(monkeypatch):
    asked = []
    recipe = SimpleNamespace(train_bundle=lambda *a, **k: asked.append((a, k)))
    monkeypatch.setitem(sys.modules, "sicmir.recipe", recipe)
    done = call("train", "tiny", "--out", "my-model", "--seed", "4")
    assert done.output == "The model bundle is in my-model.\n"
    assert asked == [(("tiny", Path("my-model")), {"method": "network", "seed": 4, "progress": True})]
    call("train", "tiny", "--out", "my-model", "--method", "kernel")
    assert asked[1][1] == {"method": "kernel", "seed": 0, "progress": True}


def test_help_needs_no_heavy_package():
    heavy = "{'torch', 'scanpy', 'pandas', 'anndata', 'papermill', 'IPython'}"
    code = f"import sys, sicmir.cli; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
