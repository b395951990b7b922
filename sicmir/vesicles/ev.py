"""Extracellular vesicles: gene sets of their making and of RISC, and which miRNAs were reported in them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Literal, get_args

import numpy as np
import pandas as pd

from sicmir import paths
from sicmir.errors import ParameterError

Evidence = Literal["studies", "motifs", "none"]
"""What :func:`sorting_prior` goes by."""


@cache
def _genes() -> pd.DataFrame:
    return pd.read_csv(paths.reference("ev_genes.csv"), keep_default_na=False)


@cache
def _mirna() -> pd.DataFrame:
    return pd.read_csv(paths.reference("ev_mirna.csv.gz"), keep_default_na=False).set_index("name")


def gene_sets() -> dict[str, tuple[str, ...]]:
    """Shipped gene sets: ``biogenesis`` of vesicles in the sender, ``risc`` in the receiver.

    ``biogenesis`` (21 genes) is the term GO:0140112 without CD34, which would mark endothelium rather than
    vesicles; one of its genes, RAB27A, is a landmark. ``risc`` (10 genes) is AGO1-4, TNRC6A-C, DICER1, TARBP2
    and PRKRA. They say how much mRNA of a machinery there is, not how much of it works.

    Returns
    -------
    dict
        Name of the set -> current symbols.

    References
    ----------
    Ashburner et al. 2000, doi:10.1038/75556 (Gene Ontology); Zeng et al. 2021,
    doi:10.3389/fimmu.2021.687975 (IOBR, which lists the term); Gebert and MacRae 2019,
    doi:10.1038/s41580-018-0045-7 (RISC).
    """
    return {str(name): tuple(part["gene"]) for name, part in _genes().groupby("set", sort=False)}


def mirna_evidence() -> pd.DataFrame:
    """Whether each mature miRNA was reported in human vesicles, and which sorting motifs its sequence holds.

    Returns
    -------
    DataFrame
        Index mature miRNA (miRBase v22). ``studies``: publications in Vesiclepedia that report it in human
        vesicles; ``exo_motifs`` and ``cell_motifs`` (;-joined) found in its sequence, looked for in the
        1,298 miRNAs of the published tool only (``searched``). A copy.

    References
    ----------
    Kalra et al. 2012, doi:10.1371/journal.pbio.1001450 (Vesiclepedia); Villarroya-Beltri et al. 2013,
    doi:10.1038/ncomms3980 (GGAG, CCCU); Santangelo et al. 2016, doi:10.1016/j.celrep.2016.09.031 (GGCU);
    Wozniak et al. 2020, doi:10.1083/jcb.201912074 (AAUGC); Garcia-Martin et al. 2022,
    doi:10.1038/s41586-021-04234-3 (CGGGAG; AGAAC for retention).
    """
    return _mirna().copy()


def glioma_mirnas() -> pd.DataFrame:
    """Give miRNAs that were reported in vesicles of glioblastoma cells, one row for each and publication.

    Returns
    -------
    DataFrame
        ``mirna`` (mature, miRBase v22; 5p or 3p as most reads go, where the publication names no arm),
        ``pmid``, ``cells`` (cells of tumours, or a cell line) and ``vesicles``, as Vesiclepedia lists them.
        Reported is not sorted: what is abundant in a cell is found in its vesicles too.

    References
    ----------
    Kalra et al. 2012, doi:10.1371/journal.pbio.1001450 (Vesiclepedia).
    """
    return pd.read_csv(paths.reference("glioma_ev_mirna.csv"))


def transfers() -> pd.DataFrame:
    """Transfers of a miRNA between cell types of a glioma by vesicles that are published.

    Returns
    -------
    DataFrame
        ``sender, receiver, mirna, statement, source, doi``.
    """
    return pd.read_csv(paths.reference("vesicle_transfers.csv"))


def sorting_prior(mirnas: Sequence[str] | pd.Index, evidence: Evidence = "studies") -> pd.Series:
    """Weak prior, from 0.5 to 1, that a mature miRNA gets into vesicles at all.

    It can at most halve a miRNA's standing, and it is no truth about sorting. ``studies``: 1 - 0.5 / (1 + n)
    for n publications, so 0.5 for none, 0.75 for one, 0.9 for four; much studied and abundant miRNAs are
    reported more often. ``motifs``: 1 with an EXO motif and no CELL motif, 0.5 the other way round, 0.75
    for all others and those not looked at; motifs were found in a few cell types, and four letters turn up
    by chance in one of seven miRNAs. ``none``: 1 for all. Ratios of vesicles to cells are not used, because
    those at hand compare different laboratories.

    Parameters
    ----------
    mirnas
        Mature names of miRBase v22.
    evidence
        As above.

    Returns
    -------
    Series
        Index ``mirnas``.

    Raises
    ------
    ParameterError
        If there is no such evidence.
    """
    if evidence not in get_args(Evidence):
        raise ParameterError(f"sorting should be one of {', '.join(get_args(Evidence))}; found {evidence!r}.")
    known = _mirna().reindex(mirnas)
    if evidence == "none":
        prior = np.ones(len(known))
    elif evidence == "studies":
        prior = 1 - 0.5 / (1 + known["studies"].fillna(0).to_numpy(dtype=float))
    else:
        out, kept = (known[name].fillna("").ne("").to_numpy() for name in ("exo_motifs", "cell_motifs"))
        prior = 0.75 + 0.25 * (out.astype(float) - kept)
    return pd.Series(prior, index=pd.Index(mirnas), name="sorting")
