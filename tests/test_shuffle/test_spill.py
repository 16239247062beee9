"""To disk and back: sorted buffers, and lines that no buffer holds, of every awkward length."""

import asyncio
import os
import random
import threading
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from io_manager import DiskLimitError, IOManager
from serializers import lines
from shuffle.feed import Feed
from shuffle.long_records import LongLine
from shuffle.runs import FileRun, span_flag, span_flags
from shuffle.sort_buffer import SortBuffer
from shuffle.spill import BATCH_BLOCKS, spill_run
from tests import tiny

EXTENT_BYTES = 16 << 10
FOLLOWING = b"b\n\na\n"


def records_of(count: int, seed: int) -> list[bytes]:
    """Random lines."""
    rng = random.Random(seed)
    return [rng.randbytes(rng.randrange(60)).replace(b"\n", b"") + b"\n" for _ in range(count)]


# --- a sorted buffer


@pytest.mark.parametrize("codec", ["none", "lz4", "zstd"])
@pytest.mark.parametrize("count", [1, 130, 3000])
@pytest.mark.parametrize("buffers", [1, 2, BATCH_BLOCKS + 1])
def test_what_was_spilled_comes_back(codec: str, count: int, buffers: int) -> None:
    records = records_of(count, seed=count)

    async def check() -> None:
        async with tiny.bench(codec=codec) as bench:
            run = bench.memory_run(0, records)
            with bench.pool(buffers) as pool:
                file = await spill_run(run, bench.io, pool, bench.workers, block_bytes=tiny.BLOCK_BYTES)
            async with await bench.io.open_run(file) as reader:
                assert await bench.payloads(FileRun(0, file, reader)) == await bench.payloads(run)
            assert (file.record_count, file.raw_bytes) == (count, sum(map(len, records)))
            await bench.io.delete_run(file)

    tiny.run(check())


def test_two_spills_share_a_pool_of_two_buffers() -> None:
    """Waiting for several buffers at once could make each wait for what the other holds."""

    async def check() -> None:
        async with tiny.bench() as bench:
            runs = [bench.memory_run(number, records_of(2000, number)) for number in range(4)]
            with bench.pool(2) as pool:
                async with asyncio.TaskGroup() as tasks:
                    spills = [
                        tasks.create_task(spill_run(run, bench.io, pool, bench.workers, block_bytes=tiny.BLOCK_BYTES))
                        for run in runs
                    ]
                assert [spill.result().record_count for spill in spills] == [2000] * 4

    tiny.run(check())


@pytest.mark.parametrize("limit_blocks", [0, 1, 3, 6, 20])
def test_a_full_disk_brings_every_buffer_home(limit_blocks: int) -> None:
    async def check() -> None:
        async with tiny.bench() as bench:
            run = bench.memory_run(0, records_of(3000, seed=3))
            limited = IOManager([bench.directory / "spill"], max_disk_bytes=limit_blocks * tiny.BLOCK_BYTES)
            async with limited as io:
                with bench.pool(6) as pool:
                    with pytest.raises(DiskLimitError):
                        await spill_run(run, io, pool, bench.workers, block_bytes=tiny.BLOCK_BYTES)
                    assert pool.in_use == 0

    tiny.run(check())


# --- a line longer than the buffer


async def stuck_buffer(
    bench: tiny.Bench, stack: AsyncExitStack, paths: list[Path], delimiter: bytes = b"\n"
) -> tuple[SortBuffer, Feed]:
    """A sort buffer that is full of the first line of `paths`."""
    sources = [await bench.open(stack, path) for path in paths]
    feed = Feed(sources, lines(delimiter), bench.workers, on_read=lambda size_bytes: None)
    buffer = SortBuffer(tiny.noisy_extent(bench.manager, EXTENT_BYTES), lines(delimiter), descending=False)
    await feed.fill(buffer)
    assert buffer.is_stuck
    return buffer, feed


async def spill_line(
    bench: tiny.Bench, stack: AsyncExitStack, paths: list[Path], delimiter: bytes = b"\n"
) -> tuple[list[bytes], SortBuffer, Feed]:
    """The payloads of the run that the line became; the buffer and the feed as they are then."""
    buffer, feed = await stuck_buffer(bench, stack, paths, delimiter)
    with bench.pool(3) as pool:
        line = LongLine(buffer, feed.read, pool, block_bytes=tiny.BLOCK_BYTES)
        file = await line.spill(bench.io, block_bytes=tiny.BLOCK_BYTES)
    run = FileRun(0, file, await stack.enter_async_context(await bench.io.open_run(file)))
    payloads = await bench.payloads(run)
    assert (run.record_count, run.raw_bytes) == (1, sum(map(len, payloads)))
    assert run.last_key == run.index.first_key(0) == payloads[0][:64]
    assert {run.index.first_key(block) for block in range(len(run.index))} == {run.last_key}
    flags = [span_flags(run, block) for block in range(len(run.index))]
    size = run.raw_bytes
    assert flags == [
        span_flag(offset, min(tiny.CAPACITY, size - offset), size) for offset in range(0, size, tiny.CAPACITY)
    ]
    return payloads, buffer, feed


LENGTHS = sorted(
    {EXTENT_BYTES + change for change in (-80, 0, 1, 500)}
    | {tiny.CAPACITY * blocks + change for blocks in (5, 6, 8, 9, 13) for change in (-2, -1, 0, 1, 2)}
    | {3 * EXTENT_BYTES, 100_000, 200_001}
)


@pytest.mark.parametrize("following", [b"", FOLLOWING, b"no end", b"n" * 9000 + b"\n"])
def test_a_long_line_of_any_length(following: bytes) -> None:
    async def check(length: int) -> None:
        data = random.Random(length).randbytes(length - 1).replace(b"\n", b"x") + b"\n"
        async with tiny.bench() as bench, AsyncExitStack() as stack:
            path = bench.directory / "input"
            path.write_bytes(data + following)
            payloads, buffer, feed = await spill_line(bench, stack, [path])
            assert b"".join(payloads) == data
            assert [len(payload) for payload in payloads[:-1]] == [tiny.CAPACITY] * (len(payloads) - 1)
            await feed.fill(buffer)
            read = feed.bytes_read - length
            unfinished = feed.ended and following == b"no end"
            held = bytes(buffer.extent.view[: buffer.records_bytes]) + bytes(buffer.tail)
            assert held == following[:read] + (b"\n" if unfinished else b"")

    for length in LENGTHS:
        tiny.run(check(length))


@pytest.mark.parametrize("length", [EXTENT_BYTES, EXTENT_BYTES - 101, 40_000, tiny.CAPACITY * 8 - 1, tiny.CAPACITY * 8])
def test_a_long_line_at_the_end_of_a_file_gets_its_delimiter(length: int) -> None:
    """And the next file goes on behind it."""

    async def check() -> None:
        async with tiny.bench() as bench, AsyncExitStack() as stack:
            paths = [bench.directory / "first", bench.directory / "empty", bench.directory / "second"]
            for path, data in zip(paths, (b"l" * length, b"", FOLLOWING), strict=True):
                path.write_bytes(data)
            payloads, buffer, feed = await spill_line(bench, stack, paths)
            assert b"".join(payloads) == b"l" * length + b"\n"
            await feed.fill(buffer)
            assert feed.ended
            assert bytes(buffer.extent.view[: buffer.records_bytes]) == FOLLOWING

    tiny.run(check())


def test_a_long_line_from_a_pipe_that_ends_without_a_word() -> None:
    async def check(length: int) -> None:
        async with tiny.bench() as bench, AsyncExitStack() as stack:
            path = bench.directory / "pipe"
            os.mkfifo(path)
            writer = threading.Thread(target=path.write_bytes, args=(b"p" * length,))
            writer.start()
            payloads, buffer, _ = await spill_line(bench, stack, [path])
            writer.join()
            assert b"".join(payloads) == b"p" * length + b"\n"
            assert not buffer.tail

    for length in (EXTENT_BYTES, 30_000, tiny.CAPACITY * 8 - 1, tiny.CAPACITY * 8):
        tiny.run(check(length))


def test_several_long_lines_in_a_row_and_another_delimiter() -> None:
    async def check() -> None:
        texts = [b"1\n" * 9000, b"2" * 30_000, b"3" * 70_000]
        async with tiny.bench() as bench, AsyncExitStack() as stack:
            path = bench.directory / "input"
            path.write_bytes(b"".join(text + b"\0" for text in texts))
            buffer, feed = await stuck_buffer(bench, stack, [path], b"\0")
            for text in texts:
                with bench.pool(2) as pool:
                    line = LongLine(buffer, feed.read, pool, block_bytes=tiny.BLOCK_BYTES)
                    file = await line.spill(bench.io, block_bytes=tiny.BLOCK_BYTES)
                async with await bench.io.open_run(file) as reader:
                    assert b"".join(await bench.payloads(FileRun(0, file, reader))) == text + b"\0"
                await feed.fill(buffer)
            assert feed.ended and not buffer.tail and not buffer.record_count

    tiny.run(check())


def test_a_long_line_that_the_disk_has_no_room_for() -> None:
    async def check() -> None:
        async with tiny.bench() as bench, AsyncExitStack() as stack:
            path = bench.directory / "input"
            path.write_bytes(b"l" * 200_000)
            buffer, feed = await stuck_buffer(bench, stack, [path])
            async with IOManager([bench.directory / "spill"], max_disk_bytes=100_000) as io:
                with bench.pool(3) as pool:
                    line = LongLine(buffer, feed.read, pool, block_bytes=tiny.BLOCK_BYTES)
                    with pytest.raises(DiskLimitError):
                        await line.spill(io, block_bytes=tiny.BLOCK_BYTES)
                    assert pool.in_use == 0

    tiny.run(check())
