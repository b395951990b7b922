"""The 977 landmark genes: find them in any human table under symbols, aliases, Entrez or Ensembl ids."""

from __future__ import annotations

import copy
import dataclasses
from typing import Literal

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import sparse

from sicmir.errors import DataError, PanelError, ParameterError
from sicmir.gene_names import STATUSES, find_landmark, foreign_genes, landmarks, read_names
from sicmir.mirna_names import current_mirna_names, level_of, mirnas, single_locus

__all__ = [
    "Coverage",
    "align",
    "coverage",
    "current_mirna_names",
    "landmarks",
    "level_of",
    "mirnas",
    "single_locus",
]

_SHOWN = 5


@dataclasses.dataclass(frozen=True)
class Coverage:
    """How many landmarks were found in a table, and through which kind of name.

    ``missing`` landmarks are absent or NaN in every observation. ``duplicated`` landmarks were merged from
    several columns. ``superseded`` columns also name a landmark, but a surer match for it was there.
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


def align(
    adata: AnnData,
    min_coverage: float = 0.5,
    duplicates: Literal["error", "sum", "mean"] = "error",
    gene_key: str = "",
) -> AnnData:
    """Bring a table to the 977 landmarks, in panel order. What was not measured becomes NaN, never a number.

    Parameters
    ----------
    adata
        Observations x genes, dense or sparse, any unit. Genes are human symbols (old or new),
        ``SYMBOL|ENTREZ``, Entrez ids or Ensembl ids, mixed if need be. It is not changed.
    min_coverage
        Least share of the 977 that must be found, 0 to 1. At least one must be found in any case.
    duplicates
        What to do with several columns of one landmark: "error"; "sum", for counts (NaN if one is NaN);
        "mean", for everything else (over those that are not NaN).
    gene_key
        Column of ``adata.var`` that holds the names, such as ``gene_ids`` or ``feature_name``. Entries may be
        missing there. "" takes ``var_names``.

    Returns
    -------
    AnnData
        Observations x 977, dense float32, ``obs`` and ``uns["sicmir"]`` carried over. ``var``:
        :func:`landmarks` and ``source_name`` (column it came from, ;-joined if merged), ``status`` (symbol |
        alias | entrez | ensembl | missing). ``uns["sicmir"]["coverage"]``: see :func:`coverage`. A column
        that is NaN in every observation counts as missing, so aligning twice gives the same values.

    Raises
    ------
    PanelError
        Another species, coverage below ``min_coverage``, duplicates with ``duplicates="error"``, names that
        are empty or no text, no ``gene_key`` column.
    DataError
        No observations or no genes, duplicated observation names, sums of logarithms or of negative values.
    ParameterError
        ``min_coverage`` or ``duplicates`` out of range.
    """
    if not 0 <= min_coverage <= 1:
        raise ParameterError(f"min_coverage must lie between 0 and 1, not {min_coverage!r}.")
    if duplicates not in ("error", "sum", "mean"):
        raise ParameterError(f'duplicates must be "error", "sum" or "mean", not {duplicates!r}.')
    _check_table(adata)
    names = read_names(adata, gene_key)
    matches = [find_landmark(name) for name in names]
    columns, kinds, superseded = _assign(names, matches)
    _check_species(names, len(columns))
    _check_coverage(names, matches, len(columns), min_coverage)
    repeated = {place: found for place, found in columns.items() if len(found) > 1}
    if repeated and duplicates == "error":
        shown = "; ".join(
            f"{landmarks()['symbol'][place]} from {', '.join(names[column] for column in found)}"
            for place, found in list(repeated.items())[:_SHOWN]
        )
        raise PanelError(
            f"{len(repeated)} landmarks are found in more than one column: {shown}. Drop the wrong columns, "
            'choose Ensembl or Entrez ids by gene_key if var holds them, or give duplicates="sum" (counts), '
            'duplicates="mean" (logarithms, normalised values).'
        )
    if repeated and duplicates == "sum":
        _check_summable(adata, repeated)
    values = _pick(adata, columns, duplicates)
    empty = [place for place in columns if np.isnan(values[:, place]).all()]
    for place in empty:
        del columns[place], kinds[place]
    _check_coverage(names, matches, len(columns), min_coverage, n_empty=len(empty))

    var = landmarks().set_index("symbol", drop=False).rename_axis(None)
    var["source_name"] = [
        ";".join(names[column] for column in columns.get(place, ())) for place in range(len(var))
    ]
    var["status"] = [kinds.get(place, "missing") for place in range(len(var))]
    counts = var["status"].value_counts()
    report = Coverage(
        expected=len(var),
        found=len(columns),
        **{status: int(counts.get(status, 0)) for status in STATUSES},
        missing=tuple(var["symbol"][var["status"] == "missing"]),
        duplicated=tuple(var["symbol"].iloc[place] for place in sorted(repeated) if place in columns),
        superseded=tuple(superseded),
    )
    uns = copy.deepcopy(dict(adata.uns.get("sicmir", {})))
    uns["coverage"] = {
        key: np.array(value, dtype=str) if isinstance(value, tuple) else value
        for key, value in dataclasses.asdict(report).items()
    }
    return AnnData(X=values, obs=adata.obs.copy(), var=var, uns={"sicmir": uns})


def coverage(aligned: AnnData) -> Coverage:
    """Read the coverage that :func:`align` recorded in ``uns["sicmir"]["coverage"]``.

    Raises
    ------
    PanelError
        If the table was not made by :func:`align`.
    """
    record = aligned.uns.get("sicmir", {}).get("coverage")
    if record is None:
        raise PanelError('uns["sicmir"] holds no coverage: align the table with sicmir.panel.align first.')
    lists = {"missing", "duplicated", "superseded"}
    return Coverage(
        **{key: tuple(map(str, value)) if key in lists else int(value) for key, value in record.items()}
    )


def _check_table(adata: AnnData) -> None:
    if 0 in adata.shape or adata.X is None:
        raise DataError(
            f"Expected observations x genes with values in X; found {adata.n_obs} observations, "
            f"{adata.n_vars} genes{'' if adata.X is not None else ' and no X'}."
        )
    if not adata.obs_names.is_unique:
        twice = adata.obs_names[adata.obs_names.duplicated()].unique()
        raise DataError(
            f"{len(twice)} observation names occur more than once ({_some(twice)}). Rename them, for example "
            "with adata.obs_names_make_unique()."
        )


def _assign(
    names: list[str], matches: list[tuple[int, str] | None]
) -> tuple[dict[int, list[int]], dict[int, str], list[str]]:
    """Columns of each landmark found, the kind of match, and names that lost to a surer kind."""
    candidates: dict[int, list[tuple[int, str]]] = {}
    for column, match in enumerate(matches):
        if match:
            candidates.setdefault(match[0], []).append((column, match[1]))
    columns, kinds, superseded = {}, {}, []
    for place, found in candidates.items():
        best = min((kind for _, kind in found), key=STATUSES.index)
        columns[place] = [column for column, kind in found if kind == best]
        kinds[place] = best
        superseded += [names[column] for column, kind in found if kind != best]
    return columns, kinds, superseded


def _check_species(names: list[str], n_found: int) -> None:
    foreign = list(foreign_genes(names))
    if len(foreign) > n_found:
        species = pd.Series([kind for _, kind in foreign]).mode()[0]
        raise PanelError(
            f"The genes look like {species}, not human: {len(foreign)} names such as "
            f"{_some([name for name, _ in foreign])}; {n_found} human landmarks found. Map them to human "
            "orthologues first; upper case alone is no mapping."
        )


def _check_coverage(
    names: list[str],
    matches: list[tuple[int, str] | None],
    n_found: int,
    min_coverage: float,
    n_empty: int = 0,
) -> None:
    expected = len(landmarks())
    if n_found and n_found / expected >= min_coverage:
        return
    unmatched = [name for name, match in zip(names, matches, strict=True) if name and match is None]
    reasons = []
    if n_empty:
        reasons.append(f"{n_empty} landmarks are present but were measured in no sample (all NaN).")
    if unmatched:
        reasons.append(
            f"{len(unmatched)} of {len(names)} names match no landmark, the first: {_some(unmatched)}. "
            "Expected human symbols, SYMBOL|ENTREZ, Entrez or Ensembl gene ids: choose the column that holds "
            "them by gene_key."
        )
    raise PanelError(
        f"Only {n_found} of {expected} landmark genes are measured ({n_found / expected:.1%}; at least "
        f"{min_coverage:.0%} needed). {' '.join(reasons) or f'The table has only {len(names)} genes.'} "
        "Add the genes that are missing, or lower min_coverage."
    )


def _check_summable(adata: AnnData, repeated: dict[int, list[int]]) -> None:
    units = str(adata.uns.get("sicmir", {}).get("units", ""))
    if "log" in units.lower():
        raise DataError(f'duplicates="sum" cannot add logarithms (units {units}): use duplicates="mean".')
    if (_dense(adata, [column for found in repeated.values() for column in found]) < 0).any():
        raise DataError(
            'duplicates="sum" is for counts, but there are negative values: use duplicates="mean".'
        )


def _dense(adata: AnnData, columns: list[int]) -> np.ndarray:
    picked = adata[:, columns].X
    return picked.toarray() if sparse.issparse(picked) else np.asarray(picked)


def _pick(adata: AnnData, columns: dict[int, list[int]], duplicates: str) -> np.ndarray:
    """Values of the landmarks, n x 977 float32, NaN where a landmark has no column."""
    values = np.full((adata.n_obs, len(landmarks())), np.nan, dtype=np.float32)
    single = {place: found[0] for place, found in columns.items() if len(found) == 1}
    values[:, list(single)] = _dense(adata, list(single.values()))
    for place, found in columns.items():
        if len(found) > 1:
            several = _dense(adata, found).astype(np.float64)
            if duplicates == "sum":
                values[:, place] = several.sum(axis=1)
            else:
                n_measured = (~np.isnan(several)).sum(axis=1)
                total = np.nansum(several, axis=1)
                values[n_measured > 0, place] = (total / np.maximum(n_measured, 1))[n_measured > 0]
    return values


def _some(names: list[str] | pd.Index) -> str:
    more = len(names) - _SHOWN
    return ", ".join(map(str, names[:_SHOWN])) + (f" and {more} more" if more > 0 else "")
