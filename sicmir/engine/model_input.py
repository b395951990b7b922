"""A table that is ready for a model: what was decided of it, and its rows as the model reads them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import sparse

from sicmir.errors import DataError
from sicmir.matrices.dense import dense
from sicmir.matrices.normalise import TransformName
from sicmir.matrices.unit_names import SIGNED, Units, check_whole
from sicmir.matrices.units import row_totals, to_log2
from sicmir.names.landmark_columns import LandmarkColumns


@dataclass(frozen=True, eq=False)
class Decision:
    """How a table is made ready for a model; the same for every row of it.

    Attributes
    ----------
    record
        Units of the matrix that was chosen.
    transform, reason
        Input transform, and why this one.
    as_stored
        Whether the transform takes the values as they are.
    whole
        Whether every value has to be a whole number: those of some rows are, and were taken for counts.
    columns
        Where the landmarks are.
    order
        Places of the genes of the model among the landmarks.
    """

    record: Units
    transform: TransformName
    reason: str
    as_stored: bool
    whole: bool
    columns: LandmarkColumns
    order: np.ndarray

    @property
    def needs_totals(self) -> bool:
        """Whether the library size of each row has to be known."""
        return not self.as_stored and bool(np.isnan(self.record.per))

    def pick(self, landmarks: np.ndarray) -> np.ndarray:
        """Pick the genes of the model from rows × landmarks."""
        usual = np.array_equal(self.order, np.arange(landmarks.shape[1]))
        return landmarks if usual else landmarks[:, self.order]

    def bring(self, values: np.ndarray, totals: np.ndarray | None) -> np.ndarray:
        """Bring rows × the genes of the model, as stored, to what ``predict_block`` takes.

        A row without a value above 0 becomes NaN: of an empty cell, nothing was measured.

        Raises
        ------
        DataError
            If values contradict the decision, or are of too few genes for a library size.
        """
        self.check(values)
        empty = np.zeros(0, int)
        if self.record.units != SIGNED:
            empty = np.flatnonzero(~(np.fmax.reduce(values, axis=1) > 0))
        brought = values if self.as_stored else to_log2(values, self.record, totals)
        brought[empty] = np.nan
        return brought

    def linear(self, values: np.ndarray) -> np.ndarray:
        """As :meth:`sicmir.matrices.units.Units.linear`, after :meth:`check`."""
        self.check(values)
        return self.record.linear(values)

    def check(self, values: np.ndarray) -> None:
        """Refuse values that contradict what some rows of the table were taken for.

        Raises
        ------
        DataError
            If values are infinite, negative where the units are not, or fractional where they are counts.
        """
        lowest, highest = (part.reduce(values, axis=None, initial=0) for part in (np.fmin, np.fmax))
        if np.isinf([lowest, highest]).any():
            raise DataError(
                f"{self.record.source} holds infinite values; expected finite numbers, NaN where not "
                "measured."
            )
        units = self.record.units or "values of unknown units"
        if self.record.units != SIGNED and lowest < 0:
            raise DataError(
                f"{self.record.source} holds negative values, but the rows that were looked at hold none and "
                f"were read as {units}. Look at how the table was put together."
            )
        if self.whole:
            check_whole(values, self.record.source)


@dataclass(frozen=True, eq=False)
class ModelInput(Decision):
    """A table in memory that is ready for a model, and how it was made so.

    Attributes
    ----------
    obs
        Observations.
    uns
        What is known of the table: units, coverage, origin.
    matrix
        Observations × all genes, as stored.
    """

    obs: pd.DataFrame
    uns: dict[str, object]
    matrix: np.ndarray | sparse.csr_matrix

    def landmarks(self, start: int, stop: int) -> np.ndarray:
        """Rows ``start`` to ``stop`` × landmarks, float32, as stored."""
        rows = _rows(self.matrix, start, stop)
        return self.columns.values(lambda columns: dense(rows[:, columns]), rows.shape[0])

    def values(self, start: int, stop: int) -> np.ndarray:
        """Rows ``start`` to ``stop`` × genes, float32, as :meth:`Decision.bring` gives them.

        Raises
        ------
        DataError
            As :meth:`Decision.bring`, naming the rows.
        """
        try:
            totals = row_totals(_rows(self.matrix, start, stop), self.linear) if self.needs_totals else None
            return self.bring(self.pick(self.landmarks(start, stop)), totals)
        except DataError as error:
            raise DataError(f"Rows {start} to {stop - 1}: {error}") from error


def _rows(matrix: np.ndarray | sparse.csr_matrix, start: int, stop: int) -> np.ndarray | sparse.csr_matrix:
    """Rows of a matrix without a copy of their values, which scipy would make."""
    if isinstance(matrix, np.ndarray):
        return matrix[start:stop]
    first, last = matrix.indptr[[start, stop]]
    parts = (matrix.data[first:last], matrix.indices[first:last], matrix.indptr[start : stop + 1] - first)
    return sparse.csr_matrix(parts, shape=(stop - start, matrix.shape[1]))
