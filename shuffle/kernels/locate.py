"""Single questions about records in a block: where a key belongs, and which of two keys goes first."""

import numpy as np

from serializers.kernel_cache import kernel
from serializers.keys import compare_keys, find_delimiter, key_length

_ONE = np.uint64(1)


@kernel("uint64(uint64, uint64, uint64, uint64, uint64, uint64, uint64, uint64, uint64, boolean)")
def find_cut(start, end, record_bytes, key_offset, key_bytes, delimiter, inverted, key, key_length_, take_equal):
    """Address of the first record in `start..end` after the given key, or with it unless `take_equal`; else `end`."""
    while start < end:
        record_end = start + record_bytes
        if not record_bytes:
            record_end = find_delimiter(start, end, np.uint8(delimiter)) + _ONE
        length = key_length(start, record_end, record_bytes, key_bytes)
        order = compare_keys(start + key_offset, length, key, key_length_)
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
