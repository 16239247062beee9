"""What a hop to an I/O thread costs, and how fast blocks of each size go to disk and come back, in this process.

The whole way of a block is measured, as a job takes it: pooled buffer, hop, checksum, system call, and four blocks
under way at once. With direct I/O the disk is what counts; through the page cache it is mostly our own cost.
"""

import asyncio
import os
import time
from statistics import median

from benchmarks.measure import tell
from benchmarks.report import Section, Table
from benchmarks.workbench import Workbench, main
from io_manager import MAX_IN_FLIGHT, IOManager, IOThreads, RunFile
from memory import KIB, MIB, BufferPool, MemoryManager, format_size

BLOCK_SIZES = tuple(64 * KIB << doubling for doubling in range(8))
FILE_BYTES_MAX = 512 * MIB
HOPS = 2000

_BUFFERS = 2 * MAX_IN_FLIGHT


def run(bench: Workbench) -> Section:
    """Two tables."""
    return asyncio.run(_run(bench))


async def _run(bench: Workbench) -> Section:
    hops = Table("A hop to an I/O thread and back", ("hops", "us each"), [await _hop_row(bench.pairs)])
    file_bytes = min(FILE_BYTES_MAX, bench.input_bytes)
    rows = [await _block_row(bench, block_bytes, file_bytes) for block_bytes in BLOCK_SIZES]
    header = ("block", "write, direct", "read, direct", "write, cached", "read, cached")
    note = f"GB/s, medians of {bench.pairs}, a run of {format_size(file_bytes)}."
    return Section(tables=[hops, Table("Blocks through a run file", header, rows, note)])


async def _hop_row(rounds: int) -> list[str]:
    threads = IOThreads(MAX_IN_FLIGHT)
    seconds = []
    try:
        for _ in range(rounds):
            started = time.perf_counter()
            for _ in range(HOPS):
                await threads.run(_nothing)
            seconds.append(time.perf_counter() - started)
    finally:
        threads.close()
    return [f"{HOPS:,}", f"{median(seconds) / HOPS * 1e6:.0f}"]


def _nothing() -> None:
    """All the work there is."""


async def _block_row(bench: Workbench, block_bytes: int, file_bytes: int) -> list[str]:
    """Direct and cached in turn, so that both see the same minutes."""
    speeds: dict[bool, list[tuple[float, float]]] = {True: [], False: []}
    for _ in range(bench.pairs):
        for direct, measured in speeds.items():
            os.sync()
            measured.append(await _write_and_read(bench, block_bytes, max(1, file_bytes // block_bytes), direct))
    cells = [f"{median(each) / 1e9:.2f}" for measured in speeds.values() for each in zip(*measured, strict=True)]
    tell(f"  {format_size(block_bytes)}: {', '.join(cells)} GB/s")
    return [format_size(block_bytes), *cells]


async def _write_and_read(bench: Workbench, block_bytes: int, block_count: int, direct: bool) -> tuple[float, float]:
    """Bytes a second, both ways."""
    manager = MemoryManager(_BUFFERS * max(block_bytes, MIB))
    async with IOManager([bench.directory], direct=direct) as io:
        with BufferPool(manager, "io", buffer_bytes=block_bytes, required=_BUFFERS, maximum=_BUFFERS) as pool:
            await _fill(pool)
            started = time.perf_counter()
            written = await _write(io, pool, block_bytes, block_count)
            between = time.perf_counter()
            await _read(io, pool, written)
            ended = time.perf_counter()
    return written.raw_bytes / (between - started), written.raw_bytes / (ended - between)


async def _fill(pool: BufferPool) -> None:
    """Noise in every buffer, so that no page is touched for the first time later."""
    buffers = [await pool.acquire() for _ in range(_BUFFERS)]
    for buffer in buffers:
        buffer.view[:] = os.urandom(len(buffer.view))
        buffer.release()


async def _write(io: IOManager, pool: BufferPool, block_bytes: int, block_count: int) -> RunFile:
    async with await io.create_run(block_bytes=block_bytes, expected_bytes=block_bytes * block_count) as writer:
        for _ in range(block_count):
            await writer.write_block(
                await pool.acquire(), raw_length=writer.block_capacity, record_count=1, first_key=b"", last_key=b""
            )
        return await writer.finish()


async def _read(io: IOManager, pool: BufferPool, written: RunFile) -> None:
    """Several readers of one file, each taking the next block."""
    numbers = iter(range(written.block_count))
    async with await io.open_run(written) as reader:

        async def read_next() -> None:
            buffer = await pool.acquire()
            try:
                for number in numbers:
                    await reader.read_block(number, buffer)
            finally:
                buffer.release()

        async with asyncio.TaskGroup() as tasks:
            for _ in range(MAX_IN_FLIGHT):
                tasks.create_task(read_next())


if __name__ == "__main__":
    main(run, __doc__)
