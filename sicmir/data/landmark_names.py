"""The names by which readers recognise landmark genes, from the package's reference table."""

from __future__ import annotations

from functools import cache

import pandas as pd

from sicmir import paths


@cache
def landmark_symbols() -> frozenset[str]:
    """Published symbols of the 977 landmark genes."""
    return frozenset(pd.read_csv(paths.reference("landmarks.csv"), usecols=["symbol"])["symbol"])


@cache
def landmark_entrez() -> frozenset[int]:
    """Entrez ids of the 977 landmark genes."""
    return frozenset(pd.read_csv(paths.reference("landmarks.csv"), usecols=["entrez"])["entrez"].astype(int))
