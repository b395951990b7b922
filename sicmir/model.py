"""The bundle: a predictor with everything a prediction needs, in plain files without pickle."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from sicmir.errors import BundleError
from sicmir.learning import arrays
from sicmir.learning.bundle_files import (
    DESCRIPTION,
    FORMAT,
    TRUST,
    WEIGHTS,
    check_free,
    content_hash,
    identity_of,
    read_checked,
    read_description,
    replacing_folder,
    trust_from_csv,
)
from sicmir.learning.predictors import Predictor, predictor_class

SHIPPED = Path(__file__).parent / "weights" / "default"
"""Folder of the bundle that comes with the package."""

# What a bundle may hold beside its predictor; a module is imported when a bundle has such a part.
_PARTS = {"domain": ("sicmir.learning.domain", "Domain"), "rescale": ("sicmir.learning.rescale", "Rescale")}


@dataclass(frozen=True, eq=False)
class Bundle:
    """A predictor with all it takes to use it and to judge it.

    Attributes
    ----------
    predictor
        The fitted model, see :class:`sicmir.learning.predictors.Predictor`.
    genes
        Landmark symbols in input order.
    mirnas
        miRNA names in output order.
    level
        ``"mature"`` or ``"stem-loop"``: what the names stand for. The two are never mixed.
    units
        Of the predictions: ``"log2(RPM+1)"``, or ``"z-score"`` of the published network.
    trust
        How far each miRNA can be believed: one row a miRNA, in the order of ``mirnas``. Numbers, truth values
        and text; read back from CSV, categories are text and the empty text is missing.
    domain
        What inputs the model knows, a ``sicmir.learning.domain.Domain``: any object with ``state()``, whose
        class rebuilds it by ``from_state(arrays)``.
    rescale
        Brings other units to those of the training samples, a :class:`sicmir.learning.rescale.Rescale`.
    card
        Training data with checksums, split, seed, options, measured metrics, versions.

    Raises
    ------
    BundleError
        If the rows of ``trust`` are not the miRNAs.
    """

    predictor: Predictor
    genes: list[str]
    mirnas: list[str]
    level: str
    units: str
    trust: pd.DataFrame | None = None
    domain: Any = None
    rescale: Any = None
    card: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.trust is not None and list(self.trust.index) != self.mirnas:
            raise BundleError(
                f"The trust table should have one row for each of the {len(self.mirnas)} miRNAs, in their "
                f"order; it has {len(self.trust)} rows, first {list(self.trust.index[:3])}."
            )

    @cached_property
    def weights_sha256(self) -> str:
        """SHA-256 of the file of weights, which :data:`DESCRIPTION` states too: the name of the model."""
        return hashlib.sha256(self._weights()).hexdigest()

    @property
    def content_sha256(self) -> str:
        """SHA-256 of all that a prediction depends on: weights, units, trust table with its widths, card."""
        return content_hash(self._description(self._trust_csv()) | {"weights_sha256": self.weights_sha256})

    def trusted(self, column: str) -> pd.Series:
        """One column of the trust table, by miRNA.

        Raises
        ------
        BundleError
            If the bundle has no trust table, or the table no such column.
        """
        if self.trust is None or column not in self.trust:
            found = "no trust table" if self.trust is None else f"{', '.join(self.trust)} in its trust table"
            raise BundleError(
                f"The model says nothing of {column!r} of its miRNAs; it has {found}. Use a model that was "
                "built with it, such as the one of the package."
            )
        return self.trust[column]

    def predict_array(self, landmarks: np.ndarray) -> np.ndarray:
        """Predict from an array that is already in panel order.

        Parameters
        ----------
        landmarks
            Samples × genes, log2(x+1) in the units of the training data; NaN = not measured.

        Returns
        -------
        Samples × miRNAs, float32, in ``units``; NaN for a miRNA that the predictor could not learn.

        Raises
        ------
        BundleError
            If the number of genes is not that of the model, or the predictor is one of other miRNAs.
        DataError
            If a value is infinite, or a sample has no measured gene.
        """
        return self.predict_with_spread(landmarks)[0]

    def predict_with_spread(self, landmarks: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Predict as :meth:`predict_array`, and tell how unsure the predictor is of each sample, if it can.

        The second value is its spread per sample, above 0, of which ``trust["half_width"]`` holds multiples;
        None if this kind of predictor has none.
        """
        self.check_landmarks(landmarks)
        if hasattr(self.predictor, "predict_with_spread"):
            predicted, spread = self.predictor.predict_with_spread(landmarks)
        else:
            predicted, spread = self.predictor.predict(landmarks), None
        if predicted.shape != (len(landmarks), len(self.mirnas)):
            raise BundleError(
                f"The predictor gave the shape {predicted.shape} for {len(landmarks)} samples and the "
                f"{len(self.mirnas)} miRNAs of the bundle; it belongs to other miRNAs."
            )
        return predicted, spread

    def check_landmarks(self, landmarks: np.ndarray) -> None:
        """Refuse an array that is not samples × the genes of the model with a BundleError."""
        if landmarks.ndim != 2 or landmarks.shape[1] != len(self.genes):
            raise BundleError(
                f"Model input: expected samples × {len(self.genes)} genes, found shape {landmarks.shape}. "
                "Bring the data into panel order with sicmir.panel.align first."
            )

    def save(
        self,
        folder: str | Path,
        overwrite: bool = False,
        tables: Mapping[str, pd.DataFrame] = MappingProxyType({}),
    ) -> Path:
        """Write the bundle to a folder, whole or not at all. Equal bundles give equal files.

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
            If the folder is there already and ``overwrite`` is false, or is no bundle, or a table is called
            ``trust``.
        """
        folder = Path(folder)
        check_free(folder, overwrite)
        if "trust" in tables:
            raise BundleError(f"The name trust belongs to {TRUST} of the bundle; call the table otherwise.")
        trust = self._trust_csv()
        description = self._description(trust)
        weights = self._weights()
        description["weights_sha256"] = hashlib.sha256(weights).hexdigest()
        description["content_sha256"] = content_hash(description)
        text = json.dumps(description, indent=1, sort_keys=True) + "\n"

        with replacing_folder(folder) as part:
            # save_file would make a file that nobody else may read.
            (part / WEIGHTS).write_bytes(weights)
            if trust is not None:
                (part / TRUST).write_bytes(trust)
            for name, table in tables.items():
                table.to_csv(part / f"{name}.csv", index=False, float_format="%.6g")
            (part / DESCRIPTION).write_text(text)
        return folder

    def _trust_csv(self) -> bytes | None:
        if self.trust is None:
            return None
        return self.trust.to_csv(index_label="mirna", lineterminator="\n").encode()

    def _weights(self) -> bytes:
        parts = {"predictor": self.predictor} | {name: getattr(self, name) for name in _PARTS}
        states = {group: part.state() for group, part in parts.items() if part is not None}
        content = {f"{group}.{key}": array for group, state in states.items() for key, array in state.items()}
        return arrays.to_bytes(content, identity_of(self._description(None)))

    def _description(self, trust: bytes | None) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "predictor": {"kind": self.predictor.kind, "facts": self.predictor.facts()},
            "genes": self.genes,
            "mirnas": self.mirnas,
            "level": self.level,
            "units": self.units,
            "trust_sha256": None if trust is None else hashlib.sha256(trust).hexdigest(),
            "card": self.card,
        }


def load_model(folder: str | Path = "default") -> Bundle:
    """Read a bundle that :meth:`Bundle.save` wrote. Nothing in it is executed.

    Parameters
    ----------
    folder
        Folder of the bundle; ``"default"`` is the one that comes with the package.

    Raises
    ------
    BundleError
        If a file is missing, truncated or altered, the format is not known, or the package came without a
        bundle.

    Examples
    --------
    >>> import sicmir
    >>> model = sicmir.load_model()
    >>> len(model.genes), len(model.mirnas), model.units
    (977, 471, 'log2(RPM+1)')
    """
    if folder == "default":
        folder = SHIPPED
        if not (folder / DESCRIPTION).is_file():
            raise BundleError(
                f"This installation of sicmir came without a model (expected {folder}). Give the folder of a "
                "bundle; `sicmir train DATASET --out FOLDER` makes one. A folder called default is ./default."
            )
    folder = Path(folder)
    description = read_description(folder)
    read_checked(folder / WEIGHTS, description["weights_sha256"])
    found, identity = arrays.read(folder / WEIGHTS)
    if identity != identity_of(description):
        raise BundleError(
            f"{folder}: {DESCRIPTION} and {WEIGHTS} are not of one model: their predictor, genes or miRNAs "
            "differ. The two files come from different bundles; copy the whole bundle again."
        )
    return _assemble(folder, description, arrays.grouped(found))


def _assemble(folder: Path, description: dict[str, Any], groups: dict[str, dict[str, np.ndarray]]) -> Bundle:
    predictor, parts, trust = description["predictor"], {}, None
    try:
        predictor = predictor_class(predictor["kind"]).from_state(predictor["facts"], groups["predictor"])
        for part in _PARTS.keys() & groups.keys():
            module, name = _PARTS[part]
            parts[part] = getattr(import_module(module), name).from_state(groups[part])
    except BundleError as error:
        raise BundleError(f"{folder}: {error}") from error
    if description["trust_sha256"] is not None:
        trust = trust_from_csv(read_checked(folder / TRUST, description["trust_sha256"]))
    return Bundle(
        predictor=predictor,
        **{key: description[key] for key in ("genes", "mirnas", "level", "units", "card")},
        trust=trust,
        **parts,
    )
