import importlib
import json
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse, stats
from typer.testing import CliRunner

import sicmir
from sicmir import panel
from sicmir.learning.imputation import Z_LIMIT

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture(scope="module")
def bench():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(BENCHMARKS)
        yield importlib.import_module("bench_predict")


@pytest.fixture(scope="module")
def path(bench, tmp_path_factory):
    path = tmp_path_factory.mktemp("cells") / "cells.h5ad"
    bench.write_cells(path, 250, 6000, 600)
    return path


def by_hand(adata):
    """z-scores of log(1 + counts per 10,000) of the landmarks, 0 where not measured or all alike."""
    counts = adata.X.toarray().astype(np.float64)
    logged = np.log1p(1e4 * counts / counts.sum(axis=1, keepdims=True))
    genes = panel.landmarks()["symbol"]
    logged = pd.DataFrame(logged, columns=adata.var_names).reindex(columns=genes, fill_value=0)
    with np.errstate(invalid="ignore"):
        return np.nan_to_num(stats.zscore(logged.to_numpy(), axis=0))


def test_the_published_procedure_is_what_its_description_says(bench, path):
    adata = ad.read_h5ad(path)
    adata = adata[:, 5:].copy()  # without some landmarks
    adata.X = sparse.csr_matrix(adata.X.multiply(np.arange(adata.n_vars) != 3))
    before = adata.X.copy()
    scaled = bench.cohort_zscores(bench.published_table(adata)).to_numpy()
    np.testing.assert_allclose(scaled, by_hand(adata), atol=1e-3)
    assert (scaled[:, [*range(5), 8]] == 0).all()
    assert (before != adata.X).nnz == 0


def test_the_published_procedure_predicts_by_either_model(bench, path):
    adata = ad.read_h5ad(path)
    step, given = bench.WAYS["published, our model"](path)
    bundle = sicmir.load_model()
    training = bundle.rescale.mean_ + bundle.rescale.sd_ * np.clip(by_hand(adata), -Z_LIMIT, Z_LIMIT)
    np.testing.assert_allclose(step(given), bundle.predict_array(training), atol=1e-2)
    step, given = bench.WAYS["published, network"](path)
    assert step(given).shape == (250, 1298)


@pytest.mark.parametrize("way", ["ours, all cells", "bare products", "bare products, bfloat16", "raw read"])
def test_other_ways_run_on_all_cells(bench, path, way):
    step, given = bench.WAYS[way](path)
    assert given.n_obs == 250
    found = step(given[:100].copy())
    if way.startswith("ours"):
        assert not np.isnan(found.X).any()


def test_products_are_those_of_the_model(bench):
    predictor = sicmir.load_model().predictor
    n_centres, n_genes = predictor.centres_.shape
    shapes = [(left.shape, right.shape) for left, right in bench._pairs(*bench._factors())]
    assert all(left[1] == right[0] for left, right in shapes)
    multiplied = sum(left[1] * right[1] for left, right in shapes)
    whole = n_genes * (n_genes + n_centres + len(predictor.kept_)) + n_centres * len(predictor.kept_)
    assert whole + n_centres**2 / 2 < multiplied < whole + n_centres**2


def test_growth_is_the_slope_on_a_double_logarithm(bench):
    rows = [
        {"way": way, "cells": n, "seconds": 3e-4 * n**power, "peak_mib": 200 * n**0.5}
        for way, power in (("bare products", 1.0), ("published, network", 1.2))
        for n in (100, 1000, 10_000)
    ]
    rows[-1]["seconds"] = np.nan
    table = bench.summary(pd.DataFrame(rows))
    growth = bench.exponents(table)
    np.testing.assert_allclose(growth["seconds"], [1, 1.2])
    np.testing.assert_allclose(growth["peak_mib"], 0.5)
    ratio = table.loc[(table["way"] == "bare products") & (table["cells"] == 1000), "times_published"]
    np.testing.assert_allclose(ratio, 1000**0.2)


def test_what_has_no_room_is_not_run_and_named(bench, tmp_path, monkeypatch):
    memory = type("Memory", (), {"available": 0})
    monkeypatch.setattr(bench.psutil, "virtual_memory", memory)
    options = ["--cells", "100", "--genes", "6000", "--per-cell", "300", "--repeats", "1"]
    options += ["--ways", "published, network;raw read", "--out", str(tmp_path / "out")]
    app = bench.typer.Typer()
    app.command()(bench.main)
    result = CliRunner().invoke(app, options)
    assert result.exit_code == 0, result.output
    assert "published, network, 100 cells: not run" in result.output
    assert "raw read, 100 cells" not in result.output
    table = pd.read_csv(tmp_path / "out" / "speed.csv").set_index(["way", "cells"])
    assert table["seconds"].isna().tolist() == [True, False]
    assert (table["peak_mib"].dropna() > 50).all()
    assert (tmp_path / "out" / "growth.csv").is_file()
    record = json.loads((tmp_path / "out" / "record.json").read_text())
    assert record["numpy"] == np.__version__
    assert record["genes"] == 6000
