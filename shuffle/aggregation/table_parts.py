"""A table in parts, for several threads: of a Parquet file its row groups, of anything else its batches."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet

from shuffle.aggregation.lanes import Part
from shuffle.tables.kinds import TableError, format_of, is_path
from shuffle.tables.table_source import TableSource

BATCH_BYTES = 1 << 20
BATCH_ROWS_MAX = 1 << 15
_BUFFER_BYTES = 64 << 10
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
    with pyarrow.parquet.ParquetFile(path) as file:
        metadata = file.metadata
    counts = [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)]
    first_record = 0
    for number, count in enumerate(counts):
        yield _read_group(path, metadata, number, schema), first_record
        first_record += count


def _read_group(path: str, metadata: Any, number: int, schema: Any) -> Iterator[Any]:
    """The batches of a row group. `metadata` is what the footer says, which need not be read again for each."""
    try:
        with (
            pa.OSFile(path) as opened,
            pyarrow.parquet.ParquetFile(
                opened,
                metadata=metadata,
                pre_buffer=False,
                buffer_size=_BUFFER_BYTES,
                page_checksum_verification=True,
            ) as file,
        ):
            names, rows = list(schema.names), _batch_rows(schema)
            for batch in file.iter_batches(rows, row_groups=[number], columns=names, use_threads=False):
                batch.validate(full=True)  # pyarrow believes what a dictionary's indexes and a text's bytes are
                if batch.num_rows:
                    yield batch.select(names)
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        cure = "See whether it is a Parquet file, and whole: it may have been cut short. If so, get it again"
        raise TableError(f"{path}: {str(error).rstrip('.')}. {cure}") from error


def _batch_rows(schema: Any) -> int:
    row_bytes = sum(_width(field.type) for field in schema)
    return max(1, min(BATCH_ROWS_MAX, BATCH_BYTES // max(row_bytes, 1)))


def _width(arrow_type: Any) -> int:
    try:
        return max(1, int(arrow_type.bit_width) // 8)
    except ValueError:
        return _WIDTH_GUESS
