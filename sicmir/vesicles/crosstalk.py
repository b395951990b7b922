"""Crosstalk by vesicles: which cell types could send which miRNA to which, ranked, with donors as units.

What such a score can show: that in the same donors a sender has much of a miRNA and of the machinery that
makes vesicles, while in a receiver the targets of that miRNA are lower than comparable genes and the
machinery of repression is there. What it cannot show: that anything was sent. **No vesicle is measured.**
The miRNA is predicted from mRNA, mRNA of a machinery is not its activity, cell types that never meet are
scored like neighbours, and targets may be low for any other reason: the receiver's own miRNA (a row says so
where it has as much), transcription, or because they are high in the sender and everything else is low beside
it. The table is a list of hypotheses in an order worth testing, not a list of findings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy.stats import spearmanr

from sicmir.errors import ParameterError
from sicmir.vesicles import ev
from sicmir.vesicles.crosstalk_permutation import permute
from sicmir.vesicles.crosstalk_table import add_p, floor_note, pairs_of, row_notes, score_table
from sicmir.vesicles.crosstalk_terms import TERMS, Terms, check_terms, measure

__all__ = ["TERMS", "Crosstalk", "ablation", "crosstalk", "summarise_pairs"]


@dataclass(frozen=True, eq=False)
class Crosstalk:
    """Result of :func:`crosstalk`.

    Attributes
    ----------
    table
        A row for each sender, receiver and miRNA, the best score first; see :func:`crosstalk`.
    coverage
        Index (donor, cell_type): ``n_cells``, ``n_mirna_rows``, ``n_abstained``, ``status`` (used, too few
        cells, no miRNA, all abstained, alone in its donor).
    notes
        What was left out and why, in sentences.
    terms
        What was measured, for :func:`ablation`.
    """

    table: pd.DataFrame
    coverage: pd.DataFrame
    notes: tuple[str, ...]
    terms: Terms


def crosstalk(
    cells: AnnData,
    mirna: AnnData,
    targets: pd.DataFrame | None = None,
    *,
    donor_key: str = "donor",
    cell_type_key: str = "cell_type",
    terms: Sequence[str] = TERMS,
    min_grade: str = "B",
    min_cells: int = 10,
    min_targets: int = 10,
    n_permutations: int = 10_000,
    seed: int = 0,
    sorting: ev.Evidence | pd.Series = "studies",
    gene_sets: Mapping[str, Sequence[str]] | None = None,
    self_pairs: bool = False,
    layer: str = "",
    units: str = "",
    gene_key: str = "",
    progress: bool = True,
) -> Crosstalk:
    """Score every sender, receiver and miRNA, and test the scores by permuting cell types within donors.

    **Score.** For each donor, the geometric mean of up to six terms:

    - ``biogenesis``: genes of vesicle biogenesis in the sender, as z against genes of like expression;
    - ``abundance``: the miRNA in the sender, log2(RPM+1);
    - ``sorting``: weak prior that the miRNA gets into vesicles (:func:`sicmir.vesicles.ev.sorting_prior`);
    - ``trust``: how well the miRNA is predicted, by its grade
      (:func:`sicmir.vesicles.crosstalk_mirna.trust_weights`; 1 where it was measured);
    - ``risc``: genes of RISC in the receiver, as z;
    - ``repression``: how much lower the miRNA's targets are in the receiver than genes of like expression
      that are not its targets, as z (:func:`sicmir.networks.matched_genes.matched_z`), landmarks left out.

    All but the priors, sorting and trust, are replaced by the surprisal of their rank within the donor (see
    :func:`sicmir.vesicles.crosstalk_permutation.sides`), so that no unit outweighs another. A product and not
    a sum, because each step is needed: much of a miRNA does not make up for a sender without vesicles. The
    score is the mean over the donors that have both cell types; about 0.7 where all ranks are in the middle
    and the priors are 1.

    **p-values**, from ``n_permutations`` permutations of whole profiles among a donor's cell types:

    - ``p_score``, ``q_score``: of the score. What it refutes is that cell types are mere labels, which nobody
      believes: it is small wherever one side is extreme, and most of what ``q_score`` calls is no crosstalk.
    - ``p_sender``, ``p_receiver``: of either side alone.
    - ``p_targets``: of the receiver's mean repression against targets drawn among genes of like expression
      and number of miRNAs, by the normal distribution. It does not get smaller with more donors alone.
    - ``p``, ``q``: the largest of these four, small only if every part is (intersection-union test,
      Berger 1982, doi:10.1080/00401706.1982.10487790). These call a row.

    q is by Benjamini and Hochberg over all counted rows. The priors are the same for all cell types: they
    move ranks and never p. With fewer than 3 donors there is no p, only ranks; with 3 or 4 donors of few cell
    types no q can be small, which ``notes`` say. The labels are tested, not chosen: cell types that were
    clustered on the same genes are consistent by construction. How the tests behave where the truth is known:
    :mod:`sicmir.chapters.statistics.crosstalk_calibration`.

    Parameters
    ----------
    cells
        Cells × genes, counts or any units that :func:`sicmir.matrices.units.recognise` tells; ``obs`` has
        donor and cell type. Cells are pooled for each donor and cell type.
    mirna
        Rows × miRNAs in log2(RPM+1), as :func:`sicmir.predict` gives them, best for pools of donor and cell
        type (``by=["donor", "cell_type"]``), or measured. Rows of one donor and cell type are averaged,
        abstained rows left out. Without the donor in ``obs`` the values serve for every donor, and there is
        no p. Stem-loops are named after the arm that they follow, by ``var["mature"]`` or
        :func:`sicmir.panel.single_locus`, others left out.
    targets
        ``mirna`` (mature) and ``gene``, see :func:`sicmir.networks.targets.load_targets`; other columns are
        not read.
    donor_key, cell_type_key
        Columns of ``obs``.
    terms
        Terms to use.
    min_grade
        miRNAs of a worse grade stay in the table without p; ``""`` counts all.
    min_cells, min_targets
        Fewest cells of a donor's cell type, and expressed targets of a miRNA that is counted.
    n_permutations, seed
        Of the permutation; p cannot be less than 1 / (n_permutations + 1).
    sorting
        Kind of prior, or a Series of your own (index mature miRNA, above 0 and up to 1).
    gene_sets
        Sets to use in place of the shipped ``biogenesis`` or ``risc``.
    self_pairs
        Whether a cell type is also scored as receiver of its own miRNA. By default not: what was sent cannot
        be told from what was never sent. Such pairs are compared with such pairs of other cell types only.
    layer, units, gene_key
        As for :func:`sicmir.predict`.
    progress
        Show a bar.

    Returns
    -------
    Crosstalk
        ``table``: ``sender, receiver, mirna``; ``score``; the terms, as means over the donors used (z, log2
        or prior; NaN where not used); ``receiver_abundance`` of the same miRNA; the p-values and q;
        ``n_donors``; ``grade``; ``counted``; ``note``.

    Raises
    ------
    ParameterError
        If an option is out of range, a column is absent, or units cannot be told.
    DataError
        If there is one cell type, labels are missing, sets or targets share no gene or miRNA with the data,
        counts are called logarithms, or no donor has two cell types that can be used.
    PanelError
        If no stem-loop has a mature name.

    References
    ----------
    The terms but for grades, prior and matched genes follow miRTalk: Shao et al. 2025,
    doi:10.1186/s13059-025-03566-x.

    Examples
    --------
    >>> from sicmir.synthetic import toy_crosstalk
    >>> from sicmir.vesicles import crosstalk
    >>> cells, mirna, targets = toy_crosstalk.crosstalk_cells(n_donors=5, n_types=4, seed=1)
    >>> result = crosstalk.crosstalk(cells, mirna, targets, n_permutations=199, progress=False)
    >>> result.table.columns[:4].tolist()
    ['sender', 'receiver', 'mirna', 'score']
    """
    for name, value, least in (("n_permutations", n_permutations, 1), ("seed", seed, 0)):
        if not isinstance(value, int | np.integer) or value < least:
            raise ParameterError(f"{name} should be a whole number of at least {least}; found {value!r}.")
    measured = measure(
        cells,
        mirna,
        targets,
        donor_key=donor_key,
        cell_type_key=cell_type_key,
        terms=terms,
        min_grade=min_grade,
        min_cells=min_cells,
        min_targets=min_targets,
        sorting=sorting,
        gene_sets=gene_sets,
        layer=layer,
        units=units,
        gene_key=gene_key,
    )
    pairs, unseen = pairs_of(measured, self_pairs)
    table = score_table(measured, measured.used, pairs)
    p = np.full((3, len(pairs), len(measured.mirnas)), np.nan)
    if measured.of_these_donors:
        p = permute(measured, measured.used, pairs, n_permutations, seed, progress)
    add_p(table, p, measured, pairs)
    table["note"] = row_notes(table, measured, pairs)
    notes = list(measured.notes)
    if unseen:
        notes.append(f"{unseen} pairs of cell types occur together in no donor and are not in the table.")
    notes.append(floor_note(table["p"], measured, pairs, n_permutations))
    order = table.sort_values(["counted", "score"], ascending=False, kind="stable").index
    return Crosstalk(table.loc[order].reset_index(drop=True), measured.coverage, tuple(notes), measured)


def summarise_pairs(table: pd.DataFrame, fdr: float = 0.05) -> pd.DataFrame:
    """One row for each sender and receiver; only counted miRNAs.

    Parameters
    ----------
    table
        Of :class:`Crosstalk`.
    fdr
        Largest q that is called significant.

    Returns
    -------
    DataFrame
        ``sender, receiver, n_donors, n_mirnas, n_significant`` (q up to ``fdr``), ``mean_score, best_mirna,
        best_score``; the best first.

    Raises
    ------
    ParameterError
        If ``fdr`` is not between 0 and 1.

    Examples
    --------
    >>> from sicmir.synthetic import toy_crosstalk
    >>> from sicmir.vesicles import crosstalk
    >>> cells, mirna, targets = toy_crosstalk.crosstalk_cells(n_donors=5, n_types=4, seed=1)
    >>> result = crosstalk.crosstalk(cells, mirna, targets, n_permutations=199, progress=False)
    >>> len(crosstalk.summarise_pairs(result.table, fdr=0.2)) > 0
    True
    """
    if not 0 < fdr < 1:
        raise ParameterError(f"fdr should lie between 0 and 1; found {fdr!r}.")
    counted = table[table["counted"] & table["score"].notna()].sort_values("score", ascending=False)
    groups = counted.assign(significant=counted["q"] <= fdr).groupby(["sender", "receiver"], sort=False)
    summary = groups.agg(
        n_donors=("n_donors", "max"),
        n_mirnas=("mirna", "size"),
        n_significant=("significant", "sum"),
        mean_score=("score", "mean"),
        best_mirna=("mirna", "first"),
        best_score=("score", "first"),
    )
    return summary.reset_index().sort_values(
        ["n_significant", "best_score"], ascending=False, ignore_index=True
    )


def ablation(result: Crosstalk, k: int = 20) -> pd.DataFrame:
    """How the ranking of counted rows changes when each term is left out.

    Parameters
    ----------
    result
        Of :func:`crosstalk` with two terms or more.
    k
        Number of top rows that are looked at, at most the counted rows.

    Returns
    -------
    DataFrame
        Index ``left_out``; ``spearman`` with the full ranking; ``top_kept``, share of the k top rows that
        stay there; ``largest_fall``, the row of the full top k that falls most, and ``to_rank``.

    Raises
    ------
    ParameterError
        If there is one term only, or ``k`` is out of range.

    Examples
    --------
    >>> from sicmir.synthetic import toy_crosstalk
    >>> from sicmir.vesicles import crosstalk
    >>> cells, mirna, targets = toy_crosstalk.crosstalk_cells(n_donors=5, n_types=4, seed=1)
    >>> result = crosstalk.crosstalk(cells, mirna, targets, n_permutations=199, progress=False)
    >>> crosstalk.ablation(result, k=10).index.tolist()
    ['biogenesis', 'abundance', 'sorting', 'trust', 'risc', 'repression']
    """
    used, full = result.terms.used, result.table
    full = full[full["counted"]].set_index(["sender", "receiver", "mirna"])["score"]
    if len(used) < 2 or not 1 <= k <= len(full):
        raise ParameterError(
            f"Expected two terms or more and k from 1 to {len(full)}; found {len(used)} terms and k = {k!r}."
        )
    names = np.array(result.terms.cell_types)
    seen = full.index.droplevel(2).unique()
    pairs = np.column_stack([np.searchsorted(names, seen.get_level_values(i)) for i in (0, 1)])
    top, rows = full.nlargest(k).index, {}
    for name in used:
        rest = check_terms([term for term in used if term != name])
        table = score_table(result.terms, rest, pairs).set_index(["sender", "receiver", "mirna"])
        score = table["score"].reindex(full.index)
        rank = score.rank(ascending=False).loc[top]
        rows[name] = {
            "spearman": spearmanr(full, score).statistic,
            "top_kept": float(top.isin(score.nlargest(k).index).mean()),
            "largest_fall": " | ".join(rank.idxmax()),
            "to_rank": rank.max(),
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("left_out")
