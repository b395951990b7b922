"""Several paired sets as one: what is merged, what is brought to one scale, and what is refused."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

import sicmir
from sicmir import panel
from sicmir.data.checksum import digest
from sicmir.data.collection import Recipe, load_collection, load_member, origins, read_recipe
from sicmir.errors import DataError, ManifestError, PanelError, ReadError

GENES = panel.landmarks()["symbol"].tolist()
MATURE = ["toy-miR-1", "toy-miR-2", "toy-miR-3"]


def values(names, columns, seed=0):
    data = np.random.default_rng(seed).uniform(1, 12, (len(names), len(columns)))
    return pd.DataFrame(data.astype(np.float32), index=names, columns=columns)


def write(folder, mrna, mirna, ending="parquet", stem="mirna_mature", **columns):
    """Write a folder of paired tables whose donors are the first two characters of the samples."""
    folder.mkdir(parents=True, exist_ok=True)
    names = mrna.index.tolist()
    labels = {"sample": names, "patient": [name[:2] for name in names], "cohort": "X", "tissue": "tumor"}
    tables = {"samples": pd.DataFrame(labels | columns)}
    for name, frame in (("mrna", mrna), (stem, mirna)):
        tables[name] = frame.rename_axis("sample").reset_index()
    for name, table in tables.items():
        path = folder / f"{name}.{ending}"
        table.to_parquet(path) if ending == "parquet" else table.to_csv(path, index=False)


def recipe(*sets, **options):
    return Recipe(sets=[{"set": one} if isinstance(one, str) else one for one in sets], **options)


def expected_by_hand(frames, rows, columns):
    """The first value that is there, cell by cell."""
    result = np.full((len(rows), len(columns)), np.nan)
    cells = [frame.to_dict() for frame in frames]
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            known = [table[column][row] for table in cells if row in table.get(column, {})]
            result[i, j] = next((value for value in known if not np.isnan(value)), np.nan)
    return result


@pytest.fixture
def three(tmp_path):
    """Three overlapping sets with gaps; the mRNA and miRNA tables of each."""
    rng = np.random.default_rng(1)
    names = (["d1t", "d2t", "d3t"], ["d3t", "d1t", "d4t"], ["d5t", "d4t", "d2t"])
    mirnas = (MATURE[:2], MATURE, ["toy-miR-9", *MATURE[::-1]])
    frames = {}
    for i, (rows, columns) in enumerate(zip(names, mirnas, strict=True)):
        mrna, mirna = values(rows, GENES, i), values(rows, columns, 10 + i)
        mrna = mrna.mask(rng.random(mrna.shape) < 0.4)
        mirna.iloc[0, 0] = np.nan
        mrna.iloc[:, 7] = np.nan
        write(tmp_path / f"tcga/{'abc'[i]}", mrna, mirna, "csv" if i == 1 else "parquet")
        frames["abc"[i]] = mrna, mirna
    frames["a"][0].iloc[:, 8] = np.nan
    write(tmp_path / "tcga/a", *frames["a"])
    return tmp_path, list(frames.values())


def test_each_value_comes_from_the_first_set_that_has_it(three):
    root, frames = three
    mrna, mirna = load_collection(recipe("tcga/a", "tcga/b", "tcga/c"), root)
    rows = ["d1t", "d2t", "d3t", "d4t", "d5t"]
    assert mrna.obs_names.tolist() == mirna.obs_names.tolist() == rows
    assert mirna.var_names.tolist() == [*MATURE, "toy-miR-9"]
    for found, side in ((mrna, 0), (mirna, 1)):
        expected = expected_by_hand([pair[side] for pair in frames], rows, found.var_names)
        np.testing.assert_allclose(found.to_df(), expected, rtol=1e-5)
        assert found.X.dtype == np.float32
    reverse = load_collection(recipe("tcga/c", "tcga/b", "tcga/a"), root)[1].to_df()
    pair = [frame[1] for frame in frames[::-1]]
    np.testing.assert_allclose(reverse, expected_by_hand(pair, reverse.index, reverse.columns), rtol=1e-5)


def test_labels_sources_and_coverage_are_those_of_all_sets(three):
    root, _ = three
    mrna, mirna = load_collection(recipe("tcga/a", "tcga/b", "tcga/c"), root)
    pd.testing.assert_frame_equal(mrna.obs, mirna.obs)
    assert mrna.obs["dataset"].tolist() == ["tcga/a", "tcga/a", "tcga/a", "tcga/b", "tcga/c"]
    assert mrna.obs["donor"].tolist() == ["d1", "d2", "d3", "d4", "d5"]
    for adata, name in ((mrna, "mrna"), (mirna, "mirna_mature")):
        assert adata.uns["sicmir"]["dataset"] == "tcga/a+tcga/b+tcga/c"
        sources = adata.uns["sicmir"]["sources"].set_index("name")["checksum"]
        endings = {"a": "parquet", "b": "csv", "c": "parquet"}
        files = [f"tcga/{k}/{stem}.{v}" for k, v in endings.items() for stem in (name, "samples")]
        assert sorted(sources.index) == sorted(files)
        assert all(sources[file] == f"sha256:{digest(root / file, 'sha256')}" for file in files)
    missing = panel.coverage(mrna).missing  # gene 8 is not in the first set, gene 7 in none
    assert missing == tuple(np.array(GENES)[np.isnan(mrna.X).all(axis=0)])
    assert GENES[7] in missing
    assert GENES[8] not in missing


def test_one_set_is_what_load_paired_gives(three):
    root, _ = three
    mrna, mirna = load_collection(recipe("tcga/a"), root)
    x, y = sicmir.load_paired(root / "tcga/a")
    aligned = panel.align(x, min_coverage=0.4)
    pd.testing.assert_frame_equal(mrna.to_df(), aligned.to_df())
    pd.testing.assert_frame_equal(mirna.to_df(), y.to_df())
    pd.testing.assert_frame_equal(mrna.obs.drop(columns="dataset"), x.obs.drop(columns="dataset"))
    assert mrna.uns["sicmir"]["coverage"]["found"] == aligned.uns["sicmir"]["coverage"]["found"]


@pytest.mark.real
def test_a_key_of_the_manifest_is_a_set_too(real_data, tmp_path):
    names = real_data[0].obs_names[:1].tolist()
    write(tmp_path / "own", values(names, GENES), values(names, ["hsa-mir-21"]), stem="mirna", cohort="ACC")
    (tmp_path / "own" / "samples.parquet").unlink()
    labels = real_data[0].obs.iloc[:1].rename(columns={"donor": "patient", "condition": "tissue"})
    labels.assign(tissue="tumor").to_parquet(tmp_path / "own" / "samples.parquet")
    mrna, mirna = load_collection(recipe("tcga-small", "own"), tmp_path)
    pd.testing.assert_frame_equal(mirna.to_df(), real_data[1].to_df())
    assert set(mrna.obs["dataset"]) == {"tcga-small"}
    assert mrna.uns["sicmir"]["sources"]["name"].tolist()[-2:] == ["own/mrna.parquet", "own/samples.parquet"]


@pytest.mark.parametrize(
    ("column", "label", "words"),
    [
        ("patient", ["e1", "d2"], "d1t has donor 'e1', and 'd1'"),
        ("cohort", ["X", "Y"], "d2t has cohort 'Y', and 'X'"),
        ("tissue", ["tumor", "normal"], "d2t has condition 'normal', and 'tumour'"),
    ],
)
def test_sets_that_disagree_about_a_sample_are_refused(tmp_path, column, label, words):
    rows = ["d1t", "d2t"]
    write(tmp_path / "a", values(rows, GENES), values(rows, MATURE))
    write(tmp_path / "b", values(rows, GENES), values(rows, MATURE), **{column: label})
    with pytest.raises(DataError, match=f"b: sample {words} in a set before it"):
        load_collection(recipe("a", "b"), tmp_path)


def test_levels_are_not_mixed(tmp_path):
    rows = ["d1t", "d2t"]
    write(tmp_path / "a", values(rows, GENES), values(rows, MATURE))
    write(tmp_path / "b", values(rows, GENES), values(rows, ["toy-mir-1"]), stem="mirna")
    with pytest.raises(DataError, match="b: its miRNAs are of another level than before .*mature"):
        load_collection(recipe("a", "b"), tmp_path)


def test_units_are_not_mixed(tmp_path, toy_pair):
    rows = ["d1t", "d2t"]
    write(tmp_path / "a", values(rows, GENES), values(rows, MATURE))
    write(tmp_path / "b", values(rows, GENES) - 6, values(rows, MATURE), units="log2(sample/reference)")
    with pytest.raises(DataError, match=r"b: its mRNA is given as 'log2\(sample/reference\)'; .*matched"):
        load_collection(recipe("a", "b"), tmp_path)
    assert load_member(recipe("b").sets[0], tmp_path, 0.4)[0].X.min() < 0  # on its own it may be so
    mrna, mirna = (adata[:4].copy() for adata in toy_pair)
    mirna.uns["sicmir"]["units"] = "log2(array intensity)"
    (tmp_path / "c").mkdir()
    mrna.write_h5ad(tmp_path / "c" / "mrna.h5ad")
    mirna.write_h5ad(tmp_path / "c" / "mirna_mature.h5ad")
    with pytest.raises(DataError, match=r"c: its miRNA is given as 'log2\(array.*log2\(RPM\+1\)"):
        load_collection(recipe("a", "c"), tmp_path)


def test_one_synthetic_set_makes_a_collection_synthetic(tmp_path, toy_pair):
    rows = ["d1t", "d2t"]
    write(tmp_path / "a", values(rows, GENES), values(rows, MATURE))
    (tmp_path / "b").mkdir()
    for adata, name in zip(toy_pair, ("mrna", "mirna_mature"), strict=True):
        adata[:4].copy().write_h5ad(tmp_path / "b" / f"{name}.h5ad")
    assert not load_collection(recipe("a"), tmp_path)[0].uns["sicmir"]["synthetic"]
    assert all(adata.uns["sicmir"]["synthetic"] for adata in load_collection(recipe("a", "b"), tmp_path))


def test_offsets_are_taken_off_and_a_gene_without_one_is_not_measured(tmp_path):
    rows = ["d1t", "d2t"]
    mrna = values(rows, GENES)
    write(tmp_path / "a", mrna, values(rows, MATURE))
    offsets = pd.Series(np.random.default_rng(3).normal(0, 3, 900), index=GENES[:900])
    table = pd.DataFrame({"gene": [*offsets.index, "NOLANDMARK"], "offset": [*offsets, 1.0], "n": 20})
    table.to_csv(tmp_path / "a" / "offsets.csv", index=False)
    found, _ = load_collection(recipe({"set": "a", "offsets": "offsets.csv"}), tmp_path)
    expected = (mrna[GENES[:900]] - offsets).clip(lower=0)
    np.testing.assert_allclose(found.to_df()[GENES[:900]], expected, atol=1e-5)
    assert (expected == 0).to_numpy().any()
    assert found.to_df()[GENES[900:]].isna().to_numpy().all()
    assert panel.coverage(found).missing == tuple(GENES[900:])
    assert found.uns["sicmir"]["sources"]["name"].iloc[-1] == "a/offsets.csv"
    with pytest.raises(ReadError, match=r"other\.csv: expected a CSV with the columns gene and offset"):
        load_collection(recipe({"set": "a", "offsets": "other.csv"}), tmp_path)
    table.rename(columns={"offset": "shift"}).to_csv(tmp_path / "a" / "offsets.csv", index=False)
    with pytest.raises(ReadError, match="gene and offset"):
        load_collection(recipe({"set": "a", "offsets": "offsets.csv"}), tmp_path)


@pytest.fixture(scope="module")
def cohorts():
    """Genes of 90 donors in three cohorts, which differ in their means and SDs; miRNA; cohort labels."""
    mrna, mirna = sicmir.toy.paired_bulk(30, 3, 977, 10, normal_fraction=0, seed=8)
    cohort = mrna.obs["cohort"].to_numpy()
    width = pd.Series({"TOYA": 0.4, "TOYB": 0.8, "TOYC": 1.2})[cohort].to_numpy()[:, None]
    centre = mrna.to_df().groupby(cohort).transform("mean")
    names = [f"{i:02d}t" for i in range(90)]
    genes = (centre + width * (mrna.to_df() - centre)).clip(lower=0).add(8).set_axis(names)
    return genes, mirna.to_df().set_axis(names), pd.Series(cohort, index=names)


def matched(root, cohorts, reference_rows, array_rows, distort, blank=None):
    """Load a reference and distorted arrays, here of the same donors under other names."""
    genes, mirna, cohort = cohorts
    reference = genes.loc[reference_rows]
    if blank is not None:
        reference = blank(reference.copy())
    write(root / "a", reference, mirna.loc[reference_rows], cohort=cohort[reference_rows].tolist())
    arrays, of_arrays = (
        frame.loc[array_rows].set_axis([f"z{n}" for n in array_rows]) for frame in (genes, mirna)
    )
    labels = {"patient": list(arrays.index), "cohort": cohort[array_rows].tolist()}
    write(root / "b", distort(arrays), of_arrays, units="log2(sample/reference)", **labels)
    found, _ = load_collection(recipe("a", {"set": "b", "matched": True}), root)
    return reference, distort(arrays), found.to_df().loc[arrays.index]


def rows_of(cohort, **numbers):
    return [name for key, n in numbers.items() for name in cohort.index[cohort == key][:n]]


def test_a_planted_shift_is_taken_back_exactly(tmp_path, cohorts):
    shift = np.random.default_rng(0).normal(-8, 3, 977)
    rows = list(cohorts[0].index)
    reference, _, found = matched(tmp_path, cohorts, rows, rows, lambda arrays: arrays + shift)
    np.testing.assert_allclose(found, reference, atol=2e-3)


def test_planted_lines_are_taken_back_as_far_as_the_samples_tell(tmp_path, cohorts):
    rng = np.random.default_rng(0)
    slope, shift = rng.uniform(0.5, 1.6, 977), rng.normal(-15, 3, 977)
    rows = list(cohorts[0].index)
    reference, distorted, found = matched(tmp_path, cohorts, rows, rows, lambda x: x * slope + shift)
    within = [frame - frame.groupby(cohorts[2].to_numpy()).transform("mean") for frame in (found, reference)]
    left = np.sqrt((within[0] ** 2).mean() / (within[1] ** 2).mean())
    # 90 samples against a line of slope 1 that weighs as 20.
    np.testing.assert_allclose(left, slope ** (20 / 110), rtol=2e-3)
    np.testing.assert_allclose(found.mean(), reference.mean(), atol=2e-3)
    error, before = (np.abs(frame - reference.to_numpy()).mean(axis=None) for frame in (found, distorted))
    assert error < 0.05 * before


def test_another_mix_of_cohorts_does_not_tilt_the_lines(tmp_path, cohorts):
    """The cohorts differ in their SD, so SDs over other mixtures of them would differ for nothing."""
    few, many = {"TOYA": 30, "TOYC": 22}, {"TOYA": 22, "TOYC": 30}
    rows = [rows_of(cohorts[2], **numbers) for numbers in (few, many)]
    genes = cohorts[0]
    _, _, found = matched(tmp_path, cohorts, *rows, lambda arrays: arrays - 10)
    truth = genes.loc[rows[1]].to_numpy()
    tilt = found.std().to_numpy() / truth.std(axis=0, ddof=1)
    assert np.median(tilt) == pytest.approx(1, abs=0.04)


def test_lines_equal_sums_written_out_and_use_only_cohorts_measured_on_both_sides(tmp_path, cohorts):
    cohort = cohorts[2]
    slope = np.random.default_rng(2).uniform(0.5, 1.6, 977)
    reference_rows = rows_of(cohort, TOYA=30, TOYB=25, TOYC=19)
    array_rows = rows_of(cohort, TOYA=21, TOYB=30, TOYC=30)

    def blank(reference):
        reference.loc[rows_of(cohort, TOYB=25), GENES[:400]] = np.nan  # measured in TOYA alone
        reference.loc[rows_of(cohort, TOYA=11), GENES[3]] = np.nan  # and there by 19: too few
        return reference

    reference, arrays, found = matched(
        tmp_path, cohorts, reference_rows, array_rows, lambda x: x * slope - 20, blank
    )
    groups = cohort[reference_rows].to_numpy(), cohort[array_rows].to_numpy()
    for gene in [*GENES[:10], *GENES[395:410]]:
        total = spread = goal_spread = shift = 0.0
        sides = []
        for name in ("TOYA", "TOYB", "TOYC"):
            goal = reference[gene].to_numpy(float)[groups[0] == name]
            goal, have = goal[~np.isnan(goal)], arrays[gene].to_numpy(float)[groups[1] == name]
            n = min(len(goal), len(have))
            if n >= 20:
                total, spread, goal_spread = (
                    total + n,
                    spread + n * have.var(),
                    goal_spread + n * goal.var(),
                )
                sides.append((n, goal.mean(), have.mean()))
        if gene == GENES[3]:
            assert found[gene].isna().all()
            continue
        assert len(sides) == (1 if gene in GENES[:400] else 2)
        line = np.sqrt(goal_spread / spread) ** (total / (total + 20))
        shift = sum(n * (goal - line * have) for n, goal, have in sides) / total
        np.testing.assert_allclose(found[gene], np.maximum(arrays[gene] * line + shift, 0), rtol=1e-4)


def test_matched_needs_a_cohort_in_common(tmp_path, cohorts):
    rows = [rows_of(cohorts[2], TOYA=30, TOYB=19), rows_of(cohorts[2], TOYB=30)]
    with pytest.raises(DataError, match=r"b: no cohort has 20 samples here and in the sets before it"):
        matched(tmp_path, cohorts, *rows, lambda arrays: arrays - 10)


def test_cohorts_are_dropped_and_a_misspelt_one_is_told(tmp_path):
    rows = ["d1t", "d2t", "d3t"]
    write(tmp_path / "a", values(rows, GENES), values(rows, MATURE), cohort=["X", "Y", "X"])
    mrna, mirna = load_collection(recipe({"set": "a", "drop_cohorts": ["X"]}), tmp_path)
    assert mrna.obs_names.tolist() == mirna.obs_names.tolist() == ["d2t"]
    with pytest.raises(DataError, match="a: the cohorts Z of drop_cohorts are not there; found X, Y"):
        load_collection(recipe({"set": "a", "drop_cohorts": ["Z", "X"]}), tmp_path)


def test_aliquots_tell_machine_and_plate(tmp_path):
    rows = ["TCGA-AA-0001-01", "TCGA-AA-0002-01", "TCGA-AA-0003-01"]
    write(tmp_path / "a", values(rows, GENES), values(rows, MATURE), patient=[name[:12] for name in rows])
    table = pd.DataFrame(
        {
            "sample": [rows[1], rows[0], "TCGA-ZZ-0001-01"],
            "barcode": [f"{rows[1]}A-11R-A29W-13", f"{rows[0]}A-11R-A12B-13", "TCGA-ZZ-0001-01A-11R-A1-13"],
            "machine": ["HiSeq", "GA", "HiSeq"],
        }
    )
    table.to_parquet(tmp_path / "aliquots.parquet")
    mrna, mirna = load_collection(recipe("a", aliquots="aliquots.parquet"), tmp_path)
    for adata in (mrna, mirna):
        assert adata.obs["machine"].tolist()[:2] == ["GA", "HiSeq"]
        assert adata.obs["plate"].tolist()[:2] == ["A12B", "A29W"]
        assert adata.obs.iloc[2][["machine", "plate"]].isna().all()
        assert adata.uns["sicmir"]["sources"]["name"].iloc[-1] == "aliquots.parquet"
    table.iloc[2:].to_parquet(tmp_path / "aliquots.parquet")
    none, _ = load_collection(recipe("a", aliquots="aliquots.parquet"), tmp_path)
    assert none.obs[["machine", "plate"]].isna().to_numpy().all()
    table.drop(columns="machine").to_parquet(tmp_path / "aliquots.parquet")
    for name in ("aliquots.parquet", "other.parquet"):
        with pytest.raises(ReadError, match=f"{name}: expected a table with sample, barcode and machine"):
            load_collection(recipe("a", aliquots=name), tmp_path)


def test_too_few_landmarks_are_refused(tmp_path):
    rows = ["d1t", "d2t"]
    write(tmp_path / "a", values(rows, GENES[:400]), values(rows, MATURE))
    with pytest.raises(PanelError, match=r"Only 400 of 977 landmark genes are measured .*at least 50%"):
        load_collection(recipe("a", min_coverage=0.5), tmp_path)
    assert load_collection(recipe("a", min_coverage=0.4), tmp_path)[0].n_vars == 977


def test_a_set_is_looked_for_below_the_root_and_not_where_one_stands(tmp_path, monkeypatch):
    rows = ["d1t", "d2t"]
    write(tmp_path / "here" / "a", values(rows, GENES), values(rows, MATURE))
    monkeypatch.chdir(tmp_path / "here")
    for name in ("a", "auto"):
        with pytest.raises(ManifestError, match=rf"{name}: expected a folder below .*elsewhere, or a key"):
            load_collection(recipe(name), tmp_path / "elsewhere")


def test_recipes_are_read_and_wrong_ones_refused(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text(
        yaml.safe_dump({"sets": [{"set": "a"}, {"set": "b", "matched": True}], "same": {"P": "Q"}})
    )
    assert read_recipe(path) == recipe("a", {"set": "b", "matched": True}, same={"P": "Q"})
    for content, words in (
        (b"sets: [{set: a}]\nlevel: mature\n", r"level.*Extra inputs"),
        (b"sets: [{set: a, level: mature}]\n", r"sets\.0\.level.*Extra inputs"),
        (b"sets: []\n", r"sets.*at least 1 item"),
        (b"sets: [{offsets: a.csv}]\n", r"sets\.0\.set.*Field required"),
        (b"sets: [{set: a, matched: true}]\n", "a: the first set cannot be matched"),
        (b"", "valid dictionary"),
        (b"sets: [\n", "expected the node content"),
        (b"\xff\xfe\x00", "can't decode"),
    ):
        path.write_bytes(content)
        with pytest.raises(ManifestError, match=rf"(?s)recipe\.yaml: expected the description.*{words}"):
            read_recipe(path)
    with pytest.raises(ManifestError, match=r"none\.yaml: expected the description"):
        read_recipe(tmp_path / "none.yaml")


def test_the_recipe_of_the_shipped_model_is_one():
    found = read_recipe(Path(__file__).parents[1] / "benchmarks" / "collection.yaml")
    assert found.sets[0].set == "rsem"
    assert not found.sets[0].offsets


def test_origins_count_samples_and_files_of_each_repository(tmp_path):
    (tmp_path / "a").mkdir()
    table = pd.DataFrame({"sample": list("xyz"), "repo": ["p/q", "p/q", "r/s"], "file": ["1", "2", "1"]})
    table.to_parquet(tmp_path / "a" / "samples.parquet")
    recipe = Recipe.model_validate({"sets": [{"set": "a"}, {"set": "tcga-small"}]})
    found = origins(recipe, tmp_path)
    assert found.to_numpy().tolist() == [["a", "p/q", 2, 2], ["a", "r/s", 1, 1]]
