"""A file predicted by a Dask cluster of two processes, one of which is killed: the numbers of one process."""

import os
import signal
import sys
from dataclasses import replace

import anndata as ad
import numpy as np
import pytest
import small_model as small

from sicmir.errors import BundleError, ClusterError, DataError, ParameterError
from sicmir.streaming import CellStore, predict_file
from sicmir.streams import cluster

pytestmark = pytest.mark.filterwarnings("ignore:Writing zarr v2", "ignore:.*zarr v3")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return str(small.bundle().save(tmp_path_factory.mktemp("bundle") / "model"))


@pytest.fixture(scope="module")
def cells(tmp_path_factory):
    adata = small.counts()
    adata.obs["cell_type"] = np.resize(["T", "B"], adata.n_obs)
    path = tmp_path_factory.mktemp("cells") / "cells.h5ad"
    adata.write_h5ad(path)
    return path


@pytest.fixture(scope="module")
def two_workers():
    distributed = pytest.importorskip("distributed", reason="Dask is not installed (extra dask)")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
    ) as started:
        yield started


def test_the_same_numbers_when_a_worker_is_killed_midway(cells, model, two_workers, tmp_path, monkeypatch):
    predict_file(cells, tmp_path / "one.zarr", model, chunk_size=1)
    killed, real = [], CellStore.add

    def add(self, start, stop, block):
        real(self, start, stop, block)
        if start == 6:
            killed.append(next(iter(two_workers.workers.values())).pid)
            os.kill(killed[0], signal.SIGKILL)

    monkeypatch.setattr(CellStore, "add", add)
    predict_file(cells, tmp_path / "two.zarr", model, chunk_size=1, scheduler=two_workers.scheduler_address)
    assert killed
    one, two = (ad.read_zarr(tmp_path / f"{name}.zarr") for name in ("one", "two"))
    np.testing.assert_array_equal(one.X, two.X)
    for name in ("lower", "upper"):
        np.testing.assert_array_equal(one.layers[name], two.layers[name])
    assert one.obs.equals(two.obs)
    assert one.uns["sicmir"]["coverage"]["found"] == two.uns["sicmir"]["coverage"]["found"] == 977


def test_groups_and_a_model_without_a_folder(cells, model, two_workers, tmp_path):
    options = {"summarise": "cell_type", "chunk_size": 9}
    predict_file(cells, tmp_path / "one.h5ad", model, **options)
    predict_file(
        cells, tmp_path / "two.h5ad", small.bundle(), scheduler=two_workers.scheduler_address, **options
    )
    one, two = (ad.read_h5ad(tmp_path / f"{name}.h5ad") for name in ("one", "two"))
    # What a bundle holds in memory before it was ever saved has a few digits more.
    np.testing.assert_allclose(one.X, two.X, rtol=0, atol=1e-5)
    assert one.obs.equals(two.obs)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["one.h5ad", "two.h5ad"]


def test_errors_of_workers_are_those_of_one_process(cells, model, two_workers, tmp_path, monkeypatch):
    adata = ad.read_h5ad(cells)
    adata.X[30, 5] = np.inf
    adata.write_h5ad(tmp_path / "wrong.h5ad")
    monkeypatch.setattr("sicmir.matrices.units.judged_rows", lambda n, of=0: np.arange(min(n, 4)))
    monkeypatch.setattr("sicmir.data.chunks.judged_rows", lambda n, of=0: np.arange(4))
    options = {"chunk_size": 9, "scheduler": two_workers.scheduler_address}
    with pytest.raises(DataError, match="rows 27 to 33: X holds infinite values"):
        predict_file(tmp_path / "wrong.h5ad", tmp_path / "out.zarr", model, **options)
    assert [file.name for file in tmp_path.iterdir()] == ["wrong.h5ad"]


def test_what_a_cluster_cannot_do(cells, model, tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "PATIENCE", 0.2)
    pytest.importorskip("distributed", reason="Dask is not installed (extra dask)")
    with pytest.raises(ClusterError, match=r"tcp://127.0.0.1:9: no Dask scheduler with a worker answers"):
        predict_file(cells, tmp_path / "out.zarr", model, scheduler="tcp://127.0.0.1:9")
    with pytest.raises(ParameterError, match="Pools, cohorts and other formats are done in one process"):
        predict_file(cells, tmp_path / "out.zarr", model, by="cell_type", scheduler="tcp://127.0.0.1:9")
    assert not list(tmp_path.iterdir())


def test_a_worker_with_another_model_is_told(model):
    with pytest.raises(BundleError, match="A worker finds another model"):
        cluster._bundle(model, "0" * 64)


def test_a_worker_takes_up_new_widths_under_old_weights(tmp_path):
    old, folder = small.bundle(), tmp_path / "model"
    new = replace(old, trust=old.trust.assign(half_width=9.0))
    for bundle in (old, new):
        bundle.save(folder, overwrite=True)
        found = cluster._bundle(str(folder), bundle.content_sha256)
        np.testing.assert_array_equal(found.trust["half_width"], bundle.trust["half_width"])
    assert old.weights_sha256 == new.weights_sha256


def test_without_dask(cells, model, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ParameterError, match=r"pip install 'sicmir\[dask\]'"):
        predict_file(cells, tmp_path / "out.zarr", model, scheduler="tcp://127.0.0.1:9")
