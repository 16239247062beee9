"""What columns read, to Arrow arrays: the way back of `serializers.columns.arrow_in`.

Arrays own their memory, so what stands in the scratch is copied, once.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serializers.columns.column import Column, Data, Loose
from serializers.columns.fields import Parts
from serializers.columns.masked import RowColumn
from serializers.columns.numbers import BoolColumn, FloatColumn, IntegerColumn
from serializers.columns.optional import Nullable, OptionalColumn, scatter_nullable
from serializers.columns.sequences import ListColumn, Repeated
from serializers.columns.temporal import (
    DATETIME_MICROSECONDS,
    EPOCH_MICROSECONDS,
    EPOCH_ORDINAL,
    QUICK_DAYS_MAX,
    DateColumn,
    DatetimeColumn,
    TimeColumn,
    TimedeltaColumn,
    check_range,
)
from serializers.columns.text import BytesColumn, TextColumn, Texts
from serializers.errors import SerializationError
from serializers.types.moments import DAY_MICROSECONDS
from serializers.types.row import Row

Array = Any
"""A `pyarrow.Array`."""

Type = Any
"""A `pyarrow.DataType`."""

_SMALL_TEXT_BYTES_MAX = (1 << 31) - 1


class ArrowWriter:
    """Makes arrays."""

    def __init__(self) -> None:
        import pyarrow  # only here: whoever has no table need not have it

        self._arrow: Any = pyarrow
        self._quick: dict[type[Column], Callable[[Any, Any, Type], Array]] = {
            IntegerColumn: self._numbers,
            FloatColumn: self._numbers,
            TextColumn: self._texts,
            BytesColumn: self._texts,
            BoolColumn: self._bools,
            DateColumn: self._dates,
            DatetimeColumn: self._moments,
            TimeColumn: self._times,
            TimedeltaColumn: self._spans,
            RowColumn: self._structs,
            ListColumn: self._lists,
        }

    def table(self, schema: Any, batches: list[Any]) -> Any:
        """The `pyarrow.Table` of some record batches."""
        return self._arrow.Table.from_batches(batches, schema=schema)

    def record_batch(self, column: RowColumn, data: Data, schema: Any) -> Any:
        """The rows that `column` read, as a `pyarrow.RecordBatch`."""
        if isinstance(data, Loose):
            lists = column.split(data.values)
            assert lists is not None
            parts: list[Data] = [Nullable(len(data.values), None, Loose(each)) for each in lists]
        else:
            parts = data.parts
        arrays = []
        for field, part_column, part in zip(schema, column.columns, parts, strict=True):
            try:
                arrays.append(self.nullable(part_column, part, field.type))
            except (ValueError, OverflowError, self._arrow.ArrowException) as error:
                raise SerializationError(f"{field.type} cannot hold a value: {error}").at_field(field.name) from error
        return self._arrow.RecordBatch.from_arrays(arrays, schema=schema)

    def nullable(self, column: Column, data: Nullable, arrow_type: Type) -> Array:
        """An array with nulls."""
        make = self._quick.get(type(column))
        if make is None or isinstance(data.data, Loose):
            return self._of_values(scatter_nullable(column, data), arrow_type)
        array = make(column, data.data, arrow_type)
        if data.nulls is not None:
            is_null = data.nulls.astype(np.bool_)
            places = np.cumsum(~is_null) - 1
            array = array.take(self._arrow.array(places, mask=is_null))
        return self._cast(array, arrow_type)

    def _array(self, column: Column, data: Data, count: int, arrow_type: Type) -> Array:
        if isinstance(column, OptionalColumn):
            if isinstance(data, Loose):
                return self._of_values(data.values, arrow_type)
            return self.nullable(column.inner, data, arrow_type)
        return self.nullable(column, Nullable(count, None, data), arrow_type)

    def _cast(self, array: Array, arrow_type: Type) -> Array:
        if array.type == arrow_type:
            return array
        try:
            return array.cast(arrow_type)
        except self._arrow.ArrowNotImplementedError:
            return self._arrow.array(array.to_pylist(), type=arrow_type)

    def _of_values(self, values: list[Any], arrow_type: Type) -> Array:
        """An array of Python values. Moments get there by microseconds, for pyarrow would cut off what is too fine."""
        exact_type = self._exact(arrow_type)
        array = self._arrow.array(list(map(_plain, values)), type=exact_type)
        return array if exact_type == arrow_type else array.cast(arrow_type)

    def _exact(self, arrow_type: Type) -> Type:
        kinds = self._arrow.types
        if kinds.is_timestamp(arrow_type):
            return self._arrow.timestamp("us", arrow_type.tz)
        if kinds.is_time(arrow_type):
            return self._arrow.time64("us")
        return self._arrow.duration("us") if kinds.is_duration(arrow_type) else arrow_type

    # --- arrays without nulls

    def _from_buffers(self, arrow_type: Type, count: int, *arrays: NDArray[Any]) -> Array:
        buffers = [self._arrow.py_buffer(array) for array in arrays]
        return self._arrow.Array.from_buffers(arrow_type, count, [None, *buffers])

    def _numbers(self, column: Any, data: Data, arrow_type: Type) -> Array:
        kind = self._arrow.from_numpy_dtype(column.dtype)
        return self._from_buffers(kind, len(data), data.copy())

    def _bools(self, column: Column, data: Data, arrow_type: Type) -> Array:
        check_range(data, 0, 1)
        return self._from_buffers(self._arrow.bool_(), len(data), np.packbits(data, bitorder="little"))

    def _texts(self, column: BytesColumn, data: Texts, arrow_type: Type) -> Array:
        assert data.ends is not None and not data.is_separated
        text = data.data[: int(data.ends[-1])].copy()
        is_text = isinstance(column, TextColumn)
        if is_text:
            check_utf8(text)
        if len(text) <= _SMALL_TEXT_BYTES_MAX:
            kind = self._arrow.string() if is_text else self._arrow.binary()
            return self._from_buffers(kind, data.count, data.ends.astype(np.int32), text)
        kind = self._arrow.large_string() if is_text else self._arrow.large_binary()
        return self._from_buffers(kind, data.count, data.ends.astype(np.int64), text)

    def _dates(self, column: Column, data: Data, arrow_type: Type) -> Array:
        check_range(data, 1, date.max.toordinal())
        return self._from_buffers(self._arrow.date32(), len(data), data - np.int32(EPOCH_ORDINAL))

    def _moments(self, column: Column, data: Data, arrow_type: Type) -> Array:
        microseconds = data >> 1
        check_range(microseconds, 0, DATETIME_MICROSECONDS - 1)
        return self._from_buffers(self._arrow.timestamp("us"), len(data), microseconds - EPOCH_MICROSECONDS)

    def _times(self, column: Column, data: Data, arrow_type: Type) -> Array:
        microseconds = data >> 1
        check_range(microseconds, 0, DAY_MICROSECONDS - 1)
        return self._from_buffers(self._arrow.time64("us"), len(data), microseconds)

    def _spans(self, column: TimedeltaColumn, data: Data, arrow_type: Type) -> Array:
        days, microseconds = data["days"].astype(np.int64), data["microseconds"]
        check_range(days, 1 - QUICK_DAYS_MAX, QUICK_DAYS_MAX - 1)
        check_range(microseconds, 0, DAY_MICROSECONDS - 1)
        return self._from_buffers(self._arrow.duration("us"), len(data), days * DAY_MICROSECONDS + microseconds)

    def _structs(self, column: RowColumn, data: Parts, arrow_type: Type) -> Array:
        fields = [arrow_type.field(place) for place in range(arrow_type.num_fields)]
        arrays = [
            self.nullable(part_column, part, field.type)
            for part_column, part, field in zip(column.columns, data.parts, fields, strict=True)
        ]
        if not arrays:
            return self._of_values([{}] * data.count, arrow_type)
        return self._arrow.StructArray.from_arrays(arrays, fields=fields)

    def _lists(self, column: ListColumn, data: Repeated, arrow_type: Type) -> Array:
        ends = np.zeros(len(data.counts) + 1, np.int64)
        np.cumsum(data.counts, out=ends[1:])
        elements = self._array(column.parts[0], data.elements[0], int(ends[-1]), arrow_type.value_type)
        offsets = self._arrow.array(ends)
        return self._arrow.LargeListArray.from_arrays(offsets, elements)


def check_utf8(text: NDArray[np.uint8]) -> None:
    """Raise SerializationError for lone surrogates, which a str may hold and Arrow's text may not."""
    try:
        str(memoryview(text), "utf-8")  # type: ignore[arg-type]
    except UnicodeDecodeError as error:
        raise SerializationError(f"the text is not UTF-8: {error.reason}. Read it as Python values") from error


def _plain(value: Any) -> Any:
    """A value as pyarrow takes it: Rows are dicts."""
    if isinstance(value, Row):
        return {name: _plain(part) for name, part in value._asdict().items()}
    if isinstance(value, list):
        return [_plain(part) for part in value]
    if isinstance(value, dict):
        return [(_plain(key), _plain(part)) for key, part in value.items()]
    return value
