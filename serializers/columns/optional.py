"""Columns in which values may be missing: which are, and a column of those that are there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serializers.columns.column import Column, Data, KeyForm, Loose, Pending
from serializers.columns.read_steps import StepsToRead
from serializers.columns.scratch import Scratch
from serializers.columns.write_steps import StepsToWrite
from serializers.types.optional import OptionalInfo

VALUE_MARK = 1
"""Of a value that is there, in values and in keys."""


@dataclass(frozen=True)
class Nullable:
    """`count` places of which those are empty where `nulls` is 1, or none without `nulls`; `data` fills the others."""

    count: int
    nulls: NDArray[np.uint8] | None
    data: Data


def gather_nullable(column: Column, values: list[Any], scratch: Scratch, null: object = None) -> Nullable:
    """What `column` gathers of those values that are not `null`.

    A column of a type that has no room for None would not find arrays for it, so only then one looks for nulls.
    """
    if null is None and not column.type_info.allows_null:
        data = column.gather(values, scratch)
        if not isinstance(data, Loose):
            return Nullable(len(values), None, data)
    flags = bytes([value is null for value in values])
    if 1 not in flags:
        return Nullable(len(values), None, column.gather(values, scratch))
    given = [value for value in values if value is not null]
    return Nullable(len(values), scratch.copy(flags), column.gather(given, scratch))


def scatter_nullable(column: Column, data: Nullable, null: object = None) -> list[Any]:
    """The values, `null` where they are missing."""
    values = column.values(data.data)
    if data.nulls is None:
        return values
    given = iter(values)
    return [null if is_null else next(given) for is_null in data.nulls.tolist()]


def pending_nullable(nulls: NDArray[np.uint8], pending: Pending) -> Pending:
    """What is known once `nulls` were read."""

    def finish(count: int) -> Nullable:
        null_count = int(np.count_nonzero(nulls[:count]))
        return Nullable(count, nulls[:count] if null_count else None, pending(count - null_count))

    return finish


def put_nullable_key(column: Column, data: Nullable, form: KeyForm, steps: StepsToWrite) -> None:
    """The mark of a null or of a value, and the key of the value."""
    if data.nulls is None:
        steps.constant(VALUE_MARK, data.count)
        column.put_key(data.data, form, steps)
    else:
        with steps.optional(steps.option(data.nulls, _null_mark(form), VALUE_MARK)):
            column.put_key(data.data, form, steps)


def get_nullable_key(column: Column, form: KeyForm, steps: StepsToRead) -> Pending:
    """Read what `put_nullable_key` wrote; the column's keys are compiled."""
    line, nulls = steps.option(_null_mark(form), VALUE_MARK)
    with steps.optional(line):
        pending = column.get_key(form, steps)
    return pending_nullable(nulls, pending)


def _null_mark(form: KeyForm) -> int:
    return 2 if form.nulls_last else 0


class OptionalColumn(Column):
    """A value or None."""

    def __init__(self, type_info: OptionalInfo, inner: Column) -> None:
        super().__init__(type_info)
        self.inner = inner

    @property
    def is_compiled(self) -> bool:
        return self.inner.is_compiled

    @property
    def bytes_min(self) -> int:
        return 1

    def gather(self, values: list[Any], scratch: Scratch) -> Data:
        return gather_nullable(self.inner, values, scratch)

    def scatter(self, data: Data) -> list[Any]:
        return scatter_nullable(self.inner, data)

    def put(self, data: Data, steps: StepsToWrite) -> None:
        if data.nulls is None:
            steps.constant(VALUE_MARK, data.count)
            self.inner.put(data.data, steps)
        else:
            with steps.optional(steps.option(data.nulls, 0, VALUE_MARK)):
                self.inner.put(data.data, steps)

    def get(self, steps: StepsToRead) -> Pending:
        if not self.is_compiled:
            return self.get_each(steps)
        line, nulls = steps.option(0, VALUE_MARK)
        with steps.optional(line):
            pending = self.inner.get(steps)
        return pending_nullable(nulls, pending)

    def put_key(self, data: Data, form: KeyForm, steps: StepsToWrite) -> None:
        put_nullable_key(self.inner, data, form, steps)

    def is_key_compiled(self, form: KeyForm) -> bool:
        return self.inner.is_key_compiled(form)

    def get_key(self, form: KeyForm, steps: StepsToRead) -> Pending:
        if not self.is_key_compiled(form):
            return super().get_key(form, steps)
        return get_nullable_key(self.inner, form, steps)
