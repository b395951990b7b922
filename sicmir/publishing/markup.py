"""Values as HTML: tables, numbers, names, links. Whatever comes from a file is escaped."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

LONGEST_NAME = 20
"""Characters of a name that is kept on one line."""


def table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table that scrolls where it is too wide; cells are HTML."""
    head = "".join(f'<th scope="col">{cell}</th>' if cell else "<td></td>" for cell in header)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return (
        f'<div class="sicmir-scroll"><table class="sicmir-table"><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def number(value: float, digits: int) -> str:
    """A number with its minus sign, a dash where there is none; what is rounded to 0 has no sign."""
    if pd.isna(value):
        return "–"
    text = f"{value:.{digits}f}"
    return text.removeprefix("-") if float(text) == 0 else text.replace("-", "−")


def chance(value: float, digits: int = 3) -> str:
    """A p or q, with three decimals or more; below 0.001 it is said to be so."""
    return "&lt;0.001" if value < 0.001 else number(value, max(digits, 3))


def is_count(value: float) -> bool:
    """Whether a number is whole and above 1, so that it can hardly be a share, a correlation or an effect."""
    return bool(np.isfinite(value)) and abs(value) > 1 and float(value).is_integer()


def are_counts(column: pd.Series, name: str) -> bool:
    """Whether a column of floats holds whole numbers alone, and not only such as shares can be."""
    found = column.dropna()
    whole = bool(len(found)) and bool((found % 1 == 0).all())
    return whole and (name.startswith("n_") or bool((found.abs() > 1).any()))


def percent(share: float) -> str:
    """A share as a whole percentage, a dash where there is none."""
    return "–" if pd.isna(share) else f"{100 * share:.0f} %"


def word(value: object) -> str:
    """Escaped text; a name such as hsa-mir-200c is not broken at its hyphens."""
    text = escape(value)
    name = "-" in text and " " not in text and len(text) <= LONGEST_NAME
    return f'<span class="sicmir-name">{text}</span>' if name else text


def interval(value: float, row: Any, digits: int) -> str:
    """A value with ``lower`` and ``upper`` of its row, where it has them."""
    middle, lower, upper = (number(part, digits) for part in (value, row.lower, row.upper))
    return middle if lower == "–" else f"{middle} ({lower} to {upper})"


def checksum(text: str) -> str:
    """The beginning of a checksum; the whole is shown on hovering."""
    return f'<code title="{escape(text)}">{escape(text if len(text) <= 20 else text[:20] + "…")}</code>'


def link(url: str, text: str) -> str:
    """A link, where the address is one of the web."""
    if not re.match(r"https?://", url):
        return escape(text)
    return f'<a href="{escape(url)}" rel="noopener">{escape(text)}</a>'


def escape(value: object) -> str:
    """Text that is no HTML."""
    return html.escape(str(value), quote=True)
