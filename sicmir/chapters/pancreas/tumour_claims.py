"""Claims of the literature about pancreatic tumours, each judged by what it is about, or not at all."""

from __future__ import annotations

import pandas as pd
from anndata import AnnData

from sicmir.cells import spatial
from sicmir.chapters import claims
from sicmir.chapters.pancreas import tumour_sets
from sicmir.chapters.pancreas.tumour_study import LIMITS

PAGE = "31_pdac"

CONTRAST = "cancer against pancreas"
"""Contrast of the claims about tumours, judged by two regions of a section of one."""

REGIONS = ("Cancer", "Pancreatic")
"""The two regions, as the section of the manifest names them."""


def region_contrast(predicted: AnnData, case: str, reference: str, min_grade: str) -> pd.DataFrame | None:
    """Contrast of two regions by which claims about tumours can be judged.

    Parameters
    ----------
    predicted
        Regions × miRNAs as :func:`sicmir.predict` gives them.
    case, reference
        The two regions that are compared.
    min_grade
        Worst grade that counts.

    Returns
    -------
    As :func:`sicmir.cells.spatial.contrast`; None for other regions than :data:`REGIONS` and other sections
    than that of the manifest: what they are is not known, and a claim about something else must not be
    judged.
    """
    if (case, reference) != REGIONS or predicted.uns["sicmir"].get("dataset") != tumour_sets.AUTO_SPOTS:
        return None
    return spatial.contrast(predicted, case, reference, min_grade)


def literature(
    markers: pd.DataFrame, regions: pd.DataFrame | None, min_grade: str, page: str = PAGE
) -> pd.DataFrame:
    """Claims of the page beside what was found (:func:`sicmir.chapters.claims.judge`).

    Parameters
    ----------
    markers
        As :func:`sicmir.chapters.pancreas.tumour_contrasts.markers` gives them. Cell types without rows have
        no claims.
    regions
        As :func:`region_contrast` gives it; without it the claims about tumours are left out.
    min_grade
        Worst grade that may speak.
    page
        Page of the claims.
    """
    judged = []
    table = claims.load(page)
    for contrast, rows in table.groupby("contrast", sort=False):
        if contrast == CONTRAST:
            effects, limits = regions, ("lower", "upper")
        else:
            effects = markers[markers["cell_type"].astype(str) + " against other cells" == contrast]
            limits = LIMITS
        if effects is not None and len(effects):
            judged.append(claims.judge(rows, effects, min_grade, limits))
    return pd.concat(judged, ignore_index=True) if judged else table.iloc[:0].assign(verdict="")
