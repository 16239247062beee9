"""The merge of one range of keys: a thread runs the kernel, the event loop keeps it in blocks and empty outputs.

    disk ──read-ahead, in the order of first keys──> ready blocks ─┐
    sort buffers that stayed in memory ────────────copied──────────┼─> kernel ──> outputs ──> sink
                                                                   │
         event loop: reads, writes, waits                          └─ thread: until a block or an output is missing

The thread never waits, and tells the loop of every output it fills, so that reading and writing go on beside it. A run
that goes dry before its next block was asked for gets the buffer it has just given up: no order of keys can block it.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from ctypes import memmove
from dataclasses import dataclass
from enum import Enum, auto
from math import inf
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from io_manager import BlockFlags, IOThreads
from memory import Buffer, BufferPool
from shuffle.cuts import BlockOrder, Position, RunSlice
from shuffle.kernels import merge
from shuffle.merge_heads import MergeHeads, MergeOrder
from shuffle.run_input import RunInput, shared_key_bytes
from shuffle.runs import Run, not_in_order, payload_address, span_bytes
from shuffle.sinks import Sink
from shuffle.spans import SpanHeads


class _Stop(Enum):
    """Why the thread came back."""

    NEEDS_BLOCK = auto()
    NEEDS_OUTPUT = auto()
    SPAN_ARRIVED = auto()
    SPAN_WINS = auto()
    DONE = auto()


@dataclass(frozen=True)
class Progress:
    """How far a merge is: bytes and records that went out, and where the rest of each run, by its number, begins. When
    nothing is left, there is none.

    `last_bytes` is the length of the last record that went out, where keys are wanted once and it can be told.
    """

    written_bytes: int
    records: int
    rest: dict[int, Position]
    last_bytes: int


class RangeKeeper(Protocol):
    """Who keeps the progress of a merge that can be resumed."""

    def is_due(self, written_bytes: int) -> bool:
        """Whether to tell of the place after so many bytes. In the thread that merges."""

    async def keep(self, progress: Progress) -> None:
        """All before this place has gone into the sink."""


@dataclass(frozen=True)
class _Output:
    buffer: Buffer
    length: int
    records: int
    flags: int
    progress: Progress | None


class RangeMerge:
    """Merges `parts`, at least one and none empty, into `sink`. `reads` and `outputs` are pools of its own.

    `on_long` is told where a record that is longer than a block begins, and how long it is, before it goes out. If keys
    are wanted once, `last_record` is what went out before; a `keeper` is told now and then how far the merge is.
    """

    def __init__(
        self,
        parts: list[RunSlice],
        schedule: BlockOrder,
        order: MergeOrder,
        sink: Sink,
        *,
        reads: BufferPool,
        outputs: BufferPool,
        workers: IOThreads,
        on_run_end: Callable[[Run], None],
        on_long: Callable[[int, int], None] = lambda position, record_bytes: None,
        last_record: bytes = b"",
        keeper: RangeKeeper | None = None,
    ) -> None:
        self._sink = sink
        self._keeper = keeper
        self._on_long = on_long
        self._reads = reads
        self._output_pool = outputs
        self._workers = workers
        self._on_run_end = on_run_end
        vouched = all(part.run.is_trusted for part in parts)
        skip = shared_key_bytes(parts, order.layout) if vouched else 0
        self._inputs = [
            RunInput(part, column, order.layout, order.descending, skip) for column, part in enumerate(parts)
        ]
        self._heads = MergeHeads(len(parts), order, skip)
        if last_record:
            self._heads.remember(last_record)
        self._spans = SpanHeads(self._inputs, self._heads, order)
        self._schedule = _blocks_to_read(self._inputs, schedule)
        self._scheduled = 0
        self._empty: deque[Buffer] = deque()
        self._full: deque[_Output] = deque()
        self._spent: deque[Buffer] = deque()
        self._ended: deque[Run] = deque()
        self._target: Buffer | None = None
        self._target_start = self._target_end = self._position = 0
        self._records_before = 0
        self._bytes_written = 0
        self._column = 0  # the run that the last stop was about
        self._moved = asyncio.Event()
        self._is_over = False

    @property
    def records_written(self) -> int:
        """Records that went into the sink."""
        return self._heads.records_written

    @property
    def records_dropped(self) -> int:
        """Records left out because their key had been written already."""
        return self._heads.records_dropped

    async def run(self) -> None:
        """Merge everything. Returns when the sink has taken the last output; gives every buffer back, also on error."""
        self._loop = asyncio.get_running_loop()
        try:
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                writer = tasks.create_task(self._over_on_error(self._write_outputs()))
                await self._over_on_error(self._merge())
                self._is_over = True
                self._moved.set()
                await writer
                if self._keeper is not None:
                    await self._keeper.keep(Progress(self._bytes_written, self.records_written, {}, 0))
                self._release_spent()
        finally:
            self._is_over = True
            self._give_back()

    # --- on the event loop

    async def _over_on_error(self, work: Coroutine[None, None, None]) -> None:
        """Once something went wrong, nobody takes a buffer any more that nobody would give back."""
        try:
            await work
        except BaseException:
            self._is_over = True
            raise

    async def _merge(self) -> None:
        await self._start()
        while True:
            self._pump()
            stop = await self._workers.run(self._advance)
            if stop is _Stop.DONE:
                break
            if stop is _Stop.NEEDS_BLOCK:
                await self._arrival(self._inputs[self._column])
                self._resupply()
                await self._spans.rank(self._column)
            elif stop is _Stop.NEEDS_OUTPUT:
                await self._await_output()
            elif stop is _Stop.SPAN_ARRIVED:
                await self._spans.rank(self._column)
            else:
                await self._take_span(self._column)
        if self._target is not None:
            self._close_target()
        self._spans.forget_last()

    async def _start(self) -> None:
        """Get every run its first block, and the spans among them their order."""
        await self._spans.prepare(self._reads)
        for each in self._inputs:
            if each.run_is_in_memory:
                each.current = await self._reads.acquire()
            else:
                self._ask(each, each.part.start.block, await self._reads.acquire())
        for each in self._inputs:
            await self._arrival(each)
            supplied = each.supply(self._heads.runs)
            assert supplied, each
            await self._spans.rank(each.column)

    async def _arrival(self, each: RunInput) -> None:
        """Wait for the block that a run needs next; ask for it, out of turn, if nobody has."""
        self._release_spent()
        block = each.next_block
        if block is None or each.run_is_in_memory:
            return
        if block not in each.asked:
            assert each.spare is not None, "a run keeps a buffer until its next block is on its way"
            buffer, each.spare = each.spare, None
            self._ask(each, block, buffer)
        await self._until(lambda: block in each.ready)

    async def _await_output(self) -> None:
        """Wait for an empty output, however long whoever reads the sink may take."""
        if not self._empty:
            self._empty.append(await self._output_pool.acquire(timeout_seconds=inf))

    async def _until(self, is_so: Callable[[], bool]) -> None:
        self._pump()
        while not is_so():
            self._moved.clear()
            await self._moved.wait()
            self._pump()

    def _pump(self) -> None:
        """Give back what is used up, read ahead, and provide empty outputs."""
        self._release_spent()
        while not self._is_over and self._scheduled < len(self._schedule):
            column, block = self._schedule[self._scheduled].tolist()
            each = self._inputs[column]
            if block not in each.asked:
                buffer = self._reads.try_acquire()
                if buffer is None:
                    break
                self._ask(each, block, buffer)
            self._scheduled += 1
        while not self._is_over and (output := self._output_pool.try_acquire()) is not None:
            self._empty.append(output)
        self._moved.set()

    def _release_spent(self) -> None:
        while self._spent:
            self._spent.popleft().release()
        for _ in range(len(self._ended)):
            run = self._ended.popleft()
            if self._spans.still_needs(run):
                self._ended.append(run)
            else:
                self._on_run_end(run)

    def _ask(self, each: RunInput, block: int, buffer: Buffer) -> None:
        each.asked.add(block)
        each.coming[block] = buffer  # a task that is cancelled before it begins could not give it back
        self._tasks.create_task(self._read(each, block, buffer))

    async def _read(self, each: RunInput, block: int, buffer: Buffer) -> None:
        try:
            await each.part.run.load(block, buffer)
        except BaseException:
            self._is_over = True
            raise
        each.ready[block] = each.coming.pop(block)
        self._moved.set()

    async def _write_outputs(self) -> None:
        while True:
            while self._full:
                output = self._full.popleft()
                await self._sink.put(output.buffer, output.length, output.records, output.flags)
                self._pump()
                if output.progress is not None and self._keeper is not None:
                    await self._keeper.keep(output.progress)
            if self._is_over:
                return
            self._moved.clear()
            await self._moved.wait()

    def _give_back(self) -> None:
        for each in self._inputs:
            each.release()
        self._spans.release()
        for buffer in (*self._spent, *self._empty, *(output.buffer for output in self._full)):
            buffer.release()
        if self._target is not None:
            self._target.release()

    # --- in a worker thread

    def _advance(self) -> _Stop:
        """Run the kernel until a block or an output is missing, or the loop has something to decide."""
        while True:
            if self._target is None:
                if not self._empty:
                    return _Stop.NEEDS_OUTPUT
                self._open_target(self._empty.popleft())
            why, column, self._position = self._heads.advance(self._position, self._target_end)
            self._column = column
            if why == merge.FULL:
                self._close_target()
                self._loop.call_soon_threadsafe(self._pump)
            elif why == merge.DRY:
                self._retire(self._inputs[column])
                if not self._resupply():
                    return _Stop.NEEDS_BLOCK
                if self._spans.is_head(column):
                    return _Stop.SPAN_ARRIVED
            elif why == merge.SPANNING:
                return _Stop.SPAN_WINS
            elif why == merge.DISORDER:
                raise not_in_order(self._inputs[column].part.run)
            else:
                return _Stop.DONE

    def _retire(self, each: RunInput) -> None:
        """The run keeps its buffer if nobody has asked for its next block: read-ahead would take it for another's."""
        buffer = each.retire(self._heads.runs)
        if buffer is None:
            return
        if each.next_block is None or each.next_block in each.asked:
            self._spent.append(buffer)
        else:
            each.spare = buffer

    def _resupply(self) -> bool:
        """Put the next block under the run that went dry, if it is there."""
        each = self._inputs[self._column]
        if not each.supply(self._heads.runs):
            return False
        if each.spare is not None:  # the block was asked for meanwhile, and came
            self._spent.append(each.spare)
            each.spare = None
        if self._heads.has_ended(self._column):
            self._ended.append(each.part.run)
        self._heads.note_refilled(self._column)
        return True

    def _open_target(self, buffer: Buffer) -> None:
        self._target = buffer
        base = int(np.frombuffer(buffer.view, np.uint8).ctypes.data)
        start, end = self._sink.window(self._bytes_written, len(buffer.view))
        self._target_start = self._position = base + start
        self._target_end = base + end

    def _close_target(self, flags: int = 0) -> None:
        """Hand the output on."""
        assert self._target is not None
        self._heads.leave_output()
        length = self._position - self._target_start
        self._bytes_written += length
        records, self._records_before = self.records_written - self._records_before, self.records_written
        buffer, self._target = self._target, None
        if length:
            progress = None if flags else self._progress()
            self._full.append(_Output(buffer, length, records, flags, progress))
        else:
            self._empty.append(buffer)

    def _progress(self) -> Progress | None:
        """Where the merge stands, if that is to be kept. Every run has its next record under its cursor, or ended."""
        if self._keeper is None or not self._keeper.is_due(self._bytes_written):
            return None
        last_bytes = self._heads.last_bytes if self._heads.keeps_last else 0
        if self._heads.keeps_last and not last_bytes:
            return None  # a record that spans blocks: nobody could read its key again
        rest = {each.part.run.number: self._place_in(each) for each in self._inputs}
        left = {number: place for number, place in rest.items() if place is not None}
        return Progress(self._bytes_written, self.records_written, left, last_bytes)

    def _place_in(self, each: RunInput) -> Position | None:
        if self._heads.has_ended(each.column):
            return None
        assert each.current is not None, "a run that has not ended has a block"
        cursor = int(self._heads.runs[merge.CURSOR, each.column])
        return Position(each.current_block, cursor - payload_address(each.current.view))

    # --- records longer than a block

    async def _take_span(self, column: int) -> None:
        """The next record spans blocks: pass them on one by one, or drop them all if its key was written already."""
        each, span = self._inputs[column], self._spans.at(column)
        is_wanted = not await self._spans.repeats_last(span)
        if self._target is not None:
            self._close_target()
        if is_wanted:
            self._on_long(self._bytes_written, span_bytes(*span))
        self._heads.note_span(is_wanted=is_wanted)
        while True:
            flags = each.span_flags()
            if is_wanted:
                await self._pass_on(column, flags)
            self._heads.runs[merge.CURSOR, column] = self._heads.runs[merge.BLOCK_END, column]
            self._retire(each)
            await self._arrival(each)
            self._column = column
            self._resupply()
            if flags == BlockFlags.SPAN_LAST:
                break
        await self._spans.leave(column, span)

    async def _pass_on(self, column: int, flags: int) -> None:
        """Copy the block under the cursor into an output of its own."""
        await self._await_output()
        self._open_target(self._empty.popleft())
        start, end = (int(self._heads.runs[row, column]) for row in (merge.CURSOR, merge.BLOCK_END))
        memmove(self._target_start, start, end - start)
        self._position += end - start
        self._close_target(flags)
        self._pump()


def _blocks_to_read(inputs: list[RunInput], schedule: BlockOrder) -> NDArray[np.int64]:
    """(column, block) of every block of this range that is on disk, in the order of first keys: shape (n, 2)."""
    columns = np.full(len(schedule.runs), -1)
    first, stop = np.zeros(len(schedule.runs), np.int64), np.zeros(len(schedule.runs), np.int64)
    places = {id(run): place for place, run in enumerate(schedule.runs)}
    for each in inputs:
        place = places[id(each.part.run)]
        if not each.run_is_in_memory:
            columns[place] = each.column
            first[place], stop[place] = each.part.blocks().start, each.part.blocks().stop
    of_run, blocks = schedule.run_places, schedule.blocks
    wanted = (columns[of_run] >= 0) & (blocks >= first[of_run]) & (blocks < stop[of_run])
    return np.stack([columns[of_run[wanted]], blocks[wanted]], axis=1)
