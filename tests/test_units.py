"""Units are recognised in tables whose history is known, and conversion is checked against the formulas."""

import anndata as ad
import numpy as np
import pytest
import scanpy as sc
from scipy import sparse

from sicmir.errors import DataError, ParameterError
from sicmir.matrices.unit_names import MAX_LOG
from sicmir.matrices.units import TRAINING_TOTAL, look, recognise, row_totals, select, to_log2

N_GENES = 6000


def table(values, **parts):
    return ad.AnnData(values if sparse.issparse(values) else np.array(values, dtype=np.float32), **parts)


@pytest.fixture(scope="module")
def counts():
    """80 cells of uneven depth."""
    rng = np.random.default_rng(0)
    depth = rng.lognormal(0, 0.6, (80, 1))
    return rng.poisson(rng.gamma(0.2, 5, N_GENES) * depth).astype(np.float32)


def per(counts, total):
    return counts / counts.sum(axis=1, keepdims=True) * total


# Recognition


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix, sparse.csc_matrix])
@pytest.mark.parametrize(
    ("make", "name", "logarithm", "total"),
    [
        (lambda x: x, "counts", "", np.nan),
        (lambda x: per(x, 1e6), "CPM or TPM", "", 1e6),
        (lambda x: per(x, 1e4), "CP10K", "", 1e4),
        (lambda x: per(x, 3210), "linear, every total 3210", "", 3210),
        (lambda x: x * 1.3, "linear, unknown", "", np.nan),
        (lambda x: np.log1p(per(x, 1e4)), "log1p(CP10K)", "log1p", 1e4),
        (lambda x: np.log2(per(x, 1e4) + 1), "log2(CP10K + 1)", "log2", 1e4),
        (lambda x: np.log10(per(x, 1e6) + 1), "log10(CPM or TPM + 1)", "log10", 1e6),
        (lambda x: np.log2(per(x, 1e6) + 1), "log2(CPM or TPM + 1)", "log2", 1e6),
        (lambda x: np.log1p(per(x, 2500)), "log1p(linear, every total 2500)", "log1p", 2500),
        (lambda x: np.log1p(x) - 1, "z-score or log ratio", "", np.nan),
    ],
)
def test_rules(counts, form, make, name, logarithm, total):
    record = recognise(table(form(make(counts).astype(np.float32))))
    assert (record.units, record.source, record.logarithm) == (name, "X", logarithm)
    assert record.per == pytest.approx(total, rel=1e-4, nan_ok=True)
    assert record.n_genes == N_GENES
    assert f"80 rows of {N_GENES} genes" in record.text()
    if name != "z-score or log ratio":
        linear = counts if np.isnan(total) else per(counts, total)
        linear = linear * 1.3 if name == "linear, unknown" else linear
        np.testing.assert_allclose(record.linear(make(counts)), linear, rtol=1e-4, atol=1e-4)


def test_rounded_tpm_is_still_tpm(counts):
    assert recognise(table(per(counts, 1e6).round(2) + 0.001 * (counts > 0))).units == "CPM or TPM"


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda x: np.log2(x + 1), "no base makes the totals even"),
        (lambda x: np.log1p(per(x, 1e4))[:, ::3], "no base makes the totals even"),
        (lambda x: (x > 3).astype(float), "no value but 0 and 1"),
        (lambda x: x * 0, "no value but 0"),
        (lambda x: np.log1p(per(x, 3210))[:2], "no base makes the totals even"),  # two alike by chance
    ],
)
def test_what_cannot_be_told_is_asked_for(counts, make, words):
    with pytest.raises(ParameterError, match=rf"units cannot be told.*{words}.*Say them: counts"):
        recognise(table(make(counts)))


def test_infinite_and_missing_values(counts):
    values = counts.copy()
    values[3, 5] = np.nan
    assert recognise(table(values)).units == "counts"
    values[3, 5] = -np.inf
    with pytest.raises(DataError, match="infinite"):
        recognise(table(values))


def test_scanpy_tells_its_logarithm(counts, tmp_path):
    adata = table(counts)
    sc.pp.normalize_total(adata, target_sum=1e4)
    sc.pp.log1p(adata)
    chosen = adata[:, ::3].copy()  # as after a choice of genes: totals are uneven
    record = recognise(chosen)
    assert (record.units, record.logarithm) == ("log1p(x)", "log1p")
    assert np.isnan(record.per)
    chosen.write_h5ad(tmp_path / "x.h5ad")
    assert recognise(ad.read_h5ad(tmp_path / "x.h5ad")).units == "log1p(x)"
    chosen.uns["log1p"] = {"base": 2}
    assert recognise(chosen).logarithm == "log2"
    adata.uns["log1p"] = {"base": 2}
    with pytest.raises(ParameterError, match="scanpy recorded log2 in uns, and even totals come of log1p"):
        recognise(adata)


# Preference


def test_order_of_preference(counts):
    logged = np.log1p(per(counts, 1e4)).astype(np.float32)
    adata = table(counts / 7)  # linear, unknown
    adata.layers["spliced"] = counts + 4
    assert recognise(adata).source == "layers['spliced']"
    adata.raw = table(logged)
    adata.X = counts + 3
    assert recognise(adata).source == "X"
    adata.raw = table(counts + 2)
    assert recognise(adata).source == "raw"
    adata.layers["raw_counts"] = counts + 1
    assert recognise(adata).source == "layers['raw_counts']"
    adata.layers["counts"] = counts
    assert recognise(adata).source == "layers['counts']"
    adata.layers["other"] = logged
    record = recognise(adata, layer="other")
    assert (record.source, record.units) == ("layers['other']", "log1p(CP10K)")
    np.testing.assert_array_equal(select(adata, record).X, logged)


def test_scaled_values_make_way_for_raw(counts):
    logged = table(np.log1p(per(counts, 1e4)))
    adata = table(sc.pp.scale(logged.X[:, :2000].copy()))
    assert recognise(adata).units == "z-score or log ratio"
    adata.raw = logged
    record = recognise(adata)
    assert (record.source, record.units, record.n_genes) == ("raw", "log1p(CP10K)", N_GENES)
    chosen = select(adata, record)
    assert chosen.n_vars == N_GENES
    assert chosen.uns["sicmir"]["units"] == "log1p(CP10K)"
    assert list(chosen.uns["sicmir"]["units_record"]["reasons"]) == list(record.reasons)


def test_counts_of_few_genes_make_way_for_raw_of_all(counts):
    adata = table(counts[:, :2000])
    adata.raw = table(np.log1p(per(counts, 1e4)))
    assert recognise(adata).source == "raw"
    assert recognise(adata, layer="X").units == "counts"


def test_scaled_values_do_not_stand_in_for_what_cannot_be_told(counts):
    adata = table(np.log1p(counts) - 1)
    adata.raw = table(np.log1p(counts))
    with pytest.raises(ParameterError, match="raw: .*no base.* X: .*Negative"):
        recognise(adata)


def test_names_of_matrices(counts):
    adata = table(counts)
    adata.layers["raw"] = counts + 1
    assert recognise(adata, layer="raw").source == "layers['raw']"
    adata.raw = table(counts)
    with pytest.raises(ParameterError, match="there are a raw and a layer"):
        recognise(adata, layer="raw")
    assert recognise(adata, layer="layers['raw']").source == "layers['raw']"
    with pytest.raises(ParameterError, match=r"layer='none'.*there are X, raw, layers\['raw'\]"):
        recognise(adata, layer="none")
    with pytest.raises(DataError, match="no X"):
        recognise(ad.AnnData(layers={"a": counts}), layer="X")


@pytest.mark.parametrize(("total", "name"), [(1e4, "log1p(CP10K)"), (1e6, "log1p(CPM or TPM)")])
def test_logarithms_of_replicates_are_not_taken_for_linear_values(total, name):
    """Their own totals are as even as those of linear values."""
    values = np.random.default_rng(0).negative_binomial(0.5, 0.1, (6, N_GENES))
    logs = np.log1p(per(values, total))
    assert np.ptp(logs.sum(axis=1)) < 0.05 * logs.sum(axis=1).mean()
    assert recognise(table(logs)).units == name
    values[:, 0] = 200 * values.mean()  # as the genes that every cell is full of
    assert recognise(table(per(values, 3210.5))).units == "linear, every total 3210.5"
    assert per(values, 100).max() < MAX_LOG
    assert recognise(table(per(values, 100))).units == "linear, every total 100"
    told = table(logs[:, :5500])
    told.uns["log1p"] = {"base": None}  # genes were left out, and every base gives even totals
    with pytest.raises(ParameterError, match="cannot be told"):
        recognise(told)


def array(n_genes=2000, mean=8.0):
    """20 arrays after quantile normalisation: log2 of intensities, and every total is the same."""
    rng = np.random.default_rng(0)
    levels = np.sort(np.clip(rng.normal(mean, 2, n_genes), 2.5, 15))
    noise = rng.normal(np.linspace(0, 4, n_genes), 1, (20, n_genes))
    return levels[np.argsort(np.argsort(noise, axis=1), axis=1)]


@pytest.mark.parametrize("mean", [8.0, 5.0])  # of 2,000 genes of 5, the total is that of CP10K
def test_logarithms_after_quantile_normalisation_are_not_taken_for_linear_values(mean):
    values = array(mean=mean)
    totals = values.sum(axis=1)
    np.testing.assert_allclose(totals, totals[0])
    assert mean > 5 or abs(totals[0] / 1e4 - 1) < 0.02
    record = look(table(values))
    assert (record.units, record.logarithm) == ("", "")
    assert "quantile normalisation" in record.text()
    with pytest.raises(ParameterError, match="units cannot be told.*quantile normalisation"):
        recognise(table(values))
    told = table(values, uns={"sicmir": {"units": "log2(x+1)"}})
    assert recognise(told).units == "log2(x + 1)"
    assert "values agree" in recognise(told).text()
    linear = table(np.exp2(values) - 1, uns={"sicmir": {"units": "log2(x+1)"}})  # it is no longer that
    assert recognise(linear).units.startswith("linear, every total")


def test_logarithms_that_were_rounded_are_no_counts(counts):
    deep = counts[:5] + counts[5:10] + 20
    rounded = np.rint(np.log2(per(deep, 1e6) + 1))
    record = look(table(rounded))
    assert record.units == ""
    assert "logarithms that were rounded" in record.text()
    assert recognise(table(np.minimum(counts, 20))).units == "counts"  # few reads


def test_logarithms_that_were_recorded_are_not_taken_again_for_even_totals():
    """One gene stands out so far that the values alone pass for linear ones."""
    values = array(mean=0.1) / 100
    values[:, 0] = 20
    values = values / values.sum(axis=1, keepdims=True) * 50
    assert recognise(table(values)).units.startswith("linear, every total 50")
    assert recognise(table(values, uns={"sicmir": {"units": "log2(x+1)"}})).units == "log2(x + 1)"


@pytest.mark.parametrize("log1p", [True, {"base": "e"}, {"base": [1, 2]}, "yes", {}])
@pytest.mark.parametrize("sicmir", ["x", 3, {}])
def test_what_stands_in_uns_under_known_names_need_not_be_ours(counts, log1p, sicmir):
    adata = table(np.log1p(per(counts, 1e4)), uns={"log1p": log1p, "sicmir": sicmir})
    record = recognise(adata)
    assert record.units == "log1p(CP10K)"
    assert select(adata, record).uns["sicmir"]["units"] == "log1p(CP10K)"


# Given and recorded


@pytest.mark.parametrize(
    ("given", "name", "total"),
    [
        ("TPM", "TPM", 1e6),
        ("cpm", "CPM", 1e6),
        ("log2(TPM+1)", "log2(TPM + 1)", 1e6),
        ("log2(TPM/10+1)", "log2(TPM/10 + 1)", 1e5),
        ("log1p(CP10K)", "log1p(CP10K)", 1e4),
        ("log2(RSEM normalised count + 1)", "log2(RSEM + 1)", TRAINING_TOTAL),
        ("log2(RSEM, batch-adjusted + 1)", "log2(RSEM + 1)", TRAINING_TOTAL),
        ("log2(x+1)", "log2(x + 1)", np.nan),
        ("FPKM", "FPKM", np.nan),
        ("UMI counts", "counts", np.nan),
        ("linear, every total 3210.5", "linear, every total 3210.5", 3210.5),
    ],
)
def test_units_that_are_given(counts, given, name, total):
    values = counts if np.isnan(total) else counts / counts.sum(axis=1, keepdims=True) * total
    for logarithm, take in (("log1p", np.log1p), ("log2", lambda x: np.log2(x + 1))):
        values = take(values) if name.startswith(logarithm) else values
    record = recognise(table(values), units=given)
    assert record.units == name
    assert record.per == pytest.approx(total, nan_ok=True)
    assert recognise(table(values), units=record.units).units == name  # names can be read again


def test_units_that_the_sums_of_rows_contradict(counts):
    share = counts / counts.sum(axis=1, keepdims=True)
    for values, given in (
        (np.log1p(np.log1p(share * 1e4)), "log1p(CP10K)"),
        (share * 2e6, "CPM"),
        (np.log1p(share * 1e6), "log2(CPM+1)"),
        (np.log1p(share * 1e4), "log1p(CPM)"),
    ):
        with pytest.raises(DataError, match=r"sum up to .* Give the right units, or none"):
            recognise(table(values), units=given)
    with pytest.raises(DataError, match="look like logarithms"):
        recognise(table(np.log1p(share * 1e4)), units="counts")
    for given in ("FPKM", "RSEM", "linear, unknown"):
        with pytest.raises(DataError, match="look like logarithms"):
            recognise(table(np.log1p(share * 1e4)), units=given)
        low = table((np.log1p(share * 1e4))[:, :4000])  # few genes may all be low
        assert recognise(low, units=given).units == given
        assert recognise(table(share * 1e5), units=given).units == given
    few = table(share * 1e6)[:, :4000].copy()  # what is left out of a table of few genes is not known
    assert recognise(few, units="CPM").units == "CPM"


def test_units_that_cannot_be(counts):
    with pytest.raises(ParameterError, match="units='furlongs' are not known"):
        recognise(table(counts), units="furlongs")
    with pytest.raises(ParameterError, match="not known"):
        recognise(table(counts), units="log2(log2(x+1)+1)")
    with pytest.raises(DataError, match=r"X cannot be log2\(TPM\+1\)"):
        recognise(table(counts * 10), units="log2(TPM+1)")
    with pytest.raises(DataError, match="X cannot be counts"):
        recognise(table(counts - 1), units="counts")


def test_what_the_reader_recorded_is_used_while_it_is_true(counts):
    adata = table(np.log2(counts + 1))
    adata.uns["sicmir"] = {"units": "log2(FPKM + 1)"}
    adata.layers["also"] = adata.X
    with pytest.raises(ParameterError, match="no base makes"):  # it was said of X only
        recognise(adata, layer="also")
    record = recognise(adata)
    assert record.units == "log2(FPKM + 1)"
    assert "values agree" in record.text()
    adata.X = per(counts, 1e6).astype(np.float32)
    adata.uns["sicmir"] = {"units": "TPM"}
    assert recognise(adata).units == "TPM"

    adata = table(counts)
    adata.uns["sicmir"] = {"units": "UMI counts"}
    assert recognise(adata).units == "counts"
    sc.pp.normalize_total(adata, target_sum=1e4)
    sc.pp.log1p(adata)
    record = recognise(adata)
    assert record.units == "log1p(CP10K)"
    assert "no longer" in record.text()
    adata = table(np.log1p(counts) - 1, uns={"sicmir": {"units": "log2(TPM + 1)"}})
    assert recognise(adata).units == "z-score or log ratio"


# Conversion


def test_all_units_of_one_sample_come_to_one_scale(counts):
    wanted = np.log2(per(counts.astype(np.float64), TRAINING_TOTAL) + 1)
    forms = [
        counts,
        per(counts, 1e6),
        per(counts, 1e4),
        np.log1p(per(counts, 1e4)),
        np.log2(per(counts, 1e6) + 1),
        counts * 1.3,
    ]
    for values in forms:
        for matrix in (values, sparse.csr_matrix(values)):
            adata = table(matrix)
            record = recognise(adata)
            totals = row_totals(adata.X, record.linear)
            found = to_log2(adata.X[:, 5:50], record, totals)
            assert found.dtype == np.float32
            np.testing.assert_allclose(found, wanted[:, 5:50], rtol=1e-4, atol=1e-4)
    cpm = recognise(table(per(counts, 1e6)))
    np.testing.assert_allclose(to_log2(np.array([[1.0, np.nan]]), cpm), [[np.log2(21), np.nan]], rtol=1e-6)
    half = to_log2(counts, recognise(table(counts)), counts.sum(axis=1), target_total=TRAINING_TOTAL / 2)
    np.testing.assert_allclose(half, np.log2(per(counts, TRAINING_TOTAL / 2) + 1), rtol=1e-4, atol=1e-4)


def test_training_units_stay_as_they_are():
    values = np.random.default_rng(0).uniform(0, 20, (5, 7)).astype(np.float32)
    record = recognise(table(values), units="log2(RSEM normalised count + 1)")
    np.testing.assert_allclose(to_log2(values, record), values, rtol=1e-6, atol=2e-7)


def test_totals(counts):
    values = counts.copy()
    values[0, 0] = np.nan
    record = recognise(table(np.log1p(per(counts, 1e4))))
    logged = np.log1p(values)
    for matrix in (logged, sparse.csr_matrix(logged), sparse.csc_matrix(logged)):
        np.testing.assert_allclose(row_totals(matrix, record.linear), np.nansum(values, axis=1), rtol=1e-5)


def test_an_empty_cell_becomes_nan(counts):
    values = counts.copy()
    values[2] = 0
    found = to_log2(values, recognise(table(values)), values.sum(axis=1))
    assert np.isnan(found[2]).all()
    assert np.isfinite(np.delete(found, 2, axis=0)).all()


def test_conversions_that_cannot_be(counts):
    record = recognise(table(counts))
    for totals in (
        None,
        counts.sum(axis=1)[:-1],
        -counts.sum(axis=1),
        np.full(80, np.nan),
        np.full(80, np.inf),
    ):
        with pytest.raises(ParameterError, match="counts needs totals"):
            to_log2(counts, record, totals)
    few = recognise(table(counts[:, :977]))
    with pytest.raises(DataError, match="977 genes; the sum of fewer than 5000"):
        to_log2(counts[:, :977], few, counts[:, :977].sum(axis=1))
    assert to_log2(counts[:, :977], few, counts[:, :977].sum(axis=1), min_genes=0).shape == (80, 977)
    with pytest.raises(DataError, match="no linear form"):
        to_log2(-counts, record, counts.sum(axis=1))
    signed = recognise(table(np.log1p(counts) - 1))
    with pytest.raises(DataError, match="no linear form"):
        to_log2(np.ones((80, 2)), signed, counts.sum(axis=1))
    logged = recognise(table(np.log1p(per(counts, 1e4))))
    with pytest.raises(DataError, match=r"found 31, which cannot be log1p\(CP10K\)"):
        to_log2(np.full((1, 2), 31.0), logged)


def test_the_record_can_be_written(counts, tmp_path):
    adata = table(counts)
    adata.uns["sicmir"] = {"units_record": recognise(adata).as_dict()}
    adata.write_h5ad(tmp_path / "x.h5ad")
    found = ad.read_h5ad(tmp_path / "x.h5ad").uns["sicmir"]["units_record"]
    assert found["units"] == "counts"
    assert list(found["reasons"])[1] == "All values are whole numbers."


@pytest.mark.real
def test_training_total_is_that_of_real_samples(real_data):
    mrna = real_data[0]
    record = recognise(mrna)
    assert record.units == "log2(RSEM + 1)"
    np.testing.assert_allclose(to_log2(mrna.X[:20], record), mrna.X[:20], atol=1e-5)
    totals = row_totals(mrna.X, record.linear)
    assert np.median(totals) == pytest.approx(TRAINING_TOTAL, rel=0.05)
    assert np.log2(totals / TRAINING_TOTAL).std() < 0.25
    bare = ad.AnnData(mrna.X)
    with pytest.raises(ParameterError, match="no base makes the totals even"):
        recognise(bare)
    assert recognise(ad.AnnData(np.exp2(mrna.X) - 1)).units == "linear, unknown"
