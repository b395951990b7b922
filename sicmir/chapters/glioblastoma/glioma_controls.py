"""Crosstalk of a glioma held against what is known from vesicles of its cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import anndata as ad
import pandas as pd

from sicmir import panel
from sicmir.chapters.glioblastoma import glioma_sets
from sicmir.chapters.glioblastoma.glioma_study import without
from sicmir.errors import DataError
from sicmir.vesicles import ev, ev_controls
from sicmir.vesicles.crosstalk import Crosstalk

ANY = "any of them"
"""Receiver that stands for the best score over all partners."""

TERMS = ("score", "abundance", "repression")
"""Columns of the table of crosstalk that are held against controls."""

MATCHED, OTHERS = "matched", "all others"
"""Kinds of controls."""

FEWEST = 5
"""Positives from which on an AUROC is shown with its interval."""

COLUMNS = ("receiver", "controls", *ev_controls.COLUMNS, "n_reported", *ev_controls.SHUFFLED)
"""Columns of :func:`controls`."""


def known_in_vesicles(
    studies: Mapping[str, ad.AnnData], tumour: str, path: str | Path = "", seed: int = 0
) -> pd.DataFrame:
    """Mature miRNAs that are known from vesicles of the tumour: reported ones, planted ones of toy cells.

    Parameters
    ----------
    studies
        Cells of the page.
    tumour
        Sender; of toy cells those planted in it count.
    path
        A table of your own with a column ``mirna``, and ``pmid`` if it is of several publications; "" takes
        :func:`sicmir.vesicles.ev.glioma_mirnas`.
    seed
        Of toy cells.

    Returns
    -------
    DataFrame
        ``mirna, pmid``, a row for each publication of a miRNA; ``pmid`` is "" where none is named.

    Raises
    ------
    DataError
        If a file has no such column.
    """
    if path:
        table = pd.read_csv(path)
        if "mirna" not in table:
            raise DataError(f"{path}: expected a column mirna; found {', '.join(map(str, table.columns))}.")
    elif glioma_sets.is_toy(studies):
        planted = glioma_sets.toy_crosstalk_cells(seed)[1].uns["truth"]["pairs"]
        table = planted[planted["sender"] == tumour]
    else:
        table = ev.glioma_mirnas()
    known = pd.DataFrame({"mirna": table["mirna"].astype(str), "pmid": ""})
    if "pmid" in table:
        known["pmid"] = table["pmid"].astype(str)
    return known.drop_duplicates(ignore_index=True)


def controls(
    result: Crosstalk,
    known: pd.DataFrame,
    tumour: str,
    partners: Sequence[str],
    n_resamples: int = 1000,
    n_draws: int = 200,
    seed: int = 0,
) -> pd.DataFrame:
    """Known miRNAs of vesicles against those not in that list, matched by abundance in the sender and not.

    The prior for sorting counts publications on vesicles, so that it would find what it was made from: the
    score is taken without it.

    Parameters
    ----------
    result
        Of :func:`sicmir.vesicles.crosstalk.crosstalk`.
    known
        As :func:`known_in_vesicles` gives it.
    tumour, partners
        Sender, and the receivers; :data:`ANY` stands for the best score of a miRNA over all of these.
    n_resamples, n_draws, seed
        As for :func:`sicmir.vesicles.ev_controls.areas` and :func:`sicmir.vesicles.ev_controls.by_lot`.

    Returns
    -------
    DataFrame
        :data:`COLUMNS`; ``n_reported`` is the number of controls that some publication reports in human
        vesicles (:func:`sicmir.vesicles.ev.mirna_evidence`). Without rows where no miRNA, or each, is known.
    """
    reported = ev.mirna_evidence()["studies"]
    rows = []
    for receiver, part in _parts(result, tumour, partners).items():
        positive = _positive(part, known)
        if positive.all() or not positive.any():
            continue
        amount = part["abundance"]
        for name, match in ((MATCHED, ev_controls.matched_sets), (OTHERS, ev_controls.one_set)):
            sets = match(positive, amount)
            found = ev_controls.areas(part, sets, n_resamples, seed=seed)
            others = sets.loc[~sets["positive"], "mirna"]
            found["n_reported"] = int((reported.reindex(others) > 0).sum())
            lots = ev_controls.by_lot(
                part, positive, amount, _clusters(part.index), match, n_draws, seed=seed
            )
            rows.append(found.join(lots).assign(receiver=receiver, controls=name))
    columns = list(COLUMNS)
    return pd.concat(rows, ignore_index=True)[columns] if rows else pd.DataFrame(columns=columns)


def one_publication_less(
    result: Crosstalk,
    known: pd.DataFrame,
    tumour: str,
    partners: Sequence[str],
    n_resamples: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """How the figure of the score hangs on single publications: each is left out in turn.

    miRNAs that no other publication reports are left out altogether, since they are known all the same.

    Parameters
    ----------
    result, known, tumour, partners, n_resamples, seed
        As for :func:`controls`.

    Returns
    -------
    DataFrame
        ``left_out`` (PMID), the one with most miRNAs first, ``controls`` and the columns of
        :data:`sicmir.vesicles.ev_controls.COLUMNS` for the score, over all partners. Without rows where there
        are fewer than two publications; figures are NaN where nothing is left to compare.
    """
    columns = ["left_out", "controls", *ev_controls.COLUMNS]
    sizes = known.groupby("pmid").size().sort_values(ascending=False, kind="stable")
    if len(sizes) < 2:
        return pd.DataFrame(columns=columns)
    every = next(iter(_parts(result, tumour, partners).values()))[["score", "abundance"]]
    rows = []
    for pmid in sizes.index:
        rest = known[known["pmid"] != pmid]
        part = every[~_positive(every, known) | _positive(every, rest)]
        for name, match in ((MATCHED, ev_controls.matched_sets), (OTHERS, ev_controls.one_set)):
            row = pd.DataFrame({"term": ["score"], "n_positive": int(_positive(part, rest).sum())})
            if 0 < row["n_positive"].item() < len(part):
                sets = match(_positive(part, rest), part["abundance"])
                row = ev_controls.areas(part[["score"]], sets, n_resamples, seed=seed)
            rows.append(row.assign(left_out=pmid, controls=name))
    return pd.concat(rows, ignore_index=True).reindex(columns=columns)


def _parts(result: Crosstalk, tumour: str, partners: Sequence[str]) -> dict[str, pd.DataFrame]:
    """MiRNAs × terms of each receiver, and of the best value over all of them."""
    table = without(result, "sorting")
    table = table[table["counted"] & (table["sender"] == tumour) & table["receiver"].isin(list(partners))]
    terms = list(TERMS)
    parts = {ANY: table.groupby("mirna")[terms].max()} if len(partners) > 1 else {}
    parts |= {name: table[table["receiver"] == name].set_index("mirna")[terms] for name in partners}
    return {name: part.dropna() for name, part in parts.items()}


def _positive(part: pd.DataFrame, known: pd.DataFrame) -> pd.Series:
    return pd.Series(part.index.isin(known["mirna"]), index=part.index, dtype=bool)


def _clusters(mirnas: pd.Index) -> pd.Series:
    """Genomic cluster of mature miRNAs, else their stem-loop, else their own name."""
    facts = panel.mirnas().set_index("name")[["cluster", "stem_loops"]].reindex(mirnas).fillna("")
    own = facts["cluster"].where(facts["cluster"] != "", facts["stem_loops"].str.split(";").str[0])
    return own.where(own != "", mirnas.to_series())
