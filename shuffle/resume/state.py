"""What a journal says when all of it has been read: the runs there are, and how far their merge is.

Any beginning of a journal is a state that can be gone on with: what it does not mention yet is done again. Runs are
held by the stretch of the input they cover, so whatever is missing is known to the byte and read from the input again.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from shuffle.errors import ResumeError
from shuffle.resume.records import (
    Cut,
    Json,
    KeptRun,
    Publication,
    RangeProgress,
    number,
    read_cut,
    read_file,
    read_progress,
    read_publication,
    read_run,
)


@dataclass
class JobState:
    """`runs` by their identifiers; `cut` and `progress` are of the last merge; `merges` counts those before it."""

    runs: dict[int, KeptRun] = field(default_factory=dict)
    cut: Cut | None = None
    progress: dict[int, RangeProgress] = field(default_factory=dict)
    publication: Publication | None = None
    merges: int = 0

    @classmethod
    def read(cls, records: Sequence[Json], directories: Sequence[Path]) -> "JobState":
        """Raises ResumeError where a record makes no sense."""
        state = cls()
        for place, record in enumerate(records):
            try:
                state.apply(record, directories)
            except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
                raise ResumeError(
                    f"{directories[0]}: record {place + 1} of the journal makes no sense: {error}. It was written by "
                    "another version of this program, or damaged on purpose. `spillway clean --unfinished` removes it"
                ) from error
        state.check()
        return state

    def apply(self, record: Json, directories: Sequence[Path]) -> None:
        """Take one more record in. Raises ValueError, KeyError, TypeError where it makes no sense."""
        kind = record["kind"]
        if kind == "run":
            self.add_run(read_run(record, directories))
        elif kind == "merged":
            self.merge_runs([number(run_id) for run_id in record["of"]], record, directories)
        elif kind == "lost":
            self.lose(number(record["run"]))
        elif kind == "forget":
            self.forget_merge()
        elif kind == "cut":
            self.cut, self.progress = read_cut(record), {}
        elif kind == "range":
            place, progress = read_progress(record)
            self.progress[place] = progress
        elif kind == "publish":
            self.publication = read_publication(record)
        else:
            raise ValueError(f"a record of kind {kind!r}")

    def add_run(self, run: KeptRun) -> None:
        """There is one more run."""
        self.runs[run.file.run_id] = run

    def merge_runs(self, sources: Sequence[int], record: Json, directories: Sequence[Path]) -> None:
        """Neighbours have become one run."""
        parts = [self.runs.pop(run_id) for run_id in sources]
        merged = read_file(record["run"], directories)
        start = min(part.stretch.start for part in parts)
        stop = max(part.stretch.stop for part in parts)
        if sum(len(part.stretch) for part in parts) != stop - start:
            raise ValueError("runs that are no neighbours were merged")
        self.add_run(KeptRun(merged, range(start, stop), sum(part.records for part in parts)))
        self.merges += 1

    def lose(self, run_id: int) -> None:
        """A run is no use: its stretch of the input will be read again, and the last merge begun again."""
        self.runs.pop(run_id, None)
        self.forget_merge()

    def forget_merge(self) -> None:
        """Nothing of the output is relied on."""
        self.cut, self.progress, self.publication = None, {}, None

    def check(self) -> None:
        """Raises ResumeError where two runs hold the same stretch of the input."""
        for before, after in pairwise(self.in_order()):
            if before.stretch.stop > after.stretch.start:
                raise ResumeError(f"{after.file.path}: two runs of the journal hold the same records")

    def in_order(self) -> list[KeptRun]:
        """The runs, in the order of the input."""
        return sorted(self.runs.values(), key=lambda run: run.stretch.start)

    def gaps(self, input_bytes: int) -> list[range]:
        """The stretches of an input of so many bytes that are in no run, in order."""
        runs = self.in_order()
        starts = [0, *(run.stretch.stop for run in runs)]
        stops = [*(run.stretch.start for run in runs), input_bytes]
        return [range(start, stop) for start, stop in zip(starts, stops, strict=True) if start < stop]

    def written_bytes(self) -> int:
        """Bytes of the output that are there."""
        return sum(progress.written_bytes for progress in self.progress.values())
