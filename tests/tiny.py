"""A machine so small that spilling is ordinary: a few hundred KB make dozens of runs, several ranges, several passes.

    with tiny.machine(managed_bytes=96 << 10) as machine:
        assert machine.sort(data, reverse=True) == expected

It shrinks the constants of `shuffle.plan` and hands out the memory that a test names. At the end everything must be
back: no segment out, no buffer out, no spill file, no partial output, nothing that asyncio had to complain about.
"""

import asyncio
import logging
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, TypeVar, Unpack

import numpy as np
import pytest

import shuffle
from io_manager import HEADER_BYTES, InputFile, IOManager, IOThreads
from memory import BufferPool, Extent, MemoryManager, ProcessMemory, derive_process_memory
from serializers import RecordLayout, fixed, lines
from shuffle import Choices, SortReport, engine, event_loop, files, means, merge_phase, plan, surroundings
from shuffle.runs import FileRun, MemoryRun, Run, block_capacity
from shuffle.sort_buffer import SortBuffer
from shuffle.sorted_file import SortedFileRun
from shuffle.spill import spill_run
from shuffle.word_sorter import WordSorter
from tests import naive

T = TypeVar("T")
KIB = 1 << 10
SECONDS_MAX = 30
"""No job here takes a tenth of it: one that waits for ever fails instead."""

SEGMENT_BYTES = 4 * KIB
BLOCK_BYTES = 4 * KIB
CAPACITY = block_capacity(BLOCK_BYTES)
"""Bytes of records in the smallest block there is: a longer record spans blocks."""

LINES = lines()
SERIAL = fixed(12, key_offset=3, key_bytes=2)
"""The bytes behind the key are for the record's number, so that no two records are the same."""


def run(work: Coroutine[Any, Any, T]) -> T:
    """A coroutine, to its end."""

    async def bounded() -> T:
        return await asyncio.wait_for(work, SECONDS_MAX)

    try:
        return event_loop.run(bounded())
    finally:
        work.close()


class Leaks:
    """What did not come home by itself."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def manager(self, total_bytes: int) -> MemoryManager:
        """A manager that tells us who held what when it was shut down."""
        return _WatchedManager(total_bytes, self.found)

    def pool(self, manager: MemoryManager, owner: str, **sizes: int) -> BufferPool:
        """A pool that tells us how many buffers were out when it was closed."""
        return _WatchedPool(manager, owner, self.found, **sizes)


class _WatchedManager(MemoryManager):
    def __init__(self, total_bytes: int, found: list[str]) -> None:
        super().__init__(total_bytes, segment_bytes=SEGMENT_BYTES)
        self._found = found

    def shutdown(self) -> dict[str, int]:
        held = super().shutdown()
        self._found += [f"{owner} held {size_bytes} bytes" for owner, size_bytes in held.items()]
        return held


class _WatchedPool(BufferPool):
    def __init__(self, manager: MemoryManager, owner: str, found: list[str], **sizes: int) -> None:
        super().__init__(manager, owner, **sizes)
        self._found = found

    def close(self) -> None:
        if self.in_use:
            self._found.append(f"{self.in_use} buffers of {self.owner}")
        super().close()


class _Complaints(logging.Handler):
    """What asyncio logs when a task or a callback failed behind everybody's back."""

    def __init__(self, found: list[str]) -> None:
        super().__init__(logging.ERROR)
        self._found = found

    def emit(self, record: logging.LogRecord) -> None:
        self._found.append(record.getMessage())


class Machine:
    """Sorts bytes. `report` and `plan` are those of the last job."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.temp_dir = directory / "spill"
        self.temp_dir.mkdir()
        self.output = directory / "output"
        self.report = SortReport()
        self.plan: plan.SortPlan | None = None

    def remember(self, made: plan.SortPlan) -> None:
        """The plan of the job that begins."""
        self.plan = made

    def write(self, inputs: bytes | Sequence[bytes]) -> list[Path]:
        """The inputs as files."""
        parts = [inputs] if isinstance(inputs, bytes) else inputs
        paths = [self.directory / f"input{number}" for number in range(len(parts))]
        for path, part in zip(paths, parts, strict=True):
            path.write_bytes(part)
        return paths

    def sort(self, inputs: bytes | Sequence[bytes], *, resume: bool = False, **choices: Unpack[Choices]) -> bytes:
        """The output of a sort."""
        self.sort_files(self.write(inputs), resume=resume, **choices)
        return self.output.read_bytes()

    def sort_files(self, paths: Sequence[Path], *, resume: bool = False, **choices: Unpack[Choices]) -> None:
        """Sort files that stand there."""
        self.report = shuffle.sort_file(paths, self.output, resume=resume, temp_dirs=[self.temp_dir], **choices)

    def merge(self, inputs: Sequence[bytes], **choices: Unpack[Choices]) -> bytes:
        """The output of a merge."""
        self.report = shuffle.merge_files(self.write(inputs), self.output, temp_dirs=[self.temp_dir], **choices)
        return self.output.read_bytes()

    def left_behind(self) -> list[str]:
        """Spill files, and outputs that were never published."""
        partial = [path.name for path in self.directory.iterdir() if path.suffix in (".partial", ".unfinished")]
        return partial + [path.name for path in self.temp_dir.rglob("*")]


@contextmanager
def machine(
    *,
    managed_bytes: int = 128 * KIB,
    direct_bytes: int = 192 * KIB,
    extent_bytes: tuple[int, int] = (16 * KIB, 32 * KIB),
    block_bytes: tuple[int, int] = (4 * KIB, 8 * KIB),
    read_ahead_blocks: int = plan.READ_AHEAD_BLOCKS,
    open_files_max: int | None = None,
) -> Iterator[Machine]:
    """Jobs inside the block get `managed_bytes` and `direct_bytes`, whatever --memory says."""
    leaks = Leaks()
    complaints = _Complaints(leaks.found)
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as directory:
        shrink(patch, extent_bytes=extent_bytes, block_bytes=block_bytes, read_ahead_blocks=read_ahead_blocks)
        made = Machine(Path(directory))
        give(patch, managed_bytes=managed_bytes, direct_bytes=direct_bytes, on_plan=made.remember)
        for module in (means, merge_phase):
            patch.setattr(module, "BufferPool", leaks.pool)
        patch.setattr(means, "MemoryManager", leaks.manager)
        patch.setattr(files, "_run", _bounded(files._run))
        if open_files_max is not None:
            patch.setattr(surroundings, "raise_open_files_limit", lambda: open_files_max)
        logging.getLogger("asyncio").addHandler(complaints)
        try:
            yield made
        finally:
            logging.getLogger("asyncio").removeHandler(complaints)
        assert leaks.found == [], leaks.found
        assert made.left_behind() == []


def shrink(
    patch: pytest.MonkeyPatch,
    *,
    extent_bytes: tuple[int, int] = (16 * KIB, 32 * KIB),
    block_bytes: tuple[int, int] = (4 * KIB, 8 * KIB),
    read_ahead_blocks: int = plan.READ_AHEAD_BLOCKS,
) -> None:
    """Make the constants of the plan small."""
    for name, value in {
        "EXTENT_BYTES_MIN": extent_bytes[0],
        "EXTENT_BYTES_MAX": extent_bytes[1],
        "BLOCK_BYTES_MIN": block_bytes[0],
        "BLOCK_BYTES_MAX": block_bytes[1],
        "BLOCK_BYTES_GOOD": block_bytes[0],
        "BLOCK_BYTES_UNPLANNED": block_bytes[0],
        "OUTPUT_BYTES_MAX": 2 * block_bytes[1],
        "READ_AHEAD_BLOCKS": read_ahead_blocks,
    }.items():
        patch.setattr(plan, name, value)
    patch.setattr(merge_phase, "READ_AHEAD_BLOCKS", read_ahead_blocks)


def give(
    patch: pytest.MonkeyPatch,
    *,
    managed_bytes: int,
    direct_bytes: int,
    on_plan: Callable[[plan.SortPlan], object] = lambda made: None,
) -> None:
    """Let `make_plan` have exactly so much, and tell of the plan."""
    real = engine.make_plan

    def tiny_memory(*, managed_min: int, **_: Any) -> ProcessMemory:
        return derive_process_memory(
            managed=managed_bytes,
            managed_min=managed_min,
            framework=0,
            task_heap=0,
            direct_min=direct_bytes,
            direct_max=direct_bytes,
        )

    def watched(*args: Any, **choices: Any) -> plan.SortPlan:
        made = real(*args, **choices)
        on_plan(made)
        return made

    patch.setattr(plan, "derive_process_memory", tiny_memory)
    patch.setattr(engine, "make_plan", watched)


def _bounded(real: Callable[[Callable[[], Coroutine[Any, Any, T]]], T]) -> Callable[..., T]:
    def run(job: Callable[[], Awaitable[T]]) -> T:
        async def bounded() -> T:
            return await asyncio.wait_for(job(), SECONDS_MAX)

        return real(bounded)

    return run


# --- parts of a job, for tests of parts of the engine


class Bench:
    """Memory, threads and an I/O manager, and runs made of records in any order. Made by `bench`."""

    def __init__(self, directory: Path, manager: MemoryManager, workers: IOThreads, io: IOManager) -> None:
        self.directory = directory
        self.manager = manager
        self.workers = workers
        self.io = io
        self.leaks = Leaks()

    def pool(self, count: int = 8, maximum: int | None = None) -> BufferPool:
        """A pool of small blocks."""
        return self.leaks.pool(self.manager, "test", buffer_bytes=BLOCK_BYTES, required=count, maximum=maximum or count)

    def sorted_buffer(
        self,
        records: Sequence[bytes],
        layout: RecordLayout = LINES,
        *,
        descending: bool = False,
        unique: bool = False,
        limit: int | None = None,
    ) -> SortBuffer:
        """A sort buffer with these records, in order."""
        data = b"".join(records)
        room = len(data) * 2 + (len(records) + 64) * 3 * layout.index_bytes + 4 * KIB
        buffer = SortBuffer(noisy_extent(self.manager, room), layout, descending=descending)
        assert not fill(buffer, data), "the buffer is large enough"
        assert buffer.record_count == len(records)
        buffer.sort(WordSorter("numba"), unique=unique, limit=limit)
        return buffer

    def memory_run(
        self, number: int, records: Sequence[bytes], layout: RecordLayout = LINES, **choices: Any
    ) -> MemoryRun:
        """A run that stays in memory."""
        return MemoryRun(number, self.sorted_buffer(records, layout, **choices), BLOCK_BYTES)

    async def file_run(
        self, stack: AsyncExitStack, number: int, records: Sequence[bytes], layout: RecordLayout = LINES, **choices: Any
    ) -> FileRun:
        """A run on disk, open until `stack` ends."""
        source = self.memory_run(number, records, layout, **choices)
        with self.pool() as pool:
            file = await spill_run(source, self.io, pool, self.workers, block_bytes=BLOCK_BYTES)
        source.buffer.release()
        return FileRun(number, file, await stack.enter_async_context(await self.io.open_run(file)))

    async def sorted_file(
        self, stack: AsyncExitStack, number: int, data: bytes, layout: RecordLayout = LINES
    ) -> SortedFileRun:
        """A file that is said to be in order, open until `stack` ends."""
        path = self.directory / f"sorted{number}"
        path.write_bytes(data)
        source = await self.open(stack, path)
        found = SortedFileRun(number, source, layout, block_bytes=BLOCK_BYTES)
        await found.open()
        return found

    async def open(self, stack: AsyncExitStack, path: Path) -> InputFile:
        """An input, open until `stack` ends."""
        source = await stack.enter_async_context(InputFile(path, threads=self.workers))
        await source.open()
        return source

    async def payload(self, source: Run, block: int) -> bytes:
        """The bytes of one block."""
        with self.pool(1) as pool, await pool.acquire() as buffer:
            await source.load(block, buffer)
            return bytes(buffer.view[HEADER_BYTES : HEADER_BYTES + int(source.index.raw_lengths[block])])

    async def payloads(self, source: Run) -> list[bytes]:
        """All blocks."""
        return [await self.payload(source, block) for block in range(len(source.index))]


@asynccontextmanager
async def bench(*, codec: str = "none") -> AsyncIterator[Bench]:
    """At the end every buffer must be home, and no spill file left."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory)
        (path / "spill").mkdir()
        workers = IOThreads(2)
        with MemoryManager(64 << 20, segment_bytes=SEGMENT_BYTES) as manager:
            async with IOManager([path / "spill"], codec=codec) as io:
                made = Bench(path, manager, workers, io)
                yield made
            workers.close()
            assert made.leaks.found == []
            assert set(manager.holders()) <= {"sort buffer"}, manager.holders()
        assert list((path / "spill").iterdir()) == []


def noisy_extent(manager: MemoryManager, size_bytes: int) -> Extent:
    """Memory full of noise, so that whatever depends on bytes that nobody wrote fails sooner or later."""
    extent = manager.allocate_extent("sort buffer", size_bytes)
    np.frombuffer(extent.view, np.uint8)[:] = np.random.default_rng(size_bytes).integers(0, 256, len(extent.view))
    return extent


def fill(buffer: SortBuffer, data: bytes) -> bytes:
    """Read as the engine does, until the buffer is full or the data ends: what is left of the data."""
    buffer.scan()
    while data and len(window := buffer.free_view()):
        length = min(len(window), len(data))
        window[:length] = data[:length]
        buffer.note_read(length)
        data = data[length:]
        buffer.scan()
    return data


def sorted_bytes(
    data: bytes,
    layout: RecordLayout = LINES,
    *,
    reverse: bool = False,
    unique: bool = False,
    limit: int | None = None,
) -> bytes:
    """What a sort of `data` must write: the slow twin of the whole engine. A last line gets its delimiter."""
    if layout.is_lines and data and data[-1] != layout.delimiter:
        data += bytes([layout.delimiter])
    records, rest = naive.split_records(data, layout)
    assert not rest
    ordered = naive.stable_sort(records, layout.key, reverse=reverse)
    if unique:
        ordered = [record for at, record in enumerate(ordered) if not at or differ(ordered[at - 1], record, layout)]
    return b"".join(ordered[:limit])


def differ(left: bytes, right: bytes, layout: RecordLayout) -> bool:
    """Whether two records have different keys."""
    return layout.key(left) != layout.key(right)
