"""From sorted words to sorted records: copy them, block by block, out of the sort buffer.

A block takes whole records while they fit. A record that fits no block ends the block before it; the caller sees that
nothing was copied, and cuts that record by itself.
"""

import numpy as np

from serializers.intrinsics import copy_record, prefetch
from serializers.kernel_cache import helper, kernel

PREFETCH_RECORDS = 12
"""How far ahead of the copy a record is asked for: it hides one miss to memory behind a dozen short copies."""

_ONE = np.uint64(1)


@helper
def record_span(offsets, record_bytes, ordinal):
    """Where a record of the sort buffer starts and ends, in bytes."""
    if record_bytes:
        start = ordinal * record_bytes
        return start, start + record_bytes
    top = np.uint64(len(offsets) - 1)
    return np.uint64(offsets[top - ordinal]), np.uint64(offsets[top - ordinal - _ONE])


@kernel("Tuple((uint64, uint64))(uint64[::1], uint64, uint64, uint64, uint64, uint32[::1], uint64, uint64)")
def gather_block(words, position, target, capacity, records, offsets, record_bytes, mask):
    """Copy records from `position` on to `target` while they fit: (position of the next record, bytes copied)."""
    count = np.uint64(len(words))
    copied = np.uint64(0)
    while position < count:
        ahead = min(position + np.uint64(PREFETCH_RECORDS), count - _ONE)
        hint = records + record_span(offsets, record_bytes, words[ahead] & mask)[0]
        prefetch(hint)
        prefetch(hint + np.uint64(64))
        start, end = record_span(offsets, record_bytes, words[position] & mask)
        if copied + (end - start) > capacity:
            break
        copy_record(target + copied, records + start, end - start)
        copied += end - start
        position += _ONE
    return position, copied


@kernel("Tuple((uint64, uint64))(uint64[::1], uint64, uint64, uint32[::1], uint64, uint64, uint64[::1], uint64[::1])")
def measure_blocks(words, position, capacity, offsets, record_bytes, mask, ends, sizes):
    """The same cuts without the copy: (blocks found, position of the next record).

    Block i ends before position `ends[i]` and holds `sizes[i]` bytes; more than `capacity` means one record alone.
    """
    count = np.uint64(len(words))
    found = np.uint64(0)
    size = np.uint64(0)
    while position < count and found < np.uint64(len(ends)):
        start, end = record_span(offsets, record_bytes, words[position] & mask)
        if size and size + (end - start) > capacity:
            ends[found], sizes[found] = position, size
            found += _ONE
            size = np.uint64(0)
            continue
        size += end - start
        position += _ONE
        if size > capacity or position == count:
            ends[found], sizes[found] = position, size
            found += _ONE
            size = np.uint64(0)
    return found, position
