"""Rows of groups in order: equal keys found, in a sort buffer and in a merged stream.

Behind its key, and what follows the key where the key does not tell all of it, a row has one of three tails, told
apart by its last byte:

    STATE       state | 0                           of a group, or of one record
    RAW         a word for each column | 1          the values of one record, none of them null
    RAW_NULLS   a word, a byte for each column | 2  the same; a byte that is not zero: the value is null

`scan_groups` finds the groups of a stretch of rows, and lists what must be added to which: states to states, and the
values of raw rows, which it puts into columns, to states. The kernels of `shuffle.kernels.states` then do it.
"""

import numpy as np

from serializers.intrinsics import (
    copy_bytes,
    load_big_endian,
    load_byte,
    load_word,
    prefetch,
    store_byte,
    store_word,
    swap_bytes,
)
from serializers.kernel_cache import helper, kernel
from serializers.keys import compare_keys, find_record_end, key_span
from serializers.row_bytes import varint_bytes, write_varint

STATE, RAW, RAW_NULLS = range(3)

# Columns of `groups`: where the key is, its length, and the length of what follows it.
KEY, KEY_LENGTH, REST_LENGTH = range(3)
GROUP_WORDS = 3

# Columns of `columns`: as in a program.
COLUMN, NULLS, STRIDE = range(3)
COLUMN_WORDS = 3

# Entries of `found`.
POSITION, GROUPS, MERGES, RAWS = range(4)
FOUND_ENTRIES = 4

_ZERO, _ONE, _THREE, _EIGHT = (np.uint64(n) for n in (0, 1, 3, 8))
_VARINT_MAX = np.uint64(0x7F)
_AHEAD = np.uint64(8)


@helper
def tail_size(kind, state_bytes, column_count):
    """Bytes behind the key and what follows it."""
    if kind == np.uint64(STATE):
        return state_bytes + _ONE
    if kind == np.uint64(RAW):
        return (column_count << _THREE) + _ONE
    return column_count * np.uint64(9) + _ONE


# --- merged rows


@kernel(
    "void(uint64, uint64, uint64, uint64, uint64, uint64[:, ::1], uint64, uint64[::1], uint64[::1], uint64[::1],"
    " uint64[:, ::1], uint8[:, ::1], uint64[::1])"
)
def scan_groups(
    end, key_bytes, state_bytes, template, column_count, groups, states, targets, sources, raw_targets, values, nulls,
    found,
):  # fmt: skip
    """Find groups from `found[POSITION]` up to `end`, until an array is full; `found[GROUPS]` of them are known.

    It stops at a row that has no such tail, and gets no further: the rows are whole, but may be of another job.

    groups        where the key of each is, as above
    states        address of their states, `state_bytes` each: those of new groups become `template`
    targets       addresses of states to which those at `sources` are to be added: `found[MERGES]` of them
    raw_targets   addresses of states to which `values[:, i]` are to be added, unless null: `found[RAWS]` of them
    """
    position, count = found[POSITION], found[GROUPS]
    merges, raws = _ZERO, _ZERO
    groups_max, rows_max = np.uint64(len(groups)), np.uint64(len(targets))
    while position < end and count < groups_max and merges < rows_max and raws < rows_max:
        row_end = find_record_end(position, end, _ZERO, key_bytes, _ZERO)
        key, length = key_span(position, row_end, _ZERO, _ZERO, key_bytes)
        kind = load_byte(row_end - _ONE)
        size = tail_size(kind, state_bytes, column_count)
        if kind > np.uint64(RAW_NULLS) or size > row_end - key - length:
            break
        tail = row_end - size
        rest = tail - key - length
        last = count - _ONE
        if count and compare_keys(groups[last, KEY], groups[last, KEY_LENGTH], key, length) == 0:
            other = groups[last, REST_LENGTH]
            if (rest or other) and compare_keys(key + length, rest, groups[last, KEY] + length, other) < 0:
                groups[last, KEY], groups[last, REST_LENGTH] = key, rest
        else:
            last = count
            groups[last, KEY], groups[last, KEY_LENGTH], groups[last, REST_LENGTH] = key, length, rest
            copy_bytes(states + last * state_bytes, template, state_bytes)
            count += _ONE
        if kind == np.uint64(STATE):
            targets[merges], sources[merges] = states + last * state_bytes, tail
            merges += _ONE
        else:
            raw_targets[raws] = states + last * state_bytes
            for column in range(column_count):
                values[column, raws] = load_word(tail + (column << _THREE))
                nulls[column, raws] = 0
            if kind == np.uint64(RAW_NULLS):
                marks = tail + (column_count << _THREE)
                for column in range(column_count):
                    nulls[column, raws] = np.uint8(load_byte(marks + column))
            raws += _ONE
        position = row_end
    found[POSITION], found[GROUPS], found[MERGES], found[RAWS] = position, count, merges, raws


@kernel("void(uint64[:, ::1], uint64[::1])")
def group_words(groups, words):
    """The first 8 bytes of the key of each group as a word."""
    for i in range(np.uint64(len(groups))):
        words[i] = load_big_endian(groups[i, KEY])


@helper
def write_head(position, body_bytes, length, keys_vary):
    """Write what stands before the key of a row: where that ends."""
    head = varint_bytes(length) if keys_vary else _ZERO
    position = write_varint(position, head + body_bytes)
    if keys_vary:
        position = write_varint(position, length)
    return position


@kernel("uint64(uint64[:, ::1], uint64, uint64, boolean, uint64, uint32[::1])")
def write_groups(groups, states, state_bytes, keys_vary, target, ends):
    """Write a row for each group, with its state behind what follows the key, or without if `state_bytes` is 0."""
    position = target
    tail = state_bytes + _ONE if state_bytes else _ZERO
    for i in range(np.uint64(len(groups))):
        length = groups[i, KEY_LENGTH]
        body = length + groups[i, REST_LENGTH]
        position = write_head(position, body + tail, length, keys_vary)
        copy_bytes(position, groups[i, KEY], body)
        position += body
        if tail:
            copy_bytes(position, states + i * state_bytes, state_bytes)
            position += tail
            store_byte(position - _ONE, _ZERO)
        ends[i] = np.uint32(position - target)
    return position - target


# --- rows of single records


@helper
def write_raw_tail(position, columns, i):
    """Write the values of record i: where they end."""
    count = np.uint64(columns.shape[0])
    some_null = False
    for column in range(count):
        store_word(position, load_word(columns[column, COLUMN] + i * columns[column, STRIDE]))
        position += _EIGHT
        nulls = columns[column, NULLS]
        some_null |= nulls != _ZERO and load_byte(nulls + i) != _ZERO
    if some_null:
        for column in range(count):
            nulls = columns[column, NULLS]
            store_byte(position, load_byte(nulls + i) if nulls else _ZERO)
            position += _ONE
        store_byte(position, np.uint64(RAW_NULLS))
    else:
        store_byte(position, np.uint64(RAW))
    return position + _ONE


@kernel("uint64(uint64, uint64, uint64, uint64[:, ::1], uint64, uint64, uint64, uint32[::1])")
def write_raw_words(keys, stride, flip, columns, first, end, target, ends):
    """Write a raw row for records `first` to `end`, whose keys are words as in `find_words`: where the last ends."""
    position = target
    for i in range(first, end):
        start = position
        store_word(start + _ONE, swap_bytes(load_word(keys + i * stride) ^ flip))
        position = write_raw_tail(start + np.uint64(9), columns, i)
        body = position - start - _ONE
        if body > _VARINT_MAX:  # one byte more for the length, and all of it again
            position = write_varint(start, body)
            store_word(position, swap_bytes(load_word(keys + i * stride) ^ flip))
            position = write_raw_tail(position + _EIGHT, columns, i)
        else:
            store_byte(start, body)
        ends[i - first] = np.uint32(position - target)
    return position - target


@kernel("uint64(uint64, uint32[::1], uint64, boolean, uint64[:, ::1], uint64, uint64, uint64, uint32[::1])")
def write_raw_rows(data, row_ends, key_bytes, keys_vary, columns, first, end, target, ends):
    """Write a raw row for records `first` to `end`, whose keys are rows: where the last ends."""
    position = target
    column_count = np.uint64(columns.shape[0])
    start = data + (np.uint64(row_ends[first - _ONE]) if first else _ZERO)
    for i in range(first, end):
        row_end = data + np.uint64(row_ends[i])
        key, length = key_span(start, row_end, _ZERO, _ZERO, key_bytes)
        some_null = False
        for column in range(column_count):
            nulls = columns[column, NULLS]
            some_null |= nulls != _ZERO and load_byte(nulls + i) != _ZERO
        kind = np.uint64(RAW_NULLS) if some_null else np.uint64(RAW)
        body = row_end - key
        position = write_head(position, body + tail_size(kind, _ZERO, column_count), length, keys_vary)
        copy_bytes(position, key, body)
        position = write_raw_tail(position + body, columns, i)
        ends[i - first] = np.uint32(position - target)
        start = row_end
    return position - target


# --- a sort buffer


@helper
def record_at(records, offsets, word, mask):
    """Where a row of a sort buffer starts and ends."""
    top = np.uint64(len(offsets) - 1)
    ordinal = word & mask
    return records + np.uint64(offsets[top - ordinal]), records + np.uint64(offsets[top - ordinal - _ONE])


@kernel(
    "Tuple((uint64, uint64, uint64))(uint64[::1], uint64, uint64, uint64, uint32[::1], uint64, uint64, uint64,"
    " uint64[::1], uint64[::1])"
)
def combine_equal(words, position, kept, records, offsets, key_bytes, mask, state_bytes, targets, sources):
    """Keep one row of neighbours that have the same key and a state: (how far it came, words kept, states to add).

    The states at `sources` are to be added to those at `targets`, in this order. Call again until `position` is at the
    end of `words`.
    """
    count = np.uint64(len(words))
    pairs = _ZERO
    while position < count and pairs < np.uint64(len(targets)):
        ahead = min(position + _AHEAD, count - _ONE)
        prefetch(record_at(records, offsets, words[ahead], mask)[0])
        word = words[position]
        position += _ONE
        if kept:
            start, end = record_at(records, offsets, word, mask)
            last_start, last_end = record_at(records, offsets, words[kept - _ONE], mask)
            if load_byte(end - _ONE) == _ZERO and load_byte(last_end - _ONE) == _ZERO:
                key, length = key_span(start, end, _ZERO, _ZERO, key_bytes)
                last, last_length = key_span(last_start, last_end, _ZERO, _ZERO, key_bytes)
                if compare_keys(last, last_length, key, length) == 0:
                    state, last_state = end - _ONE - state_bytes, last_end - _ONE - state_bytes
                    rest, last_rest = state - key - length, last_state - last - length
                    if (rest or last_rest) and compare_keys(key + length, rest, last + length, last_rest) < 0:
                        words[kept - _ONE] = word
                        state, last_state = last_state, state
                    targets[pairs], sources[pairs] = last_state, state
                    pairs += _ONE
                    continue
        words[kept] = word
        kept += _ONE
    return position, kept, pairs
