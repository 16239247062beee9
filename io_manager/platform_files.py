"""The one place of calls that only some systems have; each has a fallback, so that macOS works too.

Positional reads and writes here are exact: they go on after short counts, and only the end of the file ends a
read early. Direct I/O (past the page cache) needs offsets, lengths and addresses in multiples of
`DIRECT_ALIGNMENT`.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import mmap
import os
import secrets
import stat
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from io_manager import system

# No disk has larger sectors, and no page is smaller.
DIRECT_ALIGNMENT = 4096

# A page-cache write costs 0.2 CPU-seconds per GB and 0.17 s more to unlink after writeback; O_DIRECT in 4 MiB
# blocks costs 0.04, at 2 to 3 GB/s. Spill files are written once and read once: the cache can do nothing for
# them.
_O_DIRECT: int = getattr(os, "O_DIRECT", 0)
_O_COMMON = os.O_CLOEXEC | os.O_NOFOLLOW
_NOT_OFFERED = {errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.ENODEV}


def open_new(path: Path, *, direct: bool, mode: int = 0o600) -> int:
    """A descriptor of a new, empty, private file; never follows a link, never opens what exists."""
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | _O_COMMON
    return _without_cache(system.open(path, flags | (_O_DIRECT if direct else 0), mode), direct)


def open_private(path: Path, *, direct: bool) -> int:
    """The same in a directory that has to be this user's alone, and no link: mode 0600 whatever the umask.

    So who may rename the directory, and puts a link or a directory in its place, gets nothing: neither the file, nor
    one of ours where he wants it. Raises PermissionError then, or what opening a link does.
    """
    directory = system.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | _O_COMMON)
    try:
        status = system.fstat(directory)
        if status.st_uid != os.geteuid() or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise PermissionError(errno.EPERM, "the directory is not this user's alone", str(path.parent))
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | _O_COMMON | (_O_DIRECT if direct else 0)
        fd = system.open(path, flags, dir_fd=directory)
    finally:
        system.close(directory)
    try:
        system.fchmod(fd, 0o600)
    except BaseException:
        system.close(fd)
        raise
    return _without_cache(fd, direct)


def open_unnamed(directory: Path) -> int:
    """A descriptor of a new private file without a name: it is gone with its descriptor, however the process ends."""
    fd = -1
    if hasattr(os, "O_TMPFILE"):
        with suppress(OSError):  # not every file system has such files
            fd = system.open(directory, os.O_TMPFILE | os.O_RDWR | os.O_EXCL | os.O_CLOEXEC)
    try:
        if fd < 0:
            fd = _open_and_unlink(directory)
        system.fchmod(fd, 0o600)
    except BaseException:
        if fd >= 0:
            system.close(fd)
        raise
    return fd


def _open_and_unlink(directory: Path) -> int:
    path = directory / f"spillway-{secrets.token_hex(16)}.unnamed"
    fd = open_new(path, direct=False)
    try:
        system.unlink(path)
    except BaseException:
        system.close(fd)
        raise
    return fd


def open_existing(path: Path, *, direct: bool) -> int:
    """A read descriptor of a file of ours; never follows a link."""
    flags = os.O_RDONLY | _O_COMMON
    return _without_cache(system.open(path, flags | (_O_DIRECT if direct else 0)), direct)


def open_direct(path: Path) -> int:
    """A second descriptor of a file of ours, for direct writing; -1 where that is not offered."""
    if not _O_DIRECT:
        return -1
    try:
        return system.open(path, os.O_WRONLY | _O_DIRECT | _O_COMMON)
    except OSError as error:
        _unless_not_offered(error)
        return -1


def address_of(view: memoryview) -> int:
    """Where the bytes of a writable view stand in memory."""
    return ctypes.addressof(ctypes.c_char.from_buffer(view)) if len(view) else 0


def _without_cache(fd: int, direct: bool) -> int:
    if direct and sys.platform == "darwin":
        fcntl.fcntl(fd, fcntl.F_NOCACHE, 1)
    return fd


def direct_works(directory: Path, probe_name: str) -> bool:
    """Whether files in `directory` take direct I/O; found out once, with one block that is deleted again.

    Raises OSError when the directory cannot be written at all.
    """
    path = directory / probe_name
    try:
        fd = open_private(path, direct=True)
    except OSError as error:
        system.remove(path)  # some systems refuse the flag only after making the file
        return _unless_not_offered(error)
    try:
        write_exactly(fd, aligned_bytes(DIRECT_ALIGNMENT), 0)
    except OSError as error:
        return _unless_not_offered(error)
    else:
        return True
    finally:
        system.close(fd)
        system.unlink(path)


def _unless_not_offered(error: OSError) -> bool:
    if error.errno not in _NOT_OFFERED:
        raise error
    return False


def aligned_bytes(length: int) -> memoryview:
    """`length` zero bytes at an address direct I/O accepts (an anonymous mapping; freed with its last
    view)."""
    return memoryview(mmap.mmap(-1, max(length, 1)))[:length]


def read_exactly(fd: int, view: memoryview, offset: int) -> int:
    """Fill `view` from `offset`; fewer bytes than asked for only where the file ends. Returns the bytes
    read."""
    done = 0
    while done < len(view):
        count = _with_any_memory(system.preadv, fd, view[done:], offset + done)
        done += count
        # A direct read that stops inside a sector stopped at the end of the file; asking again there is
        # EINVAL.
        if count == 0 or (count % DIRECT_ALIGNMENT and system.fstat(fd).st_size <= offset + done):
            break
    return done


def write_exactly(fd: int, view: memoryview, offset: int) -> None:
    """Write all of `view` at `offset`."""
    done = 0
    while done < len(view):
        count = _with_any_memory(system.pwritev, fd, view[done:], offset + done)
        if count == 0:
            raise OSError(errno.EIO, "the disk took no bytes")
        done += count


def _with_any_memory(operation: Callable[..., int], fd: int, view: memoryview, offset: int) -> int:
    """Do it; where a direct descriptor refuses (a heap buffer's memory is not aligned), use the cache."""
    try:
        return operation(fd, [view], offset)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        flags = fcntl.fcntl(fd, fcntl.F_GETFL)  # another thread may have been here already
        fcntl.fcntl(fd, fcntl.F_SETFL, flags & ~_O_DIRECT)
    return operation(fd, [view], offset)


def preallocate(fd: int, length: int) -> bool:
    """Take `length` bytes of disk for the file now, so that a full disk says so now. False where that is not
    offered.
    """
    if length <= 0:
        return True
    try:
        system.fallocate(fd, length)
    except OSError as error:
        return _unless_not_offered(error)
    return True


def start_writeback(fd: int, offset: int, length: int) -> None:
    """Ask the kernel to begin writing a range of dirty pages, without waiting. Only ever a hint."""
    system.start_writeback(fd, offset, length)


def advise_sequential(fd: int) -> None:
    """Tell the kernel to read far ahead. Only ever a hint."""
    system.advise(fd, 0, 0, "POSIX_FADV_SEQUENTIAL")


def free_bytes(path: Path) -> int:
    """Bytes an ordinary user may still write on the file system of `path`."""
    figures = system.statvfs(path)
    return figures.f_bavail * figures.f_frsize


def fsync_directory(path: Path) -> None:
    """Make the names in a directory durable, where the file system can."""
    fd = system.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        system.fsync(fd)
    except OSError as error:
        _unless_not_offered(error)
    finally:
        system.close(fd)


def current_umask() -> int:
    """The umask, read where Linux shows it; elsewhere by setting it for an instant (the only other way)."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        lines = []
    for line in lines:
        if line.startswith("Umask:"):
            return int(line.split()[1], 8)
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
