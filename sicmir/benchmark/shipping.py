"""Make the shipped model: judge the kernel model out of sample, then train it on everything."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from tqdm import tqdm

from sicmir import metrics, panel, trust
from sicmir.benchmark import interval_coverage
from sicmir.benchmark.study import NEW_DONORS, TEST, UNSEEN
from sicmir.errors import DataError
from sicmir.learning import conformal
from sicmir.learning.domain import Domain
from sicmir.learning.kernel import MaskedKernelRidge
from sicmir.learning.rescale import Rescale
from sicmir.learning.splits import Split, assert_no_leak
from sicmir.model import Bundle

LEVEL = 0.9
MEMBERS = 2
"""Training samples that one centre of the shipped model stands for."""

MIN_COHORT = 20
"""Fewest samples of a cohort that decide whether the model speaks of a miRNA."""


@dataclass(frozen=True, eq=False)
class OutOfSample:
    """Predictions of samples by models that saw none of their donors.

    Attributes
    ----------
    observed, predicted
        The tested samples × miRNAs, log2(RPM+1).
    spread
        Per sample, as :meth:`sicmir.learning.kernel.MaskedKernelRidge.predict_with_spread` gives it.
    obs
        Samples with ``donor``, ``cohort`` and ``condition``.
    """

    observed: pd.DataFrame
    predicted: pd.DataFrame
    spread: pd.Series
    obs: pd.DataFrame

    def per_mirna(self) -> pd.DataFrame:
        """As :func:`sicmir.metrics.per_mirna`, and ``pearson_within_condition``, tumours by themselves."""
        cohort = self.obs["cohort"].astype(str)
        table = metrics.per_mirna(self.observed, self.predicted, cohort.to_numpy())
        finer = (cohort + "/" + self.obs["condition"].astype(str)).to_numpy()
        apart = metrics.per_mirna(self.observed, self.predicted, finer)["pearson_within"]
        return table.assign(pearson_within_condition=apart)

    def rows(self, keep: np.ndarray | pd.Series) -> OutOfSample:
        """Some of the samples, by a Boolean mask."""
        mask = np.asarray(keep)
        return OutOfSample(self.observed[mask], self.predicted[mask], self.spread[mask], self.obs[mask])

    def half_widths(self) -> pd.Series:
        """Half widths by miRNA from these errors, see :func:`sicmir.learning.conformal.half_widths`."""
        return conformal.half_widths(
            self.observed, self.predicted, self.obs["donor"], level=LEVEL, spread=self.spread
        )

    def bounds(self, half_widths: pd.Series) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Lower and upper bounds of the predictions, see :func:`sicmir.learning.conformal.intervals`."""
        return conformal.intervals(self.predicted, half_widths, self.spread)

    def covered(self, lower: pd.DataFrame, upper: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Coverage by miRNA and its summary, see :mod:`sicmir.learning.conformal`."""
        labels = self.obs["donor"], self.obs["cohort"]
        return (
            interval_coverage.coverage(self.observed, lower, upper, labels[0]),
            interval_coverage.coverage_summary(self.observed, lower, upper, *labels, level=LEVEL),
        )


@dataclass(frozen=True, eq=False)
class Assessment:
    """What is known of the shipped model.

    Attributes
    ----------
    trust
        Per miRNA, see :func:`sicmir.trust.trust_table`, from new donors and unseen cancers.
    coverage
        Rows (division, "all samples" or cohort): measured coverage of the intervals. The half widths were
        taken from the new donors, so that theirs is what was asked for; the test donors tell how it holds.
        For an unseen cancer they are taken from the new donors of the others alone.
    grades
        For each grade, what it came to on the test donors, see :func:`sicmir.trust.check_grades`.
    by_division
        Division → its out-of-sample predictions.
    """

    trust: pd.DataFrame
    coverage: pd.DataFrame
    grades: pd.DataFrame
    by_division: dict[str, OutOfSample]


def well_measured(mirna: AnnData) -> pd.Index:
    """Names of miRNAs with RPM > 1 in at least half of the samples of one cohort that measured them.

    There have to be 20 such samples or more. So a miRNA of one tissue, such as miR-122 of the liver, is among
    them, and none that a few samples happened to measure.

    Raises
    ------
    DataError
        If no cohort has 20 samples.
    """
    counts = mirna.obs["cohort"].value_counts()
    large = counts.index[counts >= MIN_COHORT]
    if large.empty:
        raise DataError(f"No cohort has {MIN_COHORT} samples; the largest has {counts.max()}.")
    keep = np.zeros(mirna.n_vars, dtype=bool)
    for name in large:
        values = mirna[(mirna.obs["cohort"] == name).to_numpy()].to_df()
        keep |= metrics.detected(values) & (values.notna().sum() >= MIN_COHORT).to_numpy()
    return mirna.var_names[keep]


def out_of_sample(
    mrna: AnnData, mirna: AnnData, parts: Sequence[Split], description: str = ""
) -> OutOfSample:
    """Predict the test samples of splits by the shipped kind of model.

    Parameters
    ----------
    mrna, mirna
        Samples × landmarks, log2(x+1), and samples × miRNAs, log2(RPM+1).
    parts
        Disjoint test sets.
    description
        Of the progress bar.

    Raises
    ------
    DataError
        If a split leaks, or the model cannot learn from its training samples.
    """
    observed, obs = mirna.to_df(), mirna.obs
    predicted = pd.DataFrame(np.nan, index=observed.index, columns=observed.columns, dtype=np.float32)
    spread = pd.Series(np.nan, index=observed.index)
    for split in tqdm(parts, desc=description, unit="split"):
        assert_no_leak(split, obs)
        model = fit_predictor(mrna.X[split.train], observed.to_numpy()[split.train], obs.iloc[split.train])
        predicted.iloc[split.test], spread.iloc[split.test] = model.predict_with_spread(mrna.X[split.test])
    rows = np.sort(np.concatenate([split.test for split in parts]))
    return OutOfSample(observed.iloc[rows], predicted.iloc[rows], spread.iloc[rows], obs.iloc[rows])


def assess(
    mrna: AnnData,
    mirna: AnnData,
    divisions: Mapping[str, Sequence[Split]],
    *,
    cohort_mean: pd.DataFrame | None = None,
    host_gene: pd.DataFrame | None = None,
    single_cell: pd.DataFrame | None = None,
) -> Assessment:
    """Measure all that a trust table says; the test donors are used for the checks alone.

    Parameters
    ----------
    mrna, mirna
        Samples × landmarks, log2(x+1), and samples × miRNAs that the model shall speak of, log2(RPM+1).
    divisions
        As :func:`sicmir.benchmark.study.study_splits` gives them.
    cohort_mean, host_gene, single_cell
        As for :func:`sicmir.trust.trust_table`.

    Raises
    ------
    DataError
        As for :func:`out_of_sample`; if test sets overlap, or a table is of other miRNAs.
    """
    found = {name: out_of_sample(mrna, mirna, parts, name) for name, parts in divisions.items()}
    new = found[NEW_DONORS]
    widths = new.half_widths()
    bounds = {name: part.bounds(widths) for name, part in found.items()}
    bounds[UNSEEN] = _bounds_without_cohort(new, found[UNSEEN], divisions[UNSEEN], mirna.obs_names)
    covered = {name: part.covered(*bounds[name]) for name, part in found.items()}
    table = trust.trust_table(
        trust.expression_summary(new.observed, new.obs["donor"]),
        new.per_mirna(),
        found[UNSEEN].per_mirna(),
        cohort_mean=cohort_mean,
        host_gene=host_gene,
        single_cell=single_cell,
        half_widths=widths,
        coverage=covered[TEST][0],
    )
    return Assessment(
        trust=table,
        coverage=pd.concat({name: summary for name, (_, summary) in covered.items()}, names=["division"]),
        grades=trust.check_grades(table, found[TEST].per_mirna()["pearson_within"]),
        by_division=found,
    )


def _bounds_without_cohort(
    new: OutOfSample, unseen: OutOfSample, parts: Sequence[Split], names: pd.Index
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Bounds for cohorts that were left out, with half widths that knew nothing of them either."""
    bounds = []
    for split in parts:
        tested = unseen.rows(unseen.observed.index.isin(names[split.test]))
        widths = new.rows(~new.obs["donor"].isin(tested.obs["donor"])).half_widths()
        bounds.append(tested.bounds(widths))
    lower, upper = (pd.concat(side).loc[unseen.observed.index] for side in zip(*bounds, strict=True))
    return lower, upper


def build(mrna: AnnData, mirna: AnnData, assessment: Assessment, card: Mapping[str, Any]) -> Bundle:
    """Train on all samples, and lay what is known of the model beside it.

    Parameters
    ----------
    mrna, mirna
        As for :func:`assess`.
    assessment
        As :func:`assess` gives it.
    card
        Facts for the model card, beside those that are added here.

    Raises
    ------
    BundleError
        If the assessment is of other miRNAs.
    DataError
        If the model or its domain cannot learn from the samples.
    """
    observed = mirna.to_df()
    model = fit_predictor(mrna.X, observed.to_numpy(), mirna.obs)
    facts = {
        "n_samples": mirna.n_obs,
        "n_donors": int(mirna.obs["donor"].nunique()),
        "cohorts": {str(k): int(v) for k, v in mirna.obs["cohort"].value_counts().sort_index().items()},
        "files": files(mrna, mirna),
    }
    return Bundle(
        predictor=model,
        genes=list(mrna.var_names),
        mirnas=list(mirna.var_names),
        level=str(mirna.uns["sicmir"]["level"]),
        units="log2(RPM+1)",
        trust=with_mature_names(assessment.trust, str(mirna.uns["sicmir"]["level"])),
        rescale=Rescale().fit(mrna.X),
        domain=Domain().fit(mrna.X, mirna.obs["donor"].to_numpy()),
        card=dict(card)
        | {
            "input_units": str(mrna.uns["sicmir"]["units"]),
            "output_units": str(mirna.uns["sicmir"]["units"]),
            "training_data": facts,
            "mirna_rule": f"RPM > 1 in half of the samples of a cohort, {MIN_COHORT} or more, that have it",
            "interval_level": LEVEL,
            "options": model.facts() | {"members": MEMBERS},
            "versions": {name: version(name) for name in ("sicmir", "numpy", "scipy", "scikit-learn")}
            | {"python": platform.python_version()},
        },
    )


def with_mature_names(table: pd.DataFrame, level: str) -> pd.DataFrame:
    """Add the mature miRNA that a stem-loop mostly yields, and how well the two agree.

    Parameters
    ----------
    table
        Index miRNA, also under former names.
    level
        Of the miRNAs.

    Returns
    -------
    The table with ``mature``, of the arms with one locus the one with most reads in TCGA samples, and
    ``mature_r``, its Pearson r with the stem-loop there; empty and NaN where there is no such arm or r is at
    most 0.9. At mature level nothing is added.
    """
    if level != "stem-loop":
        return table
    arms = panel.single_locus()
    arms = arms.sort_values("arm_share").drop_duplicates("stem_loop", keep="last")
    arms = arms[arms["r_stemloop"] > 0.9]
    current = panel.current_mirna_names(table.index, "stem-loop")["current"]
    found = arms.set_index("stem_loop").reindex(current.to_numpy())
    return table.assign(mature=found["mature"].fillna("").to_numpy(), mature_r=found["r_stemloop"].to_numpy())


def fit_predictor(X: np.ndarray, Y: np.ndarray, obs: pd.DataFrame) -> MaskedKernelRidge:
    """Train the kind of model that is shipped; arguments as for :meth:`MaskedKernelRidge.fit`."""
    return MaskedKernelRidge().fit(X, Y, obs).compress(MEMBERS)


def files(*adatas: AnnData) -> dict[str, str]:
    """Files that data were read from, and their checksums."""
    tables = pd.concat([adata.uns["sicmir"]["sources"] for adata in adatas]).drop_duplicates()
    return {str(row.name): str(row.checksum) for row in tables.itertuples(index=False)}
