"""Tables that are not there yet: batches made as they are wanted, for whoever takes Arrow."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Generator, Iterator
from contextlib import closing
from typing import Any

import pyarrow as pa

from shuffle.closable import Closable
from shuffle.tables.kinds import TableFormat
from shuffle.tables.table_files import write_table

RecordBatch = Any
"""A `pyarrow.RecordBatch`."""


class TableResult(Closable):
    """A table of `schema`, read from memory and disk each time it is iterated. Close it, or drop it, when done.

    Anything that takes Arrow streams takes it: `pyarrow.table(result)`, `polars.DataFrame(result)`, a query of DuckDB.
    """

    def __init__(self, schema: Any) -> None:
        self.schema = schema

    @abstractmethod
    def batches(self) -> Generator[RecordBatch, None, None]:
        """The rows as record batches. Not twice at the same time: there is memory for one merge."""

    def __iter__(self) -> Iterator[RecordBatch]:
        return self.batches()

    def reader(self) -> Any:
        """The same as a `pyarrow.RecordBatchReader`."""
        return pa.RecordBatchReader.from_batches(self.schema, self.batches())

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """The same for whoever speaks the Arrow PyCapsule protocol."""
        return self.reader().__arrow_c_stream__(requested_schema)

    def to_table(self) -> Any:
        """All of it in memory, as a `pyarrow.Table`."""
        return pa.Table.from_batches(list(self.batches()), self.schema)

    def write(self, path: str | os.PathLike[str], *, format: TableFormat | None = None) -> int:
        """Write a table file, whole or not at all: how many rows. See `write_table`."""
        with closing(self.batches()) as batches:  # not only when an error that may be kept lets go of it
            return write_table(path, self.schema, batches, format=format)
