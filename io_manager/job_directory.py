"""One private directory of one job: made, held, emptied, removed.

    <temp dir>/spillway-<32 hex digits>/    0700 whatever the umask; never an existing name, never by a link
        owner.json                          who made it (see `owner`); locked for as long as the job lives
        resume.journal                      how far a job that can be resumed has come (see `unfinished`)
        run-....spill                       files only, so that removing it never has to descend

`owner.json` is written and locked under another name first: where it stands, it is complete and was locked. A directory
without it that nobody has under lock is removed by whoever finds it: a maker that meets that makes another.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import stat
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Self

from io_manager import platform_files, system
from io_manager.doomed import doom, spare
from io_manager.errors import TempDirError, cure_for, numbered
from io_manager.locks import lock_abandoned, lock_new
from io_manager.owner import Owner

OWNER_NAME = "owner.json"
OWNER_DRAFT_NAME = "owner.draft"
JOURNAL_NAME = "resume.journal"
NAME_PATTERN = re.compile(r"spillway-[0-9a-f]{32}")
_PROBE_NAME = "direct.probe"
_NAME_TRIES = 16
_LOCK_TRIES, _LOCK_PAUSE_SECONDS = 50, 0.01
_OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class JobDirectory:
    """A directory that is this job's alone, from the constructor to `remove`."""

    def __init__(self, temp_dir: Path, *, direct: bool) -> None:
        """Make it. Raises TempDirError; leaves nothing behind then."""
        self.temp_dir = temp_dir
        self.path, self._lock_fd = _make_owned(temp_dir)
        self._spare_fd = -1
        self.is_full = False
        self.last_chosen = 0
        try:
            self._spare_fd = system.open(self.path, _OPEN_DIRECTORY)
            self.direct = direct and platform_files.direct_works(self.path, _PROBE_NAME)
        except OSError as error:
            self._unlock()
            _unmake(self.path)
            raise refused(temp_dir, error) from error

    @classmethod
    def adopt(cls, path: Path, *, direct: bool) -> Self:
        """Take over a directory that a dead job left, all that is in it, and its lock.

        Raises TempDirError where its job lives, or where it is not what it seems.
        """
        directory = cls.__new__(cls)
        directory.temp_dir, directory.path = path.parent, path
        directory.is_full, directory.last_chosen = False, 0
        directory._lock_fd = directory._spare_fd = -1
        try:
            _insist_on_privacy(path)
            directory._lock_fd = _take_ownership(path)
            system.remove(path / _PROBE_NAME)
            directory.direct = direct and platform_files.direct_works(path, _PROBE_NAME)
        except BaseException as error:
            directory.leave()
            if isinstance(error, OSError) and not isinstance(error, TempDirError):
                raise refused(path, error) from error
            raise
        return directory

    def leave(self) -> None:
        """Give back the lock and let everything stand. Idempotent."""
        spare(self.path)
        self._unlock()

    def remove(self) -> None:
        """Delete the files, then the directory. Idempotent; raises OSError when something resists.

        The lock is given back even then: what is left is safe as long as this process lives, and swept when it is gone.
        """
        try:
            with suppress(FileNotFoundError):
                self._remove_now()
            spare(self.path)
        finally:
            self._unlock()

    def _remove_now(self) -> None:
        try:
            remove_flat(self.path)
        except OSError as error:
            if error.errno not in (errno.EMFILE, errno.ENFILE):
                raise
            self._unlock()  # it takes two descriptors, and two are kept for this
            remove_flat(self.path)

    def _unlock(self) -> None:
        descriptors = (self._lock_fd, self._spare_fd)
        self._lock_fd = self._spare_fd = -1
        for fd in descriptors:
            if fd >= 0:
                system.close(fd)


_CURE = "Choose a directory you may write in with --temp-dir."


def refused(directory: Path, error: OSError) -> TempDirError:
    """What the system said about a temp directory, with the cure."""
    return numbered(TempDirError(f"{directory}: {error.strerror}. {cure_for(error.errno) or _CURE}"), error.errno)


def check_temp_dir(temp_dir: Path) -> None:
    """Raises TempDirError unless `temp_dir` is a directory this process may write in."""
    if not temp_dir.exists():
        raise TempDirError(f"{temp_dir}: no such directory. Create it, or choose another with --temp-dir.")
    if not temp_dir.is_dir():
        raise TempDirError(f"{temp_dir}: is not a directory. {_CURE}")
    if not system.access(temp_dir, os.W_OK | os.X_OK):
        raise TempDirError(f"{temp_dir}: permission denied. {_CURE}")


def _make_owned(temp_dir: Path) -> tuple[Path, int]:
    """A new private directory, and the descriptor that holds the lock of its owner file."""
    check_temp_dir(temp_dir)
    for _ in range(_NAME_TRIES):
        path = temp_dir / f"spillway-{secrets.token_hex(16)}"
        doom(path, remove_flat)
        try:
            system.mkdir(path, 0o700)  # fails on whatever has that name, a link too
        except FileExistsError:
            spare(path)
            continue
        except OSError as error:
            spare(path)
            raise refused(temp_dir, error) from error
        if (lock_fd := _own(path)) is not None:
            return path, lock_fd
    raise TempDirError(f"{temp_dir}: {_NAME_TRIES} random names were all taken: something is playing tricks. {_CURE}")


def _own(path: Path) -> int | None:
    """Make a directory ours; None if a sweeper removed it, who could not know yet that its maker lives."""
    try:
        _insist_on_privacy(path)
        return _claim_ownership(path)
    except FileNotFoundError:
        spare(path)
        return None
    except TempDirError:
        spare(path)
        raise
    except OSError as error:
        _unmake(path)
        raise refused(path.parent, error) from error


def _unmake(path: Path) -> None:
    """Remove a directory just made; without a descriptor, since that may be what it has failed for."""
    with suppress(OSError):
        for name in (_PROBE_NAME, OWNER_DRAFT_NAME, OWNER_NAME):
            system.remove(path / name)
        system.rmdir(path)
        spare(path)


def _insist_on_privacy(path: Path) -> None:
    """Mode 0700 for any umask, and the very directory we made, not one put in its place."""
    fd = system.open(path, _OPEN_DIRECTORY)
    try:
        system.fchmod(fd, 0o700)
        if system.fstat(fd).st_uid != os.geteuid():
            raise TempDirError(f"{path}: belongs to someone else as soon as it was made. {_CURE}")
    finally:
        system.close(fd)


def _claim_ownership(path: Path) -> int:
    """Write and lock the owner file; the descriptor returned holds the lock. Raises FileNotFoundError if swept."""
    draft = path / OWNER_DRAFT_NAME
    fd = platform_files.open_private(draft, direct=False)
    try:
        if not lock_new(fd, draft):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(draft))
        _write_all(fd, Owner.this_process().to_bytes())
        system.replace(draft, path / OWNER_NAME)
    except BaseException:
        system.close(fd)
        raise
    return fd


def _write_all(fd: int, text: bytes) -> None:
    while text:
        count = system.write(fd, text)
        if not count:
            raise OSError(errno.EIO, "the disk took no bytes")
        text = text[count:]


def _take_ownership(path: Path) -> int:
    """Lock the owner file of a dead job, and write this process into it; the descriptor returned holds the lock."""
    fd = system.open(path / OWNER_NAME, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        for _ in range(_LOCK_TRIES):
            if lock_abandoned(fd, path / OWNER_NAME):
                text = Owner.this_process().to_bytes()
                platform_files.write_exactly(fd, memoryview(text), 0)
                system.ftruncate(fd, len(text))
                return fd
            time.sleep(_LOCK_PAUSE_SECONDS)  # whoever sweeps holds the lock for an instant
        owner = Owner.from_bytes(system.pread(fd, 4096, 0))
        who = f"process {owner.pid} on {owner.host}" if owner else "another process"
        raise TempDirError(f"{path}: {who} is at this very job. Wait for it, or end it and run the same command again.")
    except BaseException:
        system.close(fd)
        raise


def remove_flat(path: Path) -> int:
    """Delete the files in a directory of ours, the owner file last, and the directory; returns the bytes they
    took.

    Never descends, never follows a link: a directory inside is not ours and makes it raise OSError. So does a file that
    resists, but only when the others are gone; the owner file then stays too.
    """
    fd = system.open(path, _OPEN_DIRECTORY)
    try:
        names = set(system.listdir(path))
        freed_bytes = _remove_files(sorted(names - {OWNER_NAME}), fd) + _remove_files(names & {OWNER_NAME}, fd)
        system.rmdir(path)
    finally:
        system.close(fd)
    return freed_bytes


def _remove_files(names: Iterable[str], directory_fd: int) -> int:
    freed_bytes, errors = 0, []
    for name in names:
        try:
            status = system.stat(name, dir_fd=directory_fd, follow_symlinks=False)
            system.unlink(name, dir_fd=directory_fd)
            freed_bytes += status.st_blocks * 512 if stat.S_ISREG(status.st_mode) else 0
        except FileNotFoundError:
            continue
        except OSError as error:
            errors.append(error)
    if errors:
        raise errors[0]
    return freed_bytes
