"""The map side of one split: read, map, combine, sort, and leave a map output.

    split ─> MappedPairs ─> SumCombiner or WindowCombiner ─> PairRows ─> RowSession (sorts, spills) ─> MapOutput

Pairs go through in batches of about 1 MiB of rows, so a task holds little beside what its slot gives the sort.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from io_manager import JobKey
from serializers.columns.pieces import EncodedRows
from serializers.errors import SerializationError
from shuffle.batches import Batches
from shuffle.exchange.folds import Fold
from shuffle.exchange.map_output import MapOutput, MapTarget, write_map_output
from shuffle.exchange.mapped_pairs import MapFunction, MappedPairs, numbered_pairs
from shuffle.exchange.pair_rows import Pair, PairPlan, PairRows
from shuffle.exchange.partitioners import BroadcastPartitioner
from shuffle.exchange.slots import Slot
from shuffle.exchange.splits import Split
from shuffle.exchange.sum_combiner import SumCombiner, adds_in_binary
from shuffle.exchange.task_errors import RecordFailedError
from shuffle.exchange.task_options import task_options
from shuffle.exchange.window_combiner import WindowCombiner
from shuffle.options import Codec
from shuffle.report import SortReport
from shuffle.row_session import RowSession

PAIRS_FIRST = 4
"""A worker has little memory, and nobody knows yet how large pairs are."""

_BLAMED_PAIRS = 1024


@dataclass(frozen=True)
class MapWork:
    """What one map task is to do. `fold` combines pairs before they are sorted; None leaves them.

    `spill_key` seals what is spilled, if that is sealed.
    """

    task: str
    map_number: int
    split: Split
    function: MapFunction | None
    key: Callable[[Any], Any] | None
    fold: Fold | None
    plan: PairPlan
    directory: Path
    compress: Codec
    spill_key: JobKey | None


@dataclass(frozen=True)
class MapResult:
    """What it has done. `combiner_note` says why combining was given up."""

    output: MapOutput
    records: int
    pairs: int
    pairs_written: int
    spilled_bytes: int
    combiner_note: str
    seconds: float


def map_task(slot: Slot, work: MapWork) -> MapResult:
    """Run it: a task. Raises what functions of the user raise, blamed on a record; and what the engine does."""
    return _MapTask(slot, work).run()


class _MapTask:
    def __init__(self, slot: Slot, work: MapWork) -> None:
        self._slot = slot
        self._work = work
        self._rows = PairRows(work.plan)
        self._source = MappedPairs(work.split, work.function, work.key)
        self._combiner = None if work.fold is None else WindowCombiner(work.task, work.plan.type, work.fold)
        self._combiner_note = ""
        self._batches = Batches(PAIRS_FIRST)
        self._pairs_written = 0

    def run(self) -> MapResult:
        started = time.perf_counter()
        with self._slot.reserved("map side sort") as memory_bytes:
            report, output = self._sort(memory_bytes)
        return MapResult(
            output,
            self._source.records_read,
            self._source.pairs_taken,
            self._pairs_written,
            report.spilled_bytes,
            self._combiner_note or ("" if self._combiner is None else self._combiner.note),
            time.perf_counter() - started,
        )

    def _target(self) -> MapTarget:
        work, plan, shape = self._work, self._work.plan, self._rows.shape
        is_broadcast = isinstance(plan.partitioner, BroadcastPartitioner)
        return MapTarget(
            work.directory,
            f"map-{work.map_number:08}",
            work.map_number,
            plan.partitions,
            shape.layout,
            shape.partition_bytes,
            is_broadcast,
        )

    def _sort(self, memory_bytes: int) -> tuple[SortReport, MapOutput]:
        options = replace(
            task_options(self._slot, self._rows.shape.layout, memory_bytes, self._work.spill_key),
            compress=self._work.compress,
        )
        with closing(RowSession(options)) as session:
            for rows in self._rows_to_write():
                session.put(rows)
            return session.finish(), session.write(lambda job: write_map_output(job, self._target()))

    def _rows_to_write(self) -> Iterator[EncodedRows]:
        source, work = self._source, self._work
        if adds_in_binary(work.plan, work.fold):
            with closing(SumCombiner(work.task, work.plan)) as sums:
                yield from map(self._placed, sums.rows(source))
            self._combiner_note = sums.note
            if not sums.leaves_the_rest:
                self._combiner = None
        yield from map(self._encode, self._batches_to_write())

    def _batches_to_write(self) -> Iterator[list[Pair]]:
        source, combiner = self._source, self._combiner
        while combiner is not None and not combiner.note and not source.has_ended:
            yield combiner.window(source)
        while pairs := source.take(self._batches):
            yield pairs

    def _placed(self, made: EncodedRows | list[Pair]) -> EncodedRows:
        if isinstance(made, list):
            return self._encode(made)
        rows = self._rows.place(made, self._work.map_number, self._pairs_written)
        self._pairs_written += made.count
        return rows

    def _encode(self, pairs: list[Pair]) -> EncodedRows:
        try:
            rows = self._rows.encode(pairs, self._work.map_number, self._pairs_written)
        except Exception as error:
            self._blame(error)
            raise
        self._pairs_written += len(pairs)
        self._batches.note(len(pairs), rows.size)
        if self._combiner is not None:
            self._combiner.note_size(pairs, rows.size)
        return rows

    # --- which record is to blame: found by doing it again, with the number of the record for each pair

    def _blame(self, error: Exception) -> None:
        """Raise what encoding raised as the error of a record, if it is that of one."""
        numbered = self._numbered()
        while batch := list(islice(numbered, _BLAMED_PAIRS)):
            if not self._fits(batch[0][0], [pair for _, pair in batch]):
                for number, pair in batch:
                    self._raise_if_wrong(number, pair)
        if isinstance(error, SerializationError):
            error.add_note("Every pair that map made fits its type, so it is what reduce= returned that does not")

    def _numbered(self) -> Iterator[tuple[int, Pair]]:
        work = self._work
        return numbered_pairs(work.split, work.function, work.key)

    def _fits(self, record: int, pairs: list[Pair]) -> bool:
        try:
            self._rows.encode(pairs, self._work.map_number, record)
        except Exception:
            return False
        return True

    def _raise_if_wrong(self, record: int, pair: Pair) -> None:
        try:
            self._rows.encode([pair], self._work.map_number, record)
        except Exception as error:
            if isinstance(error, SerializationError):
                error.add_note(f"Pairs are {self._work.plan.type.pair.name}. Where others are right, give type_info=")
            raise RecordFailedError(record) from error
