"""Data sets added to an atlas: against predictions of the same cells, byte for byte, and when killed."""

import multiprocessing
import os
import shutil
import signal
from dataclasses import replace
from multiprocessing import forkserver
from pathlib import Path

import anndata as ad
import atlas_store as atlas
import killed_add
import numpy as np
import pandas as pd
import pytest
import small_cells
import small_model as small
from scipy import sparse

from sicmir import predict, stats
from sicmir.atlas import check, labels, pools, store
from sicmir.atlas.add import add
from sicmir.atlas.compact import compact
from sicmir.atlas.query import Atlas
from sicmir.atlas.tables import SCHEMAS
from sicmir.errors import DataError, ParameterError, ReadError

KEY = ["cell_type", "donor"]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made") / "store"
    atlas.put(folder)
    return folder


@pytest.fixture
def folder(made, tmp_path):
    """A store of its own with the data set ``one``, and its file beside it."""
    shutil.copytree(made.parent, tmp_path / "own")
    return tmp_path / "own" / "store"


def wide(table, column):
    return table.pivot_table(column, KEY, "mirna", sort=True)


# What is stored


def test_groups_are_predicted_as_pools_are(made):
    table = atlas.read(made, "mirna")
    expected = predict(atlas.cells(), small_cells.bundle(), by=KEY, progress=False)
    expected = expected[expected.obs.sort_values(KEY).index]
    for column, matrix in (("predicted", expected.X), ("lower", expected.layers["lower"])):
        np.testing.assert_allclose(wide(table, column)[expected.var_names], matrix, atol=1e-4)
    np.testing.assert_allclose(wide(table, "upper")[expected.var_names], expected.layers["upper"], atol=1e-4)
    grades = table.drop_duplicates("mirna").set_index("mirna")["grade"]
    assert grades[expected.var_names].tolist() == expected.var["grade"].astype(str).tolist()
    assert (table["n_cells"] == 24).all()
    assert (wide(table, "in_domain").iloc[:, 0].to_numpy() == expected.obs["in_domain"].to_numpy()).all()


def test_spread_is_that_of_predicted_parts(made):
    table, cells, bundle = atlas.read(made, "mirna"), atlas.cells(), small_cells.bundle()
    codes = cells.obs.groupby(["donor", "cell_type"]).ngroup().to_numpy()
    part = pools.parts(codes, 8, 20)
    assert set(part) == {0, 1, 2}
    for code, name in enumerate(sorted(set(zip(cells.obs["donor"], cells.obs["cell_type"], strict=True)))):
        rows = [np.flatnonzero((codes == code) & (part == k)) for k in range(3)]
        counts = np.stack([np.asarray(cells.X[row].sum(axis=0)).ravel() for row in rows])
        sums = ad.AnnData(counts.astype(np.float32), var=cells.var.copy())
        values = predict(sums, bundle, units="counts", progress=False).X
        own = table[(table["donor"] == name[0]) & (table["cell_type"] == name[1])].set_index("mirna")
        own = own.loc[list(bundle.mirnas)]
        assert (own["n_parts"] == 3).all()
        np.testing.assert_allclose(own["mean"], values.mean(axis=0), atol=2e-4)
        np.testing.assert_allclose(own["variance"], values.var(axis=0, ddof=1), atol=1e-3)
        for column, q in (("q05", 5), ("q25", 25), ("median", 50), ("q75", 75), ("q95", 95)):
            np.testing.assert_allclose(own[column], np.percentile(values, q, axis=0), atol=3e-4)
        above = (values > bundle.trust["mean_log2_rpm"].to_numpy()).mean(axis=0)
        assert np.isclose(own["fraction_above"], above).mean() > 0.9  # a value may lie at the baseline


@pytest.mark.parametrize(
    ("n", "part_cells", "max_parts", "expected"),
    [(7, 8, 20, 1), (50, 8, 20, 6), (500, 8, 20, 20), (5, 1, 3, 3)],
)
def test_parts_are_disjoint_and_large_enough(n, part_cells, max_parts, expected):
    group = np.random.default_rng(1).permutation(np.repeat([0, 1, -1], [n, 30, 4]))
    found = pools.parts(group, part_cells, max_parts)
    sizes = np.bincount(found[group == 0])
    assert len(sizes) == expected
    assert sizes.sum() == n
    assert np.ptp(sizes) <= 1
    assert sizes.min() >= min(part_cells, n)
    assert (found[group == -1] == -1).all()
    assert (found[group >= 0] >= 0).all()


def test_genes_are_counts_per_million_of_the_pool(made):
    table, cells = atlas.read(made, "genes"), atlas.cells()
    gene = table["gene"].iloc[0]
    counts = pd.DataFrame({"gene": cells[:, gene].X.toarray().ravel(), "all": cells.X.sum(axis=1).A1})
    sums = counts.groupby([cells.obs[name].to_numpy() for name in KEY]).sum()
    expected = np.log2(sums["gene"] / sums["all"] * 1e6 + 1)
    found = table[table["gene"] == gene].set_index(KEY)["expression"].sort_index()
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    pairs = atlas.read(made, "targets")
    assert set(pairs["gene"]) == set(table["gene"])
    assert set(map(tuple, pairs[["mirna", "gene"]].to_numpy())) <= set(map(tuple, atlas.targets().to_numpy()))


def test_markers_are_those_of_donors(made):
    table = atlas.read(made, "markers").set_index(["cell_type", "mirna"]).sort_index()
    expected = stats.markers(
        predict(small_cells.cells(24), small_cells.bundle(), by=KEY, progress=False), min_grade=""
    )
    expected = expected.set_index(["cell_type", "mirna"]).sort_index()
    np.testing.assert_allclose(table["effect"], expected["effect"], atol=2e-4)
    np.testing.assert_allclose(table["se"], (expected["effect"] / expected["statistic"]), rtol=0.01)
    assert (table["n_donors"] == 3).all()
    assert (table["se_total"] > table["se"]).all()


def test_labels_become_those_of_the_map_and_conditions_tell_the_disease(tmp_path):
    mapped = tmp_path / "map.csv"
    mapped.write_text("label,cell_type,id\ntype 0,alpha cell,CL:0000171\ntype 1,alpha cell,CL:0000171\n")
    options = {"condition_key": "condition", "normal": "healthy", "cell_type_map": mapped}
    done = atlas.put(tmp_path / "store", disease="toy disease", disease_id="MONDO:0000001", **options)
    table = atlas.read(tmp_path / "store", "mirna")
    assert set(table["cell_type"]) == {"alpha cell"}
    expected = {("d0", "healthy", "normal"), ("d1", "tumour", "toy disease"), ("d2", "tumour", "toy disease")}
    assert set(map(tuple, table[["donor", "condition", "disease"]].to_numpy())) == expected
    assert (table["n_cells"] == 48).all()
    merged = predict(atlas.cells(), small_cells.bundle(), by="donor", progress=False)
    found = table.pivot_table("predicted", "donor", "mirna")[merged.var_names]
    np.testing.assert_allclose(found, merged.X, atol=1e-4)
    assert "No donor has two cell types" in done.record["markers"]
    assert "No donor has two cell types" in done.summary()
    assert done.record["cell_types"][0] == {
        "label": "type 0",
        "cell_type": "alpha cell",
        "id": "CL:0000171",
        "n_cells": 72,
    }
    (row,) = store.registry(tmp_path / "store").itertuples()
    assert (row.disease_id, row.n_cells, row.n_donors, row.n_cell_types) == ("MONDO:0000001", 144, 3, 1)


def test_what_is_abstained_is_stored_and_is_no_number(tmp_path):
    cells = atlas.cells()
    noise = np.random.default_rng(0).poisson(3, (24, cells.n_vars))
    cells.X = sparse.vstack([sparse.csr_matrix(noise.astype(np.float32)), cells.X[24:]], format="csr")
    done = atlas.put(tmp_path / "store", adata=cells, targets="")
    table = atlas.read(tmp_path / "store", "mirna")
    lost = table["abstained"]
    assert set(map(tuple, table.loc[lost, KEY].to_numpy())) == {("type 0", "d0")}
    assert table.loc[lost, ["predicted", "lower", "mean", "median", "fraction_above"]].isna().all(axis=None)
    assert table.loc[~lost, "predicted"].notna().all()
    assert done.record["counts"]["n_predicted"] == 5
    assert not check.check(tmp_path / "store").problems
    for name in ("genes", "targets"):
        assert atlas.read(tmp_path / "store", name).empty


def test_cells_without_a_label_and_small_groups(tmp_path):
    cells = atlas.cells()
    cells.obs["donor"] = cells.obs["donor"].astype(object)
    cells.obs.iloc[:3, cells.obs.columns.get_loc("donor")] = None
    cells.obs.iloc[24:44, cells.obs.columns.get_loc("cell_type")] = "rare"
    with pytest.raises(DataError, match="3 in donor"):
        atlas.put(tmp_path / "store", adata=cells)
    done = atlas.put(tmp_path / "store", adata=cells, missing="drop", min_cells=21, targets="")
    counts = done.record["counts"]
    assert (counts["n_unlabelled"], counts["n_small"], counts["n_groups"]) == (3, 24, 5)
    assert sum(one["n_cells"] for one in done.record["cell_types"]) == 141
    assert "Left out: 24 cells of groups of fewer than 21 and 3 without a label" in done.summary()
    with pytest.raises(DataError, match="None of 7 groups of donor, cell_type has 1000 cells"):
        atlas.put(tmp_path / "store", "two", seed=1, adata=cells[1:], missing="drop", min_cells=1000)
    assert store.datasets(tmp_path / "store") == ["one"]
    assert not check.check(tmp_path / "store").leftovers


def test_zero_is_a_label_and_a_gap_is_none():
    obs = pd.DataFrame({"leiden": [0, 1, 0, 1], "donor": ["a", None, "", np.nan]})
    found = labels.group_labels(obs, {"donor": "donor", "cell_type": "leiden", "condition": ""}, {})
    assert found["cell_type"].tolist() == ["0", "1", "0", "1"]
    assert found["donor"].tolist() == ["a", None, None, None]


# Bytes


def test_the_same_makes_the_same_bytes_whatever_the_threads(made, folder, monkeypatch):
    before = atlas.contents(folder)
    assert atlas.put(folder).unchanged
    assert atlas.contents(folder) == before
    monkeypatch.setenv("SICMIR_THREADS", "2")
    store.remove("one", folder)
    assert store.registry(folder).empty
    assert not atlas.put(folder).unchanged
    assert atlas.contents(folder) == before == atlas.contents(made)


def test_other_data_sets_are_not_touched(folder):
    atlas.put(folder, "two", seed=1)
    before = atlas.contents(folder)
    store.remove("one", folder)
    assert {name: part for name, part in before.items() if "=two" in name} == atlas.contents(folder)
    atlas.put(folder)
    assert atlas.contents(folder) == before


def test_a_data_set_is_replaced_on_demand_only(folder):
    before = atlas.contents(folder)
    with pytest.raises(
        ParameterError, match="made of something else: options differ. Replace it by overwrite"
    ):
        atlas.put(folder, min_cells=5)
    with pytest.raises(ParameterError, match="disease differ"):
        atlas.put(folder, disease="something")
    assert atlas.contents(folder) == before
    atlas.put(folder, part_cells=12, overwrite=True)
    assert (atlas.read(folder, "mirna")["n_parts"] == 2).all()
    assert len(list(atlas.home(folder).iterdir())) == 1 + len(SCHEMAS)
    atlas.put(folder, overwrite=True)
    assert atlas.contents(folder) == before


def test_a_damaged_data_set_is_replaced_on_demand(folder):
    before = atlas.contents(folder)
    (atlas.home(folder) / "record.json").write_text("{")
    with pytest.raises(ReadError, match="truncated or no record"):
        atlas.put(folder)
    atlas.put(folder, overwrite=True)
    assert atlas.contents(folder) == before
    atlas.file(folder, "genes").unlink()
    atlas.put(folder)
    assert atlas.contents(folder) == before


# What is refused


def test_a_store_has_one_model(folder):
    bundle = small_cells.bundle()
    other = replace(bundle, card={**bundle.card, "interval_level": 0.7})
    with pytest.raises(ReadError, match="is not that of one"):
        atlas.put(folder, "two", model=other)
    assert store.datasets(folder) == ["one"]


@pytest.mark.parametrize(
    "name", ["", "..", "../two", "a/b", "a\\b", ".hidden", "x" * 65, "a b", "é", "a\n", "=x"]
)
def test_names_that_could_leave_the_store(tmp_path, name):
    with pytest.raises(ParameterError, match="expected a name of at most 64"):
        atlas.put(tmp_path / "store", name)
    assert not (tmp_path / "store").exists()


def test_names_that_differ_by_capitals_only(folder):
    with pytest.raises(ParameterError, match="capitals only"):
        atlas.put(folder, "ONE")


@pytest.mark.parametrize(
    ("options", "error", "told"),
    [
        ({"cell_type_key": "cluster"}, DataError, r"no column 'cluster' \(cell_type\)"),
        ({"donor_key": ""}, DataError, "no column '' "),
        (
            {"condition_key": "condition", "normal": "well"},
            DataError,
            "No cell has the condition 'well'; there are healthy, tumour",
        ),
        ({"normal": "healthy"}, ParameterError, "expected a condition_key"),
        (
            {"tissue_id": "UBERON:12"},
            ParameterError,
            "expected a term such as UBERON:0000001, found 'UBERON:12'",
        ),
        ({"disease": " "}, ParameterError, "disease: expected a name"),
        ({"min_cells": 0}, ParameterError, "min_cells=0: expected 1 or more"),
        ({"transform": "cohort"}, ParameterError, "transform='cohort'"),
        ({"targets": "nonsense"}, ParameterError, "targets 'nonsense'"),
        ({"layer": "nonsense"}, ParameterError, "nonsense"),
    ],
)
def test_options_that_do_not_fit(tmp_path, options, error, told):
    with pytest.raises(error, match=told):
        atlas.put(tmp_path / "store", **options)
    assert not (tmp_path / "store").exists() or not store.datasets(tmp_path / "store")


def test_files_that_cannot_be_added(tmp_path):
    with pytest.raises(ReadError, match="there is no such file"):
        add(tmp_path / "none.h5ad", "one", "x", "y", folder=tmp_path / "store")
    (tmp_path / "cells.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ParameterError, match="takes .h5ad and .zarr"):
        add(tmp_path / "cells.csv", "one", "x", "y", folder=tmp_path / "store")


@pytest.mark.parametrize(
    ("text", "error", "told"),
    [
        ("label,name\na,b\n", DataError, "expected the columns label and cell_type"),
        ("label,cell_type\n", DataError, "found 0 rows"),
        ("label,cell_type\na,b\na,c\n", DataError, "'a' occurs twice"),
        ("label,cell_type,id\na,b,MONDO:0000001\n", ParameterError, "expected a term such as CL:0000001"),
        ("label,cell_type,id\na,b,CL:0000001\nc,b,CL:0000002\n", DataError, "'b' has two terms"),
        ("label,cell_type\na, \n", ParameterError, "expected a name in words"),
    ],
)
def test_maps_of_cell_types_that_are_refused(tmp_path, text, error, told):
    path = tmp_path / "map.csv"
    path.write_text(text)
    with pytest.raises(error, match=told):
        labels.read_cell_type_map(path)


def test_a_map_without_a_label_of_the_data(tmp_path):
    (tmp_path / "map.csv").write_text("label,cell_type\nxyz,b\n")
    with pytest.raises(DataError, match="None of 1 labels of the map of cell types, such as 'xyz'"):
        atlas.put(tmp_path / "store", cell_type_map=tmp_path / "map.csv")


# Other processes


@pytest.fixture(scope="module")
def processes():
    """Processes that have read the package already, and have no threads."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["killed_add"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parent))  # where the server looks for it
        forkserver.ensure_running()
    return context


FIRST = ("half written", "record written", "moved")
AGAIN = ("half written", "before the record", "record written", "before old tables go", "removing")


@pytest.mark.parametrize(
    ("moment", "again"), [*((one, False) for one in FIRST), *((one, True) for one in AGAIN)]
)
def test_kill_9_leaves_the_old_data_set_or_the_new_one(processes, folder, moment, again):
    old = atlas.contents(folder)
    if not again:
        store.remove("one", folder)
    options = {"part_cells": 12, "overwrite": True}
    child = processes.Process(target=killed_add.run, args=(moment, folder, options))
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    assert not check.check(folder).problems
    there = store.registry(folder)
    if len(there):
        table = atlas.read(folder, "mirna")
        assert set(table["n_parts"]) <= {2, 3}
        assert len(set(table["n_parts"])) == 1
    else:
        assert not again or moment == "removing"
    atlas.put(folder, overwrite=True)
    assert atlas.contents(folder) == old
    assert not check.check(folder).leftovers


@pytest.mark.parametrize("moment", ["copying", "copied"])
def test_kill_9_while_a_sorted_copy_is_made(processes, folder, moment):
    compact(folder)
    old = atlas.contents(folder)
    child = processes.Process(target=killed_add.run, args=(moment, folder, {}))
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    found = check.check(folder)
    assert found.problems == []
    assert ".compact.part" in found.leftovers
    with Atlas(folder) as opened:
        expected = atlas.read(folder, "mirna")["predicted"].sum()
        assert opened.sql("SELECT sum(predicted) AS s FROM mirna")["s"][0] == pytest.approx(expected)
    compact(folder)
    tables = {name: part for name, part in old.items() if "stamps" not in name}
    assert tables.items() <= atlas.contents(folder).items()
    assert check.check(folder) == (1, [], [], [])


@pytest.mark.parametrize("again", [False, True])
def test_what_a_record_names_is_on_the_disk_before_the_record(folder, monkeypatch, again):
    """After a loss of power there is what was synchronised, in the order of this log, and maybe more."""
    if not again:
        store.remove("one", folder)
    log = []
    synchronise = os.fsync

    def fsync(descriptor):
        synchronise(descriptor)
        log.append(("on disk", os.fstat(descriptor).st_ino))

    def moved(kind):
        real = getattr(Path, kind)

        def wrapped(self, target):
            log.append(("moved", self.stat().st_ino, Path(target).name))
            return real(self, target)

        return wrapped

    monkeypatch.setattr(os, "fsync", fsync)
    for kind in ("rename", "replace"):
        monkeypatch.setattr(Path, kind, moved(kind))
    atlas.put(folder, part_cells=12, overwrite=True)
    home = atlas.home(folder)
    last = home.name if not again else "record.json"
    (named,) = [number for number, entry in enumerate(log) if entry[0] == "moved" and entry[-1] == last]
    there = {entry[1] for entry in log[:named] if entry[0] == "on disk"}
    assert {path.stat().st_ino for path in home.iterdir()} <= there
    assert home.stat().st_ino in there  # the names of the tables
    after = {entry[1] for entry in log[named:] if entry[0] == "on disk"}
    assert (home if again else folder).stat().st_ino in after  # and that of the record itself


def test_two_writers_at_once(processes, folder):
    old = atlas.contents(folder)
    atlas.put(folder, "two", seed=1)
    wanted = atlas.contents(folder)
    for name in ("one", "two"):
        store.remove(name, folder)
    runs = [{"name": "one"}, {"name": "two", "seed": 1}, {"name": "one"}]
    children = [processes.Process(target=killed_add.run, args=("never", folder, options)) for options in runs]
    for child in children:
        child.start()
    for child in children:
        child.join()
    # Of two that add the same, the second does so again to the same bytes, or is told of the first.
    assert children[1].exitcode == 0
    assert 0 in (children[0].exitcode, children[2].exitcode)
    assert atlas.contents(folder) == wanted
    assert old.items() <= wanted.items()
    assert not check.check(folder).problems


def test_a_data_set_that_another_process_adds_is_told(folder):
    from sicmir.streams.part_folder import PartFolder

    with (
        PartFolder(store.partition(folder, "two"), {"x": "y"}),
        pytest.raises(ParameterError, match="is being written by another process"),
    ):
        atlas.put(folder, "two", seed=1)


def test_which_atlas(monkeypatch, tmp_path):
    monkeypatch.delenv("SICMIR_ATLAS", raising=False)
    with pytest.raises(ParameterError, match="set the environment variable SICMIR_ATLAS"):
        store.registry()
    monkeypatch.setenv("SICMIR_ATLAS", str(tmp_path / "none"))
    with pytest.raises(ReadError, match="there is no atlas"):
        store.registry()
    with pytest.raises(ParameterError, match="has no data set 'x'; it has none"):
        (tmp_path / "none").mkdir()
        store.remove("x")


@pytest.mark.filterwarnings("ignore:Writing zarr v2", "ignore:.*zarr v3")
def test_cells_by_columns_in_zarr_and_as_logarithms(made, tmp_path):
    cells, folder = atlas.cells(), tmp_path / "store"
    counts = cells.X
    cells.X = sparse.csc_matrix(counts)
    cells.write_zarr(tmp_path / "cells.zarr")
    given = {"model": small_cells.bundle(), "targets": atlas.targets(), "part_cells": 8, "folder": folder}
    done = add(tmp_path / "cells.zarr", "one", "toy tissue", "normal", **given)
    pd.testing.assert_frame_equal(atlas.read(folder, "mirna"), atlas.read(made, "mirna"))
    assert add(tmp_path / "cells.zarr", "one", "toy tissue", "normal", **given).unchanged
    (tmp_path / "cells.zarr" / "obs" / "more").write_text("x")
    with pytest.raises(ParameterError, match="source differ"):
        add(tmp_path / "cells.zarr", "one", "toy tissue", "normal", **given)
    assert done.record["source"]["name"] == "cells.zarr"

    total = np.asarray(counts.sum(axis=1))
    cells.X = sparse.csr_matrix(np.log1p(counts.toarray() / total * 1e4), dtype=np.float32)
    cells.uns = {}
    cells.write_h5ad(tmp_path / "log.h5ad")
    done = add(tmp_path / "log.h5ad", "log", "toy tissue", "normal", **given)
    assert done.record["input"]["units"] == "CP10K"
    found = wide(atlas.read(folder, "mirna", "log"), "predicted")
    pooled = predict(cells, small_cells.bundle(), by=KEY, progress=False)
    expected = pooled.to_df().set_axis(pd.MultiIndex.from_frame(pooled.obs[KEY].astype(str)))
    np.testing.assert_allclose(found, expected.sort_index()[found.columns], atol=1e-3)


def test_trust_is_that_of_the_model(made):
    table = atlas.read(made, "trust").set_index("mirna")
    known = small_cells.bundle().trust.sort_index()
    assert table["grade"].tolist() == known["grade"].astype(str).tolist()
    for column in ("mean_log2_rpm", "within_r", "unseen_within_r", "single_cell_r"):
        np.testing.assert_allclose(table[column], known[column], rtol=1e-6)
    assert table.index.tolist() == sorted(small.bundle().mirnas)
