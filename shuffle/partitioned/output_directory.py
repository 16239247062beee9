"""A directory in the making: there whole or not at all.

    .<name>.<random>.partial/   --fsync, rename-->   <name>/   --> fsync of the directory that holds it

It lies beside its target and is under lock while its maker lives; the next job with the same target removes what a dead
one left. What stands under the target's name must be nothing, an empty directory, or, if the caller says so, an output
of ours; that is then exchanged for the new one in one step, where the system can. Everything here blocks.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
from contextlib import suppress
from pathlib import Path

from io_manager import DiskFullError, platform_files, system
from io_manager.doomed import doom, spare
from io_manager.errors import OUTPUT_CURE, disk_errors, numbered
from io_manager.locks import lock_abandoned, lock_new
from io_manager.partial_file import partial_path

_ENDING = re.compile(r"\.[0-9a-f]{16}\.partial")
_ENDING_BYTES = len("." + 16 * "0" + ".partial")
_OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
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
            system.fchmod(self._lock, 0o777 & ~platform_files.current_umask())
            platform_files.fsync_directory(self.partial)
            self._take_name()
            platform_files.fsync_directory(self.target.parent)
        self.abandon()

    def abandon(self) -> None:
        """Remove what has not got its name, or has lost it to the new one. Idempotent."""
        if self._lock >= 0:
            shutil.rmtree(self.partial, ignore_errors=True)
            if not self.partial.exists():  # else it is tried again at the end, when there may be descriptors for it
                spare(self.partial)
            self._unlock()

    def _check_target(self) -> None:
        target, parent = self.target, self.target.parent
        if not parent.is_dir():
            text = f"{self.path}: there is no directory {parent}. Create it, or choose another output."
            raise numbered(FileNotFoundError(text), errno.ENOENT)
        if target.exists() and not target.is_dir():
            text = f"{self.path}: is a file. Name a directory, one that need not exist, as the output."
            raise numbered(NotADirectoryError(text), errno.ENOTDIR)
        if not system.access(parent, os.W_OK | os.X_OK):
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
        for name in system.listdir(self.target.parent):
            if name.startswith(stem) and _ENDING.fullmatch(name[len(stem) :]):
                _remove_dead(self.target.parent / name)

    def _make(self) -> None:
        """Under lock. One that was swept away before it was locked is made again."""
        doom(self.partial, shutil.rmtree)
        while True:
            system.mkdir(self.partial, 0o700)
            try:
                self._lock = system.open(self.partial, _OPEN_DIRECTORY)
                if lock_new(self._lock, self.partial):
                    return
            except FileNotFoundError:
                continue
            except OSError:
                with suppress(OSError):
                    system.rmdir(self.partial)
                raise
            self._unlock()

    def _take_name(self) -> None:
        """What stood under the target's name, if it was not empty, stands under the partial one then."""
        try:
            system.replace(self.partial, self.target)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST) or not self._overwrite:
                raise
        else:
            return
        self._check_replaceable()
        if _exchange(self.partial, self.target):
            return
        aside = partial_path(self.target)
        system.replace(self.target, aside)
        try:
            system.replace(self.partial, self.target)
        except BaseException:
            system.replace(aside, self.target)
            raise
        system.replace(aside, self.partial)

    def _unlock(self) -> None:
        fd, self._lock = self._lock, -1
        system.close(fd)


def _remove_dead(path: Path) -> None:
    try:
        fd = system.open(path, _OPEN_DIRECTORY)
    except OSError:
        return  # gone already, or not ours
    try:
        if lock_abandoned(fd, path):
            shutil.rmtree(path, ignore_errors=True)
    finally:
        system.close(fd)


def _exchange(left: Path, right: Path) -> bool:
    """Let two names change places at once. False where the system cannot."""
    try:
        system.exchange(left, right)
    except OSError as error:
        if error.errno not in _NO_EXCHANGE:
            raise
        return False
    return True
