"""A finished run, moved to where it outlives its job: by its name alone, or copied if that is another file system.

Whoever looks for it under its new name finds all of it or nothing. Links are replaced, not followed.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from io_manager import platform_files, system
from io_manager.errors import disk_errors
from io_manager.run_file import RunFile

_COPY_BYTES = 1 << 20


def move_run(run: RunFile, target: Path) -> RunFile:
    """Give the file of `run` the name `target`. Blocking. Raises SpillError kinds."""
    with disk_errors(target, doing="keeping a run", needed_bytes=run.disk_bytes):
        try:
            system.replace(run.path, target)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            _copy(run.path, target)
            system.unlink(run.path)
            return replace(run, path=target, direct=False)  # who knows whether that file system takes it
    return replace(run, path=target)


def _copy(source: Path, target: Path) -> None:
    partial = target.with_name(f"{target.name}.{os.getpid()}.partial")
    system.remove(partial)
    try:
        with (
            _opened(platform_files.open_existing(source, direct=False)) as reader,
            _opened(platform_files.open_private(partial, direct=False)) as writer,
        ):
            _copy_bytes(reader, writer)
        system.replace(partial, target)
    except BaseException:
        system.remove(partial)
        raise


def _copy_bytes(reader: int, writer: int) -> None:
    buffer, offset = platform_files.aligned_bytes(_COPY_BYTES), 0
    while count := platform_files.read_exactly(reader, buffer, offset):
        platform_files.write_exactly(writer, buffer[:count], offset)
        offset += count


@contextmanager
def _opened(fd: int) -> Iterator[int]:
    try:
        yield fd
    finally:
        system.close(fd)
