"""Runs on their way to disk: a sorted buffer, block by block, or one record longer than any buffer, as it is read."""

from io_manager import (
    HEADER_BYTES,
    KEY_BYTES_MAX,
    BlockFlags,
    IOManager,
    IOThreads,
    RunFile,
    RunWriter,
)
from memory import Buffer, BufferPool
from serializers.kernels import find_byte
from shuffle.feed import Feed
from shuffle.runs import MemoryRun, block_capacity, payload_address, span_flag
from shuffle.sort_buffer import SortBuffer

BATCH_BLOCKS = 4
"""Blocks copied out for each hop to a worker, if that many buffers are free."""


async def spill_run(
    run: MemoryRun, io: IOManager, pool: BufferPool, workers: IOThreads, *, block_bytes: int
) -> RunFile:
    """Write all blocks of `run`. Its buffer is free for other records afterwards."""
    async with await io.create_run(block_bytes=block_bytes, expected_bytes=run.raw_bytes) as writer:
        for first in range(0, len(run.index), BATCH_BLOCKS):
            await _write_batch(run, writer, pool, workers, first)
        return await writer.finish()


async def _write_batch(run: MemoryRun, writer: RunWriter, pool: BufferPool, workers: IOThreads, first: int) -> None:
    wanted = min(BATCH_BLOCKS, len(run.index) - first)
    number = first
    while number < first + wanted:
        buffers = await _take_some(pool, first + wanted - number)
        try:
            await workers.run(_copy_blocks, run, number, buffers)
            for buffer in list(buffers):
                buffers.remove(buffer)  # the writer takes it over, whatever happens
                await _write_block(run, writer, number, buffer)
                number += 1
        finally:
            for buffer in buffers:
                buffer.release()


async def _take_some(pool: BufferPool, wanted: int) -> list[Buffer]:
    """At least one buffer, and as many more as are free: waiting for several at once could wait for ever."""
    buffers = [await pool.acquire()]
    while len(buffers) < wanted and (buffer := pool.try_acquire()) is not None:
        buffers.append(buffer)
    return buffers


def _copy_blocks(run: MemoryRun, first: int, buffers: list[Buffer]) -> None:
    for number, buffer in enumerate(buffers, first):
        run.copy(number, buffer.view)


async def _write_block(run: MemoryRun, writer: RunWriter, number: int, buffer: Buffer) -> None:
    await writer.write_block(
        buffer,
        raw_length=int(run.index.raw_lengths[number]),
        record_count=int(run.index.record_counts[number]),
        first_key=run.index.first_key(number),
        last_key=run.last_key,
        flags=int(run.index.flags[number]),
    )


class LongLine:
    """A line that fills a whole sort buffer without ending: it becomes a run of one record, written while it is read.

    On return the buffer holds what follows the line, at its front.
    """

    def __init__(self, buffer: SortBuffer, feed: Feed, pool: BufferPool, *, block_bytes: int) -> None:
        self._buffer = buffer
        self._feed = feed
        self._pool = pool
        self._capacity = block_capacity(block_bytes)
        self._key = bytes(buffer.tail[:KEY_BYTES_MAX])
        self._written = 0

    async def spill(self, io: IOManager, *, block_bytes: int) -> RunFile:
        """Write the line, up to and with its delimiter. Reads from the feed as long as it takes."""
        async with await io.create_run(block_bytes=block_bytes, expected_bytes=len(self._buffer.tail)) as writer:
            searched = 0
            while (end := self._find_end(searched)) is None:
                searched = await self._make_room(writer)
                await self._feed.read(self._buffer.free_view(), self._buffer)
            await self._write(writer, end, to_the_end=True)
            self._keep_from(end)
            return await writer.finish()

    def _find_end(self, searched: int) -> int | None:
        """Where the line ends, delimiter included, if it ends within the buffer."""
        tail = self._buffer.tail
        start = payload_address(tail) - HEADER_BYTES
        found = int(find_byte(start + searched, start + len(tail), self._buffer.layout.delimiter)) - start
        return found + 1 if found < len(tail) else None

    async def _make_room(self, writer: RunWriter) -> int:
        """Write whole blocks, but keep the last bytes: they may be all that is left. Returns how many were kept."""
        blocks = (len(self._buffer.tail) - 1) // self._capacity
        await self._write(writer, blocks * self._capacity, to_the_end=False)
        return self._keep_from(blocks * self._capacity)

    def _keep_from(self, offset: int) -> int:
        kept = self._buffer.tail[offset:]
        self._buffer.start(kept)
        return len(kept)

    async def _write(self, writer: RunWriter, length: int, *, to_the_end: bool) -> None:
        whole = self._written + length if to_the_end else self._written + length + 1
        for offset in range(0, length, self._capacity):
            size = min(self._capacity, length - offset)
            buffer = await self._pool.acquire()
            buffer.view[HEADER_BYTES : HEADER_BYTES + size] = self._buffer.tail[offset : offset + size]
            flag = span_flag(self._written + offset, size, whole)
            await writer.write_block(
                buffer,
                raw_length=size,
                record_count=int(flag == BlockFlags.SPAN_FIRST),
                first_key=self._key,
                last_key=self._key,
                flags=flag,
            )
        self._written += length
