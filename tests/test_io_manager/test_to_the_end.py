"""What is being cleaned up is cleaned up, however often it is cancelled; and the cancellation is not lost."""

import asyncio
import threading
from pathlib import Path

import pytest

from io_manager import IOManager, platform_files
from io_manager.to_the_end import to_the_end
from memory import BufferPool, MemoryManager
from tests import tiny


def test_cancelled_again_and_again() -> None:
    ended: list[str] = []

    async def clean_up(go_on: asyncio.Event) -> None:
        await go_on.wait()
        ended.append("cleaned up")

    async def job() -> None:
        go_on = asyncio.Event()
        task = asyncio.create_task(to_the_end(clean_up(go_on)))
        for _ in range(3):
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.sleep(0)
            assert not task.done() and not ended
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert ended == ["cleaned up"]

    tiny.run(job())


def test_an_error_of_the_work_comes_out() -> None:
    async def fail() -> None:
        raise OSError("no")

    with pytest.raises(OSError, match="no"):
        tiny.run(to_the_end(fail()))


def test_a_writer_that_is_cancelled_while_it_aborts_gives_its_buffers_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two errors of one job: the first aborts the run, the second cancels whoever waits for that."""
    real, may_write, writes = platform_files.write_exactly, threading.Event(), threading.Event()

    def write_late(fd: int, view: memoryview, offset: int) -> None:
        if offset:  # not the header
            writes.set()
            assert may_write.wait(tiny.SECONDS_MAX)
        real(fd, view, offset)

    async def spill(io: IOManager, pool: BufferPool) -> None:
        async with await io.create_run(block_bytes=tiny.BLOCK_BYTES, expected_bytes=0) as writer:
            buffer = await pool.acquire()
            await writer.write_block(buffer, raw_length=10, record_count=1, first_key=b"a", last_key=b"a")
            raise KeyError("the first error")

    async def job() -> None:
        monkeypatch.setattr(platform_files, "write_exactly", write_late)
        with MemoryManager(1 << 20, segment_bytes=tiny.SEGMENT_BYTES) as manager:
            async with IOManager([tmp_path]) as io:
                with BufferPool(manager, "test", buffer_bytes=tiny.BLOCK_BYTES, required=1, maximum=1) as pool:
                    task = asyncio.create_task(spill(io, pool))
                    await asyncio.to_thread(writes.wait, tiny.SECONDS_MAX)
                    for _ in range(3):
                        task.cancel()
                        await asyncio.sleep(0)
                    assert not task.done() and pool.in_use == 1
                    may_write.set()
                    with pytest.raises(asyncio.CancelledError):
                        await task
                    assert pool.in_use == 0
            assert list(tmp_path.iterdir()) == []

    tiny.run(job())
