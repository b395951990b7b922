"""The null of a hub: the same number of other genes in place of the targets, matched gene by gene.

Genes are put in bins (:func:`sicmir.networks.matched_genes.gene_bins`). A draw permutes the genes within each
bin, the same way for all miRNAs. Each miRNA thus gets a random matched set of the size of its own and without
repeats, and what miRNAs share of their targets they share in every draw.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import LinearOperator, cg
from scipy.stats import norm
from scipy.stats import t as student
from tqdm import tqdm

from sicmir.errors import DataError

DAMPING = 0.85
"""Of PageRank: the chance that a walk goes on along an edge (Page 1999)."""


@dataclass(frozen=True, eq=False)
class TargetSets:
    """Target sets of miRNAs over binned genes.

    Attributes
    ----------
    mirna, gene, weight
        Of each pair: place of the miRNA, place of the gene, and weight in the table; sorted by miRNA.
    shape
        Numbers of miRNAs and of genes.
    bins
        Bin of each gene, from 0.
    """

    mirna: np.ndarray
    gene: np.ndarray
    weight: np.ndarray
    shape: tuple[int, int]
    bins: np.ndarray

    def total(self, association: np.ndarray) -> np.ndarray:
        """Sum over the targets of each miRNA of weight × association (miRNAs × genes)."""
        return self._sum(self.weight * association[self.mirna, self.gene])

    def size(self) -> np.ndarray:
        """Number of targets of each miRNA."""
        return np.bincount(self.mirna, minlength=self.shape[0])

    def in_bins(self, power: int = 1) -> np.ndarray:
        """Sum of weight ** power over the targets of each miRNA in each bin, miRNAs × bins."""
        where = (self.mirna, self.bins[self.gene])
        shape = (self.shape[0], int(self.bins.max()) + 1)
        return sparse.coo_matrix((self.weight**power, where), shape=shape).toarray()

    def overlap(self) -> np.ndarray:
        """Share, expected, of a drawn set that are targets of the miRNA itself; NaN without targets."""
        counts = np.zeros((self.shape[0], int(self.bins.max()) + 1))
        np.add.at(counts, (self.mirna, self.bins[self.gene]), 1)
        with np.errstate(invalid="ignore"):
            return (counts**2 / np.bincount(self.bins)).sum(axis=1) / self.size()

    def expected(self, association: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and SD of :meth:`total` over all draws, exactly: sampling without replacement within bins."""
        sizes = np.bincount(self.bins)
        member = sparse.csr_matrix((np.ones(len(self.bins), association.dtype), self._member()))
        mean = (association @ member) / sizes
        square = (association**2 @ member) / sizes
        variance = np.maximum(square - mean**2, 0) * sizes / np.maximum(sizes - 1, 1)
        first, second = self.in_bins(), self.in_bins(2)
        spread = (variance * (second - first**2 / sizes)).sum(axis=1)
        return (mean * first).sum(axis=1), np.sqrt(np.maximum(spread, 0))

    def relative(self, units: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Sum over the targets of each miRNA less that of matched genes, over donors.

        Parameters
        ----------
        units
            Rows × genes: what the design leaves of each gene, of length 1.

        Returns
        -------
        profile
            Rows × miRNAs.
        chance
            One for each miRNA: the mean over draws of the sum of squares of such a profile.
        """
        own = sparse.csr_matrix((self.weight, (self.mirna, self.gene)), shape=self.shape)
        member = sparse.csr_matrix((np.ones(len(self.bins)), self._member()))
        sizes = np.bincount(self.bins)
        centre = (units @ member) / sizes
        first, second = self.in_bins(), self.in_bins(2)
        profile = (own @ units.T).T - centre @ first.T
        apart = (np.square(units).sum(axis=0) @ member) / sizes - np.square(centre).sum(axis=0)
        return profile, (second - first**2 / sizes) @ (apart * sizes / np.maximum(sizes - 1, 1))

    def draws(self, n: int, seed: int, progress: bool) -> Iterator[np.ndarray]:
        """Yield for every draw the gene that stands in for each pair's gene."""
        rng = np.random.default_rng(seed)
        order = np.argsort(self.bins, kind="stable")
        drawn = np.empty(len(order), dtype=np.intp)
        for _ in tqdm(range(n), desc="Drawing matched genes", unit="draw", leave=False, disable=not progress):
            drawn[order] = np.argsort(self.bins + rng.random(len(order)))
            yield drawn[self.gene]

    def permuted(
        self, association: np.ndarray, n: int, seed: int = 0, progress: bool = False
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Weighted degree and PageRank of each miRNA in draws.

        Parameters
        ----------
        association
            miRNAs × genes, at least 0.
        n, seed
            Number of draws, and their seed.
        progress
            Show a bar.

        Returns
        -------
        degrees, pageranks
            Draws × miRNAs.
        pagerank
            Of the targets themselves.
        """
        flat, start = np.ascontiguousarray(association).ravel(), self.mirna * association.shape[1]
        walk = _Walk(self)
        degrees, pageranks = np.empty((2, n, self.shape[0]))
        for place, gene in enumerate(self.draws(n, seed, progress)):
            drawn = self.weight * flat[start + gene]
            degrees[place], pageranks[place] = self._sum(drawn), walk.pagerank(drawn)
        return degrees, pageranks, walk.pagerank(self.weight * flat[start + self.gene])

    def _sum(self, values: np.ndarray) -> np.ndarray:
        return np.bincount(self.mirna, values, minlength=self.shape[0])

    def _member(self) -> tuple[np.ndarray, np.ndarray]:
        return np.arange(len(self.bins)), self.bins


class _Walk:
    """PageRank of miRNAs in the undirected graph of miRNAs and genes, for any weights of the same pairs.

    With A the weights, D and E the strengths of miRNAs and genes, the scores before they are scaled to a sum
    of 1 solve x = 1 + a A E^-1 y and y = 1 + a A' D^-1 x. Putting one into the other leaves a symmetric
    positive definite system in the miRNAs alone, of condition below 3.7: conjugate gradients need few steps.
    Nodes without an edge spread their rank evenly, which only scales the solution.
    """

    def __init__(self, sets: TargetSets) -> None:
        self.sets = sets
        self.genes, self.gene = np.unique(sets.gene, return_inverse=True)
        starts = np.searchsorted(sets.mirna, np.arange(sets.shape[0] + 1))
        shape = (sets.shape[0], len(self.genes))
        self.matrix = sparse.csr_matrix((np.ones(len(self.gene)), self.gene, starts), shape=shape)

    def pagerank(self, weights: np.ndarray) -> np.ndarray:
        """Rank of each miRNA; all nodes together sum to 1."""
        n, m = self.matrix.shape
        strength = np.bincount(self.sets.mirna, weights, minlength=n)
        other = np.bincount(self.gene, weights, minlength=m)
        into, out = (1 / np.sqrt(np.where(side > 0, side, np.inf)) for side in (strength, other))
        scaled = self.matrix
        scaled.data = weights * into[self.sets.mirna] * out[self.gene]
        start = 1 + DAMPING * np.sqrt(strength) * (scaled @ out)
        system = LinearOperator((n, n), lambda v: v - DAMPING**2 * (scaled @ (v @ scaled)), dtype=float)
        solution, failed = cg(system, start * into, rtol=1e-10)
        if failed:
            raise DataError("PageRank did not converge; are there weights of very different sizes?")
        ranks = np.where(strength > 0, solution * np.sqrt(strength), 1.0)
        rest = m + DAMPING * np.sqrt(other) @ ((ranks * into) @ scaled)
        return ranks / (ranks.sum() + rest)


def permutation_p(
    observed: np.ndarray,
    draws: np.ndarray,
    inflation: np.ndarray | float = 1.0,
    df: np.ndarray | float = np.inf,
) -> np.ndarray:
    """Share of draws that reach what was observed: (b + 1) / (n + 1) with b of n draws.

    Phipson & Smyth 2010 (doi 10.2202/1544-6115.1585). An inflation is estimated from few donors, so that what
    is divided by its root has Student's tails and not those of the draws: where there is one, a draw that is
    u standard deviations from the mean stands for the t that is as improbable as u in a normal distribution.

    Parameters
    ----------
    observed
        One value a miRNA.
    draws
        Draws × miRNAs.
    inflation
        Factor, at least 1, one a miRNA, by which the variance of the draws is too small.
    df
        Degrees of freedom that the inflation was estimated with.
    """
    centre, sd = draws.mean(axis=0), draws.std(axis=0)
    spread = draws - centre
    inflation, df = (np.broadcast_to(part, observed.shape).astype(float) for part in (inflation, df))
    wide = np.flatnonzero((inflation > 1) & (sd > 0))
    unlikely = student.isf(norm.sf(spread[:, wide] / sd[wide]), df[wide])
    spread[:, wide] = unlikely * sd[wide] * np.sqrt(inflation[wide])
    # Rounding must not break the tie of a draw that is the set itself.
    reached = spread >= observed - centre - 1e-7 * np.abs(observed)
    p = (reached.sum(axis=0) + 1) / (len(draws) + 1)
    return np.where(np.isfinite(observed) & np.isfinite(inflation), p, np.nan)
