"""Finding records in bytes: the compiled half of `serializers.layouts`."""

import numpy as np

from serializers.intrinsics import count_trailing_zeros, match_mask
from serializers.kernel_cache import kernel
from serializers.keys import compare_keys, find_delimiter
from serializers.layouts import LINE_INDEX_BYTES, SLACK_BYTES

_RESERVED_BYTES = SLACK_BYTES + 24  # read past the last record; align the words; one more offset for the end


@kernel("Tuple((uint64, uint64))(uint64, uint32[::1], uint64, uint64, uint64, uint64)")
def scan_lines(base, offsets, record_count, scanned, filled, delimiter):
    """Find the lines of `base[scanned:filled]`, until they end or their index would meet the bytes.

    `offsets` is the same memory seen as 32-bit words; line i starts at `offsets[-1 - i]`, written downwards from the
    end of the buffer, and one more entry says where the last line ends. Returns the count of lines in the buffer and
    where the last one ends.
    """
    top = np.uint64(len(offsets) - 1)
    capacity = np.uint64(len(offsets)) * np.uint64(4)
    index_count_max = (capacity - filled - np.uint64(_RESERVED_BYTES)) >> np.uint64(2)
    byte = np.uint8(delimiter)
    line_start = scanned
    position = scanned
    while position < filled:
        mask = match_mask(base + position, byte)
        while mask:
            line_end = position + count_trailing_zeros(mask) + np.uint64(1)
            needed = line_end + (record_count + np.uint64(1)) * np.uint64(LINE_INDEX_BYTES) + np.uint64(_RESERVED_BYTES)
            if line_end > filled or needed > capacity or record_count + np.uint64(2) > index_count_max:
                return record_count, line_start
            offsets[top - record_count] = np.uint32(line_start)
            record_count += np.uint64(1)
            offsets[top - record_count] = np.uint32(line_end)
            line_start = line_end
            mask &= mask - np.uint64(1)
        position += np.uint64(64)
    return record_count, line_start


@kernel("uint64(uint64, uint64, uint64)")
def find_byte(start, end, byte):
    """Address of the first `byte` in `start..end`; `end` if there is none."""
    return find_delimiter(start, end, np.uint8(byte))


@kernel("uint64(uint64, uint32[::1], uint32[::1])")
def find_changes(data, ends, changes):
    """Which texts differ from the one before, as the first does: their numbers go into `changes`; how many.

    Text i stands from `ends[i]` to `ends[i + 1]`. There is one less than `ends`, and one at least.
    """
    count = np.uint64(0)
    last, last_length = np.uint64(0), np.uint64(0)
    for number in range(np.uint64(len(ends)) - np.uint64(1)):
        text = data + np.uint64(ends[number])
        length = np.uint64(ends[number + np.uint64(1)]) - np.uint64(ends[number])
        if number == np.uint64(0) or length != last_length or compare_keys(last, length, text, length) != 0:
            changes[count] = number
            count += np.uint64(1)
        last, last_length = text, length
    return count
