"""One private directory of one job: made, held, emptied, removed.

    <temp dir>/spillway-<32 hex digits>/    0700 whatever the umask; never an existing name, never by a link
        owner.json                          who made it (see `owner`); locked for as long as the job lives
        run-....spill                       files only, so that removing it never has to descend

`owner.json` is written and locked under another name first: where it stands, it is complete and was locked.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import secrets
import stat
from contextlib import suppress
from pathlib import Path

from io_manager import platform_files
from io_manager.errors import TempDirError
from io_manager.owner import Owner

OWNER_NAME = "owner.json"
OWNER_DRAFT_NAME = "owner.draft"
NAME_PATTERN = re.compile(r"spillway-[0-9a-f]{32}")
_NAME_TRIES = 16
_LOCKS_NOT_OFFERED = {errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS}
_OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class JobDirectory:
    """A directory that is this job's alone, from the constructor to `remove`."""

    def __init__(self, temp_dir: Path, *, direct: bool) -> None:
        """Make it. Raises TempDirError; leaves nothing behind then."""
        self.temp_dir = temp_dir
        self.path = _make_private(temp_dir)
        self.is_full = False
        self.last_chosen = 0
        self._lock_fd = -1
        try:
            self._lock_fd = _claim_ownership(self.path)
            self.direct = direct and platform_files.direct_works(self.path, "direct.probe")
        except OSError as error:
            self.remove()
            raise TempDirError(f"{temp_dir}: {error.strerror}. {_CURE}") from error

    def remove(self) -> None:
        """Delete the files, then the directory. Idempotent; raises OSError when something resists."""
        with suppress(FileNotFoundError):
            remove_flat(self.path)
        fd, self._lock_fd = self._lock_fd, -1
        if fd >= 0:
            os.close(fd)


_CURE = "Choose a directory you may write in with --temp-dir."


def check_temp_dir(temp_dir: Path) -> None:
    """Raises TempDirError unless `temp_dir` is a directory this process may write in."""
    if not temp_dir.exists():
        raise TempDirError(f"{temp_dir}: no such directory. Create it, or choose another with --temp-dir.")
    if not temp_dir.is_dir():
        raise TempDirError(f"{temp_dir}: is not a directory. {_CURE}")
    if not os.access(temp_dir, os.W_OK | os.X_OK):
        raise TempDirError(f"{temp_dir}: permission denied. {_CURE}")


def _make_private(temp_dir: Path) -> Path:
    check_temp_dir(temp_dir)
    for _ in range(_NAME_TRIES):
        path = temp_dir / f"spillway-{secrets.token_hex(16)}"
        try:
            path.mkdir(mode=0o700)  # fails on whatever has that name, a link too
        except FileExistsError:
            continue
        except OSError as error:
            raise TempDirError(f"{temp_dir}: {error.strerror}. {_CURE}") from error
        _insist_on_privacy(path)
        return path
    raise TempDirError(f"{temp_dir}: {_NAME_TRIES} random names were all taken: something is playing tricks. {_CURE}")


def _insist_on_privacy(path: Path) -> None:
    """Mode 0700 for any umask, and the very directory we made, not one put in its place."""
    fd = os.open(path, _OPEN_DIRECTORY)
    try:
        os.fchmod(fd, 0o700)
        if os.fstat(fd).st_uid != os.geteuid():
            raise TempDirError(f"{path}: belongs to someone else as soon as it was made. {_CURE}")
    finally:
        os.close(fd)


def _claim_ownership(path: Path) -> int:
    """Write and lock the owner file; the descriptor returned holds the lock."""
    draft = path / OWNER_DRAFT_NAME
    fd = platform_files.open_new(draft, direct=False)
    try:
        lock(fd)
        os.write(fd, Owner.this_process().to_bytes())
        draft.rename(path / OWNER_NAME)
    except BaseException:
        os.close(fd)
        raise
    return fd


def lock(fd: int) -> bool:
    """Take the lock on an open file, without waiting. False when another process holds it."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _LOCKS_NOT_OFFERED:
            raise
        return False
    return True


def remove_flat(path: Path) -> int:
    """Delete the files in a directory of ours, the owner file last, and the directory; returns the bytes they
    took.

    Never descends, never follows a link: a directory inside is not ours and makes it raise OSError.
    """
    fd = os.open(path, _OPEN_DIRECTORY)
    freed_bytes = 0
    try:
        for name in sorted((entry.name for entry in path.iterdir()), key=OWNER_NAME.__eq__):
            with suppress(FileNotFoundError):
                status = os.stat(name, dir_fd=fd, follow_symlinks=False)
                os.unlink(name, dir_fd=fd)
                freed_bytes += status.st_blocks * 512 if stat.S_ISREG(status.st_mode) else 0
        path.rmdir()
    finally:
        os.close(fd)
    return freed_bytes
