import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from sicmir.errors import DataError, ParameterError
from sicmir.networks import network_plot

mpl.use("Agg")


@pytest.fixture
def table():
    return pd.DataFrame(
        {
            "mirna": ["m1"] * 4 + ["m2"] * 3,
            "gene": ["a", "b", "c", "d", "a", "b", "e"],
            "status": ["tested"] * 6 + ["landmark"],
            "weight": [0.9, 0.8, 0.1, 0.0, 0.7, 0.6, np.nan],
            "q": [0.01, 0.2, 0.9, 0.9, np.nan, np.nan, np.nan],
            "counted": [True] * 4 + [False] * 3,
        }
    )


def test_what_is_not_trusted_is_grey(table):
    ax = network_plot.network_figure(table, ["m1", "m2"], n_targets=2).axes[0]
    lines, genes, trusted, grey = ax.collections
    assert len(genes.get_offsets()) == 2  # the two strongest of each are a and b
    assert len(trusted.get_offsets()) == len(grey.get_offsets()) == 1
    blue, pale = network_plot._MIRNA, to_hex(network_plot._GREY)
    assert to_hex(trusted.get_facecolor()[0]) == blue
    assert to_hex(grey.get_facecolor()[0]) == pale
    colours = [to_hex(colour) for colour in lines.get_edgecolor()]
    assert sorted(colours) == sorted([blue, pale, pale, pale])
    assert {text.get_text() for text in ax.texts} == {"m1", "m2", "a", "b"}
    widths = np.array(lines.get_linewidths())
    assert widths.max() == widths[colours.index(blue)] == pytest.approx(3.5)


def test_figures_refuse_what_is_not_there(table):
    for names in (["m3"], []):
        with pytest.raises(ParameterError, match="expected miRNAs with a tested edge"):
            network_plot.network_figure(table, names)
    hubs = pd.DataFrame({"rank": [pd.NA], "z": [np.nan], "q": [np.nan], "top_share": [np.nan]}, index=["m"])
    with pytest.raises(DataError, match="No miRNA is ranked"):
        network_plot.hub_figure(hubs)
    with pytest.raises(ParameterError, match="top should"):
        network_plot.hub_figure(hubs, top=0)


def test_hubs_stand_in_order_with_their_shares():
    hubs = pd.DataFrame(
        {"rank": [1, 2, 3, pd.NA], "z": [9, 4, 1, np.nan], "q": [0.01, 0.04, 0.5, np.nan], "top_share": 0.5},
        index=["m1", "m2", "m3", "m4"],
    )
    figure = network_plot.hub_figure(hubs, top=3)
    filled, empty = figure.axes[0].collections[:2]
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["m3", "m2", "m1"]
    assert sorted(filled.get_offsets()[:, 0]) == [4, 9]
    assert empty.get_offsets()[:, 0].tolist() == [1]
    assert [bar.get_width() for bar in figure.axes[1].patches] == [0.5] * 3
