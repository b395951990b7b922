"""The tables of a store in DuckDB: from the sorted copy where there is one, else from the data sets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd

from sicmir.atlas import store
from sicmir.atlas.compact import remark, usable
from sicmir.atlas.tables import SCHEMAS, connect
from sicmir.errors import ParameterError, ReadError

FACTS = ("tissue", "tissue_id", "disease", "disease_id")
"""What each row says of its data set, beside the name."""


class Scan:
    """A view in DuckDB of each table, over the data sets that were there at the time of opening.

    Parameters
    ----------
    place
        Folder of the store.

    Attributes
    ----------
    records
        Records of the data sets, by name.
    remark
        What is to be told of the sorted copy where it answers for fewer than half of them; else "".

    Raises
    ------
    ReadError
        If there is no store, it is empty, or a record or table cannot be used.
    """

    def __init__(self, place: Path) -> None:
        self._place = place
        while True:
            self.records = {one["dataset"]: one for one in store.read_records(place)}
            if not self.records:
                raise ReadError(f"{place}: the atlas holds no data set. Add one by sicmir atlas add.")
            self._connection = connect()
            try:
                self._make_views()
                return
            except ReadError:
                self.close()
                if not self._changed():
                    raise

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def sql(self, query: str, parameters: Mapping[str, Any] | None = None) -> pd.DataFrame:
        """As :meth:`sicmir.atlas.query.Atlas.sql`."""
        with self._readable():
            return self._connection.execute(query, dict(parameters or {})).df()

    def rows(self, name: str, dataset: str) -> pd.DataFrame:
        """Rows of a table of one data set, sorted by :data:`sicmir.atlas.tables.KEYS`, from its own file."""
        query = "SELECT * FROM read_parquet($file, hive_partitioning = false, file_row_number = true)"
        found = self.sql(f"{query} ORDER BY file_row_number", {"file": self._file(name, dataset)})
        return found.drop(columns="file_row_number")

    def _make_views(self) -> None:
        found = list(self.records.values())
        copy = usable(self._place, found)
        # Data sets that were added since are read as soon; hundreds that are not copied take their time.
        few = copy is None or 2 * len(copy.datasets) < len(found)
        self.remark = remark(self._place, found, copy) if few else ""
        self._copies = list(copy.files.values()) if copy else []
        for name, schema in SCHEMAS.items():
            copied = copy.datasets if copy and name in copy.files else set()
            shown = ["dataset", *(one for one in FACTS if one not in schema.names)]
            columns = ", ".join([f'f."{one}"' for one in shown] + [f't."{one}"' for one in schema.names])
            chosen = []
            if copy and copied:
                own = self._view(f"{name}_copy", [str(copy.files[name])], copied)
                chosen.append(f"SELECT {columns} FROM {own} USING (dataset)")
            if rest := self.records.keys() - copied:
                own = self._view(f"{name}_own", [self._file(name, one) for one in sorted(rest)], rest)
                chosen.append(f"SELECT {columns} FROM {own} USING (filename)")
            self._connection.execute(f"CREATE VIEW {name} AS {' UNION ALL '.join(chosen)}")

    def _view(self, view: str, files: list[str], datasets: Iterable[str]) -> str:
        """Make a view of files, and a table of what their data sets are; both of them, to be joined."""
        rows = []
        for dataset in sorted(datasets):
            record, name = self.records[dataset], view.partition("_")[0]
            known = [record[kind][part] for kind in ("tissue", "disease") for part in ("name", "id")]
            rows.append((self._file(name, dataset), dataset, *known))
        self._connection.register(f"{view}_of", pd.DataFrame(rows, columns=["filename", "dataset", *FACTS]))
        with self._readable():
            found = self._connection.read_parquet(files, filename=True, hive_partitioning=False)
            found.create_view(view)
        return f"{view} t JOIN {view}_of f"

    def _file(self, name: str, dataset: str) -> str:
        return str(store.partition(self._place, dataset) / self.records[dataset]["files"][name]["name"])

    @contextmanager
    def _readable(self) -> Iterator[None]:
        """Tell a question that cannot be understood from a table that cannot be read."""
        try:
            yield
        except (duckdb.IOException, duckdb.InvalidInputException) as error:
            if self._changed():
                raise ReadError(
                    f"{self._place}: data sets were replaced or removed since the atlas was opened. Open it "
                    "again."
                ) from error
            raise ReadError(
                f"A table of the atlas cannot be read; look by sicmir atlas check. {error}"
            ) from error
        except duckdb.Error as error:
            raise ParameterError(f"The question cannot be understood: {error}") from error

    def _changed(self) -> bool:
        """Whether a data set, or the copy, is another one than at the time of opening."""
        same = store.unchanged(self._place, self.records.values())
        return len(same) < len(self.records) or not all(path.exists() for path in self._copies)
