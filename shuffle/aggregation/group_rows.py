"""Groups that are rows: written, sorted beside everything else, and combined again as they come back in order.

    states of a full table ──┐
    values of records ───────┴─> RowSession: sorted, combined where they meet, spilled ──> GroupScan ──> groups in order

Rows are described in `shuffle.kernels.combine`. A row of a record is shorter than a state, so it is what a combiner
passes on that has found nothing to combine.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from ctypes import memmove
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from serializers import SLACK_BYTES
from serializers.columns.pieces import EncodedRows
from serializers.columns.scratch import address_of
from serializers.errors import CorruptRecordError
from shuffle.aggregation.group_table import GroupTable
from shuffle.aggregation.keys import KeyForm, Keys
from shuffle.aggregation.state_plan import StatePlan, ValueColumn, Words
from shuffle.kernels import combine as kernels
from shuffle.kernels import states as state_kernels

SCAN_ROWS = 1 << 14
"""Rows that are looked at together: their states and values stay in a cache."""

WRITE_ROWS = 1 << 15
PAIRS = 1 << 12
_HEAD_BYTES_MAX = 10


class RowWriter:
    """Writes rows into memory of its own, which is used again for the next."""

    def __init__(self, form: KeyForm, plan: StatePlan) -> None:
        self._form = form
        self._plan = plan
        self._data = np.empty(0, np.uint8)
        self._ends = np.empty(WRITE_ROWS, np.uint32)

    def rows_of_table(self, table: GroupTable) -> Iterator[EncodedRows]:
        """All groups of a table but that without a key, some at a time; each is good until the next."""
        yield from self.rows_of_entries(table, table.entries())

    def rows_of_entries(self, table: GroupTable, entries: Words) -> Iterator[EncodedRows]:
        """The same of these entries, which may be those of any table like `table`."""
        for start in range(0, len(entries), WRITE_ROWS):
            part = entries[start : start + WRITE_ROWS]
            self._reserve(table.row_bytes_max(part))
            ends = self._ends[: len(part)]
            yield EncodedRows(self._data, table.write_rows(part, self._data, ends), ends)

    def rows_of_records(self, keys: Keys, columns: Sequence[ValueColumn]) -> Iterator[EncodedRows]:
        """Raw rows of records, none without a key, some at a time; each is good until the next."""
        lines = np.array([_column_line(column) for column in columns], np.uint64).reshape(-1, kernels.COLUMN_WORDS)
        tail = _HEAD_BYTES_MAX + 9 * len(columns) + 1
        for start in range(0, len(keys), WRITE_ROWS):
            stop = min(start + WRITE_ROWS, len(keys))
            ends = self._ends[: stop - start]
            rows = keys.encoded
            if rows is None:
                self._reserve((stop - start) * (tail + 8))
                size = kernels.write_raw_words(
                    *keys.words_at, keys.flip, lines, start, stop, address_of(self._data), ends
                )
            else:
                first = int(rows.ends[start - 1]) if start else 0
                self._reserve((stop - start) * tail + int(rows.ends[stop - 1]) - first)
                layout = self._form.layout.key_bytes
                varies = self._form.key_bytes is None
                size = kernels.write_raw_rows(
                    address_of(rows.data), rows.ends, layout, varies, lines, start, stop, address_of(self._data), ends
                )
            yield EncodedRows(self._data, int(size), ends)

    def _reserve(self, size: int) -> None:
        if len(self._data) < size + SLACK_BYTES:
            self._data = np.empty(size + SLACK_BYTES, np.uint8)


def _column_line(column: ValueColumn) -> tuple[int, int, int]:
    return address_of(column.words), 0 if column.nulls is None else address_of(column.nulls), 8


@dataclass(frozen=True)
class Groups:
    """Some groups in the order of their keys. Good until the next are asked for.

    keys       one line a group: address and length of its key, and length of what follows the key; None without a key
    states     the address of each state
    """

    keys: Words | None
    states: Words
    form: KeyForm

    def __len__(self) -> int:
        return len(self.states)

    def key_words(self) -> Words:
        """Keys of one word."""
        assert self.keys is not None
        words = np.empty(len(self), np.uint64)
        kernels.group_words(self.keys, words)
        return words

    def key_rows(self) -> EncodedRows:
        """The keys as the rows of a codec."""
        return self._write(0, 0)

    def state_rows(self, plan: StatePlan) -> EncodedRows:
        """The groups as rows with states. Their states stand one behind another, as `GroupScan` has them."""
        return self._write(int(self.states[0]) if len(self) else 0, plan.state_bytes)

    def _write(self, states: int, state_bytes: int) -> EncodedRows:
        assert self.keys is not None
        bodies = int(self.keys[:, kernels.KEY_LENGTH].sum() + self.keys[:, kernels.REST_LENGTH].sum())
        data = np.empty(bodies + len(self) * (_HEAD_BYTES_MAX + state_bytes + 1) + SLACK_BYTES, np.uint8)
        ends = np.empty(len(self), np.uint32)
        varies = self.form.key_bytes is None
        size = kernels.write_groups(self.keys, states, state_bytes, varies, address_of(data), ends)
        return EncodedRows(data, int(size), ends)


class GroupScan:
    """Combines rows in order into groups."""

    def __init__(self, form: KeyForm, plan: StatePlan) -> None:
        self._form = form
        self._plan = plan
        count = plan.column_count + plan.has_numbers
        self._program = plan.program()
        self._keys = np.empty((SCAN_ROWS + 1, kernels.GROUP_WORDS), np.uint64)
        self._states = np.empty((SCAN_ROWS + 1, plan.state_bytes // 8), np.uint64)
        self._targets, self._sources, self._raw_targets = (np.empty(SCAN_ROWS, np.uint64) for _ in range(3))
        self._values = np.empty((count, SCAN_ROWS), np.uint64)
        self._nulls = np.empty((count, SCAN_ROWS), np.uint8)
        self._found = np.zeros(kernels.FOUND_ENTRIES, np.uint64)
        self._carried = np.empty(0, np.uint8)
        columns = [ValueColumn(*pair) for pair in zip(self._values, self._nulls, strict=True)]
        plan.bind(self._program, columns, 0)
        plan.bind_numbers(self._program, self._values[-1] if plan.has_numbers else None)
        self._addresses = address_of(self._states) + np.arange(SCAN_ROWS + 1, dtype=np.uint64) * np.uint64(
            plan.state_bytes
        )
        self._values_since = 0

    def scan(self, views: Iterable[memoryview]) -> Iterator[Groups]:
        """The groups of whole rows in order, which have slack behind them. The rows may be overwritten afterwards."""
        found = self._found
        found[kernels.GROUPS] = 0
        for view in views:
            data = np.frombuffer(view, np.uint8)
            found[kernels.POSITION] = address_of(data)
            end = address_of(data) + len(data)
            while (position := int(found[kernels.POSITION])) < end:
                count = self._step(end)
                if int(found[kernels.POSITION]) == position:
                    raise CorruptRecordError(f"the row at byte {position - address_of(data)} holds no state of a group")
                if count > 1:
                    yield self._groups(0, count - 1)
                self._carry(count - 1)
        if int(found[kernels.GROUPS]):
            yield self._groups(0, 1)
            found[kernels.GROUPS] = 0

    def _step(self, end: int) -> int:
        """Find and combine some groups: how many there are now, the last of which may go on."""
        form, plan = self._form, self._plan
        kernels.scan_groups(
            end, form.layout.key_bytes, plan.state_bytes, address_of(plan.template), len(self._values), self._keys,
            address_of(self._states), self._targets, self._sources, self._raw_targets, self._values, self._nulls,
            self._found,
        )  # fmt: skip
        count, merges, raws = (int(self._found[at]) for at in (kernels.GROUPS, kernels.MERGES, kernels.RAWS))
        if merges:
            state_kernels.merge_states(self._program, self._targets[:merges], self._sources[:merges])
        if raws:
            state_kernels.update_states(self._program, self._raw_targets, 0, raws)
        return count

    def _groups(self, start: int, end: int) -> Groups:
        return Groups(self._keys[start:end], self._addresses[start:end], self._form)

    def _carry(self, last: int) -> None:
        """Keep the last group, whose rows may go on, in memory of our own, as the first."""
        key, length, rest = self._keys[last].tolist()
        size = length + rest
        if key != address_of(self._carried):
            if len(self._carried) < size + SLACK_BYTES:
                self._carried = np.empty(2 * size + SLACK_BYTES, np.uint8)
            memmove(address_of(self._carried), key, size)
        self._states[0] = self._states[last]
        self._keys[0] = address_of(self._carried), length, rest
        self._found[kernels.GROUPS] = 1
        self._settle(last)

    def _settle(self, last: int) -> None:
        """Make room in the sums of a group that never ends."""
        self._values_since = 0 if last else self._values_since + SCAN_ROWS
        if self._values_since >= state_kernels.SETTLE_VALUES // 2:
            state_kernels.settle_states(self._program, int(self._addresses[0]), 0, 1)
            self._values_since = 0


def numbers_column(first_record: int, count: int) -> ValueColumn:
    """The numbers of records as a column, for raw rows of plans that ask which came first."""
    return ValueColumn(np.arange(first_record, first_record + count, dtype=np.uint64))


def picked(column: ValueColumn, places: NDArray[np.intp]) -> ValueColumn:
    """Some values of a column."""
    return ValueColumn(column.words[places], None if column.nulls is None else column.nulls[places])


class BufferCombiner:
    """Combines rows with states in a sorted buffer, before they are spilled or merged. For any number of threads."""

    def __init__(self, form: KeyForm, plan: StatePlan) -> None:
        self._key_bytes = form.layout.key_bytes
        self._state_bytes = plan.state_bytes
        self._program = plan.program()

    def __call__(self, words: Words, records: int, offsets: NDArray[np.uint32], mask: int) -> int:
        """Keep one row for each key, in place: how many words are left. `words` are in order, `mask` tells ordinals."""
        targets, sources = np.empty(PAIRS, np.uint64), np.empty(PAIRS, np.uint64)
        position = kept = 0
        while position < len(words):
            where = (words, position, kept, records, offsets, self._key_bytes, mask, self._state_bytes)
            position, kept, pairs = map(int, kernels.combine_equal(*where, targets, sources))
            state_kernels.merge_states(self._program, targets[:pairs], sources[:pairs])
        return kept
