"""Spots of a spatial transcriptome: pooled by region and by neighbourhood, since single spots are shallow."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
from scipy import sparse
from scipy.spatial import cKDTree

from sicmir.donors.mirna_findings import describe
from sicmir.errors import DataError, ParameterError
from sicmir.learning.conformal import uncut_half_widths
from sicmir.pseudobulk import pseudobulk

CONTRAST = ("mirna", "effect", "lower", "upper", "grade", "greyed")


def regions(spots: ad.AnnData, min_spots: int = 10) -> ad.AnnData:
    """Sum up the spots of each region.

    Parameters
    ----------
    spots
        Spots × genes, counts; ``obs["region"]``, "" where it is not known.
    min_spots
        Regions of fewer spots are left out.

    Returns
    -------
    AnnData
        Regions × genes, as :func:`sicmir.pseudobulk.pseudobulk` gives them; ``obs``: ``region``,
        ``n_cells`` (spots).
    """
    return pseudobulk(spots, "region", min_cells=min_spots, missing="drop")


def windows(spots: ad.AnnData, radius: float) -> ad.AnnData:
    """Sum up all spots within a distance of each spot.

    Windows overlap: they smooth a map, and are no samples.

    Parameters
    ----------
    spots
        Spots × genes, counts; ``obs``: ``x`` and ``y``.
    radius
        Distance, in the units of ``x`` and ``y``, above 0.

    Returns
    -------
    AnnData
        The same spots × genes, float32; ``obs["n_spots"]``.

    Raises
    ------
    ParameterError
        If ``radius`` is not above 0.
    DataError
        If a place is missing.
    """
    if not radius > 0:
        raise ParameterError(f"radius should be above 0; found {radius!r}.")
    places = spots.obs[["x", "y"]].to_numpy(dtype=np.float64)
    if not np.isfinite(places).all():
        raise DataError("Expected x and y of every spot; leave out those that have none.")
    near = cKDTree(places).query_ball_point(places, radius, return_sorted=True)
    rows = np.repeat(np.arange(len(near)), [len(one) for one in near])
    together = sparse.csr_matrix((np.ones(len(rows), np.float32), (rows, np.concatenate(near))))
    made = ad.AnnData(
        (together @ sparse.csr_matrix(spots.X)).astype(np.float32),
        obs=spots.obs.assign(n_spots=[len(one) for one in near]),
        var=spots.var.copy(),
    )
    made.uns["sicmir"] = dict(spots.uns.get("sicmir", {}))
    return made


def contrast(
    predicted: ad.AnnData, case: str, reference: str, min_grade: str = "", key: str = "region"
) -> pd.DataFrame:
    """Difference of two regions of one tumour, or of two other pools, with the errors of prediction.

    The limits take the half widths of both intervals for independent: their squares are added up. They tell
    how far the *prediction* can be off, at the level of the model's intervals, and nothing of other
    tumours: n = 1.

    Parameters
    ----------
    predicted
        Regions × miRNAs as :func:`sicmir.predict` gives them.
    case, reference
        The two regions.
    min_grade
        Worst grade that counts; "" for all.
    key
        Column of ``obs`` that names the regions.

    Returns
    -------
    DataFrame
        A row a miRNA, :data:`CONTRAST`; NaN where one region was abstained.

    Raises
    ------
    DataError
        If a region is not there.
    """
    found = predicted.obs[key].astype(str)
    absent = [name for name in (case, reference) if not (found == name).any()]
    if absent:
        raise DataError(f"There is no {key} {absent[0]!r}; there are {', '.join(found)}.")
    rows = [int(np.flatnonzero((found == name).to_numpy())[0]) for name in (case, reference)]
    values = np.asarray(predicted.X, dtype=np.float64)[rows]
    width = np.sqrt(np.square(uncut_half_widths(predicted)[rows]).sum(axis=0))
    effect = values[0] - values[1]
    facts = describe(predicted, min_grade)
    return pd.DataFrame(
        {
            "mirna": predicted.var_names,
            "effect": effect,
            "lower": effect - width,
            "upper": effect + width,
            "grade": facts["grade"].to_numpy(),
            "greyed": facts["greyed"].to_numpy(),
        }
    )
