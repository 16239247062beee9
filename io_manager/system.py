"""The one boundary: every call that this floor makes to the file system of the operating system passes here.

    preadv(fd, views, offset)  ──>  [ an interceptor, while one is armed ]  ──>  os.preadv

Names and arguments are those of `os`; where they differ, the docstring says so. A call that a signal interrupts is made
again, so that nobody above sees EINTR. `intercept` is how `faults` gets in between. The price is one look at a variable
for a call that moves a block, or makes a file.

What passes here raises what the system raises: OSError. Questions whose answer is only a hint (`Path.is_dir`, what
stands in /proc) do not pass here.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import functools
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

T = TypeVar("T")
Interceptor: TypeAlias = Callable[..., Any]
"""Called as (operation, function, *arguments): makes the call, or does something else in its place."""

_SYNC_FILE_RANGE_WRITE = 2
_AT_FDCWD, _EXCHANGE = -100, 2
_interceptor: Interceptor | None = None


def intercept(interceptor: Interceptor | None) -> Interceptor | None:
    """Let all calls of this process pass through `interceptor` (None: straight on): the one before."""
    global _interceptor
    before, _interceptor = _interceptor, interceptor
    return before


def _call(operation: str, function: Callable[..., T], *args: Any) -> T:
    while True:
        try:
            return _call_once(operation, function, *args)
        except InterruptedError:  # most calls Python repeats by itself, but none that goes through ctypes
            continue


def _call_once(operation: str, function: Callable[..., T], *args: Any) -> T:
    interceptor = _interceptor
    if interceptor is None:
        return function(*args)
    done: T = interceptor(operation, function, *args)
    return done


# --- descriptors


def open(path: Path, flags: int, mode: int = 0o600, *, dir_fd: int | None = None) -> int:
    """A descriptor. With `dir_fd` of the last name of `path` in that directory, wherever `path` may lead by now."""
    if dir_fd is None:
        return _call("open", os.open, path, flags, mode)

    def open_there(path: Path, flags: int, mode: int) -> int:
        return os.open(path.name, flags, mode, dir_fd=dir_fd)

    return _call("open", open_there, path, flags, mode)


def close(fd: int) -> None:
    """Let go of what was read, is durable or goes away. What close says then, short of EBADF, concerns nobody."""
    try:
        close_written(fd)
    except OSError as error:
        if error.errno == errno.EBADF:
            raise


def close_written(fd: int) -> None:
    """Some file systems say only now that bytes did not arrive.

    Never made again: whatever it says, the descriptor is gone, and may be somebody else's by now.
    """
    with suppress(InterruptedError):
        _call_once("close", os.close, fd)


def pipe() -> tuple[int, int]:
    """Both ends: to read from, to write to."""
    return _call("pipe", os.pipe)


def fstat(fd: int) -> os.stat_result:
    """Of an open file."""
    return _call("fstat", os.fstat, fd)


def lseek(fd: int, position: int, whence: int) -> int:
    """The new position."""
    return _call("lseek", os.lseek, fd, position, whence)


def preadv(fd: int, views: Sequence[memoryview], offset: int) -> int:
    """Bytes read; it may be fewer than there is room for."""
    return _call("preadv", os.preadv, fd, views, offset)


def pwritev(fd: int, views: Sequence[memoryview], offset: int) -> int:
    """Bytes written; it may be fewer than there are."""
    return _call("pwritev", os.pwritev, fd, views, offset)


def pread(fd: int, length: int, offset: int) -> bytes:
    """At most `length` bytes."""
    return _call("pread", os.pread, fd, length, offset)


def readv(fd: int, views: Sequence[memoryview]) -> int:
    """Bytes read from where the descriptor stands."""
    return _call("readv", os.readv, fd, views)


def write(fd: int, data: bytes | memoryview) -> int:
    """Bytes written where the descriptor stands."""
    return _call("write", os.write, fd, data)


def ftruncate(fd: int, length: int) -> None:
    """Make the file so long."""
    _call("ftruncate", os.ftruncate, fd, length)


def fsync(fd: int) -> None:
    """Return when the disk has it all."""
    _call("fsync", os.fsync, fd)


def fchmod(fd: int, mode: int) -> None:
    """Set the mode of an open file."""
    _call("fchmod", os.fchmod, fd, mode)


def fchown(fd: int, user: int, group: int) -> None:
    """Set the owner of an open file."""
    _call("fchown", os.fchown, fd, user, group)


def flock(fd: int, how: int) -> None:
    """Take or give back the lock on an open file."""
    _call("flock", fcntl.flock, fd, how)


def fallocate(fd: int, length: int) -> None:
    """Take `length` bytes of disk for the file, which grows to that length. ENOSYS where the system has no such call.

    fallocate(2) itself, not posix_fallocate: glibc imitates the latter by writing a byte into every page, which is
    slow, and an error on a direct descriptor.
    """
    _call("fallocate", _fallocate, fd, length)


# --- names


def stat(path: Path | str, *, dir_fd: int | None = None, follow_symlinks: bool = True) -> os.stat_result:
    """Of a name, in the directory `dir_fd` if there is one."""
    return _call("stat", functools.partial(os.stat, dir_fd=dir_fd, follow_symlinks=follow_symlinks), path)


def listdir(path: Path) -> list[str]:
    """The names in a directory, in no order."""
    return _call("listdir", os.listdir, path)


def mkdir(path: Path, mode: int) -> None:
    """Make a directory; fails on whatever has that name, a link too."""
    _call("mkdir", os.mkdir, path, mode)


def rmdir(path: Path) -> None:
    """Remove an empty directory."""
    _call("rmdir", os.rmdir, path)


def replace(source: Path, target: Path) -> None:
    """Give a file another name, which it takes over at once if it was a file's."""
    _call("replace", os.replace, source, target)


def exchange(left: Path, right: Path) -> None:
    """Let two names change places at once. ENOSYS where the system has no such call."""
    _call("exchange", _exchange, left, right)


def unlink(path: Path | str, *, dir_fd: int | None = None) -> None:
    """Remove a name, in the directory `dir_fd` if there is one."""
    _call("unlink", functools.partial(os.unlink, dir_fd=dir_fd), path)


def remove(path: Path) -> None:
    """Remove a name, if there is one."""
    with suppress(FileNotFoundError):
        unlink(path)


def access(path: Path, mode: int) -> bool:
    """Whether this process may."""
    return _call("access", os.access, path, mode)


def statvfs(path: Path) -> os.statvfs_result:
    """Of the file system a name stands on."""
    return _call("statvfs", os.statvfs, path)


# --- hints: they move no byte and fail silently


def start_writeback(fd: int, offset: int, length: int) -> None:
    """Ask the kernel to begin writing a range of dirty pages, without waiting."""
    _hint("sync_file_range", _sync_file_range, fd, offset, length)


def advise(fd: int, offset: int, length: int, advice: str) -> None:
    """Tell the kernel what will be wanted; `advice` is the name of the constant."""
    if hasattr(os, "posix_fadvise"):
        _hint("fadvise", os.posix_fadvise, fd, offset, length, getattr(os, advice))


def _hint(operation: str, function: Callable[..., None], *args: Any) -> None:
    try:
        _call(operation, function, *args)
    except OSError:
        return


# --- what Python does not offer


def _fallocate(fd: int, length: int) -> None:
    _call_c("fallocate", fd, 0, ctypes.c_int64(0), ctypes.c_int64(length))


def _exchange(left: Path, right: Path) -> None:
    names = (_AT_FDCWD, os.fsencode(left), _AT_FDCWD, os.fsencode(right))
    _call_c("renameat2", *names, ctypes.c_uint(_EXCHANGE))


def _sync_file_range(fd: int, offset: int, length: int) -> None:
    how = ctypes.c_uint(_SYNC_FILE_RANGE_WRITE)
    _call_c("sync_file_range", fd, ctypes.c_int64(offset), ctypes.c_int64(length), how)


def _call_c(name: str, *args: Any) -> None:
    """Call a C function that may not exist."""
    function = _c_function(name)
    if function is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    if function(*args) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


@functools.cache
def _c_function(name: str) -> Callable[..., int] | None:
    function: Callable[..., int] | None = getattr(ctypes.CDLL(None, use_errno=True), name, None)
    return function
