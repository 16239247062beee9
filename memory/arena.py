"""Memory as the operating system gives it: mapped, advised and given back here and nowhere else.

Off-heap arenas are private anonymous mappings. Private matters: Python maps shared memory unless told
otherwise, which gets no huge pages and stays resident whatever is advised. A page costs nothing until it is
touched. Heap arenas are plain bytearrays behind the same face.
"""

from __future__ import annotations

import mmap
import sys
from contextlib import suppress
from typing import Literal

from memory.errors import SegmentReleasedError
from memory.sizes import format_size

MemoryMode = Literal["off-heap", "heap"]

# macOS keeps the pages of MADV_DONTNEED; there MADV_FREE is the advice that lets them go.
_GIVE_BACK: int | None = getattr(mmap, "MADV_FREE" if sys.platform == "darwin" else "MADV_DONTNEED", None)
_HUGE_PAGES: int | None = getattr(mmap, "MADV_HUGEPAGE", None)


class Arena:
    """`size_bytes` of zeroed memory; off-heap it starts on a page.

    Raises MemoryError when the operating system refuses.
    """

    __slots__ = ("_mapping", "_view", "size_bytes")

    def __init__(self, size_bytes: int, mode: MemoryMode = "off-heap") -> None:
        assert size_bytes > 0, size_bytes
        self.size_bytes = size_bytes
        self._mapping = _map_pages(size_bytes) if mode == "off-heap" else None
        self._view = memoryview(bytearray(size_bytes) if self._mapping is None else self._mapping)

    @property
    def closed(self) -> bool:
        """Whether the memory has been given back."""
        return self.size_bytes == 0

    def window(self, offset: int, length: int) -> memoryview:
        """A writable view of `length` bytes. Raises SegmentReleasedError after close()."""
        if self.closed:
            raise SegmentReleasedError("an arena was used after it was closed")
        assert 0 <= offset <= self.size_bytes - length, (offset, length, self.size_bytes)
        return self._view[offset : offset + length]

    def discard(self, offset: int, length: int) -> None:
        """Give the whole pages in a range back now. The range stays mapped; its content is lost.

        On the heap, and where the platform has no such advice, nothing happens.
        """
        first = -(-offset // mmap.PAGESIZE) * mmap.PAGESIZE
        end = (offset + length) // mmap.PAGESIZE * mmap.PAGESIZE
        if self._mapping is not None and _GIVE_BACK is not None and first < end:
            self._mapping.madvise(_GIVE_BACK, first, end - first)

    def close(self) -> None:
        """Give everything back to the operating system at once. A second close does nothing."""
        if self.closed:
            return
        with suppress(BufferError):
            self._view.release()
        if self._mapping is not None:
            self._unmap(self._mapping)
        self._mapping = None
        self._view = memoryview(b"")
        self.size_bytes = 0

    def _unmap(self, mapping: mmap.mmap) -> None:
        try:
            mapping.close()
        except BufferError:
            # An array somewhere still looks at these addresses, so they must stay mapped until it dies. The
            # pages need not: they go back now, and whoever still looks sees zeros. The mapping goes with its
            # last view.
            self.discard(0, self.size_bytes)


def _map_pages(size_bytes: int) -> mmap.mmap:
    try:
        mapping = mmap.mmap(-1, size_bytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    except (OSError, OverflowError, ValueError) as error:
        raise MemoryError(
            f"the operating system refused {format_size(size_bytes)}: {error}. "
            "Lower the memory budget, or raise the limit of the process (ulimit -v, the container)."
        ) from error
    if _HUGE_PAGES is not None:
        with suppress(OSError):  # a kernel built without them
            mapping.madvise(_HUGE_PAGES)
    return mapping
