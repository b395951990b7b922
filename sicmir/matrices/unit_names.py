"""Names of units of expression and of matrices, what units mean for a sum, and the record of a decision."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from sicmir.errors import DataError, ParameterError
from sicmir.matrices.normalise import MOST_LOG2

TRAINING_TOTAL = 2e7
"""Sum over genes of a training sample: RSEM counts, scaled to an upper quartile of 1000 over genes above 0.

Measured: median 2.06e7 in 307 samples of tcga-small (20,531 genes; 90 % lie between 1.8e7 and 2.7e7, SD 0.23
log2), 1.99e7 in 550 samples of eleven cohorts. A value in CPM is therefore brought to this scale by 20.
"""

MIN_GENES = 5000
"""Fewest genes whose sum is taken for a library size; of fewer, the share in the library is not known."""

MAX_LOG = 25.0
"""Values that stay below this may be logarithms; linear expression of a whole transcriptome does not."""

SIGNED, UNKNOWN = "z-score or log ratio", "linear, unknown"
# Pattern of each name of linear units, and the sum of a row where the unit defines one (NaN: it does not).
LINEAR = {
    "counts": (r"counts?|(?:umi|raw|read|estimated|htseq)[ _]counts?", np.nan),
    "CPM": (r"[cr]pm", 1e6),
    "TPM": (r"tpm", 1e6),
    "CPM or TPM": (r"cpm or tpm", 1e6),
    "CP10K": (r"cp10k", 1e4),
    "FPKM": (r"[fr]pkm", np.nan),
    "RSEM": (r"rsem.*", TRAINING_TOTAL),
    UNKNOWN: (r"x|linear(?:, unknown)?", np.nan),
}
# How a logarithm is written, its name and its base.
LOGARITHMS = {
    "log1p": (r"(?:log1p|ln1p)\((?P<inner>.+)\)", np.e),
    "log2": (r"log2\((?P<inner>.+?) ?\+ ?1\)", 2.0),
    "log10": (r"log10\((?P<inner>.+?) ?\+ ?1\)", 10.0),
}


@dataclass(frozen=True)
class Units:
    """What a matrix holds, how that was decided, and how to get linear values from it.

    Attributes
    ----------
    units
        ``"counts"``, ``"CPM"``, ``"TPM"``, ``"CPM or TPM"``, ``"CP10K"``, ``"FPKM"``, ``"RSEM"``,
        ``"linear, every total <t>"``, ``"linear, unknown"``; any of these in ``log1p(…)``, ``log2(… + 1)`` or
        ``log10(… + 1)``; ``"z-score or log ratio"``, which is no expression and cannot be made linear; or "":
        they cannot be told.
    source
        ``"X"``, ``"raw"`` or ``"layers['<name>']"``.
    logarithm
        ``"log1p"``, ``"log2"``, ``"log10"`` or "" for linear values.
    per
        Sum of the linear values of a row by definition; NaN where each row has a total of its own.
    n_genes
        Number of genes of the matrix.
    reasons
        Plain sentences.
    """

    units: str
    source: str
    logarithm: str
    per: float
    n_genes: int
    reasons: tuple[str, ...]

    def linear(self, values: np.ndarray) -> np.ndarray:
        """Undo the logarithm; 0 stays 0, so that it may be applied to the stored values of a sparse matrix.

        Raises
        ------
        DataError
            If values are negative or too large for a logarithm.
        """
        if self.units == SIGNED or np.nanmin(values, initial=0.0) < 0:
            raise DataError(
                f"{self.source}: {self.units} with negative values has no linear form. Give a layer with "
                "counts or normalised expression, or, with a whole cohort, take transform='cohort'."
            )
        if not self.logarithm:
            return values
        if np.nanmax(values, initial=0.0) > MOST_LOG2:
            raise DataError(
                f"{self.source}: found {np.nanmax(values):.6g}, which cannot be {self.units}; look at the "
                "units."
            )
        return np.expm1(np.asarray(values, dtype=np.float64) * np.log(LOGARITHMS[self.logarithm][1]))

    def text(self) -> str:
        """Say it in words."""
        return f"{self.source} is read as {self.units or 'values of unknown units'}. {' '.join(self.reasons)}"

    def as_dict(self) -> dict[str, object]:
        """Give what ``uns`` can hold."""
        return {**vars(self), "reasons": np.array(self.reasons, dtype=str)}


def parse(text: str) -> tuple[str, str, float] | None:
    """Units as :class:`Units` calls them, logarithm and sum of a row behind a name; None if it is none."""
    if re.match(r"z-score|log ratio", text):
        return SIGNED, "", np.nan
    for logarithm, (pattern, _) in LOGARITHMS.items():
        if found := re.fullmatch(pattern, text.strip(), re.IGNORECASE):
            inner = parse(found["inner"])
            return (log_name(logarithm, inner[0]), logarithm, inner[2]) if inner and not inner[1] else None
    text, _, divisor = text.strip().partition("/")
    if found := re.fullmatch(r"linear, every total (\d[\d.e+]*)", text):
        return text, "", float(found[1])
    for name, (pattern, per) in LINEAR.items():
        if re.fullmatch(pattern, text, re.IGNORECASE) and (not divisor or divisor.isdigit()):
            return (f"{name}/{divisor}", "", per / int(divisor)) if divisor else (name, "", per)
    return None


def check_sums(rows: sparse.csr_matrix, named: tuple[str, str, float], told: str) -> None:
    """Refuse units that were given and that the sums of the rows contradict.

    No row sums up to more than its units define, and one of a whole transcriptome not to less than half of
    it. Logarithms that were taken twice, and counts that are called CPM, are told by that.

    Raises
    ------
    DataError
        Beginning with ``told``.
    """
    units, logarithm, per = named
    # Linear values of few genes may be low; those of a whole transcriptome, or of cells in counts, are not.
    free = np.isnan(per) or per == TRAINING_TOTAL
    linear = units == "counts" or (free and not logarithm and units != SIGNED and rows.shape[1] >= MIN_GENES)
    if linear and rows.nnz and rows.max() < MAX_LOG and (rows.data % 1 != 0).any():
        raise DataError(f"{told} They look like logarithms; name these, for example log1p(CP10K).")
    if free:  # the totals of RSEM vary from sample to sample
        return
    values = rows.astype(np.float64)
    if logarithm:
        values.data = np.expm1(values.data * np.log(LOGARITHMS[logarithm][1]))
    values.data = np.nan_to_num(values.data)
    totals = np.asarray(values.sum(axis=1)).ravel()
    total = np.median(totals[totals > 0]) if (totals > 0).any() else per
    if total > 1.1 * per or (rows.shape[1] >= MIN_GENES and total < 0.5 * per):
        raise DataError(
            f"{told} As linear values the rows sum up to {total:.4g} in the median, in these units to "
            f"{per:.4g}. Give the right units, or none."
        )


def check_whole(values: np.ndarray, source: str) -> None:
    """Refuse values that are no counts, where some rows of their matrix were taken for counts.

    Raises
    ------
    DataError
        Naming ``source``, the matrix.
    """
    if not (np.isnan(values) | (values == np.rint(values))).all():
        raise DataError(
            f"{source} holds fractional numbers, but the rows that were looked at hold whole ones and were "
            "taken for counts. Look at how the table was put together, or say the units."
        )


def known(uns: Mapping[str, object]) -> dict[str, object]:
    """What ``uns["sicmir"]`` records of a table; nothing where something else bears that name."""
    found = uns.get("sicmir")
    return dict(found) if isinstance(found, Mapping) else {}


def log_name(logarithm: str, linear: str) -> str:
    """Write a logarithm of linear units, of ``x`` where these are unknown."""
    linear = "x" if linear == UNKNOWN else linear
    return f"log1p({linear})" if logarithm == "log1p" else f"{logarithm}({linear} + 1)"


def find_source(layer: str, layers: Sequence[str], has_raw: bool) -> str:
    """Full name of a matrix: ``"X"``, ``"raw"`` or ``"layers['<name>']"``.

    Raises
    ------
    ParameterError
        If there is no such matrix, or both ``raw`` and a layer called raw.
    """
    named = {f"layers[{name!r}]": name for name in layers}
    there = ["X", *(["raw"] if has_raw else []), *named]
    if layer == "raw" and has_raw and "raw" in layers:
        raise ParameterError(
            "layer='raw': there are a raw and a layer of that name; the layer is layers['raw']."
        )
    if layer in there:
        return layer
    if layer in layers:
        return f"layers[{layer!r}]"
    raise ParameterError(f"layer={layer!r}: there is no such matrix; there are {', '.join(there)}.")
