"""The study of the chapter on glioblastoma: what its tables and figures are made from, step by step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd

from sicmir import prediction
from sicmir.cells import pool_table
from sicmir.chapters import study_effect
from sicmir.chapters.glioblastoma import glioma_sets
from sicmir.chapters.pancreas import tumour_study
from sicmir.errors import DataError, ParameterError
from sicmir.matrices.dense import dense
from sicmir.matrices.normalise import TransformChoice
from sicmir.matrices.units import recognise, select
from sicmir.model import Bundle
from sicmir.vesicles import crosstalk
from sicmir.vesicles.crosstalk_table import pairs_of, score_table

TUMOUR, PARTNERS = "malignant", ("macrophage", "endothelial")
"""Cell types of the page where none are asked for."""

GIVEN = "given, not predicted"
"""State of pools whose miRNAs came with the cells."""


def predict_pools(
    studies: Mapping[str, ad.AnnData],
    bundle: Bundle,
    transform: TransformChoice = "auto",
    min_cells: int = 10,
    layer: str = "",
    seed: int = 0,
) -> tuple[ad.AnnData, pd.DataFrame]:
    """Predict each donor and cell type of each study from all genes of that study.

    Returns
    -------
    pools
        Pools × miRNAs with ``study, donor, cell_type`` in ``obs``, abstained ones among them. Of toy cells
        the miRNA that comes with them.
    states
        A row a pool: ``study``, and the columns of :func:`sicmir.cells.pool_table.status`.
    """
    if glioma_sets.is_toy(studies):
        pools = glioma_sets.toy_crosstalk_cells(seed)[1].copy()
        pools.obs["study"] = "toy"
        columns = ["study", "donor", "cell_type", "n_cells"]
        return pools, pools.obs[columns].assign(state=GIVEN)
    parts, states = [], []
    for name, cells in studies.items():
        made = prediction.predict(
            cells,
            bundle,
            by=["donor", "cell_type"],
            transform=transform,
            layer=layer,
            gene_key=tumour_study.gene_key(cells),
            min_cells=min_cells,
            progress=False,
        )
        made.obs["study"] = name
        made.obs_names = made.obs_names + "|" + name
        parts.append(made)
        state = pool_table.status(made)
        state.insert(0, "study", name)
        states.append(state)
    pools = ad.concat(parts, merge="same")
    pools.uns["sicmir"] = {
        key: parts[0].uns["sicmir"][key] for key in ("units", "level", "modality", "synthetic", "dataset")
    }
    return pools, pd.concat(states, ignore_index=True)


def predict_halves(
    studies: Mapping[str, ad.AnnData],
    bundle: Bundle,
    transform: TransformChoice = "auto",
    min_cells: int = 10,
    layer: str = "",
    seed: int = 0,
) -> ad.AnnData | None:
    """Predict two random halves of the cells of each donor and cell type: what chance makes of one pool.

    Parameters
    ----------
    studies, bundle, transform, min_cells, layer, seed
        As for :func:`predict_pools`; a half may have half of ``min_cells``.

    Returns
    -------
    AnnData or None
        Halves that were both predicted, with ``study, donor, cell_type, half`` in ``obs``. None of toy cells,
        and where each pool is a single cell.
    """
    if glioma_sets.is_toy(studies):
        return None
    rng, parts = np.random.default_rng(seed), []
    sides: list[dict[str, ad.AnnData]] = [{}, {}]
    for name, cells in studies.items():
        order = pd.Series(rng.permutation(cells.n_obs), cells.obs_names)
        place = order.groupby([cells.obs[key].to_numpy() for key in ("donor", "cell_type")]).rank()
        for half, side in enumerate(sides):
            if (own := (place % 2 == half).to_numpy()).any():
                side[name] = cells[own].copy()
    if not all(sides):
        return None
    for half, side in enumerate(sides):
        made, _ = predict_pools(side, bundle, transform, max(min_cells // 2, 1), layer, seed)
        made.obs["half"] = half
        parts.append(made[~made.obs["abstained"].to_numpy()])
    halves = ad.concat(parts, merge="same", index_unique="|")
    both = halves.obs.groupby(["study", "donor", "cell_type"])["half"].transform("size") == 2
    return halves[both.to_numpy()].copy()


def join(
    studies: Mapping[str, ad.AnnData], pools: ad.AnnData, first: Mapping[str, str], layer: str = ""
) -> tuple[ad.AnnData, ad.AnnData]:
    """Cells and pools for an analysis of crosstalk: each cell type from one study.

    Several studies are brought to a million per cell over the genes of all of them; one is left as it is.

    Parameters
    ----------
    studies, pools
        As :func:`predict_pools` takes and gives them.
    first
        Cell type -> study that it is taken from; others are taken from every study that has them.
    layer
        Layer of the values of several studies, "" to find it.

    Returns
    -------
    cells, mirna
    """
    taken = {
        name: cells[[first.get(str(kind), name) == name for kind in cells.obs["cell_type"]]]
        for name, cells in studies.items()
    }
    taken = {name: cells for name, cells in taken.items() if cells.n_obs}
    wanted = [
        first.get(str(kind), study) == study
        for kind, study in zip(pools.obs["cell_type"], pools.obs["study"], strict=True)
    ]
    mirna = pools[wanted].copy()
    if len(taken) == 1:
        return next(iter(taken.values())).copy(), mirna
    parts = []
    for cells in taken.values():
        record = recognise(cells, layer)
        table = select(cells, record)
        linear = record.linear(dense(table.X))
        obs = cells.obs[["study", "donor", "cell_type"]]
        parts.append(ad.AnnData(linear.astype(np.float32), obs=obs, var=pd.DataFrame(index=table.var_names)))
    joined = ad.concat(parts, join="inner")
    if not joined.n_vars:
        raise DataError(f"The studies {', '.join(taken)} have no gene in common.")
    joined.X = (joined.X / joined.X.sum(axis=1, keepdims=True) * 1e6).astype(np.float32)
    joined.uns["sicmir"] = {"units": "CPM"}
    return joined, mirna


def talk(
    studies: Mapping[str, ad.AnnData],
    pools: ad.AnnData,
    targets: pd.DataFrame,
    first: Mapping[str, str],
    layer: str = "",
    **options: Any,
) -> crosstalk.Crosstalk:
    """Crosstalk of the cells that :func:`join` takes, with ``options`` of ``vesicles.crosstalk``."""
    cells, mirna = join(studies, pools, first, layer)
    layer = layer if len(studies) == 1 else ""
    return crosstalk.crosstalk(cells, mirna, targets, layer=layer, progress=False, **options)


def from_other_studies(
    studies: Mapping[str, ad.AnnData],
    pools: ad.AnnData,
    targets: pd.DataFrame,
    result: crosstalk.Crosstalk,
    first: Mapping[str, str],
    wanted: Sequence[str],
    **options: Any,
) -> pd.DataFrame:
    """How the scores stay when one cell type at a time is taken from another study that has it.

    Parameters
    ----------
    studies, pools, targets, first
        As for :func:`talk`, which gave ``result``.
    result
        Crosstalk with each cell type from its first study.
    wanted
        Cell types between which rows are compared.
    **options
        As for :func:`talk`.

    Returns
    -------
    DataFrame
        ``taken_otherwise`` (cell type and the other study) and the columns of
        :func:`sicmir.chapters.study_effect.same_rows`, for the pairs in which the cell type takes part. No
        rows where no cell type has two studies.
    """
    columns = ["taken_otherwise", "sender", "receiver", "n_mirnas", "spearman", "top_kept"]
    tables = []
    for kind in wanted:
        has = [name for name, cells in studies.items() if (cells.obs["cell_type"] == kind).any()]
        for other in (name for name in has if kind in first and name != first[kind]):
            again = talk(studies, pools, targets, {**first, kind: other}, **options)
            table = study_effect.same_rows(result.table, again.table)
            between = table[["sender", "receiver"]].isin(list(wanted)).all(axis=1)
            table = table[between & table[["sender", "receiver"]].eq(kind).any(axis=1)]
            tables.append(table.assign(taken_otherwise=f"{kind}, {other}"))
    return pd.concat(tables, ignore_index=True)[columns] if tables else pd.DataFrame(columns=columns)


def cell_types_of(table: pd.DataFrame, tumour: str, partners: str) -> tuple[str, list[str]]:
    """The tumour's cell type and its partners: those asked for, else those of the page, else all there are.

    Raises
    ------
    ParameterError
        If one that was asked for is not in the table.
    """
    there = sorted({*table["sender"], *table["receiver"]})
    asked = [name.strip() for name in partners.split(",") if name.strip()]
    absent = [name for name in [*([tumour] if tumour else []), *asked] if name not in there]
    if absent:
        raise ParameterError(
            f"No cell type {absent[0]!r} takes part in crosstalk; there are {', '.join(there)}."
        )
    chosen = tumour or (TUMOUR if TUMOUR in there else there[0])
    others = asked or [name for name in PARTNERS if name in there]
    return chosen, others or [name for name in there if name != chosen]


def directions(table: pd.DataFrame, tumour: str, partners: Sequence[str]) -> pd.DataFrame:
    """Rows from the tumour to a partner and back, the best first."""
    out = (table["sender"] == tumour) & table["receiver"].isin(list(partners))
    back = table["sender"].isin(list(partners)) & (table["receiver"] == tumour)
    return table[out | back].reset_index(drop=True)


def without(result: crosstalk.Crosstalk, term: str) -> pd.DataFrame:
    """Table of crosstalk scored without one of its terms, from what was measured; without p."""
    use = [name for name in result.terms.used if name != term]
    return score_table(result.terms, use, pairs_of(result.terms, self_pairs=False)[0])
