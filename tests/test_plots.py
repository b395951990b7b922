import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from sicmir import plots
from sicmir.benchmark import evaluation
from sicmir.errors import ParameterError


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def test_every_method_has_a_colour_of_its_own():
    assert set(plots.METHOD_COLOURS) == set(evaluation.METHODS)
    assert len(set(plots.METHOD_COLOURS.values())) == len(plots.METHOD_COLOURS)


def test_tcga_cohorts_are_told_apart_and_keep_their_style_in_any_company():
    everyone = plots.cohort_styles(plots._TCGA_COHORTS)
    assert len(set(everyone.values())) == 33
    assert plots.cohort_styles(["UVM", "ACC", "mine"])["UVM"] == everyone["UVM"]
    toy = plots.cohort_styles(["TOYB", "TOYA", "TOYA"])
    assert len(toy) == len(set(toy.values())) == 2


def test_training_curve_shows_the_history():
    history = pd.DataFrame(
        {
            "phase": ["search"] * 3 + ["refit"] * 3,
            "epoch": [1, 2, 3] * 2,
            "train_loss": [3.0, 2, 1] * 2,
            "validation_loss": [3.0, 1.5, 2, np.nan, np.nan, np.nan],
        }
    )
    search, refit = plots.training_curve(history).axes
    assert [line.get_ydata().tolist() for line in search.lines[:2]] == [[3, 2, 1], [3, 1.5, 2]]
    assert (search.lines[2].get_xdata(), search.lines[2].get_ydata()) == ([2], [1.5])
    assert len(refit.lines) == 1


def test_scatter_shows_every_sample_and_states_the_correlation():
    rng = np.random.default_rng(0)
    observed = pd.DataFrame(rng.normal(size=(40, 2)), columns=["a", "b"])
    predicted = observed + rng.normal(size=(40, 2))
    cohort = pd.Series(["ACC"] * 20 + ["UVM"] * 20)
    figure = plots.observed_predicted(observed, predicted, cohort, ["b"])
    shown = np.vstack([points.get_offsets() for points in figure.axes[0].collections])
    np.testing.assert_allclose(shown, np.column_stack([observed["b"], predicted["b"]]))
    r = np.corrcoef(observed["b"], predicted["b"])[0, 1]
    assert f"r = {r:.2f}" in figure.axes[0].get_title()
    with pytest.raises(ParameterError, match="nothing-here"):
        plots.observed_predicted(observed, predicted, cohort, ["nothing-here"])


def test_distributions_and_league_show_the_tables():
    index = pd.MultiIndex.from_product([["sicmir", "ridge"], list("abcd")], names=["method", "mirna"])
    table = pd.DataFrame(
        {"pearson": np.linspace(0, 0.7, 8), "pearson_within": np.linspace(-0.1, 0.6, 8)}, index
    )
    figure = plots.correlation_distributions(table)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["sicmir", "ridge"]
    x, share = figure.axes[0].lines[0].get_data()
    assert share[x <= 0.15].min() == 0.5, "two of 0, 0.1, 0.2 and 0.3 reach 0.15"
    league = pd.DataFrame(
        {
            "scope": ["pooled", "pooled", "within cohort", "within cohort"],
            "method": ["sicmir", "ridge"] * 2,
            "median": [0.7, 0.6, 0.4, 0.3],
            "lower": [0.6, 0.5, 0.3, 0.2],
            "upper": [0.8, 0.7, 0.5, 0.4],
        }
    )
    pooled = plots.league(league).axes[0]
    assert [tick.get_text() for tick in pooled.get_yticklabels()] == ["ridge", "sicmir"]
    bars = [line for line in pooled.lines if list(line.get_xdata()) != [0, 0] and len(line.get_xdata()) == 2]
    shown = {line.get_ydata()[0]: list(line.get_xdata()) for line in bars}
    assert (shown[0], shown[1]) == ([0.5, 0.7], [0.6, 0.8])
