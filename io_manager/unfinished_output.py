"""An output whose partial file may outlive its job, so that another can go on with it.

    .<name>.<random>.unfinished   --fsync, rename-->   <name>

The name is known to the journal of the job, and to nobody else: sweeping what dead jobs left beside an output passes
it over. `sync` makes what was written durable, so that a journal may say that it is there: unlike the blocks of a run,
the bytes of an output carry no checksum by which a loss would be found.
"""

from __future__ import annotations

import fcntl
import os
import stat
from pathlib import Path

from io_manager import platform_files, system
from io_manager.errors import OUTPUT_CURE, SpillError, disk_errors
from io_manager.io_threads import IOThreads
from io_manager.output import OutputFile


class UnfinishedOutput(OutputFile):
    """Written at `partial`, which may stand there already; `outlive_job` decides whether `abandon` removes it."""

    def __init__(self, path: str | os.PathLike[str], partial: Path, *, threads: IOThreads) -> None:
        super().__init__(path, threads=threads)
        assert partial.parent == self.target.parent, "a rename works only within one directory"
        self.partial = partial
        self.outlive_job = partial.exists()  # until the new job knows better

    def keep(self, length: int) -> None:
        """The output reaches to `length` at least: so far it was written by an earlier job."""
        self._length = max(self._length, length)

    async def sync(self) -> None:
        """Return when the disk has all that was written. Raises SpillError kinds."""
        await self._channel.run(self._sync_now)

    @property
    def inode(self) -> int:
        """What tells this file from any other there, before and after it has its final name."""
        return system.fstat(self.fd).st_ino

    async def read(self, offset: int, length: int) -> bytes:
        """Bytes that were written before; fewer where the file ends."""
        data = bytearray(length)
        count = await self._channel.run(platform_files.read_exactly, self.fd, memoryview(data), offset)
        return bytes(data[:count])

    @property
    def size(self) -> int:
        """How long the partial file is."""
        return system.fstat(self.fd).st_size

    # --- in a thread

    def _sync_now(self) -> None:
        with disk_errors(self.path, doing="writing the output to the disk", needed_bytes=0, cure=OUTPUT_CURE):
            system.fsync(self.fd)

    def _bytes_there(self) -> int:
        try:
            return system.stat(self.partial, follow_symlinks=False).st_blocks * 512
        except FileNotFoundError:
            return 0

    def _open_partial(self) -> int:
        try:
            fd = system.open(self.partial, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        except FileNotFoundError:
            return super()._open_partial()
        try:
            status = system.fstat(fd)
            if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1 or status.st_uid != os.geteuid():
                raise SpillError(f"{self.partial}: is no file that a sort left there. Remove it, and run again.")
            system.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BaseException:
            system.close(fd)
            raise
        return fd

    def _remove_now(self) -> None:
        if not self.outlive_job:
            super()._remove_now()
