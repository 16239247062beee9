"""Whether records are in order, and which records they are: one walk over bytes in memory.

    bytes of a file ── whole records ──┬── compared with the one before: disorders, duplicates
                                       └── hashed, 128 bits each: their SUM is the fingerprint

The fingerprint (version 1) says which records there are and how often, whatever their order. It is a sum
modulo 2^128, so that an even number of equal records does not vanish as it would from an exclusive-or, and so
that fingerprints of several files add up. A line is hashed without its delimiter, a record of fixed length
whole. The hash has two lanes of 64 bits, each a chain of wyhash's step: both halves of a 128-bit product, in
one word. A lane takes 16 bytes at a time, read as two little-endian words, the last of them padded with
zeros; the length goes in at the end, so that padding never makes two records equal:

    fold(x, y) = low64(x * y) ^ high64(x * y)
    a = fold(first ^ A[1], second ^ a)      from a = A[0];  at the end  fold(a ^ A[2], length ^ A[3])
    b = fold(second ^ B[1], first ^ b)      from b = B[0];  at the end  fold(b ^ B[2], length ^ B[3])
    sum += a + 2^64 * b

A word that meets a constant erases what one lane knew; the lanes see the words crossed, with constants of
their own, so the other still knows. It is meant for accidents and bugs, not for an enemy who chooses the
records. A change to any of this is a new version.
"""

import numpy as np

from serializers.intrinsics import load_word, multiply_high
from serializers.kernel_cache import helper, kernel
from serializers.keys import compare_keys, find_record_end, key_span

FINGERPRINT_VERSION = 1

# The published secrets of wyhash, and the first bits of pi.
A = (0xA076_1D64_78BD_642F, 0xE703_7ED1_A0B4_28DB, 0x8EBC_6AF0_9C88_C6E3, 0x5899_65CC_7537_4CC3)
B = (0x243F_6A88_85A3_08D3, 0x1319_8A2E_0370_7344, 0xA409_3822_299F_31D0, 0x082E_FA98_EC4E_6C89)

# Entries of `layout`.
RECORD_BYTES, KEY_OFFSET, KEY_BYTES, DELIMITER, INVERTED, UNIQUE = range(6)
LAYOUT_WORDS = 6

# Entries of `state`. The first disorder means nothing while there are no disorders.
RECORDS, BYTES, SUM_LOW, SUM_HIGH, DISORDERS, FIRST_DISORDER, DUPLICATES = range(7)
STATE_WORDS = 7

_ZERO, _ONE, _EIGHT, _SIXTEEN = np.uint64(0), np.uint64(1), np.uint64(8), np.uint64(16)
_A0, _A1, _A2, _A3 = np.uint64(A[0]), np.uint64(A[1]), np.uint64(A[2]), np.uint64(A[3])
_B0, _B1, _B2, _B3 = np.uint64(B[0]), np.uint64(B[1]), np.uint64(B[2]), np.uint64(B[3])


@helper
def fold(left, right):
    """Both halves of the product, in one word."""
    return (left * right) ^ multiply_high(left, right)


@helper
def leading_word(address, length):
    """The first `length` bytes at `address`, at most 8, as a little-endian word with zeros above."""
    if length >= _EIGHT:
        return load_word(address)
    return load_word(address) & ((_ONE << (_EIGHT * length)) - _ONE)


@helper
def hash_bytes(address, length):
    """Both lanes of the hash of `length` bytes."""
    a, b = _A0, _B0
    left = length
    while left >= _SIXTEEN:
        first, second = load_word(address), load_word(address + _EIGHT)
        a, b = fold(first ^ _A1, second ^ a), fold(second ^ _B1, first ^ b)
        address += _SIXTEEN
        left -= _SIXTEEN
    if left:
        first, second = (
            leading_word(address, left),
            leading_word(address + _EIGHT, max(left, _EIGHT) - _EIGHT),
        )
        a, b = fold(first ^ _A1, second ^ a), fold(second ^ _B1, first ^ b)
    return fold(a ^ _A2, length ^ _A3), fold(b ^ _B2, length ^ _B3)


@kernel("void(uint64, uint64, uint64, uint64[::1])")
def hash_steps(address, length, is_last, lanes):
    """Hash the next `length` bytes of a long record: a multiple of 16, unless `is_last` is not 0.

    `lanes` holds both lanes and the bytes hashed so far: 0 before the first call, the hash after the last.
    """
    a, b, before = lanes[0], lanes[1], lanes[2]
    if before == np.uint64(0):
        a, b = _A0, _B0
    total = before + length
    while length >= _SIXTEEN:
        first, second = load_word(address), load_word(address + _EIGHT)
        a, b = fold(first ^ _A1, second ^ a), fold(second ^ _B1, first ^ b)
        address += _SIXTEEN
        length -= _SIXTEEN
    if length:
        first, second = (
            leading_word(address, length),
            leading_word(address + _EIGHT, max(length, _EIGHT) - _EIGHT),
        )
        a, b = fold(first ^ _A1, second ^ a), fold(second ^ _B1, first ^ b)
    if is_last:
        a, b = fold(a ^ _A2, total ^ _A3), fold(b ^ _B2, total ^ _B3)
    lanes[0], lanes[1], lanes[2] = a, b, total


@kernel("void(uint64, uint32[::1], uint64[::1])")
def hash_rows(start, ends, state):
    """Add the hashes of rows, whole, to the sum in `state`; row i ends `ends[i]` bytes behind `start`."""
    sum_low, sum_high = state[SUM_LOW], state[SUM_HIGH]
    position = np.uint64(0)
    for index in range(ends.size):
        end = np.uint64(ends[index])
        a, b = hash_bytes(start + position, end - position)
        sum_low += a
        sum_high += b + np.uint64(sum_low < a)
        position = end
    state[SUM_LOW], state[SUM_HIGH] = sum_low, sum_high


@helper
def whole_record_end(layout, start, end):
    """Where the record at `start` ends, delimiter included; more than `end` if it is not all there."""
    return find_record_end(start, end, layout[RECORD_BYTES], layout[KEY_BYTES], layout[DELIMITER])


@kernel("Tuple((uint64, uint64))(uint64, uint64, uint64, uint64[::1], uint64[::1])")
def verify_records(previous, start, end, layout, state):
    """Walk the whole records of `[start, end)`: (where the last of them begins, where the rest does).

    The record before `start` begins at `previous`, and ends at `start`; there is none if the two are equal.
    """
    key_offset, inverted = layout[KEY_OFFSET], layout[INVERTED]
    sum_low, sum_high = state[SUM_LOW], state[SUM_HIGH]
    records = state[RECORDS]
    first = start
    record_end = whole_record_end(layout, start, end)
    while record_end <= end and start < end:
        key, length = key_span(start, record_end, layout[RECORD_BYTES], key_offset, layout[KEY_BYTES])
        if previous != start:
            last_key, last_length = key_span(previous, start, layout[RECORD_BYTES], key_offset, layout[KEY_BYTES])
            order = compare_keys(last_key, last_length, key, length)
            state[DUPLICATES] += np.uint64(order == 0)
            wrong = order > 0 if inverted == _ZERO else order < 0
            if wrong or (order == 0 and layout[UNIQUE] != _ZERO):
                if state[DISORDERS] == _ZERO:
                    state[FIRST_DISORDER] = records
                state[DISORDERS] += _ONE
        a, b = hash_bytes(start, layout[RECORD_BYTES] if layout[RECORD_BYTES] else length)
        sum_low += a
        sum_high += b + np.uint64(sum_low < a)
        records += _ONE
        previous, start = start, record_end
        record_end = whole_record_end(layout, start, end)
    state[SUM_LOW], state[SUM_HIGH] = sum_low, sum_high
    state[RECORDS], state[BYTES] = records, state[BYTES] + (start - first)
    return previous, start
