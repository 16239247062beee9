"""The reduce side of a sort: all runs into one output, in as many passes as must be.

    runs ──(too many)──> neighbours merged into longer runs ──> few enough
    few enough ──cut at splitters──> ranges, merged side by side ──> each at its own offset of the output

A run is deleted as soon as the last range has read it.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass, replace
from typing import Protocol

from io_manager import RunFile
from memory import BufferPool
from shuffle.cuts import BlockOrder, Cutter, RunSlice, order_of_blocks, whole
from shuffle.means import Means
from shuffle.merge_heads import MergeOrder
from shuffle.plan import OUTPUT_BUFFERS_PER_RANGE, READ_AHEAD_BLOCKS
from shuffle.range_merge import RangeKeeper, RangeMerge
from shuffle.runs import FileRun, MemoryRun, Run
from shuffle.sinks import RunSink, Sink, Target
from shuffle.stored_slice import StoredSlice

AnyRun = RunFile | StoredSlice | MemoryRun | Run


@dataclass(frozen=True)
class OutputRange:
    """What is left to merge of a range of the output that begins at `offset`: `slices`, behind `written_bytes` of it.

    So many `records` have been written before, the last of them `last_record`, where that is of use.
    """

    slices: list[RunSlice]
    offset: int
    written_bytes: int = 0
    records: int = 0
    last_record: bytes = b""
    keeper: RangeKeeper | None = None


class MergeKeeper(Protocol):
    """Who keeps how far the merges of a job are that can be resumed. No run of the last merge is deleted then."""

    steps_min: int
    """A merge before the last takes no more than one in so many of the runs: it is done whole or not at all."""

    async def keep_merged(self, sources: Sequence[RunFile], merged: RunFile) -> None:
        """`merged` is on disk, in place of its sources, which will be deleted."""

    async def ranges(self, runs: Sequence[Run], cut: Callable[[], Awaitable[list[OutputRange]]]) -> list[OutputRange]:
        """What is left of the last merge, of `runs`: as kept, or as `cut` now."""


def output_ranges(parts: list[list[RunSlice]]) -> list[OutputRange]:
    """Ranges one behind another, of which nothing is written yet."""
    sizes = [sum(part.raw_bytes for part in slices) for slices in parts]
    return [OutputRange(slices, sum(sizes[:number])) for number, slices in enumerate(parts)]


class MergePhase:
    """Merges the runs of one job. `on_written` is told of every byte that goes into the output or another run."""

    def __init__(
        self,
        means: Means,
        order: MergeOrder,
        *,
        on_written: Callable[[int], None],
        keeper: MergeKeeper | None = None,
    ) -> None:
        self._means = means
        self._order = order
        self._on_written = on_written
        self._keeper = keeper
        self.records_written = 0
        self.records_dropped = 0

    async def merge_steps(self, runs: list[AnyRun], *, ranges: int) -> tuple[list[AnyRun], int, int]:
        """Merge neighbours until the rest fit one merge: (the runs left, the ranges of that merge, passes in all)."""
        runs = [run for run in runs if run.raw_bytes]
        steps_min = 1 if self._keeper is None else self._keeper.steps_min
        sizes = [run.raw_bytes for run in runs]
        plan, ranges = self._means.plan.merges(sizes, ranges=ranges, steps_min=steps_min)
        for step in plan.steps:
            window = slice(step.first, step.first + step.count)
            runs[window] = [await self._merge_into_run(runs[window])]
        return runs, ranges, plan.passes

    async def merge_to_output(self, runs: Sequence[AnyRun], output: Target, *, ranges: int) -> int:
        """Merge all runs into `output`: how many ranges it took."""
        async with AsyncExitStack() as stack:
            opened = await self._open_all(runs, stack)
            return await self._merge_ranges([part for part in opened if len(part.run.index)], output, ranges)

    async def merge_to_sink(self, runs: Sequence[AnyRun], sink: Sink, *, outputs: BufferPool | None = None) -> int:
        """Merge all runs into `sink`, in one range: how many records. The runs stay, to be merged again.

        A sink that holds buffers until it is closed brings a pool of its own, `outputs`, closed after it.
        """
        async with AsyncExitStack() as stack:
            opened = await self._open_all(runs, stack)
            slices = [part for part in opened if len(part.run.index)]
            if not slices:
                return 0
            schedule = order_of_blocks([part.run for part in slices], descending=self._order.descending)
            own = stack.enter_context(self._output_pool()) if outputs is None else None
            merge = self._range_merge(slices, schedule, sink, stack, lambda run: None, outputs=outputs or own)
            try:
                await merge.run()
            except Exception:
                if own is not None:  # who reads still looks into our buffers, and reads what came before the error
                    await sink.drained()
                raise
            await sink.drained()
            return merge.records_written

    async def _open_all(self, runs: Sequence[AnyRun], stack: AsyncExitStack) -> list[RunSlice]:
        """Side by side: each waits for the disk three times, and a partition of a shuffle is hardly longer to read."""
        async with asyncio.TaskGroup() as tasks:
            opening = [tasks.create_task(self._open(run, number, stack)) for number, run in enumerate(runs)]
        return [task.result() for task in opening]

    async def _open(self, run: AnyRun, number: int, stack: AsyncExitStack) -> RunSlice:
        if isinstance(run, StoredSlice):
            return await run.open(number, self._means.io, stack)
        if isinstance(run, RunFile):
            run = FileRun(number, run, await stack.enter_async_context(await self._means.io.open_run(run)))
        run.number = number
        return whole(run)

    async def _merge_ranges(self, opened: list[RunSlice], output: Target, ranges: int) -> int:
        runs = [part.run for part in opened]
        schedule = order_of_blocks(runs, descending=self._order.descending)

        async def cut() -> list[OutputRange]:
            return output_ranges(await self._cut(opened, schedule, ranges))

        parts = await (cut() if self._keeper is None else self._keeper.ranges(runs, cut))
        users = Counter(id(part.run) for each in parts for part in each.slices)
        merges: list[RangeMerge] = []
        total_bytes = sum(part.raw_bytes for part in opened)

        def note_run_end(run: Run) -> None:
            users[id(run)] -= 1
            if not users[id(run)] and isinstance(run, FileRun) and self._keeper is None:
                deletions.create_task(self._delete(run))

        async with asyncio.TaskGroup() as deletions:
            with ExitStack() as pools:
                async with asyncio.TaskGroup() as tasks:
                    for part in parts:
                        sink = output.sink(part.offset + part.written_bytes, total_bytes, self._on_written)
                        merge = self._range_merge(
                            part.slices, schedule, sink, pools, note_run_end, sink.expect_long, begun=part
                        )
                        merges.append(merge)
                        tasks.create_task(merge.run())
        self.records_written += sum(merge.records_written for merge in merges)
        self.records_dropped += sum(merge.records_dropped for merge in merges)
        return len(parts)

    def _range_merge(
        self,
        slices: list[RunSlice],
        schedule: BlockOrder,
        sink: Sink,
        pools: ExitStack | AsyncExitStack,
        on_run_end: Callable[[Run], None],
        on_long: Callable[[int, int], None] = lambda position, record_bytes: None,
        *,
        outputs: BufferPool | None = None,
        begun: OutputRange | None = None,
    ) -> RangeMerge:
        """The merge of `slices`, with its buffers until `pools` ends; what is left of a range that has `begun`."""
        order, limit = self._order, self._order.limit
        if begun is not None and limit is not None:
            order = replace(order, limit=limit - begun.records)
        return RangeMerge(
            slices,
            schedule,
            order,
            sink,
            reads=self._read_pool(len(slices), pools),
            outputs=outputs or pools.enter_context(self._output_pool()),
            workers=self._means.workers,
            on_run_end=on_run_end,
            on_long=on_long,
            last_record=b"" if begun is None else begun.last_record,
            keeper=None if begun is None else begun.keeper,
        )

    def _output_pool(self) -> BufferPool:
        """Buffers for what goes out of one range."""
        size_bytes, most = self._means.plan.output_bytes, OUTPUT_BUFFERS_PER_RANGE
        return BufferPool(self._means.direct, "merge output", buffer_bytes=size_bytes, required=2, maximum=most)

    def _read_pool(self, run_count: int, pools: ExitStack | AsyncExitStack) -> BufferPool:
        """A buffer for each run, two for spanning records, and as many as there is room for to read ahead."""
        pool = BufferPool(
            self._means.managed,
            "merge input",
            buffer_bytes=self._means.plan.block_bytes,
            required=run_count + 2,
            maximum=run_count + READ_AHEAD_BLOCKS,
        )
        return pools.enter_context(pool)

    async def _cut(self, opened: list[RunSlice], schedule: BlockOrder, ranges: int) -> list[list[RunSlice]]:
        if ranges == 1:
            return [opened] if opened else []
        assert all(part == whole(part.run) for part in opened), "a part of a run is not cut into ranges"
        with ExitStack() as pools:
            pool = self._read_pool(0, pools)
            cutter = Cutter(schedule, self._order.layout, pool, descending=self._order.descending)
            return [slices for slices in await cutter.cut(ranges) if slices]

    async def _merge_into_run(self, runs: Sequence[AnyRun]) -> RunFile:
        means = self._means
        order = MergeOrder(self._order.layout, self._order.descending)
        async with AsyncExitStack() as stack:
            opened = await self._open_all(runs, stack)
            outputs = stack.enter_context(means.block_pool(means.plan.block_bytes))
            writer = await stack.enter_async_context(  # after the pool, whose buffers it may hold until it has ended
                await means.io.create_run(
                    block_bytes=means.plan.block_bytes, expected_bytes=sum(run.raw_bytes for run in runs)
                )
            )
            merge = RangeMerge(
                opened,
                order_of_blocks([part.run for part in opened], descending=order.descending),
                order,
                RunSink(writer, order.layout, self._on_written),
                reads=self._read_pool(len(opened), stack),
                outputs=outputs,
                workers=means.workers,
                on_run_end=lambda run: None,
            )
            await merge.run()
            merged = await writer.finish()
        assert merged.raw_bytes == sum(part.raw_bytes for part in opened), merged
        # A slice of a run is left alone: others want the rest.
        sources = [part.run.file for part in opened if isinstance(part.run, FileRun)]
        if self._keeper is not None:
            await self._keeper.keep_merged(sources, merged)
        for source in sources:
            await means.io.delete_run(source)
        return merged

    async def _delete(self, run: FileRun) -> None:
        await run.reader.close()
        await self._means.io.delete_run(run.file)
