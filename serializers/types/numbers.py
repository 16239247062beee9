"""Numbers, and the two types that need fewer bits than any: bool and None.

Integers are in `integers`, floats in `floats`; this is where to import any of them from.
"""

from __future__ import annotations

from dataclasses import dataclass

from serializers.errors import CorruptRecordError
from serializers.types.fixed_length import FixedKeyComparator
from serializers.types.floats import FLOAT32, FLOAT64, FloatInfo
from serializers.types.integers import (
    INT,
    INT8,
    INT16,
    INT32,
    INT64,
    UINT8,
    UINT16,
    UINT32,
    UINT64,
    BigIntegerInfo,
    IntegerInfo,
)
from serializers.types.mismatch import mismatch
from serializers.types.type_information import TypeInformation
from serializers.types.type_serializer import TypeSerializer
from serializers.views import BytesInput, InputView, OutputView

# --- None


@dataclass(frozen=True)
class NoneInfo(TypeInformation[None]):
    """The type of None, which takes no bytes."""

    @property
    def name(self) -> str:
        return "None"

    @property
    def python_type(self) -> type:
        return type(None)

    @property
    def allows_null(self) -> bool:
        return True

    def create_serializer(self) -> NoneSerializer:
        return NoneSerializer()

    def create_comparator(self, *, descending: bool = False, nulls_last: bool = False) -> NoneComparator:
        return NoneComparator(self.create_serializer(), descending=descending, nulls_last=nulls_last)


def _check_none(value: object) -> None:
    if value is not None:
        raise mismatch(value, "None", "Declare the type that the field has")


class NoneSerializer(TypeSerializer[None]):
    """Writes nothing."""

    length = 0

    def serialize(self, value: None, out: OutputView) -> None:
        _check_none(value)

    def deserialize(self, source: InputView) -> None:
        return None

    def skip(self, source: InputView) -> None:
        """There is nothing to pass over."""


class NoneComparator(FixedKeyComparator[None]):
    """None equals None."""

    key_bytes = 0
    is_invertible = True

    def compare(self, left: None, right: None) -> int:
        _check_none(left)
        _check_none(right)
        return 0

    def write_ascending(self, value: None, out: bytearray, *, is_last: bool) -> None:
        _check_none(value)

    def read_ascending(self, source: BytesInput, *, is_last: bool) -> None:
        return None


# --- bool


@dataclass(frozen=True)
class BoolInfo(TypeInformation[bool]):
    """True and False, in one byte."""

    @property
    def name(self) -> str:
        return "bool"

    @property
    def python_type(self) -> type:
        return bool

    def create_serializer(self) -> BoolSerializer:
        return BoolSerializer()

    def create_comparator(self, *, descending: bool = False, nulls_last: bool = False) -> BoolComparator:
        return BoolComparator(self.create_serializer(), descending=descending, nulls_last=nulls_last)


def _checked_bool(value: bool) -> bool:
    if value is True or value is False:
        return value
    raise mismatch(value, "bool", "Convert it with bool(value)")


def _read_bool(source: InputView) -> bool:
    byte = source.read_byte()
    if byte > 1:
        raise CorruptRecordError(f"a bool is 0 or 1, not {byte}")
    return byte == 1


class BoolSerializer(TypeSerializer[bool]):
    """A byte, 0 or 1."""

    length = 1

    def serialize(self, value: bool, out: OutputView) -> None:
        out.write_byte(_checked_bool(value))

    def deserialize(self, source: InputView) -> bool:
        return _read_bool(source)

    def skip(self, source: InputView) -> None:
        source.skip(1)


class BoolComparator(FixedKeyComparator[bool]):
    """False before True."""

    key_bytes = 1
    is_invertible = True

    def compare(self, left: bool, right: bool) -> int:
        return self.directed(_checked_bool(left) - _checked_bool(right))

    def write_ascending(self, value: bool, out: bytearray, *, is_last: bool) -> None:
        out.append(_checked_bool(value))

    def read_ascending(self, source: BytesInput, *, is_last: bool) -> bool:
        return _read_bool(source)


NONE = NoneInfo()
BOOL = BoolInfo()

__all__ = [
    "BOOL",
    "FLOAT32",
    "FLOAT64",
    "INT",
    "INT8",
    "INT16",
    "INT32",
    "INT64",
    "NONE",
    "UINT8",
    "UINT16",
    "UINT32",
    "UINT64",
    "BigIntegerInfo",
    "BoolInfo",
    "FloatInfo",
    "IntegerInfo",
    "NoneInfo",
]
