"""The atlas: predicted miRNAs of many single-cell data sets in one store that anyone can build and query.

A store is a folder (``SICMIR_ATLAS``). It holds one folder a data set, and nothing else that matters; the
folder ``compact``, a copy to answer sooner from (:mod:`~sicmir.atlas.compact`), can be deleted::

    dataset=NAME/
        record.json              what the data set is, and the names and checksums of the tables beside it
        mirna-CHECKSUM.parquet   a row for each miRNA and group of cells (donor, cell type, condition)
        genes-CHECKSUM.parquet   a row for each target gene and group
        markers-CHECKSUM.parquet a row for each miRNA and cell type: against the other cell types, by donor
        targets-CHECKSUM.parquet a row for each pair of a miRNA and a target gene that was measured
        trust-CHECKSUM.parquet   a row for each miRNA: how far its predictions can be believed

The columns are those of :data:`sicmir.atlas.tables.SCHEMAS`, which says what each of them means. CHECKSUM is
the start of the SHA-256 of the file. A table that no record names is left over from a run that was stopped.
All data sets of a store are predicted by the same model: numbers of different models cannot be compared.
Hidden names (``.lock``, ``.dataset=NAME.part``) belong to runs that add a data set. Tables and the names of
them are on the disk before the record that names them is: a loss of power leaves what a killed run leaves.

Rooms, in the order of the data: :mod:`~sicmir.atlas.labels`, :mod:`~sicmir.atlas.identity`,
:mod:`~sicmir.atlas.pools`, :mod:`~sicmir.atlas.summaries`, :mod:`~sicmir.atlas.contents`,
:mod:`~sicmir.atlas.tables`, :mod:`~sicmir.atlas.record`, :mod:`~sicmir.atlas.store` (what is moved when),
:mod:`~sicmir.atlas.add`, :mod:`~sicmir.atlas.add_many`, :mod:`~sicmir.atlas.compact`,
:mod:`~sicmir.atlas.check`. To ask: :mod:`~sicmir.atlas.scan` (the tables in DuckDB),
:mod:`~sicmir.atlas.query`, :mod:`~sicmir.atlas.expression`, :mod:`~sicmir.atlas.combine`,
:mod:`~sicmir.atlas.meta`, :mod:`~sicmir.atlas.links`, :mod:`~sicmir.atlas.answers`,
:mod:`~sicmir.atlas.commands`. Static pages: :mod:`~sicmir.atlas.shards`, :mod:`~sicmir.atlas.explorer`. The
chapter: :mod:`~sicmir.atlas.at_hand`, :mod:`~sicmir.atlas.study`, :mod:`~sicmir.atlas.agreement`,
:mod:`~sicmir.atlas.overall`, :mod:`~sicmir.atlas.figures`.
"""
