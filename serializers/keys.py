"""Where a record's key is, and how two keys compare: the helpers that every kernel shares.

A layout is three numbers. Fixed-length records: `record_bytes`, and the key `key_bytes` long at `key_offset`. Lines:
`record_bytes` is 0, and the key is the whole line without its delimiter. Rows: `ROW_FLAG` is set in `key_bytes`; the
row says how long it is, and how long its key is unless the rest of `key_bytes` says so (docs/ROW_FORMAT.md).

Keys compare as unsigned bytes, the shorter first where one begins the other; `inverted` is all ones for descending
order and 0 for ascending, so that one exclusive-or turns a word, and one test turns a comparison.
"""

import numpy as np

from serializers.intrinsics import count_leading_zeros, count_trailing_zeros, load_big_endian, load_word, match_mask
from serializers.kernel_cache import helper
from serializers.layouts import ROW_FLAG, ROW_KEYS_VARY

_ROW_FLAG, _ROW_KEYS_VARY = np.uint64(ROW_FLAG), np.uint64(ROW_KEYS_VARY)
_ONE, _SEVEN = np.uint64(1), np.uint64(7)
_MORE = np.uint64(0x80)
_ONES = np.uint64(0xFFFF_FFFF_FFFF_FFFF)


@helper
def key_word(key, length):
    """The first 8 bytes of a key as an unsigned word, zeros beyond its end."""
    word = load_big_endian(key)
    if length < np.uint64(8):
        if length == np.uint64(0):
            return np.uint64(0)
        word &= _ONES << (np.uint64(64) - np.uint64(8) * length)
    return word


@helper
def read_varint(address):
    """(where it ends, its value): 7 bits a byte, low group first."""
    byte = load_word(address) & np.uint64(0xFF)
    value = byte & ~_MORE
    shift = _SEVEN
    while byte & _MORE:
        address += _ONE
        byte = load_word(address) & np.uint64(0xFF)
        value |= (byte & ~_MORE) << shift
        shift += _SEVEN
    return address + _ONE, value


@helper
def key_span(start, end, record_bytes, key_offset, key_bytes):
    """Address and length of the key of the record `start..end` (delimiter included).

    Of a row that goes on behind `end` it is as much of the key as stands here.
    """
    if record_bytes:
        return start + key_offset, key_bytes
    if key_bytes & _ROW_FLAG:
        key, _ = read_varint(start)
        length = key_bytes ^ _ROW_FLAG
        if key_bytes & _ROW_KEYS_VARY:
            key, length = read_varint(key)
        return key, min(length, end - key)
    return start, end - start - _ONE


@helper
def find_record_end(start, limit, record_bytes, key_bytes, delimiter):
    """Where the record at `start` ends, delimiter included; more than `limit` if a line is not all there."""
    if record_bytes:
        return start + record_bytes
    if key_bytes & _ROW_FLAG:
        body, length = read_varint(start)
        return body + length
    return find_delimiter(start, limit, np.uint8(delimiter)) + _ONE


@helper
def common_bytes(left, right, limit):
    """How many leading bytes two keys share, at most `limit`."""
    shared = np.uint64(0)
    while shared < limit:
        difference = load_big_endian(left + shared) ^ load_big_endian(right + shared)
        if difference:
            return min(limit, shared + (count_leading_zeros(difference) >> np.uint64(3)))
        shared += np.uint64(8)
    return limit


@helper
def compare_keys(left, left_length, right, right_length):
    """-1, 0 or 1: unsigned bytes, the shorter first."""
    shorter = min(left_length, right_length)
    done = np.uint64(0)
    while done < shorter:
        left_word = key_word(left + done, shorter - done)
        right_word = key_word(right + done, shorter - done)
        if left_word != right_word:
            return -1 if left_word < right_word else 1
        done += np.uint64(8)
    if left_length == right_length:
        return 0
    return -1 if left_length < right_length else 1


@helper
def find_delimiter(address, end, delimiter):
    """Address of the first `delimiter` at or after `address`; `end` if there is none before it."""
    while address < end:
        mask = match_mask(address, delimiter)
        if mask:
            return min(end, address + count_trailing_zeros(mask))
        address += np.uint64(64)
    return end
