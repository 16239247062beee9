"""TypedDicts: dicts with known keys, some of which may be absent.

    mask: 1 bit a key, lowest bit first, whole bytes, 1 is absent | the values that are there, in order of declaration

Python orders no dicts. These order by their values in order of declaration, as a Row does, so that they can be a key:
what is absent is placed as a null, and next to it a None that is there. A dict comes back in order of declaration.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, cast

from serializers.errors import IncompatibleTypeError, UnknownTypeError, ValueMismatchError
from serializers.types.class_fields import hints_of, is_required
from serializers.types.field_serializers import MaskedSerializer
from serializers.types.fields import FieldsInfo, Shape, check_names
from serializers.types.mismatch import mismatch
from serializers.types.optional import OptionalComparator, OptionalInfo, without_optional
from serializers.types.type_information import Field, Snapshot, TypeInformation


class _Absent:
    """What stands for the value of a key that is absent."""


_ABSENT = _Absent()


@dataclass(frozen=True, slots=True)
class TypedDictInfo(FieldsInfo):
    """The TypedDict `cls`. `required` are the keys that must be there; found out if not given."""

    cls: type
    fields: tuple[Field, ...] = field()  # slots, and a default of its own: else the property of the base is in the way
    required: frozenset[str] | None = None

    def __post_init__(self) -> None:
        names = [each.name for each in self.fields]
        check_names(self.cls.__name__, names)
        if self.required is None:
            object.__setattr__(self, "required", _required_keys(self.cls, names))

    @property
    def name(self) -> str:
        return self.cls.__name__

    @property
    def python_type(self) -> type:
        return dict

    def may_miss(self) -> list[bool]:
        """Of each key, whether it may be absent."""
        required = cast("frozenset[str]", self.required)
        return [each.name not in required for each in self.fields]

    @property
    def shape(self) -> TypedDictShape:
        return TypedDictShape(self)

    def create_serializer(self) -> MaskedSerializer:
        parts = [each.type_info.create_serializer() for each in self.fields]
        return MaskedSerializer(self, self.shape, self.fields, parts, missing=_ABSENT, may_miss=self.may_miss())

    # --- order

    def getter(self, index: int) -> Callable[[Any], Any]:
        return partial(_value_or_none, key=self.fields[index].name)

    def recovers(self, index: int) -> bool:
        return not self.may_miss()[index]

    def key_info(self, index: int) -> TypeInformation[Any]:
        info = self.fields[index].type_info
        return OptionalInfo(without_optional(info)) if self.may_miss()[index] else info

    def key_fields(self) -> tuple[Field, ...]:
        return tuple(
            Field(each.name, _AbsentOr(each.type_info)) if may_miss else each
            for each, may_miss in zip(self.fields, self.may_miss(), strict=True)
        )

    # --- reading what an older version wrote

    def snapshot(self) -> Snapshot:
        may_miss = [each.name for each, may_miss in zip(self.fields, self.may_miss(), strict=True) if may_miss]
        return {**FieldsInfo.snapshot(self), "not_required": may_miss}

    def check_can_read(self, written: Snapshot) -> None:
        FieldsInfo.check_can_read(self, written)
        absent = [name for name in written.get("not_required", ()) if name in cast("frozenset[str]", self.required)]
        if absent:
            raise IncompatibleTypeError(
                f"{self.name} was written when {', '.join(absent)} could be absent. Declare it NotRequired"
            )


def _required_keys(cls: type, names: list[str]) -> frozenset[str]:
    try:
        hints = hints_of(cls)
    except UnknownTypeError:  # whoever has the fields has them from elsewhere
        hints = {}
    return frozenset(name for name in names if is_required(name, hints.get(name), cls))


def _value_or_none(value: dict[str, Any], *, key: str) -> Any:
    return value.get(key)


@dataclass(frozen=True)
class _AbsentOr(OptionalInfo):
    """The order of a key that may be absent."""

    def create_comparator(self, *, descending: bool = False, nulls_last: bool = False) -> OptionalComparator:
        inner = self.inner.create_comparator(descending=descending, nulls_last=nulls_last)
        return OptionalComparator(self, inner, descending=descending, nulls_last=nulls_last, null=_ABSENT)


class TypedDictShape(Shape):
    """The values of the keys, in order of declaration."""

    def __init__(self, type_info: TypedDictInfo) -> None:
        self._type_info = type_info
        self._keys = [each.name for each in type_info.fields]
        self._known = frozenset(self._keys)
        self._required = cast("frozenset[str]", type_info.required)

    def split(self, value: Any) -> list[Any]:
        if not isinstance(value, dict):
            raise mismatch(value, self._type_info.name, "Convert it with dict(value), or declare the type it has")
        parts = [value.get(key, _ABSENT) for key in self._keys]
        if not self._required <= value.keys():
            missing = next(key for key in self._keys if key in self._required and key not in value)
            raise ValueMismatchError(f"the key {missing!r} of {self._type_info.name} is absent. Declare it NotRequired")
        if not value.keys() <= self._known:
            unknown = next(key for key in value if key not in self._known)
            raise ValueMismatchError(
                f"{self._type_info.name} has no key {unknown!r}, only {', '.join(self._keys)}. "
                "Declare it, or leave it out"
            )
        return parts

    def join(self, parts: list[Any]) -> dict[str, Any]:
        return {key: part for key, part in zip(self._keys, parts, strict=True) if part is not _ABSENT}


__all__ = ["TypedDictInfo", "TypedDictShape"]
