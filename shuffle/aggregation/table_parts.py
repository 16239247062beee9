"""A table in parts, for several threads: of a Parquet file its row groups, of anything else its batches."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from shuffle.aggregation.lanes import Part
from shuffle.tables.kinds import format_of, is_path
from shuffle.tables.parquet_file import ParquetFile
from shuffle.tables.table_source import TableSource

BATCH_BYTES = 1 << 20
BATCH_ROWS_MAX = 1 << 16
_WIDTH_GUESS = 64
"""Bytes of a value whose type does not tell."""


def table_parts(source: Any, opened: TableSource, *, format: str | None) -> Iterator[Part[Any]]:
    """The parts of `opened`, which was made of `source`: record batches with its columns."""
    if is_path(source) and format_of(source, format) == "parquet":
        return _parquet_parts(os.fspath(source), opened.schema)
    return _batch_parts(opened)


def _batch_parts(opened: TableSource) -> Iterator[Part[Any]]:
    first_record = 0
    for batch in opened.batches():
        yield (batch,), first_record
        first_record += batch.num_rows


def _parquet_parts(path: str, schema: Any) -> Iterator[Part[Any]]:
    with ParquetFile(path) as file:
        metadata, groups = file.metadata, file.groups()
    first_record = 0
    for number, (count, _) in enumerate(groups):
        yield _read_group(path, metadata, number, schema), first_record
        first_record += count


def _read_group(path: str, metadata: Any, number: int, schema: Any) -> Iterator[Any]:
    """The batches of a row group. `metadata` is what the footer says, which need not be read again for each."""
    with ParquetFile(path, metadata=metadata) as file:
        yield from file.batches(number, _batch_rows(schema), schema.names)


def _batch_rows(schema: Any) -> int:
    row_bytes = sum(_width(field.type) for field in schema)
    return max(1, min(BATCH_ROWS_MAX, BATCH_BYTES // max(row_bytes, 1)))


def _width(arrow_type: Any) -> int:
    try:
        return max(1, int(arrow_type.bit_width) // 8)
    except ValueError:
        return _WIDTH_GUESS
