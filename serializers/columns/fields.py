"""Columns of types with fields: a column for each field.

Taking values apart and making them is most of what a record costs (12 ns a field to take, 50 ns a tuple to make), so
each kind of value has its own quickest way; a batch with anything else in it, such as a value of a subclass, is loose.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import repeat
from keyword import iskeyword
from operator import itemgetter
from typing import Any

from serializers.columns.column import Column, Data, KeyForm, Loose, Pending
from serializers.columns.numbers import are_all
from serializers.columns.read_steps import StepsToRead
from serializers.columns.scratch import Scratch
from serializers.columns.write_steps import StepsToWrite
from serializers.types.classes import ClassInfo
from serializers.types.fields import FieldsInfo
from serializers.types.tuples import TupleInfo

_ATTRS_HASH = "_attrs_cached_hash"
_CLASS_ITSELF = 0

_UNPACKED_MAX = 16
"""Beyond so many fields it is quicker to ask for the length."""

Reader = Callable[[list[Any]], list[Any]]


@dataclass(frozen=True)
class Parts:
    """What the columns of the fields gathered of `count` values; None for a field that is not here."""

    count: int
    parts: list[Data]


class FieldsColumn(Column, ABC):
    """A column for each field."""

    type_info: FieldsInfo

    def __init__(self, type_info: FieldsInfo, columns: Sequence[Column]) -> None:
        super().__init__(type_info)
        self.columns = columns
        self._all = range(len(columns))

    @property
    def is_compiled(self) -> bool:
        return all(column.is_compiled for column in self.columns)

    @property
    def bytes_min(self) -> int:
        return sum(column.bytes_min for column in self.columns)

    # --- what is known of each kind of value

    @abstractmethod
    def split(self, values: list[Any]) -> list[list[Any]] | None:
        """The values of each field; None if not all are ordinary values of the type."""

    @abstractmethod
    def join(self, columns: list[list[Any]], count: int) -> list[Any]:
        """The values that `split` takes apart into `columns`."""

    def gather_part(self, index: int, values: list[Any], scratch: Scratch) -> Data:
        """What the column of a field gathers."""
        return self.columns[index].gather(values, scratch)

    def scatter_part(self, index: int, data: Data) -> list[Any]:
        """The values of a field."""
        return self.columns[index].values(data)

    # --- values and arrays

    def gather(self, values: list[Any], scratch: Scratch) -> Data:
        columns = self.split(values)
        if columns is None:
            return Loose(values)
        return Parts(len(values), [self.gather_part(index, each, scratch) for index, each in enumerate(columns)])

    def scatter(self, data: Data) -> list[Any]:
        return self.join([self.scatter_part(index, part) for index, part in enumerate(data.parts)], data.count)

    # --- arrays and the bytes of values

    def put(self, data: Data, steps: StepsToWrite) -> None:
        if isinstance(data, Loose):
            super().put(data, steps)
        else:
            self.put_fields(data, self._all, steps)

    def get(self, steps: StepsToRead) -> Pending:
        return self.get_fields(self._all, steps)

    def put_fields(self, data: Parts, indices: Sequence[int], steps: StepsToWrite) -> None:
        """Write values that have only these fields."""
        for index in indices:
            self.columns[index].put(data.parts[index], steps)

    def get_fields(self, indices: Sequence[int], steps: StepsToRead) -> Pending:
        """Read values that have only these fields: `Parts` without the others."""
        return self._pending({index: self.columns[index].get(steps) for index in indices})

    def _pending(self, pending: dict[int, Pending]) -> Pending:
        def finish(count: int) -> Parts:
            parts: list[Data] = [None] * len(self.columns)
            for index, each in pending.items():
                parts[index] = each(count)
            return Parts(count, parts)

        return finish

    # --- arrays and order keys

    def put_key(self, data: Data, form: KeyForm, steps: StepsToWrite) -> None:
        if isinstance(data, Loose):
            super().put_key(data, form, steps)
            return
        for index, part_form in self.key_parts(form):
            self.put_part_key(index, data.parts[index], part_form, steps)

    def is_key_compiled(self, form: KeyForm) -> bool:
        return all(self.columns[index].is_key_compiled(part) for index, part in self.key_parts(form))

    def get_key(self, form: KeyForm, steps: StepsToRead) -> Pending:
        if not self.is_key_compiled(form):
            return super().get_key(form, steps)
        return self._pending({index: self.get_part_key(index, part, steps) for index, part in self.key_parts(form)})

    def key_parts(self, form: KeyForm) -> list[tuple[int, KeyForm]]:
        """The fields that values order by, and the forms of their keys."""
        return [(index, form.part(is_last=index == self._key_places[-1])) for index in self._key_places]

    @cached_property
    def _key_places(self) -> list[int]:
        names = {field.name for field in self.type_info.key_fields()}
        return [index for index, field in enumerate(self.type_info.fields) if field.name in names]

    def put_part_key(self, index: int, data: Data, form: KeyForm, steps: StepsToWrite) -> None:
        """Write the order key of a field."""
        self.columns[index].put_key(data, form, steps)

    def get_part_key(self, index: int, form: KeyForm, steps: StepsToRead) -> Pending:
        """Read a field from its order key."""
        return self.columns[index].get_key(form, steps)


class TupleColumn(FieldsColumn):
    """Tuples and named tuples."""

    def __init__(self, type_info: TupleInfo, columns: Sequence[Column]) -> None:
        super().__init__(type_info, columns)
        self._class = type_info.python_type
        self._getters = [itemgetter(index) for index in self._all]
        is_quick = self._class is tuple and 0 < len(columns) <= _UNPACKED_MAX
        self._first = first_reader(len(columns)) if is_quick else None

    def split(self, values: list[Any]) -> list[list[Any]] | None:
        if not are_all(values, self._class):
            return None
        if self._first is None:
            if list(map(len, values)).count(len(self.columns)) < len(values):
                return None
            return [list(map(get, values)) for get in self._getters]
        try:
            firsts = self._first(values)
        except ValueError:
            return None
        return [firsts, *(list(map(get, values)) for get in self._getters[1:])]

    def join(self, columns: list[list[Any]], count: int) -> list[Any]:
        values = zip(*columns, strict=True) if columns else repeat((), count)
        return list(values if self._class is tuple else map(partial(tuple.__new__, self._class), values))


class ClassColumn(FieldsColumn):
    """Objects of a class itself. A batch in which one is of a subclass is loose."""

    def __init__(self, type_info: ClassInfo, columns: Sequence[Column]) -> None:
        super().__init__(type_info, columns)
        self._class = type_info.cls
        self._names = [field.name for field in type_info.fields]
        self._readers = [attribute_reader(name) for name in self._names]
        self._nulls = [_ATTRS_HASH] if _keeps_hash(type_info) else []
        has_own = any("__setattr__" in vars(base) for base in self._class.__mro__[:-1])
        self._set_attribute: Callable[..., None] = object.__setattr__ if has_own else setattr  # which is quicker

    @property
    def bytes_min(self) -> int:
        return 1 + super().bytes_min

    def split(self, values: list[Any]) -> list[list[Any]] | None:
        if not are_all(values, self._class):
            return None
        try:
            return [read(values) for read in self._readers]
        except AttributeError:
            return None

    def join(self, columns: list[list[Any]], count: int) -> list[Any]:
        values: list[Any] = list(map(object.__new__, repeat(self._class, count)))
        for name, column in zip(self._names, columns, strict=True):
            _do(map(self._set_attribute, values, repeat(name), column))
        for name in self._nulls:
            _do(map(self._set_attribute, values, repeat(name), repeat(None)))
        return values

    def put_fields(self, data: Parts, indices: Sequence[int], steps: StepsToWrite) -> None:
        steps.constant(_CLASS_ITSELF, data.count)
        super().put_fields(data, indices, steps)

    def get_fields(self, indices: Sequence[int], steps: StepsToRead) -> Pending:
        steps.constant(_CLASS_ITSELF)
        return super().get_fields(indices, steps)


def _keeps_hash(type_info: ClassInfo) -> bool:
    """Whether attrs expects an attribute for the hash, empty at first."""
    if not hasattr(type_info.cls, "__attrs_attrs__"):
        return False
    return hasattr(type_info.shape.join([None] * len(type_info.fields)), _ATTRS_HASH)


def first_reader(count: int) -> Reader:
    """What takes the first field of many tuples, and raises ValueError unless each has `count` of them.

    Taking a tuple apart tells its length on the way, where to ask for it takes 16 ns.
    """
    reader: Reader = eval(f"lambda values: [first for first, {'_, ' * (count - 1)} in values]")
    return reader


def attribute_reader(name: str) -> Reader:
    """What takes one attribute of many objects."""
    if not (name.isascii() and name.isidentifier()) or iskeyword(name):  # Python writes others in another form
        return lambda values: [getattr(value, name) for value in values]
    reader: Reader = eval(f"lambda values: [value.{name} for value in values]")  # at half of what getattr takes
    return reader


def _do(calls: Any) -> None:
    deque(calls, maxlen=0)
