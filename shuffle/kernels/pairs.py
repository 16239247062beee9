"""Pairs of a key and an int: read from Python's objects, written as rows, and rows of equal keys added up.

    list of tuples ──read_pairs──> keys, values as words ──hash table──> entries ──write_sums──> rows
    sorted rows ──add_neighbours──> one row for each key

`read_pairs` calls Python's stable interface, whose functions it is given the addresses of, and takes the GIL for that.
It looks at nothing but exact tuples, texts and ints, runs no code of anybody's, and stops at whatever else comes.

Ints are written as unbounded ones are (docs/ROW_FORMAT.md): a head, and the bytes of the magnitude.
"""

from typing import TYPE_CHECKING

import numpy as np

from serializers.intrinsics import (
    copy_bytes,
    load_byte,
    load_half,
    load_word,
    store_byte,
    store_half,
    store_word,
    swap_bytes,
)
from serializers.kernel_cache import helper, intrinsic, kernel
from serializers.keys import compare_keys, key_span, read_varint
from serializers.row_bytes import copy_to, varint_bytes, write_varint

if TYPE_CHECKING:
    from llvmlite import ir
    from numba import types

# Entries of `python`: offset of an object's type, addresses of types (KEY: of all keys) and of functions.
TYPE_OFFSET, TUPLE, TEXT, INT, KEY, TAKE_GIL, LEAVE_GIL, LIST_ITEM, TUPLE_SIZE, TUPLE_ITEM, UTF8, INT64 = range(12)
FORGET_ERROR, SCRATCH = 12, 13
PYTHON_ENTRIES = 14
"""SCRATCH is a word of memory."""

# Entries of `target`: for keys of words, and for those of rows, where they and values go, how many may be and are.
WORDS, WORD_VALUES, WORDS_MAX, WORDS_COUNT, ROWS, ROW_ENDS, ROW_VALUES, ROWS_MAX, ROWS_COUNT, ROWS_SIZE, ROWS_ROOM = (
    range(11)
)
TARGET_ENTRIES = 11

SHORT_BYTES_MAX = 15
"""A key of so few bytes is two words: its bytes, zeros, and in the last byte how many there are."""

LONG_BYTES_MAX = 1 << 16
"""Longer keys are none of ours."""

ALL_READ, NO_ROOM, ODD_PAIR = range(3)
"""Why reading stopped: no pair is left; the target is full; a pair is not a tuple of a key and a 64-bit int."""

HEAD_BYTES_MAX = 10
INTEGER_BYTES_MAX = 21

_ZERO, _ONE, _TWO, _THREE, _FOUR, _FIVE, _EIGHT = (np.uint64(n) for n in (0, 1, 2, 3, 4, 5, 8))
_16, _32, _56, _63, _64 = (np.uint64(n) for n in (16, 32, 56, 63, 64))
_ONES = np.uint64(0xFFFF_FFFF_FFFF_FFFF)
_LOW32 = np.uint64(0xFFFF_FFFF)
_ZERO_HEAD, _LONG_HEAD = np.uint64(0x80), np.uint64(0xFF)
_NOTHING = np.uint64(1 << 63)
_PAGE_MASK, _SAFE_IN_PAGE = np.uint64(4095), np.uint64(4096 - 64)
_HEAD_BYTES_MAX = np.uint64(HEAD_BYTES_MAX)


def load_vocabulary() -> None:
    """Import what the calls below are written in. Only a process that compiles needs it."""
    global ir, types
    from llvmlite import ir
    from numba import types


def _call(builder, address, arguments):
    word = ir.IntType(64)
    function_type = ir.FunctionType(word, [word] * len(arguments))
    return builder.call(builder.inttoptr(address, function_type.as_pointer()), arguments)


@intrinsic
def call_bare(typing_context, function):
    """Call the C function at an address: the word it returns, of which a function may set only the lower half."""

    def generate(context, builder, signature, arguments):
        return _call(builder, arguments[0], [])

    return types.uint64(types.uint64), generate


@intrinsic
def call_with(typing_context, function, argument):
    """The same of a function that takes a word."""

    def generate(context, builder, signature, arguments):
        return _call(builder, arguments[0], [arguments[1]])

    return types.uint64(types.uint64, types.uint64), generate


@intrinsic
def call_with_two(typing_context, function, first, second):
    """The same of a function that takes two words."""

    def generate(context, builder, signature, arguments):
        return _call(builder, arguments[0], [arguments[1], arguments[2]])

    return types.uint64(types.uint64, types.uint64, types.uint64), generate


# --- ints


@helper
def bytes_of(word):
    """How many bytes a word has without its leading zeros."""
    count = _ZERO
    while word:
        count += _ONE
        word >>= _EIGHT
    return count


@helper
def write_magnitude(position, word, count, inverted):
    """Write the lower `count` bytes of a word, the highest first: where they end."""
    if count:
        store_word(position, swap_bytes(word << (_64 - (count << _THREE))) ^ inverted)
    return position + count


@helper
def write_integer(position, lower, upper):
    """Write an int of 128 bits: where it ends."""
    inverted = _ZERO - (upper >> _63)
    if inverted:
        lower, upper = ~lower + _ONE, ~upper + np.uint64(lower == _ZERO)
    high_bytes, low_bytes = bytes_of(upper), bytes_of(lower)
    if high_bytes == _ZERO:
        store_byte(position, _ZERO_HEAD - low_bytes if inverted else _ZERO_HEAD + low_bytes)
        return write_magnitude(position + _ONE, lower, low_bytes, inverted)
    store_byte(position, _LONG_HEAD ^ inverted)
    store_word(position + _ONE, swap_bytes((_EIGHT + high_bytes) << _32) ^ inverted)
    position = write_magnitude(position + _FIVE, upper, high_bytes, inverted)
    return write_magnitude(position, lower, _EIGHT, inverted)


@helper
def read_integer(start, end):
    """(whether what stands there is an int of 64 bits, the int)."""
    head = load_byte(start)
    inverted = _ONES if head < _ZERO_HEAD else _ZERO
    count = _ZERO_HEAD - head if inverted else head - _ZERO_HEAD
    if start >= end or count > _EIGHT or start + _ONE + count != end:
        return False, _ZERO
    if count == _ZERO:
        return True, _ZERO
    magnitude = (swap_bytes(load_word(start + _ONE)) ^ inverted) >> (_64 - (count << _THREE))
    return magnitude >> _63 == _ZERO, _ZERO - magnitude if inverted else magnitude


# --- Python's objects


@helper
def entry(array, place):
    """An entry of an array that is given by its address."""
    return load_word(array + (np.uint64(place) << _THREE))


@helper
def set_entry(array, place, word):
    """Write an entry of an array that is given by its address."""
    store_word(array + (np.uint64(place) << _THREE), word)


@helper
def type_of(python, value):
    """The address of an object's type."""
    return load_word(value + entry(python, TYPE_OFFSET))


@helper
def read_int(python, value):
    """(whether an int has 64 bits, the int)."""
    scratch = entry(python, SCRATCH)
    number = call_with_two(entry(python, INT64), value, scratch)
    return load_half(scratch) == _ZERO, number


@helper
def copy_text(target, source, length):
    """Copy from memory behind which nothing need be readable."""
    if length <= _32 and source & _PAGE_MASK < _SAFE_IN_PAGE:  # a page can be read as a whole, or not at all
        copy_to(target, source, length)
    else:
        copy_bytes(target, source, length)


@helper
def low_bytes(word, count):
    """The first `count` bytes of a word in memory, at most 8, and zeros."""
    return word & (_ONES >> (_64 - (count << _THREE))) if count else _ZERO


@helper
def put_word_key(target, source, length, value):
    """Take a key of at most `SHORT_BYTES_MAX` bytes, which stand at `source` with 16 readable ones behind them."""
    place = entry(target, WORDS_COUNT)
    words = entry(target, WORDS) + (place << _FOUR)
    rest = length - min(length, _EIGHT)
    store_word(words, low_bytes(load_word(source), length - rest))
    store_word(words + _EIGHT, low_bytes(load_word(source + _EIGHT), rest) | length << _56)
    set_entry(entry(target, WORD_VALUES), place, value)
    set_entry(target, WORDS_COUNT, place + _ONE)


@helper
def put_row_key(target, source, length, value):
    """Take a longer key, as a row: whether there is room for it."""
    place, size = entry(target, ROWS_COUNT), entry(target, ROWS_SIZE)
    if size + length + _TWO * _HEAD_BYTES_MAX > entry(target, ROWS_ROOM):
        return False
    rows = entry(target, ROWS)
    position = write_varint(write_varint(rows + size, varint_bytes(length) + length), length)
    copy_text(position, source, length)
    size = position + length - rows
    store_half(entry(target, ROW_ENDS) + (place << _TWO), size)
    set_entry(entry(target, ROW_VALUES), place, value)
    set_entry(target, ROWS_COUNT, place + _ONE)
    set_entry(target, ROWS_SIZE, size)
    return True


@helper
def put_text(python, target, key, value):
    """Take a key that is a text: why not, or ALL_READ."""
    scratch = entry(python, SCRATCH)
    text = call_with_two(entry(python, UTF8), key, scratch)
    if text == _ZERO:  # a lone surrogate
        call_bare(entry(python, FORGET_ERROR))
        return ODD_PAIR
    length = load_word(scratch)
    if length <= np.uint64(SHORT_BYTES_MAX):
        if text & _PAGE_MASK < _SAFE_IN_PAGE:
            put_word_key(target, text, length, value)
        else:
            copy_bytes(scratch + _EIGHT, text, length)
            put_word_key(target, scratch + _EIGHT, length, value)
        return ALL_READ
    if length > np.uint64(LONG_BYTES_MAX):
        return ODD_PAIR
    return ALL_READ if put_row_key(target, text, length, value) else NO_ROOM


@helper
def put_int(python, target, key, value):
    """Take a key that is an int: why not, or ALL_READ."""
    fits, number = read_int(python, key)
    if not fits:
        return ODD_PAIR
    scratch = entry(python, SCRATCH) + _EIGHT
    put_word_key(target, scratch, write_integer(scratch, number, _ZERO - (number >> _63)) - scratch, value)
    return ALL_READ


@helper
def read_some(pairs, first, end, python, target):
    """What `read_pairs` does, with the GIL."""
    item_of, size_of, list_item = entry(python, TUPLE_ITEM), entry(python, TUPLE_SIZE), entry(python, LIST_ITEM)
    tuple_type, int_type, key_type = entry(python, TUPLE), entry(python, INT), entry(python, KEY)
    is_text = key_type == entry(python, TEXT)
    known, number = _ZERO, _ZERO
    while first < end:
        if entry(target, WORDS_COUNT) == entry(target, WORDS_MAX) or entry(target, ROWS_COUNT) == entry(
            target, ROWS_MAX
        ):
            return first, NO_ROOM
        pair = call_with_two(list_item, pairs, first)
        if type_of(python, pair) != tuple_type or call_with(size_of, pair) != _TWO:
            return first, ODD_PAIR
        key, value = call_with_two(item_of, pair, _ZERO), call_with_two(item_of, pair, _ONE)
        if type_of(python, key) != key_type:
            return first, ODD_PAIR
        if value != known:  # most often it is the very same 1
            if type_of(python, value) != int_type:
                return first, ODD_PAIR
            fits, number = read_int(python, value)
            if not fits:
                return first, ODD_PAIR
            known = value
        why = put_text(python, target, key, number) if is_text else put_int(python, target, key, number)
        if why != ALL_READ:
            return first, why
        first += _ONE
    return first, ALL_READ


@kernel("Tuple((uint64, int64))(uint64, uint64, uint64, uint64, uint64)")
def read_pairs(pairs, first, end, python, target):
    """Read pairs `first` to `end` of a list of so many at least: (how far it came, why it stopped).

    `pairs` is the address of the list, which somebody holds and nobody changes; `python` and `target` are those of
    arrays of words. Behind the scratch word there are 32 bytes more.
    """
    gil = call_bare(entry(python, TAKE_GIL)) & _LOW32
    first, why = read_some(pairs, first, end, python, target)
    call_with(entry(python, LEAVE_GIL), gil)
    return first, why


# --- rows


@kernel("uint64(uint64[::1], boolean, uint64, uint64, uint32[::1])")
def write_sums(entries, are_words, state_bytes, target, ends):
    """Write a row for each entry of a hash table: its key, and the sum that is its state. Where the last ends.

    Keys are words as `read_pairs` makes them, or bytes. Row i ends at `target + ends[i]`.
    """
    position = target
    for i in range(np.uint64(len(entries))):
        address = entries[i]
        state = address + _16
        key = address if are_words else state + state_bytes
        length = load_byte(address + np.uint64(SHORT_BYTES_MAX)) if are_words else load_half(address + _EIGHT)
        lower, upper = load_word(state), load_word(state + _EIGHT)
        if upper == _NOTHING:  # of a key that was met, and not added to yet
            upper = _ZERO
        head = varint_bytes(length)
        start = position + _HEAD_BYTES_MAX + head + length  # where the sum can stand until its length is known
        size = write_integer(start, lower, upper) - start
        position = write_varint(write_varint(position, head + length + size), length)
        words = load_word(start), load_word(start + _EIGHT), load_word(start + _16)
        copy_bytes(position, key, length)
        position += length
        store_word(position, words[0])
        store_word(position + _EIGHT, words[1])
        store_word(position + _16, words[2])
        position += size
        ends[i] = np.uint32(position - target)
    return position - target


@helper
def put_sum(position, key, key_length, keys_vary, total):
    """Write a row: where it ends."""
    inverted = total >> _63
    size = _ONE + bytes_of(_ZERO - total if inverted else total)
    head = varint_bytes(key_length) if keys_vary else _ZERO
    position = write_varint(position, head + key_length + size)
    if keys_vary:
        position = write_varint(position, key_length)
    copy_bytes(position, key, key_length)
    return write_integer(position + key_length, total, _ZERO - inverted)


@helper
def overflows(left, right):
    """Whether the sum of two ints has more than 64 bits, or is the least of those that have."""
    total = left + right
    return ((left ^ total) & (right ^ total)) >> _63 or total == _ONE << _63


@kernel("uint64(uint64, uint64, uint64, boolean, uint64)")
def add_neighbours(start, end, key_bytes, keys_vary, target):
    """Copy the whole rows in `start..end` to `target`, those of equal keys that stand side by side as one: its end.

    Rows of ints of more than 64 bits stay as they are, and so do two whose sum would have more.
    """
    position = target
    key, key_length, total, row, row_end = start, _ZERO, _ZERO, start, start
    count = _ZERO
    while start < end:
        body, length = read_varint(start)
        stop = body + length
        found, found_length = key_span(start, stop, _ZERO, _ZERO, key_bytes)
        fits, value = read_integer(found + found_length, stop)
        if (
            count
            and fits
            and found_length == key_length
            and not overflows(total, value)
            and compare_keys(key, key_length, found, found_length) == 0
        ):
            total += value
            count += _ONE
        else:
            if count > _ONE:
                position = put_sum(position, key, key_length, keys_vary, total)
            else:
                copy_bytes(position, row, row_end - row)
                position += row_end - row
            key, key_length, total, row, row_end = found, found_length, value, start, stop
            count = _ONE if fits else _ZERO
        start = stop
    if count > _ONE:
        return put_sum(position, key, key_length, keys_vary, total)
    copy_bytes(position, row, row_end - row)
    return position + (row_end - row)
