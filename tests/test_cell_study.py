"""The steps of the chapter on toy cells, and its figures."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from small_cells import bundle, cells
from small_model import halves, pair

from sicmir import panel, prediction
from sicmir.cells import cell_plots, cell_robustness, cell_validation, pool_table
from sicmir.cells.cell_types import pool_cells
from sicmir.chapters.single_cells import cell_study
from sicmir.chapters.single_cells.cell_sets import Reference


@pytest.fixture(scope="module")
def reference():
    """Six samples that the model did not see, as cell types; four of them are the lines."""
    drawn = cells()
    drawn.obs["cell_type"] = drawn.obs["donor"] + " " + drawn.obs["cell_type"]
    mrna = panel.align(pool_cells(drawn))
    mrna.X = np.log2(mrna.X + 1)
    mrna.obs = mrna.obs.assign(dataset="toy", source=["a"] * 4 + ["b"] * 2, match="same cells")
    mrna.uns["sicmir"]["units"] = "log2(CPM + 1)"
    mirna = pair()[1][halves()[1][:6]].copy()
    mirna.obs = mrna.obs.copy()
    first = drawn[(drawn.obs["cell_type"] == mrna.obs_names[0]).to_numpy()].copy()
    return Reference(mrna, mirna, "a", first, mrna.obs_names[0], cells(), bundle())


@pytest.fixture(scope="module")
def predicted(reference):
    return cell_study.predictions(reference)


@pytest.fixture(scope="module")
def orders(reference, predicted):
    return cell_study.renamed(reference, predicted)


def test_each_transform_is_judged(reference, predicted, orders):
    assert set(predicted) == {"frozen", "rank", "cohort"}
    within = cell_study.within(reference, predicted)
    by_hand = cell_validation.within_types(
        reference.mirna.to_df(), predicted["rank"].to_df(), bundle().trust["mean_log2_rpm"]
    )
    pd.testing.assert_frame_equal(within.loc["rank"], by_hand, check_names=False)
    table = cell_study.transform_table(within, predicted).set_index("transform")
    assert table.loc["frozen", "n_cell_types"] == 6
    assert table.loc["frozen", "partial"] == pytest.approx(within.loc["frozen", "partial"].median())
    assert table.loc["frozen", "in_domain"] == predicted["frozen"].obs["in_domain"].sum()

    assert list(orders) == ["frozen", "rank", "cohort", cell_study.ALONE]
    assert {len(table) for table in orders.values()} == {24}
    places = cell_study.places(orders)
    assert places.groupby("transform").size().eq(3).all()
    found = places[places["transform"] == "frozen"].set_index("figure")
    assert (found.loc[["between", "over"], "true"] > 0.3).all()
    assert (found.loc[["between", "over"], "place"] <= 3).all()
    # What else is submitted changes predictions under cohort, and under it alone.
    assert orders["cohort"]["between"].iloc[0] != orders[cell_study.ALONE]["between"].iloc[0]


def test_what_is_shown_of_the_lines_is_chosen_by_what_was_measured(reference, predicted):
    table = cell_study.per_mirna(reference, predicted["frozen"])
    grade = bundle().trust["grade"]
    found = cell_study.largest(table, grade, n=3)
    good = table[grade.reindex(table.index).isin(["A", "B"])]
    assert found == good["range"].nlargest(3).index.tolist()
    pd.testing.assert_series_equal(
        cell_study.per_mirna(reference, predicted["rank"])["range"], table["range"]
    )


def test_cells_are_counted_by_donor_and_type():
    found = cell_study.composition(cells()[:20]).set_index("donor")
    assert found.to_dict() == {"type 0": {"d0": 12}, "type 1": {"d0": 8}}
    assert cell_study.pools(cells(), 12).n_obs == 6


def test_pairs_of_pools_whose_intervals_overlap_are_counted():
    rows = [
        ("m", "P1 a", "a", 1.0, 3.0),
        ("m", "P1 b", "b", 2.0, 4.0),
        ("m", "P2 a", "a", 3.5, 5.0),
        ("m", "P2 b", "b", np.nan, np.nan),
        ("n", "P1 a", "a", 1.0, 2.0),
        ("n", "P1 b", "b", 2.5, 3.0),
    ]
    beside = pd.DataFrame(rows, columns=["mirna", "pool", "cell_type", "lower", "upper"])
    assert cell_study.overlaps(beside) == {"n_compared": 3, "n_overlap": 2}


def test_headline_and_figures(reference, predicted, orders):
    adata = cells()
    pooled = prediction.predict(adata, bundle(), by=["donor", "cell_type"], progress=False)
    within = cell_study.within(reference, predicted).loc["frozen"]
    over = cell_study.per_mirna(reference, predicted["frozen"])
    options = {"n_draws": 1}
    droplets = cell_study.by_transform(cell_robustness.by_cells, adata, bundle(), sizes=(1, 6), **options)
    thinned = cell_study.by_transform(
        cell_robustness.by_counts, cell_study.pools(adata, 12), bundle(), shares=(0.1, 1.0), **options
    )
    states = pool_table.status(pooled)
    found = cell_study.headline(
        states, pooled, reference, within, orders["frozen"], over, droplets, droplets, thinned, thinned
    )
    assert all(type(value) in (int, float, str) for value in found.values())
    assert found["n_groups"] == found["n_predicted"] + found["n_abstained"] + found["n_small"] == 6
    assert found["n_orders"] == 24
    assert found["guess"] == 1 / 4
    highest = reference.mirna.to_df().loc[reference.rows_of_lines(), over.index].to_numpy().argmax(axis=0)
    assert found["same"] == pytest.approx(np.bincount(highest).max() / len(over))
    assert found["right"] == pytest.approx(orders["frozen"]["right"].iloc[0])
    assert found["r_tenth"] == pytest.approx(
        cell_robustness.summary(thinned["frozen"]).set_index("setting").loc[0.1, "r"]
    )
    assert np.isnan(found["r_enough"])  # no pool of 50 cells here
    assert found["droplets"] == cell_study.SYNTHETIC
    assert found["n_droplet_donors"] == reference.droplets.obs["donor"].nunique()
    summaries = cell_study.summaries(droplets)
    assert not {name for name in cell_study.CONSTANT if name in summaries and summaries[name].nunique() < 2}
    assert summaries["transform"].tolist() == ["frozen"] * 2 + ["rank"] * 2
    assert "partial" not in summaries

    names = list(pooled.var_names[:2])
    pooled.X[0] = np.nan
    figure = cell_plots.intervals(pool_table.beside_trust(pooled, names), adata.obs["cell_type"])
    assert [ax.get_title().split("\n")[0] for ax in figure.axes] == names
    crosses = [line for line in figure.axes[0].lines if line.get_marker() == "x"]
    assert len(crosses) == 1
    painted = {name: pool_table.paint(adata, pooled, name) for name in names}
    figure = cell_plots.cell_map(pool_table.principal_components(adata), adata.obs["cell_type"], painted)
    assert [ax.get_title() for ax in figure.axes[:3]] == ["cell type", *names]
    grey = figure.axes[1].collections[0].get_offsets()
    assert len(grey) == 12
    figure = cell_plots.renamed(orders)
    dots = [line for line in figure.axes[0].lines if line.get_marker() == "o"]
    assert {float(np.ravel(line.get_xdata())[0]) for line in dots} == {
        table["between"].iloc[0] for table in orders.values()
    }
    figure = cell_plots.within_types(within)
    np.testing.assert_allclose(figure.axes[0].lines[1].get_xdata(), within["spearman"])
    lines = reference.rows_of_lines()
    figure = cell_plots.mirna_lines(
        reference.mirna[lines].to_df(), predicted["frozen"][lines].to_df(), bundle().trust["grade"], names
    )
    assert len(figure.axes) == 2
    figure = cell_plots.curves(droplets, "cells", logarithmic=True)
    bold = next(line for line in figure.axes[2].lines if line.get_label() == "frozen")
    np.testing.assert_allclose(bold.get_ydata(), cell_robustness.summary(droplets["frozen"])["r"], atol=1e-9)
    plt.close("all")
