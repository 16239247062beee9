"""Records in a file of our own, in the order they came: what the driver stages, and what a reduce task makes.

    file   batch, batch, ..., end
    batch  u32 length | 16 bytes of keyed BLAKE2b, salted with the numbers of file and batch | pickled list of records
    end    a batch of no bytes

Nobody but the job has the key, so nothing is unpickled that the job did not pickle: neither what somebody put there,
nor what a disk spoiled, nor half of it.
"""

from __future__ import annotations

import hashlib
import hmac
import pickle
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import IO, Any

import cloudpickle

from io_manager import RunCorruptError
from shuffle.batches import Batches

_RECORDS_FIRST = 4
"""In the first batch: nobody knows yet how large records are."""

_DIGEST_BYTES = 16
_HEAD_BYTES = 4 + _DIGEST_BYTES
_BATCH_BYTES_MAX = (1 << 32) - 1


@dataclass(frozen=True)
class RecordFile:
    """A finished file. `number` tells it apart from the other files of its job."""

    path: Path
    key: bytes
    number: int
    record_count: int
    size_bytes: int

    def read(self) -> Iterator[Any]:
        """All records, once more. Raises RunCorruptError for a file that is not as it was written."""
        return chain.from_iterable(self.batches())

    def batches(self) -> Iterator[list[Any]]:
        """The same in lists."""
        with self.path.open("rb") as file:
            count = 0
            while batch := self._next(file, count):
                yield pickle.loads(batch)
                count += 1

    def _next(self, file: IO[bytes], count: int) -> bytes:
        """The next batch, b"" at the end."""
        head = file.read(_HEAD_BYTES)
        batch = file.read(min(int.from_bytes(head[:4], "big"), self.size_bytes))
        if not hmac.compare_digest(head[4:], _digest(self.key, self.number, count, batch)):
            raise RunCorruptError.at(self.path, file.tell(), f"batch {count} is not what was written")
        return batch


class RecordFileWriter:
    """Writes one file; `finish` ends it. Left without, it removes it."""

    def __init__(self, path: Path, key: bytes, number: int) -> None:
        self._file = path.open("xb")
        self._path, self._key, self._number = path, key, number
        self._batches = Batches(_RECORDS_FIRST)
        self._batch_count = 0
        self._size_bytes = 0
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
        self._file.close()
        return RecordFile(self._path, self._key, self._number, self.record_count, self._size_bytes)

    def _put(self, batch: bytes) -> None:
        head = len(batch).to_bytes(4, "big") + _digest(self._key, self._number, self._batch_count, batch)
        self._file.write(head)
        self._file.write(batch)
        self._size_bytes += len(head) + len(batch)

    def __enter__(self) -> RecordFileWriter:
        return self

    def __exit__(self, *_: object) -> None:
        if not self._file.closed:
            self._file.close()
            self._path.unlink(missing_ok=True)


def _digest(key: bytes, number: int, batch_number: int, batch: bytes) -> bytes:
    salt = number.to_bytes(8, "big") + batch_number.to_bytes(8, "big")
    return hashlib.blake2b(batch, key=key, salt=salt, digest_size=_DIGEST_BYTES).digest()
