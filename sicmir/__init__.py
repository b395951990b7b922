"""Predict microRNA expression from the 977 L1000 landmark genes, and say how far to believe it."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sicmir import data, metrics, panel, pseudobulk, toy
    from sicmir.benchmark import evaluation
    from sicmir.data import load_paired
    from sicmir.model import load_model
    from sicmir.prediction import predict
    from sicmir.recipe import train
    from sicmir.streaming import predict_file

__version__ = version("sicmir")
__all__ = [
    "data",
    "evaluation",
    "load_model",
    "load_paired",
    "metrics",
    "panel",
    "predict",
    "predict_file",
    "pseudobulk",
    "toy",
    "train",
]

_HOME = {
    "evaluation": "benchmark.evaluation",
    "load_model": "model:load_model",
    "load_paired": "data:load_paired",
    "predict": "prediction:predict",
    "predict_file": "streaming:predict_file",
    "train": "recipe:train",
}
"""Where the names lie that are no room of this folder: ``room`` or ``room:function``."""


def __getattr__(name: str) -> Any:
    # torch and scanpy take seconds to import, which `sicmir --help` need not wait for.
    if name not in __all__:
        raise AttributeError(f"module 'sicmir' has no attribute {name!r}")
    room, _, function = _HOME.get(name, name).partition(":")
    found = import_module(f"sicmir.{room}")
    return getattr(found, function) if function else found
