"""One batch, from arrays to rows and from rows to arrays, after the plan of its rows."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from serializers.columns.choice import column_of
from serializers.columns.column import Column, Data, Loose, put_bytes
from serializers.columns.fields import FieldsColumn, Parts
from serializers.columns.keys import KeyPart, as_part, get_fields, key_parts, put_keys
from serializers.columns.plan import RowPlan
from serializers.columns.read_steps import RowBytes, StepsToRead
from serializers.columns.scratch import Scratch
from serializers.columns.slow_rows import RestWriter
from serializers.columns.steps import UnknownBytesError
from serializers.columns.write_steps import StepsToWrite
from serializers.views import BytesOutput

_KEY, _VALUE = 0, 1
"""The regions of a row."""


class Batch(Protocol):
    """Some of the records that are to become rows, wherever they are."""

    def __len__(self) -> int: ...

    def part(self, start: int, end: int) -> Batch:
        """The records from `start` to `end`."""

    def gather(self, column: Column, scratch: Scratch) -> Data:
        """What `column`, of the records' type, gathers of them."""

    @property
    def values(self) -> list[Any]:
        """The records as values."""

    @property
    def keys(self) -> list[Any] | None:
        """What a key function made of them, if there is one."""


class ValueBatch:
    """Records that are values."""

    def __init__(self, values: Sequence[Any], keys: Sequence[Any] | None) -> None:
        self._values = values
        self._keys = keys

    def __len__(self) -> int:
        return len(self._values)

    def part(self, start: int, end: int) -> ValueBatch:
        return ValueBatch(self._values[start:end], None if self._keys is None else self._keys[start:end])

    def gather(self, column: Column, scratch: Scratch) -> Data:
        return column.gather(self.values, scratch)

    @cached_property
    def values(self) -> list[Any]:
        """The records as a list."""
        return self._values if isinstance(self._values, list) else list(self._values)

    @cached_property
    def keys(self) -> list[Any] | None:
        """The keys as a list."""
        return self._keys if self._keys is None or isinstance(self._keys, list) else list(self._keys)


class Batches:
    """The columns of a plan."""

    def __init__(self, plan: RowPlan) -> None:
        self.plan = plan
        self.column = column_of(plan.type_info)
        self.key_column = column_of(plan.key_info) if plan.has_key_function else self.column
        self._rest = plan.rest
        self._rest_writer = RestWriter(plan) if plan.left_out else None
        self._parts = key_parts(plan.key_info, plan.comparator) if plan.comparator else []

    # --- to rows

    def put(self, data: Data, batch: Batch, scratch: Scratch) -> StepsToWrite:
        """The steps that write `batch`, gathered as `data`. Raises ValueMismatchError if a value is not of the type."""
        steps = StepsToWrite(scratch)
        if batch.keys is None:
            put_keys(self._parts, self.column, data, lambda: batch.values, steps)
        else:
            keys = batch.keys
            put_keys(self._parts, self.key_column, self.key_column.gather(keys, scratch), lambda: keys, steps)
        if self.plan.key_bytes is None:
            steps.key_end()
        if not self.plan.is_only_key:
            self._put_value(data, batch, steps)
        return steps

    def _put_value(self, data: Data, batch: Batch, steps: StepsToWrite) -> None:
        if self._rest_writer is None:
            self.column.put(data, steps)
        elif isinstance(data, Parts):
            assert isinstance(self.column, FieldsColumn)
            self.column.put_fields(data, self._rest, steps)
        else:
            out = BytesOutput()
            ends = [0]
            for value in batch.values:
                self._rest_writer.write(value, out)
                ends.append(out.position)
            put_bytes(out.data, ends, steps)

    # --- from rows

    def get(self, rows: RowBytes, places: NDArray[np.uint64], scratch: Scratch, *, joins_texts: bool = True) -> Data:
        """What the rows hold. Raises UnknownBytesError or CorruptRecordError for what has to be looked at slowly."""
        steps = StepsToRead(scratch, rows, len(places), joins_texts=joins_texts)
        if not self.plan.is_only_key:
            return self._get_value(places, steps)
        data = self._get_key(places, steps)
        steps.of_other_region().run(places, _VALUE, is_all=True)
        return data

    def _get_value(self, places: NDArray[np.uint64], steps: StepsToRead) -> Data:
        if not self.plan.left_out:
            pending = self.column.get(steps)
            steps.run(places, _VALUE, is_all=True)
            return pending(len(places))
        column = self.column
        if not isinstance(column, FieldsColumn):
            raise UnknownBytesError
        key_steps = steps.of_other_region()
        found, is_all = get_fields(self._parts, self.plan.left_out, key_steps)
        key_steps.run(places, _KEY, is_all=is_all)
        pending = column.get_fields(self._rest, steps)
        steps.run(places, _VALUE, is_all=True)
        data: Parts = pending(len(places))
        for place, part in found.items():
            data.parts[place] = as_part(column, place, part(len(places)), len(places))
        return data

    def _get_key(self, places: NDArray[np.uint64], steps: StepsToRead) -> Data:
        """The value that is its key: the key of the whole, or of all fields."""
        whole = next((part for part in self._parts if self._is_whole(part)), None)
        if whole is not None:
            return self._get_whole(whole, places, steps)
        column = self.column
        assert isinstance(column, FieldsColumn)
        found, is_all = get_fields(self._parts, range(len(column.columns)), steps)
        steps.run(places, _KEY, is_all=is_all)
        count = len(places)
        places_of_fields = range(len(column.columns))
        return Parts(count, [as_part(column, place, found[place](count), count) for place in places_of_fields])

    def _is_whole(self, part: KeyPart) -> bool:
        is_record = part.path is None or not part.path.depth
        return is_record and part.column.comparator(part.form).is_invertible

    def _get_whole(self, whole: KeyPart, places: NDArray[np.uint64], steps: StepsToRead) -> Data:
        for part in self._parts:
            if part is whole:
                break
            part.column.skip_key(part.form, steps)
        pending = whole.column.get_key(whole.form, steps)
        steps.run(places, _KEY, is_all=whole is self._parts[-1])
        return self._as_own(whole.column, pending(len(places)))

    def _as_own(self, column: Column, data: Data) -> Data:
        """The data of a key's column as that of the value's."""
        return data if type(column) is type(self.column) else Loose(column.values(data))
