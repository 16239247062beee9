"""The input: bytes at an offset of a file, or the next bytes of a pipe.

A read fills the whole view unless the input ends; it never returns less for another reason. A regular file is
read as long as it was when it was opened: what is appended later is not seen, and if bytes are missing, that
is an error and not an early end.
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
from io_manager.errors import InputChangedError, disk_errors, numbered
from io_manager.file_channel import FileChannel
from io_manager.io_threads import IOThreads
from io_manager.run_format import checksum
from io_manager.to_the_end import to_the_end
from io_manager.waker import Waker

STDIN = "-"
_STDIN_FD = 0


class InputFile:
    """A file, a device, a named pipe, or standard input ("-"). `size` is None where only reading tells."""

    def __init__(self, path: str | PathLike[str], *, threads: IOThreads) -> None:
        self._is_stdin = os.fspath(path) == STDIN
        self.path = Path("<stdin>") if self._is_stdin else Path(path)
        self.size: int | None = None
        self._channel = FileChannel(threads, self.path, self._close_now)
        self._waker: Waker | None = None  # for what can keep us waiting; a file cannot
        self._fd = -1
        self._base = 0
        self._position = 0

    @property
    def seekable(self) -> bool:
        """Whether any offset may be read, by several readers at once."""
        return self.size is not None

    @property
    def fd(self) -> int:
        """The descriptor."""
        assert self._fd >= 0, "open() comes first"
        return self._fd

    @property
    def modified_ns(self) -> int:
        """When its contents were changed last, in nanoseconds since 1970."""
        return system.fstat(self.fd).st_mtime_ns

    async def open(self) -> None:
        """Raises FileNotFoundError, IsADirectoryError, PermissionError, SpillError, each with its cure."""
        try:
            await self._channel.run(self._open_now)
        except BaseException:
            await self.close()
            raise

    async def read_into(self, view: memoryview, offset: int) -> int:
        """Fill `view` from `offset`; fewer bytes only at the end of the input, 0 behind it.

        From a pipe the offsets must follow each other. Raises InputChangedError when the file shrank; the
        first error sticks.
        """
        if self.seekable:
            return await self._channel.run(self._read_at_now, view, offset)
        assert offset == self._position, f"a pipe is read in order: {offset} after {self._position}"
        count = await self._channel.run(self._read_next_now, view, interrupt=self._call_off)
        self._position += count
        return count

    async def read_again(self, view: memoryview, offset: int, expected_checksum: int) -> None:
        """Fill `view` with bytes that were read before. Raises InputChangedError if they are others now."""
        await self._channel.run(self._read_again_now, view, offset, expected_checksum)

    async def close(self) -> None:
        """Wait for the reads under way (a read of a pipe is called off), close the file. Idempotent."""
        self._call_off()
        await self._channel.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await to_the_end(self.close())

    def _call_off(self) -> None:
        if self._waker is not None:
            self._waker.wake()

    # --- in a thread

    def _open_now(self) -> None:
        self._fd = _STDIN_FD if self._is_stdin else self._open_path()
        with disk_errors(self.path, doing="opening the input", needed_bytes=0):
            mode = system.fstat(self._fd).st_mode
            if stat.S_ISREG(mode) or stat.S_ISBLK(mode):
                self._measure()
                platform_files.advise_sequential(self._fd)
            elif not stat.S_ISDIR(mode):
                self._waker = Waker()
        if stat.S_ISDIR(mode):
            text = f"{self.path}: is a directory. Name the files in it instead."
            raise numbered(IsADirectoryError(text), errno.EISDIR)

    def _open_path(self) -> int:
        try:
            # Without blocking: a named pipe may have no writer yet, and waiting for it must stay cancellable.
            fd = system.open(self.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError as error:
            text = f"{self.path}: no such file. Check the name, or use - for standard input."
            raise numbered(FileNotFoundError(text), error.errno) from error
        except PermissionError as error:
            text = f"{self.path}: no permission to read it. Ask its owner for it, or run as a user who may."
            raise numbered(PermissionError(text), error.errno) from error
        except OSError as error:
            with disk_errors(self.path, doing="opening the input", needed_bytes=0):
                raise error
        os.set_blocking(fd, True)
        return fd

    def _measure(self) -> None:
        """Standard input may be a file that someone has read a part of already."""
        self._base = system.lseek(self._fd, 0, os.SEEK_CUR) if self._is_stdin else 0
        end = system.lseek(self._fd, 0, os.SEEK_END)
        system.lseek(self._fd, self._base, os.SEEK_SET)
        self.size = max(0, end - self._base)

    def _read_at_now(self, view: memoryview, offset: int) -> int:
        assert self.size is not None
        wanted = max(0, min(len(view), self.size - offset))
        with disk_errors(self.path, doing=f"reading at byte {offset}", needed_bytes=0):
            count = platform_files.read_exactly(self._fd, view[:wanted], self._base + offset)
        if count < wanted:
            raise InputChangedError(
                f"{self.path}: shrank while being read: it ends at byte {offset + count}, but had "
                f"{self.size} bytes when it was opened. Run again once nobody writes to it, or on a copy."
            )
        return count

    def _read_again_now(self, view: memoryview, offset: int, expected_checksum: int) -> None:
        if self._read_at_now(view, offset) < len(view) or checksum(view) != expected_checksum:
            raise InputChangedError(
                f"{self.path}: changed while being sorted, between bytes {offset} and {offset + len(view)}. "
                "Run again once nobody writes to it, or on a copy."
            )

    def _read_next_now(self, view: memoryview) -> int:
        assert self._waker is not None
        done = 0
        with disk_errors(self.path, doing=f"reading at byte {self._position}", needed_bytes=0):
            while done < len(view):
                self._waker.wait_readable(self._fd)
                count = system.readv(self._fd, [view[done:]])
                if not count:
                    break
                done += count
        return done

    def _close_now(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0 and not self._is_stdin:
            system.close(fd)
        if self._waker is not None:
            self._waker.close()
