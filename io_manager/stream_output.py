"""An output that bytes can only be sent down: standard output, a pipe, a device.

It cannot be taken back, so there is no "not at all" here: what was written is out. A reader that went away
surfaces as BrokenPipeError, for the command line to be quiet about. Writing can be cancelled even while the
reader stands still.
"""

from __future__ import annotations

import errno
import os
import select
import stat
from pathlib import Path
from types import TracebackType
from typing import Self

from io_manager import system
from io_manager.errors import OUTPUT_CURE, disk_errors, numbered
from io_manager.file_channel import FileChannel
from io_manager.io_threads import IOThreads
from io_manager.to_the_end import to_the_end
from io_manager.waker import Waker

_STDOUT_FD = 1
_READER_POLL_SECONDS = 0.05  # how often to look whether a named pipe has got its reader


class StreamOutput:
    """Standard output (`path` None) or a special file. The same verbs as `OutputFile`, sequential offsets
    only."""

    seekable = False

    def __init__(self, path: Path | None, *, threads: IOThreads) -> None:
        self.path = path or Path("<stdout>")
        self._is_stdout = path is None
        self._channel = FileChannel(threads, self.path, self._close_now)
        self._waker = Waker()
        self._fd = -1
        self._position = 0
        self._is_pipe = False
        self._is_published = False

    @property
    def fd(self) -> int:
        """The descriptor."""
        assert self._fd >= 0, "open() comes first"
        return self._fd

    async def open(self, expected_bytes: int | None = None) -> None:
        """Open it; for a named pipe, wait for its reader. Raises PermissionError, FileNotFoundError."""
        await self._channel.run(self._open_now, interrupt=self._waker.wake)

    async def write(self, offset: int, view: memoryview) -> None:
        """Send all of `view`, which must begin where the last write ended. Raises BrokenPipeError; errors
        stick."""
        assert offset == self._position, f"a stream is written in order: {offset} after {self._position}"
        self._position += len(view)
        await self._channel.run(self._write_now, view, interrupt=self._waker.wake)

    async def publish(self) -> None:
        """All is sent; close it. Idempotent. Raises what was raised before."""
        if not self._is_published:
            self._channel.check()
            await self._channel.close("published")
            self._is_published = True

    async def abandon(self) -> None:
        """Close it; what was sent stays sent. Idempotent."""
        self._waker.wake()
        await self._channel.close("abandoned")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await to_the_end(self.abandon())

    # --- in a thread

    def _open_now(self) -> None:
        if self._is_stdout:
            self._fd = _STDOUT_FD
        else:
            self._fd = self._open_special()
            os.set_blocking(self._fd, True)
        mode = system.fstat(self._fd).st_mode
        self._is_pipe = stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or os.isatty(self._fd)

    def _open_special(self) -> int:
        while True:
            try:
                return system.open(self.path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            except PermissionError as error:
                text = f"{self.path}: no permission to write. Choose another output."
                raise numbered(PermissionError(text), error.errno) from error
            except OSError as error:
                if error.errno != errno.ENXIO:
                    raise
                self._waker.pause(_READER_POLL_SECONDS)

    def _write_now(self, view: memoryview) -> None:
        # A blocking pipe that polls writable takes PIPE_BUF bytes without blocking, no more for certain.
        chunk_bytes = select.PIPE_BUF if self._is_pipe else max(len(view), 1)
        for start in range(0, len(view), chunk_bytes):
            self._write_chunk(view[start : start + chunk_bytes])

    def _write_chunk(self, chunk: memoryview) -> None:
        while len(chunk):
            if self._is_pipe:
                self._waker.wait_writable(self._fd)
            try:
                chunk = chunk[system.write(self._fd, chunk) :]
            except BlockingIOError:  # whoever gave us the descriptor made it so
                self._waker.wait_writable(self._fd)
            except BrokenPipeError:
                raise
            except OSError as error:
                with disk_errors(self.path, doing="writing", needed_bytes=len(chunk), cure=OUTPUT_CURE):
                    raise error

    def _close_now(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0 and not self._is_stdout:
            system.close(fd)
        self._waker.close()
