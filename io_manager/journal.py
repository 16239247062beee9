"""A file that only grows: one record per line, each proved by a checksum that also covers the one before it.

    7c0e5a2f9b1d4e63 {"format": "...", ...}      checksum, a space, JSON, a newline
    a91c44d07be2f815 {"run": {...}, ...}         checksum of (the checksum above, this JSON)

A record is there once its newline is; what was torn when the writer died is not. Reading ends at the first line that
is not what was written, whatever stands behind it: so what is read is always a beginning of what was written, and
never a line from elsewhere, twice, or without those before it. Going on cuts off what was not read.

Only what asks for it waits for the disk. After a power cut a beginning may be all that is left, so nothing may be
destroyed for good because a record says so.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Self

from io_manager import platform_files, system
from io_manager.errors import disk_errors
from io_manager.run_format import checksum

Record = dict[str, Any]

JOURNAL_BYTES_MAX = 1 << 30
"""What a hostile file could make a reader take is bounded; a million runs take a quarter of it."""

_READ_BYTES = 1 << 20
_DIGITS = 16


class Journal:
    """Open for appending. Plain blocking calls, one at a time."""

    def __init__(self, path: Path, fd: int, last_checksum: int, end: int) -> None:
        self.path = path
        self._fd = fd
        self._last_checksum = last_checksum
        self._end = end

    @classmethod
    def create(cls, path: Path) -> Self:
        """A new, private one. Raises SpillError kinds."""
        with disk_errors(path, doing="starting a journal", needed_bytes=0):
            return cls(path, platform_files.open_private(path, direct=False), 0, 0)

    @classmethod
    def resume(cls, path: Path) -> tuple[Self, list[Record]]:
        """One that stands there, and its records; what follows the last good one is cut off."""
        with disk_errors(path, doing="opening a journal", needed_bytes=0):
            fd = system.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
            try:
                records, last_checksum, end = _parse(_read(fd))
                system.ftruncate(fd, end)
            except BaseException:
                system.close(fd)
                raise
        return cls(path, fd, last_checksum, end), records

    def append(self, record: Record, *, durable: bool = False) -> None:
        """Add one record; return when the disk has it, if it is to be `durable`. Raises SpillError kinds; the journal
        is at its end then."""
        text = json.dumps(record, separators=(",", ":")).encode()
        line_checksum = _chained(self._last_checksum, text)
        line = f"{line_checksum:0{_DIGITS}x} ".encode() + text + b"\n"
        with disk_errors(self.path, doing="writing a journal", needed_bytes=len(line)):
            platform_files.write_exactly(self._fd, memoryview(line), self._end)
            if durable:
                system.fsync(self._fd)
        self._end += len(line)
        self._last_checksum = line_checksum

    def close(self) -> None:
        """Idempotent."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            system.close(fd)


def read_journal(path: Path) -> list[Record]:
    """The records of a journal, which is left as it is. Raises OSError where it cannot be read."""
    fd = system.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        return _parse(_read(fd))[0]
    finally:
        system.close(fd)


def _read(fd: int) -> bytes:
    parts, offset = [], 0
    while offset < JOURNAL_BYTES_MAX and (part := system.pread(fd, _READ_BYTES, offset)):
        parts.append(part)
        offset += len(part)
    return b"".join(parts)


def _parse(data: bytes) -> tuple[list[Record], int, int]:
    """The records at the beginning of `data`, the checksum of the last, and where it ends."""
    records: list[Record] = []
    last_checksum = end = 0
    for line in data.splitlines(keepends=True):
        found, text = line[:_DIGITS], line[_DIGITS + 1 : -1]
        wanted = _chained(last_checksum, text)
        if line != f"{wanted:0{_DIGITS}x} ".encode() + text + b"\n" or (record := _record(text)) is None:
            break
        records.append(record)
        last_checksum, end = int(found, 16), end + len(line)
    return records, last_checksum, end


def _record(text: bytes) -> Record | None:
    try:
        record = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None


def _chained(before: int, text: bytes) -> int:
    return checksum(before.to_bytes(8, "little") + text)
