"""What a table file holds: how many rows, the keys of the first and the last, and a fingerprint of all.

    batch ──as its file gives it back──> rows (docs/ROW_FORMAT.md), without a key ──hash_rows──> sum

A row is hashed as the bytes that it is encoded to when every column may hold nulls, so that the fingerprint follows
from the values and their types alone. Text files do not tell everything apart: in CSV and TSV a text that is null is as
good as an empty one, and NaN as good as null.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute

from serializers.types.ordering import OrderKey
from shuffle.kernels import verify as kernel
from shuffle.partitioned.manifest import Content, Key
from shuffle.tables.table_codec import TableCodec, column_names, table_batch

TEXT_FORMATS = ("csv", "tsv")


class TableDigest:
    """Takes the batches of one file, in order. `keys` say which columns are told of the first and the last row."""

    def __init__(self, schema: Any, keys: tuple[OrderKey, ...], kind: str) -> None:
        self._is_text = kind in TEXT_FORMATS
        self._schema = pa.schema([field.with_nullable(True) for field in schema])
        self._codec = TableCodec(self._schema, ())
        self._names = column_names(keys)
        self._state = np.zeros(kernel.STATE_WORDS, np.uint64)
        self._records = 0
        self._first_key: Key | None = None
        self._last_key: Key | None = None

    def add(self, batch: Any) -> None:
        """The next rows. Raises SerializationError for what rows cannot carry."""
        if not batch.num_rows:
            return
        if self._records == 0:
            self._first_key = self._key(batch, 0)
        self._last_key = self._key(batch, batch.num_rows - 1)
        columns = [plain(column) if self._is_text else column for column in batch.columns]
        for rows in self._codec.encode(table_batch(columns, self._schema, batch.num_rows), self._records):
            kernel.hash_rows(rows.data.__array_interface__["data"][0], rows.ends, self._state)
        self._records += batch.num_rows

    def content(self, size_bytes: int) -> Content:
        """What a file of `size_bytes` holds, all of whose rows were added."""
        fingerprint = int(self._state[kernel.SUM_HIGH]) << 64 | int(self._state[kernel.SUM_LOW])
        return Content(self._records, size_bytes, self._first_key, self._last_key, fingerprint)

    def _key(self, batch: Any, row: int) -> Key | None:
        if not self._names:
            return None
        values = [batch.column(name)[row] for name in self._names]
        if self._is_text:
            values = [plain(pa.array([value.as_py()], value.type))[0] for value in values]
        return tuple(plain_value(value.as_py()) for value in values)


def plain(column: Any) -> Any:
    """A column as a text file gives it back."""
    kinds = pa.types
    if kinds.is_dictionary(column.type):
        return plain(column.dictionary_decode()).dictionary_encode().cast(column.type)
    if kinds.is_string(column.type) or kinds.is_large_string(column.type):
        return column.fill_null("")
    if kinds.is_binary(column.type) or kinds.is_large_binary(column.type):
        return column.fill_null(b"")
    if kinds.is_floating(column.type):
        return pyarrow.compute.if_else(pyarrow.compute.is_nan(column), pa.scalar(None, column.type), column)
    return column


def plain_value(value: Any) -> Any:
    """A value as JSON has it: as it is, or as text."""
    if value is None or isinstance(value, bool | int | str):
        return value if not isinstance(value, str) else value[:64]
    if isinstance(value, bytes):
        return value[:64].hex()
    return str(value)
