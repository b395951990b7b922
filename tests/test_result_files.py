"""What is written comes back as it was, and nothing is half written or replaced unasked."""

import json
import shutil

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import small_model as small

from sicmir import prediction
from sicmir.errors import DataError, ParameterError
from sicmir.streams import result_files
from sicmir.streams.result_files import ENDINGS, check_free, write

BESIDE = ("lower", "upper", "samples", "mirnas")


@pytest.fixture(scope="module")
def made():
    adata = small.counts()
    adata.X = adata.X.toarray()
    adata.X[3] = 0
    adata.obs["batch"] = pd.Series([None, *"ab" * 16, "c"], index=adata.obs_names, dtype=object)
    adata.obs["remark"] = [None, *map(str, range(33))]
    adata.obs["nothing"] = pd.Series([None] * 34, index=adata.obs_names, dtype=object)
    adata.obs["yes"] = [None, *[True, False, True] * 11]
    adata.obs["number"] = np.arange(34) * 10_000_001.5
    adata.uns["sicmir"] = {"sources": pd.DataFrame({"name": ["x.h5"], "bytes": [3]}, index=["0"])}
    return prediction.predict(adata, small.bundle(), progress=False)


@pytest.fixture
def predicted(made):
    return made.copy()


@pytest.mark.parametrize(("ending", "read"), [(".h5ad", ad.read_h5ad), (".zarr", ad.read_zarr)])
def test_anndata_comes_back_whole(predicted, tmp_path, ending, read):
    before = predicted.copy()
    path = write(predicted, tmp_path / "new" / f"out{ending}")
    assert path == tmp_path / "new" / f"out{ending}"
    found = read(path)
    np.testing.assert_array_equal(found.X, predicted.X)
    for name in ("lower", "upper"):
        np.testing.assert_array_equal(found.layers[name], predicted.layers[name])
    assert np.isnan(found.X[3]).all()
    assert found.var["half_width"].tolist() == predicted.var["half_width"].tolist()
    assert found.var["mature"].tolist() == predicted.var["mature"].tolist()
    pd.testing.assert_series_equal(found.var["grade"], predicted.var["grade"])
    for name, missing in (("batch", 1), ("remark", 1), ("nothing", 34), ("yes", 1)):
        assert found.obs[name].isna().sum() == missing
        there = found.obs[name].notna().to_numpy()
        assert found.obs[name][there].tolist() == predicted.obs[name][there].tolist()
    columns = ["coverage", "domain_score", "in_domain", "abstained", "number"]
    pd.testing.assert_frame_equal(found.obs[columns], predicted.obs[columns])
    record = found.uns["sicmir"]
    assert record["model"]["id"] == predicted.uns["sicmir"]["model"]["id"]
    assert list(record["notes"]) == list(predicted.uns["sicmir"]["notes"])
    assert prediction.summary(found) == prediction.summary(predicted)
    assert record["sources"]["name"].tolist() == ["x.h5"]
    pd.testing.assert_frame_equal(predicted.obs, before.obs)  # the writer changed nothing
    assert [file.name for file in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize(
    ("ending", "read", "rtol"), [(".parquet", pd.read_parquet, 0), (".csv", pd.read_csv, 1e-5)]
)
def test_tables_hold_predictions_bounds_and_what_is_known(predicted, tmp_path, ending, read, rtol):
    write(predicted, tmp_path / f"out{ending}")
    names = [f"out{ending}", *(f"out_{name}{ending}" for name in BESIDE), "out_about.json"]
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted(names)
    tables = [read(tmp_path / name) for name in names[:-1]]
    matrices = (predicted.X, predicted.layers["lower"], predicted.layers["upper"])
    for table, values in zip(tables, matrices, strict=False):
        assert table.columns.tolist() == ["observation", *predicted.var_names]
        assert table["observation"].tolist() == predicted.obs_names.tolist()
        found = table[predicted.var_names].to_numpy()
        np.testing.assert_allclose(found, values, rtol=rtol, atol=1e-6 if rtol else 0)
    samples, mirnas = tables[3:]
    assert samples["sample"].tolist() == predicted.obs["sample"].tolist()
    assert samples["abstained"].tolist() == predicted.obs["abstained"].tolist()
    np.testing.assert_allclose(samples["number"], predicted.obs["number"], rtol=1e-15)
    assert mirnas["mirna"].tolist() == predicted.var_names.tolist()
    assert mirnas["grade"].tolist() == predicted.var["grade"].tolist()
    about = json.loads((tmp_path / "out_about.json").read_text())
    assert about["model"]["weights_sha256"] == small.bundle().weights_sha256
    assert about["units_record"]["per"] is None  # NaN is no JSON
    assert about["notes"] == list(predicted.uns["sicmir"]["notes"])
    assert about["sources"] == [{"name": "x.h5", "bytes": 3}]


@pytest.mark.parametrize("ending", ENDINGS)
def test_what_is_there_is_replaced_only_when_asked(predicted, tmp_path, ending):
    path = tmp_path / f"out{ending}"
    write(predicted, path)
    with pytest.raises(ParameterError, match=f"out.*{ending} is there already"):
        check_free(path)
    with pytest.raises(ParameterError, match="is there already"):
        write(predicted, path)
    fewer = predicted[:5].copy()
    write(fewer, path, overwrite=True)
    if ending == ".h5ad":
        assert ad.read_h5ad(path).n_obs == 5
    elif ending == ".zarr":
        assert ad.read_zarr(path).n_obs == 5
    else:
        read = pd.read_csv if ending == ".csv" else pd.read_parquet
        assert len(read(path)) == len(read(tmp_path / f"out_lower{ending}")) == 5


def test_a_table_beside_that_is_there_is_told_too(predicted, tmp_path):
    (tmp_path / "out_lower.csv").write_text("mine")
    with pytest.raises(ParameterError, match=r"out_lower\.csv is there already"):
        write(predicted, tmp_path / "out.csv")
    assert [file.name for file in tmp_path.iterdir()] == ["out_lower.csv"]


def test_only_tables_of_the_result_that_is_replaced_are_replaced_with_it(predicted, tmp_path):
    mine = [tmp_path / f"out_{name}" for name in ("count.csv", "samples.csv", "about.json")]
    for file in mine:
        file.write_text("mine")
        with pytest.raises(ParameterError, match=f"{file.name} is there, but is no table of an earlier"):
            write(predicted, tmp_path / "out.csv", overwrite=True)
        assert list(tmp_path.iterdir()) == [file]
        file.unlink()
    write(predicted, tmp_path / "out.csv")
    mine[0].write_text("mine")  # predictions of samples have no table of that name
    with pytest.raises(ParameterError, match=r"out_count\.csv is there, but is no table"):
        write(predicted, tmp_path / "out.csv", overwrite=True)
    assert mine[0].read_text() == "mine"
    mine[0].unlink()
    del predicted.layers["lower"]
    write(predicted, tmp_path / "out.csv", overwrite=True)
    left = {file.name for file in tmp_path.iterdir()}
    assert left == {"out.csv", "out_upper.csv", "out_samples.csv", "out_mirnas.csv", "out_about.json"}
    write(predicted, tmp_path / "out.parquet", overwrite=True)  # about.json is now of this one
    (tmp_path / "out_lower.csv").write_text("mine")
    with pytest.raises(ParameterError, match=r"out_lower\.csv is there, but is no table"):
        write(predicted, tmp_path / "out.csv", overwrite=True)


@pytest.mark.parametrize("name", ["out_count.csv", "out_samples.csv", "out.csv", "sub/out_lower.csv"])
def test_the_source_is_none_of_the_files_of_the_result(tmp_path, name):
    source = tmp_path / name
    source.parent.mkdir(exist_ok=True)
    source.write_text("counts")
    for overwrite in (True, False):
        with pytest.raises(ParameterError, match=f"{source.name} is what is predicted from"):
            check_free(source.with_name("out.csv"), overwrite, source)
    linked = tmp_path / "linked.csv"
    linked.symlink_to(source)
    with pytest.raises(ParameterError, match="is what is predicted from"):
        check_free(source.with_name("out.csv"), True, linked)
    linked.unlink()
    linked.hardlink_to(source)
    with pytest.raises(ParameterError, match="is what is predicted from"):
        check_free(source.with_name("out.csv"), True, linked)


def test_a_source_within_the_store_that_would_be_replaced(predicted, tmp_path):
    store = write(predicted, tmp_path / "out.zarr")
    (store / "counts.csv").write_text("counts")
    with pytest.raises(ParameterError, match=r"out\.zarr is what is predicted from"):
        check_free(store, True, store / "counts.csv")


def test_a_folder_that_is_no_store_is_never_removed(predicted, tmp_path):
    for name in ("thesis.zarr", "thesis.h5ad"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "chapter.txt").write_text("x")
        with pytest.raises(ParameterError, match="is a folder, but no AnnData"):
            write(predicted, tmp_path / name, overwrite=True)
        assert (tmp_path / name / "chapter.txt").read_text() == "x"


def test_a_link_to_a_store_is_refused_before_the_work(predicted, tmp_path):
    result_files.write(predicted, tmp_path / "a.zarr")
    (tmp_path / "b.zarr").symlink_to(tmp_path / "a.zarr")
    with pytest.raises(ParameterError, match="b.zarr is a link to a folder; give the folder itself"):
        result_files.check_free(tmp_path / "b.zarr", overwrite=True)
    assert (tmp_path / "a.zarr").exists()


def test_other_endings_are_refused(tmp_path):
    for name in ("out.xlsx", "out", "out.csv.gz"):
        with pytest.raises(ParameterError, match=r"written as \.h5ad, \.zarr, \.parquet, \.csv"):
            check_free(tmp_path / name)


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_column_that_cannot_be_written_is_told_and_leaves_nothing(predicted, tmp_path, ending):
    path = tmp_path / f"out{ending}"
    write(predicted, path)
    before = sorted(file.name for file in tmp_path.iterdir())
    stamp = path.stat().st_mtime_ns
    predicted.obs["whole"] = pd.Series(range(34), index=predicted.obs_names, dtype=object)
    write(predicted, tmp_path / f"fine{ending}")
    for file in tmp_path.glob("fine*"):
        shutil.rmtree(file) if file.is_dir() else file.unlink()
    predicted.obs["odd"] = [{"a": 1}, 3, *["x"] * 32]
    with pytest.raises(DataError, match="column 'odd' of obs holds mixed-integer values"):
        write(predicted, path, overwrite=True)
    assert sorted(file.name for file in tmp_path.iterdir()) == before
    assert path.stat().st_mtime_ns == stamp


@pytest.mark.parametrize(
    ("name", "value", "endings", "told"),
    [
        ("observation", 1, (".parquet", ".csv"), "'observation' cannot be stored in"),
        ("Age/years", 1, (".zarr",), "'Age/years' cannot be stored in .zarr"),
        ("_index", 1, (".h5ad", ".zarr"), "'_index' cannot be stored in"),
        (7, 1, ENDINGS, "7 cannot be stored in"),
        ("when", pd.Timestamp("2020-01-01"), ENDINGS, "'when' of obs holds datetime64 values"),
        ("span", pd.Categorical([pd.Interval(0, 1)] * 34), ENDINGS, "'span' of obs holds interval values"),
        ("z", 1j, ENDINGS, "'z' of obs holds complex values"),
    ],
)
@pytest.mark.filterwarnings("ignore:Forward slashes")
@pytest.mark.parametrize("ending", ENDINGS)
def test_columns_that_a_format_cannot_hold(predicted, tmp_path, ending, name, value, endings, told):
    predicted.obs[name] = value
    if ending in endings:
        with pytest.raises(DataError, match=told):
            write(predicted, tmp_path / f"out{ending}")
        assert not list(tmp_path.iterdir())
    else:
        read = {".h5ad": ad.read_h5ad, ".zarr": ad.read_zarr}.get(ending)
        write(predicted, tmp_path / f"out{ending}")
        table = tmp_path / f"out_samples{ending}"
        read_table = pd.read_csv if ending == ".csv" else pd.read_parquet
        found = read(tmp_path / f"out{ending}").obs if read else read_table(table)
        assert (found[name] == value).all()


def test_a_failure_between_tables_leaves_the_old_ones(predicted, tmp_path, monkeypatch):
    path = tmp_path / "out.csv"
    write(predicted, path)
    old = path.read_bytes()

    def fail(value):
        raise KeyboardInterrupt

    monkeypatch.setattr(result_files, "_plain", fail)
    with pytest.raises(KeyboardInterrupt):
        write(predicted[:4].copy(), path, overwrite=True)
    assert path.read_bytes() == old
    assert len(list(tmp_path.iterdir())) == 6
