"""CSV and TSV files, read a block at a time.

    first 2 MiB ──> names and types, unless they are declared        then all blocks ──> columns of these types

A later value that does not fit is an error that names its place and the cure.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
import pyarrow.csv

from memory import KIB, MIB, format_size
from shuffle.tables.kinds import NAME_IS_NO_TEXT, TableError, check_column

SAMPLE_BYTES = 2 * MIB
"""What types are found from."""

BLOCK_BYTES = 512 * KIB
"""pyarrow reads 32 blocks ahead, whatever it is asked, so they are small; no row can be longer."""

_BLOCKS_HELD = 40

COLUMNS_MAX = 10_000
"""pyarrow takes some 20 KiB for each before it has read a row, so a line of 2 MiB could make it take gigabytes."""

_COLUMN_BYTES = 24 * KIB

_FIRST_LINE = re.compile(rb"[^\r\n]*")
_MISFIT = re.compile(r"In CSV column #(\d+): (?:Row #(\d+): )?(.*)", re.DOTALL)


class CsvTable:
    """A line of names, then a line for each row. `reader_bytes`: blocks that are read ahead, and their columns."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        columns: list[str] | None,
        delimiter: str,
        column_types: Mapping[str, Any],
    ) -> None:
        self.name = os.fspath(path)
        self._delimiter = delimiter
        self._names: list[str] = []
        types = {name: _type_of(name, declared) for name, declared in column_types.items()}
        with self._errors():
            sample = self._sample()
            self._check_columns(len(_FIRST_LINE.match(sample)[0].split(delimiter.encode())))  # type: ignore[index]
            self._names = self._schema_of(sample, {}).names
            self._check_columns(len(self._names))
            for each in sorted({*types, *(columns or ())} - set(self._names))[:1]:
                check_column(each, self._names, self.name)
            found = self._schema_of(sample, types)
            del sample
            types = dict(zip(found.names, found.types, strict=True))
            self._file = pa.PythonFile(_EndedByLines(pa.input_stream(self.name)), mode="r")
            try:
                self._reader = self._open(self._file, types, columns, BLOCK_BYTES)
            except BaseException:
                self._file.close()
                raise
        self.schema = self._reader.schema
        self.reader_bytes = _BLOCKS_HELD * BLOCK_BYTES + _COLUMN_BYTES * len(self._names)

    def batches(self) -> Iterator[Any]:
        """The record batches."""
        with self._errors():
            yield from self._reader

    def close(self) -> None:
        """Close the file. Idempotent."""
        self._reader.close()
        self._file.close()

    def _check_columns(self, count: int) -> None:
        if count > COLUMNS_MAX:
            raise TableError(
                f"{self.name}: {count:,} columns, and at most {COLUMNS_MAX:,} can be read. "
                "Write it as Parquet, or see whether format= is right"
            )

    def _sample(self) -> Any:
        """The beginning of the file, with enough behind it to see where a row ends; unpacked, if its name says so."""
        with pa.input_stream(self.name) as file:
            return pa.py_buffer(file.read(SAMPLE_BYTES + BLOCK_BYTES))

    def _schema_of(self, sample: Any, types: Mapping[str, Any]) -> Any:
        with self._open(pa.BufferReader(sample), types, None, SAMPLE_BYTES) as reader:
            return reader.schema

    def _open(self, source: Any, types: Mapping[str, Any], columns: list[str] | None, block_bytes: int) -> Any:
        return pyarrow.csv.open_csv(
            source,
            read_options=pyarrow.csv.ReadOptions(use_threads=False, block_size=block_bytes),
            parse_options=pyarrow.csv.ParseOptions(delimiter=self._delimiter, newlines_in_values=True),
            convert_options=pyarrow.csv.ConvertOptions(column_types=types, include_columns=columns),
        )

    # --- errors

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except pa.ArrowException as error:
            raise TableError(f"{self.name}: {self._explained(str(error).rstrip('.'))}") from error
        except UnicodeDecodeError as error:
            raise TableError(f"{self.name}: {NAME_IS_NO_TEXT}") from error

    def _explained(self, text: str) -> str:
        """What is wrong, and the cure; pyarrow counts columns from 0, and rows from 1, the line of names included."""
        misfit = _MISFIT.search(text)
        if misfit:
            number, row, problem = misfit.groups()
            column = self._names[int(number)]
            place = f"row {row} (the names are row 1)" if row else "row 2 or soon after"
            return f"{place}, column {column!r}: {problem}. {_cure(column)}"
        if "straddl" in text:
            longest = format_size(BLOCK_BYTES)
            return f"a row is longer than {longest}, or a quotation mark is not closed. Close it, or use Parquet"
        if "Empty CSV file" in text:
            return "the file is empty. The first line must name the columns"
        return f"{text}. Mend that row, or see whether format= is right"


class _EndedByLines:
    """A file, and behind it more empty lines than a row may be long.

    pyarrow skips empty lines, but takes the end of a file for the end of a quotation that nobody closed, and all rows
    behind the mark for one cell. So it meets lines that belong to the cell, and finds the row too long.
    """

    def __init__(self, file: Any) -> None:
        self._file = file
        self._left = 2 * BLOCK_BYTES
        self.closed = False

    def read(self, size: int = -1) -> bytes:
        """The next bytes of the file, then those lines."""
        found: bytes = self._file.read(size)
        if found:
            return found
        length = min(size, self._left)
        self._left -= length
        return b"\n" * length

    def readable(self) -> bool:
        """It is for reading."""
        return True

    def writable(self) -> bool:
        """And for nothing else."""
        return False

    def seekable(self) -> bool:
        """Neither for reading again."""
        return False

    def close(self) -> None:
        """Close the file. Idempotent."""
        self.closed = True
        self._file.close()


def _cure(column: str) -> str:
    sample = format_size(SAMPLE_BYTES)
    return f"Declare its type, as in column_types={{{column!r}: 'string'}}: else it is found from the first {sample}"


def _type_of(name: str, declared: Any) -> Any:
    if isinstance(declared, pa.DataType):
        return declared
    try:
        return pa.type_for_alias(declared)
    except (ValueError, TypeError, AttributeError):
        raise TableError(
            f"column_types= says {declared!r} of {name!r}, which is no type of Arrow. Give one, or its name: 'int64'"
        ) from None


__all__ = ["BLOCK_BYTES", "SAMPLE_BYTES", "CsvTable"]
