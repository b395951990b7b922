"""Labels without barcodes: laid on when the order is that of the barcodes, and told when it is not."""

import numpy as np
import pandas as pd
import pytest

from sicmir import author_labels
from sicmir.errors import ParameterError


@pytest.fixture
def sample():
    """200 barcodes, of which those with 500 genes or more were labelled, in file order."""
    rng = np.random.default_rng(0)
    measured = pd.DataFrame(
        {"genes": rng.integers(100, 2000, 200), "mitochondrial": 0.01}, [f"c{i}" for i in range(200)]
    )
    kinds = pd.Series(rng.choice(["tumour", "T", "myeloid"], 200), measured.index)
    labels = kinds[measured["genes"] >= 500]
    return measured, kinds.map({"tumour": "0", "T": "1", "myeloid": "2"}), labels


def test_the_right_rule_is_found(sample):
    measured, clusters, labels = sample
    found = author_labels.alignments(measured, clusters, labels)
    assert found.loc[0, "agreement"] == pytest.approx(1)
    assert found.loc[0, "moved"] < 0.2
    assert found.loc[0, "n_cells"] == len(labels)
    kept = measured["genes"] >= found.loc[0, "min_genes"]
    assert kept.sum() == len(labels)


def test_another_order_does_not_agree(sample):
    measured, clusters, labels = sample
    mixed = labels.sample(frac=1, random_state=0)
    found = author_labels.alignments(measured, clusters, mixed)
    assert found["agreement"].max() < 0.2


def test_without_a_rule_that_fits_there_is_no_row(sample):
    measured, clusters, labels = sample
    assert author_labels.alignments(measured.assign(genes=50), clusters, labels).empty
    table = author_labels.best_alignments(
        measured,
        pd.Series("K1", measured.index),
        clusters,
        pd.DataFrame({"sample": ["P1"] * len(labels) + ["P2"] * 30, "cell_type": [*labels, *["x"] * 30]}),
        {"K1": "P1", "K2": "P2"},
    )
    assert table["n_labels"].tolist() == [len(labels), 30]
    assert table["n_rules"].tolist()[0] >= 1
    assert table["n_rules"].tolist()[1] == 0
    assert np.isnan(table.loc[1, "agreement"])
    with pytest.raises(ParameterError, match="20 labels or more"):
        author_labels.alignments(measured, clusters, ["a"] * 5)
