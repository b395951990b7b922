"""Synthetic networks: tables of targets right for some miRNAs only, and miRNA predicted from noise."""

from __future__ import annotations

import numpy as np
import pandas as pd
from anndata import AnnData
from sklearn.linear_model import Ridge

from sicmir import panel, toy
from sicmir.errors import ParameterError

NEIGHBOURHOOD = 150
"""Genes that count as expressed together with a gene: those of the highest correlation within cohorts."""


def planted_network(
    seed: int = 0,
    n_donors: int = 20,
    n_cohorts: int = 3,
    *,
    n_mirnas: int = 80,
    n_genes: int = 2500,
    true_share: float = 0.5,
    together: float = 0.0,
    repression: float = 0.6,
) -> tuple[AnnData, AnnData, pd.DataFrame]:
    """Toy samples with a table of targets that is right for every second miRNA only: the hubs.

    Parameters
    ----------
    seed, n_cohorts, n_mirnas, n_genes, repression
        As for :func:`sicmir.toy.paired_bulk`.
    n_donors
        Donors of each cohort, with one tumour each.
    true_share
        Share, from 0 to 1, of the listed targets of a hub that are taken from those it represses. All other
        entries, and all of the other miRNAs, are drawn from the genes outside the 977.
    together
        Share, from 0 to 1, of the entries so drawn that are expressed together, as real targets are: drawn
        from the :data:`NEIGHBOURHOOD` of a gene, another one for each miRNA.

    Returns
    -------
    mrna, mirna
        As :func:`sicmir.toy.paired_bulk` gives them.
    targets
        ``mirna``, ``gene``, ``hub`` (whether the miRNA is one) and ``true`` (whether the pair is planted).

    Raises
    ------
    ParameterError
        If a share is out of range, or as :func:`sicmir.toy.paired_bulk`.
    """
    for name, share in (("true_share", true_share), ("together", together)):
        if not 0 <= share <= 1:
            raise ParameterError(f"{name} should lie between 0 and 1, found {share!r}.")
    mrna, mirna = toy.paired_bulk(
        n_donors, n_cohorts, n_genes, n_mirnas, normal_fraction=0, repression=repression, seed=seed
    )
    rng = np.random.default_rng([seed, 2])
    repressed = mirna.uns["truth"]["targets"].groupby("mirna")["gene"].agg(list)
    outside = mrna.var_names[len(panel.landmarks()) :].to_numpy()
    expression = mrna[:, outside].to_df()
    rest = (expression - expression.groupby(mrna.obs["cohort"].to_numpy()).transform("mean")).to_numpy()
    rest /= np.linalg.norm(rest, axis=0)
    parts = []
    for place, name in enumerate(mirna.var_names):
        real = repressed.get(name, [])
        kept = rng.permutation(real)[: round(true_share * len(real)) if place % 2 == 0 else 0]
        n_near = round(together * (len(real) - len(kept)))
        likeness = rest.T @ rest[:, rng.integers(len(outside))]
        near = np.setdiff1d(outside[np.argsort(-likeness)[:NEIGHBOURHOOD]], kept)
        near = rng.choice(near, min(n_near, len(near)), replace=False)
        drawn = np.setdiff1d(outside, [*kept, *near])
        drawn = rng.choice(drawn, len(real) - len(kept) - len(near), replace=False)
        genes = [*kept, *near, *drawn]
        parts.append(
            pd.DataFrame({"mirna": name, "gene": genes, "hub": place % 2 == 0, "true": np.isin(genes, real)})
        )
    return mrna, mirna, pd.concat(parts, ignore_index=True)


def unrelated(mirna: AnnData, seed: int = 0, group_key: str = "cohort") -> AnnData:
    """Give every sample the miRNA of another one of its group: whatever is associated then is by chance."""
    rng = np.random.default_rng([seed, 3])
    order = np.arange(mirna.n_obs)
    for inside in mirna.obs.groupby(group_key, observed=True).indices.values():
        order[inside] = rng.permutation(inside)
    shuffled = mirna.copy()
    shuffled.X = np.asarray(mirna.X)[order]
    return shuffled


def predicted_from_noise(
    seed: int = 0,
    n_donors: int = 120,
    n_mirnas: int = 30,
    n_targets: int = 20,
    *,
    n_programmes: int = 0,
) -> tuple[AnnData, AnnData, dict[str, pd.DataFrame]]:
    """Predict miRNAs from mRNA in which no miRNA does anything.

    A ridge regression learns from 300 samples in which each miRNA represses targets inside and outside the
    977. It is then applied to other mRNA, of noise.

    Parameters
    ----------
    seed
        The same seed gives the same values.
    n_donors
        Donors of noise, all of one cohort.
    n_mirnas, n_targets
        miRNAs, and targets of each on either side of the panel.
    n_programmes
        Programmes that drive genes on both sides, in what is learned from and in the noise; with 0, all genes
        of the noise are independent.

    Returns
    -------
    predicted, noise
        Donors × miRNAs and donors × genes.
    targets
        ``inside`` and ``outside``: the table of targets on that side, ``mirna`` and ``gene``.
    """
    rng = np.random.default_rng(seed)
    landmarks = panel.landmarks()["symbol"].to_numpy(dtype=object)
    others = np.array([f"NOISE{i:04d}" for i in range(1, len(landmarks) + 1)], dtype=object)
    genes = np.concatenate([landmarks, others])
    mirnas = [f"toy-miR-{i:03d}" for i in range(1, n_mirnas + 1)]
    places = {
        side: np.array([rng.choice(len(landmarks), n_targets, replace=False) for _ in mirnas])
        for side in ("inside", "outside")
    }
    effect = np.zeros((n_mirnas, len(genes)))
    np.put_along_axis(effect, places["inside"], -0.5, axis=1)
    np.put_along_axis(effect, places["outside"] + len(landmarks), -0.5, axis=1)
    loadings = rng.normal(scale=0.5, size=(n_programmes, len(genes)))

    def background(n: int) -> np.ndarray:
        return 8 + rng.normal(size=(n, n_programmes)) @ loadings + rng.normal(size=(n, len(genes)))

    learned = rng.normal(size=(300, n_mirnas))
    expression = background(len(learned)) + learned @ effect
    model = Ridge(alpha=100.0).fit(expression[:, : len(landmarks)], learned)
    noise = background(n_donors)
    predicted = 8 + model.predict(noise[:, : len(landmarks)])
    names = [f"TOY-{i:04d}" for i in range(n_donors)]
    obs = pd.DataFrame({"donor": names, "cohort": "TOYA"}, index=names)
    made = [
        AnnData(values, obs=obs.copy(), var=pd.DataFrame(index=list(columns)))
        for values, columns in ((predicted, mirnas), (noise, genes))
    ]
    names_of = {"inside": landmarks, "outside": others}
    targets = {
        side: pd.DataFrame({"mirna": np.repeat(mirnas, n_targets), "gene": names_of[side][chosen.ravel()]})
        for side, chosen in places.items()
    }
    return made[0], made[1], targets
