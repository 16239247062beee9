"""How rows are written: the pieces that every kernel shares which makes rows (docs/ROW_FORMAT.md).

Copies read and write whole words or vectors, so sources and targets need `SLACK_BYTES` behind them.
"""

import numpy as np

from serializers.intrinsics import copy_record, count_trailing_zeros, load_byte, load_word, store_byte, store_word
from serializers.kernel_cache import helper

_ZERO, _ONE, _TWO, _SEVEN, _EIGHT = (np.uint64(n) for n in (0, 1, 2, 7, 8))
_MORE, _SEVEN_BITS, _LAST_SHIFT = np.uint64(0x80), np.uint64(0x7F), np.uint64(63)
_LOW_BITS = np.uint64(0x0101_0101_0101_0101)
_HIGH_BITS = np.uint64(0x8080_8080_8080_8080)


@helper
def varint_bytes(value):
    """How many bytes a varint takes."""
    size = _ONE
    while value > _SEVEN_BITS:
        value >>= _SEVEN
        size += _ONE
    return size


@helper
def write_varint(position, value):
    """Write a varint: where it ends."""
    while value > _SEVEN_BITS:
        store_byte(position, value | _MORE)
        value >>= _SEVEN
        position += _ONE
    store_byte(position, value)
    return position + _ONE


@helper
def read_bounded_varint(position, limit):
    """(number, where it ends) of a varint of at most 64 bits; beyond `limit` if there is none before it."""
    value, shift = _ZERO, _ZERO
    while position < limit and shift <= _LAST_SHIFT:
        byte = load_byte(position)
        position += _ONE
        value |= (byte & _SEVEN_BITS) << shift
        if byte < _MORE:
            if shift == _LAST_SHIFT and byte > _ONE:
                break
            return value, position
        shift += _SEVEN
    return _ZERO, limit + _ONE


@helper
def copy_to(target, source, length):
    """Copy, also nothing: where the copy ends. A word, or whole vectors."""
    if length <= _EIGHT:
        store_word(target, load_word(source))
    else:
        copy_record(target, source, length)
    return target + length


@helper
def zero_byte(word):
    """Which byte of `word`, in order of memory, is the first that is zero; 8 if none is."""
    return count_trailing_zeros((word - _LOW_BITS) & ~word & _HIGH_BITS) >> np.uint64(3)


@helper
def write_closed(position, source, length, inverted):
    """Write a text of an order key that says where it ends: where that is."""
    while length:
        word = load_word(source)
        before_zero = min(zero_byte(word), length)
        store_word(position, word ^ inverted)
        position += before_zero
        source += before_zero
        length -= before_zero
        if length and before_zero < _EIGHT:
            store_word(position, np.uint64(0xFF00) ^ inverted)
            position += _TWO
            source += _ONE
            length -= _ONE
    store_word(position, inverted)
    return position + _TWO
