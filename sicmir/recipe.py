"""From paired data to a model bundle that carries its own test: the whole route in one call."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
from anndata import AnnData

from sicmir import data, metrics, panel
from sicmir.benchmark.baselines import CONTROLS
from sicmir.benchmark.evaluation import check_same_samples, detected_names
from sicmir.errors import ParameterError
from sicmir.learning import splits
from sicmir.learning.bundle_files import check_free
from sicmir.learning.kernel import MaskedKernelRidge
from sicmir.learning.predictors import NetworkPredictor, Predictor
from sicmir.learning.training import NetworkRegressor
from sicmir.model import Bundle

CONTROLS_SHOWN = ("cohort-mean", "ridge")
METHODS: dict[str, type[NetworkRegressor | MaskedKernelRidge]] = {
    "network": NetworkRegressor,
    "kernel": MaskedKernelRidge,
}
"""What :func:`train` can train."""


@dataclass(frozen=True, eq=False)
class Trained:
    """What a training leaves.

    Attributes
    ----------
    bundle
        The model.
    history
        Losses by epoch, see :class:`sicmir.learning.training.NetworkRegressor`; None for the kernel method,
        which has no epochs.
    test
        Rows (method, miRNA): metrics on donors that took part in neither training nor early stopping,
        for the model, called ``sicmir`` whatever its method, and the controls.
    split
        One row a sample: train or test.
    """

    bundle: Bundle
    history: pd.DataFrame | None
    test: pd.DataFrame
    split: pd.DataFrame

    def save(self, folder: str | Path, overwrite: bool = False) -> Path:
        """Write the bundle, and beside it ``test_metrics.csv``, ``split.csv`` and any ``history.csv``."""
        tables = {"test_metrics": self.test.reset_index(), "split": self.split}
        if self.history is not None:
            tables["history"] = self.history
        return self.bundle.save(folder, overwrite, tables)


def train(
    mrna: AnnData,
    mirna: AnnData,
    *,
    method: str = "network",
    test_fraction: float = 0.2,
    seed: int = 0,
    min_coverage: float = 0.5,
    checkpoint: str | Path = "",
    progress: bool = True,
    **options: Any,
) -> Trained:
    """Train a model on most donors and measure it once on the others.

    Parameters
    ----------
    mrna, mirna
        Samples × genes, log2(x+1), and samples × miRNAs, log2(RPM+1), as :func:`sicmir.load_paired`
        gives them. miRNAs with RPM > 1 in at least half of the *training* samples are learnt.
    method
        ``"network"``, see :class:`sicmir.learning.training.NetworkRegressor`, or ``"kernel"``, see
        :class:`sicmir.learning.kernel.MaskedKernelRidge`.
    test_fraction
        Share of the donors of each cohort kept for the test.
    seed
        Of the split, and with the network of its own split, its weights and batches.
    min_coverage
        Smallest share of the landmarks that the data must measure, see :func:`sicmir.panel.align`.
    checkpoint, progress
        As for :class:`sicmir.learning.training.NetworkRegressor`; the kernel method has no use for them.
    **options
        Of the class of the method.

    Raises
    ------
    DataError, PanelError, ParameterError
        If data, method or options cannot be trained with.

    Examples
    --------
    >>> import sicmir
    >>> mrna, mirna = sicmir.toy.paired_bulk(n_donors=20, n_cohorts=2, n_genes=977, n_mirnas=10)
    >>> trained = sicmir.train(mrna, mirna, method="kernel", progress=False)
    >>> trained.bundle.mirnas[:2]
    ['toy-miR-001', 'toy-miR-002']
    >>> trained.bundle.units
    'log2(RPM+1)'
    """
    check_same_samples(mrna, mirna)
    aligned = panel.align(mrna, min_coverage=min_coverage)
    obs = mirna.obs
    split = splits.holdout(obs, test_fraction, seed)
    mirnas = detected_names(mirna[split.train])
    X, Y = aligned.X, mirna[:, mirnas].to_df().to_numpy()
    own = {"seed": seed, "checkpoint": checkpoint, "progress": progress} if method == "network" else {}
    model = _make(method, **own, **options)
    estimators = {"sicmir": model} | {name: CONTROLS[name].make(seed) for name in CONTROLS_SHOWN}
    tables = {}
    for name, estimator in estimators.items():
        estimator.fit(X[split.train], Y[split.train], obs.iloc[split.train])
        predicted = estimator.predict(X[split.test], obs.iloc[split.test])
        cohort = obs["cohort"].iloc[split.test].to_numpy()
        tables[name] = metrics.per_mirna(Y[split.test], predicted, cohort, names=list(mirnas))
    test = pd.concat(tables, names=["method", "mirna"])
    history: pd.DataFrame | None = None
    predictor: Predictor
    if isinstance(model, NetworkRegressor):
        history = model.history_
        predictor = NetworkPredictor(model.network_, model.transform_, model.target_mean_, model.target_sd_)
    else:
        predictor = model
    bundle = Bundle(
        predictor=predictor,
        genes=list(aligned.var_names),
        mirnas=list(mirnas),
        level=str(mirna.uns["sicmir"]["level"]),
        units=str(mirna.uns["sicmir"]["units"]).replace(" ", ""),
        card=_card(mrna, mirna, split, test_fraction, seed, model, test),
    )
    return Trained(bundle, history, test, splits.table([split], obs))


def train_bundle(
    dataset: str | Path,
    out: str | Path,
    *,
    method: str = "network",
    seed: int = 0,
    progress: bool = True,
    **options: Any,
) -> Trained:
    """Load a paired data set, train on it and save the bundle; go on where an earlier call was interrupted.

    Parameters
    ----------
    dataset
        As for :func:`sicmir.load_paired`.
    out
        Folder of the bundle. It must not hold one yet.
    method, seed, progress, **options
        As for :func:`train`.

    Raises
    ------
    BundleError
        If ``out`` is taken.
    ParameterError
        If there is no such method. Both are checked before any work.
    """
    out = Path(out).expanduser()
    check_free(out)
    _make(method)
    mrna, mirna = data.load_paired(dataset)
    checkpoint = out.with_name(f"{out.name}.checkpoint")
    trained = train(
        mrna, mirna, method=method, seed=seed, checkpoint=checkpoint, progress=progress, **options
    )
    trained.save(out)
    if method == "network":  # any checkpoint beside another method's bundle is of another training
        checkpoint.unlink(missing_ok=True)
    return trained


def _make(method: str, **options: Any) -> NetworkRegressor | MaskedKernelRidge:
    if method not in METHODS:
        raise ParameterError(f"There is no method {method!r}; choose one of {', '.join(METHODS)}.")
    kind = METHODS[method]
    try:
        return kind(**options)
    except TypeError as error:
        raise ParameterError(
            f"{error}; the options are those of {kind.__module__}.{kind.__name__}."
        ) from None


def _card(
    mrna: AnnData,
    mirna: AnnData,
    split: splits.Split,
    test_fraction: float,
    seed: int,
    model: NetworkRegressor | MaskedKernelRidge,
    test: pd.DataFrame,
) -> dict[str, Any]:
    train_obs = mirna.obs.iloc[split.train]
    engine: tuple[str, ...]
    if isinstance(model, NetworkRegressor):
        options, engine = model.options | {"epochs_trained": model.epochs_}, ("torch",)
    else:
        options, engine = model.facts(), ("scipy", "scikit-learn")
    facts = mirna.uns["sicmir"]
    sources = [adata.uns["sicmir"].get("sources") for adata in (mrna, mirna)]
    files = pd.concat([table for table in sources if table is not None])
    return {
        "training_data": {
            "dataset": str(facts["dataset"]),
            "synthetic": bool(facts["synthetic"]),
            "n_samples": len(train_obs),
            "n_donors": int(train_obs["donor"].nunique()),
            "cohorts": {str(k): int(v) for k, v in train_obs["cohort"].value_counts().sort_index().items()},
            "files": {str(row.name): str(row.checksum) for row in files.itertuples(index=False)},
        },
        "input_units": str(mrna.uns["sicmir"]["units"]),
        "output_units": str(facts["units"]),
        "level": str(facts["level"]),
        "mirna_rule": "RPM > 1 in at least half of the training samples",
        "split": {
            "kind": "donors held out in each cohort",
            "test_fraction": test_fraction,
            "seed": seed,
            "n_train_samples": len(split.train),
            "n_test_samples": len(split.test),
            "test_donors": sorted(mirna.obs["donor"].iloc[split.test].astype(str).unique()),
        },
        "options": options,
        "test_metrics": {
            method: {
                str(key): round(float(value), 4)
                for key, value in metrics.summary(table.droplevel("method")).dropna().items()
            }
            for method, table in test.groupby(level="method")
        },
        "versions": {name: version(name) for name in ("sicmir", *engine, "numpy", "anndata")}
        | {"python": platform.python_version()},
    }
