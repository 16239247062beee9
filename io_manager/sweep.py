"""What a killed job left behind, found and removed at the next start.

A directory goes only if all of this holds: its name is one of ours, it is a real directory and not a link, it
is owned by this user, its owner file is one we wrote and can be locked, and the process named there is dead.
One without an owner file is that of a job that is just starting, or that died then, or as it ended: it goes if nothing
is in it but a draft that can be locked, and a job that lives makes itself another (see `job_directory`). Two sweepers
at once do not hurt each other: one of them has the lock.
"""

from __future__ import annotations

import errno
import logging
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from io_manager import system
from io_manager.job_directory import NAME_PATTERN, OWNER_DRAFT_NAME, OWNER_NAME, remove_flat
from io_manager.locks import lock_abandoned
from io_manager.owner import Owner
from io_manager.unfinished import is_kept, remove_partial_of

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Swept:
    """A directory that was removed, and the bytes of disk that came free."""

    path: Path
    freed_bytes: int


def sweep(temp_dir: Path, *, unfinished: bool = False) -> list[Swept]:
    """Remove the job directories of dead owners from `temp_dir`; what resists is logged and left.

    What a job left to be resumed is kept for a while (see `unfinished`), unless that is wanted gone as well. Raises
    OSError only when `temp_dir` itself cannot be listed.
    """
    swept = []
    for path in sorted(temp_dir / name for name in system.listdir(temp_dir)):
        if not NAME_PATTERN.fullmatch(path.name):
            continue
        try:
            if _is_ours(path) and (freed_bytes := _remove_if_dead(path, unfinished)) is not None:
                swept.append(Swept(path, freed_bytes))
        except FileNotFoundError:
            continue  # another sweeper was faster
        except OSError as error:
            _log.warning("%s: left by a dead job, could not be removed: %s", path, error.strerror)
    return swept


def _is_ours(path: Path) -> bool:
    status = system.stat(path, follow_symlinks=False)
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid()


def _remove_if_dead(path: Path, unfinished: bool) -> int | None:
    """Bytes freed, or None when the directory may still be wanted."""
    with _opened(path / OWNER_NAME) as fd:
        if fd is None:
            return _remove_if_stillborn(path)
        if not lock_abandoned(fd, path / OWNER_NAME) or not _owner_is_dead(fd) or (is_kept(path) and not unfinished):
            return None
        remove_partial_of(path)
        return remove_flat(path)


def _owner_is_dead(fd: int) -> bool:
    text = system.pread(fd, 4096, 0)
    owner = Owner.from_bytes(text)
    # Nothing in it, or zeros: the machine stopped before the disk had it. It was locked when it got its name and is not
    # now.
    return owner.is_dead() if owner else not text.strip(b"\0")


def _remove_if_stillborn(path: Path) -> int | None:
    with _opened(path / OWNER_DRAFT_NAME) as draft:
        if draft is not None:
            if not lock_abandoned(draft, path / OWNER_DRAFT_NAME):
                return None
            with suppress(FileNotFoundError):  # it has become an owner file meanwhile, and its maker has died
                system.unlink(path / OWNER_DRAFT_NAME)
        try:
            system.rmdir(path)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            return None
    return 0


@contextmanager
def _opened(path: Path) -> Iterator[int | None]:
    """A descriptor that can be locked; None if there is no such file."""
    fd = None
    with suppress(FileNotFoundError):
        fd = system.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        if fd is not None:
            system.close(fd)
