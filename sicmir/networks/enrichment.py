"""Over-representation of gene sets among the targets of a miRNA, with the tested genes as background."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Literal

import anndata as ad
import pandas as pd
from scipy import sparse
from scipy.stats import false_discovery_control, hypergeom

from sicmir.data.catalogue import load
from sicmir.errors import DataError, ParameterError
from sicmir.names.gene_symbols import current_symbols

GeneSets = Mapping[str, Sequence[str]]


def load_gene_sets(source: str | Path) -> dict[str, list[str]]:
    r"""Read gene sets.

    Parameters
    ----------
    source
        ``"ev"``, the signature collection of the manifest (exosome sets among them), or the path of a
        ``.gmt`` file, as MSigDB and others give them.

    Returns
    -------
    dict
        Name of the set -> genes, as the file names them.

    Raises
    ------
    DataError
        If it holds no gene sets.
    ManifestError, FetchError, ReadError, ParameterError
        As :func:`sicmir.data.load` does.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from sicmir.networks import enrichment
    >>> path = pathlib.Path(tempfile.mkdtemp(), "sets.gmt")
    >>> _ = path.write_text("PROTEASOME\tsource\tPSME1\tPSMB8\n")
    >>> enrichment.load_gene_sets(path)
    {'PROTEASOME': ['PSME1', 'PSMB8']}
    """
    found = load(source)
    if not isinstance(found, ad.AnnData) or found.uns["sicmir"].get("modality") != "gene_sets":
        raise DataError(f"{source}: holds no gene sets. Expected 'ev' or the path of a .gmt file.")
    matrix = sparse.csr_matrix(found.X)
    genes = found.var_names.to_numpy()
    return {
        name: genes[matrix.indices[matrix.indptr[row] : matrix.indptr[row + 1]]].tolist()
        for row, name in enumerate(found.obs_names)
    }


def over_representation(
    genes: Iterable[str],
    sets: GeneSets,
    background: Iterable[str],
    *,
    min_size: int = 5,
    max_size: int = 500,
) -> pd.DataFrame:
    """Test whether gene sets have more of the chosen genes than chance gives: hypergeometric, one-sided.

    All names are brought to current symbols first.

    Parameters
    ----------
    genes
        Chosen genes, such as the targets of a hub. Each must be in the background.
    sets
        Gene sets by name.
    background
        All genes that could have been chosen, and no others: genes that were never tested make any set look
        enriched.
    min_size, max_size
        Smallest and largest number of genes of a set in the background.

    Returns
    -------
    DataFrame
        Index ``set``, best first. ``size`` in the background, ``overlap``, ``expected`` overlap, ``p``, ``q``
        (Benjamini-Hochberg over the sets shown) and ``genes`` (;-joined).

    Raises
    ------
    DataError
        If no gene is given, one is not in the background, or no set has a size that fits.
    ParameterError
        If sizes are out of range.

    Examples
    --------
    >>> from sicmir import panel
    >>> from sicmir.networks import enrichment
    >>> genes = panel.landmarks()["symbol"].tolist()
    >>> sets = {"first": genes[:20], "last": genes[-20:]}
    >>> enrichment.over_representation(genes[:10], sets, genes)[["size", "overlap"]]
           size  overlap
    set
    first    20       10
    last     20        0
    """
    if not 1 <= min_size <= max_size:
        raise ParameterError(f"Expected 1 <= min_size <= max_size, found {min_size!r} and {max_size!r}.")
    genes, background = list(genes), list(background)
    current = _current({*genes, *background, *chain.from_iterable(sets.values())})
    chosen, universe = ({current[name] for name in names} for names in (genes, background))
    if not chosen:
        raise DataError("No gene was chosen, so there is nothing to be enriched.")
    outside = sorted(chosen - universe)
    if outside:
        raise DataError(
            f"{len(outside)} of {len(chosen)} chosen genes are not in the background, the first "
            f"{outside[0]}. Expected all tested genes as background."
        )
    rows = {}
    for name, members in sets.items():
        inside = {current[member] for member in members} & universe
        if min_size <= len(inside) <= max_size:
            hits = inside & chosen
            rows[name] = {
                "size": len(inside),
                "overlap": len(hits),
                "expected": len(inside) * len(chosen) / len(universe),
                "p": hypergeom.sf(len(hits) - 1, len(universe), len(inside), len(chosen)),
                "genes": ";".join(sorted(hits)),
            }
    if not rows:
        raise DataError(
            f"None of {len(sets)} gene sets has {min_size} to {max_size} of the {len(universe)} genes of the "
            "background. Are the names human symbols, Entrez or Ensembl ids?"
        )
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("set")
    table.insert(4, "q", false_discovery_control(table["p"].clip(0, 1)))
    return table.sort_values("p", kind="stable")


def target_enrichment(
    edges: pd.DataFrame,
    mirna: str,
    sets: GeneSets,
    *,
    fdr: float = 0.05,
    background: Literal["own", "all"] = "own",
    min_size: int = 5,
    max_size: int = 500,
) -> pd.DataFrame:
    """Gene sets among the targets of one miRNA that fall where it rises.

    Targets of any miRNA are rich in some sets (long 3'UTRs, transcription factors), whatever the data say
    (Bleazard 2015, doi 10.1093/bioinformatics/btv023). The background is therefore the tested targets of the
    same miRNA; with ``"all"`` it is the tested targets of every miRNA.

    Parameters
    ----------
    edges
        As :func:`sicmir.networks.network.edges` gives it.
    mirna
        The miRNA. It must be counted.
    sets, min_size, max_size
        As for :func:`over_representation`.
    fdr
        Largest q of an edge.
    background
        ``"own"`` or ``"all"``.

    Raises
    ------
    ParameterError
        If there is no such miRNA, it is not counted, or an option is out of range.
    DataError
        If it has no edge below ``fdr``, or as :func:`over_representation`.

    Examples
    --------
    >>> import sicmir
    >>> from sicmir.networks import enrichment, network
    >>> mrna, mirna = sicmir.toy.paired_bulk(20, 2, 1800, 20, normal_fraction=0)
    >>> targets = mirna.uns["truth"]["targets"]
    >>> edges = network.edges(mirna, mrna, targets)
    >>> name = edges.sort_values("q")["mirna"].iloc[0]
    >>> own = edges.loc[edges["mirna"] == name, "gene"].tolist()
    >>> enrichment.target_enrichment(edges, name, {"half": own[::2]}, fdr=0.2, min_size=2).index.tolist()
    ['half']
    """
    if background not in ("own", "all") or not 0 < fdr < 1:
        raise ParameterError(
            f"Expected background 'own' or 'all' and fdr between 0 and 1, found {background!r} and {fdr!r}."
        )
    tested = edges[(edges["status"] == "tested") & edges["counted"]]
    own = tested[tested["mirna"] == mirna]
    if own.empty:
        raise ParameterError(f"{mirna!r} has no tested edge that counts; expected a counted miRNA.")
    chosen = own.loc[own["q"] <= fdr, "gene"]
    if chosen.empty:
        raise DataError(f"{mirna} has no edge with q <= {fdr:g}, so there is nothing to be enriched.")
    universe = own["gene"] if background == "own" else tested["gene"].drop_duplicates()
    return over_representation(chosen, sets, universe, min_size=min_size, max_size=max_size)


def _current(names: Iterable[str]) -> dict[str, str]:
    known = current_symbols(names)["current"]
    return known.where(known != "", known.index.to_series()).to_dict()
