"""Columns of records whose fields may be missing: Rows and TypedDicts."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import repeat
from operator import attrgetter, itemgetter
from typing import Any

from serializers.columns.column import Column, Data, KeyForm, Pending
from serializers.columns.fields import FieldsColumn, Parts
from serializers.columns.numbers import are_all
from serializers.columns.optional import (
    Nullable,
    gather_nullable,
    get_nullable_key,
    pending_nullable,
    put_nullable_key,
    scatter_nullable,
)
from serializers.columns.read_steps import StepsToRead
from serializers.columns.scratch import Scratch
from serializers.columns.write_steps import StepsToWrite
from serializers.types.row import Row, RowInfo
from serializers.types.typed_dicts import TypedDictInfo

_SET_VALUES, _SET_NAMES = (vars(Row)[slot].__set__ for slot in ("_values", "_fields"))


class MaskedColumn(FieldsColumn):
    """Fields of which some may be missing, as a mask says: their data is `Nullable`."""

    missing: object = None
    may_miss: Sequence[bool]

    @property
    def bytes_min(self) -> int:
        return len(self.columns) + 7 >> 3

    def gather_part(self, index: int, values: list[Any], scratch: Scratch) -> Data:
        return gather_nullable(self.columns[index], values, scratch, self.missing)

    def scatter_part(self, index: int, data: Data) -> list[Any]:
        return scatter_nullable(self.columns[index], data, self.missing)

    def put_fields(self, data: Parts, indices: Sequence[int], steps: StepsToWrite) -> None:
        mask = steps.mask(len(indices))
        steps.bytes_max += data.count * (len(indices) + 7 >> 3)
        for bit, index in enumerate(indices):
            part: Nullable = data.parts[index]
            if part.nulls is None:
                self.columns[index].put(part.data, steps)
            else:
                with steps.optional(steps.field(mask, bit, part.nulls)):
                    self.columns[index].put(part.data, steps)

    def get_fields(self, indices: Sequence[int], steps: StepsToRead) -> Pending:
        allowed = sum(1 << bit for bit, index in enumerate(indices) if self.may_miss[index])
        all_bits = (1 << (len(indices) + 7 >> 3 << 3)) - 1
        mask = steps.mask(len(indices), all_bits & ~allowed)
        columns = [self.columns[index] for index in indices]
        if not all(column.is_compiled for column in columns):
            return self._get_given(indices, mask, steps)
        pending: dict[int, Pending] = {}
        for bit, index in enumerate(indices):
            line, nulls = steps.masked(mask, bit)
            with steps.optional(line):
                pending[index] = pending_nullable(nulls, self.columns[index].get(steps))
        return self._pending(pending)

    def _get_given(self, indices: Sequence[int], mask: int, steps: StepsToRead) -> Pending:
        """The same where a field is read in Python: by then the mask is gone, so it is noted beforehand."""
        nulls = [steps.masked(mask, bit)[1] for bit in range(len(indices))]
        pending: dict[int, Pending] = {}
        for index, missing in zip(indices, nulls, strict=True):
            column = self.columns[index]
            if column.is_compiled:
                with steps.optional(steps.given(missing)):
                    pending[index] = pending_nullable(missing, column.get(steps))
            else:
                with steps.only_given(missing):
                    pending[index] = pending_nullable(missing, column.get_each(steps))
        return self._pending(pending)

    def put_part_key(self, index: int, data: Data, form: KeyForm, steps: StepsToWrite) -> None:
        if self.may_miss[index]:
            put_nullable_key(self.columns[index], data, form, steps)
        else:
            self.columns[index].put_key(data.data, form, steps)

    def get_part_key(self, index: int, form: KeyForm, steps: StepsToRead) -> Pending:
        if self.may_miss[index]:
            return get_nullable_key(self.columns[index], form, steps)
        pending = self.columns[index].get_key(form, steps)
        return lambda count: Nullable(count, None, pending(count))


class RowColumn(MaskedColumn):
    """Rows."""

    def __init__(self, type_info: RowInfo, columns: Sequence[Column]) -> None:
        super().__init__(type_info, columns)
        self.may_miss = [True] * len(columns)
        self._names = tuple(field.name for field in type_info.fields) if type_info.named and columns else None

    def split(self, values: list[Any]) -> list[list[Any]] | None:
        if not are_all(values, Row) or list(map(attrgetter("_fields"), values)).count(self._names) < len(values):
            return None
        tuples = [value._values for value in values]
        if list(map(len, tuples)).count(len(self.columns)) < len(values):
            return None
        return [[value[index] for value in tuples] for index in self._all]

    def join(self, columns: list[list[Any]], count: int) -> list[Any]:
        values: list[Any] = list(map(object.__new__, repeat(Row, count)))
        tuples = zip(*columns, strict=True) if columns else repeat((), count)
        deque(map(_SET_VALUES, values, tuples), maxlen=0)
        deque(map(_SET_NAMES, values, repeat(self._names)), maxlen=0)
        return values


class TypedDictColumn(MaskedColumn):
    """Dicts with known keys."""

    def __init__(self, type_info: TypedDictInfo, columns: Sequence[Column]) -> None:
        super().__init__(type_info, columns)
        self.missing = object()
        self.may_miss = type_info.may_miss()
        self._names = [field.name for field in type_info.fields]

    def split(self, values: list[Any]) -> list[list[Any]] | None:
        if not are_all(values, dict):
            return None
        if list(map(len, values)).count(len(self._names)) == len(values):
            try:
                return [list(map(itemgetter(name), values)) for name in self._names]
            except KeyError:
                return None
        missing = self.missing
        columns = [[value.get(name, missing) for value in values] for name in self._names]
        is_missing = [[part is missing for part in column] for column in columns]
        if any(True in flags for flags, may_miss in zip(is_missing, self.may_miss, strict=True) if not may_miss):
            return None
        sizes = [len(columns) - sum(flags) for flags in zip(*is_missing, strict=True)]
        return columns if sizes == list(map(len, values)) else None

    def join(self, columns: list[list[Any]], count: int) -> list[Any]:
        names, missing = self._names, self.missing
        tuples = zip(*columns, strict=True) if columns else repeat((), count)
        return [
            {name: part for name, part in zip(names, parts, strict=True) if part is not missing} for parts in tuples
        ]

    def scatter(self, data: Data) -> list[Any]:
        if any(part.nulls is not None for part in data.parts):
            return super().scatter(data)
        columns = [column.values(part.data) for column, part in zip(self.columns, data.parts, strict=True)]
        tuples = zip(*columns, strict=True) if columns else repeat((), data.count)
        return [dict(zip(self._names, parts, strict=True)) for parts in tuples]
