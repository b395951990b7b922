"""Prediction of rows in single precision, block by block and by several threads."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable
from typing import NamedTuple, Self
from weakref import WeakKeyDictionary

import numpy as np
import pandas as pd

from sicmir.engine.inference_domain import FastDomain
from sicmir.engine.inference_kernel import FastKernel
from sicmir.engine.inference_network import FoldedNetwork
from sicmir.engine.inference_rank import FastRank
from sicmir.engine.prediction_input import in_training_units
from sicmir.engine.prediction_record import LOG2_RPM, has_intervals
from sicmir.engine.scratch import Scratch, ScratchPool
from sicmir.learning import conformal
from sicmir.learning.kernel import MaskedKernelRidge
from sicmir.learning.predictors import NetworkPredictor
from sicmir.matrices.normalise import MOST_LOG2, TransformName
from sicmir.model import Bundle
from sicmir.threads import in_threads, prediction_threads

ABSTAIN = ("far", "unknown")
"""Levels of ``domain.Domain`` at which nothing is predicted; ``outside`` is only flagged."""

ROWS = 512
"""Rows that a thread works on at a time: enough for matrix products, few enough for the cache."""

FEWEST = 64
"""Rows below which a second thread is not worth its while."""


@dataclasses.dataclass(frozen=True, eq=False)
class Block:
    """Predictions of some rows, in the units of the bundle.

    Attributes
    ----------
    predicted, lower, upper
        Rows × miRNAs, float32. NaN throughout where abstained; the bounds also where a miRNA has no interval.
    coverage
        Share of the genes of the model that were measured and that the transform could use, 0 to 1.
    domain_score
        As :meth:`sicmir.learning.domain.Domain.score` gives it; NaN where it was not judged.
    in_domain
        Whether the row is like the training data; of a bundle without a domain, whether it has enough genes.
    abstained
        Whether nothing is predicted.
    """

    predicted: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    coverage: np.ndarray
    domain_score: np.ndarray
    in_domain: np.ndarray
    abstained: np.ndarray

    @classmethod
    def empty(cls, n_rows: int, n_mirnas: int) -> Self:
        """Room for some rows, with anything in it."""
        matrices = (np.empty((n_rows, n_mirnas), dtype=np.float32) for _ in range(3))
        numbers = (np.empty(n_rows) for _ in range(2))
        return cls(*matrices, *numbers, *(np.empty(n_rows, dtype=bool) for _ in range(2)))

    def __getitem__(self, rows: slice) -> Self:
        """Some of the rows; what is written to these is written to the block."""
        return type(self)(**{name: part[rows] for name, part in vars(self).items()})


class _Forms(NamedTuple):
    """The parts of a bundle in single precision; None where it has no such part, or one of another kind."""

    domain: FastDomain | None
    rank: FastRank | None
    predictor: FastKernel | FoldedNetwork | None
    half_width: np.ndarray | None
    scratch: ScratchPool


_made: WeakKeyDictionary[Bundle, _Forms] = WeakKeyDictionary()


def predict_rows(
    bundle: Bundle,
    read: Callable[[int, int], np.ndarray],
    transform: TransformName,
    min_coverage: float,
    abstain: bool,
    out: Block,
) -> None:
    """Predict rows that are read as they are needed.

    Matrix products are taken in single precision, in parts of up to :data:`ROWS` rows, by as many threads as
    :func:`sicmir.threads.prediction_threads` says. Against :class:`sicmir.learning.domain.Domain` and the
    predictor, which work in double precision, predictions and bounds in log2(RPM+1) differ by less than 1e-3,
    scores by less than 1e-4, and levels not at all. How rows are divided changes a prediction by less than
    1e-4.

    Rows that are abstained are only scored.

    Parameters
    ----------
    bundle, transform, min_coverage, abstain
        As for :func:`sicmir.prediction.predict_block`.
    read
        From start and stop to these rows × the genes of the model; called by several threads at once.
    out
        As many rows; is filled.

    Raises
    ------
    DataError, ParameterError
        As for :func:`sicmir.prediction.predict_block`.
    """
    # The trust table is the one part of a bundle that its owner may change in place.
    forms, n_rows = _forms(bundle)._replace(half_width=_half_width(bundle)), len(out.coverage)
    if n_rows == 0:
        return
    if bundle.rescale is not None and transform == "cohort":
        cohort = in_training_units(bundle, read(0, n_rows), transform)

    def work(rows: slice) -> None:
        if bundle.rescale is not None and transform == "cohort":
            values = cohort[rows]
        else:
            values = _in_training_units(bundle, forms, read, rows, transform)
        with forms.scratch.lend() as scratch:
            _predict_part(bundle, forms, values, transform, min_coverage, abstain, out[rows], scratch)

    if not getattr(forms.predictor, "row_by_row", False):
        work(slice(0, n_rows))
        return
    threads = prediction_threads()
    n_parts = max(-(-n_rows // ROWS), min(threads, n_rows // FEWEST), 1)
    edges = np.linspace(0, n_rows, n_parts + 1).astype(int).tolist()
    in_threads(work, [slice(*pair) for pair in itertools.pairwise(edges)], threads)


def _in_training_units(
    bundle: Bundle,
    forms: _Forms,
    read: Callable[[int, int], np.ndarray],
    rows: slice,
    transform: TransformName,
) -> np.ndarray:
    """Rows × genes, float32, as :func:`sicmir.engine.prediction_input.in_training_units` gives them."""
    values = np.asarray(read(rows.start, rows.stop), dtype=np.float32)
    lowest, highest = np.fmin.reduce(values, axis=None), np.fmax.reduce(values, axis=None)
    if np.isinf([lowest, highest]).any() or (transform == "frozen" and highest > MOST_LOG2):
        # These know what to say, and count the rows from the first.
        wrong = read(0, rows.stop)
        in_training_units(bundle, wrong, transform)
        bundle.predict_with_spread(wrong[~np.isnan(wrong).all(axis=1)])
    if transform == "rank" and forms.rank is not None:
        return forms.rank.transform(values)
    if transform == "frozen" and bundle.rescale is not None:
        return values
    return in_training_units(bundle, values, transform)


def _predict_part(
    bundle: Bundle,
    forms: _Forms,
    values: np.ndarray,
    transform: TransformName,
    min_coverage: float,
    abstain: bool,
    out: Block,
    scratch: Scratch,
) -> None:
    """Fill ``out`` with what is predicted of rows × genes in training units."""
    missing = np.isnan(values)
    out.coverage[:] = 1 - missing.mean(axis=1) if missing.any() else 1
    enough = (out.coverage > 0) & (out.coverage >= min_coverage)
    out.domain_score[:], out.in_domain[:], shown = np.nan, enough, enough.copy()
    # A predictor with a transform of its own is not given training units, which the domain needs.
    if forms.domain is not None and (bundle.rescale is not None or transform == "frozen") and enough.any():
        judged = values if enough.all() else values[enough]
        out.domain_score[enough], level = forms.domain.judge(judged, scratch)
        out.in_domain[enough] = level == "inside"
        shown[enough] = ~np.isin(level, ABSTAIN) if abstain else True
    out.abstained[:] = ~shown
    bounds = (out.predicted, out.lower, out.upper)
    if shown.all():
        _predict_shown(bundle, forms, values, scratch, *bounds)
        return
    for matrix in bounds:
        matrix[:] = np.nan
    if shown.any():
        some = [np.empty((shown.sum(), out.predicted.shape[1]), dtype=np.float32) for _ in bounds]
        _predict_shown(bundle, forms, values[shown], scratch, *some)
        for matrix, part in zip(bounds, some, strict=True):
            matrix[shown] = part


def _predict_shown(
    bundle: Bundle,
    forms: _Forms,
    values: np.ndarray,
    scratch: Scratch,
    predicted: np.ndarray,
    lower: np.ndarray,
    upper: np.ndarray,
) -> None:
    """Fill in prediction and bounds of rows that are not abstained, as ``conformal.intervals``."""
    if forms.predictor is None:
        predicted[:], spread = bundle.predict_with_spread(values)
    else:
        spread = forms.predictor.predict(values, predicted, scratch)
    if forms.half_width is None:
        lower[:] = upper[:] = np.nan
    else:
        spread = np.ones(len(values)) if spread is None else spread
        np.multiply(forms.half_width, spread.astype(np.float32)[:, None], out=upper)
        np.subtract(predicted, upper, out=lower)
        upper += predicted
        for bound in (lower, upper):
            np.maximum(bound, 0, out=bound)
    if bundle.units == LOG2_RPM:
        np.maximum(predicted, 0, out=predicted)


def _half_width(bundle: Bundle) -> np.ndarray | None:
    if not has_intervals(bundle):
        return None
    return conformal.widths_of(pd.Index(bundle.mirnas), bundle.trusted("half_width")).astype(np.float32)


def _forms(bundle: Bundle) -> _Forms:
    if bundle not in _made:
        fast = {MaskedKernelRidge: FastKernel, NetworkPredictor: FoldedNetwork}.get(type(bundle.predictor))
        _made[bundle] = _Forms(
            domain=None if bundle.domain is None else FastDomain(bundle.domain),
            rank=None if bundle.rescale is None else FastRank(bundle.rescale),
            predictor=None if fast is None else fast(bundle.predictor),
            half_width=None,
            scratch=ScratchPool(),
        )
    return _made[bundle]
