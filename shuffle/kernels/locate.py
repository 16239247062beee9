"""Single questions about records in a block: where a key belongs, which key goes first, which rows are whole."""

import numpy as np

from serializers.kernel_cache import kernel
from serializers.keys import compare_keys, find_record_end, key_span
from serializers.layouts import ROW_FLAG, ROW_KEYS_VARY
from serializers.row_bytes import read_bounded_varint

_ROW_FLAG, _ROW_KEYS_VARY = np.uint64(ROW_FLAG), np.uint64(ROW_KEYS_VARY)
_ZERO, _ONE = np.uint64(0), np.uint64(1)


@kernel("uint64(uint64, uint64, uint64, uint64, uint64, uint64, uint64, uint64, uint64, boolean)")
def find_cut(start, end, record_bytes, key_offset, key_bytes, delimiter, inverted, key, key_length, take_equal):
    """Address of the first record in `start..end` after the given key, or with it unless `take_equal`; else `end`."""
    while start < end:
        record_end = find_record_end(start, end, record_bytes, key_bytes, delimiter)
        found, length = key_span(start, record_end, record_bytes, key_offset, key_bytes)
        order = compare_keys(found, length, key, key_length)
        if inverted:
            order = -order
        if order > 0 or (order == 0 and not take_equal):
            return start
        start = record_end
    return end


@kernel("int64(uint64, uint64, uint64, uint64)")
def compare(left, left_length, right, right_length):
    """-1, 0 or 1: how two keys compare as unsigned bytes, the shorter first."""
    return compare_keys(left, left_length, right, right_length)


@kernel("uint64(uint64, uint64, uint64, uint64, uint64)")
def find_last(start, end, record_bytes, key_bytes, delimiter):
    """Address of the last record in `start..end`, which are whole records, at least one."""
    last = start
    while start < end:
        last = start
        start = find_record_end(start, end, record_bytes, key_bytes, delimiter)
    return last


@kernel("Tuple((uint64, uint64))(uint64, uint64, uint64)")
def count_whole_rows(start, end, key_bytes):
    """Rows from `start` on that end before `end`, and their keys before they do: (how many, where the next begins).

    Every length is checked before it is believed, and no byte is read from `end` on.
    """
    count = _ZERO
    keys_vary = key_bytes & _ROW_KEYS_VARY
    while start < end:
        length, key = read_bounded_varint(start, end)
        if key > end or length > end - key:
            break
        row_end = key + length
        key_length = key_bytes ^ _ROW_FLAG
        if keys_vary:
            key_length, key = read_bounded_varint(key, row_end)
            if key > row_end:
                break
        if key_length > row_end - key:
            break
        count += _ONE
        start = row_end
    return count, start
