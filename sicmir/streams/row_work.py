"""The step that all ways of going through a file share: read some rows, and predict them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from sicmir.engine.file_input import FileInput, WholeInput
from sicmir.model import Bundle
from sicmir.prediction import Block, predict_block


@dataclass(frozen=True, eq=False)
class Work:
    """What is done with rows of a file, one range after the other.

    Attributes
    ----------
    made
        The file.
    bundle, min_coverage, abstain
        As for :func:`sicmir.prediction.predict_block`.
    """

    made: FileInput | WholeInput
    bundle: Bundle
    min_coverage: float
    abstain: bool

    def blocks(self, ranges: Sequence[tuple[int, int]]) -> Iterator[Block]:
        """Predict ranges of rows, in their order."""
        for start, stop in ranges:
            yield self.predict(self.made.values(start, stop))

    def predict(self, values: np.ndarray) -> Block:
        """Predict rows × genes."""
        transform = self.made.decision.transform
        return predict_block(self.bundle, values, transform, self.min_coverage, self.abstain)
