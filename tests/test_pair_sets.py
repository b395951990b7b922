"""Pairs to show and to learn from never share a donor, and are of one level."""

import numpy as np
import pandas as pd
import pytest

from sicmir import data, panel
from sicmir.chapters.pairs import pair_sets
from sicmir.errors import DataError, UnreachableError


@pytest.fixture(scope="module")
def toy():
    return pair_sets.load_pairs("toy")


def folder(path, mrna, mirna):
    """Write samples as a user would keep them."""
    path.mkdir()
    mrna.to_df().rename_axis("sample").to_csv(path / "mrna.csv")
    mirna.to_df().rename_axis("sample").to_csv(path / "mirna_mature.csv")
    labels = mirna.obs[["donor", "cohort", "condition"]].replace({"tumour": "tumor"})
    labels = labels.rename(columns={"donor": "patient", "condition": "tissue"})
    labels.rename_axis("sample").to_csv(path / "samples.csv")
    return path


def test_toy_shows_one_cohort_and_learns_from_the_others(toy):
    assert toy.synthetic
    assert set(toy.mirna.obs["cohort"]) == {pair_sets.TOY_SHOWN}
    assert pair_sets.TOY_SHOWN not in set(toy.further_mirna.obs["cohort"])
    assert not set(toy.mirna.obs["donor"]) & set(toy.further_mirna.obs["donor"])
    table = pair_sets.describe(toy)
    assert table["samples"].sum() == toy.mirna.n_obs + toy.further_mirna.n_obs
    assert toy.mrna.obs_names.equals(toy.mirna.obs_names)


def test_donors_that_are_shown_are_not_learnt_from(toy, tmp_path):
    rows = np.r_[0:12]
    shown = folder(tmp_path / "shown", toy.mrna[rows], toy.mirna[rows])
    both = [adata[np.r_[6:18]] for adata in (toy.mrna, toy.mirna)]
    further = folder(tmp_path / "further", *both)
    pairs = pair_sets.load_pairs(shown, further)
    assert not set(pairs.mirna.obs["donor"]) & set(pairs.further_mirna.obs["donor"])
    assert pairs.n_shared == int(both[1].obs["donor"].isin(pairs.mirna.obs["donor"]).sum()) > 0
    assert not pairs.synthetic
    with pytest.raises(DataError, match="of donors that are shown"):
        pair_sets.load_pairs(shown, shown)


def test_levels_are_never_mixed(toy, tmp_path):
    shown = folder(tmp_path / "shown", toy.mrna[:12], toy.mirna[:12])
    stems = toy.further_mirna[:12].copy()
    stems.var_names = panel.mirnas().query("level == 'stem-loop'")["name"].iloc[: stems.n_vars].to_numpy()
    further = folder(tmp_path / "further", toy.further_mrna[:12], stems)
    (further / "mirna_mature.csv").rename(further / "mirna.csv")
    with pytest.raises(DataError, match="same level by further"):
        pair_sets.load_pairs(shown, further)


def test_without_any_data_auto_is_toy_with_a_warning(monkeypatch):
    def unreachable(*arguments):
        raise UnreachableError("nothing can be reached")

    monkeypatch.setattr(data, "load_paired", unreachable)
    with pytest.warns(UserWarning, match="SYNTHETIC DATA: no real data set could be reached"):
        assert pair_sets.load_pairs("auto").synthetic


def test_planted_targets_are_right_for_every_second_mirna(toy):
    targets, report = pair_sets.load_targets(toy, "whatever")
    planted = set(map(tuple, toy.mirna.uns["truth"]["targets"][["mirna", "gene"]].to_numpy()))
    true = pd.Series([pair in planted for pair in zip(targets["mirna"], targets["gene"], strict=True)])
    assert (true.to_numpy() == targets["hub"].to_numpy()).all()
    assert targets.groupby("hub")["mirna"].nunique().tolist() == [40, 40]
    assert not targets.duplicated(["mirna", "gene"]).any()
    assert report["n_rows"].tolist() == [len(targets)]
    sets = pair_sets.load_gene_sets(toy)
    assert set(sets) == {f"targets of {name}" for name in toy.mirna.var_names}
