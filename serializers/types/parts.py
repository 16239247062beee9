"""What all types with parts have in common: where an error is, how their bytes are described, how orders are built.

A value nests as deep as its type does, and a type may nest some hundreds of levels: so serializers and comparators call
those of the parts directly, one Python frame a level. What is deeper than Python's stack, as a value that is part of
itself would be in a type that refers to itself, is refused once, with the field.
"""

from __future__ import annotations

from abc import abstractmethod
from functools import cached_property
from typing import Any, Self, TypeVar, cast

from serializers.errors import IncompatibleTypeError, ValueMismatchError
from serializers.types.type_comparator import TypeComparator
from serializers.types.type_information import Field, Snapshot, TypeInformation
from serializers.types.type_serializer import TypeSerializer

T = TypeVar("T")

_PLACE_NAMES_MAX = 8


class TooDeepError(ValueMismatchError):
    """A value nests deeper than Python's stack. Only the outermost names of its place are kept: they are many."""

    def at_field(self, name: str) -> Self:
        self.fields = (name, *self.fields)[:_PLACE_NAMES_MAX]
        return self


def too_deep(name: str) -> TooDeepError:
    """The error for a RecursionError in a part called `name`."""
    return TooDeepError(
        "the value nests deeper than Python's stack. If it is part of itself, declare this field generic; "
        "if it is not, raise sys.setrecursionlimit"
    ).at_field(name)


class PartedInfo(TypeInformation[T]):
    """A type whose bytes are made of those of other types: its snapshot has theirs in it."""

    @abstractmethod
    def parts(self) -> tuple[Field, ...]:
        """The types it is made of, each under the name that tells which part it is."""

    @property
    def may_pickle(self) -> bool:
        return any(part.type_info.may_pickle for part in self.parts())

    def snapshot(self) -> Snapshot:
        parts = [{"name": part.name, "type": part.type_info.snapshot()} for part in self.parts()]
        return {"type": self.name, "version": self.version, "parts": parts}

    def check_can_read(self, written: Snapshot) -> None:
        if written == self.snapshot():
            return
        if self._is_same_kind(written):  # then what differs is a part, which says it better
            self.check_parts(written["parts"])
        if written.get("type") != self.name or written.get("version") != self.version:
            raise IncompatibleTypeError(
                f"written as {written.get('type')}, version {written.get('version')}, "
                f"which {self.name}, version {self.version}, cannot read"
            )

    def _is_same_kind(self, written: Snapshot) -> bool:
        """Whether `written` is any list for a list, the same class for a class."""
        return "parts" in written and str(written.get("type")).partition("[")[0] == self.name.partition("[")[0]

    def check_parts(self, written: list[dict[str, Any]]) -> None:
        """Raise IncompatibleTypeError unless the parts that were `written` are those of this type."""
        check_parts(self.name, self.parts(), written)


def check_parts(owner: str, parts: tuple[Field, ...], written: list[dict[str, Any]]) -> None:
    """Raise IncompatibleTypeError, with the reason, unless `parts` can read those of `owner` that were `written`."""
    written_names = [part["name"] for part in written]
    names = [part.name for part in parts]
    if written_names != names:
        raise IncompatibleTypeError(
            f"{owner} was written with the parts {_listed(written_names)}, and now has {_listed(names)}. "
            "Read it with the type it was written with"
        )
    for part, described in zip(parts, written, strict=True):
        try:
            part.type_info.check_can_read(described["type"])
        except IncompatibleTypeError as error:
            error.at_field(part.name)
            raise


def _listed(names: list[str]) -> str:
    return ", ".join(names) or "none"


class PartsSerializer(TypeSerializer[T]):
    """Made from a type, and pickled as that type."""

    def __init__(self, type_info: TypeInformation[T]) -> None:
        self.type_info = type_info

    def __reduce__(self) -> tuple[Any, ...]:
        return _serializer_of, (self.type_info,)


class PartsComparator(TypeComparator[T]):
    """An order made of those of the parts, which have the direction and the null placement of the whole.

    The marks of nulls are never inverted. So that a key can still be inverted as a whole, once, where it is complete,
    the ascending key within a descending order has them inverted beforehand.

    The hash is that of the ascending key with nulls first, whatever the order: two inputs that are to meet may well be
    sorted differently.
    """

    def __init__(self, type_info: TypeInformation[T], *, descending: bool, nulls_last: bool) -> None:
        self.type_info = type_info
        self.descending = descending
        self.nulls_last = nulls_last

    @cached_property
    def serializer(self) -> TypeSerializer[T]:  # type: ignore[override]
        """The serializer of the type; made when it is asked for, or every level of a deep type would make all below."""
        return self.type_info.create_serializer()

    def __reduce__(self) -> tuple[Any, ...]:
        return _comparator_of, (self.type_info, self.descending, self.nulls_last)

    def invert(self) -> Self:
        return cast("Self", _comparator_of(self.type_info, not self.descending, self.nulls_last))

    @cached_property
    def _plain(self) -> TypeComparator[T]:
        return self.type_info.create_comparator()

    def hash(self, value: T) -> int:
        if self.descending or self.nulls_last:
            return self._plain.hash(value)
        return super().hash(value)


def _serializer_of(type_info: TypeInformation[T]) -> TypeSerializer[T]:
    return type_info.create_serializer()


def _comparator_of(type_info: TypeInformation[T], descending: bool, nulls_last: bool) -> TypeComparator[T]:
    return type_info.create_comparator(descending=descending, nulls_last=nulls_last)


__all__ = [
    "PartedInfo",
    "PartsComparator",
    "PartsSerializer",
    "TooDeepError",
    "check_parts",
    "too_deep",
]
