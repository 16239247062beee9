"""The order of records by some of their fields, each in its own direction, with its own place for nulls.

    by="country"                              ascending, nulls first
    by=["country", "-amount"]                 by country; within one, the largest amount first
    by="-address.city:nulls-last"             a field of a field; nulls behind everything else
    by=0                                      the first field

The order key of a record is the keys of these fields, one behind another, all but the last closed. Nulls go first,
in either direction, unless they are asked to go last. Equal hashes need equal fields, and know nothing of directions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self, cast

from serializers.errors import NotOrderableError, SerializationError
from serializers.types.field_paths import FieldPath, Step
from serializers.types.fields import FieldsInfo
from serializers.types.parts import too_deep
from serializers.types.type_comparator import TypeComparator
from serializers.types.type_information import TypeInformation
from serializers.views import BytesInput, InputView

_NULL_PLACES = {":nulls-first": False, ":nulls-last": True}


@dataclass(frozen=True)
class OrderKey:
    """One field to order by: the names or places that lead to it; none for the record itself."""

    path: tuple[Step, ...]
    descending: bool = False
    nulls_last: bool = False


By = str | int | OrderKey | Sequence[str | int | OrderKey]
"""How users say what to order by: one field, or several, the most important first."""


def parse_by(by: By) -> tuple[OrderKey, ...]:
    """What `by` says. Raises SerializationError if it says nothing that can be meant.

    A field whose name has a dot, a leading minus or a colon in it needs an OrderKey: `OrderKey(("a.b",))`.
    """
    listed = [by] if isinstance(by, str | int | OrderKey) else list(by)
    if not listed:
        raise SerializationError("by= names no field. Name one, or leave it out")
    return tuple(_parse_one(each) for each in listed)


def _parse_one(by: object) -> OrderKey:
    if isinstance(by, OrderKey):
        return by
    if isinstance(by, str):
        return _parse_text(by)
    if isinstance(by, int) and not isinstance(by, bool) and by >= 0:
        return OrderKey((by,))
    raise SerializationError(
        f"by={by!r} is no field. Give a name such as 'country', a place such as 0, or '-0' for a descending order"
    )


def _parse_text(text: str) -> OrderKey:
    rest, nulls_last = text, False
    for suffix, is_last in _NULL_PLACES.items():
        if text.endswith(suffix):
            rest, nulls_last = text.removesuffix(suffix), is_last
    descending = rest.startswith("-")
    path = rest.removeprefix("-").split(".")
    if not all(path):
        raise SerializationError(f"by={text!r} has no name where one is expected, as in '-address.city:nulls-last'")
    return OrderKey(tuple(path), descending, nulls_last)


class OrderingComparator(TypeComparator[Any]):
    """The order of records of type `record_info` by `keys`, of which there is at least one.

    Raises SerializationError for a field that there is not, NotOrderableError for one that has no order. `recoverable`
    are the names of the record's own fields that the order key gives back whole, by `read_fields`.
    """

    def __init__(self, record_info: TypeInformation[Any], keys: tuple[OrderKey, ...]) -> None:
        super().__init__(record_info.create_serializer())
        assert keys, "to order by nothing"
        self.record_info = record_info
        self.keys = keys
        self.paths = tuple(FieldPath(record_info, key.path) for key in keys)
        self.comparators = tuple(_comparator(path, key) for path, key in zip(self.paths, keys, strict=True))
        ends = [number == len(keys) for number in range(1, len(keys) + 1)]
        self._parts = list(zip(self.paths, self.comparators, ends, strict=True))
        lengths = [comparator.key_bytes for comparator in self.comparators]
        self.key_bytes = None if None in lengths else sum(filter(None, lengths))
        self._names = [self._recovered(path, comparator) for path, comparator, _ in self._parts]
        self.recoverable = frozenset(name for names in self._names for name in names)
        self._whole = self._whole_record()
        self.is_invertible = self._whole is not None or self._is_made_of_fields()

    def __reduce__(self) -> tuple[Any, ...]:
        return OrderingComparator, (self.record_info, self.keys)

    def invert(self) -> Self:
        """Every field in its other direction; nulls stay where they are."""
        keys = tuple(replace(key, descending=not key.descending) for key in self.keys)
        return cast("Self", OrderingComparator(self.record_info, keys))

    # --- order

    def compare(self, left: Any, right: Any) -> int:
        for path, part, _ in self._parts:
            order = part.compare(path.get(left), path.get(right))
            if order:
                return order
        return 0

    def compare_serialized(self, left: InputView, right: InputView) -> int:
        """The same, reading only the fields that decide. Where the views stand afterwards is open."""
        for path, part, _ in self._parts:
            order = part.compare(self._read_field(left, path), self._read_field(right, path))
            if order:
                return order
        return 0

    def _read_field(self, source: InputView, path: FieldPath) -> Any:
        """The field at the end of `path` of the record at the front of `source`, which stays there."""
        ahead = source.fork()
        if path.top_index is None or path.top_index >= self.serializer.field_count():
            return path.get(self.serializer.deserialize(ahead))
        return path.get_within(self.serializer.deserialize_field(ahead, path.top_index))

    def write_ascending(self, value: Any, out: bytearray, *, is_last: bool) -> None:
        """Append the order key: the fields have directions, the whole has none."""
        for path, part, is_end in self._parts:
            field = path.get(value)
            try:
                part.write_key(field, out, is_last=is_last and is_end)
            except SerializationError as error:
                path.place(error)
                raise
            except RecursionError as error:
                raise too_deep(path.name) from error

    def skip_ascending(self, source: BytesInput, *, is_last: bool) -> None:
        for _, part, is_end in self._parts:
            part.skip_key(source, is_last=is_last and is_end)

    @cached_property
    def _plain(self) -> TypeComparator[Any]:
        keys = tuple(replace(key, descending=False, nulls_last=False) for key in self.keys)
        return self if keys == self.keys else OrderingComparator(self.record_info, keys)

    def hash(self, value: Any) -> int:
        plain = self._plain
        return super().hash(value) if plain is self else plain.hash(value)

    # --- what comes back from a key

    def _recovered(self, path: FieldPath, comparator: TypeComparator[Any]) -> tuple[str, ...]:
        """The names of the record's fields that one of the keys gives back."""
        info = self.record_info
        if not comparator.is_invertible or not isinstance(info, FieldsInfo) or path.depth > 1:
            return ()
        if path.top_index is None:
            return tuple(field.name for field in info.fields)
        return (info.fields[path.top_index].name,) if info.recovers(path.top_index) else ()

    def _whole_record(self) -> int | None:
        """Which of the keys is that of the record itself, and gives it back."""
        return next((n for n, (path, part, _) in enumerate(self._parts) if not path.depth and part.is_invertible), None)

    def _is_made_of_fields(self) -> bool:
        """Whether the record can be made of the fields that come back."""
        info = self.record_info
        return isinstance(info, FieldsInfo) and info.is_exact and len(self.recoverable) == len(info.fields)

    def _read_parts(self, source: BytesInput, *, is_last: bool) -> list[Any]:
        """What each of the keys gives back; None for those that give nothing back."""
        values: list[Any] = []
        for _, part, is_end in self._parts:
            read = part.read_key if part.is_invertible else part.skip_key
            values.append(read(source, is_last=is_last and is_end))
        return values

    def read_fields(self, source: BytesInput, *, is_last: bool = True) -> dict[str, Any]:
        """The `recoverable` fields by name, of the record whose order key stands at the front of `source`."""
        return self._fields_of(self._read_parts(source, is_last=is_last))

    def _fields_of(self, values: list[Any]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for path, names, value in zip(self.paths, self._names, values, strict=True):
            if names:
                parts = (value,) if path.depth else cast("FieldsInfo", self.record_info).shape.split(value)
                found.update(zip(names, parts, strict=True))
        return found

    def read_ascending(self, source: BytesInput, *, is_last: bool) -> Any:
        values = self._read_parts(source, is_last=is_last)
        if self._whole is not None:
            return values[self._whole]
        found, info = self._fields_of(values), cast("FieldsInfo", self.record_info)
        return info.shape.join([found[field.name] for field in info.fields])


def _comparator(path: FieldPath, key: OrderKey) -> TypeComparator[Any]:
    try:
        return path.field_info.create_comparator(descending=key.descending, nulls_last=key.nulls_last)
    except NotOrderableError as error:
        path.place(error)
        raise


__all__ = ["By", "OrderKey", "OrderingComparator", "parse_by"]
