"""Named arrays as one safetensors file: equal bytes for equal content, whatever the layout in memory."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from sicmir.errors import BundleError


def to_bytes(arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> bytes:
    """Return the content of a safetensors file.

    Parameters
    ----------
    arrays
        Any shapes, 0-dimensional ones included, of numbers or truth values.
    facts
        Written as JSON into the file's metadata.
    """
    # safetensors would write an array of another memory layout in the wrong order.
    plain = {k: np.asarray(v, order="C") for k, v in arrays.items()}
    # One key: safetensors writes several in random order, and equal content should be equal bytes.
    return safetensors.numpy.save(plain, metadata={"sicmir": json.dumps(facts, sort_keys=True)})


def read(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Read arrays and facts of a file with the content of :func:`to_bytes`.

    Raises
    ------
    BundleError
        If it is no safetensors file.
    """
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            facts = json.loads((file.metadata() or {}).get("sicmir", "{}"))
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except safetensors.SafetensorError as error:
        raise BundleError(f"{path}: not a readable safetensors file ({error}).") from error
    return arrays, facts


def grouped(arrays: Mapping[str, np.ndarray]) -> dict[str, dict[str, np.ndarray]]:
    """Sort arrays called ``group.name`` into their groups."""
    groups: dict[str, dict[str, np.ndarray]] = {}
    for name, array in arrays.items():
        group, _, rest = name.partition(".")
        groups.setdefault(group, {})[rest] = array
    return groups
