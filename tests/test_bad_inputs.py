"""Every bad input is told in a sentence or abstained; nothing half-written is left, nothing is executed."""

import re
import resource
import shutil

import anndata as ad
import bad_inputs as bad
import numpy as np
import pytest
import small_model as small
from typer.testing import CliRunner

import sicmir
from sicmir import cli
from sicmir.errors import SicmirError

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return small.bundle().save(tmp_path_factory.mktemp("model") / "bundle")


@pytest.fixture
def cells(tmp_path):
    bad.good().write_h5ad(tmp_path / "cells.h5ad")
    return tmp_path / "cells.h5ad"


def named(cases):
    return pytest.mark.parametrize("case", cases, ids=[case.name for case in cases])


def command(source, out, model, **options):
    words = [str(source), str(out), "--model", str(model)]
    for name, value in options.items():
        words += [f"--{name.replace('_', '-')}", value if isinstance(value, str) else ",".join(value)]
    return CliRunner().invoke(cli.app, ["predict", *words])


def content(folder):
    return {path: path.lstat().st_mtime_ns for path in folder.rglob("*") if not path.is_dir()}


def check_told(case, message):
    for pattern in case.told:
        assert re.search(pattern, message, re.DOTALL), message


def check_refused(done, case):
    """Exit code 1, one message, no traceback."""
    assert done.exit_code == 1, done.output
    assert isinstance(done.exception, SystemExit), done.exception
    assert done.stderr.startswith("sicmir: ")
    assert done.stderr.count("sicmir: ") == 1
    assert "Traceback" not in done.output
    check_told(case, done.stderr)


def check_abstained(predicted, case):
    assert np.flatnonzero(predicted.obs["abstained"]).tolist() == list(case.abstained)
    assert np.isnan(predicted.X[list(case.abstained)]).all()
    assert np.isfinite(np.delete(predicted.X, case.abstained, axis=0)).all()


def test_the_corpus_is_large_and_its_good_table_is_good(cells, model, tmp_path):
    assert len(bad.TABLES) + len(bad.FILES) + len(bad.TARGETS) + len(bad.MODELS) >= 40
    assert not sicmir.predict(bad.good(), small.bundle(), progress=False).obs["abstained"].any()
    done = command(cells, tmp_path / "out.h5ad", model)
    assert done.exit_code == 0, done.output
    assert ad.read_h5ad(tmp_path / "out.h5ad").n_obs == bad.N_CELLS


@named(bad.TABLES)
def test_a_table_in_memory(case):
    if case.told:
        with pytest.raises(SicmirError) as caught:
            sicmir.predict(case.build(), small.bundle(), progress=False, **case.options)
        check_told(case, str(caught.value))
    else:
        predicted = sicmir.predict(case.build(), small.bundle(), progress=False, **case.options)
        check_abstained(predicted, case)


@named([case for case in bad.TABLES if case.file])
def test_a_table_in_a_file(case, tmp_path, model):
    case.build().write_h5ad(tmp_path / "cells.h5ad")
    before, options = content(tmp_path), {name: _text(value) for name, value in case.options.items()}
    done = command(tmp_path / "cells.h5ad", tmp_path / "out.h5ad", model, **options)
    if case.told:
        check_refused(done, case)
        assert content(tmp_path) == before
    else:
        assert done.exit_code == 0, done.output
        check_abstained(ad.read_h5ad(tmp_path / "out.h5ad"), case)


def _text(value):
    return value if isinstance(value, str | list) else str(value)


@pytest.mark.parametrize("what", bad.no_anndata())
def test_what_is_no_table(what):
    with pytest.raises(SicmirError, match="Expected an AnnData in memory"):
        sicmir.predict(bad.no_anndata()[what], small.bundle())


@named(bad.FILES)
def test_a_file(case, tmp_path, model):
    path = case.build(tmp_path)
    before = content(tmp_path)
    done = command(path, tmp_path / "out.h5ad", model)
    check_refused(done, case)
    assert content(tmp_path) == before, "something was left behind, or executed"


def test_a_pickle_beside_the_matrix_is_not_executed(tmp_path, model):
    path = bad.h5ad_with_pickle_aside(tmp_path)
    assert command(path, tmp_path / "out.h5ad", model).exit_code == 0
    assert not (tmp_path / "executed").exists()


@named(bad.TARGETS)
def test_a_target(case, cells, tmp_path, model):
    out = case.build(tmp_path)
    before = content(tmp_path)
    check_refused(command(cells, out, model), case)
    assert content(tmp_path) == before


def test_the_source_cannot_be_overwritten(tmp_path, model):
    store = bad.zarr_store(tmp_path)
    before = content(tmp_path)
    for out in (store, store / "out.h5ad"):
        done = CliRunner().invoke(
            cli.app, ["predict", str(store), str(out), "--overwrite", "--model", str(model)]
        )
        assert done.exit_code == 1
        assert "is what is predicted from, or within it" in done.stderr
    assert content(tmp_path) == before


@pytest.mark.parametrize("most", [300, 2000], ids=["at once", "late"])
@pytest.mark.parametrize("ending", [".h5ad", ".zarr", ".parquet", ".csv"])
def test_a_full_target(ending, most, cells, tmp_path, model):
    """The system lets no file grow above some bytes, as a full disk would; then there is room again."""
    before, limits = content(tmp_path), resource.getrlimit(resource.RLIMIT_FSIZE)
    out, part = tmp_path / f"out{ending}", tmp_path / f".out{ending}.part"
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, limits[1]))
    try:
        done = command(cells, out, model)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    check_refused(done, bad.Case("", None, ("cannot be written", "has room")))
    left = {path for path in content(tmp_path).keys() - before if part not in path.parents}
    assert not left, "the result is there in part, or something lies beside it"
    assert command(cells, out, model).exit_code == 0
    assert not part.exists()


@named(bad.MODELS)
def test_a_model(case, cells, tmp_path, model):
    folder = case.build(shutil.copytree(model, tmp_path / "bundle"))
    with pytest.raises(SicmirError) as caught:
        sicmir.load_model(folder)
    check_told(case, str(caught.value))
    before = content(tmp_path)
    check_refused(command(cells, tmp_path / "out.h5ad", folder), case)
    assert content(tmp_path) == before, "something was left behind, or executed"


# What is odd, but good


def test_genes_given_twice_are_summed_up_where_they_are_counts(tmp_path):
    adata = bad.twice(bad.dense())
    X = bad.dense()
    X[:, 0] += X[:, 1]
    found = sicmir.predict(adata, small.bundle(), progress=False)
    names = bad.good().var_names
    merged = ad.AnnData(np.delete(X, 1, axis=1))
    merged.var_names = names.delete(1)
    expected = sicmir.predict(merged, small.bundle(), progress=False)
    np.testing.assert_allclose(found.X, expected.X, atol=1e-5)
    assert found.uns["sicmir"]["coverage"]["duplicated"].tolist() == ["PSME1"]


@pytest.mark.parametrize(
    "build",
    [
        lambda: bad.holding(bad.dense().astype(np.int64) * 10**9),  # far above 2**31
        lambda: bad.holding((bad.dense() * 1e33).astype(np.float32)),  # sums near the end of float32
        lambda: bad.holding(bad.dense().astype(np.longdouble)),
    ],
)
def test_large_counts_are_predicted_as_their_shares(build):
    expected = sicmir.predict(bad.good(), small.bundle(), progress=False).X
    found = sicmir.predict(build(), small.bundle(), progress=False).X
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_the_order_of_a_logarithm_taken_twice_is_that_of_expression():
    once, twice = (
        sicmir.predict(bad.holding(bad.logs(times)), small.bundle(), transform="rank", progress=False)
        for times in (1, 2)
    )
    np.testing.assert_allclose(once.X, twice.X, atol=1e-3)
    found = sicmir.predict(bad.holding(bad.logs(2)), small.bundle(), progress=False)
    assert found.uns["sicmir"]["transform"] == "rank"


def test_unsorted_and_repeated_indices_are_summed_up():
    adata = bad.good()
    X = adata.X
    first = X.data[0]
    data, indices = np.insert(X.data, 0, first / 2), np.insert(X.indices, 0, X.indices[0])
    data[1] = first / 2
    indptr = X.indptr.copy()
    indptr[1:] += 1
    for row in range(bad.N_CELLS):
        part = slice(indptr[row], indptr[row + 1])
        data[part], indices[part] = data[part][::-1].copy(), indices[part][::-1].copy()
    odd = type(X)((data, indices, indptr), shape=X.shape)
    assert not odd.has_canonical_format
    expected = sicmir.predict(adata, small.bundle(), units="counts", progress=False).X
    adata.X = odd
    found = sicmir.predict(adata, small.bundle(), units="counts", progress=False).X
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_one_cell_alone_is_predicted():
    whole = sicmir.predict(bad.good(), small.bundle(), progress=False).X
    alone = sicmir.predict(bad.good()[2:3].copy(), small.bundle(), progress=False).X
    np.testing.assert_allclose(alone, whole[2:3], atol=1e-5)
