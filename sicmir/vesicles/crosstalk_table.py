"""The table of a crosstalk analysis: one row for each sender, receiver and miRNA."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.stats import false_discovery_control, norm

from sicmir.vesicles.crosstalk_permutation import MIN_DONORS, sides
from sicmir.vesicles.crosstalk_terms import TERMS, Terms


def pairs_of(terms: Terms, self_pairs: bool) -> tuple[np.ndarray, int]:
    """Ordered pairs of cell types that a donor has, and the number of those that none has."""
    n = len(terms.cell_types)
    pairs = np.argwhere(np.ones((n, n), dtype=bool) if self_pairs else ~np.eye(n, dtype=bool))
    together = (terms.present[:, pairs[:, 0]] & terms.present[:, pairs[:, 1]]).any(axis=0)
    return pairs[together], int((~together).sum())


def score_table(terms: Terms, use: Sequence[str], pairs: np.ndarray) -> pd.DataFrame:
    """Rows pairs × miRNAs: score, terms, number of donors, grade and whether it is counted."""
    s, r = pairs.T
    both = terms.present[:, s] & terms.present[:, r]
    n = both.sum(axis=0)

    def mean(values: np.ndarray) -> np.ndarray:
        """Donors × pairs (× miRNAs) to pairs × miRNAs, over the donors that have both cell types."""
        values = values if values.ndim == 3 else values[..., None]
        # Absent groups are NaN and have no weight; a NaN of a group that is there has to stay.
        total = np.where(both[..., None], values, 0).sum(axis=0)
        return np.broadcast_to(total / n[:, None], (len(n), n_mirnas)).ravel()

    n_mirnas = len(terms.mirnas)
    sender, receiver = sides(terms, use)
    n_used = len(use)
    kinds = np.array(terms.cell_types)
    table = pd.DataFrame(
        {
            "sender": np.repeat(kinds[s], n_mirnas),
            "receiver": np.repeat(kinds[r], n_mirnas),
            "mirna": np.tile(terms.mirnas.index.to_numpy(), len(pairs)),
            "score": mean(np.exp((sender[:, s] + receiver[:, r]) / n_used)),
            "biogenesis": mean(terms.biogenesis[:, s]),
            "abundance": mean(terms.abundance[:, s]),
            "sorting": np.tile(terms.sorting, len(pairs)),
            "trust": np.tile(terms.trust, len(pairs)),
            "risc": mean(terms.risc[:, r]),
            "repression": mean(terms.repression[:, r]),
            "receiver_abundance": mean(terms.abundance[:, r]),
            "n_donors": np.repeat(n, n_mirnas),
            "grade": np.tile(terms.mirnas["grade"].to_numpy(), len(pairs)),
            "counted": np.tile(terms.mirnas["counted"].to_numpy(), len(pairs)),
        }
    )
    table.loc[:, [name for name in TERMS if name not in use]] = np.nan
    return table


def add_p(table: pd.DataFrame, p: np.ndarray, terms: Terms, pairs: np.ndarray) -> None:
    """Add p-values and q to the table; ``p`` as ``crosstalk_permutation.permute`` gives it."""
    table["p_score"], table["p_sender"], table["p_receiver"] = p.reshape(3, -1)
    targets = norm.sf(terms.repression_over_donors[pairs[:, 1]]).ravel()
    table["p_targets"] = np.where(table["p_score"].notna(), targets, np.nan)
    parts = ["p_score", *(name for name in ("p_sender", "p_receiver") if table[name].notna().any())]
    parts += ["p_targets"] if "repression" in terms.used else []
    # A part that is not known must not leave the others to speak for it.
    table["p"] = table[parts].max(axis=1, skipna=False)
    for p_name, q_name in (("p_score", "q_score"), ("p", "q")):
        known = table[p_name].notna()
        table[q_name] = np.nan
        if known.any():
            table.loc[known, q_name] = false_discovery_control(table.loc[known, p_name])


def smallest_p(terms: Terms, pairs: np.ndarray) -> np.ndarray:
    """The least p of each pair that labels permit: one sender's place among the cell types of each donor."""
    both = terms.present[:, pairs[:, 0]] & terms.present[:, pairs[:, 1]]
    n_types = np.maximum(terms.present.sum(axis=1), 1)
    return np.where(both, 1 / n_types[:, None], 1).prod(axis=0)


def floor_note(p: pd.Series, terms: Terms, pairs: np.ndarray, n_permutations: int) -> str:
    """What q can come to at best; ``p`` of all rows."""
    n = int(p.notna().sum())
    if not n:
        return "No row has a p-value: read the ranks alone."
    tested = p.notna().to_numpy().reshape(len(pairs), -1).any(axis=1)
    labels = smallest_p(terms, pairs)[tested].min()
    floor = max(labels, 1 / (n_permutations + 1))
    reason = "raise n_permutations" if labels < floor else "more donors or cell types would lower it"
    needed = int(np.ceil(n * floor / 0.05))
    takes = f"takes {needed} or more rows at that p" if needed <= n else "cannot be reached"
    return f"{n} rows are tested and none can have p below {floor:.2g} ({reason}): q of 0.05 {takes}."


def row_notes(table: pd.DataFrame, terms: Terms, pairs: np.ndarray) -> np.ndarray:
    """Why a row has no p, or should be read with care; ;-joined."""
    own = pairs[:, 0] == pairs[:, 1]
    coarse = smallest_p(terms, pairs) > 0.05
    per_pair = len(terms.mirnas)
    few = table["mirna"].map(terms.mirnas["n_targets"]).to_numpy()
    conditions = {
        "not counted: grade or targets": ~table["counted"],
        f"fewer than {MIN_DONORS} donors: no p": table["n_donors"] < MIN_DONORS,
        "miRNA is not of these donors: no p": np.full(len(table), not terms.of_these_donors),
        "too few arrangements for p below 0.05": np.repeat(coarse, per_pair) & table["p"].notna(),
        "cell type with itself": np.repeat(own, per_pair),
        "receiver has as much of it": np.repeat(~own, per_pair)
        & (table["receiver_abundance"] >= table["abundance"].fillna(np.inf)),
        "no targets": few == 0 if "repression" in terms.used else np.zeros(len(table), dtype=bool),
    }
    notes = np.full(len(table), "", dtype=object)
    for text, holds in conditions.items():
        holds = np.asarray(holds, dtype=bool)
        notes[holds] = [f"{note}; {text}".removeprefix("; ") for note in notes[holds]]
    return notes
