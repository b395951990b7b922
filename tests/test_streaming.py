"""Files predicted in chunks: against the same table in memory, after interruptions, and what is refused."""

import json
import multiprocessing
import time
from dataclasses import replace

import anndata as ad
import h5py
import killed_run
import numpy as np
import pandas as pd
import pytest
import small_model as small
from scipy import sparse

from sicmir import prediction, streaming
from sicmir.engine import file_input
from sicmir.errors import DataError, PanelError, ParameterError, ReadError, WriteError
from sicmir.prediction import predict
from sicmir.streaming import predict_file
from sicmir.streams import group_summary, part_folder

pytestmark = pytest.mark.filterwarnings("ignore:Writing zarr v2", "ignore:.*zarr v3")
FORMS = {"csr": sparse.csr_matrix, "csc": sparse.csc_matrix, "dense": lambda matrix: matrix.toarray()}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return str(small.bundle().save(tmp_path_factory.mktemp("bundle") / "model"))


@pytest.fixture(scope="module")
def counts():
    """Samples of which one is empty and one is far from the training data."""
    adata = small.counts()
    values = adata.X.toarray()
    values[3] = 0
    values[5, :977] = values[5, np.random.default_rng(0).permutation(977)]
    adata.X = sparse.csr_matrix(values)
    adata.obs["cell_type"] = np.resize(["T", "B", "NK"], adata.n_obs)
    adata.obs["plate"] = pd.Series([None, *map(str, range(33))], index=adata.obs_names, dtype=object)
    return adata


@pytest.fixture(scope="module")
def expected(counts, model):
    return predict(counts, model, progress=False)


@pytest.fixture(scope="module")
def cells(counts, tmp_path_factory):
    path = tmp_path_factory.mktemp("cells") / "cells.h5ad"
    counts.write_h5ad(path)
    return path


def read(path):
    return ad.read_zarr(path) if path.suffix == ".zarr" else ad.read_h5ad(path)


def close(found, expected, atol=1e-4):
    """Single precision: how rows are divided into products shows in the last digits."""
    np.testing.assert_allclose(found.X, expected.X, rtol=0, atol=atol)
    for name in ("lower", "upper"):
        np.testing.assert_allclose(found.layers[name], expected.layers[name], rtol=0, atol=atol)
    for name in ("coverage", "domain_score"):
        np.testing.assert_allclose(found.obs[name], expected.obs[name], rtol=0, atol=atol)
    for name in ("in_domain", "abstained"):
        assert found.obs[name].tolist() == expected.obs[name].tolist()
    assert found.obs_names.equals(expected.obs_names)
    assert found.var_names.equals(expected.var_names)


def identical(one, other):
    np.testing.assert_array_equal(one.X, other.X)
    assert one.layers.keys() == other.layers.keys()
    for name in one.layers:
        np.testing.assert_array_equal(one.layers[name], other.layers[name])
    pd.testing.assert_frame_equal(one.obs, other.obs)
    pd.testing.assert_frame_equal(one.var, other.var)


# What comes out


@pytest.mark.parametrize("ending", ["h5ad", "zarr"])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("chunk_size", [7, 1000])
def test_files_are_predicted_as_tables_in_memory(
    counts, expected, model, tmp_path, monkeypatch, ending, form, chunk_size
):
    if chunk_size == 7:
        monkeypatch.setattr(file_input, "WINDOW_BYTES", 2**19)  # two windows
    order = np.random.default_rng(chunk_size).permutation(counts.n_obs)
    adata = counts[order].copy()
    adata.X = FORMS[form](adata.X)
    path, out = tmp_path / f"in.{ending}", tmp_path / f"out.{ending}"
    getattr(adata, f"write_{ending}")(path)
    done = predict_file(path, out, model, chunk_size=chunk_size)
    found = read(out)
    close(found, expected[order])
    assert done.path == out
    assert done.resumed == 0
    assert done.summary == prediction.summary(found)
    whole = predict(adata, model, progress=False).uns["sicmir"]
    record = found.uns["sicmir"]
    assert set(record) - set(whole) <= {"dataset", "sources", "synthetic"}
    for name in ("transform", "transform_reason", "units", "level", "min_coverage", "abstain", "version"):
        assert record[name] == whole[name]
    for group in ("units_record", "coverage", "model"):
        for name, value in whole[group].items():
            np.testing.assert_array_equal(record[group][name], value)
    assert list(record["notes"]) == list(whole["notes"])
    assert record["dataset"] == f"in.{ending}"
    assert sorted(file.name for file in tmp_path.iterdir()) == [f"in.{ending}", f"out.{ending}"]


def test_tables_hold_the_same(cells, expected, model, tmp_path):
    for ending, load in ((".csv", pd.read_csv), (".parquet", pd.read_parquet)):
        folder = tmp_path / ending[1:]
        predict_file(cells, folder / f"out{ending}", model, chunk_size=9)
        for name, values in (("", expected.X), ("_lower", expected.layers["lower"])):
            table = load(folder / f"out{name}{ending}").set_index("observation")
            np.testing.assert_allclose(table, values, rtol=1e-5, atol=1e-4)
            assert table.index.tolist() == expected.obs_names.tolist()
        samples = load(folder / f"out_samples{ending}")
        assert samples["abstained"].tolist() == expected.obs["abstained"].tolist()
        names = sorted(f"out{name}{ending}" for name in ("", "_lower", "_upper", "_samples", "_mirnas"))
        assert sorted(file.name for file in folder.iterdir()) == sorted([*names, "out_about.json"])


def test_half_precision_without_intervals(cells, expected, model, tmp_path):
    for ending in (".zarr", ".h5ad", ".parquet"):
        out = tmp_path / f"out{ending}"
        predict_file(cells, out, model, chunk_size=9, dtype="float16", intervals=False)
        if ending == ".parquet":
            values = pd.read_parquet(out).set_index("observation").to_numpy()
            assert not (tmp_path / "out_lower.parquet").exists()
        else:
            values = read(out).X
            assert not read(out).layers
        assert values.dtype == np.float16
        np.testing.assert_allclose(values.astype(float), expected.X, rtol=2e-3, atol=1e-4)


def test_counts_that_bear_the_name_of_a_table_of_the_result_are_kept(counts, model, tmp_path):
    source = tmp_path / "liver_count.csv"
    counts.to_df().to_csv(source)
    before = source.read_bytes()
    with pytest.raises(ParameterError, match=r"liver_count\.csv is what is predicted from"):
        predict_file(source, tmp_path / "liver.csv", model, overwrite=True)
    assert [file.name for file in tmp_path.iterdir()] == ["liver_count.csv"]
    assert source.read_bytes() == before


def test_files_of_ones_own_where_a_result_would_grow_are_kept(cells, counts, model, tmp_path):
    folder = part_folder.part_folder(tmp_path / "out.h5ad")
    folder.mkdir()
    (folder / "thesis.txt").write_text("mine")
    with pytest.raises(ParameterError, match=r"thesis\.txt is where out\.h5ad would grow"):
        predict_file(cells, tmp_path / "out.h5ad", model, overwrite=True)
    assert (folder / "thesis.txt").read_text() == "mine"
    (folder / "thesis.txt").unlink()
    counts.write_h5ad(folder / ".cells.h5ad")
    with pytest.raises(ParameterError, match=r"cells\.h5ad lies where out\.h5ad would grow"):
        predict_file(folder / ".cells.h5ad", tmp_path / "out.h5ad", model, overwrite=True)
    assert (folder / ".cells.h5ad").exists()


def test_a_result_without_a_layer_leaves_none_of_the_one_before(cells, model, tmp_path):
    predict_file(cells, tmp_path / "out.csv", model)
    assert (tmp_path / "out_lower.csv").exists()
    predict_file(cells, tmp_path / "out.csv", model, intervals=False, overwrite=True)
    assert not (tmp_path / "out_lower.csv").exists()


@pytest.mark.parametrize("ending", [".h5ad", ".zarr", ".csv"])
def test_groups_are_summarised_as_numpy_does(cells, counts, expected, model, tmp_path, monkeypatch, ending):
    monkeypatch.setattr(group_summary, "NEARLY_ALL", 1)
    out = tmp_path / f"out{ending}"
    done = predict_file(cells, out, model, summarise=["cell_type", "condition"], chunk_size=5, min_cells=11)
    labels = counts.obs["cell_type"].astype(str) + "|" + counts.obs["condition"].astype(str)
    sizes = labels.value_counts().sort_index()
    kept = sizes.index[sizes >= 11]
    assert f"Summarised: {len(kept)} groups by cell_type, condition" in done.summary
    values = {name: expected.X[(labels == name).to_numpy()].astype(np.float64) for name in kept}
    shown = [(~np.isnan(rows).all(axis=1)).sum() for rows in values.values()]
    assert 0 < sum(shown) < len(counts)
    few = np.array(shown) < 11
    assert few.any() and not few.all()
    mean = np.array([np.nanmean(rows, axis=0) for rows in values.values()])
    variance = np.array([np.nanvar(rows, axis=0, ddof=1) for rows in values.values()])
    mean[few] = variance[few] = np.nan
    assert f"{few.sum()} of the groups are left NaN: fewer than 11 of their cells" in done.summary
    assert f"of {sum(shown)} of {sizes[kept].sum()} cells" in done.summary
    if ending == ".csv":
        table = pd.read_csv(out).set_index("observation")
        np.testing.assert_allclose(table, mean, rtol=1e-5, atol=1e-4)
        np.testing.assert_allclose(
            pd.read_csv(tmp_path / "out_variance.csv").set_index("observation"),
            variance,
            rtol=1e-3,
            atol=1e-4,
        )
        return
    found = read(out)
    assert found.obs_names.tolist() == list(kept)
    assert found.obs["n_cells"].tolist() == sizes[kept].tolist()
    assert found.obs["n_predicted"].tolist() == shown
    np.testing.assert_allclose(found.X, mean, rtol=0, atol=1e-4)
    np.testing.assert_allclose(found.layers["variance"], variance, rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(found.layers["count"], np.repeat(np.array(shown)[:, None], 24, axis=1))
    assert found.var["grade"].tolist() == expected.var["grade"].tolist()
    assert found.uns["sicmir"]["summarised"]["n_cells"] == counts.n_obs


def test_groups_of_a_table_that_has_a_column_of_the_same_name(counts, model, tmp_path):
    adata = counts.copy()
    adata.obs["n_predicted"] = 99
    adata.write_h5ad(tmp_path / "in.h5ad")
    predict_file(tmp_path / "in.h5ad", tmp_path / "out.h5ad", model, summarise="cell_type", min_cells=3)
    obs = read(tmp_path / "out.h5ad").obs
    assert (obs["n_predicted"] <= obs["n_cells"]).all()


def test_cells_without_a_label_are_in_no_group(counts, expected, model, tmp_path):
    adata = counts.copy()
    adata.obs["cell_type"] = adata.obs["cell_type"].astype(object).where(np.arange(len(adata)) > 5)
    adata.write_h5ad(tmp_path / "in.h5ad")
    paths = tmp_path / "in.h5ad", tmp_path / "out.h5ad"
    for option in ("by", "summarise"):
        with pytest.raises(
            DataError, match="6 in cell_type. Label them, or leave them out by missing='drop'"
        ):
            predict_file(*paths, model, **{option: "cell_type"})
    done = predict_file(*paths, model, summarise="cell_type", min_cells=2, missing="drop")
    found = read(done.path)
    assert "6 cells have no label" in done.summary
    labels = adata.obs["cell_type"].astype(str).to_numpy()
    assert found.obs["n_cells"].to_dict() == adata.obs["cell_type"].value_counts().to_dict()
    for name in found.obs_names:
        mean = np.nanmean(expected.X[labels == name], axis=0)
        np.testing.assert_allclose(found[name].X[0], mean, atol=1e-4)
    assert found.uns["sicmir"]["summarised"]["without_label"] == 6
    predict_file(*paths, model, by="cell_type", min_cells=2, missing="drop", overwrite=True)
    assert read(done.path).obs["n_cells"].sum() == 28


@pytest.mark.parametrize("form", ["csr", "csc"])
def test_pools_are_those_in_memory(counts, model, tmp_path, form):
    adata = counts.copy()
    adata.X = FORMS[form](adata.X)
    adata.write_h5ad(tmp_path / "in.h5ad")
    options = {"by": ["cell_type", "condition"], "min_cells": 3, "abstain": False}
    predict_file(tmp_path / "in.h5ad", tmp_path / "out.h5ad", model, **options)
    found, whole = read(tmp_path / "out.h5ad"), predict(adata, model, progress=False, **options)
    close(found, whole)
    assert found.obs["n_cells"].tolist() == whole.obs["n_cells"].tolist()
    assert found.uns["sicmir"]["units_record"]["reasons"].tolist() == list(
        whole.uns["sicmir"]["units_record"]["reasons"]
    )


def test_other_formats_are_read_whole(counts, expected, model, tmp_path):
    counts.to_df().to_csv(tmp_path / "in.csv")
    predict_file(tmp_path / "in.csv", tmp_path / "out.zarr", model, chunk_size=10)
    close(read(tmp_path / "out.zarr"), expected)


def test_the_key_of_genes_is_that_of_a_loom_file(counts, expected, model, tmp_path):
    with h5py.File(tmp_path / "in.loom", "w") as file:
        file["matrix"] = counts.X.T.toarray()
        file["row_attrs/symbol"] = counts.var_names.to_numpy().astype("S")
        file["row_attrs/Gene"] = [f"g{i}".encode() for i in range(counts.n_vars)]
        file["col_attrs/CellID"] = counts.obs_names.to_numpy().astype("S")
    predict_file(tmp_path / "in.loom", tmp_path / "out.h5ad", model, gene_key="symbol")
    close(read(tmp_path / "out.h5ad"), expected)
    with pytest.raises(ReadError, match="no attribute 'gene'"):
        predict_file(tmp_path / "in.loom", tmp_path / "other.h5ad", model, gene_key="gene")


def test_a_cohort_is_taken_as_a_whole(counts, cells, model, tmp_path, monkeypatch):
    adata = counts[np.arange(len(counts)) != 3]  # a cohort takes no empty sample
    adata.write_h5ad(tmp_path / "in.h5ad")
    predict_file(tmp_path / "in.h5ad", tmp_path / "out.h5ad", model, "cohort", chunk_size=5)
    close(read(tmp_path / "out.h5ad"), predict(adata, model, "cohort", progress=False))
    monkeypatch.setattr(file_input, "LARGEST_COHORT", 30)
    with pytest.raises(ParameterError, match="looks at all rows at once, and 34 are more than the 30"):
        predict_file(cells, tmp_path / "other.h5ad", model, "cohort")


# What is decided of the file


def forms_of_units():
    logged = small.samples(per=1e4, logarithm=np.log1p)
    scaled = small.samples()
    scaled.X = (scaled.X - scaled.X.mean(axis=0)) / (scaled.X.std(axis=0) + 1)
    scaled.raw = logged
    layered = scaled.copy()
    layered.layers["counts"] = small.counts().X
    other = scaled.copy()
    other.layers["mine"] = small.samples(per=1e6).X
    named = small.counts()
    named.var = pd.DataFrame({"symbol": named.var_names}, index=[f"g{i}" for i in range(named.n_vars)])
    gaps = small.samples(per=1e6)
    gaps.X[:20, 4] = np.nan
    gaps.X[:, 7] = np.nan
    few = small.counts()[:, :2000].copy()
    return {
        "log1p": (logged, {}),
        "raw": (scaled, {}),
        "counts": (layered, {}),
        "layer": (other, {"layer": "mine"}),
        "raw named": (layered, {"layer": "raw", "transform": "rank"}),
        "units": (small.samples(per=1e6), {"units": "TPM"}),
        "gene_key": (named, {"gene_key": "symbol"}),
        "gaps": (gaps, {}),
        "few genes": (few, {}),
    }


@pytest.mark.parametrize("case", forms_of_units())
def test_units_and_genes_are_decided_as_in_memory(model, tmp_path, case):
    adata, options = forms_of_units()[case]
    adata.write_h5ad(tmp_path / "in.h5ad")
    expected = predict(adata, model, progress=False, **options)
    predict_file(tmp_path / "in.h5ad", tmp_path / "out.h5ad", model, chunk_size=15, **options)
    found = read(tmp_path / "out.h5ad")
    close(found, expected)
    assert prediction.summary(found) == prediction.summary(expected)
    for name, value in expected.uns["sicmir"]["coverage"].items():
        np.testing.assert_array_equal(found.uns["sicmir"]["coverage"][name], value)


def test_genes_that_are_found_twice(counts, expected, model, tmp_path):
    half = counts.X.copy()
    half.data = np.floor(half.data / 3)
    parts = [half[:, :977], counts.X[:, :977] - half[:, :977], counts.X[:, 977:]]
    names = [*counts.var_names[:977], *counts.var_names]
    split = ad.AnnData(
        sparse.hstack(parts, format="csr"),
        obs=counts.obs,
        var=pd.DataFrame({"symbol": names}, index=[f"g{i}" for i in range(len(names))]),
    )
    split.write_h5ad(tmp_path / "in.h5ad")
    predict_file(tmp_path / "in.h5ad", tmp_path / "out.h5ad", model, gene_key="symbol")
    close(read(tmp_path / "out.h5ad"), expected)
    split.X = split.X / 7
    split.write_h5ad(tmp_path / "in.h5ad")
    with pytest.raises(PanelError, match="977 landmarks are found in more than one column.*Only counts"):
        predict_file(tmp_path / "in.h5ad", tmp_path / "o.h5ad", model, "rank", gene_key="symbol")


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (-3, "rows 7 to 13: X holds negative values, but .* read as counts"),
        (2.5, "rows 7 to 13: X holds fractional numbers, but .* taken for counts"),
        (np.inf, "rows 7 to 13: X holds infinite values"),
    ],
)
@pytest.mark.parametrize("gene", [5, 3000])
def test_values_that_contradict_the_first_look_are_told_with_their_rows(
    counts, model, tmp_path, monkeypatch, value, told, gene
):
    """Of the gene 5, a landmark, and of another one."""
    from sicmir.data import chunks
    from sicmir.matrices import units

    seen = np.array([0, 1, 20, 30])
    monkeypatch.setattr(units, "judged_rows", lambda n, of=0: seen if n > 4 else np.arange(n))
    monkeypatch.setattr(chunks, "judged_rows", lambda n, of=0: seen)
    adata = counts.copy()
    adata.X[9, gene] = value
    adata.write_h5ad(tmp_path / "in.h5ad")
    with pytest.raises(DataError, match=told):
        predict_file(tmp_path / "in.h5ad", tmp_path / "out.h5ad", model, chunk_size=7)
    assert [file.name for file in tmp_path.iterdir()] == ["in.h5ad"]
    with pytest.raises(DataError, match=told.partition(": ")[2]):
        predict(adata, model, progress=False)
    if value == 2.5:  # whoever says that they are counts has corrected ones
        predict_file(tmp_path / "in.h5ad", tmp_path / "out.h5ad", model, units="counts")


def test_a_column_that_cannot_be_stored_is_told_before_the_work(counts, model, tmp_path, monkeypatch):
    adata = counts.copy()
    adata.obs["observation"] = "x"
    adata.write_h5ad(tmp_path / "in.h5ad")
    with monkeypatch.context() as patch:
        patch.setattr(streaming, "Work", None)
        with pytest.raises(DataError, match="'observation' cannot be stored in .parquet"):
            predict_file(tmp_path / "in.h5ad", tmp_path / "out.parquet", model)
    assert [file.name for file in tmp_path.iterdir()] == ["in.h5ad"]
    predict_file(tmp_path / "in.h5ad", tmp_path / "out.h5ad", model)


@pytest.mark.parametrize("options", [{}, {"by": "cell_type"}, {"transform": "cohort"}])
def test_what_is_no_record_of_ours_in_uns_is_no_obstacle(counts, model, tmp_path, options):
    counts = counts[np.arange(len(counts)) != 3].copy()  # a cohort takes no empty sample
    adata = counts.copy()
    adata.uns["sicmir"] = "mine"
    adata.write_h5ad(tmp_path / "in.h5ad")
    expected = predict(counts, model, progress=False, abstain=False, **options)
    predict_file(tmp_path / "in.h5ad", tmp_path / "out.h5ad", model, abstain=False, **options)
    close(read(tmp_path / "out.h5ad"), expected)


# Interruptions


class Stopped(BaseException):
    pass


def stop_after(monkeypatch, owner, name, n):
    """Let a method raise when it is called for the n-th time, after its work."""
    real, calls = getattr(owner, name), []

    def stopping(*arguments, **options):
        done = real(*arguments, **options)
        calls.append(1)
        if len(calls) == n:
            raise Stopped
        return done

    monkeypatch.setattr(owner, name, stopping)


KINDS = [("out.zarr", {}), ("out.csv", {"dtype": "float16"}), ("out.h5ad", {"summarise": ["cell_type"]})]


@pytest.mark.parametrize(("name", "options"), KINDS)
def test_a_run_that_was_stopped_goes_on(cells, model, tmp_path, monkeypatch, name, options):
    options = {"chunk_size": 5, "min_cells": 1} | options
    whole, out = tmp_path / f"whole_{name}", tmp_path / name
    predict_file(cells, whole, model, **options)
    for owner, method, calls in (
        (part_folder.PartFolder, "note", 3),
        (streaming.Work, "predict", 2),
        (streaming.CellStore if "summarise" not in options else streaming.GroupSummary, "add", 1),
        (part_folder.PartFolder, "note", 3),
        (streaming, "described", 1),
        (part_folder.PartFolder, "note", 1),
        (streaming.CellStore if "summarise" not in options else streaming.GroupSummary, "write", 1),
        (part_folder.PartFolder, "remove", 1),
    ):
        with monkeypatch.context() as patch:
            stop_after(patch, owner, method, calls)
            with pytest.raises(Stopped):
                predict_file(cells, out, model, **options)
        assert out.exists() == (method in ("write", "remove"))
        if method == "remove":  # all is done, and the call would be a new one
            break
    assert not part_folder.part_folder(out).exists()
    if name.endswith(".csv"):
        for part in ("", "_lower", "_upper", "_samples", "_mirnas"):
            found, there = (tmp_path / f"{stem}{part}.csv" for stem in ("out", "whole_out"))
            assert found.read_bytes() == there.read_bytes()
    else:
        identical(read(out), read(whole))
    with pytest.raises(ParameterError, match="is there already"):
        predict_file(cells, out, model, **options)


@pytest.mark.parametrize(("name", "options", "times"), [(*KINDS[0], 10), (*KINDS[2], 3)])
def test_a_run_that_is_killed_loses_nothing(cells, model, tmp_path, name, options, times):
    """Some times kill -9, at a random moment after the next rows are noted."""
    options = {"chunk_size": 1, "min_cells": 1} | options
    whole, out = tmp_path / f"whole_{name}", tmp_path / name
    predict_file(cells, whole, model, **options)
    context, rng = multiprocessing.get_context("forkserver"), np.random.default_rng(0)
    context.set_forkserver_preload(["sicmir.streaming"])
    progress = part_folder.part_folder(out) / part_folder.PROGRESS
    seen = [0]
    for _ in range(times):
        process = context.Process(target=killed_run.run, args=(cells, out, model, options))
        process.start()
        while process.is_alive() and (not progress.exists() or noted(progress) < seen[-1] + 2):
            time.sleep(0.002)
        time.sleep(rng.uniform(0, 0.02))
        process.kill()
        process.join()
        assert process.exitcode == -9
        assert not out.exists()
        seen.append(noted(progress))
    assert (np.diff(seen) >= 2).all()
    assert predict_file(cells, out, model, **options).resumed == seen[-1]
    identical(read(out), read(whole))
    assert not list(tmp_path.rglob("*.partial"))


def noted(progress):
    return json.loads(progress.read_text())["done"]


def test_only_the_same_call_goes_on(cells, model, tmp_path, monkeypatch):
    out = tmp_path / "out.zarr"
    with monkeypatch.context() as patch:
        stop_after(patch, part_folder.PartFolder, "note", 2)
        with pytest.raises(Stopped):
            predict_file(cells, out, model, chunk_size=5)
    with pytest.raises(ParameterError, match="unfinished result of another command; it differs in dtype"):
        predict_file(cells, out, model, chunk_size=5, dtype="float16")
    other = tmp_path / "cells.h5ad"
    other.write_bytes(cells.read_bytes())
    with pytest.raises(ParameterError, match="it differs in input"):
        predict_file(other, out, model, chunk_size=5)
    wider = small.bundle().trust.assign(half_width=9.0)
    for change in ({"trust": wider}, {"card": {"input_units": "TPM"}}):
        with pytest.raises(ParameterError, match="it differs in model"):
            predict_file(cells, out, replace(small.bundle(), **change), chunk_size=5)
    assert predict_file(cells, out, model, chunk_size=5).resumed == 10
    with monkeypatch.context() as patch:
        stop_after(patch, part_folder.PartFolder, "note", 2)
        with pytest.raises(Stopped):
            predict_file(cells, out, model, chunk_size=5, overwrite=True)
    assert read(out).X.dtype == np.float32  # the old result stays until the new one is whole
    assert predict_file(cells, out, model, dtype="float16", overwrite=True).resumed == 0
    assert read(out).X.dtype == np.float16


def test_two_processes_do_not_write_one_result(cells, model, tmp_path):
    with (
        part_folder.PartFolder(tmp_path / "out.zarr", {}),
        pytest.raises(ParameterError, match="is being written by another process"),
    ):
        predict_file(cells, tmp_path / "out.zarr", model)


# What is refused


def test_options_and_paths_that_do_not_fit(cells, model, tmp_path):
    for options, told in (
        ({"by": "donor", "summarise": "cell_type"}, "Give either by"),
        ({"chunk_size": 0}, "chunk_size=0: expected 1 or more"),
        ({"dtype": "float64"}, "dtype='float64': expected 'float32' or 'float16'"),
        ({"summarise": "cell_type", "min_cells": -3}, "min_cells=-3: expected 1 or more"),
        ({"by": "cell_type", "min_cells": 0}, "min_cells=0: expected 1 or more"),
        ({"missing": "no"}, "missing='no': expected 'raise' or 'drop'"),
        ({"summarise": "cell_type", "dtype": "float16"}, "summarise keeps none"),
        ({"summarise": "cell_type", "intervals": False}, "summarise keeps none"),
        ({"layer": "mine"}, "layer='mine': there is no such matrix; there are X"),
        ({"transform": "z"}, "expected 'auto' or"),
    ):
        with pytest.raises(ParameterError, match=told):
            predict_file(cells, tmp_path / "out.zarr", model, **options)
    for options, told in (
        ({"summarise": "kind"}, "to be grouped by"),
        ({"summarise": "plate"}, "no label: 1 in plate"),
        ({"summarise": "cell_type", "min_cells": 99}, "None of 3 groups has 99 cells"),
    ):
        with pytest.raises(DataError, match=told):
            predict_file(cells, tmp_path / "out.zarr", model, **options)
    with pytest.raises(ReadError, match="there is no such file"):
        predict_file(tmp_path / "none.h5ad", tmp_path / "out.zarr", model)
    with pytest.raises(ParameterError, match="what is predicted from"):
        predict_file(cells, cells, model, overwrite=True)
    with pytest.raises(ParameterError, match="is what is predicted from, or within it"):
        predict_file(cells, cells / "out.zarr", model)
    (tmp_path / "file").touch()
    with pytest.raises(WriteError, match="cannot be written"):
        predict_file(cells, tmp_path / "file" / "out.zarr", model)
    (tmp_path / "file").unlink()
    assert not list(tmp_path.iterdir())
    assert [file.name for file in cells.parent.iterdir()] == ["cells.h5ad"]


def test_a_file_that_breaks_off(counts, model, tmp_path):
    path = tmp_path / "in.h5ad"
    counts.write_h5ad(path)
    path.write_bytes(path.read_bytes()[:-3000])
    with pytest.raises(ReadError, match="not a readable"):
        predict_file(path, tmp_path / "out.zarr", model)
    assert [file.name for file in tmp_path.iterdir()] == ["in.h5ad"]


def test_a_column_that_cannot_be_written_is_told_before_the_work(counts, model, tmp_path, monkeypatch):
    monkeypatch.setattr(streaming.Work, "predict", None)
    counts.to_df().to_csv(tmp_path / "in.csv")
    real = file_input.prepare

    def with_mixed_column(*arguments):
        made = real(*arguments)
        made.obs["odd"] = [{"a": 1}, *["x"] * 33]
        return made

    monkeypatch.setattr(file_input, "prepare", with_mixed_column)
    with pytest.raises(DataError, match="column 'odd' of obs holds mixed values"):
        predict_file(tmp_path / "in.csv", tmp_path / "out.zarr", model)
