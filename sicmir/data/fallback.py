"""Synthetic data in place of real ones that cannot be reached, said in large letters."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import TypeVar

from sicmir.errors import SicmirError, UnreachableError

_Data = TypeVar("_Data")


def or_toy(
    read: Callable[[], _Data],
    toy: Callable[[], _Data],
    absent: str = "no real data set",
    errors: tuple[type[SicmirError], ...] = (UnreachableError,),
) -> _Data:
    """Give what ``read`` gives, or with a warning what ``toy`` gives where that cannot be reached.

    Parameters
    ----------
    read, toy
        Functions that give real and synthetic data.
    absent
        What could not be reached, for the warning.
    errors
        Errors that say so; all others are raised.
    """
    try:
        return read()
    except errors as error:
        warnings.warn(f"SYNTHETIC DATA: {absent} could be reached. {error}", UserWarning, stacklevel=3)
        return toy()
