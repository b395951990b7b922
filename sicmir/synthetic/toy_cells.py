"""Synthetic miRNAs of cell types, donors and conditions, and survival times, with effects that are known.

Names are those of :mod:`sicmir.toy`: nobody should take a synthetic value for a measurement.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import anndata as ad
import numpy as np
import pandas as pd

from sicmir import __version__
from sicmir.errors import ParameterError

Arms = Literal["unpaired", "paired", "mixed"]


def donor_cells(
    n_donors: int = 12,
    n_cell_types: int = 3,
    n_mirnas: int = 60,
    *,
    arms: Arms = "paired",
    effect: float = 0.0,
    n_changed: int = 0,
    marker_effect: float = 0.0,
    donor_sd: float = 0.5,
    sample_sd: float = 0.4,
    batch_sd: float = 0.0,
    cells: int = 0,
    cell_sd: float = 1.0,
    mirna_names: Sequence[str] | None = None,
    seed: int = 0,
) -> ad.AnnData:
    """Draw miRNAs of cell types of donors under two conditions, ``tumour`` and ``normal``.

    A value is the sum of a level of the miRNA, the planted effects, a random effect of the donor (shared by
    its conditions), of the batch, of the sample, and, with ``cells``, of the cell. SDs differ between miRNAs,
    and so does the correlation within a donor: each SD is multiplied by the root of an inverse chi-squared
    draw with 8 degrees of freedom.

    Parameters
    ----------
    n_donors, n_cell_types, n_mirnas
        Numbers of each; donors at least 2.
    arms
        "unpaired": the first half of the donors has tumour, the other normal. "paired": every donor has
        both. "mixed": the first half has both, the next quarter tumour and the last quarter normal.
    effect, n_changed
        In each cell type, tumour minus normal is ``effect`` for one half of ``n_changed`` miRNAs, drawn at
        random, and ``-effect`` for the other half.
    marker_effect
        By how much each cell type exceeds the others in its own share, one n-th of the miRNAs, in turn.
    donor_sd, sample_sd, batch_sd, cell_sd
        SDs, log2. Batches are two, drawn for each donor.
    cells
        Cells of each sample, which are then the rows; 0: samples are the rows.
    mirna_names
        Names of the first miRNAs in place of synthetic ones.
    seed
        The same arguments and seed give the same values.

    Returns
    -------
    AnnData
        Rows x miRNAs, float32, log2(RPM+1), not cut off at 0. ``obs``: ``sample``, ``cell``, ``donor``,
        ``cell_type``, ``condition``, ``batch``, ``age``. ``uns["truth"]``: the DataFrames ``effects`` and
        ``markers``, miRNAs x cell types, log2.

    Raises
    ------
    ParameterError
        If an option is out of range.

    Examples
    --------
    >>> from sicmir.synthetic import toy_cells
    >>> cells = toy_cells.donor_cells(n_donors=4, n_cell_types=2, n_mirnas=10)
    >>> cells.shape, sorted(cells.obs["condition"].unique())
    ((16, 10), ['normal', 'tumour'])
    """
    given = list(mirna_names or ())
    for name, value, expected, valid in (
        ("n_donors", n_donors, "at least 2", n_donors >= 2),
        ("n_cell_types", n_cell_types, "from 1 to 26", 1 <= n_cell_types <= 26),
        ("n_mirnas", n_mirnas, "at least 1", n_mirnas >= 1),
        ("arms", arms, f"one of {', '.join(get_args(Arms))}", arms in get_args(Arms)),
        ("n_changed", n_changed, f"from 0 to n_mirnas = {n_mirnas}", 0 <= n_changed <= n_mirnas),
        ("cells", cells, "at least 0", cells >= 0),
        (
            "SDs",
            (donor_sd, sample_sd, batch_sd, cell_sd),
            ">= 0",
            min(donor_sd, sample_sd, batch_sd, cell_sd) >= 0,
        ),
        ("mirna_names", len(given), f"at most n_mirnas = {n_mirnas}", len(given) <= n_mirnas),
    ):
        if not valid:
            raise ParameterError(f"{name} should be {expected}; found {value!r}.")
    rng = np.random.default_rng(seed)
    names = given + [f"toy-miR-{i:03d}" for i in range(len(given) + 1, n_mirnas + 1)]
    types = [f"type {chr(ord('A') + i)}" for i in range(n_cell_types)]
    obs, donor, kind = _samples(n_donors, types, arms, rng)
    change = np.zeros((n_mirnas, n_cell_types))
    for column in change.T:
        chosen = rng.permutation(n_mirnas)[:n_changed]
        column[chosen] = effect * np.where(np.arange(n_changed) % 2, -1, 1)
    mark = marker_effect * (np.arange(n_mirnas)[:, None] % n_cell_types == np.arange(n_cell_types))

    def scatter(sd: float, rows: int) -> np.ndarray:
        spread = np.sqrt(8 / rng.chisquare(8, size=n_mirnas))
        return sd * spread * rng.normal(size=(rows, n_mirnas))

    tumour = (obs["condition"] == "tumour").to_numpy()
    values = rng.uniform(6, 12, n_mirnas) + mark.T[kind] + tumour[:, None] * change.T[kind]
    # The donor's effect is its own in each cell type, in half of its variance.
    own = scatter(donor_sd, n_donors * n_cell_types)[donor * n_cell_types + kind]
    values += np.sqrt(0.5) * (scatter(donor_sd, n_donors)[donor] + own)
    values += scatter(batch_sd, 2)[obs["batch"].cat.codes.to_numpy()] + scatter(sample_sd, len(obs))
    if cells:
        obs = obs.loc[obs.index.repeat(cells)]
        values = np.repeat(values, cells, axis=0) + scatter(cell_sd, len(obs))
    obs["cell"] = [f"cell-{i:05d}" for i in range(len(obs))]
    adata = ad.AnnData(
        values.astype(np.float32), obs=obs.set_index(obs["cell"].to_numpy()), var=pd.DataFrame(index=names)
    )
    adata.uns["sicmir"] = {
        "dataset": "toy",
        "units": "log2(RPM+1)",
        "synthetic": True,
        "version": __version__,
    }
    adata.uns["truth"] = {
        "effects": pd.DataFrame(change, index=names, columns=types),
        "markers": pd.DataFrame(mark, index=names, columns=types),
    }
    return adata


def survival_times(
    log_hazard: np.ndarray, *, censored: float = 0.4, turns: bool = False, seed: int = 0
) -> pd.DataFrame:
    """Draw times to an event whose hazard is known, and times of censoring that know nothing of it.

    Parameters
    ----------
    log_hazard
        Natural logarithm of the hazard ratio of each donor.
    censored
        Expected share of censored times at equal hazards, from 0 up to, not including, 1.
    turns
        Let the log hazard change its sign at the median time of log hazard 0, which is against proportional
        hazards.
    seed
        Seed of the draws.

    Returns
    -------
    DataFrame
        One row a donor: ``time``, in units of the mean time at log hazard 0, and ``event`` (1, or 0 if
        censored).

    Raises
    ------
    ParameterError
        If ``censored`` is out of range.

    Examples
    --------
    >>> import numpy
    >>> from sicmir.synthetic import toy_cells
    >>> toy_cells.survival_times(numpy.zeros(5), censored=0)["event"].tolist()
    [1, 1, 1, 1, 1]
    """
    if not 0 <= censored < 1:
        raise ParameterError(f"censored should be at least 0 and below 1; found {censored!r}.")
    rng = np.random.default_rng(seed)
    hazard = np.exp(np.asarray(log_hazard, dtype=np.float64))
    spent = rng.exponential(size=len(hazard))
    time = spent / hazard
    if turns:
        turn = np.log(2)
        later = spent > turn * hazard
        time[later] = turn + (spent[later] - turn * hazard[later]) * hazard[later]
    end = rng.exponential(size=len(hazard)) * (1 - censored) / max(censored, 1e-12)
    return pd.DataFrame({"time": np.minimum(time, end), "event": (time <= end).astype(int)})


def _samples(
    n_donors: int, types: Sequence[str], arms: Arms, rng: np.random.Generator
) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """One row a sample, with the number of its donor and of its cell type."""
    half, quarter = n_donors // 2, n_donors // 2 + n_donors // 4
    batch = rng.permutation(np.arange(n_donors) % 2)
    age = rng.uniform(30, 80, n_donors)
    rows = []
    for i in range(n_donors):
        both = arms == "paired" or (arms == "mixed" and i < half)
        first = half if arms == "unpaired" else quarter
        for condition in ("tumour", "normal") if both else ("tumour",) if i < first else ("normal",):
            rows += [(f"TOY-{i + 1:04d}", name, condition, f"batch {batch[i] + 1}", age[i]) for name in types]
    obs = pd.DataFrame(rows, columns=["donor", "cell_type", "condition", "batch", "age"])
    obs["batch"] = pd.Categorical(obs["batch"], categories=["batch 1", "batch 2"])
    obs.insert(0, "sample", obs["donor"] + "|" + obs["cell_type"] + "|" + obs["condition"])
    return obs, pd.factorize(obs["donor"])[0], pd.factorize(obs["cell_type"])[0]
