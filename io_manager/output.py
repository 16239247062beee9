"""The output: whole or not at all.

    .<name>.<random>.partial   --fsync, rename-->   <name>   --> fsync of the directory

Until `publish` the old output stands untouched, so it may be the input as well. The partial file lies beside
the target, because a rename works only within one file system. What cannot be replaced (a pipe, a device,
standard output) is a `StreamOutput`; `make_output` knows which.
"""

from __future__ import annotations

import errno
import os
import stat
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import Self

from io_manager import platform_files, system
from io_manager.errors import OUTPUT_CURE, DiskFullError, disk_errors, numbered
from io_manager.file_channel import FileChannel
from io_manager.io_threads import IOThreads
from io_manager.partial_file import make_partial, partial_path, sweep_partials
from io_manager.run_format import ALIGNMENT
from io_manager.stream_output import StreamOutput
from io_manager.to_the_end import to_the_end

STDOUT = "-"

# Large outputs go past the page cache where the disk allows it: the cache costs 0.2 to 2 CPU-seconds per GB, holds the
# memory of the machine, and the fsync at the end waits for the disk all the same. A small output may stay in it.
DIRECT_BYTES_MIN = 64 << 20
_ELSEWHERE = "Choose another output."


def make_output(path: str | PathLike[str], *, threads: IOThreads) -> OutputFile | StreamOutput:
    """The kind of output `path` is: "-" and anything that exists and is no regular file is a stream."""
    if os.fspath(path) == STDOUT:
        return StreamOutput(None, threads=threads)
    target = Path(path)
    if target.exists() and not target.is_file() and not target.is_dir():
        return StreamOutput(target, threads=threads)
    return OutputFile(target, threads=threads)


class OutputFile:
    """A regular file in the making. `open`, any number of `write`s, then `publish` or `abandon`."""

    seekable = True

    def __init__(self, path: str | PathLike[str], *, threads: IOThreads) -> None:
        # The file a link leads to is replaced, not the link.
        self.path = Path(path).absolute()
        self.target = Path(os.path.realpath(self.path))
        self.partial = partial_path(self.target)
        self._channel = FileChannel(threads, self.path, self._close_now)
        self._threads = threads
        self._fd = -1
        self._direct_fd = -1
        self._length = 0
        self._is_made = False
        self._is_published = False
        self._is_over = False

    @property
    def fd(self) -> int:
        """The descriptor, open for positional reading and writing."""
        assert self._fd >= 0, "open() comes first"
        return self._fd

    async def open(self, expected_bytes: int | None = None) -> None:
        """Find out now whether the output can be written, and take its disk space where it is known.

        Raises IsADirectoryError, FileNotFoundError, PermissionError, DiskFullError, SpillError, each with its
        cure.
        """
        await self._channel.run(self._open_now, expected_bytes)

    async def write(self, offset: int, view: memoryview) -> None:
        """Write all of `view` at `offset`. Several writes may be under way. The first error sticks.

        Quickest where `view` begins as far into a page of memory as `offset` does into one of the file.
        """
        self._length = max(self._length, offset + len(view))
        await self._channel.run(self._write_now, offset, view)

    async def publish(self) -> None:
        """Make the output durable and give it its name. Waits for writes under way. Idempotent."""
        if self._is_over and self._is_published:
            return
        await self._channel.idle()
        if not self._is_published:  # a cancelled publish may have done it all the same
            await self._channel.run(self._publish_now)
        self._channel.check()
        await self._channel.close("published")
        self._is_over = True

    async def abandon(self) -> None:
        """Remove what was written; the old output stays. Idempotent; does nothing after `publish`."""
        await self._channel.close("abandoned")
        if not self._is_over:
            await self._threads.run(self._remove_now)
            self._is_over = True

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await to_the_end(self.abandon())

    # --- in a thread

    def _open_now(self, expected_bytes: int | None) -> None:
        self._check_target()
        needed = expected_bytes or 0
        free = platform_files.free_bytes(self.target.parent)
        missing = needed - self._bytes_there()
        if missing > free:
            raise DiskFullError.at(self.target.parent, needed_bytes=missing, free_bytes=free, cure=OUTPUT_CURE)
        with disk_errors(self.path, doing="making the output", needed_bytes=needed, cure=OUTPUT_CURE):
            sweep_partials(self.target)
            self._fd = self._open_partial()
            self._is_made = True
            platform_files.preallocate(self._fd, needed)
            if needed >= DIRECT_BYTES_MIN:
                self._direct_fd = platform_files.open_direct(self.partial)

    def _bytes_there(self) -> int:
        """Disk that the partial file has already."""
        return 0

    def _open_partial(self) -> int:
        return make_partial(self.partial)

    def _check_target(self) -> None:
        target, parent = self.target, self.target.parent
        if target.is_dir():
            raise numbered(
                IsADirectoryError(f"{self.path}: is a directory. Name a file in it as the output."),
                errno.EISDIR,
            )
        if not parent.is_dir():
            text = f"{self.path}: there is no directory {parent}. Create it, or choose another output."
            raise numbered(FileNotFoundError(text), errno.ENOENT)
        if target.exists() and not system.access(target, os.W_OK):
            raise numbered(PermissionError(f"{self.path}: is write-protected. {_ELSEWHERE}"), errno.EACCES)
        if not system.access(parent, os.W_OK | os.X_OK):
            text = f"{self.path}: no permission to write in {parent}. {_ELSEWHERE}"
            raise numbered(PermissionError(text), errno.EACCES)

    def _write_now(self, offset: int, view: memoryview) -> None:
        doing = f"writing at byte {offset}"
        with disk_errors(self.path, doing=doing, needed_bytes=len(view), cure=OUTPUT_CURE):
            middle = self._direct_part(view, offset)
            for part in (slice(0, middle.start), slice(middle.stop, len(view))):
                platform_files.write_exactly(self.fd, view[part], offset + part.start)
            if middle.start < middle.stop:
                platform_files.write_exactly(self._direct_fd, view[middle], offset + middle.start)
            else:  # early, so that the fsync at the end finds little left to do
                platform_files.start_writeback(self.fd, offset, len(view))

    def _direct_part(self, view: memoryview, offset: int) -> slice:
        """The whole pages in `view` that may go past the page cache; empty if none may.

        Pages that two writes share must go through the cache, or the later write would undo the earlier.
        """
        if self._direct_fd < 0 or (platform_files.address_of(view) - offset) % ALIGNMENT:
            return slice(len(view), len(view))
        start = -offset % ALIGNMENT
        stop = len(view) - (offset + len(view)) % ALIGNMENT
        return slice(start, stop) if start < stop else slice(len(view), len(view))

    def _publish_now(self) -> None:
        with disk_errors(self.path, doing="publishing the output", needed_bytes=0, cure=OUTPUT_CURE):
            system.ftruncate(self.fd, self._length)
            self._take_after_old_target()
            system.fsync(self.fd)
            system.replace(self.partial, self.target)
            self._is_published = True
            platform_files.fsync_directory(self.target.parent)

    def _take_after_old_target(self) -> None:
        """Mode and, where allowed, owner of what is replaced; for a new file what the umask leaves."""
        try:
            old = system.stat(self.target)
        except FileNotFoundError:
            system.fchmod(self.fd, 0o666 & ~platform_files.current_umask())
            return
        mode = stat.S_IMODE(old.st_mode)
        try:
            system.fchown(self.fd, old.st_uid, old.st_gid)
        except OSError:
            mode &= 0o777  # never a set-id bit for someone else
        system.fchmod(self.fd, mode)

    def _close_now(self) -> None:
        descriptors = (self._fd, self._direct_fd)
        self._fd = self._direct_fd = -1
        for fd in descriptors:
            if fd >= 0:
                system.close(fd)

    def _remove_now(self) -> None:
        if self._is_made and not self._is_published:
            system.remove(self.partial)
