"""What the literature says of the tumours of a page, beside its measured and predicted differences."""

from __future__ import annotations

import pandas as pd

from sicmir.chapters import claims
from sicmir.chapters.pairs.pair_sets import Pairs

PAGE, DISEASE = "30_hcc", "LIHC"
"""Page of the claims, and the cancer type that these are about."""


def literature(
    pairs: Pairs,
    truth: pd.DataFrame,
    predicted: pd.DataFrame,
    case: str,
    reference: str,
    min_grade: str = "",
) -> dict[str, pd.DataFrame]:
    """Published differences beside measured and predicted ones (:func:`sicmir.chapters.claims.judge`).

    Claims are about one disease and one contrast: they are judged by samples of the cancer type
    :data:`DISEASE` alone, and by no other contrast.

    Parameters
    ----------
    pairs
        Samples shown.
    truth, predicted
        As :func:`sicmir.stats.differential` gives them.
    case, reference
        Conditions that these compare.
    min_grade
        Worst grade of a predicted difference that is judged.

    Returns
    -------
    dict
        ``measured`` and ``predicted``, the latter by limits that hold the errors of prediction, where there
        are any; both empty where no claim fits.
    """
    published = claims.load(PAGE)
    fits = (pairs.mirna.obs["cohort"].astype(str) == DISEASE).all()
    published = published[fits & published["contrast"].eq(f"{case} against {reference}")]
    limits = ("lower_total", "upper_total") if "lower_total" in predicted else ("lower", "upper")
    return {
        "measured": claims.judge(published, truth),
        "predicted": claims.judge(published, predicted, min_grade, limits),
    }
