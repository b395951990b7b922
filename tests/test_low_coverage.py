"""Few genes: what is abstained, and what is left of measured data that are cut down."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr
from small_cells import bundle
from small_model import pair, samples

from sicmir import panel
from sicmir.benchmark import held_out
from sicmir.chapters.pituitary import low_coverage, pituitary_headline, pituitary_plots
from sicmir.chapters.pituitary.low_coverage import CHOSEN, FLOORED, GAPS, RANDOM, WHOLE
from sicmir.errors import ParameterError

LANDMARKS = panel.landmarks()["symbol"].tolist()


def few(n=179):
    chosen = np.zeros(977, dtype=bool)
    chosen[np.random.default_rng(1).permutation(977)[:n]] = True
    return chosen


@pytest.fixture(scope="module")
def signature():
    """Three samples as a signature matrix shows them: a fifth of the genes, and 1 for what is low."""
    aligned = panel.align(samples()[:3])
    values = np.maximum(aligned.X[:, few()], 1)
    values[:, ::2] = 1
    return ad.AnnData(values, pd.DataFrame(index=list("abc")), pd.DataFrame(index=aligned.var_names[few()]))


def test_a_table_of_few_genes_is_abstained_row_by_row(signature):
    assert "179 of 977 landmark genes" in low_coverage.refusal(signature, bundle())
    found = low_coverage.abstaining(signature, bundle())
    assert np.isnan(found.X).all()
    assert all(np.isnan(values).all() for values in found.layers.values())
    assert found.obs["abstained"].all()
    assert not found.obs["in_domain"].any()
    table = low_coverage.report(signature, found)
    assert (table["landmarks"] == 179).all()
    assert (table["state"] == "abstained: too few genes").all()
    above = (signature.X > 1).mean(axis=1)
    np.testing.assert_allclose(table["above_floor"], above)
    np.testing.assert_allclose(table["coverage"], 179 / 977)
    assert low_coverage.share_above_floor(table) == pytest.approx(np.median(above))


def test_a_table_with_all_genes_is_predicted():
    mrna = samples()[:4]
    assert low_coverage.refusal(mrna, bundle()) == ""
    found = low_coverage.abstaining(mrna, bundle())
    table = low_coverage.report(mrna, found)
    assert (table["state"].str.startswith("abstained") == found.obs["abstained"]).all()
    assert not table["state"].eq("abstained: too few genes").any()
    assert (table["coverage"] == 1).all()
    assert low_coverage.share_above_floor(table, 0.3) == 0.3


def test_the_genes_that_are_left(signature):
    assert (low_coverage.few_genes(signature) == few()).all()
    chosen = low_coverage.few_genes(samples()[:3], 0.2, seed=3)
    assert chosen.sum() == round(0.2 * 977)
    assert (chosen != low_coverage.few_genes(samples()[:3], 0.2, seed=4)).any()
    with pytest.raises(ParameterError, match="share=1"):
        low_coverage.few_genes(signature, 1)


def log2_samples(n=8):
    aligned = panel.align(samples()[:n])
    aligned.X = np.log2(aligned.X + 1)
    aligned.uns["sicmir"] = {"units": "log2(x+1)"}
    return aligned


def test_variants_keep_what_they_say():
    mrna = log2_samples()
    found = {(name, draw): table.X for name, draw, table in low_coverage.variants(mrna, few(), 0.25, 2)}
    assert list(found) == [(WHOLE, 0), (CHOSEN, 0), (RANDOM, 0), (RANDOM, 1), (FLOORED, 0), (GAPS, 0)]
    np.testing.assert_array_equal(found[WHOLE, 0], mrna.X)
    np.testing.assert_array_equal(np.isfinite(found[CHOSEN, 0]), np.tile(few(), (mrna.n_obs, 1)))
    draws = [np.isfinite(found[RANDOM, draw]).all(axis=0) for draw in (0, 1)]
    assert [draw.sum() for draw in draws] == [179, 179]
    assert (draws[0] != draws[1]).any()
    floored, gaps = found[FLOORED, 0][:, few()], found[GAPS, 0][:, few()]
    for row, left, whole in zip(floored, gaps, mrna.X[:, few()], strict=True):
        high = whole >= np.sort(whole)[-round(0.25 * 179)]
        np.testing.assert_array_equal(row[high], whole[high])
        assert (row[~high] == low_coverage.FLOOR).all()
        np.testing.assert_array_equal(np.isfinite(left), high)
    assert not np.isfinite(found[FLOORED, 0][:, ~few()]).any()


@pytest.fixture(scope="module")
def cut():
    """Six samples as if they were cell types of two sources."""
    mrna, (_, mirna) = log2_samples(6), pair()
    table = ad.AnnData(
        mirna[mrna.obs_names].X,
        pd.DataFrame({"source": list("aaabbb")}, index=mrna.obs_names),
        mirna.var[[]].copy(),
    )
    found = low_coverage.by_cell_types(
        mrna, table, bundle(), few(), 0.25, min_grade="D", n_draws=2, n_resamples=20
    )
    return mrna, table, found


def test_agreement_between_cell_types_is_the_median_over_pairs(cut):
    mrna, mirna, found = cut
    guess = held_out.outspoken(mrna, bundle()).to_df()[mirna.var_names].to_numpy()
    truth = mirna.X
    expected = [
        spearmanr(truth[a] - truth[b], guess[a] - guess[b]).statistic
        for a, b in [(0, 1), (0, 2), (1, 2), (3, 4), (3, 5), (4, 5)]
    ]
    row = found.set_index("genes").loc[WHOLE]
    assert row["n_pairs"] == 6
    assert row["spearman"] == pytest.approx(np.median(expected), abs=1e-5)
    assert row["lower"] <= row["spearman"] <= row["upper"]
    assert found["genes"].tolist() == [WHOLE, CHOSEN, RANDOM, RANDOM, FLOORED, GAPS]
    assert found.loc[found["genes"] == GAPS, "abstained"].item() == 1


def test_draws_are_summed_up_with_their_range(cut):
    found = cut[2]
    table = low_coverage.summary(found).set_index("genes")
    random = found[found["genes"] == RANDOM]["spearman"]
    assert table.loc[RANDOM, ["lower", "spearman", "upper"]].tolist() == pytest.approx(
        [random.min(), random.median(), random.max()]
    )
    assert table.loc[RANDOM, "n_draws"] == 2
    assert table.loc[WHOLE, "lower"] == found.loc[0, "lower"]
    assert table["n_genes"].dtype.kind == "i"
    figure = pituitary_plots.degradation({"one": table.reset_index(), "other": table.reset_index()})
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == table.index[::-1].tolist()
    assert [text.get_text() for text in figure.axes[1].texts] == table["n_genes"].astype(str)[::-1].tolist()
    printed = pituitary_headline.cut_down(table.reset_index(), table.reset_index())
    whole = table.loc[WHOLE]
    assert printed.loc[0, "ages: genes"] == 977
    assert printed.loc[0, "cell types: Spearman r"] == "{:.2f} ({:.2f} to {:.2f})".format(
        *whole[["spearman", "lower", "upper"]]
    ).replace("-", "−")
