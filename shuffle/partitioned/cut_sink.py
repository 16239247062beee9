"""Cut the output of a merge into partitions of equally many bytes, as it is written.

    output      ──────┊─────────┊─────────┊──────      ┊ every total / N bytes, at the last border of records before it
    partitions    0        1         2        3
    ranges      ──────────────┊────────────────        a range may end, and the next one begin, within a partition

A record belongs to the partition in which its last byte falls. So the cuts follow from the records and their order
alone, whatever the memory, the runs and the ranges were; a key that repeats goes on in the next partition, in order;
and no more than one record makes two partitions differ. An output buffer is made to end where a partition does, so
that the next one begins at the beginning of its file.

Where a range begins within a partition, nobody knows yet where that partition began. What it writes there becomes a
file of its own, and is appended to the partition when everything is written.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from io_manager import ALIGNMENT
from memory import Buffer
from serializers import SLACK_BYTES
from shuffle.partitioned.part_file import PartFile

_NOWHERE = -1


class Writer(Protocol):
    """What opens and writes the files."""

    def piece(self, number: int, offset: int, *, is_whole: bool) -> PartFile:
        """The file for what partition `number` holds from `offset` of the whole output on.

        `is_whole` if that is where the partition begins.
        """

    def write(self, file: PartFile, view: memoryview, flags: int, finished: PartFile | None) -> Awaitable[None]:
        """Append `view` to `file`. Nothing more comes for `finished`."""


@dataclass(frozen=True)
class _Place:
    """Where records go: into a file of partition `number` that begins `offset` bytes into the whole output."""

    number: int
    offset: int


class CutSink:
    """The sink of the range that begins `offset` bytes into the output; `ends` are those of the partitions."""

    def __init__(self, writer: Writer, ends: list[int], offset: int, on_written: Callable[[int], None]) -> None:
        self._writer = writer
        self._ends = ends
        self._on_written = on_written
        self._start = self._written = offset
        self._next = _Place(bisect_right(ends, offset), offset)
        self._offered = _NOWHERE  # where a window began that ends with its partition
        self._long_end = offset
        self._places: dict[int, _Place] = {}
        self._last: _Place | None = None
        self._file: PartFile | None = None

    def window(self, position: int, buffer_bytes: int) -> tuple[int, int]:
        """As any sink; but no buffer reaches into the next partition. Asked twice for one place, it moves on there: the
        next record did not fit."""
        at, end = self._start + position, buffer_bytes - SLACK_BYTES
        is_long = at < self._long_end
        if not is_long:
            self._pass_ends(at)
        start = (at - self._next.offset) % ALIGNMENT
        room = self._ends[self._next.number] - at
        if not is_long and start + room < end:
            self._offered, end = at, start + room
        self._places[at] = self._next
        return start, end

    def expect_long(self, position: int, record_bytes: int) -> None:
        """A record comes block by block: find the partition in which it ends."""
        at = self._start + position
        self._offered, self._long_end = _NOWHERE, at + record_bytes
        while self._ends[self._next.number] < self._long_end:
            self._next = _Place(self._next.number + 1, at)

    async def put(self, buffer: Buffer, length: int, records: int, flags: int) -> None:
        """As any sink."""
        place = self._places.pop(self._written)
        finished = None
        if place != self._last:
            finished, self._last = self._file, place
            is_whole = place.offset == 0 or place.offset > self._start
            self._file = self._writer.piece(place.number, place.offset, is_whole=is_whole)
        assert self._file is not None, "it was made for the first record of the place"
        start = (self._written - place.offset) % ALIGNMENT
        with buffer:
            await self._writer.write(self._file, buffer.view[start : start + length], flags, finished)
        self._written += length
        self._on_written(length)

    async def drained(self) -> None:
        """Every `put` gave its buffer back."""

    def _pass_ends(self, at: int) -> None:
        """Find the partition of the next record, unless there is none."""
        last = len(self._ends) - 1
        while self._next.number < last and (at == self._offered or self._ends[self._next.number] <= at):
            self._next, self._offered = _Place(self._next.number + 1, at), _NOWHERE
        assert at != self._offered, "the last record ends where the last partition does"
