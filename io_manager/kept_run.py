"""A finished run, moved to where it outlives its job: by its name alone, or copied if that is another file system.

Whoever looks for it under its new name finds all of it or nothing. Links are replaced, not followed.
"""

from __future__ import annotations

import errno
import os
import shutil
from dataclasses import replace
from pathlib import Path

from io_manager import platform_files
from io_manager.errors import disk_errors
from io_manager.run_file import RunFile

_COPY_BYTES = 1 << 20


def move_run(run: RunFile, target: Path) -> RunFile:
    """Give the file of `run` the name `target`. Blocking. Raises SpillError kinds."""
    with disk_errors(target, doing="keeping a run", needed_bytes=run.disk_bytes):
        try:
            run.path.replace(target)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            _copy(run.path, target)
            run.path.unlink()
            return replace(run, path=target, direct=False)  # who knows whether that file system takes it
    return replace(run, path=target)


def _copy(source: Path, target: Path) -> None:
    partial = target.with_name(f"{target.name}.{os.getpid()}.partial")
    partial.unlink(missing_ok=True)
    try:
        with (
            os.fdopen(platform_files.open_existing(source, direct=False), "rb") as reader,
            os.fdopen(platform_files.open_new(partial, direct=False), "wb") as writer,
        ):
            shutil.copyfileobj(reader, writer, _COPY_BYTES)
        partial.replace(target)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
