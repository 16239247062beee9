"""The partial file beside an output: its name, the lock that says its maker is alive, and the end of dead ones.

A killed job cannot remove its partial file. The next job with the same output does: what nobody holds under lock is
dead. The lock goes with the process, however it ends.
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
from pathlib import Path

from io_manager import platform_files

_NAME_BYTES_MAX = 200  # of the 255 a name may have; the rest is ours
_ENDING = re.compile(r"\.[0-9a-f]{16}\.partial")


def partial_path(target: Path) -> Path:
    """A new name beside `target`: hidden, and not to be guessed."""
    return target.parent / f"{_stem(target)}.{secrets.token_hex(8)}.partial"


def make_partial(path: Path) -> int:
    """A descriptor of the new file, under lock. One swept away before it was locked is made again."""
    while True:
        fd = platform_files.open_new(path, direct=False)
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(fd).st_nlink:
            return fd
        os.close(fd)


def sweep_partials(target: Path) -> int:
    """Remove the partial files that dead jobs left beside `target`: how many."""
    stem = _stem(target)
    names = [entry.name for entry in os.scandir(target.parent) if entry.name.startswith(stem)]
    return sum(_remove_dead(target.parent / name) for name in names if _ENDING.fullmatch(name[len(stem) :]))


def _stem(target: Path) -> str:
    return "." + os.fsdecode(os.fsencode(target.name)[:_NAME_BYTES_MAX])


def _remove_dead(path: Path) -> bool:
    try:
        fd = platform_files.open_existing(path, direct=False)
    except OSError:
        return False  # not ours, or gone already
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink(missing_ok=True)
    except OSError:
        return False  # its maker lives
    finally:
        os.close(fd)
    return True
