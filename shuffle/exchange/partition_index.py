"""The index file beside a map output: written once, and read one entry at a time.

A reduce task asks each map output for its partition: two short reads, whatever the number of partitions.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from io_manager import JobKey, RunCorruptError, RunFile, RunTruncatedError, platform_files, system
from io_manager.errors import disk_errors
from io_manager.run_format import FormatError
from shuffle.cuts import Position
from shuffle.exchange.partition_entry import (
    INDEX_HEADER_BYTES,
    IndexHeader,
    entry_bytes,
    entry_offset,
    index_bytes,
    parse_entry,
    parse_header,
)
from shuffle.stored_slice import StoredSlice


@dataclass(frozen=True)
class PartitionIndex:
    """The index at `path`, as whoever wrote it described it; sealed with `key`, if there is one. All methods block."""

    path: Path
    header: IndexHeader
    run: RunFile
    key: JobKey | None = None

    @property
    def is_sealed(self) -> bool:
        """Whether it must be."""
        return self.key is not None

    @property
    def size_bytes(self) -> int:
        """Length of the file."""
        return index_bytes(self.header.partitions, sealed=self.is_sealed)

    def write(self, data: bytes) -> None:
        """Write all of the file or nothing, with mode 0600, in place of one that was there. Raises SpillError kinds."""
        assert len(data) == self.size_bytes, len(data)
        partial = self.path.with_name(f"{self.path.name}.{self.header.run_id:016x}.partial")
        with disk_errors(self.path, doing="writing the index of a map output", needed_bytes=len(data)):
            try:
                fd = platform_files.open_private(partial, direct=False)
                try:
                    platform_files.write_exactly(fd, memoryview(data), 0)
                finally:
                    system.close_written(fd)
                system.replace(partial, self.path)
            except BaseException:
                system.remove(partial)
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
                seal = parse_header(header, self.header, self.key)
            offset = entry_offset(partition, sealed=self.is_sealed)
            data = self._read(fd, entry_bytes(sealed=self.is_sealed), offset)
            with self._located(offset):
                entry = parse_entry(data, partition, self.run, seal)
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
        with self._opening():
            fd = platform_files.open_existing(self.path, direct=False)
        try:
            with self._opening():
                length, expected = system.fstat(fd).st_size, self.size_bytes
            if length < expected:
                raise RunTruncatedError.at(self.path, length, f"the file ends here, {expected} bytes expected")
            if length > expected:
                raise RunCorruptError.at(self.path, expected, f"the file goes on to byte {length}")
            yield fd
        finally:
            system.close(fd)

    def _opening(self) -> AbstractContextManager[None]:
        return disk_errors(self.path, doing="opening the index of a map output", needed_bytes=0)

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
