"""Tables of a chapter that may have no rows."""

from __future__ import annotations

import pandas as pd


def or_none(table: pd.DataFrame, name: str, told: str = "None in these data.") -> pd.DataFrame:
    """Give a table, or one line of text under ``name`` where it has no rows."""
    return table if len(table) else pd.DataFrame({name: [told]})
