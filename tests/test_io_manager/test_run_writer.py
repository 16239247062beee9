"""Writing behind: order, slots, the first error; and buffers, files and accounts come back in every case."""

from __future__ import annotations

import asyncio
import errno
import threading
from pathlib import Path
from typing import Any

import pytest

from io_manager import (
    MAX_IN_FLIGHT,
    BlockFlags,
    DiskFullError,
    DiskLimitError,
    IOManager,
    IOManagerClosedError,
    SpillError,
    platform_files,
)
from io_manager.codec import NoCodec
from memory import BufferPool
from tests.test_io_manager.harness import (
    BLOCK_BYTES,
    Block,
    buffers,
    fail_write,
    put,
    random_blocks,
    read_run,
    run,
    text_blocks,
    write_run,
)


def spill_files(temp_dir: Path) -> list[Path]:
    return list(temp_dir.rglob("*.spill"))


@pytest.mark.parametrize("codec", ["none", "lz4", "zstd", "auto"])
@pytest.mark.parametrize("direct", [True, False])
def test_what_goes_in_comes_out(tmp_path: Path, codec: str, direct: bool) -> None:
    blocks = [*text_blocks(10), *random_blocks(10)]

    async def attempt() -> None:
        with buffers() as pool:
            async with IOManager([tmp_path], codec=codec, direct=direct) as io:
                written = await write_run(io, pool, blocks)
                assert await read_run(io, pool, written) == [block.payload for block in blocks]
                assert written.disk_bytes == written.path.stat().st_size == io.stats.disk_bytes
                stats = io.stats
                assert stats.raw_bytes_written == stats.raw_bytes_read == written.raw_bytes
                assert stats.stored_bytes_written == stats.stored_bytes_read
                assert (stats.blocks_written, stats.blocks_read, stats.runs_written) == (20, 20, 1)

    run(attempt())


def test_compression_finishing_out_of_order_keeps_blocks_in_order(tmp_path: Path) -> None:
    """Even blocks wait for the odd ones after them; the file must look as if they had not."""

    class Slow(NoCodec):
        overtaken = threading.Event()

        def encode(self, payload: memoryview) -> bytes | None:
            if payload[0] == 0:
                assert self.overtaken.wait(10)
            else:
                self.overtaken.set()
            return None

    async def attempt() -> None:
        with buffers() as pool:
            async with IOManager([tmp_path], io_threads=2) as io:
                io.codec = Slow()
                blocks = [Block(bytes([n]) * 500) for n in range(2)]
                written = await write_run(io, pool, blocks)
                async with await io.open_run(written) as reader:
                    assert reader.index.offsets.tolist() == [4096, 8192]
                assert await read_run(io, pool, written) == [block.payload for block in blocks]

    run(attempt())


def test_slots_bound_what_is_in_flight(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate, real = threading.Event(), platform_files.write_exactly

    def gated(fd: int, view: memoryview, offset: int) -> None:
        assert offset == 0 or gate.wait(10)
        real(fd, view, offset)

    monkeypatch.setattr(platform_files, "write_exactly", gated)

    async def attempt() -> None:
        with buffers(MAX_IN_FLIGHT + 1) as pool:
            async with IOManager([tmp_path], io_threads=1) as io:
                writer = await io.create_run(block_bytes=BLOCK_BYTES, expected_bytes=0)
                for block in random_blocks(MAX_IN_FLIGHT):
                    await put(writer, pool, block)
                fifth = asyncio.create_task(put(writer, pool, Block(b"fifth")))
                for _ in range(10):
                    await asyncio.sleep(0)
                assert not fifth.done() and pool.in_use == MAX_IN_FLIGHT + 1
                gate.set()
                await fifth
                assert (await writer.finish()).block_count == MAX_IN_FLIGHT + 1

    run(attempt())


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
@pytest.mark.parametrize("at_call", [3, 4, 8])
def test_the_first_error_sticks_and_everything_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, at_call: int
) -> None:
    """Calls 0 to 2 are the owner of the directory, its probe, and the header of the file."""
    expected = SpillError if code == errno.EIO else DiskFullError

    async def attempt() -> None:
        fail_write(monkeypatch, code, at_call=at_call)
        with buffers() as pool:
            async with IOManager([tmp_path]) as io:
                writer = await io.create_run(block_bytes=BLOCK_BYTES, expected_bytes=1 << 16)
                with pytest.raises(expected) as first:
                    for block in random_blocks(8):
                        await put(writer, pool, block)
                    await writer.finish()
                assert isinstance(first.value.__cause__, OSError) and first.value.__cause__.errno == code
                assert str(tmp_path) in str(first.value)
                for _ in range(2):
                    with pytest.raises(expected) as later:
                        await put(writer, pool, Block(b"late"))
                    assert later.value is first.value
                with pytest.raises(expected):
                    await writer.finish()
                await writer.abort()
                await writer.abort()
                assert not spill_files(tmp_path) and io.stats.disk_bytes == 0 and pool.in_use == 0
        assert not list(tmp_path.iterdir())

    run(attempt())


def test_waiters_get_the_error_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = threading.Event()

    def failing(fd: int, view: memoryview, offset: int) -> None:
        if offset:
            assert gate.wait(10)
            raise OSError(errno.EIO, "injected")

    async def attempt() -> None:
        with buffers(12) as pool:
            async with IOManager([tmp_path], direct=False) as io:
                monkeypatch.setattr(platform_files, "write_exactly", failing)
                writer = await io.create_run(block_bytes=BLOCK_BYTES, expected_bytes=0)
                puts = [asyncio.create_task(put(writer, pool, block)) for block in random_blocks(12)]
                await asyncio.sleep(0)
                gate.set()
                results = await asyncio.gather(*puts, return_exceptions=True)
                assert sum(isinstance(result, SpillError) for result in results) == 12 - MAX_IN_FLIGHT
                await writer.abort()

    run(attempt())


def test_cancelling_gives_back_the_buffer_only_when_the_thread_is_done(tmp_path: Path) -> None:
    async def attempt() -> None:
        with buffers(8) as pool:
            async with IOManager([tmp_path], io_threads=1) as io:
                writer = await io.create_run(block_bytes=BLOCK_BYTES, expected_bytes=0)

                async def produce() -> None:
                    for block in random_blocks(100):
                        await put(writer, pool, block)

                task = asyncio.create_task(produce())
                while not io.stats.blocks_written:
                    await asyncio.sleep(0)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                for behind in list(writer._tasks):
                    behind.cancel()
                await writer.abort()
                assert pool.in_use == 0 and not spill_files(tmp_path)

    run(attempt())


@pytest.mark.parametrize("state", ["new", "written", "failed", "finished", "aborted"])
def test_the_manager_closes_writers_in_every_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: str) -> None:
    async def attempt() -> None:
        with buffers() as pool:
            async with IOManager([tmp_path]) as io:
                writer = await io.create_run(block_bytes=BLOCK_BYTES, expected_bytes=1 << 15)
                await prepare(io, writer, pool)
            assert not list(tmp_path.iterdir())
            if state != "finished":
                with pytest.raises((IOManagerClosedError, SpillError)):
                    await writer.finish()
            with pytest.raises(IOManagerClosedError):
                await io.create_run(block_bytes=BLOCK_BYTES, expected_bytes=0)
            await writer.abort() if state in ("finished", "aborted") else None

    async def prepare(io: IOManager, writer: Any, pool: BufferPool) -> None:
        if state == "failed":
            fail_write(monkeypatch, errno.EIO, at_call=0)
        if state != "new":
            for block in random_blocks(3):
                await put(writer, pool, block)
        if state == "finished":
            assert await writer.finish() is await writer.finish()
        if state == "aborted":
            await writer.abort()

    run(attempt())


def test_a_run_may_be_empty(tmp_path: Path) -> None:
    async def attempt() -> None:
        with buffers() as pool:
            async with IOManager([tmp_path]) as io:
                written = await write_run(io, pool, [])
                assert (written.disk_bytes, written.block_count, written.first_key) == (8192, 0, b"")
                assert await read_run(io, pool, written) == []

    run(attempt())


@pytest.mark.parametrize(
    ("flags", "record_count"),
    [
        (BlockFlags.SPAN_MORE, 0),
        (BlockFlags.SPAN_LAST, 0),
        (BlockFlags.SPAN_FIRST, 2),
        (BlockFlags.COMPRESSED, 1),
        (16, 1),
    ],
)
def test_broken_promises_are_asserted(tmp_path: Path, flags: int, record_count: int) -> None:
    async def attempt() -> None:
        with buffers() as pool:
            async with IOManager([tmp_path]) as io:
                writer = await io.create_run(block_bytes=BLOCK_BYTES, expected_bytes=0)
                with pytest.raises(AssertionError):
                    await put(writer, pool, Block(b"x", record_count=record_count, flags=flags))
                assert pool.in_use == 0

    run(attempt())


def test_max_disk_is_a_limit_over_all_runs(tmp_path: Path) -> None:
    async def attempt() -> None:
        with buffers() as pool:
            async with IOManager([tmp_path], max_disk_bytes=64 << 10) as io:
                kept = await write_run(io, pool, random_blocks(5))
                with pytest.raises(DiskLimitError, match="max-disk"):
                    await write_run(io, pool, random_blocks(5))
                with pytest.raises(DiskLimitError, match="max-disk"):
                    await io.create_run(block_bytes=BLOCK_BYTES, expected_bytes=64 << 10)
                assert io.stats.disk_bytes == kept.disk_bytes and len(spill_files(tmp_path)) == 1
                await io.delete_run(kept)
                await io.delete_run(kept)
                assert io.stats.disk_bytes == 0 and not spill_files(tmp_path)
                await write_run(io, pool, random_blocks(5))
                assert 0 < io.stats.disk_bytes_peak <= 64 << 10

    run(attempt())


def test_spill_files_are_private_and_give_back_what_they_did_not_need(tmp_path: Path) -> None:
    async def attempt() -> None:
        with buffers() as pool:
            async with IOManager([tmp_path]) as io:
                writer = await io.create_run(block_bytes=BLOCK_BYTES, expected_bytes=1 << 20)
                await put(writer, pool, Block(b"little"))
                written = await writer.finish()
                status = written.path.stat()
                assert status.st_mode & 0o777 == 0o600
                assert status.st_size == written.disk_bytes == io.stats.disk_bytes < 1 << 20
                assert io.stats.disk_bytes_peak == 1 << 20

    run(attempt())
