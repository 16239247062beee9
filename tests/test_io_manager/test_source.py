"""Whole reads, honest ends, and errors that say what to do."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from io_manager import InputChangedError, InputFile, IOManagerClosedError, IOThreads, source
from tests.test_io_manager.harness import run


@asynccontextmanager
async def opened(path: str | Path) -> AsyncIterator[InputFile]:
    threads = IOThreads(2)
    try:
        async with InputFile(path, threads=threads) as made:
            await made.open()
            yield made
    finally:
        threads.close()


async def read(made: InputFile, length: int, offset: int) -> bytes:
    view = memoryview(bytearray(length))
    return bytes(view[: await made.read_into(view, offset)])


def test_a_file_is_read_anywhere_and_as_long_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "in"
    path.write_bytes(bytes(range(100)))

    async def attempt() -> None:
        async with opened(path) as made:
            assert made.size == 100 and made.seekable
            with path.open("ab") as file:
                file.write(b"appended")
            parts = await asyncio.gather(*(read(made, 30, offset) for offset in (90, 0, 60, 30, 100, 500)))
            assert parts[1] + parts[3] + parts[2] + parts[0] == bytes(range(100))
            assert parts[4:] == [b"", b""]

    run(attempt())


def test_a_file_that_shrinks_is_an_error_and_not_an_early_end(tmp_path: Path) -> None:
    path = tmp_path / "in"
    path.write_bytes(bytes(100))

    async def attempt() -> None:
        async with opened(path) as made:
            os.truncate(path, 50)
            with pytest.raises(InputChangedError, match="shrank while being read") as error:
                await read(made, 100, 0)
            assert "byte 50" in str(error.value) and "100 bytes" in str(error.value)
            with pytest.raises(InputChangedError):
                await read(made, 10, 0)

    run(attempt())


@pytest.mark.parametrize(
    ("name", "expected", "words"),
    [("missing", FileNotFoundError, "Check the name"), ("", IsADirectoryError, "Name the files in it")],
)
def test_what_cannot_be_opened_says_the_cure(tmp_path: Path, name: str, expected: type[OSError], words: str) -> None:
    async def attempt() -> None:
        with pytest.raises(expected, match=words) as error:
            async with opened(tmp_path / name):
                pass
        assert str(tmp_path) in str(error.value) and "\n" not in str(error.value) and error.value.errno

    run(attempt())


def test_no_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(source.os, "open", refuse)

    async def attempt() -> None:
        with pytest.raises(PermissionError, match="no permission to read it"):
            async with opened(tmp_path / "in"):
                pass

    run(attempt())


def test_a_pipe_fills_views_until_it_ends(tmp_path: Path) -> None:
    fifo, data = tmp_path / "fifo", os.urandom(200_000)
    os.mkfifo(fifo)

    async def attempt() -> None:
        async with opened(fifo) as made:
            assert made.size is None and not made.seekable
            writing = asyncio.create_task(asyncio.to_thread(fifo.write_bytes, data))
            got = await read(made, 150_000, 0)
            with pytest.raises(AssertionError, match="in order"):
                await read(made, 10, 0)
            assert got + await read(made, 150_000, 150_000) == data
            assert await read(made, 10, 200_000) == b""
            await writing

    run(attempt())


def test_waiting_for_a_pipe_can_be_cancelled_and_closed(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)

    async def attempt() -> None:
        async with opened(fifo) as made:
            task = asyncio.create_task(read(made, 10, 0))
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        async with opened(fifo) as made:
            task = asyncio.create_task(read(made, 10, 0))
            await asyncio.sleep(0)
            await made.close()
            with pytest.raises(IOManagerClosedError):
                await task
            await made.close()

    run(attempt())


def test_standard_input_may_be_a_file_partly_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "in"
    path.write_bytes(b"header" + b"body")
    fd = os.open(path, os.O_RDONLY)
    os.lseek(fd, 6, os.SEEK_SET)
    monkeypatch.setattr(source, "_STDIN_FD", fd)

    async def attempt() -> None:
        async with opened("-") as made:
            assert made.size == 4 and await read(made, 100, 0) == b"body" and await read(made, 2, 2) == b"dy"

    run(attempt())
    os.close(fd)  # still open: it was not ours to close
