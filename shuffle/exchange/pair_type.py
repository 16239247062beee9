"""What pairs of a job are, found once by the driver and the same for every task: types of key and value, and the order.

type_info=tuple[str, int]      declared; or found from the first pairs that map makes
sort_by=                       fields of the value, or a function of it: the order of the values of a key
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from serializers.errors import NotOrderableError, SerializationError, UnknownTypeError
from serializers.row_codec import RowCodec
from serializers.types import (
    By,
    OrderingComparator,
    OrderKey,
    TypeInformation,
    parse_by,
    type_info_of,
    type_info_of_function,
    type_info_of_values,
)
from serializers.types.composite import TupleInfo

Info = TypeInformation[Any]
SortBy = By | Callable[[Any], Any]


@dataclass(frozen=True)
class SortKey:
    """What the values of a key are ordered by: fields of theirs, or what `function` makes of them, of `info`."""

    info: Info
    keys: tuple[OrderKey, ...] = ()
    function: Callable[[Any], Any] | None = None

    def codec(self) -> RowCodec:
        """Makes rows that have this key; of what `made_of` gives."""
        comparator = OrderingComparator(self.info, self.keys) if self.keys else self.info.create_comparator()
        return RowCodec(self.info, comparator)

    def made_of(self, values: Sequence[Any]) -> Sequence[Any]:
        """What to encode for these values. Raises what the function raises."""
        return values if self.function is None else list(map(self.function, values))


@dataclass(frozen=True)
class PairType:
    """The type of all pairs. Picklable."""

    key: Info
    value: Info
    sort_key: SortKey | None = None

    @cached_property
    def pair(self) -> Info:
        """Of the pair itself."""
        return TupleInfo((self.key, self.value))

    def codec(self, *, sorts_by_key: bool) -> RowCodec:
        """Makes rows of pairs, whose order key is that of the key; without order none."""
        comparator = OrderingComparator(self.pair, (OrderKey((0,)),)) if sorts_by_key else None
        return RowCodec(self.pair, comparator)


def declared_pair_type(type_info: Any) -> tuple[Info, Info]:
    """Key and value of a declaration such as tuple[str, int]. Raises UnknownTypeError for what is no pair."""
    info = type_info_of(type_info)
    if not isinstance(info, TupleInfo) or len(info.elements) != 2:
        raise UnknownTypeError(
            f"type_info= is {info.name}, and map makes pairs. Give it as tuple[key type, value type]"
        )
    return info.elements[0], info.elements[1]


def found_pair_type(pairs: Sequence[Any], *, allow_generic: bool = True) -> tuple[Info, Info]:
    """Key and value of the first pairs, at least one. Raises SerializationError kinds."""
    for number, pair in enumerate(pairs):
        check_pair(pair, number)
    keys, values = zip(*pairs, strict=True)
    return (
        type_info_of_values(keys, allow_generic=allow_generic),
        type_info_of_values(values, allow_generic=allow_generic),
    )


def make_pair_type(
    key: Info, value: Info, sort_by: SortBy | None, sample: Sequence[Any], *, needs_order: bool
) -> PairType:
    """The type of all pairs; `sample` are the first values, to find what a sort function makes of them.

    Raises NotOrderableError for keys without an order, SerializationError kinds for a sort key that cannot be.
    """
    if needs_order and not key.is_key_type:
        raise NotOrderableError(f"keys of {key.name} have no order. Make them of text, numbers, or tuples of these")
    return PairType(key, value, None if sort_by is None else _sort_key(value, sort_by, sample))


def check_pair(pair: Any, number: int) -> None:
    """Raises SerializationError, for record `number`, unless it is a tuple of two."""
    if not isinstance(pair, tuple) or len(pair) != 2:
        raise SerializationError(f"{pair!r:.100} is not a tuple of a key and a value").at_record(number)


def needs_sample(type_info: Any, sort_by: SortBy | None) -> bool:
    """Whether pairs must be looked at to know the type of all."""
    return type_info is None or (callable(sort_by) and _declared(sort_by) is None)


def _sort_key(value: Info, sort_by: SortBy, sample: Sequence[Any]) -> SortKey:
    if callable(sort_by):
        info = _declared(sort_by) or type_info_of_values(list(map(sort_by, sample)))
        if not info.is_key_type:
            raise NotOrderableError(f"sort_by= makes values of {info.name}, which have no order")
        return SortKey(info, function=sort_by)
    if not value.fields:
        raise SerializationError(f"values of {value.name} have no fields to sort by. Give sort_by= a function")
    key = SortKey(value, parse_by(sort_by))
    key.codec()  # or what is wrong with it
    return key


def _declared(function: Callable[[Any], Any]) -> Info | None:
    try:
        return type_info_of_function(function)
    except (TypeError, NameError):  # annotations that cannot be read say nothing
        return None
