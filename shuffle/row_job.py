"""One sort of rows from the first to the last time they are read: plan, build runs, merge as often as asked.

    put ─> RowFeed ─> RunBuilder ─> runs, in memory and on disk ──read──> merge ─> RowReader
                                      └──────── stay until close ────────┘

Everything runs on one event loop; `shuffle.engine_thread` gives it one beside the caller's own code.
"""

import asyncio
import time

from memory import BufferPool, peak_resident_bytes
from shuffle.engine import first_error
from shuffle.merge_heads import MergeOrder
from shuffle.merge_phase import AnyRun, MergePhase
from shuffle.options import SortOptions
from shuffle.plan import SortPlan
from shuffle.reader_job import ReaderJob
from shuffle.report import SortReport
from shuffle.row_feed import RowFeed, Rows
from shuffle.row_reader import RowReader
from shuffle.run_builder import RunBuilder
from shuffle.sinks import Sink


class RowJob(ReaderJob):
    """Sorts rows of `options.layout`. `report` is whole after `finish`, but for the merges that reading takes."""

    def __init__(self, options: SortOptions) -> None:
        super().__init__(options)
        self.report = SortReport()
        self._feed = RowFeed(options.layout)
        self._runs: list[AnyRun] = []
        self._work: asyncio.Task[None] | None = None
        self._started = time.perf_counter()

    async def open(self) -> SortPlan:
        """As of any job; from now on rows may be put."""
        plan = await super().open()
        self._work = asyncio.create_task(self._build())
        return plan

    async def put(self, rows: Rows) -> None:
        """Add rows; returns when they have been copied. Raises what made the job fail."""
        await self._feed.put(rows)

    async def finish(self) -> SortReport:
        """No more rows: sort and spill what is left, and merge until one merge is enough."""
        assert self._work is not None, "open() comes first"
        self._feed.end()
        await asyncio.shield(self._work)
        return self.report

    async def read(self) -> RowReader:
        """All rows in order, once more. The reader before this one must have been closed."""
        self.check_unread()
        self._reader = RowReader(self._merge)
        return self._reader

    async def merge_into(self, sink: Sink, *, outputs: BufferPool | None = None) -> int:
        """All rows in order into `sink`, as `read` gives them to a reader: how many. `finish` comes first.

        A sink that holds buffers until it is closed brings a pool of its own, `outputs`, closed after it.
        """
        self.check_unread()
        return await self._merge(sink, outputs)

    async def close(self) -> None:
        """Give everything back, wherever the job stands. Idempotent."""
        await self.end_reading()
        if self._work is not None:
            self._work.cancel()
            await asyncio.wait([self._work])
            _ = self._work.cancelled() or self._work.exception()  # who puts or finishes was told already
        self._runs.clear()
        await super().close()

    # --- inside

    async def _build(self) -> None:
        try:
            await self._build_runs()
        except BaseException as error:
            self._feed.fail(first_error(error))
            raise first_error(error) from None

    async def _build_runs(self) -> None:
        with self._means.spill_pool() as pool:
            builder = RunBuilder(self._means, self._feed, pool)
            self._stack.callback(builder.release)
            await builder.build()
            await builder.make_room_to_merge(ranges=1)
        runs: dict[int, AnyRun] = {**builder.files, **builder.resident}
        self._runs, _, passes = await self._phase().merge_steps([runs[number] for number in sorted(runs)], ranges=1)
        self._note(builder, passes)

    async def _merge(self, sink: Sink, outputs: BufferPool | None = None) -> int:
        try:
            return await self._phase().merge_to_sink(self._runs, sink, outputs=outputs)
        except BaseExceptionGroup as group:
            raise first_error(group) from group

    def _phase(self) -> MergePhase:
        options = self._options
        order = MergeOrder(options.layout, options.reverse, options.unique, options.limit)
        return MergePhase(self._means, order, on_written=lambda size_bytes: None)

    def _note(self, builder: RunBuilder, passes: int) -> None:
        report = self.report
        report.records = report.records_written = builder.record_count
        report.input_bytes = report.output_bytes = self._feed.bytes_read
        report.runs, report.runs_in_memory = len(builder.files) + len(builder.resident), len(builder.resident)
        report.passes, report.ranges = passes, 1
        report.stages.update(sort=builder.sorting, spill=builder.spilling)
        report.spilled_bytes = self._means.io.stats.stored_bytes_written
        report.disk_bytes_peak = self._means.io.stats.disk_bytes_peak
        report.memory_bytes = self._means.plan.memory.process_bytes
        report.peak_resident_bytes = peak_resident_bytes()
        report.seconds = time.perf_counter() - self._started
