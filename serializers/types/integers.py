"""Integers, in order of their size: of 8 to 64 bits, signed or not, or in as many bytes as they need.

A value of a subclass (an IntEnum) is taken as the number it is, and comes back as a plain int. But a bool is no int.
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct
from typing import cast

from serializers.errors import ValueMismatchError
from serializers.types.fixed_length import FixedKeyComparator, PackedSerializer
from serializers.types.mismatch import mismatch, shown
from serializers.types.order_bytes import big_integer_bytes, read_big_integer, skip_big_integer, write_big_integer
from serializers.types.type_comparator import TypeComparator
from serializers.types.type_information import TypeInformation
from serializers.types.type_serializer import TypeSerializer
from serializers.views import BytesInput, InputView, OutputView

# --- integers of a width

_INTEGER_FORMATS = {8: "b", 16: "h", 32: "i", 64: "q"}


@dataclass(frozen=True)
class IntegerInfo(TypeInformation[int]):
    """An int of 8, 16, 32 or 64 bits."""

    bits: int
    signed: bool = True

    def __post_init__(self) -> None:
        assert self.bits in _INTEGER_FORMATS, self.bits

    @property
    def name(self) -> str:
        return f"{'int' if self.signed else 'uint'}{self.bits}"

    @property
    def python_type(self) -> type:
        return int

    @property
    def low(self) -> int:
        """The smallest value."""
        return -1 << self.bits - 1 if self.signed else 0

    @property
    def high(self) -> int:
        """The largest value."""
        return self.low + (1 << self.bits) - 1

    def create_serializer(self) -> IntegerSerializer:
        return IntegerSerializer(self)

    def create_comparator(self, *, descending: bool = False, nulls_last: bool = False) -> IntegerComparator:
        return IntegerComparator(self.create_serializer(), descending=descending, nulls_last=nulls_last)


def _checked_int(value: int, type_name: str) -> int:
    if type(value) is int:
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return int.__index__(value)
    raise mismatch(value, type_name, "Convert it with int(value), or declare the type it has")


class IntegerSerializer(PackedSerializer[int]):
    """Two's complement, little-endian."""

    def __init__(self, type_info: IntegerInfo) -> None:
        code = _INTEGER_FORMATS[type_info.bits]
        super().__init__(type_info, Struct(f"<{code if type_info.signed else code.upper()}"))
        self.low, self.high = type_info.low, type_info.high

    def checked(self, value: int) -> int:
        if type(value) is int and self.low <= value <= self.high:
            return value
        value = _checked_int(value, self.type_info.name)
        if self.low <= value <= self.high:
            return value
        raise ValueMismatchError(
            f"{shown(value)} does not fit {self.type_info.name} ({self.low} to {self.high}). Declare a wider type"
        )

    def serialize(self, value: int, out: OutputView) -> None:
        out.write_packed(self.packed, self.checked(value))

    def deserialize(self, source: InputView) -> int:
        return cast("int", source.read_packed(self.packed)[0])


class IntegerComparator(FixedKeyComparator[int]):
    """Numeric order. Keys are counted from the smallest value, big-endian: that flips the sign bit."""

    serializer: IntegerSerializer
    is_invertible = True

    def __init__(self, serializer: IntegerSerializer, *, descending: bool = False, nulls_last: bool = False) -> None:
        super().__init__(serializer, descending=descending, nulls_last=nulls_last)
        self.key_bytes = serializer.length
        self._low = serializer.low

    def compare(self, left: int, right: int) -> int:
        left, right = self.serializer.checked(left), self.serializer.checked(right)
        return self.directed((left > right) - (left < right))

    def write_ascending(self, value: int, out: bytearray, *, is_last: bool) -> None:
        out += (self.serializer.checked(value) - self._low).to_bytes(self.key_bytes, "big")

    def read_ascending(self, source: BytesInput, *, is_last: bool) -> int:
        return int.from_bytes(source.read(self.key_bytes), "big") + self._low


# --- integers of any size


@dataclass(frozen=True)
class BigIntegerInfo(TypeInformation[int]):
    """An int of any size."""

    @property
    def name(self) -> str:
        return "int"

    @property
    def python_type(self) -> type:
        return int

    def create_serializer(self) -> BigIntegerSerializer:
        return BigIntegerSerializer()

    def create_comparator(self, *, descending: bool = False, nulls_last: bool = False) -> BigIntegerComparator:
        return BigIntegerComparator(self.create_serializer(), descending=descending, nulls_last=nulls_last)


class BigIntegerSerializer(TypeSerializer[int]):
    """The order key is the value's bytes."""

    def serialize(self, value: int, out: OutputView) -> None:
        out.write(big_integer_bytes(_checked_int(value, "int")))

    def deserialize(self, source: InputView) -> int:
        return read_big_integer(source)

    def skip(self, source: InputView) -> None:
        skip_big_integer(source)


class BigIntegerComparator(TypeComparator[int]):
    """Numeric order."""

    is_invertible = True

    def compare(self, left: int, right: int) -> int:
        left, right = _checked_int(left, "int"), _checked_int(right, "int")
        return self.directed((left > right) - (left < right))

    def write_ascending(self, value: int, out: bytearray, *, is_last: bool) -> None:
        write_big_integer(_checked_int(value, "int"), out)

    def read_ascending(self, source: BytesInput, *, is_last: bool) -> int:
        return read_big_integer(source)

    def skip_ascending(self, source: BytesInput, *, is_last: bool) -> None:
        skip_big_integer(source)


INT8, INT16, INT32, INT64 = (IntegerInfo(bits) for bits in _INTEGER_FORMATS)
UINT8, UINT16, UINT32, UINT64 = (IntegerInfo(bits, signed=False) for bits in _INTEGER_FORMATS)
INT = BigIntegerInfo()
