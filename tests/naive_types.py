"""The order of typed values, slow and obvious: what every comparator and order key must agree with.

Values are compared by Python wherever it can; nothing here knows of bytes. `Order` says by which fields, in which
direction, and where nulls go: `sorted(records, key=Order(info, keys).key)`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum, Flag
from functools import cache, cmp_to_key
from typing import Any

import numpy as np

from serializers.types.arrays import PythonArrayInfo
from serializers.types.composite import ClassInfo, RowInfo, TupleInfo, TypedDictInfo
from serializers.types.containers import ListInfo, OptionalInfo, UnionInfo, VariadicTupleInfo
from serializers.types.ordering import OrderKey
from serializers.types.type_information import TypeInformation

Info = TypeInformation[Any]


class Order:
    """Records of one type by some of their fields."""

    def __init__(self, info: Info, keys: tuple[OrderKey, ...]) -> None:
        self.info = info
        self.keys = keys
        self._compared = cmp_to_key(self._compare_fields)

    def key(self, record: Any) -> Any:
        """What `sorted` takes: `compare` in the form of a key."""
        return self._compared(self._fields(record))

    def compare(self, left: Any, right: Any) -> int:
        """Negative, 0 or positive, as the first field in which they differ says."""
        return self._compare_fields(self._fields(left), self._fields(right))

    def _fields(self, record: Any) -> list[tuple[Info, Any]]:
        return [field_of(self.info, record, key.path) for key in self.keys]

    def _compare_fields(self, left: list[tuple[Info, Any]], right: list[tuple[Info, Any]]) -> int:
        for key, (info, one), (_, other) in zip(self.keys, left, right, strict=True):
            order = Rule(key.descending, key.nulls_last).compare(info, one, other)
            if order:
                return order
        return 0


def field_of(info: Info, value: Any, path: tuple[str | int, ...]) -> tuple[Info, Any]:
    """A field at the end of a path, with its type. Where there is None on the way, or nothing, it is None."""
    for step in path:
        while isinstance(info, OptionalInfo):
            info = info.inner
        names = [each.name for each in info.fields]
        index = step if isinstance(step, int) else names.index(step)
        value = None if value is None else part_of(info, value, index)
        info = info.fields[index].type_info
        value = None if value is ABSENT else value
    return info, value


ABSENT = object()
"""What stands for the value of a key that is not there."""


def part_of(info: Info, value: Any, index: int) -> Any:
    """One field of a record."""
    if isinstance(info, TypedDictInfo):
        return value.get(info.fields[index].name, ABSENT)
    if isinstance(info, ClassInfo):
        return getattr(value, info.fields[index].name)
    return value[index]


class Rule:
    """A direction, and a place for nulls."""

    def __init__(self, descending: bool, nulls_last: bool) -> None:
        self.descending = descending
        self.nulls_last = nulls_last

    def compare(self, info: Info, left: Any, right: Any) -> int:
        """Of two values of one type."""
        for null in (ABSENT, None):
            if left is null or right is null:
                order = (right is null) - (left is null)
                return -order if self.nulls_last else order
        rule = RULES.get(type(info))
        return rule(self, info, left, right) if rule else self._directed(plain(left), plain(right))

    def _directed(self, left: Any, right: Any) -> int:
        order = int(left > right) - int(left < right)
        return -order if self.descending else order

    def _records(self, info: Info, left: Any, right: Any) -> int:
        for index, each in enumerate(info.fields):
            if isinstance(info, ClassInfo) and not is_compared(info.cls, each.name):
                continue
            order = self.compare(each.type_info, part_of(info, left, index), part_of(info, right, index))
            if order:
                return order
        return 0

    def _sequences(self, info: Any, left: Any, right: Any) -> int:
        for one, other in zip(left, right, strict=False):
            order = self.compare(info.element, one, other)
            if order:
                return order
        return self._directed(len(left), len(right))

    def _arrays(self, info: Info, left: Any, right: Any) -> int:
        for one, other in zip(left, right, strict=False):
            order = self._directed(plain(one), plain(other))
            if order:
                return order
        return self._directed(len(left), len(right))

    def _optionals(self, info: OptionalInfo, left: Any, right: Any) -> int:
        return self.compare(info.inner, left, right)

    def _unions(self, info: UnionInfo, left: Any, right: Any) -> int:
        if is_number(left) and is_number(right):
            return self._directed(as_number(left), as_number(right))
        left_place, right_place = place_of(info, left), place_of(info, right)
        if left_place != right_place:
            return self._directed(left_place, right_place)
        return self.compare(info.members[left_place], left, right)


RULES: dict[type, Callable[..., int]] = {
    OptionalInfo: Rule._optionals,
    UnionInfo: Rule._unions,
    **dict.fromkeys((TupleInfo, RowInfo, ClassInfo, TypedDictInfo), Rule._records),
    **dict.fromkeys((ListInfo, VariadicTupleInfo), Rule._sequences),
    PythonArrayInfo: Rule._arrays,
}
"""How values made of others compare."""


def place_of(info: UnionInfo, value: Any) -> int:
    """Where a value's type stands; all numbers stand where the first of them does."""
    classes = [member.python_type for member in info.members]
    if is_number(value):
        return min(place for place, cls in enumerate(classes) if is_number_class(cls))
    nearest = next(base for base in type(value).__mro__ if base in classes)
    return classes.index(nearest)


def is_compared(cls: type, name: str) -> bool:
    """Whether values of a dataclass compare by this field."""
    return next(each.compare for each in dataclasses.fields(cls) if each.name == name)


def is_number(value: Any) -> bool:
    """Whether a value is a real number, of Python or numpy."""
    return is_number_class(type(value))


def is_number_class(cls: type) -> bool:
    """The same of all values of a class."""
    return issubclass(cls, int | float | Decimal | np.bool_ | np.integer | np.floating)


def plain(value: Any) -> Any:
    """A value that Python orders as it should."""
    cls: Any = type(value)
    return plainer(cls)(value)


@cache
def plainer(cls: Any) -> Callable[[Any], Any]:
    """What makes values of a class plain."""
    if issubclass(cls, np.generic):
        return lambda value: plain(value.item())
    if issubclass(cls, Flag):
        return lambda value: value.value
    if issubclass(cls, Enum) and not issubclass(cls, int | str):
        return list(cls).index
    if issubclass(cls, datetime):
        return lambda value: value.astimezone(UTC) if value.tzinfo else value
    if issubclass(cls, float | Decimal):
        return Number
    return lambda value: value


def as_number(value: Any) -> Number:
    """A real number that compares with those of other classes."""
    return Number(value.item() if isinstance(value, np.generic) else value)


class Number:
    """A number, behind all of which there is NaN."""

    def __init__(self, value: Any) -> None:
        self.is_nan = value.is_nan() if isinstance(value, Decimal) else value != value
        self.value = 0 if self.is_nan else value

    def __lt__(self, other: Number) -> bool:
        if self.is_nan or other.is_nan:
            return other.is_nan and not self.is_nan
        return bool(self.value < other.value)

    def __gt__(self, other: Number) -> bool:
        return other < self
