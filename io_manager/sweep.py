"""What a killed job left behind, found and removed at the next start.

A directory goes only if all of this holds: its name is one of ours, it is a real directory and not a link, it
is owned by this user, its owner file is one we wrote and can be locked, and the process named there is dead.
A name without an owner file may be a job that is just starting: it is left alone for `YOUNG_SECONDS`, and
then goes only if nothing is in it. Two sweepers at once do not hurt each other: one of them has the lock.
"""

from __future__ import annotations

import logging
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from io_manager.job_directory import NAME_PATTERN, OWNER_DRAFT_NAME, OWNER_NAME, lock, remove_flat
from io_manager.owner import Owner

# Between making a directory and locking its owner file a job needs milliseconds; a stopped machine may need
# longer.
YOUNG_SECONDS = 600.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Swept:
    """A directory that was removed, and the bytes of disk that came free."""

    path: Path
    freed_bytes: int


def sweep(temp_dir: Path) -> list[Swept]:
    """Remove the job directories of dead owners from `temp_dir`; what resists is logged and left.

    Raises OSError only when `temp_dir` itself cannot be listed.
    """
    swept = []
    for path in sorted(temp_dir.iterdir()):
        if not NAME_PATTERN.fullmatch(path.name):
            continue
        try:
            if _is_ours(path) and (freed_bytes := _remove_if_dead(path)) is not None:
                swept.append(Swept(path, freed_bytes))
        except FileNotFoundError:
            continue  # another sweeper was faster
        except OSError as error:
            _log.warning("%s: left by a dead job, could not be removed: %s", path, error.strerror)
    return swept


def _is_ours(path: Path) -> bool:
    status = path.lstat()
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid()


def _remove_if_dead(path: Path) -> int | None:
    """Bytes freed, or None when the directory may still be wanted."""
    with _owner_file(path) as fd:
        if fd is None:
            return _remove_if_stillborn(path)
        if not lock(fd) or not _owner_is_dead(fd):
            return None
        return remove_flat(path)


def _owner_is_dead(fd: int) -> bool:
    text = os.pread(fd, 4096, 0)
    owner = Owner.from_bytes(text)
    # Nothing in it: the machine stopped before the disk had it. It was locked when it got its name and is not
    # now.
    return owner.is_dead() if owner else not text


def _remove_if_stillborn(path: Path) -> int | None:
    if time.time() - path.lstat().st_mtime < YOUNG_SECONDS or {entry.name for entry in path.iterdir()} - {
        OWNER_DRAFT_NAME
    }:
        return None
    return remove_flat(path)


@contextmanager
def _owner_file(path: Path) -> Iterator[int | None]:
    fd = None
    with suppress(FileNotFoundError):
        fd = os.open(path / OWNER_NAME, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        if fd is not None:
            os.close(fd)
