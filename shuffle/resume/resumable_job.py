"""A sort that can be killed at any moment and gone on with: found or begun, refused or resumed.

    look for what is kept for this output ──nothing──────────────────────────> begin, and keep what is finished
              │ found, and nobody is at it
              ├─ its output has its name already ─> remove what is kept, done
              ├─ input or options are different ──> refuse, touch nothing
              └─ read what is in no run ──> merge what is in no range ──> publish, remove what is kept

A job that can be resumed writes every run to disk before it merges, also those that would have fitted in memory, and
keeps them until the output has its name: so a kill costs what was being read, or a part of the merge. What fits in
memory altogether is kept nowhere, and sorted again.
"""

import errno
import os
from contextlib import AsyncExitStack, suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from io_manager import (
    JOURNAL_NAME,
    IOThreads,
    JobDirectory,
    Journal,
    RunCorruptError,
    SpillError,
    Unfinished,
    UnfinishedOutput,
    first_record,
    system,
    unfinished_in,
    unfinished_path,
)
from memory import format_size
from shuffle.engine import SortJob, first_error
from shuffle.errors import ResumeError
from shuffle.feed import Feed
from shuffle.means import IO_THREADS, Means, open_means
from shuffle.merge_phase import AnyRun, MergeKeeper
from shuffle.options import SortOptions
from shuffle.plan import INDEX_ENTRY_BYTES, SortPlan
from shuffle.report import SortReport
from shuffle.resume.identity import InputIdentity, identify
from shuffle.resume.keepers import Chronicle, OutputKeeper, StretchKeeper
from shuffle.resume.pinned_plan import fitted, plan_from_json, plan_to_json
from shuffle.resume.records import Publication
from shuffle.resume.state import JobState
from shuffle.run_builder import RunBuilder
from shuffle.runs import MemoryRun
from shuffle.sinks import FileTarget, Target
from shuffle.surroundings import temp_dirs

ON_ITS_WAY_SHARE = 10
"""Blocks that were read and not merged yet are read again: a tenth of the input, a fortieth of the whole work."""

GO_ON = "run the same command again to go on"


class ResumableJob(SortJob):
    """Made by `engine.sort` for `SortOptions.resume`. `on_kept` is told, in words, what a job that failed has kept."""

    _found: Unfinished | None = None
    _head: dict[str, Any]
    _state: JobState
    _chronicle: Chronicle
    _means: Means | None = None
    _target: UnfinishedOutput

    async def run(self, stack: AsyncExitStack) -> SortReport:
        self._refuse_streams()
        self._adopted: list[JobDirectory] = []
        self._journal: Journal | None = None
        files = IOThreads(IO_THREADS)
        stack.callback(files.close)
        await files.run(self._find, stack)
        if self._found is not None and await files.run(self._is_published):
            return self._report
        try:
            return await super().run(stack)
        except BaseException as error:
            await self._note_end(first_error(error))
            raise

    # --- looking for what is kept; in a thread

    def _find(self, stack: AsyncExitStack) -> None:
        """Take over what is kept for this output, if anything is. Raises TempDirError where another job is at it."""
        target = self._real_output_path()
        places = [Path(temp_dir).absolute() for temp_dir in temp_dirs(self._options)]
        kept = [each for each in unfinished_in([place for place in places if place.is_dir()]) if each.target == target]
        for each in sorted(kept, key=lambda found: found.changed):  # the youngest last: what is older was given up
            self._let_go()
            self._take(each, stack)

    def _take(self, found: Unfinished, stack: AsyncExitStack) -> None:
        present = [path for path in found.directories if path.is_dir()]
        for path in present:
            directory = JobDirectory.adopt(path, direct=True)
            stack.callback(directory.leave)
            self._adopted.append(directory)
        journal, records = Journal.resume(found.directories[0] / JOURNAL_NAME)
        stack.callback(journal.close)
        if len(records) < 2:  # it was killed before it had finished anything
            journal.close()
            self._remove_kept(found)
            return
        self._journal = journal
        self._found = replace(found, records=records)
        self._state = JobState.read(records[1:], found.directories)

    def _let_go(self) -> None:
        for directory in self._adopted:
            directory.leave()
        self._adopted, self._found, self._journal = [], None, None

    def _remove_kept(self, found: Unfinished) -> None:
        system.remove(found.partial)
        for directory in self._adopted:
            directory.remove()
        self._adopted, self._found, self._journal = [], None, None

    def _is_published(self) -> bool:
        """Whether the output had its name before the job was killed; then nothing is kept any more."""
        assert self._found is not None
        done = self._state.publication
        if done is None or self._found.partial.exists() or not self._found.target.exists():
            return False
        status = self._found.target.stat()
        if (status.st_ino, status.st_size) != (done.inode, done.output_bytes):
            return False
        self._report = SortReport(
            records=done.records, records_written=done.records_written, output_bytes=done.output_bytes
        )
        self._report.resumed = self._taken_over()
        self._remove_kept(self._found)
        return True

    # --- refusing or beginning

    @property
    def _output_path(self) -> str:
        assert isinstance(self._output, str), "only files are resumed"
        return self._output

    def _real_output_path(self) -> Path:
        """What a symbolic link leads to, as journals name it."""
        return Path(os.path.realpath(self._output_path))

    def _refuse_streams(self) -> None:
        for path in self._inputs:
            if _is_stream(path):
                name = "standard input" if path == "-" else path
                raise ResumeError(
                    f"{name} cannot be read twice, so a sort of it cannot be resumed. Save it to a file first, or "
                    "leave --resume out"
                )
        if _is_stream(self._output_path):
            name = "standard output" if self._output_path == "-" else self._output_path
            raise ResumeError(
                f"what was written to {name} cannot be gone on with. Name a file as the output, or leave --resume out"
            )

    async def _make_plan(self, options: SortOptions, sorted_runs: int | None) -> SortPlan:
        inputs = [await identify(source) for source in self._sources]
        if self._found is None:
            plan = await super()._make_plan(options, sorted_runs)
            plan = plan.with_less_on_its_way(options.layout, share=ON_ITS_WAY_SHARE)
            self._state = JobState()
            self._head = {
                "inputs": [asdict(each) for each in inputs],
                "options": described(options),
                "plan": plan_to_json(plan),
            }
            return plan
        self._head = self._found.records[0]
        self._refuse_changes(inputs, options)
        plan = plan_from_json(self._head.get("plan"), str(self._found.directories[0]))
        return fitted(plan, await super()._make_plan(options, sorted_runs), options)

    def _refuse_changes(self, inputs: list[InputIdentity], options: SortOptions) -> None:
        """Raises ResumeError, which says what is different from what it was when the job began."""
        assert self._found is not None
        change = self._changed_input(inputs) or self._changed_option(described(options))
        if change is None:
            return
        raise ResumeError(
            f"{self._output_path}: the sort that was broken off cannot be gone on with: {change}. Run it as it was, or "
            f"remove what is kept of it with `spillway clean --unfinished -T {self._found.directories[0].parent}`"
        )

    def _changed_input(self, inputs: list[InputIdentity]) -> str | None:
        try:
            kept = [InputIdentity(**each) for each in self._head["inputs"]]
        except (KeyError, TypeError):
            return "its journal does not say what its input was"
        if len(kept) != len(inputs):
            return f"it had {len(kept)} inputs, and has {len(inputs)} now"
        changes = (before.changes(now) for before, now in zip(kept, inputs, strict=True))
        return next((change for change in changes if change is not None), None)

    def _changed_option(self, now: dict[str, Any]) -> str | None:
        before = self._head.get("options")
        if not isinstance(before, dict):
            return "its journal does not say what its options were"
        changed = [name for name in now if before.get(name) != now[name]]
        return f"{changed[0]} was {before.get(changed[0])}, and is {now[changed[0]]} now" if changed else None

    # --- doing

    async def _open(self, plan: SortPlan, files: IOThreads, stack: AsyncExitStack) -> tuple[Means, Target]:
        """First what the journal stands in, then the journal, then what it speaks of."""
        means = await open_means(plan, self._options, stack, adopted=self._adopted)
        target = self._real_output_path()
        partial = unfinished_path(target) if self._found is None else self._found.partial
        if self._journal is None:
            head = {**first_record(target, partial, means.io.directories), **self._head}
            self._journal = await files.run(_begin_journals, means.io.directories, head)
            stack.callback(self._journal.close)
        self._chronicle = Chronicle(self._state, self._journal, files, on_kept=self._outlive)
        self._target = UnfinishedOutput(self._output_path, partial, threads=files)
        self._means = means
        await self._take_over(means)
        output = FileTarget(self._target)
        stack.push_async_exit(output)
        await output.open(self._expected_bytes(plan))
        return means, output

    async def _take_over(self, means: Means) -> None:
        """Prove what is there, and forget what is not."""
        for run in self._state.in_order():
            try:
                await means.io.adopt_run(run.file)
            except (RunCorruptError, SpillError) as error:
                if not isinstance(error, RunCorruptError) and error.errno != errno.ENOENT:
                    raise
                await self._chronicle.keep_loss(run.file.run_id)
        if self._found is None:
            return
        if self._state.cut is not None and not self._found.partial.exists():
            await self._chronicle.forget_merge()
        await means.io.remove_strays([run.file for run in self._state.in_order()])
        self._report.resumed = self._taken_over()
        self._watcher.advance(sum(self._report.resumed[name] for name in ("input_bytes", "output_bytes")))

    def _taken_over(self) -> dict[str, int]:
        runs = self._state.in_order()
        return {
            "runs": len(runs),
            "input_bytes": sum(len(run.stretch) for run in runs),
            "spilled_bytes": sum(run.file.disk_bytes for run in runs),
            "output_bytes": self._state.written_bytes(),
        }

    def _outlive(self) -> None:
        """There is something worth keeping."""
        keeps = bool(self._state.runs)
        if self._means is not None:
            self._means.io.outlive_job(keeps)
        self._target.outlive_job = keeps

    async def _build_runs(self, means: Means, stack: AsyncExitStack) -> list[AnyRun]:
        """Runs for every stretch of the input that is in none."""
        input_bytes = sum(source.size or 0 for source in self._sources)
        resident: list[MemoryRun] = []
        with means.spill_pool() as pool:
            for gap in self._state.gaps(input_bytes):
                feed = Feed(
                    self._sources, self._options.layout, means.workers, on_read=self._watcher.advance, stretch=gap
                )
                keeper = StretchKeeper(self._chronicle, feed, gap.start)
                builder = RunBuilder(means, feed, pool, keeper=keeper)
                stack.callback(builder.release)
                await builder.build()
                resident = self._all_in_memory(builder, means.plan)
                if not resident:
                    await builder.spill_all_but(0)
                self._note_stages(feed, builder)
        self._report.input_bytes = input_bytes
        self._report.records += sum(run.records for run in self._state.runs.values())
        if resident:
            self._report.records = sum(run.buffer.record_count for run in resident)
            return list(resident)
        return [run.file for run in self._state.in_order()]

    def _all_in_memory(self, builder: RunBuilder, plan: SortPlan) -> list[MemoryRun]:
        """All runs of the job, if none of them is on disk or has to be."""
        runs = [builder.resident[number] for number in sorted(builder.resident)]
        if self._state.runs:
            return []
        kept = plan.runs_kept(
            run_count=len(runs),
            candidates=len(runs),
            ranges=self._ranges_wanted(plan),
            index_bytes=sum(run.block_count for run in runs) * INDEX_ENTRY_BYTES,
        )
        return runs if kept == len(runs) else []

    def _note_stages(self, feed: Feed, builder: RunBuilder) -> None:
        for name, stage in (("read", feed.reading), ("sort", builder.sorting), ("spill", builder.spilling)):
            self._report.stages[name].seconds += stage.seconds
            self._report.stages[name].bytes += stage.bytes

    def _merge_keeper(self) -> MergeKeeper:
        return OutputKeeper(self._chronicle, self._target, self._options)

    async def _merge(self, means: Means, runs: list[AnyRun], output: Target) -> None:
        await super()._merge(means, runs, output)
        if self._state.runs:
            self._report.output_bytes = self._state.written_bytes()
            self._report.records_written = sum(each.records for each in self._state.progress.values())

    async def _publish(self, output: Target) -> None:
        report = self._report
        if self._state.runs:
            numbers = (report.output_bytes, report.records, report.records_written)
            await self._chronicle.keep_publication(Publication(self._target.inode, *numbers))
        await output.publish()
        assert self._means is not None
        self._means.io.outlive_job(False)

    # --- ending

    async def _note_end(self, error: BaseException) -> None:
        """Say what is kept; a damaged run is not."""
        if self._means is None or not self._state.runs:
            return
        if isinstance(error, RunCorruptError):
            for run in self._state.in_order():
                if run.file.path == error.path:
                    with suppress(OSError):
                        await self._chronicle.keep_loss(run.file.run_id)
        runs, size = len(self._state.runs), sum(run.file.disk_bytes for run in self._state.runs.values())
        kept = f"{runs} finished {'run' if runs == 1 else 'runs'}, {format_size(size)}"
        output = format_size(self._state.written_bytes())
        text = f"{self._output_path}: {kept}, and {output} of the output are kept: {GO_ON}"
        error.add_note(text)
        self.on_kept(text)


def _is_stream(path: str) -> bool:
    place = Path(path)
    return path == "-" or (place.exists() and not place.is_file() and not place.is_dir())


def described(options: SortOptions) -> dict[str, Any]:
    """The options that decide what the output is, by the names that users know."""
    return {
        "the layout of records": options.layout.describe(),
        "--reverse": options.reverse,
        "--unique": options.unique,
        "--limit": options.limit,
    }


def _begin_journals(directories: list[Path], head: dict[str, Any]) -> Journal:
    """The journal of a new job, in the first of its directories; the others get its first record."""
    journals: list[Journal] = []
    try:
        for directory in reversed(directories):
            journals.append(Journal.create(directory / JOURNAL_NAME))
            journals[-1].append(head)
    finally:
        for journal in journals[:-1]:
            journal.close()
    return journals[-1]
