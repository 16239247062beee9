"""Records in a file of our own, in the order they came: what the driver stages, and what a reduce task makes.

    file   batch, batch, ..., end
    batch  u32 length | 16 bytes of tag (see `io_manager.cipher`) | pickled list of records
    end    a batch of no bytes

Each file is sealed with the key of its job, which nobody else has, and each batch with its number: so nothing is
unpickled that the job did not pickle, neither what somebody put there, nor what a disk spoiled, nor half of it.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import IO, Any

import cloudpickle

from io_manager import JobKey, RunCorruptError, byte_file, platform_files, system
from io_manager.cipher import TAG_BYTES, BrokenSealError, FileSeal, Unit, new_salt
from io_manager.errors import disk_errors
from shuffle.batches import Batches

_RECORDS_FIRST = 4
"""In the first batch: nobody knows yet how large records are."""

_LENGTH_BYTES = 4
_HEAD_BYTES = _LENGTH_BYTES + TAG_BYTES
_BATCH_BYTES_MAX = (1 << 32) - 1


@dataclass(frozen=True)
class RecordFile:
    """A finished file. `salt` tells it apart from the other files of its job."""

    path: Path
    key: JobKey
    salt: bytes = field(repr=False)
    record_count: int
    size_bytes: int
    batch_bytes_max: int

    def read(self) -> Iterator[Any]:
        """All records, once more. Raises RunCorruptError for a file that is not as it was written."""
        return chain.from_iterable(self.batches())

    def batches(self) -> Iterator[list[Any]]:
        """The same in lists."""
        with self._errors("opening"):
            file = byte_file.open_reader(platform_files.open_existing(self.path, direct=False))
        seal = self.key.file_seal(self.salt)
        with file:
            count = 0
            while batch := self._next(file, count, seal):
                yield pickle.loads(batch)
                count += 1
            with self._errors("reading"):
                goes_on = file.read(1)
            if goes_on:
                raise RunCorruptError.at(self.path, self.size_bytes, "the file goes on")

    def _next(self, file: IO[bytes], count: int, seal: FileSeal) -> bytearray:
        """The next batch, of no bytes at the end."""
        with self._errors("reading"):
            head = file.read(_HEAD_BYTES)
            batch = bytearray(min(int.from_bytes(head[:_LENGTH_BYTES], "big"), self.batch_bytes_max))
            del batch[file.readinto(batch) :]  # type: ignore[attr-defined]
        try:
            seal.unseal(Unit.BATCH.number(count), head[:_LENGTH_BYTES], memoryview(batch), head[_LENGTH_BYTES:])
        except BrokenSealError as error:
            found = f"batch {count} is not what was written: {error}"
            raise RunCorruptError.at(self.path, file.tell(), found) from error
        return batch

    def _errors(self, doing: str) -> AbstractContextManager[None]:
        return disk_errors(self.path, doing=f"{doing} records", needed_bytes=0)


class RecordFileWriter:
    """Writes one file; `finish` ends it. Left without, it removes it."""

    def __init__(self, path: Path, key: JobKey) -> None:
        with disk_errors(path, doing="starting a file of records", needed_bytes=0):
            self._file = byte_file.open_writer(platform_files.open_private(path, direct=False))
        self._path, self._key, self._salt = path, key, new_salt()
        self._seal = key.file_seal(self._salt)
        self._batches = Batches(_RECORDS_FIRST)
        self._batch_count = 0
        self._size_bytes = self._batch_bytes_max = 0
        self.record_count = 0

    def write_all(self, records: Iterable[Any]) -> None:
        """Append records, in batches that fit little memory."""
        for batch in self._batches.split(records):
            self._batches.note(len(batch), self.write(batch))

    def write(self, batch: list[Any]) -> int:
        """Append a batch, as large as it is: the bytes it takes. Raises what pickling raises."""
        pickled = cloudpickle.dumps(batch, pickle.HIGHEST_PROTOCOL)
        if len(pickled) > _BATCH_BYTES_MAX:
            raise ValueError(f"{len(batch)} records take 4 GiB or more. Make them smaller, or put them into files")
        self._put(pickled)
        self._batch_count += 1
        self.record_count += len(batch)
        return len(pickled)

    def finish(self) -> RecordFile:
        """Complete the file."""
        self._put(b"")
        with self._errors(0):
            self._file.close()
        return RecordFile(self._path, self._key, self._salt, self.record_count, self._size_bytes, self._batch_bytes_max)

    def _put(self, batch: bytes) -> None:
        head, body = len(batch).to_bytes(_LENGTH_BYTES, "big"), bytearray(batch)
        tag = self._seal.seal(Unit.BATCH.number(self._batch_count), head, memoryview(body))
        size_bytes = _HEAD_BYTES + len(body)
        with self._errors(size_bytes):
            for part in (head, tag, body):
                self._file.write(part)
        self._size_bytes += size_bytes
        self._batch_bytes_max = max(self._batch_bytes_max, len(body))

    def _errors(self, needed_bytes: int) -> AbstractContextManager[None]:
        return disk_errors(self._path, doing="writing records", needed_bytes=needed_bytes)

    def __enter__(self) -> RecordFileWriter:
        return self

    def __exit__(self, *_: object) -> None:
        if not self._file.closed:
            self._file.raw.close()  # and not what is in the buffer: the disk may just have refused it
            system.remove(self._path)
