"""A sorted sequence of blocks, wherever it is: in its sort buffer, or in a spill file.

Both have an index and give any block into any buffer, so merging, cutting and spilling know one kind of run. Only how a
block arrives differs: out of memory it is copied at once, by the thread that wants it; from disk it is awaited.

A record that is longer than a block takes a chain of whole blocks of its own (`BlockFlags.SPAN_*`).
"""

from pathlib import Path
from typing import Protocol

import numpy as np

from io_manager import (
    HEADER_BYTES,
    KEY_BYTES_MAX,
    BlockFlags,
    BlockHeader,
    BlockIndex,
    PooledBuffer,
    RunCorruptError,
    RunFile,
    RunReader,
    payload_capacity,
)
from serializers import SLACK_BYTES, RecordLayout
from shuffle.errors import NotSortedError
from shuffle.kernels.locate import find_last
from shuffle.sort_buffer import SortBuffer

SPAN = BlockFlags.SPAN_FIRST | BlockFlags.SPAN_MORE | BlockFlags.SPAN_LAST


def block_capacity(block_bytes: int) -> int:
    """Bytes of records in a block of `block_bytes`: without the header, and with the slack that kernels need."""
    return payload_capacity(block_bytes) - SLACK_BYTES


def payload_address(view: memoryview) -> int:
    """Where the payload of the block in `view` begins, for kernels."""
    return int(np.frombuffer(view, np.uint8).ctypes.data) + HEADER_BYTES


class Run(Protocol):
    """Sorted records in numbered blocks. `number` is the run's place in the order of the input."""

    number: int
    name: str
    index: BlockIndex
    last_key: bytes
    is_trusted: bool
    """Whether we sorted it ourselves, so that nobody need look again whether its blocks are in order."""

    @property
    def record_count(self) -> int:
        """Records in all blocks."""

    @property
    def raw_bytes(self) -> int:
        """Bytes of records in all blocks."""

    async def load(self, block: int, buffer: PooledBuffer) -> None:
        """Put the payload of a block at `buffer.view[HEADER_BYTES:]`."""


def span_flags(run: Run, block: int) -> int:
    """What part of a spanning record a block is; 0 for a block of whole records."""
    return int(run.index.flags[block]) & SPAN


def not_in_order(run: Run) -> NotSortedError | RunCorruptError:
    """What to raise when the records of a run are not in order: only a file of the caller's can be sorted first."""
    if run.is_trusted:
        return RunCorruptError.at(Path(run.name), 0, "its records are not in the order in which they were written")
    return NotSortedError(
        f"{run.name}: not in the order asked for. Sort it first, or check --reverse and the key options."
    )


def has_spans(run: Run) -> bool:
    """Whether any record of the run spans blocks."""
    return bool((run.index.flags & SPAN).any())


def span_bytes(run: Run, block: int) -> int:
    """Bytes of the spanning record that begins in `block`."""
    starts = np.flatnonzero(run.index.flags[block:] & BlockFlags.SPAN_LAST)
    return int(run.index.raw_lengths[block : block + int(starts[0]) + 1].sum(dtype=np.uint64))


class FileRun:
    """A run on disk, open for reading."""

    def __init__(self, number: int, file: RunFile, reader: RunReader) -> None:
        self.number = number
        self.name = str(file.path)
        self.is_trusted = True
        self.file = file
        self.reader = reader
        self.index = reader.index
        self.last_key = file.last_key

    @property
    def record_count(self) -> int:
        return self.file.record_count

    @property
    def raw_bytes(self) -> int:
        return self.file.raw_bytes

    async def load(self, block: int, buffer: PooledBuffer) -> None:
        await self.reader.read_block(block, buffer)


class MemoryRun:
    """A sorted buffer, cut into blocks of `block_bytes` that are copied out when they are wanted."""

    def __init__(self, number: int, buffer: SortBuffer, block_bytes: int) -> None:
        self.number = number
        self.name = f"sort buffer {number}"
        self.is_trusted = True
        self.buffer = buffer
        self.index = BlockIndex()
        self._starts: list[int] = []  # position in the sorted order; for a span, of its one record
        self._offsets: list[int] = []  # where in that record the block begins, for a span
        self._cut(buffer, block_capacity(block_bytes))
        self.last_key = self._key(buffer.sorted_count - 1) if buffer.sorted_count else b""

    @property
    def record_count(self) -> int:
        return self.buffer.sorted_count

    @property
    def raw_bytes(self) -> int:
        return int(self.index.raw_lengths.sum(dtype=np.uint64))

    @property
    def block_count(self) -> int:
        """Blocks."""
        return len(self.index)

    @property
    def stands_in_input(self) -> bool:
        """Whether the input holds these very records in this very order, and can be read again."""
        return self.buffer.is_in_input_order and self.buffer.place is not None

    async def load(self, block: int, buffer: PooledBuffer) -> None:
        self.copy(block, buffer.view)

    def copy(self, block: int, view: memoryview) -> None:
        """Copy a block's payload to `view[HEADER_BYTES:]`. In any thread; it lets go of the GIL."""
        length = int(self.index.raw_lengths[block])
        position = self._starts[block]
        if self.index.flags[block]:
            offset = self._offsets[block]
            record = self.buffer.record(position)
            view[HEADER_BYTES : HEADER_BYTES + length] = record[offset : offset + length]
            return
        _, copied = self.buffer.copy_block(position, payload_address(view), length)
        assert copied == length, (copied, length)

    def _cut(self, buffer: SortBuffer, capacity: int) -> None:
        cuts = buffer.measure(capacity, first_capacity=staggered(capacity, self.number))
        position = 0
        for end, size in zip(cuts.ends.tolist(), cuts.sizes.tolist(), strict=True):
            if size > capacity:
                self._add_span(position, size, capacity)
            else:
                self._add(position, 0, size, end - position, 0)
            position = end

    def _add_span(self, position: int, size: int, capacity: int) -> None:
        for offset in range(0, size, capacity):
            length = min(capacity, size - offset)
            self._add(position, offset, length, int(offset == 0), span_flag(offset, length, size))

    def _add(self, position: int, offset: int, length: int, records: int, flags: int) -> None:
        number = len(self.index)
        self._starts.append(position)
        self._offsets.append(offset)
        self.index.append(0, BlockHeader(flags, length, length, records, number, 0, self._key(position)))

    def _key(self, position: int) -> bytes:
        return self.buffer.layout.leading_key(self.buffer.record(position), KEY_BYTES_MAX)


def span_flag(offset: int, length: int, size: int) -> int:
    """The flag of the block that carries `length` bytes from `offset` on of a spanning record of `size` bytes."""
    if offset == 0:
        return BlockFlags.SPAN_FIRST
    return BlockFlags.SPAN_LAST if offset + length == size else BlockFlags.SPAN_MORE


def staggered(capacity: int, number: int) -> int:
    """How long the first block of a run is: differently long in neighbouring runs.

    Runs of one input cover the same keys, and with blocks of one length they would all go dry at the same keys: a burst
    of reads that no read-ahead covers, then none for long. So each run begins with another part of a block, spread by
    the golden ratio.
    """
    return capacity // 8 + capacity * 7 // 8 * (number * 0x9E37_79B9 % (1 << 32)) // (1 << 32)


def last_key_in(layout: RecordLayout, payload: memoryview) -> bytes:
    """The leading key bytes of the last record in a payload of whole records."""
    if layout.is_rows:
        start = payload_address(payload) - HEADER_BYTES
        last = int(find_last(start, start + len(payload), 0, layout.key_bytes, 0)) - start
        return layout.leading_key(payload[last:], KEY_BYTES_MAX)
    if not layout.is_lines:
        return layout.leading_key(payload[len(payload) - layout.record_bytes :], KEY_BYTES_MAX)
    window = 256
    while True:
        start = max(0, len(payload) - 1 - window)
        found = bytes(payload[start : len(payload) - 1]).rfind(bytes([layout.delimiter]))
        if found >= 0 or start == 0:
            return layout.leading_key(payload[start + found + 1 :], KEY_BYTES_MAX)
        window *= 8
