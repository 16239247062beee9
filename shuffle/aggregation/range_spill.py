"""Ranges of records on disk: blocks of many ranges in the order in which they became full, and which are whose.

    Filled ──> runs ──finish──> Ranges: the blocks of range 0, of range 1 ...

A block tells its range and what its records are by its first key: range, 4 bytes, and kind, a byte. A new run begins
when one has as many blocks as all before it, so that there are few, and each may go the quickest way to the disk.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from io_manager import BlockIndex, PooledBuffer, RunCorruptError, RunFile, RunReader, RunWriter
from memory import BufferPool
from shuffle.aggregation.range_rooms import Filled
from shuffle.means import Means

RUN_BLOCKS = 512
"""Of the first run."""

SPARES = 2
"""Fresh buffers that are handed out together: going to the event loop and back for each would cost 100 us."""

BUFFERS_BESIDE = 2 * SPARES
"""With so many buffers beside those in rooms nobody waits for ever: filled, on their way, or fresh."""

BUFFERS_BESIDE_MAX = 12
"""More than can be on their way to disk at once hold memory and nothing else."""

_TAG_BYTES = 5


def range_count(memory_bytes: int, block_bytes: int, ranges_max: int) -> int:
    """How many ranges, a power of two, can have a block in memory each, beside those on their way to disk."""
    room = min(memory_bytes // block_bytes - BUFFERS_BESIDE, ranges_max)
    assert room >= 1, (memory_bytes, block_bytes)
    return 1 << room.bit_length() - 1


def open_pool(means: Means, block_bytes: int, ranges: int, buffers: int, *, beside: int = 0) -> BufferPool:
    """A pool for so many ranges, of at most so many buffers, and others `beside`."""
    required = ranges + BUFFERS_BESIDE
    maximum = max(required, min(buffers, ranges + BUFFERS_BESIDE_MAX))
    return means.room_pool(block_bytes, required=required + beside, maximum=maximum + beside)


class RangeSpill:
    """Takes filled buffers for fresh ones. On one event loop; `close` gives everything back but runs and pool."""

    def __init__(self, means: Means, pool: BufferPool) -> None:
        self._means = means
        self._pool = pool
        self._writer: RunWriter | None = None
        self._run_blocks = 0
        self._runs: list[RunFile] = []
        self._indexes: list[BlockIndex] = []

    async def swap(self, filled: Iterable[Filled], count: int) -> list[PooledBuffer]:
        """Let what is filled go to disk; so many fresh buffers. Raises what the disk does."""
        await self.write_all(filled)
        buffers: list[PooledBuffer] = []
        try:
            while len(buffers) < count:
                buffers.append(await self._pool.acquire())
        except BaseException:
            for buffer in buffers:
                buffer.release()
            raise
        return buffers

    async def write_all(self, filled: Iterable[Filled]) -> None:
        """Let blocks go to disk, and their buffers home, whatever happens."""
        waiting = deque(filled)
        try:
            while waiting:
                await self._write(waiting.popleft())
        except BaseException:
            for each in waiting:
                each.buffer.release()
            raise

    async def finish(self) -> Ranges:
        """All blocks are on disk. What there is of each range."""
        await self._end_run()
        return Ranges(self._runs, self._indexes)

    async def close(self) -> None:
        """End what is being written. Idempotent."""
        writer, self._writer = self._writer, None
        if writer is not None:
            await writer.abort()

    async def _write(self, filled: Filled) -> None:
        try:
            writer = await self._open_writer()
        except BaseException:
            filled.buffer.release()
            raise
        tag = filled.number.to_bytes(_TAG_BYTES - 1, "big") + bytes([filled.kind])
        await writer.write_block(
            filled.buffer, raw_length=filled.length, record_count=filled.record_count, first_key=tag, last_key=tag
        )
        self._run_blocks += 1

    async def _open_writer(self) -> RunWriter:
        if self._writer is not None and self._run_blocks >= max(RUN_BLOCKS, sum(map(len, self._indexes))):
            await self._end_run()
        if self._writer is None:
            self._run_blocks = 0
            block_bytes = self._pool.buffer_bytes
            self._writer = await self._means.io.create_run(block_bytes=block_bytes, expected_bytes=0)
        return self._writer

    async def _end_run(self) -> None:
        if self._writer is not None:
            self._runs.append(await self._writer.finish())
            self._indexes.append(self._writer.index)
            self._writer = None


@dataclass(frozen=True)
class Block:
    """One block: in which run, and where in it; what its records are, how many, and how long together."""

    run: int
    number: int
    kind: int
    record_count: int
    length: int


class Ranges:
    """The blocks of each range, those of one kind together."""

    def __init__(self, runs: list[RunFile], indexes: list[BlockIndex]) -> None:
        self.runs = runs
        self.index_bytes = sum(index.memory_bytes for index in indexes)
        tags = np.concatenate([np.zeros((0, _TAG_BYTES), np.uint8), *(i.first_keys[:, :_TAG_BYTES] for i in indexes)])
        ranges = tags[:, : _TAG_BYTES - 1].copy().view(">u4").ravel().astype(np.int64)
        order = np.lexsort((tags[:, -1], ranges))
        lengths = [len(index) for index in indexes]
        self._ranges, self._kinds = ranges[order], tags[order, -1]
        self._runs = np.repeat(np.arange(len(indexes)), lengths)[order]
        self._numbers = np.concatenate([np.zeros(0, np.int64), *map(np.arange, lengths)])[order]
        counts = [np.asarray(index.record_counts, np.int64) for index in indexes]
        self._counts = np.concatenate([np.zeros(0, np.int64), *counts])[order]
        sizes = [np.asarray(index.raw_lengths, np.int64) for index in indexes]
        self._lengths = np.concatenate([np.zeros(0, np.int64), *sizes])[order]

    def mean_sizes(self) -> tuple[int, int]:
        """(bytes, records) of a range."""
        count = max(1, len(np.unique(self._ranges)))
        return sum(run.raw_bytes for run in self.runs) // count, int(self._counts.sum()) // count

    def numbers(self) -> list[int]:
        """The ranges of which there is anything, in order."""
        found: NDArray[np.int64] = np.unique(self._ranges)
        return [int(number) for number in found]

    def blocks(self, number: int) -> list[Block]:
        """The blocks of a range."""
        start, stop = np.searchsorted(self._ranges, [number, number + 1])
        arrays = self._runs, self._numbers, self._kinds, self._counts, self._lengths
        return [Block(*line) for line in zip(*(each[start:stop].tolist() for each in arrays), strict=True)]


class OpenRanges:
    """The runs of `Ranges`, open for reading until the `async with` ends."""

    def __init__(self, ranges: Ranges, means: Means) -> None:
        self.ranges = ranges
        self._means = means
        self._readers: list[RunReader] = []
        self._stack = AsyncExitStack()

    async def read(self, block: Block, buffer: PooledBuffer) -> None:
        """The records of a block, behind `HEADER_BYTES` of the buffer. Raises what reading a run does."""
        header = await self._readers[block.run].read_block(block.number, buffer)
        if (header.record_count, header.raw_length, header.first_key[-1]) != (
            block.record_count,
            block.length,
            block.kind,
        ):
            path = self.ranges.runs[block.run].path
            raise RunCorruptError.at(path, 0, f"block {block.number} has other records than were written")

    async def __aenter__(self) -> Self:
        try:
            for run in self.ranges.runs:
                self._readers.append(await self._stack.enter_async_context(await self._means.io.open_run(run)))
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()
