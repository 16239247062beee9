"""One thread's way into an aggregator: records into its own table, or on as rows once combining has been given up."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from serializers.columns.pieces import EncodedRows
from serializers.columns.scratch import address_of
from shuffle.aggregation.group_rows import GroupScan, RowWriter, numbers_column, picked
from shuffle.aggregation.group_table import GroupTable
from shuffle.aggregation.keys import Keys
from shuffle.aggregation.range_records import RecordForm
from shuffle.aggregation.state_plan import ValueColumn
from shuffle.kernels.states import SETTLE_VALUES, update_states

TABLE_PART = 1 << 15
"""Groups of a table that are put into ranges together."""

if TYPE_CHECKING:
    from shuffle.aggregation.aggregator import Aggregator
    from shuffle.aggregation.range_session import RangeSession


class Lane:
    """One thread's way into an Aggregator: a table of its own, and scratch."""

    def __init__(self, owner: Aggregator) -> None:
        self.table: GroupTable | None = None
        self.nulls = owner.plan.template.copy()
        self._has_nulls = False
        self.record_count = 0
        self.records_in_table = 0
        self._owner = owner
        self._plan = owner.plan
        self._program = owner.plan.program()
        self._writer = RowWriter(owner.form, owner.plan)
        self._states = self._hashes = np.empty(0, np.uint64)
        self._unsettled = 0

    def add(self, keys: Keys, columns: Sequence[ValueColumn], first_record: int = 0) -> None:
        """Records: their keys, and one column for each kind of the plan. The first has the number `first_record`.

        The arrays must stay as they are until the aggregator is closed, or `SAMPLE_RECORDS` were added.
        """
        self.record_count += len(keys)
        if self._owner.takes_sample(self, keys, columns, first_record):
            return
        if self._owner.is_raw:
            self.empty_table(is_last=True)
            self.pass_on(keys, columns, first_record)
        else:
            self.combine(keys, columns, first_record)

    def combine(self, keys: Keys, columns: Sequence[ValueColumn], first_record: int) -> None:
        """Add records to the table, which is emptied when it is full."""
        table, count = self.groups(), len(keys)
        self._reserve(count)
        self._plan.bind(self._program, columns, first_record)
        first = 0
        while first < count:
            end = table.add(keys, first, count, self._program, self._states, self._hashes)
            self.records_in_table += end - first
            self._note_added(end - first)
            first = end
            if end < count:
                assert len(table), "one group fits any table"
                self._owner.note_full(self)
                if self._owner.is_raw:
                    self.empty_table(is_last=True)
                    self.pass_on(keys, columns, first_record, start=first)
                    return

    def pass_on(self, keys: Keys, columns: Sequence[ValueColumn], first_record: int, *, start: int = 0) -> None:
        """Let records from `start` on be sorted as they are."""
        given = list(columns)
        if self._plan.has_numbers:
            given.append(numbers_column(first_record, len(keys)))
        if start:
            keys, given = keys.part(start, len(keys)), [column.part(start, len(keys)) for column in given]
        if keys.nulls is not None and keys.nulls.any():
            keys, there, missing = keys.without_nulls()
            self._add_nulls([picked(column, missing) for column in given], len(missing))
            given = [picked(column, there) for column in given]
        ranges = self._owner.ranges()
        if ranges is not None:
            self._throw(ranges, keys, given)
            return
        rows = self._writer.rows_of_records(keys, given)
        self._owner.put_rows_of(self._with_states(rows) if self._owner.sorts_states else rows)

    def groups(self) -> GroupTable:
        """The table."""
        if self.table is None:
            self.table = self._owner.make_table(self.nulls)
        return self.table

    @property
    def has_nulls(self) -> bool:
        """Whether there were records without a key."""
        return self._has_nulls or (self.table is not None and self.table.has_null)

    @property
    def table_bytes(self) -> int:
        """What the table may come to take."""
        return 0 if self.table is None else self.table.extent_bytes

    def empty_table(self, *, is_last: bool = False) -> None:
        """Let the groups be sorted; the table is empty afterwards, or gone."""
        if self.table is None:
            return
        ranges = self._owner.ranges()
        if ranges is None:
            self._owner.put_rows_of(self._writer.rows_of_table(self.table))
        else:
            with self._owner.lock:  # all at once: records of another kind between would leave short blocks
                for part in RecordForm(self._owner.form, self._plan).of_table(self.table).parts(TABLE_PART):
                    ranges.put(part, ranges.find(part))
        if is_last:
            self.release()
        else:
            self.table.clear()
            self.records_in_table = 0

    def forget(self) -> None:
        """Give the table back with all that is in it: the records are kept elsewhere."""
        self.release()
        self.nulls[:] = self._plan.template
        self._has_nulls = False

    def release(self) -> None:
        """Give the table back. Idempotent."""
        if self.table is not None:
            self._has_nulls |= self.table.has_null
            self.table.release()
            self.table = None

    def _throw(self, ranges: RangeSession, keys: Keys, columns: Sequence[ValueColumn]) -> None:
        """Put records into ranges, found beside the other lanes."""
        form, owner = RecordForm(self._owner.form, self._plan), self._owner
        if any(column.nulls is not None and column.nulls.any() for column in columns):
            owner.has_null_values = True
        records = form.of_values(keys, columns, with_nulls=owner.has_null_values)
        numbers = ranges.find(records)
        with owner.lock:
            ranges.put(records, numbers)

    def _with_states(self, rows: Iterator[EncodedRows]) -> Iterator[EncodedRows]:
        """Rows with states of rows of records."""
        for some in rows:
            for groups in GroupScan(self._owner.form, self._plan).scan([some.rows]):
                yield groups.state_rows(self._plan)

    def _add_nulls(self, columns: list[ValueColumn], count: int) -> None:
        """Add records without a key."""
        self._has_nulls = True
        program = self._plan.program()
        self._plan.bind(program, columns, 0)
        if self._plan.has_numbers:
            self._plan.bind_numbers(program, columns[-1].words.view(np.uint64))
        update_states(program, np.full(count, address_of(self.nulls), np.uint64), 0, count)
        self._note_added(count)

    def _note_added(self, count: int) -> None:
        self._unsettled += count
        if self._unsettled >= SETTLE_VALUES:
            if self.table is not None:
                self.table.settle(self._program)
            self._unsettled = 0

    def _reserve(self, count: int) -> None:
        if len(self._states) < count:
            self._states, self._hashes = np.empty(count, np.uint64), np.empty(count, np.uint64)
