"""Table files, written whole or not at all.

    batches ──rows of one group put together──> Parquet, CSV, Arrow writer ──> partial file ──fsync, rename──> path

The bytes depend on rows and schema only, and not on how the rows came in batches.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow as pa

from io_manager import IOThreads, OutputFile, StreamOutput, make_output
from memory import KIB, MIB
from shuffle.engine_thread import EngineThread
from shuffle.one_behind import OneBehind
from shuffle.tables.array_bytes import values_bytes
from shuffle.tables.byte_sink import ByteSink
from shuffle.tables.kinds import TableFormat, format_of
from shuffle.tables.table_writers import table_writer

GROUP_BYTES = 4 * MIB
"""Of a row group of Parquet, or a record batch of Arrow, in memory: about so much, if later rows are as the first."""

GROUP_ROWS_MAX = 128 * KIB
_MEASURED_ROWS = 256
"""How many rows, from the first, say how many rows of this table make a group."""


def write_table(
    path: str | os.PathLike[str], schema: Any, batches: Iterable[Any], *, format: TableFormat | None = None
) -> int:
    """Write `batches`, all of `schema`, to a table file that appears whole or not at all: how many rows.

    format   "parquet", "csv", "tsv" or "arrow" (the file format of Arrow IPC); by the suffix of `path` if None

    A path that cannot be replaced, such as a named pipe, is written as it goes. Raises TableError for a column that the
    format has no room for; OSError kinds, with the cure, where the disk refuses; and what `batches` raises.
    """
    kind = format_of(path, format)
    row_count = 0
    with (
        FileSink(path) as sink,
        table_writer(kind, sink, schema, os.fspath(path)) as write,
        OneBehind(write, name="spillway-table-writer") as behind,
    ):
        for group in row_groups(batches, schema):
            behind.put(group)
            row_count += group.num_rows
    return row_count


class FileSink(ByteSink):
    """What pyarrow writes to: a partial file that gets its name when the `with` ends well."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__()
        self._threads = IOThreads(1)
        self._engine = EngineThread()
        self._output: OutputFile | StreamOutput = make_output(path, threads=self._threads)

    def __enter__(self) -> FileSink:
        try:
            self._engine.call(self._output.open())
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        try:
            if kind is None:
                self.put_waiting()
                self._engine.call(self._output.publish())
        finally:
            self._end()

    def put(self, position: int, piece: memoryview) -> None:
        self._engine.call(self._output.write(position, piece))

    def _end(self) -> None:
        self.closed = True
        try:
            self._engine.call(self._output.abandon())
        finally:
            self._engine.close()
            self._threads.close()


# --- groups of rows


def row_groups(batches: Iterable[Any], schema: Any) -> Iterator[Any]:
    """The same rows as tables of one chunk a column and of one number of rows, which the first rows decide."""
    waiting: list[Any] = []
    count, wanted = 0, None
    for batch in batches:
        if not batch.num_rows:
            continue
        waiting.append(batch)
        count += batch.num_rows
        if wanted is None and count >= _MEASURED_ROWS:
            wanted = _group_rows(pa.Table.from_batches(waiting, schema).slice(0, _MEASURED_ROWS))
        while wanted is not None and count >= wanted:
            table = pa.Table.from_batches(waiting, schema)
            yield _copied(table.slice(0, wanted))
            waiting, count = table.slice(wanted).to_batches(), count - wanted
    if count:
        yield _copied(pa.Table.from_batches(waiting, schema))


def _copied(table: Any) -> Any:
    """The same rows in buffers of their own: what is written of a part of an array depends on where it was cut."""
    columns = [pa.concat_arrays(column.chunks) for column in table.columns]
    return pa.Table.from_arrays(columns, schema=table.schema)


def _group_rows(first: Any) -> int:
    """How many rows make a group if all are like `first`."""
    size: int = sum(values_bytes(chunk) for column in first.columns for chunk in column.chunks)
    return min(GROUP_ROWS_MAX, max(1, GROUP_BYTES * int(first.num_rows) // max(1, size)))
