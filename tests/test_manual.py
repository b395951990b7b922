"""The manual names every public function and command, and each of its examples runs."""

import doctest
import inspect
import re
import shlex
import subprocess
import sys
import tempfile
from importlib import import_module

import numpy as np
import pytest
import small_model as small
import yaml
from data_files import dataset, file_entry, write_manifest
from miniature import notebook, project
from typer.main import get_command
from typer.testing import CliRunner

import sicmir
from sicmir import cli, paths
from sicmir.publishing import manual

NAMES = [name for names in manual.FUNCTIONS.values() for name in names]
COMMANDS = manual.commands(get_command(cli.app))
MODULES = ("panel", "stats", "donors.survival", "vesicles.crosstalk")


def function(name):
    module, _, attribute = name.rpartition(".")
    return getattr(import_module(module), attribute)


def run(line):
    return CliRunner().invoke(cli.app, shlex.split(line)[1:])


def test_no_public_function_is_left_out():
    public = [getattr(sicmir, name) for name in sicmir.__all__]
    for module in MODULES:
        found = import_module(f"sicmir.{module}")
        public += [getattr(found, name) for name in found.__all__]
    # Some rooms offer the functions of another under their own name; the manual names them once.
    assert {one for one in public if inspect.isfunction(one)} <= {function(name) for name in NAMES}
    assert len(NAMES) == len(set(NAMES))
    page = manual.function_page()
    assert all(f".. autofunction:: {name}\n" in page for name in NAMES)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", NAMES)
def test_the_example_of_a_function(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (test,) = doctest.DocTestFinder(recurse=False).find(function(name), name, globs={})
    assert any(example.want for example in test.examples), "expected an example that shows a result"
    shown = []
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    runner.run(test, out=shown.append)
    assert not shown, "".join(shown)


@pytest.mark.parametrize("name", NAMES)
def test_what_a_docstring_refers_to_is_there(name):
    found = re.findall(r":(?:func|class|meth|mod|data):`~?(sicmir[\w.]+)`", inspect.getdoc(function(name)))
    for reference in found:
        parts = reference.split(".")
        place = sicmir
        for depth, part in enumerate(parts[1:], start=2):
            if not hasattr(place, part):
                import_module(".".join(parts[:depth]))
            place = getattr(place, part)


def test_sphinx_reads_every_docstring_without_a_warning(tmp_path):
    """As the book does, but without its theme and its pages."""
    config = yaml.safe_load((paths.project() / "book" / "_config.yml").read_text())["sphinx"]
    assert {"sphinx.ext.autodoc", "sphinx.ext.napoleon"} <= set(config["extra_extensions"])
    wanted = ("autodoc", "napoleon", "nitpick")
    options = {key: value for key, value in config["config"].items() if key.startswith(wanted)}
    lines = ["extensions = ['myst_parser', 'sphinx.ext.autodoc', 'sphinx.ext.napoleon']"]
    lines += [f"{key} = {value!r}" for key, value in options.items()]
    (tmp_path / "conf.py").write_text("\n".join(lines))
    (tmp_path / "index.md").write_text(manual.function_page())
    (tmp_path / "command.md").write_text(f"---\norphan: true\n---\n{manual.command_page()}")
    command = [sys.executable, "-m", "sphinx", "-W", "-n", "--keep-going", "-q", "-b", "dummy"]
    done = subprocess.run([*command, str(tmp_path), str(tmp_path / "out")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


# Commands


@pytest.fixture
def prepared(tmp_path, monkeypatch):
    """What the examples of the commands find: files in the folder, a small project, a manifest, a mirror."""
    root = project(tmp_path / "project", training=notebook("print(seed)"))
    monkeypatch.setattr(paths, "project", lambda: root)
    monkeypatch.chdir(tmp_path)
    counts = small.counts()
    counts.obs["cell_type"] = np.resize(["T", "B"], counts.n_obs)
    counts.obs["donor"] = np.resize(["P1", "P1", "P1", "P2", "P2", "P2"][::2], counts.n_obs)
    counts.write_h5ad("cells.h5ad")
    (tmp_path / "mirror").mkdir()
    (tmp_path / "mirror" / "a.csv").write_text("sample,PSME1\ns1,5\n")
    entry = file_entry(tmp_path / "mirror" / "a.csv", "a.csv")
    manifest = write_manifest(tmp_path / "manifest.yaml", **{"tcga-small": dataset([entry])})
    monkeypatch.setattr(paths, "manifest", lambda: manifest)
    monkeypatch.setenv("SICMIR_MIRROR", str(tmp_path / "mirror"))
    return tmp_path


def test_the_page_tells_of_every_command_with_its_options_and_an_example():
    page = manual.command_page()
    for name, command in COMMANDS.items():
        assert f"## sicmir {name}\n" in page
        assert f"```bash\n{manual.example(command)}\n```" in page
        assert manual.example(command).startswith(f"sicmir {name}")
        for param in command.params:
            assert max(param.opts, key=len) in page or (param.metavar or param.name.upper()) in page
    for word in (
        "sicmir --install-completion",
        "sicmir --show-completion",
        "sicmir --version",
        "sicmir doctor",
    ):
        assert f"`{word}`" in page
    assert "`--transform <auto\\|frozen\\|rank\\|cohort>`" in page
    assert "[default: 4000]" in page


# Those left out need the published weights or the whole book; that they are understood is tested below.
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("fetch", "a.csv"),
        ("data", "tcga-small: A small data set"),
        ("train", "The model bundle is in my-model."),
        ("predict", "Written to mirnas.h5ad."),
        ("doctor", "Packages: "),
        ("run", "10_training ran in"),
        ("pages", "10_training: Training"),
    ],
)
def test_the_example_of_a_command(prepared, name, told):
    done = run(manual.example(COMMANDS[name]))
    assert done.exit_code == 0, done.output
    assert told in done.output


@pytest.mark.parametrize("name", COMMANDS)
def test_the_example_of_a_command_is_understood(name):
    words = shlex.split(manual.example(COMMANDS[name]))[1 + len(name.split()) :]
    COMMANDS[name].make_context(name, words)
    assert manual.example(COMMANDS[name]) in " ".join(run(f"sicmir {name} --help").output.split())
