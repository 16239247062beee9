"""A table in partitions, each in order, by one sort.

    hash, round-robin, function    number for each row ─> sort by number, by=, sort_by= ─> cut where the number changes
    range                          sort by by=, sort_by= ─> cut at rows i * rows / partitions, or where groups begin

However many partitions there are, one merge gives all of them, one behind another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from serializers.types.ordering import OrderKey
from shuffle.closable import Closable
from shuffle.exchange.keyed_rows import hash_keys
from shuffle.exchange.partitioners import (
    HashPartitioner,
    Partitioner,
    PartitionerError,
    RangePartitioner,
    RoundRobinPartitioner,
    check_partitions,
    partitioner_of,
    partitions_of_hashes,
)
from shuffle.options import SortOptions
from shuffle.report import SortReport
from shuffle.tables.key_rows import KeyRows, grouped
from shuffle.tables.table_codec import column_names, table_batch
from shuffle.tables.table_sorter import SortedTable
from shuffle.tables.table_source import TableSource

PartitionFunction = Callable[[Any, int], Any]
"""Takes a record batch of the columns of by= and the number of partitions; gives a partition for each row."""

TablePartitioner = Literal["hash", "range", "round-robin"] | PartitionFunction | Partitioner

Numbers = NDArray[np.uint32]
Assign = Callable[[Any, int], Numbers]
"""Partition numbers of a batch whose first row has the given place in the table."""

Segment = tuple[int, Any]
"""A partition number, and some of its rows."""


@dataclass(frozen=True)
class PartitionPlan:
    """Where rows go: by `assign`, before they are sorted; or by their place in the order, if it is None."""

    partitions: int
    schema: Any
    group: tuple[OrderKey, ...]
    sort: tuple[OrderKey, ...]
    assign: Assign | None
    keeps_groups: bool

    @property
    def number_name(self) -> str:
        """A column name that the table has not."""
        name = "partition"
        while name in self.schema.names:
            name += "_"
        return name


def plan_partitions(
    partitioner: TablePartitioner,
    partitions: int,
    schema: Any,
    group: tuple[OrderKey, ...],
    sort: tuple[OrderKey, ...],
    *,
    keep_groups: bool,
) -> PartitionPlan:
    """Raises PartitionerError for a partitioner, or a number of partitions, that cannot be."""
    check_partitions(partitions)
    found = None if _is_function(partitioner) else partitioner_of(partitioner)
    if isinstance(found, RangePartitioner):
        if found.weigh != "records":
            raise PartitionerError("ranges of a table are balanced by rows. Give weigh='records'")
        _check_order(group or sort, "range")
        return PartitionPlan(partitions, schema, group, sort, None, found.whole_keys or keep_groups)
    if keep_groups:
        raise PartitionerError("keep_groups= is for ranges: a hash keeps groups anyway. Leave it out")
    return PartitionPlan(
        partitions, schema, group, sort, _assigner(found, partitioner, partitions, schema, group), False
    )


def _assigner(
    found: Partitioner | None, spec: TablePartitioner, partitions: int, schema: Any, group: tuple[OrderKey, ...]
) -> Assign:
    if isinstance(found, RoundRobinPartitioner):
        return lambda batch, first: ((np.arange(batch.num_rows) + first) % partitions).astype(np.uint32)
    if isinstance(found, HashPartitioner):
        _check_order(group, "hash")
        return _hash_assigner(partitions, schema, group)
    if found is not None:
        raise PartitionerError(
            f"{spec!r} is no partitioner of tables: give 'hash', 'range', 'round-robin' or a function"
        )
    _check_order(group, "a function")
    assert callable(spec)
    return _Asked(spec, partitions, column_names(group))


def _is_function(spec: TablePartitioner) -> bool:
    return callable(spec) and not isinstance(spec, Partitioner)


def _check_order(keys: tuple[OrderKey, ...], partitioner: str) -> None:
    if not keys:
        raise PartitionerError(f"{partitioner} needs columns to go by. Name them in by=")


def _hash_assigner(partitions: int, schema: Any, group: tuple[OrderKey, ...]) -> Assign:
    """By the keys alone: direction and place of nulls, and whether there may be any, change nothing."""
    rows_of = KeyRows(schema, tuple(OrderKey(key.path) for key in group), nullable=True)

    def assign(batch: Any, first_record: int) -> Numbers:
        return partitions_of_hashes(hash_keys(rows_of.of(batch, first_record), rows_of.shape), partitions)

    return assign


class _Asked:
    """The answers of a function, checked."""

    def __init__(self, function: PartitionFunction, partitions: int, names: list[str]) -> None:
        self._function = function
        self._partitions = partitions
        self._names = names

    def __call__(self, batch: Any, first_record: int) -> Numbers:
        try:
            answer = np.asarray(self._function(batch.select(self._names), self._partitions))
        except Exception as error:
            error.add_note(f"the partitioner was called for rows {first_record} to {first_record + len(batch) - 1}")
            raise
        if answer.shape != (len(batch),) or answer.dtype.kind not in "iu":
            raise PartitionerError(
                f"the partitioner gave {answer.dtype}{list(answer.shape)} for {len(batch)} rows. "
                "It must give an array of one integer for each"
            )
        wrong = np.flatnonzero((answer < 0) | (answer >= self._partitions))
        if wrong.size:
            raise PartitionerError(
                f"row {first_record + int(wrong[0])}: the partitioner gave {answer[wrong[0]]}, which is no partition. "
                f"It must give 0 to {self._partitions - 1}"
            )
        return answer.astype(np.uint32)


# --- the partitions


class PartitionedTable(Closable):
    """Iterate it for (partition number, its record batches), once for every partition; and again as often as wanted.

    The batches of a partition are good until the next partition is asked for; what was not read is skipped.
    """

    def __init__(self, source: TableSource, plan: PartitionPlan, options: SortOptions) -> None:
        self.schema = source.schema
        self.partitions = plan.partitions
        self._plan = plan
        keys = plan.group + plan.sort
        if plan.assign is not None:
            keys = (OrderKey((plan.number_name,)), *keys)
            source = _numbered(source, plan, plan.assign)
        self._sorted = SortedTable(source, keys, options)

    def __iter__(self) -> Iterator[tuple[int, Iterator[Any]]]:
        segments = _Segments(self._segments())
        for number in range(self.partitions):
            own = segments.of(number)
            yield number, own
            for _ in own:
                pass

    @property
    def report(self) -> SortReport:
        """What sorting took."""
        return self._sorted.report

    def close(self) -> None:
        """Give back memory, files and threads. Idempotent."""
        self._sorted.close()

    def _segments(self) -> Iterator[Segment]:
        if self._plan.assign is not None:
            return _by_number(self._sorted.batches(), self._plan.number_name)
        bounds = np.arange(self.partitions) * self.report.records // self.partitions
        if self._plan.keeps_groups:
            return _by_group(self._sorted.batches(), KeyRows(self.schema, self._plan.group or self._plan.sort), bounds)
        return _by_place(self._sorted.batches(), bounds)


class _Segments:
    """Hands the segments of one partition after another to who wants them."""

    def __init__(self, segments: Iterator[Segment]) -> None:
        self._segments = segments
        self._next: Segment | None = None

    def of(self, number: int) -> Iterator[Any]:
        """The batches of partition `number`, if those before have been read."""
        while True:
            segment = self._next or next(self._segments, None)
            self._next = segment
            if segment is None or segment[0] != number:
                return
            self._next = None
            yield segment[1]


def _numbered(source: TableSource, plan: PartitionPlan, assign: Assign) -> TableSource:
    """The same rows with the number of their partition in a column of its own."""
    schema = source.schema.append(pa.field(plan.number_name, pa.uint32(), nullable=False))

    def number(batches: Iterator[Any]) -> Iterator[Any]:
        first_record = 0
        for batch in batches:
            numbers = pa.array(assign(batch, first_record), pa.uint32())
            yield pa.RecordBatch.from_arrays([*batch.columns, numbers], schema=schema)
            first_record += batch.num_rows

    return source.derived(schema, number)


def _by_number(batches: Iterator[Any], name: str) -> Iterator[Segment]:
    for batch in batches:
        *columns, numbers = batch.columns
        fields = [field for field in batch.schema if field.name != name]
        rest = table_batch(columns, pa.schema(fields, batch.schema.metadata), batch.num_rows)
        yield from _cut(rest, numbers.to_numpy())


def _by_place(batches: Iterator[Any], bounds: NDArray[np.int64]) -> Iterator[Segment]:
    place = 0
    for batch in batches:
        yield from _cut(batch, _partition_at(bounds, np.arange(place, place + batch.num_rows)))
        place += batch.num_rows


def _by_group(batches: Iterator[Any], key_rows: KeyRows, bounds: NDArray[np.int64]) -> Iterator[Segment]:
    """A row belongs where the first row of its group does."""
    place = group_place = 0
    for part in grouped(batches, key_rows):
        starts = part.starts.astype(np.int64) + place
        if part.leads:
            starts[0] = group_place
        group_place = int(starts[-1])
        counts = np.diff(part.starts, append=np.uint32(part.batch.num_rows))
        yield from _cut(part.batch, _partition_at(bounds, np.repeat(starts, counts)))
        place += part.batch.num_rows


def _partition_at(bounds: NDArray[np.int64], places: NDArray[np.int64]) -> NDArray[Any]:
    """The last partition that begins at or before each place: those that begin where the next does are empty."""
    return np.searchsorted(bounds, places, side="right") - 1


def _cut(batch: Any, numbers: NDArray[Any]) -> Iterator[Segment]:
    """The batch where its numbers, which are in order, change."""
    borders = [0, *(np.flatnonzero(np.diff(numbers)) + 1).tolist(), len(numbers)]
    for start, end in pairwise(borders):
        yield int(numbers[start]), batch.slice(start, end - start)
