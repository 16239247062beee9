"""Keys of shuffled rows: partition number, group key and sort key joined, taken apart, compared and hashed.

A shape is five words: PARTITION, GROUP and SORT bytes (`VARIES` where rows say it), whether the group key is CLOSED
(00 becomes 00 FF, and 00 00 ends it), and whether the joined key has its length before it. Rows that are read have
every length checked against the row's end; the walk stops at one that cannot be.

The hash is XXH64 with seed 0 (https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md): published, frozen, the
same on every machine. It is chosen rather than anything quicker because its answers are part of docs/SHUFFLE_FORMAT.md.
"""

import numpy as np

from serializers.intrinsics import load_big_endian, load_word, multiply_high, store_byte
from serializers.kernel_cache import helper, kernel
from serializers.keys import compare_keys, find_record_end, read_varint
from serializers.row_bytes import copy_to, varint_bytes, write_closed, write_varint, zero_byte

# Words of `shape`.
PARTITION, GROUP, SORT, CLOSED, KEY_VARIES = range(5)
VARIES = 0xFFFF_FFFF_FFFF_FFFF

HEAD_BYTES_MAX = 20
"""Two varints: the length of a row, and of its key."""

_VARIES = np.uint64(VARIES)
_ZERO, _ONE, _TWO, _FOUR, _SEVEN, _EIGHT, _THIRTY_TWO = (np.uint64(n) for n in (0, 1, 2, 4, 7, 8, 32))
_BYTE = np.uint64(0xFF)
_HALF = np.uint64(0xFFFF_FFFF)

_PRIME_1 = np.uint64(0x9E37_79B1_85EB_CA87)
_PRIME_2 = np.uint64(0xC2B2_AE3D_27D4_EB4F)
_PRIME_3 = np.uint64(0x1656_67B1_9E37_79F9)
_PRIME_4 = np.uint64(0x85EB_CA77_C2B2_AE63)
_PRIME_5 = np.uint64(0x27D4_EB2F_1656_67C5)


# --- closed keys


@helper
def zero_within(source, length):
    """Where the first zero among `length` bytes is; `length` if there is none."""
    at = _ZERO
    while at < length:
        found = zero_byte(load_word(source + at))
        if found < _EIGHT:
            return min(length, at + found)
        at += _EIGHT
    return length


@helper
def closed_bytes(source, length):
    """How many bytes a key takes once it is closed."""
    zeros = _ZERO
    at = zero_within(source, length)
    while at < length:
        zeros += _ONE
        at += _ONE
        at += zero_within(source + at, length - at)
    return length + zeros + _TWO


@helper
def closed_end(start, end):
    """Where a closed key that begins at `start` ends, its 00 00 included; more than `end` if it does not."""
    while start < end:
        start += zero_within(start, end - start)
        if start + _TWO > end:
            break
        if load_word(start) & np.uint64(0xFF00) == _ZERO:
            return start + _TWO
        start += _TWO
    return end + _ONE


@helper
def opened_bytes(start, end):
    """How many bytes the closed key `start..end` was made of."""
    end -= _TWO
    length = end - start
    while start < end:
        start += zero_within(start, end - start)
        if start < end:
            length -= _ONE
            start += _TWO
    return length


@helper
def write_opened(position, start, end):
    """Write what the closed key `start..end` was made of: where it ends."""
    end -= _TWO
    while start < end:
        length = zero_within(start, end - start)
        position = copy_to(position, start, length)
        start += length
        if start < end:
            store_byte(position, _ZERO)
            position += _ONE
            start += _TWO
    return position


# --- rows


@helper
def read_row(start, limit, key_bytes):
    """(key, its end, the end of the row), by a row's own account; an end of 0 if that cannot be true."""
    body, length = read_varint(start)
    end = body + length
    key, key_length = body, key_bytes
    if key_bytes == _VARIES:
        key, key_length = read_varint(body)
    if length > limit - start or end > limit or key > end or key_length > end - key:
        return key, key, _ZERO
    return key, key + key_length, end


@helper
def group_end(shape, key, key_end):
    """Where partition number and group key of a joined key end; more than `key_end` if they do not."""
    start = key + shape[PARTITION]
    if start > key_end:
        return key_end + _ONE
    if shape[GROUP] != _VARIES:
        return start + shape[GROUP]
    if shape[CLOSED]:
        return closed_end(start, key_end)
    return key_end


@kernel(
    "Tuple((uint64, uint64))(uint64[::1], uint64, uint32[::1], uint64, uint32[::1], uint32[::1], uint64, uint64,"
    " uint32[::1])"
)
def join_rows(shape, rows, row_ends, sort_rows, sort_ends, partitions, target, target_bytes, ends):
    """Write rows with joined keys while they fit: (rows written, bytes written). Row i ends at `ends[i]`."""
    count = np.uint64(len(row_ends))
    position, limit = target, target + target_bytes
    key_varies = shape[KEY_VARIES] != _ZERO
    has_sort = np.uint64(len(sort_ends)) != _ZERO
    done = _ZERO
    start, sort_start = rows, sort_rows
    sort_key, sort_end = _ZERO, _ZERO
    while done < count:
        end = rows + np.uint64(row_ends[done])
        key, key_end, row_end = read_row(start, end, shape[GROUP])
        if row_end != end:
            break
        group_bytes = key_end - key
        if shape[CLOSED]:
            group_bytes = closed_bytes(key, key_end - key)
        key_length = shape[PARTITION] + group_bytes
        if has_sort:
            next_sort = sort_rows + np.uint64(sort_ends[done])
            sort_key, sort_end, row_end = read_row(sort_start, next_sort, shape[SORT])
            if row_end != next_sort:
                break
            sort_start = next_sort
            key_length += sort_end - sort_key
        body = key_length + (end - key_end)
        if key_varies:
            body += varint_bytes(key_length)
        if np.uint64(HEAD_BYTES_MAX) + body > limit - position:
            break
        position = write_varint(position, body)
        if key_varies:
            position = write_varint(position, key_length)
        if shape[PARTITION]:
            number = np.uint64(partitions[done])
            left = shape[PARTITION]
            while left:
                left -= _ONE
                store_byte(position, number >> (_EIGHT * left))
                position += _ONE
        if shape[CLOSED]:
            position = write_closed(position, key, key_end - key, _ZERO)
        else:
            position = copy_to(position, key, key_end - key)
        position = copy_to(position, sort_key, sort_end - sort_key) if has_sort else position
        position = copy_to(position, key_end, end - key_end)
        ends[done] = position - target
        start = end
        done += _ONE
    return done, position - target


@kernel("Tuple((uint64, uint64, uint64))(uint64[::1], uint64, uint64, uint64, uint32[::1])")
def split_rows(shape, start, end, target, ends):
    """Write rows with the group key alone: (rows, bytes written, where reading stopped).

    A row never gets longer. It stops at `end`, or at a row that cannot be.
    """
    position = target
    count = _ZERO
    key_bytes = _VARIES if shape[KEY_VARIES] else shape[PARTITION] + shape[GROUP] + shape[SORT]
    while start < end and count < np.uint64(len(ends)):
        key, key_end, row_end = read_row(start, end, key_bytes)
        stop = group_end(shape, key, key_end)
        if row_end == _ZERO or stop > key_end:
            break
        group = key + shape[PARTITION]
        length = stop - group
        if shape[CLOSED]:
            length = opened_bytes(group, stop)
        body = length + (row_end - key_end)
        if shape[GROUP] == _VARIES:
            body += varint_bytes(length)
        position = write_varint(position, body)
        if shape[GROUP] == _VARIES:
            position = write_varint(position, length)
        position = write_opened(position, group, stop) if shape[CLOSED] else copy_to(position, group, length)
        position = copy_to(position, key_end, row_end - key_end)
        ends[count] = position - target
        count += _ONE
        start = row_end
    return count, position - target, start


@kernel("Tuple((uint64, uint64, uint64))(uint64[::1], uint64, uint64, uint32[::1])")
def find_groups(shape, start, end, starts):
    """Ordinals of the rows that begin another group than the row before: (groups, rows, where reading stopped)."""
    count, groups = _ZERO, _ZERO
    last, last_length = _ZERO, _ZERO
    key_bytes = _VARIES if shape[KEY_VARIES] else shape[PARTITION] + shape[GROUP] + shape[SORT]
    while start < end:
        key, key_end, row_end = read_row(start, end, key_bytes)
        stop = group_end(shape, key, key_end)
        if row_end == _ZERO or stop > key_end:
            break
        if count == _ZERO or compare_keys(last, last_length, key, stop - key) != 0:
            starts[groups] = count
            groups += _ONE
        last, last_length = key, stop - key
        count += _ONE
        start = row_end
    return groups, count, start


# --- the hash


@helper
def rotated(word, bits):
    """`word` with its bits turned to the left."""
    return (word << bits) | (word >> (np.uint64(64) - bits))


@helper
def mixed(lane, word):
    """A lane of XXH64 with 8 more bytes."""
    return rotated(lane + word * _PRIME_2, np.uint64(31)) * _PRIME_1


@helper
def merged(state, lane):
    """The four lanes come together."""
    return (state ^ mixed(_ZERO, lane)) * _PRIME_1 + _PRIME_4


@helper
def hash_bytes(start, length):
    """XXH64 with seed 0 of `length` bytes."""
    end = start + length
    state = _PRIME_5
    if length >= _THIRTY_TWO:
        a, b, c, d = _PRIME_1 + _PRIME_2, _PRIME_2, _ZERO, _ZERO - _PRIME_1
        while start + _THIRTY_TWO <= end:
            a = mixed(a, load_word(start))
            b = mixed(b, load_word(start + _EIGHT))
            c = mixed(c, load_word(start + np.uint64(16)))
            d = mixed(d, load_word(start + np.uint64(24)))
            start += _THIRTY_TWO
        state = rotated(a, _ONE) + rotated(b, _SEVEN) + rotated(c, np.uint64(12)) + rotated(d, np.uint64(18))
        state = merged(merged(merged(merged(state, a), b), c), d)
    state += length
    while start + _EIGHT <= end:
        state = rotated(state ^ mixed(_ZERO, load_word(start)), np.uint64(27)) * _PRIME_1 + _PRIME_4
        start += _EIGHT
    if start + _FOUR <= end:
        word = load_word(start) & _HALF
        state = rotated(state ^ (word * _PRIME_1), np.uint64(23)) * _PRIME_2 + _PRIME_3
        start += _FOUR
    while start < end:
        byte = load_word(start) & _BYTE
        state = rotated(state ^ (byte * _PRIME_5), np.uint64(11)) * _PRIME_1
        start += _ONE
    state = (state ^ (state >> np.uint64(33))) * _PRIME_2
    state = (state ^ (state >> np.uint64(29))) * _PRIME_3
    return state ^ (state >> np.uint64(32))


@kernel("uint64(uint64, uint32[::1], uint64, uint64[::1])")
def hash_rows(rows, row_ends, key_bytes, hashes):
    """Hash the key of every row into `hashes`: how many there were before one that cannot be."""
    start, count = rows, np.uint64(len(row_ends))
    done = _ZERO
    while done < count:
        end = rows + np.uint64(row_ends[done])
        key, key_end, row_end = read_row(start, end, key_bytes)
        if row_end != end:
            break
        hashes[done] = hash_bytes(key, key_end - key)
        start = end
        done += _ONE
    return done


@kernel("void(uint64[::1], uint64, uint32[::1])")
def spread(hashes, partitions, numbers):
    """The high half of hash * partitions: every partition gets its share of the hashes, to within one in 2^64."""
    for i in range(np.uint64(len(hashes))):
        numbers[i] = multiply_high(hashes[i], partitions)


# --- borders


PARTITION_FOUND, OFFSET, ORDINAL, LAST_OFFSET = range(4)
"""Of a border: the partition that begins, where in the block, at which row, and where the row before it begins."""
BORDER_WORDS = 4
NO_PARTITION = VARIES


@kernel("Tuple((uint64, uint64, uint64, uint64))(uint64, uint64, uint64, uint64, uint64, uint64, uint64[:, ::1])")
def find_borders(start, end, key_bytes, partition_bytes, current, partitions, borders):
    """(borders found, rows, offset of the last row, offset where it stopped): where rows have another partition.

    `current` is the partition of the row before, or NO_PARTITION. It stops at `end`, or at a row that cannot be: whose
    partition is less than the one before, or none of `partitions`, or begins where `borders` has no room.
    """
    first, last = start, start
    found, count = _ZERO, _ZERO
    shift = np.uint64(64) - _EIGHT * partition_bytes
    while start < end:
        key, key_end, row_end = read_row(start, end, key_bytes)
        if row_end == _ZERO or key_end - key < partition_bytes:
            break
        number = load_big_endian(key) >> shift
        if number != current:
            is_lower = current != _VARIES and number < current
            if is_lower or number >= partitions or found == np.uint64(len(borders)):
                break
            borders[found, PARTITION_FOUND] = number
            borders[found, OFFSET] = start - first
            borders[found, ORDINAL] = count
            borders[found, LAST_OFFSET] = last - first
            found += _ONE
            current = number
        last = start
        start = row_end
        count += _ONE
    return found, count, last - first, start - first


@kernel("uint64(uint64, uint64, uint64, uint64, uint64, uint64, uint64[::1])")
def find_every(start, end, record_bytes, key_bytes, delimiter, step, offsets):
    """Where in `start..end`, which are whole records, every `step`-th begins, the first included: how many."""
    first = start
    found, count = _ZERO, _ZERO
    while start < end and found < np.uint64(len(offsets)):
        if count % step == _ZERO:
            offsets[found] = start - first
            found += _ONE
        start = find_record_end(start, end, record_bytes, key_bytes, delimiter)
        count += _ONE
    return found
