"""An atlas opened for questions: DuckDB over its tables, and the expression of miRNAs and target genes."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import anndata as ad
import duckdb
import pandas as pd

from sicmir import paths
from sicmir.atlas import record as records
from sicmir.atlas import store
from sicmir.atlas.tables import SCHEMAS, TRUST
from sicmir.benchmark.evaluation import find_mirnas
from sicmir.engine.prediction_record import LOG2_RPM
from sicmir.errors import ParameterError, ReadError
from sicmir.threads import asked_threads

LABELS = ("cell_type", "tissue", "disease", "dataset", "condition", "donor")
"""What rows can be chosen and grouped by."""

TRUST_COLUMNS = ("grade", *TRUST, "n_cell_types")
"""What every row about a miRNA says of how far it can be believed."""


class Atlas:
    """The tables of all data sets of a store, for reading.

    Use it as a context manager, or call :meth:`close`. In SQL there is a view of each table of
    :data:`sicmir.atlas.tables.SCHEMAS` over the data sets that were there at the time of opening, with the
    columns ``dataset, tissue, tissue_id, disease, disease_id`` beside its own; a ``disease`` of its own
    stands for that of the data set.

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
        place = paths.atlas(folder)
        found = store.read_records(place)
        if not found:
            raise ReadError(f"{place}: the atlas holds no data set. Add one by sicmir atlas add.")
        self.registry = records.registry(found)
        self.model: dict[str, Any] = found[0]["model"]
        threads = asked_threads()
        self._connection = duckdb.connect(config={"threads": threads} if threads else {})
        for setting in ("autoinstall_known_extensions", "autoload_known_extensions"):
            self._connection.execute(f"SET {setting} = false")  # nothing is fetched
        self._connection.execute("SET parquet_metadata_cache = true")
        for name in SCHEMAS:
            self._view(name, self._files(place, found, name))
        # Of one model, all say the same.
        self.trust = self.sql(
            "SELECT * FROM trust WHERE dataset = $dataset", {"dataset": found[0]["dataset"]}
        )
        self.trust = self.trust.set_index("mirna")
        self._half_width = self.trust["half_width"]
        self.trust = self.trust[list(TRUST_COLUMNS)]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

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
            If a table is damaged or gone.
        """
        try:
            return self._connection.execute(query, dict(parameters or {})).df()
        except (duckdb.IOException, duckdb.InvalidInputException) as error:
            raise ReadError(
                f"A table of the atlas cannot be read; look by sicmir atlas check. {error}"
            ) from error
        except duckdb.Error as error:
            raise ParameterError(f"The question cannot be understood: {error}") from error

    def values(self, label: str) -> list[str]:
        """What there is of a label of :data:`LABELS`, sorted."""
        if label in ("tissue", "dataset"):
            return sorted(self.registry[label].unique())
        if label not in LABELS:
            raise ParameterError(f"There is no {label!r}; there are {', '.join(LABELS)}.")
        return self.sql(f"SELECT DISTINCT {label} AS found FROM mirna ORDER BY found")["found"].tolist()

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
        rows = self.sql(
            "SELECT * FROM mirna WHERE dataset = $dataset ORDER BY mirna, cell_type, donor, condition",
            {"dataset": self.label("dataset", dataset)},
        )
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
            "synthetic": self.model["synthetic"],
        }
        return found

    def write_sorted(self, name: str, keys: Sequence[str], path: Path, row_group_size: int) -> None:
        """Write a view as one Parquet file, sorted by some of its columns."""
        table = self._connection.sql(f"SELECT * FROM {name} ORDER BY {', '.join(keys)}, dataset")
        table.write_parquet(str(path), compression="zstd", row_group_size=row_group_size)

    def _view(self, name: str, files: pd.DataFrame) -> None:
        """Make a view of the files of a table, with what is known of their data sets."""
        shown = [one for one in _FACTS if one not in SCHEMAS[name].names]
        self._connection.register(f"{name}_of", files)
        self._connection.read_parquet(files["filename"].tolist(), filename=True).create_view(f"{name}_in")
        self._connection.execute(
            f"CREATE VIEW {name} AS SELECT f.dataset, {', '.join(f'f.{one}' for one in shown)}, "
            f"t.* EXCLUDE (filename) FROM {name}_in t JOIN {name}_of f USING (filename)"
        )

    @staticmethod
    def _files(place: Path, found: list[dict[str, Any]], name: str) -> pd.DataFrame:
        """Files of a table and what their data sets are."""
        rows = [
            (
                str(store.partition(place, one["dataset"]) / one["files"][name]["name"]),
                one["dataset"],
                *(one[kind][part] for kind in ("tissue", "disease") for part in ("name", "id")),
            )
            for one in found
        ]
        return pd.DataFrame(rows, columns=["filename", "dataset", *_FACTS])


_FACTS = ("tissue", "tissue_id", "disease", "disease_id")
_OBS = ("cell_type", "donor", "condition", "disease", "n_cells", "in_domain", "abstained")
_BOUNDS = ("predicted", "lower", "upper")


def _unknown(kind: str, wanted: str, there: Sequence[str]) -> str:
    near = difflib.get_close_matches(wanted, there, n=3, cutoff=0.5)
    hint = f" Did you mean {', '.join(near)}?" if near else ""
    return f"The atlas has no {kind} {wanted!r}.{hint} There are {len(there)}."
