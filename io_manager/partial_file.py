"""The partial file beside an output: its name, the lock that says its maker is alive, and the end of dead ones.

A killed job cannot remove its partial file. The next job with the same output does: what nobody holds under lock is
dead. The lock goes with the process, however it ends.
"""

from __future__ import annotations

import os
import re
import secrets
import time
from pathlib import Path

from io_manager import platform_files, system
from io_manager.locks import lock_abandoned, lock_new

KEPT_SECONDS = 7 * 24 * 3600.0
"""What can be resumed stays for a week after its last change: what fails on Friday can go on on Monday."""

_NAME_BYTES_MAX = 200  # of the 255 a name may have; the rest is ours
_ENDING = re.compile(r"\.[0-9a-f]{16}\.partial")
_UNFINISHED_ENDING = re.compile(r"\.[0-9a-f]{16}\.unfinished")


def partial_path(target: Path) -> Path:
    """A new name beside `target`: hidden, and not to be guessed."""
    return target.parent / f"{_stem(target)}.{secrets.token_hex(8)}.partial"


def unfinished_path(target: Path) -> Path:
    """A new name beside `target` for a partial file that may outlive its job: nobody sweeps it by its name."""
    return target.parent / f"{_stem(target)}.{secrets.token_hex(8)}.unfinished"


def is_unfinished_name(target: Path, name: str) -> bool:
    """Whether `unfinished_path` gives such names beside `target`."""
    stem = _stem(target)
    return name.startswith(stem) and _UNFINISHED_ENDING.fullmatch(name[len(stem) :]) is not None


def make_partial(path: Path) -> int:
    """A descriptor of the new file, under lock. One swept away before it was locked is made again."""
    while True:
        fd = platform_files.open_new(path, direct=False)
        try:
            if lock_new(fd, path):
                return fd
        except BaseException:
            system.close(fd)
            system.remove(path)
            raise
        system.close(fd)


def sweep_partials(target: Path) -> int:
    """Remove the partial files that dead jobs left beside `target`: how many. What may be resumed yet stays."""
    stem = _stem(target)
    names = [name for name in system.listdir(target.parent) if name.startswith(stem)]
    dead = [name for name in names if _ENDING.fullmatch(name[len(stem) :])]
    dead += [name for name in names if is_unfinished_name(target, name) and _is_forgotten(target.parent / name)]
    return sum(_remove_dead(target.parent / name) for name in dead)


def _stem(target: Path) -> str:
    return "." + os.fsdecode(os.fsencode(target.name)[:_NAME_BYTES_MAX])


def _is_forgotten(path: Path) -> bool:
    try:
        return time.time() - system.stat(path, follow_symlinks=False).st_mtime > KEPT_SECONDS
    except OSError:
        return False  # gone already


def _remove_dead(path: Path) -> bool:
    try:
        fd = platform_files.open_existing(path, direct=False)
    except OSError:
        return False  # not ours, or gone already
    try:
        if not lock_abandoned(fd, path):
            return False
        system.remove(path)
    except OSError:
        return False  # it resists, and is nobody's way
    finally:
        system.close(fd)
    return True
