"""Old or new, never half: what stands under the output's name before, during and after."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from io_manager import (
    DiskFullError,
    IOManagerClosedError,
    IOThreads,
    OutputFile,
    SpillError,
    StreamOutput,
    make_output,
    platform_files,
)
from tests.test_io_manager.harness import fail_write, run


@asynccontextmanager
async def output(path: Path) -> AsyncIterator[OutputFile]:
    threads = IOThreads(2)
    try:
        async with OutputFile(path, threads=threads) as made:
            yield made
    finally:
        threads.close()


def test_nothing_shows_until_publish(tmp_path: Path) -> None:
    target = tmp_path / "out"
    target.write_bytes(b"old")
    target.chmod(0o640)

    async def attempt() -> None:
        async with output(target) as made:
            await made.open(6)
            await asyncio.gather(made.write(3, memoryview(b"def")), made.write(0, memoryview(b"abc")))
            assert target.read_bytes() == b"old"
            (partial,) = set(tmp_path.iterdir()) - {target}
            assert partial.name.startswith(".out.") and partial.stat().st_mode & 0o777 == 0o600
            await made.publish()
            await made.publish()
            assert target.read_bytes() == b"abcdef" and list(tmp_path.iterdir()) == [target]
            await made.abandon()
            with pytest.raises(IOManagerClosedError):
                await made.write(0, memoryview(b"late"))
            await made.publish()
        assert target.read_bytes() == b"abcdef" and target.stat().st_mode & 0o777 == 0o640

    run(attempt())


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o000])
def test_a_new_file_has_the_mode_the_umask_leaves(tmp_path: Path, mask: int) -> None:
    async def attempt() -> None:
        async with output(tmp_path / "out") as made:
            await made.open(None)
            await made.publish()

    before = os.umask(mask)
    try:
        run(attempt())
    finally:
        os.umask(before)
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o666 & ~mask and not (tmp_path / "out").read_bytes()


def test_less_than_expected_leaves_no_tail(tmp_path: Path) -> None:
    async def attempt() -> None:
        async with output(tmp_path / "out") as made:
            await made.open(1 << 20)
            await made.write(0, memoryview(b"short"))
            await made.publish()

    run(attempt())
    assert (tmp_path / "out").read_bytes() == b"short"


@pytest.mark.parametrize("opened", [True, False])
def test_abandon_leaves_the_old_output_and_nothing_else(tmp_path: Path, opened: bool) -> None:
    (tmp_path / "out").write_bytes(b"old")

    async def attempt() -> None:
        async with output(tmp_path / "out") as made:
            if opened:
                await made.open(100)
                await made.write(0, memoryview(b"new"))
            await made.abandon()
            await made.abandon()
            with pytest.raises(IOManagerClosedError):
                await made.publish()

    run(attempt())
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"]


def test_a_link_stays_a_link_to_the_new_file(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    real, link = tmp_path / "data" / "real", tmp_path / "link"
    real.write_bytes(b"old")
    link.symlink_to("data/real")

    async def attempt() -> None:
        async with output(link) as made:
            await made.open(3)
            await made.write(0, memoryview(b"new"))
            await made.publish()

    run(attempt())
    assert link.is_symlink() and real.read_bytes() == b"new" and list(real.parent.iterdir()) == [real]


@pytest.mark.parametrize("at", ["write", "fsync", "rename"])
def test_a_failure_leaves_the_old_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: str) -> None:
    target = tmp_path / "out"
    target.write_bytes(b"old")

    def refuse(*_: object) -> None:
        raise OSError(errno.EIO, "injected")

    async def attempt() -> None:
        async with output(target) as made:
            await made.open(None)
            if at == "write":
                fail_write(monkeypatch, errno.ENOSPC, at_call=0)
            else:
                await made.write(0, memoryview(b"new"))
                monkeypatch.setattr(*((os, "fsync") if at == "fsync" else (os, "replace")), refuse)
            expected = DiskFullError if at == "write" else SpillError
            with pytest.raises(expected, match=str(tmp_path)):
                await made.write(0, memoryview(b"new"))
                await made.publish()
            with pytest.raises(expected):
                await made.publish()

    run(attempt())
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"]


def test_a_very_long_name_still_has_room_for_ours(tmp_path: Path) -> None:
    name = "ü" * 127

    async def attempt() -> None:
        async with output(tmp_path / name) as made:
            await made.open(None)
            await made.publish()

    run(attempt())
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_targets_that_cannot_be_are_refused_at_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refused(path: Path, expected: type[OSError], words: str, expected_bytes: int = 0) -> None:
        async with output(path) as made:
            with pytest.raises(expected, match=words) as error:
                await made.open(expected_bytes)
            assert "\n" not in str(error.value) and str(tmp_path) in str(error.value)

    run(refused(tmp_path, IsADirectoryError, "Name a file in it"))
    run(refused(tmp_path / "missing" / "out", FileNotFoundError, "Create it"))
    monkeypatch.setattr(platform_files, "free_bytes", lambda path: 10)
    run(refused(tmp_path / "out", DiskFullError, "larger disk", 11))
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write everywhere
    run(refused(tmp_path / "out", PermissionError, "no permission to write in"))
    (tmp_path / "old").write_text("")
    run(refused(tmp_path / "old", PermissionError, "write-protected"))
    assert [path.name for path in tmp_path.iterdir()] == ["old"]


# --- streams


async def with_threads(work: Callable[[IOThreads], Awaitable[None]]) -> None:
    threads = IOThreads(2)
    try:
        await work(threads)
    finally:
        threads.close()


def test_what_cannot_be_replaced_is_a_stream(tmp_path: Path) -> None:
    async def attempt(threads: IOThreads) -> None:
        fifo = tmp_path / "fifo"
        os.mkfifo(fifo)
        for path in ("/dev/null", "-", fifo):
            made = make_output(path, threads=threads)
            assert isinstance(made, StreamOutput) and not made.seekable
            await made.abandon()
        for path in (tmp_path / "new", tmp_path):
            assert make_output(path, threads=threads).seekable
        async with make_output("/dev/null", threads=threads) as null:
            await null.open(100)
            await null.write(0, memoryview(b"x" * 100_000))
            await null.publish()
            await null.publish()

    run(with_threads(attempt))


def test_a_pipe_gets_everything_in_order(tmp_path: Path) -> None:
    fifo, data = tmp_path / "fifo", os.urandom(300_000)
    os.mkfifo(fifo)

    async def attempt(threads: IOThreads) -> None:
        async with StreamOutput(fifo, threads=threads) as made:
            opening = asyncio.create_task(made.open())  # waits for the reader
            read = asyncio.create_task(asyncio.to_thread(fifo.read_bytes))
            await opening
            await made.write(0, memoryview(data)[:100_000])
            with pytest.raises(AssertionError, match="in order"):
                await made.write(0, memoryview(b"again"))
            await made.write(100_000, memoryview(data)[100_000:])
            await made.publish()
            assert await read == data

    run(with_threads(attempt))


def test_a_reader_that_went_away_is_a_broken_pipe(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)

    async def attempt(threads: IOThreads) -> None:
        reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
        async with StreamOutput(fifo, threads=threads) as made:
            await made.open()
            os.close(reader)
            for _ in range(2):
                with pytest.raises(BrokenPipeError):
                    await made.write(made._position, memoryview(b"x"))
            with pytest.raises(BrokenPipeError):
                await made.publish()

    run(with_threads(attempt))


@pytest.mark.parametrize("reader_comes", [True, False])
def test_waiting_for_a_reader_can_be_cancelled(tmp_path: Path, reader_comes: bool) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)

    async def attempt(threads: IOThreads) -> None:
        reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK) if reader_comes else -1
        async with StreamOutput(fifo, threads=threads) as made:
            if reader_comes:
                await made.open()
                task = asyncio.create_task(made.write(0, memoryview(bytes(1 << 20))))  # more than a pipe holds
            else:
                task = asyncio.create_task(made.open())
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        if reader >= 0:
            os.close(reader)

    run(with_threads(attempt))
