"""A directory in the making: there whole or not at all.

    .<name>.<random>.partial/   --fsync, rename-->   <name>/   --> fsync of the directory that holds it

It lies beside its target and is under lock while its maker lives; the next job with the same target removes what a dead
one left. What stands under the target's name must be nothing, an empty directory, or, if the caller says so, an output
of ours; that is then exchanged for the new one in one step, where the system can. Everything here blocks.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import re
import shutil
from pathlib import Path

from io_manager import DiskFullError, platform_files
from io_manager.errors import OUTPUT_CURE, disk_errors, numbered
from io_manager.partial_file import partial_path

_ENDING = re.compile(r"\.[0-9a-f]{16}\.partial")
_ENDING_BYTES = len("." + 16 * "0" + ".partial")
_AT_FDCWD, _EXCHANGE = -100, 2
_NO_EXCHANGE = {errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP}


class OutputDirectory:
    """`open`, put files into `partial`, then `publish` or `abandon`. `mark` names a file that all of ours have."""

    def __init__(self, path: str | os.PathLike[str], *, mark: str, overwrite: bool) -> None:
        self.path = Path(path).absolute()
        self.target = Path(os.path.realpath(self.path))  # the directory a link leads to is replaced, not the link
        self.partial = partial_path(self.target)
        self._mark = mark
        self._overwrite = overwrite
        self._lock = -1
        self._is_published = False

    def open(self, expected_bytes: int | None) -> None:
        """Find out now whether it can be made, and make it.

        Raises FileExistsError, NotADirectoryError, FileNotFoundError, PermissionError, DiskFullError, SpillError, each
        with its cure.
        """
        self._check_target()
        needed, free = expected_bytes or 0, platform_files.free_bytes(self.target.parent)
        if needed > free:
            raise DiskFullError.at(self.target.parent, needed_bytes=needed, free_bytes=free, cure=OUTPUT_CURE)
        with disk_errors(self.path, doing="making the directory", needed_bytes=needed, cure=OUTPUT_CURE):
            self._sweep()
            self._make()

    def publish(self) -> None:
        """Give it its name, for good. The files in it are durable already."""
        with disk_errors(self.path, doing="publishing the directory", needed_bytes=0, cure=OUTPUT_CURE):
            self.partial.chmod(0o777 & ~platform_files.current_umask())
            platform_files.fsync_directory(self.partial)
            replaced = self._take_name()
            self._is_published = True
            platform_files.fsync_directory(self.target.parent)
            if replaced is not None:
                shutil.rmtree(replaced)
            self._unlock()

    def abandon(self) -> None:
        """Remove what was made; what stood there stays. Idempotent; does nothing after `publish`."""
        if self._lock >= 0:
            if not self._is_published:
                shutil.rmtree(self.partial, ignore_errors=True)
            self._unlock()

    def _check_target(self) -> None:
        target, parent = self.target, self.target.parent
        if not parent.is_dir():
            text = f"{self.path}: there is no directory {parent}. Create it, or choose another output."
            raise numbered(FileNotFoundError(text), errno.ENOENT)
        if target.exists() and not target.is_dir():
            text = f"{self.path}: is a file. Name a directory, one that need not exist, as the output."
            raise numbered(NotADirectoryError(text), errno.ENOTDIR)
        if not os.access(parent, os.W_OK | os.X_OK):
            text = f"{self.path}: no permission to write in {parent}. Choose another output."
            raise numbered(PermissionError(text), errno.EACCES)
        if target.is_dir() and any(target.iterdir()):
            self._check_replaceable()

    def _check_replaceable(self) -> None:
        is_ours = (self.target / self._mark).is_file()
        if not is_ours:
            text = f"{self.path}: holds files that no shuffle wrote. Choose another output, or an empty directory."
        elif not self._overwrite:
            text = f"{self.path}: holds an output already. Choose another output, or say --overwrite to replace it."
        else:
            return
        raise numbered(FileExistsError(text), errno.EEXIST)

    def _sweep(self) -> None:
        stem = self.partial.name[:-_ENDING_BYTES]
        for entry in list(os.scandir(self.target.parent)):
            name = entry.name
            if name.startswith(stem) and _ENDING.fullmatch(name[len(stem) :]) and entry.is_dir(follow_symlinks=False):
                _remove_dead(Path(entry.path))

    def _make(self) -> None:
        """Under lock. One that was swept away before it was locked is made again."""
        while True:
            self.partial.mkdir(mode=0o700)
            try:
                self._lock = _locked(self.partial, fcntl.LOCK_EX)
            except FileNotFoundError:
                continue
            if self.partial.exists():
                return
            self._unlock()

    def _take_name(self) -> Path | None:
        """Where what stood under the target's name has gone, if it was not empty."""
        try:
            self.partial.rename(self.target)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST) or not self._overwrite:
                raise
        else:
            return None
        self._check_replaceable()
        if _exchange(self.partial, self.target):
            return self.partial
        aside = partial_path(self.target)
        self.target.rename(aside)
        self.partial.rename(self.target)
        return aside

    def _unlock(self) -> None:
        fd, self._lock = self._lock, -1
        os.close(fd)


def _locked(path: Path, how: int) -> int:
    """A descriptor of a directory that is locked."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, how)
    except OSError:
        os.close(fd)
        raise
    return fd


def _remove_dead(path: Path) -> None:
    try:
        fd = _locked(path, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return  # its maker lives, or it is gone already, or not ours
    try:
        shutil.rmtree(path, ignore_errors=True)
    finally:
        os.close(fd)


def _exchange(left: Path, right: Path) -> bool:
    """Let two names change places at once. False where the system cannot."""
    function = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if function is None:
        return False
    if function(_AT_FDCWD, os.fsencode(left), _AT_FDCWD, os.fsencode(right), ctypes.c_uint(_EXCHANGE)) == 0:
        return True
    code = ctypes.get_errno()
    if code not in _NO_EXCHANGE:
        raise OSError(code, os.strerror(code), str(right))
    return False
