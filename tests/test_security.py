"""Files and names from elsewhere run nothing, and write nowhere but where they are told to."""

import ast
from pathlib import Path

import pandas as pd
import pytest
import small_model as small

from sicmir.atlas.store import check_name, partition
from sicmir.errors import ParameterError, ReadError
from sicmir.streaming import predict_file

ROOT = Path(__file__).parents[1]
SOURCES = sorted(path for name in ("sicmir", "benchmarks") for path in (ROOT / name).rglob("*.py"))
RESTRICTED = "published_weights.py"
"""The one file that reads pickles, of an allow-list, and constructs none of what they name."""
REFUSED = {
    *("eval", "exec", "os.system", "os.popen", "pickle.load", "pickle.loads", "marshal.loads", "joblib.load"),
    *("pd.read_pickle", "yaml.load", "tempfile.mktemp", "shutil.unpack_archive", "tarfile.open"),
}
EVIL = (
    "../../evil",
    "/tmp/evil",
    "..",
    "a/../../evil",
    "\\evil",
    "<script>x</script>",
    "a\nb",
    "$(id)",
)


def calls(path):
    """Calls of a source file: dotted name and node."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def keywords(node):
    return {one.arg: getattr(one.value, "value", None) for one in node.keywords}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_nothing_that_could_run_a_file_is_called(path):
    for name, node in calls(path):
        given = keywords(node)
        assert name not in REFUSED, f"{path}:{node.lineno} calls {name}"
        assert name.rsplit(".", 1)[-1] not in ("extractall", "extract_all"), f"{path}:{node.lineno} unpacks"
        assert not given.get("shell"), f"{path}:{node.lineno} calls a shell"
        assert given.get("verify", True) is not False, f"{path}:{node.lineno} does not check certificates"
        if name in ("np.load", "numpy.load"):
            assert given.get("allow_pickle") is False, f"{path}:{node.lineno}: say allow_pickle=False"
        if name == "torch.load":
            assert given.get("weights_only") is True, f"{path}:{node.lineno}: say weights_only=True"
        if name.endswith("Unpickler"):
            assert path.name == RESTRICTED


def test_the_walk_finds_what_it_looks_for(tmp_path):
    path = tmp_path / "bad.py"
    for bad in (
        "eval('1')",
        "np.load(p)",
        "torch.load(p)",
        "requests.get(u, verify=False)",
        "z.extractall(d)",
    ):
        path.write_text(bad)
        with pytest.raises(AssertionError):
            test_nothing_that_could_run_a_file_is_called(path)
    path.write_text("np.load(p, allow_pickle=False)\ntorch.load(p, weights_only=True)\nnetwork.eval()")
    test_nothing_that_could_run_a_file_is_called(path)


def files(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("suffix", [".h5ad", ".csv"])
@pytest.mark.parametrize("options", [{}, {"by": ["cell_type", "donor"], "min_cells": 1}])
def test_names_in_a_file_of_cells_lead_nowhere(tmp_path, suffix, options):
    cells = small.counts()[: len(EVIL)].copy()
    cells.obs = pd.DataFrame({"cell_type": EVIL, "donor": EVIL[::-1]}, index=list(EVIL))
    cells.var_names = [*cells.var_names[: -len(EVIL)], *EVIL]
    cells.uns["sicmir"] = {"modality": "mrna", "units": "counts", "path": "../../evil", "model_id": "../evil"}
    place = tmp_path / "a" / "b"
    (place / "out").mkdir(parents=True)
    cells.write_h5ad(place / "cells.h5ad")
    there = files(tmp_path)
    out = place / "out" / f"mirnas{suffix}"
    done = predict_file(place / "cells.h5ad", out, small.bundle(), abstain=False, progress=False, **options)
    assert done.path == out
    new = files(tmp_path) - there
    assert f"a/b/out/mirnas{suffix}" in new
    assert all(name.startswith("a/b/out/mirnas") for name in new), new
    assert not Path("/tmp/evil").exists()


@pytest.mark.parametrize("name", [*EVIL, "", ".", "a" * 65])
def test_a_data_set_of_the_atlas_is_a_folder_of_the_atlas(tmp_path, name):
    with pytest.raises(ParameterError, match="expected a name"):
        check_name(name)
    with pytest.raises(ParameterError):
        partition(tmp_path, name)


def test_an_absent_file_is_told_and_not_made(tmp_path):
    with pytest.raises(ReadError, match="there is no such file"):
        predict_file(tmp_path / "x.h5ad", tmp_path / "y.h5ad")
    assert files(tmp_path) == set()
