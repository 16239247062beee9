"""Values grouped by a key, and ordered within a group: what their rows are, and how the key of a group is told.

by= or key=            the group key                fields, or what a function makes of a value
sort_by= or sort_key=  the sort key                 the same for the order within a group
neither                the value itself, no order   values of a group stay in the order they came in
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from serializers.errors import SerializationError
from serializers.row_codec import EncodedRows
from serializers.types import By, OrderingComparator
from serializers.types.fields import FieldsInfo
from serializers.types.optional import OptionalInfo
from serializers.types.type_information import TypeInformation
from shuffle.exchange.key_shape import KeyShape
from shuffle.exchange.keyed_rows import join_keys
from shuffle.groups import Decode, Groups
from shuffle.record_form import Key, RecordForm, choose_form


class KeyForm:
    """Records of one type, grouped by one key, as rows and back. `key_of` gives the group key of a record."""

    def __init__(self, group: RecordForm, sort: RecordForm | None, key_of: Key) -> None:
        self.shape = KeyShape(0, group.key_bytes, 0 if sort is None else sort.key_bytes)
        self.record_info = group.plan.type_info
        self.key_of = key_of
        self.decode: Decode = group.decode
        self._group = group
        self._sort = sort if self.shape.has_sort_key else None  # keys of no bytes order nothing

    def encode(self, values: Sequence[Any], first_record: int) -> EncodedRows:
        """Rows of `values`. Errors name the record: the first is `first_record`."""
        rows = self._group.encode(values, first_record)
        if self._sort is None:
            return rows
        return join_keys(rows, self.shape, sort_rows=self._sort.encode(values, first_record))

    def groups(
        self, views: Iterator[memoryview], values_of: Callable[[list[Any]], list[Any]] | None = None
    ) -> Groups[Any, Any]:
        """The groups of sorted rows."""
        return Groups(views, self.shape, self.decode, key_of=self.key_of, values_of=values_of)


def choose_key_form(
    sample: Sequence[Any],
    *,
    by: By | None = None,
    key: Key | None = None,
    sort_by: By | None = None,
    sort_key: Key | None = None,
    type_info: Any = None,
    nulls_last: bool = False,
    allow_generic: bool = True,
) -> KeyForm:
    """Raises SerializationError kinds: an unknown field, a type without an order, one that is not to be guessed."""
    group = choose_form(sample, type_info=type_info, by=by, key=key, nulls_last=nulls_last, allow_generic=allow_generic)
    info, sort = group.plan.type_info, None
    if sort_by is not None or sort_key is not None:
        sort = _choose_sort_form(sample, info, sort_by, sort_key, nulls_last=nulls_last, allow_generic=allow_generic)
    return KeyForm(group, sort, key or group_key_of(group, by))


def _choose_sort_form(
    sample: Sequence[Any], info: TypeInformation[Any], by: By | None, key: Key | None, **choices: bool
) -> RecordForm:
    if by is not None and key is not None:
        raise SerializationError("sort_by= and sort_key= both say how to order a group. Give one of them")
    return choose_form(sample, type_info=info, by=by, key=key, **choices)


# --- the key of a group


def group_key_of(form: RecordForm, by: By | None) -> Key:
    """What gives the key that rows are grouped by: the value of one field, or a tuple of those of several."""
    if by is None:
        return _itself
    comparator = form.plan.comparator
    assert isinstance(comparator, OrderingComparator)
    if form.plan.has_key_function:  # of records without fields, whose keys are tuples
        return _field_of_key(form, len(comparator.keys))
    getters = [_getter(comparator, place) for place in range(len(comparator.keys))]
    if len(getters) == 1:
        return getters[0]
    return lambda record: tuple([getter(record) for getter in getters])


def _field_of_key(form: RecordForm, count: int) -> Key:
    function = form.key
    assert function is not None
    return function if count > 1 else lambda record: function(record)[0]


def _getter(comparator: OrderingComparator, place: int) -> Key:
    """As `FieldPath.get`, without a look at the record's type where a plain getter does."""
    info, path = comparator.record_info, comparator.paths[place]
    if isinstance(info, FieldsInfo) and not isinstance(info, OptionalInfo) and path.depth == 1:
        assert path.top_index is not None
        return info.getter(path.top_index)
    return path.get


def _itself(record: Any) -> Any:
    return record


__all__ = ["KeyForm", "choose_key_form", "group_key_of"]
