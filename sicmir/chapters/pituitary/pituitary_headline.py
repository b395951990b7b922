"""What the chapter on the pituitary prints and quotes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from anndata import AnnData

from sicmir.chapters import claims
from sicmir.chapters.pancreas import tumour_study
from sicmir.chapters.pituitary import animal_controls, low_coverage, pituitary_study
from sicmir.chapters.pituitary.pituitary_sets import Animals
from sicmir.publishing import markup

_LIMITS = ("spearman", "lower", "upper")
_SIDES = ("measured", "predicted")
_NONE = "Neither grade A nor grade B holds enough miRNAs to tell."


def first_markers(markers: pd.DataFrame, n: int = 4) -> pd.DataFrame:
    """First miRNAs of each cell type (``tumour_study.marker_table``), or one line of text."""
    if markers.empty:
        return pd.DataFrame({"markers": ["No two cell types of one donor were predicted."]})
    return tumour_study.marker_table(markers, n)


def first_effects(conditions: pd.DataFrame, n: int = 10) -> pd.DataFrame:
    """Largest differences that are not greyed; one line if there is none.

    Parameters
    ----------
    conditions
        As :func:`sicmir.chapters.pituitary.pituitary_study.tumour_against_normal` and ``against_lineages``
        give it.
    n
        How many.
    """
    if conditions["effect"].isna().all():
        return pd.DataFrame({"difference": ["One of the two sides was not predicted."]})
    good = conditions[~conditions["greyed"].astype(bool)]
    columns = ["mirna", "effect", "lower", "upper", "q", "n_case", "n_reference", "grade"]
    return good.sort_values("effect", key=np.abs, ascending=False, kind="stable")[columns].head(n)


def cut_down(by_types: pd.DataFrame, by_samples: pd.DataFrame, digits: int = 2) -> pd.DataFrame:
    """Both trials with few genes in one table, each figure with its limits.

    Parameters
    ----------
    by_types, by_samples
        Of :func:`sicmir.chapters.pituitary.low_coverage.summary`.
    digits
        Decimals.
    """
    found = {"genes": by_types["genes"]}
    for word, table in (("cell types", by_types), ("ages", by_samples)):
        rows = [table[name].map(lambda x: f"{x:.{digits}f}".replace("-", "−")) for name in _LIMITS]
        found[f"{word}: genes"] = table["n_genes"]
        found[f"{word}: abstained"] = table["abstained"].map(lambda share: f"{share:.0%}")
        found[f"{word}: Spearman r"] = [f"{r} ({low} to {high})" for r, low, high in zip(*rows, strict=True)]
    return pd.DataFrame(found)


def shown_coverage(report: pd.DataFrame) -> pd.DataFrame:
    """``low_coverage.report`` with donor and cell type of each profile set apart by a dot."""
    shown = report.rename_axis("profile").reset_index()
    return shown.assign(profile=shown["profile"].astype(str).str.replace("|", " · "))


def findings(tables: Mapping[str, tuple[pd.DataFrame, pd.DataFrame]]) -> pd.DataFrame:
    """How many miRNAs differ, as measured and as predicted, and how many of these in the same direction.

    Parameters
    ----------
    tables
        Name of a contrast → measured and predicted, as
        :func:`sicmir.chapters.pituitary.pituitary_study.effects` gives them.
    """
    rows = []
    for name, (measured, predicted) in tables.items():
        sides = measured.set_index("mirna"), predicted.set_index("mirna")
        both = sides[0].join(sides[1], rsuffix="_predicted", how="inner")
        called = both["finding_predicted"].astype(bool)
        same = np.sign(both["effect"]) == np.sign(both["effect_predicted"])
        rows.append(
            {
                "contrast": name,
                "n_case": int(measured["n_case"].max()),
                "n_reference": int(measured["n_reference"].max()),
                "measured": int(both["finding"].sum()),
                "of miRNAs": len(both),
                "predicted": int(called.sum()),
                "that count": int((~both["greyed_predicted"].astype(bool)).sum()),
                "in both, same sign": int((called & both["finding"].astype(bool) & same).sum()),
            }
        )
    return pd.DataFrame(rows)


def recovered(planted: pd.DataFrame) -> pd.DataFrame:
    """Correlation of planted differences of toy animals with those found; one line for measured animals.

    Parameters
    ----------
    planted
        As :func:`sicmir.chapters.pituitary.pituitary_study.planted_ages` gives it.
    """
    if planted.empty:
        return pd.DataFrame({"planted": ["These animals were measured, so no planted truth is known."]})
    groups = planted.groupby("grade", observed=True)
    table = pd.DataFrame({"n_mirnas": groups.size()})
    for side in ("measured", "predicted"):
        table[f"planted and {side}, r"] = groups[["planted", side]].apply(lambda part: part.corr().iloc[0, 1])
    return table.reset_index()


def headline(
    cells: AnnData,
    report: pd.DataFrame,
    predicted: AnnData,
    few: np.ndarray,
    by_types: pd.DataFrame,
    by_samples: pd.DataFrame,
    animals: Animals,
    shown: AnnData,
    grades: pd.DataFrame,
    singles: pd.DataFrame,
    called: pd.DataFrame,
    controls: pd.DataFrame,
    identity: pd.DataFrame,
    verdicts: pd.DataFrame,
    paired: pd.Series,
    age: str,
) -> dict[str, float | int | str]:
    """Figures that the page quotes.

    Parameters
    ----------
    cells, report, predicted
        Data, :func:`sicmir.chapters.pituitary.low_coverage.report`, and predicted profiles.
    few, by_types, by_samples
        Genes that data were cut down to, and the summaries of both trials.
    animals, shown, grades, singles, controls, identity
        Animals, their predictions, and the tables of :mod:`sicmir.chapters.pituitary.cross_species`;
        ``controls`` of :func:`sicmir.chapters.pituitary.animal_controls.controls`.
    called
        Of :func:`findings`.
    verdicts
        Of :func:`sicmir.chapters.pituitary.pituitary_study.literature`.
    paired
        Of :func:`sicmir.chapters.pituitary.animal_controls.pairing`.
    age
        Name of the contrast of ages.
    """
    measured = verdicts["contrast"] == pituitary_study.TISSUE
    found = {
        "dataset": str(cells.uns["sicmir"]["dataset"]),
        "n_profiles": len(report),
        "n_donors": predicted.obs["donor"].nunique() if "donor" in predicted.obs else 1,
        "n_landmarks": int(report["landmarks"].max()),
        "coverage": markup.percent(report["coverage"].max()),
        "above_floor": markup.percent(report["above_floor"].median()),
        "n_abstained": int(predicted.obs["abstained"].sum()),
        "n_few": int(few.sum()),
        "n_pairs": int(by_types["n_pairs"].iloc[0]),
        "n_type_mirnas": int(by_types["n_mirnas"].iloc[0]),
        "n_paired": animals.mirna.n_obs,
        "n_mrna": animals.n_mrna,
        "n_mirna": animals.n_mirna,
        "n_mirnas": animals.mirna.n_vars,
        "n_orthologues": sum(animals.orthologues.values()),
        "animals_abstained": int(shown.obs["abstained"].sum()),
        "organ_told": claims.told(
            verdicts[measured], "published claims about the gland among other tissues", "measurement"
        ),
        "claims_told": claims.told(
            verdicts[~measured], "published claims about corticotroph tumours", "the prediction"
        ),
        "transform": str(predicted.uns["sicmir"]["transform"]),
        "animal_transform": str(shown.uns["sicmir"]["transform"]),
        "pairing_r": float(paired["r"]),
        "pairing_p": float(paired["p"]),
        "age": age,
    }
    names = {
        "whole": low_coverage.WHOLE,
        "chosen": low_coverage.CHOSEN,
        "random": low_coverage.RANDOM,
        "floored": low_coverage.FLOORED,
        "gaps": low_coverage.GAPS,
    }
    for kind, table in (("types", by_types), ("samples", by_samples)):
        rows = table.set_index("genes")
        for short, name in names.items():
            for column in _LIMITS:
                found[f"{kind}_{short}_{column}"] = float(rows.loc[name, column])
    ages = called.set_index("contrast").loc[age]
    columns = {"called": "predicted", "confirmed": "in both, same sign", "true": "measured"}
    found |= {name: int(ages[column]) for name, column in columns.items()}
    found["ages_told"] = ages_told(grades[grades["contrast"] == age], controls[controls["contrast"] == age])
    found["individuals_told"] = individuals_told(singles[singles["scope"] == "within age and sex"])
    found["tissue_told"] = tissue_told(identity)
    return found


def ages_told(grades: pd.DataFrame, controls: pd.DataFrame) -> str:
    """How predicted differences of one contrast agree with measured ones, beside their controls.

    Parameters
    ----------
    grades, controls
        Rows of that contrast of :func:`sicmir.chapters.pituitary.cross_species.differences` and
        :func:`sicmir.chapters.pituitary.animal_controls.controls`.
    """
    own = _by_grade(grades)
    if not own:
        return _NONE
    told = (
        "With abstention switched off, differences between the ages correlate with the measured ones by "
        f"{own} (95 % over animals and clusters of miRNAs)."
    )
    for name, words in (
        (animal_controls.GENES, "With the genes exchanged it is"),
        (animal_controls.HALVES, "For one half of the animals, measured, against the other it is"),
    ):
        if beside := _by_grade(controls[controls["what"] == name]):
            told += f" {words} {beside}."
    return told + _too_few(grades)


def individuals_told(within: pd.DataFrame) -> str:
    """Agreement over animals of one age and sex (``cross_species.individuals``)."""
    own = _by_grade(within, "median")
    if not own:
        return _NONE
    return f"Within animals of one age and sex, miRNAs correlate by {own}." + _too_few(within)


def tissue_told(identity: pd.DataFrame) -> str:
    """The place of the pituitary among human tissues (``cross_species.identity``)."""
    sides = identity.set_index("side")
    if not {"measured", "predicted"} <= set(sides.index[sides["place"].notna()]):
        return "No human pituitary was measured here, so that its place among tissues is not known."
    places = (f"{sides.loc[side, 'place']:.0f} of {sides.loc[side, 'n_tissues']:.0f}" for side in _SIDES)
    measured, predicted = places
    return (
        f"Among human tissues, pituitary takes place {measured} for the measured miRNAs of the animals, "
        f"{predicted} for their predicted ones."
    )


def _by_grade(table: pd.DataFrame, value: str = "spearman") -> str:
    """A figure with its limits for grades A and B, where there are any."""
    rows = table[table["grade"].isin(["A", "B"]) & table[value].notna()].sort_values("grade")
    shown = rows[[value, "lower", "upper"]].map(lambda one: markup.number(round(one, 2) + 0.0, 2)).to_numpy()
    told = (
        f"{middle} ({lower} to {upper}) for grade {grade}"
        for (middle, lower, upper), grade in zip(shown, rows["grade"], strict=True)
    )
    return " and ".join(told)


def _too_few(table: pd.DataFrame) -> str:
    absent = [grade for grade in "AB" if grade not in set(table["grade"])]
    return "".join(f" Grade {grade} holds too few miRNAs to tell." for grade in absent)
