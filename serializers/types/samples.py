"""The type information of values, where no annotation says it: from a sample.

What was seen decides, and what comes later must fit: an int may be of any size, but a field that was never None must
not be None. Where nothing was seen, in lists that were all empty, anything may come.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, time
from itertools import chain
from typing import Any

from serializers.errors import UnknownTypeError, ValueMismatchError
from serializers.types.arrays import NumpyArrayInfo, ObjectArrayInfo, PythonArrayInfo
from serializers.types.class_fields import is_named_tuple, is_record_class
from serializers.types.composite import ClassInfo, Row, RowInfo, TupleInfo
from serializers.types.containers import DictInfo, ListInfo, SetInfo, VariadicTupleInfo
from serializers.types.hints import HintReader
from serializers.types.known_types import array_info
from serializers.types.registry import own_factory
from serializers.types.temporal import AWARE_DATETIME, DATETIME, TIME
from serializers.types.type_information import Field, TypeInformation
from serializers.types.unify import ordered_union

Info = TypeInformation[Any]

_MEMBERS_MAX = 8
"""Values of more types than this have nothing in common but being objects."""

_LEVELS_MAX = 32
"""A list that is an element of itself nests for ever."""


def type_info_of_values(sample: Iterable[Any], *, allow_generic: bool = True) -> Info:
    """The type information of some values that stand for all: one that each of them is of.

    Values of several types make a union, within which ints and floats order as numbers; None makes it optional. Raises
    UnknownTypeError for an empty sample, and as `type_info_of` does.
    """
    values = list(sample)
    if not values:
        raise UnknownTypeError("there are no values to find a type from. Give type_info=, such as type_info_of(int)")
    return SampleReader(HintReader(allow_generic=allow_generic)).read(values)


@dataclass(frozen=True)
class SampleReader:
    """Reads values that stand at one place, which is that of `hints`."""

    hints: HintReader

    def read(self, values: Sequence[Any]) -> Info:
        """The type information of values, of which there is at least one."""
        groups: dict[type, list[Any]] = {}
        for value in values:
            groups.setdefault(type(value), []).append(value)
        if len(groups.keys() - {type(None)}) > _MEMBERS_MAX:
            return self.hints.generic(object, f"is of more than {_MEMBERS_MAX} types")
        return ordered_union([self._of_group(cls, group) for cls, group in groups.items()])

    def part(self, name: str, values: Iterable[Any]) -> Info:
        """The type information of a part of values, such as their elements."""
        inside = SampleReader(replace(self.hints, path=(*self.hints.path, name)))
        found = list(values)
        try:
            if not found:
                return inside.hints.generic(object, "was nowhere in the sample")
            if len(inside.hints.path) > _LEVELS_MAX:
                return inside.hints.generic(object, f"nests deeper than {_LEVELS_MAX} levels")
            return inside.read(found)
        except UnknownTypeError as error:
            error.at_field(name)
            raise

    def columns(self, names: Iterable[str], records: Iterable[Iterable[Any]]) -> tuple[Field, ...]:
        """The parts of records that have the same number of them."""
        return tuple(
            Field(name, self.part(name, column)) for name, column in zip(names, zip(*records, strict=True), strict=True)
        )

    def _of_group(self, cls: type, values: list[Any]) -> Info:
        """The type information of values of one class."""
        if own_factory(cls) is not None:
            return self.hints.read(cls)
        if cls in _READERS:
            return _READERS[cls](self, list({id(value): value for value in values}.values()))
        if cls.__module__ == "numpy" and cls.__name__ == "ndarray":
            return _of_arrays(self, values)
        if is_named_tuple(cls) and not any("__annotations__" in vars(base) for base in cls.__mro__):
            return TupleInfo(tuple(each.type_info for each in self.columns(values[0]._fields, values)), cls)
        return self._of_class(cls, values)

    def _of_class(self, cls: type, values: list[Any]) -> Info:
        info = self.hints.read(cls)
        if not isinstance(info, ClassInfo) or is_record_class(cls):
            return info
        declared = {each.name for each in info.fields}
        found = dict.fromkeys(chain.from_iterable(getattr(value, "__dict__", ()) for value in values))
        others = [name for name in found if name not in declared]
        return self.hints.generic(cls, f"has the attribute {others[0]} without an annotation") if others else info


# --- values that hold others; what is there twice is looked at once, or a list within itself would grow without end


def _of_lists(reader: SampleReader, values: list[Any]) -> Info:
    return ListInfo(reader.part("element", chain.from_iterable(values)))


def _of_sets(reader: SampleReader, values: list[Any]) -> Info:
    return SetInfo(reader.part("element", chain.from_iterable(values)), isinstance(values[0], frozenset))


def _of_dicts(reader: SampleReader, values: list[Any]) -> Info:
    keys = reader.part("key", chain.from_iterable(values))
    return DictInfo(keys, reader.part("value", chain.from_iterable(value.values() for value in values)))


def _of_tuples(reader: SampleReader, values: list[Any]) -> Info:
    sizes = {len(value) for value in values}
    if len(sizes) > 1:
        return VariadicTupleInfo(reader.part("element", chain.from_iterable(values)))
    fields = reader.columns(map(str, range(sizes.pop())), values)
    return TupleInfo(tuple(each.type_info for each in fields))


def _of_rows(reader: SampleReader, values: list[Any]) -> Info:
    shapes: dict[Any, list[Row]] = {}
    for value in values:
        shapes.setdefault((value._fields, len(value)), []).append(value)
    infos = []
    for (names, size), rows in shapes.items():
        infos.append(RowInfo(reader.columns(names or map(str, range(size)), rows), named=names is not None))
    return ordered_union(infos)


# --- values of which the class does not tell enough


def _of_datetimes(reader: SampleReader, values: list[Any]) -> Info:
    return ordered_union(AWARE_DATETIME if value.tzinfo else DATETIME for value in values)


def _of_times(reader: SampleReader, values: list[Any]) -> Info:
    has_zone = any(value.tzinfo for value in values)
    return reader.hints.generic(time, "has a time zone") if has_zone else TIME


def _of_python_arrays(reader: SampleReader, values: list[Any]) -> Info:
    typecodes = {value.typecode for value in values}
    return PythonArrayInfo(typecodes.pop() if len(typecodes) == 1 else None)


def _of_arrays(reader: SampleReader, values: list[Any]) -> Info:
    """numpy arrays: of objects, by their elements; of other dtypes, by that if they have the same."""
    objects = [value for value in values if value.dtype.kind == "O"]
    dtypes = {value.dtype for value in values if value.dtype.kind != "O"}
    try:
        infos = {array_info(dtype) for dtype in dtypes}
    except ValueMismatchError as error:
        return reader.hints.generic(type(values[0]), f"holds {dtypes}: {error}")
    found = [infos.pop() if len(infos) == 1 else NumpyArrayInfo()] if infos else []
    if objects:
        elements = chain.from_iterable(value.reshape(-1).tolist() for value in objects)
        found.append(ObjectArrayInfo(reader.part("element", elements)))
    return ordered_union(found)


_READERS: dict[type, Callable[[SampleReader, list[Any]], Info]] = {
    list: _of_lists,
    tuple: _of_tuples,
    set: _of_sets,
    frozenset: _of_sets,
    dict: _of_dicts,
    Row: _of_rows,
    datetime: _of_datetimes,
    time: _of_times,
    array: _of_python_arrays,
}

__all__ = ["SampleReader", "type_info_of_values"]
