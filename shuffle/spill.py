"""Runs on their way to disk: a sorted buffer, block by block."""

from io_manager import IOManager, IOThreads, RunFile, RunWriter
from memory import Buffer, BufferPool
from shuffle.runs import MemoryRun

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
