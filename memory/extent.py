"""Contiguous segments: what a sort buffer or an I/O buffer is made of.

    ┌───────── extent ─────────┐
    │ segment │ segment │ ...  │   one window on all of it for kernels and readinto(), or segment by segment

All of an extent is released at once. Off-heap it starts on a page.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from types import TracebackType

from memory.errors import SegmentReleasedError
from memory.segment import MemorySegment, check_segment_bytes
from memory.sizes import format_size


class Extent:
    """`memory`, whose length is a whole number of segments, under one owner.

    `on_release` is told of the release and retires the extent: it is how a manager gets its bytes back.
    """

    __slots__ = ("_on_release", "_segments", "_view", "owner", "released", "segment_bytes", "size_bytes")

    def __init__(
        self,
        memory: memoryview,
        *,
        owner: str,
        segment_bytes: int,
        on_release: Callable[[Extent], None] | None = None,
    ) -> None:
        check_segment_bytes(segment_bytes)
        assert memory.nbytes and memory.nbytes % segment_bytes == 0, (memory.nbytes, segment_bytes)
        self.owner = owner
        self.segment_bytes = segment_bytes
        self.size_bytes = memory.nbytes
        self.released = False
        self._view = memory
        self._segments: dict[int, MemorySegment] = {}
        self._on_release = on_release

    def __repr__(self) -> str:
        state = ", released" if self.released else ""
        return f"<Extent of {self.owner!r}: {format_size(self.size_bytes)}{state}>"

    def __enter__(self) -> Extent:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    @property
    def view(self) -> memoryview:
        """All `size_bytes` of it, writable. Dead after release: drop what was made from it before."""
        self._check_held()
        return self._view

    @property
    def segment_count(self) -> int:
        """How many segments lie in it."""
        return self.size_bytes // self.segment_bytes

    def segment(self, index: int) -> MemorySegment:
        """The segment at `index`, always the same object. Raises IndexError where there is none."""
        self._check_held()
        if not 0 <= index < self.segment_count:
            raise IndexError(f"segment {index} of an extent of {self.segment_count}")
        if index not in self._segments:
            start = index * self.segment_bytes
            window = self._view[start : start + self.segment_bytes]
            self._segments[index] = MemorySegment(window, owner=self.owner, on_release=_refuse_release)
        return self._segments[index]

    def segments(self) -> list[MemorySegment]:
        """All segments in order. They live and die with the extent."""
        return [self.segment(index) for index in range(self.segment_count)]

    def release(self) -> None:
        """Give the memory back to where it came from. A second release does nothing."""
        if self.released:
            return
        if self._on_release is None:
            self.retire()
        else:
            self._on_release(self)

    def retire(self) -> None:
        """Let go of the memory without telling anyone. For the holder of the memory, who tells himself."""
        self.released = True
        self._on_release = None
        for segment in self._segments.values():
            segment.retire()
        self._segments.clear()
        with suppress(BufferError):  # an array still looks: the arena gives the pages back under it
            self._view.release()
        self._view = memoryview(b"")

    def _check_held(self) -> None:
        if self.released:
            raise SegmentReleasedError(f"an extent of {self.owner!r} was used after its release")


def _refuse_release(segment: MemorySegment) -> None:
    raise ValueError(f"{segment!r} is part of an extent: release the extent")
