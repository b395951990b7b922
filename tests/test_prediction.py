"""Predictions of a small model: against its own parts, across units, and for what must not be predicted."""

import subprocess
import sys
from dataclasses import replace

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import small_model as small
from scipy import sparse

import sicmir
from sicmir import panel, prediction
from sicmir.engine.prediction_input import choose_transform
from sicmir.errors import BundleError, DataError, PanelError, ParameterError
from sicmir.learning.kernel import MaskedKernelRidge
from sicmir.matrices.normalise import InputTransform
from sicmir.matrices.units import look
from sicmir.model import load_model
from sicmir.prediction import predict, predict_block
from sicmir.pseudobulk import pseudobulk

FIELDS = ("predicted", "lower", "upper", "coverage", "domain_score", "in_domain", "abstained")


@pytest.fixture(scope="module")
def bundle():
    return small.bundle()


@pytest.fixture
def rows():
    return small.landmarks(small.halves()[1])


def close(found, expected, atol=1e-5):
    np.testing.assert_allclose(found, expected, rtol=0, atol=atol)


def same_blocks(one, other, atol=1e-5):
    for name in FIELDS:
        close(getattr(one, name).astype(float), getattr(other, name).astype(float), atol)


# The block


@pytest.mark.parametrize("transform", ["frozen", "rank"])
def test_a_block_is_what_the_parts_of_the_bundle_say(bundle, rows, transform):
    rows[:, 5] = np.nan
    done = predict_block(bundle, rows, transform)
    inputs = bundle.rescale.to_training(rows, transform)
    raw, spread = bundle.predictor.predict_with_spread(inputs)
    reach = bundle.trust["half_width"].to_numpy() * spread[:, None]
    close(done.predicted, np.where(raw < 0, 0, raw))
    close(done.lower, np.where(raw - reach < 0, 0, raw - reach))
    close(done.upper, np.where(raw + reach < 0, 0, raw + reach))
    close(done.coverage, np.full(len(rows), 976 / 977))
    close(done.domain_score, bundle.domain.score(inputs))
    assert done.in_domain.all()
    assert not done.abstained.any()
    assert done.predicted.dtype == done.lower.dtype == done.upper.dtype == np.float32
    assert (raw - reach < 0).any(), "no bound is cut, so that cutting is not tested"


def test_predictions_below_0_become_0(bundle, rows):
    lowered = MaskedKernelRidge.from_state(bundle.predictor.facts(), bundle.predictor.state())
    lowered.centre_ = lowered.centre_ - 6
    raw, spread = lowered.predict_with_spread(rows)
    done = predict_block(replace(bundle, predictor=lowered), rows, "frozen")
    assert (raw < -1).any()
    assert (raw > 1).any()
    close(done.predicted, np.clip(raw, 0, None))
    # Bounds are those of the uncut prediction.
    close(done.upper, np.clip(raw + bundle.trust["half_width"].to_numpy() * spread[:, None], 0, None))


@pytest.mark.parametrize("transform", ["frozen", "rank"])
def test_a_row_depends_on_itself_alone(bundle, rows, transform):
    rng, rows = np.random.default_rng(0), rows[:5]
    rows[3, rng.choice(977, 200)] = np.nan
    whole = predict_block(bundle, rows, transform)
    order = rng.permutation(len(rows))
    shuffled = predict_block(bundle, rows[order], transform)
    strangers = rng.normal(8, 3, (5, 977)).astype(np.float32)
    beside = predict_block(bundle, np.vstack([strangers, rows]), transform)
    alone = [predict_block(bundle, rows[i : i + 1], transform) for i in range(len(rows))]
    for name in FIELDS:
        expected = getattr(whole, name).astype(float)
        close(getattr(shuffled, name).astype(float), expected[order])
        close(getattr(beside, name)[5:].astype(float), expected)
        close(np.concatenate([getattr(block, name) for block in alone]).astype(float), expected)


def test_a_row_of_a_cohort_depends_on_the_others(bundle, rows):
    whole = predict_block(bundle, rows, "cohort")
    part = predict_block(bundle, rows[:10], "cohort")
    assert np.abs(whole.predicted[:10] - part.predicted).max() > 0.1
    with pytest.raises(DataError, match="needs at least 3 samples"):
        predict_block(bundle, rows[:2], "cohort")


def test_any_increasing_change_leaves_ranks_alone(bundle, rows):
    same_blocks(predict_block(bundle, np.exp(rows) * 3 + 7, "rank"), predict_block(bundle, rows, "rank"))


def test_rows_without_enough_genes_are_abstained_whatever_is_asked(bundle, rows):
    rows[0, :489] = np.nan  # 488 of 977 are less than half
    rows[1, :488] = np.nan
    rows[2] = np.nan
    for abstain in (True, False):
        done = predict_block(bundle, rows, "frozen", abstain=abstain)
        assert done.abstained[:4].tolist() == [True, False, True, False]
        assert np.isnan(done.predicted[[0, 2]]).all() and np.isnan(done.lower[[0, 2]]).all()
        assert np.isnan(done.upper[[0, 2]]).all()
        assert np.isfinite(done.predicted[1]).all()
        close(done.coverage[:3], [488 / 977, 489 / 977, 0])
        assert np.isnan(done.domain_score[[0, 2]]).all()
        assert not done.in_domain[[0, 2]].any()
    assert not predict_block(bundle, rows, "frozen", min_coverage=0.3).abstained[0]
    assert predict_block(bundle, rows, "frozen", min_coverage=0).abstained[2]
    nothing = predict_block(bundle, rows[2:3], "rank")
    assert nothing.abstained.all()
    assert nothing.predicted.shape == (1, small.N_MIRNAS)


def test_rows_far_from_the_training_data_are_abstained_or_flagged(bundle, rows):
    rows[:10] = rows[:10, np.random.default_rng(0).permutation(977)]
    for transform in ("frozen", "rank"):
        done = predict_block(bundle, rows, transform)
        assert done.abstained.tolist() == [True] * 10 + [False] * (len(rows) - 10)
        assert np.isnan(done.predicted[:10]).all()
        assert (done.domain_score[:10] < done.domain_score[10:].min()).all()
        kept = predict_block(bundle, rows, transform, abstain=False)
        assert not kept.abstained.any()
        assert not kept.in_domain[:10].any()
        assert np.isfinite(kept.predicted).all()
        close(kept.predicted[10:], done.predicted[10:])


def test_levels_of_the_domain(bundle, rows, monkeypatch):
    levels = np.array(["inside", "outside", "far", "unknown"])
    monkeypatch.setattr(type(bundle.domain), "graded", lambda self, scores, n_genes: levels)
    done = predict_block(bundle, rows[:4], "frozen")
    assert done.in_domain.tolist() == [True, False, False, False]
    assert done.abstained.tolist() == [False, False, True, True]


def test_a_block_of_wrong_values_or_options_is_refused(bundle, rows):
    for wrong, shape in ((rows[:, :976], r"\(34, 976\)"), (rows[0], r"\(977,\)")):
        with pytest.raises(BundleError, match=f"977 genes, found shape {shape}"):
            predict_block(bundle, wrong, "frozen")
    with pytest.raises(ParameterError, match="no input transform 'zscore'"):
        predict_block(bundle, rows, "zscore")
    with pytest.raises(ParameterError, match="min_coverage"):
        predict_block(bundle, rows, "frozen", min_coverage=1.5)
    with pytest.raises(DataError, match=r"expected log2\(x\+1\)"):
        predict_block(bundle, rows * 100, "frozen")
    rows[0, 0] = np.inf
    with pytest.raises(DataError, match="infinite"):
        predict_block(bundle, rows, "rank")


# The one call: what is predicted


def test_what_was_planted_is_recovered_on_donors_that_were_not_trained_on(bundle):
    """Measured: median r 0.79 of miRNAs that follow a gene, 0.81 programmes, 0.09 noise."""
    predicted = predict(small.counts(), bundle, progress=False)
    mirna = small.pair()[1]
    observed = mirna.X[small.halves()[1]]
    r = [np.corrcoef(predicted.X[:, i], observed[:, i])[0, 1] for i in range(small.N_MIRNAS)]
    kind = mirna.uns["truth"]["mirnas"]["kind"]
    median = pd.Series(r, index=kind.to_numpy()).groupby(level=0).median()
    assert median["host"] > 0.6
    assert median["programme"] > 0.6
    assert abs(median["none"]) < 0.4
    inside = (observed >= predicted.layers["lower"]) & (observed <= predicted.layers["upper"])
    assert inside.mean() == pytest.approx(0.8, abs=0.1)  # the level of the half widths


@pytest.mark.parametrize(
    ("form", "per", "logarithm", "units"),
    [
        (np.asarray, 1e6, None, "CPM or TPM"),
        (sparse.csr_matrix, 1e4, None, "CP10K"),
        (sparse.csc_matrix, 1e4, np.log1p, "log1p(CP10K)"),
        (sparse.csr_array, 1e6, lambda x: np.log2(x + 1), "log2(CPM or TPM + 1)"),
        (np.asarray, 2e7, None, "linear, every total 2e+07"),
    ],
)
def test_units_and_forms_make_no_difference(bundle, rows, form, per, logarithm, units):
    adata = small.samples(form, per, logarithm)
    before = adata.copy()
    predicted = predict(adata, bundle, progress=False)
    expected = predict_block(bundle, rows, "frozen")
    close(predicted.X, expected.predicted, 1e-3)
    close(predicted.layers["lower"], expected.lower, 1e-3)
    record = predicted.uns["sicmir"]
    assert (record["units_record"]["units"], record["transform"]) == (units, "frozen")
    assert adata.var.equals(before.var) and adata.obs.equals(before.obs) and not adata.uns
    assert (adata.X != before.X).sum() == 0


def test_counts_are_brought_to_the_training_library_size(bundle):
    adata = small.counts()
    dense = adata.X.toarray().astype(float)
    log2 = np.log2(dense[:, :977] / dense.sum(axis=1, keepdims=True) * 2e7 + 1).astype(np.float32)
    predicted = predict(adata, bundle, progress=False)
    close(predicted.X, predict_block(bundle, log2, "frozen").predicted, 1e-4)
    assert predicted.uns["sicmir"]["transform"] == "frozen"


def test_the_best_matrix_is_found_or_named(bundle):
    adata = small.samples(per=1e4, logarithm=np.log1p)
    expected = predict(adata, bundle, progress=False).X
    scaled = small.samples()
    scaled.X = (scaled.X - scaled.X.mean(axis=0)) / (scaled.X.std(axis=0) + 1)
    scaled.raw = adata
    found = predict(scaled, bundle, progress=False)
    assert found.uns["sicmir"]["units_record"]["source"] == "raw"
    close(found.X, expected)
    scaled.layers["counts"] = small.counts().X
    found = predict(scaled, bundle, progress=False)
    assert found.uns["sicmir"]["units_record"]["source"] == "layers['counts']"
    close(found.X, predict(small.counts(), bundle, progress=False).X)
    close(predict(scaled, bundle, layer="raw", progress=False).X, expected)
    with pytest.raises(ParameterError, match="layer='count': there is no such matrix"):
        predict(scaled, bundle, layer="count", progress=False)


def test_genes_by_other_names(bundle):
    adata = small.samples()
    expected = predict(adata, bundle, progress=False)
    table = panel.landmarks()
    ids = table["ensembl"].tolist() + [f"x{i}" for i in range(adata.n_vars - len(table))]
    adata.var["gene_ids"] = ids
    adata.var_names = [f"g{i}" for i in range(adata.n_vars)]
    with pytest.raises(PanelError, match="Only 0 of 977"):
        predict(adata, bundle, progress=False)
    found = predict(adata, bundle, gene_key="gene_ids", progress=False)
    close(found.X, expected.X)
    assert found.uns["sicmir"]["coverage"]["ensembl"] == 977


def test_order_of_genes_and_size_of_blocks_make_no_difference(bundle, monkeypatch):
    adata = small.counts()
    expected = predict(adata, bundle, progress=False)
    order = np.random.default_rng(0).permutation(adata.n_vars)
    monkeypatch.setattr(prediction, "BLOCK", 7)
    found = predict(adata[:, order], bundle)
    for one, other in ((found.X, expected.X), *((found.layers[k], expected.layers[k]) for k in found.layers)):
        close(one, other)
    pd.testing.assert_frame_equal(found.obs, expected.obs)
    whole = predict(adata, bundle, transform="cohort", progress=False).X
    monkeypatch.setattr(prediction, "BLOCK", 2000)
    close(whole, predict(adata, bundle, transform="cohort", progress=False).X)


def test_duplicated_genes_are_summed_if_they_are_counts_and_refused_otherwise(bundle):
    adata = small.counts()
    expected = predict(adata, bundle, progress=False).X
    half = adata.X.copy()
    half.data = np.floor(half.data / 3)
    rest = adata.X - half
    split = ad.AnnData(
        sparse.hstack([half[:, :977], rest[:, :977], adata.X[:, 977:]], format="csr"),
        var=pd.DataFrame(
            {"symbol": [*adata.var_names[:977], *adata.var_names]},
            index=[f"g{i}" for i in range(977 + adata.n_vars)],
        ),
    )
    found = predict(split, bundle, gene_key="symbol", progress=False)
    close(found.X, expected)
    assert len(found.uns["sicmir"]["coverage"]["duplicated"]) == 977
    split.X = sparse.csr_matrix(split.X / 7)
    with pytest.raises(PanelError, match="977 landmarks are found in more than one column.*Only counts"):
        predict(split, bundle, transform="rank", gene_key="symbol", progress=False)


# The one call: what is said of it


def test_what_the_result_holds(bundle):
    adata = small.counts()
    adata.obs["coverage"] = "old"
    adata.uns["sicmir"] = {"dataset": "mine", "units": "UMI counts", "modality": "mrna"}
    adata = adata[:, 90:]
    found = predict(adata, bundle, progress=False)
    assert found.var_names.tolist() == bundle.mirnas
    assert found.obs_names.equals(adata.obs_names)
    pd.testing.assert_series_equal(found.obs["donor"], adata.obs["donor"])
    assert found.obs["coverage"].unique().tolist() == [887 / 977]
    assert found.obs["in_domain"].dtype == found.obs["abstained"].dtype == bool
    assert found.var["grade"].cat.ordered
    assert (found.var["grade"] >= "B").sum() == 16
    assert found.var["mature"].tolist() == bundle.trust["mature"].tolist()
    record = found.uns["sicmir"]
    assert (record["units"], record["level"], record["modality"]) == ("log2(RPM+1)", "mature", "prediction")
    assert (record["dataset"], record["version"]) == ("mine", sicmir.__version__)
    assert record["units_record"]["source"] == "X"
    assert "whole numbers" in " ".join(record["units_record"]["reasons"])
    assert record["coverage"]["found"] == 887
    assert record["model"]["weights_sha256"] == bundle.weights_sha256
    assert record["interval_level"] == 0.8
    assert record["notes"][-1] == "The model was trained on synthetic data."
    told = prediction.summary(found)
    assert "X is read as counts" in told and "Landmarks: 887 of 977 found" in told
    n = int((~found.obs["abstained"]).sum())
    assert f"{n} of 34 observations. Abstained: 0 with too few genes, {34 - n} far" in told


def test_genes_of_several_columns_are_told(bundle):
    adata = small.counts()
    names = adata.var_names.tolist()
    names[-2:] = ["PSME1-1", "ENSG00000122873"]  # and CISD1 by another name
    adata.var_names = names
    assert "977 found; 2 summed up from several columns." in summary_of(adata, bundle)
    adata = small.samples()
    adata.var_names = names
    told = summary_of(adata, bundle)
    assert (
        "977 found; left out, for a surer name of the same gene is there: ENSG00000122873, PSME1-1." in told
    )


def summary_of(adata, bundle):
    return prediction.summary(predict(adata, bundle, progress=False))


def test_a_saved_model_predicts_the_same_without_torch(bundle, tmp_path):
    folder = bundle.save(tmp_path / "model")
    close(
        predict(small.samples(), str(folder), progress=False).X,
        predict(small.samples(), bundle, progress=False).X,
        1e-3,
    )
    assert load_model(folder).weights_sha256 == bundle.weights_sha256
    small.samples().write_h5ad(tmp_path / "x.h5ad")
    code = (
        "import sys, anndata, sicmir;"
        f"sicmir.predict(anndata.read_h5ad({str(tmp_path / 'x.h5ad')!r}), {str(folder)!r}, by='cohort');"
        "assert 'torch' not in sys.modules and 'scanpy' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# Pools of cells


def test_pools_are_predicted_from_their_summed_counts(bundle):
    adata = small.counts()
    adata.obs["cell_type"] = np.resize(["T", "B", "B"], adata.n_obs)
    by = ["cohort", "cell_type"]
    found = predict(adata, bundle, by=by, min_coverage=0.6, progress=False)
    expected = predict(pseudobulk(adata, by), bundle, progress=False)
    close(found.X, expected.X)
    assert (
        found.obs_names.tolist() == ["TOYA|B", "TOYA|T", "TOYB|B", "TOYB|T"][: found.n_obs]
        or found.n_obs == 2
    )
    record = found.uns["sicmir"]
    assert record["pseudobulk"]["mode"] == "sum"
    assert record["units_record"]["units"] == "counts"
    told = prediction.summary(found)
    assert "X is read as counts. Pools are sums of cells, from X. 34 rows of 6000 genes" in told
    assert told.count("read as counts") == 1
    assert predict(adata, bundle, by=by, min_cells=1, progress=False).n_obs == 4
    one = predict(adata, bundle, by="cohort", progress=False)
    dense = adata.X.toarray().astype(float)
    sums = np.array([dense[(adata.obs["cohort"] == name).to_numpy()].sum(axis=0) for name in one.obs_names])
    log2 = np.log2(sums[:, :977] / sums.sum(axis=1, keepdims=True) * 2e7 + 1).astype(np.float32)
    close(one.X, predict_block(bundle, log2, "frozen").predicted, 1e-4)


def test_pools_without_counts_are_means_of_linear_values(bundle):
    adata = small.samples(per=1e4, logarithm=np.log1p)
    found = predict(adata, bundle, by="cohort", progress=False)
    linear = small.samples(per=2e7).X.astype(float)
    means = [linear[(adata.obs["cohort"] == name).to_numpy(), :977].mean(axis=0) for name in found.obs_names]
    log2 = np.log2(np.array(means) + 1).astype(np.float32)
    close(found.X, predict_block(bundle, log2, "frozen").predicted, 1e-3)
    assert found.uns["sicmir"]["pseudobulk"]["mode"] == "mean"
    assert "Pools are means, in linear values, of log1p(CP10K) of cells" in prediction.summary(found)


def test_pooling_needs_units_and_labels(bundle):
    adata = small.samples(logarithm=lambda x: np.log2(x * np.linspace(1, 3, len(x))[:, None] + 1))
    with pytest.raises(ParameterError, match="only be pooled in known units.*no base makes the totals even"):
        predict(adata, bundle, by="cohort", progress=False)
    with pytest.raises(DataError, match=r"grouped by \['celltype'\]; obs has .*cohort"):
        predict(small.counts(), bundle, by="celltype", progress=False)


def test_cells_without_a_label_are_refused_or_left_out_of_the_pools(bundle):
    adata = small.counts()
    adata.obs["cell_type"] = np.resize(["T", "B"], adata.n_obs).astype(object)
    adata.obs.iloc[:5, -1] = [np.nan, "", None, np.nan, ""]
    with pytest.raises(DataError, match="5 in cell_type. Label them, or leave them out by missing='drop'"):
        predict(adata, bundle, by="cell_type", progress=False)
    found = predict(adata, bundle, by="cell_type", missing="drop", progress=False)
    expected = predict(adata[5:].copy(), bundle, by="cell_type", progress=False)
    close(found.X, expected.X)
    assert found.obs["n_cells"].sum() == 29
    with pytest.raises(ParameterError, match="missing='no': expected 'raise' or 'drop'"):
        predict(adata, bundle, by="cell_type", missing="no", progress=False)


# Units and transforms


@pytest.mark.parametrize(
    ("units", "n_genes", "expected"),
    [
        ("counts", 6000, "frozen"),
        ("counts", 977, "rank"),
        ("FPKM", 6000, "frozen"),
        ("log2(FPKM + 1)", 977, "rank"),
        ("TPM", 977, "frozen"),
        ("CPM", 977, "frozen"),
        ("TPM/10", 6000, "frozen"),
        ("log2(RSEM normalised count + 1)", 977, "frozen"),
        ("log1p(CP10K)", 6000, "frozen"),
        ("log2(x + 1)", 6000, "rank"),
        ("log1p(x)", 6000, "rank"),
        ("linear, unknown", 6000, "rank"),
    ],
)
def test_the_transform_follows_the_units(bundle, units, n_genes, expected):
    values = small.samples(per=1e4, logarithm=np.log1p).X[:, :n_genes]
    values = np.ceil(values) if units == "counts" else values
    values = small.samples(per=1e6).X[:, :n_genes] if units in ("FPKM", "linear, unknown") else values
    values = small.samples(per=1e5).X[:, :n_genes] if units == "TPM/10" else values
    adata = ad.AnnData(values, var=pd.DataFrame(index=small.samples().var_names[:n_genes]))
    name, reason = choose_transform(bundle, look(adata, units=units))
    assert name == expected
    assert reason
    assert choose_transform(bundle, look(adata, units=units), "cohort")[0] == "cohort"


def test_values_of_unknown_units_are_ranked(bundle, rows):
    factors = np.linspace(1, 3, len(rows))[:, None]
    adata = small.samples(logarithm=lambda x: np.log2(x * factors + 1))
    found = predict(adata, bundle, progress=False)
    close(found.X, predict_block(bundle, rows, "rank").predicted, 1e-3)
    record = found.uns["sicmir"]
    assert (record["transform"], record["units_record"]["units"]) == ("rank", "")
    assert "order of genes" in record["transform_reason"]
    assert "X is read as values of unknown units" in prediction.summary(found)
    with pytest.raises(ParameterError, match="'frozen' needs units.*Say them: counts"):
        predict(adata, bundle, transform="frozen", progress=False)
    with pytest.raises(ParameterError, match="units='TPN' are not known"):
        predict(adata, bundle, units="TPN", progress=False)


def test_values_in_the_units_of_the_training_data_stay_as_they_are(bundle, rows):
    trained = replace(bundle, card={"input_units": "log2(x + 1)"})
    adata = small.samples(logarithm=lambda x: np.log2(x + 1))[:, :977].copy()
    adata.uns["sicmir"] = {"units": "log2(x+1)"}
    found = predict(adata, trained, progress=False)
    assert found.uns["sicmir"]["transform"] == "frozen"
    close(found.X, predict_block(bundle, rows, "frozen").predicted)
    assert predict(adata, bundle, progress=False).uns["sicmir"]["transform"] == "rank"
    close(predict(adata, bundle, units="log2(RSEM+1)", progress=False).X, found.X)


def test_values_of_a_model_of_one_unit_are_not_taken_for_linear_ones(bundle, rows):
    """Every sample has the same values, in another order, so that totals are even."""
    values = np.sort(rows, axis=1).mean(axis=0)[np.argsort(np.argsort(rows, axis=1), axis=1)]
    adata = ad.AnnData(values.astype(np.float32), var=pd.DataFrame(index=small.LANDMARKS))
    own = replace(bundle, rescale=None, domain=None, card={"input_units": "log2(x + 1)"})
    with pytest.raises(ParameterError, match=r"needs units.*The model takes log2\(x \+ 1\); if"):
        predict(adata, own, progress=False)
    expected = predict_block(own, values.astype(np.float32), "frozen").predicted
    close(predict(adata, own, units="log2(x+1)", progress=False).X, expected)
    adata.uns["sicmir"] = {"units": "log2(x + 1)"}
    close(predict(adata, own, progress=False).X, expected)
    found = predict(adata, bundle, progress=False)  # which has the transform 'rank' as well
    assert found.uns["sicmir"]["transform"] == "rank"


def test_odd_entries_of_uns_are_no_obstacle(bundle):
    adata = small.samples(per=1e4, logarithm=np.log1p)
    expected = predict(adata, bundle, progress=False).X
    adata.uns = {"sicmir": "mine", "log1p": True}
    close(predict(adata, bundle, progress=False).X, expected)


def test_z_scores_need_a_word(bundle):
    adata = small.samples(logarithm=lambda x: np.log2(x + 1))
    z = adata.X - adata.X.mean(axis=0)
    adata.X = z
    with pytest.raises(DataError, match="z-score or log ratio.*transform='rank'.*transform='cohort'"):
        predict(adata, bundle, progress=False)
    with pytest.raises(DataError, match="no linear form"):
        predict(adata, bundle, transform="frozen", progress=False)
    found = predict(adata, bundle, transform="cohort", progress=False)
    close(found.X, predict_block(bundle, z[:, :977], "cohort").predicted)
    with pytest.raises(DataError, match="order of genes .* cannot be ranked"):
        predict(adata, bundle, transform="rank", progress=False)


def test_negative_logarithms_of_expression_can_be_ranked(bundle, rows):
    adata = small.samples(per=1e6, logarithm=lambda x: np.log2(x + 0.001))
    found = predict(adata, bundle, transform="rank", progress=False)
    same = predict_block(bundle, rows, "rank").predicted
    close(found.X, same, 1e-3)


def test_few_genes_are_no_library(bundle):
    adata = small.counts()[:, :977].copy()
    found = predict(adata, bundle, progress=False)
    assert found.uns["sicmir"]["transform"] == "rank"
    assert "977 genes is no library size" in found.uns["sicmir"]["transform_reason"]
    with pytest.raises(DataError, match="fewer than 5000 is no library size"):
        predict(adata, bundle, transform="frozen", progress=False)


def test_single_cells_of_few_reads_are_abstained_with_advice_and_pools_are_not(bundle):
    """Planted: 300 cells of 10,000 reads of each of two samples."""
    linear, rng = small.samples().X[[0, -1]], np.random.default_rng(0)
    adata = ad.AnnData(
        sparse.csr_matrix(rng.poisson(np.repeat(linear, 300, axis=0) * (1e4 / 2e7)), dtype=np.float32)
    )
    adata.var_names, adata.obs["sample"] = small.samples().var_names, np.repeat(["a", "b"], 300)
    cells = predict(adata, bundle, progress=False)
    assert cells.obs["abstained"].mean() > 0.9
    assert "pool them by cell type" in cells.uns["sicmir"]["notes"][0]
    pools = predict(adata, bundle, by="sample", progress=False)
    assert not pools.obs["abstained"].any()
    assert "pool them" not in " ".join(pools.uns["sicmir"]["notes"])
    expected = predict_block(bundle, np.log2(linear[:, :977] + 1), "frozen").predicted
    assert np.sqrt(((pools.X - expected) ** 2).mean()) < 0.5


@pytest.mark.parametrize(
    ("units", "transform", "told"),
    [("TPM", "auto", True), ("FPKM", "auto", True), ("TPM", "rank", False), ("CPM", "auto", False)],
)
def test_length_of_transcripts_is_pointed_out(bundle, units, transform, told):
    adata = small.samples()
    adata.X = adata.X * (1e6 / adata.X.sum(axis=1, keepdims=True))
    found = predict(adata, bundle, transform, units=units, progress=False)
    assert ("lengths of transcripts" in " ".join(found.uns["sicmir"]["notes"])) is told


def test_advice_fits_what_was_abstained(bundle):
    adata = small.counts()
    adata.X = adata.X[:, np.random.default_rng(0).permutation(adata.n_vars)]
    for by in (None, ["cohort"]):
        found = predict(adata, bundle, by=by, progress=False)
        assert found.obs["abstained"].all()
        told = prediction.summary(found)
        assert "Nothing was predicted: " in told
        assert "set to 0" not in told
        assert ("pool them" in told) == (by is None)
        assert ("pools of few cells" in told) == (by is not None)
    kept = predict(adata, bundle, abstain=False, progress=False)
    told = prediction.summary(kept)
    assert "34 are unlike most of the training data" in told and "set to 0" in told


def test_corrected_counts_are_counts_if_that_is_said(bundle):
    adata = small.counts()
    expected = predict(adata, bundle, progress=False)
    adata.X = adata.X * 0.97
    assert "say so by units='counts'" in prediction.summary(predict(adata, bundle, progress=False))
    close(predict(adata, bundle, units="counts", progress=False).X, expected.X, 1e-3)


def test_units_that_rest_on_other_rows_are_told(bundle):
    adata = small.samples(per=3e5, logarithm=np.log1p)
    found = predict(adata, bundle, progress=False)
    assert found.uns["sicmir"]["units_record"]["units"].startswith("log1p(linear, every total")
    assert "a row alone they could not be told" in prediction.summary(found)
    told = prediction.summary(predict(adata, bundle, units="log1p(linear, every total 300000)"))
    assert "a row alone" not in told
    for per in (1e4, 1e6):
        told = prediction.summary(predict(small.samples(per=per), bundle, progress=False))
        assert "a row alone" not in told


def test_empty_cells_are_abstained(bundle):
    adata = small.counts()
    adata.X = adata.X.toarray()
    adata.X[4] = 0
    for transform in ("frozen", "rank"):
        found = predict(adata, bundle, transform=transform, progress=False)
        assert np.flatnonzero(found.obs["abstained"]).tolist() == [4]
        assert np.isnan(found.X[4]).all() and np.isfinite(np.delete(found.X, 4, axis=0)).all()
    assert "33 of 34 observations. Abstained: 1 with too few genes, 0 far" in prediction.summary(found)


@pytest.mark.parametrize("transform", ["frozen", "rank", "cohort"])
@pytest.mark.parametrize(
    ("per", "logarithm"), [(1e6, None), (1e4, np.log1p), (1e6, lambda x: np.log2(x + 1)), (7e6, None)]
)
def test_empty_cells_are_abstained_in_every_unit(bundle, transform, per, logarithm):
    adata = small.samples(per=per, logarithm=logarithm)
    others = predict(adata[np.arange(34) != 4].copy(), bundle, transform, abstain=False, progress=False)
    adata.X[4] = 0
    before = adata.X.copy()
    found = predict(adata, bundle, transform, abstain=False, progress=False)
    assert np.flatnonzero(found.obs["abstained"]).tolist() == [4]
    assert found.obs["coverage"].iloc[4] == 0
    assert np.isnan(found.X[4]).all()
    close(np.delete(found.X, 4, axis=0), others.X)
    np.testing.assert_array_equal(adata.X, before)


# Bundles without some parts


def test_a_bundle_of_a_predictor_alone(bundle, rows):
    bare = replace(bundle, trust=None, domain=None, rescale=None, card={})
    rows[0] = rows[0, ::-1]
    adata = small.samples()
    adata.X[:, :977] = np.exp2(rows) - 1
    adata.obs["in_domain"] = "old"
    found = predict(adata, bare, units="RSEM", progress=False)
    close(found.X, np.clip(bundle.predictor.predict(rows), 0, None), 1e-3)
    assert np.isnan(found.layers["lower"]).all() and np.isnan(found.layers["upper"]).all()
    assert found.obs["domain_score"].isna().all()
    assert "in_domain" not in found.obs
    assert found.var.shape == (small.N_MIRNAS, 0)
    notes = " ".join(found.uns["sicmir"]["notes"])
    for word in ("no prediction intervals", "no trust table", "no domain"):
        assert word in notes
    for transform in ("rank", "cohort"):
        with pytest.raises(ParameterError, match="expected 'auto' or 'frozen'"):
            predict(adata, bare, transform=transform, progress=False)
        with pytest.raises(ParameterError, match="no other than 'frozen'"):
            predict_block(bare, rows, transform)


@pytest.mark.parametrize("transform", ["cohort", "rank"])
def test_a_network_with_a_transform_of_its_own(bundle, rows, transform):
    torch = pytest.importorskip("torch")
    from sicmir.learning.architecture import SicmirNetwork
    from sicmir.learning.predictors import NetworkPredictor

    torch.manual_seed(0)
    network = SicmirNetwork(977, 3, hidden=5)
    network(torch.randn(16, 977))
    scaler = InputTransform(transform).fit(rows)
    predictor = NetworkPredictor(network.eval(), scaler, np.zeros(3, np.float32), np.ones(3, np.float32))
    names = bundle.mirnas[:3]
    z = replace(
        bundle, predictor=predictor, mirnas=names, units="z-score", trust=None, rescale=None, domain=None
    )
    adata = small.samples(per=1e4, logarithm=np.log1p)
    found = predict(adata, z, progress=False)
    assert found.uns["sicmir"]["transform"] == transform
    assert found.uns["sicmir"]["units"] == "z-score"
    with torch.inference_mode():
        expected = network(torch.from_numpy(scaler.transform(adata.X[:, :977]))).numpy()
    close(found.X, expected, 1e-4)
    assert (found.X < 0).any()
    assert np.isnan(found.layers["lower"]).all()
    assert "z-score, not log2(RPM+1)" in " ".join(found.uns["sicmir"]["notes"])
    # The domain of training units cannot judge what a predictor rescales itself.
    with_domain = replace(z, domain=bundle.domain)
    assert predict(adata, with_domain, progress=False).obs["domain_score"].isna().all()


def test_genes_of_a_bundle_in_another_order_or_unknown(bundle, rows):
    class Fixed:
        kind = "kernel"

        def facts(self):
            return {}

        def state(self):
            return {}

        def predict(self, X):
            return X[:, :1]

    short = replace(
        bundle, predictor=Fixed(), mirnas=bundle.mirnas[:1], trust=None, domain=None, rescale=None
    )
    chosen = replace(short, genes=small.LANDMARKS[10:3:-1])
    found = predict(small.samples(), chosen, progress=False)
    close(found.X[:, 0], rows[:, 10], 1e-3)
    assert (found.obs["coverage"] == 1).all()
    with pytest.raises(BundleError, match="no landmarks, such as G1"):
        predict(small.samples(), replace(short, genes=["G1"]), progress=False)


# What is refused


def test_input_that_is_refused(bundle, tmp_path):
    adata = small.samples()
    with pytest.raises(DataError, match=r"found DataFrame.*anndata\.AnnData\(frame\)"):
        predict(adata.to_df(), bundle)
    adata.write_h5ad(tmp_path / "x.h5ad")
    with pytest.raises(DataError, match="backed by a file"):
        predict(ad.read_h5ad(tmp_path / "x.h5ad", backed="r"), bundle)
    with pytest.raises(PanelError, match="Only 400 of 977"):
        predict(adata[:, 577:], bundle, progress=False)
    assert predict(adata[:, 577:], bundle, min_coverage=0.4, progress=False).n_obs == adata.n_obs
    mouse = adata.copy()
    mouse.var_names = mouse.var_names.str.capitalize()
    with pytest.raises(PanelError, match="look like mouse"):
        predict(mouse, bundle, progress=False)
    with pytest.raises(BundleError, match="came without a model|expected a bundle"):
        predict(adata, tmp_path / "nothing")
    with pytest.raises(ParameterError, match="transform='z'"):
        predict(adata, bundle, transform="z")
    adata.X[0, 0] = np.inf
    with pytest.raises(DataError, match="infinite"):
        predict(adata, bundle, transform="rank")


def test_the_call_is_found_at_the_top():
    assert sicmir.predict is predict
    assert sicmir.pseudobulk.pseudobulk is pseudobulk
