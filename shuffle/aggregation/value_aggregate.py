"""Aggregates of Python values: fields taken out of each batch, groups computed as for tables, Rows out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

import numpy as np

from serializers import rows as rows_layout
from serializers.row_codec import RowCodec
from serializers.types import OrderingComparator, OrderKey, TypeInformation, parse_by, type_info_of, type_info_of_values
from serializers.types.composite import TupleInfo
from serializers.types.ordering import By
from serializers.types.row import Row
from shuffle.aggregation.aggregates import Aggregate, count
from shuffle.aggregation.aggregator import Aggregator
from shuffle.aggregation.budget import explained, shared_options
from shuffle.aggregation.errors import AggregateError
from shuffle.aggregation.finish import Finisher, integers_of, with_nulls
from shuffle.aggregation.group_rows import Groups
from shuffle.aggregation.keys import KeyForm, keys_of_rows
from shuffle.aggregation.lane import Lane
from shuffle.aggregation.sorted_rows import NewMarks
from shuffle.aggregation.sorted_values import AS_IT_CAME, DESCENDING, ListKeeper, SortedPart, SortedValues, order_of
from shuffle.aggregation.state_plan import PARTS_OF, StatePlan
from shuffle.aggregation.value_columns import ValueField, check_kind
from shuffle.batches import Batches, first_values
from shuffle.operators.choices import form_choices, job_options
from shuffle.operators.result import OperatorReport
from shuffle.options import SortOptions
from shuffle.row_session import RowSession

Info = TypeInformation[Any]


class ValueAggregate:
    """The work behind `shuffle.aggregate` on an iterable of records."""

    def __init__(
        self, values: Iterable[Any], by: By, aggregates: Mapping[str, Aggregate], choices: Mapping[str, Any]
    ) -> None:
        self._values: Iterable[Any] | None = values
        self._keys = parse_by(by)
        self._names = (*(".".join(map(str, key.path)) for key in self._keys), *aggregates)
        doubled = next((name for name in self._names if self._names.count(name) > 1), None)
        if doubled is not None:
            raise AggregateError(f"two fields of the result would be called {doubled!r}. Give names: {{'n': 'count'}}")
        self._aggregates = dict(aggregates)
        self._form = form_choices(choices)
        self._options = job_options(choices)
        self._groups: _ValueGroups | None = None

    def prepare(self, report: OperatorReport) -> None:
        """Take all values."""
        assert self._values is not None, "prepared once"
        values, self._values = iter(self._values), None
        sample = first_values(values)
        if not sample:
            return
        self._groups = _ValueGroups(sample, self._keys, self._aggregates, self._form, self._options)
        self._groups.take(chain(sample, values))
        report.records = self._groups.aggregator.report.records
        report.combiner_note = self._groups.aggregator.report.gave_up or ""

    def results(self) -> Iterator[Row]:
        """A Row for each group."""
        if self._groups is not None:
            for columns in self._groups.results(self._aggregates):
                for line in zip(*columns, strict=True):
                    yield Row._make(line, self._names)

    def close(self) -> None:
        """Give back memory, files and threads. Idempotent."""
        self._values = None
        if self._groups is not None:
            self._groups.close()


class _ValueGroups:
    """Groups of records of one type."""

    def __init__(
        self,
        sample: list[Any],
        keys: tuple[OrderKey, ...],
        aggregates: Mapping[str, Aggregate],
        form: Mapping[str, Any],
        options: SortOptions,
    ) -> None:
        allow_generic = form.get("allow_generic", True)
        declared = form.get("type_info")
        info: Info = (
            type_info_of_values(sample, allow_generic=allow_generic)
            if declared is None
            else type_info_of(declared, allow_generic=allow_generic)
        )
        self._fields = {
            each.field: ValueField(each.field, info, sample) for each in aggregates.values() if each.field is not None
        }
        for each in aggregates.values():
            if each.field is not None:
                check_kind(each, self._fields[each.field])
        self._key_fields = [ValueField(OrderKey(key.path), info, sample) for key in keys]
        self._key_info = TupleInfo(tuple(field.info for field in self._key_fields))
        self._order = tuple(
            OrderKey((place,), key.descending, key.nulls_last or form.get("nulls_last", False))
            for place, key in enumerate(keys)
        )
        self._codec = RowCodec(self._key_info, OrderingComparator(self._key_info, self._order))
        self._form = KeyForm(self._codec.key_bytes, is_whole=self._codec.plan.is_only_key)
        wanted = list(dict.fromkeys(aggregates.values()))
        fixed = [each for each in wanted if self._is_fixed(each)]
        self._columns = list(dict.fromkeys(each.field for each in fixed if each.field is not None))
        self._fixed = {each: None if each.field is None else self._columns.index(each.field) for each in fixed}
        plan = StatePlan(
            [*self._fixed.items(), (count(), None)], [self._fields[name].kind or 0 for name in self._columns]
        )
        orders: dict[tuple[Any, int], None] = dict.fromkeys(
            (each.field, order_of(each)) for each in wanted if each not in self._fixed
        )
        share = replace(shared_options(options, 1 + len(orders)), authentic=self._key_info.may_pickle)
        self.plan = plan
        self._sorts: list[_Sort] = []
        with explained(options, len(orders)):
            self.aggregator = Aggregator(self._form, plan, share)
            try:
                for name, order in orders:
                    those = [e for e in wanted if e not in self._fixed and (e.field, order_of(e)) == (name, order)]
                    self._sorts.append(_Sort(self._key_info, self._order, self._fields[name], order, those, share))
            except BaseException:
                self.close()
                raise

    def _is_fixed(self, aggregate: Aggregate) -> bool:
        if aggregate.field is None or aggregate.kind == "count":
            return True
        field = self._fields[aggregate.field]
        is_as_it_came = aggregate.kind in ("min", "max", "first", "last")
        return aggregate.kind in PARTS_OF and field.kind is not None and not (is_as_it_came and field.is_mixed)

    # --- records in

    def take(self, values: Iterable[Any]) -> None:
        """All records."""
        lane, batches, first_record = self.aggregator.lane(), Batches(), 0
        for batch in batches.split(values):
            batches.note(len(batch), self._put(lane, batch, first_record))
            first_record += len(batch)
        self.aggregator.finish()
        for sort in self._sorts:
            sort.finish()

    def _put(self, lane: Lane, records: Sequence[Any], first_record: int) -> int:
        """Add records: how many bytes they take as rows."""
        keys = list(zip(*(field.values(records, first_record) for field in self._key_fields), strict=True))
        encoded = self._codec.encode(keys, first_record)
        values = {name: field.values(records, first_record) for name, field in self._fields.items()}
        columns = [self._fields[name].column(values[name], first_record) for name in self._columns]
        lane.add(keys_of_rows(encoded, self._form), columns, first_record)
        size = encoded.size + 8 * len(columns) * len(records)
        return size + sum(sort.put(keys, values, first_record) for sort in self._sorts)

    # --- results

    def results(self, aggregates: Mapping[str, Aggregate]) -> Iterator[list[list[Any]]]:
        """The columns of the results, for some groups at a time."""
        finisher = Finisher(self.plan)
        sorted_values = [sort.read() for sort in self._sorts]
        first_group = 0
        for groups in self.aggregator.groups():
            keys = self._codec.decode(groups.key_rows().rows, first_group)
            columns: list[list[Any]] = [list(column) for column in zip(*keys, strict=True)]
            counts = finisher.finish(count(), None, groups.states).values.astype(np.intp)
            found: dict[Aggregate, list[Any]] = {}
            for sort, values in zip(self._sorts, sorted_values, strict=True):
                found.update(zip(sort.aggregates, values.results(counts), strict=True))
            for aggregate in aggregates.values():
                is_fixed = aggregate in self._fixed
                columns.append(self._finished(finisher, aggregate, groups) if is_fixed else found[aggregate])
            first_group += len(groups)
            yield columns

    def _finished(self, finisher: Finisher, aggregate: Aggregate, groups: Groups) -> list[Any]:
        finished = finisher.finish(aggregate, self._fixed[aggregate], groups.states)
        if finished.highs is not None:
            return integers_of(finished)
        values = finished.values.tolist()
        is_as_it_came = aggregate.kind in ("min", "max", "first", "last")
        if aggregate.field is not None and is_as_it_came and self._fields[aggregate.field].is_bool:
            values = list(map(bool, values))
        return with_nulls(values, finished.nulls)

    def close(self) -> None:
        """Give back memory, files and threads. Idempotent."""
        self.aggregator.close()
        for sort in self._sorts:
            sort.close()


class _Sort:
    """Rows of (key, value) in one order."""

    def __init__(
        self,
        key_info: TupleInfo,
        key_order: tuple[OrderKey, ...],
        field: ValueField,
        order: int,
        aggregates: list[Aggregate],
        options: SortOptions,
    ) -> None:
        self.aggregates = aggregates
        self._name = next(each.field for each in aggregates)
        info = TupleInfo((*key_info.elements, field.info))
        place = len(key_info.elements)
        last = () if order == AS_IT_CAME else (OrderKey((place,), order == DESCENDING, nulls_last=True),)
        self._codec = RowCodec(info, OrderingComparator(info, (*key_order, *last)))
        layout = rows_layout(self._codec.key_bytes)
        self._session = RowSession(replace(options, layout=layout, authentic=info.may_pickle))

    def put(self, keys: list[tuple[Any, ...]], values: Mapping[Any, list[Any]], first_record: int) -> int:
        """Add a row for each record: how many bytes they take."""
        lines = [(*key, value) for key, value in zip(keys, values[self._name], strict=True)]
        encoded = self._codec.encode(lines, first_record)
        self._session.put(encoded)
        return encoded.size

    def finish(self) -> None:
        """No more rows."""
        self._session.finish()

    def read(self) -> SortedValues:
        """What computes the results, from the first group on."""
        return SortedValues(self.aggregates, self._parts(), ListKeeper())

    def close(self) -> None:
        """Give back memory, files and threads. Idempotent."""
        self._session.close()

    def _parts(self) -> Iterator[SortedPart]:
        marks = NewMarks(self._codec.key_bytes)
        first_record = 0
        for view in self._session.read():
            values = [line[-1] for line in self._codec.decode(view, first_record)]
            is_new = marks.of(view, len(values))
            first_record += len(values)
            is_there = np.fromiter((value is not None for value in values), np.bool_, len(values))
            yield SortedPart(values, is_there, is_new)
