import numpy as np
import pytest

from sicmir import stats
from sicmir.chapters.pairs import predicted_differences as made
from sicmir.errors import DataError
from sicmir.synthetic import toy_cells

OPTIONS = {"condition_key": "condition", "case": "tumour", "reference": "normal"}


@pytest.fixture(scope="module")
def measured():
    return toy_cells.donor_cells(n_donors=10, n_cell_types=1, effect=2.0, n_changed=6, seed=2)


def test_perfect_predictions_agree_and_opposite_ones_do_not(measured):
    values = measured.to_df()
    sides = {
        "perfect": made.as_predicted(measured, values.iloc[::-1, ::-1]),
        "opposite": made.as_predicted(measured, values.max(axis=None) - values),
    }
    truth = stats.differential(measured, **OPTIONS)
    found = made.agreements(truth, made.differences(sides, **OPTIONS), k=6)
    assert found.loc["perfect", ["effect_spearman", "confirmed", "found", "top_k_recall"]].tolist() == [1] * 4
    assert found.loc["opposite", ["effect_spearman", "confirmed", "found"]].tolist() == [-1, 0, 0]
    assert found["n_measured"].tolist() == [6, 6]


def test_a_predictor_that_abstained_is_left_out(measured):
    nothing = made.as_predicted(measured, measured.to_df() * np.nan)
    assert made.differences({"silent": nothing}, **OPTIONS) == {}


def test_what_was_not_predicted_is_no_zero(measured):
    with pytest.raises(DataError, match="1 samples or miRNAs were not predicted"):
        made.as_predicted(measured, measured.to_df().iloc[1:])
