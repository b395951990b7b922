"""The study of paired tumours finds what was planted; its page runs on other data by parameters alone."""

import dataclasses
import json

import nbformat
import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score
from test_pair_sets import folder

from sicmir import panel, stats, toy
from sicmir.benchmark import evaluation, held_out
from sicmir.chapters import effect_plots
from sicmir.chapters.pairs import (
    pair_claims,
    pair_figures,
    pair_network,
    pair_predictors,
    pair_sets,
    pair_study,
    predicted_differences,
)
from sicmir.donors import effect_agreement
from sicmir.errors import DataError
from sicmir.networks import hub_overlap, mirna_modules
from sicmir.networks.hub_overlap import HubOverlap
from sicmir.publishing import report
from sicmir.publishing.runner import run_page

CONTRAST = {"condition_key": "condition", "case": "tumour", "reference": "normal"}


@pytest.fixture(scope="module")
def study():
    """Samples, predictions and differences of the toy page."""
    pairs = pair_sets.load_pairs("toy")
    bundle = held_out.learn(pairs.further_mrna, pairs.further_mirna)
    measured = pairs.mirna[:, evaluation.detected_names(pairs.mirna)].copy()
    predicted = pair_predictors.predictions(pairs, bundle)
    truth = stats.differential(measured, min_grade="", **CONTRAST)
    tables = predicted_differences.differences(predicted, min_grade="B", **CONTRAST)
    return pairs, measured, predicted, truth, tables


@pytest.fixture(scope="module")
def agreed(study):
    _, measured, predicted, truth, tables = study
    return pair_study.agreement(measured, predicted, truth, tables, CONTRAST, "B", n_resamples=100)


def test_planted_effects_are_recovered_by_measurement_and_by_prediction(study):
    pairs, _, predicted, truth, tables = study
    assert list(predicted) == [pair_predictors.TRAINED_HERE, pair_predictors.SHUFFLED]
    for table, least in ((truth, 0.8), (tables[pair_predictors.TRAINED_HERE], 0.6)):
        found = pair_study.recovered(pairs, table)
        planted = found[found["kind"].isin(["host", "programme"])]
        assert spearmanr(planted["planted"], planted["effect"]).statistic > least
    none = pair_study.recovered(pairs, truth).query("kind in ['cohort', 'none']")
    assert none["finding"].sum() <= 2


def test_prediction_beats_shuffled_samples(agreed):
    main, control = agreed.loc[pair_predictors.TRAINED_HERE], agreed.loc[pair_predictors.SHUFFLED]
    assert main["effect_spearman"] > 0.6 > 0.3 > control["effect_spearman"]
    assert main["effect_spearman_lower"] > control["effect_spearman_upper"]
    assert main["area_up"] > 0.8
    assert agreed.index[-1] == pair_study.HALVES
    assert len(pair_study.printed(agreed)) == len(agreed)


def test_what_is_below_the_grade_is_never_counted(study, agreed):
    _, measured, predicted, _, tables = study
    main = predicted[pair_predictors.TRAINED_HERE]
    names = pair_predictors.counted(main, measured, "B")
    grade = main.var["grade"].astype(str)
    assert set(grade[names]) <= {"A", "B"}
    assert set(grade[main.var_names.difference(names).intersection(measured.var_names)]) <= {"C", "D"}
    assert agreed.loc[pair_predictors.TRAINED_HERE, "n_mirnas"] == len(names)
    table = tables[pair_predictors.TRAINED_HERE].set_index("mirna")
    assert table.loc[grade[grade.isin(["C", "D"])].index, "greyed"].all()
    with pytest.raises(DataError, match="at least 3 are needed"):
        low = {"bad": main[:, grade.isin(["D"]).to_numpy()]}
        pair_study.agreement(measured, low, *study[3:], CONTRAST, "B")


def test_planted_hubs_lead_both_lists(study):
    pairs, measured, predicted, _, _ = study
    targets, _ = pair_sets.load_targets(pairs)
    tumours = [
        pair_study.of_condition(adata, "condition", "tumour")
        for adata in (measured, predicted[pair_predictors.TRAINED_HERE], pairs.mrna)
    ]
    found = hub_overlap.overlap(*tumours, targets, top=10, n_permutations=99, progress=False)
    planted = targets.groupby("mirna")["hub"].first()
    for table in (found.measured, found.predicted):
        assert roc_auc_score(planted[table.index], table["z"]) > 0.95
    assert found.summary.loc["measured_z", "p"] == pytest.approx(0.01)
    shown = pair_study.shown_hubs(found, 5)
    assert planted[shown["mirna"]].all()
    figure = effect_plots.hubs(found, shown["mirna"][:2])
    assert len(figure.axes) == 4


def test_figures_and_tables_show_every_predictor(study, agreed):
    _, measured, predicted, truth, tables = study
    per_mirna = effect_agreement.beside(truth, tables)
    per_mirna["separation"] = effect_agreement.separation(measured, **CONTRAST)
    shown = pair_study.shown(per_mirna, pair_predictors.TRAINED_HERE, 80)
    assert set(shown["counts"]) <= {"yes", "no", "not predicted"}
    assert shown.set_index("mirna").loc[shown["grade"].isin(["C", "D"]).to_numpy(), "counts"].eq("no").all()
    who = pair_predictors.predictors(predicted, measured, "B").set_index("predictor")
    assert who["samples learnt from"].tolist() == [study[0].further_mirna.n_obs] * 2
    grades = pair_study.by_grade(measured, predicted, CONTRAST, n_resamples=50)
    assert set(grades["predictor"]) == {pair_predictors.TRAINED_HERE}
    assert (grades["n_mirnas"] >= pair_study.FEWEST).all()
    by = grades.set_index("grade")["spearman"]
    assert by["A"] > 0.6 > 0.3 > by["D"]
    figure = effect_plots.effects(truth, tables)
    assert [ax.get_title() for ax in figure.axes] == [
        f"{name} ({(~table.set_index('mirna').loc[lambda t: t.index.isin(truth['mirna']), 'greyed']).sum()})"
        for name, table in tables.items()
    ]
    effect_plots.agreement(agreed)
    curves = {name: effect_agreement.roc(truth, table) for name, table in tables.items()}
    effect_plots.roc({n: c for n, (c, _) in curves.items()}, {n: a for n, (_, a) in curves.items()})


def test_figures_that_the_page_quotes_are_those_of_its_tables(study, agreed):
    pairs, measured, predicted, truth, _ = study
    main = pair_predictors.TRAINED_HERE
    grades = pd.DataFrame(
        {"predictor": [main, main, "other"], "grade": ["A", "D", "A"], "spearman": [0.7, 0.2, 0.1]}
    )
    hubs = dataclasses.replace(
        HubOverlap.nothing(9, 4),
        summary=pd.DataFrame(
            {"value": [2.5, 3.0, 0.6], "by_draws": [0.5, 1.5, 0.1], "p": [0.01, 0.02, 0.03], "by_lot": 1.0},
            index=pd.Index(["measured_z", "overlap", "spearman"], name="measure"),
        ),
        counts={"n_mirnas": 30, "n_donors": 9, "top": 4, "n_measured": 7, "n_predicted": 8, "n_both": 5},
    )
    sides = {"measured": (12, True), "predicted": (25, False)}
    networks = {
        name: mirna_modules.Network(pd.DataFrame(index=range(n)), n, found, None, None, None)
        for name, (n, found) in sides.items()
    }
    claims_told = pd.DataFrame(
        {
            "direction": ["up", "up", "down", "down", "up"],
            "effect": [1.0, -1.0, -1.0, np.nan, 2.0],
            "reason": ["", "", "the interval holds 0", "no effect was estimated", "not graded well enough"],
            "verdict": ["agrees", "disagrees", "cannot tell", "cannot tell", "cannot tell"],
        }
    )
    lines = pd.DataFrame(
        {"lines": "one", "n_lines": 6, "grade": ["A"], "n_mirnas": 11, "pearson": 0.4, "exchanged": 0.1}
    )
    told = pair_figures.headline(
        pairs,
        measured,
        truth,
        agreed,
        grades,
        hubs,
        {"measured": claims_told.iloc[:2], "predicted": claims_told},
        pair_network.Divided({}, networks, {}),
        lines,
        main,
    )
    names = pair_predictors.counted(predicted[main], measured, "B")
    effects = []
    for adata in (measured, predicted[main]):
        by_donor = adata.to_df()[names].groupby(
            [measured.obs["condition"], measured.obs["donor"]], observed=True
        )
        means = by_donor.mean().groupby(level=0, observed=True).mean()
        effects.append(means.loc["tumour"] - means.loc["normal"])
    obs = measured.obs.drop_duplicates(["donor", "condition"])
    expected = {
        "main": main,
        "n_mirnas": measured.n_vars,
        "n_donors": len(set(measured.obs["donor"])),
        "fewest": obs["condition"].value_counts().min(),
        "n_findings": (truth["q"] <= 0.05).sum(),
        "n_shared": pairs.n_shared,
        "n_counted": len(names),
        "sign": f"{100 * (np.sign(effects[0]) == np.sign(effects[1])).mean():.0f} %",
        "organ_told": "No model that never saw the organ is stored for these data.",
        "grades_told": f"{main}: grade A 0.70, D 0.20",
        "neighbours_told": "For these data no such models are stored.",
        "hubs_told": (
            "With 9 donors, 7 measured and 8 predicted hubs are significant, 5 of them in both lists. The "
            "first 4 of both share 3; 1.0 would be shared at random, and 1.5 with matched genes in place of "
            "the targets (p 0.02)."
        ),
        "hub_donors": 9,
        "hub_mirnas": 30,
        "edges_measured": 12,
        "edges_predicted": 0,
        "lines": "one",
        "lines_n": 6,
        "lines_grade": "A",
        "lines_mirnas": 11,
        "lines_r": "0.40",
        "lines_exchanged": "0.10",
        "claims_told": (
            "Of 2 published differences the measured miRNA agrees with 1, disagrees with 1, and cannot tell "
            "of 0. Of 5 differences the predicted miRNA, with the errors of prediction taken along, agrees "
            "with 1, disagrees with 1, and cannot tell of 3. The sign is the published one for 2 of the 3 "
            "that count."
        ),
        "halves_spearman": f"{agreed['effect_spearman'].iloc[-1]:.2f}",
    }
    assert {name: told[name] for name in expected} == expected
    assert told["spearman"].startswith(f"{spearmanr(*effects).statistic:.2f} (")
    shuffled = f"{agreed['effect_spearman'].loc[pair_predictors.SHUFFLED]:.2f}".replace("-", "−")
    assert told["shuffled_spearman"] == shuffled
    assert "too few to tell hubs" in pair_figures.hubs_told(HubOverlap.nothing(9, 4))
    nothing = dict.fromkeys(("measured", "predicted"), claims_told.iloc[:0])
    assert pair_figures.claims_told(nothing).startswith("No published differences are about what is compared")
    models = agreed.iloc[:2].set_axis([pair_figures.CANCER, pair_figures.ORGAN])
    without = f"{models['effect_spearman'].iloc[1]:.2f} (".replace("-", "−")
    assert f"one without the organ {without}" in pair_figures.neighbours_told(models)
    assert f"included, it is {without}" in pair_figures.organ_told(models, pair_figures.CANCER)
    assert "never saw a sample" in pair_figures.organ_told(models, pair_figures.ORGAN)
    shown = pair_study.shown_overlap(hubs).set_index("measure")
    assert shown.loc["overlap", "value"] == "3"
    assert shown.loc["spearman", "value"] == "0.60"
    assert told["k"] == min(20, len(names) // 3)


def test_claims_are_judged_by_their_own_disease_and_contrast_alone(study):
    pairs, _, _, truth, tables = study
    table = tables[pair_predictors.TRAINED_HERE]
    names = ["hsa-miR-21-5p", "hsa-miR-122-5p"]
    told = [one.assign(mirna=[*names, *one["mirna"].iloc[2:]]) for one in (truth, table)]
    liver = pairs.mirna.copy()
    liver.obs["cohort"] = pair_claims.DISEASE
    pairs = dataclasses.replace(pairs, mirna=liver)
    judged = pair_claims.literature(pairs, *told, "tumour", "normal")
    assert set(judged["measured"].loc[judged["measured"]["judged_by"] != "", "mirna"]) == set(names)
    for other in (("normal", "tumour"), ("treated", "untreated")):
        assert pair_claims.literature(pairs, *told, *other)["measured"].empty
    liver.obs["cohort"] = "BRCA"
    none = pair_claims.literature(pairs, *told, "tumour", "normal")["predicted"]
    assert none.empty
    assert "nothing is judged" in report.literature(none).data


@pytest.mark.filterwarnings("ignore")
def test_the_page_runs_on_a_second_data_set_by_parameters_alone(tmp_path):
    """Of five patients and one without a tumour: too few for hubs, and of a disease without claims."""
    names = panel.single_locus()["mature"].iloc[:50].tolist()
    mrna, mirna = toy.paired_bulk(30, 4, 1500, 50, normal_fraction=0.5, mirna_names=names, seed=5)
    first = (mirna.obs["cohort"] == "TOYB").to_numpy()
    obs = mirna.obs
    both = obs[first].groupby("donor", observed=True)["condition"].nunique().loc[lambda n: n == 2].index[:6]
    odd = (obs["donor"] == both[5]) & (obs["condition"] == "tumour")
    few = (obs["donor"].isin(both) & ~odd).to_numpy()
    shown = folder(tmp_path / "shown", mrna[few], mirna[few])
    further = folder(tmp_path / "further", mrna[~first], mirna[~first])
    targets = mirna.uns["truth"]["targets"][["mirna", "gene"]]
    targets.to_csv(tmp_path / "targets.csv", index=False)
    sets = targets.groupby("mirna")["gene"].agg("\t".join)
    (tmp_path / "sets.gmt").write_text("".join(f"{n}\tplanted\t{genes}\n" for n, genes in sets.items()))
    donors = mirna.obs.loc[few, "donor"].unique()
    rng = np.random.default_rng(0)
    outcome = pd.DataFrame({"donor": donors, "time": rng.exponential(size=len(donors)), "event": 1})
    outcome.to_csv(tmp_path / "clinical.csv", index=False)
    run = run_page(
        "30_hcc",
        {
            "dataset": str(shown),
            "further": str(further),
            "lines": "toy",
            "cells": "toy",
            "clinical": str(tmp_path / "clinical.csv"),
            "targets": str(tmp_path / "targets.csv"),
            "gene_sets": str(tmp_path / "sets.gmt"),
            "n_permutations": 19,
            "n_resamples": 50,
            "n_hubs": 5,
        },
        out=tmp_path / "out",
        progress=False,
    )
    agreed = pd.read_csv(tmp_path / "out" / "agreement.csv", index_col=0)
    spearman = agreed["effect_spearman"]
    assert spearman["trained here"] > max(spearman["shuffled"], 0) + 0.2
    assert spearman[pair_study.HALVES] > 0.2
    assert pd.read_csv(tmp_path / "out" / "hubs.csv").empty
    assert pd.read_csv(tmp_path / "out" / "modules.csv").empty
    assert pd.read_csv(tmp_path / "out" / "claims_measured.csv").empty
    assert "shown" in run.datasets
    made = nbformat.read(tmp_path / "out" / "30_hcc.ipynb", as_version=4)
    assert names[0] in json.dumps(made)
