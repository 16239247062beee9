"""Tuples of a fixed number of fields, and named tuples: the fields, one behind another.

A value of a subclass is taken as the tuple it is, and comes back as one of the class that was declared.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from serializers.errors import NotOrderableError, ValueMismatchError
from serializers.types.field_serializers import FieldsSerializer
from serializers.types.fields import FieldsInfo, Shape, check_names
from serializers.types.mismatch import mismatch, shown
from serializers.types.type_information import Field, TypeInformation
from serializers.types.type_serializer import TypeSerializer


@dataclass(frozen=True)
class TupleInfo(FieldsInfo):
    """A tuple, or the NamedTuple `tuple_type`. Fields of a plain one are called "0", "1", unless `names` says else."""

    elements: tuple[TypeInformation[Any], ...]
    tuple_type: type | None = None
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        own_names = getattr(self.tuple_type, "_fields", None)
        names = own_names or self.names or tuple(map(str, range(len(self.elements))))
        if len(names) != len(self.elements) or self.names not in ((), names):
            raise ValueError(f"{len(self.elements)} types do not fit the fields {', '.join(names) or '(none)'}")
        check_names("the tuple", names)
        object.__setattr__(self, "names", names)

    @property
    def name(self) -> str:
        if self.tuple_type:
            return self.tuple_type.__name__
        names = []
        for element in self.elements:  # no comprehension: a tuple in a tuple in a tuple is to take one frame a level
            names.append(element.name)
        return f"tuple[{', '.join(names) or '()'}]"

    @property
    def python_type(self) -> type:
        return self.tuple_type or tuple

    @property
    def fields(self) -> tuple[Field, ...]:
        return tuple(map(Field, self.names, self.elements))

    @property
    def shape(self) -> TupleShape:
        return TupleShape(self)

    def getter(self, index: int) -> Callable[[Any], Any]:
        return itemgetter(index)

    def key_fields(self) -> tuple[Field, ...]:
        if getattr(self.python_type, "__lt__", None) is not tuple.__lt__:
            raise NotOrderableError(
                f"{self.name} compares in a way of its own, which bytes do not follow. "
                "Sort by a field, or give key= a function"
            )
        return self.fields

    def create_serializer(self) -> FieldsSerializer:
        parts: list[TypeSerializer[Any]] = []
        for element in self.elements:
            parts.append(element.create_serializer())
        return FieldsSerializer(self, self.shape, self.fields, parts)


class TupleShape(Shape):
    """A tuple is its fields already."""

    def __init__(self, type_info: TupleInfo) -> None:
        self._class: Any = type_info.python_type
        self._size = len(type_info.elements)
        self._type_info = type_info
        self._make = tuple if type_info.tuple_type is None else type_info.tuple_type._make  # type: ignore[attr-defined]

    def split(self, value: Any) -> Any:
        if not isinstance(value, self._class):
            cure = "tuple(value)" if self._class is tuple else f"{self._type_info.name}(*value)"
            raise mismatch(value, self._type_info.name, f"Convert it with {cure}, or declare the type it has")
        if len(value) != self._size:
            raise ValueMismatchError(
                f"{shown(value)} has {len(value)} fields, where {self._type_info.name} has {self._size}"
            )
        return value

    def join(self, parts: list[Any]) -> Any:
        return self._make(parts)


__all__ = ["TupleInfo", "TupleShape"]
