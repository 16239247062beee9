"""The numbers a segment can hold: one precompiled struct for each type and byte order.

A scalar reads and writes at an offset that has already been checked; it knows nothing of bounds.
"""

from struct import Struct
from struct import error as StructError
from typing import Generic, Literal, TypeVar

ByteOrder = Literal["little", "big"]
Value = TypeVar("Value")


class Scalar(Generic[Value]):
    """One fixed-size type, `size_bytes` long, in both byte orders."""

    __slots__ = ("name", "size_bytes", "structs")

    def __init__(self, name: str, code: str) -> None:
        self.name = name
        self.structs = {"little": Struct(f"<{code}"), "big": Struct(f">{code}")}
        self.size_bytes = self.structs["little"].size

    def read(self, memory: memoryview, offset: int, order: ByteOrder) -> Value:
        """The value at `offset`. Raises ValueError for an unknown order."""
        value: Value = self._struct(order).unpack_from(memory, offset)[0]
        return value

    def write(self, memory: memoryview, offset: int, value: Value, order: ByteOrder) -> None:
        """Put `value` at `offset`. Raises ValueError if it does not fit, and then nothing is written."""
        # Not pack_into: that clears the field before it finds out that the value does not fit.
        memory[offset : offset + self.size_bytes] = self._pack(value, order)

    def _pack(self, value: Value, order: ByteOrder) -> bytes:
        try:
            return self._struct(order).pack(value)
        except (StructError, OverflowError) as error:
            raise ValueError(f"{value!r} does not fit into {self.name}: {error}") from error

    def _struct(self, order: ByteOrder) -> Struct:
        try:
            return self.structs[order]
        except KeyError:
            raise ValueError(f"byte order is 'little' or 'big', not {order!r}") from None


BOOL: Scalar[bool] = Scalar("bool", "?")
INT8: Scalar[int] = Scalar("int8", "b")
INT16: Scalar[int] = Scalar("int16", "h")
INT32: Scalar[int] = Scalar("int32", "i")
INT64: Scalar[int] = Scalar("int64", "q")
UINT8: Scalar[int] = Scalar("uint8", "B")
UINT16: Scalar[int] = Scalar("uint16", "H")
UINT32: Scalar[int] = Scalar("uint32", "I")
UINT64: Scalar[int] = Scalar("uint64", "Q")
FLOAT32: Scalar[float] = Scalar("float32", "f")
FLOAT64: Scalar[float] = Scalar("float64", "d")
