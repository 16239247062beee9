"""Where serializers write to and read from: a stream of bytes, whatever memory lies beneath.

`BytesOutput` and `BytesInput` work on contiguous memory; `serializers.segment_views` has their twins over memory
segments, where any primitive may lie across a boundary. All numbers are little-endian; a varint is 7 bits a byte, low
group first (LEB128).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from struct import Struct
from typing import Any

from serializers.errors import CorruptRecordError

VARINT_BYTES_MAX = 10
"""64 bits in groups of 7."""


class OutputView(ABC):
    """Takes bytes one after another. `position` counts them."""

    position: int

    @abstractmethod
    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Append `data`."""

    def write_byte(self, value: int) -> None:
        """Append one byte, 0 to 255."""
        self.write(bytes((value,)))

    def write_packed(self, packed: Struct, *values: Any) -> None:
        """Append `values` in the form of `packed`."""
        self.write(packed.pack(*values))

    def write_varint(self, value: int) -> None:
        """Append an unsigned number below 2**64: one byte below 128."""
        assert 0 <= value < 1 << 64, value
        while value > 0x7F:
            self.write_byte(value & 0x7F | 0x80)
            value >>= 7
        self.write_byte(value)

    def write_sized(self, data: bytes | bytearray | memoryview) -> None:
        """Append the length of `data` as a varint, and `data`."""
        self.write_varint(len(data))
        self.write(data)


class InputView(ABC):
    """Gives bytes one after another. `position` counts them; `remaining` says how many are left."""

    position: int

    @property
    @abstractmethod
    def remaining(self) -> int:
        """Bytes left."""

    @abstractmethod
    def read(self, length: int) -> bytes:
        """The next `length` bytes. Raises CorruptRecordError if there are fewer."""

    @abstractmethod
    def skip(self, length: int) -> None:
        """Pass over `length` bytes. Raises CorruptRecordError if there are fewer."""

    @abstractmethod
    def fork(self) -> InputView:
        """A second view that stands where this one does, and moves on its own."""

    def read_byte(self) -> int:
        """The next byte."""
        return self.read(1)[0]

    def read_packed(self, packed: Struct) -> tuple[Any, ...]:
        """The next values in the form of `packed`."""
        return packed.unpack(self.read(packed.size))

    def read_varint(self) -> int:
        """An unsigned number below 2**64."""
        value = 0
        for shift in range(0, 7 * VARINT_BYTES_MAX, 7):
            byte = self.read_byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                if value >> 64:
                    break
                return value
        raise CorruptRecordError(f"a number at byte {self.position} is longer than 64 bits")

    def read_sized(self) -> bytes:
        """What `write_sized` wrote."""
        return self.read(self.read_varint())

    def skip_sized(self) -> None:
        """Pass over what `write_sized` wrote."""
        self.skip(self.read_varint())


class BytesOutput(OutputView):
    """Appends to `data`, a bytearray of its own or one given."""

    def __init__(self, data: bytearray | None = None) -> None:
        self.data = bytearray() if data is None else data

    @property
    def position(self) -> int:  # type: ignore[override]
        """Bytes in `data`."""
        return len(self.data)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.data += data

    def write_byte(self, value: int) -> None:
        self.data.append(value)


class BytesInput(InputView):
    """Reads `data[position:end]`."""

    def __init__(self, data: bytes | bytearray | memoryview, position: int = 0, end: int | None = None) -> None:
        self.data = data
        self.position = position
        self.end = len(data) if end is None else end
        assert 0 <= self.position <= self.end <= len(data)

    @property
    def remaining(self) -> int:
        return self.end - self.position

    def read(self, length: int) -> bytes:
        start = self.position
        self.skip(length)
        return bytes(self.data[start : self.position])

    def skip(self, length: int) -> None:
        if length > self.end - self.position:
            raise CorruptRecordError(
                f"{length} bytes wanted at byte {self.position}, {self.end - self.position} are left"
            )
        self.position += length

    def fork(self) -> BytesInput:
        return BytesInput(self.data, self.position, self.end)

    def read_byte(self) -> int:
        start = self.position
        self.skip(1)
        return self.data[start]


__all__ = ["VARINT_BYTES_MAX", "BytesInput", "BytesOutput", "InputView", "OutputView"]
