"""Arrays that are used again from one block of rows to the next."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np


class Scratch:
    """Single-precision arrays by name. Fresh memory costs as much time as filling it."""

    def __init__(self) -> None:
        self._held: dict[str, np.ndarray] = {}

    def take(self, name: str, *shape: int) -> np.ndarray:
        """Array of this shape with anything in it, float32; the one that had the name before is gone."""
        size = int(np.prod(shape))
        if name not in self._held or self._held[name].size < size:
            self._held[name] = np.empty(size, dtype=np.float32)
        return self._held[name][:size].reshape(shape)


class ScratchPool:
    """Scratch for as many threads as there happen to be, one each."""

    def __init__(self) -> None:
        self._free: list[Scratch] = []

    @contextmanager
    def lend(self) -> Iterator[Scratch]:
        """Give a scratch that nobody else has inside the block."""
        try:
            scratch = self._free.pop()
        except IndexError:
            scratch = Scratch()
        try:
            yield scratch
        finally:
            self._free.append(scratch)
