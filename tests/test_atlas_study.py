"""The chapter on the atlas: its data sets, agreement with measurement, the page on toy and on a file."""

from itertools import combinations, permutations

import anndata as ad
import atlas_store
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import small_cells
from papermill.iorw import load_notebook_node
from papermill.parameterize import parameterize_notebook
from scipy.stats import binom, false_discovery_control, spearmanr

from sicmir import data, panel, paths
from sicmir.atlas import agreement, at_hand, figures, labels, sentences, study
from sicmir.atlas.overall import COLUMNS, overall
from sicmir.atlas.query import Atlas
from sicmir.cells import cell_references
from sicmir.errors import DataError, UnreachableError

NOTEBOOK = paths.project() / "notebooks" / "40_atlas.ipynb"
TYPES = ["type A", "type B", "type C", "type D"]


def run_page(parameters):
    """Names that the page leaves behind."""
    notebook = parameterize_notebook(load_notebook_node(str(NOTEBOOK)), parameters)
    page: dict = {}
    for cell in notebook.cells:
        if cell.cell_type == "code":
            exec(compile(cell.source, str(NOTEBOOK), "exec"), page)
            plt.close("all")
    return page


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The page on toy data; its store is asked further."""
    out = tmp_path_factory.mktemp("page")
    page = run_page({"dataset": "toy", "n_resamples": 50, "out_dir": str(out)})
    with Atlas(out / "store") as page["opened"]:
        yield page


def test_the_page_on_toy_finds_what_was_planted(page):
    found, truth = page["found"], at_hand.toy_cells().measured
    assert (found["n_datasets"], found["n_cell_types"], found["n_donors"]) == (2, 4, 12)
    assert found["n_predicted"] >= 46
    assert (found["n_marked"], found["n_untested_types"]) == (4, 0)
    assert {type(value) for value in found.values()} <= {int, float, str}  # what the book can format
    means = truth.to_df().groupby(truth.obs["cell_type"].to_numpy()).mean()
    effects = (means - (means.sum() - means) / 3).stack()  # noqa: PD013
    markers = page["markers"][page["markers"]["finding"]]
    planted = effects.loc[list(zip(markers["cell_type"], markers["mirna"], strict=True))].to_numpy()
    assert len(markers) > 20
    assert (np.sign(planted) == np.sign(markers["effect"])).mean() > 0.95
    assert spearmanr(planted, markers["effect"])[0] > 0.9
    assert set(page["top"]["cell_type"]) == set(TYPES)


def test_findings_are_counted_under_one_false_discovery_rate(page):
    markers = page["markers"]
    p = markers.loc[~markers["greyed"], "p"].dropna()
    q = false_discovery_control(p)  # over all cell types together
    np.testing.assert_allclose(markers.loc[p.index, "q"], q)
    assert page["found"]["n_findings"] == (q <= 0.05).sum()
    assert markers.loc[markers["greyed"], "q"].isna().all()
    for _, own in markers.groupby("cell_type"):
        assert own["finding"].is_monotonic_decreasing
    datasets = study.registry_table(page["opened"])
    assert datasets["synthetic"].all()
    assert datasets["disease"].unique().tolist() == ["normal, toy disease"]
    assert "terms" not in datasets  # none of them has one


def test_nothing_is_found_where_nothing_was_planted(page):
    assert page["contrast_told"] == "toy disease against normal (disease)"
    contrast = page["contrast"]
    assert "i2" in study.shown_contrast(contrast)
    n = contrast["p"].notna().sum()
    assert n > 100
    told = f"toy disease against normal (disease): {n} differences could be tested, "
    assert page["found"]["disease_told"].startswith(told)
    assert contrast["finding"].sum() <= 0.02 * len(contrast)


def test_predictions_agree_with_what_was_planted(page):
    assert len(page["judged"]) == 12
    assert (page["judged"]["lower"] > 0).all()
    assert page["found"]["between"] > 0.8
    assert page["found"]["same_sign"] > 0.9
    places = "takes place 1 of 24 (toy-1), 1 of 24 (toy-2)."
    assert page["found"]["names_told"].endswith(places)
    assert {path.name for path in page["out"].iterdir()} >= {"store", "explorer", "markers.csv"}
    assert 'href="../explorer/index.html"' in study.explorer_link().data
    assert (page["out"] / "explorer" / "index.html").is_file()
    assert pd.read_csv(page["out"] / "markers.csv").shape == page["markers"].shape


def test_agreement_is_that_of_differences(page):
    measured, predicted = page["measured"], page["predicted"]
    judged = page["judged"].iloc[0]
    own = measured[measured.obs["source"] == judged["source"]].to_df()
    kept = own.columns[own.max() >= np.log2(101)]
    assert judged["n_mirnas"] == len(kept)
    a, b = judged["cell_type_a"], judged["cell_type_b"]
    known = (own.loc[a] - own.loc[b])[kept]
    told = (predicted.loc[a] - predicted.loc[b])[kept]
    assert judged["spearman"] == pytest.approx(spearmanr(known, told)[0], abs=1e-6)
    large = known.abs() >= 1
    assert judged["n_large"] == large.sum()
    assert judged["same_sign"] == pytest.approx((np.sign(known) == np.sign(told))[large].mean())
    exchanged = predicted.rename(index={a: b, b: a})
    worse = agreement.agreement(measured, exchanged, n_resamples=5)
    assert worse["spearman"].iloc[0] == pytest.approx(-judged["spearman"], abs=1e-6)


def test_the_headline_bears_an_interval_and_what_chance_gives(page):
    whole, judged, found = page["whole"], page["judged"], page["found"]
    assert whole["pairs"].tolist() == ["within data sets"] * 2  # each source is of one data set
    spearman, sign = whole.itertuples()
    assert spearman.value == pytest.approx(judged["spearman"].median(), abs=1e-6)
    assert sign.value == pytest.approx(np.average(judged["same_sign"], weights=judged["n_large"]))
    assert (spearman.n_pairs, spearman.n_types, spearman.n_sources, spearman.n_namings) == (12, 8, 2, 50)
    for row in (spearman, sign):
        assert row.chance_lower < row.chance < row.chance_upper < row.lower <= row.value <= row.upper
        assert row.p == 1 / 50
    assert (found["between"], found["between_lower"]) == (spearman.value, spearman.lower)
    assert (found["same_sign_chance_upper"], found["same_sign_p"]) == (sign.chance_upper, sign.p)
    told = found["pairs_told"]
    assert told.startswith("Of 12 pairs of cell types of one data set")
    assert "cross data sets" not in told
    shown = [f"{value:.2f}".replace("-", "−") for value in (spearman.value, spearman.chance_lower)]
    assert f"correlate by {shown[0]} in" in told
    assert f"exchanged within data sets {shown[1]} to" in told
    assert f"above 0 for {(judged['lower'] > 0).sum()} of them and below 0 for 0." in told
    assert f"right sign in {100 * sign.value:.0f} % (95 % interval" in told
    worst = judged.loc[judged["spearman"].idxmin()]
    assert f"from {worst['spearman']:.2f} ({worst['cell_type_a']} – " in found["range_told"]
    assert (found["n_pairs"], found["n_across"]) == (12, 0)
    assert np.isnan([found["across_between"], found["across_same_sign_p"]]).all()


def few_types(rng, agree=0.0, n_types=4, n_donors=3, n_mirnas=60):
    """Measured miRNA of cell types of one source, and predictions of donors that agree with it or do not."""
    names = [f"set: type {i}" for i in range(n_types)]
    known = rng.uniform(8, 14, (n_types, n_mirnas))
    mirnas = [f"m{i}" for i in range(n_mirnas)]
    obs = pd.DataFrame({"dataset": "set", "cell_type": names, "source": "one"}, index=names)
    measured = ad.AnnData(known.astype(np.float32), obs=obs, var=pd.DataFrame(index=mirnas))
    noise = rng.normal(0, 1, (n_types, 1, n_mirnas)) + rng.normal(0, 0.3, (n_types, n_donors, n_mirnas))
    values = (agree * known[:, None] + noise).reshape(-1, n_mirnas)
    rows = [(name, f"d{i}") for name in names for i in range(n_donors)]
    index = pd.MultiIndex.from_tuples(rows, names=["cell_type", "donor"])
    return measured, pd.DataFrame(values, index=index, columns=mirnas)


def test_agreement_over_all_pairs_by_hand():
    measured, donors = few_types(np.random.default_rng(0), agree=0.2)
    predicted = agreement.predicted_types(donors)
    pd.testing.assert_frame_equal(predicted, donors.groupby("cell_type").mean())
    known, told = measured.to_df().to_numpy(float), predicted.to_numpy()

    def figures(told):
        rho, right, large = [], 0, 0
        for a, b in combinations(range(4), 2):
            left, other = known[a] - known[b], told[a] - told[b]
            rho.append(spearmanr(left, other)[0])
            big = np.abs(left) >= 1
            right, large = right + (np.sign(left) == np.sign(other))[big].sum(), large + big.sum()
        return np.median(rho), right / large

    by_chance = np.array([figures(told[list(order)]) for order in permutations(range(4))])
    found = overall(measured, donors, n_resamples=100)
    assert (found["n_namings"] == 24).all()  # all of them
    for place, row in enumerate(found.itertuples()):
        value = figures(told)[place]
        assert row.value == pytest.approx(value)
        expected = np.percentile(by_chance[:, place], [50, 2.5, 97.5])
        np.testing.assert_allclose([row.chance, row.chance_lower, row.chance_upper], expected)
        assert row.p == pytest.approx(np.mean(by_chance[:, place] >= value - 1e-12))


def test_intervals_of_the_agreement_are_of_cell_types_and_donors():
    rng = np.random.default_rng(1)
    measured, donors = few_types(rng, agree=0.3, n_types=6)
    wide = overall(measured, donors, n_resamples=100).iloc[0]
    same = donors.groupby("cell_type").transform("mean")  # donors alike: what is left is of cell types
    narrow = overall(measured, same, n_resamples=100).iloc[0]
    assert wide["lower"] < wide["value"] < wide["upper"]
    assert wide["upper"] - wide["lower"] > narrow["upper"] - narrow["lower"] > 0
    two = measured.obs_names[:2]
    single = same[same.index.isin(two, level=0)]
    row = overall(measured[two], single, n_resamples=50).iloc[0]  # one pair, whatever is drawn
    assert row["lower"] == pytest.approx(row["value"]) == pytest.approx(row["upper"])
    assert (row["n_pairs"], row["n_namings"]) == (1, 2)
    none = overall(measured[two[:1]], single[single.index.isin(two[:1], level=0)])
    assert list(none.columns) == list(COLUMNS)
    assert none.empty


def test_pairs_of_different_data_sets_are_told_apart_and_equal_libraries_left_out():
    measured, donors = few_types(np.random.default_rng(2), n_types=5)
    measured.obs["dataset"] = ["a", "a", "a", "b", "b"]
    measured.X[4] = measured.X[3]  # beside the same libraries
    found = overall(measured, donors, n_resamples=20)
    assert found["pairs"].tolist() == ["within data sets"] * 2 + ["across data sets"] * 2
    assert found["n_pairs"].tolist() == [3, 3, 6, 6]
    assert found["n_types"].tolist() == [3, 3, 5, 5]
    assert found["n_namings"].tolist() == [6, 6, 12, 12]  # 3! of the types of a, times 2! of those of b
    judged = agreement.agreement(measured, agreement.predicted_types(donors), n_resamples=5)
    assert judged["pairs"].value_counts().to_dict() == {"within data sets": 3, "across data sets": 6}
    for pairs, own in judged.groupby("pairs"):
        row = found[(found["pairs"] == pairs) & (found["figure"] == "spearman")].iloc[0]
        assert row["value"] == pytest.approx(own["spearman"].median())
    quoted = study._of_pairs(found)
    for place, name in enumerate(("between", "same_sign", "across_between", "across_same_sign")):
        assert quoted[name] == found["value"].iloc[place]
        assert quoted[f"{name}_p"] == found["p"].iloc[place]
    told = sentences.pairs_told(judged, quoted)
    assert told.startswith("Of 3 pairs of cell types of one data set")
    values = [f"{quoted[name]:.2f}".replace("-", "−") for name in ("between", "across_between")]
    assert f"correlate by {values[0]} in the median (95 % interval" in told
    crossing = "The 6 pairs that cross data sets, which also hold what sets these apart, correlate by"
    assert f"{crossing} {values[1]} in the median" in told
    told = sentences.pairs_told(judged[judged["pairs"] == "across data sets"], quoted)
    assert told.startswith(f"No two cell types of one data set were measured by one source. {crossing}")


def test_findings_of_data_sets_that_disagree_are_counted():
    contrast = pd.DataFrame({"p": [0.01, 0.01, 0.02, np.nan], "finding": [True, True, False, False]})
    told = sentences.disease_told(contrast.assign(i2=[0.98, 0.3, 0.9, np.nan]), "flu against normal")
    assert told.endswith(
        "3 differences could be tested, 2 are findings, 1 of these with an I² of 75 % or more "
        "between data sets."
    )
    told = sentences.disease_told(contrast.assign(i2=np.nan), "flu against normal")  # of one data set
    assert told.endswith("2 are findings.")


def test_predictions_that_know_nothing_are_seldom_better_than_chance():
    n = 60
    sets = (few_types(np.random.default_rng(seed), n_types=3, n_mirnas=30) for seed in range(n))
    p = np.array([overall(*one, n_resamples=6)["p"] for one in sets])  # of six namings
    for level in (1 / 6, 1 / 2):
        low, high = binom.ppf([1e-3, 1 - 1e-3], n, level)
        assert ((low <= (p <= level).sum(axis=0)) & ((p <= level).sum(axis=0) <= high)).all()


def two_data_sets(rng, agree, n_types=4, n_donors=3, n_mirnas=60):
    """Data sets that differ as measured, and cell types of which predictions tell as much as ``agree``."""
    tables = []
    for name in ("a", "b"):
        measured, donors = few_types(rng, agree, n_types, n_donors, n_mirnas)
        shift = rng.normal(0, 3, n_mirnas)  # of the tissue, or of the protocol: no news of any cell type
        measured.X += shift.astype(np.float32)
        measured.obs["dataset"] = name
        names = {old: f"{name}: {old}" for old in measured.obs_names}
        measured.obs_names = [*names.values()]
        tables.append((measured, (donors + shift).rename(index=names, level="cell_type")))
    parts, predicted = zip(*tables, strict=True)
    return ad.concat(parts), pd.concat(predicted)


def test_what_sets_data_sets_apart_is_no_agreement_of_cell_types():
    n = 50
    cases = (two_data_sets(np.random.default_rng(seed), agree=0.0, n_mirnas=30) for seed in range(n))
    tables = [overall(*case, n_resamples=20) for case in cases]
    p = pd.concat(tables).groupby(["pairs", "figure"])["p"]
    assert (p.size() == n).all()
    assert len(p) == 4
    low, high = binom.ppf([1e-3, 1 - 1e-3], n, 0.05)
    assert p.agg(lambda own: (own < 0.0501).sum()).between(low, high).all()
    crossing = pd.concat(tables).query("pairs == 'across data sets' and figure == 'spearman'")
    assert crossing["value"].median() > 0.4  # the data sets themselves agree, and so they do by chance
    assert (crossing["chance"] - crossing["value"]).median() == pytest.approx(0, abs=0.02)


def test_agreement_of_cell_types_is_found_in_both_kinds_of_pairs():
    case = two_data_sets(np.random.default_rng(0), agree=0.5)
    found = overall(*case, n_resamples=100)
    assert len(found) == 4
    assert (found["p"] == 1 / 100).all()
    assert (found["chance_upper"] < found["lower"]).all()


def test_names_are_exchanged_within_data_sets_alone():
    measured, donors = two_data_sets(np.random.default_rng(0), agree=0.5, n_types=3)
    orders = agreement.place_of_names(measured, agreement.predicted_types(donors))
    assert (orders["n_types"] == 6).all()
    assert (orders["n_orders"] == 36).all()  # 3! of each data set, not 6!
    assert orders.set_index("figure")["place"]["between"] == 1


def test_predicted_types_are_means_over_donors(page):
    predicted, opened = page["predicted"], page["opened"]
    chosen = "dataset = 'toy-1' AND cell_type = 'type B' AND NOT abstained"
    rows = opened.sql(f"SELECT mirna, predicted FROM mirna WHERE {chosen}")
    expected = rows.groupby("mirna")["predicted"].mean()[predicted.columns]
    np.testing.assert_allclose(predicted.loc["toy-1: type B"], expected, rtol=1e-5)
    rows = opened.sql(f"SELECT donor, mirna, predicted FROM mirna WHERE {chosen}")
    each = rows.pivot_table("predicted", "donor", "mirna")[predicted.columns]
    found = page["by_measured"].loc["toy-1: type B"]
    np.testing.assert_allclose(found, each.loc[found.index], rtol=1e-5)
    assert len(found) == 6


def test_the_network_and_the_contrast_that_are_chosen(page):
    opened, markers = page["opened"], page["markers"]
    found = study.network(opened, markers, cell_type="type C")
    assert set(found["cell_type"]) == {"type C"}
    assert found["mirna"].iloc[0] in set(study.top_markers(markers)["mirna"])
    assert study.network(opened, markers, "toy-miR-001", "type A")["mirna"].unique() == ["toy-miR-001"]
    assert study.best_contrast(opened) == ("toy disease", "normal", "disease")
    table, told = study.compared(opened, "diseased", "healthy", across="fixed")
    assert told == "diseased against healthy (condition)"
    keys = ["cell_type", "mirna"]
    expected = page["contrast"].set_index(keys)["effect"]
    found = table.set_index(keys)["effect"]
    np.testing.assert_allclose(found, expected[found.index])


def test_a_page_of_a_file_by_parameters_alone(tmp_path):
    cells = small_cells.cells(24)
    cells.obs = pd.DataFrame(
        {"patient": cells.obs["donor"], "cluster": cells.obs["cell_type"].replace("type 0", "odd | <b>")},
    )
    cells.uns = {}
    cells.write_h5ad(tmp_path / "mine.h5ad")
    small_cells.bundle().save(tmp_path / "model")
    keys = {"cell_type_key": "cluster", "donor_key": "patient", "tissue": "skin", "disease": "normal"}
    page = run_page(
        keys | {
            "dataset": str(tmp_path / "mine.h5ad"), "model": str(tmp_path / "model"), "targets": "",
            "out_dir": str(tmp_path / "out"),
        }
    )  # fmt: skip
    found = page["found"]
    assert (found["n_datasets"], found["n_donors"], found["n_cell_types"], found["n_predicted"]) == (
        1,
        3,
        2,
        6,
    )
    assert (found["n_pairs"], found["n_targets"]) == (0, 0)
    assert found["disease_told"].startswith("No data set has two diseases")
    assert found["pairs_told"].startswith("No two cell types of this atlas were measured")
    assert found["names_told"].startswith("No source has enough cell types")
    assert "nan" not in " ".join(str(value) for key, value in found.items() if key.endswith("_told"))
    assert np.isnan([found["between"], found["between_upper"], found["same_sign_chance_lower"]]).all()
    (row,) = page["atlas"].registry.itertuples()
    assert (row.dataset, row.tissue, row.disease) == ("mine", "skin", "normal")


# What it is built of


def test_names_and_terms_of_the_data_sets_are_well_formed():
    facts, names = at_hand.facts(), at_hand.cell_type_names()
    for row in facts.itertuples():
        labels.label("tissue", row.tissue, row.tissue_id)
        labels.label("disease", row.disease, row.disease_id)
    for row in names.itertuples():
        labels.label("cell_type", row.cell_type, row.id)
    assert not names.duplicated(["dataset", "label"]).any()
    assert set(names["dataset"]) == set(facts["dataset"]) == set(at_hand.LOADERS)
    terms = names[names["id"] != ""].drop_duplicates(["cell_type", "id"])
    assert not terms["cell_type"].duplicated().any()
    assert not terms["id"].duplicated().any()
    assert set(facts["dataset"]) <= set(data.load_manifest().datasets)
    known = cell_references.matches().merge(
        names, left_on=["dataset", "cell_type"], right_on=["dataset", "label"]
    )
    assert len(known) >= 8


def test_donors_bear_the_tissue_that_they_were_taken_from(monkeypatch, tmp_path):
    sites = at_hand.donor_tissues()
    for row in sites.itertuples():
        labels.label("tissue", row.tissue, row.tissue_id)
        assert row.dataset in set(at_hand.facts()["dataset"])
    assert not sites.duplicated(["dataset", "donor"]).any()
    cells = small_cells.cells(12)
    cells.obs["donor"] = cells.obs["donor"].replace({"d0": "T3", "d1": "Y00014", "d2": "Y00016"})
    cells.obs["cell_type"] = np.where(cells.obs["cell_type"] == "type 0", "immune", "epithelial")
    cells.obs["condition"] = np.where(cells.obs["donor"] == "T3", "primary", "metastasis")

    def refuse():
        raise UnreachableError("nothing there")

    loaders = dict.fromkeys(at_hand.LOADERS, refuse)
    monkeypatch.setattr(at_hand, "LOADERS", loaders | {"pdac": lambda: cells})
    found = at_hand.load_cells("auto")
    at_hand.build(found, small_cells.bundle(), tmp_path / "store", "", min_cells=5)
    with Atlas(tmp_path / "store") as opened:
        told = opened.sql("SELECT DISTINCT donor, tissue, tissue_id FROM mirna ORDER BY donor")
    assert told.to_numpy().tolist() == [
        ["T3", "pancreas", "UBERON:0001264"],
        ["Y00014", "omentum", "UBERON:0003688"],
        ["Y00016", "liver", "UBERON:0002107"],
    ]


def test_what_cannot_be_reached_is_left_out_and_toy_takes_the_place_of_all(monkeypatch):
    def refuse():
        raise UnreachableError("nothing there")

    cells = small_cells.cells(4)
    cells.obs["cell_type"] = np.where(cells.obs["cell_type"] == "type 0", "malignant", "unknown kind")
    loaders = dict.fromkeys(at_hand.LOADERS, refuse)
    monkeypatch.setattr(at_hand, "LOADERS", loaders | {"gbm": lambda: cells})
    found = at_hand.load_cells("auto")
    assert list(found) == ["gbm"]
    assert set(found["gbm"].obs["cell_type"]) == {"malignant"}
    monkeypatch.setattr(at_hand, "LOADERS", loaders)
    with pytest.warns(UserWarning, match="SYNTHETIC DATA: no single-cell data set could be reached"):
        assert at_hand.is_toy(at_hand.load_cells("auto"))


def test_measured_types_bear_the_names_of_the_atlas(monkeypatch):
    names = panel.single_locus()["mature"].iloc[:3].tolist()
    obs = pd.DataFrame({"dataset": ["brain", "brain", "pbmc"], "cell_type": ["neurons", "OPC", "B"]})
    obs = obs.assign(source="fantom5", match="similar").set_axis(["a", "b", "c"])
    mirna = ad.AnnData(np.ones((3, 3), np.float32), obs=obs, var=pd.DataFrame(index=names))
    monkeypatch.setattr(cell_references, "load_cell_types", lambda: (None, mirna.copy()))
    bundle = small_cells.bundle()
    found = agreement.measured_types({"brain": None}, bundle)
    assert found.obs["cell_type"].tolist() == ["neuron", "oligodendrocyte precursor cell"]
    assert found.var_names.tolist() == names

    def refuse():
        raise UnreachableError("nothing there")

    monkeypatch.setattr(cell_references, "load_cell_types", refuse)
    with pytest.warns(UserWarning, match="NOT COMPARED: no measured cell type"):
        none = agreement.load_measured({"brain": None}, bundle)
    assert none.n_obs == 0
    assert agreement.load_measured({"mine": None}, bundle).n_obs == 0  # without a warning


def test_an_atlas_without_two_cell_types_of_a_donor_has_no_markers(tmp_path):
    cells = atlas_store.cells()
    cells.obs["cell_type"] = "one type"
    atlas_store.put(tmp_path / "store", adata=cells, targets="")
    with Atlas(tmp_path / "store") as opened, pytest.raises(DataError, match="nothing has markers"):
        study.all_markers(opened)


def test_figures_show_what_is_told(page):
    figure = figures.dots(page["shown"])
    ax = figure.axes[0]
    assert [tick.get_text() for tick in ax.get_xticklabels()] == list(dict.fromkeys(page["top"]["mirna"]))
    assert ax.get_yticklabels()[0].get_text().startswith("type D (n = 12)")
    assert len(figures.donors(page["by_donor"]).axes[0].get_yticklabels()) == 4
    assert len(figures.pairs(page["judged"]).axes[0].get_yticklabels()) == 12
    assert "No two cell types" in figures.pairs(page["judged"].iloc[:0]).axes[0].texts[0].get_text()
    plt.close("all")
