"""Columns of types that rows do not carry as they are, as columns of types that they do, in the same order.

    timestamp, date, time, duration      the integers that they are stored as: every unit and zone, no rounding
    decimal of up to 18 digits           int64
    longer decimals                      16 or 32 bytes, big-endian, the sign bit flipped
    dictionary, run-end encoded          their values
    views of texts                       texts, which not all of Arrow's functions take as views
    extension                            what it is stored as

Each is a view, or one pass over the values; none makes Python objects. What is nested stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute

Array = Any
"""A `pyarrow.Array`."""

Type = Any
"""A `pyarrow.DataType`."""

_DIGITS_OF_INT64 = 18
_SIGN = 0x80
_WORD_BYTES = 8


@dataclass(frozen=True)
class StandIn:
    """`type` is what rows carry; `wrap` makes it of a column, `unwrap` the column of it."""

    type: Type
    wrap: Callable[[Array], Array]
    unwrap: Callable[[Array], Array]


def stand_in_for(arrow_type: Type) -> StandIn | None:
    """What stands in for a column of `arrow_type`; None if rows carry it as it is."""
    kinds = pa.types
    if isinstance(arrow_type, pa.BaseExtensionType):
        return _through(
            arrow_type.storage_type, lambda array: array.storage, lambda array: arrow_type.wrap_array(array)
        )
    if kinds.is_dictionary(arrow_type):
        return _through(arrow_type.value_type, _values_of, lambda array: _encoded(array, arrow_type))
    if kinds.is_run_end_encoded(arrow_type):
        ends = arrow_type.run_end_type
        decode, encode = pyarrow.compute.run_end_decode, pyarrow.compute.run_end_encode
        return _through(arrow_type.value_type, decode, lambda array: encode(array, ends))
    if kinds.is_decimal(arrow_type):
        return _decimal(arrow_type)
    if kinds.is_string_view(arrow_type) or kinds.is_binary_view(arrow_type):
        return _cast(arrow_type, pa.string() if kinds.is_string_view(arrow_type) else pa.binary())
    if kinds.is_temporal(arrow_type) and not kinds.is_interval(arrow_type):
        return _viewed(arrow_type, pa.int32() if arrow_type.bit_width == 32 else pa.int64())
    return None


def _through(inner_type: Type, wrap: Callable[[Array], Array], unwrap: Callable[[Array], Array]) -> StandIn:
    """One for a type that is another in disguise, which may have a stand-in of its own."""
    inner = stand_in_for(inner_type)
    if inner is None:
        return StandIn(inner_type, wrap, unwrap)
    return StandIn(inner.type, lambda array: inner.wrap(wrap(array)), lambda array: unwrap(inner.unwrap(array)))


def _viewed(arrow_type: Type, carried: Type) -> StandIn:
    return StandIn(carried, lambda array: array.view(carried), lambda array: array.view(arrow_type))


def _cast(arrow_type: Type, carried: Type) -> StandIn:
    return StandIn(carried, lambda array: array.cast(carried), lambda array: array.cast(arrow_type))


def _values_of(array: Array) -> Array:
    return array.dictionary_decode()


def _encoded(array: Array, arrow_type: Type) -> Array:
    """A dictionary of what is in this array alone. Raises ArrowInvalid if its index type cannot count so many."""
    encoded = array.dictionary_encode()
    indices = encoded.indices.cast(arrow_type.index_type)
    return pa.DictionaryArray.from_arrays(indices, encoded.dictionary, ordered=arrow_type.ordered)


# --- decimals: two's complement, little-endian, in words of 8 bytes


def _decimal(arrow_type: Type) -> StandIn:
    words = arrow_type.bit_width // 64
    if words < 2:
        return _viewed(arrow_type, pa.int64() if words else pa.int32())
    if arrow_type.precision <= _DIGITS_OF_INT64:
        return StandIn(pa.int64(), lambda array: _low_words(array, words), lambda array: _widened(array, arrow_type))
    return StandIn(pa.binary(), lambda array: _big_endian(array, words), lambda array: _from_bytes(array, arrow_type))


def _low_words(array: Array, words: int) -> Array:
    low = _words_of(array, words)[:, 0].copy()
    return pa.Array.from_buffers(pa.int64(), len(array), [_validity(array), pa.py_buffer(low)])


def _widened(array: Array, arrow_type: Type) -> Array:
    words = arrow_type.bit_width // 64
    low = np.frombuffer(array.buffers()[1] or b"", np.int64)[array.offset : array.offset + len(array)]
    wide = np.empty((len(array), words), np.int64)
    wide[:, 0] = low
    wide[:, 1:] = (low >> 63)[:, None]
    return pa.Array.from_buffers(arrow_type, len(array), [_validity(array), pa.py_buffer(wide)])


def _big_endian(array: Array, words: int) -> Array:
    """Bytes whose order is that of the numbers. Nulls stand over zeros, and are bytes like any others."""
    width = words * _WORD_BYTES
    octets = _words_of(array, words).view(np.uint8)[:, ::-1].copy()
    octets[:, 0] ^= _SIGN
    ends = np.arange(0, (len(array) + 1) * width, width, dtype=np.int32)
    buffers = [_validity(array), pa.py_buffer(ends), pa.py_buffer(octets)]
    return pa.Array.from_buffers(pa.binary(), len(array), buffers)


def _from_bytes(array: Array, arrow_type: Type) -> Array:
    width = arrow_type.byte_width
    octets = np.zeros((len(array), width), np.uint8)
    is_there = array.is_valid().to_numpy(zero_copy_only=False)
    values = array.drop_null()
    data = np.frombuffer(values.buffers()[2] or b"", np.uint8)
    start = int(np.frombuffer(values.buffers()[1], np.int32)[values.offset]) if len(values) else 0
    octets[is_there] = data[start : start + len(values) * width].reshape(-1, width)[:, ::-1]
    octets[is_there, -1] ^= _SIGN
    return pa.Array.from_buffers(arrow_type, len(array), [_validity(array), pa.py_buffer(octets)])


def _words_of(array: Array, words: int) -> Any:
    items = np.frombuffer(array.buffers()[1] or b"", np.int64)
    return items[array.offset * words : (array.offset + len(array)) * words].reshape(-1, words)


def _validity(array: Array) -> Any:
    """The null mask from the first item on; None if there are no nulls."""
    if not array.null_count:
        return None
    is_there = array.is_valid()
    return is_there.buffers()[1] if not is_there.offset else pa.concat_arrays([is_there]).buffers()[1]


__all__ = ["StandIn", "stand_in_for"]
