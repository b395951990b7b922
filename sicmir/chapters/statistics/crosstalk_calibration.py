"""What the tests of crosstalk say where the truth is known: false positives, recovery, terms left out.

All is drawn by :func:`sicmir.synthetic.toy_crosstalk.crosstalk_cells`. Rows of one draw are related, so that
limits of a rate come from the spread between draws and never from the number of rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
from scipy.stats import norm, rankdata
from tqdm import tqdm

from sicmir.errors import ParameterError
from sicmir.synthetic.toy_crosstalk import crosstalk_cells
from sicmir.vesicles.crosstalk import TERMS, crosstalk
from sicmir.vesicles.crosstalk_table import pairs_of, score_table

TESTS = ("p_score", "p_sender", "p_receiver", "p_targets", "p")
"""Columns of p-values, see :func:`sicmir.vesicles.crosstalk.crosstalk`."""

_KEYS = ["sender", "receiver", "mirna"]


@dataclass(frozen=True)
class Null:
    """A truth without crosstalk, what it asks, and which tests have to be at the nominal rate under it.

    Attributes
    ----------
    meaning
        In words.
    arguments
        Of :func:`sicmir.synthetic.toy_crosstalk.crosstalk_cells`.
    exact
        Tests that have to be at the nominal rate. ``p``, the largest of the others, is below it as long as
        more than one of them is by chance.
    split
        Pieces that every donor is cut into, each then called a donor; 1 leaves donors as they are.
    planted_only
        Look at the rows of the planted pairs only.
    """

    meaning: str
    arguments: Mapping[str, Any]
    exact: tuple[str, ...] = ()
    split: int = 1
    planted_only: bool = False


NULLS: Mapping[str, Null] = MappingProxyType(
    {
        "labels": Null(
            "Cell types are mere labels: nothing differs between them.",
            {"n_pairs": 0, "type_sd": 0.0},
            ("p_score", "p_sender", "p_receiver", "p_targets"),
        ),
        "cell types": Null(
            "Cell types differ in genes and miRNAs, but no miRNA has to do with its targets.",
            {"n_pairs": 0},
            ("p_targets",),
        ),
        "no repression": Null(
            "Pairs have the machinery and the miRNA, but the targets are not low; their rows only.",
            {"planted": ("biogenesis", "abundance", "risc"), "n_pairs": 12},
            ("p_targets",),
            planted_only=True,
        ),
        "pseudo-replicates": Null(
            "As labels, but every donor is cut into four and the pieces are called donors.",
            {"n_pairs": 0, "type_sd": 0.0, "n_cells": 40},
            split=4,
        ),
    }
)
"""Nulls by name. The last one shows a mistake: pieces of a donor agree for reasons that are the donor's."""


def false_positives(
    n_seeds: int = 200,
    nulls: Sequence[str] = tuple(NULLS),
    alpha: float = 0.05,
    n_permutations: int = 999,
    *,
    seed: int = 0,
    progress: bool = True,
    **arguments: Any,
) -> pd.DataFrame:
    """Share of p-values up to ``alpha`` where there is no crosstalk.

    Parameters
    ----------
    n_seeds
        Draws of each null, at least 2; 20 take about 10 s a null, 200 are needed for limits within ±1 %.
    nulls
        Some of :data:`NULLS`.
    alpha
        Nominal rate; (n_permutations + 1) × alpha should be whole, or permutation tests fall short of it.
    n_permutations
        As for :func:`sicmir.vesicles.crosstalk.crosstalk`.
    seed
        First seed; draws use it and the following ones.
    progress
        Show a bar.
    **arguments
        Other arguments of :func:`sicmir.synthetic.toy_crosstalk.crosstalk_cells`, such as ``n_donors``.

    Returns
    -------
    DataFrame
        Index (null, test): ``n_seeds``; ``n_rows`` of p-values; ``rate``; ``lower, upper``, its 95 % limits
        over draws; ``any_q``, share of draws with any q up to ``alpha``, NaN for tests without q; ``exact``,
        whether the rate should be ``alpha``.

    Raises
    ------
    ParameterError
        If an option is out of range.
    """
    _check(n_seeds, 2, seed)
    odd = [name for name in nulls if name not in NULLS]
    if odd or not len(nulls):
        raise ParameterError(f"nulls should be some of {', '.join(NULLS)}; found {list(nulls)!r}.")
    if not 0 < alpha < 1:
        raise ParameterError(f"alpha should lie between 0 and 1; found {alpha!r}.")
    rows = {}
    for name in nulls:
        null, tables = NULLS[name], []
        for draw in _bar(n_seeds, name, progress):
            parts = crosstalk_cells(**{**arguments, **null.arguments}, seed=seed + draw)
            parts = _cut_donors(*parts, null.split)
            table = crosstalk(*parts, n_permutations=n_permutations, seed=draw, progress=False).table
            tables.append(table[_planted(table, parts[1])] if null.planted_only else table)
        for test in TESTS:
            rows[(name, test)] = _rate(tables, test, alpha) | {"exact": test in null.exact}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(["null", "test"])


def recovery(
    n_donors: Sequence[int] = (3, 4, 6, 10),
    n_seeds: int = 50,
    fdr: float = 0.05,
    n_permutations: int = 9999,
    *,
    seed: int = 0,
    progress: bool = True,
    **arguments: Any,
) -> pd.DataFrame:
    """How well planted pairs are found, by the number of donors.

    Parameters
    ----------
    n_donors
        Numbers of donors, each at least 3.
    n_seeds
        Draws of each, at least 2.
    fdr
        Largest q that is called.
    n_permutations, seed, progress, **arguments
        As for :func:`false_positives`.

    Returns
    -------
    DataFrame
        Index ``n_donors``; ``n_seeds``; ``auroc`` of the score, planted rows against all other counted rows,
        with its 95 % limits over draws ``auroc_lower, auroc_upper``; ``auroc_p``, the same of p; ``power``,
        share of planted rows with q up to ``fdr``; ``false_discoveries``, mean share of rows called that were
        not planted, 0 where none is called; ``power_score`` and ``false_discoveries_score``, the same by
        ``q_score``.

    Raises
    ------
    ParameterError
        If an option is out of range.
    """
    _check(n_seeds, 2, seed)
    if not len(n_donors) or min(n_donors) < 3:
        raise ParameterError(f"n_donors should be numbers of at least 3; found {list(n_donors)!r}.")
    rows = {}
    for n in n_donors:
        draws = []
        for draw in _bar(n_seeds, f"{n} donors", progress):
            parts = crosstalk_cells(**{**arguments, "n_donors": n}, seed=seed + draw)
            table = crosstalk(*parts, n_permutations=n_permutations, seed=draw, progress=False).table
            table = table[table["counted"]]
            real = _planted(table, parts[1])
            found = {"auroc": auroc(table["score"], real), "auroc_p": auroc(-table["p"], real)}
            for name in ("", "_score"):
                called = (table[f"q{name}"] <= fdr).to_numpy()
                found[f"power{name}"] = called[real].mean()
                found[f"false_discoveries{name}"] = (~real)[called].mean() if called.any() else 0.0
            draws.append(found)
        found = pd.DataFrame(draws)
        lower, upper = _limits(found["auroc"].to_numpy())
        rows[n] = {"n_seeds": n_seeds, "auroc_lower": lower, "auroc_upper": upper} | found.mean().to_dict()
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("n_donors")


def term_ablation(
    n_seeds: int = 50,
    n_donors: int = 6,
    *,
    seed: int = 0,
    progress: bool = True,
    **arguments: Any,
) -> pd.DataFrame:
    """How well the score finds planted pairs without each of its terms, and by each term alone.

    The toy data plant nothing in the priors, sorting and trust: leaving them out should cost nothing.

    Parameters
    ----------
    n_seeds
        Draws, at least 2.
    n_donors
        Donors of each draw.
    seed, progress, **arguments
        As for :func:`false_positives`.

    Returns
    -------
    DataFrame
        Index ``terms``: "all", "without ..." and "only ..."; ``n_seeds``; ``auroc`` of the score, planted
        rows against all other counted rows, mean over draws; ``loss`` against all terms on the same draws,
        with 95 % limits ``loss_lower, loss_upper``.

    Raises
    ------
    ParameterError
        If an option is out of range.
    """
    _check(n_seeds, 2, seed)
    choices: dict[str, tuple[str, ...]] = {"all": TERMS}
    choices |= {f"without {term}": tuple(name for name in TERMS if name != term) for term in TERMS}
    choices |= {f"only {term}": (term,) for term in TERMS}
    draws = []
    for draw in _bar(n_seeds, "terms", progress):
        parts = crosstalk_cells(**{**arguments, "n_donors": n_donors}, seed=seed + draw)
        measured = crosstalk(*parts, n_permutations=1, progress=False).terms
        pairs, _ = pairs_of(measured, False)
        tables = {name: score_table(measured, terms, pairs) for name, terms in choices.items()}
        draws.append(
            {
                name: auroc(table["score"][table["counted"]], _planted(table[table["counted"]], parts[1]))
                for name, table in tables.items()
            }
        )
    values = pd.DataFrame(draws)
    loss = -values.sub(values["all"], axis=0)
    limits = np.array([_limits(loss[name].to_numpy()) for name in choices])
    return pd.DataFrame(
        {
            "n_seeds": n_seeds,
            "auroc": values.mean(),
            "loss": loss.mean(),
            "loss_lower": limits[:, 0],
            "loss_upper": limits[:, 1],
        }
    ).rename_axis("terms")


def auroc(score: pd.Series | np.ndarray, real: np.ndarray) -> float:
    """Chance that a real row is above one that is not, ties counting half; NaN where one kind is absent.

    Parameters
    ----------
    score
        One value a row.
    real
        Boolean, one a row.
    """
    n, others = int(real.sum()), int((~real).sum())
    if not n or not others:
        return np.nan
    return float((rankdata(score)[real].sum() - n * (n + 1) / 2) / (n * others))


def _planted(table: pd.DataFrame, mirna: ad.AnnData) -> np.ndarray:
    """Which rows were planted."""
    truth = pd.MultiIndex.from_frame(mirna.uns["truth"]["pairs"][_KEYS])
    return pd.MultiIndex.from_frame(table[_KEYS]).isin(truth)


def _cut_donors(
    cells: ad.AnnData, mirna: ad.AnnData, targets: pd.DataFrame, split: int
) -> tuple[ad.AnnData, ad.AnnData, pd.DataFrame]:
    """Call pieces of donors donors: the cells of each in turn, with the miRNA of the whole."""
    if split == 1:
        return cells, mirna, targets
    cells = cells.copy()
    cells.obs["donor"] = [f"{donor}.{i % split}" for i, donor in enumerate(cells.obs["donor"])]
    pieces = [mirna.copy() for _ in range(split)]
    for i, piece in enumerate(pieces):
        piece.obs["donor"] = piece.obs["donor"].astype(str) + f".{i}"
    joined = ad.concat(pieces, index_unique="-", merge="same", uns_merge="same")
    return cells, joined, targets


def _rate(tables: Sequence[pd.DataFrame], test: str, alpha: float) -> dict[str, Any]:
    rates = np.array([(table[test].dropna() <= alpha).mean() for table in tables])
    lower, upper = _limits(rates)
    q = {"p": "q", "p_score": "q_score"}.get(test)
    return {
        "n_seeds": len(tables),
        "n_rows": sum(int(table[test].notna().sum()) for table in tables),
        "rate": rates.mean(),
        "lower": lower,
        "upper": upper,
        "any_q": np.mean([(table[q] <= alpha).any() for table in tables]) if q else np.nan,
    }


def _limits(values: np.ndarray) -> tuple[float, float]:
    """95 % limits of the mean over draws."""
    half = norm.ppf(0.975) * values.std(ddof=1) / np.sqrt(len(values))
    return float(values.mean() - half), float(values.mean() + half)


def _bar(n: int, what: str, progress: bool) -> tqdm:
    return tqdm(range(n), desc=what, unit="draw", **({} if progress else {"disable": True}))


def _check(n_seeds: int, least: int, seed: int) -> None:
    if n_seeds < least or seed < 0:
        raise ParameterError(
            f"Expected n_seeds of {least} or more and a seed of 0 or more; found {n_seeds!r} and {seed!r}."
        )
