"""The map side of a sort: input into sort buffers, sorted there, and spilled only when their room is wanted.

    feed ──fill──> sort buffer ──sort──> run in memory ──(room wanted)──> run on disk
                       ^                                                     │
                       └───────────────────── free ─────────────────────────┘

While one buffer fills, each worker sorts or spills another. Runs are numbered in the order of the input.
"""

import asyncio
from collections.abc import Coroutine
from typing import Protocol

from io_manager import IOManager, RunFile
from memory import BufferPool
from shuffle.input_run import InputRun
from shuffle.means import Means
from shuffle.plan import INDEX_ENTRY_BYTES
from shuffle.report import Stage
from shuffle.runs import MemoryRun
from shuffle.sort_buffer import SortBuffer
from shuffle.spill import spill_run
from shuffle.word_sorter import WordSorter


class Source(Protocol):
    """What fills sort buffers with records."""

    @property
    def ended(self) -> bool:
        """Whether no more records will come."""

    async def fill(self, buffer: SortBuffer) -> None:
        """Add records until `buffer` is full or the records end."""

    def is_stuck(self, buffer: SortBuffer) -> bool:
        """Whether the next record fits no buffer, and `buffer` holds no other."""

    async def spill_long(self, buffer: SortBuffer, io: IOManager, pool: BufferPool, *, block_bytes: int) -> RunFile:
        """Make a run of that record."""


class RunKeeper(Protocol):
    """Who keeps the runs of a job that can be resumed. All of them go to files then."""

    def note_records(self, number: int, records: int, buffer: SortBuffer) -> None:
        """Run `number` is made of the next `records` of the input: those up to the tail of `buffer`."""

    async def keep(self, number: int, file: RunFile) -> None:
        """The run is on disk, and may be relied on."""


class RunBuilder:
    """Builds the runs of one job. `files` (on disk) and `resident` (in memory) hold them by number."""

    def __init__(self, means: Means, feed: Source, pool: BufferPool, *, keeper: RunKeeper | None = None) -> None:
        self.files: dict[int, RunFile | InputRun] = {}
        self.resident: dict[int, MemoryRun] = {}
        self.record_count = 0
        self.sorting, self.spilling = Stage(), Stage()
        self._means = means
        self._feed = feed
        self._pool = pool
        self._keeper = keeper
        self._sorter = WordSorter(means.options.sort_kernel)
        self._buffers: list[SortBuffer] = []
        self._free: list[SortBuffer] = []
        self._is_free = asyncio.Event()
        self._next_number = 0
        self._spilling = 0
        self._reader_waits = False
        planned = means.plan.runs
        self._overflows = planned is not None and planned > means.plan.extent_count

    async def build(self) -> None:
        """Read all input. When it returns, every record is in a run."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            buffer = await self._take_buffer()
            if self._overflows:
                self._warm_others()
            while True:
                await self._feed.fill(buffer)
                if self._feed.is_stuck(buffer):
                    await self._spill_long(buffer)
                    continue
                if self._feed.ended and not buffer.tail:
                    break
                following = await self._take_buffer()
                following.start(buffer.tail)
                self._sort_behind(buffer)
                buffer = following
            self._sort_behind(buffer)
        self._release(self._free)

    def _warm_others(self) -> None:
        """While the first buffer is read, workers would be idle: let each clear the pages of one of the next."""
        plan = self._means.plan
        while len(self._buffers) < min(plan.extent_count, 1 + plan.threads):
            self._tasks.create_task(self._warm(self._add_buffer()))

    async def _warm(self, buffer: SortBuffer) -> None:
        await self._means.workers.run(buffer.touch)
        self._put_free(buffer)

    async def make_room_to_merge(self, *, ranges: int) -> None:
        """Spill runs that are still in sort buffers until those that stay leave room for the merge buffers."""
        runs = (*self.files.values(), *self.resident.values())
        kept = self._means.plan.runs_kept(
            run_count=len(runs),
            candidates=len(self.resident),
            ranges=ranges,
            index_bytes=sum(run.block_count for run in runs) * INDEX_ENTRY_BYTES,
        )
        await self.spill_all_but(kept)

    async def spill_all_but(self, kept: int) -> None:
        """Spill the oldest runs in memory until only `kept` are left."""
        oldest = sorted(self.resident)[: max(0, len(self.resident) - kept)]
        async with asyncio.TaskGroup() as tasks:
            for number in oldest:
                tasks.create_task(self._spill(self.resident.pop(number)))
        self._release(self._free)

    def release(self) -> None:
        """Give all sort buffers back; the runs in memory are gone."""
        self.resident.clear()
        self._release(self._buffers)

    def _release(self, buffers: list[SortBuffer]) -> None:
        for buffer in list(buffers):
            buffer.release()
            self._buffers.remove(buffer)
        self._free.clear()

    async def _take_buffer(self) -> SortBuffer:
        if not self._free and len(self._buffers) < self._means.plan.extent_count:
            return self._add_buffer()
        while not self._free:
            self._overflows = self._reader_waits = True
            self._make_room()
            self._is_free.clear()
            await self._is_free.wait()
        self._reader_waits = False
        buffer = self._free.pop()
        buffer.start(memoryview(b""))
        return buffer

    def _add_buffer(self) -> SortBuffer:
        plan, options = self._means.plan, self._means.options
        extent = self._means.managed.allocate_extent("sort buffer", plan.extent_bytes)
        buffer = SortBuffer(extent, options.layout, descending=options.reverse)
        self._buffers.append(buffer)
        return buffer

    def _make_room(self) -> None:
        """Spill the oldest runs while fewer buffers are free, or soon will be, than there are workers."""
        if not self._overflows or (self._feed.ended and not self._reader_waits):
            return
        while self.resident and len(self._free) + self._spilling < self._means.plan.threads:
            self._tasks.create_task(self._spill(self.resident.pop(min(self.resident))))

    def _sort_behind(self, buffer: SortBuffer) -> None:
        if buffer.record_count:
            self.record_count += buffer.record_count
            self._tasks.create_task(self._sort(buffer, self._number(buffer.record_count, buffer)))
        else:
            self._put_free(buffer)

    def _number(self, records: int, buffer: SortBuffer) -> int:
        """The number of the run that the next `records` make, which end at the tail of `buffer`."""
        number = self._next_number
        self._next_number += 1
        if self._keeper is not None:
            self._keeper.note_records(number, records, buffer)
        return number

    async def _sort(self, buffer: SortBuffer, number: int) -> None:
        with self.sorting.timed(buffer.records_bytes):
            run = await self._means.workers.run(self._sort_now, buffer, number)
        self.resident[number] = run
        self._make_room()

    def _sort_now(self, buffer: SortBuffer, number: int) -> MemoryRun:
        options = self._means.options
        buffer.sort(self._sorter, unique=options.unique, limit=options.limit, combine=options.combine)
        return MemoryRun(number, buffer, self._means.plan.block_bytes)

    def _spill(self, run: MemoryRun) -> Coroutine[None, None, None]:
        self._spilling += 1  # at once: whoever starts spills counts them before they run
        return self._spill_now(run)

    async def _spill_now(self, run: MemoryRun) -> None:
        means = self._means
        try:
            if run.stands_in_input and self._keeper is None:
                self.files[run.number] = await means.workers.run(InputRun, run)
            else:
                with self.spilling.timed(run.raw_bytes):
                    file = await spill_run(run, means.io, self._pool, means.workers, block_bytes=means.plan.block_bytes)
                await self._keep(run.number, file)
        finally:
            self._spilling -= 1
        self._put_free(run.buffer)

    def _put_free(self, buffer: SortBuffer) -> None:
        self._free.append(buffer)
        self._is_free.set()

    async def _spill_long(self, buffer: SortBuffer) -> None:
        means = self._means
        file = await self._feed.spill_long(buffer, means.io, self._pool, block_bytes=means.plan.block_bytes)
        await self._keep(self._number(1, buffer), file)
        self.record_count += 1

    async def _keep(self, number: int, file: RunFile) -> None:
        self.files[number] = file
        if self._keeper is not None:
            await self._keeper.keep(number, file)
