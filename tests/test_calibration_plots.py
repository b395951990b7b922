import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from sicmir import stats
from sicmir.chapters.statistics import calibration, calibration_plots
from sicmir.synthetic import toy_cells


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


def _points(ax):
    return [line.get_xydata() for line in ax.lines if line.get_marker() == "o"]


def test_limits_over_seeds_are_those_of_their_mean():
    table = pd.DataFrame(
        {"a": [0.0, 0.2, 0.4, 0.9], "b": [0.1, 0.1, 0.9, 1.0]},
        index=pd.MultiIndex.from_product([["x", "y"], [0, 1]], names=["null", "seed"]),
    )
    found = calibration_plots.over_seeds(table).set_index(["null", "measure"])
    assert found["n_seeds"].tolist() == [2] * 4
    assert found.loc[("x", "a"), "rate"] == pytest.approx(0.1)
    assert found.loc[("x", "a"), "lower"] == 0  # 0.1 - 1.96 * 0.1 is below 0
    assert found.loc[("y", "b"), "lower"] == pytest.approx(0.95 - 1.959964 * 0.05)
    assert found.loc[("y", "b"), "upper"] == 1


def test_each_rate_stands_in_the_row_of_its_test_and_the_colour_of_its_kind():
    table = pd.DataFrame(
        {
            "trial": ["first", "second"],
            "sound": [True, False],
            "rate": [0.05, 0.4],
            "lower": [0.04, 0.3],
            "upper": [0.06, 0.5],
        }
    )
    ax = calibration_plots.rates(table).axes[0]
    assert [text.get_text() for text in ax.get_yticklabels()] == ["second", "first"]
    drawn = {line.get_color(): line.get_xydata().ravel().tolist() for line in ax.lines}
    assert drawn[calibration_plots.SOUND_COLOURS[True]] == [0.05, 1]
    assert drawn[calibration_plots.SOUND_COLOURS[False]] == [0.4, 0]


def test_rates_have_a_panel_for_each_null():
    table = pd.DataFrame(
        {
            "null": ["a", "a", "b"],
            "test": ["p", "q", "p"],
            "sound": [True, True, False],
            "rate": [0.05, 0.0, 0.4],
            "lower": [-0.01, 0.0, 0.3],
            "upper": [0.06, 0.0, 0.5],
        }
    )
    axes = calibration_plots.rates(table, "test", "null").axes
    assert [ax.get_title() for ax in axes] == ["a", "b"]
    assert sum(len(points) for points in _points(axes[0])) == 2


def test_survival_has_its_own_panel_of_power():
    table = calibration.power(["two groups", "Cox"], (6, 20), n_seeds=1)
    left, right = calibration_plots.power_curves(table).axes
    assert [text.get_text() for text in left.get_legend().get_texts()] == ["two groups"]
    assert [text.get_text() for text in right.get_legend().get_texts()] == ["Cox"]
    np.testing.assert_allclose(_points(left)[0][:, 1], table.query("trial == 'two groups'")["rate"])


def test_every_test_has_a_place_in_the_figure_of_power():
    names = [name for name, trial in calibration.TRIALS.items() if trial.n_donors == 60]
    assert all(name.startswith(calibration_plots._SURVIVAL) for name in names)


def test_replicates_are_drawn_by_unit():
    table = calibration.pseudo_replication((1, 5), n_seeds=2)
    ax = calibration_plots.replicates(table).axes[0]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["cells", "donors"]


def test_the_circular_network_stands_above_the_other():
    index = pd.MultiIndex.from_product(
        [["independent", "programmes"], ["inside", "outside"], [0, 1]], names=["noise", "targets", "seed"]
    )
    columns = ["edges", "edges_found", "naive_hubs", "hubs", "hubs_found"]
    table = pd.DataFrame(np.where(index.get_level_values("targets") == "inside", 0.9, 0.05)[:, None], index)
    table = table[[0] * 5].set_axis(columns, axis=1)
    axes = calibration_plots.circular(table).axes
    assert len(axes) == 2
    inside, outside = _points(axes[0])
    np.testing.assert_allclose(inside[:, 0], 0.9)
    np.testing.assert_allclose(outside[:, 0], 0.05)
    assert (inside[:, 1] > outside[:, 1]).all()


def test_recovery_and_ablation_show_what_the_tables_hold():
    hubs = pd.DataFrame(
        {"auroc": [0.8, 1.0, 1.0], "power": [0.2, 0.4, 1.0], "false_share": 0.0},
        index=pd.MultiIndex.from_tuples([(5, 0), (5, 1), (20, 0)], names=["n_donors", "seed"]),
    )
    crosstalk = pd.DataFrame(
        {"auroc": [0.7, 0.9], "power": [0.0, 0.5], "false_discoveries": [0.0, 0.05]}, index=[3, 6]
    )
    left, right = calibration_plots.recovery(hubs, crosstalk).axes
    np.testing.assert_allclose(_points(left)[0], [[5, 0.9], [20, 1.0]])
    np.testing.assert_allclose(_points(right)[1], [[3, 0.0], [6, 0.5]])
    terms = pd.DataFrame({"auroc": [0.9, 0.8, 0.6]}, index=["all", "without risc", "only risc"])
    ax = calibration_plots.ablation(terms).axes[0]
    np.testing.assert_allclose(ax.collections[0].get_offsets(), [[0.6, 0], [0.8, 1], [0.9, 2]])


def test_effects_are_matched_by_name():
    cells = toy_cells.donor_cells(n_donors=8, n_cell_types=1, effect=2.0, n_changed=6, seed=1)
    table = stats.differential(cells, "condition", "tumour", "normal")
    ax = calibration_plots.effects(table, {"itself": table[::-1]}).axes[0]
    points = ax.collections[0].get_offsets()
    assert len(points) == len(table)
    np.testing.assert_allclose(points[:, 0], points[:, 1])
