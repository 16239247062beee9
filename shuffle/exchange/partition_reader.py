"""The reduce side of the exchange: one partition of many map outputs, merged into rows in order.

    map output 0  ─── slice ──┐
    map output 1  ─── slice ──┼── (too many: neighbours merged into runs) ── merge ──> RowReader
    map output 2  (empty)     │
    map output 3  ─── slice ──┘

Equal keys come in the order of (map task, position). Blocks are fetched in the order in which the merge will want them,
into a bounded pool. Nothing is held that the plan did not foresee, however many map outputs there are.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial

from io_manager import ALIGNMENT, RunCorruptError, RunFile
from memory import BufferPool, MemoryConfigurationError, format_size
from shuffle.engine import everything_ended
from shuffle.exchange.key_shape import KeyShape
from shuffle.exchange.keyed_rows import group_prefix
from shuffle.exchange.map_output import MapOutput
from shuffle.exchange.partitioners import RangePartitioner
from shuffle.exchange.range_cuts import RangeCuts, cut_ranges
from shuffle.job_session import JobSession
from shuffle.means import Means
from shuffle.merge_heads import MergeOrder
from shuffle.merge_phase import AnyRun, MergePhase
from shuffle.options import SortOptions
from shuffle.plan import SortPlan
from shuffle.reader_job import ReaderJob
from shuffle.row_reader import RowReader
from shuffle.sinks import Sink
from shuffle.stored_slice import StoredSlice


def find_slices(outputs: Iterable[MapOutput], partition: int) -> list[StoredSlice]:
    """The slices of `partition` that are not empty, in the order of `outputs`. Blocks.

    Raises RunCorruptError kinds, SpillError: what `PartitionIndex.find` does.
    """
    found = (output.find(partition) for output in outputs)
    return [each for each in found if each is not None]


def plan_to_read(plan: SortPlan, slices: Sequence[StoredSlice]) -> SortPlan:
    """The plan with buffers for the blocks of `slices`, which another plan chose. Pure.

    Raises MemoryConfigurationError where two of them cannot be merged in its memory.
    """
    block_bytes = max((each.run.block_bytes for each in slices), default=plan.block_bytes)
    output_bytes = max(plan.output_bytes, block_bytes + ALIGNMENT)
    fitted = replace(plan, block_bytes=block_bytes, output_bytes=output_bytes)
    memory = plan.memory
    if fitted.fan_in(ranges=1) < 2 or 2 * output_bytes > memory.direct_bytes:
        raise MemoryConfigurationError(
            f"map outputs have blocks of {format_size(block_bytes)}, too large to be merged in "
            f"{format_size(memory.managed_bytes)} of managed and {format_size(memory.direct_bytes)} of direct memory. "
            "Give a reduce task as much memory as the map tasks had"
        )
    return fitted


class PartitionRuns:
    """Merges slices, with `means`. `open` first; then `read` or `merge_into`, as often as wanted; then `close`."""

    def __init__(self, means: Means, slices: Sequence[StoredSlice]) -> None:
        self.slices = tuple(slices)
        self._means = replace(means, plan=plan_to_read(means.plan, slices))
        self._runs: list[AnyRun] = []
        self.passes = 0

    async def open(self) -> None:
        """Merge neighbours into runs until one merge is enough. Raises SpillError kinds."""
        async with everything_ended(AsyncExitStack()):
            self._runs, _, self.passes = await self._phase().merge_steps(list(self.slices), ranges=1)

    def read(self) -> RowReader:
        """All rows in order, once more. One reader at a time."""
        return RowReader(self.merge_into)

    async def merge_into(self, sink: Sink, *, outputs: BufferPool | None = None) -> int:
        """All rows in order into `sink`: how many. `outputs` is as in `RowJob.merge_into`.

        Raises RunCorruptError kinds where a file does not hold what was written into it.
        """
        assert self._runs or not self.slices, "open() comes first"
        async with everything_ended(AsyncExitStack()):
            records = await self._phase().merge_to_sink(self._runs, sink, outputs=outputs)
        counts = [each.records for each in self.slices]
        expected = sum(count for count in counts if count is not None)
        if None not in counts and records != expected:
            path = self.slices[0].run.path
            raise RunCorruptError.at(path, 0, f"this partition of it and others has {records} records, not {expected}")
        return records

    async def close(self) -> None:
        """Delete the runs that took several passes to make. Idempotent; map outputs stay."""
        runs, self._runs = self._runs, []
        for run in runs:
            if isinstance(run, RunFile):
                await self._means.io.delete_run(run)

    def _phase(self) -> MergePhase:
        options = self._means.options
        order = MergeOrder(options.layout, options.reverse)
        return MergePhase(self._means, order, on_written=lambda size_bytes: None)


class PartitionJob(ReaderJob):
    """Reads one partition after another, each as often as wanted, in memory of its own. On one event loop."""

    def __init__(self, options: SortOptions) -> None:
        super().__init__(options)
        self._runs: PartitionRuns | None = None

    async def prepare(self, slices: Sequence[StoredSlice]) -> PartitionRuns:
        """The runs of these slices, kept until others are asked for."""
        self.check_unread()
        if self._runs is None or self._runs.slices != tuple(slices):
            await self._close_runs()
            runs = PartitionRuns(self._means, slices)
            await runs.open()
            self._runs = runs
        return self._runs

    async def read(self, slices: Sequence[StoredSlice]) -> RowReader:
        """All rows of the slices, in order."""
        self._reader = (await self.prepare(slices)).read()
        return self._reader

    async def close(self) -> None:
        """Give everything back, wherever the job stands. Idempotent."""
        await self.end_reading()
        self._runs = None  # their files go with the directory of the job
        await super().close()

    async def _close_runs(self) -> None:
        runs, self._runs = self._runs, None
        if runs is not None:
            await runs.close()


class PartitionSession(JobSession[PartitionJob]):
    """Partitions of map outputs, for plain Python: a worker process has one, and reads with it what it is told to.

    `options` say layout of the rows, memory and temp directories. For one thread at a time.
    """

    def __init__(self, options: SortOptions) -> None:
        super().__init__(PartitionJob(options))

    def read(self, outputs: Iterable[MapOutput], partition: int) -> Iterator[memoryview]:
        """All rows of `partition` in order, some hundred KiB at a time; each view is good until the next."""
        return self.read_slices(find_slices(outputs, partition))

    def read_slices(self, slices: Sequence[StoredSlice]) -> Iterator[memoryview]:
        """All rows of the slices in order, ties in the order of the slices."""
        return self._read(lambda: self._job.read(slices))

    def cut(
        self, outputs: Sequence[MapOutput], partitions: int, partitioner: RangePartitioner, shape: KeyShape
    ) -> RangeCuts:
        """Cut map outputs, whose rows have no partition number, into ranges: `slices(p)` are those of partition p."""
        self._check_unread()
        together = partial(group_prefix, shape=shape) if partitioner.whole_keys else None
        means, layout, weigh = self._job.means, shape.layout, partitioner.weigh
        return self._call(cut_ranges(means, outputs, partitions, layout, weigh=weigh, keep_together=together))
