import numpy as np
import pandas as pd
import pytest
from scipy.stats import pearsonr

from sicmir import panel
from sicmir.benchmark import published_demo
from sicmir.errors import DataError


@pytest.fixture
def demo():
    """40 samples of two cohorts; good, poor and disagreeing predictions of the same miRNAs."""
    rng = np.random.default_rng(0)
    arms = panel.single_locus().query("r_stemloop > 0.9").drop_duplicates("stem_loop").head(12)
    obs = pd.DataFrame(
        {"donor": [f"d{i}" for i in range(40)], "cohort": np.repeat(["A", "B"], 20)},
        index=[f"s{i}" for i in range(40)],
    )
    truth = pd.DataFrame(rng.normal(8, 1, (40, 12)), index=obs.index, columns=arms["stem_loop"].to_list())
    truth["hsa-mir-rare"] = 0.5
    noise = rng.normal(size=(40, 13))
    published = (truth + 2 * noise).iloc[:, :12].set_axis(arms["mature"].to_list(), axis=1)
    return truth, published, {"good": truth + 0.5 * noise}, obs


def test_one_arm_speaks_for_a_stem_loop():
    table = panel.single_locus().query("r_stemloop > 0.9")
    twice = table[table["stem_loop"].duplicated(keep=False)].sort_values(["stem_loop", "arm_share"])
    pair = twice[twice["stem_loop"] == twice["stem_loop"].iloc[0]]
    values = pd.DataFrame([[1.0, 2.0]], columns=pair["mature"].to_list())
    found = published_demo.on_stem_loops(values.assign(unknown=3.0))
    assert found.columns.tolist() == [pair["stem_loop"].iloc[0]]
    assert found.iloc[0, 0] == 2.0


def test_figures_are_those_of_scipy_cohort_by_cohort(demo):
    truth, published, others, obs = demo
    per_mirna, league = published_demo.compare(truth, published, others, obs)
    rows = (obs["cohort"] == "B").to_numpy()
    for method, table in {
        "good": others["good"],
        "published": published_demo.on_stem_loops(published),
    }.items():
        expected = [pearsonr(truth.loc[rows, n], table.loc[rows, n])[0] for n in table.columns if n in truth][
            :12
        ]
        found = per_mirna.loc[method, "B"]["pearson"]
        assert sorted(found) == pytest.approx(sorted(expected))
        row = league.query("cohort == 'B' and method == @method and against == ''").iloc[0]
        assert row["median"] == pytest.approx(np.median(expected))
        assert row["n_mirnas"] == 12
    gain = league.query("against == 'published'")
    assert (gain["lower"] > 0).all()
    assert gain["cohort"].tolist() == ["A", "B"]


def test_nothing_in_common_is_refused(demo):
    truth, published, others, obs = demo
    with pytest.raises(DataError, match="None of 13 stem-loops"):
        published_demo.compare(truth - 8, published, others, obs)
