"""Models that never saw a donor: nothing of it enters, and stored predictions are of data and model."""

import json

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import sicmir
from sicmir import panel, paths
from sicmir.benchmark import held_out, shipping
from sicmir.chapters.pairs import pair_sets
from sicmir.errors import DataError


@pytest.fixture(scope="module")
def pairs():
    return pair_sets.load_pairs("toy")


@pytest.fixture(scope="module")
def bundle(pairs):
    return held_out.learn(pairs.further_mrna, pairs.further_mirna)


def test_learning_grades_by_donors_and_cohorts_left_out(pairs, bundle):
    assert bundle.card["training_data"]["n_samples"] == pairs.further_mirna.n_obs
    assert bundle.card["training_data"]["synthetic"]
    assert set(bundle.mirnas) <= set(pairs.further_mirna.var_names)
    kind = pairs.mirna.uns["truth"]["mirnas"]["kind"].reindex(bundle.mirnas)
    good = bundle.trust["grade"].astype(str).isin(["A", "B"])
    # What follows genes is graded well, and nothing else is.
    assert good[kind.isin(["host", "programme"]).to_numpy()].mean() > 0.7
    assert not good[kind.isin(["cohort", "none"]).to_numpy()].any()


def test_leaving_out_is_as_if_the_donors_had_never_been_there(pairs, bundle):
    mrna, mirna = panel.align(pairs.further_mrna), pairs.further_mirna
    left_out = np.zeros(mirna.n_obs, dtype=bool)
    left_out[[0, 5]] = True
    found = held_out.without(bundle, mrna, mirna, left_out)
    donors = mirna.obs["donor"][left_out]
    keep = ~mirna.obs["donor"].isin(donors).to_numpy()
    assert (~keep).sum() > 2  # their other samples are left out as well
    expected = shipping.fit_predictor(
        mrna.X[keep], mirna[keep, bundle.mirnas].to_df().to_numpy(), mirna.obs[keep]
    )
    shown = mrna.X[left_out]
    assert found.predict_array(shown) == pytest.approx(expected.predict(shown), abs=1e-4)
    assert found.trust is bundle.trust
    assert np.abs(found.predict_array(shown) - bundle.predict_array(shown)).max() > 0.05


def test_shuffled_samples_teach_nothing(pairs, bundle):
    found = held_out.shuffled(pairs.mrna, bundle, pairs.further_mrna, pairs.further_mirna)
    truth = pairs.mirna[:, bundle.mirnas].to_df()
    r = found.to_df().corrwith(truth)
    assert abs(r.median()) < 0.2
    assert (found.X >= 0).all()
    assert found.var_names.tolist() == bundle.mirnas


def test_what_is_stored_comes_back(pairs, bundle, tmp_path):
    shown = pairs.mrna[:6].copy()
    predicted = sicmir.predict(shown, bundle, abstain=False, progress=False)
    held_out.write(predicted, tmp_path / "toy-rank-without-these-donors.csv.gz")
    record = {"model": bundle.weights_sha256, "n_samples": {"without-these-donors": 17}}
    (tmp_path / "toy.json").write_text(json.dumps(record))
    assert held_out.stored(shown, bundle, "frozen", tmp_path) == {}
    found = held_out.stored(shown[::-1], bundle, "rank", tmp_path)
    assert list(found) == ["without these donors"]
    assert found["without these donors"].uns["sicmir"]["learnt_from"] == 17
    back = found["without these donors"][shown.obs_names]
    assert pytest.approx(predicted.X, abs=1e-3) == back.X
    for side in ("lower", "upper"):
        assert back.layers[side] == pytest.approx(predicted.layers[side], abs=5e-3, nan_ok=True)
    assert back.var["grade"].tolist() == predicted.var["grade"].astype(str).tolist()
    assert back.uns["sicmir"]["interval_level"] == bundle.card["interval_level"]
    with pytest.raises(DataError, match="Make it anew"):
        held_out.stored(pairs.mrna[:5], bundle, "rank", tmp_path)


def test_predictions_of_another_model_or_data_set_are_not_taken(pairs, bundle, tmp_path):
    assert held_out.stored(pairs.mrna, bundle, "rank", tmp_path) == {}
    (tmp_path / "toy.json").write_text(json.dumps({"model": "another"}))
    (tmp_path / "toy-rank-without-these-donors.csv.gz").write_bytes(b"never read")
    assert held_out.stored(pairs.mrna, bundle, "rank", tmp_path) == {}


def test_the_stored_predictions_belong_to_the_shipped_model():
    bundle = sicmir.load_model()
    folder = paths.project() / "benchmarks" / held_out.FOLDER
    record = json.loads((folder / "hcc.json").read_text())
    assert record["model"] == bundle.weights_sha256
    assert record["files"] == bundle.card["training_data"]["files"]
    names = pd.read_csv(folder / "hcc-rank-without-these-donors.csv.gz", index_col="sample")
    mrna = ad.AnnData(np.zeros((len(names), 1)), obs=pd.DataFrame(index=names.index))
    mrna.uns["sicmir"] = {"dataset": "hcc"}
    found = held_out.stored(mrna, bundle)
    assert list(found) == ["without these donors", "without this cancer", "without this organ"]
    assert list(held_out.stored(mrna, bundle, "frozen")) == list(found)
    assert all(np.isfinite(one.X).all() and (one.X >= 0).all() for one in found.values())
    total, n_left = bundle.card["training_data"], record["n_samples"]
    assert n_left["without-this-cancer"] <= total["n_samples"] - total["cohorts"]["LIHC"]
    assert n_left["without-this-organ"] <= n_left["without-this-cancer"] - total["cohorts"]["CHOL"]


def test_an_organ_has_all_its_cancers():
    assert held_out.same_organ(["LIHC"]) == {"LIHC", "CHOL"}
    assert held_out.same_organ(["KIRC", "READ", "mine"]) == {"KIRC", "KIRP", "KICH", "COAD", "READ", "mine"}
    assert sum(map(len, held_out.ORGANS)) == len(set().union(*held_out.ORGANS))
