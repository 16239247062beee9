"""The library calls for tables. pyarrow and the engine are loaded by the first of them, not by `import shuffle`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Unpack

from memory import collector_at_rest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from serializers.types.ordering import By
    from shuffle.options import ResourceChoices
    from shuffle.tables.partition import PartitionedTable, TablePartitioner
    from shuffle.tables.table_sorter import SortedTable
    from shuffle.tables.table_source import TableSource


def open_table(
    source: Any,
    *,
    format: str | None = None,
    column_types: Mapping[str, Any] | None = None,
    columns: list[str] | None = None,
) -> TableSource:
    """A table for any of the calls here, where more is to be said of it: which columns, or what a CSV file holds.

    format         of a file: "parquet", "csv", "tsv" or "arrow"; by the suffix of its name if not given
    column_types   of a CSV or TSV file, by name: Arrow types or their names; found from the first block if not given
    columns        only these, in this order

    It is read once. Raises TableError for what is no table, TypeError for what gives none, OSError for a file that
    cannot be read.
    """
    from shuffle.tables import table_source

    return table_source.open_table(source, format=format, column_types=column_types, columns=columns)


def sort_table(
    source: Any,
    by: By,
    *,
    nulls_last: bool = False,
    limit: int | None = None,
    unique: bool = False,
    format: str | None = None,
    column_types: dict[str, Any] | None = None,
    **choices: Unpack[ResourceChoices],
) -> SortedTable:
    """The rows of a table in order, in the memory you allow: columns in, columns out. Ties keep the order they had.

    source         anything with `__arrow_c_stream__` or `__arrow_c_array__` (a pyarrow Table or RecordBatchReader, a
                   data frame of Polars or pandas, a result of DuckDB), the path of a Parquet, CSV, TSV or Arrow file,
                   or what `open_table` gives
    by             columns to order by: "country", "-amount" (descending), "name:nulls-last", "address.city", or several
    nulls_last     nulls behind everything else, in every column
    limit          only so many rows, the first in order
    unique         only the first of rows that are equal in the columns of `by`
    format         of a file: "parquet", "csv", "tsv", "arrow"; by the suffix of its name if not given
    column_types   of a CSV or TSV file, by name: Arrow types or their names; found from the first block if not given

    and what `ResourceChoices` has. Nothing is sorted before the first row is wanted. The result can be read again and
    again, as record batches, as a `pyarrow.Table`, or by whoever takes Arrow streams; close it, or use it in a `with`,
    to free its memory and files early. Raises TableError for a source, a column or a value that does not fit,
    SerializationError kinds, with the row and the column, for what rows cannot carry, and OSError or MemoryError kinds
    where the job fails.
    """
    with collector_at_rest():
        from shuffle.tables.table_codec import order_keys
        from shuffle.tables.table_session import options_of
        from shuffle.tables.table_sorter import SortedTable
        from shuffle.tables.table_source import open_table

    opened = open_table(source, format=format, column_types=column_types)
    try:
        keys = order_keys(by, opened.schema, opened.name, nulls_last=nulls_last)
        options = options_of(choices, taken_bytes=opened.reader_bytes, unique=unique, limit=limit)
        return SortedTable(opened, keys, options)
    except BaseException:
        opened.close()
        raise


def partition_table(
    source: Any,
    *,
    partitions: int,
    by: By | None = None,
    sort_by: By | None = None,
    partitioner: TablePartitioner = "hash",
    keep_groups: bool = False,
    nulls_last: bool = False,
    format: str | None = None,
    column_types: dict[str, Any] | None = None,
    **choices: Unpack[ResourceChoices],
) -> PartitionedTable:
    """Divide a table into partitions, each of them in order: `for number, batches in partition_table(...)`.

    source         as for `sort_table`
    by             columns that say where a row goes, and that order the rows of a partition
    sort_by        columns that order rows that are equal in `by`
    partitioner    "hash": rows with equal columns of `by` go to one partition, the same on every machine
                   "range": partition p holds nothing that is behind partition p + 1 in order, and as many rows as each
                   "round-robin": row i goes to partition i modulo `partitions`
                   or a function of (record batch of the columns of `by`, partitions) that gives a number for each row
    keep_groups    for "range": rows that are equal in `by` stay in one partition, which may make it larger

    and what `sort_table` takes. Every partition has its turn, also if it has no rows. Raises as `sort_table` does, and
    PartitionerError for a partitioner, or a number from it, that cannot be.
    """
    with collector_at_rest():
        from shuffle.tables.partition import PartitionedTable, plan_partitions
        from shuffle.tables.table_codec import order_keys
        from shuffle.tables.table_session import options_of
        from shuffle.tables.table_source import open_table

    opened = open_table(source, format=format, column_types=column_types)
    try:
        group = order_keys(by, opened.schema, opened.name, nulls_last=nulls_last) if by is not None else ()
        sort = order_keys(sort_by, opened.schema, opened.name, nulls_last=nulls_last) if sort_by is not None else ()
        plan = plan_partitions(partitioner, partitions, opened.schema, group, sort, keep_groups=keep_groups)
        return PartitionedTable(opened, plan, options_of(choices, taken_bytes=opened.reader_bytes))
    except BaseException:
        opened.close()
        raise
