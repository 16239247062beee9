"""Single questions about records in a block: where a key belongs, and which of two keys goes first."""

from serializers.kernel_cache import kernel
from serializers.keys import compare_keys, find_record_end, key_span


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
