"""The index file beside a map output: written once, and read one entry at a time.

A reduce task asks each map output for its partition: two short reads, whatever the number of partitions.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from io_manager import RunCorruptError, RunFile, RunTruncatedError, platform_files
from io_manager.errors import disk_errors
from io_manager.run_format import FormatError
from shuffle.cuts import Position
from shuffle.exchange.partition_entry import (
    INDEX_ENTRY_BYTES,
    INDEX_HEADER_BYTES,
    IndexHeader,
    entry_offset,
    index_bytes,
    parse_entry,
    parse_header,
)
from shuffle.stored_slice import StoredSlice


@dataclass(frozen=True)
class PartitionIndex:
    """The index at `path`, as whoever wrote it described it. Every method blocks."""

    path: Path
    header: IndexHeader
    run: RunFile

    def write(self, data: bytes) -> None:
        """Write all of the file or nothing, with mode 0600, in place of one that was there. Raises SpillError kinds."""
        assert len(data) == index_bytes(self.header.partitions), len(data)
        partial = self.path.with_name(f"{self.path.name}.{self.header.run_id:016x}.partial")
        with disk_errors(self.path, doing="writing the index of a map output", needed_bytes=len(data)):
            try:
                fd = platform_files.open_new(partial, direct=False)
                with os.fdopen(fd, "wb") as file:
                    file.write(data)
                partial.replace(self.path)
            except BaseException:
                partial.unlink(missing_ok=True)
                raise

    def find(self, partition: int) -> StoredSlice | None:
        """The records of `partition`; None if there are none.

        Raises RunCorruptError, RunTruncatedError for a file that is not, to the byte, the index asked for, as far as
        it concerns this partition; SpillError for one that cannot be read.
        """
        assert 0 <= partition < self.header.partitions, (partition, self.header)
        with self._opened() as fd:
            header = self._read(fd, INDEX_HEADER_BYTES, 0)
            with self._located(0):
                parse_header(header, self.header)
            offset = entry_offset(partition)
            data = self._read(fd, INDEX_ENTRY_BYTES, offset)
            with self._located(offset):
                entry = parse_entry(data, partition, self.run)
        if not entry.records:
            return None
        return StoredSlice(
            self.run,
            Position(entry.start_block, entry.start_offset),
            Position(entry.stop_block, entry.stop_offset),
            entry.records,
            entry.raw_bytes,
            entry.first_key,
            entry.last_key,
            entry.index_checksum,
        )

    @contextmanager
    def _opened(self) -> Iterator[int]:
        with disk_errors(self.path, doing="opening the index of a map output", needed_bytes=0):
            fd = platform_files.open_existing(self.path, direct=False)
        try:
            length, expected = os.fstat(fd).st_size, index_bytes(self.header.partitions)
            if length < expected:
                raise RunTruncatedError.at(self.path, length, f"the file ends here, {expected} bytes expected")
            if length > expected:
                raise RunCorruptError.at(self.path, expected, f"the file goes on to byte {length}")
            yield fd
        finally:
            os.close(fd)

    def _read(self, fd: int, length: int, offset: int) -> bytes:
        data = bytearray(length)
        with disk_errors(self.path, doing=f"reading at byte {offset}", needed_bytes=0):
            count = platform_files.read_exactly(fd, memoryview(data), offset)
        if count < length:
            raise RunTruncatedError.at(self.path, offset + count, f"the file ends here, {length - count} bytes missing")
        return bytes(data)

    @contextmanager
    def _located(self, offset: int) -> Iterator[None]:
        try:
            yield
        except FormatError as error:
            raise RunCorruptError.at(self.path, offset + error.offset, str(error)) from error
