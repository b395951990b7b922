"""Signs of markers against measured libraries: counted by hand, planted truth, exchanged names."""

import anndata as ad
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from scipy.stats import mannwhitneyu

from sicmir.cells import marker_agreement
from sicmir.chapters.pancreas import tumour_plots
from sicmir.errors import DataError

TYPES = ("a", "b", "c")


@pytest.fixture(scope="module")
def libraries():
    rng = np.random.default_rng(0)
    labels = np.repeat(TYPES, 4)
    means = rng.uniform(2, 12, 60) + rng.normal(0, 2, (3, 60))
    values = np.maximum(np.repeat(means, 4, axis=0) + rng.normal(0, 0.4, (12, 60)), 0)
    obs = pd.DataFrame({"cell_type": labels}, [f"l{i}" for i in range(12)])
    return ad.AnnData(values, obs, pd.DataFrame(index=[f"toy-miR-{i:03d}" for i in range(60)]))


def markers_from(libraries, noise=0.0, seed=0):
    """A table of markers whose effects are the measured ones, with noise."""
    means = libraries.to_df().groupby(libraries.obs["cell_type"].to_numpy()).mean()
    rows = []
    for name in TYPES:
        effect = means.loc[name] - means.drop(name).mean()
        rows += [(name, mirna, value) for mirna, value in effect.items()]
    table = pd.DataFrame(rows, columns=["cell_type", "mirna", "effect"])
    table["effect"] += np.random.default_rng(seed).normal(0, noise, len(table)) if noise else 0
    return table.assign(lower=table["effect"] - 1, upper=table["effect"] + 1, grade="A")


def test_contrasts_by_hand(libraries):
    found = marker_agreement.measured_contrasts(libraries)
    values, labels = libraries.to_df(), libraries.obs["cell_type"].to_numpy()
    means = values.groupby(labels).mean()
    for row in found.sample(25, random_state=0).itertuples():
        own, rest = (
            values.loc[labels == row.cell_type, row.mirna],
            values.loc[labels != row.cell_type, row.mirna],
        )
        others = means.drop(row.cell_type)[row.mirna].mean()
        assert row.measured == pytest.approx(own.mean() - others)
        auroc = mannwhitneyu(own, rest).statistic / (len(own) * len(rest))
        assert row.auroc == pytest.approx(auroc)
        directed = auroc if row.measured > 0 else 1 - auroc
        high = means[row.mirna].max() >= np.log2(101)
        assert row.known == (abs(row.measured) >= 1 and directed >= 0.9 and high)
    assert 20 < found["known"].sum() < len(found)


def test_true_signs_agree_and_reversed_ones_do_not(libraries):
    contrasts = marker_agreement.measured_contrasts(libraries)
    truth = markers_from(libraries)
    judged = marker_agreement.signs(contrasts, truth)
    assert len(judged) == contrasts["known"].sum()
    assert judged["agrees"].all()
    reverse = marker_agreement.signs(contrasts, truth.assign(effect=-truth["effect"]))
    assert not reverse["agrees"].any()
    nothing = marker_agreement.signs(contrasts, truth.assign(effect=0.0))
    assert marker_agreement.share(nothing) == (0, len(judged))
    grades = truth.assign(grade=np.resize(["A", "B"], len(truth)))
    table = marker_agreement.summary(marker_agreement.signs(contrasts, grades))
    whole = table[table["cell_type"] == "all"].set_index("grade")["n"]
    assert whole.sum() == len(judged)
    assert table.loc[table["cell_type"] != "all", "n"].sum() == len(judged)


def test_all_cell_types_come_first():
    judged = pd.DataFrame(
        {
            "cell_type": ["a", "a", "a", "b", "b"],
            "mirna": ["m1", "m2", "m3", "m1", "m4"],
            "grade": ["A", "A", "A", "A", "B"],
            "agrees": [True, False, True, True, False],
        }
    )
    table = marker_agreement.summary(judged)
    assert table["cell_type"].tolist() == ["all", "a", "b", "all", "b"]
    assert table["agree"].tolist() == [3, 2, 1, 0, 0]


@pytest.fixture
def clustered():
    """Signs of 30 clusters of four miRNAs that agree together, each cluster judged in two cell types."""
    rng = np.random.default_rng(3)
    right = rng.random(30) < 0.8
    rows = [(kind, f"m{i}-{j}", bool(right[i])) for i in range(30) for j in range(4) for kind in ("a", "b")]
    judged = pd.DataFrame(rows, columns=["cell_type", "mirna", "agrees"]).assign(grade="A")
    judged["lower"], judged["upper"] = np.where(judged["agrees"], 1.0, -1.0), 2.0
    clusters = pd.Series({f"m{i}-{j}": f"c{i}" for i in range(30) for j in range(4)})
    return judged, clusters, right


def test_a_cluster_of_two_cell_types_is_one_unit(clustered):
    judged, clusters, right = clustered
    found = marker_agreement.shares(judged, clusters).set_index("interval").loc["all"]
    assert found["n_clusters"] == 30
    assert found["share"] == pytest.approx(right.mean())
    rng = np.random.default_rng(1)
    drawn = [rng.choice(right, 30).mean() for _ in range(4000)]
    assert found["lower"] == pytest.approx(np.quantile(drawn, 0.025), abs=0.035)
    assert found["upper"] == pytest.approx(np.quantile(drawn, 0.975), abs=0.035)
    alone = marker_agreement.shares(judged, pd.Series(dtype=str)).iloc[0]
    assert alone["n_clusters"] == 120  # a miRNA of no cluster, in both cell types
    assert alone["upper"] - alone["lower"] < 0.7 * (found["upper"] - found["lower"])


def test_signs_are_parted_by_their_interval(clustered):
    judged, clusters, right = clustered
    judged.loc[judged["cell_type"] == "b", ["lower", "upper"]] = np.nan
    judged.loc[0, "grade"] = "B"
    table = marker_agreement.shares(judged, clusters).set_index("interval")
    assert table["n"].tolist() == [239, *np.bincount(~right) * 4 - [right[0], not right[0]], 120]
    assert table.loc["leaves out 0", "share"] == 1
    assert table.loc["holds 0", "share"] == 0
    assert table.loc[["leaves out 0", "holds 0"], ["lower", "upper"]].isna().all(axis=None)  # all alike
    assert table.loc["none, too few donors", "lower"] < right.mean() < table["upper"].iloc[-1]
    nothing = marker_agreement.shares(judged, clusters, "D")
    assert nothing["n"].eq(0).all()
    assert nothing[["share", "lower", "upper"]].isna().all(axis=None)


def test_the_right_names_come_first(libraries):
    contrasts = marker_agreement.measured_contrasts(libraries)
    orders = marker_agreement.renamed(contrasts, markers_from(libraries, noise=1.0))
    assert len(orders) == 6
    assert orders.loc[0, "order"] == "a, b, c"
    assert marker_agreement.place(orders) == 1
    assert orders["share"].iloc[0] > 0.85 > orders["share"].iloc[1:].max()


def test_what_one_side_lacks_is_left_out(libraries):
    contrasts = marker_agreement.measured_contrasts(libraries)
    table = markers_from(libraries)
    table.loc[table["cell_type"] == "c", "effect"] = np.nan
    assert set(marker_agreement.signs(contrasts, table)["cell_type"]) == {"a", "b"}
    assert marker_agreement.renamed(contrasts, table)["order"].tolist() == ["a, b", "b, a"]
    other = table.assign(cell_type="x")
    judged = marker_agreement.signs(contrasts, other)
    orders = marker_agreement.renamed(contrasts, other)
    assert judged.empty
    assert orders.empty
    assert marker_agreement.place(orders) == 0
    assert marker_agreement.summary(judged).empty
    plt.close(tumour_plots.signs(judged))
    with pytest.raises(DataError, match="two cell types or more"):
        marker_agreement.measured_contrasts(libraries[libraries.obs["cell_type"] == "a"].copy())
