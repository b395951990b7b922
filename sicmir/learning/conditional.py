"""The Gaussian of the genes, conditioned on the genes that were measured, one pattern of them at a time."""

from __future__ import annotations

from functools import cached_property

import numpy as np


class ConditionalGaussian:
    r"""Precision and regression of a Gaussian of covariance :math:`S + \lambda I` for any choice of genes.

    Both come from the inverse P over all genes, made once: with o measured and u not,

    .. math:: (S_{oo} + \lambda I)^{-1} = P_{oo} - P_{ou} P_{uu}^{-1} P_{uo}, \quad
              (S_{oo} + \lambda I)^{-1} S_{ou} = -P_{ou} P_{uu}^{-1} ,

    the inverse of a partitioned matrix. With few genes missing this costs a hundredth of a new inverse.

    Parameters
    ----------
    covariance, ridge
        S, genes × genes, and :math:`\lambda`.
    """

    def __init__(self, covariance: np.ndarray, ridge: float) -> None:
        self._matrix = covariance + ridge * np.eye(len(covariance))

    @cached_property
    def _inverse(self) -> np.ndarray:
        return np.linalg.inv(self._matrix)

    def precision(self, seen: np.ndarray) -> np.ndarray:
        """Inverse of the covariance of the genes that are seen (a mask), float64."""
        if 2 * seen.sum() < len(seen):
            return np.linalg.inv(self._matrix[np.ix_(seen, seen)])
        return self._inverse[np.ix_(seen, seen)] + self.regression(seen) @ self._inverse[np.ix_(~seen, seen)]

    def regression(self, seen: np.ndarray) -> np.ndarray:
        """Coefficients, seen × other genes, by which centred seen genes predict the others, float64."""
        if 2 * seen.sum() < len(seen):
            return np.linalg.solve(self._matrix[np.ix_(seen, seen)], self._matrix[np.ix_(seen, ~seen)])
        return -np.linalg.solve(self._inverse[np.ix_(~seen, ~seen)], self._inverse[np.ix_(~seen, seen)]).T
