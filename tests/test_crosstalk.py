"""Crosstalk: the score and its p recomputed by loops, and planted truth."""

import itertools
from dataclasses import replace

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import stats

from sicmir.errors import DataError, ParameterError
from sicmir.synthetic.toy_crosstalk import PLANTED, crosstalk_cells
from sicmir.vesicles import ev
from sicmir.vesicles.crosstalk import ablation, crosstalk, summarise_pairs
from sicmir.vesicles.crosstalk_permutation import permute, sides
from sicmir.vesicles.crosstalk_table import add_p, pairs_of, score_table
from sicmir.vesicles.crosstalk_terms import TERMS

KEYS = ["sender", "receiver", "mirna"]
BIOGENESIS, RISC, LANDMARKS = ["RAB11A", "TSG101", "SDCBP"], ["AGO2", "DICER1"], ["PSME1", "ATF1"]
OTHERS = [f"TOY{i}" for i in range(30)]
MIRNAS = ["hsa-miR-21-5p", "hsa-miR-122-5p", "hsa-miR-223-3p", "hsa-miR-124-3p"]


def tiny(n_donors=3, types="abc", seed=0):
    """Cells, miRNA and targets small enough to be gone through by loops; every gene is expressed."""
    rng = np.random.default_rng(seed)
    genes = BIOGENESIS + RISC + LANDMARKS + OTHERS
    obs = pd.DataFrame(list(itertools.product([f"d{i}" for i in range(n_donors)], types, range(2))))
    obs = obs.set_axis(["donor", "cell_type", "cell"], axis=1).astype(str)
    obs.index = obs["donor"] + obs["cell_type"] + obs["cell"]
    cells = ad.AnnData(rng.poisson(40, (len(obs), len(genes))).astype(np.float32), obs=obs)
    cells.var_names = genes
    rows = obs[["donor", "cell_type"]].drop_duplicates()
    mirna = ad.AnnData(rng.uniform(0, 12, (len(rows), len(MIRNAS))), obs=rows)
    mirna.var_names, mirna.var["grade"] = MIRNAS, ["A", "B", "A", "C"]
    mirna.uns["sicmir"] = {"units": "log2(RPM+1)", "level": "mature", "modality": "prediction"}
    targets = pd.DataFrame(
        [(name, gene) for name in MIRNAS for gene in rng.choice(OTHERS[:20], 5, replace=False)]
        + [(name, gene) for name in MIRNAS for gene in LANDMARKS],
        columns=["mirna", "gene"],
    )
    return cells, mirna, targets


def run(cells, mirna, targets, **options):
    options = {"min_cells": 1, "min_targets": 2, "n_permutations": 99, "progress": False} | options
    return crosstalk(cells, mirna, targets, **options)


def z(values, member):
    """Two groups of genes of one bin: difference of means in standard errors under drawing by lot."""
    n, others = member.sum(), (~member).sum()
    variance = np.var(values, ddof=1) * n * (1 + n / others)
    return n * (values[member].mean() - values[~member].mean()) / np.sqrt(variance)


def by_hand(cells, mirna, targets):
    """Score of each sender, receiver and miRNA by loops over donors; miRNAs of grade A and B are counted."""
    kinds = sorted(cells.obs["cell_type"].unique())
    genes = np.array(cells.var_names)
    scores = {}
    for donor in sorted(cells.obs["donor"].unique()):
        log = []
        for kind in kinds:
            inside = ((cells.obs["donor"] == donor) & (cells.obs["cell_type"] == kind)).to_numpy()
            total = cells.X[inside].sum(axis=0)
            log.append(np.log2(total / total.sum() * 1e6 + 1))
        deviation = np.array(log) - np.mean(log, axis=0)
        amount = np.array(
            [
                mirna.X[((mirna.obs["donor"] == donor) & (mirna.obs["cell_type"] == kind)).to_numpy()][0]
                for kind in kinds
            ]
        )
        biogenesis = [z(row, np.isin(genes, BIOGENESIS)) for row in deviation]
        risc = [z(row, np.isin(genes, RISC)) for row in deviation]
        targeted = np.isin(genes, targets["gene"]) & ~np.isin(genes, LANDMARKS)
        repression = np.array(
            [
                [
                    -z(row[targeted], np.isin(genes[targeted], targets["gene"][targets["mirna"] == name]))
                    for name in MIRNAS
                ]
                for row in deviation
            ]
        )
        counted = [0, 1, 2]

        def surprisal(value, among):
            among = np.ravel(among)
            below, same = (among < value - 1e-12).sum(), (np.abs(among - value) <= 1e-12).sum()
            place = np.clip(below + same / 2, 0.5, len(among) - 0.5)
            return -np.log(1 - place / len(among))

        studies = ev.mirna_evidence()["studies"]
        for (s, sender), (r, receiver) in itertools.permutations(enumerate(kinds), 2):
            for m, name in enumerate(MIRNAS):
                factors = [
                    surprisal(biogenesis[s], biogenesis),
                    np.sqrt(
                        surprisal(amount[s, m], amount[:, counted]) * surprisal(amount[s, m], amount[:, m])
                    ),
                    1 - 0.5 / (1 + studies[name]),
                    {"A": 1, "B": 0.75, "C": 0.5}[mirna.var["grade"].iloc[m]],
                    surprisal(risc[r], risc),
                    surprisal(repression[r, m], repression[:, counted]),
                ]
                scores.setdefault((sender, receiver, name), []).append(stats.gmean(factors))
    return pd.Series({key: np.mean(values) for key, values in scores.items()})


def test_score_is_what_loops_give():
    cells, mirna, targets = tiny()
    result = run(cells, mirna, targets)
    found = result.table.set_index(KEYS)["score"]
    expected = by_hand(cells, mirna, targets)
    assert len(found) == 3 * 2 * 4
    pd.testing.assert_series_equal(found.sort_index(), expected.sort_index(), check_names=False)
    assert result.table.set_index("mirna")["counted"].to_dict() == dict(
        zip(MIRNAS, [True, True, True, False], strict=True)
    )


def test_permutation_p_is_that_of_all_arrangements():
    """3 donors with 3, 3 and 2 cell types: 6 × 6 × 2 arrangements of labels, each with its own scores."""
    cells, mirna, targets = tiny(seed=3)
    gone = [
        ((part.obs["donor"] == "d2") & (part.obs["cell_type"] == "c")).to_numpy() for part in (cells, mirna)
    ]
    cells, mirna = cells[~gone[0]].copy(), mirna[~gone[1]].copy()
    measured = run(cells, mirna, targets).terms
    pairs, _ = pairs_of(measured, False)
    n = 20_000
    p = permute(measured, TERMS, pairs, n, 0, False)
    sender, receiver = sides(measured, TERMS)
    present = [np.flatnonzero(there) for there in measured.present]
    arrangements = list(itertools.product(*(list(itertools.permutations(there)) for there in present)))
    assert len(arrangements) == 72
    n_checked = 0
    for k, (s, r) in enumerate(pairs):
        donors = [d for d in range(3) if s in present[d] and r in present[d]]
        for m in range(3):

            def values(relabelled, s=s, r=r, m=m, donors=donors):
                at = [
                    (d, relabelled[d][list(present[d]).index(s)], relabelled[d][list(present[d]).index(r)])
                    for d in donors
                ]
                both = sum(np.exp((sender[d, i, m] + receiver[d, j, m]) / 6) for d, i, j in at)
                out = sum(np.exp(sender[d, i, m] / 4) for d, i, j in at)
                return both, out, sum(np.exp(receiver[d, j, m] / 2) for d, i, j in at)

            if len(donors) < 3:
                assert np.isnan(p[:, k, m]).all()
                continue
            observed = values(present)
            drawn = np.array([values(arrangement) for arrangement in arrangements])
            exact = (drawn >= np.array(observed) - 1e-9).mean(axis=0)
            error = np.sqrt(exact * (1 - exact) / n)
            assert (np.abs(p[:, k, m] - exact) <= 5 * error + 1 / n).all()
            n_checked += 1
    assert n_checked == 2 * 3  # a and b with each other, three miRNAs
    assert np.isnan(p[:, :, 3]).all()  # grade C


def test_what_is_not_known_gives_no_p():
    cells, mirna, targets = tiny(6, "abcd")
    pairs = pairs_of(run(cells, mirna, targets).terms, self_pairs=False)[0]
    measured = run(cells, mirna, targets).terms
    measured.repression[2, 1, 0] = np.nan  # one group, of one counted miRNA
    p = permute(measured, TERMS, pairs, 99, 0, False)
    assert np.isnan(p[..., 0]).all()
    assert np.isfinite(p[..., 1]).all()
    measured = replace(measured, repression_over_donors=np.full_like(measured.repression_over_donors, np.nan))
    table = score_table(measured, TERMS, pairs)
    add_p(table, p, measured, pairs)
    assert table["p_sender"].notna().any()
    assert table[["p", "q"]].isna().all(axis=None)


def test_targets_of_one_mirna_alone_have_nothing_to_be_compared_with():
    cells, mirna, targets = crosstalk_cells(n_donors=6, n_types=4, n_pairs=0, seed=1)
    good = mirna.var_names[mirna.var["grade"] == "A"][0]
    with pytest.raises(DataError, match="Give the table of targets of all miRNAs"):
        crosstalk(cells, mirna, targets[targets["mirna"] == good], n_permutations=99, progress=False)


def test_scores_follow_the_labels_of_whole_profiles():
    """What is permuted in p is what a change of labels in the data does."""
    cells, mirna, targets = tiny()
    before = run(cells, mirna, targets).table.set_index(KEYS)["score"]
    swap = {"a": "b", "b": "c", "c": "a"}
    for part in (cells, mirna):
        part.obs["cell_type"] = part.obs["cell_type"].astype(str).map(swap)
    after = run(cells, mirna, targets).table.set_index(KEYS)["score"]
    moved = before.rename(index=swap)
    pd.testing.assert_series_equal(after.sort_index(), moved.sort_index())


@pytest.fixture(scope="module")
def planted():
    cells, mirna, targets = crosstalk_cells(n_donors=6, seed=1)
    return crosstalk(cells, mirna, targets, progress=False), mirna.uns["truth"]["pairs"]


def test_planted_pairs_are_found_and_little_else(planted):
    result, truth = planted
    table = result.table.set_index(KEYS)
    real = table.index.isin(pd.MultiIndex.from_frame(truth))
    assert real.sum() == 6 and table.loc[real, "counted"].all()
    counted = table["counted"].to_numpy()
    for column, sign in (("score", 1), ("p", -1)):
        u = stats.mannwhitneyu(
            sign * table.loc[real, column], sign * table.loc[~real & counted, column]
        ).statistic
        assert u / (real.sum() * (~real & counted).sum()) > 0.95
    assert (
        table.loc[real, ["p_sender", "p_receiver", "p_targets"]] <= table.loc[real, ["p"]].to_numpy()
    ).all(axis=None)
    called = table["q"] <= 0.1
    assert called[real].mean() > 0.5
    assert (called & ~real).sum() <= 2


def test_q_is_bh_over_all_counted_rows(planted):
    table = planted[0].table
    counted = table["counted"]
    assert table.loc[~counted, ["p_score", "p", "q_score", "q"]].isna().all(axis=None)
    for name in ("", "_score"):
        p = table.loc[counted, f"p{name}"].to_numpy()
        ranked = np.sort(p)
        n = len(p)
        expected = [min(ranked[j] * n / (j + 1) for j in range(n) if ranked[j] >= value) for value in p]
        np.testing.assert_allclose(table.loc[counted, f"q{name}"], np.minimum(expected, 1))
    each = table.loc[counted, ["p_score", "p_sender", "p_receiver", "p_targets"]].max(axis=1)
    np.testing.assert_array_equal(each, table.loc[counted, "p"])


def test_summary_of_pairs_counts_what_the_table_says(planted):
    result, truth = planted
    summary = summarise_pairs(result.table, fdr=0.1).set_index(["sender", "receiver"])
    assert len(summary) == 5 * 4
    counted = result.table[result.table["counted"]]
    for key, rows in counted.groupby(["sender", "receiver"]):
        line = summary.loc[key]
        assert line["n_mirnas"] == len(rows)
        assert line["n_significant"] == (rows["q"] <= 0.1).sum()
        assert line["best_mirna"] == rows.loc[rows["score"].idxmax(), "mirna"]
        assert line["mean_score"] == pytest.approx(rows["score"].mean())
    assert summary.index[0] in set(truth[["sender", "receiver"]].itertuples(index=False, name=None))
    with pytest.raises(ParameterError, match="fdr"):
        summarise_pairs(result.table, fdr=1)


def test_ablation_is_the_score_without_the_term(planted):
    result, _ = planted
    table = ablation(result, k=10)
    assert table.index.tolist() == list(TERMS)
    cells, mirna, targets = crosstalk_cells(n_donors=6, seed=1)
    rest = [name for name in TERMS if name != "repression"]
    without = crosstalk(cells, mirna, targets, terms=rest, n_permutations=1, progress=False).table
    full = result.table[result.table["counted"]].set_index(KEYS)["score"]
    # Without targets no miRNA is left out for having few; here all have enough, so that rows are the same.
    score = without[without["counted"]].set_index(KEYS)["score"].reindex(full.index)
    assert table.loc["repression", "spearman"] == pytest.approx(stats.spearmanr(full, score).statistic)
    top, still = full.nlargest(10).index, score.nlargest(10).index
    assert table.loc["repression", "top_kept"] == len(set(top) & set(still)) / 10
    assert table.loc["sorting", "spearman"] > table.loc["repression", "spearman"]
    for k in (0, 10**6):
        with pytest.raises(ParameterError, match="k from 1"):
            ablation(result, k=k)


@pytest.mark.parametrize("term", TERMS)
def test_every_term_stands_alone(term):
    cells, mirna, targets = tiny()
    table = run(cells, mirna, targets if term == "repression" else None, terms=[term]).table
    assert table["score"].notna().all()
    assert table.loc[:, [name for name in TERMS if name != term]].isna().all(axis=None)
    assert table[term].notna().all()
    # What is the same for all cell types cannot be tested by their labels.
    assert table.loc[table["counted"], "p"].notna().all() == (term not in ("sorting", "trust"))


def test_toy_plants_only_what_is_asked():
    options = {"n_donors": 3, "type_sd": 0, "donor_sd": 0.05, "n_pairs": 1, "strength": 2, "seed": 5}
    truth, seen = None, {}
    for part in (*PLANTED, "nothing"):
        cells, mirna, targets = crosstalk_cells(planted=[part] if part != "nothing" else [], **options)
        truth = mirna.uns["truth"]["pairs"].iloc[0]
        table = run(cells, mirna, targets, n_permutations=1).table.set_index(KEYS)
        seen[part] = table.loc[tuple(truth[KEYS])]
    for part in PLANTED:
        rise = seen[part][part] - seen["nothing"][part]
        assert rise > 2
        others = [name for name in PLANTED if name not in (part, "abundance")]
        assert all(abs(seen[part][name] - seen["nothing"][name]) < 2 for name in others)
    with pytest.raises(ParameterError, match="planted"):
        crosstalk_cells(planted=["luck"])
    with pytest.raises(ParameterError, match="n_pairs"):
        crosstalk_cells(n_pairs=41)


def test_note_says_what_q_can_come_to(planted):
    result, _ = planted
    n = int(result.table["p"].notna().sum())
    # 6 donors of 5 cell types: 1/15,625 by labels, 1/10,001 by permutations.
    assert result.notes[-1] == (
        f"{n} rows are tested and none can have p below 0.0001 (raise n_permutations): q of 0.05 takes "
        f"{int(np.ceil(n / 10001 / 0.05))} or more rows at that p."
    )
