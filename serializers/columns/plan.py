"""What stands in a row of a type in an order: decided once, for the batch path and for its slow twin.

natural order     the key gives back the whole value: the row is its key
                  it does not: as an order by all fields
order by fields   fields that come back from the key are left out of the value
order by key=     the key of what the function gave, and the whole value
no order          a key of no bytes, and the whole value
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from serializers.types.classes import ClassInfo
from serializers.types.fields import FieldsComparator, FieldsInfo
from serializers.types.ordering import OrderingComparator, OrderKey
from serializers.types.row import RowInfo
from serializers.types.tuples import TupleInfo
from serializers.types.type_comparator import TypeComparator
from serializers.types.type_information import TypeInformation
from serializers.types.typed_dicts import TypedDictInfo

Info = TypeInformation[Any]


@dataclass(frozen=True)
class RowPlan:
    """How rows of `type_info` are made.

    comparator  writes the keys; None for keys of no bytes
    key_info    the type of what it orders: the value, or what a function makes of it
    key_bytes   the length of every key; None if rows say it
    left_out    places of the fields that stand in the key alone
    is_only_key whether the whole value stands there
    """

    type_info: Info
    comparator: TypeComparator[Any] | None
    key_info: Info
    has_key_function: bool
    key_bytes: int | None
    left_out: tuple[int, ...] = ()
    is_only_key: bool = False

    @property
    def rest(self) -> tuple[int, ...]:
        """Places of the fields that stand in the value."""
        return tuple(place for place in range(len(self.type_info.fields)) if place not in self.left_out)


def plan_rows(type_info: Info, ordering: TypeComparator[Any] | None, key_info: Info | None) -> RowPlan:
    """The plan of rows of `type_info`, in an order of the values, or of keys of `key_info` that a function made."""
    if ordering is None:
        return RowPlan(type_info, None, type_info, False, 0)
    if key_info is not None:
        return RowPlan(type_info, ordering, key_info, True, ordering.key_bytes)
    if ordering.is_invertible:
        return RowPlan(type_info, ordering, type_info, False, ordering.key_bytes, is_only_key=True)
    by_fields = _by_fields(type_info, ordering)
    left_out = _left_out(type_info, by_fields) if isinstance(by_fields, OrderingComparator) else ()
    return RowPlan(type_info, by_fields, type_info, False, ordering.key_bytes, left_out)


def _by_fields(type_info: Info, ordering: TypeComparator[Any]) -> TypeComparator[Any]:
    """The natural order of a record as an order by its fields, which has the same keys."""
    if not isinstance(ordering, FieldsComparator) or not isinstance(type_info, TupleInfo | RowInfo | ClassInfo):
        return ordering
    names = {field.name for field in type_info.key_fields()}
    places = [place for place, field in enumerate(type_info.fields) if field.name in names]
    keys = tuple(OrderKey((place,), ordering.descending, ordering.nulls_last) for place in places)
    return OrderingComparator(type_info, keys) if keys else ordering


def _left_out(type_info: Info, ordering: OrderingComparator) -> tuple[int, ...]:
    if not isinstance(type_info, TupleInfo | RowInfo | ClassInfo | TypedDictInfo):
        return ()
    assert isinstance(type_info, FieldsInfo)
    return tuple(place for place, field in enumerate(type_info.fields) if field.name in ordering.recoverable)
