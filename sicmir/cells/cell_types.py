"""Cell types as rows: cells pooled to one profile each, measured miRNA of matching libraries beside it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import anndata as ad
import numpy as np
import pandas as pd

from sicmir import panel
from sicmir.errors import DataError
from sicmir.matrices.dense import dense
from sicmir.matrices.units import recognise, select
from sicmir.pseudobulk import pseudobulk

_COLUMNS = ("cell_type", "source_cell_type")


def pool_cells(cells: ad.AnnData) -> ad.AnnData:
    """Pool the cells of each type: counts are added up, normalised values averaged; then per million.

    Parameters
    ----------
    cells
        Cells x features; ``obs["cell_type"]``, and where known ``donor`` and ``n_cells`` (for a row that is
        itself a mean of cells). ``uns["sicmir"]["units"]`` says what ``X`` is, such as ``"UMI counts"`` or
        ``"log2(TPM + 1)"``; without it :func:`sicmir.matrices.units.recognise` looks at the values, and
        prefers counts in a layer or in ``raw``.

    Returns
    -------
    AnnData
        Cell types in alphabetical order x features, ``"CPM"``: each row sums to a million. ``obs``:
        cell_type, n_cells, n_donors (missing where donors are not known).

    Raises
    ------
    DataError
        If a label is missing, a value is negative, NaN or infinite, or a type has no value above 0.
    ParameterError
        If the units cannot be told.
    """
    labels = cell_type_labels(cells)
    # Sums and means differ by a factor of the row alone, which the scaling to a million takes out.
    pooled = pseudobulk(cells, "cell_type", min_cells=1, mode="mean", units=_told_units(cells))
    groups = cells.obs.groupby(labels)
    obs = pooled.obs[["cell_type", "n_cells"]].copy()
    if "n_cells" in cells.obs:
        obs["n_cells"] = groups["n_cells"].sum()
    obs["n_donors"] = groups["donor"].nunique() if "donor" in cells.obs else pd.NA
    obs["n_donors"] = obs["n_donors"].astype("Int64")
    result = ad.AnnData(_per_million(pooled.X, obs.index), obs=obs, var=pd.DataFrame(index=pooled.var_names))
    result.uns["sicmir"] = dict(cells.uns.get("sicmir", {})) | {"units": "CPM"}
    return result


def pair_cell_types(
    cells: ad.AnnData, measured: ad.AnnData, matches: pd.DataFrame, min_coverage: float = 0.5
) -> tuple[ad.AnnData, ad.AnnData]:
    """Put the landmark genes of cell types beside the measured miRNA of the libraries that match them.

    Parameters
    ----------
    cells
        As for :func:`pool_cells`.
    measured
        Libraries x mature miRNAs with ``obs["cell_type"]``, units as for ``cells``. Values per million stay
        as they are, all others are scaled to a million per library. Pool single cells first.
    matches
        A row for each cell type, with at least cell_type and source_cell_type (;-joined where there are
        several), as in :func:`sicmir.cells.cell_references.matches`.
    min_coverage
        Least share of the 977 landmarks.

    Returns
    -------
    mrna
        Cell types, in the order of ``matches``, x 977 landmarks, log2(CPM + 1), NaN where not measured.
    mirna
        The same cell types x mature miRNAs under their names of today, mean over libraries of log2(RPM + 1).
        ``uns["sicmir"]["dropped"]`` holds the names that have none. ``obs`` of both: ``matches``, n_cells,
        n_donors, n_libraries.

    Raises
    ------
    DataError
        If a cell type of ``matches`` is not in ``cells`` or ``measured``, or occurs twice, or values are
        wrong.
    PanelError
        If too few landmarks are there.
    ParameterError
        If units cannot be told.
    """
    absent = [name for name in _COLUMNS if name not in matches]
    if absent or matches.empty or matches["cell_type"].duplicated().any():
        found = f"no column {absent[0]}" if absent else ", ".join(matches["cell_type"]) or "no row"
        raise DataError(f"matches needs {' and '.join(_COLUMNS)}, a row for each cell type; found {found}.")
    wanted = {row.cell_type: row.source_cell_type.split(";") for row in matches.itertuples()}
    _check_present("cells", cell_type_labels(cells), wanted)
    labels = cell_type_labels(measured)
    _check_present("measured", labels, [name for names in wanted.values() for name in names])

    mrna = panel.align(pool_cells(cells)[list(wanted)].copy(), min_coverage, duplicates="sum")
    mrna.X = np.log2(mrna.X + 1)
    mrna.uns["sicmir"]["units"] = "log2(CPM + 1)"
    libraries = log2_per_million(measured)
    chosen = [labels.isin(names).to_numpy() for names in wanted.values()]
    obs = matches.set_index("cell_type", drop=False).rename_axis(None).join(mrna.obs[["n_cells", "n_donors"]])
    obs["n_libraries"] = [int(rows.sum()) for rows in chosen]
    mrna.obs = obs
    mirna = ad.AnnData(
        np.stack([libraries.X[rows].mean(axis=0) for rows in chosen]).astype(np.float32),
        obs=obs.copy(),
        var=libraries.var.copy(),
        uns=libraries.uns,
    )
    return mrna, mirna


def log2_per_million(measured: ad.AnnData) -> ad.AnnData:
    """Libraries × mature miRNAs under their names of today, log2(RPM + 1).

    Parameters
    ----------
    measured
        As for :func:`pair_cell_types`.

    Returns
    -------
    AnnData
        ``uns["sicmir"]["dropped"]`` holds the names that are of no human mature miRNA.

    Raises
    ------
    DataError
        If no name is of a human mature miRNA, or values are wrong.
    ParameterError
        If units cannot be told.
    """
    libraries, dropped = _mature_per_million(measured)
    found = ad.AnnData(
        np.log2(libraries.to_numpy() + 1),
        obs=measured.obs.copy(),
        var=pd.DataFrame(index=libraries.columns),
    )
    found.uns["sicmir"] = dict(measured.uns.get("sicmir", {})) | {
        "modality": "mirna",
        "units": "log2(RPM + 1)",
        "level": "mature",
        "dropped": np.array(dropped, dtype=str),
    }
    return found


def as_stem_loops(mirna: ad.AnnData, stem_loops: Sequence[str] | pd.Index, min_r: float = 0.9) -> ad.AnnData:
    """Mature miRNAs in the places of the stem-loops that they stand for, to compare a stem-loop model with.

    A mature miRNA stands for a stem-loop if that is its one locus and the two correlate in TCGA by at least
    ``min_r``; of two such arms the one with more reads does (:func:`sicmir.panel.single_locus`), even where
    only the other was measured. The level of the two differs: compare correlations and differences alone.

    Parameters
    ----------
    mirna
        Cell types x mature miRNAs.
    stem_loops
        Names of any miRBase version.
    min_r
        Least correlation.

    Returns
    -------
    AnnData
        Cell types x those of ``stem_loops`` that were measured, in their order and under the names given;
        ``var``: mature, arm_share, r_stemloop.

    Raises
    ------
    DataError
        If there is none.
    """
    known = panel.single_locus().query("r_stemloop >= @min_r").sort_values("arm_share")
    known = known.drop_duplicates("stem_loop", keep="last").set_index("stem_loop")
    today = panel.current_mirna_names(stem_loops, "stem-loop")["current"]
    var = known[["mature", "arm_share", "r_stemloop"]].reindex(today)
    var = var.set_axis(pd.Index(today.index, name=None))[var["mature"].isin(mirna.var_names).to_numpy()]
    if var.empty:
        raise DataError(
            f"None of {len(today)} stem-loops has a mature miRNA of one locus with r >= {min_r} among the "
            f"{mirna.n_vars} measured. Lower min_r, or check the names."
        )
    named = mirna[:, var["mature"]].copy()
    named.var = var
    return named


def cell_type_labels(adata: ad.AnnData) -> pd.Series:
    """``obs["cell_type"]`` as text.

    Raises
    ------
    DataError
        If there is no such column, or a label is missing.
    """
    if "cell_type" not in adata.obs or adata.obs["cell_type"].isna().any():
        raise DataError('Expected a label for every row in obs["cell_type"]; leave out rows that have none.')
    return adata.obs["cell_type"].astype(str)


def _check_present(side: str, labels: pd.Series, wanted: Iterable[str]) -> None:
    absent = [name for name in wanted if name not in set(labels)]
    if absent:
        raise DataError(
            f"{side} has no {absent[0]!r} in obs['cell_type']; it has {', '.join(sorted(set(labels)))}."
        )


def _told_units(adata: ad.AnnData) -> str:
    return str(adata.uns.get("sicmir", {}).get("units", ""))


def _per_million(values: np.ndarray, names: Iterable[str]) -> np.ndarray:
    total = values.sum(axis=1, dtype=np.float64, keepdims=True)
    for name, value in zip(names, total[:, 0], strict=True):
        if not np.isfinite(value) or value <= 0:
            found = "NaN among its values" if np.isnan(value) else f"the sum {value:g}"
            raise DataError(f"{name}: expected all features measured and some above 0, found {found}.")
    return (values / total * 1e6).astype(np.float32)


def _mature_per_million(measured: ad.AnnData) -> tuple[pd.DataFrame, list[str]]:
    """Libraries x mature miRNAs under today's names, linear per million, and the names that have none."""
    record = recognise(measured, units=_told_units(measured))
    table = select(measured, record)
    values = record.linear(dense(table.X))
    if record.per != 1e6 or np.isnan(values).any():  # NaN is refused there
        values = _per_million(values, table.obs_names)
    names = table.var_names
    today = panel.current_mirna_names(names, "mature")["current"]
    known = (today != "").to_numpy()
    if not known.any():
        raise DataError(f"None of {len(known)} names, such as {names[0]}, is of a human mature miRNA.")
    frame = pd.DataFrame(values, index=table.obs_names, columns=today.to_numpy())
    return frame.loc[:, known].T.groupby(level=0, sort=False).sum().T, names[~known].tolist()
