"""Who writes the journal while runs are built and merged.

A record is appended once what it speaks of is written. Runs are not waited for at the disk: should the power fail, a
block that is missing is found out by its checksum, and its run is made again from the input, so waiting would only cost
(each run would have to reach the disk, which most never do). The output has no checksums: what a record says of it is
on the disk before the record is written. That costs little, since the end of the job waits for those bytes anyway.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from io_manager import IOThreads, Journal, RunFile, UnfinishedOutput
from shuffle.feed import Feed
from shuffle.merge_phase import OutputRange
from shuffle.options import SortOptions
from shuffle.range_merge import Progress
from shuffle.resume.records import (
    Cut,
    CutRange,
    CutSlice,
    Json,
    KeptRun,
    Publication,
    RangeProgress,
    cut_record,
    merged_record,
    progress_record,
    publish_record,
    run_record,
)
from shuffle.resume.state import JobState
from shuffle.resume.what_is_left import NOTHING_DONE, divides, is_possible, slices_left
from shuffle.runs import FileRun, Run
from shuffle.sort_buffer import SortBuffer

OUTPUT_PARTS = 24
"""Progress is kept after so many parts of the output: a kill repeats one of them, and what was on its way beside it."""

STEPS_MIN = 20
"""A merge before the last takes at most a twentieth of the runs, since it is repeated as a whole."""


class Chronicle:
    """The state of a job and its journal, kept alike. Waits for threads, never for the disk."""

    def __init__(self, state: JobState, journal: Journal, threads: IOThreads, *, on_kept: Callable[[], None]) -> None:
        self.state = state
        self._journal = journal
        self._threads = threads
        self._on_kept = on_kept
        self._turn = asyncio.Lock()

    async def keep_run(self, run: KeptRun) -> None:
        """One more run is whole."""
        await self._keep(run_record(run), [run.file])

    async def keep_merged(self, sources: Sequence[RunFile], merged: RunFile) -> None:
        """Runs have become one."""
        await self._keep(merged_record([source.run_id for source in sources], merged), [merged])

    async def keep_loss(self, run_id: int) -> None:
        """A run is damaged."""
        await self._keep({"kind": "lost", "run": run_id})

    async def forget_merge(self) -> None:
        """The partial output is gone. The disk knows that before there is another."""
        await self._keep({"kind": "forget"}, durable=True)

    async def keep_cut(self, cut: Cut) -> None:
        """The last merge begins, divided so."""
        await self._keep(cut_record(cut))

    async def keep_progress(self, range_number: int, progress: RangeProgress) -> None:
        """So much of a range is on the disk."""
        await self._keep(progress_record(range_number, progress))

    async def keep_publication(self, publication: Publication) -> None:
        """All is written, and will be given its name."""
        await self._keep(publish_record(publication))

    async def _keep(self, record: Json, files: Sequence[RunFile] = (), *, durable: bool = False) -> None:
        """The state is what the journal says: it takes the same record."""
        async with self._turn:
            await self._threads.run(partial(self._journal.append, record, durable=durable))
        self.state.apply(record, [file.path.parent for file in files])
        self._on_kept()


class StretchKeeper:
    """Keeps the runs that are made of what `feed` reads, from byte `start` of all inputs together on."""

    def __init__(self, chronicle: Chronicle, feed: Feed, start: int) -> None:
        self._chronicle = chronicle
        self._feed = feed
        self._start = start
        self._made_of: dict[int, tuple[range, int]] = {}

    def note_records(self, number: int, records: int, buffer: SortBuffer) -> None:
        stop = self._feed.place_behind(buffer)
        self._made_of[number] = range(self._start, stop), records
        self._start = stop

    async def keep(self, number: int, file: RunFile) -> None:
        await self._chronicle.keep_run(KeptRun(file, *self._made_of.pop(number)))


class OutputKeeper:
    """Keeps merges, and how far the last one is. `output` is where that writes."""

    steps_min = STEPS_MIN

    def __init__(self, chronicle: Chronicle, output: UnfinishedOutput, options: SortOptions) -> None:
        self._chronicle = chronicle
        self._output = output
        self._unique = options.unique
        self._drops_records = options.one_range

    async def keep_merged(self, sources: Sequence[RunFile], merged: RunFile) -> None:
        await self._chronicle.keep_merged(sources, merged)

    async def ranges(self, runs: Sequence[Run], cut: Callable[[], Awaitable[list[OutputRange]]]) -> list[OutputRange]:
        run_ids = tuple(run.file.run_id for run in runs if isinstance(run, FileRun))
        if not run_ids or len(run_ids) < len(runs):
            return await cut()  # nothing was spilled, nothing is kept
        by_number = {run.number: run for run in runs}
        kept = self._chronicle.state.cut
        if kept is None or kept.run_ids != run_ids or not self._is_sound(kept, by_number):
            kept = _described(run_ids, await cut())
            await self._chronicle.keep_cut(kept)
        every_bytes = sum(run.raw_bytes for run in runs) // (OUTPUT_PARTS * max(1, len(kept.ranges)))
        ranges = [await self._left(number, each, by_number, every_bytes) for number, each in enumerate(kept.ranges)]
        return [each for each in ranges if each.slices]

    def _is_sound(self, cut: Cut, runs: dict[int, Run]) -> bool:
        """Whether the cut divides these runs, and what is said of the output can be true, to the byte."""
        if not divides(cut, runs):
            return False
        ranges = range(len(cut.ranges))
        return all(place in ranges for place in self._chronicle.state.progress) and all(
            is_possible(self._done(place), each, runs, self._output.size, drops_records=self._drops_records)
            for place, each in enumerate(cut.ranges)
        )

    def _done(self, number: int) -> RangeProgress:
        return self._chronicle.state.progress.get(number, NOTHING_DONE)

    async def _left(self, number: int, cut: CutRange, runs: dict[int, Run], every_bytes: int) -> OutputRange:
        """What is left of a range."""
        done = self._done(number)
        end = cut.offset + done.written_bytes
        self._output.keep(end)
        last_record = b""
        if self._unique and done.last_bytes:
            last_record = await self._output.read(end - done.last_bytes, done.last_bytes)
        keeper = ProgressKeeper(self._chronicle, self._output, number, done, every_bytes)
        slices = slices_left(cut, runs, done)
        return OutputRange(slices, cut.offset, done.written_bytes, done.records, last_record, keeper)


class ProgressKeeper:
    """Keeps how far one range is, of which an earlier job has `done` a part."""

    def __init__(
        self, chronicle: Chronicle, output: UnfinishedOutput, number: int, done: RangeProgress, every_bytes: int
    ) -> None:
        self._chronicle = chronicle
        self._output = output
        self._number = number
        self._done = done
        self._every_bytes = every_bytes
        self._next_bytes = every_bytes

    def is_due(self, written_bytes: int) -> bool:
        if written_bytes < self._next_bytes:
            return False
        self._next_bytes = written_bytes + self._every_bytes
        return True

    async def keep(self, progress: Progress) -> None:
        await self._output.sync()
        written_bytes = self._done.written_bytes + progress.written_bytes
        records = self._done.records + progress.records
        done = RangeProgress(written_bytes, records, progress.rest or None, progress.last_bytes)
        await self._chronicle.keep_progress(self._number, done)


def _described(run_ids: tuple[int, ...], ranges: Sequence[OutputRange]) -> Cut:
    parts = [[CutSlice(part.run.number, part.start, part.stop) for part in each.slices] for each in ranges]
    return Cut(run_ids, tuple(CutRange(each.offset, tuple(part)) for each, part in zip(ranges, parts, strict=True)))
