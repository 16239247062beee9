"""One I/O buffer on loan from a pool. The loan ends once; its memory is lent again as a new Buffer."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from types import TracebackType

from memory.errors import SegmentReleasedError


class Buffer:
    """`size_bytes` of writable memory; off-heap it starts on a multiple of 4096. BufferPool makes them."""

    __slots__ = ("_on_release", "_view", "_window", "released", "size_bytes")

    def __init__(self, window: memoryview, *, on_release: Callable[[Buffer], None]) -> None:
        self.size_bytes = window.nbytes
        self.released = False
        self._on_release = on_release
        self._window = window
        self._view = window[:]  # its own, so that it can die with the loan

    def __enter__(self) -> Buffer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    @property
    def view(self) -> memoryview:
        """All of it, writable. Raises SegmentReleasedError after release; views got before die too."""
        if self.released:
            raise SegmentReleasedError("a pool buffer was used after its release")
        return self._view

    def release(self) -> None:
        """Back to the pool, or to whoever waits longest. A second release does nothing."""
        if not self.released:
            self._on_release(self)

    def retire(self) -> memoryview:
        """End the loan and return the window that was lent. For the pool."""
        self.released = True
        with suppress(BufferError):  # an array still looks: it was to be dropped first
            self._view.release()
        return self._window
