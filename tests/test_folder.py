"""Folders of paired tables: read either way round, labelled, or refused with the reason."""

import re

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from data_files import (
    STEM_LOOPS,
)

from sicmir.data import load_paired
from sicmir.errors import DataError, ReadError

OBS = ["sample", "donor", "cohort", "condition", "sample_type", "dataset"]


def tables(folder, ending="parquet", lying=False, names=None, level="stem-loop"):
    """Write a folder of paired tables; gives the values."""
    names = names or ["TCGA-OR-AAA1-01", "TCGA-OR-AAA1-11", "TCGA-OR-AAA2-01"]
    rng = np.random.default_rng(0)
    mirnas = STEM_LOOPS if level == "stem-loop" else ["hsa-let-7a-5p", "hsa-miR-21-5p"]
    mrna = pd.DataFrame(
        rng.random((len(names), 4)) * 9, index=names, columns=["PSME1", "CISD1", "TBP", "APP"]
    )
    mirna = pd.DataFrame(rng.random((len(names), len(mirnas))) * 9, index=names, columns=mirnas)
    mrna.iloc[0, 1] = np.nan
    samples = pd.DataFrame(
        {
            "sample": names,
            "patient": [name[:12] for name in names],
            "cohort": "ACC",
            "tissue": ["normal" if name.endswith("11") else "tumor" for name in names],
        }
    )
    folder.mkdir(exist_ok=True)
    save(samples, folder / f"samples.{ending}")
    for frame, stem in ((mrna, "mrna"), (mirna, "mirna" if level == "stem-loop" else "mirna_mature")):
        frame = frame.astype(np.float32)
        if lying:
            save(frame.T.rename_axis("feature").reset_index(), folder / f"{stem}.{ending}")
        else:
            save(frame.rename_axis("sample").reset_index(), folder / f"{stem}.{ending}")
    return mrna, mirna, samples


def save(frame, path):
    if path.suffix == ".parquet":
        frame.to_parquet(path)
    else:
        frame.to_csv(path, sep="," if ".csv" in path.name else "\t", index=False)


@pytest.mark.parametrize("ending", ["parquet", "csv", "tsv.gz"])
@pytest.mark.parametrize("lying", [False, True])
def test_folder(tmp_path, ending, lying):
    mrna_values, mirna_values, _ = tables(tmp_path / "mine", ending, lying)
    mrna, mirna = load_paired(str(tmp_path / "mine"))
    pd.testing.assert_frame_equal(mrna.to_df(), mrna_values, check_dtype=False, rtol=1e-5, check_names=False)
    pd.testing.assert_frame_equal(
        mirna.to_df(), mirna_values, check_dtype=False, rtol=1e-5, check_names=False
    )
    assert mrna.X.dtype == np.float32
    assert mrna.obs.columns.tolist() == OBS
    assert mrna.obs["condition"].tolist() == ["tumour", "normal", "tumour"]
    assert set(mrna.obs["dataset"]) == {"mine"}
    assert mirna.uns["sicmir"]["level"] == "stem-loop"
    assert mrna.uns["sicmir"]["sources"]["checksum"].str.match(r"sha256:[0-9a-f]{64}$").all()


def test_folder_with_both_levels(tmp_path):
    tables(tmp_path)
    tables(tmp_path, level="mature")
    assert load_paired(tmp_path)[1].uns["sicmir"]["level"] == "stem-loop"
    assert load_paired(tmp_path, "mature")[1].var_names.tolist() == ["hsa-let-7a-5p", "hsa-miR-21-5p"]
    (tmp_path / "mirna.parquet").unlink()
    assert load_paired(tmp_path)[1].uns["sicmir"]["level"] == "mature"
    (tmp_path / "mirna_mature.parquet").rename(tmp_path / "mirna.parquet")
    with pytest.raises(DataError, match="expected stem-loop names, found 2 of the other level"):
        load_paired(tmp_path)


def test_folder_averages_replicates_over_what_was_measured(tmp_path):
    names = ["TCGA-OR-AAA1-01A", "TCGA-OR-AAA1-01B", "TCGA-OR-AAA2-01A"]
    values, _, _ = tables(tmp_path, names=names)
    mrna, _ = load_paired(tmp_path)
    assert mrna.obs_names.tolist() == ["TCGA-OR-AAA1-01", "TCGA-OR-AAA2-01"]
    np.testing.assert_allclose(mrna.X[0], values.iloc[:2].mean(axis=0), rtol=1e-5)  # pandas skips the NaN
    assert mrna.uns["sicmir"]["averaged_samples"] == 1


def test_names_that_are_no_barcodes_keep_one_donor_a_person(tmp_path):
    names = ["p1tumor", "p1normal", "TCGA-OR-AAA2-01"]
    _, _, samples = tables(tmp_path, names=names)
    samples["patient"] = ["p1tumor", "p1normal", "TCGA-OR-AAA2"]
    samples["tissue"] = ["tumor", "normal", "tumor"]
    save(samples, tmp_path / "samples.parquet")
    obs = load_paired(tmp_path)[0].obs
    assert obs["donor"].tolist() == ["p1", "p1", "TCGA-OR-AAA2"]
    assert obs["condition"].tolist() == ["tumour", "normal", "tumour"]
    assert obs["sample_type"].tolist() == ["", "", "01"]


def test_signed_values_only_where_the_units_say_so(tmp_path):
    values, _, samples = tables(tmp_path)
    save((values - 5).rename_axis("sample").reset_index(), tmp_path / "mrna.parquet")
    with pytest.raises(DataError, match=r"mrna\.parquet: .*negative"):
        load_paired(tmp_path)
    save(samples.assign(units="log2(sample/reference)"), tmp_path / "samples.parquet")
    mrna, _ = load_paired(tmp_path)
    assert mrna.X[2].min() < 0
    assert mrna.uns["sicmir"]["units"] == "log2(sample/reference)"
    save(samples.assign(units="log2(TPM + 1)"), tmp_path / "samples.parquet")
    with pytest.raises(DataError, match="negative"):
        load_paired(tmp_path)


def damage_value(value):
    def change(folder):
        frame = pd.read_parquet(folder / "mirna.parquet")
        frame.loc[1, "hsa-mir-21"] = value
        save(frame, folder / "mirna.parquet")

    return change


def damage_samples(**columns):
    def change(folder):
        frame = pd.read_parquet(folder / "samples.parquet").assign(**columns)
        save(frame, folder / "samples.parquet")

    return change


def rewrite(name, edit):
    return lambda folder: save(edit(pd.read_parquet(folder / name)), folder / name)


@pytest.mark.parametrize(
    ("damage", "error", "words"),
    [
        (damage_value(-1.0), DataError, r"1 negative.*sample TCGA-OR-AAA1-11, feature hsa-mir-21"),
        (damage_value(np.inf), DataError, r"1 infinite.*sample TCGA-OR-AAA1-11, feature hsa-mir-21"),
        (
            rewrite("mrna.parquet", lambda frame: pd.concat([frame, frame])),
            DataError,
            "sample name.*more than once",
        ),
        (rewrite("mrna.parquet", lambda frame: frame.iloc[:0]), DataError, "matrix is empty"),
        (rewrite("mrna.parquet", lambda frame: frame.iloc[:, :1]), DataError, "matrix is empty"),
        (rewrite("mrna.parquet", lambda frame: frame.assign(TBP="x")), DataError, "'TBP' holds text"),
        (
            rewrite("mrna.parquet", lambda frame: frame.rename(columns={"sample": "id"})),
            ReadError,
            "found 'id'",
        ),
        (
            rewrite(
                "mrna.parquet", lambda frame: frame.assign(PSME1=np.nan, CISD1=np.nan, TBP=np.nan, APP=np.nan)
            ),
            DataError,
            "no measured mRNA value",
        ),
        (
            rewrite("samples.parquet", lambda frame: frame.iloc[1:]),
            DataError,
            "not in samples.*TCGA-OR-AAA1-01",
        ),
        (rewrite("samples.parquet", lambda frame: pd.concat([frame, frame])), DataError, "more than once"),
        (damage_samples(cohort=None), DataError, "no cohort"),
        (
            damage_samples(tissue="normal"),
            DataError,
            "called normal in the table, but its barcode says tumour",
        ),
        (
            rewrite("samples.parquet", lambda frame: frame.drop(columns="cohort")),
            DataError,
            "sample and cohort",
        ),
        (lambda folder: (folder / "samples.parquet").unlink(), ReadError, "table samples"),
        (lambda folder: (folder / "mrna.parquet").unlink(), ReadError, r"expected a table mrna "),
        (lambda folder: (folder / "mirna.parquet").unlink(), ReadError, r"expected a table mirna_mature "),
        (lambda folder: (folder / "mrna.csv").write_text("sample,A\n"), ReadError, "are both there"),
        (
            lambda folder: (folder / "mrna.parquet").write_bytes(b"PAR1 cut"),
            ReadError,
            "not a readable parquet",
        ),
    ],
)
def test_bad_folder(tmp_path, damage, error, words):
    tables(tmp_path)
    load_paired(tmp_path)
    damage(tmp_path)
    with pytest.raises(error, match=words) as caught:
        load_paired(tmp_path)
    assert re.escape(tmp_path.name) in str(caught.value)


def test_other_names_need_a_patient(tmp_path):
    _, _, samples = tables(tmp_path, names=["a", "b", "c"])
    save(samples.drop(columns="patient"), tmp_path / "samples.parquet")
    with pytest.raises(
        DataError, match="sample a is no TCGA barcode and the table samples gives it no patient"
    ):
        load_paired(tmp_path)


def test_linear_values_are_no_logarithms(tmp_path):
    mrna, mirna, _ = tables(tmp_path)
    highest = {"mrna": 29.9, "mirna": 19.94}  # log2(1e6 + 1) = 19.93
    for stem, values in (("mrna", mrna), ("mirna", mirna)):
        kept = values.copy()
        kept.iloc[2, 1] = highest[stem]
        save(kept.rename_axis("sample").reset_index(), tmp_path / f"{stem}.parquet")
        load_paired(tmp_path)
        linear = values.copy()
        linear.iloc[2, 1] = highest[stem] + 0.2
        save(linear.rename_axis("sample").reset_index(), tmp_path / f"{stem}.parquet")
        where = rf"{stem}\.parquet: 1 value.*TCGA-OR-AAA2-01, feature {values.columns[1]}"
        with pytest.raises(DataError, match=rf"{where}\..*take log2\(x\+1\) first"):
            load_paired(tmp_path)
        save(values.rename_axis("sample").reset_index(), tmp_path / f"{stem}.parquet")


@pytest.mark.parametrize("units", ["UMI counts", "TPM", "z-score"])
def test_units_that_are_no_logarithm(tmp_path, units, toy_pair):
    mrna, mirna = (adata[:6].copy() for adata in toy_pair)
    mirna.write_h5ad(tmp_path / "mirna.h5ad")
    mrna.uns["sicmir"]["units"] = units
    mrna.write_h5ad(tmp_path / "mrna.h5ad")
    with pytest.raises(DataError, match=rf"{tmp_path.name}: the mRNA is given as '{units}'.*take log2"):
        load_paired(tmp_path)
    mrna.uns["sicmir"]["units"] = "Agilent log2(sample/reference), level 3"
    mrna.write_h5ad(tmp_path / "mrna.h5ad")
    assert load_paired(tmp_path)[0].uns["sicmir"]["units"].startswith("Agilent")


def test_one_unit_for_all_samples(tmp_path):
    _, _, samples = tables(tmp_path)
    save(samples.assign(units=["log2(x + 1)", "rpkm", "rpkm"]), tmp_path / "samples.parquet")
    with pytest.raises(DataError, match=r"units names log2\(x \+ 1\); rpkm"):
        load_paired(tmp_path)


def test_tissue_is_known_or_left_empty(tmp_path):
    _, _, samples = tables(tmp_path, names=["a", "b", "TCGA-OR-AAA2-01"])
    samples["tissue"] = [None, "Normal", ""]
    save(samples, tmp_path / "samples.parquet")
    mrna, _ = load_paired(tmp_path)
    assert mrna.obs["condition"].tolist() == ["unknown", "normal", "tumour"]
    assert mrna.uns["sicmir"]["without_condition"] == 1
    samples["tissue"] = ["treated", "Untreated", "tumor"]
    save(samples, tmp_path / "samples.parquet")
    assert load_paired(tmp_path)[0].obs["condition"].tolist() == ["treated", "untreated", "tumour"]
    samples["tissue"] = ["adjacent", "metastasis", "tumor"]
    save(samples, tmp_path / "samples.parquet")
    with pytest.raises(DataError, match="labels 'adjacent', 'metastasis' are not known; expected tumor,"):
        load_paired(tmp_path)


def test_tissue_at_the_end_of_a_patient(tmp_path):
    patients = ["Abnormal", "normal", "p1-normal", "P 2_Tumour", "p3tumor", "-normal"]
    _, _, samples = tables(tmp_path, names=list("abcdef"))
    save(samples.assign(patient=patients, tissue="tumor"), tmp_path / "samples.parquet")
    donors = load_paired(tmp_path)[0].obs["donor"].tolist()
    assert donors == ["Abnormal", "normal", "p1", "P 2", "p3", "-normal"]


def test_labels_that_disagree(tmp_path):
    tables(tmp_path)
    mirna = ad.AnnData(
        np.ones((1, 2), np.float32),
        obs=pd.DataFrame({"donor": ["x"], "cohort": ["UVM"], "condition": ["tumour"]}, index=["p1"]),
        var=pd.DataFrame(index=STEM_LOOPS[:2]),
    )
    mrna = ad.AnnData(mirna.X.copy(), obs=mirna.obs.assign(cohort="ACC"), var=pd.DataFrame(index=["A", "B"]))
    for path in tmp_path.iterdir():
        path.unlink()
    mirna.write_h5ad(tmp_path / "mirna.h5ad")
    mrna.write_h5ad(tmp_path / "mrna.h5ad")
    with pytest.raises(DataError, match="sample p1 has cohort 'ACC' in the mRNA and 'UVM' in the miRNA"):
        load_paired(tmp_path)


def test_synthetic_h5ad_stays_synthetic(tmp_path, toy_pair):
    mrna, mirna = toy_pair
    mrna.write_h5ad(tmp_path / "mrna.h5ad")
    mirna.write_h5ad(tmp_path / "mirna.h5ad")
    again = load_paired(tmp_path)
    assert all(adata.uns["sicmir"]["synthetic"] for adata in again)
    assert again[1].uns["sicmir"]["level"] == mirna.uns["sicmir"]["level"]
    np.testing.assert_array_equal(again[0].X, mrna.X)
