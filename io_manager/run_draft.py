"""A run file while it is being written, as the I/O threads see it: plain blocking calls, one per hop.

`write` may be called from several threads at once; a turnstile gives the blocks their offsets in block order,
so the same blocks always make the same file.
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from io_manager import platform_files, system
from io_manager.block_index import BlockIndex
from io_manager.cipher import FileSeal, JobKey, new_salt
from io_manager.codec import Codec
from io_manager.disk_account import DiskClaim
from io_manager.errors import disk_errors
from io_manager.index_pages import index_length, write_pages
from io_manager.run_file import RunFile
from io_manager.run_format import (
    ALIGNMENT,
    HEADER_BYTES,
    BlockFlags,
    BlockHeader,
    FileHeader,
    Footer,
    checksum,
    disk_length,
    pack_file_header,
    pack_footer,
    seal_block,
)
from io_manager.turnstile import Turnstile


@dataclass(frozen=True)
class RunTarget:
    """Where a run goes, what it may cost, and what it is sealed with, if it is."""

    path: Path
    run_id: int
    block_bytes: int
    expected_bytes: int
    direct: bool
    claim: DiskClaim
    key: JobKey | None = None


class RunDraft:
    """Owns the descriptor, the end of the file and the growing index."""

    def __init__(self, target: RunTarget, codec: Codec) -> None:
        self.target = target
        self.index = BlockIndex()
        self.turnstile = Turnstile()
        self._codec = codec
        self._fd = -1
        self._end = ALIGNMENT
        self._salt = b"" if target.key is None else new_salt()
        self._seal: FileSeal | None = None if target.key is None else target.key.file_seal(self._salt)

    def open(self) -> None:
        """Make the file, take its disk space, write its header. Raises DiskFullError, SpillError."""
        target = self.target
        with disk_errors(target.path, doing="starting a run", needed_bytes=max(target.expected_bytes, ALIGNMENT)):
            self._fd = platform_files.open_private(target.path, direct=target.direct)
            if platform_files.preallocate(self._fd, target.expected_bytes):
                target.claim.preallocated()
            page = platform_files.aligned_bytes(ALIGNMENT)
            header = FileHeader(target.run_id, target.block_bytes, self._codec.code, self._salt)
            pack_file_header(page, header, self._seal)
            platform_files.write_exactly(self._fd, page, 0)
            target.claim.written_to(ALIGNMENT)

    def write(self, view: memoryview, header: BlockHeader) -> tuple[int, float]:
        """Write the block whose raw payload stands at view[128:]: (bytes on disk, seconds in the system
        call)."""
        header = self._encode(view, header)
        with self.turnstile.turn(header.block_number):
            offset = self._end
            self._end += disk_length(header.stored_length)
            self.target.claim.written_to(self._end)
            self.index.append(offset, header)
        block = seal_block(view, header, self._seal)
        started = time.perf_counter()
        doing = f"writing block {header.block_number} at byte {offset}"
        with disk_errors(self.target.path, doing=doing, needed_bytes=len(block)):
            platform_files.write_exactly(self._fd, block, offset)
        seconds = time.perf_counter() - started
        self._codec.note_write(len(block), seconds)
        return len(block), seconds

    def _encode(self, view: memoryview, header: BlockHeader) -> BlockHeader:
        """Compress the payload in its place, if that makes the block shorter on disk."""
        payload = view[HEADER_BYTES : HEADER_BYTES + header.raw_length]
        stored = self._codec.encode(payload)
        if stored is None or disk_length(len(stored)) >= disk_length(len(payload)):
            return header
        payload[: len(stored)] = stored
        return header._replace(flags=header.flags | BlockFlags.COMPRESSED, stored_length=len(stored))

    def finish(self, last_key: bytes) -> RunFile:
        """Write index and footer behind the last block, and give back the disk space that was not needed."""
        length = index_length(len(self.index), sealed=self._seal is not None)
        tail = platform_files.aligned_bytes(length + ALIGNMENT)
        write_pages(self.index, tail[:length], self._seal)
        footer = self._footer(tail[:length], last_key)
        pack_footer(tail[length:], footer, self._seal)
        disk_bytes = self._end + len(tail)
        self.target.claim.written_to(disk_bytes)
        with disk_errors(self.target.path, doing="writing the block index", needed_bytes=len(tail)):
            platform_files.write_exactly(self._fd, tail, self._end)
            system.ftruncate(self._fd, disk_bytes)
            fd, self._fd = self._fd, -1
            system.close_written(fd)
        self.target.claim.settle(disk_bytes)
        return self._run_file(footer, disk_bytes)

    def _footer(self, index_bytes: memoryview, last_key: bytes) -> Footer:
        return Footer(
            run_id=self.target.run_id,
            block_count=len(self.index),
            index_offset=self._end,
            index_length=len(index_bytes),
            index_checksum=checksum(index_bytes) if self._seal is None else 0,
            record_count=int(self.index.record_counts.sum(dtype="u8")),
            raw_bytes=int(self.index.raw_lengths.sum(dtype="u8")),
            last_key=last_key,
        )

    def _run_file(self, footer: Footer, disk_bytes: int) -> RunFile:
        return RunFile(
            path=self.target.path,
            run_id=footer.run_id,
            block_bytes=self.target.block_bytes,
            disk_bytes=disk_bytes,
            block_count=footer.block_count,
            record_count=footer.record_count,
            raw_bytes=footer.raw_bytes,
            first_key=self.index.first_key(0) if footer.block_count else b"",
            last_key=footer.last_key,
            direct=self.target.direct,
        )

    def close(self) -> None:
        """Close the file. Idempotent."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            system.close(fd)

    def delete(self) -> None:
        """Remove the file. Idempotent; where it resists, it goes with its directory."""
        with suppress(OSError):
            system.remove(self.target.path)
