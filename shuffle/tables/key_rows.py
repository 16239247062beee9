"""Order keys of some columns of record batches, and where rows with equal keys begin in batches that are in order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from serializers.columns.pieces import EncodedRows
from serializers.types.ordering import OrderKey
from shuffle.exchange.key_shape import KeyShape
from shuffle.exchange.keyed_rows import RowBytes, group_key, group_starts
from shuffle.kernels.locate import find_last
from shuffle.tables.table_codec import TableCodec, column_names


class KeyRows:
    """The columns of `keys` alone, as rows, of which only the order keys are wanted.

    With `nullable` every column counts as one that may hold nulls, so that the keys of two tables can be compared.
    """

    def __init__(self, schema: Any, keys: tuple[OrderKey, ...], *, nullable: bool = False) -> None:
        self.names = column_names(keys)
        fields = [schema.field(name) for name in self.names]
        self._schema = pa.schema([field.with_nullable(True) if nullable else field for field in fields])
        self._codec = TableCodec(self._schema, keys)
        self.shape = KeyShape(0, self._codec.key_bytes, 0)

    def of(self, batch: Any, first_record: int = 0) -> EncodedRows:
        """The rows of a batch that has these columns. Raises SerializationError."""
        keys = pa.RecordBatch.from_arrays([batch.column(name) for name in self.names], schema=self._schema)
        rows = list(self._codec.encode(keys, first_record))
        assert len(rows) == 1, "the keys of one batch take less than 2 GiB"
        return rows[0]


@dataclass(frozen=True)
class GroupedBatch:
    """Rows in order, and where groups begin in them, the first at 0: `leads` if it goes on from the batch before.

    `key_rows` are rows with the order keys of the groups; good until the next batch is asked for.
    """

    batch: Any
    key_rows: RowBytes
    starts: NDArray[np.uint32]
    leads: bool


class GroupFinder:
    """Looks at one batch of rows after another. `shape` is that of their keys."""

    def __init__(self, shape: KeyShape) -> None:
        self._shape = shape
        self._last_key: bytes | None = None

    def look(self, batch: Any, key_rows: RowBytes) -> GroupedBatch:
        """The batch, which has rows, with the groups in it."""
        view = memoryview(key_rows)  # type: ignore[arg-type]
        leads = self._last_key is not None and group_key(view, self._shape) == self._last_key
        self._last_key = group_key(self._last_row(view), self._shape)
        return GroupedBatch(batch, key_rows, group_starts(key_rows, self._shape), leads)

    def _last_row(self, view: memoryview) -> memoryview:
        layout = self._shape.layout
        start = int(np.frombuffer(view, np.uint8).ctypes.data)
        last = find_last(start, start + len(view), layout.record_bytes, layout.key_bytes, layout.delimiter)
        return view[int(last) - start :]


def grouped(batches: Iterator[Any], key_rows: KeyRows) -> Iterator[GroupedBatch]:
    """Batches that are in order by the keys of `key_rows`, and by others behind them."""
    finder = GroupFinder(key_rows.shape)
    first_record = 0
    for batch in batches:
        rows = key_rows.of(batch, first_record)
        yield finder.look(batch, rows.data[: rows.size])
        first_record += batch.num_rows


__all__ = ["GroupFinder", "GroupedBatch", "KeyRows", "grouped"]
