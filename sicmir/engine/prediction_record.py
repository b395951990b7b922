"""What a prediction says of itself: ``obs``, ``var`` and ``uns`` of the result, and the same in sentences."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from sicmir import __version__, trust
from sicmir.engine.model_input import Decision
from sicmir.model import Bundle

LOG2_RPM = "log2(RPM+1)"


def described(
    bundle: Bundle,
    made: Decision,
    obs: pd.DataFrame,
    uns: Mapping[str, Any],
    rows: Mapping[str, np.ndarray],
    min_coverage: float,
    abstain: bool,
) -> AnnData:
    """Make everything of a result but its matrices, as :func:`sicmir.prediction.predict` tells it.

    Parameters
    ----------
    bundle, made
        Model, and how the input was made ready for it.
    obs, uns
        Observations, and what is known of the table.
    rows
        ``coverage``, ``domain_score``, ``in_domain`` and ``abstained`` of each row, as in
        :class:`sicmir.prediction.Block`.
    min_coverage, abstain
        As they were given to :func:`sicmir.prediction.predict_block`.
    """
    columns = {name: rows[name] for name in ("coverage", "domain_score", "abstained")}
    if bundle.domain is not None:
        columns["in_domain"] = rows["in_domain"]
    result = AnnData(
        obs=obs.drop(columns=["in_domain"], errors="ignore").assign(**columns), var=_trust_columns(bundle)
    )
    training = bundle.card.get("training_data", {})
    result.uns["sicmir"] = {
        **uns,
        "modality": "prediction",
        "units": bundle.units,
        "level": bundle.level,
        "units_record": made.record.as_dict(),
        "transform": made.transform,
        "transform_reason": made.reason,
        "min_coverage": min_coverage,
        "abstain": abstain,
        "model": {
            "id": bundle.weights_sha256[:12],
            "weights_sha256": bundle.weights_sha256,
            "predictor": bundle.predictor.kind,
            "synthetic": bool(training.get("synthetic", False)),
        },
        "interval_level": float(bundle.card.get("interval_level", np.nan)),
        "notes": np.array(_notes(bundle, made, rows["abstained"].mean(), "pseudobulk" in uns), dtype=str),
        "version": __version__,
    }
    return result


def has_intervals(bundle: Bundle) -> bool:
    """Whether a model has prediction intervals."""
    return bundle.units == LOG2_RPM and bundle.trust is not None and "half_width" in bundle.trust


def _trust_columns(bundle: Bundle) -> pd.DataFrame:
    """Trust table as ``var``: grades in order; a text that is missing is "", which every format can hold."""
    if bundle.trust is None:
        return pd.DataFrame(index=pd.Index(bundle.mirnas))
    table = bundle.trust.rename_axis(None)
    texts = [name for name, kind in table.dtypes.items() if pd.api.types.is_object_dtype(kind)]
    table = table.assign(**{name: table[name].fillna("").astype(str) for name in texts})
    if "grade" in table:
        grades = pd.Categorical(table["grade"], categories=list(trust.GRADES)[::-1], ordered=True)
        table = table.assign(grade=grades)
    return table


def _notes(bundle: Bundle, made: Decision, abstained: float, pooled: bool) -> list[str]:
    few = "Nothing was predicted: " if abstained == 1 else "Most observations are abstained: "
    notes = {
        f"{few}single cells hold too few reads to be judged alone. If these are such, pool them by cell type "
        "and donor (by). Otherwise look at the units.": abstained > 0.5 and not pooled,
        f"{few}pools of few cells or reads are not judged (n_cells), nor are those unlike the training data, "
        "which are bulk samples. Look at the units too.": abstained > 0.5 and pooled,
        "Units were told by totals that all rows share; of a row alone they could not be told, and it would "
        "be ranked. Say units to have rows independent of each other.": "every total" in made.record.units
        and "The units were given." not in made.record.reasons
        and not pooled,
        "TPM and FPKM are divided by the lengths of transcripts, the training data are not: each gene is off "
        "by a factor that no library size removes. Compare with transform='rank', which took liver samples "
        "in TPM nearer to what was measured (chapter 30_hcc).": made.transform == "frozen"
        and re.search("TPM|FPKM", made.record.units) is not None,
        "By 'cohort', what is predicted of an observation depends on those submitted with it.": made.transform
        == "cohort",
        "Predicted values below 0 are set to 0, the lowest value of log2(RPM+1).": bundle.units == LOG2_RPM
        and abstained < 1,
        f"The predictions are in the unit {bundle.units}, not {LOG2_RPM}.": bundle.units != LOG2_RPM,
        "The model has no prediction intervals: lower and upper are NaN.": not has_intervals(bundle),
        "The model has no trust table: how far each miRNA can be believed is not known.": bundle.trust
        is None,
        "The model has no domain: samples unlike its training data are not told.": bundle.domain is None,
        "The model was trained on synthetic data.": bundle.card.get("training_data", {}).get(
            "synthetic", False
        ),
    }
    return [note for note, holds in notes.items() if holds]


def _several_columns(found: Mapping[str, Any]) -> str:
    """What was done where a landmark had several columns; "" where none had."""
    told = ""
    if len(found["duplicated"]):
        told += f"; {len(found['duplicated'])} summed up from several columns"
    if len(found["superseded"]):
        told += (
            f"; left out, for a surer name of the same gene is there: {', '.join(found['superseded'][:5])}"
        )
        told += f" and {len(found['superseded']) - 5} more" if len(found["superseded"]) > 5 else ""
    return told


def summary(predicted: AnnData) -> str:
    """Say in plain sentences what was decided and what was predicted, one a line."""
    record: dict[str, Any] = predicted.uns["sicmir"]
    units, found, model = record["units_record"], record["coverage"], record["model"]
    obs, n = predicted.obs, predicted.n_obs
    abstained = obs["abstained"].to_numpy()
    few = abstained & ((obs["coverage"] < record["min_coverage"]) | (obs["coverage"] == 0)).to_numpy()
    lines = [
        f"Input: {units['source']} is read as {units['units'] or 'values of unknown units'}. "
        f"{' '.join(units['reasons'])}",
        f"Transform: {record['transform']}. {record['transform_reason']}",
        f"Landmarks: {found['found']} of {found['expected']} found{_several_columns(found)}.",
        f"Model: {model['id']} ({model['predictor']}), {predicted.n_vars} {record['level']} miRNAs in "
        f"{record['units']}.",
        f"Predicted: {(~abstained).sum()} of {n} observations. Abstained: {few.sum()} with too few genes, "
        f"{(abstained & ~few).sum()} far from the training data.",
    ]
    if "in_domain" in obs:
        odd = int((~abstained & ~obs["in_domain"].to_numpy(dtype=bool)).sum())
        lines.append(f"Of those predicted, {odd} are unlike most of the training data (in_domain is false).")
    return "\n".join([*lines, *record["notes"]])
