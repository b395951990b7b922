"""What agreement across species is worth: wrong genes, wrong animals, measured halves, doubtful pairs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from anndata import AnnData

from sicmir import prediction, trust
from sicmir.chapters.pairs import pair_study
from sicmir.chapters.pituitary import cross_species
from sicmir.chapters.pituitary.pituitary_sets import Animals
from sicmir.donors import effect_agreement
from sicmir.donors.contrasts import effect_spearman
from sicmir.errors import DataError

GENES, ANIMALS = "genes exchanged", "animals exchanged"
"""Controls of :func:`exchanges`."""

HALVES = "half of the animals, measured"
"""Row of :func:`controls` that needs no prediction."""

_LIMITS = ["spearman", "lower", "upper"]


def exchanges(
    animals: Animals,
    predicted: AnnData,
    contrasts: Sequence[tuple[str, str, str]],
    min_grade: str = "B",
    n_draws: int = 100,
    seed: int = 0,
) -> pd.DataFrame:
    """Agreement of differences when the model is fed the wrong genes, or is shown the wrong animals.

    Parameters
    ----------
    animals, predicted
        As :func:`sicmir.chapters.pituitary.cross_species.predict` gives it.
    contrasts
        Column of ``obs``, case and reference of each.
    min_grade
        Worst grade that counts; each grade is judged alone, as in
        :func:`sicmir.chapters.pituitary.cross_species.differences`.
    n_draws, seed
        Draws of each control, and seed.

    Returns
    -------
    DataFrame
        ``contrast, grade, control, draw, spearman``. :data:`GENES`: the measured landmarks are dealt out anew
        among each other before they are predicted. :data:`ANIMALS`: predictions are dealt out anew to the
        animals.
    """
    rng, rows = np.random.default_rng(seed), []
    transform = predicted.uns["sicmir"]["transform"]
    measured = np.flatnonzero(np.isfinite(animals.mrna.X).all(axis=0))
    truth, shown = animals.mirna.to_df(), predicted.to_df()
    for draw in range(n_draws):
        wrong = animals.mrna.copy()
        wrong.X[:, measured] = animals.mrna.X[:, rng.permutation(measured)]
        found = prediction.predict(wrong, animals.bundle, transform, abstain=False, progress=False)
        order = rng.permutation(predicted.n_obs)
        sides = {
            GENES: found[:, predicted.var_names].to_df(),
            ANIMALS: shown.iloc[order].set_axis(shown.index),
        }
        for key, case, reference in contrasts:
            label = animals.mirna.obs[key].to_numpy()
            real, *others = (
                side[label == case].mean() - side[label == reference].mean()
                for side in (truth, *sides.values())
            )
            for grade, names in _grades(predicted, min_grade).items():
                for control, one in zip(sides, others, strict=True):
                    rho = effect_spearman(real[names].to_numpy(), one[names].to_numpy())
                    rows.append((cross_species.label(key, case, reference), grade, control, draw, rho))
    return pd.DataFrame(rows, columns=["contrast", "grade", "control", "draw", "spearman"])


def controls(
    animals: Animals,
    predicted: AnnData,
    contrasts: Sequence[tuple[str, str, str]],
    draws: pd.DataFrame,
    min_grade: str = "B",
    n_resamples: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """Agreement of differences beside its controls, for each grade that counts.

    Parameters
    ----------
    animals, predicted, contrasts, min_grade
        As for :func:`exchanges`.
    draws
        As that gives them.
    n_resamples, seed
        Draws of animals with genomic clusters of miRNAs, divisions of the animals, and seed.

    Returns
    -------
    DataFrame
        ``contrast, grade, what, spearman, lower, upper, n_mirnas``: the model, with the limits of
        :func:`sicmir.chapters.pituitary.cross_species.differences`; the controls, median and central 95 % of
        their draws; and the effects measured in one half of the animals against the other half
        (:func:`sicmir.donors.effect_agreement.halves`), median and central 95 % of the divisions. Contrasts
        with fewer than 3 animals on a side are left out.
    """
    model = cross_species.differences(animals, predicted, contrasts, n_resamples, seed)
    rows, names = [], _grades(predicted, min_grade)
    by_label = {cross_species.label(*one): one for one in contrasts}
    for own in model[model["grade"].isin(list(names))].itertuples():
        facts = {"contrast": own.contrast, "grade": own.grade, "n_mirnas": own.n_mirnas}
        rows.append(facts | {"what": cross_species.MODEL} | {name: getattr(own, name) for name in _LIMITS})
        part = draws[(draws["contrast"] == own.contrast) & (draws["grade"] == own.grade)]
        for control in (GENES, ANIMALS):
            values = part.loc[part["control"] == control, "spearman"].quantile([0.5, 0.025, 0.975])
            rows.append(facts | {"what": control} | dict(zip(_LIMITS, values, strict=True)))
        key, case, reference = by_label[own.contrast]
        found = effect_agreement.halves(
            animals.mirna,
            names[own.grade],
            condition_key=key,
            case=case,
            reference=reference,
            k=1,
            n_splits=n_resamples,
            seed=seed,
        )
        values = found.loc["effect_spearman", ["value", "lower", "upper"]]
        rows.append(facts | {"what": HALVES} | dict(zip(_LIMITS, values, strict=True)))
    return pd.DataFrame(rows, columns=["contrast", "grade", "what", *_LIMITS, "n_mirnas"])


def pairing(animals: Animals, n_draws: int = 1000, seed: int = 0) -> pd.Series:
    """Whether samples that are alike in mRNA are alike in miRNA, within one age and sex (Mantel 1967).

    If both RNAs of a pair are of one animal, they should be. Both sides are taken less the mean of the group
    and divided by the spread of each gene and miRNA; correlations between samples of one side are correlated
    with those of the other.

    Parameters
    ----------
    animals
        Samples with both RNAs.
    n_draws, seed
        Permutations of the samples within their groups, and seed.

    Returns
    -------
    Series
        ``n_animals``, those in groups of 2 or more; ``r``; ``lower`` and ``upper``, the central 95 % of the
        permutations; ``p``, one-sided.

    Raises
    ------
    DataError
        If no group has 3 animals: there is nothing to permute.
    """
    group = animals.mirna.obs["group"].astype(str).to_numpy()
    sizes = pd.Series(group).map(pd.Series(group).value_counts()).to_numpy()
    if sizes.max() < 3:
        raise DataError("The pairing of both RNAs can be judged by groups of 3 animals or more; found none.")
    group, alike = group[sizes > 1], []
    for side in (animals.mrna, animals.mirna):
        values = side.to_df().astype(np.float64)[sizes > 1].dropna(axis=1)
        values -= values.groupby(group).transform("mean")
        spread = values.std()
        alike.append(np.corrcoef((values / spread).loc[:, spread > 0]))
    places, rng = np.triu_indices(len(group), 1), np.random.default_rng(seed)

    def correlation(order: np.ndarray) -> float:
        return float(np.corrcoef(alike[0][places], alike[1][np.ix_(order, order)][places])[0, 1])

    members = [np.flatnonzero(group == name) for name in np.unique(group)]
    own, drawn = correlation(np.arange(len(group))), np.empty(n_draws)
    for draw in range(n_draws):
        order = np.arange(len(group))
        for rows in members:
            order[rows] = rng.permutation(rows)
        drawn[draw] = correlation(order)
    lower, upper = np.quantile(drawn, [0.025, 0.975])
    p = (1 + (drawn >= own).sum()) / (n_draws + 1)
    return pd.Series({"n_animals": len(group), "r": own, "lower": lower, "upper": upper, "p": p})


def _grades(predicted: AnnData, min_grade: str) -> dict[str, pd.Index]:
    """MiRNAs of each grade that counts and has enough of them."""
    grade = predicted.var["grade"].astype(str)
    found = {one: predicted.var_names[(grade == one).to_numpy()] for one in trust.GRADES}
    counts = dict(zip(found, trust.at_least(list(found), min_grade), strict=True))
    return {one: names for one, names in found.items() if counts[one] and len(names) >= pair_study.FEWEST}
