"""Rooms for records, one for each range of keys: records are thrown into them, and a full room becomes a block.

    columns ──find──> number of a range for each ──scatter──> rooms ──take──> Filled ──> disk
                                                                 └─ give <── a fresh buffer

The ranges are cut by splitters: 2^n - 1 keys, in order. The number of a record's range is how many splitters are not
above its key.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from io_manager import HEADER_BYTES, PooledBuffer, payload_capacity
from serializers.columns.scratch import address_of
from shuffle.aggregation.range_records import Columns, RecordForm
from shuffle.aggregation.state_plan import Words
from shuffle.kernels.ranges import LIMIT, POSITION, ROOM_WORDS, find_ranges, scatter

_ALL_ONES = 0xFFFF_FFFF_FFFF_FFFF


def splitters_of(keys: Words, ranges: int) -> Words:
    """Splitters for `ranges` ranges (a power of two) of about as many different keys each, from a sample of keys.

    If there are four ranges or more, not all keys are in one of them: those of the sample are not, if two of them are
    different, and a lone key is a range of its own.
    """
    assert ranges & (ranges - 1) == 0, ranges
    different = _different(keys)
    splitters = np.full((ranges - 1, keys.shape[1]), _ALL_ONES, np.uint64)
    count = len(different)
    if not count:
        return splitters
    if count + 1 < ranges:
        splitters[:count] = different
        splitters[count : count + 1] = _next_key(different[-1:])
    else:
        splitters[:] = different[np.arange(1, ranges) * count // ranges]
    return splitters


def _different(keys: Words) -> Words:
    ordered = keys[np.lexsort(keys.T[::-1])]
    is_new = np.ones(len(ordered), np.bool_)
    is_new[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    return ordered[is_new]


def _next_key(key: Words) -> Words:
    """The key behind one; the greatest itself behind the greatest."""
    following = key.copy()
    for word in range(key.shape[1] - 1, -1, -1):
        following[:, word] += np.uint64(1)
        if following[0, word]:
            return following
    return key


def find(columns: Columns, splitters: Words, numbers: NDArray[np.uint32] | None = None) -> NDArray[np.uint32]:
    """The number of the range of each record, in `numbers` if they are given."""
    found = np.empty(columns.count, np.uint32) if numbers is None else numbers
    find_ranges(columns.lines, splitters, 0, columns.count, found)
    return found


@dataclass(frozen=True)
class Filled:
    """A buffer with records of one range, behind `HEADER_BYTES`."""

    buffer: PooledBuffer
    number: int
    kind: int
    record_count: int
    length: int


class Rooms:
    """`ranges` rooms, each in a buffer that somebody gives. Not for two threads at once.

    The first buffer of each room is taken as full at another place, so that not all become full at the same time.
    """

    def __init__(self, form: RecordForm, ranges: int) -> None:
        self._form = form
        self._rooms = np.zeros((ranges, ROOM_WORDS), np.uint64)
        self._starts = np.zeros(ranges, np.uint64)
        self._buffers: list[PooledBuffer | None] = [None] * ranges
        self._is_first = [True] * ranges
        self._kind = 0

    @property
    def kind(self) -> int:
        """What is in the rooms."""
        return self._kind

    def change_kind(self, kind: int) -> Iterator[Filled]:
        """Take all that is in the rooms, if it is of another kind than what comes."""
        if kind != self._kind:
            yield from self.take_all()
            self._kind = kind

    def scatter(self, columns: Columns, numbers: NDArray[np.uint32], first: int) -> int:
        """Throw records from `first` on into the rooms: how far it came, to one whose room is full or not there."""
        assert columns.kind == self._kind, (columns.kind, self._kind)
        return int(scatter(columns.lines, numbers, first, columns.count, self._rooms))

    def take(self, number: int) -> list[Filled]:
        """What is in a room, if there is a buffer in it; there is none afterwards."""
        buffer, self._buffers[number] = self._buffers[number], None
        if buffer is None:
            return []
        length = int(self._rooms[number, POSITION] - self._starts[number])
        self._rooms[number] = 0
        return [Filled(buffer, number, self._kind, length // (8 * self._form.words(self._kind)), length)]

    def take_all(self) -> Iterator[Filled]:
        """The same of all rooms, one after the other."""
        for number in range(len(self._buffers)):
            yield from self.take(number)

    def give(self, number: int, buffer: PooledBuffer) -> None:
        """Put a buffer into a room."""
        record_bytes = 8 * self._form.words(self._kind)
        capacity = payload_capacity(len(buffer.view)) // record_bytes
        assert capacity, f"a record of {record_bytes} bytes in a buffer of {len(buffer.view)}"
        if self._is_first[number]:
            capacity = max(1, capacity * (number + 1) // len(self._buffers))
            self._is_first[number] = False
        start = address_of(np.frombuffer(buffer.view, np.uint8)) + HEADER_BYTES
        self._starts[number] = start
        self._rooms[number, POSITION], self._rooms[number, LIMIT] = start, start + capacity * record_bytes
        self._buffers[number] = buffer

    def release(self) -> None:
        """Give back all buffers with what is in them. On their event loop."""
        for filled in list(self.take_all()):
            filled.buffer.release()
