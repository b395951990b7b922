"""Targets of miRNAs: versioned tables with current names, without the genes that predictions are made from.

A miRNA that was predicted from the 977 landmark genes is associated with them by construction. A network of
predicted miRNAs and those genes shows the predictor and not biology (the circularity of imputed networks:
Andrews & Hemberg 2018, doi 10.12688/f1000research.16613.2). Landmarks are therefore left out by default.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd

from sicmir import panel
from sicmir.data.catalogue import load
from sicmir.data.manifest import load_manifest
from sicmir.data.parsed import read_entry
from sicmir.errors import DataError, PanelError, ParameterError
from sicmir.names.gene_symbols import current_symbols
from sicmir.networks.target_pairs import check_columns

SOURCES = {"mirtarbase": "targets/miRTarBase_SE_WR.csv", "targetscan": "targets/TScan.rda"}
"""Names of the target tables of the manifest (data set ``targets``), and the file of each."""

COLUMNS = ("mirna", "gene", "evidence", "source", "version")
_STRICT = "Functional MTI"
_HUMAN = "hsa"
_SHOWN = 5


def load_targets(
    source: str | Path, *, strict: bool = True, outside_panel: bool = True
) -> tuple[pd.DataFrame, pd.DataFrame]:
    r"""Read a target table and bring its names to those of today.

    Parameters
    ----------
    source
        ``"mirtarbase"``: interactions with strong evidence (reporter assay, western blot);
        ``"targetscan"``: conserved sites of TargetScan 7; or the path of a table of your own with the columns
        ``mirna`` and ``gene``, if wanted ``evidence`` and ``weight`` (a number above 0). A ``mirna`` may also
        be a family of TargetScan, such as ``miR-17-5p/20-5p/93-5p``, which stands for all its members.
    strict
        Of miRTarBase, take the support type ``Functional MTI`` alone, and not the weak one.
    outside_panel
        Leave out the 977 landmarks.

    Returns
    -------
    table
        One row a pair, sorted. ``mirna``: mature, name of miRBase v22; ``gene``: HGNC symbol, or as in the
        source where it is not known to HGNC; ``evidence``, ;-joined over rows of the source; ``source``;
        ``version``, with the start of the file's checksum; ``n_records``, rows of the source; ``weight`` only
        where the source has it (the largest of a pair's).
    report
        What became of the rows: index ``step``, columns ``n_rows``, ``n_names`` and ``examples``. Rows whose
        miRNA is unknown, ambiguous or not in miRBase any more are left out and counted here; genes unknown to
        HGNC are kept and counted.

    Raises
    ------
    ParameterError
        If ``source`` is neither a known name nor a file.
    PanelError
        If no miRNA is known, or the names are of stem-loops.
    DataError
        If no pair is left, or the table cannot be used.
    ReadError, FetchError
        If the file cannot be read or had.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from sicmir.networks import targets
    >>> path = pathlib.Path(tempfile.mkdtemp(), "targets.csv")
    >>> _ = path.write_text("mirna,gene\nhsa-miR-21-5p,PDCD4\nhsa-miR-21-5p,RECK\n")
    >>> table, report = targets.load_targets(path)
    >>> table[["mirna", "gene"]]
               mirna   gene
    0  hsa-miR-21-5p  PDCD4
    1  hsa-miR-21-5p   RECK
    """
    adata, name = _read(source)
    frame = adata.obs.reset_index(drop=True)
    for column in frame.columns.drop("weight", errors="ignore"):
        frame[column] = frame[column].astype(str)
    steps = [_step("read", frame, "mirna")]
    if "species" in frame:
        steps.append(_step("gene of another species: left out", frame[frame["species"] != _HUMAN], "gene"))
        frame = frame[frame["species"] == _HUMAN]
    if strict and "support" in frame:
        weak = frame["support"] != _STRICT
        steps.append(_step("weak evidence: left out", frame[weak], "mirna"))
        frame = frame[~weak]
    frame, found = _current_mirnas(frame, name)
    steps += found
    frame, landmark, found = _current_genes(frame)
    steps += found
    if outside_panel:
        steps.append(_step("landmark gene: left out", frame[landmark], "gene"))
        frame = frame[~landmark]
    if frame.empty:
        raise DataError(
            f"{name}: no pair is left. {'; '.join(f'{step[0]}: {step[1]} rows' for step in steps)}."
        )
    record = adata.uns["sicmir"]
    checksum = str(record["sources"]["checksum"].iloc[0]).split(":")[-1][:12]
    release = str(record["release"]) or "not stated"
    table = _merged(frame).assign(source=str(record["source"]), version=f"{release} ({checksum})")
    steps.append(_step("pairs, duplicates merged", table, "mirna"))
    rest = [column for column in table if column not in COLUMNS]
    report = pd.DataFrame(steps, columns=["step", "n_rows", "n_names", "examples"]).set_index("step")
    return table[[*COLUMNS, *rest]], report


def to_stem_loops(targets: pd.DataFrame, min_r: float = 0.9) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Let stem-loops stand in for their major arm, for miRNA that was measured or predicted as stem-loops.

    A stem-loop is taken for its mature miRNA where that has one locus, is the arm with the larger share of
    the reads, and correlates with the stem-loop (:func:`sicmir.panel.single_locus`). The label of what was
    replaced stays in the table, so that a figure can say it.

    Parameters
    ----------
    targets
        With the columns ``mirna`` (mature) and ``gene``.
    min_r
        Smallest Pearson correlation of stem-loop and mature miRNA, from 0 to 1.

    Returns
    -------
    table
        As ``targets``, ``mirna`` being the stem-loop; ``mature`` and ``r_stemloop`` are added.
    report
        As for :func:`load_targets`; the mature miRNAs that no stem-loop can stand for are named.

    Raises
    ------
    ParameterError
        If ``min_r`` is out of range.
    PanelError
        If no miRNA can be mapped.

    Examples
    --------
    >>> import pandas
    >>> from sicmir.networks import targets
    >>> table = pandas.DataFrame({"mirna": ["hsa-miR-21-5p"], "gene": ["PDCD4"]})
    >>> targets.to_stem_loops(table)[0][["mirna", "mature"]]
            mirna         mature
    0  hsa-mir-21  hsa-miR-21-5p
    """
    if not 0 <= min_r <= 1:
        raise ParameterError(f"min_r should lie between 0 and 1, found {min_r!r}.")
    check_columns(targets)
    known = panel.single_locus()
    major = known.sort_values("arm_share", kind="stable").drop_duplicates("stem_loop", keep="last")
    major = major[major["r_stemloop"] >= min_r].set_index("mature")
    inside = targets["mirna"].isin(major.index)
    if not inside.any():
        raise PanelError(
            f"None of {targets['mirna'].nunique()} miRNAs ({_some(targets['mirna'])}) is a mature miRNA with "
            f"a stem-loop that stands for it at r >= {min_r:g}. Expected mature names of miRBase v22."
        )
    table = targets[inside].copy()
    table["mature"] = table["mirna"]
    table["r_stemloop"] = table["mirna"].map(major["r_stemloop"])
    table["mirna"] = table["mirna"].map(major["stem_loop"])
    steps = [
        _step("read", targets, "mirna"),
        _step("no stem-loop stands for it: left out", targets[~inside], "mirna"),
        _step("stem-loop in place of its major arm", table, "mirna"),
    ]
    report = pd.DataFrame(steps, columns=["step", "n_rows", "n_names", "examples"]).set_index("step")
    return table.reset_index(drop=True), report


def _read(source: str | Path) -> tuple[ad.AnnData, str]:
    name = str(source)
    if name in SOURCES:
        entry = next(entry for entry in load_manifest()["targets"].files if entry.name == SOURCES[name])
        return read_entry(entry), name
    if not Path(name).expanduser().is_file():
        raise ParameterError(
            f"targets {name!r}: expected {' or '.join(map(repr, SOURCES))}, or the path of a table with the "
            "columns mirna and gene; there is no such file."
        )
    adata = load(name, reader="target_list")
    assert isinstance(adata, ad.AnnData)
    return adata, name


def _current_mirnas(frame: pd.DataFrame, name: str) -> tuple[pd.DataFrame, list[tuple[str, int, int, str]]]:
    """Put today's mature names, one row for each member of a family."""
    given = frame["mirna"].unique().tolist()
    known = panel.current_mirna_names(given, "mature")
    members = _family_members(known.index[known["status"] == "unknown"])
    status = frame["mirna"].map(known["status"]).mask(frame["mirna"].isin(members.index), "family")
    usable = status.isin(["current", "renamed", "family"])
    if not usable.any():
        stem_loops = panel.current_mirna_names(given, "stem-loop")["status"].isin(["current", "renamed"])
        raise PanelError(
            f"{name}: none of {len(given)} miRNAs ({_some(given)}) is a human mature miRNA"
            + (
                f"; {int(stem_loops.sum())} are stem-loops, of which targets cannot be told: name the arm, "
                "such as hsa-miR-21-5p."
                if stem_loops.any()
                else ". Expected names such as hsa-miR-21-5p: check species and spelling."
            )
        )
    steps = [
        _step(f"miRNA {kind}: left out", frame[status == kind], "mirna")
        for kind in ("unknown", "ambiguous", "removed")
    ]
    steps += [
        _step("miRNA renamed", frame[status == "renamed"], "mirna"),
        _step("family put as its members", frame[status == "family"], "mirna"),
    ]
    names = known.loc[known["current"] != "", "current"].map(lambda current: [current])
    frame = frame[usable].assign(mirna=frame["mirna"].map(pd.concat([names, members])))
    return frame.explode("mirna", ignore_index=True), steps


def _family_members(names: Iterable[str]) -> pd.Series:
    """Mature miRNAs of each name that is a family of TargetScan, with or without the prefix ``hsa-``."""
    mature = panel.mirnas().query("level == 'mature' and family != ''")
    families = mature.assign(family=mature["family"].str.split(";")).explode("family")
    members = families.groupby("family")["name"].agg(list)
    found = {name: name.removeprefix("hsa-") for name in names}
    return pd.Series(
        {name: members[family] for name, family in found.items() if family in members}, dtype=object
    )


def _current_genes(frame: pd.DataFrame) -> tuple[pd.DataFrame, pd.Series, list[tuple[str, int, int, str]]]:
    """Put HGNC symbols where they are known, the Entrez id deciding, and tell landmarks."""
    names = frame["gene"]
    if "entrez" in frame:
        composite = (names + "|" + frame["entrez"]).where(frame["entrez"] != "", names)
        known = current_symbols(composite.unique())
        names = composite.where(composite.map(known["status"]) != "unknown", names)
    known = current_symbols(names.unique())
    current = names.map(known["current"])
    unsure = names.map(known["status"]).isin(["unknown", "ambiguous"])
    steps = [
        _step("gene renamed", frame[~unsure & (current != frame["gene"])], "gene"),
        _step("gene unknown to HGNC: kept as it is", frame[unsure], "gene"),
    ]
    landmark = names.map(known["landmark"]).astype(bool)
    return frame.assign(gene=current.where(~unsure, frame["gene"])), landmark, steps


def _merged(frame: pd.DataFrame) -> pd.DataFrame:
    """One row a pair, its evidence joined."""
    pair = ["mirna", "gene"]
    parts = frame[[*pair, "evidence"]].assign(evidence=frame["evidence"].str.split(";")).explode("evidence")
    parts = parts.drop_duplicates()
    # Few pairs have several kinds of evidence, and joining 200,000 pairs one by one takes half a minute.
    several = parts.duplicated(pair, keep=False)
    joined = parts[several].groupby(pair)["evidence"].agg(";".join)
    joined = pd.concat([parts[~several].set_index(pair)["evidence"], joined]).sort_index()
    groups = frame.groupby(pair)
    table = joined.to_frame().assign(n_records=groups.size())
    if "weight" in frame:
        table["weight"] = groups["weight"].max()
    return table.reset_index()


def _step(what: str, rows: pd.DataFrame, column: str) -> tuple[str, int, int, str]:
    names = rows[column].unique()
    return what, len(rows), len(names), _some(names)


def _some(names: Sequence[str] | pd.Series | np.ndarray) -> str:
    unique = list(dict.fromkeys(names))
    more = len(unique) - _SHOWN
    return ", ".join(map(str, unique[:_SHOWN])) + (f" and {more} more" if more > 0 else "")
