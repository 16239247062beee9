"""Table files, read a batch at a time: Parquet, CSV and TSV, Arrow IPC (Feather).

Parquet    one row group after another (`shuffle.tables.parquet_file`), which may be larger than memory
CSV, TSV   `shuffle.tables.csv_reader`
Arrow      mapped, so that a record batch, however large, is not copied; compressed ones are unpacked whole

pyarrow reads in the caller's thread; only of CSV does it read ahead, by blocks that are small therefore.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa

from shuffle.tables.array_bytes import fixed_bytes
from shuffle.tables.batch_parts import BATCH_BYTES, cut
from shuffle.tables.csv_reader import CsvTable
from shuffle.tables.kinds import TableError, check_column, format_of
from shuffle.tables.parquet_file import ParquetFile, read_errors

_BATCH_ROWS_MAX = 1 << 16
_DICTIONARY_GAIN = 4
"""How many times larger the values of a row group may be than its pages say, until a batch was seen."""


class FileTable(Protocol):
    """An open table file."""

    name: str
    schema: Any
    reader_bytes: int

    def batches(self) -> Iterator[Any]:
        """The record batches."""

    def close(self) -> None:
        """Close the file. Idempotent."""


def open_file(
    path: str | os.PathLike[str],
    *,
    format: str | None,
    column_types: Mapping[str, Any] | None,
    columns: list[str] | None,
) -> FileTable:
    """Open a table file; see `open_table`. Raises TableError, OSError."""
    kind = format_of(path, format)
    if column_types is not None and kind not in ("csv", "tsv"):
        raise TableError(f"{os.fspath(path)}: column_types= is for CSV and TSV, and {kind} has types. Leave it out")
    if kind == "parquet":
        return ParquetTable(path, columns)
    if kind == "arrow":
        return ArrowTable(path, columns)
    return CsvTable(path, columns, "\t" if kind == "tsv" else ",", column_types or {})


def _select(schema: Any, columns: list[str] | None, name: str) -> Any:
    """The schema of `columns`. Raises TableError for one that there is not."""
    if columns is None:
        return schema
    for each in columns:
        check_column(each, schema.names, name)
    return pa.schema([schema.field(each) for each in columns], metadata=schema.metadata)


# --- Parquet


class ParquetTable:
    """A Parquet file."""

    def __init__(self, path: str | os.PathLike[str], columns: list[str] | None) -> None:
        self._file = ParquetFile(path)
        self.name = self._file.name
        try:
            self.schema = _select(self._file.schema, columns, self.name)
        except BaseException:
            self._file.close()
            raise
        self._columns = columns
        self._row_bytes = self._row_bytes_guess()
        self.reader_bytes = self._file.reader_bytes() + 2 * BATCH_BYTES

    def batches(self) -> Iterator[Any]:
        for group in range(self._file.metadata.num_row_groups):
            row_count = max(1, min(_BATCH_ROWS_MAX, BATCH_BYTES // self._row_bytes))
            for batch in self._file.batches(group, row_count, self._columns):
                self._row_bytes = max(self._row_bytes, -(-batch.nbytes // batch.num_rows))
                yield batch

    def close(self) -> None:
        self._file.close()

    def _row_bytes_guess(self) -> int:
        """Of types of fixed width they are known; guessed small, rows would be read a few at a time."""
        widths = [fixed_bytes(field.type) for field in self.schema]
        known = [width for width in widths if width is not None]
        return max(1, sum(known) if len(known) == len(widths) else self._varying_bytes_guess())

    def _varying_bytes_guess(self) -> int:
        return _DICTIONARY_GAIN * max((size // rows for rows, size in self._file.groups() if rows), default=1)


# --- Arrow IPC

_ARROW_CURE = (
    "See whether it is an Arrow or Feather file, and whole: it may have been cut short, or damaged. If so, get it again"
)


class ArrowTable:
    """An Arrow IPC file, or a stream of Arrow IPC in a file."""

    def __init__(self, path: str | os.PathLike[str], columns: list[str] | None) -> None:
        self.name = os.fspath(path)
        self._columns = columns
        with read_errors(self.name, _ARROW_CURE):
            if not Path(self.name).stat().st_size:
                raise TableError(f"{self.name}: the file is empty. {_ARROW_CURE}")
            self._source = pa.memory_map(self.name)
            try:
                self._is_file = bytes(self._source.read(6)) == b"ARROW1"
                self._source.seek(0)
                opened = pa.ipc.open_file if self._is_file else pa.ipc.open_stream
                self._reader = opened(self._source)
                self.schema = _select(self._reader.schema, columns, self.name)
            except BaseException:
                self._source.close()
                raise
        self.reader_bytes = 2 * BATCH_BYTES

    def batches(self) -> Iterator[Any]:
        with read_errors(self.name, _ARROW_CURE):
            for whole in self._read():
                whole.validate()
                for batch in cut(whole if self._columns is None else whole.select(self._columns), BATCH_BYTES):
                    batch.validate(full=True)  # there is no checksum, and kernels trust offsets
                    yield batch

    def close(self) -> None:
        self._source.close()

    def _read(self) -> Iterator[Any]:
        if not self._is_file:
            yield from self._reader
            return
        for number in range(self._reader.num_record_batches):
            yield self._reader.get_batch(number)
