"""The miRNA of an analysis of crosstalk: mature names, grades, and one profile a donor and cell type."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from anndata import AnnData

from sicmir import panel, trust
from sicmir.donors.counted_mirnas import counted_mirnas
from sicmir.errors import DataError, PanelError, ParameterError
from sicmir.matrices.dense import dense
from sicmir.matrices.normalise import MOST_LOG2
from sicmir.names.mirna_names import level_of

MIN_R = 0.9
"""Correlation with its stem-loop above which a mature miRNA may be spoken of."""

UNITS = "log2(RPM+1)"


@dataclass(frozen=True, eq=False)
class Mirna:
    """Mature miRNA of donors' cell types.

    Attributes
    ----------
    groups
        (donor, cell type) × mature miRNAs, log2(RPM+1), complete. The donor is "" where values are of no
        donor of the cells.
    table
        Index mature miRNA: ``predicted_as`` (name in the input), ``grade`` ("" where there is none) and
        ``counted``.
    rows
        Index as ``groups``, before abstained rows were left out: ``n_mirna_rows`` and ``n_abstained``.
    notes
        What was left out, in sentences.
    """

    groups: pd.DataFrame
    table: pd.DataFrame
    rows: pd.DataFrame
    notes: tuple[str, ...]


def pool_mirna(mirna: AnnData, donor_key: str, cell_type_key: str, min_grade: str) -> Mirna:
    """Mean over the rows of each donor and cell type that were not abstained, under mature names.

    Raises
    ------
    DataError
        If values are not log2(RPM+1), no row or no miRNA is left, or none has the grade.
    PanelError
        If no stem-loop has a mature name.
    ParameterError
        If a column is absent, or ``min_grade`` cannot be applied.
    """
    values = _mirna_values(mirna)
    names, notes = _mature(mirna)
    counted, grade = counted_mirnas(mirna, min_grade)
    if cell_type_key not in mirna.obs:
        raise ParameterError(
            f"obs of the miRNA has no column {cell_type_key!r}; it has "
            f"{', '.join(map(str, mirna.obs.columns)) or 'none'}."
        )
    for key in (key for key in (donor_key, cell_type_key) if key in mirna.obs):
        empty = mirna.obs[key].isna() | mirna.obs[key].astype(str).eq("")
        if empty.any():
            raise DataError(f"{int(empty.sum())} of {mirna.n_obs} rows of the miRNA have no {key}.")
    donor = mirna.obs[donor_key].astype(str) if donor_key in mirna.obs else ""
    obs = pd.DataFrame({"cell_type": mirna.obs[cell_type_key].astype(str)}).assign(donor=donor)
    abstained = np.isnan(values).all(axis=1)
    if "abstained" in mirna.obs:
        abstained |= mirna.obs["abstained"].to_numpy(dtype=bool)
    if abstained.all():
        raise DataError(f"All {len(values)} rows of the miRNA are abstained or NaN; nothing can be sent.")
    keys = [obs["donor"].to_numpy(), obs["cell_type"].to_numpy()]
    counts = pd.DataFrame({"n_mirna_rows": 1, "n_abstained": abstained.astype(int)}).groupby(keys).sum()
    frame = pd.DataFrame(values, columns=mirna.var_names)
    groups = frame[~abstained].groupby([key[~abstained] for key in keys]).mean()
    whole = groups.notna().all().to_numpy() & (names != "")
    if not whole.any():
        raise DataError(f"None of {mirna.n_vars} miRNAs was measured in every donor and cell type.")
    lost = int((groups.isna().any() & (names != "")).sum())
    if lost:
        notes.append(f"{lost} miRNAs were not measured in every donor and cell type and are left out.")
    table = pd.DataFrame({"predicted_as": mirna.var_names, "grade": grade, "counted": counted}, index=names)
    groups = groups.loc[:, whole].set_axis(names[whole], axis=1)
    if groups.columns.has_duplicates:
        raise DataError(f"{groups.columns[groups.columns.duplicated()][0]} occurs twice among the miRNAs.")
    table = table[whole]
    if not table["counted"].any():
        raise DataError(
            f"None of {len(table)} miRNAs has the grade {min_grade} or a better one; lower min_grade to see "
            "them, but do not believe them."
        )
    return Mirna(groups, table, counts, tuple(notes))


def trust_weights(grades: Sequence[str] | pd.Series) -> np.ndarray:
    """Weight of each miRNA by its grade: the least r within cohort of the grade, as a share of that of A.

    D, which asks for no r, weighs half of C. Without a grade, as measured miRNA is, the weight is 1.
    """
    least = {grade.grade: grade.within_r / trust.GRADES["A"].within_r for grade in trust.GRADES.values()}
    weights = least | {"D": least["C"] / 2, "": 1.0}
    return np.array([weights[grade] for grade in grades])


def _mirna_values(mirna: AnnData) -> np.ndarray:
    if not isinstance(mirna, AnnData) or mirna.X is None:
        raise DataError(f"Expected the miRNA as an AnnData with values, found {type(mirna).__name__}.")
    values = dense(mirna.X).astype(np.float64, copy=False)
    told = str(mirna.uns.get("sicmir", {}).get("units", "")).replace(" ", "")
    low, high = np.nanmin(values, initial=0.0), np.nanmax(values, initial=0.0)
    if np.isinf(values).any() or low < 0 or high > MOST_LOG2 or told not in ("", UNITS):
        raise DataError(
            f"Expected miRNA in {UNITS}; found values from {low:.4g} to {high:.4g} in the units "
            f"{told or '(not stated)'}. Take log2(x + 1) of RPM or CPM; z-scores cannot be used."
        )
    return values


def _mature(mirna: AnnData) -> tuple[np.ndarray, list[str]]:
    """Mature name of each miRNA, "" where there is none that it may speak of, and what was left out."""
    level = str(mirna.uns.get("sicmir", {}).get("level", "")) or level_of(mirna.var_names)
    if level == "mature":
        return mirna.var_names.to_numpy(dtype=str), []
    if "mature" in mirna.var:
        names = mirna.var["mature"].astype(object).fillna("").to_numpy(dtype=str)
    else:
        arms = panel.single_locus().sort_values("arm_share").drop_duplicates("stem_loop", keep="last")
        arms = arms[arms["r_stemloop"] > MIN_R].set_index("stem_loop")["mature"]
        current = panel.current_mirna_names(mirna.var_names, "stem-loop")["current"]
        names = current.map(arms).fillna("").to_numpy(dtype=str)
    if not (names != "").any():
        raise PanelError(
            f"None of {mirna.n_vars} stem-loops (such as {mirna.var_names[0]}) has one locus and a mature "
            f"miRNA that it follows (r > {MIN_R}); targets and vesicles are known by mature names only."
        )
    lost = int((names == "").sum())
    note = f"Values are of stem-loops, named after the arm that they follow; {lost} have none, left out."
    return names, [note]
