import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from sicmir import crosstalk_plot
from sicmir.errors import DataError, ParameterError

mpl.use("Agg")


@pytest.fixture
def table():
    rows = [
        ("a", "b", "m1", 1.5, 0.001, 0.01, True),
        ("a", "b", "m2", 1.2, 0.02, 0.04, True),
        ("b", "a", "m1", 0.7, 0.6, 0.8, True),
        ("b", "a", "m2", 0.4, 0.9, 0.9, True),
        ("b", "a", "m3", 1.9, np.nan, np.nan, False),
        ("a", "b", "m3", 1.0, np.nan, np.nan, False),
    ]
    columns = ["sender", "receiver", "mirna", "score", "p", "q", "counted"]
    return pd.DataFrame(rows, columns=columns).assign(n_donors=5)


def test_dots_stand_for_rows_and_rings_for_findings(table):
    figure = crosstalk_plot.dot_plot(table, top=3)
    ax = figure.axes[0]
    grey, dots, rings = ax.collections
    assert [label.get_text() for label in ax.get_xticklabels()] == ["a → b", "b → a"]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["m2", "m1"]
    assert len(grey.get_offsets()) == 0 and len(dots.get_offsets()) == 4
    at = {
        tuple(xy): (score, size)
        for xy, score, size in zip(
            dots.get_offsets().tolist(), dots.get_array(), dots.get_sizes(), strict=True
        )
    }
    assert at[(0, 1)] == (1.5, 15 + 45 * 3) and at[(1, 0)][0] == 0.4
    assert sorted(map(tuple, rings.get_offsets().tolist())) == [(0, 0), (0, 1)]


def test_what_is_not_counted_is_grey(table):
    table.loc[table["mirna"] == "m2", "counted"] = [True, False]
    grey = crosstalk_plot.dot_plot(table, top=3).axes[0].collections[0]
    assert grey.get_offsets().tolist() == [[1, 0]]
    assert to_hex(grey.get_facecolor()[0]) == to_hex("0.7")


def test_without_p_the_score_decides_and_dots_are_of_one_size(table):
    table[["p", "q"]] = np.nan
    dots = crosstalk_plot.dot_plot(table, top=1).axes[0].collections[1]
    assert dots.get_array().tolist() == [1.5]
    assert set(crosstalk_plot.dot_plot(table).axes[0].collections[1].get_sizes()) == {60}
    assert len(crosstalk_plot.pair_map(table, "best_score").axes) == 2
    with pytest.raises(DataError, match="no p-values"):
        crosstalk_plot.pair_map(table)


def test_map_shows_each_pair_once(table):
    ax = crosstalk_plot.pair_map(table).axes[0]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["a", "b"]
    np.testing.assert_array_equal(
        ax.collections[0].get_array().filled(np.nan).reshape(2, 2), [[np.nan, 2], [0, np.nan]]
    )
    mean = crosstalk_plot.pair_map(table, "mean_score").axes[0].collections[0].get_array()
    np.testing.assert_allclose(mean.compressed(), [1.35, 0.55])


def test_figures_refuse_what_is_not_there(table):
    for call in (
        lambda: crosstalk_plot.dot_plot(table, top=0),
        lambda: crosstalk_plot.dot_plot(table, fdr=1),
        lambda: crosstalk_plot.pair_map(table, fdr=0),
        lambda: crosstalk_plot.pair_map(table, "sum"),
    ):
        with pytest.raises(ParameterError, match="found"):
            call()
    for draw in (crosstalk_plot.dot_plot, crosstalk_plot.pair_map):
        with pytest.raises(DataError, match="No row of the table is counted"):
            draw(table.assign(counted=False))
