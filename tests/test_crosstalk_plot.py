import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.patches import PathPatch, Wedge

from sicmir.errors import DataError, ParameterError
from sicmir.vesicles import crosstalk_plot

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


def test_ribbons_run_from_senders_to_receivers(table):
    figure = crosstalk_plot.chord(table, top=3)
    ax = figure.axes[0]
    wedges = [patch for patch in ax.patches if isinstance(patch, Wedge)]
    ribbons = [patch for patch in ax.patches if isinstance(patch, PathPatch)]
    assert [text.get_text() for text in ax.texts] == ["a", "b"]
    assert len(ribbons) == 2  # a to b with two rows, b to a with one
    sizes = [np.ptp(np.unwrap(np.arctan2(*patch.get_path().vertices[:12].T[::-1]))) for patch in ribbons]
    assert sizes[0] == pytest.approx(2 * sizes[1])
    radii = np.hypot(*ribbons[0].get_path().vertices[[0, 13]].T)
    assert radii[0] > radii[1]  # off the rim at the receiver
    colours = {
        text.get_text(): to_hex(patch.get_facecolor()) for text, patch in zip(ax.texts, wedges, strict=True)
    }
    assert to_hex(ribbons[0].get_facecolor()) == colours["a"]
    assert to_hex(ribbons[1].get_facecolor()) == colours["b"]


def test_nothing_to_be_shown_on_a_circle(table):
    with pytest.raises(DataError, match="No row of the table is counted"):
        crosstalk_plot.chord(table.assign(counted=False))
    with pytest.raises(ParameterError, match="top of 1"):
        crosstalk_plot.chord(table, top=0)
