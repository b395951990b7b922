"""The tables of a data set in the atlas: their columns, how they are written, and by what they are read."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from sicmir.threads import asked_threads

_TEXT = pa.dictionary(pa.int32(), pa.string())
_GROUP = tuple(
    (name, _TEXT) for name in ("cell_type", "donor", "condition", "disease", "tissue", "tissue_id")
)

TRUST = ("mean_log2_rpm", "within_r", "unseen_within_r", "single_cell_r")
"""Figures of :data:`sicmir.trust.COLUMNS` that are kept beside the grade."""

QUANTILES = {"q05": 0.05, "q25": 0.25, "median": 0.5, "q75": 0.75, "q95": 0.95}
"""Columns of quantiles over parts, linearly interpolated between the parts themselves: exact, no sketch."""

SCHEMAS: dict[str, pa.Schema] = {
    name: pa.schema(columns)
    for name, columns in {
        "mirna": [
            ("mirna", _TEXT),
            ("grade", _TEXT),
            *_GROUP,
            ("n_cells", pa.int32()),
            ("n_parts", pa.int32()),
            ("in_domain", pa.bool_()),
            ("abstained", pa.bool_()),
            *((column, pa.float32()) for column in ("predicted", "lower", "upper", "mean", "variance")),
            *((column, pa.float32()) for column in QUANTILES),
            ("fraction_above", pa.float32()),
        ],
        "genes": [("gene", _TEXT), *_GROUP, ("n_cells", pa.int32()), ("expression", pa.float32())],
        "markers": [
            ("cell_type", _TEXT),
            ("mirna", _TEXT),
            ("grade", _TEXT),
            *((column, pa.float32()) for column in ("effect", "se", "se_total")),
            ("df", pa.float32()),
            ("n_donors", pa.int32()),
        ],
        "targets": [("mirna", _TEXT), ("gene", _TEXT), ("evidence", _TEXT)],
        "trust": [
            ("mirna", _TEXT),
            ("grade", _TEXT),
            *((column, pa.float32()) for column in TRUST),
            ("half_width", pa.float32()),
            ("n_cell_types", pa.int32()),
        ],
    }.items()
}
"""Columns of each table, all sorted by :data:`KEYS`.

``mirna``
    A group is the cells of one donor, cell type and condition ("" without conditions). ``disease`` is that of
    the data set, or ``normal`` where the condition is; ``tissue`` and ``tissue_id`` are those of its cells,
    and else of the data set. ``predicted``: log2(RPM+1) of all its cells pooled;
    ``lower`` and ``upper``: its prediction interval. ``abstained``: nothing is predicted, all NaN;
    ``in_domain``: whether the pool is like the training data, null where the model cannot tell. The other
    columns tell how the prediction
    varies within the group: its cells are dealt at random to disjoint parts, see
    :func:`sicmir.atlas.pools.parts`, each of which is predicted. ``n_parts``: parts that are not abstained;
    ``mean``, ``variance`` (divisor n - 1; NaN for one part), :data:`QUANTILES` over these, and
    ``fraction_above``, the share of them above the baseline, which is the mean of the miRNA over the training
    samples of the model (``mean_log2_rpm`` of :data:`sicmir.trust.COLUMNS`).
``genes``
    ``expression``: log2(CPM+1) of the pool of the group, of targets outside the 977 landmarks.
``markers``
    Each cell type against the others of the same donor, by :func:`sicmir.stats.markers`: ``effect`` (log2)
    with its standard error over donors, ``se``, and degrees of freedom, ``df``; ``se_total`` adds the errors
    of prediction. NaN where there is no test, as for fewer than three donors.
``targets``
    Pairs whose gene was measured, under the names of the model.
``trust``
    How far the predictions of each miRNA can be believed, from the model: :data:`sicmir.trust.COLUMNS`.
"""

KEYS = {
    "mirna": ("mirna", "cell_type", "donor", "condition"),
    "genes": ("gene", "cell_type", "donor", "condition"),
    "markers": ("cell_type", "mirna"),
    "targets": ("mirna", "gene"),
    "trust": ("mirna",),
}
"""What a row of each table is of; no two rows share it."""


EXACT = "DECIMAL(18, 12)"
"""Type in SQL of values that are summed up, to 1e-12: of decimals the sum is exact, of floating-point numbers
it depends on the order of rows, which a copy, or another number of threads, changes."""


def write_table(frame: pd.DataFrame, name: str, path: Path) -> int:
    """Write a table sorted by its keys; the same values make the same bytes.

    Returns
    -------
    Number of rows.
    """
    schema = SCHEMAS[name]
    frame = frame.sort_values(list(KEYS[name]), kind="stable")
    plain = {
        field.name: frame[field.name].astype(str) if pa.types.is_dictionary(field.type) else frame[field.name]
        for field in schema
    }
    table = pa.Table.from_pandas(pd.DataFrame(plain), preserve_index=False)
    content = pa.table([_column(table[field.name], field.type) for field in schema], schema=schema)
    pq.write_table(content, path, compression="zstd", row_group_size=1 << 20)
    return content.num_rows


def _column(values: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    # NaN in pandas becomes null in Arrow, which every reader tells from a number.
    if pa.types.is_dictionary(kind):
        return values.dictionary_encode().cast(kind)
    return values.cast(kind, safe=False)


def connect() -> duckdb.DuckDBPyConnection:
    """A database in memory, of as many threads as were asked for, that fetches nothing."""
    threads = asked_threads()
    connection = duckdb.connect(config={"threads": threads} if threads else {})
    for setting in ("autoinstall_known_extensions", "autoload_known_extensions"):
        connection.execute(f"SET {setting} = false")
    connection.execute("SET parquet_metadata_cache = true")
    return connection
