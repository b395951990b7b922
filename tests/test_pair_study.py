"""The study of paired tumours finds what was planted; its page runs on other data by parameters alone."""

import json

import nbformat
import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score
from test_pair_sets import folder

from sicmir import (
    effect_agreement,
    effect_plots,
    evaluation,
    held_out,
    hub_overlap,
    pair_sets,
    pair_study,
    panel,
    predicted_differences,
    stats,
    toy,
)
from sicmir.errors import DataError
from sicmir.runner import run_page

CONTRAST = {"condition_key": "condition", "case": "tumour", "reference": "normal"}


@pytest.fixture(scope="module")
def study():
    """Samples, predictions and differences of the toy page."""
    pairs = pair_sets.load_pairs("toy")
    bundle = held_out.learn(pairs.further_mrna, pairs.further_mirna)
    measured = pairs.mirna[:, evaluation.detected_names(pairs.mirna)].copy()
    predicted = pair_study.predictions(pairs, bundle)
    truth = stats.differential(measured, min_grade="", **CONTRAST)
    tables = predicted_differences.differences(predicted, min_grade="B", **CONTRAST)
    return pairs, measured, predicted, truth, tables


@pytest.fixture(scope="module")
def agreed(study):
    _, measured, predicted, truth, tables = study
    return pair_study.agreement(measured, predicted, truth, tables, CONTRAST, "B", n_resamples=100)


def test_planted_effects_are_recovered_by_measurement_and_by_prediction(study):
    pairs, _, predicted, truth, tables = study
    assert list(predicted) == [pair_study.TRAINED_HERE, pair_study.SHUFFLED]
    for table, least in ((truth, 0.8), (tables[pair_study.TRAINED_HERE], 0.6)):
        found = pair_study.recovered(pairs, table)
        planted = found[found["kind"].isin(["host", "programme"])]
        assert spearmanr(planted["planted"], planted["effect"]).statistic > least
    none = pair_study.recovered(pairs, truth).query("kind in ['cohort', 'none']")
    assert none["finding"].sum() <= 2


def test_prediction_beats_shuffled_samples(agreed):
    main, control = agreed.loc[pair_study.TRAINED_HERE], agreed.loc[pair_study.SHUFFLED]
    assert main["effect_spearman"] > 0.6 > 0.3 > control["effect_spearman"]
    assert main["effect_spearman_lower"] > control["effect_spearman_upper"]
    assert main["area_up"] > 0.8
    assert agreed.index[-1] == pair_study.HALVES
    assert len(pair_study.printed(agreed)) == len(agreed)


def test_what_is_below_the_grade_is_never_counted(study, agreed):
    _, measured, predicted, _, tables = study
    main = predicted[pair_study.TRAINED_HERE]
    names = pair_study.counted(main, measured, "B")
    grade = main.var["grade"].astype(str)
    assert set(grade[names]) <= {"A", "B"}
    assert set(grade[main.var_names.difference(names).intersection(measured.var_names)]) <= {"C", "D"}
    assert agreed.loc[pair_study.TRAINED_HERE, "n_mirnas"] == len(names)
    table = tables[pair_study.TRAINED_HERE].set_index("mirna")
    assert table.loc[grade[grade.isin(["C", "D"])].index, "greyed"].all()
    with pytest.raises(DataError, match="at least 3 are needed"):
        low = {"bad": main[:, grade.isin(["D"]).to_numpy()]}
        pair_study.agreement(measured, low, *study[3:], CONTRAST, "B")


def test_planted_hubs_lead_both_lists(study):
    pairs, measured, predicted, _, _ = study
    targets, _ = pair_sets.load_targets(pairs)
    tumours = [
        pair_study.of_condition(adata, "condition", "tumour")
        for adata in (measured, predicted[pair_study.TRAINED_HERE], pairs.mrna)
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
    shown = pair_study.shown(per_mirna, pair_study.TRAINED_HERE, 80)
    assert set(shown["counts"]) <= {"yes", "no", "not predicted"}
    assert shown.set_index("mirna").loc[shown["grade"].isin(["C", "D"]).to_numpy(), "counts"].eq("no").all()
    who = pair_study.predictors(predicted, measured, "B").set_index("predictor")
    assert who["samples learnt from"].tolist() == [study[0].further_mirna.n_obs] * 2
    grades = pair_study.by_grade(measured, predicted, CONTRAST, n_resamples=50)
    assert set(grades["predictor"]) == {pair_study.TRAINED_HERE}
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


@pytest.mark.filterwarnings("ignore")
def test_the_page_runs_on_a_second_data_set_by_parameters_alone(tmp_path):
    names = panel.single_locus()["mature"].iloc[:50].tolist()
    mrna, mirna = toy.paired_bulk(30, 4, 1500, 50, normal_fraction=0.5, mirna_names=names, seed=5)
    first = (mirna.obs["cohort"] == "TOYB").to_numpy()
    shown = folder(tmp_path / "shown", mrna[first], mirna[first])
    further = folder(tmp_path / "further", mrna[~first], mirna[~first])
    targets = mirna.uns["truth"]["targets"][["mirna", "gene"]]
    targets.to_csv(tmp_path / "targets.csv", index=False)
    sets = targets.groupby("mirna")["gene"].agg("\t".join)
    (tmp_path / "sets.gmt").write_text("".join(f"{n}\tplanted\t{genes}\n" for n, genes in sets.items()))
    donors = mirna.obs.loc[first, "donor"].unique()
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
    assert agreed.loc["trained here", "effect_spearman"] > 0.5
    assert "shown" in run.datasets
    made = nbformat.read(tmp_path / "out" / "30_hcc.ipynb", as_version=4)
    assert names[0] in json.dumps(made)
