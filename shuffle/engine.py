"""One job from input to output: plan, build runs, merge them, publish.

    open everything that can be refused ─> plan ─> RunBuilder ─> MergePhase ─> fsync, rename

Nothing is given its final name before every record has been counted in and out. Whatever happens, memory goes back to
its managers, spill files are deleted, and the old output stands until the new one is whole.
"""

import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Protocol

from io_manager import InputFile, IOThreads, make_output
from memory import peak_resident_bytes
from shuffle.feed import Feed
from shuffle.means import IO_THREADS, Means, open_means
from shuffle.merge_heads import MergeOrder
from shuffle.merge_phase import AnyRun, MergeKeeper, MergePhase
from shuffle.options import SortOptions
from shuffle.plan import SortPlan, make_plan
from shuffle.report import SortReport
from shuffle.run_builder import RunBuilder
from shuffle.runs import MemoryRun
from shuffle.sinks import FileTarget, Target
from shuffle.sorted_file import SortedFileRun
from shuffle.surroundings import look_around

MakeTarget = Callable[[IOThreads], Target]
"""Makes what is written, given the threads to write with."""


class Watcher(Protocol):
    """Who is told how far a job is."""

    def start(self, plan: SortPlan) -> None:
        """The plan is made."""

    def advance(self, size_bytes: int) -> None:
        """So many more bytes of records were read, or written, or rewritten."""


class NobodyWatches:
    """A watcher that looks away."""

    def start(self, plan: SortPlan) -> None: ...

    def advance(self, size_bytes: int) -> None: ...


async def sort(
    inputs: Sequence[str],
    output: str | MakeTarget,
    options: SortOptions,
    *,
    whole_process: bool = False,
    watcher: Watcher | None = None,
    on_kept: Callable[[str], object] = lambda text: None,
) -> SortReport:
    """Sort all records of `inputs` into `output`, a file or what a maker makes.

    Raises what went wrong first, with its cause; `on_kept` is told before, in words, what a job that can be resumed has
    kept. The budget is for the whole process if `whole_process`, and else for what the job adds to it.
    """
    kind = SortJob
    if options.resume:
        from shuffle.resume.resumable_job import ResumableJob

        kind = ResumableJob
    job = kind(inputs, output, options, whole_process, watcher or NobodyWatches())
    job.on_kept = on_kept
    async with everything_ended(AsyncExitStack()) as stack:
        return await job.run(stack)


async def merge(
    inputs: Sequence[str],
    output: str,
    options: SortOptions,
    *,
    whole_process: bool = False,
    watcher: Watcher | None = None,
) -> SortReport:
    """Merge `inputs`, files that are in order already, into `output`. Raises NotSortedError where one is not."""
    async with everything_ended(AsyncExitStack()) as stack:
        return await SortJob(inputs, output, options, whole_process, watcher or NobodyWatches()).run_merge(stack)


async def plan_for(inputs: Sequence[str], options: SortOptions, *, whole_process: bool) -> SortPlan:
    """The plan that `sort` would follow."""
    threads = IOThreads(IO_THREADS)
    try:
        async with AsyncExitStack() as stack:
            opened = [await _open_input(path, threads, stack) for path in inputs]
            return make_plan(options, await look_around(opened, options, whole_process=whole_process))
    finally:
        threads.close()


@asynccontextmanager
async def everything_ended(stack: AsyncExitStack) -> AsyncIterator[AsyncExitStack]:
    """A stack for what a job opens; of several errors at the end, the first."""
    try:
        async with stack:
            yield stack
    except BaseExceptionGroup as group:
        raise first_error(group) from group


def first_error(group: BaseException) -> BaseException:
    """The first error of a group of tasks that is not another one's consequence."""
    while isinstance(group, BaseExceptionGroup):
        group = group.exceptions[0]
    return group


async def _open_input(path: str, threads: IOThreads, stack: AsyncExitStack) -> InputFile:
    source = InputFile(path, threads=threads)
    await source.open()
    stack.push_async_callback(source.close)
    return source


class SortJob:
    """One job; what a job that can be resumed does differently is in methods of their own."""

    on_kept: Callable[[str], object]

    def __init__(
        self,
        inputs: Sequence[str],
        output: str | MakeTarget,
        options: SortOptions,
        whole_process: bool,
        watcher: Watcher,
    ) -> None:
        self._inputs = inputs
        self._output = output
        self._options = options
        self._whole_process = whole_process
        self._watcher = watcher
        self._report = SortReport()
        self._sources: list[InputFile] = []

    async def run(self, stack: AsyncExitStack) -> SortReport:
        """Sort."""
        started = time.perf_counter()
        means, output = await self._prepare(stack)
        runs = await self._build_runs(means, stack)
        self._report.runs = len(runs)
        self._report.runs_in_memory = sum(isinstance(run, MemoryRun) for run in runs)
        await self._merge(means, runs, output)
        self._check_counts()
        return await self._finish(means, output, started)

    async def run_merge(self, stack: AsyncExitStack) -> SortReport:
        """Merge what is sorted."""
        started = time.perf_counter()
        means, output = await self._prepare(stack, sorted_runs=len(self._inputs))
        runs: list[AnyRun] = []
        for number, source in enumerate(self._sources):
            run = SortedFileRun(number, source, self._options.layout, block_bytes=means.plan.block_bytes)
            await run.open()
            runs.append(run)
        self._report.runs = len(runs)
        self._report.input_bytes = sum(run.raw_bytes for run in runs)
        await self._merge(means, runs, output)
        return await self._finish(means, output, started)

    async def _prepare(self, stack: AsyncExitStack, *, sorted_runs: int | None = None) -> tuple[Means, Target]:
        """Open everything that can be refused before work begins, and plan."""
        files = IOThreads(IO_THREADS)  # outlive the I/O manager: input and output are closed after it
        stack.callback(files.close)
        self._sources = [await _open_input(path, files, stack) for path in self._inputs]
        plan = await self._make_plan(self._options, sorted_runs)
        self._watcher.start(plan)
        return await self._open(plan, files, stack)

    async def _make_plan(self, options: SortOptions, sorted_runs: int | None) -> SortPlan:
        around = await look_around(self._sources, options, whole_process=self._whole_process)
        return make_plan(options, around, sorted_runs=sorted_runs)

    async def _open(self, plan: SortPlan, files: IOThreads, stack: AsyncExitStack) -> tuple[Means, Target]:
        output = await self._open_output(plan, files, stack)
        return await open_means(plan, self._options, stack), output

    async def _open_output(self, plan: SortPlan, files: IOThreads, stack: AsyncExitStack) -> Target:
        path = self._output
        output = FileTarget(make_output(path, threads=files)) if isinstance(path, str) else path(files)
        stack.push_async_exit(output)
        await output.open(self._expected_bytes(plan))
        return output

    def _expected_bytes(self, plan: SortPlan) -> int | None:
        return None if self._options.one_range else plan.input_bytes

    async def _build_runs(self, means: Means, stack: AsyncExitStack) -> list[AnyRun]:
        feed = Feed(self._sources, self._options.layout, means.workers, on_read=self._watcher.advance)
        with means.spill_pool() as pool:
            builder = RunBuilder(means, feed, pool)
            stack.callback(builder.release)
            await builder.build()
            await builder.make_room_to_merge(ranges=self._ranges_wanted(means.plan))
        self._report.stages.update(read=feed.reading, sort=builder.sorting, spill=builder.spilling)
        self._report.input_bytes = feed.bytes_read
        self._report.records = builder.record_count
        runs: dict[int, AnyRun] = {**builder.files, **builder.resident}
        return [runs[number] for number in sorted(runs)]

    def _ranges_wanted(self, plan: SortPlan) -> int:
        return 1 if self._options.one_range or self._output == "-" else plan.threads

    async def _merge(self, means: Means, runs: list[AnyRun], output: Target) -> None:
        options, report = self._options, self._report
        order = MergeOrder(options.layout, options.reverse, options.unique, options.limit)

        def note_written(size_bytes: int) -> None:
            report.stages["merge"].bytes += size_bytes
            self._watcher.advance(size_bytes)

        phase = MergePhase(means, order, on_written=note_written, keeper=self._merge_keeper())
        ranges = self._ranges_wanted(means.plan) if output.seekable else 1
        with report.stages["merge"].timed():
            left, ranges, report.passes = await phase.merge_steps(runs, ranges=ranges)
            rewritten_bytes = report.stages["merge"].bytes
            report.ranges = await phase.merge_to_output(left, output, ranges=ranges)
        report.output_bytes = report.stages["merge"].bytes - rewritten_bytes
        report.records_written = phase.records_written

    def _merge_keeper(self) -> MergeKeeper | None:
        return None

    async def _publish(self, output: Target) -> None:
        await output.publish()

    def _check_counts(self) -> None:
        """Nothing lost, nothing doubled."""
        read, written = self._report.records, self._report.records_written
        assert self._options.one_range or read == written, f"{read} records read, {written} written"

    async def _finish(self, means: Means, output: Target, started: float) -> SortReport:
        report, plan, stats = self._report, means.plan, means.io.stats
        with report.stages["publish"].timed(report.output_bytes):
            await self._publish(output)
        report.spilled_bytes = stats.stored_bytes_written
        report.disk_bytes_peak = stats.disk_bytes_peak
        report.memory_bytes = plan.memory.process_bytes
        report.peak_resident_bytes = peak_resident_bytes()
        report.predicted = {
            "runs": plan.runs,
            "runs_in_memory": plan.runs_in_memory,
            "passes": plan.passes,
            "spilled_bytes": plan.spill_bytes,
            "peak_resident_bytes": plan.memory.process_bytes,
            "block_bytes": plan.block_bytes,
            "extent_bytes": plan.extent_bytes,
            "extent_count": plan.extent_count,
            "memory": plan.memory.as_dict(),
        }
        report.seconds = time.perf_counter() - started
        return report
