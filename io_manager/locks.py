"""The lock that says that the maker of a file lives: it goes with the process, however that ends.

maker      makes a file, locks it, and looks whether it still has its name: if not, a sweeper was quicker
sweeper    removes a file only under its lock, so nothing that its maker has locked

Where a file system offers no locks nothing is locked, and nothing is swept.
"""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

from io_manager import system

_NOT_OFFERED = {errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS}


def lock_new(fd: int, path: Path) -> bool:
    """Lock what was just made as `path`, once a sweeper has looked at it: False if that one has removed it."""
    try:
        system.flock(fd, fcntl.LOCK_EX)
    except OSError as error:
        if error.errno not in _NOT_OFFERED:
            raise
    return _is_named(fd, path)


def lock_abandoned(fd: int, path: Path) -> bool:
    """Lock what was opened as `path`, whose maker may be dead, without waiting.

    False if the maker lives, if nobody can tell, or if the name is another file's by now: whoever finds its own swept
    away may have made another one of the same name.
    """
    try:
        system.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _NOT_OFFERED:
            raise
        return False
    return _is_named(fd, path)


def _is_named(fd: int, path: Path) -> bool:
    try:
        return os.path.samestat(system.fstat(fd), system.stat(path, follow_symlinks=False))
    except FileNotFoundError:
        return False
