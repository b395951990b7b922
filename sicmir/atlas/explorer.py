"""The explorer: an atlas as static pages that work from any web server, and from disk without a network."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable
from importlib import resources
from itertools import chain
from math import ceil
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

from tqdm import tqdm

from sicmir import __version__, paths
from sicmir.atlas import record as records
from sicmir.atlas import shards, store
from sicmir.atlas.query import Atlas
from sicmir.errors import ParameterError
from sicmir.trust import GRADES

PAGES = (
    *("index.html", "explorer.css", "load.js", "table.js", "draw.js", "parts.js", "effects.js"),
    *("mirna.js", "cell_type.js", "gene.js", "explorer.js"),
)
"""Files of the package that are the same for every atlas."""


def write(
    folder: str | Path,
    out: str | Path,
    *,
    title: str = "miRNA atlas",
    back: str = "",
    synthetic: bool | Collection[str] = False,
    across: Literal["random", "fixed"] = "random",
    progress: bool = True,
) -> Path:
    """Write the explorer of an atlas.

    The pages hold what :mod:`sicmir.atlas.expression`, :mod:`sicmir.atlas.meta` and
    :mod:`sicmir.atlas.links` answer, rounded, cut to :mod:`sicmir.atlas.shards`: a page loads the index and
    the shard it shows. The folder appears when it is whole. The same store and version give the same bytes.

    Parameters
    ----------
    folder
        Of the store; "" takes that of the environment variable ``SICMIR_ATLAS``.
    out
        Folder to write. An explorer that is there is replaced; any other folder is refused, unless empty.
    title
        Heading of the pages.
    back
        Address of a page that they link back to, such as ``../index.html``; "" for none.
    synthetic
        Whether the cells are made up, or the data sets whose cells are, where the registry does not say so
        already.
    across
        How markers and differences are combined over data sets, as for :func:`sicmir.atlas.meta.markers`.
    progress
        Show a progress bar on stderr.

    Returns
    -------
    The first page.

    Raises
    ------
    ParameterError
        If there is no folder, ``out`` holds something else, or ``synthetic`` names an unknown data set.
    ReadError
        If the store is empty or damaged.
    WriteError
        If the pages cannot be written.
    """
    place = Path(out).expanduser().resolve()
    _check_out(place)
    source = paths.atlas(folder)
    with Atlas(source) as atlas:
        made_up = _synthetic(atlas, synthetic)
        facts = _facts(atlas, title=title, back=back, across=across)
        checksums = [
            records.read_record(store.partition(source, name))["sha256"] for name in atlas.registry["dataset"]
        ]
        # All that the numbers and pages depend on: a browser that kept a shard of other settings asks anew.
        stamped = json.dumps([facts, sorted(made_up), checksums], sort_keys=True)
        stamp = hashlib.sha256(stamped.encode()).hexdigest()[:12]
        made = shards.profiles(atlas)
        contrasts, tables = shards.differences(atlas, across)
        n_genes = len(shards.genes(atlas))
        total = (
            1 + len(made.mirnas) + len(atlas.values("cell_type")) + len(tables) + ceil(n_genes / shards.GENES)
        )
        parts = chain(
            [("index", shards.index(atlas, made, contrasts, made_up, facts))],
            shards.mirna_shards(atlas, made),
            shards.cell_type_shards(atlas, across),
            shards.difference_shards(tables),
            shards.gene_shards(atlas),
        )
        shown = tqdm(parts, desc="Pages of the atlas", unit="file", total=total, disable=not progress)
        with paths.writing(place):
            _write(place, stamp, shown)
    return place / "index.html"


def _synthetic(atlas: Atlas, synthetic: bool | Collection[str]) -> set[str]:
    """Names of the data sets that are made up."""
    names = set(atlas.registry["dataset"])
    known = set(atlas.registry.loc[atlas.registry["synthetic"], "dataset"])
    if isinstance(synthetic, str):
        synthetic = [synthetic]
    if isinstance(synthetic, bool):
        return names if synthetic else known
    unknown = set(synthetic) - names
    if unknown:
        raise ParameterError(
            f"synthetic names {', '.join(sorted(unknown))}; the atlas holds {', '.join(sorted(names))}."
        )
    return known | set(synthetic)


def _facts(atlas: Atlas, **told: str) -> dict[str, Any]:
    level = atlas.model["interval_level"]
    return told | {
        "model": atlas.model["id"],
        "level": atlas.model["level"],
        "interval": None if level is None else round(100 * level),
        "min_grade": shards.min_grade(atlas),
        "version": __version__,
        "grades": {grade.grade: grade.meaning for grade in GRADES.values()},
    }


def _check_out(place: Path) -> None:
    if place.exists() and not (place.is_dir() and (_is_explorer(place) or not any(place.iterdir()))):
        raise ParameterError(
            f"{place} is there and is no explorer; nothing was written. Name a new folder, or an empty one."
        )


def _is_explorer(place: Path) -> bool:
    return (place / "index.html").is_file() and (place / "shards" / "index.js").is_file()


def _write(place: Path, stamp: str, parts: Iterable[tuple[str, dict[str, Any]]]) -> None:
    """Write all files to a folder beside the place, then move it there."""
    place.parent.mkdir(parents=True, exist_ok=True)
    mark = uuid4().hex[:8]
    fresh, old = (place.with_name(f".{place.name}.{mark}.{kind}") for kind in ("new", "old"))
    try:
        (fresh / "shards").mkdir(parents=True)
        web = resources.files("sicmir.atlas") / "web"
        for name in PAGES:
            (fresh / name).write_bytes((web / name).read_bytes())
        for key, tables in parts:
            text = shards.script(key, stamp, tables)
            (fresh / "shards" / f"{key}.js").write_text(text, encoding="ascii", newline="\n")
        _check_out(place)
        if place.exists():
            place.rename(old)
        try:
            fresh.rename(place)
        except BaseException:  # also where the user stops it: no moment may leave neither
            if old.exists() and not place.exists():
                old.rename(place)
            raise
        paths.remove(old)
    finally:
        paths.remove(fresh)
