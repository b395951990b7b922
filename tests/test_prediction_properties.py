"""What a prediction may not depend on: order, form, type, names, chunks, and the other rows of a table."""

from functools import cache, partial
from tempfile import TemporaryDirectory

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import small_model as small
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st
from scipy import sparse

import sicmir
from sicmir import panel, prediction
from sicmir.streaming import predict_file

pytestmark = pytest.mark.filterwarnings("ignore:Writing zarr v2")
steadily = partial(
    settings,
    derandomize=True,
    deadline=None,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)

N_CELLS = 12
FORMS = {
    "dense": np.asarray,
    "column-major": np.asfortranarray,
    "CSR": sparse.csr_matrix,
    "CSC": sparse.csc_matrix,
    "CSR array": sparse.csr_array,
    "COO, then CSR": lambda values: sparse.coo_matrix(values).tocsr(),
    "CSR, unsorted": lambda values: sparse.csc_matrix(values[:, ::-1]).tocsr()[:, ::-1],
}
TYPES = ("uint16", "int32", "int64", "float32", "float64")
NAMES = {"symbol": "symbol", "ensembl": "ensembl", "entrez": "entrez"}
VALUES = ("coverage", "domain_score", "in_domain", "abstained")

orders = st.integers(0, 2**16)
variants = st.fixed_dictionaries(
    {
        "cells": orders,
        "genes": orders,
        "n_cells": st.integers(1, N_CELLS),
        "strangers": st.integers(0, 3),
        "form": st.sampled_from(sorted(FORMS)),
        "kind": st.sampled_from(TYPES),
        "name": st.sampled_from(sorted(NAMES)),
    }
)


@cache
def table():
    """Counts that fit into 16 bits; one cell empty, and one unlike all others."""
    adata = small.counts()[:N_CELLS]
    values = np.minimum(adata.X.toarray(), 2**16 - 1)
    values[4] = 0
    values[7] = np.random.default_rng(0).permutation(values[7])
    return ad.AnnData(values, obs=adata.obs[["donor"]], var=adata.var[[]])


@cache
def expected(model, transform):
    return sicmir.predict(table(), bundle(model), transform, progress=False)


def bundle(model):
    return small.bundle() if model == "small" else sicmir.load_model()


def variant(cells, genes, n_cells, strangers, form, kind, name):
    """Some cells of the table in another order, form, type and nomenclature, with cells of another kind."""
    chosen = np.random.default_rng(cells).permutation(N_CELLS)[:n_cells]
    columns = np.random.default_rng(genes).permutation(small.N_GENES)
    names = table().var_names.to_numpy().astype(object)
    names[: len(small.LANDMARKS)] = panel.landmarks()[NAMES[name]].astype(str)
    others = np.random.default_rng(cells).poisson(30, (strangers, small.N_GENES))
    values = np.vstack([table().X[chosen], others])[:, columns].astype(kind)
    # A table without any read has no units, and is refused as a whole (tested in test_units).
    assume(values.any())
    obs = pd.DataFrame(index=[*table().obs_names[chosen], *(f"stranger{i}" for i in range(strangers))])
    return ad.AnnData(FORMS[form](values), obs=obs, var=pd.DataFrame(index=names[columns]))


def check_same(found, wanted):
    """Rows of ``wanted`` are in ``found`` with the same numbers."""
    rows = [name for name in found.obs_names if name in wanted.obs_names]
    found, wanted = found[rows], wanted[rows]
    assert rows
    np.testing.assert_allclose(found.X, wanted.X, rtol=0, atol=1e-3)
    for key in ("lower", "upper"):
        np.testing.assert_allclose(found.layers[key], wanted.layers[key], rtol=0, atol=1e-3)
    for name in VALUES:
        np.testing.assert_allclose(found.obs[name].astype(float), wanted.obs[name].astype(float), atol=1e-3)
    assert found.var_names.equals(wanted.var_names)


def test_the_table_has_what_is_predicted_and_what_is_not():
    abstained = expected("small", "frozen").obs["abstained"]
    assert abstained.iloc[[4, 7]].all()
    assert not abstained.drop(abstained.index[[4, 7]]).any()


@steadily(max_examples=25)
@given(how=variants, block=st.integers(1, N_CELLS + 3), transform=st.sampled_from(["frozen", "rank"]))
def test_a_prediction_depends_on_the_cell_alone(how, block, transform):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prediction, "BLOCK", block)
        found = sicmir.predict(variant(**how), small.bundle(), transform, progress=False)
    check_same(found, expected("small", transform))


@steadily(max_examples=5)
@given(how=variants, block=st.integers(1, N_CELLS))
def test_so_does_one_of_the_shipped_model(how, block):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prediction, "BLOCK", block)
        found = sicmir.predict(variant(**how), bundle("shipped"), "rank", abstain=False, progress=False)
    wanted = sicmir.predict(table(), bundle("shipped"), "rank", abstain=False, progress=False)
    check_same(found, wanted)


@steadily(max_examples=15)
@given(
    how=variants,
    chunk_size=st.integers(1, N_CELLS + 3),
    ending=st.sampled_from([".h5ad", ".zarr"]),
    out_ending=st.sampled_from([".h5ad", ".zarr"]),
    transform=st.sampled_from(["frozen", "rank"]),
)
def test_a_prediction_from_a_file_depends_on_the_cell_alone(how, chunk_size, ending, out_ending, transform):
    with TemporaryDirectory() as folder:
        path, out = f"{folder}/in{ending}", f"{folder}/out{out_ending}"
        adata = variant(**how)
        adata.write_h5ad(path) if ending == ".h5ad" else adata.write_zarr(path)
        predict_file(path, out, small.bundle(), transform, chunk_size=chunk_size, progress=False)
        found = ad.read_h5ad(out) if out_ending == ".h5ad" else ad.read_zarr(out)
    check_same(found, expected("small", transform))


@steadily(max_examples=8)
@given(how=variants, groups=st.lists(st.sampled_from("abc"), min_size=N_CELLS, max_size=N_CELLS))
def test_a_pool_depends_on_its_cells_alone(how, groups):
    labels = pd.Series(groups, index=table().obs_names)
    adata = variant(**how | {"n_cells": N_CELLS})
    adata.obs["group"] = labels.reindex(adata.obs_names).fillna("stranger").to_numpy()
    labelled = table().copy()
    labelled.obs["group"] = labels
    found, wanted = (
        sicmir.predict(part, small.bundle(), by="group", min_cells=1, progress=False)
        for part in (adata, labelled)
    )
    check_same(found, wanted)


@steadily(max_examples=8)
@given(how=variants)
def test_a_cohort_depends_on_its_cells_and_says_so_but_on_nothing_else(how):
    whole = sicmir.predict(variant(**how | {"n_cells": N_CELLS, "strangers": 0}), small.bundle(), "cohort")
    check_same(whole, expected("small", "cohort"))
    assert "depends on those submitted with it" in " ".join(whole.uns["sicmir"]["notes"])
    part = sicmir.predict(table()[:6].copy(), small.bundle(), "cohort")
    inside = ~(part.obs["abstained"] | expected("small", "cohort").obs["abstained"][:6]).to_numpy()
    difference = np.abs(part.X - expected("small", "cohort").X[:6])[inside]
    assert difference.size and difference.max() > 0.01


def test_the_note_on_cohorts_is_given_for_cohorts_alone():
    for transform in ("frozen", "rank"):
        notes = " ".join(expected("small", transform).uns["sicmir"]["notes"])
        assert "submitted with it" not in notes
