"""TCGA barcodes: who the donor is, which sample it was, tumour or normal.

The parts of a barcode are explained by the Genomic Data Commons (encyclopedia, "TCGA Barcode"):
``TCGA-OR-A5J1-01A-11R-A29S-07`` is project, tissue source site, participant, sample type and vial,
portion and analyte, plate, centre. Sample types 01-09 are tumours, 10-19 normals, 20-29 controls.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from sicmir.errors import DataError

DONOR_LENGTH = 12
SAMPLE_LENGTH = 15
_BARCODE = re.compile(
    r"TCGA-[A-Z0-9]{2}-[A-Z0-9]{4}"
    r"(?:-(?P<type>\d{2})(?:[A-Z](?:-\d{2}[A-Z]?(?:-[A-Z0-9]{4}(?:-\d{2})?)?)?)?)?"
)


@dataclass(frozen=True)
class Barcode:
    """One TCGA barcode taken apart; ``sample``, ``sample_type`` and ``condition`` are "" for a bare donor."""

    barcode: str
    donor: str
    sample: str
    sample_type: str
    condition: str


def parse(barcode: str) -> Barcode:
    """Take a barcode apart.

    Parameters
    ----------
    barcode
        With dashes or with dots (as R writes them), of any length from the donor (12 characters) on:
        12, 15, 16, 20, 25 or 28 characters.

    Raises
    ------
    DataError
        If it is no TCGA barcode, or its sample type lies outside 01-29.
    """
    text = barcode.strip().upper().replace(".", "-")
    match = _BARCODE.fullmatch(text)
    if match is None:
        raise DataError(
            f"{barcode!r} is not a TCGA barcode. Expected something like TCGA-OR-A5J1-01A-11R-A29S-07 "
            "or its first 12, 15 or 16 characters."
        )
    sample_type = match["type"] or ""
    return Barcode(
        barcode=text,
        donor=text[:DONOR_LENGTH],
        sample=text[:SAMPLE_LENGTH] if sample_type else "",
        sample_type=sample_type,
        condition=_condition(sample_type, barcode) if sample_type else "",
    )


def _condition(sample_type: str, barcode: str) -> str:
    number = int(sample_type)
    for first, last, condition in ((1, 9, "tumour"), (10, 19, "normal"), (20, 29, "control")):
        if first <= number <= last:
            return condition
    raise DataError(
        f"Barcode {barcode!r} has the sample type {sample_type}; expected 01-09 (tumour), 10-19 (normal) "
        "or 20-29 (control)."
    )


def is_barcode(text: str) -> bool:
    """Whether ``text`` is a TCGA barcode, with dashes or dots."""
    return _BARCODE.fullmatch(str(text).strip().upper().replace(".", "-")) is not None


def annotate(barcodes: Sequence[str], cohort: str = "") -> pd.DataFrame:
    """Describe samples by their barcodes.

    Parameters
    ----------
    barcodes
        n barcodes that name at least the sample (15 characters).
    cohort
        TCGA abbreviation such as ``"ACC"``; "" where the source does not say.

    Returns
    -------
    DataFrame
        n rows; index = barcode with dashes; columns sample, donor, cohort, condition, sample_type.

    Raises
    ------
    DataError
        If a barcode is malformed or names a donor only.
    """
    parsed = [parse(barcode) for barcode in barcodes]
    bare = [entry.barcode for entry in parsed if not entry.sample]
    if bare:
        raise DataError(
            f"{len(bare)} barcodes name a donor but no sample, for example {bare[0]}; tumour and normal "
            "cannot "
            "be told apart. Use barcodes of 15 characters or more."
        )
    return pd.DataFrame(
        {
            "sample": [entry.sample for entry in parsed],
            "donor": [entry.donor for entry in parsed],
            "cohort": cohort,
            "condition": [entry.condition for entry in parsed],
            "sample_type": [entry.sample_type for entry in parsed],
        },
        index=pd.Index([entry.barcode for entry in parsed], name=None),
    )
