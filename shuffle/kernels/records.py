"""Lines and records of one length as rows, and back.

    line                  row: the line without its delimiter is the key, and there is no value
    record of one length  row: its key is the key, and the whole record the value

Rows as docs/ROW_FORMAT.md has them. Targets are large enough: the caller has counted; there is slack behind them.
"""

import numpy as np

from serializers.intrinsics import load_big_endian, store_byte
from serializers.kernel_cache import kernel
from serializers.keys import find_record_end, key_span, read_varint
from serializers.row_bytes import copy_to, varint_bytes, write_varint

# Entries of `layout`.
RECORD_BYTES, KEY_OFFSET, KEY_BYTES, DELIMITER = range(4)
LAYOUT_WORDS = 4

_ZERO, _ONE, _EIGHT, _SIXTY_FOUR = (np.uint64(number) for number in (0, 1, 8, 64))


@kernel("Tuple((uint64, uint64))(uint64, uint64, uint64[::1], uint64, uint32[::1])")
def write_rows(start, end, layout, target, ends):
    """Make rows of the whole records in `[start, end)`, at most `ends.size`: (how many, where the rest begins)."""
    record_bytes = layout[RECORD_BYTES]
    first = target
    count = _ZERO
    record_end = find_record_end(start, end, record_bytes, layout[KEY_BYTES], layout[DELIMITER])
    while record_end <= end and start < end and count < np.uint64(ends.size):
        key, length = key_span(start, record_end, record_bytes, layout[KEY_OFFSET], layout[KEY_BYTES])
        if record_bytes:
            target = write_varint(target, length + record_bytes)
            target = copy_to(copy_to(target, key, length), start, record_bytes)
        else:
            target = write_varint(target, varint_bytes(length) + length)
            target = copy_to(write_varint(target, length), key, length)
        ends[count] = target - first
        count += _ONE
        start = record_end
        record_end = find_record_end(start, end, record_bytes, layout[KEY_BYTES], layout[DELIMITER])
    return count, start


@kernel("Tuple((uint64, uint64, uint64))(uint64, uint64, uint64, uint64[::1], uint64)")
def read_rows(start, end, partition_bytes, layout, target):
    """Make records of the rows in `[start, end)` that have the partition number of the first, before their keys.

    (where the next row begins, where the records end, the partition)
    """
    record_bytes = layout[RECORD_BYTES]
    wanted = _ZERO
    is_first = True
    while start < end:
        key, length = read_varint(start)
        row_end = key + length
        if not record_bytes:
            key, length = read_varint(key)
        if partition_bytes:
            number = load_big_endian(key) >> (_SIXTY_FOUR - _EIGHT * partition_bytes)
            if is_first:
                wanted = number
            elif number != wanted:
                break
        is_first = False
        if record_bytes:
            target = copy_to(target, row_end - record_bytes, record_bytes)
        else:
            target = copy_to(target, key + partition_bytes, length - partition_bytes)
            store_byte(target, layout[DELIMITER])
            target += _ONE
        start = row_end
    return start, target, wanted
