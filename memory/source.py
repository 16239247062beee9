"""Where a manager's memory comes from.

    LazySource          a mapping for each request; pages go back to the operating system on release
    PreallocatedSource  one arena cut up front; released segments are handed out again, their pages still
    resident

Neither counts against a budget: the manager has done so before it asks. Both are guarded by its lock.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from memory.arena import Arena, MemoryMode
from memory.free_runs import FreeRuns


@dataclass(frozen=True, slots=True)
class Span:
    """`size_bytes` of an arena from `offset` on: what a segment or an extent stands on."""

    arena: Arena
    offset: int
    size_bytes: int

    def window(self) -> memoryview:
        """A writable view of the span."""
        return self.arena.window(self.offset, self.size_bytes)


class MemorySource(Protocol):
    """All or nothing: a take that raises MemoryError has taken nothing."""

    def take_segments(self, count: int) -> list[Span]:
        """`count` spans of one segment each."""

    def take_extent(self, count: int) -> Span:
        """One span of `count` neighbouring segments."""

    def give_back(self, span: Span) -> None:
        """Take a span back; nobody may look at it any more."""

    def keep_at_most(self, free_bytes: int) -> None:
        """Hold no more than `free_bytes` resident in what is free."""

    def close(self) -> None:
        """Give everything to the operating system."""


class LazySource:
    """A mapping for each request, unmapped when the last of its spans is back."""

    def __init__(self, segment_bytes: int, mode: MemoryMode) -> None:
        self._segment_bytes = segment_bytes
        self._mode = mode
        self._lent_bytes: dict[Arena, int] = {}

    def take_segments(self, count: int) -> list[Span]:
        """`count` spans in one mapping, for the kernel allows only some 65,000 mappings."""
        if count == 0:
            return []
        extent = self.take_extent(count)
        return [Span(extent.arena, index * self._segment_bytes, self._segment_bytes) for index in range(count)]

    def take_extent(self, count: int) -> Span:
        """A whole new mapping."""
        arena = Arena(count * self._segment_bytes, self._mode)
        self._lent_bytes[arena] = arena.size_bytes
        return Span(arena, 0, arena.size_bytes)

    def give_back(self, span: Span) -> None:
        """The pages go at once, the mapping with its last span."""
        self._lent_bytes[span.arena] -= span.size_bytes
        if self._lent_bytes[span.arena]:
            span.arena.discard(span.offset, span.size_bytes)
        else:
            del self._lent_bytes[span.arena]
            span.arena.close()

    def keep_at_most(self, free_bytes: int) -> None:
        """Nothing free is ever resident here."""

    def close(self) -> None:
        """Unmap what is left."""
        for arena in self._lent_bytes:
            arena.close()
        self._lent_bytes.clear()


class PreallocatedSource:
    """One arena of `segment_count` segments, and their free runs.

    The budget counts what is in use, yet free pages of the arena are resident too. `keep_at_most` bounds
    them, so that reserved bytes and warm free pages never stand in memory together. (Not on the heap: a
    bytearray cannot give back a part of itself.)
    """

    def __init__(self, segment_count: int, segment_bytes: int, mode: MemoryMode) -> None:
        self._segment_bytes = segment_bytes
        self._arena = Arena(segment_count * segment_bytes, mode) if segment_count else None
        self._free = FreeRuns(segment_count)
        self._warm_bytes = 0  # at most so many free bytes are resident
        self._overflow = LazySource(segment_bytes, mode)

    def take_segments(self, count: int) -> list[Span]:
        """Single segments from the top of the arena."""
        return [self._span(self._free.take_last(), 1) for _ in range(count)]

    def take_extent(self, count: int) -> Span:
        """Neighbours from the bottom, or a mapping of their own if what is free lies scattered."""
        start = self._free.take_run(count)
        return self._overflow.take_extent(count) if start is None else self._span(start, count)

    def give_back(self, span: Span) -> None:
        """Back into the free runs, pages and all."""
        if span.arena is not self._arena:
            self._overflow.give_back(span)
            return
        self._free.give(span.offset // self._segment_bytes, span.size_bytes // self._segment_bytes)
        self._warm_bytes += span.size_bytes

    def keep_at_most(self, free_bytes: int) -> None:
        """Discard all free pages if more than `free_bytes` of them may be resident."""
        self._warm_bytes = min(self._warm_bytes, self._free.free_count * self._segment_bytes)
        if self._arena is None or self._warm_bytes <= free_bytes:
            return
        for start, count in self._free.runs():
            self._arena.discard(start * self._segment_bytes, count * self._segment_bytes)
        self._warm_bytes = 0

    def close(self) -> None:
        """Unmap the arena."""
        self._overflow.close()
        if self._arena is not None:
            self._arena.close()

    def _span(self, start: int, count: int) -> Span:
        assert self._arena is not None
        return Span(self._arena, start * self._segment_bytes, count * self._segment_bytes)
