"""What a table of miRNAs and target genes has to be, wherever it comes from."""

from __future__ import annotations

import numpy as np
import pandas as pd

from sicmir.errors import DataError


def check_columns(targets: pd.DataFrame) -> None:
    """Make sure that a table can be used as targets.

    Raises
    ------
    DataError
        If it is empty, a column or a name is missing, a pair occurs twice, or a weight is not above 0.
    """
    absent = [name for name in ("mirna", "gene") if name not in targets]
    if absent or targets.empty:
        raise DataError(
            f"Expected targets with the columns mirna and gene; found {len(targets)} rows and the columns "
            f"{', '.join(map(str, targets.columns)) or '(none)'}."
        )
    pairs = targets[["mirna", "gene"]]
    if pairs.isna().to_numpy().any():
        raise DataError(f"{int(pairs.isna().any(axis=1).sum())} targets lack their miRNA or their gene.")
    twice = pairs.duplicated()
    if twice.any():
        mirna, gene = pairs[twice].iloc[0]
        raise DataError(
            f"{int(twice.sum())} targets occur twice, the first is {mirna} - {gene}; drop duplicates."
        )
    if "weight" in targets:
        weight = pd.to_numeric(targets["weight"], errors="coerce").to_numpy(dtype=float)
        if not ((weight > 0) & np.isfinite(weight)).all():
            raise DataError("Every weight of the targets should be a finite number above 0.")
