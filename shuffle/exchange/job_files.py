"""The private directories of a shuffle job: what is staged, map outputs, results. They go with the job, or with us.

A job killed with SIGKILL leaves them; the next job on the machine sweeps them, as it does those of its workers.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Sequence
from pathlib import Path

from io_manager import JobKey
from io_manager.directories import JobDirectories


class JobFiles:
    """One private directory under each of `temp_dirs`. Raises TempDirError. Dropped, it has been closed.

    `key` seals the files of records in it, which are pickled, and encrypts them if that is wanted.
    """

    def __init__(self, temp_dirs: Sequence[str], *, encrypts: bool) -> None:
        self.key = JobKey.generate(encrypts=encrypts)
        directories = JobDirectories(temp_dirs, max_disk_bytes=None, direct=False)
        directories.create()
        self._directories = directories
        self._end = weakref.finalize(self, _close_in, os.getpid(), directories)

    def directory(self) -> Path:
        """Where the next file should go. Raises DiskFullError."""
        return self._directories.choose(0).path

    def close(self) -> None:
        """Remove everything. Idempotent."""
        self._end()


def _close_in(process_id: int, directories: JobDirectories) -> None:
    """A forked child leaves the files to its parent."""
    if process_id == os.getpid():
        directories.close()
