"""One file of a partitioned output, written from its first byte to its last by one range of a merge.

Where it pays, whole pages go past the page cache, as in `io_manager.output`: a buffer then begins as far into a page of
memory as into one of the file. Pages that two writes share go through the cache, or the later write would undo the
earlier. Everything here blocks, and belongs into a thread.
"""

from __future__ import annotations

import os
from pathlib import Path

from io_manager import ALIGNMENT, platform_files, system
from shuffle.partitioned.digest import Digest
from shuffle.partitioned.manifest import Content

MODE = 0o666
"""Less what the umask takes. The directory around it is private while it is being made."""

_COPY_BYTES = 1 << 20


class PartFile:
    """Records, appended. When it is finished, `content` says what is in it: what the digest found, if it has one."""

    def __init__(self, path: Path, digest: Digest | None, *, direct: bool) -> None:
        self.path = path
        self.content = Content()
        self._digest = digest
        self._is_direct = direct
        self._is_durable = False
        self._fd = self._direct_fd = -1
        self._length = 0

    def append(self, view: memoryview, flags: int) -> None:
        """Write whole records, or a piece of one as `flags` says."""
        assert self._digest is not None, self.path
        self._digest.add(view, flags)
        self.write(view)

    def write(self, view: memoryview) -> None:
        """Write any bytes. Who does so without a digest says what they are: `content`."""
        assert not self._is_durable, self.path
        if self._fd < 0:
            self._open()
        self._write(view)

    def finish(self) -> None:
        """No more records come."""
        if self._digest is not None:
            self.content, self._digest = self._digest.content, None
        self._close_direct()

    def take_in(self, following: PartFile) -> None:
        """Append what `following` holds, which is gone afterwards."""
        self._open_again()
        self._is_durable = False
        view, copied = memoryview(bytearray(_COPY_BYTES)), 0
        fd = platform_files.open_existing(following.path, direct=False)
        try:
            while count := platform_files.read_exactly(fd, view, copied):
                self._write(view[:count])
                copied += count
        finally:
            system.close(fd)
        assert copied == following.content.size_bytes, (copied, following.content)
        self.content += following.content
        following.close()
        system.unlink(following.path)

    def rename(self, path: Path) -> None:
        """Give it another name."""
        if path != self.path:
            system.replace(self.path, path)
            self.path = path

    def sync(self) -> None:
        """Make it durable, and close it. Idempotent.

        It has had its permissions from the beginning: to change them now would be another commit of the journal.
        """
        if self._is_durable:
            return
        self.finish()
        self._open_again()
        system.fsync(self._fd)
        self._is_durable = True
        self.close()

    def close(self) -> None:
        """Let go of it. Idempotent."""
        self._close_direct()
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            system.close(fd)

    def _open_again(self) -> None:
        if self._fd < 0:
            self._fd = system.open(self.path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, MODE)

    def _close_direct(self) -> None:
        if self._direct_fd >= 0:
            fd, self._direct_fd = self._direct_fd, -1
            system.close(fd)

    def _open(self) -> None:
        self._fd = platform_files.open_new(self.path, direct=False, mode=MODE)
        if self._is_direct:
            self._direct_fd = platform_files.open_direct(self.path)

    def _write(self, view: memoryview) -> None:
        middle = self._direct_part(view)
        for part in (slice(0, middle.start), slice(middle.stop, len(view))):
            platform_files.write_exactly(self._fd, view[part], self._length + part.start)
        if middle.start < middle.stop:
            platform_files.write_exactly(self._direct_fd, view[middle], self._length + middle.start)
        else:  # early, so that the fsync at the end finds little left to do
            platform_files.start_writeback(self._fd, self._length, len(view))
        self._length += len(view)

    def _direct_part(self, view: memoryview) -> slice:
        """The whole pages of `view` that may go past the page cache; empty if none may."""
        if self._direct_fd < 0 or (platform_files.address_of(view) - self._length) % ALIGNMENT:
            return slice(len(view), len(view))
        start = -self._length % ALIGNMENT
        stop = len(view) - (self._length + len(view)) % ALIGNMENT
        return slice(start, stop) if start < stop else slice(len(view), len(view))
