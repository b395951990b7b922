"""Which miRNAs count in an analysis: measured ones all, predicted ones from a grade on."""

from __future__ import annotations

import numpy as np
from anndata import AnnData

from sicmir import trust
from sicmir.errors import ParameterError


def is_predicted(mirna: AnnData) -> bool:
    """Whether values were predicted, also of a table that lost its ``uns``, as joined tables do."""
    told = mirna.uns.get("sicmir", {}).get("modality") == "prediction"
    return told or {"lower", "upper"} <= set(mirna.layers) or "abstained" in mirna.obs


def counted_mirnas(mirna: AnnData, min_grade: str) -> tuple[np.ndarray, np.ndarray]:
    """Which miRNAs count, and the grade of each.

    Parameters
    ----------
    mirna
        Samples × miRNAs; ``var["grade"]`` of :mod:`sicmir.trust`, which measured miRNAs do not have.
    min_grade
        Worst grade that counts; "" counts every miRNA. Measured miRNAs without grades all count.

    Returns
    -------
    counted
        Boolean, one a miRNA.
    grade
        "" without one.

    Raises
    ------
    ParameterError
        If there is no such grade, or predictions have no grades.
    DataError
        If a grade is asked for and that of a miRNA is missing.
    """
    if "grade" in mirna.var:
        known = mirna.var["grade"].astype(object)
        grade = known.where(known.notna(), "").astype(str).to_numpy(dtype=object)
        return (trust.at_least(known, min_grade) if min_grade else np.ones(len(grade), dtype=bool)), grade
    if min_grade and is_predicted(mirna):
        raise ParameterError(
            f"min_grade={min_grade!r}, but the predictions have no grades (var has no column grade): use a "
            "model with a trust table, keep var where tables are joined (anndata.concat(merge='same')), or "
            'give min_grade="" to count all miRNAs.'
        )
    if min_grade:
        trust.at_least([], min_grade)  # says if there is no such grade
    return np.ones(mirna.n_vars, dtype=bool), np.full(mirna.n_vars, "", dtype=object)
