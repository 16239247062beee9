"""Arrow tables to rows and back, without Python objects.

    table ──encode_table──> EncodedRows ──decode_table──> table

The rows are those of the Rows that `type_info_of_arrow` finds in the schema, so they sort and merge with rows that were
Python values, and either side can read what the other wrote. Types that Arrow has and numpy has not, such as decimals,
maps and moments with a time zone, go through Python values.

pyarrow is imported when a codec is made, not before.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any, cast

from serializers.columns.arrow_in import gather_arrays, rows_of_arrays
from serializers.columns.arrow_out import ArrowWriter
from serializers.columns.column import Column, Data
from serializers.columns.masked import RowColumn
from serializers.columns.pieces import EncodedRows, Rows
from serializers.columns.scratch import Scratch
from serializers.row_codec import RowCodec, whole
from serializers.types.arrow_types import type_info_of_arrow
from serializers.types.row import RowInfo
from serializers.types.type_comparator import TypeComparator

_STEP_BYTES = 1 << 20
_STEP_ROWS_MAX = 1 << 15
"""More than for Python values: numpy's calls cost the same for any number of rows, and read memory in order."""


class ArrowCodec(RowCodec):
    """Rows of tables with `schema`, a `pyarrow.Schema`, for one thread.

    ordering   orders the Rows of `type_info_of_arrow(schema)`: their own comparator or an OrderingComparator
    """

    step_bytes = _STEP_BYTES
    step_rows_max = _STEP_ROWS_MAX

    def __init__(self, schema: Any, ordering: TypeComparator[Any] | None = None) -> None:
        super().__init__(type_info_of_arrow(schema), ordering)
        self.schema = schema
        self._writer = ArrowWriter()

    def encode_table(self, table: Any, first_record: int = 0) -> EncodedRows:
        """The rows of a `pyarrow.Table` or RecordBatch. Raises as `encode` does."""
        return whole(self.encode_some_of_table(table, first_record), table.num_rows)

    def encode_some_of_table(self, table: Any, first_record: int = 0) -> EncodedRows:
        """The rows of as many records of a table as take less than 2 GiB together; of one at least."""
        assert table.schema.equals(self.schema), f"a table of {table.schema}, where {self.schema} was announced"
        return self._encode_batch(TableBatch(table, cast("RowInfo", self.plan.type_info)), first_record)

    def decode_table(self, rows: Rows, first_record: int = 0) -> Any:
        """The `pyarrow.Table` of a whole number of rows. Raises CorruptRecordError as `decode` does."""
        batches = list(self._decode_batches(rows, self._record_batch, first_record, joins_texts=False))
        return self._writer.table(self.schema, batches)

    def _record_batch(self, data: Data) -> Any:
        return self._writer.record_batch(cast("RowColumn", self._batches.column), data, self.schema)


class TableBatch:
    """Records that are lines of a table."""

    keys = None

    def __init__(self, table: Any, type_info: RowInfo) -> None:
        self._table = table
        self._info = type_info

    def __len__(self) -> int:
        return cast("int", self._table.num_rows)

    def part(self, start: int, end: int) -> TableBatch:
        """The records from `start` to `end`."""
        return TableBatch(self._table.slice(start, end - start), self._info)

    def gather(self, column: Column, scratch: Scratch) -> Data:
        """What `column` gathers of them."""
        names = [field.name for field in self._info.fields]
        return gather_arrays(cast("RowColumn", column), names, self._arrays, len(self), scratch)

    @cached_property
    def _arrays(self) -> list[Any]:
        return [_as_array(column) for column in self._table.columns]

    @property
    def values(self) -> list[Any]:
        """The records as Rows. Raises SerializationError, with the field, for what has no Python value."""
        return rows_of_arrays(self._arrays, self._info, len(self))


def _as_array(column: Any) -> Any:
    """The array of a column: its only chunk, or all of them copied into one."""
    if not hasattr(column, "chunks"):
        return column
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
