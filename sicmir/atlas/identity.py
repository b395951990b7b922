"""What a data set of the atlas is made from: its file, the model, the targets, by name and checksum."""

from __future__ import annotations

import hashlib
import math
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd

from sicmir.data import origin
from sicmir.data.checksum import digest
from sicmir.model import Bundle, load_model
from sicmir.names.gene_symbols import landmark_symbols
from sicmir.networks.target_pairs import check_columns
from sicmir.networks.targets import load_targets, to_stem_loops


def source_facts(path: Path) -> dict[str, Any]:
    """Name, checksum and bytes of a file; of a folder, those of all its files together."""
    if path.is_file():
        row = origin(path)["sources"].iloc[0]
        return {
            "name": path.name,
            "sha256": str(row["checksum"]).removeprefix("sha256:"),
            "bytes": int(row["bytes"]),
        }
    files = sorted(file for file in path.rglob("*") if file.is_file())
    parts = [f"{file.relative_to(path).as_posix()} {digest(file, 'sha256')}" for file in files]
    size = sum(file.stat().st_size for file in files)
    return {"name": path.name, "sha256": text_sha256("\n".join(parts)), "bytes": size}


def as_saved(bundle: Bundle) -> Bundle:
    """Give a model as its files hold it: fresh from training it has digits that they round off.

    The checksum is that of the files, so that equal checksums have to mean equal predictions.
    """
    with TemporaryDirectory() as folder:
        return load_model(bundle.save(Path(folder, "model")))


def model_facts(bundle: Bundle) -> dict[str, Any]:
    """Name and checksums of a model, and what its predictions are."""
    level = float(bundle.card.get("interval_level", math.nan))
    return {
        "id": bundle.weights_sha256[:12],
        "sha256": bundle.content_sha256,
        "level": bundle.level,
        "n_mirnas": len(bundle.mirnas),
        "interval_level": None if math.isnan(level) else level,
        "synthetic": bool(bundle.card.get("training_data", {}).get("synthetic", False)),
    }


def target_pairs(bundle: Bundle, targets: str | Path | pd.DataFrame) -> pd.DataFrame:
    """Targets outside the landmarks under the names of the miRNAs of a model.

    Parameters
    ----------
    bundle
        Model.
    targets
        As for :func:`sicmir.atlas.add.add`.

    Returns
    -------
    DataFrame
        ``mirna, gene, evidence``, sorted; no rows for "".

    Raises
    ------
    FetchError, ReadError, DataError, PanelError, ParameterError
        As :func:`sicmir.networks.targets.load_targets`.
    """
    columns = ["mirna", "gene", "evidence"]
    if isinstance(targets, pd.DataFrame):
        check_columns(targets)
        table = targets
    elif not str(targets):
        return pd.DataFrame(columns=columns)
    else:
        table, _ = load_targets(targets)
        table = to_stem_loops(table)[0] if bundle.level == "stem-loop" else table
    table = table.assign(evidence=table.get("evidence", ""))
    landmark = table["gene"].isin(landmark_symbols())
    table = table[table["mirna"].isin(bundle.mirnas) & ~landmark]
    return table[columns].drop_duplicates(["mirna", "gene"]).sort_values(columns, ignore_index=True)


def text_sha256(text: str) -> str:
    """Checksum of a text."""
    return hashlib.sha256(text.encode()).hexdigest()
