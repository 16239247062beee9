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
from ctypes import memmove, string_at
from dataclasses import dataclass
from enum import Enum, auto

import numpy as np
from numpy.typing import NDArray

from io_manager import BlockFlags, IOThreads
from memory import Buffer, BufferPool
from serializers import SLACK_BYTES, RecordLayout
from shuffle.cuts import BlockOrder, RunSlice
from shuffle.kernels import merge
from shuffle.run_input import RunInput, shared_key_bytes
from shuffle.runs import Run, has_spans, not_in_order
from shuffle.sinks import Sink
from shuffle.spans import compare_spans

_ALL_ONES = 0xFFFF_FFFF_FFFF_FFFF


@dataclass(frozen=True)
class MergeOrder:
    """How records are ordered, and which of them are wanted."""

    layout: RecordLayout
    descending: bool
    unique: bool = False
    limit: int | None = None


class _Stop(Enum):
    """Why the thread came back."""

    NEEDS_BLOCK = auto()
    NEEDS_OUTPUT = auto()
    SPAN_ARRIVED = auto()
    SPAN_WINS = auto()
    DONE = auto()


@dataclass(frozen=True)
class _Output:
    buffer: Buffer
    length: int
    records: int
    flags: int


class RangeMerge:
    """Merges `parts`, at least one and none empty, into `sink`. `reads` and `outputs` are pools of its own."""

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
    ) -> None:
        self._order = order
        self._on_run_end = on_run_end
        self._sink = sink
        self._reads = reads
        self._output_pool = outputs
        self._workers = workers
        vouched = all(part.run.is_trusted for part in parts)
        skip = shared_key_bytes(parts, order.layout) if vouched else 0
        self._inputs = [
            RunInput(part, column, order.layout, order.descending, skip) for column, part in enumerate(parts)
        ]
        self._schedule = self._blocks_to_read(schedule)
        self._scheduled = 0
        self._span_buffers: list[Buffer] = []
        self._spans: list[int] = []  # columns whose heads are spanning records, in order
        self._last_span: tuple[RunSlice, int] | None = None
        self._kept: NDArray[np.uint8] = np.empty(0, np.uint8)
        self._make_kernel_state(skip)
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
        return int(self._state[merge.RECORDS])

    @property
    def records_dropped(self) -> int:
        """Records left out because their key had been written already."""
        return int(self._state[merge.DROPPED])

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
                await self._rank_if_span(self._column)
            elif stop is _Stop.NEEDS_OUTPUT:
                await self._until(lambda: bool(self._empty))
            elif stop is _Stop.SPAN_ARRIVED:
                await self._rank_if_span(self._column)
            else:
                await self._take_span(self._column)
        if self._target is not None:
            self._close_target()
        self._last_span = None

    async def _start(self) -> None:
        """Get every run its first block, and the spans among them their order."""
        if any(has_spans(each.part.run) for each in self._inputs):
            self._span_buffers = [await self._reads.acquire() for _ in range(2)]
        for each in self._inputs:
            if each.run_is_in_memory:
                each.current = await self._reads.acquire()
            else:
                self._ask(each, each.part.start.block, await self._reads.acquire())
        for each in self._inputs:
            await self._arrival(each)
            supplied = each.supply(self._runs)
            assert supplied, each
            await self._rank_if_span(each.column)

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
            if self._last_span is not None and run is self._last_span[0].run:
                self._ended.append(run)  # the next span may have to be compared with it
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
            if self._is_over:
                return
            self._moved.clear()
            await self._moved.wait()

    def _give_back(self) -> None:
        for each in self._inputs:
            each.release()
        for buffer in (
            *self._span_buffers,
            *self._spent,
            *self._empty,
            *(output.buffer for output in self._full),
        ):
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
            why, column, self._position = merge.merge_until(
                self._runs, self._tree, self._layout, self._state, self._position, self._target_end
            )
            self._column = column
            if why == merge.FULL:
                self._close_target()
                self._loop.call_soon_threadsafe(self._pump)
            elif why == merge.DRY:
                self._retire(self._inputs[column])
                if not self._resupply():
                    return _Stop.NEEDS_BLOCK
                if self._head_is_span(column):
                    return _Stop.SPAN_ARRIVED
            elif why == merge.SPANNING:
                return _Stop.SPAN_WINS
            elif why == merge.DISORDER:
                raise not_in_order(self._inputs[column].part.run)
            else:
                return _Stop.DONE

    def _retire(self, each: RunInput) -> None:
        """The run keeps its buffer if nobody has asked for its next block: read-ahead would take it for another's."""
        buffer = each.retire(self._runs)
        if buffer is None:
            return
        if each.next_block is None or each.next_block in each.asked:
            self._spent.append(buffer)
        else:
            each.spare = buffer

    def _resupply(self) -> bool:
        """Put the next block under the run that went dry, if it is there."""
        each = self._inputs[self._column]
        if not each.supply(self._runs):
            return False
        if each.spare is not None:  # the block was asked for meanwhile, and came
            self._spent.append(each.spare)
            each.spare = None
        if not self._runs[merge.CURSOR, self._column]:
            self._ended.append(each.part.run)
        self._state[merge.REFILLED] = self._column
        return True

    def _open_target(self, buffer: Buffer) -> None:
        self._target = buffer
        base = int(np.frombuffer(buffer.view, np.uint8).ctypes.data)
        start, end = self._sink.window(self._bytes_written, len(buffer.view))
        self._target_start = self._position = base + start
        self._target_end = base + end

    def _close_target(self, flags: int = 0) -> None:
        """Hand the output on; if equal keys are dropped, keep the last record to compare with."""
        assert self._target is not None
        if self._order.unique and self._state[merge.KEPT]:
            self._keep_last_record()
        length = self._position - self._target_start
        self._bytes_written += length
        records, self._records_before = self.records_written - self._records_before, self.records_written
        buffer, self._target = self._target, None
        if length:
            self._full.append(_Output(buffer, length, records, flags))
        else:
            self._empty.append(buffer)

    def _keep_last_record(self) -> None:
        start, end = int(self._state[merge.KEPT]), int(self._state[merge.KEPT_END])
        if start == self._kept.ctypes.data:
            return
        self._kept = np.frombuffer(string_at(start, end - start) + bytes(SLACK_BYTES), np.uint8)
        self._state[merge.KEPT] = self._kept.ctypes.data
        self._state[merge.KEPT_END] = self._kept.ctypes.data + end - start

    # --- records longer than a block

    def _head_is_span(self, column: int) -> bool:
        return bool(self._runs[merge.CURSOR, column]) and self._inputs[column].span_flags() != 0

    async def _rank_if_span(self, column: int) -> None:
        """Find the place of a run's new head among the spanning records that are heads now, and number them."""
        if not self._head_is_span(column):
            return
        place = 0
        while place < len(self._spans) and await self._span_goes_before(self._spans[place], column):
            place += 1
        self._spans.insert(place, column)
        for rank, each in enumerate(self._spans, 1):
            self._runs[merge.SPAN_RANK, each] = rank

    async def _span_goes_before(self, left: int, right: int) -> bool:
        order = await self._compare_spans(self._span_at(left), self._span_at(right))
        if order == 0:
            return left < right
        return (order < 0) != self._order.descending

    def _span_at(self, column: int) -> tuple[RunSlice, int]:
        block = self._inputs[column].current_block
        return self._inputs[column].part, block

    async def _compare_spans(self, left: tuple[RunSlice, int], right: tuple[RunSlice, int]) -> int:
        return await compare_spans((left[0].run, left[1]), (right[0].run, right[1]), *self._span_buffers)

    async def _take_span(self, column: int) -> None:
        """The next record spans blocks: pass them on one by one, or drop them all if its key was written already."""
        each = self._inputs[column]
        span = self._span_at(column)
        is_wanted = not await self._repeats_last_span(span)
        if self._target is not None:
            self._close_target()
        self._state[merge.KEPT] = 0
        self._state[merge.RECORDS if is_wanted else merge.DROPPED] += 1
        while True:
            flags = each.span_flags()
            if is_wanted:
                await self._pass_on(column, flags)
            self._runs[merge.CURSOR, column] = self._runs[merge.BLOCK_END, column]
            self._retire(each)
            await self._arrival(each)
            self._column = column
            self._resupply()
            if flags == BlockFlags.SPAN_LAST:
                break
        self._last_span = span if self._order.unique else None
        self._spans.remove(column)
        await self._rank_if_span(column)
        await self._check_span_order(span, each)
        self._state[merge.REFILLED] = column

    async def _check_span_order(self, span: tuple[RunSlice, int], each: RunInput) -> None:
        """Two spans in a row of a run that nobody vouches for; their first blocks have been compared."""
        if each.part.run.is_trusted or not self._head_is_span(each.column):
            return
        order = await self._compare_spans(span, self._span_at(each.column))
        if order and (order > 0) != self._order.descending:
            raise not_in_order(each.part.run)

    async def _repeats_last_span(self, span: tuple[RunSlice, int]) -> bool:
        if not self._order.unique or self._last_span is None:
            return False
        return await self._compare_spans(self._last_span, span) == 0

    async def _pass_on(self, column: int, flags: int) -> None:
        """Copy the block under the cursor into an output of its own."""
        await self._until(lambda: bool(self._empty))
        self._open_target(self._empty.popleft())
        start, end = (int(self._runs[row, column]) for row in (merge.CURSOR, merge.BLOCK_END))
        memmove(self._target_start, start, end - start)
        self._position += end - start
        self._close_target(flags)
        self._pump()

    # --- setting up

    def _blocks_to_read(self, schedule: BlockOrder) -> NDArray[np.int64]:
        """(column, block) of every block of this range that is on disk, in the order of first keys: shape (n, 2)."""
        columns = np.full(len(schedule.runs), -1)
        first, stop = np.zeros(len(schedule.runs), np.int64), np.zeros(len(schedule.runs), np.int64)
        places = {id(run): place for place, run in enumerate(schedule.runs)}
        for each in self._inputs:
            place = places[id(each.part.run)]
            if not each.run_is_in_memory:
                columns[place] = each.column
                first[place], stop[place] = each.part.blocks().start, each.part.blocks().stop
        of_run, blocks = schedule.run_places, schedule.blocks
        wanted = (columns[of_run] >= 0) & (blocks >= first[of_run]) & (blocks < stop[of_run])
        return np.stack([columns[of_run[wanted]], blocks[wanted]], axis=1)

    def _make_kernel_state(self, skip: int) -> None:
        layout, limit = self._order.layout, self._order.limit
        count = len(self._inputs)
        self._runs = np.zeros((merge.RUN_ROWS, count), np.uint64)
        self._tree = np.zeros((merge.TREE_ROWS, count), np.uint64)
        self._layout = np.zeros(merge.LAYOUT_ENTRIES, np.uint64)
        self._layout[merge.RECORD_BYTES] = layout.record_bytes
        self._layout[merge.KEY_OFFSET] = layout.key_offset
        self._layout[merge.KEY_BYTES] = layout.key_bytes
        self._layout[merge.SKIP] = skip
        self._layout[merge.INVERTED] = _ALL_ONES if self._order.descending else 0
        self._layout[merge.DELIMITER] = layout.delimiter
        self._layout[merge.UNIQUE] = self._order.unique
        self._state = np.zeros(merge.STATE_ENTRIES, np.uint64)
        self._state[merge.WINNER] = self._state[merge.REFILLED] = merge.NO_RUN
        self._state[merge.LIMIT] = _ALL_ONES if limit is None else limit
