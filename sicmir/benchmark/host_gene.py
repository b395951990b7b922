"""The host-gene control: each miRNA from the gene in which it lies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Self

import numpy as np
import pandas as pd
from anndata import AnnData

from sicmir import panel
from sicmir.errors import DataError, ParameterError
from sicmir.learning.methods import checked


class HostGene:
    """Straight line of each miRNA on the expression of its own host gene.

    X is not the landmarks but the samples x miRNAs of :func:`host_expression`. A sample whose host was not
    measured is predicted as NaN, and so is a miRNA without a host, with a host that is constant, or with
    fewer than ``min_samples`` training samples that have both: the training mean in its place would be
    judged as if it were a figure about host genes.

    Co-transcription of miRNA and host: Baskerville & Bartel 2005, doi 10.1261/rna.7240905.

    Parameters
    ----------
    min_samples
        Fewest training samples with both.
    """

    def __init__(self, min_samples: int = 20) -> None:
        if min_samples < 3:
            raise ParameterError(f"A line needs at least 3 samples, found min_samples={min_samples}.")
        self.min_samples = min_samples

    def fit(self, X: np.ndarray, Y: np.ndarray, obs: pd.DataFrame) -> Self:
        """Fit one line a miRNA by least squares.

        Raises
        ------
        DataError
            If X and Y differ in shape, or for the reasons of :func:`sicmir.learning.methods.checked`.
        """
        X, Y = checked(X, Y, obs)
        if X.shape != Y.shape:
            raise DataError(
                f"The method 'host-gene' reads one host gene for each of {Y.shape[1]} miRNAs, found "
                f"{X.shape[1]} columns. Give it host_gene.host_expression in place of the landmarks."
            )
        X = X.astype(np.float64)
        if np.isinf(X).any():
            raise DataError("The expression of host genes holds infinite values; expected log2(x+1).")
        both = ~np.isnan(X) & ~np.isnan(Y)
        n = np.maximum(both.sum(axis=0), 1)
        x_mean, y_mean = (np.where(both, side, 0).sum(axis=0) / n for side in (X, Y))
        x, y = np.where(both, X - x_mean, 0), np.where(both, Y - y_mean, 0)
        usable = (both.sum(axis=0) >= self.min_samples) & (np.abs(x).max(axis=0) > 1e-6)
        slope = (x * y).sum(axis=0) / np.where(usable, (x * x).sum(axis=0), 1)
        self.slope_ = np.where(usable, slope, np.nan)
        self.x_mean_, self.y_mean_ = x_mean, y_mean
        return self

    def predict(self, X: np.ndarray, obs: pd.DataFrame) -> np.ndarray:
        """Predict log2(RPM+1) from the expression of host genes; ``obs`` is not read."""
        X = np.asarray(X, dtype=np.float64)
        return ((X - self.x_mean_) * self.slope_ + self.y_mean_).astype(np.float32)


def host_genes(mirna: AnnData) -> dict[str, tuple[str, ...]]:
    """Host genes of miRNAs; a miRNA that has none is left out.

    They are those of :func:`sicmir.panel.mirnas`, former names included, and for toy data the planted ones.
    """
    if "truth" in mirna.uns:
        planted = mirna.uns["truth"]["mirnas"]["host_gene"].reindex(mirna.var_names).fillna("")
        return {name: (gene,) for name, gene in planted.items() if gene}
    table = panel.mirnas().set_index("name")["host_genes"]
    current = panel.current_mirna_names(mirna.var_names)["current"]
    found = {name: table[now].split(";") for name, now in current.items() if now}
    return {name: tuple(filter(None, genes)) for name, genes in found.items() if any(genes)}


def host_expression(
    mrna: AnnData, mirnas: Sequence[str], host_of: Mapping[str, Sequence[str]]
) -> pd.DataFrame:
    """Look up what :class:`HostGene` reads: samples x miRNAs, the expression of the host gene of each.

    Parameters
    ----------
    mrna
        Samples x all genes, log2(x+1), named by symbol or ``SYMBOL|ENTREZ``. Few host genes are landmarks.
    mirnas
        Names of miRNAs, which become the columns.
    host_of
        miRNA to symbols of its host genes, as :func:`host_genes` gives them. Of several, and of several
        columns of one gene, the mean over those that were measured is taken.

    Raises
    ------
    DataError
        If no host gene is among the genes.
    """
    columns: dict[str, list[int]] = {}
    for i, name in enumerate(mrna.var_names):
        columns.setdefault(name.split("|")[0], []).append(i)
    of_mirna = [[i for gene in host_of.get(name, ()) for i in columns.get(gene, ())] for name in mirnas]
    wanted = sorted({i for found in of_mirna for i in found})
    if not wanted:
        hosts = sorted({gene for name in mirnas for gene in host_of.get(name, ())})
        raise DataError(
            f"None of the {len(hosts)} host genes of {len(mirnas)} miRNAs is among {mrna.n_vars} genes "
            f"({', '.join(mrna.var_names[:3])}, …). Expected symbols, here {', '.join(hosts[:3]) or 'none'}."
        )
    values = mrna[:, wanted].to_df().to_numpy(dtype=np.float64)
    member = np.array([np.isin(wanted, found) for found in of_mirna], dtype=np.float64).T
    n = ~np.isnan(values) @ member
    total = np.nan_to_num(values, nan=0.0) @ member
    mean = np.divide(total, n, out=np.full(n.shape, np.nan), where=n > 0)
    return pd.DataFrame(mean, index=mrna.obs_names, columns=pd.Index(mirnas))
