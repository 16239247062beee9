"""The reduce side of some partitions: fetch, merge, group, reduce, and leave the results in a file for each.

    slices of map outputs ─> SpanSession (merges) ─> fold, or groups ─> results ─> RecordFile, or write=

Results go out in batches as they are made; a group is never held whole.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import chain, filterfalse, starmap
from operator import is_, itemgetter
from pathlib import Path
from typing import Any

from io_manager import JobKey, system
from shuffle.exchange.folds import Fold, folded
from shuffle.exchange.map_output import MapOutput
from shuffle.exchange.neighbour_sums import added, adds_ints
from shuffle.exchange.pair_rows import PairPlan, PairRows
from shuffle.exchange.partition_reader import find_slices
from shuffle.exchange.partition_span import SpanSession, Views
from shuffle.exchange.record_file import RecordFile, RecordFileWriter
from shuffle.exchange.shuffle_options import GroupFunction, WriteFunction
from shuffle.exchange.slots import Slot
from shuffle.exchange.task_errors import BlamedError, KeyFailedError
from shuffle.exchange.task_options import task_options
from shuffle.groups import Groups, pair_values
from shuffle.stored_slice import StoredSlice


@dataclass(frozen=True)
class ReduceWork:
    """What one reduce task is to do. `slices` are those of each of its partitions; None: the outputs know them.

    `key` seals the results, and `spill_key` what is spilled, if that is sealed.
    """

    partitions: range
    outputs: tuple[MapOutput, ...]
    slices: tuple[tuple[StoredSlice, ...], ...] | None
    plan: PairPlan
    fold: Fold | None
    group_function: GroupFunction | None
    write: WriteFunction | None
    directory: Path
    key: JobKey
    spill_key: JobKey | None


@dataclass(frozen=True)
class ReduceResult:
    """What it has done: for each of its partitions the results, or what `write` returned."""

    results: tuple[RecordFile | None, ...]
    written: tuple[Any, ...]
    seconds: float


def reduce_task(slot: Slot, work: ReduceWork) -> ReduceResult:
    """Run it: a task. Raises what functions of the user raise, blamed on a key; and what the engine does."""
    return _ReduceTask(work).run(slot)


class _ReduceTask:
    def __init__(self, work: ReduceWork) -> None:
        self._work = work
        self._rows = PairRows(work.plan)
        self._results: list[RecordFile | None] = []
        self._written: list[Any] = []

    def run(self, slot: Slot) -> ReduceResult:
        started = time.perf_counter()
        try:
            if self._is_empty():
                self._reduce_all(None)
            else:
                self._merge(slot)
        except BaseException:
            self._remove_results()
            raise
        return ReduceResult(tuple(self._results), tuple(self._written), time.perf_counter() - started)

    def _is_empty(self) -> bool:
        work = self._work
        if work.slices is not None:
            return not any(work.slices)
        return not any(output.find(partition) for output in work.outputs for partition in work.partitions)

    def _merge(self, slot: Slot) -> None:
        """With all that the slot has."""
        with slot.reserved("reduce side merge") as memory_bytes:
            options = task_options(slot, self._rows.shape.layout, memory_bytes, self._work.spill_key)
            with closing(SpanSession(options)) as session:
                self._reduce_all(session)

    def _reduce_all(self, session: SpanSession | None) -> None:
        with closing(self._partitions(session)) as partitions:
            for partition, views in partitions:
                self._reduce(partition, views)

    def _partitions(self, session: SpanSession | None) -> Generator[tuple[int, Views | None], None, None]:
        """The rows of each partition, in order; None of one that is empty."""
        wanted = self._work.partitions
        following = wanted.start
        with closing(self._read(session)) as found:
            for partition, views in found:
                yield from ((empty, None) for empty in range(following, partition))
                yield partition, views
                following = partition + 1
        yield from ((empty, None) for empty in range(following, wanted.stop))

    def _read(self, session: SpanSession | None) -> Generator[tuple[int, Views], None, None]:
        """All in one merge, where rows say their partition; else one behind another."""
        work, shape = self._work, self._rows.shape
        if session is None:
            return
        if shape.partition_bytes and len(work.partitions) > 1:
            yield from session.read_span(work.outputs, work.partitions, shape)
            return
        for place, partition in enumerate(work.partitions):
            slices = find_slices(work.outputs, partition) if work.slices is None else work.slices[place]
            if slices:
                with closing(session.read_part(slices)) as views:
                    yield partition, views

    def _reduce(self, partition: int, views: Views | None) -> None:
        """Make the results of one partition."""
        write, kept = self._work.write, None
        if write is not None:
            self._written.append(write(partition, self._made_of(views or iter(()))))
        elif views is not None:
            kept = self._keep(partition, self._made_of(views))
        self._results.append(kept)

    def _made_of(self, views: Views) -> Iterator[Any]:
        work = self._work
        if work.group_function is not None:
            return _Grouped(views, self._rows).results(work.group_function)
        if work.fold is not None:
            if adds_ints(work.plan.type, work.fold):
                views = added(views, self._rows.shape)
            return chain.from_iterable(folded(views, self._rows, work.fold))
        return chain.from_iterable(self._pairs(views))

    def _pairs(self, views: Views) -> Iterator[list[Any]]:
        count = 0
        for view in views:
            pairs = self._rows.decode(view, count)
            count += len(pairs)
            yield pairs

    def _keep(self, partition: int, results: Iterator[Any]) -> RecordFile | None:
        """A name of its own each time: the task may have been run before."""
        path = self._work.directory / f"result-{partition:08}-{secrets.token_hex(8)}.records"
        with RecordFileWriter(path, self._work.key) as writer:
            writer.write_all(results)
            return writer.finish()

    def _remove_results(self) -> None:
        for result in self._results:
            if result is not None:
                system.remove(result.path)


class _Grouped:
    """Groups on their way through a function, and the key of the one that it is called for."""

    def __init__(self, views: Views, rows: PairRows) -> None:
        self._groups = Groups(views, rows.shape, rows.decode_group_rows, key_of=itemgetter(0), values_of=pair_values)
        self._key: Any = None
        self._is_calling = False

    def results(self, function: GroupFunction) -> Iterator[Any]:
        """What `function` makes, one result after another. Raises KeyFailedError from what it raised."""
        made: Iterator[Any] = filterfalse(partial(is_, None), starmap(function, self._noted()))
        try:
            yield from chain.from_iterable(made)
        except BlamedError:
            raise
        except Exception as error:
            if self._is_calling:
                raise KeyFailedError(self._key) from error
            raise

    def _noted(self) -> Iterator[tuple[Any, Iterator[Any]]]:
        for group in self._groups:
            self._key, self._is_calling = group[0], True
            yield group
            self._is_calling = False
