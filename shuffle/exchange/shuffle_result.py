"""What a job has made: the results of each partition, read from disk as they are wanted, and a report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import chain
from typing import Any

from memory import format_size
from shuffle.closable import Closable
from shuffle.exchange.job_files import JobFiles
from shuffle.exchange.record_file import RecordFile


@dataclass
class ShuffleReport:
    """A job in numbers. Bytes are those of rows, except where disk or memory is named; seconds are of the clock.

    records          read by map tasks
    pairs            made by `map`, of which `pairs_written` were left by the combiners
    combiner_notes   why map tasks gave up combining, each reason once
    leaked           managed memory that tasks did not give back, by task and owner
    """

    partitions: int = 0
    map_tasks: int = 0
    reduce_tasks: int = 0
    slots: int = 0
    records: int = 0
    pairs: int = 0
    pairs_written: int = 0
    results: int = 0
    shuffled_bytes: int = 0
    shuffled_disk_bytes: int = 0
    spilled_bytes: int = 0
    result_disk_bytes: int = 0
    worker_resident_bytes_peak: int = 0
    map_seconds: float = 0.0
    reduce_seconds: float = 0.0
    seconds: float = 0.0
    combiner_notes: list[str] = field(default_factory=list)
    leaked: dict[str, int] = field(default_factory=dict)

    @property
    def pairs_combined(self) -> int:
        """Pairs that were folded into others before the sort."""
        return self.pairs - self.pairs_written

    def as_dict(self) -> dict[str, Any]:
        """Everything, as JSON has it."""
        return {**asdict(self), "pairs_combined": self.pairs_combined}

    def describe(self) -> str:
        """One line for people."""
        return (
            f"{self.records:,} records, {self.pairs:,} pairs, {self.pairs_combined:,} of them combined, "
            f"{format_size(self.shuffled_bytes)} shuffled into {self.partitions:,} partitions, "
            f"{self.results:,} results in {self.seconds:.2f} s: "
            f"map {self.map_seconds:.2f} s, reduce {self.reduce_seconds:.2f} s"
        )


class ShuffleResult(Closable):
    """Results, as often as wanted, until it is closed or dropped.

    `written` is what `write=` returned for each partition; with it there is nothing to iterate.
    """

    def __init__(
        self, files: JobFiles, results: Sequence[RecordFile | None], written: Sequence[Any], report: ShuffleReport
    ) -> None:
        self.report = report
        self.written = list(written)
        self._files = files
        self._results = results
        self._is_closed = False

    @property
    def partitions(self) -> int:
        """How many."""
        return len(self._results)

    def partition(self, number: int) -> Iterator[Any]:
        """The results of one partition, in order. Raises IndexError for one that there is not; what reading does."""
        if not 0 <= number < len(self._results):
            raise IndexError(f"partition {number}: there are {len(self._results)}, numbered from 0 on")
        return chain.from_iterable(self._batches(number))

    def __iter__(self) -> Iterator[Any]:
        """The results of all partitions, one partition behind another."""
        return chain.from_iterable(map(self.partition, range(len(self._results))))

    def __len__(self) -> int:
        """How many results."""
        return sum(each.record_count for each in self._results if each is not None)

    def close(self) -> None:
        """Remove the results from disk. Idempotent."""
        self._is_closed = True
        self._files.close()

    def _batches(self, number: int) -> Iterator[list[Any]]:
        if self._is_closed:
            raise ValueError("this result is closed. Run the job again")
        file = self._results[number]
        if file is not None:
            yield from file.batches()
