"""The bundle: a trained network with everything a prediction needs, in two files without pickle."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any
from uuid import uuid4

import numpy as np
import pandas as pd
import safetensors
import safetensors.torch
import torch

from sicmir.architecture import SicmirNetwork, torch_threads
from sicmir.errors import BundleError
from sicmir.normalise import InputTransform

FORMAT = 1
WEIGHTS, DESCRIPTION = "weights.safetensors", "model.json"


def check_free(folder: str | Path, overwrite: bool = False) -> None:
    """Make sure that a bundle may be written to a folder, before work is spent on it.

    Raises
    ------
    BundleError
        If the folder holds a bundle and ``overwrite`` is false, or holds anything else.
    """
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        if not (folder / DESCRIPTION).is_file():
            raise BundleError(f"{folder} is not an empty folder; choose another one for the bundle.")
        if not overwrite:
            raise BundleError(f"{folder} already holds a bundle; choose another folder or remove it.")


@dataclass(frozen=True, eq=False)
class Bundle:
    """A trained network with all it takes to use it and to judge it.

    Attributes
    ----------
    network
        The trained network, in evaluation mode.
    genes
        Landmark symbols in input order.
    mirnas
        miRNA names in output order.
    level
        ``"mature"`` or ``"stem-loop"``: what the names stand for. The two are never mixed.
    transform
        Fitted input transform: from log2 expression to network input.
    target_mean, target_sd
        Per miRNA, mean and SD of log2(RPM+1) over the training samples; float32, length n_mirnas.
    card
        Training data with checksums, split, seed, options, measured metrics, versions.
    """

    network: SicmirNetwork
    genes: list[str]
    mirnas: list[str]
    level: str
    transform: InputTransform
    target_mean: np.ndarray
    target_sd: np.ndarray
    card: dict[str, Any] = field(default_factory=dict)

    def predict_array(self, landmarks: np.ndarray) -> np.ndarray:
        """Predict from an array that is already in panel order.

        Parameters
        ----------
        landmarks
            Samples × genes, log2(x+1) in the units of the training data; NaN = not measured, which
            enters the network as its neutral value.

        Returns
        -------
        Samples × miRNAs, predicted log2(RPM+1), float32.

        Raises
        ------
        BundleError
            If the number of genes is not that of the model.
        DataError
            If a value is infinite.
        """
        if landmarks.ndim != 2 or landmarks.shape[1] != len(self.genes):
            raise BundleError(
                f"Model input: expected samples × {len(self.genes)} genes, found shape {landmarks.shape}. "
                "Bring the data into panel order with sicmir.panel.align first."
            )
        inputs = torch.from_numpy(self.transform.transform(landmarks))
        with torch_threads(), torch.inference_mode():
            standardised = self.network(inputs).numpy()
        return standardised * self.target_sd + self.target_mean

    def save(
        self,
        folder: str | Path,
        overwrite: bool = False,
        tables: Mapping[str, pd.DataFrame] = MappingProxyType({}),
    ) -> Path:
        """Write the bundle to a folder, whole or not at all.

        Parameters
        ----------
        folder
            New or empty folder.
        overwrite
            Replace a bundle that is there.
        tables
            Tables to lay beside the model, by name; they are written as CSV and not read back.

        Raises
        ------
        BundleError
            If the folder is there already and ``overwrite`` is false, or is no bundle.
        """
        folder = Path(folder)
        check_free(folder, overwrite)
        part = folder.with_name(f".{folder.name}.{uuid4().hex[:8]}")
        part.mkdir(parents=True)
        try:
            weights = self._tensors()
            # save_file would make a file that nobody else may read.
            content = safetensors.torch.save(weights, metadata=self._weights_metadata())
            (part / WEIGHTS).write_bytes(content)
            description = self._description(_sha256(part / WEIGHTS))
            for name, table in tables.items():
                table.to_csv(part / f"{name}.csv", index=False, float_format="%.6g")
            (part / DESCRIPTION).write_text(json.dumps(description, indent=1, sort_keys=True) + "\n")
            if folder.exists():
                old = folder.with_name(f".{folder.name}.{uuid4().hex[:8]}.old")
                folder.replace(old)
                part.replace(folder)
                shutil.rmtree(old)
            else:
                part.replace(folder)
        finally:
            shutil.rmtree(part, ignore_errors=True)
        return folder

    def _tensors(self) -> dict[str, torch.Tensor]:
        arrays = {f"transform.{name}": value for name, value in self.transform.state().items()}
        arrays |= {"target.mean": self.target_mean, "target.sd": self.target_sd}
        tensors = {name: torch.from_numpy(np.array(value)) for name, value in arrays.items()}
        return tensors | {f"network.{k}": v.contiguous() for k, v in self.network.state_dict().items()}

    def _weights_metadata(self) -> dict[str, str]:
        # One key: safetensors writes several in random order, and equal bundles should be equal files.
        facts = {
            "architecture": self.network.architecture,
            "genes_sha256": _names_hash(self.genes),
            "mirnas_sha256": _names_hash(self.mirnas),
        }
        return {"sicmir": json.dumps(facts, sort_keys=True)}

    def _description(self, weights_sha256: str) -> dict[str, Any]:
        content = {
            "format": FORMAT,
            "genes": self.genes,
            "mirnas": self.mirnas,
            "level": self.level,
            "transform": self.transform.name,
            "card": self.card,
            "weights_sha256": weights_sha256,
        }
        return content | {"content_sha256": _content_hash(content)}


def load_model(folder: str | Path) -> Bundle:
    """Read a bundle that :meth:`Bundle.save` wrote. Nothing in it is executed.

    Raises
    ------
    BundleError
        If a file is missing, truncated or altered, or the format is not known.
    """
    folder = Path(folder)
    description = _read_description(folder)
    path = folder / WEIGHTS
    if not path.is_file():
        raise BundleError(f"{folder}: expected {WEIGHTS}, which is not there. Copy the whole bundle again.")
    found = _sha256(path)
    if found != description["weights_sha256"]:
        raise BundleError(
            f"{path}: expected SHA-256 {description['weights_sha256']}, found {found}. The file is truncated "
            "or was altered; copy or train the bundle again."
        )
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            metadata = json.loads((file.metadata() or {}).get("sicmir", "{}"))
        tensors = safetensors.torch.load_file(path)
    except safetensors.SafetensorError as error:
        raise BundleError(f"{path}: not a readable safetensors file ({error}).") from error
    for kind in ("genes", "mirnas"):
        if metadata.get(f"{kind}_sha256") != _names_hash(description[kind]):
            raise BundleError(
                f"{folder}: the {kind} of {DESCRIPTION} are not those the weights were trained with. "
                "The two files come from different bundles; copy the whole bundle again."
            )
    return _assemble(folder, description, metadata.get("architecture"), tensors)


def _assemble(
    folder: Path, description: dict[str, Any], architecture: dict[str, Any], tensors: dict[str, torch.Tensor]
) -> Bundle:
    groups: dict[str, dict[str, torch.Tensor]] = {"network": {}, "transform": {}, "target": {}}
    for name, tensor in tensors.items():
        group, _, rest = name.partition(".")
        groups.setdefault(group, {})[rest] = tensor
    try:
        network = SicmirNetwork(**architecture)
        network.load_state_dict(groups["network"])
        transform = InputTransform.from_state(
            description["transform"], {name: tensor.numpy() for name, tensor in groups["transform"].items()}
        )
        mean, sd = groups["target"]["mean"].numpy(), groups["target"]["sd"].numpy()
    except (RuntimeError, KeyError) as error:
        raise BundleError(
            f"{folder}: {WEIGHTS} lacks a tensor that the architecture needs: {error}"
        ) from error
    return Bundle(
        network=network.eval(),
        genes=description["genes"],
        mirnas=description["mirnas"],
        level=description["level"],
        transform=transform,
        target_mean=mean,
        target_sd=sd,
        card=description["card"],
    )


def _read_description(folder: Path) -> dict[str, Any]:
    path = folder / DESCRIPTION
    if not path.is_file():
        raise BundleError(f"{folder}: expected a bundle, but {DESCRIPTION} is not there. Check the path.")
    try:
        description = json.loads(path.read_text())
        stated = description.pop("content_sha256")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BundleError(f"{path}: truncated or not a model description ({error}).") from error
    if description.get("format") != FORMAT:
        raise BundleError(
            f"{path}: expected bundle format {FORMAT}, found {description.get('format')!r}. "
            "Use the version of sicmir that wrote it, or train the model again."
        )
    if _content_hash(description) != stated:
        raise BundleError(
            f"{path}: its content does not match its own checksum; it was altered after saving."
        )
    return description


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _names_hash(names: list[str]) -> str:
    return hashlib.sha256("\n".join(names).encode()).hexdigest()


def _content_hash(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
