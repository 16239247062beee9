"""What composite types have in common: a value is the values of its fields, one behind another.

Shape          takes a value apart, and makes one of its parts
  ├── FieldsSerializer     parts that are all there                              (serializers.types.field_serializers)
  ├── MaskedSerializer     parts that may be missing: 1 bit a field says which
  └── FieldsComparator     orders by the parts, from the first one on
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

from serializers.errors import NotOrderableError, SerializationError
from serializers.types.parts import PartedInfo, PartsComparator, too_deep
from serializers.types.type_comparator import TypeComparator
from serializers.types.type_information import Field, TypeInformation
from serializers.views import BytesInput


class Shape(ABC):
    """How values of a composite type are made of the values of their fields."""

    @abstractmethod
    def split(self, value: Any) -> Sequence[Any]:
        """The values of the fields, in order. Raises ValueMismatchError if `value` is not of the type."""

    @abstractmethod
    def join(self, parts: list[Any]) -> Any:
        """The value that `split` takes apart into `parts`."""


class FieldsInfo(PartedInfo[Any]):
    """A type with fields. It orders by them, if each of them has an order."""

    @property
    @abstractmethod
    def shape(self) -> Shape:
        """How its values are made of those of the fields."""

    @abstractmethod
    def getter(self, index: int) -> Callable[[Any], Any]:
        """What gives the value of one field of a value; None where there is none."""

    def key_info(self, index: int) -> TypeInformation[Any]:
        """The type of what `getter` gives."""
        return self.fields[index].type_info

    def recovers(self, index: int) -> bool:
        """Whether a value with the field is made of what `getter` gives; not if None may stand for absent too."""
        return True

    @property
    def is_exact(self) -> bool:
        """Whether the fields are all that there is to a value."""
        return True

    def parts(self) -> tuple[Field, ...]:
        return self.fields

    # --- order

    def key_fields(self) -> tuple[Field, ...]:
        """What values order by. Raises NotOrderableError if they order in a way of their own."""
        return self.fields

    @property
    def key_shape(self) -> Shape:
        """What takes a value apart into the `key_fields`."""
        return self.shape

    def create_comparator(self, *, descending: bool = False, nulls_last: bool = False) -> FieldsComparator:
        parts: list[TypeComparator[Any]] = []
        fields = self.key_fields()
        for field in fields:
            try:
                parts.append(field.type_info.create_comparator(descending=descending, nulls_last=nulls_last))
            except NotOrderableError as error:
                error.at_field(field.name)
                raise
        return FieldsComparator(self, fields, parts, descending=descending, nulls_last=nulls_last)


def check_names(owner: str, names: Sequence[str]) -> None:
    """Raise ValueError if two fields have one name."""
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{owner} has more than one field called {twice!r}")


class FieldsComparator(PartsComparator[Any]):
    """By the first field, then by the second, and so on."""

    def __init__(
        self,
        type_info: FieldsInfo,
        fields: Sequence[Field],
        parts: list[TypeComparator[Any]],
        *,
        descending: bool,
        nulls_last: bool,
    ) -> None:
        super().__init__(type_info, descending=descending, nulls_last=nulls_last)
        shape = type_info.key_shape
        self._split, self._join = shape.split, shape.join
        self._names = [field.name for field in fields]
        self._parts = [(part, place == len(parts)) for place, part in enumerate(parts, 1)]
        is_whole = type_info.is_exact and len(fields) == len(type_info.fields)
        self.is_invertible = is_whole and all(part.is_invertible for part in parts)
        lengths = [part.key_bytes for part in parts]
        self.key_bytes = None if None in lengths else sum(filter(None, lengths))

    def compare(self, left: Any, right: Any) -> int:
        lefts, rights = self._split(left), self._split(right)
        for (part, _), one, other in zip(self._parts, lefts, rights, strict=True):
            order = part.compare(one, other)
            if order:
                return order
        return 0

    def write_ascending(self, value: Any, out: bytearray, *, is_last: bool) -> None:
        parts = self._split(value)
        index = 0
        try:
            for part, is_end in self._parts:
                part.write_ascending(parts[index], out, is_last=is_last and is_end)
                index += 1
        except SerializationError as error:
            error.at_field(self._names[index])
            raise
        except RecursionError as error:
            raise too_deep(self._names[index]) from error

    def read_ascending(self, source: BytesInput, *, is_last: bool) -> Any:
        parts: list[Any] = []
        for part, is_end in self._parts:
            parts.append(part.read_ascending(source, is_last=is_last and is_end))
        return self._join(parts)

    def skip_ascending(self, source: BytesInput, *, is_last: bool) -> None:
        for part, is_end in self._parts:
            part.skip_ascending(source, is_last=is_last and is_end)


__all__ = ["FieldsComparator", "FieldsInfo", "Shape", "check_names"]
