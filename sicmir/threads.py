"""How many threads a computation may use, and work on parts of an array by several of them."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache

from threadpoolctl import ThreadpoolController

from sicmir.errors import ParameterError

_lock = threading.Lock()
_limited = 0
_limiter = None


def asked_threads() -> int | None:
    """Value of ``SICMIR_THREADS``; None if it is not set.

    Raises
    ------
    ParameterError
        If it is not a positive whole number.
    """
    text = os.environ.get("SICMIR_THREADS") or ""
    if text and (not text.isdigit() or int(text) < 1):
        raise ParameterError(f"SICMIR_THREADS: expected a positive whole number, found {text!r}.")
    return int(text) if text else None


def prediction_threads() -> int:
    """``SICMIR_THREADS``, or as many as matrix products use: all cores, or what ``OMP_NUM_THREADS`` says.

    Raises
    ------
    ParameterError
        If ``SICMIR_THREADS`` is not a positive whole number.
    """
    return asked_threads() or _blas_threads()


def in_threads(work: Callable[[slice], None], parts: Iterable[slice], threads: int) -> None:
    """Call ``work`` on each part, by several threads at once; matrix products inside use one thread each.

    The first error that a part raises is raised here.
    """
    with _single_blas():
        if threads == 1:
            for part in parts:
                work(part)
            return
        with ThreadPoolExecutor(threads) as pool:
            for _ in pool.map(work, parts):
                pass


@contextmanager
def _single_blas() -> Iterator[None]:
    """Hold BLAS at one thread while anybody is inside: the first to come sets it, the last to go resets."""
    global _limited, _limiter
    with _lock:
        if not _limited:
            _limiter = _blas().limit(limits=1)
        _limited += 1
    try:
        yield
    finally:
        with _lock:
            _limited -= 1
            if not _limited:
                _limiter.restore_original_limits()


@cache
def _blas_threads() -> int:
    # Asked once, because it is 1 while parts are worked on.
    return max((one["num_threads"] for one in _blas().info()), default=1)


@cache
def _blas() -> ThreadpoolController:
    # Looking for the libraries takes milliseconds.
    return ThreadpoolController().select(user_api="blas")
