"""Rows one at a time, by serializers and comparators: what the batch path must agree with, and falls back on.

It says what is wrong where the batch path only knows that something is.
"""

from __future__ import annotations

from typing import Any

from serializers.columns.plan import RowPlan
from serializers.errors import CorruptRecordError
from serializers.types.classes import ClassInfo
from serializers.types.ordering import OrderingComparator
from serializers.types.row import Row, RowInfo
from serializers.types.tuples import TupleInfo
from serializers.types.type_information import Field, TypeInformation
from serializers.types.typed_dicts import TypedDictInfo
from serializers.views import BytesInput, BytesOutput

_CLASS_ITSELF = 0


class RestWriter:
    """Values without the fields that stand in their keys: as the same type without those fields.

    A value of a subclass is written whole: its class is what tells the two apart.
    """

    def __init__(self, plan: RowPlan) -> None:
        info: Any = plan.type_info
        self._info = info
        self._shape = info.shape
        self._places = plan.rest
        self._names = [field.name for field in info.fields]
        self._whole = info.create_serializer()
        self._rest = _without(info, plan.rest).create_serializer()

    def write(self, value: Any, out: BytesOutput) -> None:
        """Append the value without the fields that are left out."""
        if isinstance(self._info, ClassInfo):
            if type(value) is not self._info.cls:
                self._whole.serialize(value, out)
                return
            out.write_byte(_CLASS_ITSELF)
        parts = self._shape.split(value)
        self._rest.serialize(self._without_keys(value, parts), out)

    def _without_keys(self, value: Any, parts: Any) -> Any:
        if isinstance(self._info, TypedDictInfo):
            return {
                self._names[place]: value[self._names[place]] for place in self._places if self._names[place] in value
            }
        rest = [parts[place] for place in self._places]
        return Row(*rest) if isinstance(self._info, RowInfo) else tuple(rest)

    def read(self, source: BytesInput, left_out: dict[str, Any]) -> Any:
        """The value that was written, with the fields that were left out."""
        if isinstance(self._info, ClassInfo):
            if source.fork().read_byte() != _CLASS_ITSELF:
                return self._whole.deserialize(source)
            source.skip(1)
        rest = self._rest.deserialize(source)
        if isinstance(self._info, TypedDictInfo):
            found = {**left_out, **rest}
            return {name: found[name] for name in self._names if name in found}
        given = dict(zip([self._names[place] for place in self._places], rest, strict=True))
        return self._shape.join([{**given, **left_out}[name] for name in self._names])


def _without(info: Any, places: tuple[int, ...]) -> TypeInformation[Any]:
    fields: tuple[Field, ...] = tuple(info.fields[place] for place in places)
    if isinstance(info, RowInfo):
        return RowInfo(fields, named=False)
    if isinstance(info, TypedDictInfo):
        assert info.required is not None
        return TypedDictInfo(info.cls, fields, info.required & {field.name for field in fields})
    return TupleInfo(tuple(field.type_info for field in fields), names=tuple(field.name for field in fields))


class SlowRows:
    """One row at a time, after the same plan."""

    def __init__(self, plan: RowPlan) -> None:
        self._plan = plan
        self._serializer = plan.type_info.create_serializer()
        self._rest = RestWriter(plan) if plan.left_out else None

    def encode(self, value: Any, key: Any = None) -> bytes:
        """The row of `value`; `key` is what the key function gave."""
        plan = self._plan
        order_key = bytearray()
        if plan.comparator is not None:
            plan.comparator.write_key(key if plan.has_key_function else value, order_key)
        body = BytesOutput()
        if plan.key_bytes is None:
            body.write_varint(len(order_key))
        body.write(order_key)
        if self._rest is not None:
            self._rest.write(value, body)
        elif not plan.is_only_key:
            self._serializer.serialize(value, body)
        row = BytesOutput()
        row.write_sized(body.data)
        return bytes(row.data)

    def decode(self, source: BytesInput) -> Any:
        """The value of the row at the front of `source`. Raises CorruptRecordError."""
        plan = self._plan
        body = BytesInput(source.read_sized())
        key_bytes = body.read_varint() if plan.key_bytes is None else plan.key_bytes
        key = BytesInput(body.read(key_bytes))
        value = self._read(key, body)
        if body.remaining:
            raise CorruptRecordError(
                f"{body.remaining} bytes are left behind the value. Was it written as another type?"
            )
        return value

    def _read(self, key: BytesInput, body: BytesInput) -> Any:
        comparator = self._plan.comparator
        if self._plan.is_only_key:
            assert comparator is not None
            value = comparator.read_key(key)
            if key.remaining:
                raise CorruptRecordError(f"{key.remaining} bytes are left behind the key")
            return value
        if self._rest is None:
            return self._serializer.deserialize(body)
        assert isinstance(comparator, OrderingComparator)
        found = comparator.read_fields(key)
        left_out = {self._plan.type_info.fields[place].name for place in self._plan.left_out}
        return self._rest.read(body, {name: part for name, part in found.items() if name in left_out})
