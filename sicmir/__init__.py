"""Predict microRNA expression from the 977 L1000 landmark genes, and say how far to believe it."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sicmir import data, evaluation, metrics, panel, pseudobulk, toy
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
    "load_model": "model",
    "load_paired": "data",
    "predict": "prediction",
    "predict_file": "streaming",
    "train": "recipe",
}


def __getattr__(name: str) -> Any:
    # torch and scanpy take seconds to import, which `sicmir --help` need not wait for.
    if name not in __all__:
        raise AttributeError(f"module 'sicmir' has no attribute {name!r}")
    return (
        getattr(import_module(f"sicmir.{_HOME[name]}"), name)
        if name in _HOME
        else import_module(f"sicmir.{name}")
    )
