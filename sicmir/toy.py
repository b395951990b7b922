"""Synthetic paired samples with a known truth, for tests and for pages that no real data can reach.

Genes that are not landmarks are called ``TOY0001`` and so on, miRNAs ``toy-miR-001``, cohorts ``TOYA``,
donors ``TOY-0001``, so that nobody takes a synthetic value for a measurement.
"""

from __future__ import annotations

from collections.abc import Sequence

import anndata as ad
import numpy as np
import pandas as pd

from sicmir import __version__, panel
from sicmir.errors import ParameterError

KINDS = {"host": 0.3, "programme": 0.3, "cohort": 0.25, "none": 0.15}
"""Share of miRNAs of each kind, in the order in which they stand among the miRNAs.

``host``: follows its host gene within cohorts. ``programme``: follows latent programmes within cohorts.
``cohort``: only its cohort mean varies; nothing can be predicted within a cohort, although a pooled
correlation will be high (Simpson's paradox). ``none``: noise alone.
"""

COHORT_SD = 1.5
"""SD between cohorts of the mean of a miRNA, log2; its SD within a cohort is 1."""

GENE_NOISE = 0.4
"""SD of the measurement noise of a gene, log2."""

DETECTION_LIMIT = 0.5
"""RPM below which a miRNA is read as 0."""


def paired_bulk(
    n_donors: int = 60,
    n_cohorts: int = 5,
    n_genes: int = 1200,
    n_mirnas: int = 200,
    *,
    n_programmes: int = 12,
    normal_fraction: float = 0.15,
    conditions: tuple[str, str] = ("tumour", "normal"),
    predictable: tuple[float, float] = (0.5, 0.9),
    repression: float = 0.6,
    mirna_names: Sequence[str] | None = None,
    level: str = "mature",
    seed: int = 0,
) -> tuple[ad.AnnData, ad.AnnData]:
    """Draw mRNA and miRNA of the same samples, as :func:`sicmir.load_paired` gives them.

    Programmes with cohort means drive the genes. A miRNA is the sum of a cohort mean, a part that follows
    its host gene or programmes, and noise. The last two have variance 1 together within each cohort, and
    the share of the former is the predictable fraction f: within a cohort no method can be expected to
    exceed r = sqrt(f). Each miRNA lowers target genes, which are never landmarks, so that the 977 inputs do
    not learn the noise of a miRNA from its targets.

    Parameters
    ----------
    n_donors
        Donors in each cohort, at least 3.
    n_cohorts, n_programmes
        Number of cohorts (1 to 26) and of latent programmes.
    n_genes
        Genes, at least 977: the landmarks, then ``TOY0001`` and on. With 977 there are no targets.
    n_mirnas
        miRNAs, at least 10.
    normal_fraction
        Share of the donors of a cohort with a normal sample beside the tumour.
    conditions
        What the first and the second sample of a donor are called; ``("untreated", "treated")`` with a
        ``normal_fraction`` of 1 makes an experiment of the same data. The second condition shifts programmes.
    predictable
        Smallest and largest predictable fraction of ``host`` and ``programme`` miRNAs.
    repression
        Mean fall of a target, log2 per log2 of its miRNA.
    mirna_names
        Names of the first miRNAs in place of synthetic ones, for pages that plot miRNAs by name. These are
        well expressed, and follow host genes first, then programmes; their values are synthetic all the same.
    level
        ``mature`` or ``stem-loop``, written into ``uns``.
    seed
        The same arguments and seed give the same values.

    Returns
    -------
    mrna, mirna
        Samples x genes in log2(x+1) and samples x miRNAs in log2(RPM+1), float32, with the same ``obs``.
        RPM do not add up to a million. ``mirna.uns["truth"]`` holds the DataFrames ``mirnas`` (index miRNA;
        ``kind``, ``predictable``, ``host_gene``, ``n_targets``, and ``effect``: mean change of the
        predictable part from the first condition to the second of the same donors, log2, 0 where no donor
        has both), ``targets`` (``mirna``, ``gene``, ``repression``) and ``cohort_means`` (miRNAs x cohorts,
        log2, before the detection limit).

    Raises
    ------
    ParameterError
        If an option is out of range or names are not unique.

    Examples
    --------
    >>> import sicmir
    >>> mrna, mirna = sicmir.toy.paired_bulk(n_donors=10, n_cohorts=2, n_genes=1000, n_mirnas=12)
    >>> mrna.shape, mirna.shape
    ((24, 1000), (24, 12))
    >>> mirna.uns["truth"]["mirnas"]["kind"].value_counts().to_dict()
    {'host': 4, 'programme': 3, 'cohort': 3, 'none': 2}
    """
    landmarks = panel.landmarks()["symbol"].tolist()
    given = list(mirna_names or ())
    low, high = predictable
    for name, value, expected, valid in (
        ("n_donors", n_donors, "at least 3", n_donors >= 3),
        ("n_cohorts", n_cohorts, "from 1 to 26", 1 <= n_cohorts <= 26),
        ("n_genes", n_genes, f"at least {len(landmarks)}, the landmarks", n_genes >= len(landmarks)),
        ("n_mirnas", n_mirnas, "at least 10", n_mirnas >= 10),
        ("n_programmes", n_programmes, "at least 1", n_programmes >= 1),
        ("normal_fraction", normal_fraction, "from 0 to 1", 0 <= normal_fraction <= 1),
        ("predictable", predictable, "two ascending values from 0 to 1", 0 <= low <= high <= 1),
        ("repression", repression, "at least 0", repression >= 0),
        ("level", level, "'mature' or 'stem-loop'", level in ("mature", "stem-loop")),
        ("conditions", conditions, "two different names", len(set(conditions)) == 2),
        ("mirna_names", given, "unique", len(set(given)) == len(given)),
        ("mirna_names", len(given), f"at most n_mirnas = {n_mirnas}", len(given) <= n_mirnas),
    ):
        if not valid:
            raise ParameterError(f"{name} should be {expected}; found {value!r}.")

    rng = np.random.default_rng(seed)
    obs = _obs(n_donors, n_cohorts, normal_fraction, conditions)
    second = (obs["condition"] == conditions[1]).to_numpy()
    cohort, cohorts = pd.factorize(obs["cohort"])
    genes = landmarks + [f"TOY{i:04d}" for i in range(1, n_genes - len(landmarks) + 1)]
    names = given + [f"toy-miR-{i:03d}" for i in range(len(given) + 1, n_mirnas + 1)]

    within = _activity(obs["donor"], second, n_programmes, rng)
    expression = _expression(within, cohort, n_genes, rng)
    truth = _plan(names, landmarks, expression, (low, high), rng)

    hosts = (truth["kind"] == "host").to_numpy()
    signal = within @ rng.normal(size=(n_programmes, n_mirnas))
    signal[:, hosts] = expression[:, pd.Index(genes).get_indexer(truth["host_gene"][hosts])]
    fraction = truth["predictable"].to_numpy()
    deviation = np.sqrt(fraction) * _standardised(signal, cohort)
    # The sample before each second one is the first one of the same donor.
    truth["effect"] = (deviation[second] - deviation[np.flatnonzero(second) - 1]).sum(axis=0) / max(
        second.sum(), 1
    )
    deviation += np.sqrt(1 - fraction) * _standardised(rng.normal(size=signal.shape), cohort)

    base = rng.uniform(1, 11, n_mirnas)
    base[: len(given)] = rng.uniform(7, 11, len(given))
    varies = (truth["kind"] != "none").to_numpy()
    means = base + varies * rng.normal(scale=COHORT_SD, size=(n_cohorts, n_mirnas))
    amount = means[cohort] + deviation

    strength = _repression(n_mirnas, n_genes - len(landmarks), repression, rng)
    expression[:, len(landmarks) :] -= (amount - base) @ strength
    truth["n_targets"] = (strength > 0).sum(axis=1)
    source, target = np.nonzero(strength)

    detected = np.exp2(amount) - 1 >= DETECTION_LIMIT
    mrna = _adata(np.maximum(expression, 0), obs, genes, modality="mrna", units="log2(x+1)")
    mirna = _adata(
        np.where(detected, amount, 0), obs, names, modality="mirna", units="log2(RPM+1)", level=level
    )
    mirna.uns["truth"] = {
        "mirnas": truth,
        "targets": pd.DataFrame(
            {
                "mirna": np.array(names)[source],
                "gene": np.array(genes)[len(landmarks) + target],
                "repression": strength[source, target],
            },
            index=[f"{i}" for i in range(len(source))],
        ),
        "cohort_means": pd.DataFrame(means.T, index=truth.index, columns=cohorts),
    }
    return mrna, mirna


def _obs(n_donors: int, n_cohorts: int, normal_fraction: float, conditions: tuple[str, str]) -> pd.DataFrame:
    """Samples as of TCGA: a tumour of each donor, and a normal sample of the first donors of each cohort."""
    rows = []
    for cohort in range(n_cohorts):
        for i in range(n_donors):
            donor = f"TOY-{cohort * n_donors + i + 1:04d}"
            rows.append((donor, cohort, conditions[0], "01"))
            if i < round(normal_fraction * n_donors):
                rows.append((donor, cohort, conditions[1], "11"))
    frame = pd.DataFrame(rows, columns=["donor", "cohort", "condition", "sample_type"])
    frame["cohort"] = [f"TOY{chr(ord('A') + number)}" for number in frame["cohort"]]
    frame.insert(0, "sample", frame["donor"] + "-" + frame["sample_type"])
    frame["dataset"] = "toy"
    return frame.set_index(frame["sample"].to_numpy())


def _activity(
    donors: pd.Series, second: np.ndarray, n_programmes: int, rng: np.random.Generator
) -> np.ndarray:
    """Programme activity within cohorts: half of the variance is the donor's; normal tissue is shifted."""
    donor = pd.factorize(donors)[0]
    shared = rng.normal(size=(donor.max() + 1, n_programmes))[donor]
    own = rng.normal(size=shared.shape)
    shift = rng.normal(scale=0.8, size=n_programmes)
    return np.sqrt(0.5) * (shared + own) + np.outer(second, shift)


def _expression(within: np.ndarray, cohort: np.ndarray, n_genes: int, rng: np.random.Generator) -> np.ndarray:
    """Genes, log2: a base, a sparse sum of programmes, an offset of the cohort, and noise."""
    n_programmes, n_cohorts = within.shape[1], cohort.max() + 1
    loadings = rng.normal(scale=0.5, size=(n_programmes, n_genes))
    loadings *= rng.random(loadings.shape) < 0.25
    activity = within + rng.normal(size=(n_cohorts, n_programmes))[cohort]
    offsets = rng.normal(scale=0.5, size=(n_cohorts, n_genes))
    noise = rng.normal(scale=GENE_NOISE, size=(len(within), n_genes))
    return rng.uniform(2, 12, n_genes) + activity @ loadings + offsets[cohort] + noise


def _plan(
    names: Sequence[str],
    landmarks: Sequence[str],
    expression: np.ndarray,
    predictable: tuple[float, float],
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Kind, predictable fraction and host of each miRNA; hosts are distinct, well expressed landmarks."""
    ends = np.round(np.cumsum(list(KINDS.values())) * len(names)).astype(int)
    kinds = np.repeat(list(KINDS), np.diff(ends, prepend=0))
    truth = pd.DataFrame({"kind": kinds, "predictable": 0.0, "host_gene": ""}, index=pd.Index(names))
    signal = np.isin(kinds, ["host", "programme"])
    truth.loc[signal, "predictable"] = rng.uniform(*predictable, signal.sum())
    # Genes near 0 would lose a part of their variation to the detection limit.
    expressed = np.flatnonzero(expression[:, : len(landmarks)].min(axis=0) > 0)
    hosts = kinds == "host"
    if hosts.sum() > len(expressed):
        raise ParameterError(
            f"{hosts.sum()} host genes are needed, {len(expressed)} landmarks are expressed. Lower n_mirnas."
        )
    truth.loc[hosts, "host_gene"] = np.array(landmarks)[rng.choice(expressed, hosts.sum(), replace=False)]
    return truth


def _standardised(values: np.ndarray, cohort: np.ndarray) -> np.ndarray:
    """Mean 0 and variance 1 in each cohort."""
    groups = pd.DataFrame(values).groupby(cohort)
    return ((values - groups.transform("mean")) / groups.transform("std", ddof=0)).to_numpy()


def _repression(n_mirnas: int, n_targets: int, mean: float, rng: np.random.Generator) -> np.ndarray:
    """Fall of each possible target per log2 of each miRNA; a gene is targeted by two miRNAs on average."""
    chosen = rng.random((n_mirnas, n_targets)) < 2 / n_mirnas
    return chosen * mean * rng.uniform(0.5, 1.5, chosen.shape)


def _adata(values: np.ndarray, obs: pd.DataFrame, names: Sequence[str], **facts: str) -> ad.AnnData:
    adata = ad.AnnData(values.astype(np.float32), obs=obs.copy(), var=pd.DataFrame(index=list(names)))
    sources = {"name": str, "checksum": str, "bytes": np.int64, "url": str}
    adata.uns["sicmir"] = {
        "dataset": "toy",
        **facts,
        "synthetic": True,
        "version": __version__,
        "sources": pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in sources.items()}),
    }
    return adata
