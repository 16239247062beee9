"""The one place of calls that only some systems have; each has a fallback, so that macOS works too.

Positional reads and writes here are exact: they go on after short counts, and only the end of the file ends a
read early. Direct I/O (past the page cache) needs offsets, lengths and addresses in multiples of
`DIRECT_ALIGNMENT`.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import functools
import mmap
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

# No disk has larger sectors, and no page is smaller.
DIRECT_ALIGNMENT = 4096

# A page-cache write costs 0.2 CPU-seconds per GB and 0.17 s more to unlink after writeback; O_DIRECT in 4 MiB
# blocks costs 0.04, at 2 to 3 GB/s. Spill files are written once and read once: the cache can do nothing for
# them.
_O_DIRECT: int = getattr(os, "O_DIRECT", 0)
_O_COMMON = os.O_CLOEXEC | os.O_NOFOLLOW
_SYNC_FILE_RANGE_WRITE = 2
_NOT_OFFERED = {errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.ENODEV}


def open_new(path: Path, *, direct: bool, mode: int = 0o600) -> int:
    """A descriptor of a new, empty, private file; never follows a link, never opens what exists."""
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | _O_COMMON
    return _without_cache(os.open(path, flags | (_O_DIRECT if direct else 0), mode), direct)


def open_existing(path: Path, *, direct: bool) -> int:
    """A read descriptor of a file of ours; never follows a link."""
    flags = os.O_RDONLY | _O_COMMON
    return _without_cache(os.open(path, flags | (_O_DIRECT if direct else 0)), direct)


def open_direct(path: Path) -> int:
    """A second descriptor of a file of ours, for direct writing; -1 where that is not offered."""
    if not _O_DIRECT:
        return -1
    try:
        return os.open(path, os.O_WRONLY | _O_DIRECT | _O_COMMON)
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
        fd = open_new(path, direct=True)
    except OSError as error:
        path.unlink(missing_ok=True)  # some systems refuse the flag only after making the file
        return _unless_not_offered(error)
    try:
        write_exactly(fd, aligned_bytes(DIRECT_ALIGNMENT), 0)
    except OSError as error:
        return _unless_not_offered(error)
    else:
        return True
    finally:
        os.close(fd)
        path.unlink()


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
        count = _with_any_memory(os.preadv, fd, view[done:], offset + done)
        done += count
        # A direct read that stops inside a sector stopped at the end of the file; asking again there is
        # EINVAL.
        if count == 0 or (count % DIRECT_ALIGNMENT and os.fstat(fd).st_size <= offset + done):
            break
    return done


def write_exactly(fd: int, view: memoryview, offset: int) -> None:
    """Write all of `view` at `offset`."""
    done = 0
    while done < len(view):
        count = _with_any_memory(os.pwritev, fd, view[done:], offset + done)
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

    fallocate(2) itself, not posix_fallocate: glibc imitates the latter by writing a byte into every page,
    which is slow, and an error on a direct descriptor.
    """
    if length <= 0:
        return True
    code = _call("fallocate", fd, 0, ctypes.c_int64(0), ctypes.c_int64(length))
    if code in _NOT_OFFERED:
        return False
    if code:
        raise OSError(code, os.strerror(code))
    return True


def start_writeback(fd: int, offset: int, length: int) -> None:
    """Ask the kernel to begin writing a range of dirty pages, without waiting. Only ever a hint."""
    _call(
        "sync_file_range",
        fd,
        ctypes.c_int64(offset),
        ctypes.c_int64(length),
        ctypes.c_uint(_SYNC_FILE_RANGE_WRITE),
    )


def drop_cache(fd: int, offset: int, length: int) -> None:
    """Tell the kernel that a range will not be read again. Only ever a hint."""
    _advise(fd, offset, length, "POSIX_FADV_DONTNEED")


def advise_sequential(fd: int) -> None:
    """Tell the kernel to read far ahead. Only ever a hint."""
    _advise(fd, 0, 0, "POSIX_FADV_SEQUENTIAL")


def _advise(fd: int, offset: int, length: int, advice: str) -> None:
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(fd, offset, length, getattr(os, advice))


def free_bytes(path: Path) -> int:
    """Bytes an ordinary user may still write on the file system of `path`."""
    figures = os.statvfs(path)
    return figures.f_bavail * figures.f_frsize


def fsync_directory(path: Path) -> None:
    """Make the names in a directory durable, where the file system can."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    except OSError as error:
        _unless_not_offered(error)
    finally:
        os.close(fd)


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


def _call(name: str, *args: Any) -> int:
    """Call a C function that may not exist: 0, or the errno it failed with."""
    function = _c_function(name)
    if function is None:
        return errno.ENOSYS
    while function(*args) != 0:
        code = ctypes.get_errno()
        if code != errno.EINTR:
            return code
    return 0


@functools.cache
def _c_function(name: str) -> Callable[..., int] | None:
    function: Callable[..., int] | None = getattr(ctypes.CDLL(None, use_errno=True), name, None)
    return function
