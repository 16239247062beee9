"""Table files, read a batch at a time: Parquet, CSV and TSV, Arrow IPC (Feather).

Parquet    one row group after another through small buffers, so a row group may be larger than memory
CSV, TSV   `shuffle.tables.csv_reader`
Arrow      mapped, so that a record batch, however large, is not copied; compressed ones are unpacked whole

pyarrow reads in the caller's thread; only of CSV does it read ahead, by blocks that are small therefore.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet

from memory import KIB, MIB
from shuffle.tables.array_bytes import fixed_bytes
from shuffle.tables.batch_parts import BATCH_BYTES, cut
from shuffle.tables.csv_reader import CsvTable
from shuffle.tables.kinds import NAME_IS_NO_TEXT, TableError, check_column, format_of

_BUFFER_BYTES = 64 * KIB
_PAGE_BYTES = 1 * MIB
"""What a page of a Parquet column takes, as pyarrow and most others write it."""

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


@contextmanager
def _read_errors(name: str, cure: str) -> Iterator[None]:
    """Say of what pyarrow raises which file it is about, and what to do; what the system raises says it already."""
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise TableError(f"{name}: {str(error).rstrip('.')}. {cure}") from error
    except UnicodeDecodeError as error:
        raise TableError(f"{name}: {NAME_IS_NO_TEXT}") from error


def _select(schema: Any, columns: list[str] | None, name: str) -> Any:
    """The schema of `columns`. Raises TableError for one that there is not."""
    if columns is None:
        return schema
    for each in columns:
        check_column(each, schema.names, name)
    return pa.schema([schema.field(each) for each in columns], metadata=schema.metadata)


# --- Parquet

_PARQUET_CURE = (
    "See whether it is a Parquet file, and whole: it may have been cut short, or damaged. If so, get it again"
)


class ParquetTable:
    """A Parquet file. Its `reader_bytes`: a page, unpacked and packed, and a dictionary for every column."""

    def __init__(self, path: str | os.PathLike[str], columns: list[str] | None) -> None:
        self.name = os.fspath(path)
        with _read_errors(self.name, _PARQUET_CURE):
            self._source = pa.OSFile(self.name)
            try:
                self._file = pyarrow.parquet.ParquetFile(
                    self._source, pre_buffer=False, buffer_size=_BUFFER_BYTES, page_checksum_verification=True
                )
                self.schema = _select(self._file.schema_arrow, columns, self.name)
            except BaseException:
                self._source.close()
                raise
        self._columns = columns
        self._row_bytes = self._row_bytes_guess()
        self.reader_bytes = self._count_bytes()

    def batches(self) -> Iterator[Any]:
        with _read_errors(self.name, _PARQUET_CURE):
            for group in range(self._file.num_row_groups):
                yield from self._batches_of(group)

    def close(self) -> None:
        self._file.close()
        self._source.close()

    def _batches_of(self, group: int) -> Iterator[Any]:
        row_count = max(1, min(_BATCH_ROWS_MAX, BATCH_BYTES // self._row_bytes))
        for batch in self._file.iter_batches(row_count, [group], self._columns, use_threads=False):
            batch.validate(full=True)  # pyarrow believes what a dictionary's indexes and a text's bytes are
            if batch.num_rows:
                self._row_bytes = max(self._row_bytes, -(-batch.nbytes // batch.num_rows))
                yield batch if self._columns is None else batch.select(self._columns)

    def _row_bytes_guess(self) -> int:
        """Of types of fixed width they are known; guessed small, rows would be read a few at a time."""
        widths = [fixed_bytes(field.type) for field in self.schema]
        known = [width for width in widths if width is not None]
        return max(1, sum(known) if len(known) == len(widths) else self._varying_bytes_guess())

    def _varying_bytes_guess(self) -> int:
        metadata = self._file.metadata
        groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
        means = [group.total_byte_size // group.num_rows for group in groups if group.num_rows]
        return _DICTIONARY_GAIN * int(max(means, default=1))

    def _count_bytes(self) -> int:
        metadata = self._file.metadata
        groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
        most = max((group.total_byte_size for group in groups), default=0)
        return min(2 * int(most), int(metadata.num_columns) * (_BUFFER_BYTES + 3 * _PAGE_BYTES)) + 2 * BATCH_BYTES


# --- Arrow IPC

_ARROW_CURE = (
    "See whether it is an Arrow or Feather file, and whole: it may have been cut short, or damaged. If so, get it again"
)


class ArrowTable:
    """An Arrow IPC file, or a stream of Arrow IPC in a file."""

    def __init__(self, path: str | os.PathLike[str], columns: list[str] | None) -> None:
        self.name = os.fspath(path)
        self._columns = columns
        with _read_errors(self.name, _ARROW_CURE):
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
        with _read_errors(self.name, _ARROW_CURE):
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
