"""Cell lines with measured miRNA: the NCI-60, by arrays, and four lines by PSCSR-seq.

Lines have no other cells beside the cancer cells, so that nothing of a difference between two of them is one
of composition. Those of the NCI-60 were measured by arrays, on another scale than the model was trained on:
only the order of genes within a line is read (transform ``rank``), and only differences are judged.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import anndata as ad
import numpy as np
import pandas as pd

from sicmir import data, metrics, panel
from sicmir.cells import cell_types
from sicmir.cells.cell_agreement import between_cell_types
from sicmir.chapters.single_cells import cell_sets
from sicmir.data.fetching import fetch
from sicmir.data.manifest import load_manifest
from sicmir.data.parsed import source_table
from sicmir.data.rda import read_objects
from sicmir.errors import DataError, UnreachableError
from sicmir.matrices.normalise import TransformChoice
from sicmir.model import Bundle
from sicmir.prediction import predict

NOT_IN_MRNA = "LC:NCI-H23"
"""Line of CellMiner that the mRNA lacks; the rows of the mRNA follow CellMiner's order without it."""

TISSUES = {
    "BR": "breast",
    "CNS": "brain",
    "CO": "colon",
    "LC": "lung",
    "LE": "blood",
    "ME": "skin",
    "OV": "ovary",
    "PR": "prostate",
    "RE": "kidney",
}
"""What the first letters of a line of the NCI-60 say."""

DEALS = 15
"""How often the names of lines are dealt out anew."""

LEAST_SD = 1.0
"""SD over lines, log2, from which on a miRNA counts as one that differs between them."""


@dataclass(frozen=True, eq=False)
class Lines:
    """Lines with both RNAs.

    Attributes
    ----------
    name
        Of the set.
    measured
        Lines × miRNAs under the names of the model, log2; ``obs["tissue"]``.
    predicted
        The same lines, as :func:`sicmir.predict` gives them.
    """

    name: str
    measured: ad.AnnData
    predicted: ad.AnnData


def load_nci60() -> tuple[ad.AnnData, ad.AnnData]:
    """MRNA and miRNA of 59 lines.

    The matrix of the R package has no usable row labels; README and manifest say how its rows were matched.
    Probes of one gene are averaged; miRNA probes are brought to the names of today, and several of one miRNA
    averaged.

    Returns
    -------
    mrna, mirna
        Lines × genes and × mature miRNAs, log2 of array signals, with ``tissue``.

    Raises
    ------
    UnreachableError
        If the files cannot be had.
    DataError
        If they are not of 59 and 60 lines.
    """
    files = fetch("nci60")
    arrays, table = (files[entry.name] for entry in load_manifest()["nci60"].files)
    objects = read_objects(arrays)
    found = pd.read_csv(table, sep="\t", na_values=["-"])
    lines = found.columns[found.columns.str.contains(":")].drop(NOT_IN_MRNA, errors="ignore")
    values = np.asarray(objects["gene"].values, dtype=np.float64)
    if len(lines) != len(values):
        raise DataError(
            f"{arrays} holds {len(values)} lines, {table} {len(lines)} others; expected the same."
        )
    genes = pd.DataFrame(values.T).groupby(objects["geneInfo"]["Symbol"].to_numpy()).mean().T
    known = panel.current_mirna_names(found["Probe id"], "mature")["current"]
    names = found["Probe id"].map(known)
    probes = found.loc[names != "", lines].astype(np.float64).groupby(names[names != ""]).mean().T
    obs = pd.DataFrame({"tissue": [TISSUES[line.split(":")[0]] for line in lines]}, index=pd.Index(lines))
    rows = [
        (entry.name, entry.checksum, files[entry.name].stat().st_size, entry.url)
        for entry in load_manifest()["nci60"].files
    ]
    facts = {"dataset": "nci60", "synthetic": False, "sources": source_table(rows)}
    made = []
    for frame, modality in ((genes, "mrna"), (probes, "mirna")):
        adata = ad.AnnData(frame.to_numpy(np.float32), obs=obs.copy(), var=pd.DataFrame(index=frame.columns))
        adata.var_names = adata.var_names.astype(str)
        adata.uns["sicmir"] = facts | {"modality": modality, "units": "log2 array signal", "level": "mature"}
        made.append(adata)
    return made[0][:, made[0].var_names.str.len() > 0].copy(), made[1]


def load_pscsr() -> tuple[ad.AnnData, ad.AnnData]:
    """MRNA and miRNA of A549, HEK293T, HeLa and K562, means over the same cells, counts per 10,000."""
    found = data.load("pscsr")
    pair = [found[f"pscsr/data_{kind}.csv"] for kind in ("rna", "mir")]
    lines = pair[0].obs_names.intersection(pair[1].obs_names, sort=False)
    pair = [adata[lines].copy() for adata in pair]
    for adata in pair:
        adata.obs["tissue"] = lines.astype(str)
    pair[1] = cell_types.log2_per_million(pair[1])
    return pair[0], pair[1]


def load_lines(bundle: Bundle, lines: str = "auto", seed: int = 0) -> list[Lines]:
    """Give every set of lines, measured and predicted.

    Parameters
    ----------
    bundle
        Model of stem-loops.
    lines
        ``"auto"``: those that can be had, and toy data with a warning if there is none; ``"toy"``: cell types
        of toy donors, by a model that knows them.
    seed
        Of toy data.
    """
    found = []
    sources: dict[str, tuple[Callable, TransformChoice]] = {
        "NCI-60": (load_nci60, "rank"),
        "PSCSR": (load_pscsr, "auto"),
    }
    for name, (load, transform) in sources.items():
        if lines == "toy" or bundle.level != "stem-loop":
            break
        try:
            mrna, mirna = load()
        except UnreachableError as error:
            warnings.warn(f"{name} is left out: {error}", UserWarning, stacklevel=2)
            continue
        predicted = predict(mrna, bundle, transform=transform, abstain=False, progress=False)
        found.append(Lines(name, cell_types.as_stem_loops(mirna, bundle.mirnas), predicted))
    return found or [_toy(seed)]


def per_mirna(lines: Lines) -> pd.DataFrame:
    """Each miRNA that differs between lines: correlation of measured and predicted values over them.

    Returns
    -------
    DataFrame
        Index miRNA; ``n`` lines; ``pearson``, over all; ``pearson_within`` tissues of 4 lines or more;
        ``sd``, measured; ``grade``; ``lines``, the name of the set.
    """
    measured, predicted = lines.measured.to_df(), lines.predicted.to_df()
    names = measured.columns[(measured.std() >= LEAST_SD).to_numpy()]
    table = metrics.per_mirna(measured[names], predicted[names], lines.measured.obs["tissue"], min_samples=4)
    grade = lines.predicted.var.loc[names, "grade"].astype(str)
    return table[["n", "pearson", "pearson_within"]].assign(
        sd=measured[names].std(), grade=grade, lines=lines.name
    )


def by_grade(sets: list[Lines], seed: int = 0) -> pd.DataFrame:
    """One row a set and grade: miRNAs, their median correlation over lines, and with lines exchanged.

    Returns
    -------
    DataFrame
        ``lines, n_lines, grade, n_mirnas``; medians of ``pearson`` and ``within`` (tissues); ``exchanged``,
        that of ``pearson`` with the names of the lines dealt out anew, median over :data:`DEALS`.
    """
    rng, rows = np.random.default_rng(seed), []
    for one in sets:
        table, predicted, deals = per_mirna(one), one.predicted.copy(), []
        for _ in range(DEALS):
            predicted.X = np.asarray(one.predicted.X)[rng.permutation(one.measured.n_obs)]
            deals.append(per_mirna(Lines(one.name, one.measured, predicted))["pearson"])
        dealt = pd.concat(deals, axis=1)
        for grade, part in table.groupby("grade"):
            rows.append(
                {
                    "lines": one.name,
                    "n_lines": one.measured.n_obs,
                    "grade": grade,
                    "n_mirnas": len(part),
                    "pearson": part["pearson"].median(),
                    "within": part["pearson_within"].median(),
                    "exchanged": dealt.loc[part.index].median().median(),
                }
            )
    return pd.DataFrame(rows)


def between(sets: list[Lines]) -> pd.DataFrame:
    """One row a set: how the differences between two lines are told, over the miRNAs that differ at all.

    Returns
    -------
    DataFrame
        ``lines, n_lines, n_mirnas, n_pairs``; ``spearman`` over miRNAs, median over pairs, ``lowest``,
        ``highest``; ``outside domain``, lines unlike the training of the model.
    """
    rows = []
    for one in sets:
        names = per_mirna(one).index
        pairs = between_cell_types(one.measured.to_df()[names], one.predicted.to_df()[names])
        inside = one.predicted.obs.get("in_domain", pd.Series(True, one.predicted.obs_names))
        rows.append(
            {
                "lines": one.name,
                "n_lines": one.measured.n_obs,
                "n_mirnas": len(names),
                "n_pairs": len(pairs),
                "spearman": pairs["spearman"].median(),
                "lowest": pairs["spearman"].min(),
                "highest": pairs["spearman"].max(),
                "outside domain": int((~inside.astype(bool)).sum()),
            }
        )
    return pd.DataFrame(rows)


def _toy(seed: int) -> Lines:
    toy = cell_sets.toy_cells(seed)
    predicted = predict(toy.cells, cell_sets.toy_model(seed), by=["donor", "cell_type"], progress=False)
    measured = toy.measured[predicted.obs_names].copy()
    measured.obs["tissue"] = measured.obs["cell_type"].astype(str)
    return Lines("toy", measured[:, predicted.var_names].copy(), predicted)
