"""Toy cells: what is planted in them, and a model that finds it."""

import numpy as np
import pandas as pd
import pytest

from sicmir import metrics, prediction
from sicmir.errors import ParameterError
from sicmir.matrices.units import recognise
from sicmir.synthetic import toy_counts


@pytest.fixture(scope="module")
def drawn():
    return toy_counts.single_cells(
        n_donors=3, n_cell_types=3, n_cells=20, depth=1e5, n_mirnas=20, n_training=30, seed=2
    )


def test_cells_are_counts_of_the_donors_and_types(drawn):
    cells = drawn.cells
    assert cells.shape == (180, toy_counts.N_GENES)
    assert (pd.crosstab(cells.obs["donor"], cells.obs["cell_type"]) == 20).all(axis=None)
    assert recognise(cells).units == "counts"
    assert cells.obs_names.is_unique
    assert cells.uns["sicmir"]["synthetic"]
    depths = np.asarray(cells.X.sum(axis=1)).ravel()
    assert np.median(depths) == pytest.approx(1e5, rel=0.15)
    assert drawn.measured.obs_names.tolist() == sorted(
        {f"{d}|{t}" for d, t in cells.obs[["donor", "cell_type"]].itertuples(index=False)},
        key=lambda name: (name.split("|")[1], name),
    )


def test_the_seed_and_nothing_else_decides(drawn):
    again = toy_counts.single_cells(3, 3, 20, 1e5, 20, 30, seed=2)
    assert (again.cells.X != drawn.cells.X).nnz == 0
    other = toy_counts.single_cells(3, 3, 20, 1e5, 20, 30, seed=3)
    assert (other.cells.X != drawn.cells.X).nnz > 0


def test_pools_have_the_expression_of_samples_like_those_to_train_on(drawn):
    assert drawn.mrna.n_obs == 90
    assert not set(drawn.mrna.obs["donor"]) & set(drawn.measured.obs_names.str.split("|").str[0]) - {
        f"TOY-{i:04d}" for i in (1, 2, 3)
    }
    first = drawn.cells[drawn.cells.obs["cell_type"] == "type A"].X.sum(axis=0).A1[:977]
    means = {
        cohort: drawn.mrna[drawn.mrna.obs["cohort"] == cohort].X.mean(axis=0)
        for cohort in ("TOYA", "TOYB", "TOYC")
    }
    r = {cohort: np.corrcoef(np.log2(first + 1), mean)[0, 1] for cohort, mean in means.items()}
    assert max(r, key=r.get) == "TOYA"


def test_a_model_trained_on_the_samples_predicts_the_cells(drawn):
    bundle = toy_counts.train(drawn)
    assert bundle.card["training_data"]["synthetic"]
    predicted = prediction.predict(
        drawn.cells, bundle, by=["donor", "cell_type"], abstain=False, progress=False
    )
    measured = drawn.measured[predicted.obs_names, predicted.var_names].to_df()
    found = metrics.per_mirna(measured, predicted.to_df(), predicted.obs["cell_type"])
    kinds = drawn.mirna.uns["truth"]["mirnas"]["kind"].reindex(found.index)
    assert found["pearson"][kinds.isin(["host", "programme"])].median() > 0.6
    assert {"grade", "within_r", "half_width"} <= set(predicted.var)


def test_bad_options_are_refused():
    with pytest.raises(ParameterError, match="n_training of 20"):
        toy_counts.single_cells(n_training=5)
    with pytest.raises(ParameterError, match="depth above 0"):
        toy_counts.single_cells(depth=0)
