"""What the chapter on glioblastoma quotes, what toy cells tell of it, and published transfers beside it."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from anndata import AnnData
from sklearn.metrics import roc_auc_score

from sicmir.chapters import claims
from sicmir.chapters.glioblastoma import glioma_sentences, glioma_sets, published_cells
from sicmir.model import Bundle
from sicmir.vesicles import crosstalk_shuffle
from sicmir.vesicles.crosstalk import Crosstalk, crosstalk

COHORTS: Mapping[str, str] = {"glioblastomas": "GBM", "gliomas of lower grade": "LGG"}
"""Tumours of the page and their cohort in TCGA."""


def planted(mirna: AnnData, table: pd.DataFrame) -> pd.DataFrame:
    """How well planted senders and receivers are found; one line of text where nothing was planted.

    Returns
    -------
    DataFrame
        ``figure, value``: AUROC of the score and of p, planted rows against all other counted rows, and the
        share of planted rows among as many rows with the best score.
    """
    if "truth" not in mirna.uns:
        return pd.DataFrame({"figure": ["These cells were measured, so no planted truth is known."]})
    counted = table[table["counted"]].sort_values("score", ascending=False, kind="stable")
    keys = ["sender", "receiver", "mirna"]
    truth = pd.MultiIndex.from_frame(mirna.uns["truth"]["pairs"][keys])
    real = pd.MultiIndex.from_frame(counted[keys]).isin(truth)
    figures = {
        "AUROC of the score": roc_auc_score(real, counted["score"]),
        "AUROC of p": roc_auc_score(real, -counted["p"]),
        "planted among the first, share": real[: real.sum()].mean(),
    }
    return pd.DataFrame(
        [(name, float(value)) for name, value in figures.items()], columns=["figure", "value"]
    )


def first_rows(rows: pd.DataFrame, n: int = 5) -> pd.DataFrame:
    """Rows of the miRNAs that are among the first ``n`` of some direction, for a figure of all directions."""
    first = rows[rows["counted"]].groupby(["sender", "receiver"], sort=False).head(n)
    return rows[rows["mirna"].isin(first["mirna"]) & rows["counted"]]


def ranked(rows: pd.DataFrame, table: pd.DataFrame, n: int = 6) -> pd.DataFrame:
    """First counted rows of each direction, beside every other way to name sender and receiver.

    Parameters
    ----------
    rows
        Rows of ``table`` from the tumour and back, the best first.
    table
        Of :class:`sicmir.vesicles.crosstalk.Crosstalk`.
    n
        Rows of each direction.

    Returns
    -------
    DataFrame
        ``sender, receiver, mirna, grade, score``; ``place`` of the score among those of the same miRNA in
        all ordered pairs of cell types, which is the permutation null of a single donor; ``p`` and ``q``
        where there are any; parts of the score.
    """
    counted = table[table["counted"]]
    places = counted.groupby("mirna")["score"].rank(ascending=False, method="max").astype("Int64")
    first = rows[rows["counted"]].groupby(["sender", "receiver"], sort=True).head(n)
    first = first.sort_values(["sender", "receiver"], kind="stable")
    keys = ["sender", "receiver", "mirna"]
    known = pd.Series(places.to_numpy(), index=pd.MultiIndex.from_frame(counted[keys]))
    n_pairs = len(counted[keys[:2]].drop_duplicates())
    own = known.loc[pd.MultiIndex.from_frame(first[keys])]
    first = first.assign(place=[f"{place}/{n_pairs}" for place in own])
    tests = [name for name in ("p", "q") if first[name].notna().any()]
    columns = [*keys, "grade", "score", "place", *tests, "abundance", "receiver_abundance", "repression"]
    return first[columns].rename(columns={"receiver_abundance": "in receiver"})


def transfers(published: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    """Published transfers, and the place of each among the counted miRNAs of its direction.

    Parameters
    ----------
    published
        As :func:`sicmir.vesicles.ev.transfers` gives it.
    table
        Of :class:`sicmir.vesicles.crosstalk.Crosstalk`.

    Returns
    -------
    DataFrame
        ``sender, receiver, mirna``; ``place``, such as "3 of 120", or why there is none; ``published``:
        statement, source and DOI.
    """
    rows = []
    for claim in published.itertuples(index=False):
        part = table[(table["sender"] == claim.sender) & (table["receiver"] == claim.receiver)]
        counted = part[part["counted"]].set_index("mirna")["score"]
        if claim.mirna in counted:
            place = f"{int((counted >= counted[claim.mirna]).sum())} of {len(counted)}"
        elif part.empty:
            place = "no such pair of cell types"
        elif claim.mirna in set(part["mirna"]):
            place = "not counted: grade or targets"
        else:
            place = "not predicted under a mature name"
        told = f"{claim.statement}; {claim.source}, doi {claim.doi}"
        rows.append((claim.sender, claim.receiver, claim.mirna, place, told))
    return pd.DataFrame(rows, columns=["sender", "receiver", "mirna", "place", "published"])


def controls_table(controls: pd.DataFrame) -> pd.DataFrame:
    """The score of ``glioma_controls.controls`` in few columns, intervals in words."""
    part = controls[controls["term"] == "score"]
    shown = part[["receiver", "controls", "n_positive", "n_control", "n_reported"]].rename(
        columns={"n_positive": "known", "n_control": "not in list", "n_reported": "of these in vesicles"}
    )
    return shown.assign(AUROC=glioma_sentences.aurocs(part), drawn=glioma_sentences.at_random(part)).rename(
        columns={"drawn": "positives at random"}
    )


def left_out_table(left_out: pd.DataFrame) -> pd.DataFrame:
    """``glioma_controls.one_publication_less`` in few columns, intervals in words."""
    names = {"n_positive": "known", "n_control": "not in list"}
    shown = left_out[["left_out", "controls", *names]].rename(columns=names)
    return shown.assign(AUROC=glioma_sentences.aurocs(left_out))


def ablation_table(ablated: pd.DataFrame) -> pd.DataFrame:
    """:func:`sicmir.vesicles.crosstalk.ablation`, the row that falls most in words."""
    rows = ablated["largest_fall"].str.split(" | ", regex=False)
    told = [f"{sender} → {receiver} · {mirna}" for sender, receiver, mirna in rows]
    ranks = [f"{rank:g}" for rank in ablated["to_rank"]]
    return ablated.assign(largest_fall=told, to_rank=ranks).reset_index()


def synthetic(n_permutations: int, fdr: float = 0.05, seed: int = 0) -> pd.DataFrame:
    """The same method where the truth is known: planted pairs, and labels exchanged within donors.

    Returns
    -------
    DataFrame
        ``figure, value``: those of :func:`planted`, rows called at ``fdr``, how many of these were planted,
        and rows called when labels are exchanged.
    """
    cells, mirna, targets = glioma_sets.toy_crosstalk_cells(seed)
    table = crosstalk(cells, mirna, targets, n_permutations=n_permutations, seed=seed, progress=False).table
    called = table[table["q"] <= fdr]
    keys = ["sender", "receiver", "mirna"]
    truth = pd.MultiIndex.from_frame(mirna.uns["truth"]["pairs"][keys])
    exchanged = crosstalk_shuffle.shuffled_labels(
        cells, mirna, targets, 1, fdr, seed, n_permutations=n_permutations
    ).iloc[1]
    more = {
        "planted": len(truth),
        "called": len(called),
        "called and planted": int(pd.MultiIndex.from_frame(called[keys]).isin(truth).sum()),
        "called, labels exchanged": int(exchanged["n_called"]),
        "p up to 0.05, labels exchanged, share": float(exchanged["p_below"]),
    }
    return pd.concat(
        [
            planted(mirna, table).astype({"value": object}),  # whole numbers stay such
            pd.DataFrame({"figure": list(more), "value": pd.Series(list(more.values()), dtype=object)}),
        ],
        ignore_index=True,
    )


def headline(
    bundle: Bundle,
    table: pd.DataFrame,
    pools: AnnData,
    distances: pd.DataFrame,
    others: pd.DataFrame,
    result: Crosstalk,
    rows: pd.DataFrame,
    controls: pd.DataFrame,
    left_out: pd.DataFrame,
    ablated: pd.DataFrame,
    verdicts: pd.DataFrame,
    fdr: float = 0.05,
) -> dict[str, float | int | str]:
    """Figures that the page quotes.

    Parameters
    ----------
    bundle
        The model.
    table
        Of :func:`sicmir.chapters.glioblastoma.published_cells.agreement`.
    pools
        Predicted pools, abstained ones among them.
    distances, others
        Of :func:`sicmir.chapters.study_effect.distances` and
        :func:`sicmir.chapters.glioblastoma.glioma_study.from_other_studies`.
    result, rows
        Crosstalk, and its rows from the tumour and back.
    controls, left_out, ablated, verdicts
        Of :func:`sicmir.chapters.glioblastoma.glioma_controls.controls`,
        :func:`sicmir.chapters.glioblastoma.glioma_controls.one_publication_less`,
        :func:`sicmir.vesicles.crosstalk.ablation` and
        :func:`sicmir.chapters.glioblastoma.published_cells.literature`.
    fdr
        Largest q of a finding.
    """
    cohorts = bundle.card.get("training_data", {}).get("cohorts", {})
    everything, good = (published_cells.ahead(table, mirnas) for mirnas in published_cells.COUNTED)
    distinct = table[table["distinct"] & (table["mirnas"] == published_cells.COUNTED[0])]
    ours, theirs = (
        distinct.loc[distinct["predictor"] == name, "spearman"]
        for name in (published_cells.OURS, published_cells.THEIRS)
    )
    own = distinct[distinct["predictor"] == published_cells.OURS]
    return {
        "n_glioma": sum(cohorts.get(name, 0) for name in COHORTS.values()),
        **everything,
        "ahead_good": good["ahead"],
        "pairs_good": good["pairs"],
        "surely_good": good["surely_ahead"],
        "lowest_ours": float(ours.min()),
        "highest_ours": float(ours.max()),
        "lowest_theirs": float(theirs.min()),
        "highest_theirs": float(theirs.max()),
        "median_ours": float(ours.median()),
        "median_theirs": float(theirs.median()),
        "n_pools": pools.n_obs,
        "n_predicted": int((~pools.obs["abstained"]).sum()),
        "least_mirnas": int(own["n_mirnas"].min()),
        "most_mirnas": int(own["n_mirnas"].max()),
        "range_told": glioma_sentences.range_told(own),
        "studies_told": glioma_sentences.studies_told(distances, others),
        "n_rows": int(result.table["counted"].sum()),
        "crosstalk_told": glioma_sentences.crosstalk_told(result.table, rows, fdr),
        "controls_told": glioma_sentences.controls_told(controls, left_out),
        "weakest_term": str(ablated["spearman"].idxmax()),
        "strongest_term": str(ablated["spearman"].idxmin()),
        "claims_told": claims.told(verdicts, "published claims about cell types"),
    }
