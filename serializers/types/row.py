"""Row: a record of any number of fields, each of which may be None; and its type.

    null mask: 1 bit a field, lowest bit first, whole bytes, 1 is null | the fields that are not null

A field that is declared optional has no second mark: the mask says it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any, NoReturn

from serializers.errors import ValueMismatchError
from serializers.types.field_serializers import MaskedSerializer
from serializers.types.fields import FieldsInfo, Shape, check_names
from serializers.types.mismatch import mismatch, shown
from serializers.types.optional import OptionalInfo, without_optional
from serializers.types.type_information import Field, TypeInformation


class Row:
    """A record: `Row(1, "a")`, or with names `Row(id=1, name="a")`. It cannot be changed.

    Fields are had by place, `row[0]`, and by name, `row["id"]` or `row.id`. Rows are equal if their values and names
    are. They order as tuples do, by their values, and None goes before everything else.
    """

    __slots__ = ("_fields", "_values")

    _fields: tuple[str, ...] | None
    _values: tuple[Any, ...]

    def __init__(self, /, *values: Any, **named: Any) -> None:
        if values and named:
            raise TypeError("a Row has either values or names with values, not both")
        object.__setattr__(self, "_values", values or tuple(named.values()))
        object.__setattr__(self, "_fields", tuple(named) or None)

    @classmethod
    def _make(cls, values: Sequence[Any], names: tuple[str, ...] | None) -> Row:
        row = cls.__new__(cls)
        object.__setattr__(row, "_values", tuple(values))
        object.__setattr__(row, "_fields", names)
        return row

    def _asdict(self) -> dict[str, Any]:
        """The values by name; by place if they have none."""
        return dict(zip(self._fields or map(str, range(len(self._values))), self._values, strict=True))

    def __getitem__(self, place: int | str | slice) -> Any:
        if isinstance(place, str):
            return self._values[self._place_of(place)]
        return self._values[place]

    def _place_of(self, name: str) -> int:
        try:
            return (self._fields or ()).index(name)
        except ValueError:
            raise KeyError(f"{name}: the fields are {', '.join(self._fields or ()) or 'without names'}") from None

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name not in (self._fields or ()):
            raise AttributeError(f"this Row has no field {name!r}", name=name, obj=self)
        return self[name]

    def __len__(self) -> int:
        return len(self._values)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._values)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"a Row cannot be changed: {name}", name=name, obj=self)

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"a Row cannot be changed: {name}", name=name, obj=self)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Row):
            return NotImplemented
        return self._values == other._values and self._fields == other._fields

    def __hash__(self) -> int:
        return hash((self._fields, self._values))

    def __lt__(self, other: Row) -> bool:
        return _goes_before(self, other, if_equal=len(self) < len(other)) if isinstance(other, Row) else NotImplemented

    def __gt__(self, other: Row) -> bool:
        return _goes_before(other, self, if_equal=len(other) < len(self)) if isinstance(other, Row) else NotImplemented

    def __le__(self, other: Row) -> bool:
        return _goes_before(self, other, if_equal=len(self) <= len(other)) if isinstance(other, Row) else NotImplemented

    def __ge__(self, other: Row) -> bool:
        return _goes_before(other, self, if_equal=len(other) <= len(self)) if isinstance(other, Row) else NotImplemented

    def __repr__(self) -> str:
        if self._fields is None:
            return f"Row({', '.join(map(repr, self._values))})"
        return f"Row({', '.join(f'{name}={value!r}' for name, value in self._asdict().items())})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (self._values, self._fields)


def _restored(values: tuple[Any, ...], names: tuple[str, ...] | None) -> Row:
    return Row._make(values, names)


def _goes_before(left: Row, right: Row, *, if_equal: bool) -> bool:
    """The answer of the first field in which they differ; `if_equal` if they do in none."""
    for one, other in zip(left, right, strict=False):
        if one is other or one == other:
            continue
        if one is None or other is None:
            return one is None
        return bool(one < other)
    return if_equal


@dataclass(frozen=True, slots=True)
class RowInfo(FieldsInfo):
    """A Row with these fields; `named=False` for rows whose fields have no names."""

    fields: tuple[Field, ...] = field()  # slots, and a default of its own: else the property of the base is in the way
    named: bool = True

    def __post_init__(self) -> None:
        check_names("the row", [each.name for each in self.fields])

    @property
    def name(self) -> str:
        parts = []
        for each in self.fields:
            parts.append(f"{each.name}: {each.type_info.name}" if self.named else each.type_info.name)
        return f"row[{', '.join(parts)}]"

    @property
    def python_type(self) -> type:
        return Row

    @property
    def shape(self) -> RowShape:
        return RowShape(self)

    def getter(self, index: int) -> Callable[[Any], Any]:
        return itemgetter(index)

    def key_info(self, index: int) -> TypeInformation[Any]:
        return OptionalInfo(without_optional(self.fields[index].type_info))

    def key_fields(self) -> tuple[Field, ...]:
        return tuple(Field(each.name, self.key_info(index)) for index, each in enumerate(self.fields))

    def create_serializer(self) -> MaskedSerializer:
        parts = [without_optional(each.type_info).create_serializer() for each in self.fields]
        may_miss = [True] * len(parts)
        return MaskedSerializer(self, self.shape, self.fields, parts, missing=None, may_miss=may_miss)


class RowShape(Shape):
    """A Row has its values in a tuple."""

    def __init__(self, type_info: RowInfo) -> None:
        self._type_info = type_info
        self._size = len(type_info.fields)
        self._names = tuple(each.name for each in type_info.fields) if type_info.named and self._size else None

    def split(self, value: Any) -> Any:
        if not isinstance(value, Row):
            raise mismatch(value, self._type_info.name, "Convert it with Row(*value), or Row(**value) if it has names")
        if len(value) != self._size:
            raise ValueMismatchError(
                f"{shown(value)} has {len(value)} fields, where {self._type_info.name} has {self._size}"
            )
        if value._fields != self._names:
            raise ValueMismatchError(
                f"{shown(value)} has the names {_listed(value._fields)}, where {self._type_info.name} has "
                f"{_listed(self._names)}. Declare it with the names it has, in their order"
            )
        return value._values

    def join(self, parts: list[Any]) -> Row:
        return Row._make(parts, self._names)


def _listed(names: tuple[str, ...] | None) -> str:
    return ", ".join(names) if names else "none"


__all__ = ["Row", "RowInfo", "RowShape"]
