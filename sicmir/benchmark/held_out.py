"""Predictions of donors by models that never saw them, and a control that knows nothing.

A model that learnt from other patients of the same disease knows the mean difference between tumour and
normal tissue of that disease, whatever it reads in the genes of a new patient;
:func:`sicmir.donors.effect_agreement.halves` says how far that alone can go. One that never saw the disease
may still know its organ: the normal tissue beside a cholangiocarcinoma is liver.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from anndata import AnnData

from sicmir import panel, paths
from sicmir.benchmark import shipping
from sicmir.benchmark.evaluation import METHODS
from sicmir.benchmark.study import study_splits
from sicmir.engine import prediction_input
from sicmir.errors import DataError
from sicmir.learning import conformal
from sicmir.learning.domain import Domain
from sicmir.learning.rescale import Rescale
from sicmir.matrices.normalise import TransformChoice
from sicmir.model import Bundle
from sicmir.prediction import predict

FOLDER = "held_out"
"""Folder below ``benchmarks`` of predictions that take the whole collection to make."""

ORGANS = (
    frozenset({"ACC", "PCPG"}),
    frozenset({"CHOL", "LIHC"}),
    frozenset({"COAD", "READ"}),
    frozenset({"ESCA", "STAD"}),
    frozenset({"GBM", "LGG"}),
    frozenset({"KICH", "KIRC", "KIRP"}),
    frozenset({"LUAD", "LUSC"}),
    frozenset({"UCEC", "UCS"}),
)
"""Cancer types of TCGA that arise in one organ, so that the normal tissue beside them is the same."""

_ROW = ["domain_score", "in_domain", "abstained", "spread"]


def learn(mrna: AnnData, mirna: AnnData, seed: int = 0) -> Bundle:
    """Train and grade a model by the recipe of the shipped one.

    Parameters
    ----------
    mrna, mirna
        Samples × genes, log2(x+1), and samples × miRNAs, log2(RPM+1). miRNAs of
        :func:`sicmir.benchmark.shipping.well_measured` are learnt.
    seed
        Of the folds of donors.

    Returns
    -------
    Bundle
        Trained on all samples; grades and widths of intervals are from folds of their donors and from cohorts
        left out.

    Raises
    ------
    DataError
        If there are fewer than two cohorts, or samples are too few.
    """
    aligned = panel.align(mrna)
    chosen = mirna[:, shipping.well_measured(mirna)].copy()
    assessment = shipping.assess(aligned, chosen, study_splits(chosen.obs, {}, seed=seed))
    bundle = shipping.build(aligned, chosen, assessment, {})
    bundle.card["training_data"]["synthetic"] = bool(mirna.uns["sicmir"]["synthetic"])
    return bundle


def without(bundle: Bundle, mrna: AnnData, mirna: AnnData, left_out: np.ndarray) -> Bundle:
    """Train the model of a bundle anew without some of its samples; the trust table stays.

    Parameters
    ----------
    bundle
        As :func:`sicmir.benchmark.shipping.build` gives it for ``mrna`` and ``mirna``.
    mrna, mirna
        All samples × landmarks, log2(x+1), and × miRNAs, log2(RPM+1).
    left_out
        Boolean, one a sample. All samples of their donors are left out.
    """
    donors = mirna.obs["donor"].astype(str)
    keep = ~donors.isin(donors[np.asarray(left_out)]).to_numpy()
    X, obs = np.asarray(mrna.X)[keep], mirna.obs[keep]
    return replace(
        bundle,
        predictor=shipping.fit_predictor(X, mirna[keep, bundle.mirnas].to_df().to_numpy(), obs),
        rescale=Rescale().fit(X),
        domain=Domain().fit(X, obs["donor"].to_numpy()),
    )


def outspoken(
    mrna: AnnData, bundle: Bundle, transform: TransformChoice = "auto", min_coverage: float = 0.5
) -> AnnData:
    """Predict all samples, and mark in ``obs["abstained"]`` those that would be abstained.

    For comparisons with what was measured, never for findings.
    """
    ask = partial(predict, mrna, bundle, transform, min_coverage=min_coverage, progress=False)
    found = ask(abstain=False)
    found.obs["abstained"] = ask().obs["abstained"]
    return found


def same_organ(cohorts: Iterable[str]) -> set[str]:
    """These cancer types and those that share an organ with one of them (:data:`ORGANS`)."""
    given = set(cohorts)
    return given.union(*(organ for organ in ORGANS if organ & given))


def shuffled(
    mrna: AnnData,
    bundle: Bundle,
    further_mrna: AnnData,
    further_mirna: AnnData,
    seed: int = 0,
    transform: TransformChoice = "auto",
) -> AnnData:
    """Predict by ridge regression of miRNAs that were dealt out anew to the samples: it knows nothing.

    Parameters
    ----------
    mrna
        Samples to predict × genes.
    bundle
        As :func:`learn` gives it for the further samples: its miRNAs, its units.
    further_mrna, further_mirna
        Samples to learn from.
    seed
        Of the deal.
    transform
        As for :func:`sicmir.predict`.
    """
    made = prediction_input.prepare(mrna, bundle, transform)
    X = prediction_input.in_training_units(bundle, made.values(0, mrna.n_obs), made.transform)
    chosen = further_mirna[:, bundle.mirnas]
    method = METHODS["shuffled"].make(seed)
    method.fit(panel.align(further_mrna).X, chosen.to_df().to_numpy(), further_mirna.obs)
    predicted = AnnData(
        np.maximum(method.predict(X, mrna.obs), 0), obs=mrna.obs.copy(), var=_graded(bundle.trust)
    )
    predicted.uns["sicmir"] = {"level": bundle.level, "modality": "prediction"}
    return predicted


def write(predicted: AnnData, path: str | Path) -> None:
    """Write predictions as a table: a row a sample, how it lies to the domain, its spread, and the miRNAs."""
    width = predicted.var["half_width"].to_numpy()
    with np.errstate(invalid="ignore"):
        spread = np.nanmedian(conformal.uncut_half_widths(predicted) / width, axis=1)
    table = predicted.obs[_ROW[:-1]].assign(spread=spread).join(predicted.to_df().round(3))
    with paths.replacing(path) as part:
        table.rename_axis("sample").to_csv(part, float_format="%.5g")


def stored(
    mrna: AnnData, bundle: Bundle, transform: TransformChoice = "rank", folder: str | Path = ""
) -> dict[str, AnnData]:
    """Predictions of these very samples by the shipped recipe without their donors, where they are stored.

    Parameters
    ----------
    mrna
        Samples of a data set of the manifest.
    bundle
        The shipped model, whose trust table and intervals they get.
    transform
        ``"rank"`` or ``"frozen"``.
    folder
        Where they lie; by default ``benchmarks/held_out`` of the project.

    Returns
    -------
    dict
        Name, such as ``without these donors`` -> samples × miRNAs as :func:`sicmir.predict` gives them. Empty
        if there are none of this data set, this model and this transform.

    Raises
    ------
    DataError
        If a table is of other samples or miRNAs.
    """
    place = Path(folder) if folder else paths.project() / "benchmarks" / FOLDER
    key = str(mrna.uns["sicmir"]["dataset"])
    path = place / f"{key}.json"
    record = json.loads(path.read_text()) if path.is_file() else {}
    if record.get("model") != bundle.weights_sha256:
        return {}
    found = {}
    for name, n_samples in record["n_samples"].items():
        path = place / f"{key}-{transform}-{name}.csv.gz"
        if path.is_file():
            predicted = _read(path, mrna, bundle)
            predicted.uns["sicmir"] |= {"learnt_from": int(n_samples), "transform": transform}
            found[name.replace("-", " ")] = predicted
    return found


def _read(path: Path, mrna: AnnData, bundle: Bundle) -> AnnData:
    table = pd.read_csv(path, index_col="sample")
    values = table.drop(columns=_ROW)
    if set(table.index) != set(mrna.obs_names) or list(values) != bundle.mirnas:
        raise DataError(
            f"{path} holds {values.shape[0]} samples × {values.shape[1]} miRNAs, not those of the data set "
            "and the model. Make it anew by benchmarks/held_out.py."
        )
    table, values = table.loc[mrna.obs_names], values.loc[mrna.obs_names]
    lower, upper = conformal.intervals(values, bundle.trusted("half_width"), table["spread"])
    predicted = AnnData(
        values.to_numpy(np.float32), obs=mrna.obs.join(table[_ROW[:-1]]), var=_graded(bundle.trust)
    )
    predicted.layers["lower"], predicted.layers["upper"] = lower.to_numpy(), upper.to_numpy()
    predicted.uns["sicmir"] = {
        "level": bundle.level,
        "modality": "prediction",
        "interval_level": float(bundle.card["interval_level"]),
    }
    return predicted


def _graded(table: pd.DataFrame) -> pd.DataFrame:
    return table[["grade", "half_width"]].astype({"grade": str})
