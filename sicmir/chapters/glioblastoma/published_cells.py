"""The published pseudobulks of a glioblastoma: two predictions of the same cells beside measurement."""

from __future__ import annotations

from collections.abc import Sequence

import anndata as ad
import numpy as np
import pandas as pd

from sicmir import prediction, trust
from sicmir.cells import cell_agreement, cell_validation, spatial
from sicmir.chapters import claims
from sicmir.chapters.glioblastoma.glioma_sets import PAGE, Pseudobulks
from sicmir.donors.mirna_findings import describe
from sicmir.errors import DataError
from sicmir.matrices.normalise import TransformChoice
from sicmir.model import Bundle

OURS, THEIRS = "this model", "published"
"""Names of the two predictions that are compared."""

_FEWEST = 4
COUNTED = ("all", "B")
"""Sets of miRNAs of the comparison: all that were measured well, and those of grade B or better."""


def predict_pseudobulks(
    bulks: Pseudobulks, bundle: Bundle, transform: TransformChoice = "auto"
) -> ad.AnnData:
    """Predict the pseudobulks and average those of a cell type, with their intervals; nothing is abstained.

    Returns
    -------
    AnnData
        Cell types × miRNAs, log2(RPM+1); ``obs``: ``cell_type, n_pools, domain_score, in_domain`` (share).
    """
    made = prediction.predict(bulks.mrna, bundle, transform=transform, abstain=False, progress=False)
    groups = made.obs["cell_type"].astype(str).to_numpy()
    layers = {name: made.to_df(layer=name).groupby(groups).mean() for name in ("lower", "upper")}
    values = made.to_df().groupby(groups).mean()
    obs = made.obs.groupby(groups)[["domain_score", "in_domain"]].mean()
    obs.insert(0, "n_pools", made.obs.groupby(groups).size())
    obs.insert(0, "cell_type", obs.index)
    mean = ad.AnnData(values.astype(np.float32), obs=obs, var=made.var.copy())
    mean.layers.update({name: layer.to_numpy(np.float32) for name, layer in layers.items()})
    mean.uns["sicmir"] = dict(made.uns["sicmir"])
    return mean


def agreement(bulks: Pseudobulks, ours: ad.AnnData, n_resamples: int = 1000, seed: int = 0) -> pd.DataFrame:
    """Both predictions against measurement, for each pair of cell types with libraries of one source.

    A miRNA counts if some cell type of the source has :data:`~sicmir.cells.cell_validation.MIN_RPM` of it as
    measured, whatever is predicted.

    Returns
    -------
    DataFrame
        The columns of :data:`sicmir.cells.cell_agreement.COMPARED` with ``mirnas``, one of :data:`COUNTED`,
        and ``distinct``: of cell types beside the same libraries only the first counts, since pairs of the
        others are judged by the same figures once more.
    """
    kinds = bulks.mrna.obs["cell_type"].astype(str).to_numpy()
    theirs = bulks.published.groupby(kinds).mean()
    grades = ours.var["grade"].astype(str)
    own = bulks.measured.obs.drop_duplicates(["source", "source_cell_type"]).index
    tables = []
    for mirnas in COUNTED:
        for source in bulks.measured.obs["source"].unique():
            rows = [
                name
                for name in bulks.measured.obs_names[(bulks.measured.obs["source"] == source).to_numpy()]
                if name in ours.obs_names
            ]
            if len(rows) < 2:
                continue
            measured = bulks.measured[rows].to_df()
            enough = measured.max() >= np.log2(cell_validation.MIN_RPM + 1)
            if mirnas != COUNTED[0]:
                good = trust.at_least(grades.reindex(measured.columns).fillna("D"), mirnas)
                enough &= good
            predicted = {OURS: ours.to_df().loc[rows], THEIRS: theirs.loc[rows]}
            found = cell_agreement.compare(
                measured.loc[:, enough],
                predicted,
                clusters=describe(ours, "")["cluster"],
                baseline=THEIRS,
                n_resamples=n_resamples,
                seed=seed,
            )
            found["distinct"] = found[["cell_type_a", "cell_type_b"]].isin(own).all(axis=1)
            tables.append(found.assign(source=source, mirnas=mirnas))
    if not tables:
        raise DataError("No source of measured miRNA has two of the cell types of the pseudobulks.")
    return pd.concat(tables, ignore_index=True)


def beside(table: pd.DataFrame, mirnas: str, libraries: pd.DataFrame) -> pd.DataFrame:
    """One row a pair of cell types: both figures, the gain, how well libraries match, whether it counts."""
    part = table[table["mirnas"] == mirnas]
    keys = ["cell_type_a", "cell_type_b"]
    ours, theirs = (part[part["predictor"] == name].set_index(keys) for name in (OURS, THEIRS))
    match = libraries.set_index("cell_type")["match"]
    return pd.DataFrame(
        {
            "cell_types": [" – ".join(pair) for pair in ours.index],
            "n": ours["n_mirnas"].to_numpy(),
            OURS: _intervals(ours, "spearman", "lower", "upper"),
            THEIRS: _intervals(theirs.loc[ours.index], "spearman", "lower", "upper"),
            "gain": _intervals(ours, "gain", "gain_lower", "gain_upper"),
            "match": ["; ".join(dict.fromkeys(match.reindex(pair).fillna("–"))) for pair in ours.index],
            "counted": ours["distinct"].map({True: "yes", False: "libraries of another"}).to_numpy(),
        }
    )


def ahead(table: pd.DataFrame, mirnas: str) -> dict[str, int]:
    """In how many distinct pairs ours is the higher figure, and where the interval of the gain holds no 0."""
    part = table[(table["mirnas"] == mirnas) & (table["predictor"] == OURS) & table["distinct"]]
    return {
        "pairs": len(part),
        "ahead": int((part["gain"] > 0).sum()),
        "surely_ahead": int((part["gain_lower"] > 0).sum()),
        "surely_behind": int((part["gain_upper"] < 0).sum()),
    }


def by_transform(bulks: Pseudobulks, bundle: Bundle, transforms: Sequence[TransformChoice]) -> pd.DataFrame:
    """How it is under other transforms: ``transform, mirnas, pairs, ahead, median`` (of our figures)."""
    rows = []
    for name in transforms:
        table = agreement(bulks, predict_pseudobulks(bulks, bundle, name), n_resamples=1)
        for mirnas in COUNTED:
            own = table[(table["mirnas"] == mirnas) & (table["predictor"] == OURS) & table["distinct"]]
            counts = ahead(table, mirnas)
            rows.append((name, mirnas, counts["pairs"], counts["ahead"], own["spearman"].median()))
    return pd.DataFrame(rows, columns=["transform", "mirnas", "pairs", "ahead", "median"])


def names_exchanged(bulks: Pseudobulks, ours: ad.AnnData) -> pd.DataFrame:
    """Agreement for every other way to lay the names of the cell types on both predictions.

    Of cell types beside the same libraries the first is taken. Sources of fewer than four cell types are left
    out.

    Returns
    -------
    DataFrame
        A row for each source and predictor: ``source, predictor, cell_types`` (number), and of the median
        Spearman over pairs of cell types ``true`` (right names), ``others`` (median of the other orders),
        ``best_other``, ``place`` of the right one (ties count against it), ``n_orders``.
    """
    theirs = bulks.published.groupby(bulks.mrna.obs["cell_type"].astype(str).to_numpy()).mean()
    labels = bulks.measured.obs.drop_duplicates(["source", "source_cell_type"])
    rows = []
    for source, part in labels.groupby("source", sort=False):
        types = [name for name in part.index if name in ours.obs_names]
        if not _FEWEST <= len(types) <= cell_validation.MOST_TYPES:
            continue
        measured = bulks.measured[types].to_df()
        measured = measured.loc[:, measured.max() >= np.log2(cell_validation.MIN_RPM + 1)]
        names = [name for name in measured if name in ours.var_names and name in theirs]
        for predictor, table in ((OURS, ours.to_df()), (THEIRS, theirs)):
            orders = cell_validation.renamed(measured[names], table.loc[types, names])
            place = cell_validation.place_of_truth(orders).iloc[0]
            figures = place[["true", "others", "best_other", "place", "n_orders"]]
            rows.append((source, predictor, len(types), *figures))
    columns = ["source", "predictor", "cell_types", "true", "others", "best_other", "place", "n_orders"]
    return pd.DataFrame(rows, columns=columns)


def literature(ours: ad.AnnData, min_grade: str, page: str = PAGE) -> pd.DataFrame:
    """Every claim of the page beside what was predicted, with the errors of prediction of both types."""
    parts = []
    for contrast, rows in claims.load(page).groupby("contrast", sort=False):
        case, reference = str(contrast).split(" against ")
        if {case, reference} <= set(ours.obs_names):
            effects = spatial.contrast(ours, case, reference, min_grade, key="cell_type")
        else:
            effects = pd.DataFrame(columns=list(spatial.CONTRAST))
        parts.append(claims.judge(rows, effects, min_grade))
    return pd.concat(parts, ignore_index=True)


def _intervals(table: pd.DataFrame, *names: str) -> list[str]:
    shown = table[list(names)].map(lambda value: f"{value:.2f}".replace("-", "−"))
    return [f"{value} ({lower} to {upper})" for value, lower, upper in shown.to_numpy()]
