"""Orders of a table's values within groups, for aggregates that need them; see `sorted_values`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from serializers import rows as rows_layout
from serializers.types.ordering import OrderKey
from shuffle.aggregation.aggregates import Aggregate
from shuffle.aggregation.sorted_rows import NewMarks
from shuffle.aggregation.sorted_values import AS_IT_CAME, DESCENDING, Places, SortedPart, SortedValues
from shuffle.aggregation.table_keys import TableKeys
from shuffle.options import SortOptions
from shuffle.row_session import RowSession
from shuffle.tables.numpy_arrays import arrow_array
from shuffle.tables.table_codec import TableCodec


class TableSort:
    """Rows of (key, value) in one order of column `name`, for `aggregates`. Close it when done."""

    def __init__(
        self, keys: TableKeys, schema: Any, name: str, order: int, aggregates: list[Aggregate], options: SortOptions
    ) -> None:
        self.aggregates = aggregates
        self._names = [*(each for each in keys.schema.names if each != name), name]
        wanted = list(keys.keys)
        if order != AS_IT_CAME and name not in keys.schema.names:
            wanted.append(OrderKey((name,), descending=order == DESCENDING, nulls_last=True))
        self._codec = TableCodec(pa.schema([schema.field(each) for each in self._names]), tuple(wanted))
        self._session = RowSession(replace(options, layout=rows_layout(self._codec.key_bytes)))

    def put(self, batch: Any, first_record: int) -> None:
        """Add the rows of a batch."""
        for rows in self._codec.encode(batch.select(self._names), first_record):
            self._session.put(rows)

    def finish(self) -> None:
        """No more rows."""
        self._session.finish()

    def read(self) -> SortedValues:
        """What computes the results, from the first group on."""
        return SortedValues(self.aggregates, self._parts(), _ArrayKeeper(self._codec.schema.field(-1).type))

    def close(self) -> None:
        """Give back memory, files and threads. Idempotent."""
        self._session.close()

    def _parts(self) -> Iterator[SortedPart]:
        marks = NewMarks(self._codec.key_bytes)
        first_record = 0
        for view in self._session.read():
            arrays = [batch.column(-1) for batch in self._codec.decode(view, first_record)]
            values = pa.chunked_array(arrays, self._codec.schema.field(-1).type).combine_chunks()
            is_new = marks.of(view, len(values))
            first_record += len(values)
            yield SortedPart(values, values.is_valid().to_numpy(zero_copy_only=False), is_new)


class _ArrayKeeper:
    """Values as arrays of one type."""

    def __init__(self, arrow_type: Any) -> None:
        self._type = arrow_type

    def take(self, values: Any, places: Places) -> Any:
        return values.take(arrow_array(places))

    def join(self, parts: list[Any]) -> Any:
        return pa.chunked_array(parts, self._type).combine_chunks()

    def scatter(self, values: Any, places: Places, count: int) -> Any:
        indices = np.zeros(count, np.int64)
        indices[places] = np.arange(len(places))
        is_missing = np.ones(count, np.bool_)
        is_missing[places] = False
        return values.take(arrow_array(indices, is_missing))

    def lists(self, values: Any, lengths: Places) -> Any:
        offsets = np.zeros(len(lengths) + 1, np.int32)
        np.cumsum(lengths, out=offsets[1:])
        return pa.ListArray.from_arrays(arrow_array(offsets), values)

    def counts(self, counts: Places) -> Any:
        return arrow_array(counts.astype(np.int64))
