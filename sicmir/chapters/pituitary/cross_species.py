"""Whether predictions of a human model hold for animals: differences, individuals, and what the tissue is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import stats as scipy_stats

from sicmir import trust
from sicmir.benchmark import held_out
from sicmir.chapters.pairs import pair_study
from sicmir.chapters.pituitary import low_coverage
from sicmir.chapters.pituitary.pituitary_sets import Animals
from sicmir.donors import bootstrap
from sicmir.donors.mirna_findings import describe
from sicmir.matrices.normalise import TransformChoice

MODEL = "human model"
"""Name of the predictor in the tables of this room."""


def predict(animals: Animals, transform: TransformChoice = "auto") -> AnnData:
    """Predict all animals, abstained ones too (:func:`sicmir.benchmark.held_out.outspoken`).

    Returns
    -------
    AnnData
        Samples × the miRNAs that were measured; ``obs`` of both sides, with ``abstained``.
    """
    found = held_out.outspoken(animals.mrna, animals.bundle, transform)
    shown = found[:, animals.mirna.var_names].copy()
    shown.obs = animals.mirna.obs.join(found.obs[["coverage", "domain_score", "in_domain", "abstained"]])
    return shown


def differences(
    animals: Animals,
    predicted: AnnData,
    contrasts: Sequence[tuple[str, str, str]],
    n_resamples: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """Agreement of predicted with measured differences, by grade (``pair_study.by_grade``).

    Parameters
    ----------
    animals, predicted
        As :func:`predict` gives it.
    contrasts
        Column of ``obs``, case and reference of each.
    n_resamples, seed
        Draws of animals together with genomic clusters of miRNAs, and seed.

    Returns
    -------
    DataFrame
        ``contrast, grade, n_mirnas, n_animals, spearman, lower, upper``; contrasts with fewer than 3
        animals on a side are left out, and so are grades of few miRNAs.
    """
    parts, clusters = [], describe(predicted, "")["cluster"]
    for key, case, reference in contrasts:
        sizes = animals.mirna.obs[key].value_counts()
        if min(sizes.get(case, 0), sizes.get(reference, 0)) < 3:
            continue
        contrast = {"condition_key": key, "case": case, "reference": reference}
        found = pair_study.by_grade(animals.mirna, {MODEL: predicted}, contrast, n_resamples, seed, clusters)
        n_animals = int(sizes[case] + sizes[reference])
        parts.append(found.assign(contrast=label(key, case, reference), n_animals=n_animals))
    columns = ["contrast", "grade", "n_mirnas", "n_animals", "spearman", "lower", "upper"]
    return pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)


def few_genes(
    animals: Animals,
    predicted: AnnData,
    few: np.ndarray,
    above_floor: float,
    contrast: dict[str, str],
    **options: Any,
) -> pd.DataFrame:
    """Cut the animals down to few genes (:func:`sicmir.chapters.pituitary.low_coverage.by_samples`).

    Parameters
    ----------
    animals, predicted
        As :func:`predict` gives it. The same transform is used, so that the row of all genes is that of the
        other tables.
    few, above_floor, contrast, **options
        As there.
    """
    transform = predicted.uns["sicmir"]["transform"]
    return low_coverage.by_samples(
        *(animals.mrna, animals.mirna, animals.bundle, few, above_floor, contrast),
        **options | {"transform": transform},
    )


def label(key: str, case: str, reference: str) -> str:
    """Name of a contrast, such as ``age 32 against 12``."""
    return f"{key} {case} against {reference}"


def individuals(
    animals: Animals, predicted: AnnData, n_resamples: int = 200, n_draws: int = 20, seed: int = 0
) -> pd.DataFrame:
    """Correlation of each miRNA over animals, all together and within groups of one age and sex, by grade.

    Within groups: both sides less the mean of the animal's group, for groups are too small for figures of
    their own.

    Parameters
    ----------
    animals, predicted
        As :func:`predict` gives it.
    n_resamples, n_draws, seed
        Draws of animals for the limits, deals of predictions to animals, and seed.

    Returns
    -------
    DataFrame
        ``scope`` ("all animals", "within age and sex"), ``grade, n_mirnas``; ``median`` over miRNAs of
        Pearson r with ``lower`` and ``upper``, 95 % limits over animals; ``exchanged``, the median of the
        same with predictions dealt out anew to the animals, and ``exchanged_upper``, below which 97.5 % of
        the deals lie; ``group_mean``, the same with the mean of the other animals of one age and sex, as
        measured, for a prediction. Within groups that mean is no prediction, and NaN.
    """
    grade, rng = predicted.var["grade"].astype(str), np.random.default_rng(seed)
    donor, group = animals.mirna.obs["donor"], animals.mirna.obs["group"].to_numpy()
    whole = animals.mirna.to_df().astype(np.float64), predicted.to_df().astype(np.float64)
    within = [side - side.groupby(group).transform("mean") for side in whole]
    orders = [rng.permutation(predicted.n_obs) for _ in range(n_draws)]
    sums, sizes = (whole[0].groupby(group).transform(how) for how in ("sum", "count"))
    others = (sums - whole[0]) / (sizes - 1).where(sizes > 1)
    rows = []
    for scope, (truth, guess) in (("all animals", whole), ("within age and sex", within)):
        for one in trust.GRADES:
            names = predicted.var_names[(grade == one).to_numpy()]
            if len(names) < pair_study.FEWEST:
                continue
            found = bootstrap.bootstrap_median(
                truth[names], {MODEL: guess[names]}, donor, n_resamples=n_resamples, seed=seed
            ).iloc[0]
            dealt = [
                truth[names].corrwith(guess[names].iloc[order].set_axis(truth.index)).median()
                for order in orders
            ]
            by_group = truth[names].corrwith(others[names]).median() if scope == "all animals" else np.nan
            facts = {name: found[name] for name in ("n_mirnas", "median", "lower", "upper")}
            facts |= {"exchanged": np.median(dealt), "exchanged_upper": np.quantile(dealt, 0.975)}
            rows.append({"scope": scope, "grade": one} | facts | {"group_mean": by_group})
    columns = ["scope", "grade", "n_mirnas", "median", "lower", "upper"]
    return pd.DataFrame(rows, columns=[*columns, "exchanged", "exchanged_upper", "group_mean"])


def counted(predicted: AnnData, min_grade: str) -> pd.Index:
    """The miRNAs of a grade or better."""
    return predicted.var_names[trust.at_least(predicted.var["grade"].astype(str), min_grade)]


def tissue_contrast(tissues: AnnData, tissue: str, level: float = 0.95) -> pd.DataFrame:
    """How a tissue differs from the others, each of which counts once.

    Parameters
    ----------
    tissues
        Samples × mature miRNAs, log2(RPM+1); ``obs["cell_type"]`` is the tissue.
    tissue
        Tissue, as there.
    level
        Of the interval.

    Returns
    -------
    DataFrame
        ``mirna``, ``effect`` (mean of the tissue's samples minus the mean of the other tissues' means),
        ``lower`` and ``upper`` by Welch's t, with the samples of the tissue on one side and the other tissues
        on the other. Without rows where fewer than 2 samples are of the tissue, or fewer than 2 tissues are
        others.
    """
    names = tissues.obs["cell_type"].astype(str).to_numpy()
    values = tissues.to_df().astype(np.float64)
    own = values[names == tissue]
    others = values[names != tissue].groupby(names[names != tissue]).mean()
    columns = ["mirna", "effect", "lower", "upper"]
    if min(len(own), len(others)) < 2:
        return pd.DataFrame(columns=columns)
    shares = own.var() / len(own), others.var() / len(others)
    error = np.sqrt(shares[0] + shares[1])
    freedom = (shares[0] + shares[1]) ** 2 / (
        shares[0] ** 2 / (len(own) - 1) + shares[1] ** 2 / (len(others) - 1)
    )
    effect = own.mean() - others.mean()
    margin = scipy_stats.t.ppf((1 + level) / 2, freedom) * error
    table = pd.DataFrame({"effect": effect, "lower": effect - margin, "upper": effect + margin})
    return table[error > 0].rename_axis("mirna").reset_index()


def identity(
    animals: Animals, predicted: AnnData, tissues: AnnData, tissue: str, min_grade: str = "B"
) -> pd.DataFrame:
    """Which human tissue the animals resemble, by measured and by predicted miRNA.

    Compared is what sets a tissue apart: human tissues less their mean over tissues; animals as measured less
    the same mean; animals as predicted less the means that the model was trained to.

    Parameters
    ----------
    animals, predicted
        As :func:`predict` gives it.
    tissues
        Samples × mature miRNAs of man; ``obs["cell_type"]`` is the tissue.
    tissue
        The tissue that the animals are of.
    min_grade
        Worst grade that counts.

    Returns
    -------
    DataFrame
        ``side`` ("measured", "predicted"), ``spearman`` with the tissue over ``n_mirnas``, its ``place``
        among ``n_tissues`` by that correlation, and the ``best`` tissue. Without rows where the tissue or the
        miRNAs are not there.

    Raises
    ------
    BundleError
        If the model does not say what its miRNAs are on average.
    """
    columns = ["side", "n_mirnas", "n_tissues", "spearman", "place", "best"]
    means = tissues.to_df().groupby(tissues.obs["cell_type"].astype(str).to_numpy()).mean()
    mature = animals.mirna.var.get("mature", pd.Series(animals.mirna.var_names, animals.mirna.var_names))
    names = counted(predicted, min_grade)
    names = names[mature[names].astype(str).isin(means.columns).to_numpy()]
    if tissue not in means.index or len(names) < 3:
        return pd.DataFrame(columns=columns)
    trained_to = animals.bundle.trusted("mean_log2_rpm")[names]
    human = means[mature[names].astype(str)].set_axis(names, axis=1)
    apart = human - human.mean()
    sides = {
        "measured": animals.mirna[:, names].to_df().mean() - human.mean(),
        "predicted": predicted[:, names].to_df().mean() - trained_to,
    }
    rows = []
    for side, values in sides.items():
        found = apart.T.corrwith(values.astype(float), method="spearman").sort_values(ascending=False)
        place = int(found.index.get_loc(tissue)) + 1
        rows.append((side, len(names), len(found), found[tissue], place, found.index[0]))
    return pd.DataFrame(rows, columns=columns)
