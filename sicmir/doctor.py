"""Look at an installation: versions, threads, folders and the model. Nothing is changed or downloaded."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from sicmir import __version__, paths
from sicmir.errors import BundleError
from sicmir.model import SHIPPED, Bundle, load_model

PACKAGES = (
    "numpy",
    "scipy",
    "pandas",
    "anndata",
    "h5py",
    "zarr",
    "scikit-learn",
    "scanpy",
    "torch",
    "distributed",
)
"""Packages whose versions are told. They are looked up, not imported."""

VARIABLES = ("SICMIR_THREADS", "OMP_NUM_THREADS")
"""Environment variables that set numbers of threads."""


@dataclass(frozen=True)
class Findings:
    """What :func:`examine` found, one line each, and whether the model can be used."""

    lines: tuple[str, ...]
    well: bool


def examine(model: str | Path = "default") -> Findings:
    """Look at versions, threads, cache, mirror and a model, which is read whole and checked.

    Parameters
    ----------
    model
        As for :func:`sicmir.load_model`.
    """
    threads = ", ".join(f"{name}={os.environ.get(name) or 'not set'}" for name in VARIABLES)
    lines = [
        f"sicmir {__version__}, Python {platform.python_version()}, {platform.platform()}",
        f"Packages: {', '.join(f'{name} {_version(name)}' for name in PACKAGES)}",
        f"Threads: {threads}; {os.cpu_count()} cores",
        f"Cache: {paths.cache()} ({'there' if paths.cache().is_dir() else 'not made yet'})",
        f"Mirror: {paths.mirror() or 'none'}",
    ]
    try:
        bundle = load_model(model)
    except BundleError as error:
        return Findings((*lines, f"Model: {error}"), False)
    return Findings((*lines, *_describe(bundle, SHIPPED if model == "default" else model)), True)


def _describe(bundle: Bundle, folder: str | Path) -> list[str]:
    name = f"{bundle.weights_sha256[:12]} ({bundle.predictor.kind})"
    lines = [f"Model: {name}, {len(bundle.mirnas)} {bundle.level} miRNAs in {bundle.units}, from {folder}"]
    if bundle.trust is not None and "grade" in bundle.trust:
        counts = bundle.trust["grade"].astype(str).value_counts().sort_index()
        lines.append(f"Grades: {', '.join(f'{grade} {count}' for grade, count in counts.items())}")
    return lines


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"
