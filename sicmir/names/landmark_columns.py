"""Which columns of a table hold the 977 landmarks, told by the names of the columns alone."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Sequence
from functools import cached_property

import numpy as np
import pandas as pd

from sicmir.errors import DataError, PanelError, ParameterError
from sicmir.names.gene_names import STATUSES, find_landmark, foreign_genes, landmarks

_SHOWN = 5

_COPY = re.compile(r"(.+)[-.]\d+")
"""A name that occurred twice, as scanpy's and R's functions that make names unique write it."""

MOST_FOREIGN = 0.2
"""Most genes of another species that are borne with, as a share of the landmarks that are found."""


@dataclasses.dataclass(frozen=True)
class Coverage:
    """How many landmarks were found in a table, and through which kind of name.

    ``missing`` landmarks are absent or NaN in every observation. ``duplicated`` landmarks were merged from
    several columns. ``superseded`` columns also name a landmark, but were left out for a surer match.
    """

    expected: int
    found: int
    symbol: int
    alias: int
    entrez: int
    ensembl: int
    missing: tuple[str, ...]
    duplicated: tuple[str, ...]
    superseded: tuple[str, ...]

    @property
    def fraction(self) -> float:
        """Found landmarks as a share of the panel, 0 to 1."""
        return self.found / self.expected


@dataclasses.dataclass(frozen=True, eq=False)
class LandmarkColumns:
    """Where the landmarks are in a table.

    Attributes
    ----------
    columns
        Place in the panel -> positions of its columns; landmarks that are absent are left out.
    kinds
        Place in the panel -> kind of match, one of :data:`sicmir.names.gene_names.STATUSES`.
    sources
        Place in the panel -> names of its columns.
    superseded
        Names of columns that lost to a surer match.
    unmatched, n_names
        Names that match no landmark, for messages; number of all names.
    min_coverage
        Least share of the panel that must be measured.
    duplicates
        What is done with several columns of one landmark: ``"sum"`` or ``"mean"``; ``"error"`` where there
        are none.
    """

    columns: dict[int, list[int]]
    kinds: dict[int, str]
    sources: dict[int, list[str]]
    superseded: tuple[str, ...]
    unmatched: tuple[str, ...]
    n_names: int
    min_coverage: float
    duplicates: str

    @cached_property
    def single(self) -> dict[int, int]:
        """Landmarks that have one column, in the order of the panel."""
        return {place: found[0] for place, found in sorted(self.columns.items()) if len(found) == 1}

    @cached_property
    def repeated(self) -> dict[int, list[int]]:
        """Landmarks that have several columns."""
        return {place: found for place, found in self.columns.items() if len(found) > 1}

    def values(self, read: Callable[[list[int]], np.ndarray], n_obs: int) -> np.ndarray:
        """Values of the landmarks, n_obs x 977 float32, NaN where a landmark has no column.

        Parameters
        ----------
        read
            Gives n_obs x columns, dense and nobody else's, from positions of columns.
        n_obs
            Number of rows.

        Raises
        ------
        DataError
            If negative values would have to be summed up.
        """
        simple = read(list(self.single.values())).astype(np.float32, copy=False)
        if len(self.single) == len(landmarks()):
            return simple
        values = np.full((n_obs, len(landmarks())), np.nan, dtype=np.float32)
        values[:, list(self.single)] = simple
        for place, found in self.repeated.items():
            several = read(found).astype(np.float64)
            if self.duplicates == "sum":
                if (several < 0).any():
                    raise DataError(
                        'duplicates="sum" is for counts, but there are negative values: use '
                        'duplicates="mean".'
                    )
                values[:, place] = several.sum(axis=1)
            else:
                n_measured = (~np.isnan(several)).sum(axis=1)
                total = np.nansum(several, axis=1)
                values[n_measured > 0, place] = (total / np.maximum(n_measured, 1))[n_measured > 0]
        return values

    def describe(self, measured: np.ndarray) -> tuple[pd.DataFrame, dict[str, object]]:
        """Describe the landmarks: ``var``, and the fields of :class:`Coverage` as ``uns`` can hold them.

        Parameters
        ----------
        measured
            Of each of the 977, whether any observation has a value; what has none counts as missing.

        Raises
        ------
        PanelError
            If too few are measured.
        """
        there = [place for place in self.columns if measured[place]]
        self.check_coverage(len(there), n_empty=len(self.columns) - len(there))
        var = landmarks().set_index("symbol", drop=False).rename_axis(None)
        var["source_name"] = [
            ";".join(self.sources[place]) if place in self.columns and measured[place] else ""
            for place in range(len(var))
        ]
        kept = dict.fromkeys(there)
        var["status"] = [self.kinds[place] if place in kept else "missing" for place in range(len(var))]
        counts = var["status"].value_counts()
        report = Coverage(
            expected=len(var),
            found=len(there),
            **{status: int(counts.get(status, 0)) for status in STATUSES},
            missing=tuple(var["symbol"][var["status"] == "missing"]),
            duplicated=tuple(var["symbol"].iloc[place] for place in sorted(self.repeated) if place in kept),
            superseded=self.superseded,
        )
        return var, {
            key: np.array(value, dtype=str) if isinstance(value, tuple) else value
            for key, value in dataclasses.asdict(report).items()
        }

    def check_coverage(self, n_found: int, n_empty: int = 0) -> None:
        """Refuse too few landmarks.

        Raises
        ------
        PanelError
            Saying what is the matter with the names or values.
        """
        expected = len(landmarks())
        if n_found and n_found / expected >= self.min_coverage:
            return
        reasons = []
        if n_empty:
            reasons.append(f"{n_empty} landmarks are present but were measured in no sample (all NaN).")
        if self.unmatched:
            reasons.append(
                f"{len(self.unmatched)} of {self.n_names} names match no landmark, the first: "
                f"{_some(self.unmatched)}. Expected human symbols, SYMBOL|ENTREZ, Entrez or Ensembl gene "
                "ids: choose the column that holds them by gene_key."
            )
        raise PanelError(
            f"Only {n_found} of {expected} landmark genes are measured ({n_found / expected:.1%}; at least "
            f"{self.min_coverage:.0%} needed). "
            f"{' '.join(reasons) or f'The table has only {self.n_names} genes.'} "
            "Add the genes that are missing, or lower min_coverage."
        )


def find_columns(names: list[str], min_coverage: float, duplicates: str) -> LandmarkColumns:
    """Find the landmarks among the names of columns; the surest kind of match wins.

    Parameters and errors are those of :func:`sicmir.panel.align`.
    """
    if not 0 <= min_coverage <= 1:
        raise ParameterError(f"min_coverage must lie between 0 and 1, not {min_coverage!r}.")
    matches = [find_landmark(name) for name in names]
    candidates: dict[int, list[tuple[int, str]]] = {}
    for column, match in enumerate(matches):
        if match:
            candidates.setdefault(match[0], []).append((column, match[1]))
    copies = _copies(names, matches)
    columns, kinds, superseded = {}, {}, []
    for place, found in candidates.items():
        best = min((kind for _, kind in found), key=STATUSES.index)
        # Reads of one gene add up, whatever it is called.
        columns[place] = [column for column, kind in found if kind == best or duplicates == "sum"]
        kinds[place] = best
        superseded += [names[column] for column, kind in found if column not in columns[place]]
    for column, place in copies.items():
        if duplicates == "sum":
            columns[place].append(column)
        else:
            superseded.append(names[column])
    unmatched = [
        name
        for column, (name, match) in enumerate(zip(names, matches, strict=True))
        if name and match is None and column not in copies
    ]
    result = LandmarkColumns(
        columns=columns,
        kinds=kinds,
        sources={place: [names[column] for column in found] for place, found in columns.items()},
        superseded=tuple(superseded),
        unmatched=tuple(unmatched),
        n_names=len(names),
        min_coverage=min_coverage,
        duplicates=duplicates,
    )
    _check_species(names, len(columns))
    result.check_coverage(len(columns))
    if result.repeated and duplicates == "error":
        shown = "; ".join(
            f"{landmarks()['symbol'][place]} from {', '.join(result.sources[place])}"
            for place in list(result.repeated)[:_SHOWN]
        )
        raise PanelError(
            f"{len(result.repeated)} landmarks are found in more than one column: {shown}. Drop the wrong "
            'columns, choose Ensembl or Entrez ids by gene_key if var holds them, or give duplicates="sum" '
            '(counts), duplicates="mean" (logarithms, normalised values).'
        )
    return result


def check_observations(names: pd.Index, n_genes: int, has_values: bool = True) -> None:
    """Refuse a table without observations, genes or values, and names that occur twice.

    Raises
    ------
    DataError
        Saying which of these.
    """
    if not len(names) or not n_genes or not has_values:
        raise DataError(
            f"Expected observations x genes with values in X; found {len(names)} observations, "
            f"{n_genes} genes{'' if has_values else ' and no X'}."
        )
    if not names.is_unique:
        twice = names[names.duplicated()].unique()
        raise DataError(
            f"{len(twice)} observation names occur more than once ({_some(twice)}). Rename them, for example "
            "with adata.obs_names_make_unique()."
        )


def _copies(names: list[str], matches: list[tuple[int, str] | None]) -> dict[int, int]:
    """Columns such as ``RB1-1`` beside ``RB1``, and the place in the panel of the latter."""
    places = {name: match[0] for name, match in zip(names, matches, strict=True) if match}
    found = {}
    for column, name in enumerate(names):
        copy = None if matches[column] or not ("-" in name or "." in name) else _COPY.fullmatch(name)
        if copy and copy[1] in places:
            found[column] = places[copy[1]]
    return found


def _check_species(names: list[str], n_found: int) -> None:
    foreign = list(foreign_genes(names))
    if len(foreign) > n_found:
        species = pd.Series([kind for _, kind in foreign]).mode()[0]
        raise PanelError(
            f"The genes look like {species}, not human: {len(foreign)} names such as "
            f"{_some([name for name, _ in foreign])}; {n_found} human landmarks found. Map them to human "
            "orthologues first; upper case alone is no mapping."
        )
    if len(foreign) > MOST_FOREIGN * n_found + _SHOWN:
        raise PanelError(
            f"The genes are those of two species: {n_found} human landmarks, and {len(foreign)} names such "
            f"as {_some([name for name, _ in foreign])}. Keep the human genes, and the cells that are human."
        )


def _some(names: Sequence[str] | pd.Index) -> str:
    more = len(names) - _SHOWN
    return ", ".join(map(str, names[:_SHOWN])) + (f" and {more} more" if more > 0 else "")
