"""The contract of everything that turns a value into bytes and back.

The bytes of a value say where they end, so values stand one behind another with nothing between them. A serializer has
no state that changes: one may serve many threads.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Generic, TypeVar

from serializers.errors import CorruptRecordError
from serializers.views import BytesInput, BytesOutput, InputView, OutputView

T = TypeVar("T")


class TypeSerializer(ABC, Generic[T]):
    """Values of one type to bytes and back. `length` is how many bytes every value takes, None if that varies."""

    length: int | None = None

    @abstractmethod
    def serialize(self, value: T, out: OutputView) -> None:
        """Append the bytes of `value`. Raises ValueMismatchError if it is not of the type."""

    @abstractmethod
    def deserialize(self, source: InputView) -> T:
        """Read one value, and nothing behind it. Raises CorruptRecordError for bytes that no value leaves."""

    @abstractmethod
    def skip(self, source: InputView) -> None:
        """Pass over one value."""

    def copy(self, source: InputView, out: OutputView) -> None:
        """Pass the bytes of one value on as they are, without making the value."""
        ahead = source.fork()
        self.skip(ahead)
        out.write(source.read(ahead.position - source.position))

    def field_count(self) -> int:
        """Fields that `deserialize_field` knows; 0 for what has no parts."""
        return 0

    def deserialize_field(self, source: InputView, index: int) -> Any:
        """Read field `index` of one value, without making the others. Where `source` stands afterwards is open."""
        raise NotImplementedError(f"{type(self).__name__} has no fields")

    def to_bytes(self, value: T) -> bytes:
        """The bytes of one value."""
        out = BytesOutput()
        self.serialize(value, out)
        return bytes(out.data)

    def from_bytes(self, data: bytes | bytearray | memoryview) -> T:
        """The value that `data` stands for. Raises CorruptRecordError if bytes are left over."""
        source = BytesInput(data)
        value = self.deserialize(source)
        if source.remaining:
            raise CorruptRecordError(
                f"{source.remaining} bytes are left behind the value: {type(self).__name__} reads less than was written"
            )
        return value


__all__ = ["TypeSerializer"]
