"""An atlas opened for questions: DuckDB over its tables, and the expression of miRNAs and target genes."""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import anndata as ad
import pandas as pd

from sicmir import paths
from sicmir.atlas import record as records
from sicmir.atlas.scan import Scan
from sicmir.atlas.tables import TRUST
from sicmir.benchmark.evaluation import find_mirnas
from sicmir.engine.prediction_record import LOG2_RPM
from sicmir.errors import ParameterError

LABELS = ("cell_type", "tissue", "disease", "dataset", "condition", "donor")
"""What rows can be chosen and grouped by."""

TRUST_COLUMNS = ("grade", *TRUST, "n_cell_types")
"""What every row about a miRNA says of how far it can be believed."""


class Atlas:
    """The tables of all data sets of a store, for reading.

    Use it as a context manager, or call :meth:`close`. In SQL there is a view of each table of
    :data:`sicmir.atlas.tables.SCHEMAS` over the data sets that were there at the time of opening, with the
    columns ``dataset, tissue, tissue_id, disease, disease_id`` beside its own; a ``disease`` or ``tissue`` of
    its own stands for that of the data set.

    Parameters
    ----------
    folder
        Of the store; "" takes that of the environment variable ``SICMIR_ATLAS``.

    Attributes
    ----------
    registry
        As :func:`sicmir.atlas.store.registry` gives it.
    model
        What the records say of the model.
    trust
        How far each miRNA (index) can be believed: the columns :data:`TRUST_COLUMNS`.

    Raises
    ------
    ParameterError
        If there is no folder.
    ReadError
        If there is no store, it is empty, or a record cannot be used.
    """

    def __init__(self, folder: str | Path = "") -> None:
        self._scan = Scan(paths.atlas(folder))
        if self._scan.remark:
            warnings.warn(self._scan.remark, UserWarning, stacklevel=2)
        found = list(self._scan.records.values())
        self.registry = records.registry(found)
        self.model: dict[str, Any] = found[0]["model"]
        # Of one model, all say the same.
        self.trust = self._scan.rows("trust", found[0]["dataset"]).set_index("mirna")
        self._half_width = self.trust["half_width"]
        self.trust = self.trust[list(TRUST_COLUMNS)]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._scan.close()

    def sql(self, query: str, parameters: Mapping[str, Any] | None = None) -> pd.DataFrame:
        """Ask in SQL.

        Parameters
        ----------
        query
            With ``$name`` where a value stands; never put values into the text.
        parameters
            The values.

        Raises
        ------
        ParameterError
            If it cannot be understood.
        ReadError
            If a table is damaged or gone, or data sets were replaced or removed since the atlas was opened.
        """
        return self._scan.sql(query, parameters)

    def values(self, label: str) -> list[str]:
        """What there is of a label of :data:`LABELS`, sorted."""
        if label == "dataset":
            return sorted(self.registry[label].unique())
        if label not in LABELS:
            raise ParameterError(f"There is no {label!r}; there are {', '.join(LABELS)}.")
        return sorted(self.groups[label].unique())

    @cached_property
    def groups(self) -> pd.DataFrame:
        """Groups of cells: a row for each with its labels, ``n_cells, in_domain`` and ``abstained``."""
        # Every group has all miRNAs, so that the rows of one of them name all groups.
        return self.sql(
            f"SELECT dataset, tissue, {', '.join(_OBS)} FROM mirna WHERE mirna = $any "
            "ORDER BY dataset, cell_type, donor, condition",
            {"any": self.trust.index[0]},
        )

    def mirna(self, wanted: str) -> str:
        """Full name of a miRNA, also by a short one such as ``miR-21``.

        Raises
        ------
        ParameterError
            If the model has none of that name.
        """
        found = find_mirnas(self.trust[["mean_log2_rpm"]].fillna(0).T, wanted)
        if len(found) != 1:
            raise ParameterError(_unknown("miRNA", wanted, self.trust.index.tolist()))
        return found[0]

    def gene(self, wanted: str) -> str:
        """Symbol of a target gene as it is written in the atlas; in other capitals only where one has it.

        Raises
        ------
        ParameterError
            If the gene is none of the targets that were measured, as landmarks and other genes are not, or
            capitals leave several.
        """
        name = wanted.strip()
        query = "SELECT DISTINCT gene FROM genes WHERE {} = $name ORDER BY gene"
        found: list[str] = []
        for column, value in (("gene", name), ("lower(gene)", name.lower())):
            found = found or self.sql(query.format(column), {"name": value})["gene"].tolist()
        if len(found) > 1:
            raise ParameterError(
                f"The gene {wanted!r}: there are {', '.join(found)}; write it as one of these."
            )
        if not found:
            raise ParameterError(
                f"The atlas has no gene {wanted!r}: it holds targets of miRNAs outside the 977 landmarks, by "
                "their current symbols."
            )
        return found[0]

    def label(self, kind: str, wanted: str) -> str:
        """A value of a label as it is written in the atlas, whatever its capitals.

        Raises
        ------
        ParameterError
            If there is none.
        """
        there = self.values(kind)
        found = [one for one in there if one == wanted] or [
            one for one in there if one.casefold() == wanted.casefold()
        ]
        if len(found) != 1:
            raise ParameterError(_unknown(kind.replace("_", " "), wanted, there))
        return found[0]

    def pools(self, dataset: str) -> ad.AnnData:
        """Predictions of one data set, as :func:`sicmir.predict` gives those of pools.

        Returns
        -------
        AnnData
            Groups × miRNAs: ``X``, layers ``lower`` and ``upper``; ``obs``: ``cell_type, donor, condition,
            disease, n_cells, in_domain, abstained``; ``var``: trust and ``half_width``.
        """
        dataset = self.label("dataset", dataset)
        rows = self._scan.rows("mirna", dataset)
        names = rows["mirna"].unique()
        matrices = {name: rows[name].to_numpy(dtype="float32").reshape(len(names), -1).T for name in _BOUNDS}
        obs = rows.iloc[: len(rows) // len(names)][list(_OBS)]
        obs.index = pd.Index(["|".join(row) for row in obs[["donor", "cell_type", "condition"]].to_numpy()])
        var = self.trust.loc[names].assign(half_width=self._half_width[names])
        found = ad.AnnData(matrices.pop("predicted"), obs=obs, var=var, layers=matrices)
        if self.model["interval_level"] is None:
            found.layers.clear()
        found.uns["sicmir"] = {
            "modality": "prediction",
            "units": LOG2_RPM,
            "level": self.model["level"],
            "interval_level": self.model["interval_level"],
            "dataset": dataset,
            "synthetic": bool(self.registry.set_index("dataset").loc[dataset, "synthetic"]),
        }
        return found


_OBS = ("cell_type", "donor", "condition", "disease", "n_cells", "in_domain", "abstained")
_BOUNDS = ("predicted", "lower", "upper")


def _unknown(kind: str, wanted: str, there: Sequence[str]) -> str:
    near = difflib.get_close_matches(wanted, there, n=3, cutoff=0.5)
    hint = f" Did you mean {', '.join(near)}?" if near else ""
    return f"The atlas has no {kind} {wanted!r}.{hint} There are {len(there)}."
