"""The reduce side of a sort: all runs into one output, in as many passes as must be.

    runs ──(too many)──> neighbours merged into longer runs ──> few enough
    few enough ──cut at splitters──> ranges, merged side by side ──> each at its own offset of the output

A run is deleted as soon as the last range has read it.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, ExitStack

from io_manager import OutputFile, RunFile, StreamOutput
from memory import BufferPool
from shuffle.cuts import BlockOrder, Cutter, RunSlice, order_of_blocks, whole
from shuffle.means import Means
from shuffle.merge_heads import MergeOrder
from shuffle.plan import OUTPUT_BUFFERS_PER_RANGE, READ_AHEAD_BLOCKS
from shuffle.range_merge import RangeMerge
from shuffle.runs import FileRun, MemoryRun, Run
from shuffle.sinks import OutputSink, RunSink, Sink

AnyRun = RunFile | MemoryRun | Run


class MergePhase:
    """Merges the runs of one job. `on_written` is told of every byte that goes into the output or another run."""

    def __init__(self, means: Means, order: MergeOrder, *, on_written: Callable[[int], None]) -> None:
        self._means = means
        self._order = order
        self._on_written = on_written
        self.records_written = 0
        self.records_dropped = 0

    async def merge_steps(self, runs: list[AnyRun], *, ranges: int) -> tuple[list[AnyRun], int, int]:
        """Merge neighbours until the rest fit one merge: (the runs left, the ranges of that merge, passes in all)."""
        runs = [run for run in runs if run.raw_bytes]
        plan, ranges = self._means.plan.merges([run.raw_bytes for run in runs], ranges=ranges)
        for step in plan.steps:
            window = slice(step.first, step.first + step.count)
            runs[window] = [await self._merge_into_run(runs[window])]
        return runs, ranges, plan.passes

    async def merge_to_output(self, runs: Sequence[AnyRun], output: OutputFile | StreamOutput, *, ranges: int) -> int:
        """Merge all runs into `output`: how many ranges it took."""
        async with AsyncExitStack() as stack:
            opened = [await self._open(run, number, stack) for number, run in enumerate(runs)]
            return await self._merge_ranges([run for run in opened if len(run.index)], output, ranges)

    async def merge_to_sink(self, runs: Sequence[AnyRun], sink: Sink) -> None:
        """Merge all runs into `sink`, in one range. The runs stay, to be merged again."""
        async with AsyncExitStack() as stack:
            opened = [await self._open(run, number, stack) for number, run in enumerate(runs)]
            slices = [whole(run) for run in opened if len(run.index)]
            schedule = order_of_blocks([part.run for part in slices], descending=self._order.descending)
            if slices:
                merge = self._range_merge(slices, schedule, sink, stack, lambda run: None)
                await merge.run()
                await sink.drained()

    async def _open(self, run: AnyRun, number: int, stack: AsyncExitStack) -> Run:
        if not isinstance(run, RunFile):
            run.number = number
            return run
        return FileRun(number, run, await stack.enter_async_context(await self._means.io.open_run(run)))

    async def _merge_ranges(self, runs: list[Run], output: OutputFile | StreamOutput, ranges: int) -> int:
        schedule = order_of_blocks(runs, descending=self._order.descending)
        parts = await self._cut(runs, schedule, ranges)
        users = Counter(id(part.run) for slices in parts for part in slices)
        merges: list[RangeMerge] = []

        def note_run_end(run: Run) -> None:
            users[id(run)] -= 1
            if not users[id(run)] and isinstance(run, FileRun):
                deletions.create_task(self._delete(run))

        async with asyncio.TaskGroup() as deletions:
            with ExitStack() as pools:
                async with asyncio.TaskGroup() as tasks:
                    offset = 0
                    for slices in parts:
                        sink = OutputSink(output, offset, self._on_written)
                        merge = self._range_merge(slices, schedule, sink, pools, note_run_end)
                        merges.append(merge)
                        tasks.create_task(merge.run())
                        offset += sum(part.raw_bytes for part in slices)
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
    ) -> RangeMerge:
        plan = self._means.plan
        outputs = BufferPool(
            self._means.direct,
            "merge output",
            buffer_bytes=plan.output_bytes,
            required=2,
            maximum=OUTPUT_BUFFERS_PER_RANGE,
        )
        return RangeMerge(
            slices,
            schedule,
            self._order,
            sink,
            reads=self._read_pool(len(slices), pools),
            outputs=pools.enter_context(outputs),
            workers=self._means.workers,
            on_run_end=on_run_end,
        )

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

    async def _cut(self, runs: list[Run], schedule: BlockOrder, ranges: int) -> list[list[RunSlice]]:
        if ranges == 1:
            return [[whole(run) for run in runs]] if runs else []
        with ExitStack() as pools:
            pool = self._read_pool(0, pools)
            cutter = Cutter(schedule, self._order.layout, pool, descending=self._order.descending)
            return [slices for slices in await cutter.cut(ranges) if slices]

    async def _merge_into_run(self, runs: Sequence[AnyRun]) -> RunFile:
        means = self._means
        order = MergeOrder(self._order.layout, self._order.descending)
        async with AsyncExitStack() as stack:
            opened = [await self._open(run, number, stack) for number, run in enumerate(runs)]
            outputs = BufferPool(
                means.direct, "merge output", buffer_bytes=means.plan.block_bytes, required=2, maximum=8
            )
            stack.enter_context(outputs)
            writer = await stack.enter_async_context(  # after the pool, whose buffers it may hold until it has ended
                await means.io.create_run(
                    block_bytes=means.plan.block_bytes, expected_bytes=sum(run.raw_bytes for run in runs)
                )
            )
            merge = RangeMerge(
                [whole(run) for run in opened],
                order_of_blocks(opened, descending=order.descending),
                order,
                RunSink(writer, order.layout, self._on_written),
                reads=self._read_pool(len(opened), stack),
                outputs=outputs,
                workers=means.workers,
                on_run_end=lambda run: None,
            )
            await merge.run()
            merged = await writer.finish()
        assert merged.raw_bytes == sum(run.raw_bytes for run in opened), merged
        for run in opened:
            if isinstance(run, FileRun):
                await means.io.delete_run(run.file)
        return merged

    async def _delete(self, run: FileRun) -> None:
        await run.reader.close()
        await self._means.io.delete_run(run.file)
