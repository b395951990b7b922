"""Distances between pools of several studies, recomputed, and with a planted effect of the study."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from sicmir.chapters import study_effect


def pools(study_sd, type_sd=1.0, seed=0):
    """Three cell types in two studies; both change every miRNA by lot."""
    rng = np.random.default_rng(seed)
    kinds, studies = ["a", "b", "c"], ["one", "two"]
    of_type = dict(zip(kinds, rng.normal(0, type_sd, (3, 80)), strict=True))
    of_study = dict(zip(studies, rng.normal(0, study_sd, (2, 80)), strict=True))
    obs = pd.DataFrame([(kind, study) for study in studies for kind in kinds])
    obs.columns = ["cell_type", "study"]
    values = [5 + of_type[row.cell_type] + of_study[row.study] for row in obs.itertuples()]
    made = ad.AnnData(np.stack(values), obs=obs.set_index(obs["cell_type"] + obs["study"]))
    made.var["grade"] = np.repeat(["A", "D"], 40)
    return made


def test_distances_are_those_by_hand():
    made = pools(0.5)
    table = study_effect.distances(made, "B")
    values = made.to_df().iloc[:, :40]
    expected = np.sqrt(np.square(values.loc["aone"] - values.loc["atwo"]).mean())
    row = table[(table["pool_a"] == "a, one") & (table["pool_b"] == "a, two")].iloc[0]
    assert row["distance"] == pytest.approx(expected, rel=1e-5)
    assert row["n_mirnas"] == 40
    assert table["kind"].value_counts().to_dict() == {
        study_effect.SAME_TYPE: 3,
        study_effect.SAME_STUDY: 6,
        study_effect.NEITHER: 6,
    }


def test_halves_of_one_pool_are_held_against_each_other_alone():
    made = pools(0.5)
    rng = np.random.default_rng(1)
    halves = ad.concat([made, made], index_unique="-", merge="same")
    halves.X = halves.X + rng.normal(0, 0.3, halves.shape)
    halves.obs["half"] = np.repeat([0, 1], 6)
    table = study_effect.distances(made, "B", halves[halves.obs_names != "cone-1"].copy())
    own = table[table["kind"] == study_effect.HALVES].set_index("pool_a")["distance"]
    assert sorted(own.index) == ["a, one", "a, two", "b, one", "b, two", "c, two"]  # one lacks its other half
    difference = (halves["bone-0"].X - halves["bone-1"].X)[:, :40]
    assert own["b, one"] == pytest.approx(np.sqrt(np.square(difference).mean()), rel=1e-5)
    pd.testing.assert_frame_equal(
        table[table["kind"] != study_effect.HALVES].reset_index(drop=True),
        study_effect.distances(made, "B"),
    )


def test_an_effect_of_the_study_is_seen_and_none_is_not():
    medians = {
        sd: study_effect.summary(study_effect.distances(pools(sd))).set_index("kind")["median"]
        for sd in (0.0, 3.0)
    }
    assert medians[0.0][study_effect.SAME_TYPE] == pytest.approx(0, abs=1e-6)
    assert medians[3.0][study_effect.SAME_TYPE] > medians[3.0][study_effect.SAME_STUDY]


def test_one_study_has_one_kind():
    made = pools(1.0)
    table = study_effect.summary(study_effect.distances(made[(made.obs["study"] == "one").to_numpy()]))
    assert table["kind"].tolist() == [study_effect.SAME_STUDY]


def test_scores_of_another_study_beside_the_first():
    rng = np.random.default_rng(0)
    names = [f"m{i}" for i in range(30)]
    table = pd.DataFrame({"sender": "a", "receiver": "b", "mirna": names, "score": rng.normal(size=30)})
    table["counted"] = True
    other = table.sample(frac=1, random_state=1).assign(score=lambda x: -x["score"])
    same = study_effect.same_rows(table, table, top=5).iloc[0]
    assert (same["spearman"], same["top_kept"], same["n_mirnas"]) == (pytest.approx(1), 1.0, 30)
    turned = study_effect.same_rows(table, other, top=5).iloc[0]
    both = table.merge(other, on="mirna")
    assert turned["spearman"] == pytest.approx(spearmanr(both["score_x"], both["score_y"]).statistic)
    assert turned["top_kept"] == 0
    assert study_effect.same_rows(table, other.assign(counted=False)).empty
