"""What can go wrong between memory and disk, each with its cure in the text.

    OSError
      +-- SpillError               anything a temp directory or an output does to us
      |     +-- TempDirError       --temp-dir is missing, no directory, or not writable
      |     +-- DiskFullError      no room left (ENOSPC) or over quota (EDQUOT)
      |     +-- DiskLimitError     --max-disk reached
      |     +-- RunCorruptError    the bytes are not the bytes that were written
      |           +-- RunTruncatedError
      +-- InputChangedError        the input shrank while it was read
      +-- ThreadLimitError         no more threads, which Python calls a RuntimeError
    RuntimeError
      +-- IOManagerClosedError

Every error survives pickling, so that a worker process can hand it to the job. The errno of the system is
translated in exactly one place, `disk_errors`.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self, TypeVar

from io_manager import platform_files
from memory import format_size

SPILL_CURE = "Point --temp-dir at a larger disk, or raise --memory to spill less."
OUTPUT_CURE = "Free some space there, or write the output to a larger disk."

_FULL = {errno.ENOSPC, errno.EDQUOT}
_CURES = {
    errno.ENOSPC: "Free some space there, or choose a larger disk.",
    errno.EDQUOT: "Free some space there, or choose a larger disk.",
    errno.EMFILE: "Raise the limit on open files (ulimit -n).",
    errno.ENFILE: "End other programs: the whole system has no open files left.",
    errno.EFBIG: "Raise the limit on file sizes (ulimit -f), or choose a file system that takes larger files.",
}


class SpillError(OSError):
    """A temp directory, a run or an output refused; the text names the file and the cure."""

    def __reduce__(self) -> tuple[Any, ...]:
        """With the errno, which OSError forgets unless it is an argument."""
        state = self.__dict__ if self.errno == type(self).errno else {**self.__dict__, "errno": self.errno}
        return type(self), self.args, state


class TempDirError(SpillError):
    """A temp directory is missing, is not a directory, or cannot be written."""


class DiskFullError(SpillError):
    """A directory has no room for what must be written now."""

    errno = errno.ENOSPC
    directory: Path
    needed_bytes: int
    free_bytes: int

    @classmethod
    def at(cls, directory: Path, *, needed_bytes: int, free_bytes: int, cure: str = SPILL_CURE) -> Self:
        """The error for `directory`, with what was needed, what is free and the cure in the text."""
        needed, free = format_size(needed_bytes), format_size(free_bytes)
        error = cls(f"{directory}: the disk is full: needed {needed}, free {free}. {cure}")
        error.directory, error.needed_bytes, error.free_bytes = directory, needed_bytes, free_bytes
        return error


class DiskLimitError(SpillError):
    """Spilling on would take more disk than --max-disk allows."""

    @classmethod
    def reached(cls, *, limit_bytes: int, used_bytes: int, needed_bytes: int) -> Self:
        """The error that says limit, use and need."""
        return cls(
            f"--max-disk {format_size(limit_bytes)} is reached: {format_size(used_bytes)} of spill files are "
            f"in use and {format_size(needed_bytes)} more are needed. Raise --max-disk, or raise --memory to "
            "spill less."
        )


class RunCorruptError(SpillError):
    """A run file does not hold what was written into it."""

    path: Path
    offset: int

    @classmethod
    def at(cls, path: Path, offset: int, found: str) -> Self:
        """The error for the byte `offset` of `path`; `found` says what stands there and what was expected."""
        error = cls(
            f"{path}: damaged at byte {offset}: {found}. Nothing of it was used. Run the job again, "
            "with --temp-dir on another disk if this disk is failing."
        )
        error.path, error.offset = path, offset
        return error


class RunTruncatedError(RunCorruptError):
    """A run file ends before its last byte."""


class InputChangedError(OSError):
    """An input file became shorter, or other bytes, while it was being read."""


class ThreadLimitError(OSError):
    """The system starts no more threads."""

    @classmethod
    def reached(cls) -> Self:
        """The error that says what to do."""
        text = "the system starts no more threads. Lower --threads, or raise the limits (ulimit -u, ulimit -v)."
        return numbered(cls(text), errno.EAGAIN)


class IOManagerClosedError(RuntimeError):
    """The I/O manager, or the file asked for, is closed."""


_OSErrorT = TypeVar("_OSErrorT", bound=OSError)


def numbered(error: _OSErrorT, code: int | None) -> _OSErrorT:
    """The same error with an errno: OSError(code, text) would put "[Errno 2]" before our text."""
    error.errno = code
    return error


@contextmanager
def disk_errors(path: Path, *, doing: str, needed_bytes: int, cure: str = SPILL_CURE) -> Iterator[None]:
    """Translate what the system raises about `path` into this family, once, where it enters.

    `doing` completes "...failed while"; `needed_bytes` is what was asked of the disk.
    """
    try:
        yield
    except SpillError:
        raise
    except OSError as error:
        raise _translated(error, path, doing, needed_bytes, cure) from error


def cure_for(code: int | None) -> str | None:
    """What helps against a limit that was reached, wherever it was."""
    return _CURES.get(code or 0)


def _translated(error: OSError, path: Path, doing: str, needed_bytes: int, cure: str) -> SpillError:
    if error.errno in _FULL:
        with suppress(OSError):  # not even that can be asked any more
            free = platform_files.free_bytes(path.parent)
            return DiskFullError.at(path.parent, needed_bytes=needed_bytes, free_bytes=free, cure=cure)
    advice = cure_for(error.errno) or "See whether that disk is healthy and still mounted, or choose another one."
    return numbered(SpillError(f"{path}: {error.strerror or error} while {doing}. {advice}"), error.errno)
