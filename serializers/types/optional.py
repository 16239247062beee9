"""A value, or None: one byte says which, in values and in keys.

    value     00 | 01 value
    key       nulls first: 00 | 01 key        nulls last: 01 key | 02

A descending order inverts the key and never the mark: nulls stand where they were asked to, in either direction.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from serializers.errors import CorruptRecordError
from serializers.types.parts import PartedInfo, PartsComparator, PartsSerializer
from serializers.types.type_comparator import TypeComparator
from serializers.types.type_information import Field, TypeInformation
from serializers.types.type_serializer import TypeSerializer
from serializers.views import BytesInput, InputView, OutputView


@dataclass(frozen=True)
class OptionalInfo(PartedInfo[Any]):
    """A value of type `inner`, or None."""

    inner: TypeInformation[Any]

    @property
    def name(self) -> str:
        return f"optional[{self.inner.name}]"

    @property
    def python_type(self) -> type:
        return self.inner.python_type

    @property
    def allows_null(self) -> bool:
        return True

    def parts(self) -> tuple[Field, ...]:
        return (Field("value", self.inner),)

    def create_serializer(self) -> OptionalSerializer:
        return OptionalSerializer(self, self.inner.create_serializer())

    def create_comparator(self, *, descending: bool = False, nulls_last: bool = False) -> OptionalComparator:
        inner = self.inner.create_comparator(descending=descending, nulls_last=nulls_last)
        return OptionalComparator(self, inner, descending=descending, nulls_last=nulls_last)


def without_optional(type_info: TypeInformation[Any]) -> TypeInformation[Any]:
    """The type of what is not None: for where something else says that there is no value."""
    while isinstance(type_info, OptionalInfo):
        type_info = type_info.inner
    return type_info


class OptionalSerializer(PartsSerializer[Any]):
    """0 for None, 1 before a value."""

    def __init__(self, type_info: OptionalInfo, inner: TypeSerializer[Any]) -> None:
        super().__init__(type_info)
        self._serialize, self._deserialize, self._skip = inner.serialize, inner.deserialize, inner.skip

    def serialize(self, value: Any, out: OutputView) -> None:
        if value is None:
            out.write_byte(0)
        else:
            out.write_byte(1)
            self._serialize(value, out)

    def deserialize(self, source: InputView) -> Any:
        flag = source.read_byte()
        if flag == 1:
            return self._deserialize(source)
        if flag == 0:
            return None
        raise _no_flag(flag)

    def skip(self, source: InputView) -> None:
        flag = source.read_byte()
        if flag == 1:
            self._skip(source)
        elif flag != 0:
            raise _no_flag(flag)


def _no_flag(flag: int) -> CorruptRecordError:
    return CorruptRecordError(f"0 for None or 1 before a value is expected, not {flag}")


class OptionalComparator(PartsComparator[Any]):
    """The order of `inner`, and a place for `null`: None, unless something else stands for no value."""

    def __init__(
        self,
        type_info: TypeInformation[Any],
        inner: TypeComparator[Any],
        *,
        descending: bool,
        nulls_last: bool,
        null: object = None,
    ) -> None:
        super().__init__(type_info, descending=descending, nulls_last=nulls_last)
        self.is_invertible = inner.is_invertible
        self._inner = inner
        self._null = null
        marks = (2, 1) if nulls_last else (0, 1)
        self._null_mark, self._value_mark = (255 - mark if descending else mark for mark in marks)
        if inner.key_bytes == 0:
            self.key_bytes = 1

    def compare(self, left: Any, right: Any) -> int:
        if left is self._null or right is self._null:
            order = (right is self._null) - (left is self._null)
            return -order if self.nulls_last else order
        return self._inner.compare(left, right)

    def write_ascending(self, value: Any, out: bytearray, *, is_last: bool) -> None:
        if value is self._null:
            out.append(self._null_mark)
        else:
            out.append(self._value_mark)
            self._inner.write_ascending(value, out, is_last=is_last)

    def read_ascending(self, source: BytesInput, *, is_last: bool) -> Any:
        if self._read_mark(source):
            return self._inner.read_ascending(source, is_last=is_last)
        return self._null

    def skip_ascending(self, source: BytesInput, *, is_last: bool) -> None:
        if self._read_mark(source):
            self._inner.skip_ascending(source, is_last=is_last)

    def _read_mark(self, source: BytesInput) -> bool:
        mark = source.read_byte()
        if mark not in (self._null_mark, self._value_mark):
            raise CorruptRecordError(f"no key has {mark} where it says whether there is a value")
        return mark == self._value_mark


__all__ = ["OptionalComparator", "OptionalInfo", "OptionalSerializer", "without_optional"]
