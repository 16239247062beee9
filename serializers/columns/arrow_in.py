"""Arrow arrays to what columns gather: without Python objects, and mostly without a copy.

pyarrow is not imported: its arrays bring all that is asked of them. What has no quick way here becomes Python values,
as `to_pylist` gives them, save that structs are Rows and maps are dicts (`serializers.types.arrow_types`).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serializers.columns.column import Column, Data
from serializers.columns.fields import Parts
from serializers.columns.masked import RowColumn
from serializers.columns.numbers import BoolColumn, FloatColumn, IntegerColumn
from serializers.columns.optional import Nullable, OptionalColumn, gather_nullable
from serializers.columns.scratch import Scratch, address_of
from serializers.columns.sequences import ListColumn, Repeated
from serializers.columns.temporal import (
    DATETIME_MICROSECONDS,
    EPOCH_MICROSECONDS,
    EPOCH_ORDINAL,
    DateColumn,
    DatetimeColumn,
    TimeColumn,
    TimedeltaColumn,
)
from serializers.columns.text import BytesColumn, TextColumn, Texts
from serializers.errors import SerializationError
from serializers.layouts import SLACK_BYTES
from serializers.types.containers import DictInfo
from serializers.types.moments import DAY_MICROSECONDS
from serializers.types.optional import without_optional
from serializers.types.row import Row, RowInfo
from serializers.types.sequences import ListInfo
from serializers.types.type_information import TypeInformation

Array = Any
"""A `pyarrow.Array`."""

Gatherer = Callable[[Any, Array, Scratch], Data]
"""Takes an array without nulls to what a column gathers. Raises NoQuickWayError."""

_BITS = 8
_LARGE = {"large_string": np.int64, "large_binary": np.int64}
"""How wide offsets are, where they are not 32 bits."""

_SIDE_BY_SIDE = {"string_view": "large_string", "binary_view": "large_binary"}


class NoQuickWayError(Exception):
    """An array holds something that only Python values can stand for, or nothing can."""


def gather_arrays(column: RowColumn, names: list[str], arrays: list[Array], count: int, scratch: Scratch) -> Parts:
    """What `column` gathers of `count` rows whose fields are `arrays`.

    Raises SerializationError, with the field, for what has no Python value.
    """
    parts: list[Data] = []
    for name, part, array in zip(names, column.columns, arrays, strict=True):
        try:
            parts.append(_gather_nullable(part, array, scratch))
        except SerializationError as error:
            error.at_field(name)
            raise
    return Parts(count, parts)


def rows_of_arrays(arrays: list[Array], info: RowInfo, count: int) -> list[Row]:
    """The rows whose fields are `arrays`. Raises SerializationError, with the field, for what has no Python value."""
    columns = []
    for field, array in zip(info.fields, arrays, strict=True):
        try:
            columns.append(values_of_array(array, field.type_info))
        except SerializationError as error:
            error.at_field(field.name)
            raise
    names = [field.name for field in info.fields]
    if not columns:
        return [Row()] * count
    return [Row(**dict(zip(names, parts, strict=True))) for parts in zip(*columns, strict=True)]


def values_of_array(array: Array, info: TypeInformation[Any]) -> list[Any]:
    """The Python values of an array. Raises SerializationError for what has none."""
    try:
        values = in_microseconds(array).to_pylist()
    except (ValueError, OverflowError) as error:
        raise SerializationError(f"{array.type} holds a value that Python has none for: {error}") from error
    convert = _converter(info)
    return values if convert is None else [None if value is None else convert(value) for value in values]


def in_microseconds(array: Array) -> Array:
    """The array with moments and spans of microseconds in place of those of nanoseconds, also within lists and structs.

    Of nanoseconds pyarrow makes values of pandas' where pandas is installed. Raises ValueError where that loses some.
    """
    wanted = _microseconds(array.type)
    return array if wanted == array.type else array.cast(wanted)


def _microseconds(arrow_type: Any) -> Any:
    import pyarrow as pa

    kinds = pa.types
    if getattr(arrow_type, "unit", None) == "ns":
        if kinds.is_timestamp(arrow_type):
            return pa.timestamp("us", arrow_type.tz)
        return pa.time64("us") if kinds.is_time(arrow_type) else pa.duration("us")
    if kinds.is_struct(arrow_type):
        return pa.struct([_field_in_microseconds(field) for field in arrow_type])
    if kinds.is_list(arrow_type):
        return pa.list_(_field_in_microseconds(arrow_type.value_field))
    if kinds.is_large_list(arrow_type):
        return pa.large_list(_field_in_microseconds(arrow_type.value_field))
    if kinds.is_fixed_size_list(arrow_type):
        return pa.list_(_field_in_microseconds(arrow_type.value_field), arrow_type.list_size)
    if kinds.is_map(arrow_type):
        return pa.map_(_microseconds(arrow_type.key_type), _field_in_microseconds(arrow_type.item_field))
    return arrow_type


def _field_in_microseconds(field: Any) -> Any:
    return field.with_type(_microseconds(field.type))


def _converter(info: TypeInformation[Any]) -> Callable[[Any], Any] | None:
    """What makes values of type `info` of what `to_pylist` gives, which are not None; None if they are that already."""
    info = without_optional(info)
    if isinstance(info, RowInfo):
        converters = [(field.name, _nullable(_converter(field.type_info))) for field in info.fields]
        return lambda value: Row(**{name: convert(value[name]) for name, convert in converters})
    if isinstance(info, ListInfo):
        element = _converter(info.element)
        convert_element = _nullable(element)
        return element and (lambda value: [convert_element(each) for each in value])
    if isinstance(info, DictInfo):
        key, entry = _nullable(_converter(info.key)), _nullable(_converter(info.value))
        return lambda value: {key(name): entry(each) for name, each in value}
    return None


def _nullable(convert: Callable[[Any], Any] | None) -> Callable[[Any], Any]:
    return lambda value: value if value is None or convert is None else convert(value)


# --- nulls


def _gather(column: Column, array: Array, scratch: Scratch) -> Data:
    """What a column gathers; nulls are for it to refuse, if it is not one of optional values."""
    if isinstance(column, OptionalColumn):
        return _gather_nullable(column.inner, array, scratch)
    array = _opened(array)
    try:
        if not array.null_count:
            return _quick_way(column, array)(column, array, scratch)
    except NoQuickWayError:
        pass
    return column.gather(values_of_array(array, column.type_info), scratch)


def _gather_nullable(column: Column, array: Array, scratch: Scratch) -> Nullable:
    array = _opened(array)
    try:
        gather = _quick_way(column, array)
        if not array.null_count:
            return Nullable(len(array), None, gather(column, array, scratch))
        nulls = scratch.copy(_bits(array.buffers()[0], array) ^ 1)
        return Nullable(len(array), nulls, gather(column, array.drop_null(), scratch))
    except NoQuickWayError:
        return gather_nullable(column, values_of_array(array, column.type_info), scratch)


def _opened(array: Array) -> Array:
    """The same values without a dictionary, and texts side by side."""
    kind = str(array.type)
    if kind.startswith("dictionary"):
        array = array.dictionary_decode()
    return array.cast(_SIDE_BY_SIDE[kind]) if kind in _SIDE_BY_SIDE else array


# --- arrays without nulls


def _quick_way(column: Column, array: Array) -> Gatherer:
    """What gathers such an array. Raises NoQuickWayError."""
    names, gather = _QUICK.get(type(column), ((), None))
    if gather is None or str(array.type).partition("[")[0].partition("<")[0] not in names:
        raise NoQuickWayError
    return gather


def _cast(array: Array, arrow_type: str) -> Array:
    """The array as another type. Raises NoQuickWayError if that would lose something."""
    try:
        return array if str(array.type) == arrow_type else array.cast(arrow_type)
    except ValueError as error:
        raise NoQuickWayError from error


def _items(array: Array, dtype: Any, scratch: Scratch) -> NDArray[Any]:
    """The items of an array of a fixed width, with slack."""
    buffer = array.buffers()[1]
    if buffer is None or not len(array):
        return scratch.empty(0, dtype)
    return _with_slack(np.frombuffer(buffer, dtype)[array.offset : array.offset + len(array)], buffer, scratch)


def _with_slack(items: NDArray[Any], buffer: Any, scratch: Scratch) -> NDArray[Any]:
    slack_bytes = buffer.address + buffer.size - address_of(items) - items.nbytes
    return items if slack_bytes >= SLACK_BYTES else scratch.copy(items, items.dtype)


def _bits(buffer: Any, array: Array) -> NDArray[np.uint8]:
    """The bits of an array in a buffer, a byte for each."""
    first, skipped = divmod(array.offset, _BITS)
    octets = np.frombuffer(buffer, np.uint8)[first:]
    return np.unpackbits(octets, count=skipped + len(array), bitorder="little")[skipped:]


def _gather_numbers(column: Any, array: Array, scratch: Scratch) -> Data:
    return _items(array, column.dtype, scratch)


def _gather_bools(column: Column, array: Array, scratch: Scratch) -> Data:
    return scratch.copy(_bits(array.buffers()[1], array)) if len(array) else scratch.empty(0, np.uint8)


def _gather_texts(column: Column, array: Array, scratch: Scratch) -> Data:
    if str(array.type).startswith("fixed_size_binary"):
        array = array.cast("binary")
    kind = str(array.type)
    _, ends_buffer, data_buffer = array.buffers()
    if not len(array) or data_buffer is None:
        return Texts(scratch.empty(0, np.uint8), _no_texts(len(array), scratch), len(array))
    offsets = np.frombuffer(ends_buffer, _LARGE.get(kind, np.int32))[array.offset : array.offset + len(array) + 1]
    start, end = int(offsets[0]), int(offsets[-1])
    data = _with_slack(np.frombuffer(data_buffer, np.uint8)[start:end], data_buffer, scratch)
    ends = scratch.empty(len(offsets), np.uint32)
    np.subtract(offsets, offsets[0], out=ends, casting="unsafe")
    return Texts(data, ends, len(array))


def _no_texts(count: int, scratch: Scratch) -> NDArray[np.uint32]:
    ends = scratch.empty(count + 1, np.uint32)
    ends[:] = 0
    return ends


def _gather_dates(column: DateColumn, array: Array, scratch: Scratch) -> Data:
    days = _items(_cast(array, "date32[day]"), np.int32, scratch)
    return _counted_from(days, 1 - EPOCH_ORDINAL, date.max.toordinal() - EPOCH_ORDINAL, EPOCH_ORDINAL, scratch)


def _gather_moments(column: Column, array: Array, scratch: Scratch) -> Data:
    microseconds = _items(_cast(array, "timestamp[us]"), np.int64, scratch)
    end = DATETIME_MICROSECONDS - EPOCH_MICROSECONDS
    return _doubled(_counted_from(microseconds, -EPOCH_MICROSECONDS, end - 1, EPOCH_MICROSECONDS, scratch))


def _gather_times(column: Column, array: Array, scratch: Scratch) -> Data:
    microseconds = _items(_cast(array, "time64[us]"), np.int64, scratch)
    return _doubled(_counted_from(microseconds, 0, DAY_MICROSECONDS - 1, 0, scratch))


def _doubled(numbers: NDArray[Any]) -> NDArray[Any]:
    numbers <<= 1
    return numbers


def _counted_from(items: NDArray[Any], low: int, high: int, beginning: int, scratch: Scratch) -> NDArray[Any]:
    """Numbers, counted from an earlier beginning. Raises NoQuickWayError unless all are from `low` to `high`."""
    if len(items) and (items.min() < low or items.max() > high):
        raise NoQuickWayError
    numbers = scratch.empty(len(items), items.dtype)
    np.add(items, items.dtype.type(beginning), out=numbers)
    return numbers


def _gather_spans(column: TimedeltaColumn, array: Array, scratch: Scratch) -> Data:
    microseconds = _items(_cast(array, "duration[us]"), np.int64, scratch)
    data = scratch.empty(len(microseconds), column.dtype)
    data["days"], data["microseconds"] = np.divmod(microseconds, DAY_MICROSECONDS)
    return data


def _gather_structs(column: RowColumn, array: Array, scratch: Scratch) -> Data:
    parts = [_gather_nullable(part, array.field(place), scratch) for place, part in enumerate(column.columns)]
    return Parts(len(array), parts)


def _gather_lists(column: ListColumn, array: Array, scratch: Scratch) -> Data:
    counts = scratch.empty(len(array), np.uint32)
    counts[:] = array.value_lengths().to_numpy(zero_copy_only=False)
    return Repeated(counts, [_gather(column.parts[0], array.flatten(), scratch)])


_INTEGERS = tuple(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))

_QUICK: dict[type[Column], tuple[tuple[str, ...], Gatherer]] = {
    IntegerColumn: (_INTEGERS, _gather_numbers),
    FloatColumn: (("halffloat", "float", "double"), _gather_numbers),
    TextColumn: (("string", "large_string"), _gather_texts),
    BytesColumn: (("binary", "large_binary", "fixed_size_binary"), _gather_texts),
    BoolColumn: (("bool",), _gather_bools),
    DateColumn: (("date32", "date64"), _gather_dates),
    DatetimeColumn: (("timestamp",), _gather_moments),
    TimeColumn: (("time32", "time64"), _gather_times),
    TimedeltaColumn: (("duration",), _gather_spans),
    RowColumn: (("struct",), _gather_structs),
    ListColumn: (("list", "large_list", "fixed_size_list"), _gather_lists),
}
"""Who takes arrays of types of these names."""
