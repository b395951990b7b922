"""Scores of donors, and the permutation of cell-type labels within donors."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import numpy as np
from scipy.stats import rankdata
from tqdm import tqdm

from sicmir.vesicles.crosstalk_terms import PRIORS, RECEIVER_TERMS, SENDER_TERMS, Terms

MIN_DONORS = 3
"""Fewest donors of which a p-value is made."""

_CHUNK = 500
_TIE = 1e-9


def sides(terms: Terms, use: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Sender's and receiver's part of the score of each donor, as sums of logarithms.

    Each term but the priors, which are taken as they are, becomes the surprisal of its rank within the donor,
    -ln(1 - (rank - 0.5) / n): 0.7 in the middle, 4.6 for the top hundredth. Biogenesis and RISC are ranked
    among the cell types, repression among cell types × counted miRNAs. Abundance is the geometric mean of
    two: among cell types × counted miRNAs (much of it), and among cell types for the miRNA (more of it than
    elsewhere).

    Returns
    -------
    sender, receiver
        Donors × cell types × miRNAs; NaN where the cell type does not take part, 0 for a side without terms.
    """
    counted = terms.mirnas["counted"].to_numpy()
    result = []
    for names in (SENDER_TERMS, RECEIVER_TERMS):
        total = np.zeros((*terms.present.shape, len(counted)))
        for name in (name for name in names if name in use):
            if name in PRIORS:
                total += np.log(getattr(terms, name))
                continue
            for donor, there in enumerate(terms.present):
                part = getattr(terms, name)[donor, there]
                if part.ndim == 1:
                    total[donor, there] += np.log(_surprisal(part, part))[:, None]
                    continue
                logs = np.log(_surprisal(part, part[:, counted]))
                if name == "abundance":
                    within = (rankdata(part, axis=0) - 0.5) / len(part)
                    logs = (logs + np.log(-np.log1p(-within))) / 2
                total[donor, there] += logs
        total[~terms.present] = np.nan
        result.append(total)
    return result[0], result[1]


def permute(
    terms: Terms, use: Sequence[str], pairs: np.ndarray, n_permutations: int, seed: int, progress: bool
) -> np.ndarray:
    """p-values of ordered pairs of cell types: of the score, of the sender's side, of the receiver's.

    A donor's profiles change labels as wholes, so that the unit is the donor and the number of cells counts
    for nothing. What a permutation gives for one pair of labels is, of each donor, the value of an ordered
    pair of cell types drawn by lot (the same type twice for pairs of a type with itself); this is drawn
    directly, once for all pairs that were seen in the same donors. p = (b + 1) / (n + 1), with b of n draws
    at least as large as what was observed (Phipson and Smyth 2010, doi:10.2202/1544-6115.1585).

    Parameters
    ----------
    terms, use
        What was measured, and the terms of the score.
    pairs
        Pairs × 2: places of sender and receiver among the cell types.
    n_permutations, seed
        Number of draws and their seed.
    progress
        Show a bar.

    Returns
    -------
    ndarray
        3 × pairs × miRNAs: score, sender, receiver. NaN for miRNAs that are not counted or of which a term
        is not known in some group, pairs of fewer than 3 donors, and sides without terms.
    """
    counted = np.flatnonzero(terms.mirnas["counted"])
    sender, receiver = (side[..., counted] for side in sides(terms, use))
    parts = [len(set(use) & set(names)) for names in (SENDER_TERMS, RECEIVER_TERMS)]
    # Priors are the same for all cell types: alone they leave nothing to permute.
    informative = [True, bool(set(use) & set(SENDER_TERMS) - set(PRIORS)), parts[1] > 0]
    informative[0] = informative[1] or informative[2]
    both = terms.present[:, pairs[:, 0]] & terms.present[:, pairs[:, 1]]
    same = pairs[:, 0] == pairs[:, 1]
    result = np.full((3, len(pairs), terms.mirnas.shape[0]), np.nan)
    keys, group = np.unique(np.vstack([both, same]).T, axis=0, return_inverse=True)
    group = group.ravel()
    rng = np.random.default_rng(seed)
    chunks = [min(_CHUNK, n_permutations - start) for start in range(0, n_permutations, _CHUNK)]

    def values(donor: int, i: np.ndarray, j: np.ndarray) -> np.ndarray:
        """Score and both sides of drawn or observed pairs; 3 × pairs × miRNAs."""
        out, into = sender[donor, i], receiver[donor, j]
        logs = ((out + into) / sum(parts), out / max(parts[0], 1), into / max(parts[1], 1))
        return np.exp(np.stack(logs))

    silent = {} if progress else {"disable": True}
    for place, key in enumerate(tqdm(keys, desc="Permuting", unit="set of donors", **silent)):
        donors, own = np.flatnonzero(key[:-1]).tolist(), bool(key[-1])
        chosen = np.flatnonzero(group == place)
        if len(donors) < MIN_DONORS:
            continue
        observed = reduce(np.add, (values(d, pairs[chosen, 0], pairs[chosen, 1]) for d in donors))
        larger = np.zeros(observed.shape)
        for size in chunks:
            lots = (values(d, *_draw(rng, np.flatnonzero(terms.present[d]), size, own)) for d in donors)
            drawn = reduce(np.add, lots)
            for k in range(len(chosen)):
                larger[:, k] += (drawn >= observed[:, k, None, :] - _TIE).sum(axis=1)
        result[np.ix_(np.arange(3), chosen, counted)] = (larger + 1) / (n_permutations + 1)
    result[~np.array(informative)] = np.nan
    # Comparisons with NaN are false, which would count as "never as large".
    unknown = np.isnan(sender[terms.present] + receiver[terms.present]).any(axis=0)
    result[..., counted[unknown]] = np.nan
    return result


def _draw(rng: np.random.Generator, types: np.ndarray, size: int, own: bool) -> tuple[np.ndarray, np.ndarray]:
    """Ordered pairs of a donor's cell types, all equally likely."""
    first = rng.integers(0, len(types), size)
    step = 0 if own else rng.integers(1, len(types), size)
    return types[first], types[(first + step) % len(types)]


def _surprisal(values: np.ndarray, among: np.ndarray) -> np.ndarray:
    """-ln(1 - (rank - 0.5) / n) among n values, ties counting half; NaN stays NaN."""
    ordered = np.sort(among[~np.isnan(among)], axis=None)
    left, right = (np.searchsorted(ordered, values, side) for side in ("left", "right"))
    # A value that is not among them may lie outside them.
    place = np.clip((left + right) / 2, 0.5, len(ordered) - 0.5) / max(len(ordered), 1)
    return np.where(np.isnan(values), np.nan, -np.log1p(-place))
