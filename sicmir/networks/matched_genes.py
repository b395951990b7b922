"""Gene sets against other genes of like expression: one z a set and profile, without a loop over sets."""

from __future__ import annotations

import numpy as np
from scipy import sparse
from scipy.stats import rankdata

from sicmir.errors import DataError

N_BINS = 20
"""Most bins of mean expression."""

N_CLASSES = 4
"""Classes of genes by the number of their miRNAs, besides those without any."""

MIN_IN_BIN = 50
"""Fewest genes of a bin where there are bins to choose from."""


def gene_bins(
    mean: np.ndarray, degree: np.ndarray | None = None, spread: np.ndarray | None = None
) -> np.ndarray:
    """Bin of each gene: genes of a bin are alike in mean expression, number of miRNAs and spread.

    Genes with many miRNAs have long 3'UTRs and are not a sample of all genes: in the brain, for one, they are
    genes of neurons. Against genes of like expression alone, the targets of almost any miRNA are then low in
    cells that are no neurons.

    Parameters
    ----------
    mean
        Mean expression, one value a gene.
    degree
        Number of miRNAs that target the gene; None leaves it out.
    spread
        Standard deviation of the gene; None leaves it out.

    Returns
    -------
    ndarray
        Integers from 0, without gaps. Each class of degree is cut into bins of mean expression, and these
        into bins of spread, of about equal size. Genes that are equal are never torn apart.
    """
    classes = np.zeros(len(mean), dtype=int)
    if degree is not None:
        targeted = np.flatnonzero(degree > 0)
        n = int(np.clip(len(targeted) // (2 * MIN_IN_BIN), 1, N_CLASSES))
        classes[targeted] = 1 + _cut(degree[targeted], n)
    bins = np.zeros(len(mean), dtype=int)
    for kind in np.unique(classes):
        inside = np.flatnonzero(classes == kind)
        n = int(np.clip(len(inside) // MIN_IN_BIN, 1, N_BINS))
        side = n if spread is None else int(np.sqrt(n))
        place = _cut(mean[inside], side)
        if spread is not None:
            by_spread = np.zeros(len(inside), dtype=int)
            for part in np.unique(place):
                by_spread[place == part] = _cut(spread[inside][place == part], side)
            place = place * side + by_spread
        bins[inside] = kind * N_BINS + place
    return np.unique(bins, return_inverse=True)[1]


def matched_z(values: np.ndarray, members: sparse.csr_matrix, bins: np.ndarray) -> np.ndarray:
    r"""How much higher the genes of each set are than other genes of their bins, in standard errors.

    With n_b of the N_b genes of bin b in the set, and the means of the members and of the others in it,

    .. math:: z = \frac{\sum_b n_b (\bar x_b - \bar y_b)}
                  {\sqrt{\sum_b n_b s_b^2 (1 + n_b / (N_b - n_b))}}

    s_b² is the variance over all genes of the bin. If the members of a set were drawn from their bins by lot,
    z would have mean 0 and variance 1, whatever correlates with what; real sets hold genes that go together,
    so that large z are somewhat more frequent than the normal distribution says (Goeman and Bühlmann 2007,
    doi:10.1093/bioinformatics/btm051). The score of Tirosh et al. 2016 (doi:10.1126/science.aad0501), in
    ``scanpy.tl.score_genes``, is the same contrast with controls drawn by lot; here all other genes of the
    bin are controls, so that nothing is random and one product of matrices serves thousands of target sets.

    Parameters
    ----------
    values
        Genes × profiles, log expression or its deviation from a reference.
    members
        Sets × genes, 1 where the gene is in the set.
    bins
        As :func:`gene_bins` gives them.

    Returns
    -------
    ndarray
        Sets × profiles; NaN for a set without genes and for a profile that does not vary. Members of a bin
        that holds no other genes do not count.

    Raises
    ------
    DataError
        If shapes differ or a value is not finite.
    """
    if members.shape[1] != len(values) or len(bins) != len(values) or not np.isfinite(values).all():
        raise DataError(
            f"Expected finite values of as many genes as sets and bins have; found {len(values)}, "
            f"{members.shape[1]} and {len(bins)} genes."
        )
    difference, variance = np.zeros((2, members.shape[0], values.shape[1]))
    columns = members.tocsc().astype(np.float64)
    for place in np.unique(bins):
        inside = np.flatnonzero(bins == place)
        part = columns[:, inside]
        n = np.asarray(part.sum(axis=1))
        others = len(inside) - n
        total = part @ values[inside]
        usable = others > 0
        mean_of_others = (values[inside].sum(axis=0) - total) / np.where(usable, others, 1)
        difference += np.where(usable, total - n * mean_of_others, 0)
        spread = values[inside].var(axis=0, ddof=1) if len(inside) > 1 else np.zeros(values.shape[1])
        variance += np.where(usable, n * spread * (1 + n / np.where(usable, others, 1)), 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(variance > 0, difference / np.sqrt(variance), np.nan)


def n_comparable(members: sparse.csr_matrix, bins: np.ndarray) -> np.ndarray:
    """Number of genes of each set (sets × genes) whose bin holds other genes to compare them with."""
    member = sparse.csr_matrix((np.ones(len(bins)), (np.arange(len(bins)), bins)))
    inside = (members @ member).toarray()
    return np.where(inside < np.bincount(bins), inside, 0).sum(axis=1).astype(int)


def _cut(values: np.ndarray, n: int) -> np.ndarray:
    """Part of each value when all are cut into n parts by rank; ties are not torn apart."""
    return np.minimum((rankdata(values, method="min") - 1) * n // len(values), n - 1).astype(int)
