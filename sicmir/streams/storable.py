"""Which columns of ``obs`` a file can hold, told before the work is done."""

from __future__ import annotations

import pandas as pd
from anndata import AnnData

from sicmir.errors import DataError

TAKEN = {".h5ad": "_index", ".zarr": "_index", ".parquet": "observation", ".csv": "observation"}
"""Name of the column of each format that holds the names of the observations."""


def storable_obs(obs: pd.DataFrame, ending: str) -> pd.DataFrame:
    """Columns that hold what they will when they are read: text as categories, truth values, numbers.

    Parameters
    ----------
    obs
        Observations.
    ending
        Of the file that they are for: ``.h5ad``, ``.zarr``, ``.parquet`` or ``.csv``.

    Raises
    ------
    DataError
        If a column mixes kinds of values or holds others, such as dates; or if its name occurs twice, is no
        text, or cannot be stored in such a file.
    """
    for name in obs.columns:
        if not isinstance(name, str) or name == TAKEN[ending] or (ending == ".zarr" and "/" in name):
            raise DataError(
                f"A column of obs that is called {name!r} cannot be stored in {ending}. Rename or drop it, "
                "or write a file of another ending."
            )
    if obs.columns.has_duplicates:
        twice = obs.columns[obs.columns.duplicated()][0]
        raise DataError(f"obs has two columns that are called {twice!r}; rename or drop one.")
    obs, columns = obs.infer_objects(), {}
    for name, column in obs.items():
        values = column.cat.categories if isinstance(column.dtype, pd.CategoricalDtype) else column
        kind = pd.api.types.infer_dtype(values, skipna=True)
        if kind not in ("string", "empty", "boolean", "integer", "floating"):
            raise DataError(
                f"The column {name!r} of obs holds {kind} values. Drop it, or make it text or numbers."
            )
        if pd.api.types.is_object_dtype(column.dtype):
            columns[name] = column.astype("boolean" if kind == "boolean" else "category")
    return obs.assign(**columns)


def storable(predicted: AnnData, ending: str) -> AnnData:
    """Take ``obs``, ``var`` and ``uns``, with text as categories, and leave the matrices."""
    obs = storable_obs(predicted.obs, ending)
    table = AnnData(obs=obs, var=predicted.var.copy(), uns=dict(predicted.uns))
    table.strings_to_categoricals()
    return table
