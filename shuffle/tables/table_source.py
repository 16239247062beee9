"""Tables as they come: a schema, and record batches of a bounded size.

    Table, RecordBatchReader, data frame ... ──__arrow_c_stream__──┐
    RecordBatch, struct array ───────────────__arrow_c_array__─────┼──> cut to batches of about `batch_bytes`
    path ──Parquet, CSV, Arrow──> table_readers ───────────────────┘

What the caller holds in memory is cut without a copy. What is read from a file is read a batch at a time, and
`reader_bytes` says how much memory that takes at most, so that a job can count it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Self

import pyarrow as pa

from shuffle.closable import Closable
from shuffle.tables.batch_parts import BATCH_BYTES, cut
from shuffle.tables.kinds import NAME_IS_NO_TEXT, TableError, check_column, is_path
from shuffle.tables.table_readers import FileTable, open_file

Schema = Any
"""A `pyarrow.Schema`."""

RecordBatch = Any
"""A `pyarrow.RecordBatch`."""


class TableSource(Closable):
    """One table. Made by `open_table`; close it, or use it in a `with`.

    name           what errors call it: the path, or the kind of object
    schema         its columns, each of another name
    reader_bytes   the most memory that reading takes beside the batches; 0 for what is in memory already
    is_path        whether it was a file, which can be opened again
    """

    def __init__(self, name: str, schema: Schema, open_batches: Callable[[], Iterator[RecordBatch]]) -> None:
        self.name = name
        self.schema = schema
        self.reader_bytes = 0
        self.is_path = False
        self._open_batches = open_batches
        self._file: FileTable | None = None

    @classmethod
    def of_file(cls, file: FileTable) -> Self:
        """The table in an open file."""
        source = cls(file.name, file.schema, file.batches)
        source.reader_bytes, source.is_path, source._file = file.reader_bytes, True, file
        return source

    def derived(self, schema: Schema, change: Callable[[Iterator[RecordBatch]], Iterator[RecordBatch]]) -> TableSource:
        """A source of `schema`, of what `change` makes of the batches of this one, which it stands for from now on."""
        made = TableSource(self.name, schema, lambda: change(self.batches()))
        made.reader_bytes, made.is_path, made._file = self.reader_bytes, self.is_path, self._file
        return made

    def batches(self, batch_bytes: int = BATCH_BYTES) -> Iterator[RecordBatch]:
        """The rows in order, in batches of about `batch_bytes` at most, none of them empty. Once.

        Raises what the reader raises; for a file TableError, with the file, the place in it and the cure.
        """
        for batch in self._open_batches():
            if batch.num_rows:
                yield from cut(batch, batch_bytes)

    def close(self) -> None:
        """Close the file. Idempotent."""
        if self._file is not None:
            self._file.close()


def open_table(
    source: Any,
    *,
    format: str | None = None,
    column_types: Mapping[str, Any] | None = None,
    columns: list[str] | None = None,
) -> TableSource:
    """The table that `source` is: anything with `__arrow_c_stream__` or `__arrow_c_array__`, or a path.

    format         of a file: "parquet", "csv", "tsv" or "arrow"; by the suffix of its name if None
    column_types   of a CSV or TSV file, by name: Arrow types or their names; found from the first block if not given
    columns        only these, in this order; of a Parquet file no others are read

    Raises TableError for what is no table, TypeError for what gives none, OSError for a file that cannot be read.
    """
    if isinstance(source, TableSource) and format is None and column_types is None and columns is None:
        return source
    if is_path(source):
        found = TableSource.of_file(open_file(source, format=format, column_types=column_types, columns=columns))
    elif format is not None or column_types is not None:
        raise TableError(f"format= and column_types= are for files, and this is a {_kind(source)}. Leave them out")
    else:
        found = _open_object(source, columns)
    try:
        check_names(found.schema, found.name)
    except BaseException:
        found.close()
        raise
    return found


def check_names(schema: Schema, name: str) -> None:
    """Raise TableError if two columns have one name, or one has no type that can be read."""
    try:
        names = schema.names
    except UnicodeDecodeError as error:
        raise TableError(f"{name}: {NAME_IS_NO_TEXT}") from error
    doubled = sorted(each for each, count in Counter(names).items() if count > 1)
    if doubled:
        raise TableError(f"{name}: several columns are called {doubled[0]!r}. Rename all but one")


# --- what is in memory


def _open_object(source: Any, columns: list[str] | None) -> TableSource:
    name = _kind(source)
    try:
        if isinstance(source, pa.Table | pa.RecordBatchReader):
            reader = source
        elif isinstance(source, pa.RecordBatch):
            reader = pa.Table.from_batches([source])
        elif hasattr(source, "__arrow_c_stream__"):
            reader = pa.RecordBatchReader.from_stream(source)
        elif hasattr(source, "__arrow_c_array__"):
            reader = pa.Table.from_batches([pa.record_batch(source)])
        else:
            raise TypeError(f"a {name} is no table. Give an object with __arrow_c_stream__, such as a pyarrow.Table")
    except pa.ArrowInvalid as error:
        problem = f"a {name} that gives Arrow data, but no columns: {error}"
        raise TableError(f"{problem}. Put it into a pyarrow.Table") from error
    return _selected(name, reader, columns)


def _selected(name: str, reader: Any, columns: list[str] | None) -> TableSource:
    """A table, or a reader that is read once."""
    if columns is None:
        return TableSource(name, reader.schema, lambda: _batches(reader))
    for each in columns:
        check_column(each, reader.schema.names, name)
    schema = pa.schema([reader.schema.field(each) for each in columns], metadata=reader.schema.metadata)
    return TableSource(name, schema, lambda: (batch.select(columns) for batch in _batches(reader)))


def _batches(reader: Any) -> Iterator[RecordBatch]:
    return iter(reader.to_batches() if isinstance(reader, pa.Table) else reader)


def _kind(source: Any) -> str:
    return f"{type(source).__module__.partition('.')[0]}.{type(source).__qualname__}".removeprefix("builtins.")


__all__ = ["BATCH_BYTES", "TableSource", "check_names", "cut", "open_table"]
