"""Tables of predicted pools: every state is named, abstained values stay empty."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from small_cells import bundle, cells

from sicmir import prediction
from sicmir.cells import pool_table
from sicmir.errors import DataError, ParameterError


@pytest.fixture(scope="module")
def some():
    """Six groups: one too small, one of noise."""
    found = cells()
    found = found[~((found.obs["donor"] == "d2") & (found.obs["cell_type"] == "type 0"))].copy()
    noise = (found.obs["donor"] == "d0") & (found.obs["cell_type"] == "type 1")
    dense = found.X.toarray()
    dense[noise.to_numpy()] = np.random.default_rng(0).permuted(dense[noise.to_numpy()][0])
    found.X = sparse.csr_matrix(dense)
    few = cells()[:3].copy()
    few.obs_names = ["f0", "f1", "f2"]
    few.obs["donor"] = "d9"
    return ad.concat([found, few], uns_merge="same")


@pytest.fixture(scope="module")
def predicted(some):
    return prediction.predict(some, bundle(), by=["donor", "cell_type"], progress=False)


def test_each_group_has_a_state(predicted):
    table = pool_table.status(predicted)
    states = table.set_index(["donor", "cell_type"])["state"].to_dict()
    assert len(table) == 6
    assert states["d9", "type 0"] == "left out: too few cells"
    assert states["d0", "type 1"] == "abstained: far from the training data"
    assert states["d1", "type 0"].startswith("predicted")
    assert table["n_cells"].tolist() == [12] * 5 + [3]
    missing = prediction.predict(
        cells()[:, :700], bundle(), by=["donor", "cell_type"], min_coverage=0.6, progress=False
    )
    missing.uns["sicmir"]["min_coverage"] = 0.8
    missing.obs["abstained"] = True
    assert set(pool_table.status(missing)["state"]) == {"abstained: too few genes"}


def test_predictions_of_samples_have_no_groups():
    with pytest.raises(DataError, match="predictions of pools"):
        pool_table.status(prediction.predict(cells()[:2], bundle(), progress=False))


def test_only_good_grades_are_chosen(predicted):
    grade = predicted.var["grade"].astype(str)
    assert set(grade[pool_table.trusted(predicted, "A", 4)]) == {"A"}
    assert set(grade[pool_table.trusted(predicted, "B", 16)]) == {"A", "B"}
    shown = predicted[~predicted.obs["abstained"].to_numpy()]
    good = [name for name in predicted.var_names if grade[name] in "AB"]
    width = np.median((shown[:, good].layers["upper"] - shown[:, good].layers["lower"]), axis=0)
    best = good[int(np.argmax(np.asarray(shown[:, good].X).std(axis=0) / width))]
    assert pool_table.trusted(predicted, "B", 1) == [best]
    bad = grade.index[grade == "D"][0]
    assert pool_table.choose(predicted, f"{good[0]}, {bad}, miR-none") == [good[0]]
    assert pool_table.choose(predicted, f"{bad}", n=2) == pool_table.trusted(predicted, "B", 2)
    with pytest.raises(ParameterError, match="expected one of A, B, C, D"):
        pool_table.graded(predicted, "E")
    none = predicted.copy()
    none.obs["abstained"] = True
    with pytest.raises(DataError, match="0 pools were predicted"):
        pool_table.trusted(none)


def test_the_trust_table_stands_beside_each_prediction(predicted):
    names = list(predicted.var_names[:2])
    table = pool_table.beside_trust(predicted, names)
    assert len(table) == 2 * predicted.n_obs
    row = table[(table["mirna"] == names[1]) & (table["pool"] == "d1|type 0")].iloc[0]
    one = predicted["d1|type 0", names[1]]
    assert row["predicted"] == one.X[0, 0]
    assert row["lower"] == one.layers["lower"][0, 0] < row["upper"] == one.layers["upper"][0, 0]
    assert row["grade"] == one.var["grade"].iloc[0]
    assert row["within_r"] == one.var["within_r"].iloc[0]
    assert table.loc[table["pool"] == "d0|type 1", ["predicted", "lower", "upper"]].isna().all(axis=None)


def test_medians_count_each_pool_once_and_no_abstained_one(predicted):
    name = predicted.var_names[0]
    table = pool_table.by_type(predicted, [name])
    values = predicted.to_df()[name]
    assert table["type 1"].iloc[0] == pytest.approx(np.median(values[["d1|type 1", "d2|type 1"]]))
    assert table["mirna"].tolist() == [name]


def test_a_cell_has_the_colour_of_its_pool(some, predicted):
    name = predicted.var_names[0]
    painted = pool_table.paint(some, predicted, name)
    of = some.obs["donor"] + "|" + some.obs["cell_type"]
    assert painted[of == "d9|type 0"].isna().all()
    assert painted[of == "d0|type 1"].isna().all()
    assert (painted[of == "d1|type 0"] == predicted["d1|type 0", name].X[0, 0]).all()


@pytest.mark.parametrize("form", [sparse.csr_matrix, np.asarray])
def test_principal_components_part_the_types(form):
    adata = cells(depth=2e4)
    table = adata.copy()
    table.X = form(adata.X.toarray())
    found = pool_table.principal_components(table)
    assert found.index.equals(adata.obs_names)
    pools = (adata.obs["donor"] + adata.obs["cell_type"]).to_numpy()
    inside = found.groupby(pools).var().mean().sum()
    between = found.groupby(pools).mean().var().sum()
    assert between > 5 * inside
    assert found.attrs["explained"][0] > found.attrs["explained"][1] > 0
    assert len(pool_table.principal_components(table, max_cells=20)) == 20
    logged = table.copy()
    dense = adata.X.toarray()
    logged.X = np.log1p(dense / dense.sum(axis=1, keepdims=True) * 1e4).astype(np.float32)
    logged.uns = {}
    again = pool_table.principal_components(logged)
    assert abs(pd.Series.corr(again["PC1"], found["PC1"])) > 0.999
