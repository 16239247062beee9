"""Aggregates of a table's groups: columns in, columns out, no Python for each record.

    batches ──┬── keys, values as words ──> lanes of an Aggregator ──> groups ──> columns of keys and results
              └── keys, values as rows ───> a sort for each order ───────────────> columns of the other results

Aggregates without a state of fixed length, such as the least text, are computed from sorted rows (`sorted_values`).
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from memory import default_memory_bytes
from serializers.columns.scratch import address_of
from serializers.types.ordering import OrderKey
from shuffle.aggregation.aggregates import Aggregate, count
from shuffle.aggregation.aggregator import AggregateReport, Aggregator, Combines
from shuffle.aggregation.arrow_values import WordColumn, null_bytes, result_array, result_type
from shuffle.aggregation.budget import explained, shared_options
from shuffle.aggregation.errors import AggregateError, AggregateOverflowError
from shuffle.aggregation.finish import Finisher, misfits
from shuffle.aggregation.group_rows import Groups
from shuffle.aggregation.lane import Lane
from shuffle.aggregation.lanes import run_lanes
from shuffle.aggregation.sorted_values import order_of
from shuffle.aggregation.state_plan import PARTS_OF, StatePlan, ValueColumn, Words
from shuffle.aggregation.table_keys import TableKeys
from shuffle.aggregation.table_parts import table_parts
from shuffle.aggregation.table_sorts import TableSort
from shuffle.closable import ClosedByError
from shuffle.options import SortOptions
from shuffle.tables.kinds import check_column
from shuffle.tables.pool_guard import PoolGuard
from shuffle.tables.table_result import TableResult
from shuffle.tables.table_source import TableSource

_READER_BYTES_MAX = 1 << 30
READERS = 2
"""Batches that are read at the same time."""


class AggregatedTable(ClosedByError, TableResult):
    """One row for each group, in the order of keys: the columns of the keys, then one for each of `aggregates`.

    Computed when the first row is wanted; read again, it is put in order again. The first error closes it, and sticks.
    """

    def __init__(
        self,
        source: Any,
        opened: TableSource,
        keys: tuple[OrderKey, ...],
        aggregates: Mapping[str, Aggregate],
        options: SortOptions,
        *,
        format: str | None = None,
        combines: Combines = "auto",
    ) -> None:
        self._keys = TableKeys(opened.schema, keys)
        self._aggregates = dict(aggregates)
        self._types = {name: self._field_type(opened, each) for name, each in self._aggregates.items()}
        self._results = {name: result_type(each, self._types[name]) for name, each in self._aggregates.items()}
        fields = [*self._keys.schema, *(pa.field(name, found) for name, found in self._results.items())]
        _check_names([field.name for field in fields])
        super().__init__(pa.schema(fields))
        self._source, self._opened, self._format = source, opened, format
        self._options, self._combines = options, combines
        self._work: _Work | None = None
        self._is_read = False

    def batches(self) -> Generator[Any, None, None]:
        work = self._worked()
        if self._is_read:
            raise RuntimeError(
                "this table is being read already, and there is memory for one reader. Finish or close that iterator "
                "first, or make a table of what you need twice"
            )
        self._is_read = True
        try:
            with self._closed_on_error():
                for columns in work.results(self._aggregates, self._types, self._results):
                    yield pa.RecordBatch.from_arrays(columns, schema=self.schema)
        finally:
            self._is_read = False

    @property
    def report(self) -> AggregateReport:
        """What it took. Reads the source if that was not done yet."""
        return self._worked().aggregator.report

    def close(self) -> None:
        self._is_closed = True
        self._opened.close()
        if self._work is not None:
            self._work.close()

    def _worked(self) -> _Work:
        self._check_open("this table is closed. Aggregate it again")
        if self._work is None:
            with self._closed_on_error():
                self._work = _Work(self._keys, self._wanted(), self._options, self._opened, self._combines)
                self._work.take(self._source, self._opened, self._format)
                self._opened.close()
        return self._work

    def _wanted(self) -> list[tuple[Aggregate, Any]]:
        return [(each, self._types[name]) for name, each in self._aggregates.items()]

    def _field_type(self, opened: TableSource, aggregate: Aggregate) -> Any:
        if aggregate.field is None:
            return None
        name = column_of(aggregate, opened)
        return opened.schema.field(name).type


def column_of(aggregate: Aggregate, opened: TableSource) -> str:
    """The name of the column that an aggregate is about. Raises TableError, which lists the columns."""
    names: list[str] = opened.schema.names
    if isinstance(aggregate.field, int):
        if not 0 <= aggregate.field < len(names):
            raise AggregateError(f"{aggregate}: {opened.name} has {len(names)} columns, counted from 0")
        return names[aggregate.field]
    check_column(str(aggregate.field), names, opened.name)
    return str(aggregate.field)


def _check_names(names: list[str]) -> None:
    doubled = next((name for name in names if names.count(name) > 1), None)
    if doubled is not None:
        cure = "Give names: aggregates={'total': 'sum:amount'}"
        raise AggregateError(f"two columns of the result would be called {doubled!r}. {cure}")


def is_fixed(aggregate: Aggregate, column: WordColumn | None) -> bool:
    """Whether its states have a fixed length."""
    return aggregate.kind == "count" or (aggregate.kind in PARTS_OF and column is not None and column.kind is not None)


class _Work:
    """What computes the results: an aggregator, and a sort for each order of each field that needs one."""

    def __init__(
        self,
        keys: TableKeys,
        wanted: list[tuple[Aggregate, Any]],
        options: SortOptions,
        opened: TableSource,
        combines: Combines,
    ) -> None:
        self._keys = keys
        self._names = {each: column_of(each, opened) for each, _ in wanted if each.field is not None}
        words = {each: WordColumn(found) for each, found in wanted if each.field is not None}
        fixed = [each for each, _ in wanted if is_fixed(each, words.get(each))]
        self._columns = list(dict.fromkeys(self._names[each] for each in fixed if each in self._names))
        self._words = [words[next(e for e in fixed if self._names.get(e) == name)] for name in self._columns]
        self.fixed = {each: self._place_of(each) for each in fixed}
        kinds = [word.kind if word.kind is not None else 0 for word in self._words]
        self.plan = StatePlan([*self.fixed.items(), (count(), None)], kinds)
        orders = dict.fromkeys((self._names[each], order_of(each)) for each, _ in wanted if each not in self.fixed)
        taken_bytes = READERS * min(opened.reader_bytes, _READER_BYTES_MAX)
        share = shared_options(options, 1 + len(orders), taken_bytes=taken_bytes)
        self._guard = PoolGuard(options.memory_bytes or default_memory_bytes())
        self._sorts: list[TableSort] = []
        with explained(options, len(orders)):
            self.aggregator = Aggregator(keys.form, self.plan, share, combines=combines)
            try:
                for name, order in orders:
                    those = [e for e, _ in wanted if self._needs(e, name, order)]
                    self._sorts.append(TableSort(keys, opened.schema, name, order, those, share))
            except BaseException:
                self.close()
                raise

    def _needs(self, aggregate: Aggregate, name: str, order: int) -> bool:
        """Whether an aggregate is computed from this order of this column."""
        return aggregate not in self.fixed and (self._names[aggregate], order_of(aggregate)) == (name, order)

    def _place_of(self, aggregate: Aggregate) -> int | None:
        return None if aggregate.field is None else self._columns.index(self._names[aggregate])

    # --- records in

    def take(self, source: Any, opened: TableSource, format: str | None) -> None:
        """All batches of the source."""
        threads = 1 if self._sorts else self.aggregator.threads
        parts = table_parts(source, opened, format=format)
        lanes = [self.aggregator.lane() for _ in range(threads)]
        run_lanes(parts, [self._taker(lane) for lane in lanes])
        self.aggregator.finish()
        for sort in self._sorts:
            sort.finish()

    def _taker(self, lane: Lane) -> Any:
        table_keys = self._keys.for_another_thread()

        def take(batch: Any, first_record: int) -> int:
            self._guard.count_batch()
            for sort in self._sorts:
                sort.put(batch, first_record)
            columns = [
                word.words(batch.column(name)) if word.kind is not None else _nulls_only(batch.column(name))
                for name, word in zip(self._columns, self._words, strict=True)
            ]
            done = 0
            for keys in table_keys.of(batch.select(table_keys.schema.names), first_record):
                end = done + len(keys)
                part = columns if len(keys) == batch.num_rows else [each.part(done, end) for each in columns]
                lane.add(keys, part, first_record + done)
                done = end
            return int(batch.num_rows)

        return take

    # --- results

    def results(
        self, aggregates: Mapping[str, Aggregate], types: Mapping[str, Any], results: Mapping[str, Any]
    ) -> Iterator[list[Any]]:
        """The columns of the results, for some groups at a time."""
        finisher = Finisher(self.plan)
        sorted_values = [sort.read() for sort in self._sorts]
        first_group = 0
        for keys, states in self._groups():
            key_columns = keys(first_group)
            counts = finisher.finish(count(), None, states).values.astype(np.intp)
            found: dict[Aggregate, Any] = {}
            for sort, values in zip(self._sorts, sorted_values, strict=True):
                found.update(zip(sort.aggregates, values.results(counts), strict=True))
            columns = list(key_columns)
            for name, aggregate in aggregates.items():
                if aggregate in self.fixed:
                    finished = finisher.finish(aggregate, self.fixed[aggregate], states)
                    if finished.highs is not None and not pa.types.is_decimal(results[name]):
                        _check_fits(misfits(finished), key_columns, name, results[name])
                    columns.append(result_array(finished, aggregate, types[name], results[name]))
                else:
                    columns.append(found[aggregate])
            first_group += len(states)
            yield columns

    def _groups(self) -> Iterator[tuple[Any, Words]]:
        """(what gives the columns of keys, states), the group without a key first."""
        null_state = self.aggregator.null_state()
        if null_state is not None:
            self.aggregator.report.groups += 1
            yield lambda first: self._keys.null_columns(), np.array([address_of(null_state)], np.uint64)
        for groups in self.aggregator.groups():
            yield self._columns_of(groups), groups.states

    def _columns_of(self, groups: Groups) -> Any:
        return lambda first: self._keys.columns(groups, first)

    def close(self) -> None:
        """Give back memory, files and threads. Idempotent."""
        self.aggregator.close()
        for sort in self._sorts:
            sort.close()


def _nulls_only(array: Any) -> ValueColumn:
    """A column of which only nulls are counted."""
    return ValueColumn(np.zeros(len(array), np.uint64), null_bytes(array))


def _check_fits(places: Any, key_columns: list[Any], name: str, result: Any) -> None:
    if len(places):
        key = ", ".join(repr(column[int(places[0])].as_py()) for column in key_columns)
        raise AggregateOverflowError(
            f"{name} of the group {key} does not fit {result}: cast the column to decimal128(18, 0) or to float64 first"
        )
