"""The tables of the full benchmark: one collection of samples, judged from every side."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd

from sicmir import metrics, panel
from sicmir.benchmark import by_cohort, learning_curve, published_demo, shipping
from sicmir.benchmark.comparison import Comparison
from sicmir.benchmark.domain_check import flag_rates
from sicmir.benchmark.evaluation import METHODS, detected_names
from sicmir.benchmark.host_gene import host_genes
from sicmir.benchmark.study import NEW_DONORS, TEST, UNSEEN, UNSEEN_TISSUE, Study, study_splits, tissue_splits
from sicmir.benchmark.transfer import cohort_sensitivity, transfer
from sicmir.cells import cell_agreement, cell_references
from sicmir.cells import cell_types as types
from sicmir.data import collection, demo, load, whole_genes
from sicmir.errors import ParameterError
from sicmir.learning.kernel import MaskedKernelRidge
from sicmir.learning.rescale import Rescale
from sicmir.learning.splits import table
from sicmir.model import Bundle
from sicmir.names import orthologues

OURS = "kernel"
FAST = (
    *(OURS, "ridge", "sicmir", f"{OURS}+sicmir", "pls", "knn", "imirage"),
    *("host-gene", "cohort-mean", "shuffled"),
)
"""Methods that are run for every miRNA."""

FEW = (OURS, "ridge", "cohort-mean")
"""Methods of the tables that go into detail: by cancer type, perturbation, cohorts against the rest."""

N_SLOW = 24
"""Number of miRNAs, drawn at random, that slow methods are run for."""

FRACTIONS = (0.1, 0.2, 0.4, 0.7, 1.0)
"""Shares of the training donors of the learning curve."""

COHORTS = (3, 8)
"""Numbers of training cohorts of the learning curve, before all of them."""

TRAINING_TOTAL = 20.0
"""Counts per million times this have the library size of the training units, about 2e7."""


class FullRun:
    """Everything that is measured on a collection; what is slow is kept in files.

    Parameters
    ----------
    recipe
        What the collection is made of; its sections ``foreign``, ``published`` and ``pbmc`` name what else is
        looked at, each passed over where it is empty.
    root
        Folder of the sets.
    folder
        Where predictions are kept.
    seed
        Of divisions, methods and draws.
    """

    def __init__(
        self, recipe: collection.Recipe, root: str | Path, folder: str | Path, seed: int = 0
    ) -> None:
        self.recipe, self.root, self.folder, self.seed = recipe, Path(root), Path(folder), seed
        self.mrna, mirna = collection.load_collection(recipe, root)
        self.mirna = mirna[:, shipping.well_measured(mirna)].copy()
        self.divisions = study_splits(mirna.obs, recipe.same, seed=seed)
        judged = (mirna.obs["dataset"] == recipe.sets[0].set).to_numpy()
        self.judged = detected_names(mirna[judged])

    @cached_property
    def hosts(self) -> list[str]:
        """Host genes of the miRNAs that methods are compared on."""
        found = host_genes(self.mirna[:, self.judged])
        return sorted({gene for genes in found.values() for gene in genes})

    @cached_property
    def study(self) -> Study:
        """Predictions of the miRNAs that methods are compared on."""
        mirna = self.mirna[:, self.judged].copy()
        genes = whole_genes.load_genes(self.recipe, self.root, self.hosts, self.mrna) if self.hosts else None
        tissue = tissue_splits(mirna.obs, self.divisions[TEST][0], seed=self.seed)
        divisions = self.divisions | {UNSEEN_TISSUE: tissue}
        return Study(self.mrna, mirna, divisions, self.folder, genes, self.seed)

    @cached_property
    def assessment(self) -> shipping.Assessment:
        """What is known of the shipped model."""
        cohort = self.study.obs["cohort"].astype(str)
        predicted = self.study.predict("cohort-mean", NEW_DONORS)
        cohort_mean = metrics.per_mirna(self.study.observed, predicted, cohort)
        empty = pd.DataFrame(index=self.mirna.var_names)
        return shipping.assess(
            self.mrna,
            self.mirna,
            self.divisions,
            cohort_mean=empty.join(cohort_mean),
            host_gene=self._over_host_gene(cohort) if self.hosts else None,
            single_cell=self.single_cells["per miRNA"] if self.recipe.cells else None,
        )

    @cached_property
    def model(self) -> MaskedKernelRidge:
        """The shipped kind of model, trained on the whole collection."""
        return shipping.fit_predictor(self.mrna.X, self.mirna.to_df().to_numpy(), self.mirna.obs)

    def tables(
        self, fast: Sequence[str] = FAST, slow: Sequence[str] = (), only: Sequence[str] = ()
    ) -> dict[str, pd.DataFrame]:
        """Every table, by the name of its file.

        Parameters
        ----------
        fast, slow
            Methods of the league; ``slow`` ones for some miRNAs alone.
        only
            Names of tables; by default all.

        Raises
        ------
        ParameterError
            If there is no such table.
        """
        made: dict[str, Callable[[], pd.DataFrame]] = {
            "league": lambda: self._league(fast, slow).set_index("division"),
            "cancers": lambda: self._detail(by_cohort.correlations, FEW, [UNSEEN]),
            "contrasts": lambda: self._detail(by_cohort.contrasts, fast, [NEW_DONORS, UNSEEN]),
            "perturbation": lambda: self._detail(by_cohort.contrasts, FEW, [NEW_DONORS, UNSEEN_TISSUE]),
            "rest": lambda: self._detail(Comparison.cohorts_against_rest, FEW, [NEW_DONORS, UNSEEN]),
            "trust": lambda: shipping.with_mature_names(self.assessment.trust, self._level),
            "coverage": lambda: self.assessment.coverage,
            "grades": lambda: self.assessment.grades,
            "origins": lambda: collection.origins(self.recipe, self.root).set_index("set"),
            "flags": self._flags,
            "sensitivity": self._sensitivity,
            "learning_donors": lambda: self._donor_curve().set_index("fraction"),
            "learning_cohorts": lambda: self._cohort_curve().set_index("n_cohorts"),
        }
        if self.recipe.cells:
            made["cell_types"] = lambda: self.single_cells["pairs"].set_index("transform")
        if self.recipe.foreign:
            made["transfer"] = lambda: self._transfer().set_index("dataset")
        if self.recipe.published:
            made["published"] = lambda: self._published().set_index("cohort")
        unknown = [name for name in only if name not in made]
        if unknown:
            raise ParameterError(f"There is no table {unknown[0]!r}; expected some of {', '.join(made)}.")
        return {name: make() for name, make in made.items() if name in only or not only}

    def bundle(self, card: dict[str, Any]) -> Bundle:
        """The shipped model."""
        return shipping.build(self.mrna, self.mirna, self.assessment, card)

    def record(self) -> dict[str, Any]:
        """What the tables were made from."""
        return {
            "dataset": self.mirna.uns["sicmir"]["dataset"],
            "files": shipping.files(self.mrna, self.mirna),
            "n_samples": self.mirna.n_obs,
            "n_donors": int(self.mirna.obs["donor"].nunique()),
            "n_mirnas": self.mirna.n_vars,
            "n_judged": len(self.judged),
            "seed": self.seed,
            "test_donors": int(self.mirna.obs["donor"].iloc[self.divisions[TEST][0].test].nunique()),
        }

    def _over_host_gene(self, cohort: pd.Series) -> pd.DataFrame:
        """How far the model is ahead of the host gene on the samples that measured it; few sets do."""
        host, ours = (self.study.predict(name, NEW_DONORS) for name in ("host-gene", OURS))
        r = [
            metrics.per_mirna(self.study.observed, table.where(host.notna()), cohort)["pearson_within"]
            for table in (ours, host)
        ]
        return pd.DataFrame({"gain": r[0] - r[1]})

    @property
    def _level(self) -> str:
        return str(self.mirna.uns["sicmir"]["level"])

    def _league(self, fast: Sequence[str], slow: Sequence[str]) -> pd.DataFrame:
        leagues = list(self._leagues(fast, self.judged, list(self.divisions)))
        if slow:
            rng = np.random.default_rng(self.seed)
            some = self.judged[np.sort(rng.choice(len(self.judged), min(N_SLOW, len(self.judged)), False))]
            leagues += list(self._leagues([OURS, *slow], some, list(self.divisions)))
        return pd.concat(leagues)

    def _leagues(
        self, methods: Sequence[str], mirnas: pd.Index, divisions: Sequence[str]
    ) -> Iterator[pd.DataFrame]:
        for division in divisions:
            for samples in ("all", self.recipe.sets[0].set):
                comparison = self._comparison(methods, division, mirnas, samples)
                league = comparison.league(OURS, seed=self.seed)
                yield league.assign(division=division, samples=samples, n_samples=len(comparison.obs))

    def _comparison(
        self, methods: Sequence[str], division: str, mirnas: pd.Index, samples: str = "all"
    ) -> Comparison:
        parts, obs = self.study.divisions[division], self.study.obs
        tested = np.zeros(len(obs), dtype=bool)
        tested[np.concatenate([part.test for part in parts])] = True
        if samples != "all":
            tested &= (obs["dataset"] == samples).to_numpy()
        names = mirnas if len(mirnas) < len(self.judged) else ()
        return Comparison(
            observed=self.study.observed.loc[tested, mirnas],
            detected=mirnas,
            predictions={
                name: self.study.predict(name, division, names).loc[tested, mirnas] for name in methods
            },
            obs=obs[tested],
            folds=table(parts, obs),
            flat=frozenset(n for n in methods if "+" not in n and not METHODS[n].tells_samples_apart),
        )

    def _detail(
        self,
        look: Callable[[Comparison], pd.DataFrame],
        methods: Sequence[str],
        divisions: Sequence[str],
    ) -> pd.DataFrame:
        """Look at the predictions of methods in each of some divisions."""
        tables = [
            look(self._comparison(methods, division, self.judged)).assign(division=division)
            for division in divisions
        ]
        return pd.concat(tables).set_index("method")

    def _flags(self) -> pd.DataFrame:
        others = {}
        if self.recipe.mouse:
            tables = load(self.recipe.mouse).values()
            (counts,) = (table for table in tables if table.uns["sicmir"]["modality"] == "mrna")
            depth = np.asarray(counts.X.sum(axis=1)).reshape(-1, 1)
            named = orthologues.genes_to_human(counts)
            genes = panel.align(named, self.recipe.min_coverage, duplicates="sum").X
            others["mouse pituitary, human gene names"] = np.log2(TRAINING_TOTAL * 1e6 * genes / depth + 1)
        return flag_rates(
            self.mrna.X, self.mirna.obs, self.divisions[NEW_DONORS][0], self.seed, others=others
        )

    @cached_property
    def single_cells(self) -> dict[str, pd.DataFrame]:
        """Cell types with measured miRNA: ``pairs`` of cell types, and ``per miRNA`` for the trust table."""
        cells = {}
        if self.recipe.pbmc:
            adata = ad.read_h5ad(self.root / self.recipe.pbmc)
            adata.obs["cell_type"] = adata.obs["cell_type_marker"].astype(str)
            cells = {"pbmc": adata}
        mrna, measured = cell_references.load_cell_types(cells)
        truth = types.as_stem_loops(measured, self.mirna.var_names)
        rescale = Rescale().fit(self.mrna.X)
        inputs = np.log2(TRAINING_TOTAL * (np.exp2(mrna.X.astype(np.float64)) - 1) + 1)
        pairs, over = [], {}
        for transform in ("frozen", "rank"):
            values = self.model.predict(rescale.to_training(inputs, transform))
            predicted = pd.DataFrame(values, index=mrna.obs_names, columns=self.mirna.var_names)
            both = truth.to_df(), predicted[truth.var_names], truth.obs["source"]
            pairs.append(cell_agreement.between_cell_types(*both).assign(transform=transform))
            over[transform] = cell_agreement.over_cell_types(*both)
        columns = {"pearson_within": "single_cell_r", "n_cell_types": "n_cell_types"}
        return {
            "pairs": pd.concat(pairs),
            "per miRNA": over["rank"][list(columns)].rename(columns=columns),
        }

    def _foreign(self, member: collection.Member) -> tuple[ad.AnnData, ad.AnnData]:
        mrna, mirna = collection.load_member(member, self.root, self.recipe.min_coverage)
        if str(mirna.uns["sicmir"]["level"]) != str(self.mirna.uns["sicmir"]["level"]):
            mirna = types.as_stem_loops(mirna, self.judged)
        return mrna, mirna

    def _published(self) -> pd.DataFrame:
        shown = demo.load_demo(self.root / self.recipe.published, self.mrna.var_names)
        keep = ~self.mirna.obs["donor"].isin(set(shown.obs["donor"])).to_numpy()
        train = self.mrna.X[keep], self.mirna[keep].to_df().to_numpy(), self.mirna.obs[keep]
        others = {}
        for name in (OURS, "ridge"):
            values = METHODS[name].make(self.seed).fit(*train).predict(shown.landmarks.to_numpy(), shown.obs)
            others[name] = pd.DataFrame(values, index=shown.obs.index, columns=self.mirna.var_names)
        return published_demo.compare(shown.observed, shown.published, others, shown.obs, self.seed)[1]

    def _sensitivity(self) -> pd.DataFrame:
        bundle = self.bundle({})
        obs = self.mirna.obs
        cohort = obs["cohort"].value_counts().index[0]
        alike = (obs["cohort"] == cohort).to_numpy()
        chosen = np.flatnonzero(alike & (obs["condition"] == "tumour").to_numpy())
        other = {name: np.flatnonzero((obs["cohort"] == name).to_numpy()) for name in obs["cohort"].unique()}
        companions = {
            f"{cohort} tumours alone": chosen,
            f"all of {cohort}": np.flatnonzero(alike),
            **{f"and {name}": rows for name, rows in other.items() if name != cohort},
            "the whole collection": np.arange(len(obs)),
        }
        return cohort_sensitivity(bundle, self.mrna.X, chosen, companions)

    def _transfer(self) -> pd.DataFrame:
        sets = {member.set: self._foreign(member) for member in self.recipe.foreign}
        return transfer(self.mrna, self.mirna[:, self.judged], sets)

    def _donor_curve(self) -> pd.DataFrame:
        data = self.mrna.X, self.study.observed.to_numpy(), self.study.obs
        return learning_curve.donor_curve(
            *data, self.divisions[NEW_DONORS], MaskedKernelRidge, FRACTIONS, self.seed
        )

    def _cohort_curve(self) -> pd.DataFrame:
        data = self.mrna.X, self.study.observed.to_numpy(), self.study.obs
        return learning_curve.cohort_curve(
            *data, self.divisions[UNSEEN], MaskedKernelRidge, numbers=COHORTS, seed=self.seed
        )
