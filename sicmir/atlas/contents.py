"""The tables of a data set in the atlas, from its file and a model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd

from sicmir.atlas import labels, pools, summaries
from sicmir.data.chunks import ChunkedMatrix
from sicmir.engine.file_input import WholeInput
from sicmir.engine.inference import FEWEST, Block
from sicmir.engine.prediction_input import made_ready
from sicmir.engine.prediction_record import described
from sicmir.errors import DataError
from sicmir.matrices.unit_names import Units
from sicmir.model import Bundle
from sicmir.streams.row_work import Work

MIN_COVERAGE = 0.5
"""Smallest share of the landmarks, as of :func:`sicmir.prediction.predict`."""


def summarise(
    path: Path,
    bundle: Bundle,
    keys: dict[str, str],
    names: dict[str, labels.Label],
    pairs: pd.DataFrame,
    asked: dict[str, Any],
) -> tuple[dict[str, pd.DataFrame], dict[str, Any]]:
    """Read and predict a data set.

    Parameters
    ----------
    path
        ``.h5ad`` or ``.zarr``.
    bundle
        Model.
    keys
        ``donor``, ``cell_type``, ``condition``, ``tissue`` and ``tissue_id`` → column of ``obs``; "" for no
        conditions, or where the tissue is that of the data set.
    names
        Labels of cell types → their names in the atlas.
    pairs
        As :func:`sicmir.atlas.identity.target_pairs` gives them.
    asked
        The part of the record that is known beforehand.

    Returns
    -------
    tables
        By name, as of :data:`sicmir.atlas.tables.SCHEMAS`.
    found
        The rest of the record, but for its files.

    Raises
    ------
    DataError
        If labels are missing, there is no cell of the normal condition, a group is of several tissues, or
        values cannot be used.
    """
    options, disease, normal = asked["options"], asked["disease"]["name"], asked["normal"]
    cells, sites, synthetic = _labels(path, keys, names, asked)
    sizes = (options[name] for name in ("min_cells", "part_cells", "max_parts"))
    made, n_small = pools.pool(path, cells, options["layer"], options["units"], *sizes)
    groups, transform = _predicted(bundle, made.groups, made.units, options)
    parts, _ = _predicted(bundle, made.parts, made.units, options)
    for one in (groups, made.groups):
        one.obs["disease"] = np.where(one.obs["condition"].isin(normal), labels.NORMAL, disease)
        one.obs[sites.columns] = _of_groups(one.obs, cells, sites)
    trust = summaries.trust_rows(groups.var)
    genes = summaries.gene_rows(made.groups, pd.Index(pairs["gene"].unique()), options["gene_key"])
    markers, refused = summaries.marker_rows(groups)
    tables = {
        "mirna": summaries.mirna_rows(groups, parts, trust["mean_log2_rpm"]),
        "genes": genes,
        "markers": markers,
        "targets": pairs[pairs["gene"].isin(genes["gene"])],
        "trust": trust,
    }
    kept, record = groups.obs, groups.uns["sicmir"]
    unlabelled = cells.isna().any(axis=1)
    found = {
        "input": {
            "units": str(record["units_record"]["units"]),
            "transform": transform,
            "landmarks": int(record["coverage"]["found"]),
            "synthetic": synthetic,
        },
        "cell_types": _cell_types(cells[~unlabelled], names),
        "tissues": [
            {"name": name, "id": term}
            for name, term in sorted(set(zip(kept["tissue"], kept["tissue_id"], strict=True)))
        ],
        "targets": {"n_pairs": len(tables["targets"]), "n_genes": int(genes["gene"].nunique())},
        "markers": refused,
        "counts": {
            "n_cells": int(kept["n_cells"].sum()),
            "n_small": n_small,
            "n_unlabelled": int(unlabelled.sum()),
            "n_donors": int(kept["donor"].nunique()),
            "n_cell_types": int(kept["cell_type"].nunique()),
            "n_groups": groups.n_obs,
            "n_predicted": int((~kept["abstained"]).sum()),
        },
    }
    return tables, found


def _labels(
    path: Path, keys: dict[str, str], names: dict[str, labels.Label], asked: dict[str, Any]
) -> tuple[pd.DataFrame, pd.DataFrame, bool]:
    """Labels of the cells, their tissues, and whether the file says that they are made up."""
    options, normal = asked["options"], asked["normal"]
    with ChunkedMatrix(path, options["layer"] or "X") as matrix:
        cells = labels.group_labels(matrix.obs, keys, names)
        tissue = labels.Label(**asked["tissue"])
        sites = labels.tissues(matrix.obs, keys["tissue"], keys["tissue_id"], tissue)
        synthetic = bool(matrix.uns.get("sicmir", {}).get("synthetic", False))
    missing = cells.isna().sum()
    if missing.any() and options["missing"] == "raise":
        counts = ", ".join(f"{n} in {keys[name]}" for name, n in missing.items() if n and name in keys)
        raise DataError(
            f"Of {len(cells)} cells some have no label: {counts}. Label them, or leave them out by "
            "missing='drop'."
        )
    there = set(cells["condition"].dropna()) if normal else set()
    if normal and normal[0] not in there:
        raise DataError(f"No cell has the condition {normal[0]!r}; there are {', '.join(sorted(there))}.")
    return cells, sites, synthetic


def _of_groups(groups: pd.DataFrame, cells: pd.DataFrame, sites: pd.DataFrame) -> np.ndarray:
    """Tissue and its term of each group."""
    by = [name for name in ("donor", "cell_type", "condition") if name in cells]
    found = cells[by].join(sites).dropna().drop_duplicates()
    several = found[found.duplicated(by, keep=False)].merge(groups[by], on=by)
    if len(several):
        row = several.iloc[0]
        names = several.loc[(several[by] == row[by]).all(axis=1), "tissue"]
        raise DataError(
            f"The cells of {', '.join(row[by])} are of several tissues: {', '.join(sorted(set(names)))}. A "
            "group is of one: tell them apart by the condition, or add each tissue as a data set."
        )
    return groups[by].merge(found, on=by, how="left")[list(sites)].to_numpy()


def _predicted(
    bundle: Bundle, table: ad.AnnData, units: Units, options: dict[str, Any]
) -> tuple[ad.AnnData, str]:
    """Predict pools so that no digit depends on the number of threads; and the transform that was taken."""
    made = made_ready(table, bundle, units, options["transform"], options["gene_key"], MIN_COVERAGE)
    n = len(made.obs)
    ranges = [(start, min(start + FEWEST, n)) for start in range(0, n, FEWEST)]
    blocks = list(Work(WholeInput(made), bundle, MIN_COVERAGE, abstain=True).blocks(ranges))
    rows = {name: np.concatenate([getattr(one, name) for one in blocks]) for name in Block.__annotations__}
    result = described(bundle, made, made.obs, made.uns, rows, MIN_COVERAGE, abstain=True)
    result.X = rows["predicted"]
    result.layers.update(lower=rows["lower"], upper=rows["upper"])
    return result, made.transform


def _cell_types(cells: pd.DataFrame, names: dict[str, labels.Label]) -> list[dict[str, Any]]:
    """What each label became, and how many cells have it."""
    sizes = cells["label"].value_counts().sort_index()
    return [
        {
            "label": old,
            "cell_type": names[old].name if old in names else old,
            "id": names[old].id if old in names else "",
            "n_cells": int(n_cells),
        }
        for old, n_cells in sizes.items()
    ]
