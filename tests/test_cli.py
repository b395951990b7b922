import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import anndata as ad
import nbformat
import numpy as np
import pandas as pd
import pytest
import small_model as small
from miniature import notebook, outputs, project
from typer.testing import CliRunner

import sicmir
from sicmir import cli, data, paths, streaming
from sicmir.errors import FetchError, ParameterError, SicmirError


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


def raise_parameter_error():
    raise ParameterError("Clone the repository.")


def test_parameters_are_listed(root):
    line = "  -p seed <int>  [default: 0]  seed of the split"
    for arguments in (
        ["run", "10_first", "--parameters"],
        ["run", "10_first", "--help-parameters"],
        ["run", "10_first", "-p", "seed", "3", "--help"],
        ["run", "--help", "10_first"],
        ["pages"],
    ):
        done = call(*arguments)
        assert done.exit_code == 0
        assert line in done.output
    assert not (root / "results").exists()
    assert line not in call("run", "--help").output


def test_help_of_a_page_without_the_source_tree_is_the_help_of_the_command(monkeypatch):
    monkeypatch.setattr("sicmir.paths.project", raise_parameter_error)
    done = call("run", "10_training", "--help")
    assert done.exit_code == 0
    assert "--profile" in done.output
    assert "Parameters of" not in done.output


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


def test_a_page_of_cells_takes_a_file_of_them(root, tmp_path):
    (tmp_path / "cells.h5ad").touch()
    file = str(tmp_path / "cells.h5ad")
    assert "give the folder that holds the tables" in call("run", "10_first", "-p", "dataset", file).stderr
    parameters = (
        'dataset: str = "auto"  # cells\ncell_type_key: str = ""  # column\nout_dir: str = ""  # folder'
    )
    nbformat.write(notebook("print(dataset)", parameters=parameters), root / "notebooks" / "10_first.ipynb")
    done = call("run", "10_first", "-p", "dataset", file)
    assert done.exit_code == 0, done.output


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
    rows = pd.MultiIndex.from_product([["sicmir", "ridge"], ["a", "b", "c"]], names=["method", "mirna"])
    test = pd.DataFrame({"pearson": [0.9, 0.7, np.nan, 0.1, 0.2, 0.3]}, index=rows)
    recipe = SimpleNamespace(
        train_bundle=lambda *a, **k: asked.append((a, k)) or SimpleNamespace(test=test),
    )
    monkeypatch.setitem(sys.modules, "sicmir.recipe", recipe)
    done = call("train", "tiny", "--out", "my-model", "--seed", "4")
    assert done.output.splitlines() == [
        "Median Pearson r of miRNAs on donors that it was not trained on: the model 0.80, ridge 0.20.",
        "The model bundle is in my-model. Its test_metrics.csv tells of each miRNA.",
    ]
    assert asked == [(("tiny", Path("my-model")), {"method": "network", "seed": 4, "progress": True})]
    call("train", "tiny", "--out", "my-model", "--method", "kernel")
    assert asked[1][1] == {"method": "kernel", "seed": 0, "progress": True}


@pytest.fixture
def counts(tmp_path):
    adata = small.counts()
    adata.obs["cell_type"] = np.resize(["T", "B"], adata.n_obs)
    adata.write_h5ad(tmp_path / "cells.h5ad")
    return adata


@pytest.fixture
def model(tmp_path):
    return str(small.bundle().save(tmp_path / "model"))


def test_predict_writes_what_the_call_gives_and_tells_what_was_decided(counts, model, tmp_path):
    out = tmp_path / "out.h5ad"
    done = call("predict", str(tmp_path / "cells.h5ad"), str(out), "--model", model)
    assert done.exit_code == 0, done.output
    expected = sicmir.predict(counts, model)
    found = ad.read_h5ad(out)
    np.testing.assert_allclose(found.X, expected.X, atol=1e-5)
    assert found.uns["sicmir"]["dataset"] == "cells.h5ad"
    assert found.uns["sicmir"]["sources"]["checksum"].iloc[0].startswith("sha256:")
    for line in (
        "Input: X is read as counts.",
        "Transform: frozen.",
        "Landmarks: 977 of 977 found.",
        "Predicted: 34 of 34 observations. Abstained: 0 with too few genes, 0 far",
        f"Written to {out}.",
    ):
        assert line in done.output


def test_predict_hands_its_options_on(counts, model, tmp_path, monkeypatch):
    asked = []
    real = streaming.predict_file
    monkeypatch.setattr(streaming, "predict_file", lambda *a, **k: asked.append((a[2:], k)) or real(*a, **k))
    options = ["--by", "cell_type, cohort", "--transform", "rank", "--layer", "X", "--units", "counts"]
    options += ["--min-coverage", "0.4", "--keep-far", "--model", model, "--min-cells", "9"]
    options += ["--chunk-size", "3", "--dtype", "float16", "--no-intervals", "--missing", "drop"]
    done = call("predict", str(tmp_path / "cells.h5ad"), str(tmp_path / "out.csv"), *options)
    assert done.exit_code == 0, done.output
    given = {"layer": "X", "units": "counts", "gene_key": "", "min_coverage": 0.4, "overwrite": False}
    given |= {"min_cells": 9, "abstain": False, "chunk_size": 3, "dtype": "float16", "intervals": False}
    given |= {"scheduler": "", "missing": "drop"}
    assert asked == [((model, "rank", ["cell_type", "cohort"], []), given)]
    assert not (tmp_path / "out_lower.csv").exists()
    sizes = counts.obs.groupby(["cell_type", "cohort"], observed=True).size()
    expected = ["|".join(labels) for labels in sizes.index[sizes >= 9]]
    assert pd.read_csv(tmp_path / "out_samples.csv")["observation"].tolist() == expected
    assert 0 < len(expected) < 4
    wrong = call("predict", str(tmp_path / "cells.h5ad"), str(tmp_path / "o.csv"), "--transform", "z")
    assert wrong.exit_code == 2
    wrong = call("predict", str(tmp_path / "cells.h5ad"), str(tmp_path / "o.csv"), "--gene-key", "symbol")
    assert wrong.exit_code == 1


@pytest.mark.parametrize(
    "columns",
    [["--by", "cell_type", "--by", "cohort"], ["--by", "cell_type,cohort"], ["--by", "cohort, cell_type"]],
)
def test_columns_may_be_joined_or_the_option_repeated(counts, model, tmp_path, columns):
    options = [*columns, "--model", model, "--min-cells", "1"]
    done = call("predict", str(tmp_path / "cells.h5ad"), str(tmp_path / "out.h5ad"), *options)
    assert done.exit_code == 0, done.output
    found = ad.read_h5ad(tmp_path / "out.h5ad").obs
    sizes = counts.obs.groupby(["cell_type", "cohort"], observed=True).size()
    assert found.set_index(["cell_type", "cohort"])["n_cells"].to_dict() == sizes.to_dict()


@pytest.mark.parametrize("ending", [".csv", ".zarr"])
def test_predict_reads_tables_with_gaps_and_zarr(model, tmp_path, ending):
    adata = small.samples(per=1e6)[:5, :2500].copy()
    adata.X[2, 3] = np.nan
    path = tmp_path / f"bulk{ending}"
    if ending == ".csv":
        adata.to_df().to_csv(path)
    else:
        adata.write_zarr(path)
    options = ["--model", model, "--units", "TPM"]
    done = call("predict", str(path), str(tmp_path / "out.parquet"), *options)
    assert done.exit_code == 0, done.output
    found = pd.read_parquet(tmp_path / "out.parquet").set_index("observation")
    expected = sicmir.predict(adata, model, units="TPM")
    np.testing.assert_allclose(found, expected.X, atol=1e-3)
    assert pd.read_parquet(tmp_path / "out_samples.parquet")["coverage"].iloc[2] == 976 / 977


def test_predict_summarises_groups_of_cells(counts, model, tmp_path):
    cells, out = str(tmp_path / "cells.h5ad"), tmp_path / "out.h5ad"
    done = call("predict", cells, str(out), "--model", model, "--summarise", "cell_type")
    assert done.exit_code == 0, done.output
    assert "Summarised: 2 groups by cell_type." in done.output
    frame = pd.DataFrame(sicmir.predict(counts, model).X)
    expected = frame.groupby(counts.obs["cell_type"].to_numpy()).mean()
    np.testing.assert_allclose(ad.read_h5ad(out).X, expected, atol=1e-5)
    both = call("predict", cells, str(out), "--by", "donor", "--summarise", "cell_type")
    assert both.exit_code == 1
    assert "Give either by" in both.stderr


def test_messages_of_predict_name_the_options_of_the_command(counts, model, tmp_path):
    cells, out = str(tmp_path / "cells.h5ad"), tmp_path / "out.csv"
    done = call("predict", cells, str(out), "--model", model)
    assert done.exit_code == 0, done.output
    names = "out_lower.csv, out_upper.csv, out_samples.csv, out_mirnas.csv, out_about.json"
    assert f"Written to {out}; beside it: {names}." in done.output
    adata = counts.copy()
    adata.obs["cell_type"] = adata.obs["cell_type"].astype(object).where(np.arange(34) > 0)
    adata.write_h5ad(tmp_path / "gaps.h5ad")
    adata.var_names = [f"g{i}" for i in range(adata.n_vars)]
    adata.write_h5ad(tmp_path / "names.h5ad")
    adata = small.samples(logarithm=lambda x: np.log2(x * np.linspace(1, 3, len(x))[:, None] + 1))
    adata.write_h5ad(tmp_path / "logs.h5ad")
    for arguments, told in (
        ((cells, out), "or overwrite it by --overwrite."),
        (("gaps.h5ad", "o.h5ad", "--by", "cell_type"), "leave them out by --missing drop"),
        (("names.h5ad", "o.h5ad"), "choose the column that holds them by --gene-key"),
        (("names.h5ad", "o.h5ad"), "lower --min-coverage"),
        (("cells.h5ad", "o.h5ad", "--by", "cohort", "--min-cells", "0"), "--min-cells 0: expected 1 or more"),
        (("logs.h5ad", "o.h5ad", "--by", "cohort"), "as --units 'log1p(CP10K)', or --units 'log2(x + 1)'"),
        (("logs.h5ad", "o.h5ad", "--by", "cohort"), "take --transform rank"),
        (("cells.h5ad", "o.h5ad", "--min-cells", "9"), "--min-cells is for pools (--by) and groups (--summ"),
        (("cells.h5ad", "o.h5ad", "--missing", "drop"), "--missing is for pools"),
        (("cells.h5ad", "o.h5ad", "--layer", "x"), "--layer x: there is no such matrix"),
    ):
        source, target, *options = arguments
        done = call("predict", str(tmp_path / source), str(tmp_path / target), *options, "--model", model)
        assert done.exit_code == 1
        assert told in done.stderr


def test_predict_refuses_before_it_works(counts, tmp_path, monkeypatch):
    monkeypatch.setattr(streaming, "load_model", None)
    (tmp_path / "out.h5ad").write_text("mine")
    cells, out = str(tmp_path / "cells.h5ad"), str(tmp_path / "out.h5ad")
    for arguments, told in (
        ((cells, out), "out.h5ad is there already"),
        ((cells, str(tmp_path / "out.xlsx")), "predictions are written as .h5ad"),
        ((str(tmp_path / "cels.h5ad"), str(tmp_path / "new.h5ad")), "cels.h5ad: there is no such file"),
    ):
        done = call("predict", *arguments)
        assert done.exit_code == 1
        assert told in done.stderr
    assert (tmp_path / "out.h5ad").read_text() == "mine"


def test_predict_overwrites_when_asked(counts, model, tmp_path):
    (tmp_path / "out.h5ad").write_text("old")
    arguments = [str(tmp_path / "cells.h5ad"), str(tmp_path / "out.h5ad"), "--model", model]
    assert call("predict", *arguments, "--overwrite").exit_code == 0
    assert ad.read_h5ad(tmp_path / "out.h5ad").n_obs == 34


def test_doctor_tells_versions_threads_folders_and_the_model(model, tmp_path, monkeypatch):
    monkeypatch.setenv("SICMIR_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("SICMIR_MIRROR", "https://example.org/mirror")
    monkeypatch.setenv("SICMIR_THREADS", "3")
    done = call("doctor", "--model", model)
    assert done.exit_code == 0, done.output
    for part in (
        f"sicmir {sicmir.__version__}, Python {sys.version.split()[0]}",
        f"numpy {np.__version__}",
        "torch ",
        "SICMIR_THREADS=3",
        f"Cache: {tmp_path / 'cache'} (not made yet)",
        "Mirror: https://example.org/mirror",
        f"Model: {small.bundle().weights_sha256[:12]} (kernel), 24 mature miRNAs in log2(RPM+1), from ",
        "Grades: A 8, B 8, D 8",
    ):
        assert part in done.output


def test_doctor_of_a_damaged_model_exits_with_1(model, monkeypatch):
    (Path(model) / "weights.safetensors").write_bytes(b"x")
    done = call("doctor", "--model", model)
    assert done.exit_code == 1
    assert "expected SHA-256" in done.output
    assert "Packages: " in done.output


def test_doctor_imports_neither_torch_nor_scanpy():
    code = (
        "import sys; from typer.testing import CliRunner; from sicmir import cli;"
        "CliRunner().invoke(cli.app, ['doctor']); print(sorted({'torch', 'scanpy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_shell_can_complete_commands_and_choices():
    def complete(*words):
        variables = {"_SICMIR_COMPLETE": "complete_bash", "COMP_WORDS": " ".join(["sicmir", *words])}
        variables |= {"COMP_CWORD": str(len(words))}
        return CliRunner().invoke(cli.app, [], prog_name="sicmir", env=variables).output.split()

    assert {"predict"} == set(complete("pre"))
    assert complete("predict", "--transform", "c") == ["cohort"]
    assert "--show-completion" in call("--help").output


def test_help_needs_no_heavy_package():
    heavy = "{'torch', 'scanpy', 'pandas', 'anndata', 'papermill', 'IPython'}"
    code = f"import sys, sicmir.cli; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
