"""One run of a shuffle job, as the driver sees it.

splits ─> sample: what type are pairs? ─> map tasks ─> map outputs ─(range: cut)─> reduce tasks ─> results
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import chain
from typing import Any

from io_manager import JobKey
from memory import drop_clean_pages
from serializers.types.numbers import INT
from shuffle.batches import Batches
from shuffle.exchange.executor import Executor
from shuffle.exchange.job_files import JobFiles
from shuffle.exchange.map_output import MapOutput
from shuffle.exchange.map_task import MapResult, MapWork, map_task
from shuffle.exchange.mapped_pairs import MappedPairs
from shuffle.exchange.pair_rows import PairPlan
from shuffle.exchange.pair_type import PairType, declared_pair_type, found_pair_type, make_pair_type, needs_sample
from shuffle.exchange.partitioners import Partitioner, RangePartitioner
from shuffle.exchange.phase import Work, run_tasks
from shuffle.exchange.range_task import RangeWork, Slices, range_task
from shuffle.exchange.record_file import RecordFile
from shuffle.exchange.reduce_task import ReduceResult, ReduceWork, reduce_task
from shuffle.exchange.shuffle_options import ShuffleOptions
from shuffle.exchange.shuffle_result import ShuffleReport, ShuffleResult
from shuffle.exchange.splits import Split, StagedSplit, split_name, splits_of
from shuffle.exchange.tasks import task_error

SAMPLE_PAIRS = 1000
SAMPLE_BYTES = 4 << 20
"""So many pairs are looked at where no type is given, or fewer if they are large."""

_SAMPLE_STEP = 8

REDUCE_TASKS_MAX = 64
"""Each takes some 10 ms to begin, so where there are more partitions it reduces several, one behind another."""


class ShuffleRun:
    """Runs once."""

    def __init__(self, options: ShuffleOptions, partitioner: Partitioner, executor: Executor) -> None:
        self._options = options
        self._partitioner = partitioner
        self._executor = executor
        self._report = ShuffleReport(partitions=options.partitions, slots=executor.slots)
        self._files = JobFiles(executor.temp_dirs, encrypts=options.encrypt_spill)
        drop_clean_pages("llvm")  # this process has loaded kernels too, though only tasks call them

    def run(self, inputs: Any) -> ShuffleResult:
        """All of it. On any error nothing is left."""
        started = time.perf_counter()
        try:
            splits = splits_of(
                inputs,
                directory=self._files.directory(),
                key=self._files.key,
                split_records=self._options.split_records,
            )
            plan, splits = self._plan(splits)
            outputs = self._map(plan, splits)
            results, written = self._reduce(plan, outputs)
        except BaseException:
            self._files.close()
            raise
        self._report.seconds = time.perf_counter() - started
        return ShuffleResult(self._files, results, written, self._report)

    # --- what pairs are

    def _plan(self, splits: Iterator[Split]) -> tuple[PairPlan, Iterator[Split]]:
        """The plan of all tasks, and all splits once more."""
        options = self._options
        sample: list[Any] = []
        if needs_sample(options.type_info, options.sort_by):
            sample, splits = self._sample(splits)
        return PairPlan(self._pair_type(sample), self._partitioner, options.partitions), splits

    def _pair_type(self, sample: Sequence[Any]) -> PairType:
        options = self._options
        if options.type_info is not None:
            key, value = declared_pair_type(options.type_info)
        elif sample:
            key, value = found_pair_type(sample, allow_generic=options.allow_generic)
        else:
            return PairType(INT, INT)  # of no pairs
        values = [value for _, value in sample]
        needs_order = self._partitioner.sorts_by_key
        return make_pair_type(key, value, options.sort_by, values, needs_order=needs_order)

    def _sample(self, splits: Iterator[Split]) -> tuple[list[Any], Iterator[Split]]:
        """The first pairs there are, and all splits once more."""
        looked_at: list[Split] = []
        sample: list[Any] = []
        for split in splits:
            looked_at.append(split)
            source = MappedPairs(split, self._options.map, self._options.key)
            try:
                sample = _first_pairs(source)
            except Exception as error:
                raise task_error(_map_name(len(looked_at) - 1, split), error) from error.__cause__ or error
            if sample:
                break
        return sample, chain(looked_at, splits)

    # --- the map side

    def _map(self, plan: PairPlan, splits: Iterator[Split]) -> list[MapOutput]:
        started = time.perf_counter()
        report, staged, outputs = self._report, dict[int, StagedSplit](), dict[int, MapOutput]()
        with closing(run_tasks(self._executor, self._map_works(plan, splits, staged), report)) as results:
            for number, result in results:
                outputs[number] = self._note(result)
                if number in staged:
                    staged.pop(number).discard()
        report.map_tasks, report.map_seconds = len(outputs), time.perf_counter() - started
        return [outputs[number] for number in sorted(outputs)]

    def _map_works(self, plan: PairPlan, splits: Iterator[Split], staged: dict[int, StagedSplit]) -> Iterator[Work]:
        options = self._options
        for number, split in enumerate(splits):
            if isinstance(split, StagedSplit):
                staged[number] = split
            task = _map_name(number, split)
            work = MapWork(
                task=task,
                map_number=number,
                split=split,
                function=options.map,
                key=options.key,
                fold=options.fold_before_sort,
                plan=plan,
                directory=self._files.directory(),
                compress=options.compress,
                spill_key=self._spill_key(plan),
            )
            yield Work(task, map_task, work)

    def _spill_key(self, plan: PairPlan) -> JobKey | None:
        """What map outputs and spills are sealed with: where they are to be encrypted, or may be unpickled."""
        return self._files.key if self._options.encrypt_spill or plan.type.pair.may_pickle else None

    def _note(self, result: MapResult) -> MapOutput:
        report = self._report
        report.records += result.records
        report.pairs += result.pairs
        report.pairs_written += result.pairs_written
        report.spilled_bytes += result.spilled_bytes
        report.shuffled_bytes += result.output.raw_bytes
        report.shuffled_disk_bytes += result.output.disk_bytes
        if result.combiner_note and result.combiner_note not in report.combiner_notes:
            report.combiner_notes.append(result.combiner_note)
        return result.output

    # --- the reduce side

    def _reduce(self, plan: PairPlan, outputs: list[MapOutput]) -> tuple[list[RecordFile | None], list[Any]]:
        started = time.perf_counter()
        made: dict[int, ReduceResult] = {}
        works = self._reduce_works(plan, tuple(outputs), self._cut(plan, outputs))
        with closing(run_tasks(self._executor, works, self._report)) as results:
            made.update(results)
        for output in outputs:
            output.delete()
        in_order = [made[number] for number in sorted(made)]
        kept = [each for result in in_order for each in result.results]
        self._note_results(kept, len(made), time.perf_counter() - started)
        return kept, [each for result in in_order for each in result.written]

    def _reduce_works(self, plan: PairPlan, outputs: tuple[MapOutput, ...], slices: Slices | None) -> Iterator[Work]:
        options = self._options
        step = -(-options.partitions // REDUCE_TASKS_MAX)
        for first in range(0, options.partitions, step):
            partitions = range(first, min(first + step, options.partitions))
            work = ReduceWork(
                partitions=partitions,
                outputs=outputs if slices is None else (),
                slices=None if slices is None else slices[first : partitions.stop],
                plan=plan,
                fold=options.reduce,
                group_function=options.group_reduce,
                write=options.write,
                directory=self._files.directory(),
                key=self._files.key,
                spill_key=self._spill_key(plan),
            )
            yield Work(_reduce_name(partitions), reduce_task, work)

    def _cut(self, plan: PairPlan, outputs: list[MapOutput]) -> Slices | None:
        """Where range partitions are; None where map tasks have numbered them."""
        if not isinstance(self._partitioner, RangePartitioner):
            return None
        work = Work("range partitioning", range_task, RangeWork(tuple(outputs), plan, self._spill_key(plan)))
        slices: Slices = next(run_tasks(self._executor, [work], self._report))[1]
        return slices

    def _note_results(self, results: list[RecordFile | None], tasks: int, seconds: float) -> None:
        report = self._report
        report.reduce_tasks, report.reduce_seconds = tasks, seconds
        report.results = sum(each.record_count for each in results if each is not None)
        report.result_disk_bytes = sum(each.size_bytes for each in results if each is not None)


def _first_pairs(source: MappedPairs) -> list[Any]:
    pairs: list[Any] = []
    size_bytes = 0
    while len(pairs) < SAMPLE_PAIRS and size_bytes < SAMPLE_BYTES and (batch := source.take(Batches(_SAMPLE_STEP))):
        pairs += batch
        size_bytes += sum(sys.getsizeof(part) for pair in batch if isinstance(pair, tuple) for part in pair)
    return pairs[:SAMPLE_PAIRS]


def _map_name(number: int, split: Split) -> str:
    return f"map task {number} ({split_name(split)})"


def _reduce_name(partitions: range) -> str:
    if len(partitions) == 1:
        return f"reduce task for partition {partitions.start}"
    return f"reduce task for partitions {partitions.start} to {partitions.stop - 1}"


__all__ = ["ShuffleRun"]
