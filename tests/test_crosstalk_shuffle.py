"""Labels exchanged within donors: profiles stay, names move, and what was planted is gone."""

import numpy as np
import pandas as pd
import pytest

from sicmir.synthetic.toy_crosstalk import crosstalk_cells
from sicmir.vesicles import crosstalk_shuffle
from sicmir.vesicles.crosstalk import crosstalk

KEYS = ["donor", "cell_type"]


@pytest.fixture(scope="module")
def planted():
    return crosstalk_cells(n_donors=4, n_types=3, seed=2)


def test_whole_profiles_change_names_in_cells_and_mirna_alike(planted):
    cells, mirna, _ = planted
    new_cells, new_mirna = crosstalk_shuffle.shuffle(cells, mirna, np.random.default_rng(0))
    assert (new_cells.X != cells.X).nnz == 0
    np.testing.assert_array_equal(new_mirna.X, mirna.X)
    moved = []
    for old, new in ((cells, new_cells), (mirna, new_mirna)):
        assert (old.obs["donor"] == new.obs["donor"]).all()
        table = old.obs[KEYS].assign(new=new.obs["cell_type"]).drop_duplicates()
        assert len(table) == 4 * 3
        assert table.groupby("donor")["new"].nunique().eq(3).all()
        moved.append(table.set_index(KEYS)["new"].sort_index())
    pd.testing.assert_series_equal(*moved)
    assert (moved[0] != moved[0].index.get_level_values("cell_type")).any()
    assert cells.obs["cell_type"].tolist() != new_cells.obs["cell_type"].tolist()  # the input stays


def test_what_is_counted_is_that_of_crosstalk(planted):
    options = {"n_permutations": 199}
    found = crosstalk_shuffle.shuffled_labels(*planted, n_shuffles=1, fdr=0.2, **options)
    assert found["labels"].tolist() == [crosstalk_shuffle.TRUE, "exchanged, 1"]
    table = crosstalk(*planted, seed=0, progress=False, **options).table
    tested = table[table["p"].notna()]
    row = found.iloc[0]
    assert row["n_tested"] == len(tested)
    assert row["p_below"] == pytest.approx((tested["p"] <= 0.05).mean())
    assert row["p_score_below"] == pytest.approx((tested["p_score"] <= 0.05).mean())
    assert row["n_called"] == (tested["q"] <= 0.2).sum()


def test_one_donor_has_the_same_scores_under_other_names():
    cells, mirna, targets = crosstalk_cells(n_donors=1, n_types=4, seed=3)
    found = crosstalk_shuffle.shuffled_labels(cells, mirna, targets, 1, n_permutations=9)
    assert (found["n_tested"] == 0).all()
    assert found["p_below"].isna().all()
    again = crosstalk_shuffle.shuffle(cells, mirna, np.random.default_rng(1))
    scores = [
        np.sort(crosstalk(*tables, targets, n_permutations=9, progress=False).table["score"])
        for tables in ((cells, mirna), again)
    ]
    np.testing.assert_allclose(*scores)
