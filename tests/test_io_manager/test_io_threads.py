"""A hop is never abandoned, errors stay picklable, and the floor loads nothing it should not."""

from __future__ import annotations

import asyncio
import pickle
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import io_manager
from io_manager import (
    DiskFullError,
    DiskLimitError,
    IOManager,
    IOManagerClosedError,
    IOThreads,
    RunCorruptError,
)
from io_manager.errors import ThreadLimitError
from tests.test_io_manager.harness import run

ROOT = Path(__file__).parents[2]


def test_cancellation_waits_for_the_thread_however_often_it_comes() -> None:
    started, gate, done = threading.Event(), threading.Event(), []

    def work() -> None:
        started.set()
        assert gate.wait(10)
        done.append(1)

    async def attempt() -> None:
        threads = IOThreads(1)
        task = asyncio.create_task(threads.run(work))
        await asyncio.sleep(0)
        assert started.wait(10)
        for _ in range(3):
            task.cancel()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert not task.done()
        gate.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert done
        threads.close()

    run(attempt())


def test_work_that_never_started_is_dropped_at_once() -> None:
    gate, ran = threading.Event(), []

    async def attempt() -> None:
        threads = IOThreads(1)
        first = asyncio.create_task(threads.run(gate.wait, 10))
        second = asyncio.create_task(threads.run(ran.append, 1))
        await asyncio.sleep(0)
        second.cancel()
        with pytest.raises(asyncio.CancelledError):
            await second
        gate.set()
        assert await first
        threads.close()
        threads.close()
        with pytest.raises(IOManagerClosedError):
            await threads.run(ran.append, 1)
        assert not ran

    run(attempt())


def test_an_interrupt_is_called_on_cancellation() -> None:
    gate = threading.Event()

    async def attempt() -> None:
        threads = IOThreads(1)
        task = asyncio.create_task(threads.run(gate.wait, interrupt=gate.set))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        threads.close()

    run(attempt())


@pytest.mark.parametrize(
    "error",
    [
        DiskFullError.at(Path("/tmp"), needed_bytes=5, free_bytes=3),
        DiskLimitError.reached(limit_bytes=1, used_bytes=2, needed_bytes=3),
        RunCorruptError.at(Path("/tmp/x"), 4096, "nonsense"),
    ],
)
def test_errors_survive_pickling(error: OSError) -> None:
    back = pickle.loads(pickle.dumps(error))
    assert type(back) is type(error) and str(back) == str(error) and vars(back) == vars(error)


def test_the_public_list_is_sorted_and_true() -> None:
    public = io_manager.__all__
    assert len(set(public)) == len(public) and all(hasattr(io_manager, name) for name in public)
    constants = [name for name in public if name.isupper()]
    classes = [name for name in public if name[0].isupper() and not name.isupper()]
    functions = [name for name in public if name.islower()]
    assert public == sorted(constants) + sorted(classes) + sorted(functions)


def test_nothing_heavy_is_loaded() -> None:
    heavy = "{'numba', 'pyarrow', 'llvmlite', 'lz4', 'zstandard', 'shuffle', 'serializers'}"
    code = f"import io_manager, sys; assert not {heavy} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_a_manager_must_be_entered_and_knows_its_codecs(tmp_path: Path) -> None:
    async def attempt() -> None:
        io = IOManager([tmp_path], codec="lz4")
        assert io.scratch_bytes(1 << 20) > 1 << 20
        with pytest.raises(IOManagerClosedError):
            await io.create_run(block_bytes=4096, expected_bytes=0)
        async with io:
            with pytest.raises(ValueError, match="5000"):
                await io.create_run(block_bytes=5000, expected_bytes=0)

    run(attempt())
    with pytest.raises(ValueError, match="gzip"):
        IOManager([tmp_path], codec="gzip")


@pytest.mark.parametrize("started", [0, 1, 3])
def test_a_system_that_starts_no_more_threads(monkeypatch: pytest.MonkeyPatch, started: int) -> None:
    """Python calls it a RuntimeError; and work for a thread that never came must not be done later by another."""
    real, left, before = threading.Thread.start, iter(range(started)), threading.active_count()

    def start(thread: threading.Thread) -> None:
        if next(left, None) is None:
            raise RuntimeError("can't start new thread")
        real(thread)

    monkeypatch.setattr(threading.Thread, "start", start)
    with pytest.raises(ThreadLimitError, match="Lower --threads"):
        IOThreads(4)
    assert threading.active_count() == before
