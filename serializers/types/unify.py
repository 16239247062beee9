"""One type for values of several: what `int | str` is, whichever of them came first."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from serializers.types.containers import OptionalInfo, UnionInfo, union_of
from serializers.types.generic import GenericInfo
from serializers.types.optional import without_optional
from serializers.types.type_information import TypeInformation

Info = TypeInformation[Any]

ANYTHING = GenericInfo(object)

_FIRST = ("bool", "int", "float", "Decimal", "str", "bytes")


def ordered_union(infos: Iterable[Info]) -> Info:
    """The type of values of any of `infos`.

    Its members stand in an order that does not depend on that of `infos`: numbers, text, then by name. To Python
    `int | str` and `str | int` are one type, and it keeps the form it saw first; the bytes must not depend on that.
    """
    union = union_of(infos)
    inner = without_optional(union)
    members = inner.members if isinstance(inner, UnionInfo) else (inner,)
    if ANYTHING in members:
        return ANYTHING
    if len(members) > 1:
        inner = UnionInfo(tuple(sorted(members, key=_place)))
    return OptionalInfo(inner) if isinstance(union, OptionalInfo) else inner


def _place(info: Info) -> tuple[int, str, str]:
    cls = info.python_type
    place = _FIRST.index(cls.__name__) if cls.__name__ in _FIRST else len(_FIRST)
    return place, info.name, f"{cls.__module__}.{cls.__qualname__}"


__all__ = ["ANYTHING", "ordered_union"]
