"""Add a data set to the atlas: a file is read, predicted by group, and moved to its place when whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, NamedTuple

import pandas as pd

from sicmir import __version__, paths
from sicmir.atlas import labels, pools, store
from sicmir.atlas import record as records
from sicmir.atlas.contents import summarise
from sicmir.atlas.identity import as_saved, model_facts, source_facts, target_pairs, text_sha256
from sicmir.atlas.tables import write_table
from sicmir.engine.prediction_record import LOG2_RPM
from sicmir.errors import ParameterError, ReadError
from sicmir.model import Bundle, load_model
from sicmir.streams.part_folder import PartFolder

PART_CELLS, MAX_PARTS = 50, 20
"""Fewest cells of a part, and most parts of a group; see :func:`sicmir.atlas.pools.parts`."""


class Added(NamedTuple):
    """What :func:`add` did: the record of the data set, and whether it was there already."""

    record: dict[str, Any]
    unchanged: bool

    def summary(self) -> str:
        """Say in plain sentences what is in the atlas now, one a line."""
        record, counts = self.record, self.record["counts"]
        state = "was there already, from the same file and model" if self.unchanged else "is in the atlas"
        lines = [
            f"{record['dataset']} {state}: {counts['n_cells']} cells of {counts['n_donors']} donors and "
            f"{counts['n_cell_types']} cell types.",
            f"Predicted: {counts['n_predicted']} of {counts['n_groups']} groups of cells. Abstained: "
            f"{counts['n_groups'] - counts['n_predicted']}. Left out: {counts['n_small']} cells of groups "
            f"of fewer than {record['options']['min_cells']} and {counts['n_unlabelled']} without a label.",
            f"Units: {record['input']['units']}. Transform: {record['input']['transform']}.",
        ]
        if record["markers"]:
            lines.append(f"No markers of cell types: {record['markers']}")
        unmapped = [one["label"] for one in record["cell_types"] if not one["id"]]
        if unmapped and len(unmapped) < len(record["cell_types"]):
            lines.append(f"Without a term of the Cell Ontology: {', '.join(unmapped)}.")
        return "\n".join(lines)


def add(
    source: str | Path,
    dataset: str,
    tissue: str,
    disease: str,
    *,
    cell_type_key: str = "cell_type",
    donor_key: str = "donor",
    condition_key: str = "",
    normal: str = "",
    tissue_id: str = "",
    tissue_key: str = "",
    tissue_id_key: str = "",
    disease_id: str = "",
    cell_type_map: str | Path = "",
    model: str | Path | Bundle = "default",
    targets: str | Path | pd.DataFrame = "mirtarbase",
    transform: Literal["auto", "frozen", "rank"] = "auto",
    layer: str = "",
    units: str = "",
    gene_key: str = "",
    min_cells: int = 10,
    part_cells: int = PART_CELLS,
    max_parts: int = MAX_PARTS,
    missing: Literal["raise", "drop"] = "raise",
    overwrite: bool = False,
    folder: str | Path = "",
) -> Added:
    """Predict the groups of cells of a file and store what is found in the atlas.

    The cells of each donor, cell type and condition are pooled and predicted, and so are disjoint parts of
    them, by which the spread within the group is told (:data:`sicmir.atlas.tables.SCHEMAS`). The file is read
    once, in pieces. The data set appears when it is whole: a run that is stopped leaves the store as it was.
    The same file, labels, options, model and version give the same bytes; adding them again does nothing.

    Parameters
    ----------
    source
        Cells × genes with all genes that were measured, ``.h5ad`` or ``.zarr``.
    dataset
        Name in the atlas, see :func:`sicmir.atlas.store.check_name`.
    tissue, disease
        In words; ``"normal"`` for no disease.
    cell_type_key, donor_key, condition_key
        Columns of ``obs``; without ``condition_key`` there are no conditions.
    normal
        The condition whose cells have no disease; "" for none.
    tissue_id, disease_id
        Terms of Uberon and Mondo, such as ``UBERON:0001264``; "" where none is known.
    tissue_key, tissue_id_key
        Columns of ``obs`` with the tissue of each cell, where not all are of ``tissue``, and its term; "" for
        none. A group of cells is of one tissue.
    cell_type_map
        Table of names for cell types, see :func:`sicmir.atlas.labels.read_cell_type_map`; "" keeps them.
    model
        Folder of a bundle, or the bundle itself; the same for all data sets of a store.
    targets
        Name or path as for :func:`sicmir.networks.targets.load_targets`; a table of ``mirna`` (names of the
        model) and ``gene``, and maybe ``evidence``; or "" for none.
    transform, layer, units, gene_key
        As for :func:`sicmir.prediction.predict`.
    min_cells
        Groups of fewer cells are left out.
    part_cells, max_parts
        As for :func:`sicmir.atlas.pools.parts`.
    missing
        Whether cells without a label are refused, or left out.
    overwrite
        Replace a data set of that name that was made of something else.
    folder
        Of the store; "" takes that of the environment variable ``SICMIR_ATLAS``.

    Returns
    -------
    Added

    Raises
    ------
    ParameterError
        If a name or an option does not fit, the data set is there and is another one, another data set is
        made of the same file, or another process is adding it; or as :func:`sicmir.prediction.predict`.
    ReadError
        If the file cannot be read, or the store is of another model.
    DataError, PanelError, BundleError
        As :func:`sicmir.prediction.predict`.
    FetchError
        If the table of targets cannot be had; give ``targets=""``, or a table.
    WriteError
        If the store cannot be written to.
    """
    place, path = paths.atlas(folder), Path(source).expanduser()
    home = store.partition(place, dataset)
    tissue_label = labels.label("tissue", tissue, tissue_id)
    disease_label = labels.label("disease", disease, disease_id)
    sizes = {"min_cells": min_cells, "part_cells": part_cells, "max_parts": max_parts}
    _check_options(condition_key, normal, sizes, transform, missing)
    if not path.exists():
        raise ReadError(f"{path}: there is no such file.")
    pools.check_file(path)
    bundle = as_saved(model) if isinstance(model, Bundle) else load_model(model)
    if bundle.units != LOG2_RPM:
        raise ParameterError(f"The atlas holds {LOG2_RPM}; this model predicts {bundle.units}.")
    names = labels.read_cell_type_map(cell_type_map) if cell_type_map else {}
    pairs = target_pairs(bundle, targets)
    keys = {"donor": donor_key, "cell_type": cell_type_key, "condition": condition_key}
    keys |= {"tissue": tissue_key, "tissue_id": tissue_id_key}
    options: dict[str, Any] = {f"{name}_key": key for name, key in keys.items()} | sizes
    options |= {"layer": layer, "units": units, "gene_key": gene_key, "transform": transform}
    options |= {"missing": missing, "targets": text_sha256(pairs.to_csv(index=False))}
    options["cell_type_map"] = {old: vars(new) for old, new in sorted(names.items())}
    asked = {
        "format": records.FORMAT,
        "dataset": dataset,
        "tissue": vars(tissue_label),
        "disease": vars(disease_label),
        "normal": [normal] if normal else [],
        "source": source_facts(path),
        "model": model_facts(bundle),
        "options": options,
        "version": __version__,
    }
    store.check_fits(place, asked)
    with PartFolder(home, {"asked": text_sha256(repr(asked))}, overwrite=True) as part:
        there = _there(home, asked, overwrite) if home.exists() else None
        if there:
            store.tidy(place, there)
            return Added(there, True)
        fresh = part.path / ".new"
        tables, found = summarise(path, bundle, keys, names, pairs, asked)
        with paths.writing(home):
            paths.remove(fresh)
            fresh.mkdir()
            files = {name: _write(table, name, fresh) for name, table in tables.items()}
            record = records.seal(asked | found | {"files": files})
            store.commit(place, record, fresh)
    return Added(record, False)


def _write(table: pd.DataFrame, name: str, folder: Path) -> dict[str, Any]:
    """Write a table under a name of its content; what the record says of the file."""
    path = folder / f"{name}.parquet"
    n_rows = write_table(table, name, path)
    facts = source_facts(path)
    path.rename(folder / store.table_name(name, facts["sha256"]))
    return facts | {"name": store.table_name(name, facts["sha256"]), "rows": n_rows}


def _check_options(
    condition_key: str, normal: str, sizes: dict[str, int], transform: str, missing: str
) -> None:
    for name, value, fits, expected in (
        *((name, value, value >= 1, "1 or more") for name, value in sizes.items()),
        ("transform", transform, transform in ("auto", "frozen", "rank"), "'auto', 'frozen' or 'rank'"),
        ("missing", missing, missing in ("raise", "drop"), "'raise' or 'drop'"),
        ("normal", normal, condition_key or not normal, "a condition_key beside it"),
    ):
        if not fits:
            raise ParameterError(f"{name}={value!r}: expected {expected}.")


def _there(home: Path, asked: dict[str, Any], overwrite: bool) -> dict[str, Any] | None:
    """The record of the data set if it is the one that is asked for; None if it is to be made anew."""
    try:
        found = records.read_record(home)
    except ReadError:
        if overwrite:
            return None
        raise
    differing = [key for key, value in asked.items() if found[key] != value]
    if not differing and all((home / file["name"]).is_file() for file in found["files"].values()):
        return found
    if differing and not overwrite:
        raise ParameterError(
            f"{asked['dataset']} is in the atlas, but made of something else: {', '.join(differing)} differ. "
            "Replace it by overwrite=True, or choose another name."
        )
    return None
