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

_LIMITS = ("spearman", "lower", "upper")


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
    organ, counts = claims.counts(verdicts[measured]), claims.counts(verdicts[~measured])
    found = {
        "dataset": str(cells.uns["sicmir"]["dataset"]),
        "n_profiles": len(report),
        "n_landmarks": int(report["landmarks"].max()),
        "coverage": float(report["coverage"].max()),
        "above_floor": float(report["above_floor"].median()),
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
        "organ_agree": organ["agrees"],
        "organ_disagree": organ["disagrees"],
        "n_organ": int(measured.sum()),
        "claims_agree": counts["agrees"],
        "claims_disagree": counts["disagrees"],
        "claims_open": counts["cannot_tell"],
        "n_claims": int((~measured).sum()),
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
    by_grade = grades[grades["contrast"] == age].set_index("grade")
    within = singles[singles["scope"] == "within age and sex"].set_index("grade")
    ages = called.set_index("contrast").loc[age]
    columns = {"called": "predicted", "confirmed": "in both, same sign", "true": "measured"}
    found |= {name: int(ages[column]) for name, column in columns.items()}
    for grade in ("A", "B"):
        for column in _LIMITS:
            found[f"age_{grade}_{column}"] = _at(by_grade, grade, column)
        for column in ("median", "lower", "upper"):
            found[f"within_{grade}_{column}"] = _at(within, grade, column)
    beside = controls[controls["contrast"] == age].set_index("what")
    known = {"genes": animal_controls.GENES, "animals": animal_controls.ANIMALS}
    known["halves"] = animal_controls.HALVES
    for grade in ("A", "B"):
        rows = beside[beside["grade"] == grade]
        for short, name in known.items():
            for column in _LIMITS:
                found[f"{short}_{grade}_{column}"] = _at(rows, name, column)
    sides = identity.set_index("side")
    for side in ("measured", "predicted"):
        place, n = _at(sides, side, "place"), _at(sides, side, "n_tissues")
        found[f"identity_{side}"] = _at(sides, side, "spearman")
        found[f"identity_{side}_place"] = f"{place:.0f} of {n:.0f}" if np.isfinite(place) else "not compared"
    return found


def _at(table: pd.DataFrame, row: str, column: str) -> float:
    """An entry rounded as it is quoted, so that a small negative number is 0; NaN where there is none."""
    return round(float(table.loc[row, column]), 2) + 0.0 if row in table.index else float("nan")
