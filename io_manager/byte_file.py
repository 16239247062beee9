"""A file object as Python knows it, over the boundary: for what is written and read in sequence by other libraries.

    io.BufferedWriter(ByteFile(fd))     pa.PythonFile(ByteFile(fd))

Each keeps its own position, so that several may stand on one descriptor, and reads and writes are whole: fewer bytes
come only where the file ends.
"""

from __future__ import annotations

import io
import os
from typing import Any

from io_manager import platform_files, system

_BUFFER_BYTES = 128 << 10


class ByteFile(io.RawIOBase):
    """The bytes of a descriptor, from its beginning. Closes the descriptor only if it `owns` it."""

    def __init__(self, fd: int, *, owns: bool = True) -> None:
        super().__init__()
        self._fd = fd
        self._owns = owns
        self._position = 0
        self._is_written = False

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def fileno(self) -> int:
        """The descriptor."""
        return self._fd

    def readinto(self, buffer: Any) -> int:
        """Fill `buffer`: fewer bytes only where the file ends."""
        count = platform_files.read_exactly(self._fd, memoryview(buffer).cast("B"), self._position)
        self._position += count
        return count

    def write(self, data: Any) -> int:
        """Write all of `data`."""
        view = memoryview(data).cast("B")
        self._is_written = True
        platform_files.write_exactly(self._fd, view, self._position)
        self._position += len(view)
        return len(view)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go on somewhere else."""
        starts = {os.SEEK_SET: 0, os.SEEK_CUR: self._position}
        start = starts[whence] if whence in starts else system.fstat(self._fd).st_size
        self._position = start + offset
        return self._position

    def tell(self) -> int:
        return self._position

    def close(self) -> None:
        """Idempotent."""
        if self.closed:
            return
        super().close()
        fd = self._fd
        self._fd = -1  # what a buffer still wanted to write must not reach the next file of that number
        if self._owns:
            (system.close_written if self._is_written else system.close)(fd)


def open_reader(fd: int) -> io.BufferedReader:
    """Read a descriptor to its end; it closes with the file object."""
    return io.BufferedReader(ByteFile(fd), _BUFFER_BYTES)


def open_writer(fd: int) -> io.BufferedWriter:
    """Write a descriptor from its beginning; it closes with the file object."""
    return io.BufferedWriter(ByteFile(fd), _BUFFER_BYTES)
