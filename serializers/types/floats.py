"""Floats, in numeric order: -0.0 equals 0.0; every NaN equals every other, and goes behind infinity.

An int is taken if a float equals it. Nothing is ever rounded: what a float32 cannot hold is refused, save that a NaN
keeps only those of its bits that have room. A value of a subclass (a numpy.float64) comes back as a plain float.
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct
from typing import cast

from serializers.errors import ValueMismatchError
from serializers.types.fixed_length import FixedKeyComparator, PackedSerializer
from serializers.types.mismatch import mismatch, shown
from serializers.types.type_information import TypeInformation
from serializers.views import InputView, OutputView

_FLOAT_FORMATS = {16: Struct("<e"), 32: Struct("<f"), 64: Struct("<d")}
_FLOAT_KEYS = {16: Struct(">e"), 32: Struct(">f"), 64: Struct(">d")}
_NAN_KEYS = {16: bytes.fromhex("fe00"), 32: bytes.fromhex("ffc00000"), 64: bytes.fromhex("fff8000000000000")}
_INVERT = bytes(255 - byte for byte in range(256))


@dataclass(frozen=True)
class FloatInfo(TypeInformation[float]):
    """A float of 16, 32 or 64 bits."""

    bits: int

    def __post_init__(self) -> None:
        assert self.bits in _FLOAT_FORMATS, self.bits

    @property
    def name(self) -> str:
        return f"float{self.bits}"

    @property
    def python_type(self) -> type:
        return float

    def create_serializer(self) -> FloatSerializer:
        return FloatSerializer(self)

    def create_comparator(self, *, descending: bool = False, nulls_last: bool = False) -> FloatComparator:
        return FloatComparator(self.create_serializer(), descending=descending, nulls_last=nulls_last)


def _exact_float(value: float, type_name: str) -> float:
    """The float that `value` is: itself, that of a subclass, or one that equals an int."""
    if isinstance(value, float):
        return float.__float__(value)
    if isinstance(value, int) and not isinstance(value, bool):
        try:
            converted = float(value)
        except OverflowError:
            converted = float("nan")
        if converted == value:
            return converted
        raise ValueMismatchError(
            f"{shown(value)} is not a {type_name} exactly. Round it with float(value), or declare int"
        )
    raise mismatch(value, type_name, "Convert it with float(value), or declare the type it has")


class FloatSerializer(PackedSerializer[float]):
    """IEEE 754, little-endian, every bit kept."""

    def __init__(self, type_info: FloatInfo) -> None:
        super().__init__(type_info, _FLOAT_FORMATS[type_info.bits])
        self.bits = type_info.bits

    def checked(self, value: float) -> float:
        if type(value) is not float:
            value = _exact_float(value, self.type_info.name)
        if self.bits != 64:
            self._check_width(value)
        return value

    def _check_width(self, value: float) -> None:
        """Raise unless `value` is a NaN, or comes back from fewer than 64 bits unchanged."""
        try:
            narrowed = self.packed.unpack(self.packed.pack(value))[0]
        except OverflowError:
            narrowed = None
        if narrowed != value and value == value:
            raise ValueMismatchError(
                f"{value!r} is not a {self.type_info.name} exactly. "
                f"Round it first, with numpy.{self.type_info.name}(value).item(), or declare float64"
            )

    def serialize(self, value: float, out: OutputView) -> None:
        out.write_packed(self.packed, self.checked(value))

    def deserialize(self, source: InputView) -> float:
        return cast("float", source.read_packed(self.packed)[0])


class FloatComparator(FixedKeyComparator[float]):
    """Numeric order, NaN last. Keys do not tell -0.0 from 0.0, nor one NaN from another."""

    serializer: FloatSerializer

    def __init__(self, serializer: FloatSerializer, *, descending: bool = False, nulls_last: bool = False) -> None:
        super().__init__(serializer, descending=descending, nulls_last=nulls_last)
        self.key_bytes = serializer.length
        self._bits = serializer.bits

    def compare(self, left: float, right: float) -> int:
        left, right = self.serializer.checked(left), self.serializer.checked(right)
        if left != left or right != right:
            return self.directed((left != left) - (right != right))
        return self.directed((left > right) - (left < right))

    def write_ascending(self, value: float, out: bytearray, *, is_last: bool) -> None:
        value = self.serializer.checked(value)
        if value != value:
            out += _NAN_KEYS[self._bits]
            return
        packed = _FLOAT_KEYS[self._bits].pack(value + 0.0)  # which turns -0.0 into 0.0
        if value < 0:
            out += packed.translate(_INVERT)
        else:
            out.append(packed[0] | 0x80)
            out += packed[1:]


FLOAT32, FLOAT64 = FloatInfo(32), FloatInfo(64)
