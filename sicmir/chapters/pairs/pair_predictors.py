"""Who predicts the samples of a page on paired tumours: models that hold them out, and controls."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
from anndata import AnnData

from sicmir import trust
from sicmir.benchmark import held_out
from sicmir.chapters.pairs.pair_sets import Pairs
from sicmir.matrices.normalise import TransformChoice, TransformName
from sicmir.model import Bundle, load_model

TRAINED_HERE, SHUFFLED, SHIPPED = "trained here", "shuffled", "shipped model"
"""Names of predictors, beside those of :func:`sicmir.benchmark.held_out.stored`."""

MEANINGS = {
    "without these donors": "recipe of the shipped model, trained without the donors shown",
    "without this cancer": "recipe of the shipped model, trained without any sample of this cancer type",
    "without this organ": "recipe of the shipped model, trained without the cancer types of this organ",
    "without these donors, frozen": "the first, with values taken as they are instead of their order",
    "without these donors, rank": "the first, with the order of values instead of the values",
    TRAINED_HERE: "the same recipe, trained by this page on the samples to learn from",
    SHUFFLED: "ridge regression of miRNAs dealt out anew to samples: knows nothing",
    SHIPPED: "the model of the package, which may have been trained on these donors",
}
"""What each predictor is."""


def predictions(
    pairs: Pairs,
    bundle: Bundle,
    model: str | Path = "default",
    seed: int = 0,
    transform: TransformChoice = "auto",
) -> dict[str, AnnData]:
    """Predict the shown samples by every predictor, the one that the page goes by first.

    Nothing is abstained here, since what was measured stands beside every figure; ``obs["abstained"]`` tells
    which samples the model would be silent about.

    Parameters
    ----------
    pairs, bundle
        Samples, and the model that was trained on those to learn from
        (:func:`sicmir.benchmark.held_out.learn`).
    model
        Model of the package, or another one that may know the donors. Synthetic samples are not shown to it.
    seed
        Of the shuffled control.
    transform
        As for :func:`sicmir.predict`. Of stored predictions, the nearest model is shown by the other one of
        ``rank`` and ``frozen`` as well.
    """
    found: dict[str, AnnData] = {}
    trained = _outspoken(pairs.mrna, bundle, transform)
    shipped = None if pairs.synthetic else load_model(model)
    if shipped is not None and shipped.level == bundle.level and shipped.trust is not None:
        used: TransformName = trained.uns["sicmir"]["transform"]
        found |= held_out.stored(pairs.mrna, shipped, used)
        other: TransformName = "frozen" if used == "rank" else "rank"
        nearest = list(held_out.stored(pairs.mrna, shipped, other).items())[:1]
        found |= {f"{name}, {other}": adata for name, adata in nearest}
    found[TRAINED_HERE] = trained
    found[SHUFFLED] = held_out.shuffled(
        pairs.mrna, bundle, pairs.further_mrna, pairs.further_mirna, seed, transform
    )
    found[SHUFFLED].uns["sicmir"]["learnt_from"] = pairs.further_mirna.n_obs
    if shipped is not None and shipped.level == bundle.level:
        found[SHIPPED] = _outspoken(pairs.mrna, shipped, transform)
    return found


def _outspoken(mrna: AnnData, bundle: Bundle, transform: TransformChoice) -> AnnData:
    found = held_out.outspoken(mrna, bundle, transform)
    found.uns["sicmir"]["learnt_from"] = int(bundle.card["training_data"]["n_samples"])
    return found


def predictors(predicted: Mapping[str, AnnData], measured: AnnData, min_grade: str) -> pd.DataFrame:
    """One row a predictor: what it is, samples outside its domain or abstained, and miRNAs that count."""
    rows = []
    for name, adata in predicted.items():
        silent, inside = adata.obs.get("abstained"), adata.obs.get("in_domain")
        rows.append(
            {
                "predictor": name,
                "what": MEANINGS.get(name, name),
                "samples learnt from": adata.uns["sicmir"]["learnt_from"],
                "outside": "–" if inside is None else f"{int((~inside.astype(bool)).sum())} of {len(inside)}",
                "would abstain": "–" if silent is None else f"{int(silent.sum())} of {len(silent)}",
                "miRNAs": int(adata.var_names.isin(measured.var_names).sum()),
                f"of grade {min_grade} or better": len(counted(adata, measured, min_grade)),
            }
        )
    return pd.DataFrame(rows)


def counted(predicted: AnnData, measured: AnnData, min_grade: str) -> pd.Index:
    """The measured miRNAs that a predictor predicts well enough to count."""
    good = trust.at_least(predicted.var["grade"].astype(str), min_grade)
    return predicted.var_names[good & predicted.var_names.isin(measured.var_names)]
