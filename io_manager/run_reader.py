"""A finished run, read block by block in any order, each byte proved before it is used.

Opening proves header, footer and index against each other, the file's length and what the writer said.
Reading proves a block against its index entry: checksum, run, number, lengths. One hop each; several blocks
may be read at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from io_manager import platform_files, system
from io_manager.block_index import ENTRY_BYTES, BlockIndex
from io_manager.cipher import FileSeal, JobKey
from io_manager.codec import Codec, CodecError, codec_by_code
from io_manager.errors import RunCorruptError, RunTruncatedError, disk_errors
from io_manager.file_channel import FileChannel
from io_manager.index_pages import entries_in, index_length, part_pages
from io_manager.io_threads import IOThreads
from io_manager.run_file import IndexPart, PooledBuffer, RunFile
from io_manager.run_format import (
    ALIGNMENT,
    HEADER_BYTES,
    BlockFlags,
    BlockHeader,
    FileHeader,
    Footer,
    FormatError,
    checksum,
    disk_length,
    parse_file_header,
    parse_footer,
    verify_block,
)
from io_manager.stats import IOStats
from io_manager.to_the_end import to_the_end


class RunReader:
    """Reads one run, or blocks `first_block` on of it. Made by `IOManager.open_run`; `index` stands once it is open."""

    index: BlockIndex
    """Of all blocks, or of those of the part asked for: entry 0 is that of `first_block`."""

    def __init__(
        self,
        run: RunFile,
        *,
        part: IndexPart | None = None,
        threads: IOThreads,
        stats: IOStats,
        on_end: Callable[[RunReader], None],
        key: JobKey | None = None,
    ) -> None:
        """With a `key` the run is one that was sealed with it; any other is damaged."""
        self.run = run
        self.first_block = 0 if part is None else part.first
        self._part = part
        self._stats = stats
        self._on_end = on_end
        self._channel = FileChannel(threads, run.path, self._close_now)
        self._key = key
        self._seal: FileSeal | None = None
        self._codec: Codec
        self._fd = -1

    async def open(self) -> None:
        """Raises RunCorruptError, RunTruncatedError for a file that is not, to the byte, the run asked
        for."""
        await self._channel.run(self._open_now)

    async def read_block(self, number: int, buffer: PooledBuffer) -> BlockHeader:
        """Read block `number`, so that its payload stands at buffer.view[128 : 128 + raw_length].

        The buffer stays the caller's. Raises RunCorruptError; the first error sticks.
        """
        assert 0 <= number - self.first_block < len(self.index), (number, self.first_block, len(self.index))
        assert len(buffer.view) >= self.run.block_bytes, (len(buffer.view), self.run.block_bytes)
        header, seconds = await self._channel.run(self._read_now, number, buffer.view)
        stored_bytes = disk_length(header.stored_length)
        self._stats.note_read(raw_bytes=header.raw_length, stored_bytes=stored_bytes, seconds=seconds)
        return header

    async def close(self, why: str = "closed") -> None:
        """Wait for the reads under way, close the file. Idempotent."""
        await self._channel.close(why)
        self._on_end(self)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await to_the_end(self.close())

    # --- in a thread

    def _close_now(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            system.close(fd)

    def _open_now(self) -> None:
        with disk_errors(self.run.path, doing="opening a run", needed_bytes=0):
            self._fd = platform_files.open_existing(self.run.path, direct=self.run.direct)
            self._check_length(system.fstat(self._fd).st_size)
        header = self._read_header()
        footer = self._read_footer()
        self._agree(header, footer)
        self.index = self._read_index(footer) if self._part is None else self._read_part(footer, self._part)

    def _check_length(self, length: int) -> None:
        expected = self.run.disk_bytes
        if length < max(expected, 2 * ALIGNMENT):
            raise RunTruncatedError.at(self.run.path, length, f"the file ends here, {expected} bytes expected")
        if length != expected:
            raise RunCorruptError.at(self.run.path, expected, f"the file goes on to byte {length}")

    def _read_header(self) -> FileHeader:
        page = self._read_bytes(platform_files.aligned_bytes(ALIGNMENT), 0)
        with self._located(0):
            header = parse_file_header(page, self._key)
            self._seal = None if self._key is None else self._key.file_seal(header.salt)
            try:
                self._codec = codec_by_code(header.codec_code)
            except CodecError as error:
                raise FormatError(12, str(error)) from error
        return header

    def _read_footer(self) -> Footer:
        offset = self.run.disk_bytes - ALIGNMENT
        page = self._read_bytes(platform_files.aligned_bytes(ALIGNMENT), offset)
        with self._located(offset):
            footer = parse_footer(page, self._seal)
            end = footer.index_offset + footer.index_length
            expected_length = index_length(footer.block_count, sealed=self._seal is not None)
            if footer.index_length != expected_length or end != offset or footer.index_offset < ALIGNMENT:
                raise FormatError(32, f"a block index at {footer.index_offset}, {footer.index_length} bytes long")
        return footer

    def _agree(self, header: FileHeader, footer: Footer) -> None:
        run = self.run
        for name, found, expected in (
            ("run id", header.run_id, run.run_id),
            ("run id in the footer", footer.run_id, run.run_id),
            ("block size", header.block_bytes, run.block_bytes),
            ("block count", footer.block_count, run.block_count),
            ("record count", footer.record_count, run.record_count),
            ("raw size", footer.raw_bytes, run.raw_bytes),
            ("last key", footer.last_key, run.last_key),
        ):
            if found != expected:
                raise RunCorruptError.at(run.path, 0, f"another run: {name} is {found!r}, expected {expected!r}")

    def _read_index(self, footer: Footer) -> BlockIndex:
        pages = self._read_bytes(platform_files.aligned_bytes(footer.index_length), footer.index_offset)
        with self._located(footer.index_offset):
            if self._seal is None and (found := checksum(pages)) != footer.index_checksum:
                raise FormatError(0, f"checksum of the block index is {found:#018x}, not {footer.index_checksum:#018x}")
            entries = entries_in(pages, 0, footer.block_count, self._seal)
            index = BlockIndex.from_bytes(entries, footer.block_count)
            index.check(block_bytes=self.run.block_bytes, index_offset=footer.index_offset)
            sums = (index.record_counts.sum(dtype="u8"), index.raw_lengths.sum(dtype="u8"))
            if sums != (footer.record_count, footer.raw_bytes):
                raise FormatError(0, f"the index sums up to {sums}, the footer says otherwise")
        return index

    def _read_part(self, footer: Footer, part: IndexPart) -> BlockIndex:
        """Only the entries asked for: the whole index of a map output is read by no reduce task."""
        if not 0 <= part.first < part.stop <= footer.block_count:
            found = f"blocks {part.first} to {part.stop - 1} are wanted of {footer.block_count}"
            raise RunCorruptError.at(self.run.path, footer.index_offset, found)
        page, page_count = part_pages(part.first, part.stop, sealed=self._seal is not None)
        start = footer.index_offset + page * ALIGNMENT
        pages = self._read_bytes(platform_files.aligned_bytes(page_count * ALIGNMENT), start)
        with self._located(start):
            behind = part.stop * ENTRY_BYTES - page * ALIGNMENT
            if self._seal is None and part.stop == footer.block_count and any(pages[behind:]):
                raise FormatError(behind, "bytes behind the last entry of the block index")
            view = entries_in(pages, part.first, part.stop, self._seal)
            if (found_checksum := checksum(view)) != part.checksum:
                wanted = f"{part.checksum:#018x}"
                raise FormatError(0, f"checksum of entries of the block index is {found_checksum:#018x}, not {wanted}")
            index = BlockIndex.from_bytes(view, part.stop - part.first)
            index.check_part(block_bytes=self.run.block_bytes, index_offset=footer.index_offset)
        return index

    def _read_now(self, number: int, view: memoryview) -> tuple[BlockHeader, float]:
        entry = number - self.first_block
        expected = self.index.header(entry, self.run.run_id)._replace(block_number=number)
        offset = int(self.index.offsets[entry])
        started = time.perf_counter()
        block = self._read_bytes(view[: disk_length(expected.stored_length)], offset)
        seconds = time.perf_counter() - started
        with self._located(offset):
            verify_block(block, expected, self._seal)
            if expected.flags & BlockFlags.COMPRESSED:
                self._decode(view, expected)
        return expected, seconds

    def _decode(self, view: memoryview, header: BlockHeader) -> None:
        stored = view[HEADER_BYTES : HEADER_BYTES + header.stored_length]
        try:
            payload = self._codec.decode(stored, header.raw_length)
        except CodecError as error:
            raise FormatError(HEADER_BYTES, str(error)) from error
        view[HEADER_BYTES : HEADER_BYTES + header.raw_length] = payload

    def _read_bytes(self, view: memoryview, offset: int) -> memoryview:
        with disk_errors(self.run.path, doing=f"reading at byte {offset}", needed_bytes=0):
            count = platform_files.read_exactly(self._fd, view, offset)
        if count < len(view):
            found = f"the file ends here, {len(view) - count} more bytes expected"
            raise RunTruncatedError.at(self.run.path, offset + count, found)
        return view

    @contextmanager
    def _located(self, offset: int) -> Iterator[None]:
        try:
            yield
        except FormatError as error:
            raise RunCorruptError.at(self.run.path, offset + error.offset, str(error)) from error
