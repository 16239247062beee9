"""Records of a fixed length thrown into ranges of keys, without being sorted.

    columns ──find_ranges──> a number for each record ──scatter──> | range 0 ... | range 1 ... | range 2 ... |

A record is some native words, one behind another, its key first: one or two words that compare as the keys do. Each
range has room for records somewhere, and is a line of `rooms`: where the next record goes, and where the room ends.
"""

import numpy as np

from serializers.intrinsics import load_word, store_word
from serializers.kernel_cache import helper, kernel

# Columns of `columns`: address of the first word, how far the next is from it, and an exclusive-or for each.
ADDRESS, STRIDE, FLIP = range(3)
COLUMN_WORDS = 3

# Columns of `rooms`.
POSITION, LIMIT = range(2)
ROOM_WORDS = 2

_ROUND = np.uint64(1024)
"""Records whose ranges are searched together, step by step."""

_ZERO, _ONE, _TWO, _THREE = (np.uint64(n) for n in range(4))


@helper
def column_word(columns, column, i):
    """Word `column` of record i."""
    return load_word(columns[column, ADDRESS] + i * columns[column, STRIDE]) ^ columns[column, FLIP]


@helper
def step_words(columns, splitters, half, first, end, numbers):
    """One step of the binary search of keys of one word, for some records: none waits for another's."""
    address, stride, flip = columns[0, ADDRESS], columns[0, STRIDE], columns[0, FLIP]
    for i in range(first, end):
        found = np.uint64(numbers[i])
        word = load_word(address + i * stride) ^ flip
        numbers[i] = found + half * np.uint64(splitters[found + half - _ONE, 0] <= word)


@helper
def step_pairs(columns, splitters, half, first, end, numbers):
    """The same for keys of two words."""
    for i in range(first, end):
        found = np.uint64(numbers[i])
        word, second = column_word(columns, _ZERO, i), column_word(columns, _ONE, i)
        left, right = splitters[found + half - _ONE, 0], splitters[found + half - _ONE, 1]
        numbers[i] = found + half * np.uint64((left < word) | ((left == word) & (right <= second)))


@kernel("void(uint64[:, ::1], uint64[:, ::1], uint64, uint64, uint32[::1])")
def find_ranges(columns, splitters, first, end, numbers):
    """For records `first` to `end`, how many of `splitters` are not above their keys, which are the first columns.

    There are 2^n - 1 splitters, in order, of as many words as a key has.
    """
    half_of_all = (np.uint64(len(splitters)) + _ONE) >> _ONE
    while first < end:
        stop = min(end, first + _ROUND)
        for i in range(first, stop):
            numbers[i] = 0
        half = half_of_all
        while half:
            if splitters.shape[1] == 1:
                step_words(columns, splitters, half, first, stop, numbers)
            else:
                step_pairs(columns, splitters, half, first, stop, numbers)
            half >>= _ONE
        first = stop


@kernel("uint64(uint64[:, ::1], uint32[::1], uint64, uint64, uint64[:, ::1])")
def scatter(columns, numbers, first, end, rooms):
    """Write records `first` to `end` to the rooms of their ranges: how far it came, to one whose room is full."""
    count = np.uint64(len(columns))
    record_bytes = count << _THREE
    if count == _TWO:
        for i in range(first, end):
            number = np.uint64(numbers[i])
            position = rooms[number, POSITION]
            if position == rooms[number, LIMIT]:
                return i
            store_word(position, column_word(columns, _ZERO, i))
            store_word(position + np.uint64(8), column_word(columns, _ONE, i))
            rooms[number, POSITION] = position + record_bytes
        return end
    for i in range(first, end):
        number = np.uint64(numbers[i])
        position = rooms[number, POSITION]
        if position == rooms[number, LIMIT]:
            return i
        rooms[number, POSITION] = position + record_bytes
        for column in range(count):
            store_word(position + (column << _THREE), column_word(columns, column, i))
    return end
