"""Pseudobulks against pandas and loops written out; counts are conserved, planted profiles recovered."""

import math

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import sicmir
from sicmir.data.chunks import ChunkedMatrix
from sicmir.errors import DataError, ParameterError
from sicmir.matrices.units import TRAINING_TOTAL, recognise, row_totals, to_log2
from sicmir.pseudobulk import pseudobulk, subsample_mean

N_CELLS, N_GENES = 400, 30
BY = ["donor", "cell_type"]


@pytest.fixture
def cells():
    """Four donors, two of each condition, three cell types, of which one is rare."""
    rng = np.random.default_rng(0)
    donor = rng.choice(["P1", "P2", "P3", "P4"], N_CELLS)
    obs = pd.DataFrame(
        {
            "cell_type": pd.Categorical(
                rng.choice(["T cell", "B cell", "mast"], N_CELLS, p=[0.6, 0.37, 0.03]),
                categories=["none", "mast", "T cell", "B cell"],
            ),
            "donor": donor,
            "condition": np.where(np.isin(donor, ["P1", "P2"]), "tumour", "normal"),
            "age": pd.Series(donor).map({"P1": 50.0, "P2": 61.0, "P3": np.nan, "P4": 70.0}).to_numpy(),
            "phase": rng.choice(["G1", "S"], N_CELLS),
            "metacell": [f"m{i // 40}" for i in range(N_CELLS)],
        },
        index=[f"c{i}" for i in range(N_CELLS)],
    )
    counts = rng.poisson(rng.gamma(0.5, 4, (N_CELLS, N_GENES))).astype(np.float32)
    return ad.AnnData(
        sparse.csr_matrix(counts), obs=obs, var=pd.DataFrame(index=[f"g{i}" for i in range(N_GENES)])
    )


def brute(cells, by, how):
    frame = cells.to_df().astype(float)
    keys = [cells.obs[name].astype(str).to_numpy() for name in by]
    return getattr(frame.groupby(keys), how)(), frame.groupby(keys).size()


@pytest.mark.parametrize("form", [sparse.csr_matrix, sparse.csc_matrix, sparse.csr_matrix.toarray])
@pytest.mark.parametrize(
    "by", [("donor", "cell_type"), ("cell_type",), "metacell", ("donor", "cell_type", "phase")]
)
def test_sums_are_those_of_pandas(cells, form, by, monkeypatch):
    monkeypatch.setattr("sicmir.matrices.cell_groups._PIECE", 70)
    if "donor" not in by:
        del cells.obs["condition"]
    columns = [by] if isinstance(by, str) else list(by)
    expected, sizes = brute(cells, columns, "sum")
    cells.X = form(cells.X)
    found = pseudobulk(cells, by, min_cells=1)
    np.testing.assert_array_equal(found.X, expected.to_numpy())
    assert found.X.dtype == np.float32
    assert found.X.sum() == cells.X.sum()
    assert found.obs["n_cells"].tolist() == sizes.tolist()
    names = [name if isinstance(name, str) else "|".join(name) for name in expected.index]
    assert found.obs_names.tolist() == names
    assert found.var_names.tolist() == cells.var_names.tolist()
    assert found.uns["sicmir"]["units"] == "counts"
    assert recognise(found).units == "counts"


def test_small_groups_are_left_out_and_reported(cells):
    expected, sizes = brute(cells, BY, "sum")
    found = pseudobulk(cells)
    large = (sizes >= 10).to_numpy()
    assert 0 < large.sum() < len(large)
    np.testing.assert_array_equal(found.X, expected.to_numpy()[large])
    report = found.uns["sicmir"]["pseudobulk"]
    groups = report["groups"]
    assert groups["n_cells"].tolist() == sizes.tolist()
    assert groups["kept"].tolist() == large.tolist()
    assert list(groups.index[groups["kept"]]) == list(found.obs_names)
    assert list(report["by"]) == BY
    assert (report["mode"], report["without_label"]) == ("sum", 0)


def test_columns_that_are_constant_are_carried_over(cells, tmp_path):
    found = pseudobulk(cells)
    assert list(found.obs) == ["donor", "cell_type", "n_cells", "condition", "age"]
    assert list(found.uns["sicmir"]["pseudobulk"]["not_constant"]) == ["phase", "metacell"]
    told = cells.obs.drop_duplicates("donor").set_index("donor")
    for name in ("condition", "age"):
        expected = told.loc[found.obs["donor"], name]
        pd.testing.assert_series_equal(
            found.obs[name].reset_index(drop=True), expected.reset_index(drop=True), check_dtype=False
        )
    found.write_h5ad(tmp_path / "x.h5ad")


def test_conditions_are_not_mixed(cells):
    cells.obs.iloc[0, cells.obs.columns.get_loc("condition")] = "other"
    with pytest.raises(DataError, match="several conditions"):
        pseudobulk(cells)
    assert pseudobulk(cells, (*BY, "condition")).obs["condition"].nunique() == 2  # one cell is too few
    cells.obs["donor"] = "all"
    with pytest.raises(DataError, match="several conditions"):
        subsample_mean(cells)


@pytest.mark.parametrize("log", ["", "log1p", "log2"])
def test_means_are_of_linear_values(cells, log):
    counts = cells.X.toarray().astype(float)
    linear = counts / counts.sum(axis=1, keepdims=True) * 1e4
    cells.X = {"": linear, "log1p": np.log1p(linear), "log2": np.log2(linear + 1)}[log].astype(np.float32)
    found = pseudobulk(cells, mode="mean", min_cells=1)
    cells.X = linear
    expected, _ = brute(cells, BY, "mean")
    np.testing.assert_allclose(found.X, expected, rtol=1e-4)
    assert found.uns["sicmir"]["units"] == "CP10K"
    assert recognise(found).units == "CP10K"
    if log:
        assert found.uns["sicmir"]["units_record"]["logarithm"] == log


def test_counts_are_taken_from_where_they_are(cells):
    expected = pseudobulk(cells).X
    cells.layers["counts"] = cells.X.copy()
    cells.X = np.log1p(cells.X.toarray()) - 1
    np.testing.assert_array_equal(pseudobulk(cells).X, expected)
    cells.raw = ad.AnnData(cells.layers.pop("counts"), var=cells.var.rename(index=str.upper))
    found = pseudobulk(cells, layer="raw")
    np.testing.assert_array_equal(found.X, expected)
    assert found.var_names[0] == "G0"


def test_only_counts_are_summed(cells):
    cells.X = cells.X.toarray() * 1.5
    with pytest.raises(ParameterError, match="mode='sum' needs counts. X is read as linear, unknown"):
        pseudobulk(cells)
    assert pseudobulk(cells, mode="mean").uns["sicmir"]["units"] == "linear, unknown"
    cells.X = cells.X - 1
    with pytest.raises(DataError, match="no linear form"):
        pseudobulk(cells, mode="mean")
    cells.X = np.log1p(cells.X + 1)
    with pytest.raises(ParameterError, match="units cannot be told"):
        pseudobulk(cells, mode="mean")
    found = pseudobulk(cells, mode="mean", units="log1p(x)")
    assert found.uns["sicmir"]["units"] == "linear, unknown"


def test_missing_labels(cells):
    place = cells.obs.columns.get_loc("cell_type")
    cells.obs.iloc[:3, place] = np.nan
    cells.obs.loc["c9", "donor"] = ""
    with pytest.raises(DataError, match="1 in donor, 3 in cell_type"):
        pseudobulk(cells)
    labelled = cells[[name not in ("c0", "c1", "c2", "c9") for name in cells.obs_names]].copy()
    found = pseudobulk(cells, missing="drop", min_cells=1)
    np.testing.assert_array_equal(found.X, brute(labelled, BY, "sum")[0])
    assert found.uns["sicmir"]["pseudobulk"]["without_label"] == 4
    assert subsample_mean(cells, missing="drop").obs.groupby(BY)["n_group"].first().sum() == N_CELLS - 4
    cells.obs["donor"] = np.nan
    with pytest.raises(DataError, match="No cell has a label"):
        pseudobulk(cells, missing="drop")


def test_rows_that_are_no_counts_after_all(cells, tmp_path, monkeypatch):
    for room in ("sicmir.matrices.units", "sicmir.data.chunks"):
        monkeypatch.setattr(f"{room}.judged_rows", lambda n, of=0: np.arange(min(n, 9)))
    cells.X.data[-7] = 2.5
    cells.write_h5ad(tmp_path / "x.h5ad")
    with ChunkedMatrix(tmp_path / "x.h5ad") as file:
        for table in (cells, file):
            for pool in (pseudobulk, subsample_mean):
                with pytest.raises(DataError, match="X holds fractional numbers, but the rows"):
                    pool(table)
    found = pseudobulk(cells, min_cells=1, units="counts").X
    np.testing.assert_allclose(found, brute(cells, BY, "sum")[0], rtol=1e-6)


def test_a_gene_that_was_not_measured_everywhere(cells):
    values = cells.X.toarray()
    values[cells.obs["donor"] == "P2", 4] = np.nan
    cells.X = values
    found = pseudobulk(cells).to_df()
    assert np.isnan(found["g4"]).equals(found.index.to_series().str.startswith("P2"))
    assert found.drop(columns="g4").notna().all(axis=None)


def test_bad_options(cells):
    for wrong in ({"mode": "median"}, {"missing": "keep"}, {"min_cells": 0}):
        with pytest.raises(ParameterError, match="expected"):
            pseudobulk(cells, **wrong)
    for by in ("patient", [], ["donor", "donor"]):
        with pytest.raises(DataError, match="obs has cell_type, donor"):
            pseudobulk(cells, by)
    with pytest.raises(DataError, match="None of .* groups has 1000 cells; the largest has"):
        pseudobulk(cells, min_cells=1000)
    cells.obs["kept"] = "a"
    with pytest.raises(DataError, match="The name kept belongs to"):
        pseudobulk(cells, ["donor", "kept"])
    cells.obs["x"], cells.obs["y"] = "a|b", "c"
    cells.obs.iloc[0, -2:] = ["a", "b|c"]
    del cells.obs["condition"]
    with pytest.raises(DataError, match=r"both be called a\|b\|c"):
        pseudobulk(cells, ["x", "y"])


@pytest.mark.parametrize("stored", ["csr", "csc", "dense"])
def test_a_file_gives_what_memory_gives(cells, tmp_path, stored, monkeypatch):
    monkeypatch.setattr("sicmir.matrices.cell_groups._PIECE", 70)
    expected = pseudobulk(cells)
    layer = {"csr": cells.X, "csc": cells.X.tocsc(), "dense": cells.X.toarray()}[stored]
    cells.layers["umi"] = layer
    cells.X = cells.X * 1.5
    cells.write_h5ad(tmp_path / "x.h5ad")
    with ChunkedMatrix(tmp_path / "x.h5ad", "umi") as matrix:
        found = pseudobulk(matrix)
        np.testing.assert_array_equal(found.X, expected.X)
        pd.testing.assert_frame_equal(found.obs, expected.obs, check_categorical=False, check_dtype=False)
        assert found.uns["sicmir"]["units_record"]["source"] == "layers['umi']"
        with pytest.raises(ParameterError, match="opened for"):
            pseudobulk(matrix, layer="X")
        np.testing.assert_allclose(subsample_mean(matrix).X, subsample_mean(cells, layer="umi").X, rtol=1e-6)


# Draws


def test_draws_are_those_of_a_loop(cells):
    found = subsample_mean(cells, k=7, n=3, seed=5)
    rng = np.random.default_rng(5)
    values = cells.X.toarray().astype(float)
    key = cells.obs["donor"] + "|" + cells.obs["cell_type"].astype(str)
    means, names = [], []
    for name in sorted(set(key)):
        inside = np.flatnonzero(key == name)
        for draw in range(3 if len(inside) >= 7 else 0):
            means.append(values[rng.choice(inside, 7, replace=False)].mean(axis=0))
            names.append(f"{name}|{draw + 1}")
    assert found.obs_names.tolist() == names
    np.testing.assert_allclose(found.X, means, rtol=1e-6)
    assert (found.obs["n_cells"] == 7).all()
    assert list(found.obs) == ["donor", "cell_type", "n_group", "condition", "age", "n_cells", "draw"]
    assert found.uns["sicmir"]["units"] == "counts"


def test_the_seed_decides(cells):
    first, same, other = (subsample_mean(cells, seed=seed).X for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, same)
    assert not np.array_equal(first, other)


def test_default_numbers_are_the_published_ones(cells):
    del cells.obs["condition"]
    found = subsample_mean(cells, by="cell_type")
    sizes = cells.obs["cell_type"].value_counts()
    sizes = sizes[sizes > 0]
    assert found.obs["cell_type"].value_counts().to_dict() == {
        name: math.ceil(size / 100) for name, size in sizes.items()
    }
    assert found.obs["n_cells"].tolist() == [int(0.8 * sizes[name]) for name in found.obs["cell_type"]]
    assert found.obs["n_group"].tolist() == [sizes[name] for name in found.obs["cell_type"]]
    found = subsample_mean(cells).obs
    assert (found["n_cells"] == np.maximum(np.floor(0.8 * found["n_group"]), 1)).all()
    assert (found["n_cells"] < 0.8 * found["n_group"] - 0.5).any()  # rounded down, not to the nearest


def test_columns_of_a_draw_come_once(cells):
    cells.obs = cells.obs.assign(n_group=0, n_cells=0, draw=0)
    found = subsample_mean(cells, k=3, n=2, by="donor").obs
    assert found.columns.is_unique
    assert (found["n_group"] > 3).all() and (found["n_cells"] == 3).all() and (found["draw"] > 0).all()


def test_a_draw_of_all_cells_is_the_mean(cells):
    counts = cells.X.toarray().astype(float)
    logged = np.log1p(counts / counts.sum(axis=1, keepdims=True) * 1e4)
    cells.X = logged.astype(np.float32)
    cells.obs["donor"], cells.obs["condition"] = "one", "one"
    cells.obs["cell_type"] = "all"
    found = subsample_mean(cells, k=N_CELLS, n=1, of="stored")
    np.testing.assert_allclose(found.X[0], logged.mean(axis=0), rtol=1e-5)
    assert found.uns["sicmir"]["units"] == "mean of log1p(CP10K)"
    found = subsample_mean(cells, k=N_CELLS, n=1)
    np.testing.assert_allclose(found.X, pseudobulk(cells, mode="mean").X, rtol=1e-5)
    assert found.uns["sicmir"]["units"] == "CP10K"
    with pytest.raises(DataError, match="No group has k=401 cells; the largest has 400"):
        subsample_mean(cells, k=401)
    for wrong in ({"k": -1}, {"n": -1}, {"of": "logs"}):
        with pytest.raises(ParameterError, match="Expected k and n"):
            subsample_mean(cells, **wrong)


def test_draws_are_no_replicates(cells):
    """Of one group, draws are far more alike than donors are: what the docstring warns of."""
    rng = np.random.default_rng(3)
    donor = pd.factorize(cells.obs["donor"])[0]
    rates = np.exp2(rng.normal(2, 1, N_GENES) + rng.normal(0, 0.5, (4, N_GENES)))
    cells.X = rng.poisson(rates[donor]).astype(np.float32)
    cells.obs["cell_type"] = "one"
    draws = subsample_mean(cells, n=5)
    correlation = np.corrcoef(np.log2(draws.X + 1))
    same = np.equal.outer(draws.obs["donor"].to_numpy(), draws.obs["donor"].to_numpy())
    within = correlation[same & ~np.eye(len(same), dtype=bool)]
    assert within.min() > 0.98 > correlation[~same].max()


def test_planted_profiles_are_recovered():
    """Cells drawn from toy bulk samples: their pseudobulk, at the training scale, is the sample again."""
    bulk, _ = sicmir.toy.paired_bulk(4, 2, 1200, 20, normal_fraction=0, seed=2)
    rng = np.random.default_rng(0)
    rates = np.exp2(bulk.X.astype(float)) - 1
    rates /= rates.sum(axis=1, keepdims=True)
    source = np.repeat(np.arange(bulk.n_obs), 50)
    depth = rng.lognormal(9, 0.5, len(source))
    cells = ad.AnnData(
        sparse.csr_matrix(rng.poisson(rates[source] * depth[:, None]).astype(np.float32)),
        obs=bulk.obs.iloc[source][["donor", "cohort"]]
        .assign(cell_type="tumour cell")
        .set_axis(range(len(source)))
        .rename(str),
        var=bulk.var,
    )
    found = pseudobulk(cells)
    assert found.obs["donor"].tolist() == sorted(bulk.obs["donor"])
    record = recognise(found)
    logs = to_log2(found.X, record, row_totals(found.X, record.linear), min_genes=0)
    planted = np.log2(rates * TRAINING_TOTAL + 1)[np.argsort(bulk.obs["donor"])]
    high = planted > 12
    assert high.sum() > 500
    assert np.abs(logs - planted)[high].max() < 0.5
    assert np.corrcoef(logs[high], planted[high])[0, 1] > 0.995
