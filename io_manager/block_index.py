"""Where each block of a run stands, how long it is and with which key it begins.

One packed numpy table: its bytes are the bytes on disk, so that reading an index copies nothing. It grows by
doubling while a run is written. `check` proves, before any block is read, that the blocks tile the file
without a gap and that every number in the table is within its bound.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from io_manager.run_format import (
    ALIGNMENT,
    ALL_FLAGS,
    HEADER_BYTES,
    KEY_BYTES_MAX,
    SPAN,
    BlockFlags,
    BlockHeader,
    FormatError,
    payload_capacity,
)

ENTRY = np.dtype(
    [
        ("offset", "<u8"),
        ("stored_length", "<u4"),
        ("raw_length", "<u4"),
        ("record_count", "<u4"),
        ("flags", "<u2"),
        ("key_length", "<u2"),
        ("first_key", "u1", (KEY_BYTES_MAX,)),
    ]
)
ENTRY_BYTES = ENTRY.itemsize
_FIRST_CAPACITY = 16

Entries = NDArray[np.void]


class BlockIndex:
    """The block index of one run. The columns are views of one table: stride `ENTRY_BYTES`, no copies."""

    def __init__(self) -> None:
        self._entries: Entries = np.zeros(_FIRST_CAPACITY, ENTRY)
        self._count = 0

    @classmethod
    def from_bytes(cls, view: memoryview, block_count: int) -> BlockIndex:
        """The index that stands in `view`, which it keeps."""
        assert len(view) >= block_count * ENTRY_BYTES, (len(view), block_count)
        index = cls.__new__(cls)
        index._entries = np.frombuffer(view, ENTRY, block_count)
        index._count = block_count
        return index

    def __len__(self) -> int:
        return self._count

    @property
    def memory_bytes(self) -> int:
        """Bytes the table holds in memory."""
        return int(self._entries.nbytes)

    @property
    def offsets(self) -> NDArray[np.uint64]:
        """Byte offset of each block in the file."""
        return self._column("offset")

    @property
    def stored_lengths(self) -> NDArray[np.uint32]:
        """Payload bytes of each block as stored."""
        return self._column("stored_length")

    @property
    def raw_lengths(self) -> NDArray[np.uint32]:
        """Payload bytes of each block once decompressed."""
        return self._column("raw_length")

    @property
    def record_counts(self) -> NDArray[np.uint32]:
        """Records that start in each block."""
        return self._column("record_count")

    @property
    def flags(self) -> NDArray[np.uint16]:
        """`BlockFlags` of each block."""
        return self._column("flags")

    @property
    def key_lengths(self) -> NDArray[np.uint16]:
        """Bytes of `first_keys` that count."""
        return self._column("key_length")

    @property
    def first_keys(self) -> NDArray[np.uint8]:
        """Leading key bytes of the first record starting in each block, zero-padded: shape (blocks, 64)."""
        return self._column("first_key")

    def first_key(self, number: int) -> bytes:
        """The leading key bytes of block `number`."""
        return bytes(self.first_keys[number, : self.key_lengths[number]])

    def part_bytes(self, first: int, stop: int) -> bytes:
        """The bytes on disk of the entries of blocks `first` to `stop - 1`."""
        assert first <= stop <= self._count, (first, stop, self._count)
        return self._entries[first:stop].tobytes()

    def beginning_with(self, key: bytes) -> BlockIndex:
        """The same index, but that its first block begins with a greater key: for whoever wants its end only."""
        index = BlockIndex.from_bytes(memoryview(bytearray(self.part_bytes(0, self._count))), self._count)
        entry: Any = index._entries[0]
        entry["key_length"] = len(key)
        entry["first_key"][:] = np.frombuffer(key.ljust(KEY_BYTES_MAX, b"\0"), np.uint8)
        return index

    def header(self, number: int, run_id: int) -> BlockHeader:
        """The header block `number` of run `run_id` must carry."""
        _, stored, raw, records, flags, _, _ = self._entries[number].item()
        return BlockHeader(flags, stored, raw, records, number, run_id, self.first_key(number))

    def append(self, offset: int, header: BlockHeader) -> None:
        """Add the next block."""
        assert header.block_number == self._count, (header.block_number, self._count)
        if self._count == len(self._entries):
            self._entries = np.concatenate([self._entries, np.zeros_like(self._entries)])
        entry: Any = self._entries[self._count]
        key = header.first_key
        for name, value in (
            ("offset", offset),
            ("stored_length", header.stored_length),
            ("raw_length", header.raw_length),
            ("record_count", header.record_count),
            ("flags", header.flags),
            ("key_length", len(key)),
        ):
            entry[name] = value
        entry["first_key"][: len(key)] = np.frombuffer(key, np.uint8)
        self._count += 1

    def check(self, *, block_bytes: int, index_offset: int) -> None:
        """Raises FormatError (offset: relative to the index) for the first block that cannot be."""
        if not len(self):
            return self._require(np.array([index_offset == ALIGNMENT]), "stands behind bytes no block accounts for")
        ends = self._check_tiles(block_bytes, first_offset=ALIGNMENT)
        return self._require(ends[-1:] == index_offset, "ends elsewhere than the index begins")

    def check_part(self, *, block_bytes: int, index_offset: int) -> None:
        """The same for entries that are not all of the index: whole chains of spanning blocks, one at least."""
        first_offset = int(self.offsets[0])
        self._require(np.array([first_offset >= ALIGNMENT and first_offset % ALIGNMENT == 0]), "begins in no block")
        self._require(self.offsets < index_offset, "stands behind the blocks")
        ends = self._check_tiles(block_bytes, first_offset=first_offset)
        self._require(ends <= index_offset, "ends behind the blocks")

    def _check_tiles(self, block_bytes: int, *, first_offset: int) -> NDArray[np.uint64]:
        """That every block is within bounds and follows the one before: where each ends."""
        ends = self.offsets + _disk_lengths(self.stored_lengths)
        starts = np.concatenate([np.array([first_offset], np.uint64), ends[:-1]])
        packed = (self.flags & BlockFlags.COMPRESSED) != 0
        self._require(self.raw_lengths <= payload_capacity(block_bytes), "is longer than a block")
        self._require(self.stored_lengths <= self.raw_lengths, "is stored longer than it is")
        self._require(packed == (self.stored_lengths < self.raw_lengths), "has a wrong compression flag")
        self._require(self.key_lengths <= KEY_BYTES_MAX, "has a key that is too long")
        self._require(self.offsets == starts, "does not follow the one before it")
        self._require((self.flags & np.uint16(0xFFFF ^ ALL_FLAGS)) == 0, "has reserved flags")
        self._require(_spans_are_whole(self.flags, self.record_counts), "breaks a chain of spanning blocks")
        return ends

    def _require(self, holds: NDArray[np.bool_], problem: str) -> None:
        if not holds.all():
            number = int(np.argmin(holds))
            raise FormatError(number * ENTRY_BYTES, f"index entry of block {number} {problem}")

    def _column(self, name: str) -> NDArray[Any]:
        column: NDArray[Any] = self._entries[name][: self._count]
        return column


def _disk_lengths(stored_lengths: NDArray[np.uint32]) -> NDArray[np.uint64]:
    """`run_format.disk_length` of a whole column."""
    unit = np.uint64(ALIGNMENT)
    padded = stored_lengths.astype(np.uint64) + np.uint64(HEADER_BYTES + ALIGNMENT - 1)
    lengths: NDArray[np.uint64] = padded // unit * unit
    return lengths


def _spans_are_whole(flags: NDArray[np.uint16], record_counts: NDArray[np.uint32]) -> NDArray[np.bool_]:
    """A chain is FIRST, MORE..., LAST without a gap; its one record starts in FIRST."""
    span = flags & np.uint16(SPAN)
    inside = (span == BlockFlags.SPAN_MORE) | (span == BlockFlags.SPAN_LAST)
    opens = (span == BlockFlags.SPAN_FIRST) | (span == BlockFlags.SPAN_MORE)
    follows_open = np.concatenate([np.array([False]), opens[:-1]])
    holds = (inside == follows_open) & (inside | (span == BlockFlags.SPAN_FIRST) | (span == 0))
    holds &= np.where(inside, record_counts == 0, np.where(opens, record_counts == 1, True))
    holds[-1] &= not opens[-1]
    result: NDArray[np.bool_] = holds
    return result


assert ENTRY_BYTES == 88 and HEADER_BYTES == 128, "docs/RUN_FORMAT.md says so"
