"""Pairs of equal keys added up before they are sorted, without a dictionary: where a fold is a sum of ints.

    pairs ──a thousand at a time──> PairTarget ──8 thousand──> hash table ──(full, or at the end)──> rows of pairs

A dictionary of many keys waits for memory at every pair; the hash table looks thousands up at once. Its keys are texts
or ints, its sums have 128 bits, and its size does not depend on memory, so neither does when it is emptied. A pair
that is not plain (`shuffle.exchange.python_objects`) goes on as it is.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from memory import MIB, MemoryManager
from memory.segment import MIN_SEGMENT_BYTES
from serializers.columns.pieces import EncodedRows
from serializers.columns.scratch import address_of
from serializers.layouts import SLACK_BYTES
from serializers.types.integers import BigIntegerInfo
from serializers.types.text import TextInfo
from shuffle.aggregation.aggregates import Aggregate
from shuffle.aggregation.group_table import GroupTable
from shuffle.aggregation.keys import KeyForm, Keys
from shuffle.aggregation.state_plan import StatePlan, ValueColumn
from shuffle.batches import Batches
from shuffle.exchange.combining import Combining
from shuffle.exchange.folds import Fold
from shuffle.exchange.mapped_pairs import MappedPairs
from shuffle.exchange.neighbour_sums import adds_ints
from shuffle.exchange.pair_rows import Pair, PairPlan
from shuffle.exchange.python_objects import PairReader, PairTarget, can_read_objects
from shuffle.kernels import pairs as kernels
from shuffle.kernels.states import SIGNED

TABLE_BYTES = 8 * MIB
"""Of each of two tables: some 200 thousand short keys. Instead of a dictionary of 65 thousand, which takes as much."""

BATCH_PAIRS_FIRST = 4
BATCH_PAIRS_MAX = 1 << 10
"""Taken at once. Python keeps 2,000 tuples at hand, so those of a batch are made where those of the last one were."""

TARGET_PAIRS = 1 << 14
_TARGET_BYTES = 1 << 18
_WRITE_ROWS = 1 << 14

ODD_MAX = 0.1
"""With more of the pairs not plain, a dictionary serves them better."""

_SUM = StatePlan([(Aggregate("sum", 0), 0)], [SIGNED])
_SHORT, _LONG = KeyForm(kernels.SHORT_BYTES_MAX + 1), KeyForm(None)
_ROW_BYTES_MAX = 2 * kernels.HEAD_BYTES_MAX + kernels.INTEGER_BYTES_MAX


def adds_in_binary(plan: PairPlan, fold: Fold | None) -> bool:
    """Whether a `SumCombiner` can do what `fold` does to the pairs of a plan."""
    return (
        adds_ints(plan.type, fold)
        and isinstance(plan.type.key, BigIntegerInfo | TextInfo)
        and plan.partitioner.sorts_by_key
        and not plan.partitioner.takes_keys
        and can_read_objects()
    )


class SumCombiner(Combining):
    """Adds up the pairs of one map task. For one thread; close it when done."""

    def __init__(self, task: str, plan: PairPlan) -> None:
        super().__init__(task)
        self._reader = PairReader(plan.type.key.python_type)
        self._target = PairTarget(TARGET_PAIRS, _TARGET_BYTES)
        self._batches = Batches(BATCH_PAIRS_FIRST, most=BATCH_PAIRS_MAX, step=BATCH_PAIRS_MAX // 2)
        self._memory = MemoryManager(2 * TABLE_BYTES, segment_bytes=MIN_SEGMENT_BYTES)
        self._tables = [_Table(self._memory, form) for form in (_SHORT, _LONG)]
        self._odd_count = 0

    @property
    def leaves_the_rest(self) -> bool:
        """Whether too many pairs were odd to go on."""
        return self._odd_count > ODD_MAX * max(self.pairs_in + len(self._target), BATCH_PAIRS_MAX)

    def rows(self, source: MappedPairs) -> Iterator[EncodedRows | list[Pair]]:
        """What the pairs of `source` have come to: rows of pairs, good until the next, and pairs that are not plain.

        Ends where the source does, or before: then there is a `note`, or it `leaves_the_rest`. Raises
        RecordFailedError from what was raised.
        """
        while not (self.note or self.leaves_the_rest) and (batch := source.take(self._batches)):
            yield from self._take(batch)
        yield from self._add()
        for table in self._tables:
            yield from self._emptied(table)

    def close(self) -> None:
        """Give the memory back. Idempotent."""
        for table in self._tables:
            table.groups.release()
        self._memory.shutdown()

    def _take(self, batch: list[Pair]) -> Iterator[EncodedRows | list[Pair]]:
        size_bytes, odd, done = self._target.size_bytes, list[Pair](), 0
        while True:
            done, why = self._reader.read(batch, done, self._target)
            if why == kernels.ALL_READ:
                break
            if why == kernels.NO_ROOM:
                yield from self._add()
                size_bytes = 0
            else:
                odd.append(batch[done])
                done += 1
        self._batches.note(len(batch), self._target.size_bytes - size_bytes)
        if odd:
            self._odd_count += len(odd)
            self.pairs_in += len(odd)
            self.pairs_out += len(odd)
            yield odd

    def _add(self) -> Iterator[EncodedRows]:
        """Add what was read to the tables."""
        for table, (keys, values) in zip(self._tables, (self._target.short(), self._target.long()), strict=True):
            first = 0
            while (first := table.add(keys, values, first)) < len(keys):
                yield from self._emptied(table)
        self.pairs_in += len(self._target)
        self._target.clear()
        self.judge(self.pairs_in, self.pairs_out + sum(len(table.groups) for table in self._tables))

    def _emptied(self, table: _Table) -> Iterator[EncodedRows]:
        self.pairs_out += len(table.groups)
        yield from table.rows()
        table.groups.clear()


class _Table:
    """Sums by keys of one form."""

    def __init__(self, memory: MemoryManager, form: KeyForm) -> None:
        extent = memory.allocate_extent("sums before the sort", TABLE_BYTES)
        self.groups = GroupTable(extent, form, _SUM, _SUM.template.copy())
        self._program = _SUM.program()
        self._states, self._hashes = np.empty(TARGET_PAIRS, np.uint64), np.empty(TARGET_PAIRS, np.uint64)
        self._ends = np.empty(_WRITE_ROWS, np.uint32)

    def add(self, keys: Keys, values: ValueColumn, first: int) -> int:
        """Add values from `first` on: how far it came."""
        if first == len(keys):
            return first
        _SUM.bind(self._program, [values], 0)
        return self.groups.add(keys, first, len(keys), self._program, self._states, self._hashes)

    def rows(self) -> Iterator[EncodedRows]:
        """All sums as rows of pairs, some at a time."""
        entries, are_words = self.groups.entries(), bool(self.groups.form.key_words)
        for start in range(0, len(entries), _WRITE_ROWS):
            part = entries[start : start + _WRITE_ROWS]
            data = np.empty(self.groups.row_bytes_max(part) + len(part) * _ROW_BYTES_MAX + SLACK_BYTES, np.uint8)
            ends = self._ends[: len(part)]
            size = kernels.write_sums(part, are_words, _SUM.state_bytes, address_of(data), ends)
            yield EncodedRows(data, int(size), ends)


__all__ = ["SumCombiner", "adds_in_binary"]
