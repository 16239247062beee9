"""A file object whose bytes are sealed on their way to disk: for what other libraries write and read in sequence.

    write ──pieces of 128 KiB──> u32 length | tag 16 | piece, encrypted in a buffer of its own ──> ByteFile

The file is for its writer alone: what was sealed with, and how many pieces there are, it need not say.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from io_manager.byte_file import ByteFile
from io_manager.cipher import TAG_BYTES, BrokenSealError, JobKey, Unit, new_salt
from io_manager.errors import RunCorruptError

_PIECE_BYTES = 128 << 10
_LENGTH_BYTES = 4
_HEAD_BYTES = _LENGTH_BYTES + TAG_BYTES


class SealedFile:
    """The bytes behind a descriptor, which stays the caller's: written once, then read as often as wanted."""

    def __init__(self, fd: int, key: JobKey, path: Path) -> None:
        """`path` is for errors."""
        self.fd, self.path = fd, path
        self.seal = key.file_seal(new_salt())
        self.piece_count = 0

    def writer(self) -> io.BufferedWriter:
        """What appends; flush it when done."""
        assert not self.piece_count, "written once: no piece is sealed twice with one number"
        return io.BufferedWriter(_Writer(self), _PIECE_BYTES)

    def reader(self) -> io.RawIOBase:
        """What reads all of it, from the beginning. Raises RunCorruptError for what was not written here."""
        return _Reader(self)


class _Writer(io.RawIOBase):
    def __init__(self, owner: SealedFile) -> None:
        super().__init__()
        self._owner = owner
        self._file = ByteFile(owner.fd, owns=False)
        self._position = 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        for start in range(0, len(view), _PIECE_BYTES):
            self._put(bytearray(view[start : start + _PIECE_BYTES]))
        self._position += len(view)
        return len(view)

    def _put(self, piece: bytearray) -> None:
        owner, head = self._owner, len(piece).to_bytes(_LENGTH_BYTES, "little")
        number = Unit.BATCH.number(owner.piece_count)
        owner.piece_count += 1  # before anything can fail: the number is used up
        tag = owner.seal.seal(number, head, memoryview(piece))
        self._file.write(head + tag)
        self._file.write(piece)


class _Reader(io.RawIOBase):
    def __init__(self, owner: SealedFile) -> None:
        super().__init__()
        self._owner = owner
        self._file = ByteFile(owner.fd, owns=False)
        self._count = 0
        self._left = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill `buffer`: fewer bytes only at the end."""
        target, done = memoryview(buffer).cast("B"), 0
        while done < len(target) and (len(self._left) or self._take_next()):
            size = min(len(target) - done, len(self._left))
            target[done : done + size] = self._left[:size]
            self._left = self._left[size:]
            done += size
        return done

    def _take_next(self) -> bool:
        owner = self._owner
        if self._count == owner.piece_count:
            return False
        place = self._file.tell()
        head = self._file.read(_HEAD_BYTES) or b""
        piece = bytearray(min(int.from_bytes(head[:_LENGTH_BYTES], "little"), _PIECE_BYTES))
        del piece[self._file.readinto(piece) :]
        try:
            number = Unit.BATCH.number(self._count)
            owner.seal.unseal(number, head[:_LENGTH_BYTES], memoryview(piece), head[_LENGTH_BYTES:])
        except BrokenSealError as error:
            raise RunCorruptError.at(owner.path, place, str(error)) from error
        self._count += 1
        self._left = memoryview(piece)
        return True
