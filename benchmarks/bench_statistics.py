"""How long the statistics take on a large study: one command a subject.

``python benchmarks/bench_statistics.py differential`` draws 100 donors x 20 cell types x 1,000 miRNAs, and
prints the seconds of each test; ``survival`` does so for outcomes, ``hubs`` for 1,000 miRNAs x 15,000 genes.
Drawing the study is not counted.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import numpy as np
import pandas as pd
import typer
from anndata import AnnData

from sicmir import stats
from sicmir.donors import survival
from sicmir.donors.cut_off import cut_off
from sicmir.networks import hubs
from sicmir.synthetic import toy_cells

app = typer.Typer(add_completion=False, help=__doc__)


@app.command()
def differential(n_donors: int = 100, n_cell_types: int = 20, n_mirnas: int = 1000) -> None:
    """Two groups, pairs, a mixed design and markers, with two covariates and a variance trend."""
    options = {"condition_key": "condition", "case": "tumour", "reference": "normal"}
    options |= {"cell_type_key": "cell_type", "covariates": ["age", "batch"], "trend": True}
    total = 0.0
    for arms in ("unpaired", "paired", "mixed"):
        study = toy_cells.donor_cells(n_donors, n_cell_types, n_mirnas, arms=arms)
        total += _timed(f"differential, {arms}", lambda: stats.differential(study, **options))  # noqa: B023
    total += _timed("markers", lambda: stats.markers(study))
    typer.echo(f"{'all':<32}{total:8.1f} s")


@app.command("survival")
def of_survival(n_donors: int = 100, n_cell_types: int = 20, n_mirnas: int = 1000) -> None:
    """A Cox model with two covariates of each miRNA in each cell type, and the sought cut of one miRNA."""
    study = _with_outcome(toy_cells.donor_cells(n_donors, n_cell_types, n_mirnas, arms="unpaired"))
    options = {"cell_type_key": "cell_type", "covariates": ["age", "batch"]}
    total = _timed("Cox models", lambda: survival.cox(study, "time", "event", **options))
    part = study[study.obs["cell_type"] == "type A"]
    total += _timed("one cut-off", lambda: cut_off(part.X[:, 0], part.obs["time"], part.obs["event"]))
    typer.echo(f"{'all':<32}{total:8.1f} s")


@app.command("hubs")
def of_hubs(
    n_mirnas: int = 1000,
    n_genes: int = 15_000,
    n_targets: int = 200,
    n_donors: int = 100,
    n_permutations: int = 1000,
    n_bootstraps: int = 100,
) -> None:
    """Permutations of the targets of every miRNA, without and with resampling of donors.

    Values are noise, which takes as long as anything else; conserved families of TargetScan have about 200
    expressed targets.
    """
    rng = np.random.default_rng(0)
    obs = pd.DataFrame({"donor": np.arange(n_donors).astype(str)}, index=[f"s{i}" for i in range(n_donors)])
    obs["cohort"] = np.where(np.arange(n_donors) % 2 == 0, "A", "B")
    names = {"mirna": [f"m{i}" for i in range(n_mirnas)], "gene": [f"G{i}" for i in range(n_genes)]}
    mirna, mrna = (
        AnnData(
            rng.normal(8, 1, (n_donors, len(columns))).astype(np.float32),
            obs=obs.copy(),
            var=pd.DataFrame(index=columns),
        )
        for columns in names.values()
    )
    chosen = np.argsort(rng.random((n_mirnas, n_genes)), axis=1)[:, :n_targets]
    targets = pd.DataFrame(
        {
            "mirna": np.repeat(names["mirna"], n_targets),
            "gene": np.asarray(names["gene"], dtype=object)[chosen.ravel()],
        }
    )
    options = {"n_permutations": n_permutations, "progress": False}
    for n in dict.fromkeys((0, n_bootstraps)):
        call = partial(hubs.hubs, mirna, mrna, targets, n_bootstraps=n, **options)
        _timed(f"{n_permutations} draws, {n} resamplings", call)


def _with_outcome(study: AnnData) -> AnnData:
    donors = study.obs["donor"].unique()
    times = toy_cells.survival_times(np.zeros(len(donors))).set_index(donors)
    for name in times:
        study.obs[name] = times.loc[study.obs["donor"], name].to_numpy()
    return study


def _timed(name: str, call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    seconds = time.perf_counter() - started
    typer.echo(f"{name:<32}{seconds:8.1f} s")
    return seconds


if __name__ == "__main__":
    app()
