import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from sicmir.chapters import trust_plots
from sicmir.publishing import report


def test_every_mirna_is_a_point_of_its_grade():
    trust = pd.DataFrame(
        {"within_r": [0.7, 0.5, 0.2], "unseen_within_r": [0.6, 0.4, np.nan], "grade": list("ABD")}
    )
    ax = trust_plots.reliability(trust).axes[0]
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels == ["A (1)", "B (1)", "C (0)", "D (1)"]
    np.testing.assert_allclose(ax.collections[1].get_offsets(), [[0.5, 0.4]])
    plt.close("all")


def test_coverage_shows_each_cohort_of_each_division_beside_the_level():
    table = pd.DataFrame(
        {
            "division": ["new", "new", "test"],
            "samples": ["all samples", "BRCA", "all samples"],
            "coverage": [0.9, 0.8, 0.88],
            "lower": [0.89, 0.7, 0.85],
            "upper": [0.91, 0.85, 0.9],
        }
    )
    ax = trust_plots.coverage(table, level=0.9).axes[0]
    assert [text.get_text() for text in ax.get_yticklabels()] == ["BRCA", "all samples"]
    assert sorted(x for line in ax.lines if line.get_marker() == "o" for x in line.get_xdata()) == [
        0.8,
        0.88,
        0.9,
    ]
    plt.close("all")


def test_learning_curves_join_the_means_of_repeats():
    donors = pd.DataFrame({"n_samples": [10, 20], "pooled": [0.3, 0.5], "within": [0.1, 0.2]})
    cohorts = pd.DataFrame({"n_cohorts": [2, 2, 4], "pooled": [0.1, 0.3, 0.4], "within": [0.0, 0.2, 0.2]})
    axes = trust_plots.learning_curves(donors, cohorts).axes
    joined = [line.get_ydata() for line in axes[1].lines if line.get_linestyle() == "-"]
    np.testing.assert_allclose(joined, [[0.2, 0.4], [0.1, 0.2]])
    plt.close("all")


def test_a_searchable_table_needs_no_network_and_runs_nothing_of_its_content():
    shown = report.searchable(pd.DataFrame({"name": ["<script>x</script>"], "r": [0.123456]}), "trust").data
    assert "<script>x" not in shown
    assert "0.12" in shown
    assert "cdn" not in shown.split("ITable(table")[-1]
    assert 'id="trust"' in shown
    assert 'src="http' not in shown


def test_the_note_of_a_full_run_names_its_date_and_files():
    record = {
        "date": "2020-02-03",
        "dataset": "a+b",
        "files": {"a/x.parquet": "sha256:0123456789abcdef0123"},
        "commit": "abcdef0123456789",
        "machine": "m<1>",
        "seconds": 61,
        "seed": 7,
        "n_samples": 5,
        "n_donors": 4,
        "n_mirnas": 3,
        "n_judged": 2,
    }
    shown = report.full_run(record).data
    for part in (
        "2020-02-03",
        "5 samples of 4 donors",
        "abcdef0123;",
        "m&lt;1&gt;",
        "a/x.parquet",
        "1 minutes",
    ):
        assert part in shown
