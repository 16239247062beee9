"""What the tests of this floor share: a pool that must be whole again, blocks to write, faults to inject."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from io_manager import HEADER_BYTES, IOManager, RunFile, RunReader, RunWriter, platform_files
from memory import BufferPool, MemoryManager

T = TypeVar("T")
BLOCK_BYTES = 8192
CAPACITY = BLOCK_BYTES - HEADER_BYTES


def run(coroutine: Awaitable[T]) -> T:
    """Run a coroutine to its end; a test that hangs fails instead."""

    async def bounded() -> T:
        return await asyncio.wait_for(coroutine, 20)

    return asyncio.run(bounded())


@contextmanager
def buffers(count: int = 6, *, block_bytes: int = BLOCK_BYTES, mode: str = "off-heap") -> Iterator[BufferPool]:
    """A real pool; every buffer must have come home at the end."""
    manager = MemoryManager(max(count * block_bytes * 2, 1 << 20), mode=mode)
    with BufferPool(manager, "test", buffer_bytes=block_bytes, required=count, maximum=count) as pool:
        yield pool
        assert pool.in_use == 0, f"{pool.in_use} buffers did not come home"
    manager.verify_empty()


@dataclass(frozen=True)
class Block:
    """One block to write."""

    payload: bytes
    first_key: bytes = b"k"
    last_key: bytes = b"z"
    record_count: int = 1
    flags: int = 0


def random_blocks(count: int, seed: int = 7, length: int = CAPACITY) -> list[Block]:
    """Incompressible blocks of varying length, longest `length`."""
    source = random.Random(seed)
    return [
        Block(source.randbytes(length - source.randrange(length // 2)), b"key%03d" % n, b"key%03d!" % n, n + 1)
        for n in range(count)
    ]


def text_blocks(count: int) -> list[Block]:
    """Blocks that compress well."""
    return [Block((b"record %d of the block " % n * 400)[:CAPACITY], b"%d" % n, b"%d~" % n, 9) for n in range(count)]


async def put(writer: RunWriter, pool: BufferPool, block: Block) -> None:
    """Write one block from a pool buffer."""
    buffer = await pool.acquire()
    buffer.view[HEADER_BYTES : HEADER_BYTES + len(block.payload)] = block.payload
    await writer.write_block(
        buffer,
        raw_length=len(block.payload),
        record_count=block.record_count,
        first_key=block.first_key,
        last_key=block.last_key,
        flags=block.flags,
    )


async def write_run(
    io: IOManager, pool: BufferPool, blocks: Sequence[Block], *, block_bytes: int = BLOCK_BYTES
) -> RunFile:
    """A finished run of these blocks."""
    async with await io.create_run(block_bytes=block_bytes, expected_bytes=0) as writer:
        for block in blocks:
            await put(writer, pool, block)
        return await writer.finish()


async def read_payload(reader: RunReader, pool: BufferPool, number: int) -> bytes:
    """The payload of one block."""
    buffer = await pool.acquire()
    try:
        header = await reader.read_block(number, buffer)
        return bytes(buffer.view[HEADER_BYTES : HEADER_BYTES + header.raw_length])
    finally:
        buffer.release()


async def read_run(io: IOManager, pool: BufferPool, run_file: RunFile) -> list[bytes]:
    """All payloads of a run."""
    async with await io.open_run(run_file) as reader:
        return [await read_payload(reader, pool, number) for number in range(run_file.block_count)]


def fail_write(monkeypatch: Any, code: int, *, at_call: int, unless: Callable[[Path], bool] | None = None) -> None:
    """Let the `at_call`-th write of a file, counted from 0, and all after it fail with an errno."""
    real, calls = platform_files.write_exactly, iter(range(1 << 30))

    def write_exactly(fd: int, view: memoryview, offset: int) -> None:
        if next(calls) >= at_call and not (unless and unless(Path(f"/proc/self/fd/{fd}").readlink())):
            raise OSError(code, "injected")
        real(fd, view, offset)

    monkeypatch.setattr(platform_files, "write_exactly", write_exactly)
